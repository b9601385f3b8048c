"""`vaetool latent`: the codes of pictures as a table, and plots of the space they lie in."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from vaetool.cli.groups import with_options
from vaetool.cli.options import ComputeOptions, ModelName
from vaetool.cli.plans import model_files
from vaetool.errors import UsageError
from vaetool.files.outputs import check_folder, refuse_inputs, size_of


class Format(StrEnum):
    """File formats of codes."""

    CSV = "csv"
    NPY = "npy"


Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL] DATA...",
        help="An ae or a vae by name or path, if -m does not name it; then folders of images, zip files of them, or "
        "torchvision:NAME. Names of sub-folders are labels.",
        show_default=False,
    ),
]
Folder = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", metavar="FOLDER", help="Folder of the results; created if missing.", show_default=False
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option(
        "--format",
        metavar="csv|npy",
        help="Format of the codes: codes.csv with a column for each number, or codes.npy and a table of labels.",
    ),
]
TSNE = Annotated[
    bool,
    typer.Option("--tsne", help="Make the scatter plot with t-SNE instead of the first two principal components."),
]
HTML = Annotated[
    bool,
    typer.Option(
        "--html",
        help="Also write walk.html, a page of at most 3 MB: a map of the plane of the codes and sliders for the most "
        "active units.",
    ),
]
Root = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Folder of torchvision's data sets.")]
Force = Annotated[bool, typer.Option("--force", help="Replace existing files.")]


@with_options
def latent(
    arguments: Arguments = None,
    model: ModelName = "",
    output: Folder = None,
    format: FormatOption = Format.CSV,  # noqa: A002
    tsne: TSNE = False,
    html: HTML = False,
    root: Root = Path(),
    force: Force = False,
    *,
    run: ComputeOptions,
) -> None:
    """Write the codes of pictures, and draw the space they lie in.

    vaetool latent mine.safetensors photos/ -o space/
    vaetool latent mine.safetensors photos/ more.zip -o space/ --format npy --tsne
    vaetool latent mine.safetensors photos/ -o space/ --html
    vaetool latent fashion torchvision:FashionMNIST --root data/ -o fashion-space/

    The plots: codes by label, a grid decoded from their plane, traversals of the most active units, the KL of each unit
    (of a vae), reconstructions, and samples. walk.html needs no network and no server: open it in a browser.
    """
    data = arguments or []
    if not model:
        model, *data = data or [""]
    if not data:
        raise UsageError("name a model, then folders of pictures, zip files or torchvision:NAME")
    if output is None:
        raise UsageError("where to? Name a folder with -o")
    check_folder(output, "codes and plots")

    from vaetool import load
    from vaetool.latents.explore import explore, results_in
    from vaetool.store.kinds import kinds_with_codes

    autoencoder = load(model, kind=kinds_with_codes(), device=run.device)
    if autoencoder.doubt is not None:
        run.console.warn(autoencoder.doubt)
    refuse_inputs(results_in(Path(output)), model_files(model))
    result = explore(
        autoencoder, data, output, root=root, format=format, tsne=tsne, html=html, force=force, warn=run.console.warn
    )
    run.console.say(
        f"wrote the codes of {result.pictures} pictures and {len(result.files) - 1} more files to {result.path}"
    )
    if run.json:
        written = size_of(result.path / name for name in result.files)
        run.console.record({**asdict(result), "out_bytes": written})
