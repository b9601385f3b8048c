"""The files of a training run; one holds its whole state, so that a killed run resumes as if nothing had happened."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from vaetool.errors import UsageError, VaetoolError
from vaetool.files.outputs import refuse_existing, refuse_inputs
from vaetool.images.sources import files_in
from vaetool.store import catalogue
from vaetool.store.headers import read_header, with_article
from vaetool.store.weights import SUFFIX, write_tensors
from vaetool.training.flags import BUDGETS

CHANGEABLE = {*BUDGETS, "lr", "lr_final", "patience", "save_minutes"}
"""Keys of [training] that may change when a run is resumed: its length, a learning rate that was too high."""

LESSON = "lesson "
"""With its number, the group of tensors that a lesson of a course began with."""

_DAMAGE = (LookupError, TypeError, ValueError, AttributeError, msgspec.ValidationError)
"""Exceptions raised by plain values of an unexpected shape."""


@dataclass(frozen=True)
class Result:
    """The result of a run: the model file and its figures on the held-out images, at the start and at the end.

    was_finished: there was nothing to resume; `before` and `held_out` are unknown then.
    """

    path: Path
    before: dict[str, float]
    figures: dict[str, float]
    held_out: int
    steps: int
    seconds: float
    was_finished: bool = False


@dataclass
class Progress:
    """The progress of a run."""

    step: int = 0
    crops: int = 0  # seen so far
    seconds: float = 0.0
    validations: int = 0
    best: float = float("-inf")
    since_best: int = 0
    before: dict[str, float] = field(default_factory=dict)  # figures of the weights it began with
    figures: dict[str, float] = field(default_factory=dict)  # those of the best weights so far
    init: str = ""  # the model whose weights it began with


def beside(output: Path, suffix: str) -> Path:
    """Return the path of a file next to `output`, the model file of its run.

    >>> beside(Path("mine.safetensors"), ".training.png").name
    'mine.training.png'
    """
    return output.with_name(output.name.removesuffix(SUFFIX) + suffix)


def state_path(output: Path) -> Path:
    """Return the path of a run's state, kept while it runs."""
    return beside(output, ".state" + SUFFIX)


def best_path(output: Path) -> Path:
    """Return the path of a run's best weights so far, kept while it runs."""
    return beside(output, ".best" + SUFFIX)


def log_path(output: Path) -> Path:
    """Return the path of a run's log."""
    return beside(output, ".training.csv")


def picture_path(output: Path) -> Path:
    """Return the path of a run's curves and examples."""
    return beside(output, ".training.png")


def latent_path(output: Path) -> Path:
    """Return the path of a run's plots of codes, if its model has codes."""
    return beside(output, ".latent.png")


def model_name(model: str | Path) -> str:
    """Return the name of a model, given by name or path."""
    return Path(model).name.removesuffix(SUFFIX)


def check_output(output: str | Path) -> Path:
    """Return the path of a model file, after creating its folder and checking that it can be written.

    Raises UsageError.
    """
    path = Path(output)
    if path.suffix != SUFFIX:
        raise UsageError(f"{output}: a model file ends in {SUFFIX}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot write to {path.parent}: {error.strerror or error}") from error
    if path.is_dir():
        raise UsageError(f"{output}: is a folder")
    return path


def check_new(output: Path) -> None:
    """Raise UsageError if a run with this output would replace files, naming the first."""
    if state_path(output).exists():
        raise UsageError(f"{output}: a run was interrupted here; continue with --resume, or start again with --force")
    refuse_existing(_results(output))


def check_replaced(output: Path, recipe: object, init: str | Path | None, places: Iterable[str | Path]) -> None:
    """Raise UsageError if a run with this output would replace its inputs: images, a recipe, another model."""

    def read() -> Iterator[object]:
        yield Path(recipe) if isinstance(recipe, str | Path) else None
        if init is not None:
            with suppress(VaetoolError):  # loading it reports the problem
                yield catalogue.find(init)
        yield from files_in(places)

    refuse_inputs([*_results(output), state_path(output), best_path(output)], read())


def finished(output: Path, kind: str) -> Result | None:
    """Return the result of a finished run, None if there is a run to resume or to begin.

    Raises UsageError if its model is of another kind, WeightsError if the file is not a model.
    """
    if state_path(output).exists() or not output.exists():
        return None
    header = read_header(output)
    if header.kind != kind:
        raise UsageError(f"{output} exists and is {with_article(header.kind)}, not {with_article(kind)}")
    about = header.training
    return Result(output, {}, about.get("held_out", {}), 0, about.get("steps", 0), about.get("seconds", 0.0), True)


def remove_state(output: Path) -> None:
    """Remove the files kept only during a run, starting with the state, which marks it as unfinished."""
    state_path(output).unlink(missing_ok=True)
    best_path(output).unlink(missing_ok=True)


@contextmanager
def claimed(output: Path) -> Iterator[None]:
    """Keep other runs from writing the same model while the context is open.

    The lock is the kernel's, which is released however the process ends. Raises UsageError.
    """
    lock = FileLock(beside(output, ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError(f"{output}: another run is writing it; wait for its end, or choose another name") from None
    except OSError as error:
        raise UsageError(f"cannot write to {output.parent}: {error.strerror or error}") from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows keeps a file that is open
            Path(lock.lock_file).unlink()
        lock.release()


def _results(output: Path) -> list[Path]:
    return [output, log_path(output), picture_path(output), latent_path(output)]


def save_state(
    path: Path,
    tensors: dict[str, dict[str, Tensor]],
    optimizers: list[torch.optim.Optimizer],
    progress: Progress,
    recipe: dict[str, Any],
) -> None:
    """Write groups of tensors (the weights, their average, ...), the optimizers' moments and the progress."""
    flat = {f"{group}/{name}": tensor for group, values in tensors.items() for name, tensor in values.items()}
    for number, optimizer in enumerate(optimizers):
        for index, moments in optimizer.state_dict()["state"].items():
            flat |= {f"optimizer/{number}/{index}/{name}": torch.as_tensor(value) for name, value in moments.items()}
    metadata = {"vaetool-state": json.dumps({"progress": asdict(progress), "recipe": recipe})}
    write_tensors(path, flat, metadata)


def load_state(
    path: Path,
    tensors: dict[str, dict[str, Tensor]],
    optimizers: list[torch.optim.Optimizer],
    recipe: dict[str, Any],
) -> tuple[Progress, dict[int, dict[str, Tensor]]]:
    """Restore the tensors and optimizers from a file of `save_state`; return the progress, and lessons by number.

    Raises UsageError if the file is damaged or from another recipe.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["vaetool-state"])
            flat = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        _check_recipe(path, about["recipe"], recipe)
        for group, values in tensors.items():
            for name, tensor in values.items():
                if flat[f"{group}/{name}"].shape != tensor.shape:
                    raise ValueError(f"{group}/{name} has another shape")
                tensor.copy_(flat[f"{group}/{name}"])
        for number, optimizer in enumerate(optimizers):
            _fill_optimizer(optimizer, f"optimizer/{number}/", flat)
        return msgspec.convert(about["progress"], Progress), _lessons(flat, tensors["average"])
    except (SafetensorError, *_DAMAGE, RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"{path}: a damaged training state ({reason}); start again with --force") from error


def began_with(path: Path) -> tuple[str, int]:
    """Return the name of the model and the batch that a saved run began with.

    An empty name stands for new weights; both are empty without a saved run that can be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["vaetool-state"])
        return str(about["progress"]["init"]), msgspec.convert(about["recipe"]["training"]["batch"], int)
    except (SafetensorError, *_DAMAGE, RecursionError, OSError):
        return "", 0


def _check_recipe(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(now))
    for section, values in plain.items():
        kept = saved[section]
        if section == "training":
            values, kept = ({k: v for k, v in x.items() if k not in CHANGEABLE} for x in (values, kept))
        if isinstance(values, dict):
            values = {key: value for key, value in values.items() if key in kept}  # without entries of later versions
        if values == kept:
            continue
        what = section
        if isinstance(values, dict):
            what = ", ".join(f"{section}.{key}" for key in {**kept, **values} if kept.get(key) != values.get(key))
        raise UsageError(f"{path}: begun with different {what}; resume with the same, or start again with --force")


def _lessons(flat: dict[str, Tensor], model: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    found: dict[int, dict[str, Tensor]] = {}
    for group_and_name, tensor in flat.items():
        group, name = group_and_name.split("/", 1)
        if group.startswith(LESSON):
            found.setdefault(int(group.removeprefix(LESSON)), {})[name] = tensor
    for number, tensors in found.items():
        if {name: tensor.shape for name, tensor in tensors.items()} != {n: t.shape for n, t in model.items()}:
            raise ValueError(f"{LESSON}{number} has other shapes")
    return found


def _fill_optimizer(optimizer: torch.optim.Optimizer, prefix: str, flat: dict[str, Tensor]) -> None:
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in flat.items():
        if name.startswith(prefix):
            number, moment = name.removeprefix(prefix).split("/")
            index = int(number)
            if tensor.shape == weights[index].shape:
                # A file knows no memory layout, but fused optimizers walk moments and weights side by side.
                tensor = torch.empty_like(weights[index], dtype=tensor.dtype).copy_(tensor)
            state.setdefault(index, {})[moment] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
