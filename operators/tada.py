"""TAda: every frame gates the channels that the next convolution reads, by what happens around it and in the clip.

Source: TAdaConv (Huang et al., ICLR 2022). Its convolution multiplies its weights, for each frame, by one number an
input channel; the same result comes from multiplying the channels, which is done here: at `inner`, before a block's
3x3 convolution, this is the paper's operator, without the temporal aggregation that the paper adds after it. Left
out: the bias before batch norm, which batch norm takes out again.
"""

from __future__ import annotations

from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp


class TAda(TemporalOp, name="tada"):
    """Multiplies each channel of each frame by a number near 1; starts as the identity.

        z[t] = mean over pixels of x[t],  m = mean over frames of z
        a = 1 + conv3(relu(BN(conv3(z + W m + b)))),  C -> C/4 -> C, along time; the last one starts at 0
        y[t] = a[t] x[t]

    Uses batch statistics in training.

    Args:
        channels: C.
        num_frames: T.
        reduction: by how much the hidden layer is narrower than C; it has at least one channel.

    Raises:
        ValueError: `reduction` is below 1.
    """

    facts = Facts(
        title="TAdaConv's calibration",
        venue="ICLR",
        year=2022,
        formula="y[t] = a[t] x[t], a = 1 + conv3(relu(BN(conv3(z + W m + b)))), z means of frames, m of the clip",
        parameters="5 C^2 / 2 + 3 C / 2",
        macs="C^2 + 3 C^2 T / 2",
        reach="T - 1",
        also=("tadaconv",),
    )

    def __init__(self, channels: int, num_frames: int, reduction: int = 4) -> None:
        super().__init__(channels, num_frames)
        self.reach = num_frames - 1
        hidden = frames.narrowed(channels, reduction)
        self.context = nn.Linear(channels, channels)
        self.squeeze = nn.Conv1d(channels, hidden, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(hidden)
        self.expand = nn.Conv1d(hidden, channels, 3, padding=1, bias=False)
        nn.init.zeros_(self.expand.weight)

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4))
        z = z + self.context(z.mean(dim=1))[:, None]
        gate = 1 + frames.along_time(lambda v: self.expand(self.norm(self.squeeze(v)).relu()), z)
        return x * gate[..., None, None].to(x.dtype)

    def macs(self, height: int, width: int) -> int:
        return self.channels**2 + 6 * self.channels * self.expand.weight.shape[1] * self.num_frames
