"""Distributions: samples against their distribution functions, gradients of samples, bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

import chainrule as cr
import chainrule.distributions as D
from chainrule.errors import ArgumentError, ShapeError

N = 4000
CRITICAL = 2.3 / math.sqrt(N)
"""The Kolmogorov-Smirnov distance is below it with probability 0.99995; the seed is fixed."""


def t(value: Any) -> cr.Tensor:
    return cr.Tensor(np.asarray(value, np.float64))


CONTINUOUS: dict[str, tuple[D.Distribution, Any]] = {
    "Normal": (D.Normal(t(0.4), t(1.7)), stats.norm(0.4, 1.7)),
    "LogNormal": (D.LogNormal(t(0.4), t(0.7)), stats.lognorm(0.7, scale=math.exp(0.4))),
    "Laplace": (D.Laplace(t(0.4), t(1.7)), stats.laplace(0.4, 1.7)),
    "Cauchy": (D.Cauchy(t(0.4), t(1.7)), stats.cauchy(0.4, 1.7)),
    "Gumbel": (D.Gumbel(t(0.4), t(1.7)), stats.gumbel_r(0.4, 1.7)),
    "Uniform": (D.Uniform(t(-1.0), t(3.0)), stats.uniform(-1.0, 4.0)),
    "HalfNormal": (D.HalfNormal(t(1.7)), stats.halfnorm(0, 1.7)),
    "HalfCauchy": (D.HalfCauchy(t(1.7)), stats.halfcauchy(0, 1.7)),
    "Exponential": (D.Exponential(t(2.0)), stats.expon(0, 0.5)),
    "Gamma": (D.Gamma(t(2.5), t(2.0)), stats.gamma(2.5, scale=0.5)),
    "Gamma of one": (D.Gamma(t(1.0), t(1.0)), stats.gamma(1.0)),
    "Gamma below one": (D.Gamma(t(0.3), t(1.0)), stats.gamma(0.3)),
    "InverseGamma": (D.InverseGamma(t(2.5), t(2.0)), stats.invgamma(2.5, scale=2.0)),
    "Chi2": (D.Chi2(t(3.0)), stats.chi2(3.0)),
    "Beta": (D.Beta(t(2.0), t(0.7)), stats.beta(2.0, 0.7)),
    "StudentT": (D.StudentT(t(4.0), t(1.0), t(2.0)), stats.t(4.0, 1.0, 2.0)),
    "Weibull": (D.Weibull(t(1.5), t(2.0)), stats.weibull_min(2.0, scale=1.5)),
    "Pareto": (D.Pareto(t(1.5), t(3.0)), stats.pareto(3.0, scale=1.5)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_distribution_function(name: str) -> None:
    p, judge = CONTINUOUS[name]
    cr.manual_seed(11)
    drawn = p.sample((N,)).numpy()
    assert drawn.shape == (N,)
    assert stats.kstest(drawn, judge.cdf).statistic < CRITICAL


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_are_those_of_scipy(name: str) -> None:
    p, judge = CONTINUOUS[name]
    x = judge.ppf(np.linspace(0.02, 0.98, 9))
    np.testing.assert_allclose(p.log_prob(t(x)).numpy(), judge.logpdf(x), rtol=1e-9, atol=1e-12)


DISCRETE: dict[str, tuple[D.Distribution, Any]] = {
    "Bernoulli": (D.Bernoulli(t(0.3)), stats.bernoulli(0.3)),
    "Binomial": (D.Binomial(7, t(0.3)), stats.binom(7, 0.3)),
    "Geometric": (D.Geometric(t(0.3)), stats.geom(0.3, loc=-1)),
    "Poisson": (D.Poisson(t(3.4)), stats.poisson(3.4)),
    "Poisson of many": (D.Poisson(t(2000.0)), stats.poisson(2000.0)),
    "NegativeBinomial": (D.NegativeBinomial(t(3.0), t(0.4)), stats.nbinom(3, 0.6)),
    "Categorical": (D.Categorical(t([0.2, 0.5, 0.3])), stats.rv_discrete(
        values=([0, 1, 2], [0.2, 0.5, 0.3]))),
}  # fmt: skip


@pytest.mark.parametrize("name", DISCRETE)
def test_discrete_samples_come_as_often_as_they_should(name: str) -> None:
    p, judge = DISCRETE[name]
    cr.manual_seed(12)
    drawn = p.sample((N,)).numpy()
    values, counts = np.unique(drawn, return_counts=True)
    below = np.cumsum(counts) / N
    assert np.abs(below - judge.cdf(values)).max() < CRITICAL
    np.testing.assert_allclose(p.log_prob(t(values)).numpy(), np.log(judge.pmf(values)), rtol=1e-8)


@pytest.mark.parametrize("a", [0.05, 0.4, 1.0, 3.0, 40.0, 900.0])
def test_gamma_samples_move_with_the_shape_as_the_inverse_function_does(a: float) -> None:
    """dz/da at a held F(z; a): against a difference of SciPy's inverse."""
    concentration = cr.Tensor(np.full(20, a), requires_grad=True)
    cr.manual_seed(5)
    z = D.Gamma(concentration, t(1.0)).rsample()
    z.sum().backward()
    drawn = z.detach().numpy()
    h = 1e-4 * min(a, math.sqrt(a))
    upper = drawn > a
    held = np.where(upper, special.gammaincc(a, drawn), special.gammainc(a, drawn))

    def inverse(b: float) -> Any:
        return np.where(upper, special.gammainccinv(b, held), special.gammaincinv(b, held))

    wanted = (inverse(a + h) - inverse(a - h)) / (2 * h)
    np.testing.assert_allclose(concentration.grad.numpy(), wanted, rtol=2e-5, atol=1e-280)


def test_the_mean_of_reparameterised_samples_moves_with_the_parameters() -> None:
    a, b = (cr.Tensor(np.float64(v), requires_grad=True) for v in (2.0, 3.0))
    cr.manual_seed(6)
    D.Beta(a, b).rsample((N,)).mean().backward()
    # the mean is a / (a + b)
    assert a.grad.item() == pytest.approx(3 / 25, rel=0.05)
    assert b.grad.item() == pytest.approx(-2 / 25, rel=0.05)


@pytest.mark.parametrize(
    "make",
    [
        lambda: D.Normal(0.0, -1.0),
        lambda: D.Normal(math.nan, 1.0),
        lambda: D.Uniform(1.0, 1.0),
        lambda: D.Bernoulli(1.5),
        lambda: D.Bernoulli(),
        lambda: D.Bernoulli(0.5, 0.0),
        lambda: D.Categorical(t([0.5, -0.1])),
        lambda: D.Gamma(0.0, 1.0),
        lambda: D.Poisson(-1.0),
        lambda: D.Multinomial(-1, t([0.5, 0.5])),
        lambda: D.MultivariateNormal(cr.zeros(2), cr.tensor([[1.0, 2.0], [2.0, 1.0]])),
        lambda: D.Normal(0.0, 1.0).log_prob(math.nan),
        lambda: D.Gamma(1.0, 1.0).log_prob(-1.0),
        lambda: D.Categorical(t([0.5, 0.5])).log_prob(cr.tensor(2)),
        lambda: D.Bernoulli(0.5).log_prob(0.5),
        lambda: D.Independent(D.Normal(0.0, 1.0), 1),
        lambda: D.OneHotCategorical(t([0.5, 0.5])).log_prob(t([1.0, 1.0])),
    ],
)
def test_what_is_out_of_range_is_an_error(make: Callable[[], Any]) -> None:
    with pytest.raises(ArgumentError):
        make()


def test_the_error_says_which_parameter_and_where() -> None:
    with pytest.raises(ArgumentError, match="scale of Normal") as caught:
        D.Normal(cr.zeros(3), cr.tensor([1.0, -2.0, 1.0]))
    assert "-2.0 at (1,)" in str(caught.value)
    assert D.Normal(0.0, -1.0, validate_args=False).scale.item() == -1.0


def test_wrong_shapes_are_errors() -> None:
    with pytest.raises(ShapeError):
        D.Normal(cr.zeros(3), cr.ones(2))
    with pytest.raises(ShapeError):
        D.MultivariateNormal(cr.zeros(2), scale_tril=cr.eye(2)).log_prob(cr.zeros(3))
    with pytest.raises(ShapeError):
        D.Normal(cr.zeros(3), 1.0).log_prob(cr.zeros(2))
    with pytest.raises(NotImplementedError, match="KL"):
        D.kl_divergence(D.Cauchy(0.0, 1.0), D.Poisson(1.0))
    with pytest.raises(NotImplementedError, match="reparameterised"):
        D.Bernoulli(0.5).rsample()


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_expansion_repeats_a_distribution(name: str) -> None:
    p = (CONTINUOUS | DISCRETE)[name][0]
    wide = p.expand((2, 3))
    assert wide.batch_shape == (2, 3)
    assert wide.sample((4,)).shape == (4, 2, 3)
    x = p.sample()
    np.testing.assert_allclose(
        wide.log_prob(x).numpy(), np.full((2, 3), p.log_prob(x).numpy()), rtol=1e-12
    )


def test_empty_batches_and_samples() -> None:
    assert D.Normal(cr.zeros(0), 1.0).sample((2,)).shape == (2, 0)
    assert D.Categorical(cr.ones(3, 4)).sample((0,)).shape == (0, 3)
    assert D.Poisson(cr.zeros(2)).sample().tolist() == [0.0, 0.0]
    assert D.Binomial(0, t(0.5)).sample((3,)).tolist() == [0.0] * 3


def test_categories_of_probability_zero_are_not_drawn() -> None:
    cr.manual_seed(1)
    drawn = D.Categorical(t([0.0, 0.5, 0.0, 0.5, 0.0])).sample((2000,))
    assert set(drawn.tolist()) == {1, 3}
    assert set(D.Categorical(t([1.0, 0.0])).sample((50,)).tolist()) == {0}


@pytest.mark.parametrize("name", [n for n in CONTINUOUS if CONTINUOUS[n][0].has_rsample])
def test_a_divergence_is_the_mean_of_the_difference_of_logarithms(name: str) -> None:
    p = CONTINUOUS[name][0]
    try:
        exact = D.kl_divergence(p, p)
    except NotImplementedError:
        return
    np.testing.assert_allclose(exact.numpy(), 0.0, atol=1e-12)


def test_registered_divergences_are_used_for_subclasses() -> None:
    class Own(D.Normal):
        pass

    @D.register_kl(Own, Own)
    def rule(p: Own, q: Own) -> cr.Tensor:
        return cr.tensor(7.0)

    assert D.kl_divergence(Own(0.0, 1.0), Own(0.0, 1.0)).item() == 7.0
    assert D.kl_divergence(Own(0.0, 1.0), D.Normal(0.0, 1.0)).item() == 0.0


def test_a_step_with_samples_and_densities_compiles() -> None:
    loc = cr.tensor([0.5, -0.5], requires_grad=True)
    optimizer = cr.optim.SGD([loc], lr=0.1)

    def step() -> cr.Tensor:
        optimizer.zero_grad()
        q = D.Normal(loc, 1.0)
        z = q.rsample((64,))
        loss = (q.log_prob(z) - D.Normal(2.0, 1.0).log_prob(z)).mean()
        loss = loss + D.kl_divergence(q, D.Normal(2.0, 1.0)).sum() + D.Bernoulli(0.4).sample() * 0
        loss.backward()
        optimizer.step()
        return loss

    compiled = cr.compile(step)
    for _ in range(60):
        compiled()
    np.testing.assert_allclose(loc.detach().numpy(), 2.0, atol=0.2)


@pytest.mark.parametrize(
    "name", ["Gamma", "Beta", "StudentT", "Poisson", "Categorical", "Geometric"]
)
def test_samples_are_the_same_compiled(name: str) -> None:
    p = (CONTINUOUS | DISCRETE)[name][0]
    cr.manual_seed(3)
    eager = p.sample((5,)).numpy()
    cr.manual_seed(3)
    compiled = cr.compile(lambda: p.sample((5,)))().numpy()
    np.testing.assert_allclose(compiled, eager, rtol=1e-6)


def test_samples_under_vmap() -> None:
    means = t([0.0, 100.0])
    drawn = cr.vmap(lambda m: D.Normal(m, 1.0).sample((8,)), randomness="different")(means)
    assert drawn.shape == (2, 8)
    assert (np.abs(drawn.numpy() - means.numpy()[:, None]) < 10).all()
    same = cr.vmap(lambda m: D.Normal(m, 1.0).sample((8,)), randomness="same")(means)
    np.testing.assert_allclose(same[1].numpy() - 100, same[0].numpy(), atol=1e-5)
