"""Small data sets in the exact formats of their publishers, for tests to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from harness.data.config import DataConfig
from harness.data.dataset import DataSet, open_data

FORMATS = ("something_v1", "something_v2", "jester", "list", "folders")

SMALL: dict[str, Any] = {"num_frames": 4, "short_side": 24, "crop": 16, "scales": (1.0, 0.75)}

LABELS = ("Pushing something", "Moving something left", "Moving something right")
"""Not sorted, as the publishers' lists are not."""


def moving_bar(label: int, seed: int, frames: int = 12, height: int = 30, width: int = 40) -> np.ndarray:
    """A bright bar that goes left (1), right (2) or nowhere, over noise: (frames, H, W, 3) uint8."""
    rng = np.random.default_rng([label, seed])
    clip = rng.integers(40, 90, size=(frames, height, width, 3), dtype=np.uint8)
    start = int(rng.integers(8, width - 8))
    for t in range(frames):
        x = (start + {1: -2, 2: 2}.get(label, 0) * t) % (width - 3)
        clip[t, :, x : x + 3] = 230
    return clip


def write_pictures(folder: Path, frames: np.ndarray, first: int = 1) -> Path:
    """`00001.jpg` and so on."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Image.fromarray(frame).save(folder / f"{number:05d}.jpg", quality=95)
    return folder


def write_webm(file: Path, frames: np.ndarray) -> Path:
    """VP9, as Something-Something v2 has it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as output:
        options = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "0", "threads": "1"}
        stream: Any = output.add_stream("libvpx-vp9", rate=12, options=options)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        output.mux(stream.encode())
    return file


def clips(train: int, val: int, first_id: int = 100) -> dict[str, list[tuple[str, int]]]:
    """(id, label) of each split, the labels in turn."""
    ids = iter(range(first_id, first_id + train + val))
    return {
        s: [(str(next(ids)), i % len(LABELS)) for i in range(n)] for s, n in (("train", train), ("val", val))
    }


def make(name: str, root: Path, train: int = 4, val: int = 3) -> Path:
    """A whole small data set: something_v1, something_v2, jester, list or folders. Frames differ from clip to clip."""
    splits = clips(train, val)
    root.mkdir(parents=True)
    {"list": _list, "folders": _folders, "something_v2": _json}.get(name, _csv)(name, root, splits)
    return root


def write_csv(file: Path, lines: Sequence[Sequence[str]]) -> None:
    """`id;label`, or one value a line."""
    file.write_text("".join(";".join(line) + "\n" for line in lines), encoding="utf-8")


def _csv(name: str, root: Path, splits: Mapping[str, list[tuple[str, int]]]) -> None:
    stem = {"something_v1": "something-something-v1", "jester": "jester-v1"}[name]
    write_csv(root / f"{stem}-labels.csv", [(label,) for label in LABELS])
    for split, word in (("train", "train"), ("val", "validation")):
        write_csv(root / f"{stem}-{word}.csv", [(id_, LABELS[label]) for id_, label in splits[split]])
        for id_, label in splits[split]:
            frames = moving_bar(label, int(id_), frames=10 + int(id_) % 3)
            write_pictures(root / f"20bn-{stem}" / id_, frames)
    write_csv(root / f"{stem}-test.csv", [("900",)])
    write_pictures(root / f"20bn-{stem}" / "900", moving_bar(0, 900))


def _json(name: str, root: Path, splits: Mapping[str, list[tuple[str, int]]]) -> None:
    stem = "something-something-v2"
    numbers = {label: str(place) for place, label in enumerate(sorted(LABELS))}
    (root / f"{stem}-labels.json").write_text(json.dumps(numbers, indent=1))
    for split, word in (("train", "train"), ("val", "validation")):
        entries = [
            {
                "id": id_,
                "label": LABELS[label].replace("something", "a cup"),
                "template": LABELS[label].replace("something", "[something]"),
                "placeholders": ["a cup"],
            }
            for id_, label in splits[split]
        ]
        (root / f"{stem}-{word}.json").write_text(json.dumps(entries, indent=1))
        for id_, label in splits[split]:
            frames = moving_bar(label, int(id_), frames=10 + int(id_) % 3)
            write_webm(root / f"20bn-{stem}" / f"{id_}.webm", frames)
    (root / f"{stem}-test.json").write_text(json.dumps([{"id": "900"}]))
    write_webm(root / f"20bn-{stem}" / "900.webm", moving_bar(0, 900))


def _list(name: str, root: Path, splits: Mapping[str, list[tuple[str, int]]]) -> None:
    for split, entries in splits.items():
        lines = []
        for id_, label in entries:
            frames = moving_bar(label, int(id_), frames=10 + int(id_) % 3)
            write_webm(root / "some videos" / f"{id_}.webm", frames)
            lines.append(f"some videos/{id_}.webm {len(frames)} {label}\n")
        (root / f"{split}.txt").write_text("".join(lines))


def _folders(name: str, root: Path, splits: Mapping[str, list[tuple[str, int]]]) -> None:
    for split, entries in splits.items():
        for place, (id_, label) in enumerate(entries):
            frames = moving_bar(label, int(id_), frames=10 + int(id_) % 3)
            folder = root / split / LABELS[label]
            if place % 2:
                write_pictures(folder / id_, frames)
            else:
                write_webm(folder / f"{id_}.webm", frames)


def config(name: str, root: Path, **settings: Any) -> DataConfig:
    """Settings for such a data set, its own and those of the clips."""
    general = {key: settings.pop(key) for key in ("mirror", "on_unreadable") if key in settings}
    return DataConfig(dataset={"name": name, "root": str(root), **settings}, **SMALL, **general)


def open_(name: str, root: Path, **settings: Any) -> DataSet:
    return open_data(config(name, root, **settings), root.parent / "index")
