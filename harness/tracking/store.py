"""The only door to MLflow: where trials are recorded, and where reports read them.

An experiment is a study, a flat run is a trial (nested runs would hide their children in MLflow's charts), and one
more run, tagged as summary, carries the plan, the costs and the report. Only the driver writes: one batch an epoch.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import yaml

from harness.errors import TrackingError, nearest
from harness.records import SCHEMA, CostRecord, StudyRecord, TrialRecord, study_from_json, to_json
from harness.tracking import pages
from harness.tracking.pages import (
    as_table,
    cost_metrics,
    metric_name,
    rounded,
    study_note,
    trial_note,
    write_artifacts,
)

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient


DEFAULT_URI = "sqlite:///mlflow.db"

KIND, TRIAL_ID, REASON = "mixtbench.kind", "mixtbench.trial_id", "mixtbench.reason"

EPOCH = metric_name("epoch")

DRIVER = "mixtbench.driver"  # host:process that writes a run in progress


def default_uri() -> str:
    """MLflow's own environment variable, or a file in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


class Store:
    """Reads and writes one tracking store. Make one with `Store.open`."""

    def __init__(self, client: MlflowClient, uri: str) -> None:
        self._client = client
        self.uri = uri
        self._experiment_id = ""
        self._runs: dict[str, str] = {}  # trial id -> run id, of trials in progress

        self._summary = ""

    @classmethod
    def open(cls, uri: str = "", *, create: bool = False) -> Store:
        """Connect to a store.

        Raises:
            TrackingError: it is not there and `create` is false, or it cannot be reached or written.
        """
        uri = uri or default_uri()
        file = sqlite_file(uri)
        if file is not None:
            _check_file(file, uri, create)
            uri = f"sqlite:///{file.resolve()}"
        elif urlparse(uri).scheme not in ("http", "https", "postgresql", "mysql", "mssql", "databricks"):
            raise TrackingError(f"--tracking-uri {uri}: use sqlite:///FILE or http://HOST:PORT")
        mlflow = _import_mlflow()
        with _named_errors(uri):
            client = mlflow.MlflowClient(tracking_uri=uri)
            client.search_experiments(
                max_results=1
            )  # makes the tables of a new file; a race if workers did it
        return cls(client, uri)

    # ---- what a run writes -------------------------------------------------------------------------------------

    def begin_study(self, record: StudyRecord) -> None:
        """Make the study's experiment and summary run, or find them, and save the plan there."""
        with _named_errors(self.uri):
            self._experiment_id = self._experiment(record)
            self._close_stale()
            found = self._search(f"tags.`{KIND}` = 'summary'")
            if found:
                self._summary = found[0].info.run_id
            else:
                run = self._client.create_run(self._experiment_id, run_name="summary", tags={KIND: "summary"})
                self._summary = run.info.run_id
                self._client.set_terminated(self._summary)
            known = found[0].data.metrics if found else {}
            self._client.set_tag(self._summary, "mlflow.note.content", study_note(record))
            self._save_view()
            self._client.log_text(self._summary, json.dumps(to_json(record), indent=1), "study.json")
            costs = {
                f"{key}/{variant}": value
                for variant, cost in record.costs.items()
                for key, value in cost_metrics(cost).items()
            }
            self._log(self._summary, {k: v for k, v in costs.items() if known.get(k) != rounded(v)}, step=0)

    def done(self, study: str) -> dict[str, str]:
        """Run id by trial id, of a study's finished trials.

        Raises:
            TrackingError: the study's experiment was deleted in MLflow.
        """
        with _named_errors(self.uri):
            experiment = self._client.get_experiment_by_name(study)
            if experiment is None:
                return {}
            _check_active(experiment)
            self._experiment_id = experiment.experiment_id
            runs = self._search(f"tags.`{KIND}` = 'trial' and attributes.status = 'FINISHED'")
        return {run.data.tags[TRIAL_ID]: run.info.run_id for run in runs}

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
        """
        from harness.study.study import flatten

        with _named_errors(self.uri):
            left = self._search(f"tags.`{TRIAL_ID}` = '{trial_id}' and attributes.status != 'FINISHED'")
            if left:
                run = left[0]
                self._client.update_run(run.info.run_id, status="RUNNING")
            else:
                tags = {
                    KIND: "trial", TRIAL_ID: trial_id, "variant": variant, "seed": str(seed),
                    "mlflow.note.content": trial_note(variant, seed, settings),
                    "mlflow.source.name": "harness.run",
                    "mlflow.source.git.commit": environment.get("commit", ""),
                }  # fmt: skip
                run = self._client.create_run(self._experiment_id, run_name=f"{variant}-s{seed}", tags=tags)
            self._runs[trial_id] = run_id = run.info.run_id
            if not run.data.params:  # new, or left by a process that was killed just here
                self._log(run_id, cost_metrics(cost), step=0)
                self._client.log_text(run_id, yaml.safe_dump(settings, sort_keys=False), "settings.yaml")
                if data is not None:
                    self._client.log_inputs(run_id, [pages.data_input(data)])
                self._log_params(run_id, {"variant": variant, "seed": str(seed)} | flatten(settings))
            driver = {REASON: "", DRIVER: f"{socket.gethostname()}:{os.getpid()}"}
            for key, value in (environment | driver).items():
                self._client.set_tag(run_id, key, value)

    def log_epoch(self, trial_id: str, entry: dict[str, float]) -> bool:
        """Add one epoch's metrics to a trial in progress. False for a step that is there already."""
        run_id = self._runs[trial_id]
        step = int(entry["epoch"])
        with _named_errors(self.uri):
            new = step > self._client.get_run(run_id).data.metrics.get(EPOCH, 0)
            if new:
                self._log(run_id, entry, step)
        return new

    def end_trial(
        self,
        record: TrialRecord,
        folder: Path,
        classes: list[str],
        network: dict[str, Any] | None = None,
    ) -> None:
        """Attach a trial's result and close its run. An older run of the same trial is deleted (MLflow keeps it
        restorable).

        Args:
            network: the trial's settings, where its trained network is to be kept too, as a model to be loaded.
        """
        for entry in record.history:  # of a result that an interrupted run left, some may not be there yet
            self.log_epoch(record.trial_id, entry)
        run_id = self._runs[record.trial_id]
        with _named_errors(self.uri):
            for key, value in record.environment.items():
                self._client.set_tag(run_id, key, value)
            if record.status != "done":
                self._client.set_tag(run_id, REASON, record.reason)
                if (folder / "traceback.txt").exists():
                    self._client.log_artifact(run_id, str(folder / "traceback.txt"))
                self._client.set_terminated(run_id, "FAILED")
                del self._runs[record.trial_id]
                return
            single = {"best/top1": record.best["top1"], "best/epoch": record.best["epoch"]}
            single["time/trial_s"] = record.seconds
            single |= {f"time/{name}_s": seconds for name, seconds in record.spent.items()}
            single["memory/peak_mib"] = float(record.environment.get("peak_memory_mib", "nan"))
            single |= {f"class/{name}": value for name, value in record.per_class.items()}
            self._log(run_id, single, step=0)
            with tempfile.TemporaryDirectory() as scratch:
                write_artifacts(Path(scratch), record, run_id, folder, classes)
                self._client.log_artifacts(run_id, scratch)
            if network is not None:
                self._log_network(run_id, record, folder, classes, network)
            for old in self._search(f"tags.`{TRIAL_ID}` = '{record.trial_id}'"):
                if old.info.run_id != run_id:
                    self._client.delete_run(old.info.run_id)
            self._client.set_terminated(run_id, "FINISHED")
        del self._runs[record.trial_id]

    def stop_running(self) -> None:
        """Mark the trials in progress as killed; the next run goes on with them."""
        with _named_errors(self.uri):
            for run_id in self._runs.values():
                self._client.set_terminated(run_id, "KILLED")
        self._runs.clear()

    def attach_report(self, name: str, folder: Path) -> None:
        """Put a written report on the study's summary run."""
        with _named_errors(self.uri):
            summary = self._find_summary(name)
            self._remove(summary, "report")  # else files of an earlier one would stay among these
            self._client.log_artifacts(summary.info.run_id, str(folder), "report")

    def attach_profiles(self, name: str, folder: Path) -> None:
        """Put a study's traces, its timeline and its table of operations on the summary run, traces compressed."""
        with _named_errors(self.uri), tempfile.TemporaryDirectory() as scratch:
            run_id = self._find_summary(name).info.run_id
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                copy = Path(scratch) / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if path.name.endswith(".pt.trace.json"):
                    with gzip.GzipFile(f"{copy}.gz", "wb", mtime=0) as packed:
                        packed.write(path.read_bytes())
                elif path.suffix == ".csv":
                    copy.with_suffix(".json").write_text(as_table(path))
                else:
                    copy.write_bytes(path.read_bytes())
            self._client.log_artifacts(run_id, scratch, "profile")
            tables = [{"path": "profile/operators.json", "type": "table"}]
            self._client.set_tag(run_id, "mlflow.loggedArtifacts", json.dumps(tables))

    # ---- what a report reads -----------------------------------------------------------------------------------

    def studies(self) -> list[str]:
        """Names of all studies in the store."""
        with _named_errors(self.uri):
            experiments = self._client.search_experiments(filter_string=f"tags.`{KIND}` = 'study'")
        return sorted(experiment.name for experiment in experiments)

    def load_study(self, name: str) -> StudyRecord:
        """A study as last planned, with the results of all its trials.

        Raises:
            TrackingError: there is no such study, or its plan is missing or of a newer version.
        """
        with _named_errors(self.uri):
            summary = self._find_summary(name)
            try:
                text = self._read_artifact(summary, "study.json")
            except FileNotFoundError:
                raise TrackingError(f"{name}: its plan is gone from the store; run the study again") from None
            record = _read_plan(name, text)
            # Newest first; but a result stands until a newer one is there.
            found = sorted(
                self._search(f"tags.`{KIND}` = 'trial'"), key=lambda run: run.info.status != "FINISHED"
            )
            runs = {run.data.tags[TRIAL_ID]: run for run in reversed(found)}
            trials = [self._result(trial, runs.get(trial.trial_id)) for trial in record.trials]
        return dataclasses.replace(record, trials=trials)

    def experiment_id(self, name: str) -> str:
        """MLflow's id of a study, for links."""
        with _named_errors(self.uri):
            return str(self._find_summary(name).info.experiment_id)

    def summary_id(self, name: str) -> str:
        """MLflow's id of a study's summary run, for links."""
        with _named_errors(self.uri):
            return str(self._find_summary(name).info.run_id)

    # ---- helpers -----------------------------------------------------------------------------------------------

    def _experiment(self, record: StudyRecord) -> str:
        experiment = self._client.get_experiment_by_name(record.name)
        if experiment is None:
            file = sqlite_file(self.uri)
            # Fixed by the driver once and for all: MLflow would take the folder of whichever process comes first.
            location = f"file://{file.parent / 'mlruns'}" if file else None
            tags = {KIND: "study", "mlflow.experimentKind": "custom_model_development"}
            experiment_id = self._client.create_experiment(record.name, location, tags)
        else:
            _check_active(experiment)
            experiment_id = experiment.experiment_id
        self._client.set_experiment_tag(experiment_id, "mlflow.note.content", study_note(record))
        return str(experiment_id)

    def _save_view(self) -> None:
        """Where this version of MLflow refuses the view, its pages are as without one."""
        from mlflow.exceptions import MlflowException

        try:
            for key, value in pages.saved_view().items():
                self._client.set_experiment_tag(self._experiment_id, key, value)
        except MlflowException as error:
            logging.getLogger(__name__).warning("no saved view in MLflow: %s", error)

    def _log_network(
        self, run_id: str, record: TrialRecord, folder: Path, classes: list[str], settings: dict[str, Any]
    ) -> None:
        """As a model of MLflow's own: on the run's page, and by its address in `mlflow.pyfunc.load_model`."""
        from mlflow.entities import LoggedModelOutput, LoggedModelStatus

        name = f"{record.variant}-s{record.seed}"
        model = self._client.create_logged_model(
            self._experiment_id, name=name, source_run_id=run_id, model_type="MSTNet",
            params={"variant": record.variant, "seed": str(record.seed)},
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            pages.write_network(Path(scratch) / "model", folder / "model.pt", settings, classes)
            self._client.log_model_artifacts(model.model_id, str(Path(scratch) / "model"))
        self._client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])

    def _close_stale(self) -> None:
        """Runs whose driver was killed say that they are running: they are not."""
        for run in self._search(f"tags.`{KIND}` = 'trial' and attributes.status = 'RUNNING'"):
            if not _alive(run):
                self._client.set_terminated(run.info.run_id, "KILLED")

    def _find_summary(self, name: str) -> Run:
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage != "active":
            known = self.studies()
            hint = nearest(name, known) if known else "; the store holds no study"
            raise TrackingError(f"no study {name!r} in {self.uri}{hint}")
        self._experiment_id = experiment.experiment_id
        found = self._search(f"tags.`{KIND}` = 'summary'")
        if not found:
            raise TrackingError(f"{name}: its summary run is gone from the store; run the study again")
        return found[0]

    def _search(self, query: str) -> list[Run]:
        """All runs of the experiment, newest first."""
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _result(self, trial: TrialRecord, run: Run | None) -> TrialRecord:
        if run is None:
            return trial
        known = dataclasses.replace(trial, run_id=run.info.run_id, environment=_environment(run.data.tags))
        if run.info.status == "FAILED":
            return dataclasses.replace(known, status="failed", reason=run.data.tags.get(REASON, ""))
        if run.info.status != "FINISHED":
            epoch = int(run.data.metrics.get(EPOCH, 0))
            running = run.info.status == "RUNNING" and _alive(run)
            reason = (
                f"{'running' if running else 'stopped'} after epoch {epoch}; run the study again to go on"
            )
            return dataclasses.replace(known, status="running", reason=reason)
        try:
            saved = TrialRecord(**json.loads(self._read_artifact(run, "result.json")))
        except FileNotFoundError:
            reason = "its result.json is gone from the store; run it again with --force"
            return dataclasses.replace(known, status="failed", reason=reason)
        except (ValueError, TypeError):
            reason = "its result.json cannot be read; run it again with --force"
            return dataclasses.replace(known, status="failed", reason=reason)
        # The plan's word for the variant: the same trial may once have run under another name.
        return dataclasses.replace(saved, variant=trial.variant, run_id=run.info.run_id)

    def _remove(self, run: Run, folder: str) -> None:
        """Delete a folder of artifacts; where the store cannot, it stays."""
        from mlflow.exceptions import MlflowException
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with suppress(MlflowException, NotImplementedError, OSError):
            get_artifact_repository(run.info.artifact_uri, tracking_uri=self.uri).delete_artifacts(folder)

    def _read_artifact(self, run: Run, name: str) -> str:
        uri = run.info.artifact_uri or ""
        if uri.startswith("file://"):
            return (Path(urlparse(uri).path) / name).read_text(encoding="utf-8", errors="replace")
        with tempfile.TemporaryDirectory() as scratch:
            try:
                file = Path(self._client.download_artifacts(run.info.run_id, name, scratch))
                return file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                raise FileNotFoundError(name) from None

    def _log(self, run_id: str, values: dict[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        batch = [Metric(metric_name(key), rounded(v), now, step) for key, v in values.items()]
        self._client.log_batch(run_id, metrics=batch)

    def _log_params(self, run_id: str, params: dict[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_batch(
            run_id, params=[Param(key, str(value)[:6000]) for key, value in params.items()]
        )


def sqlite_file(uri: str) -> Path | None:
    """The file behind a sqlite:/// address, else None."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _check_file(file: Path, uri: str, create: bool) -> None:
    try:
        there = file.exists()
        if not there and not create:
            raise TrackingError(
                f"no tracking store {file}; run a study first, or name one with --tracking-uri"
            )
        if there:
            with file.open("r+b") as opened:
                if opened.read(15) not in (b"", b"SQLite format 3"):
                    raise TrackingError(f"--tracking-uri {uri}: {file} is not an SQLite file")
        if create:
            (file.parent / "mlruns").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=file.parent):  # SQLite writes its journal there
                pass
    except OSError as error:
        raise TrackingError(
            f"--tracking-uri {uri}: cannot write {file} ({error.strerror}); name another, as in sqlite:///FILE"
        ) from None


def _import_mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


def _check_active(experiment: Any) -> None:
    if experiment.lifecycle_stage != "active":
        raise TrackingError(
            f"experiment {experiment.name!r} was deleted in MLflow; restore it there, or use another --tracking-uri"
        )


def _alive(run: Run) -> bool:
    """Whether the process that writes a run may still be there; of another host's, nothing is known."""
    host, _, pid = run.data.tags.get(DRIVER, "").partition(":")
    if host != socket.gethostname() or os.name == "nt":  # there, asking would end the process
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return int(pid) != os.getpid()  # what this process writes, it has not started yet


def _read_plan(name: str, text: str) -> StudyRecord:
    try:
        plan = json.loads(text)
        if plan.get("schema", 0) > SCHEMA:
            raise TrackingError(f"{name}: was written by a newer version of this project; update it")
        return study_from_json(plan)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise TrackingError(f"{name}: its plan in the store cannot be read; run the study again") from None


@contextmanager
def _named_errors(uri: str) -> Iterator[None]:
    """MLflow's and the database's errors as one line."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        text = " ".join(str(error).split("\n[SQL")[0].split())
        raise TrackingError(f"tracking store {uri}: {text[:300]}") from error


def _environment(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if "." not in key and key not in ("variant", "seed")}
