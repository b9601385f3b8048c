"""New pictures: of which density, of which seed, of which codes."""

from __future__ import annotations

import io

import numpy as np
import pytest

from vaetool.errors import FileError, UsageError
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.priors import Mixture
from vaetool.latents.sample import draw, pictures_of, read_latents, sample, sheet
from vaetool.store import weights


@pytest.fixture
def vae(tiny_autoencoders) -> Autoencoder:
    return weights.load(tiny_autoencoders / "tiny-vae.safetensors", device="cpu")


@pytest.fixture
def ae(tiny_autoencoders) -> Autoencoder:
    return weights.load(tiny_autoencoders / "tiny-ae.safetensors", device="cpu")


def with_scores(model: Autoencoder, normal: float, mixture: float) -> Autoencoder:
    """The same model, for whose held-out codes other figures were measured."""
    fitted = model.mixture
    model.keep_mixture(Mixture(fitted.weights, fitted.means, fitted.factors, np.array([normal, mixture])))
    return model


def test_samples_are_pictures_of_the_models_size(vae):
    pictures = sample(vae, 5)
    assert (pictures.shape, pictures.dtype) == ((5, 16, 16, 1), np.uint8)
    assert len(np.unique(pictures.reshape(5, -1), axis=0)) == 5


def test_samples_look_like_the_shapes_that_were_learned(vae):
    """Bright in the middle and dark at the rim."""
    pictures = sample(vae, 200).astype(float)
    assert pictures[:, 6:10, 6:10].mean() > pictures[:, [0, 15]].mean() + 60


def test_the_same_seed_gives_the_same_pictures(vae):
    one, same, other = (sample(vae, 4, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_temperature_zero_is_always_the_same_picture_of_a_normal(vae):
    pictures = sample(vae, 3, temperature=0, prior="normal")
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(draw(vae, 3, temperature=0, prior="normal").codes, np.zeros((3, 6)))


@pytest.mark.parametrize(("normal", "mixture", "chosen"), [(-9.0, -8.5, "gmm"), (-9.0, -9.5, "normal")])
def test_auto_takes_the_prior_under_which_held_out_codes_are_likelier(vae, normal, mixture, chosen):
    drawn = draw(with_scores(vae, normal, mixture), 2)
    assert drawn.prior == chosen
    assert f"{normal}" in drawn.words
    assert f"{mixture}" in drawn.words
    assert np.array_equal(drawn.codes, draw(vae, 2, prior=chosen).codes)
    assert drawn.warning is None


def test_a_plain_autoencoder_is_sampled_from_the_density_of_its_codes_with_a_warning(ae):
    drawn = draw(with_scores(ae, -9.0, -9.5), 2)
    assert drawn.prior == "gmm"
    assert "a vae" in drawn.warning
    assert "gaps between its codes" in drawn.warning


def test_a_model_whose_training_was_not_ended_has_the_normal_alone(vae, ae):
    for model in (vae, ae):
        model.forget()
    assert draw(vae, 1).prior == "normal"
    assert "the only one" in draw(vae, 1).words
    for model, prior in ((vae, "gmm"), (ae, "gmm"), (ae, "auto")):
        with pytest.raises(UsageError, match="no density was fitted"):
            draw(model, 1, prior=prior)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prior": "mixture"}, "auto, normal, gmm"),
        ({"count": 0}, "count must be 1 or more"),
        ({"temperature": -1}, "temperature"),
    ],
    ids=["prior", "count", "temperature"],
)
def test_what_makes_no_sense_is_refused(vae, wrong, message):
    with pytest.raises(UsageError, match=message):
        sample(vae, **wrong)


# Codes from files


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)


def test_codes_from_an_array(vae, codes, tmp_path):
    np.save(tmp_path / "codes.npy", codes.astype(np.float64))
    drawn = draw(vae, latents=tmp_path / "codes.npy", seed=1)
    assert np.array_equal(drawn.codes, codes)
    assert np.array_equal(sample(vae, latents=tmp_path / "codes.npy"), vae.decode(codes))


def test_one_code_alone(codes, tmp_path):
    np.save(tmp_path / "one.npy", codes[0])
    assert np.array_equal(read_latents(tmp_path / "one.npy", 6), codes[:1])


def test_codes_from_a_table_of_numbers(codes, tmp_path):
    np.savetxt(tmp_path / "codes.csv", codes, delimiter=",")
    assert np.allclose(read_latents(tmp_path / "codes.csv", 6), codes)


def test_codes_from_a_table_with_names_and_labels(codes, tmp_path):
    names = ",".join(f"z{unit}" for unit in range(6))
    rows = [f"picture {k},7,{','.join(map(str, code))}\n" for k, code in enumerate(codes.tolist())]
    (tmp_path / "codes.csv").write_text(f"name,label,{names}\n{''.join(rows)}", encoding="utf-8-sig")
    assert np.allclose(read_latents(tmp_path / "codes.csv", 6), codes)


def npy(values: object) -> bytes:
    np.save(buffer := io.BytesIO(), values)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("codes.npy", b"\x93NUMPY not really"),
        ("codes.npy", npy(np.zeros((3, 6)))[:-9]),
        ("codes.npy", npy(np.zeros((3, 6), complex))),
        ("codes.npy", npy(np.array([["a"] * 6]))),
        ("codes.npy", npy(np.full((1, 6), np.nan))),
        ("codes.npy", npy(np.full((1, 6), 1e300))),
        ("codes.npy", npy(np.zeros(1)).replace(b"(1,)", b"(10000000000000000,)".ljust(4))),
        ("codes.csv", b""),
        ("codes.csv", b"a,b,c\n1,2,3\n"),
        ("codes.csv", b"1,2,3,4,5,6\n1,2\n"),
        ("codes.csv", b"1,2,3,4,5,nan\n"),
        ("codes.csv", b"\x00\xff\xfe"),
        ("codes.csv", None),
    ],
)
def test_a_file_without_codes_is_named_in_one_line(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_latents(tmp_path / name, 6)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("values", [np.zeros((3, 5)), np.zeros((0, 6)), np.zeros((2, 3, 6)), np.zeros(5)], ids=str)
def test_codes_of_another_length_are_refused(tmp_path, values):
    np.save(tmp_path / "codes.npy", values)
    with pytest.raises(UsageError, match="a code of this model has 6"):
        read_latents(tmp_path / "codes.npy", 6)


# Pictures of codes


def test_pictures_come_one_by_one_and_are_the_same_as_together(vae, codes, monkeypatch):
    monkeypatch.setattr("vaetool.latents.generative.BATCH", 0)  # one at a time
    assert vae.batch_size == 1
    assert np.array_equal(np.stack(list(pictures_of(vae, codes))), vae.decode(codes))


def test_a_sheet_is_nearly_square_with_white_between_pictures():
    pictures = np.zeros((5, 4, 4, 1), np.uint8)
    pictures[3] = 100
    whole = sheet(pictures)
    assert whole.shape == (10, 16, 1)
    assert (whole[4:6] == 255).all()
    assert (whole[:, 4:6] == 255).all()
    assert (whole[6:, :4] == 100).all()
    assert (whole[6:, 12:] == 255).all()


def test_a_sheet_of_one_picture_is_that_picture():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert np.array_equal(sheet([picture]), picture)
