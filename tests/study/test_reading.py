"""Reading a study file: what it says comes out as it stands, and what is no study is placed."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from builders.place import TINY
from builders.study_files import change, load, refusal

from harness.errors import StudyError
from harness.study.load import load_study


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


def test_a_bare_off_is_the_word_off(tmp_path: Path) -> None:
    """YAML reads it as false."""
    path = tmp_path / "study.yaml"
    content = copy.deepcopy(TINY)
    path.write_text(yaml.safe_dump(content) + "\n")
    study = load_study(path, overrides=["train.freeze_batch_norm=off"])
    assert study.variants["tsn"].train.freeze_batch_norm == "off"
    with pytest.raises(StudyError, match=r"train\.freeze_batch_norm: True is none of off, partial, all"):
        load_study(path, overrides=["train.freeze_batch_norm=on"])


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
