"""python -m harness.ui: MLflow's pages on what was run, light and on this machine only."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from harness.console import complain, start
from harness.errors import TrackingError, UserError
from harness.files import default_data_dir
from harness.options import STORE, Parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(
        prog="python -m harness.ui",
        description="Browse what was run, in MLflow's pages or TensorBoard, on this machine only.",
        examples=["python -m harness.ui", "python -m harness.ui --tensorboard --port 6006"],
    )
    add = parser.add_argument
    add("--port", type=_port, default=5000, metavar="PORT", help="of the pages (default: %(default)s)")
    add("--tracking-uri", **STORE)
    tensorboard = (
        "show profiles in TensorBoard instead; DIR is what `harness.cost --profile --out DIR` was given, "
        "or its default"
    )
    add("--tensorboard", type=Path, nargs="?", const=Path(), metavar="DIR", help=tensorboard)
    profiles = "the data folder, whose `profiles` is that default (default: %(default)s)"
    add("--data-dir", type=Path, default=default_data_dir(), metavar="DIR", help=profiles)
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    try:
        if args.tensorboard is not None:
            given = args.tensorboard if args.tensorboard != Path() else args.data_dir / "profiles"
            return _tensorboard(given, args.port)
        return _serve(args.tracking_uri, args.port)
    except UserError as error:
        complain(error)
        return 2
    except KeyboardInterrupt:
        return 0


def _serve(uri: str, port: int) -> int:
    start("the tracking store", "MLflow")
    from harness.tracking.connection import without_secrets
    from harness.tracking.store import Store
    from harness.tracking.view import TRIALS, VIEW

    store = Store.open(uri)
    studies = store.studies()
    if not studies:
        raise TrackingError(
            f"no study in {without_secrets(store.uri, store.uri)} yet; "
            "run one: python -m harness.run studies/smoke.yaml"
        )
    _check_free(port)
    print("Of each study its variants as a table, the same as charts, and its trials:")
    for name in studies:
        runs = f"http://127.0.0.1:{port}/#/experiments/{store.experiment_id(name)}/runs"
        link = f"{runs}?workflowType=machine_learning"  # without it MLflow shows a page for language models
        for place, (mode, view) in enumerate([("TABLE", VIEW), ("CHART", VIEW), ("TABLE", TRIALS)]):
            shown = "" if place else name  # without a view, MLflow's table shows no metric
            print(f"  {shown:<24} {link}&compareRunsMode={mode}&viewStateShareKey={view}")
    print("Ready in about 6 s; stop with Ctrl-C.", flush=True)
    # Without its job runner MLflow takes 2 processes and half the memory.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    environment["MLFLOW_BACKEND_STORE_URI"] = (
        store.connection.address
    )  # a command line can be read by everybody on the machine
    command = ["mlflow", "ui", "--port", str(port), "--workers", "1"]
    command += ["--uvicorn-opts", "--log-level warning"]
    return _until_stopped(command, environment)


def _tensorboard(profiles: Path, port: int) -> int:
    if not any(profiles.glob("*/trace/*.pt.trace.json")):
        raise UserError(f"no profile in {profiles} yet; write one: python -m harness.cost STUDY --profile")
    _check_free(port)
    print(f"http://127.0.0.1:{port}/#pytorch_profiler   ready in about 5 s; stop with Ctrl-C")
    print(
        "The plugin loads its charts from the internet. Without it: timeline.html beside the traces.",
        flush=True,
    )
    command = ["tensorboard.main", "--logdir", str(profiles), "--host", "127.0.0.1", "--port", str(port)]
    return _until_stopped(command, os.environ | {"PYTHONWARNINGS": "ignore"})


def _until_stopped(command: list[str], environment: Mapping[str, str]) -> int:
    server = subprocess.Popen([sys.executable, "-m", *command], env=environment)
    try:
        return server.wait()
    finally:  # Ctrl-C reaches the server by itself, SIGTERM does not
        server.terminate()
        server.wait()


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; use a number from 1 to 65535")
    return int(text)


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            other = port + 1 if port < 65535 else 5000
            raise TrackingError(f"--port {port}: cannot be used here; try --port {other}") from None


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
