"""What a worker of Ray does: has trials run in processes of their own, one after the other, and hands on what they say.

Nothing heavy is imported here but Ray: the worker only watches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray import tune

from harness.train.apart import Run, Work


class Actor(tune.Trainable):
    """One for each place where a trial can run; Tune gives it the index of a trial, and then of the next."""

    def setup(self, config: dict[str, Any], works: Sequence[Work], run: Run) -> None:
        self._works, self._run = works, run
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._told = self._run(self._works[new_config["index"]])
        return True

    def step(self) -> dict[str, Any]:
        said = next(self._told)
        return {"said": said, "done": "entry" not in said}

    def cleanup(self) -> None:
        self._told.close()
