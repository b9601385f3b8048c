"""Tab in a shell: commands, options, names of models, and else files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vaetool

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="shells of POSIX")

SHELLS = {
    "bash": """
        source /dev/stdin <<< "$(_VAETOOL_COMPLETE=source_bash vaetool)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _vaetool_completion vaetool
        printf '%s\\n' "${COMPREPLY[@]}"
    """,
    "fish": """
        _VAETOOL_COMPLETE=source_fish vaetool | source
        complete --do-complete "$argv"
    """,
}


@pytest.fixture
def complete(tmp_path):
    """`complete(shell, *words)`: what a shell offers for the last of some words."""
    command = tmp_path / "bin" / "vaetool"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\nPYTHONPATH="{Path(vaetool.__file__).parents[1]}" exec {sys.executable} -m vaetool "$@"\n'
    )
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    def call(shell: str, *words: str) -> set[str]:
        if shutil.which(shell) is None:
            pytest.skip(f"no {shell}")
        arguments = [shell, "-c", SHELLS[shell], "--", *words]
        done = subprocess.run(arguments, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, "")
        return {line.partition("\t")[0] for line in done.stdout.splitlines() if line}

    return call


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["den"], {"denoise"}),
        (["denoise", "--sig"], {"--sigma"}),
        (["denoise", "-m", "photo-d"], {"photo-denoise", "photo-denoise-gaussian"}),
        (["train", "m"], {"mae", "mmvae"}),
    ],
)
def test_commands_options_models_and_kinds_are_offered(complete, shell, words, offered):
    assert complete(shell, "vaetool", *words) == offered
