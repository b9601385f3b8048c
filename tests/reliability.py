"""Kill, stop and starve the command at random moments, and count what is left: the figures of docs/reliability.md.

    python -m tests.reliability kills 50          kill -9, so often per command
    python -m tests.reliability signals 8         Ctrl-C and SIGTERM midway, so often per command
    python -m tests.reliability starts 20         the same while a new process begins
    python -m tests.reliability disk 8            limits of 0 to 64 kB for every file, and for the disk (as root)

Commands run in a fork of this process, which has loaded the libraries: moments then fall into the work rather than
into imports. Ends with exit code 1 if a file is half, wrong or left over, or if a run does not go on from there.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

Files = dict[str, bytes]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
RESUMED = 0.3
"""The share of the runs after which the same command goes on: that takes longer than what was cut short."""


def commands() -> dict[str, list[str]]:
    """Return the arguments of every command that is tried, without the place of its results; make its inputs."""
    from vaetool.cli import main

    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :96]
    Path("in").mkdir()
    for number in range(4):
        wave = np.stack([np.sin(columns / (7 + number)), np.cos(rows / 9 + number), np.sin((rows + columns) / 20)], -1)
        pixels = (128 + 70 * wave + generator.normal(0, 15, wave.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(f"in/{number}.png")
    main(["compress", "in", "-o", "small", "--quiet"])
    main(["score", "in", "--good", "in", "--save", "finder.safetensors", "--alpha", "0.5", "--quiet"])
    return {
        "denoise": ["denoise", "in", "-o"],
        "compress": ["compress", "in", "-o"],
        "decompress": ["decompress", "small", "-o"],
        "inpaint": ["inpaint", "in", "--box", "20,20,12,9", "-o"],
        "score": ["score", "in", "-m", "finder.safetensors", "--alpha", "0.5", "--heatmap"],
    }


def start(arguments: list[str], before: Callable[[], object] = lambda: None) -> int:
    """Run a command in a fork, its words in `log`; return the fork's number."""
    child = os.fork()
    if child:
        return child
    log = os.open("log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    code = 99
    with contextlib.suppress(BaseException):
        before()
        from vaetool.cli import main

        code = main(arguments)
    os._exit(code)


def finish(child: int) -> int:
    """Return the exit code of a fork, negative for the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def files(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def undisturbed(arguments: list[str]) -> tuple[Files, float]:
    """Return what a run leaves, and its seconds."""
    begin = time.perf_counter()
    code = finish(start([*arguments, "whole"]))
    assert code == 0, Path("log").read_text()
    seconds, found = time.perf_counter() - begin, files(Path("whole"))
    shutil.rmtree("whole")
    return found, seconds


def check(left: Files, whole: Files, arguments: list[str], counts: Counter[str], out: Path) -> None:
    """Count what a run that was cut short has left, and go on from there."""
    counts["half or wrong"] += sum(name in whole and data != whole[name] for name, data in left.items())
    counts["left over"] += sum(name not in whole for name in left)
    counts["with some results"] += 0 < len(left) < len(whole)
    if random.random() < RESUMED:
        code = finish(start([*arguments, str(out), "--skip-existing"]))
        found = {name: data for name, data in files(out).items() if name in whole}
        counts["resumed"] += code == 0 and found == whole
        counts["not resumed"] += code != 0 or found != whole


def kills(name: str, arguments: list[str], count: int) -> Counter[str]:
    whole, seconds = undisturbed(arguments)
    counts: Counter[str] = Counter()
    while counts["killed"] < count:
        out = Path("out")
        shutil.rmtree(out, ignore_errors=True)
        child = start([*arguments, str(out)])
        time.sleep(random.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
        if finish(child) == -signal.SIGKILL:
            counts["killed"] += 1
            check(files(out), whole, arguments, counts, out)
    return counts


def signals(name: str, arguments: list[str], count: int) -> Counter[str]:
    whole, seconds = undisturbed(arguments)
    counts: Counter[str] = Counter()
    while counts["stopped"] < count:
        out = Path("out")
        shutil.rmtree(out, ignore_errors=True)
        number = SIGNALS[counts["stopped"] % 2]
        child = start([*arguments, str(out)])
        time.sleep(random.uniform(0.05, seconds))
        os.kill(child, number)
        code, said = finish(child), Path("log").read_text()
        if code == 0:
            continue
        counts["stopped"] += 1
        counts["other exit codes"] += code != 128 + number
        counts["tracebacks"] += "Traceback" in said or "internal error" in said
        check(files(out), whole, arguments, counts, out)
    return counts


def starts(name: str, arguments: list[str], count: int) -> Counter[str]:
    """Signals in the first second of a real process."""
    counts: Counter[str] = Counter()
    for number in SIGNALS * (count // 2):
        command = [sys.executable, "-m", "vaetool", *arguments, "begun", "--force"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(random.uniform(0.1, 1.5))
        process.send_signal(number)
        said, code = process.communicate()[1], process.returncode
        counts["stopped"] += 1
        counts["other exit codes"] += code not in {128 + number, -number}
        counts["tracebacks"] += "Traceback" in said or "internal error" in said or "RecursionError" in said
        if code not in {128 + number, -number} or "Traceback" in said:
            print(code, said[-600:])
    return counts


def disk(name: str, arguments: list[str], count: int) -> Counter[str]:
    whole, _ = undisturbed(arguments)
    counts: Counter[str] = Counter()
    largest = max(map(len, whole.values()))
    for number in range(count):
        out = Path("out")
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        limit = number * largest // count
        is_disk = number % 2 == 1
        if is_disk:
            size = max(4096, number * sum(map(len, whole.values())) // count)
            if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", out], check=False).returncode:
                counts["disks not mounted"] += 1
                continue
        try:
            code = finish(start([*arguments, str(out)], partial(file_limit, None if is_disk else limit)))
            left, said = files(out), Path("log").read_text()
            counts["full disks" if is_disk else "file limits"] += 1
            counts["other exit codes"] += code != (0 if left == whole else 1)
            counts["tracebacks"] += "Traceback" in said or "internal error" in said
            counts["half or wrong"] += sum(name in whole and data != whole[name] for name, data in left.items())
            counts["left over"] += sum(name not in whole for name in left)
        finally:
            if is_disk:
                subprocess.run(["umount", out], check=True)
        if not is_disk:
            check(left, whole, arguments, counts, out)
    return counts


def file_limit(size: int | None) -> None:
    """Let this process write no files of more than so many bytes."""
    import resource

    if size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(size, 1), resource.RLIM_INFINITY))


FAULTS = ("half or wrong", "left over", "not resumed", "other exit codes", "tracebacks")


def run(kind: str, count: int, only: list[str]) -> int:
    trial = {"kills": kills, "signals": signals, "starts": starts, "disk": disk}[kind]
    faults = 0
    os.chdir(tempfile.mkdtemp())
    random.seed(0)
    for name, arguments in commands().items():
        if only and name not in only:
            continue
        counts = trial(name, arguments, count)
        faults += sum(counts[fault] for fault in FAULTS)
        print(f"{name:12}", ", ".join(f"{number} {what}" for what, number in counts.items()), flush=True)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
