"""Training images: which are found, which are left out and said to be, and that crops are what lies there."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
from collections.abc import Iterable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from vaetool.errors import ImageError, TrainingError, UsageError
from vaetool.images.sources import Source, find_sources
from vaetool.training.data import DataConfig, PixelStore, load_store
from vaetool.training.splits import number_to_calibrate, set_aside, split


def coded(number: int, height: int, width: int) -> np.ndarray:
    """An image whose every pixel is (number, row, column)."""
    rows, columns = np.indices((height, width))
    return np.stack([np.full_like(rows, number), rows, columns], axis=2).astype(np.uint8)


def turned(crop: np.ndarray) -> list[np.ndarray]:
    """All eight ways to flip and turn a square."""
    return [np.rot90(side, k) for side in (crop, crop.transpose(1, 0, 2)) for k in range(4)]


def as_pixels(crops: torch.Tensor) -> np.ndarray:
    return np.rint(255 * crops.permute(0, 2, 3, 1).numpy()).astype(np.uint8)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Crops


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.tuples(st.integers(5, 40), st.integers(5, 40)), min_size=1, max_size=4),
    size=st.integers(1, 5),
    seed=st.integers(0, 2**31),
    augment=st.booleans(),
)
def test_every_crop_is_a_square_of_its_image_flipped_and_turned(sizes, size, seed, augment):
    images = [coded(number, *shape) for number, shape in enumerate(sizes)]
    crops = as_pixels(PixelStore(images).random_crops(20, size, seeded(seed), augment, augment))
    for crop in crops:
        number, row, column = crop.min(axis=(0, 1))
        square = images[number][row : row + size, column : column + size]
        assert square.shape == crop.shape
        assert any(np.array_equal(crop, way) for way in (turned(square) if augment else [square]))


def test_a_crop_as_large_as_its_image_is_all_of_it():
    images = [coded(0, 8, 8), coded(1, 8, 8)]
    for crop in as_pixels(PixelStore(images).random_crops(50, 8, seeded(), augment=False, mirror=False)):
        assert np.array_equal(crop, images[crop[0, 0, 0]])


def test_left_and_right_alone_can_be_exchanged():
    image = coded(0, 6, 6)
    crops = as_pixels(PixelStore([image]).random_crops(50, 6, seeded(), augment=False))
    assert {crop.tobytes() for crop in crops} == {image.tobytes(), image[:, ::-1].tobytes()}


def test_crops_reach_every_corner_image_and_turn():
    crops = as_pixels(PixelStore([coded(0, 5, 6), coded(1, 4, 4)]).random_crops(2000, 4, seeded()))
    places = {tuple(crop.min(axis=(0, 1))) for crop in crops}
    assert places == {(0, row, column) for row in (0, 1) for column in (0, 1, 2)} | {(1, 0, 0)}
    of_one = [crop for crop in crops if crop[0, 0, 0] == 1]
    assert len({crop.tobytes() for crop in of_one}) == 8


def test_centre_crops_are_the_middle():
    (crop,) = as_pixels(PixelStore([coded(3, 9, 12)]).centre_crops(4))
    assert np.array_equal(crop, coded(3, 9, 12)[2:6, 4:8])


def test_the_same_seed_gives_the_same_crops():
    store = PixelStore([coded(0, 30, 30)])
    assert torch.equal(store.random_crops(9, 4, seeded(1)), store.random_crops(9, 4, seeded(1)))
    assert not torch.equal(store.random_crops(9, 4, seeded(1)), store.random_crops(9, 4, seeded(2)))


# Splitting


@pytest.mark.parametrize(("count", "kept"), [(29, 0), (30, 10), (60, 20), (100, 30), (1000, 200), (9000, 1000)])
def test_images_to_calibrate_with_are_kept_of_many_and_of_few(count, kept):
    assert number_to_calibrate(count, 0.2) == kept
    assert number_to_calibrate(count, 0.0) == 0


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, (count, 12, 12, 3), dtype=np.uint8)


def store_of_files(pictures: Iterable[np.ndarray]) -> PixelStore:
    pictures = list(pictures)
    origins = [Source(f"{k:03}.png", "", f"/{k:03}.png", lambda: np.zeros((1, 1, 1))) for k in range(len(pictures))]
    return PixelStore(pictures, sources=len(origins), origins=origins)


def test_images_are_set_aside_at_random_and_not_trained_on():
    found = set_aside(store_of_files(noise(60)), 0.2, 0)
    names = [source.name for source in found.unseen]
    assert (len(names), len(set(names)), found.words) == (20, 20, None)
    assert names != sorted(names)
    assert found.training.sources == len(found.training) == 40
    assert not {source.name for source in found.training.origins} & set(names)
    assert [source.name for source in set_aside(store_of_files(noise(60)), 0.2, 0).unseen] == names
    assert set_aside(store_of_files(noise(60)), 0.0, 0).unseen == ()


@pytest.mark.parametrize("change", [0, 2], ids=["the same", "nearly the same"])
def test_copies_are_on_one_side_and_count_once(change):
    generator = np.random.default_rng(1)
    pictures = [
        (picture + generator.integers(-change, change + 1, picture.shape)).astype(np.uint8)
        for picture in noise(60)
        for _ in range(5)
    ]
    found = set_aside(store_of_files(pictures), 0.2, 0)
    unseen = [int(source.name[:3]) // 5 for source in found.unseen]
    training = {int(source.name[:3]) // 5 for source in found.training.origins}
    assert len(unseen) == len(set(unseen)) == 20
    assert not training & set(unseen)
    assert len(found.training) == 200
    assert found.words.startswith("240 of 300 images look the same as others")


def test_too_few_different_images_calibrate_nothing_and_are_all_trained_on():
    found = set_aside(store_of_files([picture for picture in noise(8) for _ in range(15)]), 0.2, 0)
    assert (found.unseen, len(found.training)) == ((), 120)
    assert "112 of 120 images look the same" in found.words


@settings(deadline=None)
@given(count=st.integers(2, 200), share=st.floats(0.001, 0.999), seed=st.integers(0, 100), most=st.integers(1, 60))
def test_every_image_is_either_held_out_or_trained_on(count, share, seed, most):
    training, held_out = split(list(range(count)), share, seed, most)
    assert sorted(training + held_out) == list(range(count))
    assert training
    assert 0 < len(held_out) <= most
    assert split(list(range(count)), share, seed, most) == (training, held_out)


def test_a_limited_number_of_held_out_images_is_drawn_from_all():
    training, held_out = split(list(range(1000)), 0.4, 0, 32)
    assert len(held_out) == 32
    assert [sum(image // 250 == part for image in held_out) for part in range(4)] == pytest.approx([8] * 4, abs=6)
    assert len(training) == 968


def test_one_image_alone_cannot_be_trained_on():
    with pytest.raises(TrainingError, match="at least two"):
        split([1], 0.1, 0, 32)


# Sources


def test_a_folder_gives_its_images_with_their_labels(tmp_path, photographs):
    for place in ("cat/a.png", "dog/b.jpg", "c.png", ".hidden.png", "mine.training.png", "mine.latent.png"):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        photographs["china"].save(tmp_path / place)
    (tmp_path / "notes.txt").write_text("no image")
    assert [(s.name, s.label) for s in find_sources([tmp_path])] == [
        ("c.png", ""),
        ("cat/a.png", "cat"),
        ("dog/b.jpg", "dog"),
    ]


def test_a_folder_named_twice_counts_once(tmp_path, pictures):
    assert len(find_sources([pictures, str(pictures) + "/", pictures])) == 12
    (tmp_path / "link").symlink_to(pictures)
    assert len(find_sources([pictures, tmp_path / "link"])) == 12


@pytest.fixture
def archive(tmp_path, pictures):
    """A zip file with nested folders, and what else is found in such files."""
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number, picture in enumerate(sorted(pictures.iterdir())):
            file.write(picture, f"photos/part {number % 2}/{picture.name}")
        file.writestr("photos/readme.txt", "hello")
        file.writestr("__MACOSX/photos/._china0.png", b"Mac OS X")
        file.mkdir("photos/a folder.png")
    return path


def test_a_zip_file_is_read_like_the_folder_it_holds(archive, pictures):
    found = find_sources([archive])
    assert len(found) == 12
    assert {source.label for source in found} == {"part 0", "part 1"}
    first = next(source for source in found if source.name.endswith("china0.png"))
    assert np.array_equal(first.read(), np.asarray(Image.open(pictures / "china0.png")))


def test_an_encrypted_zip_file_is_refused(archive):
    data = bytearray(archive.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 4)
    archive.write_bytes(data)
    with pytest.raises(UsageError, match=r"photos\.zip: an encrypted zip file; unpack it"):
        find_sources([archive])


def test_a_cut_off_zip_file_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:-500])
    with pytest.raises(UsageError, match=r"photos\.zip: a damaged zip file"):
        find_sources([archive])


def test_a_damaged_entry_of_a_zip_file_is_left_out_and_named(archive):
    data = bytearray(archive.read_bytes())
    at = data.find(b"IDAT")
    data[at + 10 : at + 20] = bytes(10)
    archive.write_bytes(data)
    warnings: list[str] = []
    store = load_store(find_sources([archive]), DataConfig(), 16, warn=warnings.append)
    assert store.sources == 11
    assert len(warnings) == 1
    assert "cannot be read from the zip file" in warnings[0]
    assert warnings[0].endswith("; left out")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("nowhere", "no such folder or zip file"),
        ("letter.txt", "not a folder, a zip file or torchvision:NAME"),
        ("empty", "no images in"),
        ("empty.zip", "holds no image"),
        ("torchvision:Nonsense", "torchvision has no data set 'Nonsense'"),
        ("torchvision:utils", "torchvision has no data set 'utils'"),
        ("torchvision:MNIST", "name its folder with --root"),
    ],
)
def test_a_place_without_images_is_refused(tmp_path, monkeypatch, place, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.txt").write_text("dear all")
    (tmp_path / "empty").mkdir()
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with pytest.raises(UsageError) as caught:
        find_sources([place], root=tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_data_set_of_torchvision_is_read_from_its_root(tmp_path, write_mnist):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    write_mnist(tmp_path, "FashionMNIST", {part: (pixels, range(5)) for part in ("train", "t10k")})
    found = find_sources(["torchvision:FashionMNIST"], root=tmp_path)
    assert [source.label for source in found] == list("01234")
    assert np.array_equal(found[3].read()[:, :, 0], pixels[3])
    assert load_store(found, DataConfig(), 28, channels=1).pixels.shape == (5 * 28 * 28, 1)


# Decoding


def store_of(folder, smallest=16, **config):
    warnings: list[str] = []
    channels = config.pop("channels", 3)
    return load_store(
        find_sources([folder]), DataConfig(**config), smallest, channels=channels, warn=warnings.append
    ), warnings


def test_grey_sixteen_bit_and_transparent_images_become_colour(tmp_path):
    Image.new("L", (20, 20), 51).save(tmp_path / "grey.png")
    deep = np.full((20, 20), 51 * 257, np.uint16)
    deep[0] = 65535  # or it would use fourteen bits
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.new("RGBA", (20, 20), (51, 51, 51, 128)).save(tmp_path / "soft.png")
    Image.new("P", (20, 20), 0).save(tmp_path / "palette.gif")
    store, warnings = store_of(tmp_path)
    assert warnings == []
    values = {int(v) for v in store.pixels.unique()}
    assert store.pixels.shape == (4 * 400, 3)
    assert values == {0, 51, 255}


def test_colour_images_become_grey_for_a_grey_model(pictures):
    store, _ = store_of(pictures, channels=1)
    assert store.centre_crops(8).shape == (12, 1, 8, 8)


def test_colours_hidden_by_transparency_are_not_trained_on(tmp_path):
    pixels = np.full((20, 20, 4), (10, 20, 30, 255), np.uint8)
    pixels[:, 10:] = (255, 0, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "hidden.png")
    store, _ = store_of(tmp_path)
    assert store.pixels.amax(dim=0).tolist() == [10, 20, 30]


def test_images_for_a_model_of_any_shape_are_shrunk_or_mirrored_and_never_enlarged(tmp_path):
    row = np.arange(10, dtype=np.uint8)
    Image.fromarray(np.tile(row, (20, 1))).save(tmp_path / "narrow.png")
    Image.new("L", (80, 64)).save(tmp_path / "wide.png")
    store = load_store(find_sources([tmp_path]), DataConfig(), 16, channels=1, longest=40)
    assert sorted(store.sizes.tolist()) == [[20, 16], [32, 40]]
    narrow = store.sizes[:, 0].tolist().index(20)
    start = int(store.offsets[narrow])
    assert store.pixels[start : start + 16, 0].tolist() == [*row, *row[:3:-1]]


def test_images_are_kept_at_every_scale_that_is_large_enough(tmp_path):
    Image.new("RGB", (40, 60)).save(tmp_path / "a.png")
    store, _ = store_of(tmp_path, 16, scales=(1.0, 0.5, 0.25))
    assert store.sizes.tolist() == [[60, 40], [30, 20]]
    assert store.sources == 1


def test_an_image_smaller_than_the_crop_is_enlarged(tmp_path):
    Image.new("RGB", (10, 7)).save(tmp_path / "a.png")
    store, warnings = store_of(tmp_path, 32)
    assert store.sizes.min() == 32
    assert warnings == []


def test_an_image_far_smaller_than_the_crop_is_left_out_and_named(tmp_path):
    Image.new("RGB", (3000, 3)).save(tmp_path / "line.png")
    Image.new("RGB", (64, 64)).save(tmp_path / "square.png")
    store, warnings = store_of(tmp_path, 32)
    assert store.sizes.tolist() == [[64, 64]]
    assert warnings == ["line.png: 3000 x 3 pixels are too few for crops of 32; left out"]


def test_broken_images_are_left_out_the_first_hundred_by_name(tmp_path):
    Image.new("RGB", (32, 32)).save(tmp_path / "good.png")
    for number in range(104):
        (tmp_path / f"bad{number}.png").write_bytes(b"\x89PNG not really")
    store, warnings = store_of(tmp_path)
    assert store.sources == 1
    assert len(warnings) == 101
    assert len({warning.partition(":")[0] for warning in warnings[:100] if "not a readable image" in warning}) == 100
    assert warnings[100] == "and 4 more images left out"


def test_nothing_but_broken_images_is_an_error(tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG not really")
    with pytest.raises(TrainingError, match="none of the images"):
        store_of(tmp_path)


def test_more_images_than_memory_allows_are_left_out_at_random_and_said_to_be(pictures):
    store, warnings = store_of(pictures, max_megapixels=0.01)  # 5 of 48 x 40 pixels
    assert store.sources == 5
    assert len(store.pixels) <= 10_000
    assert "5 of 12 images, at random" in warnings[0]


def test_a_store_takes_its_images_out_of_the_list_if_it_may():
    arrays = [coded(0, 4, 4), coded(1, 5, 5)]
    PixelStore(arrays)
    assert len(arrays) == 2
    store = PixelStore(arrays, drain=True)
    assert arrays == []
    assert store.offsets.tolist() == [0, 16]
    assert store.pixels[16].tolist() == [1, 0, 0]


def test_a_member_of_a_zip_file_is_judged_by_its_size_and_first_bytes(tmp_path):
    """Of 100 MB of zeros little is read, and of what says that it is too large nothing."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("zeros.png", bytes(100_000_000))
        archive.writestr("zeros.tif", bytes(100_000_000))
    sources = find_sources([tmp_path / "a.zip"], whole=True)
    tracemalloc.start()
    for source in sources:
        with pytest.raises(ImageError, match="not a readable image"):
            source.read()
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_member_of_a_zip_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    buffer = io.BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "BMP")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.bmp", buffer.getvalue())
    (source,) = find_sources([tmp_path / "a.zip"])
    assert source.read().shape == (20, 30, 3)
    monkeypatch.setattr("vaetool.images.sources.MAX_MEMBER", len(buffer.getvalue()) - 1)
    with pytest.raises(ImageError, match="more than an image needs"):
        source.read()
