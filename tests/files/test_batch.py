"""Many files through one model, in real processes where they are stopped: `vaetool.files.batch`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.files.helpers import DENOISED, PNG, names, touch
from vaetool import images
from vaetool.errors import UsageError
from vaetool.files.batch import SideBySide, Steps, read_all, run
from vaetool.files.console import Console, Report
from vaetool.files.inputs import expand
from vaetool.files.planning import Job, plan

# Running


def invert(picture: images.Picture) -> tuple[images.Picture, dict[str, float]]:
    return picture.replace_pixels(255 - picture.pixels), {"mean": float(picture.pixels.mean())}


def encode(picture: images.Picture, job: Job) -> bytes:
    return images.encode(picture, images.format_for(str(job.output)))


def run_on_images(jobs, *, threads=1, work=invert, json=False) -> Report:
    report = Report(Console(json=json))
    run(jobs, Steps(images.read, work, encode), report, threads=threads)
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
    steps = Steps(lambda path: Large(), lambda large: (large, {}), lambda large, job: b"")
    run(jobs, steps, report, threads=3)
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
    run(jobs, Steps(read, work, lambda value, job: None), report)
    assert report.done_count == 6
    assert computing == {threading.get_ident()}
    assert not reading & computing


def test_files_side_by_side_are_reported_in_order_and_the_others_one_by_one(photos, tmp_path, capfd):
    """Both small pictures are in work at the same time; the large one is in the main thread."""
    begun, met = threading.Barrier(2, timeout=60), []

    def work(picture: images.Picture) -> tuple[images.Picture, dict[str, float]]:
        met.append(threading.current_thread() is threading.main_thread())
        if picture.width == 160:
            begun.wait()
        return invert(picture)

    Image.new("L", (300, 20)).save(tmp_path / "large.png")
    names = ["china.jpg", "large.png", "flower.png"]
    jobs = [Job(tmp_path / name, tmp_path / f"{name}.out.png") for name in names]
    begins = []
    together = SideBySide(2, lambda picture: picture.width == 160, lambda: begins.append(threading.current_thread()))
    report = Report(Console(json=True))
    run(jobs, Steps(images.read, work, encode, together), report)
    records = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [Path(record["path"]).name for record in records] == names
    assert not any("error" in record for record in records)
    assert (sorted(met), len(set(begins))) == ([False, False, True], 2)


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
        batch.run(jobs, batch.Steps(read, work, write), report, threads=2)
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
    assert "--skip-existing continues from here" in words.decode()
    assert "Traceback" not in words.decode()
    written = list((here / "out").iterdir())
    assert 0 < len(written) < 200
    assert f"{len(written)} done, {200 - len(written)} not finished" in words.decode()
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
    run([job], Steps(Path.read_bytes, lambda data: (data, {}), lambda data, job: data), report)
    assert report.exit_code == 1
    assert capfd.readouterr().err == "a.png: cannot write /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("options", "counts"), [({}, (1, 0, 2)), ({"skip_existing": True}, (1, 2, 0)), ({"force": True}, (3, 0, 0))]
)
def test_results_that_appear_meanwhile_are_kept_unless_forced(photos, tmp_path, capfd, options, counts):
    """One of them before its input is read, one while the result is made."""
    out = tmp_path / "out"

    def meanwhile(picture):
        for photo in photos[1:]:
            if not (out / photo.name).exists():
                touch(str(out / photo.name), data=b"of another run")
        return invert(picture)

    inputs = expand([str(photo) for photo in photos])
    report = run_on_images(plan(inputs, str(out), DENOISED, **options), work=meanwhile)
    assert (report.done_count, report.skipped_count, report.failed_count) == counts
    kept = [(out / photo.name).read_bytes() == b"of another run" for photo in photos]
    assert kept == [False, "force" not in options, "force" not in options]
    assert ("was created during the run, so it was not replaced" in capfd.readouterr().err) == (not options)


def test_a_full_disk_ends_a_batch(here, capfd):
    touch("a.png", "b.png", "c.png", "d.png")
    jobs = [replace(Job(Path(name)), output=Path("/dev/full")) for name in names(here)]
    report = Report(Console())
    run(jobs, Steps(Path.read_bytes, lambda data: (data, {}), lambda data, job: data), report)
    assert (report.done_count, report.failed_count, report.exit_code) == (0, 1, 1)
    assert "3 not finished; the same command with --skip-existing continues" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and pipes")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_reader_that_blocks_is_not_waited_for(here, python, number, code):
    """Nobody writes to the pipe: opening it for reading blocks for ever."""
    touch("in/000.png")
    os.mkfifo("pipe.png")
    script = SLOW_JOB.replace('["in"]', '["in/000.png", "pipe.png"]')
    assert script != SLOW_JOB
    process = python("-c", script)
    deadline = time.monotonic() + 30
    while not (here / "out" / "000.png").exists():
        assert time.monotonic() < deadline, process.poll()
        time.sleep(0.01)
    process.send_signal(number)
    _, words = process.communicate(timeout=10)
    assert process.returncode == code
    assert "Traceback" not in words.decode()
