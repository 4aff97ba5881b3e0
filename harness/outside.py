"""Operators of the user's own: where they are found, what their source is, and where in it an error stands."""

from __future__ import annotations

import hashlib
import inspect
import sys
import traceback
from pathlib import Path

import torch

import harness
import operators
from operators.base import find_operator


def import_from(*folders: str | Path) -> None:
    """Let what lies in these folders be imported; of two modules of one name, from the first folder."""
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def is_ours(cls: type) -> bool:
    """Whether an operator is of the zoo."""
    return cls.__module__.split(".")[0] == operators.__name__


def operator_source(name: str) -> str:
    """A fingerprint of the file that defines an outside operator; "" for the zoo's, which RESULTS_VERSION covers."""
    cls = find_operator(name)
    return "" if is_ours(cls) else hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()[:16]


def place_of(error: Exception) -> str:
    """`file:line: ` of an error in a user's own file; "" where no such file is to blame."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}: "
    frames = [f for f in traceback.extract_tb(error.__traceback__) if _is_outside(f.filename)]
    return f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""


def _is_outside(filename: str) -> bool:
    known = (Path(package.__path__[0]) for package in (harness, operators, torch))
    return Path(filename).is_file() and not any(Path(filename).is_relative_to(folder) for folder in known)
