"""What was kept and is no more what it was, sealed or not: refused in words, or read."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from builders.datasets import make
from builders.fuzzed import changed_json, changed_text, mutated, refused_or_read, text, values
from builders.studies import full_study, tuning
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.analysis.summary import summarize
from harness.data.sources.index_files import find, prepare
from harness.data.sources.readers import ListConfig
from harness.errors import TrainingError
from harness.files import sealed
from harness.report.export import digest, numbers
from harness.report.page import page
from harness.report.predictions import record_of
from harness.report.write import read_record
from harness.train import checkpoint
from harness.train.checkpoint import Learner, State, as_bytes
from harness.train.result import DamagedError, saved_result

RECORD = dataclasses.replace(full_study(), tuning=tuning())
RESULTS: dict[str, Any] = json.loads(json.dumps(numbers(summarize(RECORD))))


def edited_results() -> st.SearchStrategy[bytes]:
    """A report's numbers with another record in them, and the digest that this one has."""
    leaves = st.sampled_from([None, -1, 10**30, 1e308, "done", "ks3", "x" * 3000, {"a": 1}, ["x"] * 300])
    return mutated(RESULTS["record"], values(leaves), text()).map(
        lambda record: json.dumps(RESULTS | {"record": record, "record_sha256": digest(record)}).encode()
    )


@given(content=edited_results())
def test_an_edited_record_is_refused_in_words_or_gives_a_page(content: bytes, folder: Path) -> None:
    file = folder / "results.json"
    file.write_bytes(content)
    summary = refused_or_read(lambda: summarize(read_record(file)), "results.json", "published")
    if summary is not None:
        assert page(summary, [], []).blocks


@given(content=changed_text(json.dumps(RESULTS)[:3000]) | changed_json('{"record": {"schema": 2}}'))
def test_any_bytes_are_no_record(content: bytes, folder: Path) -> None:
    file = folder / "results.json"
    file.write_bytes(content)
    assert refused_or_read(lambda: read_record(file), "results.json") is None


@given(content=changed_json(json.dumps({"record": RESULTS["record"]["trials"][0], "sha256": {}})))
def test_a_sealed_result_of_a_trial_that_is_none_is_damaged(content: bytes, folder: Path) -> None:
    """Its other files are not there: whatever it says, it is no whole result."""
    (folder / "result.json").write_bytes(sealed(content))
    with pytest.raises(DamagedError):
        saved_result(folder)


def a_learner() -> Learner:
    model = nn.Linear(2, 1)
    nn.init.ones_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return Learner(model, optimizer, torch.amp.GradScaler("cpu", enabled=False))


@functools.cache
def a_checkpoint(file: Path) -> dict[str, Any]:
    checkpoint.save(file, State(history=[{"epoch": 1, "val/top1": 3.0}]), a_learner())
    whole: dict[str, Any] = torch.load(io.BytesIO(file.read_bytes()), weights_only=True)
    return whole


@given(data=st.data())
def test_a_sealed_checkpoint_that_does_not_fit_is_refused_in_words(data: st.DataObject, folder: Path) -> None:
    """And leaves the learner as it was, so that nobody goes on with a half of it."""
    tensors = st.sampled_from([torch.zeros(1), torch.zeros(2, 2), torch.zeros(1, 2, dtype=torch.int64)])
    changed = data.draw(mutated(a_checkpoint(folder / "whole.pt"), values(tensors), text()))
    content = as_bytes(changed) if data.draw(st.booleans()) else data.draw(changed_text("no pickle"))
    file, learner = folder / "checkpoint.pt", a_learner()
    file.write_bytes(sealed(content))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    state = refused_or_read(lambda: checkpoint.load(file, learner), "checkpoint.pt", refusals=TrainingError)
    if state is None:
        assert all(torch.equal(before[name], value) for name, value in learner.model.state_dict().items())
    else:
        assert state.epoch == len(state.history)


@given(data=st.data())
def test_a_sealed_index_that_is_none_is_refused_in_words_or_read(data: st.DataObject, folder: Path) -> None:
    root = folder / "list"
    if not root.exists():
        make("list", root)
    config = ListConfig(root=str(root))
    whole = prepare(config, folder, lambda *_: None)
    file = whole.folder / "index.columns"
    before = file.read_bytes()
    stop = len(before) - 16
    content = bytearray(before[:stop])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, stop - 1))
        content[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    file.write_bytes(sealed(bytes(content)))
    try:
        index = refused_or_read(lambda: find(config, folder), "index.columns")
        for clip in index.clips if index else ():
            assert clip.split in ("train", "val")
            assert 0 <= clip.label < len(index.classes)
    finally:
        file.write_bytes(before)


@given(
    changed=changed_text("clip,label,predicted,seed,cluster\na,0,1,0,a\nb,1,1,0,a\na,0,0,1,b\nb,1,0,1,b\n")
)
def test_predictions_of_others_are_refused_in_words_or_read(changed: bytes, folder: Path) -> None:
    written = io.StringIO()
    csv.writer(written).writerows(
        [["clip", "label", "predicted", "seed"], ["a", "0", "0", "0"], ["b", "1", "1", "0"]]
    )
    (folder / "one.csv").write_bytes(changed)
    (folder / "two.csv").write_text(written.getvalue())
    files = [folder / "one.csv", folder / "two.csv"]
    record = refused_or_read(lambda: record_of(files, name="fuzzed"), "one.csv", "two.csv")
    assert record is None or page(summarize(record), [], []).blocks
