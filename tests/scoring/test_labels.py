"""What is known of images beforehand: tables, folders, masks."""

from __future__ import annotations

import pytest
from PIL import Image

from vaetool.errors import FileError, UsageError
from vaetool.files.mask_folder import MaskFolder
from vaetool.scoring.labels import labels_of_folders, read_labels


def write(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def picture(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (8, 8)).save(path)
    return path


def test_a_table_names_images_from_its_own_folder_on(tmp_path, monkeypatch):
    table = write(
        tmp_path / "labels.csv", "note,label,path\nx,0,a.png\ny, Outlier ,sub/b.png\nz,normal,c.png\n,1,d.png\n"
    )
    labels = read_labels(table)
    assert labels.paths == [tmp_path / name for name in ("a.png", "sub/b.png", "c.png", "d.png")]
    assert [labels.of(path) for path in labels.paths] == [False, True, False, True]
    assert labels.of(tmp_path / "e.png") is None
    monkeypatch.chdir(tmp_path / "..")
    assert labels.of(f"{tmp_path.name}/sub/../sub/b.png") is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\na.png\n", "no column 'label'"),
        ("", "no column 'path'"),
        ("path,label\n", "names no image"),
        ("path,label\na.png,0\nb.png,maybe\n", "line 3: a label is 0 or normal, 1 or outlier, not 'maybe'"),
        ("path,label\na.png\n", "line 2: a label is"),
        ('path,label\n"a.png,0\n', "is not a CSV file"),
    ],
)
def test_what_is_no_such_table_is_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message) as error:
        read_labels(write(tmp_path / "labels.csv", text))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_labels(tmp_path / "labels.csv")


def test_an_image_with_both_labels_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a\.png: is labelled both"):
        read_labels(write(tmp_path / "labels.csv", "path,label\na.png,0\n./a.png,1\n"))


def test_folders_are_labels(tmp_path):
    for name in ("good/1.png", "good/sub/2.png", "bad/1.png"):
        picture(tmp_path / name)
    flat = labels_of_folders([str(tmp_path / "good")], [str(tmp_path / "bad")])
    assert [path.relative_to(tmp_path).as_posix() for path in flat.paths] == ["good/1.png", "bad/1.png"]
    deep = labels_of_folders([str(tmp_path / "good")], [str(tmp_path / "bad")], recursive=True)
    assert [deep.of(tmp_path / name) for name in ("good/sub/2.png", "bad/1.png")] == [False, True]
    with pytest.raises(UsageError, match="both normal and an outlier"):
        labels_of_folders([str(tmp_path / "bad")], [str(tmp_path / "bad/1.png")])


def test_masks_are_found_by_name_and_among_several_by_folder(tmp_path):
    for name in ("crack/7.png", "crack/8_mask.png", "hole/7.png", "9.png"):
        picture(tmp_path / "masks" / name)
    masks = MaskFolder(tmp_path / "masks")
    assert masks.of("parts/crack/7.jpg") == tmp_path / "masks/crack/7.png"
    assert masks.of("parts/hole/7.jpg") == tmp_path / "masks/hole/7.png"
    assert masks.of("parts/8.jpg") == tmp_path / "masks/crack/8_mask.png"
    assert masks.of("parts/9.tif") == tmp_path / "masks/9.png"
    assert masks.of("parts/10.jpg") is None
    with pytest.raises(FileError, match="several masks"):
        masks.of("parts/7.jpg")
