"""What is said where, and how a command ends: `vaetool.files.console`."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from vaetool.errors import DeviceError, FileError, ImageError, UsageError, VaetoolError, WeightsError
from vaetool.files.console import Console, Report, guarded, one_line, reason
from vaetool.files.signals import Terminated
from vaetool.progress import tracked


class Terminal:
    """Makes a captured stream say that it is a terminal."""

    def __init__(self, stream):
        self._stream = stream

    def isatty(self):
        return True

    def __getattr__(self, name):
        return getattr(self._stream, name)


def finished(report: Report, *, done=0, skipped=0, failed=0, total=None) -> Report:
    with report.over(total or done + skipped + failed):
        for number in range(done):
            report.done(f"{number}.png", Path(f"out/{number}.png"), {"sigma": 12.3456})
        for number in range(skipped):
            report.skipped(f"s{number}.png", f"out/s{number}.png")
        for number in range(failed):
            report.failed(f"f{number}.png", ImageError("not a readable image (cut short)"))
    return report


# Words


def test_words_go_to_stderr_and_data_to_stdout(capfd):
    console = Console()
    console.say("a word")
    console.data("a line")
    assert capfd.readouterr() == ("a line\n", "a word\n")


def test_quiet_leaves_errors_only(capfd):
    console = Console(quiet=True, verbose=1)
    for speak in (console.say, console.note, console.warn, console.error):
        speak(speak.__name__)
    assert capfd.readouterr().err == "error\n"


def test_notes_need_verbose(capfd):
    Console().note("hidden")
    Console(verbose=1).note("shown")
    assert capfd.readouterr().err == "shown\n"


def test_a_long_message_stays_on_one_line(capfd):
    Console().error("path/" * 100 + "[bold]name[/bold] :smile:")
    assert capfd.readouterr().err == "path/" * 100 + "[bold]name[/bold] :smile:\n"


def test_no_escape_codes_into_a_file_whatever_the_environment_asks_for(monkeypatch, capfd):
    monkeypatch.delenv("NO_COLOR")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "CLICOLOR_FORCE"):
        monkeypatch.setenv(name, "1")
    finished(Report(Console(verbose=1)), done=2, failed=1)
    assert "\x1b" not in capfd.readouterr().err


def test_a_terminal_gets_colours_unless_no_color_is_set(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    Console().error("red")
    assert "\x1b[31m" in capsys.readouterr().err
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    Console().error("plain")
    assert "\x1b[31m" not in capsys.readouterr().err


def test_a_progress_bar_is_for_terminals_only(monkeypatch, capsys):
    finished(Report(Console()), done=3)
    assert "files" not in capsys.readouterr().err
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    finished(Report(Console()), done=3)
    assert "3/3" in capsys.readouterr().err
    finished(Report(Console(quiet=True)), done=3)
    assert capsys.readouterr().err == ""
    with Console().progress(0):  # the lines on standard output show how far it is
        pass
    assert capsys.readouterr().err == ""


def test_a_large_picture_has_a_bar_of_its_own(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    with Report(Console()).over(1):
        for _ in tracked(range(3), "cleaning"):
            time.sleep(0.15)  # longer than the bar takes to draw itself again
    words = capsys.readouterr().err
    assert "cleaning" in words
    assert "2/3" in words
    assert "files" not in words


def test_a_file_name_cannot_break_the_line_or_colour_it():
    assert one_line("a\nb\x1b[31m\u202e.png") == "a\\nb\\x1b[31m\\u202e.png"
    assert one_line("写真 ü\u3000.png") == "写真 ü\u3000.png"
    assert one_line(os.fsdecode(b"\xe9.png")) == "\\udce9.png"


# Data


def test_json_has_one_object_per_file_errors_included(capfd):
    finished(Report(Console(json=True)), done=1, skipped=1, failed=1)
    out, err = capfd.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"path": "0.png", "output": "out/0.png", "sigma": 12.3456},
        {"path": "s0.png", "output": "out/s0.png", "skipped": True},
        {"path": "f0.png", "error": "not a readable image (cut short)"},
    ]
    assert "f0.png: not a readable image (cut short)\n" in err


def test_json_stays_valid_for_numbers_and_names_it_does_not_know(capfd):
    import numpy as np

    facts = {"psnr": math.inf, "scores": np.array([1.0, math.nan]), "n": np.int64(3), "map": Path("a.png")}
    Report(Console(json=True)).done(os.fsdecode(b"\xe9\n.png"), None, facts)
    record = json.loads(capfd.readouterr().out)
    assert record.pop("path") == os.fsdecode(b"\xe9\n.png")
    assert record == {"psnr": None, "scores": [1.0, None], "n": 3, "map": "a.png"}


def test_binary_data_is_refused_by_a_terminal_only(monkeypatch):
    Console().check_result_to_stdout()
    monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout))
    with pytest.raises(UsageError, match="terminal"):
        Console().check_result_to_stdout()


# Counting


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ({"done": 3}, "3 done\n"),
        ({"done": 2, "skipped": 1}, "2 done, 1 skipped\n"),
        ({"done": 0, "skipped": 2}, "0 done, 2 skipped\n"),
        ({"done": 1}, f"wrote {Path('out/0.png')}\n"),
        ({"skipped": 1}, "the result exists already, skipped\n"),
    ],
)
def test_the_summary_comes_last_and_counts(capfd, counts, line):
    report = finished(Report(Console()), **counts)
    assert capfd.readouterr().err == line
    assert report.exit_code == 0


def test_files_that_did_not_change_are_told_with_the_reason(capfd):
    report = Report(Console())
    with report.over(3):
        report.done("0.png", Path("out/0.png"), {"changed": False, "reason": "no noise found"})
        report.done("1.png", Path("out/1.png"), {"changed": True})
        report.done("2.png", Path("out/2.png"), {"changed": False, "reason": "no noise found"})
    assert capfd.readouterr().err == "2 unchanged (0.png, 2.png): no noise found\n3 done\n"


def test_of_many_files_that_did_not_change_the_first_are_named(capfd):
    report = Report(Console())
    with report.over(7):
        for number in range(7):
            report.done(f"{number}.png", Path(f"out/{number}.png"), {"changed": False, "reason": "no noise found"})
    assert capfd.readouterr().err == (
        "7 unchanged (0.png, 1.png, 2.png, 3.png, 4.png and 2 more): no noise found\n7 done\n"
    )


def test_one_file_that_did_not_change_is_told(capfd):
    report = Report(Console())
    with report.over(1):
        report.done("0.png", Path("0.out.png"), {"changed": False, "reason": "no noise found"})
    assert capfd.readouterr().err == "unchanged: no noise found\nwrote 0.out.png\n"


def test_a_failed_file_makes_the_exit_code_one_even_beside_a_finding(capfd):
    report = finished(Report(Console()), done=2, failed=1)
    report.code_when_done = 3
    assert report.exit_code == 1
    assert capfd.readouterr().err.endswith("\n2 done, 1 failed\n")


def test_a_finding_has_its_own_exit_code():
    report = finished(Report(Console(quiet=True)), done=2)
    report.code_when_done = 3
    assert report.exit_code == 3


def test_verbose_says_what_became_what_and_the_facts(capfd):
    finished(Report(Console(verbose=1)), done=1)
    assert f"0.png -> {Path('out/0.png')} (sigma 12.35)\n" in capfd.readouterr().err


# Ending


@pytest.mark.parametrize(
    ("error", "code"), [(UsageError, 2), (DeviceError, 2), (FileError, 1), (WeightsError, 1), (VaetoolError, 1)]
)
def test_our_own_errors_are_one_line_and_their_exit_code(capfd, error, code):
    def command():
        raise error("what is wrong, and what to do")

    assert guarded(command, Console()) == code
    assert capfd.readouterr().err == "error: what is wrong, and what to do\n"


def test_a_traceback_needs_vv(capfd):
    def command():
        raise ZeroDivisionError("by\nzero")

    assert guarded(command, Console(verbose=1)) == 1
    assert capfd.readouterr().err == "internal error: ZeroDivisionError: by (run with -vv for a traceback)\n"
    assert guarded(command, Console(verbose=2)) == 1
    assert "Traceback (most recent call last)" in capfd.readouterr().err


def test_a_stopped_batch_does_not_advise_an_option_that_its_command_has_not(capfd):
    report = Report(Console(), resumable=False)
    with pytest.raises(KeyboardInterrupt), report.over(5):
        raise KeyboardInterrupt
    assert capfd.readouterr().err == "0 done, 5 not finished\n"


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt(), 130), (Terminated(signal.SIGTERM), 143)])
def test_a_stopped_batch_says_what_is_missing_and_how_to_go_on(capfd, stop, code):
    def command():
        report = Report(Console())
        with report.over(5):
            report.done("a.png")
            raise stop

    assert guarded(command, Console()) == code
    first, second = capfd.readouterr().err.splitlines()
    assert first == "1 done, 4 not finished; the same command with --skip-existing continues from here"
    assert second in {"interrupted", "stopped by SIGTERM"}


def test_system_errors_keep_their_own_words_and_name_what_is_not_named_already():
    error = PermissionError(13, "Permission denied", "secret/a.png")
    assert reason(error) == "secret/a.png: Permission denied"
    assert reason(error, Path("secret/a.png")) == "Permission denied"
    assert reason(error, Path("b.png")) == "secret/a.png: Permission denied"
    assert reason(OSError(28, "No space left on device")) == "No space left on device"


def test_signal_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    assert guarded(lambda: 0, Console()) == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_hangup_cleans_up_as_well(capfd):
    cleaned = []

    def command():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(10)
        finally:
            cleaned.append(True)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and stays so
    try:
        assert guarded(command, Console()) == 128 + signal.SIGHUP
    finally:
        signal.signal(signal.SIGHUP, before)
    assert cleaned


PRINT_A_LOT = textwrap.dedent(
    """
    import sys
    from vaetool.files.console import Console, guarded

    console = Console()

    def command():
        for number in range(100_000):
            {speak}(str(number))
        return 0

    sys.exit(guarded(command, console))
    """
)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
@pytest.mark.parametrize("speak", ["console.data", "sys.stdout.write", "console.say"])
def test_a_closed_pipe_is_not_an_error_even_at_exit(python, speak):
    with python("-c", PRINT_A_LOT.format(speak=speak)) as process:
        closed, other = process.stdout, process.stderr
        if speak == "console.say":
            closed, other = other, closed
        closed.read(1)
        closed.close()
        rest = other.read()
    assert (process.returncode, rest) == (0, b"")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 8.00 EiB for an array"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory: you tried to"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_out_of_memory_is_one_line_that_says_what_needs_less(error):
    assert reason(error).startswith("out of memory: ")


def test_real_allocators_that_find_no_memory_are_understood():
    import numpy as np
    import torch

    for allocate in (lambda: np.empty(2**57), lambda: torch.empty(2**57)):
        with pytest.raises((MemoryError, RuntimeError)) as caught:
            allocate()
        assert "need less" in reason(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of address space")
@pytest.mark.parametrize("megabytes", [300, 2500])
def test_a_small_address_space_is_one_line(here, photos, vaetool_process, megabytes):
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 2**20, megabytes * 2**20))

    result = vaetool_process("denoise", photos[0], preexec_fn=limit)
    assert result.exit_code == 1
    assert result.stderr.startswith("out of memory: ")
    assert len(result.stderr.splitlines()) == 1


def test_a_line_needs_no_memory_for_its_colours(python):
    script = """
    import sys
    from vaetool.files.console import Console

    class Full:
        def find_spec(self, name, *rest):
            if name == "rich.console":
                raise MemoryError

    sys.meta_path.insert(0, Full())
    Console().error("two\\nlines.png: out of memory")
    """
    with python("-c", textwrap.dedent(script)) as process:
        _, words = process.communicate(timeout=30)
    assert (process.returncode, words.decode()) == (0, "two\\nlines.png: out of memory\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("swallow", ["pass", "raise RuntimeError('something else')"])
def test_a_signal_whose_exception_is_lost_still_gives_the_exit_code(python, swallow):
    script = f"""
    import signal, sys
    from vaetool.files.console import Console, guarded

    def command():
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            {swallow}
        return 0

    sys.exit(guarded(command, Console()))
    """
    with python("-c", textwrap.dedent(script)) as process:
        _, words = process.communicate(timeout=30)
    assert (process.returncode, words) == (143, b"stopped by SIGTERM\n")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_during_an_import_ends_the_process_in_one_line(here, python, name, code):
    Path("imported.py").write_text(f"import signal\nsignal.raise_signal(signal.{name})\n")
    script = """
    import sys
    sys.path.insert(0, ".")
    from vaetool.files.console import Console, guarded

    def command():
        import imported
        return 0

    sys.exit(guarded(command, Console()))
    """
    with python("-c", textwrap.dedent(script)) as process:
        _, words = process.communicate(timeout=30)
    assert process.returncode == code
    assert len(words.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_second_ctrl_c_ends_a_clean_up_that_blocks(python):
    script = """
    import signal, sys, time
    from vaetool.files.console import Console, guarded

    def command():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.raise_signal(signal.SIGINT)
            time.sleep(60)
        return 0

    sys.exit(guarded(command, Console()))
    """
    with python("-c", textwrap.dedent(script)) as process:
        _, words = process.communicate(timeout=30)
    assert (process.returncode, words) == (130, b"interrupted\n")
