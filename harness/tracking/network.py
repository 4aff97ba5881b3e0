"""A trained network as MLflow keeps it: written as a model with its signature, loaded by `mlflow.pyfunc`.

    network = mlflow.pyfunc.load_model("models:/m-...")  # the address stands on the run's page
    scores = network.predict(clips)                      # uint8 (N, T, 3, H, W) -> float32 (N, classes)

For videos there is `python -m harness.predict`. Clips are cropped RGB frames as the readers give them; they are
normalised here. An operator of a user's own must be importable where the network is loaded.
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
from harness.errors import TrackingError
from harness.files import markdown_text
from harness.model.build import build
from harness.model.config import ModelConfig
from harness.records import operator_words
from harness.study import untrusted
from harness.study.reading import coerce
from harness.train.settings import Settings

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
    model = {**settings["model"], "weights": "", "weights_3d": ""}  # the trained weights stand beside it
    built = {"settings": {**settings, "model": model}, "classes": classes}
    (folder / "data" / SETTINGS).write_text(yaml.safe_dump(built, sort_keys=False), encoding="utf-8")
    clips = TensorSpec(np.dtype("uint8"), (-1, data["num_frames"], 3, data["crop"], data["crop"]))
    scores = TensorSpec(np.dtype("float32"), (-1, len(classes)))
    described = Model(signature=ModelSignature(Schema([clips]), Schema([scores])))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own, on what it deprecates
        pyfunc.add_to_model(described, loader_module=__name__, data="data")
        described.save(str(folder / "MLmodel"))
    backbone = settings["model"]["backbone"]
    packages = ["mlflow", "torch", *([backbone.partition("/")[0]] if "/" in backbone else [])]
    (folder / "requirements.txt").write_text("".join(f"{package}\n" for package in packages))


def card(address: str, settings: dict[str, Any], classes: list[str]) -> str:
    """What MLflow's page of the model says: what it takes, what it gives, how it is called."""
    data = settings["data"]
    operator = markdown_text(operator_words(settings["model"]["operator"]))
    names = markdown_text(", ".join(classes[:20])) + (", ..." if len(classes) > 20 else "")
    return f"""\
Operator: {operator}. {len(classes)} classes: {names}.

Name the classes of videos, sampled and cropped as in its study:

    python -m harness.predict {address} VIDEO...

Score clips that are cut already, RGB as they were decoded:

    network = mlflow.pyfunc.load_model("{address}")
    scores = network.predict(clips)  # uint8 (N, {data["num_frames"]}, 3, {data["crop"]}, {data["crop"]})

Scores are those before the softmax, float32 (N, {len(classes)}).
"""


class TrainedNetwork:
    """Scores clips.

    Args:
        folder: the `data` of a folder that `save` wrote.
        settings: of its trial, as nested dicts, for a folder of an earlier version, which did not keep them.

    Attributes:
        classes: names, in the order of the scores.
        settings: of its trial; None where they are not known.

    Raises:
        StudyError: a setting is none of this version's.
        ValueError: the operator was not found, or refuses its settings.
    """

    def __init__(self, folder: Path, settings: dict[str, Any] | None = None) -> None:
        built = untrusted.parse((folder / SETTINGS).read_text(encoding="utf-8"))
        settings = built.get("settings", settings)
        self.classes: list[str] = built["classes"]
        self.settings: Settings | None = None
        if settings is None:
            kept: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list) else v for k, v in built["model"].items()
            }
            model, frames = ModelConfig(**kept), built["num_frames"]
        else:
            self.settings = coerce(settings, Settings, "", lambda path: f"settings.{path}")
            model = self.settings.model.drawn()
            frames = self.settings.data.num_frames
        self.network = build(model, frames, len(self.classes), seed=0)
        self.network.load_state_dict(torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True))
        self.network.eval()

    def studied(self) -> Settings:
        """The settings of its trial.

        Raises:
            TrackingError: they are not known.
        """
        if self.settings is None:
            raise TrackingError(
                "the folder is of an earlier version and does not say how clips were sampled; "
                "name its run or its model (models:/m-...) instead"
            )
        return self.settings

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
