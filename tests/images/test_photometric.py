"""TIFF files whose tags say more than Pillow listens to: white is zero, CIELab, bits that are few."""

import numpy as np
import pytest

from tests.images.samples import drawn, tiff_by_hand
from vaetool import images
from vaetool.errors import ImageError

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CIE_LAB, ICC_LAB = 0, 1, 2, 8, 9


def packed(samples, bits):
    """Rows of samples of so many bits each, as TIFF packs them."""
    rows = samples.reshape(len(samples), -1).astype(">u2")
    single = np.unpackbits(rows.view(np.uint8).reshape(*rows.shape, 2), axis=2)[:, :, 16 - bits :]
    return np.packbits(single.reshape(len(rows), -1), axis=1).tobytes()


def lab_of(rgb):
    """L*, a* and b* under D50 of sRGB, 0..255: IEC 61966-2-1, adapted by Bradford's matrix."""
    value = rgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    rows = [(0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733)]
    xyz = linear @ np.array(rows).T / (0.9642, 1, 0.8249)
    root = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(root, 2, 0)
    return np.dstack([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def stored_lab(rgb, photometric, bits):
    """Samples as the TIFF specification has them: with signs in CIELab, around the middle in ICCLab."""
    lightness, *ab = np.moveaxis(lab_of(rgb), 2, 0)
    white = {(CIE_LAB, 16): 65535, (ICC_LAB, 16): 65280}.get((photometric, bits), 255)
    step, middle = (256 if bits == 16 else 1), (128 if photometric == ICC_LAB else 0)
    planes = [lightness / 100 * white, *((plane + middle) * step for plane in ab)]
    return np.rint(np.dstack(planes)).astype(np.int32).astype(f"<u{bits // 8}")


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("photometric", [CIE_LAB, ICC_LAB])
@pytest.mark.parametrize("whole", [False, True])
def test_cielab_keeps_its_colours(photometric, bits, whole):
    rgb = (drawn(48, 64) * 0.6 + 50).astype(np.uint8)  # all of them well within sRGB
    data = tiff_by_hand(stored_lab(rgb, photometric, bits).tobytes(), 48, 64, photometric, bits, 3)
    picture = images.read(data, whole=whole)
    assert picture.pixels.dtype == f"u{bits // 8}"
    assert np.abs(picture.pixels / (257 if bits == 16 else 1) - rgb).max() < (5 if bits == 8 else 2)
    assert len(picture.warnings) == 1
    assert "is converted to RGB" in picture.warnings[0]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_white_that_is_zero_is_no_negative(bits, whole):
    shown = np.random.default_rng(0).integers(0, 2**bits, (16, 24), np.uint16)
    stored = (
        packed(2**bits - 1 - shown, bits) if bits == 12 else (2**bits - 1 - shown).astype(f"<u{bits // 8}").tobytes()
    )
    picture = images.read(tiff_by_hand(stored, 16, 24, WHITE_IS_ZERO, bits), whole=whole)
    top = np.iinfo(picture.pixels.dtype).max
    assert np.array_equal(picture.pixels[:, :, 0], np.rint(shown / (2**bits - 1) * top))


def test_white_that_is_zero_of_floating_point_is_refused():
    stored = np.zeros((16, 24), "<f4").tobytes()
    with pytest.raises(ImageError, match="of which white is zero"):
        images.read(tiff_by_hand(stored, 16, 24, WHITE_IS_ZERO, 32, t339=(3, [3])), whole=True)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("bits", "channels"), [(10, 1), (12, 1), (14, 1), (12, 3)])
def test_the_bits_that_a_file_stores_are_all_of_its_range(bits, channels, whole):
    stored = np.random.default_rng(0).integers(0, 2 ** (bits - 2), (16, 24, channels), np.uint16)  # all of it is dark
    data = tiff_by_hand(packed(stored, bits), 16, 24, RGB if channels == 3 else BLACK_IS_ZERO, bits, channels)
    picture = images.read(data, whole=whole)
    assert np.array_equal(picture.pixels, np.rint(stored / (2**bits - 1) * 65535))
    assert picture.warnings == (f"{bits} bits are scaled to 16",)


def test_orientation_holds_for_what_pillow_does_not_read():
    shown = drawn(16, 24, 1, np.uint16)
    stored = np.rot90(65535 - shown[:, :, 0], 1)
    data = tiff_by_hand(stored.astype("<u2").tobytes(), 24, 16, WHITE_IS_ZERO, 16, t274=(3, [6]))
    assert np.array_equal(images.read(data).pixels, shown)
