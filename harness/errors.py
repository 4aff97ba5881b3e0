"""Errors that whoever asked can mend: a line for each thing, no traceback. Others are bugs and keep theirs.

A UserError ends a command with exit code 2. A TrainingError ends one trial: it is the reason in that trial's record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Says the place, the value, the rule and the way out, in one line; of several things, each in its own."""


class StudyError(UserError):
    """A study file asks for something that cannot be done."""


class DataError(UserError):
    """A data set, a video or an annotation cannot be used."""


class TrackingError(UserError):
    """The tracking store cannot be reached, read or written."""


class StoreAwayError(TrackingError):
    """The tracking store cannot be reached or written now, and may be again: its disk is full, its server away."""


class TrainingError(Exception):
    """A trial cannot go on for a reason that lies in its settings, such as a loss that is not a number."""


class Problems:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    @contextmanager
    def collect(self) -> Iterator[None]:
        """What is raised here is kept, and the rest of the block left out."""
        try:
            yield
        except UserError as error:
            self._lines += str(error).splitlines()

    def raise_any(self) -> None:
        """Raises StudyError: something was wrong. What is said of several variants alike is said once."""
        if self._lines:
            raise StudyError("\n".join(dict.fromkeys(self._lines)))


MEANT = {
    "learning_rate": "lr",
    "learningrate": "lr",
    "bs": "batch_size",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "wd": "weight_decay",
    "frames": "num_frames",
    "num_segments": "num_frames",
    "arch": "backbone",
    "pretrained": "weights",
    "experiments": "variants",
    "dataset_name": "dataset",
}
"""Words that people type for settings which are called something else here."""


def setting(name: str, known: Iterable[str], everywhere: Iterable[str] = ()) -> str:
    """What whoever typed an unknown key may have meant, as `nearest` says it.

    Args:
        known: keys at that place. everywhere: dotted names of all settings, of which the last word may be meant.
    """
    names = list(known)
    word = MEANT.get(str(name), str(name))
    if word in names:
        return f"; did you mean {word!r}?"
    close = difflib.get_close_matches(word, names, n=1)
    if not close:
        paths = {path.rpartition(".")[2]: path for path in reversed(list(everywhere))}
        found = difflib.get_close_matches(word, paths, n=1, cutoff=0.8)
        if found:
            return f"; did you mean {paths[found[0]]!r}?"
    return nearest(word, names)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or the list of known names where none is near."""
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}"


LONGEST = 500
"""Characters of an error that anybody reads."""


def in_a_line(error: BaseException) -> str:
    """An error of somebody else's code: its class, and the first line of what it says."""
    text = first_line(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def first_line(error: BaseException) -> str:
    """Of what it says."""
    return printable(next((line for line in words_of(error).splitlines() if line.strip()), ""))


def words_of(error: BaseException) -> str:
    """What an error says of itself."""
    try:
        return str(error)
    except BaseException:  # of a class of the user's own
        return "(its message cannot be read)"


def printable(text: str) -> str:
    """One line that every file and every terminal takes, cut where nobody would read on."""
    cut = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
