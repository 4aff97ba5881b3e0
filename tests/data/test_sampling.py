"""Segment sampling against the public code's numbers, worked out by hand."""

import numpy as np
import pytest

from harness.data.sampling import dense_test, dense_train, frames_at_test, segment_test, segment_train


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (50, [3, 9, 15, 21, 28, 34, 40, 46]),
        (37, [2, 6, 11, 16, 20, 25, 30, 34]),
        (5, [0, 0, 1, 2, 2, 3, 4, 4]),
        (8, [0, 1, 2, 3, 4, 5, 6, 7]),
        (1, [0] * 8),
    ],
)
def test_evaluation_takes_the_middle_of_each_segment(n: int, expected: list[int]) -> None:
    assert segment_test(n, 8).tolist() == expected


def test_the_second_clip_takes_the_start_of_each_segment() -> None:
    assert segment_test(50, 8, second=True).tolist() == [0, 6, 12, 18, 25, 31, 37, 43]


def test_training_draws_every_frame_of_each_segment_and_no_other() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([segment_train(23, 5, rng) for _ in range(300)])  # segments of 23 // 5 = 4 frames
    for i in range(5):
        assert set(drawn[:, i]) == set(range(4 * i, 4 * i + 4))


def test_training_on_a_short_video_repeats_its_first_frame() -> None:
    assert segment_train(5, 8, np.random.default_rng(0)).tolist() == [0] * 8


def test_training_on_as_many_frames_as_segments_takes_them_all() -> None:
    assert segment_train(8, 8, np.random.default_rng(0)).tolist() == list(range(8))


@pytest.mark.parametrize(("n", "segments"), [(0, 8), (8, 0)])
def test_nothing_to_draw_from_is_a_wrong_call(n: int, segments: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        segment_test(n, segments)
    with pytest.raises(ValueError, match="at least 1"):
        segment_train(n, segments, np.random.default_rng(0))


def test_dense_sampling_takes_every_eighth_frame_of_a_window_of_64() -> None:
    assert dense_test(100, 8).tolist() == [[18, 26, 34, 42, 50, 58, 66, 74]]  # the middle one of 37 windows
    assert dense_test(100, 8, clips=3)[:, 0].tolist() == [0, 18, 36]
    assert dense_test(100, 16).tolist()[0] == list(range(18, 82, 4))
    drawn = np.stack([dense_train(66, 8, np.random.default_rng(i)) for i in range(60)])
    assert {tuple(row) for row in drawn} == {tuple(range(start, start + 64, 8)) for start in (0, 1, 2)}


def test_dense_sampling_of_a_shorter_video_starts_again_at_its_end() -> None:
    expected = [0, 8, 16, 4, 12, 0, 8, 16]  # 0, 8, ..., 56 modulo 20
    assert dense_test(20, 8, clips=2).tolist() == [expected, expected]
    assert dense_train(20, 8, np.random.default_rng(0)).tolist() == expected
    assert dense_test(1, 8).tolist() == [[0] * 8]


def test_two_test_clips_are_the_middles_and_the_starts_of_the_segments() -> None:
    assert frames_at_test(50, 8, "segment", 2).tolist() == [
        [3, 9, 15, 21, 28, 34, 40, 46],
        [0, 6, 12, 18, 25, 31, 37, 43],
    ]


def test_what_sampling_does_not_have_is_a_wrong_call() -> None:
    for wrong in (("segment", 3), ("segment", 0), ("sparse", 1)):
        with pytest.raises(ValueError, match="no s"):
            frames_at_test(50, 8, *wrong)
    with pytest.raises(ValueError, match="window of 64"):
        dense_test(100, 65)
