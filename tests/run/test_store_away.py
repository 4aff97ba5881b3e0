"""A store that is away for a while: trials go on, results wait on the disk, and nothing is lost or told twice."""

from __future__ import annotations

import contextlib
import threading
import time
from pathlib import Path

import pytest
from builders.clusters import mlflow_server, up
from builders.place import TINY, Workplace
from builders.processes import free_port

from harness.errors import StoreAwayError, TrackingError
from harness.run import outbox
from harness.run.outbox import Outbox

pytestmark = pytest.mark.usefixtures("no_trial_figures")


def test_calls_wait_in_order_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "_AGAIN", 0.0)
    said: list[str] = []
    made: list[str] = []
    away = True

    def call(name: str) -> str:
        if away:
            raise StoreAwayError("tracking store x: gone")
        made.append(name)
        return name

    box = Outbox(60.0, said.append)
    assert [box.put(lambda name=name: call(name), "later") for name in "ab"] == ["later", "later"]
    assert said == ["tracking store x: gone; waiting for it: trials go on, results wait in the data folder"]
    away = False
    assert box.put(lambda: call("c"), "later") == "c"
    assert made == ["a", "b", "c"]
    assert said[1:] == ["the tracking store is back, and has all that waited"]
    away = True
    box.put(lambda: call("d"), "")
    away = False
    box.drain()
    assert made == ["a", "b", "c", "d"]


def test_a_store_that_is_away_for_too_long_ends_the_run_and_what_it_refuses_does_at_once() -> None:
    box = Outbox(0.0, lambda text: pytest.fail(text))

    def gone() -> None:
        raise StoreAwayError("tracking store x: gone")

    with pytest.raises(
        TrackingError, match=r"gone \(--wait-for-store 0\); what is trained waits in the data folder"
    ):
        box.put(gone, None)

    def refuses() -> None:
        raise TrackingError("no such thing")

    with pytest.raises(TrackingError, match=r"^no such thing$"):
        Outbox(60.0, print).put(refuses, None)


def test_a_store_that_goes_away_in_a_study_has_all_of_it_in_the_end(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder has another name from the first epoch on until the last trial has ended."""
    from harness.run.watch import Watch

    monkeypatch.setattr(outbox, "_AGAIN", 0.1)
    study = ready.study()
    file, hidden = ready.folder / "mlflow.db", ready.folder / "hidden.db"
    epoch, finish = Watch.epoch, Watch.finish

    def leave(self: Watch, *args: object) -> None:
        if file.exists():
            file.rename(hidden)
            file.mkdir()  # which cannot be opened
        epoch(self, *args)  # type: ignore[arg-type]

    def come_back(self: Watch) -> None:
        folders = sorted((ready.data / "trials").glob("*/result.json"))
        assert len(folders) == 2
        file.rmdir()
        hidden.rename(file)
        finish(self)

    monkeypatch.setattr(
        Watch, "epoch", lambda self, *args: leave(self, *args) if not hidden.exists() else epoch(self, *args)
    )
    monkeypatch.setattr(Watch, "finish", come_back)
    result = ready.run(study)
    assert (result.code, result.err) == (0, "")
    assert result.out.count("waiting for it: trials go on, results wait in the data folder") == 1
    assert "note     the tracking store is back, and has all that waited\n" in result.out
    assert [trial.status for trial in ready.load().trials] == ["done", "done"]
    for run in ready.runs():
        assert [p.step for p in ready.client().get_metric_history(run.info.run_id, "val/top1")] == [1]
    assert not list((ready.data / "trials").iterdir())


def test_a_store_that_is_away_when_the_last_trial_has_ended_is_waited_for(
    ready: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a study with parts, others are to follow: what a plan and a table need of the store waits for it too."""
    from harness.run.watch import Watch

    monkeypatch.setattr(outbox, "_AGAIN", 0.1)
    study = ready.study(variants={"tsn": TINY["variants"]["tsn"]})
    file, hidden = ready.folder / "mlflow.db", ready.folder / "hidden.db"
    finish = Watch.finish

    def come_back() -> None:
        file.rmdir()
        hidden.rename(file)

    back = threading.Timer(1.0, come_back)

    def leave(self: Watch) -> None:
        finish(self)
        file.rename(hidden)
        file.mkdir()
        back.start()

    monkeypatch.setattr(Watch, "finish", leave)
    result = ready.run(study)
    back.join()
    assert (result.code, result.err) == (0, "")
    assert "; waiting for it\n" in result.out  # and no trial goes on
    assert [trial.status for trial in ready.load().trials] == ["done"]


def test_a_number_of_minutes_is_one(place: Workplace) -> None:
    result = place.run(Path("study.yaml"), "--wait-for-store", "soon")
    assert result.code == 2
    assert "argument --wait-for-store: 'soon' is no number of minutes, 0 or more" in result.err


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_has_all_of_the_study(ready: Workplace) -> None:
    port = free_port()
    ready.uri = f"http://127.0.0.1:{port}"
    study = ready.study(train={**TINY["train"], "epochs": 4})
    with mlflow_server(ready.folder, port):
        up(port)
        process = ready.start(study, "--serial")
        end = time.monotonic() + 120
        while time.monotonic() < end:
            assert process.poll() is None, process.communicate()
            with contextlib.suppress(Exception):
                if ready.runs():
                    break
            time.sleep(0.1)
    time.sleep(15)
    assert process.poll() is None, process.communicate()
    with mlflow_server(ready.folder, port):
        out, err = process.communicate(timeout=300)
        assert (process.returncode, err) == (0, ""), out
        assert "waiting for it: trials go on, results wait in the data folder" in out
        assert [trial.status for trial in ready.load().trials] == ["done", "done"]
        assert [run.info.status for run in ready.runs()] == ["FINISHED"] * 2
        for run in ready.runs():
            for metric in run.data.metrics:
                steps = [point.step for point in ready.client().get_metric_history(run.info.run_id, metric)]
                assert len(steps) == len(set(steps)), metric
