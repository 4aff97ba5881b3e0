"""The forms in which a network leaves this project: torch.export, and ONNX by torch's own exporter.

The door to ONNX Runtime, which runs what was written before anybody is told that it is done.
"""

from __future__ import annotations

import copy
import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from harness.errors import UserError, in_a_line
from harness.outside import blamed
from operators import TemporalOp
from operators.stencil.exported import exported

FORMS = ("onnx", "torch")

INPUT, OUTPUT = "clips", "scores"

OPSET = 20
"""Of ONNX, where none is asked for: ONNX Runtime reads it from version 1.17 (2024) on."""

OLDEST_OPSET = 18
"""torch's exporter writes no older one."""

TOLERANCE = 1e-5
"""How far a file may be from the network, as a part of the largest score; fp32 on both sides."""

EXTRA = "pip install 'mixtbench[export]'"


class Form(NamedTuple):
    """A network as a file.

    content: of the file.
    run: the file, loaded back: (N, T, 3, H, W) float32 -> (N, classes).
    kinds: of nodes in the graph, sorted: `Conv`, or `aten.convolution.default`.
    """

    content: bytes
    run: Callable[[Tensor], Tensor]
    kinds: list[str]


class _Filter(TemporalOp):
    """An operator that is one filter per channel, as its taps: how they were computed stays behind."""

    table: Tensor

    def __init__(self, operator: TemporalOp, offsets: Sequence[int], weights: Tensor) -> None:
        super().__init__(operator.channels, operator.num_frames)
        reach = max(map(abs, offsets))
        table = torch.zeros(2 * reach + 1, operator.channels, dtype=weights.dtype)
        table[[offset + reach for offset in offsets]] = weights.detach().cpu()
        self.register_buffer("table", table)

    def forward(self, x: Tensor) -> Tensor:
        return exported(x, self.table)


def _with_taps(network: nn.Module) -> nn.Module:
    """A copy with filters in the place of operators that say that they are such."""
    copied = copy.deepcopy(network)
    for where, module in list(copied.named_modules()):
        if isinstance(module, TemporalOp) and module.reach != 0 and (taps := module.kernel()) is not None:
            above, _, name = where.rpartition(".")
            setattr(copied.get_submodule(above), name, _Filter(module, *taps))
    return copied


def program(network: nn.Module, clips: Tensor) -> ExportedProgram:
    """What the network computes, as torch.export writes it down: for any number of clips of this size.

    Args:
        network: in evaluation mode.
        clips: (N, T, 3, H, W), N at least 2, to try it with; their numbers do not matter.

    Raises:
        UserError: an operator's code cannot be written down, or uses an operation that is not torch's: names the node.
    """
    many = torch.export.Dim("many", min=1)
    try:
        with _quiet():
            found = torch.export.export(
                _with_taps(network), (clips,), dynamic_shapes=({0: many},), strict=False
            )
            found = found.run_decompositions({})
    except Exception as error:  # whatever torch, or a user's own operator, raises
        raise UserError(f"torch.export cannot follow it: {blamed(error)}") from None
    for node in found.graph.nodes:
        target = node.target
        if isinstance(target, torch._ops.OpOverload) and target.namespace not in ("aten", "prims"):
            module = _module(node)
            raise UserError(
                f"node {node.name} of {module}: {target.namespace}.{target._opname} is no operation of torch's; "
                "whoever loads the file would need its code: write it in torch's own operations"
            )
    return found


def as_torch(found: ExportedProgram) -> Form:
    """A `.pt2` file, which `torch.export.load` reads without this project."""
    file = io.BytesIO()
    with _quiet():
        torch.export.save(found, file)
        loaded = torch.export.load(io.BytesIO(file.getvalue())).module()
    kinds = sorted({str(node.target) for node in found.graph.nodes if node.op == "call_function"})
    return Form(file.getvalue(), lambda clips: loaded(clips), kinds)


def as_onnx(found: ExportedProgram, clips: Tensor, opset: int = OPSET) -> Form:
    """An `.onnx` file of standard nodes.

    Raises:
        UserError: the opset is too old, ONNX is not installed, or has no form of a node, which is named.
    """
    if opset < OLDEST_OPSET:
        raise UserError(f"--opset {opset}: is too old; torch's exporter writes {OLDEST_OPSET} or newer")
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter imports it
    except ImportError as error:
        raise UserError(f"--to onnx: {error.name} is not installed; {EXTRA}") from None
    try:
        with _quiet():
            written = torch.onnx.export(
                found,
                (clips,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=opset,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        assert written is not None
        model = written.model_proto
        content = model.SerializeToString()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of torch's exporter, of onnxscript, of ONNX Runtime
        raise UserError(f"ONNX, opset {opset}: {_blamed(error, found)}") from None
    if own := sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"}):
        raise UserError(
            f"ONNX, opset {opset}: the file would need nodes of {', '.join(own)}, not standard ones"
        )

    def run(clips: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: clips.numpy()})[0])

    return Form(content, run, sorted({node.op_type for node in model.graph.node}))


def difference(network: nn.Module, form: Form, shape: tuple[int, ...], seed: int = 0) -> float:
    """The largest difference between a network and its file, as a part of the largest score.

    Random clips: one alone, and three at once, where the first has to come out as it did alone.

    Args:
        shape: of a clip, (T, 3, H, W).
    """
    generator = torch.Generator().manual_seed(seed)
    largest = 0.0
    for many in (1, 3):
        clips = torch.randn(many, *shape, generator=generator)
        with torch.no_grad():
            own, other = network(clips), form.run(clips)
        largest = max(largest, float((own - other).abs().max() / own.abs().max().clamp_min(1e-30)))
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporters say about themselves: warnings, and whole graphs where something fails."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _module(node: torch.fx.Node) -> str:
    """Where in the network a node comes from: `layer1.0.temporal`."""
    stack = list(node.meta.get("nn_module_stack", {}).values())
    return str(stack[-1][0]) if stack and stack[-1][0] else "the network"


def _blamed(error: BaseException, found: ExportedProgram) -> str:
    """Which node it was, where the exporter says so."""
    texts = []
    cause: BaseException | None = error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__
    named = re.search(r"translating node %?(\w+)", " ".join(texts))
    node = next((node for node in found.graph.nodes if named and node.name == named[1]), None)
    if node is not None:
        return f"has no form of node {node.name} of {_module(node)} ({node.target})"
    return f"cannot be written: {in_a_line(error)}"
