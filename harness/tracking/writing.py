"""Runs of an open store: made with all that marks them, written in few calls, and deleted where there are two."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.tracking.connection import KIND, Connection
from harness.tracking.drivers import DRIVER, is_alive, this_driver
from harness.tracking.metrics import metric_names, rounded

if TYPE_CHECKING:
    from harness.tracking.connection import Run


class Writer:
    """Writes runs. Errors are MLflow's own: see `Connection.named_errors`."""

    def __init__(self, connection: Connection) -> None:
        self._client = connection.client

    def make(self, experiment: str, name: str, kind: str, tags: Mapping[str, str]) -> Run:
        """A run is made with all that marks it, in one call: a process that is killed leaves it known or not there."""
        marks = {KIND: kind, DRIVER: this_driver()}
        return self._client.create_run(experiment, run_name=name, tags={**marks, **tags})

    def first(self, runs: Sequence[Run]) -> Run:
        """The oldest of runs of which there should be one: two drivers may have made one each, at once. Later ones go,
        but for one whose driver is still there, and takes it away itself."""
        oldest, *others = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
        for other in others:
            if not is_alive(other):
                self.delete(other.info.run_id)
        return oldest

    def delete(self, run_id: str) -> None:
        """Restorably; another process may have done so just now."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_run(run_id)
        except MlflowException as error:
            if error.get_http_status_code() >= 500:
                raise

    def log(
        self,
        run_id: str,
        values: Mapping[str, float],
        step: int,
        known: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log values under names of their own, and tags, in one call: each takes its time.

        Args:
            known: what the run has by name: the same again is left out.
        """
        from mlflow.entities import Metric

        when, names, known = int(1000 * time.time()), metric_names(values), known or {}
        pairs = [(names[key], rounded(value)) for key, value in values.items()]
        batch = [
            Metric(name, value, when, step) for name, value in pairs if not _same(known.get(name), value)
        ]
        self._client.log_batch(run_id, metrics=batch, tags=_tags(tags or {}))

    def tag(self, run_id: str, words: Mapping[str, str]) -> None:
        """All in one call."""
        self._client.log_batch(run_id, tags=_tags(words))

    def log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        """All in one call."""
        from mlflow.entities import Param

        cut = [Param(key, str(value)[:6000]) for key, value in params.items()]  # MLflow takes no longer one
        self._client.log_batch(run_id, params=cut)


def _tags(words: Mapping[str, str]) -> list[Any]:
    from mlflow.entities import RunTag

    return [RunTag(key, str(value)) for key, value in words.items()]


def _same(known: float | None, value: float) -> bool:
    return known == value or (
        known is not None and known != known and value != value
    )  # both may be no number
