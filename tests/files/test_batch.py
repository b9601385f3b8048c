"""Files in, files out: inputs, planning and batch on real files and real processes."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path, PurePath

import pytest

from vaetool import images
from vaetool.errors import FileError, UsageError
from vaetool.files.batch import read_all, run, write_atomically
from vaetool.files.console import Console, Report
from vaetool.files.inputs import IMAGES, Shard, Stream, expand, parse_shard, slurm_shard, sniff_image
from vaetool.files.planning import Job, Naming, plan

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff\xe0"
DENOISED = Naming("denoised")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


# Which files


def test_files_keep_their_order_and_a_folder_is_sorted(here):
    touch("b.png", "a.png", "folder/2.png", "folder/10.png", "folder/sub/3.png")
    assert sources("b.png", "folder", "a.png") == ["b.png", "folder/10.png", "folder/2.png", "a.png"]


def test_sub_folders_are_searched_only_when_asked(here):
    touch("f/b.png", "f/sub/a.png", "f/.hidden/c.png")
    assert sources("f") == ["f/b.png"]
    assert sources("f", recursive=True) == ["f/b.png", "f/sub/a.png"]


def test_in_a_folder_the_content_decides_and_a_damaged_image_is_kept(here):
    touch("f/notes.txt", data=b"hello")
    touch("f/broken.png", data=b"not an image")
    touch("f/without_extension", "f/.hidden.png")
    assert sources("f") == ["f/broken.png", "f/without_extension"]


def test_earlier_results_beside_their_inputs_are_not_taken_from_a_folder(here):
    touch("f/a.png", "f/a.denoised.png")
    assert sources("f", earlier="denoised") == ["f/a.png"]
    assert sources("f/a.denoised.png", earlier="denoised") == ["f/a.denoised.png"]


def test_the_output_folder_is_not_searched(here):
    touch("f/a.png", "f/out/a.png")
    assert sources("f", recursive=True, leave_out=Path("f/out")) == ["f/a.png"]


def test_a_pattern_that_the_shell_left_alone_is_expanded(here):
    touch("b1.png", "b2.png", "c.png")
    assert sources("b*.png") == ["b1.png", "b2.png"]


def test_a_file_with_pattern_characters_in_its_name_is_that_file(here):
    touch("a[1].png", "a1.png")
    assert sources("a[1].png") == ["a[1].png"]


def test_missing_files_fail_alone(here):
    touch("a.png")
    entries = expand(["gone.png", "a.png", "*.tif"]).entries
    assert [entry.problem for entry in entries] == ["no such file or folder", None, "no file matches this pattern"]


def test_a_file_named_twice_is_worked_on_once(here):
    touch("f/a.png")
    assert sources("f/a.png", "f", "./f/a.png") == ["f/a.png"]


def test_a_folder_without_images_is_a_usage_error_that_names_the_way_out(here):
    touch("f/sub/a.png")
    with pytest.raises(UsageError, match="no images in f; -r looks into sub-folders"):
        expand(["f"])


def test_an_empty_list_is_not_an_error(here):
    touch("list", data=b"")
    assert sources(files_from="list") == []


def test_a_list_may_be_separated_by_nul_and_hold_any_name(here):
    odd = ["two\nlines.png", " spaces .png", "ünïcode 写真.png", os.fsdecode(b"latin\xe9.png")]
    touch(*odd)
    touch("list", data=b"\0".join(map(os.fsencode, odd)) + b"\0")
    entries = expand([], files_from="list", null=True).entries
    assert [(str(entry.source), entry.problem) for entry in entries] == [(name, None) for name in odd]


def test_listed_relative_paths_keep_their_folders_below_the_output(here):
    touch("x/a.png", "y/a.png")
    touch("list", data=b"x/a.png\r\n./y/a.png\n" + os.fsencode(here / "x/a.png") + b"\n../outside.png\n")
    entries = expand([], files_from="list").entries
    assert [entry.place for entry in entries] == [PurePath("x/a.png"), PurePath("y/a.png"), PurePath("outside.png")]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [([], {}), (["-", "a.png"], {}), (["-"], {"files_from": "l"}), (["a.png"], {"null": True}), ([""], {})],
)
def test_requests_that_make_no_sense_are_usage_errors(arguments, options):
    with pytest.raises(UsageError):
        expand(arguments, **options)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_fails_alone(here):
    touch("f/a.png", "f/locked/b.png")
    Path("f/locked").chmod(0)
    problems = [entry.problem for entry in expand(["f"], recursive=True).entries]
    Path("f/locked").chmod(0o700)
    assert problems == [None, "Permission denied"]


def test_every_extension_offered_for_a_result_can_be_written(photographs):
    written = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "PPM")
    heads = {name: photograph_bytes(photographs, name) for name in written}
    heads |= {"GIF": b"GIF89a", "JPEG2000": b"\xff\x4f\xff\x51"}
    for name, data in heads.items():
        extensions = sniff_image(data[:32])
        assert extensions, name
        expected = "PNG" if name in {"GIF", "JPEG2000"} else name
        assert {images.format_for(f"x{extension}") for extension in extensions} == {expected}
        assert IMAGES.suffixes.issuperset(extensions)


def photograph_bytes(photographs, format_name: str) -> bytes:
    return images.encode(images.from_pil(photographs["china"]), format_name)


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


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "a/b", "1/0", ""])
def test_a_shard_that_does_not_exist_is_a_usage_error(text):
    with pytest.raises(UsageError, match="from 0 to n - 1"):
        parse_shard(text)


def slurm(**values: int) -> dict[str, str]:
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_a_slurm_array_task_knows_its_shard():
    assert slurm_shard({}) is None
    assert slurm_shard(slurm(ID=0, MIN=0, MAX=3, COUNT=4, STEP=1)) == Shard(0, 4)
    assert slurm_shard(slurm(ID=7, MIN=1, MAX=9, COUNT=5, STEP=2)) == Shard(3, 5)


def test_a_slurm_array_with_gaps_is_refused():
    with pytest.raises(UsageError, match="gaps"):
        slurm_shard(slurm(ID=3, MIN=1, MAX=7, COUNT=3, STEP=1))


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


@pytest.mark.parametrize("output", ["new/", "existing"])
def test_a_folder_as_output_is_one_that_exists_or_ends_with_a_separator(here, output):
    Path("existing").mkdir()
    touch("a.png")
    assert planned("a.png", output=output) == {"a.png": str(Path(output) / "a.png")}


def test_one_file_to_a_file(here):
    touch("a.png")
    assert planned("a.png", output="b.webp") == {"a.png": "b.webp"}


def test_sub_folders_are_mirrored(here):
    touch("f/a.png", "f/sub/a.png")
    jobs = plan(expand(["f"], recursive=True), "out", DENOISED)
    assert [str(job.output) for job in jobs] == ["out/a.png", "out/sub/a.png"]


def test_several_inputs_into_one_file_are_refused(here):
    touch("a.png", "b.png", "out.png")
    with pytest.raises(UsageError, match="need a folder"):
        planned("a.png", "b.png", output="out.png")
    with pytest.raises(UsageError, match="one file"):
        planned("a.png", "b.png", output="-")


def test_standard_input_goes_to_standard_output_or_a_file_but_not_into_a_folder(here):
    assert plan(expand(["-"]), None, DENOISED) == [Job(Stream.STANDARD, Stream.STANDARD)]
    assert plan(expand(["-"]), "a.png", DENOISED) == [Job(Stream.STANDARD, Path("a.png"))]
    with pytest.raises(UsageError, match="has no name"):
        plan(expand(["-"]), "folder/", DENOISED)


def test_two_inputs_that_would_become_one_file_are_refused(here):
    touch("x/a.png", "y/a.png")
    with pytest.raises(UsageError, match=r"x/a.png and y/a.png would both become out/a.png"):
        planned("x/a.png", "y/a.png", output="out")


def test_an_output_that_is_an_input_is_refused_under_any_name(here):
    touch("a.png", "b.png")
    Path("symbolic.png").symlink_to("a.png")
    os.link("a.png", "hard.png")
    for output in ("a.png", "./a.png", "symbolic.png", "hard.png"):
        with pytest.raises(UsageError, match="is an input"):
            planned("a.png", output=output, force=True)
    with pytest.raises(UsageError, match="is an input"):
        planned("a.png", "b.png", output=".", force=True)


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


# Writing


def test_a_written_file_has_the_mode_of_the_umask_or_of_the_file_it_replaces(here):
    before = os.umask(0o027)
    try:
        write_atomically("new/folder/a.bin", b"1")
    finally:
        os.umask(before)
    touch("old.bin")
    Path("old.bin").chmod(0o604)
    write_atomically("old.bin", b"2")
    modes = [stat.S_IMODE(Path(name).stat().st_mode) for name in ("new/folder/a.bin", "old.bin")]
    assert modes == [0o640, 0o604]


def test_a_name_of_the_greatest_length_can_be_written(here):
    name = "n" * 255
    write_atomically(name, b"1")
    assert Path(name).read_bytes() == b"1"


def test_a_link_stays_a_link(here):
    touch("target.bin")
    Path("link.bin").symlink_to("target.bin")
    write_atomically("link.bin", b"new")
    assert Path("link.bin").is_symlink()
    assert Path("target.bin").read_bytes() == b"new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_written_to_and_stays_a_pipe(here):
    os.mkfifo("pipe")
    received = []
    reader = threading.Thread(target=lambda: received.append(Path("pipe").read_bytes()))
    reader.start()
    write_atomically("pipe", b"through")
    reader.join()
    assert received == [b"through"]
    assert Path("pipe").is_fifo()


def test_a_failed_write_is_one_line_and_leaves_nothing(here):
    touch("file")
    with pytest.raises(
        FileError, match=r"cannot write file/a.png: Not a directory|cannot write file/a.png: File exists"
    ):
        write_atomically("file/a.png", b"1")
    assert names(here) == ["file"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_an_interrupted_write_leaves_the_old_file_and_no_other(here, monkeypatch, stop):
    touch("a.png", data=b"old")

    def interrupted(self, target):
        raise stop

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises((KeyboardInterrupt, FileError)):
        write_atomically("a.png", b"new")
    assert names(here) == ["a.png"]
    assert Path("a.png").read_bytes() == b"old"


# Running


def invert(picture: images.Picture) -> tuple[images.Picture, dict[str, float]]:
    return picture.replace_pixels(255 - picture.pixels), {"mean": float(picture.pixels.mean())}


def encode(picture: images.Picture, job: Job) -> bytes:
    return images.encode(picture, images.format_for(str(job.output)))


def run_on_images(jobs, *, threads=1, work=invert, json=False) -> Report:
    report = Report(Console(json=json))
    run(jobs, read=images.read, work=work, write=encode, report=report, threads=threads)
    return report


@pytest.mark.parametrize("threads", [1, 4])
def test_a_folder_of_photos_comes_out_inverted_and_in_order(photos, tmp_path, capfd, threads):
    jobs = plan(expand([str(tmp_path)]), str(tmp_path / "out"), DENOISED)
    report = run_on_images(jobs, threads=threads, json=True)
    assert report.exit_code == 0
    grey, inverted = (images.read(folder / "grey.png").pixels for folder in (tmp_path, tmp_path / "out"))
    assert (grey == 255 - inverted).all()
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["path"] for line in lines] == [str(photo) for photo in photos]
    assert all({"output", "mean", "seconds"} <= line.keys() for line in lines)
    assert [line["in_bytes"] for line in lines] == [photo.stat().st_size for photo in photos]
    assert [line["out_bytes"] for line in lines] == [Path(line["output"]).stat().st_size for line in lines]


def test_one_broken_file_does_not_stop_the_others(photos, tmp_path, capfd):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG not really")
    report = run_on_images(plan(expand([str(tmp_path)]), str(tmp_path / "out"), DENOISED))
    assert report.exit_code == 1
    assert "broken.png: not a readable image" in capfd.readouterr().err
    assert names(tmp_path / "out") == [photo.name for photo in photos]


def test_a_work_that_fails_on_one_file_fails_that_file_only(photos, tmp_path, capfd):
    def picky(picture):
        if picture.pixels.shape[2] == 1:
            raise RuntimeError("no colours\nand a long story")
        return invert(picture)

    report = run_on_images(plan(expand([str(tmp_path)]), str(tmp_path / "out"), DENOISED), work=picky)
    assert (report.done_count, report.failed_count) == (2, 1)
    assert "grey.png: internal error: RuntimeError: no colours (run with -vv" in capfd.readouterr().err


def test_a_wrong_request_noticed_while_working_ends_the_run(photos, tmp_path):
    def wrong(picture):
        raise UsageError("no")

    with pytest.raises(UsageError):
        run_on_images(plan(expand([str(tmp_path)]), str(tmp_path / "out"), DENOISED), work=wrong)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_an_image_can_come_through_a_named_pipe(photos, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(photos[1].read_bytes()))
    writer.start()
    jobs = plan(expand([str(tmp_path / "pipe")]), str(tmp_path / "out.png"), DENOISED)
    report = run_on_images(jobs)
    writer.join()
    assert report.exit_code == 0
    assert images.read(tmp_path / "out.png").pixels.shape == (107, 160, 3)


def test_what_was_lost_on_reading_is_said_with_the_path(photos, tmp_path, photographs, capfd):
    china, flower = photographs["china"], photographs["flower"]
    china.save(tmp_path / "moving.gif", save_all=True, append_images=[flower])
    run_on_images(plan(expand([str(tmp_path / "moving.gif")]), None, DENOISED))
    assert "moving.gif: animated" in capfd.readouterr().err


def test_skipped_and_missing_files_are_reported_in_their_place(photos, tmp_path, capfd):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "flower.png").write_bytes(b"kept")
    inputs = expand([str(photos[0]), str(tmp_path / "gone.png"), str(photos[1])])
    report = run_on_images(plan(inputs, str(tmp_path / "out"), DENOISED, skip_existing=True), json=True)
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [("error" in line, line.get("skipped", False)) for line in lines] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert report.exit_code == 1
    assert (tmp_path / "out" / "flower.png").read_bytes() == b"kept"


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    alive, most, lock = 0, 0, threading.Lock()

    class Large:
        def __init__(self):
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)

        def __del__(self):
            nonlocal alive
            with lock:
                alive -= 1

    jobs = [Job(Path(str(number)), tmp_path / str(number)) for number in range(60)]
    report = Report(Console(quiet=True))
    run(
        jobs,
        read=lambda path: Large(),
        work=lambda large: (large, {}),
        write=lambda large, job: b"",
        report=report,
        threads=3,
    )
    assert report.done_count == 60
    assert most <= 3 * 3 + 2


def test_the_next_file_is_read_while_the_model_computes_in_the_main_thread():
    begun = [threading.Event() for _ in range(6)]
    reading, computing = set(), set()

    def read(path):
        reading.add(threading.get_ident())
        begun[int(path.name)].set()
        return int(path.name)

    def work(number):
        computing.add(threading.get_ident())
        assert begun[min(number + 1, 5)].wait(timeout=10)
        return None, {}

    report = Report(Console(quiet=True))
    jobs = [Job(Path(str(number))) for number in range(6)]
    run(jobs, read=read, work=work, write=lambda value, job: None, report=report, threads=1)
    assert report.done_count == 6
    assert computing == {threading.get_ident()}
    assert not reading & computing


def test_read_all_gives_errors_in_their_place(tmp_path, photos):
    jobs = [Job(photos[0]), Job(tmp_path / "gone.png", problem="no such file"), Job(photos[1])]
    items = list(read_all(jobs, images.read, threads=2))
    assert [item.error is None for item in items] == [True, False, True]
    assert items[2].value.pixels.shape == (107, 160, 3)


# Being stopped

SLOW_JOB = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from vaetool.files import batch, console, inputs, planning

    speaker = console.Console(json="--json" in sys.argv)

    def read(path):
        return path.read_bytes()

    def work(data):
        time.sleep(0.05)
        return data[::-1], {}

    def write(data, job):
        return data * 20

    def command():
        report = console.Report(speaker)
        jobs = planning.plan(inputs.expand(["in"]), "out", planning.Naming())
        batch.run(jobs, read=read, work=work, write=write, report=report, threads=2)
        return report.exit_code

    sys.exit(console.guarded(command, speaker))
    """
)


@pytest.fixture
def slow_job(here, python) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts a job over 200 files, ten seconds long, and returns once the first results are there."""
    touch(*(f"in/{number:03}.png" for number in range(200)), data=PNG * 1000)

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        process = python("-c", SLOW_JOB, *arguments)
        deadline = time.monotonic() + 30
        while not list(here.glob("out/*.png")):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    return start


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "stopped by SIGTERM")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_stopped_run_has_its_own_exit_code_and_leaves_only_whole_files(slow_job, here, number, code, word):
    process = slow_job()
    process.send_signal(number)
    _, words = process.communicate(timeout=30)
    assert process.returncode == code
    assert word in words.decode()
    assert "--skip-existing goes on from here" in words.decode()
    assert "Traceback" not in words.decode()
    written = list((here / "out").iterdir())
    assert 0 < len(written) < 200
    assert {path.suffix for path in written} == {".png"}
    assert {path.stat().st_size for path in written} == {len(PNG) * 1000 * 20}


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_reader_that_has_seen_enough_is_not_an_error(slow_job):
    with slow_job("--json") as process:
        first = process.stdout.readline()
        process.stdout.close()
        words = process.stderr.read()
    assert json.loads(first)["path"] == "in/000.png"
    assert (process.returncode, words) == (0, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a full device")
def test_a_full_disk_fails_the_file_in_one_line(here, capfd):
    touch("a.png")
    job = replace(Job(Path("a.png")), output=Path("/dev/full"))
    report = Report(Console())
    run([job], read=Path.read_bytes, work=lambda data: (data, {}), write=lambda data, job: data, report=report)
    assert report.exit_code == 1
    assert capfd.readouterr().err == "a.png: cannot write /dev/full: No space left on device\n"
