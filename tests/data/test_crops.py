"""Cropping, resizing and normalising frames."""

import numpy as np
import pytest
import torch

from harness.data.transforms import (
    OFFSETS,
    crop_sizes,
    draw_crop,
    normalise,
    place_crop,
    resize_short_side,
    train_crop,
)


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
    clip = place_crop(frames, 40, 0.5, 0.5)
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
        place_crop(np.zeros((1, 32, 64, 3), np.uint8), 40, 0.5, 0.5)


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    clips = torch.randint(256, (2, 3, 5, 4, 3), dtype=torch.uint8).permute(0, 1, 4, 2, 3)
    result = normalise(clips)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    expected = (clips.numpy() / 255 - mean[:, None, None]) / std[:, None, None]
    np.testing.assert_allclose(result.numpy(), expected, atol=1e-5)
    assert result.dtype == torch.float32
    assert result.stride() == clips.stride()
