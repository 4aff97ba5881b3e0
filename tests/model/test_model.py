"""The skeleton: public names, placements, costs of FACTS, and what the same seed must give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from builders.operators import TABLE2
from torch import Tensor

from harness.cost.config import CostConfig
from harness.cost.counting import count
from harness.errors import StudyError
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.model.network import SeededDropout
from operators import TemporalOp


def paper_cost(
    variant: str, placement: str = "head", frames: int = 8, **geometry: int
) -> tuple[int, int, int, int]:
    """Network MACs without the classifier, added MACs, parameters, added parameters."""
    model = ModelConfig(operator=TABLE2[variant], placement=placement)
    record = count(CostConfig(**geometry), model, frames)  # type: ignore[arg-type]
    assert record.macs_total is not None
    assert record.macs_added is not None
    classifier = frames * 2048 * record.geometry["num_classes"]
    network = record.macs_total - record.macs_added - classifier
    return network, record.macs_added, record.params_total, record.params_added


def test_plain_resnet50_has_the_macs_and_parameters_known_of_it() -> None:
    network, added, params, added_params = paper_cost("tsn")
    assert network == 32_697_090_048  # 8 x 4,087,136,256
    assert params == 23_864_558
    assert (added, added_params) == (0, 0)
    assert paper_cost("tsn", num_classes=400)[2] == 24_327_632
    assert round(paper_cost("tsn", size=256)[0] / 1e9, 2) == 42.71


@pytest.mark.parametrize(
    ("variant", "added", "parameters"),
    [
        # One tap on every channel, head, 8 frames: 44,957,696 MACs and 13,120 parameters.
        ("tsm", 0, 0),
        ("ks3", 3 * 44_957_696, 39_360),
        ("ks5", 5 * 44_957_696, 65_600),
        ("ks7", 7 * 44_957_696, 91_840),
        ("ks13", 2 * 44_957_696, 26_240),
        ("ks135", 134_550_080, 39_316),
        ("ks1357", 4 * 44_957_696, 52_480),
        ("ks357", 3 * 44_957_696, 39_360),
    ],
)
def test_operator_adds_the_macs_and_parameters_of_table_2(variant: str, added: int, parameters: int) -> None:
    network, macs, _, params = paper_cost(variant)
    assert (network, macs, params) == (32_697_090_048, added, parameters)


def test_ks3_totals_what_facts_say() -> None:
    network, added, _, _ = paper_cost("ks3")
    assert network + added == 32_831_963_136


def test_mixtconv_1357_adds_0_18_gmacs_at_head_and_0_06_inner() -> None:
    assert round(paper_cost("ks1357")[1] / 1e9, 5) == 0.17983
    assert paper_cost("ks1357", "inner")[1] == 4 * 15_253_504
    assert paper_cost("ks1357", "inner")[3] == 15_104
    assert round(paper_cost("ks1357", frames=16)[1] / 1e9, 4) == 0.3597


def test_ordinary_adds_7_7_gmacs_inner_and_74_3_at_head() -> None:
    assert round(paper_cost("ordinary", "inner")[1] / 1e9, 3) == 7.707
    assert round(paper_cost("ordinary")[1] / 1e9, 2) == 74.30


def test_operator_that_does_not_state_its_macs_leaves_the_cost_unstated() -> None:
    class Silent(TemporalOp, name="silent_for_a_test"):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("counting must not run an operator")

    try:
        record = count(CostConfig(), ModelConfig(operator={"name": "silent_for_a_test"}), 8)
        assert record.macs_added is None
        assert record.macs_total is None
    finally:
        del TemporalOp.registry["silent_for_a_test"]


def test_backbone_parameters_have_the_names_of_public_checkpoints() -> None:
    """Counted and spelled as in torchvision's resnet50: 320 entries with batch counters."""
    with torch.device("meta"):
        state = MSTNet(ModelConfig(), 8, 1000).state_dict()
    assert len(state) == 320
    for name, shape in {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.conv1.weight": (64, 64, 1, 1),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer1.0.downsample.1.bias": (256,),
        "layer3.5.bn3.weight": (1024,),
        "layer4.2.conv2.weight": (512, 512, 3, 3),
        "fc.weight": (1000, 2048),
    }.items():
        assert tuple(state[name].shape) == shape


@pytest.mark.parametrize(("backbone", "parameters"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_basic_block_backbones_have_the_public_number_of_parameters(backbone: str, parameters: int) -> None:
    with torch.device("meta"):
        model = MSTNet(ModelConfig(backbone=backbone), 8, 1000)
    assert sum(p.numel() for p in model.parameters()) == parameters


def tiny(
    operator: dict[str, object] | None = None, *, seed: int = 0, frames: int = 4, **settings: object
) -> MSTNet:
    config = ModelConfig(backbone="resnet_tiny", operator=operator or TABLE2["tsn"], **settings)  # type: ignore[arg-type]
    return MSTNet(config, frames, 5, seed)


CHANNELS = {  # entering and leaving the two or three convolutions of the first block of stage 2
    "resnet_tiny": {"head": 16, "inner": 32, "after_conv2": 32, "block_out": 32},
    "resnet18": {"head": 64, "inner": 128, "after_conv2": 128, "block_out": 128},
    "resnet50": {"head": 256, "inner": 128, "after_conv2": 128, "block_out": 512},
}


@pytest.mark.parametrize("placement", ["head", "inner", "after_conv2", "block_out"])
@pytest.mark.parametrize("backbone", CHANNELS)
def test_operator_stands_in_every_block_at_its_placement(backbone: str, placement: str) -> None:
    with torch.device("meta"):
        model = MSTNet(ModelConfig(backbone=backbone, placement=placement, operator=TABLE2["ks3"]), 8, 5)
    blocks = {"resnet_tiny": 4, "resnet18": 8, "resnet50": 16}[backbone]
    ops = dict(model.operators())
    assert len(ops) == blocks
    assert ops["layer2.0.temporal"].channels == CHANNELS[backbone][placement]


def test_at_the_consensus_one_operator_mixes_the_means_of_frames() -> None:
    model = tiny(TABLE2["ks3"], placement="consensus").eval()
    ((name, op),) = model.operators()
    assert (name, op.channels) == ("consensus", 128)
    clips, features = torch.randn(2, 4, 3, 16, 24), []
    model.layer4.register_forward_hook(lambda module, inputs, output: features.append(output))
    scores = model(clips)
    means = features[0].mean(dim=(2, 3)).view(2, 4, 128, 1, 1)
    mixed = op(means).view(2, 4, 128)
    torch.testing.assert_close(scores, (mixed @ model.fc.weight.t() + model.fc.bias).mean(dim=1))


@pytest.mark.parametrize("placement", ["head", "inner", "after_conv2", "block_out", "consensus"])
@pytest.mark.parametrize("backbone", ["resnet_tiny", "resnet50"])
def test_an_operator_that_does_nothing_changes_no_bit_wherever_it_stands(
    backbone: str, placement: str
) -> None:
    clips = torch.randn(1, 4, 3, 32, 24)
    plain, placed = (
        MSTNet(ModelConfig(backbone=backbone, placement=where, dropout=0.0), 4, 5, seed=3)
        for where in ("head", placement)
    )
    assert torch.equal(plain(clips), placed(clips))


def test_an_unknown_placement_offers_the_nearest_one() -> None:
    with pytest.raises(ValueError, match=r"placement: no placement 'block_uot'; did you mean 'block_out'\?"):
        ModelConfig(placement="block_uot")


def test_stages_without_operators_have_none() -> None:
    names = [name for name, _ in tiny(TABLE2["ks3"], stages=(2, 4)).operators()]
    assert names == ["layer2.0.temporal", "layer4.0.temporal"]


def test_identity_branch_takes_the_unmodified_input() -> None:
    """With the residual branch silenced (bn2 at zero), an operator that wipes its input changes nothing."""

    class Wipe(TemporalOp, name="wipe_for_a_test"):
        def forward(self, x: Tensor) -> Tensor:
            return x * 0

    try:
        clips = torch.randn(2, 4, 3, 16, 24)
        models = [tiny(), tiny({"name": "wipe_for_a_test"})]
        for model in models:
            for stage in range(1, 5):
                torch.nn.init.zeros_(model.get_submodule(f"layer{stage}.0.bn2").weight)  # type: ignore[arg-type]
        assert torch.equal(models[0](clips), models[1](clips))
    finally:
        del TemporalOp.registry["wipe_for_a_test"]


def test_operators_mix_before_and_after_the_convolutions_that_their_placement_names() -> None:
    seen: dict[str, list[str]] = {}
    for placement in ("head", "inner", "after_conv2", "block_out"):
        model, order = tiny(TABLE2["ks3"], placement=placement), []
        block = model.get_submodule("layer1.0")
        for name, module in block.named_children():
            module.register_forward_hook(lambda *_, name=name, order=order: order.append(name))
        model(torch.randn(1, 4, 3, 16, 24))
        seen[placement] = order
    assert seen["head"][:3] == ["temporal", "conv1", "bn1"]
    assert seen["inner"][:4] == ["conv1", "bn1", "temporal", "conv2"]
    assert seen["after_conv2"] == ["conv1", "bn1", "conv2", "bn2", "temporal"]
    assert seen["block_out"] == ["conv1", "bn1", "conv2", "bn2", "temporal"]


def test_at_a_blocks_output_an_operator_sees_what_the_identity_branch_added() -> None:
    given: dict[str, Tensor] = {}
    for placement in ("after_conv2", "block_out"):
        model = tiny(TABLE2["ks3"], placement=placement, stages=(1,)).eval()
        block = model.layer1[0]
        block.register_forward_hook(lambda m, inputs, output: given.update(block_in=inputs[0]))
        block.temporal.register_forward_pre_hook(
            lambda m, inputs, placement=placement: given.update({placement: inputs[0].flatten(0, 1).clone()})
        )
        model(torch.randn(1, 4, 3, 16, 24, generator=torch.Generator().manual_seed(0)))
    expected = (given["after_conv2"] + given["block_in"]).clamp(
        min=0
    )  # stage 1 of the tiny network: no downsample
    torch.testing.assert_close(given["block_out"], expected)


def test_tsn_scores_a_reversed_clip_the_same() -> None:
    model = tiny().eval()
    clips = torch.randn(2, 4, 3, 16, 24)
    torch.testing.assert_close(model(clips), model(clips.flip(1)))


def test_mixtconv_scores_a_reversed_clip_differently() -> None:
    model = tiny(TABLE2["ks1357"]).eval()
    clips = torch.randn(2, 4, 3, 16, 24)
    assert not torch.allclose(model(clips), model(clips.flip(1)))


def test_score_is_the_average_over_frames() -> None:
    model = tiny().eval()
    clips = torch.randn(1, 4, 3, 16, 24)
    single = tiny(frames=1).eval()
    per_frame = torch.cat([single(clips[:, i : i + 1]) for i in range(4)])
    torch.testing.assert_close(model(clips)[0], per_frame.mean(0))


def test_backbone_start_does_not_depend_on_the_operator() -> None:
    states = [tiny(TABLE2[v]).state_dict() for v in ("tsn", "ks1357", "ordinary")]
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        assert torch.equal(value, states[2][name]), name


def test_seed_decides_backbone_operators_and_nothing_else_does() -> None:
    random = {"name": "mixtconv", "init": "random"}
    first = tiny(random).state_dict()
    torch.manual_seed(99)
    second, other = tiny(random).state_dict(), tiny(random, seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(first["layer1.0.temporal.taps.1"], other["layer1.0.temporal.taps.1"])
    assert not torch.equal(first["layer1.0.temporal.taps.1"], first["layer2.0.temporal.taps.1"][:, :4])


def test_classifier_starts_as_tsn_does() -> None:
    model = MSTNet(ModelConfig(backbone="resnet18"), 2, 1000)
    assert abs(model.fc.weight.std().item() - 0.001) < 1e-5
    assert not model.fc.bias.any()


def test_dropout_mask_depends_on_its_seed_alone() -> None:
    dropout, x = SeededDropout(0.25).train(), torch.ones(50, 40)
    dropout.seed = 7
    first = dropout(x)
    torch.rand(3)  # what an operator might draw in between
    assert torch.equal(first, dropout(x))
    assert abs((first == 0).float().mean() - 0.25) < 0.04
    assert first.max() == pytest.approx(1 / 0.75)
    dropout.seed = 8
    assert not torch.equal(first, dropout(x))
    assert torch.equal(dropout.eval()(x), x)


def checkpoint(path: Path, **change: Tensor | None) -> Path:
    state = {name: torch.full_like(value, 0.5) for name, value in tiny().state_dict().items()}
    for name, value in change.items():
        name = name.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    torch.save(state, path)
    return path


def test_local_checkpoint_fills_the_backbone_and_leaves_operators_and_classifier(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "weights.pth", fc__weight=torch.zeros(1000, 128))
    model = tiny(TABLE2["ks3"], weights=str(path))
    assert (model.conv1.weight == 0.5).all()
    assert not (model.fc.weight == 0.5).any()
    assert not (model.state_dict()["layer1.0.temporal.taps.0"] == 0.5).any()


def test_checkpoint_of_another_network_names_the_keys(tmp_path: Path) -> None:
    path = checkpoint(
        tmp_path / "weights.pth",
        bn1__bias=None,
        extra__weight=torch.zeros(1),
        conv1__weight=torch.zeros(2, 3, 3, 3),
    )
    with pytest.raises(StudyError) as error:
        tiny(weights=str(path))
    for words in (
        "missing bn1.bias",
        "unexpected extra.weight",
        "conv1.weight is (2, 3, 3, 3), not (16, 3, 3, 3)",
    ):
        assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_file_that_is_no_checkpoint_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(StudyError, match=r"weights\.pth is not a checkpoint"):
        tiny(weights=str(tmp_path / "weights.pth"))
    with pytest.raises(StudyError, match="no file"):
        tiny(weights=str(tmp_path / "none.pth"))
