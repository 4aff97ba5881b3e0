"""The server from which the processes of trials are forked: it imports what they need, and computes nothing.

So a trial starts in milliseconds where torch alone takes seconds, and nothing that another trial did is there. No
thread may run here when a process is forked: the fork would not have it, but the locks that it held.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import select
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import Connection
from typing import NoReturn

import torch._dynamo  # noqa: F401  # every optimiser of torch imports it when it is made

import harness.train.trial  # noqa: F401  # and with it the zoo
from harness.train.apart import END, EXPLAIN, FORK, READY, Said
from harness.train.processes import adopt_orphans, end_children, end_with, in_mib


def serve(number: int) -> None:
    """Fork a process for each FORK that is asked for on a socket, one at a time, until the asking end is closed.

    Args:
        number: the socket's file descriptor.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # of a whole group's; whoever asked decides
    adopt_orphans()
    gc.freeze()  # what is here stays; forks need not look through it again and again
    gc.enable()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # else none would be written to `wake`
    signal.set_wakeup_fd(wake)
    # Whoever asked may go without a word, and leave one of ours unread: that is an end like any other.
    with socket.socket(fileno=number) as asked, contextlib.suppress(ConnectionError):
        asked.send(READY)
        while True:
            word, files, _, _ = socket.recv_fds(asked, 1, 1)
            if not word:
                return
            if word != FORK:  # about a process that has just ended
                continue
            server, pid = os.getpid(), os.fork()
            if pid == 0:
                for other in (asked.detach(), woken, wake):
                    os.close(other)
                _work(files[0], server)
            os.close(files[0])
            with contextlib.suppress(OSError):  # here too, so that its group is there from the start
                os.setpgid(pid, pid)
            code, memory = _attend(pid, asked, woken)
            end_children()  # those too that it had started in a session of their own
            with contextlib.suppress(OSError):
                asked.send(END.pack(code, memory))


def _attend(pid: int, asked: socket.socket, woken: int) -> tuple[int, float]:
    """Wait for a process, or end it where that is asked for. Returns how it ended, and its peak memory in MiB."""
    while True:
        ready, _, _ = select.select([asked.fileno(), woken], [], [])
        if asked.fileno() in ready:
            if asked.recv(1, socket.MSG_PEEK) == EXPLAIN:
                os.kill(pid, signal.SIGUSR1)
                time.sleep(0.5)
            _end_group(pid)
            _, status, usage = os.wait4(pid, 0)
            asked.recv(1)
        else:
            os.read(woken, 64)
            ended, status, usage = os.wait4(pid, os.WNOHANG)
            if not ended:
                continue
            _end_group(pid)  # whatever the process had started
        return os.waitstatus_to_exitcode(status), in_mib(usage.ru_maxrss)


def _end_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _work(pipe_number: int, server: int) -> NoReturn:
    """What a forked process does, and all it does."""
    code = 1
    try:
        os.setpgid(0, 0)
        end_with(server)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        pipe = Connection(pipe_number)
        environment, folder, sys.path[:] = pipe.recv()
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        function, arguments = pickle.loads(pipe.recv_bytes())

        def say(said: Said) -> None:
            try:
                pipe.send(said)
            except OSError:  # nobody listens any more
                os._exit(1)

        function(say, *arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
