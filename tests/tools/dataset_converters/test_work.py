"""Many files in several processes: every one once, in bounded memory, and failures are said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from dataset_converters.parallel import CHUNK
from dataset_converters.work import Work
from tests.dataset_converters import official

from zegclip.errors import InputError


def twice(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    if number == 40:
        raise InputError("the 40th is broken")
    return number


def end(number: int) -> int:
    os._exit(1)


def even(number: int) -> tuple[str, str] | None:
    return None if number % 2 else (str(number), "even")


@pytest.fixture(params=[1, 2])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Work:
    return Work(official.small("voc"), {}, tmp_path, jobs=request.param)


def test_every_item_once(work: Work) -> None:
    assert sorted(work.parallel("", twice, iter(range(333)), 333)) == list(range(0, 666, 2))
    assert list(work.parallel("", twice, iter([]), None)) == []


def test_items_are_taken_as_they_are_needed(work: Work) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(5000):
            taken.append(number)
            yield number

    results = work.parallel("", twice, items(), None)
    next(results)
    assert len(taken) <= 4 * work.jobs * CHUNK
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 5000


def test_errors_come_out(work: Work) -> None:
    with pytest.raises(InputError, match="the 40th is broken"):
        list(work.parallel("", refuse, range(100), 100))


def test_failures_are_kept_and_not_counted_as_written(work: Work) -> None:
    work.tally["written"] = 10
    work.convert("", even, range(10), 10)
    assert sorted(work.failures) == [(str(number), "even") for number in range(0, 10, 2)]
    assert work.tally["written"] == 5


def test_a_process_that_was_ended_is_named(tmp_path: Path) -> None:
    work = Work(official.small("voc"), {}, tmp_path, jobs=2)
    with pytest.raises(InputError, match="masks: one of 2 processes was ended.*--jobs 1"):
        list(work.parallel("masks", end, range(9), 9))
