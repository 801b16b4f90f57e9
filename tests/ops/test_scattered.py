"""Scatter, masks and index writing: plain loops say what goes where, differences what derives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from chainrule.nn import functional
from chainrule.testing import gradcheck, gradgradcheck

INDEX = np.array([[0, 2, 2], [1, 1, 0]])
X = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0], [0.5, 7.0, 8.0]])
SRC = np.array([[0.3, -1.7, 2.9], [9.0, -3.3, 4.1]])


def reduced(kind: str, include_self: bool) -> Any:
    """Rows of SRC reduced into those of X that INDEX names, value by value."""
    met: dict[tuple[int, int], list[float]] = {}
    for i, j in np.ndindex(*INDEX.shape):
        place = (int(INDEX[i, j]), j)
        met.setdefault(place, [float(X[place])] if include_self else []).append(float(SRC[i, j]))
    how: dict[str, Callable[[list[float]], Any]] = {
        "sum": np.sum, "prod": np.prod, "mean": np.mean, "amax": np.max, "amin": np.min,
    }  # fmt: skip
    y = X.copy()
    for place, values in met.items():
        y[place] = how[kind](values)
    return y


@pytest.mark.parametrize("kind", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_scatter_reduce(kind: str, include_self: bool) -> None:
    def run(x: Any, src: Any) -> Any:
        index = cr.tensor(INDEX)
        return cr.scatter_reduce(x, 0, index, src, kind, include_self=include_self)

    operands = cr.tensor(X), cr.tensor(SRC)
    np.testing.assert_allclose(run(*operands).numpy(), reduced(kind, include_self), rtol=1e-14)
    assert gradcheck(run, operands).ok
    assert gradgradcheck(run, operands).ok
    compiled = cr.compile(run)
    for _ in range(2):
        np.testing.assert_allclose(
            compiled(*operands).numpy(), reduced(kind, include_self), rtol=1e-14
        )


def test_a_product_with_one_zero_has_the_derivative_of_the_others() -> None:
    x = cr.tensor(np.array([2.0, 0.0]), requires_grad=True)
    src = cr.tensor(np.array([0.0, 3.0, 0.0, 5.0]), requires_grad=True)
    y = cr.scatter_reduce(x, 0, cr.tensor([0, 0, 1, 1]), src, "prod")
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
    assert src.grad.tolist() == [6.0, 0.0, 0.0, 0.0]


def test_equal_extremes_share_the_derivative() -> None:
    x = cr.tensor(np.array([1.0]), requires_grad=True)
    src = cr.tensor(np.array([1.0, 0.0, 1.0, 1.0]), requires_grad=True)
    cr.scatter_reduce(x, 0, cr.tensor([0, 0, 0, 0]), src, "amax").sum().backward()
    assert x.grad.tolist() == [0.25]
    assert src.grad.tolist() == [0.25, 0.0, 0.25, 0.25]


def test_index_reduce_is_scatter_reduce_of_whole_rows() -> None:
    x, src = cr.tensor(X), cr.tensor(SRC)
    rows = np.repeat([[2], [2]], 3, 1)
    for kind in ("prod", "mean", "amax"):
        got = cr.index_reduce(x, 0, cr.tensor([2, 2]), src, kind)
        assert got.tolist() == cr.scatter_reduce(x, 0, cr.tensor(rows), src, kind).tolist()


def test_segments() -> None:
    x = cr.tensor(np.array([1.0, 5.0, 2.0, 4.0]))
    lengths = cr.tensor([1, 0, 3])
    assert cr.segment_reduce(x, "sum", lengths=lengths).tolist() == [1.0, 0.0, 11.0]
    assert cr.segment_reduce(x, "max", lengths=lengths, initial=-1.0).tolist() == [1.0, -1.0, 5.0]
    mean = cr.segment_reduce(x, "mean", offsets=cr.tensor([0, 1, 1, 4]))
    np.testing.assert_allclose(mean.numpy(), [1.0, np.nan, 11 / 3])
    with pytest.raises(ArgumentError, match="do not fill"):
        cr.segment_reduce(x, "sum", lengths=cr.tensor([1, 2]))


WRITING: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "scatter": (lambda x, v: x.scatter(1, cr.tensor([[2, 0]]), v), (X, SRC[:, :2])),
    "index_add": (lambda x, v: x.index_add(0, cr.tensor([1, 1]), v, alpha=2.0), (X, SRC)),
    "index_copy": (lambda x, v: x.index_copy(0, cr.tensor([2, 0]), v), (X, SRC)),
    "index_fill": (lambda x: x.index_fill(1, cr.tensor([2, 0]), 7.0), (X,)),
    "index_put": (lambda x, v: x.index_put((cr.tensor([2, 0]),), v), (X, SRC)),
    "accumulated": (
        lambda x, v: x.index_put((cr.tensor([1, 1]), cr.tensor([0, 0])), v, accumulate=True),
        (X, SRC[0, :2]),
    ),
    "masked_fill": (lambda x, v: x.masked_fill(cr.tensor(X > 2), v[0, 0]), (X, SRC)),
    "masked_scatter": (lambda x, v: x.masked_scatter(cr.tensor(X > 3), v), (X, SRC)),
    "masked_select": (lambda x: x.masked_select(cr.tensor(X[0] > 0)), (X,)),
    "embedding_bag": (
        lambda w, s: functional.embedding_bag(
            cr.tensor([0, 2, 2]), w, cr.tensor([0, 1, 1]), mode="sum", per_sample_weights=s
        ),
        (X, SRC[0]),
    ),
    "bags of means": (
        lambda w: functional.embedding_bag(cr.tensor(INDEX), w, padding_idx=1), (X,)
    ),
    "bags of maxima": (
        lambda w: functional.embedding_bag(cr.tensor(INDEX), w, mode="max"), (X,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITING)
def test_gradients_hold(name: str) -> None:
    fn, operands = WRITING[name]
    assert gradcheck(fn, tuple(cr.tensor(x) for x in operands)).ok


def test_in_place_forms_change_the_tensor() -> None:
    x = cr.tensor(X.copy())
    x.scatter_(0, cr.tensor([[1]]), 9.0)
    x.index_fill_(1, cr.tensor([2]), 0.0)
    x.masked_fill_(x < 0, 1.0)
    assert x.tolist() == [[1.0, 1.0, 0.0], [9.0, 5.0, 0.0], [0.5, 7.0, 0.0]]


def test_values() -> None:
    x = cr.tensor(X)
    assert [i.tolist() for i in cr.where(x > 6)] == [[2, 2], [1, 2]]
    assert cr.argwhere(x > 6).tolist() == [[2, 1], [2, 2]]
    assert cr.isin(x, cr.tensor([1.0, 8.0]), invert=True).sum().item() == 7
    assert [i.tolist() for i in cr.unravel_index(cr.tensor([5, 0]), (3, 3))] == [[1, 0], [2, 0]]
    assert cr.gather(x, 0, cr.tensor(np.zeros((0,), np.int64))).shape == (0,)
    assert cr.take_along_dim(x, cr.tensor([[-1]]), 1).tolist() == [[3.0], [-6.0], [8.0]]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: cr.scatter(x, 0, cr.tensor([[3]]), 1.0), IndexRangeError),
        (lambda x: cr.scatter(x, 0, cr.tensor([[0, 1]]), x[:1, :1]), ShapeError),
        (lambda x: cr.scatter_reduce(x, 0, cr.tensor([[0]]), x, "median"), ArgumentError),
        (lambda x: cr.masked_fill(x, cr.tensor([1, 0, 1]), 0.0), DTypeError),
        (lambda x: cr.masked_fill(x, x > 0, x), ShapeError),
        (lambda x: cr.masked_scatter(x, x > 0, x[0, :1]), ShapeError),
        (lambda x: cr.put(x, [0, 1], x), ShapeError),
        (lambda x: cr.unravel_index(cr.tensor([9]), (3, 3)), IndexRangeError),
        (lambda x: cr.where(x > 0, x), ArgumentError),
        (lambda x: functional.embedding_bag(cr.tensor([0]), x), ShapeError),
        (lambda x: functional.embedding_bag(cr.tensor([[0]]), x, mode="min"), ArgumentError),
    ],
)
def test_what_does_not_fit_is_an_error(call: Callable[..., Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(cr.tensor(X))
