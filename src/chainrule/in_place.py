"""In-place methods and augmented operators: each computes a new value and gives it to the cell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, Self

import numpy as np

from . import ops
from .facts import Size
from .operators import Operators


class InPlace(Operators):
    """Mixin of what changes a cell. It holds nothing; the cell says what a change is."""

    __slots__ = ()

    def assign_(self, value: Any) -> Self:
        """Give this cell a new value, broadcast to its shape and cast to its dtype."""
        raise NotImplementedError

    def _adopt(self, new: Any) -> Self:
        """Take over `new`, a computed value that no other cell stands for."""
        raise NotImplementedError

    def _take(self, new: Any) -> Self:
        """Hold the array and the node of `new`, whatever its shape."""
        raise NotImplementedError

    def _augmented(self, new: Any) -> Self:
        """What the left side of an augmented assignment becomes."""
        return self._adopt(new)

    # Augmented operators ----------------------------------------------------------------------

    def __iadd__(self, other: Any) -> Self:
        return self._augmented(self + other)

    def __isub__(self, other: Any) -> Self:
        return self._augmented(self - other)

    def __imul__(self, other: Any) -> Self:
        return self._augmented(self * other)

    def __itruediv__(self, other: Any) -> Self:
        return self._augmented(self / other)

    def __ifloordiv__(self, other: Any) -> Self:
        return self._augmented(self // other)

    def __imod__(self, other: Any) -> Self:
        return self._augmented(self % other)

    def __ipow__(self, other: Any) -> Self:
        return self._augmented(self**other)

    def __imatmul__(self, other: Any) -> Self:
        return self._augmented(self @ other)

    def __iand__(self, other: Any) -> Self:
        return self._augmented(self & other)

    def __ior__(self, other: Any) -> Self:
        return self._augmented(self | other)

    def __ixor__(self, other: Any) -> Self:
        return self._augmented(self ^ other)

    def __ilshift__(self, other: Any) -> Self:
        return self._augmented(self << other)

    def __irshift__(self, other: Any) -> Self:
        return self._augmented(self >> other)

    # Methods ----------------------------------------------------------------------------------

    def copy_(self, source: Any, non_blocking: bool = False) -> Self:
        return self.assign_(source)

    def fill_(self, value: Any) -> Self:
        return self.assign_(value)

    def zero_(self) -> Self:
        return self.assign_(0)

    def set_(self, source: Any) -> Self:
        """Hold the numbers of `source`, in its shape and dtype."""
        return self._take(source)

    def resize_(self, *sizes: Any) -> Self:
        """Another shape: the elements in order, cut off or followed by zeros."""
        shape = Size(sizes[0] if isinstance(sizes[0], (tuple, list)) else sizes)
        kept, wanted = ops.reshape(self, (-1,)), shape.numel()
        if wanted > kept.shape[0]:
            kept = ops.pad(kept, ((0, wanted - kept.shape[0]),))
        return self._take(ops.reshape(kept[:wanted], shape))

    def resize_as_(self, other: Any) -> Self:
        return self.resize_(other.shape)

    def apply_(self, callable: Callable[[Any], Any]) -> Self:
        """Replace every element x by ``callable(x)``; slow, and without a gradient."""
        flat: Any = ops.reshape(self, (-1,))
        return self.assign_(np.array([callable(x) for x in flat.tolist()]).reshape(self.shape))

    def fill_diagonal_(self, fill_value: Any, wrap: bool = False) -> Self:
        """`fill_value` where all indices are equal; `wrap` goes on below a tall matrix's square."""
        mask = np.zeros(self.shape, np.bool_)
        np.fill_diagonal(mask, True, wrap)
        filling = np.asarray(getattr(fill_value, "array", fill_value)).astype(self.dtype)
        return self._adopt(ops.where(mask, filling, self))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._adopt(ops.index_update(self, key, value))

    # Random numbers ---------------------------------------------------------------------------

    def normal_(self, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Self:
        """Normal numbers."""
        return self.assign_(ops.normal(mean, std, self.shape, generator=generator))

    def uniform_(self, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Self:
        """Numbers uniform on [from_, to)."""
        return self.assign_(ops.uniform(from_, to, self.shape, generator=generator))

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Self:
        """1 with probability `p`, a number or a tensor that broadcasts to this one, else 0."""
        return self.assign_(ops.rand(self.shape, generator=generator) < p)

    def random_(self, from_: int = 0, to: int | None = None, *, generator: Any = None) -> Self:
        """Whole numbers uniform on from_ … to-1, with one bound on 0 … bound-1.

        Without bounds, as many as the dtype holds exactly.
        """
        if to is None:
            from_, to = 0, from_ or _most(self.dtype)
        return self.assign_(ops.randint(from_, to, self.shape, generator=generator))

    def exponential_(self, lambd: float = 1.0, *, generator: Any = None) -> Self:
        """Numbers of density λ e^(-λx)."""
        return self.assign_(-ops.log1p(-self._uniform(generator)) / lambd)

    def geometric_(self, p: float, *, generator: Any = None) -> Self:
        """How many trials of probability `p` until one succeeds."""
        trials = ops.ceil(ops.log1p(-self._uniform(generator)) / math.log1p(-p))
        return self.assign_(ops.maximum(trials, 1.0))

    def cauchy_(self, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Self:
        """Numbers of Cauchy's distribution."""
        return self.assign_(
            median + sigma * ops.tan(math.pi * (self._uniform(generator) - 0.5))
        )  # fmt: skip

    def log_normal_(self, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Self:
        """Numbers whose logarithms are normal."""
        return self.assign_(ops.exp(ops.normal(mean, std, self.shape, generator=generator)))

    def _uniform(self, generator: Any) -> Any:
        """Uniform numbers of this tensor's shape."""
        return ops.rand(self.shape, generator=generator)


def _most(dtype: Any) -> int:
    """One more than the greatest whole number up to which a dtype holds all."""
    if dtype.kind == "f":
        return int(2 ** (np.finfo(dtype).nmant + 1)) + 1
    return 2 if dtype.kind == "b" else int(np.iinfo(dtype).max)


_FORMS_TEXT: Final = """
    abs absolute acos acosh add addbmm addcdiv addcmul addmm addmv addr arccos arccosh arcsin
    arcsinh arctan arctan2 arctanh asin asinh atan atan2 atanh baddbmm bitwise_and
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor ceil clamp
    clamp_max clamp_min clip copysign cos cosh conj_physical cumprod cumsum deg2rad digamma div
    divide eq erf erfc erfinv exp exp2 expm1 fix float_power floor floor_divide fmod frac gcd ge
    greater greater_equal gt heaviside hypot i0 igamma igammac index_add index_copy index_fill
    index_put index_reduce lcm ldexp le lerp less less_equal lgamma log log10 log1p log2
    logical_and logical_not logical_or logical_xor logit lt masked_fill masked_scatter mul
    multiply mvlgamma nan_to_num ne neg negative nextafter not_equal polygamma pow put rad2deg
    reciprocal relu remainder renorm round rsqrt scatter scatter_add scatter_reduce sgn sigmoid
    sign sin sinc sinh sqrt square sub subtract tan tanh tril triu true_divide trunc xlogy
"""
_FORMS: Final = _FORMS_TEXT.split()
"""Methods that have a form with an underscore, which gives the result to the cell."""
_MOVING: Final = ["as_strided", "squeeze", "swapaxes", "swapdims", "t", "transpose", "unsqueeze"]
"""Those whose result has another shape."""


def add_forms(cls: type[Any]) -> None:
    """Give a class of tensors the in-place form of each of its methods that has one."""
    for name in (*_FORMS, *_MOVING):
        if hasattr(cls, name) and not hasattr(cls, name + "_"):
            setattr(cls, name + "_", _in_place(name, moving=name in _MOVING))


def _in_place(name: str, *, moving: bool) -> Any:
    def form(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = getattr(self, name)(*args, **kwargs)
        return self._take(result) if moving else self._adopt(result)

    form.__name__ = form.__qualname__ = name + "_"
    form.__doc__ = f"``{name}``, whose result becomes this tensor's value."
    return form
