"""Rate and distortion of vaetool's files on a folder of lossless photos, compared with JPEG, WebP, AVIF and JPEG XL.

    python benchmarks/compress.py FOLDER [--json FILE] [--plot FILE] [--model NAME|PATH] [--quick] [--large]

Bits per pixel are those of whole files, headers included; PSNR is over all three channels of the decoded 8 bits,
MS-SSIM the mean of the channels'. A curve is the mean over the pictures at each quality; BD-rate is computed for each
picture (`rates.bd_rate`) and then averaged: percent of the reference's bits, MS-SSIM in dB. Seconds are medians of five
in this process, at the quality nearest to 1 bit per pixel.

The peers are Pillow's: AVIF in both its default, 4:2:0, and 4:4:4, which is better in RGB; JPEG XL where
pillow-jxl-plugin is installed. They are slow, so their points are read from the JSON when it holds them for the same
pictures, settings and versions. Published rows are in published_compress.json, with their source.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import io
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features
from rates import bd_rate, frontier, ms_ssim_db
from scipy.interpolate import PchipInterpolator

from vaetool.compression.encode import compress
from vaetool.errors import UsageError
from vaetool.images.metrics import ms_ssim, psnr

OURS = "vaetool"
QUALITIES = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)
REFERENCES = ("JPEG", "WebP", "AVIF")  # of BD-rate
EQUAL_RATES = (0.15, 0.3, 0.5, 1.0)
LOSSLESS = {".png", ".ppm", ".bmp", ".tif", ".tiff"}
QUICK = 5  # every n-th picture
SPEED_SIZE = (768, 512)
LARGE_SIZE = (8000, 6000)
LARGE_QUALITY = 50
Row = dict[str, Any]  # settings, qualities, and per picture the lists bpp, psnr and ms_ssim


@dataclass(frozen=True)
class Codec:
    """Its figures depend on `settings`. Without a version it is not installed, and only stored rows are used."""

    settings: dict[str, Any]
    qualities: tuple[int, ...]
    encode: Callable[[Image.Image, int], bytes]
    decode: Callable[[bytes], Image.Image]


def main() -> None:
    arguments = parse_arguments()
    paths = pictures_in(arguments.folder)[:: QUICK if arguments.quick else 1]
    results = stored_results(arguments.json, paths)
    codecs = peers() if arguments.peers_only else {OURS: ours(arguments.model, arguments.device), **peers()}
    for name, codec in codecs.items():
        wanted = name == OURS or not (arguments.models_only or matches(results["rows"].get(name), codec))
        if wanted and codec.settings["version"]:
            print(name, "...", flush=True)
            results["rows"][name] = measure(codec, paths)
            store(arguments, results)
    rows = {name: results["rows"][name] for name in (OURS, *peers()) if name in results["rows"]}
    results["bd_rate"] = {name: bd_rates(name, rows) for name in rows}
    results["seconds"] = {} if arguments.quick else seconds_per_picture(codecs, rows, paths)
    if not arguments.peers_only:
        results.pop("large", None)  # it was another model's
    if arguments.large:
        results["large"] = large_picture(paths, arguments)
    store(arguments, results)
    print_tables(rows, results, len(paths))
    if arguments.plot:
        plot(rows, arguments.plot, len(paths))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo-codec")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="the peers' points are read from it, and the results written to it")
    parser.add_argument("--plot", type=Path, help="write the curves as a PNG")
    parser.add_argument("--quick", action="store_true", help="every fifth picture, no timing; writes no JSON")
    parser.add_argument("--large", action="store_true", help="measure the commands' memory at 48 megapixels")
    only = parser.add_mutually_exclusive_group()
    only.add_argument(
        "--models-only", action="store_true", help="measure no peer; show those in the JSON, whatever their version"
    )
    only.add_argument("--peers-only", action="store_true", help="measure no model; show the one in the JSON")
    return parser.parse_args()


# The codecs


def ours(name: str, device: str) -> Codec:
    import vaetool

    codec = vaetool.load(name, kind="codec", device=device)
    return Codec(
        {"version": vaetool.__version__, "model": name},
        QUALITIES,
        lambda image, quality: compress(image, codec, quality=quality),
        lambda data: vaetool.decompress(data, codec),
    )


@functools.cache
def peers() -> dict[str, Codec]:
    jpeg, webp, avif = (features.version(name) for name in ("libjpeg_turbo", "webp", "avif"))
    jxl = None
    if importlib.util.find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401, which registers it with Pillow

        jxl = importlib.metadata.version("pillow-jxl-plugin")
    return {
        "JPEG": pillow("JPEG", jpeg, (10, 20, 30, 40, 50, 60, 70, 80, 88, 92, 95), optimize=True, progressive=True),
        "WebP": pillow("WEBP", webp, (0, 1, 5, 10, 20, 35, 50, 65, 80, 90, 95, 98), method=6),
        "JPEG XL": pillow("JXL", jxl, (1, 5, 15, 30, 50, 65, 75, 85, 92, 97), effort=7),
        "AVIF": pillow("AVIF", avif, (10, 25, 40, 55, 68, 80, 90, 95), speed=4, subsampling="4:2:0"),
        "AVIF, 4:4:4": pillow("AVIF", avif, (10, 25, 40, 55, 75, 92), speed=4, subsampling="4:4:4"),
    }


def pillow(name: str, version: str | None, qualities: tuple[int, ...], **options: Any) -> Codec:
    def encode(image: Image.Image, quality: int) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, name, quality=quality, **options)
        return buffer.getvalue()

    return Codec({"version": version, **options}, qualities, encode, lambda data: Image.open(io.BytesIO(data)))


# Measuring


def pictures_in(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in LOSSLESS)
    if not paths:
        raise SystemExit(f"{folder}: no pictures in a lossless format ({', '.join(sorted(LOSSLESS))})")
    return paths


def read(path: Path) -> Image.Image:
    """The pixels alone, so that no profile or comment goes into the files."""
    with Image.open(path) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


def measure(codec: Codec, paths: list[Path]) -> Row:
    pictures = {}
    for path in paths:
        image = read(path)
        figures: dict[str, list[float]] = {"bpp": [], "psnr": [], "ms_ssim": []}
        for quality in codec.qualities:
            data = codec.encode(image, quality)
            decoded = np.asarray(codec.decode(data).convert("RGB"))
            figures["bpp"].append(round(8 * len(data) / (image.width * image.height), 5))
            figures["psnr"].append(round(psnr(decoded, np.asarray(image), peak=255), 3))
            figures["ms_ssim"].append(round(ms_ssim(decoded, np.asarray(image), peak=255), 7))
        pictures[path.name] = figures
    return {"settings": codec.settings, "qualities": list(codec.qualities), "pictures": pictures}


def seconds_per_picture(codecs: dict[str, Codec], rows: dict[str, Row], paths: list[Path]) -> dict[str, Any]:
    """Of all that are installed, for 768x512; and how many threads torch had."""
    image, seconds = mosaic(paths, SPEED_SIZE), {}
    for name, codec in codecs.items():
        if name not in rows or not codec.settings["version"]:
            continue
        rates = mean_curve(rows[name])["bpp"]
        quality = rows[name]["qualities"][int(np.argmin(np.abs(np.subtract(rates, 1.0))))]
        medians = (round(each, 3) for each in median_seconds(codec, image, quality))
        seconds[name] = dict(zip(("quality", "encode", "decode"), (quality, *medians), strict=True))
        if name == OURS:
            import torch

            seconds[name]["threads"] = torch.get_num_threads()
    return seconds


def median_seconds(codec: Codec, image: Image.Image, quality: int) -> tuple[float, float]:
    """The medians of five: to encode, and to decode."""
    encoding, decoding = [], []
    for _ in range(5):
        start = time.perf_counter()
        data = codec.encode(image, quality)
        middle = time.perf_counter()
        codec.decode(data).load()
        encoding.append(middle - start)
        decoding.append(time.perf_counter() - middle)
    return statistics.median(encoding), statistics.median(decoding)


def large_picture(paths: list[Path], arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Seconds and peak memory (maximum resident set, in GiB) of both commands on 48 megapixels, each a new process."""
    # In between stands a small process: the peak of a child counts from what its parent was when it started.
    code = (
        "import resource, subprocess, sys; "
        "subprocess.run([sys.executable, '-m', 'vaetool', *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == 'darwin' else 1024))"
    )
    with tempfile.TemporaryDirectory() as folder:
        picture, packed, unpacked = (Path(folder, name) for name in ("large.png", "large.vae", "unpacked.png"))
        mosaic(paths, LARGE_SIZE).save(picture, compress_level=1)
        options = ["-m", arguments.model, "--device", arguments.device]
        commands = {
            "compress": ["compress", picture, "-o", packed, "-q", str(LARGE_QUALITY), *options],
            "decompress": ["decompress", packed, "-o", unpacked, *options],
        }
        figures = {}
        for name, command in commands.items():
            print(name, *LARGE_SIZE, "...", flush=True)
            start = time.perf_counter()
            process = subprocess.run(
                [sys.executable, "-c", code, *map(str, command)], stdout=subprocess.PIPE, check=True
            )
            seconds, peak = time.perf_counter() - start, int(process.stdout.split()[-1])
            figures[name] = {"seconds": round(seconds, 1), "gibibytes": round(peak / 2**30, 2)}
    return figures


def mosaic(paths: list[Path], size: tuple[int, int]) -> Image.Image:
    """Photos side by side, row under row, repeated as needed: (width, height) pixels."""
    canvas, images, top = Image.new("RGB", size), itertools.cycle(paths), 0
    while top < size[1]:
        left, height = 0, size[1]
        while left < size[0]:
            image = read(next(images))
            canvas.paste(image, (left, top))
            left, height = left + image.width, min(height, image.height)
        top += height
    return canvas


# What was measured before


def stored_results(path: Path | None, paths: list[Path]) -> dict[str, Any]:
    """What the JSON holds for these pictures; nothing if there is none, or if it is for other pictures."""
    sizes = {path.name: path.stat().st_size for path in paths}
    stored = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}
    if not sizes.items() <= stored.get("pictures", {}).items():
        return {"pictures": sizes, "rows": {}}
    for row in stored["rows"].values():
        row["pictures"] = {name: row["pictures"][name] for name in sizes}
    return {**stored, "pictures": sizes}


def matches(row: Row | None, codec: Codec) -> bool:
    """Whether a stored row is what the codec would give."""
    return row is not None and (row["settings"], row["qualities"]) == (codec.settings, list(codec.qualities))


def store(arguments: argparse.Namespace, results: dict[str, Any]) -> None:
    """Lists of numbers on one line."""
    if arguments.json and not arguments.quick:
        text = re.sub(r"\[[^\[\]{}]*\]", lambda found: re.sub(r"\s+", " ", found[0]), json.dumps(results, indent=2))
        arguments.json.write_text(text.replace("[ ", "[").replace(" ]", "]") + "\n", encoding="utf-8")


# Curves and rates


def mean_curve(row: Row) -> dict[str, np.ndarray]:
    """Means over the pictures, one for each quality."""
    return {
        figure: np.mean([values[figure] for values in row["pictures"].values()], axis=0)
        for figure in ("bpp", "psnr", "ms_ssim")
    }


def psnr_at(row: Row, rates: list[float]) -> list[float | None]:
    """PSNR of the mean curve at some rates, interpolated over log rate; None outside the curve."""
    curve = mean_curve(row)
    found = np.interp(np.log(rates), np.log(curve["bpp"]), curve["psnr"], left=np.nan, right=np.nan)
    return [None if np.isnan(value) else float(value) for value in found]


def bd_rates(name: str, rows: dict[str, Row]) -> dict[str, dict[str, float]]:
    """Against each reference, by figure: the mean over the pictures, and how many of them have qualities in common."""
    found: dict[str, dict[str, float]] = {}
    for reference in REFERENCES:
        if reference in rows and reference != name:
            found[reference] = {}
            for figure in ("psnr", "ms_ssim"):
                values = list(bd_rate_per_picture(rows[reference], rows[name], figure))
                found[reference] |= {f"{figure} pictures": len(values)}
                found[reference] |= {figure: round(float(np.mean(values)), 2)} if values else {}
    return found


def bd_rate_per_picture(reference: Row, other: Row, figure: str) -> Iterator[float]:
    for picture in reference["pictures"]:
        with suppress(UsageError):
            yield bd_rate(*(points(row["pictures"][picture], figure) for row in (reference, other)))


def differences(reference: Row, other: Row, figure: str, rate: float) -> Iterator[float]:
    """Yield how many dB better each picture is at a rate that both curves reach, interpolated as for BD-rate."""
    for picture in reference["pictures"]:
        curves = [frontier(points(row["pictures"][picture], figure)) for row in (reference, other)]
        if all(bpp[0] <= rate <= bpp[-1] for bpp, _ in curves):
            theirs, ours = (PchipInterpolator(np.log(bpp), quality)(np.log(rate)) for bpp, quality in curves)
            yield float(ours - theirs)


def points(figures: dict[str, list[float]], figure: str) -> list[tuple[float, float]]:
    qualities = map(ms_ssim_db, figures[figure]) if figure == "ms_ssim" else figures[figure]
    pairs = zip(figures["bpp"], qualities, strict=True)
    return [(bpp, quality) for bpp, quality in pairs if np.isfinite(quality)]  # not those without any loss


# What is shown


def print_tables(rows: dict[str, Row], results: dict[str, Any], count: int) -> None:
    print(f"\nMeans of {count} pictures\n")
    print("| codec | quality | bits per pixel | PSNR | MS-SSIM | in dB |\n|---|---|---|---|---|---|")
    for name, row in rows.items():
        for quality, bpp, decibels, similarity in zip(row["qualities"], *mean_curve(row).values(), strict=True):
            shown = f"{bpp:.3f} | {decibels:.2f} | {similarity:.4f} | {ms_ssim_db(similarity):.2f}"
            print(f"| {name} | {quality} | {shown} |")

    print("\nBD-rate: percent of bits more (+) or fewer (-) than the reference takes, mean over the pictures\n")
    print("| codec |" + "".join(f" {figure} vs {name} |" for name in REFERENCES for figure in ("PSNR", "MS-SSIM")))
    print("|---|" + 2 * len(REFERENCES) * "---|")
    for name, against in results["bd_rate"].items():
        cells = [against.get(reference, {}).get(figure) for reference in REFERENCES for figure in ("psnr", "ms_ssim")]
        print(f"| {name} |" + "".join(f" {number(cell, '+.1f')} |" for cell in cells))
        for reference, figures in against.items():
            fewest = min(figures["psnr pictures"], figures["ms_ssim pictures"])
            if fewest < count:
                print(f"  ({name} and {reference} have qualities in common on {fewest} pictures only)")

    if {OURS, "AVIF"} <= rows.keys():
        print("\nBeside AVIF at equal bits: pictures that are better, and the mean difference in dB\n")
        print("| bits per pixel | PSNR | MS-SSIM |\n|---|---|---|")
        for rate in EQUAL_RATES:
            cells = []
            for figure in ("psnr", "ms_ssim"):
                found = list(differences(rows["AVIF"], rows[OURS], figure, rate))
                better = f"{sum(value > 0 for value in found)} of {len(found)}"
                cells.append(f"{better}, {np.mean(found):+.2f}" if found else "")
            print(f"| {rate} | {' | '.join(cells)} |")

    published = json.loads((Path(__file__).parent / "published_compress.json").read_text(encoding="utf-8"))
    print("\nThe published rows are of the Kodak photographs, not of this folder: other pictures, other figures\n")
    print("| codec |" + "".join(f" PSNR at {rate} |" for rate in published["bpp"]) + " BD-rate vs VTM |")
    print("|---|" + "---|" * (len(published["bpp"]) + 1))
    for name, row in rows.items():
        print(f"| {name} |" + "".join(f" {number(value, '.2f')} |" for value in psnr_at(row, published["bpp"])) + " |")
    for row in published["rows"]:
        cells = "".join(f" {number(value, '.2f')} |" for value in row["psnr"])
        print(f"| {row['method']} (published, Kodak) |{cells} {number(row['bd_rate'], '+.0f')} |")

    if results["seconds"]:
        print("\n| codec | quality | encode 768x512 | decode |\n|---|---|---|---|")
        for name, row in results["seconds"].items():
            threads = f", threads: {row['threads']}" if "threads" in row else ""
            print(f"| {name}{threads} | {row['quality']} | {row['encode']:.3f} s | {row['decode']:.3f} s |")
    for name, row in results.get("large", {}).items():
        print(f"\n{name}, 48 megapixels: {row['seconds']:.0f} s, {row['gibibytes']:.2f} GiB")


def number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def plot(rows: dict[str, Row], path: Path, count: int) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    colours = {"JPEG": "#999999", "WebP": "#009e73", "JPEG XL": "#e69f00", "AVIF": "#0072b2", "AVIF, 4:4:4": "#56b4e9"}
    figure = Figure(figsize=(10, 4.4), dpi=150, layout="constrained")
    titles = ("PSNR in dB", "MS-SSIM in dB, -10 log10(1 - MS-SSIM)")
    for title, key, axes in zip(titles, ("psnr", "ms_ssim"), figure.subplots(1, 2), strict=True):
        for name, row in rows.items():
            curve = mean_curve(row)
            heights = [ms_ssim_db(value) for value in curve[key]] if key == "ms_ssim" else curve[key]
            bold = name == OURS
            style = {"color": "#d62728" if bold else colours[name], "linewidth": 2.4 if bold else 1.4}
            axes.plot(curve["bpp"], heights, marker="o", markersize=3.5, label=name, zorder=3 if bold else 2, **style)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("bits per pixel, whole files", fontsize=9)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator([0.0625, 0.125, 0.25, 0.5, 1, 2, 4]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Means of {count} photographs", fontsize=10)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[:, :, :3])
    few_colours = Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE)  # a quarter of the bytes
    few_colours.save(path, optimize=True)


if __name__ == "__main__":
    main()
