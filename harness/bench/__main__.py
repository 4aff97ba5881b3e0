"""python -m harness.bench: every operator and path, right first, then as multiples of a plain copy."""

from __future__ import annotations

from harness import machine

ALLOCATOR = machine.keep_freed_memory()  # before torch has a tensor

# ruff: noqa: E402
import argparse
import json
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from harness.bench import compare, rounds, streaming, tables, timing
from harness.bench.before import earlier
from harness.bench.forms import DTYPES, FORMATS, PUBLISHED, SHAPES, Case, all_operators
from harness.bench.network import NETWORKS, steps
from harness.bench.page import save
from harness.errors import DataError, nearest
from harness.files import write_whole
from harness.machine import Load, threads
from harness.options import Parser, carried_out
from operators.base import find_operator
from operators.stencil import PATHS

QUICK_SHAPES = ("64@56", "64@16")
DEFAULT_SHAPES = (*SHAPES["tiny"], "256@56", "1024@14")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 something got slower or failed its check; 2 the request cannot be met; 130 stopped."""
    args = parse(argv)
    typed = shlex.join(["python", "-m", "harness.bench", *(argv or sys.argv[1:])])
    return carried_out(lambda: run(args, typed), "nothing was written")


def run(args: argparse.Namespace, typed: str) -> int:
    """Do what a command line asks for. Returns the exit code.

    Args:
        typed: the command line, for the page.
    """
    device = check(args)
    if args.stream:
        return stream(args, device)
    old = compare.load(args.compare) if args.compare else None
    with earlier(args.before) as more:
        args.paths = [*more, *args.paths]
        result = bench(args, device)
    if args.json:
        write_whole(args.json, json.dumps(result, indent=1) + "\n")
    if args.out:
        print(f"written  {save(args.out, result, typed)}")
    found = compare.slower(result, old) if old else []
    if old is not None:
        print(
            "\n".join(["slower   " + line for line in found] or [f"nothing is slower than in {args.compare}"])
        )
    return 1 if found or any(row["failed"] for row in result["rows"]) else 0


def bench(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Run all cases, printing each as it is done."""
    result: dict[str, Any] = {
        "machine": measured_on(device),
        "rows": [],
        "network": [],
        "skipped": {},
        "doubts": [],
    }
    print("machine  " + ", ".join(f"{name} {value}" for name, value in result["machine"].items()))
    load = Load()
    for case in cases(args, device):
        rows, copies, skipped = rounds.measure(
            case, args.operators, args.paths, device, args.rounds, args.seconds
        )
        result["skipped"] |= skipped
        result["rows"] += rows
        print(f"\n{case}: copy {sorted(copies)[len(copies) // 2]:.2f} ms, {case.bytes / 1e6:.1f} MB")
        print(tables.text(tables.table(rows)), flush=True)
    if args.network:
        with threads(args.threads[-1]):
            result["network"] = steps(
                args.networks, args.format, args.paths, device, args.network_rounds, args.operators
            )
        print("\n" + tables.text(tables.network_table(result["network"])))
    for line in tables.insertions(result["rows"]):
        print(line)
    for path, reason in result["skipped"].items():
        print(f"not run  {path}: {reason}")
    roofs(result, device)
    others = load.others()
    if device.type == "cpu" and others is not None and others > 0.1:
        result["doubts"].append(
            f"other processes used {others:.1f} cores meanwhile; stop them and measure again"
        )
    print("".join(f"doubtful {doubt}\n" for doubt in result["doubts"]), end="")
    return result


def stream(args: argparse.Namespace, device: torch.device) -> int:
    """Measure steps of streams alone. Returns the exit code."""
    here, load = measured_on(device), Load()
    print("machine  " + ", ".join(f"{name} {value}" for name, value in here.items()))
    with threads(args.threads[-1]):
        rows = streaming.streaming(args.networks, args.format, device, args.rounds)
    print(tables.text(streaming.table(rows)))
    others = load.others()
    if others is not None and others > 0.1:
        print(f"doubtful other processes used {others:.1f} cores meanwhile; ratios of one round stand better")
    if args.json:
        write_whole(args.json, json.dumps({"machine": here, "streaming": rows}, indent=1) + "\n")
    return 0


def measured_on(device: torch.device) -> dict[str, str]:
    """Whatever a figure depends on besides its case."""
    here = machine.here(device)
    return {
        "device": here.device,
        "kind": here.kind,
        "allocator": ALLOCATOR,
        "huge pages": here.huge_pages,
        "load average at the start": here.load_average,
        "torch": here.torch,
        "python": here.python,
    }


def roofs(result: dict[str, Any], device: torch.device) -> None:
    """What the figure compares with: the fastest copy of the largest tensor, and a matrix product, on one thread."""
    rows = [row for row in result["rows"] if not row["failed"]]
    with threads(1):
        result["matmul_gflops"] = timing.matmul_gflops(result["rows"][0]["dtype"], device)
    if device.type == "cuda":
        result["copy_gb_per_s"] = timing.cuda_copy_gbps(device)
        return
    largest = max((row["bytes"] for row in rows), default=0)
    speeds = [2 * row["bytes"] / row["copy_ms"] / 1e6 for row in rows if row["bytes"] == largest]
    result["copy_gb_per_s"] = max(speeds, default=0.0)


def cases(args: argparse.Namespace, device: torch.device) -> list[Case]:
    """Every combination asked for."""
    on_gpu = device.type == "cuda"

    def clips(shape: str) -> int:
        return args.clips or (8 if on_gpu else 32 if shape in SHAPES["tiny"] else 4)

    return [
        Case(shape=shape, clips=clips(shape), frames=frames, dtype=dtype, format=layout, threads=number)
        for number in ([0] if on_gpu else args.threads)
        for dtype in args.dtype
        for layout in args.format
        for frames in args.frames
        for shape in args.shapes
    ]


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m harness.bench",
        description="Check every operator on every path against the plainest one, then time it as a multiple of a "
        "plain copy of the same clips. Leave the machine alone meanwhile.",
        examples=[
            "python -m harness.bench --quick                     # some seconds: does it work here?",
            "python -m harness.bench mixtconv shift --dtype fp32",
            "python -m harness.bench --network --out reports/bench",
        ],
    )
    parser.add_argument("operators", nargs="*", help=f"names or dotted paths, or {PUBLISHED}; all by default")
    add = parser.add_argument_group("which cases").add_argument
    add("--device", default="cpu", help="cpu, cuda or cuda:N")
    dtypes = "of the clips, each as a case of its own (default: both)"
    add("--dtype", nargs="+", choices=DTYPES, default=["fp32", "bf16"], help=dtypes)
    formats = "how a clip lies in memory (default: all)"
    add("--format", nargs="+", choices=FORMATS, default=list(FORMATS), help=formats)
    add("--shapes", nargs="+", help="resnet50, tiny, or single ones such as 256@56 (channels@pixels)")
    add("--paths", nargs="+", choices=PATHS, help="all but reference by default")
    before = "the eager path of that commit too, as eager_before"
    add("--before", default="", metavar="COMMIT", help=before)
    add("--clips", type=int, default=0, help="4 by default, 32 for tiny shapes, 8 on a GPU")
    add("--frames", nargs="+", type=int, default=[8], metavar="T", help="of a clip (default: 8)")
    add("--threads", nargs="+", type=int, default=[1], help="each as a case of its own (default: 1)")
    add = parser.add_argument_group("how long").add_argument
    add("--rounds", type=int, default=21, help="of a case, at least (default: %(default)s)")
    add("--seconds", type=float, default=2.0, help="of rounds for each case, at least (default: %(default)s)")
    add("--quick", action="store_true", help="two shapes, fp32, eager, 5 rounds: some seconds")
    add = parser.add_argument_group("whole networks").add_argument
    add("--network", action="store_true", help="training steps over TSN's too")
    only = "only this: a step of a stream over a frame of the plain network"
    add("--stream", action="store_true", help=only)
    networks = "of --network (default: all)"
    add("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), help=networks)
    add("--network-rounds", type=int, default=7, help="of --network (default: %(default)s)")
    add = parser.add_argument_group("what becomes of the figures").add_argument
    add("--compare", type=Path, metavar="OLD.json", help="exit with 1 where something got slower")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    add("--out", type=Path, metavar="FOLDER", help="write all results for this device there")
    args = parser.parse_args(argv)
    if args.quick:
        args.shapes, args.dtype = args.shapes or list(QUICK_SHAPES), ["fp32"]
        args.paths = args.paths or ["eager"]
        args.operators = args.operators or ["mixtconv", "shift", PUBLISHED]
        args.rounds, args.seconds = 5, 0.0
    return args


def check(args: argparse.Namespace) -> torch.device:
    """Fill in what was left out; a GPU becomes the current one, whose streams and events are then timed.

    Raises:
        DataError: a device, shape, operator or number that is none.
    """
    device = machine.device(args.device)
    if on_gpu := device.type == "cuda":
        torch.cuda.set_device(device)
    known = [*SHAPES, *(shape for group in SHAPES.values() for shape in group)]
    chosen = args.shapes or (["resnet50"] if on_gpu else list(DEFAULT_SHAPES))
    for shape in chosen:
        if shape not in known and not re.fullmatch("[1-9][0-9]*@[1-9][0-9]*", shape):
            raise DataError(
                f"--shapes: {shape!r} is not channels@pixels, such as 256@56{nearest(shape, known)}"
            )
    args.shapes = [single for shape in chosen for single in SHAPES.get(shape, (shape,))]
    args.operators = args.operators or all_operators()
    for name in args.operators:
        try:
            if name != PUBLISHED:
                find_operator(name)
        except ValueError as error:
            raise DataError(str(error).removeprefix("name: ")) from None
    args.paths = args.paths or [path for path in PATHS if path != "reference"]
    for name, values in (("frames", args.frames), ("threads", args.threads), ("rounds", [args.rounds])):
        if min(values) < 1:
            raise DataError(f"--{name}: {min(values)} is below 1")
    return device


if __name__ == "__main__":
    sys.exit(main())
