"""Make a trained model file one that comes with the package; for maintainers, with the package installed.

    python pretrained/bundle.py photo-denoise-gaussian trained.safetensors \
        --summary "blind denoiser for white Gaussian noise, sigma 0..55" \
        --licence "Apache-2.0 (weights); trained on CC0, CC BY and CC BY-SA photographs" \
        --data photos-a photos-b photos-c --figure "CBSD68 PSNR, sigma 15=33.5"

Writes NAME.safetensors with the weights of its layers, and the covariances of a mixture, in half precision, or with
--eight-bits in half of that (in the large ones alone, at coarse levels, that costs a denoiser next to nothing; loading
makes them single precision again), and without the recipe, which is beside it as NAME.toml, and updates manifest.json.
Figures of weights that are replaced are kept in LOG.md. Rounding can cost a little: measure the bundled file, then run
this again with its figures.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from vaetool.errors import UsageError, VaetoolError, WeightsError
from vaetool.files.writing import write_atomically
from vaetool.store import weights
from vaetool.store.headers import SCALE

KEPT = ("images", "init", "steps", "seconds", "held_out", "codes")
"""What stays of the description of the training, beside the names of its data."""


def bundle(
    folder: Path,
    name: str,
    file: Path,
    *,
    summary: str,
    licence: str,
    data: Sequence[str],
    figures: dict[str, float],
    unreleased: bool = False,
    eight_bits: int | None = None,
) -> dict[str, Any]:
    """Write the weights and their entry in the manifest of `folder`; returns the entry.

    eight_bits: layers of so many weights or more have eight bits for each, instead of sixteen. unreleased: replace even
    a codec, with which the files that need it are lost.
    Raises UsageError for a name that is no plain file name or that of another codec, WeightsError for a damaged file,
    and for weights that half precision cannot hold.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise UsageError(f"{name!r}: a name is lower-case words, joined by hyphens")
    header = weights.read_header(file)
    model = weights.load(file, device="cpu")
    if header.kind == "codec" and (folder / f"{name}{weights.SUFFIX}").exists() and not unreleased:
        raise UsageError(
            f"{name}: files that were coded with it need it for ever; bundle other weights under a new name"
        )
    small: dict[str, Tensor] = {}
    for key, tensor in model.state_dict().items():
        of_layer = tensor.ndim >= 3 or (tensor.ndim == 2 and key.endswith(".weight"))
        if of_layer and eight_bits is not None and tensor.numel() >= eight_bits:
            small[key], small[key + SCALE] = weights.in_eight_bits(tensor)
        else:
            small[key] = tensor.half() if of_layer else tensor
    if not all(tensor.isfinite().all() for tensor in small.values()):
        raise WeightsError(f"{file}: some of its weights are too large for half precision")
    training = {key: header.training[key] for key in KEPT if key in header.training}
    target = folder / f"{name}{weights.SUFFIX}"
    weights.save(target, model, {"data": list(data), **training}, small)
    entry = {
        "file": target.name,
        "kind": header.kind,
        "sha256": weights.sha256(target),
        "bytes": target.stat().st_size,
        "licence": licence,
        "summary": summary,
        "data": list(data),
        "figures": figures,
    }
    if header.kind == "codec":
        entry["id"] = weights.load(target, device="cpu").identity.hex()  # of the halved weights: files name it
    _list(folder, name, entry)
    return entry


def _list(folder: Path, name: str, entry: dict[str, Any]) -> None:
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.exists() else {}
    old = entries.get(name)
    if old is not None and old["sha256"] != entry["sha256"]:
        figures = "; ".join(f"{figure} {value:g}" for figure, value in old["figures"].items()) or "no figures"
        with (folder / "LOG.md").open("a", encoding="utf-8") as log:
            log.write(f"- {name} {old['sha256'][:12]}: {figures}\n")
    entries[name] = entry
    text = json.dumps(dict(sorted(entries.items())), indent=2, ensure_ascii=False)
    write_atomically(manifest, f"{text}\n".encode())


def _figure(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    if not name:
        raise ValueError
    return name.strip(), float(value)


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the arguments, bundle, and say what was written."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", help="under which it will be loaded")
    parser.add_argument("file", type=Path, help="the trained model")
    parser.add_argument("--summary", required=True, help="what it does, in a line")
    parser.add_argument("--licence", required=True, help="of the weights, and of the images they were trained on")
    parser.add_argument("--data", nargs="+", required=True, metavar="NAME", help="what it was trained on")
    parser.add_argument("--figure", action="append", default=[], type=_figure, metavar="NAME=VALUE", help="as measured")
    parser.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent, help="of the bundled models")
    parser.add_argument(
        "--eight-bits",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="for the weights of all layers, or of those with N or more: half of the size",
    )
    parser.add_argument("--unreleased", action="store_true", help="replace a codec that no file of value needs yet")
    options = parser.parse_args(arguments)
    try:
        entry = bundle(
            options.folder,
            options.name,
            options.file,
            summary=options.summary,
            licence=options.licence,
            data=options.data,
            figures=dict(options.figure),
            unreleased=options.unreleased,
            eight_bits=options.eight_bits,
        )
    except VaetoolError as error:
        parser.error(str(error))
    print(f"{options.folder / entry['file']}: {entry['bytes']:,} bytes, sha256 {entry['sha256'][:12]}")  # noqa: T201


if __name__ == "__main__":
    main()
