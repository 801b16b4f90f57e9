"""Operations: an op and its public function, side by side, one family a file.

Linear algebra, special functions and Fourier transforms are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..core.op import Op, registry
from . import (
    activations,
    aliases,
    arranging,
    bins,
    derived,
    floating,
    hyperbolic,
    matrix_products,
    parts,
    piecewise,
    replacing,
    scans,
    scattered,
    sets,
    shuffling,
    statistics,
    variates,
)
from .activations import *  # noqa: F403
from .adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from .aliases import *  # noqa: F403
from .arithmetic import (
    abs,
    add,
    div,
    hypot,
    logaddexp,
    mul,
    neg,
    pow,
    reciprocal,
    remainder,
    square,
    sub,
)
from .arranging import *  # noqa: F403
from .attention import scaled_dot_product_attention
from .average_pooling import (
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
)
from .bins import *  # noqa: F403
from .bitwise import (
    bitwise_and,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    gcd,
    lcm,
)
from .comparison import (
    ceil,
    eq,
    floor,
    floor_divide,
    ge,
    gt,
    isfinite,
    isinf,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    ne,
    round,
    sign,
    trunc,
)
from .contract import dot, linear, matmul
from .convolve import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from .derived import *  # noqa: F403
from .diagonals import diag, diagonal, tril, triu
from .einstein import einsum, outer, tensordot
from .elementwise import (
    acos,
    asin,
    atan,
    atan2,
    cos,
    cosh,
    erf,
    erfc,
    exp,
    expm1,
    log,
    log1p,
    log2,
    log10,
    relu,
    rsqrt,
    sigmoid,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
)
from .floating import *  # noqa: F403
from .grids import (
    grid_sampler,
    grid_sampler_2d,
    grid_sampler_3d,
)
from .hyperbolic import *  # noqa: F403
from .indexing import index, index_update, take
from .joining import chunk, concatenate, split, stack, tile, unbind
from .lookup import embedding, gather, one_hot, scatter_add
from .losses import binary_cross_entropy_with_logits, cross_entropy, nll_loss
from .matrix_products import *  # noqa: F403
from .moments import std, var
from .movement import (
    broadcast_to,
    cast,
    expand,
    flatten,
    identity,
    movedim,
    permute,
    reshape,
    squeeze,
    transpose,
    unflatten,
    unsqueeze,
)
from .normalization import (
    batch_norm,
    batch_norm_stats,
    group_norm,
    layer_norm,
)
from .ordering import argmax, argmin, argsort, cumsum, sort, topk
from .parts import *  # noqa: F403
from .piecewise import *  # noqa: F403
from .pooling import (
    max_pool1d,
    max_pool2d,
    max_pool3d,
)
from .probabilities import log_softmax, softmax
from .products import prod
from .random import (
    Generator,
    default_generator,
    dropout,
    feature_dropout,
    manual_seed,
    permutation,
    rand,
    randint,
    randn,
    uniform,
)
from .recurrent import gru, lstm, rnn
from .reduce import all, amax, amin, any, logsumexp, max, mean, min, sum, sum_to
from .replacing import *  # noqa: F403
from .scans import *  # noqa: F403
from .scattered import *  # noqa: F403
from .selection import clip, maximum, minimum
from .sets import *  # noqa: F403
from .shuffling import *  # noqa: F403
from .slicing import (
    constant_pad_nd,
    flip,
    pad,
    pad_mode,
    roll,
    slice_,
)
from .statistics import *  # noqa: F403
from .variates import *  # noqa: F403
from .window import fold, unfold

if TYPE_CHECKING:
    from .linalg import (
        chain_matmul,
        cholesky_inverse,
        cholesky_solve,
        det,
        geqrf,
        inverse,
        logdet,
        lu_unpack,
        matrix_exp,
        matrix_power,
        norm,
        orgqr,
        ormqr,
        pinverse,
        slogdet,
        triangular_solve,
        vecdot,
    )
    from .linalg import (
        older_cholesky as cholesky,
    )
    from .linalg import (
        older_cross as cross,
    )
    from .linalg import (
        older_lu as lu,
    )
    from .linalg import (
        older_lu_solve as lu_solve,
    )
    from .linalg import (
        older_qr as qr,
    )
    from .linalg import (
        older_svd as svd,
    )
    from .linalg import (
        older_vander as vander,
    )
    from .special import (
        digamma,
        erfinv,
        i0,
        igamma,
        igammac,
        lgamma,
        logit,
        mvlgamma,
        polygamma,
        sinc,
        xlogy,
    )

__all__ = [
    "Generator", "abs", "acos", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
    "add", "all", "amax", "amin", "any", "argmax", "argmin", "argsort", "asin", "atan",
    "atan2", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "batch_norm_stats",
    "binary_cross_entropy_with_logits", "bitwise_and", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "broadcast_to", "cast", "ceil",
    "chain_matmul", "cholesky", "cholesky_inverse", "cholesky_solve", "chunk", "clip",
    "concatenate", "constant_pad_nd", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "cos", "cosh", "cross", "cross_entropy", "cumsum",
    "default_generator", "det", "diag", "diagonal", "digamma", "div", "dot", "dropout",
    "einsum", "embedding", "eq", "erf", "erfc", "erfinv", "exp", "expand", "expm1",
    "feature_dropout", "flatten", "flip", "floor", "floor_divide", "fold", "gather", "gcd",
    "ge", "geqrf", "grid_sampler", "grid_sampler_2d", "grid_sampler_3d", "group_norm", "gru",
    "gt", "hypot", "i0", "identity", "igamma", "igammac", "index", "index_update", "inverse",
    "isfinite", "isinf", "isnan", "layer_norm", "lcm", "le", "lgamma", "linear", "log",
    "log1p", "log2", "log10", "log_softmax", "logaddexp", "logdet", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "lstm", "lt", "lu",
    "lu_solve", "lu_unpack", "manual_seed", "matmul", "matrix_exp", "matrix_power", "max",
    "max_pool1d", "max_pool2d", "max_pool3d", "maximum", "mean", "min", "minimum", "movedim",
    "mul", "mvlgamma", "ne", "neg", "nll_loss", "norm", "one_hot", "orgqr", "ormqr", "outer",
    "pad", "pad_mode", "permutation", "permute", "pinverse", "polygamma", "pow", "prod", "qr",
    "rand", "randint", "randn", "reciprocal", "relu", "remainder", "reshape", "rnn", "roll",
    "round", "rsqrt", "scaled_dot_product_attention", "scatter_add", "sigmoid", "sign", "sin",
    "sinc", "sinh", "slice_", "slogdet", "softmax", "sort", "split", "sqrt", "square",
    "squeeze", "stack", "std", "sub", "sum", "sum_to", "svd", "take", "tan", "tanh",
    "tensordot", "tile", "topk", "transpose", "triangular_solve", "tril", "triu", "trunc",
    "unbind", "unflatten", "unfold", "uniform", "unsqueeze", "vander", "var", "vecdot",
    "xlogy",
]  # fmt: skip
__all__ += activations.__all__
__all__ += aliases.__all__
__all__ += bins.__all__
__all__ += derived.__all__
__all__ += floating.__all__
__all__ += hyperbolic.__all__
__all__ += piecewise.__all__
__all__ += scans.__all__
__all__ += sets.__all__
__all__ += statistics.__all__
__all__ += variates.__all__
__all__ += arranging.__all__
__all__ += parts.__all__
__all__ += replacing.__all__
__all__ += scattered.__all__
__all__ += matrix_products.__all__
__all__ += shuffling.__all__

_LAZY_MODULES = ("special", "linalg", "fourier")


def all_ops() -> Mapping[str, type[Op]]:
    """Every op by name: the registry, after what is loaded lazily."""
    for module in _LAZY_MODULES:
        importlib.import_module(f".{module}", __name__)
    return registry


def __getattr__(name: str) -> Any:
    """A public function that is not loaded yet; PyTorch's older ones have other names at home."""
    if name in __all__:
        for module in _LAZY_MODULES:
            functions = vars(importlib.import_module(f".{module}", __name__))
            found = functions.get(f"older_{name}", functions.get(name))
            if found is not None:
                globals()[name] = found
                return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
