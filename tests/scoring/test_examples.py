"""Copies of good pictures, turned or mirrored: which of them count as good."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.scoring.examples import COPIES, copied
from vaetool.scoring.features import Features
from vaetool.store import weights

X = torch.arange(9).view(1, 1, 3, 3)


@pytest.mark.parametrize(
    ("copy", "expected"),
    [
        ("mirrored", np.fliplr(X[0, 0])),
        ("flipped", np.flipud(X[0, 0])),
        ("turned 90", np.rot90(X[0, 0])),
        ("turned 180", np.rot90(X[0, 0], 2)),
        ("turned 270", np.rot90(X[0, 0], 3)),
        ("transposed", X[0, 0].numpy().T),
        ("antitransposed", [[8, 5, 2], [7, 4, 1], [6, 3, 0]]),
    ],
)
def test_a_copy_is_what_its_name_says(copy, expected):
    assert np.array_equal(copied(X, copy)[0, 0], expected)


def test_copies_are_all_the_symmetries_of_a_square():
    assert len({tuple(copied(X, copy).flatten().tolist()) for copy in COPIES} - {tuple(X.flatten().tolist())}) == 7


def save_parts(folder, count, *, lit_from_left):
    """Plates with a bright disc, which is in about the middle."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    for number in range(count):
        radius = np.hypot(y - 47.5 + rng.normal(), x - 47.5 + rng.normal())
        pixels = 110 + 60 * (radius < 30) + rng.normal(0, 3, radius.shape)
        pixels += 0.5 * (47.5 - x) if lit_from_left else 0
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


def fitted(folder, output, *settings) -> Features:
    vaetool.train("features", folder, output=output, settings=("model.size=64", *settings), device="cpu")
    return weights.load(output, device="cpu")


def test_all_copies_of_a_round_part_look_usual(tmp_path):
    model = fitted(save_parts(tmp_path / "good", 30, lit_from_left=False), tmp_path / "part.safetensors")
    assert sorted(model.config.copies) == sorted(COPIES)


def test_a_part_that_is_lit_from_the_left_may_be_flipped_and_nothing_else(tmp_path):
    model = fitted(save_parts(tmp_path / "good", 30, lit_from_left=True), tmp_path / "part.safetensors")
    assert model.config.copies == ("flipped",)


def test_which_copies_count_can_be_said(tmp_path):
    good = save_parts(tmp_path / "good", 12, lit_from_left=True)
    assert fitted(good, tmp_path / "none.safetensors", "model.copies=[]").config.copies == ()
    chosen = fitted(good, tmp_path / "one.safetensors", 'model.copies=["turned 90"]')
    assert chosen.config.copies == ("turned 90",)
