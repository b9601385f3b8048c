"""`vaetool train`: a model of one's own from a folder of images."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vaetool.cli.groups import with_options
from vaetool.cli.options import ComputeOptions
from vaetool.errors import UsageError
from vaetool.store.headers import KIND_MODULES

RECIPE = "Recipe"

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND] DATA",
        help=f"The kind of model ({', '.join(KIND_MODULES)}), unless the recipe names it; then folders of images, "
        "zip files of them, or torchvision:NAME.",
        show_default=False,
    ),
]
ModelFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="MODEL", help="The model file to write, *.safetensors.", show_default=False),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE.toml", help="The recipe; options win over it.", rich_help_panel=RECIPE),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes",
        metavar="M",
        help="Stop after so many minutes; the learning rate follows the time that has passed.",
        show_default="30, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        metavar="E",
        help="Stop after so many passes: a pass has as many crops as there are images.",
        rich_help_panel=RECIPE,
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="A recipe that comes with the kind: lecture-2d or lecture-faces, of ae and vae.",
        show_default=False,
        rich_help_panel=RECIPE,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        "--size",
        metavar="PIXELS",
        help="Of pictures, height and width, 16 to 256: the middle square of each, resized (ae, vae). "
        "Or of the longer side: larger pictures are shrunk to it (defect).",
        show_default="64, 256 for defect, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Latent = Annotated[
    int | None,
    typer.Option(
        "--latent",
        metavar="D",
        help="Numbers in the code of a picture (ae, vae).",
        show_default="64, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Beta = Annotated[
    float | None,
    typer.Option(
        "--beta",
        metavar="B",
        help="Weight of the KL: below 1 sharper reconstructions, above 1 plainer codes (vae).",
        show_default="1, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Upsample = Annotated[
    str | None,
    typer.Option(
        "--upsample",
        metavar="resize|transpose|shuffle",
        help="How decoders double the resolution; transposed convolutions leave checkerboards (ae, vae).",
        show_default="resize, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Corruption = Annotated[
    str | None,
    typer.Option(
        "--corruption",
        metavar="noise|defects",
        help="What a dae learns to take away; with defects, drawn on good pictures, it finds real ones (defect).",
        show_default="noise, or the recipe's",
        rich_help_panel=RECIPE,
    ),
]
Patch = Annotated[
    int | None,
    typer.Option(
        "--patch",
        metavar="PIXELS",
        help="Hide square patches of this side, as a masked autoencoder does, not strokes, boxes, scratches and text "
        "(mae).",
        show_default=False,
        rich_help_panel=RECIPE,
    ),
]
Ratio = Annotated[
    float | None,
    typer.Option(
        "--ratio",
        metavar="R",
        help="Share of the patches that are hidden, above 0 and below 1 (mae, with --patch).",
        show_default="0.75",
        rich_help_panel=RECIPE,
    ),
]
Adversarial = Annotated[
    bool,
    typer.Option(
        "--adversarial",
        help="Sharper pictures, less like each original: against a discriminator from half of the run on (mae, vae).",
        rich_help_panel=RECIPE,
    ),
]
Init = Annotated[
    str | None,
    typer.Option("--init", metavar="NAME|PATH", help="Begin with the weights of this model.", rich_help_panel=RECIPE),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        help="Change one entry of the recipe; repeatable, wins over everything else.",
        show_default=False,
        rich_help_panel=RECIPE,
    ),
]
Root = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where torchvision's data sets are.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run to the same model that was stopped.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a model that exists.")]
TensorBoard = Annotated[
    Path | None, typer.Option("--tensorboard", metavar="FOLDER", help="Write TensorBoard's event files there, too.")
]


@with_options
def train(
    words: Words = None,
    output: ModelFile = None,
    config: Config = None,
    minutes: Minutes = None,
    epochs: Epochs = None,
    preset: Preset = None,
    size: Size = None,
    latent: Latent = None,
    beta: Beta = None,
    upsample: Upsample = None,
    corruption: Corruption = None,
    patch: Patch = None,
    ratio: Ratio = None,
    adversarial: Adversarial = False,
    init: Init = None,
    settings: Settings = None,
    resume: Resume = False,
    force: Force = False,
    root: Root = Path(),
    tensorboard: TensorBoard = None,
    *,
    run: ComputeOptions,
) -> int:
    """Train a model on your own images.

    vaetool train dae photos/ -o mine.safetensors --minutes 60
    vaetool train dae photos/ -o mine.safetensors --minutes 60 --resume       goes on after Ctrl-C or a power cut
    vaetool train vae faces/ -o faces.safetensors --size 64 --latent 128 --minutes 60
    vaetool train dae good/ -o parts.safetensors --corruption defects         finds what good parts do not have
    vaetool train mae photos/ -o mine.safetensors --minutes 60                fills holes in pictures
    vaetool train ae drawings/ -o drawings.safetensors --preset lecture-2d
    vaetool train --config recipe.toml photos.zip -o mine.safetensors
    vaetool train dae photos/ -o mine.safetensors --set model.widths=[16,32,64] --set training.lr=0.002

    Some images are held out and never trained on: the figures are measured on them, and the weights that were best are
    kept, or the last ones with --adversarial. Beside the model, NAME.training.csv and NAME.training.png show how it
    went, and NAME.latent.png what codes there are.
    `torchrun --nproc-per-node 4 -m vaetool train ...` spreads a run over several processes or GPUs.
    """
    kind, places = kind_and_places(words or [])
    if output is None:
        raise UsageError("where to? Name the model file with -o")
    if kind is None and config is None:
        raise UsageError(f"which kind of model? {' or '.join(KIND_MODULES)}, or a recipe with --config")

    from vaetool import train as fit
    from vaetool.training.checkpoints import check_output
    from vaetool.training.distributed import is_first_process
    from vaetool.training.report import Reporter

    path = check_output(output)
    speaks = is_first_process()
    reporter = Reporter(run.console.screen if speaks and not run.quiet else None, tensorboard=tensorboard)
    result = fit(
        kind,
        places,
        output=path,
        config=config,
        minutes=minutes,
        epochs=epochs,
        preset=preset,
        size=size,
        latent=latent,
        beta=beta,
        upsample=upsample,
        corruption=corruption,
        patch=patch,
        ratio=ratio,
        adversarial=adversarial,
        init=init,
        resume=resume,
        force=force,
        settings=settings or (),
        root=root,
        device=run.device,
        reporter=reporter,
    )
    if speaks:
        run.console.say(f"wrote {result.path}")
        if run.json:
            run.console.record(asdict(result))
    return 0


def kind_and_places(words: list[str]) -> tuple[str | None, list[str]]:
    """The first word is the kind if it is the name of one, whatever lies in the current folder; a folder of that name
    is written `./dae`. All other words are places of images.

    >>> kind_and_places(["dae", "photos/"]), kind_and_places(["./dae"])
    (('dae', ['photos/']), (None, ['./dae']))
    """
    if words and words[0] in KIND_MODULES:
        return words[0], words[1:]
    return None, words
