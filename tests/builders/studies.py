"""Records of studies made by hand, and what a test reads in their report."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from builders.operators import TABLE2
from harness.records import CostRecord, StudyRecord, TrialRecord
from harness.report.write import write_study

CLASSES = ["left to right", "right to left", "red | blue"]
GROUPS = ["short", "short", "static"]
TAP = 44_957_696
ADDED = {  # MACs, exact, of a clip of 8 frames through ResNet-50
    "tsn": 0,
    "ordinary": 74_300_000_000,
    "tsm": 0,
    "ks3": 3 * TAP,
    "ks5": 5 * TAP,
    "ks7": 7 * TAP,
    "ks13": 2 * TAP,
    "ks135": 134_550_080,
    "ks1357": 4 * TAP,
    "ks357": 3 * TAP,
}


def trial(variant: str, seed: int, top1: float, **changes: Any) -> TrialRecord:
    history = [{"epoch": float(e), "val/top1": top1 * e / 3, "val/loss": 1 / e} for e in (1, 2, 3)]
    finished = TrialRecord(
        trial_id=f"{variant}-{seed}",
        variant=variant,
        seed=seed,
        status="done",
        last={"top1": top1, "top5": 99.0, "loss": 0.5, "group/short": top1 - 5, "group/static": 97.0 + seed},
        best={"epoch": 2, "top1": top1 + 1},
        per_class={"left to right": top1, "right to left": top1 - 10, "red | blue": 97.0},
        history=history,
        predictions={"clip": ["a", "b"], "label": [0, 1], "predicted": [0, 0]},
        environment={"device": "cpu", "peak_memory_mib": str(400 + seed)},
    )
    return dataclasses.replace(finished, **changes)


def predictions(hits: str) -> dict[str, list[Any]]:
    """Of single clips, each a cluster of its own: "0110" got the second and the third right."""
    ids = [f"c{i}" for i in range(len(hits))]
    return {"clip": ids, "cluster": ids, "label": [1] * len(hits), "predicted": [int(hit) for hit in hits]}


def failed(variant: str, seed: int, reason: str = "out of memory at batch_size 64") -> TrialRecord:
    return TrialRecord(trial_id="x", variant=variant, seed=seed, status="failed", reason=reason)


def cost(variant: str, **changes: Any) -> CostRecord:
    geometry = {"backbone": "resnet50", "placement": "head", "num_frames": 8, "size": 224, "num_classes": 174}
    added = ADDED.get(variant, 0) // TAP * 13_120
    stated = CostRecord(
        geometry=geometry,
        params_total=23_864_558 + added,
        params_added=added,
        macs_total=32_699_940_864 + ADDED.get(variant, 0),
        macs_added=ADDED.get(variant, 0),
        latency_ms=[40.0, 42.0, 41.0, 44.0, 43.0],
        measured_on={"device": "cpu", "threads": "2"},
    )
    return dataclasses.replace(stated, **changes)


def study(trials: list[TrialRecord], variants: list[str], **changes: Any) -> StudyRecord:
    settings: dict[str, dict[str, Any]] = {
        variant: {
            "model": {"operator": TABLE2.get(variant, {"name": "identity"})},
            "data": {"dataset": "generated"},
        }
        for variant in variants
    }
    made = StudyRecord(
        name="kernel_sizes",
        question="Does mixing temporal kernel sizes beat any single size?",
        source="MixTConv, Table 2",
        reference="mixtconv.table2",
        baseline="tsn",
        variants=variants,
        seeds=[0, 1, 2],
        settings=settings,
        differs={
            variant: {"model.operator.name": settings[variant]["model"]["operator"]["name"]}
            for variant in variants
        },
        protocol={"epochs": "3", "crop": "40x40"},
        classes=CLASSES,
        groups=GROUPS,
        trials=trials,
        costs={variant: cost(variant) for variant in variants},
        environment={"commit": "abc1234"},
    )
    return dataclasses.replace(made, **changes)


def full_study() -> StudyRecord:
    """Ten variants, three seeds; all but tsn lie far above it, and spread by about a point."""
    means = [36, 92, 92.4, 94, 95.5, 95, 93.5, 95.2, 97, 96.8]
    wobble = (-0.7, 0.1, 0.6)
    trials = [
        trial(variant, seed, mean + wobble[(seed + place) % 3] * (0.6 + 0.1 * place))
        for seed in (0, 1, 2)
        for place, (variant, mean) in enumerate(zip(TABLE2, means, strict=True))
    ]
    return study(trials, list(TABLE2))


def tuning() -> dict[str, Any]:
    """What a study keeps of two rows that were tried at two values: one of the trials failed."""
    done = {"trial_id": "a", "status": "done", "reason": "", "top1": 60.0, "loss": 1.5}
    failed = {"trial_id": "b", "status": "failed", "reason": "diverged"}
    return {
        "key": "train.lr",
        "values": ["0.01", "0.1"],
        "seed": 1_000_000,
        "holdout": 0.2,
        "tried": {"tsn": {"0.01": done, "0.1": done | {"top1": 70.0}}, "ks3": {"0.01": done, "0.1": failed}},
        "chosen": {"tsn": "0.1", "ks3": "0.01"},
    }


def small_study() -> StudyRecord:
    """tsn 20, 22, 24; ks3 70, 73, 76: differences 50, 51, 52."""
    trials = [trial("tsn", s, 20.0 + 2 * s) for s in (0, 1, 2)] + [
        trial("ks3", s, 70.0 + 3 * s) for s in (0, 1, 2)
    ]
    return study(trials, ["tsn", "ks3"])


def text_of(record: StudyRecord, out: Path) -> str:
    return (write_study(record, out) / "README.md").read_text(encoding="utf-8")


def row_of(text: str, variant: str, heading: str = "### Accuracy") -> str:
    part = text.split(heading, 1)[1]
    return next(line for line in part.splitlines() if line.startswith(f"| `{variant}` "))


def table_of(text: str, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    table = text.split(f"{heading}\n\n")[1].split("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()]
