"""Any kind of image in, the same kind out, and nothing of it changed on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.images.conversion import from_unit, to_unit, unpack

HEIGHT, WIDTH = 21, 34
SIDE = 32  # needs no padding for the network, so that nothing is copied for that

PIL_MODES = {"L": "L", "LA": "LA", "RGB": "RGB", "RGBA": "RGBA", "I;16": "I;16"}
PIL_MODES |= {"1": "L", "P": "RGB"}  # what comes back of modes that cannot hold a result

ARRAY_TYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64]
TENSOR_TYPES = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64]
SHAPES = [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 1), (HEIGHT, WIDTH, 3)]
TENSOR_SHAPES = [(HEIGHT, WIDTH), (1, HEIGHT, WIDTH), (3, HEIGHT, WIDTH)]


@pytest.fixture(scope="module")
def model(tiny_dae):
    return vaetool.load(tiny_dae, device="cpu")


def noise(shape, dtype=np.uint8) -> np.ndarray:
    values = np.random.default_rng(0).uniform(0.2, 0.8, shape)
    return from_unit(values, np.dtype(dtype))


def pil_image(mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(noise((HEIGHT, WIDTH), np.uint16))
    rgba = Image.fromarray(noise((HEIGHT, WIDTH, 4)))
    return rgba.convert("RGB").convert(mode) if mode in {"1", "P"} else rgba.convert(mode)


def tensor(shape, dtype) -> torch.Tensor:
    if dtype.is_floating_point:
        return torch.from_numpy(noise(shape, np.float32)).to(dtype)
    return torch.from_numpy(noise(shape, np.uint8 if dtype == torch.uint8 else np.uint16))


def identity(image):
    """The image that comes back when nothing is done to the pixels."""
    pixels, repack = unpack(image)
    return repack(pixels.copy())


# The same kind back


@pytest.mark.parametrize("mode", PIL_MODES)
def test_a_pillow_image_gives_a_pillow_image_of_its_mode_and_size(model, mode):
    after = model.denoise(pil_image(mode), sigma=20)
    assert (type(after), after.mode, after.size) == (Image.Image, PIL_MODES[mode], (WIDTH, HEIGHT))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_comes_back_with_its_values(mode):
    before = pil_image(mode)
    assert np.array_equal(np.asarray(identity(before)), np.asarray(before))


@pytest.mark.parametrize("as_path", [str, lambda path: path], ids=["str", "Path"])
def test_a_path_gives_a_pillow_image(model, tmp_path, as_path):
    pil_image("RGBA").save(tmp_path / "night.png")
    after = model.denoise(as_path(tmp_path / "night.png"), sigma=20)
    assert (type(after), after.mode, after.size) == (Image.Image, "RGBA", (WIDTH, HEIGHT))


def test_a_picture_gives_a_picture_with_all_that_it_carries(model):
    alpha = noise((HEIGHT, WIDTH))
    before = Picture(noise((HEIGHT, WIDTH, 3)), alpha, "WEBP", b"profile", b"Exif\0\0", (72.0, 72.0), ("a loss",))
    after = model.denoise(before, sigma=20)
    carried = ("alpha", "format", "icc_profile", "exif", "dpi", "warnings")
    assert [getattr(after, name) for name in carried] == [getattr(before, name) for name in carried]
    assert (after.pixels.dtype, after.pixels.shape) == (np.uint8, before.pixels.shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ARRAY_TYPES)
def test_an_array_gives_an_array_of_its_type_and_shape(model, dtype, shape):
    after = model.denoise(noise(shape, dtype), sigma=20)
    assert (type(after), after.dtype, after.shape) == (np.ndarray, np.dtype(dtype), shape)


@pytest.mark.parametrize("shape", TENSOR_SHAPES, ids=str)
@pytest.mark.parametrize("dtype", TENSOR_TYPES, ids=str)
def test_a_tensor_gives_a_tensor_of_its_type_and_shape_and_device(model, dtype, shape):
    before = tensor(shape, dtype)
    after = model.denoise(before, sigma=20)
    assert isinstance(after, torch.Tensor)
    assert (after.dtype, after.shape, after.device) == (dtype, before.shape, before.device)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_a_tensor_of_a_type_that_numpy_lacks_keeps_it(model, dtype):
    assert model.denoise(tensor((3, HEIGHT, WIDTH), torch.float32).to(dtype), sigma=20).dtype == dtype


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_on_a_gpu_comes_back_there(model):
    assert model.denoise(tensor((3, HEIGHT, WIDTH), torch.uint8).cuda(), sigma=20).is_cuda


def test_a_tensor_that_is_being_trained_gives_a_plain_one(model):
    weights = tensor((3, HEIGHT, WIDTH), torch.float32).requires_grad_()
    after = model.denoise(weights, sigma=20)
    assert not after.requires_grad
    assert torch.equal(after, model.denoise(weights.detach(), sigma=20))


def test_a_result_can_take_part_in_training(model):
    after = model.denoise(tensor((3, HEIGHT, WIDTH), torch.float32), sigma=20)
    weight = torch.ones(1, requires_grad=True)
    (after * weight).sum().backward()  # a tensor made in inference mode would be refused
    assert weight.grad.item() == pytest.approx(after.sum().item(), rel=1e-4)


LAYOUTS = {
    "every second column": lambda wide: wide[:, ::2],
    "upside down": lambda wide: wide[::-1, :SIDE],
    "mirrored": lambda wide: wide[:, SIDE - 1 :: -1],
    "channels reversed": lambda wide: wide[:, :SIDE, ::-1],
    "columns first": lambda wide: np.asfortranarray(wide[:, :SIDE]),
    "channels first": lambda wide: np.ascontiguousarray(wide[:, :SIDE].transpose(2, 0, 1)).transpose(1, 2, 0),
    "one row repeated": lambda wide: np.broadcast_to(wide[:1, :SIDE], (SIDE, SIDE, 3)),
    "other byte order": lambda wide: wide[:, :SIDE].astype(wide.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_how_an_array_lies_in_memory_does_not_matter(model, dtype, layout):
    array = LAYOUTS[layout](noise((SIDE, 2 * SIDE, 3), dtype))
    plain = np.ascontiguousarray(array, dtype)
    assert np.array_equal(model.denoise(array, sigma=20), model.denoise(plain, sigma=20))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_how_a_tensor_lies_in_memory_does_not_matter(model, dtype):
    rows_last = tensor((3, SIDE, SIDE), dtype).transpose(1, 2)
    assert torch.equal(model.denoise(rows_last, sigma=20), model.denoise(rows_last.contiguous(), sigma=20))


# Nothing changed


@pytest.mark.parametrize("dtype", ARRAY_TYPES)
def test_an_array_may_be_read_only(model, dtype):
    array = noise((SIDE, SIDE, 3), dtype)
    array.flags.writeable = False
    assert model.denoise(array, sigma=20).flags.writeable


@pytest.mark.parametrize("dtype", ARRAY_TYPES)
def test_an_array_is_not_changed(model, dtype):
    array = noise((SIDE, SIDE, 3), dtype)
    before = array.copy()
    after = model.denoise(array, sigma=50)
    assert np.array_equal(array, before)
    assert not np.shares_memory(array, after)


@pytest.mark.parametrize("dtype", TENSOR_TYPES, ids=str)
def test_a_tensor_is_not_changed(model, dtype):
    image = tensor((3, SIDE, SIDE), dtype)
    before = image.clone()
    model.denoise(image, sigma=50)
    assert torch.equal(image, before)


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P", "I;16"])
def test_a_pillow_image_is_not_changed(model, mode):
    image = pil_image(mode)
    before = image.copy()
    model.denoise(image, sigma=50)
    assert (image.mode, image.tobytes()) == (before.mode, before.tobytes())


# Values


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_whole_number_survives_the_way_to_floats_and_back(dtype):
    values = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    assert np.array_equal(from_unit(to_unit(values), np.dtype(dtype)), values)


def test_whole_numbers_are_rounded_and_clipped():
    values = np.array([-0.2, 0.499 / 255, 0.501 / 255, 1.7], np.float32)
    assert from_unit(values, np.dtype(np.uint8)).tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_outside_0_to_1_pass_unclipped(dtype):
    array = np.linspace(-3, 4, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(dtype)
    assert np.array_equal(identity(array), array)
    assert np.array_equal(from_unit(to_unit(array), array.dtype), array)


def test_a_float_tensor_outside_0_to_1_passes_unclipped():
    image = torch.linspace(-3, 4, HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH).to(torch.bfloat16)
    assert torch.equal(identity(image), image)


# Refused


BAD = {
    "array of one dimension": np.zeros(5, np.uint8),
    "array of four": np.zeros((1, 4, 4, 3), np.uint8),
    "two channels": np.zeros((4, 4, 2), np.uint8),
    "four channels": np.zeros((4, 4, 4), np.uint8),
    "channels first": np.zeros((3, 4, 5), np.uint8),
    "empty array": np.zeros((0, 4, 3), np.uint8),
    "64-bit integers": np.zeros((4, 4), np.int64),
    "truth values": np.zeros((4, 4), bool),
    "complex numbers": np.zeros((4, 4), complex),
    "objects": np.full((4, 4), None),
    "not a number": np.full((4, 4), np.nan),
    "infinite": np.full((4, 4), np.inf, np.float32),
    "tensor of four dimensions": torch.zeros(1, 3, 4, 4),
    "tensor of one": torch.zeros(4),
    "tensor with channels last": torch.zeros(4, 5, 3),
    "empty tensor": torch.zeros(3, 0, 4),
    "tensor of integers": torch.zeros(3, 4, 4, dtype=torch.int64),
    "tensor that is not a number": torch.full((3, 4, 4), torch.nan, dtype=torch.bfloat16),
    "nothing": None,
    "a number": 7,
    "a list": [[1, 2], [3, 4]],
    "bytes": b"\x89PNG",
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_image_is_refused_in_one_line(model, case):
    with pytest.raises(UsageError) as caught:
        model.denoise(BAD[case])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(5,), (2, 4, 4), (1, 3, 4, 4), (3, 0, 4)], ids=str)
def test_a_bad_shape_is_named_as_it_was_given(shape):
    with pytest.raises(UsageError, match=r"a tensor must be .*, not ") as caught:
        unpack(torch.zeros(shape))
    assert str(caught.value).endswith(str(shape))


@pytest.mark.parametrize("name", ["gone.png", "broken.png"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(ImageError, match=name):
        unpack(tmp_path / name)


@pytest.mark.parametrize("name", ["scan.tif", "cat.gif"])
def test_what_is_left_out_of_a_file_is_told(tmp_path, name):
    first, second = pil_image("L"), pil_image("L").transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    first.save(tmp_path / name, save_all=True, append_images=[second])
    with pytest.warns(UserWarning, match=f"{name}: .*only the first of 2"):
        pixels, _ = unpack(tmp_path / name)
    assert pixels.shape[:2] == (HEIGHT, WIDTH)


# Transparency


def half_hidden(mode: str, hidden: int, alpha: int = 200) -> Image.Image:
    """A noisy image whose left half is hidden, with the colour `hidden` below; the right half shows."""
    samples = np.dstack([noise((HEIGHT, WIDTH, len(mode) - 1)), np.full((HEIGHT, WIDTH), alpha, np.uint8)])
    samples[:, : WIDTH // 2, :-1] = hidden
    samples[:, : WIDTH // 2, -1] = 0
    return Image.fromarray(samples)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("sigma", [None, 30])
def test_hidden_colours_do_not_leak_into_visible_ones(model, mode, sigma):
    black, white = (np.asarray(model.denoise(half_hidden(mode, hidden), sigma)) for hidden in (0, 255))
    assert np.array_equal(black[:, WIDTH // 2 :], white[:, WIDTH // 2 :])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_hidden_colours_and_alpha_come_back(model, mode):
    before = half_hidden(mode, 77)
    after = np.asarray(model.denoise(before, sigma=30))
    assert np.array_equal(after[..., -1], np.asarray(before)[..., -1])
    assert (after[:, : WIDTH // 2, :-1] == 77).all()


def test_visible_colours_under_soft_alpha_are_cleaned(model):
    before = half_hidden("RGBA", 77, alpha=1)
    after = np.asarray(model.denoise(before, sigma=30))
    assert (after[:, WIDTH // 2 :, :3] != np.asarray(before)[:, WIDTH // 2 :, :3]).any()
