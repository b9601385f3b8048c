"""The tasks that `vaetool demo` runs, once each.

The two photographs come with scikit-learn, so nothing is downloaded; faces and machine parts are made up. A task
yields rows of the contact sheet, captioned pictures, each with a row of the table.
"""

from __future__ import annotations

import io
import itertools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress_picture
from vaetool.compression.targets import Target
from vaetool.denoising.dae import DAE
from vaetool.denoising.noise.mixture import Noise, add_noise
from vaetool.files.writing import write_atomically
from vaetool.images import Picture, encode
from vaetool.images.animation import resize
from vaetool.images.conversion import to_tensor
from vaetool.images.metrics import psnr
from vaetool.latents.morph import find_direction, morph_along
from vaetool.latents.morph import morph as morph_pictures
from vaetool.latents.sample import sample as sample_pictures
from vaetool.latents.sample import sheet
from vaetool.scoring.detection import score as score_pictures
from vaetool.scoring.features import Features, FeaturesConfig
from vaetool.scoring.heatmaps import overlay
from vaetool.store.weights import load, resolve_device
from vaetool.training.data import PixelStore

DETAILS = {"china": (140, 60), "flower": (128, 85)}  # left and top of the part shown of each photograph
DETAIL = (384, 256)  # width and height of that part: photographs are shown pixel by pixel
SIGMA = 50
QUALITY = 30
ISLAND = (412, 222, 512, 252)  # of the lake in "china": left, top, right, bottom
SCRATCHES = 12
SAMPLED, SAMPLES = ("fashion-gan", "digits-gan", "faces"), 36
FRAMES = 10
FACE = 128  # pixels a side of frames
SEED = 0
NIGHT = 15  # the seed of a camera at a high ISO
PART = 128  # pixels a side of pictures of parts
GOOD_PARTS, NEW_PARTS = 40, 6
MARGIN, CAPTION = 8, 22  # pixels
SHEET_WIDTH, SHEET_QUALITY = 1600, 88


@dataclass(frozen=True)
class Strip:
    """Pictures side by side, (caption, pixels) each, and the row of the table that measures them."""

    pictures: list[tuple[str, np.ndarray]]
    figures: dict[str, Any] = field(default_factory=dict)


def photographs() -> dict[str, np.ndarray]:
    """Return the photographs, (height, width, 3) uint8, by name."""
    from sklearn.datasets import load_sample_image

    return {name: load_sample_image(f"{name}.jpg") for name in ("china", "flower")}


def denoise(device: str) -> Iterator[Strip]:
    """Remove a camera's noise, and white noise added to eight bits, without being given its sigma."""
    models = {name: load(name, device=device) for name in ("photo-denoise", "photo-denoise-gaussian")}
    for name, clean in photographs().items():
        target, noisy = by_camera(clean)
        yield _cleaned(models["photo-denoise"], name, "a camera's noise", target, noisy)
    generator = np.random.default_rng(SEED)
    for name, clean in photographs().items():
        noisy = np.rint(clean + generator.normal(0, SIGMA, clean.shape)).clip(0, 255).astype(np.uint8)
        yield _cleaned(models["photo-denoise-gaussian"], name, f"noise of sigma {SIGMA}", clean, noisy)


def by_camera(clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a photograph as a camera might take it, without noise and with it; (height, width, 3) uint8 each."""
    height, width = (length // 2 * 2 for length in clean.shape[:2])
    x = to_tensor(clean[:height, :width].copy())[None]
    by_night = Noise(camera=1.0, compressed=0.0, plain=0.0, clean=0.0, jpeg=0.0, grey=0.0, documents=0.0)
    pair = add_noise(x, torch.Generator().manual_seed(NIGHT), by_night)
    target, noisy = ((255 * part[0]).round().byte().permute(1, 2, 0).numpy() for part in pair)
    return target, noisy


def _cleaned(model: DAE, name: str, what: str, clean: np.ndarray, noisy: np.ndarray) -> Strip:
    start = time.perf_counter()
    result = model.denoise(noisy)
    seconds = time.perf_counter() - start
    before, after = psnr(noisy, clean, 255), psnr(result, clean, 255)
    pictures = [(f"{what}: {before:.1f} dB", detail(noisy, name)), (f"cleaned: {after:.1f} dB", detail(result, name))]
    figures = {"job": "denoise", "of": name, "what": what, "before": f"{before:.2f} dB", "after": f"{after:.2f} dB"}
    return Strip(pictures, {**figures, "seconds": round(seconds, 2)})


def detail(pixels: np.ndarray, name: str) -> np.ndarray:
    """Return the part of a photograph that the contact sheet shows, (height, width, 3)."""
    (left, top), (width, height) = DETAILS[name], DETAIL
    return pixels[top : top + height, left : left + width]


def compress(device: str) -> Iterator[Strip]:
    """Compress photographs to the bytes of a file and back, beside JPEG files of about the same size."""
    codec = load("photo-codec", device=device)
    for name, pixels in photographs().items():
        start = time.perf_counter()
        data, _ = compress_picture(codec, Picture(pixels), Target(QUALITY))
        result = decompress_picture(data, codec)[0].pixels
        seconds = time.perf_counter() - start
        png, jpeg = encode(Picture(pixels), "PNG"), jpeg_of_size(pixels, len(data))
        peer = np.asarray(Image.open(io.BytesIO(jpeg)))
        before = f"PNG {_kilobytes(png)}"
        after, beside = (
            f"{_kilobytes(file)}, {psnr(decoded, pixels, 255):.1f} dB"
            for file, decoded in ((data, result), (jpeg, peer))
        )
        pictures = [(f".vae: {after}", detail(result, name)), (f"JPEG: {beside}", detail(peer, name))]
        figures = {"job": "compress", "of": name, "what": f"JPEG {beside}", "before": before, "after": after}
        yield Strip(pictures, {**figures, "seconds": round(seconds, 2)})


def jpeg_of_size(pixels: np.ndarray, size: int) -> bytes:
    """Return the best JPEG file of a picture within a number of bytes, or the smallest possible if none fits."""
    files = [encode(Picture(pixels), "JPEG", quality=quality) for quality in range(1, 96)]
    return max((file for file in files if len(file) <= size), key=len, default=files[0])


def _kilobytes(file: bytes) -> str:
    return f"{len(file) / 1e3:.0f} kB"


def inpaint(device: str) -> Iterator[Strip]:
    """Remove scratches from one photograph, and an object from another."""
    model = load("photo-inpaint", device=device)
    for name, what, mask in _masks():
        clean = photographs()[name]
        marked = np.where(mask[..., None], np.uint8(255), clean)
        start = time.perf_counter()
        result = model.inpaint(marked, mask)
        seconds = time.perf_counter() - start
        figures = {"job": "inpaint", "of": name, "what": what, "before": f"{100 * mask.mean():.1f} % missing"}
        after = f"{psnr(result[mask], clean[mask], 255):.2f} dB there" if what == "scratches" else ""
        pictures = [(f"holes: {what}", detail(marked, name)), ("filled", detail(result, name))]
        yield Strip(pictures, {**figures, "after": after, "seconds": round(seconds, 2)})


def _masks() -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield a photograph's name, what to remove from it, and its mask, (height, width) bool."""
    for name, what in (("flower", "scratches"), ("china", "an island")):
        height, width = photographs()[name].shape[:2]
        mask = Image.new("1", (width, height))
        draw = ImageDraw.Draw(mask)
        if what == "an island":
            draw.ellipse(ISLAND, fill=1)
        else:
            generator = np.random.default_rng(SEED)
            for _ in range(SCRATCHES):
                walk = np.cumsum(generator.normal(0, 12, (30, 2)) + generator.normal(0, 20, 2), axis=0)
                corners = walk + generator.uniform((0, 0), (width, height))
                draw.line([tuple(corner) for corner in corners.tolist()], fill=1, width=3)
        yield name, what, np.asarray(mask)


def sample(device: str) -> Iterator[Strip]:
    """Sample pictures of things that never existed."""
    for name in SAMPLED:
        start = time.perf_counter()
        pixels = sheet(resize(sample_pictures(load(name, device=device), SAMPLES, seed=SEED), FACE // 2))
        figures = {"job": "sample", "of": name, "what": f"{SAMPLES} pictures", "before": "", "after": ""}
        yield Strip([(f"samples of {name}", pixels)], {**figures, "seconds": round(time.perf_counter() - start, 2)})


def morph(device: str) -> Iterator[Strip]:
    """Morph a made-up face into another, and make a serious one smile."""
    start = time.perf_counter()
    faces = load("faces", device=device)
    ends = sample_pictures(faces, 2, temperature=0.8, seed=SEED)
    frames = morph_pictures(faces, list(ends), frames=FRAMES)
    yield _frames("from face to face", frames, start, {"of": "two faces", "what": "slerp"})
    start = time.perf_counter()
    smiles = load("smiles", device=device)
    vector, auc = find_direction(smiles, "smile")
    face = sample_pictures(smiles, 1, temperature=0.8, seed=SEED)[0]
    frames = morph_along(smiles, face, vector, frames=FRAMES)
    yield _frames(f"less and more of a smile, AUC {auc:.2f}", frames, start, {"of": "a face", "what": "smile"})


def _frames(caption: str, frames: np.ndarray, start: float, words: dict[str, str]) -> Strip:
    """Return the strip of a morph's frames, for a task that began at `start`."""
    strip = np.concatenate(list(resize(frames, FACE)), axis=1)
    figures = {"job": "morph", **words, "before": "", "after": ""}
    return Strip([(caption, strip)], {**figures, "seconds": round(time.perf_counter() - start, 2)})


def score(device: str) -> Iterator[Strip]:
    """Fit a model to good parts, and find scratches on new ones."""
    generator = np.random.default_rng(SEED)
    start = time.perf_counter()
    model = Features(FeaturesConfig(size=PART)).to(resolve_device(device))
    model.fit(PixelStore([part(generator) for _ in range(GOOD_PARTS)]))
    for what in ("good", "scratched"):
        parts = [part(generator, scratch=what == "scratched") for _ in range(NEW_PARTS)]
        found = list(score_pictures(model, parts, maps=True))
        pictures = [("new parts", parts[0])]
        for pixels, each in zip(parts, found, strict=True):
            assert each.heat is not None
            pictures.append((f"{what}: p = {each.p_value:.2f}", overlay(pixels, each.heat)))
        figures = {"job": "score", "of": f"{NEW_PARTS} parts", "what": what, "before": f"{GOOD_PARTS} good parts"}
        after = f"{sum(each.outlier for each in found)} outliers"
        yield Strip(pictures, {**figures, "after": after, "seconds": round(time.perf_counter() - start, 2)})
        start = time.perf_counter()


def part(generator: np.random.Generator, *, scratch: bool = False) -> np.ndarray:
    """Draw a flange with six holes, which lies in about the same place every time: (`PART`, `PART`, 3) uint8."""
    size = 4 * PART  # drawn larger than it is shown, for smooth edges
    image = Image.new("L", (size, size), 70)
    draw = ImageDraw.Draw(image)
    x, y = size / 2 + generator.normal(0, 4, 2)

    def disc(radius: float, grey: int, around: tuple[float, float]) -> None:
        draw.ellipse([around[0] - radius, around[1] - radius, around[0] + radius, around[1] + radius], fill=grey)

    disc(200, 170, (x, y))
    disc(70, 60, (x, y))
    for angle in np.arange(6) * np.pi / 3:
        disc(22, 50, (x + 135 * np.cos(angle), y + 135 * np.sin(angle)))
    if scratch:
        angle = generator.uniform(0, 2 * np.pi)
        start = np.array([x, y]) + 100 * np.array([np.cos(angle), np.sin(angle)])
        line = np.cumsum([start, *generator.normal(0, 6, (6, 2)) + generator.choice([-12, 12], 2)], axis=0)
        draw.line([tuple(corner) for corner in line.tolist()], fill=215, width=6)
    pixels = np.asarray(image.resize((PART, PART), Image.Resampling.BOX), np.float64)
    pixels += generator.normal(0, 4) + generator.normal(0, 3, pixels.shape)
    return np.repeat(pixels.round().clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


JOBS: tuple[Callable[[str], Iterator[Strip]], ...] = (denoise, compress, inpaint, sample, morph, score)


def run(path: Path, *, device: str = "auto") -> Iterator[dict[str, Any]]:
    """Run every task: yield the rows of the table as they come, then write the contact sheet, a JPEG, to a path."""
    strips = []
    for job in JOBS:
        for strip in job(device):
            strips.append(strip)
            yield strip.figures
    write_atomically(path, encode(Picture(contact_sheet(strips)), "JPEG", quality=SHEET_QUALITY))


def contact_sheet_path(folder: str | Path, *, replace: bool = False) -> Path:
    """Return the path of a contact sheet in a folder, numbered if there are others that must not be replaced."""
    names = (f"contact-sheet{'' if number == 1 else f'-{number}'}.jpg" for number in itertools.count(1))
    paths = (Path(folder) / name for name in names)
    return next(path for path in paths if replace or not os.path.lexists(path))


def contact_sheet(strips: list[Strip]) -> np.ndarray:
    """Lay out all strips like words, in lines of at most `SHEET_WIDTH`: (height, width, 3) uint8."""
    drawn = list(map(_draw, strips))
    sheet = Image.new("RGB", (SHEET_WIDTH, sum(strip.height for strip in drawn)), "white")
    left = top = bottom = 0
    for strip in drawn:
        if left + strip.width > SHEET_WIDTH:
            left, top = 0, bottom
        sheet.paste(strip, (left, top))
        left, bottom = left + strip.width, max(bottom, top + strip.height)
    return np.asarray(sheet.crop((0, 0, SHEET_WIDTH, bottom)))


def _draw(strip: Strip) -> Image.Image:
    pictures = [Image.fromarray(pixels.squeeze()) for _, pixels in strip.pictures]
    height = max(picture.height for picture in pictures)
    size = (sum(picture.width + MARGIN for picture in pictures), height + CAPTION + MARGIN)
    row = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(row)
    font = ImageFont.load_default(size=14)
    left = MARGIN
    for (caption, _), picture in zip(strip.pictures, pictures, strict=True):
        draw.text((left, 3), caption, fill="black", font=font)
        row.paste(picture, (left, CAPTION))
        left += picture.width + MARGIN
    return row
