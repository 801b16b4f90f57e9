"""Abstract values: what is known of an array without its numbers, namely shape and dtype.

Broadcasting and type promotion live here and nowhere else. Promotion follows PyTorch: the category
(bool < integer < float) decides first; within one category tensors with dimensions outweigh
zero-dimensional ones, and Python numbers outweigh nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, final

import numpy as np

from .. import config
from ..errors import ArgumentError, IndexRangeError, ShapeError

Shape: TypeAlias = tuple[int, ...]
Axes: TypeAlias = tuple[int, ...]
DType: TypeAlias = np.dtype[Any]
Array: TypeAlias = "np.ndarray[Any, DType] | np.generic[Any]"
"""NumPy's arrays and its scalars, which NumPy returns for zero-dimensional results."""
Scalar: TypeAlias = bool | int | float
Data: TypeAlias = Any
"""What a rule computes with: an Array, a Tensor, or a Traced value. Rules are written once for the
three, with operators and library functions only, so no narrower type describes them."""

SCALARS = frozenset({float, int, bool})
"""Exactly these: ``np.float64`` derives from ``float`` but carries a dtype of its own."""
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


@final
class Aval:
    """Shape and dtype of an array, without the array.

    >>> Aval((2, 3), np.dtype("float32"))
    float32[2,3]
    """

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Shape, dtype: DType) -> None:
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aval) and self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return describe(self)


def describe(x: Any) -> str:
    """``float32[2,3]`` for anything with a shape and a dtype; ``3.0`` for a Python number."""
    if type(x) in SCALARS:
        return repr(x)
    return f"{x.dtype}[{','.join(map(str, x.shape))}]"


def aval_of(x: Any) -> Aval:
    """The abstract value of an array, a tensor or a Python number."""
    if type(x) in SCALARS:
        return Aval((), result_dtype((x,)))
    return Aval(x.shape, x.dtype)


def broadcast_shapes(*shapes: Shape) -> Shape:
    """The shape that all shapes broadcast to, by NumPy's rule.

    Raises ShapeError if two sizes along an axis differ and neither is one.
    """
    ndim = max(map(len, shapes), default=0)
    out = [1] * ndim
    for shape in shapes:
        for axis, n in enumerate(shape, start=ndim - len(shape)):
            if out[axis] == 1:
                out[axis] = n
            elif n not in (1, out[axis]):
                raise ShapeError(
                    "shapes do not broadcast",
                    expected="sizes along each axis, counted from the last, equal or one",
                    got="   ".join(str(s) for s in shapes),
                )
    return tuple(out)


def shape_of(x: Any) -> Shape:
    """The shape of an array, a tensor or a Python number."""
    return () if type(x) in SCALARS else x.shape


def result_dtype(xs: Sequence[Any], *, floating: bool = False) -> DType:
    """The dtype that operands are computed in; with `floating`, integers become the default float.

    >>> result_dtype((Aval((2,), np.dtype("int64")), 1.5))
    dtype('float32')
    """
    best: DType | None = None
    rank = (-1, -1)  # category, then weight: 2 with dimensions, 1 without, 0 Python number
    for x in xs:
        if type(x) in SCALARS:
            weight, dtype = 0, _scalar_dtype(x)
        else:
            weight, dtype = (2 if x.shape else 1), x.dtype
        candidate = (_CATEGORY[dtype.kind], weight)
        if best is None or candidate > rank:
            best, rank = dtype, candidate
        elif candidate == rank:
            best = np.promote_types(best, dtype)
    assert best is not None, "result_dtype of no operands"
    if floating and best.kind not in "fc":
        return config.get_default_dtype()
    return best


def _scalar_dtype(x: Scalar) -> DType:
    if isinstance(x, bool):
        return np.dtype(np.bool_)
    return np.dtype(np.int64) if isinstance(x, int) else config.get_default_dtype()


def promote(arrays: list[Any], floating: bool) -> list[Any]:
    """Cast arrays to their common dtype; Python numbers stay, NumPy treats them as weak already.

    The common case, all arrays of one floating dtype, returns the very list it was given.
    """
    common: DType | None = None
    for a in arrays:
        if type(a) in SCALARS:
            continue
        if common is None:
            common = a.dtype
        elif a.dtype is not common:
            common = None
            break
    if common is not None and common.kind == "f":
        return arrays
    dtype = result_dtype(arrays, floating=floating)
    return [a if type(a) in SCALARS else a.astype(dtype, copy=False) for a in arrays]


def normalize_axes(axes: int | Sequence[int] | None, ndim: int) -> Axes:
    """Axes as a sorted tuple of distinct non-negative numbers; None stands for all axes.

    Raises IndexRangeError for an axis outside ``-ndim … ndim-1`` and ShapeError for a repeated one.
    """
    if axes is None:
        return tuple(range(ndim))
    chosen = tuple(axes) if isinstance(axes, Iterable) else (axes,)
    out = tuple(sorted(normalize_axis(a, ndim) for a in chosen))
    if len(set(out)) != len(out):
        raise ShapeError("an axis is named twice", got=f"axes {chosen} of {ndim} dimensions")
    return out


def normalize_axis(axis: int, ndim: int) -> int:
    """One axis as a non-negative number. With no axes, 0 and -1 are accepted too.

    Raises IndexRangeError for an axis out of range, ArgumentError for what is no integer.
    """
    if not isinstance(axis, (int, np.integer)):
        raise ArgumentError("an axis is an integer", got=repr(axis))
    from_end = max(ndim, 1)
    if not -from_end <= axis < from_end:
        raise IndexRangeError(
            "axis out of range",
            expected=f"{-from_end} <= axis < {from_end}",
            got=f"axis {axis} of {ndim} dimensions",
        )
    return int(axis) % from_end
