"""What Ctrl-C and SIGTERM do to a run."""

from __future__ import annotations

import os
import signal
from types import FrameType


def stop_code(stop: BaseException) -> int:
    """The exit code of a stop by a signal. A SIGTERM that Ray's own handler takes exits with its bare number."""
    if isinstance(stop, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if signal.SIGTERM in received or (isinstance(stop, SystemExit) and stop.code == signal.SIGTERM):
        return 128 + signal.SIGTERM
    raise stop


received: set[int] = set()  # signals; the exit that one raises may come out of Ray with another code


def _answer() -> None:
    """Before anything else: ending trials and Ray takes its time."""
    if not received:
        os.write(1, b"\nstopping trials at their last whole epoch; this may take half a minute\n")


def terminate(number: int, frame: FrameType | None) -> None:
    _answer()
    received.add(number)
    raise SystemExit(128 + number)


def interrupt(number: int, frame: FrameType | None) -> None:
    _answer()
    received.add(number)
    raise KeyboardInterrupt


def stop_if_asked() -> None:
    """Python drops what a handler raises when the signal comes during a finaliser: ask again after each epoch."""
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if signal.SIGTERM in received:
        raise SystemExit(128 + signal.SIGTERM)
