"""The generated data set: real encoded videos, written once and then read like any other.

What the clips show stands in scenes.py; here they are encoded (PyAV), listed and published.

    <data_dir>/generated-<hash of settings and version>/
        manifest.json     written last: classes, groups, settings; label, frames, SHA-256 of every clip
        train/00000.mp4   half of each class is H.264 in mp4, half VP9 in webm
        val/00000.mp4
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.generated.scenes import CLASSES, draw_clip
from harness.data.index import Clip, Index
from harness.data.parallel import Progress, in_parallel
from harness.errors import DataError
from harness.files import write_once

GENERATOR_VERSION = 1
"""Raised when the same settings would give other clips."""

FRAMES_PER_SECOND = 12

ENCODERS: dict[str, tuple[str, dict[str, str]]] = {
    # One thread each: the clips are small, and parallelism is over clips.
    # Without cpu-independent, x264 gives one of several results for the same small frames, at random.
    "mp4": (
        "libx264",
        {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": "cpu-independent=1"},
    ),
    "webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "threads": "1"}),
}


@dataclass(frozen=True, kw_only=True)
class GeneratedConfig:
    """What is generated. The defaults train a small network on two CPU cores."""

    train_clips: int = 1600
    val_clips: int = 480
    width: int = 64  # pixels, even
    height: int = 48
    # 24 frames: 8 or 16 test frames of 24 are the same ones when the clip is reversed (see sampling.py)
    min_frames: int = 24
    max_frames: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        minimum = {"train_clips": 1, "val_clips": 1, "width": 16, "height": 16, "min_frames": 2, "seed": 0}
        minimum["max_frames"] = self.min_frames
        for name, least in minimum.items():
            if getattr(self, name) < least:
                raise DataError(f"{name}: {getattr(self, name)} is too few; use {least} or more")
        for name in ("width", "height"):
            if getattr(self, name) % 2:
                raise DataError(f"{name}: {getattr(self, name)} is odd; H.264 needs an even size")


def prepare(config: GeneratedConfig, data_dir: Path, progress: Progress) -> Index:
    """Generate the data set unless it is there.

    Raises:
        DataError: the folder cannot be written, or PyAV is not installed.
    """
    folder = _folder(config, data_dir)
    write_once(folder, lambda temporary: _write(config, temporary, progress))
    return _read(folder)


def find(config: GeneratedConfig, data_dir: Path) -> Index | None:
    """The data set if it was generated before; nothing is written."""
    folder = _folder(config, data_dir)
    return _read(folder) if os.path.exists(folder) else None


def _folder(config: GeneratedConfig, data_dir: Path) -> Path:
    decisive = json.dumps({"version": GENERATOR_VERSION, **dataclasses.asdict(config)}, sort_keys=True)
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
    manifest = {
        "version": GENERATOR_VERSION,
        "settings": dataclasses.asdict(config),
        "classes": [kind.name for kind in CLASSES],
        "groups": [kind.group for kind in CLASSES],
        "clips": in_parallel(_write_clip, jobs, progress),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=0))


def _write_clip(job: _Job) -> dict[str, Any]:
    """Draw, encode and write one clip; returns its line of the manifest."""
    config = job.config
    label = job.index % len(CLASSES)
    # The container changes once all classes had a turn: it tells nothing about the class.
    container = "mp4" if (job.index // len(CLASSES)) % 2 == 0 else "webm"
    # A validation clip of a reversed class is its twin's very clip, reversed: a network that cannot order
    # frames scores both alike and is right about one of them at most. Training clips are all different.
    twin = 1 if CLASSES[label].reverse and job.split == "val" else 0
    rng = np.random.default_rng([config.seed, job.number - twin])
    num_frames = int(rng.integers(config.min_frames, config.max_frames + 1))
    video = encode(draw_clip(CLASSES[label], num_frames, config.height, config.width, rng), container)
    file = f"{job.split}/{job.index:05d}.{container}"
    (job.folder / file).write_bytes(video)
    digest = hashlib.sha256(video).hexdigest()
    return {"id": file, "split": job.split, "label": label, "frames": num_frames, "sha256": digest}


def encode(frames: np.ndarray, container: str) -> bytes:
    """(n, H, W, 3) uint8 RGB -> the bytes of a video file."""
    try:
        import av  # here, because only generating needs it
    except ImportError as error:
        raise DataError(f"generating clips needs PyAV: pip install av ({error})") from None
    codec, options = ENCODERS[container]
    buffer = io.BytesIO()
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
        text = (folder / "manifest.json").read_bytes()
        manifest = json.loads(text)
        ids = [clip["id"] for clip in manifest["clips"]]
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
                    frames=clip["frames"],
                    sha256=clip["sha256"],
                    # a validation clip of a reversed class is the one before it, backwards (_write_clip)
                    cluster=ids[place - (CLASSES[clip["label"]].reverse and clip["split"] == "val")],
                )
                for place, clip in enumerate(manifest["clips"])
            ],
            twins=[(label - 1, label) for label, kind in enumerate(CLASSES) if kind.reverse],
            height=manifest["settings"]["height"],
            width=manifest["settings"]["width"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: its manifest.json cannot be read ({error}); delete the folder to generate it anew"
        ) from None
