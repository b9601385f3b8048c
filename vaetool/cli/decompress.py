"""`vaetool decompress`: .vae files in, pictures out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli import completion
from vaetool.cli.engines import process
from vaetool.cli.groups import with_options
from vaetool.cli.options import Format, Inputs, Output, Quality, RunOptions
from vaetool.cli.plans import check_format

if TYPE_CHECKING:
    from vaetool.files.batch import Steps
    from vaetool.images import Picture

CodecName = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|PATH",
        autocompletion=completion.models,
        help="A codec to try first. By default the one that a file needs is looked up among the models.",
        show_default=False,
    ),
]

Salvage = Annotated[
    bool,
    typer.Option("--salvage", help="Decode the intact tiles of a damaged file; the others become grey squares."),
]


@with_options
def decompress(
    inputs: Inputs = None,
    output: Output = None,
    model: CodecName = None,
    format: Format = None,  # noqa: A002 - as on the command line
    quality: Quality = None,
    salvage: Salvage = False,
    *,
    run: RunOptions,
) -> int:
    """Turn .vae files back into pictures.

    vaetool decompress photo.vae                  writes photo.png
    vaetool decompress photo.vae -o photo.webp    the name decides the format
    vaetool decompress small/ -r -o photos/ --format jpg
    vaetool decompress - < photo.vae > photo.png  in a pipe
    vaetool decompress broken.vae --salvage       the intact parts of a large picture

    A file decodes to the same code on every machine, and to pixels that differ by one level at most.
    """
    from vaetool.compression.decode import COMPRESSED, decompress_picture
    from vaetool.compression.unpacking import claimed_pixels
    from vaetool.files.planning import Naming
    from vaetool.images import MAX_PIXELS
    from vaetool.images.formats import format_named

    extension = f".{(format or 'png').lower()}"
    wanted = format_named(extension.removeprefix("."))
    jobs = run.jobs(inputs, output, naming=Naming(extension=extension, kind=COMPRESSED), model=model)
    check_format(jobs, format)

    def begin(run: RunOptions) -> Steps[bytes, Picture]:
        from vaetool import load
        from vaetool.cli.cores import side_by_side
        from vaetool.files.batch import Steps
        from vaetool.store.weights import resolve_device

        codec = load(model, kind="codec", device=run.device) if model is not None else None

        def work(data: bytes) -> tuple[Picture, dict[str, Any]]:
            limit = run.max_pixels or MAX_PIXELS
            picture, facts = decompress_picture(data, codec, device=run.device, max_pixels=limit, salvage=salvage)
            return replace(picture, format=wanted), facts

        return Steps(
            read=lambda source: source if isinstance(source, bytes) else source.read_bytes(),
            work=work,
            write=run.write_picture(quality),
            side_by_side=side_by_side(resolve_device(run.device), claimed_pixels),
        )

    return process(run, jobs, begin)
