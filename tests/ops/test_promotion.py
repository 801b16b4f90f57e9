"""Which element type results have: category first, then dimensions, then width."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr

F16, F32, F64 = (cr.tensor(np.ones(2, t)) for t in ("f2", "f4", "f8"))
BOOL, I8, I32, I64 = (cr.tensor(np.ones(2, t)) for t in ("?", "i1", "i4", "i8"))
ZERO_F64 = cr.tensor(np.float64(1))

PROMOTED: list[tuple[Any, Any, str]] = [
    (F32, 2, "float32"), (F32, 2.5, "float32"), (F16, 1.5, "float16"), (F64, 1.5, "float64"),
    (I64, 2, "int64"), (I32, 2.5, "float32"), (I8, 2, "int8"), (BOOL, 2, "int64"),
    (BOOL, 2.5, "float32"), (F32, F64, "float64"), (F16, I64, "float16"), (I64, F32, "float32"),
    (I8, I32, "int32"), (BOOL, I8, "int8"), (F32, ZERO_F64, "float32"), (I64, ZERO_F64, "float64"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "dtype"), PROMOTED)
def test_promotion_follows_the_category_then_dimensions(a: Any, b: Any, dtype: str) -> None:
    for f in (cr.add, cr.mul, cr.maximum, cr.pow):
        assert f(a, b).dtype == dtype
        assert f(b, a).dtype == dtype
    assert cr.where(BOOL, a, b).dtype == dtype


def test_division_and_functions_of_integers_give_the_default_float() -> None:
    for x in (BOOL, I8, I64):
        assert (x / 2).dtype == cr.float32
        for f in (cr.exp, cr.sqrt, cr.sigmoid, cr.erf, cr.gelu, cr.reciprocal, cr.leaky_relu):
            assert f(x).dtype == cr.float32
    before = cr.get_default_dtype()
    cr.set_default_dtype(np.float64)
    try:
        assert cr.exp(I64).dtype == cr.float64
    finally:
        cr.set_default_dtype(before)


def test_relu_and_abs_of_integers_stay_integers() -> None:
    for f in (cr.relu, cr.abs, cr.square, cr.neg):
        assert f(I32).dtype == cr.int32


def test_half_precision_stays_half_precision() -> None:
    for f in (cr.exp, cr.erf, cr.gelu, cr.softplus, cr.sigmoid, cr.tanh, cr.elu):
        assert f(F16).dtype == cr.float16


def test_the_gradient_has_the_dtype_of_its_operand() -> None:
    a = cr.tensor(np.ones(3, np.float32), requires_grad=True)
    b = cr.tensor(np.ones(3, np.float64), requires_grad=True)
    cr.sum(cr.maximum(a * b, a) / b + a**b).backward()
    assert (a.grad.dtype, b.grad.dtype) == (cr.float32, cr.float64)


def test_arrays_in_give_arrays_out() -> None:
    x = np.array([1.0, 4.0])
    for y in (cr.sqrt(x), cr.add(x, 1), cr.gelu(x), cr.clip(x, 0, 2), cr.where(x > 2, x, 0.0)):
        assert type(y) is np.ndarray
