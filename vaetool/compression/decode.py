"""The task behind `vaetool decompress`, `info` and `compare`: the facts of a .vae file, and its picture.

A file names its codec by an identity made from the weights, so that a codec is found wherever it lies and whatever it
is called. Describing a file needs no torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from vaetool.compression import container, salvaging
from vaetool.compression.candidates import LEARNED, LOSSLESS
from vaetool.compression.container import Coded, Container
from vaetool.compression.encode import sizes_of
from vaetool.compression.restoring import restore
from vaetool.compression.unpacking import UNLIMITED, read_frame, unpack
from vaetool.errors import ImageError, WeightsError
from vaetool.files.inputs import IMAGES, FileKind
from vaetool.images import MAX_PIXELS, Picture, read, to_pil
from vaetool.store import catalogue
from vaetool.store.headers import SUFFIX, read_header
from vaetool.store.weights import load

if TYPE_CHECKING:
    from PIL import Image

    from vaetool.compression.codec import Codec

KIND = "codec"


def _sniff(head: bytes) -> tuple[str, ...]:
    return (container.SUFFIX,) if container.is_vae(head) else ()


COMPRESSED = FileKind("compressed pictures", _sniff, frozenset({container.SUFFIX}), one=f"a {container.SUFFIX} file")

PICTURES = FileKind(
    "images or compressed pictures",
    lambda head: IMAGES.sniff(head) or COMPRESSED.sniff(head),
    IMAGES.suffixes | COMPRESSED.suffixes,
    holds_pictures=True,
)
"""The kinds of file that `read_picture` reads."""


def decompress(
    source: bytes | bytearray | memoryview | str | os.PathLike[str], codec: Codec | None = None, *, device: str = "auto"
) -> Image.Image:
    """Return the picture in a .vae file, its bytes or its path, as a Pillow image with all that goes with it.

    codec, device: see `decompress_picture`. 16-bit colour, which Pillow cannot hold, is reduced to 8 bits, with a
    UserWarning. Raises ImageError; also for 16-bit grey with soft transparency, which Pillow cannot hold either.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return to_pil(decompress_picture(bytes(source), codec, device=device)[0])
    with _named(source):
        return to_pil(decompress_picture(Path(source).read_bytes(), codec, device=device)[0])


def decompress_picture(
    data: bytes,
    codec: Codec | None = None,
    *,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
    salvage: bool = False,
    reduction: int = 1,
) -> tuple[Picture, dict[str, Any]]:
    """Return the picture in the bytes of a .vae file, and facts for a report: `form`, and any `quality` and `codec`.

    salvage: decode the intact tiles of a damaged or truncated file; the others are marked, and listed in
    the facts as `lost`: left, top, width and height of each, and in the picture's warnings.
    reduction: 2, 4 or 8 gives a draft that is so many times smaller, of the learned form; the lossless form is whole.
    codec: used if it is the one that the file needs; otherwise the right one is looked up among all codecs in the
    catalogue's folders and loaded on `device`.
    Raises ImageError when the file is damaged, larger than `max_pixels`, or its codec is not found.
    """
    content, lost = salvaging.salvage(data, max_pixels) if salvage else (unpack(data, max_pixels), ())
    if content.coded is not None:
        identity = content.coded.model
        if codec is None or codec.identity != identity:
            codec = find_codec(identity, device)
    picture, facts = restore(content, codec, lost, reduction), _form(content.coded)
    if lost:
        assert content.coded is not None
        facts["lost"] = salvaging.places(content, lost)
        warning = f"damaged: {len(lost)} of {len(content.coded.streams)} tiles are lost, and filled with grey squares"
        picture = replace(picture, warnings=(warning,))
    return picture, facts


def read_picture(
    data: bytes, codec: Codec | None = None, *, device: str = "auto", max_pixels: int = MAX_PIXELS
) -> Picture:
    """Return the picture in the bytes of an image file, with all of its pages, or of a .vae file; no animation.

    codec, device: see `decompress_picture`. Raises ImageError.
    """
    if container.is_vae(data):
        return decompress_picture(data, codec, device=device, max_pixels=max_pixels)[0]
    return read(data, max_pixels=max_pixels, whole=True, single=True, still=True)


def open_picture(
    path: str | os.PathLike[str],
    codec: Codec | None = None,
    *,
    device: str = "auto",
    max_pixels: int = MAX_PIXELS,
) -> Picture:
    """Return the picture in an image file or a .vae file, as `read_picture` does.

    Raises ImageError, with the path.
    """
    with _named(path):
        return read_picture(Path(path).read_bytes(), codec, device=device, max_pixels=max_pixels)


def describe(data: bytes) -> dict[str, Any]:
    """Return the facts of a .vae file, given its bytes, as plain values, without decoding it and without torch.

    Raises ImageError.
    """
    content = unpack(data, max_pixels=UNLIMITED)
    return {
        "kind": "picture",
        "width": content.width,
        "height": content.height,
        "channels": "grey" if content.channels == 1 else "RGB",
        "depth": content.depth,
        **_form(content.coded),
        "alpha": bool(content.alpha),
        "icc_profile": bool(content.icc),
        "exif": bool(content.exif),
        "dpi": content.dpi,
        "xmp": bool(content.xmp),
        "texts": bool(content.texts),
        **({"range": [int(value) for value in content.range]} if content.range else {}),
        **sizes_of(content, len(data)),
    }


def describe_frame(file: IO[bytes]) -> tuple[Container, dict[str, Any]]:
    """Read the head of an open .vae file: return everything but the pixels, and `form`, any `quality` and `codec`.

    The checksum of the file is not verified. Raises ImageError.
    """
    frame, coded = read_frame(file)
    return frame, _form(coded)


def load_codec(name: str | os.PathLike[str], device: str = "auto") -> Codec:
    """Load a codec by name or path as `vaetool.load` does, and keep it until its file changes."""
    path = catalogue.find(name)
    return _loaded(path, path.stat().st_mtime_ns, device)


def find_codec(identity: bytes, device: str = "auto") -> Codec:
    """Return the codec of this identity, eight bytes. Raises ImageError if it is in none of the catalogue's folders."""
    for path in _codecs(identity):
        try:
            modified = path.stat().st_mtime_ns
            if _identity(path, modified, device) == identity:
                return _loaded(path, modified, device)
        except (OSError, WeightsError):
            continue  # damaged, so not the codec sought
    missing = f"needs the codec {identity.hex()}, which was not found"
    raise ImageError(f"{missing}: name its file with -m FILE, or put it into a folder of $VAETOOL_MODELS")


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Put the path before the message of an error."""
    try:
        yield
    except OSError as error:
        raise ImageError(f"{os.fspath(path)}: {error.strerror or error}") from error
    except ImageError as error:
        raise ImageError(f"{os.fspath(path)}: {error}") from error


def _form(coded: Coded | None) -> dict[str, Any]:
    if coded is None:
        return {"form": LOSSLESS}
    identity = coded.model.hex()
    name = next((name for name, (_, listed) in _listed().items() if listed == identity), None)
    codec = {"id": identity} | ({"name": name} if name else {})
    return {"form": LEARNED, "quality": coded.quality, "codec": codec}


def _listed() -> dict[str, tuple[Path, str]]:
    """Return the files and identities of the bundled codecs by name, as the manifest lists them."""
    try:
        entries = catalogue.manifest()
    except WeightsError:
        return {}
    folder = catalogue.bundled_folder()
    return {
        name: (folder / str(entry.get("file")), str(entry["id"]))
        for name, entry in entries.items()
        if entry.get("kind") == KIND and "id" in entry
    }


def _codecs(identity: bytes) -> Iterator[Path]:
    """Yield the files of all codecs, shadowed names included; first those that the manifest lists by this identity."""
    likely = [path for path, listed in _listed().values() if listed == identity.hex()]
    paths = [path for folder in catalogue.search_folders() for path in sorted(folder.glob(f"*{SUFFIX}"))]
    for path in dict.fromkeys([*likely, *paths]):
        try:
            if read_header(path).kind == KIND:
                yield path
        except WeightsError:
            continue  # a damaged one does not hide the others


@lru_cache(maxsize=256)
def _identity(path: Path, modified: int, device: str) -> bytes:
    return _loaded(path, modified, device).identity


@lru_cache(maxsize=2)
def _loaded(path: Path, modified: int, device: str) -> Codec:
    return load(path, kind=KIND, device=device)
