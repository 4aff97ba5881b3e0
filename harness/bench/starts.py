"""Where the time of a trial goes: processes that start, imports, clips, training.

python -m harness.bench.starts [--epochs 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from harness.errors import TrainingError
from harness.train import apart

IMPORTS = {
    "Python alone": "pass",
    "and numpy": "import numpy",
    "and torch": "import torch",
    "and all that a trial needs": "import harness.train.forkserver",
}
"""What a fresh process imports; each has what stands before it."""

Rows = dict[str, list[float]]
"""Seconds, every sample, by what took them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 where the trial failed; 2 where the request cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m harness.bench.starts", description=__doc__)
    parser.add_argument("--epochs", type=_count, default=8, help="of the trial (default: %(default)s)")
    parser.add_argument(
        "--clips", type=_count, default=960, help="that it is trained on (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=_count, default=3, help="samples of each row (default: %(default)s)")
    args = parser.parse_args(argv)
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            for number in range(args.rounds):
                for what, seconds in one_round(Path(scratch) / str(number), args.epochs, args.clips).items():
                    rows.setdefault(what, []).append(seconds)
        except TrainingError as error:
            print(f"error: the trial failed: {error}", file=sys.stderr)
            return 1
        finally:
            apart.close()
    print(f"seconds, median of {args.rounds} (least to most); ks7 in stage 3 on {args.clips} clips of strobe")
    for what, samples in rows.items():
        print(f"{what:<48} {statistics.median(samples):8.3f}   ({min(samples):.3f} to {max(samples):.3f})")
    return 0


def one_round(folder: Path, epochs: int, clips: int) -> dict[str, float]:
    """Everything once, in seconds.

    Args:
        folder: a new one, for clips and the trial.

    Raises:
        TrainingError: the trial failed.
    """
    found = {f"fresh process: {what}": _timed(partial(_python, code)) for what, code in IMPORTS.items()}
    apart.close()
    nothing = apart.Work(call=pickle.dumps((_nothing, ())))
    with_server = _timed(lambda: list(apart.run(nothing)))
    found["once a run: the server that is forked starts"] = with_server
    found["forked process: starts, ends"] = _timed(lambda: list(apart.run(nothing)))
    return found | _trial(folder, epochs, clips)


def _trial(folder: Path, epochs: int, clips: int) -> dict[str, float]:
    from harness.data.config import DataConfig
    from harness.data.dataset import open_data
    from harness.model.config import ModelConfig
    from harness.train.recipe import TrainConfig
    from harness.train.settings import Settings
    from harness.train.trial import Job, record_of, work_of

    strobe = {"name": "generated", "task": "strobe", "train_clips": clips, "val_clips": 960}
    settings = Settings(
        model=ModelConfig(
            backbone="resnet_tiny", operator={"name": "depthwise", "kernel_size": 7}, stages=(3,), dropout=0.2
        ),
        data=DataConfig(dataset=strobe, short_side=16, crop=16, scales=(1.0,)),
        train=TrainConfig(
            epochs=epochs,
            batch_size=32,
            optimizer="adamw",
            weight_decay=0.01,
            schedule="one_cycle",
            validate_every=0,
            probes=False,
        ),
    )
    job = Job(trial_id="t", variant="ks7", seed=0, settings=settings, data_dir=folder, folder=folder / "t")
    found = {"once a study: clips made, encoded, decoded": _timed(lambda: open_data(settings.data, folder))}
    begin = time.perf_counter()
    *_, last = apart.run(work_of(job))
    found["trial, in all"] = whole = time.perf_counter() - begin
    record = record_of(job, last)
    if record.status != "done":
        raise TrainingError(record.reason)
    found |= {f"  {name}": seconds for name, seconds in record.spent.items()}
    found["  the rest: fork, settings, files of the result"] = whole - sum(record.spent.values())
    return found


def _nothing(say: Callable[[apart.Said], None]) -> None:
    say({"record": {}})


def _python(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def _timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
