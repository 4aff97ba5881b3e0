"""Commands that run in a process of their own: a port for them, and what is left of them."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path


def free_port() -> int:
    """One on the loopback address that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def in_session(group: int) -> dict[int, str]:
    """The commands of all processes of a session, by their ids."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
            if int(fields[3]) == group and fields[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def leftovers(group: int) -> list[str]:
    """Processes that are still in the session of an ended command, a moment granted to those that are ending.

    Two helpers of a killed Ray find out by themselves after half a minute or more: they are not waited for.
    """
    deadline = time.monotonic() + 20
    while True:
        alive = [command[:100] for command in in_session(group).values() if "Agent" not in command]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.2)
