"""Clips of validation or test that are byte copies of training clips, whatever they are called.

Sizes are compared first, then some bytes of those that agree, and only what still agrees is read whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.data.columns import Clip, Columns, in_split
from harness.data.sources.annotations import Problem

PIECE = 4096
"""Bytes of the middle of a file, compared before whole files are."""


def size_of(clip: Clip, frames: int) -> int:
    """A number that copies have in common: of a video its size, of pictures how many there are and two sizes."""
    if clip.is_video:
        return clip.file.stat().st_size
    first, last = (clip.picture(frame).stat().st_size for frame in (0, frames - 1))
    return hash((frames, first, last))


def copies(clips: Columns, sizes: np.ndarray) -> Iterator[Problem]:
    """One problem for each clip outside training that has the bytes of a training clip; it names both.

    Args:
        clips: with their number of frames.
        sizes: of each, `size_of`.
    """
    # Those of a size that is in training and elsewhere; as arrays, since clips are many and such sizes few.
    _, which = np.unique(sizes, return_inverse=True)
    train = in_split(clips, "train")
    inside, outside = (np.bincount(which[part], minlength=len(sizes)) > 0 for part in (train, ~train))
    both = inside & outside
    groups = _leaking(np.flatnonzero(both[which]).tolist(), clips, lambda place: int(sizes[place]))
    for mark in (_piece, _whole):
        groups = [
            smaller
            for group in groups
            for smaller in _leaking(group, clips, lambda place, mark=mark: mark(clips[place]))  # type: ignore[misc]
        ]
    for group in groups:
        source = next(clips[place] for place in group if clips[place].split == "train")
        for clip in (clips[place] for place in group if clips[place].split != "train"):
            text = f"{clip.file}: has the same bytes as the training clip {source.id}"
            yield Problem("copy", str(clip.file), text, clip.split, clip.id)


def _leaking(
    places: Iterable[int], clips: Sequence[Clip], mark: Callable[[int], Hashable]
) -> list[list[int]]:
    """Places with the same mark, of training and of another split. What cannot be read has no mark."""
    marked: dict[Hashable, list[int]] = {}
    for place in places:
        try:
            marked.setdefault(mark(place), []).append(place)
        except OSError:
            continue
    return [
        group for group in marked.values() if len(group) > 1 and _leaks(clips[place].split for place in group)
    ]


def _leaks(splits: Iterable[str]) -> bool:
    return len({split == "train" for split in splits}) == 2


def _files(clip: Clip) -> list[Path]:
    return [clip.file] if clip.is_video else [clip.picture(frame) for frame in range(clip.frames)]


def _piece(clip: Clip) -> bytes:
    file = _files(clip)[len(_files(clip)) // 2]
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size // 2 - PIECE // 2))
        return opened.read(PIECE)


def _whole(clip: Clip) -> bytes:
    digest = hashlib.sha256()
    for file in _files(clip):
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()
