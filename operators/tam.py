"""TAM: every clip filters its channels with kernels that it makes itself, after weighting its frames.

Source: TANet's temporal adaptive module (Liu et al., ICCV 2021).
"""

from __future__ import annotations

from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import Span


class TAM(TemporalOp, name="tam"):
    """A local branch says what counts at each frame, a global one how each channel moves along time.

        z = mean over pixels of x, (C, T)
        L = sigmoid(W relu(BN(conv_k(z)))),  C -> C/4 -> C, along time
        G_c = softmax(W2 relu(BN(W1 z_c))),  T -> 2T -> k, for every channel alike
        y_c[t] = sum over |d| <= k // 2 of G_c[d] (L x)_c[t+d]

    Frames outside the clip count as zero. Both branches use batch statistics in training.

    Args:
        channels: C; C // 4 is at least 1.
        num_frames: T.
        kernel_size: k, odd, in frames.

    Cost:
        C * k * T * H * W MACs per clip, and those of the two branches, whatever the pixels.

    Raises:
        ValueError: the size is even or below 1.
    """

    facts = Facts(
        title="TAM of TANet",
        venue="ICCV",
        year=2021,
        formula="y_c[t] = sum over |d| <= 1 of G_c[d] (L x)_c[t+d], G and L made from the clip's means",
        parameters="C^2 + C / 2 + 2 T^2 + 10 T",
        macs="3 C T H W + T C^2 + 2 C T^2 + 6 C T",
        reach="T - 1",
        also=("tanet", "temporal_adaptive_module"),
    )

    def __init__(self, channels: int, num_frames: int, kernel_size: int = 3) -> None:
        super().__init__(channels, num_frames)
        frames.check_odd(kernel_size)
        self.reach = num_frames - 1
        hidden = max(1, channels // 4)
        self.kernels = nn.Sequential(
            nn.Linear(num_frames, 2 * num_frames, bias=False),
            nn.BatchNorm1d(2 * num_frames),
            nn.ReLU(),
            nn.Linear(2 * num_frames, kernel_size, bias=False),
            nn.Softmax(dim=1),
        )
        self.weights = nn.Sequential(
            nn.Conv1d(channels, hidden, kernel_size, padding=kernel_size // 2, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Conv1d(hidden, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.spans = [Span(channels, 0, kernel_size - 1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4)).transpose(1, 2)  # (N, C, T)
        tables = self.kernels(z.flatten(0, 1)).unflatten(0, z.shape[:2]).transpose(1, 2)  # (N, k, C)
        weighted = x * self.weights(z).transpose(1, 2)[..., None, None].to(x.dtype)
        return frames.filtered_by_clip(weighted, tables, self.spans, path=self.stencil_path)

    def macs(self, height: int, width: int) -> int:
        c, t, k = self.channels, self.num_frames, self.spans[0].last + 1
        branches = c * 2 * t * (t + k) + t * max(1, c // 4) * c * (k + 1)
        return branches + k * c * t * height * width
