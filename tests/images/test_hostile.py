"""Pictures from strangers: whatever is in them, a picture or one clear line, at once, in little memory."""

from __future__ import annotations

import io
import os
import random
import resource
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.images.samples import camera_exif, drawn, png, saved
from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import tiff
from vaetool.images.description import describe_picture

COUNT = int(os.environ.get("VAETOOL_HOSTILE_PICTURES", "20000"))
"""Mutated pictures that the slow test reads."""

SECONDS = 2.0
GIB = 2**30
MAX_PIXELS = 2**22


def seeds() -> list[bytes]:
    """Small files of every format that is read, with what may go with the pixels."""
    colour, deep = Image.fromarray(drawn()), drawn(dtype=np.uint16)
    grey, alpha = colour.convert("L"), colour.convert("RGBA")
    exif = camera_exif(6)
    plain = [
        saved(picture, form)
        for form in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")
        for picture in (colour, grey)
    ]
    carrying = [saved(colour, form, exif=exif, icc_profile=bytes(128)) for form in ("PNG", "JPEG", "WEBP", "TIFF")]
    see_through = [saved(alpha, form) for form in ("PNG", "WEBP", "TIFF")]
    packed = [
        saved(colour, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    ]
    fax = saved(grey.convert("1"), "TIFF", compression="group4")
    pages = [tiff.TiffPage(deep, has_alpha=False), tiff.TiffPage(drawn(channels=1), has_alpha=False)]
    frames = saved(colour, "GIF", save_all=True, append_images=[colour.rotate(90)])
    return [*plain, *carrying, *see_through, *packed, fax, frames, tiff.encode(pages), png(deep, 16, 2)]


def mutated(data: bytes, others: list[bytes], source: random.Random) -> bytes:
    """Changed in a few places, most of them near the start, where headers are; PNG chunks get their checksums back."""
    body = bytearray(data)
    for _ in range(source.choice((1, 1, 2, 4, 16))):
        place = source.randrange(min(len(body), source.choice((64, 400, 10**9))))
        length = source.choice((1, 1, 2, 4, 30))
        match source.randrange(6):
            case 0:
                body[place] = source.randrange(256)
            case 1:
                body[place : place + length] = source.choice((b"\0", b"\x7f", b"\xff", b"\x80")) * length
            case 2:
                del body[place : place + length]
            case 3:
                body[place:place] = body[place : place + length]
            case 4:
                body = body[:place] + source.choice(others)[source.randrange(40) :]
            case 5:
                del body[max(8, place) :]
        if not body:
            return b""
    return resealed(bytes(body)) if body.startswith(b"\x89PNG") else bytes(body)


def resealed(data: bytes) -> bytes:
    """A PNG with checksums that are right, as far as it has chunks."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        parts += [data[place:end], zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")]
        place = end + 4
    return b"".join([*parts, data[place:]])


def is_refused_in_one_line(error: ImageError) -> bool:
    """False, as there is no picture. Fails for a message of more than a line."""
    assert "\n" not in str(error)
    return False


def read(data: bytes, *, whole: bool) -> bool:
    """Whether there is a picture in it. Raises nothing but what is no ImageError."""
    try:
        describe_picture(images.read(io.BytesIO(data), max_pixels=MAX_PIXELS, whole=whole))
    except ImageError as error:
        return is_refused_in_one_line(error)
    return True


def fuzz(seed: int, runs: int) -> tuple[int, float]:
    """Read mutated files; how many of them were pictures, and the longest time that one took."""
    source, files = random.Random(seed), seeds()
    sound, longest = 0, 0.0
    for run in range(runs):
        data = mutated(source.choice(files), files, source)
        start = time.process_time()
        try:
            sound += read(data, whole=run % 4 == 0)
        except BaseException as error:
            raise AssertionError(f"seed {seed}, run {run}: {data.hex()[:4000]}") from error
        longest = max(longest, time.process_time() - start)
    return sound, longest


def test_the_seeds_are_pictures():
    assert all(read(data, whole=whole) for data in seeds() for whole in (False, True))


def test_mutated_pictures_are_pictures_or_refused():
    sound, longest = fuzz(seed=1, runs=500)
    assert 50 < sound < 450  # or nothing deep has been reached
    assert longest <= SECONDS


@pytest.mark.slow
def test_many_mutated_pictures_are_pictures_or_refused():
    fuzz(seed=2, runs=200)
    before, seed = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.time_ns()
    sound, longest = fuzz(seed, COUNT)
    more = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(f"seed {seed}: {COUNT} files, {sound} of them pictures, {longest:.2f} s at most, {more} more bytes")
    assert COUNT // 20 < sound < COUNT
    assert longest <= SECONDS
    assert more <= GIB
