"""What becomes of a class when its clips are mirrored: "left" becomes "right", read from the class's own words.

Never from a list of indices: class order differs between public repositories, and several public lists are off by one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ANTICLOCKWISE = re.compile(r"(?:counter|anti)[ -]?clockwise", re.IGNORECASE)

_OPPOSITE = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
}

# Words, also in names such as slide_left; "leftover" and "bright" are none.
_DIRECTION = re.compile(rf"(?<![a-z])(?:{'|'.join(_OPPOSITE)})(?![a-z])")


def mirrored_text(label: str) -> str:
    """A label with left and right, clockwise and counterclockwise exchanged, in lower case."""
    return _DIRECTION.sub(lambda found: _OPPOSITE[found[0]], _plain(label))


def mirrored_classes(classes: Sequence[str]) -> list[int]:
    """What each class becomes in a mirror, (classes,) indices; itself where no class has its mirrored text.

    So "Pulling it right out", which names no direction, stays what it is. Applied twice, every class is itself again.
    """
    places = {_plain(label): place for place, label in enumerate(classes)}
    there = [places.get(mirrored_text(label), place) for place, label in enumerate(classes)]
    return [other if there[other] == place else place for place, other in enumerate(there)]


def swapped_pairs(classes: Sequence[str]) -> list[tuple[int, int]]:
    """The pairs of classes that a mirror exchanges, each once, the lower index first."""
    return [(a, b) for a, b in enumerate(mirrored_classes(classes)) if a < b]


def _plain(label: str) -> str:
    return _ANTICLOCKWISE.sub("counterclockwise", label.casefold())
