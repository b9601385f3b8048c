"""Entries of recipes that are also flags of their own, for `vaetool.train` and on the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUDGETS = ("minutes", "epochs", "steps")


@dataclass(frozen=True)
class Flag:
    """An entry of a recipe: its section and key, its type, and its help text.

    value: the value set by a flag without an argument.
    """

    section: str
    key: str
    type: type[Any]
    metavar: str
    help: str
    default: str | bool = False  # as help shows it
    value: float | None = None


FLAGS = {
    "minutes": Flag(
        "training",
        "minutes",
        float,
        "M",
        "Stop after this many minutes; the learning rate follows the elapsed time.",
        "30, or the recipe's",
    ),
    "epochs": Flag(
        "training", "epochs", float, "E", "Stop after this many passes: a pass has as many crops as there are images."
    ),
    "size": Flag(
        "model",
        "size",
        int,
        "PIXELS",
        "Height and width of pictures, 16 to 256: the central square of each is resized to it (ae, vae, gan, "
        "mmvae). "
        "Or length of the longer side: larger pictures are shrunk to it (defect).",
        "64, 256 for defect, or the recipe's",
    ),
    "latent": Flag(
        "model", "latent", int, "D", "Numbers in the code of a picture (ae, vae, gan, mmvae).", "64, or the recipe's"
    ),
    "beta": Flag(
        "objective",
        "beta",
        float,
        "B",
        "Weight of the KL: below 1 for sharper reconstructions, above 1 for simpler codes (vae, mmvae).",
        "1, or the recipe's",
    ),
    "upsample": Flag(
        "model",
        "upsample",
        str,
        "resize|transpose|shuffle",
        "How decoders double the resolution; transposed convolutions leave checkerboards (ae, vae, gan, mmvae).",
        "resize, or the recipe's",
    ),
    "patch": Flag(
        "corruption",
        "patch",
        int,
        "PIXELS",
        "Hide square patches of this side, as a masked autoencoder does, instead of strokes, boxes, scratches and text "
        "(mae).",
    ),
    "ratio": Flag(
        "corruption",
        "ratio",
        float,
        "R",
        "Share of hidden patches, above 0 and below 1 (mae, with --patch).",
        "0.75",
    ),
    "noisy_only": Flag(
        "corruption",
        "noisy_only",
        bool,
        "",
        "There are no clean images: learn what noise these have, and to remove it (dae, with --init).",
        value=True,
    ),
    "pairs": Flag(
        "data",
        "pairs",
        bool,
        "",
        "Learn from pairs: DATA are two folders with pictures of the same names, first noisy ones, then clean ones, or "
        "second exposures as noisy as the first (dae).",
        value=True,
    ),
    "labels": Flag(
        "data",
        "labels",
        str,
        "FILE.csv",
        "A table of labels, with the columns path and label, as another modality (mmvae).",
    ),
    "adversarial": Flag(
        "training",
        "adversarial",
        bool,
        "",
        "Use a discriminator in the second half of the run: sharper pictures, less like each original (mae, vae).",
        value=0.5,
    ),
}


def sections_of(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entries of a recipe that flags set, by section; flags that are None or False are left out.

    A budget among them replaces all others. Raises TypeError for a name that is not a flag.

    >>> sections_of({"beta": 4.0, "minutes": 5, "latent": None})
    {'training': {'minutes': 5, 'epochs': 0, 'steps': 0}, 'objective': {'beta': 4.0}}
    """
    unknown = flags.keys() - FLAGS.keys()
    if unknown:
        raise TypeError(f"train() has no {', '.join(sorted(unknown))}; there are: {', '.join(FLAGS)}")
    given = {name: value for name, value in flags.items() if value is not None and value is not False}
    sections: dict[str, dict[str, Any]] = {}
    if given.keys() & set(BUDGETS):
        sections["training"] = dict.fromkeys(BUDGETS, 0)
    for name, value in given.items():
        flag = FLAGS[name]
        sections.setdefault(flag.section, {})[flag.key] = value if flag.value is None else flag.value
    return sections
