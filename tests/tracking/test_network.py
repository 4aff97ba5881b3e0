"""A trained network that MLflow keeps scores as in training, also one that an earlier version saved."""

from __future__ import annotations

import shutil
from pathlib import Path

import mlflow
import numpy as np
import torch
from builders.place import ROOT, Workplace
from builders.tracked import PLAN, TRIAL, finish, start

from harness.data.transforms import normalise
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.tracking.recorder import Recorder

NETWORK = {
    "model": {
        "backbone": "resnet_tiny",
        "operator": {"name": "depthwise", "kernel_size": 3},
        "stages": [1, 2],
        "dropout": 0.2,
        "weights": "/gone/imagenet.pth",
    },
    "data": {"num_frames": 4, "crop": 16},
}
CLIPS = np.random.default_rng(0).integers(0, 256, (3, 4, 3, 16, 16), dtype=np.uint8)


def trained_network() -> MSTNet:
    model = {**NETWORK["model"], "stages": (1, 2), "weights": ""}
    return MSTNet(ModelConfig(**model), 4, 2, seed=7).eval()


def scores_of_trained_network() -> np.ndarray:
    with torch.no_grad():
        return trained_network()(normalise(torch.from_numpy(CLIPS))).numpy()


def test_a_trained_network_loads_back_and_scores_the_same(
    recorder: Recorder, folder: Path, ready: Workplace
) -> None:
    torch.save(trained_network().state_dict(), folder / "model.pt")
    start(recorder)
    recorder.end_trial(TRIAL, folder, PLAN.classes, NETWORK)
    client, (run,) = ready.client(), ready.runs("pair")
    (kept,) = client.search_logged_models([run.info.experiment_id])
    assert (kept.name, kept.source_run_id, str(kept.status)) == ("a-s0", run.info.run_id, "READY")
    assert [output.model_id for output in run.outputs.model_outputs] == [kept.model_id]
    loaded = mlflow.pyfunc.load_model(kept.artifact_location)
    assert np.array_equal(loaded.predict(CLIPS), scores_of_trained_network())
    inputs, outputs = loaded.metadata.signature.inputs.inputs, loaded.metadata.signature.outputs.inputs
    assert (inputs[0].type, inputs[0].shape) == (np.dtype("uint8"), (-1, 4, 3, 16, 16))
    assert (outputs[0].type, outputs[0].shape) == (np.dtype("float32"), (-1, 2))


def test_a_network_is_kept_only_when_asked_for(recorder: Recorder, folder: Path, ready: Workplace) -> None:
    finish(recorder, folder)
    (run,) = ready.runs("pair")
    assert not ready.client().search_logged_models([run.info.experiment_id])


def test_a_network_saved_by_an_earlier_version_loads_and_scores_the_same(tmp_path: Path) -> None:
    """The text files are as commit 17242e5 wrote them; the weights are those of the seed it was given."""
    saved = tmp_path / "model"
    shutil.copytree(ROOT / "tests" / "golden" / "network", saved)
    torch.save(trained_network().state_dict(), saved / "data" / "model.pt")
    loaded = mlflow.pyfunc.load_model(str(saved))
    assert loaded.metadata.flavors["python_function"]["loader_module"] == "harness.served"
    assert np.array_equal(loaded.predict(CLIPS), scores_of_trained_network())
