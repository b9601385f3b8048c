"""Recipes: where their values come from, and what is refused, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaetool.errors import UsageError
from vaetool.store.weights import bundled_folder
from vaetool.training.config import DEFAULT_MINUTES, TrainingConfig, read_recipe

RECIPES = sorted(bundled_folder().glob("*.toml"))

FILE = """
kind = "dae"
[model]
widths = [8, 16]
[training]
lr = 0.1
batch = 2
ema = 0.5
minutes = 3
"""


@pytest.fixture
def recipe_file(tmp_path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(FILE)
    return path


def test_settings_win_over_options_and_options_over_the_file(recipe_file):
    recipe = read_recipe(recipe_file, None, ["training.lr=0.3"], training={"lr": 0.2, "batch": 4})
    assert (recipe.training.lr, recipe.training.batch, recipe.training.ema) == (0.3, 4, 0.5)


def test_of_two_settings_the_later_one_wins():
    assert read_recipe(kind="dae", settings=["training.lr=1.0", "training.lr=2.0"]).training.lr == 2


def test_lists_and_whole_numbers_become_what_the_recipe_needs(recipe_file):
    recipe = read_recipe(recipe_file)
    assert recipe.model.widths == (8, 16)
    assert recipe.training.minutes == 3.0


def test_a_bare_word_is_a_string():
    assert read_recipe(kind="dae", settings=["training.optimizer=muon"]).training.optimizer == "muon"


def test_a_recipe_can_be_changed_like_a_file(recipe_file):
    recipe = read_recipe(recipe_file)
    assert read_recipe(recipe) == recipe
    assert read_recipe(recipe, settings=["training.batch=3"]).training.batch == 3


def test_without_any_budget_a_run_takes_half_an_hour(recipe_file):
    assert read_recipe(kind="dae").training.minutes == DEFAULT_MINUTES == 30
    assert read_recipe(kind="dae", settings=["training.steps=2"]).training.minutes == 0
    assert read_recipe(recipe_file).training.minutes == 3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.learning_rate=1", "unknown key 'learning_rate' in [training]; known: minutes,"),
        ("model.depth=3", "unknown key 'depth' in [model]"),
        ("data.crop=3", "unknown key 'crop' in [data]"),
        ("corruption.sigma=3", "unknown key 'sigma' in [corruption]"),
        ("optimizer.lr=3", "unknown section 'optimizer' in --set optimizer.lr=3"),
        ("training.batch=many", "training.batch must be a whole number, not 'many'"),
        ("training.batch=1.5", "training.batch must be a whole number, not 1.5"),
        ("training.compile=1", "training.compile must be true or false, not 1"),
        ("training.lr=true", "training.lr must be a number, not True"),
        ("training.crops=64", "training.crops must be a list of one or more, each a whole number, not 64"),
        ("training.crops=['a']", "training.crops must be a list of one or more, each a whole number, not ['a']"),
        ("training.crops=[]", "training.crops must be a list of one or more"),
        ("model.blocks=-1", "model.blocks must be above 0 or a list of one or more, each above 0, not -1"),
        ("model.widths=[0]", "model.widths must be a list of one or more, each above 0, not [0]"),
        ("model.widths=[]", "model.widths must be a list of one or more"),
        ("model.widths=[8, 1.5]", "each a whole number, not [8, 1.5]"),
        ("training.optimizer=sgd", "training.optimizer must be adamw or muon, not 'sgd'"),
        ("training.lr=0.0", "training.lr must be above 0"),
        ("training.lr=nan", "training.lr must be above 0, not nan"),
        ("training.batch=-1", "training.batch must be from 0 to 65536"),
        ("training.minutes=-1.0", "training.minutes must be at least 0, not -1.0"),
        ("training.steps=0", "training needs a budget"),
        ("training.ema=1.0", "training.ema must be at least 0 and below 1"),
        ("training.seed=-1", "training.seed must be from 0"),
        ("data.scales=[]", "data.scales must be"),
        ("data.held_out=0.0", "data.held_out must be"),
        ("data.max_megapixels=0.0", "data.max_megapixels must be"),
        ("training.lr", "must be section.key=value"),
        ("lr=3", "must be section.key=value"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(setting, message):
    with pytest.raises(UsageError) as caught:
        read_recipe(kind="dae", settings=[setting])
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "dae"\n[trainning]\nlr = 1.0', "unknown section 'trainning'"),
        ('kind = "dae"\ntraining = 3', "must be a table, [training]"),
        ("kind = 3", "must be a word in quotes"),
        (
            'kind = "van"',
            "unknown kind 'van'; there are: ae, codec, dae, defect, features, flaws, gan, mae, mmvae, vae",
        ),
        ("kind = dae", "not a readable recipe"),
        ("", "which kind of model?"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_recipe(path)
    assert message in str(caught.value)


def test_kinds_have_defaults_of_their_own_under_the_recipe(recipe_file):
    assert read_recipe(kind="vae").training.batch == 0
    assert read_recipe(kind="vae", settings=["training.batch=3"]).training.batch == 3
    assert read_recipe(recipe_file).training.batch == 2


def test_a_preset_changes_what_nothing_else_does():
    recipe = read_recipe(kind="ae", preset="lecture-2d", settings=["model.latent=3"], model={"size": 28})
    assert (recipe.model.latent, recipe.model.size, recipe.model.widths) == (3, 28, (32, 64, 128))
    assert recipe.training.crops == (28,)


def test_an_element_of_a_list_without_default_is_checked_as_well():
    with pytest.raises(UsageError, match=r"model\.directions must be a list, each text, not \[1\]"):
        read_recipe(kind="vae", settings=["model.directions=[1]"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_for_another_kind_is_refused(recipe_file):
    with pytest.raises(UsageError, match="a recipe for a dae, not for a vae"):
        read_recipe(recipe_file, "vae")


def test_a_recipe_as_plain_values_is_a_recipe_again(recipe_file):
    values = read_recipe(recipe_file).as_dict()
    assert list(values) == ["kind", "model", "corruption", "objective", "data", "training"]
    assert values["training"]["batch"] == 2


def test_a_training_without_budget_cannot_be_made():
    with pytest.raises(UsageError, match="needs a budget"):
        TrainingConfig()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_bundled_recipe_runs(path, tmp_path, pictures):
    from vaetool import train

    crop = 192 if read_recipe(path).kind == "codec" else 64
    smaller = ["training.steps=2", "training.batch=1", f"training.crops=[{crop}]"]
    result = train(None, pictures, output=tmp_path / "m.safetensors", recipe=path, settings=smaller, device="cpu")
    assert result.steps == 2
    assert result.path.is_file()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_bundled_recipe_names_its_own_command(path):
    assert path.read_text().startswith(f"# vaetool train --config pretrained/{path.name} ")


def test_there_are_bundled_recipes():
    assert RECIPES


# Recipes that nobody means


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.batch=1000000000", "training.batch must be from 0 to 65536, not 1000000000"),
        ("training.crops=[1000000]", "training.crops must be a list of one or more, each from 1 to 4096"),
        ("training.batch=60000", "training.batch of 60000 crops of 96 x 96 is too much for a step: 29127 are possible"),
        ("model.widths=" + "[" * 1500, "--set model.widths: line 1 is nested too deep"),
        ("training.steps=" + "1" * 5000, "--set training.steps=11.*: has more than 2000 characters"),
    ],
)
def test_a_setting_of_absurd_size_is_refused(setting, message):
    with pytest.raises(UsageError, match=message):
        read_recipe(kind="dae", settings=["training.steps=1", setting])


@pytest.mark.parametrize(
    "setting",
    ["widths=[1000000,1000000]", "widths=[9223372036854775808]", "blocks=1000000000", "estimator_widths=[99999999]"],
)
def test_a_network_of_absurd_size_is_refused_before_it_is_built(setting):
    from vaetool.training.preparation import new_model

    recipe = read_recipe(kind="dae", settings=["training.steps=1", f"model.{setting}"])
    with pytest.raises(UsageError, match=r"^\[model\] is not valid: [^\n]*$"):
        new_model(recipe)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps = " + "1" * 5000, "line 3 has more than 2000 characters"),
        ("steps" + ".a" * 100_000 + " = 1", "line 3 has more than 2000 characters"),
        ("crops = \n" + "[\n" * 100_000, "not a readable recipe"),
        ("crops = [\n" + ("[" * 1000 + "\n") * 100, "line 4 is nested too deep"),
    ],
    ids=["digits", "keys", "no-value", "lists"],
)
def test_a_file_that_would_keep_the_parser_busy_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "recipe.toml"
    path.write_text(f"kind = 'dae'\n[training]\n{text}")
    with pytest.raises(UsageError, match=rf"recipe\.toml: {message}"):
        read_recipe(path)
