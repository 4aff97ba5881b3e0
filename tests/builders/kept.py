"""A network with the weights of a seed, kept as MLflow keeps a trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from builders.place import TINY
from harness.data.config import DataConfig
from harness.data.views import EvalConfig
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.tracking import network
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings, plain


def settings(operator: dict[str, Any], **test: Any) -> Settings:
    """Of the tiny network on the tiny data set."""
    return Settings(
        model=ModelConfig(backbone="resnet_tiny", operator=operator),
        data=DataConfig(**TINY["data"], test=EvalConfig(**test)),
        train=TrainConfig(batch_size=8),
    )


def keep(folder: Path, chosen: Settings, classes: list[str]) -> Path:
    """The folder of an MLflow model; an earlier one goes. Its scores differ by more than rounding."""
    model = MSTNet(chosen.model, chosen.data.num_frames, len(classes), seed=7)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    weights = folder / "weights.pt"
    torch.save(model.state_dict(), weights)
    place = folder / f"{chosen.model.operator['name'].replace('.', '_')}-model"
    network.save(place, weights, plain(chosen), classes)
    return place
