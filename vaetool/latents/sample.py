"""The task behind `vaetool sample`: new pictures, decoded from codes drawn from a density."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaetool.errors import FileError, UsageError
from vaetool.images.modalities import COLUMNS
from vaetool.latents.generative import Generative
from vaetool.latents.priors import Normal

if TYPE_CHECKING:
    from vaetool.latents.mmvae import MMVAE

PRIORS = ("auto", "normal", "gmm")
MARGIN = 2
"""Pixels between the pictures of a sheet."""


@dataclass(frozen=True)
class DrawnCodes:
    """Codes, (codes, latent), and information for users about their origin.

    prior: one of `PRIORS`, or "file". words, warning: a sentence each, the latter if a better prior exists.
    """

    codes: np.ndarray
    prior: str
    words: str
    warning: str | None = None


def sample(
    model: Generative,
    count: int = 64,
    *,
    temperature: float = 1.0,
    prior: str = "auto",
    latents: str | Path | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Return new pictures, (count, size, size, channels) uint8; the parameters are those of `draw`."""
    return model.decode(draw(model, count, temperature=temperature, prior=prior, latents=latents, seed=seed).codes)


def draw(
    model: Generative,
    count: int = 64,
    *,
    temperature: float = 1.0,
    prior: str = "auto",
    latents: str | Path | None = None,
    seed: int = 0,
) -> DrawnCodes:
    """Draw the codes of new pictures.

    prior: "normal" is N(0, I), "gmm" the mixture fitted to the model's codes, "auto" the one of the two under which
    held-out codes are likelier, for an ae always the mixture. temperature: the factor on standard deviations: below 1,
    pictures are more usual, above 1 stranger. latents: a file of codes (see `read_latents`), all of which are used
    instead of drawing any. The same seed gives the same codes.
    Raises UsageError, FileError.
    """
    if latents is not None:
        codes = read_latents(latents, model.config.numbers)
        return DrawnCodes(codes, "file", f"{len(codes)} codes from {latents}")
    if prior not in PRIORS:
        raise UsageError(f"prior must be {', '.join(PRIORS)}, not {prior!r}")
    if count < 1 or not 0 <= temperature < math.inf:
        raise UsageError("count must be 1 or more, and temperature 0 or more")
    mixture, plain = model.mixture, model.kind == "ae"
    chosen = prior
    if prior == "auto":
        chosen = "gmm" if plain or (mixture is not None and mixture.is_better) else "normal"
    density = mixture if chosen == "gmm" else Normal(model.config.numbers)
    if density is None:
        raise UsageError("no density was fitted to this model's codes: an ae or a vae gets one at the end of training")
    return DrawnCodes(
        density.sample(count, temperature, np.random.default_rng(seed)),
        chosen,
        _words(model, chosen),
        model.doubt or (WHY_NOT_AE if plain else None),
    )


WHY_NOT_AE = (
    "this is an ae, with gaps between its codes that decode to anything; a vae (vaetool train vae) has codes that fill "
    "N(0, I), and gives better samples"
)


def _words(model: Generative, chosen: str) -> str:
    """Describe the chosen prior, and how likely held-out codes are under both."""
    mixture = model.mixture
    name = "N(0, I)"
    if mixture is None:
        return f"prior: {name}, the only one that this model has"
    fitted = "one Gaussian" if len(mixture.weights) == 1 else f"a mixture of {len(mixture.weights)} Gaussians"
    normal, gmm = (f"{score:.1f}" for score in mixture.scores)
    if chosen == "gmm":
        return f"prior: {fitted}; held-out codes have {gmm} nats each, under {name} {normal}"
    return f"prior: {name}; held-out codes have {normal} nats each, under {fitted} {gmm}"


def read_latents(path: str | Path, latent: int) -> np.ndarray:
    """Read codes from a file, (codes, latent) float32: a NumPy array, or a CSV file with one code per line.

    If a CSV file has column names, as written by `vaetool latent`, the codes are z0, z1, ....
    Raises FileError for a file that cannot be read, UsageError for codes of another length.
    """
    path = Path(path)
    try:
        values = np.atleast_2d(_read_array(path) if path.suffix.lower() == ".npy" else _read_csv(path))
        if values.dtype.kind not in "fiu":
            raise ValueError(f"its type is {values.dtype}")
        with np.errstate(over="ignore"):  # infinity is refused below
            codes = values.astype(np.float32)
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, MemoryError, csv.Error) as error:
        raise FileError(f"{path}: not an array or table of numbers ({str(error).partition(chr(10))[0]})") from error
    if codes.ndim != 2 or codes.shape[1] != latent or not len(codes):
        shape = " x ".join(map(str, codes.shape))
        raise UsageError(f"{path}: holds {shape} numbers; a code of this model has {latent}")
    if not np.isfinite(codes).all():
        raise FileError(f"{path}: some of its values are not numbers")
    return codes


def _read_array(path: Path) -> np.ndarray:
    with path.open("rb") as file:
        return np.lib.format.read_array(file)


def _read_csv(path: Path) -> np.ndarray:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.reader(file) if row]
    if not rows:
        raise ValueError("it is empty")
    columns = [index for index, name in enumerate(rows[0]) if re.fullmatch(r"z\d+", name.strip())]
    if columns:
        rows = [[row[index] for index in columns if index < len(row)] for row in rows[1:]]
    return np.array([[float(value) for value in row] for row in rows])


def pictures_of(model: Generative, codes: np.ndarray, *, apart: bool = False) -> Iterator[np.ndarray]:
    """Yield the pictures of codes one by one, (height, width, channels) uint8; few are in memory at a time.

    apart: those of several modalities are yielded one after the other, rather than as one picture side by side.
    """
    for start in range(0, len(codes), model.batch_size):
        yield from (model.decode_apart if apart else model.decode)(codes[start : start + model.batch_size])


def label_table(model: MMVAE, codes: np.ndarray, paths: Sequence[Path]) -> bytes:
    """Return a CSV file of the likeliest labels of codes, as `vaetool.images.modalities.LabelTable` reads it.

    paths: files of the pictures of each code, one after the other, in folders beside the table.
    """
    labels, pictures = model.labels_of(codes), len(paths) // len(codes)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (f"{path.parent.name}/{path.name}", labels[number // pictures]) for number, path in enumerate(paths)
    )
    return text.getvalue().encode()


def sheet(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Arrange pictures of one size, (height, width, channels) uint8, in one: row by row, nearly square.

    White separates them and fills the rest of the last row.

    >>> sheet(np.zeros((3, 8, 8, 1), np.uint8)).shape
    (18, 18, 1)
    """
    stack = np.stack(list(pictures))
    count, height, width, channels = stack.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    whole = np.full((rows * (height + MARGIN) - MARGIN, columns * (width + MARGIN) - MARGIN, channels), 255, np.uint8)
    for number, picture in enumerate(stack):
        top, left = (height + MARGIN) * (number // columns), (width + MARGIN) * (number % columns)
        whole[top : top + height, left : left + width] = picture
    return whole
