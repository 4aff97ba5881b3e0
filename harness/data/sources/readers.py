"""Data sets from elsewhere, by name: which files lie where under a data set's root.

<root>/something-something-v1-train.csv ...         annotations, read by annotations.py
<root>/20bn-something-something-v1/<id>/00001.jpg   clips, counted by index_files.py
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.data.columns import SPLITS
from harness.data.container import VIDEO_SUFFIXES
from harness.data.sources.annotations import (
    Entry,
    Problem,
    Report,
    classes_csv,
    classes_json,
    clips_csv,
    clips_json,
    clips_list,
    numbered_classes,
)
from harness.errors import DataError

ROOTS = "MIXTBENCH_DATASETS"
"""The environment variable with the folder that holds a folder for each data set, by its name."""

LABEL_ORDERS = ("sorted", "file")

_PICTURES = re.compile(r"[^{}/]*\{frame(:0\d+d)?\}[^{}/]*")


@dataclass(frozen=True)
class Places:
    """From an id, and whether the clip is a folder, to its file or folder, and how its pictures are named."""

    before: str
    after: str
    pictures: str

    def __call__(self, id_: str, folder: bool) -> tuple[Path, str]:
        return Path(f"{self.before}{id_}{self.after}"), self.pictures if folder else ""


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """Where a data set lies. All paths are relative to `root`.

    Attributes:
        root: the data set's folder; "" is $MIXTBENCH_DATASETS/<name>.
        train, val, test: the annotations of the splits. Test lists have no labels and are only checked; "" for none.
        clips: where a clip lies: "videos/{id}.webm" is a file, "frames/{id}/{frame:05d}.jpg" a folder of pictures.
        first_picture: the number in the name of a folder's first picture.
    """

    name: ClassVar[str]
    root: str = ""
    train: str
    val: str
    test: str = ""
    clips: str
    first_picture: int = 1

    def __post_init__(self) -> None:
        for name in ("train", "val"):
            if not getattr(self, name):
                raise DataError(f"{name}: is empty; name the annotation of this split")
        if self.first_picture < 0:
            raise DataError(f"first_picture: {self.first_picture} is below 0")
        folder, _, last = self.clips.rpartition("/")
        where, pictures = (folder, last) if "{frame" in self.clips else (self.clips, "")
        if where.count("{id}") != 1 or re.search(r"[{}]", where.replace("{id}", "")):
            raise DataError(
                f"clips: {self.clips!r} has no {{id}}, or other braces; write videos/{{id}}.webm or such"
            )
        if pictures and not _PICTURES.fullmatch(pictures):
            raise DataError(f"clips: {last!r} is no name of a picture; write {{frame:05d}}.jpg or such, once")

    @property
    def pictures(self) -> str:
        """How a clip's pictures are named, "" for videos."""
        return self.clips.rpartition("/")[2] if "{frame" in self.clips else ""

    def folder(self) -> Path:
        """The root.

        Raises:
            DataError: none was given.
        """
        if self.root:
            return Path(os.path.expandvars(self.root)).expanduser().absolute()
        if os.environ.get(ROOTS):
            return Path(os.environ[ROOTS]).expanduser().absolute() / self.name
        raise DataError(
            f"root: where is {self.name}? Set data.dataset: {{name: {self.name}, root: FOLDER}}, "
            f"or {ROOTS} to a folder with a folder {self.name}"
        )

    def files(self) -> list[str]:
        """The annotation files that must be there."""
        return [self.train, self.val]

    def annotation(self, root: Path, file: str) -> Path:
        """Where an annotation file lies."""
        return root / file

    def places(self, root: Path) -> Places:
        """Where a clip lies."""
        pictures = self.pictures
        where = self.clips[: -len(pictures) - 1] if pictures else self.clips
        before, after = where.split("{id}")
        return Places(os.path.join(root, os.path.expanduser(before)), after, pictures)

    def is_folder(self, file: Path) -> bool:
        """Whether a clip is a folder of pictures."""
        return bool(self.pictures)

    def entries(self, root: Path, report: Report) -> tuple[list[str], dict[str, list[Entry]]]:
        """Classes, and the clips of each split that has an annotation."""
        raise NotImplementedError

    def digest(self, root: Path) -> str:
        """Changes whenever an annotation does; not with the test list, which decides no result."""
        return _joined(_sha256_of(self.annotation(root, file)) for file in self.files())


@dataclass(frozen=True, kw_only=True)
class LabelledConfig(ReaderConfig):
    """A data set whose classes are listed in a file.

    Attributes:
        labels: that file.
        label_order: "sorted" numbers the classes by their names, "file" in the file's order. Public repositories
            differ; a network trained under one order is useless under the other.
    """

    labels: str
    label_order: str = "sorted"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.labels:
            raise DataError("labels: is empty; name the file that lists the classes")
        if self.label_order not in LABEL_ORDERS:
            raise DataError(f"label_order: {self.label_order!r} is none of {', '.join(LABEL_ORDERS)}")

    def files(self) -> list[str]:
        return [self.labels, *super().files()]

    def entries(self, root: Path, report: Report) -> tuple[list[str], dict[str, list[Entry]]]:
        json_, labels = self.labels.endswith(".json"), self.annotation(root, self.labels)
        classes = (classes_json if json_ else classes_csv)(labels, report)
        read = clips_json if self.train.endswith(".json") else clips_csv
        lists = {split: read(self.annotation(root, getattr(self, split)), report) for split in SPLITS}
        if self.test and os.path.exists(test := self.annotation(root, self.test)):
            lists["test"] = read(test, report, labelled=False)
        return (sorted(classes) if self.label_order == "sorted" else classes), lists


@dataclass(frozen=True, kw_only=True)
class SomethingV1Config(LabelledConfig):
    """Something-Something v1, as its publisher packs it: csv annotations, jpg frames."""

    name: ClassVar[str] = "something_v1"
    train: str = "something-something-v1-train.csv"
    val: str = "something-something-v1-validation.csv"
    test: str = "something-something-v1-test.csv"
    labels: str = "something-something-v1-labels.csv"
    clips: str = "20bn-something-something-v1/{id}/{frame:05d}.jpg"


@dataclass(frozen=True, kw_only=True)
class SomethingV2Config(LabelledConfig):
    """Something-Something v2, as its publisher packs it: json annotations, VP9 videos."""

    name: ClassVar[str] = "something_v2"
    train: str = "something-something-v2-train.json"
    val: str = "something-something-v2-validation.json"
    test: str = "something-something-v2-test.json"
    labels: str = "something-something-v2-labels.json"
    clips: str = "20bn-something-something-v2/{id}.webm"

    def annotation(self, root: Path, file: str) -> Path:
        """Its publisher packs the same files as labels/train.json and so on now."""
        newer = root / "labels" / file.removeprefix("something-something-v2-")
        return newer if os.path.isfile(newer) and not os.path.exists(root / file) else root / file


@dataclass(frozen=True, kw_only=True)
class JesterConfig(LabelledConfig):
    """Jester v1, as its publisher packs it: csv annotations, jpg frames."""

    name: ClassVar[str] = "jester"
    train: str = "jester-v1-train.csv"
    val: str = "jester-v1-validation.csv"
    test: str = "jester-v1-test.csv"
    labels: str = "jester-v1-labels.csv"
    clips: str = "20bn-jester-v1/{id}/{frame:05d}.jpg"


@dataclass(frozen=True, kw_only=True)
class ListConfig(ReaderConfig):
    """Anything in the field's lists of `path num_frames label` lines.

    Attributes:
        labels: a file with one class name a line; without one, classes are named by their numbers.
    """

    name: ClassVar[str] = "list"
    train: str = "train.txt"
    val: str = "val.txt"
    labels: str = ""
    clips: str = "{id}"

    def files(self) -> list[str]:
        return [*([self.labels] if self.labels else []), *super().files()]

    def entries(self, root: Path, report: Report) -> tuple[list[str], dict[str, list[Entry]]]:
        lists = {split: clips_list(root / getattr(self, split), report) for split in SPLITS}
        classes = classes_csv(root / self.labels, report) if self.labels else numbered_classes(lists, report)
        if not self.labels:
            return classes, lists
        from_one = {int(e.label or 0) for entries in lists.values() for e in entries} == set(
            range(1, len(classes) + 1)
        )
        return classes, {
            split: self._named(entries, classes, split, report, "; these count from 1" if from_one else "")
            for split, entries in lists.items()
        }

    def _named(
        self, entries: list[Entry], classes: list[str], split: str, report: Report, hint: str
    ) -> list[Entry]:
        """With the classes' names in place of their numbers."""
        named = []
        for entry in entries:
            number = int(entry.label or 0)
            if number < len(classes):
                named.append(entry._replace(label=classes[number]))
            else:
                text = (
                    f"label {number} is no class; {self.labels} lists {len(classes)}, numbered from 0{hint}"
                )
                report(Problem("unknown label", entry.place, text, split, entry.id))
        return named


@dataclass(frozen=True, kw_only=True)
class FoldersConfig(ReaderConfig):
    """A folder per class: `train/<class>/<clip>` and `val/<class>/<clip>`, each clip a video or a folder of pictures.

    Attributes:
        clips: how the pictures of a clip's folder are named.
    """

    name: ClassVar[str] = "folders"
    train: str = "train"
    val: str = "val"
    clips: str = "{id}/{frame:05d}.jpg"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.pictures or self.clips != f"{{id}}/{self.pictures}":
            raise DataError(
                f"clips: {self.clips!r}: only the name of a picture can be chosen, as in {{id}}/{{frame:05d}}.jpg"
            )

    def places(self, root: Path) -> Places:
        return Places(os.path.join(root, ""), "", self.pictures)

    def is_folder(self, file: Path) -> bool:
        return os.path.isdir(file)

    def entries(self, root: Path, report: Report) -> tuple[list[str], dict[str, list[Entry]]]:
        lists = {split: list(self._clips(root, split, report)) for split in SPLITS}
        return sorted({e.label for e in lists["train"] if e.label is not None}), lists

    def _clips(self, root: Path, split: str, report: Report) -> Iterator[Entry]:
        top = os.path.relpath(root / getattr(self, split), root).replace(os.sep, "/")
        for label, place in self._walk(root, split, report):
            id_ = f"{top}/{label}/{place.name}"
            if place.is_dir() or os.path.splitext(place.name)[1].lower() in VIDEO_SUFFIXES:
                yield Entry(place.path, id_, label)
            else:
                text = "is neither a folder nor a video, as its name ends"
                report(Problem("annotation", place.path, text, split, id_))

    def _walk(self, root: Path, split: str, report: Report) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Every clip with its class, class by class; hidden files are the system's own."""
        top, found = root / getattr(self, split), 0
        try:
            classes = [place for place in _listed(top) if not place.name.startswith(".")]
            for place in classes:
                for clip in _listed(place.path) if place.is_dir() else ():
                    found += 1
                    if not clip.name.startswith("."):
                        yield sys.intern(place.name), clip
        except OSError as error:
            report(Problem("annotation", str(top), f"cannot be listed: {error.strerror}", split))
            return
        for place in classes:
            if not place.is_dir():
                report(Problem("annotation", place.path, "lies beside the folders of the classes", split))
        if not found:
            report(Problem("annotation", str(top), "holds no folder of a class with clips in it", split))

    def digest(self, root: Path) -> str:
        problems: list[Problem] = []
        ids = (entry.id for split in SPLITS for entry in self._clips(root, split, problems.append))
        names = itertools.chain(
            ids, (problem.text for problem in problems)
        )  # those that the walk has found by then
        return _joined(hashlib.sha256(name.encode(errors="backslashreplace")).digest() for name in names)


def _listed(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as listing:
        return sorted(listing, key=lambda entry: entry.name)


READERS: dict[str, type[ReaderConfig]] = {
    config.name: config
    for config in (SomethingV1Config, SomethingV2Config, JesterConfig, ListConfig, FoldersConfig)
}
"""Settings of each data set, by its name."""


def guess_format(root: Path) -> str:
    """Which data set's files lie in a folder.

    Raises:
        DataError: no, or more than one, kind of them does.
    """
    found = [
        name
        for name, config in READERS.items()
        if all(config().annotation(root, file).exists() for file in config().files())  # type: ignore[call-arg]
    ]
    if len(found) != 1:
        what = f"fits {' and '.join(found)}" if found else "holds the annotations of none of them"
        raise DataError(f"{root}: {what}; name the format with --format: {', '.join(READERS)}")
    return found[0]


def sha256(*parts: bytes) -> str:
    """A digest of parts that are kept apart."""
    return _joined(hashlib.sha256(part).digest() for part in parts)


def _joined(digests: Iterable[bytes]) -> str:
    whole = hashlib.sha256()
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()


def _sha256_of(file: Path) -> bytes:
    """Of a file's bytes, which need not fit into memory; of none where there is no such file."""
    digest = hashlib.sha256()
    if os.path.isfile(file):
        with file.open("rb") as opened:
            while block := opened.read(2**20):
                digest.update(block)
    return digest.digest()
