"""Errors that whoever asked can mend: one line, no traceback. Anything else is a bug and keeps its traceback.

A UserError ends a command with exit code 2. A TrainingError ends one trial: it is the reason in that trial's record.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """Says the place, the value, the rule and the way out, in one line."""


class StudyError(UserError):
    """A study file asks for something that cannot be done."""


class DataError(UserError):
    """A data set, a video or an annotation cannot be used."""


class TrackingError(UserError):
    """The tracking store cannot be reached, read or written."""


class TrainingError(Exception):
    """A trial cannot go on for a reason that lies in its settings, such as a loss that is not a number."""


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
