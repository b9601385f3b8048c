"""File formats of graphs: writing a graph as bytes, and running these for comparison with the model."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from vaetool.errors import UsageError
from vaetool.exporting.graphs import Graph

OPSET = 18
"""Version of the ONNX operators in a file."""

MAX_SIDE = 16384
FACTS = "vaetool.json"
"""Name of the facts inside a .pt2 file."""

Run = Callable[[Sequence[Tensor]], list[np.ndarray]]
"""Computes the outputs of a graph."""


@dataclass(frozen=True)
class Format:
    """A file format: the modules from the extra `onnx` that writing and checking need."""

    write: Callable[[Graph, Mapping[str, str]], bytes]
    open: Callable[[bytes], Run]
    writers: tuple[str, ...] = ()
    checkers: tuple[str, ...] = ()


def format_named(suffix: str) -> Format:
    """Return the format of a suffix. Raises UsageError for an unknown suffix, and for missing modules."""
    if suffix.lower() not in FORMATS:
        raise UsageError(f"a graph is written to a file ending in {' or '.join(FORMATS)}, not {suffix or 'nothing'!r}")
    chosen = FORMATS[suffix.lower()]
    if any(find_spec(name) is None for name in chosen.writers):
        raise UsageError("ONNX files need more packages: pip install 'vaetool[onnx]'")
    return chosen


def traced(graph: Graph) -> ExportedProgram:
    """Trace a graph with PyTorch, with free heights and widths if it has them."""
    free = None
    if graph.multiple:
        height, width = (Dim(name, min=1, max=MAX_SIDE // graph.multiple) for name in ("rows", "columns"))
        free = {name: {2: graph.multiple * height, 3: graph.multiple * width} for name in graph.shapes}
    with torch.no_grad(), _silence():
        program = torch.export.export(graph.network, graph.example(graph.sizes[0]), dynamic_shapes=free)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # most of the file otherwise, with paths of this machine
    return program


def onnx_bytes(graph: Graph, facts: Mapping[str, str]) -> bytes:
    """Encode a graph as an ONNX file, with facts in `metadata_props`."""
    with _silence():
        program = torch.onnx.export(
            traced(graph),
            input_names=list(graph.shapes),
            output_names=list(graph.outputs),
            opset_version=OPSET,
            dynamo=True,
            optimize=False,  # the runtime does that anyway, and here it takes as long as everything else
            verbose=False,
        )
        assert program is not None
        proto = program.model_proto
    for part in (*proto.graph.node, *proto.graph.value_info, *proto.graph.initializer, *proto.functions):
        del part.metadata_props[:]  # notes of the exporter
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value)
    return proto.SerializeToString()


def open_onnx(data: bytes) -> Run:
    """Open an ONNX file with onnxruntime, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    return lambda inputs: session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})


def pt2_bytes(graph: Graph, facts: Mapping[str, str]) -> bytes:
    """Encode a graph as a file of torch.export, with facts as JSON in its extra file `FACTS`."""
    file = io.BytesIO()
    with _silence():
        torch.export.save(traced(graph), file, extra_files={FACTS: json.dumps(dict(facts))})
    return file.getvalue()


def open_pt2(data: bytes) -> Run:
    """Open a file just written with torch.export."""
    with _silence():
        network = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: Sequence[Tensor]) -> list[np.ndarray]:
        with torch.no_grad():
            found = network(*inputs)
        return [x.numpy() for x in ((found,) if isinstance(found, Tensor) else found)]

    return run


@contextmanager
def _silence() -> Iterator[None]:
    """Silence PyTorch's messages about its internals on standard error during an export."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


FORMATS = {
    ".onnx": Format(onnx_bytes, open_onnx, ("onnx", "onnxscript"), ("onnxruntime",)),
    ".pt2": Format(pt2_bytes, open_pt2),
}
