"""Which file belongs to which: `vaetool.files.pairs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.files.helpers import touch
from vaetool.errors import UsageError
from vaetool.files.inputs import IMAGES, Stream
from vaetool.files.pairs import pair


def paired(first: str, second: str, **options) -> dict[str, str]:
    """What belongs to which, and what is wrong with the others."""
    found = pair(first, second, IMAGES, **options)
    partners = {str(source): str(partner) for source, partner in found.partners.items()}
    alone = {str(entry.source): entry.problem for entry in [*found.inputs.entries, *found.alone] if entry.problem}
    return partners | alone


def test_two_files_are_a_pair_whatever_their_names(here):
    assert paired("a.png", "x/b.jpg") == {"a.png": "x/b.jpg"}
    assert not pair("a.png", "b.jpg", IMAGES).inputs.many


def test_the_first_file_can_be_standard_input_but_not_the_second(here):
    assert pair("-", "b.png", IMAGES).partners == {Stream.STANDARD: Path("b.png")}
    with pytest.raises(UsageError, match="only the first of two files can be standard input"):
        pair("a.png", "-", IMAGES)


def test_files_of_folders_belong_together_by_path_without_suffix(here):
    touch("out/a.jpg", "out/v1.2.png", "out/deep/c.png", "ref/a.png", "ref/v1.2.webp", "ref/deep/c.tif")
    assert paired("out", "ref") == {"out/a.jpg": "ref/a.png", "out/v1.2.png": "ref/v1.2.webp"}
    assert paired("out", "ref", recursive=True)["out/deep/c.png"] == "ref/deep/c.tif"
    assert pair("out", "ref", IMAGES).inputs.many


def test_what_has_no_partner_on_either_side_has_that_as_its_problem(here):
    touch("out/a.png", "out/more.png", "out/c/d.png", "ref/a.png", "ref/less.png", "ref/d.png")
    assert paired("out", "ref", recursive=True) == {
        "out/a.png": "ref/a.png",
        "out/more.png": "has no partner in ref",
        "out/c/d.png": "has no partner in ref",
        "ref/less.png": "has no partner in out",
        "ref/d.png": "has no partner in out",
    }


def test_several_of_one_name_have_the_same_partner(here):
    touch("out/a.jpg", "out/a.webp", "ref/a.png")
    assert paired("out", "ref") == {"out/a.jpg": "ref/a.png", "out/a.webp": "ref/a.png"}


def test_of_several_partners_the_one_with_the_same_suffix_is_taken(here):
    touch("out/a.JPG", "out/b.webp", "ref/a.jpg", "ref/a.png", "ref/b.jpg", "ref/b.png")
    assert paired("out", "ref") == {
        "out/a.JPG": "ref/a.jpg",
        "ref/a.png": "has no partner in out",
        "out/b.webp": "has several partners in ref: b.jpg and b.png",
    }


def test_a_folder_that_is_left_out_is_not_searched(here):
    touch("out/a.png", "out/maps/a.png", "ref/a.png")
    assert paired("out", "ref", recursive=True, leave_out=[Path("out/maps")]) == {"out/a.png": "ref/a.png"}


def test_a_file_and_a_folder_are_no_pair(here):
    touch("out/a.png", "a.png")
    for first, second in (("out", "a.png"), ("a.png", "out"), ("gone", "out")):
        with pytest.raises(UsageError, match=r"out is a folder and .* is not: name two files or two folders"):
            pair(first, second, IMAGES)


def test_a_folder_without_a_file_of_the_kind_is_a_usage_error(here):
    touch("out/a.png", "ref/deep/a.png")
    with pytest.raises(UsageError, match="no images in ref; -r looks into sub-folders"):
        pair("out", "ref", IMAGES)
