"""`vaetool morph`: the pictures between pictures, or one picture with more or less of a feature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli.groups import between, box, with_options
from vaetool.cli.options import FILES, ComputeOptions, ModelName
from vaetool.cli.plans import model_files, name_unread
from vaetool.errors import UsageError
from vaetool.store.headers import SUFFIX

if TYPE_CHECKING:
    from vaetool.files.console import Console
    from vaetool.files.inputs import Source

DIRECTION = "Direction"


class Interpolation(StrEnum):
    """Paths from code to code."""

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
Force = Annotated[bool, typer.Option("--force", help="Replace a result that exists.", rich_help_panel=FILES)]
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
        help="Morph between new pictures instead, those that `vaetool sample -n 1` makes of these seeds.",
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
        help="The part of a picture to take: left, top, width and height, in pixels; once for each picture, in order. "
        "auto is a face in it, if there is one that suits the model, or else its middle square.",
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
        help="Change one picture in one respect: along a direction that the model knows by name "
        "(`vaetool models show`), or towards a folder of pictures.",
        show_default=False,
        rich_help_panel=DIRECTION,
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="FOLDER",
        help="Pictures that lack what those in --direction FOLDER have.",
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


@with_options
def morph(
    pictures: Pictures = None,
    output: Output = None,
    model: ModelName = "faces",
    frames: Frames = 24,
    path: PathOption = Interpolation.SLERP,
    loop: Loop = False,
    crop: Crops = None,
    seeds: Seeds = None,
    direction: Direction = None,
    against: Against = None,
    alpha: Alpha = "-2:2",
    size: Size = None,
    fps: Speed = 12,
    force: Force = False,
    *,
    run: ComputeOptions,
) -> None:
    """Morph pictures into each other, or change one along a direction.

    vaetool morph anna.jpg ben.jpg                            writes anna.morph.gif
    vaetool morph a.jpg b.jpg c.jpg --loop --size 128 -o abc.webp
    vaetool morph a.jpg b.jpg --frames 9 -o strip.png         all frames side by side
    vaetool morph --seeds 3,8,11 -m digits -o digits.gif      between new pictures
    vaetool morph anna.jpg -m smiles --direction smile -o smile.gif
    vaetool morph anna.jpg --direction with-glasses/ --against without/ --alpha 0:2 -o glasses/

    The face in a photo is found and aligned, if `pip install 'vaetool[portraits]'` was run; other pictures are cropped
    to their central square, or to --crop. One that the model is far from drawing is refused. The model draws all
    frames, so the first and the last are reconstructions; with --direction, only what changes is drawn into the photo.
    A gan has no encoder: it searches for the closest picture that it makes, and says how close that is. How well a
    direction separates held-out pictures is reported as the area under the ROC curve (AUC), where 0.5 is chance; a
    direction with less than 0.6 is refused.
    """
    drawn = [] if seeds is None else read_seeds(seeds)
    if drawn and (pictures or direction is not None):
        raise UsageError("--seeds morphs between new pictures: name neither pictures nor a direction with it")
    sources = [] if drawn else _sources(pictures or [], run.console)
    if crop and len(crop) != len(sources):
        raise UsageError(f"--crop is given once for each picture: {len(sources)} times, not {len(crop)}")
    if against is not None and direction is None:
        raise UsageError("--against needs --direction FOLDER")
    if direction is None and len(drawn or sources) < 2:
        raise UsageError("a morph goes from one picture to another: name two or more, or give --direction")
    if direction is not None and len(sources) != 1:
        raise UsageError(f"--direction changes one picture, not {len(sources)}")
    span = read_span(alpha)

    from vaetool import load
    from vaetool.files.outputs import refuse_inputs, size_of
    from vaetool.images import animation
    from vaetool.store.kinds import kinds_with_codes, kinds_with_pictures

    target = output if output is not None else _default_output(sources[0] if sources else None, model)
    if target == "-":
        if run.json:
            raise UsageError("--json and the result itself cannot both go to standard output: give -o FILE")
        run.console.refuse_binary_to_terminal()
    else:
        animation.check_new(target, force=force)
        refuse_inputs(animation.replaced_by(target), _read_files(sources, model, direction, against))

    from vaetool.latents import morph as morphing
    from vaetool.latents.portraits import portraits

    generator = load(model, kind=kinds_with_pictures(), device=run.device)
    if generator.doubt is not None:
        run.console.warn(generator.doubt)
    facts: dict[str, Any] = {}
    if direction is not None:
        vector, auc = morphing.find_direction(generator, direction, against, warn=run.console.warn)
        facts = {"direction": direction, "auc": auc}
        run.console.say(f"direction {direction}: tells held-out pictures apart with an AUC of {auc:.3f}")
    chosen = portraits(generator, [_read(source) for source in sources], crop or (), warn=run.console.warn)
    if any(each.crop for each in chosen):
        facts["crops"] = [None if each.crop is None else str(each.crop) for each in chosen]
    for source, each in zip(sources, chosen, strict=True):
        if each.faces:
            run.console.say(f"{source}: took {each.words}")
    if direction is not None:
        pixels = morphing.change_portrait(generator, chosen[0], vector, alpha=span, frames=frames, loop=loop, size=size)
    else:
        seen = [each.seen(generator) for each in chosen]
        codes = morphing.codes_of_seeds(generator, drawn) if drawn else generator.encode(seen)
        if seen and generator.kind not in kinds_with_codes():
            facts["psnr"] = [round(value, 2) for value in morphing.reconstruction_psnrs(generator, seen, codes)]
            for source, value in zip(sources, facts["psnr"], strict=True):
                run.console.say(f"{source}: the closest picture of this model has a PSNR of {value:.1f} dB")
        pixels = morphing.morph_codes(generator, codes, frames=frames, path=path, loop=loop)
        pixels = animation.resize(pixels, size or morphing.frame_size(generator))
    if target == "-":
        run.console.binary(animation.encode_frames(pixels, ".gif", fps))
        return
    written = animation.write(pixels, target, fps, replace=force)
    run.console.say(f"wrote {target}")
    if run.json:
        run.console.record({"path": target, "frames": len(pixels), **facts, "out_bytes": size_of(written)})


def read_seeds(text: str) -> list[int]:
    """Return seeds as people write them.

    >>> read_seeds("3,8, 11")
    [3, 8, 11]
    """
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words):
        raise UsageError(f"--seeds {text}: expected whole numbers, such as 3,8,11")
    return [int(word) for word in words]


def read_span(text: str) -> tuple[float, float]:
    """Return the ends of a span as people write it.

    >>> read_span("-2:2"), read_span("0:1.5")
    ((-2.0, 2.0), (0.0, 1.5))
    """
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)"
    found = re.fullmatch(f"({number}):({number})", text)
    if found is None:
        raise UsageError(f"--alpha {text}: expected LOW:HIGH, such as -2:2 or 0:1.5")
    return float(found[1]), float(found[2])


def _sources(arguments: list[str], console: Console) -> list[Source]:
    """Return the pictures that were named, in order; one that is named twice is there twice."""
    from vaetool.files.inputs import expand

    if not arguments:
        raise UsageError("which pictures? Name two or more, or one and --direction")
    found = [expand([argument], earlier=".morph") for argument in arguments]
    name_unread([path for inputs in found for path in inputs.unread], console)
    entries = [entry for inputs in found for entry in inputs.entries]
    for entry in entries:
        if entry.problem:
            raise UsageError(f"{entry.source}: {entry.problem}")
    return [entry.source for entry in entries]


def _read_files(sources: list[Source], model: str, direction: str | None, against: str | None) -> Iterator[object]:
    """Yield the files that a morph reads, which its result must not replace."""
    from vaetool.images.sources import files_in

    yield from sources
    yield from model_files(model)
    if against is not None:
        yield from files_in([str(direction), against])


def _default_output(source: Source | None, model: str) -> str:
    """Return the name of a morph from a picture, or between new pictures of a model."""
    if source is None:
        return f"{Path(model).name.removesuffix(SUFFIX)}.morph.gif"
    return str(source.with_name(f"{source.stem}.morph.gif")) if isinstance(source, Path) else "-"


def _read(source: Source) -> Any:
    """Return what `Autoencoder.encode` takes: a path, or the picture on standard input."""
    if isinstance(source, Path):
        return source
    from vaetool import images
    from vaetool.files.streams import standard_input

    return images.read(standard_input())
