"""The store at its edges: kills between any two calls, odd names and places, other programs, and other drivers."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from builders.place import ROOT, Workplace
from builders.tracked import COST, PLAN, SETTINGS, TRIAL, finish, start
from mlflow.tracking import MlflowClient

from harness.errors import TrackingError
from harness.tracking import drivers
from harness.tracking.metrics import metric_name, metric_names
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store

MODEL = SETTINGS["model"] | {"backbone": "tiny"}
NETWORK: dict[str, Any] = SETTINGS | {"model": MODEL, "data": {"num_frames": 4, "crop": 16}}


class KilledError(BaseException):
    """What a SIGKILL is in these tests."""


def counted(name: str, call: Callable[..., Any], made: list[str], last: int) -> Callable[..., Any]:
    """The call, which the process does not outlive where it is the last one."""

    def wrapper(*args: Any, **more: Any) -> Any:
        result = call(*args, **more)
        made.append(name)
        if len(made) == last:
            raise KilledError
        return result

    return wrapper


@contextlib.contextmanager
def killed_after(calls: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A process that is gone after so many calls of MLflow's client that write."""
    made: list[str] = []
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    writing = ("create_", "set_", "log_", "update_", "delete_", "finalize_")
    with monkeypatch.context() as patch:
        for place in ("recorder", "writing"):
            patch.setattr(
                f"harness.tracking.{place}.this_driver", lambda: f"{socket.gethostname()}:{ended.pid}"
            )
        for name in [name for name in dir(MlflowClient) if name.startswith(writing)]:
            patch.setattr(MlflowClient, name, counted(name, getattr(MlflowClient, name), made, calls))
        yield made


def a_study(place: Workplace, folder: Path) -> None:
    """As a process of its own would track it, with its network."""
    recorder = Recorder(Store.open(place.uri))
    recorder.begin_study(PLAN)
    start(recorder)
    for entry in TRIAL.history:
        recorder.log_epoch("a0", entry)
    recorder.end_trial(TRIAL, folder, PLAN.classes, NETWORK)


def test_a_kill_after_any_call_leaves_nothing_running_and_nothing_twice(
    ready: Workplace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.plots.confusion_matrix", lambda path, *rest: path.write_bytes(b""))
    (folder / "model.pt").write_bytes(b"weights")
    database = ready.folder / "mlflow.db"
    empty = database.read_bytes()
    with killed_after(-1, monkeypatch) as made:
        a_study(ready, folder)
    assert len(made) > 15
    for calls in range(1, len(made) + 1):
        database.write_bytes(empty)
        shutil.rmtree(ready.folder / "mlruns", ignore_errors=True)
        with killed_after(calls, monkeypatch), contextlib.suppress(KilledError):
            a_study(ready, folder)
        a_study(ready, folder)
        what = f"after {calls}: {made[calls - 1]}"
        client = ready.client()
        experiment = client.get_experiment_by_name("pair").experiment_id
        runs = client.search_runs([experiment])
        assert Counter(run.info.status for run in runs) == {"FINISHED": 2}, what
        assert sorted(run.data.tags["mixtbench.kind"] for run in runs) == ["summary", "trial"], what
        assert len(client.search_logged_models([experiment])) == 1, what
        for run in runs:
            for name in run.data.metrics:
                steps = [point.step for point in client.get_metric_history(run.info.run_id, name)]
                assert len(steps) == len(set(steps)), (what, name)
        (trial,) = [trial for trial in ready.load("pair").trials if trial.status == "done"]
        assert trial.history == TRIAL.history, what


def test_a_trial_that_was_begun_keeps_its_cost_where_the_latency_was_measured_anew(
    recorder: Recorder, ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dataclasses.replace(COST, latency_ms=[40.0, 41.0, 42.0])
    gone = Recorder(Store.open(ready.uri))
    gone.begin_study(PLAN)
    with killed_after(2, monkeypatch) as made, pytest.raises(KilledError):  # with its cost, and not more yet
        gone.start_trial("a0", "tsn", 0, SETTINGS, first, {})
    assert made == ["create_run", "log_batch"]
    anew = dataclasses.replace(COST, latency_ms=[30.0, 31.0, 32.0])
    recorder.start_trial("a0", "tsn", 0, SETTINGS, anew, {})
    (run,) = ready.runs("pair")
    told = {name: ready.client().get_metric_history(run.info.run_id, name) for name in run.data.metrics}
    assert told
    assert {name: len(points) for name, points in told.items()} == dict.fromkeys(told, 1)


def test_a_process_that_has_the_number_of_a_driver_is_not_it(recorder: Recorder, ready: Workplace) -> None:
    start(recorder)
    (run,) = ready.runs("pair")
    host, pid, started = run.data.tags["mixtbench.driver"].split(":")
    assert (host, pid) == (socket.gethostname(), str(os.getpid()))
    for driver, alive in (
        (f"{host}:{os.getppid()}", True),
        (f"{host}:{os.getppid()}:{started}1", False),
        (host, False),
        (f"{host}:x:y", False),  # somebody wrote it by hand
    ):
        ready.client().set_tag(run.info.run_id, "mixtbench.driver", driver)
        assert drivers.is_alive(ready.client().get_run(run.info.run_id)) == alive


def test_a_trial_that_another_driver_runs_is_refused_whatever_its_data_folder(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    start(recorder)
    (run,) = ready.runs("pair")
    client = ready.client()
    client.set_tag(run.info.run_id, "mixtbench.driver", "elsewhere:17:5")
    other = Recorder(Store.open(ready.uri))
    other.begin_study(PLAN)
    with pytest.raises(
        TrackingError, match="a seed=0 is being run by elsewhere:17 in this store; wait for it"
    ):
        start(other)
    client.set_tag(run.info.run_id, "mixtbench.seen", "1000")  # long ago
    other.begin_study(PLAN)
    finish(other, folder)
    assert [run.info.status for run in ready.runs("pair")] == ["FINISHED"]


def test_a_driver_that_was_stopped_for_too_long_leaves_the_run_to_the_one_that_took_it_over(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    start(recorder)
    (run,) = ready.runs("pair")
    ready.client().set_tag(run.info.run_id, "mixtbench.driver", "elsewhere:17:5")
    with pytest.raises(TrackingError, match="a seed=0 is being run by elsewhere:17 in this store"):
        recorder.end_trial(TRIAL, folder, PLAN.classes)
    recorder.stop_running()
    assert [run.info.status for run in ready.runs("pair")] == ["RUNNING"]


def test_a_driver_is_the_same_where_its_host_has_another_name_meanwhile(
    recorder: Recorder, folder: Path, ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a laptop has that is carried to another network."""
    start(recorder)
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    recorder.end_trial(TRIAL, folder, PLAN.classes)
    assert [run.info.status for run in ready.runs("pair")] == ["FINISHED"]


def test_of_two_that_begin_a_trial_at_once_none_writes_into_the_others_run(
    recorder: Recorder, ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = MlflowClient.create_run

    def both(self: MlflowClient, experiment: str, **more: Any) -> Any:
        other = dict(more["tags"], **{"mixtbench.driver": "elsewhere:17:5"})
        make(self, experiment, **{**more, "tags": other})
        return make(self, experiment, **more)

    monkeypatch.setattr(MlflowClient, "create_run", both)
    with pytest.raises(TrackingError, match="being run by elsewhere:17"):
        start(recorder)
    status = {run.data.tags["mixtbench.driver"].split(":")[0]: run.info.status for run in ready.runs("pair")}
    assert status == {"elsewhere": "RUNNING", socket.gethostname(): "KILLED"}


FIRST = """
import sys
from harness.tracking.store import Store
from harness.tracking.recorder import Recorder
from builders.tracked import PLAN
Recorder(Store.open(sys.argv[1], create=True)).begin_study(PLAN)
"""


def test_two_first_starts_on_one_new_file_make_one_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'new.db'}"
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    command = [sys.executable, "-c", FIRST, uri]
    started = [
        subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 2
    store = Store.open(uri)
    assert store.studies() == ["pair"]
    runs = store.connection.runs(store.experiment_id("pair"), "tags.`mixtbench.kind` = 'summary'")
    assert len(runs) == 1


def test_an_experiment_of_another_program_is_left_alone(ready: Workplace) -> None:
    ready.client().create_experiment("tiny")
    result = ready.run(ready.study())
    assert result.code == 2
    assert result.err == (
        f"error: experiment 'tiny' in {ready.uri} was made by another program; "
        "rename it there or the study's file, or use another --tracking-uri\n"
    )
    assert ready.client().search_runs([ready.client().get_experiment_by_name("tiny").experiment_id]) == []


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE birds (name TEXT)")
        database.commit()
    before = file.read_bytes()
    for create in (True, False):
        with pytest.raises(TrackingError, match=r"other\.db belongs to another program; name another"):
            Store.open(f"sqlite:///{file}", create=create)
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", ["run #1", "q?z", "x%20y", "a b", "ü"])
def test_a_folder_of_any_name_holds_the_store_and_all_its_artifacts(
    ready: Workplace, folder: Path, name: str
) -> None:
    place = ready.folder / "places" / name
    place.mkdir(parents=True)
    shutil.copy(ready.folder / "mlflow.db", place / "mlflow.db")
    (folder / "model.pt").write_bytes(b"weights")
    uri = f"sqlite:///{place / 'mlflow.db'}"
    recorder = Recorder(Store.open(uri, create=True))
    recorder.begin_study(PLAN)
    start(recorder)
    recorder.end_trial(TRIAL, folder, PLAN.classes, NETWORK)
    loaded = Store.open(uri).load_study("pair")
    assert [trial.status for trial in loaded.trials] == ["done", "missing"]
    assert [path.name for path in place.parent.iterdir()] == [name]
    assert sorted(path.name for path in place.iterdir()) == ["mlflow.db", "mlflow.db.lock", "mlruns"]
    assert list(place.glob("mlruns/*/artifacts/scores.npz"))
    assert list(place.glob("mlruns/models/*/artifacts/MLmodel"))


def test_a_store_that_was_moved_says_from_where_and_how_to_go_on(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    old = ready.folder / "old place"
    new = ready.folder / "new place"
    Store.open(f"sqlite:///{_made(old) / 'mlflow.db'}", create=True)
    recorder = Recorder(Store.open(f"sqlite:///{old / 'mlflow.db'}"))
    recorder.begin_study(PLAN)
    finish(recorder, folder)
    old.rename(new)
    uri = f"sqlite:///{new / 'mlflow.db'}"
    with pytest.raises(TrackingError, match=f"was moved here from {old}, where MLflow looks") as caught:
        Store.open(uri).load_study("pair")
    with pytest.raises(TrackingError, match="was moved here"):
        Recorder(Store.open(uri, create=True)).begin_study(PLAN)
    assert not old.exists()
    link = str(caught.value).rpartition("be found there: ")[2]
    subprocess.run(link, shell=True, check=True)
    assert Store.open(uri).load_study("pair").trials[0].status == "done"


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_names_of_metrics_are_allowed_and_never_two_alike() -> None:
    """Four classes that differ in punctuation, one of 251 letters and its neighbour, and paths that are none."""
    classes = ["a!", "a?", "a*", "a_", "b" * 251, "b" * 252, "x//y", "../z", ".", ""]
    names = metric_names(f"class/{name}" for name in classes)
    assert len(set(names.values())) == len(classes)
    assert all(len(name) <= 250 for name in names.values())
    assert [names[f"class/{name}"] for name in classes[:4]] == [
        "class/a_",
        "class/a_.2",
        "class/a_.3",
        "class/a_.4",
    ]
    assert metric_name("class/left") == "class/left"


def test_classes_of_any_name_can_be_tracked(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    import dataclasses

    classes = {"a!": 1.0, "a?": 2.0, "b" * 251: 3.0, "x//y": 4.0, "../z": 5.0, "": 6.0, "ü\n": 7.0}
    finish(recorder, folder, dataclasses.replace(TRIAL, per_class=classes))
    (run,) = ready.runs("pair")
    found = [value for name, value in run.data.metrics.items() if name.startswith("class/")]
    assert sorted(found) == sorted(classes.values())
    assert ready.load("pair").trials[0].per_class == classes
    assert COST.params_added == run.data.metrics["cost/params_added"]
