"""Work in a process of its own, which is watched: whatever ends it, whoever asked for it goes on and knows why.

The process is forked from a server (`forkserver.py`) that has imported what trials need and computed nothing: it
starts at once, and clean. Nothing heavy is imported here, so that a process that only watches stays small.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any

from harness.errors import UserError, in_a_line
from harness.train.processes import how_it_ended, may_be_luck, out_of_memory_kills, without_ctrl_c

Said = dict[str, Any]

ALIVE: Said = {}
"""Said to show that the work goes on; handed on to nobody."""

FORK, KILL, EXPLAIN = b"f", b"k", b"e"
"""What the server is asked for: a process (its end of a pipe comes along); its end; that it writes down before where
it is."""

READY = b"r"
"""What the server says once, when it can be asked."""

END = struct.Struct("=id")
"""What the server answers when a process has ended: how, as `how_it_ended` takes it, and its peak memory in MiB."""

PATIENCE = 60
"""Seconds that whoever asks for an `answer` may wait for one that takes a second."""

_PATIENCE = 10.0  # seconds for a killed process to be gone


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is to be done, pickled: whoever hands it on need not import what it takes.

    call: (function, arguments); the function is called with `say` and the arguments. The last that it says has a
        "record".
    time_limit, stall_limit: minutes that it may take, and that it may say nothing; 0: without end.
    retries: how often it is begun again after an end that may not come again.
    """

    call: bytes
    time_limit: float = 0.0
    stall_limit: float = 0.0
    retries: int = 0


def run(work: Work) -> Generator[Said, None, None]:
    """Have it done in a process with the environment, the working directory and the import paths of this one.

    Whoever closes the iterator ends the process with all that it started; so does the end of this process, however it
    comes.

    Yields:
        What the work says, its "record" last; where there is none, {"died": why, "peak_memory_mib": a number}, which
        lacks the number where it is not known. {"again": why}, where an attempt has ended and another one begins.
    """
    left = work.retries
    while True:
        with contextlib.closing(_attempt(work)) as told:
            for said in told:
                why = said.get("died") or _reason(said.get("record"))
                if may_be_luck(why) and left > 0:
                    left -= 1
                    yield {"again": why}
                    break
                yield said
            else:
                return


def is_last(said: Said) -> bool:
    """Whether nothing more will be said of the work."""
    return "record" in said or "died" in said


def _reason(record: Any) -> str:
    """Why it failed, of the record of a trial; other work may have any."""
    return str(record.get("reason", "")) if isinstance(record, dict) else ""


def _attempt(work: Work) -> Generator[Said, None, None]:
    """`run`, once."""
    server = _server()
    kills = out_of_memory_kills()
    pipe = server.fork(work)
    watched: list[Any] = [pipe, server.socket]
    begin = heard = time.monotonic()
    record, too_long = ALIVE, ""
    end: tuple[int, float] | None = None
    try:
        while end is None:
            limit = _next_limit(work, begin, heard) if not too_long else float("inf")
            left = None if limit == float("inf") else max(0.0, limit - time.monotonic())
            ready = connection.wait(watched, left)
            if pipe in ready:
                said = _hear(pipe)
                if said is None:
                    watched.remove(pipe)
                elif "record" in said:
                    record = said
                elif said:
                    yield said
                heard = time.monotonic()
            elif ready:
                end = server.end()
            else:
                too_long = _limit_in_words(work, begin)
                server.ask(EXPLAIN)
    finally:
        pipe.close()
        if end is None:
            server.abandon()
    code, memory = end
    if math.isnan(memory):
        died: Said = {"died": f"the server that its process was forked from {how_it_ended(code)}"}
    else:
        reason = f"its process {how_it_ended(code, out_of_memory=out_of_memory_kills() > kills)}"
        died = {"died": too_long or reason, "peak_memory_mib": memory}
    yield record or died


def _hear(pipe: connection.Connection) -> Said | None:
    """None where there is nothing more to hear."""
    try:
        said: Said = pipe.recv()
    except Exception:  # it has ended, in the middle of a sentence perhaps, or the work has spoiled its pipe
        return None
    return said


def _next_limit(work: Work, begin: float, heard: float) -> float:
    limits = [begin + 60 * work.time_limit] if work.time_limit else []
    limits += [heard + 60 * work.stall_limit] if work.stall_limit else []
    return min(limits, default=float("inf"))


def _limit_in_words(work: Work, begin: float) -> str:
    if work.time_limit and time.monotonic() >= begin + 60 * work.time_limit:
        return f"not done after {work.time_limit:g} min (train.time_limit); give the same command to go on from there"
    return f"no step for {work.stall_limit:g} min (train.stall_limit); traceback.txt says where it stood"


class NoAnswerError(Exception):
    """A function that was called in a process of its own did not return; the text says why, in a line."""


def answer(function: Callable[..., Any], *arguments: Any, seconds: int) -> Any:
    """What a function returns, called in a process of its own.

    Args:
        function: at the top of a module; it and its arguments are pickled.
        seconds: how long it may take.

    Raises:
        NoAnswerError: it raised, or its process ended or was not done in time.
    """
    begin = time.monotonic()
    call = pickle.dumps((_answer, (function, arguments, seconds)))
    *_, said = run(Work(call=call, time_limit=(seconds + 5) / 60))  # of one that undoes its own alarm
    if said.get("raised"):
        raise NoAnswerError(said["raised"])
    if "record" in said:
        return said["record"]
    late = time.monotonic() - begin >= seconds
    raise NoAnswerError(f"its process was not done after {seconds} s" if late else said["died"])


def _answer(
    say: Callable[[Said], None], function: Callable[..., Any], arguments: tuple[Any, ...], seconds: int
) -> None:
    signal.alarm(seconds)  # which ends this process, wherever it then is
    try:
        said = {"record": function(*arguments)}
    except BaseException as error:
        said = {"record": None, "raised": in_a_line(error)}
    say(said)


Run = Callable[[Work], Generator[Said, None, None]]
"""What `run` is, or what stands for it in a test of scheduling."""


class _Server:
    """The process from which others are forked, one at a time."""

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise UserError("this system cannot fork processes, as trials need; use Linux, macOS or WSL")
        self.socket, theirs = socket.socketpair()
        start = "from harness.train.forkserver import serve"
        path = f"import gc, sys; gc.disable(); sys.path[:] = {sys.path!r}"  # of imports nothing is ever freed
        code = f"{path}; {start}; serve({theirs.fileno()})"
        # Numpy starts threads as it is imported, and a fork would not have them. The work has the true environment.
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        with theirs, without_ctrl_c():
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        self._ready = False

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def fork(self, work: Work) -> connection.Connection:
        """Start a process that does it. Returns where it is heard."""
        if not self._ready:  # what a server takes to start is no part of the work
            self.socket.recv(1)
            self._ready = True
        ours, theirs = connection.Pipe()
        with contextlib.suppress(OSError):  # that it is gone is noticed as the end of its process
            with theirs:
                socket.send_fds(self.socket, [FORK], [theirs.fileno()])
            ours.send((dict(os.environ), os.getcwd(), sys.path))
            ours.send_bytes(work.call)
        return ours

    def ask(self, word: bytes) -> None:
        with contextlib.suppress(OSError):
            self.socket.send(word)

    def end(self) -> tuple[int, float]:
        """How the process ended, and its peak memory in MiB; if the server itself has, how that ended, and nan."""
        answer = self.socket.recv(END.size, socket.MSG_WAITALL)
        if len(answer) == END.size:
            code, memory = END.unpack(answer)
            return code, memory
        return self.close(), float("nan")

    def abandon(self) -> None:
        """End the process that is under way."""
        self.ask(KILL)
        if connection.wait([self.socket], _PATIENCE):
            self.end()
        else:  # even the kernel waits, for a disk perhaps
            self.close()

    def close(self) -> int:
        """End the server, and the process that is under way. Returns how the server ended."""
        if not self._ready:  # it imports, and would not notice until it is done
            self._process.kill()
        self.socket.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


_kept: list[_Server] = []


def _server() -> _Server:
    """This process's, started where none is alive; it ends with this process."""
    if _kept and not (_kept[0].lives and _kept[0].socket.fileno() >= 0):
        _kept.pop().close()
    if not _kept:
        _kept.append(_Server())
        atexit.unregister(close)
        atexit.register(close)
    return _kept[0]


def prepare() -> None:
    """Start this process's server, which then imports while this process does something else."""
    _server()


def close() -> None:
    """End the server; the next work starts another."""
    while _kept:
        _kept.pop().close()
