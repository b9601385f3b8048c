"""Copies among good pictures: which are found, and that different pictures are not taken for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool.demo import part
from vaetool.scoring.copies import MAX_COMPARED, groups_of_copies, thumbnail, without_copies


def thumbnails(pictures) -> torch.Tensor:
    images = [torch.from_numpy(np.asarray(pixels)).permute(2, 0, 1).float() / 255 for pixels in pictures]
    return torch.stack([thumbnail(image) for image in images])


@pytest.fixture(scope="module")
def parts() -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [part(generator) for _ in range(60)]


def test_parts_that_lie_under_one_camera_are_no_copies(parts):
    assert without_copies(thumbnails(parts)) == list(range(60))


@pytest.mark.parametrize("change", ["none", "brightness", "noise", "JPEG"])
def test_copies_are_found_even_if_they_were_changed_a_little(parts, tmp_path, change):
    generator = np.random.default_rng(0)

    def changed(pixels: np.ndarray, number: int) -> np.ndarray:
        if change == "JPEG":
            Image.fromarray(pixels).save(tmp_path / "copy.jpg", quality=90 + number)
            return np.array(Image.open(tmp_path / "copy.jpg"))
        shift = {"none": 0, "brightness": number, "noise": generator.normal(0, 1, pixels.shape)}[change]
        return (pixels + np.rint(shift)).clip(0, 255).astype(np.uint8)

    copies = [changed(pixels, number) for pixels in parts[:8] for number in range(6)]
    groups = list(groups_of_copies(thumbnails(copies), range(48), 48))
    assert [sorted(group) for group in groups] == [list(range(6 * k, 6 * k + 6)) for k in range(8)]


def test_the_order_decides_which_copy_stands_for_all(parts):
    small = thumbnails([*parts[:5], *parts[:5]])
    assert list(groups_of_copies(small, [9, 3, 0, 4, 5], 2)) == [[9, 4], [3, 8]]


def test_pictures_that_are_all_the_same_are_one():
    assert without_copies(thumbnails([np.full((9, 9, 1), 7, np.uint8)] * 20)) == [0]
    assert without_copies(thumbnails([np.full((9, 9, 1), 7, np.uint8)])) == [0]


def test_very_many_pictures_are_not_compared():
    assert without_copies(torch.zeros(MAX_COMPARED + 1, 3)) == list(range(MAX_COMPARED + 1))
