"""Operators that filter along time, beside their papers' formulas, written in loops over t and c."""

from __future__ import annotations

import math

import pytest
import torch
from builders.plain import agrees, at, clips, frames_of, trained
from torch import Tensor

from operators import (
    S4D,
    AveragePool,
    Canon,
    CausalDepthwise,
    CausalShift,
    FrameAggregation,
    GlobalFilter,
    LearnedShift,
    MaxPool,
    TemporalFC,
    TemporalSE,
    TokenShift,
)

both_formats = pytest.mark.parametrize("channels_last", [False, True])
some_frames = pytest.mark.parametrize("frames", [1, 2, 5, 8])


@both_formats
@some_frames
def test_causal_shift_reads_an_eighth_of_the_channels_from_the_frame_before(
    frames: int, channels_last: bool
) -> None:
    x = clips(17, frames, channels_last)
    agrees(CausalShift(17, frames), x, lambda x: frames_of(x, lambda t, c: at(x, t - 1 if c < 2 else t, c)))


@both_formats
@some_frames
def test_learned_shift_interpolates_between_the_two_frames_beside_its_distance(
    frames: int, channels_last: bool
) -> None:
    op = LearnedShift(17, frames).double()
    distances = [
        1.0,
        -1.0,
        0.0,
        0.25,
        -0.25,
        1.5,
        -1.75,
        2.0,
        2.999,
        -2.999,
        -3.0,
        0.5,
        -0.5,
        1e-3,
        -1e-3,
        2,
        1,
    ]
    with torch.no_grad():
        op.shift.copy_(torch.tensor(distances))

    def plain(x: Tensor) -> Tensor:
        def one(t: int, c: int) -> Tensor:
            s = op.shift[c]
            whole = math.floor(s.item())
            a = s - whole
            return (1 - a) * at(x, t + whole, c) + a * at(x, t + whole + 1, c)

        return frames_of(x, one)

    agrees(op, clips(17, frames, channels_last), plain)


def test_learned_shift_starts_as_a_shift() -> None:
    torch.manual_seed(0)
    start = LearnedShift(64, 8).shift
    assert start[:8].tolist() == [1.0] * 8
    assert start[8:16].tolist() == [-1.0] * 8
    assert 0 < start[16:].abs().max() <= 1e-3


def test_learned_shift_goes_no_further_than_its_bound() -> None:
    op = LearnedShift(16, 8, max_shift=2).double()
    with torch.no_grad():
        op.shift.fill_(5.0)
    x = clips(16, 8)
    torch.testing.assert_close(op(x)[:, :-2], x[:, 2:])
    assert not op(x)[:, -2:].any()


@both_formats
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_frame_aggregation_is_a_depthwise_sum_and_a_relu(kernel_size: int, channels_last: bool) -> None:
    op = FrameAggregation(6, 5, kernel_size).double()
    half = kernel_size // 2

    def plain(x: Tensor) -> Tensor:
        def one(t: int, c: int) -> Tensor:
            return sum(op.taps[half + d, c] * at(x, t + d, c) for d in range(-half, half + 1)).clamp(min=0)

        return frames_of(x, one)

    agrees(op, clips(6, 5, channels_last), plain)


def test_frame_aggregation_starts_within_one() -> None:
    torch.manual_seed(0)
    assert 0.9 < FrameAggregation(512, 8).taps.abs().max() <= 1


@both_formats
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 9])
def test_pools_take_the_maximum_and_the_mean_of_neighbouring_frames(
    kernel_size: int, channels_last: bool
) -> None:
    x, half = clips(6, 5, channels_last), kernel_size // 2

    def window(t: int, c: int) -> Tensor:
        return torch.stack([x[:, s, c] for s in range(max(0, t - half), min(4, t + half) + 1)])

    agrees(MaxPool(6, 5, kernel_size), x, lambda x: frames_of(x, lambda t, c: window(t, c).amax(0)))
    mean = AveragePool(6, 5, kernel_size).double()
    with torch.no_grad():
        mean.taps.fill_(1 / kernel_size)  # the nearest double, not the nearest float
    agrees(mean, x, lambda x: frames_of(x, lambda t, c: window(t, c).sum(0) / kernel_size))


@both_formats
@some_frames
def test_token_shift_moves_a_learned_share_towards_the_frame_before(frames: int, channels_last: bool) -> None:
    op = trained(TokenShift(6, frames))

    def plain(x: Tensor) -> Tensor:
        return frames_of(x, lambda t, c: at(x, t, c) + op.share[c] * (at(x, t - 1, c) - at(x, t, c)))

    agrees(op, clips(6, frames, channels_last), plain)


def test_token_shift_starts_as_the_first_layer_of_rwkv_4() -> None:
    """Channel c of 4 keeps c / 4 of itself."""
    assert TokenShift(4, 8).share.tolist() == [1.0, 0.75, 0.5, 0.25]


@both_formats
@some_frames
@pytest.mark.parametrize("kernel_size", [1, 2, 4])
def test_canon_adds_what_the_last_frames_weigh(frames: int, channels_last: bool, kernel_size: int) -> None:
    op = Canon(6, frames, kernel_size).double()

    def plain(x: Tensor) -> Tensor:
        def one(t: int, c: int) -> Tensor:
            return at(x, t, c) + sum(op.taps[d, c] * at(x, t - d, c) for d in range(kernel_size))

        return frames_of(x, one)

    agrees(op, clips(6, frames, channels_last), plain)


@both_formats
@some_frames
@pytest.mark.parametrize("kernel_size", [1, 2, 5])
def test_causal_depthwise_weighs_the_last_frames(frames: int, channels_last: bool, kernel_size: int) -> None:
    op = CausalDepthwise(6, frames, kernel_size, "random").double()

    def plain(x: Tensor) -> Tensor:
        return frames_of(
            x, lambda t, c: sum(op.taps[d, c] * at(x, t - d, c) for d in range(kernel_size)) + 0 * at(x, t, c)
        )

    agrees(op, clips(6, frames, channels_last), plain)


def test_causal_depthwise_starts_as_a_one_sided_shift() -> None:
    x = clips(16, 5, False)
    assert torch.equal(CausalDepthwise(16, 5).double()(x), CausalShift(16, 5).double()(x))


@both_formats
@some_frames
def test_s4d_is_the_recurrence_that_it_discretises(frames: int, channels_last: bool) -> None:
    op = trained(S4D(4, frames, states=3))

    def plain(x: Tensor) -> Tensor:
        out = []
        for c in range(4):
            step = op.log_step[c].exp()
            h = [torch.zeros_like(x[:, 0, c]) + 0j for _ in range(3)]
            images = []
            for t in range(frames):
                y = op.skip[c] * x[:, t, c]
                for n in range(3):
                    a = torch.complex(-op.log_decay[c, n].exp(), op.frequency[c, n])
                    h[n] = (step * a).exp() * h[n] + ((step * a).exp() - 1) / a * x[:, t, c]
                    y = y + 2 * (torch.complex(op.readout[0, c, n], op.readout[1, c, n]) * h[n]).real
                images.append(y)
            out.append(torch.stack(images, dim=1))
        return torch.stack(out, dim=2)

    agrees(op, clips(4, frames, channels_last), plain)


def test_s4d_starts_with_decay_one_half_and_frequencies_pi_n() -> None:
    """S4D-Lin: A_n = -1/2 + i pi n."""
    op = S4D(2, 8, states=3)
    torch.testing.assert_close(op.log_decay.exp(), torch.full((2, 3), 0.5))
    torch.testing.assert_close(op.frequency[0], torch.tensor([0.0, math.pi, 2 * math.pi]))
    assert 0.1 <= op.log_step.exp().min() <= op.log_step.exp().max() <= 1.0


@both_formats
@some_frames
def test_temporal_fc_adds_a_learned_sum_of_all_frames(frames: int, channels_last: bool) -> None:
    op = trained(TemporalFC(6, frames))

    def plain(x: Tensor) -> Tensor:
        def one(t: int, c: int) -> Tensor:
            return x[:, t, c] + sum(op.weight[t, s] * x[:, s, c] for s in range(frames))

        return frames_of(x, one)

    agrees(op, clips(6, frames, channels_last), plain)


@both_formats
@pytest.mark.parametrize("frames", [1, 2, 5, 8])
def test_temporal_se_weights_frames_by_their_means(frames: int, channels_last: bool) -> None:
    op = trained(TemporalSE(6, frames))

    def plain(x: Tensor) -> Tensor:
        z = [x[:, t].mean(dim=(1, 2, 3)) for t in range(frames)]
        hidden = [
            sum(op.squeeze.weight[j, t] * z[t] for t in range(frames)).clamp(min=0)
            for j in range(max(1, frames // 2))
        ]

        def one(t: int, c: int) -> Tensor:
            score = sum(op.excite.weight[t, j] * value for j, value in enumerate(hidden))
            return x[:, t, c] / (1 + (-score).exp())[:, None, None]

        return frames_of(x, one)

    agrees(op, clips(6, frames, channels_last), plain)


@both_formats
@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8])
def test_global_filter_is_a_product_of_spectra(frames: int, channels_last: bool) -> None:
    """By torch's FFT, which the operator does not use."""
    op = trained(GlobalFilter(6, frames))

    def plain(x: Tensor) -> Tensor:
        imaginary = torch.zeros_like(op.real)
        imaginary[1 : 1 + len(op.imaginary)] = op.imaginary
        spectrum = torch.complex(op.real, imaginary)[:, :, None, None] * torch.fft.rfft(x, dim=1)
        return torch.fft.irfft(spectrum, n=frames, dim=1)

    agrees(op, clips(6, frames, channels_last), plain)


def test_global_filter_that_turns_every_phase_moves_the_clip_round_by_a_frame() -> None:
    """K[f] = exp(-2 pi i f / T) delays by one frame, and the last frame comes first."""
    op = GlobalFilter(2, 5).double()
    angle = -2 * math.pi / 5 * torch.arange(3, dtype=torch.float64)
    with torch.no_grad():
        op.real.copy_(angle.cos()[:, None].expand(3, 2))
        op.imaginary.copy_(angle.sin()[1:, None].expand(2, 2))
    x = clips(2, 5)
    torch.testing.assert_close(op(x), x.roll(1, dims=1))
