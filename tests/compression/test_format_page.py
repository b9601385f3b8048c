"""The decoder that docs/format.md describes under "Pixels", written out in numpy, against the one that is used."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from vaetool.compression.codec import Codec, CodecConfig

Tensors = dict[str, np.ndarray]
BLOCKS = 2


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A small one, of whose weights none is zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = CodecConfig(latent=24, hyper=4, encoder_blocks=1, decoder_blocks=BLOCKS, prior_width=8)
        made = Codec(config).requires_grad_(False).eval()
        for weight in made.parameters():
            weight += 0.05 * torch.randn(weight.shape)
    return made


def convolved(x: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    """x: (inputs, height, width)."""
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    border = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    height, width = x.shape[1:]
    total = np.zeros((len(weight), height, width)) + bias[:, None, None]
    for i, j in itertools.product(range(weight.shape[2]), range(weight.shape[3])):
        part = padded[:, i : i + height, j : j + width]
        if weight.shape[1] == 1:
            total += weight[:, 0, i, j, None, None] * part
        else:
            total += np.einsum("oc,chw->ohw", weight[:, :, i, j], part)
    return total


def enlarged(x: np.ndarray, n: int) -> np.ndarray:
    channels, height, width = x.shape
    larger = np.empty((channels // n**2, n * height, n * width))
    for c, i, j in itertools.product(range(channels // n**2), range(n), range(n)):
        larger[c, i::n, j::n] = x[n**2 * c + n * i + j]
    return larger


def reduced(x: np.ndarray, n: int) -> np.ndarray:
    return np.stack([plane[i::n, j::n] for plane in x for i in range(n) for j in range(n)])


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x < 0, 0.1 * x, x)


def modulated(x: np.ndarray, hats: np.ndarray, tensors: Tensors, name: str) -> np.ndarray:
    scale, shift = hats @ tensors[f"{name}.scale"], hats @ tensors[f"{name}.shift"]
    return x * (1 + scale)[:, None, None] + shift[:, None, None]


def documented(
    y: np.ndarray, quality: int, tensors: Tensors, height: int, width: int, channels: int, top: int
) -> np.ndarray:
    hats = np.maximum(0, 1 - np.abs(7 * (quality - 1) / 99 - np.arange(8)))
    restored = y / 16 * np.exp(hats @ tensors["log_restore"])[:, None, None]
    x = convolved(restored / tensors["decoder.coarse_spread"][:, None, None], tensors, "decoder.grow")
    x = modulated(enlarged(x, 2), hats, tensors, "decoder.modulation")
    for name in (f"decoder.blocks.{number}" for number in range(BLOCKS)):
        local = convolved(leaky(convolved(x, tensors, f"{name}.enter")), tensors, f"{name}.local")
        x = x + convolved(local, tensors, f"{name}.leave")
        opening, value = np.split(convolved(x, tensors, f"{name}.gate"), 2)
        x = x + convolved(np.maximum(0, opening) * value, tensors, f"{name}.close")
    x = convolved(x * tensors["decoder.spread"][:, None, None], tensors, "decoder.tail")
    picture = enlarged(x, 8)
    hidden = convolved(reduced(picture, 2), tensors, "decoder.deblocking.enter")
    hidden = leaky(modulated(hidden, hats, tensors, "decoder.deblocking.modulation"))
    picture = picture + enlarged(convolved(hidden, tensors, "decoder.deblocking.leave"), 2)
    pixels = (picture + 0.5)[:, :height, :width].transpose(1, 2, 0)
    if channels == 1:
        pixels = pixels.mean(axis=2, keepdims=True)
    return np.rint(np.clip(pixels, 0, 1) * top)


@pytest.mark.parametrize("quality", [1, 40, 100])
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.uint16)])
def test_the_page_describes_the_pixels(codec: Codec, quality: int, channels: int, dtype: type) -> None:
    height, width = 75, 41  # 5 x 3 positions
    steps = 16 * np.exp(-codec.log_restore.numpy()).mean() / 4  # so that pixels are spread over their range
    y = np.random.default_rng(0).normal(0, steps, (24, 5, 3)).round().astype(np.int16)
    found = codec._synthesised(y, quality, np.empty((height, width, channels), dtype)).astype(int)
    top = np.iinfo(dtype).max
    tensors = {name: tensor.double().numpy() for name, tensor in codec.state_dict().items()}
    expected = documented(y, quality, tensors, height, width, channels, top)
    assert ((expected > 0) & (expected < top)).mean() > 0.2
    assert np.abs(found - expected).max() <= top / 255
    assert (found == expected).mean() > (0.95 if top == 255 else 0.5)


def test_the_page_tells_how_tables_are_made() -> None:
    from vaetool.compression.entropy.tables import make_counts

    expected = []
    for i in range(64):
        s = 0.04 * np.exp(i / 8)
        reach = max(1, int(np.ceil(14 * s)))
        edges = 1 / (1 + np.exp(-(np.arange(-reach, reach + 2) - 0.5) / s))
        probabilities = np.append(np.diff(edges), 2 * edges[0])
        counts = np.floor(probabilities / probabilities.sum() * (2**24 - len(probabilities))) + 1
        counts[reach] += 2**24 - counts.sum()
        expected.append(counts)
    np.testing.assert_allclose(make_counts(), np.concatenate(expected), atol=1)
