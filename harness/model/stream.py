"""A network on a stream: frame after frame, each computed once, with what its operators remember of those before."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from harness.model.framewise import Framewise
from harness.model.network import Network
from operators import TemporalOp
from operators.base import State


class _Remembering(TemporalOp):
    """Stands in the place of an operator, in a network that is given clips of one frame."""

    def __init__(self, operator: TemporalOp) -> None:
        super().__init__(operator.channels, 1)
        self.operator = operator
        self.reach, self.causal = operator.reach, operator.causal
        self.state: State = ()

    def forward(self, x: Tensor) -> Tensor:
        y, self.state = self.operator.step(x.squeeze(1), self.state)
        return y.unsqueeze(1)


class Stream(nn.Module):
    """A trained network that is given one frame at a time.

    The frame's own scores come out; the mean of those of the first T frames is what the network gives for them as a
    clip. The network itself is copied and stays as it is.

    Args:
        network: all its operators can be run on streams.

    Raises:
        ValueError: one of them cannot; says which, and why. The network scores no single frames. On a frame: it has
            another size than those before.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        if not isinstance(network, Framewise) or network.head is not None:
            raise ValueError("this network looks at a clip as a whole: it has no scores of single frames")
        for where, operator in network.operators():
            if reason := operator.no_stream():
                raise ValueError(f"{where}: {reason}")
        self.network = copy.deepcopy(network).eval()
        self.network.num_frames = 1
        for where, operator in list(self.network.operators()):
            above, _, name = where.rpartition(".")
            setattr(self.network.get_submodule(above), name, _Remembering(operator))

    def begin(self) -> None:
        """Forget all frames: the next one is the first of a new stream."""
        for module in self._remembering():
            module.state = ()

    def state_bytes(self) -> int:
        """Bytes of all that is remembered; views count as what they show."""
        return sum(
            tensor.numel() * tensor.element_size()
            for module in self._remembering()
            for tensor in module.state
        )

    @torch.no_grad()
    def forward(self, frame: Tensor) -> Tensor:
        """(N, 3, H, W), normalised -> scores of that frame, (N, classes)."""
        scores: Tensor = self.network(frame.unsqueeze(1))
        return scores

    def _remembering(self) -> list[_Remembering]:
        return [module for module in self.network.modules() if isinstance(module, _Remembering)]
