"""The tasks of the generated data set: classes, levels, chance, and what draws a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.data.generated import ladder, scenes
from harness.data.generated.drawing import Body, Canvas, render
from harness.errors import DataError, nearest


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        classes, groups: the name of each class and of its group; labels are positions in them.
        twins: pairs of labels, neighbours, whose clips are each other's, played backwards.
        scene: (canvas, level, label, rng) -> what is to be seen. Without levels it is given 0.
        width, height: the clips' own, in pixels, where a study names none.
        frames: likewise; 0 where clips are as long as what a network sees of them.
        noise: likewise, grey levels.
        level_name: what the level counts; "" for a task without levels.
        levels: those of a study that names none.
        problem: why clips on this canvas cannot have a level, and what to do; "" where they can.
        chance: top-1 of a network that guesses or sees no order, in per cent; None where classes differ in that.
    """

    name: str
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    twins: tuple[tuple[int, int], ...]
    scene: Callable[[Canvas, int, int, np.random.Generator], list[Body]]
    width: int = 16
    height: int = 16
    frames: int = 0
    noise: float = 4.0
    level_name: str = ""
    levels: tuple[int, ...] = ()
    problem: Callable[[Canvas, int], str] = lambda canvas, level: ""
    chance: float | None = None

    def draw(self, canvas: Canvas, level: int, label: int, rng: np.random.Generator) -> np.ndarray:
        """One clip, (T, H, W, 3) uint8 RGB."""
        return render(canvas, self.scene(canvas, level, label, rng), rng)


def find_task(name: str) -> Task:
    """The task of that name.

    Raises:
        DataError: there is none.
    """
    if name not in TASKS:
        raise DataError(f"task: no task {name!r}{nearest(name, TASKS)}")
    return TASKS[name]


_MOVING: dict[str, Any] = {
    "classes": ladder.DIRECTIONS,
    "groups": ("", ""),
    "twins": ((0, 1),),
    "chance": 50.0,
}

TASKS = {
    task.name: task
    for task in (
        Task(
            name="scenes",
            classes=tuple(kind.name for kind in scenes.CLASSES),
            groups=tuple(kind.group for kind in scenes.CLASSES),
            twins=tuple((label - 1, label) for label, kind in enumerate(scenes.CLASSES) if kind.reverse),
            scene=scenes.scene,
            width=48,
            height=48,
            # 8 or 16 test frames of 24 are the same ones when the clip is reversed (see sampling.py)
            frames=24,
        ),
        Task(
            name="strobe",
            scene=ladder.strobe,
            level_name="lag",
            levels=(1, 2, 3, 4, 5, 6),
            problem=ladder.lag_problem,
            **_MOVING,
        ),
        Task(
            name="chain",
            classes=ladder.CHAINS,
            groups=("", "", "", ""),
            twins=((0, 1), (2, 3)),
            scene=ladder.chain,
            level_name="events",
            levels=(5, 6, 7, 8),
            problem=ladder.events_problem,
            chance=25.0,
        ),
        Task(
            name="coherence",
            scene=ladder.coherence,
            level_name="coherence",
            levels=(100, 60, 40, 20, 10),
            problem=ladder.percent_problem,
            **_MOVING,
        ),
        Task(
            name="speed",
            scene=ladder.speed,
            level_name="speed",
            levels=(1, 2, 3, 4, 5, 6),
            problem=ladder.speed_problem,
            **_MOVING,
        ),
        Task(
            name="distractors",
            scene=ladder.distractors,
            level_name="flashes",
            levels=(0, 8, 16, 32, 64),
            problem=ladder.flashes_problem,
            **_MOVING,
        ),
        Task(
            name="contrast",
            scene=ladder.contrast,
            level_name="contrast",
            levels=(100, 40, 20, 10, 5),
            problem=ladder.percent_problem,
            noise=ladder.CONTRAST_NOISE,
            **_MOVING,
        ),
    )
}
"""Every task by its name."""
