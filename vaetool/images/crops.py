"""Square crops of a picture, upright or turned, and changes to them put back at the picture's own size."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from vaetool.errors import UsageError

FEATHER = 0.15
"""Share of a crop, along each edge, over which a change that is put back fades out."""


@dataclass(frozen=True)
class Crop:
    """A square: its centre and side in pixels of the picture, and the degrees by which it is turned clockwise."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    @classmethod
    def of_box(cls, box: tuple[int, int, int, int], pixels: np.ndarray) -> Crop:
        """Return the middle square of a box, (left, top, width, height), in pixels, (height, width, channels).

        Raises UsageError unless the box lies in the picture.
        """
        (left, top, across, down), (height, width) = box, pixels.shape[:2]
        if min(left, top) < 0 or min(across, down) < 1 or left + across > width or top + down > height:
            words = ",".join(map(str, box))
            raise UsageError(f"the crop {words} does not lie in the picture, which is {width} x {height} pixels")
        return cls(left + across / 2, top + down / 2, min(across, down))

    def __str__(self) -> str:
        """Return left, top, width and height, as X,Y,W,H."""
        left, top, side = (round(value) for value in (self.x - self.side / 2, self.y - self.side / 2, self.side))
        return f"{left},{top},{side},{side}"

    def moved(self, right: float, down: float, scale: float, degrees: float) -> Crop:
        """Return the crop shifted by shares of its side along rows and columns of the picture, scaled and turned."""
        return Crop(self.x + right * self.side, self.y + down * self.side, self.side * scale, self.angle + degrees)

    def scaled(self, scale: float) -> Crop:
        """Return the same crop for the picture at another size."""
        return Crop(self.x * scale, self.y * scale, self.side * scale, self.angle)

    def places(self, size: int) -> np.ndarray:
        """Return the positions in the picture of the crop's pixels at a size: rows and columns, (2, size, size)."""
        down, right = (np.mgrid[:size, :size] + 0.5) / size - 0.5
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        rows = self.y + self.side * (cosine * down + sine * right) - 0.5
        return np.stack([rows, self.x + self.side * (cosine * right - sine * down) - 0.5])

    def take(self, pixels: np.ndarray, size: int) -> np.ndarray:
        """Return the contents of the crop, upright: (size, size, channels), of pixels (height, width, channels), uint8.

        Outside the picture, its edge is repeated.
        """
        finer = max(1, math.ceil(self.side / size))
        places = self.places(size * finer)
        channels = [map_coordinates(plane, places, np.float32, 1, "nearest") for plane in np.moveaxis(pixels, 2, 0)]
        blocks = np.stack(channels, axis=2).reshape(size, finer, size, finer, -1)
        return np.rint(blocks.mean(axis=(1, 3))).clip(0, 255).astype(np.uint8)

    def put_back(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Return pixels, (height, width, channels) uint8, with a change of the crop, (size, size, channels), added.

        The change fades out towards the edges of the crop; pixels outside of it are unchanged.
        """
        size, reach = len(change), self.side * math.sqrt(0.5)
        rows, columns = (
            slice(max(0, math.floor(centre - reach)), min(end, math.ceil(centre + reach) + 1))
            for centre, end in ((self.y, pixels.shape[0]), (self.x, pixels.shape[1]))
        )
        down, right = np.mgrid[rows, columns] + 0.5 - np.array([self.y, self.x])[:, None, None]
        cosine, sine = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        places = size * (np.stack([cosine * down - sine * right, cosine * right + sine * down]) / self.side + 0.5) - 0.5
        faded = _window(size)[:, :, None] * change
        added = [map_coordinates(plane, places, np.float32, order=3) for plane in np.moveaxis(faded, 2, 0)]
        changed = pixels.copy()
        changed[rows, columns] = np.rint(pixels[rows, columns] + np.stack(added, axis=2)).clip(0, 255)
        return changed


def _window(size: int) -> np.ndarray:
    """Return weights, (size, size), that are 1 in the middle and fall to 0 at the outermost pixels."""
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]) / (FEATHER * size)
    ramp = np.sin(np.pi / 2 * edge.clip(0, 1)) ** 2
    return np.outer(ramp, ramp)
