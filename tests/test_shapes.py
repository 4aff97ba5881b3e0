"""A record that was edited or damaged is refused in one line that names the part which is not what stands there."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from builders.studies import small_study, tuning

from harness.errors import StudyError
from harness.records import study_from_json, to_json
from harness.report.document.blocks import Table
from harness.report.export import digest
from harness.report.sections.tuning import section
from harness.report.write import read_record

RECORD = dataclasses.replace(small_study(), tuning=tuning())

GONE = object()


def edited(path: str, value: Any) -> dict[str, Any]:
    """The record as plain JSON, with something else at a place of its tuning; "" is all of it."""
    record: dict[str, Any] = json.loads(json.dumps(to_json(RECORD)))
    above, key = record, "tuning"
    for name in filter(None, path.split("/")):
        above, key = above[key], name
    if value is GONE:
        del above[key]
    else:
        above[key] = value
    return record


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("", ["tuned"], "record.tuning: ['tuned'] is not what stands there"),
        ("key", GONE, "record.tuning.key: is missing"),
        ("key", 3, "record.tuning.key: 3 is not what stands there"),
        ("seed", "0", "record.tuning.seed: '0' is not what stands there"),
        ("holdout", None, "record.tuning.holdout: None is not what stands there"),
        ("values", ["0.01", "much"], "record.tuning.values: ['0.01', 'much'] are no numbers, each once"),
        ("values", [], "record.tuning.values: [] are no numbers, each once"),
        ("tried", {"tsn": 1}, "record.tuning.tried: {'tsn': 1} is not what stands there"),
        ("tried/other", {}, "record.tuning.tried: no variant 'other'"),
        ("tried/tsn/0.1", GONE, "record.tuning.tried.tsn: tries ['0.01'], not ['0.01', '0.1']"),
        ("tried/tsn/0.1/status", "won", "record.tuning.tried.tsn.0.1.status: 'won' is none of done, failed"),
        ("tried/tsn/0.1/reason", GONE, "record.tuning.tried.tsn.0.1.reason: is missing"),
        ("tried/tsn/0.1/top1", "70", "record.tuning.tried.tsn.0.1.top1: '70' is no number"),
        ("tried/tsn/0.1/loss", [1], "record.tuning.tried.tsn.0.1.loss: [1] is no number"),
        ("chosen/ks3", "0.1", "record.tuning.chosen.ks3: '0.1' is no value that was tried to its end"),
        ("chosen/ks3", 0.01, "record.tuning.chosen: {'tsn': '0.1', 'ks3': 0.01} is not what stands there"),
        ("chosen/x", "0.1", "record.tuning.chosen.x: '0.1' is no value that was tried to its end"),
    ],
)
def test_a_part_of_a_tuning_that_is_none_is_named(path: str, value: Any, words: str, tmp_path: Path) -> None:
    record = edited(path, value)
    file = tmp_path / "results.json"
    file.write_text(json.dumps({"record": record, "record_sha256": digest(record)}))
    with pytest.raises(StudyError) as refused:
        read_record(file)
    line = str(refused.value)
    assert line.startswith(f"{file}: is not the results.json of a report (ValueError: {words}")
    assert line.count("\n") == 0


def test_a_whole_tuning_is_read_and_a_score_that_is_no_number_is_said_to_be_none() -> None:
    assert study_from_json(json.loads(json.dumps(to_json(RECORD)))) == RECORD
    record = study_from_json(edited("tried/tsn/0.01/top1", None))
    (table,) = [block for block in section(record) if isinstance(block, Table)]
    assert [[getattr(cell, "text", cell) for cell in row] for row in table.rows] == [
        ["`tsn`", "no number", "70.0", "0.1"],
        ["`ks3`", "60.0", "failed", "0.01"],
    ]
