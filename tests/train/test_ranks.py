"""Several processes that train one trial: the same numbers as one process, and no process left whatever happens."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from builders import training
from builders.place import TINY

from harness.data.config import DataConfig
from harness.data.dataset import open_data
from harness.errors import TrainingError
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.records import TrialRecord
from harness.train.loop import fit
from harness.train.ranks import World
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings
from harness.train.trial import Job, run_trial
from operators import TemporalOp

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")


class Breaks(TemporalOp):
    """Fails in one rank: raises, or is killed as by the system, or kills itself once in the middle of an epoch."""

    def __init__(self, channels: int, num_frames: int, how: str, mark: str = "") -> None:
        super().__init__(channels, num_frames)
        self.how, self.mark, self.passes = how, mark, 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self.passes += self.training
        if self.how == "raises" and rank == 1:
            raise ArithmeticError("the second rank cannot go on")
        # Alone, an epoch is 3 steps of 3 passes; with two ranks, of 2 passes each: the second epoch.
        alone = not torch.distributed.is_initialized()
        if self.how == "killed" and self.passes == 11 and (alone or rank) and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x


class Idle(TemporalOp):
    """Has a parameter that nothing depends on."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames)
        self.idle = torch.nn.Parameter(torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def job(
    folder: Path,
    data_dir: Path,
    *,
    ranks: int = 1,
    gpus: float = 0,
    operator: dict[str, Any] | None = None,
    **train: Any,
) -> Job:
    model = {**TINY["model"], "operator": operator or {"name": "mixtconv"}}
    recipe = {"epochs": 2, "batch_size": 9, "lr": 0.05, "freeze_batch_norm": "all", **train}
    settings = Settings(
        model=ModelConfig(**model), data=DataConfig(**TINY["data"]), train=TrainConfig(**recipe)
    )
    return training.job(folder, data_dir, settings, ranks=ranks, gpus=gpus)


def curve(record: TrialRecord) -> list[float]:
    assert record.status == "done", record.reason
    return [entry[name] for entry in record.history for name in ("train/loss", "train/top1", "val/loss")]


def losses(record: TrialRecord) -> list[float]:
    assert record.status == "done", record.reason
    return [entry[name] for entry in record.history for name in ("train/loss", "val/loss")]


def children() -> list[str]:
    """Command lines of the processes that this one has spawned and that train."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes().decode().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and "spawn_main" in words:
            found.append(words)
    return found


def test_two_processes_train_like_one_with_the_same_batch(tmp_path: Path, tiny_data: Path) -> None:
    """Batch norm frozen; with dropout and clipping, whose masks and norms must be those of the whole batch."""
    one = run_trial(job(tmp_path / "one", tiny_data))
    seen: list[float] = []
    two = run_trial(
        job(tmp_path / "two", tiny_data, ranks=2), on_epoch=lambda entry: seen.append(entry["epoch"])
    )
    assert curve(two) == pytest.approx(curve(one), abs=1e-4)
    assert two.predictions["clip"] == one.predictions["clip"]  # 16 clips, each once and in order
    scores = [np.load(tmp_path / name / "scores.npz")["scores"] for name in ("one", "two")]
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-3)
    assert seen == [1, 2]
    assert two.environment["ranks"] == "2"
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == ["model.pt", "result.json", "scores.npz"]
    assert not children()


class Reads(World):
    """Says what ranks could read, without any."""

    def __init__(self, *counts: int) -> None:
        super().__init__()
        object.__setattr__(self, "others", list(counts))

    def counts(self, own: int) -> list[int]:
        return self.others  # type: ignore[attr-defined, no-any-return]


def test_a_rank_without_a_readable_clip_fails_the_trial_rather_than_the_step(tiny_data: Path) -> None:
    settings = job(tiny_data, tiny_data).settings
    data = open_data(settings.data, tiny_data)
    with pytest.raises(TrainingError, match="epoch 1, step 1: a process has no clip that can be read"):
        fit(settings, 0, data, torch.device("cpu"), world=Reads(9, 0))


def test_a_step_without_any_readable_clip_is_left_out(tiny_data: Path) -> None:
    settings = job(tiny_data, tiny_data).settings
    data = open_data(settings.data, tiny_data)
    model, _, _ = fit(settings, 0, data, torch.device("cpu"), world=Reads(0, 0))
    start = MSTNet(settings.model, 4, 16, 0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), start.parameters(), strict=True))


def test_an_exception_of_one_rank_is_the_trials_reason(tmp_path: Path, tiny_data: Path) -> None:
    operator = {"name": "test_ranks.Breaks", "how": "raises"}
    record = run_trial(job(tmp_path, tiny_data, ranks=2, operator=operator))
    assert (record.status, record.reason) == ("failed", "ArithmeticError: the second rank cannot go on")
    details = (tmp_path / "traceback.txt").read_text()
    assert details.startswith("rank 1 of 2\n")
    assert 'raise ArithmeticError("the second rank cannot go on")' in details
    assert not children()


def same_weights(one: Path, other: Path) -> bool:
    a, b = (torch.load(folder / "model.pt", weights_only=True) for folder in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_trial_killed_in_the_middle_of_an_epoch_ends_with_the_weights_of_one_never_stopped(
    tmp_path: Path, tiny_data: Path, ranks: int
) -> None:
    """SIGKILL in the second of three epochs: of the trial's own process, or of one of its ranks."""
    recipe = {"epochs": 3, "micro_batch": 3, "freeze_batch_norm": "off", "select": "best"}
    operator = {"name": "test_ranks.Breaks", "how": "killed", "mark": str(tmp_path / "killed")}
    stopped = job(tmp_path / "stopped", tiny_data, ranks=ranks, operator=operator, **recipe)
    if ranks == 1:
        process = get_context("spawn").Process(target=run_trial, args=(stopped,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
    else:
        record = run_trial(stopped)
        assert record.status == "failed"
        assert record.reason.startswith("the process of rank 1 was ended by signal 9 (SIGKILL)")
        assert not children()
    assert (tmp_path / "killed").exists()
    assert (tmp_path / "stopped" / "checkpoint.pt").exists()
    epochs: list[float] = []
    resumed = run_trial(stopped, on_epoch=lambda entry: epochs.append(entry["epoch"]))
    assert epochs == [1, 2, 3]
    whole = run_trial(job(tmp_path / "whole", tiny_data, ranks=ranks, operator=operator, **recipe))
    assert curve(resumed) == curve(whole)
    assert same_weights(tmp_path / "stopped", tmp_path / "whole")


class Waits(TemporalOp):
    """Writes down its process, then waits far longer than a test."""

    def __init__(self, channels: int, num_frames: int, folder: str) -> None:
        super().__init__(channels, num_frames)
        self.folder = Path(folder)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)
        return x


def waiting_for(folder: Path, count: int) -> list[int]:
    end = time.monotonic() + 120
    while len(found := list(folder.iterdir())) < count:
        assert time.monotonic() < end, "the ranks do not start"
        time.sleep(0.2)
    return [int(file.name) for file in found]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel ends ranks on Linux alone")
def test_ranks_end_with_the_process_that_launched_them(tmp_path: Path, tiny_data: Path) -> None:
    folder = tmp_path / "ranks"
    folder.mkdir()
    waits = job(
        tmp_path / "trial", tiny_data, ranks=2, operator={"name": "test_ranks.Waits", "folder": str(folder)}
    )
    trial = get_context("spawn").Process(target=run_trial, args=(waits,))
    trial.start()
    ranks = waiting_for(folder, 2)
    assert trial.pid not in ranks
    assert all(map(alive, ranks))
    trial.kill()
    trial.join()
    end = time.monotonic() + 20
    while any(map(alive, ranks)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(map(alive, ranks))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_gpu_trains_nearly_like_the_cpu(tmp_path: Path, tiny_data: Path, precision: str) -> None:
    cpu = run_trial(job(tmp_path / "cpu", tiny_data, lr=0.01))
    gpu = run_trial(job(tmp_path / "gpu", tiny_data, gpus=1, lr=0.01, precision=precision))
    assert losses(gpu) == pytest.approx(losses(cpu), rel=1e-3 if precision == "fp32" else 0.05)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_with_one_batch_norm_train_like_one_gpu(tmp_path: Path, tiny_data: Path) -> None:
    recipe = {"freeze_batch_norm": "off", "sync_batch_norm": True, "lr": 0.01}
    one = run_trial(job(tmp_path / "one", tiny_data, gpus=1, **recipe))
    two = run_trial(job(tmp_path / "two", tiny_data, gpus=2, ranks=2, **recipe))
    assert losses(two) == pytest.approx(losses(one), rel=1e-3)


@pytest.mark.slow
def test_a_parameter_that_nothing_depends_on_is_named_where_ranks_would_wait_for_it(
    tmp_path: Path, tiny_data: Path
) -> None:
    record = run_trial(job(tmp_path / "two", tiny_data, ranks=2, operator={"name": "test_ranks.Idle"}))
    assert record.status == "failed"
    assert re.match(
        r"operator test_ranks\.Idle: the loss does not depend on its parameter \S*idle( and \d+ more)?, and with "
        r"resources\.ranks: 2 every parameter needs a gradient; take it out, or use resources\.ranks: 1$",
        record.reason,
    ), record.reason
