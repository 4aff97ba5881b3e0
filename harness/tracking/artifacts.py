"""Files of a trial and of a profile, in the forms that MLflow's pages show."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

from harness.files import csv_cell
from harness.records import TrialRecord, to_json


def write_trial(out: Path, record: TrialRecord, folder: Path, classes: list[str]) -> None:
    """A trial's record, scores, predictions and confusions. Its curves MLflow draws itself, from its metrics.

    Args:
        folder: the trial's, as training left it.
    """
    from harness import plots

    (out / "result.json").write_text(json.dumps(to_json(record)))
    (out / "scores.npz").write_bytes((folder / "scores.npz").read_bytes())
    counts = [[0] * len(classes) for _ in classes]
    with (out / "predictions.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["clip", "label", "predicted", "right"])
        p = record.predictions
        for clip, label, predicted in zip(p["clip"], p["label"], p["predicted"], strict=True):
            names = map(csv_cell, (clip, classes[label], classes[predicted]))
            rows.writerow([*names, int(label == predicted)])
            counts[label][predicted] += 1
    plots.confusion_matrix(out / "confusion_matrix.png", counts, classes)


def write_profile(out: Path, folder: Path) -> None:
    """A study's traces compressed, its tables in MLflow's form, and the rest as it is."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        copy = out / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.name.endswith(".pt.trace.json"):
            with gzip.GzipFile(f"{copy}.gz", "wb", mtime=0) as packed:
                packed.write(path.read_bytes())
        elif path.suffix == ".csv":
            copy.with_suffix(".json").write_text(_as_table(path))
        else:
            copy.write_bytes(path.read_bytes())


def _as_table(path: Path) -> str:
    """A CSV as MLflow's log_table writes it, for its pages to show; log_table itself needs pandas."""
    with path.open(encoding="utf-8", newline="") as file:
        columns, *rows = csv.reader(file)
    return json.dumps({"columns": columns, "data": [[_number(cell) for cell in row] for row in rows]})


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
