"""TemporalSE: squeeze and excitation, of frames instead of channels: which frames of a clip count.

Source: SENet (Hu et al., CVPR 2018), with time in the place of channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp


class TemporalSE(TemporalOp, name="temporal_se"):
    """Weights every frame by what all frames show on average.

        z[t] = mean over channels and pixels of x[t]
        y[t] = sigmoid(W2 relu(W1 z))[t] x[t],    W1: T -> T / reduction, W2 back

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much the hidden layer is narrower than T; it has at least one unit.

    Cost:
        2 * T * (T // reduction) MACs per clip, whatever its pixels.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="SE, over frames",
        venue="CVPR",
        year=2018,
        formula="y[t] = sigmoid(W2 relu(W1 z))[t] x[t], z[t] = mean of x[t], W1: T -> T/2, W2: T/2 -> T",
        parameters="T^2",
        macs="T^2",
        reach="T - 1",
        also=("squeeze_excitation_over_time",),
        blind="weighs whole frames",
    )

    def __init__(self, channels: int, num_frames: int, reduction: int = 2) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        hidden = frames.narrowed(num_frames, reduction)
        self.squeeze = nn.Linear(num_frames, hidden, bias=False)
        self.excite = nn.Linear(hidden, num_frames, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.excite(self.squeeze(x.mean(dim=(2, 3, 4))).relu()).sigmoid()
        return x * gate[:, :, None, None, None].to(x.dtype)

    def macs(self, height: int, width: int) -> int:
        return self.squeeze.weight.numel() + self.excite.weight.numel()
