"""What Ctrl-C and SIGTERM do to a run."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.console import answered


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
    """Meanwhile Ctrl-C and SIGTERM stop the run. Ending trials and Ray takes its time, so they are answered first."""
    received.clear()
    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, interrupt)
    with answered("stopping; trials that are under way end at their last whole epoch: up to half a minute"):
        yield


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
