"""What a variant costs, in words: MACs, the geometry that they are counted at, and time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.records import CostRecord

NETWORKS = {"resnet18": "ResNet-18", "resnet34": "ResNet-34", "resnet50": "ResNet-50"}


def giga(macs: float | None, form: str = ".2f", unit: str = "") -> str:
    """`32.70`, in units of 1e9, for a place that names them; `not stated` where an operator does not say."""
    return "not stated" if macs is None else f"{macs / 1e9:{form}}{unit}"


def macs(value: int | None, *, sign: str = "") -> str:
    """`+0.18 G`; millions below a hundredth of a G, and of less than can be shown that; `not stated`."""
    if value == 0:
        return f"{sign}0"
    if value is not None and 0 < value < 5_000:
        return "< 0.01 M"
    if value is not None and abs(value) < 1e7:
        return f"{value / 1e6:{sign},.2f} M"
    return giga(value, f"{sign},.2f", " G")


def geometry(costs: Iterable[CostRecord]) -> str:
    """On a terminal: `at resnet50, 8 frames of 224x224, 174 classes`. Only the number of frames may differ."""
    g = _shared(costs)
    frames = g["num_frames"] or "each row's own"
    backbone = g["backbone"] or "each row's own network"
    return (
        f"at {backbone}, {frames} frames of {g['size']}x{g['size']}, {g['num_classes']} classes{_stages(g)}"
    )


def geometry_of_macs(costs: Iterable[CostRecord]) -> str:
    """Below a table on a terminal, where classes do not matter: `at resnet50, 224x224, 8 frames`."""
    g = _shared(costs)
    frames = g["num_frames"] or "each row's own"
    backbone = g["backbone"] or "each row's own network"
    return f"at {backbone}, {g['size']}x{g['size']}, {frames} frames{_stages(g)}"


def geometry_on_page(costs: Iterable[CostRecord]) -> str:
    """In a report: `ResNet-50, 8 frames, 224x224 pixels`. What differs between variants is named as such."""
    g = _shared(costs)
    backbone, frames, size = g.get("backbone"), g.get("num_frames"), g.get("size")
    parts = (
        NETWORKS.get(backbone, str(backbone)) if backbone else "each variant's own backbone",
        f"{frames} frames" if frames else "each variant's own number of frames",
        f"{size}x{size} pixels" if size else "each variant's own size",
    )
    return ", ".join(parts) + _stages(g)


def _stages(g: dict[str, Any]) -> str:
    """Where operators stand, of costs that are not those of the trained placement."""
    stages = g.get("stages")
    return f", operators in stages {', '.join(map(str, stages))}" if stages else ""


def _shared(costs: Iterable[CostRecord]) -> dict[str, Any]:
    """What all geometries say; None for what differs between them."""
    every = [cost.geometry for cost in costs]
    keys = dict.fromkeys(key for one in every for key in one)
    return {
        key: every[0].get(key) if len({str(one.get(key)) for one in every}) == 1 else None for key in keys
    }


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
