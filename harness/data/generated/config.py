"""What is generated: a task, its levels, how many clips, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from harness.data.generated.drawing import Canvas
from harness.data.generated.tasks import Task, find_task
from harness.errors import DataError

ENCODED = ("mp4", "webm")

CONTAINERS = (*ENCODED, "npy")


@dataclass(frozen=True, kw_only=True)
class GeneratedConfig:
    """What is generated. The defaults train a small network on two CPU cores.

    Attributes:
        task: a key of TASKS.
        levels: how hard the clips are, each level as often as the others; the task's own where empty.
        train_clips, val_clips: how many; with levels, `val_clips` is a multiple of classes x levels.
        seed: of everything that is drawn.
        width, height: pixels, even; the task's own where 0.
        frames: of each clip, the task's own where 0. Clips of tasks with levels are as long as what a network sees of
            them, data.num_frames.
        noise: standard deviation in every frame, in grey levels; the task's own where None.
        contrast: of objects, per cent.
        containers: of the files, in turn: mp4 (H.264), webm (VP9), or npy, plain pixels that need no decoder.

    Raises:
        DataError: no such task, or a value that its clips cannot have.
    """

    task: str = "scenes"
    levels: tuple[int, ...] = ()
    train_clips: int = 1600
    val_clips: int = 480
    width: int = 0
    height: int = 0
    frames: int = 0
    noise: float | None = None
    contrast: int = 100
    seed: int = 0
    containers: tuple[str, ...] = ENCODED

    @classmethod
    def seen(cls, num_frames: int, settings: Mapping[str, Any]) -> GeneratedConfig:
        """From settings as a study has them, for networks that see `num_frames` frames of a clip.

        Raises:
            DataError: as below; or clips whose levels are counted in frames would not be seen frame by frame.
        """
        task = find_task(settings.get("task", cls.task))
        if task.frames:
            return cls(**settings)
        if settings.get("frames", num_frames) != num_frames:
            raise DataError(
                f"frames: {settings['frames']}: clips of {task.name} have data.num_frames of them, {num_frames}; "
                "leave the key out"
            )
        return cls(**{**settings, "frames": num_frames})

    def __post_init__(self) -> None:
        task = find_task(self.task)
        for name, given in (
            ("levels", tuple(self.levels) or task.levels),
            ("width", self.width or task.width),
            ("height", self.height or task.height),
            ("frames", self.frames or task.frames),
            ("noise", float(task.noise if self.noise is None else self.noise)),
            ("containers", tuple(self.containers)),
        ):
            object.__setattr__(self, name, given)  # what was left open is filled in
        minimum = {"train_clips": 1, "val_clips": 1, "width": 16, "height": 16, "frames": 2, "seed": 0}
        for name, least in minimum.items():
            if getattr(self, name) < least:
                raise DataError(f"{name}: {getattr(self, name)} is too few; use {least} or more")
        for name in ("width", "height"):
            if getattr(self, name) % 2:
                raise DataError(f"{name}: {getattr(self, name)} is odd; H.264 needs an even size")
        if self.canvas.noise < 0:
            raise DataError(f"noise: {self.noise:g} is below 0")
        if not 1 <= self.contrast <= 100:
            raise DataError(f"contrast: {self.contrast} is no percentage; use 1 to 100")
        if not self.containers or not set(self.containers) <= set(CONTAINERS):
            raise DataError(f"containers: {list(self.containers)}: use some of {', '.join(CONTAINERS)}")
        self._check_levels(task)

    def decisive(self) -> dict[str, Any]:
        """All settings, as they are hashed; `containers`, which came later, only where they are others."""
        settings = asdict(self)
        if self.containers == ENCODED:
            del settings["containers"]
        return settings

    def _check_levels(self, task: Task) -> None:
        if not task.levels:
            if self.levels:
                raise DataError(
                    f"levels: {list(self.levels)}: the task {task.name} has no levels; leave the key out"
                )
            return
        if self.contrast != 100 and task.level_name == "contrast":
            raise DataError(f"contrast: {self.contrast}: it is the level of the task {task.name}; use levels")
        if len(set(self.levels)) < len(self.levels):
            raise DataError(f"levels: {list(self.levels)} names a level twice")
        for level in self.levels:
            if problem := task.problem(self.canvas, level):
                raise DataError(f"levels: {level} is no {task.level_name} of the task {task.name}: {problem}")
        cells = len(task.classes) * len(self.levels)
        if self.val_clips % cells:  # levels are compared: each has as many clips, and every clip its twin
            fewer = self.val_clips // cells * cells
            near = f"{fewer} or {fewer + cells}" if fewer else str(cells)
            raise DataError(
                f"val_clips: {self.val_clips} cannot be shared evenly by {len(task.classes)} classes "
                f"and {len(self.levels)} levels; use {near}"
            )

    @property
    def canvas(self) -> Canvas:
        """What a clip is drawn on."""
        assert self.noise is not None  # filled in
        return Canvas(
            num_frames=self.frames,
            height=self.height,
            width=self.width,
            noise=self.noise,
            contrast=self.contrast,
        )
