"""The two halves of a training step, compiled where that changes nothing but the time they take.

Between them, a fit looks at the loss and the gradients, and tells its callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias, final

import numpy as np

from ..compile.step import Compiled
from ..core.apply import warn
from ..core.aval import describe
from ..core.value import recording
from ..errors import ArgumentError, TracingError
from ..nn.module import Module
from ..nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from ..optim.optimizer import Optimizer
from ..tensor import Tensor

Loss: TypeAlias = Callable[[Any, Any], Tensor]


class Passed(NamedTuple):
    """What a forward and backward pass gives."""

    outputs: Any
    loss: Tensor
    squares: Tensor | None
    """The sum of the squares of all gradients: it is finite only if they are. None: not known."""


@final
class TrainingStep:
    """Gradients of a batch, and the update by them, of one model, optimizer and loss function.

    `loss(outputs, target)` gives a tensor of one element. With `compiled`, both halves are compiled
    when they first run. A model with hooks runs eagerly, for they would be called in the trace
    only, and so does what cannot be traced: then a warning says why.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss,
        *,
        compiled: bool,
    ) -> None:
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.of = (model, optimizer, loss)
        self.is_wanted_compiled = compiled
        self.is_compiled = compiled
        """Unless it turned out that they cannot be traced."""
        self._compiled_pass: Callable[..., Passed] = Compiled(self._pass, pure=True)
        self._compiled_update: Callable[..., None] = Compiled(self._update, pure=True)
        self._has_hooks = False

    def begin_epoch(self) -> None:
        """Look whether the model has hooks."""
        self._has_hooks = has_hooks(self.model)

    def gradients(self, inputs: tuple[Any, ...], target: Any) -> Passed:
        """Forward and backward; the gradients are in the parameters."""
        passed: Passed = self._run(self._compiled_pass, self._eager_pass, inputs, target)
        return passed

    def update(self, clip_norm: float | None, clip_value: float | None) -> None:
        """Clip the gradients, if so wished, and change the parameters by them."""
        self._run(self._compiled_update, self._update, clip_norm, clip_value)

    def _run(self, compiled: Callable[..., Any], eager: Callable[..., Any], *args: Any) -> Any:
        if not self.is_compiled or self._has_hooks:
            return eager(*args)
        try:
            return compiled(*args)
        except TracingError as refusal:
            result = eager(*args)  # an error of its own says more than the refusal
            self.is_compiled = False
            warn(f"training goes on without compiling: {refusal}\nTrainer(compile=False) says so")
            return result

    def _eager_pass(self, inputs: tuple[Any, ...], target: Any) -> Passed:
        """Without a backward pass if the loss is not finite, and without a look at gradients."""
        self.optimizer.zero_grad()
        outputs = self.model(*inputs)
        loss = checked_loss(self.loss(outputs, target))
        if math.isfinite(loss.item()):
            loss.backward()
        return Passed(outputs, loss, None)

    def _pass(self, inputs: tuple[Any, ...], target: Any) -> Passed:
        self.optimizer.zero_grad()
        outputs = self.model(*inputs)
        loss = checked_loss(self.loss(outputs, target))
        loss.backward()
        with recording(False):
            grads = [p.grad for p in self.model.parameters() if p.grad is not None]
            squares = [(g * g).sum() for g in grads]
            return Passed(outputs, loss, sum(squares[1:], squares[0]) if squares else None)

    def _update(self, clip_norm: float | None, clip_value: float | None) -> None:
        parameters = list(self.model.parameters())
        if clip_norm is not None:
            clip_grad_norm_(parameters, clip_norm)
        if clip_value is not None:
            clip_grad_value_(parameters, clip_value)
        self.optimizer.step()


def has_hooks(model: Module) -> bool:
    """Whether a module has a hook that would be called in a trace only."""
    return any(
        not _is_traceable(hook)
        for module in model.modules()
        if module._hooks is not None
        for hook in module._hooks.named().values()
    )


def _is_traceable(hook: Any) -> bool:
    """Whether a hook does nothing but operations on tensors, so that a trace has all of it."""
    return getattr(hook[0] if isinstance(hook, tuple) else hook, "traceable", False) is True


def checked_loss(loss: Any) -> Tensor:
    """The loss, or ArgumentError unless it is a tensor of one element."""
    if isinstance(loss, Tensor) and math.prod(loss.shape) == 1:
        return loss
    raise ArgumentError(
        "the loss function must return one number that can be differentiated",
        expected="a tensor of one element",
        got=describe(loss) if isinstance(loss, (Tensor, np.ndarray)) else type(loss).__name__,
        hint="compute it with tensors to the end, and reduce it with mean() or sum()",
    )
