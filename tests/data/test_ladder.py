"""Laws of the ladder's clips: only the order of frames tells the classes apart, and the level says how hard."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable

import numpy as np
import pytest
from builders.laws import CANVAS, Look, alike, one_frame, two_frames

from harness.data.generated import ladder
from harness.data.generated.drawing import Body, Canvas, render
from harness.data.generated.tasks import TASKS

LADDER = {name: task for name, task in TASKS.items() if task.levels}

LEVELS = {
    "strobe": (1, 2, 4),
    "chain": (5, 6),
    "coherence": (100, 40),
    "speed": (1, 7),
    "distractors": (0, 3),
    "contrast": (30,),
}
"""Some of each task that fit CANVAS; of strobe one of either side of half the clip."""

CASES = [(name, level) for name in sorted(LADDER) for level in LEVELS[name]]


def counted(name: str, level: int, label: int, look: Look, *, backwards: bool = False) -> Counter[Hashable]:
    """What 2,000 clips of a class show."""
    rng = np.random.default_rng([label, backwards])
    seen: Counter[Hashable] = Counter()
    for _ in range(2000):
        bodies = LADDER[name].scene(CANVAS, level, label, rng)
        seen[look([body.backwards() for body in bodies] if backwards else bodies, rng)] += 1
    return seen


@pytest.mark.parametrize(("name", "level"), CASES)
def test_neither_one_frame_nor_its_distance_to_the_ends_says_anything(name: str, level: int) -> None:
    first, *others = (counted(name, level, label, one_frame) for label in range(len(LADDER[name].classes)))
    for other in others:
        assert alike(first, other)


@pytest.mark.parametrize(("name", "level"), CASES)
def test_a_class_played_backwards_is_its_twin(name: str, level: int) -> None:
    for first, second in LADDER[name].twins:
        backwards = counted(name, level, first, two_frames, backwards=True)
        assert alike(backwards, counted(name, level, second, two_frames))


@pytest.mark.parametrize("name", sorted(set(LADDER) - {"chain"}))  # of it the swap alone tells: see below
def test_two_frames_in_order_tell_twins_apart(name: str) -> None:
    """Else the tests above would pass on clips that show nothing."""
    a, b = (counted(name, LEVELS[name][0], label, two_frames) for label in (0, 1))
    assert not alike(a, b)


@pytest.mark.parametrize("name", sorted(LADDER))
def test_every_class_has_one_twin_beside_it_and_chance_is_one_of_them_all(name: str) -> None:
    task = LADDER[name]
    assert [label for pair in task.twins for label in pair] == list(range(len(task.classes)))
    assert task.chance == 100 / len(task.classes)
    assert len(task.groups) == len(task.classes)


@pytest.mark.parametrize("name", sorted(LADDER))
def test_a_task_can_draw_its_own_levels(name: str) -> None:
    task = LADDER[name]
    canvas = Canvas(num_frames=8, height=task.height, width=task.width)
    assert [task.problem(canvas, level) for level in task.levels] == [""] * len(task.levels)
    clip = task.draw(canvas, task.levels[-1], 0, np.random.default_rng(0))
    assert clip.shape == (8, 16, 16, 3)
    assert clip.dtype == np.uint8


# --- strobe -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_frames", [5, 8])
def test_sightings_are_every_possible_series_of_the_lag_and_the_same_ones_backwards(num_frames: int) -> None:
    rng = np.random.default_rng(0)
    for lag in range(1, num_frames):
        # The longest series of each remainder, of those with two sightings.
        frames = [[t for t in range(num_frames) if t % lag == rest] for rest in range(lag)]
        possible = {tuple(series) for series in frames if len(series) > 1}
        drawn = Counter(tuple(ladder.sightings(num_frames, lag, rng)) for _ in range(1000))
        assert set(drawn) == possible
        assert {tuple(num_frames - 1 - t for t in reversed(series)) for series in possible} == possible
        assert max(drawn.values()) < 1.4 * min(drawn.values())


@pytest.mark.parametrize(("label", "sign"), [(0, -1), (1, 1)])
def test_a_strobe_jumps_to_its_side_by_less_than_half_the_frame_in_three(label: int, sign: int) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        (disc,) = ladder.strobe(CANVAS, 2, label, rng)
        seen = np.flatnonzero(disc.visible)
        jumps = np.diff(np.broadcast_to(disc.x, CANVAS.num_frames)[seen]) * sign
        assert np.allclose(jumps, jumps[0])
        assert 1.5 < jumps[0] < CANVAS.width / 6
        assert np.ndim(disc.y) == 0


def test_between_sightings_there_is_only_the_background() -> None:
    canvas = dataclasses.replace(CANVAS, noise=0.0)
    rng = np.random.default_rng(2)
    (disc,) = ladder.strobe(canvas, 3, 0, rng)
    clip = render(canvas, [disc], rng).astype(int)
    changes = np.abs(clip - np.median(clip, axis=0)).max(axis=(1, 2, 3))
    np.testing.assert_array_equal(changes > 50, disc.visible)
    np.testing.assert_array_equal(changes == 0, 1 - np.asarray(disc.visible))


# --- chain --------------------------------------------------------------------------------------------------


def angles_of(disc: Body) -> np.ndarray:
    """Where each event is around the ring's middle, in their order."""
    seen = np.flatnonzero(disc.visible)
    dx = np.asarray(disc.x)[seen] - CANVAS.width / 2
    return np.arctan2(np.asarray(disc.y)[seen] - CANVAS.height / 2, dx)


@pytest.mark.parametrize("label", range(4))
def test_a_chain_goes_around_the_ring_but_for_two_neighbours_on_its_side(label: int) -> None:
    side, way = ladder.CHAINS[label].split("_")
    rng = np.random.default_rng(3)
    for _ in range(50):
        angles = angles_of(*ladder.chain(CANVAS, 6, label, rng))
        assert len(angles) == 6
        around = angles if way == "clockwise" else -angles  # y points down: angles grow clockwise
        steps = np.round(np.diff(around, append=around[0]) / (np.pi / 3)).astype(int) % 6
        # Around the circle of turns: one step back, two forward on either side of it, and one forward elsewhere.
        assert sorted(steps) == [1, 1, 1, 2, 2, 5]
        back = int(np.flatnonzero(steps == 5)[0])
        swapped = [angles[back], angles[(back + 1) % 6]]
        assert (np.mean(np.cos(swapped)) < 0) == (side == "left")


def test_the_places_of_a_chain_say_nothing_about_its_class() -> None:
    """Nor, therefore, does any clip whose order is not seen: each place is lit once, for one frame."""
    rng = np.random.default_rng(4)
    turned = [Counter[Hashable]() for _ in ladder.CHAINS]
    for label, counts in enumerate(turned):
        for _ in range(1000):
            angle = angles_of(*ladder.chain(CANVAS, 5, label, rng))[0]
            counts[int(angle % (2 * np.pi / 5) * 8 / (2 * np.pi / 5))] += 1
    assert all(alike(turned[0], other) for other in turned[1:])


# --- coherence, distractors, contrast, speed ----------------------------------------------------------------


@pytest.mark.parametrize(("percent", "together"), [(100, 10), (60, 6), (10, 1)])
def test_so_many_per_cent_of_the_dots_move_together(percent: int, together: int) -> None:
    canvas = Canvas(num_frames=8, height=16, width=16)
    dots = ladder.coherence(canvas, percent, 1, np.random.default_rng(5))
    assert len(dots) == 10
    steps = [np.diff(np.broadcast_to(dot.x, 8)).round(6) for dot in dots]
    common = Counter(float(step[0]) for step in steps if len(set(step)) == 1)
    assert list(common.values()) == [together]


def test_flashes_look_like_the_disc_that_moves_and_are_seen_in_one_frame_each() -> None:
    *flashes, disc = ladder.distractors(CANVAS, 7, 0, np.random.default_rng(6))
    assert np.all(np.broadcast_to(disc.visible, CANVAS.num_frames) == 1)
    assert len(flashes) == 7
    for flash in flashes:
        assert np.sum(flash.visible) == 1
        assert flash.radius == disc.radius
        np.testing.assert_array_equal(flash.colour, disc.colour)


def test_contrast_is_how_much_of_the_disc_is_mixed_in() -> None:
    canvas = Canvas(num_frames=4, height=16, width=16, noise=0.0)

    def seen(percent: int) -> np.ndarray:
        rng = np.random.default_rng(7)
        return render(canvas, ladder.contrast(canvas, percent, 0, rng), rng).astype(int)

    nothing, half, full = seen(0), seen(50), seen(100)
    np.testing.assert_allclose(half - nothing, (full - nothing) / 2, atol=1)
    assert (full - nothing).max() > 80


def test_speed_is_in_pixels_a_frame() -> None:
    (disc,) = ladder.speed(CANVAS, 3, 0, np.random.default_rng(8))
    np.testing.assert_allclose(np.diff(disc.x), -3)


@pytest.mark.parametrize(
    ("name", "level", "rule"),
    [
        ("strobe", 6, "no two sightings fit into 6 frames; use 1 to 5"),
        ("chain", 4, "use 5 to 6"),
        ("chain", 7, "use 5 to 6"),
        ("coherence", 0, "use 1 to 100"),
        ("contrast", 101, "use 1 to 100"),
        ("distractors", -1, "use 0 or more"),
        ("speed", 10, "around a width of 20 pixels, left and right differ by steps of 1 to 9"),
    ],
)
def test_what_no_clip_can_have_is_said(name: str, level: int, rule: str) -> None:
    assert rule in LADDER[name].problem(CANVAS, level)
    assert LADDER[name].problem(CANVAS, LEVELS[name][0]) == ""
