"""What is compared: temporal operators. Importing this package fills `TemporalOp.registry`."""

from operators.base import TemporalOp, make_operator
from operators.depthwise import Depthwise
from operators.identity import Identity
from operators.mixtconv import MixTConv
from operators.ordinary import Ordinary
from operators.shift import Shift

__all__ = ["Depthwise", "Identity", "MixTConv", "Ordinary", "Shift", "TemporalOp", "make_operator"]
