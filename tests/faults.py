"""Kills the driver of studies/smoke.yaml at random, asks again, and compares with a run that nobody killed.

python tests/faults.py --kills 12              # into docs/reliability.md: `make faults KILLS=100`
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
from house import ROOT

from harness import machine
from harness.files import write_whole
from harness.tracking.connection import Connection

STUDY = ROOT / "studies" / "smoke.yaml"
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by make faults: begin -->", "<!-- end -->"

MOMENTS = {
    "start": "in its first second",
    "any": "at any moment",
    "call": "inside a call of the tracking store",
}
MODES = {"serial": ["--serial"], "ray": []}

DRIVER = """
import os, random, signal, sys, threading
from harness.run.__main__ import main
from harness.tracking import connection

def dies_in(call, delay):
    def wrapper(*args, **more):
        global left
        left -= 1
        if left == 0:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return call(*args, **more)
    return wrapper

left, delay = int(sys.argv.pop(1)), float(sys.argv.pop(1))
client = connection._import_mlflow().MlflowClient
for name in dir(client):
    if name.startswith(("create_", "set_", "log_", "update_", "delete_", "finalize_", "search_", "get_")):
        setattr(client, name, dies_in(getattr(client, name), delay))
sys.exit(main())
"""
"""The command, which is killed so many seconds into its so many-th call of MLflow's client."""


@dataclass
class Row:
    """What came of the kills of one kind."""

    kills: int = 0
    resumed: int = 0
    different: int = 0  # trials
    running: int = 0  # runs
    twice: int = 0  # runs, points of metrics, models
    troubles: list[str] = field(default_factory=list)


class Place:
    """A folder of its own for each kill; the data set and measured costs are made once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"

    def command(self, name: str, mode: str) -> list[str]:
        here = self.folder / name
        here.mkdir(exist_ok=True)
        store = f"sqlite:///{here / 'mlflow.db'}"
        return [str(STUDY), *MODES[mode], "--data-dir", str(self.data), "--tracking-uri", store]

    def start(
        self, command: Sequence[str], wrapper: Sequence[str] = ("-m", "harness.run")
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *wrapper, *command],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def results(self, name: str) -> tuple[dict[str, np.ndarray], int, int]:
        """Scores by trial; runs that say that they are running; and what is there twice."""
        connection = Connection.open(f"sqlite:///{self.folder / name / 'mlflow.db'}")
        client = connection.client
        experiment = client.get_experiment_by_name("smoke").experiment_id
        runs = connection.runs(experiment, "")
        names = Counter(run.info.run_name for run in runs)
        twice = sum(names.values()) - len(names)
        scores = {}
        for run in runs:
            if run.data.tags["mixtbench.kind"] != "trial":
                continue
            for metric in run.data.metrics:
                steps = [point.step for point in client.get_metric_history(run.info.run_id, metric)]
                twice += len(steps) - len(set(steps))
            with tempfile.TemporaryDirectory() as scratch:
                file = client.download_artifacts(run.info.run_id, "scores.npz", scratch)
                scores[run.info.run_name] = np.load(file)["scores"]
        models = Counter(model.source_run_id for model in client.search_logged_models([experiment]))
        twice += sum(models.values()) - len(models)
        return scores, sum(run.info.status == "RUNNING" for run in runs), twice


def killed(place: Place, name: str, mode: str, moment: str, seconds: float, rng: random.Random) -> bool:
    """Run a study that is killed. False where it had ended before."""
    if moment == "call":
        wrapper = ["-c", DRIVER, str(rng.randint(1, CALLS)), f"{rng.choice([0.0, rng.uniform(0, 0.02)]):.4f}"]
        process = place.start(place.command(name, mode), wrapper)
        process.communicate(timeout=1800)
    else:
        process = place.start(place.command(name, mode))
        wait = rng.uniform(0, 1.0 if moment == "start" else seconds)
        try:
            process.communicate(timeout=wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    return process.returncode == -signal.SIGKILL


def one(
    place: Place,
    row: Row,
    kind: tuple[str, str],
    number: int,
    seconds: float,
    expected: dict[str, np.ndarray],
) -> None:
    """One kill, the same command again, and the comparison."""
    mode, moment = kind
    name = f"{mode}-{moment}-{number}"
    rng = random.Random(name)
    while not killed(place, name, mode, moment, seconds, rng):  # it had ended before
        shutil.rmtree(place.folder / name)
    row.kills += 1
    again = place.start(place.command(name, mode))
    out, _ = again.communicate(timeout=1800)
    if again.returncode != 0:
        row.troubles.append(f"{name}: exit code {again.returncode}: {out[-300:]}")
        return
    row.resumed += 1
    scores, running, twice = place.results(name)
    different = sum(
        trial not in scores or not np.array_equal(scores[trial], whole) for trial, whole in expected.items()
    )
    row.different += different
    row.running += running
    row.twice += twice
    if different or running or twice:
        row.troubles.append(f"{name}: {different} different, {running} running, {twice} twice")
    shutil.rmtree(place.folder / name)


CALLS = 120
"""Of MLflow's client in an unbroken run of the study, about."""


HEAD = (
    "driver",
    "killed",
    "kills",
    "finished when asked again",
    "trials with other scores",
    "runs left RUNNING",
    "there twice",
)


def page(rows: dict[tuple[str, str], Row]) -> str:
    """The table, and where and when it was made."""
    here = machine.environment()
    lines = [
        BEGIN,
        "",
        f"{date.today().isoformat()}, commit `{here.get('commit', '')[:12]}`, {os.cpu_count()} CPUs:"
        f" {sum(row.kills for row in rows.values())} kills of the driver of `studies/smoke.yaml` by SIGKILL,"
        " the same command again after each.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
    ]
    for (mode, moment), row in rows.items():
        cells = [
            row.kills,
            f"{row.resumed} of {row.kills}",
            row.different,
            row.running,
            row.twice,
        ]
        name = "`--serial`" if mode == "serial" else "Ray"
        lines.append(f"| {name} | {MOMENTS[moment]} | {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, "", END])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=12, help="how many, shared out among the kinds")
    parser.add_argument("--modes", default="serial,ray", help="serial,ray")
    parser.add_argument(
        "--out", type=Path, default=PAGE, help="the page with the table (default: %(default)s)"
    )
    args = parser.parse_args(argv)
    kinds = [(mode, moment) for mode in args.modes.split(",") for moment in MOMENTS]
    rows = {kind: Row() for kind in kinds}
    with tempfile.TemporaryDirectory(prefix=f"faults-{socket.gethostname()}-") as folder:
        place = Place(Path(folder))
        expected: dict[str, np.ndarray] = {}
        seconds = {}
        for mode in args.modes.split(","):
            place.start(
                place.command(f"first-{mode}", mode)
            ).communicate()  # makes the data set, measures costs
            shutil.rmtree(place.folder / f"first-{mode}")
            begin = time.monotonic()
            whole = place.start(place.command(f"whole-{mode}", mode))
            out, _ = whole.communicate()
            assert whole.returncode == 0, out
            seconds[mode] = time.monotonic() - begin
            scores, running, twice = place.results(f"whole-{mode}")
            assert (running, twice) == (0, 0)
            assert not expected or all(np.array_equal(scores[name], expected[name]) for name in expected)
            expected = scores
        for number in range(args.kills):
            kind = kinds[number % len(kinds)]
            one(place, rows[kind], kind, number, seconds[kind[0]], expected)
            print(f"{number + 1}/{args.kills} {kind[0]} {kind[1]}: {rows[kind]}", flush=True)
            _write(args.out, page(rows))
    troubles = [trouble for row in rows.values() for trouble in row.troubles]
    print(json.dumps(troubles, indent=1))
    return 1 if troubles else 0


def _write(file: Path, table: str) -> None:
    """Put the table in the place of the one that is there."""
    text = file.read_text(encoding="utf-8") if file.exists() else f"# Reliability\n\n{BEGIN}\n{END}\n"
    found = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    assert found.search(text), f"{file}: has no place for the table"
    write_whole(file, found.sub(lambda _: table, text))


if __name__ == "__main__":
    sys.exit(main())
