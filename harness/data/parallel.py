"""Work on many clips, on every core."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from harness.errors import DataError
from harness.machine import usable_cpus

Progress = Callable[[int, int], None]
"""Told (done, total) as work goes on."""

Job = TypeVar("Job")

Result = TypeVar("Result")

JOBS_PER_PROCESS = 64
"""Fewer than this are done sooner than another process has started."""


AT_ONCE = 8192
"""Jobs that wait at a time: a data set's clips need not all be there as objects."""


def in_parallel(function: Callable[[Job], Result], jobs: Sequence[Job], progress: Progress) -> list[Result]:
    """function(job) for every job, in order. As `one_by_one`, at once."""
    return list(one_by_one(function, jobs, progress))


def one_by_one(
    function: Callable[[Job], Result], jobs: Sequence[Job], progress: Progress
) -> Iterator[Result]:
    """function(job) for every job, in order, on as many processes as there are cores and jobs enough.

    The function must be importable by name: processes are spawned, because forking a process that has
    used torch can hang.

    Raises:
        DataError: one of them died.
    """
    done, total = 0, len(jobs)
    processes = min(usable_cpus(), total // JOBS_PER_PROCESS)
    if total:
        progress(0, total)  # starting processes takes seconds
    with contextlib.ExitStack() as stack:
        if processes < 2:
            outcomes: Iterator[Result] = map(function, jobs)
        else:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_the_parent)
            stack.callback(pool.shutdown, cancel_futures=True)
            blocks = (
                [jobs[i] for i in range(at, min(at + AT_ONCE, total))] for at in range(0, total, AT_ONCE)
            )
            outcomes = itertools.chain.from_iterable(
                pool.map(function, block, chunksize=8) for block in blocks
            )
        try:
            for result in outcomes:
                yield result
                done += 1
                progress(done, total)
        except BrokenProcessPool:
            raise DataError(
                f"a process that worked on the clips died, {done:,} of {total:,} were done; "
                "the system may be out of memory"
            ) from None


def _end_with_the_parent() -> None:
    """A killed parent cannot end its workers, and they would wait for work for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
