"""One report with its figures, and a way to write others without drawing."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.studies import full_study

from harness.report import figures
from harness.report.write import write_study


@pytest.fixture(scope="session")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study of ten variants. Not to be written to."""
    return write_study(full_study(), tmp_path_factory.mktemp("full"))


@pytest.fixture
def full_page(full_report: Path) -> str:
    return (full_report / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing costs a second a report; most tests read words only."""
    monkeypatch.setattr(figures, "draw", lambda summary, folder: [])
