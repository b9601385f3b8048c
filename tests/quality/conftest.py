"""What the tests of quality share: both photographs in full, and the bundled model that a file of tests is about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest):
    """The bundled model that the file of tests names as `MODEL`, on the CPU."""
    import vaetool

    return vaetool.load(request.module.MODEL, device="cpu")


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """Both photographs, `china` and `flower`, (427, 640, 3) uint8."""
    from sklearn.datasets import load_sample_images

    loaded = load_sample_images()
    return {Path(name).stem: image for name, image in zip(loaded.filenames, loaded.images, strict=True)}
