"""Two streams: one network on frames, one on optical flow, their scores averaged.

Source: Simonyan and Zisserman, Two-Stream Convolutional Networks, NIPS 2014, Sec. 2-3; TSN and TRN fuse scores too.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from harness.model.network import Network, SeededDropout


class TwoStream(Network):
    """Two networks of one kind, trained side by side with the same dropout.

    Nothing here computes optical flow. A frame's flow is read as pictures, `flow` pairs of one for x and one for y,
    which stand behind its red, green and blue.

    Args:
        make: builds a network for frames of so many channels.
        num_frames: T.
        flow: pairs of flow pictures of a frame.

    Shape:
        (N, T, 3 + 2 flow, H, W) -> (N, num_classes).
    """

    def __init__(self, make: Callable[[int], Network], num_frames: int, flow: int) -> None:
        super().__init__(num_frames, 3 + 2 * flow)
        self.rgb, self.flow = make(3), make(2 * flow)
        self.dropout = self.rgb.dropout
        for module in list(self.flow.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, SeededDropout):
                    setattr(module, name, self.dropout)

    def last_of_stages(self) -> dict[int, nn.Module]:
        """Those of the stream of frames."""
        return self.rgb.last_of_stages()

    def horizon(self) -> int | None:
        """That of either stream: they are alike."""
        return self.rgb.horizon()

    def forward(self, clips: Tensor) -> Tensor:
        self.check(clips)
        scores: Tensor = (self.rgb(clips[:, :, :3]) + self.flow(clips[:, :, 3:])) / 2
        return scores
