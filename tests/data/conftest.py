"""Small data sets from elsewhere, for the tests of this folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from builders.datasets import FORMATS, make


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small data set of every format. Not to be written to."""
    top = tmp_path_factory.mktemp("roots")
    return {name: make(name, top / name) for name in FORMATS}


@pytest.fixture
def own(roots: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """A copy of one of them to do harm to."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(roots[name], tmp_path / name))

    return copy
