"""MS-SSIM in batches is the one that is measured with, and its gradient leads to more of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaetool.compression.oddities import make_odd
from vaetool.compression.similarity import ms_ssim
from vaetool.images import metrics


@pytest.fixture(scope="module")
def photo(photographs) -> torch.Tensor:
    """(1, 3, 192, 192) in 0..1."""
    return torch.from_numpy(np.array(photographs["china"].resize((192, 192)))).permute(2, 0, 1)[None] / 255


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.2])
def test_it_is_what_is_measured(photo, sigma):
    noisy = (photo + sigma * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    expected = metrics.ms_ssim(noisy[0].permute(1, 2, 0).double().numpy(), photo[0].permute(1, 2, 0).double().numpy())
    assert ms_ssim(noisy, photo).item() == pytest.approx(expected, abs=1e-4)


def test_its_gradient_leads_to_more_of_it(photo):
    noisy = (photo + 0.1 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    before = ms_ssim(noisy, photo)
    before.sum().backward()
    assert noisy.grad.isfinite().all()
    assert ms_ssim(noisy + 0.01 * noisy.grad / noisy.grad.std(), photo) > before


def test_a_share_of_pictures_becomes_odd(photo):
    photos = (photo * 255).round().expand(240, -1, -1, -1)[..., :64, :64] / 255
    odd = make_odd(photos, torch.Generator().manual_seed(0), 0.5)
    changed = (odd != photos).flatten(1).any(dim=1)
    assert changed.float().mean() == pytest.approx(0.5, abs=0.1)
    assert ((odd >= 0) & (odd <= 1)).all()
    assert ((255 * odd).round() - 255 * odd).abs().max() < 1e-3
