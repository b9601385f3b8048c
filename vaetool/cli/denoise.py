"""`vaetool denoise`: noisy pictures in, clean pictures out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli.engines import process
from vaetool.cli.groups import between, with_options
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
from vaetool.cli.plans import check_format, naming_of

if TYPE_CHECKING:
    from vaetool.files.batch import Steps
    from vaetool.images import Picture

Sigma = Annotated[
    float | None,
    typer.Option(
        "--sigma",
        metavar="auto|S",
        parser=between(0, 255, auto=True),
        help="Root mean square of the noise, in 8-bit units, 0 to 255; auto estimates it for every place.",
        show_default="auto",
    ),
]
Strength = Annotated[
    float,
    typer.Option(
        "--strength",
        metavar="0..2",
        parser=between(0, 2),
        help="How much of the noise to remove: 0 nothing, 1 all of it, 2 more than that, for a smooth look.",
    ),
]
Grain = Annotated[
    float,
    typer.Option(
        "--grain",
        metavar="0..1",
        parser=between(0, 1),
        help="How much of the noise common to all colours to keep: film grain, which gives a picture bite.",
    ),
]
ColourNoise = Annotated[
    float,
    typer.Option(
        "--colour-noise",
        metavar="0..1",
        parser=between(0, 1),
        help="How much of the colour noise to keep: blotches and speckles.",
    ),
]
Tile = Annotated[
    int | None,
    typer.Option(
        "--tile",
        metavar="auto|N",
        parser=between(64, 65536, int, auto=True),
        help="Side, in pixels, of the tiles in which a large picture is processed: smaller tiles need less memory.",
        show_default="auto",
    ),
]


@with_options
def denoise(
    inputs: Inputs = None,
    output: Output = None,
    model: ModelName = "photo-denoise",
    sigma: Sigma = None,
    strength: Strength = 1.0,
    grain: Grain = 0.0,
    colour_noise: ColourNoise = 0.0,
    tile: Tile = None,
    format: Format = None,  # noqa: A002 - as on the command line
    suffix: Suffix = None,
    quality: Quality = None,
    precision: PrecisionOption = Precision.AUTO,
    *,
    run: RunOptions,
) -> int:
    """Clean noisy photos.

    vaetool denoise night.jpg                     writes night.denoised.jpg
    vaetool denoise scans/ -r -o clean/ -j 4      a folder, four files at a time
    vaetool denoise night.jpg --grain 0.5         no blotches, but half of the grain
    vaetool denoise - < night.png > clean.png     in a pipe

    Size, format, EXIF, XMP, texts, resolution, colour profile, transparency and 16 bits are kept. A JPEG is written
    with quality 90 at least, without chroma subsampling. A picture without noise, or with few colours, is copied byte
    for byte.
    """
    jobs = run.jobs(inputs, output, naming=naming_of(".denoised", suffix, format), model=model)
    check_format(jobs, format)

    def begin(run: RunOptions) -> Steps[Picture, Picture]:
        from vaetool import load
        from vaetool.cli.cores import side_by_side
        from vaetool.denoising.cleaning import Cleaning
        from vaetool.denoising.task import denoise_picture
        from vaetool.files.batch import Steps

        denoiser = load(model, kind="dae", device=run.device, precision=precision.value)
        cleaning = Cleaning(sigma, strength, grain, colour_noise, tile)

        def work(picture: Picture) -> tuple[Picture, dict[str, Any]]:
            return denoise_picture(denoiser, picture, cleaning)

        def pixels(picture: Picture) -> int:
            return picture.height * picture.width * (1 + len(picture.pages))

        return Steps(
            read=partial(run.read_picture, whole=True, single=True),
            work=work,
            write=run.write_picture(quality, format),
            side_by_side=side_by_side(denoiser.device, pixels),
        )

    return process(run, jobs, begin)
