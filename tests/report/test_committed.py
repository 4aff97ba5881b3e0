"""The committed reports are what this code writes of their records: no page in the repository is out of date."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from builders.place import ROOT

from harness.report import read_record, write_study
from harness.tracking import sqlite
from harness.tracking.connection import DEFAULT_URI

REPORTS = sorted(path.parent for path in (ROOT / "reports" / "reference").glob("*/results.json"))


@pytest.mark.slow
@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_a_committed_report_is_written_again_byte_for_byte(report: Path, tmp_path: Path) -> None:
    again = write_study(read_record(report / "results.json"), tmp_path)
    for name in ("README.md", "results.csv", "trials.csv", "tables.tex"):
        assert (again / name).read_bytes() == (report / name).read_bytes(), name
    mine, theirs = (json.loads((folder / "results.json").read_text()) for folder in (again, report))
    for key in ("written_by", "files"):  # of the code, and of figures, whose bytes are matplotlib's
        mine.pop(key)
        theirs.pop(key)
    assert mine == theirs


def test_the_committed_list_of_reports_has_their_answers() -> None:
    listed = (ROOT / "reports" / "reference" / "README.md").read_text(encoding="utf-8")
    for report in REPORTS:
        line = next(line for line in listed.splitlines() if line.startswith(f"| [{report.name}]("))
        answer = json.loads((report / "results.json").read_text(encoding="utf-8"))["headline"]
        assert line.endswith(f" | {answer} |")


def test_what_a_run_writes_leaves_the_clone_clean() -> None:
    assert REPORTS
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")

    def ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode == 0

    assert ignored("reports/kernel_sizes-reach/README.md")
    assert ignored("reports/index.html")
    store = sqlite.sqlite_file(DEFAULT_URI)
    assert store is not None
    assert ignored(str(store))
    assert ignored(str(sqlite.lock_file(store)))
    assert ignored("predicted/clip.png")
    assert not ignored("reports/reference/kernel_sizes-reach/README.md")
