"""Pictures saved as JPEG are what Pillow makes of them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool.denoising.noise import jpeg


@pytest.fixture(scope="module")
def photo(photographs) -> torch.Tensor:
    """(3, 96, 160) in 0..1."""
    return torch.from_numpy(np.array(photographs["china"]))[:96].permute(2, 0, 1) / 255


def by_pillow(levels: np.ndarray, quality: int, subsampling: str) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))


def levels(picture: torch.Tensor) -> np.ndarray:
    return (255 * picture).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("subsampled", [False, True])
@pytest.mark.parametrize("quality", [30, 95])
def test_a_picture_comes_back_as_from_a_file(photo, quality, subsampled):
    expected = by_pillow(levels(photo), quality, "4:2:0" if subsampled else "4:4:4")
    assert np.array_equal(levels(jpeg.saved(photo, quality, subsampled)), expected)


def test_the_blocks_of_a_cut_picture_begin_elsewhere(photo):
    whole = by_pillow(levels(photo), 30, "4:4:4")
    cut = levels(jpeg.saved(photo[:, 8:, 16:], 30, False, corner=(8, 8)))
    assert np.array_equal(cut[16:, 16:], whole[24:, 32:])  # far from what was mirrored
    assert not np.array_equal(levels(jpeg.saved(photo[:, 5:], 30, False))[11:], whole[16:])


def test_grey_pictures_are_saved_as_grey(photo):
    assert jpeg.saved(photo[:1], 80, True).shape == (1, 96, 160)


@pytest.mark.parametrize(("qualities", "is_kept"), [((60, 98), True), (jpeg.LOW_QUALITIES, False)])
def test_the_traces_of_good_quality_belong_to_the_picture(photo, qualities, is_kept):
    batch = photo[None].expand(12, -1, -1, -1)
    clean, noisy = jpeg.save(batch, batch, torch.Generator().manual_seed(0), 0.5, qualities)
    assert torch.equal(clean, noisy if is_kept else batch)
    saved = (noisy != batch).flatten(1).any(dim=1)
    assert 2 <= saved.sum() <= 10
    assert len({float(x.sum()) for x in noisy[saved]}) > 1  # each in its own way


def test_the_traces_of_good_quality_go_with_the_noise_of_a_picture(photo):
    batch = photo[None].expand(12, -1, -1, -1)
    clean, _ = jpeg.save(batch, batch + 3 / 255, torch.Generator().manual_seed(0), 1.0, (60, 98))
    assert torch.equal(clean, batch)
    clean, _ = jpeg.save(batch, batch + 1 / 255, torch.Generator().manual_seed(0), 1.0, (60, 98))
    assert (clean != batch).flatten(1).any(dim=1).all()


def test_a_share_of_zero_saves_none(photo):
    pair = jpeg.save(photo[None], photo[None] / 2, torch.Generator().manual_seed(0), 0.0, jpeg.QUALITIES)
    assert torch.equal(pair[0], photo[None])
    assert torch.equal(pair[1], photo[None] / 2)
