"""Ctrl-C and SIGTERM: answered at once, obeyed where a command can end well, and told from whatever else ends it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.console import answered

received: set[int] = set()
"""Signals of the command that is under way; the exit that one raises may come out of Ray with another code."""


@contextmanager
def obeyed(answer: str) -> Iterator[None]:
    """Meanwhile Ctrl-C and SIGTERM stop the command.

    Args:
        answer: what is said at once: ending what is under way takes its time.
    """
    received.clear()
    handlers = {signal.SIGTERM: _terminate, signal.SIGINT: _interrupt}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with answered(answer):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    received.add(number)
    raise SystemExit(128 + number)


def _interrupt(number: int, frame: FrameType | None) -> None:
    received.add(number)
    raise KeyboardInterrupt


def stop_code(error: BaseException) -> int:
    """The exit code of a command that a signal stopped, of what was raised; 0 where none is behind it.

    What a signal broke may fail in any way: torch goes on after an import of NumPy that was left halfway. Of a SIGTERM
    that Ray's own handler takes, the exit has the bare number.
    """
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if received:
        return 128 + max(received)
    terminated = isinstance(error, SystemExit) and error.code == signal.SIGTERM
    return 128 + signal.SIGTERM if terminated else 0


def stop_if_asked() -> None:
    """Python drops what a handler raises when the signal comes during a finaliser: ask again after each epoch."""
    if signal.SIGINT in received:
        raise KeyboardInterrupt
    if signal.SIGTERM in received:
        raise SystemExit(128 + signal.SIGTERM)
