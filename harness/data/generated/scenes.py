"""What is to be seen in the generated clips: one textured object over a textured, slightly moving background.

Sixteen classes in three groups. `short`: a periodic motion, told by neighbouring frames; over a whole clip
it makes about one full turn, so the first and the last frame alone say nothing. `long`: two events with
nothing in between, told by their order. `static`: a shape, told by any frame.

Every class of `short` and `long` has a twin, which is drawn as its twin's clip and then reversed in time:
single frames are distributed alike in both, and only their order tells them apart.

Shape letters: n frames, H height, W width. Lengths are in pixels, x to the right and y down; times are
fractions of the clip.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

NEUTRAL_SHAPES = ("square", "disc", "hexagon")
"""Shapes of objects whose class is not their shape."""


@dataclass(frozen=True, kw_only=True)
class Body:
    """One object over the n frames of a clip; what does not change is a number."""

    shape: str
    hue: float  # 0 = red, 1/3 = green, 2/3 = blue
    x: np.ndarray | float  # centre; beyond the edge it comes in at the other side
    y: np.ndarray | float
    radius: float
    angle: np.ndarray | float = 0.0  # radians, clockwise
    visible: np.ndarray | float = 1.0  # 0 or 1


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The size of a clip, and the moment of each of its frames."""

    height: int
    width: int
    times: np.ndarray  # (n,), middles of the frames, within 0..1


Scene = Callable[[Stage, np.random.Generator], list[Body]]


def slide_horizontally(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """To the left, about once around the frame."""
    x = stage.width * (rng.random() - _turns(rng) * stage.times)
    y = stage.height * rng.uniform(0.35, 0.65)
    return [Body(shape=_neutral(rng), hue=rng.random(), x=x, y=y, radius=_radius(stage, rng))]


def slide_vertically(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """Upwards, about once around the frame."""
    x = stage.width * rng.uniform(0.4, 0.6)
    y = stage.height * (rng.random() - _turns(rng) * stage.times)
    return [Body(shape=_neutral(rng), hue=rng.random(), x=x, y=y, radius=_radius(stage, rng))]


def rotate(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """A half disc turns clockwise about its straight edge's middle, about once around."""
    angle = 2 * np.pi * (rng.random() + _turns(rng) * stage.times)
    x, y = _near_centre(stage, rng)
    radius = 1.6 * _radius(stage, rng)
    return [Body(shape="half_disc", hue=rng.random(), x=x, y=y, radius=radius, angle=angle)]


def square_then_disc(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """A square early, a disc of the same colour late."""
    hue, radius = rng.random(), 1.15 * _radius(stage, rng)
    bodies = []
    for shape, visible in zip(("square", "disc"), _early_and_late(stage, rng), strict=True):
        x, y = _near_centre(stage, rng)
        angle = rng.uniform(-0.2, 0.2)
        bodies.append(Body(shape=shape, hue=hue, x=x, y=y, radius=radius, angle=angle, visible=visible))
    return bodies


def red_then_blue(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """A red object early, a blue one of the same shape late."""
    shape, radius = _neutral(rng), _radius(stage, rng)
    bodies = []
    for hue, visible in zip((0.0, 0.62), _early_and_late(stage, rng), strict=True):
        x, y = _near_centre(stage, rng)
        hue += rng.uniform(-0.03, 0.03)
        bodies.append(Body(shape=shape, hue=hue, x=x, y=y, radius=radius, visible=visible))
    return bodies


def top_then_bottom(stage: Stage, rng: np.random.Generator) -> list[Body]:
    """An object near the top early, the same one near the bottom late."""
    shape, hue, radius = _neutral(rng), rng.random(), 0.9 * _radius(stage, rng)
    bodies = []
    for y, visible in zip((0.27, 0.73), _early_and_late(stage, rng), strict=True):
        x = stage.width * rng.uniform(0.4, 0.6)
        y = stage.height * (y + rng.uniform(-0.04, 0.04))
        bodies.append(Body(shape=shape, hue=hue, x=x, y=y, radius=radius, visible=visible))
    return bodies


def still(shape: str) -> Scene:
    """A shape that sways: its motion is the same forwards and backwards, and says nothing."""

    def scene(stage: Stage, rng: np.random.Generator) -> list[Body]:
        x, y = _near_centre(stage, rng)
        phases, cycles = rng.random((3, 1)), rng.uniform(0.5, 1.5, (3, 1))
        dx, dy, turn = np.sin(2 * np.pi * (phases + cycles * stage.times)) * rng.uniform(0, 1, (3, 1))
        x, y = x + 0.06 * stage.width * dx, y + 0.06 * stage.height * dy
        angle = rng.uniform(-0.3, 0.3) + 0.4 * turn
        radius = 1.25 * _radius(stage, rng)
        return [Body(shape=shape, hue=rng.random(), x=x, y=y, radius=radius, angle=angle)]

    return scene


@dataclass(frozen=True)
class ClipClass:
    """One class: what is drawn, and whether its frames are then reversed."""

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
    ClipClass("square_then_disc", "long", square_then_disc),
    ClipClass("disc_then_square", "long", square_then_disc, reverse=True),
    ClipClass("red_then_blue", "long", red_then_blue),
    ClipClass("blue_then_red", "long", red_then_blue, reverse=True),
    ClipClass("top_then_bottom", "long", top_then_bottom),
    ClipClass("bottom_then_top", "long", top_then_bottom, reverse=True),
    ClipClass("star", "static", still("star")),
    ClipClass("ring", "static", still("ring")),
    ClipClass("cross", "static", still("cross")),
    ClipClass("triangle", "static", still("triangle")),
)


def draw_clip(
    kind: ClipClass, num_frames: int, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """One clip of a class, (n, H, W, 3) uint8 RGB."""
    stage = Stage(height=height, width=width, times=(np.arange(num_frames) + 0.5) / num_frames)
    bodies = kind.scene(stage, rng)
    rows, columns = np.mgrid[:height, :width].astype(np.float32) + 0.5

    drift_x, drift_y = rng.uniform(-4, 4, 2)  # pixels over the whole clip
    texture = _texture(
        columns - drift_x * _per_frame(stage.times), rows - drift_y * _per_frame(stage.times), rng
    )
    image = _colour(rng.random(), saturation=0.4, value=rng.uniform(0.2, 0.4)) + 0.12 * texture
    for body in bodies:
        u, v = _body_coordinates(body, stage, rows, columns)
        inside = np.clip(0.5 - body.radius * _distance(body.shape, u / body.radius, v / body.radius), 0, 1)
        inside = inside * _per_frame(body.visible)
        colour = _colour(body.hue, saturation=0.75, value=rng.uniform(0.85, 1.0)) + 0.15 * _texture(u, v, rng)
        image += inside[..., None] * (colour - image)
    image += 0.015 * rng.standard_normal(image.shape, dtype=np.float32)
    frames = (image.clip(0, 1) * 255).round().astype(np.uint8)
    return frames[::-1] if kind.reverse else frames


def _turns(rng: np.random.Generator) -> float:
    """Turns per clip of a periodic motion: between the first and last of 8 segments, one on average."""
    return rng.uniform(0.75, 1.25) * 8 / 7


def _early_and_late(stage: Stage, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two events of 0.3 of the clip each, with 0.28 to 0.4 of the clip between them; alike when reversed."""
    early, late = rng.uniform(0, 0.06), 1 - rng.uniform(0, 0.06)
    t = stage.times
    return ((t >= early) & (t < early + 0.3)) * 1.0, ((t > late - 0.3) & (t <= late)) * 1.0


def _neutral(rng: np.random.Generator) -> str:
    return NEUTRAL_SHAPES[rng.integers(len(NEUTRAL_SHAPES))]


def _radius(stage: Stage, rng: np.random.Generator) -> float:
    return stage.height * rng.uniform(0.19, 0.24)


def _near_centre(stage: Stage, rng: np.random.Generator) -> tuple[float, float]:
    return stage.width * rng.uniform(0.42, 0.58), stage.height * rng.uniform(0.42, 0.58)


def _per_frame(value: np.ndarray | float) -> np.ndarray:
    """(n,) or a number -> something that broadcasts over (n, H, W)."""
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)


def _body_coordinates(
    body: Body, stage: Stage, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's position seen from the body, (n, H, W) each; the frame's opposite edges touch."""
    half_w, half_h = stage.width / 2, stage.height / 2
    dx = (columns - _per_frame(body.x) + half_w) % stage.width - half_w
    dy = (rows - _per_frame(body.y) + half_h) % stage.height - half_h
    cos, sin = np.cos(_per_frame(body.angle)), np.sin(_per_frame(body.angle))
    return cos * dx + sin * dy, cos * dy - sin * dx


def _distance(shape: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Signed distance to a shape of radius 1, negative inside; near enough to draw smooth borders."""
    if shape == "disc":
        return np.hypot(u, v) - 1
    if shape == "half_disc":
        return np.maximum(np.hypot(u, v) - 1, v)
    if shape == "ring":
        return np.abs(np.hypot(u, v) - 0.75) - 0.25
    if shape == "star":
        reach = np.hypot(u, v)
        tip = np.abs((np.arctan2(u, -v) + np.pi / 5) % (0.4 * np.pi) - np.pi / 5)  # angle to the nearest tip
        return 0.5 * reach * np.cos(tip) + 0.866 * reach * np.sin(tip) - 0.5
    if shape == "triangle":
        return np.maximum(0.866 * np.abs(u) - 0.5 * v, v) - 0.55
    u, v = np.abs(u), np.abs(v)
    if shape == "square":
        return np.maximum(u, v) - 0.88
    if shape == "hexagon":
        return np.maximum(0.866 * u + 0.5 * v, v) - 0.9
    if shape == "cross":
        return np.minimum(np.maximum(u - 1, v - 0.3), np.maximum(v - 1, u - 0.3))
    raise ValueError(f"no shape {shape!r}")


def _texture(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four random waves in random colours at positions x, y: (n, H, W) -> (n, H, W, 3), about -1 to 1.

    Waves can be evaluated anywhere, so moving and turning a texture needs no resampling.
    """
    length, direction, phase = rng.uniform(7, 20, 4), 2 * np.pi * rng.random(4), 2 * np.pi * rng.random(4)
    kx, ky = (2 * np.pi / length * np.array([np.cos(direction), np.sin(direction)])).astype(np.float32)
    amplitudes = rng.uniform(-0.5, 0.5, (4, 3)).astype(np.float32)
    waves = np.stack([np.cos(kx[i] * x + ky[i] * y + np.float32(phase[i])) for i in range(4)], axis=-1)
    return waves @ amplitudes


def _colour(hue: float, *, saturation: float, value: float) -> np.ndarray:
    """(3,) RGB in 0..1."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), dtype=np.float32)
