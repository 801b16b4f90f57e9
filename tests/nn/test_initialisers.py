"""Initial values: their distribution against the formula, their structure, and bad arguments."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import ArgumentError, ChainruleError, DTypeError, InPlaceError, ShapeError
from chainrule.nn import init


@pytest.fixture(autouse=True)
def _seed() -> None:
    cr.manual_seed(123)


VARIANCES: dict[str, tuple[Callable[[Any], Any], tuple[int, ...], float]] = {
    # name: initialiser, shape, variance
    "uniform": (lambda w: init.uniform_(w, -2, 4), (300, 400), 36 / 12),
    "normal": (lambda w: init.normal_(w, 0.5, 3.0), (300, 400), 9.0),
    "xavier uniform": (init.xavier_uniform_, (300, 400), 2 / 700),
    "xavier uniform conv": (init.xavier_uniform_, (50, 60, 5, 5), 2 / (110 * 25)),
    "xavier normal": (lambda w: init.xavier_normal_(w, gain=2.0), (300, 400), 8 / 700),
    "kaiming uniform": (init.kaiming_uniform_, (300, 400), 2 / 400),
    "kaiming uniform relu out": (
        lambda w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
        (300, 400),
        2 / 300,
    ),
    "kaiming normal": (
        lambda w: init.kaiming_normal_(w, nonlinearity="relu"), (300, 400), 2 / 400,
    ),
    "kaiming normal leaky": (
        lambda w: init.kaiming_normal_(w, a=1.0), (300, 400), 1 / 400,
    ),
    "kaiming normal tanh conv": (
        lambda w: init.kaiming_normal_(w, nonlinearity="tanh"), (50, 60, 5, 5), 25 / 9 / 1500,
    ),
    "linear": (init.fan_in_uniform_, (300, 400), 1 / 1200),
    "orthogonal": (init.orthogonal_, (300, 400), 1 / 400),
}  # fmt: skip


@pytest.mark.parametrize("case", VARIANCES)
def test_the_variance_is_that_of_the_formula(case: str) -> None:
    fill, shape, variance = VARIANCES[case]
    weight = nn.Parameter(cr.zeros(*shape))
    assert fill(weight) is weight
    values = weight.detach().numpy().astype(np.float64)
    n = values.size
    mean = {"uniform": 1.0, "normal": 0.5}.get(case, 0.0)
    assert abs(values.mean() - mean) < 5 * math.sqrt(variance / n)
    assert values.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.dtype == np.float32


def test_uniform_values_stay_within_their_bounds() -> None:
    weight = init.kaiming_uniform_(cr.zeros(100, 100), a=math.sqrt(5))
    bound = 1 / math.sqrt(100)
    assert 0.999 * bound < np.abs(weight.numpy()).max() <= bound
    assert np.unique(weight.numpy()).size > 9000


@pytest.mark.parametrize(
    ("layer", "bound"),
    [
        (nn.Linear(50, 400), 1 / math.sqrt(50)),
        (nn.Conv1d(6, 64, 5), 1 / math.sqrt(30)),
        (nn.Conv2d(6, 64, 3, groups=2), 1 / math.sqrt(27)),
        (nn.ConvTranspose2d(6, 64, 3), 1 / math.sqrt(64 * 9)),
        (nn.RNN(20, 60), 1 / math.sqrt(60)),
        (nn.LSTM(20, 60, 2, bidirectional=True), 1 / math.sqrt(60)),
        (nn.GRU(20, 60), 1 / math.sqrt(60)),
        (nn.GRUCell(20, 60), 1 / math.sqrt(60)),
    ],
    ids=repr,
)
def test_layers_start_uniform_within_pytorchs_bounds(layer: nn.Module, bound: float) -> None:
    for name, parameter in layer.named_parameters():
        values = parameter.detach().numpy()
        assert np.abs(values).max() <= bound, name
        assert np.abs(values).max() > 0.9 * bound, name
        assert abs(values.mean()) < 5 * bound / math.sqrt(3 * values.size), name


def test_normalisation_and_embedding_start_as_in_pytorch() -> None:
    norm = nn.BatchNorm2d(3)
    assert norm.weight.tolist() == [1.0] * 3
    assert norm.bias.tolist() == [0.0] * 3
    assert norm.running_var.tolist() == [1.0] * 3
    assert nn.LayerNorm(2).weight.tolist() == [1.0, 1.0]
    table = nn.Embedding(200, 100).weight.detach().numpy()
    assert table.std() == pytest.approx(1.0, abs=0.03)


def test_the_seed_decides_the_values() -> None:
    cr.manual_seed(5)
    first = nn.Linear(3, 3).weight.tolist()
    second = nn.Linear(3, 3).weight.tolist()
    cr.manual_seed(5)
    assert nn.Linear(3, 3).weight.tolist() == first != second
    generator = cr.Generator(9)
    before = cr.default_generator.get_state()
    a = init.normal_(cr.zeros(4), generator=generator).tolist()
    assert np.array_equal(cr.default_generator.get_state(), before)
    assert init.normal_(cr.zeros(4), generator=cr.Generator(9)).tolist() == a


@pytest.mark.parametrize("shape", [(5, 5), (3, 7), (7, 3), (4, 2, 3, 3)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape: tuple[int, ...]) -> None:
    weight = init.orthogonal_(cr.zeros(*shape, dtype=np.float64), gain=2.0)
    flat = weight.numpy().reshape(shape[0], -1)
    product = flat @ flat.T if flat.shape[0] <= flat.shape[1] else flat.T @ flat
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-12)


@pytest.mark.parametrize(
    ("low", "high"), [(-2.0, 2.0), (-0.1, 0.1), (3.0, 20.0), (-9.0, -6.0), (-1e9, 1e9), (0.5, 0.6)]
)
def test_truncated_normal_has_the_density_of_the_normal(low: float, high: float) -> None:
    values = init.trunc_normal_(cr.zeros(20000, dtype=np.float64), a=low, b=high).numpy()
    assert low <= values.min()
    assert values.max() <= high
    grid = np.linspace(max(low, -9.0), min(high, 12.0), 200001)
    density = np.exp(-(grid**2) / 2)
    mean = (grid * density).sum() / density.sum()
    std = math.sqrt(((grid - mean) ** 2 * density).sum() / density.sum())
    assert values.mean() == pytest.approx(mean, abs=5 * std / math.sqrt(20000))
    assert values.std() == pytest.approx(std, rel=0.06)


def test_truncated_normal_is_shifted_and_scaled_before_it_is_cut() -> None:
    values = init.trunc_normal_(cr.zeros(20000), mean=1.0, std=0.02, a=0.9, b=1.1).numpy()
    assert values.std() == pytest.approx(0.02, rel=0.05)
    assert values.mean() == pytest.approx(1.0, abs=1e-3)


def test_constants_and_structures() -> None:
    assert init.constant_(cr.zeros(2), 3.0).tolist() == [3.0, 3.0]
    assert init.ones_(cr.zeros(2, dtype=np.int64)).tolist() == [1, 1]
    assert init.zeros_(cr.ones(2)).tolist() == [0.0, 0.0]
    assert init.eye_(cr.zeros(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert init.calculate_gain("leaky_relu", 2.0) == pytest.approx(math.sqrt(0.4))
    assert init.calculate_gain("selu") == 0.75
    assert init.fans((8, 4, 3, 5)) == (60, 120)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_dirac_convolution_passes_its_input_on(groups: int) -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=groups, bias=False)
    init.dirac_(layer.weight, groups)
    x = cr.randn(2, 4, 5, 5)
    np.testing.assert_array_equal(layer(x).detach().numpy(), x.numpy())


def test_sparse_columns_have_their_share_of_zeros() -> None:
    values = init.sparse_(cr.zeros(50, 30), 0.3, std=2.0).numpy()
    assert ((values == 0).sum(0) == 15).all()
    assert values[values != 0].std() == pytest.approx(2.0, rel=0.1)


def test_tensors_without_elements_are_left_alone() -> None:
    for fill in (init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_, init.uniform_):
        assert fill(cr.zeros(0, 3)).shape == (0, 3)


WHOLE = cr.ones(3, 3)
BAD: dict[str, tuple[Callable[[], Any], type[ChainruleError]]] = {
    "an array": (lambda: init.zeros_(np.ones(3)), DTypeError),  # type: ignore[type-var]
    "integers": (lambda: init.normal_(cr.zeros(3, dtype=np.int64)), DTypeError),
    "one axis": (lambda: init.xavier_uniform_(cr.zeros(3)), ShapeError),
    "orthogonal": (lambda: init.orthogonal_(cr.zeros(3)), ShapeError),
    "eye": (lambda: init.eye_(cr.zeros(3)), ShapeError),
    "dirac": (lambda: init.dirac_(cr.zeros(3, 3)), ShapeError),
    "dirac groups": (lambda: init.dirac_(cr.zeros(3, 3, 3), 2), ArgumentError),
    "sparse": (lambda: init.sparse_(cr.zeros(3), 0.1), ShapeError),
    "sparsity": (lambda: init.sparse_(cr.zeros(3, 3), 1.1), ArgumentError),
    "bounds": (lambda: init.uniform_(cr.zeros(3), 1.0, 0.0), ArgumentError),
    "deviation": (lambda: init.normal_(cr.zeros(3), 0.0, -1.0), ArgumentError),
    "truncation": (lambda: init.trunc_normal_(cr.zeros(3), a=1.0, b=1.0), ArgumentError),
    "mode": (lambda: init.kaiming_normal_(cr.zeros(3, 3), mode="fan"), ArgumentError),  # type: ignore[arg-type]
    "gain": (lambda: init.calculate_gain("cos"), ArgumentError),
    "slope": (lambda: init.calculate_gain("leaky_relu", "x"), ArgumentError),  # type: ignore[arg-type]
    "slice": (lambda: init.zeros_(WHOLE[0]), InPlaceError),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_are_refused(case: str) -> None:
    call, error = BAD[case]
    with pytest.raises(error):
        call()
