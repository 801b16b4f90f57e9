"""Random numbers of other kinds: of a tensor's shape, normal, by weight, Poisson's, in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, broadcast_shapes, result_dtype, shape_of
from ..core.families import Constant
from ..core.sampling import Draw, Sample
from ..core.value import Value
from ..errors import ArgumentError
from . import comparison, elementwise, indexing, keys, movement, ordering, random, reduce
from .bins import searchsorted

__all__ = [
    "bernoulli", "multinomial", "normal", "poisson", "rand_like", "randint_like", "randn_like",
    "randperm",
]  # fmt: skip


def normal(
    mean: Any = 0.0, std: Any = 1.0, size: movement.Sizes = (), *, dtype: Any = None,
    generator: random.Generator | None = None,
) -> Any:  # fmt: skip
    """Normal numbers of the given mean and standard deviation.

    Either may be a tensor: then the result has their common shape and dtype, and no gradient
    passes. Raises ArgumentError for a negative standard deviation.
    """
    if (type(std) in SCALARS or keys.is_concrete(std)) and (keys.numbers(std) < 0).any():
        raise ArgumentError(
            "a standard deviation is not negative", got=str(keys.numbers(std).min())
        )
    tensors = [x for x in (mean, std) if type(x) not in SCALARS]
    if not tensors:
        drawn = random.randn(size, dtype=dtype, generator=generator)
        return drawn * float(std) + float(mean)
    shape = broadcast_shapes(*[shape_of(x) for x in tensors])
    chosen = result_dtype(tensors, floating=True)
    drawn = random.randn(shape, dtype=chosen, generator=generator)
    return drawn * _constant(std) + _constant(mean)


def bernoulli(
    input: Any, p: float | None = None, *, generator: random.Generator | None = None
) -> Any:
    """1 with the probability that stands in each place of `input`, else 0; no gradient passes.

    With `p`, that is the probability everywhere.

    >>> bernoulli(tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    dtype = reduce.float_dtype(input.dtype)
    drawn = random.rand(shape_of(input), dtype=dtype, generator=generator)
    return movement.cast(comparison.lt(drawn, input if p is None else p), input.dtype)


def _constant(x: Any) -> Any:
    """x without its history."""
    if isinstance(x, Value):
        return x.result_class.wrap(x.array)
    return x


def rand_like(
    input: Any, *, dtype: Any = None, generator: random.Generator | None = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Numbers uniform on [0, 1), in the shape and dtype of `input`."""
    return random.rand(
        shape_of(input), dtype=dtype or input.dtype, generator=generator,
        requires_grad=requires_grad,
    )  # fmt: skip


def randn_like(
    input: Any, *, dtype: Any = None, generator: random.Generator | None = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """Standard normal numbers in the shape and dtype of `input`."""
    return random.randn(
        shape_of(input), dtype=dtype or input.dtype, generator=generator,
        requires_grad=requires_grad,
    )  # fmt: skip


def randint_like(
    input: Any, low: int, high: int | None = None, *, dtype: Any = None,
    generator: random.Generator | None = None,
) -> Any:  # fmt: skip
    """Whole numbers uniform on low … high-1, or 0 … low-1, in the shape and dtype of `input`."""
    low, high = (0, low) if high is None else (low, high)
    drawn = random.randint(low, high, tuple(shape_of(input)), generator=generator)
    return movement.cast(drawn, dtype or input.dtype)


def randperm(n: int, *, dtype: Any = np.int64, generator: random.Generator | None = None) -> Any:
    """The numbers 0 … n-1 in random order.

    >>> sorted(randperm(4).tolist())
    [0, 1, 2, 3]
    """
    return movement.cast(random.permutation(n, generator=generator), dtype)


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *,
    generator: random.Generator | None = None,
) -> Any:  # fmt: skip
    """`num_samples` positions along the last axis, drawn with the weights of `input`; int64.

    Without replacement no position is drawn twice: those of the least of exponential times over
    weights (P. S. Efraimidis, P. G. Spirakis, Information Processing Letters 97(5), 2006). Raises
    ArgumentError for weights that are negative, not finite or all zero, or fewer than are drawn.

    >>> multinomial(tensor([0.0, 1.0, 0.0]), 2, replacement=True)
    tensor([1, 1])
    """
    if num_samples < 1 or len(shape_of(input)) not in (1, 2):
        raise ArgumentError("multinomial() draws from a vector or rows", got=f"{shape_of(input)}")
    _check_weights(input, num_samples, replacement)
    shape = (*shape_of(input)[:-1], num_samples)
    if not replacement:
        uniform = random.rand(shape_of(input), dtype=input.dtype, generator=generator)
        rates = input / -elementwise.log1p(-uniform)
        return ordering.topk(rates, num_samples).indices
    sums = ordering.cumsum(input, -1)
    last = indexing.index(sums, (..., slice(-1, None)))
    drawn = random.rand(shape, dtype=input.dtype, generator=generator)
    return searchsorted(sums, drawn * last, right=True)


def _check_weights(weights: Any, count: int, replacement: bool) -> None:
    if not keys.is_concrete(weights):
        return
    numbers = keys.numbers(weights)
    usable = np.isfinite(numbers).all() and (numbers >= 0).all() and (numbers.sum(-1) > 0).all()
    if not usable or numbers.dtype.kind != "f":
        raise ArgumentError(
            "multinomial() needs weights",
            expected="floats >= 0 that are finite and not all zero",
            got=str(numbers.tolist())[:60],
        )
    if not replacement and count > (numbers > 0).sum(-1).min():
        raise ArgumentError(
            "multinomial() without replacement draws more than there is",
            expected=f"at most {(numbers > 0).sum(-1).min()}",
            got=f"num_samples={count}",
        )


class RandomPoisson(Constant):
    """Poisson's numbers of given rates, from a key and a counter, by NumPy's own generator."""

    def check(self, *xs: Any) -> None:
        if not ((xs[0] >= 0) & (xs[0] < _GREATEST_RATE)).all():
            raise ArgumentError("poisson() needs rates >= 0 and below 1e18", got=str(xs[0])[:60])

    def infer(self, *xs: Any) -> Aval:
        return Aval(shape_of(xs[0]), xs[0].dtype)

    def forward(self, *xs: Any) -> Any:
        rates, key, counter = xs
        self.check(*xs)
        source = np.random.Generator(np.random.Philox(key=[int(key), int(counter)]))
        return np.asarray(source.poisson(rates)).astype(rates.dtype)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        seeds = (Draw((), 0, 1000, "int"), Draw((), 0, 1000, "int"))
        for shape in ((), (1,), (5,), (0,), (2, 3), (2, 0, 3), (2, 1, 3)):
            yield Sample(cls(), (Draw(shape, 0.5, 9.0), *seeds))


_GREATEST_RATE = 1e18
POISSON = RandomPoisson()


def poisson(input: Any, generator: random.Generator | None = None) -> Any:
    """Poisson's numbers, each of the rate that stands in its place; no gradient passes.

    Raises ArgumentError for rates that are negative, NaN or above 1e18.
    """
    key, counter = (generator or random.default_generator).next(1)
    if isinstance(input, Value):
        key, counter = input.result_class.wrap(key), input.result_class.wrap(counter)
    return apply(POISSON, input, key, counter)
