"""What is wrong in a study is one line that names the place, the value, the rule and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.place import TINY
from builders.study_files import change, refusal

WRONG = {
    "unknown operator": (
        "variants/ks13/model.operator",
        {"name": "mixtcov"},
        "tiny.yaml: variants.ks13.model.operator.name: no operator 'mixtcov'; did you mean 'mixtconv'?",
    ),
    "unknown setting of an operator": (
        "variants/ks13/model.operator",
        {"name": "depthwise", "kernel_sise": 3},
        "tiny.yaml: variants.ks13.model.operator.kernel_sise: operator 'depthwise' has no such setting; "
        "did you mean 'kernel_size'?",
    ),
    "even kernel size": (
        "variants/ks13/model.operator",
        {"name": "depthwise", "kernel_size": 4},
        "tiny.yaml: variants.ks13.model.operator.kernel_size: 4 is even and would change the number of frames; "
        "use an odd size",
    ),
    "even kernel size among several": (
        "variants/ks13/model.operator",
        {"name": "mixtconv", "kernel_sizes": [1, 2]},
        "tiny.yaml: variants.ks13.model.operator.kernel_sizes: 2 is even and would change the number of frames; "
        "use an odd size",
    ),
    "channels fewer than groups": (
        "variants/ks13/model.operator",
        {"name": "mixtconv", "kernel_sizes": [1] * 17},
        "tiny.yaml: variants.ks13.model.operator.kernel_sizes: 17 groups do not fit into 16 channels",
    ),
    "operator without a name": (
        "variants/ks13/model.operator",
        {"kernel_size": 3},
        "tiny.yaml: variants.ks13.model.operator: no name; give one, as in {name: depthwise, kernel_size: 3}",
    ),
    "operator that is no mapping": (
        "variants/ks13/model.operator",
        "mixtconv",
        "tiny.yaml: variants.ks13.model.operator: 'mixtconv' is not a mapping; write {name: mixtconv}",
    ),
    "operator's name that is no text": (
        "variants/ks13/model.operator",
        {"name": 3},
        "tiny.yaml: variants.ks13.model.operator.name: 3 is not a name",
    ),
    "operator in capital letters": (
        "variants/ks13/model.operator",
        {"name": "TSM"},
        "tiny.yaml: variants.ks13.model.operator.name: no operator 'TSM'; did you mean 'tsm'?",
    ),
    "a file for the class in it": (
        "variants/ks13/model.operator",
        {"name": "my_op"},
        "tiny.yaml: variants.ks13.model.operator.name: no operator 'my_op'; one of your own is my_file.MyClass; known",
    ),
    "baseline in capital letters": (
        "baseline",
        "TSN",
        "tiny.yaml: baseline: no variant 'TSN'; did you mean 'tsn'?",
    ),
    "operator of the study itself": (
        "model/operator",
        {"name": "sift"},
        "tiny.yaml: model.operator.name: no operator 'sift'; did you mean 'shift'?",
    ),
    "unknown key at the top": (
        "bassline",
        "tsn",
        "tiny.yaml: bassline: unknown key; did you mean 'baseline'?",
    ),
    "unknown key of the model": (
        "model/backbon",
        "resnet18",
        "tiny.yaml: model.backbon: unknown key; did you mean 'backbone'?",
    ),
    "unknown key of the data": ("data/crops", 3, "tiny.yaml: data.crops: unknown key; did you mean 'crop'?"),
    "unknown key of training": (
        "train/epoch",
        3,
        "tiny.yaml: train.epoch: unknown key; did you mean 'epochs'?",
    ),
    "unknown key of a variant": (
        "variants/ks13/train.epoch",
        3,
        "tiny.yaml: variants.ks13.train.epoch: unknown key; did you mean 'epochs'?",
    ),
    "unknown section of a variant": (
        "variants/ks13/epochs",
        3,
        "tiny.yaml: variants.ks13.epochs: unknown key; did you mean 'train.epochs'?",
    ),
    "unknown key of the resources": (
        "resources/cpu",
        1,
        "tiny.yaml: resources.cpu: unknown key; did you mean 'cpus'?",
    ),
    "unknown key of the cost": (
        "cost/repeat",
        1,
        "tiny.yaml: cost.repeat: unknown key; did you mean 'repeats'?",
    ),
    "a stage that no network has": (
        "cost/stages",
        [1, 5],
        "tiny.yaml: cost.stages: [1, 5]: use each of 1, 2, 3, 4 once at most",
    ),
    "unknown key of a dataset": (
        "data/dataset",
        {"name": "generated", "train_clip": 3},
        "tiny.yaml: data.dataset.train_clip: generated has no such setting; did you mean 'train_clips'?",
    ),
    "unknown dataset": (
        "data/dataset",
        "generatd",
        "tiny.yaml: data.dataset: no data set 'generatd'; did you mean 'generated'?",
    ),
    "text for a whole number": (
        "train/epochs",
        "many",
        "tiny.yaml: train.epochs: 'many' is not a whole number",
    ),
    "fraction for a whole number": (
        "train/epochs",
        1.5,
        "tiny.yaml: train.epochs: 1.5 is not a whole number",
    ),
    "truth for a whole number": ("train/epochs", True, "tiny.yaml: train.epochs: True is not a whole number"),
    "text for a number": ("train/lr", "high", "tiny.yaml: train.lr: 'high' is not a number"),
    "truth for a number": ("train/lr", True, "tiny.yaml: train.lr: True is not a number"),
    "no number for a number": (
        "train/weight_decay",
        float("nan"),
        "tiny.yaml: train.weight_decay: nan is not a number",
    ),
    "infinity for a number": ("train/lr", float("inf"), "tiny.yaml: train.lr: inf is not a number"),
    "number for a truth": (
        "train/channels_last",
        1,
        "tiny.yaml: train.channels_last: 1 is not true or false",
    ),
    "number for text": ("model/backbone", 50, "tiny.yaml: model.backbone: 50 is not text"),
    "number for a list": ("model/stages", 3, "tiny.yaml: model.stages: 3 is not a list"),
    "text in a list": ("model/stages", ["late"], "tiny.yaml: model.stages: 'late' is not a whole number"),
    "nothing for a mapping": ("model", None, "tiny.yaml: model: None is not a mapping"),
    "number for a mapping": ("train", 3, "tiny.yaml: train: 3 is not a mapping"),
    "list for variants": ("variants", ["tsn"], "tiny.yaml: variants: ['tsn'] is not a mapping"),
    "text for a variant": (
        "variants/ks13",
        "mixtconv",
        "tiny.yaml: variants.ks13: 'mixtconv' is not a mapping of settings; write {model.operator: {name: mixtconv}}",
    ),
    "no variants": (
        "variants",
        {},
        "tiny.yaml: variants: missing; give at least one, as in tsn: {model.operator: ...}",
    ),
    "value out of range": ("train/epochs", 0, "tiny.yaml: train.epochs: 0 is below 1"),
    "value of no list": (
        "train/schedule",
        "cosine",
        "tiny.yaml: train.schedule: 'cosine' is none of step, one_cycle",
    ),
    "crop larger than the frame": (
        "data/crop",
        99,
        "tiny.yaml: data.crop: 99 pixels do not fit into short_side 24",
    ),
    "missing baseline": ("baseline", "tsm", "tiny.yaml: baseline: no variant 'tsm'; did you mean 'tsn'?"),
    "no seeds": ("seeds", [], "tiny.yaml: seeds: empty; give at least one"),
    "a seed twice": ("seeds", [0, 1, 0], "tiny.yaml: seeds: [0, 1, 0] has a seed twice"),
    "margin below 0": ("margin", -1, "tiny.yaml: margin: -1 is below 0"),
    "no hypothesis": (
        "hypotheses",
        ["ks13 beats tsn"],
        "tiny.yaml: hypotheses[0]: 'ks13 beats tsn' is no hypothesis; write a > b, a < b, a ~ b within 0.5 or "
        "a >= b within 0.5, each also for one level, as in a > b at lag 5",
    ),
    "hypothesis about nobody": (
        "hypotheses",
        ["ks13 > tsn", "ks12 < tsn"],
        "tiny.yaml: hypotheses[1]: no variant 'ks12'; did you mean 'ks13'?",
    ),
    "hypothesis the other way round": (
        "hypotheses",
        ["ks13 > tsn", "tsn < ks13"],
        "tiny.yaml: hypotheses[1]: 'tsn < ks13' is stated twice",
    ),
    "equivalence without points": (
        "hypotheses",
        ["ks13 ~ tsn"],
        "tiny.yaml: hypotheses[0]: 'ks13 ~ tsn' needs points above 0; write ks13 ~ tsn within 0.5, or set margin",
    ),
    "hypotheses that are no list": (
        "hypotheses",
        "ks13 > tsn",
        "tiny.yaml: hypotheses: 'ks13 > tsn' is not a list",
    ),
    "no pair": ("pairs", ["ks13 - tsn"], "tiny.yaml: pairs[0]: 'ks13 - tsn' is no pair; write a vs b"),
    "a pair twice": (
        "pairs",
        ["ks13 vs tsn", "tsn vs ks13"],
        "tiny.yaml: pairs[1]: 'tsn vs ks13' is stated twice",
    ),
    "a seed below 0": ("seeds", [-1], "tiny.yaml: seeds: -1 is below 0"),
    "one seed, not a list": ("seeds", 3, "tiny.yaml: seeds: 3 is not a list"),
    "no cpu": ("resources/cpus", 0, "tiny.yaml: resources.cpus: 0 is not above 0"),
    "a gpu and a half": (
        "resources/gpus",
        1.5,
        "tiny.yaml: resources.gpus: 1.5 is above 1 and not whole; a trial shares one GPU, or has several",
    ),
    "gpus in words": (
        "resources/gpus",
        "two",
        "tiny.yaml: resources.gpus: 'two' is neither a number nor auto",
    ),
    "a name with a dot": (
        "variants/ks1.3",
        {"train.epochs": 2},
        "tiny.yaml: variants: 'ks1.3' is no name; use letters, digits, _ + -",
    ),
    "the same row twice": (
        "variants/again",
        {"model.operator": {"name": "identity"}},
        "tiny.yaml: variants.again: differs from tsn in no setting that can change a result; every row must",
    ),
    "the same row twice, but for how often it may be tried": (
        "variants/again",
        {"model.operator": {"name": "identity"}, "train.retries": 3},
        "tiny.yaml: variants.again: differs from tsn in no setting that can change a result; every row must",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_one_line_with_place_value_rule_and_way_out(case: str, tmp_path: Path) -> None:
    path, value, expected = WRONG[case]
    study = change(path, value)
    if case == "operator of the study itself":
        study["variants"]["free"] = {}
    assert refusal(tmp_path, study).startswith(expected)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    for key in ("question", "baseline"):
        study = {k: v for k, v in TINY.items() if k != key}
        assert refusal(tmp_path, study) == f"tiny.yaml: {key}: missing"


def test_an_unknown_reference_is_one_line(tmp_path: Path) -> None:
    expected = "tiny.yaml: reference: no table 'mixtconv.tabel2' in paper_tables.yaml; did you mean 'mixtconv.table2'?"
    assert refusal(tmp_path, change("reference", "mixtconv.tabel2")) == expected


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "train.lr"),
        ("learning_rate", "train.lr"),
        ("learning-rate", "train.lr"),
        ("LR", "train.lr"),
        ("batch-size", "train.batch_size"),
        ("bs", "train.batch_size"),
        ("weight-decay", "train.weight_decay"),
        ("optim", "train.optimizer"),
        ("lr_scheduler", "train.schedule"),
        ("num_workers", "train.workers"),
        ("num_segments", "data.num_frames"),
        ("crop-size", "data.crop"),
        ("pretrained", "model.weights"),
        ("gpus", "resources.gpus"),
        ("seed", "seeds"),
        ("epochs", "train.epochs"),
        ("batchsize", "train.batch_size"),
        ("frames", "data.num_frames"),
        ("backbone", "model.backbone"),
    ],
)
def test_a_word_that_everybody_types_gets_the_settings_place(tmp_path: Path, typed: str, meant: str) -> None:
    expected = f"tiny.yaml: {typed}: unknown key; did you mean {meant!r}?"
    assert refusal(tmp_path, change(typed, 1)) == expected


@pytest.mark.parametrize(
    ("section", "typed", "meant"),
    [
        ("data", "batch_size", "train.batch_size"),
        ("model", "learning_rate", "train.lr"),
        ("train", "num_frames", "data.num_frames"),
        ("train", "weight-decay", "weight_decay"),
        ("cost", "gpu", "resources.gpus"),
    ],
)
def test_a_setting_in_the_wrong_section_gets_its_own(
    tmp_path: Path, section: str, typed: str, meant: str
) -> None:
    expected = f"tiny.yaml: {section}.{typed}: unknown key; did you mean {meant!r}?"
    assert refusal(tmp_path, change(f"{section}/{typed}", 1)) == expected
