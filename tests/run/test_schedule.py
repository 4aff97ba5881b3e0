"""The two ways of running a list of trials tell their observer the same; the real sweeps stand in test_run.py."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.clusters import answers, head
from builders.place import ROOT, TINY

from harness.data.config import DataConfig
from harness.errors import StudyError, TrackingError
from harness.model.config import ModelConfig
from harness.records import TrialRecord
from harness.run import schedule
from harness.study.resources import Resources
from harness.train.apart import Work
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings
from harness.train.trial import Job


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
        Resources(**resources).resolved().check({"cpus": 4, "gpus": 0})


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        ({"ranks": 0}, "ranks: 0 is below 1"),
        ({"ranks": "two"}, "ranks: 'two' is neither a whole number nor auto"),
        (
            {"gpus": 2.0, "ranks": 1},
            "ranks: 1 processes with 2 gpus; each process has one GPU: leave ranks out",
        ),
        ({"gpus": 0.5, "ranks": 2}, "ranks: 2 processes with 0.5 gpus"),
    ],
)
def test_ranks_that_do_not_fit_their_gpus_are_refused(resources: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Resources(**resources)


@pytest.mark.parametrize(
    ("resources", "ranks"),
    [
        ({"gpus": 0.0}, 1),
        ({"gpus": 0.25}, 1),
        ({"gpus": 1.0}, 1),
        ({"gpus": 8.0}, 8),
        ({"gpus": 0.0, "ranks": 3}, 3),
        ({"gpus": 4.0, "ranks": 4}, 4),
    ],
)
def test_each_whole_gpu_of_a_trial_has_a_process(resources: dict[str, Any], ranks: int) -> None:
    assert Resources(**resources).resolved().ranks == ranks


@pytest.mark.parametrize(("there", "ranks", "gpus"), [(True, "auto", 1), (True, 4, 4), (False, 4, 0)])
def test_automatic_gpus_are_one_for_each_process(
    monkeypatch: pytest.MonkeyPatch, there: bool, ranks: int | str, gpus: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    resolved = Resources(ranks=ranks).resolved()
    assert (resolved.gpus, resolved.ranks) == (gpus, 1 if ranks == "auto" else ranks)


def test_what_there_is_can_be_had() -> None:
    Resources(cpus=4, gpus=0.25).resolved().check({"cpus": 4, "gpus": 1})


@pytest.mark.slow
def test_a_store_that_fails_under_ray_ends_the_run_with_its_error(tmp_path: Path, tiny_data: Path) -> None:
    notes = Notes(fail_on="t0 epoch 1")
    with pytest.raises(TrackingError, match="the store is gone"):
        schedule.run_on_ray(jobs(tmp_path, tiny_data, count=1, epochs=50), notes, tmp_path / "ray")
    assert notes.told == ["t0 starts", "t0 epoch 1"]
    assert not (tmp_path / "ray").exists()


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of one node with 4 CPUs and 2 GPUs, whether or not this machine has them."""
    with head("--num-cpus=4", "--num-gpus=2") as address:
        yield address


@pytest.mark.slow
@pytest.mark.parametrize(("gpus", "at_once", "count"), [(0.5, 4, 4), (1.0, 2, 3), (2.0, 1, 2)])
def test_trials_are_packed_onto_gpus_by_what_each_asks_for(
    tmp_path: Path, tiny_data: Path, cluster: str, gpus: float, at_once: int, count: int
) -> None:
    """On two (logical) GPUs. The first trials wait until as many are there as fit; each writes down what it saw."""

    def meet(work: Work) -> Generator[dict[str, Any], None, None]:
        import os
        import pickle
        import time

        _, (job,) = pickle.loads(work.call)

        def there() -> int:
            return len(list(tmp_path.glob("in-*"))) - len(list(tmp_path.glob("out-*")))

        (tmp_path / f"in-{job.trial_id}").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
        end = time.monotonic() + 100
        while there() < at_once and not (tmp_path / "met").exists() and time.monotonic() < end:
            time.sleep(0.05)
        (tmp_path / "met").touch()
        time.sleep(1.0)  # time for one too many
        most = there()
        (tmp_path / f"out-{job.trial_id}").touch()
        about = {"trial_id": job.trial_id, "variant": job.variant, "seed": job.seed}
        yield {"record": {**about, "status": "done", "last": {"most": most}}}

    answers(cluster)
    trials = [dataclasses.replace(one, gpus=gpus, cpus=0.5) for one in jobs(tmp_path, tiny_data, count)]
    records: list[TrialRecord] = []
    notes = Notes()
    notes.ended = lambda job, record: records.append(record)  # type: ignore[method-assign]
    schedule.run_on_ray(trials, notes, tmp_path / "ray", cluster, run=meet)
    assert [record.status for record in records] == ["done"] * count
    assert max(record.last["most"] for record in records) == at_once
    seen = sorted((tmp_path / f"in-t{i}").read_text() for i in range(count))
    assert (
        seen
        in {0.5: [["0", "0", "1", "1"]], 1.0: [["0", "0", "1"], ["0", "1", "1"]], 2.0: [["0,1", "0,1"]]}[gpus]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("at_once", "cpus"), [(1, 4.0), (2, 2.0)])
def test_under_ray_trials_start_in_the_order_of_the_list(
    tmp_path: Path, tiny_data: Path, cluster: str, at_once: int, cpus: float
) -> None:
    """Trials of unlike lengths, with a worker that is lost on the way: whichever place is free takes the next."""

    def short(work: Work) -> Generator[dict[str, Any], None, None]:
        import os
        import pickle
        import signal
        import time

        _, (job,) = pickle.loads(work.call)
        time.sleep(0.05 + 0.15 * (job.seed % 3))
        if job.seed == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        about = {"trial_id": job.trial_id, "variant": job.variant, "seed": job.seed}
        yield {"record": {**about, "status": "done", "environment": {"worker": str(os.getpid())}}}

    answers(cluster)
    trials = [dataclasses.replace(one, cpus=cpus) for one in jobs(tmp_path, tiny_data, count=14)]
    records: list[TrialRecord] = []
    notes = Notes()
    notes.ended = lambda job, record: records.append(record)  # type: ignore[method-assign]
    schedule.run_on_ray(trials, notes, tmp_path / "ray", cluster, run=short)
    assert notes.told == [f"{job.trial_id} starts" for job in trials]
    assert sorted(record.trial_id for record in records) == sorted(job.trial_id for job in trials)
    assert [record.trial_id for record in records if record.status == "failed"] == ["t4"]
    workers = {record.environment["worker"] for record in records if record.status == "done"}
    assert len(workers) <= at_once + 1  # the one in the lost one's place


@pytest.mark.slow
def test_under_ray_a_trial_of_two_processes_is_that_of_one(tmp_path: Path, tiny_data: Path) -> None:
    trials = []
    for one in jobs(tmp_path, tiny_data, count=2):
        train = dataclasses.replace(one.settings.train, freeze_batch_norm="all")
        settings = dataclasses.replace(one.settings, train=train)
        trials.append(dataclasses.replace(one, settings=settings, ranks=2))
    alone: list[TrialRecord] = []
    together: list[TrialRecord] = []
    notes = Notes()
    notes.ended = lambda job, record: together.append(record)  # type: ignore[method-assign]
    schedule.run_on_ray(trials, notes, tmp_path / "ray")
    notes.ended = lambda job, record: alone.append(record)  # type: ignore[method-assign]
    schedule.run_serial([dataclasses.replace(t, ranks=1, folder=t.folder / "alone") for t in trials], notes)
    for one in alone:
        (other,) = [record for record in together if record.trial_id == one.trial_id]
        assert other.status == "done", other.reason
        losses = [[entry["train/loss"] for entry in record.history] for record in (one, other)]
        assert losses[1] == pytest.approx(losses[0], abs=1e-4)


def test_no_cluster_at_an_address_is_one_line() -> None:
    with pytest.raises(StudyError, match=r"--address 127\.0\.0\.1:9: no Ray cluster there"):
        schedule.check_address("127.0.0.1:9")
    schedule.check_address("auto")  # for Ray to find


def _listening(root: int) -> list[str]:
    """Addresses, in the kernel's hexadecimal, at which a process or its children listen for TCP."""
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                sockets[words[9]] = words[1].split(":")[0]
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            above = int(process.name)
            while above > 1 and above != root:
                above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
            if above == root:
                links = [os.readlink(link) for link in (process / "fd").iterdir()]
                found += [sockets[link[8:-1]] for link in links if link[8:-1] in sockets]
    return found


def test_what_is_set_for_ray_is_as_it_was_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set for a Ray of this machine alone, it kept every node that this process started later from its cluster."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "1")
    before = dict(os.environ)
    with contextlib.suppress(ZeroDivisionError), schedule._before_ray(""):
        assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
        assert os.environ["RAY_CHDIR_TO_TRIAL_DIR"] == "0"
        assert os.environ["RAY_AIR_NEW_OUTPUT"] == "1"
        raise ZeroDivisionError
    assert dict(os.environ) == before
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    with schedule._before_ray("10.0.0.1:6379"):
        assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"


@pytest.mark.slow
def test_a_run_on_this_machine_listens_for_this_machine_alone(tmp_path: Path) -> None:
    """In a process of its own: Ray decides on its addresses when it is imported."""
    code = """
import os, sys
from pathlib import Path
from harness.run import schedule
with schedule._before_ray(""):
    schedule._start("")
    print("ready", flush=True)
    sys.stdin.readline()
"""
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "token"}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
        found = _listening(run.pid)
        token = tmp_path / ".ray" / "auth_token"
        mode = token.stat().st_mode & 0o777
        run.stdin.close()
    assert found
    loopback = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
    assert set(found) <= loopback
    assert mode == 0o600
