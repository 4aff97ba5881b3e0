"""Makes a store of many trials through the real `Store`, and reports it: python tests/synthetic_store.py --help.

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

import numpy as np

from harness import plots
from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.tracking import Store

CLASSES, CLIPS = 16, 480


def variant_trial(variant: str, place: int, seed: int, epochs: int) -> TrialRecord:
    """One finished trial whose accuracy rises to about 60 % + place."""
    rng = np.random.default_rng([place, seed])
    labels = rng.integers(0, CLASSES, CLIPS)
    right = rng.random(CLIPS) < 0.6 + 0.005 * place
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
        predictions={"clip": [f"c{i}" for i in range(CLIPS)], "label": labels.tolist(),
                     "predicted": predicted.tolist()},
        environment={"device": "cpu", "commit": "synthetic", "peak_memory_mib": "1"}, seconds=float(epochs),
    )  # fmt: skip


def fill(store: Store, name: str, variants: int, seeds: int, epochs: int, scratch: Path) -> None:
    """One study with all its trials."""
    names = ["tsn", *(f"v{place}" for place in range(1, variants))]
    trials = [variant_trial(v, place, s, epochs) for s in range(seeds) for place, v in enumerate(names)]
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
                                    environment={}, seconds=0.0) for t in trials],
    )  # fmt: skip
    store.begin_study(plan)
    for picture in ("confusion_matrix", "curves"):  # a second a trial, and no report reads them
        setattr(plots, picture, lambda *args: None)
    np.savez_compressed(scratch / "scores.npz", scores=np.zeros((CLIPS, CLASSES), np.float32))
    for trial in trials:
        store.start_trial(
            trial.trial_id,
            trial.variant,
            trial.seed,
            settings[trial.variant],
            costs[trial.variant],
            trial.environment,
        )
        store.end_trial(trial, scratch, plan.classes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1)
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        begin = time.monotonic()
        store = Store.open(uri, create=True)
        for place in range(args.studies):
            fill(store, f"synthetic{place}", args.variants, args.seeds, args.epochs, Path(folder))
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
