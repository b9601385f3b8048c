"""`vaetool compress`: pictures in, small .vae files out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli.groups import between, byte_count, with_options
from vaetool.cli.options import Inputs, ModelName, Output, RunOptions

if TYPE_CHECKING:
    from vaetool.images import Picture

Quality = Annotated[
    int | None,
    typer.Option(
        "-q",
        "--quality",
        metavar="1..100",
        parser=between(1, 100, int),
        help="Higher is better and larger.",
        show_default="50",
    ),
]
Bpp = Annotated[
    float | None,
    typer.Option("--bpp", metavar="B", help="Best quality in at most this many bits per pixel."),
]
TargetSize = Annotated[
    int | None,
    typer.Option(
        "--target-size",
        metavar="60KB",
        parser=byte_count,
        help="Best quality in at most this many bytes. 1 KB is 1000 bytes, 1 KiB 1024.",
    ),
]
TargetPsnr = Annotated[
    float | None,
    typer.Option(
        "--target-psnr",
        metavar="DB",
        help="Smallest file that reaches this PSNR in dB; lossless if the highest quality does not reach it.",
    ),
]


@with_options
def compress(
    inputs: Inputs = None,
    output: Output = None,
    model: ModelName = "photo-codec",
    quality: Quality = None,
    bpp: Bpp = None,
    target_size: TargetSize = None,
    target_psnr: TargetPsnr = None,
    *,
    run: RunOptions,
) -> int:
    """Compress pictures.

    vaetool compress photo.jpg                    writes photo.vae
    vaetool compress photo.jpg -q 75              better, and larger
    vaetool compress photo.jpg --target-size 60KB
    vaetool compress photos/ -r -o small/ -j 4    a folder, four files at a time
    vaetool compress - < photo.png > photo.vae    in a pipe

    Size, transparency, greyscale, 16 bits, EXIF, XMP, texts, resolution (dpi) and colour profile are kept. A picture
    that is no larger when stored losslessly, such as a drawing or an icon, is stored that way. `vaetool decompress`
    restores the picture, on any machine.
    """
    from vaetool.compression.container import SUFFIX
    from vaetool.compression.encode import Target, compress_picture

    target = Target(quality, bpp, target_size, target_psnr)
    jobs = run.jobs(inputs, output, extension=SUFFIX)

    from vaetool import load

    codec = load(model, kind="codec", device=run.device)

    def work(picture: Picture) -> tuple[bytes, dict[str, Any]]:
        return compress_picture(codec, picture, target, strip=run.strip)

    return run.process(jobs, work, read=run.read_picture, write=lambda data, job: data)
