"""Published numbers that reports quote in their own column: `studies/paper_tables.yaml`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness import shipped
from harness.errors import StudyError, nearest

TABLES = shipped.FOLDER / shipped.TABLES


def load_reference(name: str) -> dict[str, Any]:
    """One table, e.g. "mixtconv.table2": title, dataset, protocol, rows; `paper` is the title of its paper.

    `claims` are sentences on what the paper states of this table and arithmetic does not give; `elsewhere` are
    accuracies on the same data set that others published: method, top1, protocol, source.

    Raises:
        StudyError: no such table; the message offers the nearest one.
    """
    import yaml

    papers: dict[str, Any] = yaml.safe_load(TABLES.read_text(encoding="utf-8"))
    elsewhere: dict[str, Any] = papers.pop("elsewhere")
    tables = {
        f"{key}.{path}": {
            "paper": paper["title"],
            **table,
            "claims": _claims(paper.get("claims", []), path),
            "elsewhere": elsewhere.get(table["dataset_key"], []),
        }
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


def _claims(claims: list[dict[str, Any]], path: str) -> list[str]:
    return [
        f"{claim['place']}: {claim['printed']}; not reproduced: computed {claim['computed']}."
        for claim in claims
        if path.split(".")[0] in claim["tables"]
    ]


def others(table: dict[str, Any], variants: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The table's rows that a study has no variant for: quoted, never measured here."""
    own = set(variants)
    return {name: row for name, row in table["rows"].items() if name not in own}


def added_gmacs(table: dict[str, Any], variant: str) -> tuple[float, float] | None:
    """What the paper says a variant adds to the plain network, in G, and the unit of the last printed digit.

    None where the paper prints no cost, or no plain network to count from.
    """
    row = table["rows"].get(variant, {})
    printed, network = row.get("gmacs"), row.get("added_to", table.get("added_to"))
    if printed is None or network is None:
        return None
    _, _, decimals = str(printed).partition(".")
    return printed - network, 10.0 ** -len(decimals)


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


def agrees(printed: float | None, computed: float | None) -> bool:
    """Whether a total is the printed one: within 1 %, or rounded as that is. True where there is nothing to compare."""
    if printed is None or computed is None:
        return True
    _, _, decimals = str(printed).partition(".")
    return abs(computed - printed) <= 0.01 * printed or round(computed, len(decimals.strip("0"))) == printed


def same_geometry(table: dict[str, Any], geometry: dict[str, Any], variant: str = "") -> bool:
    """Whether the printed costs are for the network and the clip that the computed ones are for."""
    stated = _geometry(table, variant)
    return bool(stated) and all(geometry.get(key) == value for key, value in stated.items())


def published_row(table: dict[str, Any], variant: str, placement: str | None) -> dict[str, Any]:
    """The table's row of a variant; {} where there is none, or where its operator stands elsewhere in the block.

    Args:
        placement: the variant's own; None where that is not known.
    """
    row: dict[str, Any] = table.get("rows", {}).get(variant, {})
    stated = _geometry(table, variant).get("placement")
    return {} if placement and stated and placement != stated else row


def _geometry(table: dict[str, Any], variant: str) -> dict[str, Any]:
    """The table's, with what a row says of its own."""
    stated, row = dict(table.get("geometry", {})), table.get("rows", {}).get(variant, {})
    if not stated:
        return {}
    if (frames := row.get("frames")) is not None:
        stated["num_frames"] = int(frames) if str(frames).isdigit() else frames
    stated["placement"] = row.get("placement", stated.get("placement", "any"))
    return {key: value for key, value in stated.items() if value != "any"}
