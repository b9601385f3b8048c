"""The task behind `vaetool compress`: encode a picture as a .vae file, at a quality or within a size.

Any codec that turns pixels into streams and back will do; `vaetool.compression.decode` finds the one that a file
needs.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from vaetool.compression import container
from vaetool.compression.candidates import Candidates
from vaetool.compression.container import Container
from vaetool.compression.targets import Target, error_bound
from vaetool.images import Picture
from vaetool.store.weights import as_model

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec


def compress(
    image: Any,
    model: str | os.PathLike[str] | Codec = "photo-codec",
    *,
    quality: int | None = None,
    bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    lossless: bool = False,
    max_error: int | None = None,
    strip: bool = False,
    device: str = "auto",
) -> bytes:
    """Encode an image as the bytes of a .vae file, which `vaetool.decompress` reads.

    image: a `Picture`, a Pillow image, a path, or an array or tensor as in `vaetool.images.conversion.unpack`; floating
    point is rounded to 8 bits.
    quality: 1..100, by default 70; or one of bpp, target_size (bytes), target_psnr (dB) and max_error (levels): see
    `Target`; lossless is a max_error of 0.
    model: a codec, or the name or path of one to load on `device`. strip: leave out ICC profile, EXIF, XMP and
    texts.
    Raises ImageError for files that cannot be read and targets out of reach, and UsageError.
    """
    from vaetool.images.conversion import as_picture  # imports torch, which describing a file does not need

    target = Target(quality, bpp, target_size, target_psnr, error_bound(lossless, max_error))
    codec = as_model(model, device=device, kind=("codec",))
    return compress_picture(codec, as_picture(image), target, strip=strip)[0]


def compress_picture(
    codec: Codec, picture: Picture, target: Target | None = None, *, strip: bool = False, measure: bool = False
) -> tuple[bytes, dict[str, Any]]:
    """Encode a picture as the bytes of a .vae file; also return facts for a report.

    A picture is stored in its lossless form if that is not larger than what the target asks for, or if no quality
    reaches the PSNR. A photograph's lossless form is many times larger than the learned one, so it is not even tried
    where deflating a few rows of the picture shows as much; for small pictures it always is.
    Samples of 16 bits are coded relative to the range that they use. measure: decode the result for its PSNR.
    Facts: `form`, `quality` unless lossless, `psnr` if it is finite and was a target or is to be measured,
    `max_error` if that was the target, and those of `sizes_of`.
    Raises ImageError, naming the smallest size possible, when the target is too small.
    """
    candidates = Candidates(codec, picture, strip)
    target = target or Target()
    chosen = candidates.choose(target)
    facts: dict[str, Any] = {"form": chosen.form}
    if chosen.quality is not None:
        facts["quality"] = chosen.quality
    if target.max_error is not None:
        facts["max_error"] = target.max_error
    if (measure or target.psnr is not None) and math.isfinite(psnr := candidates.psnr_of(chosen)):
        facts["psnr"] = round(psnr, 2)
    return chosen.data, facts | sizes_of(chosen.container, len(chosen.data))


def sizes_of(content: Container, size: int) -> dict[str, Any]:
    """Return facts about the size of a file, `size` bytes: `bytes`, `bpp`, `ratio`, `bits` by part.

    ratio: bytes of the raw pixels over bytes of the file.
    """
    pixels = content.height * content.width
    bits = {part: 8 * count for part, count in container.sizes(content, size).items()}
    streams, stored = bits.pop("streams"), bits.pop("stored")
    if content.coded is None:
        bits["lossless"] = stored
    else:
        z = min(content.coded.hyper_bits, streams)  # the file's number is not verified
        bits |= {"z": z, "y": streams - z}
    return {
        "bytes": size,
        "bpp": round(8 * size / pixels, 4),
        "ratio": round(pixels * content.channels * content.depth / (8 * size), 2),
        "bits": bits,
    }
