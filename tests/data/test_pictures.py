"""Clips that are folders of pictures."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.data.batches import TrainBatches, eval_batches
from harness.data.clips import ClipDataset, TrainKey
from harness.data.config import DataConfig
from harness.data.frames import read_clip
from harness.data.index import Clip, Index
from harness.data.pictures import picture_orientation
from harness.data.views import PROTOCOLS
from harness.errors import DataError


def picture_clip(folder: Path, count: int, height: int = 30, width: int = 50, **how: Any) -> Clip:
    """Frame i is a flat picture of brightness 10 i: JPEG keeps it nearly."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        Image.new("RGB", (width, height), (10 * i,) * 3).save(folder / f"{i + 1:05d}.jpg", quality=95)
    return Clip(id="7", file=folder, split="train", label=0, frames=count, pictures="{frame:05d}.jpg", **how)


def test_pictures_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    clip = picture_clip(tmp_path / "7", 12)
    for wanted in ([0, 3, 11], [5, 5, 2, 9], [4]):
        frames = read_clip(clip, np.array(wanted), 15)
        assert frames.shape == (len(wanted), 15, 25, 3)
        assert np.abs(frames.mean(axis=(1, 2, 3)) - 10 * np.array(wanted)).max() < 2


def test_a_picture_that_is_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    clip = picture_clip(tmp_path / "7", 1)
    clip.picture(0).unlink()
    os.mkfifo(clip.picture(0))
    with pytest.raises(DataError, match="it is no file"):
        read_clip(clip, np.array([0]), 15)
    assert picture_orientation(clip.picture(0)) == 1


def test_pictures_equal_those_that_pillow_decodes(tmp_path: Path) -> None:
    clip = picture_clip(tmp_path / "7", 1)
    noise = np.random.default_rng(0).integers(256, size=(30, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(clip.picture(0))
    decoded = np.asarray(Image.open(clip.picture(0)).convert("RGB"))
    np.testing.assert_array_equal(read_clip(clip, np.array([0]), 30)[0], decoded)


def test_a_grey_picture_is_a_frame_of_three_equal_channels(tmp_path: Path) -> None:
    clip = picture_clip(tmp_path / "7", 2)
    Image.new("L", (50, 30), 90).save(clip.picture(1))
    frame = read_clip(clip, np.array([1]), 30)[0]
    assert frame.shape == (30, 50, 3)
    assert np.unique(frame).tolist() == [90]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "00004.jpg: no such picture"),
        (lambda file: file.write_bytes(b""), "00004.jpg: cannot be read as a picture"),
        (
            lambda file: file.write_text("no picture\n" * 20),
            "00004.jpg: cannot be read as a picture: it is text ('no picture')",
        ),
        (
            lambda file: file.write_bytes(file.read_bytes()[:-40]),
            "00004.jpg: cannot be read as a picture",
        ),
        (
            lambda file: Image.new("RGB", (50, 31)).save(file),
            "00004.jpg: 50x31 pixels, and 00001.jpg is 50x30",
        ),
    ],
)
def test_a_damaged_picture_is_one_line_that_names_it(
    damage: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    clip = picture_clip(tmp_path / "7", 6)
    damage(clip.picture(3))
    with pytest.raises(DataError) as caught:
        read_clip(clip, np.array([0, 3, 5]), 30)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(read_clip(clip, np.array([0, 1, 5]), 30)) == 3


def test_a_clip_of_one_pixel_or_of_fewer_frames_than_segments_is_sampled_and_cropped(tmp_path: Path) -> None:
    for size, count in ((1, 3), (33, 1), (1, 1)):
        clip = picture_clip(tmp_path / f"{size}-{count}", count, size, size)
        index = Index(folder=tmp_path, fingerprint="x", classes=["a"], groups=[""], clips=[clip])
        split = ClipDataset(DataConfig(num_frames=8, short_side=12, crop=10), index, "train")
        item, _, _ = split[TrainKey(0, 0, 0)]
        assert item is not None
        assert item.shape == (8, 3, 10, 10)
        assert split.views(0, PROTOCOLS["fullres_2clip"]).shape == (6, 8, 3, 12, 12)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_a_clip_that_cannot_be_read_is_one_line_also_from_a_worker(tmp_path: Path, workers: int) -> None:
    clip = picture_clip(tmp_path / "7", 3)
    clip.picture(1).unlink()
    index = Index(folder=tmp_path, fingerprint="x", classes=["a"], groups=[""], clips=[clip])
    split = ClipDataset(DataConfig(num_frames=3, short_side=12, crop=10), index, "train")
    for batches in (TrainBatches(split, 4, 0, workers).epoch(0), eval_batches(split, 4, workers)):
        with pytest.raises(DataError) as caught:
            list(batches)
        assert str(caught.value) == f"clip 7: {clip.picture(1)}: no such picture"
