"""What nn.functional adds to the ops: PyTorch's options."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule import ops
from chainrule.errors import ArgumentError, InPlaceError, ShapeError

X = np.random.default_rng(3).normal(size=(2, 3, 4))


def test_pad_counts_from_the_last_axis() -> None:
    x = cr.tensor(X)
    np.testing.assert_array_equal(
        F.pad(x, (1, 2, 0, 3), value=7.0).numpy(),
        np.pad(X, ((0, 0), (0, 3), (1, 2)), constant_values=7.0),
    )
    np.testing.assert_array_equal(F.pad(x, (-1, 0)).numpy(), X[:, :, 1:])
    for mode, name in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
        np.testing.assert_array_equal(
            F.pad(x, (2, 1), mode=mode).numpy(),
            np.pad(X, ((0, 0), (0, 0), (2, 1)), name),  # type: ignore[call-overload]
        )
    with pytest.raises(ShapeError, match="pair of widths"):
        F.pad(x, (1, 2, 3))
    with pytest.raises(ShapeError):
        F.pad(x, (1,) * 8)
    with pytest.raises(ArgumentError):
        F.pad(x, (1, 1), mode="mirror")


def test_softmax_can_convert_first() -> None:
    y = F.softmax(cr.tensor([1, 2]), dim=0, dtype=np.float64)
    assert y.dtype == np.float64
    assert y.sum().item() == pytest.approx(1.0)
    with pytest.warns(UserWarning, match="axis 0"):
        F.log_softmax(cr.zeros(3))


def test_one_hot_finds_the_number_of_classes() -> None:
    assert F.one_hot(cr.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(cr.tensor([0]), 2).tolist() == [[1, 0]]
    with pytest.raises(ArgumentError, match="num_classes"):
        F.one_hot(cr.zeros(0, dtype=np.int64))


def test_normalize_and_cosine_similarity() -> None:
    x = cr.tensor(X)
    np.testing.assert_allclose(
        F.normalize(x, dim=2).numpy(), X / np.linalg.norm(X, axis=2, keepdims=True)
    )
    assert not F.normalize(cr.zeros(2, 2)).numpy().any()
    a, b = X[0], X[1]
    expected = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(F.cosine_similarity(x[0], x[1]).numpy(), expected)
    one = x[1][:, :1]
    broadcast = F.cosine_similarity(x[0], ops.expand(one, x[0].shape))
    np.testing.assert_allclose(F.cosine_similarity(x[0], one).numpy(), broadcast.numpy())


def test_log_sigmoid_does_not_overflow() -> None:
    assert F.logsigmoid(cr.tensor([-1e4, 0.0, 1e4])).tolist() == pytest.approx(
        [-1e4, -np.log(2), 0.0], rel=1e-6
    )


def test_in_place_relu_under_no_grad_keeps_the_graph() -> None:
    x = cr.tensor([-1.0, 1.0], requires_grad=True)
    h = x * 2
    with cr.no_grad():
        F.relu_(h)
    assert h.tolist() == [0.0, 2.0]
    assert h.requires_grad
    with cr.no_grad():
        F.relu(x, inplace=True)
    assert x.tolist() == [0.0, 1.0]
    with pytest.raises(InPlaceError):
        F.relu_(x)


def test_batch_norm_updates_the_tensors_it_is_given() -> None:
    mean, var = cr.zeros(3, dtype=np.float64), cr.ones(3, dtype=np.float64)
    F.batch_norm(cr.tensor(X), mean, var, training=True, momentum=0.5)
    np.testing.assert_allclose(mean.numpy(), 0.5 * X.mean((0, 2)))
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * X.var((0, 2), ddof=1))
    before = mean.tolist()
    F.batch_norm(cr.tensor(X), mean, var)
    assert mean.tolist() == before
    y = F.batch_norm(cr.tensor(X), None, None, training=True).numpy()
    np.testing.assert_allclose(y.mean((0, 2)), 0, atol=1e-12)


def test_dropout_functions_train_by_default() -> None:
    x = cr.ones(64, 64)
    assert (F.dropout(x).numpy() == 0).any()
    assert F.dropout(x, training=False).tolist() == x.tolist()
    assert not F.dropout(x, p=1.0).numpy().any()
    y = F.dropout(x, inplace=True)
    assert y is x
