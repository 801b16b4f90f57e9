"""Every op in the registry under vmap: results, gradients and tangents are those of a loop."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

import chainrule as cr
from chainrule.core.apply import apply
from chainrule.core.op import Op
from chainrule.core.sampling import Sample
from chainrule.ops import all_ops
from chainrule.testing.opcheck import samples_of
from chainrule.testing.sampling import direction, draw_inputs

SIZE = 3
OPS = sorted(
    (
        cls
        for cls in all_ops().values()
        if cls.__module__.startswith("chainrule.") and cls.__module__ != "chainrule.ops.random"
    ),
    key=lambda cls: cls.name,
)


def chosen(cls: type[Op]) -> list[Sample]:
    """Some of the samples, with different numbers of axes."""
    samples = list(samples_of(cls))
    step = max(1, len(samples) // 8)
    return samples[::step]


def subsets(n: int) -> list[tuple[bool, ...]]:
    """Which inputs are mapped: all, each alone, all but each."""
    every = [tuple(c) for c in itertools.product((True, False), repeat=n) if any(c)]
    return every if n <= 2 else [c for c in every if sum(c) in (1, n - 1, n)]


def outputs(op: Op, *xs: object) -> tuple[cr.Tensor, ...]:
    ys = apply(op, *xs)  # type: ignore[arg-type]
    return ys if op.n_out is not None else (ys,)  # type: ignore[return-value]


@pytest.mark.parametrize("cls", OPS, ids=lambda cls: cls.name)
def test_an_op_of_a_batch_is_the_op_of_each_example(cls: type[Op]) -> None:
    for sample in chosen(cls):
        for mapped in subsets(len(sample.inputs)):
            check(sample, mapped)


def check(sample: Sample, mapped: tuple[bool, ...]) -> None:
    seed = zlib.crc32(repr((sample, mapped)).encode())
    rng = np.random.default_rng(seed)
    draws = [draw_inputs(sample, rng) for _ in range(SIZE)]
    arrays = [
        np.stack([draw[i] for draw in draws]) if is_mapped else draws[0][i]
        for i, is_mapped in enumerate(mapped)
    ]
    label = f"{sample.op!r} of {[a.shape for a in arrays]}, mapped {mapped}"
    in_dims = tuple(0 if is_mapped else None for is_mapped in mapped)
    tensors = [cr.Tensor(a) for a in arrays]
    rows = [
        [t[k] if is_mapped else t for t, is_mapped in zip(tensors, mapped, strict=True)]
        for k in range(SIZE)
    ]
    loop = [outputs(sample.op, *row) for row in rows]
    ys = cr.vmap(lambda *xs: outputs(sample.op, *xs), in_dims)(*tensors)
    for i, y in enumerate(ys):
        expected = np.stack([each[i].numpy() for each in loop])
        assert y.dtype == expected.dtype, label
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-9, atol=1e-12, err_msg=label)
    if sample.op.differentiable and not any(np.isnan(y.numpy()).any() for y in ys):
        check_derivatives(sample.op, tensors, rows, in_dims, label)


def check_derivatives(op: Op, tensors, rows, in_dims, label) -> None:
    """Gradients of each example, inside vmap; and of all, through it."""
    wrt = tuple(i for i, t in enumerate(tensors) if t.dtype.kind == "f")
    weights = [
        cr.Tensor(direction(y.numpy(), np.random.default_rng(i)))
        for i, y in enumerate(outputs(op, *rows[0]))
        if y.dtype.kind == "f"
    ]
    if not wrt or not weights:
        return

    def scalar(*xs: cr.Tensor) -> cr.Tensor:
        floats = [y for y in outputs(op, *xs) if y.dtype.kind == "f"]
        return sum(((y * w).sum() for y, w in zip(floats, weights, strict=True)), cr.zeros(()))

    inside = cr.vmap(cr.grad(scalar, wrt), in_dims)(*tensors)
    loop = [cr.grad(scalar, wrt)(*row) for row in rows]
    for i, g in enumerate(inside):
        expected = np.stack([each[i].numpy() for each in loop])
        np.testing.assert_allclose(g.numpy(), expected, rtol=1e-8, atol=1e-10, err_msg=label)
    through = cr.grad(lambda *xs: cr.vmap(scalar, in_dims)(*xs).sum(), wrt)(*tensors)
    for i, (g, position) in enumerate(zip(through, wrt, strict=True)):
        expected = np.stack([each[i].numpy() for each in loop])
        if in_dims[position] is None:
            expected = expected.sum(0)
        np.testing.assert_allclose(g.numpy(), expected, rtol=1e-8, atol=1e-10, err_msg=label)
