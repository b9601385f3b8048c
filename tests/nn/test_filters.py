"""Filters of batches against the same for one picture, by scipy or by loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from vaetool.nn.filters import blurred, local_mean, luma


def pictures(count: int = 3, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(0))


def test_each_picture_is_blurred_by_its_own_sigma():
    x, sigmas = pictures(), [0.3, 1.0, 2.5]
    result = blurred(x, torch.tensor(sigmas).reshape(-1, 1, 1, 1))
    for number, sigma in enumerate(sigmas):
        for channel in range(3):
            expected = gaussian_filter(x[number, channel].numpy(), sigma, mode="mirror", radius=8)
            assert result[number, channel].numpy() == pytest.approx(expected, abs=1e-5)


def test_pictures_smaller_than_the_kernel_are_blurred_too():
    assert torch.allclose(blurred(torch.full((1, 1, 5, 3), 0.4), torch.full((1, 1, 1, 1), 4.0)), torch.tensor(0.4))


@pytest.mark.parametrize("size", [1, 3, 17])
def test_a_local_mean_takes_what_is_inside_the_picture(size):
    x = pictures(1, 9, 12)[:, :1]
    result = local_mean(x, size)[0, 0].numpy()
    reach = size // 2
    for row in range(9):
        for column in range(12):
            part = x[0, 0, max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            assert result[row, column] == pytest.approx(float(part.mean()), abs=1e-5)


@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_gradient_of_a_local_mean_is_that_of_its_formula(device, layout, channels):
    x = pictures(2, 9, 12)[:, :channels].to(device).to(memory_format=layout).requires_grad_()
    weights = torch.rand((2, channels, 9, 12), generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((local_mean(x, 5) * weights.to(device)).sum(), x)
    reach = [torch.tensor([[float(abs(i - j) <= 2) for i in range(size)] for j in range(size)]) for size in (9, 12)]
    rows, columns = (near / near.sum(dim=1, keepdim=True) for near in reach)
    assert torch.allclose(gradient.cpu(), rows.T @ weights @ columns, atol=1e-6)


def test_luma_is_that_of_the_standard():
    assert np.allclose(luma(torch.eye(3)[:, :, None, None]).flatten(), (0.299, 0.587, 0.114))
    grey = torch.full((1, 1, 2, 2), 0.7)
    assert torch.equal(luma(grey), grey)
