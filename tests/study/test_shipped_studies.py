"""The studies that are shipped: each is read, has its command, and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from builders.place import ROOT, TINY_DATA

from harness.data.dataset import open_data
from harness.study.load import load_studies, load_study
from harness.train.loop import fit

SHIPPED = sorted(path for path in (ROOT / "studies").glob("*.yaml") if path.stem != "paper_tables")


SMALLEST = [
    "data.dataset=" + yaml.safe_dump(TINY_DATA, default_flow_style=True).strip(),
    "data.short_side=24",
    "data.crop=16",
    "train.epochs=1",
    "train.batch_size=32",
]


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
