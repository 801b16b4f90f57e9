"""The mean loss of a network over fixed data, as a function of all its parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from ...autodiff import hvp, value_and_grad
from ...compile.step import Compiled
from ...core.value import recording
from ...errors import ArgumentError, ShapeError
from ...nn.module import Module
from ...nn.stateless import functional_call
from ...tensor import Tensor, as_tensor

Vector: TypeAlias = NDArray[np.float64]
"""A value for every trained parameter, one after the other, as in ``parameters_to_vector``."""
Loss: TypeAlias = Callable[[Any, Any], Tensor]


@final
class Objective:
    """L(w): the mean loss of a model over some data, with its gradient and Hessian products.

    `w` is a float64 vector of all parameters that want gradients; ``start`` holds their present
    values. The model is read in evaluation mode, so that L is a function of w alone, and is never
    changed. Values, gradients and products are compiled, and summed over batches of `batch_size`
    samples, which bounds the memory.

    `loss(outputs, target)` gives the mean over the batch.

    Raises ArgumentError for a model without parameters to train, and for data that do not fit.

    >>> model = cr.nn.Linear(1, 1, bias=False)
    >>> f = Objective(model, cr.nn.functional.mse_loss, tensor([[1.0], [2.0]]), zeros(2, 1))
    >>> f.value(np.array([2.0])), f.gradient(np.array([2.0]))[1], f.product(f.start, np.ones(1))
    (10.0, array([10.]), array([5.]))
    """

    def __init__(
        self, model: Module, loss: Loss, inputs: Any, targets: Any, *, batch_size: int = 512
    ) -> None:
        self.model = model
        self._places = {n: p for n, p in model.named_parameters() if p.requires_grad}
        if not self._places:
            raise ArgumentError("the model has no parameters to train", got=type(model).__name__)
        self.names = tuple(self._places)
        """The parameters, in the order of the vector."""
        self.shapes = tuple([p.shape for p in self._places.values()])
        self.size = sum(map(math.prod, self.shapes))
        """How many numbers a vector has."""
        self._batches = _cut(as_tensor(inputs), as_tensor(targets), batch_size)
        self._samples = sum(len(x) for x, _ in self._batches)

        def value(w: Any, x: Tensor, y: Tensor) -> Tensor:
            return loss(functional_call(model, w, (x,)), y)

        def both(w: Any, x: Tensor, y: Tensor) -> Any:
            return value_and_grad(value)(w, x, y)

        def product(w: Any, v: Any, x: Tensor, y: Tensor) -> Any:
            return hvp(lambda u: value(u, x, y), w, v)[1]

        self._value = Compiled(value)
        self._both = Compiled(both)
        self._product = Compiled(product)

    @property
    def start(self) -> Vector:
        """The parameters that the model has now."""
        return np.concatenate([p.array.ravel() for p in self._places.values()]).astype(np.float64)

    def value(self, w: Vector) -> float:
        """The mean loss at `w`."""
        named = self.split(w)
        with recording(False), _evaluating(self.model):
            return float(
                sum(share * self._value(named, x, y).item() for share, x, y in self._parts)
            )

    def gradient(self, w: Vector) -> tuple[float, Vector]:
        """The mean loss at `w`, and its gradient."""
        named, total, slope = self.split(w), 0.0, np.zeros(self.size)
        with _evaluating(self.model):
            for share, x, y in self._parts:
                value, found = self._both(named, x, y)
                total += share * value.item()
                slope += share * self._joined(found)
        return total, slope

    def product(self, w: Vector, v: Vector) -> Vector:
        """The Hessian of the mean loss at `w`, times `v`, without the Hessian.

        Forward over reverse mode: Pearlmutter, "Fast exact multiplication by the Hessian" (1994).
        """
        named, direction = self.split(w), self.split(v)
        total = np.zeros(self.size)
        with _evaluating(self.model):
            for share, x, y in self._parts:
                total += share * self._joined(self._product(named, direction, x, y))
        return total

    def split(self, w: Vector) -> dict[str, Tensor]:
        """A vector as tensors of the parameters' names, shapes and dtypes."""
        if w.shape != (self.size,):
            raise ShapeError(
                "a vector has an element for each parameter that is trained",
                expected=f"({self.size},)",
                got=str(w.shape),
            )
        found, begin = {}, 0
        for (name, p), shape in zip(self._places.items(), self.shapes, strict=True):
            end = begin + math.prod(shape)
            found[name] = Tensor.wrap(w[begin:end].reshape(shape).astype(p.dtype))
            begin = end
        return found

    def _joined(self, named: Mapping[str, Tensor]) -> Vector:
        parts = [named[name].array.ravel() for name in self.names]
        return np.concatenate(parts).astype(np.float64)

    @property
    def _parts(self) -> Iterator[tuple[float, Tensor, Tensor]]:
        """The batches, each with its share of the samples."""
        for x, y in self._batches:
            yield len(x) / self._samples, x, y


def _cut(inputs: Tensor, targets: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    if size < 1:
        raise ArgumentError("batch_size is a number of samples", got=str(size))
    if not inputs.ndim or not targets.ndim or len(inputs) != len(targets) or not len(inputs):
        raise ArgumentError(
            "the data of an objective are inputs and as many targets, at least one",
            got=f"inputs of shape {inputs.shape}, targets of shape {targets.shape}",
        )
    starts = range(0, len(inputs), size)
    return [(inputs[i : i + size], targets[i : i + size]) for i in starts]


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Evaluation mode while the block runs; afterwards, every module is as it was."""
    before = [(module, module.training) for module in model.modules() if module.training]
    for module, _ in before:
        module.training = False
    try:
        yield
    finally:
        for module, was in before:
            module.training = was
