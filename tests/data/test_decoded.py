"""Small data sets from elsewhere, decoded once: the same pixels as from the files, and never an old clip's."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from builders.datasets import LABELS, SMALL, config, moving_bar, open_, write_pictures, write_webm
from PIL import Image

from harness.data import frames, video
from harness.data.clips import TrainKey
from harness.data.dataset import DataSet, open_data
from harness.data.frames import frames_file, open_frames, read_clip
from harness.data.views import PROTOCOLS
from harness.errors import DataError


def decoded_files(data: DataSet) -> list[str]:
    """The names of the files with decoded frames that are not empty."""
    return sorted(file.name for file in data.index.folder.glob("frames-*.npy") if file.stat().st_size)


def folders(root: Path, **sizes: tuple[int, int]) -> Path:
    """A folder a class, two clips each, of (height, width) where that is asked of a clip."""
    for number, label in enumerate(LABELS * 2):
        for split in ("train", "val"):
            place, (height, width) = root / split / label, sizes.get(f"{split}{number}", (30, 40))
            clip = moving_bar(number % 3, number, frames=9 + number, height=height, width=width)
            if number % 2:
                write_pictures(place / f"{number}", clip)
            else:
                write_webm(place / f"{number}.webm", clip)
    return root


@pytest.mark.parametrize("short_side", [24, 30])
def test_decoded_frames_equal_those_read_from_videos_and_pictures_to_the_bit(
    short_side: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many are held at once before they are resized."""
    settings = config("folders", folders(tmp_path / "own"))
    object.__setattr__(settings, "short_side", short_side)
    data = open_data(settings, tmp_path / "index")
    mapped = open_frames(data.index, short_side)
    monkeypatch.setattr(video, "CHUNK_BYTES", 4 * 30 * 40 * 3)
    first = 0
    for clip in data.index.clips:
        for wanted in (np.arange(clip.frames), np.array([0, 3, 8]), np.array([4])):
            np.testing.assert_array_equal(mapped[first + wanted], read_clip(clip, wanted, short_side))
        first += clip.frames
    assert first == len(mapped)


def test_training_and_test_clips_are_the_same_decoded_or_read(
    own: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own("folders")
    decoded = open_("folders", root)
    monkeypatch.setattr(frames, "LARGEST_BYTES", 1)
    read = open_("folders", root)
    assert (decoded.index.one_size, read.index.one_size) == (True, False)
    for clip in range(4):
        one, other = (data.split("train")[TrainKey(1, 2, clip)] for data in (decoded, read))
        assert one[0] is not None
        assert other[0] is not None
        assert torch.equal(one[0], other[0])
        assert one[1:] == other[1:]
    for protocol in ("center_1clip", "fullres_2clip"):
        one, other = (data.split("val").views(2, PROTOCOLS[protocol]) for data in (decoded, read))
        assert torch.equal(one, other)


def test_clips_are_decoded_once_and_then_read_from_memory(own: Callable[[str], Path]) -> None:
    root = own("something_v2")
    before = open_("something_v2", root)
    file = frames_file(before.index, SMALL["short_side"])
    written = file.stat().st_mtime_ns
    data = open_("something_v2", root)
    assert decoded_files(data) == [file.name]
    assert file.stat().st_mtime_ns == written
    for clip in data.index.clips:
        clip.file.unlink()
    assert data.split("train")[TrainKey(0, 0, 0)][0] is not None


@pytest.mark.parametrize("name", ["list", "jester"])
@pytest.mark.parametrize("what", ["size", "time"])
def test_a_changed_clip_is_never_shown_as_it_was(name: str, what: str, own: Callable[[str], Path]) -> None:
    root = own(name)
    old = open_(name, root)
    clip = old.split("train").clips[1]
    file = clip.file if clip.is_video else clip.picture(0)
    stamp = file.stat()
    if what == "time":  # the same bytes but one: a key of sizes alone would not see it
        file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
        assert file.stat().st_size == stamp.st_size
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns + 1_000))
    else:  # and one of times alone not this
        other = moving_bar(2, 7, frames=clip.frames)
        if clip.is_video:
            write_webm(file, other)
        else:
            Image.fromarray(other[0]).save(file, quality=40)
        os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert file.stat().st_size != stamp.st_size
    new = open_(name, root)
    assert new.index.files != old.index.files
    assert new.fingerprint == old.fingerprint  # clips are not watched: their frames are as many as before
    if what == "size":
        first = sum(c.frames for c in new.index.clips[:1])
        shown = open_frames(new.index, SMALL["short_side"])[first : first + 1]
        np.testing.assert_array_equal(shown, read_clip(clip, np.array([0]), SMALL["short_side"]))
        assert not np.array_equal(shown, open_frames(old.index, SMALL["short_side"])[first : first + 1])


@pytest.mark.parametrize("odd", ["val5", "train2"])
def test_clips_of_several_sizes_are_read_one_by_one(odd: str, tmp_path: Path) -> None:
    data = open_("folders", folders(tmp_path / "own", **{odd: (30, 44)}))
    assert not data.index.one_size
    assert decoded_files(data) == []
    for clip in range(6):
        assert data.split("train")[TrainKey(0, 0, clip)][0] is not None
    left = list(data.index.folder.glob("frames-*.npy"))
    assert [file.stat().st_size for file in left] == [0]  # so that the next trial does not try again
    again = open_data(data.config, tmp_path / "index", lambda done, total: pytest.fail("decoded again"))
    assert not again.index.one_size


def test_more_frames_than_fit_into_memory_are_read_one_by_one(
    own: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own("something_v2")
    bytes_needed = int(open_frames(open_("something_v2", root).index, SMALL["short_side"]).size)
    monkeypatch.setattr(frames, "LARGEST_BYTES", bytes_needed - 1)
    assert not open_("something_v2", root).index.one_size
    monkeypatch.setattr(frames, "LARGEST_BYTES", bytes_needed)
    assert open_("something_v2", root).index.one_size


def test_a_clip_left_out_leaves_the_frames_of_the_others_where_they_belong(
    own: Callable[[str], Path],
) -> None:
    root = own("something_v2")
    (root / "20bn-something-something-v2" / "101.webm").write_bytes(b"")
    with pytest.raises(DataError, match="clip 101"):
        open_("something_v2", root)
    data = open_("something_v2", root, on_unreadable="skip")
    assert data.skipped == {"train": ["101"]}
    assert data.index.one_size
    kept = data.split("train")
    for place, clip in enumerate(kept.clips):
        shown = kept._read(place, np.arange(clip.frames))
        np.testing.assert_array_equal(
            shown, read_clip(clip, np.arange(clip.frames), SMALL["short_side"]), err_msg=clip.id
        )
