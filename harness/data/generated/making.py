"""The generated data set: real encoded videos, written once and then read like any other.

What the clips show stands in tasks.py; here they are encoded (PyAV), listed and published.

    <data_dir>/generated-<hash of settings and version>/
        manifest.json     written last: classes, settings; label, level, frames, SHA-256 of every clip
        train/00000.mp4   half of each class is H.264 in mp4, half VP9 in webm; or plain pixels, in npy
        val/00000.mp4
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.generated.config import GeneratedConfig
from harness.data.generated.tasks import find_task
from harness.data.index import Clip, Index
from harness.data.parallel import Progress, in_parallel
from harness.data.sources.annotations import id_problem
from harness.errors import DataError
from harness.files import set_aside, write_once

GENERATOR_VERSION = 3
"""Raised when the same settings would give other clips."""

FRAMES_PER_SECOND = 12

MANIFEST = "manifest.json"

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    # One thread each: the clips are small, and parallelism is over clips.
    # Without cpu-independent, x264 gives one of several results for the same small frames, at random.
    "mp4": (
        "libx264",
        {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": "cpu-independent=1"},
    ),
    "webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "threads": "1"}),
}


def prepare(config: GeneratedConfig, data_dir: Path, progress: Progress) -> Index:
    """Generate the data set unless it is there.

    Raises:
        DataError: the folder cannot be written, or PyAV is not installed.
    """
    folder = _folder(config, data_dir)
    while True:
        write_once(folder, lambda temporary: _write(config, temporary, progress))
        try:
            return _read(folder)
        except DataError as error:
            logging.getLogger(__name__).warning("%s: it is %s now", error, set_aside(folder))


def find(config: GeneratedConfig, data_dir: Path) -> Index | None:
    """The data set if it was generated before; nothing is written."""
    folder = _folder(config, data_dir)
    return _read(folder) if os.path.exists(folder) else None


def _folder(config: GeneratedConfig, data_dir: Path) -> Path:
    decisive = json.dumps({"version": GENERATOR_VERSION, **config.decisive()}, sort_keys=True)
    return Path(data_dir) / f"generated-{hashlib.sha256(decisive.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class _Job:
    """One clip to write. `number` counts over both splits and seeds the clip: order does not matter."""

    config: GeneratedConfig
    folder: Path
    split: str
    index: int
    number: int


def _write(config: GeneratedConfig, folder: Path, progress: Progress) -> None:
    """Every clip, then the manifest."""
    jobs: list[_Job] = []
    for split, count in (("train", config.train_clips), ("val", config.val_clips)):
        (folder / split).mkdir(parents=True)
        jobs += [_Job(config, folder, split, index, len(jobs) + index) for index in range(count)]
    task = find_task(config.task)
    manifest = {
        "version": GENERATOR_VERSION,
        "settings": config.decisive(),
        "classes": task.classes,
        "groups": task.groups,
        "twins": task.twins,
        "level_name": task.level_name,
        "chance": task.chance,
        "clips": in_parallel(_write_clip, jobs, progress),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=0))


def _write_clip(job: _Job) -> dict[str, Any]:
    """Draw, encode and write one clip; returns its line of the manifest."""
    config, task = job.config, find_task(job.config.task)
    # Classes take turns, then levels, then containers: of no two of them one tells the other.
    rest, label = divmod(job.index, len(task.classes))
    rest, place = divmod(rest, max(1, len(config.levels)))
    container = config.containers[rest % len(config.containers)]
    level = config.levels[place] if config.levels else 0
    # A validation clip of the second of two twins is the first one's very clip, reversed: a network that cannot
    # order frames scores both alike and is right about one of them at most. Training clips are all different.
    backwards = job.split == "val" and label in _second_twins(task.twins)
    rng = np.random.default_rng([config.seed, job.number - backwards])
    frames = task.draw(config.canvas, level, label - backwards, rng)
    video = encode(frames[::-1] if backwards else frames, container)
    file = f"{job.split}/{job.index:05d}.{container}"
    (job.folder / file).write_bytes(video)
    return {
        "id": file,
        "split": job.split,
        "label": label,
        **({task.level_name: level} if config.levels else {}),
        "frames": len(frames),
        "sha256": hashlib.sha256(video).hexdigest(),
    }


def _second_twins(twins: Iterable[Sequence[int]]) -> set[int]:
    """Labels whose validation clips are those of the label before them, backwards."""
    return {second for _, second in twins}


def encode(frames: np.ndarray, container: str) -> bytes:
    """(n, H, W, 3) uint8 RGB -> the bytes of a video file, or of an array's."""
    buffer = io.BytesIO()
    if container == "npy":
        np.save(buffer, frames)
        return buffer.getvalue()
    try:
        import av  # here, because only generating needs it
    except ImportError as error:
        raise DataError(f"generating clips needs PyAV: pip install av ({error})") from None
    codec, options = ENCODERS[container]
    # bitexact: no random ids and no versions in the file, the same clip gives the same bytes
    with av.open(buffer, "w", format=container, options={"fflags": "+bitexact"}) as output:
        stream = output.add_stream(codec, rate=Fraction(FRAMES_PER_SECOND), options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        output.mux(stream.encode())
    return buffer.getvalue()


def _read(folder: Path) -> Index:
    try:
        text = (folder / MANIFEST).read_bytes()
        manifest = json.loads(text)
        ids, second = [clip["id"] for clip in manifest["clips"]], _second_twins(manifest["twins"])
        if wrong := next(filter(id_problem, ids), ""):
            raise ValueError(f"{wrong!r} {id_problem(wrong)}")
        return Index(
            folder=folder,
            fingerprint=hashlib.sha256(text).hexdigest(),
            classes=manifest["classes"],
            groups=manifest["groups"],
            clips=[
                Clip(
                    id=clip["id"],
                    file=folder / clip["id"],
                    split=clip["split"],
                    label=clip["label"],
                    level=clip[manifest["level_name"]] if manifest["level_name"] else None,
                    frames=clip["frames"],
                    special=0,  # as `encode` writes it
                    sha256=clip["sha256"],
                    cluster=ids[place - (clip["split"] == "val" and clip["label"] in second)],
                )
                for place, clip in enumerate(manifest["clips"])
            ],
            twins=[(first, other) for first, other in manifest["twins"]],
            level_name=manifest["level_name"],
            chance=manifest["chance"],
            height=manifest["settings"]["height"],
            width=manifest["settings"]["width"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder}: its manifest.json cannot be read ({error}); the next run makes the clips anew"
        ) from None


def changed_clips(folder: Path) -> tuple[int, list[Path]]:
    """How many clips a generated data set has, and those that are not as they were written, or gone."""
    clips = _read(folder).clips
    return len(clips), [clip.file for clip in clips if not _is_as_written(clip)]


def _is_as_written(clip: Clip) -> bool:
    try:
        if not clip.file.is_file():  # a device would be read for ever
            return False
        return hashlib.sha256(clip.file.read_bytes()).hexdigest() == clip.sha256
    except OSError:
        return False
