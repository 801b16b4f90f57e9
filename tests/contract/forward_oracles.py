"""What ops without a scalar formula or a reference compute, written as plain loops.

The derivative checks compare a rule with differences of the op's own forward, so a forward that is
wrong passes them. These loops share nothing with the ops: each says what one element is.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.core.op import Op
from chainrule.ops import keys
from chainrule.testing.cases import Case
from chainrule.testing.contract import EXACT, close

Oracle = Callable[..., Any]

ORACLES: dict[str, Oracle] = {}


def oracle(name: str) -> Callable[[Oracle], Oracle]:
    """Register the loops for an op."""

    def register(fn: Oracle) -> Oracle:
        ORACLES[name] = fn
        return fn

    return register


def has_oracle(cls: type[Op]) -> bool:
    """Whether a forward is compared with anything: its formula, its reference, or loops here."""
    return (
        bool(getattr(cls, "expr", "")) or cls.reference is not Op.reference or cls.name in ORACLES
    )


def disagreement(case: Case) -> str:
    """Empty if the op computes what the loops say, or has none; else how they differ."""
    loops = ORACLES.get(case.op.name)
    if loops is None:
        return ""
    want = loops(case.op, *case.inputs)
    pairs = zip(case.outs, want if case.op.n_out is not None else (want,), strict=True)
    return next(filter(None, (close(y, w, EXACT) for y, w in pairs)), "")


def filled(shape: Any, dtype: Any, element: Callable[..., Any]) -> Any:
    """An array whose element at (i, j, …) is ``element(i, j, …)``."""
    y = np.zeros(shape, dtype)
    for index in np.ndindex(*shape):
        y[index] = element(*index)
    return y


def transposed(read: Callable[[Any], Any], x: Any, shape: Any) -> Any:
    """Zeros of `shape` with x added where `read`, which only moves elements, takes them from."""
    places = read(np.arange(int(np.prod(shape))).reshape(shape))
    out = [0.0] * int(np.prod(shape))
    for place, value in zip(places.reshape(-1).tolist(), x.reshape(-1).tolist(), strict=True):
        out[place] += value
    return np.array(out).reshape(shape)


# Movement -----------------------------------------------------------------------------------------


@oracle("identity")
def _(op: Any, x: Any) -> Any:
    return filled(x.shape, x.dtype, lambda *i: x[i])


@oracle("cast")
def _(op: Any, x: Any) -> Any:
    return filled(x.shape, op.dtype, lambda *i: float(x[i]))


@oracle("reshape")
def _(op: Any, x: Any) -> Any:
    elements = iter([x[i] for i in np.ndindex(*x.shape)])
    return filled(op.shape, x.dtype, lambda *_: next(elements))


@oracle("permute")
def _(op: Any, x: Any) -> Any:
    def element(*i: int) -> Any:
        source = [0] * x.ndim
        for k, axis in enumerate(op.axes):
            source[axis] = i[k]
        return x[tuple(source)]

    return filled([x.shape[a] for a in op.axes], x.dtype, element)


@oracle("expand")
def _(op: Any, x: Any) -> Any:
    lead = len(op.shape) - x.ndim
    return filled(
        op.shape,
        x.dtype,
        lambda *i: x[tuple(0 if n == 1 else k for k, n in zip(i[lead:], x.shape, strict=True))],
    )


@oracle("sum_to")
def _(op: Any, x: Any) -> Any:
    lead = x.ndim - len(op.shape)
    y = np.zeros(op.shape)
    for i in np.ndindex(*x.shape):
        y[tuple(0 if n == 1 else k for k, n in zip(i[lead:], op.shape, strict=True))] += x[i]
    return y


@oracle("flip")
def _(op: Any, x: Any) -> Any:
    return filled(
        x.shape,
        x.dtype,
        lambda *i: x[tuple(x.shape[a] - 1 - k if a in op.axes else k for a, k in enumerate(i))],
    )


@oracle("pad")
def _(op: Any, x: Any) -> Any:
    def element(*i: int) -> Any:
        source = tuple(k - before for k, (before, _) in zip(i, op.widths, strict=True))
        inside = all(0 <= k < n for k, n in zip(source, x.shape, strict=True))
        return x[source] if inside else op.value

    shape = [a + n + b for n, (a, b) in zip(x.shape, op.widths, strict=True)]
    return filled(shape, x.dtype, element)


@oracle("slice")
def _(op: Any, x: Any) -> Any:
    picked = [
        x[tuple(s + t * k for s, t, k in zip(op.starts, op.steps, i, strict=True))]
        for i in np.ndindex(*op.sizes)
    ]
    return np.array(picked, x.dtype).reshape(op.shape)


@oracle("spread")
def _(op: Any, x: Any) -> Any:
    y = np.zeros(op.shape)
    for i in np.ndindex(*x.shape):
        y[tuple(s + t * k for s, t, k in zip(op.starts, op.steps, i, strict=True))] = x[i]
    return y


@oracle("concatenate")
def _(op: Any, *xs: Any) -> Any:
    whole = [row for x in xs for row in np.moveaxis(x, op.axis, 0)]
    shape = list(xs[0].shape)
    shape[op.axis] = len(whole)
    return filled(shape, xs[0].dtype, lambda *i: whole[i[op.axis]][_without(i, op.axis)])


@oracle("stack")
def _(op: Any, *xs: Any) -> Any:
    shape = list(xs[0].shape)
    shape.insert(op.axis, len(xs))
    return filled(shape, xs[0].dtype, lambda *i: xs[i[op.axis]][_without(i, op.axis)])


@oracle("split")
def _(op: Any, x: Any) -> Any:
    parts, start = [], 0
    lines = np.moveaxis(x, op.axis, 0)
    for size in op.sizes:
        shape = (size, *lines.shape[1:])
        part = filled(shape, x.dtype, lambda *i, start=start: lines[(start + i[0], *i[1:])])
        parts.append(np.moveaxis(part, 0, op.axis))
        start += size
    return tuple(parts)


@oracle("unbind")
def _(op: Any, x: Any) -> Any:
    shape = _without(x.shape, op.axis)
    return tuple(
        filled(shape, x.dtype, lambda *i, k=k: x[(*i[: op.axis], k, *i[op.axis :])])
        for k in range(x.shape[op.axis])
    )


def _without(i: Any, axis: int) -> tuple[int, ...]:
    return (*i[:axis], *i[axis + 1 :])


@oracle("triangle")
def _(op: Any, x: Any) -> Any:
    def element(*i: int) -> Any:
        above = i[-1] - i[-2]
        return x[i] if (above >= op.diagonal if op.upper else above <= op.diagonal) else 0.0

    return filled(x.shape, x.dtype, element)


# Indexing -----------------------------------------------------------------------------------------


@oracle("index")
def _(op: Any, x: Any, *arrays: Any) -> Any:
    return x[keys.numpy_key(op.pattern, arrays)]


@oracle("index_sum")
def _(op: Any, x: Any, *arrays: Any) -> Any:
    key = keys.numpy_key(op.pattern, arrays)
    return transposed(lambda whole: whole[key], x, op.shape)


@oracle("index_update")
def _(op: Any, x: Any, v: Any, *arrays: Any) -> Any:
    places = np.arange(x.size).reshape(x.shape)[keys.numpy_key(op.pattern, arrays)]
    values = np.broadcast_to(v, places.shape)
    y = x.reshape(-1).tolist()
    for place, value in zip(places.reshape(-1).tolist(), values.reshape(-1).tolist(), strict=True):
        y[place] = value
    return np.array(y).reshape(x.shape)


@oracle("gather")
def _(op: Any, x: Any, index: Any) -> Any:
    return filled(
        index.shape,
        x.dtype,
        lambda *i: x[(*i[: op.axis], index[i], *i[op.axis + 1 :])],
    )


@oracle("scatter")
def _(op: Any, x: Any, index: Any) -> Any:
    y = np.zeros(op.shape)
    for i in np.ndindex(*index.shape):
        y[(*i[: op.axis], index[i], *i[op.axis + 1 :])] += x[i]
    return y


@oracle("embedding")
def _(op: Any, weight: Any, index: Any) -> Any:
    return filled(
        (*index.shape, *weight.shape[1:]),
        weight.dtype,
        lambda *i: weight[(index[i[: index.ndim]], *i[index.ndim :])],
    )


@oracle("row_sum")
def _(op: Any, x: Any, index: Any) -> Any:
    y = np.zeros((op.rows, *x.shape[index.ndim :]))
    for i in np.ndindex(*index.shape):
        if index[i] != op.padding:
            y[index[i]] += x[i]
    return y


@oracle("one_hot")
def _(op: Any, index: Any) -> Any:
    return filled((*index.shape, op.classes), op.dtype, lambda *i: index[i[:-1]] == i[-1])


# Contractions -------------------------------------------------------------------------------------


@oracle("matmul")
def _(op: Any, a: Any, b: Any) -> Any:
    a2 = a[None, :] if a.ndim == 1 else np.swapaxes(a, -1, -2) if op.ta else a
    b2 = b[:, None] if b.ndim == 1 else np.swapaxes(b, -1, -2) if op.tb else b
    lead = np.broadcast_shapes(a2.shape[:-2], b2.shape[:-2])
    a2 = np.broadcast_to(a2, (*lead, *a2.shape[-2:]))
    b2 = np.broadcast_to(b2, (*lead, *b2.shape[-2:]))
    y = filled(
        (*lead, a2.shape[-2], b2.shape[-1]),
        np.float64,
        lambda *i: sum(
            a2[(*i[:-2], i[-2], k)] * b2[(*i[:-2], k, i[-1])] for k in range(a2.shape[-1])
        ),
    )
    if b.ndim == 1:
        y = y[..., 0]
    if a.ndim == 1:
        y = y[..., 0] if b.ndim == 1 else y[..., 0, :]
    return y


@oracle("einsum")
def _(op: Any, *xs: Any) -> Any:
    inputs, output = op.equation.split("->")
    labels = inputs.split(",")
    sizes: dict[str, int] = {}
    for label, x in zip(labels, xs, strict=True):
        for letter, n in zip(label, x.shape, strict=True):
            sizes[letter] = max(n, sizes.get(letter, n)) if n != 0 else 0
    y = np.zeros([sizes[letter] for letter in output])
    letters = sorted(sizes)
    for values in itertools.product(*(range(sizes[letter]) for letter in letters)):
        at = dict(zip(letters, values, strict=True))
        term = 1.0
        for label, x in zip(labels, xs, strict=True):
            term *= x[tuple(at[c] if n != 1 else 0 for c, n in zip(label, x.shape, strict=True))]
        y[tuple(at[letter] for letter in output)] += term
    return y


# Reductions and order -----------------------------------------------------------------------------


def reduced(op: Any, x: Any, axes: Any, dtype: Any, of: Callable[[list[Any]], Any]) -> Any:
    """``of`` the elements, in order, that are reduced to one."""
    lists: dict[tuple[int, ...], list[Any]] = {}
    shape = [1 if a in axes else n for a, n in enumerate(x.shape)]
    for i in np.ndindex(*shape):
        lists[i] = []
    for i in np.ndindex(*x.shape):
        lists[tuple(0 if a in axes else k for a, k in enumerate(i))].append(x[i])
    y = filled(shape, dtype, lambda *i: of(lists[i]))
    return y if op.keepdim else y.reshape([n for a, n in enumerate(x.shape) if a not in axes])


def product(values: list[Any]) -> Any:
    result = 1.0
    for value in values:
        result *= value
    return result


def first_place(values: list[Any], best: Callable[[list[Any]], Any]) -> int:
    return [bool(v == best(values)) for v in values].index(True)


def along(axis: int, x: Any, dtype: Any, of: Callable[[list[Any]], list[Any]]) -> Any:
    """``of`` applied to every line of x along an axis; it returns a line of the same length."""
    lines = np.moveaxis(x, axis, -1)
    y = np.zeros(lines.shape, dtype)
    for i in np.ndindex(*lines.shape[:-1]):
        y[i] = of(lines[i].tolist())
    return np.moveaxis(y, -1, axis)


oracle("sum")(lambda op, x: reduced(op, x, op.axes, x.dtype, sum))
oracle("mean")(lambda op, x: reduced(op, x, op.axes, x.dtype, mean))
oracle("amax")(lambda op, x: reduced(op, x, op.axes, x.dtype, max))
oracle("amin")(lambda op, x: reduced(op, x, op.axes, x.dtype, min))
oracle("any")(lambda op, x: reduced(op, x, op.axes, np.bool_, any))
oracle("all")(lambda op, x: reduced(op, x, op.axes, np.bool_, all))
oracle("prod")(lambda op, x: reduced(op, x, (op.axis,), x.dtype, product))


def mean(values: list[Any]) -> Any:
    return sum(values) / len(values) if values else float("nan")


@oracle("prod_others")
def _(op: Any, x: Any) -> Any:
    def others(line: list[Any]) -> list[Any]:
        return [product(line[:k] + line[k + 1 :]) for k in range(len(line))]

    return along(op.axis, x, x.dtype, others)


@oracle("cumsum")
def _(op: Any, x: Any) -> Any:
    if x.ndim == 0:
        return x

    def running(line: list[Any]) -> list[Any]:
        if op.reverse:
            return [sum(line[k:]) for k in range(len(line))]
        return [sum(line[: k + 1]) for k in range(len(line))]

    return along(op.axis, x, x.dtype, running)


def places(op: Any, x: Any, best: Callable[[list[Any]], Any]) -> Any:
    axes = range(x.ndim) if op.axis is None else (op.axis,)
    return reduced(op, x, axes, np.int64, lambda values: first_place(values, best))


oracle("arg_max")(lambda op, x: places(op, x, max))
oracle("arg_min")(lambda op, x: places(op, x, min))


@oracle("max_along")
def _(op: Any, x: Any) -> Any:
    return reduced(op, x, (op.axis,), x.dtype, max), places(op, x, max)


@oracle("min_along")
def _(op: Any, x: Any) -> Any:
    return reduced(op, x, (op.axis,), x.dtype, min), places(op, x, min)


def order(op: Any, x: Any) -> Any:
    def positions(line: list[Any]) -> list[int]:
        return sorted(range(len(line)), key=line.__getitem__, reverse=op.descending)

    return along(op.axis, x, np.int64, positions)


oracle("arg_sort")(order)


@oracle("sort")
def _(op: Any, x: Any) -> Any:
    values = along(op.axis, x, x.dtype, lambda line: sorted(line, reverse=op.descending))
    return values, order(op, x)


# Scans and random numbers -------------------------------------------------------------------------


def last_best(op: Any, x: Any, better: Callable[[Any, Any], bool]) -> Any:
    """Along an axis, the last place so far of what nothing before it beats."""

    def places(line: list[Any]) -> list[int]:
        best = 0
        found = []
        for i, value in enumerate(line):
            best = i if not better(line[best], value) else best
            found.append(best)
        return found

    return along(op.axis, x, np.int64, places)


oracle("cummax")(lambda op, x: last_best(op, x, lambda a, b: a > b))
oracle("cummin")(lambda op, x: last_best(op, x, lambda a, b: a < b))


@oracle("random_poisson")
def _(op: Any, rates: Any, key: Any, counter: Any) -> Any:
    """One number after the other; that they are Poisson's is held in tests/ops."""
    source = np.random.Generator(np.random.Philox(key=[int(key), int(counter)]))
    return filled(rates.shape, rates.dtype, lambda *i: source.poisson(rates[i]))
