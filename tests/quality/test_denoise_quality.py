"""How well the bundled denoiser of white noise works on photographs that it has never seen.

The floors are guards, well below what was measured: the figures themselves are in docs/benchmarks.md.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from vaetool import load
from vaetool.images.metrics import psnr

MODEL = "photo-denoise-gaussian"

FLOORS = {  # gain in dB over the noisy picture, by sigma, blind
    "china": {15: 6.0, 25: 7.5, 50: 10.0},
    "flower": {15: 11.0, 25: 13.5, 50: 16.5},
}
CLEAN = 40.0  # dB between a clean photograph and what comes out
SIGMA_ERROR = 0.15  # of the estimated sigma, as a share of the true one
MEGAPIXELS_12 = (3000, 4000)
PEAK_BYTES = 2**30


@pytest.fixture(scope="module")
def photos(photos) -> dict[str, np.ndarray]:
    """Both photographs, (height, width, 3) in 0..1."""
    return {name: pixels / np.float32(255) for name, pixels in photos.items()}


def with_noise(clean: np.ndarray, sigma: float) -> np.ndarray:
    """Noise of a sigma in 8-bit units, not clipped, as the tables of denoisers have it."""
    return (clean + np.random.default_rng(0).normal(0, sigma / 255, clean.shape)).astype(np.float32)


CASES = [(name, sigma) for name, floors in FLOORS.items() for sigma in floors]


@pytest.mark.parametrize(("name", "sigma"), CASES)
def test_noise_goes_down(model, photos, name, sigma):
    clean = photos[name]
    noisy = with_noise(clean, sigma)
    assert psnr(model.denoise(noisy), clean) - psnr(noisy, clean) > FLOORS[name][sigma]


@pytest.mark.parametrize(("name", "sigma"), CASES)
def test_blind_costs_next_to_nothing(model, photos, name, sigma):
    noisy = with_noise(photos[name], sigma)
    assert psnr(model.denoise(noisy), photos[name]) > psnr(model.denoise(noisy, sigma), photos[name]) - 0.1


@pytest.mark.parametrize(("name", "sigma"), CASES)
def test_sigma_is_estimated_well(model, photos, name, sigma):
    assert model.estimate_sigma(with_noise(photos[name], sigma)) == pytest.approx(sigma, rel=SIGMA_ERROR)


@pytest.mark.parametrize("name", FLOORS)
def test_a_clean_photo_comes_out_clean(model, photos, name):
    clean = photos[name]
    assert psnr(model.denoise(clean), clean) >= CLEAN


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (500, 3)], ids=str)
@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 200), (np.uint16, 40001), (np.float32, 0.1)])
def test_a_constant_picture_is_unchanged(model, size, dtype, value):
    constant = np.full((*size, 3), value, dtype)
    assert np.array_equal(model.denoise(constant), constant)


@pytest.mark.parametrize("sigma", [None, 50])
@pytest.mark.parametrize("tile", [64, 128])
def test_tiles_leave_no_trace(photos, sigma, tile):
    model = load(MODEL, device="cpu", precision="float32")
    noisy = with_noise(photos["china"][:214, :320], 50)
    difference = np.abs(model.denoise(noisy, sigma, tile=tile) - model.denoise(noisy, sigma, tile=4096))
    assert 255 * difference.max() <= 1


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere, or missing")
def test_12_megapixels_fit_in_1_gibibyte(tmp_path, python):
    """The whole command, as `/usr/bin/time` would see it."""
    rows = np.random.default_rng(0).integers(0, 255, (MEGAPIXELS_12[0], MEGAPIXELS_12[1] // 100, 3), np.uint8)
    Image.fromarray(np.tile(rows, (1, 100, 1))).save(tmp_path / "large.png", compress_level=1)
    code = (
        "import resource, sys; from vaetool.cli import main; code = main(sys.argv[1:]); "
        "print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    process = python("-c", code, "denoise", tmp_path / "large.png", "-m", MODEL, "--device", "cpu", "--quiet")
    out, words = process.communicate(timeout=1200)
    assert process.returncode == 0, words.decode()
    assert int(out) < PEAK_BYTES
