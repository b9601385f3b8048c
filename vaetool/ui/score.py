"""The tab Score: `vaetool score NEW --good GOOD` for pictures dropped on the page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vaetool.errors import UsageError
from vaetool.images import read
from vaetool.images.conversion import shrunk
from vaetool.images.picture import rescale
from vaetool.images.sources import Contents
from vaetool.progress import tracked
from vaetool.scoring import detection
from vaetool.scoring.calibration import Level, calibration_of, drift
from vaetool.scoring.doubts import doubts, fitted_to
from vaetool.scoring.heatmaps import overlay, resized
from vaetool.scoring.report import thumbnail
from vaetool.training.cache import fit
from vaetool.ui.session import Item, Session
from vaetool.ui.views import as_address

Role = Literal["good", "new"]

SHOWN = 128  # pixels on the longer side of a picture in the table
MODEL = "good.safetensors"


@dataclass(frozen=True)
class Clear:
    """A request to forget all good pictures, or all new ones."""

    role: Role


@dataclass(frozen=True)
class Judge:
    """A request to score the new pictures. alpha: as for the command."""

    alpha: float | None = None


def add(session: Session, data: bytes, name: str, role: Role) -> dict[str, Any]:
    """Add a picture to the good or to the new ones. The answer has their number, and the picture's `thumbnail`."""
    picture = session.read(data, name).picture
    files = _files(session, role)
    folder = _folder(session, role)
    folder.mkdir(exist_ok=True)
    safe = re.sub(r"[^\w. -]", "_", Path(name).name).lstrip(".") or "picture"
    (folder / f"{len(files):05} {safe}").write_bytes(data)
    if role == "good":
        _forget_model(session)
    return {"count": len(files) + 1, "thumbnail": as_address(thumbnail(picture.pixels, square=False), "webp")}


def clear(session: Session, request: Clear) -> dict[str, Any]:
    """Forget the pictures of one kind."""
    for path in _files(session, request.role):
        path.unlink()
    if request.role == "good":
        _forget_model(session)
    return {"count": 0}


def judge(session: Session, request: Judge) -> dict[str, Any]:
    """Score the new pictures by a model of features of the good ones, fitted again if those have changed.

    The answer has `rows`, the most unusual first: `name`, `score`, `p_value`, `outlier`, the picture as a `thumbnail`
    and its map as `heat`; the key of the `model`; the `promise` of the level, and `doubts` about it.
    """
    if request.alpha is not None and not 0 < request.alpha < 1:
        raise UsageError(f"alpha must be between 0 and 1, not {request.alpha:g}")
    new = _files(session, "new")
    if not _files(session, "good"):
        raise UsageError("what is good? Add good pictures")
    if not new:
        raise UsageError("what is to be judged? Add new pictures")
    with session.working():
        path = session.folder / MODEL
        if not path.exists():
            words = "fitting a model to the good pictures"
            session.say(words)
            fit("features", _folder(session, "good"), path, device=session.device, say=lambda _: session.say(words))
        scorer = session.model(str(path), "features")
        by, calibration = calibration_of(scorer, None)
        level = Level(request.alpha, None, calibration.count(by))
        pictures = (read(file, max_pixels=session.max_pixels) for file in tracked(new, "scoring"))
        scores = list(detection.score(scorer, pictures, alpha=level.alpha, maps=True))
        rows = [_row(session, file, score) for file, score in zip(new, scores, strict=True)]
    rows.sort(key=lambda row: -row["score"])
    good = Contents(_folder(session, "good"))
    found = drift(np.array([score.p_value for score in scores])), fitted_to(sum(file in good for file in new), len(new))
    return {
        "rows": rows,
        "model": session.keep(Item(MODEL, path.read_bytes())),
        "promise": level.words(calibration, by),
        "doubts": [*doubts(scorer, calibration, by, level), *filter(None, found)],
    }


def _row(session: Session, file: Path, score: detection.Score) -> dict[str, Any]:
    pixels = shrunk(read(file, max_pixels=session.max_pixels).visible_pixels(), SHOWN, 3)
    assert score.heat is not None
    heat = overlay(rescale(pixels, np.uint8), resized(score.heat, *pixels.shape[:2]))
    return {
        "name": file.name.partition(" ")[2],
        "score": score.score,
        "p_value": score.p_value,
        "outlier": score.outlier,
        "thumbnail": as_address(thumbnail(pixels, square=False), "webp"),
        "heat": as_address(thumbnail(heat, square=False), "webp"),
    }


def _folder(session: Session, role: Role) -> Path:
    return session.folder / role


def _files(session: Session, role: Role) -> list[Path]:
    folder = _folder(session, role)
    return sorted(folder.iterdir()) if folder.exists() else []


def _forget_model(session: Session) -> None:
    (session.folder / MODEL).unlink(missing_ok=True)
    session.forget(str(session.folder / MODEL))
