"""Clips that cannot be read: an error that names them, or left out, counted and named."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders.datasets import LABELS, moving_bar, open_, write_pictures, write_webm

from harness.data.batches import TrainBatches, eval_batches
from harness.data.video import count_frames
from harness.errors import DataError


def spoil(root: Path, what: str) -> tuple[str, str]:
    """Do something to one training clip; returns its id and what the error must say."""
    pictures, videos = root / "20bn-jester-v1" / "101", root / "20bn-something-something-v2" / "101.webm"
    if what == "no folder":
        shutil.rmtree(pictures)
        return "101", "101: no such folder"
    if what == "no pictures":
        for picture in pictures.iterdir():
            picture.unlink()
        return "101", "101: holds no picture named like 00001.jpg"
    if what == "a gap":
        (pictures / "00004.jpg").unlink()
        return "101", "101: pictures are missing between the first and 00012.jpg"
    if what == "no first":
        (pictures / "00001.jpg").unlink()
        return "101", "101: pictures are missing between the first and 00012.jpg"
    if what == "a file":
        shutil.rmtree(pictures)
        pictures.write_text("no folder")
        return "101", "101: cannot be read: Not a directory"
    if what == "no video":
        videos.unlink()
        return "101", "101.webm: no such video"
    if what == "an empty video":
        videos.write_bytes(b"")
        return "101", "101.webm: the file is empty"
    if what == "text":
        videos.write_text("no video" * 100)
        return "101", "101.webm: cannot be "
    raise AssertionError(what)


def test_a_video_that_is_a_list_of_files_opens_none_of_them(tmp_path: Path) -> None:
    """The one in the list is a pipe, which whoever opens it waits for."""
    os.mkfifo(tmp_path / "other.mp4")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    with pytest.raises(DataError, match="it is text"):
        count_frames(tmp_path / "list.mp4")


SPOILED = {"jester": ("no folder", "no pictures", "a gap", "no first", "a file")}
SPOILED["something_v2"] = ("no video", "an empty video", "text")


@pytest.mark.parametrize(("name", "what"), [(n, w) for n, several in SPOILED.items() for w in several])
def test_a_clip_that_cannot_be_read_is_an_error_or_left_out_by_choice(
    name: str, what: str, own: Callable[[str], Path]
) -> None:
    root = own(name)
    id_, message = spoil(root, what)
    with pytest.raises(DataError) as caught:
        open_(name, root)
    assert f"clip {id_}: " in str(caught.value)
    assert message in str(caught.value)
    assert "data.on_unreadable: skip" in str(caught.value)
    assert "\n" not in str(caught.value)
    data = open_(name, root, on_unreadable="skip")
    assert data.skipped == {"train": [id_]}
    assert [c.id for c in data.split("train").clips] == ["100", "102", "103"]
    assert len(data.split("val")) == 3


def test_a_repaired_clip_is_seen_where_it_was_an_error(own: Callable[[str], Path]) -> None:
    root = own("jester")
    spoil(root, "no folder")
    with pytest.raises(DataError, match="clip 101"):
        open_("jester", root)
    left_out = open_("jester", root, on_unreadable="skip")
    write_pictures(root / "20bn-jester-v1" / "101", moving_bar(1, 101, frames=12))
    assert (
        open_("jester", root, on_unreadable="skip").fingerprint == left_out.fingerprint
    )  # as it was planned
    whole = open_("jester", root)
    assert len(whole.split("train")) == 4
    assert whole.fingerprint != left_out.fingerprint


def test_a_split_without_a_readable_clip_is_an_error_also_when_skipping(own: Callable[[str], Path]) -> None:
    root = own("jester")
    for id_ in ("104", "105", "106"):
        shutil.rmtree(root / "20bn-jester-v1" / id_)
    with pytest.raises(DataError, match=r"split 'val' .* no clip that can be read: clip 104: "):
        open_("jester", root, on_unreadable="skip")


def test_a_list_that_states_another_number_of_frames_is_named(own: Callable[[str], Path]) -> None:
    root = own("list")
    (root / "train.txt").write_text((root / "train.txt").read_text().replace("101.webm 12", "101.webm 13"))
    with pytest.raises(DataError, match=r"101\.webm: has 12 frames, its annotation says 13"):
        open_("list", root)


def test_folders_name_what_is_no_clip(own: Callable[[str], Path]) -> None:
    root = own("folders")
    (root / "train" / LABELS[0] / ".DS_Store").write_text("the system's own")
    assert len(open_("folders", root).index.clips) == 7
    note = root / "train" / LABELS[0] / "notes.txt"
    note.write_text("no clip")
    with pytest.raises(DataError, match=r"notes\.txt: is neither a folder nor a video"):
        open_("folders", root)
    note.unlink()
    (root / "val" / "Some other class").mkdir()
    write_webm(root / "val" / "Some other class" / "1.webm", moving_bar(0, 0, frames=3))
    with pytest.raises(DataError, match="label 'Some other class' is no class"):
        open_("folders", root)


def damaged_later(root: Path) -> None:
    """Damage to one training and one validation clip that no index sees: a picture that is no picture."""
    for id_ in ("101", "105"):
        for picture in (root / "20bn-jester-v1" / id_).iterdir():
            picture.write_bytes(picture.read_bytes()[:100])


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_a_clip_that_fails_while_training_is_an_error_that_names_it(
    workers: int, own: Callable[[str], Path]
) -> None:
    root = own("jester")
    damaged_later(root)
    data = open_("jester", root)
    with pytest.raises(DataError, match=r"^clip 101: [^\n]*jpg: [^\n]*$"):
        list(TrainBatches(data.split("train"), 4, 0, workers).epoch(0))
    with pytest.raises(DataError, match=r"^clip 105: [^\n]*jpg: [^\n]*$"):
        list(eval_batches(data.split("val"), 3, workers))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_a_skipped_clip_leaves_its_batch_smaller_and_nobody_takes_its_place(
    workers: int, own: Callable[[str], Path], roots: dict[str, Path]
) -> None:
    root = own("jester")
    damaged_later(root)
    data, whole = open_("jester", root, on_unreadable="skip"), open_("jester", roots["jester"])
    batches = TrainBatches(data.split("train"), 4, seed=3, workers=workers)
    whole_batches = TrainBatches(whole.split("train"), 4, seed=3)
    for epoch in range(3):
        (batch,), (full,) = batches.epoch(epoch), whole_batches.epoch(epoch)
        assert batch.unreadable.tolist() == [1]
        kept = [i for i, index in enumerate(full.indices.tolist()) if index != 1]
        assert batch.indices.tolist() == full.indices[kept].tolist()
        assert torch.equal(batch.clips, full.clips[kept])
        assert torch.equal(batch.labels, full.labels[kept])
    seen = list(eval_batches(data.split("val"), 1, workers=workers))
    assert [b.indices.tolist() for b in seen] == [[0], [], [2]]
    assert [b.unreadable.tolist() for b in seen] == [[], [1], []]
    assert [len(b.clips) for b in seen] == [1, 0, 1]
