"""The options of `vaetool morph`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

from vaetool.cli.groups import between, box
from vaetool.cli.options import FILES

DIRECTION = "Direction"


class Interpolation(StrEnum):
    """Paths between codes."""

    SLERP = "slerp"
    LERP = "lerp"


Pictures = Annotated[
    list[str] | None,
    typer.Argument(metavar="A B [C ...]", help="Pictures, folders of them, or patterns, in order.", show_default=False),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|FOLDER|-",
        help="An animated .gif or .webp, a .png with all frames side by side, or a folder of frames; - is a GIF on "
        "standard output.",
        show_default="A.morph.gif, next to A; MODEL.morph.gif for --seeds",
        rich_help_panel=FILES,
    ),
]
Frames = Annotated[
    int, typer.Option("-n", "--frames", metavar="N", parser=between(2, 10_000, int), help="Number of frames in all.")
]
PathOption = Annotated[
    Interpolation,
    typer.Option(
        "--path",
        metavar="slerp|lerp",
        help="slerp keeps codes as far from the centre as those of pictures are; lerp is the straight line.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="A,B[,C...]",
        help="Morph between new pictures instead, as `vaetool sample -n 1` makes them with these seeds.",
        show_default=False,
    ),
]
Loop = Annotated[
    bool, typer.Option("--loop", help="Return to the first picture at the end; with --direction, go there and back.")
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="N",
        parser=between(8, 4096, int),
        help="Resize frames to N pixels on the longer side.",
        show_default="256, or the model's if larger; the photo's with --direction",
    ),
]


def _crop(text: str) -> tuple[int, ...] | None:
    return None if text == "auto" else box(text)


Crops = Annotated[
    list[Any] | None,
    typer.Option(
        "--crop",
        metavar="auto|X,Y,W,H",
        parser=_crop,
        help="The part of a picture to use: left, top, width and height, in pixels; once for each picture, in order. "
        "auto takes a face, if one suits the model, or else the middle square.",
        show_default="auto",
    ),
]
Speed = Annotated[
    float,
    typer.Option("--fps", metavar="1..50", parser=between(1, 50), help="Frames per second of an animated file."),
]
Direction = Annotated[
    str | None,
    typer.Option(
        "--direction",
        metavar="NAME|FOLDER",
        help="Change one picture along a named direction of the model (`vaetool models show`), or towards a folder "
        "of pictures.",
        show_default=False,
        rich_help_panel=DIRECTION,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="FOLDER",
        help="Pictures without the feature of those in --direction FOLDER.",
        show_default=False,
        rich_help_panel=DIRECTION,
    ),
]
Alpha = Annotated[
    str,
    typer.Option(
        "--alpha",
        metavar="LOW:HIGH",
        help="How far to go: 0 is the picture itself, 1 adds the difference between the means of the two folders.",
        rich_help_panel=DIRECTION,
    ),
]
