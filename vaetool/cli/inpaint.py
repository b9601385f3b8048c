"""`vaetool inpaint`: pictures with holes in, complete pictures out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli import completion
from vaetool.cli.engines import process
from vaetool.cli.groups import between, with_options
from vaetool.cli.groups import box as read_box
from vaetool.cli.options import (
    Format,
    Inputs,
    ModelName,
    Output,
    Precision,
    PrecisionOption,
    Quality,
    RunOptions,
    Suffix,
)
from vaetool.cli.plans import check_format, model_files, name_lossy, naming_of

if TYPE_CHECKING:
    from vaetool.files.batch import Steps
    from vaetool.images import Picture
    from vaetool.inpainting.task import MaskedPicture

HOLES = "Holes: one of these, or several"


Mask = Annotated[
    Path | None,
    typer.Option(
        "--mask",
        metavar="FILE|FOLDER",
        help="A picture of the same size, white in the holes: one for all pictures, or a folder with one for each, "
        "under the same name or with _mask appended.",
        show_default=False,
        rich_help_panel=HOLES,
    ),
]
Boxes = Annotated[
    list[Any] | None,
    typer.Option(
        "--box",
        metavar="X,Y,W,H",
        parser=read_box,
        help="A box: left, top, width and height, in pixels. Can be given more than once.",
        show_default=False,
        rich_help_panel=HOLES,
    ),
]
Alpha = Annotated[
    bool,
    typer.Option(
        "--alpha",
        help="Fill pixels that are more than half transparent; the result is opaque.",
        rich_help_panel=HOLES,
    ),
]
Color = Annotated[
    list[str] | None,
    typer.Option(
        "--color",
        metavar="'#ff00ff'",
        help="Fill pixels of about this colour: paint it over what to remove. Can be given more than once.",
        show_default=False,
        rich_help_panel=HOLES,
    ),
]
Fuzz = Annotated[
    int,
    typer.Option(
        "--fuzz",
        metavar="N",
        parser=between(0, 255, int),
        help="Maximum difference of red, green and blue from --color, of 255; 0 suits PNG files painted without soft "
        "edges.",
    ),
]
Auto = Annotated[
    list[str] | None,
    typer.Option(
        "--auto",
        metavar="scratches|dust|date",
        help="Find these flaws of scans: thin scratches, dust and fibres, a printed date in warm colours. Can be given "
        "more than once. Check the result with --write-mask.",
        show_default=False,
        rich_help_panel=HOLES,
    ),
]
Finder = Annotated[
    str,
    typer.Option(
        "--finder",
        metavar="NAME|PATH",
        help="The model that finds flaws for --auto: a name, or a file written by `vaetool train flaws`.",
        autocompletion=completion.models,
    ),
]
WriteMask = Annotated[
    bool,
    typer.Option(
        "--write-mask",
        help="Fill nothing, but write a mask that is white in the holes, to correct and pass to --mask.",
    ),
]
InvertMask = Annotated[
    bool, typer.Option("--invert-mask", help="Fill the black parts of the mask instead of the white ones.")
]
GrowToEdges = Annotated[
    bool,
    typer.Option(
        "--grow-to-edges",
        help="Grow holes to the edges of what they mark: for things painted over roughly, but for the most part. "
        "They grow by at most half of their own width, or 12 pixels. Check the result with --write-mask.",
    ),
]
Dilate = Annotated[
    int,
    typer.Option(
        "--dilate",
        metavar="N",
        parser=between(0, 1000, int),
        help="Also fill N pixels around holes, so that leftover edges of a removed object are not continued.",
    ),
]

Texture = Annotated[
    bool,
    typer.Option(
        "--texture/--no-texture",
        help="Give wide holes texture from elsewhere in the picture, and all holes its grain. Without it they are "
        "smooth, and blurred in the middle of wide ones: nearer to the truth on average, with nothing made up.",
    ),
]


@with_options
def inpaint(
    inputs: Inputs = None,
    output: Output = None,
    model: ModelName = "photo-inpaint",
    mask: Mask = None,
    box: Boxes = None,
    alpha: Alpha = False,
    color: Color = None,
    fuzz: Fuzz = 48,
    auto: Auto = None,
    finder: Finder = "scan-flaws",
    invert_mask: InvertMask = False,
    grow_to_edges: GrowToEdges = False,
    dilate: Dilate = 0,
    texture: Texture = True,
    write_mask: WriteMask = False,
    format: Format = None,  # noqa: A002 - as on the command line
    suffix: Suffix = None,
    quality: Quality = None,
    precision: PrecisionOption = Precision.AUTO,
    *,
    run: RunOptions,
) -> int:
    """Fill holes in photos: remove what is marked.

    vaetool inpaint party.png --mask marked.png         writes party.inpainted.png
    vaetool inpaint party.png --box 40,30,60,20         a box: left, top, width, height
    vaetool inpaint scans/ --mask masks/ -o whole/      for each picture, the mask of its name
    vaetool inpaint painted.png --color '#ff00ff'       what was painted over in that colour
    vaetool inpaint scan.png --auto scratches           what looks like a scratch

    White areas of a mask are filled, exactly; if parts of the removed thing still show just outside of them, a message
    says by how many pixels to --dilate them. No other pixel changes if the result is a PNG or in another lossless
    format. Size, format, EXIF, XMP, texts, resolution, colour profile, transparency and 16 bits are kept.
    """
    naming = naming_of("_mask", suffix, format or "png") if write_mask else naming_of(".inpainted", suffix, format)
    jobs = run.jobs(inputs, output, naming=naming, model=model, also_read=chain(_mask_files(mask), model_files(finder)))
    check_format(jobs, format)
    name_lossy(jobs, run.console)

    def begin(run: RunOptions) -> Steps[MaskedPicture, Picture]:
        from vaetool import load
        from vaetool.files.batch import Steps
        from vaetool.images import MAX_PIXELS
        from vaetool.inpainting.task import Holes, inpaint_picture, mask_picture

        most = run.max_pixels or MAX_PIXELS
        ways: dict[str, Any] = {
            "box": box or (),
            "alpha": alpha,
            "color": color or (),
            "fuzz": fuzz,
            "auto": auto or (),
        }
        extent: dict[str, Any] = {"invert_mask": invert_mask, "grow_to_edges": grow_to_edges, "dilate": dilate}
        holes = Holes(mask, **ways, **extent, max_pixels=most, device=run.device, finder=finder)
        inpainter = load(model, kind="mae", device=run.device, precision=precision.value)

        def read(source: Path | bytes) -> MaskedPicture:
            return holes.of(run.read_picture(source, single=True), source)

        def work(holed: MaskedPicture) -> tuple[Picture, dict[str, Any]]:
            return inpaint_picture(inpainter, holed.picture, holed.hole, texture)

        def mark(holed: MaskedPicture) -> tuple[Picture, dict[str, Any]]:
            return mask_picture(holed.hole), {"marked": round(float(holed.hole.mean()), 6)}

        return Steps(read, mark if write_mask else work, run.write_picture(quality, format))

    return process(run, jobs, begin)


def _mask_files(mask: Path | None) -> Iterator[object]:
    """Yield the mask files, which results must not replace."""
    if mask is not None and not mask.is_dir():
        yield mask
    elif mask is not None:
        from vaetool.files.inputs import expand

        yield from (entry.source for entry in expand([str(mask)], recursive=True).entries)
