"""What Ctrl-C and SIGTERM do to a run."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from harness.console import console, wrapped


def stop_code(stop: BaseException) -> int:
    """The exit code of a stop by a signal. A SIGTERM that Ray's own handler takes exits with its bare number."""
    if isinstance(stop, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if signal.SIGTERM in received or (isinstance(stop, SystemExit) and stop.code == signal.SIGTERM):
        return 128 + signal.SIGTERM
    raise stop


received: set[int] = set()  # signals; the exit that one raises may come out of Ray with another code


@contextmanager
def obeyed() -> Iterator[None]:
    """Meanwhile Ctrl-C and SIGTERM stop the run, and are answered at once, whoever handles them: Tune puts a handler of
    its own in the place of ours, and a step of torch's holds Python up for seconds."""
    received.clear()
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    answering = threading.Thread(target=_answer, args=(woken,), daemon=True)
    answering.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        wake.close()
        answering.join()
        woken.close()


def _answer(woken: socket.socket) -> None:
    """Once: ending trials and Ray takes its time."""
    while number := woken.recv(1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            words = "stopping; trials that are under way end at their last whole epoch: up to half a minute"
            with suppress(OSError):  # nobody reads it any more
                os.write(1, f"\n{wrapped(words, console.is_terminal)}\n".encode())
            return


def terminate(number: int, frame: FrameType | None) -> None:
    received.add(number)
    raise SystemExit(128 + number)


def interrupt(number: int, frame: FrameType | None) -> None:
    received.add(number)
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Python drops what a handler raises when the signal comes during a finaliser: ask again after each epoch."""
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if signal.SIGTERM in received:
        raise SystemExit(128 + signal.SIGTERM)
