"""Dense convolutions over time and space, and Timeception's groups and branches, beside plain computations of each."""

from __future__ import annotations

import pytest
import torch
from builders.plain import agrees, clips, normed, trained
from torch import Tensor
from torch.nn import functional as F

from operators import Conv2Plus1D, Conv3D, Ordinary, Timeception

in_every_form = pytest.mark.parametrize(
    ("training", "channels_last"), [(True, False), (False, False), (True, True), (False, True)]
)
some_frames = pytest.mark.parametrize("frames", [1, 2, 5])


@some_frames
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_conv3d_is_torchs_convolution_over_time_and_space(
    kernel_size: int, frames: int, channels_last: bool
) -> None:
    op = trained(Conv3D(6, frames, kernel_size, init="random"))

    def plain(x: Tensor) -> Tensor:
        return F.conv3d(x.transpose(1, 2), op.weight, padding=(kernel_size // 2, 1, 1)).transpose(1, 2)

    agrees(op, clips(6, frames, channels_last), plain)


@pytest.mark.parametrize("init", ["shift", "identity"])
def test_conv3d_starts_as_the_dense_convolution_over_time_does(init: str) -> None:
    x = clips(16, 5)
    torch.testing.assert_close(Conv3D(16, 5, init=init).double()(x), Ordinary(16, 5, init=init).double()(x))


@in_every_form
@some_frames
def test_conv2plus1d_convolves_space_normalises_and_convolves_time(
    frames: int, training: bool, channels_last: bool
) -> None:
    op = trained(Conv2Plus1D(5, frames)).train(training)

    def plain(x: Tensor) -> Tensor:
        u = F.conv3d(x.transpose(1, 2), op.space.weight[:, :, None], padding=(0, 1, 1))
        u = normed(op.norm, u, channel=1).clamp(min=0)
        return F.conv3d(u, op.time[..., None], padding=(1, 0, 0)).transpose(1, 2)

    agrees(op, clips(5, frames, channels_last, n=3), plain)


@pytest.mark.parametrize("channels", [4, 16, 64])
def test_conv2plus1d_has_the_parameters_of_the_3d_convolution_that_it_factorises(channels: int) -> None:
    """Sec. 3.5 of its paper, with batch norm left out; rounding takes less than one channel."""
    op = Conv2Plus1D(channels, 8)
    assert 0 <= 27 * channels**2 - op.space.weight.numel() - op.time.numel() < 12 * channels


@in_every_form
@some_frames
@pytest.mark.parametrize(("channels", "groups"), [(16, 2), (13, 1)])
def test_timeception_sends_every_group_through_five_branches(
    channels: int, groups: int, frames: int, training: bool, channels_last: bool
) -> None:
    op = trained(Timeception(channels, frames, groups)).train(training)
    each = channels // groups
    parts = {8: [2, 2, 2, 1, 1], 13: [3, 3, 3, 2, 2]}[each]

    def plain(x: Tensor) -> Tensor:
        made = []
        for group in range(groups):
            weight = op.mix.weight[group * each : (group + 1) * each, :, 0, 0]
            z = torch.einsum("ntchw,oc->ntohw", x[:, :, group * each : (group + 1) * each], weight)
            for branch, own in enumerate(z.split(parts, dim=2)):
                if 1 <= branch <= 3:
                    taps = op.taps[branch - 1][:, group * parts[branch] : (group + 1) * parts[branch]]
                    half = len(taps) // 2
                    images = [
                        sum(
                            tap[:, None, None] * own[:, t + i - half]
                            for i, tap in enumerate(taps)
                            if 0 <= t + i - half < frames
                        )
                        for t in range(frames)
                    ]
                    own = torch.stack(images, dim=1)
                if branch == 4:
                    following = [own[:, min(t + 1, frames - 1)] for t in range(frames)]
                    own = torch.where(own > torch.stack(following, 1), own, torch.stack(following, 1))
                made.append(own)
        y = normed(op.norm, torch.cat(made, dim=2), channel=2).clamp(min=0)
        order = [group * each + i for i in range(each) for group in range(groups)]
        return y[:, :, order]

    agrees(op, clips(channels, frames, channels_last, n=3), plain)


def test_timeception_halves_its_groups_until_each_has_a_channel_for_every_branch() -> None:
    assert [Timeception(c, 8).groups for c in (64, 32, 16, 8, 5, 13)] == [8, 4, 2, 1, 1, 1]
    with pytest.raises(ValueError, match="channels: 4 are fewer than the 5 branches"):
        Timeception(4, 8)
