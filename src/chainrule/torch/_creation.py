"""New tensors by functions whose form in PyTorch is not that of the library's."""

from __future__ import annotations

import math
from typing import Any

from ..core.aval import broadcast_shapes
from ..creation import arange
from ..facts import require_cpu
from ..ops.random import randn
from ._calls import filled

__all__ = ["normal", "range"]


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    dtype: Any = None,
    out: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **places: Any,
) -> Any:
    """Normal numbers; `mean` and `std` are numbers, or tensors that decide the shape together."""
    require_cpu(device)
    if size is None:
        size = broadcast_shapes(*(getattr(x, "shape", ()) for x in (mean, std)))
    drawn = randn(size, dtype=dtype, generator=generator) * std + mean
    drawn = drawn.detach() if out is None else filled(out, drawn)
    return drawn.requires_grad_() if requires_grad else drawn


def range(
    start: float = 0,
    end: float | None = None,
    step: float = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Any:
    """Floating-point numbers from `start` to `end`, both included.

    >>> range(1, 2, 0.5)
    tensor([1.0000, 1.5000, 2.0000])
    """
    require_cpu(device)
    if end is None:
        start, end = 0, start
    count = math.floor((end - start) / step) + 1
    new = (arange(float(count)) * step + start).to(dtype=dtype)
    return new.requires_grad_() if requires_grad else new
