"""Gradient checking for users: a function's or a module's gradients against differences.

The analytic gradient is pulled back from a random cotangent (never ones: a sum hides errors that
cancel). Each element, or for large inputs each random direction, is compared with an extrapolated
central difference in float64 (``testing.numeric``), relative to the two numbers themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.apply import warn
from ..errors import ArgumentError, GradientCheckError
from . import numeric
from .numeric import Comparison
from .program import Array, Call, GradientOf, Program, double_precision
from .report import Argument, Element, GradcheckResult
from .sampling import direction

FULL_LIMIT = 64
"""Inputs of at most so many elements are checked element by element unless told otherwise."""
DIRECTIONS = 4
_SEARCHED = 1024
"""Elements compared one by one, at most, to find which of a large input's are wrong or at kinks."""


class GradcheckKinkWarning(UserWarning):
    """A point that was to be checked is a kink, where the slopes from both sides differ."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    *,
    eps: float = numeric.DEFAULT_STEP,
    rtol: float = 1e-6,
    atol: float = 0.0,
    directions: int = DIRECTIONS,
    full: bool | None = None,
    seed: int = 0,
    raise_on_failure: bool = True,
) -> GradcheckResult:
    """Check every derivative of `fn` at `inputs` against central differences.

    `fn` takes tensors and returns a tensor or several; a module is checked as it stands, in
    training or evaluation, on a float64 copy, with respect to its inputs and all its parameters.
    `inputs` is one argument or a tuple of them; floating-point ones are checked, others passed on.

    Inputs of up to 64 elements are checked element by element, larger ones along `directions`
    random directions each; `full` forces the one or the other. A comparison fails if the two
    numbers differ by more than `rtol` of the larger, so a small gradient that is wrong fails too;
    beyond that only rounding noise and `atol` are excused. `eps` is the first step of the
    differences, relative to max(1, |x|).

    At a kink (ReLU at 0, a tie in max) no gradient is right: a GradcheckKinkWarning names the
    place, which is not counted.

    Raises GradientCheckError, with the worst element's argument, index and both values, if a
    gradient is wrong, not finite, or the function computes something else each time; with
    ``raise_on_failure=False`` the result says so instead.

    >>> print(gradcheck(lambda x, y: x * y.exp(), (tensor([1.0, 2.0]), tensor([0.5, -0.5]))))
    gradcheck passed: 4 derivatives of 2 arguments
      argument  shape  checked     worst error  at   analytic  numeric
      x         (2,)   2 elements  rounding     [0]  1.26916   1.26916
      y         (2,)   2 elements  rounding     [0]  1.26916   1.26916
    """
    with double_precision():
        program = Call(fn, inputs)
        checker = Checker(program, eps=eps, rtol=rtol, atol=atol, seed=seed)
        result = checker.check(directions=directions, full=full)
    return _conclude(result, raise_on_failure)


def gradgradcheck(
    fn: Callable[..., Any],
    inputs: Any = (),
    *,
    eps: float = numeric.DEFAULT_STEP,
    rtol: float = 1e-6,
    atol: float = 0.0,
    directions: int = DIRECTIONS,
    full: bool | None = None,
    seed: int = 0,
    raise_on_failure: bool = True,
) -> GradcheckResult:
    """Check the second derivatives of `fn`: ``gradcheck`` of its gradient.

    The gradient is taken as a function of the inputs and of the cotangent. Parameters and errors
    are those of ``gradcheck``; an op without a second derivative raises SecondOrderError.

    >>> gradgradcheck(lambda x: (x**3).sum(), tensor([1.0, -2.0])).ok
    True
    """
    with double_precision():
        program = Call(fn, inputs)
        rng = np.random.default_rng(seed)
        cts = [direction(y, rng) for y in program.evaluate(program.arrays)]
        second = GradientOf(program, cts)
        checker = Checker(second, eps=eps, rtol=rtol, atol=atol, seed=seed + 1)
        result = checker.check(directions=directions, full=full, name="gradgradcheck")
    return _conclude(result, raise_on_failure)


def _conclude(result: GradcheckResult, raise_on_failure: bool) -> GradcheckResult:
    """Warn of kinks, and raise if something is wrong."""
    for argument in result.arguments:
        if argument.kinks:
            places = ", ".join(str(list(index)) for index in argument.kinks[:3])
            more = f" and {len(argument.kinks) - 3} more" if len(argument.kinks) > 3 else ""
            warn(
                f"{argument.name} is at a kink at {places}{more}: the slopes from both sides "
                "differ there, so no gradient is right and none was checked",
                GradcheckKinkWarning,
            )
    if raise_on_failure and not result.ok:
        raise result.error()
    return result


class Checker:
    """One check of one program: the point, the cotangents, the gradient and what is compared."""

    def __init__(
        self, program: Program, *, eps: float, rtol: float, atol: float, seed: int
    ) -> None:
        if not (eps > 0 and rtol > 0 and atol >= 0):
            raise ArgumentError(
                "gradcheck needs positive tolerances",
                expected="eps > 0, rtol > 0, atol >= 0",
                got=f"eps={eps}, rtol={rtol}, atol={atol}",
            )
        self._program = program
        self._xs = program.arrays
        self._eps, self._rtol, self._atol = eps, rtol, atol
        self._rng = np.random.default_rng(seed)
        self._outs = program.evaluate(self._xs)
        self._cts = [direction(y, self._rng) for y in self._outs]
        self._ct = numeric.flatten(self._cts)
        self._center = numeric.flatten(self._outs)
        self._scale = 0.0
        self._grads: list[Array] = []

    def check(
        self, *, directions: int, full: bool | None, name: str = "gradcheck"
    ) -> GradcheckResult:
        """Compare everything, and report."""
        problem = self._problem()
        if problem is not None:
            return GradcheckResult(name, False, (), problem)
        self._scale = max((float(np.abs(g).max()) for g in self._grads if g.size), default=0.0)
        arguments = tuple(
            self._elements(k)
            if full or (full is None and x.size <= FULL_LIMIT)
            else self._along_directions(k, directions)
            for k, x in enumerate(self._xs)
        )
        return GradcheckResult(name, all(a.ok for a in arguments), arguments, None)

    def _problem(self) -> GradientCheckError | None:
        """What makes a comparison meaningless: chance, and values that are not finite."""
        again = self._program.evaluate(self._xs)
        if not _equal(self._outs, again):
            return _chance("the function does not return the same value twice", self._outs, again)
        for i, y in enumerate(self._outs):
            if not np.isfinite(y).all():
                return _not_finite(f"output {i}", y)
        first, second = (self._program.pull(self._xs, self._cts) for _ in range(2))
        self._grads = self._zero_filled(first)
        repeated = self._zero_filled(second)
        for name, g in zip(self._program.names, self._grads, strict=True):
            if not np.isfinite(g).all():
                return _not_finite(f"the gradient of {name}", g)
        if not _equal(self._grads, repeated):
            return _chance("the gradient is not the same twice", self._grads, repeated)
        return None

    def _zero_filled(self, grads: Sequence[Array | None]) -> list[Array]:
        """The gradients, zero for an input that nothing led to."""
        return [np.zeros(x.shape) if g is None else g for g, x in zip(grads, self._xs, strict=True)]

    def _compare(self, k: int, dx: Array, unit: float = 1.0) -> tuple[Comparison, bool]:
        """The comparison along `dx` in input `k`, and whether that direction crosses a kink.

        The derivatives along `dx` are divided by `unit`.
        """
        dxs: list[Array | None] = [None] * len(self._xs)
        dxs[k] = dx
        found = numeric.directional_difference(
            self._program.evaluate, self._xs, dxs, step=self._eps, center=self._center
        )
        weight = np.abs(self._ct)
        comparison = numeric.compare(
            float(np.sum(self._grads[k] * dx)) / unit,
            float(found.value @ self._ct) / unit,
            noise=float(found.noise @ weight) / unit,
            error=float(found.error @ weight) / unit,
            rtol=self._rtol,
            atol=self._atol,
            scale=self._scale,
        )
        return comparison, bool(found.kink.any())

    def _elements(self, k: int) -> Argument:
        """Compare element by element."""
        indices = list(np.ndindex(self._xs[k].shape))
        worst, wrong, kinks = self._search(k, indices)
        checked = len(indices) - len(kinks)
        return Argument(
            self._program.names[k], self._xs[k].shape, "elements", checked, worst, wrong, kinks
        )

    def _search(
        self, k: int, indices: Sequence[tuple[int, ...]]
    ) -> tuple[Element | None, int, tuple[tuple[int, ...], ...]]:
        """The worst of some elements, how many are wrong, and which are at kinks."""
        worst: Element | None = None
        wrong = 0
        kinks: list[tuple[int, ...]] = []
        for index in indices:
            unit = max(1.0, abs(float(self._xs[k][index])))
            dx = np.zeros(self._xs[k].shape)
            dx[index] = unit
            comparison, kink = self._compare(k, dx, unit)
            if kink:
                kinks.append(index)
                continue
            wrong += not comparison.ok
            worst = _worse(worst, Element(self._program.names[k], index, comparison))
        return worst, wrong, tuple(kinks)

    def _along_directions(self, k: int, directions: int) -> Argument:
        """Compare along random directions; find the element to blame if they disagree."""
        x = self._xs[k]
        worst: Element | None = None
        wrong = 0
        for _ in range(directions):
            comparison, kink = self._compare(k, self._direction(x))
            if kink or not comparison.ok:
                return self._blame(k)
            worst = _worse(worst, Element(self._program.names[k], None, comparison))
        return Argument(self._program.names[k], x.shape, "directions", directions, worst, wrong, ())

    def _direction(self, x: Array) -> Array:
        """A random direction with steps in proportion to max(1, |x|)."""
        return direction(x, self._rng) * np.fmax(1.0, np.abs(x))

    def _blame(self, k: int) -> Argument:
        """Compare up to 1,024 elements of a large input one by one: the likeliest ones first."""
        x = self._xs[k]
        suspects = self._suspects(k)
        others = self._rng.permutation(x.size)[: _SEARCHED - len(suspects)]
        flat = list(dict.fromkeys([*suspects, *map(int, others)]))
        indices = [tuple(int(i) for i in np.unravel_index(f, x.shape)) for f in flat]
        worst, wrong, kinks = self._search(k, indices)
        checked = len(indices) - len(kinks)
        return Argument(self._program.names[k], x.shape, "elements", checked, worst, wrong, kinks)

    def _suspects(self, k: int) -> list[int]:
        """Flat indices found by halving: keep the half along which the gradients differ more."""
        x = self._xs[k]
        found: list[int] = []
        for _ in range(DIRECTIONS):
            candidates = self._rng.permutation(x.size)
            while len(candidates) > 1:
                halves = np.array_split(candidates, 2)
                candidates = max(halves, key=lambda half: self._gap(k, half))
            found.append(int(candidates[0]))
        return found

    def _gap(self, k: int, flat: Array) -> float:
        """How much the two derivatives differ along a random direction in some elements."""
        x = self._xs[k]
        dx = np.zeros(x.size)
        dx[flat] = self._direction(x.reshape(-1)[flat])
        comparison, _ = self._compare(k, dx.reshape(x.shape))
        gap = abs(comparison.analytic - comparison.numeric)
        return gap if np.isfinite(gap) else float("inf")


def _worse(a: Element | None, b: Element) -> Element:
    return b if a is None or b.badness > a.badness else a


def _equal(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def _chance(cause: str, first: Sequence[Array], second: Sequence[Array]) -> GradientCheckError:
    a, b = numeric.flatten(first), numeric.flatten(second)
    at = int(np.argmax(np.abs(a - b)))
    return GradientCheckError(
        cause,
        expected="the same numbers for the same inputs",
        got=f"{a[at]:.9g}, then {b[at]:.9g}",
        hint="draw random numbers once, outside; dropout is frozen only if it uses the default "
        "generator",
    )


def _not_finite(what: str, array: Array) -> GradientCheckError:
    bad = np.argwhere(~np.isfinite(array))
    index = tuple(int(i) for i in bad[0])
    return GradientCheckError(
        f"{what} is not finite",
        expected="finite numbers",
        got=f"{array[index]} at {list(index)}, {len(bad)} of {array.size} elements",
        hint="check at another point: log, sqrt, division and norms have infinite slopes at 0",
    )
