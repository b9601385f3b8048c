"""What every kind of model shares: a configuration that rebuilds it, a batch, a loss, a figure of merit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vaetool.errors import UsageError

Batch = dict[str, Tensor]
"""Tensors by name, all with the same first dimension, so that any part of a batch is a batch."""

Losses = dict[str, Tensor]
"""Scalars by name; `loss` is the one to minimise, the others are its parts."""

KINDS: dict[str, type[Model]] = {}


class Model(nn.Module):
    """An autoencoder that can be trained, saved and rebuilt.

    A kind is a subclass with a frozen `Config` dataclass of what shapes the network, and a frozen `Corruption`
    dataclass of what its training does to clean images.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[Any]]
    Corruption: ClassVar[type[Any]]
    figure: ClassVar[str]
    """Name of the figure of merit that `validate` returns; higher is better."""
    lr_ratios: ClassVar[Mapping[str, float]] = {}
    """Learning rates of parts of the network, by attribute, as multiples of the run's."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Self:
        """Build an untrained model from the plain values of a recipe or a model file."""
        return cls(dataclass_from(cls.Config, values, where=f"[model] of a {cls.kind}"))

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Any) -> Batch:
        """Make a training batch of clean images, (batch, channels, height, width) in 0..1.

        All randomness of a training step is drawn here, from `generator`, so that a step can be repeated exactly.
        """
        raise NotImplementedError

    def loss(self, batch: Batch) -> Losses:
        """What training minimises: means over the batch."""
        raise NotImplementedError

    def validate(self, batch: Batch) -> dict[str, float]:
        """Figures on one held-out batch, the one named by `figure` among them."""
        raise NotImplementedError

    def example(self, batch: Batch) -> list[Tensor]:
        """What to show of a held-out batch: pictures before and after, each (batch, channels, height, width)."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Losses:
        """The loss: distributed training wraps `forward`."""
        return self.loss(batch)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device


def register(kind: str) -> Callable[[type[Model]], type[Model]]:
    """Make a model class known under the name of its kind."""

    def decorate(cls: type[Model]) -> type[Model]:
        cls.kind = kind
        KINDS[kind] = cls
        return cls

    return decorate


def dataclass_from(cls: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """A frozen dataclass from plain values; unknown keys and wrong types are refused by name.

    Lists become tuples, whole numbers become floats where a float is asked for.

    Raises UsageError.
    """
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in values:
        if key not in fields:
            raise UsageError(f"unknown key {key!r} in {where}; known: {', '.join(fields)}")
    return cls(**{key: _coerce(value, fields[key], where) for key, value in values.items()})


def _coerce(value: Any, field: dataclasses.Field[Any], where: str) -> Any:
    default = field.default if field.default is not dataclasses.MISSING else None
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and type(value) is not type(default):
        raise UsageError(f"{field.name} = {value!r} in {where} must be of type {type(default).__name__}")
    return value
