"""Ablations and operators by stage: which variants they make, which networks those are, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.place import TINY
from builders.study_files import ids, load, refusal

from harness.cost.config import CostConfig
from harness.cost.counting import count
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.records import operator_words
from harness.train.settings import plain

MIX = {"name": "mixtconv", "kernel_sizes": [1, 3, 5], "init": "shift"}


def ablated(ablate: Any, **more: Any) -> dict[str, Any]:
    model = {**TINY["model"], "operator": MIX}
    return {**TINY, "model": model, "baseline": "full", "variants": {}, "ablate": ablate, **more}


def operators(study: Any) -> dict[str, dict[str, Any]]:
    return {name: dict(settings.model.operator) for name, settings in study.variants.items()}


def test_a_list_is_ablated_entry_by_entry(tmp_path: Path) -> None:
    study = load(tmp_path, ablated({"kernel": "model.operator.kernel_sizes"}))
    assert {name: one["kernel_sizes"] for name, one in operators(study).items()} == {
        "full": [1, 3, 5],
        "without_kernel_1": [3, 5],
        "without_kernel_3": [1, 5],
        "without_kernel_5": [1, 3],
    }
    assert {one["init"] for one in operators(study).values()} == {"shift"}
    assert study.baseline == "full"


def test_a_default_list_is_ablated_too(tmp_path: Path) -> None:
    study = load(tmp_path, ablated({"stage": "model.stages"}))
    assert [list(one.model.stages) for one in study.variants.values()] == [
        [1, 2, 3, 4],
        [2, 3, 4],
        [1, 3, 4],
        [1, 2, 4],
        [1, 2, 3],
    ]


def test_a_component_may_be_any_settings_and_stand_beside_ordinary_variants(tmp_path: Path) -> None:
    ablate = {"init": {"model.operator.init": "random"}, "placement": {"model.placement": "inner"}}
    tsn = {"tsn": {"model.operator": {"name": "identity"}}}
    study = load(tmp_path, ablated(ablate, variants=tsn, hypotheses=["full > without_init"]))
    assert list(study.variants) == ["full", "without_init", "without_placement", "tsn"]
    assert operators(study)["without_init"] == {**MIX, "init": "random"}
    assert study.variants["without_placement"].model.placement == "inner"


def test_ablated_variants_are_the_trials_of_variants_written_by_hand(tmp_path: Path) -> None:
    made = ids(load(tmp_path, ablated({"kernel": "model.operator.kernel_sizes"})))
    by_hand = {
        "full": {"model.operator": MIX},
        "without_kernel_3": {"model.operator": {**MIX, "kernel_sizes": [1, 5]}},
    }
    written = ids(load(tmp_path, {**TINY, "baseline": "full", "variants": by_hand}))
    assert written.items() <= made.items()


def test_a_part_chooses_among_them_and_a_sweep_has_them_at_each_value(tmp_path: Path) -> None:
    ablate = {"stage": "model.stages"}
    parts = {"late": {"variants": ["full", "without_stage_1"]}}
    assert list(load(tmp_path, ablated(ablate, parts=parts), part="late").variants) == [
        "full",
        "without_stage_1",
    ]
    study = load(tmp_path, ablated({"init": {"model.operator.init": "random"}}, sweep={"train.lr": [1, 2]}))
    assert list(study.variants) == ["full@1", "full@2", "without_init@1", "without_init@2"]


WRONG: dict[str, tuple[Any, str]] = {
    "a list": (["model.stages"], "ablate: ['model.stages'] names no components; write what takes it away"),
    "nothing": ({"a": None}, "ablate.a: None: write what takes it away"),
    "no list": ({"a": "model.dropout"}, "ablate.a: model.dropout is 0.2, no list; write what takes it away"),
    "not set": (
        {"a": "model.operator.dilations"},
        "ablate.a: model.operator.dilations is not set by the study; ",
    ),
    "no such setting": ({"a": {"model.place": "inner"}}, "variants.without_a.model.place: unknown key"),
    "no change": (
        {"a": {"model.placement": "head"}},
        "variants.without_a: differs from full in no setting that can change a result",
    ),
    "a study's key": ({"a": {"seeds": [1]}}, "variants.without_a.seeds: unknown key"),
    "no name": ({"a b": {"model.placement": "inner"}}, "variants: 'without_a b' is no name"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_ablated_is_one_line(tmp_path: Path, name: str) -> None:
    ablate, words = WRONG[name]
    assert words in refusal(tmp_path, ablated(ablate))


def test_one_entry_and_equal_entries_are_not_ablated(tmp_path: Path) -> None:
    for sizes, words in (
        ([3], "without its one entry nothing is left"),
        ([3, 3], "of equal entries, say by hand"),
    ):
        model = {**TINY["model"], "operator": {**MIX, "kernel_sizes": sizes}}
        assert words in refusal(tmp_path, ablated({"k": "model.operator.kernel_sizes"}, model=model))


def test_names_that_ablate_makes_are_its_own_and_set_cannot_change_it(tmp_path: Path) -> None:
    taken = ablated({"stage": "model.stages"}, variants={"full": {}})
    assert "variants.full: `ablate` makes a variant of that name; use another" in refusal(tmp_path, taken)
    text = refusal(tmp_path, ablated({"stage": "model.stages"}), overrides=["ablate={}"])
    assert text == "--set ablate={}: ablate cannot be set here; edit the file"
    text = refusal(tmp_path, ablated({"stage": "model.stages"}), overrides=["model.stages=[3]"])
    assert "variant 'without_stage_1' sets model.stages itself" in text


# Operators by stage.

BY_STAGE = {1: "tsm", 3: {"name": "depthwise", "kernel_size": 5}, 4: "identity"}


def network(**model: Any) -> MSTNet:
    return MSTNet(ModelConfig(backbone="resnet_tiny", **model), num_frames=8, num_classes=2)


def by_name(net: MSTNet) -> list[tuple[str, str]]:
    return [(name.split(".")[0], type(op).__name__) for name, op in net.operators()]


def test_each_stage_has_its_own_operator_and_the_horizon_is_their_sum(tmp_path: Path) -> None:
    variants = {"mixed": {"model.operator": BY_STAGE}, "tsn": {"model.operator": {"name": "identity"}}}
    study = load(tmp_path, {**TINY, "variants": variants})
    operator = study.variants["mixed"].model.operator
    assert operator == {
        1: {"name": "shift"},
        3: BY_STAGE[3],
        4: {"name": "identity"},
    }  # under their own names
    net = network(operator=operator)
    assert by_name(net) == [("layer1", "Shift"), ("layer3", "Depthwise"), ("layer4", "Identity")]
    assert net.horizon() == 2 * (1 + 2 + 0)
    assert operator_words(operator) == "1: shift; 3: depthwise kernel_size 5; 4: identity"


def test_a_stage_starts_and_costs_as_it_does_alone() -> None:
    """What stands in another stage changes neither; MACs are those of one network plus those of the other."""
    shift, ks5 = {"name": "shift"}, {"name": "depthwise", "kernel_size": 5}
    mixed = network(operator={1: shift, 3: ks5})
    alone = network(operator=ks5, stages=(3,))
    for name, value in alone.state_dict().items():
        assert torch.equal(mixed.state_dict()[name], value)
    cost = CostConfig(backbone="resnet_tiny", size=32)
    added = [
        count(cost, ModelConfig(backbone="resnet_tiny", **model), 8).macs_added
        for model in (
            {"operator": {1: {"name": "depthwise", "kernel_size": 3}, 3: ks5}},
            {"operator": {"name": "depthwise", "kernel_size": 3}, "stages": (1,)},
            {"operator": ks5, "stages": (3,)},
        )
    ]
    assert added[0] == added[1] + added[2]


def test_operators_by_stage_survive_records_and_count_in_ids(tmp_path: Path) -> None:
    def study(operator: dict[Any, Any]) -> Any:
        return load(tmp_path, {**TINY, "baseline": "a", "variants": {"a": {"model.operator": operator}}})

    settings = study(BY_STAGE).variants["a"]
    kept = json.loads(json.dumps(plain(settings)))["model"]["operator"]
    assert ModelConfig(backbone="resnet_tiny", operator=kept).operator == settings.model.operator
    found = {ids(study(one))["a"] for one in (BY_STAGE, {**BY_STAGE, 2: "shift"}, {3: BY_STAGE[3]})}
    assert len(found) == 3
    assert ids(study(BY_STAGE)) == ids(study({**BY_STAGE, 1: "shift"}))


def test_stages_choose_among_operators_by_stage(tmp_path: Path) -> None:
    model = {**TINY["model"], "operator": {3: "shift", 4: "shift"}, "stages": [3, 4]}
    study = load(
        tmp_path,
        {**TINY, "model": model, "baseline": "full", "variants": {}, "ablate": {"s": "model.stages"}},
    )
    assert {name: list(one.model.operators) for name, one in study.variants.items()} == {
        "full": [3, 4],
        "without_s_3": [4],
        "without_s_4": [3],
    }


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"operator": {5: "shift"}}, "operator: no name; give one, as in {name: depthwise"),
        ({"operator": {}}, "operator: no name; give one"),
        ({"operator": {1: 3}}, "operator: of stage 1, 3 has no name"),
        (
            {"operator": {1: "shift"}, "placement": "consensus"},
            "operator: at the consensus stands one for all",
        ),
        (
            {"operator": {1: "shift"}, "stages": [2, 3]},
            "operator: of stages 1, but operators stand in 2, 3 alone",
        ),
        (
            {"operator": {1: "shift", 3: {"name": "depthwise", "kernel_size": 4}}},
            "operator.3.kernel_size: 4 ",
        ),
        ({"operator": {2: "shfit"}}, "operator.2.name: no operator 'shfit'; did you mean 'shift'?"),
    ],
)
def test_operators_by_stage_that_cannot_be_are_one_line(
    tmp_path: Path, model: dict[str, Any], words: str
) -> None:
    study = {**TINY, "model": {**TINY["model"], **model}, "baseline": "a", "variants": {"a": {}}}
    assert words in refusal(tmp_path, study)
