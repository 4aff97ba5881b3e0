"""A trained network as MLflow's `pyfunc` loads it: weights and the settings to build the network again.

    model = mlflow.pyfunc.load_model("models:/m-...")    # the address stands on the run's page
    scores = model.predict(clips)                        # uint8 (N, T, 3, H, W) -> float32 (N, classes)

Clips are cropped RGB frames as the readers give them; they are normalised here. An operator of a user's own must be
importable where the network is loaded.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from harness.data import normalise
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet

WEIGHTS, CARD = "model.pt", "network.yaml"


def save(folder: Path, weights: Path, settings: dict[str, Any], classes: list[str]) -> None:
    """Write what `Served` needs into a new folder.

    Args:
        weights: a state dict of the trial's network.
        settings: the trial's, as nested dicts.
    """
    folder.mkdir(parents=True)
    shutil.copyfile(weights, folder / WEIGHTS)
    card = {
        "model": {**settings["model"], "weights": ""},  # the trained weights stand beside it
        "num_frames": settings["data"]["num_frames"],
        "crop": settings["data"]["crop"],
        "classes": classes,
    }
    (folder / CARD).write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")


class Served:
    """A trained network that scores clips.

    Args:
        folder: as `save` left it.
    """

    def __init__(self, folder: Path) -> None:
        card = yaml.safe_load((folder / CARD).read_text(encoding="utf-8"))
        settings: dict[str, Any] = {
            key: tuple(v) if isinstance(v, list) else v for key, v in card["model"].items()
        }
        self.classes: list[str] = card["classes"]
        self.network = MSTNet(ModelConfig(**settings), card["num_frames"], len(self.classes), seed=0)
        self.network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
        self.network.eval()

    @torch.no_grad()
    def predict(self, clips: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Scores before the softmax.

        Shape:
            uint8 (N, T, 3, H, W) -> float32 (N, classes).
        """
        scores: np.ndarray = self.network(normalise(torch.as_tensor(np.ascontiguousarray(clips)))).numpy()
        return scores


def _load_pyfunc(path: str) -> Served:
    """MLflow's name for the way in."""
    return Served(Path(path))
