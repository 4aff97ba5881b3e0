"""A browser that somebody sits before: pages of any width, light, dark or on paper, and a pointer.

Over the DevTools protocol on two pipes, which needs nothing but the browser.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60.0
"""Until a browser that says nothing is given up."""


class Page:
    """One page of a browser. Made by `opened`."""

    def __init__(self, ends: tuple[int, int]) -> None:
        self._read, self._write = ends
        self._sent, self._session, self._left = 0, "", b""

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer."""
        self._sent += 1
        message: dict[str, Any] = {"id": self._sent, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._sent:
            pass  # events, which nobody asked for
        assert "error" not in answer, (method, answer["error"])
        return dict(answer["result"])

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, "the browser ended or says nothing"
            self._left += part
        first, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(first))

    def go(self, address: str) -> None:
        """Open a page and wait until it is there."""
        self.ask("Page.navigate", url=address)
        ready = f"document.readyState === 'complete' && location.href.startsWith({json.dumps(address)})"
        deadline = time.monotonic() + SECONDS
        while not self.script(ready):
            assert time.monotonic() < deadline, address
            time.sleep(0.02)

    def attach(self) -> None:
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def look(self, width: int, height: int = 900, *, dark: bool = False, printed: bool = False) -> None:
        """How the page is seen from now on."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", media="print" if printed else "", features=[scheme])

    def script(self, expression: str) -> Any:
        """What an expression of JavaScript is, as JSON has it."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def place(self, element: str) -> tuple[float, float]:
        """The middle of an element, an expression that is one, scrolled into sight."""
        middle = "(at => [at.x + at.width / 2, at.y + at.height / 2])(one.getBoundingClientRect())"
        x, y = self.script(
            f"(one => {{ one.scrollIntoView({{block: 'center'}}); return {middle}; }})({element})"
        )
        return float(x), float(y)

    def move(self, x: float, y: float) -> None:
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        self.move(x, y)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, x: float, y: float) -> None:
        """With a finger, which is lifted again."""
        self.ask("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.ask("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def picture(self, file: Path, *, whole: bool = False) -> None:
        """Of what is on the screen, or of the whole page, as PNG."""
        taken = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(taken["data"]))


@contextmanager
def opened(browser: str, flags: Sequence[str]) -> Iterator[Page]:
    """A browser with one page, ended afterwards."""
    theirs_in, mine_out = os.pipe()
    mine_in, theirs_out = os.pipe()
    # The browser knows its ends as 3 and 4, which may be anything here.
    high = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (theirs_in, theirs_out)]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [browser, *flags, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        started = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{high[0]} 4>&{high[1]}', "browser", *words],
            pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for end in (theirs_in, theirs_out, *high):
                os.close(end)
            page = Page((mine_in, mine_out))
            page.attach()
            yield page
        finally:
            os.close(mine_out)  # which ends it
            started.terminate()
            started.wait(timeout=30)
            os.close(mine_in)
