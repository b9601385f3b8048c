"""Which pictures are in a folder or zip file already, by their content."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaetool.images.contents import Contents


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """Pictures of one size, in bytes as well."""
    (tmp_path / "good").mkdir()
    paths = [tmp_path / "good" / f"{number}.bmp" for number in range(3)]
    for number, path in enumerate(paths):
        Image.fromarray(np.full((8, 8), number, np.uint8)).save(path)
    return paths


@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_is_known_by_any_name_and_another_of_its_size_is_not(files, packed, tmp_path):
    place = files[0].parent
    if packed:
        place = tmp_path / "good.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for path in files:
                archive.write(path, path.name)
    known = Contents(place)
    renamed, other = tmp_path / "renamed.bmp", tmp_path / "0.bmp"
    renamed.write_bytes(files[1].read_bytes())
    Image.fromarray(np.full((8, 8), 9, np.uint8)).save(other)
    assert renamed in known
    assert renamed.read_bytes() in known
    assert other not in known
    assert other.read_bytes()[:-1] not in known
