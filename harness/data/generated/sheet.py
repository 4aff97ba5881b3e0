"""A contact sheet of a task: a clip of every level, or of every class where there are no levels, frame by frame."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageDraw

from harness.data.generated.config import GeneratedConfig
from harness.data.generated.tasks import find_task
from harness.data.sampling import segment_test

FRAMES = 8
"""Shown of a clip, evenly spread."""

HEIGHT = 64
"""Pixels of a frame on the sheet."""

GAP = 3
CAPTION = 140  # pixels, left of a row


def sheet(config: GeneratedConfig) -> bytes:
    """Rows of frames with a caption each, a PNG of 256 colours. Frames are as drawn, before they are encoded."""
    task, scale = find_task(config.task), max(1, HEIGHT // config.height)
    rows = [
        (level, number % len(task.classes) if config.levels else number)
        for number, level in enumerate(config.levels or (0,) * len(task.classes))
    ]
    height, width = config.height * scale + GAP, config.width * scale + GAP
    picture = Image.new("RGB", (CAPTION + FRAMES * width, len(rows) * height), "white")
    pen = ImageDraw.Draw(picture)
    for row, (level, label) in enumerate(rows):
        words = [f"{task.level_name} {level}"] if config.levels else []
        pen.text((4, row * height + 4), "\n".join([*words, task.classes[label]]), fill="black")
        clip = task.draw(config.canvas, level, label, np.random.default_rng([config.seed, row]))
        for place, frame in enumerate(clip[segment_test(len(clip), FRAMES)]):
            enlarged = frame.repeat(scale, axis=0).repeat(scale, axis=1)
            picture.paste(Image.fromarray(enlarged), (CAPTION + place * width, row * height))
    file = io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "png", optimize=True)
    return file.getvalue()
