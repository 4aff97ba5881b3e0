"""python -m harness.predict RUN_OR_MODEL VIDEO...: which class each video shows, and with what probability.
With --stream: what each frame shows, when it comes.

Exit code: 0 all videos were scored, 1 some could not be read, 2 the request cannot be carried out, 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.console import complain, say, start
from harness.errors import DataError, UserError, visible
from harness.options import NETWORK, STORE, Parser, carried_out

if TYPE_CHECKING:
    import torch

    from harness.predict.video import Prediction
    from harness.tracking.network import TrainedNetwork

SHOWN = 5
"""Classes that are printed of a video."""

PICTURE_HEIGHT = 112
"""Pixels of a frame in the picture."""


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return carried_out(lambda: _run(args), "the other videos are not scored")


def _run(args: argparse.Namespace) -> int:
    start(args.network)
    import torch

    from harness.predict.video import Predictor
    from harness.tracking.trained import load_trained

    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: torch finds no GPU here; use cpu")
    trained = load_trained(args.network, args.tracking_uri)
    if args.stream:
        return _watch(trained, device, args)
    predictor = Predictor(trained, device)
    code, taken = 0, set[str]()
    for video in args.videos:
        try:
            found = predictor.video(video)
        except DataError as error:
            complain(error)
            code = 1
            continue
        _show(video, found, predictor.classes)
        say("   frames", str(_write(found, args.out, video.stem, taken)), column=10)
    return code


def _watch(trained: TrainedNetwork, device: torch.device, args: argparse.Namespace) -> int:
    """Print a line a frame while the video is read, and what a frame cost."""
    from harness.predict.stream import Watcher
    from harness.predict.video import softmax
    from harness.stats.estimates import percentile

    watcher = Watcher(trained, device, args.every)
    if not args.every and watcher.data.sampling == "segment":
        took = f"the study took {watcher.data.num_frames} of a whole video, further apart"
        say("note", f"every frame is taken; {took}: --every N takes each N-th")
    code = 0
    for video in args.videos:
        spent: list[float] = []
        remembered = 0
        say("", f"{video}: most probable of the last {watcher.data.num_frames} frames")
        try:
            for seen in watcher.video(video):
                likely = softmax(seen.scores)
                best = int(likely.argmax())
                spent.append(seen.milliseconds)
                remembered = max(remembered, seen.state_bytes)
                shown = f"{100 * likely[best]:5.1f} %  {visible(watcher.classes[best])}"
                print(f"  frame {seen.number:6}  {seen.milliseconds:7.1f} ms  {shown}", flush=True)
        except DataError as error:
            complain(error)
            code = 1
        if len(spent) > 1:
            median = percentile(spent[1:], 0.5)
            kept = f"{remembered / 1024:,.1f} KiB remembered from frame to frame"
            say("   cost", f"median {median:.1f} ms a frame, the first one left out; {kept}", column=10)
    return code


def _show(video: Path, found: Prediction, classes: Sequence[str]) -> None:
    sampled = "; ".join(" ".join(map(str, clip)) for clip in found.times.tolist())
    say("", f"{video}: {found.frames} frames, seen: {sampled}")
    for place in found.probabilities.argsort()[::-1][:SHOWN]:
        say(f"  {100 * found.probabilities[place]:5.1f} %", f" {classes[place]}")


def _write(found: Prediction, out: Path, stem: str, taken: set[str]) -> Path:
    """The picture of the sampled frames, a row a clip; videos of one name in several folders are numbered."""
    import io

    from harness.data.strip import strip
    from harness.files import writable, write_whole

    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    rows = [
        (f"{stem}\n{'frame' if len(times) == 1 else 'frames'} {times[0]} to {times[-1]}", frames)
        for times, frames in zip(found.times, found.shown, strict=True)
    ]
    content = io.BytesIO()
    strip(rows, PICTURE_HEIGHT).save(content, "png")
    file = out / f"{name}.png"
    with writable(file, "choose another --out"):
        write_whole(file, content.getvalue())
    return file


def _parser() -> Parser:
    parser = Parser(
        prog="python -m harness.predict",
        description="Sample, crop and score videos as a trained network's study did; print the five most "
        "probable classes of each, and write a picture of the frames that were seen.",
        examples=[
            "python -m harness.predict smoke/ks1357 clip.mp4       # of the first seed",
            "python -m harness.predict smoke/ks1357/0 a.mp4 b.webm --out seen/",
            "python -m harness.predict my_study/causal clip.mp4 --stream",
        ],
    )
    add = parser.add_argument
    add("network", **NETWORK)
    add("videos", nargs="+", type=Path, metavar="VIDEO", help="video files")
    add = parser.add_argument_group("frame after frame").add_argument
    add("--stream", action="store_true", help="score frame after frame, as a camera brings them; no pictures")
    add("--every", type=_count, default=0, metavar="N", help="of a stream, take each N-th frame")
    add = parser.add_argument_group("where things lie, and where it runs").add_argument
    add(
        "--out",
        type=Path,
        default=Path("predicted"),
        metavar="DIR",
        help="for pictures (default: %(default)s)",
    )
    add("--device", choices=("cpu", "cuda"), default="", help="default: a GPU where there is one")
    add("--tracking-uri", **STORE)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 up")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
