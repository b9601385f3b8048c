"""The codec's network and its files: what holds whatever the weights are."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

import vaetool
from vaetool.compression import codec as codec_module
from vaetool.compression.codec import Codec, CodecConfig, CodecObjective, Qualities
from vaetool.compression.quality import hats, lagrangian, nominal_gain
from vaetool.compression.transforms import Block, cosine_basis
from vaetool.errors import ImageError, UsageError, WeightsError
from vaetool.images.metrics import psnr
from vaetool.store import weights

SMALL = CodecConfig(latent=48, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=16)


def made(config: CodecConfig, seed: int = 0, noise: float = 0.0) -> Codec:
    """A codec as training begins with it, or with all of its weights a little off."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Codec(config).requires_grad_(False).eval()
        for weight in model.parameters():
            weight += noise * torch.randn(weight.shape)
    return model


@pytest.fixture(scope="module")
def codec() -> Codec:
    """One whose residual blocks and prior do something."""
    return made(SMALL, noise=0.003)


@pytest.fixture(scope="module")
def photo(photographs) -> np.ndarray:
    return np.asarray(photographs["china"])


def batch(codec: Codec, size: int = 64, count: int = 3, corruption: Qualities | None = None):
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand((count, 3, size, size), generator=generator)
    return codec.corrupt(clean, generator, corruption or Qualities())


@pytest.mark.parametrize("size", [8, 16])
def test_cosines_are_orthonormal_and_fall_with_frequency(size):
    vectors, sigma = map(torch.from_numpy, cosine_basis(size))
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(len(vectors)), atol=1e-5, rtol=0)
    kept, kept_sigma = map(torch.from_numpy, cosine_basis(size, 20))
    assert (kept_sigma.diff() <= 0).all()
    torch.testing.assert_close(kept[0], torch.full_like(kept[0], kept[0][0]))  # brightness comes first
    assert kept_sigma[-1] >= sigma.sort(descending=True).values[20]


def test_transforms_begin_as_an_exact_pair():
    """With all 768 channels of a block of 16 x 16 nothing is lost."""
    complete = made(dataclasses.replace(SMALL, latent=768))
    x = torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(0))
    knots = hats(torch.tensor([1.0, 100.0]))
    torch.testing.assert_close(complete.decoder(complete.encoder(x, knots), knots), x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("reduction", [2, 4, 8])
def test_a_plain_codec_reduces_pictures_to_means_exactly(reduction):
    plain = made(SMALL)  # its residual blocks and its filter add nothing yet
    x, knots = torch.rand((2, 3, 48, 80), generator=torch.Generator().manual_seed(0)), hats(torch.tensor([1.0, 70.0]))
    y = plain.encoder(x, knots)
    expected = torch.nn.functional.avg_pool2d(plain.decoder(y, knots), reduction)
    torch.testing.assert_close(plain.decoder(y, knots, reduction), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_reduced_picture_looks_like_the_whole_but_runs_no_residual_block(codec, photo, channels, monkeypatch):
    monkeypatch.setattr(codec_module, "TILE", 4)
    pixels = photo[:101, :157, :channels]
    coded, _ = codec.encode_pixels(pixels, 60)
    whole = codec.decode_pixels(coded, *pixels.shape)[:100, :156]
    monkeypatch.setattr(Block, "forward", None)
    reduced = codec.decode_pixels(coded, *pixels.shape, reduction=4)
    assert reduced.shape == (26, 40, channels)
    expected = whole.reshape(25, 4, 39, 4, channels).mean(axis=(1, 3)).round()
    assert psnr(reduced[:25, :39], expected, 255) > 28


def test_an_untrained_codec_is_a_plain_one_that_works(photo):
    untrained = made(dataclasses.replace(SMALL, latent=192))
    sizes, figures = [], []
    for quality in (1, 50, 100):
        coded, _ = untrained.encode_pixels(photo, quality)
        sizes.append(sum(map(len, coded.streams)))
        figures.append(psnr(untrained.decode_pixels(coded, *photo.shape[:2]), photo, 255))
    assert sizes == sorted(sizes)
    assert figures == sorted(figures)
    assert figures[0] > 15
    assert figures[2] > 25


def test_lambda_and_gain_are_geometric_in_quality():
    quality = torch.tensor([1.0, 50.5, 100.0])
    low, middle, high = lagrangian(quality).tolist()
    assert (low, high) == pytest.approx((0.0004, 0.4))
    assert middle == pytest.approx((low * high) ** 0.5)
    torch.testing.assert_close(
        nominal_gain(quality) ** 2 / lagrangian(quality), torch.full((3,), 255**2 * 0.0385), rtol=1e-3, atol=0
    )


def test_every_weight_learns():
    model = made(SMALL, noise=0.02).requires_grad_(True)
    model.loss(batch(model))["loss"].backward()
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert not idle


def test_the_loss_is_rate_and_weighted_distortion(codec):
    given = batch(codec, corruption=Qualities(30.0, 30.0))
    losses = codec.loss(given)
    weight = lagrangian(torch.tensor(30.0))
    torch.testing.assert_close(losses["loss"], losses["bpp"] + weight * losses["mse"])
    assert 0 < losses["z_bpp"] < losses["bpp"]


def test_training_counts_the_bits_that_are_written(codec, photo, monkeypatch):
    """Of one tile whose sides are multiples of 64: the estimate in real numbers, the tables, the bytes."""
    monkeypatch.setattr("vaetool.compression.entropy.coder.THRIFT", 0.0)  # as in training
    pixels = np.ascontiguousarray(photo[:64, :128])
    clean = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255
    for quality in (10.0, 90.0):
        given = codec.corrupt(clean, torch.Generator().manual_seed(0), Qualities(quality, quality))
        picture, y_bits, z_bits = codec.code(given)
        coded, bits = codec.encode_pixels(pixels, int(quality))
        assert bits["y_bits"] == pytest.approx(y_bits.item(), rel=0.02)
        assert bits["z_bits"] == pytest.approx(z_bits.item(), rel=0.02)
        assert 8 * len(coded.streams[0]) == pytest.approx(bits["y_bits"] + bits["z_bits"], abs=64)
        decoded = codec.decode_pixels(coded, 64, 128)
        trained = (255 * picture[0].clamp(0, 1)).round().permute(1, 2, 0)
        assert psnr(decoded, trained.numpy(), 255) > psnr(decoded, pixels, 255) + 6


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 200, 3), (16, 16, 1), (17, 65, 3), (64, 31, 1)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_any_size_and_type_comes_back(codec, shape, dtype):
    rng = np.random.default_rng(0)
    top = np.iinfo(dtype).max
    ramp = np.linspace(0, 1, shape[0] * shape[1]).reshape(*shape[:2], 1)
    pixels = (top * (0.9 * ramp + 0.1 * rng.random(shape))).astype(dtype)
    coded, _ = codec.encode_pixels(pixels, 95)
    back = codec.decode_pixels(coded, *shape, dtype=dtype)
    assert back.shape == shape
    assert back.dtype == dtype
    assert psnr(back, pixels, top) > 20


def test_tiles_meet_without_a_seam(codec, photo, monkeypatch):
    whole, _ = codec.encode_pixels(photo, 60)
    one = codec.decode_pixels(whole, *photo.shape[:2]).astype(int)
    monkeypatch.setattr(codec_module, "TILE", 4)
    cut, _ = codec.encode_pixels(photo, 60)
    assert len(cut.streams) == 3 * 2
    many = codec.decode_pixels(cut, *photo.shape[:2]).astype(int)
    # Means differ with what is known of the surroundings, and with them how numbers round; but not more at the seams.
    difference = np.abs(one - many).mean(axis=2)
    at_seams = difference[:, [63, 64, 127, 128]].mean()
    assert at_seams < 1.5 * difference.mean() + 0.1
    assert psnr(many, one, 255) > psnr(one, photo, 255) + 3
    # Decoding is the same however it is cut.
    monkeypatch.undo()
    assert np.abs(codec.decode_pixels(cut, *photo.shape[:2]) - many).max() <= 1


def test_identity_is_of_the_weights(tmp_path):
    first, same, other = made(SMALL), made(SMALL), made(SMALL, seed=1)
    assert first.identity == same.identity != other.identity
    assert len(first.identity) == 8
    weights.save(tmp_path / "a.safetensors", first, {"steps": 1})
    assert weights.load(tmp_path / "a.safetensors").identity == first.identity


def trained_on(model: Codec) -> None:
    """One step of an optimizer that leaves no trace in the version counters of the weights."""
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    model.loss(batch(model, count=1))["loss"].backward()
    optimizer.step()
    model.requires_grad_(False)


CHANGES = {
    "loading": lambda model: model.load_state_dict(made(SMALL, seed=5, noise=0.01).state_dict()),
    "loading by assignment": lambda model: model.load_state_dict(
        made(SMALL, seed=5, noise=0.01).state_dict(), assign=True
    ),
    "training": trained_on,
    "one number": lambda model: model.prior.look[3].bias[0].add_(0.001),
    "behind its back": lambda model: model.prior.z_index.data.add_(0.5),
    "order": lambda model: model.prior.spread[1].weight.copy_(model.prior.spread[1].weight.flip(0)),
    "tables": lambda model: model.prior.counts[:2].add_(torch.tensor([1, -1])),
    "precision and back": lambda model: model.half().float(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_weights_that_change_are_another_codec(photo, change):
    """Of which nothing that was made of the old ones is left: it codes as one does that always had these weights."""
    model = made(SMALL, noise=0.01)
    before, _ = model.encode_pixels(photo, 50)
    change(model)
    fresh = Codec(SMALL).requires_grad_(False)
    fresh.load_state_dict(model.state_dict())
    after, _ = model.encode_pixels(photo, 50)
    assert after == fresh.encode_pixels(photo, 50)[0]
    assert after.model != before.model
    with pytest.raises(ImageError, match="other weights"):
        model.decode_pixels(before, *photo.shape[:2])


def test_what_coding_needs_is_made_once(codec, photo):
    coded, _ = codec.encode_pixels(photo, 50)
    made_once = codec.exact()
    codec.decode_pixels(coded, *photo.shape[:2])
    assert codec.exact() is made_once


def test_a_codec_that_has_coded_can_be_copied(codec, photo):
    coded, _ = codec.encode_pixels(photo, 50)
    twin = copy.deepcopy(codec)
    np.testing.assert_array_equal(
        twin.decode_pixels(coded, *photo.shape[:2]), codec.decode_pixels(coded, *photo.shape[:2])
    )


def test_weights_that_could_decode_otherwise_elsewhere_code_nothing(photo):
    broken = made(SMALL)
    broken.prior.look[0].weight[0, 0] = 1e9
    with pytest.raises(WeightsError, match="too large"):
        broken.encode_pixels(photo, 50)


def test_other_weights_refuse_a_file(codec, photo):
    coded, _ = codec.encode_pixels(photo, 50)
    other = made(SMALL, seed=3)
    with pytest.raises(ImageError, match="other weights"):
        other.decode_pixels(coded, *photo.shape[:2])
    disguised = dataclasses.replace(coded, model=other.identity)
    with pytest.raises(ImageError, match="damaged"):
        other.decode_pixels(disguised, *photo.shape[:2])


def test_a_changed_stream_is_noticed(codec, photo):
    coded, _ = codec.encode_pixels(photo, 50)
    stream = bytearray(coded.streams[0])
    for place in range(0, len(stream), max(1, len(stream) // 20)):
        changed = bytearray(stream)
        changed[place] ^= 0x10
        with pytest.raises(ImageError, match="damaged"):
            codec.decode_pixels(dataclasses.replace(coded, streams=(bytes(changed),)), *photo.shape[:2])


def test_a_codec_that_makes_no_sense_is_not_made():
    with pytest.raises(UsageError, match="channels"):
        CodecConfig(channels=1)
    with pytest.raises(UsageError, match="multiple of 4"):
        CodecConfig(latent=50)
    with pytest.raises(UsageError, match="quality_min"):
        Qualities(60.0, 20.0)


def test_a_larger_codec_begins_as_a_smaller_one():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        small = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=8))
        for weight in small.parameters():
            weight.data += 0.02 * torch.randn_like(weight)
        large = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=2, decoder_blocks=3, prior_width=12))
        given = small.corrupt(torch.rand(2, 3, 64, 64), torch.Generator().manual_seed(1), Qualities())
    assert large.warm_start(small)
    (picture, *bits), (expected, *expected_bits) = large.code(given), small.code(given)
    assert (picture - expected).abs().median() < 1e-4  # but where a number was halfway between two
    assert torch.allclose(torch.stack(bits), torch.stack(expected_bits), rtol=1e-3)
    assert not small.warm_start(large)


def test_structure_adds_to_the_distortion():
    codec = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=8))
    clean = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 24), (192, 192), mode="bilinear")
    given = codec.corrupt(clean, torch.Generator().manual_seed(1), Qualities(20, 20))
    plain, more = (codec.loss(given, CodecObjective(structure))["loss"] for structure in (0.0, 1.0))
    assert more > plain


def test_structure_needs_crops_that_are_large_enough():
    codec = Codec(CodecConfig(latent=32, hyper=8, encoder_blocks=1, decoder_blocks=1, prior_width=8))
    given = codec.corrupt(torch.rand(1, 3, 128, 128), torch.Generator().manual_seed(1), Qualities())
    with pytest.raises(UsageError, match=r"needs training\.crops of 176 or more"):
        codec.loss(given, CodecObjective(0.2))


def test_noise_gives_a_picture_of_finite_numbers():
    """Gates multiply: without a limit white noise grew to infinity."""
    codec = vaetool.load("photo-codec", device="cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for quality in (5, 50, 95):
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        given = codec.corrupt(x, torch.Generator().manual_seed(0), Qualities(quality, quality))
        assert codec.code(given)[0].isfinite().all()
