"""Pictures of the pages that a reader sees, for the README and for looking at: python tests/screenshots.py --help."""

from __future__ import annotations

import argparse
import html
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from builders.pointer import Page, opened
from builders.processes import free_port

from harness.tracking.store import Store
from harness.tracking.view import TRIALS, VIEW

FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
]


def chromium() -> str | None:
    """A browser of that family, if one is installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(address: str, *wanted: str, size: str = "1280,900", dark: bool = False, seconds: int = 60) -> str:
    """Open a page in a browser that nobody sees. wanted: --screenshot=FILE, --dump-dom, --print-to-pdf=FILE."""
    browser = chromium()
    assert browser, "no chromium is installed"
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser,
            *FLAGS,
            *scheme,
            f"--user-data-dir={profile}",
            f"--window-size={size}",
            *wanted,
            address,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@contextmanager
def seated(address: str, width: int = 1440, height: int = 900) -> Iterator[Page]:
    """A page before somebody with a pointer."""
    browser = chromium()
    assert browser, "no chromium is installed"
    with opened(browser, FLAGS) as page:
        page.look(width, height)
        page.go(address)
        yield page


def phone(page: Path, width: int = 390, height: int = 6000) -> str:
    """A page's address at the width of a phone: the window of a browser without a screen has a least width."""
    frame = Path(tempfile.mkdtemp()) / "phone.html"
    frame.write_text(
        f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" style="border:0" '
        f'width="{width}" height="{height}"></iframe>'
    )
    return frame.as_uri()


def measured(seen: Sequence[tuple[str, int]], script: str) -> list[Any]:
    """What a script finds in pages of these widths. script: a function of a page's document."""
    frames = "".join(
        f'<iframe width="{width}" height="900" style="border:0; display:block" srcdoc="{html.escape(page)}"></iframe>'
        for page, width in seen
    )
    each = f"[...document.querySelectorAll('iframe')].map(one => ({script})(one.contentDocument))"
    run = f"found.textContent = JSON.stringify({each})"
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "frames.html"
        text = f'<body style="margin:0">{frames}<pre id="found"></pre><script>onload = () => {{ {run} }}</script>'
        whole.write_text(text, encoding="utf-8")
        dom = browse(whole.as_uri(), "--dump-dom", size="1500,1000")
    found = re.search('<pre id="found">(.*?)</pre>', dom, re.DOTALL)
    assert found, dom[-500:]
    return list(json.loads(html.unescape(found[1])))


@contextmanager
def served(uri: str) -> Iterator[str]:
    """The MLflow pages of a store, as `harness.ui` serves them; gives their address."""
    port = free_port()
    command = [sys.executable, "-m", "harness.ui", "--port", str(port), "--tracking-uri", uri]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, "harness.ui ended"
                time.sleep(0.5)
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


def pages(address: str, uri: str, study: str) -> dict[str, str]:
    """What of a study is worth a picture: its name and the address."""
    store = Store.open(uri)
    record = store.load_study(study)
    experiment, summary = store.experiment_id(study), store.summary_id(study)
    runs = [trial.run_id for trial in record.trials if trial.status == "done"]
    root = f"{address}/#/experiments/{experiment}"
    listed = f"{root}/runs?workflowType=machine_learning"
    found = {
        "variants": f"{listed}&viewStateShareKey={VIEW}&compareRunsMode=TABLE",
        "trials": f"{listed}&viewStateShareKey={TRIALS}&compareRunsMode=TABLE",
        "charts": f"{listed}&compareRunsMode=CHART&viewStateShareKey={VIEW}",
        "report": f"{root}/runs/{summary}/artifacts/report/index.html?workflowType=machine_learning",
    }
    if runs:
        found["trial"] = f"{root}/runs/{runs[0]}?workflowType=machine_learning"
        quoted = "[" + ",".join(f'"{run}"' for run in runs) + "]"
        query = f'runs={quoted}&experiments=["{experiment}"]&workflowType=machine_learning'
        found["compare"] = f"{address}/#/compare-runs?{query}".replace('"', "%22")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the pictures")
    parser.add_argument("--study", required=True)
    parser.add_argument("--tracking-uri", default="sqlite:///mlflow.db")
    parser.add_argument("--reports", type=Path, default=Path("reports/reference"))
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    page = args.reports / args.study / "index.html"
    if page.exists():
        here = page.resolve().as_uri()
        browse(here, f"--screenshot={args.out / 'report-light.png'}", size="1200,2400")
        browse(here, f"--screenshot={args.out / 'report-dark.png'}", size="1200,2400", dark=True)
        browse(phone(page), f"--screenshot={args.out / 'report-phone.png'}", size="500,6000")
        browse(here, f"--print-to-pdf={args.out / 'report.pdf'}", "--no-pdf-header-footer")
    with served(args.tracking_uri) as address:
        for name, link in pages(address, args.tracking_uri, args.study).items():
            picture = args.out / f"mlflow-{name}.png"
            browse(
                link, f"--screenshot={picture}", "--virtual-time-budget=120000", size="1900,1000", seconds=180
            )
            print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
