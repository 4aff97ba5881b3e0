"""Where data lies, and how files are written: once, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import logging
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

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
        OSError: it cannot be written, and names the file; the old file stays.
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
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(file)) from error
    finally:
        partial.unlink(missing_ok=True)


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE}
_RIGHTS = {errno.EACCES, errno.EPERM}


def disk_error(error: BaseException) -> str:
    """`path: No space left on device` of an error of a disk or of rights, which somebody can mend; "" of any other."""
    if not isinstance(error, OSError) or error.errno not in _DISK | _RIGHTS or not error.filename:
        return ""
    return f"{error.filename}: {error.strerror}"


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


def write_once(
    final: Path, write: Callable[[Path], None], is_whole: Callable[[Path], bool] = os.path.exists
) -> None:
    """Make a file or folder by `write(temporary)`, and give it its name when it is whole.

    Whoever sees `final` sees all of it. Several processes may ask at once: one writes, the others wait and
    use its work. What a killed process left behind is removed.

    Args:
        is_whole: whether what is there can stay; a file that cannot is replaced.

    Raises:
        DataError: the folder cannot be written.
    """
    if is_whole(final):
        return
    with writable(final, "choose another data folder or make room"):
        final.parent.mkdir(parents=True, exist_ok=True)
        with only_writer(final.parent / f".{final.name}.lock"):
            # The lock dies with its process: whatever is lying here now, nobody is writing it.
            for leftover in final.parent.glob(f".{final.name}.*.tmp") if fcntl else ():
                shutil.rmtree(leftover)
            if is_whole(final):
                return
            if final.exists():
                logging.getLogger(__name__).warning("%s: not as it was written; it is made anew", final)
            with tempfile.TemporaryDirectory(
                dir=final.parent, prefix=f".{final.name}.", suffix=".tmp", ignore_cleanup_errors=True
            ) as folder:
                temporary = Path(folder) / final.name
                write(temporary)
                try:
                    os.replace(temporary, final)
                except OSError:
                    if not is_whole(final):  # else another process, without a lock, was faster
                        raise


def is_no_file(path: str | Path) -> bool:
    """Whether something is there that is no file: a folder, or a pipe, which would be waited for."""
    return not os.path.isfile(path) and os.path.exists(path)


def from_json(text: str | bytes) -> Any:
    """What a text says.

    Raises:
        ValueError: it is no JSON, or nested deeper than anything of ours.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def csv_cell(value: Any) -> Any:
    """What stands for a value in a CSV: a spreadsheet would run a text that begins as a formula, so it gets a `'`."""
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def markdown_text(text: str) -> str:
    """A text as a line of Markdown in which nothing can start markup, a link or a picture."""
    # A line's first letters can mean anything; a backtick alone would begin code.
    escaped = re.sub(r"([\\*`])", r"\\\1", " ".join(text.split("\n"))).replace("<", "&lt;")
    # Links, pictures and what they refer to; brackets alone, as of intervals, stay readable.
    return re.sub(r"\](?=[(\[])|(?<=^\[)([^\]]*)\](?=:)", r"\1\]", escaped)


_SEAL = b"\ncrc32 %08x\n"
_SEAL_BYTES = len(_SEAL % 0)


def seal(file: Path) -> None:
    """Write a checksum of all that stands in a file behind it, so that damage shows."""
    with file.open("r+b") as opened:
        checksum = _checksum(opened, file.stat().st_size)
        opened.seek(0, os.SEEK_END)
        opened.write(_SEAL % checksum)


def sealed(content: bytes) -> bytes:
    """With the seal that `seal` would write behind it."""
    return content + _SEAL % zlib.crc32(content)


def sealed_bytes(file: Path) -> int:
    """How many bytes stand before the seal; -1 where there is none, or they are not the ones that were sealed.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        size = os.fstat(opened.fileno()).st_size - _SEAL_BYTES
        if size < 0:
            return -1
        checksum = _checksum(opened, size)
        return size if opened.read() == _SEAL % checksum else -1


def _checksum(opened: IO[bytes], size: int) -> int:
    checksum, block = 0, memoryview(bytearray(2**20))
    while size > 0 and (read := opened.readinto(block[: min(size, len(block))])):  # type: ignore[attr-defined]
        checksum = zlib.crc32(block[:read], checksum)
        size -= read
    return checksum


def set_aside(path: Path, name: str = "") -> Path:
    """Rename a damaged file or folder: in nobody's way, and there to be looked at. Returns its new place.

    Args:
        name: what it is called there, before `.damaged`, beside its folder; without it as now, and where it is.
    """
    place = path.parent.parent / name if name else path
    for number in itertools.count(1):
        aside = place.with_name(f"{place.name}.damaged{number if number > 1 else ''}")
        if not aside.exists():
            path.rename(aside)
            return aside
    raise AssertionError  # there is always a next number


@contextlib.contextmanager
def writable(path: Path, way_out: str) -> Iterator[None]:
    """What the system says against writing a file or folder of a data set, as a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}; {way_out}") from error


@contextlib.contextmanager
def only_writer(lock: Path) -> Iterator[None]:
    """Wait until no other process holds the lock, and hold it: a file, which is made, or a folder."""
    if not fcntl:
        yield
        return
    with contextlib.ExitStack() as held:
        opened = os.open(lock, os.O_RDONLY if lock.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
        held.callback(os.close, opened)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno != errno.EBADF or not lock.is_dir():
                raise
            # NFS locks only what is open for writing, and no folder can be.
            held.enter_context(only_writer(lock / ".lock"))
        yield
