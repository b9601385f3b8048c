"""What the documentation site takes from elsewhere in the repository, when mkdocs builds it.

The README is its front page; the pages of commands and models are made from the commands and the cards. A link to a
file beside `docs/` becomes one to a copy in the site.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
BESIDE = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/*.json")
WIDTH = "100"  # of help pages, in characters


def on_files(files: Any, config: Any) -> Any:
    """Add the files that are not in `docs/`."""
    files.append(File.generated(config, "index.md", content=_read(ROOT / "README.md")))
    files.append(File.generated(config, "commands.md", content=commands()))
    files.append(File.generated(config, "models.md", content=models()))
    for path in (path for pattern in BESIDE for path in sorted(ROOT.glob(pattern))):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links lead to where files of the repository are in the site."""
    source = {"index.md": "README.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
    here = source.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(match: re.Match[str]) -> str:
        target = normpath(join(dirname(here), match[1]))
        return f"]({relpath(_in_site(target), dirname(_in_site(here)) or '.')}"

    return LINK.sub(moved, markdown)


def _in_site(path: str) -> str:
    return "index.md" if path == "README.md" else path.removeprefix("docs/")


def commands() -> str:
    """Return the page of all commands, their help pages as a terminal shows them."""
    names = re.findall(r"^│ ([a-z]+) ", _help(), re.MULTILINE)
    pages = "\n".join(f"## vaetool {name}\n\n```text\n{_help(name)}```\n" for name in names)
    return f"# Commands\n\n{pages}"


def _help(*command: str) -> str:
    words = [sys.executable, "-m", "vaetool", *command, "--help"]
    page = subprocess.run(words, cwd=ROOT, env={"COLUMNS": WIDTH, "PYTHONUTF8": "1"}, capture_output=True, check=True)
    return "\n".join(line.rstrip() for line in page.stdout.decode().strip().splitlines()) + "\n"


def models() -> str:
    """Return the page of the bundled models: their cards."""
    cards = (_read(path) for path in sorted((ROOT / "pretrained").glob("*.md")) if path.stem != "LOG")
    return "# Models\n\n" + "\n".join(re.sub(r"(?m)^#", "##", card) for card in cards)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
