"""python -m harness.cost STUDY: everything that the study's variants cost, beside what the paper prints.

Exit code: 0 measured, 2 the request cannot be carried out, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.console import Table, bar, say, show, start
from harness.errors import StudyError, nearest
from harness.files import default_data_dir, write_whole
from harness.options import Parser, carried_out, names
from harness.units import geometry, giga

if TYPE_CHECKING:
    from harness.records import CostRecord
    from harness.study.study import Study

COSTS = "costs.json"


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    return carried_out(lambda: _run(args), "nothing was written; the same command begins again")


def _run(args: argparse.Namespace) -> int:
    from harness.shipped import study_file, taken
    from harness.study.reading import read_yaml

    file = study_file(args.study)
    read_yaml(file)  # a mistyped name is said before anything heavy is imported
    if file != Path(args.study):
        say("study", taken(args.study, file))
    start(args.study)
    from harness.outside import import_from
    from harness.published import load_reference
    from harness.study.load import load_studies

    import_from(Path.cwd())
    parts = [args.part] if args.part else []
    study = load_studies(file, preset=args.preset, overrides=args.set, parts=parts)[0]
    for name in args.variants or []:
        if name not in study.names:
            raise StudyError(f"--variants: no variant {name!r}{nearest(name, study.names)}")
    reference = load_reference(study.reference) if study.reference else {}
    data_dir = args.data_dir.expanduser().absolute()
    folder = (args.out or data_dir / "profiles") / study.name
    records = _measure(study, args, data_dir, folder)
    rows = [_against_paper(name, record, reference) for name, record in records.items()]
    _write(folder / COSTS, {"study": study.name, "reference": study.reference, "rows": rows}, args.out)
    show(_counts_table(records, rows))
    for suffix, title in _ways(records).items() if study.cost.latency else ():
        print()
        show(_times_table(records, suffix, title, study.baseline))
    _print_notes(records, reference)
    say("written", str(folder / COSTS))
    if args.profile:
        say("profile", f"{folder / 'timeline.html'} opens in any browser; traces beside it open in Perfetto")
    return 0


def _measure(study: Study, args: argparse.Namespace, data_dir: Path, folder: Path) -> dict[str, CostRecord]:
    from harness import machine
    from harness.cost import cache
    from harness.model import packages
    from harness.outside import own_source

    how = machine.keep_freed_memory()

    import torch

    rows = study.rows(args.variants or study.variants)
    chosen = {name: settings for name, settings in study.variants.items() if name in rows}
    first = next(iter(chosen.values()))
    with bar("cost", "rounds") as advance:
        return cache.costs(
            dataclasses.replace(study.cost, step=True),
            {name: (s.model, s.data.num_frames) for name, s in chosen.items()},
            {
                name: own_source(*s.model.own_code) + packages.version(s.model.backbone)
                for name, s in chosen.items()
            },
            torch.device("cuda" if study.resources.resolved().gpus else "cpu"),
            data_dir / "cost",
            channels_last=first.train.channels_last,
            allocator=how,
            profiles=folder if args.profile else None,
            remeasure=args.remeasure,
            progress=advance,
        )


def _against_paper(name: str, record: CostRecord, reference: dict[str, Any]) -> dict[str, Any]:
    """A record as plain values, and what the paper prints for the same row at the same geometry."""
    from harness.published import is_reproduced, same_geometry
    from harness.records import to_json

    comparable = same_geometry(reference, record.geometry)
    return {
        "variant": name,
        "paper_gmacs": reference.get("rows", {}).get(name, {}).get("gmacs") if comparable else None,
        "reproduced": is_reproduced(reference, name, record.macs_added) if comparable else None,
        **to_json(record),
    }


def _counts_table(records: dict[str, CostRecord], rows: list[dict[str, Any]]) -> Table:
    printed = any(row["paper_gmacs"] is not None for row in rows)
    titles = ("parameters", "added", "MACs [G]", "added [G]", "torch counts [G]", "kept [MiB]")
    table = _table("variant", *titles, *(["paper: MACs [G]"] if printed else []))
    if printed:
        table.add_column("")
    for (name, r), row in zip(records.items(), rows, strict=True):
        refused = row["reproduced"] is False
        paper = (
            _number(row["paper_gmacs"], "g"),
            f"not reproduced: computed {giga(r.macs_added, '+.4g')}" if refused else "",
        )
        table.add_row(
            name,
            f"{r.params_total:,}",
            f"{r.params_added:+,}",
            giga(r.macs_total, ".2f"),
            giga(r.macs_added, "+.5f"),
            giga(r.macs_counted_added, "+.5f"),
            _number(r.activation_mib, ".0f"),
            *(paper if printed else ()),
        )
    return table


def _ways(records: dict[str, CostRecord]) -> dict[str, str]:
    """The ways in which latencies were taken, by the end of their samples' names."""
    names = {name.partition("@")[2] for record in records.values() for name in record.samples_ms}
    titles = {"1_thread": "on one thread", "cold": "caches flushed before each", "graph": "as a CUDA graph"}
    return {"": "all threads, warm"} | {name: titles[name] for name in titles if name in names}


def _times_table(records: dict[str, CostRecord], way: str, title: str, baseline: str) -> Table:
    """Medians, 95th percentiles and the ratio to the baseline."""
    from harness.stats.estimates import percentile

    kinds = {"forward": "forward", "forward_backward": "fwd+bwd", "step": "step"}

    there = {key: word for key, word in kinds.items() if any(r.samples(key, way) for r in records.values())}
    table = _table(title)
    for word in there.values():
        table.add_column(f"{word} p50, p95 [ms]", justify="right")
        table.add_column("ratio", justify="right")
    extra = ["clips/s", "step clips/s", "peak [MiB]", "temporal: forward", "step"] if not way else []
    for word in extra:
        table.add_column(word, justify="right")
    for name, record in records.items():
        cells, mark = [name], " ?" if record.doubts else ""
        for kind in there:
            own = record.samples(kind, way)
            base = records[baseline].samples(kind, way) if baseline in records else []
            p50 = percentile(own, 0.5) if own else None
            cells.append(f"{p50:.1f}, {percentile(own, 0.95):.1f}{mark}" if p50 else "not measured")
            cells.append(f"{p50 / percentile(base, 0.5):.2f}" if p50 and base else "-")
        if extra:
            rates = [record.samples(kind, way) for kind in ("forward", "step")]
            cells += [f"{1e3 / percentile(one, 0.5):.2f}" if one else "-" for one in rates]
            cells.append(_number(record.peak_memory_mib.get("step"), ".0f"))
            cells += [_number(record.temporal_share.get(kind), ".1%") for kind in ("forward", "step")]
        table.add_row(*cells)
    return table


def _print_notes(records: dict[str, CostRecord], reference: dict[str, Any]) -> None:
    from harness.cost.cache import warnings

    record = next(iter(records.values()))
    print()
    say("", f"{geometry([record])}, one clip; kept: for the backward pass. One multiply-add is 1 MAC.")
    if record.measured_on:
        say("", ", ".join(f"{key} {value}" for key, value in record.measured_on.items() if value))
    if reference:
        counts = f"which counts from a plain network of {reference.get('added_to', '-')} G"
        paper = f"{reference['paper']}, {reference['title']}"
        say("paper", f"{paper}, {counts}; compared is what a variant adds")
    for warning in warnings(records):
        say("warning", warning)


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for i, title in enumerate(titles):
        table.add_column(title, justify="right" if i else "left")
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _write(path: Path, data: dict[str, Any], out: Path | None) -> None:
    try:
        write_whole(path, json.dumps(data, indent=1) + "\n")
    except OSError as error:
        option = f"--out {out}" if out else f"--data-dir: {path.parent}"
        raise StudyError(f"{option}: cannot be written: {error.strerror}") from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m harness.cost",
        examples=[
            "python -m harness.cost studies/kernel_sizes.yaml",
            "python -m harness.cost studies/kernel_sizes.yaml --variants tsn,ks1357 --set cost.latency=false",
            "python -m harness.cost studies/kernel_sizes.yaml --profile --out costs/   # and then:",
            "python -m harness.ui --tensorboard costs/",
        ],
        description="Measure all that the variants of a study cost, at the geometry under its key `cost`, and show "
        "it beside the paper's figures. Trains nothing. Leave the machine alone meanwhile.",
    )
    parser.add_argument(
        "study", help="a study file, or the name of one that comes with the project: kernel_sizes"
    )
    add = parser.add_argument_group("which networks").add_argument
    add("--preset", default="", metavar="NAME", help="the study at another scale, as its file describes it")
    add("--part", default="", metavar="NAME", help="of a study in parts; its first part if none is named")
    add("--variants", type=names, metavar="A,B,...", help="only these variants")
    add = parser.add_argument_group("what is measured").add_argument
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting: cost.repeats=10, or cost.latency=false to count only",
    )
    add("--profile", action="store_true", help="write traces of profiled training steps, and a timeline")
    add("--remeasure", action="store_true", help="measure again also what is known and not doubtful")
    add = parser.add_argument_group("where things lie").add_argument
    add(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for DIR/STUDY/costs.json and profiles (default: `profiles` in the data folder)",
    )
    add(
        "--data-dir",
        type=Path,
        default=default_data_dir(),
        metavar="DIR",
        help="where measurements are kept (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
