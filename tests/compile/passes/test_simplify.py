"""Every rule of simplification: where it applies, and where it must not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.compile import trace
from chainrule.compile.passes import prune, simplify, verify
from chainrule.core.graph import Graph

Function = Callable[[Any], Any]
AWKWARD = np.array([[0.0, -0.0, np.inf], [np.nan, 1e-45, -3.5]], np.float32)
TABLE = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ZEROS, ONES = np.zeros((2, 3), np.float32), np.ones((2, 3), np.float32)
TRUE = np.array([[True, False, True]])


def simplified(f: Function, x: np.ndarray) -> list[str]:
    """Names of the ops that are left; the graph computes the same bits as before."""
    graph = trace(f, x)
    after = verify(prune(verify(simplify(graph))))
    same_bits(after, graph, x)
    return [equation.op.name for equation in after.equations]


def same_bits(after: Graph, before: Graph, x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        found, expected = after.run(x), before.run(x)
    for a, b in zip(map(np.asarray, found), map(np.asarray, expected), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
        if b.dtype.kind == "f":
            number = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a)[number], np.signbit(b)[number])


def gradient(x: Any, f: Function) -> Any:
    """Of a function of another tensor like x."""
    y = x.detach().requires_grad_()
    return cr.gradients(f(y), y)


FIRES: dict[str, tuple[Function, list[str]]] = {
    "double negation": (lambda x: cr.neg(cr.neg(x)), []),
    "double not of a truth value": (lambda x: cr.logical_not(cr.logical_not(x > 0)), ["gt"]),
    "times one": (lambda x: x * 1.0, []),
    "one times": (lambda x: 1.0 * x, []),
    "times an array of one": (lambda x: x * np.ones(1, np.float32), []),
    "times ones": (lambda x: x * ONES, []),
    "by one": (lambda x: x / 1, []),
    "by a power of two": (lambda x: x / 8.0, ["mul"]),
    "minus zero": (lambda x: x - 0.0, []),
    "plus minus zero": (lambda x: x + -0.0, []),
    "square": (lambda x: x * x, ["square"]),
    "where equal": (lambda x: cr.where(TRUE, x, x), []),
    "where known": (lambda x: cr.where(True, x, 0.0) + cr.where(False, x, x.exp()), ["exp", "add"]),
    "where a constant is chosen": (lambda x: cr.where(False, x, 2.0) * x, ["mul"]),
    "broadcasting twice": (lambda x: cr.expand(x.exp()[:1], 2, 3) * x, ["exp", "slice", "mul"]),
    "constant in front": (lambda x: np.float32(3.0) + x, ["add"]),
    "reshape of reshape": (lambda x: x.reshape(6).reshape(3, 2), ["reshape"]),
    "reshape there and back": (lambda x: x.reshape(6).reshape(2, 3), []),
    "reshape of slice": (lambda x: x[:, 1:2].reshape(2), ["slice"]),
    "permute of permute": (lambda x: x.permute(1, 0).permute(1, 0), []),
    "permute of ones": (lambda x: x.reshape(2, 1, 3).permute(1, 0, 2), ["reshape"]),
    "expand of expand": (lambda x: cr.expand(cr.expand(x[:1], 2, 3), 4, 2, 3), ["slice", "expand"]),
    "expand of leading axes": (lambda x: cr.expand(x.reshape(1, 2, 3), 4, 2, 3), ["expand"]),
    "expand to the same": (lambda x: cr.expand(x, 2, 3), []),
    "cast to the same": (lambda x: cr.cast(x, np.float32), []),
    "wider and back": (lambda x: x.astype(np.float64).astype(np.float32), []),
    "wider twice": (lambda x: (x > 0).astype(np.int32).astype(np.float64), ["gt", "cast"]),
    "max of single elements": (lambda x: cr.amax(x.reshape(2, 1, 3), 1), []),
    "pad by nothing": (lambda x: cr.pad(x, ((0, 0), (0, 0))), []),
    "pad of pad": (lambda x: cr.pad(cr.pad(x, ((1, 0), (0, 2))), ((0, 3), (1, 0))), ["pad"]),
    "slice of all": (lambda x: x[:, :], []),
    "slice of slice": (lambda x: x[:, ::-1][1, 1:], ["slice"]),
    "slice of a part of its inside": (lambda x: cr.pad(x, ((1, 1), (2, 0)))[1:3, 3:], ["slice"]),
    "slice of padding": (lambda x: cr.pad(x, ((1, 1), (2, 0)), 5.0)[3] * cr.sum(x), ["sum", "mul"]),
    "slice of a reshape": (lambda x: x.reshape(2, 1, 3)[1, 0, :2], ["slice"]),
    "slice of what was joined": (
        lambda x: cr.concatenate([x, x.exp()], 1)[:, 4:], ["exp", "slice"],
    ),
    "slice that leaves out a part": (
        lambda x: cr.concatenate([x.exp(), x, x], 0)[2:], ["concatenate"],
    ),
    "member of a stack": (lambda x: cr.stack([x, x.exp()], 1)[:, 1], ["exp"]),
    "members of a stack": (lambda x: cr.stack([x.exp(), x, x], 0)[1:], ["stack"]),
    "concatenate one": (lambda x: cr.concatenate([x], 0), []),
    "stack one": (lambda x: cr.stack([x], 0), ["reshape"]),
    "concatenate a concatenation": (
        lambda x: cr.concatenate([x, cr.concatenate([x, x], 0)], 0), ["concatenate"],
    ),
    "concatenate nothing too": (
        lambda x: cr.concatenate([x, x[:0], x], 0), ["concatenate"],
    ),
    "concatenate rows": (
        lambda x: cr.concatenate([cr.stack([x, x]), x.reshape(1, 2, 3)], 0), ["stack"],
    ),
    "concatenate columns": (
        lambda x: cr.concatenate([cr.stack([x, x], 2), x.reshape(2, 3, 1)], 2), ["stack"],
    ),
    "spread without gaps": (
        lambda x: gradient(x, lambda y: (y[::2, 1:] * x[::2, 1:]).sum()), ["slice", "pad"],
    ),
    "matmul of a transpose": (
        lambda x: cr.matmul(x.permute(1, 0), cr.matmul(x, x.permute(1, 0))), ["matmul", "matmul"],
    ),
    "all empty": (lambda x: x[:0].exp().sum(0), []),
    "sum of nothing": (lambda x: x[:, :0].exp().sum(1) + x.sum(1), ["sum", "add"]),
}  # fmt: skip
MUST_NOT: dict[str, tuple[Function, list[str]]] = {
    "double not of a number": (lambda x: cr.logical_not(cr.logical_not(x)), ["logical_not"] * 2),
    "plus zero, of minus zero": (lambda x: x + 0.0, ["add"]),
    "plus zero, an integer": (lambda x: x + 0, ["add"]),
    "minus minus zero": (lambda x: x - -0.0, ["sub"]),
    "zero minus": (lambda x: 0.0 - x, ["sub"]),
    "times zero": (lambda x: x * 0.0, ["mul"]),
    "one by": (lambda x: 1.0 / x, ["div"]),
    "by three": (lambda x: x / 3.0, ["div"]),
    "by a power too small": (lambda x: x / 2.0**-140, ["div"]),
    "times one of another dtype": (lambda x: x * np.ones((2, 3), np.float64), ["mul"]),
    "times ones that broadcast": (lambda x: x * np.ones((4, 2, 3), np.float32), ["mul"]),
    "integers by one become floats": (
        lambda x: (x > 0).astype(np.int64) / 1, ["gt", "cast", "div"],
    ),
    "where different": (lambda x: cr.where(TRUE, x, -x), ["neg", "where"]),
    "where equal numbers broadcast": (lambda x: cr.where(np.ones((4, 1, 1), np.bool_) & TRUE, x, x),
                                      ["expand"]),
    "broadcasting that makes the shape": (lambda x: cr.expand(x, 4, 2, 3) * 2.0, ["expand", "mul"]),
    "broadcasting that makes the dtype": (
        lambda x: cr.expand(x.astype(np.float64).sum(), 2, 3) * x, ["cast", "sum", "expand", "mul"],
    ),
    "constants of several numbers": (lambda x: x * AWKWARD, ["mul"]),
    "zeros of both signs": (lambda x: x + np.array([[0.0, -0.0, 0.0]], np.float32), ["add"]),
    "a real permutation": (lambda x: x.permute(1, 0), ["permute"]),
    "narrower and back": (lambda x: x.astype(np.float16).astype(np.float32), ["cast", "cast"]),
    "through integers": (lambda x: cr.where(x > 1, x, 1.0).astype(np.int8).astype(np.float32),
                         ["gt", "where", "cast", "cast"]),
    "sum of truth values": (lambda x: (x > 0).reshape(2, 1, 3).sum(1), ["gt", "reshape", "sum"]),
    "pads of different values": (
        lambda x: cr.pad(cr.pad(x, ((1, 0), (0, 2)), 1.0), ((0, 3), (1, 0))), ["pad", "pad"],
    ),
    "slice across the border of padding": (
        lambda x: cr.pad(x, ((1, 1), (2, 0)))[:2], ["pad", "slice"],
    ),
    "slice across what was joined": (
        lambda x: cr.concatenate([x, x.exp()], 1)[:, 1:5], ["exp", "concatenate", "slice"],
    ),
    "joined with promotion": (
        lambda x: cr.concatenate([x, x.astype(np.float64)], 0)[:2],
        ["cast", "concatenate", "slice"],
    ),
    "every other member": (lambda x: cr.stack([x, x, x], 0)[::2], ["stack", "slice"]),
    "slice of a real reshape": (lambda x: x.reshape(3, 2)[1:], ["reshape", "slice"]),
    "concatenate rows of another axis": (
        lambda x: cr.concatenate([cr.stack([x, x], 0), x.reshape(2, 1, 3)], 1),
        ["stack", "reshape", "concatenate"],
    ),
    "sum of single elements, of minus zero": (lambda x: x.reshape(2, 1, 3).sum(1),
                                              ["reshape", "sum"]),
    "spread with gaps": (
        lambda x: gradient(x, lambda y: (y[:, ::2] * x[:, ::2]).sum()), ["slice", "spread"],
    ),
    "matmul of another permutation": (
        lambda x: cr.matmul(x.reshape(2, 3, 1).permute(1, 0, 2), np.ones((1, 2), np.float32)),
        ["reshape", "permute", "matmul"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIRES)
def test_a_rule_applies(name: str) -> None:
    f, left = FIRES[name]
    assert simplified(f, AWKWARD) == left


@pytest.mark.parametrize("name", MUST_NOT)
def test_no_rule_applies(name: str) -> None:
    f, left = MUST_NOT[name]
    assert simplified(f, AWKWARD) == left


def test_integers_may_add_zero_and_divide_by_nothing() -> None:
    x = np.array([3, -1], np.int64)
    assert simplified(lambda x: (x + 0) * 1 - 0, x) == []
    assert simplified(lambda x: x.reshape(1, 2).sum(0), x) == []
    assert simplified(lambda x: x * x, x) == ["mul"]
    assert simplified(lambda x: x / 4.0, x) == ["div"]


def test_whole_numbers_that_wrap_are_cast_twice() -> None:
    x = np.array([300, -1], np.int64)
    assert simplified(lambda x: x.astype(np.uint8).astype(np.int64), x) == ["cast", "cast"]
    assert simplified(lambda x: x.astype(np.float64).astype(np.int8), x) == ["cast", "cast"]
    big = np.array([2**53 + 1, 3], np.int64)
    assert simplified(lambda x: x.astype(np.float64).astype(np.float32), big) == ["cast", "cast"]


def test_a_graph_that_is_simple_is_returned_itself() -> None:
    graph = trace(lambda x: x.exp() * 3.0, cr.ones(2))
    assert simplify(graph) is graph


def test_a_simplified_graph_does_not_change_the_original() -> None:
    graph = trace(lambda x: cr.neg(cr.neg(x)) * 1.0 + x, cr.ones(2))
    before = str(graph)
    simplify(graph)
    assert str(graph) == before


def test_uniform_constants_cost_no_memory() -> None:
    graph = simplify(trace(lambda x: cr.pad(x, ((0, 1000),), 2.0)[5:], cr.ones(2)))
    (constant,) = graph.outputs
    assert constant.strides == (0,)
    assert constant.shape == (997,)
