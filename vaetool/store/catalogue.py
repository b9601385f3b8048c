"""Catalogue of the models in folders, by name, with facts about each. Needs neither torch nor numpy."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vaetool.errors import ModelNotFoundError, WeightsError
from vaetool.store.headers import SUFFIX, read_header

MANIFEST = "manifest.json"
STATE = ".state"
"""Ending of the name of a training run's state, which lies next to its model but is not one."""

ENVIRONMENT = "VAETOOL_MODELS"
PUBLISHED = ("summary", "licence", "data", "figures", "sha256", "id")
"""Facts that the manifest adds to those of a model file."""


def bundled_folder() -> Path:
    """Return the folder of the weights shipped with the package: inside it when installed, next to it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "pretrained"
    return inside if inside.is_dir() else package.parent / "pretrained"


def user_folder() -> Path:
    """Return the folder in which users' own models are found by name."""
    import platformdirs

    return Path(platformdirs.user_data_dir("vaetool", appauthor=False)) / "models"


def _places() -> list[tuple[str, Path]]:
    own = [Path(folder) for folder in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if folder]
    return [
        *((f"${ENVIRONMENT}", folder) for folder in own),
        ("user folder", user_folder()),
        ("bundled", bundled_folder()),
    ]


def search_folders() -> list[Path]:
    """Return the folders to look up a model's name in, first match wins: $VAETOOL_MODELS, the user's, the bundled."""
    return [folder for _, folder in _places()]


def where(path: Path) -> str:
    """Return the word for a model file's folder: `$VAETOOL_MODELS`, `user folder`, `bundled`, or `file`."""
    return next((word for word, folder in _places() if folder == path.parent), "file")


def manifest() -> dict[str, dict[str, Any]]:
    """Return the bundled models by name: file, kind, sha256, size in bytes, licence, training data, measured figures.

    Raises WeightsError if the list is damaged.
    """
    path = bundled_folder() / MANIFEST
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise WeightsError(f"{path}: not a list of models")
    return entries


def list_models() -> dict[str, Path]:
    """Return the files of all models that can be loaded by name."""
    found: dict[str, Path] = {}
    for folder in search_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            name = path.name.removesuffix(SUFFIX)
            if name and not name.endswith(STATE):
                found.setdefault(name, path)
    return found


def names_of(kinds: Collection[str]) -> list[str]:
    """Return the names of all models of some kinds."""
    found = []
    for name, path in list_models().items():
        with suppress(WeightsError):
            if read_header(path).kind in kinds:
                found.append(name)
    return sorted(found)


def find(name: str | os.PathLike[str]) -> Path:
    """Return the file of a model, given a path, or a name to look up in the search folders.

    Raises ModelNotFoundError, with similar names, and WeightsError for a folder.
    """
    path = Path(name)
    if path.is_file():
        return path
    models = list_models()
    name = os.fspath(name)
    if name in models:
        return models[name]
    if name and path.is_dir():
        raise WeightsError(f"{path}: a folder, not a model file")
    if name.endswith(SUFFIX) or path.name != name:
        raise ModelNotFoundError(f"no model file {name!r}")
    raise ModelNotFoundError(f"no model {name!r}: {_hint(name, models)}")


def _hint(name: str, models: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, models, n=3)
    return f"did you mean {' or '.join(close)}?" if close else "`vaetool models` lists all of them"


def describe(name: str | os.PathLike[str]) -> dict[str, Any]:
    """Return everything known about a model, as plain values, without torch.

    These are its name, `where` it was found, the facts of its header, for a bundled model those of the manifest, and
    the text of its model card, the `.md` file of the same name next to it, if there is one.
    Raises ModelNotFoundError, WeightsError.
    """
    path = find(name)
    title = path.name.removesuffix(SUFFIX)
    facts = {"name": title, "where": where(path), **read_header(path).facts()}
    if facts["where"] == "bundled":
        entry = manifest().get(title, {})
        facts |= {key: entry[key] for key in PUBLISHED if key in entry}
    card = path.with_suffix(".md")
    if card.is_file():
        facts["card"] = card.read_text(encoding="utf-8", errors="replace")
    return facts


def verify(names: Iterable[str] = ()) -> dict[Path, str | None]:
    """Return the problem of each bundled file (None: no problem); names: models to check, by default all.

    A model is intact if its weights are exactly the bytes listed in the manifest, with recipe and card next to them.
    Checking all also finds weights and cards that are not listed.
    Raises ModelNotFoundError for a name that is not in the manifest, WeightsError if that cannot be read.
    """
    entries = manifest()
    names = list(names)
    for name in names:
        if name not in entries:
            raise ModelNotFoundError(f"no bundled model {name!r}: {_hint(name, entries)}")
    folder = bundled_folder()
    found: dict[Path, str | None] = {}
    for name in names or entries:
        found[folder / f"{name}{SUFFIX}"] = _problem(folder / f"{name}{SUFFIX}", entries[name])
        for path in (folder / f"{name}.toml", folder / f"{name}.md"):
            found[path] = None if path.is_file() else "missing"
    if not names:
        log = folder / "LOG.md"
        unlisted = [path for end in (SUFFIX, ".md") for path in sorted(folder.glob(f"*{end}")) if path not in found]
        found |= {path: f"not listed in {MANIFEST}" for path in unlisted if path != log}
    return found


def _problem(path: Path, entry: Mapping[str, Any]) -> str | None:
    if entry.get("file") != path.name:
        return f"listed in {MANIFEST} as {entry.get('file')!r}"
    if not path.is_file():
        return "missing"
    if path.stat().st_size != entry.get("bytes"):
        return f"has {path.stat().st_size} bytes, {entry.get('bytes')} are listed"
    if sha256(path) != entry.get("sha256"):
        return "changed: its SHA-256 is not the one listed"
    try:
        kind = read_header(path).kind
    except WeightsError as error:
        return str(error).removeprefix(f"{path}: ")
    return None if kind == entry.get("kind") else f"is a {kind}, listed as a {entry.get('kind')}"


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
