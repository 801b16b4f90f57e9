"""The divergence of Kullback and Leibler, KL(p ‖ q) = E_p[log p - log q], in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from .. import ops
from ..ops.special import digamma, lgamma, xlogy
from ..tensor import Tensor
from .categorical import Categorical, OneHotCategorical
from .combined import Independent, LogNormal, TransformedDistribution
from .discrete import Bernoulli, Binomial, Geometric, Poisson
from .distribution import EULER, Distribution, summed
from .location_scale import Cauchy, Gumbel, HalfNormal, Laplace, Normal, Uniform
from .multivariate import MultivariateNormal, mahalanobis
from .positive import Beta, Dirichlet, Exponential, Gamma, Pareto

Rule = Callable[[Any, Any], Tensor]
F = TypeVar("F", bound=Rule)

_rules: dict[tuple[type[Distribution], type[Distribution]], Rule] = {}


def register_kl(type_p: type[Distribution], type_q: type[Distribution]) -> Callable[[F], F]:
    """Decorator: a function of p and q gives the divergence between these types."""

    def register(rule: F) -> F:
        _rules[type_p, type_q] = rule
        return rule

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """KL(p ‖ q), one number for each place of the batch.

    The rule is that of the nearest base classes. Raises NotImplementedError for a pair without one.

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    known = [
        (type(p).__mro__.index(a) + type(q).__mro__.index(b), rule)
        for (a, b), rule in _rules.items()
        if isinstance(p, a) and isinstance(q, b)
    ]
    if not known:
        raise NotImplementedError(
            f"no closed form of KL({type(p).__name__} || {type(q).__name__}) is registered"
        )
    return min(known, key=lambda pair: pair[0])[1](p, q)


@register_kl(Normal, Normal)
def _normals(p: Normal, q: Normal) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return 0.5 * (ratio * ratio + away * away - 1.0) - ratio.log()


@register_kl(LogNormal, LogNormal)
@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if [type(t) for t in p.transforms] != [type(t) for t in q.transforms] or any(
        vars(a) != vars(b) for a, b in zip(p.transforms, q.transforms, strict=True)
    ):
        raise NotImplementedError("the two distributions are transformed differently")
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independents(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("the two distributions have events of different axes")
    return summed(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Bernoulli, Bernoulli)
def _bernoullis(p: Bernoulli, q: Bernoulli) -> Tensor:
    return _coins(p, q)


def _coins(p: Any, q: Any) -> Tensor:
    on, off = p.probs, 1.0 - p.probs
    log_p, log_not_p = p._log_p()
    log_q, log_not_q = q._log_p()
    first = ops.where(on == 0, 0.0, on * (log_p - log_q))
    return first + ops.where(off == 0, 0.0, off * (log_not_p - log_not_q))


@register_kl(Binomial, Binomial)
def _binomials(p: Binomial, q: Binomial) -> Tensor:
    fewer = p.total_count <= q.total_count
    same = p.total_count == q.total_count
    if not bool(same.all()):
        if bool(fewer.all()):
            raise NotImplementedError("KL between binomials of p.total_count < q.total_count")
        return ops.where(fewer, p.total_count * _coins(p, q), math.inf)
    return p.total_count * _coins(p, q)


@register_kl(Geometric, Geometric)
def _geometrics(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - ops.log1p(-q.probs) / p.probs - q.logits


@register_kl(Categorical, Categorical)
def _categoricals(p: Categorical, q: Categorical) -> Tensor:
    terms = p.probs * (p.logits - q.logits)
    terms = ops.where(q.probs == 0, math.inf, terms)
    return ops.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hots(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categoricals(p, q)


@register_kl(Poisson, Poisson)
def _poissons(p: Poisson, q: Poisson) -> Tensor:
    return xlogy(p.rate, p.rate / q.rate) - (p.rate - q.rate)


@register_kl(Exponential, Exponential)
def _exponentials(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1.0


@register_kl(Gamma, Gamma)
def _gammas(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log() + lgamma(b) - lgamma(a) + (a - b) * digamma(a)
        + (q.rate - p.rate) * (a / p.rate)
    )  # fmt: skip


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    ratio, a = q.rate / p.rate, q.concentration
    return -a * ratio.log() + ratio + lgamma(a) + a * EULER - (1.0 + EULER)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Beta)
def _betas(p: Beta, q: Beta) -> Tensor:
    return _dirichlets(p._both, q._both)


@register_kl(Dirichlet, Dirichlet)
def _dirichlets(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    away = digamma(a) - ops.unsqueeze(digamma(total), -1)
    return (
        lgamma(total) - lgamma(b.sum(-1)) + (lgamma(b) - lgamma(a)).sum(-1)
        + ((a - b) * away).sum(-1)
    )  # fmt: skip


@register_kl(Laplace, Laplace)
def _laplaces(p: Laplace, q: Laplace) -> Tensor:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1.0


@register_kl(Cauchy, Cauchy)
def _cauchys(p: Cauchy, q: Cauchy) -> Tensor:
    width, away = p.scale + q.scale, p.loc - q.loc
    return (width * width + away * away).log() - (4.0 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbels(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    away = (q.loc - p.loc) / q.scale
    return -ratio.log() - away + ratio * EULER + (away + lgamma(1.0 + ratio)).exp() - (1.0 + EULER)


@register_kl(HalfNormal, HalfNormal)
def _half_normals(p: HalfNormal, q: HalfNormal) -> Tensor:
    return kl_divergence(p._base, q._base)


@register_kl(Pareto, Pareto)
def _paretos(p: Pareto, q: Pareto) -> Tensor:
    ratio = p.scale / q.scale
    found = q.alpha * ratio.log() + (p.alpha / q.alpha).log() + q.alpha / p.alpha - 1.0
    return ops.where(p.scale < q.scale, math.inf, found)


@register_kl(Uniform, Uniform)
def _uniforms(p: Uniform, q: Uniform) -> Tensor:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, found)


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Tensor:
    width, away = p.high - p.low, (p.mean - q.loc) / q.scale
    spread = width / q.scale
    return (math.sqrt(2.0 * math.pi) * q.scale / width).log() + 0.5 * (
        spread * spread / 12.0 + away * away
    )


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    away = p.loc - q.loc
    z = away / p.scale
    apart = math.sqrt(2.0 / math.pi) * p.scale * (-0.5 * z * z).exp()
    apart = apart + away * ops.erf(z / math.sqrt(2.0))
    return (2.0 * q.scale).log() + apart / q.scale - p.entropy()


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normals(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError("the two distributions have events of different sizes")
    shape = ops.broadcast_tensors(p._factor, q._factor)
    ratio = ops.linalg.solve_triangular(shape[1], shape[0], upper=False)
    trace = (ratio * ratio).sum((-2, -1))
    away = mahalanobis(q._factor, q.loc - p.loc)
    logs = q._half_log_det() - p._half_log_det()
    return logs + 0.5 * (trace + away - p.event_shape[0])
