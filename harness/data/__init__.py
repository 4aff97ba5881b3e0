"""Clips: which data set, which frames, which crop."""

from harness.data.batches import Batch, TrainBatches, eval_batches
from harness.data.dataset import (
    DATASETS,
    ORDERS,
    ClipDataset,
    DataConfig,
    DataSet,
    TrainKey,
    find_data,
    located,
    missing_data,
    open_data,
    reordered,
)
from harness.data.sampling import SAMPLING_WORDS
from harness.data.transforms import normalise
from harness.data.views import PROTOCOLS, EvalConfig, TestProtocol

__all__ = [
    "DATASETS",
    "ORDERS",
    "PROTOCOLS",
    "SAMPLING_WORDS",
    "Batch",
    "ClipDataset",
    "DataConfig",
    "DataSet",
    "EvalConfig",
    "TestProtocol",
    "TrainBatches",
    "TrainKey",
    "eval_batches",
    "find_data",
    "located",
    "missing_data",
    "normalise",
    "open_data",
    "reordered",
]
