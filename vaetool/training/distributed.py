"""One process or many: started by `torchrun`, training uses all processes; started plainly, one.

Every process draws the whole batch's random numbers and computes its own share. So the weights do not depend on the
number of processes, except for the order in which floats are added, where the loss is a mean over images. What is
computed from a batch as a whole is computed from each share instead, as is usual: the variance of a Gaussian
likelihood, free nats, the mean activations of `sparsity = "kl"`, the shared part of private codes, batch
normalisation, and the spread that a GAN's opponent sees. Dropout is drawn for each process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from vaetool.errors import UsageError
from vaetool.nn.base import Batch
from vaetool.nn.precision import has_bf16_units

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Processes:
    """The rank of this process, the number of processes, and the device."""

    rank: int = 0
    count: int = 1
    device: torch.device = CPU

    @property
    def is_first(self) -> bool:
        """Whether this is the first process, which reports, measures and saves."""
        return self.rank == 0

    def share(self, batch: Batch) -> Batch:
        """Return the part of a whole batch that this process computes."""
        return {name: tensor[self.rank :: self.count] for name, tensor in batch.items()}

    def weight(self, batch: int) -> float:
        """Return the factor for the mean loss of this process's share of `batch`.

        It makes the mean over the processes that over the whole batch, however unevenly it is shared.
        """
        return len(range(self.rank, batch, self.count)) * self.count / batch

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return the model, with gradients averaged over the processes."""
        return nn.parallel.DistributedDataParallel(model) if self.count > 1 else model

    def precision(self, bf16: bool) -> AbstractContextManager[Any]:
        """Return the context of training: bf16 on a GPU, and on request on a CPU that has units for it."""
        if self.device.type == "cuda" or (bf16 and has_bf16_units(self.device)):
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def mean(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Average each tensor over the processes, in place."""
        if self.count > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)
                tensor /= self.count
        return tensors

    def agree(self, *values: float) -> tuple[float, ...]:
        """Return the first process's values on every process."""
        if self.count == 1:
            return values
        # Some devices have no float64; gloo, which serves them, takes tensors on the CPU.
        device = self.device if self.device.type == "cuda" else CPU
        tensor = torch.tensor(values, dtype=torch.float64, device=device)
        distributed.broadcast(tensor, src=0)
        return tuple(tensor.tolist())


def is_first_process() -> bool:
    """Tell whether this is the process that reports, even before any have joined."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def join_processes(device: torch.device, batch: int) -> Iterator[Processes]:
    """Join the processes that `torchrun` started, for as long as the context is open.

    batch: size of the run's smallest batch. Raises UsageError if it has fewer than one crop for each process.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=device)
        return
    if batch < count:
        raise UsageError(f"a batch of {batch} is too small for {count} processes; raise training.batch")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    store, rank, _ = next(rendezvous("env://"))
    # torchrun keeps its store when it restarts killed processes, whose entries must not be found.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = distributed.PrefixStore(attempt, store)  # type: ignore[attr-defined]
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=count)
    try:
        yield Processes(rank, count, device)
    finally:
        distributed.destroy_process_group()
