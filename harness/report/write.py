"""A report's files: a page, its tables and figures, and the CSV and JSON that every number can be recomputed from.

A report is replaced whole or not at all, and the same record gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import harness
from harness.analysis.summary import Summary, summarize
from harness.errors import StudyError, in_a_line
from harness.files import (
    default_data_dir,
    from_json,
    is_no_file,
    only_writer,
    replace_folder,
    restore_folder,
    write_whole,
)
from harness.records import SCHEMA, StudyRecord, study_from_json
from harness.report import export
from harness.report.document.html import html
from harness.report.document.markdown import markdown
from harness.report.index import MARK, index
from harness.report.page import page

if TYPE_CHECKING:
    from harness.report.compare import Comparison

NUMBERS = "results.json"
"""The file that holds a study's record and every number computed from it; a folder with it is a report."""

CODE = (
    "report",
    "analysis",
    "stats",
    "plots",
    "data",
    "model",
    "operators",
    "machine.py",
    "published.py",
    "shipped.py",
    "metrics.py",
    "seeds.py",
    "records.py",
    "shapes.py",
    "units.py",
)
"""The folders and files of `harness/`, and `operators/` beside it, that decide a report's bytes."""


def write_study(record: StudyRecord, out: Path, data_dir: Path | None = None) -> Path:
    """Write one study's report into `out/<name>`, in place of an earlier one.

    Args:
        data_dir: the data folder of its run, where the report shows clips; None: the usual one.

    Raises:
        StudyError: the folder cannot be written, or holds something that is no report.
    """
    summary = summarize(record)
    with _alone(out, record.name):
        target = _place(out, record.name)
        # Drawing the same bytes again would take seconds; but whether clips are found, the record does not know.
        if record.clips or not _is_current(summary, target):
            replace_folder(
                target, lambda folder: _write_files(summary, folder, data_dir or default_data_dir())
            )
    return target


def write_comparison(first: StudyRecord, second: StudyRecord, out: Path) -> Path:
    """Write two studies side by side into `out/<first>-vs-<second>`, in place of an earlier comparison.

    Raises:
        StudyError: the two share no variant, or the folder cannot be written.
    """
    from harness.report import compare

    compared = compare.compare_studies(first, second)
    with _alone(out, compared.name):
        target = _place(out, compared.name, compare.NUMBERS)
        replace_folder(target, lambda folder: _write_comparison(compared, folder))
    return target


def write_index(out: Path) -> Path:
    """Write `out/index.html` and `out/README.md`, which list every report found under `out`.

    Raises:
        StudyError: someone else's page stands there, or it cannot be written.
    """
    pages = {"README.md": markdown, "index.html": html}
    studies = []
    with _alone(out):
        for name in pages:
            target = out / name
            if target.exists() and MARK not in target.read_text(encoding="utf-8", errors="replace"):
                raise StudyError(f"{target}: was not written by harness.report; choose another --out")
        for file in sorted(out.glob(f"*/{NUMBERS}")):
            try:
                data = _numbers_in(file)
                words = str(data["record"]["question"]), str(data.get("headline", data["answer"]))
                studies.append((file.parent.name, *words))
            except (OSError, ValueError, KeyError, TypeError):
                studies.append((file.parent.name, "", f"{NUMBERS} cannot be read"))
        for name, render in pages.items():
            write_whole(out / name, render(index(studies, name)))
    return out / "index.html"


def read_record(path: Path) -> StudyRecord:
    """The record in a report's `results.json`. A metric that was not a number is None in it.

    Raises:
        StudyError: the file is not there, is no report's, is of a newer version, or was edited since it was written.
    """
    try:
        written = _numbers_in(path)
        data = written["record"]
        schema = int(data["schema"])
        if schema > SCHEMA:
            raise StudyError(
                f"{path}: has schema {schema}, newer than this version's {SCHEMA}; update the project"
            )
        if "record_sha256" in written and written["record_sha256"] != export.digest(data):
            raise StudyError(
                f"{path}: was edited since it was written; write the report again from its tracking store"
            )
        return study_from_json(data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise StudyError(f"{path}: is not the {NUMBERS} of a report ({in_a_line(error)})") from None


def _numbers_in(file: Path) -> dict[str, Any]:
    """Raises OSError or ValueError: it is no file, or holds no mapping."""
    if is_no_file(file):
        raise ValueError("it is no file")
    found = from_json(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("it holds no mapping")
    return found


@contextmanager
def _alone(out: Path, name: str = "any") -> Iterator[None]:
    """Meanwhile no other process writes reports there: it would take what is half written for left behind.

    Raises:
        StudyError: the folder cannot be written, or the name of the one in it leads elsewhere.
    """
    if name in ("", ".", "..") or Path(name).name != name:  # of a record that somebody else wrote
        raise StudyError(f"{name!r} is no name of a report's folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        with only_writer(out):
            yield
    except OSError as error:
        place = error.filename or out
        file = isinstance(error, FileExistsError | NotADirectoryError)
        what = "is a file; name a folder" if file else f"cannot be written: {error.strerror}"
        raise StudyError(f"--out {out}: {place} {what}") from error


def _place(out: Path, name: str, numbers: str = NUMBERS) -> Path:
    """Where a report goes; an earlier replacement that was killed halfway is undone.

    Raises:
        StudyError: what stands there is no report.
    """
    target = out / name
    restore_folder(target)
    if target.is_dir() and any(target.iterdir()) and not (target / numbers).exists():
        raise StudyError(
            f"{target}: is not a report (it has no {numbers}); move it away or choose another --out"
        )
    return target


def _write_files(summary: Summary, folder: Path, data_dir: Path) -> None:
    from harness.report import figures

    (folder / "figures").mkdir()
    drawn, pictures = figures.draw(summary, folder / "figures"), []
    if summary.record.clips:
        from harness.report import clips  # with torch, which no other report needs

        pictures = clips.section(summary, folder / "clips", data_dir)
    export.write_pages(page(summary, drawn, pictures), folder)
    export.write_csv(folder / "results.csv", [export.variant_numbers(summary, row) for row in summary.rows])
    export.write_csv(folder / "trials.csv", export.trial_numbers(summary))
    numbers = _numbers(summary) | {"files": _digests(folder)}
    (folder / NUMBERS).write_text(export.json_text(numbers, depth=3) + "\n", encoding="utf-8")


def _write_comparison(compared: Comparison, folder: Path) -> None:
    from harness.report import compare, compare_page

    (folder / "figures").mkdir()
    drawn = compare_page.draw(compared, folder / "figures")
    export.write_pages(compare_page.page(compared, drawn), folder)
    text = export.json_text(compare.numbers(compared), depth=4)
    (folder / compare.NUMBERS).write_text(text + "\n", encoding="utf-8")
    rows = [compare.variant_numbers(compared, variant) for variant in compared.shared]
    export.write_csv(folder / "comparison.csv", rows)


def _numbers(summary: Summary) -> dict[str, Any]:
    """All that `results.json` holds but the digests of the other files."""
    here = Path(harness.__file__).parent
    places = [here.parent / name if name == "operators" else here / name for name in CODE]
    files = [
        path for place in places for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])
    ]
    return {"written_by": _digest(*files)} | export.numbers(summary)


def _is_current(summary: Summary, folder: Path) -> bool:
    """Whether a report of this very record, written by this very code, stands there whole and unchanged."""
    try:
        written = _numbers_in(folder / NUMBERS)
        files = written.pop("files")
    except (OSError, ValueError, KeyError):
        return False
    return bool(written == json.loads(json.dumps(_numbers(summary))) and files == _digests(folder))


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a report but the one that lists them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / NUMBERS)
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
