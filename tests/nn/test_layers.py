"""Every layer: the shape it gives, the parameters it has, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    IndexRangeError,
    InPlaceError,
    ShapeError,
)

SHAPES: list[tuple[Callable[[], nn.Module], tuple[int, ...], tuple[int, ...], int]] = [
    (lambda: nn.Linear(784, 10), (32, 784), (32, 10), 7850),
    (lambda: nn.Linear(4, 3, bias=False), (2, 5, 4), (2, 5, 3), 12),
    (lambda: nn.Linear(4, 3), (4,), (3,), 15),
    (lambda: nn.Conv1d(3, 8, 5), (2, 3, 20), (2, 8, 16), 128),
    (lambda: nn.Conv1d(3, 8, 5, stride=2, padding=2), (3, 20), (8, 10), 128),
    (lambda: nn.Conv2d(1, 32, 3), (2, 1, 28, 28), (2, 32, 26, 26), 320),
    (lambda: nn.Conv2d(32, 64, 3), (2, 32, 13, 13), (2, 64, 11, 11), 18496),
    (lambda: nn.Conv2d(4, 6, (3, 1), groups=2, bias=False), (1, 4, 5, 5), (1, 6, 3, 5), 36),
    (lambda: nn.Conv2d(2, 2, 3, padding="same", dilation=2), (1, 2, 7, 8), (1, 2, 7, 8), 38),
    (lambda: nn.Conv2d(2, 2, 3, padding="valid"), (2, 7, 8), (2, 5, 6), 38),
    (lambda: nn.ConvTranspose1d(4, 2, 3, stride=2), (1, 4, 5), (1, 2, 11), 26),
    (lambda: nn.ConvTranspose2d(8, 4, 2, stride=2), (1, 8, 7, 7), (1, 4, 14, 14), 132),
    (
        lambda: nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1, groups=2),
        (2, 4, 5, 5),
        (2, 4, 10, 10),
        76,
    ),
    (lambda: nn.MaxPool1d(2), (2, 3, 9), (2, 3, 4), 0),
    (lambda: nn.MaxPool2d(2), (2, 3, 13, 13), (2, 3, 6, 6), 0),
    (lambda: nn.MaxPool2d(2, ceil_mode=True), (2, 3, 13, 13), (2, 3, 7, 7), 0),
    (lambda: nn.MaxPool2d(3, stride=2, padding=1), (2, 3, 8, 8), (2, 3, 4, 4), 0),
    (lambda: nn.AvgPool1d(2), (2, 3, 8), (2, 3, 4), 0),
    (lambda: nn.AvgPool2d((2, 1)), (2, 3, 8, 8), (2, 3, 4, 8), 0),
    (lambda: nn.AdaptiveAvgPool1d(3), (2, 3, 8), (2, 3, 3), 0),
    (lambda: nn.AdaptiveAvgPool2d((1, 1)), (2, 3, 7, 5), (2, 3, 1, 1), 0),
    (lambda: nn.AdaptiveMaxPool1d(2), (2, 3, 5), (2, 3, 2), 0),
    (lambda: nn.AdaptiveMaxPool2d(2), (2, 3, 7, 5), (2, 3, 2, 2), 0),
    (nn.Flatten, (32, 64, 5, 5), (32, 1600), 0),
    (lambda: nn.Flatten(0, 1), (2, 3, 4), (6, 4), 0),
    (lambda: nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4), 0),
    (lambda: nn.Unflatten(-1, (-1, 2)), (2, 12), (2, 6, 2), 0),
    (lambda: nn.Identity(1, nothing=True), (2, 3), (2, 3), 0),
    (lambda: nn.Dropout(0.3), (2, 3), (2, 3), 0),
    (lambda: nn.Dropout1d(0.3), (2, 3, 4), (2, 3, 4), 0),
    (lambda: nn.Dropout2d(0.3), (2, 3, 4, 4), (2, 3, 4, 4), 0),
    (lambda: nn.BatchNorm1d(3), (5, 3), (5, 3), 6),
    (lambda: nn.BatchNorm1d(3, affine=False), (5, 3, 4), (5, 3, 4), 0),
    (lambda: nn.BatchNorm2d(3, bias=False), (5, 3, 4, 4), (5, 3, 4, 4), 3),
    (lambda: nn.BatchNorm2d(3), (5, 3, 4, 4), (5, 3, 4, 4), 6),
    (lambda: nn.LayerNorm(4), (2, 3, 4), (2, 3, 4), 8),
    (lambda: nn.LayerNorm((3, 4), bias=False), (2, 3, 4), (2, 3, 4), 12),
    (lambda: nn.LayerNorm(4, elementwise_affine=False), (4,), (4,), 0),
    *[
        (make, (2, 3), (2, 3), 0)
        for make in (
            nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.Softplus,
            lambda: nn.Softmax(dim=1), lambda: nn.LogSoftmax(dim=-1), lambda: nn.GELU("tanh"),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "given", "expected", "count"), SHAPES, ids=[repr(case[0]()) for case in SHAPES]
)
def test_shapes_and_parameter_counts(
    make: Callable[[], nn.Module], given: tuple[int, ...], expected: tuple[int, ...], count: int
) -> None:
    layer = make()
    x = cr.randn(*given)
    x.requires_grad_()
    y = layer(x)
    assert y.shape == expected
    assert y.dtype == np.float32
    assert sum(p.numel() for p in layer.parameters()) == count
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == given
    assert all(p.grad is not None and p.grad.shape == p.shape for p in layer.parameters())


@pytest.mark.parametrize("make", [case[0] for case in SHAPES], ids=[repr(c[0]()) for c in SHAPES])
def test_layers_compute_in_float64_after_double(make: Callable[[], nn.Module]) -> None:
    given = next(case[1] for case in SHAPES if case[0] is make)
    assert make().double()(cr.randn(*given, dtype=np.float64)).dtype == np.float64


def test_the_network_of_the_sources_has_34826_parameters() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    )  # fmt: skip
    assert net(cr.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in net.parameters()) == 34826


def test_linear_is_a_matrix_product() -> None:
    layer = nn.Linear(3, 2)
    x = cr.randn(5, 3)
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    np.testing.assert_allclose(
        layer(x).detach().numpy(), x.numpy() @ weight.T + bias, rtol=1e-5, atol=1e-6
    )


def test_dtype_of_new_parameters_can_be_chosen() -> None:
    assert nn.Linear(2, 2, dtype=np.float64).weight.dtype == np.float64
    assert nn.LSTM(2, 2, dtype=np.float64).weight_hh_l0.dtype == np.float64
    assert nn.BatchNorm1d(2, dtype=np.float64).running_var.dtype == np.float64
    with pytest.raises(ArgumentError, match="CPU"):
        nn.Conv2d(1, 1, 1, device="cuda")


def test_transposed_convolution_undoes_the_shape_of_a_strided_one() -> None:
    down, up = nn.Conv2d(1, 2, 3, stride=2), nn.ConvTranspose2d(2, 1, 3, stride=2)
    x = cr.zeros(1, 1, 8, 8)
    assert up(down(x)).shape == (1, 1, 7, 7)
    assert up(down(x), output_size=(8, 8)).shape == x.shape
    with pytest.raises(ShapeError, match="cannot give an output of size"):
        up(down(x), output_size=(10, 10))


def test_max_pooling_can_tell_where_the_maxima_were() -> None:
    x = cr.tensor(np.arange(16.0, dtype=np.float32).reshape(1, 1, 4, 4))
    y, places = nn.MaxPool2d(2, return_indices=True)(x)
    assert y.tolist() == [[[[5.0, 7.0], [13.0, 15.0]]]]
    assert places.tolist() == [[[[5, 7], [13, 15]]]]


def test_average_pooling_divides_as_told() -> None:
    x = cr.ones(1, 1, 2, 2)
    assert nn.AvgPool2d(2, padding=1)(x).tolist() == [[[[0.25, 0.25], [0.25, 0.25]]]]
    assert nn.AvgPool2d(2, padding=1, count_include_pad=False)(x).numpy().min() == 1.0
    assert nn.AvgPool2d(2, divisor_override=2)(x).tolist() == [[[[2.0]]]]


def test_dropout_drops_while_training_only() -> None:
    cr.manual_seed(0)
    layer = nn.Dropout(0.25)
    x = cr.ones(100, 100)
    values = layer(x).numpy()
    kept = values != 0
    assert 0.73 < kept.mean() < 0.77
    np.testing.assert_allclose(values[kept], 1 / 0.75, rtol=1e-6)
    assert layer.eval()(x).numpy().min() == 1.0
    with pytest.raises(ArgumentError, match="between 0 and 1"):
        nn.Dropout(1.5)


def test_dropout_passes_gradients_where_it_passed_values() -> None:
    x = cr.ones(50, requires_grad=True)
    y = nn.Dropout(0.5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == y.tolist()


def test_channel_dropout_drops_whole_channels() -> None:
    for layer, shape in ((nn.Dropout2d(0.5), (8, 16, 3, 3)), (nn.Dropout1d(0.5), (8, 16, 3))):
        values = layer(cr.ones(*shape)).numpy().reshape(8, 16, -1)
        assert (values == values[:, :, :1]).all()
        assert {0.0, 2.0} == set(np.unique(values))
    assert nn.Dropout1d(0.5)(cr.ones(16, 3)).shape == (16, 3)


def test_embedding_looks_rows_up() -> None:
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    y = layer(cr.tensor([[0, 4], [2, 0]]))
    table = layer.weight.detach().numpy()
    np.testing.assert_array_equal(y.detach().numpy(), table[[[0, 4], [2, 0]]])
    assert not table[4].any()
    y.sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.numpy()[:, 0].tolist() == [2.0, 0.0, 1.0, 0.0, 0.0]


def test_embedding_can_start_from_a_table() -> None:
    table = np.arange(6, dtype=np.float32).reshape(3, 2)
    layer = nn.Embedding.from_pretrained(table)
    assert layer(cr.tensor([2])).tolist() == [[4.0, 5.0]]
    assert not layer.weight.requires_grad
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad
    with pytest.raises(ShapeError, match="two axes"):
        nn.Embedding.from_pretrained(table[0])


def test_in_place_activation_gives_the_input_its_new_value() -> None:
    x = cr.tensor([-1.0, 2.0], requires_grad=True)
    h = x * 1
    y = nn.ReLU(inplace=True)(h)
    assert y is h
    assert h.tolist() == [0.0, 2.0]
    h.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0]
    with pytest.raises(InPlaceError):
        nn.ReLU(inplace=True)(x)
    assert nn.ReLU(inplace=True)(np.array([-1.0])).tolist() == [0.0]


def test_softmax_without_axis_warns_and_takes_pytorchs_choice() -> None:
    with pytest.warns(UserWarning, match="say dim=1"):
        y = nn.Softmax()(cr.zeros(2, 4))
    assert y.tolist() == [[0.25] * 4] * 2


EXTRAS = {
    "Linear(in_features=2, out_features=3, bias=False)": nn.Linear(2, 3, bias=False),
    "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))": nn.Conv2d(1, 2, 3),
    "Conv2d(2, 2, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), dilation=(2, 2), groups=2, "
    "bias=False)": nn.Conv2d(2, 2, (3, 1), 2, (1, 0), 2, 2, False),
    "Conv1d(1, 2, kernel_size=(3,), stride=(1,), padding=same)": nn.Conv1d(1, 2, 3, padding="same"),
    "ConvTranspose2d(1, 2, kernel_size=(2, 2), stride=(2, 2), output_padding=(1, 1))": (
        nn.ConvTranspose2d(1, 2, 2, 2, output_padding=1)
    ),
    "MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)": nn.MaxPool2d(2),
    "AvgPool2d(kernel_size=2, stride=2, padding=0)": nn.AvgPool2d(2),
    "AdaptiveAvgPool2d(output_size=(1, 1))": nn.AdaptiveAvgPool2d((1, 1)),
    "Dropout(p=0.5, inplace=False)": nn.Dropout(),
    "BatchNorm2d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)": (
        nn.BatchNorm2d(3)
    ),
    "LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)": nn.LayerNorm(4),
    "Embedding(5, 3, padding_idx=0)": nn.Embedding(5, 3, 0),
    "LSTM(2, 3, num_layers=2, batch_first=True)": nn.LSTM(2, 3, 2, batch_first=True),
    "RNN(2, 3)": nn.RNN(2, 3),
    "LSTMCell(2, 3)": nn.LSTMCell(2, 3),
    "LeakyReLU(negative_slope=0.01)": nn.LeakyReLU(),
    "Softmax(dim=1)": nn.Softmax(1),
    "GELU(approximate='none')": nn.GELU(),
    "ReLU(inplace=True)": nn.ReLU(True),
    "Softplus(beta=1.0, threshold=20.0)": nn.Softplus(),
}


@pytest.mark.parametrize("text", EXTRAS)
def test_layers_show_their_options_as_pytorch_does(text: str) -> None:
    assert repr(EXTRAS[text]) == text


BAD_BUILDS: dict[str, tuple[Callable[[], Any], type[ChainruleError]]] = {
    "no features": (lambda: nn.Linear(0, 3), ArgumentError),
    "float features": (lambda: nn.Linear(2.0, 3), ArgumentError),  # type: ignore[arg-type]
    "no channels": (lambda: nn.Conv2d(0, 1, 3), ArgumentError),
    "no kernel": (lambda: nn.Conv2d(1, 1, 0), ArgumentError),
    "three numbers": (lambda: nn.Conv2d(1, 1, (3, 3, 3)), ArgumentError),
    "groups": (lambda: nn.Conv2d(3, 4, 1, groups=2), ArgumentError),
    "padding word": (lambda: nn.Conv1d(1, 1, 1, padding="full"), ArgumentError),  # type: ignore[arg-type]
    "padding mode": (lambda: nn.Conv1d(1, 1, 1, padding_mode="mirror"), ArgumentError),
    "transposed same": (
        lambda: nn.ConvTranspose1d(1, 1, 1, padding="same"),  # type: ignore[arg-type]
        ArgumentError,
    ),
    "pool size": (lambda: nn.MaxPool2d(-2), ArgumentError),
    "pool padding": (lambda: nn.AvgPool2d(2, padding=-1), ArgumentError),
    "embedding size": (lambda: nn.Embedding(0, 3), ArgumentError),
    "padding index": (lambda: nn.Embedding(3, 3, padding_idx=3), IndexRangeError),
    "norm size": (lambda: nn.BatchNorm1d(0), ArgumentError),
    "norm shape": (lambda: nn.LayerNorm(()), ArgumentError),
    "hidden size": (lambda: nn.LSTM(3, 0), ArgumentError),
    "layers": (lambda: nn.GRU(3, 3, num_layers=0), ArgumentError),
    "nonlinearity": (lambda: nn.RNN(3, 3, nonlinearity="sin"), ArgumentError),
    "dropout": (lambda: nn.LSTM(3, 3, dropout=2.0), ArgumentError),
}


@pytest.mark.parametrize("case", BAD_BUILDS)
def test_layers_cannot_be_built_from_bad_arguments(case: str) -> None:
    build, error = BAD_BUILDS[case]
    with pytest.raises(error):
        build()


BAD_INPUTS: dict[str, tuple[nn.Module, Any, type[ChainruleError], str]] = {
    "features": (nn.Linear(768, 10), cr.zeros(32, 784), ShapeError,
                 "Linear built for 768 features got 784"),
    "scalar": (nn.Linear(3, 1), cr.tensor(1.0), ShapeError, "last axis holds 3 features"),
    "a list": (nn.Linear(3, 1), [1.0, 2.0, 3.0], DTypeError, "Linear takes a tensor"),
    "channels": (nn.Conv2d(3, 8, 3), cr.zeros(2, 1, 9, 9), ShapeError,
                 "Conv2d built for 3 channels got 1"),
    "axes": (nn.Conv2d(3, 8, 3), cr.zeros(2, 9), ShapeError, "axes (N, C, H, W)"),
    "no channel axis": (nn.Conv2d(1, 8, 3), cr.zeros(5, 9, 9), ShapeError, "got 5"),
    "small": (nn.Conv2d(1, 8, 3), cr.zeros(1, 1, 2, 2), ShapeError, ""),
    "conv list": (nn.Conv1d(1, 8, 3), [1], DTypeError, "Conv1d takes a tensor"),
    "pool": (nn.MaxPool2d(2), cr.zeros(3), ShapeError, ""),
    "pool list": (nn.MaxPool2d(2), [3], DTypeError, "MaxPool2d takes a tensor"),
    "batch norm channels": (nn.BatchNorm2d(3), cr.zeros(2, 4, 5, 5), ShapeError,
                            "BatchNorm2d built for 3 channels got 4"),
    "batch norm axes": (nn.BatchNorm2d(3), cr.zeros(3, 4, 5), ShapeError, "axes N C H W"),
    "batch norm 1d axes": (nn.BatchNorm1d(3), cr.zeros(3), ShapeError, "axes N C L"),
    "layer norm": (nn.LayerNorm(4), cr.zeros(2, 3), ShapeError, "LayerNorm built for last axes"),
    "index": (nn.Embedding(3, 2), cr.tensor([5]), IndexRangeError, ""),
    "negative index": (nn.Embedding(3, 2), cr.tensor([-1]), IndexRangeError, ""),
    "float index": (nn.Embedding(3, 2), cr.tensor([1.0]), DTypeError, "takes integers"),
    "lstm features": (nn.LSTM(3, 2), cr.zeros(4, 1, 5), ShapeError,
                      "LSTM built for 3 features got 5"),
    "lstm axes": (nn.LSTM(3, 2), cr.zeros(1, 4, 1, 3), ShapeError, "(T, N, I)"),
    "gru axes": (nn.GRU(3, 2, batch_first=True), cr.zeros(3), ShapeError, "(N, T, I)"),
    "cell": (nn.GRUCell(3, 2), cr.zeros(1, 1, 3), ShapeError, "GRUCell takes"),
    "unflatten": (nn.Unflatten(1, (3, 5)), cr.zeros(2, 12), ShapeError, ""),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_layers_refuse_inputs_that_do_not_fit(case: str) -> None:
    layer, x, error, words = BAD_INPUTS[case]
    with pytest.raises(error) as caught:
        layer(x)
    text = str(caught.value)
    assert words in text
    assert f"({type(layer).__name__})" in text
    assert "test_layers.py" in text
    assert len(text.splitlines()) <= 5


def test_the_error_says_what_gave_the_wrong_size() -> None:
    x = cr.zeros(2, 1, 28, 28, requires_grad=True)
    with pytest.raises(ShapeError) as caught:
        nn.Sequential(nn.Flatten(), nn.Linear(768, 128))(x)
    assert "gave 784 features; in_features=784 would take them" in str(caught.value)
    assert "(Sequential.1)" in str(caught.value)
