"""Any kind of image in, the same kind out: pictures, paths, Pillow images, arrays, tensors.

Models work on pixels, (height, width, channels) in numpy: uint8, uint16, or float in 0..1 (and beyond, for noise that
was not clipped), one channel or three.
"""

from __future__ import annotations

import warnings
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
from vaetool.images.picture import as_pillow, full_scale, rescale
from vaetool.images.tiling import pad_to_multiple

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow

Repack = Callable[[np.ndarray], Any]


def unpack(image: Any, hole: np.ndarray | None = None) -> tuple[np.ndarray, Repack]:
    """Return the pixels of an image, and the function that makes an image of the same kind from other pixels.

    image: a `Picture`; a Pillow image; a path (a Pillow image comes back); an array, (height, width) or (height,
    width, 1 or 3); a tensor, (height, width) or (1 or 3, height, width). Arrays and tensors are uint8, uint16 or
    floating point. Colours hidden by an alpha channel are filled from the visible ones, and come back as they were.
    hole: bool, (height, width), where colours are not used for that either.
    Raises ImageError for files and for a hole of another size, UsageError for other types and shapes.
    """
    if isinstance(image, np.ndarray | Tensor):
        pixels, repack = _unpack_array(image) if isinstance(image, np.ndarray) else _unpack_tensor(image)
        check_hole(hole, pixels)
        return pixels, repack
    picture, from_picture = _open(image)
    if picture.pixels.dtype == np.float32:
        raise ImageError("holds floating-point values of any range: pass them as an array, scaled to 0..1")
    check_hole(hole, picture.pixels)
    if hole is not None and picture.alpha is not None and hole.any() and hole[picture.alpha > 0].all():
        raise ImageError("is covered by the hole entirely: nothing is left to fill it from")
    return picture.visible_pixels(hole), lambda changed: from_picture(picture.replace_pixels(changed))


def as_picture(image: Any, *, exact: bool = False) -> Picture:
    """Return an image of any kind as a picture. Raises as `unpack`.

    exact: arrays and tensors of floating point become float32; otherwise they are rounded to 8 bits.
    """
    if not isinstance(image, np.ndarray | Tensor):
        return _open(image)[0]
    pixels, _ = unpack(image)
    if np.issubdtype(pixels.dtype, np.floating):
        pixels = from_unit(pixels, np.dtype(np.float32 if exact else np.uint8))
    return Picture(np.ascontiguousarray(pixels))


def unpack_mask(mask: Any) -> np.ndarray:
    """Return the hole that a mask shows: bool, (height, width).

    mask: an array or tensor, (height, width), also (height, width, 1) or (1, height, width), of any type, that is not 0
    in the hole; or an image, see `unpack`, that is white there: see `white_part`.
    Raises ImageError and UsageError as `unpack` does.
    """
    if isinstance(mask, Tensor):
        mask = mask.detach().cpu().numpy()
        mask = mask[0] if mask.ndim == 3 and len(mask) == 1 else mask
    if not isinstance(mask, np.ndarray):
        return white_part(_open(mask)[0])
    values = mask[:, :, 0] if mask.ndim == 3 and mask.shape[2] == 1 else mask
    if values.ndim != 2 or 0 in values.shape:
        raise UsageError(f"a mask must be (height, width), not {mask.shape}")
    return values != 0


def check_hole(hole: np.ndarray | None, pixels: np.ndarray) -> None:
    """Raise ImageError if a hole has another height or width than pixels, or than another hole."""
    if hole is not None and hole.shape != pixels.shape[:2]:
        (mask_height, mask_width), (height, width) = hole.shape, pixels.shape[:2]
        raise ImageError(f"is {width} x {height} pixels, but its mask is {mask_width} x {mask_height}: they must match")


def white_part(mask: Picture) -> np.ndarray:
    """Return the hole that a mask shows: where it is nearer to white than to black; transparent counts as black.

    Where nothing is white, it is what is opaque, if that is less than half, as in a layer of strokes of any colour; or
    if all is opaque and there are just two values, the brighter one, as in a map of labels. A JPEG is no such map.
    """
    top = full_scale(mask.pixels.dtype)
    grey = mask.pixels[:, :, 0] if mask.pixels.shape[2] == 1 else mask.pixels @ np.array(LUMA, np.float32)
    opaque = np.ones(grey.shape, bool) if mask.alpha is None else mask.alpha > full_scale(mask.alpha.dtype) / 2
    hole = (grey > top / 2) & opaque
    if hole.any() or mask.format == "JPEG":
        return hole
    if not opaque.all():
        return opaque if opaque.mean() < 0.5 else hole
    dark, bright = grey.min(), grey.max()
    return (grey == bright) & (bright > dark) & ((grey == dark) | (grey == bright)).all()


def _open(image: Any) -> tuple[Picture, Callable[[Picture], Any]]:
    """Return an image as a picture, and the function that makes an image of the same kind from another picture."""
    if isinstance(image, Picture):
        return image, lambda picture: picture
    if isinstance(image, Image.Image):
        return images.from_pil(image), images.to_pil
    if isinstance(image, str | Path):
        return _read(image), images.to_pil
    raise UsageError(f"an image is a path, a Pillow image, an array or a tensor, not {type(image).__name__}")


def _read(path: str | Path) -> Picture:
    """Read an image file; a UserWarning tells what of it is left out, such as further pages. Raises ImageError."""
    try:
        picture = images.read(path)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
    for note in picture.warnings:
        warnings.warn(f"{path}: {note}", stacklevel=3)
    return picture


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

    def repack_tensor(changed: np.ndarray) -> Tensor:
        back = torch.from_numpy(repack(changed))
        back = back.permute(2, 0, 1) if tensor.ndim == 3 else back
        return back.to(tensor.device, tensor.dtype)

    return pixels, repack_tensor


def to_unit(pixels: np.ndarray) -> np.ndarray:
    """Return a copy of pixels as floats, at least float32, with the range of an integer type as 0..1.

    It is in C order (rows, columns, channels), whatever the order of the pixels: results do not depend on that.
    """
    if np.issubdtype(pixels.dtype, np.integer):
        return np.divide(pixels, np.iinfo(pixels.dtype).max, dtype=np.float32, order="C")
    return pixels.astype(np.result_type(pixels.dtype, np.float32), order="C")


def from_unit(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return floats as pixels of a type: scaled, rounded and clipped for an integer type, as they are for a float.

    Raises ImageError as `require_numbers`.
    """
    require_numbers(values)
    if np.issubdtype(dtype, np.integer):
        top = np.iinfo(dtype).max
        return np.rint(values * top).clip(0, top).astype(dtype)
    return values.astype(dtype, copy=False)


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Return pixels, (height, width, channels) uint8, as a tensor in 0..1: (channels, height, width) float32."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def require_numbers(values: np.ndarray | Tensor) -> None:
    """Raise ImageError if there are NaN or infinity among what a network has computed: a picture of them is black."""
    if not (values if isinstance(values, Tensor) else torch.from_numpy(values)).isfinite().all():
        raise ImageError("cannot be computed: the model's weights are so large that they give no numbers")


def network_input(pixels: np.ndarray, channels: int, stride: int, device: torch.device) -> Tensor:
    """Return pixels (height, width, 1 or 3) of any type as a network takes them, in 0..1: (1, channels, height, width).

    Padded to multiples of `stride`; grey is repeated in all channels. Raises ImageError for colour if `channels` is 1.
    """
    if pixels.shape[2] > channels:
        raise ImageError("is in colour, and this model is for grey pictures")
    values = pad_to_multiple(to_unit(pixels).astype(np.float32, copy=False), stride)
    x = torch.from_numpy(values).to(device).permute(2, 0, 1)[None]  # memory stays channels last
    return x.expand(-1, channels, -1, -1) if x.shape[1] == 1 else x


def whole_picture(pixels: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Return the middle square of pixels, (height, width, 1 or 3) of any type, at a size: (size, size, channels) uint8.

    For models of whole pictures; training and use both go through here.
    """
    image = _in_eight_bits(pixels, channels)
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.array(image).reshape(size, size, channels)


def squeezed(pixels: np.ndarray, size: int, channels: int) -> np.ndarray:
    """Return pixels, (height, width, 1 or 3) of any type, squeezed into a square: (size, size, channels) uint8.

    For models to which it matters where something is, up to the edges; training and use both go through here.
    """
    image = _in_eight_bits(pixels, channels)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.LANCZOS)
    return np.array(image).reshape(size, size, channels)


def shrunk(pixels: np.ndarray, longest: int, channels: int) -> np.ndarray:
    """Shrink pixels, (height, width, 1 or 3) of any type, to at most `longest` a side: (..., ..., channels) uint8.

    For models of pictures of any shape; training and use both go through here.
    """
    image = _in_eight_bits(pixels, channels)
    if max(image.size) > longest:
        image = ImageOps.contain(image, (longest, longest), Image.Resampling.LANCZOS)
    return np.array(image).reshape(image.height, image.width, channels)


def _in_eight_bits(pixels: np.ndarray, channels: int) -> Image.Image:
    return as_pillow(rescale(pixels, np.uint8)).convert("RGB" if channels == 3 else "L")
