"""``torch.testing``: comparisons of tensors."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..core.value import Value
from ._names import mirrored

__getattr__, __dir__ = mirrored(__name__)

_TOLERANCES: Final = {"float16": (1e-3, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}
"""Relative and absolute ones that ``assert_close`` uses by dtype; zero for other types."""


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: Any = None,
) -> None:
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Shapes and dtypes must be the same too. Sequences and mappings are compared entry by entry.
    """
    options: dict[str, Any] = {
        "rtol": rtol, "atol": atol, "equal_nan": equal_nan, "check_dtype": check_dtype, "msg": msg,
    }  # fmt: skip
    if isinstance(expected, dict):
        if actual.keys() != expected.keys():
            raise AssertionError(f"keys differ: {list(actual)} and {list(expected)}")
        actual, expected = list(actual.values()), [expected[key] for key in actual]
    if isinstance(expected, (list, tuple)):
        for x, y in zip(actual, expected, strict=True):
            assert_close(x, y, **options)
        return
    a, b = _array(actual), _array(expected)
    if a.shape != b.shape:
        raise AssertionError(msg or f"shapes differ: {a.shape} and {b.shape}")
    if check_dtype and a.dtype != b.dtype:
        raise AssertionError(msg or f"dtypes differ: {a.dtype} and {b.dtype}")
    usual = _TOLERANCES.get(b.dtype.name, (0.0, 0.0))
    np.testing.assert_allclose(
        a,
        b,
        rtol=usual[0] if rtol is None else rtol,
        atol=usual[1] if atol is None else atol,
        equal_nan=equal_nan,
        err_msg=str(msg or ""),
    )


def assert_allclose(
    actual: Any,
    expected: Any,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = True,
    msg: str = "",
) -> None:
    """``assert_close`` of any dtypes."""
    assert_close(
        actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False, msg=msg
    )


def _array(x: Any) -> Any:
    return x.array if isinstance(x, Value) else np.asarray(x)
