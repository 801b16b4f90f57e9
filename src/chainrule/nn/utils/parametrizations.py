"""Parametrizations to register: weight norm, spectral norm, orthogonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import ops
from ...core.aval import describe
from ...core.value import recording
from ...errors import ArgumentError, IndexRangeError, ShapeError
from ...ops import linalg
from ...tensor import Tensor
from ..functional.distances import normalize
from ..module import Module
from .parametrize import register_parametrization


class WeightNorm(Module):
    """w = g v / ‖v‖, the norm over all axes but `dim`, or over all: length and direction apart."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        return weight_v * (weight_g / length(weight_v, self.dim))

    def right_inverse(self, weight: Any) -> tuple[Any, Any]:
        """The length and the direction of a weight."""
        return length(weight, self.dim), weight


def length(weight: Any, dim: int | None) -> Any:
    """The Euclidean norm over all axes but `dim`, which are kept as ones; over all without it."""
    if dim is None or dim == -1:
        return ops.norm(weight, 2.0)
    dim %= weight.ndim
    others = tuple(axis for axis in range(weight.ndim) if axis != dim)
    return ops.norm(weight, 2.0, others, True) if others else ops.abs(weight)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Parametrize a weight as length times direction, w = g v / ‖v‖; returns the module.

    Source: Salimans & Kingma 2016, eq. 2.

    >>> layer = weight_norm(cr.nn.Linear(2, 3))
    >>> [k for k in layer.state_dict() if "weight" in k]
    ['parametrizations.weight.original0', 'parametrizations.weight.original1']
    """
    return register_parametrization(module, name, WeightNorm(dim), unsafe=True)


class SpectralNorm(Module):
    """w / σ, σ the largest singular value of w as a matrix with the axis `dim` for its rows.

    σ = uᵀ W v, with u and v from power iteration: `n_power_iterations` steps at each call while
    training. Source: Miyato et al. 2018, algorithm 1.
    """

    def __init__(
        self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexRangeError(
                "spectral_norm has no such axis", expected=f"an axis of {describe(weight)}",
                got=str(dim),
            )  # fmt: skip
        if n_power_iterations < 1:
            raise ArgumentError(
                "spectral_norm takes at least one power iteration", got=str(n_power_iterations)
            )
        self.dim = dim % weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = as_matrix(weight, self.dim)
            for name, size in zip(("_u", "_v"), matrix.shape, strict=True):
                start = normalize(ops.randn((size,), dtype=weight.dtype), dim=0, eps=eps)
                self.register_buffer(name, start)
            self._iterate(matrix, 15)

    def _iterate(self, matrix: Any, steps: int) -> None:
        power_iteration(matrix, self._u, self._v, steps, self.eps)

    def forward(self, weight: Any) -> Any:
        if weight.ndim == 1:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = as_matrix(weight, self.dim)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        return weight / largest_singular_value(matrix, self._u, self._v)

    def right_inverse(self, value: Any) -> Any:
        """The value itself: assigned weights are taken as they are."""
        return value


def as_matrix(weight: Any, dim: int) -> Any:
    """The weight with the axis `dim` as rows and all others as columns."""
    return ops.flatten(ops.movedim(weight, dim, 0), 1)


def power_iteration(matrix: Any, u: Tensor, v: Tensor, steps: int, eps: float) -> None:
    """Turn the cells u and v towards the singular vectors of the largest singular value."""
    with recording(False):
        left, right = ops.identity(u), ops.identity(v)
        for _ in range(steps):
            left = normalize(ops.matmul(matrix, right), dim=0, eps=eps)
            right = normalize(ops.matmul(left, matrix), dim=0, eps=eps)
        u.array, v.array = left.array, right.array


def largest_singular_value(matrix: Any, u: Tensor, v: Tensor) -> Any:
    """uᵀ W v, a function of W alone: u and v are copies of what the cells hold now."""
    left, right = Tensor.wrap(u.array), Tensor.wrap(v.array)
    return ops.sum(left * ops.matmul(matrix, right))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Parametrize a weight as w / σ(w), of spectral norm 1: see SpectralNorm; returns the module.

    `dim` is the axis of the outputs: 0, or 1 for transposed convolutions, unless given.
    """
    weight = getattr(module, name)
    axis = output_axis(module) if dim is None else dim
    made = SpectralNorm(weight, n_power_iterations, axis, eps)
    return register_parametrization(module, name, made)


def output_axis(module: Module) -> int:
    """The axis of a layer's weight that belongs to its outputs."""
    return 1 if getattr(module, "transposed", False) else 0


class Orthogonal(Module):
    """A matrix with orthonormal columns (or rows, if they are fewer) from any matrix.

    With A = L - Lᵀ, L the lower triangle: "matrix_exp" exp(A), "cayley" (I + A/2) (I - A/2)⁻¹,
    "householder" a product of reflections. With `use_trivialization` it is multiplied by a fixed
    `base`, so that any orthogonal matrix can be assigned.

    Source: Lezcano-Casado 2019, "Trivializations for gradient-based optimization on manifolds".
    """

    base: Tensor | None

    def __init__(self, weight: Any, orthogonal_map: str, use_trivialization: bool = True) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        n, k = X.shape[-2:]
        wide = n < k
        if wide:
            X, n, k = ops.transpose(X, -2, -1), k, n
        if self.orthogonal_map == "householder":
            Q = self._reflections(X)
        else:
            lower = ops.pad(ops.tril(X), (*[(0, 0)] * (X.ndim - 1), (0, n - k)))
            A = lower - ops.transpose(lower, -2, -1)
            if self.orthogonal_map == "matrix_exp":
                Q = linalg.matrix_exp(A)
            else:
                eye = np.eye(n, dtype=X.dtype)
                Q = linalg.solve(eye - 0.5 * A, eye + 0.5 * A)
            Q = Q[..., :k]
        if self.use_trivialization:
            Q = ops.matmul(self.base, Q)
        return ops.transpose(Q, -2, -1) if wide else Q

    @staticmethod
    def _reflections(X: Any) -> Any:
        A = ops.tril(X, -1)
        tau = 2.0 / (1.0 + ops.sum(A * A, -2))
        signs = ops.sign(ops.diagonal(X, 0, -2, -1))
        with recording(False):
            signs = ops.unsqueeze(signs, -2)
        return linalg.householder_product(A, tau) * signs

    def right_inverse(self, Q: Any) -> Any:
        """The original that gives Q, or the nearest orthogonal matrix to it in the QR sense."""
        if Q.shape != self.shape:
            raise ShapeError(
                "an orthogonal weight keeps its shape", expected=str(self.shape), got=describe(Q)
            )
        given, dtype = Q.array.astype(np.float64), Q.dtype
        wide = given.shape[-2] < given.shape[-1]
        tall = np.swapaxes(given, -2, -1) if wide else given
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise ArgumentError(
                    f"{self.orthogonal_map} cannot be assigned to without use_trivialization"
                )
            found = _reflectors(tall)
            return Tensor(np.swapaxes(found, -2, -1) if wide else found, dtype)
        *batch, n, k = tall.shape
        extra = ops.randn((*batch, n, n - k), dtype=np.float64).array
        square = np.concatenate([tall, extra], -1)
        eye = np.eye(n)
        if n != k or not np.allclose(np.swapaxes(square, -2, -1) @ square, eye, atol=1e-5):
            q, r = np.linalg.qr(square)
            square = q * np.where(np.diagonal(r, 0, -2, -1) < 0, -1.0, 1.0)[..., None, :]
        base = Tensor(square, dtype)
        if self.base is None:
            self.register_buffer("base", base)
        else:
            self.base.array = base.array
        start = np.zeros(self.shape, dtype)
        np.einsum("...ii->...i", start[..., : min(self.shape[-2:]), : min(self.shape[-2:])])[
            ...
        ] = -1.0
        return Tensor(start)


def _reflectors(Q: Any) -> Any:
    """Householder vectors below the diagonal, and on it the signs that give Q back."""
    packed, tau = linalg.geqrf(Tensor(Q))
    found = packed.array.copy()
    diagonal = np.einsum("...ii->...i", found[..., : found.shape[-1], :])
    diagonal[...] = np.sign(diagonal)
    diagonal[tau.array == 0.0] *= -1
    return found


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Parametrize a weight as a matrix with orthonormal columns or rows; returns the module.

    `orthogonal_map` is "matrix_exp", "cayley" or "householder"; the first for square matrices and
    the last for others unless given. See Orthogonal. Raises ShapeError for fewer than two axes.

    >>> w = orthogonal(cr.nn.Linear(3, 3)).weight
    >>> bool((abs(w @ w.T - np.eye(3)) < 1e-5).all())
    True
    """
    weight = getattr(module, name)
    if weight.ndim < 2:
        raise ShapeError("an orthogonal weight has at least two axes", got=describe(weight))
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square else "householder"
    maps = ("matrix_exp", "cayley", "householder")
    if orthogonal_map not in maps:
        raise ArgumentError(
            "unknown orthogonal_map", expected=", ".join(maps), got=repr(orthogonal_map)
        )
    made = Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)
