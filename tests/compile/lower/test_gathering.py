"""Computed places in compiled programs: what is out of range, negative, named twice, or not there.

That each op equals its interpreter in range is tested for all ops in one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import ops
from chainrule.compile import trace
from chainrule.compile.native import NativeExecutable
from chainrule.compile.passes import optimize
from chainrule.core.apply import apply
from chainrule.core.op import registry
from chainrule.errors import ArgumentError, IndexRangeError
from chainrule.runtime import native
from chainrule.runtime.program import HostCall
from chainrule.runtime.target import check_host, target

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")
Array = np.ndarray[Any, Any]
NAN = math.nan
RNG = np.random.default_rng(0)


def floats(*shape: int, dtype: Any = np.float32) -> Array:
    return RNG.standard_normal(shape).astype(dtype)


def program(
    fn: Callable[..., Any], arrays: Sequence[Array], where: str = "native", threads: int = 1
) -> NativeExecutable:
    """`fn` compiled, all of it to machine code."""
    chosen = target(where)
    try:
        check_host(chosen)
    except ArgumentError as error:
        pytest.skip(str(error))
    graph = optimize(trace(fn, *[cr.Tensor.wrap(x) for x in arrays]), check=True)
    made = NativeExecutable(graph, {}, target=chosen, threads=threads)
    assert not any(isinstance(step, HostCall) for step in made.program.steps)
    return made


def run(made: NativeExecutable, arrays: Sequence[Array]) -> Any:
    """Its only output, the same in the second call."""
    given = [made.prepare(i, x) for i, x in enumerate(arrays)]
    first = made(given)[0].copy()
    second = made(given)[0]
    assert first.tobytes() == second.tobytes()
    return second


def compiled(fn: Callable[..., Any], *arrays: Array) -> Any:
    """What the machine code of `fn` makes of arrays."""
    return run(program(fn, arrays), arrays)


def eager(fn: Callable[..., Any], *arrays: Array) -> Any:
    return fn(*[cr.Tensor.wrap(x) for x in arrays]).array


# Out of range -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32, np.bool_])
def test_rows_that_a_table_has_not_are_nan_or_zero(dtype: Any) -> None:
    table = (RNG.standard_normal((4, 19)) * 3).astype(dtype)
    index = np.array([[3, -1, 0], [4, 2**40, -(2**63)]])
    found = compiled(lambda w, i: ops.embedding(i, w), table, index)
    nothing = np.full(19, NAN if np.dtype(dtype).kind == "f" else 0).astype(dtype)
    want = np.stack([np.stack([table[3], nothing, table[0]]), np.stack([nothing] * 3)])
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
def test_numbers_of_rows_come_in_any_integer_type(kind: Any) -> None:
    table, index = floats(200, 3), np.array([199, 0, 100], np.uint8).astype(kind)
    found = compiled(lambda w, i: ops.embedding(i, w), table, index)
    inside = index.astype(np.int64) >= 0
    np.testing.assert_array_equal(found[inside], table[index[inside].astype(np.int64)])
    assert np.isnan(found[~inside]).all()


def test_gather_reads_nothing_out_of_range() -> None:
    x, index = floats(3, 4), np.array([[0, 3, 4], [-1, 2, 1], [3, 3, 99]])
    found = compiled(lambda x, i: ops.gather(x, 1, i), x, index)
    row = np.arange(3)[:, None]
    want = np.where((index >= 0) & (index < 4), x[row, np.clip(index, 0, 3)], np.float32(NAN))
    np.testing.assert_array_equal(found, want)


def test_an_index_counts_back_from_the_end_once() -> None:
    x, index = floats(5, 3), np.array([-1, -5, -6, 5, 4, 0])
    found = compiled(lambda x, i: x[i], x, index)
    np.testing.assert_array_equal(found[[0, 1, 4, 5]], x[[-1, 0, 4, 0]])
    assert np.isnan(found[[2, 3]]).all()
    unsigned = np.array([2**64 - 1, 1], np.uint64)
    found = compiled(lambda x, i: ops.take(x, i, 0), x, unsigned)
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], x[1])


def test_of_several_indices_one_out_of_range_is_enough() -> None:
    x, i, j = floats(3, 4), np.array([0, 3, 1, -3]), np.array([4, 1, -4, -1])
    found = compiled(lambda x, i, j: x[i, j], x, i, j)
    np.testing.assert_array_equal(found, np.array([NAN, NAN, x[1, 0], x[0, 3]], np.float32))


def test_sums_leave_out_what_has_no_place() -> None:
    x, index = floats(5, 6), np.array([1, -1, 3, 1, 2])
    rows = registry["row_sum"](3, None)
    found = compiled(lambda x, i: apply(rows, x, i), x, index)
    np.testing.assert_array_equal(found, np.stack([0 * x[0], x[0] + x[3], x[4]]))
    index = np.array([1, -1, 3, -4, 2])  # here the negative ones count back
    found = compiled(lambda x, i: ops.index_add(cr.zeros(3, 6), 0, i, x), x, index)
    np.testing.assert_array_equal(found, np.stack([0 * x[0], x[0], x[1] + x[4]]))


def test_a_write_out_of_range_changes_nothing() -> None:
    x, v, index = floats(4, 3), floats(3, 3), np.array([9, 2, -5])
    found = compiled(lambda x, v, i: ops.index_update(x, i, v), x, v, index)
    want = x.copy()
    want[2] = v[1]
    np.testing.assert_array_equal(found, want)


def test_eager_operations_that_are_compiled_still_refuse_an_index() -> None:
    """Large arrays go through kernels from some call on; the error must not depend on it."""
    table, index = cr.tensor(floats(3000, 8)), cr.tensor(RNG.integers(0, 3000, 5000))
    wrong = cr.tensor(np.where(np.arange(5000) == 4000, 3000, index.array))
    scores, labels = cr.tensor(floats(3000, 8)), np.zeros(3000, np.int64)
    for _ in range(3):
        np.testing.assert_array_equal(ops.embedding(index, table).array, table.array[index.array])
        for refused in (
            lambda: ops.embedding(wrong, table),
            lambda: table[wrong],
            lambda: ops.gather(table, 0, ops.expand(wrong[:, None], (5000, 8))),
            lambda: ops.index_add(table, 0, wrong, cr.zeros(5000, 8)),
            lambda: ops.one_hot(wrong, 3000),
            lambda: ops.index_update(table, wrong, 0.0),
            lambda: ops.cross_entropy(scores, np.where(np.arange(3000) == 5, 8, labels)),
        ):
            with pytest.raises(IndexRangeError):
                refused()


# Empty --------------------------------------------------------------------------------------------


def test_nothing_is_looked_up_in_an_empty_table() -> None:
    index = np.array([0, 1])
    found = compiled(lambda w, i: ops.embedding(i, w), floats(0, 3), index)
    assert found.shape == (2, 3)
    assert np.isnan(found).all()
    assert compiled(lambda w, i: ops.embedding(i, w), floats(4, 0), index).shape == (2, 0)
    nobody = np.zeros((0,), np.int64)
    assert compiled(lambda w, i: ops.embedding(i, w), floats(4, 3), nobody).shape == (0, 3)
    rows = registry["row_sum"](3, None)
    np.testing.assert_array_equal(
        compiled(lambda x, i: apply(rows, x, i), floats(0, 2), nobody), np.zeros((3, 2))
    )
    x = floats(4, 3)
    np.testing.assert_array_equal(
        compiled(lambda x, v, i: ops.index_update(x, i, v), x, floats(0, 3), nobody), x
    )


# In order -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["native", "avx2", "sse2"])
@pytest.mark.parametrize("width", [1, 5, 64, 600])
def test_sums_of_rows_are_eagers_bit_for_bit_on_any_target_and_threads(
    width: int, where: str
) -> None:
    x, index = floats(3000, width), RNG.integers(0, 40, 3000)
    rows = registry["row_sum"](40, 7)
    want = rows.forward(x, index)
    for threads in (1, 2, 3):
        made = program(lambda x, i: apply(rows, x, i), (x, index), where, threads)
        np.testing.assert_array_equal(run(made, (x, index)), want)
    assert not want[7].any()


@pytest.mark.parametrize("axis", [0, 1])
def test_scatters_and_running_sums_are_eagers_bit_for_bit(axis: int) -> None:
    x, index = floats(60, 70), RNG.integers(0, 9, (60, 70))
    scatter = registry["scatter"](axis, (9, 70) if axis == 0 else (60, 9))
    for fn in (
        lambda x, i: apply(scatter, x, i),
        lambda x, i: ops.cumsum(x, axis) + 0.0 * i,
        lambda x, i: cr.gradients(ops.cumsum(x, axis).sum(), [x])[0] + 0.0 * i,
    ):
        arrays = (x, index)
        want = eager(lambda x, i, fn=fn: fn(x.detach().requires_grad_(), i), *arrays)
        for threads in (1, 2):
            made = program(
                lambda x, i, fn=fn: fn(x.detach().requires_grad_(), i), arrays, threads=threads
            )
            np.testing.assert_array_equal(run(made, arrays), want)


def test_the_last_of_several_values_stays() -> None:
    x, v, index = floats(4, 3), floats(6, 3), np.array([1, 0, 1, -3, 0, 1])
    found = compiled(lambda x, v, i: ops.index_update(x, i, v), x, v, index)
    want = x.copy()
    want[1], want[0] = v[5], v[4]
    np.testing.assert_array_equal(found, want)


def test_the_gradient_of_an_update_goes_to_the_value_that_stayed() -> None:
    x, v, index = floats(4, 3), floats(4, 3), np.array([1, 0, 1, 3])

    def gradient(x: Any, v: Any, i: Any) -> Any:
        v = v.detach().requires_grad_()
        y = ops.index_update(x, i, v)
        return cr.gradients((y * y).sum(), [v])[0]

    np.testing.assert_array_equal(compiled(gradient, x, v, index), eager(gradient, x, v, index))


def test_parts_are_replaced_by_slices_and_numbers() -> None:
    x, v = floats(6, 5), floats(2, 1)
    for key in ((slice(1, 5, 2), slice(None)), (slice(4, None, -3),), (2,), (slice(0, 0),), ()):
        part = x[key]
        if part.shape and part.shape[0] == 2:
            np.testing.assert_array_equal(
                compiled(lambda x, v, key=key: ops.index_update(x, key, v), x, v),
                eager(lambda x, v, key=key: ops.index_update(x, key, v), x, v),
            )
        want = x.copy()
        want[key] = 2.5
        np.testing.assert_array_equal(
            compiled(lambda x, key=key: ops.index_update(x, key, 2.5), x), want
        )


# Among other operations ---------------------------------------------------------------------------


def test_what_is_looked_up_need_not_be_stored_as_it_is_written() -> None:
    """Tables that are views, computed, or results of products; numbers that are computed."""
    table, index, square = floats(6, 8), RNG.integers(0, 6, (3, 5)), floats(8, 8)
    for fn in (
        lambda w, i, a: ops.embedding(i, w.transpose(0, 1)[::2][:, :6].transpose(0, 1)),
        lambda w, i, a: ops.embedding(i, ops.exp(w) + w[:, :1]),
        lambda w, i, a: ops.embedding(i, w @ a) + a[0],
        lambda w, i, a: ops.embedding(i, w) @ a,
        lambda w, i, a: (ops.embedding(i, w[:, :1]) + w[0]) * 2.0,
        lambda w, i, a: ops.embedding((i * 5 + 3) % 6, w),
        lambda w, i, a: ops.embedding(ops.argmax(w, 1) % 6, ops.embedding(i, w)[0]),
        lambda w, i, a: ops.stack([ops.embedding(i, w), ops.embedding(i, w) * 2.0]).sum(1),
        lambda w, i, a: ops.expand(ops.embedding(i, w * 0.0 + 1.0).sum((0, 1)), (4, 8)),
        lambda w, i, a: w[i[0], i[1]] + a[i[0], 1:3].sum(1) + a[2, i[1]],
        lambda w, i, a: ops.gather(w @ a, 1, i[:, :4].sum(1, keepdim=True) % 8 + 0 * i),
    ):
        got, want = compiled(fn, table, index, square), eager(fn, table, index, square)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_a_table_that_is_also_a_matrix_gets_both_gradients() -> None:
    table, index = floats(12, 16), RNG.integers(0, 12, (2, 7))

    def gradient(w: Any, i: Any) -> Any:
        w = w.detach().requires_grad_()
        h = ops.tanh(ops.embedding(i, w)).reshape(14, 16)
        loss = ops.cross_entropy(h @ w.transpose(0, 1), i.reshape(14))
        return cr.gradients(loss, [w])[0]

    np.testing.assert_allclose(
        compiled(gradient, table, index), eager(gradient, table, index), rtol=2e-5, atol=1e-6
    )


def test_a_compiled_step_trains_an_embedding_as_an_eager_one() -> None:
    weights = []
    for compile_it in (False, True):
        cr.manual_seed(1)
        layer = cr.nn.Embedding(20, 9, padding_idx=3)
        head = cr.nn.Linear(9, 20)
        optimizer = cr.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.1)

        def step(x: Any, layer: Any = layer, head: Any = head, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = ops.cross_entropy(head(layer(x)).reshape(-1, 20), x.reshape(-1))
            loss.backward()
            optimizer.step()
            return loss

        run_step = cr.compile(step) if compile_it else step
        rng = np.random.default_rng(2)
        for _ in range(4):
            run_step(cr.tensor(rng.integers(0, 20, (4, 6))))
        weights.append(layer.weight.array.copy())
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4, atol=1e-5)


# Positions ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_equals_is_the_best_and_a_nan_is_better(name: str) -> None:
    find = getattr(ops, name)
    rows = np.array(
        [
            [1.0, 3.0, 3.0, 2.0], [NAN, 5.0, NAN, 1.0], [2.0, NAN, 9.0, NAN],
            [-np.inf, -np.inf, -np.inf, -np.inf], [np.inf, np.inf, 1.0, -np.inf],
            [0.0, -0.0, 0.0, -0.0],
        ]
    )  # fmt: skip
    for dtype in (np.float16, np.float32, np.float64):
        x = rows.astype(dtype)
        for axis in (0, 1, None):
            want = getattr(np, name)(x, axis=axis)
            np.testing.assert_array_equal(compiled(lambda x, a=axis: find(x, a), x), want)
    for x in (
        np.array([[3, 3, 1], [-5, 2, -5]], np.int8),
        np.array([[2**63, 5, 2**63], [0, 2**64 - 1, 0]], np.uint64),
        np.array([[False, True, True], [False, False, False]]),
    ):
        for axis in (0, 1, None):
            want = getattr(np, name)(x, axis=axis)
            np.testing.assert_array_equal(compiled(lambda x, a=axis: find(x, a), x), want)


def test_large_windows_know_their_winners() -> None:
    """Windows of too many places to take one by one, with padding, ties and NaN."""
    x = np.round(floats(2, 3, 21, 20))
    x[0, 0, :9, :9] = -np.inf
    x[1, 1, 10, 10] = NAN

    def pooled(x: Any, part: int) -> Any:
        return ops.max_pool2d(x, (6, 5), (2, 3), (3, 2), return_indices=True)[part]

    for part in (0, 1):
        got = compiled(lambda x, p=part: pooled(x, p), x)
        np.testing.assert_array_equal(got, eager(lambda x, p=part: pooled(x, p), x))


# Random numbers -----------------------------------------------------------------------------------


def drawn(op: Any, key: int, counter: int) -> tuple[Array, Array]:
    """What a random op draws compiled, and by NumPy."""
    given = np.asarray(key, np.uint64), np.asarray(counter, np.uint64)
    return compiled(lambda k, c: apply(op, k, c), *given), op.forward(*given)


@pytest.mark.parametrize("n", [1, 6, 1003])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_uniform_numbers_are_the_same_compiled(n: int, dtype: Any) -> None:
    got, want = drawn(registry["random_uniform"]((n,), np.dtype(dtype)), 2**64 - 5, 2**32 - 7)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 10, np.int64), (-5, 7, np.int32), (0, 1, np.int8), (0, 256, np.uint8),
        (0, 2**32, np.int64), (3, 2**32 + 4, np.int64), (-(2**63), 2**63, np.int64),
        (-(2**63), 2**63 - 1, np.int64), (0, 2**40 + 1, np.uint64),
    ],
)  # fmt: skip
def test_random_integers_are_the_same_compiled(low: int, high: int, dtype: Any) -> None:
    op = registry["random_integer"]((501,), np.dtype(dtype), low, high)
    np.testing.assert_array_equal(*drawn(op, 99, 2**64 - 100))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_normal_numbers_are_the_same_but_for_rounding(dtype: Any) -> None:
    got, want = drawn(registry["random_normal"]((20001,), np.dtype(dtype)), 3, 0)
    apart = np.abs(got.astype(np.float64) - want.astype(np.float64))
    assert (apart <= 4 * np.finfo(dtype).eps * np.maximum(1, np.abs(want))).all()
    assert abs(got.astype(np.float64).mean()) < 0.03
