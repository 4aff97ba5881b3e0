"""The nodes of a Ray cluster: what each must have so that a trial can go there, and whether one is still there."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import machine
from harness.errors import StudyError, printable

if TYPE_CHECKING:  # a worker imports this, and only watches: it needs no torch
    from harness.study.resources import ResolvedResources

_PATIENCE = 60.0  # seconds for a node to say what it has
_KNOCK = 5.0  # seconds for a node to answer at its port


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a node must have, as this process has it.

    token, content: a file beside or in the data folder, and what is written in it: so it is the same folder.
    paths: other files and folders that trials read.
    """

    mixtbench: str
    digest: str
    torch: str
    data_dir: str
    token: str
    content: str
    paths: tuple[str, ...] = ()


@contextlib.contextmanager
def needs(data_dir: Path, paths: Sequence[Path] = ()) -> Iterator[Needs]:
    """Meanwhile the token lies in the data folder, or where that is to be made.

    Raises:
        OSError: it cannot be written.
    """
    there = next(parent for parent in (data_dir, *data_dir.parents) if parent.exists())
    content = secrets.token_hex(16)
    with tempfile.NamedTemporaryFile("w", dir=there, prefix=".shared-", suffix=".token") as file:
        file.write(content)
        file.flush()
        os.chmod(file.name, 0o644)  # Ray's workers may be another user's
        yield Needs(
            mixtbench=machine.commit(),
            digest=machine.code_digest(),
            torch=_torch(),
            data_dir=str(data_dir),
            token=file.name,
            content=content,
            paths=tuple(map(str, paths)),
        )


def _torch() -> str:
    """The release: builds of it for CPUs and for GPUs may be mixed."""
    try:
        return version("torch").partition("+")[0]
    except PackageNotFoundError:
        return "not installed"


def lacks(wanted: Needs) -> str:
    """What this node has otherwise, or not at all, in words; "" where nothing."""
    found = []
    if machine.code_digest() != wanted.digest:
        there = machine.commit()
        edited = there == wanted.mixtbench
        found.append(
            f"files of mixtbench differ ({there} on both)"
            if edited
            else f"mixtbench is {there}, here {wanted.mixtbench}"
        )
    if (torch := _torch()) != wanted.torch:
        found.append(f"torch is {torch}, here {wanted.torch}")
    found += filter(None, [_folder(wanted)])
    found += [f"{path} cannot be seen" for path in wanted.paths if not Path(path).exists()]
    return "; ".join(found)


def _folder(wanted: Needs) -> str:
    """What is wrong with the data folder."""
    token, name = Path(wanted.token), f"the data folder {wanted.data_dir}"
    if not token.parent.exists():
        return f"{name} cannot be seen"
    try:
        if token.read_text() != wanted.content:
            return f"{name} is another one"
        with tempfile.TemporaryFile(dir=token.parent):
            return ""
    except FileNotFoundError:
        return f"{name} is another one"
    except OSError as error:
        return f"{name} cannot be used: {error.strerror}"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One that is in the cluster."""

    id: str
    name: str
    cpus: float
    gpus: float

    def fits(self, each: ResolvedResources) -> bool:
        """Whether a trial does: it is never shared out among nodes."""
        return each.cpus <= self.cpus and each.gpus <= self.gpus


def able(each: ResolvedResources) -> list[Node]:
    """Those on which a trial can run.

    Raises:
        StudyError: there is none.
    """
    there = [_node(known) for known in _known() if known["Alive"]]
    found = [node for node in there if node.fits(each)]
    if not found:
        each.check({"cpus": max(n.cpus for n in there), "gpus": max(n.gpus for n in there)})
        raise StudyError(f"resources: no node of the cluster has {each.cpus:g} cpus and {each.gpus:g} gpus")
    return found


def lacking(wanted: Needs, each: Sequence[ResolvedResources]) -> list[str]:
    """What is wrong with the nodes on which trials can run: a line for each that is not as this one.

    Raises:
        StudyError: a trial can run on none.
    """
    nodes = {node.id: node for one in each for node in able(one)}
    asked = {_ask(node.id, wanted): node for node in nodes.values()}
    return [f"node {node.name}: {what}" for ref, node in asked.items() if (what := _answer(ref))]


def _ask(node: str, wanted: Needs) -> Any:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    facts = asdict(wanted)

    def say() -> str:
        # As a function inside another one it travels whole: the node may not have this project at all.
        try:
            from harness.run import nodes
        except ImportError as error:
            return f"mixtbench is not there, or another version ({error})"
        return nodes.lacks(nodes.Needs(**facts))

    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(say).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote()


def _answer(asked: Any) -> str:
    import ray

    try:
        return str(ray.get(asked, timeout=_PATIENCE))
    except ray.exceptions.GetTimeoutError:
        return f"does not answer within {_PATIENCE:g} s"
    except ray.exceptions.RayError as error:
        return printable(str(error).strip().splitlines()[-1])


def lost(node: str) -> str:
    """The name of a node that is gone, or "".

    Args:
        node: its id; "" for any that Ray believes to be there.
    """
    for known in _known():
        asked = known["NodeID"] == node or (not node and known["Alive"])
        if asked and not (known["Alive"] and _answers(known)):
            return _node(known).name
    return ""


def _answers(known: dict[str, Any]) -> bool:
    """Ray takes half a minute to notice that a node is gone; its port tells at once."""
    try:
        socket.create_connection((known["NodeManagerAddress"], known["NodeManagerPort"]), _KNOCK).close()
    except OSError:
        return False
    return True


def _known() -> list[dict[str, Any]]:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()
    return nodes


def _node(known: dict[str, Any]) -> Node:
    has, name, host = known["Resources"], known["NodeName"], known["NodeManagerAddress"]
    return Node(
        id=known["NodeID"],
        name=host if name in ("", host) else f"{name} ({host})",
        cpus=has.get("CPU", 0),
        gpus=has.get("GPU", 0),
    )
