"""What the rest of the house asks of any network that scores clips, whatever it is made of."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from operators import TemporalOp


class SeededDropout(nn.Module):
    """Dropout whose mask depends on `seed` alone, not on what an operator drew before it.

    The training loop sets `seed` before every step. Masks are drawn on the CPU, so that every device draws alike.
    Where a batch is worked on in parts, `clips_before` says how many of its clips come before this part: together the
    parts get the masks of the whole.

    Args:
        p: the part that is dropped.
        num_frames: rows that a clip has where this stands: T before frames are averaged, 1 after.
    """

    def __init__(self, p: float, num_frames: int = 1) -> None:
        super().__init__()
        self.p = p
        self.num_frames = num_frames
        self.seed = 0
        self.clips_before = 0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        generator = torch.Generator().manual_seed(self.seed)
        before = self.clips_before * self.num_frames  # rows: (N*T, C)
        keep = torch.rand((before + len(x), *x.shape[1:]), generator=generator)[before:] >= self.p
        return x * (keep.to(x.device, non_blocking=True) / (1 - self.p)).to(x.dtype)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Network(nn.Module):
    """Scores clips: (N, T, channels, H, W) -> (N, classes).

    Its stages are `layer1` to `layer4`, those of them that it has; `dropout` is the one before its classifier.

    Attributes:
        num_frames: T.
        channels: of a frame: 3, or those of stacked optical flow.
    """

    dropout: SeededDropout

    def __init__(self, num_frames: int, channels: int = 3) -> None:
        super().__init__()
        self.num_frames = num_frames
        self.channels = channels

    def operators(self) -> Iterator[tuple[str, TemporalOp]]:
        """(name, operator) of every block that has one, from input to output, and at the consensus."""
        for name, module in self.named_modules():
            if isinstance(module, TemporalOp):
                yield name, module

    def last_of_stages(self) -> dict[int, nn.Module]:
        """By stage the module that ends it, whose output is that stage's: of frames, (N*T, C, H, W), or of a volume,
        (N, C, T, H, W)."""
        children = dict(self.named_children())
        return {stage: children[name] for stage in range(1, 5) if (name := f"layer{stage}") in children}

    def stage_of(self, operator: str) -> int:
        """The stage in which the operator of this name stands; 4 for the one at the consensus."""
        return int(operator.removeprefix("layer")[0]) if operator.startswith("layer") else 4

    def horizon(self) -> int | None:
        """The largest distance in frames of two frames that some feature depends on, at most T - 1; None where an
        operator does not state its reach. Here: along time, whatever convolutions and pools see."""
        return min(seen_frames(self) - 1, self.num_frames - 1)

    def check(self, clips: Tensor) -> None:
        """Refuse clips of another length, which would mix once they are flattened.

        Raises:
            ValueError: their shape is another.
        """
        if clips.dim() != 5 or clips.shape[1] != self.num_frames:
            raise ValueError(
                f"clips {tuple(clips.shape)} are not (N, {self.num_frames}, {self.channels}, H, W)"
            )


def seen_frames(network: nn.Module) -> int:
    """How many frames in a row a feature behind all convolutions and pools over time depends on: taken one behind the
    other in the order in which they were made, but for shortcuts, called `downsample`, which look no further."""
    seen, step = 1, 1
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv3d | nn.MaxPool3d) and ".downsample" not in name:
            size, stride = ((x if isinstance(x, int) else x[0]) for x in (module.kernel_size, module.stride))
            seen += (size - 1) * step
            step *= stride
    return seen


def scaled(channels: int, width: float) -> int:
    """The channels of a layer in a network that is `width` times as wide as its paper's."""
    return max(1, round(channels * width))


def to_memory_format(model: nn.Module, layout: torch.memory_format) -> nn.Module:
    """Lay out the weights of convolutions; an operator's parameters of other shapes have no such format."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=layout)
    return model
