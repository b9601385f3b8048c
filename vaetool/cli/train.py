"""`vaetool train`: a model of your own from a folder of images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from vaetool.cli import completion
from vaetool.cli.groups import with_flags, with_options
from vaetool.cli.options import ComputeOptions
from vaetool.errors import UsageError
from vaetool.files.outputs import check_folder, size_of
from vaetool.store.kinds import KINDS
from vaetool.training.flags import FLAGS

RECIPE = "Recipe"

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND] DATA",
        help=f"The kind of model ({', '.join(KINDS)}), unless the recipe names it; then folders of images, "
        "zip files of them, or torchvision:NAME.",
        autocompletion=completion.kinds,
        show_default=False,
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="MODEL", help="The model file to write, *.safetensors.", show_default=False),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", help="The recipe; options override it.", rich_help_panel=RECIPE),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="A built-in recipe: lecture-2d or lecture-faces, for ae, vae, gan and mmvae.",
        show_default=False,
        rich_help_panel=RECIPE,
    ),
]
Init = Annotated[
    str | None,
    typer.Option(
        "--init",
        metavar="NAME|PATH",
        help="Start from the weights of this model.",
        autocompletion=completion.models,
        rich_help_panel=RECIPE,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change one entry of the recipe. Can be repeated; overrides everything else.",
        show_default=False,
        rich_help_panel=RECIPE,
    ),
]
Root = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Folder of torchvision's data sets.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue a stopped run to the same model; start one if there is none.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace an existing model.")]
TensorBoard = Annotated[
    str | None, typer.Option("--tensorboard", metavar="FOLDER", help="Also write TensorBoard event files there.")
]


@with_options
@with_flags(FLAGS, panel=RECIPE)
def train(
    arguments: Arguments = None,
    output: ModelFile = None,
    recipe: RecipeFile = None,
    preset: Preset = None,
    init: Init = None,
    settings: Settings = None,
    resume: Resume = False,
    force: Force = False,
    root: Root = Path(),
    tensorboard: TensorBoard = None,
    *,
    flags: dict[str, Any],
    run: ComputeOptions,
) -> int:
    """Train a model on your own images.

    vaetool train dae photos/ -o mine.safetensors --minutes 60
    vaetool train dae photos/ -o mine.safetensors --minutes 60 --resume       continues after Ctrl-C or a power cut
    vaetool train vae faces/ -o faces.safetensors --size 64 --latent 128 --minutes 60
    vaetool train gan faces/ -o sharp.safetensors --size 64 --minutes 60      sharper, but only to sample and to morph
    vaetool train mmvae photos/ masks/ -o pair.safetensors                    relates pictures of the same names
    vaetool train features good/ -o part.safetensors                          finds what good parts do not have
    vaetool train defect good/ -o part.safetensors                            the same, trained on drawn defects
    vaetool train mae photos/ -o mine.safetensors --minutes 60                fills holes in pictures
    vaetool train ae drawings/ -o drawings.safetensors --preset lecture-2d
    vaetool train --config recipe.toml photos.zip -o mine.safetensors
    vaetool train dae photos/ -o mine.safetensors --set model.widths=[16,32,64] --set training.lr=0.002

    An mmvae takes two or more folders, or one with --labels, or with sub-folders named after labels.

    Some images are held out and never trained on: figures are measured on them, and the best weights are kept, or the
    last ones with --adversarial. Next to the model, NAME.training.csv and NAME.training.png show the progress, and
    NAME.latent.png the codes. `torchrun --nproc-per-node 4 -m vaetool train ...` spreads a run over several processes
    or GPUs.
    """
    kind, places = kind_and_places(arguments or [])
    if output is None:
        raise UsageError("where to? Name the model file with -o")
    if kind is None and recipe is None:
        raise UsageError(f"which kind of model? {' or '.join(KINDS)}, or a recipe with --config")

    if tensorboard is not None:
        check_folder(tensorboard, "event files")

    from vaetool import train as fit
    from vaetool.training.checkpoints import check_output
    from vaetool.training.distributed import is_first_process
    from vaetool.training.report import Reporter

    path = check_output(output)
    speaks = is_first_process()
    reporter = Reporter(
        run.console.screen if speaks and not run.quiet else None, tensorboard=Path(tensorboard) if tensorboard else None
    )
    result = fit(
        kind,
        places,
        output=path,
        recipe=recipe,
        preset=preset,
        init=init,
        resume=resume,
        force=force,
        settings=settings or (),
        root=root,
        device=run.device,
        reporter=reporter,
        **flags,
    )
    if speaks:
        if not result.was_finished:
            run.console.say(f"wrote {result.path}")
        if run.json:
            run.console.record({**asdict(result), "out_bytes": size_of([result.path])})
    return 0


def kind_and_places(arguments: list[str]) -> tuple[str | None, list[str]]:
    """Split arguments into the kind, if the first one names one, and the sources of images.

    The contents of the current folder do not matter; a folder of that name is written `./dae`.

    >>> kind_and_places(["dae", "photos/"]), kind_and_places(["./dae"])
    (('dae', ['photos/']), (None, ['./dae']))
    """
    if arguments and arguments[0] in KINDS:
        return arguments[0], arguments[1:]
    return None, arguments
