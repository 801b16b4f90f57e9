"""Distribution: batches of independent distributions over events, and what all of them can do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from .. import config, ops
from ..core.aval import Shape, broadcast_shapes, describe
from ..core.value import is_traced, recording
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor, as_tensor
from .constraints import Constraint


class Distribution:
    """Base of all distributions. Values are of ``sample_shape + batch_shape + event_shape``.

    Parameters broadcast to the batch shape. With `validate_args` (the default), parameters outside
    their ranges, and values outside the support, raise ArgumentError; in a trace nothing is known
    of the numbers and nothing is checked.

    A subclass names its parameters in ``arg_constraints``, which are its attributes of these names.
    """

    has_rsample: ClassVar[bool] = False
    has_enumerate_support: ClassVar[bool] = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    _validate_default: ClassVar[bool] = True

    def __init__(
        self,
        batch_shape: Sequence[int] = (),
        event_shape: Sequence[int] = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = tuple(batch_shape), tuple(event_shape)
        self._validate = self._validate_default if validate_args is None else validate_args
        if self._validate:
            for name, constraint in self.arg_constraints.items():
                value = vars(self).get(name)
                if isinstance(value, Tensor):
                    self._check(constraint, value, f"{name} of {type(self).__name__}")

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions check arguments unless told otherwise."""
        Distribution._validate_default = value

    def _check(self, constraint: Constraint, value: Tensor, what: str) -> None:
        """Raise ArgumentError if a number is outside of its set."""
        with recording(False):
            inside = constraint.check(value.detach())
        if not isinstance(inside, Tensor) or is_traced(inside.array) or bool(inside.all()):
            return
        at = np.argwhere(~inside.array)[0]
        wrong = value.array[tuple(at)]
        raise ArgumentError(
            f"{what} is out of range",
            expected=repr(constraint),
            got=str(wrong) + (f" at {tuple(at.tolist())}" if at.size else ""),
        )

    # Shapes ---------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Shape:
        """Shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Shape:
        """Shape of one value."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Sequence[int] = ()) -> Shape:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def _parameters(self) -> dict[str, Tensor]:
        """The arguments that make this distribution, each of the batch shape and more."""
        return {k: v for k, v in vars(self).items() if k in self.arg_constraints}

    def _own_dims(self, name: str) -> int:
        """Number of axes of a parameter behind those of the batch."""
        return self.arg_constraints[name].event_dim

    def expand(self, batch_shape: Sequence[int]) -> Self:
        """The same distributions, repeated to a larger batch shape."""
        shape = tuple(batch_shape)
        expanded = {}
        for name, value in self._parameters().items():
            own = value.shape[value.ndim - self._own_dims(name) :] if self._own_dims(name) else ()
            expanded[name] = ops.broadcast_to(value, (*shape, *own))
        return self._remade(expanded)

    def _remade(self, parameters: dict[str, Tensor]) -> Self:
        make: Any = type(self)
        return make(**parameters, validate_args=False)

    # What a subclass says -------------------------------------------------------------------------

    @property
    def support(self) -> Constraint:
        """The set of values."""
        raise self._lacks("a support")

    @property
    def mean(self) -> Tensor:
        """The expectation."""
        raise self._lacks("a mean in closed form")

    @property
    def mode(self) -> Tensor:
        """The likeliest value."""
        raise self._lacks("a mode in closed form")

    @property
    def variance(self) -> Tensor:
        """The expected square of the distance from the mean."""
        raise self._lacks("a variance in closed form")

    @property
    def stddev(self) -> Tensor:
        """The root of the variance."""
        return self.variance.sqrt()

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Random values that are differentiable functions of the parameters."""
        raise self._lacks("reparameterised samples", "use sample(), with the score function")

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Random values, through which no gradient passes."""
        with recording(False):
            return self.rsample(sample_shape).detach()

    def log_prob(self, value: Any) -> Tensor:
        """The logarithm of the density, or probability, of each event."""
        raise self._lacks("a density")

    def cdf(self, value: Any) -> Tensor:
        """The probability of values up to `value`."""
        raise self._lacks("a distribution function in closed form")

    def icdf(self, value: Any) -> Tensor:
        """The value below which the probability is `value`: the inverse of ``cdf``."""
        raise self._lacks("an inverse distribution function in closed form")

    def entropy(self) -> Tensor:
        """The expectation of -log p."""
        raise self._lacks("an entropy in closed form")

    def perplexity(self) -> Tensor:
        """exp of the entropy."""
        return self.entropy().exp()

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values, along a new first axis; for discrete distributions on few of them."""
        raise self._lacks("a support that can be enumerated")

    # For subclasses -------------------------------------------------------------------------------

    def _lacks(self, what: str, hint: str | None = None) -> NotImplementedError:
        """The error for what this distribution does not have."""
        words = f"{type(self).__name__} does not have {what}"
        return NotImplementedError(words if hint is None else f"{words}: {hint}")

    def _value(self, value: Any) -> Tensor:
        """A value as a tensor, checked if arguments are validated."""
        x = value if isinstance(value, Tensor) else as_tensor(value)
        if not self._validate:
            return x
        events = len(self._event_shape)
        if events and x.shape[x.ndim - events :] != self._event_shape:
            raise ShapeError(
                f"the value does not have the shape of an event of {type(self).__name__}",
                expected=f"(…, {', '.join(map(str, self._event_shape))})",
                got=describe(x),
            )
        broadcast_shapes(x.shape[: x.ndim - events], self._batch_shape)
        self._check(self.support, x, f"the value for {type(self).__name__}")
        return x

    def _zeros(self, value: Any) -> Tensor:
        """`value` at each place of the batch."""
        filled = as_tensor(value)
        return ops.broadcast_to(filled, self._extended_shape())

    def __repr__(self) -> str:
        parts = []
        for name, value in self._parameters().items():
            numbers = value.numel() == 1 and not is_traced(value.array)
            parts.append(f"{name}: {value.item():.4g}" if numbers else f"{name}: {describe(value)}")
        return f"{type(self).__name__}({', '.join(parts)})"


def parameters(*values: Any) -> list[Tensor]:
    """Parameters as floating-point tensors of one dtype, broadcast against each other."""
    tensors = [v for v in values if isinstance(v, Tensor) and v.dtype.kind == "f"]
    dtype = np.result_type(*[t.dtype for t in tensors]) if tensors else config.get_default_dtype()
    found = [
        v if isinstance(v, Tensor) and v.dtype == dtype
        else ops.cast(v, dtype) if isinstance(v, Tensor)
        else Tensor(v, dtype)
        for v in values
    ]  # fmt: skip
    shape = broadcast_shapes(*[t.shape for t in found])
    return [t if t.shape == shape else ops.broadcast_to(t, shape) for t in found]


def floats(value: Any) -> Tensor:
    """One parameter as a floating-point tensor."""
    return parameters(value)[0]


def one_of(name: str, **given: Any) -> str:
    """Which of two parameters was given. Raises ArgumentError for both or none."""
    named = [k for k, v in given.items() if v is not None]
    if len(named) != 1:
        raise ArgumentError(
            f"{name} takes either {' or '.join(given)}", got=" and ".join(named) or "neither"
        )
    return named[0]


def summed(x: Tensor, axes: int) -> Tensor:
    """`x` summed over its last `axes`."""
    return x.sum(tuple(range(-axes, 0))) if axes else x


def tiny(x: Any) -> float:
    """The smallest normal number of a dtype."""
    return float(np.finfo(x.dtype).tiny)


def epsilon(x: Any) -> float:
    """The distance from one to the next number of a dtype."""
    return float(np.finfo(x.dtype).eps)


def uniform_numbers(shape: Sequence[int], like: Any) -> Tensor:
    """Random numbers in (0, 1), with neither end: logarithms of them and of 1 - u are finite."""
    u = ops.rand(tuple(shape), dtype=like.dtype)
    return ops.clip(u, tiny(like), 1.0 - epsilon(like) / 2)


EULER = 0.57721566490153286061
LOG_TWO_PI = math.log(2.0 * math.pi)
