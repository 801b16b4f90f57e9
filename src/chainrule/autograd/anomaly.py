"""Anomaly detection: the first gradient with a NaN raises, and names the operation it came from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ContextDecorator
from functools import partial
from typing import Any, final

import numpy as np

from ..core.observation import Observer, hook_once, observation
from ..core.value import Node
from ..engine.reverse import users_of
from ..errors import GradientError


@final
class _Anomalies(Observer):
    """Checks each cotangent of a backward pass."""

    def backward(self, order: Sequence[Node], roots: Sequence[Node], wanted: object) -> None:
        users = users_of(order)
        for node in order:
            if node.shape is not None:
                hook_once(node, partial(self._check, users.get(node, [])))

    def _check(self, users: Sequence[Node], ct: Any) -> None:
        """What the users of a node, who come before it, passed to it."""
        if observation.by is not self or not users or not np.isnan(ct.array).any():
            return
        first = min(users, key=lambda node: node.order)
        raise GradientError(
            f"the backward pass of {' or '.join(dict.fromkeys(u.name for u in users))} gave NaN",
            at=first.location or None,
            hint="chainrule.lens.why_nan shows the numbers that it was given",
        )


class set_detect_anomaly(ContextDecorator):  # noqa: N801  PyTorch's name
    """From now on, or in a ``with`` block, a backward pass that makes a NaN raises GradientError.

    The error names the operation and its line in the forward pass. Compiled functions run eagerly
    meanwhile. An observer that is at work already, such as the doctor's, stays. `check_nan` = False
    checks nothing: errors name the line of the forward pass in any case.

    >>> x = tensor([0.0], requires_grad=True)
    >>> with set_detect_anomaly(True):
    ...     (cr.sqrt(x) * 0).sum().backward()
    Traceback (most recent call last):
        ...
    chainrule.errors.GradientError: the backward pass of sqrt gave NaN...
    """

    def __init__(self, mode: bool = True, check_nan: bool = True) -> None:
        self._outer = observation.by
        if mode and check_nan and self._outer is None:
            observation.by = _Anomalies()
        elif isinstance(self._outer, _Anomalies):
            observation.by = observation.by if mode and check_nan else None

    def __enter__(self) -> None:
        """It is on, or off, since it was made."""

    def __exit__(self, *exc: object) -> None:
        observation.by = self._outer


class detect_anomaly(ContextDecorator):  # noqa: N801  PyTorch's name
    """``set_detect_anomaly(True)`` for a ``with`` block or a function."""

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan

    def __enter__(self) -> None:
        self._inner = set_detect_anomaly(True, self._check_nan)

    def __exit__(self, *exc: object) -> None:
        self._inner.__exit__(*exc)


def is_anomaly_enabled() -> bool:
    """Whether backward passes are checked for NaN."""
    return isinstance(observation.by, _Anomalies)
