"""Activation functions of networks beyond tanh, sigmoid and relu, which are in ``elementwise``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Data
from ..core.families import Unary
from ..core.sampling import Sample, distinct, floats
from ..errors import ArgumentError, ShapeError
from . import arithmetic, elementwise, error_function, joining, movement, probabilities, reduce

V = TypeVar("V")

__all__ = [
    "celu", "elu", "gelu", "glu", "leaky_relu", "logsigmoid", "mish", "selu", "silu", "softmin",
    "softplus", "softsign",
]  # fmt: skip

_NORMAL_DENSITY = 1.0 / math.sqrt(2.0 * math.pi)
_TANH_SCALE, _TANH_CUBIC = math.sqrt(2.0 / math.pi), 0.044715
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805
_SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (2, 3), (0,), (2, 1, 3))


class _Activation(Unary, abstract=True):
    floating = True


class LeakyRelu(_Activation):
    """y = x where x > 0, else a x;  dy/dx = 1 where x > 0, else a."""

    negative_slope: float = 0.01

    expr = "where({0} > 0, {0}, {0} * {negative_slope})"
    math = ("where({0} > 0, 1, {negative_slope})",)

    def forward(self, *xs: Any) -> Any:
        return np.minimum(xs[0], 0.0) * self.negative_slope + np.maximum(xs[0], 0.0)

    def slope(self, x: Data, y: Data) -> Data:
        return _step(x, 1.0, self.negative_slope)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for a in (0.01, 0.5, -0.2):
            for shape in _SHAPES:
                yield Sample(cls(a), (distinct(*shape),))


class Elu(_Activation):
    """y = x where x > 0, else a (eˣ - 1);  dy/dx = 1 where x > 0, else a eˣ."""

    alpha: float = 1.0

    expr = "where({0} > 0, {0}, {alpha} * expm1({0}))"
    math = ("where({0} > 0, 1, {alpha} * exp({0}))",)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return np.expm1(np.minimum(x, 0.0)) * self.alpha + np.maximum(x, 0.0)

    def slope(self, x: Data, y: Data) -> Data:
        return _step(x, 1.0, elementwise.exp(arithmetic.minimum(x, 0.0)) * self.alpha)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for alpha in (1.0, 0.3, 1.7):
            for shape in _SHAPES:
                yield Sample(cls(alpha), (distinct(*shape),))


class Softplus(_Activation):
    """y = log(1 + e^(b x)) / b, and x itself where b x > threshold;  dy/dx = sigmoid(b x)."""

    beta: float = 1.0
    threshold: float = 20.0

    expr = (
        "where({0} * {beta} > {threshold}, {0},"
        " (log1p(exp(-abs({0} * {beta}))) + maximum({0} * {beta}, 0)) / {beta})"
    )
    math = ("where({0} * {beta} > {threshold}, 1, 1 / (1 + exp(-{0} * {beta})))",)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        z = x * self.beta
        # The exponential of a negative number cannot overflow.
        y = (np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0.0)) / self.beta
        return np.where(z > self.threshold, x, y)

    def slope(self, x: Data, y: Data) -> Data:
        z = x * self.beta
        linear = movement.cast(arithmetic.gt(z, self.threshold), x.dtype)
        return arithmetic.maximum(elementwise.sigmoid(z), linear)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for beta, threshold in ((1.0, 20.0), (2.5, 20.0), (0.5, 0.2)):
            for shape in _SHAPES:
                yield Sample(cls(beta, threshold), (distinct(*shape),))


class Logsigmoid(_Activation):
    """y = log sigmoid(x) = -log(1 + e⁻ˣ);  dy/dx = sigmoid(-x)."""

    expr = "minimum({0}, 0) - log1p(exp(-abs({0})))"
    math = ("1 / (1 + exp({0}))",)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))

    def slope(self, x: Data, y: Data) -> Data:
        return elementwise.sigmoid(-x)


class Silu(_Activation):
    """y = x sigmoid(x);  dy/dx = s (1 + x (1 - s)) with s = sigmoid(x)."""

    expr = "{0} / (1 + exp(-{0}))"
    math = ("(1 + {0} * (1 - 1 / (1 + exp(-{0})))) / (1 + exp(-{0}))",)

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return x / (np.exp(-x) + 1.0)

    def slope(self, x: Data, y: Data) -> Data:
        s = elementwise.sigmoid(x)
        return s * (x * (1.0 - s) + 1.0)


class Gelu(_Activation):
    """y = x Φ(x), Φ the normal distribution function;  dy/dx = Φ(x) + x φ(x)."""

    expr = "{0} * normal_cdf({0})"
    math = ("(1 + erf({0} / sqrt(2))) / 2 + {0} * exp(-{0}**2 / 2) / sqrt(2 * pi)",)

    def forward(self, *xs: Any) -> Any:
        return xs[0] * error_function.normal_cdf(xs[0])

    def slope(self, x: Data, y: Data) -> Data:
        return apply(GELU_SLOPE, x)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for sample in super().samples():
            yield Sample(sample.op, floats(sample.inputs[0].shape, low=-4.0, high=4.0))


class GeluSlope(_Activation):
    """y = Φ(x) + x φ(x), the slope of gelu, φ the normal density;  dy/dx = (2 - x²) φ(x)."""

    expr = "gelu_slope({0})"
    math = ("(2 - {0}**2) * exp(-{0}**2 / 2) / sqrt(2 * pi)",)

    def forward(self, *xs: Any) -> Any:
        return error_function.gelu_slope(xs[0])

    def slope(self, x: Data, y: Data) -> Data:
        density = elementwise.exp(x * x * -0.5) * _NORMAL_DENSITY
        return density * 2.0 - x * (x * density)  # the density is 0 where the square overflows

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for sample in super().samples():
            yield Sample(sample.op, floats(sample.inputs[0].shape, low=-4.0, high=4.0))


class GeluTanh(_Activation):
    """y = x (1 + tanh u) / 2 with u = √(2/π) (x + 0.044715 x³);  dy/dx by the product rule."""

    expr = "{0} * sigmoid(1.5957691216057308 * (({0} * {0} * 0.044715 + 1) * {0}))"
    math = (
        "0.5 * (1 + tanh(sqrt(2/pi) * ({0} + 0.044715 * {0}**3)))"
        " + 0.5 * {0} * (1 - tanh(sqrt(2/pi) * ({0} + 0.044715 * {0}**3))**2)"
        " * sqrt(2/pi) * (1 + 3 * 0.044715 * {0}**2)",
    )

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        u = (x * x * _TANH_CUBIC + 1.0) * x * _TANH_SCALE
        return (np.tanh(u) + 1.0) * (x * 0.5)

    def slope(self, x: Data, y: Data) -> Data:
        xx = x * x
        t = elementwise.tanh((xx * _TANH_CUBIC + 1.0) * x * _TANH_SCALE)
        du = (xx * (3.0 * _TANH_CUBIC) + 1.0) * _TANH_SCALE
        return (t + 1.0) * 0.5 + (1.0 - t * t) * du * (x * 0.5)


class Mish(_Activation):
    """y = x tanh(log(1 + eˣ));  dy/dx = t + x (1 - t²) sigmoid(x) with t the tangent."""

    expr = "{0} * tanh(maximum({0}, 0) + log1p(exp(-abs({0}))))"
    math = (
        "tanh(log1p(exp({0}))) + {0} * (1 - tanh(log1p(exp({0})))**2) / (1 + exp(-{0}))",
    )  # fmt: skip

    def forward(self, *xs: Any) -> Any:
        x = xs[0]
        return x * np.tanh(np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))

    def slope(self, x: Data, y: Data) -> Data:
        t = elementwise.tanh(softplus(x))
        return t + x * (1.0 - t * t) * elementwise.sigmoid(x)


LOGSIGMOID, SILU, MISH = Logsigmoid(), Silu(), Mish()
GELU, GELU_SLOPE, GELU_TANH = Gelu(), GeluSlope(), GeluTanh()


def _step(x: Data, above: Data, otherwise: Data) -> Data:
    """`above` where x > 0, else `otherwise`, in x's dtype: masks, ten times faster than where()."""
    positive = movement.cast(arithmetic.gt(x, 0), x.dtype)
    rest = movement.cast(arithmetic.le(x, 0), x.dtype)
    return positive * above + rest * otherwise


def leaky_relu(x: V, negative_slope: float = 0.01) -> V:
    """x where x > 0, else `negative_slope` times x.  dy/dx = 1 where x > 0, else `negative_slope`.

    Source: A. L. Maas et al., Rectifier nonlinearities improve neural network acoustic models,
    2013, section 2.

    >>> leaky_relu(tensor([-2.0, 0.0, 3.0]), 0.5)
    tensor([-1.,  0.,  3.])
    """
    return apply(LeakyRelu(float(negative_slope)), x)


def elu(x: V, alpha: float = 1.0) -> V:
    """x where x > 0, else alpha (eˣ - 1).  dy/dx = 1 where x > 0, else alpha eˣ.

    Source: D.-A. Clevert et al., Fast and accurate deep network learning by exponential linear
    units, 2016, equation 16.
    """
    return apply(Elu(float(alpha)), x)


def softplus(x: V, beta: float = 1.0, threshold: float = 20.0) -> V:
    """log(1 + e^(beta x)) / beta, a smooth relu, without overflow.  dy/dx = sigmoid(beta x).

    As in PyTorch, y is x where beta x > threshold (there they differ by e^-threshold / beta at
    most). Raises ArgumentError if `beta` is zero.

    >>> softplus(tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000e+00, 6.9315e-01, 1.0000e+04])
    """
    if beta == 0:
        raise ArgumentError("softplus needs a nonzero beta", got="beta=0")
    return apply(Softplus(float(beta), float(threshold)), x)


def logsigmoid(x: V) -> V:
    """log sigmoid(x) = -log(1 + e⁻ˣ), without overflow or log 0.  dy/dx = sigmoid(-x)."""
    return apply(LOGSIGMOID, x)


def silu(x: V) -> V:
    """x sigmoid(x), also called swish.  dy/dx = s (1 + x (1 - s)) with s = sigmoid(x).

    Source: D. Hendrycks, K. Gimpel, Gaussian error linear units, 2016, section 2.
    """
    return apply(SILU, x)


def gelu(x: V, approximate: str = "none") -> V:
    """x Φ(x), where Φ(x) = (1 + erf(x/√2)) / 2.  dy/dx = Φ(x) + x exp(-x²/2) / √(2π).

    With ``approximate="tanh"``: x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2. Raises ArgumentError
    for another name. Source: D. Hendrycks, K. Gimpel, Gaussian error linear units, 2016, section 2.

    >>> gelu(tensor([-1.0, 0.0, 1.0]))
    tensor([-0.1587,  0.0000,  0.8413])
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(
            "no such approximation of gelu",
            expected="'none' or 'tanh'",
            got=repr(approximate),
        )
    return apply(GELU if approximate == "none" else GELU_TANH, x)


def mish(input: V) -> V:
    """x tanh(softplus(x)).  dy/dx = t + x (1 - t²) sigmoid(x) with t = tanh(softplus(x)).

    Source: D. Misra, Mish: a self regularized non-monotonic activation function, 2019, equation 1.
    """
    return apply(MISH, input)


def celu(input: V, alpha: float = 1.0) -> V:
    """x where x > 0, else alpha (e^(x/alpha) - 1), smooth for every alpha.

    Source: J. T. Barron, Continuously differentiable exponential linear units, 2017. Raises
    ArgumentError if `alpha` is zero.
    """
    if alpha == 0:
        raise ArgumentError("celu needs a nonzero alpha", got="alpha=0")
    x: Any = reduce.as_float(input)
    below = elementwise.expm1(arithmetic.where(arithmetic.gt(x, 0), 0.0, x) / alpha) * alpha
    y: V = arithmetic.where(arithmetic.gt(x, 0), x, below)
    return y


def selu(input: V) -> V:
    """s x where x > 0, else s a (eˣ - 1), with s = 1.0507… and a = 1.6733….

    Source: G. Klambauer et al., Self-normalizing neural networks, 2017, equation 2.
    """
    scaled: Any = elu(input, _SELU_ALPHA)
    return scaled * _SELU_SCALE  # type: ignore[no-any-return]  # of the type of x


def glu(input: Any, dim: int = -1) -> Any:
    """a sigmoid(b), a and b the halves along `dim`. Raises ShapeError for an odd size.

    Source: Y. N. Dauphin et al., Language modeling with gated convolutional networks, 2017.
    """
    axis = reduce.axis_of(input, dim)
    size = input.shape[axis] if input.shape else 1
    if size % 2:
        raise ShapeError("glu needs an even size along dim", got=f"{size} along dim={dim}")
    a, b = joining.split(input, size // 2, axis) if size else (input, input)
    return a * elementwise.sigmoid(b)


def softsign(input: V) -> V:
    """x / (1 + |x|).  dy/dx = 1 / (1 + |x|)²."""
    x: Any = reduce.as_float(input)
    return x / (arithmetic.abs(x) + 1.0)  # type: ignore[no-any-return]  # of the type of x


def softmin(input: V, dim: int = -1) -> V:
    """softmax(-x) along `dim`."""
    negated: Any = input
    return probabilities.softmax(-negated, dim)  # type: ignore[no-any-return]  # of the type of x
