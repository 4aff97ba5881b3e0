"""What a study's variants cost, taken before any trial starts; its traces too, where it asks for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from harness import machine
from harness.cost import cache
from harness.model import packages
from harness.outside import own_source
from harness.records import CostRecord
from harness.run.plan import Plan


def measure(
    plan: Plan, begin: Callable[[int, int], None], progress: Callable[[int, int], None]
) -> dict[str, CostRecord]:
    """Costs by variant, alone on the device; those kept from before where nothing changed that decides them.

    Args:
        begin: as `cache.costs` has it.
    """
    variants = plan.study.variants
    first = next(iter(variants.values()))
    return cache.costs(
        plan.study.cost,
        {name: (settings.model, settings.data.num_frames) for name, settings in variants.items()},
        {
            name: own_source(*settings.model.own_code) + packages.version(settings.model.backbone)
            for name, settings in variants.items()
        },
        torch.device("cuda" if plan.resources.gpus else "cpu"),
        plan.request.data_dir / "cost",
        channels_last=first.train.channels_last,
        allocator=machine.keep_freed_memory(),  # set when the process started: this asks how
        profiles=profiles(plan),
        remeasure=plan.request.remeasure,
        begin=begin,
        progress=progress,
    )


def profiles(plan: Plan) -> Path | None:
    """Where the study's traces stand; None where it asks for none."""
    return plan.request.data_dir / "profiles" / plan.study.name if plan.study.profile else None
