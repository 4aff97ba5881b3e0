"""A Ray cluster and an MLflow server on the loopback address, each of real processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from builders.place import ROOT
from builders.processes import free_port, in_session
from harness.errors import StudyError
from harness.run import schedule

_STORE = f"--object-store-memory={80 * 2**20}"


@contextlib.contextmanager
def head(*options: str) -> Iterator[str]:
    """The first node of a cluster. It need not answer yet: see `answers`. Yields the address."""
    port = free_port()
    with _node("--head", f"--port={port}", "--include-dashboard=false", *options):
        yield f"127.0.0.1:{port}"


def answers(address: str) -> None:
    """Waits for it."""
    end = time.monotonic() + 60
    while True:
        try:
            return schedule.check_address(address)
        except StudyError:
            assert time.monotonic() < end, "Ray does not start"
            time.sleep(0.5)


@contextlib.contextmanager
def node(
    address: str,
    *options: str,
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    folder: str = "/",
) -> Iterator[subprocess.Popen[bytes]]:
    """One more node, with another working directory than whoever runs a study. Returns when it has joined.

    Args:
        within: a command that runs it, such as one that hides folders from it.
    """
    answers(address)
    with _node(
        f"--address={address}", *options, environment=environment, within=within, folder=folder, wait=True
    ) as made:
        yield made


def raylet(made: subprocess.Popen[bytes]) -> int:
    """The process that is a node, for Ray: without it the others there end. 0 where it does not run."""
    found = [pid for pid, command in in_session(made.pid).items() if "/raylet/raylet " in command]
    return found[0] if found else 0


@contextlib.contextmanager
def _node(
    *options: str,
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    folder: str = "/",
    wait: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address=127.0.0.1"]
    said = tempfile.TemporaryFile()  # noqa: SIM115
    made = subprocess.Popen(
        [*within, *ray, _STORE, *options],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"} | dict(environment or {}),
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 90
        while wait and b"Ray runtime started" not in os.pread(said.fileno(), 10_000, 0):
            assert made.poll() is None, os.pread(said.fileno(), 10_000, 0).decode()
            assert time.monotonic() < end, "the node does not join"
            time.sleep(0.1)
        yield made
    finally:
        said.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(made.pid, signal.SIGTERM)
        try:
            made.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(made.pid, signal.SIGKILL)
            made.wait()


@contextlib.contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    """With a database and artifacts of its own in a folder; killed at the end. It need not answer yet: see `up`."""
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
    command += ["--artifacts-destination", str(folder)]
    server = subprocess.Popen(
        command,
        env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def up(port: int) -> None:
    """Waits for an MLflow server."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health"):
            return
        time.sleep(0.2)
    raise AssertionError("the MLflow server does not start")
