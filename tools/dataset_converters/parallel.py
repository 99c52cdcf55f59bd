"""Many files in several processes, with a progress bar and bounded memory."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from zegclip.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
CHUNK = 32  # files a task: handing one over costs about as much as converting a tenth of one


def progress(title: str, items: Iterable[T], total: int | None, console: Console) -> Iterator[T]:
    """The items, with a bar on the console; nothing is shown if there are none."""
    if total == 0:
        return
    with _bar(console) as bar:
        task = bar.add_task(title, total=total)
        for item in items:
            yield item
            bar.advance(task)


def parallel(
    title: str,
    function: Callable[[T], R],
    items: Iterable[T],
    total: int | None,
    jobs: int,
    console: Console,
) -> Iterator[R]:
    """``function`` of every item, in any order.

    Items are taken as they are needed, so that a stream of archive members never lies in memory
    as a whole.

    Args:
        title: of the progress bar.
        function: of a module, so that other processes find it.
        items: what it is called with.
        total: how many there are, if that is known; 0: nothing is done.
        jobs: processes; 1: this one.
        console: where the bar is shown.

    Raises:
        InputError: a process was ended from outside, and what ``function`` raises.
    """
    if total == 0:
        return
    if jobs <= 1:
        yield from (function(item) for item in progress(title, items, total, console))
        return
    chunks = _chunks(iter(items))
    # Processes that were forked hold what is imported already; where that is not possible (macOS,
    # Windows) each imports it anew.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_leave_interrupts_to_parent)
    try:
        pool.submit(int).result()  # forks, before the progress bar starts its thread
        with _bar(console) as bar:
            task = bar.add_task(title, total=total)
            running: set[Future[list[R]]] = set()
            while True:
                for chunk in islice(chunks, 2 * jobs - len(running)):
                    running.add(pool.submit(_run_chunk, function, chunk))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    results = future.result()
                    bar.advance(task, len(results))
                    yield from results
    except BrokenProcessPool:
        raise InputError(
            f"{title}: one of {jobs} processes was ended from outside, as systems do that run out "
            "of memory. Try --jobs 1; what is done already is kept."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _chunks(items: Iterator[T]) -> Iterator[list[T]]:
    return iter(partial(lambda: list(islice(items, CHUNK))), [])


def _run_chunk(function: Callable[[T], R], chunk: list[T]) -> list[R]:
    return [function(item) for item in chunk]


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
