"""What operators say of themselves holds, and stands in the docs."""

from __future__ import annotations

import re

import pytest
import torch
from builders.place import ROOT
from builders.plain import clips, trained

from operators import TemporalOp
from operators.base import find_operator
from operators.table import table

ZOO = sorted(TemporalOp.registry)
SIZES = [(64, 8, 5, 3), (128, 16, 4, 7)]


def value(expression: str, **letters: int) -> float:
    """`3 C T H W` at these letters: a space between factors multiplies, ^ is a power."""
    text = re.sub(r"(?<=[\w)]) +(?=[\w(])", "*", expression).replace("^", "**")
    return float(eval(text, {"__builtins__": {}}, letters))


def test_expressions_are_read_as_a_reader_would() -> None:
    assert value("2 C^2 / 16 + (T - 1) H W", C=64, T=8, H=5, W=3) == 2 * 64**2 / 16 + 7 * 15


def test_the_docs_have_the_table_that_the_operators_give() -> None:
    docs = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
    assert table() in docs, "write what python -m operators.table prints into docs/operators.md"
    assert table().count("\n") == len(ZOO) + 1


@pytest.mark.parametrize("name", ZOO)
@pytest.mark.parametrize(("c", "t", "h", "w"), SIZES)
def test_stated_parameters_macs_and_reach_are_those_of_the_operator(
    name: str, c: int, t: int, h: int, w: int
) -> None:
    op = find_operator(name)(c, t)
    letters = {"C": c, "T": t, "H": h, "W": w}
    assert op.facts is not None
    assert sum(p.numel() for p in op.parameters()) == value(op.facts.parameters, **letters)
    assert op.macs(h, w) == value(op.facts.macs, **letters)
    assert op.reach == value(op.facts.reach, **letters)


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"learned_shift"}))  # which reaches as far as it learns to
def test_stated_reach_is_what_gradients_show(name: str) -> None:
    op = trained(find_operator(name)(16, 9)).eval()
    x = clips(16, 9).requires_grad_()
    y = op(x)
    back, on, span = 0, 0, 0
    for t in range(9):
        (gradient,) = torch.autograd.grad(y[:, t].square().sum(), x, retain_graph=True)
        seen = gradient.abs().sum(dim=(0, 2, 3, 4)).nonzero().flatten().tolist()
        back, on = max(back, t - seen[0]), max(on, seen[-1] - t)
        span = max(span, seen[-1] - seen[0])
    assert max(back, on) == op.reach
    assert span == min(op.span or 0, 8)
    assert (on == 0) == (op.causal or op.reach == 0)


def test_no_two_operators_share_a_name() -> None:
    names = [*ZOO, *(other for cls in TemporalOp.registry.values() if cls.facts for other in cls.facts.also)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ZOO)
def test_an_operator_says_where_it_was_published_and_is_found_by_every_name(name: str) -> None:
    facts = find_operator(name).facts
    assert facts is not None
    assert 2010 < facts.year < 2030
    assert facts.title
    assert facts.venue
    assert facts.formula
    for other in facts.also:
        assert find_operator(other).name == name


@pytest.mark.parametrize("name", ZOO)
def test_operators_that_cannot_tell_a_motion_from_its_reverse_say_so_and_no_others(name: str) -> None:
    """Played backwards, a clip gives them the same frames backwards; or they only weigh frames as a whole. Of their
    means over frames nobody can tell which way a clip was played."""
    op = trained(find_operator(name)(16, 9)).eval()
    x = clips(16, 9)
    alike = torch.allclose(op(x.flip(1)), op(x).flip(1), atol=1e-9)
    weights = op(x) / x
    weighs = torch.allclose(weights, weights[:, :, :1, :1, :1].expand_as(weights))
    assert op.facts is not None
    assert bool(op.facts.blind) == ((alike or weighs) and op.reach != 0)
