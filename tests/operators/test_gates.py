"""Operators that weight a clip by what they see in it, beside their papers' formulas in plain loops.

Each in both memory formats, in training and in eval: batch norm is computed by hand too.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from builders.plain import agrees, along_time, at, clips, depthwise, frames_of, normed, sigmoid, trained
from torch import Tensor
from torch.nn import functional as F

from operators import (
    GSF,
    GSM,
    MVF,
    TAM,
    TEI,
    TIN,
    Action,
    MotionExcitation,
    TAda,
    TemporalDifference,
    TemporalOp,
)

in_every_form = pytest.mark.parametrize(
    ("training", "channels_last"), [(True, False), (False, False), (True, True), (False, True)]
)
Plain = Callable[[Tensor], Tensor]


def compare(op: TemporalOp, plain: Plain, training: bool, channels_last: bool) -> None:
    op = trained(op).train(training)
    agrees(op, clips(op.channels, op.num_frames, channels_last, n=3), plain)


def neighbours(taps: Tensor, x: Tensor) -> Tensor:
    """sum over |d| <= 1 of taps[1 + d, c] x_c[t + d]."""
    return frames_of(x, lambda t, c: sum(taps[1 + d, c] * at(x, t + d, c) for d in (-1, 0, 1)))


@in_every_form
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_tam_filters_each_clip_with_kernels_of_its_own(
    kernel_size: int, training: bool, channels_last: bool
) -> None:
    op = TAM(8, 5, kernel_size)
    first, norm_g, _, second, _ = op.kernels
    conv, norm_l, _, expand, _ = op.weights

    def plain(x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4))  # (N, T, C)
        hidden = normed(norm_l, along_time(z, conv.weight)).clamp(min=0)
        local = sigmoid(along_time(hidden, expand.weight))
        hidden = normed(norm_g, torch.einsum("ntc,it->nci", z, first.weight)).clamp(min=0)
        scores = torch.einsum("nci,ki->nck", hidden, second.weight).exp()
        kernels = scores / scores.sum(dim=2, keepdim=True)
        weighted = frames_of(x, lambda t, c: local[:, t, c, None, None] * x[:, t, c])
        half = kernel_size // 2

        def one(t: int, c: int) -> Tensor:
            return sum(
                kernels[:, c, half + d, None, None] * at(weighted, t + d, c) for d in range(-half, half + 1)
            )

        return frames_of(x, one)

    compare(op, plain, training, channels_last)


@in_every_form
def test_tin_moves_four_groups_by_distances_of_the_clips_own(training: bool, channels_last: bool) -> None:
    op = TIN(19, 6, shift_div=2)  # 8 of 19 channels, two a group

    def plain(x: Tensor) -> Tensor:
        z = x[:, :, :8].mean(dim=(3, 4))
        line = along_time(z, op.squeeze.weight)[..., 0] + op.squeeze.bias
        hidden = (line @ op.hidden.weight.t() + op.hidden.bias).clamp(min=0)
        far = 4 * (sigmoid(hidden @ op.distances.weight.t() + op.distances.bias) - 0.5)
        weight = 2 * sigmoid(along_time(z, op.weights.weight) + op.weights.bias)

        def one(t: int, c: int) -> Tensor:
            if c >= 8:
                return x[:, t, c]
            group = c // 2
            images = []
            for n in range(len(x)):
                o = far[n, group % 2] * (1 if group < 2 else -1)
                whole = math.floor(o.item())
                a = o - whole
                clip = x[n : n + 1]
                moved = (1 - a) * at(clip, t + whole, c) + a * at(clip, t + whole + 1, c)
                images.append(weight[n, t, group % 2] * moved[0])
            return torch.stack(images)

        return frames_of(x, one)

    compare(op, plain, training, channels_last)


def test_tin_starts_half_a_frame_apart_where_its_hidden_layer_says_nothing() -> None:
    """4 (sigmoid(0.5108) - 0.5) = 0.5."""
    assert 4 * (torch.sigmoid(TIN(16, 8).distances.bias) - 0.5).tolist()[0] == pytest.approx(0.5, abs=1e-4)


def shifted_by_gate(gate: torch.nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What GSM's gate moves, and what stays: one convolution over time and space, as the paper has it."""
    half = x.shape[2] // 2
    seen = normed(gate.norm, x, channel=2).clamp(min=0).transpose(1, 2)
    g = F.conv3d(seen, gate.conv.weight, gate.conv.bias, padding=1, groups=2).tanh()  # (N, 2, T, H, W)

    def through(t: int, c: int) -> Tensor:
        return g[:, c // half, t] * x[:, t, c]

    y = frames_of(x, through)
    moved = frames_of(x, lambda t, c: at(y, t + 1, c) if c < half else at(y, t - 1, c))
    return moved, x - y


def in_turns(x: Tensor) -> Tensor:
    """Of each half: first of quarter one, first of quarter two, second of quarter one, ..."""
    quarter = x.shape[2] // 4
    order = [start + i + q * quarter for start in (0, 2 * quarter) for i in range(quarter) for q in (0, 1)]
    return torch.stack([x[:, :, c] for c in order], dim=2)


def test_quarters_take_turns_by_hand() -> None:
    x = torch.arange(8.0)[None, None, :, None, None]
    assert in_turns(x).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@in_every_form
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_gsm_moves_what_its_gate_lets_through(frames: int, training: bool, channels_last: bool) -> None:
    op = GSM(8, frames)
    compare(op, lambda x: in_turns(sum(shifted_by_gate(op.gate, x))), training, channels_last)


def test_gsm_starts_with_a_closed_gate() -> None:
    x = clips(8, 5)
    torch.testing.assert_close(GSM(8, 5).double()(x), in_turns(x))


@in_every_form
@pytest.mark.parametrize("percent", [100, 70])
def test_gsf_weighs_what_moved_against_what_stayed(percent: int, training: bool, channels_last: bool) -> None:
    op = GSF(12, 5, percent=percent)
    part = 12 if percent == 100 else 8

    def plain(x: Tensor) -> Tensor:
        moved, stayed = shifted_by_gate(op.gate, x[:, :, :part])

        def one(t: int, c: int) -> Tensor:
            if c >= part:
                return x[:, t, c]
            half, first = c // (part // 2), c // (part // 2) * (part // 2)
            weight = op.fuse[half].weight  # (1, 2, 3, 3): channels x frames
            score = op.fuse[half].bias
            for i in range(-1, 2):
                for j in range(-1, 2):
                    if first <= c + i < first + part // 2 and 0 <= t + j < 5:
                        y, r = (v[:, t + j, c + i].mean(dim=(1, 2)) for v in (moved, stayed))
                        score = score + weight[0, 0, i + 1, j + 1] * y + weight[0, 1, i + 1, j + 1] * r
            a = sigmoid(score)[:, None, None]
            return a * moved[:, t, c] + (1 - a) * stayed[:, t, c]

        y = frames_of(x, one)
        return torch.cat([in_turns(y[:, :, :part]), y[:, :, part:]], dim=2)

    compare(op, plain, training, channels_last)


def change_to_next(b: Tensor, weight: Tensor) -> Tensor:
    """Pixel means of K * b[t+1] - b[t], zero at the last frame: (N, T, C)."""
    steps = [(depthwise(b[:, t + 1], weight) - b[:, t]).mean(dim=(2, 3)) for t in range(b.shape[1] - 1)]
    return torch.stack([*steps, torch.zeros_like(b[:, 0, :, 0, 0])], dim=1)


@in_every_form
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_motion_excitation_weights_channels_that_change(
    frames: int, training: bool, channels_last: bool
) -> None:
    op = MotionExcitation(8, frames, reduction=3)
    conv, norm = op.squeeze

    def plain(x: Tensor) -> Tensor:
        b = normed(norm, torch.einsum("ntchw,oc->ntohw", x, conv.weight[:, :, 0, 0]), channel=2)
        score = change_to_next(b, op.conv.weight) @ op.expand.weight.t()
        gate = sigmoid(normed(op.norm, score)) - 0.5
        return frames_of(x, lambda t, c: x[:, t, c] + x[:, t, c] * gate[:, t, c, None, None])

    compare(op, plain, training, channels_last)


@in_every_form
@pytest.mark.parametrize("frames", [1, 5])
def test_action_sums_three_weighted_copies_of_a_shift(
    frames: int, training: bool, channels_last: bool
) -> None:
    op = Action(8, frames, reduction=3)
    conv, norm = op.motion_squeeze

    def plain(x: Tensor) -> Tensor:
        s = neighbours(op.taps, x)
        mean = sum(s[:, :, c] for c in range(8)) / 8  # (N, T, H, W)
        where = []
        for t in range(frames):
            score = sum(
                depthwise(at(mean[:, :, None], t + i - 1, 0)[:, None], op.where.weight[:, :, i])
                for i in range(3)
            )
            where.append(sigmoid(score[:, 0]))
        squeezed = s.mean(dim=(3, 4)) @ op.channel_squeeze.weight.t()
        hidden = along_time(squeezed, op.channel_conv.weight).clamp(min=0)
        channel = sigmoid(hidden @ op.channel_expand.weight.t())
        b = normed(norm, torch.einsum("ntchw,oc->ntohw", s, conv.weight[:, :, 0, 0]), channel=2)
        motion = sigmoid(change_to_next(b, op.motion_conv.weight) @ op.motion_expand.weight.t())

        def one(t: int, c: int) -> Tensor:
            first = s[:, t, c] * where[t] + s[:, t, c]
            second = s[:, t, c] * channel[:, t, c, None, None] + s[:, t, c]
            third = s[:, t, c] * motion[:, t, c, None, None] + s[:, t, c]
            return first + second + third

        return frames_of(x, one)

    compare(op, plain, training, channels_last)


@in_every_form
@pytest.mark.parametrize("views", ["T", "TH", "THW"])
def test_mvf_sums_three_views_of_part_of_the_channels(
    views: str, training: bool, channels_last: bool
) -> None:
    op = MVF(9, 5, views=views)  # 4 of 9 channels

    def plain(x: Tensor) -> Tensor:
        n, t, _, h, w = x.shape
        part = x[:, :, :4]
        y = neighbours(op.taps[0], part)
        wide = torch.zeros(n, t, 4, h + 2, w + 2, dtype=x.dtype)
        wide[..., 1:-1, 1:-1] = part
        for d in range(3):
            if "H" in views:
                y = y + op.taps[1][d, :, None, None] * wide[:, :, :, d : d + h, 1:-1]
            if "W" in views:
                y = y + op.taps[2][d, :, None, None] * wide[:, :, :, 1:-1, d : d + w]
        y = normed(op.norm, y, channel=2)
        y = y * (y + 3).clamp(0, 6) / 6
        return torch.cat([y, x[:, :, 4:]], dim=2)

    compare(op, plain, training, channels_last)


def test_mvf_starts_with_the_variance_that_was_published() -> None:
    torch.manual_seed(0)
    for taps in MVF(512, 8).taps:
        assert taps.std().item() == pytest.approx((2 / (3 * 256)) ** 0.5, rel=0.1)


@in_every_form
@pytest.mark.parametrize("frames", [1, 5])
def test_tada_gates_by_frames_and_by_the_clip(frames: int, training: bool, channels_last: bool) -> None:
    op = TAda(8, frames)

    def plain(x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4))
        m = sum(z[:, t] for t in range(frames)) / frames
        v = torch.stack([z[:, t] + m @ op.context.weight.t() + op.context.bias for t in range(frames)], dim=1)
        hidden = normed(op.norm, along_time(v, op.squeeze.weight)).clamp(min=0)
        a = along_time(hidden, op.expand.weight) + 1
        return frames_of(x, lambda t, c: a[:, t, c, None, None] * x[:, t, c])

    compare(op, plain, training, channels_last)


def test_tada_before_a_convolution_is_a_convolution_with_calibrated_weights() -> None:
    """The paper's W_t = a_t W over input channels: conv(x[t]; W_t) = conv(a_t x[t]; W)."""
    op = trained(TAda(8, 4)).eval()
    x = clips(8, 4, n=1)
    weight = torch.randn(6, 8, 3, 3, dtype=x.dtype, generator=torch.Generator().manual_seed(5))
    ones = op(torch.ones_like(x) * x.mean(dim=(3, 4), keepdim=True)) / x.mean(dim=(3, 4), keepdim=True)
    a = ones[..., 0, 0]  # the gate sees means alone
    for t in range(4):
        calibrated = F.conv2d(x[:, t], a[0, t][None, :, None, None] * weight, padding=1)
        torch.testing.assert_close(F.conv2d(op(x)[:, t], weight, padding=1), calibrated)


def test_tada_starts_as_the_identity() -> None:
    x = clips(8, 5)
    assert torch.equal(TAda(8, 5).double()(x), x)


@in_every_form
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_tei_gates_by_the_change_of_means_and_filters(
    frames: int, training: bool, channels_last: bool
) -> None:
    op = TEI(8, frames, reduction=3)

    def plain(x: Tensor) -> Tensor:
        z = x.mean(dim=(3, 4))

        def gated(t: int, c: int) -> Tensor:
            if t == frames - 1:
                return x[:, t, c]
            change = z[:, t + 1] @ op.next.weight.t() - z[:, t] @ op.now.weight.t()
            return sigmoid(change @ op.expand.weight[c])[:, None, None] * x[:, t, c]

        return neighbours(op.taps, frames_of(x, gated))

    compare(op, plain, training, channels_last)


def convolved(image: Tensor, weight: Tensor) -> Tensor:
    """A dense 3x3 convolution, an output channel at a time."""
    one = [depthwise(image, channel[:, None]).sum(dim=1) for channel in weight]
    return torch.stack(one, dim=1)


@in_every_form
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_temporal_difference_weights_by_differences_to_both_neighbours(
    frames: int, training: bool, channels_last: bool
) -> None:
    op = TemporalDifference(8, frames, reduction=3)
    conv, norm = op.squeeze

    def plain(x: Tensor) -> Tensor:
        b = normed(norm, torch.einsum("ntchw,oc->ntohw", x, conv.weight[:, :, 0, 0]), channel=2)
        gates = []
        for by in (1, -1):
            images = []
            for t in range(frames):
                near = 0 <= t + by < frames
                images.append(depthwise(b[:, t + by], op.conv.weight) - b[:, t] if near else 0 * b[:, t])
            half, whole = [], []
            for image in images:
                pooled = sum(image[:, :, i:4:2, j:2:2] for i in (0, 1) for j in (0, 1)) / 4  # 5 x 3 -> 2 x 1
                half.append(convolved(pooled, op.coarse[0].weight))
                whole.append(convolved(image, op.fine[0].weight))
            small = normed(op.coarse[1], torch.stack(half, dim=1), channel=2)
            large = normed(op.fine[1], torch.stack(whole, dim=1), channel=2)
            wide = small[:, :, :, [0, 0, 0, 1, 1]][
                ..., [0, 0, 0]
            ]  # nearest: row r of 5 is row floor(2 r / 5) of 2
            seen = (torch.stack(images, dim=1) + wide + large) / 3
            score = torch.einsum("ntchw,oc->ntohw", seen, op.expand[0].weight[:, :, 0, 0])
            gates.append(sigmoid(normed(op.expand[1], score, channel=2)) - 0.5)
        u = x + x * (gates[0] + gates[1]) / 2
        return neighbours(op.taps, u)

    compare(op, plain, training, channels_last)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GSM(10, 4), "channels: 10 is no multiple of 4, as gsm needs"),
        (lambda: GSF(8, 4, percent=40), "percent: 40 of 8 channels"),
        (lambda: TIN(8, 4), "shift_div: 4 lets fewer than 4 of the 8 channels move"),
        (lambda: MVF(8, 4, views="HT"), "views: 'HT' is none of T, TH, THW"),
        (lambda: MVF(8, 4, part=0.1), "part: 0.1 of 8 channels are 0"),
        (lambda: TAM(8, 4, kernel_size=2), "kernel_size: 2 is not an odd size"),
        (lambda: TAda(8, 4, reduction=0), "reduction: 0 is below 1"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(make: Callable[[], TemporalOp], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
