"""Clips: which data set, which frames, which crop."""

from harness.data.dataset import (
    DATASETS,
    ClipDataset,
    DataConfig,
    DataSet,
    TrainKey,
    eval_batches,
    find_data,
    open_data,
    train_batches,
)
from harness.data.transforms import normalise

__all__ = [
    "DATASETS",
    "ClipDataset",
    "DataConfig",
    "DataSet",
    "TrainKey",
    "eval_batches",
    "find_data",
    "normalise",
    "open_data",
    "train_batches",
]
