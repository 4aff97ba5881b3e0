"""Whether two kinds of clips show the same with the same probabilities: counted over many, by a chi-square test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable

import numpy as np
from scipy.stats import chi2_contingency

from harness.data.generated.drawing import Body, Canvas

CANVAS = Canvas(num_frames=6, height=16, width=20)
"""Sizes differ, so that a swapped axis shows."""

MOVING = ("x", "y", "angle")

Look = Callable[[list[Body], np.random.Generator], Hashable]
"""One thing that a clip shows, of those that are being counted."""


def alike(one: Counter[Hashable], other: Counter[Hashable]) -> bool:
    """Nothing speaks against both having come about with the same probabilities, at one in ten thousand."""
    both = one + other
    rare = {outcome for outcome, count in both.items() if count < 16}
    table = [
        [counts[outcome] for outcome in both if outcome not in rare] + [sum(counts[o] for o in rare)]
        for counts in (one, other)
    ]
    filled = np.array(table)[:, np.sum(table, axis=0) > 0]
    return filled.shape[1] < 2 or bool(chi2_contingency(filled).pvalue > 1e-4)


def one_frame(bodies: list[Body], rng: np.random.Generator) -> Hashable:
    """A frame and an object in it: how far it is from the clip's ends, and what it says by itself."""
    frame = int(rng.integers(CANVAS.num_frames))
    there = _there(bodies, frame)
    if not there:
        return frame
    body = there[rng.integers(len(there))]
    place = _part(at(body.x, frame), CANVAS.width, 4), _part(at(body.y, frame), CANVAS.height, 2)
    brightest = int(np.argmax(body.colour))
    return frame, len(there), place, brightest, _part(at(body.angle, frame), 2 * np.pi, 4)


def two_frames(bodies: list[Body], rng: np.random.Generator) -> Hashable:
    """Two frames, in their order: where an object was in the one, and where it went until the other."""
    first, second = map(int, np.sort(rng.choice(CANVAS.num_frames, 2, replace=False)))
    before, after = _there(bodies, first), _there(bodies, second)
    if not before or not after:
        return first, second, len(before), len(after)
    one = before[rng.integers(len(before))]
    same = [body for body in after if body is one]
    other = same[0] if same else after[rng.integers(len(after))]
    start = _part(at(one.x, first), CANVAS.width, 2), _part(at(one.y, first), CANVAS.height, 2)
    dx, dy, turn = (at(getattr(other, name), second) - at(getattr(one, name), first) for name in MOVING)
    moved = _part(dx, CANVAS.width, 4), _part(dy, CANVAS.height, 3), _part(turn, 2 * np.pi, 4)
    return second - first, start, moved


def _there(bodies: list[Body], frame: int) -> list[Body]:
    return [body for body in bodies if at(body.visible, frame)]


def at(value: np.ndarray | float, frame: int) -> float:
    """What something is in a frame."""
    return float(np.broadcast_to(value, CANVAS.num_frames)[frame])


def _part(value: float, whole: float, parts: int) -> int:
    """In which of so many equal parts of a circle of length `whole`."""
    return int(value % whole / whole * parts)
