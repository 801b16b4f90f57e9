"""Calls that compare indexing, lookups and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .calls import bools, case, exactly, ints, real, row


def _key(key: Any) -> Any:
    """A NumPy key as torch reads it: arrays and lists become tensors."""
    if isinstance(key, tuple):
        return tuple(_key(part) for part in key)
    if isinstance(key, list | np.ndarray):
        return torch.from_numpy(np.array(key))
    return key


def _index(x: Any, key: Any) -> Any:
    return x[_key(key)]


def _index_update(x: Any, key: Any, value: Any) -> Any:
    y = x.clone()
    y[_key(key)] = value
    return y


def _take(x: Any, index: Any, dim: int | None = None) -> Any:
    if dim is None:
        return x.reshape(-1)[index]
    return x[(*(slice(None),) * (dim % x.ndim), index)]


def _scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    """torch takes a longer `src` as well, but cannot differentiate with respect to it."""
    return torch.scatter_add(x, dim, index, src[tuple(slice(n) for n in index.shape)])


def _one_hot(index: Any, num_classes: int = -1) -> Any:
    return F.one_hot(index, num_classes)


def _embedding(index: Any, weight: Any, padding_idx: int | None = None) -> Any:
    return F.embedding(index, weight, padding_idx)


MASK = np.array([[True, False, True], [False, False, True]])
KEYS: tuple[tuple[tuple[int, ...], Any], ...] = (
    ((5,), 2), ((5,), -1), ((5,), slice(1, 4)), ((5,), slice(None, None, 2)), ((5,), slice(3, 1)),
    ((4, 5), (1, slice(2, None))), ((4, 5), (slice(None), -2)), ((4, 5), (..., 0)),
    ((2, 3, 4), (0, ..., slice(0, 4, 3))), ((2, 3), (None, slice(None), None, 1)), ((2, 3), ...),
    ((2, 3), ()), ((4,), [3, 0, 0]), ((4, 5), [[0, 1], [3, 0]]), ((4, 5), ([0, 3], [1, 1])),
    ((4, 5), (slice(1, 3), [4, 0, 4])), ((4, 5), ([2, -1], slice(None, 3))),
    ((3, 4, 5), ([0, 2], slice(None), [1, -1])), ((3, 4, 5), (slice(None), [0, 2], [1, 3])),
    ((3, 4, 5), ([[0], [2]], [1, 3, 0])), ((3, 4, 5), (1, [0, 2])), ((3, 4, 5), ([0, 2], ..., 1)),
    ((2, 3), MASK), ((2, 3, 2), MASK),
    ((2, 3), (slice(None), MASK[0])), ((2, 3), np.zeros((2, 3), bool)), ((3,), MASK[0]),
    ((2, 3), (MASK[:, 0], [1])), ((0, 3), slice(0, 2)), ((3, 2), np.zeros(0, np.int64)),
)  # fmt: skip


def _result_shape(shape: tuple[int, ...], key: Any) -> tuple[int, ...]:
    return np.empty(shape)[key].shape


def _repeats(shape: tuple[int, ...], key: Any) -> bool:
    """Whether a key names an element twice: which of two values stays is not torch's promise."""
    named = np.arange(int(np.prod(shape))).reshape(shape)[key]
    return len(np.unique(named)) < named.size


READING = (
    row("index", _index, *[case(real(*shape), key) for shape, key in KEYS],
        case(ints(0, 9, 3, 4), (0, [1, 2]))),
    row("index_update", _index_update,
        *[case(real(*shape), key, real(*_result_shape(shape, key)))
          for shape, key in KEYS if not _repeats(shape, key)],
        *[case(real(*shape), key, real()) for shape, key in KEYS if not _repeats(shape, key)],
        case(real(3, 4), 1, 2.5), case(real(3, 4), (slice(None), [0, 2]), real(3, 1)),
        case(real(2, 3), MASK, 0.0), case(ints(0, 9, 4), [1, 2], 7)),
    row("index_select", torch.index_select, case(real(3, 4), 0, exactly([2, 0, 0], np.int64)),
        case(real(3, 4), -1, exactly([1], np.int64)), case(real(5), 0, ints(0, 5, 7)),
        case(real(2, 3, 4), dim=1, index=exactly([0, 2, 1], np.int64))),
    row("take", _take, case(real(3, 4), exactly([5, 0, 11], np.int64)),
        case(real(3, 4), exactly([[2, 0], [1, 1]], np.int64), 0),
        case(real(3, 4), exactly([-1, 0], np.int64), 1), case(real(2, 3, 4), ints(0, 4, 2, 2), -1),
        case(real(4), ints(0, 4, 3, 3))),
    row("gather", torch.gather, case(real(3, 4), 0, ints(0, 3, 2, 4)),
        case(real(3, 4), 1, ints(0, 4, 3, 6)), case(real(3, 4), -1, ints(0, 4, 2, 1)),
        case(real(2, 3, 4), 1, ints(0, 3, 2, 5, 3)), case(real(4), 0, ints(0, 4, 7)),
        case(ints(0, 9, 4), 0, ints(0, 4, 7)), case(real(3, 4), 0, ints(0, 3, 0, 4))),
    row("take_along_dim", torch.take_along_dim, case(real(3, 4), ints(0, 3, 2, 4), 0),
        case(real(2, 3, 4), ints(0, 4, 2, 3, 2), -1), case(real(3, 4), ints(0, 12, 5)),
        case(real(1, 4), ints(0, 4, 3, 2), 1), case(real(3, 4), ints(0, 3, 2, 1), dim=0),
        case(real(2, 1, 4), ints(0, 4, 1, 3, 2), -1)),
    row("one_hot", _one_hot, case(ints(0, 4, 5), 4), case(ints(0, 4, 2, 3), 6),
        case(exactly([2, 0], np.int64)), case(exactly(1, np.int64), 3), case(ints(0, 2, 0), 3)),
    row("embedding", _embedding, case(ints(0, 5, 4), real(5, 3)),
        case(ints(0, 5, 2, 3), real(5, 2)), case(exactly([1, 1, 3], np.int64), real(4, 3), 1),
        case(exactly([[3, 0]], np.int64), real(4, 3), padding_idx=-1),
        case(exactly(2, np.int64), real(4, 3)), case(ints(0, 5, 0), real(5, 3, grad=False))),
    row("nonzero", torch.nonzero, case(exactly([0.0, 3.0, -0.0, 4.0])), case(bools(3, 4)),
        case(ints(0, 2, 2, 3, 2)), case(exactly(2.0)), case(exactly([]))),
)  # fmt: skip

WRITING = (
    row("scatter_add", _scatter_add, case(real(4), 0, ints(0, 4, 6), real(6)),
        case(real(3, 4), 0, ints(0, 3, 2, 4), real(2, 4)),
        case(real(3, 4), 1, ints(0, 4, 3, 6), real(3, 6)),
        case(real(3, 4), -1, ints(0, 4, 2, 2), real(3, 5)),
        case(real(2, 3, 4), 1, ints(0, 3, 2, 5, 3), real(2, 5, 3)),
        case(ints(0, 9, 4), 0, ints(0, 4, 6), ints(0, 9, 6))),
    row("index_add", torch.index_add, case(real(4), 0, exactly([1, 1, 3], np.int64), real(3)),
        case(real(3, 4), 0, exactly([2, 0], np.int64), real(2, 4)),
        case(real(3, 4), -1, exactly([3, 3, 0], np.int64), real(3, 3)),
        case(real(2, 3, 4), 1, exactly([0, 2, 0], np.int64), real(2, 3, 4))),
)  # fmt: skip

ROWS = (*READING, *WRITING)
