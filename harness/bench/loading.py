"""How fast clips are loaded, and whether a worker's memory stays flat.

    python -m harness.bench.loading speed     # clips a second from pictures, from videos and from decoded frames
    python -m harness.bench.loading memory    # a worker's memory while it opens 5,000 videos

The clips are drawn here and lie in a temporary folder, so that the figures depend on no data set. Files are read
twice before they are timed: the disk is not measured.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from harness import machine
from harness.data.batches import TrainBatches
from harness.data.clips import ClipDataset, Item, TrainKey
from harness.data.config import DataConfig
from harness.data.frames import frames_file
from harness.data.generated import making
from harness.data.generated.config import GeneratedConfig
from harness.data.index import Clip, Index
from harness.data.transforms import normalise, resize_short_side
from harness.errors import DataError

HEIGHT, WIDTH, LENGTH = 240, 320, 32  # pixels and frames of the clips

BATCH, REPEATS = 16, 8

FLAT = 1.1
"""A worker's peak memory may grow to this multiple of what it was after its first tenth."""


def main(argv: list[str] | None = None) -> int:
    """Measure and print. Returns the exit code: 1 where memory was not flat."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.bench.loading", description=__doc__.splitlines()[0]
    )
    what = parser.add_subparsers(dest="what", required=True)
    speed = what.add_parser(
        "speed", help="clips a second, 8 frames a clip, cropped to 224x224 and normalised"
    )
    speed.add_argument("--workers", type=int, default=2, help="loading processes (default 2)")
    speed.add_argument("--clips", type=int, default=48, help="different clips (default 48)")
    speed.add_argument("--seconds", type=float, default=10, help="of each measurement (default 10)")
    memory = what.add_parser("memory", help="memory of one worker that opens many videos")
    memory.add_argument("--videos", type=int, default=5000, help="how many are opened (default 5,000)")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    machine.keep_freed_memory()  # as trials do
    with tempfile.TemporaryDirectory() as folder:
        if args.what == "memory":
            return _print_memory(Path(folder), args.videos)
        _print_speed(Path(folder), args.workers, args.clips, args.seconds)
    return 0


def _print_speed(folder: Path, workers: int, clips: int, seconds: float) -> None:
    print(
        f"{clips} clips of {LENGTH} frames of {WIDTH}x{HEIGHT}, {workers} workers; 8 frames of 224x224 a clip"
    )
    pictures, videos = _pictures(folder, clips), _videos(folder, clips)
    for title, index, short_side in (
        ("pictures (jpg), short side 256", pictures, 256),
        ("pictures (jpg), short side 240", pictures, 240),
        ("videos, short side 256", videos, 256),
        ("decoded frames, short side 256", _decoded(folder, clips), 256),
    ):
        rates = clips_per_second(index, short_side, workers, seconds)
        median, low, high = np.percentile(rates, (50, 25, 75))
        print(f"{title:34} {median:7.1f} clips/s (quartiles {low:.1f} to {high:.1f}, {len(rates)} epochs)")


class _Repeated(ClipDataset):
    """Every clip REPEATS times, so that an epoch is long enough for its start not to count."""

    def __len__(self) -> int:
        return REPEATS * super().__len__()

    def __getitem__(self, key: TrainKey) -> Item:
        return super().__getitem__(key._replace(clip=key.clip % super().__len__()))


def clips_per_second(index: Index, short_side: int, workers: int, seconds: float) -> list[float]:
    """Rates of whole epochs of training clips, normalised here, after one that does not count."""
    config = DataConfig(num_frames=8, short_side=short_side, crop=224)
    batches = TrainBatches(_Repeated(config, index, "train"), BATCH, seed=0, workers=workers)
    rates: list[float] = []
    epoch, end = 0, float("inf")
    while epoch < 4 or time.perf_counter() < end:
        begin, count = time.perf_counter(), 0
        for batch in batches.epoch(epoch):
            normalise(batch.clips)
            count += len(batch.labels)
        if epoch >= 1:
            rates.append(count / (time.perf_counter() - begin))
        else:
            end = time.perf_counter() + seconds
        epoch += 1
    return rates


def _print_memory(folder: Path, videos: int) -> int:
    if sys.platform != "linux":
        raise SystemExit("memory of a worker is read from /proc, which only Linux has")
    print("videos opened   resident [MiB]   peak [MiB]")
    peaks = []
    for opened, resident, peak in worker_memory(folder, videos):
        print(f"{opened:13,}   {resident:14.1f}   {peak:10.1f}")
        peaks.append(peak)
    growth = peaks[-1] / peaks[0]
    flat = growth <= FLAT
    print(f"the peak grew to {growth:.3f} of what it was: {'flat' if flat else 'not flat'}")
    return 0 if flat else 1


def worker_memory(folder: Path, videos: int) -> Iterator[tuple[int, float, float]]:
    """Let one worker open `videos` tiny MP4 and WebM files, and look at it ten times on the way.

    Yields:
        How many it has opened, its resident memory and that memory's peak, in MiB.
    """
    made = making.prepare(GeneratedConfig(train_clips=64, val_clips=1), folder, lambda done, total: None)
    train = [clip for clip in made.clips if clip.split == "train"]
    many = [train[number % len(train)] for number in range(videos)]
    # Without one size, frames are read from the videos and not from a decoded file.
    index = dataclasses.replace(made, clips=many, height=0, width=0)
    config = DataConfig(num_frames=8, short_side=48, crop=40)
    batches = TrainBatches(ClipDataset(config, index, "train"), 10, seed=0, workers=1)
    others = set(multiprocessing.active_children())
    opened, looks = 0, 0
    for batch in batches.epoch(0):
        (worker,) = set(multiprocessing.active_children()) - others
        opened += len(batch.labels)
        if opened >= (looks + 1) * videos // 10:
            looks += 1
            status = Path(f"/proc/{worker.pid}/status").read_text()
            lines = dict(line.split(":", 1) for line in status.splitlines())
            resident, peak = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
            yield opened, resident, peak


@functools.cache
def _drawn(number: int) -> np.ndarray:
    """A texture that moves, as large as jpg as a photograph: (LENGTH, HEIGHT, WIDTH, 3) uint8."""
    rng = np.random.default_rng(number)
    height, width = HEIGHT + LENGTH, WIDTH + 2 * LENGTH
    coarse = rng.integers(256, size=(height // 8, width // 8, 3), dtype=np.uint8)
    texture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    return np.stack([texture[i : i + HEIGHT, 2 * i : 2 * i + WIDTH] for i in range(LENGTH)])


def _index(folder: Path, clips: list[Clip], height: int = 0, width: int = 0) -> Index:
    return Index(
        folder=folder, fingerprint="", classes=["a"], groups=[""], clips=clips, height=height, width=width
    )


def _pictures(folder: Path, count: int) -> Index:
    clips = []
    for number in range(count):
        place = folder / "pictures" / str(number)
        place.mkdir(parents=True)
        clip = Clip(id=str(number), file=place, split="train", label=0, frames=LENGTH, pictures="{frame}.jpg")
        for frame, image in enumerate(_drawn(number)):
            Image.fromarray(image).save(clip.picture(frame), quality=95)
        clips.append(clip)
    return _index(folder, clips)


def _videos(folder: Path, count: int) -> Index:
    clips = []
    for number in range(count):
        container = ("mp4", "webm")[number % 2]
        file = folder / f"{number}.{container}"
        file.write_bytes(making.encode(_drawn(number), container))
        clips.append(Clip(id=str(number), file=file, split="train", label=0, frames=LENGTH, special=0))
    return _index(folder, clips)


def _decoded(folder: Path, count: int) -> Index:
    clips = [
        Clip(id=str(number), file=folder, split="train", label=0, frames=LENGTH) for number in range(count)
    ]
    index = _index(folder, clips, HEIGHT, WIDTH)
    np.save(
        frames_file(index, 256), np.concatenate([resize_short_side(_drawn(n), 256) for n in range(count)])
    )
    return index


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DataError as error:
        sys.exit(f"error: {error}")
