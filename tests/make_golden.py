"""Makes the files of tests/golden that are missing, with the bundled codec: `python -m tests.make_golden`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import vaetool
from tests.photographs import small_photographs
from vaetool import images
from vaetool.compression.decode import find_codec
from vaetool.compression.encode import compress
from vaetool.compression.restoring import restore
from vaetool.compression.unpacking import unpack
from vaetool.images import MAX_PIXELS, Picture

GOLDEN = Path(__file__).parent / "golden"

Photographs = Mapping[str, Image.Image]


def colour(photographs: Photographs) -> Picture:
    return images.from_pil(photographs["china"])


def grey_with_everything(photographs: Photographs) -> Picture:
    """Grey with a soft alpha channel and EXIF."""
    grey = photographs["flower"].convert("L").resize((96, 61))
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (61, 1))
    exif = Image.Exif()
    exif[0x010E] = "a flower"
    return Picture(np.asarray(grey)[:, :, None].copy(), alpha, exif=exif.tobytes())


def colour_in_two_tiles(photographs: Photographs) -> Picture:
    return images.from_pil(photographs["china"].resize((1090, 60)))


def sixteen_bits(photographs: Photographs) -> Picture:
    pixels = np.asarray(photographs["flower"].convert("L"))[:50, :70]
    return Picture((pixels.astype(np.uint16) * 257)[:, :, None])


def drawing(photographs: Photographs) -> Picture:
    pixels = np.full((90, 120, 3), 255, np.uint8)
    pixels[20:60, 30:90] = (200, 30, 30)
    return Picture(pixels)


def drawing_with_everything(photographs: Photographs) -> Picture:
    """With a resolution, XMP and texts."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/>'
    texts = (("Title", "A red square"), ("Author", "Łódź"))
    return replace(drawing(photographs), dpi=(11811 * 0.0254, 5906 * 0.0254), xmp=xmp + b"</x:xmpmeta>", texts=texts)


def small_colour(photographs: Photographs) -> Picture:
    return Picture(np.array(photographs["flower"].resize((50, 33))))


def small_colour_with_alpha(photographs: Photographs) -> Picture:
    alpha = np.tile(np.linspace(0, 255, 37).astype(np.uint8), (18, 1))
    return Picture(np.array(photographs["china"].resize((37, 18))), alpha)


def grey_in_two_tiles(photographs: Photographs) -> Picture:
    return Picture(np.array(photographs["china"].convert("L").resize((1040, 9)))[:, :, None])


def small_sixteen_bits(photographs: Photographs) -> Picture:
    return Picture(sixteen_bits(photographs).pixels[:20, :30])


MADE: dict[str, tuple[Callable[[Photographs], Picture], int]] = {
    "colour-q20": (colour, 20),
    "colour-q80": (colour, 80),
    "grey-alpha-exif-q50": (grey_with_everything, 50),
    "grey-16-bit-q60": (sixteen_bits, 60),
    "colour-two-tiles-q10": (colour_in_two_tiles, 10),
    "stored": (drawing, 50),
    "stored-dpi-xmp-texts": (drawing_with_everything, 50),
    # Those above are of `photo-codec-0`, the ones below of `photo-codec`.
    "photo-codec-colour-q1": (small_colour, 1),
    "photo-codec-colour-q40": (small_colour, 40),
    "photo-codec-colour-q97": (small_colour, 97),
    "photo-codec-colour-alpha-q75": (small_colour_with_alpha, 75),
    "photo-codec-grey-16-bit-q60": (small_sixteen_bits, 60),
    "photo-codec-grey-two-tiles-q25": (grey_in_two_tiles, 25),
}
"""By the name of the file: how its picture is made, and the quality."""


def decoded(data: bytes) -> Picture:
    content = unpack(data, MAX_PIXELS)
    codec = find_codec(content.coded.model, device="cpu") if content.coded else None
    return restore(content, codec)


def make_what_is_missing(folder: Path = GOLDEN) -> list[str]:
    """Write each file of `MADE` that is not in the folder, and the picture that it decodes to; return their names.

    From the root of the repository: `python -m tests.make_golden`. A file that is there is never made anew.
    """
    missing = [name for name in MADE if not (folder / f"{name}.vae").exists()]
    if missing:
        photographs, codec = small_photographs(), vaetool.load("photo-codec", device="cpu")
    for name in missing:
        make, quality = MADE[name]
        data = compress(make(photographs), codec, quality=quality)
        (folder / f"{name}.vae").write_bytes(data)
        (folder / f"{name}.png").write_bytes(images.encode(decoded(data), "PNG"))
    return missing


if __name__ == "__main__":
    print(f"made: {', '.join(make_what_is_missing()) or 'nothing, all are there'}")
