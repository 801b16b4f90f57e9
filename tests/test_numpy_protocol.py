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
    args = [SQUARE, SQUARE.T.copy()] if ufunc is np.matmul else [POSITIVE, OTHER][: ufunc.nin]
    result = ufunc(*[cr.tensor(a) for a in args])
    assert isinstance(result, cr.Tensor)
    np.testing.assert_allclose(result.numpy(), ufunc(*args), rtol=1e-14)


CALLS = {
    "sum": lambda x: np.sum(x),
    "sum axis": lambda x: np.sum(x, axis=1, keepdims=True),
    "mean": lambda x: np.mean(x, axis=0),
    "prod": lambda x: np.prod(x, axis=1),
    "var": lambda x: np.var(x, axis=1),
    "std ddof": lambda x: np.std(x, ddof=1),
    "max": lambda x: np.max(x, axis=1),
    "amin": lambda x: np.amin(x),
    "cumsum": lambda x: np.cumsum(x, axis=1),
    "sort": lambda x: np.sort(x),
    "reshape": lambda x: np.reshape(x, (2, 6)),
    "ravel": lambda x: np.ravel(x),
    "transpose": lambda x: np.transpose(x),
    "moveaxis": lambda x: np.moveaxis(x, 0, 1),
    "swapaxes": lambda x: np.swapaxes(x, 0, 1),
    "squeeze": lambda x: np.squeeze(np.expand_dims(x, 1), 1),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)),
    "flip": lambda x: np.flip(x, 0),
    "roll": lambda x: np.roll(x, 2, axis=1),
    "pad": lambda x: np.pad(x, ((1, 0), (2, 1))),
    "concatenate": lambda x: np.concatenate([x, x * 2], axis=1),
    "stack": lambda x: np.stack([x, x + 1]),
    "tile": lambda x: np.tile(x, (2, 1)),
    "where": lambda x: np.where(POSITIVE > 0.5, x, 0.0),
    "clip": lambda x: np.clip(x, 0.25, 0.75),
    "dot": lambda x: np.dot(x, OTHER.T),
    "outer": lambda x: np.outer(x[0], x[1]),
    "einsum": lambda x: np.einsum("ij,kj->ik", x, OTHER),
    "tensordot": lambda x: np.tensordot(x, OTHER, axes=([0], [0])),
    "tril": lambda x: np.tril(x),
    "triu": lambda x: np.triu(x, 1),
    "norm": lambda x: np.linalg.norm(x, axis=1),
    "add.reduce": lambda x: np.add.reduce(x, axis=1),
    "matmul operator, array first": lambda x: OTHER.T @ x,
    "array arithmetic, array first": lambda x: OTHER * x - 2.0 / x,
    "scalar of NumPy first": lambda x: np.float64(3.0) * x,
}


@pytest.mark.parametrize("name", CALLS)
def test_function_gives_numpys_numbers_and_right_gradients(name: str) -> None:
    call = CALLS[name]
    result = call(cr.tensor(POSITIVE))
    assert isinstance(result, cr.Tensor)
    np.testing.assert_allclose(result.numpy(), call(POSITIVE), rtol=1e-13)
    assert gradcheck(call, (POSITIVE,))


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


def test_tables_name_functions_that_exist() -> None:
    assert len(UFUNCS) >= 45
    assert len(FUNCTIONS) >= 40
    assert all(callable(op) for op in [*UFUNCS.values(), *FUNCTIONS.values()])
