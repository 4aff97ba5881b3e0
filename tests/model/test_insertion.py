"""An operator in a network of somebody's own: where it stands, what it changes there, and what is refused."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import pytest
import torch
from builders.networks import (
    Basic,
    Branched,
    Centred,
    Inverted,
    Net,
    Next,
    NextInside,
    Projected,
    TokenBlock,
    Tokens,
    drawn,
)
from torch import Tensor, nn
from torch.nn import functional as F

from harness.model import packages
from harness.model.insertion import find_places, insert_temporal
from operators import TemporalOp
from operators.depthwise import Depthwise
from operators.mixtconv import MixTConv

T = 4
EVERY = [f"stages.{stage}.{block}" for stage in range(3) for block in range(2)]
HEADS = {
    Basic: [f"{block}.conv1" for block in EVERY],
    Projected: [f"{block}.f.0" for block in EVERY],
    Inverted: [
        f"stages.{place}.block.0.0" for place in ("0.0", "0.1", "1.1", "2.1")
    ],  # those with a shortcut
    Next: [f"{block}.inside.dwconv" for block in EVERY],
}
BLOCKS = sorted(HEADS, key=lambda block: block.__name__)


def frames(clips: int = 2, channels_last: bool = False) -> Tensor:
    """(N*T, 3, 40, 56): maps of 5 x 7 at last."""
    x = torch.randn(clips * T, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last if channels_last else torch.contiguous_format)


def by_hand(x: Tensor, frames: int) -> Tensor:
    """TSM in plain words: an eighth of the channels from the next frame, an eighth from the one before."""
    clips, fold = x.unflatten(0, (-1, frames)), x.shape[1] // 8
    moved = torch.zeros_like(clips)
    moved[:, :-1, :fold] = clips[:, 1:, :fold]
    moved[:, 1:, fold : 2 * fold] = clips[:, :-1, fold : 2 * fold]
    moved[:, :, 2 * fold :] = clips[:, :, 2 * fold :]
    return moved.flatten(0, 1)


class Fixed(Depthwise):
    """A kernel of three taps that stay: those of TSM, as the paper writes them."""

    def __init__(self, channels: int, num_frames: int) -> None:
        super().__init__(channels, num_frames, 3, init="random")
        fold = channels // 8
        kernels = [[0.0, 0, 1]] * fold + [[1.0, 0, 0]] * fold + [[0.0, 1, 0]] * (channels - 2 * fold)
        self.taps[0].data = torch.tensor(kernels).t().contiguous()


@pytest.mark.parametrize("block", BLOCKS)
def test_an_operator_stands_before_the_first_convolution_past_which_a_shortcut_leads(block: Any) -> None:
    places = find_places(Net(block))
    assert [place.conv for place in places] == HEADS[block]
    assert [place.channels for place in places if place.conv.startswith("stages.2.1.")] == [24]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("block", BLOCKS)
def test_identity_leaves_the_outputs_equal_to_the_bit(block: Any, channels_last: bool) -> None:
    plain = drawn(Net(block))
    with_operator = copy.deepcopy(plain)
    insert_temporal(with_operator, "identity", T)
    x = frames(channels_last=channels_last)
    for network in (plain, with_operator):
        network.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)  # type: ignore[call-overload]
    assert torch.equal(with_operator(x), plain(x))  # in training: batch statistics
    assert torch.equal(with_operator.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("block", BLOCKS)
def test_shift_equals_depthwise_with_fixed_taps_to_the_bit(block: Any) -> None:
    shifted = drawn(Net(block)).eval()
    filtered = copy.deepcopy(shifted)
    plain = shifted(frames())
    insert_temporal(shifted, "shift", T)
    insert_temporal(filtered, Fixed, T)
    assert torch.equal(shifted(frames()), filtered(frames()))
    assert not torch.equal(shifted(frames()), plain)


def test_the_shortcut_passes_the_operator_by() -> None:
    """A second computation of the whole network, with the shift written out."""
    network = drawn(Net()).eval()
    insert_temporal(network, "shift", T)
    x = network.stem(frames())  # type: ignore[operator]
    for name in EVERY:
        block: Any = network.get_submodule(name)
        conv1 = F.conv2d(by_hand(x, T), block.conv1.weight, stride=block.conv1.stride, padding=1)
        y = block.bn2(block.conv2(F.relu(block.bn1(conv1))))
        x = F.relu(y + (block.downsample(x) if block.downsample else x))
    torch.testing.assert_close(network(frames()), network.fc(x.mean((2, 3))))  # type: ignore[operator]


def test_inner_stands_before_the_second_convolution() -> None:
    network = drawn(Net()).eval()
    assert list(insert_temporal(network, "shift", T, where="stages.1.1", placement="inner")) == [
        "stages.1.1.conv2.temporal"
    ]
    block: Any = network.get_submodule("stages.1.1")
    x = torch.randn(2 * T, 16, 5, 3, generator=torch.Generator().manual_seed(1))
    y = F.conv2d(by_hand(F.relu(block.bn1(block.conv1(x))), T), block.conv2.weight, padding=1)
    torch.testing.assert_close(block(x), F.relu(block.bn2(y) + x))
    gated = find_places(Net(Inverted), placement="inner")
    assert [place.conv for place in gated] == [
        name.replace("block.0.0", "block.1.0") for name in HEADS[Inverted]
    ]


def test_names_of_the_checkpoint_stay_and_the_operator_adds_its_own() -> None:
    network = drawn(Net(Inverted))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    added = insert_temporal(network, {"name": "mixtconv", "kernel_sizes": [1, 3]}, T)
    after = network.state_dict()
    new = [name for name in after if name not in before]
    assert [name for name in after if name in before] == list(before)
    assert new == [f"{conv}.temporal.taps.{i}" for conv in HEADS[Inverted] for i in (0, 1)]
    assert list(added) == [f"{conv}.temporal" for conv in HEADS[Inverted]]
    missing, unexpected = network.load_state_dict(before, strict=False)
    assert (sorted(missing), unexpected) == (sorted(new), [])


def test_clips_do_not_meet_and_every_tap_learns() -> None:
    network = drawn(Net(Projected)).eval()
    added = insert_temporal(network, {"name": "depthwise", "kernel_size": 5}, T)
    x = frames(3)
    changed = x.clone()
    changed[T : 2 * T] += 1.0
    before, after = network(x).unflatten(0, (-1, T)), network(changed).unflatten(0, (-1, T))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])
    before.square().sum().backward()
    assert all(op.get_parameter("taps.0").grad.abs().sum() > 0 for op in added.values())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("NextInside", [f"{block}.inside.dwconv" for block in EVERY]),
        (NextInside, [f"{block}.inside.dwconv" for block in EVERY]),
        ("stages.[12].*", ["1.0.smaller", "1.1.inside.dwconv", "2.0.smaller", "2.1.inside.dwconv"]),
        ("stages.[1-2].1", ["1.1.inside.dwconv", "2.1.inside.dwconv"]),
        (["stages.0.0", "stages.2.1.inside"], ["0.0.inside.dwconv", "2.1.inside.dwconv"]),
        (lambda name, module: name.endswith("0.inside"), [f"{i}.0.inside.dwconv" for i in range(3)]),
    ],
)
def test_blocks_are_chosen_by_type_by_name_or_by_a_callable(where: Any, found: list[str]) -> None:
    places = [place.conv.removeprefix("stages.") for place in find_places(Net(Next), where)]
    assert places == [name.removeprefix("stages.") for name in found]


def test_other_operators_may_follow_at_other_places() -> None:
    network = drawn(Net()).eval()
    both = copy.deepcopy(network)
    first = insert_temporal(network, "shift", T, stages=[2])
    second = insert_temporal(network, {"name": "mixtconv", "kernel_sizes": [1, 3]}, T, stages=[4])
    assert [name[:8] for name in (*first, *second)] == ["stages.0", "stages.0", "stages.2", "stages.2"]
    insert_temporal(both, {"name": "mixtconv", "kernel_sizes": [1, 3]}, T, stages=[4])
    insert_temporal(both, "shift", T, stages=[2])
    assert torch.equal(network(frames()), both(frames()))


def test_a_convolution_stands_for_itself() -> None:
    assert [place.conv for place in find_places(Net(), "**.conv2")] == [f"{block}.conv2" for block in EVERY]
    (own,) = find_places(Net(), lambda name, module: name == "stem.0")
    assert (own.conv, own.block, own.channels) == ("stem.0", "stem.0", 3)


def test_stages_are_counted_from_the_smallest_maps() -> None:
    assert [place.stage for place in find_places(Net())] == [2, 2, 3, 3, 4, 4]
    assert [place.block for place in find_places(Net(), stages=[3])] == EVERY[2:4]


def test_a_copy_has_operators_of_its_own() -> None:
    network = drawn(Net()).eval()
    insert_temporal(network, "depthwise", T)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(frames()), network(frames()))
        before = network(frames())
        other.get_parameter("stages.0.0.conv1.temporal.taps.0").data.zero_()
        assert torch.equal(network(frames()), before)
        assert not torch.equal(other(frames()), before)


def test_looking_for_places_leaves_a_network_as_it_was() -> None:
    network = drawn(Net()).train()
    network.get_submodule("stages.0").eval()  # frozen, as users do
    modes = [module.training for module in network.modules()]
    state, random = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    insert_temporal(network, "shift", T, where="stages.2.1")
    assert [module.training for module in network.modules() if not isinstance(module, TemporalOp)] == modes
    assert all(torch.equal(state[name], tensor) for name, tensor in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    hooks = [
        name for name, module in network.named_modules() if module._forward_hooks or module._forward_pre_hooks
    ]
    assert hooks == ["stages.2.1.conv1"]


def test_a_batch_must_hold_whole_clips() -> None:
    network = Net()
    insert_temporal(network, "shift", 8)
    with pytest.raises(ValueError, match=r"^a batch of 10 frames is no whole number of clips of 8 frames$"):
        network(torch.randn(10, 3, 32, 32))


class Halved(TemporalOp):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::2, :]


def test_an_operator_that_changes_the_shape_is_named() -> None:
    network = Net()
    insert_temporal(network, Halved, 2, where="stages.2.1")
    with pytest.raises(ValueError, match=r"^Halved makes \(2, 24, 2, 4\) torch.float32 of \(2, 24, 4, 4\)"):
        network(torch.randn(2, 3, 32, 32))


def no_statistics() -> nn.Module:
    network = Net()
    network.stem[1] = nn.BatchNorm2d(8, track_running_stats=False)  # type: ignore[index]
    return network


def taken() -> nn.Module:
    network = Net()
    insert_temporal(network, "identity", T, where="stages.0.0")
    return network


THERE = "there are 6 Basic (stages.0.0 to stages.2.1), 15 Conv2d (stem.0 to stages.2.1.conv2)"
REFUSED = {
    "a name that is not there": (
        lambda: Net(),
        {"where": "layer1.*"},
        f"where: 'layer1.*' matches no module of Net; {THERE}",
    ),
    "a type nearly there": (
        lambda: Net(),
        {"where": "Basik"},
        f"where: 'Basik' matches no module of Net; did you mean 'Basic'?; {THERE}",
    ),
    "a class that is not there": (
        lambda: Net(),
        {"where": Next},
        f"where: Next matches no module of Net; {THERE}",
    ),
    "a module without convolutions": (
        lambda: Net(),
        {"where": "**.bn1"},
        f"where: stages.0.0.bn1 (BatchNorm2d) has no nn.Conv2d before which an operator could stand; {THERE}",
    ),
    "tokens": (
        Tokens,
        {},
        "where: no block of Tokens has convolutions and a shortcut past them; there are 1 Conv2d (patches); block1 "
        "(TokenBlock) works on tokens (2, 49, 8), not on maps (N*T, C, H, W)",
    ),
    "tokens that were asked for": (
        Tokens,
        {"where": TokenBlock},
        "where: block1 (TokenBlock) works on tokens or vectors (2, 49, 8); operators need maps (N*T, C, H, W)",
    ),
    "a gate": (
        lambda: Net(Inverted),
        {"where": "**.fc1"},
        "where: stages.0.0.block.1.2.fc1 (Conv2d) works on single pixels (2, 16, 1, 1), as in a gate; leave it out",
    ),
    "branches": (
        lambda: Net(Branched),
        {},
        "where: stages.0.0 (Branched) has 2 branches, which begin with stages.0.0.one.0, stages.0.0.two.0; name the "
        "convolutions themselves",
    ),
    "one place twice": (
        lambda: Net(),
        {"where": ["stages.0", "stages.0.0"]},
        "where: stages.0.0.conv1 is what both stages.0 and stages.0.0 mean; choose one of them",
    ),
    "an unknown placement": (
        lambda: Net(),
        {"placement": "tail"},
        "placement: 'tail' is none of head, inner in a network of this kind",
    ),
    "no second convolution": (
        lambda: Net(Next),
        {"placement": "inner"},
        "placement: stages.0.0.inside (NextInside) has no second convolution; use placement 'head'",
    ),
    "stages without blocks": (
        lambda: Net(),
        {"stages": [1]},
        "stages: no block in stages 1; there are blocks in 2, 3, 4",
    ),
    "clips that meet": (
        lambda: Net(Centred),
        {},
        "network: stages.0.0 (Centred) mixes the images of a batch, so clips would meet",
    ),
    "batch norm without statistics": (
        no_statistics,
        {},
        "network: stem.1 (BatchNorm2d) has no running statistics, so clips meet in it",
    ),
    "a second operator": (taken, {}, "stages.0.0.conv1 has a `temporal` already: one operator at each place"),
    "channels that do not fit": (
        lambda: Net(),
        {"operator": {"name": "mixtconv", "kernel_sizes": [1] * 9}},
        "kernel_sizes: 9 groups do not fit into 8 channels (before stages.0.0.conv1, of 8 channels)",
    ),
    "other frames": (
        lambda: Net(),
        {"example": torch.zeros(2, 4, 32, 32)},
        "network: Net cannot be run on frames (2, 4, 32, 32): Invalid channel dimensions; give `example`, frames as it "
        "takes them",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_work_is_refused_in_one_line_and_changes_nothing(what: str) -> None:
    make, settings, message = REFUSED[what]
    network = drawn(make())
    names = list(network.state_dict())
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the whole message is compared)
        insert_temporal(network, **{"operator": "identity", "num_frames": T, **settings})  # type: ignore[arg-type]
    assert str(refused.value) == message
    assert list(network.state_dict()) == names


def test_the_head_of_a_block_is_mixed_for_each_place_by_an_operator_of_its_channels() -> None:
    added = insert_temporal(Net(), MixTConv, T)
    assert [op.channels for op in added.values()] == [8, 8, 8, 16, 16, 24]
    assert all(op.num_frames == T for op in added.values())


def test_a_package_that_is_not_installed_is_one_line_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("timm", "torchvision"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    with pytest.raises(ValueError, match=r"^backbone: torchvision/resnet18 needs torchvision, which is not installed; "
                       r"pip install 'mixtbench\[torchvision\]'$"):  # fmt: skip
        packages.build("torchvision/resnet18")
    with pytest.raises(ValueError, match=r"pip install 'mixtbench\[timm\]'$"):
        packages.build("timm/resnet18")
