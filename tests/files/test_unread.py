"""Pictures that are not read are counted and named where they lie in a folder, by every command."""

import shutil

import numpy as np
import pytest
from PIL import Image

from vaetool.errors import FileError, UsageError
from vaetool.files.inputs import expand
from vaetool.files.mask_folder import MaskFolder
from vaetool.images.sources import find_sources


@pytest.fixture
def folder(tmp_path):
    """One picture that is read, among others."""
    folder = tmp_path / "mixed"
    (folder / "deeper").mkdir(parents=True)
    Image.fromarray(np.full((16, 16, 3), 90, np.uint8)).save(folder / "a.png")
    for name in ("b.JXL", "c.tga", "d.nef", "e.nef", "f.NEF", "g.nef", "notes.txt", ".hidden.jxl", "deeper/h.jxl"):
        (folder / name).write_bytes(b"anything")
    return folder


def test_they_are_found_with_the_others(folder):
    found = expand([str(folder)])
    assert [entry.source.name for entry in found.entries] == ["a.png"]
    assert [path.name for path in found.unread] == ["b.JXL", "c.tga", "d.nef", "e.nef", "f.NEF", "g.nef"]
    assert expand([str(folder)], recursive=True).unread[-1] == folder / "deeper" / "h.jxl"


def test_a_folder_of_nothing_else_says_what_is_there(folder):
    (folder / "a.png").unlink()
    with pytest.raises(UsageError, match=r"no images in .*not read, so left out: 1 JPEG XL \(.*b.JXL; djxl"):
        expand([str(folder)])


def test_one_that_is_named_is_no_matter_of_folders(folder):
    assert expand([str(folder / "b.JXL")]).unread == ()


@pytest.mark.parametrize("command", ["denoise", "compress", "score"])
def test_commands_name_them_without_being_asked(vaetool, scorer, folder, command, tmp_path):
    options = ("-m", scorer) if command == "score" else ("-o", f"{tmp_path / 'out'}/")
    result = vaetool(command, folder, *options)
    assert result.exit_code == 0
    assert "1 JPEG XL" in result.stderr
    assert "1 TGA" in result.stderr
    assert "4 camera raw" in result.stderr
    assert "..., darktable" not in result.stderr
    assert "; darktable, RawTherapee or dcraw convert them" in result.stderr


def test_comparisons_name_those_of_both_folders(vaetool, folder, tmp_path):
    (tmp_path / "others").mkdir()
    shutil.copy(folder / "a.png", tmp_path / "others")
    (tmp_path / "others" / "b.psd").write_bytes(b"anything")
    result = vaetool("compare", folder, tmp_path / "others")
    assert result.exit_code == 0
    assert "1 JPEG XL" in result.stderr
    assert "1 Photoshop" in result.stderr


def test_a_morph_names_them(vaetool, tiny_vae, folder, tmp_path):
    result = vaetool("morph", folder, folder / "a.png", "-m", tiny_vae, "-o", tmp_path / "m.gif")
    assert result.exit_code == 0
    assert "1 JPEG XL" in result.stderr


def test_a_mask_that_is_not_read_is_no_missing_mask(folder):
    masks = MaskFolder(folder)
    with pytest.raises(FileError, match=r"its mask .*c\.tga is not read \(TGA: convert it to TIFF or PNG first"):
        masks.of("photos/c.png")
    assert masks.of("photos/z.png") is None


def test_training_is_told_of_each_when_it_reads_it(folder):
    sources = {source.name: source for source in find_sources([folder])}
    assert sorted(sources) == ["a.png", "b.JXL", "c.tga", "d.nef", "deeper/h.jxl", "e.nef", "f.NEF", "g.nef"]
