"""The depthwise temporal stencil that operators of one filter per channel share.

    y[t, c] = sum over offsets d of table[R + d, c] * x[t + d, c],    frames outside the clip are zero

`table` is dense, (2R + 1, C): a channel whose kernel is shorter, or dilated, has zeros there, so kernel size,
dilation and shift are all just tables. `Span`s say where the zeros are. Shape letters as in operators/base.py.

One operator of torch's own kind (`torch.ops.mixtbench.stencil`) with several paths that compute the same:

    reference   plain and slow, the oracle             any device
    eager       PyTorch's kernels                      any device; the default on all but CUDA
    inductor    TorchInductor, compiled at first use   CPU, needs a C++ compiler
    triton      our own kernels                        CUDA, needs Triton; the default there

A path is a module of this package with `forward(v, table, spans, channels_last)`, `backward(v, g, table, spans,
channels_last, needs)`, and `missing(device)` where it cannot run everywhere; v is layout.view's, dense, not empty.
"""

from operators.stencil.layout import Span
from operators.stencil.op import AUTO, PATHS, check_path, choose, meant, missing, stencil
from operators.stencil.reference import reference

__all__ = ["AUTO", "PATHS", "Span", "check_path", "choose", "meant", "missing", "reference", "stencil"]
