"""Sums, means and maxima of rows of a table, one for each bag of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.aval import shape_of
from ..errors import ArgumentError, ShapeError
from . import arithmetic, indexing, keys, lookup, movement, reduce, scattered


def renormed(weight: Any, index: Any, max_norm: float, norm_type: float) -> Any:
    """The table with those of its rows that `index` names scaled down to the norm `max_norm`.

    Nothing of the scaling is differentiated, as in PyTorch, where it changes the table itself.
    """
    rows = np.unique(keys.numbers(index))
    table = keys.numbers(weight)
    size = np.linalg.norm(table[rows], norm_type, axis=1, keepdims=True)
    shrunk = np.where(size > max_norm, table[rows] * (max_norm / (size + 1e-7)), table[rows])
    return indexing.index_update(weight, (rows,), shrunk)


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows of `weight` that each bag of numbers names.

    `input` (B, n) holds a bag in each row, or, flat, bags that begin at `offsets`. Rows may have
    weights in sums; row `padding_idx` takes no part; an empty bag gives zeros. Of equal maxima each
    gets its share of the derivative. `max_norm` first scales longer rows down, in this use of
    them; `sparse` has no effect.
    Raises ArgumentError for another mode or offsets that are not known while tracing, ShapeError
    for shapes that do not fit.

    >>> embedding_bag(tensor([0, 1, 1]), tensor([[1.0], [3.0]]), tensor([0, 2]), mode="sum")
    tensor([[4.],
            [3.]])
    """
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("no such mode", expected="sum, mean or max", got=repr(mode))
    if per_sample_weights is not None and mode != "sum":
        raise ArgumentError("per_sample_weights are for mode='sum'", got=f"mode={mode!r}")
    if scale_grad_by_freq:
        raise ArgumentError("scale_grad_by_freq is not supported for bags")
    index = lookup.as_index(input)
    if len(shape_of(index)) == 2:
        if offsets is not None:
            raise ArgumentError("offsets are for a flat input", got=str(shape_of(index)))
        bags, each = shape_of(index)
        bag = np.repeat(np.arange(bags), each)
        index = movement.reshape(index, (bags * each,))
        if per_sample_weights is not None:
            per_sample_weights = movement.reshape(per_sample_weights, (bags * each,))
    else:
        if offsets is None or len(shape_of(index)) != 1:
            raise ShapeError("a flat input needs offsets", got=str(shape_of(index)))
        starts = keys.numbers(offsets)
        count = shape_of(index)[0]
        starts = starts[:-1] if include_last_offset else starts
        bags = starts.size
        bag = np.searchsorted(starts, np.arange(count), side="right") - 1
    if max_norm is not None:
        weight = renormed(weight, index, max_norm, norm_type)
    return _bagged(weight, index, bag, bags, mode, per_sample_weights, padding_idx)


def _bagged(
    weight: Any, index: Any, bag: Any, bags: int, mode: str, scales: Any, padding: int | None
) -> Any:
    rows = lookup.embedding(index, weight)
    if padding is not None:
        kept = np.flatnonzero(keys.numbers(index) != padding % shape_of(weight)[0])
        rows, bag = rows[kept], bag[kept]
        scales = None if scales is None else scales[kept]
    if scales is not None:
        rows = rows * movement.unsqueeze(scales, -1)
    base = np.zeros((bags, shape_of(weight)[1]), weight.dtype)
    if not bag.size:
        return arithmetic.add(base, reduce.sum(rows, 0))
    wide = np.broadcast_to(bag[:, None], shape_of(rows))
    if mode == "max":
        return scattered.scatter_reduce(base, 0, wide, rows, "amax", include_self=False)
    total = lookup.scatter_add(base, 0, wide, rows)
    if mode == "sum":
        return total
    count = np.maximum(np.bincount(bag, minlength=bags), 1).astype(weight.dtype)
    return total / count[:, None]
