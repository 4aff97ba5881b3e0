"""Clips: which data set, which frames, which crop. What other rooms ask for; the rest stands in the modules."""

from harness.data.batches import TrainBatches, eval_batches
from harness.data.clips import ORDERS
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, find_data, located, missing_data, open_data
from harness.data.sampling import SAMPLING_WORDS
from harness.data.transforms import normalise
from harness.data.views import PROTOCOLS, TestProtocol

__all__ = [
    "ORDERS",
    "PROTOCOLS",
    "SAMPLING_WORDS",
    "DataConfig",
    "DataSet",
    "TestProtocol",
    "TrainBatches",
    "eval_batches",
    "find_data",
    "located",
    "missing_data",
    "normalise",
    "open_data",
]
