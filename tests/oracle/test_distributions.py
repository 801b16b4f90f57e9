"""Distributions against PyTorch's: densities, moments, inverses, entropies, divergences."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributions as judge

import chainrule as cr
import chainrule.distributions as mine
from chainrule.distributions.gamma_samples import slope

from .compare import ours, rng_for, same, theirs

Made = Callable[[Any, Callable[[Any], Any]], Any]
A = np.array([0.3, 1.0, 2.7])
B = np.array([0.8, 1.5, 4.2])
L = np.array([-1.2, 0.0, 0.7])
P = np.array([0.2, 0.5, 0.9])
SHARES = np.array([[0.2, 0.5, 0.3], [0.6, 0.1, 0.3]])
FACTOR = np.array([[1.1, 0.0, 0.0], [0.4, 0.7, 0.0], [-0.3, 0.2, 1.6]])
SYMMETRIC = FACTOR @ FACTOR.T

CASES: dict[str, Made] = {
    "Normal": lambda d, t: d.Normal(t(L), t(A)),
    "LogNormal": lambda d, t: d.LogNormal(t(L), t(A)),
    "Laplace": lambda d, t: d.Laplace(t(L), t(A)),
    "Cauchy": lambda d, t: d.Cauchy(t(L), t(A)),
    "Gumbel": lambda d, t: d.Gumbel(t(L), t(A)),
    "Uniform": lambda d, t: d.Uniform(t(L), t(L + A)),
    "HalfNormal": lambda d, t: d.HalfNormal(t(A)),
    "HalfCauchy": lambda d, t: d.HalfCauchy(t(A)),
    "Exponential": lambda d, t: d.Exponential(t(A)),
    "Gamma": lambda d, t: d.Gamma(t(A), t(B)),
    "InverseGamma": lambda d, t: d.InverseGamma(t(B), t(A)),
    "Chi2": lambda d, t: d.Chi2(t(B)),
    "Beta": lambda d, t: d.Beta(t(A), t(B)),
    "StudentT": lambda d, t: d.StudentT(t(B), t(L), t(A)),
    "Weibull": lambda d, t: d.Weibull(t(A), t(B + 0.5)),
    "Pareto": lambda d, t: d.Pareto(t(A), t(B)),
    "Dirichlet": lambda d, t: d.Dirichlet(t(SHARES * 5)),
    "Bernoulli": lambda d, t: d.Bernoulli(t(P)),
    "Bernoulli logits": lambda d, t: d.Bernoulli(logits=t(L)),
    "Geometric": lambda d, t: d.Geometric(t(P)),
    "Geometric logits": lambda d, t: d.Geometric(logits=t(L)),
    "Binomial": lambda d, t: d.Binomial(5, t(P)),
    "Binomial logits": lambda d, t: d.Binomial(4, logits=t(L)),
    "NegativeBinomial": lambda d, t: d.NegativeBinomial(t(B), t(P)),
    "Poisson": lambda d, t: d.Poisson(t(B)),
    "Categorical": lambda d, t: d.Categorical(t(SHARES * 2)),
    "Categorical logits": lambda d, t: d.Categorical(logits=t(np.log(SHARES) + 3)),
    "OneHotCategorical": lambda d, t: d.OneHotCategorical(t(SHARES)),
    "Multinomial": lambda d, t: d.Multinomial(4, t(SHARES)),
    "MultivariateNormal": lambda d, t: d.MultivariateNormal(t(L), t(SYMMETRIC)),
    "MultivariateNormal factor": lambda d, t: d.MultivariateNormal(t(L), scale_tril=t(FACTOR)),
    "MultivariateNormal precision": lambda d, t: d.MultivariateNormal(
        t(L), precision_matrix=t(SYMMETRIC)),
    "Independent": lambda d, t: d.Independent(d.Normal(t(L), t(A)), 1),
    "RelaxedBernoulli": lambda d, t: d.RelaxedBernoulli(t(np.array(0.7)), t(P)),
    "RelaxedOneHotCategorical": lambda d, t: d.RelaxedOneHotCategorical(
        t(np.array(0.7)), t(SHARES)),
    "Transformed": lambda d, t: d.TransformedDistribution(
        d.Normal(t(L), t(A)),
        [d.AffineTransform(t(L), -2.0), d.TanhTransform(), d.AffineTransform(0.5, 0.25)]),
    "Transformed power": lambda d, t: d.TransformedDistribution(
        d.Exponential(t(A)),
        [d.PowerTransform(t(np.array(0.5))), d.transforms.SoftplusTransform()]),
    "Transformed sticks": lambda d, t: d.TransformedDistribution(
        d.Normal(t(L), t(A)), d.StickBreakingTransform()),
    "MixtureSameFamily": lambda d, t: d.MixtureSameFamily(
        d.Categorical(t(SHARES[0])), d.Normal(t(L), t(A))),
}  # fmt: skip
MOMENTS = ("mean", "mode", "variance", "stddev")


def both(name: str, label: str = "") -> tuple[Any, Any]:
    return CASES[name](mine, lambda a: ours(a)), CASES[name](judge, lambda a: theirs(a))


def tried(fn: Callable[[], Any]) -> Any:
    """A result, or None if the distribution does not have it."""
    try:
        return fn()
    except NotImplementedError:
        return None


@pytest.mark.parametrize("name", CASES)
def test_moments_and_shapes_agree(name: str) -> None:
    p, q = both(name)
    assert (p.batch_shape, p.event_shape) == (tuple(q.batch_shape), tuple(q.event_shape))
    assert p.has_rsample == q.has_rsample
    for moment in (*MOMENTS, "entropy", "perplexity"):
        wanted = tried(lambda m=moment: getattr(q, m) if m in MOMENTS else getattr(q, m)())
        if wanted is None:
            continue
        found = getattr(p, moment) if moment in MOMENTS else getattr(p, moment)()
        same(found, wanted, f"{name} {moment}", rtol=1e-7, dtype=False)


@pytest.mark.parametrize("name", CASES)
def test_densities_and_their_gradients_agree(name: str) -> None:
    torch.manual_seed(3)
    p, q = both(name)
    values = q.sample((4,)).detach()
    x, y = cr.Tensor(values.numpy()), values.clone()
    if y.dtype.is_floating_point and q.has_rsample:
        x, y = x.requires_grad_(), y.requires_grad_()
    leaves = [v for v in vars(p).values() if isinstance(v, cr.Tensor)]
    assert leaves or name.startswith(("Log", "Ind", "Rel", "Tra", "Mix"))
    found, wanted = p.log_prob(x), q.log_prob(y)
    same(found, wanted, f"{name} log_prob", rtol=1e-8)
    if y.requires_grad:
        found.sum().backward()
        wanted.sum().backward()
        same(x.grad, y.grad, f"{name} slope of log_prob", rtol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_distribution_functions_agree(name: str) -> None:
    torch.manual_seed(4)
    p, q = both(name)
    values = q.sample((5,)).detach()
    wanted = tried(lambda: q.cdf(values))
    if wanted is not None:
        same(p.cdf(cr.Tensor(values.numpy())), wanted, f"{name} cdf", rtol=1e-8)
    u = np.linspace(0.05, 0.95, 5).reshape(5, *(1,) * len(q.batch_shape))
    wanted = tried(lambda: q.icdf(torch.from_numpy(u)))
    if wanted is not None:
        same(p.icdf(cr.Tensor(u)), wanted, f"{name} icdf", rtol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_supports_are_enumerated_alike(name: str) -> None:
    p, q = both(name)
    for expand in (True, False):
        wanted = tried(lambda e=expand: q.enumerate_support(expand=e))
        if wanted is not None:
            same(p.enumerate_support(expand=expand), wanted, f"{name} support")


PAIRS: dict[str, tuple[Made, Made]] = {
    name: (CASES[name], other)
    for name, other in {
        "Normal": lambda d, t: d.Normal(t(A), t(B)),
        "LogNormal": lambda d, t: d.LogNormal(t(A), t(B)),
        "Laplace": lambda d, t: d.Laplace(t(A), t(B)),
        "Cauchy": lambda d, t: d.Cauchy(t(A), t(B)),
        "Gumbel": lambda d, t: d.Gumbel(t(A), t(B)),
        "Uniform": lambda d, t: d.Uniform(t(L - 1), t(L + A + np.array([1.0, 0.5, -0.1]))),
        "HalfNormal": lambda d, t: d.HalfNormal(t(B)),
        "Exponential": lambda d, t: d.Exponential(t(B)),
        "Gamma": lambda d, t: d.Gamma(t(B), t(A)),
        "Beta": lambda d, t: d.Beta(t(B), t(A)),
        "Pareto": lambda d, t: d.Pareto(t(A / 2), t(A)),
        "Dirichlet": lambda d, t: d.Dirichlet(t(SHARES[::-1].copy() * 3)),
        "Bernoulli": lambda d, t: d.Bernoulli(t(P[::-1].copy())),
        "Geometric": lambda d, t: d.Geometric(t(P[::-1].copy())),
        "Binomial": lambda d, t: d.Binomial(5, t(P[::-1].copy())),
        "Poisson": lambda d, t: d.Poisson(t(A)),
        "Categorical": lambda d, t: d.Categorical(t(SHARES[::-1].copy())),
        "OneHotCategorical": lambda d, t: d.OneHotCategorical(t(SHARES[::-1].copy())),
        "MultivariateNormal": lambda d, t: d.MultivariateNormal(t(A), t(SYMMETRIC + np.eye(3))),
        "Independent": lambda d, t: d.Independent(d.Normal(t(A), t(B)), 1),
    }.items()
}
PAIRS |= {
    "Exponential and Gamma": (CASES["Exponential"], CASES["Gamma"]),
    "Gamma and Exponential": (CASES["Gamma"], CASES["Exponential"]),
    "Uniform and Normal": (CASES["Uniform"], CASES["Normal"]),
    "Normal and Laplace": (CASES["Normal"], lambda d, t: d.Laplace(t(A), t(B))),
}


@pytest.mark.parametrize("name", PAIRS)
def test_divergences_agree(name: str) -> None:
    first, second = PAIRS[name]
    found = mine.kl_divergence(first(mine, ours), second(mine, ours))
    same(found, judge.kl_divergence(first(judge, theirs), second(judge, theirs)),
         f"KL of {name}", rtol=1e-8)  # fmt: skip


def test_samples_of_gamma_have_the_slopes_of_torch() -> None:
    """dz/da of the same z: PyTorch's own approximation is good to about 1e-3."""
    a = np.array(list(itertools.product([0.05, 0.4, 1.0, 3.0, 30.0, 500.0], [0.1, 0.5, 0.9])))
    z = rng_for("gamma slopes").gamma(a[:, 0])
    found = slope(cr.Tensor(a[:, 0]), cr.Tensor(z)).numpy()
    wanted = torch._standard_gamma_grad(torch.from_numpy(a[:, 0]), torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=2e-3)
