"""What a worker of Ray does: has trials run in processes of their own, one after the other, and hands on what they say.

Nothing heavy is imported here but Ray: the worker only watches.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from ray import tune

from harness.train.apart import Run, Said, Work


class Actor(tune.Trainable):
    """One for each place where a trial can run; Tune starts it for one trial, and uses it again for the next."""

    def setup(self, config: dict[str, Any], works: Sequence[Work], run: Run) -> None:
        self._works, self._run = works, run
        self._told: Generator[Said, None, None] | None = None

    def take(self, index: int) -> None:
        """Which of all trials is the next to be run here; said after each start, before the first step."""
        self._told = self._run(self._works[index])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True  # what is left of the trial before is a generator at its end

    def step(self) -> dict[str, Any]:
        assert self._told is not None
        said = next(self._told)
        return {"said": said, "done": "entry" not in said}

    def cleanup(self) -> None:
        if self._told is not None:
            self._told.close()
