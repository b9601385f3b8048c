"""Who works on what in a cluster: `vaetool.files.cluster`, with workers that are played by this process."""

from __future__ import annotations

import random
import sys
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest

from vaetool.errors import FileError, UsageError, VaetoolError
from vaetool.files.cluster import AHEAD, DEATHS, Cluster, _shares, _Spreading
from vaetool.files.inputs import Stream
from vaetool.files.planning import Job, OnExisting


class RayError(Exception):
    """A worker has ended."""


class RayTaskError(RayError):
    """What a worker has raised."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


class Ray:
    """As much of Ray as is needed: calls are made when they are waited for, in any order."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self) -> None:
        self._random = random.Random(0)

    def wait(self, calls):
        chosen = self._random.choice(calls)
        return [chosen], [call for call in calls if call is not chosen]

    def get(self, call):
        return call()


class Worker:
    """A worker whose work, and getting ready, are functions."""

    def __init__(self, work: Callable, prepare: Callable = lambda: None) -> None:
        self.prepare = SimpleNamespace(remote=lambda: lambda: prepare())
        self.work = SimpleNamespace(remote=lambda jobs: lambda: work(jobs))


def jobs(number: int) -> list[Job]:
    return [Job(Path(f"{k}.png"), Path(f"out/{k}.png")) for k in range(number)]


def spread(work, number=50, *, workers=3, at_once=1, prepare=lambda: None, said=None) -> list:
    heard = [] if said is None else said
    shares = _shares(jobs(number), at_once)
    rows = _Spreading(
        Ray(), lambda: Worker(work, prepare), lambda job, error: str(error), heard.append, shares, workers
    )
    return list(rows.rows())


def name_all(share: list[Job]) -> list[str]:
    return [job.source.name for job in share]


@pytest.mark.parametrize("at_once", [1, 4])
@pytest.mark.parametrize("workers", [1, 3, 100])
def test_rows_come_in_the_order_of_the_files(workers, at_once):
    assert spread(name_all, workers=workers, at_once=at_once) == [f"{k}.png" for k in range(50)]
    assert spread(name_all, number=0) == []


def test_what_a_worker_had_in_hand_when_it_ended_is_done_again_in_place_of_its_results():
    generator, attempts, said = random.Random(0), defaultdict(list), []

    def work(share):
        attempts[share[0].source].append(share[0].on_existing)
        if generator.random() < 0.3:
            raise RayError("killed")
        return name_all(share)

    assert spread(work, said=said) == [f"{k}.png" for k in range(50)]
    assert max(map(len, attempts.values())) > 1
    for first, *others in attempts.values():
        assert (first, set(others) - {OnExisting.REPLACE}) == (OnExisting.FAIL, set())
    assert said[0].startswith("a worker died while processing ")


def test_a_file_that_every_worker_ends_on_is_given_up():
    def work(share):
        if share[0].source.name == "7.png":
            raise RayError("no memory")
        return name_all(share)

    rows = spread(work)
    assert rows[7] == f"{DEATHS} workers died while processing it: out of memory?"
    assert rows[:7] + rows[8:] == [f"{k}.png" for k in range(50) if k != 7]


def test_workers_that_cannot_begin_end_the_run_and_others_take_their_place():
    def broken():
        raise RayError("no module\nnamed vaetool")

    with pytest.raises(VaetoolError, match=r"die before they start: no module named vaetool$"):
        spread(name_all, prepare=broken)
    calls = count()

    def sometimes():
        if next(calls) % 2:
            raise RayError("no memory")

    assert len(spread(name_all, prepare=sometimes)) == 50


def test_a_wrong_request_that_a_worker_notices_is_one_here():
    def wrong(share):
        raise RayTaskError(UsageError("no such model"))

    with pytest.raises(UsageError, match=r"^no such model$"):
        spread(wrong)


def test_no_more_files_are_handed_out_than_wait_for_their_turn():
    handed = []

    def endless():
        for number in count():
            handed.append(number)
            yield Job(Path(f"{number}.png"))

    rows = _Spreading(
        Ray(), lambda: Worker(name_all), lambda job, error: "", lambda words: None, _shares(endless(), 1), 2
    ).rows()
    for _ in range(5):
        next(rows)
    assert len(handed) <= 5 + 2 * AHEAD


def test_standard_input_is_refused():
    with pytest.raises(UsageError, match=r"--engine ray works on files"):
        list(_shares([Job(Stream.STANDARD)], 1))


def test_a_device_by_number_and_a_cluster_that_does_not_answer_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace())
    with pytest.raises(UsageError, match=r"^--device cuda:1: the cluster chooses which one: give auto, cpu or cuda$"):
        Cluster(None, "cuda:1", None)
    for address in ("127.0.0.1:1", "ray://127.0.0.1:1"):
        with pytest.raises(UsageError, match=rf"^--address {address}: no Ray cluster answers there: "):
            Cluster(address, "auto", None)


def test_without_ray_its_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'vaetool\[ray\]'$"):
        Cluster(None, "cpu", 1)


def test_what_fails_for_lack_of_a_result_is_a_row():
    rows = spread(lambda share: [FileError("broken") for _ in share], number=3)
    assert [str(row) for row in rows] == ["broken"] * 3
