"""Processes that work for another one: they end with it, and how one ended is said in words."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path


def end_with(parent: int) -> None:
    """Have the kernel end this process when the one that started it is gone (on Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Whatever a child of this process leaves running becomes its own child (on Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def end_children() -> None:
    """End all children of this process, theirs too, as far as the system names them."""
    there = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    patience = time.monotonic() + 0.2  # some end by themselves, and clean up
    while children := _words(there):
        late = time.monotonic() >= patience
        for child in map(int, children):
            try:
                if late:
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0 if late else os.WNOHANG)
            except ChildProcessError:
                continue
            except OSError:  # another user's
                return
        if not late:
            time.sleep(0.01)


@contextlib.contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Processes started meanwhile never see Ctrl-C, which reaches all of them: the one that started them decides."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def how_it_ended(code: int, *, out_of_memory: bool = False) -> str:
    """What follows "its process ".

    Args:
        code: as of `subprocess`: what it exited with, or the negative number of the signal that ended it.
        out_of_memory: the kernel has ended processes for want of memory while this one ran.
    """
    if code >= 0:
        return f"exited with {code}"
    known = -code in {number.value for number in signal.Signals}  # real-time signals have no names
    words = f"was ended by signal {-code}" + (f" ({signal.Signals(-code).name})" if known else "")
    if -code != signal.SIGKILL:
        return words
    if out_of_memory:
        return f"{words}: the kernel was out of memory; try a smaller train.batch_size or more resources.cpus"
    return f"{words}; the system may have been out of memory (see resources.cpus)"


def may_be_luck(words: str) -> bool:
    """Whether what `how_it_ended` says may not come again: somebody, or the kernel for memory that others had too,
    ended the process. What it did itself comes again."""
    return any(f"was ended by signal {number:d} " in words for number in (signal.SIGKILL, signal.SIGTERM))


def out_of_memory_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """A count that rises when the kernel ends a process for want of memory: one of this process's control group, or
    any that this system tells of. 0 where nothing is told."""
    files = [proc / "vmstat"]
    for line in _lines(proc / "self" / "cgroup"):
        _, kinds, path = line.split(":", 2)
        if not kinds:
            files.append(groups / path.lstrip("/") / "memory.events")
        elif "memory" in kinds.split(","):
            files.append(groups / "memory" / path.lstrip("/") / "memory.oom_control")
    counted = [line.split() for file in files for line in _lines(file)]
    return sum(int(words[1]) for words in counted if words[0] == "oom_kill")


def _words(file: Path) -> list[str]:
    return [word for line in _lines(file) for word in line.split()]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def in_mib(ru_maxrss: float) -> float:
    """The most memory that a process had, as its system counts it."""
    return ru_maxrss / 2**20 if sys.platform == "darwin" else ru_maxrss / 2**10
