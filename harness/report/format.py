"""Numbers as a report writes them."""

from __future__ import annotations

from collections.abc import Iterable

from harness.stats.differences import Difference
from harness.stats.distributions import ALPHA
from harness.stats.estimates import Estimate, Quartiles

NAMED = 6
"""Rows that a sentence names one by one; of more it gives the number."""


def estimate(value: Estimate, unit: str = "", *, seeds: int | None = None) -> str:
    """`40.9 ± 0.5 (n=3)`; without an interval `40.9 (n=2)`; `98.1 [92.0, 100.0] (n=3)` where it was cut at what can be;
    `-` without a value.

    Args:
        seeds: a number of seeds that the reader knows already: n is then left out where it is the same.
    """
    if not value.n:
        return "-"
    even = value.half_width is not None and not value.lopsided
    half = f" ± {value.half_width:.1f}" if even else interval(value)
    return f"{value.mean:.1f}{half}{unit}{count(value, seeds)}"


def points(difference: Difference) -> str:
    """`+25.7 points [25.1, 26.3] (n=3)`."""
    return f"{signed(difference.mean)} points{interval(difference)}{count(difference)}"


def bare_points(difference: Difference, seeds: int | None = None) -> str:
    """The same without the unit, for a column that names it."""
    return f"{signed(difference.mean)}{interval(difference)}{count(difference, seeds)}"


def interval(value: Estimate) -> str:
    """` [25.1, 26.3]`, or nothing."""
    if value.low is None or value.high is None:
        return ""
    return f" [{unsigned(value.low)}, {unsigned(value.high)}]"


def count(value: Estimate, seeds: int | None = None) -> str:
    """` (n=3)`, or nothing where the reader knows."""
    return "" if value.n == seeds else f" (n={value.n})"


def unsigned(value: float) -> str:
    return "0.0" if abs(value) < 0.05 else f"{value:.1f}"


def signed(value: float) -> str:
    return "+0.0" if abs(value) < 0.05 else f"{value:+.1f}"


def milliseconds(measured: Quartiles | None, *, doubtful: bool = False) -> str:
    """`42.0 [41.0, 43.0] (n=5)`: median and quartiles; `?` marks a doubtful one."""
    if measured is None:
        return "not measured"
    return f"{measured.median:.1f} [{measured.q1:.1f}, {measured.q3:.1f}] (n={measured.n}){' ?' * doubtful}"


def number(value: float | None) -> str:
    """A published number as printed, or `-`."""
    return "-" if value is None else str(value)


def plural(many: int, word: str, words: str = "") -> str:
    return f"{many:,} {word}" if many == 1 else f"{many:,} {words or f'{word}s'}"


def listed(names: Iterable[str]) -> str:
    """Names as code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


def who_is_what(verdicts: Iterable[tuple[str, str]]) -> str:
    """`1 better (`ks3`), 9 too few seeds to tell`: how many are what, and which where they are few and not all.

    Args:
        verdicts: the verdict in words and the variant, of each.
    """
    found: dict[str, list[str]] = {}
    for words, variant in verdicts:
        found.setdefault(words, []).append(variant)

    def named(names: list[str]) -> str:
        return f" ({listed(names)})" if len(found) > 1 and len(names) <= NAMED else ""

    return ", ".join(f"{len(names)} {words}{named(names)}" for words, names in found.items())


def first_in_code(words: str) -> str:
    """A phrase that starts with a variant's name: "`ks3` at the same noise"."""
    name, space, rest = words.partition(" ")
    return f"`{name}`{space}{rest}"


def letter(place: int) -> str:
    """What marks a note: `a`, `b`, ..."""
    return chr(ord("a") + place)


def p_value(p: float | None) -> str:
    """`0.031`; `< 0.001`; `0.0496`, which else would read as the level itself; `-` where nothing was tested."""
    if p is None:
        return "-"
    shown = f"{p:.3f}"
    return "< 0.001" if p < 0.001 else f"{p:.4f}" if shown == f"{ALPHA:.3f}" else shown


def covered(differences: Iterable[Difference | None]) -> str:
    """What quoted intervals are for, in words; "" where there are none."""
    return " or ".join(dict.fromkeys(gap.covers for gap in differences if gap and gap.low is not None))
