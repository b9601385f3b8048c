"""The recipe of a training run: from a TOML file, then the options, then `--set`; later ones win.

kind = "dae"

[model]
widths = [32, 64, 128, 192]

[corruption]
sigma_max = 55.0

[data]
scales = [1.0, 0.7]

[training]
minutes = 120.0
"""

from __future__ import annotations

import dataclasses
import tomllib
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from vaetool.errors import UsageError
from vaetool.nn.base import Model
from vaetool.nn.sections import NotNegative, NotNegativeFloat, Positive, PositiveFloat, Section, ShareBelowOne, Some
from vaetool.store.headers import with_article
from vaetool.store.weights import model_class
from vaetool.training.data import DataConfig
from vaetool.training.flags import BUDGETS

DEFAULT_MINUTES = 30.0
"""Minutes of a run without any budget."""

MAX_LINE = 2000
"""Maximum number of characters in a line of a recipe: endless numbers or names would take for ever to parse."""

MAX_PIXELS = 2**28
"""Maximum number of pixels in the crops of a step."""

Crop = Annotated[int, Meta(ge=1, le=4096)]
BatchSize = Annotated[int, Meta(ge=0, le=2**16)]


@dataclass(frozen=True)
class TrainingConfig(Section, name="training"):
    """Settings of training. A run ends when the first of its budgets (those not zero) is spent."""

    minutes: NotNegativeFloat = 0.0  # of wall clock; the learning rate follows the share of it that has passed
    epochs: NotNegativeFloat = 0.0  # an epoch is as many crops as there are training images
    steps: NotNegative = 0
    batch: BatchSize = 16  # crops per step, of all processes, at the first crop size; 0: by images and minutes
    crops: Some[Crop] = (96,)  # sizes used one after the other, equally long; the pixels per step stay the same
    optimizer: Literal["adamw", "muon"] = "adamw"
    lr: PositiveFloat = 1e-3
    lr_final: NotNegativeFloat = 1e-6
    warmup_steps: NotNegative = 500  # at most a tenth of the run
    constant: ShareBelowOne = 0.0  # share of the run at full learning rate before the cosine
    weight_decay: NotNegativeFloat = 0.0
    adversarial: NotNegativeFloat = 0.0  # gradient of an adversary as a multiple of the loss's; 0: no adversary
    adversarial_from: ShareBelowOne = 0.5  # share of the run after which there is one
    clip: PositiveFloat = 1.0  # largest norm of the gradient
    ema: ShareBelowOne = 0.999  # decay of the averaged weights, which are the result
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    validations: Positive = 20  # evenly spread over the run
    patience: NotNegative = 0  # stop after this many validations without improvement; 0: never
    save_minutes: NotNegativeFloat = 2.0  # of wall clock between two saved states
    bf16: bool = False  # on a CPU, if it has units for it (avx512_bf16); a GPU always does
    compile: bool = False  # worth it on a GPU for runs of many minutes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not any(getattr(self, name) for name in BUDGETS):
            raise UsageError("training needs a budget: --minutes, --epochs or --set training.steps=N")
        crop = self.crops[0]
        if self.batch * crop**2 > MAX_PIXELS:
            raise UsageError(
                f"training.batch of {self.batch} crops of {crop} x {crop} is too much for a step: "
                f"{MAX_PIXELS // crop**2} are possible"
            )


@dataclass(frozen=True)
class Recipe:
    """Everything that determines a model except its training images."""

    kind: str
    model: Any
    corruption: Any
    objective: Any
    data: DataConfig
    training: TrainingConfig

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, as in a recipe file."""
        return {
            "kind": self.kind,
            **{name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS},
        }

    def with_batch(self, batch: int) -> Recipe:
        """Return the recipe with a number of crops per step, unless it gives one itself."""
        training = dataclasses.replace(self.training, batch=self.training.batch or batch)
        return dataclasses.replace(self, training=training)


SECTIONS = ("model", "corruption", "objective", "data", "training")


@dataclass
class _Draft:
    kind: str | None = None
    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {name: {} for name in SECTIONS})


def read_recipe(
    base: str | Path | Recipe | None = None,
    kind: str | None = None,
    settings: Iterable[str] = (),
    preset: str | None = None,
    further: bool = False,
    **overrides: Mapping[str, Any],
) -> Recipe:
    """Read a recipe from a TOML file (or another recipe, or the defaults), then apply `overrides` and `settings`.

    overrides: values by section. settings: "section.key=value". A recipe without any budget gets `DEFAULT_MINUTES`.
    preset: one of the kind's, which replaces its defaults unless the file says otherwise. further: use the defaults for
    runs that start from trained weights.

    Raises UsageError for unknown sections and keys, wrong types, and values out of range, naming them; and for a kind
    other than the recipe's.

    >>> recipe = read_recipe(kind="dae", settings=["training.steps=10", "model.blocks=1"])
    >>> recipe.training.steps, recipe.model.blocks
    (10, 1)
    """
    draft = _draft_from(base, overrides, settings)
    if kind is not None and draft.kind is not None and kind != draft.kind:
        raise UsageError(f"this is a recipe for {with_article(draft.kind)}, not for {with_article(kind)}")
    kind = kind or draft.kind
    if kind is None:
        raise UsageError("which kind of model? Name it, or give a recipe with --config")
    cls = model_class(kind)
    _begin_with(draft, cls, preset, further)
    if not any(budget in draft.sections["training"] for budget in BUDGETS):
        draft.sections["training"]["minutes"] = DEFAULT_MINUTES
    return _build(draft, cls, overrides)


def _draft_from(
    base: str | Path | Recipe | None, overrides: Mapping[str, Mapping[str, Any]], settings: Iterable[str]
) -> _Draft:
    """Return all that is said, the last of it having the last word."""
    draft = _Draft()
    if isinstance(base, Recipe):
        _merge(draft, base.as_dict(), "the recipe")
    elif base is not None:
        _merge(draft, _parse_file(Path(base)), str(base))
    for name, values in overrides.items():
        _merge(draft, {name: values}, "the options")
    for setting in settings:
        _merge(draft, _parse_setting(setting), f"--set {setting}")
    return draft


def _build(draft: _Draft, cls: type[Model], overrides: Mapping[str, Mapping[str, Any]]) -> Recipe:
    """Return the checked recipe of a kind, with what the kind itself decides."""
    types: dict[str, type[Section]] = {
        "model": cls.Config,
        "corruption": cls.Corruption,
        "objective": cls.Objective,
        "data": DataConfig,
        "training": TrainingConfig,
    }
    for name, values in overrides.items():
        _check_options(cls.kind, types[name], values, name)
    sections: dict[str, Any] = {key: types[key].from_values(draft.sections[key], f"[{key}]") for key in SECTIONS}
    recipe = Recipe(kind=cls.kind, **sections)
    if recipe.training.adversarial and not cls.meets_adversary:
        raise UsageError(f"the kind {cls.kind} does not train against an adversary (training.adversarial must be 0)")
    forced: dict[str, Any] = {"crops": (recipe.model.size,)} if cls.framing.is_whole else {}
    if cls.only_adversary:
        forced |= {"adversarial": 1.0, "adversarial_from": 0.0}
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, **forced))


def _begin_with(draft: _Draft, cls: type[Model], preset: str | None, further: bool) -> None:
    """Fill gaps in the draft from the preset and the kind's defaults."""
    if preset is not None and preset not in cls.presets:
        known = f"there are: {', '.join(cls.presets)}" if cls.presets else "it has none"
        raise UsageError(f"no preset {preset!r} for the kind {cls.kind}; {known}")
    chosen = cls.presets[preset] if preset is not None else {}
    for name, values in draft.sections.items():
        defaults = cls.further if further and cls.further else cls.defaults
        draft.sections[name] = {**defaults.get(name, {}), **chosen.get(name, {}), **values}


def _check_options(kind: str, section: type[Section], values: Mapping[str, Any], name: str) -> None:
    known = [item.name for item in dataclasses.fields(section)]
    for key in values:
        if key not in known:
            raise UsageError(f"the kind {kind} has no {key}; known in [{name}]: {', '.join(known) or 'nothing'}")


def _merge(draft: _Draft, values: Mapping[str, Any], where: str) -> None:
    for key, value in values.items():
        if key not in ("kind", *SECTIONS):
            raise UsageError(f"unknown section {key!r} in {where}; known: kind, {', '.join(SECTIONS)}")
        if key == "kind":
            if not isinstance(value, str):
                raise UsageError(f"kind = {value!r} in {where} must be a word in quotes")
            draft.kind = value
        elif isinstance(value, Mapping):
            draft.sections[key] |= value
        else:
            raise UsageError(f"{key} in {where} must be a table, [{key}], not {value!r}")


def _parse_file(path: Path) -> dict[str, Any]:
    try:
        return _parse(path.read_text(encoding="utf-8-sig"), str(path))
    except OSError as error:
        raise UsageError(f"{path}: cannot read the recipe ({error.strerror})") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: not a readable recipe ({error})") from error


def _parse(text: str, where: str) -> dict[str, Any]:
    """Parse TOML. Raises TOMLDecodeError, and UsageError, naming the line, for text that takes too long to parse."""
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE:
            raise UsageError(f"{where}: line {number} has more than {MAX_LINE} characters")
    try:
        return tomllib.loads(text)
    except RecursionError:
        number = bisect_left(range(len(lines)), True, key=lambda count: _is_too_deep(lines[: count + 1])) + 1
        raise UsageError(f"{where}: line {number} is nested too deep") from None


def _is_too_deep(lines: list[str]) -> bool:
    try:
        tomllib.loads("\n".join(lines))
    except RecursionError:
        return True
    except tomllib.TOMLDecodeError:
        pass
    return False


def _parse_setting(setting: str) -> dict[str, Any]:
    """Parse one `section.key=value`, the value as TOML; a bare word is a string."""
    key, equals, value = setting.partition("=")
    if len(setting) > MAX_LINE:
        raise UsageError(f"--set {setting[:40]}...: has more than {MAX_LINE} characters")
    if not equals or "." not in key:
        raise UsageError(f"--set {setting}: must be section.key=value, for example training.lr=0.001")
    try:
        return _parse(setting, f"--set {key}")
    except tomllib.TOMLDecodeError:
        section, _, name = key.strip().partition(".")
        return {section: {name: value.strip()}}
