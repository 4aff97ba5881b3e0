"""Files as nobody means to write them, as strategies of hypothesis; and the one rule for whatever reads them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import yaml
from hypothesis import strategies as st

from builders.place import ROOT, TINY
from harness.errors import UserError

Read = TypeVar("Read")

LONGEST = 300  # characters of a line, as docs/reliability.md promises

SPECIAL = (
    '!!int "x"', '!!float ""', '!!bool "x"', '!!timestamp "x"', '!!binary "x"', "!!set {a, b}", "!!omap [a: 1]",
    "!!omap [1]", "!!pairs [a]", "!!python/name:os.system", "!local x", "2024-02-30", "2024-02-28", "12:30:45",
    "=", "{<<: 3}", "{<<: {a: 1}}", "null", "~", "yes", ".nan", ".inf", "-.inf", "1e400", "-1", "0", "0.5", "3",
    "1_000", "0x10", "0x" + "f" * 5000, "1" + ":1" * 300 + ".5", "1e-3", "999999999",
    "1" + "0" * 30, "1" + "0" * 5000, '""', '" "', "[]", "{}", "{name: {}}",
    "{name: [mixtconv]}", "{name: null}", "[1, [2, 3]]", "{1: 2}", "{[1, 2]: 3}", "{null: 1}", "{true: 1}",
    "{? {a: 1} : 2}", "*nothing", "&a [*a]", "[" * 40 + "]" * 40, "[" * 20 + "]" * 20, '"\\ud800"', '"a\\nb"',
    '"\\u2028\\u202e\\x85"', '"\\0\\x1b[31m"', "é\u0301", "'it''s'", '"' + "x" * 5000 + '"', '"' + "x " * 3000 + '"',
    json.dumps(list(range(3000))), json.dumps({f"key{n}": n for n in range(500)}), "os.system", "a.b.c", "../x",
)  # fmt: skip
"""YAML that stands on one line, wherever a value or a key does."""


def refused_or_read(
    read: Callable[[], Read], *names: str, refusals: type[Exception] = UserError
) -> Read | None:
    """What it reads; or None where it refuses in words: short lines for any terminal, of which each names the place."""
    try:
        return read()
    except refusals as error:
        lines = str(error).split("\n")
        for line in lines:
            short = re.sub(r"(?<![\w.\\])/[^\s:;,'\"]{10,}", "", line)  # absolute paths do not count
            assert 0 < len(short) <= LONGEST, line
            assert line.isprintable(), line
            assert any(name in line for name in names), line
        return None


def text() -> st.SearchStrategy[str]:
    """Of any letters; also of those that no file can hold."""
    return (
        st.text(max_size=12)
        | st.text(st.characters(), max_size=4)
        | st.text("ab1 .-_:;,#'\"{}[]\n", max_size=20)
    )


def values(leaves: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Any]:
    """Whatever JSON can say."""
    plain = st.none() | st.booleans() | st.integers() | st.floats() | text()
    some = plain if leaves is None else plain | leaves
    return st.recursive(
        some,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text(), inner, max_size=3),
        max_leaves=6,
    )


def places(content: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in nested lists and mappings: what holds it, and under which key."""
    keys = (
        list(content)
        if isinstance(content, dict)
        else range(len(content))
        if isinstance(content, list)
        else ()
    )
    for key in keys:
        yield content, key
        yield from places(content[key])


def _put(above: Any, key: Any, what: str, value: Any, name: str) -> None:
    if what == "drop":
        del above[key]
    elif what == "add":
        above[name] = value
    elif what == "rename":
        kept = list(above.items())
        above.clear()
        above.update((name if old == key else old, inner) for old, inner in kept)
    else:
        above[key] = value


@st.composite
def mutated(
    draw: st.DrawFn, content: Any, value: st.SearchStrategy[Any], name: st.SearchStrategy[str]
) -> Any:
    """A copy in which one to four places hold something else, have another name, or are gone."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 4))):
        there = list(places(content))
        if not there:
            break
        above, key = there[draw(st.integers(0, len(there) - 1))]
        kinds = ("value", "value", "add", "rename", "drop") if isinstance(above, dict) else ("value", "drop")
        # A copy: what is put is changed next, and hypothesis gives the same list again.
        _put(above, key, draw(st.sampled_from(kinds)), copy.deepcopy(draw(value)), draw(name))
    return content


# --- Study files --------------------------------------------------------------------------------------------

STUDIES: dict[str, Any] = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "studies").glob("*.yaml"))
    if path.stem != "paper_tables"
} | {"tiny": TINY}

SMALL = tuple(
    name for name, study in STUDIES.items() if len(study.get("variants", ())) <= 7 and "tune" not in study
)
"""Those that are read in a moment."""

_PARTS = [above[key] for study in STUDIES.values() for above, key in places(study)]
_KEYS = sorted(
    {str(key) for study in STUDIES.values() for above, key in places(study) if isinstance(above, dict)}
)
_HOLE = "HOLE{}HERE"


@st.composite
def study_texts(draw: st.DrawFn, of: tuple[str, ...] = tuple(STUDIES)) -> str:
    """The YAML of one of our studies, in which some places hold what stands elsewhere in one, or no sense at all."""
    holes: list[str] = []

    def hole(snippet: str) -> str:
        holes.append(snippet)
        return _HOLE.format(len(holes) - 1)

    snippets = st.sampled_from(SPECIAL) | values().map(json.dumps)
    parts = st.integers(0, len(_PARTS) - 1).map(lambda place: copy.deepcopy(_PARTS[place]))
    names = st.sampled_from(_KEYS) | snippets.map(hole) | text()
    content = draw(mutated(STUDIES[draw(st.sampled_from(of))], snippets.map(hole) | parts, names))
    written = yaml.safe_dump(content, sort_keys=False, width=1_000_000, allow_unicode=True)
    for number, snippet in enumerate(holes):
        written = written.replace(_HOLE.format(number), snippet)
    return written


# --- Annotations --------------------------------------------------------------------------------------------


@st.composite
def changed_text(draw: st.DrawFn, whole: str) -> bytes:
    """A text file in which one to four stretches are gone, stand twice, or are something else."""
    data = whole.encode()
    odd = st.binary(max_size=4) | text().map(lambda some: some.encode(errors="surrogatepass"))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 30)))
        new = draw(
            st.sampled_from([b"", data[start:stop] * 2, b"\n", b";", b",", b"9" * 30, b"x" * 3000]) | odd
        )
        data = data[:start] + new + data[stop:]
    return data


def changed_json(whole: str) -> st.SearchStrategy[bytes]:
    """A JSON file in which places hold something else; or one that may be none any more."""
    leaves = st.sampled_from([10**30, "1e400", "x" * 3000, ["x"] * 300, "a/../b", "Pushing something"])
    there = mutated(json.loads(whole), values(leaves), text())
    return there.map(lambda content: json.dumps(content).encode()) | changed_text(whole)
