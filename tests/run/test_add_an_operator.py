"""docs/add_an_operator.md as written: its file keeps the contract, its study runs as far as a dry run goes."""

from __future__ import annotations

import re

import pytest
from builders.place import ROOT, Workplace

from operators.check import main as check

PAGE = (ROOT / "docs" / "add_an_operator.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    """The page's first block in a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found, language
    return found[1]


@pytest.fixture
def as_written(place: Workplace) -> Workplace:
    (place.folder / "my_op.py").write_text(block("python"))
    (place.folder / "my_study.yaml").write_text(block("yaml"))
    return place


def test_the_operator_keeps_every_promise_and_is_said_to_as_the_page_has_it(
    as_written: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "python -m operators.check my_op.Gated --channels 64\n" in PAGE
    assert check(["my_op.Gated", "--channels", "64"]) == 0
    out = capsys.readouterr().out
    for line in block("text").splitlines():
        assert line == "..." or line in out


def test_the_study_is_planned_with_what_the_page_says_of_it(as_written: Workplace) -> None:
    outcome = as_written.run("my_study.yaml", "--dry-run")
    assert outcome.code == 0, outcome.err
    assert "3 variants x 3 seeds = 9 trials" in outcome.out
    assert "missing  nothing: this machine can run it" in outcome.out
