"""What a plain MLflow client finds of a study and its trials, told once, twice or in pieces."""

from __future__ import annotations

import csv
import dataclasses
import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from builders.place import TINY, Workplace
from builders.tracked import COST, PLAN, SETTINGS, TRIAL, finish, start

from harness.records import TrialRecord
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store


def test_a_plain_client_finds_a_flat_run_with_all_there_is_to_know(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    client = ready.client()
    experiment = client.get_experiment_by_name("pair")
    assert experiment.tags["mlflow.note.content"].startswith("**Left or right?**")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["a-s0", "summary"]
    assert not any("mlflow.parentRunId" in run.data.tags for run in runs)
    run = next(run for run in runs if run.info.run_name == "a-s0")
    assert run.info.status == "FINISHED"
    assert run.data.params == {
        "variant": "a",
        "seed": "0",
        "model.operator.name": "shift",
        "model.operator.fold": "8",
        "train.milestones": "[1, 2]",
    }
    tags = run.data.tags
    assert (tags["variant"], tags["seed"], tags["mixtbench.trial_id"]) == ("a", "0", "a0")
    assert (tags["device"], tags["commit"], tags["mlflow.source.git.commit"]) == ("cpu", "c0ffee", "c0ffee")
    metrics = run.data.metrics
    assert (metrics["val/top1"], metrics["train/lr"]) == (37.5, 5e-6)  # the last epoch's, small numbers kept
    assert (metrics["best/top1"], metrics["best/epoch"], metrics["class/left"]) == (75.0, 1.0, 100.0)
    assert (metrics["cost/params_added"], metrics["cost/macs_added_g"]) == (39_360, 0.134873)
    assert (metrics["cost/latency_ms"], metrics["memory/peak_mib"]) == (8.0, 12.0)
    assert metrics["time/trial_s"] == 3.0
    history = client.get_metric_history(run.info.run_id, "val/top1")
    assert [(m.step, m.value) for m in history] == [(1, 75.0), (2, 37.5)]


def test_the_artifacts_of_a_trial_are_readable(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    finish(recorder, folder)
    client, (run,) = ready.client(), ready.runs("pair")
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names >= {"settings.yaml", "result.json", "scores.npz", "predictions.csv", "confusion_matrix.png"}
    there = Path(client.download_artifacts(run.info.run_id, "", str(ready.folder / "trial")))
    assert yaml.safe_load((there / "settings.yaml").read_text()) == SETTINGS
    with (there / "predictions.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"clip": "x", "label": "left", "predicted": "left", "right": "1"},
            {"clip": "y", "label": "right", "predicted": "left", "right": "0"},
        ]
    assert np.array_equal(np.load(there / "scores.npz")["scores"], np.eye(2))
    assert (there / "confusion_matrix.png").read_bytes().startswith(b"\x89PNG")


def test_the_summary_run_carries_plan_costs_and_report(recorder: Recorder, ready: Workplace) -> None:
    (ready.folder / "report").mkdir()
    (ready.folder / "report" / "report.md").write_text("# all is well")
    recorder.attach_report("pair", ready.folder / "report")
    client = ready.client()
    experiment = client.get_experiment_by_name("pair")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'summary'")
    assert run.data.metrics["cost/latency_ms/a"] == 8.0
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"study.json", "report"}


def test_planning_twice_leaves_one_summary_and_one_point_a_cost(recorder: Recorder, ready: Workplace) -> None:
    recorder.begin_study(PLAN)
    client = ready.client()
    experiment = client.get_experiment_by_name("pair")
    (run,) = client.search_runs([experiment.experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "cost/latency_ms/a")) == 1


def test_an_epoch_told_twice_is_logged_once(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    start(recorder)
    new = [recorder.log_epoch("a0", entry) for entry in [*TRIAL.history, *TRIAL.history]]
    assert new == [True, True, False, False]
    recorder.end_trial(TRIAL, folder, PLAN.classes)
    (run,) = ready.runs("pair")
    assert len(ready.client().get_metric_history(run.info.run_id, "val/top1")) == 2


def test_epochs_that_were_never_told_are_logged_with_the_result(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    start(recorder)
    recorder.end_trial(TRIAL, folder, PLAN.classes)  # a driver killed before the trial told it of its epochs
    (run,) = ready.runs("pair")
    steps = [m.step for m in ready.client().get_metric_history(run.info.run_id, "val/top1")]
    assert steps == [1, 2]


def test_a_stopped_trial_goes_on_in_the_same_run(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    start(recorder)
    recorder.log_epoch("a0", TRIAL.history[0])
    recorder.stop_running()
    (run,) = ready.runs("pair")
    assert run.info.status == "KILLED"
    loaded = ready.load("pair").trials[0]
    assert loaded.status == "running"
    assert loaded.reason == "stopped after epoch 1; run the study again to go on"
    finish(recorder, folder)
    (again,) = ready.runs("pair")
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")


def test_a_run_whose_process_is_gone_is_closed(recorder: Recorder, ready: Workplace) -> None:
    start(recorder)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (run,) = ready.runs("pair")
    ready.client().set_tag(run.info.run_id, "mixtbench.driver", f"{socket.gethostname()}:{ended.pid}")
    assert ready.load("pair").trials[0].reason.startswith("stopped after epoch 0")
    Recorder(Store.open(ready.uri)).begin_study(PLAN)
    assert ready.runs("pair")[0].info.status == "KILLED"


def test_a_run_on_another_machine_is_left_alone(recorder: Recorder, ready: Workplace) -> None:
    start(recorder)
    (run,) = ready.runs("pair")
    ready.client().set_tag(run.info.run_id, "mixtbench.driver", "elsewhere:1")
    assert ready.load("pair").trials[0].reason.startswith("running after epoch 0")
    Recorder(Store.open(ready.uri)).begin_study(PLAN)
    assert ready.runs("pair")[0].info.status == "RUNNING"


def test_a_failed_trial_keeps_its_reason_and_traceback(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    (folder / "traceback.txt").write_text("Traceback: x")
    failed = TrialRecord(trial_id="a0", variant="a", seed=0, status="failed", reason="ValueError: no idea")
    finish(recorder, folder, failed)
    loaded = ready.load("pair").trials[0]
    assert (loaded.status, loaded.reason) == ("failed", "ValueError: no idea")
    assert store.done("pair") == {}
    finish(recorder, folder)
    assert ready.load("pair").trials[0].status == "done"
    assert len(ready.runs("pair")) == 1


def test_a_result_stands_until_the_new_one_is_there(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    start(recorder)  # run again by --force, and stopped
    recorder.stop_running()
    assert ready.load("pair").trials[0].status == "done"
    assert "a0" in store.done("pair")
    finish(recorder, folder)
    assert [run.info.status for run in ready.runs("pair")] == ["FINISHED"]


def test_names_that_mlflow_refuses_are_spelled_another_way(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    odd = dataclasses.replace(TRIAL, per_class={"a|b, c": 1.0})
    finish(recorder, folder, odd)
    assert ready.runs("pair")[0].data.metrics["class/a_b_ c"] == 1.0


def test_the_whole_of_a_small_study_is_tracked(ready: Workplace) -> None:
    assert ready.run(ready.study()).code == 0
    (ks13, _) = ready.runs()
    assert ks13.data.params["model.operator.kernel_sizes"] == "[1, 3]"
    assert ks13.data.params["data.dataset.train_clips"] == str(TINY["data"]["dataset"]["train_clips"])
    metrics, tags = set(ks13.data.metrics), set(ks13.data.tags)
    assert metrics >= {"train/loss", "val/loss", "val/top1", "val/top5", "group/short", "group/static"}
    assert tags >= {"torch", "ray", "mlflow", "decord", "python", "commit", "device", "threads"}


def test_a_doubtful_latency_says_so_beside_its_number(recorder: Recorder, ready: Workplace) -> None:
    busy = dataclasses.replace(COST, warnings=["load: 3 other processes were busy"])
    recorder.start_trial("a0", "a", 0, SETTINGS, busy, {})
    recorder.start_trial("a1", "a", 1, SETTINGS, COST, {})
    assert {run.info.run_name: run.data.tags["latency"] for run in ready.runs("pair")} == {
        "a-s0": "doubtful",
        "a-s1": "measured",
    }


def test_the_data_set_is_an_input_with_its_fingerprint(recorder: Recorder, ready: Workplace) -> None:
    card = {"name": "generated", "fingerprint": "d3802ab9" * 8, "training clips": 32}
    recorder.start_trial("a0", "a", 0, SETTINGS, COST, {}, card)
    (found,) = ready.runs("pair")[0].inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("generated", ("d3802ab9" * 8)[:36])
    assert json.loads(found.dataset.source)["fingerprint"] == "d3802ab9" * 8
    assert json.loads(found.dataset.profile) == {"training clips": 32}


def test_a_new_report_leaves_no_artifact_of_the_old_one(
    recorder: Recorder, store: Store, ready: Workplace
) -> None:
    for name in ("old.png", "new.png"):
        (ready.folder / name).mkdir()
        (ready.folder / name / name).write_bytes(b"")
        recorder.attach_report("pair", ready.folder / name)
    items = ready.client().list_artifacts(store.summary_id("pair"), "report")
    assert [item.path for item in items] == ["report/new.png"]


def test_every_metric_of_a_trial_stands_in_a_section(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    (run,) = ready.runs("pair")
    assert [name for name in run.data.metrics if "/" not in name] == []


def test_asking_about_another_study_does_not_move_the_next_write(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    other = Recorder(store)
    other.begin_study(dataclasses.replace(PLAN, name="other"))
    assert store.done("other") == {}
    other.attach_report("other", folder)
    recorder.attach_report("other", folder)
    store.load_study("other")
    finish(recorder, folder)
    assert [run.info.run_name for run in ready.runs("pair")] == ["a-s0"]
    assert ready.runs("other") == []


def test_the_store_gets_validation_only_where_there_was_one(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    history = [{"epoch": 1.0, "train/loss": 2.0}, {"epoch": 2.0, "train/loss": 1.0, "val/top1": 50.0}]
    finish(recorder, folder, dataclasses.replace(TRIAL, history=history))
    (run,) = ready.runs("pair")
    client = ready.client()
    steps = {
        name: [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
        for name in ("train/loss", "val/top1")
    }
    assert steps == {"train/loss": [1, 2], "val/top1": [2]}
