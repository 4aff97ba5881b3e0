"""`python -m harness.report` on a store, and how little it takes to ask for help."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from builders.place import Workplace
from builders.studies import small_study

from harness.console import console
from harness.records import StudyRecord
from harness.report.__main__ import main
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store

HEAVY = {"torch", "mlflow", "ray", "scipy", "matplotlib", "pandas"}

pytestmark = pytest.mark.usefixtures("no_figures")


def planned(place: Workplace, *records: StudyRecord) -> list[str]:
    """Plan studies in the store; the arguments that name it and the folder for reports."""
    recorder = Recorder(Store.open(place.uri))
    for record in records:
        recorder.begin_study(record)
    return ["--tracking-uri", place.uri, "--out", str(place.folder / "reports")]


def test_the_command_writes_attaches_and_lists(ready: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(planned(ready, small_study())) == 0
    reports = ready.folder / "reports"
    assert capsys.readouterr().out.splitlines() == [
        f"report   {reports}/kernel_sizes/index.html",
        f"index    {reports}/index.html",
    ]
    summary = Store.open(ready.uri).summary_id("kernel_sizes")
    attached = {Path(file.path).name for file in ready.client().list_artifacts(summary, "report")}
    assert attached == {file.name for file in (reports / "kernel_sizes").iterdir()}


def test_an_unknown_study_is_one_line_and_exit_code_2(
    ready: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*planned(ready, small_study()), "--study", "kernel_size"]) == 2
    error = capsys.readouterr().err
    assert "no study 'kernel_size'" in error
    assert "did you mean 'kernel_sizes'?" in error
    assert error.count("\n") == 1


def test_an_empty_store_is_one_line_and_exit_code_2(
    ready: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(planned(ready)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: the tracking store holds no study; run one first")
    assert error.count("\n") == 1


def test_one_broken_study_does_not_keep_the_others_from_being_reported(
    ready: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = dataclasses.replace(small_study(), name="bad", reference="nothing.like.it")
    assert main(planned(ready, broken, small_study())) == 2
    assert (ready.folder / "reports" / "kernel_sizes" / "README.md").exists()
    assert not (ready.folder / "reports" / "bad").exists()
    assert capsys.readouterr().err.startswith("error: reference: no table 'nothing.like.it'")


def test_what_is_wrong_with_every_report_is_said_once_and_a_terminal_hears_of_which_it_begins(
    ready: Workplace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_force_terminal", True)
    broken = dataclasses.replace(small_study(), name="bad", reference="nothing.like.it")
    assert main(planned(ready, broken, dataclasses.replace(broken, name="worse"))) == 2
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()[-2:]] == ["study    bad", "study    worse"]
    assert " ".join(said.err.split()).count("error: reference: no table") == 1


def imported_by(code: str) -> tuple[set[str], str]:
    """The top-level packages that a fresh Python holds after some code, and what it printed before."""
    code += "\nprint('held', *{name.partition('.')[0] for name in sys.modules})"
    command = [sys.executable, "-c", f"import sys\n{code}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    before, _, held = printed.rpartition("held ")
    return set(held.split()), before


def test_help_needs_none_of_the_heavy_packages() -> None:
    held, printed = imported_by(
        "from harness.report.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass"
    )
    assert "--tracking-uri" in printed
    assert not held & HEAVY


def test_the_way_in_from_python_loads_a_reports_code_only_when_asked() -> None:
    held, _ = imported_by("import harness.report")
    assert not held & (HEAVY | {"numpy"})
    held, printed = imported_by("from harness.report import read_record, write_study\nprint(write_study)")
    assert "numpy" in held
    assert not held & HEAVY
    assert "write_study" in printed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_report_that_is_stopped_leaves_nothing_half_written(
    ready: Workplace,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    code: int,
) -> None:
    def half(summary: object, folder: Path, data_dir: Path) -> None:
        (folder / "half").touch()
        os.kill(os.getpid(), number)

    arguments = planned(ready, small_study())
    monkeypatch.setattr("harness.report.write._write_files", half)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job ignores
    try:
        ended = main(arguments)
    except SystemExit as stop:
        ended = int(stop.code or 0)
    assert ended == code
    assert list((ready.folder / "reports").iterdir()) == []
    assert "Traceback" not in capsys.readouterr().err
