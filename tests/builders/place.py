"""A user's folder, the tiny study that runs in it, and where this checkout is."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

TINY_DATA = {"name": "generated", "train_clips": 32, "val_clips": 16, "width": 32, "height": 24}
TINY: dict[str, Any] = {
    "question": "Does a tiny study run?",
    "baseline": "tsn",
    "seeds": [0],
    "model": {"backbone": "resnet_tiny", "dropout": 0.2},
    "data": {"dataset": TINY_DATA, "num_frames": 4, "short_side": 24, "crop": 16},
    "train": {"epochs": 1, "batch_size": 16, "optimizer": "adamw", "schedule": "one_cycle"},
    "cost": {"backbone": "resnet_tiny", "size": 32, "latency": False},
    "variants": {
        "tsn": {"model.operator": {"name": "identity"}},
        "ks13": {"model.operator": {"name": "mixtconv", "kernel_sizes": [1, 3]}},
    },
}


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Workplace:
    """A user's folder: a tracking store, a data folder, and studies in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self._capsys = capsys

    def study(self, name: str = "tiny", /, **changes: Any) -> Path:
        """Write the tiny study with `changes` to its top-level keys; None takes a key away."""
        content = copy.deepcopy(TINY) | changes
        path = self.folder / f"{name}.yaml"
        kept = {key: value for key, value in content.items() if value is not None}
        path.write_text(yaml.safe_dump(kept, sort_keys=False))
        return path

    def command(self, *args: object) -> list[str]:
        """`harness.run` with this place's folders."""
        return [str(a) for a in (*args, "--data-dir", self.data, "--tracking-uri", self.uri)]

    def run(self, *args: object) -> Outcome:
        """`harness.run --serial` in this process."""
        from harness.run.__main__ import main

        self._capsys.readouterr()
        try:
            code = main([*self.command(*args), "--serial"])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        return Outcome(code, *self._capsys.readouterr())

    def start(self, *args: object, path: Sequence[Path] = ()) -> subprocess.Popen[str]:
        """`harness.run` in a process of its own, the head of its own group.

        Args:
            path: more folders from which it can import.
        """
        return subprocess.Popen(
            [sys.executable, "-u", "-m", "harness.run", *self.command(*args)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, *path)))},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def load(self, name: str = "tiny") -> Any:
        """The study's record, as a report reads it."""
        from harness.tracking.store import Store

        return Store.open(self.uri).load_study(name)

    def client(self) -> Any:
        """A plain MLflow client."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self, name: str = "tiny") -> list[Any]:
        """All trial runs in the store, by their names."""
        client = self.client()
        experiment = client.get_experiment_by_name(name)
        found = client.search_runs([experiment.experiment_id], "tags.`mixtbench.kind` = 'trial'")
        return sorted(found, key=lambda run: run.info.run_name)
