"""How an op says where tests may sample it: a few declarative draws, no random numbers here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from .aval import Shape

if TYPE_CHECKING:
    from .op import Op

Kind: TypeAlias = Literal["float", "int", "bool", "distinct", "regular", "definite"]


class Draw(NamedTuple):
    """One random input: shape, range and kind.

    `float` is uniform on [low, high]; `int` is uniform on low … high-1; `distinct` are floats at
    least 0.05 apart, in random order, for ops with ties and sorting; `bool` is a fair coin. The
    last two axes of `regular` are matrices whose singular values, and of `definite` symmetric ones
    whose eigenvalues, are spread over [low, high].
    """

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    kind: Kind = "float"


class Sample(NamedTuple):
    """An op with the draws of its inputs. Integer and bool draws are never differentiated."""

    op: Op
    inputs: tuple[Draw, ...]


def floats(*shapes: Sequence[int], low: float = -2.0, high: float = 2.0) -> tuple[Draw, ...]:
    """Float draws of the given shapes."""
    return tuple(Draw(tuple(s), low, high) for s in shapes)


def ints(shape: Sequence[int], high: int, low: int = 0) -> Draw:
    """Integers from `low` to ``high - 1``."""
    return Draw(tuple(shape), low, high, "int")


def bools(shape: Sequence[int]) -> Draw:
    """Random truth values."""
    return Draw(tuple(shape), kind="bool")


def distinct(*shape: int) -> Draw:
    """Floats with no ties."""
    return Draw(tuple(shape), kind="distinct")


def regular(shape: Sequence[int], low: float = 0.5, high: float = 2.0) -> Draw:
    """Matrices whose singular values are apart from each other and from zero."""
    return Draw(tuple(shape), low, high, "regular")


def definite(shape: Sequence[int], low: float = 0.5, high: float = 2.0) -> Draw:
    """Symmetric matrices whose eigenvalues are positive and apart from each other."""
    return Draw(tuple(shape), low, high, "definite")
