"""`vaetool sample`: new pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vaetool.cli.groups import between, with_options
from vaetool.cli.options import FILES, ComputeOptions, Force, ModelName, Seed
from vaetool.cli.plans import model_files
from vaetool.files.outputs import check_results, is_folder, refuse_inputs
from vaetool.store.headers import SUFFIX

CODES = "Codes"

Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|FOLDER|-",
        help="A picture with a grid of all samples, or a folder with a file for each; - is a grid on standard output.",
        show_default="MODEL.samples.png",
        rich_help_panel=FILES,
    ),
]
Count = Annotated[
    int, typer.Option("-n", "--count", metavar="N", parser=between(1, 1_000_000, int), help="How many pictures.")
]
Grid = Annotated[
    bool, typer.Option("--grid", help="Write one grid, also into a folder, as grid.png.", rich_help_panel=FILES)
]
Temperature = Annotated[
    float,
    typer.Option(
        "--temperature",
        metavar="T",
        parser=between(0, 10),
        help="Below 1 for more typical pictures, above 1 for stranger ones.",
        rich_help_panel=CODES,
    ),
]
PriorName = Annotated[
    str,
    typer.Option(
        "--prior",
        metavar="auto|normal|gmm",
        help="Density to draw codes from: N(0, I), or the Gaussian mixture fitted to the model's codes; auto takes "
        "the one under which held-out codes are likelier.",
        rich_help_panel=CODES,
    ),
]
Latents = Annotated[
    Path | None,
    typer.Option(
        "--latents",
        metavar="FILE.npy|.csv",
        help="Decode all codes in this file instead of drawing new ones.",
        rich_help_panel=CODES,
    ),
]


@with_options
def sample(
    output: Output = None,
    model: ModelName = "fashion-gan",
    count: Count = 64,
    grid: Grid = False,
    temperature: Temperature = 1.0,
    prior: PriorName = "auto",
    latents: Latents = None,
    seed: Seed = 0,
    force: Force = False,
    *,
    run: ComputeOptions,
) -> None:
    """Make new pictures.

    vaetool sample                                a grid of 64, fashion-gan.samples.png
    vaetool sample -m faces -n 9 -o new/          nine files
    vaetool sample --temperature 0.7 --seed 5 -o usual.png
    vaetool sample -n 1 -o - > one.png            in a pipe
    vaetool sample -m pair.safetensors -o new/    pairs, with a folder for each modality

    Prints the density that codes are drawn from, and how likely held-out codes are under it.
    """
    if output is None:
        output = f"{Path(model).name.removesuffix(SUFFIX)}.samples.png"
    if output == "-":
        run.console.check_result_to_stdout()

    from vaetool.images import format_for

    folder = is_folder(output, without_suffix=True)
    format_name = format_for(output) if Path(output).suffix and not folder else "PNG"

    from vaetool import load
    from vaetool.files.writing import write_atomically
    from vaetool.images import Picture, encode
    from vaetool.images.modalities import LABEL
    from vaetool.latents.sample import draw, label_table, pictures_of, sheet
    from vaetool.store.kinds import kinds_with_modalities, kinds_with_pictures

    autoencoder = load(model, kind=kinds_with_pictures() + kinds_with_modalities(), device=run.device)
    drawn = draw(autoencoder, count, temperature=temperature, prior=prior, latents=latents, seed=seed)
    apart = folder and not grid
    modalities = [name for name in autoencoder.modalities if name != LABEL] if apart else []
    paths = _paths(output, len(drawn.codes) if apart else None, modalities)
    table = Path(output) / "labels.csv" if apart and LABEL in autoencoder.modalities else None
    check_results([] if output == "-" else [*paths, *filter(None, [table])], force=force)
    refuse_inputs(paths, (*model_files(model), latents))
    run.console.say(drawn.words)
    if drawn.warning is not None:
        run.console.warn(drawn.warning)
    pictures = pictures_of(autoencoder, drawn.codes, apart=apart)
    pictures = pictures if apart else iter([sheet(pictures)])
    files = (encode(Picture(pixels), format_name) for pixels in pictures)
    if output == "-":
        run.console.binary(next(files))
        return
    facts = {"temperature": temperature, "seed": seed, "pictures": 1 if apart else len(drawn.codes)}
    _write_all(paths, files, {"prior": drawn.prior, **facts}, run, force=force)
    if table is not None:
        write_atomically(table, label_table(autoencoder, drawn.codes, paths), replace=force)
    run.console.say(f"wrote {paths[0]}" if len(paths) == 1 else f"wrote {len(paths)} pictures to {output}")


def _write_all(
    paths: list[Path], files: Iterable[bytes], facts: dict[str, Any], run: ComputeOptions, *, force: bool
) -> None:
    """Write files as they are made, each with a record of the facts."""
    from vaetool.files.writing import write_atomically

    with run.console.progress(len(paths)) as advance:
        for path, data in zip(paths, files, strict=True):
            write_atomically(path, data, replace=force)
            if run.json:
                run.console.record({"path": path, **facts, "out_bytes": len(data)})
            advance()


def _paths(output: str, files: int | None, modalities: Sequence[str]) -> list[Path]:
    """Return the paths of the results: `files` of them in a folder or, if None, one file for the grid.

    modalities: names of folders inside that folder, each of which gets that many.
    """
    if files is not None:
        digits = max(4, len(str(files)))
        names = [f"sample-{number:0{digits}}.png" for number in range(1, files + 1)]
        return [Path(output, *part, name) for name in names for part in ([[each] for each in modalities] or [[]])]
    return [Path(output) / "grid.png" if is_folder(output, without_suffix=True) else Path(output)]
