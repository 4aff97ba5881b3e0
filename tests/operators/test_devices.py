"""What only a GPU would show, asked of a device without memory: where tensors are made, and which operations repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import torch
from builders.place import ROOT
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.model.build import build
from harness.model.config import ModelConfig
from operators import MixTConv, TemporalOp, make_operator
from operators.stencil import eager
from operators.stencil.reference import reference

# Of those that `torch.use_deterministic_algorithms` says raise on CUDA, forward or backward.
NO_ORDER = {
    "avg_pool3d_backward",
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "adaptive_max_pool2d_backward",
    "upsample_linear1d_backward",
    "upsample_bilinear2d_backward",
    "upsample_bicubic2d_backward",
    "upsample_trilinear3d_backward",
    "reflection_pad2d_backward",
    "nll_loss2d_forward",
    "grid_sampler_2d_backward",
    "cumsum",
    "cumprod",
    "put_",
    "histc",
    "median",
}


class Watched(TorchDispatchMode):
    """Which of torch's operations ran meanwhile, and on which devices their results are."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: set[str] = set()
        self.devices: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.operations.add(func.overloadpacket.__name__)
        results = found if isinstance(found, tuple) else [found]
        self.devices |= {one.device.type for one in results if isinstance(one, Tensor)}
        return found


@pytest.mark.parametrize("name", sorted(TemporalOp.registry))
def test_an_operator_makes_its_tensors_where_its_clip_is_and_repeats_on_a_gpu(name: str) -> None:
    operator = make_operator(name, 16, 8).to("meta")
    clip = (
        torch.empty(2, 8, 16, 7, 5, device="meta").permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    )
    clip.requires_grad_()
    with Watched() as watched:
        y = operator(clip)
        y.sum().backward()
    assert watched.devices == {"meta"}
    assert y.stride() == clip.stride()
    assert not watched.operations & NO_ORDER


@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet50", "bninception"])
def test_a_networks_training_step_repeats_on_a_gpu(backbone: str) -> None:
    with torch.device("meta"):
        network = build(ModelConfig(backbone=backbone, operator={"name": "mixtconv"}), 8, 5)
        clips, labels = torch.empty(2, 8, 3, 64, 64), torch.zeros(2, dtype=torch.long)
        with Watched() as watched:
            torch.nn.functional.cross_entropy(network(clips), labels).backward()
    assert {"convolution_backward", "nll_loss_backward"} <= watched.operations
    assert not watched.operations & NO_ORDER


class Claimed(torch.Tensor):
    """One that says that it is on a GPU."""

    is_cuda = True


def test_eager_path_takes_fp32_through_no_convolution_on_a_gpu() -> None:
    """cuDNN's rounds factors to TF32 unless it is told otherwise."""
    op = MixTConv(6, 5, [3, 7], init="random").double()
    x, g = torch.randn(2, 2, 5, 6, 3, 2, dtype=torch.float64).unbind()
    exact_x, table = x.requires_grad_(), op.table().detach().requires_grad_()
    exact = reference(exact_x, table)
    grads = torch.autograd.grad(exact, (exact_x, table), g)

    def seen(clip: Tensor) -> Tensor:  # (N, T, C, H, W) -> (N, T, P, C), fp32
        return clip.detach().float().permute(0, 1, 3, 4, 2).flatten(2, 3).contiguous().as_subclass(Claimed)

    how = (table.detach().float(), op.spans, True)
    with Watched() as watched:
        y = eager.forward(seen(x), *how)
        grad_x, grad_table = eager.backward(seen(x), seen(g), *how, (True, True))
    assert not [name for name in watched.operations if "conv" in name]
    for ours, expected in ((y, seen(exact)), (grad_x, seen(grads[0])), (grad_table, grads[1].float())):
        torch.testing.assert_close(ours.as_subclass(Tensor), expected.as_subclass(Tensor))


@pytest.mark.slow
def test_an_operator_runs_where_torch_does_not_say_that_it_exports() -> None:
    """torch 2.6 has no `torch.compiler.is_exporting`."""
    script = (
        "import torch; torchs_own = torch.compiler.is_exporting; del torch.compiler.is_exporting\n"
        "from operators import make_operator\n"
        "import sys\n"
        "def asked():\n"
        "    assert not sys._getframe(1).f_globals['__name__'].startswith('operators')\n"
        "    return torchs_own()\n"
        "torch.compiler.is_exporting = asked\n"  # torch asks itself
        "x = torch.ones(1, 4, 8, 3, 3, requires_grad=True)\n"
        "make_operator('mixtconv', 8, 4)(x).sum().backward(); make_operator('tam', 8, 4)(x)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
