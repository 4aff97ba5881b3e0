"""Costs of all variants of a study: taken together once, then kept for as long as nothing changes that decides them."""

from __future__ import annotations

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
from harness.cost.latency import TimedNetwork, Variants
from harness.files import write_whole
from harness.records import CostRecord, to_json

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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, CostRecord]:
    """Counts, latencies and shares of all variants, of each network once; from the folder `cache` where known.

    Args:
        sources: a fingerprint of each variant's operator code, so that a changed one is measured again.
        profiles: a folder for traces of training steps, a timeline and a table of operators, of each network once;
            None profiles none.
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
    progress: Callable[[int, int], None],
) -> dict[str, CostRecord]:
    records = {name: counted(config, *variant) for name, variant in variants.items()}
    if not config.latency and profiles is None:
        return records
    on = latency.measured_on(config, device, channels_last, allocator)
    decides = {
        "config": dataclasses.asdict(config),
        "variants": {name: [dataclasses.asdict(one), frames] for name, (one, frames) in variants.items()},
        "sources": dict(sources),
        "code": _code(),
        "on": on,
    }
    key = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]
    path = cache / f"{key}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    records = {name: CostRecord(**known[name]) if known else one for name, one in records.items()}
    if known and (profiles is None or _is_profiled(records, profiles)):
        return records
    cases = latency.build(config, variants, device, channels_last)
    if config.latency and not known:
        timings = latency.measure(config, cases, device, progress)
        for name, timing in timings.items():
            records[name] = _measured(records[name], timing, cases[name], on)
    taken = {}
    for name, case in cases.items():
        if (config.step and not known) or profiles is not None:
            trace = None if profiles is None else trace_file(profiles, name)
            taken[name] = profiling.profile_step(case, trace)
            records[name] = _with_step(records[name], taken[name], on)
    if profiles is not None:
        _show(profiles, taken, records)
    write_whole(path, json.dumps({name: to_json(record) for name, record in records.items()}))
    return records


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
    record: CostRecord, timing: latency.Timings, case: TimedNetwork, on: dict[str, str]
) -> CostRecord:
    return dataclasses.replace(
        record,
        latency_ms=timing.samples["forward"],
        samples_ms={name: samples for name, samples in timing.samples.items() if name != "forward"},
        temporal_share={"forward": profiling.profile_forward(case).temporal_share},
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
                [name, row["kernel"], f"{row['calls']:g}", f"{row['ms']:.4f}", f"{row['share']:.5f}"]
            )
    write_whole(profiles / OPERATORS, table.getvalue())


def _code() -> str:
    """A fingerprint of all code that a latency goes through."""
    folders = [Path(__file__).parent, *(Path(package.__path__[0]) for package in (operators, model))]
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
