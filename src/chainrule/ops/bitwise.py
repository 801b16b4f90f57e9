"""Functions of integers: bitwise logic, what ``& | ^ ~`` compute, shifts and common divisors.

The bits of negative integers are those of two's complement. Floats have none: DTypeError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import SCALARS, Aval, Data, describe, result_dtype
from ..core.families import Constant, Elementwise
from ..core.sampling import Sample
from ..errors import DTypeError

V = TypeVar("V")


class _Bitwise(Constant, Elementwise, abstract=True):
    """An op on each bit; a truth value is one bit."""

    domain: ClassVar[tuple[tuple[float, float], ...]] = ((-8.0, 8.0), (-8.0, 8.0))
    kinds = ("bool",)

    def infer(self, *xs: Any) -> Aval:
        out = super().infer(*xs)
        if out.dtype.kind == "f":
            raise DTypeError(
                f"{self.name} takes integers and truth values",
                got="   ".join(describe(x) for x in xs),
                hint="compare first: (x > 0) & (y > 0)",
            )
        return out

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for sample in super().samples():
            yield sample
            yield Sample(sample.op, tuple(draw._replace(kind="int") for draw in sample.inputs))


class BitwiseAnd(_Bitwise):
    """The bits that both operands have."""

    expr = "{0} & {1}"
    forward: ClassVar[Any] = np.bitwise_and

    def reference(self, *xs: Data) -> Data:
        a, b = xs
        return bitwise_xor(bitwise_or(a, b), bitwise_xor(a, b))


class BitwiseOr(_Bitwise):
    """The bits that an operand has."""

    expr = "{0} | {1}"
    forward: ClassVar[Any] = np.bitwise_or

    def reference(self, *xs: Data) -> Data:
        a, b = xs
        return bitwise_xor(bitwise_xor(a, b), bitwise_and(a, b))


class BitwiseXor(_Bitwise):
    """The bits that exactly one operand has."""

    expr = "{0} ^ {1}"
    forward: ClassVar[Any] = np.bitwise_xor

    def reference(self, *xs: Data) -> Data:
        a, b = xs
        return bitwise_and(bitwise_or(a, b), bitwise_not(bitwise_and(a, b)))


class BitwiseNot(_Bitwise):
    """The bits that the operand does not have."""

    expr = "~{0}"
    domain = ((-8.0, 8.0),)
    forward: ClassVar[Any] = np.bitwise_not

    def reference(self, *xs: Data) -> Data:
        x = xs[0]
        return bitwise_xor(x, True if x.dtype.kind == "b" else -1)


class _Integers(_Bitwise, abstract=True):
    """A function of two integers, by the compiler's `function`, or else by NumPy."""

    function: ClassVar[str] = ""

    def infer(self, *xs: Any) -> Aval:
        out = super().infer(*xs)
        if out.dtype.kind == "b":
            raise DTypeError(f"{self.name} takes integers", got="booleans")
        return out

    def lower(self, k: Any, *xs: Any) -> Any:
        if not self.function:
            return None
        dtype = result_dtype(xs)
        nodes = [k.full(x, dtype, ()) if type(x) in SCALARS else k.cast(x, dtype) for x in xs]
        return k.apply(self.function, *nodes)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for sample in super(_Bitwise, cls).samples():
            a, b = (draw._replace(kind="int") for draw in sample.inputs)
            yield Sample(sample.op, (a, b._replace(low=0)))


class BitwiseLeftShift(_Integers):
    """a 2ᵇ, without the bits that leave the integer."""

    function = "shl"
    expr = "{0} * 2 ** {1}"
    forward: ClassVar[Any] = np.left_shift


class BitwiseRightShift(_Integers):
    """a / 2ᵇ, rounded down."""

    function = "shr"
    expr = "floor({0} / 2 ** {1})"
    forward: ClassVar[Any] = np.right_shift


class Gcd(_Integers, name="gcd"):
    """The greatest integer that divides both; 0 of two zeros."""

    expr = "gcd({0}, {1})"
    forward: ClassVar[Any] = np.gcd


class Lcm(_Integers, name="lcm"):
    """The least positive integer that both divide; 0 with a zero."""

    expr = "lcm({0}, {1})"
    forward: ClassVar[Any] = np.lcm


BITWISE_LEFT_SHIFT, BITWISE_RIGHT_SHIFT = BitwiseLeftShift(), BitwiseRightShift()
GCD, LCM = Gcd(), Lcm()
BITWISE_AND, BITWISE_OR, BITWISE_XOR = BitwiseAnd(), BitwiseOr(), BitwiseXor()
BITWISE_NOT = BitwiseNot()


def bitwise_and(a: V, b: Any) -> V:
    """The bits that both integers have, elementwise; of truth values: a and b. No derivative.

    >>> bitwise_and(tensor([5, 6]), 3)
    tensor([1, 2])
    """
    return apply(BITWISE_AND, a, b)


def bitwise_or(a: V, b: Any) -> V:
    """The bits that one integer has or the other, elementwise; of truth values: a or b.

    >>> bitwise_or(tensor([5, 6]), 3)
    tensor([7, 7])
    """
    return apply(BITWISE_OR, a, b)


def bitwise_xor(a: V, b: Any) -> V:
    """The bits that exactly one integer has, elementwise; of truth values: whether they differ.

    >>> bitwise_xor(tensor([5, 6]), 3)
    tensor([6, 5])
    """
    return apply(BITWISE_XOR, a, b)


def bitwise_not(x: V) -> V:
    """-x - 1, which is every bit turned over, elementwise; of truth values: not x.

    >>> bitwise_not(tensor([1, 2]))
    tensor([-2, -3])
    """
    return apply(BITWISE_NOT, x)


def bitwise_left_shift(a: Any, b: Any) -> Any:
    """a 2ᵇ of integers, without the bits that leave them. Raises DTypeError for other numbers.

    >>> bitwise_left_shift(tensor([1, 3]), 2)
    tensor([ 4, 12])
    """
    return apply(BITWISE_LEFT_SHIFT, a, b)


def bitwise_right_shift(a: Any, b: Any) -> Any:
    """a / 2ᵇ of integers, rounded down. Raises DTypeError for other numbers."""
    return apply(BITWISE_RIGHT_SHIFT, a, b)


def gcd(a: Any, b: Any) -> Any:
    """The greatest common divisor of integers, 0 of two zeros. DTypeError for other numbers.

    >>> gcd(tensor([12, 7]), 8)
    tensor([4, 1])
    """
    return apply(GCD, a, b)


def lcm(a: Any, b: Any) -> Any:
    """The least common multiple of integers, 0 with a zero. DTypeError for other numbers."""
    return apply(LCM, a, b)
