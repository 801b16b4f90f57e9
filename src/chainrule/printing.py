"""How tensors look when printed: PyTorch's form, so that examples carry over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import config
from .core.aval import DType
from .core.value import Node
from .errors import ArgumentError

_PLAIN_DTYPES = (np.dtype(np.int64), np.dtype(np.bool_))


@dataclass(frozen=True)
class _Options:
    """How numbers are written: see ``set_print_options``."""

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=2**62),
}
_options = _Options()


def set_print_options(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed; what is None stays, or is as in `profile` if that is given.

    `precision` is digits after the point; above `threshold` elements only `edgeitems` at each end
    are shown; lines have `linewidth` columns; `sci_mode` asks for or against powers of ten.
    Profiles are "default", "short" and "full".
    """
    global _options  # noqa: PLW0603  the one setting that the whole program shares
    if profile is not None and profile not in _PROFILES:
        raise ArgumentError("no such profile", expected=", ".join(_PROFILES), got=repr(profile))
    start = _options if profile is None else _PROFILES[profile]
    _options = _Options(
        start.precision if precision is None else precision,
        start.threshold if threshold is None else int(min(threshold, 2**62)),
        start.edgeitems if edgeitems is None else edgeitems,
        start.linewidth if linewidth is None else linewidth,
        sci_mode,
    )


def format_tensor(array: Any, requires_grad: bool, grad_fn: Node | None) -> str:
    """``tensor([1., 2.], requires_grad=True)``: four decimals, dtype if it is not the default."""
    prefix = "tensor("
    body = np.array2string(
        np.asarray(array),
        separator=", ",
        prefix=prefix,
        max_line_width=_options.linewidth,
        threshold=_options.threshold,
        edgeitems=_options.edgeitems,
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
    elif _is_scientific(nonzero):
        pattern = f"{{:.{_options.precision}e}}"
    else:
        pattern = f"{{:.{_options.precision}f}}"

    def one(x: float) -> str:
        return pattern.format(x) if np.isfinite(x) else str(float(x))

    flat = np.ravel(array)
    shown = flat if flat.size <= _options.threshold else np.concatenate([flat[:50], flat[-50:]])
    width = max((len(one(x)) for x in shown), default=0)
    return {"float_kind": lambda x: one(x).rjust(width)}


def _is_scientific(nonzero: Any) -> bool:
    """Whether absolute values, none of them zero, are written with powers of ten."""
    if _options.sci_mode is not None or not nonzero.size:
        return bool(_options.sci_mode)
    low, high = nonzero.min(), nonzero.max()
    return bool(high / low > 1000 or high > 1e8 or low < 1e-4)
