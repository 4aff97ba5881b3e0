"""A store that is a file: whether it can be one, how MLflow is told of it, and who may write into it."""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from urllib.parse import quote, urlparse
from urllib.request import url2pathname

from harness.errors import TrackingError
from harness.files import only_writer

_PREFIX = "sqlite:///"


def sqlite_file(uri: str) -> Path | None:
    """The file behind a sqlite:/// address, else None."""
    return Path(uri.removeprefix(_PREFIX)) if uri.startswith(_PREFIX) else None


def address(file: Path) -> str:
    """What MLflow is told: SQLAlchemy takes `?` and `%` in a path for something else."""
    path = str(file)
    # Slashes too: of an address with %, MLflow makes the folders as they stand there.
    return _PREFIX + (quote(path, safe="") if {"?", "%"}.intersection(path) else path)


def lock_file(file: Path) -> Path:
    """Beside the store: what drivers hold that must not do the same thing at once."""
    return file.with_name(f"{file.name}.lock")


def artifacts(file: Path) -> str:
    """Where MLflow keeps the artifacts of a store, as an address: beside it."""
    return (file.parent / "mlruns").as_uri()


def path_of(uri: str) -> Path | None:
    """The path that a file:// address names, else None."""
    found = urlparse(uri)
    return Path(url2pathname(found.path)) if found.scheme == "file" else None


def alone(file: Path, *, create: bool) -> AbstractContextManager[None]:
    """Meanwhile no other process makes the tables of a store: two that do so at once fail."""
    return only_writer(lock_file(file)) if create else nullcontext()


def is_new(file: Path) -> bool:
    """Whether MLflow has yet to make its tables there."""
    return not file.exists() or not file.stat().st_size


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """The path at which to make a store's tables; it takes the file's place when all are there.

    MLflow makes them in many steps and cannot go on where one of them failed.
    """
    made = file.with_name(f"{file.name}.new")
    leftovers = (made, made.with_name(f"{made.name}-journal"))  # a journal would be applied to the next file
    for path in leftovers:
        path.unlink(missing_ok=True)
    try:
        yield made
        made.replace(file)
    finally:
        for path in leftovers:
            path.unlink(missing_ok=True)


def check_file(file: Path, uri: str, create: bool) -> None:
    """Refuse a file that is not, or cannot be, a store.

    Raises:
        TrackingError: it cannot be read or written, is another program's, or not there and `create` is false.
    """
    try:
        there = file.exists()
        if not there and not create:
            way_out = "run a study first, or name one with --tracking-uri"
            raise TrackingError(f"no tracking store {file}; {way_out}")
        if there:
            with file.open("r+b") as opened:
                start = opened.read(15)
            if start not in (b"", b"SQLite format 3"):
                raise TrackingError(f"--tracking-uri {uri}: {file} is not an SQLite file")
            if start and not _is_mlflows(file):
                way_out = "name another, as in sqlite:///FILE"
                raise TrackingError(f"--tracking-uri {uri}: {file} belongs to another program; {way_out}")
        if create:
            (file.parent / "mlruns").mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=file.parent):  # SQLite writes its journal there
                pass
    except OSError as error:
        where = f"--tracking-uri {uri}: cannot write {file} ({error.strerror})"
        raise TrackingError(f"{where}; name another, as in sqlite:///FILE") from None


def _is_mlflows(file: Path) -> bool:
    """Whether a database has MLflow's tables, or none yet; where it cannot be asked, MLflow says why."""
    try:
        with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            found = {
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
    except sqlite3.Error:
        return True
    return not found or found >= {"experiments", "runs"} or "alembic_version" in found


def check_place(file: Path, artifact_location: str) -> None:
    """Refuse to use a store whose artifacts MLflow would look for, and write, elsewhere.

    Raises:
        TrackingError: it was moved; says from where.
    """
    there = path_of(artifact_location)
    if there is None or there.exists() or there.parent == file.parent:
        return
    above, here, place = (shlex.quote(str(path)) for path in (there.parent, file.parent / there.name, there))
    link = f"mkdir -p {above} && ln -s {here} {place}"
    raise TrackingError(
        f"tracking store {file}: was moved here from {there.parent}, where MLflow looks for its artifacts; "
        f"move it back, or let them be found there: {link}"
    )
