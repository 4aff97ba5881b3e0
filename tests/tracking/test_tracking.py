"""The store: what a plain MLflow client finds in it, and what a report gets back from it."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from builders.place import ROOT, TINY, Workplace

from harness.errors import TrackingError
from harness.records import SCHEMA, CostRecord, StudyRecord, TrialRecord
from harness.report.__main__ import main
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store

TRIAL = TrialRecord(
    trial_id="a0", variant="a", seed=0, status="done",
    last={"top1": 50.0, "top5": 100.0, "loss": 0.7},
    best={"epoch": 1.0, "top1": 75.0},
    per_class={"left": 100.0, "right": 0.0},
    history=[{"epoch": e, "val/top1": 75.0 / e, "train/lr": 1e-5 / e} for e in (1.0, 2.0)],
    predictions={"clip": ["x", "y"], "label": [0, 1], "predicted": [0, 0]},
    environment={"device": "cpu", "commit": "c0ffee", "peak_memory_mib": "12"},
    seconds=3.0,
)  # fmt: skip
COST = CostRecord(
    geometry={"backbone": "resnet50"},
    params_total=23_864_558,
    params_added=39_360,
    macs_total=32_831_963_136,
    macs_added=134_873_088,
    latency_ms=[9.0, 7.0, 8.0],
)
SETTINGS = {"model": {"operator": {"name": "shift", "fold": 8}}, "train": {"milestones": [1, 2]}}
PLAN = StudyRecord(
    name="pair", question="Left or right?", source="a paper", reference="", baseline="a",
    variants=["a"], seeds=[0, 1], settings={"a": SETTINGS}, differs={"a": {}}, protocol={"epochs": "2"},
    classes=["left", "right"], groups=["short", "short"],
    trials=[TrialRecord(trial_id=f"a{s}", variant="a", seed=s, status="missing") for s in (0, 1)],
    costs={"a": COST},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trial's folder, as training leaves it."""
    made = tmp_path / "trial"
    made.mkdir()
    np.savez_compressed(made / "scores.npz", scores=np.eye(2, dtype=np.float32))
    return made


@pytest.fixture
def store(ready: Workplace) -> Store:
    return Store.open(ready.uri)


@pytest.fixture
def recorder(store: Store) -> Recorder:
    made = Recorder(store)
    made.begin_study(PLAN)
    return made


def start(recorder: Recorder, trial: TrialRecord = TRIAL) -> None:
    recorder.start_trial(trial.trial_id, trial.variant, trial.seed, SETTINGS, COST, trial.environment)


def finish(recorder: Recorder, folder: Path, trial: TrialRecord = TRIAL) -> None:
    start(recorder, trial)
    for entry in trial.history:
        recorder.log_epoch(trial.trial_id, entry)
    recorder.end_trial(trial, folder, PLAN.classes)


def test_a_trial_goes_through_the_store_unchanged(
    recorder: Recorder, store: Store, folder: Path, ready: Workplace
) -> None:
    finish(recorder, folder)
    loaded = ready.load("pair")
    assert dataclasses.replace(loaded.trials[0], run_id="") == TRIAL
    assert loaded.trials[1] == PLAN.trials[1]  # missing
    assert dataclasses.replace(loaded, trials=PLAN.trials) == PLAN
    assert store.done("pair") == {"a0": loaded.trials[0].run_id}
    assert store.studies() == ["pair"]


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
        "variant": "a", "seed": "0", "model.operator.name": "shift", "model.operator.fold": "8",
        "train.milestones": "[1, 2]",
    }  # fmt: skip
    tags = run.data.tags
    assert (tags["variant"], tags["seed"], tags["mixtbench.trial_id"]) == ("a", "0", "a0")
    assert (tags["device"], tags["commit"], tags["mlflow.source.git.commit"]) == ("cpu", "c0ffee", "c0ffee")
    metrics = run.data.metrics
    assert (metrics["val/top1"], metrics["train/lr"]) == (37.5, 5e-6)  # the last epoch's, small numbers kept
    assert (metrics["best/top1"], metrics["best/epoch"], metrics["class/left"]) == (75.0, 1.0, 100.0)
    assert (metrics["cost/params_added"], metrics["cost/macs_added_g"]) == (39_360, 0.134873)
    assert (metrics["cost/latency_ms"], metrics["memory/peak_mib"], metrics["time/trial_s"]) == (
        8.0,
        12.0,
        3.0,
    )
    assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "val/top1")] == [
        (1, 75.0),
        (2, 37.5),
    ]


def test_the_artifacts_of_a_trial_are_readable(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    finish(recorder, folder)
    client, (run,) = ready.client(), ready.runs("pair")
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names >= {
        "settings.yaml", "result.json", "scores.npz", "predictions.csv", "confusion_matrix.png", "curves.png",
    }  # fmt: skip
    there = Path(client.download_artifacts(run.info.run_id, "", str(ready.folder / "trial")))
    assert yaml.safe_load((there / "settings.yaml").read_text()) == SETTINGS
    with (there / "predictions.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"clip": "x", "label": "left", "predicted": "left", "right": "1"},
            {"clip": "y", "label": "right", "predicted": "left", "right": "0"},
        ]
    assert np.array_equal(np.load(there / "scores.npz")["scores"], np.eye(2))
    assert (there / "curves.png").read_bytes().startswith(b"\x89PNG")


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
    assert [recorder.log_epoch("a0", entry) for entry in [*TRIAL.history, *TRIAL.history]] == [
        True,
        True,
        False,
        False,
    ]
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
    assert (loaded.status, loaded.reason) == (
        "running",
        "stopped after epoch 1; run the study again to go on",
    )
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


def test_a_deleted_experiment_is_one_line_for_run_and_report(ready: Workplace) -> None:
    study = ready.study()
    assert ready.run(study, "--variants", "tsn").code == 0
    client = ready.client()
    client.delete_experiment(client.get_experiment_by_name("tiny").experiment_id)
    outcome = ready.run(study)
    assert outcome.code == 2
    assert outcome.err == (
        "error: experiment 'tiny' was deleted in MLflow; restore it there, or use another --tracking-uri\n"
    )
    with pytest.raises(TrackingError, match=r"no study 'tiny' in .*; the store holds no study"):
        ready.load()


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"no tracking store .*; run a study first"):
        Store.open(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError) as error:
        Store.open("http://127.0.0.1:9")
    assert str(error.value).startswith("tracking store http://127.0.0.1:9: ")
    assert "\n" not in str(error.value)


def test_names_that_mlflow_refuses_are_spelled_another_way(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    odd = dataclasses.replace(TRIAL, per_class={"a|b, c": 1.0})
    finish(recorder, folder, odd)
    assert ready.runs("pair")[0].data.metrics["class/a_b_ c"] == 1.0


def ui(place: Workplace, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness.ui", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_pages_of_an_empty_store_are_not_served(ready: Workplace) -> None:
    done = ui(ready, "--tracking-uri", ready.uri)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no study in sqlite:///")
    assert done.stderr.count("\n") == 1


def test_a_port_in_use_is_one_line(recorder: Recorder, ready: Workplace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = ui(ready, "--tracking-uri", ready.uri, "--port", str(port))
    assert (done.returncode, done.stderr) == (
        2,
        f"error: --port {port}: cannot be used here; try --port {port + 1}\n",
    )


def test_the_whole_of_a_small_study_is_tracked(ready: Workplace) -> None:
    assert ready.run(ready.study()).code == 0
    (ks13, _) = ready.runs()
    assert ks13.data.params["model.operator.kernel_sizes"] == "[1, 3]"
    assert ks13.data.params["data.dataset.train_clips"] == str(TINY["data"]["dataset"]["train_clips"])
    assert {"train/loss", "val/loss", "val/top1", "val/top5", "group/short", "group/static"} <= set(
        ks13.data.metrics
    )
    assert {"torch", "ray", "mlflow", "decord", "python", "commit", "device", "threads"} <= set(
        ks13.data.tags
    )


NETWORK = {
    "model": {
        "backbone": "resnet_tiny", "operator": {"name": "depthwise", "kernel_size": 3}, "stages": [1, 2],
        "dropout": 0.2, "weights": "/gone/imagenet.pth",
    },
    "data": {"num_frames": 4, "crop": 16},
}  # fmt: skip


def test_a_trained_network_loads_back_and_scores_the_same(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    import mlflow
    import torch

    from harness.data import normalise
    from harness.model.config import ModelConfig
    from harness.model.mstnet import MSTNet

    model = {**NETWORK["model"], "stages": (1, 2), "weights": ""}
    trained = MSTNet(ModelConfig(**model), 4, 2, seed=7).eval()
    torch.save(trained.state_dict(), folder / "model.pt")
    start(recorder)
    recorder.end_trial(TRIAL, folder, PLAN.classes, NETWORK)
    client, (run,) = ready.client(), ready.runs("pair")
    (kept,) = client.search_logged_models([run.info.experiment_id])
    assert (kept.name, kept.source_run_id, str(kept.status)) == ("a-s0", run.info.run_id, "READY")
    assert [output.model_id for output in run.outputs.model_outputs] == [kept.model_id]
    loaded = mlflow.pyfunc.load_model(kept.artifact_location)
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 3, 16, 16), dtype=np.uint8)
    with torch.no_grad():
        expected = trained(normalise(torch.from_numpy(clips))).numpy()
    assert np.array_equal(loaded.predict(clips), expected)
    inputs, outputs = loaded.metadata.signature.inputs.inputs, loaded.metadata.signature.outputs.inputs
    assert (inputs[0].type, inputs[0].shape) == (np.dtype("uint8"), (-1, 4, 3, 16, 16))
    assert (outputs[0].type, outputs[0].shape) == (np.dtype("float32"), (-1, 2))


def test_a_network_is_kept_only_when_asked_for(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    finish(recorder, folder)
    (run,) = ready.runs("pair")
    assert not ready.client().search_logged_models([run.info.experiment_id])


def test_the_data_set_is_an_input_with_its_fingerprint(recorder: Recorder, ready: Workplace) -> None:
    card = {"name": "generated", "fingerprint": "d3802ab9" * 8, "training clips": 32}
    recorder.start_trial("a0", "a", 0, SETTINGS, COST, {}, card)
    (found,) = ready.runs("pair")[0].inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("generated", ("d3802ab9" * 8)[:36])
    assert json.loads(found.dataset.source)["fingerprint"] == "d3802ab9" * 8
    assert json.loads(found.dataset.profile) == {"training clips": 32}


def test_the_saved_view_shows_accuracy_against_latency_grouped_by_variant(
    recorder: Recorder, ready: Workplace
) -> None:
    """The format is MLflow's own and not documented; this pins what its 3.17 pages were seen to read."""
    import base64
    import zlib

    tag = ready.client().get_experiment_by_name("pair").tags["mlflow.sharedViewState.accuracy-latency"]
    kind, _, packed = json.loads(tag)["state"].partition(";")
    state = json.loads(zlib.decompress(base64.b64decode(packed)))
    assert kind == "deflate"
    assert state["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "variant"}]
    scatter = state["compareRunCharts"][0]
    assert (scatter["type"], scatter["xaxis"]["key"], scatter["yaxis"]["key"]) == (
        "SCATTER", "cost/latency_ms", "val/top1",
    )  # fmt: skip
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {
        section["uuid"] for section in state["compareRunSections"]
    }


def test_a_view_that_mlflow_refuses_does_not_stop_a_study(ready: Workplace, caplog: Any) -> None:
    from mlflow.exceptions import MlflowException

    store = Store.open(ready.uri)
    recorder = Recorder(store)
    client = store.connection.client
    real = client.set_experiment_tag

    def refuse(experiment: str, key: str, value: str) -> None:
        if "sharedViewState" in key:
            raise MlflowException("too long")
        real(experiment, key, value)

    client.set_experiment_tag = refuse
    recorder.begin_study(PLAN)
    assert store.studies() == ["pair"]
    assert "no saved view in MLflow: too long" in caplog.text


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
