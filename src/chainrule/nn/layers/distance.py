"""Layers of two inputs: similarity, distance, bilinear form."""

from __future__ import annotations

from typing import Any

from ...core.aval import describe
from ...errors import ShapeError
from .. import functional, init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class CosineSimilarity(Module):
    """x₁ · x₂ / (max(‖x₁‖, eps) max(‖x₂‖, eps)) along `dim`."""

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Any:
        return functional.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """‖x₁ - x₂ + eps‖ of order `p` along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        return functional.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class Bilinear(Module):
    """yₖ = x₁ᵀ Wₖ x₂ + bₖ.

    Shapes: x₁ (…, in1_features), x₂ (…, in2_features) → (…, out_features); weight
    (out_features, in1_features, in2_features). Both start uniform on ±1/√in1_features.

    >>> cr.nn.Bilinear(3, 4, 2)(zeros(5, 3), zeros(5, 4)).shape
    (5, 2)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes(
            "Bilinear",
            in1_features=in1_features,
            in2_features=in2_features,
            out_features=out_features,
        )
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = blank(out_features, in1_features, in2_features, dtype=dtype, device=device)
        made = blank(out_features, dtype=dtype, device=device) if bias else None
        self.register_parameter("bias", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        bound = self.in1_features**-0.5
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        expect.features(self, input1, self.in1_features, "in1_features")
        expect.features(self, input2, self.in2_features, "in2_features")
        if input1.shape[:-1] != input2.shape[:-1]:
            raise ShapeError(
                "Bilinear takes two inputs of one shape but for the last axis",
                got=f"{describe(input1)}   {describe(input2)}",
            )
        return functional.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )
