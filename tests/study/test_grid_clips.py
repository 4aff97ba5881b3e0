"""The script that makes the clips of studies/lips.yaml: on sentences drawn here, packed like the GRID corpus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from builders.place import ROOT

from harness.data.video import read_frames

WORDS = {"blue": "bbaf2n", "green": "bgaa6n", "red": "lrwp1s", "white": "swio3p"}
"""A colour, and how a sentence with it is called."""


def sentence(corpus: Path, colour: str, start: int, end: int) -> None:
    """75 frames; frame i has brightness 3 i in the mouth and none around it. The colour is said from start to end."""
    name = WORDS[colour]
    for folder in ("video", "align"):
        (corpus / folder).mkdir(parents=True, exist_ok=True)
    words = f"0 {start - 6000} sil\n{start - 6000} {start} lay\n{start} {end} {colour}\n{end} 74500 sil\n"
    (corpus / "align" / f"{name}.align").write_text(words)
    with av.open(str(corpus / "video" / f"{name}.mpg"), "w") as output:
        stream: Any = output.add_stream("mpeg1video", rate=25, options={"b": "4000000", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 360, 288, "yuv420p"
        for number in range(75):
            frame = np.zeros((288, 360, 3), np.uint8)
            frame[180:252, 106:202] = 3 * number
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())


def make(corpus: Path, out: Path) -> subprocess.CompletedProcess[str]:
    script = [sys.executable, str(ROOT / "studies" / "make_grid_clips.py")]
    folders = [str(corpus / "video"), str(corpus / "align"), str(out)]
    return subprocess.run([*script, *folders], capture_output=True, text=True, check=False)


def test_clips_are_the_mouth_around_the_middle_of_the_colour_in_a_folder_a_class(tmp_path: Path) -> None:
    # (start, end) in thousandths of a frame, and the first of the twenty frames around the middle
    cases = {
        "blue": (29_500, 34_000, 22),
        "green": (8_000, 10_000, 0),
        "red": (70_000, 74_000, 55),
        "white": (40_000, 43_000, 32),
    }
    for colour, (start, end, _) in cases.items():
        sentence(tmp_path, colour, start, end)
    made = make(tmp_path, tmp_path / "out")
    assert (made.returncode, made.stdout) == (0, f"4 clips in {tmp_path / 'out'}\n"), made.stderr
    for colour, (_, _, first) in cases.items():
        split = "val" if colour == "blue" else "train"  # the first of ten
        frames = read_frames(tmp_path / "out" / split / colour / f"{WORDS[colour]}.mp4")
        assert frames.shape == (20, 72, 96, 3)
        inside = frames[:, 8:-8, 8:-8].mean(axis=(1, 2, 3))
        assert abs((inside - 3 * np.arange(first, first + 20)).mean()) < 1.5  # half a frame, in brightness
        assert np.ptp(frames[10].astype(int)) < 40  # nothing of what is around the mouth
    assert len(list((tmp_path / "out").rglob("*.mp4"))) == 4


@pytest.mark.parametrize(
    ("harm", "line"),
    [("no alignment", "bbaf2n.align: no such file"), ("no colour", "bbaf2n.align: names no colour")],
)
def test_a_sentence_that_cannot_be_cut_is_one_line(harm: str, line: str, tmp_path: Path) -> None:
    sentence(tmp_path, "blue", 29_500, 34_000)
    alignment = tmp_path / "align" / "bbaf2n.align"
    if harm == "no alignment":
        alignment.unlink()
    else:
        alignment.write_text("0 74500 sil\n")
    made = make(tmp_path, tmp_path / "out")
    assert made.returncode == 1
    assert line in made.stderr
    assert made.stderr.count("\n") == 1
