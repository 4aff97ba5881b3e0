"""Settings of the data, and the clips that training and evaluation see."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.data.batches import TrainBatches, eval_batches
from harness.data.clips import TrainKey
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, find_data, open_data
from harness.data.frames import frames_file, open_frames
from harness.data.sampling import segment_test
from harness.data.video import count_frames, read_frames
from harness.data.views import PROTOCOLS
from harness.errors import DataError

# --- Settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "genrated"}, "no data set 'genrated'; did you mean 'generated'?"),
        (
            {"dataset": {"name": "generated", "train_clip": 5}},
            "dataset.train_clip: generated has no such setting; did you mean 'train_clips'?",
        ),
        ({"dataset": {"name": "generated", "seed": "0"}}, "dataset.seed: '0' is not a whole number"),
        ({"dataset": {"name": "generated", "seed": True}}, "dataset.seed: True is not a whole number"),
        (
            {"dataset": {"name": "generated", "val_clips": 0}},
            "dataset.val_clips: 0 is too few; use 1 or more",
        ),
        (
            {"dataset": {"name": "generated", "frames": 1}},
            "dataset.frames: 1 is too few; use 2 or more",
        ),
        ({"dataset": {"name": "generated", "width": 63}}, "dataset.width: 63 is odd"),
        ({"dataset": {"train_clips": 5}}, "no data set None"),
        ({"dataset": {"name": {}}}, "no data set {}"),
        ({"dataset": {"name": ["list"]}}, "no data set ['list']"),
        ({"num_frames": 0}, "num_frames: 0 is too few"),
        ({"crop": 300}, "crop: 300 pixels do not fit into short_side 256"),
        ({"scales": (1.0, 1.5)}, "scales: "),
    ],
)
def test_a_wrong_setting_is_named_with_the_rule(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        DataConfig(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# --- Data sets ----------------------------------------------------------------------------------------------

TINY = DataConfig(
    dataset={"name": "generated", "train_clips": 40, "val_clips": 32, "width": 64, "seed": 7},
    num_frames=4,
    short_side=48,
    crop=40,
)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def data(data_dir: Path) -> DataSet:
    return open_data(TINY, data_dir)


def test_finding_data_writes_nothing(tmp_path: Path, data: DataSet, data_dir: Path) -> None:
    assert find_data(TINY, tmp_path / "none") is None
    assert list(tmp_path.iterdir()) == []
    found = find_data(TINY, data_dir)
    assert found is not None
    assert found.fingerprint == data.fingerprint


def test_the_shared_frames_equal_direct_decoding(data: DataSet) -> None:
    frames = open_frames(data.index, 48)
    first = 0
    for clip in data.index.clips:
        np.testing.assert_array_equal(frames[first : first + clip.frames], read_frames(clip.file))
        first += clip.frames
    assert first == len(frames)
    assert not frames.flags.writeable


def test_an_evaluation_clip_is_the_centre_of_its_sampled_frames(data: DataSet) -> None:
    val = data.split("val")
    clips, labels, indices, _ = next(iter(eval_batches(val, 1, indices=[5])))
    clip, label, index = clips[0], labels.item(), indices.item()
    video_file = val.clips[5].file
    frames = read_frames(video_file, segment_test(count_frames(video_file), 4))
    np.testing.assert_array_equal(clip.permute(0, 2, 3, 1).numpy(), frames[:, 4:44, 12:52])
    assert (label, index) == (val.clips[5].label, 5)
    assert val.clips[5].id in str(video_file)


def by_clip(batches: Any) -> Iterator[tuple[int, torch.Tensor, int]]:
    for clips, labels, indices, _ in batches:
        yield from zip(indices.tolist(), clips, labels.tolist(), strict=True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_augmentation_depends_on_seed_epoch_and_clip_alone(data: DataSet, workers: int) -> None:
    train = data.split("train")
    alone = {index: train[TrainKey(3, 1, index)][0] for index in reversed(range(len(train)))}
    batches = list(by_clip(TrainBatches(train, 7, 3, workers).epoch(1)))
    assert len(batches) == 35  # 40 clips, the last 5 dropped
    for index, clip, label in batches:
        assert torch.equal(clip, alone[index])
        assert label == train.clips[index].label


def test_another_epoch_or_seed_draws_other_crops_in_another_order(data: DataSet) -> None:
    train = data.split("train")
    a, b, c = (
        list(by_clip(TrainBatches(train, 40, key[0]).epoch(key[1]))) for key in ((0, 0), (0, 1), (1, 0))
    )
    for other in (b, c):
        assert [index for index, *_ in a] != [index for index, *_ in other]
        assert sorted(index for index, *_ in other) == list(range(40))
        clips = {index: clip for index, clip, _ in other}
        assert not any(torch.equal(clip, clips[index]) for index, clip, _ in a)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.filterwarnings("ignore:.*use of fork\\(\\):DeprecationWarning")
def test_epochs_from_one_loader_are_those_of_fresh_ones_also_after_one_was_left_half_read(
    data: DataSet, workers: int
) -> None:
    batches = TrainBatches(data.split("train"), 16, 3, workers)
    assert len(batches) == 2
    next(iter(batches.epoch(7)))
    for epoch in (1, 0):
        fresh = list(by_clip(TrainBatches(data.split("train"), 16, 3).epoch(epoch)))
        again = list(by_clip(batches.epoch(epoch)))
        assert [index for index, *_ in again] == [index for index, *_ in fresh]
        assert all(torch.equal(a[1], b[1]) for a, b in zip(again, fresh, strict=True))


def test_evaluation_goes_through_every_clip_in_order(data: DataSet) -> None:
    seen = list(by_clip(eval_batches(data.split("val"), 9)))
    assert [index for index, *_ in seen] == list(range(32))
    assert torch.equal(seen[20][1], data.split("val").views(20, PROTOCOLS["center_1clip"])[0])


def test_a_batch_flattens_to_images_without_a_copy(data: DataSet) -> None:
    clips, labels, *_ = next(iter(eval_batches(data.split("val"), 6)))
    assert clips.shape == (6, 4, 3, 40, 40)
    assert clips.dtype == torch.uint8
    assert labels.dtype == torch.int64
    images = clips.flatten(0, 1)
    assert images.data_ptr() == clips.data_ptr()
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_only_batch_is_kept_however_small(data: DataSet) -> None:
    assert [len(batch.labels) for batch in TrainBatches(data.split("train"), 64, 0).epoch(0)] == [40]


def test_workers_are_not_sent_the_frames(data: DataSet) -> None:
    train = data.split("train")
    train[TrainKey(0, 0, 0)]
    assert len(pickle.dumps(train)) < 50_000


def test_frames_are_resized_once_to_the_short_side(data: DataSet, data_dir: Path) -> None:
    small = DataConfig(dataset=TINY.dataset, num_frames=4, short_side=24, crop=20)
    resized = open_data(small, data_dir)
    assert open_frames(resized.index, 24).shape[1:] == (24, 32, 3)
    assert resized.fingerprint == data.fingerprint
    assert resized.split("val").views(0, PROTOCOLS["center_1clip"]).shape == (1, 4, 3, 20, 20)


def test_a_changed_or_truncated_video_is_named_when_decoding(tmp_path: Path) -> None:
    few = DataConfig(dataset={"name": "generated", "train_clips": 32, "val_clips": 1}, short_side=48, crop=40)
    data = open_data(few, tmp_path)
    file = frames_file(data.index, 48)
    victim = next(clip.file for clip in data.index.clips if clip.file.suffix == ".webm")
    whole = victim.read_bytes()
    for damaged in (whole[: len(whole) * 2 // 3], whole + b"\0"):
        file.unlink(missing_ok=True)
        victim.write_bytes(damaged)
        with pytest.raises(DataError, match=victim.name):
            open_data(few, tmp_path)
        assert not file.exists()


def test_frames_that_were_never_decoded_or_are_cut_short_are_refused(tmp_path: Path) -> None:
    few = DataConfig(dataset={"name": "generated", "train_clips": 1, "val_clips": 1}, short_side=48, crop=40)
    data = open_data(few, tmp_path)
    file = frames_file(data.index, 48)
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DataError, match=r"frames-48\.npy"):
        data.split("train")[TrainKey(0, 0, 0)]
    file.unlink()
    with pytest.raises(DataError, match=r"frames-48\.npy"):
        data.split("train")[TrainKey(0, 0, 0)]


def test_a_disk_too_small_is_said_before_anything_is_decoded(data: DataSet, data_dir: Path) -> None:
    huge = DataConfig(dataset=TINY.dataset, short_side=100_000, crop=224)
    with pytest.raises(DataError, match=r"MiB are free; use a smaller data\.short_side"):
        open_data(huge, data_dir)


def test_an_unknown_split_is_a_wrong_call(data: DataSet) -> None:
    with pytest.raises(ValueError, match="'test'"):
        data.split("test")
