"""The finder of flaws: what it is trained on, how probabilities become marks, and what the bundled one finds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from vaetool.inpainting import flaws
from vaetool.inpainting.drawn_flaws import FLAWS, draw_flaws
from vaetool.inpainting.flaws import Flaws, FlawsConfig, sure_flaws
from vaetool.store import weights


@pytest.fixture(scope="module")
def finder() -> Flaws:
    return weights.load("scan-flaws", device="cpu")


@pytest.fixture(scope="module")
def sky() -> Image.Image:
    """Smooth, from dark to light, with some grain."""
    pixels = np.linspace(60, 160, 200)[:, None, None] + np.random.default_rng(0).normal(0, 2, (200, 240, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Grey pictures with flaws, and where they are."""
    return draw_flaws(torch.Generator().manual_seed(seed), torch.full((24, 3, 96, 96), 0.5))


def test_drawn_flaws_are_where_they_are_said_to_be():
    flawed, where = drawn()
    assert where.shape == (24, len(FLAWS), 96, 96)
    assert set(where.unique().tolist()) == {0, 1}
    flawless = where.sum(dim=(1, 2, 3)) == 0
    assert 0.2 < flawless.float().mean() < 0.7
    assert (where.sum(dim=(0, 2, 3)) > 0).all()
    changed = (flawed - flawed.median(dim=-1, keepdim=True).values).abs().mean(dim=1)
    there = where.amax(dim=1) > 0
    assert changed[there].mean() > 5 * changed[~there].mean()


def test_drawn_flaws_are_seeded():
    assert all(torch.equal(a, b) for a, b in zip(drawn(3), drawn(3), strict=True))
    assert not torch.equal(drawn(3)[0], drawn(4)[0])


def test_what_is_likely_is_marked_where_it_is_sure_somewhere():
    probabilities = np.zeros((40, 60), np.float32)
    probabilities[5, 5:40] = probabilities[20, 5:40] = 0.6
    probabilities[20, 10] = 0.95
    marked = sure_flaws(probabilities, "scratches")
    assert np.array_equal(np.flatnonzero(marked.any(axis=1)), [19, 20, 21])  # and a pixel around it
    probabilities[20, 25:] = 0
    assert not sure_flaws(probabilities, "scratches").any()
    assert sure_flaws(probabilities, "dust").any()


def test_digits_are_measured_together():
    probabilities = np.zeros((40, 90), np.float32)
    probabilities[10:20, 10:16] = probabilities[10:20, 24:30] = 1
    assert not sure_flaws(probabilities, "date").any()
    probabilities[10:20, 38:44] = 1
    assert np.count_nonzero(sure_flaws(probabilities, "date")[15]) == 3 * 8


@pytest.mark.parametrize("left", [0, 3, 40, 90])
@pytest.mark.parametrize(("length", "found"), [(30, True), (20, False)])
def test_a_date_at_the_edge_of_the_picture_is_as_long_as_elsewhere(left, length, found):
    probabilities = np.zeros((40, 120), np.float32)
    probabilities[10:22, left : left + length] = 1
    assert sure_flaws(probabilities, "date").any() == found


def test_tiles_make_no_difference(finder, sky, monkeypatch):
    whole = finder.probabilities(np.asarray(sky))
    monkeypatch.setattr(flaws, "TILE", 96)
    assert np.abs(finder.probabilities(np.asarray(sky)) - whole).max() < 1e-4


def test_a_batch_has_a_loss_and_a_figure():
    model = Flaws(FlawsConfig(widths=(8, 8), dilations=(1,)))
    batch = model.corrupt(torch.rand((4, 3, 64, 64)), torch.Generator().manual_seed(0), None)
    model.loss(batch)["loss"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
    assert 0 <= model.validate(batch)["overlap"] <= 1


@pytest.mark.parametrize(("colour", "thickness"), [((240, 240, 240), 2), ((235, 240, 235), 3)])
def test_a_scratch_is_found_to_its_ends(finder, sky, colour, thickness):
    scratched = sky.copy()
    ImageDraw.Draw(scratched).line([(30, 20), (180, 150)], colour, thickness)
    truth = (np.asarray(scratched) != np.asarray(sky)).any(axis=2)
    marked = finder.mark(np.asarray(scratched), ("scratches",))
    assert marked[truth].mean() > 0.9
    assert marked.sum() < 4 * truth.sum() + 400


def test_specks_are_found(finder, sky):
    dusty = sky.copy()
    for x, y in [(40, 50), (90, 120), (200, 80), (150, 160)]:
        ImageDraw.Draw(dusty).ellipse((x, y, x + 4, y + 3), (250, 250, 250))
    marked = finder.mark(np.asarray(dusty), ("dust",))
    assert marked[[52, 122, 82, 162], [42, 92, 202, 152]].all()
    assert marked.mean() < 0.01


def test_a_date_is_found(finder, sky):
    dated = sky.copy()
    ImageDraw.Draw(dated).text((150, 165), "14 7 '98", (255, 140, 20), ImageFont.load_default(20))
    truth = (np.asarray(dated) != np.asarray(sky)).any(axis=2)
    marked = finder.mark(np.asarray(dated), ("date",))
    assert marked[truth].mean() > 0.8
    assert marked.sum() < 4 * truth.sum()


def test_in_flawless_pictures_nothing_is_found(finder, sky, photographs):
    assert not finder.mark(np.asarray(sky)).any()
    assert not finder.mark(np.asarray(photographs["flower"])).any()
