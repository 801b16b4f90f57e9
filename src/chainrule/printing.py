"""How tensors look when printed: PyTorch's form, so that examples carry over."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import config
from .core.aval import DType
from .core.value import Node

_PLAIN_DTYPES = (np.dtype(np.int64), np.dtype(np.bool_))


def format_tensor(array: Any, requires_grad: bool, grad_fn: Node | None) -> str:
    """``tensor([1., 2.], requires_grad=True)``: four decimals, dtype if it is not the default."""
    prefix = "tensor("
    body = np.array2string(
        np.asarray(array),
        separator=", ",
        prefix=prefix,
        max_line_width=80,
        formatter=_formatter(array),
    )
    notes = []
    if array.size == 0 and array.shape != (0,):
        notes.append(f"size={tuple(array.shape)}")
    if not (array.dtype == config.get_default_dtype() or array.dtype in _PLAIN_DTYPES):
        notes.append(f"dtype={array.dtype}")
    if grad_fn is not None:
        notes.append(f"grad_fn=<{grad_fn.name}>")
    elif requires_grad:
        notes.append("requires_grad=True")
    return f"{prefix}{', '.join([body, *notes])})"


def _formatter(array: Any) -> Any:
    dtype: DType = array.dtype
    if dtype.kind == "b":
        return {"bool": str}
    if dtype.kind != "f":
        return None
    finite = np.abs(array[np.isfinite(array)].astype(np.float64)) if array.size else np.zeros(1)
    nonzero = finite[finite != 0]
    if not (finite % 1).any() and not (finite >= 1e8).any():
        pattern = "{:.0f}."
    elif nonzero.size and (
        nonzero.max() / nonzero.min() > 1000 or nonzero.max() > 1e8 or nonzero.min() < 1e-4
    ):
        pattern = "{:.4e}"
    else:
        pattern = "{:.4f}"

    def one(x: float) -> str:
        return pattern.format(x) if np.isfinite(x) else str(float(x))

    flat = np.ravel(array)
    shown = flat if flat.size <= 1000 else np.concatenate([flat[:50], flat[-50:]])
    width = max((len(one(x)) for x in shown), default=0)
    return {"float_kind": lambda x: one(x).rjust(width)}
