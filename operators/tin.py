"""TIN: groups of channels move by distances that each clip chooses, and its frames are weighted.

Source: TIN, Temporal Interlacing Network (Shao et al., AAAI 2020). Its CUDA operator is a table of taps here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from operators import frames
from operators.base import Facts, TemporalOp
from operators.stencil import Span, layout

FAR = 2  # frames: distances are 4 (sigmoid - 0.5)


class TIN(TemporalOp, name="tin"):
    """Moves four groups of the first channels by o1, o2, -o1 and -o2 frames; the other channels stay.

        z = mean over pixels of the first channels
        o = 4 (sigmoid(W3 relu(W2 conv3(z))) - 0.5),  two numbers a clip, which start at 0.5
        u = 2 sigmoid(conv3(z)),  two numbers a frame
        y_c[t] = u_g[t] ((1 - a) x_c[t + floor(o_g)] + a x_c[t + floor(o_g) + 1]),  a = o_g - floor(o_g)

    Frames outside the clip count as zero. Groups 1 and 3 share u1, groups 2 and 4 u2.

    Args:
        channels: C.
        num_frames: T.
        shift_div: which part of the channels moves, rounded down to a multiple of 4.

    Raises:
        ValueError: fewer than 4 channels would move.
    """

    facts = Facts(
        title="TIN",
        venue="AAAI",
        year=2020,
        formula="y[t] = u[t] x[t+o] on C/4 channels, x[t] on the rest; o (by interpolation) and u made from the clip",
        parameters="9 C / 4 + T^2 + 3 T + 5",
        macs="C / 2 T H W + 9 C / 4 T + T^2 + 2 T",
        reach="T - 1",
        also=("temporal_interlacing",),
    )

    def __init__(self, channels: int, num_frames: int, shift_div: int = 4) -> None:
        super().__init__(channels, num_frames)
        moved = channels // max(1, shift_div) // 4 * 4
        if shift_div < 1 or moved == 0:
            raise ValueError(f"shift_div: {shift_div} lets fewer than 4 of the {channels} channels move")
        self.moved = moved
        self.reach = num_frames - 1
        self.squeeze = nn.Conv1d(moved, 1, 3, padding=1)
        self.hidden = nn.Linear(num_frames, num_frames)
        self.distances = nn.Linear(num_frames, 2)
        self.weights = nn.Conv1d(moved, 2, 3, padding=1)
        nn.init.constant_(self.distances.bias, 0.5108)  # 4 (sigmoid - 0.5) is 0.5 there
        assert self.weights.bias is not None
        nn.init.zeros_(self.weights.bias)
        self.spans = [Span(moved, 0, 2 * FAR, 1)]

    def forward(self, x: Tensor) -> Tensor:
        part = x[:, :, : self.moved]
        z = part.mean(dim=(3, 4)).transpose(1, 2)  # (N, moved, T)
        far = 4 * (self.distances(self.hidden(self.squeeze(z)[:, 0]).relu()).sigmoid() - 0.5)
        far = torch.cat([far, -far], dim=1)  # (N, 4)
        tables = _tables(far).repeat_interleave(self.moved // 4, dim=2)
        y = frames.filtered_by_clip(part, tables, self.spans, path=self.stencil_path, taps=2 * self.moved)
        weights = (2 * self.weights(z).sigmoid()).transpose(1, 2)  # (N, T, 2)
        weights = weights.repeat(1, 1, 2).repeat_interleave(self.moved // 4, dim=2)
        y = y * weights[..., None, None].to(x.dtype)
        return layout.in_format(torch.cat([y, x[:, :, self.moved :]], dim=2), layout.is_channels_last(x))

    def macs(self, height: int, width: int) -> int:
        t = self.num_frames
        return 9 * self.moved * t + t * t + 2 * t + 2 * self.moved * t * height * width


def _tables(far: Tensor) -> Tensor:
    """Distances of (N, groups) -> (N, 2 * FAR + 1, groups), two numbers a column."""
    whole = far.detach().floor().clamp(-FAR, FAR - 1)
    part = (far - whole)[:, None]
    rows = torch.arange(-FAR, FAR + 1, device=far.device)[:, None]
    return (rows == whole[:, None]) * (1 - part) + (rows == whole[:, None] + 1) * part
