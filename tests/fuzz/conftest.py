"""How much is tried: little and always the same in the suite, much and ever other things by `make fuzz`."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from builders.place import ROOT
from hypothesis import HealthCheck, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
_HANGS = timedelta(seconds=30)

settings.register_profile(
    "suite", max_examples=25, derandomize=True, database=None, deadline=_HANGS, suppress_health_check=_SLOW
)
settings.register_profile(
    "long",
    max_examples=int(os.environ.get("EXAMPLES", "3000")),
    database=None,
    deadline=_HANGS,
    suppress_health_check=_SLOW,
    print_blob=True,
)
settings.load_profile("suite")  # the option --hypothesis-profile comes later, and wins


def pytest_configure(config: pytest.Config) -> None:
    """Else that a file is long, which hypothesis minds in place of what it broke, would hide the error."""
    config.addinivalue_line("filterwarnings", "ignore:Generating overly large repr")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, so that paths in messages are short; with our studies in it, which others may be like."""
    place, before, path = tmp_path_factory.mktemp("fuzz"), Path.cwd(), sys.path.copy()
    for study in (ROOT / "studies").glob("*.yaml"):
        shutil.copy(study, place)
    os.chdir(place)
    yield Path()
    os.chdir(before)
    sys.path[:] = path
