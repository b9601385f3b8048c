"""Views of a latent space, and the plots of them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool import load
from vaetool.errors import UsageError
from vaetool.latents import plots
from vaetool.latents.vae import VAE, VAEConfig
from vaetool.latents.views import GRID, MIN_FOR_TSNE, SAMPLES, SHOWN, STEPS, View, look


@pytest.fixture(scope="module")
def model(tiny_vae) -> VAE:
    return load(tiny_vae, device="cpu")


@pytest.fixture(scope="module")
def paths(digit_folders) -> list:
    return sorted(digit_folders.rglob("*.png"))


@pytest.fixture(scope="module")
def view(model, paths) -> View:
    return look(model, paths, [path.parent.name for path in paths])


def untrained(**config) -> VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        settings = {"channels": 1, "size": 16, "widths": (4,), "blocks": (0,), "decoder_widths": (4,)}
        return VAE(VAEConfig(**{**settings, **config})).eval().requires_grad_(False)


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


# Views


def test_a_view_has_what_the_plots_show(view, paths):
    assert view.points.shape == (72, 2)
    assert view.kl.shape == (4,)
    assert view.manifold.shape == (GRID, GRID, 16, 16, 1)
    assert view.traversals.shape == (4, len(STEPS), 16, 16, 1)
    assert view.originals.shape == view.reconstructions.shape == (SHOWN, 16, 16, 1)
    assert view.samples.shape == (SAMPLES, 16, 16, 1)
    assert (view.originals[3, :, :, 0] == np.asarray(Image.open(paths[3]))).all()


def test_points_are_the_principal_components_of_codes(model, paths, view):
    codes = model.encode(paths)
    variances = np.linalg.eigvalsh(np.cov(codes.T, ddof=0))[::-1]
    np.testing.assert_allclose(view.points.var(axis=0), variances[:2], rtol=1e-4)
    assert view.axes[0] == f"principal component 1 ({variances[0] / variances.sum():.0%})"


def test_the_most_active_units_come_first(view):
    assert list(view.units) == np.argsort(-view.kl).tolist()


def test_a_traversal_has_the_mean_code_in_its_middle(view):
    middle = view.traversals[:, len(STEPS) // 2]
    assert (middle == middle[0]).all()
    assert np.abs(np.diff(view.traversals[0].astype(int), axis=0)).max() > 0


def test_codes_of_two_numbers_are_seen_as_they_are(paths):
    flat = untrained(latent=2)
    seen = look(flat, paths, [""] * len(paths))
    np.testing.assert_allclose(seen.points, flat.encode(paths), atol=1e-6)
    assert seen.axes == ("z0", "z1")
    # The corner at the bottom left is decoded from the lowest quantiles of both.
    lowest = np.quantile(flat.encode(paths), 0.03, axis=0)
    assert np.abs(seen.manifold[-1, 0].astype(int) - flat.decode(lowest[None])[0]).max() <= 1


@pytest.mark.parametrize("latent", [1, 2, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_few_pictures_and_any_code_can_be_looked_at(latent, channels, photos):
    model = untrained(latent=latent, channels=channels)
    for images in (photos[:1], photos):
        seen = look(model, images, [""] * len(images))
        assert seen.points.shape == (len(images), 2)
        assert plots.overview(seen).startswith(b"\x89PNG")


def test_tsne_needs_a_few_pictures_and_then_moves_the_points(model, paths, view):
    seen = look(model, paths, view.labels, tsne=True)
    assert seen.axes[0] == "t-SNE"
    assert seen.points.shape == (72, 2)
    assert (seen.manifold == view.manifold).all()
    with pytest.raises(UsageError, match=f"t-SNE needs {MIN_FOR_TSNE} pictures or more, not 3"):
        look(model, paths[:3], [""] * 3, tsne=True)


# Plots


@pytest.mark.parametrize("name", plots.PANELS)
def test_every_panel_is_a_picture(view, name):
    pixels = pixels_of(plots.draw(view, name))
    assert pixels.shape[1] == 840
    assert (pixels < 128).any()


def test_the_overview_has_all_panels(view):
    assert pixels_of(plots.overview(view)).shape == (1020, 1800, 3)


def test_codes_without_a_distribution_have_no_kl(view):
    point = replace(view, kl=None)
    assert "kl" not in plots.panels(point)
    assert plots.overview(point) != plots.overview(view)


def colours(data: bytes) -> int:
    """How many clearly different hues a plot has."""
    pixels = pixels_of(data).reshape(-1, 3)
    strong = pixels[np.ptp(pixels, axis=1) > 100]
    return len(np.unique(strong // 64, axis=0))


def test_labels_have_colours_and_none_has_one(view):
    unlabelled = replace(view, labels=("",) * len(view.labels))
    assert colours(plots.draw(view, "scatter")) > colours(plots.draw(unlabelled, "scatter")) >= 1


def test_more_labels_than_colours_are_drawn_all_the_same(view):
    many = replace(view, labels=tuple(f"label {number}" for number in range(len(view.labels))))
    assert plots.draw(many, "scatter").startswith(b"\x89PNG")
