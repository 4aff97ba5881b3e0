"""Work in a process of its own: from which server it comes, what reaches it, and how its end is told."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from builders.place import ROOT
from builders.processes import in_session

from harness.train import apart
from harness.train.apart import Said, Work
from harness.train.processes import how_it_ended, out_of_memory_kills

Say = Callable[[Said], None]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")


def told(function: Callable[..., None], *arguments: object, **limits: float) -> list[Said]:
    return list(apart.run(Work(call=pickle.dumps((function, arguments)), **limits)))


def tell(say: Say, *keys: str) -> None:
    facts = {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
        "threads": len(os.listdir("/proc/self/task")) if Path("/proc").exists() else 1,
        "modules": set(sys.modules),
        "default dtype": str(torch.get_default_dtype()),
        "cuda": torch.cuda.is_initialized(),
        "server": os.getppid(),
    }
    say({"record": {key: facts[key] for key in keys}})


def test_the_work_has_the_place_and_the_environment_of_whoever_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of this moment, not of the server's start: Ray tells a worker its GPUs when it is given a trial."""
    told(tell)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    ((said,),) = [told(tell, "environment", "folder", "path")]
    assert said["record"] == {"environment": dict(os.environ), "folder": str(tmp_path), "path": sys.path}


def spoil(say: Say) -> None:
    torch.set_default_dtype(torch.float64)
    os.environ["SPOILT"] = "1"
    threading.Thread(target=time.sleep, args=(60,)).start()
    say({"record": {}})


def test_each_work_starts_clean_from_one_server_where_nothing_was_computed() -> None:
    told(spoil)
    first, second = (told(tell, "server", "threads", "modules", "default dtype", "cuda") for _ in range(2))
    assert first == second
    record = first[0]["record"]
    assert (record["threads"], record["default dtype"], record["cuda"]) == (1, "torch.float32", False)
    assert {"torch._dynamo", "harness.train.trial", "operators"} <= record["modules"]
    assert not {"ray", "mlflow", "matplotlib", "pandas"} & record["modules"]


def test_a_start_takes_far_less_than_the_imports() -> None:
    told(tell)
    begin = time.perf_counter()
    for _ in range(5):
        told(tell)
    each = (time.perf_counter() - begin) / 5
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    assert each < 0.2 * (time.perf_counter() - begin)


def speak_and_die(say: Say, number: int) -> None:
    say({"entry": {"epoch": 1.0}})
    os.kill(os.getpid(), number)
    time.sleep(60)


def test_what_was_said_before_an_end_is_told_and_then_the_end() -> None:
    entry, end = told(speak_and_die, signal.SIGTERM)
    assert entry == {"entry": {"epoch": 1.0}}
    assert end["died"] == "its process was ended by signal 15 (SIGTERM)"
    assert 50 < end["peak_memory_mib"] < 4000


def hold(say: Say, mark: str, seconds: float = 600) -> None:
    child = os.fork()
    if not child:
        time.sleep(seconds)
        os._exit(0)
    Path(mark).write_text(f"{os.getpid()} {child}")
    say({"entry": {}})
    time.sleep(seconds)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone(pids: list[int]) -> bool:
    end = time.monotonic() + 20
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(alive, pids))


def test_whoever_stops_listening_ends_the_work_and_what_it_started(tmp_path: Path) -> None:
    listening = apart.run(Work(call=pickle.dumps((hold, (str(tmp_path / "pids"),)))))
    next(listening)
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    begin = time.monotonic()
    listening.close()
    assert time.monotonic() - begin < 5
    assert gone(pids)
    assert told(tell)  # the server serves on


def leave_behind(say: Say) -> None:
    sleeper = subprocess.Popen(["sh", "-c", "sleep 600 & exec sleep 600"], start_new_session=True)
    say({"record": {"pid": sleeper.pid}})


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="nobody says whose children"
)
def test_what_work_leaves_running_in_a_session_of_its_own_ends_with_it() -> None:
    (said,) = told(leave_behind)
    told(tell)  # the server has done with what was before
    session = said["record"]["pid"]
    assert in_session(session) == {}


DRIVER = """
import pickle, sys
from harness.train import apart
import test_apart
for said in apart.run(apart.Work(call=pickle.dumps((test_apart.hold, (sys.argv[1],))))):
    pass
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("whom", ["driver", "server"])
def test_a_killed_driver_or_server_takes_the_work_along(tmp_path: Path, whom: str) -> None:
    mark = tmp_path / "pids"
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent), str(ROOT / "tests")])
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(mark)], env=os.environ | {"PYTHONPATH": path}
    )
    end = time.monotonic() + 120
    while not mark.exists() or not mark.read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    worker = int(mark.read_text().split()[0])
    server = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill({"driver": driver.pid, "server": server}[whom], signal.SIGKILL)
    assert gone([worker, server])
    assert driver.wait(20) == (-signal.SIGKILL if whom == "driver" else 0)


def lose_the_server(say: Say) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)


def test_a_lost_server_is_said_and_replaced() -> None:
    ((said,),) = [told(lose_the_server)]
    assert said["died"].startswith(
        "the server that its process was forked from was ended by signal 9 (SIGKILL)"
    )
    assert told(tell) == [{"record": {}}]


def chatter(say: Say, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        say(apart.ALIVE)
        time.sleep(0.1)
    say({"record": {}})


def test_work_that_shows_signs_of_life_is_not_stalled_but_may_take_too_long() -> None:
    assert told(chatter, 3.0, stall_limit=0.02) == [{"record": {}}]  # 1.2 seconds
    ((said,),) = [told(chatter, 60.0, stall_limit=0.02, time_limit=0.02)]
    assert said["died"].startswith("not done after 0.02 min (train.time_limit)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with 0"),
        (-11, "was ended by signal 11 (SIGSEGV)"),
        (-40, "was ended by signal 40"),
        (-9, "was ended by signal 9 (SIGKILL); the system may have been out of memory (see resources.cpus)"),
    ],
)
def test_an_end_is_said_in_words(code: int, words: str) -> None:
    assert how_it_ended(code) == words


def test_the_kernels_own_word_for_want_of_memory_is_passed_on() -> None:
    killed = "was ended by signal 9 (SIGKILL): the kernel was out of memory; try a smaller "
    assert how_it_ended(-9, out_of_memory=True).startswith(killed)
    assert how_it_ended(-15, out_of_memory=True) == "was ended by signal 15 (SIGTERM)"


@pytest.mark.parametrize(
    ("group", "file", "content"),
    [
        ("0::/job/7\n", "job/7/memory.events", "low 0\nmax 9\noom 4\noom_kill 3\noom_group_kill 0\n"),
        (
            "12:pids:/job\n5:cpu,memory:/job\n0::/\n",
            "memory/job/memory.oom_control",
            "under_oom 0\noom_kill 3\n",
        ),
    ],
)
def test_kills_are_counted_in_control_groups_of_both_versions(
    tmp_path: Path, group: str, file: str, content: str
) -> None:
    """As the kernel writes them: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst."""
    proc, groups = tmp_path / "proc", tmp_path / "groups"
    (proc / "self").mkdir(parents=True)
    assert out_of_memory_kills(proc, groups) == 0
    (proc / "vmstat").write_text("pgfault 100\noom_kill 2\n")
    (proc / "self" / "cgroup").write_text(group)
    assert out_of_memory_kills(proc, groups) == 2
    (groups / file).parent.mkdir(parents=True)
    (groups / file).write_text(content)
    assert out_of_memory_kills(proc, groups) == 5


def test_an_unfinished_sentence_is_no_word(tmp_path: Path) -> None:
    """Of a process that is killed while it speaks: a record larger than a pipe holds, and nobody reads it yet."""
    listening = apart.run(Work(call=pickle.dumps((two_sentences, (str(tmp_path / "pid"),)))))
    assert next(listening) == {"entry": {}}
    time.sleep(1)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    (end,) = list(listening)
    assert end["died"].startswith("its process was ended by signal 9 (SIGKILL)")


def two_sentences(say: Say, mark: str) -> None:
    Path(mark).write_text(str(os.getpid()))
    say({"entry": {}})
    say({"record": {"long": "x" * 50_000_000}})


def ended(how: str) -> str:
    if how == "raises":
        raise ZeroDivisionError("division by zero")
    if how == "exits":
        os._exit(4)
    if how == "sleeps":
        time.sleep(60)
    return "well"


def test_a_function_is_answered_from_a_process_of_its_own() -> None:
    assert apart.answer(ended, "returns", seconds=60) == "well"
    assert apart.answer(os.getpid, seconds=60) != os.getpid()


@pytest.mark.parametrize(
    ("how", "seconds", "words"),
    [
        ("raises", 60, "ZeroDivisionError: division by zero"),
        ("exits", 60, "its process exited with 4"),
        ("sleeps", 1, "its process was not done after 1 s"),
    ],
)
def test_why_there_is_no_answer_is_said_in_a_line(how: str, seconds: int, words: str) -> None:
    with pytest.raises(apart.NoAnswerError) as error:
        apart.answer(ended, how, seconds=seconds)
    assert str(error.value) == words


def test_a_server_that_nobody_needed_ends_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    server = apart._Server()
    assert select.select([server.socket], [], [], 120)[0]  # it is ready, which nobody has read
    server.socket.close()
    assert server._process.wait(30) == 0
    assert capfd.readouterr() == ("", "")


def test_a_server_that_is_still_importing_ends_at_once() -> None:
    apart.close()
    apart.prepare()
    (server,) = apart._kept
    begin = time.monotonic()
    apart.close()
    assert not server.lives
    assert time.monotonic() - begin < 1
