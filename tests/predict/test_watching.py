"""`harness.predict --stream`: a score a frame, at the cost of a frame; what cannot be streamed is one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from builders.datasets import moving_bar, write_webm
from builders.kept import keep, settings

from harness.errors import UserError
from harness.predict.__main__ import main
from harness.predict.stream import Watcher
from harness.predict.video import Predictor
from harness.tracking.trained import load_trained

CPU = torch.device("cpu")
CLASSES = ["left", "right", "nowhere"]


def model(folder: Path, **operator: Any) -> str:
    return str(keep(folder, settings(operator), CLASSES))


@pytest.mark.parametrize("name", ["causal_shift", "causal_depthwise", "identity"])
def test_a_stream_of_a_clips_frames_ends_with_the_clips_scores(name: str, tmp_path: Path) -> None:
    """Four frames are one of each quarter: the stream has seen the clip."""
    trained = load_trained(model(tmp_path, name=name))
    video = write_webm(tmp_path / "bar.webm", moving_bar(2, 3, frames=4))
    seen = list(Watcher(trained, CPU).video(video))
    whole = Predictor(trained, CPU).video(video)
    assert whole.times.tolist() == [[0, 1, 2, 3]]
    assert [one.number for one in seen] == [0, 1, 2, 3]
    assert np.abs(seen[-1].scores - whole.scores).max() <= 1e-5 * np.abs(whole.scores).max()


def test_every_nth_frame_is_taken_and_a_second_video_begins_anew(tmp_path: Path) -> None:
    watcher = Watcher(load_trained(model(tmp_path, name="causal_shift")), CPU, every=3)
    video = write_webm(tmp_path / "bar.webm", moving_bar(2, 3, frames=11))
    first, again = list(watcher.video(video)), list(watcher.video(video))
    assert [one.number for one in first] == [0, 3, 6, 9]
    assert all(np.array_equal(a.scores, b.scores) for a, b in zip(first, again, strict=True))
    # 16 x 16 pixels: an eighth of 16 channels at 8 x 8, twice, of 32 at 4 x 4, and of 64 at 2 x 2
    assert first[-1].state_bytes == 4 * (2 * 64 + 2 * 64 + 4 * 16 + 8 * 4)


def test_the_command_prints_each_frame_and_what_it_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = model(tmp_path, name="causal_depthwise")
    video = write_webm(tmp_path / "bar.webm", moving_bar(1, 3, frames=6))
    assert main([name, str(video), "--stream"]) == 0
    told, head, *lines = capsys.readouterr().out.splitlines()
    assert told.startswith("note     every frame is taken; the study took 4 of a whole video")
    assert head == f"{video}: most probable of the last 4 frames"
    for number, line in enumerate(lines[:6]):
        assert re.fullmatch(rf"  frame +{number} +[\d.]+ ms +[\d.]+ %  (left|right|nowhere)", line)
    assert re.fullmatch(r"   cost    median [\d.]+ ms a frame, .*; [\d.]+ KiB remembered .*", lines[6])


def test_an_operator_that_looks_ahead_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([model(tmp_path, name="shift"), "clip.mp4", "--stream"]) == 2
    assert capsys.readouterr().err == (
        "error: --stream: layer1.0.temporal: shift looks at later frames too: "
        "it runs on whole clips, not on a stream\n"
    )
    with pytest.raises(UserError, match="linear_attention is causal, but has no `step`"):
        Watcher(load_trained(model(tmp_path, name="linear_attention")), CPU)


def test_a_stream_of_frames_that_change_their_size_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, width in enumerate((64, 96)):
        with av.open(str(tmp_path / f"{number}.ts"), "w") as output:
            stream: Any = output.add_stream("libx264", rate=12)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            for _ in range(4):
                frame = av.VideoFrame.from_ndarray(np.full((48, width, 3), 90, np.uint8), format="rgb24")
                output.mux(stream.encode(frame))
            output.mux(stream.encode())
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "0.ts").read_bytes() + (tmp_path / "1.ts").read_bytes())
    assert main([model(tmp_path, name="causal_shift"), str(joined), "--stream"]) == 1
    error = capsys.readouterr().err
    assert error == f"error: {joined}: frame 4 is 96x48 pixels, and the first one 64x48\n"
