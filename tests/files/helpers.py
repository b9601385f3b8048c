"""Files to begin with, and short ways to ask what becomes of them."""

from __future__ import annotations

from pathlib import Path

from vaetool.files.inputs import expand
from vaetool.files.planning import Naming, plan

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
DENOISED = Naming(".denoised")


def touch(*names: str, data: bytes = PNG) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def sources(*arguments: str, **options) -> list[str]:
    return [str(entry.source) for entry in expand(arguments, **options).entries]


def planned(*arguments: str, output: str | None = None, naming: Naming = DENOISED, **options) -> dict[str, str]:
    return {str(job.source): str(job.output) for job in plan(expand(arguments), output, naming, **options)}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
