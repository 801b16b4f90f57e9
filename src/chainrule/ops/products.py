"""Products over axes. Their derivatives never divide, so zeros among the factors do no harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Aval, Data
from ..core.families import Fused
from ..core.op import Active, Cotangents, shifted
from ..core.sampling import Sample, floats
from . import arithmetic, movement, reduce

V = TypeVar("V")

_product: Any = np.multiply.reduce  # typed Any: NumPy's overloads want a literal `keepdims`


class Prod(Fused):
    """y = Π x along an axis;  dy/dxᵢ = the product of the others, without dividing by xᵢ."""

    batching = (("axis", shifted),)
    axis: int
    keepdim: bool = False

    def infer(self, *xs: Any) -> Aval:
        x = xs[0]
        one = (1,) if self.keepdim else ()
        shape = x.shape[: self.axis] + one + x.shape[self.axis + 1 :]
        return Aval(shape, reduce.sum_dtype(x.dtype))

    def forward(self, *xs: Any) -> Any:
        dtype = reduce.sum_dtype(xs[0].dtype)
        return _product(xs[0], axis=self.axis, keepdims=self.keepdim, dtype=dtype)

    def lower(self, k: Any, *xs: Any) -> Any:
        x = k.cast(xs[0], reduce.sum_dtype(xs[0].dtype))
        return k.reduce("mul", x, (self.axis,), self.keepdim)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        ct = ct if self.keepdim else movement.unsqueeze(ct, self.axis)
        return (ct * apply(ProdOthers(self.axis), xs[0]),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in (*reduce.AXES, *reduce.EMPTY):
            if len(axes) == 1:
                yield Sample(cls(axes[0]), floats(shape))
                yield Sample(cls(axes[0], True), floats(shape))


class ProdOthers(Fused):
    """yᵢ = the product of all xⱼ along an axis except xᵢ, from running products of both sides."""

    batching = (("axis", shifted),)
    axis: int

    def infer(self, *xs: Any) -> Aval:
        return Aval(xs[0].shape, xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        x = np.moveaxis(xs[0], self.axis, -1)
        before, after = np.ones_like(x), np.ones_like(x)
        np.multiply.accumulate(x[..., :-1], axis=-1, out=before[..., 1:])
        np.multiply.accumulate(x[..., :0:-1], axis=-1, out=after[..., -2::-1])
        return np.moveaxis(before * after, -1, self.axis)

    def lower(self, k: Any, *xs: Any) -> Any:
        x = xs[0]
        rank, n = len(x.shape), x.shape[self.axis]
        if n < 2:
            return k.full(1, x.dtype, x.shape)
        ones = [1] * rank
        steps = [-1 if a == self.axis else 1 for a in range(rank)]
        sizes = tuple(n - 1 if a == self.axis else m for a, m in enumerate(x.shape))

        def start(at: int) -> list[int]:
            return [at if a == self.axis else 0 for a in range(rank)]

        before = k.scan("mul", k.sliced(x, start(0), sizes, ones), self.axis)
        after = k.scan("mul", k.sliced(x, start(n - 1), sizes, steps), self.axis)
        return k.apply(
            "mul",
            k.assemble(x.shape, x.dtype, 1, [(before, k.box(start(1), ones))]),
            k.assemble(x.shape, x.dtype, 1, [(after, k.box(start(n - 2), steps))]),
        )

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        """x̄ₖ = Σᵢ ȳᵢ Πⱼ xⱼ over j other than i and k: the same op on rows without their xᵢ."""
        x = movement.movedim(xs[0], self.axis, -1)
        ct = movement.movedim(ct, self.axis, -1)
        diagonal = np.eye(x.shape[-1], dtype=np.bool_)
        rows = arithmetic.where(diagonal, 1.0, movement.unsqueeze(x, -2))
        terms = movement.unsqueeze(ct, -1) * apply(ProdOthers(x.ndim), rows)
        back = reduce.sum(arithmetic.where(diagonal, 0.0, terms), -2)
        return (movement.movedim(back, -1, self.axis),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape, axes in (*reduce.AXES, *reduce.EMPTY):
            for axis in axes:
                yield Sample(cls(axis), floats(shape))


def prod(x: V, dim: reduce.Dim = None, keepdim: bool = False, *, dtype: Any = None) -> V:
    """Product over `dim`; 1 of no elements.  dy/dxᵢ = the product of the others, zeros or not.

    With `dtype`, x is converted first.

    >>> prod(tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    axes = reduce.axes_of(x, dim)
    x = x if dtype is None else movement.cast(x, dtype)
    y = x
    ndim = len(x.shape)  # type: ignore[attr-defined]  # V has a shape
    if len(axes) == ndim != 1 and not keepdim:
        return apply(Prod(0), movement.reshape(y, (-1,)))
    for axis in reversed(axes):
        y = apply(Prod(axis, keepdim), y)
    return y
