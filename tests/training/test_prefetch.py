"""Batches come in order, made ahead by another thread, whatever is asked for."""

from __future__ import annotations

import threading

import pytest
import torch

import vaetool
from vaetool.nn.base import Batch
from vaetool.training.prefetch import Prefetcher


class Maker:
    """Makes batches that tell their step and size; keeps what it made, and in which threads."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []
        self.threads: set[str] = set()

    def __call__(self, step: int, size: int) -> Batch:
        if step == 99:
            raise ValueError("no such step")
        self.made.append((step, size))
        self.threads.add(threading.current_thread().name)
        return {"clean": torch.tensor([step, size])}


def test_batches_are_those_of_their_steps_and_sizes():
    with Prefetcher(Maker()) as batches:
        asked = [(0, 8), (1, 8), (2, 16), (3, 16), (7, 16), (8, 16)]
        assert [tuple(batches.batch(*step)["clean"].tolist()) for step in asked] == asked


def test_the_next_batch_is_made_by_another_thread():
    maker = Maker()
    with Prefetcher(maker) as batches:
        for step in range(4):
            batches.batch(step, 8)
    assert sorted(maker.made)[:4] == [(step, 8) for step in range(4)]
    assert len(maker.threads) == 2


def test_what_goes_wrong_is_raised_where_the_batch_is_asked_for():
    with Prefetcher(Maker()) as batches:
        batches.batch(98, 8)
        with pytest.raises(ValueError, match="no such step"):
            batches.batch(99, 8)


def test_what_was_made_ahead_can_be_discarded():
    value = 0
    with Prefetcher(lambda step, size: {"clean": torch.tensor([value])}) as batches:
        batches.batch(0, 8)
        batches.ahead[1].result()
        value = 1
        batches.discard()
        assert batches.batch(1, 8)["clean"].item() == 1


def test_other_threads_keep_their_number_of_threads():
    before = torch.get_num_threads()
    with Prefetcher(Maker()) as batches:
        batches.batch(0, 8)
        batches.batch(1, 8)
    assert torch.get_num_threads() == before


def test_a_denoiser_trains_on_all_kinds_of_noise(pictures, tmp_path):
    settings = ["model.widths=[4, 8]", "model.blocks=1", "training.crops=[16]", "training.batch=8", "training.steps=3"]
    result = vaetool.train("dae", pictures, output=tmp_path / "m.safetensors", settings=settings, device="cpu")
    assert result.steps == 3
    assert result.figures["psnr"] > 10
