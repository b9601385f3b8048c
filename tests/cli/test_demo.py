"""`vaetool demo`, with the models that come with the package."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from vaetool.demo import JOBS, contact_sheet_path


@pytest.fixture(scope="module")
def show(tmp_path_factory, vaetool_process):
    """What it left behind, and its rows."""
    folder = tmp_path_factory.mktemp("demo") / "show"
    result = vaetool_process("demo", folder, "--json")
    assert result.exit_code == 0, result.stderr
    return folder, [json.loads(line) for line in result.stdout.splitlines()]


def test_every_job_is_done_and_shown(show):
    folder, rows = show
    assert list(dict.fromkeys(row["job"] for row in rows)) == [job.__name__ for job in JOBS]
    assert len({tuple(row) for row in rows}) == 1  # all rows have the columns of the table
    with Image.open(folder / "contact-sheet.jpg") as sheet:
        assert sheet.width <= 1600
        assert sheet.height <= 2400
        assert np.asarray(sheet).std() > 30
    assert (folder / "contact-sheet.jpg").stat().st_size < 2e6


def numbers(figures: str) -> list[float]:
    """Return the numbers of a cell, such as "16 kB, 22.3 dB"."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", figures)]


def test_noise_is_taken_away(show):
    for row in show[1]:
        if row["job"] == "denoise":
            [before], [after] = numbers(row["before"]), numbers(row["after"])
            assert after > before + (2 if row["what"] == "a camera's noise" else 4)


def test_compressed_photographs_are_small_and_close(show):
    rows = [row for row in show[1] if row["job"] == "compress"]
    assert [row["of"] for row in rows] == ["china", "flower"]
    for row in rows:
        size, closeness = numbers(row["after"])
        [png], (_, jpeg_closeness) = numbers(row["before"]), numbers(row["what"])
        assert size < png / 20
        assert closeness > jpeg_closeness + 3


def test_scratched_parts_are_outliers(show):
    good, scratched = (int(row["after"].removesuffix(" outliers")) for row in show[1] if row["job"] == "score")
    assert (good <= 1, scratched >= 4) == (True, True)


def test_another_run_is_numbered_and_replaces_nothing(tmp_path):
    for name in ("contact-sheet.jpg", "contact-sheet-2.jpg", "contact-sheet-3.jpg"):
        assert contact_sheet_path(tmp_path).name == name
        contact_sheet_path(tmp_path).write_text("mine")
    assert contact_sheet_path(tmp_path, replace=True).name == "contact-sheet.jpg"


@pytest.mark.skipif(sys.platform == "win32", reason="/dev/null")
def test_a_folder_that_cannot_be_made_is_noticed_before_the_work(vaetool):
    result = vaetool("demo", "/dev/null/show")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: cannot write /dev/null/show/contact-sheet.jpg: Not a directory\n"
