"""A trial of some seconds: its settings, its job, and whether two networks ended alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from builders.place import TINY
from harness.data.config import DataConfig
from harness.model.config import ModelConfig
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings
from harness.train.trial import Job

DATA = DataConfig(**(TINY["data"] | {"crop": 20}))


def settings(operator: dict[str, Any] | None = None, **train: Any) -> Settings:
    train = {"epochs": 2, "batch_size": 8, "lr": 0.05, **train}
    model = ModelConfig(backbone="resnet_tiny", operator=operator or {"name": "mixtconv"})
    return Settings(model=model, data=DATA, train=TrainConfig(**train))


def job(folder: Path, data_dir: Path, s: Settings, **change: Any) -> Job:
    return Job(trial_id="t", variant="v", seed=0, settings=s, data_dir=data_dir, folder=folder, **change)


def same_weights(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)
