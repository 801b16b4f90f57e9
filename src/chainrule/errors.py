"""Every error class of the package: a cause, what was expected, what was got, and a cure.

Each message has at most five lines, in one form::

    ShapeError: matmul cannot contract its operands
      expected  a.shape[-1] == b.shape[-2]
      got       a: float32[32,784]   b: float32[768,128]
      at        train.py:41  h = x @ self.w1      (Net.fc1)
      hint      flatten() gave 784 features; fc1 was built for 768

Every class also derives from the built-in exception that Python programmers would catch for it.
"""

from __future__ import annotations

from collections.abc import Callable

locate: Callable[[], str | None] | None = None
"""Finds the user's line for an error that is raised without `at`; ``core.apply`` says how."""


class ChainruleError(Exception):
    """Base of all errors raised on purpose by chainrule.

    `at` is the user's line, innermost on the stack, unless it is given.

    >>> print(ShapeError("cannot add", expected="equal shapes", got="(2,) and (3,)", at="a.py:1"))
    cannot add
      expected  equal shapes
      got       (2,) and (3,)
      at        a.py:1
    """

    def __init__(
        self,
        cause: str,
        *,
        expected: str | None = None,
        got: str | None = None,
        at: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.cause = cause
        self.expected = expected
        self.got = got
        self.at = locate() if at is None and locate is not None else at
        self.hint = hint
        super().__init__(cause)

    def __str__(self) -> str:
        details = {
            "expected": self.expected,
            "got": self.got,
            "at": self.at,
            "hint": self.hint,
        }
        lines = [f"  {key:<9} {text}" for key, text in details.items() if text]
        return "\n".join([self.cause, *lines])


class ShapeError(ChainruleError, ValueError):
    """Shapes that an operation cannot combine."""


class DTypeError(ChainruleError, TypeError):
    """An element type that an operation cannot take, such as a gradient of integers."""


class IndexRangeError(ChainruleError, IndexError):
    """An index, a class label or an axis outside its range."""


class ArgumentError(ChainruleError, ValueError):
    """A value that a parameter does not accept."""


class GradientError(ChainruleError, RuntimeError):
    """A gradient that cannot be computed as asked."""


class FreedGraphError(GradientError):
    """The graph was walked backward once already and its saved values are gone."""


class SecondOrderError(GradientError):
    """The derivative of this operation cannot itself be differentiated."""


class InPlaceError(GradientError):
    """An in-place change that could not reach the tensor it was meant for."""


class TracingError(ChainruleError, TypeError):
    """A traced function asked for numbers that exist only when its graph runs."""


class FirstCallError(TracingError):
    """What happens in the first call only, such as taking on shapes, cannot be part of a trace."""


class GraphError(ChainruleError, ValueError):
    """A graph that is not well formed: a defect of the compiler pass that made it."""


class CompilationError(ChainruleError, RuntimeError):
    """The compiler could not make a program of a graph: a defect of ours; NumPy runs it instead."""


class ExplanationError(GradientError):
    """A gradient that cannot be explained, or an explanation that does not check out."""


class GradientCheckError(ChainruleError, AssertionError):
    """A derivative differs from its finite difference."""


class DataError(ChainruleError, ValueError):
    """A data file that is missing, truncated, or not what its header says."""


class CheckpointError(ChainruleError, ValueError):
    """A saved run or state that cannot be loaded as asked."""


class StateError(ChainruleError, KeyError):
    """A ``state_dict`` that does not fit the module it is loaded into."""

    __str__ = ChainruleError.__str__


class MissingNameError(ChainruleError, AttributeError):
    """A name of PyTorch's that the mirror does not have."""


class TrainingError(ChainruleError, RuntimeError):
    """Training cannot go on: an empty batch, a loss that is not finite."""
