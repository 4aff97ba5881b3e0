"""Several processes that train one trial: the same numbers as one process, and no process left whatever happens."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY

from harness.data import DataConfig
from harness.model import ModelConfig
from harness.records import TrialRecord
from harness.training import Settings, TrainConfig
from harness.trial import Job, run_trial
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
        # 4 blocks, 3 steps an epoch: the second step of the second epoch
        alone = not torch.distributed.is_initialized()
        if self.how == "killed" and self.passes == 20 and (alone or rank) and not Path(self.mark).exists():
            Path(self.mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return x


def job(
    folder: Path, data_dir: Path, *, ranks: int = 1, operator: dict[str, Any] | None = None, **train: Any
) -> Job:
    model = {**TINY["model"], "operator": operator or {"name": "mixtconv"}}
    recipe = {"epochs": 2, "batch_size": 9, "lr": 0.05, "freeze_batch_norm": "all", **train}
    settings = Settings(
        model=ModelConfig(**model), data=DataConfig(**TINY["data"]), train=TrainConfig(**recipe)
    )
    return Job(
        trial_id="t", variant="v", seed=0, settings=settings, data_dir=data_dir, folder=folder, ranks=ranks,
    )  # fmt: skip


def curve(record: TrialRecord) -> list[float]:
    assert record.status == "done", record.reason
    return [entry[name] for entry in record.history for name in ("train/loss", "train/top1", "val/loss")]


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
