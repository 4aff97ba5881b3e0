"""Predictions of anybody's training code as the record of a study: the same statistics, tables and figures follow.

A CSV has the columns `clip`, `label`, `predicted` and `seed`, a row a clip and seed. `cluster` names what clips
share that are not independent, such as one video cut in two; without it every clip is on its own. `variant` names
the row of the table; without it a file is a variant, named as the file. Other columns are left alone.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness.errors import StudyError, nearest
from harness.files import is_no_file
from harness.metrics import counts
from harness.records import StudyRecord, TrialRecord

NEEDED = ("clip", "label", "predicted", "seed")

_OTHER_MARKS = {";": "semicolons", "\t": "tabs", "|": "bars"}

QUESTION = "Whose predictions are better?"


class _Row(NamedTuple):
    """A line of a CSV. place: the file and the line, for messages."""

    place: str
    variant: str
    seed: int
    clip: str
    label: str
    predicted: str
    cluster: str | None


def record_of(
    files: Sequence[Path], *, name: str, baseline: str = "", margin: float = 0.0, question: str = ""
) -> StudyRecord:
    """Read CSVs of predictions.

    Args:
        name: of the study; its report's folder.
        baseline: a variant; the first one without it.
        margin: points that do not matter; 0 for none.

    Raises:
        StudyError: a file cannot be read, or is not as described above: in one line, with file, line and column; or
            a seed of a variant lacks a clip that another has; or there is but one variant.
    """
    rows = [row for file in files for row in _read(file)]
    trials: dict[tuple[str, int], dict[str, _Row]] = {}
    known: dict[str, _Row] = {}
    for row in rows:
        mine = trials.setdefault((row.variant, row.seed), {})
        if row.clip in mine:
            raise StudyError(_twice(row, mine[row.clip]))
        mine[row.clip] = row
        _check_same(row, known.setdefault(row.clip, row))
    variants = list(dict.fromkeys(row.variant for row in rows))
    if len(variants) < 2:
        raise StudyError(
            f"--predictions: {', '.join(map(str, files))}: one variant alone; two or more are compared"
        )
    if baseline and baseline not in variants:
        raise StudyError(f"--baseline: no variant {baseline!r}{nearest(baseline, variants)}")
    _check_whole(trials)
    classes = _classes(rows)
    return StudyRecord(
        name=name,
        question=question or QUESTION,
        source="",
        reference="",
        baseline=baseline or variants[0],
        variants=variants,
        seeds=sorted({row.seed for row in rows}),
        settings={},
        differs={},
        protocol={str(file): _origin(file, rows) for file in files},
        classes=classes,
        groups=[""] * len(classes),
        trials=[_trial(*key, list(mine.values()), classes) for key, mine in sorted(trials.items())],
        costs={},
        margin=margin,
        predictions=[str(file) for file in files],
    )


def _read(file: Path) -> Iterator[_Row]:
    if is_no_file(file):
        raise StudyError(f"{file}: cannot be read: it is no file")
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            reader = csv.reader(opened, strict=True)
            first: list[str] = next((cells for cells in reader if cells), [])
            header = [name.strip() for name in first]
            _check_header(file, header)
            places = {name: header.index(name) for name in (*NEEDED, "cluster", "variant") if name in header}
            found = 0
            for cells in reader:
                if not cells:
                    continue
                found += 1
                place = f"{file}:{reader.line_num}"
                if len(cells) != len(header):
                    raise StudyError(f"{place}: {len(cells)} values for {len(header)} columns")
                yield _row(file, place, {name: cells[at].strip() for name, at in places.items()})
            if not found:
                raise StudyError(f"{file}: has no row below its header")
    except OSError as error:
        raise StudyError(f"{file}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise StudyError(f"{file}: is no CSV in UTF-8: {error}; save it as one") from None


def _check_header(file: Path, header: Sequence[str]) -> None:
    for mark, called in _OTHER_MARKS.items():
        if len(header) == 1 and header[0].count(mark) >= len(NEEDED) - 1:
            raise StudyError(f"{file}:1: its columns stand apart by {called}; write commas")
    for name in NEEDED:
        if name not in header:
            hint = nearest(name, header) if header else "; the file is empty"
            raise StudyError(f"{file}:1: {name}: no such column{hint}")
    for name in header:
        if header.count(name) > 1 and name in (*NEEDED, "cluster", "variant"):
            raise StudyError(f"{file}:1: {name}: stands twice in the header")


def _row(file: Path, place: str, cells: Mapping[str, str]) -> _Row:
    for name, value in cells.items():
        if not value:
            raise StudyError(f"{place}: {name}: is empty")
    try:
        seed = int(cells["seed"])
    except ValueError:
        raise StudyError(f"{place}: seed: {cells['seed']!r} is not a whole number") from None
    variant, cluster = cells.get("variant", file.stem), cells.get("cluster")
    return _Row(place, variant, seed, cells["clip"], cells["label"], cells["predicted"], cluster)


def _twice(row: _Row, first: _Row) -> str:
    """That a clip has two predictions of one trial; of two files of one name, which they may come from, how."""
    words = f"{row.place}: clip: {row.clip!r} stands twice for {row.variant} seed {row.seed}; first in {first.place}"
    if row.place.rpartition(":")[0] != first.place.rpartition(":")[0]:
        words += "; files of one name are one variant: rename one, or add a column `variant` to both"
    return words


def _check_same(row: _Row, first: _Row) -> None:
    """A clip is of one class and of one cluster, wherever it stands."""
    for name in ("label", "cluster"):
        mine, other = getattr(row, name), getattr(first, name)
        if (mine is None) != (other is None):
            raise StudyError(
                f"{row.place}: cluster: is given in one of the files alone; {first.place} differs"
            )
        if mine != other:
            raise StudyError(
                f"{row.place}: {name}: {mine!r} of clip {row.clip!r}; {first.place} has {other!r}"
            )


def _check_whole(trials: Mapping[tuple[str, int], Mapping[str, _Row]]) -> None:
    """Accuracies on different clips cannot be compared."""
    (first, clips), *others = trials.items()
    for key, mine in others:
        for one, two, where in ((clips, mine, key), (mine, clips, first)):
            if lacking := [clip for clip in one if clip not in two]:
                more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
                raise StudyError(
                    f"{one[lacking[0]].place}: clip: {lacking[0]!r}{more} "
                    f"{'is' if len(lacking) == 1 else 'are'} not there for {where[0]} seed {where[1]}; "
                    "every seed of every variant needs the same clips"
                )


def _classes(rows: Sequence[_Row]) -> list[str]:
    """All labels and predictions, sorted, numbers by size."""
    labels = {row.label for row in rows}
    for variant in dict.fromkeys(row.variant for row in rows):
        mine = [row for row in rows if row.variant == variant]
        if not any(row.predicted in labels for row in mine):
            raise StudyError(
                f"{mine[0].place}: predicted: {mine[0].predicted!r}, like every prediction of {variant}, is no "
                f"label{nearest(mine[0].predicted, labels)}; write both alike"
            )
    names = labels | {row.predicted for row in rows}
    numbers = all(name.removeprefix("-").isdecimal() for name in names)
    return sorted(names, key=lambda name: (int(name) if numbers else 0, name))


def _trial(variant: str, seed: int, rows: Sequence[_Row], classes: Sequence[str]) -> TrialRecord:
    """Predictions and the accuracies that they give; there is nothing else to know."""
    rows = sorted(rows, key=lambda row: row.clip)
    numbers = {name: place for place, name in enumerate(classes)}
    labels = np.array([numbers[row.label] for row in rows])
    predicted = np.array([numbers[row.predicted] for row in rows])
    clusters = [row.cluster or row.clip for row in rows]
    table = counts(labels, predicted, len(classes))
    per_class = {
        name: 100.0 * float(table[place, place] / table[place].sum())
        for place, name in enumerate(classes)
        if table[place].any()
    }
    content = "\n".join(f"{row.clip}\t{row.label}\t{row.predicted}" for row in rows)
    return TrialRecord(
        trial_id=hashlib.sha256(content.encode()).hexdigest()[:16],
        variant=variant,
        seed=seed,
        status="done",
        last={"top1": 100.0 * float((labels == predicted).mean())},
        per_class=per_class,
        predictions={
            "clip": [row.clip for row in rows],
            "cluster": clusters,
            "label": labels.tolist(),
            "predicted": predicted.tolist(),
        },
    )


def _origin(file: Path, rows: Sequence[_Row]) -> str:
    mine = [row for row in rows if row.place.rpartition(":")[0] == str(file)]
    seeds = ", ".join(map(str, sorted({row.seed for row in mine})))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    clips = len({row.clip for row in mine})
    return f"{clips:,} clips, seeds {seeds}; sha256 {digest}"
