"""vaetool: autoencoders that do real work on images.

    import vaetool

    clean = vaetool.denoise("night.jpg")

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from vaetool.errors import (
    DeviceError,
    FileError,
    ImageError,
    ModelNotFoundError,
    TrainingError,
    UsageError,
    VaetoolError,
    WeightsError,
    WrongKindError,
)

if TYPE_CHECKING:
    from vaetool.compression.decode import decompress
    from vaetool.compression.encode import compress
    from vaetool.exporting.export import export
    from vaetool.public import compare, denoise, inpaint, latent, load, morph, sample, score, translate
    from vaetool.store.weights import list_models
    from vaetool.training.loop import train

__version__ = "0.1.0"

__all__ = [
    "DeviceError",
    "FileError",
    "ImageError",
    "ModelNotFoundError",
    "TrainingError",
    "UsageError",
    "VaetoolError",
    "WeightsError",
    "WrongKindError",
    "__version__",
    "compare",
    "compress",
    "decompress",
    "denoise",
    "export",
    "inpaint",
    "latent",
    "list_models",
    "load",
    "morph",
    "sample",
    "score",
    "train",
    "translate",
]

_LAZY = {
    "compare": "vaetool.public",
    "compress": "vaetool.compression.encode",
    "decompress": "vaetool.compression.decode",
    "denoise": "vaetool.public",
    "export": "vaetool.exporting.export",
    "inpaint": "vaetool.public",
    "latent": "vaetool.public",
    "list_models": "vaetool.store.weights",
    "load": "vaetool.public",
    "morph": "vaetool.public",
    "sample": "vaetool.public",
    "score": "vaetool.public",
    "train": "vaetool.training.loop",
    "translate": "vaetool.public",
}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return __all__
