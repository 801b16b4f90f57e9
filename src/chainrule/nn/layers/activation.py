"""Activation functions as modules."""

from __future__ import annotations

from typing import Any, Literal

from ...core.aval import describe
from ...errors import ArgumentError, ShapeError
from .. import functional
from ..init import constant_
from ..module import Module
from ..parameter import Parameter, blank
from . import expect


class _InPlace(Module):
    """An activation function whose only option is to work in place."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_InPlace):
    """y = max(x, 0). Its derivative at 0 is 0.

    With ``inplace=True`` the input tensor takes on the result as its new value.

    >>> cr.nn.ReLU()(tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        return functional.relu(input, self.inplace)


class LeakyReLU(Module):
    """y = x for x > 0, else negative_slope · x: units that are off still learn."""

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" * self.inplace)


class ELU(Module):
    """y = x for x > 0, else α (eˣ - 1).  (Clevert et al. 2016, eq. 15)"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" * self.inplace)


class Sigmoid(Module):
    """y = 1 / (1 + e⁻ˣ).

    >>> cr.nn.Sigmoid()(tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        return functional.sigmoid(input)


class Tanh(Module):
    """y = tanh x."""

    def forward(self, input: Any) -> Any:
        return functional.tanh(input)


class GELU(Module):
    """y = x Φ(x), Φ the normal distribution function, or its tanh approximation.

    Source: Hendrycks & Gimpel 2016, section 2.
    """

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        return functional.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_InPlace):
    """y = x σ(x), also called swish.  (Elfwing et al. 2018, eq. 10)"""

    def forward(self, input: Any) -> Any:
        return functional.silu(input, self.inplace)


class Softplus(Module):
    """y = log(1 + e^(βx)) / β, and x itself where βx > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        return functional.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """yᵢ = exp xᵢ / Σⱼ exp xⱼ along `dim`.

    >>> cr.nn.Softmax(dim=0)(zeros(4))
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """yᵢ = xᵢ - log Σⱼ exp xⱼ along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.log_softmax(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class ReLU6(_InPlace):
    """y = min(max(x, 0), 6).  (Howard et al. 2017)"""

    def forward(self, input: Any) -> Any:
        return functional.relu6(input, self.inplace)


class Hardswish(_InPlace):
    """y = x · relu6(x + 3) / 6.  (Howard et al. 2019, section 5.2)"""

    def forward(self, input: Any) -> Any:
        return functional.hardswish(input, self.inplace)


class Hardsigmoid(_InPlace):
    """y = relu6(x + 3) / 6."""

    def forward(self, input: Any) -> Any:
        return functional.hardsigmoid(input, self.inplace)


class SELU(_InPlace):
    """y = λ x for x > 0, else λ α (eˣ - 1).  (Klambauer et al. 2017, eq. 2)

    λ = 1.0507… and α = 1.6733… keep mean 0 and variance 1 from layer to layer.
    """

    def forward(self, input: Any) -> Any:
        return functional.selu(input, self.inplace)


class Mish(_InPlace):
    """y = x tanh(log(1 + eˣ)).  (Misra 2019, eq. 1)"""

    def forward(self, input: Any) -> Any:
        return functional.mish(input, self.inplace)


class LogSigmoid(Module):
    """y = log σ(x), without overflow."""

    def forward(self, input: Any) -> Any:
        return functional.logsigmoid(input)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input: Any) -> Any:
        return functional.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh x."""

    def forward(self, input: Any) -> Any:
        return functional.tanhshrink(input)


class Hardtanh(Module):
    """y = x limited to [min_val, max_val]; its derivative is 0 at the limits and beyond.

    `min_value` and `max_value` are old names of the limits.
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if not self.min_val < self.max_val:
            raise ArgumentError(
                "Hardtanh takes min_val < max_val", got=f"{self.min_val}, {self.max_val}"
            )
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        limits = f"min_val={self.min_val}, max_val={self.max_val}"
        return limits + (", inplace=True" * self.inplace)


class Threshold(Module):
    """y = x for x > threshold, else `value`."""

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}" + (", inplace=True" * self.inplace)


class CELU(Module):
    """y = x for x > 0, else α (e^(x/α) - 1).  (Barron 2017, eq. 2)"""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.celu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" * self.inplace)


class Hardshrink(Module):
    """y = x where |x| > λ, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return functional.hardshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class Softshrink(Module):
    """y = x - λ for x > λ, x + λ for x < -λ, else 0."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def forward(self, input: Any) -> Any:
        return functional.softshrink(input, self.lambd)

    def extra_repr(self) -> str:
        return str(self.lambd)


class PReLU(Module):
    """y = x for x > 0, else a x with learned slopes a: one, or one for each channel (axis 1).

    Source: He et al. 2015, eq. 1.
    """

    weight: Parameter

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        expect.sizes("PReLU", num_parameters=num_parameters)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = blank(num_parameters, dtype=dtype, device=device)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all slopes to `init`."""
        constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        return functional.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class RReLU(Module):
    """LeakyReLU with a slope drawn for each element while training; the mean slope in evaluation.

    Source: Xu et al. 2015, section 2.4.
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        return functional.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" * self.inplace)


class GLU(Module):
    """y = a σ(b), where a and b are the halves of x along `dim`.  (Dauphin et al. 2017, eq. 1)"""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(Module):
    """y = softmax(-x) along `dim`."""

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Any) -> Any:
        return functional.softmin(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input: Any) -> Any:
        if len(expect.tensor(self, input)) not in (3, 4):
            raise ShapeError("Softmax2d takes (N, C, H, W) or (C, H, W)", got=describe(input))
        return functional.softmax(input, -3)
