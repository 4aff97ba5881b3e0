"""What a variant's operator is and was set to, as far as a figure or a table needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.records import StudyRecord

if TYPE_CHECKING:
    from operators.base import Facts


def operator_settings(record: StudyRecord, variant: str) -> dict[str, Any]:
    """The operator's resolved settings, its name among them."""
    found = record.settings.get(variant, {}).get("model", {}).get("operator", {})
    return found if isinstance(found, dict) else {}


def operator_facts(record: StudyRecord, variant: str) -> Facts | None:
    """What an operator of the zoo says of itself; None of another."""
    from operators import TemporalOp  # here: with torch, which `harness.report --help` must not wait for

    cls = TemporalOp.registry.get(str(operator_settings(record, variant).get("name")))
    return cls.facts if cls else None


def kernel_span(operator: dict[str, Any]) -> tuple[int, bool] | None:
    """Frames from the first to the last tap of a depthwise operator's largest kernel; whether they are mixed.

    None for an operator without kernel sizes of its own, and for a dense one, whose cost is another.
    """
    if operator.get("name") == "depthwise":
        return (operator.get("kernel_size", 3) - 1) * operator.get("dilation", 1) + 1, False
    if operator.get("name") == "mixtconv":
        sizes = operator.get("kernel_sizes", (1, 3, 5, 7))
        dilations = operator.get("dilations") or [1] * len(sizes)
        return max((k - 1) * d + 1 for k, d in zip(sizes, dilations, strict=True)), True
    return None
