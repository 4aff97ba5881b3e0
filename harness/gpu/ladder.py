"""The default study's ladder, trained on a device from plain pixels: no decoder, no scheduler, no store."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch

from harness import metrics, shipped
from harness.data.dataset import open_data
from harness.errors import in_a_line
from harness.gpu.place import STUDY, Place
from harness.machine import allows_tf32, usable_cpus
from harness.study.load import load_studies
from harness.train.loop import fit
from harness.train.processes import end_with
from harness.train.settings import Settings

COMMITTED = shipped.FOLDER.parent / "reports" / "reference" / "kernel_sizes-reach" / "results.json"
"""The same rows on CPUs, from encoded clips."""

AT_ONCE = 6  # trials on one GPU: a tiny network leaves most of it idle, and a core each starts its kernels


@dataclasses.dataclass(frozen=True)
class Trial:
    variant: str
    seed: int
    settings: Settings
    device: str
    data: Path

    @property
    def name(self) -> str:
        return f"{self.variant} seed {self.seed}"


def trials(place: Place) -> list[Trial]:
    """Seed by seed, as a study goes."""
    study = load_studies(STUDY, parts=["reach"])[0]
    result = []
    for seed in study.seeds[:1] if place.quick else study.seeds:
        for name, settings in study.variants.items():
            plain: dict[str, Any] = {**_mapping(settings.data.dataset), "containers": ["npy"]}
            if not place.on_gpu:  # a rehearsal
                plain |= {"train_clips": 64, "val_clips": 24}
            data = dataclasses.replace(settings.data, dataset=plain)
            recipe = settings.train if place.on_gpu else dataclasses.replace(settings.train, epochs=1)
            model = dataclasses.replace(settings.model, stencil=place.stencil)
            own = dataclasses.replace(settings, model=model, data=data, train=recipe)
            result.append(Trial(name, seed, own, str(place.device), place.folder / "data"))
    return result if place.on_gpu else result[:2]


def _mapping(dataset: Any) -> dict[str, Any]:
    return dict(dataset) if not isinstance(dataset, str) else {"name": dataset}


def train(trial: Trial) -> dict[str, Any]:
    """One trial, its accuracy at each level, in per cent."""
    torch.set_num_threads(1)
    device = torch.device(trial.device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    begin = time.perf_counter()
    data = open_data(trial.settings.data, trial.data)
    _, _, tested = fit(trial.settings, trial.seed, data, device)
    clips = data.split("val").clips
    levels = {}
    for level in data.levels:
        at = [place for place, index in enumerate(tested.indices) if clips[index].level == level]
        levels[f"{level:g}"] = metrics.topk(tested.scores[at], tested.labels[at], 1)
    return {
        "variant": trial.variant,
        "seed": trial.seed,
        "top1": metrics.topk(tested.scores, tested.labels, 1),
        "levels": levels,
        "seconds": time.perf_counter() - begin,
    }


def together(jobs: int) -> int:
    """How many of so many trials run at once: no more than there are processors for this process."""
    return min(AT_ONCE, usable_cpus(), jobs)


def run(place: Place) -> None:
    """One trial alone, then several at once, each kept when it is done; at last alone what failed beside others, as
    all do on a GPU that takes one process, or when its memory is short."""
    jobs = trials(place)
    begin = time.perf_counter()
    open_data(jobs[0].settings.data, jobs[0].data)
    place.say(tf32=place.on_gpu and allows_tf32()[0])
    place.say(planned=len(jobs), data_seconds=time.perf_counter() - begin, cpu=_committed())
    place.add("trials", train(jobs[0]))  # also what a first use of the device costs
    alone = train(jobs[0])
    place.say(alone_seconds=alone["seconds"])
    at_once = together(len(jobs) - 1)
    begin = time.perf_counter()
    crowded = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        asked = {pool.submit(train, job): job for job in jobs[1:]}
        for done in as_completed(asked):
            if error := done.exception():
                crowded.append(asked[done])
                place.say(crowded={"trials": len(crowded), "why": in_a_line(error)})
                print(f"{asked[done].name}: {in_a_line(error)}; once more, alone", flush=True)
                continue
            _keep(place, done.result())
    place.say(at_once=at_once, seconds_at_once=time.perf_counter() - begin)
    for job in crowded:
        try:
            _keep(place, train(job))
        except Exception as error:
            place.add("failed", {"trial": job.name, "why": in_a_line(error)})
            print(f"{job.name}: {in_a_line(error)}", flush=True)


def _keep(place: Place, row: dict[str, Any]) -> None:
    place.add("trials", row)
    print(f"{row['variant']} seed {row['seed']}: {row['top1']:.1f} %", flush=True)


def _committed() -> dict[str, dict[str, float]]:
    """Accuracy at each level of the committed report's rows; empty where it does not lie beside the code."""
    try:
        found = json.loads(COMMITTED.read_text())["ladder"]
    except (OSError, ValueError, KeyError):
        return {}
    levels = [f"{level:g}" for level in found["levels"]]
    return {
        curve["variant"]: dict(zip(levels, (one["mean"] for one in curve["accuracy"]), strict=True))
        for curve in found["curves"]
    }
