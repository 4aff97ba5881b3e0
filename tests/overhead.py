"""What a run takes beside training: one-epoch trials of studies/smoke.yaml, serial and under Ray.

python tests/overhead.py              # prints the table of docs/performance.md: `make overhead`

Processor time is that of the driver and of all that it starts, directly or not (Linux alone tells). Needs an idle
machine; nothing is judged here.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from house import ROOT

from harness import machine

STUDY = ROOT / "studies" / "smoke.yaml"
VARIANTS = 2  # of that study
MODES = {"serial": ["--serial"], "ray": []}
NAMES = {"serial": "`--serial`", "ray": "Ray"}
FEW, SOME = 2, 16  # trials
MEMORY_AT = (0, 1, 75, 200)  # trials done

_PAUSE = 0.1  # seconds between two looks at all processes
_TICK, _PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


@dataclass
class Process:
    """As it was when it was last seen. Seconds: own, and of children that have ended and were waited for."""

    parent: int
    own: float = 0.0
    waited: float = 0.0
    children: list[Process] = field(default_factory=list)

    def seconds(self) -> float:
        """Of a child that nobody waited for, only what was seen is known."""
        return self.own + max(self.waited, sum(child.seconds() for child in self.children))


class Family:
    """All processes that this one starts, and those that they start: orphans become its own children."""

    def __init__(self) -> None:
        ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER
        self._known: dict[tuple[int, int], Process] = {}  # by id and time of start: ids are used again
        self._living: dict[int, Process] = {}
        self._root = Process(parent=0)

    def look(self) -> None:
        """Take down what each has used. The dead stay where they can be seen until `bury`."""
        found = [
            words
            for folder in Path("/proc").iterdir()
            if folder.name.isdecimal() and (words := _stat(folder))
        ]
        found.sort(key=lambda words: (words[20], words[0]))  # parents start first
        self._living = {os.getpid(): self._root}
        for pid, parent, start, *ticks in ((words[0], words[2], words[20], *words[12:16]) for words in found):
            if parent not in self._living:
                continue
            key = (pid, start)
            if key not in self._known:
                self._known[key] = Process(parent)
                self._living[parent].children.append(self._known[key])
            one = self._living[pid] = self._known[key]
            one.own, one.waited = sum(ticks[:2]) / _TICK, sum(ticks[2:]) / _TICK

    def bury(self, patience: float = 15.0) -> float:
        """Wait until all have ended. Returns their processor time in seconds."""
        end = time.monotonic() + patience
        with suppress(ChildProcessError):  # there is none left
            while time.monotonic() < end:
                self.look()
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
                time.sleep(_PAUSE)
        return sum(child.seconds() for child in self._root.children)


def _stat(folder: Path) -> list[int]:
    """The numbers of /proc/PID/stat: its id, then those after its name, from the fourth field on; [] if it is gone."""
    try:
        text = (folder / "stat").read_text()
    except OSError:
        return []
    first, _, rest = text.rpartition(")")
    return [int(first.split()[0]), 0, *map(int, rest.split()[1:])]


@dataclass
class Run:
    """One call. memory: resident MiB of the driver, by trials done."""

    trials: int
    wall: float
    processor: float
    memory: dict[int, float]


def run(folder: Path, mode: str, trials: int) -> Run:
    """One-epoch trials in a store of their own."""
    here = Path(tempfile.mkdtemp(dir=folder))
    seeds = ",".join(map(str, range(trials // VARIANTS)))
    command = [sys.executable, "-m", "harness.run", str(STUDY), *MODES[mode], "--seeds", seeds]
    command += ["--set", "train.epochs=1", "--set", "cost.latency=false", "--data-dir", str(folder / "data")]
    command += ["--tracking-uri", f"sqlite:///{here / 'mlflow.db'}"]
    family, memory, out = Family(), {}, here / "out.txt"
    begin = time.monotonic()
    with out.open("w") as file:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        driver = subprocess.Popen(command, cwd=here, env=environment, stdout=file, stderr=subprocess.STDOUT)
        while (ended := os.waitid(os.P_PID, driver.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is None:
            family.look()
            done = sum(line.startswith("[") for line in out.read_text().splitlines())
            if pages := int(Path(f"/proc/{driver.pid}/statm").read_text().split()[1]):
                memory[done] = pages * _PAGE / 2**20
            time.sleep(_PAUSE)
    wall = time.monotonic() - begin
    assert ended.si_status == 0, out.read_text()
    return Run(trials, wall, family.bury(), memory)


HEAD = (
    "",
    "trials",
    "wall time [s]",
    "processor time [s]",
    "of each further trial: wall time [s]",
    "processor time [s]",
    f"driver's memory [MiB] after {', '.join(map(str, MEMORY_AT))} trials",
)


def page(runs: dict[str, list[Run]]) -> str:
    """The table, and where and when it was made."""
    lines = [
        f"{date.today().isoformat()}, commit `{machine.commit()}`, {os.cpu_count()} CPUs ({machine.cpu_name()}),"
        f" load {os.getloadavg()[0]:.1f} at the end:"
        " one-epoch trials of `studies/smoke.yaml`, clips known, no latencies measured.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|---|{'--:|' * (len(HEAD) - 1)}",
    ]
    for mode, done in runs.items():
        few = done[0]
        for one in done:
            more = one.trials - few.trials
            each = (one.wall - few.wall, one.processor - few.processor)
            further = [f"{seconds / more:.2f}" if more else "" for seconds in each]
            memory = [
                f"{one.memory[max(n for n in one.memory if n <= at)]:.0f}"
                for at in MEMORY_AT
                if at <= one.trials
            ]
            numbers = [
                str(one.trials),
                f"{one.wall:.1f}",
                f"{one.processor:.1f}",
                *further,
                ", ".join(memory),
            ]
            lines.append(f"| {' | '.join([NAMES[mode], *numbers])} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modes", default="serial,ray", help="serial,ray")
    parser.add_argument(
        "--most", type=int, default=200, help="trials of the longest run (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        run(Path(folder), "serial", FEW)  # makes the data set, measures costs
        for mode in args.modes.split(","):
            for trials in dict.fromkeys((FEW, SOME, args.most)):
                runs.setdefault(mode, []).append(run(Path(folder), mode, trials))
                print(f"{mode}, {trials} trials: done", file=sys.stderr, flush=True)
    print(page(runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
