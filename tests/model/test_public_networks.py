"""Networks of torchvision and timm with operators in them, where these packages are installed."""

from __future__ import annotations

import copy
import importlib.util
from collections import Counter

import pytest
import torch
from builders.networks import drawn
from torch import Tensor, nn

from harness.model import packages
from harness.model.config import ModelConfig
from harness.model.insertion import find_places, insert_temporal
from harness.model.mstnet import MSTNet
from operators.depthwise import Depthwise

T = 2
MISSING = [name for name in ("timm", "torchvision") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

PLACES = {  # blocks with a shortcut at each stage, from the papers' tables of layers
    "torchvision/resnet18": {1: 2, 2: 2, 3: 2, 4: 2},
    "torchvision/resnext50_32x4d": {1: 3, 2: 4, 3: 6, 4: 3},
    "torchvision/regnet_y_400mf": {1: 1, 2: 3, 3: 6, 4: 6},
    "torchvision/mobilenet_v2": {1: 1, 2: 2, 3: 3 + 2, 4: 2},  # repeated blocks: of n, n - 1 have a shortcut
    "torchvision/mobilenet_v3_small": {2: 1, 3: 2 + 1, 4: 2},
    "torchvision/efficientnet_b0": {1: 1, 2: 1, 3: 2 + 2, 4: 3},
    "torchvision/convnext_tiny": {1: 3, 2: 3, 3: 9, 4: 3},
    "timm/resnet18.a1_in1k": {1: 2, 2: 2, 3: 2, 4: 2},
    "timm/resnext50_32x4d": {1: 3, 2: 4, 3: 6, 4: 3},
    "timm/regnety_004": {1: 1, 2: 3, 3: 6, 4: 6},
    "timm/mobilenetv2_050": {1: 1, 2: 2, 3: 3 + 2, 4: 2},
    "timm/mobilenetv3_small_100": {2: 1, 3: 2 + 1, 4: 2},
    "timm/tf_efficientnet_lite0": {1: 1, 2: 1, 3: 2 + 2, 4: 3},
    "timm/convnext_atto": {1: 2, 2: 2, 3: 6, 4: 2},
}
LIGHT = ["torchvision/mobilenet_v3_small", "timm/resnet18.a1_in1k", "timm/regnety_004", "timm/tf_efficientnet_lite0",
         "timm/convnext_atto"]  # fmt: skip


def network(name: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return drawn(packages.build(name).eval())  # many begin with branches that are zero


def frames(clips: int = 1) -> Tensor:
    return torch.randn(clips * T, 3, 64, 96, generator=torch.Generator().manual_seed(0))


class Fixed(Depthwise):
    """The three taps of TSM: an eighth from the next frame, an eighth from the one before."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames, 3, init="random")
        fold = channels // 8
        kernels = [[0.0, 0, 1]] * fold + [[1.0, 0, 0]] * fold + [[0.0, 1, 0]] * (channels - 2 * fold)
        self.taps[0].data = torch.tensor(kernels).t().contiguous()


@pytest.mark.parametrize("name", PLACES)
def test_identity_stands_in_every_block_with_a_shortcut_and_leaves_the_outputs_equal_to_the_bit(
    name: str,
) -> None:
    plain = network(name)
    expected, names = plain(frames()), list(plain.state_dict())
    stages = Counter(place.stage for place in find_places(plain))
    assert dict(stages) == PLACES[name]
    added = insert_temporal(plain, "identity", T)
    assert len(added) == sum(PLACES[name].values())
    assert torch.equal(plain(frames()), expected)
    assert list(plain.state_dict()) == names


@pytest.mark.parametrize("name", LIGHT)
def test_shift_equals_depthwise_with_fixed_taps_to_the_bit(name: str) -> None:
    shifted = network(name)
    filtered, plain = copy.deepcopy(shifted), shifted(frames())
    insert_temporal(shifted, "shift", T)
    insert_temporal(filtered, Fixed, T)
    assert torch.equal(shifted(frames()), filtered(frames()))
    assert not torch.equal(shifted(frames()), plain)


def test_timms_resnet_with_an_operator_is_the_skeleton_with_the_same_weights() -> None:
    """Two ways to the same network: `MSTNet`, and its public twin with operators put in."""
    skeleton = MSTNet(
        ModelConfig(backbone="resnet18", operator={"name": "mixtconv"}, dropout=0.0), T, 1000
    ).eval()
    twin = network("timm/resnet18")
    insert_temporal(twin, "mixtconv", T)
    renamed = {
        name.replace(".temporal.", ".conv1.temporal."): tensor
        for name, tensor in skeleton.state_dict().items()
    }
    twin.load_state_dict(renamed)
    clips = frames(2)
    torch.testing.assert_close(
        twin(clips).unflatten(0, (-1, T)).mean(1), skeleton(clips.unflatten(0, (-1, T))), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "timm/vit_tiny_patch16_224",
            "blocks.0 (Block) works on tokens (2, 197, 192), not on maps (N*T, C, H, W)",
        ),
        ("torchvision/shufflenet_v2_x0_5", "there are 16 InvertedResidual (stage2.0 to stage4.3), 56 Conv2d"),
    ],
)
def test_a_network_without_such_blocks_is_refused_with_what_there_is(name: str, words: str) -> None:
    with pytest.raises(ValueError, match="has convolutions and a shortcut past them; ") as refused:
        insert_temporal(network(name), "shift", T)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnt18", "backbone: timm has no network 'resnt18'; did you mean 'resnet18'?"),
        ("timm/resnet18.mine", "backbone: timm/resnet18.mine: Invalid pretrained tag (mine) for resnet18."),
        ("torchvision/resnt18", "backbone: torchvision has no network 'resnt18'; did you mean 'resnet18'?"),
        ("tim/resnet18", "backbone: 'tim/resnet18': no package 'tim'; did you mean 'timm'?"),
    ],
)
def test_a_name_that_is_not_there_is_one_line(name: str, message: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the whole message is compared)
        packages.build(name)
    assert str(refused.value) == message
