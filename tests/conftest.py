"""What the tests share: one tiny generated data set, one empty store, and ways to run a study on them."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders.place import TINY, Workplace

# Before torch, Ray or MLflow are imported by anything.
os.environ |= {
    "OMP_NUM_THREADS": "1",
    "RAY_AUTH_MODE": "disabled",  # else Ray writes a token into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MIXTBENCH_ALLOCATOR": "default",  # the tests' process is not only ours
    "MPLBACKEND": "agg",
}
for _name in ("MLFLOW_TRACKING_URI", "MIXTBENCH_DATA_DIR", "FORCE_COLOR"):
    os.environ.pop(_name, None)
_OURS = ("CUDA_", "MIXTBENCH_", "OMP_", "PYTHON", "RAY_")  # others are set by packages when they are imported


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Operators that a test registers under a name go with it: other tests run over the registry.

    So do the modules that it wrote, and what they set: another test may write others of these names.
    """
    from harness import outside
    from operators import TemporalOp

    registry, modules = dict(TemporalOp.registry), set(sys.modules)
    yield
    TemporalOp.registry.clear()
    TemporalOp.registry.update(registry)
    outside._own_environment.clear()
    written = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(written):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def _same_environment() -> Iterator[None]:
    """What a test leaves in it would reach the processes of whichever test comes next."""
    before = dict(os.environ)
    yield
    changed = {name for name, _ in os.environ.items() ^ before.items()}
    assert {name: os.environ.get(name) for name in changed if name.startswith(_OURS)} == {}


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the tiny data set, generated and decoded. Not to be written to."""
    from harness.data.config import DataConfig
    from harness.data.dataset import open_data

    folder = tmp_path_factory.mktemp("data")
    open_data(DataConfig(**TINY["data"]), folder)
    return folder


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables: making them takes seconds."""
    from harness.tracking.store import Store

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    Store.open(f"sqlite:///{file}", create=True)
    return file


@pytest.fixture
def place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Workplace]:
    """An empty folder of a user's, which is the working directory."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    yield Workplace(tmp_path, capsys)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def ready(place: Workplace, tiny_data: Path, empty_store: Path) -> Workplace:
    """The same, with the tiny data set and an empty store in it."""
    shutil.copytree(tiny_data, place.data, copy_function=os.link)
    shutil.copy(empty_store, place.folder / "mlflow.db")
    return place


@pytest.fixture
def no_trial_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than training here; the tests of tracking have the figures."""
    monkeypatch.setattr("harness.plots.confusion_matrix", lambda path, *rest: path.write_bytes(b""))
