"""Sections of recipes: frozen dataclasses whose declared types and bounds are checked, by msgspec.

`size: Annotated[int, Meta(ge=16, le=256)] = 64` suffices for "model.size must be from 16 to 256, not 8".
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import Meta

from vaetool.errors import UsageError

T = TypeVar("T")

FINITE = sys.float_info.max
"""Upper bound of any finite float; msgspec takes no infinite bounds."""

Positive = Annotated[int, Meta(gt=0)]
NotNegative = Annotated[int, Meta(ge=0)]
PositiveFloat = Annotated[float, Meta(gt=0, le=FINITE)]
NotNegativeFloat = Annotated[float, Meta(ge=0, le=FINITE)]

Share = Annotated[float, Meta(ge=0, le=1)]
ShareBelowOne = Annotated[float, Meta(ge=0, lt=1)]
InnerShare = Annotated[float, Meta(gt=0, lt=1)]
"""A share strictly between 0 and 1."""

Some = Annotated[tuple[T, ...], Meta(min_length=1)]
"""One or more."""

NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
LIMITS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most", "multiple_of": "a multiple of"}


@dataclass(frozen=True)
class Section:
    """A section of recipes; a subclass is a frozen dataclass and gives its name: `class Noise(Section, name="...")`.

    Lists become tuples, and whole numbers floats where declared, wherever values come from. Raises UsageError, naming
    section, key and value, for a value of another type or out of bounds. Other constraints are left to a
    `__post_init__`, which calls this one first.
    """

    _name: ClassVar[str] = "recipe"
    _declared: ClassVar[Mapping[str, Any]] = {}

    def __init_subclass__(cls, name: str | None = None) -> None:
        cls._name = name or cls._name
        hints = get_type_hints(cls, include_extras=True)
        cls._declared = {key: hint for key, hint in hints.items() if get_origin(hint) is not ClassVar}

    def __post_init__(self) -> None:
        for key, declared in self._declared.items():
            value = getattr(self, key)
            plain = value.item() if isinstance(value, np.generic) else value  # msgspec takes no numbers of NumPy
            try:
                object.__setattr__(self, key, msgspec.convert(plain, declared))
            except msgspec.ValidationError as error:
                allowed = _in_words(declared, of_type=", got `" in str(error))
                shown = list(value) if isinstance(value, tuple) else value
                raise UsageError(f"{self._name}.{key} must be {allowed}, not {shown!r}") from None

    @classmethod
    def from_values(cls, values: Mapping[str, Any], where: str) -> Self:
        """Create a section from plain values, as in a recipe; where: their place, named if a key is unknown."""
        for key in values:
            if key not in cls._declared:
                raise UsageError(f"unknown key {key!r} in {where}; known: {', '.join(cls._declared)}")
        return cls(**values)


def _in_words(declared: Any, of_type: bool) -> str:
    """Describe what a declaration allows; of_type: its type rather than its bounds."""
    if get_origin(declared) in (Union, UnionType):
        return " or ".join(_in_words(one, of_type) for one in get_args(declared))
    kind, *metas = get_args(declared) if get_origin(declared) is Annotated else [declared]
    if get_origin(kind) is Literal:
        return " or ".join(", ".join(map(str, get_args(kind))).rsplit(", ", 1))
    if get_origin(kind) is tuple:
        return f"a list{' of one or more' if metas else ''}, each {_in_words(get_args(kind)[0], of_type)}"
    limits = {name: limit for meta in metas for name in LIMITS if (limit := getattr(meta, name)) not in (None, FINITE)}
    if of_type or not limits:
        return NOUNS.get(kind, str(kind))
    if limits.keys() == {"ge", "le"}:
        return f"from {limits['ge']} to {limits['le']}"
    return " and ".join(f"{LIMITS[name]} {limit}" for name, limit in limits.items())
