"""What `harness.run --dry-run` prints: the protocol, every variant's costs and memory, and what is missing here.

Nothing is trained and nothing written; neither data nor weights nor GPUs need to be there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch

from harness.analysis.summary import summarize
from harness.console import Table, say
from harness.console import show as show_table
from harness.cost import cache, counting
from harness.cost.memory import StepMemory, step_memory
from harness.data.config import DataConfig
from harness.data.dataset import DataSet, missing_data
from harness.errors import DataError, StudyError, first_line
from harness.machine import usable_cpus
from harness.model import weights
from harness.outside import is_ours
from harness.records import StudyRecord, operator_words
from harness.report.sections.ladder import ceiling
from harness.run.checks import check_recipes, check_writable
from harness.run.plan import Plan
from harness.stats.distributions import MIN_SEEDS
from harness.stats.power import OTHER_OPERATOR, PUBLISHED, RETRAINED, Noise, detection, noise_of
from harness.study.protocol import protocol
from harness.study.study import Study
from harness.tracking.connection import default_uri
from harness.tracking.sqlite import sqlite_file
from harness.train import apart
from harness.units import geometry, giga
from operators.base import find_operator

LARGE = 5.0
"""Points of a difference that nobody wants to miss."""


def show(plan: Plan, before: StudyRecord | None = None, alike: Iterable[Sequence[float]] = ()) -> None:
    """Print it, after what `printer.show_plan` says.

    Args:
        before: what an earlier run found.
        alike: of earlier trainings on the baseline's data set, as `noise_of` takes them.
    """
    say("", "")
    say("", "protocol")
    data = plan.data[plan.study.baseline]
    for name, words in protocol(plan.study, data).items():
        say(f"  {name}", words, column=28)
    say("", "")
    _show_variants(plan)
    study = plan.study
    compared = len(study.variants) - (len(study.sweep.changes) if study.sweep else 1)
    stated = len(study.hypotheses)
    clips, clusters = _validation_clips(study.variants[study.baseline].data, data)
    plans = (len(plan.seeds), compared, stated, clips, clusters)
    noise = noise_of(alike, clips) or PUBLISHED
    say("detects", detects(*plans, noise=noise))
    if too_weak := weak(*plans, margin=study.margin, noise=noise):
        say("weak", too_weak, must=True)
    if before and (too_easy := ceiling(summarize(before))):
        say("before", too_easy)
    say("", "")
    for line in missing(plan) or ["nothing: this machine can run it"]:
        say("missing", line, must=True)
    say("", "dry run: nothing was trained, nothing was written")


def detects(
    seeds: int, rows: int, hypotheses: int, clips: int = 0, clusters: int = 0, noise: Noise = PUBLISHED
) -> str:
    """What difference the study can decide, in one line. Arguments: those of `detection`."""
    found = detection(seeds, rows, hypotheses, clips, clusters, noise)
    if found.as_row is None:
        return f"no difference: {seeds} of the {MIN_SEEDS} seeds that an interval needs"
    points = f"{found.as_row:.1f} points as one of {rows} row{'s' * (rows != 1)}"
    if found.as_hypothesis is not None:
        one = f"one of {hypotheses} hypothes{'es' if hypotheses > 1 else 'is'}"
        points += f", {found.as_hypothesis:.1f} as {one}"
    tested = f"{found.clips:,} validation clips{'' if clips else ' (assumed)'}"
    spread = f"top-1 has an sd of {noise.sd:.2g} points between trainings, as "
    if noise.trainings:
        spread += f"{noise.trainings} earlier ones on this data set had"
    else:
        spread = f"on {noise.clips:,} clips {spread}published on Something-Something v1"
    return (
        f"{points}, with {seeds} seeds and {tested} at 80 % power; assumed: {spread}; "
        f"two trainings disagree on {RETRAINED:g} % of the clips, two operators on {OTHER_OPERATOR:g} %"
    )


def weak(
    seeds: int,
    rows: int,
    hypotheses: int,
    clips: int = 0,
    clusters: int = 0,
    *,
    margin: float = 0.0,
    noise: Noise = PUBLISHED,
) -> str:
    """That a study may leave open what matters in it, and what would help; "" where that is not so.

    Args:
        margin: the study's; where it names none, a row is to show what LARGE is.
    """

    def row(seeds: int, times: int = 1) -> float:
        found = detection(seeds, rows, hypotheses, clips * times, clusters * times, noise).as_row
        assert found is not None
        return found

    matters = margin or LARGE
    if seeds < MIN_SEEDS or row(seeds) <= matters:
        return ""
    ways = [f"{more} seeds ({row(more):.1f} points)" for more in (5, 10) if more > seeds]
    if not hypotheses:
        alone = detection(seeds, rows, 1, clips, clusters, noise).as_hypothesis
        ways.append(f"one comparison stated as a hypothesis ({alone:.1f})")
    if clips and row(seeds, 4) < 0.8 * row(seeds):
        ways.append(f"four times the validation clips ({row(seeds, 4):.1f})")
    return (
        f"a row that differs by {matters:g} to {row(seeds):.1f} points may stay undecided; "
        f"what would help: {', '.join(ways) or 'fewer rows'}"
    )


def _validation_clips(config: DataConfig, data: DataSet | None) -> tuple[int, int]:
    """How many, and how many clusters of them; 0 where the data set is not here and its settings do not say."""
    if data is None:
        return getattr(config.source(), "val_clips", 0), 0
    clips = data.split("val").clips
    return len(clips), len({clip.cluster or clip.id for clip in clips})


def _show_variants(plan: Plan) -> None:
    """One line a variant: its trials, parameters, MACs, and the memory of a training step."""
    table = Table("variant", "operator", box=None, pad_edge=False)
    for title in ("to run", "parameters", "added", "MACs [G]", "added [G]", "memory [MiB]"):
        table.add_column(title, justify="right")  # wrapped at words where a terminal is narrow
    unknown: dict[str, str] = {}
    networks = {name: (one.model, one.data.num_frames) for name, one in plan.study.variants.items()}
    alike = cache.first_alike(networks)
    costs = {name: counting.count(plan.study.cost, *networks[name]) for name in dict.fromkeys(alike.values())}
    largest = None
    for name, settings in plan.study.variants.items():
        record = costs[alike[name]]
        try:
            memory = _memory(plan, name)
        except Exception as error:  # an operator from outside need not run on tensors without memory
            memory = None
            unknown[name] = first_line(error)
        if memory and (largest is None or memory.total > largest.total):
            largest = memory
        pending = sum(trial.variant == name for trial in plan.pending)
        counted = (f"{record.params_total:,}", f"+{record.params_added:,}")
        macs = (giga(record.macs_total), giga(record.macs_added, "+.5f"))
        size = mib(memory.total) if memory else "not known"
        table.add_row(name, operator_words(settings.model.operator), str(pending), *counted, *macs, size)
    show_table(table)
    for key, values in _differences(plan.study).items():
        say("differs", f"{key}: {values}")
    if sweep := plan.study.sweep:
        for key in sweep.keys:
            values = ", ".join(str(change[key]) for change in sweep.changes.values())
            say("sweep", f"{key}: {values}")
    say("MACs", f"{geometry(list(costs.values()))}; one multiply-add is 1")
    if mixing := [name for name in plan.study.variants if costs[alike[name]].batch_statistics]:
        say("batch", f"in training the clips of a batch meet inside the operator of {', '.join(mixing)}")
    if largest:
        say("memory", _memory_words(plan, largest))
    for name, reason in unknown.items():
        say("memory", f"of {name} is not known: its operator does not run on shapes alone ({reason})")


def _differences(study: Study) -> dict[str, str]:
    """In which settings variants differ besides their operators, which have a column, and a sweep's settings."""
    rows = study.differs()
    swept = study.sweep.keys if study.sweep else ()
    every = dict.fromkeys(key for one in rows.values() for key in one)
    keys = [key for key in every if not key.startswith("model.operator") and key not in swept]
    return {key: ", ".join(f"{name} {one.get(key)}" for name, one in rows.items()) for key in keys}


def _memory(plan: Plan, variant: str) -> StepMemory:
    settings = plan.study.variants[variant]
    ranks, classes = plan.resources.ranks, plan.study.cost.num_classes
    clips = settings.train.clips_at_once(ranks)
    asked = (settings.model, settings.data, settings.train, classes, clips, ranks)
    if all(is_ours(find_operator(name)) for name in settings.model.operator_names):
        return step_memory(*asked)
    found: StepMemory = apart.answer(step_memory, *asked, seconds=apart.PATIENCE)
    return found


def _memory_words(plan: Plan, memory: StepMemory) -> str:
    parts = {
        "activations": memory.activations + memory.frames,
        "weights, gradients and optimiser": memory.weights + memory.gradients + memory.optimiser,
    }
    share = ", ".join(f"{name} {mib(size)}" for name, size in parts.items())
    device = "GPU" if plan.resources.gpus else "process"
    batch = plan.study.variants[plan.study.baseline].train.batch_size
    part = f" of the {batch}" if memory.clips < batch else ""
    clips = f"{memory.clips} clip{'s' * (memory.clips > 1)}{part}"
    context = ", and the CUDA context," if device == "GPU" else ""
    return (
        f"of one training step on each {device}, {clips}, in the largest row {mib(memory.total)} MiB: {share}; "
        f"computed from shapes; the libraries' workspaces{context} come on top"
    )


def missing(plan: Plan) -> list[str]:
    """What a run would need and this machine does not have, a line each."""
    lines: list[str] = []
    for name, settings in plan.study.variants.items():
        model = settings.model
        if gone := missing_data(settings.data):
            lines.append(f"data: {gone}")
        elif plan.data[name] is None and settings.data.dataset_name != "generated":
            lines.append("data: no index yet; the first run makes it, or python -m harness.data prepare ROOT")
        try:
            for named, network in model.starts().values():
                weights.find(named, network)
        except StudyError as error:
            lines.append(f"weights: {error}")
    try:
        check_recipes(plan.study)
    except StudyError as error:
        lines += [f"recipe: {line}" for line in str(error).splitlines()]
    folders = {f"--data-dir {plan.request.data_dir}": plan.request.data_dir}
    uri = plan.request.tracking_uri or default_uri()
    if file := sqlite_file(uri):
        folders[f"--tracking-uri {uri}"] = file.absolute().parent
    for option, folder in folders.items():
        try:
            check_writable(folder, option)
        except DataError as error:
            lines.append(f"folder: {error}")
    for name, has in (("cpus", usable_cpus()), ("gpus", torch.cuda.device_count())):
        try:
            plan.resources.check({name: has})
        except StudyError as error:
            lines.append(f"{'GPUs' if name == 'gpus' else 'CPUs'}: {error}")
    return list(dict.fromkeys(lines))


def mib(size: int) -> str:
    """Bytes in units of 2**20."""
    return f"{size / 2**20:,.0f}"
