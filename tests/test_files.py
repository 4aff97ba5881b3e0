"""Files and folders are written whole or not at all, and in one place of the house."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from house import ROOT, modules

from harness.errors import DataError
from harness.files import (
    only_writer,
    replace_folder,
    restore_folder,
    seal,
    sealed_bytes,
    set_aside,
    writable,
    write_once,
    write_whole,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail(path: Path) -> None:
    """Writes half, then the disk is full."""
    (path / "half" if path.is_dir() else path).write_text("half")
    raise OSError(28, "No space left on device")


def test_text_bytes_and_what_a_function_writes_arrive_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "file"
    write_whole(file, "grün\n")
    assert file.read_bytes() == b"gr\xc3\xbcn\n"
    write_whole(file, b"\xff")
    assert file.read_bytes() == b"\xff"
    write_whole(file, lambda path: path.write_text("from a function"))
    assert file.read_text() == "from a function"
    assert names(file.parent) == ["file"]


def test_a_file_that_cannot_be_written_stays_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, fail)
    assert file.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_file_whose_writer_is_killed_stays_what_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    code = (
        "import os, pathlib, signal, sys\n"
        "from harness.files import write_whole\n"
        "def write(path):\n"
        "    path.write_text('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(pathlib.Path(sys.argv[1]), write)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(file)], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert file.read_text() == "old"


def test_a_folder_is_replaced_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("first", "second"):
        replace_folder(folder, lambda building, name=name: (building / name).touch())  # type: ignore[misc]
    assert names(folder) == ["second"]
    assert names(tmp_path) == ["folder"]


def test_a_folder_that_cannot_be_written_stays_what_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    with pytest.raises(OSError, match="No space left"):
        replace_folder(folder, fail)
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_a_replacement_killed_between_its_two_renames_is_undone(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "old").touch()
    os.rename(folder, tmp_path / ".folder.old")
    restore_folder(folder)
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["folder"]


def test_what_exists_is_not_written_again(tmp_path: Path) -> None:
    final = tmp_path / "thing"
    write_once(final, lambda path: write_whole(path, "first"))
    write_once(final, lambda path: write_whole(path, "second"))
    assert final.read_text() == "first"


@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_a_seal_shows_any_change_of_a_file(size: int, tmp_path: Path) -> None:
    file, content = tmp_path / "file", os.urandom(size)
    file.write_bytes(content)
    assert sealed_bytes(file) == -1
    seal(file)
    whole = file.read_bytes()
    assert (sealed_bytes(file), whole[:size]) == (size, content)
    for changed in (whole[:-1], whole[1:], whole + b" ", whole[:-2] + b"x\n", content):
        file.write_bytes(changed)
        assert sealed_bytes(file) == -1
    for place in range(0, size, 500_000):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert sealed_bytes(file) == -1


def test_what_is_set_aside_never_takes_the_place_of_something(tmp_path: Path) -> None:
    (tmp_path / "trials" / "a").mkdir(parents=True)
    for number in ("", "2", "3"):
        file = tmp_path / "trials" / "a" / "file"
        file.write_text(number)
        assert set_aside(file, "a-file") == tmp_path / "trials" / f"a-file.damaged{number}"
    assert set_aside(tmp_path / "trials" / "a") == tmp_path / "trials" / "a.damaged"
    assert (tmp_path / "trials" / "a-file.damaged2").read_text() == "2"


def test_a_folder_on_a_network_file_system_has_one_writer_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS refuses an exclusive lock on what is not open for writing, as no folder is: flock(2), "NFS details"."""
    flock = fcntl.flock

    def of_nfs(opened: int, how: int) -> None:
        if fcntl.fcntl(opened, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        flock(opened, how)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    with only_writer(tmp_path), (tmp_path / ".lock").open("w") as other, pytest.raises(BlockingIOError):
        flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with only_writer(tmp_path):  # it was let go
        pass


def test_a_file_that_may_not_stay_is_written_again(tmp_path: Path) -> None:
    final = tmp_path / "file"
    final.write_text("bad")
    for _ in range(2):
        write_once(final, lambda path: write_whole(path, "good"), lambda path: path.read_text() == "good")
        assert final.read_text() == "good"


def test_what_the_system_says_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"set: cannot be written: No space left on device; make room$"),
        writable(tmp_path / "set", "make room"),
    ):
        fail(tmp_path / "file")


def test_no_other_module_gives_a_file_its_final_name() -> None:
    renaming = {
        name
        for name, path in modules().items()
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and (call.func.attr == "rename" or ast.unparse(call.func) in ("os.replace", "shutil.move"))
    }
    assert renaming == {"harness.files"}
