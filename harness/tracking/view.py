"""The saved view of a study on MLflow's pages: accuracy against latency, and the runs grouped by variant.

MLflow documents neither the tag nor its content (seen in 3.17); where it does not know them, it ignores them.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any

VIEW = "accuracy-latency"
"""Where the saved view of a study is found: harness.ui prints the link."""

_COLUMNS = (
    "val/top1",
    "cost/latency_ms",
    "cost/macs_added_g",
)  # MLflow puts them in the order of their names


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


_CURVE = {
    "type": "LINE",
    "metricKey": "val/top1",
    "selectedMetricKeys": ["val/top1"],
    "lineSmoothness": 0,
    "xAxisScaleType": "linear",
    "scaleType": "linear",
    "range": {},
    "xAxisKey": "step",
    "selectedXAxisMetricKey": "",
    "yAxisKey": "metric",
    "yAxisExpressions": [],
    "ignoreOutliers": False,
    "useGlobalXaxisKey": True,
    "useGlobalLineSmoothing": True,
}
_CHARTS: dict[str, dict[str, Any]] = {
    "latency": {"type": "SCATTER", "xaxis": _axis("cost/latency_ms"), "yaxis": _axis("val/top1")},
    "macs": {"type": "SCATTER", "xaxis": _axis("cost/macs_added_g"), "yaxis": _axis("val/top1")},
    "top1": {"type": "BAR", "metricKey": "val/top1"},
    "curve": _CURVE,
}
_ON_EVERY_CHART = {
    "runsCountToCompare": 100,
    "metricSectionId": "overview",
    "deleted": False,
    "isGenerated": False,
}
_SECTION = {
    "uuid": "overview",
    "name": "Accuracy and cost, mean over seeds",
    "display": True,
    "isReordered": False,
    "deleted": False,
    "isGenerated": False,
}
_STATE = {
    "searchFilter": "tags.`mixtbench.kind` = 'trial'",
    "orderByKey": "metrics.`val/top1`",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "selectedColumns": ["params.`seed`", *(f"metrics.`{metric}`" for metric in _COLUMNS)],
    "columnOrder": [],
    "columnWidths": {},
    "runsHiddenMode": "SHOWALL",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": True,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupsExpanded": {},
    "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "variant"}]},
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    "compareRunSections": [_SECTION],
    "compareRunCharts": [{"uuid": uuid, **chart, **_ON_EVERY_CHART} for uuid, chart in _CHARTS.items()],
}


def saved_view() -> dict[str, str]:
    """The experiment tags that make the view."""
    packed = base64.b64encode(zlib.compress(json.dumps(_STATE).encode())).decode()
    now = int(1000 * time.time())
    view = {"name": "Accuracy and latency", "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}
