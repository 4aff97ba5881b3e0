"""Validation clips that are training clips under another name are found by their bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.datasets import LABELS

from harness.data.__main__ import main
from harness.data.sources import copies


def found(root: Path, *words: str) -> dict[str, str]:
    """What `check` says of copies: by clip, the words."""
    file = root.parent / "found.json"
    main(["check", str(root), "--out", str(file), *words])
    return {p["clip"]: p["text"] for p in json.loads(file.read_text())["problems"] if p["kind"] == "copy"}


def test_folders_whose_validation_is_a_copy_of_training_are_named_pair_by_pair(
    own: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Videos and folders of pictures, under their own names: ids begin with the split, so no two are equal."""
    root = own("folders")
    assert found(root) == {}
    shutil.rmtree(root / "val")
    shutil.copytree(root / "train", root / "val")
    pairs = found(root)
    trained = {str(f.relative_to(root / "train")) for f in (root / "train").glob("*/*")}
    assert {clip: text.partition("training clip ")[2] for clip, text in pairs.items()} == {
        f"val/{name}": f"train/{name}" for name in trained
    }
    assert len(pairs) == 4
    assert "copy: val/" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["jester", "something_v2", "list"])
def test_a_copy_under_another_name_is_found(name: str, own: Callable[[str], Path]) -> None:
    root = own(name)
    assert found(root) == {}
    (source,) = [path for path in root.rglob("102*") if path.name in ("102", "102.webm")]
    target = source.with_name(source.name.replace("102", "105"))
    if source.is_dir():
        shutil.rmtree(target)
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)
    if name == "list":
        val = root / "val.txt"
        val.write_text(val.read_text().replace("105.webm 10 1", "105.webm 10 1"))
    pairs = found(root)
    assert [Path(clip).stem for clip in pairs] == ["105"]
    assert [text.partition("training clip ")[2].partition(".")[0][-3:] for text in pairs.values()] == ["102"]


def test_what_only_looks_alike_is_no_copy(own: Callable[[str], Path]) -> None:
    """The same size, the same bytes in the middle, and one byte of another picture."""
    root = own("jester")
    clips = root / "20bn-jester-v1"
    shutil.rmtree(clips / "105")
    shutil.copytree(clips / "102", clips / "105")
    picture = clips / "105" / "00002.jpg"
    picture.write_bytes(picture.read_bytes()[:-3] + b"\x00\xff\xd9")
    assert found(root) == {}


def test_copies_within_a_split_are_the_data_sets_own_affair(own: Callable[[str], Path]) -> None:
    root = own("folders")
    for split in ("train", "val"):
        clip = next((root / split / LABELS[0]).glob("*.webm"))
        shutil.copy(clip, clip.with_name("again.webm"))
    assert found(root) == {}


def test_only_clips_of_one_size_are_read(own: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    root = own("something_v2")
    videos = sorted((root / "20bn-something-something-v2").glob("*.webm"))
    assert len({video.stat().st_size for video in videos}) == len(videos)  # else this would test nothing
    monkeypatch.setattr(copies, "_piece", lambda clip: pytest.fail(f"{clip.id} was read"))
    assert found(root) == {}
