"""Pixels of generated clips: bright objects before a dark, still, textured background whose opposite edges touch.

Shape letters: T frames, H height, W width. Lengths are in pixels, x to the right and y down.
"""

from __future__ import annotations

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


@dataclass(frozen=True, kw_only=True)
class Body:
    """One object over the T frames of a clip; what does not change is a number."""

    x: np.ndarray | float  # centre; beyond the edge it comes in at the other side
    y: np.ndarray | float
    radius: float
    colour: np.ndarray  # (3,) grey levels
    visible: np.ndarray | float = 1.0  # how much of it is there, 0 to 1


def any_colour(rng: np.random.Generator) -> np.ndarray:
    """A bright one, (3,) grey levels."""
    return rng.uniform(*COLOUR, 3)


def render(canvas: Canvas, bodies: list[Body], rng: np.random.Generator) -> np.ndarray:
    """Bodies, later ones in front: (T, H, W, 3) uint8 RGB."""
    rows, columns = np.mgrid[: canvas.height, : canvas.width].astype(np.float32) + 0.5
    image = np.empty((canvas.num_frames, canvas.height, canvas.width, 3), np.float32)
    image[:] = rng.uniform(*BACKGROUND) + TEXTURE * _texture(canvas, rows, columns, rng)
    for body in bodies:
        u = _around(columns, body.x, canvas.width)
        v = _around(rows, body.y, canvas.height)
        inside = np.clip(0.5 + body.radius - np.hypot(u, v), 0, 1)
        inside = inside * _per_frame(body.visible) * np.float32(canvas.contrast / 100)
        image += inside[..., None] * (body.colour.astype(np.float32) - image)
    image += np.float32(canvas.noise) * rng.standard_normal(image.shape, dtype=np.float32)
    return image.clip(0, 255).round().astype(np.uint8)


def _around(places: np.ndarray, centre: np.ndarray | float, size: int) -> np.ndarray:
    """How far places (H, W) are from a centre, on a circle of `size` pixels: (T, H, W) or (1, H, W)."""
    return (places - _per_frame(centre) + size / 2) % size - size / 2


def _per_frame(value: np.ndarray | float) -> np.ndarray:
    """(T,) or a number -> what broadcasts over (T, H, W)."""
    return np.asarray(value, dtype=np.float32).reshape(-1, 1, 1)


def _texture(canvas: Canvas, rows: np.ndarray, columns: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four random waves in random colours, (H, W, 3), within -1 to 1. Whole waves fit into the frame: its opposite
    edges touch without a seam."""
    waves = []
    for _ in range(4):
        kx, ky = 2 * np.pi * rng.integers(-2, 3, 2) / (canvas.width, canvas.height)
        waves.append(np.cos(kx * columns + ky * rows + rng.uniform(0, 2 * np.pi)))
    amplitudes = rng.uniform(-0.25, 0.25, (4, 3)).astype(np.float32)
    return np.stack(waves, axis=-1).astype(np.float32) @ amplitudes
