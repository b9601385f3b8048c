"""What sections of recipes accept and refuse, wherever their values come from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from vaetool.errors import UsageError
from vaetool.nn.sections import Section
from vaetool.store.kinds import KINDS
from vaetool.store.weights import model_class
from vaetool.training.config import TrainingConfig, read_recipe
from vaetool.training.data import DataConfig

LEGAL = [("max_megapixels", math.inf)]

each_wrong_number = pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, True], ids=str)


def assert_numbers_are_checked(section: Section, name: str, wrong: float) -> None:
    for key, value in vars(section).items():
        first = value[0] if isinstance(value, tuple) and value else value
        if not isinstance(first, int | float) or isinstance(first, bool) or (key, wrong) in LEGAL:
            continue
        given = [wrong] if isinstance(value, tuple) else wrong
        with pytest.raises(UsageError) as caught:
            dataclasses.replace(section, **{key: given})
        assert str(caught.value).startswith(f"{name}.{key} must be ")
        assert str(caught.value).endswith(f", not {given}")


@each_wrong_number
@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_a_kind_is_checked(kind, wrong):
    cls = model_class(kind)
    assert_numbers_are_checked(cls.Config(), "model", wrong)
    assert_numbers_are_checked(cls.Corruption(), "corruption", wrong)
    assert_numbers_are_checked(cls.Objective(), "objective", wrong)


@each_wrong_number
def test_every_number_of_training_is_checked(wrong):
    assert_numbers_are_checked(TrainingConfig(steps=1), "training", wrong)
    assert_numbers_are_checked(DataConfig(), "data", wrong)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("lr", -1, "training.lr must be above 0, not -1"),
        ("batch", 1.5, "training.batch must be a whole number, not 1.5"),
        ("crops", [], "training.crops must be a list of one or more, each from 1 to 4096, not []"),
        ("optimizer", "sgd", "training.optimizer must be adamw or muon, not 'sgd'"),
    ],
)
def test_a_recipe_and_python_are_refused_with_the_same_words(key, value, message):
    with pytest.raises(UsageError) as from_python:
        TrainingConfig(steps=1, **{key: value})
    with pytest.raises(UsageError) as from_recipe:
        read_recipe(kind="dae", training={"steps": 1, key: value})
    assert str(from_python.value) == str(from_recipe.value) == message


def test_lists_whole_numbers_and_those_of_numpy_become_what_is_declared():
    config = TrainingConfig(steps=np.int64(3), lr=1, ema=np.float32(0.5), crops=[32, 64])
    assert (config.steps, config.lr, config.ema, config.crops) == (3, 1.0, 0.5, (32, 64))
    assert [type(value) for value in (config.steps, config.lr, config.ema)] == [int, float, float]
