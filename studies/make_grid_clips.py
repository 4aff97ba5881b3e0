"""python studies/make_grid_clips.py VIDEOS ALIGNMENTS OUT: the clips of studies/lips.yaml, from the GRID corpus.

VIDEOS holds speaker s1's 1,000 sentences (bbaf2n.mpg ...: 75 frames of 360x288, 25 a second), ALIGNMENTS a file
bbaf2n.align for each, with a line `start end word` a word, in thousandths of a frame. A clip is the mouth around the
middle of the sentence's colour: OUT/{train,val}/{blue,green,red,white}/bbaf2n.mp4, H.264. Of ten sentences in the
order of their names three are for validation. docs/data.md says where the corpus is.
"""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np

COLOURS = ("blue", "green", "red", "white")
FRAMES = 20
LEFT, TOP, WIDTH, HEIGHT = 106, 180, 96, 72  # of s1's mouth: it hardly moves


def colour_of(alignment: Path) -> tuple[str, float]:
    """The colour that a sentence names, and the frame in the middle of the word."""
    for line in alignment.read_text().splitlines():
        start, end, word = line.split()
        if word in COLOURS:
            return word, (int(start) + int(end)) / 2000
    raise SystemExit(f"error: {alignment}: names no colour of {', '.join(COLOURS)}")


def mouth(video: Path, middle: float) -> np.ndarray:
    """The frames around the middle of a word, cropped and not resized: (FRAMES, HEIGHT, WIDTH, 3) uint8 RGB."""
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    if len(frames) < FRAMES or frames[0].shape != (288, 360, 3):
        raise SystemExit(f"error: {video}: {FRAMES} frames or more of 360x288 are needed")
    first = max(0, min(round(middle - FRAMES / 2), len(frames) - FRAMES))
    return np.stack(frames[first : first + FRAMES])[:, TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]


def write(file: Path, frames: np.ndarray) -> None:
    """A clip as H.264, at the corpus's 25 frames a second."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as output:
        stream = output.add_stream(
            "libx264", rate=25, options={"preset": "slow", "crf": "22", "threads": "1"}
        )
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        output.mux(stream.encode())


def main(videos: Path, alignments: Path, out: Path) -> None:
    """Every sentence's clip."""
    sentences = sorted(videos.glob("*.mpg"))
    if not sentences:
        raise SystemExit(f"error: {videos}: holds no .mpg; unpack the speaker's videos there")
    for number, video in enumerate(sentences):
        alignment = alignments / f"{video.stem}.align"
        if not alignment.is_file():
            raise SystemExit(f"error: {alignment}: no such file; each video needs its alignment")
        word, middle = colour_of(alignment)
        split = "val" if number % 10 in (0, 8, 9) else "train"
        write(out / split / word / f"{video.stem}.mp4", mouth(video, middle))
    print(f"{len(sentences):,} clips in {out}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*map(Path, sys.argv[1:]))
