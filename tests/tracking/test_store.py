"""What a report gets back from the store, also from one that is damaged or not there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import shutil
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from builders.place import Workplace
from builders.tracked import COST, PLAN, SETTINGS, TRIAL, finish

from harness.errors import StoreAwayError, TrackingError
from harness.records import SCHEMA
from harness.report.__main__ import main
from harness.tracking.connection import without_secrets
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store


def test_a_trial_goes_through_the_store_unchanged(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    loaded = ready.load("pair")
    assert dataclasses.replace(loaded.trials[0], run_id="") == TRIAL
    assert loaded.trials[1] == PLAN.trials[1]  # missing
    assert dataclasses.replace(loaded, trials=PLAN.trials) == PLAN
    assert store.done("pair") == {"a0": "pair"}
    assert store.studies() == ["pair"]


def test_a_deleted_run_is_a_missing_trial(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    ready.client().delete_run(ready.runs("pair")[0].info.run_id)
    assert ready.load("pair").trials[0].status == "missing"
    assert store.done("pair") == {}


@pytest.mark.parametrize(("damage", "words"), [("", "is gone from the store"), ("{", "cannot be read")])
def test_a_lost_result_is_a_failure_that_says_what_to_do(
    recorder: Recorder, folder: Path, ready: Workplace, damage: str, words: str
) -> None:
    finish(recorder, folder)
    (run,) = ready.runs("pair")
    file = Path(run.info.artifact_uri.removeprefix("file://")) / "result.json"
    file.write_text(damage) if damage else file.unlink()
    loaded = ready.load("pair").trials[0]
    assert (loaded.status, loaded.reason) == ("failed", f"its result.json {words}; run it again with --force")


def test_trainings_on_a_data_set_that_differ_in_their_seed_alone_are_found_together(
    recorder: Recorder, store: Store, ready: Workplace
) -> None:
    slower = {**SETTINGS, "train": {"milestones": [1, 3]}}
    planned = [
        ("a0", 0, SETTINGS, "d"),
        ("a1", 1, SETTINGS, "d"),
        ("b0", 0, slower, "d"),
        ("c0", 2, SETTINGS, "e"),
    ]
    for number, (name, seed, settings, data) in enumerate(planned):
        described = {"name": "generated", "fingerprint": data * 64, "classes": 2}
        recorder.start_trial(name, name[0], seed, settings, COST, {}, described)
        for epoch in (1.0, 2.0):
            recorder.log_epoch(name, {"epoch": epoch, "val/top1": 10 * epoch + number})
    for run in ready.runs("pair")[1:]:  # a0, by whose name the first goes, is still under way
        ready.client().set_terminated(run.info.run_id)
    assert sorted(store.alike("d" * 64)) == [[21.0], [22.0]]
    ready.client().set_terminated(ready.runs("pair")[0].info.run_id)
    assert sorted(store.alike("d" * 64)) == [[20.0, 21.0], [22.0]]


def plan_file(ready: Workplace) -> Path:
    client = ready.client()
    experiment = client.get_experiment_by_name("pair")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'summary'")
    return Path(run.info.artifact_uri.removeprefix("file://")) / "study.json"


def test_a_lost_or_broken_plan_is_one_line(recorder: Recorder, ready: Workplace) -> None:
    file = plan_file(ready)
    plan = json.loads(file.read_text())
    for text, words in [
        (json.dumps(plan | {"schema": SCHEMA + 1}), "pair: was written by a newer version of this project"),
        (
            json.dumps(plan | {"tone": "new"}),
            "pair: its plan in the store cannot be read; run the study again",
        ),
        ("{", "pair: its plan in the store cannot be read"),
    ]:
        file.write_text(text)
        with pytest.raises(TrackingError, match=words):
            ready.load("pair")
    file.unlink()
    with pytest.raises(TrackingError, match="pair: its plan is gone from the store; run the study again"):
        ready.load("pair")


def test_the_report_of_a_damaged_store_says_what_is_wrong(
    ready: Workplace, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ready.folder / "reports"

    def report(*more: str) -> tuple[int, str]:
        capsys.readouterr()
        return main(["--tracking-uri", ready.uri, "--out", str(out), *more]), capsys.readouterr().err

    code, error = report()
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("error: the tracking store holds no study; run one first")
    recorder = Recorder(Store.open(ready.uri))
    recorder.begin_study(PLAN)
    finish(recorder, folder, dataclasses.replace(TRIAL, last={"top1": math.nan, "loss": math.nan}))
    finish(recorder, folder, dataclasses.replace(TRIAL, trial_id="a1", seed=1))
    code, error = report("--study", "pear")
    assert (code, error.count("\n")) == (2, 1)
    assert "did you mean 'pair'" in error

    assert report() == (0, "")
    page = out / "pair" / "README.md"
    assert "- `a` seed 0: finished, but its top-1 is not a number, so it is in no mean" in page.read_text()
    first, second = ready.runs("pair")
    ready.client().delete_run(first.info.run_id)
    (Path(second.info.artifact_uri.removeprefix("file://")) / "result.json").unlink()
    assert report() == (0, "")
    text = page.read_text()
    assert "- `a` seed 0: not run" in text
    assert "- `a` seed 1: failed: its result.json is gone from the store; run it again with --force" in text
    assert "No trial has finished with an accuracy yet: nothing can be said." in text

    file = plan_file(ready)
    plan = json.loads(file.read_text())
    for content, words in (
        (
            json.dumps(plan | {"schema": SCHEMA + 1}).encode(),
            "was written by a newer version of this project",
        ),
        (b"\xff\xfe\x00", "its plan in the store cannot be read"),
    ):
        file.write_bytes(content)
        code, error = report()
        assert (code, error.count("\n")) == (2, 1)
        assert error.startswith(f"error: pair: {words}")
        assert page.read_text() == text


def test_an_unknown_study_offers_the_nearest(recorder: Recorder, store: Store) -> None:
    with pytest.raises(TrackingError, match=r"no study 'pear' in .*; did you mean 'pair'"):
        store.load_study("pear")


def test_a_deleted_experiment_is_one_line_for_run_and_report(
    ready: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    study = ready.study()
    assert ready.run(study, "--variants", "tsn").code == 0
    client = ready.client()
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    outcome = ready.run(study)
    assert outcome.code == 2
    assert outcome.err == (
        "error: experiment 'tiny' was deleted in MLflow; restore it there, or use another --tracking-uri\n"
    )
    with pytest.raises(TrackingError, match=r"experiment 'tiny' was deleted in MLflow; restore it there"):
        ready.load()
    capsys.readouterr()
    assert main(["--out", "reports"]) == 2
    said = capsys.readouterr().err
    assert (
        "the tracking store holds no study but tiny, deleted in MLflow; restore it there, or run one" in said
    )


def test_a_store_of_a_newer_mlflow_is_called_that(empty_store: Path, tmp_path: Path) -> None:
    """MLflow itself advises `mlflow db upgrade`, which does not know what to do with it."""
    file = Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("update alembic_version set version_num = 'fedcba987654'")
    with pytest.raises(TrackingError) as caught:
        Store.open(f"sqlite:///{file}")
    assert "a newer MLflow than this one" in str(caught.value)
    assert "db upgrade" not in str(caught.value)


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no tracking store .*; run a study first"):
        Store.open(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as error:
        Store.open("http://127.0.0.1:9")
    assert str(error.value).startswith(
        "tracking store http://127.0.0.1:9: Failed to establish a new connection"
    )
    assert str(error.value).endswith("Connection refused")


@pytest.mark.parametrize(
    ("name", "kind"), [("NoCredentialsError", TrackingError), ("EndpointConnectionError", StoreAwayError)]
)
def test_what_keeps_the_artifacts_elsewhere_fails_in_one_line(
    name: str, kind: type[TrackingError], store: Store
) -> None:
    """boto3's errors are none of MLflow's; tried with it too, see docs/cluster.md."""
    error = type(name, (Exception,), {"__module__": "botocore.exceptions"})
    with pytest.raises(TrackingError) as caught, store.connection.named_errors():
        raise error("Unable to locate it\nat all")
    assert type(caught.value) is kind
    assert str(caught.value).endswith(f": its artifacts: {name}: Unable to locate it")


def test_a_server_that_fails_says_where_the_reason_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one without boto3 does that keeps its artifacts in S3."""

    class Failing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(500)

        def log_message(self, *words: object) -> None:
            pass

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with HTTPServer(("127.0.0.1", 0), Failing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(StoreAwayError) as error:
            Store.open(uri)
        server.shutdown()
    assert (
        str(error.value) == f"tracking store {uri}: the server cannot do it (HTTP 500); its own log says why"
    )


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql://me:s3cret@db/x", "postgresql://me:***@db/x"),
        ("https://me:p%40ss@host:80/", "https://me:***@host:80/"),
        ("https://tokentoken@host/", "https://***@host/"),
        ("http://me:s3/cr@et@host:5000/", "http://me:***@host:5000/"),
        ("sqlite:////a/b@c.db", "sqlite:////a/b@c.db"),
        ("http://host:5000", "http://host:5000"),
        ("postgresql://db/x?user=me&password=s3c%2Fret&x=1", "postgresql://db/x?user=me&password=***&x=1"),
        ("https://host/?access_token=abc", "https://host/?access_token=***"),
    ],
)
def test_a_password_in_an_address_is_never_shown(uri: str, shown: str) -> None:
    assert without_secrets(uri, uri) == shown


def test_a_store_that_cannot_be_reached_does_not_print_its_password() -> None:
    with pytest.raises(TrackingError) as error:
        Store.open("postgresql://me:s3cret@127.0.0.1:9/x")
    assert "s3cret" not in str(error.value)
    assert error.value.__cause__ is None  # nor does a traceback
