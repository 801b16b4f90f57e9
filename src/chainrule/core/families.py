"""Families of ops: what is derived once from how an op is linear, bilinear or elementwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

from .apply import apply
from .aval import Aval, Data, Shape, broadcast_shapes, result_dtype, shape_of
from .op import CROSS, INPUTS, NOTHING, Active, Cotangents, Op
from .sampling import Draw, Sample


class Elementwise(Op, abstract=True):
    """y[i] = f(x₁[i], x₂[i], …), with broadcasting.

    Subclasses give ``forward``, ``partial``, ``expr`` (the scalar formula, for code generation and
    as an oracle), ``math`` (one local derivative per input, as a formula in the inputs {0}, {1}
    and the output {y}) and ``domain`` (where each input is sampled).
    """

    promotes = True
    keeps_shapes = False  # the engine knows the shapes; elementwise rules have no use for them
    expr: ClassVar[str] = ""
    math: ClassVar[tuple[str, ...]] = ()
    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0),)
    kinds: ClassVar[tuple[Literal["float", "bool", "distinct"], ...]] = ("float",)

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        """∂y/∂xᵢ, elementwise."""
        raise NotImplementedError

    def infer(self, *xs: Any) -> Aval:
        shape = broadcast_shapes(*[shape_of(x) for x in xs])
        return Aval(shape, result_dtype(xs, floating=self.floating))

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return [
            None if wanted is None else ct * self.partial(i, xs, y)
            for i, wanted in enumerate(active)
        ]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        total = None
        for i, dx in enumerate(dxs):
            if dx is not None:
                term = dx * self.partial(i, xs, y)
                total = term if total is None else total + term
        return total

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        n = len(cls.domain)
        for shapes in _elementwise_shapes(n):
            yield Sample(
                cls(),
                tuple(
                    Draw(shape, low, high, kind)
                    for shape, (low, high), kind in zip(
                        shapes,
                        cls.domain,
                        cls.kinds * n if len(cls.kinds) < n else cls.kinds,
                        strict=False,
                    )
                ),
            )


def _elementwise_shapes(n: int) -> list[tuple[Shape, ...]]:
    """Shapes to test elementwise ops on: scalars, empties and each kind of broadcast."""
    same: list[Shape] = [(), (1,), (3,), (2, 3), (0,), (2, 0, 3), (1, 1, 1), (2, 1, 2, 1, 2)]
    if n == 1:
        return [(s,) for s in [*same, (5, 1), (4, 3), (3, 2, 2), (7,)]]
    mixed: list[tuple[Shape, Shape]] = [
        ((2, 3), ()), ((), (3,)), ((1, 3), (2, 1)), ((3,), (2, 3)), ((2, 1), (2, 3)),
        ((0, 3), (1, 3)), ((4, 1, 3), (2, 1)),
    ]  # fmt: skip
    if n == 2:
        return [*((s, s) for s in same[:5]), *mixed]
    return [*((s, s, s) for s in same[:5]), *((a, b, a) for a, b in mixed)]


class Unary(Elementwise, abstract=True):
    """An elementwise op of one input: subclasses give ``slope`` instead of ``partial``."""

    def slope(self, x: Data, y: Data) -> Data:
        """dy/dx, elementwise."""
        raise NotImplementedError

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        return self.slope(xs[0], y)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct * self.slope(xs[0], y),)


class Linear(Op, abstract=True):
    """y = A x for the first input; other inputs (indices, masks) are constants.

    Subclasses give ``infer``, ``forward`` and ``transpose``; the JVP is the op itself and the VJP
    its transpose.
    """

    needs = NOTHING

    def transpose(self, ct: Data, x: Data, *constants: Data) -> Data:
        """Aᵀ ct. `x` is the first input's shape and dtype, as an Aval."""
        raise NotImplementedError

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (self.transpose(ct, *xs), *[None] * (len(xs) - 1))

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        return apply(self, dxs[0], *xs[1:])


class Bilinear(Op, abstract=True):
    """y is linear in each of two inputs: matmul, einsum, convolution.

    Subclasses give ``infer``, ``forward`` and ``transpose(i, …)``.
    """

    needs = CROSS
    large = 1024  # a product of small matrices is work, and BLAS's threads disturb ours

    def transpose(self, i: int, ct: Data, xs: Sequence[Data]) -> Data:
        """Cotangent of input `i`, linear in `ct` and in the other input."""
        raise NotImplementedError

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return [
            None if wanted is None else self.transpose(i, ct, xs) for i, wanted in enumerate(active)
        ]

    def jvp(self, dxs: Sequence[Data | None], xs: Sequence[Data], y: Data) -> Data:
        total = None
        for i, dx in enumerate(dxs):
            if dx is not None:
                term = apply(self, *[dx if j == i else x for j, x in enumerate(xs)])
                total = term if total is None else total + term
        return total


class Fused(Op, abstract=True):
    """An op with a rule of its own, and a ``reference``: the same function made of other ops."""

    needs = INPUTS
    recurrent: ClassVar[bool] = False
    """Whether it is a loop over time, in which an input is used once in every step."""


class Constant(Op, abstract=True):
    """An op whose result carries no derivative: comparisons, argmax, one-hot, random numbers."""

    needs = NOTHING
    differentiable = False

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return [None] * len(xs)
