"""Two studies side by side."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from builders.studies import cost, failed, predictions, small_study, study, trial

from harness.errors import StudyError
from harness.records import StudyRecord
from harness.report.__main__ import main
from harness.report.compare import compare_studies
from harness.report.write import read_record, write_comparison, write_study
from harness.stats.differences import NEW_TRAININGS_AND_CLIPS


def test_two_studies_stand_side_by_side_with_their_differences(tmp_path: Path) -> None:
    """By hand: 70, 73, 76 against 71, 75, 78: differences 1, 2, 2; mean 5/3, sd 0.577, half width 1.434."""
    trials = [trial("tsn", s, 20.0 + 2 * s) for s in (0, 1, 2)]
    trials += [trial("ks3", s, top1) for s, top1 in enumerate((71.0, 75.0, 78.0))]
    faster = {"latency_ms": [20.0, 21.0, 22.0], "measured_on": {"device": "gpu"}}
    costs = {variant: cost(variant, **faster) for variant in ("tsn", "ks3")}
    second = study(trials, ["tsn", "ks3"], costs=costs, environment={"commit": "def5678"})
    folder = write_comparison(small_study(), second, tmp_path)
    assert folder.name == "kernel_sizes-abc1234-vs-kernel_sizes-def5678"
    text = (folder / "README.md").read_text(encoding="utf-8")
    row = next(line for line in text.splitlines() if line.startswith("| `ks3` |"))
    assert "| +1.7 [0.2, 3.1] (n=3) |" in row
    assert "| commit | abc1234 | def5678 |" in text
    assert "| latency: device | cpu | gpu |" in text
    assert "| 0.50 [" in text  # 21 ms over 42 ms
    assert "in top-1 is that of `ks3`: +1.7 points [0.2, 3.1] (n=3)." in text
    assert "?: a latency that is doubtful" not in text
    again = write_comparison(small_study(), second, tmp_path / "again")
    for file in folder.rglob("*.*"):
        assert file.read_bytes() == (again / file.relative_to(folder)).read_bytes()


def test_a_ratio_with_a_doubtful_latency_is_doubtful(tmp_path: Path, no_figures: None) -> None:
    loaded = {"ks3": cost("ks3", warnings=["load: other processes used 1.9 of 2 cores meanwhile"])}
    second = dataclasses.replace(
        small_study(), costs=small_study().costs | loaded, environment={"commit": "b"}
    )
    text = (write_comparison(small_study(), second, tmp_path) / "README.md").read_text(encoding="utf-8")
    part = text.split("## Cost")[1]
    assert [line.count(" ? |") for line in part.splitlines() if line.startswith("| `")] == [0, 2]
    assert "?: a latency that is doubtful, or a ratio with one" in part


def test_a_comparison_is_for_new_clips_too_where_predictions_were_kept() -> None:
    """One clip of four is gained and one lost in every seed, which no accuracy tells."""

    def of(hits: str) -> StudyRecord:
        made = predictions(hits)
        trials = [trial("tsn", s, top1, predictions=made) for s, top1 in enumerate((50.0, 50.1, 50.3))]
        return study(trials, ["tsn"])

    compared = compare_studies(of("0110"), of("1100"))
    assert compared.gaps["tsn"].covers == NEW_TRAININGS_AND_CLIPS
    assert compared.gaps["tsn"].clips is not None


def test_accuracies_on_other_data_are_not_subtracted() -> None:
    first = small_study()
    other = study(first.trials, ["tsn", "ks3"], protocol={"data set": "x, fingerprint abc"})
    one = study(first.trials, ["tsn", "ks3"], protocol={"data set": "x, fingerprint def"})
    compared = compare_studies(one, other)
    assert compared.gaps == {}
    assert "different data" in compared.obstacle


def test_studies_without_a_common_variant_are_refused() -> None:
    with pytest.raises(StudyError, match="no variant in common"):
        compare_studies(small_study(), study([failed("ks7", 0)], ["ks7"]))


def test_compare_takes_folders_and_names_what_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_study(small_study(), tmp_path)
    assert main(["--compare", str(folder), str(folder / "results.json"), "--out", str(tmp_path / "out")]) == 0
    assert main(["--compare", str(folder), str(tmp_path / "gone.json"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/gone.json: there is no such file or folder\n"


def test_numbers_that_were_edited_are_not_compared(tmp_path: Path) -> None:
    folder = write_study(small_study(), tmp_path)
    file = folder / "results.json"
    numbers = json.loads(file.read_text())
    read_record(file)
    numbers["record"]["trials"][0]["last"]["top1"] += 5
    file.write_text(json.dumps(numbers))
    with pytest.raises(StudyError, match="was edited since it was written"):
        read_record(file)
