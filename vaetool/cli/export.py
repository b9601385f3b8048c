"""`vaetool export`: a model as a file that other programs run."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vaetool.cli import completion
from vaetool.cli.facts import size
from vaetool.cli.groups import MessageOptions, with_options
from vaetool.errors import UsageError
from vaetool.files.outputs import size_of


class Part(StrEnum):
    """Parts of a model that can be exported on their own."""

    ENCODER = "encoder"
    DECODER = "decoder"


ModelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A name from `vaetool models`, or a model file.",
        autocompletion=completion.models,
        show_default=False,
    ),
]
GraphFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="The file to write, *.onnx or *.pt2.", show_default=False),
]
PartOption = Annotated[
    Part | None,
    typer.Option("--part", metavar="encoder|decoder", help="The half of an ae or a vae to export.", show_default=False),
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing file.")]


@with_options
def export(
    model: ModelArgument = None,
    output: GraphFile = None,
    part: PartOption = None,
    force: Force = False,
    *,
    options: MessageOptions,
) -> None:
    """Write a model for other programs: ONNX, or torch.export.

    vaetool export photo-denoise -o denoise.onnx              takes a minute
    vaetool export scan-flaws -o flaws.pt2                    for torch.export.load
    vaetool export faces --part decoder -o faces.onnx         the half that makes pictures of codes

    The file computes what the network does, from pictures or codes to pictures, maps, scores or codes; its metadata
    (`metadata_props`, or `vaetool.json` in a .pt2 file) includes the sizes that it takes, and the threshold of a score.
    It is compared with the model before it is written: an ONNX file by onnxruntime, if that is installed. Codecs cannot
    be exported.
    """
    if model is None:
        raise UsageError("which model? `vaetool models` lists those with names")
    if output is None:
        raise UsageError("where to? Name a file ending in .onnx or .pt2 with -o")

    from vaetool import export as write

    result = write(model, output, part=part, force=force)
    written = size_of([result.path])
    options.console.say(
        f"wrote {result.path} ({size(written)}): {' and '.join(result.inputs)} to {', '.join(result.outputs)}"
    )
    if result.multiple:
        options.console.say(f"heights and widths are multiples of {result.multiple}")
    if result.difference is None:
        options.console.warn("not compared with the model: onnxruntime is not installed")
    else:
        options.console.say(f"differs from the model by {result.difference:.1g} at most")
    if options.json:
        options.console.record({**asdict(result), "out_bytes": written})
