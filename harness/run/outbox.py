"""What is to be told to the tracking store, in order: while the store is away it waits here, and results on disk."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from harness.errors import StoreAwayError, TrackingError

T = TypeVar("T")

_AGAIN = 5.0  # seconds until a store that was away is asked again


def insisted(call: Callable[[], T], patience: float, say: Callable[[str], None]) -> T:
    """What a call of the store returns that nothing goes on without: a store that is away is waited for.

    Raises:
        TrackingError: as of `Outbox.put`.
    """
    done: list[T] = []
    box = Outbox(patience, say, meanwhile="")
    box.put(lambda: done.append(call()), None)
    box.drain()
    return done[0]


class Outbox:
    """Makes calls that write into the store; each may be made again where it failed halfway.

    Args:
        patience: seconds for which a store may be away.
        say: prints a line.
        meanwhile: what happens while a store is waited for.
    """

    def __init__(
        self,
        patience: float,
        say: Callable[[str], None],
        meanwhile: str = ": trials go on, results wait in the data folder",
    ) -> None:
        self._patience, self._say, self._meanwhile = patience, say, meanwhile
        self._calls: deque[Callable[[], object]] = deque()
        self._away_since = self._asked = 0.0

    def put(self, call: Callable[[], T], otherwise: T) -> T:
        """Make a call, after those that wait. Returns what it does, or `otherwise` where it has to wait.

        Raises:
            TrackingError: the store refuses it, or is away for too long.
        """
        done: list[T] = []
        self._calls.append(lambda: done.append(call()))
        if not self._away_since or time.monotonic() >= self._asked + _AGAIN:
            self._make()
        return done[0] if done else otherwise

    def drain(self) -> None:
        """Make all calls that wait, when the store is back.

        Raises:
            TrackingError: as of `put`.
        """
        while self._calls:
            if self._away_since:
                time.sleep(min(_AGAIN, max(0.1, self._patience)))
            self._make()

    def _make(self) -> None:
        while self._calls:
            try:
                self._calls[0]()
            except StoreAwayError as error:
                self._wait(error)
                return
            self._calls.popleft()
        if self._away_since:
            self._away_since = 0.0
            self._say("the tracking store is back, and has all that waited")

    def _wait(self, error: StoreAwayError) -> None:
        self._asked = time.monotonic()
        if not self._away_since:
            self._away_since = self._asked
            if self._patience > 0:
                self._say(f"{error}; waiting for it{self._meanwhile}")
        if self._asked - self._away_since >= self._patience:
            raise TrackingError(
                f"{error} (--wait-for-store {self._patience / 60:g}); what is trained waits in the data folder, "
                "and the same command goes on from there"
            ) from error
