"""The door to rich: one console, lines of output, progress bars."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich import table
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from harness.errors import visible

__all__ = [
    "Table",
    "answered",
    "bar",
    "bars",
    "begins",
    "complain",
    "console",
    "quieten",
    "say",
    "show",
    "start",
]


class Table(table.Table):
    """Rich's, in which nothing can steer a terminal."""

    def add_row(self, *cells: str) -> None:  # type: ignore[override]
        super().add_row(*map(visible, cells))


# Judged by the stream alone: a CI server that asks for colours still keeps a log, which has no edge to fold at.
_on_terminal = sys.stdout.isatty()

console = Console(
    highlight=False, markup=False, force_terminal=_on_terminal, width=None if _on_terminal else 300
)


_quiet = False


def quieten(on: bool) -> None:
    """From now on `say` prints only what must be said, and there are no bars."""
    global _quiet
    _quiet = on


def say(label: str, text: str, *, column: int = 8, must: bool = False) -> None:
    """`plan     6 trials`: a label and words, wrapped at words on a terminal, one line in a log.

    Nothing in them can steer a terminal.

    Args:
        label: "" for words alone. column: its width.
        must: said also where the user asked for quiet.
    """
    if must or not _quiet:
        head = f"{label:<{column}} " if label else ""
        lines = "\n".join(map(visible, f"{head}{text}".rstrip().split("\n")))
        print(wrapped(lines, console.is_terminal, " " * len(head)))


def start(what: str, loads: str = "PyTorch") -> None:
    """Say on a terminal that work on something begins, before what takes seconds is imported."""
    begins("start", f"{what}; loading {loads}, which takes longer the first time")


def begins(label: str, text: str) -> None:
    """Say on a terminal what takes seconds from here on; in a log nobody waits."""
    if console.is_terminal:
        say(label, text)


@contextmanager
def answered(words: str) -> Iterator[None]:
    """Meanwhile the first Ctrl-C or SIGTERM is answered at once, whoever handles it and whenever: Ray Tune puts a
    handler of its own in the place of others, and a step of torch's holds Python up for seconds."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    answering = threading.Thread(target=_answer, args=(woken, words), daemon=True)
    answering.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        wake.close()
        answering.join()
        woken.close()


def _answer(woken: socket.socket, words: str) -> None:
    while number := woken.recv(1):
        if number[0] in (signal.SIGINT, signal.SIGTERM):
            with suppress(OSError):  # nobody reads it any more
                os.write(1, f"\n{wrapped(words, console.is_terminal)}\n".encode())
            return


def complain(error: BaseException) -> None:
    """An error on stderr, a line for each thing that is wrong."""
    for line in str(error).splitlines():
        print(wrapped(f"error: {line}", sys.stderr.isatty(), " " * 7), file=sys.stderr)


def wrapped(line: str, on_terminal: bool, indent: str = "") -> str:
    """At words, to a terminal's width; elsewhere as it stands."""
    if not on_terminal:
        return line
    width = max(30, shutil.get_terminal_size().columns)
    indent = indent if 2 * len(indent) <= width else " " * 4
    return textwrap.fill(
        line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def show(table: Table) -> None:
    """A table of a title for each column and plain cells. Columns are folded between words alone; where a terminal is
    too narrow even so, each row becomes lines of its own."""
    texts = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    least = [max((len(word) for text in one for word in text.split()), default=0) for one in texts]
    spare = console.width - 2 * (len(texts) - 1) - sum(least)
    if spare >= 0:
        wanted = [max(map(len, one)) - few for one, few in zip(texts, least, strict=True)]
        for at in sorted(range(len(texts)), key=wanted.__getitem__):  # where little makes it whole first
            more = min(spare, wanted[at])
            table.columns[at].width = least[at] + more
            spare -= more
        console.print(table)
        return
    titles, *rows = zip(*texts, strict=True)
    for name, *cells in rows:
        print(wrapped(name, console.is_terminal))
        for title, cell in zip(titles[1:], cells, strict=True):
            if cell:
                print(wrapped(f"  {title}: {cell}" if title else f"  {cell}", console.is_terminal, "    "))


def bars(before: str, after: str, *, count: bool = False) -> Progress:
    """Progress bars with text on both sides, in rich's format; on a terminal alone, and gone when they stop.

    Args:
        count: write `done/total` before the text after a bar.
    """
    counts = [MofNCompleteColumn()] * count
    columns = (TextColumn(before), BarColumn(), *counts, TextColumn(after))
    return Progress(*columns, console=console, transient=True, disable=_quiet or not console.is_terminal)


class bar:  # noqa: N801 - used like a function
    """`with bar("data", "clips") as advance: ... advance(done, total)`: a progress bar on a terminal; of the data,
    which may take minutes, a log has a line before and after."""

    def __init__(self, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._bar = bars(f"{label:<8}", unit, count=True)
        self._task = self._bar.add_task(label, total=None, start=False)

    def __enter__(self) -> bar:
        self._begin = time.monotonic()
        self._total = 0
        return self

    def __call__(self, done: int, total: int) -> None:
        if not self._total:  # a bar is there from 0 of N on, and not before N is known
            if self._label == "data" and not console.is_terminal:
                say("data", f"preparing {total:,} {self._unit}, once")
            self._bar.update(self._task, completed=done, total=total)
            self._bar.start_task(self._task)
            self._bar.start()
        self._total = total
        self._bar.update(self._task, completed=done, total=total)

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
        elapsed = time.monotonic() - self._begin
        if self._label == "data" and self._total and error[0] is None:
            say("data", f"{self._total:,} {self._unit} ready, {elapsed:.0f} s")
