"""The reference pages, written from the code: python docs/generate.py

docs/reference/study_keys.md from the schema of studies, operators.md from the zoo's classes, commands.md from the
parsers of the command lines. A test holds them as they are written here.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import itertools
import json
import os
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

WRITTEN = "<!-- written by docs/generate.py -->"
FORMULA = re.compile(r" {4}|[\w\[\]]+ = ")  # of a docstring's lines
SECTIONS = ("model", "data", "train", "resources", "cost", "report")


def pages() -> dict[str, str]:
    """Every page by its name in docs/reference/."""
    made = {"study_keys.md": study_keys(), "operators.md": operators(), "commands.md": commands()}
    return {name: "\n".join([f"{WRITTEN}\n", *lines]).rstrip() + "\n" for name, lines in made.items()}


def study_keys() -> Iterator[str]:
    from harness.study.schema import schema

    known = schema()["definitions"]
    yield "# Study keys"
    yield from _prose(
        "Every key of a study file, with its default. [Write a study](../studies.md) shows them in use. "
        "An editor completes and checks them with `studies/schema.json`."
    )
    yield from _prose(
        "A dotted name reaches any of them: `train.lr` in a variant, in `sweep`, in `tune`, or behind `--set`."
    )
    yield "\n## The study itself"
    outer = ("parts", "presets", "variants", "ablate", "like")
    words = {
        "like": "a file beside this one, of which this one says only what differs",
        "variants": "the rows of the table: a name, and the settings in which it differs",
        "ablate": "components; the full model and a variant without each of them become rows",
        "parts": "the same rows under other settings, each a comparison of its own",
        "presets": "the same question at another scale, asked for with `--preset`",
    }
    plain = {name: one for name, one in known.items() if name not in (*SECTIONS, "all_variants", "part")}
    kinds = {"like": "string"}
    more = {name: {"description": words[name], "type": kinds.get(name, "object")} for name in outer}
    yield from _table("", plain | more)
    for name in SECTIONS:
        yield f"\n## `{name}`"
        yield from _prose(known[name]["description"])
        yield from _table(f"{name}.", known[name]["properties"])
        if name == "data":
            yield "\n### `data.test`"
            yield from _prose(known["data"]["properties"]["test"]["description"])
            yield from _table("data.test.", known["data"]["properties"]["test"]["properties"])
            for one in known["data"]["properties"]["dataset"]["anyOf"][1:]:
                settings = dict(one["properties"])
                yield f"\n### `data.dataset` of `{settings.pop('name')['const']}`"
                yield from _table("data.dataset.", settings)


def operators() -> Iterator[str]:
    from operators.base import TemporalOp

    yield "# Operators"
    yield from _prose(
        "Every operator of the zoo, as its class describes it. C channels, T frames, H x W pixels. "
        "[The contract](../operators.md) says what an operator promises, and has them all in one table."
    )
    for name, cls in sorted(TemporalOp.registry.items()):
        facts = cls.facts
        if facts is None:
            continue
        told, arguments = _docstring(cls)
        yield f"\n## `{name}`"
        yield from _prose(f"{facts.title[0].upper()}{facts.title[1:]}, {facts.venue} {facts.year}.")
        yield from _told(told)
        source = re.search(r"^Source: (.*?)(?:\n\n|\Z)", _module(cls), re.DOTALL | re.MULTILINE)
        if source:
            yield from _prose("Source: " + " ".join(source[1].split()))
        yield ""
        yield f"- formula: `{facts.formula}`"
        yield f"- parameters: `{facts.parameters}`"
        yield f"- multiply-adds of a clip: `{facts.macs}`"
        yield f"- reach: `{facts.reach}`"
        if facts.also:
            yield f"- also called: {', '.join(f'`{other}`' for other in facts.also)}"
        own = list(inspect.signature(cls.__init__).parameters.values())[3:]
        if own:
            yield "\n| setting | default | |"
            yield "|---|---|---|"
            for one in own:
                default = [*one.default] if isinstance(one.default, tuple) else one.default
                yield f"| `{one.name}` | `{default}` | {_cell(arguments.get(one.name, ''))} |"


def commands() -> Iterator[str]:
    from harness.__main__ import COMMANDS

    yield "# Commands"
    yield from _prose(
        "`mixtbench COMMAND` and `python -m harness COMMAND` are the same. `--help` prints what stands here, "
        "and `--version` the version."
    )
    yield "\n| command | |"
    yield "|---|---|"
    yield from (f"| [`{name}`](#{name}) | {_cell(words)} |" for name, (_, words) in COMMANDS.items())
    modules = {name: module for name, (module, _) in COMMANDS.items()}
    for name, module in {**modules, "gpu": "harness.gpu.__main__"}.items():
        yield f"\n## {name}"
        yield from _parser(_parser_of(module))


class _Asked(Exception):  # noqa: N818  # no error: it carries a parser out
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def _parser_of(module: str) -> argparse.ArgumentParser:
    """The parser that a command line reads its words with."""

    def caught(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise _Asked(parser)

    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MIXTBENCH_", "MLFLOW_"))}
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_known_args", caught),
        mock.patch.dict(os.environ, clean, clear=True),
    ):
        try:
            importlib.import_module(module).main(["--help"])
        except _Asked as asked:
            return asked.parser
    raise AssertionError(f"{module} reads its words without a parser")


def _parser(parser: argparse.ArgumentParser, level: int = 3) -> Iterator[str]:
    yield from _prose(parser.description or "")
    if parser.epilog and parser.epilog.startswith("examples:"):
        yield "\n```bash"
        yield textwrap.dedent(parser.epilog.removeprefix("examples:\n"))
        yield "```"
    formatter = parser._get_formatter()
    for group in parser._action_groups:
        rows = [_option(formatter, action) for action in group._group_actions if _shown(action)]
        if rows:
            title = "words" if group.title == "positional arguments" else group.title
            yield f"\n| {title} | |"
            yield "|---|---|"
            yield from rows
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield f"\n{'#' * level} {inner.prog.removeprefix('python -m harness.')}"
                yield from _parser(inner, level + 1)


def _shown(action: argparse.Action) -> bool:
    inner = isinstance(action, argparse._SubParsersAction) or {"--help", "--version"} & set(
        action.option_strings
    )
    return not inner and action.help not in (None, argparse.SUPPRESS)


def _option(formatter: argparse.HelpFormatter, action: argparse.Action) -> str:
    """A row of a table."""
    takes = formatter._format_args(action, action.dest.upper() if action.option_strings else action.dest)
    flags = [f"`{flag} {takes}`" if takes else f"`{flag}`" for flag in action.option_strings]
    told = formatter._expand_help(action).replace(str(Path.home()), "~")
    return f"| {_cell(', '.join(flags) or f'`{takes}`')} | {_cell(told)} |"


def _table(prefix: str, settings: Mapping[str, Any]) -> Iterator[str]:
    yield "\n| key | takes | default | |"
    yield "|---|---|---|---|"
    for name, one in settings.items():
        default = f"`{json.dumps(one['default'], ensure_ascii=False)}`" if "default" in one else ""
        told = _cell(one.get("description", ""))
        yield f"| `{prefix}{name}` | {_cell(', '.join(_takes(one)))} | {_cell(default)} | {told} |"


def _takes(one: Mapping[str, Any]) -> list[str]:
    """What a key may be, in words."""
    if "enum" in one:
        return [f"`{value}`" for value in one["enum"]]
    if "anyOf" in one:
        found = [words for inner in one["anyOf"] for words in _takes(inner)]
        number = "a number" in found
        return list(
            dict.fromkeys(word for word in found if word and not (number and word == "a number as text"))
        )
    kind = one.get("type", "")
    if kind == "array":
        several = {"a whole number": "whole numbers", "a number": "numbers", "text": "words"}
        return [f"a list of {' or '.join(several[word] for word in _takes(one['items']))}"]
    if kind == "string":
        return ["a number as text" if "[eE]" in one.get("pattern", "") else "text"]
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "object": "settings",
    }
    return [words.get(kind, "settings")]


def _docstring(cls: type) -> tuple[str, dict[str, str]]:
    """What it does, in a paragraph or more, and what it says of each argument."""
    doc = inspect.getdoc(cls) or ""
    told, _, rest = doc.partition("\nArgs:\n")
    told = re.split(r"\n(?:Shape|Cost|Raises|Attributes|Source):", told)[0]
    block = re.split(r"\n(?=\S)", rest)[0]
    found = re.findall(r"^    (\w+): (.*?)(?=^    \w+:|\Z)", block, re.MULTILINE | re.DOTALL)
    return told, {name: " ".join(words.split()) for name, words in found}


def _told(doc: str) -> Iterator[str]:
    """A docstring's paragraphs; what stands indented in it, formulas above all, stays as it is."""
    for paragraph in re.split(r"\n\s*\n", doc):
        for formula, lines in itertools.groupby(
            paragraph.splitlines(), lambda line: bool(FORMULA.match(line))
        ):
            if formula:
                yield from ("", "```text", *(line.removeprefix("    ") for line in lines), "```")
            else:
                yield from _prose(" ".join(lines))


def _module(cls: type) -> str:
    return sys.modules[cls.__module__].__doc__ or ""


def _prose(text: str) -> Iterable[str]:
    """A paragraph of lines below 100 characters; code is not torn."""
    glued = re.sub(r"`[^`]*`|\[[^\]]*\]\([^)]*\)", lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(glued.strip(), 98, break_long_words=False, break_on_hyphens=False)
    return ["", *(line.replace("\0", " ") for line in lines)] if lines else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    for page, text in pages().items():
        (ROOT / "docs" / "reference" / page).write_text(text, encoding="utf-8")
