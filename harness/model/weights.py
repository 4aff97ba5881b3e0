"""Files that backbones start from: which file a setting means, what it holds, and its content's fingerprint.

Nothing is downloaded. `imagenet` means torchvision's public files, whose names carry the first eight digits of their
content's SHA-256.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.errors import StudyError, first_line

PUBLIC: dict[
    str, tuple[str, ...]
] = {  # the first that is there is taken; the paper's time knew only the first
    "resnet18": ("resnet18-f37072fd",),
    "resnet34": ("resnet34-b627a593",),
    "resnet50": ("resnet50-0676ba61", "resnet50-11ad3fa6"),
}
"""torchvision's files by backbone, without suffix: .pth as published, or .safetensors converted from it."""

FLAT = {
    "i3d_resnet50": "resnet50",
    "nl_i3d_resnet50": "resnet50",
    "eco": "bninception",
    "eco_lite": "bninception",
}
"""The 2D network from which a 3D one starts."""

SUFFIXES = (".pth", ".safetensors")


def find(weights: str, backbone: str) -> Path:
    """The file that `model.weights` means.

    Args:
        weights: "imagenet": a public file of the backbone, in $MIXTBENCH_WEIGHTS (a file, or a folder with it) where
            that is set, else in torch's hub cache ($TORCH_HOME). Anything else: a file, or a folder with a public one.

    Raises:
        StudyError: there is none, or it is not the file that its name says; the line says what to put where.
    """
    given = os.environ.get("MIXTBENCH_WEIGHTS", "")
    backbone = FLAT.get(backbone, backbone)
    if weights != "imagenet":
        place, why = Path(weights), "model.weights"
    elif given:
        place, why = Path(given), "MIXTBENCH_WEIGHTS"
    else:
        place, why = Path(torch.hub.get_dir()) / "checkpoints", "model.weights: imagenet"
    place = place.expanduser().absolute()
    if place.is_file():
        return _checked(place)
    names = [f"{name}{suffix}" for name in PUBLIC.get(backbone, ()) for suffix in SUFFIXES]
    for name in names:
        if (place / name).is_file():
            return _checked(place / name)
    if weights != "imagenet" and not place.is_dir():
        raise StudyError(f"{why}: no file {place}")
    if not names:
        raise StudyError(
            f"{why}: {place} is a folder, and {backbone} has no public file; name the file itself"
        )
    wanted = " or ".join(f"{name}.pth" for name in PUBLIC[backbone])
    raise StudyError(f"{why}: no {wanted} in {place}; put it there, or set MIXTBENCH_WEIGHTS to the file")


def _checked(path: Path) -> Path:
    """Refuse a file that carries a public name but not its content: a broken download, or another file renamed."""
    public = {f"{name}.pth" for names in PUBLIC.values() for name in names}
    digits = re.search(r"-([0-9a-f]{8})\.pth$", path.name)
    if path.name in public and digits and not _sha256(path).startswith(digits[1]):
        raise StudyError(
            f"model.weights: {path}: its SHA-256 starts with {_sha256(path)[:8]}, not with the {digits[1]} of its "
            "name; download it again, or rename it"
        )
    return path


def fingerprint(weights: str, backbone: str) -> str:
    """SHA-256 of the file that a setting means; "" for a random start, "missing" where the file is not there."""
    if not weights:
        return ""
    try:
        return _sha256(find(weights, backbone))
    except StudyError:
        return "missing"


def describe(path: Path) -> str:
    """The file's name and content, for records and reports."""
    return f"{path.name} (sha256 {_sha256(path)[:16]})"


def _sha256(path: Path) -> str:
    status = path.stat()
    return _hash_content(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache
def _hash_content(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a checkpoint of torch or of safetensors.

    Raises:
        StudyError: no file, or not a checkpoint of tensors.
    """
    if not path.is_file():
        raise StudyError(f"model.weights: no file {path}")
    state: Any
    try:
        if path.suffix == ".safetensors":
            from safetensors import SafetensorError
            from safetensors.torch import load_file

            try:
                state = load_file(path)
            except SafetensorError as error:
                raise ValueError(str(error)) from None
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" not in str(error):  # no pickle at all
            raise StudyError(f"model.weights: {path} is not a checkpoint of tensors (damaged)") from None
        raise StudyError(  # torch's own words tell how to run it all the same
            f"model.weights: {path} holds more than tensors: reading it could run code, and it is not read; "
            "save its state_dict alone, or as safetensors"
        ) from None
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise StudyError(
            f"model.weights: {path} is not a checkpoint of tensors ({first_line(error)})"
        ) from None
    except OSError as error:
        raise StudyError(f"model.weights: {path}: cannot be read ({error.strerror or error})") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise StudyError(f"model.weights: {path} holds no dict of tensors by name")
    return {key.removeprefix("module."): value for key, value in state.items()}
