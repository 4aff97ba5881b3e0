"""Reading annotation files as the publishers of data sets wrote them.

What is wrong in a file is a Problem, given to `report`: `refuse` makes the first one an error, a check collects them
all (check.py). Reading goes on after a problem, without the entry that has it.
"""

from __future__ import annotations

import csv
import difflib
import functools
import itertools
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from harness.data.contents import what_is
from harness.errors import DataError
from harness.files import is_no_file


class Problem(NamedTuple):
    """Something wrong with an annotation or a clip.

    kind: "annotation", "bad id", "duplicate id", "unknown label", "missing", "unreadable", "wrong frame count" or
        "copy" (of a training clip).
    place: the file and line, or the clip's own path.
    clip: its id, "" where none is concerned.
    """

    kind: str
    place: str
    text: str
    split: str = ""
    clip: str = ""


Report = Callable[[Problem], None]

MOST_CLASSES = 100_000
"""A larger number in a list is no class: classes without names are counted up to the highest one."""

FAR, FEW = 10, 20
"""A label is no class where FAR times as many numbers as there are below the one before it, and FEW more, lie between
the two: of 0, 1, 2 and 90000, the last."""


def refuse(problem: Problem) -> None:
    """A Report that stops at the first problem.

    Raises:
        DataError: always.
    """
    raise DataError(f"{problem.place}: {problem.text}")


class Entry(NamedTuple):
    """One annotated clip. label: in the annotation's own words, None in a test list. frames: 0 where not stated."""

    place: str
    id: str
    label: str | None = None
    frames: int = 0


# --- Class lists --------------------------------------------------------------------------------------------


def classes_csv(path: Path, report: Report) -> list[str]:
    """One class a line, in the file's order."""
    lines = _lines(path, report)
    return list(_distinct(((place, "".join(_unquoted(line))) for place, line in lines), report))


def classes_json(path: Path, report: Report) -> list[str]:
    """{class: "index"}, in the order of the indices, which count from 0."""
    content = _json(path, dict, report) or {}
    try:
        numbered = {int(index): str(label) for label, index in content.items()}
    except (ValueError, TypeError):
        numbered = {}
    if content and sorted(numbered) != list(range(len(content))):
        report(Problem("annotation", str(path), "the classes are not numbered from 0, each number once"))
        return list(content)
    for label in numbered.values():
        _check_class(label, str(path), report)
    return [numbered[index] for index in sorted(numbered)]


def numbered_classes(lists: Mapping[str, list[Entry]], report: Report) -> list[str]:
    """Classes without names: the numbers from 0 up to the highest label of the lists.

    One label that is far beyond the others is no class: it would be one row of a network, and thousands of rows that no
    clip has would stand before it.
    """
    numbers = sorted({int(entry.label or 0) for entries in lists.values() for entry in entries})
    if not numbers:
        return []
    names = "name the classes in a file (the setting `labels`) if it is right"
    pairs = itertools.pairwise(numbers)
    far = next((n for below, n in pairs if n - below > FAR * (below + 1) + FEW), None)
    if numbers[0] == 1 and far is None and 10 * len(numbers) >= 9 * numbers[-1]:
        text = f"no clip has the label 0: do the labels count from 1? Classes count from 0; {names}"
        report(Problem("annotation", _first_with(lists, 1).place, text))
    if far is not None:
        known = [number for number in numbers if number < far]
        entry = _first_with(lists, far)
        text = f"label {far} is far from the others, of which the next is {known[-1]}; mend it, or {names}"
        report(Problem("unknown label", entry.place, text, clip=entry.id))
        return [str(number) for number in range(known[-1] + 1)]
    return [str(number) for number in range(numbers[-1] + 1)]


def _first_with(lists: Mapping[str, list[Entry]], label: int) -> Entry:
    return next(entry for entries in lists.values() for entry in entries if entry.label == str(label))


def _distinct(lines: Iterable[tuple[str, str]], report: Report) -> Iterator[str]:
    seen: set[str] = set()
    for place, line in lines:
        if line in seen:
            report(Problem("annotation", place, f"class {line!r} is listed twice"))
        else:
            _check_class(line, place, report)
            seen.add(line)
            yield line


def _check_class(name: str, place: str, report: Report) -> None:
    if rule := _unprintable(name):
        report(Problem("annotation", place, f"class {name!a} {rule}"))


# --- Clip lists ---------------------------------------------------------------------------------------------


def clips_csv(path: Path, report: Report, *, labelled: bool = True) -> list[Entry]:
    """Lines `id;label`; of a test list, `id` alone."""
    entries = []
    for place, line in _lines(path, report):
        id_, separator, label = _unquoted(line)
        if labelled and not (separator and label.strip()):
            found = next((f"; it seems to be separated by {c!r}" for c in (",", "\t") if c in line), "")
            report(Problem("annotation", place, f"{_short(line)} is not `id;label`{found}"))
        elif not labelled and (separator or re.search(r"[;,\t]", id_)):
            report(Problem("annotation", place, f"{_short(line)} is not an id alone, as a test list has it"))
        else:
            entries.append(Entry(place, id_.strip(), sys.intern(label.strip()) if labelled else None))
    return entries


def _unquoted(line: str) -> tuple[str, str, str]:
    """`id;label` in three parts, as str.partition does. Where every field is in quotes, they are no part of it."""
    if line.startswith('"') and line.endswith('"') and len(line) > 1:
        try:
            id_, *label = next(csv.reader([line], delimiter=";", strict=True))
        except csv.Error:
            return line.partition(";")
        return id_, ";" if label else "", ";".join(label)
    return line.partition(";")


def clips_json(path: Path, report: Report, *, labelled: bool = True) -> list[Entry]:
    """A list of {"id": "78687", "template": "Holding [something]", ...}; the class is the template without brackets."""
    entries = []
    keys = ("id", "template") if labelled else ("id",)
    for number, item in enumerate(_json(path, list, report, keys) or (), start=1):
        place = f"{path}: entry {number}"
        if not isinstance(item, dict) or not all(isinstance(item.get(key), str) for key in keys):
            report(Problem("annotation", place, f"{_short(item)} has no text under {' and '.join(keys)}"))
            continue
        label = sys.intern(item["template"].replace("[", "").replace("]", "")) if labelled else None
        entries.append(Entry(place, item["id"], label))
    return entries


def clips_list(path: Path, report: Report) -> list[Entry]:
    """Lines `path num_frames label`; the path may hold spaces, the label is a class number from 0."""
    entries = []
    for place, line in _lines(path, report):
        parts = line.rsplit(maxsplit=2)
        if len(parts) != 3 or not all(re.fullmatch(r"\d{1,9}", part) for part in parts[1:]):
            text = f"{_short(line)} is not `path num_frames label`, two numbers last"
            report(Problem("annotation", place, text))
        elif int(parts[1]) == 0:
            report(Problem("annotation", place, f"{_short(line)} has no frames", clip=parts[0]))
        elif (label := int(parts[2])) >= MOST_CLASSES:
            text = f"label {label} is no class; classes are numbered from 0, up to {MOST_CLASSES - 1:,}"
            report(Problem("unknown label", place, text, clip=parts[0]))
        else:
            entries.append(Entry(place, parts[0], str(int(parts[2])), int(parts[1])))
    return entries


# --- What must hold over all lists --------------------------------------------------------------------------


def checked(
    lists: Mapping[str, list[Entry]], classes: list[str], report: Report
) -> dict[str, list[tuple[Entry, int]]]:
    """The entries that can be used, by split, with the index of their class; -1 where there is no label.

    Labels may store their accents in either way of Unicode. An id must be a relative path downwards, and stand in one
    list, once: a clip in training and in validation would be measured on what it was trained with.
    """
    places: dict[str, int] = {}
    for place, label in enumerate(classes):
        if (other := places.setdefault(_spelled(label), place)) != place:
            text = f"classes {classes[other]!a} and {label!a} are the same letters, stored in two ways of Unicode"
            report(Problem("annotation", "classes", text))
    seen: dict[str, str] = {}
    good: dict[str, list[tuple[Entry, int]]] = {}
    for split, entries in lists.items():
        good[split] = []
        for entry in entries:
            rule = id_problem(entry.id)
            if rule:
                report(Problem("bad id", entry.place, f"id {entry.id!r} {rule}", split, entry.id))
            elif entry.id in seen:
                text = f"id {entry.id!r} stands also at {seen[entry.id]}"
                report(Problem("duplicate id", entry.place, text, split, entry.id))
            elif entry.label is not None and _spelled(entry.label) not in places:
                text = f"label {entry.label!r} is no class{_nearest(entry.label, tuple(classes))}"
                report(Problem("unknown label", entry.place, text, split, entry.id))
            else:
                good[split].append((entry, -1 if entry.label is None else places[_spelled(entry.label)]))
            seen.setdefault(entry.id, entry.place)
    return good


def _spelled(label: str) -> str:
    """Letters with accents are stored as one sign or as two, by the system that wrote them; both are the same class."""
    return label if label.isascii() else unicodedata.normalize("NFC", label)


def id_problem(id_: str) -> str:
    """Why an id cannot name a file under the data set's root; "" where it can."""
    if id_.isalnum():
        return ""
    if rule := _unprintable(id_):
        return rule
    if "\\" in id_ or id_.startswith(("/", "~")) or re.match(r"[A-Za-z]:", id_):
        return "is not a path relative to the data set's root"
    if any(part in ("", ".", "..") for part in id_.split("/")):
        return "leaves the data set's root or goes in circles; it may not hold '.', '..' or '//'"
    return ""


def _unprintable(name: str) -> str:
    """Why a name is none that every file and terminal takes; "" where it is."""
    if not name.strip() or any(ord(letter) < 32 or 127 <= ord(letter) < 160 for letter in name):
        return "is empty or holds control characters"
    if any(
        "\ud800" <= letter <= "\udfff" for letter in name
    ):  # Python's stand-ins for bytes that are no text
        return "is not UTF-8 text"
    return ""


@functools.cache  # a wrong class list makes every label of 200,000 unknown
def _nearest(label: str, classes: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(label, classes, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; none of the {len(classes)} classes is near"


# --- Files --------------------------------------------------------------------------------------------------


def _lines(path: Path, report: Report) -> Iterator[tuple[str, str]]:
    """(place, line) of every line that is not blank. A byte-order mark is no part of the first one."""
    text, found = _text(path, report), False
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.strip():
            found = True
            yield f"{path}: line {number}", line
    if text and not found:
        report(Problem("annotation", str(path), "the file holds nothing but blank lines"))


def _json(path: Path, kind: type, report: Report, keys: Collection[str] = ()) -> Any:
    """The file's content, None after a problem.

    Args:
        keys: of each mapping only these are kept; all without them.
    """
    text = _text(path, report)
    try:
        only = (lambda found: {key: found[key] for key in keys if key in found}) if keys else None
        content = json.loads(text, object_hook=only) if text else None
    except (ValueError, RecursionError) as error:
        report(Problem("annotation", str(path), f"is not JSON: {error}"))
        return None
    if content is not None and not isinstance(content, kind):
        wanted = "a mapping of class to index" if kind is dict else "a list of clips"
        report(Problem("annotation", str(path), f"is not {wanted}"))
        return None
    if content is not None and not content:
        report(Problem("annotation", str(path), "the file lists nothing"))
    return content


def _text(path: Path, report: Report) -> str:
    try:
        if is_no_file(path):
            report(Problem("annotation", str(path), "cannot be read: it is no file"))
            return ""
        data = path.read_bytes()
        found = what_is(data[:512])
        if found.startswith(("a Git LFS", "a web page", "a zip", "a gzip")):
            report(Problem("annotation", str(path), f"cannot be read: it is {found}"))
            return ""
        text = data.decode().lstrip("\ufeff")  # byte-order marks: joined files have several
    except FileNotFoundError:
        report(Problem("annotation", str(path), "no such annotation file"))
        return ""
    except OSError as error:
        report(Problem("annotation", str(path), f"cannot be read: {error.strerror}"))
        return ""
    except UnicodeDecodeError as error:
        report(Problem("annotation", str(path), f"is not UTF-8 text (byte {error.start}); save it as UTF-8"))
        return ""
    if not text:
        report(Problem("annotation", str(path), "the file is empty"))
    return text


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
