"""`-h`, the help page that fits one screen."""

from __future__ import annotations

import pytest

from vaetool.cli import app
from vaetool.cli.short import OFTEN_USED, WIDTH

NAMES = [command.callback.__name__ for command in app.registered_commands]
SCREEN = 24  # lines of a terminal


@pytest.mark.parametrize("name", NAMES)
def test_it_fits_one_screen_and_shows_examples_and_options(vaetool, name):
    result = vaetool(name, "-h")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert len(lines) <= SCREEN
    assert sum(line.startswith(f"vaetool {name}") for line in lines) >= 2
    options = [line for line in lines if line.startswith("-")]
    assert len(options) == len(OFTEN_USED[name]) <= 10
    assert max(map(len, options)) <= WIDTH
    assert lines[-1].endswith(f"vaetool {name} --help")


def test_it_is_shown_wherever_it_is_asked_for_and_nothing_else_is_done(vaetool, tmp_path):
    assert vaetool("denoise", tmp_path / "missing.jpg", "-h").stdout == vaetool("denoise", "-h").stdout


def test_after_two_dashes_it_is_a_file(vaetool):
    result = vaetool("denoise", "--", "-h")
    assert (result.exit_code, "-h" in result.stderr) == (1, True)


def test_the_whole_page_names_the_short_one(vaetool):
    page = vaetool("denoise", "--help").stdout
    assert "Show this page; -h shows the most used options." in page
    assert len(page.splitlines()) > 2 * SCREEN


@pytest.mark.parametrize(("name", "extra"), [("morph", "portraits"), ("denoise", "ray"), ("score", "ray")])
def test_the_whole_page_keeps_brackets(vaetool, name, extra):
    assert f"pip install 'vaetool[{extra}]'" in vaetool(name, "--help", env={"COLUMNS": "200"}).stdout
