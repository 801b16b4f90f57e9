"""Rows of tables, one-hot vectors and borders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import Value, recording
from ...errors import ArgumentError, ShapeError
from ...ops.bags import renormed
from ...ops.keys import numbers


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """Rows of `weight`, one for each integer of `input`; row `padding_idx` gets no gradient.

    With `max_norm`, rows that are looked up and longer (in the norm `norm_type`) are scaled down to
    it, in the table itself. `scale_grad_by_freq` divides the gradient of a row by how often it is
    looked up. `sparse` has no effect.
    """
    if max_norm is not None:
        shorter = renormed(weight.array, input, max_norm, norm_type)
        weight.array = shorter.astype(weight.dtype)
    rows = ops.embedding(input, weight, padding_idx)
    if not scale_grad_by_freq:
        return rows
    index = numbers(input)
    often = np.bincount(index.reshape(-1), minlength=1)[index]
    scaled = rows / np.expand_dims(often, -1).astype(rows.dtype)
    with recording(False):
        rest = rows - scaled
    return scaled + rest


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Integers as vectors with a single 1; -1 takes as many classes as the data have.

    >>> cr.nn.functional.one_hot(tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if num_classes < 0:
        data = tensor.array if isinstance(tensor, Value) else tensor
        if not data.size:
            raise ArgumentError("one_hot of no elements needs num_classes")
        num_classes = int(data.max()) + 1
    return ops.one_hot(tensor, num_classes)


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """The input with a border; `pad` is (before, after) for the last axis, then for the one before.

    Negative numbers cut. Modes are "constant", "reflect", "replicate" and "circular".
    Raises ShapeError for an odd number of widths, or more than the input has axes for.

    >>> cr.nn.functional.pad(tensor([1.0, 2.0]), (1, 2))
    tensor([0., 1., 2., 0., 0.])
    """
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ShapeError(
            "pad takes a pair of widths for each of the last axes",
            expected=f"2 to {2 * input.ndim} numbers",
            got=f"{tuple(pad)} for {describe(input)}",
        )
    pairs = [(int(pad[i]), int(pad[i + 1])) for i in range(0, len(pad), 2)]
    widths = (*[(0, 0)] * (input.ndim - len(pairs)), *reversed(pairs))
    if mode == "constant":
        return ops.pad(input, widths, 0.0 if value is None else value)
    return ops.pad_mode(input, widths, mode)
