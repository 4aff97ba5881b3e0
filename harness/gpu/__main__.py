"""python -m harness.gpu: everything that only a GPU can show, step by step, into a page of the device's own.

Each step is a process with a time limit. What it found is kept as it goes, and the next step runs
whatever became of it.
Needs torch, numpy and PyYAML; no Ray, MLflow, decord, PyAV or rich.

Exit code: 0 every step passed; 1 one did not; 2 the request cannot be met.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import machine
from harness.errors import DataError, UserError, in_a_line
from harness.files import write_whole
from harness.options import Parser

OUT = Path("reports/gpu")
STEPS = {
    "checks": (120, 40),
    "operators": (120, 40),
    "costs": (120, 40),
    "ladder": (90, 40),
    "traces": (30, 20),
}
"""In order, with their time limits in seconds: whole (8 minutes together), and quick (3). What they do: steps.py, which
only they import."""
NEEDED = {"torch": "torch", "numpy": "numpy", "yaml": "pyyaml"}
"""Modules, and what pip calls them."""
EXACT = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0"}
"""Of the step that compares to the bit and with a CPU, and of processes that it starts: NVIDIA's libraries ask for both
as they are loaded. The others run as networks are used."""
AGAIN = 75
"""A step ends with it that goes on in a new process, since in its own the device answers no more."""
PATIENCE = 20
"""Seconds for a killed process to be gone; the driver may hold it."""
PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "scipy",
    "pyyaml",
    "ray",
    "mlflow",
    "decord",
    "av",
    "matplotlib",
    "rich",
)


def main(argv: Sequence[str] | None = None) -> int:
    args = _parse(argv)
    try:
        if args.step:
            return _step(args)
        return _all(
            args, shlex.join(["python", "-m", "harness.gpu", *(sys.argv[1:] if argv is None else argv)])
        )
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m harness.gpu",
        description="Check, time and cost on a GPU everything that only a GPU can show, step by step, into a page of "
        "the device's own. What a step found is kept, whatever becomes of the next. Needs torch, numpy and PyYAML "
        "alone.",
        examples=[
            "python -m harness.gpu --quick              # under three minutes",
            "python -m harness.gpu --only checks costs",
            "python -m harness.gpu --device cpu --out rehearsal/    # does the command run here?",
        ],
    )
    parser.add_argument(
        "--device", default="cuda", help="cuda, cuda:N, or cpu for a rehearsal of the command"
    )
    parser.add_argument("--quick", action="store_true", help="under three minutes instead of eight")
    parser.add_argument("--out", type=Path, help=f"a folder for the results (default: {OUT}/DEVICE)")
    parser.add_argument("--only", nargs="+", metavar="STEP", help=f"these steps alone: {', '.join(STEPS)}")
    parser.add_argument("--step", help=argparse.SUPPRESS)  # what each process is called with
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _device(name: str) -> Any:
    try:
        return machine.device(name)
    except DataError as error:
        raise DataError(f"{error}; --device cpu rehearses the command") from None


def _all(args: argparse.Namespace, command: str) -> int:
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise DataError(
                f"{sys.executable} has no {package}; give it: {sys.executable} -m pip install {package}"
            )

    from harness.bench.page import slug
    from harness.gpu.report import page

    chosen = args.only or list(STEPS)
    for name in chosen:
        if name not in STEPS:
            raise DataError(f"--only: no step {name!r}; known: {', '.join(STEPS)}")
    device = _device(args.device)
    here = machine.here(device)
    folder = args.out or OUT / slug(here.device)
    about = _about(device)
    for name, value in about.items():
        print(f"{name:10} {value}")
    found: dict[str, Any] = {}
    ended: dict[str, str] = dict.fromkeys(chosen, "not reached")
    with tempfile.TemporaryDirectory(prefix="mixtbench-gpu-") as scratch:
        for name in chosen:
            limit = STEPS[name][args.quick]
            limit *= 1 if device.type == "cuda" else 5  # a rehearsal is no race
            print(f"step       {name}, at most {limit:g} s", flush=True)
            ended[name] = _run(args, name, folder, Path(scratch), limit)
            with contextlib.suppress(OSError, ValueError):
                found[name] = json.loads((folder / f"{name}.json").read_text())
            if ended[name] == "passed" and (wrong := _failed(found.get(name, {}))):
                ended[name] = f"{wrong} failed"
            print(f"           {ended[name]}", flush=True)
            write_whole(folder / "README.md", page(here.device, command, about, ended, found))
    print(f"written  {folder / 'README.md'}")
    return 0 if all(words == "passed" for words in ended.values()) else 1


def _about(device: Any) -> dict[str, str]:
    """The machine, its versions and clocks; what is not installed too."""
    import torch

    from harness.gpu.place import clocks

    here = machine.here(device)
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    versions["torch"] = torch.__version__
    about = {"device": here.device, "python": platform.python_version(), "processor": machine.cpu_name()}
    about["commit"] = machine.commit()
    about["packages"] = ", ".join(f"{name} {found}" for name, found in versions.items())
    if device.type == "cuda":
        about["CUDA"] = (
            f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}, {torch.cuda.device_count()} GPUs"
        )
        memory = torch.cuda.get_device_properties(device).total_memory / 2**30
        about["GPU"] = f"{memory:.0f} GiB; {clocks(device)} (idle)"
    return about


def _run(args: argparse.Namespace, name: str, folder: Path, scratch: Path, limit: int) -> str:
    """One step in a process group of its own. Returns how it ended."""
    file = folder / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "harness.gpu", "--step", name, "--device", args.device]
    command += ["--out", str(folder.absolute()), "--scratch", str(scratch)] + ["--quick"] * args.quick
    environment = os.environ | (EXACT if name == "checks" else {})
    begin, code = time.monotonic(), AGAIN
    while code == AGAIN:
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        try:
            code = process.wait(max(0.0, begin + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:g} s, its time limit; what it had found is kept"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    if code == 0:
        return "passed"
    return f"failed after {time.monotonic() - begin:.0f} s: {_reason(file, code)}"


def _reason(file: Path, code: int) -> str:
    try:
        return str(json.loads(file.read_text())["error"])
    except (OSError, ValueError, KeyError):
        return f"its process ended with {code}"


def _failed(found: dict[str, Any]) -> int:
    """How many checks, forms of the bench, ways of computing or trials failed."""
    checks = [one for one in found.get("checks", []) if one["outcome"] == "failed"]
    forms = [row for row in found.get("rows", []) if row.get("failed") and row["pass"] == "forward"]
    return len(checks) + len(forms) + len(found.get("failed", []))


def _step(args: argparse.Namespace) -> int:
    from harness.gpu.place import Place, usable

    folder = args.scratch / args.step
    folder.mkdir(parents=True, exist_ok=True)
    device = _device(args.device)
    place = Place(device, args.quick, folder, args.out / f"{args.step}.json")
    with contextlib.suppress(OSError, ValueError):  # of a process before this one, which ended with AGAIN
        place.found = json.loads(place.file.read_text())
    try:
        if device.type == "cuda":
            import torch

            torch.cuda.set_device(device)  # streams, events and memory are those of the current device
        from harness.gpu.steps import RUN

        place.choose_stencil()
        place.broken = usable(device)
        if not place.broken:
            RUN[args.step](place)
    except Exception as error:  # the next step runs whatever this is
        import traceback

        traceback.print_exc()
        place.say(error=in_a_line(error))
        return 1
    return AGAIN if place.broken else 0


if __name__ == "__main__":
    sys.exit(main())
