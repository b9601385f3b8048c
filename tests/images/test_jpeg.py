"""What is better than the JPEG file it is from is not to be lost by that file's tables."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.images.samples import drawn, opened, saved
from vaetool.images.jpeg import FINE, finer, options_of


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("quality", [5, 50, 95])
def test_no_table_is_coarser_than_before_or_than_a_fine_one(mode, quality):
    image = Image.fromarray(drawn()).convert(mode)
    before = opened(saved(image, "JPEG", quality=quality, subsampling=2))
    fine = opened(saved(image, "JPEG", quality=FINE))
    after = opened(saved(image, "JPEG", **finer(options_of(before))))
    assert set(after.quantization) == set(before.quantization)
    for index, table in after.quantization.items():
        assert table == list(map(min, before.quantization[index], fine.quantization[index]))
    assert {layer[1:3] for layer in after.layer} == {(1, 1)}


def test_other_files_have_no_such_options():
    assert options_of(opened(saved(Image.fromarray(drawn()), "PNG"))) is None
    assert options_of(opened(saved(Image.fromarray(drawn()).convert("CMYK"), "JPEG"))) is None
