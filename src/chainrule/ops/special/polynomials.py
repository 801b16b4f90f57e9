"""Orthogonal polynomials of degree n, by their three-term recurrences.

pₖ₊₁ = (aₖ x + bₖ) pₖ - cₖ pₖ₋₁ with p₀ = 1. The degree is an integer or a tensor of them (fractions
are cut off); of a negative degree the polynomial is 0. Made of other ops, so the derivative in x is
that of the recurrence. A. Erdélyi et al., Higher transcendental functions II, 1953, chapter 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ArgumentError
from .. import arithmetic, keys, movement, reduce

Step = Callable[[int, Any, Any, Any], Any]
"""From k, x, pₖ and pₖ₋₁ to pₖ₊₁."""


def _polynomial(name: str, input: Any, n: Any, first: Callable[[Any], Any], step: Step) -> Any:
    """pₙ(x): the recurrence up to the greatest degree, each place keeping its own."""
    if not keys.is_concrete(n) and not isinstance(n, (int, float)):
        raise ArgumentError(f"the degree of {name}() must be known while tracing")
    numbered = np.trunc(keys.numbers(n)).astype(np.int64)
    top = int(numbered.max(initial=-1))
    x = input if not isinstance(input, (int, float)) else np.asarray(float(input))
    x = reduce.as_float(x)
    one = x * 0.0 + 1.0
    y = arithmetic.where(numbered == 0, one, 0.0)
    before, p = one, first(x)
    for k in range(1, top + 1):
        if k > 1:
            before, p = p, step(k - 1, x, p, before)
        y = arithmetic.where(numbered == k, p, y)
    return movement.cast(y, x.dtype)


def _chebyshev(k: int, x: Any, p: Any, before: Any) -> Any:
    return x * 2.0 * p - before


def _halved(input: Any) -> Any:
    """2x - 1: from 0 … 1 to -1 … 1."""
    return input * 2.0 - 1.0


def chebyshev_polynomial_t(input: Any, n: Any) -> Any:
    """Tₙ(x), cos(n arccos x) on [-1, 1]: p₁ = x, pₖ₊₁ = 2 x pₖ - pₖ₋₁.

    >>> chebyshev_polynomial_t(tensor([0.5, 2.0]), 3)
    tensor([-1., 26.])
    """
    return _polynomial("chebyshev_polynomial_t", input, n, lambda x: x, _chebyshev)


def chebyshev_polynomial_u(input: Any, n: Any) -> Any:
    """Uₙ(x), of the second kind: p₁ = 2x, pₖ₊₁ = 2 x pₖ - pₖ₋₁."""
    return _polynomial("chebyshev_polynomial_u", input, n, lambda x: x * 2.0, _chebyshev)


def chebyshev_polynomial_v(input: Any, n: Any) -> Any:
    """Vₙ(x), of the third kind: p₁ = 2x - 1, pₖ₊₁ = 2 x pₖ - pₖ₋₁."""
    return _polynomial("chebyshev_polynomial_v", input, n, lambda x: x * 2.0 - 1.0, _chebyshev)


def chebyshev_polynomial_w(input: Any, n: Any) -> Any:
    """Wₙ(x), of the fourth kind: p₁ = 2x + 1, pₖ₊₁ = 2 x pₖ - pₖ₋₁."""
    return _polynomial("chebyshev_polynomial_w", input, n, lambda x: x * 2.0 + 1.0, _chebyshev)


def shifted_chebyshev_polynomial_t(input: Any, n: Any) -> Any:
    """Tₙ(2x - 1), for x on [0, 1]."""
    return chebyshev_polynomial_t(_halved(input), n)


def shifted_chebyshev_polynomial_u(input: Any, n: Any) -> Any:
    """Uₙ(2x - 1), for x on [0, 1]."""
    return chebyshev_polynomial_u(_halved(input), n)


def shifted_chebyshev_polynomial_v(input: Any, n: Any) -> Any:
    """Vₙ(2x - 1), for x on [0, 1]."""
    return chebyshev_polynomial_v(_halved(input), n)


def shifted_chebyshev_polynomial_w(input: Any, n: Any) -> Any:
    """Wₙ(2x - 1), for x on [0, 1]."""
    return chebyshev_polynomial_w(_halved(input), n)


def hermite_polynomial_h(input: Any, n: Any) -> Any:
    """Hₙ(x), the physicists': p₁ = 2x, pₖ₊₁ = 2 x pₖ - 2 k pₖ₋₁."""
    return _polynomial(
        "hermite_polynomial_h", input, n, lambda x: x * 2.0,
        lambda k, x, p, before: x * 2.0 * p - before * (2.0 * k),
    )  # fmt: skip


def hermite_polynomial_he(input: Any, n: Any) -> Any:
    """Heₙ(x), the probabilists': p₁ = x, pₖ₊₁ = x pₖ - k pₖ₋₁."""
    return _polynomial(
        "hermite_polynomial_he", input, n, lambda x: x,
        lambda k, x, p, before: x * p - before * float(k),
    )  # fmt: skip


def laguerre_polynomial_l(input: Any, n: Any) -> Any:
    """Lₙ(x): p₁ = 1 - x, (k + 1) pₖ₊₁ = (2k + 1 - x) pₖ - k pₖ₋₁."""
    return _polynomial(
        "laguerre_polynomial_l", input, n, lambda x: 1.0 - x,
        lambda k, x, p, before: ((2.0 * k + 1.0 - x) * p - before * float(k)) / (k + 1.0),
    )  # fmt: skip


def legendre_polynomial_p(input: Any, n: Any) -> Any:
    """Pₙ(x): p₁ = x, (k + 1) pₖ₊₁ = (2k + 1) x pₖ - k pₖ₋₁."""
    return _polynomial(
        "legendre_polynomial_p", input, n, lambda x: x,
        lambda k, x, p, before: (x * p * (2.0 * k + 1.0) - before * float(k)) / (k + 1.0),
    )  # fmt: skip
