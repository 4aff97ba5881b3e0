"""A contact sheet of a task: a clip of every level, or of every class where there are no levels, frame by frame."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from harness.data.generated.config import GeneratedConfig
from harness.data.generated.tasks import find_task
from harness.data.sampling import segment_test
from harness.data.strip import strip

FRAMES = 8
"""Shown of a clip, evenly spread."""

HEIGHT = 64
"""Pixels of a frame on the sheet."""


def sheet(config: GeneratedConfig) -> bytes:
    """Rows of frames with a caption each, a PNG of 256 colours. Frames are as drawn, before they are encoded."""
    task = find_task(config.task)
    rows = []
    for row, level in enumerate(config.levels or (0,) * len(task.classes)):
        label = row % len(task.classes) if config.levels else row
        words = [f"{task.level_name} {level}"] if config.levels else []
        clip = task.draw(config.canvas, level, label, np.random.default_rng([config.seed, row]))
        rows.append(("\n".join([*words, task.classes[label]]), clip[segment_test(len(clip), FRAMES)]))
    file = io.BytesIO()
    picture = strip(rows, HEIGHT)
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()
