"""What a run saves and a report reads: plain records that go to JSON and back."""

from __future__ import annotations

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import shapes

LAG = "lag"
"""The level name of levels that are distances in frames: how far a network can look predicts which it solves."""

NOTE, SOURCES = "note", "sources"
"""In a trial's environment: what happened on the way to its end, in words; and the source files of an operator of the
user's own, as `outside.named_sources` has them."""

UNCHECKED = "not checked: --unchecked"
"""What the environment of a trial says under "contract" where nobody tried whether its operators keep theirs."""

SCHEMA = 2
"""Raised when a stored record changes shape; a reader refuses a newer one."""


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial: variant x seed.

    status: of `shapes.STATUSES`; "failed" has a reason, "missing" never started.
    last: metrics of the last epoch: "top1", "top5", "loss", "group/<name>", and where there are such "pair" (both
        twins right) and one for each level, "lag/3"; percentages.
    best: {"epoch": e, "top1": p} of the validated epoch with the highest top-1 (first of equals).
    history: one dict an epoch: "epoch" (1-based), "train/loss", "train/top1", "train/lr", "time/epoch_s"; where the
        epoch was validated (`train.validate_every`; the last one always) also "val/loss", "val/top1", "val/top5",
        "val/pair", "group/<name>" and "lag/3" (levels).
    spent: seconds in the training process by what they went to: "start" (opening data, building the network), "data"
        (waiting for clips), "input" (to the device, normalised), "forward" (with the loss), "backward", "optimizer",
        "evaluate", "report" (handing epochs on), "save" (checkpoints). A GPU's work counts where it is waited for.
    predictions: "clip" (ids), "cluster" (clips with the same one are not independent), "label" and "predicted"
        (class indices) and, where clips have levels, "level"; parallel lists, last epoch.
    skipped: ids of the clips that were left out because they cannot be read, by split; `data.on_unreadable: skip`.
        Accuracies are those of the others, and `predictions` lists the others alone.
    probes: "order" (accuracy on reordered clips), "filters" (taps before and after), "reach" and "occlusion" of
        the trained network, as harness/train/probes.py says; empty where they were switched off.
    """

    trial_id: str
    variant: str
    seed: int
    status: str
    reason: str = ""
    last: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    per_class: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[str, list[Any]] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    probes: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    run_id: str = ""


@dataclass(frozen=True, kw_only=True)
class CostRecord:
    """What one variant costs at a stated geometry.

    geometry: backbone, placement, num_frames, size (pixels), num_classes; stages with operators where the study says.
    macs_added and macs_total: one multiply-add = 1; None where the operator does not state its MACs.
    macs_counted_added and macs_counted_total: the same as torch's FlopCounterMode counts them in a forward pass;
        None where an operator cannot run on tensors without memory.
    activation_mib: kept by a training pass of one clip for its backward pass, parameters aside; None as above.
    latency_ms: single forward passes of one clip, after warm-up; empty where not measured.
    samples_ms: what else was timed, every sample after warm-up, by name: "forward_backward", "step" (with the
        optimiser), "forward@1_thread", on a GPU "forward@cold" (caches flushed) and "forward@graph" (CUDA graph).
        Percentiles and clips per second are computed where they are shown.
    peak_memory_mib: the most that tensors took at once, parameters included, by "step"; empty where not measured.
    temporal_share: part (0 to 1) of the time spent in temporal operators, by "forward" and "step".
    heaviest: the kernels with the most time of their own in a profiled step, heaviest first, at most ten:
        "kernel", "calls" and "ms" (both a step), "share" (0 to 1); empty where not profiled.
    batch_statistics: in training, the clips of a batch meet in means inside its operators.
    warnings: why a measurement may be doubtful and what to do, "name: text"; names: load, spread, first_call,
        thermal, counts; failed, where there is none.
    measured_on: device, threads, precision, versions: whatever the latency depends on.
    """

    geometry: dict[str, Any]
    params_total: int
    params_added: int
    macs_total: int | None
    macs_added: int | None
    macs_counted_total: int | None = None
    macs_counted_added: int | None = None
    activation_mib: float | None = None
    latency_ms: list[float] = field(default_factory=list)
    samples_ms: dict[str, list[float]] = field(default_factory=dict)
    peak_memory_mib: dict[str, float] = field(default_factory=dict)
    temporal_share: dict[str, float] = field(default_factory=dict)
    heaviest: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    measured_on: dict[str, str] = field(default_factory=dict)
    batch_statistics: bool = False

    @property
    def doubts(self) -> list[str]:
        """Warnings that make its latency doubtful: other work, quartiles far apart, a machine that got slower."""
        return self.doubts_of("forward", "")

    def doubts_of(self, kind: str, way: str) -> list[str]:
        """The same of another kind of pass, or way, as `samples` takes them: what is said of a step alone is no doubt
        about a forward pass."""
        name = f"{kind}@{way}" if way else kind
        own = re.compile(rf"(spread|first_call: slow).*(?<![\w@]){re.escape(name)} \d")
        return [text for text in self.warnings if text.startswith(("load:", "thermal:")) or own.match(text)]

    def samples(self, kind: str, way: str) -> list[float]:
        """What was timed of a kind of pass ("forward", "step") in a way ("1_thread", "" for the plain one), in
        milliseconds; empty where it was not."""
        if not way and kind == "forward":
            return self.latency_ms
        return self.samples_ms.get(f"{kind}@{way}" if way else kind, [])


@dataclass(frozen=True, kw_only=True)
class StudyRecord:
    """A study as it was last planned, with every trial of that plan, also those that failed or never ran.

    settings: the resolved settings of every variant, as nested dicts.
    differs: only the settings in which variants differ, as {variant: {"model.operator.name": value}}.
    protocol: how clips are sampled, cropped and scored; the training recipe; one flat dict of words.
    reference: where in `studies/paper_tables.yaml` published rows stand, e.g. "mixtconv.table2"; "" for none.
    classes, groups: class names and the group of each.
    twins: pairs of class indices whose clips are each other's, played backwards.
    margin: a difference of so many points does not matter; 0 where the study names none.
    hypotheses, pairs: what the study stated beforehand, in its own words ("a > b", "a vs b").
    file: the study file as a command names it; "" in records from before this was kept.
    preset, part: which of the file's it is; "" for none.
    level_name, chance: what the levels of validation clips are called, and the per cent right by chance; "" and None
        where clips have none, or nobody knows.
    horizons: what `Network.horizon` predicts, by variant, in frames; empty where levels are no distances in frames.
    tuning: a setting that was chosen for each row before its seeds ran: "key", "values" (in words), "seed", "holdout"
        (part of the training clips that decided), "tried" (of each row, by value, "trial_id", "status", "reason" and
        of a finished trial "top1" and "loss") and "chosen" (the value, by row; of those that are); empty where none is.
    sweep: one setting that varies over rows: "key", "values", and "rows": the variant at each value, by row, as in
        {"key": "data.dataset.train_clips", "values": [200, 400], "rows": {"ks3": {"200": "ks3@200", ...}}}.
    costed: what networks cost that the study names beside its variants and does not train.
    predictions: the CSVs that it was read from, where others trained; empty for what was trained here.
    clips: whether its report shows frames.
    """

    name: str
    question: str
    source: str
    reference: str
    baseline: str
    variants: list[str]
    seeds: list[int]
    settings: dict[str, dict[str, Any]]
    differs: dict[str, dict[str, Any]]
    protocol: dict[str, str]
    classes: list[str]
    groups: list[str]
    trials: list[TrialRecord]
    costs: dict[str, CostRecord]
    environment: dict[str, str] = field(default_factory=dict)
    twins: list[list[int]] = field(default_factory=list)
    margin: float = 0.0
    hypotheses: list[str] = field(default_factory=list)
    pairs: list[str] = field(default_factory=list)
    file: str = ""
    preset: str = ""
    part: str = ""
    level_name: str = ""
    chance: float | None = None
    horizons: dict[str, int | None] = field(default_factory=dict)
    sweep: dict[str, Any] = field(default_factory=dict)
    predictions: list[str] = field(default_factory=list)
    clips: bool = False
    tuning: dict[str, Any] = field(default_factory=dict)
    costed: dict[str, CostRecord] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def dataset_name(self) -> str:
        """What the baseline is trained on."""
        settings = self.settings.get(self.baseline) or next(iter(self.settings.values()), {})
        found = settings.get("data", {}).get("dataset", self.protocol.get("dataset", "unnamed"))
        return str(with_name(found).get("name", "unnamed"))


def to_json(record: TrialRecord | CostRecord | StudyRecord) -> dict[str, Any]:
    """A record as plain dicts, lists and numbers."""
    data = dataclasses.asdict(record)
    for cost in [data, *data.get("costs", {}).values(), *data.get("costed", {}).values()]:
        if not cost.get("batch_statistics", True):  # records from before have no such key
            del cost["batch_statistics"]
    if isinstance(record, StudyRecord):
        if not record.file:  # from before: written back as it was
            for key in ("file", "preset", "part"):
                del data[key]
        for key in ("level_name", "chance", "horizons", "sweep", "predictions", "clips", "tuning", "costed"):
            if not data[key]:
                del data[key]
    return data


def study_from_json(data: Any) -> StudyRecord:
    """The inverse of `to_json` for a study.

    Raises:
        ValueError: it is none; names the field.
    """
    _check_fields(StudyRecord, data, "record")
    trials = [trial_from_json(trial, f"trials[{place}]") for place, trial in enumerate(data["trials"])]
    costs, costed = (
        {name: cost_from_json(cost, f"{key}.{name}") for name, cost in data.get(key, {}).items()}
        for key in ("costs", "costed")
    )
    record = StudyRecord(**{**data, "trials": trials, "costs": costs, "costed": costed})
    _check_study(record)
    return record


def trial_from_json(data: Any, place: str = "record") -> TrialRecord:
    """The same for a trial. place: how an error names it."""
    _check_fields(TrialRecord, data, place)
    record = TrialRecord(**data)
    if record.status not in shapes.STATUSES:
        raise ValueError(f"{place}.status: {record.status!r} is none of {', '.join(shapes.STATUSES)}")
    if len({len(column) for column in record.predictions.values()}) > 1:
        raise ValueError(f"{place}.predictions: its lists differ in length")
    for entry in record.history:
        if not math.isfinite(entry.get("epoch") or math.nan):
            raise ValueError(f"{place}.history: {entry!r} is of no epoch")
    return record


def cost_from_json(data: Any, place: str = "record") -> CostRecord:
    """The same for a cost."""
    _check_fields(CostRecord, data, place)
    return CostRecord(**data)


def _check_fields(kind: type, data: Any, place: str) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{place}: is no mapping")
    hints = typing.get_type_hints(kind)
    for name, value in data.items():
        if name not in hints:
            raise ValueError(f"{place}: has a field {name!r}, which this version does not know")
        if not shapes.fits(value, hints[name]):
            raise ValueError(f"{place}.{name}: {value!r} is not what stands there")
    for item in dataclasses.fields(kind):
        optional = item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING
        if not optional and item.name not in data:
            raise ValueError(f"{place}.{item.name}: is missing")


def _check_study(record: StudyRecord) -> None:
    """That its parts name each other."""
    if record.baseline not in record.variants:
        raise ValueError(f"record.baseline: no variant {record.baseline!r}")
    if len(set(record.variants)) < len(record.variants):
        raise ValueError("record.variants: names one twice")
    if len(record.groups) != len(record.classes):
        raise ValueError("record.groups: is not as long as classes")
    for variant, settings in record.settings.items():
        shapes.check_settings(settings, f"record.settings.{variant}")
    if record.sweep and not shapes.is_sweep(record.sweep):
        raise ValueError("record.sweep: is no setting with rows of variants by its values")
    if record.tuning:
        shapes.check_tuning(record.tuning, record.variants, "record.tuning")
    known = range(len(record.classes))
    for pair in record.twins:
        if len(pair) != 2 or not all(number in known for number in pair):
            raise ValueError(f"record.twins: {pair!r} is no pair of classes")
    for place, trial in enumerate(record.trials):
        check_predictions(trial, len(record.classes), f"trials[{place}]")


def check_predictions(trial: TrialRecord, classes: int, place: str) -> None:
    """That they are of classes that there are.

    Raises:
        ValueError: one is not.
    """
    for name in ("label", "predicted"):
        for one in trial.predictions.get(name, ()):
            if type(one) is not int or one not in range(classes):
                raise ValueError(f"{place}.predictions.{name}: {one!r} is no class")


def with_name(choice: str | Mapping[str, Any]) -> dict[str, Any]:
    """A data set or an operator as a mapping of its `name` and its settings; a name alone is short for that."""
    return {"name": choice} if isinstance(choice, str) else dict(choice)


def operator_words(operator: Mapping[Any, Any]) -> str:
    """An operator as a plan names it: `mixtconv kernel_sizes [1, 3]`; by stage, `1: shift; 3: mixtconv`."""
    if "name" not in operator:
        return "; ".join(f"{stage}: {operator_words(one)}" for stage, one in operator.items())
    settings = ", ".join(f"{key} {value}" for key, value in operator.items() if key != "name")
    return f"{operator['name']} {settings}".strip()


def flatten(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings under dotted names: {"a": {"b": 1}} -> {"a.b": 1}. Lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, dict) and value else {name: value}
    return flat
