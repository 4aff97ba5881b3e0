"""Published numbers that reports quote in their own column: `studies/paper_tables.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import StudyError, nearest

TABLES = Path(__file__).parent.parent / "studies" / "paper_tables.yaml"


def load_reference(name: str) -> dict[str, Any]:
    """One table, e.g. "mixtconv.table2": title, dataset, protocol, rows; `paper` is the title of its paper.

    Raises:
        StudyError: no such table; the message offers the nearest one.
    """
    import yaml

    papers: dict[str, Any] = yaml.safe_load(TABLES.read_text(encoding="utf-8"))
    tables = {
        f"{key}.{path}": {"paper": paper["title"], **table}
        for key, paper in papers.items()
        for path, table in _leaves(paper["tables"]).items()
    }
    if name not in tables:
        raise StudyError(f"reference: no table {name!r} in {TABLES.name}{nearest(name, tables)}")
    return tables[name]


def _leaves(tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Tables by their dotted name; one printed over several data sets is nested one level deeper."""
    found: dict[str, dict[str, Any]] = {}
    for key, table in tables.items():
        if "rows" in table:
            found[key] = table
        else:
            found.update({f"{key}.{part}": leaf for part, leaf in _leaves(table).items()})
    return found


def added_gmacs(table: dict[str, Any], variant: str) -> tuple[float, float] | None:
    """What the paper says a variant adds to the plain network, in G, and the unit of the last printed digit.

    None where the paper prints no cost, or no plain network to count from.
    """
    printed = table["rows"].get(variant, {}).get("gmacs")
    if printed is None or "added_to" not in table:
        return None
    _, _, decimals = str(printed).partition(".")
    return printed - table["added_to"], 10.0 ** -len(decimals)


def is_reproduced(table: dict[str, Any], variant: str, macs_added: int | None) -> bool | None:
    """Whether the computed added MACs agree with the printed ones. None where there is nothing to compare.

    The printed addition is the difference of two rounded totals, each up to half a unit of the last digit
    off: they agree when they are within one unit.
    """
    printed = added_gmacs(table, variant)
    if printed is None or macs_added is None:
        return None
    added, unit = printed
    return abs(added - macs_added / 1e9) <= unit + 1e-9


def same_geometry(table: dict[str, Any], geometry: dict[str, Any]) -> bool:
    """Whether the printed costs are for the network and the clip that the computed ones are for."""
    stated = table.get("geometry", {})
    return bool(stated) and all(geometry.get(key) == value for key, value in stated.items())
