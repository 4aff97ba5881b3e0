"""All that is wrong in a study file is said in one round, and nothing that may be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.place import TINY
from builders.study_files import change, refusal, refusals

from harness.errors import StudyError
from harness.study.load import load_studies


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    """Each line once, also what is wrong for every variant."""
    changes = {
        "bassline": "tsn",
        "seeds": [0, -1],
        "data/crops": 3,
        "train/learning_rate": 0.1,
        "variants/ks13/train.epochs": "many",
        "variants/tsn/batchsize": 8,
    }
    content = TINY
    for place, value in changes.items():
        content = change(place, value, content)
    assert refusals(tmp_path, content) == [
        "tiny.yaml: bassline: unknown key; did you mean 'baseline'?",
        "tiny.yaml: seeds: -1 is below 0",
        "tiny.yaml: variants.tsn.batchsize: unknown key; did you mean 'train.batch_size'?",
        "tiny.yaml: data.crops: unknown key; did you mean 'crop'?",
        "tiny.yaml: train.learning_rate: unknown key; did you mean 'lr'?",
        "tiny.yaml: variants.ks13.train.epochs: 'many' is not a whole number",
    ]


def test_one_wrong_section_keeps_nothing_else_from_being_checked(tmp_path: Path) -> None:
    content = change("cost/latencies", False)
    content = change("baseline", "tsm", content)
    content = change("train/epochs", "many", content)
    content = change("variants/ks13/model.operator/name", "mixtcov", content)
    assert refusals(tmp_path, content) == [
        "tiny.yaml: cost.latencies: unknown key; did you mean 'latency'?",
        "tiny.yaml: baseline: no variant 'tsm'; did you mean 'tsn'?",
        "tiny.yaml: train.epochs: 'many' is not a whole number",
        "tiny.yaml: variants.ks13.model.operator.name: no operator 'mixtcov'; did you mean 'mixtconv'?",
    ]


def test_every_wrong_value_of_a_section_is_said_at_once(tmp_path: Path) -> None:
    """Of a section, of what lies in it, and of an operator."""
    content = change("train", {"epochs": 0, "lr": -1, "optimizer": "adam", "warm_up": 1})
    dataset = {"name": "generated", "task": "strobe", "levels": [1, 99], "contrast": 0, "seeds": 3}
    content = change("data", {"dataset": dataset, "num_frames": 4, "holdout": 1, "crops": 3}, content)
    operator = {"name": "mixtconv", "kernel_sizes": [1, 2], "dilation": [1, 1], "init": "zeros"}
    content = change("variants/ks13/model.operator", operator, content)
    data = "tiny.yaml: data"
    assert refusals(tmp_path, content) == [
        f"{data}.crops: unknown key; did you mean 'crop'?",
        f"{data}.holdout: 1 is no part of the training clips; use 0 to below 1",
        f"{data}.dataset.seeds: generated has no such setting; did you mean 'seed'?",
        f"{data}.dataset.contrast: 0 is no percentage; use 1 to 100",
        f"{data}.dataset.levels: 99 is no lag of the task strobe: no two sightings fit into 4 frames; use 1 to 3",
        "tiny.yaml: train.warm_up: unknown key; did you mean 'warmup'?",
        "tiny.yaml: train.epochs: 0 is below 1",
        "tiny.yaml: train.lr: -1.0 is not above 0",
        "tiny.yaml: train.optimizer: 'adam' is none of sgd, adamw",
        "tiny.yaml: variants.ks13.model.operator.dilation: operator 'mixtconv' has no such setting; did you mean "
        "'dilations'?",
        "tiny.yaml: variants.ks13.model.operator.kernel_sizes: 2 is even and would change the number of frames; "
        "use an odd size",
        "tiny.yaml: variants.ks13.model.operator.init: 'zeros' is none of shift, identity, random",
    ]


def test_a_section_or_a_baseline_that_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    content = {key: value for key, value in TINY.items() if key != "baseline"}
    content = change("model/backbone", "resnet_tny", content)
    content = change("data/crop", "large", content)
    content = change("train", "short", content)
    content = change("variants/ks13/model.operator/name", "mixtcov", content)
    content = change("variants/again", {"model.operator": {"name": "depthwise", "kernel_size": 4}}, content)
    content |= {"margin": -1, "seeds": [], "reference": "mixtconv.tabel2"}
    content |= {"hypotheses": ["ks13 beats tsn", "ks12 > tsn", "again ~ tsn"], "pairs": ["ks13 vs ks12"]}
    lines = refusals(tmp_path, content)
    assert [line.removeprefix("tiny.yaml: ").split(": ")[0] for line in lines] == [
        *("train", "baseline", "reference", "seeds", "margin"),
        *("hypotheses[0]", "hypotheses[1]", "pairs[0]"),
        *("model.backbone", "data.crop"),
        *("variants.ks13.model.operator.name", "variants.again.model.operator.kernel_size"),
    ]


def test_a_key_that_is_mistyped_is_not_missing_too(tmp_path: Path) -> None:
    content = {"baselin" if key == "baseline" else key: value for key, value in TINY.items()} | {
        "baselin": "tsm"
    }
    assert refusals(tmp_path, content) == [
        "tiny.yaml: baselin: unknown key; did you mean 'baseline'?",
        "tiny.yaml: baseline: no variant 'tsm'; did you mean 'tsn'?",
    ]


def test_a_default_that_does_not_go_with_what_is_given_hides_nothing(tmp_path: Path) -> None:
    """Without the crop that is too large it is one of 224 pixels, which does not fit into 16 either."""
    data = {"dataset": {"name": "generated", "task": "storbe"}, "short_side": 16, "crop": 24, "holdout": 1}
    assert [line.split(": ")[1] for line in refusals(tmp_path, change("data", data))] == [
        *("data.crop", "data.holdout", "data.dataset.task")
    ]


def test_a_hypothesis_about_a_level_is_stated_once(tmp_path: Path) -> None:
    stated = ["ks13 > tsn at lag 5", "ks13 > tsn at lag 6", "tsn < ks13 at lag 5.0"]
    first, *others = refusals(tmp_path, change("hypotheses", stated))
    assert first == "tiny.yaml: hypotheses[2]: 'tsn < ks13 at lag 5.0' is stated twice"
    assert [line.rpartition(": ")[2] for line in others] == [
        *(
            "the clips of ks13 have no levels; state it without `at`",
            "the clips of ks13 have no levels; state it without `at`",
            "the clips of tsn have no levels; state it without `at`",
        )
    ]


def test_rows_that_are_the_same_and_unknown_levels_are_said_beside_what_cannot_be_read(
    tmp_path: Path,
) -> None:
    content = change("variants/again", {"model.operator": {"name": "identity"}})
    content = change("variants/ks13/train.epochs", "many", content)
    content = change("hypotheses", ["ks13 > tsn at lag 5", "again > tsn at lag 6"], content)
    content = change("cost/repeats", 0, content)
    lines = refusals(tmp_path, content)
    assert [line.removeprefix("tiny.yaml: ").split(": ")[0] for line in lines] == [
        *("cost.repeats", "variants.ks13.train.epochs", "variants.again", "hypotheses[0]", "hypotheses[1]"),
    ]


@pytest.mark.parametrize(
    ("changes", "only"),
    [
        ({"data/short_side": "large", "data/crop": 280}, "data.short_side"),
        ({"data/resize": 300, "data/crop": 280, "data/short_side": 256}, "data.resize"),
        ({"data/dataset": {"name": "generated", "task": "storbe", "levels": [1]}}, "data.dataset.task"),
        ({"data/num_frames": "many", "data/crop": 24, "data/scales": [1.0],
          "data/dataset": {"name": "generated", "task": "strobe", "levels": [9]}}, "data.num_frames"),
        ({"margin": "small", "hypotheses": ["ks13 ~ tsn"]}, "margin"),
        ({"sweep": {"train.epochs": [1]}, "hypotheses": ["ks13@1 > tsn@1"]}, "sweep"),
        ({"ablate": 3, "baseline": "full"}, "ablate"),
        ({"variants": ["tsn"], "hypotheses": ["ks13 > tsn"]}, "variants"),
        ({"model/backbone": "restorch", "model/where": ["layer*"]}, "model.backbone"),
    ],
)  # fmt: skip
def test_what_may_be_wrong_only_because_something_else_cannot_be_read_is_not_said(
    tmp_path: Path, changes: dict[str, Any], only: str
) -> None:
    content = TINY
    for place, value in changes.items():
        content = change(place, value, content)
    assert refusal(tmp_path, content).startswith(f"tiny.yaml: {only}: ")


def test_every_variant_that_a_part_names_and_the_study_has_not_is_said(tmp_path: Path) -> None:
    content = change("parts", {"one": {"variants": ["tsm", "ks13", "ks31"]}})
    assert refusals(tmp_path, content, part="one") == [
        "tiny.yaml: parts.one.variants: no variant 'tsm'; did you mean 'tsn'?",
        "tiny.yaml: parts.one.variants: no variant 'ks31'; did you mean 'ks13'?",
    ]


def test_what_is_wrong_in_several_parts_is_said_at_once(tmp_path: Path) -> None:
    content = change("parts", {"one": {"train.lr": "high"}, "two": {"train.epochs": "many"}})
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(StudyError) as error:
        load_studies(path)
    lines = str(error.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines == [
        "tiny.yaml: train.lr: 'high' is not a number",
        "tiny.yaml: train.epochs: 'many' is not a whole number",
    ]


def test_what_is_wrong_between_settings_is_said_at_once_too(tmp_path: Path) -> None:
    """Rows that are the same, and a level that no clip has, are seen when all settings are known."""
    content = change("variants/again", {"model.operator": {"name": "identity"}})
    content = change("hypotheses", ["ks13 > tsn at lag 5"], content)
    same, level = refusals(tmp_path, content)
    assert same.startswith("tiny.yaml: variants.again: differs from tsn in no setting")
    assert level.startswith("tiny.yaml: hypotheses[0]: 'ks13 > tsn at lag 5': ")
