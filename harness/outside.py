"""Operators and backbones of the user's own: where they are found, their sources, and where in them an error stands."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

import harness
import operators
from harness import machine
from harness.errors import in_a_line
from operators.base import at_path, find_operator

_DIGITS = 16

_INSTALLED = {"site-packages", "dist-packages"}


def import_from(*folders: str | Path) -> None:
    """Let what lies in these folders be imported; of two modules of one name, from the first folder."""
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


@contextmanager
def nothing_moved() -> Iterator[None]:
    """Afterwards the environment, the working directory and what torch keeps for a whole process are as they were,
    whatever the user's own code did to them when it was imported: other trials would have them so."""
    folder, environment, before = os.getcwd(), dict(os.environ), [get() for get, _ in _OF_TORCH]
    try:
        with machine.environment_kept():
            try:
                yield
            finally:
                _own_environment.update(os.environ.items() - environment.items())
    finally:
        os.chdir(folder)
        torch.set_default_device(None)  # to ask for it could wake a GPU
        for (get, put), value in zip(_OF_TORCH, before, strict=True):
            if get() != value:
                put(value)


_own_environment: dict[str, str] = {}
"""What the user's own code set in the environment when it was imported here."""


@contextmanager
def own_environment() -> Iterator[None]:
    """Meanwhile it is there: a module is imported once, but what it holds is made again and again, and may need it."""
    if not _own_environment:  # as in a trial's process, whose environment is its own
        yield
        return
    with machine.environment_kept():
        os.environ.update(_own_environment)
        yield


_OF_TORCH: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, lambda on: torch.use_deterministic_algorithms(on)),
    (lambda: torch.backends.mkldnn.enabled, lambda on: setattr(torch.backends.mkldnn, "enabled", on)),
)


def is_ours(cls: Any) -> bool:
    """Whether an operator is of the zoo."""
    return cls.__module__.split(".")[0] == operators.__name__


def own_source(*names: str) -> str:
    """A fingerprint of all source files of what is named; "" for the zoo's, which RESULTS_VERSION covers."""
    digests = list(source_files(*names).values())
    if len(digests) < 2:
        return "".join(digests)[:_DIGITS]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:_DIGITS]


def source_files(*names: str) -> dict[str, str]:
    """The source files that operators and backbones consist of, by what their modules are called, their own first.

    Args:
        names: of operators, and dotted paths.

    They are its own and those of all modules of the user's that these import, anywhere in the file: neither the
    standard library, nor what is installed, nor this project. What an operator imports by a name that it computes is
    not seen; an empty file, as an `__init__.py` often is, does not count.

    Returns:
        SHA-256 by module; empty for the zoo's operators.
    """
    files = _own_files(*names)
    return {module: hashlib.sha256(file.read_bytes()).hexdigest() for module, file in files.items()}


def copy_sources(folder: Path, *names: str) -> bool:
    """Lay copies of `source_files` into a folder from which they can be imported. False where there are none."""
    files = _own_files(*names)
    for module, file in files.items():
        place = folder.joinpath(*module.split("."))
        copy = place / "__init__.py" if file.name == "__init__.py" else place.with_suffix(".py")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(file.read_bytes())
    return bool(files)


def _own_files(*names: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name in names:
        made_by = at_path(name, "code") if "." in name else find_operator(name)
        if not is_ours(made_by):
            found |= _files_of(made_by)
    return found


def _files_of(made_by: Any) -> dict[str, Path]:
    """Of a class or a function."""
    found: dict[str, Path] = {}
    todo = [made_by.__module__]
    while todo:
        module = todo.pop(0)
        if module in found:
            continue
        file = _own_file(module)
        if module == made_by.__module__:
            file = Path(inspect.getfile(made_by))
        if file is None or not (source := file.read_bytes()).strip():
            continue
        found[module] = file
        todo += _imported(module, source, is_package=file.name == "__init__.py")
    first = made_by.__module__
    return {module: found[module] for module in [first, *sorted(found.keys() - {first})]}


def named_sources(*names: str) -> str:
    """`source_files` in a line: `my_op 1a2b3c4d, my_helper 5e6f7a8b`; "" for the zoo's operators."""
    return ", ".join(f"{module} {digest[:8]}" for module, digest in source_files(*names).items())


def changed_modules(before: str, now: str) -> list[str]:
    """Names of modules that differ between two lines of `named_sources`."""
    one, other = (dict(word.rsplit(" ", 1) for word in line.split(", ") if word) for line in (before, now))
    return sorted(module for module in one.keys() | other.keys() if one.get(module) != other.get(module))


def file_of(module: str) -> str:
    """The file of a module of the user's own, as one names it here; the module, where it has none any more."""
    file, here = _own_file(module), Path.cwd()
    if file is None:
        return module
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _imported(module: str, source: bytes, *, is_package: bool) -> list[str]:
    """Names of modules that a source file may import, and of the packages that they are in."""
    package = module if is_package else module.rpartition(".")[0]
    names = [package]
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # of a file that is imported when it is too late for this
        return []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]  # which may be no module
    parts = [name.split(".") for name in names if name.strip(".") == name != ""]
    return [".".join(words[:count]) for words in parts for count in range(1, len(words) + 1)]


def _own_file(module: str) -> Path | None:
    """The source file of a module of the user's own; None for any other, and where there is no such module."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in (harness.__name__, operators.__name__):
        return None
    folders: list[str] | None = None  # sys.path
    origin = ""
    words = module.split(".")
    for count in range(1, len(words) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(words[:count]), folders)
        if spec is None or _INSTALLED.intersection(Path(spec.origin or "").parts):
            return None
        origin, folders = spec.origin or "", list(spec.submodule_search_locations or [])
    return Path(origin) if origin.endswith(".py") else None


def blamed(error: BaseException) -> str:
    """What somebody's own code raised, in a line that begins with the file and the line where it stands."""
    words = f"SyntaxError: {error.msg}" if isinstance(error, SyntaxError) else in_a_line(error)
    return f"{_place_of(error)}{words}"


def _place_of(error: BaseException) -> str:
    """`file:line: ` of an error in a user's own file; "" where no such file is to blame."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_outside(f.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


def _is_outside(filename: str) -> bool:
    """Whether a file is the user's: neither ours, nor installed, nor Python's own."""
    file, known = Path(filename), [Path(package.__path__[0]) for package in (harness, operators, torch)]
    known.append(Path(inspect.__file__).parent)
    if not file.is_file() or _INSTALLED.intersection(file.parts):
        return False
    return not any(file.is_relative_to(folder) for folder in known)
