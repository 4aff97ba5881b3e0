"""The report of a study: a page, its figures, and the CSV and JSON that every number can be recomputed from.

    python -m harness.report --out reports/

A report is replaced whole or not at all, and the same record gives the same bytes.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import StudyError, UserError
from harness.page import Figure, answer, geometry, index, page
from harness.records import SCHEMA, StudyRecord, study_from_json, to_json
from harness.stats import ALPHA, CONFIDENCE, Estimate
from harness.summary import Row, Summary, finite, kernel_span, operator_settings, summarize

RESULTS = "results.json"
CODE = ("report", "page", "plots", "summary", "stats", "breakdown", "reference")
"""The modules that decide a report's bytes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the reports of a tracking store. Exit code: 0 all written, 2 something could not be."""
    args = _parse(argv)
    failed = False
    try:
        from harness import tracking

        store = tracking.Store.open(args.tracking_uri, create=False)
        names = [args.study] if args.study else store.studies()
        if not names:
            raise StudyError(
                "the tracking store holds no study; run one first: python -m harness.run studies/..."
            )
        for name in names:
            try:
                folder = write_study(store.load_study(name), args.out)
                store.attach_report(name, folder)
                print(f"report   {folder / 'README.md'}")
            except UserError as error:
                failed = True
                print(f"error: {error}", file=sys.stderr)
        if any(args.out.glob(f"*/{RESULTS}")):
            print(f"index    {write_index(args.out)}")
    except UserError as error:
        failed = True
        print(f"error: {error}", file=sys.stderr)
    return 2 if failed else 0


def write_study(record: StudyRecord, out: Path) -> Path:
    """Write one study's report into `out/<name>`, in place of an earlier one.

    Raises:
        StudyError: the folder cannot be written, or holds something that is no report.
    """
    target = out / record.name
    building, old = out / f".{record.name}.building", out / f".{record.name}.old"
    summary = summarize(record)
    with _named_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        if old.exists() and not target.exists():
            old.rename(target)  # an earlier replacement was killed halfway
        if target.exists() and any(target.iterdir()) and not (target / RESULTS).exists():
            raise StudyError(
                f"{target}: is not a report (it has no {RESULTS}); move it away or choose another --out"
            )
        if _is_current(summary, target):
            return (
                target  # the same record by the same code is the same bytes: drawing them again takes seconds
            )
        shutil.rmtree(building, ignore_errors=True)
        try:
            _write_files(summary, building)
            shutil.rmtree(old, ignore_errors=True)
            if target.exists():
                target.rename(old)
            building.rename(target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return target


def write_index(out: Path) -> Path:
    """Write `out/README.md`, which lists every report found under `out`.

    Raises:
        StudyError: a README.md of someone else's stands there, or it cannot be written.
    """
    target = out / "README.md"
    studies = []
    with _named_errors(out):
        if target.exists() and "written by harness.report" not in target.read_text(encoding="utf-8"):
            raise StudyError(f"{target}: was not written by harness.report; choose another --out")
        for results in sorted(out.glob(f"*/{RESULTS}")):
            try:
                data = json.loads(results.read_text(encoding="utf-8"))
                studies.append((results.parent.name, data["record"]["question"], data["answer"]))
            except (ValueError, KeyError, TypeError):
                studies.append((results.parent.name, "", f"{RESULTS} cannot be read"))
        partial = out / ".README.md.building"
        partial.write_text(index(studies), encoding="utf-8")
        os.replace(partial, target)
    return target


def read_record(path: Path) -> StudyRecord:
    """The record in a report's `results.json`. A metric that was not a number is None in it.

    Raises:
        StudyError: the file is not there, is no report's, or is of a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["record"]
        schema = data["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{path}: is not the {RESULTS} of a report ({type(error).__name__})") from None
    if schema > SCHEMA:
        raise StudyError(
            f"{path}: has schema {schema}, newer than this version's {SCHEMA}; update the project"
        )
    return study_from_json(data)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.report", description="Write the reports of all studies."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), help="folder for the reports (default: reports)"
    )
    parser.add_argument("--study", default="", metavar="NAME", help="only this study")
    parser.add_argument(
        "--tracking-uri", default="", metavar="URI", help="MLflow store (default: the one of a run)"
    )
    return parser.parse_args(argv)


@contextmanager
def _named_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StudyError(
            f"--out {out}: {error.filename or out} cannot be written: {error.strerror}"
        ) from error


def _write_files(summary: Summary, folder: Path) -> None:
    (folder / "figures").mkdir(parents=True)
    figures = _draw(summary, folder / "figures")
    (folder / "README.md").write_text(page(summary, figures), encoding="utf-8")
    _write_csv(folder / "results.csv", [_variant_numbers(summary, row) for row in summary.rows])
    _write_csv(folder / "trials.csv", _trial_numbers(summary))
    results = _results(summary) | {"files": _digests(folder)}
    (folder / RESULTS).write_text(_json(results, depth=3) + "\n", encoding="utf-8")


def _is_current(summary: Summary, folder: Path) -> bool:
    """Whether a report of this very record, written by this very code, stands there whole and unchanged."""
    try:
        written = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        files = written.pop("files")
    except (OSError, ValueError, KeyError, AttributeError):
        return False
    return bool(written == json.loads(json.dumps(_results(summary))) and files == _digests(folder))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a report but the one that lists them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RESULTS)
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _draw(summary: Summary, folder: Path) -> list[Figure]:
    """Draw the figures that the study has numbers for."""
    from harness import plots

    drawn = []
    baseline = summary.baseline
    shown = [row for row in summary.rows if row.accuracy["top1"].n]
    variants = [row for row in shown if row is not baseline]
    line = _point(baseline, "top1", 0) if baseline in shown and baseline else None

    stated = [(row, row.cost.macs_added) for row in variants if row.cost and row.cost.macs_added is not None]
    if stated:
        where = geometry(row.cost for row, _ in stated if row.cost)
        points = [_point(row, "top1", added / 1e9) for row, added in stated]
        plots.accuracy_against_macs(folder / "accuracy_macs", points, line, where)
        absent = [
            row.variant for row in summary.rows if row is not baseline and row not in [r for r, _ in stated]
        ]
        drawn.append(
            Figure(
                "accuracy_macs",
                "Top-1 accuracy against added MACs",
                "Top-1 against the multiply-adds that the operator adds to one clip; points of nearly equal "
                "cost stand side by side." + _not_drawn(absent),
            )
        )

    spans = [
        (row, span)
        for row in variants
        if (span := kernel_span(operator_settings(summary.record, row.variant)))
    ]
    if len({span for _, (span, _) in spans}) > 1:
        single = [_point(row, "top1", span) for row, (span, mixed) in spans if not mixed]
        mixed = [_point(row, "top1", span) for row, (span, mixed) in spans if mixed]
        plots.accuracy_by_kernel_size(folder / "accuracy_kernel_size", single, mixed, line)
        drawn.append(
            Figure(
                "accuracy_kernel_size",
                "Top-1 accuracy by temporal kernel size",
                "Depthwise operators only. One kernel size on all channels as a line; sizes or dilations "
                "mixed over channel groups as diamonds, just right of the largest span.",
            )
        )

    if summary.bands:
        curves = [plots.Curve(b.variant, b.n, b.epochs, b.mean, b.low, b.high) for b in summary.bands]
        plots.learning_curves(folder / "learning_curves", curves, summary.record.baseline)
        drawn.append(
            Figure(
                "learning_curves",
                "Validation top-1 per epoch",
                "Mean over the finished seeds (n); the band goes from the lowest seed to the highest.",
            )
        )

    groups = [metric.removeprefix("group/") for metric in summary.metrics if metric.startswith("group/")]
    if groups and shown:
        bars = {
            row.variant: [
                dataclasses.replace(_point(row, f"group/{group}", 0), label=group)
                for group in groups
                if row.accuracy[f"group/{group}"].n
            ]
            for row in shown
        }
        plots.group_accuracy(folder / "accuracy_groups", groups, bars)
        drawn.append(
            Figure(
                "accuracy_groups",
                "Top-1 accuracy by group of classes",
                "Top-1 over the clips of each group of classes.",
            )
        )
    return drawn


def _point(row: Row, metric: str, x: float) -> Any:
    from harness.plots import Point

    value = row.accuracy[metric]
    return Point(row.variant, x, value.mean, value.low, value.high)


def _not_drawn(variants: list[str]) -> str:
    return f" Not drawn, for want of an accuracy or of MACs: {', '.join(variants)}." if variants else ""


def _results(summary: Summary) -> dict[str, Any]:
    """The record, the code that reads it, and every number that was computed from it; a number that is none is null."""
    rows = []
    for row in summary.rows:
        numbers = dataclasses.asdict(row)
        del numbers["cost"]  # stands in the record
        rows.append(numbers)
    data = {
        "answer": answer(summary),
        "written_by": _digest(*(Path(__file__).parent / f"{name}.py" for name in CODE)),
        "confidence": CONFIDENCE,
        "alpha": ALPHA,
        "correction": "Holm, over the rows tested",
        "rows": rows,
        "lead": dataclasses.asdict(summary.lead) if summary.lead else None,
        "bands": [dataclasses.asdict(band) for band in summary.bands],
        "reference": summary.reference,
        "record": to_json(summary.record),
    }
    result: dict[str, Any] = _null_for_nan(data)
    return result


def _json(value: Any, depth: int, indent: str = "") -> str:
    """JSON with one line an entry down to `depth`; what lies deeper stands on one line."""
    if depth == 0 or not value or not isinstance(value, dict | list):
        return json.dumps(value, allow_nan=False, ensure_ascii=False)
    inner = indent + " "
    if isinstance(value, dict):
        lines = [f"{json.dumps(str(key))}: {_json(entry, depth - 1, inner)}" for key, entry in value.items()]
    else:
        lines = [_json(entry, depth - 1, inner) for entry in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    body = ",\n".join(inner + line for line in lines)
    return f"{opening}\n{body}\n{indent}{closing}"


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _null_for_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _variant_numbers(summary: Summary, row: Row) -> dict[str, Any]:
    numbers: dict[str, Any] = {"variant": row.variant, "finished": row.finished, "planned": row.planned}
    for metric in summary.metrics:
        numbers |= _estimate_numbers(metric, row.accuracy[metric])
    difference = row.difference
    numbers |= _estimate_numbers("difference", difference or Estimate(mean=math.nan, n=0))
    numbers |= {
        "p": difference.p if difference else None,
        "p_holm": difference.p_holm if difference else None,
        "verdict": difference.verdict if difference else "baseline",
    }
    cost, latency = row.cost, row.latency_ms
    for name in ("params_added", "params_total", "macs_added", "macs_total"):
        numbers[name] = getattr(cost, name) if cost else None
    for name in ("median", "q1", "q3", "n"):
        numbers[f"latency_ms_{name}"] = getattr(latency, name) if latency else None
    for name in ("top1", "top5", "gmacs", "note"):
        numbers[f"paper_{name}"] = row.paper.get(name)
    numbers["paper_macs_reproduced"] = row.reproduced
    return numbers


def _estimate_numbers(name: str, value: Estimate) -> dict[str, Any]:
    return {
        f"{name}_mean": value.mean if value.n else None,
        f"{name}_low": value.low,
        f"{name}_high": value.high,
        f"{name}_n": value.n,
    }


def _trial_numbers(summary: Summary) -> list[dict[str, Any]]:
    rows = []
    for trial in summary.trials:
        row: dict[str, Any] = {
            "trial_id": trial.trial_id,
            "variant": trial.variant,
            "seed": trial.seed,
            "status": trial.status,
            "reason": trial.reason,
        }
        for metric in [*summary.metrics[:2], "loss", *summary.metrics[2:]]:
            row[metric] = trial.last.get(metric)
        row |= {"best_epoch": trial.best.get("epoch"), "best_top1": trial.best.get("top1")}
        row |= {"seconds": trial.seconds, "run_id": trial.run_id}
        rows.append(
            {
                key: value if not isinstance(value, float) or finite(value) else None
                for key, value in row.items()
            }
        )
    return rows


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
