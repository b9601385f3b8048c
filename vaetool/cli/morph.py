"""`vaetool morph`: the pictures between pictures, or one picture with more or less of a feature."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaetool.cli.groups import with_options
from vaetool.cli.morph_options import (
    Against,
    Alpha,
    Crops,
    Direction,
    Frames,
    Interpolation,
    Loop,
    Output,
    PathOption,
    Pictures,
    Seeds,
    Size,
    Speed,
)
from vaetool.cli.options import ComputeOptions, Force, ModelName
from vaetool.cli.plans import model_files, name_unread
from vaetool.errors import ImageError, UsageError
from vaetool.store.headers import SUFFIX

if TYPE_CHECKING:
    from vaetool.files.console import Console
    from vaetool.files.inputs import Source
    from vaetool.images import Picture
    from vaetool.latents.morph import Morph


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
    alpha: Alpha = "-1:2",
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
    to their central square, or to --crop. A picture that the model cannot draw is refused. The model draws all frames,
    so the first and the last are reconstructions; with --direction, only the change is drawn into the photo. A gan has
    no encoder: it searches for the closest picture that it can make, and prints how close that is. How well a direction
    separates held-out pictures is reported as the area under the ROC curve (AUC), where 0.5 is chance; a direction with
    less than 0.6 is refused.
    """
    drawn = [] if seeds is None else read_seeds(seeds)
    if drawn and (pictures or direction is not None):
        raise UsageError("--seeds morphs between new pictures: name neither pictures nor a direction with it")
    sources = [] if drawn else _sources(pictures or [], run.console)
    _check_counts(len(drawn or sources), crop, direction, against, drawn=bool(drawn))
    span = read_span(alpha)
    target = output if output is not None else _default_output(sources[0] if sources else None, model)
    _check_target(target, _read_files(sources, model, direction, against), run, force=force)

    from vaetool import load
    from vaetool.files.outputs import size_of
    from vaetool.images import animation
    from vaetool.latents.morph import make_morph
    from vaetool.store.kinds import kinds_with_pictures

    generator = load(model, kind=kinds_with_pictures(), device=run.device)
    if generator.doubt is not None:
        run.console.warn(generator.doubt)
    made = make_morph(
        generator,
        [_read(source, run.console) for source in sources],
        seeds=drawn,
        direction=direction,
        against=against,
        alpha=span,
        frames=frames,
        path=path,
        loop=loop,
        crop=crop or [],
        size=size,
        say=run.console.say,
        warn=run.console.warn,
    )
    facts = _tell(made, sources, direction, run.console)
    if target == "-":
        run.console.binary(animation.encode_frames(made.frames, ".gif", fps))
        return
    written = animation.write(made.frames, target, fps, replace=force)
    run.console.say(f"wrote {target}")
    if run.json:
        run.console.record({"path": target, "frames": len(made.frames), **facts, "out_bytes": size_of(written)})


def _check_counts(
    stops: int, crop: list[Any] | None, direction: str | None, against: str | None, *, drawn: bool
) -> None:
    """Raise UsageError unless there are as many pictures, or seeds if `drawn`, as the options ask for."""
    pictures = 0 if drawn else stops
    if crop and len(crop) != pictures:
        raise UsageError(f"--crop is given once for each picture: {pictures} times, not {len(crop)}")
    if against is not None and direction is None:
        raise UsageError("--against needs --direction FOLDER")
    if direction is None and stops < 2:
        raise UsageError("a morph goes from one picture to another: name two or more, or give --direction")
    if direction is not None and pictures != 1:
        raise UsageError(f"--direction changes one picture, not {pictures}")


def _check_target(target: str, read: Iterator[object], run: ComputeOptions, *, force: bool) -> None:
    """Raise UsageError or FileError for a result that cannot be written or would replace an input."""
    from vaetool.files.outputs import refuse_inputs
    from vaetool.images import animation

    if target == "-":
        run.console.check_result_to_stdout()
    else:
        animation.check_new(target, force=force)
        refuse_inputs(animation.replaced_by(target), read)


def _tell(made: Morph, sources: list[Source], direction: str | None, console: Console) -> dict[str, Any]:
    """Say what was found out about a morph, and return it as plain values."""
    facts: dict[str, Any] = {}
    if made.auc is not None:
        facts = {"direction": direction, "auc": made.auc}
    for source, each in zip(sources, made.portraits, strict=True):
        if each.faces:
            console.say(f"{source}: took {each.words}")
    if any(each.crop for each in made.portraits):
        facts["crops"] = [None if each.crop is None else str(each.crop) for each in made.portraits]
    if made.psnrs is not None:
        facts["psnr"] = [round(value, 2) for value in made.psnrs]
        for source, value in zip(sources, facts["psnr"], strict=True):
            console.say(f"{source}: the closest picture of this model has a PSNR of {value:.1f} dB")
    return facts


def read_seeds(text: str) -> list[int]:
    """Parse a list of seeds.

    >>> read_seeds("3,8, 11")
    [3, 8, 11]
    """
    words = [word.strip() for word in text.split(",")]
    if not all(re.fullmatch(r"[0-9]{1,18}", word) for word in words):
        raise UsageError(f"--seeds {text}: expected whole numbers, such as 3,8,11")
    return [int(word) for word in words]


def read_span(text: str) -> tuple[float, float]:
    """Parse a span into its two ends.

    >>> read_span("-1:2"), read_span("0:1.5")
    ((-1.0, 2.0), (0.0, 1.5))
    """
    number = r"[+-]?(?:\d+\.?\d*|\.\d+)"
    found = re.fullmatch(f"({number}):({number})", text)
    if found is None:
        raise UsageError(f"--alpha {text}: expected LOW:HIGH, such as -1:2 or 0:1.5")
    return float(found[1]), float(found[2])


def _sources(arguments: list[str], console: Console) -> list[Source]:
    """Return the named pictures in order; a picture named twice appears twice."""
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
    """Yield the files that a morph reads; its result must not replace them."""
    from vaetool.images.sources import files_in

    yield from sources
    yield from model_files(model)
    if against is not None:
        yield from files_in([str(direction), against])


def _default_output(source: Source | None, model: str) -> str:
    """Return the default file name of a morph from a picture, or between new pictures of a model."""
    if source is None:
        return f"{Path(model).name.removesuffix(SUFFIX)}.morph.gif"
    return str(source.with_name(f"{source.stem}.morph.gif")) if isinstance(source, Path) else "-"


def _read(source: Source, console: Console) -> Picture:
    """Read a picture and warn of what is lost on reading it. Raises ImageError, with the path."""
    from vaetool import images
    from vaetool.files.streams import standard_input

    try:
        picture = images.read(source if isinstance(source, Path) else standard_input())
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from error
    for warning in picture.warnings:
        console.warn(f"{source}: {warning}")
    return picture
