"""A session of the page, and pictures for it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vaetool.ui.session import Session


@pytest.fixture
def session() -> Iterator[Session]:
    with Session("cpu") as session:
        yield session


@pytest.fixture
def opened(session, photographs) -> Callable[..., dict[str, Any]]:
    """Opens an image, by default a photograph, as the page does, and returns what the page is told about it."""
    from vaetool.ui.views import show

    def open_one(image: Image.Image | bytes = photographs["flower"], name: str = "flower.png") -> dict[str, Any]:
        data = image if isinstance(image, bytes) else as_png(image)
        return show(session, session.read(data, name))

    return open_one


@pytest.fixture
def parts() -> Callable[[int], tuple[bytes, ...]]:
    """Makes PNG files of grey discs with a little noise; a number of them, and one with a scratch at the end."""

    def make(count: int) -> tuple[bytes, ...]:
        generator = np.random.default_rng(count)
        rows, columns = np.mgrid[:64, :64]
        disc = 120.0 + 40 * (np.hypot(columns - 32, rows - 32) < 24)
        made = [disc + generator.normal(0, 4, disc.shape) for _ in range(count + 1)]
        made[-1][28:31, 18:46] += 70
        return tuple(as_png(Image.fromarray(each.clip(0, 255).astype(np.uint8))) for each in made)

    return make


def as_png(image: Image.Image) -> bytes:
    image.save(file := io.BytesIO(), "PNG")
    return file.getvalue()
