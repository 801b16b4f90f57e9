"""Operations: an op and its public function, side by side, one family a file."""

from .activations import elu, gelu, leaky_relu, logsigmoid, silu, softplus
from .adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
)
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
from .average_pooling import avg_pool1d, avg_pool2d
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
from .convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from .diagonals import diag, diagonal, nonzero, tril, triu
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
from .indexing import index, index_add, index_select, index_update, take
from .joining import chunk, concatenate, split, stack, tile, unbind
from .lookup import embedding, gather, one_hot, scatter_add, take_along_dim
from .losses import binary_cross_entropy_with_logits, cross_entropy, nll_loss
from .moments import norm, std, var
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
from .normalization import batch_norm, batch_norm_stats, layer_norm
from .ordering import argmax, argmin, argsort, cumsum, sort, topk
from .pooling import max_pool1d, max_pool2d
from .probabilities import log_softmax, softmax
from .products import prod
from .random import (
    Generator,
    bernoulli,
    default_generator,
    dropout,
    feature_dropout,
    manual_seed,
    normal,
    permutation,
    rand,
    randint,
    randn,
    uniform,
)
from .recurrent import gru, lstm, rnn
from .reduce import all, amax, amin, any, logsumexp, max, mean, min, sum, sum_to
from .selection import clip, maximum, minimum, where
from .slicing import flip, pad, pad_mode, roll, slice_
from .window import fold, unfold

__all__ = [
    "Generator", "abs", "acos", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_max_pool1d", "adaptive_max_pool2d", "add", "all", "amax", "amin", "any", "argmax",
    "argmin", "argsort", "asin", "atan", "atan2", "avg_pool1d", "avg_pool2d", "batch_norm",
    "batch_norm_stats", "bernoulli", "binary_cross_entropy_with_logits", "broadcast_to", "cast",
    "ceil", "chunk", "clip", "concatenate", "conv1d", "conv2d", "conv_transpose1d",
    "conv_transpose2d", "cos", "cosh", "cross_entropy", "cumsum", "default_generator", "diag",
    "diagonal", "div", "dot", "dropout", "einsum", "elu", "embedding", "eq", "erf", "erfc",
    "exp", "expand", "expm1", "feature_dropout", "flatten", "flip", "floor", "floor_divide",
    "fold", "gather", "ge", "gelu", "gru", "gt", "hypot", "identity", "index", "index_add",
    "index_select", "index_update", "isfinite", "isinf", "isnan", "layer_norm", "le",
    "leaky_relu", "linear", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsigmoid", "logsumexp",
    "lstm", "lt", "manual_seed", "matmul", "max", "max_pool1d", "max_pool2d", "maximum", "mean",
    "min", "minimum", "movedim", "mul", "ne", "neg", "nll_loss", "nonzero", "norm", "normal",
    "one_hot", "outer", "pad", "pad_mode", "permutation", "permute", "pow", "prod", "rand",
    "randint", "randn", "reciprocal", "relu", "remainder", "reshape", "rnn", "roll", "round",
    "rsqrt", "scatter_add", "sigmoid", "sign", "silu", "sin", "sinh", "slice_", "softmax",
    "softplus", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum",
    "sum_to", "take", "take_along_dim", "tan", "tanh", "tensordot", "tile", "topk", "transpose",
    "tril", "triu", "trunc", "unbind", "unflatten", "unfold", "uniform", "unsqueeze", "var",
    "where",
]  # fmt: skip
