"""An empty store, a recorder of the study `pair` in it, and the folder of a trained trial."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from builders.place import Workplace
from builders.tracked import PLAN

from harness.tracking.recorder import Recorder
from harness.tracking.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A trial's folder, as training leaves it."""
    made = tmp_path / "trial"
    made.mkdir()
    np.savez_compressed(made / "scores.npz", scores=np.eye(2, dtype=np.float32))
    return made


@pytest.fixture
def store(ready: Workplace) -> Store:
    return Store.open(ready.uri)


@pytest.fixture
def recorder(store: Store) -> Recorder:
    made = Recorder(store)
    made.begin_study(PLAN)
    return made
