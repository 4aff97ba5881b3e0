"""A trained network as MLflow keeps it: written as a model with its signature, loaded by `mlflow.pyfunc`.

    network = mlflow.pyfunc.load_model("models:/m-...")  # the address stands on the run's page
    scores = network.predict(clips)                      # uint8 (N, T, 3, H, W) -> float32 (N, classes)

Clips are cropped RGB frames as the readers give them; they are normalised here. An operator of a user's own
must be importable where the network is loaded.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from harness.data.transforms import normalise
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet

WEIGHTS, SETTINGS = "model.pt", "network.yaml"


def save(folder: Path, weights: Path, settings: dict[str, Any], classes: list[str]) -> None:
    """Write a trained network as an MLflow model into a new folder.

    Args:
        weights: a state dict of the trial's network.
        settings: the trial's, as nested dicts.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import Schema, TensorSpec

    data = settings["data"]
    (folder / "data").mkdir(parents=True)
    shutil.copyfile(weights, folder / "data" / WEIGHTS)
    built = {
        "model": {**settings["model"], "weights": ""},  # the trained weights stand beside it
        "num_frames": data["num_frames"],
        "crop": data["crop"],
        "classes": classes,
    }
    (folder / "data" / SETTINGS).write_text(yaml.safe_dump(built, sort_keys=False), encoding="utf-8")
    clips = TensorSpec(np.dtype("uint8"), (-1, data["num_frames"], 3, data["crop"], data["crop"]))
    scores = TensorSpec(np.dtype("float32"), (-1, len(classes)))
    model = Model(signature=ModelSignature(Schema([clips]), Schema([scores])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on what it deprecates
        pyfunc.add_to_model(model, loader_module=__name__, data="data")
        model.save(str(folder / "MLmodel"))
    (folder / "requirements.txt").write_text("mlflow\ntorch\n")


class TrainedNetwork:
    """Scores clips.

    Args:
        folder: the `data` of a folder that `save` wrote.
    """

    def __init__(self, folder: Path) -> None:
        built = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
        model: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in built["model"].items()}
        self.classes: list[str] = built["classes"]
        self.network = MSTNet(ModelConfig(**model), built["num_frames"], len(self.classes), seed=0)
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


def _load_pyfunc(path: str) -> TrainedNetwork:
    """MLflow's name for the way in."""
    return TrainedNetwork(Path(path))
