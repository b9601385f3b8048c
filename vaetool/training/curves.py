"""The picture of a training run: the curves of its log, and held-out images before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vaetool.images.plotting import as_png, empty_figure
from vaetool.training.words import UNITS

NOT_DRAWN = {"step", "seconds", "crop", "minutes_left"}
MARGIN = 2  # white pixels between two examples


def draw(rows: list[dict[str, Any]], examples: list[Tensor], names: Sequence[str] = ()) -> bytes:
    """Draw a PNG with the curves of the log over minutes and, below them, rows of pictures.

    rows: as in the log, each with `seconds`. examples: each (pictures, channels, height, width) in 0..1, one row each.
    names: of the first rows of pictures.
    """
    strips = [_strip(pictures) for pictures in examples]
    curves = [name for name in dict.fromkeys(n for row in rows for n in row) if name not in NOT_DRAWN]
    columns = max(len(curves), 1)
    width = 2.8 * columns
    heights = [2.4] + [(width - 0.5) * strip.shape[0] / strip.shape[1] for strip in strips]
    figure = empty_figure(width, sum(heights) + 0.2)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    for column, name in enumerate(curves):
        points = [(row["seconds"] / 60, row[name]) for row in rows if name in row]
        axes = figure.add_subplot(grid[0, column])
        axes.plot(*zip(*points, strict=True), linewidth=1.2, marker="." if len(points) < 60 else None)
        axes.set_title(name.replace("_", " ") + (f" ({UNITS[name]})" if name in UNITS else ""), fontsize=9)
        axes.set_xlabel("minutes", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
        axes.locator_params(nbins=5)
        axes.ticklabel_format(axis="y", scilimits=(-2, 5))
        axes.yaxis.get_offset_text().set_fontsize(7)
    for number, strip in enumerate(strips):
        axes = figure.add_subplot(grid[1 + number, :])
        axes.imshow(strip.numpy(), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_frame_on(False)
        axes.set_ylabel(names[number] if number < len(names) else "", fontsize=8)
    return as_png(figure)


def _strip(pictures: Tensor) -> Tensor:
    """Put pictures side by side: (height, width, 3), or (height, width) for grey ones."""
    spaced = torch.nn.functional.pad(pictures.clamp(0, 1).float().cpu(), (0, MARGIN), value=1.0)
    strip = torch.cat(list(spaced), dim=2)[:, :, :-MARGIN].permute(1, 2, 0)
    return strip if strip.shape[2] == 3 else strip[:, :, 0]
