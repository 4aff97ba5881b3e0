"""An open tracking store: how it is opened, how its runs are marked, what a reader and a writer look for.

An experiment is a study, a flat run is a trial (nested runs would hide their children in MLflow's charts),
another, tagged as summary, carries the plan, the costs and the report, and one for each variant its means over seeds.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from harness.errors import StoreAwayError, TrackingError, in_a_line, nearest
from harness.tracking import sqlite

if TYPE_CHECKING:
    from mlflow.entities import Experiment
    from mlflow.entities import Run as Run
    from mlflow.tracking import MlflowClient


DEFAULT_URI = "sqlite:///mlflow.db"

KIND, TRIAL_ID, REASON = "mixtbench.kind", "mixtbench.trial_id", "mixtbench.reason"


def default_uri() -> str:
    """MLflow's own environment variable, or a file in the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def without_secrets(text: str, uri: str = "") -> str:
    """Any text to be shown: passwords in addresses are starred out, those of `uri` wherever they stand.

    A user name stays; so do all addresses without a password.
    """
    secrets = [secret for _, secret in (*_ASKED.findall(uri), *_NAMED.findall(uri))]
    with suppress(ValueError):
        parts = urlsplit(uri)
        secrets += (
            [parts.username] if parts.username and parts.password is None else []
        )  # a token may stand there
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "***").replace(unquote(secret), "***")
    return _NAMED.sub(r"\1***@", _ASKED.sub(r"\1***", text))


_NAMED = re.compile(r"(\w+://[^\s:/@]*:)([^\s'\"]+)@")
"""A password beside a name. It may hold what should have been written as %40 or %2F."""

_ASKED = re.compile(
    r"((?:^|[?&;\s])\w*(?:passw|pwd|secret|token|api_?key|access_?key)\w*=)([^\s&;'\"]*[^\s&;:,'\"])",
    re.IGNORECASE,
)
"""A secret in the query of an address, as drivers of databases take it: `?password=...`."""


class Connection:
    """MLflow's client on one store. Make one with `Connection.open`."""

    def __init__(self, client: MlflowClient, uri: str, file: Path | None) -> None:
        self.client = client
        self.uri = uri
        self.file = file  # of a store that is one, absolute

    @classmethod
    def open(cls, uri: str = "", *, create: bool = False) -> Connection:
        """Connect to a store.

        Raises:
            TrackingError: it is not there and `create` is false, or it cannot be reached or written.
        """
        uri = uri or default_uri()
        file = sqlite.sqlite_file(uri)
        if file is not None:
            sqlite.check_file(file, uri, create)
            file = file.resolve()
            uri = f"sqlite:///{file}"
        elif not _is_address(uri):
            shown = without_secrets(uri, uri)
            raise TrackingError(f"--tracking-uri {shown}: use sqlite:///FILE or http://HOST:PORT")
        mlflow = _import_mlflow()
        with _named_errors(uri), sqlite.alone(file, create=create) if file else nullcontext():
            if file and create and sqlite.is_new(file):
                with sqlite.whole(file) as made:
                    mlflow.MlflowClient(tracking_uri=sqlite.address(made)).search_experiments(max_results=1)
            client = mlflow.MlflowClient(tracking_uri=sqlite.address(file) if file else uri)  # reads the file
            client.search_experiments(max_results=1)  # whether it answers
        return cls(client, uri, file)

    @property
    def address(self) -> str:
        """What MLflow's own commands are told of the store."""
        return sqlite.address(self.file) if self.file else self.uri

    def named_errors(self) -> AbstractContextManager[None]:
        """MLflow's and the database's errors as one line.

        Raises:
            TrackingError: instead of them.
        """
        return _named_errors(self.uri)

    def studies(self) -> list[str]:
        """Names of all studies in the store, sorted."""
        experiments = self.client.search_experiments(filter_string=f"tags.`{KIND}` = 'study'")
        return sorted(experiment.name for experiment in experiments)

    def deleted(self) -> list[str]:
        """Names of the studies that were deleted in MLflow and can be restored there, sorted."""
        from mlflow.entities import ViewType

        query = f"tags.`{KIND}` = 'study'"
        found = self.client.search_experiments(view_type=ViewType.DELETED_ONLY, filter_string=query)
        return sorted(experiment.name for experiment in found)

    def experiment(self, study: str) -> Experiment | None:
        """A study's experiment, or None where it was never begun.

        Raises:
            TrackingError: it was deleted in MLflow, is another program's, or its artifacts are elsewhere.
        """
        experiment = self.client.get_experiment_by_name(study)
        if experiment is None:
            return None
        if experiment.lifecycle_stage != "active":
            way_out = "restore it there, or use another --tracking-uri"
            raise TrackingError(f"experiment {study!r} was deleted in MLflow; {way_out}")
        if experiment.tags.get(KIND) != "study":
            way_out = "rename it there or the study's file, or use another --tracking-uri"
            raise TrackingError(
                f"experiment {study!r} in {without_secrets(self.uri, self.uri)} was made by another program; {way_out}"
            )
        if self.file:
            sqlite.check_place(self.file, experiment.artifact_location)
        return experiment

    def summary(self, study: str) -> Run:
        """The run that carries a study's plan, costs and report.

        Raises:
            TrackingError: there is no such study, or its summary is gone.
        """
        experiment = self.experiment(study)
        if experiment is None:
            known = self.studies()
            hint = nearest(study, known) if known else "; the store holds no study"
            raise TrackingError(f"no study {study!r} in {without_secrets(self.uri, self.uri)}{hint}")
        found = self.runs(experiment.experiment_id, f"tags.`{KIND}` = 'summary'")
        if not found:
            raise TrackingError(f"{study}: its summary run is gone from the store; run the study again")
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def finished(self) -> list[tuple[str, Run]]:
        """Every finished trial of the store with the name of its study, the oldest first."""
        studies = self.client.search_experiments(filter_string=f"tags.`{KIND}` = 'study'")
        names = {experiment.experiment_id: experiment.name for experiment in studies}
        if not names:
            return []
        runs = self.runs(list(names), f"tags.`{KIND}` = 'trial' and attributes.status = 'FINISHED'")
        return [(names[run.info.experiment_id], run) for run in reversed(runs)]

    def runs(self, experiments: str | list[str], query: str) -> list[Run]:
        """All runs of an experiment, or of several, that MLflow's query finds, newest first."""
        ids = [experiments] if isinstance(experiments, str) else experiments
        runs: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs(ids, query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs


def _is_address(uri: str) -> bool:
    """Whether it may be that of a server or of a database's."""
    try:
        parts = urlsplit(uri)
        scheme, _ = parts.scheme.partition("+")[0], parts.port
    except ValueError:  # no port, or brackets that nothing closes
        return False
    return scheme in ("http", "https", "postgresql", "mysql", "mssql", "databricks")


@contextmanager
def _named_errors(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ModuleNotFoundError as error:  # the database's own driver, which MLflow does not bring
        missing = f"it needs the Python package {error.name}, which is not installed"
        raise TrackingError(without_secrets(f"tracking store {uri}: {missing}", uri)) from None
    except (MlflowException, SQLAlchemyError, OSError) as error:
        text = " ".join(str(error).split("\n[SQL")[0].split())
        words = _newer_than_this(text) or _of_a_request(text) or text
        kind = StoreAwayError if _may_pass(error) else TrackingError
        raise kind(without_secrets(f"tracking store {uri}: {words}", uri)) from None
    except Exception as error:  # of the library that keeps artifacts elsewhere, which MLflow lets through
        if type(error).__module__.partition(".")[0] not in _KEEPERS:
            raise
        kind = StoreAwayError if _PASSES.search(f"{type(error).__name__} {error}") else TrackingError
        raise kind(without_secrets(f"tracking store {uri}: its artifacts: {in_a_line(error)}", uri)) from None


_KEEPERS = {"boto3", "botocore", "s3transfer", "azure", "google"}

_PASSES = re.compile(r"Connect|Timeout|timed out|SlowDown|InternalError|ServiceUnavailable")
"""What such a library says of what may work later."""


def _of_a_request(text: str) -> str:
    """Why a server was asked in vain, which stands behind all that was asked of it."""
    if failed := re.search(r"too many (\d+) error responses", text):
        return f"the server cannot do it (HTTP {failed[1]}); its own log says why"
    found = re.search(r"\(Caused by \w+\(['\"]?(?:(?:\w+\(host=[^)]*\)|<[^>]*>): )?(.*?)['\"]?\)\)", text)
    return found[1] if found else ""


def _newer_than_this(text: str) -> str:
    """Of a database that a newer MLflow has written, for which MLflow itself advises an upgrade that cannot help."""
    import mlflow

    found = re.search(r"database schema \(found version (\w+)", text)
    known = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    if not found or not known.is_dir() or any(known.glob(f"{found[1]}*.py")):
        return ""
    return (
        f"a newer MLflow than this one ({mlflow.__version__}) has written it; "
        "pip install -U mlflow, or use another --tracking-uri"
    )


def _may_pass(error: Exception) -> bool:
    """Whether the same request may succeed later: a server or a disk is away, a disk is full, a database is busy."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import OperationalError

    if isinstance(error, MlflowException):
        return bool(error.get_http_status_code() in (429, *range(500, 600)))
    if isinstance(error, OSError):
        return not isinstance(error, (FileNotFoundError, PermissionError))
    return isinstance(error, OperationalError)


def _import_mlflow() -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault(
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"
    )  # with a password in it, it may be
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("mlflow.store.db.utils").setLevel(
        logging.CRITICAL
    )  # a traceback of each error that it raises
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow
