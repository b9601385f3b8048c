"""Training by several processes gives the weights that one gives."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from vaetool.denoising.dae import DAE, DAEConfig
from vaetool.errors import UsageError
from vaetool.training.checkpoints import state_path
from vaetool.training.distributed import Processes, is_first_process, join_processes


@pytest.mark.parametrize(("batch", "count"), [(8, 2), (7, 2), (7, 3), (3, 3)])
def test_shares_together_are_the_batch_and_their_weighted_means_its_mean(batch, count):
    values = torch.rand(batch, 3, generator=torch.Generator().manual_seed(0))
    processes = [Processes(rank, count) for rank in range(count)]
    shares = [p.share({"x": values})["x"] for p in processes]
    assert sorted(torch.cat(shares).flatten().tolist()) == sorted(values.flatten().tolist())
    means = [p.weight(batch) * share.mean() for p, share in zip(processes, shares, strict=True)]
    assert torch.allclose(torch.stack(means).mean(), values.mean())


def test_shares_give_the_gradient_of_the_whole_batch():
    torch.manual_seed(0)
    model = DAE(DAEConfig(widths=(4, 8), blocks=1, estimator_widths=(4, 4)))
    generator = torch.Generator().manual_seed(0)
    batch = model.corrupt(torch.rand(5, 3, 16, 16, generator=generator), generator, DAE.Corruption())

    def gradient(processes: Processes) -> torch.Tensor:
        model.zero_grad()
        (model.loss(processes.share(batch))["loss"] * processes.weight(5)).backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters()])

    whole = gradient(Processes())
    shared = (gradient(Processes(0, 2)) + gradient(Processes(1, 2))) / 2
    assert torch.allclose(whole, shared, atol=1e-6)


def test_one_process_needs_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes(torch.device("cpu"), 1) as processes:
        assert (processes.rank, processes.count, processes.is_first) == (0, 1, True)
        assert processes.weight(3) == 1
        assert processes.agree(1.0, 2.0) == (1.0, 2.0)


def test_a_batch_with_less_than_a_crop_for_each_process_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with (
        pytest.raises(UsageError, match="a batch of 3 is too small for 4 processes"),
        join_processes(torch.device("cpu"), 3),
    ):
        pass


def test_only_the_first_process_speaks(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert not is_first_process()
    monkeypatch.delenv("RANK")
    assert is_first_process()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_processes_give_the_weights_of_one(fit, tiny, tmp_path, pictures, python, optimizer):
    from safetensors.torch import load_file

    settings = ["training.steps=20", "training.batch=5", f"training.optimizer={optimizer}", "training.crops=[16, 24]"]
    flags = [word for setting in [*tiny, *settings] for word in ("--set", setting)]
    output = tmp_path / "two.safetensors"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "vaetool")
    process = python(*torchrun, "train", "dae", pictures, "-o", output, "--device", "cpu", *flags)
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0, words.decode()
    assert words.decode().count("held-out image") == 1
    one, two = load_file(fit(*settings, name="one").path), load_file(output)
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5


def process_of(rank: int, parent: int) -> int | None:
    """The process of a rank that `torchrun`, a parent, has started; None if there is none."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            words = (status.parent / "environ").read_bytes().split(b"\0")
            if f"\nPPid:\t{parent}\n" in status.read_text() and f"RANK={rank}".encode() in words:
                return int(status.parent.name)
    return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("killed", [0, 1])
def test_when_a_process_is_killed_all_are_begun_again_and_go_on(
    fit, tiny, tmp_path, pictures, python, saved_step, killed
):
    from safetensors.torch import load_file

    settings = ["training.steps=150", "training.save_minutes=0.0"]
    flags = [word for setting in [*tiny, *settings] for word in ("--set", setting)]
    output = tmp_path / "killed.safetensors"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "--max-restarts", 1)
    command = ("-m", "vaetool", "train", "dae", pictures, "-o", output, "--device", "cpu", "--resume", *flags)
    process = python(*torchrun, *command)
    deadline = time.monotonic() + 120
    while (step := saved_step(state_path(output))) < 20:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process_of(killed, process.pid), signal.SIGKILL)
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0, words.decode()
    assert step < 150
    one, two = load_file(fit(*settings, name="one").path), load_file(output)
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5
    assert not state_path(output).exists()
