"""Initial values of parameters. Each function fills a tensor's cell and returns the tensor.

Why scale matters: a gradient is a product of one factor per layer, so if each layer scales what
passes through it, gradients vanish or explode with depth. These rules keep the scale near one.
Numbers come from the default generator (``manual_seed``) unless another one is given.

Sources: Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural
networks"; He et al. 2015, "Delving deep into rectifiers"; Saxe et al. 2014, "Exact solutions to the
nonlinear dynamics of learning in deep linear neural networks"; Martens 2010, "Deep learning via
Hessian-free optimization".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from ..core.apply import warn
from ..core.aval import DType, Shape, describe
from ..core.value import Value, recording
from ..errors import ArgumentError, DTypeError, ShapeError
from ..ops import random
from ..tensor import Tensor

T = TypeVar("T", bound=Tensor)
Draws: TypeAlias = np.ndarray[Any, DType]
Mode: TypeAlias = Literal["fan_in", "fan_out"]

_GAINS = {
    "linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0, "conv_transpose3d": 1.0,
    "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75,
}  # fmt: skip


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which weights grow to make up for what an activation function loses.

    1 for linear layers and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + a²)) for leaky_relu with
    slope a = `param` (default 0.01), 3/4 for selu.

    >>> f"{cr.nn.init.calculate_gain('relu'):.4f}"
    '1.4142'
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ArgumentError("the slope of leaky_relu is a number", got=repr(slope))
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            "no gain is known for this function",
            expected=", ".join([*_GAINS, "leaky_relu"]),
            got=repr(nonlinearity),
        )
    return _GAINS[nonlinearity]


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out): how many inputs a unit has, and how many units an input reaches.

    For weights (out, in, *kernel): in times the kernel's size, and out times it. Raises ShapeError
    for fewer than two axes.

    >>> cr.nn.init.fans((64, 32, 3, 3))
    (288, 576)
    """
    if len(shape) < 2:
        raise ShapeError("fan in and fan out need weights of at least two axes", got=str(shape))
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """``fans`` of a tensor's shape: PyTorch programs call it by this name."""
    return fans(tensor.shape)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Any = None) -> T:
    """Uniform on [a, b)."""
    if a > b:
        raise ArgumentError("uniform_ takes a <= b", got=f"a={a}, b={b}")
    _check(tensor, "uniform_")
    return _fill(tensor, _uniform(tensor.shape, a, b, generator, tensor.dtype))


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> T:
    """Normal with the given mean and standard deviation."""
    if std < 0:
        raise ArgumentError("normal_ takes a standard deviation of at least 0", got=f"std={std}")
    _check(tensor, "normal_")
    return _fill(tensor, mean + std * _normal(tensor.shape, generator, tensor.dtype))


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Any = None,
) -> T:
    """Normal, but only on [a, b]: the density is cut off at the bounds, which are values of the
    result, not multiples of `std`."""
    if not (std > 0 and a < b):
        raise ArgumentError("trunc_normal_ takes std > 0 and a < b", got=f"std={std}, a={a}, b={b}")
    _check(tensor, "trunc_normal_")
    low, high = (a - mean) / std, (b - mean) / std
    z = _truncated(math.prod(tensor.shape), low, high, generator)
    return _fill(tensor, np.clip(mean + std * z.reshape(tensor.shape), a, b))


def constant_(tensor: T, val: float) -> T:
    """The same number everywhere."""
    _check(tensor, "constant_", floating=False)
    return _fill(tensor, np.full(tensor.shape, val))


def ones_(tensor: T) -> T:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: T) -> T:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: T) -> T:
    """The identity matrix. Raises ShapeError unless there are two axes."""
    _check(tensor, "eye_", floating=False)
    if tensor.ndim != 2:
        raise ShapeError("eye_ fills a matrix", got=describe(tensor))
    return _fill(tensor, np.eye(tensor.shape[0], tensor.shape[1]))


def dirac_(tensor: T, groups: int = 1) -> T:
    """Weights of a convolution that passes on as many of its channels as it can.

    Raises ShapeError unless there are 3 to 5 axes, and channels that divide into `groups`.
    """
    _check(tensor, "dirac_", floating=False)
    if not 3 <= tensor.ndim <= 5:
        raise ShapeError("dirac_ fills the weights of a convolution", got=describe(tensor))
    if tensor.shape[0] % groups:
        raise ArgumentError(
            "dirac_ cannot divide the output channels into groups",
            got=f"{describe(tensor)}   groups={groups}",
        )
    values = np.zeros(tensor.shape)
    centre = [n // 2 for n in tensor.shape[2:]]
    per_group = tensor.shape[0] // groups
    for group in range(groups):
        for channel in range(min(per_group, tensor.shape[1])):
            values[(group * per_group + channel, channel, *centre)] = 1
    return _fill(tensor, values)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Any = None) -> T:
    """Uniform on ±gain √(6 / (fan_in + fan_out)).  (Glorot & Bengio 2010, eq. 16)

    So the variance is 2 gain² / (fan_in + fan_out), a compromise between keeping the scale of
    values on the way forward and of gradients on the way back.
    """
    bound = gain * math.sqrt(6 / sum(_known_fans(tensor, "xavier_uniform_")))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Any = None) -> T:
    """Normal with variance 2 gain² / (fan_in + fan_out).  (Glorot & Bengio 2010, eq. 12)"""
    std = gain * math.sqrt(2 / sum(_known_fans(tensor, "xavier_normal_")))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> T:
    """Uniform on ±gain √(3 / fan).  (He et al. 2015, eq. 15 with the gain of leaky_relu)

    The variance is gain² / fan: with relu, 2 / fan_in keeps the scale of values on the way forward,
    2 / fan_out that of gradients on the way back. `a` is the slope of leaky_relu.
    """
    bound = math.sqrt(3) * _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_uniform_")
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: Mode = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> T:
    """Normal with variance gain² / fan; see ``kaiming_uniform_``.  (He et al. 2015, eq. 10, 15)"""
    std = _kaiming_std(tensor, a, mode, nonlinearity, "kaiming_normal_")
    return normal_(tensor, 0.0, std, generator)


def fan_in_uniform_(weight: T, bias: Tensor | None = None) -> T:
    """Uniform on ±1/√fan_in, weight and bias alike: how linear and convolution layers start.

    It is ``kaiming_uniform_(weight, a=√5)``. For the bias, fan_in is that of the weight.
    """
    fan_in = fans(weight.shape)[0]
    bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
    if bias is not None:
        uniform_(weight, -bound, bound)
        uniform_(bias, -bound, bound)
        return weight
    return uniform_(weight, -bound, bound)


def orthogonal_(tensor: T, gain: float = 1.0, generator: Any = None) -> T:
    """A random matrix with orthonormal rows or columns, whichever are fewer, times `gain`.

    Further axes count as columns. Drawn evenly over all such matrices, by the QR decomposition of a
    normal matrix with the signs of R's diagonal taken out. (Saxe et al. 2014, section 4)
    """
    _check(tensor, "orthogonal_")
    if tensor.ndim < 2:
        raise ShapeError("orthogonal_ fills tensors of at least two axes", got=describe(tensor))
    if 0 in tensor.shape:
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = _normal((rows, columns), generator)
    q, r = np.linalg.qr(flat if rows >= columns else flat.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def sparse_(tensor: T, sparsity: float, std: float = 0.01, generator: Any = None) -> T:
    """Normal with deviation `std`, with a share `sparsity` of each column set to zero.

    Source: Martens 2010, section 5. Raises ShapeError unless there are two axes.
    """
    _check(tensor, "sparse_")
    if tensor.ndim != 2:
        raise ShapeError("sparse_ fills a matrix", got=describe(tensor))
    if not 0 <= sparsity <= 1:
        raise ArgumentError("sparsity lies between 0 and 1", got=repr(sparsity))
    rows = tensor.shape[0]
    values = std * _normal(tensor.shape, generator)
    rank = _uniform(tensor.shape, 0.0, 1.0, generator).argsort(axis=0).argsort(axis=0)
    values[rank < math.ceil(sparsity * rows)] = 0
    return _fill(tensor, values)


def _deprecated(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the name without the underscore, which warns."""
    name = function.__name__.removesuffix("_")

    @wraps(function)
    def old(*args: Any, **kwargs: Any) -> Any:
        warn(f"nn.init.{name} is deprecated: use nn.init.{name}_", FutureWarning)
        return function(*args, **kwargs)

    old.__name__ = name
    old.__doc__ = f"The deprecated name of ``{name}_``."
    return old


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)


def _known_fans(tensor: Tensor, name: str) -> tuple[int, int]:
    """The fans; for a tensor without elements some positive numbers, which are not used."""
    _check(tensor, name)
    fan_in, fan_out = fans(tensor.shape)
    return max(fan_in, 1), max(fan_out, 1)


def _kaiming_std(tensor: Tensor, a: float, mode: Mode, nonlinearity: str, name: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ArgumentError(
            f"{name} does not know this mode", expected="fan_in, fan_out", got=repr(mode)
        )
    fan = _known_fans(tensor, name)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def _check(tensor: Any, name: str, floating: bool = True) -> None:
    if not isinstance(tensor, Value):
        raise DTypeError(
            f"{name} fills tensors", got=type(tensor).__name__, hint="use nn.Parameter or tensor()"
        )
    if floating and tensor.dtype.kind != "f":
        raise DTypeError(f"{name} fills floating-point tensors", got=describe(tensor))


def _fill(tensor: T, values: Draws) -> T:
    """Give the cell new values. Raises InPlaceError for a slice of another tensor."""
    with recording(False):
        return tensor.assign_(values.astype(tensor.dtype))


def _uniform(
    shape: Shape, low: float, high: float, generator: Any, dtype: Any = np.float64
) -> Draws:
    drawn: Draws = random.rand(shape, dtype=dtype, generator=generator).array
    return low + (high - low) * drawn


def _normal(shape: Shape, generator: Any, dtype: Any = np.float64) -> Draws:
    return random.randn(shape, dtype=dtype, generator=generator).array  # type: ignore[no-any-return]


def _truncated(n: int, low: float, high: float, generator: Any) -> Draws:
    """Standard normal numbers between `low` and `high`, by rejection.

    Draws are normal if enough of them land inside, else uniform and thinned by the density, over
    the part of the interval that holds all but e⁻⁴⁰ of the mass (Robert 1995).
    """
    nearest = min(max(low, 0.0), high) if low > 0 or high < 0 else 0.0
    inside = 0.5 * (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2)))
    reach = 40 / max(abs(nearest), 1.0)
    low, high = max(low, nearest - reach), min(high, nearest + reach)
    found: list[Draws] = []
    missing = n
    while missing > 0:
        size = (2 * missing + 16,)
        if inside > 0.1:
            z = _normal(size, generator)
            z = z[(z >= low) & (z <= high)]
        else:
            z = _uniform(size, low, high, generator)
            height = np.exp((nearest**2 - z**2) / 2)
            z = z[_uniform(size, 0.0, 1.0, generator) < height]
        found.append(z[:missing])
        missing -= len(found[-1])
    return np.concatenate(found) if found else np.empty(0)
