"""Errors that whoever asked can mend: a line for each thing, no traceback. Others are bugs and keep theirs.

A UserError ends a command with exit code 2. A TrainingError ends one trial: it is the reason in that trial's record.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class InWords(Exception):  # noqa: N818
    """Is said in lines. Whatever is quoted in one, it stays a line, of LONGEST characters at most."""

    def __init__(self, *lines: str) -> None:
        super().__init__(*map(printable, lines))

    def __str__(self) -> str:
        return "\n".join(self.args)


class UserError(InWords):
    """Says the place, the value, the rule and the way out, in one line; of several things, each in its own."""


class StudyError(UserError):
    """A study file asks for something that cannot be done."""


class DataError(UserError):
    """A data set, a video or an annotation cannot be used."""


class TrackingError(UserError):
    """The tracking store cannot be reached, read or written."""


class StoreAwayError(TrackingError):
    """The tracking store cannot be reached or written now, and may be again: its disk is full, its server away."""


class TrainingError(InWords):
    """A trial cannot go on for a reason that lies in its settings, such as a loss that is not a number."""


class Problems:
    """Collects what is wrong, so that all of it is said at once."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        """One more thing that is wrong."""
        self.add_all(StudyError(line))

    def add_all(self, error: UserError) -> None:
        """Whatever an error says."""
        self._lines += str(error).splitlines()

    @contextmanager
    def collect(self) -> Iterator[None]:
        """What is raised here is kept, and the rest of the block left out."""
        try:
            yield
        except UserError as error:
            self.add_all(error)

    def raise_any(self) -> None:
        """Raises StudyError: something was wrong. What is said of several variants alike is said once."""
        if self._lines:
            raise StudyError(*dict.fromkeys(self._lines))


MEANT = {
    "lr": "learning_rate learningrate base_lr init_lr max_lr",
    "batch_size": "bs batch batches",
    "epochs": "num_epochs n_epochs max_epochs total_epochs",
    "weight_decay": "wd decay l2",
    "optimizer": "opt optim solver",
    "schedule": "scheduler lr_scheduler lr_schedule lr_policy",
    "milestones": "lr_steps",
    "clip_gradient": "grad_clip clip_grad gradient_clip gradient_clipping max_norm",
    "precision": "amp fp16 mixed_precision dtype",
    "workers": "num_workers n_workers",
    "num_frames": "frames n_frames num_segments n_segments segments clip_len clip_length",
    "crop": "crop_size input_size image_size img_size resolution",
    "short_side": "resize short_edge",
    "backbone": "arch architecture net network",
    "weights": "pretrained pretrain checkpoint",
    "operator": "op module mixer temporal",
    "root": "data_root data_path data_folder",
    "dataset": "dataset_name",
    "gpus": "gpu num_gpus n_gpus",
    "cpus": "cpu num_cpus n_cpus",
    "seeds": "seed num_seeds",
    "variants": "experiments models methods rows",
    "question": "description title",
}
"""Settings, and the words that people type for them."""


def setting(name: str, known: Iterable[str], everywhere: Iterable[str] = ()) -> str:
    """What whoever typed an unknown key may have meant, as `nearest` says it. Arguments: see `meant`."""
    names = list(known)
    one = meant(name, names, everywhere)
    return f"; did you mean {one!r}?" if one else nearest(_typed(name), names)


def meant(name: str, known: Iterable[str], everywhere: Iterable[str] = ()) -> str:
    """The key that whoever typed an unknown one may have meant; "" where none is near.

    Args:
        known: keys at that place. everywhere: dotted names of all settings, of which the last word may be meant.
    """
    names, word = list(known), _typed(name)
    paths = {path.rpartition(".")[2]: path for path in reversed(list(everywhere))}
    for there, cutoff in ((names, 0.85), (paths, 1.0), (names, 0.6), (paths, 0.8)):
        if close := difflib.get_close_matches(word, there, n=1, cutoff=cutoff):
            return close[0] if there is names else paths[close[0]]
    return ""


def _typed(name: str) -> str:
    """The setting that a word is known to stand for, or the word as our names are written."""
    typed = str(name).lower().replace("-", "_").replace(" ", "_")
    return next((one for one, words in MEANT.items() if typed in words.split()), typed)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, in whatever case it was typed, or the list of known names where none is near."""
    names = sorted(known)
    lower = {str(one).lower(): one for one in reversed(names)}
    close = difflib.get_close_matches(str(name).lower(), lower, n=1)
    if close:
        return f"; did you mean {lower[close[0]]!r}?"
    return f"; known: {', '.join(names)}"


LONGEST = 300
"""Characters of a line that anybody reads."""

_CLIPPED = 60
"""Characters of a value in a line that is too long. Shorter ones are left alone."""

_PATH = re.compile(r"(?<![\w.\\])/[^\s:;,'\"]{10,}")

_CLOSING = {"'": "'", '"': '"', "[": "]", "{": "}", "(": ")"}


def in_a_line(error: BaseException) -> str:
    """An error of somebody else's code: its class, and the first line of what it says."""
    if isinstance(error, SystemExit):
        return f"its code called sys.exit({printable(repr(error.code))})"
    name, text = type(error).__name__, first_line(error)
    return name if text == name else f"{name}: {text}"


def first_line(error: BaseException) -> str:
    """Of what it says; its class where it says nothing."""
    lines = (line.strip() for line in words_of(error).splitlines())
    return printable(next(filter(None, lines), type(error).__name__))


def words_of(error: BaseException) -> str:
    """What an error says of itself."""
    try:
        return str(error)
    except BaseException:  # of a class of the user's own
        return "(its message cannot be read)"


def printable(text: str) -> str:
    """One line that every file and every terminal takes, as long as anybody reads: see `LONGEST`.

    Values in it are clipped in their middle, the longest first; where that is not enough, the line is. Absolute paths
    do not count, within reason: else what is said would depend on where somebody works.
    """
    line = visible(_clip(text, 20 * LONGEST))  # before every letter of a file is looked at
    room = LONGEST + min(LONGEST, sum(map(len, _PATH.findall(line))))
    excess = len(line) - room
    for start, end in sorted(_values(line), key=lambda span: span[0] - span[1]) if excess > 0 else ():
        value = line[start:end]
        shorter = _clip(value, max(_CLIPPED, len(value) - max(excess, 0)))
        line, excess = line.replace(value, shorter, 1), excess - len(value) + len(shorter)
    return _clip(line, room)


def visible(text: str) -> str:
    """One line in which nothing can steer a terminal: what cannot be printed is written out, as in `\\x1b`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _clip(text: str, most: int) -> str:
    """Without its middle, where it is longer than that."""
    if len(text) <= most:
        return text
    tail = (most - 3) // 2
    return f"{text[: most - 3 - tail]}...{text[len(text) - tail :]}"


def _values(line: str) -> Iterator[tuple[int, int]]:
    """Where values are quoted in a line: texts, lists and mappings, as Python writes them."""
    place = 0
    while place < len(line):
        opening = line[place]
        end = -1
        if opening in "'\"" and not line[place - 1 : place].isalnum():  # and no apostrophe
            end = line.find(_CLOSING[opening], place + 1)
        elif opening in _CLOSING and opening not in "'\"":
            end = _closed(line, place)
        if end >= 0:
            yield place, end + 1
        place = max(end, place) + 1


def _closed(line: str, place: int) -> int:
    """Where the bracket at a place is closed; -1 where it never is."""
    depth = 0
    for at in range(place, len(line)):
        depth += (line[at] == line[place]) - (line[at] == _CLOSING[line[place]])
        if depth == 0:
            return at
    return -1
