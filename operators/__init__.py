"""What is compared: temporal operators. Importing this package fills `TemporalOp.registry`."""

from operators.average_pool import AveragePool
from operators.base import TemporalOp, make_operator
from operators.canon import Canon
from operators.causal_shift import CausalShift
from operators.depthwise import Depthwise
from operators.frame_aggregation import FrameAggregation
from operators.global_filter import GlobalFilter
from operators.identity import Identity
from operators.learned_shift import LearnedShift
from operators.max_pool import MaxPool
from operators.mixtconv import MixTConv
from operators.ordinary import Ordinary
from operators.s4d import S4D
from operators.shift import Shift
from operators.temporal_fc import TemporalFC
from operators.temporal_se import TemporalSE
from operators.token_shift import TokenShift

__all__ = [
    "S4D",
    "AveragePool",
    "Canon",
    "CausalShift",
    "Depthwise",
    "FrameAggregation",
    "GlobalFilter",
    "Identity",
    "LearnedShift",
    "MaxPool",
    "MixTConv",
    "Ordinary",
    "Shift",
    "TemporalFC",
    "TemporalOp",
    "TemporalSE",
    "TokenShift",
    "make_operator",
]
