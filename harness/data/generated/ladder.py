"""What the clips of the ladder show: tasks that only the order of frames solves, each with one number for how hard.

Every class has a twin: the clips of one, played backwards, are those of the other, with the same probabilities. The
frame's opposite edges touch and an object starts anywhere, so what one frame shows, and how far from the clip's ends
it does, is distributed alike in all classes.

Each scene is (canvas, level, label, rng) -> what is to be seen. T is the number of frames.
"""

from __future__ import annotations

import numpy as np

from harness.data.generated.drawing import Body, Canvas, any_colour

DIRECTIONS = {"left": -1, "right": 1}
"""Classes of everything that moves. Up and down too would tell the axis to networks without order: of a clip that
goes left or right all sightings are at one height."""

RADIUS = (0.14, 0.18)
"""Of an object, as parts of the clip's shorter side."""

JUMP = (0.14, 0.18)
"""From one sighting to the next, likewise. Three of them stay below half the side, beyond which left is right."""


def strobe(canvas: Canvas, lag: int, label: int, rng: np.random.Generator) -> list[Body]:
    """An object jumps to the left or right around the frame, and is to be seen in every `lag`-th frame only."""
    times = sightings(canvas.num_frames, lag, rng)
    jumps = np.zeros(canvas.num_frames)
    jumps[times] = np.arange(len(times))
    visible = np.zeros(canvas.num_frames)
    visible[times] = 1.0
    direction = list(DIRECTIONS.values())[label]
    step = direction * canvas.side * rng.uniform(*JUMP)
    return [
        Body(
            x=rng.uniform(0, canvas.width) + step * jumps,
            y=rng.uniform(0, canvas.height),
            radius=canvas.side * rng.uniform(*RADIUS),
            colour=any_colour(rng),
            visible=visible,
        )
    ]


def sightings(num_frames: int, lag: int, rng: np.random.Generator) -> np.ndarray:
    """Every `lag`-th of T frames, the first drawn so that there are two at least: frame indices.

    Counted from the clip's end they are distributed as from its start: up to T / 2 every remainder of `lag` is drawn
    alike, above it every pair of frames `lag` apart.
    """
    return np.arange(rng.integers(min(lag, num_frames - lag)), num_frames, lag)


def lag_problem(canvas: Canvas, lag: int) -> str:
    """Why no clip can have it, "" where one can."""
    if 1 <= lag < canvas.num_frames:
        return ""
    return f"no two sightings fit into {canvas.num_frames} frames; use 1 to {canvas.num_frames - 1}"
