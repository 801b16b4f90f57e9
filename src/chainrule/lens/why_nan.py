"""``why_nan``: the operation that made the first number which is not finite.

Only what reaches the loss, or a gradient, counts: a NaN that is masked out raises no alarm.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, final

import numpy as np

from .. import ops
from ..compile.step import Compiled
from ..core.observation import observation
from ..core.value import recording
from ..errors import TrainingError
from ..nn.module import Module
from ..ops import random
from ..optim.optimizer import Optimizer
from ..tensor import Tensor
from .doctor.flow import is_finite
from .doctor.search import Culprit, Search


def why_nan(step: Callable[..., Any], *args: Any, **kwargs: Any) -> Culprit | None:
    """Run `step`, a training step or a part of one, eagerly, and find what is not finite, if any.

    The step has its effects. A loss without a ``backward`` call is judged by its value.

    >>> x = tensor([1.0, 0.0], requires_grad=True)
    >>> print(why_nan(lambda: cr.sqrt(x).sum().backward()).operation)
    sqrt
    """
    search, before = Search(), observation.by
    observation.by = search
    try:
        result = step(*args, **kwargs)
    finally:
        observation.by = before
    if search.culprit is None and isinstance(result, Tensor) and not is_finite(result.array):
        makers = search.flow.ancestors_of_arrays([result.array])
        found = search.flow.first_non_finite(makers, 0)
        if found is not None:
            return Culprit(found.operation, False, found.place, found.operands)
    return search.culprit


@final
class Guarded:
    """A compiled training step that explains the first number which is not finite.

    The gradients' sum of squares is a value of the graph; if it is not finite, no parameter is
    changed, the step is run once more eagerly with the same random numbers, and TrainingError names
    the operation. `step` returns the loss.
    """

    def __init__(self, step: Callable[..., Any], model: Module, optimizer: Optimizer) -> None:
        self.step = step
        self.model = model
        self.optimizer = optimizer
        self.culprit: Culprit | None = None
        self._flag = Tensor.wrap(np.zeros((), np.float32))
        self._inner = optimizer.watch
        optimizer.watch = self
        self._compiled = step if isinstance(step, Compiled) else Compiled(step)

    def update(self, step: Callable[[], None]) -> None:
        """Make the update, unless a gradient is not finite."""
        params = [p for group in self.optimizer.param_groups for p in group["params"]]
        held = [(p, p.array) for p in params if p.grad is not None]
        if self._inner is None:
            step()
        else:
            self._inner.update(step)
        with recording(False):
            parts = [ops.sum(p.grad.array * p.grad.array) for p, _ in held]
            total = sum(parts[1:], parts[0]) if parts else np.zeros((), np.float32)
            self._flag.array = ops.cast(total, np.dtype(np.float32))
            fine = ops.isfinite(total)
            for p, old in held:
                p.array = ops.where(fine, p.array, old)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        numbers = random.default_generator.get_state()
        loss = self._compiled(*args, **kwargs)
        if math.isfinite(self._flag.array.item()):
            return loss
        random.default_generator.set_state(numbers)
        self.culprit = why_nan(self.step, *args, **kwargs)
        raise TrainingError(
            "a gradient is not finite; no parameter was changed",
            got=None if self.culprit is None else str(self.culprit).replace("\n", " "),
            at=None if self.culprit is None else str(self.culprit.place),
        )
