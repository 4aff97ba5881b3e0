"""Costs of a study's variants: taken together, then each kept for as long as nothing changes that decides it."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

import operators
from harness import model
from harness.cost import latency, profiling, timeline
from harness.cost.config import CostConfig
from harness.cost.counting import counted
from harness.cost.latency import Variants
from harness.cost.measuring import Order, measure
from harness.files import csv_cell, from_json, write_whole
from harness.model.config import ModelConfig
from harness.records import CostRecord, cost_from_json, to_json

TIMELINE, OPERATORS = "timeline.html", "operators.csv"


def costs(
    config: CostConfig,
    variants: Variants,
    sources: Mapping[str, str],
    device: torch.device,
    cache: Path,
    *,
    channels_last: bool,
    allocator: str,
    profiles: Path | None = None,
    remeasure: bool = False,
    begin: Callable[[int, int], None] = lambda measured, doubtful: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CostRecord]:
    """Counts, latencies and shares of all variants, of each network once; from the folder `cache` where known.

    A latency that is doubtful is measured again, as is one of a network that changed; the others stay.

    Args:
        sources: a fingerprint of each variant's operator code, so that a changed one is measured again.
        profiles: a folder for traces of training steps, a timeline and a table of operators, of each network once;
            None profiles none.
        remeasure: measure all again.
        begin: told before measuring how many networks are timed, and how many of them because they were doubtful.
    """
    first = first_alike(variants)
    once = {name: variants[name] for name in dict.fromkeys(first.values())}
    taken = _of_networks(
        config,
        once,
        {name: source for name, source in sources.items() if name in once},
        device,
        cache,
        channels_last=channels_last,
        allocator=allocator,
        profiles=profiles,
        remeasure=remeasure,
        begin=begin,
        progress=progress,
    )
    return {name: taken[alike] for name, alike in first.items()}


def first_alike(variants: Variants) -> dict[str, str]:
    """For every variant the first one with the same network: rows of a sweep differ in their training alone."""
    found: dict[tuple[str, int], str] = {}
    return {name: found.setdefault((repr(model), frames), name) for name, (model, frames) in variants.items()}


def _of_networks(
    config: CostConfig,
    variants: Variants,
    sources: Mapping[str, str],
    device: torch.device,
    cache: Path,
    *,
    channels_last: bool,
    allocator: str,
    profiles: Path | None,
    remeasure: bool,
    begin: Callable[[int, int], None],
    progress: Callable[[int, int], None],
) -> dict[str, CostRecord]:
    records = {name: counted(config, *variant) for name, variant in variants.items()}
    if not config.latency and profiles is None:
        return records
    on = latency.measured_on(config, device, channels_last, allocator)
    files = {
        name: cache / f"{_key(config, variant, sources.get(name, ''), on)}.json"
        for name, variant in variants.items()
    }
    for name, file in files.items():
        with contextlib.suppress(OSError, ValueError):  # damaged, or somebody else's: it is measured anew
            records[name] = cost_from_json(from_json(file.read_bytes()))
    doubtful = [name for name, record in records.items() if record.doubts]
    wanted = [name for name, one in records.items() if remeasure or one.doubts or not one.latency_ms]
    timed = wanted if config.latency else []
    traced: list[str] = []
    if profiles is not None and (timed or not _is_profiled(records, profiles)):
        traced = list(variants)  # the timeline shows all beside each other
    if not timed and not traced:
        return records
    chosen = {name: variants[name] for name in variants if name in {*timed, *traced}}
    if timed:
        begin(len(timed), len(set(timed) & set(doubtful)))
    order = Order(
        config=config,
        networks=chosen,
        timed=tuple(timed),
        stepped={
            name: trace_file(profiles, name) if profiles is not None and name in traced else None
            for name in chosen
            if (config.step and name in timed) or name in traced
        },
        device=device,
        channels_last=channels_last,
        threads=torch.get_num_threads(),
    )
    found = measure(order, progress)
    for name, timing in found.timings.items():
        fresh = counted(config, *variants[name])
        records[name] = _measured(fresh, timing, found.forward_share[name], on)
    for name, profile in found.steps.items():
        records[name] = _with_step(records[name], profile, on)
    if profiles is not None and found.steps and traced:
        _show(profiles, found.steps, records)
    for name in chosen.keys() - found.failed.keys():
        write_whole(files[name], json.dumps(to_json(records[name])))
    for name, why in found.failed.items():  # not kept: the next run tries again
        words = [f"failed: could not be measured: {why}"]
        records[name] = dataclasses.replace(records[name], warnings=records[name].warnings + words)
    return records


def _key(config: CostConfig, variant: tuple[ModelConfig, int], source: str, on: Mapping[str, str]) -> str:
    """Of all that decides what one network costs here."""
    model, frames = variant
    decides = {
        "config": dataclasses.asdict(config),
        "network": [dataclasses.asdict(model), frames],
        "source": source,
        "code": _code(),
        "on": on,
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def warnings(records: Mapping[str, CostRecord]) -> list[str]:
    """All warnings, each once: "variants: name: text"."""
    variants: dict[str, list[str]] = {}
    for name, record in records.items():
        for warning in record.warnings:
            variants.setdefault(warning, []).append(name)
    return [
        f"{'all variants' if len(names) == len(records) > 1 else ', '.join(names)}: {warning}"
        for warning, names in variants.items()
    ]


def trace_file(profiles: Path, variant: str) -> Path:
    """Where a variant's trace stands; TensorBoard takes the folder for a run and the file for one of its workers."""
    return profiles / "trace" / f"{variant}.pt.trace.json"


def _measured(
    record: CostRecord, timing: latency.Timings, forward_share: float, on: dict[str, str]
) -> CostRecord:
    return dataclasses.replace(
        record,
        latency_ms=timing.samples["forward"],
        samples_ms={name: samples for name, samples in timing.samples.items() if name != "forward"},
        temporal_share={"forward": forward_share},
        warnings=record.warnings + timing.warnings,
        measured_on=on,
    )


def _with_step(record: CostRecord, profile: profiling.Profile, on: dict[str, str]) -> CostRecord:
    return dataclasses.replace(
        record,
        temporal_share=record.temporal_share | {"step": profile.temporal_share},
        peak_memory_mib={"step": profile.peak_memory_mib},
        heaviest=profile.kernels[: profiling.HEAVIEST],
        measured_on=on,
    )


def _is_profiled(records: Mapping[str, CostRecord], profiles: Path) -> bool:
    files = [trace_file(profiles, name) for name in records]
    files += [profiles / TIMELINE, profiles / OPERATORS]
    return all(path.exists() for path in files) and all(record.heaviest for record in records.values())


def _show(profiles: Path, taken: Mapping[str, profiling.Profile], records: Mapping[str, CostRecord]) -> None:
    """The same as the traces hold, for readers without a viewer: a page and a table."""
    record = next(iter(records.values()))
    on, at = record.measured_on, record.geometry
    threads = f", threads: {on['threads']}" if on["threads"] else ""
    note = (
        f"The last of {profiling.STEPS} profiled training steps, after warm-up: one clip of {at['num_frames']} frames "
        f"of {at['size']}x{at['size']} through {at['backbone']}, {on['precision']}, {on['memory_format']}, on "
        f"{on['device']}{threads}, torch {on['torch']}. Profiling takes time itself: read shares here, and latencies "
        "in the cost table."
    )
    write_whole(
        profiles / TIMELINE, timeline.page(f"Where a training step goes: {profiles.name}", note, taken)
    )
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["variant", "kernel", "calls", "ms", "share"])
    for name, profile in taken.items():
        for row in profile.kernels:
            rows.writerow(
                [
                    name,
                    csv_cell(row["kernel"]),
                    f"{row['calls']:g}",
                    f"{row['ms']:.4f}",
                    f"{row['share']:.5f}",
                ]
            )
    write_whole(profiles / OPERATORS, table.getvalue())


def _code() -> str:
    """A fingerprint of all code that a latency goes through."""
    folders = [Path(__file__).parent, *(Path(package.__path__[0]) for package in (operators, model))]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
