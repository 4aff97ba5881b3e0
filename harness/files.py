"""Where data lies, and how files are written: once, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from harness.errors import DataError

try:
    import fcntl
except ImportError:  # Windows: two processes may then do the same work, and the second one's is thrown away
    fcntl = None  # type: ignore[assignment]


def default_data_dir() -> Path:
    """For data sets, caches, checkpoints and traces: $MIXTBENCH_DATA_DIR, or a folder of the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MIXTBENCH_DATA_DIR") or Path(cache) / "mixtbench")


def write_whole(file: Path, content: str | bytes | Callable[[Path], object]) -> None:
    """Put text, bytes, or what `content(temporary)` writes, in the place of the file that is there, if any.

    Readers see the old file or the new one, whole, also where the writer is killed. Folders are made.

    Raises:
        OSError: it cannot be written; the old file stays.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            partial.write_bytes(content)
        else:
            content(partial)
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


def replace_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Put what `write(temporary)` makes in an empty folder in the place of the folder that is there, if any.

    One process at a time may do so.

    Raises:
        OSError: it cannot be written; the old folder stays.
    """
    restore_folder(folder)
    building, old = folder.with_name(f".{folder.name}.tmp"), _old(folder)
    shutil.rmtree(building, ignore_errors=True)
    try:
        building.mkdir(parents=True)
        write(building)
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            folder.rename(old)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def restore_folder(folder: Path) -> None:
    """Undo a replacement that was killed halfway."""
    if _old(folder).exists() and not folder.exists():
        _old(folder).rename(folder)


def _old(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def write_once(final: Path, write: Callable[[Path], None]) -> None:
    """Make a file or folder by `write(temporary)`, and give it its name when it is whole.

    Whoever sees `final` sees all of it. Several processes may ask at once: one writes, the others wait and
    use its work. What a killed process left behind is removed.

    Raises:
        DataError: the folder cannot be written.
    """
    if os.path.exists(final):
        return
    with writable(final, "choose another data folder or make room"):
        final.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(final.parent / f".{final.name}.lock"):
            # The lock dies with its process: whatever is lying here now, nobody is writing it.
            for leftover in final.parent.glob(f".{final.name}.*.tmp") if fcntl else ():
                shutil.rmtree(leftover)
            if final.exists():
                return
            with tempfile.TemporaryDirectory(
                dir=final.parent, prefix=f".{final.name}.", suffix=".tmp", ignore_cleanup_errors=True
            ) as folder:
                temporary = Path(folder) / final.name
                write(temporary)
                try:
                    os.replace(temporary, final)
                except OSError:
                    if not final.exists():  # else another process, without a lock, was faster
                        raise


@contextlib.contextmanager
def writable(path: Path, way_out: str) -> Iterator[None]:
    """What the system says against writing a file or folder of a data set, as a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}; {way_out}") from error


@contextlib.contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it."""
    with lock.open("w") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
