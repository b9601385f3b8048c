"""What vaetool's files look like beside AVIF's of equal size: a sheet to look at, at 100 %.

    python benchmarks/compress_sheet.py FOLDER --sheet FILE [--model NAME|PATH] [--bpp 0.15 0.3] [--whole]

Of ten pictures, spread over the folder, the sheet shows the original, and for each rate both codecs: AVIF (Pillow's,
4:2:0, speed 4) at the highest quality that takes no more bits per pixel, headers included, and vaetool at the highest
quality that takes no more bytes than AVIF did. What is shown of a picture is the square of 256 pixels in which both
codecs together do worst at the first rate (lowest mean SSIM), so that neither shows its best side; `--whole` shows all
of each picture instead. Captions give PSNR and MS-SSIM of the whole picture, both in dB.
`pip install '.[benchmarks]'` has the SSIM.
"""

from __future__ import annotations

import argparse
import bisect
import io
from pathlib import Path

import numpy as np
from compress import OURS, pictures_in, read
from PIL import Image, ImageDraw
from rates import ms_ssim_db
from scipy.ndimage import uniform_filter
from skimage.metrics import structural_similarity

import vaetool
from vaetool.compression.encode import compress
from vaetool.images.metrics import ms_ssim, psnr
from vaetool.nn.base import Model

SHEET = 10  # pictures
CROP = 256  # pixels a side
GAP = 18  # pixels between the pictures of the sheet, for a line of text

Row = dict[str, np.ndarray]  # the pictures of one row by their captions, the original first


def main() -> None:
    arguments = parse_arguments()
    paths = pictures_in(arguments.folder)
    codec = vaetool.load(arguments.model, kind="codec", device=arguments.device)
    rows = []
    for path in paths[:: max(1, len(paths) // SHEET)][:SHEET]:
        rows.append(row_of(path, codec, arguments.bpp, arguments.whole))
        print(*rows[-1], sep=" | ", flush=True)
    draw_sheet(arguments.sheet, rows)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--model", default="photo-codec")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--bpp", type=float, nargs="+", default=[0.15, 0.3])
    parser.add_argument("--whole", action="store_true")
    return parser.parse_args()


def row_of(path: Path, codec: Model, rates: list[float], whole: bool) -> Row:
    image = read(path)
    original = np.asarray(image)
    row, maps = {path.stem: original}, []
    for rate in rates:
        theirs = avif_within(image, int(rate * image.width * image.height / 8))
        for name, data in ((OURS, compress(image, codec, target_size=len(theirs))), ("AVIF", theirs)):
            picture = vaetool.decompress(data, codec) if name == OURS else Image.open(io.BytesIO(data))
            decoded = np.asarray(picture.convert("RGB"))
            figures = psnr(decoded, original, 255), ms_ssim_db(ms_ssim(decoded, original, 255))
            bpp = 8 * len(data) / (image.width * image.height)
            row[f"{name}, {bpp:.3f} bpp: {figures[0]:.2f}, {figures[1]:.2f} dB"] = decoded
            maps.append(similarity(decoded, original))
    place = (slice(None), slice(None)) if whole else worst_place(maps[0] + maps[1])
    return {caption: pixels[place] for caption, pixels in row.items()}


def avif_within(image: Image.Image, limit: int) -> bytes:
    """Return the file of the highest quality that takes at most so many bytes; of the lowest if there is none."""

    def encoded(quality: int) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "AVIF", quality=quality, speed=4, subsampling="4:2:0")
        return buffer.getvalue()

    return encoded(bisect.bisect_right(range(1, 101), limit, key=lambda quality: len(encoded(quality))))


def similarity(decoded: np.ndarray, original: np.ndarray) -> np.ndarray:
    """Return the map of SSIM, (height, width), the mean over the channels."""
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    _, found = structural_similarity(decoded, original, channel_axis=2, full=True, **options)
    return found.mean(axis=2)


def worst_place(values: np.ndarray, side: int = CROP) -> tuple[slice, slice]:
    """Return the square in which the mean of a map is lowest; where the map is smaller, all of it."""
    height, width = (min(side, length) for length in values.shape)
    means = uniform_filter(values, (height, width))[height // 2 :, width // 2 :]  # by their top left corners
    means = means[: values.shape[0] - height + 1, : values.shape[1] - width + 1]
    top, left = map(int, np.unravel_index(means.argmin(), means.shape))
    return slice(top, top + height), slice(left, left + width)


def draw_sheet(path: Path, rows: list[Row]) -> None:
    height, width = np.max([pixels.shape[:2] for row in rows for pixels in row.values()], axis=0)
    sheet = Image.new("RGB", (max(map(len, rows)) * (width + 4), len(rows) * (height + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, row in enumerate(rows):
        for column, (caption, pixels) in enumerate(row.items()):
            corner = (column * (width + 4), place * (height + GAP))
            draw.text((corner[0], corner[1] + 2), caption, fill="black")
            sheet.paste(Image.fromarray(pixels), (corner[0], corner[1] + GAP))
    sheet.save(path)


if __name__ == "__main__":
    main()
