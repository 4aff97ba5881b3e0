"""docs/any_network.md, as it is written: its program runs, and its study can be planned."""

from __future__ import annotations

import importlib.util
import re

import pytest
from builders.place import ROOT, Workplace

PAGE = (ROOT / "docs" / "any_network.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="timm is not installed")


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


def test_the_program_runs_and_prints_where_operators_stand(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python"), "docs/any_network.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.count(".temporal'") == 6
    assert "'blocks.1.1.conv_pw.temporal'" in printed


def test_the_study_can_be_planned(place: Workplace) -> None:
    (place.folder / "elsewhere.yaml").write_text(block("yaml"))
    outcome = place.run("elsewhere.yaml", "--dry-run")
    assert (outcome.code, outcome.err) == (0, "")
    assert "timm/mobilenetv3_small_100" in outcome.out
