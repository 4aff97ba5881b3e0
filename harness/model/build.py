"""From settings to a network."""

from __future__ import annotations

from harness.model.bninception import BNInception
from harness.model.c3d import C3D
from harness.model.config import ModelConfig
from harness.model.eco import ECO
from harness.model.framewise import Framewise
from harness.model.i3d import I3D
from harness.model.mstnet import MSTNet
from harness.model.network import Network
from harness.model.two_stream import TwoStream
from harness.outside import own_environment

NETWORKS: dict[str, type[Framewise | I3D | ECO | C3D]] = {
    "bninception": BNInception,
    "i3d_resnet50": I3D,
    "nl_i3d_resnet50": I3D,
    "eco": ECO,
    "eco_lite": ECO,
    "c3d": C3D,
}
"""By backbone; all others are residual networks over frames."""


def build(config: ModelConfig, num_frames: int, num_classes: int, seed: int = 0) -> Network:
    """The network that settings describe.

    Args:
        num_frames: T.
        num_classes: width of the classifier.
        seed: decides all initial weights.

    Raises:
        ValueError: the network, its head or its operator refuses the settings.
        StudyError: a file of weights is not there, cannot be read, or is of another architecture.
    """
    kind = NETWORKS.get(config.backbone, MSTNet)
    with own_environment():
        if config.flow:
            return TwoStream(
                lambda channels: kind(config, num_frames, num_classes, seed, channels),
                num_frames,
                config.flow,
            )
        return kind(config, num_frames, num_classes, seed)
