"""What the rules of ``simplify`` are written in.

A rule gets an op, its operands, what the result is, and the equation that makes each Var. It
returns a value that the result equals to the bit, a Call that computes it from less, or None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ...core.aval import SCALARS, Aval, Shape
from ...core.graph import Equation, Var
from ...core.op import Op

Made: TypeAlias = dict[Var, Equation]
"""The equation that makes each Var, of those that are made."""
Rule: TypeAlias = Callable[[Any, tuple[Any, ...], Aval, Made], Any]


class Call(NamedTuple):
    """An op with its operands, yet to be written into a graph."""

    op: Op
    inputs: tuple[Any, ...]


def source_of(x: Any, made: Made) -> Equation | None:
    """The equation that makes `x`; None for constants and what is given."""
    return made.get(x) if type(x) is Var else None


def is_number(x: Any, number: float) -> bool:
    """Whether `x` is a Python number equal to `number`; 0.0 is equal to -0.0."""
    return type(x) in SCALARS and x == number


def full(value: Any, out: Aval) -> Any:
    """A number, or a smaller array, in every place of an array, without memory for each."""
    return np.broadcast_to(np.asarray(value).astype(out.dtype), out.shape)


def lengthy(shape: Shape) -> list[int]:
    """The sizes other than one."""
    return [n for n in shape if n != 1]
