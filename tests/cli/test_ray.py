"""`--engine ray`: a cluster of this machine gives what a single process gives, also if workers are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vaetool import __version__
from vaetool.cli.engines import check_version
from vaetool.errors import UsageError

pytest.importorskip("ray")

ROOT = Path(__file__).parent.parent.parent
RAY = ("--engine", "ray", "--device", "cpu")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_is_denoised_by_a_cluster_as_by_one_process(vaetool, vaetool_process, photos, tiny_dae, tmp_path):
    """One worker: starting Ray, and torch in the worker, takes most of the time."""
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    command = ["denoise", tmp_path, "-m", tiny_dae, "--json", "-o"]
    here = vaetool(*command, tmp_path / "here", "--device", "cpu")
    there = vaetool_process(*command, tmp_path / "there", *RAY, "--workers", 1)
    assert (here.exit_code, there.exit_code) == (1, 1)
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    facts = [json.loads(line) for line in there.stdout.splitlines()]
    assert [Path(fact["path"]).name for fact in facts] == ["broken.png", "china.jpg", "flower.png", "grey.png"]
    assert facts[0]["error"].startswith("not a readable image")
    assert there.stderr == here.stderr


def test_another_version_of_the_package_is_refused_in_a_worker():
    check_version(__version__)
    with pytest.raises(UsageError, match=r"^the cluster has vaetool .*, and this is 0\.0\.1: results could differ$"):
        check_version("0.0.1")


def test_masks_are_compared_in_one_process(vaetool, photos, finder):
    places = ["--normal", photos[0], "--outlier", photos[1], "--masks", photos[0].parent]
    result = vaetool("score", "-m", finder, *places, "--engine", "ray")
    assert (result.exit_code, "--masks compares all maps in one process" in result.stderr) == (2, True)


@pytest.mark.slow
def test_every_command_gives_the_same_bytes(vaetool_process, photos, tiny_codec, tiny_mae, finder, tmp_path):
    inputs = photos[:2]
    environment = {"VAETOOL_MODELS": str(tiny_codec.parent)}
    commands = {
        "compress": [*inputs, "-m", tiny_codec, "-o"],
        "decompress": [tmp_path / "compress-here", "-o"],
        "inpaint": [*inputs, "-m", tiny_mae, "--box", "9,9,9,9", "-o"],
        "score": [*inputs, "-m", finder, "--heatmap"],
    }
    for name, arguments in commands.items():
        here, there = tmp_path / f"{name}-here", tmp_path / f"{name}-there"
        first = vaetool_process(name, *arguments, f"{here}/", "--device", "cpu", env=environment)
        second = vaetool_process(name, *arguments, f"{there}/", *RAY, "--workers", 2, env=environment)
        assert (first.exit_code, second.exit_code, second.stdout) == (0, 0, first.stdout)
        assert contents(here) == contents(there)


@pytest.mark.slow
def test_twenty_killed_workers_lose_nothing(tiny_dae):
    script = [sys.executable, ROOT / "benchmarks/cluster.py", "--files", 100, "--kills", 20, "--model", tiny_dae]
    done = subprocess.run([str(argument) for argument in script], capture_output=True, text=True, timeout=1800)
    found = json.loads(done.stdout)
    assert (done.returncode, found["the same bytes"], found["workers killed"]) == (0, 99, 20)
