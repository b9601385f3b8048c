"""`vaetool info`: the contents of a picture, a .vae file or a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vaetool.cli.facts import show
from vaetool.cli.groups import MessageOptions, with_options
from vaetool.errors import FileError, VaetoolError
from vaetool.files.console import Report
from vaetool.files.inputs import IMAGES, TIFF, FileKind, Source, expand, read_head
from vaetool.store.headers import SUFFIX, is_safetensors, read_header

COMPRESSED = ".vae"

Files = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="FILE",
        help="Pictures, compressed or not, model files, folders of them, or patterns.",
        show_default=False,
    ),
]


@with_options
def info(files: Files = None, *, options: MessageOptions) -> int:
    """Show what is in a file.

    vaetool info photo.jpg           size, format, bits, and what goes with the pixels
    vaetool info photo.vae           size, quality, and where the bits of a compressed picture went
    vaetool info part.safetensors    kind, sizes and training of a model
    vaetool info models/ --json      a folder, one JSON object per file
    """
    report = Report(options.console)
    for number, entry in enumerate(expand(files or [], kind=OURS, recursive=None).entries):
        try:
            if entry.problem:
                raise FileError(entry.problem)
            facts = read(entry.source)
        except VaetoolError as error:
            report.failed(entry.source, FileError(str(error).removeprefix(f"{entry.source}: ")))
        else:
            show(facts, options.console, first=number == 0)
    return report.exit_code


def read(source: Source) -> dict[str, Any]:
    """Return the facts of one file, of any format that has a header to read.

    Raises FileError, WeightsError.
    """
    if not isinstance(source, Path):
        raise FileError("standard input is not supported: name a file")
    head = read_head(source)
    suffix = source.suffix.lower()
    if is_safetensors(head) or not (suffix in OURS.suffixes - {SUFFIX} or _sniff(head)):
        return read_header(source).facts()
    try:
        return {"path": str(source), **_describe(source, compressed=COMPRESSED in (*_sniff(head), suffix))}
    except OSError as error:
        raise FileError(error.strerror or "cannot be read") from error


def _describe(source: Path, *, compressed: bool) -> dict[str, Any]:
    if compressed:
        from vaetool.compression.decode import describe

        return describe(source.read_bytes())
    from vaetool import images
    from vaetool.images.description import describe_picture
    from vaetool.images.tiff import has_wide_values

    whole = _sniff(read_head(source)) == TIFF and has_wide_values(source)
    return {"bytes": source.stat().st_size, **describe_picture(images.read(source, whole=whole))}


def _sniff(head: bytes) -> tuple[str, ...]:
    if is_safetensors(head):
        return (SUFFIX,)
    if extensions := IMAGES.sniff(head):
        return extensions
    from vaetool.compression.container import is_vae  # here: it imports numpy, which models do not need

    return (COMPRESSED,) if is_vae(head) else ()


OURS = FileKind("pictures or models", _sniff, frozenset({SUFFIX, COMPRESSED}) | IMAGES.suffixes)
