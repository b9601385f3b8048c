"""Which pictures and labels belong together."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
from PIL import Image

from vaetool.errors import UsageError
from vaetool.images.modalities import LabelTable, find_modalities


@pytest.fixture
def folders(tmp_path):
    """Folders `photos`, PNG, and `masks`, JPEG, with pictures of the same names, and `labels.csv`."""
    for folder, suffix, level in (("photos", "png", 50), ("masks", "jpg", 200)):
        (tmp_path / folder / "deep").mkdir(parents=True)
        for name in ("a", "deep/b"):
            Image.new("L", (16, 16), level).save(tmp_path / folder / f"{name}.{suffix}")
    (tmp_path / "labels.csv").write_text("label,path\nCat,a.png\n dog ,photos/deep/b.png\n")
    return tmp_path


def test_pictures_of_one_name_belong_together_whatever_their_suffix(folders):
    found = find_modalities([folders / "photos", folders / "masks"], None)
    assert found.names == ("photos", "masks")
    assert [source.name for source in found.sources] == ["a.png", "deep/b.png"]
    assert all(np.all(source.read() == 50) and np.all(source.others[0]() == 200) for source in found.sources)


def test_a_table_gives_labels_by_paths_from_its_own_folder_or_that_of_the_pictures(folders):
    found = find_modalities([folders / "photos"], folders / "labels.csv")
    assert found.names == ("photos", "label")
    assert [source.label for source in found.sources] == ["Cat", "dog"]


def test_links_have_labels_by_their_own_names_and_by_those_of_their_files(folders):
    (folders / "photos").rename(folders / "store")
    (folders / "photos" / "deep").mkdir(parents=True)
    (folders / "photos" / "a.png").symlink_to(folders / "store" / "a.png")
    (folders / "photos" / "deep" / "b.png").symlink_to(folders / "store" / "deep" / "b.png")
    (folders / "linked").symlink_to(folders / "photos")
    for path in ("photos/a.png", "store/a.png", "a.png"):
        (folders / "labels.csv").write_text(f"label,path\nCat,{path}\ndog,photos/deep/b.png\n")
        found = find_modalities([folders / "photos"], folders / "labels.csv")
        assert [source.label for source in found.sources] == ["Cat", "dog"]
    assert LabelTable(folders / "labels.csv").of(folders / "linked" / "deep" / "b.png") is None


def test_folders_and_a_table_are_three_modalities(folders):
    assert find_modalities([folders / "photos", folders / "masks"], folders / "labels.csv").names[2] == "label"


def test_a_zip_file_is_a_modality(folders):
    with zipfile.ZipFile(folders / "masks.zip", "w") as archive:
        for path in sorted((folders / "masks").rglob("*.jpg")):
            archive.write(path, f"masks/{path.relative_to(folders / 'masks')}")
    assert find_modalities([folders / "photos", folders / "masks.zip"], None).names == ("photos", "masks")


def test_what_does_not_belong_together_is_refused(folders):
    Image.new("L", (16, 16)).save(folders / "photos" / "c.png")
    with pytest.raises(UsageError, match=r"c is not in all of .*: pairs have the same names"):
        find_modalities([folders / "photos", folders / "masks"], None)
    with pytest.raises(UsageError, match=r"c.png has no label in .*labels.csv$"):
        find_modalities([folders / "photos"], folders / "labels.csv")
    with pytest.raises(UsageError, match="two modalities are called photos"):
        find_modalities([folders / "photos", folders / "photos"], None)
    with pytest.raises(UsageError, match="what goes with the pictures"):
        find_modalities([folders / "masks/deep"], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,kind\na.png,x\n", "has no column 'label'"),
        ("path,label\na.png,\n", "line 2: has no label"),
        ("path,label\n,x\n", "line 2: has no path"),
        ("path,label\na.png,x\n./a.png,y\n", "line 3: ./a.png has two labels"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, text, message):
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        LabelTable(tmp_path / "labels.csv")
