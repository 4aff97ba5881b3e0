"""Where the time of a trial goes."""

from __future__ import annotations

import time


class Stopwatch:
    """Adds up, by name, the seconds since its last lap."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        """What was done since the last lap is called `name`."""
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - self._last
        self._last = now
