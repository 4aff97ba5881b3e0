"""What a worker of Ray does: has trials run in processes of their own, one after the other, and hands on what they say.

Nothing heavy is imported here but Ray: the worker only watches.
"""

from __future__ import annotations

import pickle
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray import tune

from harness.run.nodes import Needs, lacks
from harness.train.apart import Run, Said, Work, is_last


class Actor(tune.Trainable):
    """One for each place where a trial can run; Tune starts it for one trial, and uses it again for the next."""

    def setup(self, config: dict[str, Any], works: Sequence[Work], run: Run, needs: Needs | None) -> None:
        """needs: None where the only node is the driver's own machine."""
        self._works, self._run = works, run
        self._lacking = lacks(needs) if needs else ""  # of a node that has joined since all were asked
        self._told: Generator[Said, None, None] | None = None

    def take(self, index: int, attempts: int) -> str:
        """Which of all trials is the next to be run here; said after each start, before the first step.

        Args:
            attempts: how many there were before.

        Returns:
            the id of this node.
        """
        work, node = self._works[index], ray.get_runtime_context().get_node_id()
        if self._lacking:
            died: Said = {"died": f"node {ray.util.get_node_ip_address()}: {self._lacking}"}
            self._told = (said for said in (died,))
        else:
            self._told = self._run(replace(work, retries=max(0, work.retries - attempts)))
        return str(node)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        return True  # what is left of the trial before is a generator at its end

    def step(self) -> dict[str, Any]:
        assert self._told is not None
        said = next(self._told)
        # In one piece: Tune would keep the largest, least, mean and latest of every number in it.
        return {"said": pickle.dumps(said), "done": is_last(said)}

    def cleanup(self) -> None:
        if self._told is not None:
            self._told.close()
