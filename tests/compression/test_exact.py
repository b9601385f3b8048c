"""What must come out the same everywhere: the layers of whole numbers, and the latents coded under the prior."""

from __future__ import annotations

import copy
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.compression.entropy.coder import Decoder, Encoder, Tables
from vaetool.compression.entropy.exact import LIMIT, UNIT, FixedConv, WholeConv, to_units
from vaetool.compression.entropy.latents import decode_latents, encode_latents
from vaetool.compression.entropy.prior import ExactPrior, Prior, pass_mask, place
from vaetool.compression.quality import KNOTS, exact_hats, hats
from vaetool.errors import WeightsError

ROOT = Path(__file__).resolve().parents[2]


def made(seed: int, *shape: int, scale: float = 1.0) -> Tensor:
    """Random numbers in ±2, the same in any surroundings, which those of a normal distribution are not."""
    return torch.randint(-512, 513, shape, generator=torch.Generator().manual_seed(seed)) / 256 * scale


def layer(inputs: int, outputs: int, size: int, seed: int = 0, scale: float = 1.0) -> FixedConv:
    conv = FixedConv(inputs, outputs, size).requires_grad_(False)
    conv.weight.copy_(made(seed, *conv.weight.shape, scale=scale))
    conv.bias.copy_(made(seed + 1, outputs))
    return conv


@pytest.fixture(scope="module")
def prior() -> Prior:
    """A small one with weights that matter; seeded, so that another process makes the same."""
    made_prior = Prior(np.linspace(3, 0.02, 24), hyper=5, width=16).requires_grad_(False)
    for number, weight in enumerate(made_prior.parameters()):
        weight.copy_(made(number, *weight.shape, scale=0.15))
    return made_prior


def latents(exact: ExactPrior, quality: int, height: int = 11, width: int = 6) -> tuple[Tensor, Tensor]:
    z = made(7, exact.hyper, -(-height // 4), -(-width // 4), scale=3)
    y = made(8, exact.latent, height, width) * exact.normaliser(quality).cpu() / UNIT
    return z, y


def coded(prior: Prior, quality: int, device: str = "cpu") -> tuple[bytes, int]:
    exact, encoder = ExactPrior(prior, device), Encoder(Tables(prior.counts))
    encode_latents(exact, *(x.to(device) for x in latents(exact, quality)), quality, encoder)
    return encoder.finish(), encoder.checksum


@pytest.mark.parametrize("size", [1, 3])
def test_whole_numbers_follow_the_real_ones(size: int) -> None:
    conv, x = layer(9, 6, size), made(3, 9, 5, 4)
    real, exact = conv(x[None])[0], WholeConv.of(conv, "it")(to_units(x)) / UNIT
    assert (real - exact).abs().max() < 9 * size**2 * 4 / UNIT
    assert torch.equal(exact * UNIT, (exact * UNIT).round())


def test_sums_are_exact_even_at_their_largest() -> None:
    """Weights and activations at their limit, nearly cancelling: whole numbers of any size, in Python, agree."""
    inputs, outputs = 500, 4
    conv = layer(inputs, outputs, 1, scale=0)
    signs = torch.tensor([1, -1]).repeat(inputs // 2)[:, None, None]
    conv.weight.copy_(7.75 * signs)
    conv.weight += made(5, *conv.weight.shape, scale=0.01)
    found = WholeConv.of(conv, "it")
    x = LIMIT * UNIT - torch.arange(inputs, dtype=torch.float64)[:, None, None] % 97
    weight, bias = (conv.weight.double() * UNIT).round().flatten(1).long(), (conv.bias.double() * UNIT**2).long()
    for output in range(outputs):
        terms = [int(w) * int(value) for w, value in zip(weight[output], x.flatten(), strict=True)]
        total = sum(terms) + int(bias[output])
        expected = ((total if total > 0 else total / 8) + UNIT / 2) // UNIT
        assert abs(expected) < LIMIT * UNIT < max(terms) / UNIT
        assert found(x)[output, 0, 0].item() == expected
    single = torch.tensordot(weight.float(), x.flatten().float(), 1) + bias
    assert (single.long() != torch.tensordot(weight.double(), x.flatten(), 1).long() + bias).any()  # it is no easy sum


def test_weights_too_large_for_exact_sums_are_refused() -> None:
    with pytest.raises(WeightsError, match="too large"):
        WholeConv.of(layer(500, 2, 3, scale=1e6), "it")
    broken = Prior(np.ones(8), hyper=2, width=4).requires_grad_(False)
    broken.look[2].weight[0, 0] = 1e9
    with pytest.raises(WeightsError, match=r"look\.2"):
        ExactPrior(broken)


@pytest.mark.parametrize("damage", ["counts", "gain_units", "sigma_units", "z_mean", "z_index"])
def test_damaged_numbers_of_a_prior_are_refused(damage: str) -> None:
    broken = Prior(np.ones(8), hyper=2, width=4).requires_grad_(False)
    ExactPrior(broken)
    getattr(broken, damage)[3] = -1e9
    with pytest.raises(WeightsError, match="damaged"):
        ExactPrior(broken)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("shape", [(9, 7), (1, 1), (1, 5), (4, 1)])
def test_layers_are_convolutions_whatever_the_layout_threads_or_library(size: int, shape: tuple[int, int]) -> None:
    conv, x = layer(40, 24, size), to_units(made(3, 40, *shape, scale=20))
    whole = WholeConv.of(conv, "it")
    sums = F.conv2d(x.long(), (conv.weight * UNIT).long(), (conv.bias * UNIT**2).long(), padding=size // 2)
    expected = ((torch.where(sums < 0, sums / 8, sums) + UNIT / 2) // UNIT).clamp(-LIMIT * UNIT, LIMIT * UNIT)
    assert torch.equal(whole(x), expected)
    assert torch.equal(whole(x.transpose(1, 2).contiguous().transpose(1, 2)), expected)
    assert torch.equal(whole(x.permute(1, 2, 0).contiguous().permute(2, 0, 1)), expected)
    with torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        assert torch.equal(whole(x), expected)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    shuffled = layer(40, 24, size)
    shuffled.weight.copy_(conv.weight[:, order])
    assert torch.equal(WholeConv.of(shuffled, "it")(x[order]), expected)  # sums in another order


@pytest.mark.parametrize("shape", [(11, 6), (1, 1), (1, 9), (8, 2)])
@pytest.mark.parametrize("quality", [1, 37, 100])
def test_latents_come_back(prior: Prior, quality: int, shape: tuple[int, int]) -> None:
    exact = ExactPrior(prior)
    z, y = latents(exact, quality, *shape)
    encoder = Encoder(Tables(prior.counts))
    z_bits = encode_latents(exact, z, y, quality, encoder)
    decoder = Decoder(Tables(prior.counts), encoder.finish())
    back = decode_latents(exact, quality, *y.shape[1:], decoder)
    assert decoder.checksum == encoder.checksum
    assert 0 < z_bits < encoder.bits
    error = (back / 16 - y).abs()
    assert error.max() <= 1.5  # never further than the next whole number but one, which is for thrift
    assert error.mean() > 0.1 or quality == 1  # it was rounded, not sent as it is


@pytest.mark.parametrize("number", range(4))
def test_networks_in_whole_numbers_are_those_that_were_trained(prior: Prior, number: int) -> None:
    z, quality, exact = made(1, prior.hyper, 2, 3), 42, ExactPrior(prior)
    known = made(2, prior.latent, 8, 12) * sum(pass_mask(before, (prior.latent, 8, 12)) for before in range(number))
    knots = hats(torch.tensor([float(quality)]))
    real_features, real = prior.step(number, prior.features(z[None], knots), known[None], knots)
    features, parts = exact.step(number, exact.features(to_units(z), quality), to_units(known), quality)
    assert (real_features[0] - features / UNIT).abs().max() < 0.01 * real_features.abs().max()
    for group, part in enumerate(parts):
        channels, rows, columns = place(number, group)
        assert (real[0, channels, rows, columns] - part / UNIT).abs().max() < 0.01 * real.abs().max()


def test_every_number_is_coded_in_exactly_one_pass() -> None:
    masks = torch.stack([pass_mask(number, (8, 5, 7)) for number in range(4)])
    assert torch.equal(masks.sum(dim=0), torch.ones(8, 5, 7, dtype=torch.long))


def test_the_pass_of_a_number_is_its_group_xor_the_class_of_its_position() -> None:
    for number, channel, row, column in itertools.product(range(4), range(8), range(4), range(4)):
        coded_now = pass_mask(number, (8, 4, 4))[channel, row, column]
        assert coded_now == ((channel % 4) ^ number == 2 * (row % 2) + column % 2)


def test_exact_hats_are_the_hats() -> None:
    for quality in range(1, 101):
        exact = torch.tensor(exact_hats(quality))
        assert exact.sum() == UNIT
        assert len(exact) == KNOTS
        np.testing.assert_allclose(exact / UNIT, hats(torch.tensor([float(quality)]))[0], atol=1e-3)


# Settings under which floating point sums come out differently, in a process of their own.
SURROUNDINGS = {
    "two threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
    "no AVX": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "OMP_NUM_THREADS": "1"},
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "one thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "MKL_CBWR": "COMPATIBLE"},
}

SCRIPT = """
import sys; sys.path.insert(0, {root!r})
from tests.compression.test_exact import coded, float_sums, prior
import json
made = prior.__wrapped__() if hasattr(prior, "__wrapped__") else prior.__pytest_wrapped__.obj()
written = [(data.hex(), checksum) for data, checksum in (coded(made, quality) for quality in (1, 50, 100))]
print(json.dumps([written, float_sums()]))
"""


def float_sums() -> list[float]:
    """Some of those with which a codec would compute that does not take care: real numbers in float32."""
    conv = layer(256, 16, 3, scale=0.01)
    with torch.no_grad():
        return conv(made(3, 1, 256, 16, 16)).flatten().tolist()


@pytest.fixture(scope="module")
def elsewhere() -> dict[str, tuple[list, list[float]]]:
    """What processes in other surroundings write, and their sums."""
    script = SCRIPT.format(root=str(ROOT))
    found = {}
    for name, settings in SURROUNDINGS.items():
        done = subprocess.run(
            [sys.executable, "-c", script], env={**os.environ, **settings}, capture_output=True, check=True, text=True
        )
        written, sums = json.loads(done.stdout)
        found[name] = [(bytes.fromhex(data), checksum) for data, checksum in written], sums
    return found


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_a_process_with_other_instructions_or_threads_writes_the_same_bytes(prior, elsewhere, surroundings) -> None:
    assert elsewhere[surroundings][0] == [coded(prior, quality) for quality in (1, 50, 100)]


def test_these_surroundings_do_change_sums_in_floating_point(elsewhere) -> None:
    """Without which the test above could not fail."""
    assert elsewhere["no AVX"][1] != elsewhere["AVX2"][1]
    np.testing.assert_allclose(elsewhere["no AVX"][1], elsewhere["AVX2"][1], atol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_writes_the_same_bytes(prior: Prior) -> None:
    assert coded(copy.deepcopy(prior).cuda(), 50, "cuda") == coded(prior, 50)
