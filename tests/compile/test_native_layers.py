"""Every kind of layer, loss and optimizer trains the same in machine code as eagerly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from small_models import Model, Training, apart, eager, executables

import chainrule as cr
from chainrule import nn, optim
from chainrule.compile import trace
from chainrule.compile.native import NativeExecutable
from chainrule.errors import TracingError
from chainrule.nn import functional as F
from chainrule.runtime import native

pytestmark = pytest.mark.skipif(not native.available(), reason="needs llvmlite")

STEPS = 3
LIMIT = 2e-12
"""How far anything may be from eager training in float64, relative to the largest element."""

VECTOR, SERIES, IMAGE, VOLUME = (4, 6), (3, 4, 8), (2, 4, 6, 8), (2, 4, 4, 6, 4)
STEP_FIRST = (5, 3, 4)

LAYERS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    *[(make, VECTOR) for make in (
        partial(nn.Linear, 6, 5), nn.CELU, nn.ELU, nn.GELU, nn.GLU, nn.Hardshrink, nn.Hardsigmoid,
        nn.Hardswish, nn.Hardtanh, nn.LeakyReLU, nn.LogSigmoid, partial(nn.LogSoftmax, 1), nn.Mish,
        nn.PReLU, nn.RReLU, nn.ReLU, nn.ReLU6, nn.SELU, nn.SiLU, nn.Sigmoid, partial(nn.Softmax, 1),
        partial(nn.Softmin, 1), nn.Softplus, nn.Softshrink, nn.Softsign, nn.Tanh, nn.Tanhshrink,
        partial(nn.Threshold, 0.1, -1.0), nn.Dropout, nn.AlphaDropout, nn.FeatureAlphaDropout,
        partial(nn.BatchNorm1d, 6), partial(nn.LayerNorm, 6), partial(nn.RMSNorm, 6),
        partial(nn.GroupNorm, 3, 6), nn.Flatten, partial(nn.Unflatten, 1, (2, 3)), nn.Identity,
        partial(nn.LazyLinear, 3), partial(nn.RNNCell, 6, 5), partial(nn.GRUCell, 6, 5),
        partial(nn.LSTMCell, 6, 5),
    )],
    *[(make, SERIES) for make in (
        partial(nn.Conv1d, 4, 6, 3, stride=2, padding=1, groups=2),
        partial(nn.ConvTranspose1d, 4, 3, 3, stride=2, output_padding=1, padding=1),
        partial(nn.MaxPool1d, 3, 2, 1), partial(nn.AvgPool1d, 3, 2), partial(nn.LPPool1d, 2, 2),
        partial(nn.AdaptiveAvgPool1d, 3), partial(nn.AdaptiveMaxPool1d, 3), nn.Dropout1d,
        partial(nn.BatchNorm1d, 4), partial(nn.InstanceNorm1d, 4, affine=True),
        partial(nn.ReflectionPad1d, 2), partial(nn.ReplicationPad1d, 2),
        partial(nn.CircularPad1d, 2), partial(nn.ConstantPad1d, 2, 0.5), partial(nn.ZeroPad1d, 2),
    )],
    *[(make, IMAGE) for make in (
        partial(nn.Conv2d, 4, 6, 3, stride=2, padding=1),
        partial(nn.Conv2d, 4, 4, 3, groups=4, dilation=2, padding="same", padding_mode="reflect"),
        partial(nn.ConvTranspose2d, 4, 6, 3, stride=2, groups=2),
        partial(nn.MaxPool2d, 2), partial(nn.AvgPool2d, 3, 2, 1), partial(nn.LPPool2d, 2, 2),
        partial(nn.FractionalMaxPool2d, 2, output_size=(3, 4)),
        partial(nn.AdaptiveAvgPool2d, (3, 3)), partial(nn.AdaptiveMaxPool2d, (2, 3)), nn.Dropout2d,
        partial(nn.BatchNorm2d, 4), partial(nn.InstanceNorm2d, 4), partial(nn.GroupNorm, 2, 4),
        partial(nn.LocalResponseNorm, 3), nn.Softmax2d, partial(nn.ChannelShuffle, 2),
        partial(nn.PixelShuffle, 2), partial(nn.PixelUnshuffle, 2),
        partial(nn.Upsample, scale_factor=2), partial(nn.UpsamplingBilinear2d, scale_factor=2),
        partial(nn.Upsample, size=(5, 9), mode="bicubic"), partial(nn.UpsamplingNearest2d, (7, 9)),
        partial(nn.Unfold, 3, padding=1, stride=2), partial(nn.ReflectionPad2d, 1),
        partial(nn.ReplicationPad2d, 1), partial(nn.CircularPad2d, 1),
    )],
    *[(make, VOLUME) for make in (
        partial(nn.Conv3d, 4, 3, 3, padding=1), partial(nn.ConvTranspose3d, 4, 3, 2, stride=2),
        partial(nn.MaxPool3d, 2), partial(nn.AvgPool3d, 2), partial(nn.BatchNorm3d, 4),
        partial(nn.InstanceNorm3d, 4), partial(nn.AdaptiveAvgPool3d, 2),
        partial(nn.Upsample, scale_factor=2, mode="trilinear"),
    )],
    *[(make, STEP_FIRST) for make in (
        partial(nn.RNN, 4, 3, num_layers=2, nonlinearity="relu"),
        partial(nn.LSTM, 4, 3, num_layers=2, bidirectional=True),
        partial(nn.LSTM, 4, 5, proj_size=2), partial(nn.GRU, 4, 3, bidirectional=True),
        partial(nn.GRU, 4, 3, num_layers=2, dropout=0.5),
        partial(nn.TransformerEncoderLayer, 4, 2, 8, dropout=0.0),
        partial(nn.TransformerEncoderLayer, 4, 2, 8, norm_first=True, activation="gelu"),
    )],
    (partial(nn.Fold, (4, 5), 2), (2, 8, 12)),
]  # fmt: skip


class Fed(nn.Module):
    """A layer behind a factor for each number of its input, so that gradients pass it."""

    def __init__(self, make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.factors = nn.Parameter(cr.ones(*shape))
        self.layer = make()

    def forward(self, x: cr.Tensor) -> Any:
        return self.layer(x * self.factors)


def parts(outputs: Any) -> list[cr.Tensor]:
    """The tensors of a layer's results, which may be nested."""
    if isinstance(outputs, cr.Tensor):
        return [outputs]
    return [y for part in outputs for y in parts(part)]


def weighted(outputs: Any, _: Any) -> cr.Tensor:
    """A loss to which each number of the results counts otherwise."""
    total = cr.zeros(())
    for y in parts(outputs):
        weights = cr.linspace(-1.0, 2.0, y.numel(), dtype=y.dtype).reshape(y.shape)
        total = total + (weights * y * y + weights * y).mean()
    return total


def check(kind: Model) -> None:
    """Both trainings end in the same place; the compiled one ran machine code."""
    expected = eager(kind, STEPS, np.float64)
    compiled = Training(kind, np.float64, compiled=True).train(STEPS)
    worst, what = apart(compiled.state(), expected)
    assert worst <= LIMIT, f"{what} is {worst:.1e} off"
    (found,) = executables(compiled.step)
    assert isinstance(found, NativeExecutable)


def name_of(make: Any) -> str:
    kind = getattr(make, "func", make)
    said = [*map(str, getattr(make, "args", ()))]
    said += [f"{key}={value}" for key, value in getattr(make, "keywords", {}).items()]
    return f"{kind.__name__}({', '.join(said)})"


@pytest.mark.parametrize(("make", "shape"), LAYERS, ids=[name_of(make) for make, _ in LAYERS])
def test_layers(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    def batch(rng: np.random.Generator) -> tuple[Any, Any]:
        return rng.normal(size=shape), np.zeros(1)

    check(Model(partial(Fed, make, shape), partial(optim.SGD, lr=0.1), weighted, batch))


def numbers(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(8, 6)), rng.normal(size=(8, 3))


def classes(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(8, 6)), rng.integers(0, 3, 8)


def signs(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(8, 6)), rng.choice([-1.0, 1.0], (8, 3))


def shares(rng: np.random.Generator) -> tuple[Any, Any]:
    return rng.normal(size=(8, 6)), rng.dirichlet(np.ones(3), 8)


def gaussian(outputs: Any, target: Any) -> Any:
    return F.gaussian_nll_loss(outputs, target, F.softplus(outputs) + 0.1)


def triplet(outputs: Any, target: Any) -> Any:
    return F.triplet_margin_loss(outputs, target, outputs.flip(0))


def ctc(outputs: Any, target: Any) -> Any:
    """Eight steps of one sequence of two symbols."""
    scores = F.log_softmax(outputs, -1).unsqueeze(1)
    return F.ctc_loss(scores, cr.tensor([[1, 2]]), cr.tensor([8]), cr.tensor([2]))


LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "mse": (F.mse_loss, numbers),
    "l1": (F.l1_loss, numbers),
    "smooth l1": (F.smooth_l1_loss, numbers),
    "huber": (partial(F.huber_loss, delta=0.5), numbers),
    "poisson": (F.poisson_nll_loss, shares),
    "gaussian": (gaussian, numbers),
    "cross entropy": (partial(F.cross_entropy, label_smoothing=0.1), classes),
    "cross entropy of shares": (F.cross_entropy, shares),
    "negative log-likelihood": (lambda y, t: F.nll_loss(F.log_softmax(y, 1), t), classes),
    "multi margin": (F.multi_margin_loss, classes),
    "divergence": (
        lambda y, t: F.kl_div(F.log_softmax(y, 1), t, reduction="batchmean"), shares
    ),
    "binary cross entropy": (lambda y, t: F.binary_cross_entropy(y.sigmoid(), t), shares),
    "binary cross entropy with logits": (F.binary_cross_entropy_with_logits, shares),
    "soft margin": (F.soft_margin_loss, signs),
    "hinge embedding": (F.hinge_embedding_loss, signs),
    "cosine embedding": (lambda y, t: F.cosine_embedding_loss(y, t, t[:, 0]), signs),
    "margin ranking": (lambda y, t: F.margin_ranking_loss(y, y.flip(0), t), signs),
    "triplet margin": (triplet, numbers),
    "multi-label soft margin": (lambda y, t: F.multilabel_soft_margin_loss(y, (t + 1) / 2), signs),
    "connectionist temporal": (ctc, classes),
}  # fmt: skip


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    loss, batch = LOSSES[name]
    check(Model(perceptron, partial(optim.SGD, lr=0.1), loss, batch))


OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "asgd": partial(optim.ASGD, lr=0.01, t0=1.0),
    "adadelta": partial(optim.Adadelta, lr=0.5),
    "adafactor": partial(optim.Adafactor, lr=0.01),
    "adagrad": partial(optim.Adagrad, lr=0.05, lr_decay=0.1),
    "adam": partial(optim.Adam, lr=0.01, weight_decay=0.1, amsgrad=True),
    "adamw": partial(optim.AdamW, lr=0.01, maximize=True),
    "adamax": partial(optim.Adamax, lr=0.01),
    "nadam": partial(optim.NAdam, lr=0.01),
    "radam": partial(optim.RAdam, lr=0.01),
    "rmsprop": partial(optim.RMSprop, lr=0.01, centered=True, momentum=0.5),
    "rprop": partial(optim.Rprop, lr=0.01),
    "sgd": partial(optim.SGD, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name: str) -> None:
    check(Model(perceptron, OPTIMIZERS[name], F.mse_loss, numbers))


def test_a_layer_takes_on_its_shapes_once() -> None:
    """Its initial values are drawn in the first call, not in each run of a graph."""
    layer, x = nn.LazyLinear(3), cr.ones(2, 4)
    for compiled in (cr.compile(lambda x: layer(x)), cr.compile(nn.LazyLinear(3))):
        first = compiled(x).detach().numpy()
        for _ in range(3):
            np.testing.assert_allclose(compiled(x).detach().numpy(), first, rtol=1e-6)
    with pytest.raises(TracingError, match="not traced"):
        trace(nn.LazyLinear(3), x)
