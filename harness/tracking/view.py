"""The saved views of a study on MLflow's pages: its variants, means over seeds, and its trials.

MLflow documents neither the tag nor its content (seen in 3.17); where it does not know them, it ignores them.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from typing import Any

VIEW, TRIALS = "variants", "trials"
"""Where the saved views of a study are found: harness.ui prints the links."""


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
# Bars for what may differ by a hundred times: a point far out would press all others together.
_OF_VARIANTS: dict[str, dict[str, Any]] = {
    "latency": {"type": "SCATTER", "xaxis": _axis("cost/latency_ms"), "yaxis": _axis("mean/top1")},
    "top1": {"type": "BAR", "metricKey": "mean/top1"},
    "gap": {"type": "BAR", "metricKey": "mean/vs baseline"},
    "macs": {"type": "BAR", "metricKey": "cost/macs_added_g"},
}
_OF_TRIALS: dict[str, dict[str, Any]] = {"curve": _CURVE, "top1": {"type": "BAR", "metricKey": "val/top1"}}
_ON_EVERY_CHART = {
    "runsCountToCompare": 100,
    "metricSectionId": "overview",
    "deleted": False,
    "isGenerated": False,
}
_STATE = {
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "runsHiddenMode": "SHOWALL",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": True,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupsExpanded": {},
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}


_FIRST = {"attributes.`Run Name`": 135, "runDateAndNestInfo": 85}
"""What stands first in every table of MLflow's, in pixels: less than its own width, for the columns that say more."""


def _section(name: str) -> dict[str, Any]:
    flags = {"display": True, "isReordered": False, "deleted": False, "isGenerated": False}
    return {"uuid": "overview", "name": name, "columns": 2, "cardHeight": 300, **flags}


def _state(
    kind: str, order: str, columns: dict[str, int], title: str, charts: dict[str, Any]
) -> dict[str, Any]:
    """columns: from left to right, with their widths in pixels."""
    return {
        **_STATE,
        "searchFilter": f"tags.`mixtbench.kind` = '{kind}'",
        "orderByKey": f"metrics.`{order}`",
        "orderByAsc": False,
        "selectedColumns": list(columns),
        "columnOrder": [*_FIRST, *columns],
        "columnWidths": _FIRST | columns,
        "compareRunSections": [_section(title)],
        "compareRunCharts": [{"uuid": uuid, **chart, **_ON_EVERY_CHART} for uuid, chart in charts.items()],
    }


def saved_views() -> dict[str, str]:
    """The experiment tags that make the views."""
    # Words alone: numbers would stand before them. MLflow's own width of 100 pixels cuts an interval and a verdict;
    # with these, all is read on 1440 pixels beside the panel that MLflow opens at the first visit.
    words = {"tags.`top1`": 140, "tags.`vs_baseline`": 155, "tags.`verdict`": 230}
    variants = _state("variant", "mean/top1", words, "Variants: means over seeds", _OF_VARIANTS)
    trials = _state(
        "trial",
        "val/top1",
        {
            "params.`variant`": 150,
            "params.`seed`": 80,
            "metrics.`val/top1`": 110,
            "metrics.`time/trial_s`": 110,
        },
        "Trials, averaged over the seeds of a variant",
        _OF_TRIALS,
    )
    by_variant = [{"mode": "param", "groupByData": "variant"}]
    trials["groupBy"] = {"aggregateFunction": "average", "groupByKeys": by_variant}
    return {**_tag(VIEW, "Variants", variants), **_tag(TRIALS, "Trials", trials)}


def _tag(key: str, name: str, state: dict[str, Any]) -> dict[str, str]:
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = int(1000 * time.time())
    view = {"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return {f"mlflow.sharedViewState.{key}": json.dumps(view)}
