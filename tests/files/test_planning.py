"""Where results go, and what is refused before any work: `vaetool.files.planning`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.files.helpers import DENOISED, JPEG, planned, sources, touch
from vaetool.errors import UsageError
from vaetool.files.inputs import Entry, Inputs, Stream, expand
from vaetool.files.planning import Job, Naming, _real_folder, plan, plan_copies
from vaetool.files.shards import Shard

# Where results go


def test_a_result_goes_beside_its_input_with_a_suffix(here):
    touch("f/photo.v2.PNG")
    assert planned("f/photo.v2.PNG") == {"f/photo.v2.PNG": "f/photo.v2.denoised.PNG"}


def test_the_extension_follows_the_content_where_the_name_is_wrong(here):
    touch("really_jpeg.png", "fine.jpeg", data=JPEG)
    touch("animation.gif", data=b"GIF89a")
    touch("no_extension")
    assert list(planned("really_jpeg.png", "fine.jpeg", "animation.gif", "no_extension").values()) == [
        "really_jpeg.denoised.jpg",
        "fine.denoised.jpeg",
        "animation.denoised.png",
        "no_extension.denoised.png",
    ]


def test_one_file_to_a_file(here):
    touch("a.png")
    assert planned("a.png", output="b.webp") == {"a.png": "b.webp"}


def test_sub_folders_are_mirrored(here):
    touch("f/a.png", "f/sub/a.png")
    jobs = plan(expand(["f"], recursive=True), "out", DENOISED)
    assert [str(job.output) for job in jobs] == ["out/a.png", "out/sub/a.png"]


@pytest.mark.parametrize(("output", "result"), [(None, "empty.denoised.png"), ("out/", "out/empty.png")])
def test_what_fails_has_no_result_to_be_in_the_way_of_another(here, output, result):
    touch("empty.png")
    Path("empty").mkdir()
    assert planned("empty.png", "empty", ".", output=output) == {"empty.png": result, "empty": "None"}
    Path("empty.png").rename("empty/a.png")
    assert planned("empty/a.png", ".", output=output)["."] == "None"


def test_several_inputs_into_one_file_are_refused(here):
    touch("a.png", "b.png", "out.png")
    with pytest.raises(UsageError, match="need a folder"):
        planned("a.png", "b.png", output="out.png")
    with pytest.raises(UsageError, match="one file"):
        planned("a.png", "b.png", output="-")


def test_standard_input_goes_to_standard_output_or_a_file_but_not_into_a_folder(here):
    for output, place in ((None, Stream.STANDARD), ("a.png", Path("a.png"))):
        [job] = plan(expand(["-"]), output, DENOISED)
        assert (job.source, job.output) == (Stream.STANDARD, place)
    with pytest.raises(UsageError, match="has no name"):
        plan(expand(["-"]), "folder/", DENOISED)


@pytest.mark.parametrize("arguments", [["a.png", "b.png"], ["f"]])
def test_several_inputs_make_no_folder_with_the_name_of_a_file(here, arguments):
    touch("a.png", "b.png", "f/a.png")
    with pytest.raises(UsageError, match=r"one\.png is a name for a file: several inputs need a folder, such as one/"):
        planned(*arguments, output="one.png")
    with pytest.raises(UsageError, match=r"several inputs \(mask\.png: no such file or folder\) need a folder"):
        planned(*arguments, "mask.png", output="one.png")  # as after an option that takes no value
    assert len(planned(*arguments, output="v1.2/")) == len(arguments)
    Path("v1.2").mkdir()
    assert len(planned(*arguments, output="v1.2")) == len(planned(*arguments, output="new")) == len(arguments)


def test_the_folders_of_inputs_are_mirrored_or_not(here):
    touch("f/a.png", "f/sub/b.png")
    found = expand(["f"], recursive=True)
    assert [str(job.output) for job in plan(found, "out", Naming(flat=True))] == ["out/a.png", "out/b.png"]
    touch("f/sub/a.png")
    with pytest.raises(UsageError, match=r"would both become out/a\.png"):
        plan(expand(["f"], recursive=True), "out", Naming(flat=True))


def test_a_suffix_that_was_asked_for_is_given_in_a_folder_as_well(here):
    touch("f/a.png")
    assert planned("f", output="out", naming=Naming(".x", suffix_in_folder=".x")) == {"f/a.png": "out/a.x.png"}
    assert planned("f/a.png", naming=Naming("_x", suffix_in_folder="_x")) == {"f/a.png": "f/a_x.png"}
    for output in ("b.png", "-"):
        with pytest.raises(UsageError, match="leave it out"):
            planned("f/a.png", output=output, naming=Naming(".x", suffix_in_folder=".x"))


def test_two_inputs_that_would_become_one_file_are_refused(here):
    touch("x/a.png", "y/a.png")
    with pytest.raises(UsageError, match=r"x/a.png and y/a.png would both become out/a.png"):
        planned("x/a.png", "y/a.png", output="out")
    touch("x/b.png", "y/b.png")
    with pytest.raises(UsageError, match=r"out/a.png \(one of 2 such pairs\)"):
        planned("x", "y", output="out")


def test_an_output_that_is_an_input_is_refused_under_any_name(here):
    touch("a.png", "b.png")
    Path("symbolic.png").symlink_to("a.png")
    os.link("a.png", "hard.png")
    for output in ("a.png", "./a.png", "symbolic.png", "hard.png"):
        with pytest.raises(UsageError, match="is an input"):
            planned("a.png", output=output, force=True)
    with pytest.raises(UsageError, match="is an input"):
        planned("a.png", "b.png", output=".", force=True)


def test_an_output_that_is_an_input_of_another_kind_fails_alone(here):
    touch("a.png", "b.png", data=b"Dear diary")
    assert [job.problem for job in plan(expand(["a.png"]), "a.png", DENOISED, force=True)] == ["not an image"]


def test_results_that_are_one_by_links_are_refused(here):
    touch("x/a.png", "x/b.png", "out/a.png")
    Path("out/b.png").symlink_to("a.png")
    with pytest.raises(UsageError, match="would both become"):
        planned("x", output="out", force=True)


def test_names_that_differ_by_case_alone_are_one_where_the_disk_does_not_know_them_apart(here):
    touch("x/a.png", "y/A.png", "out/probe")
    found = Inputs((Entry(Path("x/a.png"), Path("a.png")), Entry(Path("y/A.png"), Path("A.png"))), many=True)
    assert len(plan(found, "out", Naming())) == 2
    os.link("out/probe", "out/PROBE")  # one file under both names, as there
    _real_folder.cache_clear()
    with pytest.raises(UsageError, match="would both become"):
        plan(found, "out", Naming())
    _real_folder.cache_clear()


def test_copies_keep_the_suffixes_of_formats_that_are_not_written(here):
    touch("f/a.gif", data=b"GIF89a")
    touch("f/a.png", "f/scan")
    jobs = [Job(entry.source, place=entry.place) for entry in expand(["f"]).entries]
    copies = plan_copies(jobs, "odd", force=False, skip_existing=False)
    assert sorted(map(str, copies.values())) == ["odd/a.gif", "odd/a.png", "odd/scan"]


def test_no_copy_is_made_of_a_pipe(here):
    os.mkfifo("pipe")
    with pytest.raises(UsageError, match="pipe is a pipe or a device, of which no copy can be made"):
        plan_copies([Job(Path("pipe"))], "odd", force=False, skip_existing=False)


def test_copies_keep_names_and_places_and_never_replace(here):
    touch("f/a.png", "f/sub/b.png", "g.png")
    jobs = plan(expand(["f"], recursive=True), "maps/", Naming(extension=".png"))
    options = {"force": False, "skip_existing": False}
    copies = plan_copies(jobs, "odd", **options)
    assert copies == {Path("f/a.png"): Path("odd/a.png"), Path("f/sub/b.png"): Path("odd/sub/b.png")}
    with pytest.raises(UsageError, match="is an input"):
        plan_copies(jobs, "f", force=True, skip_existing=False)
    Path("odd").mkdir()
    Path("odd/a.png").symlink_to(Path("g.png").absolute())
    with pytest.raises(UsageError, match="exists"):
        plan_copies(jobs, "odd", **options)
    assert list(plan_copies(jobs, "odd", force=False, skip_existing=True)) == [Path("f/sub/b.png")]
    with pytest.raises(UsageError, match="is an input"):
        plan_copies(jobs, "odd", force=True, skip_existing=False, also_read=[Path("g.png")])


def test_an_output_that_is_read_besides_the_inputs_is_refused(here):
    touch("a.png", "mask.png")
    assert plan(expand(["a.png"]), "mask.png", DENOISED, force=True)
    with pytest.raises(UsageError, match=r"mask\.png is an input"):
        plan(expand(["a.png"]), "mask.png", DENOISED, force=True, also_read=[Path("mask.png")])


def test_existing_results_stop_the_run_are_replaced_or_skipped(here):
    touch("a.png", "b.png", "out/a.png")
    with pytest.raises(UsageError, match=r"out/a\.png exists: --force replaces, --skip-existing"):
        planned("a.png", "b.png", output="out")
    both = expand(["a.png", "b.png"])
    assert [job.skip for job in plan(both, "out", DENOISED, force=True)] == [False, False]
    assert [job.skip for job in plan(both, "out", DENOISED, skip_existing=True)] == [True, False]
    with pytest.raises(UsageError, match="exclude each other"):
        planned("a.png", output="out", force=True, skip_existing=True)


def test_a_folder_in_the_place_of_a_result_is_refused(here):
    touch("a.png")
    Path("a.denoised.png").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        planned("a.png", force=True)


# Which part of them


def test_shards_share_out_all_files_without_overlap(here):
    touch(*(f"f/{number}.png" for number in range(7)))
    parts = [list(planned("f", shard=Shard(index, 3))) for index in range(3)]
    assert [len(part) for part in parts] == [3, 2, 2]
    assert sorted(name for part in parts for name in part) == sources("f")


def test_a_shard_does_not_depend_on_the_order_of_the_arguments(here):
    touch("a.png", "b.png", "c.png")
    assert planned("a.png", "b.png", "c.png", shard=Shard(0, 2)) == planned(
        "c.png", "b.png", "a.png", shard=Shard(0, 2)
    )


def test_what_collides_in_any_shard_is_refused_in_all(here):
    touch("a.jpg", "a.png", "b.png")
    for index in range(3):
        with pytest.raises(UsageError, match="would both become"):
            planned("a.jpg", "a.png", "b.png", naming=Naming("", ".vae"), shard=Shard(index, 3))
