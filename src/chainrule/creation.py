"""New tensors: constants, ranges and their ``*_like`` forms. Random ones are in ``ops.random``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import config
from .core.aval import DType, Shape
from .errors import ArgumentError, ShapeError
from .tensor import Tensor

Sizes = int | Sequence[int]

MOST_ELEMENTS = 2**47
"""As many bytes as a process can address on today's 64-bit machines."""


def check_shape(sizes: tuple[Any, ...]) -> Shape:
    """Sizes given one by one or as one sequence, as a shape.

    Raises ShapeError for a size that is negative or not whole, or for more bytes than the machine
    can address.
    """
    flat = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    try:
        shape = tuple(operator.index(n) for n in flat)
    except TypeError as failure:
        raise ShapeError("sizes are whole numbers", got=str(flat)) from failure
    total = 1
    for n in shape:
        if n < 0:
            raise ShapeError("sizes cannot be negative", got=str(shape))
        total *= n
    if total > MOST_ELEMENTS:
        raise _too_large(shape)
    return shape


def allocate(make: Callable[..., Any], shape: Shape, *args: Any) -> Any:
    """``make(shape, *args)``, with a ShapeError if there is no memory for it."""
    try:
        return make(check_shape((shape,)), *args)
    except MemoryError:
        raise _too_large(shape) from None


def _too_large(shape: Shape) -> ShapeError:
    return ShapeError("a tensor of this shape does not fit into memory", got=str(shape))


def _new(array: Any, requires_grad: bool) -> Tensor:
    new = Tensor.wrap(array)
    return new.requires_grad_() if requires_grad else new


def full(
    size: Sizes, fill_value: float, dtype: DType | type | None = None, requires_grad: bool = False
) -> Tensor:
    """A tensor of shape `size` filled with one number."""
    if dtype is None:
        kind = type(fill_value)
        dtype = kind if kind in (bool, int) else config.get_default_dtype()
    return _new(allocate(np.full, check_shape((size,)), fill_value, dtype), requires_grad)


def zeros(*size: Any, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros, float32 unless a dtype is given.

    >>> zeros(2, 3).shape
    (2, 3)
    """
    return _new(
        allocate(np.zeros, check_shape(size), dtype or config.get_default_dtype()), requires_grad
    )


def ones(*size: Any, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """Ones, float32 unless a dtype is given."""
    return _new(
        allocate(np.ones, check_shape(size), dtype or config.get_default_dtype()), requires_grad
    )


def empty(*size: Any, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose numbers are yet to be assigned: zeros, so that no run depends on chance."""
    return zeros(*size, dtype=dtype, requires_grad=requires_grad)


def zeros_like(x: Tensor, dtype: DType | type | None = None) -> Tensor:
    """Zeros of the shape and dtype of `x`."""
    return zeros(x.shape, dtype=dtype or x.dtype)


def ones_like(x: Tensor, dtype: DType | type | None = None) -> Tensor:
    """Ones of the shape and dtype of `x`."""
    return ones(x.shape, dtype=dtype or x.dtype)


def full_like(x: Tensor, fill_value: float, dtype: DType | type | None = None) -> Tensor:
    """One number in the shape and dtype of `x`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype)


def empty_like(x: Tensor, dtype: DType | type | None = None) -> Tensor:
    """Zeros of the shape and dtype of `x`, to be assigned."""
    return zeros_like(x, dtype)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: DType | type | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers from `start` up to and without `end`: int64 for integers, else float32.

    >>> arange(3)
    tensor([0, 1, 2])
    """
    if step == 0:
        raise ArgumentError("arange() needs a step that is not zero", got=f"step={step}")
    if end is None:
        start, end = 0, start
    if dtype is None:
        whole = all(isinstance(n, (int, np.integer)) for n in (start, end, step))
        dtype = np.dtype(np.int64) if whole else config.get_default_dtype()
    count = max(0, int(np.ceil((end - start) / step)))
    array = allocate(lambda shape: (start + step * np.arange(*shape)).astype(dtype), (count,))
    return _new(array, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DType | type | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from `start` to `end`, both included."""
    chosen = dtype or config.get_default_dtype()
    array = allocate(lambda shape: np.linspace(start, end, *shape, dtype=chosen), (steps,))
    return _new(array, requires_grad)


def eye(n: int, m: int | None = None, dtype: DType | type | None = None) -> Tensor:
    """The n × m matrix with ones on its diagonal."""
    chosen = dtype or config.get_default_dtype()
    shape = (n, n if m is None else m)
    return _new(allocate(lambda sizes: np.eye(*sizes, dtype=chosen), shape), False)


def from_numpy(array: np.ndarray[Any, DType]) -> Tensor:
    """A tensor with a copy of a NumPy array, in its dtype."""
    return Tensor(array)
