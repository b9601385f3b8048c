"""Conversion of Pillow's modes to pixels and alpha."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageCms, TiffImagePlugin

from vaetool.errors import ImageError

_CODESTREAM = b"\xff\x4f\xff\x51"  # of JPEG 2000 without a container: the markers SOC and SIZ
_DEPTH_IN_CODESTREAM = 42  # place of Ssiz of the first component, the depth less one
_AVIF_CHANNELS = re.compile(rb"pixi.{4}(.)", re.DOTALL)  # of what a file consists of: colours, alpha


def storage_of(image: Image.Image, head: bytes) -> tuple[str, int]:
    """Return Pillow's raw mode of the stored pixels ('' if unknown), and their bits per channel (8 if unknown)."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else None
    rawmode = str(args[0] if isinstance(args, tuple) and args else args or "")
    if image.format == "PPM" and isinstance(args, tuple) and args[-1] > 255:
        return rawmode, 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return rawmode, max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,)))
    if image.format == "AVIF" and image.mode == "RGBA" and set(_AVIF_CHANNELS.findall(head)) == {b"\1"}:
        rawmode = "LA"  # as Pillow has no such mode for it
    if image.format == "HEIF":
        return rawmode, image.info["bit_depth"]
    # The box of the header that holds the depth, and where in it: AVIF pixi, after version and number of channels;
    # JPEG 2000 ihdr, after height, width and number of channels, one less than the depth.
    for tag, offset, add in ((b"pixi", 9, 0), (b"ihdr", 14, 1)):
        if image.format in {"AVIF", "JPEG2000"} and 0 <= head.find(tag) < len(head) - offset:
            return rawmode, (head[head.find(tag) + offset] & 127) + add
    if head.startswith(_CODESTREAM) and len(head) > _DEPTH_IN_CODESTREAM:
        return rawmode, (head[_DEPTH_IN_CODESTREAM] & 127) + 1
    return rawmode, 16 if ";16" in rawmode else 8


def arrays(image: Image.Image, rawmode: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels (height, width, 1 or 3) and alpha (height, width) of an upright image, contiguous and writable."""
    if image.mode == "F":
        raise ImageError(
            "holds floating-point values, which only denoise and compare take; convert it to 8 or 16 bits first"
        )
    key = image.info.get("transparency")
    if image.mode == "I" or image.mode.startswith("I;"):
        pixels = _grey16(image)
        return pixels, None if key is None else keyed_alpha(pixels, key)
    if image.mode in {"1", "L", "RGB"}:
        pixels = np.atleast_3d(np.array(image.convert("L") if image.mode == "1" else image))
        return pixels, None if key is None else keyed_alpha(pixels, _scaled_key(key, rawmode))
    straight = _straight(image, notes)
    samples = np.array(straight)
    pixels, alpha = (samples[..., :-1], samples[..., -1].copy()) if straight.mode.endswith("A") else (samples, None)
    palette_is_grey = image.mode in {"P", "PA"} and "icc_profile" not in image.info
    if (rawmode.startswith("LA") and image.mode != "LAB") or (palette_is_grey and (pixels == pixels[..., :1]).all()):
        pixels = pixels[..., :1]
    return np.ascontiguousarray(pixels), alpha


def _straight(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert the modes that are neither plain nor 16-bit to LA, RGB or RGBA."""
    if image.mode in {"LA", "RGBA"}:
        return image
    if image.mode == "La":
        return image.convert("LA")
    if image.mode in {"PA", "RGBa"} or (image.mode == "P" and image.has_transparency_data):
        return image.convert("RGBA")
    if image.mode not in {"P", "RGBX"}:
        notes.append(f"{image.mode} is converted to RGB")
    profile = image.info.get("icc_profile") or b""
    if image.mode == "LAB" or (image.mode == "CMYK" and profile):
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else io.BytesIO(profile)
        try:
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: Pillow's plain formula is the next best
        if converted is not None:
            return converted
    return image.convert("RGB")


def _grey16(image: Image.Image) -> np.ndarray:
    values = np.array(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ImageError(f"grey values from {values.min()} to {values.max()} do not fit 16 bits; rescale them first")
    return values.astype(np.uint16)[..., None]


def _scaled_key(key: Any, rawmode: str) -> np.ndarray:
    """Return the transparent colour of a PNG in 8 bits; Pillow scales the pixels of other depths but not the key."""
    values = np.array(key)
    if rawmode in {"L;2", "L;4"} and values.max() < 16:
        return values * {"L;2": 85, "L;4": 17}[rawmode]
    return values >> 8 if ";16" in rawmode else values


def keyed_alpha(pixels: np.ndarray, key: Any) -> np.ndarray:
    """Return alpha, (height, width) of the type of pixels, which hides the pixels of one colour."""
    opaque = (pixels != np.asarray(key)).any(axis=2)
    return np.where(opaque, np.iinfo(pixels.dtype).max, 0).astype(pixels.dtype)
