"""NumPy functions on tensors: the same numbers, and gradients that gradcheck accepts."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.numpy_protocol import FUNCTIONS, UFUNCS
from chainrule.testing import gradcheck

RNG = np.random.default_rng(0)
POSITIVE = RNG.uniform(0.2, 0.9, (3, 4))
OTHER = RNG.uniform(0.3, 0.8, (3, 4))
SQUARE = RNG.uniform(0.2, 0.9, (3, 3))


@pytest.mark.parametrize("ufunc", UFUNCS, ids=lambda f: f.__name__)
def test_ufunc_gives_numpys_numbers_as_a_tensor(ufunc) -> None:
    args = [POSITIVE, OTHER][: ufunc.nin]
    if ufunc is np.matmul:
        args = [SQUARE, SQUARE.T.copy()]
    elif "d->" not in "".join(ufunc.types):  # bitwise
        args = [np.arange(6), np.arange(6)[::-1]][: ufunc.nin]
    result = ufunc(*[cr.tensor(a) for a in args])
    assert isinstance(result, cr.Tensor)
    np.testing.assert_allclose(result.numpy(), ufunc(*args), rtol=1e-14)


MASK = POSITIVE > 0.5
ORDER = RNG.permutation(12).reshape(3, 4) % 3
CUBE = RNG.uniform(0.2, 0.9, (4, 2, 3))
CALLS = {
    np.sum: [
        lambda x: np.sum(x),
        lambda x: np.sum(x, 1, keepdims=True),
        lambda x: np.sum(x, (0, 1), initial=3.0),
        lambda x: np.sum(x, axis=0, where=MASK),
        lambda x: np.sum(x, dtype=np.float32),
    ],
    np.prod: [
        lambda x: np.prod(x),
        lambda x: np.prod(x, axis=1, keepdims=True, initial=2.0),
        lambda x: np.prod(x, axis=0, where=MASK, dtype=np.float64),
    ],
    np.max: [
        lambda x: np.max(x),
        lambda x: np.max(x, 1, keepdims=True),
        lambda x: np.max(x, axis=0, initial=0.61),
        lambda x: np.max(x, axis=1, initial=0.1, where=MASK),
    ],
    np.min: [
        lambda x: np.min(x),
        lambda x: np.min(x, axis=1, keepdims=True),
        lambda x: np.min(x, axis=1, initial=0.9, where=MASK),
    ],
    np.any: [lambda x: np.any(x > 0.5), lambda x: np.any(x > 0.5, axis=1, keepdims=True)],
    np.all: [lambda x: np.all(x > 0.5), lambda x: np.all(x > 0.5, axis=1, keepdims=True)],
    np.mean: [
        lambda x: np.mean(x),
        lambda x: np.mean(x, 0, keepdims=True),
        lambda x: np.mean(x, dtype=np.float32),
    ],
    np.var: [
        lambda x: np.var(x),
        lambda x: np.var(x, axis=1, ddof=1, keepdims=True),
        lambda x: np.var(x, correction=1),
        lambda x: np.var(x, dtype=np.float32),
    ],
    np.std: [
        lambda x: np.std(x),
        lambda x: np.std(x, axis=1, ddof=1, keepdims=True),
        lambda x: np.std(x, correction=1),
        lambda x: np.std(x, dtype=np.float32),
    ],
    np.argmax: [
        lambda x: np.argmax(x),
        lambda x: np.argmax(x, 1),
        lambda x: np.argmax(x, keepdims=True),
        lambda x: np.argmax(x, axis=0, keepdims=True),
    ],
    np.argmin: [lambda x: np.argmin(x), lambda x: np.argmin(x, axis=1, keepdims=True)],
    np.cumsum: [
        lambda x: np.cumsum(x),
        lambda x: np.cumsum(x, 1),
        lambda x: np.cumsum(x, axis=0, dtype=np.float32),
    ],
    np.sort: [
        lambda x: np.sort(x),
        lambda x: np.sort(x, axis=None),
        lambda x: np.sort(x, axis=0, kind="stable"),
        lambda x: np.sort(x, 1, stable=True),
    ],
    np.argsort: [
        lambda x: np.argsort(x),
        lambda x: np.argsort(x, axis=None),
        lambda x: np.argsort(x, axis=0, kind="stable"),
        lambda x: np.argsort(x, 1, stable=True),
    ],
    np.diff: [
        lambda x: np.diff(x),
        lambda x: np.diff(x, n=2, axis=0),
        lambda x: np.diff(x, 0),
        lambda x: np.diff(x > 0.5),
    ],
    np.dot: [
        lambda x: np.dot(x, OTHER.T),
        lambda x: np.dot(2.0, x),
        lambda x: np.dot(x, np.float64(2.0)),
        lambda x: np.dot(x[0], x[1]),
        lambda x: np.dot(x, [1.0, 2.0, 3.0, 4.0]),
        lambda x: np.dot(CUBE.reshape(2, 3, 4), x.T),
        lambda x: np.dot(x, CUBE.reshape(2, 4, 3)),
    ],
    np.inner: [
        lambda x: np.inner(x, OTHER),
        lambda x: np.inner(x[0], x[1]),
        lambda x: np.inner(x, 2.0),
        lambda x: np.inner(CUBE.reshape(2, 3, 4), x),
    ],
    np.vdot: [lambda x: np.vdot(x, OTHER)],
    np.outer: [lambda x: np.outer(x, OTHER[0]), lambda x: np.outer(x[0], [1.0, 2.0])],
    np.kron: [
        lambda x: np.kron(x, OTHER[:2]),
        lambda x: np.kron(OTHER[0], x),
        lambda x: np.kron(x, x[1]),
    ],
    np.einsum: [
        lambda x: np.einsum("ij,kj->ik", x, OTHER),
        lambda x: np.einsum("ij->j", x, optimize=True),
    ],
    np.tensordot: [
        lambda x: np.tensordot(x, OTHER),
        lambda x: np.tensordot(x, OTHER, axes=([0], [0])),
        lambda x: np.tensordot(x, CUBE, 1),
    ],
    np.linalg.norm: [
        lambda x: np.linalg.norm(x),
        lambda x: np.linalg.norm(x, keepdims=True),
        lambda x: np.linalg.norm(x - x[0], axis=1) * 2,
        *[lambda x, p=p: np.linalg.norm(x[0], p) for p in (1, 2, 3, -1, np.inf, -np.inf)],
        *[lambda x, p=p: np.linalg.norm(x, p, 1, True) for p in (None, 1, 2, 3, np.inf)],
        *[lambda x, p=p: np.linalg.norm(x, p) for p in ("fro", 1, -1, np.inf, -np.inf)],
        *[
            lambda x, p=p, keep=keep: np.linalg.norm(x * CUBE[..., :1, None], p, (3, -2), keep)
            for p in (None, "fro", 1, -1, np.inf, -np.inf)
            for keep in (False, True)
        ],
    ],
    np.clip: [
        lambda x: np.clip(x, 0.25, 0.75),
        lambda x: np.clip(x, None, a_max=0.5),
        lambda x: np.clip(x, min=0.5, max=None),
    ],
    np.round: [lambda x: np.round(x), lambda x: np.round(x * 100, decimals=-1)],
    np.around: [lambda x: np.around(x, 1)],
    np.where: [lambda x: np.where(MASK, x, 0.0), lambda x: np.where(x > 0.5, x, OTHER)],
    np.isclose: [
        lambda x: np.isclose(x, OTHER),
        lambda x: np.isclose(x, OTHER, rtol=0.3, atol=0.1, equal_nan=True),
    ],
    np.array_equal: [
        lambda x: np.array_equal(x, x),
        lambda x: np.array_equal(x, OTHER, equal_nan=True),
    ],
    np.allclose: [
        lambda x: np.allclose(x, OTHER),
        lambda x: np.allclose(x, OTHER, rtol=0.1, atol=0.9, equal_nan=True),
    ],
    np.zeros_like: [
        lambda x: np.zeros_like(x * np.inf),
        lambda x: np.zeros_like(x, dtype=np.int32, shape=(2, 5)),
    ],
    np.ones_like: [lambda x: np.ones_like(x * np.nan), lambda x: np.ones_like(x, np.bool_)],
    np.full_like: [
        lambda x: np.full_like(x, 2),
        lambda x: np.full_like(x, 2.5, dtype=np.int64, shape=3),
    ],
    np.copy: [lambda x: np.copy(x)],
    np.meshgrid: [
        lambda x: np.meshgrid(x[0], OTHER[1, :3], x[2, :2]),
        lambda x: np.meshgrid(x[0], x[1, :2], sparse=True, indexing="ij", copy=True),
        lambda x: np.meshgrid(x[0]),
    ],
    np.shape: [lambda x: np.shape(x)],
    np.ndim: [lambda x: np.ndim(x)],
    np.size: [lambda x: np.size(x), lambda x: np.size(x, axis=1)],
    np.reshape: [lambda x: np.reshape(x, (2, 6)), lambda x: np.reshape(x, -1, order="C")],
    np.ravel: [lambda x: np.ravel(x), lambda x: np.ravel(x, order="C")],
    np.transpose: [lambda x: np.transpose(x), lambda x: np.transpose(x, axes=(1, 0))],
    np.moveaxis: [
        lambda x: np.moveaxis(x, 0, 1),
        lambda x: np.moveaxis(x, source=[0, 1], destination=[1, 0]),
    ],
    np.swapaxes: [lambda x: np.swapaxes(x, axis1=0, axis2=1)],
    np.squeeze: [
        lambda x: np.squeeze(x[None, :, None]),
        lambda x: np.squeeze(x[None, :, None], axis=0),
    ],
    np.expand_dims: [lambda x: np.expand_dims(x, -1), lambda x: np.expand_dims(x, axis=(0, 2))],
    np.broadcast_to: [lambda x: np.broadcast_to(x, shape=(2, 3, 4))],
    np.flip: [lambda x: np.flip(x), lambda x: np.flip(x, axis=0)],
    np.roll: [lambda x: np.roll(x, 5), lambda x: np.roll(x, 2, axis=1)],
    np.pad: [
        lambda x: np.pad(x, ((1, 0), (2, 1))),
        lambda x: np.pad(x, (1, 2), mode="constant", constant_values=3.0),
    ],
    np.atleast_1d: [lambda x: np.atleast_1d(x[0, 0]), lambda x: np.atleast_1d(x, x[0, 0])],
    np.atleast_2d: [lambda x: np.atleast_2d(x[0]), lambda x: np.atleast_2d(x, x[0, 0])],
    np.atleast_3d: [lambda x: np.atleast_3d(x), lambda x: np.atleast_3d(x[0], x[0, 0])],
    np.concatenate: [
        lambda x: np.concatenate([x, x * 2]),
        lambda x: np.concatenate([x, OTHER[:2]], axis=None),
        lambda x: np.concatenate((x, OTHER), 1, dtype=np.float64),
    ],
    np.stack: [
        lambda x: np.stack([x, x + 1]),
        lambda x: np.stack([x, OTHER], axis=-1, dtype=np.float64),
    ],
    np.vstack: [lambda x: np.vstack([x, x[0]]), lambda x: np.vstack([x[0], 2 * x[1]])],
    np.hstack: [lambda x: np.hstack([x, OTHER]), lambda x: np.hstack([x[0], 3.0, x[0, 0]])],
    np.dstack: [lambda x: np.dstack([x, OTHER]), lambda x: np.dstack([x[0], x[1]])],
    np.column_stack: [lambda x: np.column_stack([x[:, 0], x, OTHER[:, 1]])],
    np.tile: [lambda x: np.tile(x, 2), lambda x: np.tile(x, reps=(2, 1, 3))],
    np.repeat: [
        lambda x: np.repeat(x, 2),
        lambda x: np.repeat(x, 2, axis=0),
        lambda x: np.repeat(x, repeats=[1, 0, 2, 3], axis=1),
    ],
    np.split: [
        lambda x: np.split(x, 3),
        lambda x: np.split(x, 2, axis=1),
        lambda x: np.split(x, [1, 3, 5], axis=-1),
    ],
    np.array_split: [
        lambda x: np.array_split(x, 2),
        lambda x: np.array_split(x, 3, axis=1),
        lambda x: np.array_split(x, (2,), axis=1),
    ],
    np.tril: [lambda x: np.tril(x), lambda x: np.tril(x, k=-1)],
    np.triu: [lambda x: np.triu(x), lambda x: np.triu(x, 1)],
    np.diag: [
        lambda x: np.diag(x),
        lambda x: np.diag(x, k=1),
        lambda x: np.diag(x[0]),
        lambda x: np.diag(x[0], -1),
    ],
    np.diagonal: [
        lambda x: np.diagonal(x),
        lambda x: np.diagonal(x[None], offset=-1, axis1=2, axis2=1),
    ],
    np.trace: [
        lambda x: np.trace(x),
        lambda x: np.trace(x, 1, dtype=np.float32),
        lambda x: np.trace(x[None], offset=-1, axis1=2, axis2=1),
    ],
    np.take: [
        lambda x: np.take(x, [0, 5, 5]),
        lambda x: np.take(x, 2, axis=1),
        lambda x: np.take(x, np.array([[0, -1], [1, 1]]), axis=0),
    ],
    np.take_along_axis: [
        lambda x: np.take_along_axis(x, ORDER, axis=1),
        lambda x: np.take_along_axis(x, ORDER, 0),
        lambda x: np.take_along_axis(x, ORDER.ravel(), None),
    ],
}
CALLS[np.amax], CALLS[np.amin] = [lambda x: np.amax(x, 0)], [lambda x: np.amin(x)]
PROTOCOL = [
    lambda x: np.add.reduce(x),
    lambda x: np.add.reduce(x, axis=1, keepdims=True, initial=2.0, where=MASK),
    lambda x: np.add.reduce(x, None, np.float32),
    lambda x: np.multiply.reduce(x, axis=None),
    lambda x: np.maximum.reduce(x, initial=0.5),
    lambda x: np.minimum.reduce(x, 1),
    lambda x: np.logical_and.reduce(x > 0.3, axis=1),
    lambda x: np.logical_or.reduce(x > 0.8),
    lambda x: np.fmax(np.where(MASK, x, np.nan), np.where(MASK, np.nan, 2 * x)),
    lambda x: np.fmin(np.where(MASK, x, np.nan), 0.6),
    lambda x: np.add(x, [1.0, 2.0, 3.0, 4.0]),
    lambda x: np.array([[2.0, 3.0, 4.0]]) @ x,
    lambda x: OTHER * x - 2.0 / x,
    lambda x: np.float64(3.0) * x,
]
CASES = [
    pytest.param(call, id=f"{name}-{i}")
    for name, calls in [(f.__name__, c) for f, c in CALLS.items()] + [("ufunc", PROTOCOL)]
    for i, call in enumerate(calls)
]


def _same(found, expected) -> None:
    if isinstance(expected, (list, tuple)):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for pair in zip(found, expected, strict=True):
            _same(*pair)
    elif isinstance(expected, (np.ndarray, np.generic)):
        assert isinstance(found, cr.Tensor)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        rtol = 1e-6 if expected.dtype == np.float32 else 1e-13
        np.testing.assert_allclose(found.numpy(), expected, rtol=rtol)
    else:
        assert type(found) is type(expected)
        assert found == expected


def _differentiable(call) -> bool:
    x = cr.tensor(POSITIVE, requires_grad=True)
    result = call(x)
    parts = result if isinstance(result, (list, tuple)) else [result]
    return all(
        isinstance(y, cr.Tensor) and y.requires_grad and y.dtype == np.float64 for y in parts
    )


def test_every_function_of_the_table_is_called() -> None:
    assert set(CALLS) == set(FUNCTIONS)


@pytest.mark.parametrize("call", CASES)
def test_function_gives_numpys_numbers_and_right_gradients(call) -> None:
    _same(call(cr.tensor(POSITIVE)), call(POSITIVE))
    if _differentiable(call):
        assert gradcheck(call, (POSITIVE,))


def test_all_but_these_functions_are_differentiable() -> None:
    constant = {f.__name__ for f, calls in CALLS.items() if not any(map(_differentiable, calls))}
    assert constant == {
        "all", "allclose", "any", "argmax", "argmin", "argsort", "array_equal", "full_like",
        "isclose", "ndim", "ones_like", "shape", "size", "zeros_like",
    }  # fmt: skip


REFUSED = [
    (lambda x: np.sum(x, out=np.ones(())), r"np\.sum.*out"),
    (lambda x: np.sum(x, 0, None, np.ones(4)), r"np\.sum.*out"),
    (lambda x: np.mean(x, where=MASK), r"np\.mean.*where"),
    (lambda x: np.max(x, out=np.ones(())), r"np\.a?max.*out"),
    (lambda x: np.add.reduce(x, out=np.ones(4)), r"np\.add\.reduce.*out"),
    (lambda x: np.maximum.reduce(x, dtype=np.float32), r"np\.maximum\.reduce.*dtype"),
    (lambda x: np.sort(x, order="f"), r"np\.sort.*order"),
    (lambda x: np.diff(x, prepend=0.0), r"np\.diff.*prepend"),
    (lambda x: np.reshape(x, -1, order="F"), r"np\.reshape.*order.*F"),
    (lambda x: np.ravel(x, order="F"), r"np\.ravel.*order.*F"),
    (lambda x: np.pad(x, 1, mode="edge"), r"np\.pad.*edge"),
    (lambda x: np.pad(x, 1, constant_values=(1, 2)), r"np\.pad.*constant_values"),
    (lambda x: np.concatenate([x, x], casting="unsafe"), r"np\.concatenate.*casting"),
    (lambda x: np.take(x, 50, mode="clip"), r"np\.take.*mode"),
    (lambda x: np.linalg.norm(x, 2), r"norm of a matrix.*ord=2"),
    (lambda x: np.linalg.norm(x, "nuc"), r"norm of a matrix.*ord='nuc'"),
    (lambda x: np.where(MASK * x), r"np\.where.*missing"),
    (lambda x: np.multiply(x, x, where=MASK), r"np\.multiply.*where"),
    (lambda x: np.exp(x, dtype=np.float32), r"np\.exp.*dtype"),
    (lambda x: np.einsum(x, [0, 1]), r"np\.einsum.*one string"),
]


@pytest.mark.parametrize(("call", "words"), REFUSED)
def test_an_argument_that_is_not_supported_is_named(call, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(cr.tensor(POSITIVE))


def test_values_that_numpy_refuses_are_refused() -> None:
    x = cr.tensor(POSITIVE)
    for call in [
        lambda: np.split(x, 2),
        lambda: np.max(x, where=MASK),
        lambda: np.linalg.norm(x[0], "fro"),
        lambda: np.linalg.norm(x[None], 1),
        lambda: np.diff(x, -1),
        lambda: np.array_split(x, 0),
        lambda: np.meshgrid(x[0], indexing="up"),
    ]:
        with pytest.raises(ValueError, match=r"."):
            call()


def test_numpy_scalars_are_weak_like_python_numbers() -> None:
    for x in (cr.ones(2), cr.tensor(1.0), cr.ones(2, dtype=np.int64), cr.tensor(True)):
        for weak, number in ((np.float64(2.5), 2.5), (np.int64(3), 3), (np.bool_(True), True)):
            assert (weak * x).dtype == (number * x).dtype
            assert np.add(x, weak).dtype == (x + number).dtype


def test_new_tensors_like_another_are_not_recorded() -> None:
    x = cr.ones(2, requires_grad=True)
    for new in (np.zeros_like(x), np.ones_like(x), np.full_like(x, 3)):
        assert not new.requires_grad
        assert new.dtype == np.float32


def test_numpy_code_differentiates_as_it_stands() -> None:
    def logistic_loss(weights, features, labels):
        scores = np.dot(features, weights)
        return np.mean(np.log(1 + np.exp(-labels * scores))) + 0.1 * np.sum(weights**2)

    features, labels = RNG.normal(size=(8, 3)), np.sign(RNG.normal(size=8))
    weights = cr.tensor(RNG.normal(size=3))
    gradient = cr.grad(logistic_loss)(weights, features, labels).numpy()
    w = weights.numpy()
    sigma = 1 / (1 + np.exp(labels * (features @ w)))
    by_hand = -(labels * sigma) @ features / 8 + 0.2 * w
    np.testing.assert_allclose(gradient, by_hand, rtol=1e-12)


def test_what_is_not_there_is_named_instead_of_leaving_the_graph() -> None:
    x = cr.ones(3, requires_grad=True)
    with pytest.raises(TypeError, match=r"np\.spacing.*detach"):
        np.spacing(x)
    with pytest.raises(TypeError, match=r"np\.percentile.*detach"):
        np.percentile(x, 50)
    with pytest.raises(TypeError, match=r"add\.accumulate"):
        np.add.accumulate(x)
    with pytest.raises(TypeError, match="out="):
        np.add(x, x, out=np.ones(3))
    array = np.ones(3)
    with pytest.raises(TypeError, match="out="):
        array += x


def test_asarray_of_a_recorded_tensor_is_refused_and_of_a_plain_one_is_a_copy() -> None:
    x = cr.ones(3)
    array = np.asarray(x)
    array[0] = 5
    assert x.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(cr.errors.GradientError, match="detach"):
        np.asarray(cr.ones(3, requires_grad=True))
