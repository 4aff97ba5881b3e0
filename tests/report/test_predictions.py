"""Predictions of anybody's training code: the same verdicts as a study's, and one line for what cannot be read."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest
from builders.place import ROOT

from harness.analysis.summary import summarize
from harness.errors import StudyError
from harness.records import StudyRecord
from harness.report import read_record
from harness.report.__main__ import main
from harness.report.predictions import record_of

FINISHED = ROOT / "reports" / "reference" / "lips" / "results.json"
COLUMNS = ("clip", "label", "predicted", "seed", "cluster")


def write(file: Path, rows: list[tuple[object, ...]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with file.open("w", newline="") as opened:
        csv.writer(opened).writerows([columns, *rows])
    return file


def rows_of(record: StudyRecord, variant: str) -> list[tuple[object, ...]]:
    """As training code of one's own would write them: names for classes, seed after seed."""
    names = record.classes
    return [
        (clip, names[label], names[predicted], trial.seed, cluster)
        for trial in record.trials
        if trial.variant == variant
        for clip, label, predicted, cluster in zip(
            *(trial.predictions[name] for name in ("clip", "label", "predicted", "cluster")), strict=True
        )
    ]


def test_the_csvs_of_a_finished_study_give_its_own_verdicts(tmp_path: Path) -> None:
    study = read_record(FINISHED)
    files = [write(tmp_path / f"{name}.csv", rows_of(study, name)) for name in study.variants]
    record = record_of(files, name="again", baseline=study.baseline, margin=study.margin)
    assert (record.variants, record.seeds) == (study.variants, study.seeds)
    mine, theirs = summarize(record), summarize(study)
    for one, other in zip(mine.rows, theirs.rows, strict=True):
        assert one.accuracy["top1"] == other.accuracy["top1"]
        if other.difference is None:
            assert one.difference is None
            continue
        assert one.difference is not None
        for name in ("mean", "low", "high", "n", "p", "p_holm", "verdict", "words", "clips", "trainings"):
            assert getattr(one.difference, name) == getattr(other.difference, name), name
    assert {row.difference.words for row in mine.rows if row.difference} != {"baseline"}


def test_one_file_may_hold_all_variants_in_any_order(tmp_path: Path) -> None:
    study = read_record(FINISHED)
    rows = [(*row, name) for name in study.variants for row in rows_of(study, name)]
    one = write(tmp_path / "all.csv", rows[::-1], (*COLUMNS, "variant"))
    record = record_of([one], name="x", baseline=study.baseline, margin=study.margin)
    found = {row.variant: row.difference for row in summarize(record).rows}
    for row in summarize(study).rows:
        mine = found[row.variant]
        assert (mine and mine.words) == (row.difference and row.difference.words)


def few(right: str, seed: int = 0, **more: str) -> list[tuple[object, ...]]:
    return [(f"c{i}", "yes", "yes" if hit == "1" else "no", seed) for i, hit in enumerate(right)]


def test_the_command_writes_a_report_without_a_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    seeds = [few("0110101010", 0), few("0110101000", 1), few("0010101010", 2)]
    better = [few("1111111110", 0), few("1111111010", 1), few("1111111110", 2)]
    for name, all_rows in (("ours", better), ("tsm", seeds)):
        write(Path(f"{name}.csv"), list(itertools.chain(*all_rows)), COLUMNS[:4])
    assert main(["--predictions", "tsm.csv", "ours.csv", "--margin", "2", "--out", "pages"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == f"report   {Path('pages/predictions/index.html')}"
    page = Path("pages/predictions/README.md").read_text(encoding="utf-8")
    # by hand: tsm has 5, 4 and 4 of 10 right; ours 9, 8 and 9: 4, 4 and 5 more
    assert "| `ours` | 3 of 3 | **86.7 [72.3, 100.0]** | +43.3 [" in page
    assert "10 clips, seeds 0, 1, 2; sha256" in page
    command = (
        "python -m harness.report --predictions tsm.csv ours.csv --baseline tsm --name predictions --margin 2"
    )
    assert command in page
    assert "Nothing: all 6 trials" in page
    assert not Path("mlflow.db").exists()
    assert read_record(Path("pages/predictions/results.json")).predictions == ["tsm.csv", "ours.csv"]


def test_a_seed_that_one_variant_lacks_is_missing_and_not_compared(tmp_path: Path) -> None:
    a = write(tmp_path / "a.csv", few("0101", 0) + few("0111", 1), COLUMNS[:4])
    b = write(tmp_path / "b.csv", few("1111", 1), COLUMNS[:4])
    found = summarize(record_of([a, b], name="x"))
    assert [(trial.variant, trial.seed) for trial in found.missing] == [("b", 0)]
    assert found.rows[1].difference is not None
    assert (found.rows[1].difference.n, found.rows[1].difference.mean) == (1, 25.0)


GOOD = "clip,label,predicted,seed\nx,1,1,0\ny,2,1,0\n"
WRONG = {
    "": r"b.csv:1: clip: no such column; the file is empty",
    "clip,label,prediction,seed\nx,1,1,0\n": r"b.csv:1: predicted: no such column; did you mean 'prediction'\?",
    "clip,label,label,predicted,seed\n": r"b.csv:1: label: stands twice in the header",
    "clip,label,predicted,seed\n": r"b.csv: has no row below its header",
    "clip,label,predicted,seed\nx,1,1\n": r"b.csv:2: 3 values for 4 columns",
    "clip,label,predicted,seed\nx,1,,0\n": r"b.csv:2: predicted: is empty",
    "clip,label,predicted,seed\nx,1,1,one\n": r"b.csv:2: seed: 'one' is not a whole number",
    GOOD + "x,1,2,0\n": r"b.csv:4: clip: 'x' stands twice for b seed 0; first in .*b.csv:2",
    "clip,label,predicted,seed\nx,1,1,0\ny,1,1,0\n": r"b.csv:3: label: '1' of clip 'y'; .*a.csv:3 has '2'",
    "clip,label,predicted,seed\nx,1,1,0\n": r"a.csv:3: clip: 'y' is not there for b seed 0; every seed",
    GOOD + "z,1,1,0\n": r"b.csv:4: clip: 'z' is not there for a seed 0; every seed",
    "clip,label,predicted,seed,cluster\nx,1,1,0,p\ny,2,1,0,p\n": r"b.csv:2: cluster: is given in one",
    "clip,label,predicted,seed\nx,1,1.0,0\ny,2,2.0,0\n": r"b.csv:2: predicted: '1.0', like every prediction",
    'clip,label,predicted,seed\n"x,1,1,0\n': r"b.csv: is no CSV in UTF-8: .*; save it as one",
    GOOD.replace(",", ";"): r"b.csv:1: its columns stand apart by semicolons; write commas",
    GOOD.replace(",", "\t"): r"b.csv:1: its columns stand apart by tabs; write commas",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_file_is_one_line_with_file_row_and_column(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text(text)
    with pytest.raises(StudyError, match=WRONG[text]) as error:
        record_of([tmp_path / "a.csv", tmp_path / "b.csv"], name="x")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "written",
    [b"\xef\xbb\xbf" + GOOD.encode(), GOOD.replace("\n", "\r\n").encode(), b"\n" + GOOD.encode()],
    ids=["a mark of its encoding first", "lines as Windows ends them", "an empty line first"],
)
def test_what_spreadsheets_write_is_read_as_it_is_meant(written: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_bytes(written)
    one, other = record_of([tmp_path / "a.csv", tmp_path / "b.csv"], name="x").trials
    assert (other.variant, other.predictions) == ("b", one.predictions)


def test_files_of_one_name_in_two_folders_are_told_apart_by_whoever_made_them(tmp_path: Path) -> None:
    files = [tmp_path / folder / "out.csv" for folder in ("mine", "theirs")]
    for file in files:
        file.parent.mkdir()
        file.write_text(GOOD)
    with pytest.raises(StudyError, match=r"theirs/out.csv:2: clip: 'x' stands twice") as error:
        record_of(files, name="x")
    assert "files of one name are one variant" in str(error.value)


def test_what_is_no_comparison_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    a = str(tmp_path / "a.csv")
    assert main(["--predictions", a]) == 2
    assert "one variant alone" in capsys.readouterr().err
    assert main(["--predictions", a, str(tmp_path / "gone.csv")]) == 2
    assert "gone.csv: cannot be read: No such file or directory\n" in capsys.readouterr().err
    (tmp_path / "bee.csv").write_text(GOOD)
    assert main(["--predictions", a, str(tmp_path / "bee.csv"), "--baseline", "be"]) == 2
    assert capsys.readouterr().err == "error: --baseline: no variant 'be'; did you mean 'bee'?\n"
    (tmp_path / "b.csv").write_bytes(b"clip,label,predicted,seed\n\xff,1,1,0\n")
    assert main(["--predictions", a, str(tmp_path / "b.csv")]) == 2
    assert "b.csv: is no CSV in UTF-8" in capsys.readouterr().err
