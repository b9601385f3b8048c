"""Kinds of pictures that are not read: how to recognise them, and programs that convert them.

HEIC is read where pillow-heif is installed: the extra `heif`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import PurePath

from vaetool.files.remote import Remote

RAW = "camera raw"
HEIC = "HEIC"

NAMED = 3  # of each kind

_SUFFIXES = {
    RAW: ".3fr .ari .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw"
    " .rw2 .rwl .sr2 .srf .srw .x3f",
    HEIC: ".heic .heif .heics .heifs .hif",
    "JPEG XL": ".jxl",
    "Photoshop": ".psd .psb",
    "TGA": ".tga",
    "OpenEXR": ".exr",
    "Radiance HDR": ".hdr",
    "DDS": ".dds",
    "PCX": ".pcx",
    "SVG": ".svg .svgz",
    "EPS": ".eps",
    "ICO": ".ico",
    "XCF": ".xcf",
    "FITS": ".fits .fit .fts",
    "DICOM": ".dcm",
}

_KINDS = {suffix: kind for kind, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}

_SIGNATURES = {  # where in a file, and what
    RAW: (
        (0, b"IIRO"),
        (0, b"IIRS"),
        (0, b"MMOR"),
        (0, b"IIU\0"),
        (0, b"FUJIFILMCCD-RAW"),
        (0, b"FOVb"),
        (0, b"\0MRM"),
        (4, b"ftypcrx "),
        (6, b"HEAPCCDR"),
    ),
    HEIC: tuple((4, b"ftyp" + brand) for brand in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis")),
    "JPEG XL": ((0, b"\xff\x0a"), (0, b"\0\0\0\x0cJXL \r\n\x87\n")),
    "Photoshop": ((0, b"8BPS"),),
    "OpenEXR": ((0, b"\x76\x2f\x31\x01"),),
    "Radiance HDR": ((0, b"#?RADIANCE"), (0, b"#?RGBE")),
    "DDS": ((0, b"DDS "),),
    "EPS": ((0, b"%!PS-Adobe"), (0, b"\xc5\xd0\xd3\xc6")),
    "XCF": ((0, b"gimp xcf"),),
    "FITS": ((0, b"SIMPLE  ="),),
}

_CONVERTERS = {
    RAW: "darktable, RawTherapee or dcraw",
    HEIC: "heif-convert or ImageMagick",
    "JPEG XL": "djxl or ImageMagick",
}


@cache
def reads_heic() -> bool:
    """Tell whether HEIC can be read."""
    return importlib.util.find_spec("pillow_heif") is not None


def kind_by_name(path: PurePath | Remote) -> str | None:
    """Return the kind of picture of a suffix, None if it is read or not a picture.

    >>> kind_by_name(PurePath("IMG_0001.NEF"))
    'camera raw'
    """
    kind = _KINDS.get(path.suffix.lower())
    return None if kind == HEIC and reads_heic() else kind


def kind_by_content(head: bytes) -> str | None:
    """Return the kind of picture shown by the first bytes of a file, None if it is read or not a picture."""
    kind = _kind(head)
    return None if kind == HEIC and reads_heic() else kind


def is_heic(head: bytes) -> bool:
    """Tell whether a file is HEIC, from its first bytes."""
    return _kind(head) == HEIC


def _kind(head: bytes) -> str | None:
    if head[4:12] == b"ftypmif1" and b"avif" not in head[16:] and b"hei" in head[16:]:
        return HEIC  # the other brands of the file decide
    for kind, places in _SIGNATURES.items():
        if any(head.startswith(signature, start) for start, signature in places):
            return kind
    return None


def advice(kind: str) -> str:
    """Return advice on a picture of a kind that is not read."""
    otherwise = "; or pip install 'vaetool[heif]', which reads it" if kind == HEIC else ""
    return f"convert it to TIFF or PNG first, with {_CONVERTERS.get(kind, 'ImageMagick')}{otherwise}"


def left_out(paths: Iterable[PurePath | Remote]) -> str:
    """Return a message that pictures of unread kinds are left out: how many of each, and what converts them.

    >>> left_out([PurePath("a/1.jxl"), PurePath("a/x.tga"), PurePath("a/2.JXL")])
    'not read, so left out: 2 JPEG XL (a/1.jxl, a/2.JXL; djxl or ImageMagick convert them), 1 TGA (a/x.tga)'
    """
    by_kind: dict[str, list[str]] = {}
    for path in paths:
        by_kind.setdefault(str(kind_by_name(path)), []).append(str(path))
    counts = []
    for kind, names in by_kind.items():
        more = ", ..." if len(names) > NAMED else ""
        tools = f"; {_CONVERTERS[kind]} convert them" if kind in _CONVERTERS else ""
        counts.append(f"{len(names)} {kind} ({', '.join(names[:NAMED])}{more}{tools})")
    return f"not read, so left out: {', '.join(counts)}"
