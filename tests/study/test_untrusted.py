"""YAML from anybody: small files cannot take much time or memory, and whatever is wrong is one line."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from builders.place import TINY
from builders.study_files import refusal

from harness.errors import StudyError
from harness.study import untrusted
from harness.study.load import load_study

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (LAUGHS, "more than 100,000 values, aliases written out"),
        ("a: " + "[" * 1000 + "]" * 1000, "nested more than 32 deep"),
        ("a: &a [*a]", "*a stands within itself"),
        ("source: 2024-02-30", "'2024-02-30' is no timestamp; put it in quotes if it is text"),
        ('margin: !!int "x"', "'x' is no int"),
        ('margin: !!float ""', "'' is no float"),
        ("margin: 1" + ":1" * 50 + ".5", "a number of 103 characters; put it in quotes if it is text"),
        ("margin: 0x" + "f" * 5000, "a number of 5,002 characters"),
        ("source: 0x" + "f" * 60, "f is too large a number; put it in quotes if it is text"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("a: 1\na: 2", "'a' is given twice"),
    ],
)
def test_what_is_beyond_the_limits_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    begin = time.process_time()
    assert words in refusal(tmp_path, text)
    assert time.process_time() - begin < 5  # a minute, without the limit


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    assert "larger than 1 MiB" in refusal(tmp_path, "#" * (untrusted.MOST_BYTES + 1))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(StudyError, match="it is no file"):
        load_study(tmp_path / "pipe.yaml")


def test_an_alias_is_what_it_stands_for() -> None:
    assert untrusted.parse("a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}


def test_a_value_of_set_has_the_same_limits(tmp_path: Path) -> None:
    assert "is not a YAML value" in refusal(tmp_path, TINY, overrides=["train.epochs=" + "[" * 100])
