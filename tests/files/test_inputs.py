"""Which files a command works on: `vaetool.files.inputs`."""

from __future__ import annotations

import errno
import os
from pathlib import Path, PurePath

import pytest

from tests.files.helpers import sources, touch
from vaetool import images
from vaetool.errors import UsageError
from vaetool.files.inputs import IMAGES, expand, sniff_image
from vaetool.files.unread import reads_heic

# Which files


def test_files_keep_their_order_and_a_folder_is_sorted(here):
    touch("b.png", "a.png", "folder/2.png", "folder/10.png", "folder/sub/3.png")
    assert sources("b.png", "folder", "a.png") == ["b.png", "folder/10.png", "folder/2.png", "a.png"]


def test_sub_folders_are_searched_only_when_asked(here):
    touch("f/b.png", "f/sub/a.png", "f/.hidden/c.png")
    assert sources("f") == ["f/b.png"]
    assert sources("f", recursive=True) == ["f/b.png", "f/sub/a.png"]


def test_in_a_folder_the_content_decides_and_a_damaged_image_is_kept(here):
    touch("f/notes.txt", data=b"hello")
    touch("f/broken.png", data=b"not an image")
    touch("f/without_extension", "f/.hidden.png")
    assert sources("f") == ["f/broken.png", "f/without_extension"]


def test_earlier_results_beside_their_inputs_are_not_taken_from_a_folder(here):
    touch("f/a.png", "f/a.denoised.png")
    assert sources("f", earlier=".denoised") == ["f/a.png"]
    assert sources("f/a.denoised.png", earlier=".denoised") == ["f/a.denoised.png"]


def test_the_output_folder_is_not_searched(here):
    touch("f/a.png", "f/out/a.png")
    assert sources("f", recursive=True, leave_out=[Path("f/out")]) == ["f/a.png"]


def test_a_pattern_that_the_shell_left_alone_is_expanded(here):
    touch("b1.png", "b2.png", "c.png")
    assert sources("b*.png") == ["b1.png", "b2.png"]


def test_a_file_with_pattern_characters_in_its_name_is_that_file(here):
    touch("a[1].png", "a1.png")
    assert sources("a[1].png") == ["a[1].png"]


def test_a_pattern_is_expanded_where_its_name_is_called_invalid(here, monkeypatch):
    touch("b1.png", "b2.png")

    original = Path.stat

    def stat(path: Path, **options: bool) -> os.stat_result:  # as on Windows
        if "*" in str(path):
            raise OSError(errno.EINVAL, "Invalid argument")
        return original(path, **options)

    monkeypatch.setattr(Path, "stat", stat)
    assert sources("b*.png") == ["b1.png", "b2.png"]


def test_missing_files_fail_alone(here):
    touch("a.png")
    entries = expand(["gone.png", "a.png", "*.tif"]).entries
    assert [entry.problem for entry in entries] == ["no such file or folder", None, "no file matches this pattern"]


def test_a_folder_without_images_fails_alone_and_says_what_lies_in_it(here):
    touch("a.png", "shots/b.jxl", "notes/c.txt", data=b"anything")
    found = expand(["shots", "a.png", "notes", "shots/"], recursive=True)
    problems = {str(entry.source): entry.problem for entry in found.entries}
    assert problems == {
        "a.png": None,
        "shots": "no images in it; not read, so left out: 1 JPEG XL (shots/b.jxl; djxl or ImageMagick convert them)",
        "notes": "no images in it",
    }
    assert found.unread == ()
    assert expand(["notes", "a.png"]).entries[1].problem == "no images in it; -r looks into sub-folders"
    with pytest.raises(UsageError, match="no images in notes, shots; not read, so left out: 1 JPEG XL"):
        expand(["notes", "shots"], recursive=None)


def test_an_empty_folder_that_results_are_to_go_into_is_none_of_the_inputs(here):
    touch("a.png", "sub/b.png")
    Path("out").mkdir()
    assert sources("a.png", "out/", "sub", leave_out=[Path("out")]) == ["a.png", "sub/b.png"]


def test_a_file_named_twice_is_worked_on_once(here):
    touch("f/a.png")
    assert sources("f/a.png", "f", "./f/a.png") == ["f/a.png"]


def test_a_folder_without_images_is_a_usage_error_that_names_the_way_out(here):
    touch("f/sub/a.png")
    with pytest.raises(UsageError, match="no images in f; -r looks into sub-folders"):
        expand(["f"])


def test_an_empty_list_is_not_an_error(here):
    touch("list", data=b"")
    assert sources(files_from="list") == []


def test_a_list_may_be_separated_by_nul_and_hold_any_name(here):
    odd = ["two\nlines.png", " spaces .png", "ünïcode 写真.png", os.fsdecode(b"latin\xe9.png")]
    touch(*odd)
    touch("list", data=b"\0".join(map(os.fsencode, odd)) + b"\0")
    entries = expand([], files_from="list", null=True).entries
    assert [(str(entry.source), entry.problem) for entry in entries] == [(name, None) for name in odd]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"], ids=["Unix", "Windows", "NUL"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(here, encoding, end):
    names = ["ünïcode.png", "b.png"]
    touch(*names, "list")
    Path("list").write_bytes("".join(name + end.decode() for name in names).encode(encoding))
    assert sources(files_from="list", null=end == b"\0") == names


def test_a_line_of_a_list_is_no_pattern(here):
    touch("b1.png", "b2.png")
    touch("list", data=b"b*.png\nb1.png\n")
    found = [(str(entry.source), entry.problem) for entry in expand([], files_from="list").entries]
    assert found == [("b*.png", "no such file or folder"), ("b1.png", None)]


def test_a_list_that_is_cut_off_within_a_character_is_refused(here):
    touch("list", data="a.png".encode("utf-16")[:-1])
    with pytest.raises(UsageError, match="list: begins like UTF-16"):
        expand([], files_from="list")


def test_listed_relative_paths_keep_their_folders_below_the_output(here):
    touch("x/a.png", "y/a.png")
    touch("list", data=b"x/a.png\r\n./y/a.png\n" + os.fsencode(here / "x/a.png") + b"\n../outside.png\n")
    entries = expand([], files_from="list").entries
    assert [entry.place for entry in entries] == [PurePath("x/a.png"), PurePath("y/a.png"), PurePath("outside.png")]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [([], {}), (["-", "a.png"], {}), (["-"], {"files_from": "l"}), (["a.png"], {"null": True}), ([""], {})],
)
def test_requests_that_make_no_sense_are_usage_errors(arguments, options):
    with pytest.raises(UsageError):
        expand(arguments, **options)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_fails_alone(here):
    touch("f/a.png", "f/locked/b.png")
    Path("f/locked").chmod(0)
    problems = [entry.problem for entry in expand(["f"], recursive=True).entries]
    Path("f/locked").chmod(0o700)
    assert problems == [None, "Permission denied"]


def test_every_extension_offered_for_a_result_can_be_written(photographs):
    written = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PPM")
    heads = {name: photograph_bytes(photographs, name) for name in written}
    heads |= {"GIF": b"GIF89a", "JPEG2000": b"\xff\x4f\xff\x51"}
    for name, data in heads.items():
        extensions = sniff_image(data[:32])
        assert extensions, name
        expected = "PNG" if name in {"GIF", "JPEG2000"} else name
        assert {images.format_for(f"x{extension}") for extension in extensions} == {expected}
        assert IMAGES.suffixes.issuperset(extensions)


def test_heic_is_told_from_avif_by_the_other_brands():
    start = b"\0\0\0\x18ftypmif1\0\0\0\0mif1"
    assert sniff_image(start + b"avif") == (".avif",)
    assert sniff_image(start + b"heic") == ((".png",) if reads_heic() else ())


def photograph_bytes(photographs, format_name: str) -> bytes:
    return images.encode(images.from_pil(photographs["china"]), format_name)
