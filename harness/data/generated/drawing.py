"""Pixels of generated clips: bright objects before a dark, still, textured background whose opposite edges touch.

Shape letters: T frames, H height, W width. Lengths are in pixels, x to the right and y down.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

BACKGROUND = (50.0, 80.0)
"""Grey levels: one for each clip, drawn from this range."""

TEXTURE = 14.0
"""Largest deviation of the background's texture, grey levels."""

COLOUR = (170.0, 255.0)
"""Of an object, grey levels, each of red, green and blue."""


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """What a clip is drawn on.

    noise: standard deviation, in grey levels, drawn anew for every frame.
    contrast: of objects, per cent: how much of their own colour is mixed into the background.
    """

    num_frames: int
    height: int
    width: int
    noise: float = 4.0
    contrast: int = 100

    @property
    def side(self) -> int:
        """The shorter side, by which objects and their steps are measured."""
        return min(self.height, self.width)

    @property
    def times(self) -> np.ndarray:
        """The moment of each frame, (T,), within 0..1: middles, so that they are the same ones backwards."""
        return (np.arange(self.num_frames) + 0.5) / self.num_frames


@dataclass(frozen=True, kw_only=True)
class Body:
    """One object over the T frames of a clip; what does not change is a number."""

    x: np.ndarray | float  # centre; beyond the edge it comes in at the other side
    y: np.ndarray | float
    radius: float
    colour: np.ndarray  # (3,) grey levels
    visible: np.ndarray | float = 1.0  # how much of it is there, 0 to 1
    shape: str = "disc"
    angle: np.ndarray | float = 0.0  # radians, clockwise

    def backwards(self) -> Body:
        """The same, played backwards."""
        return dataclasses.replace(
            self,
            x=_reversed(self.x),
            y=_reversed(self.y),
            visible=_reversed(self.visible),
            angle=_reversed(self.angle),
        )


def any_colour(rng: np.random.Generator) -> np.ndarray:
    """A bright one, (3,) grey levels."""
    return rng.uniform(*COLOUR, 3)


def render(canvas: Canvas, bodies: list[Body], rng: np.random.Generator) -> np.ndarray:
    """Bodies, later ones in front: (T, H, W, 3) uint8 RGB."""
    rows, columns = np.mgrid[: canvas.height, : canvas.width].astype(np.float32) + 0.5
    image = np.empty((canvas.num_frames, canvas.height, canvas.width, 3), np.float32)
    image[:] = rng.uniform(*BACKGROUND) + TEXTURE * _texture(canvas, rows, columns, rng)
    for body in bodies:
        dx = _around(columns, body.x, canvas.width) / body.radius
        dy = _around(rows, body.y, canvas.height) / body.radius
        cos, sin = np.cos(_per_frame(body.angle)), np.sin(_per_frame(body.angle))
        outside = body.radius * _distance(body.shape, cos * dx + sin * dy, cos * dy - sin * dx)
        there = np.clip(0.5 - outside, 0, 1) * _per_frame(body.visible) * np.float32(canvas.contrast / 100)
        image += there[..., None] * (body.colour.astype(np.float32) - image)
    image += np.float32(canvas.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    return image.clip(0, 255).round().astype(np.uint8)


def _around(places: np.ndarray, centre: np.ndarray | float, size: int) -> np.ndarray:
    """How far places (H, W) are from a centre, on a circle of `size` pixels: (T, H, W) or (1, H, W)."""
    return (places - _per_frame(centre) + size / 2) % size - size / 2


def _reversed(value: np.ndarray | float) -> np.ndarray | float:
    return value[::-1] if isinstance(value, np.ndarray) else value


def _per_frame(value: np.ndarray | float) -> np.ndarray:
    """(T,) or a number -> what broadcasts over (T, H, W)."""
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)


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
    if shape == "cross":
        u, v = np.abs(u), np.abs(v)
        return np.minimum(np.maximum(u - 1, v - 0.3), np.maximum(v - 1, u - 0.3))
    raise ValueError(f"no shape {shape!r}")


def _texture(canvas: Canvas, rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four random waves in random colours, (H, W, 3), within -1 to 1. Whole waves fit into the frame: its opposite
    edges touch without a seam."""
    waves = []
    for _ in range(4):
        kx, ky = 2 * np.pi * rng.integers(-2, 3, 2) / (canvas.width, canvas.height)
        waves.append(np.cos(kx * columns + ky * rows + rng.uniform(0, 2 * np.pi)))
    amplitudes = rng.uniform(-0.25, 0.25, (4, 3)).astype(np.float32)
    return np.stack(waves, axis=-1).astype(np.float32) @ amplitudes
