"""YAML from anybody: read within limits, so that a small file cannot take the memory or the time of a large one."""

from __future__ import annotations

from typing import Any

import yaml

MOST_BYTES = 1 << 20
DEEPEST = 32
MOST_VALUES = 100_000
"""With every alias written out, as a program that walks over them meets them."""

LARGEST = 2**63
"""A whole number from here on is refused: Python writes none of some thousand digits, and no setting needs it."""

_LONGEST_NUMBER = 100  # characters: of a number in base 60, as YAML has them, a megabyte takes minutes


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, which YAML would silently let win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int, float, bool)) and key in seen:
                raise _wrong(f"{key!r} is given twice", key_node)
            if isinstance(key, (str, int, float, bool)):
                seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        kind = node.tag.rpartition(":")[2]
        quotes = "put it in quotes if it is text"
        if kind in ("int", "float") and len(node.value) > _LONGEST_NUMBER:
            raise _wrong(f"a number of {len(node.value):,} characters; {quotes}", node)
        try:
            value = super().construct_object(node, deep)
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            ArithmeticError,
        ):  # PyYAML lets them through
            raise _wrong(f"{str(node.value)[:60]!r} is no {kind}; {quotes}", node) from None
        if isinstance(value, int) and not -LARGEST < value < LARGEST:
            raise _wrong(f"{node.value} is too large a number; {quotes}", node)
        return value


def _wrong(problem: str, place: yaml.Node | yaml.Event) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(problem=problem, problem_mark=place.start_mark)  # type: ignore[arg-type]


def parse(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        yaml.YAMLError: it is none, or is beyond the limits.
    """
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"{len(text):,} characters, more than the {MOST_BYTES:,} that are read")
    _check(text)
    return yaml.load(text, _Loader)


def _check(text: str) -> None:
    """Walk over the events of the parser, which nests nothing and follows no alias."""
    sizes: dict[str, int] = {}
    around: list[tuple[str | None, int]] = [
        (None, 0)
    ]  # anchor and values so far of each collection that is open
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            around.append((event.anchor, 1))
            if len(around) > DEEPEST:
                raise _wrong(f"nested more than {DEEPEST} deep", event)
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = around.pop()
        elif isinstance(event, yaml.ScalarEvent):
            anchor, size = event.anchor, 1
        elif isinstance(event, yaml.AliasEvent):
            anchor, size = None, sizes.get(event.anchor or "", 1)
            if any(name == event.anchor for name, _ in around):
                raise _wrong(f"*{event.anchor} stands within itself", event)
        else:
            continue
        if anchor is not None:
            sizes[anchor] = size
        outer, total = around.pop()
        around.append((outer, total + size))
        if total + size > MOST_VALUES:
            raise _wrong(f"more than {MOST_VALUES:,} values, aliases written out", event)
