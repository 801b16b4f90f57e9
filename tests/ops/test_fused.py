"""Softmax, losses and normalisation: extremes, ties to formulas, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


def plain(x: cr.Tensor) -> np.ndarray:
    return x.detach().numpy()


def leaf(values: Any) -> cr.Tensor:
    return cr.tensor(np.asarray(values, dtype=np.float64), requires_grad=True)


# Softmax ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_softmax_of_extreme_scores_is_exact(dtype: Any) -> None:
    big = 6e4 if dtype is np.float16 else 1e30
    y = cr.softmax(cr.tensor(np.array([big, -big, 0.0], dtype)))
    assert y.tolist() == [1.0, 0.0, 0.0]
    assert y.dtype == dtype


def test_softmax_of_minus_infinities_is_nan_as_in_torch() -> None:
    assert np.isnan(cr.softmax(cr.tensor([-np.inf, -np.inf])).numpy()).all()
    assert np.isnan(cr.log_softmax(cr.tensor([-np.inf, -np.inf])).numpy()).all()
    assert cr.softmax(cr.tensor([-np.inf, 0.0])).tolist() == [0.0, 1.0]


def test_log_softmax_is_finite_where_softmax_underflows() -> None:
    assert cr.log_softmax(cr.tensor([0.0, 200.0])).tolist() == [-200.0, 0.0]
    x = leaf([0.0, 2000.0])
    cr.log_softmax(x)[0].backward()
    assert x.grad.tolist() == [1.0, -1.0]


def test_softmax_of_a_number_is_one_and_of_nothing_nothing() -> None:
    assert cr.softmax(cr.tensor(3.0), 0).item() == 1.0
    assert cr.log_softmax(cr.tensor(3.0), 0).item() == 0.0
    assert cr.softmax(cr.tensor(np.zeros((2, 0))), 1).shape == (2, 0)


def test_softmax_of_integers_is_float32() -> None:
    assert cr.softmax(cr.tensor([1, 1])).dtype == np.float32


def test_softmax_refuses_an_axis_out_of_range() -> None:
    with pytest.raises(IndexRangeError):
        cr.softmax(cr.tensor([1.0]), 1)


def test_jacobian_of_softmax_is_diagonal_less_outer_product() -> None:
    x = cr.tensor(draw(4))
    y = cr.softmax(x).numpy()
    found = cr.jacobian(cr.softmax)(x).numpy()
    np.testing.assert_allclose(found, np.diag(y) - np.outer(y, y), atol=1e-14)


# Cross-entropy ------------------------------------------------------------------------------------


def by_definition(
    x: np.ndarray, t: np.ndarray, w: np.ndarray, ignored: int, smoothing: float
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and weight of each row of (N, C)."""
    log_p = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
    losses, weights = np.zeros(len(x)), np.zeros(len(x))
    for n, label in enumerate(t):
        if label != ignored:
            q = np.full(x.shape[1], smoothing / x.shape[1]) * w
            q[label] += (1 - smoothing) * w[label]
            losses[n], weights[n] = -(q * log_p[n]).sum(), w[label]
    return losses, weights


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 4), st.sampled_from([-100, 0, 2]),
    st.sampled_from([0.0, 0.1, 1.0]), st.booleans(), st.integers(0, 99),
)  # fmt: skip
def test_cross_entropy_is_its_definition(
    rows: int, classes: int, ignored: int, smoothing: float, weighted: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, t = rng.normal(size=(rows, classes)), rng.integers(0, classes, rows)
    w = rng.uniform(0.5, 2.0, classes) if weighted else np.ones(classes)
    losses, weights = by_definition(x, t, w, ignored, smoothing)
    options: dict[str, Any] = {"ignore_index": ignored, "label_smoothing": smoothing}
    options["weight"] = w if weighted else None
    score = cr.tensor(x)
    np.testing.assert_allclose(
        cr.cross_entropy(score, t, reduction="none", **options).numpy(), losses, atol=1e-12
    )
    assert cr.cross_entropy(score, t, reduction="sum", **options).item() == pytest.approx(
        losses.sum()
    )
    if weights.any():
        mean = cr.cross_entropy(score, t, **options).item()
        assert mean == pytest.approx(losses.sum() / weights.sum())


def test_gradient_of_cross_entropy_is_softmax_less_onehot() -> None:
    x, t = leaf(draw(5, 3)), np.array([0, 2, 1, 1, 0])
    cr.cross_entropy(x, t).backward()
    want = (cr.softmax(x.detach(), 1).numpy() - np.eye(3)[t]) / 5
    np.testing.assert_allclose(x.grad.numpy(), want, atol=1e-14)


def test_cross_entropy_of_the_five_probabilities_of_document_002() -> None:
    p = np.array([0.1, 0.05, 0.1, 0.7, 0.05])
    scores = leaf(np.log(p) + 3.0)  # any scores with this softmax
    loss = cr.cross_entropy(scores, cr.tensor(3))
    assert loss.item() == pytest.approx(-np.log(0.7))
    loss.backward()
    np.testing.assert_allclose(scores.grad.numpy(), [0.1, 0.05, 0.1, -0.3, 0.05], atol=1e-14)


@pytest.mark.parametrize("size", [1e38, -1e38, 3e38])
def test_cross_entropy_is_finite_for_scores_near_the_largest_number(size: float) -> None:
    x = cr.tensor(np.array([[size, 0.0], [0.0, size]], np.float32), requires_grad=True)
    loss = cr.cross_entropy(x, np.array([0, 0]))
    assert np.isfinite(loss.item())
    loss.backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert set(np.abs(x.grad.numpy()).reshape(-1).tolist()) == {0.0, 0.5}


def test_labels_may_have_any_number_of_further_axes() -> None:
    x, t = draw(2, 3, 4, 5), np.random.default_rng(1).integers(0, 3, (2, 4, 5))
    rows = cr.cross_entropy(cr.tensor(x.transpose(0, 2, 3, 1).reshape(-1, 3)), t.reshape(-1))
    assert cr.cross_entropy(cr.tensor(x), t).item() == pytest.approx(rows.item())
    assert cr.cross_entropy(cr.tensor(x), t, reduction="none").shape == (2, 4, 5)


def test_probabilities_that_are_onehot_are_labels() -> None:
    x, t, w = draw(4, 3), np.array([0, 2, 1, 1]), np.array([1.0, 2.0, 0.5])
    for smoothing in (0.0, 0.2):
        options = {"weight": w, "reduction": "sum", "label_smoothing": smoothing}
        soft = cr.cross_entropy(cr.tensor(x), np.eye(3)[t], **options)
        assert soft.item() == pytest.approx(cr.cross_entropy(cr.tensor(x), t, **options).item())
    mean = cr.cross_entropy(cr.tensor(x), np.eye(3)[t], weight=w).item()
    assert mean == pytest.approx(
        cr.cross_entropy(cr.tensor(x), t, weight=w, reduction="sum").item() / 4
    )


def test_ignored_rows_have_no_loss_and_no_gradient_even_where_scores_are_infinite() -> None:
    x = leaf([[1.0, 2.0], [-np.inf, 0.0]])
    loss = cr.cross_entropy(x, np.array([1, -100]))
    loss.backward()
    assert np.isfinite(loss.item())
    assert x.grad.numpy()[1].tolist() == [0.0, 0.0]


def test_the_mean_over_ignored_labels_is_nan_and_its_gradient_zero() -> None:
    x = leaf(draw(2, 3))
    loss = cr.cross_entropy(x, np.array([-100, -100]))
    assert np.isnan(loss.item())
    loss.backward()
    assert not x.grad.numpy().any()


@pytest.mark.parametrize("function", [cr.cross_entropy, cr.nll_loss])
def test_the_mean_over_an_empty_batch_is_refused(function: Any) -> None:
    x, labels = cr.zeros(0, 3), np.zeros(0, np.int64)
    with pytest.raises(ShapeError, match="a mean over an empty batch"):
        function(x, labels)
    with pytest.raises(ShapeError, match="a mean over an empty batch"):
        cr.cross_entropy(x, np.zeros((0, 3)))
    assert function(x, labels, reduction="sum").item() == 0
    assert function(x, labels, reduction="none").shape == (0,)


@pytest.mark.parametrize("label", [3, -1, 2**62, -(2**62)])
@pytest.mark.parametrize("function", [cr.cross_entropy, cr.nll_loss])
def test_a_label_that_is_no_class_is_an_index_error(label: int, function: Any) -> None:
    with pytest.raises(IndexRangeError) as caught:
        function(cr.tensor(np.zeros((2, 3))), np.array([0, label]))
    assert str(label) in str(caught.value)


@pytest.mark.parametrize(
    ("x", "t", "options", "error"),
    [
        ((2, 3), np.zeros(3, np.int64), {}, ShapeError),
        ((2, 3), np.zeros((2, 1), np.int64), {}, ShapeError),
        ((), np.zeros((), np.int64), {}, ShapeError),
        ((2, 3), np.zeros(2), {}, DTypeError),
        ((2, 3), np.zeros(2, np.int64), {"weight": np.ones(2)}, ShapeError),
        ((2, 3), np.zeros(2, np.int64), {"reduction": "average"}, ArgumentError),
        ((2, 3), np.zeros(2, np.int64), {"label_smoothing": 1.5}, ArgumentError),
    ],
)
def test_targets_that_do_not_fit_are_refused(
    x: tuple[int, ...], t: np.ndarray, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        cr.cross_entropy(cr.tensor(np.zeros(x)), t, **options)
    assert "test_fused.py" in str(caught.value)


def test_nll_loss_of_log_softmax_is_cross_entropy() -> None:
    x, t, w = draw(4, 3), np.array([0, 2, -100, 1]), np.array([1.0, 2.0, 0.5])
    for reduction in ("mean", "sum", "none"):
        one = cr.cross_entropy(cr.tensor(x), t, w, reduction=reduction)
        two = cr.nll_loss(cr.log_softmax(cr.tensor(x), 1), t, w, reduction=reduction)
        np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-14)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_passes_gradcheck(reduction: str, smoothing: float) -> None:
    t = np.array([0, 2, -100, 1])

    def loss(x: cr.Tensor, w: cr.Tensor) -> cr.Tensor:
        return cr.cross_entropy(x, t, w, reduction=reduction, label_smoothing=smoothing)

    inputs = (leaf(draw(4, 3)), leaf([1.0, 2.0, 0.5]))
    assert cr.gradcheck(loss, inputs)
    assert cr.gradgradcheck(loss, inputs)


def test_binary_cross_entropy_of_extreme_scores_is_finite() -> None:
    x = cr.tensor(np.array([1e38, -1e38, 100.0], np.float32), requires_grad=True)
    loss = cr.binary_cross_entropy_with_logits(x, np.array([1, 0, 0], np.float32), reduction="none")
    assert plain(loss).tolist() == [0.0, 0.0, 100.0]
    cr.sum(loss).backward()
    assert x.grad.tolist() == [0.0, 0.0, 1.0]


def test_weight_of_positives_multiplies_their_loss() -> None:
    x, t = draw(6), np.array([1.0, 0.0, 1.0, 0.0, 0.3, 1.0])
    sigma = 1 / (1 + np.exp(-x))
    want = -3.0 * t * np.log(sigma) - (1 - t) * np.log(1 - sigma)
    found = cr.binary_cross_entropy_with_logits(
        cr.tensor(x), t, np.full(6, 2.0), "none", np.array(3.0)
    )
    np.testing.assert_allclose(found.numpy(), 2.0 * want, rtol=1e-12)


# Normalisation ------------------------------------------------------------------------------------


def test_layer_norm_gives_mean_zero_and_variance_one() -> None:
    y = cr.layer_norm(cr.tensor(draw(4, 5, 6)), (5, 6), eps=0.0).numpy()
    np.testing.assert_allclose(y.mean(axis=(1, 2)), 0.0, atol=1e-14)
    np.testing.assert_allclose(y.var(axis=(1, 2)), 1.0, rtol=1e-12)


def test_normalising_far_from_zero_loses_nothing() -> None:
    x = draw(8)
    near, far = (cr.layer_norm(cr.tensor(x + shift), 8).numpy() for shift in (0.0, 1e8))
    np.testing.assert_allclose(far, near, atol=1e-6)
    rows = np.round(x[:, None] * 2**20) / 2**20
    near, far = (
        cr.batch_norm(cr.tensor(rows + shift), training=True).numpy() for shift in (0.0, 2.0**30)
    )
    np.testing.assert_allclose(far, near, atol=1e-9)


def test_a_constant_row_is_normalised_to_zero() -> None:
    x = leaf(np.full((2, 4), 7.0))
    y = cr.layer_norm(x, 4)
    assert not plain(y).any()
    cr.sum(y * draw(2, 4)).backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_gradients_of_normalised_inputs_are_orthogonal_to_constants_and_to_themselves() -> None:
    # y does not change when x is shifted or (with ε = 0) scaled
    x = leaf(draw(3, 7))
    cr.sum(cr.layer_norm(x, 7, eps=0.0) * draw(3, 7, seed=1)).backward()
    g = x.grad.numpy()
    np.testing.assert_allclose(g.sum(axis=1), 0.0, atol=1e-12)
    np.testing.assert_allclose((g * plain(x)).sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (2, 3, 4, 4)])
def test_batch_norm_normalises_each_channel(shape: tuple[int, ...]) -> None:
    x, w, b = draw(*shape), draw(3), draw(3)
    others = (0, *range(2, len(shape)))
    y = cr.batch_norm(cr.tensor(x), None, None, w, b, training=True, eps=0.0).numpy()
    np.testing.assert_allclose(y.mean(axis=others), b, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=others), np.abs(w), rtol=1e-12)


def test_batch_norm_stats_move_towards_the_batch_with_the_unbiased_variance() -> None:
    x, mean, var = draw(10, 3), np.ones(3), np.full(3, 2.0)
    leaf_ = cr.tensor(x, requires_grad=True)
    y, new_mean, new_var = cr.batch_norm_stats(leaf_, mean, var, momentum=0.25)
    np.testing.assert_allclose(plain(new_mean), 0.75 + 0.25 * x.mean(axis=0))
    np.testing.assert_allclose(plain(new_var), 1.5 + 0.25 * x.var(axis=0, ddof=1))
    assert y.requires_grad
    assert not new_mean.requires_grad
    assert not new_var.requires_grad
    assert mean.tolist() == [1.0] * 3


def test_batch_norm_outside_training_uses_the_running_statistics() -> None:
    x, mean, var, w, b = draw(4, 3, 2), draw(3), np.array([1.0, 2.0, 3.0]), draw(3), draw(3)
    y = cr.batch_norm(cr.tensor(x), mean, var, w, b, training=False, eps=0.1)
    column = (slice(None), None)
    want = (x - mean[column]) / np.sqrt(var[column] + 0.1) * w[column] + b[column]
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (0, 3)])
def test_batch_norm_of_one_value_a_channel_is_refused_in_training(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="more than one value"):
        cr.batch_norm(cr.tensor(np.ones(shape)), training=True)
    assert cr.batch_norm(cr.tensor(np.ones(shape)), np.zeros(3), np.ones(3)).shape == shape


@pytest.mark.parametrize(
    "call",
    [
        lambda x: cr.layer_norm(x, 4),
        lambda x: cr.layer_norm(x, (4, 3)),
        lambda x: cr.layer_norm(x, 3, np.ones(4)),
        lambda x: cr.layer_norm(x, ()),
        lambda x: cr.batch_norm(x, np.zeros(2), np.ones(2)),
        lambda x: cr.batch_norm(x, None, None, np.ones(2), training=True),
        lambda x: cr.batch_norm(x[0], None, None, training=True),
    ],
)
def test_normalisation_names_operands_that_do_not_fit(call: Any) -> None:
    with pytest.raises(ShapeError) as caught:
        call(cr.tensor(np.ones((2, 3))))
    assert "test_fused.py" in str(caught.value)


def test_normalisation_passes_gradcheck() -> None:
    inputs = leaf(draw(4, 3)), leaf(draw(3)), leaf(draw(3, seed=1))
    for function in (
        lambda x, w, b: cr.layer_norm(x, 3, w, b, 0.1),
        lambda x, w, b: cr.batch_norm(x, None, None, w, b, True, eps=0.1),
    ):
        assert cr.gradcheck(function, inputs)
        assert cr.gradgradcheck(function, inputs)
