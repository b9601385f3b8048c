"""What other projects run by themselves: the hook for pre-commit, and the action that scores pictures."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="bash")


@pytest.fixture
def here(tmp_path, digit_folders, monkeypatch):
    """The current folder, with four digits in `good` and one with white ends in `bad`."""
    for name in ("good", "bad"):
        (tmp_path / name).mkdir()
    for number, path in enumerate(sorted((digit_folders / "0").iterdir())[:4]):
        (tmp_path / "good" / f"a {number}.png").write_bytes(path.read_bytes())
    with Image.open(path) as image:
        Image.fromarray(255 - np.asarray(image)).save(tmp_path / "bad" / "b.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bash(tmp_path):
    """Runs a script in which `vaetool` is this one; variables: added to the environment."""

    def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        shadow = f'vaetool() {{ {shlex.quote(sys.executable)} -m vaetool "$@"; }}\n'
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, **variables, "PYTHONPATH": path}
        call = ["bash", "-eo", "pipefail", "-c", shadow + script]
        return subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120)

    return run


def test_the_hook_fails_on_an_outlier(here, bash, scorer):
    [hook] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    call = f"{hook['entry']} -m {shlex.quote(str(scorer))} --alpha 0.03 good/* bad/*"
    result = bash(call)
    assert result.returncode == 3
    assert [line.split("\t")[2:] for line in result.stdout.splitlines()][-1] == ["outlier", "bad/b.png"]


@pytest.mark.parametrize(("pictures", "code"), [("good/\n", 0), ("good/\nbad/b.png\n", 3)])
def test_the_action_fails_on_an_outlier_and_leaves_a_report(here, bash, scorer, pictures, code):
    step = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"][-1]
    inputs = {"PICTURES": pictures, "GOOD": "", "MODEL": str(scorer), "ALPHA": "0.03", "REPORT": "outliers.html"}
    assert step["env"].keys() == inputs.keys()
    result = bash(step["run"], **inputs)
    assert result.returncode == code, result.stderr
    assert "a 3.png" in (here / "outliers.html").read_text()
