"""Reading videos, cropping, and the clips that training and evaluation see."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from harness.data import (
    ClipDataset,
    DataConfig,
    DataSet,
    TrainBatches,
    TrainKey,
    eval_batches,
    find_data,
    normalise,
    open_data,
)
from harness.data.frames import frames_file, open_frames, read_clip
from harness.data.index import Clip, Index
from harness.data.sampling import segment_test
from harness.data.transforms import (
    OFFSETS,
    centre_crop,
    crop_sizes,
    draw_crop,
    place_crop,
    resize_short_side,
    train_crop,
)
from harness.data.video import count_frames, read_frames
from harness.data.views import PROTOCOLS
from harness.errors import DataError

# --- Crops --------------------------------------------------------------------------------------------------


def test_crop_sizes_are_those_of_the_public_code() -> None:
    # 256 x (1, .875, .75, .66) = 256, 224, 192, 168; width and height at most one step apart
    near = {(256, 256), (256, 224), (224, 256), (224, 224), (224, 192), (192, 224), (192, 192)}
    near |= {(192, 168), (168, 192), (168, 168)}
    assert set(crop_sizes(256, 224, (1.0, 0.875, 0.75, 0.66))) == near


def test_a_size_within_three_pixels_of_the_output_becomes_it() -> None:
    assert crop_sizes(226, 224, (1.0,)) == [(224, 224)]
    assert crop_sizes(227, 224, (1.0,)) == [(227, 227)]
    assert crop_sizes(41, 40, (1.0,)) == [(41, 41)]  # 3 at 224 is 0.5 at 40


def test_offsets_are_corners_centre_edges_and_quarter_points() -> None:
    # Crop 224 x 224 from 340 x 256: steps of (340 - 224) // 4 = 29 and (256 - 224) // 4 = 8
    rng = np.random.default_rng(0)
    drawn = {draw_crop(256, 340, 224, (0.875,), rng) for _ in range(1000)}
    assert len(OFFSETS) == len(drawn) == 13
    assert {(0, 0, 224, 224), (32, 116, 224, 224), (16, 58, 224, 224), (8, 87, 224, 224)} <= drawn


@pytest.mark.parametrize(
    ("height", "width", "crop"), [(48, 64, 40), (64, 48, 40), (256, 340, 224), (33, 31, 31)]
)
def test_training_crops_stay_within_the_frame(height: int, width: int, crop: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        top, left, h, w = draw_crop(height, width, crop, (1.0, 0.875, 0.75, 0.66), rng)
        assert 0 <= top <= top + h <= height
        assert 0 <= left <= left + w <= width


def test_a_training_crop_is_the_same_for_every_frame() -> None:
    still = np.random.default_rng(0).integers(256, size=(1, 48, 64, 3), dtype=np.uint8).repeat(4, axis=0)
    clip = train_crop(still, 40, (1.0, 0.75), np.random.default_rng(3))
    assert clip.shape == (4, 3, 40, 40)
    assert clip.dtype == torch.uint8
    assert (clip == clip[:1]).all()


def test_a_crop_at_output_size_is_cut_and_not_resampled() -> None:
    frames = np.random.default_rng(0).integers(256, size=(2, 48, 64, 3), dtype=np.uint8)
    clip = centre_crop(frames, 40)
    np.testing.assert_array_equal(clip.permute(0, 2, 3, 1).numpy(), frames[:, 4:44, 12:52])


@pytest.mark.parametrize(
    ("height", "width", "side", "along", "top", "left"),
    [
        (256, 340, 224, 0.5, 16, 58),  # one clip: the centre
        (256, 340, 256, 0.0, 0, 0),  # full resolution: left, centre, right of 340 - 256 = 84 free pixels
        (256, 340, 256, 0.5, 0, 42),
        (256, 340, 256, 1.0, 0, 84),
        (340, 256, 256, 1.0, 84, 0),  # portrait: the bottom
        (256, 256, 256, 1.0, 0, 0),
    ],
)
def test_a_test_crop_lies_along_the_longer_side(
    height: int, width: int, side: int, along: float, top: int, left: int
) -> None:
    place = np.stack(np.mgrid[:height, :width], axis=-1)  # each pixel's own row and column
    frames = np.concatenate([place // 2, place[..., :1] * 0], axis=-1)[None].astype(np.uint8)
    crop = place_crop(frames, side, along, 0.5).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(crop, frames[:, top : top + side, left : left + side])


def test_resizing_keeps_a_ramp_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 4, dtype=np.uint8)[None, None, :, None], (2, 30, 60, 3))
    half = resize_short_side(ramp, 15)
    assert half.shape == (2, 15, 30, 3)
    assert (
        np.abs(half[0, 7, 1:-1, 0].astype(int) - np.arange(10, 234, 8)).max() <= 1
    )  # mean of each pair: 8i + 2


def test_a_crop_larger_than_the_frame_is_a_wrong_call() -> None:
    with pytest.raises(ValueError, match="cannot crop 40 pixels from frames of 64x32"):
        centre_crop(np.zeros((1, 32, 64, 3), np.uint8), 40)


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    clips = torch.randint(256, (2, 3, 5, 4, 3), dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    result = normalise(clips)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (clips.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)
    assert result.dtype == torch.float32
    assert result.stride() == clips.stride()


# --- Settings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": "genrated"}, "no data set 'genrated'; did you mean 'generated'?"),
        ({"dataset": {"name": "generated", "train_clip": 5}}, "'train_clip'; did you mean 'train_clips'?"),
        ({"dataset": {"name": "generated", "seed": "0"}}, "dataset.seed: '0' is not a whole number"),
        ({"dataset": {"name": "generated", "seed": True}}, "dataset.seed: True is not a whole number"),
        (
            {"dataset": {"name": "generated", "val_clips": 0}},
            "dataset.val_clips: 0 is too few; use 1 or more",
        ),
        (
            {"dataset": {"name": "generated", "max_frames": 4}},
            "dataset.max_frames: 4 is too few; use 24 or more",
        ),
        ({"dataset": {"name": "generated", "width": 63}}, "dataset.width: 63 is odd"),
        ({"dataset": {"train_clips": 5}}, "no data set None"),
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
    dataset={"name": "generated", "train_clips": 40, "val_clips": 32, "seed": 7},
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
    assert data.clip_id("val", 5) in str(video_file)


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
    with pytest.raises(DataError, match=r"GiB are free; use a smaller data\.short_side"):
        open_data(huge, data_dir)


def test_an_unknown_split_is_a_wrong_call(data: DataSet) -> None:
    with pytest.raises(ValueError, match="'test'"):
        data.split("test")


# --- Clips of pictures --------------------------------------------------------------------------------------


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
        (lambda file: file.write_text("no picture\n" * 20), "00004.jpg: cannot be read as a picture"),
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
