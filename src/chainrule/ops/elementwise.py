"""Elementwise functions: exponentials, powers, trigonometry, error function, sigmoid and ReLU.

Integers become the default float (relu keeps them). Derivatives at the edge of a domain are the
limits: d log x and d sqrt x at 0 are infinite; outside it, values and derivatives are NaN.
relu is flat at 0. ``activations`` has the other activation functions of networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core.apply import apply
from ..core.aval import Data
from ..core.families import Elementwise, Unary
from ..core.op import INPUTS, OUTPUT, Active, Cotangents
from . import arithmetic, error_function

V = TypeVar("V")

_LOG2, _LOG10 = math.log(2.0), math.log(10.0)
_ERF_SLOPE = 2.0 / math.sqrt(math.pi)


class _Smooth(Unary, abstract=True):
    """A function of one real number with real values."""

    floating = True


class Exp(_Smooth):
    """y = eˣ;  dy/dx = y."""

    needs = OUTPUT
    expr = "exp({0})"
    math = ("{y}",)
    forward: ClassVar[Any] = np.exp

    def slope(self, x: Data, y: Data) -> Data:
        return y


class Expm1(_Smooth):
    """y = eˣ - 1, accurate near 0;  dy/dx = eˣ = y + 1."""

    needs = OUTPUT
    expr = "expm1({0})"
    math = ("exp({0})",)
    forward: ClassVar[Any] = np.expm1

    def slope(self, x: Data, y: Data) -> Data:
        return y + 1.0


class Log(_Smooth):
    """y = log x;  dy/dx = 1/x."""

    expr = "log({0})"
    math = ("1 / {0}",)
    domain = ((0.25, 3.0),)
    forward: ClassVar[Any] = np.log

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / x

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct / xs[0],)


class Log2(_Smooth):
    """y = log x / log 2;  dy/dx = 1 / (x log 2)."""

    expr = "log2({0})"
    math = ("1 / ({0} * log(2))",)
    domain = ((0.25, 3.0),)
    forward: ClassVar[Any] = np.log2

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / (x * _LOG2)


class Log10(_Smooth):
    """y = log x / log 10;  dy/dx = 1 / (x log 10)."""

    expr = "log10({0})"
    math = ("1 / ({0} * log(10))",)
    domain = ((0.25, 3.0),)
    forward: ClassVar[Any] = np.log10

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / (x * _LOG10)


class Log1p(_Smooth):
    """y = log(1 + x), accurate near 0;  dy/dx = 1 / (1 + x)."""

    expr = "log1p({0})"
    math = ("1 / (1 + {0})",)
    domain = ((-0.75, 2.0),)
    forward: ClassVar[Any] = np.log1p

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / (x + 1.0)


class Sqrt(_Smooth):
    """y = √x;  dy/dx = 1 / (2y), infinite at 0."""

    needs = OUTPUT
    expr = "sqrt({0})"
    math = ("1 / (2 * {y})",)
    domain = ((0.25, 3.0),)
    forward: ClassVar[Any] = np.sqrt

    def slope(self, x: Data, y: Data) -> Data:
        return 0.5 / y


class Rsqrt(_Smooth):
    """y = 1/√x;  dy/dx = -y³/2."""

    needs = OUTPUT
    expr = "rsqrt({0})"
    math = ("-{y}**3 / 2",)
    domain = ((0.25, 3.0),)

    def forward(self, *xs: Any) -> Any:
        return np.reciprocal(np.sqrt(xs[0]))

    def slope(self, x: Data, y: Data) -> Data:
        return y * y * y * -0.5


class Sin(_Smooth):
    """y = sin x;  dy/dx = cos x."""

    expr = "sin({0})"
    math = ("cos({0})",)
    forward: ClassVar[Any] = np.sin

    def slope(self, x: Data, y: Data) -> Data:
        return cos(x)


class Cos(_Smooth):
    """y = cos x;  dy/dx = -sin x."""

    expr = "cos({0})"
    math = ("-sin({0})",)
    forward: ClassVar[Any] = np.cos

    def slope(self, x: Data, y: Data) -> Data:
        return -sin(x)


class Tan(_Smooth):
    """y = tan x;  dy/dx = 1 + y²."""

    needs = OUTPUT
    expr = "tan({0})"
    math = ("1 + {y}**2",)
    domain = ((-1.2, 1.2),)
    forward: ClassVar[Any] = np.tan

    def slope(self, x: Data, y: Data) -> Data:
        return y * y + 1.0


class Asin(_Smooth):
    """y = arcsin x;  dy/dx = 1/√(1 - x²), infinite at ±1."""

    expr = "asin({0})"
    math = ("1 / sqrt(1 - {0}**2)",)
    domain = ((-0.9, 0.9),)
    forward: ClassVar[Any] = np.arcsin

    def slope(self, x: Data, y: Data) -> Data:
        return rsqrt((1.0 - x) * (x + 1.0))


class Acos(_Smooth):
    """y = arccos x;  dy/dx = -1/√(1 - x²), infinite at ±1."""

    expr = "acos({0})"
    math = ("-1 / sqrt(1 - {0}**2)",)
    domain = ((-0.9, 0.9),)
    forward: ClassVar[Any] = np.arccos

    def slope(self, x: Data, y: Data) -> Data:
        return -rsqrt((1.0 - x) * (x + 1.0))


class Atan(_Smooth):
    """y = arctan x;  dy/dx = 1 / (1 + x²)."""

    expr = "atan({0})"
    math = ("1 / (1 + {0}**2)",)
    forward: ClassVar[Any] = np.arctan

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 / (x * x + 1.0)


class Atan2(Elementwise):
    """y = the angle of the point (b, a);  ∂y/∂a = b/r², ∂y/∂b = -a/r² with r² = a² + b²."""

    floating = True
    needs = INPUTS
    expr = "atan2({0}, {1})"
    math = ("{1} / ({0}**2 + {1}**2)", "-{0} / ({0}**2 + {1}**2)")
    domain = ((0.25, 2.0), (-2.0, 2.0))
    forward: ClassVar[Any] = np.arctan2

    def partial(self, i: int, xs: Sequence[Data], y: Data) -> Data:
        radius = arithmetic.hypot(xs[0], xs[1])  # its square might overflow
        radius = arithmetic.where(arithmetic.eq(radius, 0), 1.0, radius)
        slope = xs[1 - i] / radius / radius
        return slope if i == 0 else -slope


class Sinh(_Smooth):
    """y = sinh x;  dy/dx = cosh x."""

    expr = "sinh({0})"
    math = ("cosh({0})",)
    forward: ClassVar[Any] = np.sinh

    def slope(self, x: Data, y: Data) -> Data:
        return cosh(x)


class Cosh(_Smooth):
    """y = cosh x;  dy/dx = sinh x."""

    expr = "cosh({0})"
    math = ("sinh({0})",)
    forward: ClassVar[Any] = np.cosh

    def slope(self, x: Data, y: Data) -> Data:
        return sinh(x)


class Tanh(_Smooth):
    """y = tanh x;  dy/dx = 1 - y²."""

    needs = OUTPUT
    expr = "tanh({0})"
    math = ("1 - {y}**2",)
    forward: ClassVar[Any] = np.tanh

    def slope(self, x: Data, y: Data) -> Data:
        return 1.0 - y * y


class Sigmoid(_Smooth):
    """y = 1 / (1 + e⁻ˣ);  dy/dx = y (1 - y)."""

    needs = OUTPUT
    expr = "sigmoid({0})"
    math = ("{y} * (1 - {y})",)

    def forward(self, *xs: Any) -> Any:
        # For x << 0 the exponential overflows to infinity, and its reciprocal is the right 0.
        return np.reciprocal(np.exp(np.negative(xs[0])) + 1.0)

    def slope(self, x: Data, y: Data) -> Data:
        return y * (1.0 - y)


class Erf(_Smooth):
    """y = 2/√π ∫₀ˣ exp(-t²) dt;  dy/dx = 2/√π exp(-x²)."""

    expr = "erf({0})"
    math = ("2 / sqrt(pi) * exp(-{0}**2)",)

    def forward(self, *xs: Any) -> Any:
        return error_function.erf(xs[0])

    def slope(self, x: Data, y: Data) -> Data:
        return exp(-(x * x)) * _ERF_SLOPE


class Erfc(_Smooth):
    """y = 1 - erf x, accurate where that is small;  dy/dx = -2/√π exp(-x²)."""

    expr = "erfc({0})"
    math = ("-2 / sqrt(pi) * exp(-{0}**2)",)

    def forward(self, *xs: Any) -> Any:
        return error_function.erfc(xs[0])

    def slope(self, x: Data, y: Data) -> Data:
        return exp(-(x * x)) * -_ERF_SLOPE


class Relu(Unary):
    """y = max(x, 0);  dy/dx = 1 where x > 0, else 0."""

    needs = OUTPUT
    expr = "maximum({0}, 0)"
    math = ("where({0} > 0, 1, 0)",)
    kinds = ("distinct",)

    def forward(self, *xs: Any) -> Any:
        return np.maximum(xs[0], 0)

    def slope(self, x: Data, y: Data) -> Data:
        return arithmetic.where(y > 0, 1.0, 0.0)

    def vjp(self, ct: Data, xs: Sequence[Data], y: Data, active: Active) -> Cotangents:
        return (ct * (y > 0),)  # a mask: where() takes ten times as long in NumPy


EXP, EXPM1, LOG, LOG2, LOG10, LOG1P = Exp(), Expm1(), Log(), Log2(), Log10(), Log1p()
SQRT, RSQRT, SIN, COS, TAN = Sqrt(), Rsqrt(), Sin(), Cos(), Tan()
ASIN, ACOS, ATAN, ATAN2, SINH, COSH = Asin(), Acos(), Atan(), Atan2(), Sinh(), Cosh()
TANH, SIGMOID, ERF, ERFC, RELU = Tanh(), Sigmoid(), Erf(), Erfc(), Relu()


def exp(x: V) -> V:
    """eˣ.  dy/dx = eˣ."""
    return apply(EXP, x)


def expm1(x: V) -> V:
    """eˣ - 1 without cancellation near 0.  dy/dx = eˣ."""
    return apply(EXPM1, x)


def log(x: V) -> V:
    """Natural logarithm: -inf at 0, NaN below.  dy/dx = 1/x, inf at 0."""
    return apply(LOG, x)


def log2(x: V) -> V:
    """Logarithm to base 2.  dy/dx = 1 / (x log 2)."""
    return apply(LOG2, x)


def log10(x: V) -> V:
    """Logarithm to base 10.  dy/dx = 1 / (x log 10)."""
    return apply(LOG10, x)


def log1p(x: V) -> V:
    """log(1 + x) without cancellation near 0.  dy/dx = 1 / (1 + x)."""
    return apply(LOG1P, x)


def sqrt(x: V) -> V:
    """√x, NaN for negative x.  dy/dx = 1 / (2√x), inf at 0."""
    return apply(SQRT, x)


def rsqrt(x: V) -> V:
    """1/√x, inf at 0.  dy/dx = -x^(-3/2) / 2."""
    return apply(RSQRT, x)


def sin(x: V) -> V:
    """Sine of an angle in radians.  dy/dx = cos x."""
    return apply(SIN, x)


def cos(x: V) -> V:
    """Cosine of an angle in radians.  dy/dx = -sin x."""
    return apply(COS, x)


def tan(x: V) -> V:
    """Tangent of an angle in radians.  dy/dx = 1 + tan² x."""
    return apply(TAN, x)


def asin(x: V) -> V:
    """Arc sine in radians, NaN outside [-1, 1].  dy/dx = 1/√(1 - x²)."""
    return apply(ASIN, x)


def acos(x: V) -> V:
    """Arc cosine in radians, NaN outside [-1, 1].  dy/dx = -1/√(1 - x²)."""
    return apply(ACOS, x)


def atan(x: V) -> V:
    """Arc tangent in radians.  dy/dx = 1 / (1 + x²)."""
    return apply(ATAN, x)


def atan2(a: V, b: Any) -> V:
    """Angle of the point (b, a) in radians, -π … π.  ∂/∂a = b/(a² + b²), ∂/∂b = -a/(a² + b²).

    At the origin the angle is 0 and its derivatives are taken as 0.
    """
    return apply(ATAN2, a, b)


def sinh(x: V) -> V:
    """Hyperbolic sine.  dy/dx = cosh x."""
    return apply(SINH, x)


def cosh(x: V) -> V:
    """Hyperbolic cosine.  dy/dx = sinh x."""
    return apply(COSH, x)


def tanh(x: V) -> V:
    """Hyperbolic tangent.  dy/dx = 1 - tanh² x.

    >>> tanh(tensor([0.0, 1.0, 1e4]))
    tensor([0.0000, 0.7616, 1.0000])
    """
    return apply(TANH, x)


def sigmoid(x: V) -> V:
    """1 / (1 + e⁻ˣ), exactly 0 and 1 far out.  dy/dx = y (1 - y).

    >>> sigmoid(tensor([-1e4, 0.0, 1e4]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return apply(SIGMOID, x)


def erf(x: V) -> V:
    """Error function, 2/√π ∫₀ˣ exp(-t²) dt, to 2 units in the last place.  dy/dx = 2/√π exp(-x²).

    Source: ``error_function``, after W. J. Cody, Math. Comp. 23 (1969).
    >>> erf(tensor([0.0, 0.5, 10.0]))
    tensor([0.0000, 0.5205, 1.0000])
    """
    return apply(ERF, x)


def erfc(x: V) -> V:
    """1 - erf(x), accurate where erf is close to 1.  dy/dx = -2/√π exp(-x²)."""
    return apply(ERFC, x)


def relu(x: V) -> V:
    """max(x, 0); NaN stays NaN.  dy/dx = 1 where x > 0, else 0, at 0 too.

    >>> relu(tensor([-1.0, 0.0, 2.0]))
    tensor([0., 0., 2.])
    """
    return apply(RELU, x)
