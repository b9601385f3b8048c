"""A command does what the library does: where both have a parameter, both have the same default."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vaetool
from vaetool import demo
from vaetool.cli import COMMANDS
from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress_picture
from vaetool.denoising.cleaning import Cleaning
from vaetool.denoising.dae import DAE
from vaetool.images import MAX_PIXELS
from vaetool.images.animation import encode_frames
from vaetool.images.comparison import Pair
from vaetool.images.formats import WRITABLE
from vaetool.images.jpeg import FINE
from vaetool.inpainting.task import Holes, inpaint_picture
from vaetool.latents.explore import explore
from vaetool.latents.morph import find_direction, morph, morph_along
from vaetool.latents.sample import draw, sample
from vaetool.latents.translate import translate_picture
from vaetool.scoring import detection

LIBRARY: dict[str, tuple[Callable[..., Any], ...]] = {
    "denoise": (DAE.denoise, Cleaning, vaetool.denoise),
    "compress": (vaetool.compress, compress_picture),
    "decompress": (vaetool.decompress, decompress_picture),
    "inpaint": (Holes, inpaint_picture, vaetool.inpaint),
    "sample": (draw, sample, vaetool.sample),
    "morph": (morph, morph_along, find_direction, encode_frames, vaetool.morph),
    "latent": (explore, vaetool.latent),
    "score": (detection.score, vaetool.score),
    "compare": (vaetool.compare, Pair.difference),
    "train": (vaetool.train,),
    "export": (vaetool.export,),
    "translate": (translate_picture, vaetool.translate),
    "demo": (demo.run,),
    "info": (),  # reads headers: no parameters
    "models": (),  # the same
    "ui": (),  # a page has no function of its name
}

# What the command line has in another form: the first words, pictures by their names, the screen, a target by its
# parts, a codec by its name, a span and a limit that other tests are about, whether figures are to be seen, and drafts,
# which Pillow asks for.
NOT_OPTIONS = {
    "kind",
    "data",
    "images",
    "reporter",
    "warn",
    "target",
    "codec",
    "alpha",
    "max_pixels",
    "maps",
    "measure",
    "reduction",
}

BY_NAME = {command.__name__: command for command in COMMANDS}


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameters that have a default, and it; an option that was not given is None, as is an empty list of them."""
    parameters = inspect.signature(function).parameters.values()
    return {item.name: plain(item.default) for item in parameters if item.default is not inspect.Parameter.empty}


def plain(value: Any) -> Any:
    if value == ():
        return None
    return str(value) if isinstance(value, Path) else value


def test_every_command_is_compared():
    assert BY_NAME.keys() == LIBRARY.keys()


@pytest.mark.parametrize(
    ("name", "function"), [(name, function) for name, functions in LIBRARY.items() for function in functions]
)
def test_a_command_has_the_parameters_and_defaults_of_its_function(name, function):
    wanted = {key: value for key, value in defaults(function).items() if key not in NOT_OPTIONS}
    command = defaults(BY_NAME[name])
    assert {key: command.get(key, "missing") for key in wanted} == wanted


def test_the_limit_of_pixels_that_help_tells_is_that_of_the_library(vaetool):
    (told,) = re.findall(r"default: \(?(\d+) million", " ".join(vaetool("denoise", "--help").stdout.split()))
    assert int(told) * 10**6 == MAX_PIXELS


@pytest.mark.parametrize("command", ["denoise", "inpaint", "decompress", "translate"])
def test_the_qualities_that_help_tells_are_those_of_the_library(vaetool, command):
    page = " ".join(vaetool(command, "--help", env={"COLUMNS": "300"}).stdout.split())
    (told,) = re.findall(r"JPEG (\d+), or as before .* at least (\d+)\); WebP lossless; AVIF (\d+)", page)
    assert tuple(map(int, told)) == (WRITABLE["JPEG"].quality, FINE, WRITABLE["AVIF"].quality)
