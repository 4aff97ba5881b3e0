"""The stencil: every path against its definition, and what it promises at the edges and to torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from harness.model.config import ModelConfig
from harness.model.mstnet import MSTNet
from operators import MixTConv, Shift, make_operator
from operators.stencil import Span, stencil

# TorchInductor's import uses what torch itself has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
QUICK = ["reference", "eager"]
GPU = [pytest.param("triton", marks=pytest.mark.skipif(not CUDA, reason="no CUDA device"))]
PATHS = [*QUICK, *GPU]
FORMATS = pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])

# (channels, kernel sizes, dilations): odd numbers of everything, kernels wider than clips, gaps between taps
TABLES = [(17, [1, 3, 5, 7], None), (5, [1], None), (6, [9], None), (7, [3, 3], [1, 3]), (4, [5], [2])]
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 5e-3, torch.float16: 1e-3}


def clips(
    *shape: int, channels_last: bool = False, dtype: torch.dtype = torch.float64, seed: int = 0
) -> Tensor:
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)
    return in_format(x.to(DEVICE), channels_last)


def in_format(x: Tensor, channels_last: bool) -> Tensor:
    return x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3) if channels_last else x.contiguous()


def table_and_spans(
    channels: int, sizes: Sequence[int], dilations: Sequence[int] | None
) -> tuple[Tensor, list[Span]]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        op = MixTConv(channels, 1, sizes, dilations, init="random").double()
    return op.table().detach().to(DEVICE), op.spans


def plainly(x: Tensor, table: Tensor) -> Tensor:
    """The definition, one frame and one offset at a time."""
    reach, y = len(table) // 2, torch.zeros_like(x)
    for t, d in product(range(x.shape[1]), range(-reach, reach + 1)):
        if 0 <= t + d < x.shape[1]:
            y[:, t] += table[reach + d, :, None, None] * x[:, t + d]
    return y


def error(ours: Tensor, exact: Tensor) -> float:
    return float((ours.double() - exact).norm() / exact.norm().clamp_min(1e-30))


def check_case(path: str, shape: Sequence[int], case: Any, dtype: torch.dtype, channels_last: bool) -> None:
    """Output and both gradients of one case against the definition in fp64."""
    table, spans = table_and_spans(*case)
    n, t, h, w = shape
    x = clips(n, t, case[0], h, w, channels_last=channels_last, dtype=dtype).requires_grad_()
    g = clips(n, t, case[0], h, w, channels_last=channels_last, dtype=dtype, seed=1)
    taps = table.float() if dtype.itemsize == 2 else table.to(dtype)  # as autocast has it
    taps.requires_grad_()
    y = stencil(x, taps, spans, path=path)
    grad_x, grad_taps = torch.autograd.grad(y, (x, taps), g)
    exact_x, exact_taps = x.detach().double().requires_grad_(), taps.detach().double().requires_grad_()
    exact = plainly(exact_x, exact_taps)
    exact_grads = torch.autograd.grad(exact, (exact_x, exact_taps), g.double())
    assert (y.dtype, grad_x.dtype, grad_taps.dtype) == (dtype, dtype, taps.dtype)
    assert y.stride() == x.stride()
    assert grad_x.stride() == x.stride()
    assert error(y.detach(), exact.detach()) < TOLERANCE[dtype]
    assert error(grad_x, exact_grads[0]) < TOLERANCE[dtype]
    zeros = exact_taps.detach() == 0  # structural: autograd of the table's padding drops their gradient
    assert (
        error(grad_taps.masked_fill(zeros, 0), exact_grads[1].masked_fill(zeros, 0)) < 10 * TOLERANCE[dtype]
    )


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_path_equals_the_definition(path: str, dtype: torch.dtype, channels_last: bool) -> None:
    for shape, case in product([(2, 1, 5, 3), (3, 2, 1, 1), (2, 8, 5, 3), (1, 64, 3, 2)], TABLES):
        check_case(path, shape, case, dtype, channels_last)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_compiled_path_keeps_every_promise() -> None:
    """One test, and 3 frames and 5 rows of taps in all of it, because every graph is compiled once, for seconds."""
    for dtype, channels_last in ((torch.float32, False), (torch.float32, True), (torch.bfloat16, False)):
        for shape in ((2, 3, 5, 3), (3, 3, 4, 4)):
            check_case("inductor", shape, (17, [1, 3, 5], None), dtype, channels_last)
    for channels_last in (False, True):
        test_a_clip_never_touches_another_not_even_in_the_last_bit("inductor", channels_last)
    test_path_passes_gradcheck("inductor", False)
    test_no_clips_are_no_clips_and_give_zero_gradient("inductor")
    test_torchs_counter_is_told_the_nominal_taps_whatever_the_path_computes("inductor")
    test_torch_compile_goes_around_it_without_a_break("inductor")


@FORMATS
def test_eager_path_equals_the_definition_where_it_works_piece_by_piece(channels_last: bool) -> None:
    """Frames of 3.2 MB, whose channels_last tiles leave a remainder; a clip of 6.4 MB in pieces of a megabyte."""
    check_case("eager", (2, 2, 59, 53), (256, [1, 3, 5, 7], None), torch.float32, channels_last)
    check_case("eager", (2, 2, 59, 53), (65, [3], [1]), torch.bfloat16, channels_last)


@pytest.mark.parametrize("channels", [256, 271])
def test_far_frames_get_their_taps_in_one_order_however_they_are_cut_into_tiles(channels: int) -> None:
    """To the bit: the centre first, then from the past to the future, over whole frames of more than 3 MB."""
    table, spans = table_and_spans(channels, [1, 3, 5], None)
    x = clips(2, 3, channels, 59, 53, channels_last=True, dtype=torch.float32)
    table = table.float()
    taps = table[:, :, None, None]
    expected = x * taps[2]
    expected[:, 2:].addcmul_(x[:, :1], taps[0])
    expected[:, 1:].addcmul_(x[:, :2], taps[1])
    expected[:, :2].addcmul_(x[:, 1:], taps[3])
    expected[:, :1].addcmul_(x[:, 2:], taps[4])
    assert torch.equal(stencil(x, table, spans, path="eager"), expected)


@FORMATS
@pytest.mark.parametrize("path", PATHS)
def test_path_passes_gradcheck(path: str, channels_last: bool) -> None:
    table, spans = table_and_spans(4, [5, 3], None)
    x = clips(2, 3, 4, 2, 2, channels_last=channels_last).requires_grad_()
    taps = (table != 0).double()  # as the padding of a table from shorter kernels has it
    assert torch.autograd.gradcheck(
        lambda a, b: stencil(a, b * taps, spans, path=path), (x, table.requires_grad_())
    )


@FORMATS
@pytest.mark.parametrize("path", PATHS)
def test_only_the_gradient_that_is_asked_for_is_computed_and_it_is_the_same(
    path: str, channels_last: bool
) -> None:
    table, spans = table_and_spans(4, [5], None)
    x = clips(2, 3, 4, 2, 1, channels_last=channels_last)
    g = clips(2, 3, 4, 2, 1, channels_last=not channels_last, seed=1)  # and in the other format
    grads = []
    for learns in ((True, True), (True, False), (False, True)):
        inputs = [a.detach().clone().requires_grad_(need) for a, need in zip((x, table), learns, strict=True)]
        wanted = [a for a in inputs if a.requires_grad]
        grads.append(torch.autograd.grad(stencil(inputs[0], inputs[1], spans, path=path), wanted, g))
    torch.testing.assert_close(grads[1][0], grads[0][0])
    torch.testing.assert_close(grads[2][0], grads[0][1])


@FORMATS
@pytest.mark.parametrize("path", PATHS)
def test_path_is_a_well_formed_operator_of_torch(path: str, channels_last: bool) -> None:
    for shape in ((2, 3, 4, 5, 3), (2, 3, 4, 1, 1)):
        x = clips(*shape, channels_last=channels_last, dtype=torch.float32).requires_grad_()
        table = torch.randn(3, 4, device=DEVICE).requires_grad_()
        torch.library.opcheck(torch.ops.mixtbench.stencil.default, (x, table, [4, 0, 2, 1], 12, path))


@FORMATS
@pytest.mark.parametrize("path", PATHS)
def test_a_clip_never_touches_another_not_even_in_the_last_bit(path: str, channels_last: bool) -> None:
    table, spans = table_and_spans(9, [1, 3, 5], None)
    x = clips(3, 3, 9, 5, 3, channels_last=channels_last, dtype=torch.float32)
    changed = x.clone()
    changed[1] = 1e30
    before, after = (stencil(a, table.float(), spans, path=path) for a in (x, changed))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


@FORMATS
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_a_nan_stays_in_its_clip_channel_and_pixel_and_within_reach(
    path: str, dtype: torch.dtype, channels_last: bool
) -> None:
    table, spans = table_and_spans(8, [1, 3], None)  # reach 1
    x = clips(2, 6, 8, 5, 3, channels_last=channels_last, dtype=dtype)
    x[1, 3, 7, 2, 1] = torch.nan
    hit = stencil(x, table.float(), spans, path=path).isnan().nonzero().tolist()
    assert hit == [[1, 2, 7, 2, 1], [1, 3, 7, 2, 1], [1, 4, 7, 2, 1]]


@pytest.mark.parametrize("path", PATHS)
def test_no_clips_are_no_clips_and_give_zero_gradient(path: str) -> None:
    table = torch.ones(3, 4, device=DEVICE, requires_grad=True)
    x = torch.zeros(0, 5, 4, 2, 2, device=DEVICE, requires_grad=True)
    y = stencil(x, table, [Span(4, 0, 2, 1)], path=path)
    assert y.shape == (0, 5, 4, 2, 2)
    y.sum().backward()
    assert table.grad is not None
    assert not table.grad.any()
    assert x.grad is not None
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("path", PATHS)
def test_a_slice_and_a_permuted_clip_equal_their_contiguous_copies(path: str) -> None:
    table, spans = table_and_spans(4, [3], None)
    for x in (
        clips(2, 5, 8, 5, 3)[:, :, ::2],
        clips(5, 2, 4, 3, 5).permute(1, 0, 2, 4, 3),
        clips(1, 5, 4, 5, 3).expand(2, -1, -1, -1, -1),
    ):
        x = x.detach().requires_grad_()
        y, copied = stencil(x, table, spans, path=path), stencil(x.contiguous(), table, spans, path=path)
        assert y.is_contiguous()
        assert torch.equal(y, copied)
        assert torch.equal(*(torch.autograd.grad(out.sum(), x)[0] for out in (y, copied)))


@pytest.mark.parametrize("path", PATHS)
def test_autocast_changes_neither_the_result_nor_its_dtype(path: str) -> None:
    op = MixTConv(8, 4, init="random").to(DEVICE)
    op.stencil_path = path
    for dtype, channels_last in product((torch.float32, torch.bfloat16), (False, True)):
        x = clips(2, 4, 8, 5, 3, channels_last=channels_last, dtype=dtype).requires_grad_()
        plain = op(x)
        with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
            cast = op(x)
        assert cast.dtype == dtype
        assert torch.equal(plain, cast)
        for y in (plain, cast):
            gradients = torch.autograd.grad(y.float().sum(), [x, *op.taps])
            assert [g.dtype for g in gradients] == [dtype] + [torch.float32] * 4


class Mixed(nn.Module):
    """An operator between things that a compiler fuses."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.op = MixTConv(9, 3, [1, 3, 5], init="random")
        self.op.stencil_path = path
        self.conv = nn.Conv2d(9, 3, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv((2 * self.op(x.relu())).flatten(0, 1)).sum(dim=(2, 3))


@pytest.mark.slow
@pytest.mark.parametrize("path", ["eager", *GPU])
def test_torch_compile_goes_around_it_without_a_break(path: str) -> None:
    torch.manual_seed(0)
    model = Mixed(path).to(DEVICE)
    compiled = torch.compile(model, fullgraph=True)
    x = clips(2, 3, 9, 5, 3, dtype=torch.float32)
    expected, got = model(x), compiled(x)
    torch.testing.assert_close(got, expected)
    for ours, theirs in zip(
        torch.autograd.grad(got.square().sum(), list(model.parameters())),
        torch.autograd.grad(expected.square().sum(), list(model.parameters())),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mixtconv", "tam"])
def test_torch_compile_keeps_the_path_and_takes_no_export_for_it(name: str) -> None:
    """torch 2.13 and older say under torch.compile that they export."""
    kinds: set[str] = set()

    def look(graph: Any, inputs: Any) -> Any:
        kinds.update(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    op, x = make_operator(name, 8, 4).to(DEVICE), clips(2, 4, 8, 5, 3, dtype=torch.float32)
    compiled = torch.compile(op, backend=look, fullgraph=True)
    torch.testing.assert_close(compiled(x), op(x))
    assert [kind for kind in kinds if kind.startswith("mixtbench.stencil")]


def test_ddp_averages_the_gradients_of_taps(tmp_path: Any) -> None:
    import torch.distributed as dist

    model = Mixed("auto").to(DEVICE)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/ddp", rank=0, world_size=1)
    try:
        nn.parallel.DistributedDataParallel(model)(clips(2, 3, 9, 5, 3, dtype=torch.float32)).sum().backward()
    finally:
        dist.destroy_process_group()
    assert all(taps.grad is not None and taps.grad.any() for taps in model.op.taps)


def counted(function: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("path", PATHS)
def test_torchs_counter_is_told_the_nominal_taps_whatever_the_path_computes(path: str) -> None:
    """3 groups of 3 channels, 1 + 3 + 5 taps, 2 clips x 3 frames x 5 x 3 pixels, 2 FLOP a multiply-add."""
    op = MixTConv(9, 3, [1, 3, 5]).to(DEVICE)
    op.stencil_path = path
    forward = 2 * (3 * 9) * (2 * 3 * 5 * 3)
    assert forward == 2 * 2 * op.macs(5, 3)
    for channels_last in (False, True):
        x = clips(2, 3, 9, 5, 3, channels_last=channels_last, dtype=torch.float32).requires_grad_()
        y = op(x)
        assert counted(partial(op, x)) == forward
        assert (
            counted(partial(y.backward, torch.ones_like(y))) == 2 * forward
        )  # gradients of x and of the taps


@pytest.mark.parametrize("path", PATHS)
def test_torchs_counter_is_told_that_a_shift_multiplies_nothing(path: str) -> None:
    shift = Shift(9, 3).to(DEVICE)
    shift.stencil_path = path
    x = clips(2, 3, 9, 5, 3, dtype=torch.float32).requires_grad_()
    y = shift(x)
    assert counted(partial(shift, x)) == counted(partial(y.backward, torch.ones_like(y))) == 0


def test_counter_gives_the_papers_macs_of_resnet50_without_computing() -> None:
    """FACTS: ks1357 at `head` adds 0.17983 GMAC to 8 frames of 224 x 224; the plain network has 32,697,090,048."""
    with torch.device("meta"):
        model = MSTNet(ModelConfig(operator={"name": "mixtconv"}), 8, 174).eval()
        flops = counted(lambda: model(torch.empty(1, 8, 3, 224, 224)))
    classifier = 8 * 2048 * 174
    assert flops // 2 - classifier - 32_697_090_048 == 4 * 44_957_696  # a mean of 4 taps on every channel


@pytest.mark.parametrize("path", QUICK)
@pytest.mark.parametrize("table_dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_table_of_another_dtype_is_read_as_it_is_and_gets_its_gradient_in_it(
    path: str, table_dtype: torch.dtype
) -> None:
    table, spans = table_and_spans(4, [3], None)
    x, table = clips(2, 3, 4, 2, 1, dtype=torch.float32), table.to(table_dtype).requires_grad_()
    y = stencil(x, table, spans, path=path)
    assert y.dtype == torch.float32
    assert error(y.detach(), plainly(x.double(), table.detach().double())) < 1e-6
    assert torch.autograd.grad(y.sum(), table)[0].dtype == table_dtype
