"""A finished trial's files: written whole or not at all, read back where no byte of them has changed, forgotten."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np

from harness.files import from_json, sealed, sealed_bytes, write_whole
from harness.model.network import Network
from harness.records import TrialRecord, to_json, trial_from_json
from harness.train.checkpoint import as_bytes

_RECORD, _FILES = "result.json", ("scores.npz", "model.pt")


class DamagedError(Exception):
    """A result is not as it was saved; says which file."""


def save_result(record: TrialRecord, scores: np.ndarray, model: Network, folder: Path) -> None:
    """Write `scores.npz`, `model.pt`, then `result.json`, then drop the checkpoint: a result is whole or not there."""
    packed = io.BytesIO()
    np.savez_compressed(packed, scores=scores.astype(np.float32))
    network = {name: value.cpu() for name, value in model.state_dict().items()}
    contents = dict(zip(_FILES, (packed.getvalue(), as_bytes(network)), strict=True))
    for name, content in contents.items():
        write_whole(folder / name, content)
    digests = {name: _digest(content) for name, content in contents.items()}
    saved = json.dumps({"record": to_json(record), "sha256": digests})
    write_whole(folder / _RECORD, sealed(saved.encode()))
    for leftover in folder.glob("checkpoint*"):
        leftover.unlink()


def saved_result(folder: Path) -> TrialRecord | None:
    """The result that stands in a trial's folder, every byte as it was saved; None where there is none.

    Raises:
        DamagedError: a file of it is damaged, or is not there.
    """
    file = folder / _RECORD
    if not file.exists():
        return None
    try:
        if (size := sealed_bytes(file)) < 0:
            raise DamagedError(_RECORD)
        saved = from_json(file.read_bytes()[:size])
        record = trial_from_json(saved["record"])
        for name in _FILES:
            if saved["sha256"][name] != _digest((folder / name).read_bytes()):
                raise DamagedError(name)
    except OSError as error:
        raise DamagedError(f"{Path(error.filename or file).name}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):  # of another version, sealed or not
        raise DamagedError(_RECORD) from None
    return record


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def discard(folder: Path) -> None:
    """Forget a trial's checkpoint and result."""
    shutil.rmtree(folder, ignore_errors=True)
