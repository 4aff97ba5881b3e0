"""A report's folder: the same bytes twice, whole or not at all, and JSON and CSV that hold all of it."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from builders.operators import TABLE2
from builders.studies import full_study, small_study, study, trial
from house import graph, room_of

from harness import plots
from harness.errors import StudyError
from harness.records import study_from_json, to_json
from harness.report import figures, write
from harness.report.write import read_record, write_index, write_study


def test_the_same_record_twice_gives_the_same_bytes(full_report: Path, tmp_path: Path) -> None:
    first, second = full_report, write_study(full_study(), tmp_path)
    files = sorted(file.relative_to(first) for file in first.rglob("*") if file.is_file())
    assert len(files) == 26
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes(), file


def test_a_report_can_be_written_again_from_its_json(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    broken = dataclasses.replace(
        record.trials[0], last={"top1": math.nan}, history=[{"epoch": 1.0, "val/top1": math.nan}]
    )
    first = write_study(dataclasses.replace(record, trials=[broken, *record.trials[1:]]), tmp_path / "a")
    second = write_study(read_record(first / "results.json"), tmp_path / "b")
    for name in ("README.md", "index.html", "tables.tex", "results.json", "results.csv", "trials.csv"):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_json_and_csv_hold_whatever_the_page_says(tmp_path: Path, no_figures: None) -> None:
    alike = [trial("ks3", s, 22.0 + (2 * s - 2) + 0.1 * (s - 1)) for s in (0, 1, 2)]
    stated = {"margin": 1.0, "hypotheses": ["ks3 ~ tsn"], "pairs": ["ks3 vs tsn"]}
    record = study([*small_study().trials[:3], *alike], ["tsn", "ks3"], **stated)
    folder = write_study(record, tmp_path)
    data = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert [one["text"] for one in data["hypotheses"]] == ["ks3 ~ tsn"]
    assert [one["verdict"] for one in data["pairs"]] == ["no difference larger"]
    assert {one["by"] for one in data["cheapest"]} == {"MACs", "latency"}
    assert set(data["breakdowns"]) == {"tsn", "ks3"}
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        (_, row) = csv.DictReader(file)
    assert row["verdict"] == "no difference larger than 1 point"
    assert (row["covers"], row["exploratory"]) == ("new trainings", "False")
    assert float(row["p_margin_holm"]) < 0.05


def test_a_record_of_somebody_else_writes_nothing_elsewhere(tmp_path: Path) -> None:
    for name in ("../up", str(tmp_path / "there"), "..", ""):
        with pytest.raises(StudyError, match="is no name of a report's folder"):
            write_study(dataclasses.replace(small_study(), name=name), tmp_path / "out")
    assert [file.name for file in tmp_path.rglob("*")] == []


def test_a_folder_of_any_name_is_linked_as_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "javascript:alert(1)"
    folder.mkdir()
    (folder / "results.json").write_text("{}")
    write_index(tmp_path)
    for page in ("index.html", "README.md"):
        assert "javascript%3Aalert%281%29/" in (tmp_path / page).read_text()


def test_no_spreadsheet_takes_a_text_for_a_formula(tmp_path: Path, no_figures: None) -> None:
    record = small_study()
    failed = dataclasses.replace(record.trials[0], status="failed", reason="=cmd|'/c calc'!A0", last={})
    folder = write_study(dataclasses.replace(record, trials=[failed, *record.trials[1:]]), tmp_path)
    with (folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        assert next(csv.DictReader(file))["reason"] == "'=cmd|'/c calc'!A0"


def test_the_csv_of_trials_gives_the_means_of_the_table(tmp_path: Path, no_figures: None) -> None:
    folder = write_study(full_study(), tmp_path)
    with (folder / "trials.csv").open(newline="") as file:
        trials = list(csv.DictReader(file))
    with (folder / "results.csv").open(newline="") as file:
        results = {row["variant"]: row for row in csv.DictReader(file)}
    assert len(trials) == 30
    by_variant = {v: [float(t["top1"]) for t in trials if t["variant"] == v] for v in TABLE2}
    for variant, values in by_variant.items():
        assert float(results[variant]["top1_mean"]) == pytest.approx(sum(values) / 3)
        gap = [a - b for a, b in zip(values, by_variant["tsn"], strict=True)]
        if variant != "tsn":
            assert float(results[variant]["difference_mean"]) == pytest.approx(sum(gap) / 3)
    assert results["ks3"]["macs_added"] == "134873088"
    assert results["ks3"]["paper_gmacs"] == "33.13"


def test_an_old_report_stays_whole_when_drawing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(small_study(), tmp_path)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    def fail(*args: Any) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(plots, "learning_curves", fail)
    with pytest.raises(RuntimeError, match="no fonts"):
        write_study(dataclasses.replace(small_study(), question="Another?"), tmp_path)
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["kernel_sizes"]


def test_a_new_report_leaves_nothing_of_the_old_one(tmp_path: Path, no_figures: None) -> None:
    folder = write_study(small_study(), tmp_path)
    (folder / "figures" / "gone.png").write_bytes(b"")
    write_study(small_study(), tmp_path)
    assert not (folder / "figures" / "gone.png").exists()


def test_a_report_killed_while_being_replaced_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_study(small_study(), tmp_path)
    folder.rename(tmp_path / ".kernel_sizes.old")

    def fail(*args: Any) -> None:
        raise RuntimeError("no fonts")

    monkeypatch.setattr(write, "_write_files", fail)
    with pytest.raises(RuntimeError):
        write_study(dataclasses.replace(small_study(), question="Another one?"), tmp_path)
    assert (folder / "README.md").exists()


def test_a_folder_that_is_no_report_is_not_replaced(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "kernel_sizes").mkdir()
    (tmp_path / "kernel_sizes" / "thesis.tex").write_text("years of work")
    with pytest.raises(StudyError, match="is not a report"):
        write_study(small_study(), tmp_path)
    assert (tmp_path / "kernel_sizes" / "thesis.tex").read_text() == "years of work"


def test_an_output_path_that_is_a_file_is_one_line(tmp_path: Path, no_figures: None) -> None:
    (tmp_path / "reports").write_text("")
    with pytest.raises(StudyError, match=r"^--out .*reports is a file; name a folder$"):
        write_study(small_study(), tmp_path / "reports")


@pytest.mark.parametrize("content", ["", "[1]", '"text"', "{"])
def test_a_half_written_report_is_replaced_whole(tmp_path: Path, no_figures: None, content: str) -> None:
    folder = write_study(small_study(), tmp_path)
    whole = (folder / "results.json").read_bytes()
    (folder / "results.json").write_text(content)
    (folder / "index.html").unlink()
    write_study(small_study(), tmp_path)
    assert (folder / "results.json").read_bytes() == whole
    assert (folder / "index.html").exists()


def test_a_report_that_is_current_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr(figures, "draw", lambda summary, folder: drawn.append(folder) or [])
    folder = write_study(small_study(), tmp_path)
    write_study(small_study(), tmp_path)
    assert len(drawn) == 1
    (folder / "results.csv").write_text("changed by hand")
    write_study(small_study(), tmp_path)
    assert len(drawn) == 2
    assert "changed by hand" not in (folder / "results.csv").read_text()
    monkeypatch.setattr(write, "CODE", write.CODE[:-1])  # other code
    write_study(small_study(), tmp_path)
    assert len(drawn) == 3


def test_two_that_write_the_same_report_at_once_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each takes what the other has half written for what a killed one left behind."""
    write_files = write._write_files

    def slowly(summary: Any, folder: Path, data_dir: Path) -> None:
        time.sleep(0.2)
        write_files(summary, folder, data_dir)

    monkeypatch.setattr(write, "_write_files", slowly)
    monkeypatch.setattr(figures, "draw", lambda summary, folder: [])
    studies = [dataclasses.replace(small_study(), question=f"{number}?") for number in range(3)]
    with ThreadPoolExecutor() as pool:
        written = list(pool.map(lambda study: write_study(study, tmp_path), studies))
    assert written == [tmp_path / studies[0].name] * 3
    assert [path.name for path in tmp_path.iterdir()] == [studies[0].name]
    assert read_record(written[0] / "results.json") in studies


def test_the_index_lists_every_report_under_the_folder(tmp_path: Path, no_figures: None) -> None:
    write_study(small_study(), tmp_path)
    write_study(dataclasses.replace(small_study(), name="placement", question="Head or inner?"), tmp_path)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "results.json").write_text("{")
    write_index(tmp_path)
    lines = (tmp_path / "README.md").read_text(encoding="utf-8").splitlines()
    assert [line.split(" | ")[0] for line in lines if line.startswith("| [")] == [
        "| [broken](broken/README.md)",
        "| [kernel_sizes](kernel_sizes/README.md)",
        "| [placement](placement/README.md)",
    ]
    assert any("Head or inner?" in line and "`ks3` has the highest" in line for line in lines)


def test_a_folder_that_holds_no_report_is_listed_as_one_that_cannot_be_read(tmp_path: Path) -> None:
    there = {
        "list": "[]",
        "deep": "[" * 100_000,
        "odd": '{"record": {"question": []}, "answer": {}}',
        "pipe": None,
    }
    for name, content in there.items():
        file = tmp_path / name / "results.json"
        file.parent.mkdir()
        os.mkfifo(file) if content is None else file.write_text(content)
    page = write_index(tmp_path).read_text()
    assert page.count("results.json cannot be read") == 3
    with pytest.raises(StudyError, match=r"is not the results.json of a report"):
        read_record(tmp_path / "pipe" / "results.json")


def test_the_index_does_not_overwrite_someone_elses_readme(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project")
    with pytest.raises(StudyError, match="was not written by"):
        write_index(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# My project"


def test_a_record_of_a_newer_version_is_refused(tmp_path: Path, no_figures: None) -> None:
    results = write_study(small_study(), tmp_path) / "results.json"
    data = json.loads(results.read_text())
    data["record"]["schema"] = 99
    results.write_text(json.dumps(data))
    with pytest.raises(StudyError, match="schema 99, newer"):
        read_record(results)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "[" * 100_000,
        '{"record": {"schema": 2, "a": ' + "[" * 900 + "]" * 900 + "}}",
        '{"record": {"schema": "x"}}',
        '{"record": {"schema": 2}}',
        '{"record": {"schema": 2, "a": 1}}',
    ],
)
def test_a_file_that_is_no_reports_is_one_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content)
    with pytest.raises(StudyError, match=r"is not the results.json of a report"):
        read_record(path)


def test_a_record_survives_json() -> None:
    assert study_from_json(json.loads(json.dumps(to_json(full_study())))) == full_study()


def test_a_report_is_written_anew_when_any_code_changes_that_it_comes_from() -> None:
    """What its pages, figures and numbers import, wherever it stands; errors only say why there is no report."""
    arrows, seen, waiting = graph(), set[str](), ["harness.report.write"]
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += arrows[module]
    rooms = {room_of(module).removeprefix("harness.") for module in seen} - {"harness", "errors", "files"}
    assert rooms == {name.removesuffix(".py") for name in write.CODE}
