"""What is said of wrong input: short lines that every terminal takes, whatever they quote."""

from __future__ import annotations

import pickle
import re

import pytest
from house import modules

from harness.console import Table, say, show
from harness.errors import DataError, Problems, StudyError, in_a_line


@pytest.mark.parametrize("value", ["x" * 5000, ["x"] * 2000, dict.fromkeys(range(2000), "it's"), "[" * 3000])
def test_a_long_value_is_clipped_in_its_middle_and_place_and_way_out_stay(value: object) -> None:
    line = str(StudyError(f"study.yaml: train.epochs: {value!r} is not a whole number; use one"))
    assert len(line) <= 300
    assert line.startswith("study.yaml: train.epochs: ")
    assert line.endswith(" is not a whole number; use one")
    assert "..." in line


def test_short_values_beside_a_long_one_are_left_alone() -> None:
    line = str(StudyError(f"study.yaml: 'a short one' and {'y' * 400!r}; known: {list(range(9))}"))
    assert "'a short one' and 'yyy" in line
    assert line.endswith("yyy'; known: [0, 1, 2, 3, 4, 5, 6, 7, 8]")


def test_a_line_without_values_is_clipped_too() -> None:
    line = str(DataError("place: " + "word " * 200 + "end"))
    assert len(line) == 300
    assert line.startswith("place: word")
    assert line.endswith("word end")


def test_absolute_paths_do_not_count_within_reason() -> None:
    text = f"/data/{'folder/' * 30}clip.mp4: {'word ' * 40}end"
    assert str(DataError(text)) == text
    assert len(str(DataError(f"/{'x' * 5000}: wrong"))) == 600


def test_a_line_stays_one_and_can_be_printed_anywhere() -> None:
    line = str(StudyError("a\nb\x1b[31m\ud800\u2028 é"))
    assert line == "a\\nb\\x1b[31m\\ud800\\u2028 é"


def test_what_is_printed_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("study", "\x1b]0;title\x07 é\nand more")
    assert capsys.readouterr().out == "study    \\x1b]0;title\\x07 é\nand more\n"
    table = Table("class", box=None)
    table.add_row("\x1b]0;title\x07 é")
    show(table)
    assert "\\x1b]0;title\\x07 é" in capsys.readouterr().out


def test_several_things_are_a_line_each() -> None:
    problems = Problems()
    for text in ("one", "two " * 200, "one"):
        with problems.collect():
            raise StudyError(text)
    with pytest.raises(StudyError) as error:
        problems.raise_any()
    one, two = str(error.value).split("\n")
    assert (one, len(two)) == ("one", 300)


def test_an_error_comes_through_to_another_process_as_it_is() -> None:
    error = StudyError("one", "two")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "one\ntwo"


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError("not even that")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyError(), "KeyError"),
        (ValueError("\n  the second\nand third"), "ValueError: the second"),
        (SystemExit(0), "its code called sys.exit(0)"),
        (MuteError(), "MuteError: (its message cannot be read)"),
    ],
)
def test_what_somebody_elses_code_raises_is_a_line_whatever_it_says(error: BaseException, line: str) -> None:
    assert in_a_line(error) == line


def test_no_other_module_takes_the_first_line_of_an_error_by_itself() -> None:
    """A message that cannot be read, or is empty, ends whoever does."""
    by_hand = re.compile(r"str\(\w+\)\.splitlines\(\)(\[0\]|\))")
    found = [name for name, path in modules().items() if by_hand.search(path.read_text(encoding="utf-8"))]
    assert found == []
