"""The functions behind the layers, with PyTorch's signatures.

``import chainrule.nn.functional as F`` is how programs name this module. The functions work on
tensors and on plain arrays. What a function computes and its derivative are said where its op is
defined; the files beside this one, and ``losses/``, hold the options that PyTorch adds.
"""

from __future__ import annotations

from ...ops import channel_shuffle as channel_shuffle
from ...ops import conv1d as conv1d
from ...ops import conv2d as conv2d
from ...ops import conv3d as conv3d
from ...ops import conv_transpose1d as conv_transpose1d
from ...ops import conv_transpose2d as conv_transpose2d
from ...ops import conv_transpose3d as conv_transpose3d
from ...ops import fold as fold
from ...ops import group_norm as group_norm
from ...ops import layer_norm as layer_norm
from ...ops import linear as linear
from ...ops import logsigmoid as logsigmoid
from ...ops import max_pool1d as max_pool1d
from ...ops import max_pool2d as max_pool2d
from ...ops import max_pool3d as max_pool3d
from ...ops import pdist as pdist
from ...ops import pixel_shuffle as pixel_shuffle
from ...ops import pixel_unshuffle as pixel_unshuffle
from ...ops import sigmoid as sigmoid
from ...ops import tanh as tanh
from ...ops import unfold as unfold
from ...ops.activations import glu as glu
from ...ops.activations import softsign as softsign
from ...ops.adaptive_pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from ...ops.adaptive_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from ...ops.adaptive_pooling import adaptive_avg_pool3d as adaptive_avg_pool3d
from ...ops.adaptive_pooling import adaptive_max_pool1d as adaptive_max_pool1d
from ...ops.adaptive_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from ...ops.adaptive_pooling import adaptive_max_pool3d as adaptive_max_pool3d
from ...ops.attention import scaled_dot_product_attention as scaled_dot_product_attention
from ...ops.average_pooling import avg_pool1d as avg_pool1d
from ...ops.average_pooling import avg_pool2d as avg_pool2d
from ...ops.average_pooling import avg_pool3d as avg_pool3d
from ...ops.bags import embedding_bag as embedding_bag
from ...ops.grids import affine_grid as affine_grid
from ...ops.grids import grid_sample as grid_sample
from ...ops.piecewise import hardshrink as hardshrink
from ...ops.piecewise import prelu as prelu
from ...ops.piecewise import softshrink as softshrink
from ...ops.piecewise import tanhshrink as tanhshrink
from ...ops.resampling import interpolate as interpolate
from ...ops.resampling import upsample as upsample
from ...ops.resampling import upsample_bilinear as upsample_bilinear
from ...ops.resampling import upsample_nearest as upsample_nearest
from ...ops.unpooling import fractional_max_pool2d as fractional_max_pool2d
from ...ops.unpooling import fractional_max_pool3d as fractional_max_pool3d
from ...ops.unpooling import lp_pool1d as lp_pool1d
from ...ops.unpooling import lp_pool2d as lp_pool2d
from ...ops.unpooling import lp_pool3d as lp_pool3d
from ...ops.unpooling import max_unpool1d as max_unpool1d
from ...ops.unpooling import max_unpool2d as max_unpool2d
from ...ops.unpooling import max_unpool3d as max_unpool3d
from ..losses.classification import (
    binary_cross_entropy as binary_cross_entropy,
)
from ..losses.classification import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from ..losses.classification import (
    cross_entropy as cross_entropy,
)
from ..losses.classification import (
    kl_div as kl_div,
)
from ..losses.classification import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from ..losses.classification import (
    nll_loss as nll_loss,
)
from ..losses.classification import (
    soft_margin_loss as soft_margin_loss,
)
from ..losses.connectionist import ctc_loss as ctc_loss
from ..losses.linear import linear_cross_entropy as linear_cross_entropy
from ..losses.margins import (
    cosine_embedding_loss as cosine_embedding_loss,
)
from ..losses.margins import (
    hinge_embedding_loss as hinge_embedding_loss,
)
from ..losses.margins import (
    margin_ranking_loss as margin_ranking_loss,
)
from ..losses.margins import (
    multi_margin_loss as multi_margin_loss,
)
from ..losses.margins import (
    multilabel_margin_loss as multilabel_margin_loss,
)
from ..losses.margins import (
    triplet_margin_loss as triplet_margin_loss,
)
from ..losses.margins import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from ..losses.regression import (
    gaussian_nll_loss as gaussian_nll_loss,
)
from ..losses.regression import (
    huber_loss as huber_loss,
)
from ..losses.regression import (
    l1_loss as l1_loss,
)
from ..losses.regression import (
    mse_loss as mse_loss,
)
from ..losses.regression import (
    poisson_nll_loss as poisson_nll_loss,
)
from ..losses.regression import (
    smooth_l1_loss as smooth_l1_loss,
)
from .activations import (
    celu as celu,
)
from .activations import (
    celu_ as celu_,
)
from .activations import (
    elu as elu,
)
from .activations import (
    elu_ as elu_,
)
from .activations import (
    gelu as gelu,
)
from .activations import (
    gumbel_softmax as gumbel_softmax,
)
from .activations import (
    hardsigmoid as hardsigmoid,
)
from .activations import (
    hardswish as hardswish,
)
from .activations import (
    hardtanh as hardtanh,
)
from .activations import (
    hardtanh_ as hardtanh_,
)
from .activations import (
    leaky_relu as leaky_relu,
)
from .activations import (
    leaky_relu_ as leaky_relu_,
)
from .activations import (
    log_softmax as log_softmax,
)
from .activations import (
    mish as mish,
)
from .activations import (
    relu as relu,
)
from .activations import (
    relu6 as relu6,
)
from .activations import (
    relu_ as relu_,
)
from .activations import (
    rrelu as rrelu,
)
from .activations import (
    rrelu_ as rrelu_,
)
from .activations import (
    selu as selu,
)
from .activations import (
    selu_ as selu_,
)
from .activations import (
    silu as silu,
)
from .activations import (
    softmax as softmax,
)
from .activations import (
    softmin as softmin,
)
from .activations import (
    softplus as softplus,
)
from .activations import (
    threshold as threshold,
)
from .activations import (
    threshold_ as threshold_,
)
from .attention import (
    multi_head_attention_forward as multi_head_attention_forward,
)
from .distances import (
    bilinear as bilinear,
)
from .distances import (
    cosine_similarity as cosine_similarity,
)
from .distances import (
    normalize as normalize,
)
from .distances import (
    pairwise_distance as pairwise_distance,
)
from .dropouts import (
    alpha_dropout as alpha_dropout,
)
from .dropouts import (
    dropout as dropout,
)
from .dropouts import (
    dropout1d as dropout1d,
)
from .dropouts import (
    dropout2d as dropout2d,
)
from .dropouts import (
    dropout3d as dropout3d,
)
from .dropouts import (
    feature_alpha_dropout as feature_alpha_dropout,
)
from .normalizations import (
    batch_norm as batch_norm,
)
from .normalizations import (
    instance_norm as instance_norm,
)
from .normalizations import (
    local_response_norm as local_response_norm,
)
from .normalizations import (
    rms_norm as rms_norm,
)
from .tables import embedding as embedding
from .tables import one_hot as one_hot
from .tables import pad as pad
