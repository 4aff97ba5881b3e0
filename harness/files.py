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


def write_once(final: Path, write: Callable[[Path], None]) -> None:
    """Make a file or folder by `write(temporary)`, and give it its name when it is whole.

    Whoever sees `final` sees all of it. Several processes may ask at once: one writes, the others wait and
    use its work. What a killed process left behind is removed.

    Raises:
        DataError: the folder cannot be written.
    """
    if os.path.exists(final):
        return
    try:
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
    except OSError as error:
        raise DataError(
            f"{final}: cannot be written: {error.strerror or error}; choose another data folder or make room"
        ) from error


def replace(final: Path, write: Callable[[Path], object]) -> None:
    """Make a file by `write(temporary)` and put it in the place of the one that is there; readers see either, whole.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp") as folder:
            write(Path(folder) / final.name)
            os.replace(Path(folder) / final.name, final)
    except OSError as error:
        raise DataError(f"{final}: cannot be written: {error.strerror or error}; make room") from error


@contextlib.contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it."""
    with lock.open("w") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
