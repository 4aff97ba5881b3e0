"""The table of networks: what is computed beside what is printed, and a sentence wherever the two differ."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from builders.place import ROOT
from builders.study_files import change, load, refusal

from harness.cost.config import CostConfig
from harness.cost.counting import count
from harness.published import agrees, load_reference
from harness.records import CostRecord
from harness.report.networks import table
from harness.report.sections import networks
from harness.study.costed import counted
from harness.study.load import load_studies

STUDY = load_studies(ROOT / "studies" / "rivals.yaml")[0]
REFERENCE = load_reference(STUDY.reference)


@pytest.fixture(scope="module")
def costed() -> dict[str, CostRecord]:
    return counted(STUDY)


@pytest.fixture(scope="module")
def shown() -> str:
    return table()


def test_the_docs_have_the_table_that_the_study_gives(shown: str) -> None:
    docs = (ROOT / "docs" / "networks.md").read_text(encoding="utf-8")
    assert shown in docs, "write what python -m harness.report.networks prints into docs/networks.md"


def test_every_number_that_differs_has_its_sentence(costed: dict[str, CostRecord], shown: str) -> None:
    for name, row in REFERENCE["rows"].items():
        parts = [costed[part] for part in row.get("sum", [name]) if part in costed]
        assert parts or name == "nl_i3d_gcn"
        params = sum(part.params_total for part in parts) / 1e6 if parts else None
        macs = sum(part.macs_total or 0 for part in parts) / 1e9 if parts else None
        assert row.get("why") or (agrees(row.get("params_m"), params) and agrees(row.get("gmacs"), macs)), (
            name
        )
    assert "(?)" not in shown


def test_sentences_that_name_400_classes_are_right() -> None:
    said = {
        name: row["why"] for name, row in REFERENCE["rows"].items() if "400 classes" in row.get("why", "")
    }
    assert len(said) == 10
    for name, why in said.items():
        settings = STUDY.costed[name]
        config = CostConfig(backbone=settings.model.backbone, num_classes=400)
        params = count(config, settings.model, settings.data.num_frames).params_total / 1e6
        assert f"{params:.2f} M" in why
        assert params == pytest.approx(REFERENCE["rows"][name]["params_m"], rel=0.01)


def test_numbers_agree_within_a_per_cent_or_as_they_are_rounded() -> None:
    assert agrees(153, 152.47)
    assert agrees(16, 16.25)  # 1.6 %, but 16 without decimals
    assert agrees(33.2, 32.9)
    assert not agrees(18.3, 13.1)
    assert not agrees(10.7, 10.45)
    assert agrees(None, 5.0)
    assert agrees(7.0, None)


def test_a_row_without_a_network_is_quoted_and_one_without_print_is_computed(
    costed: dict[str, CostRecord], shown: str
) -> None:
    rows = {row[0]: row for row in (re.split(r"\s*\|\s*", line.strip("| ")) for line in shown.splitlines())}
    assert rows["`nl_i3d_gcn` (g)"][2:] == ["-", "-", "62.2", "-", "303"]
    assert rows["`c3d`"][1:] == ["16", "112", "78.71", "-", "38.55", "-"]
    assert networks.table({"c3d": costed["c3d"]}, {})[0].rows == [["`c3d`", *rows["`c3d`"][1:]]]  # type: ignore[union-attr]


def test_optical_flow_is_costed_and_never_trained(tmp_path: Path) -> None:
    two = {"model": {"backbone": "bninception", "flow": 5}}
    assert load(tmp_path, change("costed", {"two": two})).costed["two"].model.flow == 5
    line = refusal(tmp_path, change("model/flow", 5))
    assert "model.flow: 5: no data set here has optical flow; such a network can only be costed" in line
    line = refusal(tmp_path, change("costed", {"two": {"model.bakbone": "eco"}}))
    assert "tiny.yaml: costed.two.model.bakbone: unknown key; did you mean" in line
