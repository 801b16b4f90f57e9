"""Numbers of chainrule next to numbers of PyTorch: conversion, relative error, assertions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

import chainrule as cr

from .tally import TALLY

# Two pools of threads that wait for the same cores in turn made training ten times slower.
torch.set_num_threads(1)

RTOL = 1e-9
FLOOR = 1e-4
"""Elements smaller than this share of the largest one are measured against that share."""
NOISE = 1e-14
"""What is smaller than this in both is rounding noise around an exact zero, unless floor is 0."""
FLOAT32_RTOL = 2e-6


def rng_for(label: str) -> np.random.Generator:
    """A generator of its own for each case, the same in every run."""
    return np.random.default_rng(list(label.encode()))


def ours(array: np.ndarray, grad: bool = True) -> cr.Tensor:
    """A chainrule tensor; one of floats wants a gradient."""
    return cr.Tensor(array, requires_grad=grad and array.dtype.kind == "f")


def theirs(array: np.ndarray, grad: bool = True) -> torch.Tensor:
    """A torch tensor; one of floats wants a gradient."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.requires_grad_(grad and array.dtype.kind == "f")


def numbers(value: Any) -> np.ndarray:
    """The array in a tensor of either library."""
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    return value.array if isinstance(value, cr.Tensor) else np.asarray(value)


def relative_error(mine: np.ndarray, judge: np.ndarray, floor: float = FLOOR) -> float:
    """The largest |mine - judge| / |judge|; infinite where NaN, infinities or signs of them differ.

    The denominator is at least `floor` times the largest finite |judge|: cancellation leaves noise
    of that scale in small elements. A small gradient that is altogether wrong still counts as 100 %
    unless it is ten thousand times smaller than its neighbours.
    """
    finite = np.isfinite(judge)
    if not np.array_equal(mine[~finite], judge[~finite], equal_nan=True):
        return np.inf
    mine, judge = mine[finite].astype(np.float64), judge[finite].astype(np.float64)
    if not np.isfinite(mine).all():
        return np.inf
    if not judge.size:
        return 0.0
    sizes = np.abs(judge)
    sizes = np.maximum(sizes, floor * sizes.max())
    apart = np.abs(mine - judge)
    if floor:
        apart[(np.abs(mine) < NOISE) & (np.abs(judge) < NOISE)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(apart == 0, 0.0, apart / sizes).max())


def same(
    mine: Any,
    judge: Any,
    what: str,
    *,
    rtol: float = RTOL,
    floor: float = FLOOR,
    dtype: bool = True,
) -> None:
    """Assert equal shapes, element types and numbers; exactly for integers and truth values."""
    a, b = numbers(mine), numbers(judge)
    TALLY.checks += 1
    assert a.shape == b.shape, f"{what}: shape {a.shape}, PyTorch {b.shape}"
    assert not dtype or a.dtype == b.dtype, f"{what}: {a.dtype}, PyTorch {b.dtype}"
    if b.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, err_msg=what)
        return
    narrow = b.dtype.itemsize < 8
    error = relative_error(a, b, floor)
    if not narrow and error <= rtol:
        TALLY.note(error, what)
    limit = FLOAT32_RTOL if narrow else rtol
    assert error <= limit, f"{what}: relative error {error:.3g}\n{a}\nPyTorch\n{b}"


def same_gradient(mine: Any, judge: Any, x: Any, what: str, **how: Any) -> None:
    """``same`` for gradients of `x`, where None stands for zeros."""
    if mine is None and judge is None:
        TALLY.checks += 1
        return
    zeros = np.zeros(x.shape, numbers(x).dtype)
    same(zeros if mine is None else mine, zeros if judge is None else judge, what, **how)


def flat(outputs: Any) -> list[Any]:
    """The tensors in an output: itself, or those of a (nested) tuple."""
    return list(_leaves(outputs))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, tuple | list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def cotangents(outputs: Sequence[Any], rng: np.random.Generator) -> list[np.ndarray]:
    """A random direction for each output."""
    return [rng.normal(size=tuple(y.shape)).astype(numbers(y).dtype) for y in outputs]
