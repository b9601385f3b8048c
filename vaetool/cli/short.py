"""The short help page of a command, which fits one screen: `-h`. The whole page is `--help`."""

from __future__ import annotations

import inspect
import re
import textwrap
from typing import Any

WIDTH = 80
GAP = 2

OFTEN_USED = {
    "denoise": ("--output", "--recursive", "--strength", "--grain", "--sigma", "--model", "--force"),
    "compress": ("--output", "--recursive", "--quality", "--bpp", "--target-size", "--lossless", "--max-error"),
    "decompress": ("--output", "--recursive", "--format", "--salvage", "--force"),
    "inpaint": ("--output", "--mask", "--box", "--color", "--alpha", "--fuzz", "--dilate", "--force"),
    "sample": ("--output", "--model", "--count", "--seed", "--temperature", "--force"),
    "morph": ("--output", "--model", "--frames", "--size", "--direction", "--force"),
    "latent": ("--output", "--format", "--tsne", "--html", "--root", "--force"),
    "score": (
        "--good",
        "--model",
        "--bad",
        "--alpha",
        "--heatmap",
        "--report",
        "--sort",
        "--fail-on-outlier",
        "--json",
    ),
    "compare": ("--difference", "--gain", "--recursive", "--json"),
    "train": ("--output", "--minutes", "--init", "--preset", "--size", "--set", "--resume", "--force"),
    "translate": ("--output", "--model", "--to", "--from", "--uncertainty", "--json", "--force"),
    "export": ("--output", "--part", "--force"),
    "ui": ("--port", "--no-browser"),
    "demo": ("--force", "--device"),
    "info": ("--json",),
    "models": ("--json",),
}
"""The most needed options of each command, in the order in which they are shown."""


def short_page(command: Any, path: str) -> str:
    """Return the purpose, examples and most used options of a command, in lines of at most `WIDTH` characters.

    path: the command as typed, such as `vaetool denoise`.
    """
    paragraphs = inspect.cleandoc(command.callback.__doc__ or "").split("\n\n")
    by_flag = {flag: option for option in command.params for flag in option.opts}
    options = [by_flag[flag] for flag in OFTEN_USED[command.name]]
    usages = [_usage(option, flag) for option, flag in zip(options, OFTEN_USED[command.name], strict=True)]
    indent = max(map(len, usages)) + GAP
    lines = [f"{usage:<{indent}}{_gist(option, WIDTH - indent)}" for usage, option in zip(usages, options, strict=True)]
    return "\n\n".join([*paragraphs[:2], "\n".join(lines), f"All options, and more about them: {path} --help"])


def _usage(option: Any, flag: str) -> str:
    short = [f"{other}, " for other in option.opts if len(other) == 2]
    return f"{''.join(short)}{flag} {option.metavar or ''}".rstrip()


def _gist(option: Any, width: int) -> str:
    """Return the first clause of an option's help text, cut to the width."""
    said = " ".join((option.help or "").split())
    return textwrap.shorten(re.split(r"[;:.] |\.$", said)[0], width, placeholder=" ...")
