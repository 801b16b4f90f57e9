"""Every module that torch.nn has too: the same parameters, then values, gradients and buffers."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing._internal.common_modules import module_db

import chainrule as cr
from chainrule import nn

from .calls import Draw, between, distinct, ints, real
from .compare import cotangents, flat, numbers, ours, rng_for, same, same_gradient, theirs
from .tally import TALLY


@dataclass(frozen=True)
class Layer:
    """A module by name, the arguments of its constructor, and what it is called with."""

    name: str
    args: tuple[Any, ...]
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)


def layer(name: str, *args: Any, on: Any, **options: Any) -> Layer:
    """A module to compare; `on` is one input or a tuple of them."""
    return Layer(name, args, on if isinstance(on, tuple) else (on,), options)


ACTIVATIONS = (
    *[layer(name, on=real(3, 4)) for name in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Sigmoid",
                                              "Tanh", "Softplus")],
    layer("LeakyReLU", 0.3, on=real(5)), layer("ELU", 0.5, on=real(2, 2)),
    layer("ReLU", True, on=real(4)),
    layer("GELU", approximate="tanh", on=real(3, 4)), layer("Softplus", 2.0, 1.0, on=real(3, 4)),
    layer("Softmax", dim=1, on=real(3, 4)), layer("Softmax", 0, on=real(3, 4)),
    layer("LogSoftmax", -1, on=real(2, 3, 4)), layer("LogSoftmax", dim=1, on=real(2, 3, 4)),
    layer("Identity", on=real(3)), layer("Identity", 3, anything=4, on=real(2, 2)),
    layer("Flatten", on=real(2, 3, 4)), layer("Flatten", 0, on=real(2, 3)),
    layer("Flatten", 1, 2, on=real(2, 3, 4, 2)), layer("Unflatten", 1, (2, 3), on=real(2, 6)),
    layer("Unflatten", -1, (3, -1), on=real(2, 6)),
)  # fmt: skip
PRODUCTS = (
    layer("Linear", 3, 4, on=real(2, 3)), layer("Linear", 3, 4, bias=False, on=real(2, 3)),
    layer("Linear", 3, 1, on=real(3)), layer("Linear", 3, 2, on=real(2, 5, 3)),
    layer("Embedding", 7, 3, on=ints(0, 7, 4)), layer("Embedding", 7, 3, 2, on=ints(1, 4, 2, 5)),
    layer("Embedding", 7, 3, padding_idx=-1, on=ints(4, 7, 6)),
)  # fmt: skip
CONVOLUTIONS = (
    layer("Conv1d", 3, 4, 3, on=real(2, 3, 9)), layer("Conv1d", 3, 4, 3, 2, 1, on=real(2, 3, 9)),
    layer("Conv1d", 4, 6, 2, dilation=2, groups=2, bias=False, on=real(2, 4, 9)),
    layer("Conv1d", 3, 2, 4, padding="same", on=real(3, 9)),
    layer("Conv2d", 3, 4, 3, on=real(2, 3, 7, 6)), layer("Conv2d", 1, 2, 3, on=real(1, 5, 5)),
    layer("Conv2d", 3, 4, (3, 2), (2, 1), (1, 0), on=real(2, 3, 7, 6)),
    layer("Conv2d", 4, 6, 3, dilation=2, groups=2, bias=False, on=real(2, 4, 7, 8)),
    layer("Conv2d", 3, 3, 3, padding="same", groups=3, on=real(2, 3, 5, 5)),
    layer("Conv2d", 2, 3, 3, padding=(1, 2), padding_mode="zeros", on=real(2, 2, 6, 5)),
    layer("ConvTranspose1d", 3, 4, 3, 2, 1, 1, on=real(2, 3, 5)),
    layer("ConvTranspose1d", 4, 4, 3, groups=2, bias=False, dilation=2, on=real(2, 4, 5)),
    layer("ConvTranspose2d", 3, 4, 3, on=real(2, 3, 4, 5)),
    layer("ConvTranspose2d", 4, 2, (2, 3), (2, 1), (0, 1), (1, 0), 2, on=real(2, 4, 4, 5)),
)  # fmt: skip
POOLING = (
    layer("MaxPool1d", 2, on=distinct(2, 3, 8)), layer("MaxPool1d", 3, 2, 1, on=distinct(2, 3, 8)),
    layer("MaxPool1d", 2, dilation=2, ceil_mode=True, on=distinct(3, 9)),
    layer("MaxPool2d", 2, on=distinct(2, 3, 6, 6)),
    layer("MaxPool2d", (2, 3), on=distinct(2, 3, 6, 7)),
    layer("MaxPool2d", 3, 2, 1, on=distinct(2, 3, 7, 7)),
    layer("MaxPool2d", 2, 1, 0, 2, True, True, on=distinct(1, 2, 6, 6)),
    layer("AvgPool1d", 2, on=real(2, 3, 8)),
    layer("AvgPool1d", 3, 2, 1, True, False, on=real(2, 3, 8)),
    layer("AvgPool2d", 2, on=real(2, 3, 6, 6)), layer("AvgPool2d", 3, 2, 1, on=real(2, 3, 7, 7)),
    layer("AvgPool2d", 3, 2, 1, True, False, on=real(2, 3, 7, 6)),
    layer("AvgPool2d", 2, divisor_override=5, on=real(2, 3, 6, 6)),
    *[layer(f"Adaptive{kind}Pool{n}d", size, on=distinct(2, 3, *(7, 5)[:n]))
      for kind in ("Avg", "Max") for n in (1, 2) for size in (1, 3)],
    layer("AdaptiveAvgPool2d", (None, 2), on=real(2, 3, 4, 5)),
    layer("AdaptiveMaxPool2d", (2, 3), True, on=distinct(2, 3, 4, 5)),
    layer("AdaptiveMaxPool1d", 2, return_indices=True, on=distinct(2, 3, 5)),
)  # fmt: skip
NORMALIZATION = (
    layer("LayerNorm", 5, on=real(3, 5)), layer("LayerNorm", (3, 4), on=real(2, 3, 4)),
    layer("LayerNorm", 5, eps=0.1, elementwise_affine=False, on=real(3, 5)),
    layer("LayerNorm", [4], bias=False, on=real(2, 3, 4)),
    layer("BatchNorm1d", 3, on=real(4, 3)), layer("BatchNorm1d", 3, on=real(4, 3, 5)),
    layer("BatchNorm1d", 3, 0.1, 0.3, on=real(4, 3)),
    layer("BatchNorm1d", 3, momentum=None, on=real(4, 3)),
    layer("BatchNorm2d", 3, on=real(4, 3, 2, 2)),
    layer("BatchNorm2d", 3, affine=False, on=real(4, 3, 2, 2)),
    layer("BatchNorm2d", 3, track_running_stats=False, on=real(4, 3, 2, 2)),
)  # fmt: skip


def _recurrent() -> list[Layer]:
    """Layers, directions, order of axes, biases, states given or not, no batch."""
    layers = []
    for name in ("RNN", "LSTM", "GRU"):
        for depth in (1, 2):
            for both in (False, True):
                for first in (False, True):
                    x = real(2, 4, 3) if first else real(4, 2, 3)
                    states = real(depth * (1 + both), 2, 5)
                    pair = (states, states) if name == "LSTM" else states
                    options = {"batch_first": first, "bidirectional": both}
                    layers.append(layer(name, 3, 5, depth, **options, on=(x, pair)))
        layers += [
            layer(name, 3, 5, bias=False, on=real(4, 2, 3)), layer(name, 3, 5, 3, on=real(4, 2, 3)),
            layer(name, 3, 5, on=real(4, 3)), layer(name, 1, 1, on=real(1, 1, 1)),
            layer(name, 3, 4, 2, dropout=0.0, bidirectional=True, on=real(5, 3)),
        ]  # fmt: skip
        state = real(2, 5)
        pair = (state, state) if name == "LSTM" else state
        layers += [
            layer(name + "Cell", 3, 5, on=real(2, 3)),
            layer(name + "Cell", 3, 5, on=(real(2, 3), pair)),
            layer(name + "Cell", 3, 5, bias=False, on=(real(2, 3), pair)),
            layer(name + "Cell", 3, 5, on=real(3)),
        ]  # fmt: skip
    relu = {"nonlinearity": "relu"}
    layers += [
        layer("RNN", 3, 5, 2, **relu, on=real(4, 2, 3)),
        layer("RNNCell", 3, 5, **relu, on=real(2, 3)),
    ]
    return layers


LAYERS = (*ACTIVATIONS, *PRODUCTS, *CONVOLUTIONS, *POOLING, *NORMALIZATION, *_recurrent())
ELSEWHERE = {
    "BCELoss": "test_losses", "BCEWithLogitsLoss": "test_losses", "CrossEntropyLoss": "test_losses",
    "HuberLoss": "test_losses", "KLDivLoss": "test_losses", "L1Loss": "test_losses",
    "MSELoss": "test_losses", "NLLLoss": "test_losses", "SmoothL1Loss": "test_losses",
    "Dropout": "random: statistics below", "Dropout1d": "random: statistics below",
    "Dropout2d": "random: statistics below", "Module": "in the network below",
    "ModuleDict": "in the network below", "ModuleList": "in the network below",
    "ParameterList": "in the network below", "Sequential": "in the network below",
    "AlphaDropout": "random: tests/nn", "FeatureAlphaDropout": "random: tests/nn",
    "ParameterDict": "tests/nn", "RNNBase": "a base class", "RNNCellBase": "a base class",
    "TransformerDecoder": "in Transformer", "Hardsigmoid": "among the ops",
    "AdaptiveLogSoftmaxWithLoss": "test_layers", "ChannelShuffle": "test_layers",
    "CosineSimilarity": "test_layers", "Dropout3d": "test_layers", "EmbeddingBag": "test_layers",
    "Fold": "test_layers", "PairwiseDistance": "test_layers", "PixelShuffle": "test_layers",
    "PixelUnshuffle": "test_layers", "RReLU": "test_layers", "TripletMarginLoss": "test_layers",
    "TripletMarginWithDistanceLoss": "test_layers", "Unfold": "test_layers",
    "Upsample": "test_layers", "UpsamplingBilinear2d": "test_layers",
    "UpsamplingNearest2d": "test_layers",
    **{f"MaxUnpool{n}d": "test_layers" for n in (1, 2, 3)},
    **{f"Lazy{kind}Norm{n}d": "test_layers" for kind in ("Batch", "Instance") for n in (1, 2, 3)},
    "LazyLinear": "test_layers",
}  # fmt: skip
"""Modules that are compared elsewhere than in the tables, ours and PyTorch's own."""


def twins(mine: Any, judge: Any) -> tuple[Any, Any]:
    """Both modules in float64, with the parameters of the first, matched by name."""
    mine, judge = mine.double(), judge.double()
    state = {name: torch.from_numpy(np.array(numbers(t))) for name, t in mine.state_dict().items()}
    assert list(state) == list(judge.state_dict())
    judge.load_state_dict(state)
    return mine, judge


def compare_step(mine: Any, judge: Any, draws: Any, label: str) -> None:
    """Forward and backward once in both; values, and gradients of inputs and parameters."""
    rng = rng_for(label)
    arrays = [[d.make(rng) for d in part] if isinstance(part, tuple) else part.make(rng)
              for part in draws]  # fmt: skip
    xs, zs = _tensors(arrays, ours), _tensors(arrays, theirs)
    # A leaf cannot be changed in place, which ReLU(True) would do.
    ys = flat(mine(*_each(xs, lambda x: x * 1)))
    judged = flat(judge(*_each(zs, lambda z: z * 1)))
    assert len(ys) == len(judged)
    for i, (y, z) in enumerate(zip(ys, judged, strict=True)):
        same(y, z, f"{label} output {i}")
        assert y.requires_grad == z.requires_grad
    followed = [i for i, z in enumerate(judged) if z.requires_grad]
    cts = cotangents([judged[i] for i in followed], rng)
    cr.backward([ys[i] for i in followed], [cr.Tensor(ct) for ct in cts])
    torch.autograd.backward([judged[i] for i in followed], [torch.from_numpy(ct) for ct in cts])
    for x, z in zip(flat(xs), flat(zs), strict=True):
        if z.requires_grad:
            same_gradient(x.grad, z.grad, z, f"{label} gradient of an input")
    compare_parameters(mine, judge, label)


def _tensors(arrays: Any, tensor: Callable[..., Any]) -> list[Any]:
    return [tuple(map(tensor, a)) if isinstance(a, list) else tensor(a) for a in arrays]


def _each(args: Any, fn: Callable[[Any], Any]) -> Any:
    return [tuple(map(fn, a)) if isinstance(a, tuple) else fn(a) for a in args]


def compare_parameters(mine: Any, judge: Any, label: str) -> None:
    """Names, values and gradients of all parameters, and buffers."""
    parameters, judged = dict(mine.named_parameters()), dict(judge.named_parameters())
    assert list(parameters) == list(judged)
    for name, p in parameters.items():
        same(p, judged[name], f"{label} {name}")
        same_gradient(p.grad, judged[name].grad, judged[name], f"{label} gradient of {name}")
    buffers = dict(mine.named_buffers())
    assert list(buffers) == [name for name, _ in judge.named_buffers()]
    for name, buffer in judge.named_buffers():
        same(buffers[name], buffer, f"{label} buffer {name}")


@pytest.mark.parametrize("wanted", LAYERS, ids=lambda wanted: wanted.name)
def test_modules_agree_in_training_and_evaluation(
    wanted: Layer, request: pytest.FixtureRequest
) -> None:
    label = request.node.callspec.id
    TALLY.modules.add(wanted.name)
    cr.manual_seed(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
        mine, judge = twins(
            getattr(nn, wanted.name)(*wanted.args, **wanted.options),
            getattr(torch.nn, wanted.name)(*wanted.args, **wanted.options),
        )
        for step in range(2):
            compare_step(mine, judge, wanted.inputs, f"{label} training step {step}")
        compare_step(mine.eval(), judge.eval(), wanted.inputs, f"{label} evaluation")
        mine.zero_grad()
        judge.zero_grad()
        compare_step(mine.train(), judge.train(), wanted.inputs, f"{label} training again")


def test_every_module_that_torch_has_is_compared() -> None:
    own = {name for name, member in vars(nn).items()
           if inspect.isclass(member) and issubclass(member, nn.Module)}  # fmt: skip
    shared = {name for name in own if hasattr(torch.nn, name)}
    compared = {wanted.name for wanted in LAYERS}
    judged = {info.module_cls.__name__ for info in module_db}
    assert (compared | judged | ELSEWHERE.keys()) >= shared
    assert shared >= compared | ELSEWHERE.keys()
    assert not compared & ELSEWHERE.keys()


# Containers and hooks -----------------------------------------------------------------------------


def network(nn: Any) -> Any:
    """A residual network with every container, a shared layer and a buffer of its own."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))
            self.norm = nn.LayerNorm(width)

        def forward(self, x: Any) -> Any:
            return self.norm(x + self.body(x))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList([Block(4) for _ in range(2)])
            self.heads = nn.ModuleDict({"a": nn.Linear(4, 3), "b": nn.Linear(4, 3, bias=False)})
            self.scales = nn.ParameterList([nn.Linear(1, 1).weight, nn.Linear(2, 3).bias])
            self.last = nn.Sequential(nn.BatchNorm1d(3), nn.GELU())
            self.tied = self.heads["a"]

        def forward(self, x: Any) -> Any:
            for block in self.blocks:
                x = block(x)
            y = self.heads["a"](x) * self.scales[0] + self.tied(x * 2)
            return self.last(y + self.heads["b"](x) * self.scales[1]), y

    return Network()


def test_a_network_of_containers_agrees() -> None:
    TALLY.modules |= {"Module", "ModuleDict", "ModuleList", "ParameterList", "Sequential"}
    cr.manual_seed(3)
    mine, judge = twins(network(nn), network(torch.nn))
    assert [n for n, _ in mine.named_modules()] == [n for n, _ in judge.named_modules()]
    assert [n for n, _ in mine.named_children()] == [n for n, _ in judge.named_children()]
    assert [type(m).__name__ for m in mine.modules()] == [type(m).__name__ for m in judge.modules()]
    for step in range(3):
        compare_step(mine, judge, (real(5, 4),), f"network step {step}")


def with_hooks(net: Any, seen: list[Any]) -> Any:
    """Record every hook of a network of two layers, some of which replace what they are given."""

    def shown(values: Any) -> list[Any]:
        return [
            v if v is None or isinstance(v, dict) else numbers(v).round(9).tolist()
            for v in flat(values)
        ]

    def note(name: str) -> Any:
        return lambda _, *values: seen.append((name, [shown(v) for v in values]))

    for name, module in [("net", net), ("0", net[0]), ("2", net[2])]:
        module.register_forward_pre_hook(note(f"{name} before"))
        module.register_forward_hook(note(f"{name} after"))
        module.register_full_backward_hook(note(f"{name} backward"))
    net[0].register_forward_hook(note("0 prepended"), prepend=True)
    net[2].register_forward_pre_hook(lambda _, args: (args[0] * 2,))
    net[1].register_forward_hook(lambda _m, _args, y: y + 1)
    net[1].register_full_backward_hook(lambda _m, grad_in, _out: (grad_in[0] * 3,))
    net[2].register_forward_pre_hook(note("2 with kwargs"), with_kwargs=True)
    return net


def test_hooks_run_in_the_same_order_with_the_same_numbers() -> None:
    cr.manual_seed(5)
    mine, judge = twins(
        nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)),
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)),
    )
    seen: list[Any] = []
    judged: list[Any] = []
    with_hooks(mine, seen)
    with_hooks(judge, judged)
    compare_step(mine, judge, (real(2, 3),), "hooked network")
    assert [name for name, _ in seen] == [name for name, _ in judged]
    assert seen == judged


# Randomness ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d"])
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
def test_dropout_drops_as_often_and_scales_by_as_much(name: str, p: float) -> None:
    TALLY.modules.add(name)
    cr.manual_seed(7)
    torch.manual_seed(7)
    shape = {"Dropout": (100, 200), "Dropout1d": (100, 200, 3), "Dropout2d": (100, 200, 2, 2)}[name]
    ones = np.ones(shape)
    x, z = ours(ones), theirs(ones)
    y, judged = getattr(nn, name)(p)(x), getattr(torch.nn, name)(p)(z)
    y.sum().backward()
    judged.sum().backward()
    same(np.unique(numbers(y)), np.unique(numbers(judged)), f"{name} values")
    same(x.grad, numbers(y), f"{name} gradient")
    same(z.grad, numbers(judged), f"{name} gradient in PyTorch")
    kept, expected = (numbers(y) > 0).mean(), (numbers(judged) > 0).mean()
    deviation = np.sqrt(p * (1 - p) / (shape[0] * shape[1]))
    assert abs(kept - (1 - p)) < 5 * deviation
    assert abs(expected - (1 - p)) < 5 * deviation
    whole = (numbers(y) > 0).reshape(*shape[:2], -1)
    assert (whole.all(-1) == whole.any(-1)).all(), "a channel is dropped as a whole"
    same(getattr(nn, name)(p).eval()(x), x, f"{name} in evaluation")
    same(getattr(nn, name)(0.0)(x), torch.nn.Dropout(0.0)(z), f"{name} of nothing")
    same(getattr(nn, name)(1.0)(x), torch.nn.Dropout(1.0)(z), f"{name} of everything")


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_dropout_between_recurrent_layers_is_off_in_evaluation(name: str) -> None:
    cr.manual_seed(9)
    options: Any = {"num_layers": 3, "dropout": 0.5}
    mine, judge = twins(
        getattr(nn, name)(3, 4, **options), getattr(torch.nn, name)(3, 4, **options)
    )
    compare_step(mine.eval(), judge.eval(), (real(5, 2, 3),), f"{name} with dropout")


INITIAL = (
    layer("Linear", 40, 500, on=()), layer("Conv1d", 20, 200, 5, on=()),
    layer("Conv2d", 20, 100, 5, on=()),
    layer("ConvTranspose1d", 50, 20, 5, on=()), layer("ConvTranspose2d", 20, 50, 5, on=()),
    layer("Embedding", 500, 40, on=()), layer("LSTM", 30, 40, 2, on=()),
    layer("GRU", 30, 40, on=()),
    layer("RNN", 60, 100, on=()), layer("LSTMCell", 30, 40, on=()), layer("BatchNorm1d", 7, on=()),
    layer("LayerNorm", 7, on=()),
)  # fmt: skip


@pytest.mark.parametrize("wanted", INITIAL, ids=lambda wanted: wanted.name)
def test_initial_parameters_have_the_same_distribution(wanted: Layer) -> None:
    cr.manual_seed(11)
    torch.manual_seed(11)
    mine = getattr(nn, wanted.name)(*wanted.args)
    judge = getattr(torch.nn, wanted.name)(*wanted.args)
    judged = judge.state_dict()
    assert list(mine.state_dict()) == list(judged)
    for name, value in mine.state_dict().items():
        a, b = np.sort(numbers(value).ravel()), np.sort(numbers(judged[name]).ravel())
        assert value.dtype == b.dtype
        # Two samples of n differ in their distribution functions by about √(2/n).
        places = np.searchsorted(a, b, side="right") / a.size
        gap = np.abs(places - np.searchsorted(b, b, side="right") / b.size).max()
        assert gap < 2.2 * np.sqrt(2 / a.size), f"{wanted.name} {name}"
        TALLY.checks += 1


def _draw(draw: Draw) -> np.ndarray:
    return draw.make(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [("linear", None), ("sigmoid", None), ("tanh", None), ("relu", None), ("leaky_relu", None),
     ("leaky_relu", 0.2), ("selu", None), ("conv2d", None)],
)  # fmt: skip
def test_gains_agree(nonlinearity: str, param: float | None) -> None:
    gain = torch.nn.init.calculate_gain(nonlinearity, param)
    assert nn.init.calculate_gain(nonlinearity, param) == pytest.approx(gain, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "options"),
    [("constant_", {"val": 2.5}), ("zeros_", {}), ("ones_", {}), ("eye_", {})],
)
def test_fixed_initial_values_agree(name: str, options: dict[str, Any]) -> None:
    array = _draw(between(0, 1, 4, 3))
    mine = getattr(nn.init, name)(nn.Parameter(cr.Tensor(array)), **options)
    judge = getattr(torch.nn.init, name)(torch.nn.Parameter(torch.from_numpy(array)), **options)
    same(mine, judge, name)


@pytest.mark.parametrize("groups", [1, 2])
def test_dirac_agrees(groups: int) -> None:
    array = _draw(between(0, 1, 4, 3, 3, 3))
    mine = nn.init.dirac_(nn.Parameter(cr.Tensor(array)), groups)
    same(mine, torch.nn.init.dirac_(torch.from_numpy(array.copy()), groups), "dirac_")


@pytest.mark.parametrize(
    ("name", "options"),
    [("uniform_", {"a": -2.0, "b": 3.0}), ("normal_", {"mean": 1.0, "std": 0.3}),
     ("trunc_normal_", {"std": 0.5, "a": -0.4, "b": 0.9}), ("xavier_uniform_", {"gain": 1.7}),
     ("xavier_normal_", {}), ("kaiming_uniform_", {"a": 0.2}),
     ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
     ("orthogonal_", {"gain": 1.3}), ("sparse_", {"sparsity": 0.3})],
)  # fmt: skip
def test_random_initial_values_have_the_same_distribution(name: str, options: Any) -> None:
    cr.manual_seed(13)
    torch.manual_seed(13)
    shape = (60, 40) if name == "sparse_" else (60, 10, 4)
    mine = getattr(nn.init, name)(nn.Parameter(cr.zeros(*shape)), **options)
    judge = getattr(torch.nn.init, name)(torch.zeros(*shape), **options)
    a, b = np.sort(numbers(mine).ravel()), np.sort(numbers(judge).ravel())
    assert (a == 0).sum() == (b == 0).sum()
    gap = np.abs((np.searchsorted(a, b) - np.searchsorted(b, b)) / a.size).max()
    assert gap < 2.2 * np.sqrt(2 / a.size)
    TALLY.checks += 1
