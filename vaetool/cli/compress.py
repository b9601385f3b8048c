"""`vaetool compress`: pictures in, small .vae files out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli.engines import process
from vaetool.cli.groups import between, byte_count, with_options
from vaetool.cli.options import FILES, Inputs, ModelName, Output, RunOptions
from vaetool.errors import UsageError
from vaetool.files.inputs import Stream

if TYPE_CHECKING:
    from vaetool.files.batch import Steps
    from vaetool.images import Picture

Quality = Annotated[
    int | None,
    typer.Option(
        "-q",
        "--quality",
        metavar="1..100",
        parser=between(1, 100, int),
        help="Higher is better and larger.",
        show_default="70",
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

Lossless = Annotated[
    bool,
    typer.Option("--lossless", help="Keep every sample exactly, 16 bits included; many times larger than by default."),
]
MaxError = Annotated[
    int | None,
    typer.Option(
        "--max-error",
        "--near-lossless",
        metavar="N",
        parser=between(0, 65535, int),
        help="Smallest file with no sample off by more than N levels, of 255, or of 65535 for 16 bits.",
    ),
]
SkipLarger = Annotated[
    bool,
    typer.Option("--skip-larger", help="Write no file that is larger than its input.", rich_help_panel=FILES),
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
    lossless: Lossless = False,
    max_error: MaxError = None,
    skip_larger: SkipLarger = False,
    *,
    run: RunOptions,
) -> int:
    """Compress pictures.

    vaetool compress photo.jpg                    writes photo.vae
    vaetool compress photo.jpg -q 75              better, and larger
    vaetool compress photo.jpg --target-size 60KB
    vaetool compress photos/ -r -o small/ -j 4    a folder, four files at a time
    vaetool compress scan.tif --max-error 20      no sample is off by more than 20 levels
    vaetool compress - < photo.png > photo.vae    in a pipe

    Size, transparency, greyscale, 16 bits, EXIF, XMP, texts, resolution (dpi) and colour profile are kept. A picture
    that is no larger when stored losslessly, such as a drawing or an icon, is stored that way. 16 bits are coded
    relative to the range of values in use. `vaetool decompress` restores the picture, on any machine.
    """
    from vaetool.compression.container import SUFFIX
    from vaetool.compression.encode import compress_picture
    from vaetool.compression.targets import Target, error_bound
    from vaetool.files.planning import Naming
    from vaetool.files.sizes import Sizes

    target = Target(quality, bpp, target_size, target_psnr, error_bound(lossless, max_error))
    jobs = run.jobs(inputs, output, naming=Naming(extension=SUFFIX), model=model)
    if skip_larger and any(job.output is Stream.STANDARD for job in jobs):
        raise UsageError("--skip-larger does not apply to standard output: give -o FILE")
    is_shown = run.json or (not run.quiet and (run.verbose > 0 or len(jobs) == 1))  # of many, only sums are shown

    def begin(run: RunOptions) -> Steps[Picture, bytes]:
        from vaetool import load
        from vaetool.cli.cores import side_by_side
        from vaetool.files.batch import Steps

        codec = load(model, kind="codec", device=run.device)

        def work(picture: Picture) -> tuple[bytes | None, dict[str, Any]]:
            data, facts = compress_picture(codec, picture, target, strip=run.strip, measure=is_shown)
            if skip_larger and picture.origin is not None and len(data) > _size(picture.origin):
                return None, {"changed": False, "reason": "no smaller as a .vae file"}
            return data, facts

        return Steps(
            read=partial(run.read_picture, single=True, still=True),
            work=work,
            write=lambda data, job: data,
            side_by_side=side_by_side(codec.device, lambda picture: picture.height * picture.width),
        )

    return process(run, jobs, begin, sizes=Sizes())


def _size(origin: Path | bytes) -> int:
    return len(origin) if isinstance(origin, bytes) else origin.stat().st_size
