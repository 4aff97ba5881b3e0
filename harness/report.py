"""The report of a study: a page, its tables and figures, and the CSV and JSON that every number can be recomputed from.

    python -m harness.report --out reports/
    python -m harness.report --compare kernel_sizes other/reports/kernel_sizes

A report is replaced whole or not at all, and the same record gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import export
from harness.errors import StudyError, UserError
from harness.html import html
from harness.markdown import markdown
from harness.page import INDEX_MARK, index, page
from harness.records import SCHEMA, StudyRecord, study_from_json
from harness.summary import Summary, summarize

if TYPE_CHECKING:
    from harness.tracking import Store

RESULTS = "results.json"
CODE = (
    "report", "export", "page", "answer", "tables", "measured", "evidence", "words", "document", "markdown", "html",
    "latex", "figures", "plots/__init__", "plots/style", "plots/accuracy", "plots/details",
    "summary", "breakdown", "claims", "clips", "stats", "distributions", "reference", "metrics", "seeds", "records",
)  # fmt: skip
"""The modules that decide a report's bytes."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the reports of a tracking store. Exit code: 0 all written, 2 something could not be."""
    args = _parse(argv)
    try:
        if args.compare:
            first, second = (_record(text, args.tracking_uri) for text in args.compare)
            folder = write_comparison(first, second, args.out)
            print(f"compared {folder / 'index.html'}")
            return 0
        return 0 if _write_all(_open(args.tracking_uri), args) else 2
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _write_all(store: Store, args: argparse.Namespace) -> bool:
    """Report every study that was asked for; one that cannot be does not keep the others from it."""
    names = [args.study] if args.study else store.studies()
    if not names:
        raise StudyError(
            "the tracking store holds no study; run one first: python -m harness.run studies/..."
        )
    whole = True
    for name in names:
        try:
            folder = write_study(store.load_study(name), args.out)
            store.attach_report(name, folder)
            print(f"report   {folder / 'index.html'}")
        except UserError as error:
            whole = False
            print(f"error: {error}", file=sys.stderr)
    if any(args.out.glob(f"*/{RESULTS}")):
        print(f"index    {write_index(args.out)}")
    return whole


def _open(uri: str) -> Store:
    from harness import tracking

    return tracking.Store.open(uri, create=False)


def _record(text: str, uri: str) -> StudyRecord:
    """What --compare names: a report's folder or its results.json, or else a study of the store."""
    path = Path(text)
    if path.exists():
        return read_record(path / RESULTS if path.is_dir() else path)
    if path.suffix or len(path.parts) > 1:
        raise StudyError(f"--compare {text}: there is no such file or folder")
    return _open(uri).load_study(text)


def write_study(record: StudyRecord, out: Path) -> Path:
    """Write one study's report into `out/<name>`, in place of an earlier one.

    Raises:
        StudyError: the folder cannot be written, or holds something that is no report.
    """
    summary = summarize(record)
    with _named_errors(out):
        target = _place(out, record.name)
        if not _is_current(summary, target):  # else drawing the same bytes again would take seconds
            _replace(target, lambda folder: _write_files(summary, folder))
    return target


def write_comparison(first: StudyRecord, second: StudyRecord, out: Path) -> Path:
    """Write two studies side by side into `out/<first>-vs-<second>`, in place of an earlier comparison.

    Raises:
        StudyError: the two share no variant, or the folder cannot be written.
    """
    from harness import comparison

    compared = comparison.compare_studies(first, second)
    with _named_errors(out):
        target = _place(out, compared.name, comparison.RESULTS)
        _replace(target, lambda folder: comparison.write_files(compared, folder))
    return target


def write_index(out: Path) -> Path:
    """Write `out/index.html` and `out/README.md`, which list every report found under `out`.

    Raises:
        StudyError: someone else's page stands there, or it cannot be written.
    """
    pages = {"README.md": markdown, "index.html": html}
    studies = []
    with _named_errors(out):
        for name in pages:
            target = out / name
            if target.exists() and INDEX_MARK not in target.read_text(encoding="utf-8", errors="replace"):
                raise StudyError(f"{target}: was not written by harness.report; choose another --out")
        for results in sorted(out.glob(f"*/{RESULTS}")):
            try:
                data = json.loads(results.read_text(encoding="utf-8"))
                studies.append((results.parent.name, data["record"]["question"], data["answer"]))
            except (ValueError, KeyError, TypeError):
                studies.append((results.parent.name, "", f"{RESULTS} cannot be read"))
        for name, render in pages.items():
            partial = out / f".{name}.building"
            partial.write_text(render(index(studies, name)), encoding="utf-8")
            os.replace(partial, out / name)
    return out / "index.html"


def read_record(path: Path) -> StudyRecord:
    """The record in a report's `results.json`. A metric that was not a number is None in it.

    Raises:
        StudyError: the file is not there, is no report's, or is of a newer version.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))["record"]
        schema = int(data["schema"])
        if schema > SCHEMA:
            raise StudyError(
                f"{path}: has schema {schema}, newer than this version's {SCHEMA}; update the project"
            )
        return study_from_json(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{path}: is not the {RESULTS} of a report ({type(error).__name__})") from None


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m harness.report", description="Write the reports of all studies."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("reports"), help="folder for the reports (default: reports)"
    )
    parser.add_argument("--study", default="", metavar="NAME", help="only this study")
    parser.add_argument(
        "--compare",
        nargs=2,
        metavar=("A", "B"),
        help="two studies side by side instead: names in the store, or reports' folders (of another store, device "
        "or commit)",
    )
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


def _place(out: Path, name: str, results: str = RESULTS) -> Path:
    """Where a report goes; an earlier replacement that was killed halfway is undone.

    Raises:
        StudyError: what stands there is no report.
    """
    target, old = out / name, out / f".{name}.old"
    out.mkdir(parents=True, exist_ok=True)
    if old.exists() and not target.exists():
        old.rename(target)
    if target.is_dir() and any(target.iterdir()) and not (target / results).exists():
        raise StudyError(
            f"{target}: is not a report (it has no {results}); move it away or choose another --out"
        )
    return target


def _replace(target: Path, write: Callable[[Path], None]) -> None:
    """Put what `write` makes in an empty folder in the target's place: the whole of it, or nothing."""
    building, old = target.parent / f".{target.name}.building", target.parent / f".{target.name}.old"
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir()
        write(building)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def _write_files(summary: Summary, folder: Path) -> None:
    from harness import figures

    (folder / "figures").mkdir()
    export.write_pages(page(summary, figures.draw(summary, folder / "figures")), folder)
    export.write_csv(folder / "results.csv", [export.variant_numbers(summary, row) for row in summary.rows])
    export.write_csv(folder / "trials.csv", export.trial_numbers(summary))
    found = _results(summary) | {"files": _digests(folder)}
    (folder / RESULTS).write_text(export.json_text(found, depth=3) + "\n", encoding="utf-8")


def _results(summary: Summary) -> dict[str, Any]:
    here = Path(__file__).parent
    return {"written_by": _digest(*(here / f"{name}.py" for name in CODE))} | export.results(summary)


def _is_current(summary: Summary, folder: Path) -> bool:
    """Whether a report of this very record, written by this very code, stands there whole and unchanged."""
    try:
        written = json.loads((folder / RESULTS).read_text(encoding="utf-8"))
        files = written.pop("files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return bool(written == json.loads(json.dumps(_results(summary))) and files == _digests(folder))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a report but the one that lists them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RESULTS)
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
