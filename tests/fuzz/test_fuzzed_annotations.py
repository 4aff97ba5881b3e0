"""Annotations that nobody can use are refused in words, or counted; what can be used is."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.datasets import make
from builders.fuzzed import changed_json, changed_text, refused_or_read, text
from hypothesis import given
from hypothesis import strategies as st

from harness.data.sources.annotations import Problem
from harness.data.sources.check import check
from harness.data.sources.index_files import clips_of, prepare
from harness.data.sources.readers import READERS, ReaderConfig

FILES = [
    ("something_v1", "something-something-v1-labels.csv"),
    ("something_v1", "something-something-v1-train.csv"),
    ("jester", "jester-v1-test.csv"),
    ("something_v2", "something-something-v2-labels.json"),
    ("something_v2", "something-something-v2-validation.json"),
    ("list", "train.txt"),
]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A small data set of each format, made when first asked for."""
    top = tmp_path_factory.mktemp("roots")
    return lambda name: top / name if (top / name).exists() else make(name, top / name)


def config_of(name: str, root: Path) -> ReaderConfig:
    return READERS[name](root=str(root))  # type: ignore[call-arg]


def read_in_every_way(name: str, root: Path, data_dir: Path) -> None:
    """As training reads it, which stops at the first problem; and as a check does, which tells all of them."""
    config = config_of(name, root)
    here = (str(root), *config.files())
    index = refused_or_read(lambda: prepare(config, data_dir, lambda *_: None), *here)
    if index is not None:
        assert len(index.clips) == len([clip for clip in index.clips if clip.label < len(index.classes)])
        refused_or_read(lambda: index.readable("skip"), *here, "split")
        refused_or_read(lambda: index.held_out(0.3), "holdout")
    found = refused_or_read(lambda: check(config, lambda *_: None), *here)
    if found is not None:
        found.table()
        found.save(data_dir / "found.json")
        found.save(data_dir / "found.csv")


@pytest.mark.parametrize(("name", "file"), FILES)
@given(data=st.data())
def test_a_changed_annotation_is_refused_in_words_or_read(
    name: str, file: str, data: st.DataObject, folder: Path, roots: Callable[[str], Path]
) -> None:
    place = roots(name) / file
    whole = place.read_text()
    changed = data.draw((changed_json if file.endswith(".json") else changed_text)(whole))
    place.write_bytes(changed)
    try:
        read_in_every_way(name, roots(name), folder / "index")
    finally:
        place.write_text(whole)


@given(names=st.lists(text() | st.binary(min_size=1, max_size=8), max_size=6), deep=st.integers(0, 3))
def test_folders_with_any_names_are_refused_in_words_or_read(
    names: list[str | bytes], deep: int, folder: Path
) -> None:
    """Names need not be text: they are bytes on the disk."""
    root = folder / "any"
    shutil.rmtree(root, ignore_errors=True)
    for split in ("train", "val"):
        (root / split / "a class" / "a clip").mkdir(parents=True)
        for number, name in enumerate(names):
            raw = (os.fsencode(name) if isinstance(name, bytes) else name.encode(errors="replace"))[:200]
            raw = raw.replace(b"/", b"_").replace(b"\0", b"_")
            if raw not in (b"", b".", b".."):
                place = os.path.join(os.fsencode(root / split), *[raw] * (1 + (number + deep) % 3))
                os.makedirs(place, exist_ok=True)
    read_in_every_way("folders", root, folder / "index")


@given(line=changed_text("some videos/100.webm 10 0"), line2=changed_text("a/b 3 1"))
def test_any_lines_of_a_list_are_told_apart_or_reported(line: bytes, line2: bytes, folder: Path) -> None:
    (folder / "train.txt").write_bytes(line + b"\n" + line2)
    (folder / "val.txt").write_bytes(line2)
    problems: list[Problem] = []
    classes, clips, stated = clips_of(config_of("list", folder), folder, problems.append)
    assert len(clips) == len(stated)
    assert len(clips) or problems
    assert all(clip.label < len(classes) for clip in clips)
