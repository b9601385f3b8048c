"""Settings for cleaning a picture, and their application."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaetool.errors import UsageError


@dataclass(frozen=True)
class Cleaning:
    """Settings for cleaning a picture.

    sigma: root mean square of the noise in 8-bit units, 0..255, of the range that the picture uses (see
    `vaetool.images.ranges.used_range`); None estimates it. strength: 0..1 is the share of the noise to remove; above 1,
    up to 2, noise is assumed to be that much stronger. grain, colour_noise: shares, 0..1, of the removed noise to keep,
    of the part common to all colours and of the rest; none is kept of salt and pepper. tile: side, in pixels, of the
    squares that are computed at once; None uses the default.
    Raises UsageError for values out of range.
    """

    sigma: float | None = None
    strength: float = 1.0
    grain: float = 0.0
    colour_noise: float = 0.0
    tile: int | None = None

    def __post_init__(self) -> None:
        limits = {"sigma": 255, "strength": 2, "grain": 1, "colour_noise": 1}
        for name, most in limits.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise UsageError(f"{name} must be from 0 to {most}, not {value:g}")
        if self.tile is not None and self.tile < 1:
            raise UsageError(f"tile must be 1 pixel or more, not {self.tile}")

    def applied(self, change: Tensor) -> Tensor:
        """Return the part of a change, (batch, 1 or 3, height, width), to apply to a picture."""
        change = change * min(self.strength, 1.0)
        if not (self.grain or self.colour_noise):
            return change
        common = change.mean(dim=1, keepdim=True)
        return (1 - self.grain) * common + (1 - self.colour_noise) * (change - common)


DEFAULT = Cleaning()
"""Default settings: all noise found is removed."""
