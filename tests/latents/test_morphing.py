"""Morphs as a library function, and frames as files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vaetool import load
from vaetool.errors import ImageError, UsageError
from vaetool.images import animation
from vaetool.latents.morph import find_direction, morph, morph_along
from vaetool.latents.vae import VAE


@pytest.fixture(scope="module")
def model(tiny_vae) -> VAE:
    return load(tiny_vae, device="cpu")


@pytest.fixture(scope="module")
def zero(digit_folders):
    return digit_folders / "0" / "00.png"


@pytest.fixture(scope="module")
def one(digit_folders):
    return digit_folders / "1" / "00.png"


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


# From picture to picture


@pytest.mark.parametrize("path", ["slerp", "lerp"])
def test_the_first_and_the_last_frame_are_reconstructions(model, zero, one, path):
    frames = morph(model, [zero, one], frames=5, path=path)
    assert frames.shape == (5, 16, 16, 1)
    assert frames.dtype == np.uint8
    assert difference(frames[[0, -1]], model.decode(model.encode([zero, one]))) <= 1


def test_between_them_frames_change_step_by_step(model, zero, one):
    frames = morph(model, [zero, one]).astype(int)
    whole = np.abs(frames[-1] - frames[0]).mean()
    assert np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).max() < 0.25 * whole


def test_a_loop_closes(model, zero, one):
    frames = morph(model, [zero, one], frames=12, loop=True).astype(int)
    assert difference(frames[6], model.decode(model.encode([one]))[0]) <= 1
    steps = np.abs(frames - np.roll(frames, 1, axis=0)).mean(axis=(1, 2, 3))
    assert steps[0] < 2 * np.median(steps)


def test_pictures_of_any_kind_can_be_mixed(model, zero, photos):
    photo = Image.open(photos[0])
    colour = np.asarray(photo) / 255
    frames = morph(model, [zero, photo, colour, str(photos[1])], frames=4)
    assert difference(frames[1], frames[2]) <= 1


def test_what_cannot_be_morphed_is_refused(model, zero, tmp_path):
    with pytest.raises(UsageError, match="two or more, or a direction"):
        morph(model, [zero])
    with pytest.raises(UsageError, match="3 pictures need as many frames or more, not 2"):
        morph(model, [zero] * 3, frames=2)
    with pytest.raises(UsageError, match="path must be slerp or lerp, not 'bezier'"):
        morph(model, [zero, zero], path="bezier")
    with pytest.raises(UsageError, match="two frames or more"):
        morph_along(model, zero, np.zeros(4), frames=1)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(ImageError, match=r"broken\.png: not a readable image"):
        morph(model, [zero, tmp_path / "broken.png"])


# Along a direction


def test_a_direction_leads_from_the_pictures_without_to_those_with(model, digit_folders):
    ones, zeros = digit_folders / "1", digit_folders / "0"
    vector, auc = find_direction(model, ones, zeros)
    with_, without = (model.encode(sorted(folder.iterdir())).mean(axis=0) for folder in (ones, zeros))
    moved = without + vector
    assert np.linalg.norm(moved - with_) < 0.5 * np.linalg.norm(without - with_)
    assert 0.9 < auc <= 1


def test_along_a_direction_a_picture_passes_its_reconstruction(model, zero):
    vector, auc = find_direction(model, "1")
    assert auc >= 0.6
    frames = morph_along(model, zero, vector, frames=4)
    assert difference(frames[1], model.decode(model.encode([zero]))[0]) <= 1
    codes = model.encode([zero]) + np.outer([-1, 2], vector)
    assert difference(frames[[0, -1]], model.decode(codes)) <= 1


def test_there_and_back_again(model, zero):
    frames = morph_along(model, zero, find_direction(model, "1")[0], alpha=(0, 1), frames=6, loop=True)
    assert difference(frames[1:3], frames[:3:-1]) <= 1


def test_a_direction_that_means_little_is_refused(model, digit_folders, tmp_path):
    halves = [tmp_path / name for name in ("even", "odd")]
    for k, path in enumerate(sorted((digit_folders / "0").iterdir())):
        halves[k % 2].mkdir(exist_ok=True)
        Image.open(digit_folders / "0" / f"{k // 2:02}.png").save(halves[k % 2] / path.name)  # the same twelve in both
    with pytest.raises(UsageError, match=r"means little .* AUC is 0\.[0-5]"):
        find_direction(model, *halves)


def test_an_unknown_direction_lists_those_there_are(model):
    with pytest.raises(UsageError, match=r"no direction 'smile' \(it has 0, 1, 2\)"):
        find_direction(model, "smile")


def test_unreadable_pictures_of_a_direction_are_named_and_left_out(model, digit_folders, tmp_path):
    for path in sorted((digit_folders / "1").iterdir())[:6]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    said: list[str] = []
    find_direction(model, tmp_path, digit_folders / "0", warn=said.append)
    assert len(said) == 1
    assert "broken.png: not a readable image" in said[0]


# Frames as files


@pytest.fixture(scope="module")
def colourful() -> np.ndarray:
    """Six frames of colours that pass into each other."""
    ramp = np.linspace(0, 1, 20)
    pictures = [np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], t), axis=2) for t in np.linspace(0, 1, 6)]
    return np.rint(255 * np.stack(pictures)).astype(np.uint8)


def frames_of(data: bytes) -> tuple[np.ndarray, list[int]]:
    with Image.open(io.BytesIO(data)) as image:
        frames, durations = [], []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        assert image.info["loop"] == 0
    return np.stack(frames), durations


def test_a_webp_is_lossless(colourful):
    frames, durations = frames_of(animation.encode_frames(colourful, ".webp", fps=10))
    assert (frames == colourful).all()
    assert durations == [100] * 6


def test_a_gif_has_a_palette_for_each_frame(colourful):
    frames, _ = frames_of(animation.encode_frames(colourful, ".gif"))
    assert frames.shape == colourful.shape
    assert np.abs(frames.astype(int) - colourful).mean() < 4
    assert len({tuple(map(tuple, np.unique(frame.reshape(-1, 3), axis=0))) for frame in frames}) == 6


def test_a_grey_gif_is_lossless(colourful):
    grey = colourful[..., :1]
    frames, _ = frames_of(animation.encode_frames(grey, ".gif"))
    assert (frames == grey).all()


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_a_single_frame_is_a_picture(suffix):
    with Image.open(io.BytesIO(animation.encode_frames(np.full((1, 9, 8, 3), 77, np.uint8), suffix))) as image:
        assert (image.size, getattr(image, "n_frames", 1)) == ((8, 9), 1)


@pytest.mark.parametrize("fps", [1, 12, 24, 30, 50])
def test_a_gif_takes_as_long_as_it_should(colourful, fps):
    _, durations = frames_of(animation.encode_frames(colourful, ".gif", fps))
    assert sum(durations) == pytest.approx(6000 / fps, abs=10)
    assert min(durations) >= 20


def test_a_strip_has_white_between_its_frames(colourful):
    with Image.open(io.BytesIO(animation.encode_frames(colourful, ".png"))) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (20, 6 * 22 - 2, 3)
    assert (pixels[:, 20:22] == 255).all()
    assert (pixels[:, 22:42] == colourful[1]).all()


def test_a_folder_has_the_new_frames_alone(colourful, tmp_path):
    animation.write(colourful, tmp_path / "out")
    (tmp_path / "out" / "frame-of-mine.png").write_bytes(b"mine")
    animation.write(colourful[:2], tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "frame-0001.png",
        "frame-0002.png",
        "frame-of-mine.png",
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_resized_smoothly(colourful, channels):
    large = animation.resize(colourful[..., :channels], 60)
    assert large.shape == (6, 60, 60, channels)
    assert np.abs(np.diff(large[..., 0].astype(int), axis=1)).max() < 12
