"""What the clips of the ladder show: tasks that only the order of frames solves, each with one number for how hard.

Every class has a twin: the clips of one, played backwards, are those of the other, with the same probabilities. The
frame's opposite edges touch and a motion starts anywhere, so what one frame shows, and how far from the clip's ends it
does, is distributed alike in all classes. Of the unordered frames too: a network without order is at chance.

Each scene is (canvas, level, label, rng) -> what is to be seen. T is the number of frames. Beside each stands why a
level may be impossible, "" where it is not.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from harness.data.generated.drawing import Body, Canvas, any_colour

DIRECTIONS = ("left", "right")
"""Classes of what moves. With up and down too, a network without order could read the axis off a clip: of one that
goes left or right all sightings are at one height."""

CHAINS = ("left_clockwise", "left_counterclockwise", "right_clockwise", "right_counterclockwise")

RADIUS = (0.14, 0.18)
"""Of an object, as parts of the clip's shorter side."""

JUMP = (0.14, 0.18)
"""From one sighting to the next, likewise. Three of them stay below half the side, beyond which left is right."""

PIXELS_A_DOT = 24

CONTRAST_NOISE = 20.0
"""Grey levels, of the task `contrast`."""


def strobe(canvas: Canvas, lag: int, label: int, rng: np.random.Generator) -> list[Body]:
    """A disc jumps to the left or right around the frame, and is to be seen in every `lag`-th frame only."""
    return [_jumping(canvas, label, sightings(canvas.num_frames, lag, rng), rng)]


def sightings(num_frames: int, lag: int, rng: np.random.Generator) -> np.ndarray:
    """Every `lag`-th of T frames, the first drawn so that there are two at least: frame indices.

    Counted from the clip's end they are distributed as from its start: up to T / 2 every remainder of `lag` is drawn
    alike, above it every pair of frames `lag` apart.
    """
    return np.arange(rng.integers(min(lag, num_frames - lag)), num_frames, lag)


def lag_problem(canvas: Canvas, lag: int) -> str:
    """No clip has it of which two sightings do not fit."""
    if 1 <= lag < canvas.num_frames:
        return ""
    return f"no two sightings fit into {canvas.num_frames} frames; use 1 to {canvas.num_frames - 1}"


def speed(canvas: Canvas, pixels: int, label: int, rng: np.random.Generator) -> list[Body]:
    """A disc, to be seen all the time, moves by `pixels` from each frame to the next."""
    return [_jumping(canvas, label, np.arange(canvas.num_frames), rng, jump=pixels)]


def speed_problem(canvas: Canvas, pixels: int) -> str:
    """From half the width on, left is right."""
    most = (canvas.width - 1) // 2
    if 1 <= pixels <= most:
        return ""
    return f"around a width of {canvas.width} pixels, left and right differ by steps of 1 to {most}"


def contrast(canvas: Canvas, percent: int, label: int, rng: np.random.Generator) -> list[Body]:
    """A disc of which `percent` is mixed into the background moves, to be seen all the time."""
    disc = _jumping(canvas, label, np.arange(canvas.num_frames), rng)
    return [dataclasses.replace(disc, visible=percent / 100)]


def distractors(canvas: Canvas, flashes: int, label: int, rng: np.random.Generator) -> list[Body]:
    """A disc moves, and discs like it are to be seen in one frame each, `flashes` of them, anywhere at any time."""
    disc = _jumping(canvas, label, np.arange(canvas.num_frames), rng)
    others = []
    for frame in rng.integers(canvas.num_frames, size=flashes):
        x, y = _anywhere(canvas, rng)
        others.append(dataclasses.replace(disc, x=x, y=y, visible=_only(canvas, frame)))
    return [*others, disc]  # drawn last: no flash hides it


def flashes_problem(canvas: Canvas, flashes: int) -> str:
    """Any number is possible."""
    return "" if flashes >= 0 else "use 0 or more"


def coherence(canvas: Canvas, percent: int, label: int, rng: np.random.Generator) -> list[Body]:
    """Dots, of which `percent` move together from the first frame to the last; the others are anywhere, anew in every
    frame."""
    count = canvas.height * canvas.width // PIXELS_A_DOT
    together = round(count * percent / 100)
    step = canvas.side * rng.uniform(*JUMP) / 2
    colour = any_colour(rng)
    dots = [_moving(canvas, label, step, np.arange(canvas.num_frames), rng) for _ in range(together)]
    for _ in range(count - together):
        places = rng.uniform(0, (canvas.width, canvas.height), (canvas.num_frames, 2))
        dots.append((places[:, 0], places[:, 1]))
    return [Body(x=x, y=y, radius=canvas.side * RADIUS[0] / 2, colour=colour) for x, y in dots]


def percent_problem(canvas: Canvas, percent: int) -> str:
    """Nothing at all cannot be told."""
    return "" if 1 <= percent <= 100 else "use 1 to 100"


def chain(canvas: Canvas, events: int, label: int, rng: np.random.Generator) -> list[Body]:
    """A disc appears once at each of `events` places on a ring, frame by frame, in their order around it, but for two
    neighbours on the left or on the right, which swap their turns.

    The order is a circle as well and begins anywhere, and the ring is turned by up to half the way to the next place:
    neither where a clip begins nor which places there are depends on the class.
    """
    side, way = CHAINS[label].split("_")
    turns = np.roll([1, 0, *range(2, events)], rng.integers(events))  # clockwise, with 0 and 1 swapped
    if way == "counterclockwise":
        turns = turns[::-1]
    middle = (np.pi if side == "left" else 0.0) + rng.uniform(-1, 1) * np.pi / events  # between 0 and 1
    angles = middle + (turns - 0.5) * 2 * np.pi / events  # grow clockwise, as y points down
    frames = rng.integers(canvas.num_frames - events + 1) + np.arange(events)
    x, y = np.zeros(canvas.num_frames), np.zeros(canvas.num_frames)
    x[frames] = canvas.width / 2 + 0.32 * canvas.side * np.cos(angles)
    y[frames] = canvas.height / 2 + 0.32 * canvas.side * np.sin(angles)
    radius = canvas.side * rng.uniform(*RADIUS) * 0.8
    return [Body(x=x, y=y, radius=radius, colour=any_colour(rng), visible=_only(canvas, frames))]


def events_problem(canvas: Canvas, events: int) -> str:
    """Fewer than five have no order to deviate from: four clockwise, two of them swapped, are also four
    counterclockwise, two of them swapped."""
    if 5 <= events <= canvas.num_frames:
        return ""
    return f"use 5 to {canvas.num_frames}, at most one for each frame"


def _jumping(
    canvas: Canvas, label: int, frames: np.ndarray, rng: np.random.Generator, *, jump: float | None = None
) -> Body:
    """A disc that is to be seen in `frames`, and jumps from each to the next."""
    jump = canvas.side * rng.uniform(*JUMP) if jump is None else jump
    jumps = np.zeros(canvas.num_frames)
    jumps[frames] = np.arange(len(frames))
    x, y = _moving(canvas, label, jump, jumps, rng)
    radius = canvas.side * rng.uniform(*RADIUS)
    return Body(x=x, y=y, radius=radius, colour=any_colour(rng), visible=_only(canvas, frames))


def _moving(
    canvas: Canvas, label: int, step: float, steps: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray | float]:
    """Centres, x (T,) and y, after so many steps (T,) from anywhere to the left or right."""
    x, y = _anywhere(canvas, rng)
    return x + (-step, step)[label] * steps, y


def _anywhere(canvas: Canvas, rng: np.random.Generator) -> tuple[float, float]:
    return rng.uniform(0, canvas.width), rng.uniform(0, canvas.height)


def _only(canvas: Canvas, frames: np.ndarray) -> np.ndarray:
    """1 in these frames, 0 in the others, (T,)."""
    there = np.zeros(canvas.num_frames)
    there[frames] = 1.0
    return there
