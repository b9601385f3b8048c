"""Faces in photos: found, aligned, changed; and pictures that a model cannot draw."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

from vaetool import load
from vaetool.errors import ImageError, UsageError
from vaetool.images.crops import Crop
from vaetool.latents.morph import change_portrait, find_direction
from vaetool.latents.portraits import MAX_ERROR, Portrait, misfit, portrait, portraits
from vaetool.latents.vae import VAE


@pytest.fixture(scope="module")
def faces() -> VAE:
    return load("faces", device="cpu")


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    from skimage.data import astronaut

    return astronaut()


@pytest.fixture(scope="module")
def found(faces, astronaut) -> Portrait:
    return portrait(faces, astronaut)


def test_the_face_in_a_photo_is_found_and_aligned(faces, astronaut, found):
    assert found.words.startswith("the face, at 1")
    assert np.hypot(found.crop.x - 225, found.crop.y - 124) < 8
    assert found.crop.side == pytest.approx(101, rel=0.1)
    assert misfit(faces, found).absolute < 2 < MAX_ERROR < misfit(faces, Portrait(astronaut, None)).absolute


def test_a_direction_changes_the_face_and_nothing_around_it(faces, astronaut, found):
    vector, _ = find_direction(faces, "old")
    frames = change_portrait(faces, found, vector, frames=4)
    assert frames.shape == (4, 512, 512, 3)
    assert np.abs(frames[1].astype(int) - astronaut).max() <= 1  # 0 is the photo itself
    reach = found.crop.side * np.sqrt(0.5)
    rows, columns = np.mgrid[:512, :512]
    away = np.maximum(abs(rows - found.crop.y), abs(columns - found.crop.x)) > reach
    assert (frames[:, away] == astronaut[away]).all()
    assert np.abs(frames[2].astype(int) - astronaut)[~away].mean() > 2


def test_a_grey_model_changes_a_photo_in_colour(astronaut, found):
    smiles = load("smiles", device="cpu")
    frames = change_portrait(smiles, found, find_direction(smiles, "smile")[0], frames=2, size=128)
    assert frames.shape == (2, 128, 128, 3)
    change = frames[1].astype(int) - frames[0]
    assert np.abs(change).max() > 20
    assert np.abs(np.diff(change, axis=2))[(frames > 0).all(axis=(0, 3)) & (frames < 255).all(axis=(0, 3))].max() <= 2


def test_frames_too_large_for_memory_are_refused(faces, found):
    huge = Portrait(np.broadcast_to(np.uint8(0), (9000, 9000, 3)), Crop(4000, 4000, 500))
    with pytest.raises(UsageError, match="24 frames of 9000 x 9000 pixels are too large: give --size N"):
        change_portrait(faces, huge, np.zeros(96))


def test_a_photo_without_a_face_is_refused(faces, photographs, monkeypatch):
    flower = np.asarray(photographs["flower"].resize((480, 320)))
    with pytest.raises(ImageError, match=r"is not like .* times the usual one; crop it as those are, with --crop"):
        portrait(faces, flower)
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(ImageError, match=r"; pip install 'vaetool\[portraits\]' to have faces found, or crop it as"):
        portrait(faces, flower)


@pytest.mark.parametrize(("name", "ending"), [("faces", " of so little contrast"), ("smiles", "")])
def test_a_page_of_text_is_refused(name, ending):
    page = Image.new("L", (400, 400), 235)
    for line in range(16):
        ImageDraw.Draw(page).text((24, 24 + 22 * line), "the quick brown fox jumps over the lazy dog " * 2, fill=40)
    with pytest.raises(ImageError, match=f"is not like .* times the usual one{ending}; crop it"):
        portrait(load(name, device="cpu"), page)


def test_a_crop_is_taken_as_given_with_a_warning_if_it_does_not_suit_the_model(faces, astronaut):
    said: list[str] = []
    first, second = portraits(faces, [astronaut] * 2, [(175, 73, 101, 101), (300, 300, 200, 100)], warn=said.append)
    assert (str(first.crop), str(second.crop)) == ("175,73,101,101", "350,300,100,100")
    assert len(said) == 1
    assert said[0].startswith("the crop 350,300,100,100 is not like the pictures that this model learned from")
    with pytest.raises(UsageError, match="as many crops as pictures are needed, 2, not 1"):
        portraits(faces, [astronaut] * 2, [None])


def test_a_picture_that_the_model_draws_is_left_as_it_is(faces):
    drawn = faces.decode(faces.code_mean.numpy()[None])[0]
    for size in (1, 4):
        assert portrait(faces, drawn.repeat(size, 0).repeat(size, 1)).crop is None
