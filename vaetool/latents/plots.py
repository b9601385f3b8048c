"""Plots of a latent space as computed by `vaetool.latents.views`, one panel each or all in one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vaetool.images.plotting import as_png, empty_figure
from vaetool.latents.views import STEPS, View

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELS = 20
"""Maximum number of labels with a colour of their own, since nobody can tell more apart; rarer ones share one."""

NAMED_UNITS = 32
"""Maximum number of bars with readable numbers."""

IN_A_ROW = 10
MARGIN = 2  # white pixels between pictures


def draw(view: View, name: str) -> bytes:
    """Draw one of `PANELS` as a PNG."""
    figure = empty_figure(7, 6 if name in SQUARE else 3.5)
    PANELS[name](figure.add_subplot(), view)
    return as_png(figure)


def overview(view: View) -> bytes:
    """Draw all panels in one PNG."""
    figure = empty_figure(15, 8.5)
    first = "reconstructions" if view.kl is None else "kl"
    axes = figure.subplot_mosaic([[*SQUARE], [first, "reconstructions", "samples"]], height_ratios=[5, 3])
    for name, panel in axes.items():
        PANELS[name](panel, view)
    return as_png(figure)


def panels(view: View) -> list[str]:
    """Return the names of the `PANELS` that have something to draw."""
    return [name for name in PANELS if name != "kl" or view.kl is not None]


def _scatter(axes: Axes, view: View) -> None:
    labels = np.array(view.labels)
    found, counts = np.unique(labels, return_counts=True)
    named = sorted(found[np.argsort(-counts, kind="stable")][:MAX_LABELS].tolist())
    size = 4 + 40 / np.sqrt(len(labels))
    if len(found) > len(named):
        _dots(axes, view.points[~np.isin(labels, named)], "lightgrey", "others", size)
    for number, label in enumerate(named):
        colour = f"C{number}" if len(named) <= 10 else _twenty()[number]
        _dots(axes, view.points[labels == label], colour, label, size)
    if len(found) > 1:
        axes.legend(fontsize=7, markerscale=2, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    axes.set_xlabel(view.axes[0], fontsize=8)
    axes.set_ylabel(view.axes[1], fontsize=8)
    axes.set_title("codes", fontsize=10)
    axes.tick_params(labelsize=7)


def _dots(axes: Axes, points: np.ndarray, colour: object, label: str, size: float) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=size, color=colour, label=label or "no label", linewidths=0, alpha=0.8)


def _twenty() -> list[object]:
    from matplotlib import colormaps

    return [colormaps["tab20"](number) for number in range(MAX_LABELS)]


def _manifold(axes: Axes, view: View) -> None:
    _pictures(axes, view.manifold)
    axes.set_title("decoded from the plane of the codes", fontsize=10)


def _traversals(axes: Axes, view: View) -> None:
    _pictures(axes, view.traversals)
    height, width = _cell(view.traversals)
    axes.set_title("the most active units, changed one at a time", fontsize=10)
    axes.set_yticks(height * np.arange(len(view.units)) + height / 2, [f"z{unit}" for unit in view.units], fontsize=8)
    shown = range(0, len(STEPS), 2)
    axes.set_xticks([width * k + width / 2 for k in shown], [f"{STEPS[k]:g} σ" for k in shown], fontsize=8)


def _reconstructions(axes: Axes, view: View) -> None:
    pairs = [_rows(view.originals), _rows(view.reconstructions)]
    _pictures(axes, np.stack(pairs, axis=1).reshape(-1, *pairs[0].shape[1:]))
    axes.set_title("pictures, and their reconstructions below", fontsize=10)


def _samples(axes: Axes, view: View) -> None:
    _pictures(axes, _rows(view.samples))
    axes.set_title("samples", fontsize=10)


def _kl(axes: Axes, view: View) -> None:
    assert view.kl is not None
    order = np.argsort(-view.kl, kind="stable")
    axes.bar(np.arange(len(order)), view.kl[order])
    if len(order) <= NAMED_UNITS:
        axes.set_xticks(np.arange(len(order)), [f"z{unit}" for unit in order], fontsize=7, rotation=90)
    axes.set_xlabel("units, by their KL", fontsize=8)
    axes.set_ylabel("nats", fontsize=8)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_title(f"KL of each unit to the prior, {view.kl.sum():.1f} nats in all", fontsize=10)


PANELS = {
    "scatter": _scatter,
    "manifold": _manifold,
    "traversals": _traversals,
    "kl": _kl,
    "reconstructions": _reconstructions,
    "samples": _samples,
}
SQUARE = ("scatter", "manifold", "traversals")


def _pictures(axes: Axes, pictures: np.ndarray) -> None:
    """Draw rows of pictures, (rows, columns, height, width, channels) uint8, separated by white."""
    spaced = np.pad(pictures, ((0, 0), (0, 0), (0, MARGIN), (0, MARGIN), (0, 0)), constant_values=255)
    rows, columns, height, width, channels = spaced.shape
    sheet = spaced.swapaxes(1, 2).reshape(rows * height, columns * width, channels)[:-MARGIN, :-MARGIN]
    axes.imshow(sheet.repeat(3 // channels, axis=2), interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_frame_on(False)
    axes.set_anchor("N")


def _cell(pictures: np.ndarray) -> tuple[int, int]:
    """Return the height and width of a picture in rows of pictures, including its margin."""
    return pictures.shape[2] + MARGIN, pictures.shape[3] + MARGIN


def _rows(pictures: np.ndarray) -> np.ndarray:
    """Arrange pictures, (pictures, ...), in rows, the last one filled up with white."""
    columns = min(IN_A_ROW, len(pictures))
    missing = -len(pictures) % columns
    full = np.concatenate([pictures, np.full((missing, *pictures.shape[1:]), 255, np.uint8)])
    return full.reshape(-1, columns, *pictures.shape[1:])
