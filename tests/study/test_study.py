"""Reading a study: what it says comes out as it stands, and what is wrong is one line that helps."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from builders.place import ROOT, TINY, TINY_DATA, Workplace

from harness.data.dataset import open_data
from harness.errors import StudyError
from harness.study.load import load_studies, load_study
from harness.study.study import RESULTS_VERSION, trial_id
from harness.train.loop import fit

SHIPPED = sorted(path for path in (ROOT / "studies").glob("*.yaml") if path.stem != "paper_tables")


def change(path: str, value: Any) -> dict[str, Any]:
    """The tiny study with one setting changed; `path` uses / because names may hold dots."""
    study = copy.deepcopy(TINY)
    *above, last = path.split("/")
    place = study
    for key in above:
        place = place.setdefault(key, {})
    place[last] = value
    return study


def load(folder: Path, study: dict[str, Any] | str, **options: Any) -> Any:
    path = folder / "tiny.yaml"
    path.write_text(study if isinstance(study, str) else yaml.safe_dump(study, sort_keys=False))
    return load_study(path, **options)


def refusal(folder: Path, study: dict[str, Any] | str, **options: Any) -> str:
    """The error's text, without the folder's name."""
    with pytest.raises(StudyError) as error:
        load(folder, study, **options)
    text = str(error.value)
    assert "\n" not in text
    return text.replace(f"{folder}/", "")


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
        "tiny.yaml: variants.ks13.model.operator: 'mixtconv' is not a mapping",
    ),
    "operator's name that is no text": (
        "variants/ks13/model.operator",
        {"name": 3},
        "tiny.yaml: variants.ks13.model.operator.name: 3 is not a name",
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
        "tiny.yaml: variants.ks13.epochs: unknown key; known: model..., data..., train...",
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
    "unknown key of a dataset": (
        "data/dataset",
        {"name": "generated", "train_clip": 3},
        "tiny.yaml: data.dataset: generated has no setting 'train_clip'; did you mean 'train_clips'?",
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
        "tiny.yaml: variants.ks13: 'mixtconv' is not a mapping of settings",
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
        "tiny.yaml: hypotheses[0]: 'ks13 beats tsn' is no hypothesis; write a > b, a < b or a ~ b within 0.5",
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
        {},
        "tiny.yaml: variants: 'ks1.3' is no name; use letters, digits, _ + -",
    ),
    "the same row twice": (
        "variants/again",
        {"model.operator": {"name": "identity"}},
        "tiny.yaml: variants.again: has the same settings as tsn; every row must differ",
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


def test_broken_yaml_is_placed_by_line_and_column(tmp_path: Path) -> None:
    text = "question: q\nmodel: {backbone: resnet18\nbaseline: tsn\n"
    assert refusal(tmp_path, text).startswith(
        "tiny.yaml:3:9: not valid YAML: "
    )  # the colon behind `baseline`


def test_a_tab_is_placed_too(tmp_path: Path) -> None:
    assert refusal(tmp_path, "model:\n\tbackbone: resnet18\n").startswith("tiny.yaml:2:1: not valid YAML: ")


def test_a_key_given_twice_is_placed_by_line_and_column(tmp_path: Path) -> None:
    text = "question: q\ntrain:\n  lr: 1\n  lr: 2\n"
    assert refusal(tmp_path, text) == "tiny.yaml:4:3: not valid YAML: 'lr' is given twice"


@pytest.mark.parametrize("text", ["", "- tsn\n", "just words\n"])
def test_a_file_that_is_no_mapping_says_what_a_study_starts_with(tmp_path: Path, text: str) -> None:
    assert "a study starts with `question: ...`" in refusal(tmp_path, text)


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StudyError, match=r"bad\.yaml: cannot be read"):
        load_study(tmp_path / "bad.yaml")


def test_a_folder_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot be read"):
        load_study(tmp_path)


def test_a_missing_file_offers_the_nearest_study(tmp_path: Path) -> None:
    load(tmp_path, TINY)
    with pytest.raises(StudyError, match=r"no study file .*tinny\.yaml; did you mean 'tiny'\?"):
        load_study(tmp_path / "tinny.yaml")
    with pytest.raises(StudyError, match="no study file"):
        load_study(tmp_path / "nowhere" / "tiny.yaml")


def test_a_number_in_exponent_notation_is_a_number(tmp_path: Path) -> None:
    study = load(
        tmp_path, yaml.safe_dump(TINY) + "\n" + "resources: {cpus: 5e-1}\n", overrides=["train.lr=1e-3"]
    )
    assert study.resources.cpus == 0.5
    assert study.variants["tsn"].train.lr == 0.001


def test_a_variant_changes_only_what_it_says(tmp_path: Path) -> None:
    study = load(tmp_path, change("variants/ks13/train", {"epochs": 7}))
    tsn, ks13 = study.variants["tsn"], study.variants["ks13"]
    assert (tsn.train.epochs, ks13.train.epochs) == (1, 7)
    assert ks13.train.batch_size == tsn.train.batch_size == 16
    assert study.differs()["tsn"] == {"model.operator.name": "identity", "train.epochs": 1}


def test_dotted_and_nested_keys_say_the_same(tmp_path: Path) -> None:
    dotted = load(tmp_path, {**TINY, "train.lr": 0.5, "data.scales": [1]})
    nested = load(
        tmp_path, {**TINY, "train": {**TINY["train"], "lr": 0.5}, "data": {**TINY["data"], "scales": [1]}}
    )
    assert dotted == nested


def test_an_operator_is_replaced_whole_by_a_variant(tmp_path: Path) -> None:
    study = load(tmp_path, change("model/operator", {"name": "depthwise", "kernel_size": 5, "dilation": 2}))
    assert study.variants["tsn"].model.operator == {"name": "identity"}


PRESETS = {
    "long": {"train.epochs": 9, "seeds": [5], "variants": {"ks3": {"model.operator": {"name": "shift"}}}},
    "bad": {"train.epoch": 9},
    "empty": None,
}


def test_a_preset_is_the_same_question_at_another_scale(tmp_path: Path) -> None:
    study = load(tmp_path, {**TINY, "presets": PRESETS}, preset="long")
    assert study.name == "tiny-long"
    assert study.seeds == (5,)
    assert list(study.variants) == ["tsn", "ks13", "ks3"]
    assert {s.train.epochs for s in study.variants.values()} == {9}


PARTS = {"four": {"data.num_frames": 4}, "two": {"data.num_frames": 2, "reference": "mixtconv.table1.jester"}}


def test_a_part_is_the_same_rows_under_other_settings_and_a_study_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "parts": PARTS}, sort_keys=False))
    four, two = load_studies(path)
    assert (four.name, two.name) == ("tiny-four", "tiny-two")
    assert list(four.variants) == list(two.variants) == ["tsn", "ks13"]
    assert {s.data.num_frames for s in two.variants.values()} == {2}
    assert (four.reference, two.reference) == ("", "mixtconv.table1.jester")
    assert [study.name for study in load_studies(path, parts=["two"])] == ["tiny-two"]
    (whole,) = load_studies(path, overrides=["data.num_frames=3"], parts=["four"])
    assert whole.variants["tsn"].data.num_frames == 3


def test_the_parts_of_a_preset_stand_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "presets": {"long": {"parts": PARTS, "train.epochs": 9}}}))
    studies = load_studies(path, preset="long")
    assert [study.name for study in studies] == ["tiny-long-four", "tiny-long-two"]
    assert {study.variants["tsn"].train.epochs for study in studies} == {9}
    assert [study.name for study in load_studies(path)] == ["tiny"]


@pytest.mark.parametrize(
    ("parts", "chosen", "expected"),
    [
        ({"a": {"dat.num_frames": 2}}, [], "parts.a: dat.num_frames: unknown key; did you mean 'data'?"),
        ({"a": {"variants": {}}}, [], "parts.a: variants: unknown key"),
        ({"a": {"data.num_frames": 0}}, [], "data.num_frames: 0 is too few; use 1 or more"),
        ({"a": 3}, [], "parts: a: 3 is not a mapping"),
        ({"a b": {}}, [], "parts: 'a b' is no name; use letters, digits, _ + -"),
        ({"jester": {}}, ["jesper"], "parts: no part 'jesper'; did you mean 'jester'?"),
        ({}, ["jester"], "parts: no part 'jester'; the study has none"),
    ],
)
def test_a_wrong_part_is_one_line(
    tmp_path: Path, parts: dict[str, Any], chosen: list[str], expected: str
) -> None:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({**TINY, "parts": parts}, sort_keys=False))
    with pytest.raises(StudyError) as error:
        load_studies(path, parts=chosen)
    assert str(error.value).startswith(f"{path}: {expected}")


def test_a_study_in_parts_is_not_read_as_one(tmp_path: Path) -> None:
    assert "parts: no part ''; known: four, two" in refusal(tmp_path, {**TINY, "parts": PARTS})


def test_an_unknown_reference_is_one_line(tmp_path: Path) -> None:
    expected = "tiny.yaml: reference: no table 'mixtconv.tabel2' in paper_tables.yaml; did you mean 'mixtconv.table2'?"
    assert refusal(tmp_path, change("reference", "mixtconv.tabel2")) == expected


def test_a_wrong_preset_is_one_line(tmp_path: Path) -> None:
    study = {**TINY, "presets": PRESETS}
    assert (
        refusal(tmp_path, {**TINY, "profiles": PRESETS})
        == "tiny.yaml: profiles: a study at another scale is called a preset now: write presets"
    )
    assert (
        refusal(tmp_path, study, preset="lang")
        == "tiny.yaml: presets: no preset 'lang'; did you mean 'long'?"
    )
    assert (
        refusal(tmp_path, TINY, preset="long") == "tiny.yaml: presets: no preset 'long'; the study has none"
    )
    assert refusal(tmp_path, study, preset="bad").endswith("train.epoch: unknown key; did you mean 'epochs'?")
    assert refusal(tmp_path, study, preset="empty").startswith(
        "tiny.yaml: presets: empty: None is not a mapping"
    )
    unknown = {**TINY, "presets": {"long": {"trian": {}}}}
    assert refusal(tmp_path, unknown, preset="long").startswith("tiny.yaml: presets.long: trian: unknown key")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epochs", "--set train.epochs: not key=value, as in --set train.epochs=2"),
        ("=2", "--set =2: not key=value, as in --set train.epochs=2"),
        ("train.epochs=two", "--set train.epochs=two: train.epochs: 'two' is not a whole number"),
        ("train.epochs=", "--set train.epochs=: train.epochs: None is not a whole number"),
        ("train.epoch=2", "--set train.epoch=2: train.epoch: unknown key; did you mean 'epochs'?"),
        ("trian.epochs=2", "--set trian.epochs=2: trian.epochs: unknown key"),
        ("train.lr=[", "--set train.lr=[: '[' is not a YAML value"),
        ("variants.tsn={}", "--set variants.tsn={}: variants cannot be set here; edit the file"),
        (
            "model.operator.name=shift",
            "--set model.operator.name=shift: variant 'tsn' sets model.operator itself; change it in the file",
        ),
        (
            "model={operator: {name: shift}}",
            "--set model={operator: {name: shift}}: variant 'tsn' sets model.operator itself; change it in the file",
        ),
        ("seeds=[1,1]", "--set seeds=[1,1]: seeds: [1, 1] has a seed twice"),
        ("baseline=tsm", "--set baseline=tsm: baseline: no variant 'tsm'; did you mean 'tsn'?"),
    ],
)
def test_a_wrong_override_is_named_as_the_user_wrote_it(tmp_path: Path, override: str, message: str) -> None:
    assert refusal(tmp_path, TINY, overrides=[override]).startswith(message)


def test_overrides_change_settings(tmp_path: Path) -> None:
    overrides = ["train.epochs=3", "data.dataset.train_clips=99", "resources.cpus=2", "seeds=[4]"]
    study = load(tmp_path, change("data/dataset", "generated"), overrides=overrides)
    settings = study.variants["ks13"]
    assert settings.train.epochs == 3
    assert settings.data.source().train_clips == 99
    assert (study.resources.cpus, study.seeds) == (2.0, (4,))


def ids(study: Any, fingerprint: str = "f") -> dict[str, str]:
    return {name: trial_id(settings, 0, fingerprint) for name, settings in study.variants.items()}


@pytest.mark.parametrize(
    "override",
    [
        "train.lr=0.5",
        "train.epochs=2",
        "model.placement=inner",
        "model.dropout=0.1",
        "data.dataset.seed=1",
        "data.num_frames=5",
    ],
)
def test_a_changed_setting_changes_the_ids(tmp_path: Path, override: str) -> None:
    before, after = ids(load(tmp_path, TINY)), ids(load(tmp_path, TINY, overrides=[override]))
    assert set(before.values()).isdisjoint(after.values())


@pytest.mark.parametrize(
    "override",
    ["train.workers=2", "train.probes=false", "resources.cpus=2", "cost.size=64", "seeds=[0, 1, 2]"],
)
def test_what_cannot_change_a_result_keeps_the_ids(tmp_path: Path, override: str) -> None:
    assert ids(load(tmp_path, TINY)) == ids(load(tmp_path, TINY, overrides=[override]))


def test_seed_data_and_results_version_are_part_of_the_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(tmp_path, TINY).variants["tsn"]
    before = trial_id(settings, 0, "f")
    assert trial_id(settings, 1, "f") != before
    assert trial_id(settings, 0, "g") != before
    monkeypatch.setattr("harness.study.study.RESULTS_VERSION", RESULTS_VERSION + 1)
    assert trial_id(settings, 0, "f") != before


def test_ids_do_not_depend_on_names_of_studies_and_variants(tmp_path: Path) -> None:
    renamed = {**TINY, "baseline": "plain", "variants": {"plain": TINY["variants"]["tsn"]}}
    assert ids(load(tmp_path, renamed))["plain"] == ids(load(tmp_path, TINY))["tsn"]


def test_trials_are_ordered_so_that_an_early_stop_leaves_whole_rows(tmp_path: Path) -> None:
    trials = load(tmp_path, {**TINY, "seeds": [0, 1]}).trials({"tsn": "f", "ks13": "f"})
    assert [(t.variant, t.seed) for t in trials] == [("tsn", 0), ("ks13", 0), ("tsn", 1), ("ks13", 1)]


OWN_OPERATOR = """
from operators import TemporalOp

class Late(TemporalOp):
    def forward(self, x):
        return x * 1.0
"""


def own(folder: Path, module: str, text: str, name: str = "Late", **settings: Any) -> dict[str, Any]:
    """A study whose second variant is an operator of the user's, in a file beside it."""
    (folder / f"{module}.py").write_text(text)
    return change("variants/own", {"model.operator": {"name": f"{module}.{name}", **settings}})


def test_an_operator_in_a_file_beside_the_study_is_found(place: Workplace) -> None:
    study = load(place.folder, own(place.folder, "own_beside", OWN_OPERATOR))
    assert study.variants["own"].model.operator == {"name": "own_beside.Late"}


def test_a_changed_source_file_of_an_outside_operator_changes_its_ids_only(place: Workplace) -> None:
    study = load(place.folder, own(place.folder, "own_changed", OWN_OPERATOR))
    before = ids(study)
    (place.folder / "own_changed.py").write_text(OWN_OPERATOR.replace("1.0", "2.0"))
    after = ids(study)
    assert before["own"] != after["own"]
    assert before["ks13"] == after["ks13"]


@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("own_syntax", "from operators import\n", r"own_syntax\.Late: .*own_syntax\.py:1: SyntaxError: "),
        (
            "own_import",
            "import tourch\n",
            r"own_import\.Late: .*own_import\.py:1: ModuleNotFoundError: No module named 'tourch'",
        ),
        (
            "own_name",
            "x = 1\ny = z\n",
            r"own_name\.Late: .*own_name\.py:2: NameError: name 'z' is not defined",
        ),
        ("own_class", "class Other: ...\n", r"name: own_class has no 'Late'; known: Other"),
        ("own_kind", "class Late: ...\n", r"name: 'own_kind\.Late' is not a subclass of TemporalOp"),
        (
            "own_init",
            OWN_OPERATOR + "    def __init__(self, channels, num_frames):\n        1 / 0\n",
            r"own_init\.Late: .*own_init\.py:8: ZeroDivisionError: division by zero",
        ),
    ],
)
def test_what_is_wrong_with_an_operator_of_the_users_own_is_placed(
    place: Workplace, module: str, text: str, expected: str
) -> None:
    message = refusal(place.folder, own(place.folder, module, text))
    assert re.match(r"tiny\.yaml: variants\.own\.model\.operator[:.] ?" + expected, message), message


def test_a_missing_module_says_where_to_put_it(tmp_path: Path) -> None:
    study = change("variants/own", {"model.operator": {"name": "own_nowhere.Late"}})
    assert "no module 'own_nowhere' for operator 'own_nowhere.Late'; put its folder on PYTHONPATH" in refusal(
        tmp_path, study
    )


def test_an_unknown_setting_of_an_operator_of_the_users_own_is_named(place: Workplace) -> None:
    text = (
        OWN_OPERATOR
        + "    def __init__(self, channels, num_frames, width=1):\n        super().__init__(channels, num_frames)\n"
    )
    study = own(place.folder, "own_setting", text, widht=3)
    assert (
        "variants.own.model.operator.widht: operator 'own_setting.Late' has no such setting; did you mean 'width'?"
        in (refusal(place.folder, study))
    )


def test_an_operator_of_the_users_own_needs_its_dotted_path(place: Workplace) -> None:
    # A short name is known only to the process that happened to import the file.
    text = OWN_OPERATOR.replace("Late(TemporalOp)", 'Late(TemporalOp, name="own_late")')
    study = own(place.folder, "own_short", text)
    study["variants"]["short"] = {"model.operator": {"name": "own_late"}}
    assert "name: 'own_late' is not of the zoo; write its dotted path, own_short.Late" in refusal(
        place.folder, study
    )


def test_every_study_is_shipped_with_a_command_that_runs_it() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "kernel_sizes",
        "placement",
        "initialization",
        "frames",
        "smoke",
    }
    for path in SHIPPED:
        assert f"python -m harness.run studies/{path.name}" in path.read_text()


SMALLEST = ["data.dataset=" + yaml.safe_dump(TINY_DATA, default_flow_style=True).strip(), "train.epochs=1",
            "data.short_side=24", "data.crop=16", "train.batch_size=32"]  # fmt: skip


def test_a_bare_off_is_the_word_off(tmp_path: Path) -> None:
    """YAML reads it as false."""
    path = tmp_path / "study.yaml"
    content = copy.deepcopy(TINY)
    path.write_text(yaml.safe_dump(content) + "\n")
    study = load_study(path, overrides=["train.freeze_batch_norm=off"])
    assert study.variants["tsn"].train.freeze_batch_norm == "off"
    with pytest.raises(StudyError, match=r"train\.freeze_batch_norm: True is none of off, partial, all"):
        load_study(path, overrides=["train.freeze_batch_norm=on"])


def test_the_number_of_processes_is_part_of_a_trials_id(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(copy.deepcopy(TINY)))
    ids = {
        ranks: [
            trial.trial_id
            for trial in load_study(path, overrides=[f"resources.ranks={ranks}", "resources.gpus=0"]).trials(
                {"tsn": "", "ks13": ""}
            )
        ]
        for ranks in ("auto", 1, 2)
    }
    assert ids["auto"] == ids[1]
    assert not set(ids[1]) & set(ids[2])


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_variant_of_a_shipped_study_trains_for_one_step(path: Path, tiny_data: Path) -> None:
    study = load_study(path, overrides=SMALLEST)
    for settings in study.variants.values():
        model, state, tested = fit(settings, 0, open_data(settings.data, tiny_data), torch.device("cpu"))
        assert state.epoch == 1
        assert tested.scores.shape == (16, model.fc.out_features)
        parameters = dict(model.named_parameters())
        assert all(p.grad is not None for p in parameters.values()), (
            "a parameter that the loss does not reach"
        )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_preset_of_a_shipped_study_is_read(path: Path) -> None:
    for preset in yaml.safe_load(path.read_text()).get("presets", {}):
        assert all(study.variants for study in load_studies(path, preset=preset))


def test_table_2_has_its_ten_rows() -> None:
    study = load_study(ROOT / "studies" / "kernel_sizes.yaml")
    rows = ["tsn", "ordinary", "tsm", "ks3", "ks5", "ks7", "ks13", "ks135", "ks1357", "ks357"]
    assert list(study.variants) == rows
