"""The paper's rivals: parameters by hand from their papers' tables, MACs beside the printed ones, a step of each."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import nn

from harness.cost.config import CostConfig
from harness.cost.counting import count, counted
from harness.model.build import NETWORKS, build
from harness.model.config import NAMES, VOLUMES, ModelConfig
from harness.records import CostRecord


def cost(model: dict[str, Any], frames: int = 8, size: int = 224, classes: int = 174) -> CostRecord:
    config = ModelConfig(**model)
    return count(CostConfig(backbone=config.backbone, size=size, num_classes=classes), config, frames)


def conv(channels: int, out: int, taps: int, norm: bool = True, bias: bool = False) -> int:
    """Parameters of a convolution of so many taps, with its bias and its batch norm."""
    return channels * out * taps + out * bias + 2 * out * norm


def unit(channels: int, out: int, taps: int) -> int:
    return conv(channels, out, taps, bias=True)


# Ioffe and Szegedy, Fig. 5: channels before, and of 1x1, 3x3 reduce, 3x3, double 3x3 reduce, double 3x3, pool
FIGURE_5 = """
3a 192  64  64  64  64  96  32
3b 256  64  64  96  64  96  64
3c 320   0 128 160  64  96   0
4a 576 224  64  96  96 128 128
4b 576 192  96 128  96 128 128
4c 576 160 128 160 128 160 128
4d 608  96 128 192 160 192 128
4e 608   0 128 192 192 256   0
5a 1056 352 192 320 160 224 128
5b 1024 352 192 320 192 224 128
"""
STEM = unit(3, 64, 49) + unit(64, 64, 1) + unit(64, 192, 9)


def inception(line: str) -> int:
    before, one, reduce, three, double_reduce, double, pool = map(int, line.split()[1:])
    total = unit(before, reduce, 1) + unit(reduce, three, 9)
    total += unit(before, double_reduce, 1) + unit(double_reduce, double, 9) + unit(double, double, 9)
    return total + (unit(before, one, 1) if one else 0) + (unit(before, pool, 1) if pool else 0)


INCEPTIONS = [inception(line) for line in FIGURE_5.strip().splitlines()]
FEATURES = STEM + sum(INCEPTIONS)
RESNET50 = 24_327_632 - 2049 * 400  # public, without its classifier


def test_bninception_has_the_public_number_of_parameters() -> None:
    assert FEATURES + 1025 * 1000 == 11_295_240  # of the public model
    assert cost({"backbone": "bninception"}, classes=1000).params_total == 11_295_240
    assert cost({"backbone": "bninception"}).params_total == FEATURES + 1025 * 174


def test_trn_adds_a_relation_for_each_number_of_frames() -> None:
    relations = sum(scale * 256 * 256 + 256 + 257 * 174 for scale in range(2, 9))
    expected = FEATURES + 1025 * 256 + relations
    assert cost({"backbone": "bninception", "consensus": "trn"}).params_total == expected
    flow = expected + 7 * 64 * 49  # ten channels instead of three
    two = {"backbone": "bninception", "consensus": "trn", "flow": 5}
    assert cost(two).params_total == expected + flow


def i3d_extra() -> int:
    """What the taps along time add to ResNet-50: 5 in the stem, 3 in the first layer of every other block."""
    stem = 4 * 64 * 3 * 49
    stage2 = 2 * (64 * 64 + 2 * 256 * 64)
    stage3 = 2 * (256 * 128 + 512 * 128)
    stage4 = 2 * (512 * 256 + 2 * 1024 * 256)
    return stem + stage2 + stage3 + stage4 + 2 * 2048 * 512


def test_i3d_is_resnet50_with_taps_along_time_and_non_local_blocks_add_their_four_layers() -> None:
    assert cost({"backbone": "i3d_resnet50"}).params_total == RESNET50 + 2049 * 174 + i3d_extra()
    blocks = 2 * (4 * 512 * 256 + 3 * 256 + 512 + 2 * 512) + 3 * (4 * 1024 * 512 + 3 * 512 + 1024 + 2 * 1024)
    assert cost({"backbone": "nl_i3d_resnet50"}).params_total == RESNET50 + 2049 * 174 + i3d_extra() + blocks


def test_eco_is_bninception_and_a_3d_resnet18() -> None:
    stage3 = conv(96, 128, 27) + 2 * conv(128, 128, 27)
    stage4, stage5 = (
        conv(c, 2 * c, 27) + conv(c, 2 * c, 27, norm=False) + 3 * conv(2 * c, 2 * c, 27) for c in (128, 256)
    )
    half = stage3 + stage4 + stage5
    assert cost({"backbone": "eco"}).params_total == FEATURES + half + (512 + 1024 + 1) * 174
    front = STEM + sum(INCEPTIONS[:2]) + unit(320, 64, 1) + unit(64, 96, 9)
    assert cost({"backbone": "eco_lite"}).params_total == front + half + 513 * 174


def test_c3d_is_eight_convolutions_and_three_dense_layers() -> None:
    sizes = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    layers = sum(conv(a, b, 27, norm=False, bias=True) for a, b in itertools.pairwise(sizes))
    dense = 8193 * 4096 + 4097 * 4096 + 4097 * 174
    record = cost({"backbone": "c3d"}, 16, 112)
    assert record.params_total == layers + dense
    assert record.macs_total is not None
    assert round(record.macs_total / 1e9, 1) == 38.5  # as later papers print of it


def test_timeception_adds_five_branches_a_layer() -> None:
    total, channels = 0, 2048
    for _ in range(3):  # 8 frames are one after three layers
        inner = channels * 5 // 4 // 5  # of a branch, over all groups
        total += 5 * (channels // 8 * inner) + (3 + 5 + 7) * inner + 5 * 2 * inner
        channels = 5 * inner
    assert channels == 4000
    assert cost({"consensus": "timeception"}).params_total == RESNET50 + total + (channels + 1) * 174


def test_mixconv_has_depthwise_layers_in_place_of_the_3x3() -> None:
    widths = [(64, 3), (128, 4), (256, 6), (512, 3)]
    dense = sum(9 * c * c * blocks for c, blocks in widths)
    mixed = sum(c // 4 * (9 + 25 + 49 + 81) * blocks for c, blocks in widths)
    assert cost({"backbone": "mixconv_resnet50"}).params_total == RESNET50 + 2049 * 174 - dense + mixed


@pytest.mark.parametrize(
    ("model", "frames", "params", "gmacs"),
    [  # Table 4; its parameters are those of 400 classes
        ({"backbone": "bninception"}, 8, 10.7, 16),
        ({"backbone": "i3d_resnet50"}, 32, 28.0, 153),
        ({"backbone": "nl_i3d_resnet50"}, 32, 35.3, None),
        ({"backbone": "eco"}, 8, 47.5, 32),
        ({"backbone": "eco"}, 16, 47.5, 64),
    ],
)
def test_table_4_is_reproduced(
    model: dict[str, Any], frames: int, params: float, gmacs: float | None
) -> None:
    record = cost(model, frames, classes=400)
    assert record.params_total / 1e6 == pytest.approx(params, rel=0.005)
    assert record.macs_total is not None
    if gmacs is not None:
        assert (
            record.macs_total / 1e9 == pytest.approx(gmacs, rel=0.01)
            or round(record.macs_total / 1e9) == gmacs
        )


def test_eco_en_lite_is_four_eco_lites_of_92_frames_together() -> None:
    four = [cost({"backbone": "eco_lite"}, frames, classes=400) for frames in (16, 20, 24, 32)]
    assert sum(r.params_total for r in four) / 1e6 == pytest.approx(150, rel=0.01)
    assert sum(r.macs_total or 0 for r in four) / 1e9 == pytest.approx(267, rel=0.01)


SMALL: dict[str, tuple[dict[str, Any], int]] = {  # name -> settings, frames
    "bninception": ({"backbone": "bninception", "operator": {"name": "mixtconv"}}, 4),
    "trn": ({"backbone": "bninception", "consensus": "trn"}, 4),
    "trn_resnet": ({"backbone": "resnet_tiny", "consensus": "trn"}, 4),
    "two_stream": ({"backbone": "bninception", "consensus": "trn", "flow": 2}, 3),
    "timeception": ({"backbone": "resnet18", "consensus": "timeception"}, 5),
    "mixconv": ({"backbone": "mixconv_resnet50", "operator": {"name": "shift"}}, 4),
    **{name: ({"backbone": name}, 4) for name in VOLUMES},
}


@pytest.fixture(params=SMALL)
def small(request: pytest.FixtureRequest) -> tuple[ModelConfig, int]:
    """A network of each kind at an eighth of its width, and its frames."""
    settings, frames = SMALL[request.param]
    width = 1.0 if settings["backbone"] == "resnet_tiny" else 0.125
    return ModelConfig(**settings, width=width, dropout=0.2), frames


def test_a_step_trains_every_parameter(small: tuple[ModelConfig, int]) -> None:
    config, frames = small
    torch.manual_seed(0)
    model = build(config, frames, 5, seed=3).train()
    with torch.no_grad():  # of a classifier that starts near 0, and of a block that starts as the identity
        for name, parameter in model.named_parameters():
            if name.endswith(("fc.weight", "attention.norm.weight")):
                parameter.normal_()
    clips = torch.randn(3, frames, model.channels, 48, 32)
    scores = model(clips)
    assert scores.shape == (3, 5)
    nn.functional.cross_entropy(scores, torch.tensor([0, 3, 1])).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


def test_clips_do_not_mix_and_the_seed_decides_the_start(small: tuple[ModelConfig, int]) -> None:
    config, frames = small
    model, again, other = (build(config, frames, 5, seed).eval() for seed in (3, 3, 4))
    clips = torch.randn(2, frames, model.channels, 32, 48)
    changed = clips.clone()
    changed[1] += 1
    with torch.no_grad():
        scores = model(clips)
        torch.testing.assert_close(model(changed)[0], scores[0])
        torch.testing.assert_close(model(clips[:1])[0], scores[0])
        assert torch.equal(again(clips), scores)
        assert not torch.equal(other(clips), scores)


def test_torch_counts_the_same_multiply_adds(small: tuple[ModelConfig, int]) -> None:
    config, frames = small
    record = counted(CostConfig(backbone=config.backbone, num_classes=5, size=56), config, frames)
    assert record.macs_counted_total == record.macs_total
    assert record.warnings == []


def test_operators_stand_at_the_head_of_all_ten_inception_blocks() -> None:
    with torch.device("meta"):
        model = build(ModelConfig(backbone="bninception", operator={"name": "shift"}), 8, 5)
    assert [(name, op.channels) for name, op in model.operators()] == [
        (f"layer{int(line[0]) - 1}.{line.split()[0]}.temporal", int(line.split()[1]))
        for line in FIGURE_5.strip().splitlines()
    ]


def test_bninception_starts_alike_whatever_its_operator_and_consensus() -> None:
    common = {"backbone": "bninception", "width": 0.125}
    plain, mixed, related = (
        build(ModelConfig(**common, **more), 4, 5, seed=1).state_dict()
        for more in ({}, {"operator": {"name": "mixtconv"}}, {"consensus": "trn"})
    )
    backbone = [name for name in plain if not name.startswith("fc.")]
    assert all(torch.equal(plain[name], mixed[name]) for name in plain)
    assert all(torch.equal(plain[name], related[name]) for name in backbone)


@pytest.mark.parametrize("settings", [{"backbone": name} for name in VOLUMES] + [{"consensus": "trn"}])
def test_rivals_tell_a_clip_from_its_reverse(settings: dict[str, Any]) -> None:
    model = build(ModelConfig(**{"backbone": "bninception", "width": 0.125} | settings), 6, 5).eval()
    for name, parameter in model.named_parameters():
        if "attention.norm" in name or name == "fc.weight":
            nn.init.normal_(parameter)
    clips = torch.randn(1, 6, 3, 32, 32)
    with torch.no_grad():
        assert not torch.allclose(model(clips), model(clips.flip(1)), rtol=1e-3)


def test_i3d_sees_37_frames_and_says_so() -> None:
    """5 in the stem; by 2 in each of 3 blocks, and by 2 in a pool; then 2 frames apart, by 2 in each of 6 blocks."""
    model = build(ModelConfig(backbone="i3d_resnet50", width=0.0625), 64, 5).eval()
    assert model.horizon() == (5 + 3 * 2 + 2 + 6 * 2 * 2) - 1
    volume: list[torch.Tensor] = []
    model.get_submodule("layer4").register_forward_hook(lambda *given: volume.append(given[2]))
    clips = torch.randn(1, 64, 3, 32, 32, requires_grad=True)
    model(clips)
    volume[0][:, :, 16].sum().backward()
    assert clips.grad is not None
    seen = clips.grad.abs().amax(dim=(0, 2, 3, 4)).nonzero().flatten()
    assert int(seen[-1] - seen[0]) == model.horizon()


@pytest.mark.parametrize(
    ("settings", "horizon"),
    [
        ({"backbone": "nl_i3d_resnet50"}, 63),
        (
            {"backbone": "eco"},
            3 * 2 + (2 + 3 * 4) + (4 + 3 * 8),
        ),  # three layers, then four and four, 2 and 4 apart
        ({"backbone": "resnet18", "consensus": "trn"}, 63),
        ({"backbone": "resnet18", "consensus": "timeception"}, 63),
        ({"backbone": "resnet18"}, 0),
    ],
)
def test_horizons(settings: dict[str, Any], horizon: int) -> None:
    with torch.device("meta"):
        assert build(ModelConfig(**settings), 64, 5).horizon() == horizon


def test_every_name_builds_and_those_of_volumes_are_their_own_networks() -> None:
    assert set(VOLUMES) == set(NETWORKS) - {"bninception"}
    with torch.device("meta"):
        for name in NAMES:
            assert build(ModelConfig(backbone=name), 8, 5).num_frames == 8


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"backbone": "i3d_resnet5"}, "backbone: no backbone 'i3d_resnet5'; did you mean 'i3d_resnet50'"),
        ({"consensus": "tnr"}, "consensus: no consensus 'tnr'; did you mean 'trn'"),
        (
            {"backbone": "eco", "consensus": "trn"},
            "consensus: trn: eco scores a clip as a whole; leave it out",
        ),
        ({"backbone": "c3d", "operator": {"name": "shift"}}, "operator: c3d carries none; leave it out"),
        (
            {"backbone": "bninception", "placement": "inner"},
            "placement: an inception block has several first",
        ),
        ({"consensus": "trn", "placement": "consensus"}, "placement: trn is the consensus; use another"),
        (
            {"backbone": "c3d", "weights": "a.pth"},
            "weights: c3d has no 2D network to start from; leave it out",
        ),
        ({"flow": 5, "weights": "a.pth"}, "weights: no 2D network fills a second stream; leave it out"),
        ({"weights_3d": "a.pth"}, "weights_3d: resnet50 has no 3D part of its own; use weights"),
        ({"width": 0}, "width: 0 is not above 0 and at most 4"),
        ({"flow": -1}, "flow: -1 is below 0"),
    ],
)
def test_what_a_network_cannot_be_given_is_one_line(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        ModelConfig(**settings)
    assert "\n" not in str(error.value)


def test_a_head_refuses_what_it_cannot_relate() -> None:
    with torch.device("meta"):
        with pytest.raises(
            ValueError, match="consensus: trn relates frames: 1 frame is too few; use average"
        ):
            build(ModelConfig(consensus="trn"), 1, 5)
        with pytest.raises(ValueError, match="consensus: timeception makes 8 groups, and 154 channels"):
            build(ModelConfig(backbone="bninception", consensus="timeception", width=0.15), 8, 5)
