"""Who writes a run that is in progress, and whether that process is still there."""

from __future__ import annotations

import functools
import math
import os
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from harness.tracking.connection import Connection

if TYPE_CHECKING:
    from harness.tracking.connection import Run

DRIVER, SEEN = "mixtbench.driver", "mixtbench.seen"
"""Tags of a run in progress: its writer, as host:process:start; and when that was last there, in seconds of its clock,
where other machines can write into the store too."""

_BEAT, _SILENCE = 60, 600
"""Seconds between two signs of life, and without one until a driver on another machine counts as gone."""


@functools.cache  # the name of a host may change meanwhile, as a laptop's does in another network
def this_driver() -> str:
    """What `DRIVER` says of this process."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


def is_alive(run: Run) -> bool:
    """Whether another process that writes a run may still be there. This one itself does not count."""
    host, _, rest = run.data.tags.get(DRIVER, "").partition(":")
    pid, _, started = rest.partition(":")
    if host != this_driver().partition(":")[0]:
        seen = run.data.tags.get(SEEN)
        return seen is None or time.time() - _seconds(seen) < _SILENCE
    if os.name == "nt":  # there, asking would end the process
        return True
    if not pid.isdecimal():  # whatever somebody wrote there
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    if started and started != _started(int(pid)):  # another process has its number now
        return False
    return int(pid) != os.getpid()


def _seconds(text: str) -> float:
    """No number where somebody else wrote it."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _started(pid: int) -> str:
    """When a process started, in ticks since the system did; "" where nobody says."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


class Heartbeat:
    """Signs of life on the runs of this process, from a thread of its own."""

    def __init__(self, connection: Connection, runs: Mapping[str, str]) -> None:
        self._client, self._runs = connection.client, runs
        self._stop = threading.Event()
        threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT):
            for run_id in list(self._runs.values()):
                with suppress(Exception):  # whoever writes the run itself hears of what is wrong
                    self._client.set_tag(run_id, SEEN, now())

    def stop(self) -> None:
        """No further sign."""
        self._stop.set()


def now() -> str:
    """What `SEEN` says."""
    return f"{time.time():.0f}"
