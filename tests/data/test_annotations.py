"""What can be wrong in the annotations of a data set, each said in one line with its place."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from builders.datasets import LABELS, moving_bar, open_, write_csv, write_pictures

from harness.data.sources.annotations import (
    Entry,
    checked,
    classes_csv,
    classes_json,
    clips_json,
    clips_list,
    id_problem,
    refuse,
)
from harness.errors import DataError


def damage(root: Path, what: str) -> str:
    """Do something to a Jester data set; returns what the error must say."""
    train, labels = root / "jester-v1-train.csv", root / "jester-v1-labels.csv"
    lines = train.read_text().splitlines()
    changed: dict[str, tuple[Sequence[str], str]] = {
        "comma": ([lines[0].replace(";", ","), *lines[1:]], "line 1: '100,Pushing something' is not `id;label`; "
                  "it seems to be separated by ','"),
        "unknown label": ([*lines, "7;Moving something lefft"], "line 5: label 'Moving something lefft' is no class; "
                          "did you mean 'Moving something left'?"),
        "far label": ([*lines, "7;Zzz"], "line 5: label 'Zzz' is no class; none of the 3 classes is near"),
        "duplicate id": ([*lines, lines[0]], "line 5: id '100' stands also at"),
        "id of another split": ([*lines, f"104;{LABELS[0]}"], "id '104' stands also at"),
        "climbing id": ([*lines, f"../100;{LABELS[0]}"], "id '../100' leaves the data set's root"),
        "absolute id": ([*lines, f"/etc/passwd;{LABELS[0]}"], "id '/etc/passwd' is not a path relative to"),
        "only ids": ([line.split(";")[0] for line in lines], "line 1: '100' is not `id;label`"),
        "empty": ([], "jester-v1-train.csv: the file is empty"),
        "blank": (["", " "], "the file holds nothing but blank lines"),
    }  # fmt: skip
    if what in changed:
        train.write_text("".join(f"{line}\n" for line in changed[what][0]))
        return changed[what][1]
    if what == "latin-1":
        train.write_bytes(train.read_bytes() + "7;Caf\xe9\n".encode("latin-1"))
        return "is not UTF-8 text"
    if what == "class twice":
        write_csv(labels, [(label,) for label in (*LABELS, LABELS[0])])
        return f"line 4: class {LABELS[0]!r} is listed twice"
    if what == "no class list":
        labels.unlink()
        return "no jester-v1-labels.csv; set data.dataset.root"
    raise AssertionError(what)


@pytest.mark.parametrize(
    "what",
    ["comma", "unknown label", "far label", "duplicate id", "id of another split", "climbing id", "absolute id",
     "only ids", "empty", "blank", "latin-1", "class twice", "no class list"],
)  # fmt: skip
def test_a_wrong_annotation_is_one_line_with_its_place(what: str, own: Callable[[str], Path]) -> None:
    root = own("jester")
    message = damage(root, what)
    for choice in ("error", "skip"):  # only clips can be skipped, annotations are mended
        with pytest.raises(DataError) as caught:
            open_("jester", root, on_unreadable=choice)
        assert message in str(caught.value)
        assert str(root) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["\x1b[2J", "\ud800", " ", "\x9b2J"])
def test_a_class_that_would_steer_a_terminal_or_is_no_text_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"a": "0", name: "1"}))
    with pytest.raises(DataError) as caught:
        classes_json(file, refuse)
    assert str(caught.value).startswith(f"{file}: class {name!a} ")


def test_an_annotation_that_is_a_pipe_is_not_waited_for(own: Callable[[str], Path]) -> None:
    root = own("jester")
    (root / "jester-v1-train.csv").unlink()
    os.mkfifo(root / "jester-v1-train.csv")
    with pytest.raises(DataError, match="cannot be read: it is no file"):
        open_("jester", root)


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_words(own: Callable[[str], Path]) -> None:
    root, plain = own("jester"), own("something_v1")
    before = open_("jester", root)
    for file in root.glob("*.csv"):
        file.write_bytes(2 * b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    after = open_("jester", root)
    assert (after.classes, after.index.clips) == (before.classes, before.index.clips)
    for file in plain.glob("*.csv"):
        file.write_text(file.read_text() + "\n\n")
    assert len(open_("something_v1", plain).index.clips) == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("[{", "is not JSON"),
        pytest.param("[" * 100_000, "is not JSON", id="a deep one"),
        ("{}", "is not a list of clips"),
        ("[]", "the file lists nothing"),
        (
            '[{"id": 7, "template": "x"}]',
            "entry 1: {'id': 7, 'template': 'x'} has no text under id and template",
        ),
        ('["7"]', "entry 1: '7' has no text under id and template"),
    ],
)
def test_wrong_json_is_one_line_with_its_place(content: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        clips_json(file, refuse)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>\n<title>404</title>", "a web page"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
    ],
)
def test_an_annotation_that_is_something_else_is_called_what_it_is(
    content: bytes, what: str, own: Callable[[str], Path]
) -> None:
    root = own("jester")
    (root / "jester-v1-train.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"jester-v1-train\.csv: cannot be read: it is {what}"):
        open_("jester", root)


def test_a_label_that_begins_as_a_picture_does_is_a_label(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("BMX riding\nII*\n")
    assert classes_csv(tmp_path / "labels.csv", refuse) == ["BMX riding", "II*"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a/b.mp4 12", "is not `path num_frames label`"),
        ("a/b.mp4,12,3", "is not `path num_frames label`"),
        ("a/b.mp4 12 three", "is not `path num_frames label`"),
        ("a/b.mp4 0 3", "has no frames"),
        ("a/b.mp4 12 100000", "label 100000 is no class; classes are numbered from 0, up to 99,999"),
        (f"a/b.mp4 12 {'9' * 5000}", "is not `path num_frames label`"),
    ],
)
def test_a_wrong_line_of_a_list_is_one_line_with_its_place(line: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "train.txt"
    file.write_text(f"good.mp4 5 0\n{line}\n")
    with pytest.raises(DataError, match=r"train\.txt: line 2: ") as caught:
        clips_list(file, refuse)
    assert message in str(caught.value)


def test_a_number_beyond_the_class_list_is_no_class(own: Callable[[str], Path]) -> None:
    root = own("list")
    (root / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=r"label 2 is no class; classes\.txt lists 2, numbered from 0"):
        open_("list", root, labels="classes.txt")


@pytest.mark.parametrize(
    "id_", ["", " ", "..", "../x", "a/../../x", "a/..", "./a", "a//b", "a/", "/a", "~/a", "\\\\host\\a", "a\\..\\b",
            "C:a", "a\0b", "a\nb", "caf\udce9", "\ud800"],
)  # fmt: skip
def test_an_id_cannot_leave_the_root(id_: str) -> None:
    assert id_problem(id_)
    with pytest.raises(DataError, match="id "):
        checked({"train": [Entry("here", id_, "x")]}, ["x"], refuse)


@pytest.mark.parametrize("id_", ["100218", "a/b c/d.mp4", "..a", "a..b", "{id}", "ü"])
def test_an_honest_id_is_left_alone(id_: str) -> None:
    assert id_problem(id_) == ""


def test_braces_in_an_id_are_letters(tmp_path: Path) -> None:
    for label, (split, id_) in enumerate((("train", "{frame}{id}"), ("val", "{0.__class__}"))):
        write_pictures(tmp_path / "c" / id_, moving_bar(0, 0, frames=2))
        (tmp_path / f"{split}.txt").write_text(f"{id_} 2 {label}\n")
    data = open_("list", tmp_path, clips="c/{id}/{frame:05d}.jpg")
    assert [c.file.name for c in data.index.clips] == ["{frame}{id}", "{0.__class__}"]
    assert data.index.clips[0].picture(1).is_file()
