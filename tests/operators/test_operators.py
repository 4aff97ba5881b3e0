"""The zoo: the contract over the whole registry, and each operator against a plainer form of itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from operators import Depthwise, Identity, MixTConv, Ordinary, Shift, TemporalOp, make_operator
from operators.base import find_operator
from operators.contract import check
from operators.stencil import reference

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in sorted(TemporalOp.registry)),
    ("depthwise", {"kernel_size": 5}),
    ("depthwise", {"kernel_size": 7, "init": "random"}),
    ("depthwise", {"kernel_size": 3, "dilation": 2}),
    ("mixtconv", {"kernel_sizes": [1, 3]}),
    ("mixtconv", {"kernel_sizes": [1, 3, 5]}),  # 16 channels in 3 groups: a remainder
    ("mixtconv", {"kernel_sizes": [3, 3, 3], "dilations": [1, 2, 3]}),
    ("mixtconv", {"init": "identity"}),
    ("mixtconv", {"init": "random"}),
    ("ordinary", {"kernel_size": 5, "init": "random"}),
    ("shift", {"shift_div": 4}),
    ("tam", {"kernel_size": 5}),
    ("gsf", {"percent": 50}),
    ("mvf", {"views": "T"}),
    ("learned_shift", {"max_shift": 1}),
    ("s4d", {"states": 1}),
    ("canon", {"kernel_size": 2}),
    ("conv3d", {"kernel_size": 5, "init": "random"}),
    ("conv2plus1d", {"kernel_size": 5}),
    ("timeception", {"groups": 1}),
    ("motion_squeeze", {"window": 3}),
    ("causal_depthwise", {"kernel_size": 2, "init": "random"}),
    ("causal_depthwise", {"kernel_size": 5}),
]


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=lambda v: str(v))
def test_operator_keeps_its_promises(name: str, settings: dict[str, Any]) -> None:
    check(find_operator(name), **settings)


@pytest.mark.parametrize("name", sorted(TemporalOp.registry))
@pytest.mark.parametrize(("channels", "frames"), [(16, 5), (128, 16)])
def test_operator_keeps_its_promises_with_few_channels_and_with_many_frames(
    name: str, channels: int, frames: int
) -> None:
    check(find_operator(name), channels=channels, frames=frames)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", sorted(TemporalOp.registry))
def test_a_single_frame_keeps_its_memory_format(name: str, channels_last: bool) -> None:
    x = clips(16, 1, channels_last, torch.float32)
    assert make_operator(name, 16, 1)(x).stride() == x.stride()


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", sorted(TemporalOp.registry))
def test_half_precision_clips_under_autocast_come_back_as_they_are_near_the_exact_result(
    name: str, channels_last: bool
) -> None:
    """As `train.precision: bf16` has it: parameters in fp32, clips in bfloat16."""
    op = make_operator(name, 64, 8).eval()
    x = clips(64, 8, channels_last, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        y = op(x)
    assert y.dtype == torch.bfloat16
    assert y.stride() == x.stride()
    exact = op.double()(x.double())
    assert (y.double() - exact).norm() / exact.norm() < 2e-2


def clips(
    channels: int = 16, frames: int = 5, channels_last: bool = False, dtype: torch.dtype = torch.float64
) -> Tensor:
    x = torch.randn(2, frames, channels, 5, 3, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) if channels_last else x


def as_published(x: Tensor, weights: list[Tensor]) -> Tensor:
    """The paper's Eq. 1-2 as written: (B*H*W, C, T), one grouped conv1d per channel group, concatenation."""
    n, t, c, h, w = x.shape
    rows = x.permute(0, 3, 4, 2, 1).reshape(n * h * w, c, t)
    groups = rows.split([len(weight) for weight in weights], dim=1)
    mixed = [
        F.conv1d(group, weight, padding=weight.shape[2] // 2, groups=len(weight))
        for group, weight in zip(groups, weights, strict=True)
    ]
    return torch.cat(mixed, dim=1).view(n, h, w, c, t).permute(0, 4, 3, 1, 2)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("frames", [1, 2, 5, 8])
def test_mixtconv_is_the_papers_equation(frames: int, channels_last: bool) -> None:
    op = MixTConv(17, frames, kernel_sizes=[1, 3, 5, 7], init="random").double()
    x = clips(17, frames, channels_last).requires_grad_()
    weights = [taps.detach().t()[:, None].clone().requires_grad_() for taps in op.taps]
    y, expected = op(x), as_published(x, weights)
    torch.testing.assert_close(y, expected)
    cotangent = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad(y, [x, *op.taps], cotangent)
    theirs = torch.autograd.grad(expected, [x, *weights], cotangent)
    torch.testing.assert_close(ours[0], theirs[0])
    for mine, published in zip(ours[1:], theirs[1:], strict=True):
        torch.testing.assert_close(mine, published[:, 0].t())


def test_shift_equals_depthwise_convolution_with_fixed_kernels() -> None:
    """End of Sec. 3.1 of the paper; which eighth reads which neighbour is TSM's."""
    x = clips()
    kernels = torch.tensor([[0.0, 0, 1]] * 2 + [[1.0, 0, 0]] * 2 + [[0.0, 1, 0]] * 12, dtype=torch.float64)
    assert torch.equal(Shift(16, 5).double()(x), as_published(x, [kernels[:, None]]))


def test_first_eighth_of_shift_reads_the_next_frame_and_the_second_the_previous_one() -> None:
    x, y = clips(), Shift(16, 5).double()(clips())
    assert torch.equal(y[:, :-1, :2], x[:, 1:, :2])
    assert torch.equal(y[:, 1:, 2:4], x[:, :-1, 2:4])
    assert torch.equal(y[:, :, 4:], x[:, :, 4:])
    assert not y[:, -1, :2].any()
    assert not y[:, 0, 2:4].any()


def test_dilated_kernel_equals_a_wider_one_with_zeros_between() -> None:
    dilated = MixTConv(16, 8, kernel_sizes=[3], dilations=[3], init="random").double()
    wide = MixTConv(16, 8, kernel_sizes=[7], init="random").double()
    with torch.no_grad():
        wide.taps[0].zero_()
        wide.taps[0][::3] = dilated.taps[0]
    x = clips(frames=8)
    torch.testing.assert_close(dilated(x), wide(x))


def test_depthwise_is_mixtconv_with_one_group() -> None:
    torch.manual_seed(0)
    depthwise = Depthwise(16, 5, kernel_size=5, init="random")
    torch.manual_seed(0)
    mixed = MixTConv(16, 5, kernel_sizes=[5], init="random")
    x = clips(dtype=torch.float32)
    assert torch.equal(depthwise(x), mixed(x))


def test_ordinary_equals_conv1d_over_time_at_every_pixel() -> None:
    op = Ordinary(6, 5, kernel_size=3, init="random").double()
    x = clips(6)
    rows = x.permute(0, 3, 4, 2, 1).reshape(-1, 6, 5)
    expected = F.conv1d(rows, op.weight[..., 0], padding=1).view(2, 5, 3, 6, 5).permute(0, 4, 3, 1, 2)
    torch.testing.assert_close(op(x), expected)


def test_published_initial_weights_are_shift_patterns() -> None:
    """The authors' code, in cross-correlation order, fold = channels of the group // 8."""
    op = MixTConv(64, 8, kernel_sizes=[1, 3, 5, 7])  # 16 channels a group, fold 2
    k1, k3, k5, k7 = (taps.t().tolist() for taps in op.taps)
    assert k1 == [[1]] * 16
    assert k3 == [[1, 0, 0]] * 2 + [[0, 0, 1]] * 2 + [[0, 1, 0]] * 12
    assert k5 == [[1, 1, 0, 0, 0]] * 2 + [[0, 0, 0, 1, 1]] * 2 + [[0, 0, 1, 0, 0]] * 12
    assert k7 == [[1, 1, 1, 0, 0, 0, 0]] * 2 + [[0, 0, 0, 0, 1, 1, 1]] * 2 + [[0, 0, 0, 1, 0, 0, 0]] * 12


@pytest.mark.parametrize("name", ["depthwise", "mixtconv", "ordinary"])
def test_identity_start_leaves_clips_as_they_are(name: str) -> None:
    x = clips(dtype=torch.float32)
    torch.testing.assert_close(make_operator(name, 16, 5, init="identity")(x), x, rtol=0, atol=1e-6)


def test_random_start_stays_within_pytorchs_bound_for_a_depthwise_kernel() -> None:
    taps = Depthwise(4096, 8, kernel_size=5, init="random").taps[0]
    assert 0.44 < taps.abs().max() <= 5**-0.5  # uniform in +-1 / sqrt(5) = 0.447
    assert abs(taps.mean()) < 0.01


def test_remainder_of_the_channels_goes_to_the_first_group() -> None:
    assert [taps.shape[1] for taps in MixTConv(64, 8, kernel_sizes=[1, 3, 5]).taps] == [22, 21, 21]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_half_precision_clips_keep_their_dtype_and_are_near_the_exact_result(
    dtype: torch.dtype, channels_last: bool
) -> None:
    op = MixTConv(16, 5, init="random")
    x = clips(channels_last=channels_last).to(dtype)
    y = op(x)
    exact = reference(x.double(), op.table().detach().double())
    assert y.dtype == dtype
    assert y.stride() == x.stride()
    assert (y.double() - exact).norm() / exact.norm() < 5e-3


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("mixtcov", {}, "no operator 'mixtcov'; did you mean 'mixtconv'"),
        ("tsms", {}, "no operator 'tsms'; did you mean 'tsm'"),
        ("mixtconv", {"kernel_size": [1]}, "no such setting; did you mean 'kernel_sizes'"),
        ("mixtconv", {"kernel_sizes": [1, 4]}, "4 is even and would change the number of frames"),
        ("mixtconv", {"kernel_sizes": []}, "kernel_sizes: empty"),
        ("mixtconv", {"kernel_sizes": [1] * 17}, "17 groups do not fit into 16 channels"),
        ("mixtconv", {"dilations": [1]}, "1 given for 4 kernel_sizes"),
        ("mixtconv", {"kernel_sizes": [3], "dilations": [0]}, "dilations: 0 is below 1"),
        ("mixtconv", {"init": "zeros"}, "init: 'zeros' is none of"),
        ("depthwise", {"kernel_size": 4}, "kernel_size: 4 is even"),
        ("ordinary", {"kernel_size": 2}, "kernel_size: 2 is not an odd size"),
        ("shift", {"shift_div": 32}, "shift_div: 32 is not between 2 and the 16 channels"),
        ("nowhere.MyOp", {}, "no module 'nowhere'"),
        ("torch.nn.Conv2d", {}, "is not a subclass of TemporalOp"),
    ],
)
def test_wrong_setting_says_what_is_wrong(name: str, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_operator(name, 16, 8, **settings)


@pytest.mark.parametrize(
    ("paper", "cls"), [("tsn", Identity), ("tsm", Shift), ("mst", MixTConv), ("conv1d", Ordinary)]
)
def test_a_papers_name_finds_its_operator(paper: str, cls: type[TemporalOp]) -> None:
    assert find_operator(paper) is cls


def test_subclassing_with_a_name_registers_and_a_taken_name_is_refused() -> None:
    class Mine(Identity, name="mine_for_a_test"):
        pass

    try:
        assert isinstance(make_operator("mine_for_a_test", 4, 2), Mine)
        with pytest.raises(ValueError, match="'mine_for_a_test' is taken by"):

            class Other(Identity, name="mine_for_a_test"):
                pass
    finally:
        del TemporalOp.registry["mine_for_a_test"]


@pytest.mark.parametrize(
    ("name", "settings", "reach"),
    [
        ("identity", {}, 0),
        ("shift", {}, 1),
        ("ordinary", {"kernel_size": 5}, 2),
        ("depthwise", {"kernel_size": 3, "dilation": 3}, 3),
        ("mixtconv", {"kernel_sizes": [1, 3, 5, 7]}, 3),
        ("mixtconv", {"kernel_sizes": [1, 1]}, 0),
    ],
)
def test_reach_is_that_of_the_widest_kernel(name: str, settings: dict[str, Any], reach: int) -> None:
    assert make_operator(name, 16, 8, **settings).reach == reach
