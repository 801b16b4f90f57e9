"""The multivariate normal distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from .. import ops
from ..core.aval import broadcast_shapes
from ..errors import ShapeError
from ..tensor import Tensor
from . import constraints
from .constraints import Constraint
from .distribution import LOG_TWO_PI, Distribution, floats


class MultivariateNormal(Distribution):
    """p = exp(-½ (x - μ)ᵀ Σ⁻¹ (x - μ)) / √|2πΣ|, with Σ = L Lᵀ.

    Exactly one of `covariance_matrix` (Σ), `precision_matrix` (Σ⁻¹) and `scale_tril` (L, lower
    triangular) is given.

    >>> MultivariateNormal(zeros(2), scale_tril=eye(2)).log_prob(zeros(2))
    tensor(-1.8379)
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Constraint]] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        named = [name for name, value in given.items() if value is not None]
        if len(named) != 1:
            raise ValueError(f"MultivariateNormal takes one of {', '.join(given)}")
        matrix, mean = floats(given[named[0]]), floats(loc)
        if matrix.ndim < 2 or mean.ndim < 1 or matrix.shape[-2:] != mean.shape[-1:] * 2:
            raise ShapeError(
                "MultivariateNormal needs a vector and a square matrix of its size",
                got=f"loc {mean.shape}, {named[0]} {matrix.shape}",
            )
        batch, n = broadcast_shapes(mean.shape[:-1], matrix.shape[:-2]), mean.shape[-1]
        self.loc = ops.broadcast_to(mean, (*batch, n))
        self._given = named[0]
        matrix = ops.broadcast_to(matrix, (*batch, n, n))
        vars(self)[self._given] = matrix
        super().__init__(batch, (n,), validate_args)
        self._factor = _factor(self._given, matrix)

    def __getattr__(self, name: str) -> Any:
        factor = vars(self).get("_factor")
        if factor is not None and name == "scale_tril":
            return factor
        if factor is not None and name == "covariance_matrix":
            return ops.matmul(factor, ops.transpose(factor, -1, -2))
        if factor is not None and name == "precision_matrix":
            return ops.cholesky_inverse(factor)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def support(self) -> Constraint:
        return constraints.real_vector

    @property
    def mean(self) -> Tensor:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Tensor:
        return (self._factor * self._factor).sum(-1)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        z = ops.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype)
        return self.loc + ops.squeeze(ops.matmul(self._factor, ops.unsqueeze(z, -1)), -1)

    def _half_log_det(self) -> Tensor:
        return ops.diagonal(self._factor, 0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Tensor:
        distance = mahalanobis(self._factor, self._value(value) - self.loc)
        return -0.5 * (distance + self._event_shape[0] * LOG_TWO_PI) - self._half_log_det()

    def entropy(self) -> Tensor:
        return 0.5 * self._event_shape[0] * (1.0 + LOG_TWO_PI) + self._half_log_det()


def mahalanobis(factor: Tensor, x: Tensor) -> Tensor:
    """xᵀ (L Lᵀ)⁻¹ x."""
    shape = np.broadcast_shapes(factor.shape[:-2], x.shape[:-1])
    n = x.shape[-1]
    columns = ops.broadcast_to(ops.unsqueeze(x, -1), (*shape, n, 1))
    matrices = ops.broadcast_to(factor, (*shape, n, n))
    z = ops.squeeze(ops.linalg.solve_triangular(matrices, columns, upper=False), -1)
    return (z * z).sum(-1)


def _factor(name: str, matrix: Tensor) -> Tensor:
    """The lower triangular L with Σ = L Lᵀ."""
    if name == "scale_tril":
        return matrix
    if name == "covariance_matrix":
        return ops.cholesky(matrix)
    # P = U Uᵀ of the matrix turned around gives L = U⁻ᵀ, lower triangular
    turned = ops.cholesky(ops.flip(matrix, (-2, -1)))
    inverse = ops.transpose(ops.flip(turned, (-2, -1)), -1, -2)
    n = matrix.shape[-1]
    eye = ops.broadcast_to(Tensor(np.eye(n, dtype=matrix.dtype)), matrix.shape)
    return ops.linalg.solve_triangular(inverse, eye, upper=False)
