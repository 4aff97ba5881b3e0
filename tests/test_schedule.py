"""The two ways of running a list of trials tell their observer the same; the real sweeps stand in test_run.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from harness import schedule
from harness.data import DataConfig
from harness.errors import StudyError, TrackingError
from harness.model import ModelConfig
from harness.records import TrialRecord
from harness.study import Resources
from harness.training import Settings, TrainConfig
from harness.trial import Job


def jobs(folder: Path, data: Path, count: int = 2, epochs: int = 2) -> list[Job]:
    settings = Settings(
        model=ModelConfig(**TINY["model"]),
        data=DataConfig(**TINY["data"]),
        train=TrainConfig(**{**TINY["train"], "epochs": epochs}),
    )
    return [
        Job(
            trial_id=f"t{seed}",
            variant="tsn",
            seed=seed,
            settings=settings,
            data_dir=data,
            folder=folder / f"t{seed}",
        )
        for seed in range(count)
    ]


class Notes:
    """Writes down what it is told; may fail on one call."""

    def __init__(self, fail_on: str = "") -> None:
        self.told: list[str] = []
        self._fail_on = fail_on

    def _note(self, text: str) -> None:
        self.told.append(text)
        if text == self._fail_on:
            raise TrackingError("the store is gone")

    def started(self, job: Job) -> None:
        self._note(f"{job.trial_id} starts")

    def epoch(self, job: Job, entry: dict[str, float]) -> None:
        self._note(f"{job.trial_id} epoch {entry['epoch']:.0f}")

    def ended(self, job: Job, record: TrialRecord) -> None:
        self._note(f"{job.trial_id} {record.status}")


ONE = ["starts", "epoch 1", "epoch 2", "done"]


def test_serial_trials_run_one_after_the_other(tmp_path: Path, tiny_data: Path) -> None:
    notes = Notes()
    schedule.run_serial(jobs(tmp_path, tiny_data), notes)
    assert notes.told == [f"t0 {event}" for event in ONE] + [f"t1 {event}" for event in ONE]


@pytest.mark.parametrize("event", ["t0 starts", "t0 epoch 1", "t0 done"])
def test_what_fails_in_the_observer_is_no_failure_of_the_trial(
    tmp_path: Path, tiny_data: Path, event: str
) -> None:
    notes = Notes(fail_on=event)
    with pytest.raises(TrackingError, match="the store is gone"):
        schedule.run_serial(jobs(tmp_path, tiny_data), notes)
    assert notes.told[-1] == event


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"cpus": 5}, r"resources\.cpus: 5 asked for each trial, but there are 4 here"),
        ({"gpus": 1.0}, r"resources\.gpus: 1 asked for each trial, but there are 0 here"),
        ({"gpus": 0.5}, r"resources\.gpus: 0\.5 asked for each trial, but there are 0 here"),
    ],
)
def test_more_than_there_is_is_refused(resources: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        Resources(**resources).check({"cpus": 4, "gpus": 0})


def test_what_there_is_can_be_had() -> None:
    Resources(cpus=4, gpus=0.25).check({"cpus": 4, "gpus": 1})


@pytest.mark.slow
def test_a_store_that_fails_under_ray_ends_the_run_with_its_error(tmp_path: Path, tiny_data: Path) -> None:
    notes = Notes(fail_on="t0 epoch 1")
    with pytest.raises(TrackingError, match="the store is gone"):
        schedule.run_on_ray(jobs(tmp_path, tiny_data, count=1, epochs=50), notes, tmp_path / "ray")
    assert notes.told == ["t0 starts", "t0 epoch 1"]
    assert not (tmp_path / "ray").exists()


def test_no_cluster_at_an_address_is_one_line() -> None:
    with pytest.raises(StudyError, match=r"--address 127\.0\.0\.1:9: no Ray cluster there"):
        schedule.check_address("127.0.0.1:9")
    schedule.check_address("auto")  # for Ray to find
