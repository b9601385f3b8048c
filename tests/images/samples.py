"""Small pictures, and image files of them with whatever a camera or a program may put there."""

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image, ImageCms

CARRIERS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"]  # formats with a place for EXIF and ICC
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = ExifTags.Base.Orientation


def drawn(height=16, width=24, channels=3, dtype=np.uint8):
    """A ramp with a bright square in one corner: no two of its eight orientations look the same."""
    full = np.iinfo(dtype).max
    y, x = np.mgrid[0:height, 0:width]
    planes = [x / width, y / height, (x + y) / (width + height)][:channels]
    pixels = (np.stack(planes, axis=2) * full).astype(dtype)
    pixels[2:5, 3:8] = full
    return pixels


def saved(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, depth, colour_type, *chunks):
    """A PNG made by hand, for what Pillow does not write. samples: (height, width, channels)."""
    height, width = samples.shape[:2]
    if depth < 8:
        bits = (samples[..., 0, None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = samples.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"")


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ORIENTATION] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "Lens"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSDateStamp] = "1999:12:31"
    return exif


def grey_profile():
    """The smallest thing that says it is a grey profile."""
    return SRGB[:16] + b"GRAY" + SRGB[20:]


def tiff_by_hand(data, height, width, photometric, bits, channels=1, **more):
    """A TIFF of one strip, little-endian, for what Pillow does not write. more: t254=(type, values), and so on."""
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [bits] * channels), 259: (3, [1]), 262: (3, [photometric])}
    tags |= {273: (4, [8]), 277: (3, [channels]), 278: (4, [height]), 279: (4, [len(data)])}
    tags |= {int(name[1:]): tag for name, tag in more.items()}
    data += bytes(len(data) % 2)
    start, entries, values = 8 + len(data), b"", b""
    for number, (kind, content) in sorted(tags.items()):
        packed = struct.pack(f"<{len(content)}{'_BBHI'[kind]}", *content)
        if len(packed) > 4:
            place = start + 6 + 12 * len(tags) + len(values)
            values, packed = values + packed + bytes(len(packed) % 2), struct.pack("<I", place)
        entries += struct.pack("<HHI", number, kind, len(content)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + data + struct.pack("<H", len(tags)) + entries + bytes(4) + values
