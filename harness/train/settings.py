"""Everything but the seed that decides a trial's result."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.data.config import DataConfig
from harness.model.config import ModelConfig
from harness.train.recipe import TrainConfig


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything but the seed that decides a trial's result."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)


def plain(settings: Settings) -> dict[str, Any]:
    """Settings as nested dicts of plain values, for hashing, tracking and reports."""
    result: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return result
