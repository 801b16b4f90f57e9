"""Loss surfaces: curvature against dense Hessians, directions, lines and planes, trajectories."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, ShapeError
from chainrule.nn.functional import cross_entropy, mse_loss
from chainrule.uses.surface import (
    Objective,
    Trajectory,
    dense_hessian,
    eigenvalues,
    filter_normalized,
    hessian_trace,
    loss_line,
    loss_plane,
    principal_plane,
    random_direction,
)


def mlp() -> cr.nn.Module:
    return cr.nn.Sequential(cr.nn.Linear(4, 5), cr.nn.Tanh(), cr.nn.Linear(5, 3))


def cnn() -> cr.nn.Module:
    return cr.nn.Sequential(
        cr.nn.Unflatten(1, (1, 2, 2)), cr.nn.Conv2d(1, 3, 2), cr.nn.BatchNorm2d(3),
        cr.nn.Sigmoid(), cr.nn.Flatten(), cr.nn.Dropout(0.5), cr.nn.Linear(3, 3),
    )  # fmt: skip


def objective(build: Callable[[], cr.nn.Module] = mlp, *, batch_size: int = 512) -> Objective:
    cr.manual_seed(3)
    model = build().double()
    x, y = cr.randn(30, 4, dtype=cr.float64), cr.randint(0, 3, (30,))
    return Objective(model, cross_entropy, x, y, batch_size=batch_size)


def quadratic(curvatures: list[float]) -> Objective:
    """L(w) = Σ cᵢ wᵢ² / 2, so that the Hessian is diagonal."""
    model = cr.nn.Linear(len(curvatures), 1, bias=False).double()
    x = np.diag(np.sqrt(curvatures))

    def loss(outputs: cr.Tensor, target: cr.Tensor) -> cr.Tensor:
        return ((outputs - target) ** 2).sum() / 2

    return Objective(model, loss, x, np.zeros((len(curvatures), 1)))


@pytest.mark.parametrize("build", [mlp, cnn])
def test_gradient_and_hessian_are_those_of_differences(build: Callable[[], cr.nn.Module]) -> None:
    f = objective(build)
    w = f.start + 0.1
    rng = np.random.default_rng(0)
    v = rng.normal(size=f.size)
    value, gradient = f.gradient(w)
    assert value == pytest.approx(f.value(w), rel=1e-12)
    h = 1e-5
    assert gradient @ v == pytest.approx(
        (f.value(w + h * v) - f.value(w - h * v)) / 2 / h, rel=1e-6
    )
    difference = (f.gradient(w + h * v)[1] - f.gradient(w - h * v)[1]) / 2 / h
    np.testing.assert_allclose(f.product(w, v), difference, atol=1e-7)


def test_batches_do_not_change_the_mean() -> None:
    whole, cut = objective(), objective(batch_size=7)  # 30 = 4 · 7 + 2
    w = whole.start
    v = np.arange(w.size, dtype=np.float64)
    assert cut.value(w) == pytest.approx(whole.value(w), rel=1e-12)
    np.testing.assert_allclose(cut.gradient(w)[1], whole.gradient(w)[1], atol=1e-14)
    np.testing.assert_allclose(cut.product(w, v), whole.product(w, v), atol=1e-12)


def test_the_model_stays_as_it_was() -> None:
    f = objective(cnn)
    f.model.train()
    before = {name: x.numpy().copy() for name, x in f.model.state_dict().items()}
    f.value(f.start + 1)
    f.product(f.start + 1, f.start)
    assert all(np.array_equal(before[n], x.numpy()) for n, x in f.model.state_dict().items())
    assert all(module.training for module in f.model.modules())
    assert all(p.grad is None for p in f.model.parameters())


def test_frozen_parameters_are_not_in_the_vector() -> None:
    cr.manual_seed(0)
    model = mlp()
    model[0].weight.requires_grad_(False)
    f = Objective(model, cross_entropy, cr.randn(4, 4), cr.tensor([0, 1, 2, 0]))
    assert f.size == 5 + 15 + 3
    assert "0.weight" not in f.names


@pytest.mark.parametrize("build", [mlp, cnn])
def test_eigenvalues_and_trace_are_those_of_the_dense_hessian(
    build: Callable[[], cr.nn.Module],
) -> None:
    f = objective(build)
    dense = dense_hessian(f)
    np.testing.assert_allclose(dense, dense.T, atol=1e-12)
    exact = np.linalg.eigvalsh(dense)[::-1]
    found = eigenvalues(f, 4, seed=1, tolerance=1e-7)
    np.testing.assert_allclose(found.values, exact[:4], atol=1e-6 * exact[0])
    assert all(
        np.min(np.abs(exact - value)) <= bound + 1e-12
        for value, bound in zip(found.values, found.bounds, strict=True)
    )
    everything = eigenvalues(f, f.size, seed=1)
    np.testing.assert_allclose(everything.values, exact, atol=1e-9)
    assert everything.smallest == pytest.approx(exact[-1])
    trace = hessian_trace(f, seed=1, samples=300)
    assert abs(trace.value - np.trace(dense)) < 4 * trace.error
    assert trace.error < 0.2 * abs(np.trace(dense)) + 0.1


def test_lanczos_takes_few_products_for_one_eigenvalue() -> None:
    f = quadratic([*np.linspace(0.1, 1.0, 99), 10.0])
    found = eigenvalues(f, 1, seed=0, tolerance=1e-6)
    assert found.values[0] == pytest.approx(10.0, rel=1e-6)
    assert found.products < 20


def test_multiple_eigenvalues_are_found_as_often_as_they_occur() -> None:
    found = eigenvalues(quadratic([5.0, 5.0, 5.0, 1.0, 1.0]), 4, seed=0)
    np.testing.assert_allclose(found.values, [5, 5, 5, 1], atol=1e-9)


def test_a_hessian_of_zeros_has_eigenvalues_of_zero() -> None:
    cr.manual_seed(0)
    model = cr.nn.Linear(3, 1)
    f = Objective(model, lambda y, _: y.mean(), cr.randn(5, 3), cr.zeros(5))
    found = eigenvalues(f, 2, seed=0)
    np.testing.assert_allclose(found.values, [0, 0], atol=1e-6)


def test_the_trace_of_a_diagonal_hessian_is_exact() -> None:
    found = hessian_trace(quadratic([1.0, 2.0, 3.5]), seed=0, samples=2)
    assert found.value == pytest.approx(6.5)
    assert found.error == pytest.approx(0.0, abs=1e-12)


def test_bad_curvature_requests_are_refused() -> None:
    f = quadratic([1.0, 2.0])
    for count in (0, 3):
        with pytest.raises(ArgumentError, match="eigenvalues"):
            eigenvalues(f, count, seed=0)
    with pytest.raises(ArgumentError, match="two samples"):
        hessian_trace(f, seed=0, samples=1)
    with pytest.raises(ArgumentError, match="not finite"):
        eigenvalues(quadratic([np.inf, 1.0]), 1, seed=0)


def test_bad_data_and_models_are_refused() -> None:
    model = cr.nn.Linear(2, 1)
    for x, y in ((cr.ones(3, 2), cr.ones(2, 1)), (cr.ones(0, 2), cr.ones(0, 1))):
        with pytest.raises(ArgumentError, match="as many targets"):
            Objective(model, mse_loss, x, y)
    with pytest.raises(ArgumentError, match="batch_size"):
        Objective(model, mse_loss, cr.ones(1, 2), cr.ones(1, 1), batch_size=0)
    with pytest.raises(ArgumentError, match="no parameters"):
        Objective(cr.nn.ReLU(), mse_loss, cr.ones(1, 2), cr.ones(1, 2))
    f = Objective(model, mse_loss, cr.ones(1, 2), cr.ones(1, 1))
    with pytest.raises(ShapeError, match="an element for each parameter"):
        f.value(np.zeros(2))
    with pytest.raises(ShapeError):
        filter_normalized(f, np.zeros(3), np.zeros(4))


def test_filters_of_a_direction_have_the_norms_of_the_parameters() -> None:
    f = objective(cnn)
    w = f.start
    d = f.split(random_direction(f, w, seed=0))
    for name, p in f.split(w).items():
        wanted, found = p.numpy(), d[name].numpy()
        if wanted.ndim == 1:
            assert not found.any()
        else:
            rows = wanted.reshape(len(wanted), -1), found.reshape(len(wanted), -1)
            norms = [np.linalg.norm(r, axis=1) for r in rows]
            np.testing.assert_allclose(norms[0], norms[1], rtol=1e-12)


def test_networks_that_compute_the_same_have_the_same_line() -> None:
    """Scale invariance is what filter normalisation is for: a ReLU network, layers rescaled."""

    def build(factor: float) -> Objective:
        cr.manual_seed(5)
        model = cr.nn.Sequential(
            cr.nn.Linear(4, 6, bias=False), cr.nn.ReLU(), cr.nn.Linear(6, 3, bias=False)
        ).double()
        with cr.no_grad():
            model[0].weight.mul_(factor)
            model[2].weight.mul_(1 / factor)
        x, y = cr.randn(20, 4, dtype=cr.float64), cr.randint(0, 3, (20,))
        return Objective(model, cross_entropy, x, y)

    lines = []
    for f in (build(1.0), build(50.0)):
        w = f.start
        raw = np.random.default_rng(1).normal(size=f.size)
        lines.append(loss_line(f, w, filter_normalized(f, w, raw), [-0.5, 0.0, 0.5, 1.0]).losses)
    np.testing.assert_allclose(lines[0], lines[1], rtol=1e-10)


def test_a_filter_of_zeros_gets_a_direction_of_zeros() -> None:
    f = quadratic([1.0, 1.0])
    assert not filter_normalized(f, np.zeros(2), np.ones(2)).any()
    assert not filter_normalized(f, np.ones(2), np.zeros(2)).any()


def test_a_plane_has_the_loss_of_each_of_its_points() -> None:
    f = quadratic([2.0, 6.0, 1.0])
    center = np.array([0.0, 0.0, 1.0])
    told = itertools.count()
    plane = loss_plane(
        f, center, (np.array([1.0, 0, 0]), np.array([0, 1.0, 0])), [0.0, 1.0, 2.0], [-1.0, 0.5],
        tell=lambda: next(told),
    )  # fmt: skip
    expected = [[x * x + 3 * y * y + 0.5 for x in plane.xs] for y in plane.ys]
    np.testing.assert_allclose(plane.losses, expected, rtol=1e-12)
    assert next(told) == 6


@pytest.mark.parametrize("second", [np.zeros(3), np.array([-2.0, 0, 0])])
def test_directions_on_one_line_span_no_plane(second: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="span a plane"):
        loss_plane(
            quadratic([1.0, 1.0, 1.0]), np.zeros(3), (np.array([1.0, 0, 0]), second), [0.0], [0.0]
        )


def test_the_plane_of_a_trajectory_is_that_of_the_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    points = [rng.normal(size=6) * [5, 1, 0.3, 0.1, 0.1, 0.1] for _ in range(9)]
    seen = principal_plane(points)
    moves = np.stack(points[:-1]) - points[-1]
    _, sizes, rows = np.linalg.svd(moves)
    for direction, row in zip(seen.directions, rows, strict=False):
        assert abs(direction @ row) == pytest.approx(1.0)
    np.testing.assert_allclose(seen.explained, (sizes**2 / np.sum(sizes**2))[:2])
    assert seen.directions[0] @ seen.directions[1] == pytest.approx(0.0, abs=1e-12)
    assert seen.path[-1] == (0.0, 0.0)
    assert seen.path[0][0] >= 0
    assert seen.path[0][1] >= 0
    back = seen.center + seen.path[3][0] * seen.directions[0] + seen.path[3][1] * seen.directions[1]
    assert (points[3] - back) @ seen.directions[0] == pytest.approx(0.0, abs=1e-12)


def test_a_trajectory_that_spans_no_plane_is_refused() -> None:
    line = [np.array([t, 2 * t, 0.0]) for t in (0.0, 1.0, 3.0)]
    with pytest.raises(ArgumentError, match="one line"):
        principal_plane(line)
    with pytest.raises(ArgumentError, match="three points"):
        principal_plane(line[:2])
    with pytest.raises(ArgumentError, match="every so many steps"):
        Trajectory(quadratic([1.0]), every=0)


def test_a_trajectory_keeps_the_start_and_every_second_step() -> None:
    cr.manual_seed(0)
    model = cr.nn.Linear(2, 1)
    x, y = np.ones((8, 2), np.float32), np.zeros((8, 1), np.float32)
    f = Objective(model, mse_loss, x, y)
    start = f.start
    trajectory = Trajectory(f, every=2)
    optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
    cr.Trainer(model, optimizer, mse_loss).fit(
        (x, y), epochs=2, batch_size=2, callbacks=[trajectory], quiet=True
    )
    assert len(trajectory.points) == 1 + 8 // 2
    np.testing.assert_array_equal(trajectory.points[0], start)
    np.testing.assert_array_equal(trajectory.points[-1], f.start)
