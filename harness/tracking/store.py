"""What a report and a new run read from the tracking store. Nothing is written here: see `recorder`."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import TrackingError
from harness.files import from_json
from harness.records import (
    SCHEMA,
    SOURCES,
    StudyRecord,
    TrialRecord,
    check_predictions,
    study_from_json,
    trial_from_json,
)
from harness.tracking.connection import KIND, REASON, TRIAL_ID, Connection
from harness.tracking.drivers import is_alive
from harness.tracking.metrics import EPOCH, TOP1, digest
from harness.tracking.sqlite import path_of

if TYPE_CHECKING:
    from harness.tracking.connection import Run


REUSED = "trials taken over from"
"""In the environment of a trial that another study ran: that study's name."""


class Store:
    """Reads one tracking store. Make one with `Store.open`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.uri = connection.uri

    @classmethod
    def open(cls, uri: str = "", *, create: bool = False) -> Store:
        """Connect to a store.

        Raises:
            TrackingError: it is not there and `create` is false, or it cannot be reached or written.
        """
        return cls(Connection.open(uri, create=create))

    def studies(self) -> list[str]:
        """Names of all studies in the store."""
        with self.connection.named_errors():
            return self.connection.studies()

    def deleted(self) -> list[str]:
        """Names of the studies that were deleted in MLflow and can be restored there."""
        with self.connection.named_errors():
            return self.connection.deleted()

    def done(self, study: str) -> dict[str, str]:
        """By trial id, the study in which a trial was finished: a result counts in every study that asks for it.

        Args:
            study: named where a trial was finished in it too.

        Raises:
            TrackingError: the study's experiment was deleted in MLflow.
        """
        with self.connection.named_errors():
            self.connection.experiment(study)
            finished = self.connection.finished()
        found = {run.data.tags[TRIAL_ID]: name for name, run in finished}
        return found | {run.data.tags[TRIAL_ID]: name for name, run in finished if name == study}

    def alike(self, fingerprint: str) -> list[list[float]]:
        """Top-1 of all finished trials on a data set, those together that differ in nothing but their seed."""
        with self.connection.named_errors():
            finished = self.connection.finished()
        found: dict[tuple[str, ...], dict[str, float]] = {}
        for _, run in finished:
            data = {one.dataset.digest for one in run.inputs.dataset_inputs}
            if digest(fingerprint) in data and TOP1 in run.data.metrics:
                named = {
                    key: value for key, value in run.data.params.items() if key not in ("variant", "seed")
                }
                same = (run.data.tags.get(SOURCES, ""), *(f"{key} {named[key]}" for key in sorted(named)))
                found.setdefault(same, {})[run.data.tags[TRIAL_ID]] = run.data.metrics[TOP1]
        return [list(one.values()) for one in found.values()]

    def sources(self, study: str) -> dict[str, str]:
        """Of a study's variants with an operator of the user's own, the sources that it had when last run."""
        with self.connection.named_errors():
            experiment = self.connection.experiment(study)
            if experiment is None:
                return {}
            runs = self.connection.runs(
                experiment.experiment_id, f"tags.`{KIND}` = 'trial' and tags.{SOURCES} != ''"
            )
        return {run.data.tags["variant"]: run.data.tags[SOURCES] for run in reversed(runs)}

    def load_study(self, name: str) -> StudyRecord:
        """A study as last planned, with the results of all its trials.

        Raises:
            TrackingError: there is no such study, or its plan is missing or of a newer version.
        """
        with self.connection.named_errors():
            summary = self.connection.summary(name)
            try:
                text = self._read_artifact(summary, "study.json")
            except FileNotFoundError:
                raise TrackingError(f"{name}: its plan is gone from the store; run the study again") from None
            record = _read_plan(name, text)
            trials = self._results(name, summary.info.experiment_id, record.trials)
        trials = [_of_classes(trial, len(record.classes)) for trial in trials]
        return dataclasses.replace(record, trials=trials)

    def results(self, study: str, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        """What the study, or another one, has of these trials, in their order; as they are given where none has.

        Raises:
            TrackingError: the study's experiment was deleted in MLflow.
        """
        with self.connection.named_errors():
            experiment = self.connection.experiment(study)
            if experiment is None:
                return list(trials)
            return self._results(study, experiment.experiment_id, trials)

    def experiment_id(self, name: str) -> str:
        """MLflow's id of a study, for links."""
        with self.connection.named_errors():
            return str(self.connection.summary(name).info.experiment_id)

    def summary_id(self, name: str) -> str:
        """MLflow's id of a study's summary run, for links."""
        with self.connection.named_errors():
            return str(self.connection.summary(name).info.run_id)

    def _results(self, study: str, experiment_id: str, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
        runs = self.connection.runs(experiment_id, f"tags.`{KIND}` = 'trial'")
        # Newest first; but a result stands until a newer one is there.
        runs.sort(key=lambda run: run.info.status != "FINISHED")
        by_trial = {run.data.tags[TRIAL_ID]: run for run in reversed(runs)}
        elsewhere = self._from_elsewhere(study, trials, by_trial)
        return [
            self._reused(trial, *elsewhere[trial.trial_id])
            if trial.trial_id in elsewhere
            else self._result(trial, by_trial.get(trial.trial_id))
            for trial in trials
        ]

    def _from_elsewhere(
        self, study: str, trials: Sequence[TrialRecord], own: Mapping[str, Run]
    ) -> dict[str, tuple[str, Run]]:
        """By id, the trials that the study has not finished itself and another has: that study, and the run."""
        ids = {trial.trial_id for trial in trials}
        lacking = ids - {trial_id for trial_id, run in own.items() if run.info.status == "FINISHED"}
        finished = self.connection.finished() if lacking else []
        return {
            run.data.tags[TRIAL_ID]: (name, run)
            for name, run in finished
            if name != study and run.data.tags[TRIAL_ID] in lacking
        }

    def _reused(self, trial: TrialRecord, study: str, run: Run) -> TrialRecord:
        """A trial that another study ran; its environment says so."""
        found = self._result(trial, run)
        return dataclasses.replace(found, environment={**found.environment, REUSED: study})

    def _result(self, trial: TrialRecord, run: Run | None) -> TrialRecord:
        if run is None:
            return trial
        known = dataclasses.replace(trial, run_id=run.info.run_id, environment=_environment(run.data.tags))
        if run.info.status == "FAILED":
            return dataclasses.replace(known, status="failed", reason=run.data.tags.get(REASON, ""))
        if run.info.status != "FINISHED":
            now = "running" if run.info.status == "RUNNING" and is_alive(run) else "stopped"
            epoch = int(run.data.metrics.get(EPOCH, 0))
            reason = f"{now} after epoch {epoch}; run the study again to go on"
            return dataclasses.replace(known, status="running", reason=reason)
        try:
            saved = trial_from_json(from_json(self._read_artifact(run, "result.json")))
        except FileNotFoundError:
            reason = "its result.json is gone from the store; run it again with --force"
            return dataclasses.replace(known, status="failed", reason=reason)
        except (ValueError, TypeError):
            return dataclasses.replace(known, status="failed", reason=_UNREADABLE)
        # The plan's word for the variant: the same trial may once have run under another name.
        return dataclasses.replace(saved, variant=trial.variant, run_id=run.info.run_id)

    def _read_artifact(self, run: Run, name: str) -> str:
        """Raises FileNotFoundError where it is gone."""
        uri = run.info.artifact_uri or ""
        if folder := path_of(uri):
            return (folder / name).read_text(encoding="utf-8", errors="replace")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                file = Path(self.connection.client.download_artifacts(run.info.run_id, name, scratch))
                return file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                raise FileNotFoundError(name) from None


_UNREADABLE = "its result.json cannot be read; run it again with --force"


def _of_classes(trial: TrialRecord, classes: int) -> TrialRecord:
    """A trial of the plan; where what it predicts is none of the plan's classes, a failure."""
    try:
        check_predictions(trial, classes, "record")
    except ValueError:
        return TrialRecord(
            trial_id=trial.trial_id,
            variant=trial.variant,
            seed=trial.seed,
            status="failed",
            reason=_UNREADABLE,
            environment=trial.environment,
            run_id=trial.run_id,
        )
    return trial


def _read_plan(name: str, text: str) -> StudyRecord:
    try:
        plan = from_json(text)
        if plan.get("schema", 0) > SCHEMA:
            raise TrackingError(f"{name}: was written by a newer version of this project; update it")
        return study_from_json(plan)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TrackingError(f"{name}: its plan in the store cannot be read; run the study again") from None


def _environment(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if "." not in key and key not in ("variant", "seed")}
