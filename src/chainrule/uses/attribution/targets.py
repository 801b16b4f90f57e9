"""What is attributed: one number of a model's outputs for each sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, final

import numpy as np

from ... import ops
from ...core.aval import describe
from ...errors import ArgumentError, IndexRangeError, ShapeError
from ...nn.module import Module
from ...tensor import Tensor
from ...train.loop import in_mode
from ..input_gradients import BATCH_SIZE, Array, InputGradients, Model, Passed

Target: TypeAlias = Any
"""None, a class or output index, a tuple of indices, an index for each sample, or a function."""


@final
class Scores:
    """A model, a batch of inputs, and the output of each sample that is to be explained.

    `target` is one of: None, the greatest output of each sample, or its only one; an int, the index
    of a class or output; a tuple, the place of an output of several axes, without the batch's; an
    array of ints, one for each sample; a function of the outputs that gives a tensor of shape (N,).

    All functions of ``attribution`` take Scores in place of a model, so that several methods share
    what was compiled. The model runs in evaluation mode, and is left in the mode it was in.

    Raises IndexRangeError for an output that is not there, ShapeError for an index that does not
    name one number, ArgumentError for a target of another kind.
    """

    def __init__(
        self, model: Model, x: Any, target: Target = None, *, batch_size: int = BATCH_SIZE
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self._chosen: Callable[[Any], Any] | None = target if callable(target) else None
        self._passes = InputGradients(model, self._objective, batch_size=batch_size)
        self.x = self._passes.inputs(x)
        self._mask = np.ones(len(self.x), np.bool_)
        self.target: Any = getattr(target, "__name__", "function")
        if self._chosen is None:
            first = InputGradients(model, _any_number, batch_size=batch_size)
            outputs = self._evaluated(lambda: first.values(self.x))[0]
            self.target, self._mask = _selected(outputs, target)

    @classmethod
    def of(cls, model: Model | Scores, x: Any = None, target: Target = None) -> Scores:
        """The Scores themselves, or new ones of a model."""
        return model if isinstance(model, Scores) else cls(model, x, target)

    def at(self, points: Any, rows: Any) -> Array:
        """The scores at other inputs; ``rows[i]`` is the sample whose output point i explains."""
        mask = self._mask[rows]
        found: Array = self._evaluated(lambda: self._passes.values(points, mask))[1]
        return found

    def gradients(self, points: Any, rows: Any) -> Passed:
        """Scores and their gradients at other inputs."""
        mask = self._mask[rows]
        passed: Passed = self._evaluated(lambda: self._passes(points, mask))
        return passed

    def scored(self, outputs: Tensor, rows: Any) -> Tensor:
        """The scores among outputs that were computed elsewhere, with their tape."""
        found: Tensor = self._objective(outputs, Tensor.wrap(self._mask[rows]))
        return found

    def _objective(self, outputs: Any, mask: Tensor) -> Any:
        if self._chosen is not None:
            return self._chosen(outputs)
        kept = ops.where(mask, outputs, 0.0)  # not a product: infinities elsewhere stay out
        return ops.sum(ops.reshape(kept, (kept.shape[0], -1)), 1)

    def _evaluated(self, run: Callable[[], Any]) -> Any:
        if not isinstance(self.model, Module):
            return run()
        with in_mode(self.model, training=False):
            return run()


def _any_number(outputs: Any, *_: Any) -> Tensor:
    """A score of each sample, where only the outputs are asked for."""
    if not isinstance(outputs, Tensor) or not outputs.ndim:
        raise ShapeError(
            "the outputs are not one tensor of a batch",
            got=describe(outputs) if isinstance(outputs, Tensor) else type(outputs).__name__,
            hint="pass target=function, which takes the outputs and returns a tensor of shape (N,)",
        )
    flat: Tensor = ops.reshape(outputs, (outputs.shape[0], -1))
    return ops.sum(flat, 1)


def _selected(outputs: Array, target: Target) -> tuple[Any, Array]:
    """The target in full, and a mask that is True at the output of each sample."""
    n, shape = len(outputs), outputs.shape[1:]
    if target is None:
        if outputs.size != n and len(shape) != 1:
            raise ShapeError(
                "these outputs have several axes: say which one to explain",
                expected=f"target=a tuple of {len(shape)} indices",
                got=describe(outputs),
            )
        places = outputs.reshape(n, -1).argmax(1)[:, np.newaxis] if shape else None
    else:
        places = _places(target, n, len(shape))
    mask = np.zeros(outputs.shape, np.bool_)
    if outputs.size == n:
        mask[...] = True
    if places is None or (target is None and outputs.size == n):
        return None, mask
    outside = (places < 0) | (places >= np.array(shape))
    if outside.any():
        raise IndexRangeError(
            "there is no such output",
            expected=f"an index into {shape}",
            got=str(tuple(places[outside.any(1)][0].tolist())),
        )
    mask[(np.arange(n), *places.T)] = True
    if isinstance(target, (int, np.integer)):
        return int(target), mask
    return (target if isinstance(target, tuple) else places[:, 0].tolist()), mask


def _places(target: Target, n: int, axes: int) -> Array:
    """An index of `axes` numbers for each of `n` samples."""
    if isinstance(target, tuple):
        rows = np.array([target] * n)
    elif isinstance(target, Tensor):
        rows = np.asarray(target.array)[:, np.newaxis] if target.ndim else np.array([[target]] * n)
    else:
        given = np.asarray(target)
        rows = given[:, np.newaxis] if given.ndim == 1 else np.broadcast_to(given, (n, 1))
    if rows.dtype.kind not in "iu":
        raise ArgumentError(
            "a target is an index, a tuple of them, one for each sample, or a function",
            got=repr(target)[:80],
        )
    if rows.shape != (n, axes):
        raise ShapeError(
            "a target must name one output of each sample",
            expected=f"{axes} indices, for each of {n} samples",
            got=f"{rows.shape[1]} for {len(rows)}",
        )
    return rows
