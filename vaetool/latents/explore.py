"""The task behind `vaetool latent`: the codes of pictures as a table, and plots of the space they lie in."""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vaetool.errors import ImageError, TrainingError, UsageError
from vaetool.files.outputs import check_results, refuse_inputs
from vaetool.files.writing import write_atomically
from vaetool.images.sources import Source, find_sources
from vaetool.latents import plots
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.views import LOOKED_AT, look
from vaetool.latents.walk import walk_page

FORMATS = ("csv", "npy")
TABLE, ARRAY, WALK = "codes.csv", "codes.npy", "walk.html"


@dataclass(frozen=True)
class Exploration:
    """The written files, and the number of pictures."""

    path: Path
    pictures: int
    files: tuple[str, ...]


def explore(
    model: Autoencoder,
    data: str | Path | Iterable[str | Path],
    output: str | Path,
    *,
    root: str | Path = ".",
    format: str = "csv",  # noqa: A002
    tsne: bool = False,
    html: bool = False,
    force: bool = False,
    warn: Callable[[str], None] = lambda message: None,
) -> Exploration:
    """Write the codes of all pictures in `data`, and plots, into the folder `output`.

    data: folders, zip files, or `torchvision:NAME` (looked up in `root`); labels are the names of sub-folders. format:
    "csv" has columns name, label, z0, z1, ...; with "npy" the codes are in codes.npy, (pictures, latent) float32, and
    codes.csv has their names and labels. Plots show a random sample of the pictures. tsne: make the scatter plot with
    t-SNE rather than the first two principal components. html: also write a page to walk through the space. force:
    replace existing files. warn: called with a message for each picture that cannot be read.
    Raises UsageError; TrainingError if no picture can be read.
    """
    if format not in FORMATS:
        raise UsageError(f"codes are written as {' or '.join(FORMATS)}, not {format!r}")
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder")
    check_results(results_in(folder), force=force)
    places = [data] if isinstance(data, (str, Path)) else list(data)
    found = _outside(folder, find_sources(places, root), places)
    refuse_inputs(results_in(folder), (source.file for source in found))
    sources, codes = encode_sources(model, found, warn)
    if not sources:
        raise TrainingError("none of the pictures can be read")
    some = random.Random(0).sample(sources, min(LOOKED_AT, len(sources)))
    view = look(model, [source.read() for source in some], [source.label for source in some], tsne=tsne)
    files = {TABLE: _table(sources, codes if format == "csv" else codes[:, :0])}
    if format == "npy":
        np.save(buffer := io.BytesIO(), codes)
        files[ARRAY] = buffer.getvalue()
    files |= {f"{name}.png": plots.draw(view, name) for name in plots.panels(view)}
    if html:
        files[WALK] = walk_page(model, codes, [source.label for source in sources], view.units)
    for name, content in files.items():
        write_atomically(folder / name, content, replace=force)
    return Exploration(folder, len(sources), tuple(files))


def encode_sources(
    model: Autoencoder, sources: Sequence[Source], warn: Callable[[str], None]
) -> tuple[list[Source], np.ndarray]:
    """Return the sources that can be read and the codes of their pictures, (sources, latent); warn about the others."""
    readable: list[Source] = []

    def pictures() -> Iterator[np.ndarray]:
        for source in sources:
            try:
                pixels = source.read()
            except ImageError as error:
                warn(f"{source.name}: {error}; left out")
                continue
            readable.append(source)
            yield pixels

    codes = model.encode(pictures())
    return readable, codes


def _outside(folder: Path, sources: list[Source], places: Iterable[str | Path]) -> list[Source]:
    """Leave out sources in the folder of results, from an earlier run for example, unless that folder was named."""
    results = os.path.realpath(folder)

    def is_inside(path: str | Path) -> bool:
        return Path(os.path.realpath(path)).is_relative_to(results)

    if any(map(is_inside, places)):
        return sources
    return [source for source in sources if source.file is None or not is_inside(source.file)]


def results_in(folder: Path) -> list[Path]:
    """Return the files that may be written into a folder."""
    return [folder / name for name in (TABLE, ARRAY, WALK, *(f"{name}.png" for name in plots.PANELS))]


def _table(sources: Sequence[Source], codes: np.ndarray) -> bytes:
    writer = csv.writer(text := io.StringIO(), lineterminator="\n")
    writer.writerow(["name", "label", *(f"z{unit}" for unit in range(codes.shape[1]))])
    for source, code in zip(sources, codes, strict=True):
        writer.writerow([_plain(source.name), _plain(source.label), *(f"{value:.7g}" for value in code.tolist())])
    return text.getvalue().encode("utf-8", "surrogateescape")


def _plain(text: str) -> str:
    """Return a text with an apostrophe before it if a spreadsheet would take it for a formula.

    >>> _plain("=1+1.png"), _plain("a=b.png")
    ("'=1+1.png", 'a=b.png')
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
