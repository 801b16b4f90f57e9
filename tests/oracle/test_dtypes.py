"""Element types: promotion of operands, results of functions and reductions, new tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import chainrule as cr

from .compare import ours, same, theirs

NAMES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
SHAPES = (((3,), (3,)), ((3,), ()), ((), (3,)), ((), ()))
SCALARS = (True, 2, 1.5, -1)
BINARY = (
    "add", "sub", "mul", "div", "pow", "maximum", "minimum", "remainder", "floor_divide", "eq",
    "lt", "logical_and", "atan2", "hypot", "logaddexp",
)  # fmt: skip
UNARY = (
    "exp", "log", "sqrt", "rsqrt", "sin", "tanh", "sigmoid", "erf", "relu", "abs", "neg", "sign",
    "floor", "square", "reciprocal", "isnan", "logical_not", "sum", "prod", "mean", "std",
    "argmax", "amax", "all", "log1p", "trunc",
)  # fmt: skip
DECIDED = {
    ("pow", "bool", True): "of truth values: int8, which NumPy computes it in",
    ("square", "bool"): "of truth values: int8, which NumPy computes it in",
    ("sign", "bool"): "of truth values is refused",
}
"""Where chainrule gives another type, or refuses."""


def compare(call: Callable[[Any, Any], Any], arrays: list[Any], what: str) -> None:
    """The same type and numbers, unless torch has no such function of these types."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            judged = call(
                torch, [theirs(a, False) if isinstance(a, np.ndarray) else a for a in arrays]
            )
        except (RuntimeError, NotImplementedError, TypeError):
            return
        mine = call(cr, [ours(a, False) if isinstance(a, np.ndarray) else a for a in arrays])
    rtol = 2e-3 if judged.dtype == torch.float16 else None
    if rtol is None:
        same(mine, judged, what)
    else:
        assert mine.dtype == np.float16, what
        np.testing.assert_allclose(mine.array, judged.numpy(), rtol)


def array(name: str, shape: tuple[int, ...], start: int = 1) -> np.ndarray:
    """Small positive numbers of a type."""
    count = int(np.prod(shape))
    return np.arange(start, start + count).reshape(shape).astype(name)


@pytest.mark.parametrize("name", BINARY)
def test_operands_are_promoted_alike(name: str) -> None:
    for left in NAMES:
        for right in NAMES:
            for a, b in SHAPES:
                compare(
                    lambda m, xs: getattr(m, name)(*xs),
                    [array(left, a), array(right, b, 2)],
                    f"{name} of {left}{a} and {right}{b}",
                )


@pytest.mark.parametrize("name", [n for n in BINARY if hasattr(torch, n)])
def test_python_numbers_are_weak_alike(name: str) -> None:
    for left in NAMES:
        for number in SCALARS:
            if (name, left, number) in DECIDED or (left == "uint8" and number == -1):
                continue
            for shape in ((3,), ()):
                compare(
                    lambda m, xs: getattr(m, name)(*xs),
                    [array(left, shape), number],
                    f"{name} of {left}{shape} and {number}",
                )


@pytest.mark.parametrize("name", UNARY)
def test_functions_give_the_same_types(name: str) -> None:
    for kind in NAMES:
        if (name, kind) not in DECIDED and not (name == "all" and kind == "uint8"):
            compare(lambda m, xs: getattr(m, name)(*xs), [array(kind, (4,))], f"{name} of {kind}")


def _where(m: Any, xs: Any) -> Any:
    return m.where(xs[0] > 1, *xs)


def test_the_branches_of_where_are_promoted_alike() -> None:
    for left in NAMES:
        for right in (*NAMES, *SCALARS):
            for a, b in SHAPES:
                other = array(right, b, 2) if isinstance(right, str) else right
                compare(_where, [array(left, a), other], f"where of {left}{a} and {right}{b}")


def test_joining_promotes_alike() -> None:
    for left in NAMES:
        for right in NAMES:
            operands = [array(left, (3,)), array(right, (3,), 2)]
            compare(lambda m, xs: m.concatenate(xs), operands, f"concatenate {left} {right}")
            compare(lambda m, xs: m.stack(xs), operands, f"stack {left} {right}")


CREATED: tuple[Callable[[Any], Any], ...] = (
    lambda m: m.tensor([1, 2]), lambda m: m.tensor([1.0, 2]), lambda m: m.tensor([True, False]),
    lambda m: m.tensor([[1, 2], [3, 4.5]]), lambda m: m.tensor(3), lambda m: m.tensor(2.5),
    lambda m: m.tensor(True), lambda m: m.tensor([]), lambda m: m.tensor(np.ones(2)),
    lambda m: m.tensor(np.arange(3, dtype=np.int32)), lambda m: m.tensor([1, 2], dtype=m.float64),
    lambda m: m.zeros(2, 3), lambda m: m.zeros((2, 3)), lambda m: m.ones(2, dtype=m.int64),
    lambda m: m.zeros(()), lambda m: m.full((2, 2), 7), lambda m: m.full((2,), 1.5),
    lambda m: m.full((2,), True), lambda m: m.full((1,), 2, dtype=m.float32), lambda m: m.arange(5),
    lambda m: m.arange(2, 9, 3), lambda m: m.arange(5.0), lambda m: m.arange(0, 1, 0.25),
    lambda m: m.arange(5, 0, -2), lambda m: m.arange(3, dtype=m.float64), lambda m: m.eye(3),
    lambda m: m.eye(2, 4), lambda m: m.linspace(0, 1, 5),
    lambda m: m.linspace(3, -3, 4, dtype=m.float64),
    lambda m: m.linspace(1, 2, 1), lambda m: m.zeros_like(m.ones(2, dtype=m.int32)),
    lambda m: m.ones_like(m.zeros(2, 2)), lambda m: m.full_like(m.zeros(2), 3),
    lambda m: m.zeros_like(m.zeros(2), dtype=m.float64), lambda m: m.as_tensor([1.0, 2.0]),
    lambda m: m.from_numpy(np.arange(4.0)), lambda m: m.tensor([0, 1]).bool(),
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(CREATED)))
def test_new_tensors_are_alike(number: int) -> None:
    same(CREATED[number](cr), CREATED[number](torch), f"new tensor {number}")
