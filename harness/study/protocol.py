"""A study's protocol in words: how clips are sampled, cropped and scored, and how networks are trained."""

from __future__ import annotations

from harness.data.dataset import DataSet
from harness.data.mirror import swapped_pairs
from harness.data.sampling import SAMPLING_WORDS
from harness.data.views import PROTOCOLS
from harness.errors import StudyError
from harness.model import weights
from harness.model.config import CONSENSUS, VOLUMES, ModelConfig
from harness.study.study import Study
from harness.train.recipe import TrainConfig
from harness.train.settings import Settings

_GROUPS = {
    "plain": "one rate for all parameters",
    "tsm": "biases at twice the rate, the classifier's weight at 5 times, its bias at 10 times, no decay of biases and "
    "batch norm",
}

_FRAMES = {
    "average": "scores averaged over frames",
    "trn": "relations among frames, at every number of them (TRN multi-scale)",
    "timeception": "layers of depthwise convolutions along time (Timeception)",
}

_SELECT = {
    "last": "the last one",
    "best": "the best one on the validation clips, which flatters: it is chosen on the clips that it is reported on",
}


def protocol(study: Study, data: DataSet | None) -> dict[str, str]:
    """What the baseline's row is trained and tested under; variants say where they differ.

    Args:
        data: None where it is not on this machine.
    """
    s = study.variants[study.baseline]
    t, m, d = s.train, s.model, s.data
    schedule = f"one cycle, rising for {100 * t.warmup:g} % of the steps"
    if t.schedule == "step":
        schedule = f"x{t.gamma:g} at epochs {', '.join(map(str, t.milestones))}"
    momentum = f" with momentum {t.momentum:g}" if t.optimizer == "sgd" else ""
    clip = f"gradient norm clipped at {t.clip_gradient:g}" if t.clip_gradient else "gradients not clipped"
    smoothing = f", labels smoothed by {t.label_smoothing:g}" if t.label_smoothing else ""
    frames = " or ".join(map(str, sorted({one.data.num_frames for one in study.variants.values()})))
    sizes = ", ".join(f"{scale:g}" for scale in d.scales)
    crops = f"corner crops of {sizes} times the short side, to {d.crop}x{d.crop}"
    operators = "" if m.backbone in VOLUMES else f", operators at {_places(m)}"
    width = f" {m.width:g} times as wide" if m.width != 1 else ""
    rate = f"lr {t.lr:g} ({schedule}), weight decay {t.weight_decay:g}, {_GROUPS[t.groups]}"
    epochs = " or ".join(map(str, sorted({one.train.epochs for one in study.variants.values()})))
    return {
        "data set": f"{d.dataset_name}, {_clips(s, data)}",
        "frames": f"{frames} a clip (T), {SAMPLING_WORDS[d.sampling]}",
        "training crops": f"short side {d.short_side}, {crops}",
        "mirroring": _mirroring(str(d.mirror), data),
        "unreadable clips": _unreadable(d.on_unreadable, data),
        "test": d.test.resolved().words(d.crop, d.short_side),
        "validation while training": f"{_validated(t)}{PROTOCOLS['center_1clip'].words(d.crop, d.short_side)}",
        "consensus": _FRAMES[m.consensus] if m.backbone not in VOLUMES else "a clip is scored as a whole",
        "network": f"{m.backbone}{width}{operators}, dropout {m.dropout:g}, weights: {_start(m)}",
        "optimiser": f"{t.optimizer}{momentum}, {rate}, {clip}{smoothing}",
        "batch": batch(t, study.resources.resolved().ranks),
        "epochs": f"{epochs}; results are those of {_SELECT[t.select]}",
        "precision": f"{t.precision}, compiled" if t.compile else t.precision,
    }


def _places(model: ModelConfig) -> str:
    """Where operators stand."""
    if model.placement == CONSENSUS:
        return f"the `{CONSENSUS}`, after the last stage"
    blocks = "every block"
    if model.is_outside:
        blocks = (
            f"every {' and '.join(f'`{one}`' for one in model.where)}"
            if model.where
            else "every block with a shortcut"
        )
    stages = list(model.operators) if "name" not in model.operator else model.stages
    numbers = f"stage{'s' * (len(stages) > 1)} {', '.join(map(str, stages))}"
    return f"`{model.placement}` of {blocks} of {numbers}"


def _validated(config: TrainConfig) -> str:
    if config.validate_every == 0:
        return "after the last epoch only, "
    return f"every {config.validate_every} epochs, " if config.validate_every > 1 else ""


def batch(config: TrainConfig, ranks: int) -> str:
    """Of how many clips a step is, and over how many of them batch norm takes its statistics."""
    words = f"{config.batch_size} clips"
    if ranks > 1:
        words += f", shared out among {ranks} processes"
    if config.micro_batch:
        words += f", at most {config.micro_batch} at once"
    if config.freeze_batch_norm == "all":
        return f"{words}; batch norm frozen"
    if config.freeze_batch_norm == "partial":
        words += "; batch norm frozen but for the first, which is"
    else:
        words += "; batch norm is"
    if config.sync_batch_norm and ranks > 1:
        return f"{words} over the clips that all processes have at once"
    at_once = "at once" if config.micro_batch else "of the batch"
    return f"{words} over the clips {at_once}" + (" of each process by itself" if ranks > 1 else "")


def _clips(settings: Settings, data: DataSet | None) -> str:
    order = getattr(settings.data.source(), "label_order", "")
    words = []
    if order:
        numbered = "sorted order" if order == "sorted" else "the order of their file"
        words.append(f"classes numbered in {numbered}")
    if data is None:
        return ", ".join([*words, "not read yet"])
    words.append(f"{len(data.classes)} classes")
    words.append(f"{len(data.split('train')):,} training and {len(data.split('val')):,} validation clips")
    if part := settings.data.holdout:
        words.append(f"validation clips are {100 * part:g} % of the training clips, held out")
    return ", ".join([*words, f"fingerprint {data.fingerprint[:16]}"])


def _mirroring(mirror: str, data: DataSet | None) -> str:
    """Which training clips are mirrored, and what becomes of the classes that name a direction."""
    if mirror == "off":
        return "no training clip is mirrored"
    words = "each training clip is mirrored with probability 1/2"
    if data is None:
        return f"{words}, {'directions in its label too' if mirror == 'swap_labels' else 'its label kept'}"
    if not data.index.named_classes:
        return f"{words}, its label kept; the classes have no names that could tell a direction"
    pairs = swapped_pairs(data.classes)
    if not pairs:
        return f"{words}; no two classes name a direction and its opposite"
    names = "; ".join(f"{data.classes[a]} and {data.classes[b]}" for a, b in pairs)
    if mirror == "swap_labels":
        return f"{words}, and changes its class where that names a direction: {names}"
    return f"{words} and keeps its label, also of classes that are each other's mirror image: {names}"


def _unreadable(choice: str, data: DataSet | None) -> str:
    if choice == "error":
        return "are an error" if data is None else "are an error; there is none"
    if data is None:
        return "left out of training and of accuracies, by choice; not counted yet"
    counts = ", ".join(f"{len(ids):,} of {split}" for split, ids in data.skipped.items())
    when = f"{counts} when the data set was indexed" if counts else "none when the data set was indexed"
    return f"left out of training and of accuracies, by choice: {when}; each trial lists those that it met"


def _start(model: ModelConfig) -> str:
    if not model.starts():
        return "random start"
    try:
        files = [(named, weights.find(named, network)) for named, network in model.starts().values()]
        return "; ".join(f"{named}, from {weights.describe(path)}" for named, path in files)
    except StudyError:
        return f"{', '.join(named for named, _ in model.starts().values())}, not on this machine"
