"""python -m harness.ui: MLflow's pages on what was run, light and on this machine only."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence

from harness.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m harness.ui", description="Browse the tracking store.")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--tracking-uri", default="", metavar="URI")
    args = parser.parse_args(argv)
    try:
        return _serve(args.tracking_uri, args.port)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 0


def _serve(uri: str, port: int) -> int:
    from harness import tracking

    store = tracking.Store.open(uri)
    print("The runs of each study:")
    for name in store.studies():
        # The plain link to an experiment lands on a page for language models; this one shows the runs at once.
        link = f"http://127.0.0.1:{port}/#/experiments/{store.experiment_id(name)}/runs?workflowType=machine_learning"
        print(f"  {name:<24} {link}")
    print("Ready in about 6 s; stop with Ctrl-C.", flush=True)
    # Without its job runner MLflow takes 2 processes and half the memory.
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    command = ["mlflow", "ui", "--backend-store-uri", store.uri, "--port", str(port), "--workers", "1"]
    return subprocess.run([sys.executable, "-m", *command], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
