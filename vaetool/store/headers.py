"""Headers of model files: the JSON header of a safetensors file, read with the standard library alone.

Model files come from strangers. Everything in a header is checked before it is trusted: a file is either valid in every
detail, or WeightsError says in one line what is wrong with it.
"""

from __future__ import annotations

import json
import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from reprlib import repr as _short
from typing import Any

from vaetool.errors import WeightsError
from vaetool.store.kinds import KINDS

SUFFIX = ".safetensors"
FORMAT = 1
MAX_HEADER_BYTES = 1 << 20
MAX_DIMENSIONS = 8  # of a tensor; the product of very many sizes would take seconds
MAX_DOUBT = 500  # characters
MAX_LEVELS = 16  # of nesting in the description of a model
SCALE = ".scale"
"""Suffix to the name of an eight-bit tensor in the name of its rows' factors."""

DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True)
class Header:
    """The header of a model file."""

    path: Path
    kind: str
    config: dict[str, Any]
    training: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    bytes: int

    @property
    def doubt(self) -> str | None:
        """The failure of its training, on one line of bounded length, or None."""
        found = self.training.get("doubt")
        return " ".join(found.split())[:MAX_DOUBT] if isinstance(found, str) else None

    def parameters(self) -> int:
        """Count the weights."""
        return sum(map(prod, self.shapes.values()))

    def parts(self) -> dict[str, int]:
        """Count the weights in each part of the network, such as encoder and decoder."""
        counts: Counter[str] = Counter()
        for name, shape in self.shapes.items():
            counts[name.partition(".")[0]] += prod(shape)
        return dict(sorted(counts.items()))

    def facts(self) -> dict[str, Any]:
        """Return the header as plain values, with weights counted instead of listed."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "bytes": self.bytes,
            "weights": sorted(set(self.dtypes.values())),
            "config": self.config,
            "parameters": {"all": self.parameters(), **self.parts()},
            "training": self.training,
        }


def with_article(kind: str) -> str:
    """Return a kind with its article.

    >>> with_article("ae"), with_article("vae"), with_article("mmvae"), with_article("features")
    ('an ae', 'a vae', 'an mmvae', 'a model of features')
    """
    if kind.endswith("s"):
        return f"a model of {kind}"
    return f"{'an' if kind.startswith(('a', 'e', 'i', 'o', 'u', 'mm')) else 'a'} {kind}"


def is_safetensors(head: bytes) -> bool:
    """Tell whether the first bytes of a file, nine at least, look like those of a safetensors file."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= MAX_HEADER_BYTES


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read and check the header of a model file, without reading its weights and without torch.

    Raises WeightsError if it is not a vaetool model file, is truncated, or contradicts its own size.
    """
    path = Path(path)
    values, size, data_bytes = _read_json(path)
    try:
        about = _strict_json(values.pop("__metadata__")["vaetool"])
        form, kind, config, training = (about[key] for key in ("format", "kind", "config", "training"))
    except (KeyError, TypeError, ValueError, RecursionError):
        raise WeightsError(f"{path}: a safetensors file, but not a vaetool model") from None
    if type(form) is int and form > FORMAT:
        raise WeightsError(f"{path}: model format {_short(form)} is newer than this vaetool, which reads {FORMAT}")
    if type(form) is not int or form != FORMAT:
        raise WeightsError(f"{path}: unknown model format {_short(form)}; this vaetool reads format {FORMAT}")
    if not isinstance(kind, str) or kind not in KINDS:
        known = ", ".join(KINDS)
        raise WeightsError(f"{path}: a model of unknown kind {_short(kind)}; this vaetool knows: {known}")
    if not (isinstance(config, dict) and isinstance(training, dict) and _is_shallow(about, MAX_LEVELS)):
        raise WeightsError(f"{path}: a damaged model file (its description is invalid)")
    shapes = _checked_shapes(path, values, data_bytes)
    dtypes = {name: values[name]["dtype"] for name in shapes}
    for name in [name for name, dtype in dtypes.items() if dtype == "I8" and name + SCALE in shapes]:
        if shapes.pop(name + SCALE) != shapes[name][:1]:
            raise WeightsError(f"{path}: a damaged model file ({_short(name)} and its scale do not fit)")
        del dtypes[name + SCALE]
    return Header(path, kind, config, training, shapes, dtypes, size)


def _read_json(path: Path) -> tuple[dict[str, Any], int, int]:
    """Return the JSON at the start of a safetensors file, the file's size, and the number of bytes of tensors."""
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise WeightsError(f"{path}: a {'folder' if path.is_dir() else 'device or pipe'}, not a model file")
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            (length,) = struct.unpack("<Q", file.read(8))
            if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
                raise ValueError
            values = _strict_json(file.read(length).decode("utf-8"))
            if not isinstance(values, dict):
                raise TypeError
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    except (TypeError, ValueError, RecursionError, struct.error):
        raise WeightsError(f"{path}: not a safetensors file, or a damaged one (no other format is loaded)") from None
    return values, size, size - 8 - length


def _strict_json(text: str) -> Any:
    """Parse JSON without duplicate keys, which two readers could understand differently."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a duplicate key")
        return values

    return json.loads(text, object_pairs_hook=unique)


def _is_shallow(value: Any, levels: int) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    return levels > 0 and (not isinstance(value, list) or all(_is_shallow(item, levels - 1) for item in value))


def _checked_shapes(path: Path, tensors: Mapping[str, Any], data_bytes: int) -> dict[str, tuple[int, ...]]:
    """Return shapes by name, checked to fill the rest of the file one after the other, without gaps or overlaps."""
    shapes = {}
    end = 0
    try:
        for name, entry in sorted(tensors.items(), key=lambda item: item[1]["data_offsets"]):
            first, last = entry["data_offsets"]
            shape = tuple(entry["shape"])
            if len(shape) > MAX_DIMENSIONS or not all(type(n) is int for n in (*shape, first, last)):  # and not bool
                raise ValueError
            if min((*shape, 1)) < 1 or first != end or last - first != prod(shape) * DTYPE_BYTES[entry["dtype"]]:
                raise ValueError
            shapes[name], end = shape, last
    except (KeyError, TypeError, ValueError, RecursionError):
        raise WeightsError(f"{path}: a damaged model file (its table of tensors is wrong)") from None
    if end != data_bytes:
        raise WeightsError(f"{path}: a damaged model file ({data_bytes} bytes of weights instead of {end})")
    return shapes
