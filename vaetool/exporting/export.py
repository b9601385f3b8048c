"""The task behind `vaetool export`: a model as a file that other programs run, compared with the model itself."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaetool import __version__
from vaetool.errors import VaetoolError
from vaetool.exporting.formats import OPSET, Run, format_named
from vaetool.exporting.graphs import Graph, graph_of
from vaetool.files.outputs import check_results, refuse_inputs
from vaetool.files.writing import write_atomically
from vaetool.nn.base import Model
from vaetool.store import catalogue
from vaetool.store.weights import load

TOLERANCE = 1e-4
"""Largest difference allowed from the model's own results, relative to the largest value if that exceeds 1."""


@dataclass(frozen=True)
class Exported:
    """A written file. difference: see `TOLERANCE`; None if nothing was installed to check it with."""

    path: Path
    kind: str
    part: str | None
    inputs: dict[str, list[int | str]]
    outputs: list[str]
    multiple: int
    opset: int | None
    difference: float | None


def export(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    part: str | None = None,
    force: bool = False,
) -> Exported:
    """Write a model as a graph that other programs run: an ONNX file, or a .pt2 file of torch.export.

    model: a name or a path. output: ends in .onnx or .pt2. part: "encoder" or "decoder" of an ae, a vae or a gan.
    force: replace a file that exists. What the file computes is compared with the model first; an ONNX file only where
    onnxruntime is installed.
    Raises UsageError for a kind that cannot be exported (codec), FileError, and VaetoolError if results differ.
    """
    path = Path(output)
    form = format_named(path.suffix)
    source = catalogue.find(model)
    refuse_inputs([path], [source])
    check_results([path], force=force)
    loaded = load(source, device="cpu")
    graph = graph_of(loaded, part)
    data = form.write(graph, facts_of(loaded, graph, source))
    checked = all(find_spec(name) is not None for name in form.checkers)
    found = difference(graph, form.open(data)) if checked else None
    if found is not None and not found <= TOLERANCE:
        raise VaetoolError(f"{path}: the graph differs from the model by {found:.2g}, so it is not written")
    write_atomically(path, data, replace=force)
    inputs = {name: _shape_in_words(shape, graph.multiple) for name, shape in graph.shapes.items()}
    opset = OPSET if path.suffix.lower() == ".onnx" else None
    outputs, part = list(graph.outputs), graph.facts.get("part")
    return Exported(path, loaded.kind, part, inputs, outputs, graph.multiple, opset, found)


def facts_of(model: Model, graph: Graph, source: Path) -> dict[str, str]:
    """Return a file's metadata: texts by name, as JSON unless they are plain text or numbers."""
    about = catalogue.describe(source)
    config = dataclasses.asdict(model.config)
    facts = {"producer": f"vaetool {__version__}", "name": about["name"], "kind": model.kind}
    facts |= {"config": json.dumps(config), "multiple": str(graph.multiple), "values": "RGB or grey, from 0 to 1"}
    facts |= {key: about[key] for key in ("licence",) if key in about} | dict(graph.facts)
    return facts | ({"doubt": model.doubt} if model.doubt else {})


def difference(graph: Graph, run: Run) -> float:
    """Return the largest difference between what a file computes and what the model does: see `TOLERANCE`."""
    found = 0.0
    for size in graph.sizes:
        inputs = graph.example(size)
        with torch.no_grad():
            expected = graph.network(*inputs)
        expected = (expected,) if isinstance(expected, Tensor) else expected
        for ours, theirs in zip(expected, run(inputs), strict=True):
            error = np.abs(ours.numpy() - theirs).max() / max(1.0, float(ours.abs().max()))
            found = max(found, float(error)) if np.isfinite(error) else np.inf
    return found


def _shape_in_words(shape: tuple[int, ...], multiple: int) -> list[int | str]:
    names = {2: f"{multiple} * rows", 3: f"{multiple} * columns"}
    return [length or names[axis] for axis, length in enumerate(shape)]
