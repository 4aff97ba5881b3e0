"""What the stencil refuses, and how the path that a study asks for reaches it."""

from __future__ import annotations

import sys

import pytest
import torch
from builders.place import Workplace
from torch import Tensor

from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from operators import make_operator
from operators.stencil import Span, choose, missing, stencil


@pytest.mark.parametrize(
    ("x", "table", "spans", "words"),
    [
        (torch.zeros(2, 3, 4, 5), torch.zeros(3, 4), [Span(4, 0, 2, 1)], "x has 4 dimensions"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(3, 5), [Span(4, 0, 2, 1)], "does not fit 4 channels"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(2, 4), [Span(4, 0, 1, 1)], "does not fit 4 channels"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(3, 4), [Span(3, 0, 2, 1)], "spans cover 3 of 4"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(3, 4), [Span(4, 0, 3, 1)], "rows 0 to 2 of the table"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(3, 4), [Span(4, 0, 1, 2)], "rows 0 to 2 of the table"),
        (
            torch.zeros(1, 2, 4, 1, 1),
            torch.zeros(3, 4, device="meta"),
            [Span(4, 0, 2, 1)],
            "table is on meta",
        ),
        (torch.zeros(1, 2, 4, 1, 1).int(), torch.zeros(3, 4), [Span(4, 0, 2, 1)], "x is torch.int32"),
        (torch.zeros(1, 2, 4, 1, 1), torch.zeros(3, 4).int(), [Span(4, 0, 2, 1)], "table is torch.int32"),
    ],
)
def test_stencil_refuses_what_does_not_fit(x: Tensor, table: Tensor, spans: list[Span], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        stencil(x, table, spans)


def test_clips_of_another_number_of_frames_are_refused_not_regrouped() -> None:
    model = MSTNet(ModelConfig(backbone="resnet_tiny", operator={"name": "shift"}), 4, 3)
    with pytest.raises(ValueError, match=r"clips \(4, 2, 3, 16, 16\) are not \(N, 4, 3, H, W\)"):
        model(torch.zeros(4, 2, 3, 16, 16))


def test_a_path_that_is_unknown_or_missing_here_says_so_and_none_runs_instead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, spans, cpu = torch.zeros(1, 2, 4, 1, 1), [Span(4, 0, 2, 1)], torch.device("cpu")
    with pytest.raises(ValueError, match="no stencil path 'eagre'; did you mean 'eager'"):
        stencil(x, torch.zeros(3, 4), spans, path="eagre")
    with pytest.raises(ValueError, match="stencil: no stencil path 'fast'; known: auto, reference, eager"):
        ModelConfig(stencil="fast")
    with pytest.raises(ValueError, match=r"'triton' cannot run here: it .*; choose eager or reference"):
        stencil(x, torch.zeros(3, 4), spans, path="triton")
    with pytest.raises(ValueError, match="'inductor' unrolls at most 32 frames, not 64; choose eager"):
        stencil(torch.zeros(1, 64, 4, 1, 1), torch.zeros(3, 4), spans, path="inductor")
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(
        ValueError, match="it needs the C\\+\\+ compiler no-such-compiler, which is not on PATH"
    ):
        stencil(x, torch.zeros(3, 4), spans, path="inductor")
    for module in ("operators.stencil.triton", "operators.stencil.kernels"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "triton", None)  # importing it now fails
    assert "triton, which is not installed" in missing("triton", torch.device("cuda"))
    assert choose("auto", cpu) == "eager"


def test_the_settings_path_reaches_every_operator_of_the_network() -> None:
    config = ModelConfig(backbone="resnet_tiny", operator={"name": "mixtconv"}, stencil="reference")
    assert {op.stencil_path for _, op in MSTNet(config, 4, 3).operators()} == {"reference"}
    assert make_operator("mixtconv", 8, 4).stencil_path == "auto"


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is not missing here")
def test_a_study_that_asks_for_a_path_missing_here_is_one_line_and_starts_nothing(place: Workplace) -> None:
    outcome = place.run(place.study(model={"backbone": "resnet_tiny", "stencil": "triton"}))
    assert outcome.code == 2
    assert "variants.tsn: model.stencil: stencil path 'triton' cannot run here" in outcome.err
    assert not (place.folder / "mlflow.db").exists()
