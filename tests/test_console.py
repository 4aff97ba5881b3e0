"""What every command writes on a terminal: wrapped at words at any width, one line in a log, less where asked."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from builders.place import ROOT

from harness import console
from harness.console import answered, bar, complain, quieten, say, wrapped
from harness.console import console as rich_console
from harness.errors import StudyError
from harness.options import carried_out

LINE = "detects  4.1 points as one of 9 rows, with 3 seeds and 3,840 validation clips; python -m harness.run x.yaml"


@pytest.fixture(autouse=True)
def _loud() -> Iterator[None]:
    yield
    quieten(False)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_line_is_folded_at_words_to_the_terminals_width(
    width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = wrapped(LINE, True, " " * 9).splitlines()
    assert max(map(len, lines)) <= width
    assert [word for line in lines for word in line.split()] == LINE.split()
    assert all(line.startswith(" " * 9) for line in lines[1:])
    assert (len(lines) == 1) == (len(LINE) <= width)


def test_what_stands_below_a_label_takes_no_more_than_half_of_a_narrow_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = wrapped(
        f"{'  frames':<28} 8 a clip, one from each of eight segments", True, " " * 29
    ).splitlines()
    assert lines[1:] == ["    one from each of eight segments"]


def test_a_word_that_fits_nowhere_stays_whole_to_be_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    address = f"sqlite:////{'folder/' * 9}mlflow.db"
    assert address in wrapped(f"store    {address} is new", True, " " * 9).splitlines()[1]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_table_loses_nothing_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(rich_console, "_width", width)
    monkeypatch.setattr(rich_console, "_force_terminal", True)
    monkeypatch.setattr(rich_console, "no_color", True)
    titles = ("variant", "top1 [%]", "parameters", "vs tsn [points]", "MACs", "latency [ms]")
    rows = [
        ("tsn", "22.0 ± 5.0 (n=3)", "23,864,558", "baseline", "32.70 G", "42"),
        ("ks1357", "73.0 ± 7.5 (n=3)", "+52,480", "+51.0 [48.5, 53.5] better", "+0.18 G", "14439 ?"),
    ]
    table = console.Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    console.show(table)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    words = [word.strip(":") for line in lines for word in line.split()]
    for cell in [*titles[1:], *(cell for row in rows for cell in row)]:
        assert set(cell.split()) <= set(words)
    assert (len(lines) == 3) == (width > 80)  # the titles and a line for each row, where they fit


def test_a_log_has_one_line_for_each_thing_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    say("plan", "word " * 99)
    complain(StudyError("first", "second"))
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    assert err == "error: first\nerror: second\n"


def test_who_asked_for_quiet_hears_only_what_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    quieten(True)
    say("plan", "six trials")
    say("", "")
    say("warning", "the disk is full", must=True)
    assert capsys.readouterr().out == "warning  the disk is full\n"


def test_a_bar_is_there_from_nothing_of_all_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for name in ("_force_terminal", "is_interactive"):
        monkeypatch.setattr(rich_console, name, True)
    with rich_console.capture() as shown, bar("cost", "rounds") as advance:
        advance(0, 7)
    assert re.search(r"cost .* 0/7 rounds", shown.get())


@pytest.mark.parametrize("buffering", [1, -1])
def test_a_command_whose_lines_nobody_reads_ends_without_a_traceback(
    buffering: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in `... | head`; also where the lines are written only when the command is done."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", buffering=buffering) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert carried_out(lambda: int(bool(print("six trials"))), "nothing was written") == 141
        monkeypatch.undo()
    with pytest.raises(BrokenPipeError):  # of any other pipe it is an error like any other
        carried_out(lambda: (_ for _ in ()).throw(BrokenPipeError), "nothing was written")


def test_a_stop_that_nobody_hears_of_has_its_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C reaches all of `... | tee log`, and tee has ended when the last line is to be said."""
    read, write = os.pipe()
    os.close(read)
    with open(write, "w", buffering=1) as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        assert carried_out(lambda: os.kill(os.getpid(), signal.SIGINT) or 0, "nothing was written") == 130
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("what", "code", "line"),
    [
        (StudyError("x.yaml: seeds: empty"), 2, "error: x.yaml: seeds: empty\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/a"),
            2,
            "error: /data/a: No space left on device; the same command begins again\n",
        ),
        (
            OSError(errno.EACCES, "Permission denied", "/data/b"),
            2,
            "error: /data/b: Permission denied; the same command begins again\n",
        ),
        (
            SystemExit(int(signal.SIGTERM)),
            143,
            "stopped  nothing was written\n",
        ),  # as Ray's own handler has it
        (KeyboardInterrupt(), 130, "stopped  nothing was written\n"),
    ],
)
def test_a_command_ends_with_a_line_and_no_traceback(
    what: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> int:
        raise what

    assert carried_out(work, "nothing was written") == code
    assert "".join(capsys.readouterr()) == line


def test_ctrl_c_is_answered_before_whoever_handles_it_is_done(capfd: pytest.CaptureFixture[str]) -> None:
    """Python cannot run its handler while torch computes; nor is it asked where Ray Tune has put another one."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        with answered("stopping"):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            deadline = time.monotonic() + 10
            said = ""
            while not said and time.monotonic() < deadline:
                said += capfd.readouterr().out
                time.sleep(0.01)
    finally:
        signal.signal(signal.SIGINT, before)
    assert said + capfd.readouterr().out == "\nstopping\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_a_signal_broke_may_fail_in_any_way(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is interrupted may swallow it: torch does, and fails later over what it left halfway."""

    def work() -> int:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            os.kill(os.getpid(), number)
            time.sleep(10)
        raise RecursionError

    before = signal.getsignal(number)
    assert carried_out(work, "nothing was written") == code
    assert signal.getsignal(number) == before
    assert capsys.readouterr().out == "stopped  nothing was written\n"


def test_what_nobody_can_mend_by_asking_otherwise_keeps_its_traceback() -> None:
    def work() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        carried_out(work, "nothing was written")


def test_a_command_that_is_done_looks_through_nothing_any_more() -> None:
    """What torch has made takes seconds to look through, of which the person sees that nothing comes."""
    code = "import atexit, gc, harness.options; atexit._run_exitfuncs(); print(gc.get_freeze_count() > 1000)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_on_a_terminal_work_that_loads_for_seconds_says_first_that_it_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console.start("smoke")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(rich_console, "_force_terminal", True)
    monkeypatch.setenv("COLUMNS", "200")
    console.start("smoke")
    assert capsys.readouterr().out == "start    smoke; loading PyTorch, which takes longer the first time\n"
