"""The studies that are shipped: each is read, has its command, and trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml
from builders.place import ROOT, TINY_DATA

from harness.data.dataset import open_data
from harness.data.generated.tasks import find_task
from harness.outside import is_ours
from harness.records import with_name
from harness.study.load import load_studies, load_study
from harness.study.study import Study
from harness.train.loop import fit
from harness.train.settings import Settings
from operators.base import TemporalOp

SHIPPED = sorted(path for path in (ROOT / "studies").glob("*.yaml") if path.stem != "paper_tables")


OF_THEIR_OWN = [path for path in SHIPPED if "like" not in yaml.safe_load(path.read_text())]
"""The trials of others are those of the study that they are like."""


def smallest(settings: Settings) -> Settings:
    """The same network on a handful of clips of the same task, for one step."""
    data = settings.data
    dataset = with_name(data.dataset)
    if dataset["name"] == "generated":
        task = find_task(dataset.get("task", "scenes"))
        cells = len(task.classes) * max(1, len(dataset.get("levels", task.levels)))
        data = dataclasses.replace(data, dataset=dataset | {"train_clips": 32, "val_clips": cells})
    else:
        data = dataclasses.replace(data, dataset=TINY_DATA, short_side=24, crop=16, mirror="off")
    train = dataclasses.replace(settings.train, epochs=1, batch_size=32)
    model = dataclasses.replace(settings.model, weights="")  # files that each user makes
    return dataclasses.replace(settings, model=model, data=data, train=train)


def test_every_study_is_shipped_with_a_command_that_runs_it() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "kernel_sizes",
        "placement",
        "initialization",
        "frames",
        "smoke",
    }
    for path in SHIPPED:
        text = path.read_text()
        assert f"python -m harness.run studies/{path.name}" in text
        assert "not measured" not in text  # which tells nobody anything


@pytest.mark.parametrize("path", OF_THEIR_OWN, ids=lambda path: path.stem)
def test_every_variant_of_a_shipped_study_trains_for_one_step(path: Path, tiny_data: Path) -> None:
    every = {repr(smallest(one)): smallest(one) for s in load_studies(path) for one in s.variants.values()}
    for settings in every.values():
        data = open_data(settings.data, tiny_data)
        model, state, tested = fit(settings, 0, data, torch.device("cpu"))
        assert state.epoch == 1
        assert tested.scores.shape == (len(data.split("val")), len(data.classes))
        parameters = dict(model.named_parameters())
        assert all(p.grad is not None for p in parameters.values()), (
            "a parameter that the loss does not reach"
        )


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_preset_of_a_shipped_study_is_read(path: Path) -> None:
    for preset in yaml.safe_load(path.read_text()).get("presets", {}):
        assert all(study.variants for study in load_studies(path, preset=preset))


TABLE_2 = ["tsn", "ordinary", "tsm", "ks3", "ks5", "ks7", "ks13", "ks135", "ks1357", "ks357"]


@pytest.mark.parametrize("which", [{"part": "reach"}, {"preset": "paper"}])
def test_table_2_has_its_ten_rows(which: dict[str, str]) -> None:
    study = load_study(ROOT / "studies" / "kernel_sizes.yaml", **which)
    assert list(study.variants) == TABLE_2


def test_reach_has_every_operator_of_the_zoo_alone_in_the_network() -> None:
    variants = load_study(ROOT / "studies" / "reach.yaml").variants.values()
    zoo = {name for name, operator in TemporalOp.registry.items() if is_ours(operator)}
    assert {one.model.operator["name"] for one in variants} == zoo
    assert {one.model.stages for one in variants} == {(3,)}


def swept() -> list[Study]:
    return [study for path in SHIPPED for study in load_studies(path) if study.sweep]


@pytest.mark.parametrize("study", swept(), ids=lambda study: study.name)
def test_a_shipped_sweep_of_clips_takes_as_many_steps_at_every_value(study: Study) -> None:
    steps = set()
    for one in study.variants.values():
        clips = with_name(one.data.dataset)["train_clips"]
        assert clips % one.train.batch_size == 0  # a last, smaller batch would be dropped
        steps.add(one.train.epochs * clips // one.train.batch_size)
    assert len(steps) == 1
