"""chainrule: a backpropagation engine you can see through.

>>> import chainrule as cr
>>> x = cr.tensor([1.0, 2.0], requires_grad=True)
>>> cr.sum(x ** 2).backward()
>>> x.grad
tensor([2., 4.])

Tensors, operations and derivatives are here; ``cr.nn``, ``cr.optim``, ``cr.data``, ``cr.train`` and
``cr.testing`` are imported when they are first used.
"""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

# NumPy warns where floating point overflows or divides by zero; here that is a value, inf or nan,
# as in PyTorch. The filter is for this package's frames only (docs/design/001).
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"chainrule\.")

from . import errors, ops  # noqa: E402
from .autodiff import (  # noqa: E402
    Function,
    backward,
    checkpoint,
    custom_vjp,
    grad,
    gradients,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
    vmap,
)
from .config import get_default_dtype, set_default_dtype  # noqa: E402
from .core.large import large  # noqa: E402
from .creation import (  # noqa: E402
    arange,
    empty,
    empty_like,
    empty_permuted,
    empty_strided,
    eye,
    fill,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    logspace,
    ones,
    ones_like,
    scalar_tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)
from .grad_mode import (  # noqa: E402
    enable_grad,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from .tensor import Tensor, as_tensor, tensor  # noqa: E402

if TYPE_CHECKING:
    from . import data, fft, lens, linalg, nn, optim, special, testing, train  # noqa: F401  lazy attributes
    from .compile.step import compile
    from .lens.drawing import draw
    from .lens.views import explain
    from .lens.why import why, why_none
    from .ops import *  # noqa: F403
    from .testing.gradcheck import gradcheck, gradgradcheck
    from .train.loop import Trainer
    from .train.summary import summary

__version__ = "0.1.0"

float16, float32, float64 = np.dtype("float16"), np.dtype("float32"), np.dtype("float64")
int8, int16, int32, int64 = (np.dtype(name) for name in ("int8", "int16", "int32", "int64"))
uint8, bool_ = np.dtype("uint8"), np.dtype("bool")

_LAZY_MODULES = frozenset(
    {
        "autograd",
        "compile",
        "data",
        "distributions",
        "fft",
        "func",
        "lens",
        "linalg",
        "nn",
        "optim",
        "special",
        "testing",
        "train",
    }
)
_LAZY_NAMES = {
    "Trainer": "train",
    "draw": "lens",
    "explain": "lens",
    "gradcheck": "testing",
    "gradgradcheck": "testing",
    "summary": "train",
    "why": "lens",
    "why_none": "lens",
}

__all__ = [  # noqa: PLE0604  the names of ops are strings
    "Function", "Tensor", "Trainer", "arange", "as_tensor", "backward", "bool_", "checkpoint",
    "compile", "custom_vjp", "draw", "empty", "empty_like",
    "empty_permuted", "empty_strided", "enable_grad", "errors", "explain", "eye", "float16",
    "float32", "float64", "fill", "from_dlpack", "from_numpy", "full", "full_like",
    "get_default_dtype", "grad", "gradcheck",
    "gradgradcheck", "gradients", "hessian", "hvp", "int8", "int16", "int32", "int64",
    "is_grad_enabled", "jacfwd", "jacobian", "jacrev", "jvp", "linearize", "linspace",
    "logspace", "no_grad", "ones", "ones_like", "scalar_tensor", "set_default_dtype",
    "set_grad_enabled", "summary", "tensor", "tril_indices", "triu_indices", "uint8",
    "value_and_grad", "vjp", "vmap", "why", "why_none", "zeros",
    "zeros_like", *ops.__all__,
]  # fmt: skip


def _first_large(op: Any, arrays: list[Any]) -> Any:
    """The first operation on large arrays: load the compiler, which takes such ones over."""
    eager = importlib.import_module(".compile.eager", __name__)
    large.run, large.run_rule = eager.run, eager.run_rule  # type: ignore[method-assign]
    return eager.run(op, arrays)


large.run = _first_large  # type: ignore[method-assign]


def __getattr__(name: str) -> Any:
    if name in _LAZY_MODULES:
        return importlib.import_module(f".{name}", __name__)
    if name in _LAZY_NAMES:
        return getattr(importlib.import_module(f".{_LAZY_NAMES[name]}", __name__), name)
    if name in ops.__all__:  # every op is public here, as in NumPy and PyTorch
        found = globals()[name] = getattr(ops, name)
        return found
    raise AttributeError(f"module 'chainrule' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES, *__all__})
