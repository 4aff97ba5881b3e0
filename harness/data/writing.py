"""Writing big things: once, whole or not at all, on every core."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TypeVar

from harness.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: two processes may then do the same work, and the second one's is thrown away
    fcntl = None  # type: ignore[assignment]

Progress = Callable[[int, int], None]
"""Told (done, total) as work goes on."""

Job = TypeVar("Job")
Result = TypeVar("Result")

JOBS_PER_PROCESS = 64
"""Fewer than this are done sooner than another process has started."""


def write_once(final: Path, write: Callable[[Path], None]) -> None:
    """Make a file or folder by `write(temporary)`, and give it its name when it is whole.

    Whoever sees `final` sees all of it. Several processes may ask at once: one writes, the others wait and
    use its work. What a killed process left behind is removed.

    Raises:
        DataError: the folder cannot be written.
    """
    if os.path.exists(final):
        return
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(final.parent / f".{final.name}.lock"):
            # The lock dies with its process: whatever is lying here now, nobody is writing it.
            for leftover in final.parent.glob(f".{final.name}.*.tmp") if fcntl else ():
                shutil.rmtree(leftover)
            if final.exists():
                return
            with tempfile.TemporaryDirectory(
                dir=final.parent, prefix=f".{final.name}.", suffix=".tmp", ignore_cleanup_errors=True
            ) as folder:
                temporary = Path(folder) / final.name
                write(temporary)
                try:
                    os.replace(temporary, final)
                except OSError:
                    if not final.exists():  # else another process, without a lock, was faster
                        raise
    except OSError as error:
        raise DataError(
            f"{final}: cannot be written: {error.strerror or error}; choose another data folder or make room"
        ) from error


def replace(final: Path, write: Callable[[Path], object]) -> None:
    """Make a file by `write(temporary)` and put it in the place of the one that is there; readers see either, whole.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp") as folder:
            write(Path(folder) / final.name)
            os.replace(Path(folder) / final.name, final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written: {error.strerror or error}; make room") from error


def in_parallel(function: Callable[[Job], Result], jobs: Sequence[Job], progress: Progress) -> list[Result]:
    """function(job) for every job, in order, on as many processes as there are cores and jobs enough.

    The function must be importable by name: processes are spawned, because forking a process that has
    used torch can hang.

    Raises:
        DataError: one of them died.
    """
    results: list[Result] = []
    processes = min(os.cpu_count() or 1, len(jobs) // JOBS_PER_PROCESS)
    with contextlib.ExitStack() as stack:
        if processes < 2:
            outcomes: Iterator[Result] = map(function, jobs)
        else:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_end_with_the_parent)
            stack.callback(pool.shutdown, cancel_futures=True)
            outcomes = pool.map(function, jobs, chunksize=8)
        try:
            for result in outcomes:
                results.append(result)
                progress(len(results), len(jobs))
        except BrokenProcessPool:
            raise DataError(
                f"a process that worked on the clips died, {len(results):,} of {len(jobs):,} were done; the system may "
                "be out of memory"
            ) from None
    return results


@contextlib.contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it."""
    with lock.open("w") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _end_with_the_parent() -> None:
    """A killed parent cannot end its workers, and they would wait for work for ever."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
