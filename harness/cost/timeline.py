"""A profile as one page that needs nothing else: no network, no viewer, no server."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.cost.profiling import Profile

TEMPLATE = Path(__file__).with_name("timeline.html")
ROWS = 25  # of the table of operations


def page(title: str, note: str, profiles: Mapping[str, Profile]) -> str:
    """HTML: one pass of each variant as a flame chart, and its operations by their own time.

    Args:
        note: where and how the profiles were taken, in words.
    """
    data = json.dumps({name: _plain(profile) for name, profile in profiles.items()}, separators=(",", ":"))
    return (
        TEMPLATE.read_text(encoding="utf-8")
        .replace("@TITLE@", html.escape(title))
        .replace("@NOTE@", html.escape(note))
        .replace("@DATA@", data.replace("<", "\\u003c"))
    )


def _plain(profile: Profile) -> dict[str, Any]:
    names: dict[str, int] = {}
    lanes: dict[str, list[list[float]]] = {}
    ends: dict[str, list[float]] = {}
    for span in profile.spans:
        stack = ends.setdefault(span.lane, [])
        while stack and stack[-1] <= span.start_us:
            stack.pop()
        number = names.setdefault(span.name, len(names))
        row = [
            number,
            round(span.start_us, 1),
            round(span.length_us, 1),
            len(stack),
            int(span.kind == "temporal"),
        ]
        lanes.setdefault(span.lane, []).append(row)
        stack.append(span.start_us + span.length_us)
    return {
        "ms": profile.pass_ms,
        "share": profile.temporal_share,
        "names": list(names),
        "lanes": lanes,
        "kernels": profile.kernels[:ROWS],
        "left_out": max(0, len(profile.kernels) - ROWS),
    }
