"""Scores of a model and their gradients with respect to its inputs: in batches, compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, final

import numpy as np

from ..autodiff.gradients import gradients
from ..compile.step import Compiled
from ..core.apply import warn
from ..core.aval import describe
from ..core.value import recording
from ..errors import DTypeError, ShapeError, TracingError
from ..nn.module import Module
from ..tensor import Tensor
from ..train.steps import has_hooks

Array: TypeAlias = np.ndarray[Any, Any]
Model: TypeAlias = Callable[..., Any]
"""A module, or any function of a batch."""
Objective: TypeAlias = Callable[..., Tensor]
"""``objective(outputs, *others)`` gives one number for each sample, a tensor of shape (N,)."""

BATCH_SIZE: Final = 128
"""Samples in a pass, unless said otherwise."""


class Passed(NamedTuple):
    """Of N samples: the model's outputs, the objective, and its gradients."""

    outputs: Array
    values: Array
    gradients: Array


@final
class InputGradients:
    """The gradient of an objective with respect to each sample of a batch.

    The gradient of the sum over the batch is that of each sample on its own where samples do not
    influence one another: in evaluation mode. No parameter's ``grad`` is touched. Passes are
    compiled from the second on; a model with hooks runs eagerly, and so does one that cannot be
    traced.

    >>> squares = InputGradients(lambda x: x * x, lambda y: y.sum(1))
    >>> squares(np.array([[1.0, 2.0]])).gradients
    array([[2., 4.]])
    """

    def __init__(self, model: Model, objective: Objective, *, batch_size: int = BATCH_SIZE) -> None:
        self.model = model
        self.objective = objective
        self.batch_size = batch_size
        self.dtype = _dtype_of(model)
        self._is_traceable = True
        self._ran: set[Callable[..., Any]] = set()
        self._compiled_pass: Callable[..., Any] = Compiled(self._pass)
        self._compiled_values: Callable[..., Any] = Compiled(self._values)

    def __call__(self, x: Any, *others: Any) -> Passed:
        """Outputs, objective and gradients; `others` are arrays with an entry for each sample."""
        return Passed(*self._in_batches(self._compiled_pass, self._pass, x, others))

    def values(self, x: Any, *others: Any) -> tuple[Array, Array]:
        """Outputs and objective, without gradients."""
        outputs, values = self._in_batches(self._compiled_values, self._values, x, others)
        return outputs, values

    def inputs(self, x: Any) -> Array:
        """A batch as an array of the model's element type. Raises DTypeError for integers."""
        array = np.asarray(x.array if isinstance(x, Tensor) else x)
        if array.dtype.kind != "f":
            raise DTypeError(
                "there is no gradient with respect to integers",
                expected="inputs of floats",
                got=describe(array),
                hint="for token numbers, pass a function of their embeddings as the model",
            )
        if not array.ndim or not array.size:
            raise ShapeError(
                "there are no samples", expected="a batch: (N, ...)", got=describe(array)
            )
        return array.astype(self.dtype or array.dtype, copy=False)

    def _in_batches(
        self, compiled: Callable[..., Any], eager: Callable[..., Any], x: Any, others: Any
    ) -> tuple[Array, ...]:
        array = self.inputs(x)
        apart = not (isinstance(self.model, Module) and self.model.training)
        parts = []
        for batch, n in _batches((array, *others), self.batch_size, padded=apart):
            found = self._run(compiled, eager, [Tensor.wrap(part) for part in batch])
            parts.append([y.array[:n] for y in found])
        return tuple([np.concatenate(same) for same in zip(*parts, strict=True)])

    def _run(self, compiled: Callable[..., Any], eager: Callable[..., Any], args: Any) -> Any:
        is_hooked = isinstance(self.model, Module) and has_hooks(self.model)
        is_first = eager not in self._ran
        self._ran.add(eager)
        if is_first or is_hooked or not self._is_traceable:
            return eager(*args)
        try:
            return compiled(*args)
        except TracingError as refusal:
            result = eager(*args)  # an error of its own says more than the refusal
            self._is_traceable = False
            warn(f"gradients are computed without compiling: {refusal}")
            return result

    def _pass(self, x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with recording(True):
            x = x.detach().requires_grad_()
            outputs = self.model(x)
            values = self._scored(x, outputs, others)
            if values.node is None:  # a function that does not depend on its input
                return outputs, values, x.detach() * 0
            (slope,) = gradients(values.sum(), x, materialize_grads=True)
            assert slope is not None
            return outputs.detach(), values.detach(), slope

    def _values(self, x: Tensor, *others: Tensor) -> tuple[Tensor, Tensor]:
        with recording(False):
            outputs = self.model(x)
            return outputs, self._scored(x, outputs, others)

    def _scored(self, x: Tensor, outputs: Any, others: Any) -> Tensor:
        values = self.objective(outputs, *others)
        if not isinstance(values, Tensor) or values.shape != x.shape[:1]:
            raise ShapeError(
                "what is differentiated must be one number for each sample",
                expected=f"a tensor of shape {x.shape[:1]}",
                got=describe(values) if isinstance(values, Tensor) else type(values).__name__,
            )
        return values


def _dtype_of(model: Model) -> Any:
    """The element type of a module's parameters; None for a function."""
    if isinstance(model, Module):
        return next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), None)
    return None


def _batches(
    arrays: tuple[Array, ...], size: int, *, padded: bool
) -> Iterator[tuple[list[Array], int]]:
    """Parts of at most `size` samples, and how many of them count.

    With `padded`, the last sample is repeated up to a power of two, so that few sizes are traced.
    """
    total = len(arrays[0])
    for start in range(0, total, size):
        n = min(size, total - start)
        room = min(size, 1 << (n - 1).bit_length()) if padded else n
        parts = [array[start : start + n] for array in arrays]
        if room > n:
            parts = [np.concatenate([p, np.repeat(p[-1:], room - n, 0)]) for p in parts]
        yield parts, n
