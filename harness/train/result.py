"""A finished trial's files: written whole or not at all, read back, forgotten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from harness.files import write_whole
from harness.model.mstnet import MSTNet
from harness.records import TrialRecord, to_json


def save_result(record: TrialRecord, scores: np.ndarray, model: MSTNet, folder: Path) -> None:
    """Write `scores.npz`, `model.pt`, then `result.json`, then drop the checkpoint: a result is whole or not there."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(folder / "scores.npz", scores=scores.astype(np.float32))
    torch.save({name: value.cpu() for name, value in model.state_dict().items()}, folder / "model.pt")
    write_whole(folder / "result.json", json.dumps(to_json(record)))
    for leftover in folder.glob("checkpoint*"):
        leftover.unlink()


def saved_result(folder: Path) -> TrialRecord | None:
    """The result that an earlier run left in a trial's folder, if it is whole."""
    try:
        return TrialRecord(**json.loads((folder / "result.json").read_text()))
    except FileNotFoundError:
        return None


def discard(folder: Path) -> None:
    """Forget a trial's checkpoint and result."""
    shutil.rmtree(folder, ignore_errors=True)
