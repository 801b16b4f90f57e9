"""New tensors: constants, ranges and their ``*_like`` forms. Random ones are in ``ops.random``."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import config
from .core.aval import DType, Shape
from .errors import ArgumentError, ShapeError
from .ops import movement
from .tensor import Tensor, as_tensor, tensor

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


def zeros_like(x: Tensor, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of `x`."""
    return zeros(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def ones_like(x: Tensor, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """Ones of the shape and dtype of `x`."""
    return ones(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad)


def full_like(
    x: Tensor, fill_value: float, dtype: DType | type | None = None, requires_grad: bool = False
) -> Tensor:
    """One number in the shape and dtype of `x`."""
    return full(x.shape, fill_value, dtype=dtype or x.dtype, requires_grad=requires_grad)


def empty_like(x: Tensor, dtype: DType | type | None = None, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape and dtype of `x`, to be assigned."""
    return zeros_like(x, dtype, requires_grad)


def empty_strided(
    size: Sizes, stride: Sequence[int], dtype: DType | type | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros of shape `size`, to be assigned; strides are accepted, storage is not the user's."""
    return zeros(size, dtype=dtype, requires_grad=requires_grad)


def empty_permuted(
    size: Sizes, physical_layout: Sequence[int], dtype: DType | type | None = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Zeros of shape `size`, to be assigned; an order of storage is accepted, see above."""
    return zeros(size, dtype=dtype, requires_grad=requires_grad)


def from_dlpack(x: Any) -> Tensor:
    """A tensor with the numbers of another library's array that follows the DLPack protocol.

    Raises DTypeError for what is not a number, ArgumentError if `x` does not follow the protocol.
    """
    if not hasattr(x, "__dlpack__"):
        raise ArgumentError("from_dlpack() needs an object with __dlpack__", got=type(x).__name__)
    return tensor(np.from_dlpack(x))


def scalar_tensor(
    s: float, dtype: DType | type | None = None, requires_grad: bool = False
) -> Tensor:
    """A number as a tensor without axes, float32 unless a dtype is given."""
    return full((), s, dtype or config.get_default_dtype(), requires_grad)


def arange(
    start: float = 0,
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
    points = allocate(lambda shape: np.linspace(_number(start), _number(end), *shape), (steps,))
    return _new(points.astype(dtype or config.get_default_dtype()), requires_grad)


def logspace(
    start: float,
    end: float,
    steps: int,
    base: float = 10.0,
    dtype: DType | type | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` powers of `base`, the exponents at equal distances from `start` to `end`.

    >>> logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    exponents = linspace(start, end, steps, np.float64).array
    return _new(np.power(float(base), exponents).astype(dtype or config.get_default_dtype()),
                requires_grad)  # fmt: skip


def _number(x: Any) -> Any:
    """A Python number; of a tensor without axes, the number in it."""
    return x.item() if isinstance(x, Tensor) else x


def eye(
    n: int, m: int | None = None, dtype: DType | type | None = None, requires_grad: bool = False
) -> Tensor:
    """The n × m matrix with ones on its diagonal."""
    chosen = dtype or config.get_default_dtype()
    shape = (n, n if m is None else m)
    return _new(allocate(lambda sizes: np.eye(*sizes, dtype=chosen), shape), requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, dtype: DType | type | None = None) -> Tensor:
    """Rows and columns, a 2 × n matrix, of the lower triangle of a `row` × `col` matrix.

    >>> tril_indices(2, 2).tolist()
    [[0, 1, 1], [0, 0, 1]]
    """
    return _places(np.tril_indices(row, offset, col), dtype)


def triu_indices(row: int, col: int, offset: int = 0, dtype: DType | type | None = None) -> Tensor:
    """Rows and columns, a 2 × n matrix, of the upper triangle of a `row` × `col` matrix."""
    return _places(np.triu_indices(row, offset, col), dtype)


def _places(indices: Any, dtype: DType | type | None) -> Tensor:
    return Tensor.wrap(np.array(indices, np.dtype(np.int64 if dtype is None else dtype)))


def fill(input: Tensor, value: Any) -> Tensor:
    """One number, or a tensor without axes, in the shape and dtype of `input`."""
    return movement.expand(movement.cast(as_tensor(value), input.dtype), input.shape)


def from_numpy(array: np.ndarray[Any, DType]) -> Tensor:
    """A tensor with a copy of a NumPy array, in its dtype."""
    return Tensor(array)
