"""What the tests of training share: a dozen small pictures, and runs that take seconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TINY = [
    "model.widths=[4, 8]",
    "model.blocks=1",
    "model.estimator_widths=[4,4]",
    "training.crops=[16]",
    "training.batch=4",
    "training.warmup_steps=5",
    "training.lr=0.003",
    "corruption.camera=0.0",
    "corruption.compressed=0.0",
    "corruption.plain=0.0",
    "corruption.jpeg=0.0",
    "corruption.drawn=0.0",
    "corruption.documents=0.0",
]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch) -> Iterator[None]:
    """Networks this small are slower on more threads, and the last bits of a sum depend on how many there are."""
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def tiny() -> list[str]:
    """Settings with which a step takes milliseconds."""
    return list(TINY)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory, photographs) -> Path:
    """A folder of twelve pictures of 48 x 40 pixels, cut from the two photographs."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, photo in photographs.items():
        for number in range(6):
            left, top = 50 * (number % 3), 50 * (number // 3)
            photo.crop((left, top, left + 48, top + 40)).save(folder / f"{name}{number}.png")
    return folder


@pytest.fixture
def fit(tmp_path, pictures) -> Callable:
    """`fit(*settings, name="mine", **options)`: a tiny run of `vaetool.train` on the pictures, on the CPU."""
    from vaetool import train

    def call(*settings: str, name: str = "mine", data=pictures, **options):
        output = tmp_path / f"{name}.safetensors"
        return train("dae", data, output=output, settings=[*TINY, *settings], device="cpu", **options)

    return call


@pytest.fixture
def same_weights() -> Callable[[Path, Path], bool]:
    """Whether two model files hold the same weights, bit for bit."""
    import torch
    from safetensors.torch import load_file

    def compare(one: Path, other: Path) -> bool:
        ours, theirs = load_file(one), load_file(other)
        return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)

    return compare


@pytest.fixture
def saved_step() -> Callable[[Path], int]:
    """The step of a saved state, -1 without one."""

    def read(state: Path) -> int:
        try:
            data = state.read_bytes()  # opened once: safe_open opens it twice, and a run replaces it in between
        except FileNotFoundError:
            return -1
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return json.loads(header["__metadata__"]["vaetool-state"])["progress"]["step"]

    return read
