"""The multimodal VAE: what it makes of several modalities of the same things, alone and together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool import load, train
from vaetool.errors import ImageError, UsageError
from vaetool.latents.likelihoods import gaussian_kl
from vaetool.latents.mmvae import MMVAE, MMVAEConfig, MMVAEObjective
from vaetool.latents.modalities import dependence, product_of_experts
from vaetool.latents.translate import translate_picture
from vaetool.scoring import detection
from vaetool.training.data import PixelStore

SHAPE = {"size": 16, "latent": 12, "private": 3, "widths": (4, 8), "blocks": (0, 0), "decoder_widths": (8, 4)}
THREE = {
    "modalities": ("photos", "masks", "label"),
    "planes": (3, 1, 0),
    "likelihoods": ("gaussian", "bernoulli", "bernoulli"),
    "labels": ("disc", "square"),
}


@pytest.fixture(params=[1, 4, 8], ids="places={}".format)
def model(request) -> MMVAE:
    """An untrained one of three modalities."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MMVAE(MMVAEConfig(**SHAPE, **THREE, places=request.param)).eval()


@pytest.fixture
def batch(model):
    """What training draws of eight things."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((8, 5, 16, 16), generator=generator)
    x[:, 4] = torch.randint(2, (8, 1, 1), generator=generator) / 255
    return model.corrupt(x, generator, None)


@pytest.fixture
def pair(tiny_mmvaes) -> MMVAE:
    return load(tiny_mmvaes / "pair.safetensors", device="cpu")


@pytest.fixture
def labelled(tiny_mmvaes) -> MMVAE:
    return load(tiny_mmvaes / "labelled.safetensors", device="cpu")


# The posterior


def test_the_product_of_experts_is_that_of_their_densities():
    means, log_vars = torch.tensor([[[0.5]], [[-2.0]]]), torch.tensor([[[0.3]], [[-1.0]]])
    mean, log_var = product_of_experts(means, log_vars, torch.ones((1, 2), dtype=torch.bool))
    z = torch.linspace(-8, 8, 20001, dtype=torch.float64)
    log_density = -0.5 * z.square() - sum(
        0.5 * (z - m).square() / v for m, v in zip(means.flatten(), log_vars.exp().flatten(), strict=True)
    )
    density = log_density.exp() / log_density.exp().sum()
    expected = (density * z).sum()
    assert mean.item() == pytest.approx(expected.item(), abs=1e-4)
    assert log_var.exp().item() == pytest.approx((density * (z - expected).square()).sum().item(), abs=1e-4)


def test_of_nothing_seen_the_posterior_is_the_prior(model, batch):
    shared, _ = model.posteriors(batch["clean"], torch.zeros((8, 3), dtype=torch.bool))
    assert not gaussian_kl(shared.mean, shared.log_var).any()


def test_what_is_not_seen_does_not_matter_to_the_posterior(model, batch):
    seen = torch.tensor([[True, False, False]]).expand(8, -1)
    changed = batch["clean"].clone()
    changed[:, 3:] = torch.flip(changed[:, 3:], dims=(0,))
    first, again = (model.posteriors(x, seen)[0] for x in (batch["clean"], changed))
    assert torch.equal(first.mean, again.mean)


def test_training_sees_every_subset_but_none_of_nothing(model):
    generator = torch.Generator().manual_seed(0)
    seen = model.corrupt(torch.rand((200, 5, 16, 16), generator=generator), generator, None)["seen"]
    assert len({tuple(row) for row in seen.tolist()}) == 7
    assert seen.any(dim=1).all()


def test_private_units_are_told_from_their_own_modality_alone(model, batch):
    """What is told of masks from photos has to be in the shared code: noise of private units changes nothing."""
    seen = torch.tensor([[True, False, False]]).expand(8, -1)
    other = batch["noise"].clone()
    other[:, model.shared + 3 * model.config.places**2 :] += 1
    first, again = (model.terms(batch["clean"], seen, noise)[0] for noise in (batch["noise"], other))
    assert torch.equal(first[:, 1], again[:, 1])


# Places


def at_places(model: MMVAE, code: torch.Tensor) -> torch.Tensor:
    """Return codes as (batch, units, places, places)."""
    return code.unflatten(1, (-1, model.config.places, model.config.places))


@pytest.mark.parametrize("model", [8], indirect=True, ids="places={}".format)
def test_a_code_keeps_where_something_is(model):
    """What is changed in the last rows of a picture changes the last rows of its code most, and those of no other."""
    x = torch.full((1, 5, 16, 16), 0.5)
    x[:, 4] = 0
    changed = x.clone()
    changed[:, :3, 14:, :4] = 1
    first, again = (at_places(model, model.posteriors(each, model.all_seen(each))[0].mean) for each in (x, changed))
    differs = (again - first).square().sum(dim=(0, 1))
    row, column = divmod(int(differs.argmax()), 8)
    assert row >= 6
    assert column <= 2


@pytest.mark.parametrize("model", [8], indirect=True, ids="places={}".format)
def test_a_place_of_a_code_is_decoded_there(model):
    """Everywhere else only the normalisation over the picture sees it."""
    code = torch.zeros((1, model.config.numbers))
    changed = code.clone()
    at_places(model, changed)[..., 0, -1] = 1
    differs = (model.render(changed) - model.render(code))[:, :4].abs().mean(dim=(0, 1))
    assert differs[:4, 12:].mean() > 3 * differs[8:].mean()


@pytest.mark.parametrize("model", [4], indirect=True, ids="places={}".format)
def test_a_label_has_the_same_code_at_all_places(model, batch):
    seen = torch.tensor([[False, False, True]]).expand(8, -1)
    mean = at_places(model, model.posteriors(batch["clean"], seen)[0].mean)
    assert torch.equal(mean, mean[:, :, :1, :1].expand_as(mean))
    assert mean.any()


# Training


def test_units_that_tell_the_same_depend_on_each_other():
    noise = torch.randn((4000, 3), generator=torch.Generator().manual_seed(0))
    shared, independent = noise[:, :1].clone().requires_grad_(), noise[:, 1:2]
    private = (0.2 * noise[:, :1] + 0.96**0.5 * noise[:, 2:]).requires_grad_()  # with a correlation of 0.2
    found = dependence(shared, [independent, private])
    assert found.item() == pytest.approx(-0.5 * np.log(1 - 0.2**2), rel=0.2)
    found.backward()
    assert shared.grad is None
    assert private.grad.any()


def test_a_loss_by_the_difference_of_private_units(model, batch):
    cost = model.terms(batch["clean"], batch["seen"], batch["noise"])[2].item()
    losses = [model.loss(batch, MMVAEObjective(difference=weight))["loss"].item() for weight in (0, 1000)]
    assert losses[1] - losses[0] == pytest.approx(1000 * cost / model.dims, rel=1e-3)


@pytest.mark.parametrize(("name", "index"), [("mask_weight", 1), ("label_weight", 2)])
def test_the_weight_of_a_modality_is_that_of_the_objective(model, batch, name, index):
    log_likelihoods, *_ = model.terms(batch["clean"], batch["seen"], batch["noise"])
    light, heavy = (model.loss(batch, MMVAEObjective(**{name: weight}))["reconstruction"].item() for weight in (1, 11))
    assert heavy - light == pytest.approx(10 * log_likelihoods[:, index].mean().item(), rel=1e-4)


def test_half_of_the_draws_go_to_masks_that_show_something():
    pixels = np.zeros((10, 16, 16, 5), np.uint8)
    pixels[:, ..., 0] = np.arange(10)[:, None, None]
    pixels[7, :8, :, 3] = 255
    store = PixelStore(list(pixels))
    store.sampling_weights = MMVAE.sampling_weights(store, MMVAEConfig(**SHAPE, **THREE))
    drawn = store.random_crops(2000, 16, torch.Generator().manual_seed(0))[:, 0, 0, 0].mul(255).round()
    assert (drawn == 7).float().mean().item() == pytest.approx(0.55, abs=0.03)
    assert (drawn == 2).float().mean().item() == pytest.approx(0.05, abs=0.02)


def test_without_masks_all_are_drawn_alike():
    kinds = {**THREE, "likelihoods": ("gaussian", "gaussian", "bernoulli")}
    assert MMVAE.sampling_weights(PixelStore([np.zeros((16, 16, 5), np.uint8)]), MMVAEConfig(**SHAPE, **kinds)) is None


def test_modalities_channels_likelihoods_and_labels_are_found_in_the_data(pair, labelled):
    assert pair.config.modalities == ("photos", "masks")
    assert (pair.config.planes, pair.config.likelihoods) == ((3, 1), ("gaussian", "bernoulli"))
    assert (pair.config.shared, pair.config.latent) == (4, 10)
    assert (pair.config.places, labelled.config.places) == (4, 1)
    assert labelled.config.modalities == ("photos", "label")
    assert (labelled.config.planes, labelled.config.labels) == ((3, 0), ("disc", "square"))


def test_it_learns_and_its_file_says_how_well(tiny_mmvaes):
    from vaetool.store.weights import read_header

    figures = read_header(tiny_mmvaes / "labelled.safetensors").training["held_out"]
    assert figures["elbo"] > 0
    assert figures["joint"] > figures["elbo"]
    assert figures["accuracy"] >= 0.75
    assert figures["active_units"] >= 1


def test_the_file_holds_the_weights_by_which_pairs_are_told_from_others(pair):
    assert pair.ratio.shape == (3,)
    assert (pair.ratio[1:] > 0).all()


def test_folders_are_labels_where_there_is_nothing_else(shapes, tmp_path):
    settings = ["model.latent=8", "model.private=2", "model.widths=[4, 4]", "training.steps=2"]
    train("mmvae", shapes, output=tmp_path / "m.safetensors", size=16, settings=settings, device="cpu")
    assert load(tmp_path / "m.safetensors", device="cpu").config.labels == ("disc", "square")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"private": 6}, "leaves nothing of a code of 12 to share"),
        ({"places": 5}, "model.places must be 1, 4, 8, not 5"),
        ({"planes": (3, 1)}, "must have one entry for each modality"),
        ({"labels": tuple(map(str, range(257)))}, "257 labels; 256 are possible"),
    ],
)
def test_a_shape_that_is_none_is_refused(changed, message):
    with pytest.raises(UsageError, match=message):
        MMVAEConfig(**{**SHAPE, **THREE, **changed})


# Use


def test_a_mask_is_told_from_a_photo(pair, pairs):
    names = [f"{number:03}.png" for number in range(30)]
    found = [translate_picture(pair, pairs / "photos" / name, to="masks") for name in names]
    masks = [np.asarray(Image.open(pairs / "masks" / name)) > 127 for name in names]
    pictures = [each.pixels[:, :, 0] > 127 for each in found]
    overlaps = [(a & b).sum() / (a | b).sum() for a, b in zip(pictures, masks, strict=True)]
    assert np.mean(overlaps) > 0.7
    assert all(0 < each.facts()["uncertainty"] < 128 for each in found)


def test_a_label_is_told_from_a_photo_with_its_probability(labelled, pairs):
    rows = dict(line.split(",") for line in (pairs / "labels.csv").read_text().split()[1:])
    found = {name: translate_picture(labelled, pairs / "photos" / name) for name in list(rows)[:40]}
    assert np.mean([found[name].label == rows[name] for name in found]) > 0.8
    assert all(sum(each.probabilities.values()) == pytest.approx(1) for each in found.values())
    assert all(next(iter(each.probabilities)) == each.label for each in found.values())


def test_a_translation_is_the_same_for_the_same_seed(pair, pairs):
    first, again, other = (
        translate_picture(pair, pairs / "photos/000.png", to="masks", seed=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.spread, other.spread)


def test_wrong_pairs_and_wrong_labels_score_higher(pair, labelled, pairs):
    names = [f"{number:03}.png" for number in range(40)]
    photos, masks = ([pairs / kind / name for name in names] for kind in ("photos", "masks"))
    rows = dict(line.split(",") for line in (pairs / "labels.csv").read_text().split()[1:])
    labels = [rows[name] for name in names]
    for model, right, wrong in (
        (pair, masks, masks[1:] + masks[:1]),
        (labelled, labels, ["disc" if label == "square" else "square" for label in labels]),
    ):
        usual, strange = (model.score(list(zip(photos, partners, strict=True))) for partners in (right, wrong))
        assert np.mean(usual[:, None] < strange) > 0.85


def test_p_values_of_held_out_pairs_are_in_the_file(pair, pairs):
    (found,) = detection.score(pair, [(pairs / "photos/000.png", pairs / "masks/000.png")], alpha=0.1)
    assert 0 < found.p_value <= 1
    assert found.by == "pmi"
    assert found.components.keys() == {"pmi"}


def test_samples_are_pictures_side_by_side_or_apart(pair, labelled):
    codes = np.random.default_rng(0).standard_normal((3, 10 * 4 * 4)).astype(np.float32)
    assert pair.decode(codes).shape == (3, 16, 32, 3)
    assert [each.shape for each in pair.decode_apart(codes)] == [(16, 16, 3), (16, 16, 1)] * 3
    assert labelled.decode(codes[:, :10]).shape == (3, 16, 16, 3)
    assert set(labelled.labels_of(codes[:, :10])) <= {"disc", "square"}


def test_modalities_that_do_not_fit_are_refused(labelled, pairs):
    photo = pairs / "photos/000.png"
    with pytest.raises(ImageError, match="its label star is not one that the model knows: disc, square"):
        labelled.prepare([photo, "star"])
    with pytest.raises(UsageError, match="2 modalities are needed, photos, label"):
        labelled.prepare([photo])


def test_the_recipe_of_a_file_rebuilds_the_network(pair):
    config = MMVAEConfig.from_values(dataclasses.asdict(pair.config), where="[model]")
    assert MMVAE(config).state_dict().keys() == pair.state_dict().keys()
