"""Makes a store of many trials through the real `Recorder`, and reports it: python tests/synthetic_store.py --help.

The time and the peak memory printed are those of `python -m harness.report` alone, imports included.
"""

from __future__ import annotations

import argparse
import dataclasses
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness import plots
from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.tracking.recorder import Recorder
from harness.tracking.store import Store

CLASSES = 16


def variant_trial(variant: str, place: int, seed: int, epochs: int, clips: int) -> TrialRecord:
    """One finished trial whose accuracy rises to about 60 % + place / 2."""
    rng = np.random.default_rng([place, seed])
    ease = np.random.default_rng(0).random(clips)  # of the clip, the same in every trial
    labels = np.arange(clips) // 2 % CLASSES
    right = 0.8 * ease + 0.2 * rng.random(clips) < 0.6 + 0.005 * place
    predicted = np.where(right, labels, (labels + 1) % CLASSES)
    top1 = 100.0 * float(right.mean())
    history = [
        {"epoch": float(e), "train/loss": 3 / e, "train/top1": top1 * e / epochs, "train/lr": 0.01, "val/loss": 3.1 / e,
         "val/top1": top1 * e / epochs, "val/top5": 90.0, "time/epoch_s": 1.0}
        for e in range(1, epochs + 1)
    ]  # fmt: skip
    per_class = {f"class {c}": 100.0 * float(right[labels == c].mean()) for c in range(CLASSES)}
    return TrialRecord(
        trial_id=f"{variant}-{seed}", variant=variant, seed=seed, status="done",
        last={"top1": top1, "top5": 90.0, "loss": 0.1}, best={"epoch": float(epochs), "top1": top1},
        per_class=per_class, history=history,
        predictions={"clip": [f"c{i}" for i in range(clips)], "cluster": [f"c{i // 2}" for i in range(clips)],
                     "label": labels.tolist(), "predicted": predicted.tolist()},
        probes=probes(place, seed, top1),
        environment={"device": "cpu", "commit": "synthetic", "peak_memory_mib": "1"}, seconds=float(epochs),
    )  # fmt: skip


def probes(place: int, seed: int, top1: float) -> dict[str, Any]:
    """As large as those of a ResNet-50: 16 operators, of which eight channels are kept."""
    offsets = list(range(-3, 4))
    rng = np.random.default_rng([place, seed, 1])
    return {
        "order": {order: {"top1": top1 - drop, "top5": 90.0} for order, drop in
                  (("as_is", 0.0), ("reversed", 9.0), ("shuffled", 12.0 + rng.random()), ("frozen", 20.0))},
        "filters": [
            {"operator": f"layer{stage}.{block}.temporal", "stage": stage, "offsets": offsets,
             "channels": list(range(8)), "initial": np.eye(8, 7).tolist(),
             "final": rng.random((8, 7)).round(4).tolist(), "moved": float(rng.random())}
            for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3)) for block in range(blocks)
        ],
        "reach": [{"stage": stage, "offsets": offsets, "share": [1 / 7] * 7, "radius": 2 + float(rng.random())}
                  for stage in (1, 2, 3, 4)],
    }  # fmt: skip


def fill(store: Store, name: str, variants: int, seeds: int, epochs: int, clips: int, scratch: Path) -> None:
    """One study with all its trials."""
    names = ["tsn", *(f"v{place}" for place in range(1, variants))]
    trials = [
        variant_trial(v, place, s, epochs, clips) for s in range(seeds) for place, v in enumerate(names)
    ]
    geometry = {"backbone": "resnet50", "num_frames": 8, "size": 224}
    costs = {
        v: CostRecord(
            geometry=geometry, params_total=23_800_000 + place, params_added=place * 10_000, macs_total=None,
            macs_added=place * 45_000_000, latency_ms=[40.0 + place, 41.0 + place, 42.0 + place],
        )
        for place, v in enumerate(names)
    }  # fmt: skip
    settings = {v: {"model": {"operator": {"name": "identity"}}} for v in names}
    plan = StudyRecord(
        name=name, question="How long does a report take?", source="", reference="", baseline="tsn", variants=names,
        seeds=list(range(seeds)), settings=settings, differs={v: {} for v in names}, protocol={"epochs": str(epochs)},
        classes=[f"class {c}" for c in range(CLASSES)], groups=[""] * CLASSES, costs=costs,
        trials=[dataclasses.replace(t, status="missing", last={}, best={}, per_class={}, history=[], predictions={},
                                    probes={}, environment={}, seconds=0.0) for t in trials],
        twins=[[c, c + 1] for c in range(0, CLASSES, 2)], margin=1.0, hypotheses=["v2 > v1", "v1 ~ tsn"],
        pairs=["v2 vs v1"],
    )  # fmt: skip
    recorder = Recorder(store)
    recorder.begin_study(plan)
    for picture in ("confusion_matrix", "curves"):  # a second a trial, and no report reads them
        setattr(plots, picture, lambda *args: None)
    log_epoch = (
        recorder.log_epoch
    )  # as slow for 50 epochs, of which a report reads the last one's, and `result.json`
    vars(recorder)["log_epoch"] = lambda trial_id, entry: (
        entry["epoch"] < epochs or log_epoch(trial_id, entry)
    )
    np.savez_compressed(scratch / "scores.npz", scores=np.zeros((clips, CLASSES), np.float32))
    for trial in trials:
        recorder.start_trial(
            trial.trial_id,
            trial.variant,
            trial.seed,
            settings[trial.variant],
            costs[trial.variant],
            trial.environment,
        )
        recorder.end_trial(trial, scratch, plan.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1)
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--clips", type=int, default=480)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        begin = time.monotonic()
        store = Store.open(uri, create=True)
        for place in range(args.studies):
            fill(store, f"synthetic{place}", args.variants, args.seeds, args.epochs, args.clips, Path(folder))
        count = args.studies * args.variants * args.seeds
        print(
            f"made     {count:,} trials x {args.epochs} epochs, {time.monotonic() - begin:.0f} s", flush=True
        )
        begin = time.monotonic()
        command = [
            sys.executable,
            "-m",
            "harness.report",
            "--tracking-uri",
            uri,
            "--out",
            f"{folder}/reports",
        ]
        subprocess.run(command, check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**10
        print(f"reported {time.monotonic() - begin:.1f} s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
