"""Attention and recurrences along time, beside their papers' formulas in plain loops over frames, heads and states."""

from __future__ import annotations

import math

import pytest
import torch
from builders.plain import agrees, clips, frames_of, normed, sigmoid, trained
from torch import Tensor, nn

from operators import LinearAttention, MinGRU, NonLocal, SelectiveSSM, TemporalAttention, make_operator

both_formats = pytest.mark.parametrize("channels_last", [False, True])
some_frames = pytest.mark.parametrize("frames", [1, 2, 5])


def linear(weight: Tensor, image: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C', H, W) by (C', C), or by that of a 1x1 convolution."""
    return torch.einsum("nchw,oc->nohw", image, weight.flatten(1))


def layer_norm(norm: nn.LayerNorm, image: Tensor) -> Tensor:
    """Over the channels of (N, C, H, W)."""
    mean = image.mean(dim=1, keepdim=True)
    var = ((image - mean) ** 2).mean(dim=1, keepdim=True)
    scaled = (image - mean) / (var + norm.eps) ** 0.5
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def heads_of(op: TemporalAttention | LinearAttention, z: list[Tensor]) -> list[tuple[list[Tensor], ...]]:
    """For each head its queries, keys and values: a list over frames of (N, d, H, W)."""
    c = op.channels
    d = c // op.heads
    made = [linear(op.qkv.weight, image) for image in z]
    return [
        tuple(
            [image[:, part * c + head * d : part * c + (head + 1) * d] for image in made] for part in range(3)
        )
        for head in range(op.heads)
    ]


def with_output(op: TemporalAttention | LinearAttention, x: Tensor, seen: list[Tensor]) -> Tensor:
    out = [linear(op.out.weight, image) + op.out.bias[:, None, None] for image in seen]
    return frames_of(x, lambda t, c: x[:, t, c] + out[t][:, c])


@both_formats
@some_frames
def test_temporal_attention_is_softmax_attention_of_each_pixel_over_its_frames(
    frames: int, channels_last: bool
) -> None:
    op = trained(TemporalAttention(8, frames, heads=2))

    def plain(x: Tensor) -> Tensor:
        z = [layer_norm(op.norm, x[:, t] + op.positions[t][:, None, None]) for t in range(frames)]
        seen = []
        for t in range(frames):
            parts = []
            for q, k, v in heads_of(op, z):
                scores = [
                    ((q[t] * k[s]).sum(dim=1, keepdim=True) / math.sqrt(4)).exp() for s in range(frames)
                ]
                parts.append(sum(score * v[s] for s, score in enumerate(scores)) / sum(scores))
            seen.append(torch.cat(parts, dim=1))
        return with_output(op, x, seen)

    agrees(op, clips(8, frames, channels_last), plain)


@both_formats
@some_frames
def test_linear_attention_is_a_running_sum(frames: int, channels_last: bool) -> None:
    """The recurrence of the paper: S += f(k) v, z += f(k); the operator multiplies queries by keys instead."""
    op = trained(LinearAttention(8, frames, heads=2))

    def f(z: Tensor) -> Tensor:
        return torch.where(z > 0, z + 1, z.clamp(max=0).exp())

    def plain(x: Tensor) -> Tensor:
        z = [layer_norm(op.norm, x[:, t]) for t in range(frames)]
        parts: list[list[Tensor]] = [[] for _ in range(frames)]
        for q, k, v in heads_of(op, z):
            total, weight = 0.0, 0.0
            for t in range(frames):
                total = total + f(k[t])[:, :, None] * v[t][:, None]  # (N, d, d, H, W)
                weight = weight + f(k[t])
                parts[t].append(
                    (f(q[t])[:, :, None] * total).sum(dim=1) / (f(q[t]) * weight).sum(dim=1, keepdim=True)
                )
        return with_output(op, x, [torch.cat(part, dim=1) for part in parts])

    agrees(op, clips(8, frames, channels_last), plain)


@both_formats
@some_frames
@pytest.mark.parametrize("training", [True, False])
def test_non_local_adds_what_resembles_each_pixel_in_its_frames(
    frames: int, channels_last: bool, training: bool
) -> None:
    op = trained(NonLocal(8, frames)).train(training)

    def plain(x: Tensor) -> Tensor:
        theta, phi, value = (
            [linear(layer.weight, x[:, t]) for t in range(frames)] for layer in (op.theta, op.phi, op.value)
        )
        seen = []
        for t in range(frames):
            scores = [(theta[t] * phi[s]).sum(dim=1, keepdim=True).exp() for s in range(frames)]
            mean = sum(score * value[s] for s, score in enumerate(scores)) / sum(scores)
            seen.append(linear(op.out.weight, mean))
        return x + normed(op.norm, torch.stack(seen, dim=1), channel=2)

    agrees(op, clips(8, frames, channels_last), plain)


def test_non_local_does_not_know_the_order_of_frames() -> None:
    op = trained(NonLocal(8, 5)).eval()
    x = clips(8, 5)
    torch.testing.assert_close(op(x.flip(1)), op(x).flip(1))


@both_formats
@some_frames
def test_min_gru_is_its_recurrence(frames: int, channels_last: bool) -> None:
    op = trained(MinGRU(6, frames))

    def plain(x: Tensor) -> Tensor:
        h: Tensor | float = 0.0
        out = []
        for t in range(frames):
            z = sigmoid(linear(op.gate.weight, x[:, t]) + op.gate.bias[:, None, None])
            h = (1 - z) * h + z * (linear(op.candidate.weight, x[:, t]) + op.candidate.bias[:, None, None])
            out.append(x[:, t] + h)
        return torch.stack(out, dim=1)

    agrees(op, clips(6, frames, channels_last), plain)


@both_formats
@some_frames
def test_selective_ssm_is_the_sum_of_two_recurrences(frames: int, channels_last: bool) -> None:
    op = trained(SelectiveSSM(6, frames, states=3))

    def one_way(way: nn.Module, x: Tensor, order: list[int]) -> dict[int, Tensor]:
        down = way.project.weight
        out = {}
        h = [[0.0] * 3 for _ in range(6)]
        for t in order:
            step = linear(way.step.weight, linear(down[:1], x[:, t])) + way.step.bias[:, None, None]
            step = (1 + step.exp()).log()
            keep, read = linear(down[1:4], x[:, t]), linear(down[4:], x[:, t])
            images = []
            for c in range(6):
                y = way.skip[c] * x[:, t, c]
                for n in range(3):
                    decay = (-step[:, c] * way.log_decay[c, n].exp()).exp()
                    h[c][n] = decay * h[c][n] + step[:, c] * keep[:, n] * x[:, t, c]
                    y = y + read[:, n] * h[c][n]
                images.append(y)
            out[t] = torch.stack(images, dim=1)
        return out

    def plain(x: Tensor) -> Tensor:
        past = one_way(op.forwards, x, list(range(frames)))
        future = one_way(op.backwards, x, list(reversed(range(frames))))
        return torch.stack([past[t] + future[t] for t in range(frames)], dim=1)

    agrees(op, clips(6, frames, channels_last), plain)


def test_selective_ssm_starts_with_decays_1_to_n_and_steps_between_a_tenth_and_one() -> None:
    op = SelectiveSSM(64, 8, states=3)
    torch.testing.assert_close(op.forwards.log_decay[5].exp(), torch.tensor([1.0, 2.0, 3.0]))
    steps = nn.functional.softplus(op.forwards.step.bias)
    assert 0.0999 < steps.min() <= steps.max() < 1.0001


@pytest.mark.parametrize("name", ["temporal_attention", "linear_attention", "non_local"])
def test_attention_starts_as_the_identity(name: str) -> None:
    x = clips(16, 5)
    assert torch.equal(make_operator(name, 16, 5).double()(x), x)


@pytest.mark.parametrize("name", ["temporal_attention", "linear_attention"])
def test_heads_that_do_not_divide_the_channels_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="heads: 3 does not divide the 16 channels"):
        make_operator(name, 16, 5, heads=3)
