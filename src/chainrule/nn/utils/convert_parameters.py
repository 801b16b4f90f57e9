"""All parameters as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from ... import ops
from ...core.aval import describe
from ...errors import ShapeError
from ...tensor import Tensor
from ..state import replace


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """All elements of all tensors, one after the other; gradients pass through.

    >>> parameters_to_vector([ones(2), zeros(1, 1)])
    tensor([1., 1., 0.])
    """
    return ops.concatenate([ops.reshape(p, (-1,)) for p in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Tensor]) -> None:
    """Give the tensors the elements of `vec`, in order, as their new values.

    Raises ShapeError, and changes nothing, if there are not as many.
    """
    cells = list(parameters)
    counts = [math.prod(p.shape) for p in cells]
    if vec.ndim != 1 or vec.shape[0] != sum(counts):
        raise ShapeError(
            "vector_to_parameters needs an element for each of the parameters",
            expected=f"({sum(counts)},)",
            got=describe(vec),
        )
    start = 0
    for cell, count in zip(cells, counts, strict=True):
        part = vec.array[start : start + count].reshape(cell.shape)
        replace(cell, part.astype(cell.dtype))
        start += count
