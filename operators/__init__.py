"""What is compared: temporal operators. Importing this package fills `TemporalOp.registry`."""

from operators.action import Action
from operators.average_pool import AveragePool
from operators.base import TemporalOp, make_operator
from operators.canon import Canon
from operators.causal_depthwise import CausalDepthwise
from operators.causal_shift import CausalShift
from operators.conv2plus1d import Conv2Plus1D
from operators.conv3d import Conv3D
from operators.depthwise import Depthwise
from operators.frame_aggregation import FrameAggregation
from operators.global_filter import GlobalFilter
from operators.gsf import GSF
from operators.gsm import GSM
from operators.identity import Identity
from operators.learned_shift import LearnedShift
from operators.linear_attention import LinearAttention
from operators.max_pool import MaxPool
from operators.min_gru import MinGRU
from operators.mixtconv import MixTConv
from operators.motion_excitation import MotionExcitation
from operators.motion_squeeze import MotionSqueeze
from operators.mvf import MVF
from operators.non_local import NonLocal
from operators.ordinary import Ordinary
from operators.s4d import S4D
from operators.selective_ssm import SelectiveSSM
from operators.selfy import SELFY
from operators.shift import Shift
from operators.tada import TAda
from operators.tam import TAM
from operators.tei import TEI
from operators.temporal_attention import TemporalAttention
from operators.temporal_difference import TemporalDifference
from operators.temporal_fc import TemporalFC
from operators.temporal_se import TemporalSE
from operators.timeception import Timeception
from operators.tin import TIN
from operators.token_shift import TokenShift

__all__ = [
    "GSF",
    "GSM",
    "MVF",
    "S4D",
    "SELFY",
    "TAM",
    "TEI",
    "TIN",
    "Action",
    "AveragePool",
    "Canon",
    "CausalDepthwise",
    "CausalShift",
    "Conv2Plus1D",
    "Conv3D",
    "Depthwise",
    "FrameAggregation",
    "GlobalFilter",
    "Identity",
    "LearnedShift",
    "LinearAttention",
    "MaxPool",
    "MinGRU",
    "MixTConv",
    "MotionExcitation",
    "MotionSqueeze",
    "NonLocal",
    "Ordinary",
    "SelectiveSSM",
    "Shift",
    "TAda",
    "TemporalAttention",
    "TemporalDifference",
    "TemporalFC",
    "TemporalOp",
    "TemporalSE",
    "Timeception",
    "TokenShift",
    "make_operator",
]
