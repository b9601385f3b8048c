"""`vaetool denoise`: which model cleans, and what is said of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vaetool import load


def test_high_effort_takes_the_larger_model(photographs, tmp_path, vaetool):
    photo = np.asarray(photographs["china"])
    noisy = np.rint(photo + np.random.default_rng(0).normal(0, 25, photo.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    for effort, name in (("normal", "photo-denoise"), ("high", "photo-denoise-high")):
        output = tmp_path / f"{effort}.png"
        result = vaetool("denoise", tmp_path / "noisy.png", "-o", output, "--effort", effort, "--device", "cpu")
        assert result.exit_code == 0, result.stderr
        assert np.array_equal(np.asarray(Image.open(output)), load(name, device="cpu").denoise(noisy))


def test_other_models_have_no_larger_relative(tiny_dae, tmp_path, vaetool):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    result = vaetool("denoise", tmp_path / "a.png", "-m", tiny_dae, "--effort", "high")
    assert result.exit_code == 2
    assert "--effort high is for photo-denoise alone" in result.stderr
