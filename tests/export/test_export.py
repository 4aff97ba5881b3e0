"""`harness.export`: a file that other programs run, with the scores of the network, or one line that says why not."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from builders.datasets import moving_bar, write_webm
from builders.kept import keep, settings

from harness.data.video import read_frames
from harness.export import forms
from harness.export.__main__ import main
from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from harness.predict.video import Predictor
from harness.tracking.trained import load_trained
from operators import TemporalOp

CLASSES = ["left", "right", "nowhere"]
DEPTHWISE = {"name": "depthwise", "kernel_size": 3}

OWN = """
import torch
from operators import TemporalOp

@torch.library.custom_op("own_export::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x

@twice.register_fake
def _(x):
    return torch.empty_like(x)

class Foreign(TemporalOp):
    def forward(self, x):
        return twice(x)

class Moody(TemporalOp):
    def forward(self, x):
        return x if x.sum() > 0 else -x
"""


def network(operator: dict[str, Any], **model: Any) -> MSTNet:
    """In evaluation, its weights moved: scores are large, and no operator is the identity that it starts as."""
    config = ModelConfig(backbone="resnet_tiny", operator=operator, **model)
    made = MSTNet(config, 4, 5, seed=0).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_whoever_has_the_file_and_its_description_gets_the_scores_of_predict(
    to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Clips are cut here by hand, as the description says."""
    model = keep(tmp_path, settings(DEPTHWISE), CLASSES)
    out = tmp_path / {"onnx": "net.onnx", "torch": "net.pt2"}[to]
    assert main([str(model), "--to", to, str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(
        f"written  {out}: {'ONNX opset 20' if to == 'onnx' else 'torch.export of torch'}"
    )
    told = json.loads((tmp_path / f"{out.name}.json").read_text())
    assert told["bytes"] == out.stat().st_size
    assert told["largest_difference"] <= 1e-5
    assert told["classes"] == CLASSES
    assert told["input"]["shape"] == ["clips", 4, 3, 16, 16]
    if to == "onnx":
        assert "Conv" in told["nodes"]
        assert told["opset"] == 20

    video = write_webm(tmp_path / "bar.webm", moving_bar(2, 3, frames=12, height=32, width=40))
    trained = load_trained(str(model))
    expected = Predictor(trained, torch.device("cpu")).video(video)
    made = told["preprocessing"]
    pixels = read_frames(video, np.array([1, 4, 7, 10]), made["short_side"])  # 24 x 30
    cut = pixels[:, 4:20, 7:23].transpose(0, 3, 1, 2).astype(np.float32) / 255
    mean, std = (np.array(made[name], np.float32)[:, None, None] for name in ("mean", "std"))
    clip = ((cut - mean) / std)[None]
    if to == "onnx":
        session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
        (scores,) = session.run(["scores"], {"clips": clip})
    else:
        scores = torch.export.load(str(out)).module()(torch.from_numpy(clip)).detach().numpy()
    assert np.abs(scores[0] - expected.scores).max() <= 2e-5 * np.abs(expected.scores).max()


def test_a_depthwise_operator_is_a_convolution_with_a_group_a_channel(tmp_path: Path) -> None:
    import onnx

    made = network({"name": "mixtconv"}, stages=(1,))
    clips = torch.randn(2, 4, 3, 16, 16)
    form = forms.as_onnx(forms.program(made, clips), clips)
    graph = onnx.load_from_string(form.content).graph
    groups = {
        a.i for node in graph.node if node.op_type == "Conv" for a in node.attribute if a.name == "group"
    }
    assert groups == {1, 16}
    assert {node.domain for node in graph.node} == {""}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own_export.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_export", raising=False)
    return tmp_path


REFUSED = {
    "own_export.Foreign": r"node \w+ of layer1\.0\.temporal: own_export\.twice is no operation of torch's",
    "own_export.Moody": r"torch\.export cannot follow it: .*own_export\.py:\d+: ",
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_that_cannot_be_written_down_is_one_line_that_names_where(
    name: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = keep(own, settings({"name": name}), CLASSES)
    out = own / "net.onnx"
    assert main([str(model), "--to", "onnx", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {model}: ")
    assert re.search(REFUSED[name], error)
    assert error.count("\n") == 1
    assert not out.exists()


def test_an_operator_that_is_gone_is_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = keep(own, settings({"name": "own_export.Moody"}), CLASSES)
    (own / "own_export.py").unlink()
    sys.modules.pop("own_export")
    assert main([str(model), "--to", "torch", str(own / "net.pt2")]) == 2
    assert "its operator: name: no module 'own_export' for operator" in capsys.readouterr().err


def test_what_cannot_be_asked_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(keep(tmp_path, settings(DEPTHWISE), CLASSES))
    out = tmp_path / "net.onnx"

    def told(*words: str) -> str:
        assert main([model, "--to", "onnx", *words]) == 2
        assert not out.exists()
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "--opset 11: is too old; torch's exporter writes 18 or newer" in told(str(out), "--opset", "11")
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "onnxruntime", None)
        assert "onnxruntime is not installed; pip install 'mixtbench[export]'" in told(str(out))
    monkeypatch.setattr(forms, "difference", lambda *rest: 1e-3)
    assert "the file's scores differ by 1.0e-03 of the largest one, more than 1e-05" in told(str(out))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TemporalOp.registry))
def test_every_operator_of_the_zoo_leaves_in_both_forms(name: str) -> None:
    """In one block of the tiny network; fp32 on both sides, for other numbers of clips than it was tried with."""
    made, clips = network({"name": name}, stages=(1,)), torch.randn(2, 4, 3, 16, 16)
    found = forms.program(made, clips)
    for form in (forms.as_torch(found), forms.as_onnx(found, clips)):
        assert forms.difference(made, form, (4, 3, 16, 16)) <= forms.TOLERANCE
