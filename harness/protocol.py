"""A study's protocol in words: how clips are sampled, cropped and scored, and how networks are trained."""

from __future__ import annotations

from harness import weights
from harness.data import PROTOCOLS, SAMPLING_WORDS, DataSet
from harness.errors import StudyError
from harness.model import ModelConfig
from harness.study import Study
from harness.training import Settings


def protocol(study: Study, data: DataSet | None) -> dict[str, str]:
    """What the baseline's row is trained and tested under; variants say where they differ.

    Args:
        data: None where it is not on this machine.
    """
    s = study.variants[study.baseline]
    t, m, d = s.train, s.model, s.data
    schedule = (
        f"x{t.gamma:g} at epochs {', '.join(map(str, t.milestones))}"
        if t.schedule == "step"
        else f"one cycle, rising for {100 * t.warmup:g} % of the steps"
    )
    return {
        "data set": f"{dataset_name(s)}, {_clips(data)}",
        "frames": f"{d.num_frames} a clip (T), {SAMPLING_WORDS[d.sampling]}",
        "training crops": f"short side {d.short_side}, multi-scale corner crops of x{list(d.scales)} "
        f"to {d.crop}x{d.crop}, no mirroring",
        "test": d.test.resolved().words(d.crop, d.short_side),
        "validation while training": PROTOCOLS["center_1clip"].words(d.crop, d.short_side),
        "consensus": "scores averaged over frames",
        "network": f"{m.backbone}, operators at `{m.placement}` of every block of stages "
        f"{', '.join(map(str, m.stages))}, dropout {m.dropout:g}, weights: {_start(m)}",
        "optimiser": f"{t.optimizer}, lr {t.lr:g} ({schedule}), weight decay {t.weight_decay:g}, batch {t.batch_size}, "
        f"gradient norm clipped at {t.clip_gradient:g}",
        "epochs": f"{t.epochs}; results are those of the last one",
        "precision": t.precision,
    }


def dataset_name(settings: Settings) -> str:
    """The data set's key."""
    dataset = settings.data.dataset
    return str(dataset if isinstance(dataset, str) else dataset["name"])


def _clips(data: DataSet | None) -> str:
    if data is None:
        return "not read yet"
    clips = f"{len(data.split('train')):,} training and {len(data.split('val')):,} validation clips"
    return f"{len(data.classes)} classes, {clips}, fingerprint {data.fingerprint[:16]}"


def _start(model: ModelConfig) -> str:
    if not model.weights:
        return "random start"
    try:
        return f"{model.weights}, from {weights.describe(weights.find(model.weights, model.backbone))}"
    except StudyError:
        return f"{model.weights}, not on this machine"
