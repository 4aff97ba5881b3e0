"""A small study made by hand, and its trials told to a recorder."""

from __future__ import annotations

from pathlib import Path

from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.tracking.recorder import Recorder

TRIAL = TrialRecord(
    trial_id="a0",
    variant="a",
    seed=0,
    status="done",
    last={"top1": 50.0, "top5": 100.0, "loss": 0.7},
    best={"epoch": 1.0, "top1": 75.0},
    per_class={"left": 100.0, "right": 0.0},
    history=[{"epoch": e, "val/top1": 75.0 / e, "train/lr": 1e-5 / e} for e in (1.0, 2.0)],
    predictions={"clip": ["x", "y"], "label": [0, 1], "predicted": [0, 0]},
    environment={"device": "cpu", "commit": "c0ffee", "peak_memory_mib": "12"},
    seconds=3.0,
)
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
    name="pair",
    question="Left or right?",
    source="a paper",
    reference="",
    baseline="a",
    variants=["a"],
    seeds=[0, 1],
    settings={"a": SETTINGS},
    differs={"a": {}},
    protocol={"epochs": "2"},
    classes=["left", "right"],
    groups=["short", "short"],
    trials=[TrialRecord(trial_id=f"a{s}", variant="a", seed=s, status="missing") for s in (0, 1)],
    costs={"a": COST},
)


def start(recorder: Recorder, trial: TrialRecord = TRIAL) -> None:
    recorder.start_trial(trial.trial_id, trial.variant, trial.seed, SETTINGS, COST, trial.environment)


def finish(recorder: Recorder, folder: Path, trial: TrialRecord = TRIAL) -> None:
    start(recorder, trial)
    for entry in trial.history:
        recorder.log_epoch(trial.trial_id, entry)
    recorder.end_trial(trial, folder, PLAN.classes)
