"""What several operators do with the frames of a clip, in either memory format.

Shape letters as in operators/base.py.
"""

from __future__ import annotations

import torch
from torch import Tensor

from operators.stencil import layout


def mixed(x: Tensor, matrix: Tensor) -> Tensor:
    """Frames as sums of frames: y[s] = sum over t of matrix[s, t] x[t], alike at every channel and pixel.

    Args:
        x: (N, T, C, H, W) in either memory format.
        matrix: (S, T), S = T.

    Returns:
        (N, T, C, H, W) in x's dtype and memory format.
    """
    x = layout.canonical(x)
    v = layout.view(x, layout.is_channels_last(x))
    each = matrix.to(x.dtype).expand(len(v), *matrix.shape)
    return layout.like(torch.bmm(each, v.flatten(2)).view(v.shape).to(x.dtype), x)
