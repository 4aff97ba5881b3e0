"""The zoo as a table, from what its operators say of themselves. `python -m operators.table` prints it for docs."""

from __future__ import annotations

import inspect

import torch

from operators.base import TemporalOp


def table() -> str:
    """One row an operator, in Markdown; those without `facts` are left out.

    Causal and batch statistics are read from the operator as a study would build it.
    """
    head = (
        "operator",
        "its paper's name",
        "published",
        "formula",
        "settings",
        "parameters",
        "MACs of a clip",
        "reach",
        "looks at",
        "batch statistics",
    )
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    found = [cls for cls in TemporalOp.registry.values() if cls.facts]
    for cls in sorted(found, key=lambda cls: (cls.facts.year, cls.name) if cls.facts else (0, "")):
        lines.append("| " + " | ".join(_row(cls)) + " |")
    return "\n".join(lines)


def _row(cls: type[TemporalOp]) -> tuple[str, ...]:
    facts = cls.facts
    assert facts is not None
    with torch.device("meta"):
        op = cls(64, 8)
    where = "the past" if op.causal else "both sides, the ends joined" if op.circular else "both sides"
    return (
        f"`{cls.name}`",
        facts.title,
        f"{facts.venue} {facts.year}",
        facts.formula.replace("|", "\\|"),
        _settings(cls),
        facts.parameters,
        facts.macs,
        facts.reach,
        where if op.reach != 0 else "one frame",
        "yes" if op.uses_batch_statistics else "",
    )


def _settings(cls: type[TemporalOp]) -> str:
    own = list(inspect.signature(cls.__init__).parameters.values())[3:]
    shown = {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in own}
    return ", ".join(f"`{name}` ({value})" for name, value in shown.items() if value is not None)


if __name__ == "__main__":
    print(table())
