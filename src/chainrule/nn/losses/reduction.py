"""How a loss of many elements becomes a number, and the base classes of loss modules.

``reduction`` is "mean", "sum" or "none". PyTorch's older arguments say the same: ``reduce=False``
is "none", ``size_average=False`` is "sum". A mean over an empty batch is a ShapeError; the sum of
one is 0.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ... import ops
from ...core.apply import warn
from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from ...ops.losses import check_batch
from ..module import Module

REDUCTIONS = ("mean", "sum", "none")


def chosen(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the older arguments ask for, or `reduction` where they are None."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def reduced(loss: Any, reduction: str, extra: str = "") -> Any:
    """The mean or the sum of all elements, or `loss` as it is."""
    if reduction == "mean":
        check_batch(loss.shape)
        return ops.mean(loss)
    if reduction == "sum":
        return ops.sum(loss)
    check_reduction(reduction, extra)
    return loss


def check_reduction(reduction: str, extra: str = "") -> None:
    """Raise ArgumentError for a reduction that there is not."""
    if reduction not in REDUCTIONS:
        raise ArgumentError(
            "unknown reduction",
            expected=", ".join([*REDUCTIONS, *([extra] if extra else [])]),
            got=repr(reduction),
        )


def same_shape(name: str, input: Any, target: Any) -> None:
    """Raise ShapeError unless both have one shape."""
    if input.shape != target.shape:
        raise ShapeError(
            f"{name} compares element by element",
            expected=f"target of shape {input.shape}",
            got=f"input: {describe(input)}   target: {describe(target)}",
            hint="drop an axis of size one with squeeze(), or add it with unsqueeze()",
        )


def warn_if_broadcast(name: str, input: Any, target: Any) -> None:
    """Warn of shapes that differ, as PyTorch does."""
    shapes = getattr(input, "shape", ()), getattr(target, "shape", ())
    if shapes[0] != shapes[1]:
        warn(
            f"{name} broadcasts input {shapes[0]} against target {shapes[1]}, "
            "which is rarely meant; give both one shape"
        )


class Loss(Module):
    """A loss with its reduction."""

    allowed: ClassVar[tuple[str, ...]] = REDUCTIONS

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.reduction = chosen(size_average, reduce, reduction)
        if self.reduction not in self.allowed:
            raise ArgumentError(
                "unknown reduction", expected=", ".join(self.allowed), got=repr(reduction)
            )


class WeightedLoss(Loss):
    """A loss with weights, which are a buffer."""

    weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
