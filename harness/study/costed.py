"""What the networks cost that a study names under `costed`, each at its own frames and size."""

from __future__ import annotations

import dataclasses

from harness.cost.counting import count
from harness.records import CostRecord
from harness.study.study import Study


def counted(study: Study) -> dict[str, CostRecord]:
    """Parameters and multiply-adds by name, from shapes alone; classes are those of the study's costs."""
    found = {}
    for name, settings in study.costed.items():
        model, data = settings.model, settings.data
        config = dataclasses.replace(
            study.cost, backbone=model.backbone, size=data.crop, num_frames=0, stages=()
        )
        found[name] = count(config, model, data.num_frames)
    return found
