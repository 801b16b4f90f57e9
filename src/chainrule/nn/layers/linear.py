"""The fully connected layer."""

from __future__ import annotations

from typing import Any

from ... import ops
from .. import init
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class Linear(Module):
    """y = x Wᵀ + b, on the last axis of x.

    Shapes: x (…, in_features) → y (…, out_features); weight (out_features, in_features),
    bias (out_features). Both start uniform on ±1/√in_features, as in PyTorch.

    Raises ArgumentError for sizes that are not positive integers; calling it raises ShapeError for
    an input with another number of features.

    >>> cr.nn.Linear(784, 10)(zeros(32, 784)).shape
    (32, 10)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        expect.sizes("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = blank(out_features, in_features, dtype=dtype, device=device)
        if bias:
            self.bias = blank(out_features, dtype=dtype, device=device)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new initial values."""
        init.fan_in_uniform_(self.weight, self.bias)

    def forward(self, input: Any) -> Any:
        expect.features(self, input, self.in_features, "in_features")
        return ops.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
