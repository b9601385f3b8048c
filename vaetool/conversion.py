"""Any kind of image in, the same kind out: pictures, paths, Pillow images, arrays, tensors.

Models work on pixels, (height, width, channels) in numpy: uint8, uint16, or float in 0..1 (and beyond, for noise that
was not clipped), one channel or three.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from vaetool import images
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture

Repack = Callable[[np.ndarray], Any]


def unpack(image: Any) -> tuple[np.ndarray, Repack]:
    """The pixels of an image, and the function that makes an image of the same kind of other pixels.

    image: a `Picture`; a Pillow image; a path (a Pillow image comes back); an array, (height, width) or (height,
    width, 1 or 3); a tensor, (height, width) or (1 or 3, height, width). Arrays and tensors are uint8, uint16 or
    floating point. Colours hidden by an alpha channel are filled from the visible ones, and come back as they were.
    Raises ImageError for files, UsageError for other types and shapes.
    """
    if isinstance(image, Picture):
        return image.visible_pixels(), image.replace_pixels
    if isinstance(image, Image.Image):
        picture = images.from_pil(image)
        return picture.visible_pixels(), lambda pixels: images.to_pil(picture.replace_pixels(pixels))
    if isinstance(image, (str, Path)):
        try:
            picture = images.read(image)
        except ImageError as error:
            raise ImageError(f"{image}: {error}") from error
        return picture.visible_pixels(), lambda pixels: images.to_pil(picture.replace_pixels(pixels))
    if isinstance(image, Tensor):
        return _unpack_tensor(image)
    if isinstance(image, np.ndarray):
        return _unpack_array(image)
    raise UsageError(f"an image is a path, a Pillow image, an array or a tensor, not {type(image).__name__}")


def _unpack_array(array: np.ndarray) -> tuple[np.ndarray, Repack]:
    pixels = array[:, :, None] if array.ndim == 2 else array
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3) or 0 in pixels.shape:
        raise UsageError(f"an array must be (height, width) or (height, width, 1 or 3), not {array.shape}")
    if pixels.dtype not in (np.uint8, np.uint16) and not np.issubdtype(pixels.dtype, np.floating):
        raise UsageError(f"an array must be uint8, uint16 or floating point, not {array.dtype}")
    if np.issubdtype(pixels.dtype, np.floating) and not np.isfinite(pixels).all():
        raise UsageError("an array must hold numbers only, no NaN or infinity")
    return pixels, lambda changed: changed.reshape(array.shape)


def _unpack_tensor(tensor: Tensor) -> tuple[np.ndarray, Repack]:
    if tensor.ndim not in (2, 3) or 0 in tensor.shape or (tensor.ndim == 3 and tensor.shape[0] not in (1, 3)):
        raise UsageError(f"a tensor must be (height, width) or (1 or 3, height, width), not {tuple(tensor.shape)}")
    detached = tensor.detach().cpu()
    if detached.is_floating_point() and detached.dtype not in (torch.float16, torch.float32, torch.float64):
        detached = detached.float()  # numpy has no such type
    upright = detached.permute(1, 2, 0) if tensor.ndim == 3 else detached
    pixels, repack = _unpack_array(upright.numpy())

    def to_tensor(changed: np.ndarray) -> Tensor:
        back = torch.from_numpy(repack(changed))
        back = back.permute(2, 0, 1) if tensor.ndim == 3 else back
        return back.to(tensor.device, tensor.dtype)

    return pixels, to_tensor


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """A copy of pixels as floats, at least float32, the range of a whole-number type as 0..1.

    Rows, columns, channels follow each other in memory, however the pixels lie there: results do not depend on that.
    """
    if np.issubdtype(pixels.dtype, np.integer):
        return np.divide(pixels, np.iinfo(pixels.dtype).max, dtype=np.float32, order="C")
    return pixels.astype(np.result_type(pixels.dtype, np.float32), order="C")


def from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats as pixels of a type: scaled, rounded and clipped for a whole-number type, as they are for a float."""
    if np.issubdtype(dtype, np.integer):
        top = np.iinfo(dtype).max
        return np.rint(values * top).clip(0, top).astype(dtype)
    return values.astype(dtype, copy=False)


def whole_picture(pixels: np.ndarray, size: int, channels: int) -> np.ndarray:
    """The middle square of pixels, (height, width, 1 or 3) of any type, at a size: (size, size, channels) uint8.

    For models of whole pictures; training and use both go through here.
    """
    image = _in_eight_bits(pixels, channels)
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.array(image).reshape(size, size, channels)


def shrunk(pixels: np.ndarray, longest: int, channels: int) -> np.ndarray:
    """Pixels, (height, width, 1 or 3) of any type, at most `longest` on either side: (..., ..., channels) uint8.

    For models of pictures of any shape; training and use both go through here.
    """
    image = _in_eight_bits(pixels, channels)
    if max(image.size) > longest:
        image = ImageOps.contain(image, (longest, longest), Image.Resampling.LANCZOS)
    return np.array(image).reshape(image.height, image.width, channels)


def _in_eight_bits(pixels: np.ndarray, channels: int) -> Image.Image:
    if pixels.dtype != np.uint8:
        pixels = from_unit(to_unit(pixels), np.dtype(np.uint8))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    return image.convert("RGB" if channels == 3 else "L")
