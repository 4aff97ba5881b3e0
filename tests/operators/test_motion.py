"""MotionSqueeze and SELFY beside their papers' formulas: every displacement, every window, one after the other."""

from __future__ import annotations

import pytest
import torch
from builders.plain import agrees, clips, convolution, normed, trained
from torch import Tensor, nn

from operators import SELFY, MotionSqueeze
from operators.correlation import correlations

in_every_form = pytest.mark.parametrize(
    ("training", "channels_last"), [(True, False), (False, False), (True, True), (False, True)]
)


def unit(image: Tensor) -> Tensor:
    return image / ((image**2).sum(dim=1, keepdim=True) + 1e-6) ** 0.5


def cosine(image: Tensor, other: Tensor, dy: int, dx: int) -> Tensor:
    """(N, C, H, W) twice -> (N, H, W): of a pixel with the other image's pixel (dy, dx) further."""
    n, _, h, w = image.shape
    out = []
    for y in range(h):
        for x in range(w):
            if 0 <= y + dy < h and 0 <= x + dx < w:
                out.append((unit(image)[:, :, y, x] * unit(other)[:, :, y + dy, x + dx]).sum(dim=1))
            else:
                out.append(torch.zeros(n, dtype=image.dtype))
    return torch.stack(out, dim=1).view(n, h, w)


def through(layers: nn.Module, image: Tensor) -> Tensor:
    """Convolutions, batch norms and ReLUs, by hand."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            image = convolution(image, layer.weight, layer.stride[0], layer.padding[0], layer.groups)
        elif isinstance(layer, nn.BatchNorm2d):
            image = normed(layer, image, channel=1)
        elif isinstance(layer, nn.ReLU):
            image = image.clamp(min=0)
    return image


@in_every_form
@pytest.mark.parametrize(("frames", "window"), [(1, 3), (2, 3), (4, 3), (3, 5)])
def test_motion_squeeze_adds_features_of_where_pixels_went(
    frames: int, window: int, training: bool, channels_last: bool
) -> None:
    op = trained(MotionSqueeze(8, frames, window)).train(training)
    half = window // 2
    places = [(dy, dx) for dy in range(-half, half + 1) for dx in range(-half, half + 1)]

    def plain(x: Tensor) -> Tensor:
        n, _, _, h, w = x.shape
        motion = []
        for t in range(frames - 1):
            s = torch.stack([cosine(x[:, t], x[:, t + 1], *place).clamp(min=0) for place in places])
            best = s.detach().argmax(dim=0)
            near = torch.zeros_like(s)
            for i, (dy, dx) in enumerate(places):
                for j, (by, bx) in enumerate(places):
                    gauss = 2.718281828459045 ** (-((dy - by) ** 2 + (dx - bx) ** 2) / 50)
                    near[i] = torch.where(best == j, gauss * s[i].detach(), near[i].detach())
            ratio = near / s.detach().clamp(min=1e-300)
            a = (ratio * s / 0.01).exp()
            a = a / a.sum(dim=0)
            flow_x = sum(a[i] * dx for i, (_, dx) in enumerate(places)) / half
            flow_y = sum(a[i] * dy for i, (dy, _) in enumerate(places)) / half
            motion.append(torch.stack([flow_x, flow_y, s.amax(dim=0)], dim=1))
        motion = [*motion, motion[-1]] if motion else [torch.zeros(n, 3, h, w, dtype=x.dtype)]
        added = through(op.features, torch.stack(motion, dim=1).flatten(0, 1))
        return x + added.unflatten(0, (n, frames))

    agrees(op, clips(8, frames, channels_last, n=3), plain)


def test_motion_squeeze_sees_a_pattern_move_down_and_to_the_right() -> None:
    """By one row and two columns of a window of 5: 1/2 and 1 of half the window, and surely."""
    noise = torch.randn(1, 64, 9, 9, generator=torch.Generator().manual_seed(0))
    x = torch.stack([noise, noise.roll((1, 2), dims=(2, 3))], dim=1)
    motion = MotionSqueeze(64, 2, window=5)._motion(x)[0, 0, :, :8, :7]
    torch.testing.assert_close(motion[0], torch.ones(8, 7), rtol=0, atol=1e-3)
    torch.testing.assert_close(motion[1], torch.full((8, 7), 0.5), rtol=0, atol=1e-3)
    torch.testing.assert_close(motion[2], torch.ones(8, 7), rtol=0, atol=1e-3)


@in_every_form
@pytest.mark.parametrize("frames", [1, 3])
def test_selfy_adds_features_of_self_similarity(frames: int, training: bool, channels_last: bool) -> None:
    op = trained(SELFY(8, frames)).train(training)

    def plain(x: Tensor) -> Tensor:
        n = len(x)
        z = through(op.squeeze, x.flatten(0, 1)).unflatten(0, (n, frames))
        h, w = z.shape[3:]
        images = []
        for t in range(frames):
            for by in range(-2, 3):
                there = 0 <= t + by < frames
                for dy in range(-4, 5):
                    for dx in range(-4, 5):
                        other = z[:, t + by] if there else torch.zeros_like(z[:, t])
                        images.append(cosine(z[:, t], other, dy, dx))
        windows = torch.stack(images).view(frames, 5, 9, 9, n, h, w)
        windows = windows.permute(4, 0, 1, 5, 6, 2, 3)  # n, t, l, h, w, dy, dx
        e = through(op.extract, windows.reshape(-1, 1, 9, 9))
        e = e.view(n * frames * 5, h, w, 64).permute(0, 3, 1, 2)
        i = through(op.integrate, e).reshape(n * frames, 5 * 64, h, w)
        small = through(op.expand, through(op.fuse, i))
        up = torch.zeros(n * frames, 8, 6, 4, dtype=x.dtype)
        up[:, :, [[0], [2], [4]], [[0, 2]]] = small
        change = normed(op.norm, up[:, :, :5, :3], channel=1)
        return (x + change.unflatten(0, (n, frames))).clamp(min=0)

    agrees(op, clips(8, frames, channels_last), plain)


def test_selfy_starts_as_a_relu() -> None:
    x = clips(8, 3)
    assert torch.equal(SELFY(8, 3).double()(x), x.clamp(min=0))


def test_a_frame_resembles_itself_most_at_the_middle_of_the_window() -> None:
    x = clips(8, 2)
    found = correlations(x, x, 3)
    torch.testing.assert_close(found[..., 1, 1], torch.ones_like(found[..., 1, 1]), rtol=0, atol=1e-5)
    assert (found[:, :, 0, :, 0] == 0).all()  # above the first row there is nothing
    assert (found.flatten(4).argmax(dim=4) == 4).all()


@pytest.mark.parametrize("window", [1, 4])
def test_a_window_without_a_middle_is_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window: {window} is not an odd size of at least 3"):
        MotionSqueeze(8, 4, window)
