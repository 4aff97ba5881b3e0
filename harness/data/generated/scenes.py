"""The task `scenes`: sixteen classes in four groups, each told by something else.

`short`: a periodic motion, told by neighbouring frames; over a whole clip it makes about one full turn, so the first
and the last frame alone say nothing. `long`: two events with nothing in between, told by their order. `half`: clips of
`long` without one of their events, told by nothing. `static`: a shape, told by any frame.

Every class of the first three has a twin, which shows its scene backwards: single frames are distributed alike in both.
What goes around begins anywhere and comes back to where it was, so how far a frame is from the clip's ends says nothing
either. `half` is the proof: it leaves what one event and its time can tell of two classes that `long` tells apart. A
network above half of its clips has found a fault of the drawing or of the coding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.data.generated.drawing import Body, Canvas, any_colour

Scene = Callable[[Canvas, np.random.Generator], list[Body]]


def slide_horizontally(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """To the left, about once around the frame."""
    x = canvas.width * (rng.random() - _turns(rng) * canvas.times)
    y = canvas.height * rng.uniform(0.35, 0.65)
    return [Body(x=x, y=y, radius=_radius(canvas, rng), colour=any_colour(rng))]


def slide_vertically(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """Upwards, about once around the frame."""
    x = canvas.width * rng.uniform(0.4, 0.6)
    y = canvas.height * (rng.random() - _turns(rng) * canvas.times)
    return [Body(x=x, y=y, radius=_radius(canvas, rng), colour=any_colour(rng))]


def rotate(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """A half disc turns clockwise about its straight edge's middle, about once around."""
    angle = 2 * np.pi * (rng.random() + _turns(rng) * canvas.times)
    x, y = _near_centre(canvas, rng)
    radius = 1.6 * _radius(canvas, rng)
    return [Body(x=x, y=y, radius=radius, colour=any_colour(rng), shape="half_disc", angle=angle)]


def step_sideways(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """A disc early, the same one a third of the frame further left late; left of the frame is its right."""
    heights = rng.uniform(0.4, 0.6, 2)
    return _two_places(canvas, -_third_on(rng), heights, rng)


def step_vertically(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """A disc early, the same one a third of the frame further up late; above the frame is its bottom."""
    columns = rng.uniform(0.4, 0.6, 2)
    return _two_places(canvas, columns, -_third_on(rng), rng)


def one_of_two(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
    """A clip of `long` that keeps one of its events."""
    scene = (step_sideways, step_vertically)[rng.integers(2)]
    return [scene(canvas, rng)[rng.integers(2)]]


def still(shape: str) -> Scene:
    """A shape that sways: its motion is the same forwards and backwards, and says nothing."""

    def scene(canvas: Canvas, rng: np.random.Generator) -> list[Body]:
        x, y = _near_centre(canvas, rng)
        phases, cycles = rng.random((3, 1)), rng.uniform(0.5, 1.5, (3, 1))
        dx, dy, turn = np.sin(2 * np.pi * (phases + cycles * canvas.times)) * rng.uniform(0, 1, (3, 1))
        x, y = x + 0.06 * canvas.width * dx, y + 0.06 * canvas.height * dy
        angle = rng.uniform(-0.3, 0.3) + 0.4 * turn
        radius = 1.25 * _radius(canvas, rng)
        return [Body(x=x, y=y, radius=radius, colour=any_colour(rng), shape=shape, angle=angle)]

    return scene


@dataclass(frozen=True)
class ClipClass:
    """One class: what is to be seen, and whether it is then played backwards."""

    name: str
    group: str
    scene: Scene
    reverse: bool = False


CLASSES = (
    ClipClass("slide_left", "short", slide_horizontally),
    ClipClass("slide_right", "short", slide_horizontally, reverse=True),
    ClipClass("slide_up", "short", slide_vertically),
    ClipClass("slide_down", "short", slide_vertically, reverse=True),
    ClipClass("rotate_clockwise", "short", rotate),
    ClipClass("rotate_counterclockwise", "short", rotate, reverse=True),
    ClipClass("step_left", "long", step_sideways),
    ClipClass("step_right", "long", step_sideways, reverse=True),
    ClipClass("step_up", "long", step_vertically),
    ClipClass("step_down", "long", step_vertically, reverse=True),
    ClipClass("half_forwards", "half", one_of_two),
    ClipClass("half_backwards", "half", one_of_two, reverse=True),
    ClipClass("star", "static", still("star")),
    ClipClass("ring", "static", still("ring")),
    ClipClass("cross", "static", still("cross")),
    ClipClass("triangle", "static", still("triangle")),
)


def scene(canvas: Canvas, level: int, label: int, rng: np.random.Generator) -> list[Body]:
    """What a clip of a class shows; it has no level."""
    kind = CLASSES[label]
    bodies = kind.scene(canvas, rng)
    return [body.backwards() for body in bodies] if kind.reverse else bodies


def _turns(rng: np.random.Generator) -> float:
    """Turns per clip of a periodic motion: between the first and last of 8 segments, one on average."""
    return rng.uniform(0.75, 1.25) * 8 / 7


def _two_places(canvas: Canvas, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> list[Body]:
    """One disc early and late, at places x (2,) and y (2,), as parts of the frame."""
    radius, colour = 0.9 * _radius(canvas, rng), any_colour(rng)
    return [
        Body(x=canvas.width * x[i], y=canvas.height * y[i], radius=radius, colour=colour, visible=visible)
        for i, visible in enumerate(_early_and_late(canvas, rng))
    ]


def _third_on(rng: np.random.Generator) -> np.ndarray:
    """Any place on a circle of length 1, and one about a third further on: (2,)."""
    return rng.random() + np.array([0.0, 1 / 3 + rng.uniform(-0.08, 0.08)])


def _early_and_late(canvas: Canvas, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two events of 0.3 of the clip each, with 0.28 to 0.4 of the clip between them; alike when reversed."""
    early, late = rng.uniform(0, 0.06), 1 - rng.uniform(0, 0.06)
    t = canvas.times
    return ((t >= early) & (t < early + 0.3)) * 1.0, ((t > late - 0.3) & (t <= late)) * 1.0


def _radius(canvas: Canvas, rng: np.random.Generator) -> float:
    return canvas.height * rng.uniform(0.19, 0.24)


def _near_centre(canvas: Canvas, rng: np.random.Generator) -> tuple[float, float]:
    return canvas.width * rng.uniform(0.42, 0.58), canvas.height * rng.uniform(0.42, 0.58)
