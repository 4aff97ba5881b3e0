"""Whether a row got slower than in an older file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.bench.rows import ratio
from harness.errors import DataError

MARGIN = 1.25
"""How much slower than before counts as slower: two runs of the same code differ by up to 13 % on one thread."""


def load(path: Path) -> dict[str, Any]:
    """Figures that `--json` or `--out` wrote.

    Raises:
        DataError: no such file, or not one of ours.
    """
    try:
        old = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"--compare {path}: cannot be read ({error})") from None
    if not isinstance(old, dict) or not {"machine", "rows"} <= old.keys():
        raise DataError(f"--compare {path}: is not a file that --json or --out wrote")
    return old


def slower(new: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    """What is slower than in an older file, a line each: multiples of a copy beyond MARGIN and both intervals, or a
    form that failed since. On more than one thread nothing is gated: A/A runs differ too much there.

    Raises:
        DataError: the files are of different devices.
    """
    if new["machine"]["device"] != old["machine"]["device"]:
        raise DataError(
            f"--compare: measured on {old['machine']['device']}, not on this {new['machine']['device']}; "
            "only figures of one device compare"
        )
    keys = ("operator", "path", "pass", "shape", "clips", "frames", "dtype", "format", "threads")
    before = {tuple(row[key] for key in keys): row for row in old["rows"]}
    found = []
    for row in new["rows"]:
        was = before.get(tuple(row[key] for key in keys))
        if was is None or was["failed"] or row["threads"] > 1:
            continue
        name = " ".join(str(row[key]) for key in keys)
        if row["failed"]:
            found.append(f"{name}: fails now: {row['failed']}")
            continue
        now, then = row["x_copy"], was["x_copy"]
        if now["median"] > MARGIN * then["median"] and now["low"] > then["high"]:
            found.append(f"{name}: {ratio(now)} copies, was {ratio(then)}")
    return found
