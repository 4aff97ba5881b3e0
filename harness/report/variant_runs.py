"""A study's variants as MLflow's table shows them: means over seeds, intervals, verdicts."""

from __future__ import annotations

from harness.analysis.summary import Row, summarize
from harness.records import StudyRecord
from harness.report.format import bare_points, estimate
from harness.tracking.metrics import cost_metrics, cost_tags
from harness.tracking.variants import VariantRun


def variant_runs(record: StudyRecord) -> list[VariantRun]:
    """Of the variants with a result, in the study's order."""
    return [_of(row) for row in summarize(record).rows if row.accuracy["top1"].n]


def _of(row: Row) -> VariantRun:
    top1 = estimate(row.accuracy["top1"], seeds=row.finished)  # short: MLflow's columns are narrow
    words = {"top1": top1, "seeds": f"{row.finished} of {row.planned}"}
    metrics = cost_metrics(row.cost) if row.cost else {}
    for name, value in row.accuracy.items():
        if value.n:
            metrics[f"mean/{name.replace('/', ' ')}"] = value.mean
    gap = row.difference
    words["vs_baseline"] = (
        bare_points(gap, seeds=row.finished) if gap and gap.n else "baseline" if gap is None else "-"
    )
    words["verdict"] = gap.words if gap else "baseline"
    if gap and gap.n:
        metrics["mean/vs baseline"] = gap.mean
    return VariantRun(variant=row.variant, words=words | cost_tags(row.cost), metrics=metrics)
