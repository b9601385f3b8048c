"""What is a folder, and what is in the way: `vaetool.files.outputs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.files.helpers import planned, touch


@pytest.mark.parametrize("output", ["new/", "existing"])
def test_a_folder_as_output_is_one_that_exists_or_ends_with_a_separator(here, output):
    Path("existing").mkdir()
    touch("a.png")
    assert planned("a.png", output=output) == {"a.png": str(Path(output) / "a.png")}
