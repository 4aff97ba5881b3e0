"""The sixteen classes of `scenes`: what each group is told by, and what says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import numpy as np
import pytest
from builders.laws import CANVAS, Look, alike, one_frame, two_frames

from harness.data.generated.drawing import Canvas
from harness.data.generated.scenes import CLASSES, scene
from harness.data.generated.tasks import find_task
from harness.data.sampling import segment_test

NAMES = [kind.name for kind in CLASSES]
TWINS = [(NAMES[first], NAMES[second]) for first, second in find_task("scenes").twins]


def moments(num_frames: int) -> Canvas:
    return Canvas(num_frames=num_frames, height=48, width=64)


def counted(name: str, look: Look) -> Counter[Hashable]:
    """What 2,000 clips of a class show."""
    rng = np.random.default_rng(NAMES.index(name))
    return Counter(look(scene(CANVAS, 0, NAMES.index(name), rng), rng) for _ in range(2000))


def test_groups_hold_six_short_four_long_two_half_and_four_static_classes() -> None:
    assert Counter(kind.group for kind in CLASSES) == {"short": 6, "long": 4, "half": 2, "static": 4}


def test_every_temporal_class_has_a_twin_that_shows_its_scene_backwards() -> None:
    temporal = [kind.name for kind in CLASSES if kind.group != "static"]
    assert [name for pair in TWINS for name in pair] == temporal
    for pair in TWINS:
        [one, *_], [other, *_] = (
            scene(moments(17), 0, NAMES.index(name), np.random.default_rng(5)) for name in pair
        )
        for changing in ("x", "y", "angle", "visible"):
            a, b = (np.broadcast_to(getattr(body, changing), 17) for body in (one, other))
            np.testing.assert_array_equal(a, b[::-1])


@pytest.mark.parametrize(("name", "twin"), TWINS)
def test_neither_one_frame_nor_its_distance_to_the_ends_tells_twins_apart(name: str, twin: str) -> None:
    assert alike(counted(name, one_frame), counted(twin, one_frame))


@pytest.mark.parametrize(("name", "twin"), TWINS)
def test_two_frames_in_order_tell_twins_apart_unless_an_event_is_missing(name: str, twin: str) -> None:
    group = CLASSES[NAMES.index(name)].group
    assert alike(counted(name, two_frames), counted(twin, two_frames)) == (group == "half")


@pytest.mark.parametrize(("name", "axis"), [("slide_left", "x"), ("slide_up", "y")])
@pytest.mark.parametrize("num_frames", [16, 18])
def test_a_slide_is_told_by_neighbouring_frames_and_not_by_the_ends(
    name: str, axis: str, num_frames: int
) -> None:
    period = {"x": 64, "y": 48}[axis]
    rng, ends = np.random.default_rng(0), []
    for _ in range(400):
        [body] = scene(moments(num_frames), 0, NAMES.index(name), rng)
        position = np.asarray(getattr(body, axis))
        for segments in (8, 4):
            steps = np.diff(position[segment_test(num_frames, segments)])
            assert (steps < -2).all()
            assert (steps > -period / 2).all()
        first, *_, last = position[segment_test(num_frames, 8)]
        ends.append((last - first + period / 2) % period - period / 2)
    assert abs(np.mean(ends)) < 0.06 * period  # 0 were the ends to say nothing; half a frame of rounding
    assert min(np.mean(np.array(ends) > 0), np.mean(np.array(ends) < 0)) > 0.35


def test_a_rotation_is_clockwise_by_less_than_half_a_turn_between_sampled_frames() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        [body] = scene(moments(17), 0, NAMES.index("rotate_clockwise"), rng)
        steps = np.diff(np.asarray(body.angle)[segment_test(17, 4)])
        assert ((steps > 0.1) & (steps < np.pi)).all()


def test_clockwise_means_clockwise_to_a_viewer() -> None:
    # The half disc lies at the angle of its centre of mass; y points down, so clockwise angles grow.
    label = NAMES.index("rotate_clockwise")
    frames = find_task("scenes").draw(moments(18), 0, label, np.random.default_rng(2))
    bright = frames.max(axis=3) > 150
    rows, columns = np.mgrid[:48, :64]
    centres = np.array([[columns[b].mean(), rows[b].mean()] for b in bright])
    spokes = centres - centres.mean(axis=0)
    turned = np.diff(np.unwrap(np.arctan2(spokes[:, 1], spokes[:, 0])))
    assert (turned > 0).mean() > 0.9


@pytest.mark.parametrize("name", [kind.name for kind in CLASSES if kind.group == "long"])
def test_events_of_a_long_class_are_three_to_five_sampled_frames_apart(name: str) -> None:
    rng = np.random.default_rng(0)
    for num_frames in (16, 24):
        for _ in range(50):
            bodies = scene(moments(num_frames), 0, NAMES.index(name), rng)
            early, late = sorted(bodies, key=lambda body: int(np.flatnonzero(body.visible)[0]))
            sampled = segment_test(num_frames, 8)
            seen_early = np.flatnonzero(np.asarray(early.visible)[sampled])
            seen_late = np.flatnonzero(np.asarray(late.visible)[sampled])
            assert len(seen_early) >= 1
            assert len(seen_late) >= 1
            assert 3 <= seen_late[0] - seen_early[-1] <= 5


@pytest.mark.parametrize(("name", "axis"), [("step_left", "x"), ("step_up", "y")])
def test_a_step_is_a_third_of_the_frame_and_beyond_its_edge_is_the_other_one(name: str, axis: str) -> None:
    rng, size = np.random.default_rng(1), {"x": CANVAS.width, "y": CANVAS.height}[axis]
    steps, crossed = [], 0
    for _ in range(60):
        early, late = scene(CANVAS, 0, NAMES.index(name), rng)
        before, after = (float(getattr(body, axis)) % size for body in (early, late))
        steps.append((before - after) / size % 1)
        crossed += before < after
    assert max(np.abs(np.array(steps) - 1 / 3)) < 0.1
    assert 10 < crossed < 30  # a third of 60


def test_both_events_are_seen_whichever_frames_training_draws() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        for body in scene(moments(24), 0, NAMES.index("step_left"), rng):
            segments = np.asarray(body.visible).reshape(8, 3)  # one frame is drawn of each
            assert segments.all(axis=1).any()


@pytest.mark.parametrize("segments", [8, 16])
def test_test_frames_of_a_reversed_clip_are_the_same_ones(segments: int) -> None:
    frames = segment_test(24, segments)
    assert sorted(23 - frames) == sorted(frames)
