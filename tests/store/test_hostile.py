"""Model files from strangers: a model that can be described and loaded, or one clear line, at once."""

from __future__ import annotations

import copy
import json
import os
import random
import struct
import time
from pathlib import Path

import pytest

from vaetool.errors import VaetoolError
from vaetool.store import weights
from vaetool.store.headers import read_header

COUNT = int(os.environ.get("VAETOOL_HOSTILE_MODELS", "5000"))
"""Mutated files that the slow test loads."""

SECONDS = 2.0

VALUES = [
    None,
    True,
    -1,
    0,
    2**31,
    2**63,
    10**30,
    1e400,
    float("nan"),
    "",
    "x" * 500,
    [],
    [[]],
    {},
    {"a": []},
    [1, "a"],
]


def split(data: bytes) -> tuple[dict, bytes]:
    length = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header: dict, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def mutated(data: bytes, source: random.Random) -> bytes:
    """Changed bytes, or a description or a table of tensors that says something else."""
    if source.random() < 0.3:
        body = bytearray(data)
        for _ in range(source.choice((1, 4))):
            body[source.randrange(source.choice((64, len(body))))] = source.randrange(256)
        return bytes(body[: source.choice((len(body), source.randrange(len(body))))])
    header, tensors = split(data)
    about = json.loads(header["__metadata__"]["vaetool"])
    for _ in range(source.choice((1, 1, 3))):
        where = source.choice((about, about["config"], about["config"], header, header[source.choice(list(header))]))
        if isinstance(where, dict) and where and isinstance(about.get("config"), dict):
            key = source.choice([*(key for key in where if key != "__metadata__"), "other"])
            where[key] = copy.deepcopy(source.choice(VALUES))  # which may be changed in turn
        if not isinstance(about.get("config"), dict):
            break
    header["__metadata__"]["vaetool"] = json.dumps(about)
    return joined(header, tensors)


def check_message(message: str) -> None:
    assert "\n" not in message
    assert len(message) < 1000


def fuzz(originals: list[bytes], folder: Path, seed: int, runs: int) -> tuple[int, float]:
    """Load mutated files; how many of them were models, and the longest time that one took."""
    source, path = random.Random(seed), folder / "model.safetensors"
    sound, longest = 0, 0.0
    for run in range(runs):
        path.write_bytes(mutated(source.choice(originals), source))
        start = time.thread_time()
        try:
            json.dumps(read_header(path).facts())
            weights.load(path, device="cpu")
            sound += 1
        except VaetoolError as error:
            check_message(str(error))
        except BaseException as error:
            raise AssertionError(f"seed {seed}, run {run}: {path}") from error
        longest = max(longest, time.thread_time() - start)
    return sound, longest


@pytest.fixture
def originals(tiny_dae, tiny_vae, tiny_codec) -> list[bytes]:
    return [Path(model).read_bytes() for model in (tiny_dae, tiny_vae, tiny_codec)]


def test_mutated_model_files_are_models_or_refused(originals, tmp_path):
    sound, longest = fuzz(originals, tmp_path, seed=1, runs=150)
    assert 0 < sound < 150
    assert longest <= SECONDS


@pytest.mark.slow
def test_many_mutated_model_files_are_models_or_refused(originals, tmp_path):
    seed = time.time_ns()
    sound, longest = fuzz(originals, tmp_path, seed, COUNT)
    print(f"seed {seed}: {COUNT} files, {sound} of them models, {longest:.2f} s at most")
    assert COUNT // 100 < sound < COUNT
    assert longest <= SECONDS


def test_a_model_of_ten_thousand_tensors_is_described_at_once(tmp_path, originals):
    header, _ = split(originals[0])
    table = {f"part{n}.weight": {"dtype": "U8", "shape": [1], "data_offsets": [n, n + 1]} for n in range(9000)}
    path = tmp_path / "many.safetensors"
    path.write_bytes(joined({"__metadata__": header["__metadata__"], **table}, bytes(9000)))
    start = time.thread_time()
    facts = read_header(path).facts()
    assert time.thread_time() - start <= SECONDS  # 8 s where the time grew with the square
    assert facts["parameters"]["all"] == 9000
    assert len(facts["parameters"]) == 9001
