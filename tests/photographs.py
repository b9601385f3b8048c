"""The two real photographs that come with scikit-learn. No heavy import at the top."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def small_photographs() -> dict[str, Image.Image]:
    """Return both as small Pillow images, `china` and `flower`: 160 x 107 pixels, RGB."""
    from PIL import Image

    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "datasets" / "images"
    found = {}
    for name in ("china", "flower"):
        with Image.open(folder / f"{name}.jpg") as image:
            found[name] = image.convert("RGB").resize((160, 107), Image.Resampling.LANCZOS)
    return found
