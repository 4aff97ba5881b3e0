"""What goes into the tracking store. Only the driver writes, never a worker; an epoch is one batch."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from harness.errors import StoreAwayError, TrackingError
from harness.records import CostRecord, StudyRecord, TrialRecord, flatten, to_json
from harness.tracking import artifacts, models, sqlite
from harness.tracking.connection import KIND, REASON, TRIAL_ID
from harness.tracking.descriptions import NOTE, describe_study, describe_trial
from harness.tracking.drivers import DRIVER, SEEN, Heartbeat, is_alive, now, this_driver
from harness.tracking.metrics import EPOCH, cost_metrics, cost_tags, digest, metric_names, rounded
from harness.tracking.store import Store
from harness.tracking.variants import VariantRun, colour
from harness.tracking.view import saved_views
from harness.tracking.writing import Writer

COLOUR = "mlflow.runColor"
"""The tag with the colour of a run on MLflow's charts."""

if TYPE_CHECKING:
    from harness.tracking.connection import Run


class Recorder:
    """Writes into an open store: a study and its trials from `begin_study` on, attachments at any time.

    Every method raises TrackingError where the store cannot be written.
    """

    def __init__(self, store: Store) -> None:
        self._connection = store.connection
        self._client = store.connection.client
        self._write = Writer(store.connection)
        self._experiment_id = ""  # of the study that was begun
        self._runs: dict[str, str] = {}  # trial id -> run id, of trials in progress
        # trial id -> the last epoch that is there: asking the store takes its time
        self._steps: dict[str, int] = {}
        self._heartbeat: Heartbeat | None = None

    def begin_study(self, record: StudyRecord) -> None:
        """Make the study's experiment and summary run, or find them, and save the plan there.

        Raises:
            TrackingError: the study's experiment was deleted in MLflow.
        """
        with self._connection.named_errors():
            self._experiment_id = self._make_experiment(record.name)
            self._client.set_experiment_tag(self._experiment_id, NOTE, describe_study(record))
            self._save_view()
            self._close_stale()
            run = self._summary()
            summary, known = run.info.run_id, run.data.metrics
            if run.info.status != "FINISHED":  # new, or left by a process that was killed just here
                self._client.set_terminated(summary)
            self._client.set_tag(summary, NOTE, describe_study(record))
            self._client.log_text(summary, json.dumps(to_json(record), indent=1), "study.json")
            costs = {
                f"{key}/{variant}": value
                for variant, cost in record.costs.items()
                for key, value in cost_metrics(cost).items()
            }
            self._write.log(summary, costs, step=0, known=known)
            if self._connection.file is None:  # else all drivers are on this machine
                self._heartbeat = Heartbeat(self._connection, self._runs)

    def start_trial(
        self,
        trial_id: str,
        variant: str,
        seed: int,
        settings: dict[str, Any],
        cost: CostRecord,
        environment: dict[str, str],
        data: dict[str, Any] | None = None,
    ) -> None:
        """Open a run for a trial: the one that an interrupted run left, or a new one.

        Args:
            data: the data set's name, fingerprint and numbers of clips, for MLflow's list of inputs.

        Raises:
            TrackingError: another process runs it.
        """
        now_said = environment | {REASON: "", DRIVER: this_driver(), SEEN: now()}
        with self._connection.named_errors():
            left = self._search(f"tags.`{TRIAL_ID}` = '{trial_id}' and attributes.status != 'FINISHED'")
            self._refuse_if_running(left, variant, seed)
            if left:
                run = left[0]
                self._write.tag(run.info.run_id, now_said)
                self._client.update_run(run.info.run_id, status="RUNNING")
            else:
                tags = {
                    TRIAL_ID: trial_id,
                    "variant": variant,
                    "seed": str(seed),
                    NOTE: describe_trial(variant, seed, settings),
                    "mlflow.source.name": "harness.run",
                    "mlflow.source.git.commit": environment.get("commit", ""),
                }
                run = self._write.make(self._experiment_id, f"{variant}-s{seed}", "trial", tags | now_said)
            run_id = run.info.run_id
            try:  # again: two may have begun at once, and then each sees the other
                running = self._search(f"tags.`{TRIAL_ID}` = '{trial_id}' and attributes.status = 'RUNNING'")
                self._refuse_if_running([one for one in running if one.info.run_id != run_id], variant, seed)
            except TrackingError:
                self._client.set_terminated(run_id, "KILLED")
                raise
            self._runs[trial_id] = run_id
            self._steps[trial_id] = int(run.data.metrics.get(EPOCH, 0))
            if not run.data.params:  # new, or left by a process that was killed just here
                costs = cost_metrics(cost)  # which may have been measured anew since it was begun
                if run.data.metrics.keys().isdisjoint(metric_names(costs).values()):
                    self._write.log(run_id, costs, step=0, tags=cost_tags(cost))
                self._client.log_text(run_id, yaml.safe_dump(settings, sort_keys=False), "settings.yaml")
                if data is not None:
                    self._client.log_inputs(run_id, [_data_input(data)])
                self._write.log_params(run_id, {"variant": variant, "seed": str(seed)} | flatten(settings))

    def log_epoch(self, trial_id: str, entry: dict[str, float]) -> bool:
        """Add one epoch's metrics to a trial in progress. False for a step that is there already."""
        step = int(entry["epoch"])
        new = step > self._steps[trial_id]
        if new:
            with self._connection.named_errors():
                self._write.log(self._runs[trial_id], entry, step)
            self._steps[trial_id] = step
        return new

    def end_trial(
        self, record: TrialRecord, folder: Path, classes: list[str], network: dict[str, Any] | None = None
    ) -> None:
        """Attach a trial's result and close its run. An older run of the same trial is deleted (restorably).

        Args:
            network: the trial's settings, where its trained network is to be kept too, as a model to load.

        Raises:
            TrackingError: another process has taken the trial over.
        """
        for entry in record.history:  # of a result that an interrupted run left, some may not be there yet
            self.log_epoch(record.trial_id, entry)
        run_id = self._runs[record.trial_id]
        with self._connection.named_errors():
            run = self._client.get_run(run_id)
            if run.data.tags.get(DRIVER) != this_driver():  # this one stood still for too long
                del self._runs[record.trial_id]
                self._refuse(run, record.variant, record.seed)
            if record.status == "done":
                self._keep_result(run_id, record, folder, classes, network, run.data.metrics)
            else:
                self._keep_failure(run_id, record, folder)
        del self._runs[record.trial_id]

    def stop_running(self) -> None:
        """Mark the trials in progress as killed; the next run goes on with them. Of a store that is away, it does."""
        if self._heartbeat:
            self._heartbeat.stop()
        with suppress(StoreAwayError), self._connection.named_errors():
            for run_id in self._runs.values():
                self._client.set_terminated(run_id, "KILLED")
        self._runs.clear()

    def keep_variants(self, name: str, variants: Sequence[VariantRun]) -> None:
        """Put a study's variants beside its trials, a run each, in the place of earlier ones."""
        with self._connection.named_errors():
            experiment = self._connection.summary(name).info.experiment_id
            found = self._connection.runs(experiment, f"tags.`{KIND}` = 'variant'")
            known: dict[str, list[Run]] = {}
            for run in found:
                known.setdefault(run.data.tags.get("variant", ""), []).append(run)
            for place, one in enumerate(variants):
                there = known.pop(one.variant, [])
                if not there:
                    tags = {"variant": one.variant}
                    there = [self._write.make(experiment, one.variant, "variant", tags)]
                run = self._write.first(there)
                run_id = run.info.run_id
                for key, value in {**one.words, COLOUR: colour(place)}.items():
                    if run.data.tags.get(key) != value:
                        self._client.set_tag(run_id, key, value)
                new = {k: v for k, v in one.metrics.items() if run.data.metrics.get(k) != rounded(v)}
                if new:
                    self._write.log(run_id, new, step=0)
                if run.info.status != "FINISHED":
                    self._client.set_terminated(run_id)
            for gone in (run for runs in known.values() for run in runs):
                self._write.delete(gone.info.run_id)

    def attach_report(self, name: str, folder: Path) -> None:
        """Put a written report on a study's summary run, in the place of an earlier one."""
        with self._connection.named_errors():
            summary = self._connection.summary(name)
            self._delete_artifacts(summary, "report")  # else files of an earlier one would stay among these
            self._client.log_artifacts(summary.info.run_id, str(folder), "report")

    def attach_profiles(self, name: str, folder: Path) -> None:
        """Put a study's traces (compressed), timeline and table of operations on its summary run."""
        with self._connection.named_errors(), tempfile.TemporaryDirectory() as scratch:
            run_id = self._connection.summary(name).info.run_id
            artifacts.write_profile(Path(scratch), folder)
            self._client.log_artifacts(run_id, scratch, "profile")
            tables = [{"path": "profile/operators.json", "type": "table"}]
            self._client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps(tables))

    def _make_experiment(self, study: str) -> str:
        """The id of a study's experiment, which is made where it is not there yet."""
        from mlflow.exceptions import MlflowException

        experiment = self._connection.experiment(study)
        if experiment is not None:
            return str(experiment.experiment_id)
        file = self._connection.file
        # Fixed by the driver once and for all: MLflow would take the folder of whichever process comes first.
        location = sqlite.artifacts(file) if file else None
        tags = {KIND: "study", "mlflow.experimentKind": "custom_model_development"}
        try:
            return str(self._client.create_experiment(study, location, tags))
        except MlflowException:
            found = self._connection.experiment(study)  # another process was faster
            if found is None:
                raise
            return str(found.experiment_id)

    def _summary(self) -> Run:
        """The study's, which is made where it is not there yet."""
        query = f"tags.`{KIND}` = 'summary'"
        if not self._search(query):
            self._write.make(self._experiment_id, "summary", "summary", {})
        return self._write.first(self._search(query))

    def _refuse_if_running(self, runs: list[Run], variant: str, seed: int) -> None:
        for run in runs:
            if run.info.status == "RUNNING" and is_alive(run):
                self._refuse(run, variant, seed)

    def _refuse(self, run: Run, variant: str, seed: int) -> NoReturn:
        driver = run.data.tags.get(DRIVER, "another process").rpartition(":")[0]
        raise TrackingError(
            f"{variant} seed={seed} is being run by {driver} in this store; "
            "wait for it, or choose others with --variants or --seeds"
        )

    def _save_view(self) -> None:
        """Where this version of MLflow refuses the view, its pages are as without one."""
        from mlflow.exceptions import MlflowException

        try:
            for key, value in saved_views().items():
                self._client.set_experiment_tag(self._experiment_id, key, value)
        except MlflowException as error:
            logging.getLogger(__name__).warning("no saved view in MLflow: %s", error)

    def _close_stale(self) -> None:
        """Runs whose driver was killed say that they are running: they are not."""
        for run in self._search("attributes.status = 'RUNNING'"):
            if not is_alive(run):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _keep_failure(self, run_id: str, record: TrialRecord, folder: Path) -> None:
        self._write.tag(run_id, record.environment | {REASON: record.reason})
        traceback = folder / "traceback.txt"
        if traceback.exists() and traceback.stat().st_size:  # a process that is killed leaves it empty
            self._client.log_artifact(run_id, str(traceback))
        self._client.set_terminated(run_id, "FAILED")

    def _keep_result(
        self,
        run_id: str,
        record: TrialRecord,
        folder: Path,
        classes: list[str],
        network: dict[str, Any] | None,
        known: Mapping[str, float],
    ) -> None:
        single = {"best/top1": record.best["top1"], "best/epoch": record.best["epoch"]}
        single["time/trial_s"] = record.seconds
        single |= {f"time/{name}_s": seconds for name, seconds in record.spent.items()}
        single["memory/peak_mib"] = float(record.environment.get("peak_memory_mib", "nan"))
        single |= {f"class/{name}": value for name, value in record.per_class.items()}
        self._write.log(run_id, single, step=0, known=known, tags=record.environment)
        with tempfile.TemporaryDirectory() as scratch:
            artifacts.write_trial(Path(scratch), dataclasses.replace(record, run_id=run_id), folder, classes)
            self._client.log_artifacts(run_id, scratch)
        if network is not None:
            models.keep(
                self._client,
                self._experiment_id,
                run_id,
                record,
                folder / "model.pt",
                classes,
                network,
            )
        for old in self._search(f"tags.`{TRIAL_ID}` = '{record.trial_id}'"):
            if old.info.run_id != run_id:
                models.forget(self._client, self._experiment_id, old.info.run_id)
                self._write.delete(old.info.run_id)
        self._client.set_terminated(run_id, "FINISHED")

    def _delete_artifacts(self, run: Any, folder: str) -> None:
        """Where the store cannot delete, the folder stays."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with suppress(MlflowException, NotImplementedError, OSError):
            artifact_uri, uri = run.info.artifact_uri, self._connection.address
            get_artifact_repository(artifact_uri, tracking_uri=uri).delete_artifacts(folder)

    def _search(self, query: str) -> list[Any]:
        return self._connection.runs(self._experiment_id, query)


def _data_input(data: dict[str, Any]) -> Any:
    """The data set of a trial as MLflow's Datasets list shows it.

    Args:
        data: "name", "fingerprint", and counts by name.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    identity = {key: data[key] for key in ("name", "fingerprint")}
    dataset = Dataset(
        name=data["name"],
        digest=digest(data["fingerprint"]),
        source_type="mixtbench",
        source=json.dumps(identity),
        profile=json.dumps({key: value for key, value in data.items() if key not in identity}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training and validation")])
