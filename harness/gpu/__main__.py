"""python -m harness.gpu: everything that only a GPU can show, step by step, into a page of the device's own.

Each step is a process with a time limit. What it found is kept as it goes, and the next step runs
whatever became of it.
Needs torch, numpy and PyYAML; no Ray, MLflow, decord, PyAV or rich.

Exit code: 0 every step passed; 1 one did not; 2 the request cannot be met; 130 stopped.
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
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness import machine
from harness.errors import DataError, UserError, in_a_line
from harness.files import writable, write_whole
from harness.options import Parser
from harness.train.processes import end_with

OUT = Path("reports/gpu")
STEPS = {
    "checks": (120, 42),
    "operators": (120, 44),
    "costs": (120, 36),
    "ladder": (85, 34),
    "traces": (25, 16),
}
"""In order, with their time limits in seconds, whole and quick. What they do: steps.py, which only they import."""
TOGETHER = (470, 172)
"""Seconds from the start to the end of the last step: 8 minutes, and 3, less what stopping a process takes and writing
the page. A step gets no more than is left of them."""
LEAST = 5
"""Seconds for which no step is begun: it could not even import torch."""
NEEDED = {"torch": "torch", "numpy": "numpy", "yaml": "pyyaml"}
"""Modules, and what pip calls them."""
EXACT = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "NVIDIA_TF32_OVERRIDE": "0"}
"""Of the step that compares to the bit and with a CPU, and of processes that it starts: NVIDIA's libraries ask for both
as they are loaded. The others run as networks are used."""
AGAIN = 75
"""A step ends with it that goes on in a new process, since in its own the device answers no more."""
PATIENCE = 8
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
    except KeyboardInterrupt:
        print("stopped; what was found is kept", file=sys.stderr)
        return 130


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
    parser.add_argument("--parent", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _device(name: str) -> Any:
    try:
        return machine.device(name)
    except DataError as error:
        raise DataError(f"{error}; --device cpu rehearses the command") from None


def _all(args: argparse.Namespace, command: str) -> int:
    begin = time.monotonic()
    for module, package in NEEDED.items():
        if importlib.util.find_spec(module) is None:
            raise DataError(
                f"{sys.executable} has no {package}; give it: {sys.executable} -m pip install {package}"
            )

    from harness.bench.page import slug

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
    page = _Page(folder, here.device, command, about)
    with writable(folder, "choose another with --out"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "README.md").touch()
    slower = 1 if device.type == "cuda" else 5  # a rehearsal is no race
    end = begin + slower * TOGETHER[args.quick]
    with tempfile.TemporaryDirectory(prefix="mixtbench-gpu-", ignore_cleanup_errors=True) as scratch:
        for name in chosen:
            left = end - time.monotonic()
            if left < LEAST:
                ended[name] = "not reached: the time for all steps together was over"
                continue
            limit = min(slower * STEPS[name][args.quick], left)
            print(f"step       {name}, at most {limit:.0f} s", flush=True)
            ended[name] = "stopped with the command; what it had found is kept"
            try:
                ended[name] = _run(args, name, folder, Path(scratch), limit)
            finally:
                with contextlib.suppress(OSError, ValueError):
                    found[name] = json.loads((folder / f"{name}.json").read_text())
                if ended[name] == "passed" and (wrong := _failed(found.get(name, {}))):
                    ended[name] = f"{wrong} failed"
                print(f"           {ended[name]}", flush=True)
                page.write(ended, found)
    if not page.write(ended, found):
        print(f"error: the page could not be written; all figures lie in {folder}", file=sys.stderr)
        return 1
    print(f"written  {page.file}")
    return 0 if all(words == "passed" for words in ended.values()) else 1


class _Page:
    """The page of a device, written anew after every step."""

    def __init__(self, folder: Path, device: str, command: str, about: Mapping[str, str]) -> None:
        self.file = folder / "README.md"
        self._heading = device, command, about

    def write(self, ended: Mapping[str, str], found: Mapping[str, Any]) -> bool:
        """Whether it could be: the next step runs in either case, and its figures lie beside the page."""
        from harness.gpu.report import page

        try:
            write_whole(self.file, page(*self._heading, ended, found))
        except Exception:
            traceback.print_exc()
            return False
        return True


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
        about["GPU"] = f"{memory:.0f} GiB; before the first step: {clocks(device)}"
    return about


def _run(args: argparse.Namespace, name: str, folder: Path, scratch: Path, limit: float) -> str:
    """One step in a process group of its own. Returns how it ended."""
    file = folder / f"{name}.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "harness.gpu", "--step", name, "--device", args.device]
    command += ["--out", str(folder.absolute()), "--scratch", str(scratch), "--parent", str(os.getpid())]
    command += ["--quick"] * args.quick
    environment = os.environ | _compiled(scratch) | (EXACT if name == "checks" else {})
    begin, code = time.monotonic(), AGAIN
    while code == AGAIN:
        try:
            process = subprocess.Popen(command, env=environment, start_new_session=True)
        except OSError as error:
            return f"failed: its process could not be started: {error.strerror}"
        try:
            code = process.wait(max(0.0, begin + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            return f"stopped after {limit:.3g} s, its time limit; what it had found is kept"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    if code == 0:
        return "passed"
    return f"failed after {time.monotonic() - begin:.0f} s: {_reason(file, code)}"


def _compiled(scratch: Path) -> dict[str, str]:
    """Where Triton keeps what it compiles, if not in the home folder, where in many a container nobody may write."""
    if {"TRITON_CACHE_DIR", "TRITON_HOME"} & os.environ.keys():
        return {}
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: nobody knows of a home
        folder = Path.home() / ".triton" / "cache"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return {}
    return {"TRITON_CACHE_DIR": str(scratch / "triton")}


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
    if args.parent:
        end_with(args.parent)
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

        if refused := usable(device):  # a new process would not help
            raise RuntimeError(f"the device does not answer: {refused}")
        place.choose_stencil()
        place.broken = usable(device)  # it helps where what was just tried broke the device
        if not place.broken:
            RUN[args.step](place)
    except Exception as error:  # the next step runs whatever this is
        traceback.print_exc()
        place.say(error=in_a_line(error))
        return 1
    return AGAIN if place.broken else 0


if __name__ == "__main__":
    for asked in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: by a scheduler, or when the terminal is gone
        if signal.getsignal(asked) is not signal.SIG_IGN:
            signal.signal(asked, signal.default_int_handler)
    sys.exit(main())
