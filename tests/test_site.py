"""The site of the documentation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from vaetool.cli import app

ROOT = Path(__file__).resolve().parent.parent


class Headings(HTMLParser):
    """Collects the ids of headings."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if re.fullmatch("h[1-6]", tag):
            self.ids += [value for name, value in attributes if name == "id" and value]


def headings(page: Path) -> list[str]:
    parser = Headings()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser.ids


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site, built strictly: a link that leads nowhere is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", folder]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_the_site_is_built_without_a_warning_and_begins_with_the_readme(site):
    assert "install" in headings(site / "index.html")


def test_every_command_has_its_help_page_in_the_site(site):
    names = [f"vaetool-{command.callback.__name__}" for command in app.registered_commands]
    assert headings(site / "commands/index.html") == ["commands", *names]


def test_the_site_loads_nothing_from_elsewhere(site):
    pattern = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//', re.IGNORECASE)
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [page for page in pages if pattern.search(page.read_text(encoding="utf-8"))] == []


def test_lines_of_the_documentation_are_no_longer_than_those_of_the_code():
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text(encoding="utf-8"))
        assert re.findall(r"(?m)^(?! *[|!]).{121,}", text) == [], page
