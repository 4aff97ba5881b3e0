"""Clips, and the clips of a large data set as columns: arrays, mapped from a file, in place of an object for each clip.

Of 200,000 clips, objects take 150 MiB and two seconds; columns take what is looked at.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np

from harness.files import seal, sealed_bytes

SPLITS = ("train", "val")

UNKNOWN = 255
"""In the column `special`: nobody looked."""


@dataclass(frozen=True, kw_only=True)
class Clip:
    """One clip of a data set: a video file, or a folder with one picture a frame.

    id: what the data set's publisher calls it.
    file: the video, or the folder of pictures.
    pictures: how the pictures are named, as in "{frame:05d}.jpg"; "" for a video.
    first_picture: the number in the first picture's name.
    frames: counted when the index was made; 0 where the clip cannot be read.
    problem: why it cannot be read, "" where it can.
    level: how hard it is, a number whose meaning is the data set's `level_name`; None where clips have none.
    special: 0 for a clip whose frames are stored as they are shown. Of pictures, their orientation as EXIF counts it, 2
        to 8; of a video, video.SPECIAL. None where nobody looked; then it is looked up when frames are read.
    sha256: of a video that this project wrote itself, "" for others.
    cluster: what clips share that are not independent of each other, such as one clip forwards and backwards; "" for
        a clip on its own. Statistics over clips count clusters.
    """

    id: str
    file: Path
    split: str  # one of SPLITS; "" in none, where others are held out in its place
    label: int
    frames: int
    level: float | None = None
    pictures: str = ""
    first_picture: int = 1
    problem: str = ""
    special: int | None = None
    sha256: str = ""
    cluster: str = ""

    @property
    def is_video(self) -> bool:
        """A video file rather than a folder of pictures."""
        return not self.pictures

    def picture(self, frame: int) -> Path:
        """The picture of a frame, counted from 0 like everywhere in the code, whatever its name says."""
        return self.file / self.pictures.format(frame=self.first_picture + frame)


Place = Callable[[str, bool], tuple[Path, str]]
"""From an id, and whether the clip is a folder of pictures, to its file and how its pictures are named."""

_TYPES = {
    "split": "u1",
    "label": "<i4",
    "frames": "<i4",
    "special": "u1",
    "pictures": "?",
    "stop": "<i8",
    "ids": "u1",
}
"""Columns of a file. split: place in SPLITS, then test lists. stop: where an id ends in `ids`, which is UTF-8."""

_CODES = {"split": "B", "label": "i", "frames": "i", "special": "B", "pictures": "B", "stop": "q"}
"""The same in Python's arrays, which grow."""

_NAMES = (*SPLITS, "test")


class Columns(Sequence[Clip]):
    """Clips that are made when they are asked for.

    Args:
        table: by the names in _TYPES, one value a clip; `ids` one byte a letter.
        problems: of the clips that cannot be read, by their place in the table.
        chosen: places in the table of the clips that are here, in order; all without it.
    """

    def __init__(
        self,
        table: dict[str, np.ndarray],
        problems: dict[int, str],
        place: Place,
        first_picture: int,
        chosen: np.ndarray | None = None,
    ) -> None:
        self.table, self.problems = table, problems
        self.place, self.first_picture = place, first_picture
        self._chosen = chosen

    def __len__(self) -> int:
        return len(self.table["split"] if self._chosen is None else self._chosen)

    @overload
    def __getitem__(self, place: int) -> Clip: ...
    @overload
    def __getitem__(self, place: slice) -> Columns: ...
    def __getitem__(self, place: int | slice) -> Clip | Columns:
        if isinstance(place, slice):
            return self.select(np.arange(len(self))[place])
        row = range(len(self))[place] if self._chosen is None else int(self._chosen[place])
        table = self.table
        id_ = self.id_of(row)
        file, pictures = self.place(id_, bool(table["pictures"][row]))
        special = int(table["special"][row])
        return Clip(
            id=id_,
            file=file,
            split=_NAMES[table["split"][row]],
            label=int(table["label"][row]),
            frames=int(table["frames"][row]),
            pictures=pictures,
            first_picture=self.first_picture,
            problem=self.problems.get(row, ""),
            special=None if special == UNKNOWN else special,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Clip.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        """As arrays: what is mapped here need not be there for another process."""
        table = {name: np.array(column) for name, column in self.table.items()}
        return Columns, (table, self.problems, self.place, self.first_picture, self._chosen)

    def id_bytes(self, row: int) -> bytes:
        """The UTF-8 of an id, by its place in the table."""
        stops = self.table["stop"]
        return bytes(self.table["ids"][stops[row - 1] if row else 0 : stops[row]])

    def id_of(self, row: int) -> str:
        """An id, by its place in the table."""
        return self.id_bytes(row).decode(errors="surrogateescape")

    def column(self, name: str) -> np.ndarray:
        """Of the clips that are here."""
        column = self.table[name]
        return column if self._chosen is None else column[self._chosen]

    def places_with_problem(self) -> np.ndarray:
        """Which of the clips that are here cannot be read."""
        found = np.zeros(len(self.table["split"]), dtype=bool)
        found[list(self.problems)] = True
        return found if self._chosen is None else found[self._chosen]

    def select(self, places: np.ndarray) -> Columns:
        """Some of them."""
        rows = places if self._chosen is None else self._chosen[places]
        return Columns(self.table, self.problems, self.place, self.first_picture, rows)


# --- Any sequence of clips -----------------------------------------------------------------------------------


def in_split(clips: Sequence[Clip], split: str) -> np.ndarray:
    """(clips,) bool: which are of a split."""
    if isinstance(clips, Columns):
        return clips.column("split") == _NAMES.index(split)
    return np.array([clip.split == split for clip in clips], dtype=bool)


def with_problem(clips: Sequence[Clip]) -> np.ndarray:
    """(clips,) bool: which cannot be read."""
    if isinstance(clips, Columns):
        return clips.places_with_problem()
    return np.array([bool(clip.problem) for clip in clips], dtype=bool)


def numbers_of(clips: Sequence[Clip], name: str) -> np.ndarray:
    """(clips,) int64: "label" or "frames" of each."""
    if isinstance(clips, Columns):
        return clips.column(name).astype(np.int64)
    return np.array([getattr(clip, name) for clip in clips], dtype=np.int64)


def chosen(clips: Sequence[Clip], places: np.ndarray) -> Sequence[Clip]:
    """Those at some places, in their order."""
    return clips.select(places) if isinstance(clips, Columns) else [clips[place] for place in places]


# --- Making and keeping them ----------------------------------------------------------------------------------


class Table:
    """Columns as they grow, clip by clip."""

    def __init__(self) -> None:
        self._ids = bytearray()
        self._rows = {name: array(code) for name, code in _CODES.items()}

    def add(self, id_: str, split: str, label: int, *, pictures: bool) -> None:
        """A clip that nobody has looked at yet."""
        self._ids += id_.encode(errors="surrogateescape")
        for name, value in zip(
            _CODES, (_NAMES.index(split), label, 0, UNKNOWN, pictures, len(self._ids)), strict=True
        ):
            self._rows[name].append(value)

    def columns(self) -> dict[str, np.ndarray]:
        """What was added. `frames` and `special` are there to be filled in."""
        rows = {name: np.frombuffer(column, _TYPES[name]) for name, column in self._rows.items()}
        return rows | {"ids": np.frombuffer(bytes(self._ids), np.uint8)}


def write_columns(file: Path, about: dict[str, Any], clips: Columns) -> None:
    """All clips of a table, and what else is known of them, into one file."""
    head = about | {"problems": {str(row): text for row, text in clips.problems.items()}}
    with file.open("wb") as opened:
        np.save(opened, np.frombuffer(json.dumps(head).encode(), np.uint8))
        for name in _TYPES:
            np.save(opened, clips.table[name])
    seal(file)


def read_columns(file: Path, place: Place, first_picture: int) -> tuple[dict[str, Any], Columns]:
    """What `write_columns` wrote; the columns stay in the file until they are looked at.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, or is not whole.
    """
    if sealed_bytes(file) < 0:
        raise ValueError("it is damaged")
    with file.open("rb") as opened:
        about = json.loads(_mapped(opened, file, "u1").tobytes())
        table = {name: _mapped(opened, file, kind) for name, kind in _TYPES.items()}
    problems = {int(row): str(text) for row, text in about.pop("problems").items()}
    _check(table, problems)
    return about, Columns(table, problems, place, first_picture)


def _mapped(opened: Any, file: Path, kind: str) -> np.ndarray:
    try:
        np.lib.format.read_magic(opened)
        shape, _, dtype = np.lib.format.read_array_header_1_0(opened)
    except Exception:  # it reads Python, and lets through whatever can be wrong with that
        raise ValueError("a column has no head") from None
    if dtype != np.dtype(kind) or len(shape) != 1:
        raise ValueError(f"a column of {dtype} in place of {np.dtype(kind)}")
    start = opened.tell()
    opened.seek(shape[0] * dtype.itemsize, 1)
    return (
        np.memmap(file, dtype=dtype, mode="r", offset=start, shape=shape) if shape[0] else np.empty(0, dtype)
    )


def _check(table: dict[str, np.ndarray], problems: dict[int, str]) -> None:
    """That columns fit each other, so that any clip can be made of them."""
    count, stops = len(table["split"]), table["stop"]
    if any(len(column) != count for name, column in table.items() if name != "ids"):
        raise ValueError("its columns differ in length")
    if count and (stops[0] < 0 or (stops[1:] < stops[:-1]).any() or stops[-1] != len(table["ids"])):
        raise ValueError("its ids do not follow each other")
    if (table["split"] >= len(_NAMES)).any() or (table["frames"] < 0).any():
        raise ValueError("a clip is in no split, or has less than no frames")
    if not all(0 <= row < count for row in problems):
        raise ValueError("a problem is of no clip")
