"""Loading and saving of models.

A model file is safetensors with the whole configuration inside, so that a file alone rebuilds its model. Nothing is
ever
unpickled: a file is tensors and JSON, or it is refused. The parts that need no torch are in `vaetool.store.headers` and
`vaetool.store.catalogue`, and can be imported from here as well.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaetool.errors import DeviceError, WeightsError, WrongKindError, is_out_of_memory
from vaetool.store.catalogue import (
    bundled_folder,
    find,
    list_models,
    manifest,
    names_of,
    search_folders,
    sha256,
    user_folder,
)
from vaetool.store.headers import FORMAT, SCALE, SUFFIX, Header, read_header, with_article
from vaetool.store.kinds import KINDS

if TYPE_CHECKING:
    import torch

    from vaetool.nn.base import Model
    from vaetool.nn.precision import Precision

__all__ = [
    "SUFFIX",
    "Header",
    "bundled_folder",
    "find",
    "list_models",
    "load",
    "manifest",
    "model_class",
    "read_header",
    "resolve_device",
    "save",
    "search_folders",
    "sha256",
    "user_folder",
    "write_tensors",
]

MAX_NAMED = 3  # models that are named if one of another kind is given
DEVICE_TYPES = ("cpu", "cuda", "mps")


def resolve_device(device: str) -> torch.device:
    """Return the device of a name; `auto` is a GPU if there is one, else the CPU.

    Raises DeviceError for an unknown name, and for a device that does not exist.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(rf"({'|'.join(DEVICE_TYPES)})(:\d+)?", str(device)):
        raise DeviceError(f"unknown device {str(device)!r}; there are auto, {', '.join(DEVICE_TYPES)}, and cuda:1 etc.")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise DeviceError(f"device {str(device)!r} is not available: {_brief(error)}") from error
    return found


def model_class(kind: str) -> type[Model]:
    """Return the class of a kind, imported on first use.

    Raises WrongKindError for an unknown one.
    """
    import importlib

    from vaetool.nn.base import CLASSES

    if kind not in KINDS:
        raise WrongKindError(f"unknown kind {kind!r}; there are: {', '.join(KINDS)}")
    importlib.import_module(KINDS[kind].module)
    return CLASSES[kind]


def load(
    name: str | os.PathLike[str],
    *,
    device: str = "auto",
    kind: str | tuple[str, ...] | None = None,
    precision: Precision = "float32",
) -> Any:
    """Load a model by name or path, ready to use: weights on `device` ("auto", "cpu", "cuda", "cuda:1", "mps").

    kind: refuse models of other kinds. Weights stored in half precision, or in eight bits, are used in single
    precision;
    precision: of computations, see `vaetool.nn.precision.set_precision`.
    Raises ModelNotFoundError, WrongKindError, DeviceError, WeightsError.
    """
    header = read_header(find(name))
    if kind is not None:
        _check_kind(os.fspath(name), header.kind, (kind,) if isinstance(kind, str) else kind)

    import torch

    from vaetool.nn.precision import set_precision

    place = resolve_device(device)
    model = _build(header)
    _fill(model, header)
    model.doubt = header.doubt
    model = model.requires_grad_(False).to(place).to(memory_format=torch.channels_last).eval()
    set_precision(model, precision)
    return model


def as_model(
    model: str | os.PathLike[str] | Model,
    *,
    kind: tuple[str, ...],
    device: str = "auto",
    precision: Precision = "float32",
) -> Any:
    """Return a model, given itself, its name or its path, if its kind is one of these. Raises as `load`."""
    if isinstance(model, str | os.PathLike):
        return load(model, device=device, kind=kind, precision=precision)
    _check_kind("the model", model.kind, kind)
    return model


def _check_kind(name: str, kind: str, wanted: tuple[str, ...]) -> None:
    if kind not in wanted:
        needed = " or ".join(filter(None, (", ".join(map(with_article, wanted[:-1])), with_article(wanted[-1]))))
        fitting = names_of(wanted)[:MAX_NAMED]
        examples = f", such as {' or '.join(fitting)}" if fitting else ""
        raise WrongKindError(f"{name}: this is {with_article(kind)}; {needed} is needed{examples}")


def _build(header: Header) -> Model:
    """Build the network without its weights, on the device `meta`, to compare sizes before any memory is taken."""
    import torch

    cls = model_class(header.kind)
    try:
        with torch.device("meta"), blueprint(len(header.shapes), "it asks for weights that the file does not have"):
            model = cls.from_config(header.config)
    except Exception as error:  # anything that a strange configuration causes
        raise WeightsError(f"{header.path}: its configuration is not valid ({_brief(error)})") from error
    if {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} != header.shapes:
        raise WeightsError(f"{header.path}: its weights do not fit its own configuration")
    return model


def blueprint(tensors: int, refusal: str) -> AbstractContextManager[Any]:
    """Keep this thread from drawing random weights, and from creating more tensors than a model with this number needs.

    refusal: message of the ValueError raised otherwise.

    Sizes cost nothing on `meta`, but building a billion layers there would take for ever, and drawing unneeded normal
    numbers would import nine hundred modules.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Blueprint(TorchFunctionMode):
        left = 2 * tensors + 100  # tables and the like may be made on the way

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function in (torch.Tensor.normal_, torch.Tensor.uniform_):
                return args[0]
            made = function(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and not any(isinstance(value, torch.Tensor) for value in args):
                self.left -= 1
                if self.left < 0 or not made.numel():
                    raise ValueError(refusal)
            return made

    return Blueprint()


def _fill(model: Model, header: Header) -> None:
    """Read the weights into a model whose tensors have the sizes in the header."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    wanted = model.state_dict()
    try:
        stored = _multiplied(from_bytes(header.path.read_bytes()), header.shapes)
        for name, tensor in stored.items():
            if tensor.is_floating_point() != wanted[name].is_floating_point():
                raise WeightsError(f"{header.path}: its weights are {tensor.dtype}, which its kind does not use")
            if not tensor.isfinite().all():
                raise WeightsError(f"{header.path}: some of its weights are not numbers ({_brief(name)})")
        model.load_state_dict({name: tensor.to(wanted[name].dtype) for name, tensor in stored.items()}, assign=True)
    except OSError as error:
        raise WeightsError(f"{header.path}: cannot be read ({error.strerror})") from error
    except (SafetensorError, KeyError, RuntimeError) as error:  # or it was replaced since its header was read
        if is_out_of_memory(error):
            raise
        raise WeightsError(f"{header.path}: a damaged model file ({_brief(error)})") from error


def in_eight_bits(tensor: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantise a layer's weights, (rows, ...), to int8; return them and the factors that restore the rows, (rows,).

    The error of a weight is at most 1/254 of the largest in its row.
    """
    import torch

    rows = tensor.detach().float().flatten(1)
    scale = rows.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny * 127) / 127
    return (rows / scale[:, None]).round().to(torch.int8).view(tensor.shape), scale


def _multiplied(stored: Mapping[str, torch.Tensor], shapes: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Restore the weights that `in_eight_bits` converted."""
    tensors = {name: tensor for name, tensor in stored.items() if name in shapes}
    for name in stored.keys() - shapes.keys():
        base = name.removesuffix(SCALE)
        rows = tensors[base].float()
        tensors[base] = rows * stored[name].view(-1, *(1,) * (rows.ndim - 1))
    return tensors


def _brief(text: object) -> str:
    """Return at most 200 characters of a text, on one line, since a file can make a message arbitrarily long."""
    return " ".join(str(text).split())[:200]


def save(
    path: str | os.PathLike[str],
    model: Model,
    training: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write a model file atomically: `weights` (by default the model's own), its configuration, how it was trained.

    Raises FileError.
    """
    import dataclasses

    about = {
        "format": FORMAT,
        "kind": model.kind,
        "config": dataclasses.asdict(model.config),
        "training": dict(training),
    }
    write_tensors(path, weights or model.state_dict(), {"vaetool": json.dumps(about)})


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file atomically: a process killed at any moment leaves the old file or the new one.

    Raises FileError.
    """
    from safetensors.torch import save as to_bytes

    from vaetool.files.writing import write_atomically

    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_atomically(Path(path), to_bytes(dense, dict(metadata)))
