"""What MLflow's pages show of a study and a trial: descriptions, metrics, a saved view, artifacts, network, data."""

from __future__ import annotations

import base64
import csv
import dataclasses
import json
import statistics
import time
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.records import CostRecord, StudyRecord, TrialRecord, to_json
from harness.stats.estimates import percentile

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput


VIEW = "accuracy-latency"
"""Where the saved view of a study is found: harness.ui prints the link."""

NAMES = {"epoch": "time/epoch"}
"""Metrics that are named otherwise in MLflow, whose charts are grouped by what stands before the `/`."""


def study_note(record: StudyRecord) -> str:
    source = f"\n\nSource: {record.source}." if record.source else ""
    return (
        f"**{record.question}**{source}\n\nBaseline `{record.baseline}`; one run a trial (variant x seed), and the "
        "run `summary` with the plan, the costs and the report."
    )


def trial_note(variant: str, seed: int, settings: dict[str, Any]) -> str:
    """A trial in words, as Markdown."""
    operator = dict(settings["model"]["operator"])
    name = operator.pop("name", "identity")
    how = ", ".join(f"{key} {value}" for key, value in operator.items())
    model, data, train = settings["model"], settings.get("data", {}), settings.get("train", {})
    lines = [f"**`{variant}`, seed {seed}**: operator `{name}`" + (f" ({how})" if how else "")]
    where = [model.get("backbone"), f"{data['num_frames']} frames" if "num_frames" in data else ""]
    where += [f"{train['epochs']} epochs" if "epochs" in train else ""]
    lines.append(", ".join(str(word) for word in where if word))
    lines.append(
        "Metrics: `val/` and `train/` by epoch, `group/` and `class/` of the reported epoch, `cost/` of one "
        "clip, `time/`."
    )
    return "\n\n".join(line for line in lines if line)


def saved_view() -> dict[str, str]:
    """Experiment tags that make a saved view: accuracy against latency, and the runs table grouped by variant.

    MLflow documents neither the tag nor its content (seen in 3.17); where it does not know them, it ignores them.
    """
    columns = (
        "val/top1",
        "cost/latency_ms",
        "cost/macs_added_g",
    )  # MLflow puts them in the order of their names
    charts: list[dict[str, Any]] = [
        {"uuid": "latency", "type": "SCATTER", "xaxis": _axis("cost/latency_ms"), "yaxis": _axis("val/top1")},
        {"uuid": "macs", "type": "SCATTER", "xaxis": _axis("cost/macs_added_g"), "yaxis": _axis("val/top1")},
        {"uuid": "top1", "type": "BAR", "metricKey": "val/top1"},
        {
            "uuid": "curve", "type": "LINE", "metricKey": "val/top1", "selectedMetricKeys": ["val/top1"],
            "lineSmoothness": 0, "xAxisScaleType": "linear", "scaleType": "linear", "range": {}, "xAxisKey": "step",
            "selectedXAxisMetricKey": "", "yAxisKey": "metric", "yAxisExpressions": [], "ignoreOutliers": False,
            "useGlobalXaxisKey": True, "useGlobalLineSmoothing": True,
        },
    ]  # fmt: skip
    shared = {
        "runsCountToCompare": 100,
        "metricSectionId": "overview",
        "deleted": False,
        "isGenerated": False,
    }
    state = {
        "searchFilter": "tags.`mixtbench.kind` = 'trial'", "orderByKey": "metrics.`val/top1`", "orderByAsc": False,
        "startTime": "ALL", "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": ["params.`seed`", *(f"metrics.`{metric}`" for metric in columns)],
        "columnOrder": [], "columnWidths": {}, "runsHiddenMode": "SHOWALL", "viewMaximized": False,
        "runListHidden": False, "isAccordionReordered": True, "useGroupedValuesInCharts": True,
        "hideEmptyCharts": True, "groupsExpanded": {},
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "param", "groupByData": "variant"}]},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
        "compareRunSections": [
            {"uuid": "overview", "name": "Accuracy and cost, mean over seeds", "display": True, "isReordered": False,
             "deleted": False, "isGenerated": False}
        ],
        "compareRunCharts": [chart | shared for chart in charts],
    }  # fmt: skip
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    now = int(1000 * time.time())
    view = {"name": "Accuracy and latency", "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
    return {f"mlflow.sharedViewState.{VIEW}": json.dumps(view)}


def _axis(metric: str) -> dict[str, str]:
    return {"key": metric, "type": "METRIC"}


def data_input(card: dict[str, Any]) -> DatasetInput:
    """The data set of a trial as MLflow's Datasets list shows it.

    Args:
        card: "name", "fingerprint", and counts by name.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    counts = {key: value for key, value in card.items() if key not in ("name", "fingerprint")}
    dataset = Dataset(
        name=card["name"],
        digest=card["fingerprint"][:36],
        source_type="mixtbench",
        source=json.dumps({"name": card["name"], "fingerprint": card["fingerprint"]}),
        profile=json.dumps(counts),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training and validation")])


def write_network(folder: Path, weights: Path, settings: dict[str, Any], classes: list[str]) -> None:
    """A trained network as an MLflow model with its signature, in a new folder."""
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    from harness.tracking import served

    served.save(folder / "data", weights, settings, classes)
    data = settings["data"]
    clips = TensorSpec(np.dtype("uint8"), (-1, data["num_frames"], 3, data["crop"], data["crop"]))
    scores = TensorSpec(np.dtype("float32"), (-1, len(classes)))
    model = Model(signature=ModelSignature(Schema([clips]), Schema([scores])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on what it deprecates
        pyfunc.add_to_model(model, loader_module="harness.tracking.served", data="data")
        model.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text("mlflow\ntorch\n")


def cost_metrics(cost: CostRecord) -> dict[str, float]:
    values = {"cost/params_added": float(cost.params_added), "cost/params_total_m": cost.params_total / 1e6}
    if cost.macs_total is not None and cost.macs_added is not None:
        values |= {"cost/macs_added_g": cost.macs_added / 1e9, "cost/macs_total_g": cost.macs_total / 1e9}
    if cost.activation_mib is not None:
        values["cost/activation_mib"] = cost.activation_mib
    if cost.latency_ms:
        values["cost/latency_ms"] = statistics.median(cost.latency_ms)
        values["cost/latency_p95_ms"] = percentile(cost.latency_ms, 0.95)
        values["cost/clips_per_s"] = 1e3 / values["cost/latency_ms"]
    for name, samples in cost.samples_ms.items():
        key = f"cost/{name.replace('@', '_')}"
        values |= {f"{key}_ms": statistics.median(samples), f"{key}_p95_ms": percentile(samples, 0.95)}
    values |= {f"cost/peak_memory_{name}_mib": value for name, value in cost.peak_memory_mib.items()}
    values |= {f"cost/temporal_share_{name}": value for name, value in cost.temporal_share.items()}
    return values


def rounded(value: float) -> float:
    """Six digits: MLflow's pages show as many as there are."""
    return float(f"{value:.6g}")


def metric_name(name: str) -> str:
    """As MLflow allows it."""
    name = NAMES.get(name, name)
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in name)


EPOCH = metric_name("epoch")


def as_table(path: Path) -> str:
    """A CSV in the form of MLflow's log_table, which its pages show as a table; log_table itself needs pandas."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return json.dumps({"columns": columns, "data": [[_number(cell) for cell in row] for row in rows]})


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def write_artifacts(out: Path, record: TrialRecord, run_id: str, folder: Path, classes: list[str]) -> None:
    from harness import plots

    saved = dataclasses.replace(record, run_id=run_id)
    (out / "result.json").write_text(json.dumps(to_json(saved)))
    (out / "scores.npz").write_bytes((folder / "scores.npz").read_bytes())
    counts = [[0] * len(classes) for _ in classes]
    with (out / "predictions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "label", "predicted", "right"])
        p = record.predictions
        for clip, label, predicted in zip(p["clip"], p["label"], p["predicted"], strict=True):
            rows.writerow([clip, classes[label], classes[predicted], int(label == predicted)])
            counts[label][predicted] += 1
    plots.confusion_matrix(out / "confusion_matrix.png", counts, classes)
    plots.curves(out / "curves.png", record.history)
