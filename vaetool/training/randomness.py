"""Random numbers of a run: for each purpose, such as a step, from the run's seed and that purpose alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_for(seed: int, purpose: str | int) -> int:
    """Return the seed for a single purpose in a run with a seed."""
    # A hash, since the CPU's generator uses only the lowest 32 bits of its seed.
    return int.from_bytes(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "little") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed what draws without a generator, such as dropout, while the context is open; then restore its state."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            torch.cuda.manual_seed(seed)
        yield
