"""gradcheck checked: it passes right gradients, fails wrong ones, and says where and how much."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.core.apply import apply
from chainrule.core.families import Linear, Unary
from chainrule.core.op import NOTHING
from chainrule.errors import ArgumentError, GradientCheckError, GradientError, SecondOrderError
from chainrule.tensor import Tensor
from chainrule.testing import GradcheckKinkWarning, gradcheck, gradgradcheck


class ScaledWrongly(Unary, abstract=True):
    """y = scale x², whose rule is off by the relative `error`."""

    scale: float = 1.0
    error: float = 0.0

    def forward(self, *xs: Any) -> Any:
        return self.scale * xs[0] ** 2

    def slope(self, x: Any, y: Any) -> Any:
        return 2.0 * self.scale * (1.0 + self.error) * x


class WrongAt(Linear, abstract=True):
    """y = x, whose rule changes the gradient at one flat position."""

    needs = NOTHING
    position: int = 0
    factor: float = 1.0

    def infer(self, *xs: Any) -> Any:
        return cr.core.aval.aval_of(xs[0])

    def forward(self, *xs: Any) -> Any:
        return xs[0] + 0.0

    def transpose(self, ct: Any, x: Any, *constants: Any) -> Any:
        factor = np.ones(x.shape)
        factor.reshape(-1)[self.position] = self.factor
        return ct * factor


def normal(*shape: int, seed: int = 0) -> Tensor:
    return cr.tensor(np.random.default_rng(seed).normal(size=shape))


def test_right_gradients_pass() -> None:
    result = gradcheck(lambda x, w: cr.tanh(x @ w) * cr.exp(x[:, :1]), (normal(4, 3), normal(3, 2)))
    assert result.ok
    assert bool(result)
    assert result.checked == 18
    assert result.worst is not None
    assert result.worst.comparison.error < 1e-8


def test_float32_inputs_are_checked_in_float64_and_left_alone() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    assert x.dtype == np.float32
    assert gradcheck(lambda x: cr.log(x) * cr.sin(x), x).worst.comparison.error < 1e-8
    assert x.dtype == np.float32
    assert x.grad is None
    assert x.tolist() == [1.0, 2.0]
    assert cr.get_default_dtype() == np.float32


@pytest.mark.parametrize("error", [1e-5, 1e-3, 1.0, -1.0, -2.0, 1e6])
def test_a_rule_off_by_any_factor_fails(error: float) -> None:
    op = ScaledWrongly(1.0, error)
    with pytest.raises(GradientCheckError, match="the gradient of x is wrong"):
        gradcheck(lambda x: apply(op, x), normal(3))
    assert gradcheck(lambda x: apply(ScaledWrongly(1.0, 0.0), x), normal(3)).ok


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e-3, 1e8])
def test_a_small_gradient_that_is_wrong_by_100_percent_fails(scale: float) -> None:
    for error in (1.0, -1.0):
        op = ScaledWrongly(scale, error)
        assert not gradcheck(lambda x, op=op: apply(op, x), normal(3), raise_on_failure=False).ok
    assert gradcheck(lambda x: apply(ScaledWrongly(scale, 0.0), x), normal(3)).ok


def test_a_small_wrong_gradient_beside_a_large_right_one_fails() -> None:
    def f(x: Tensor, b: Tensor) -> Tensor:
        return x * 1000.0 + apply(ScaledWrongly(1e-6, 1.0), b)

    result = gradcheck(f, (normal(4), normal(4, seed=1)), raise_on_failure=False)
    assert [a.ok for a in result.arguments] == [True, False]


@pytest.mark.parametrize("position", [0, 7, 11])
def test_the_worst_element_is_reported_with_its_index_and_both_values(position: int) -> None:
    result = gradcheck(
        lambda a, b: a * apply(WrongAt(position, 3.0), b),
        (cr.tensor(np.full((3, 4), 2.0)), normal(3, 4)),
        raise_on_failure=False,
    )
    worst = result.worst
    assert worst.name == "b"
    assert worst.index == (position // 4, position % 4)
    assert worst.comparison.analytic == pytest.approx(3 * worst.comparison.numeric)
    assert worst.comparison.error == pytest.approx(2 / 3)
    assert result.arguments[1].wrong == 1
    message = str(result.error())
    assert f"the gradient of b is wrong at [{position // 4}, {position % 4}]" in message
    assert "(central difference)" in message
    assert "1 of 12 elements of b are wrong" in message


def test_the_wrong_element_of_a_large_input_is_found_by_directions() -> None:
    op = WrongAt(3217, 1.5)
    result = gradcheck(lambda x: apply(op, x) * 2.0, normal(100, 100), raise_on_failure=False)
    assert not result.ok
    assert result.worst.index == (32, 17)


def test_large_inputs_are_checked_along_directions_unless_full() -> None:
    x = normal(9, 9)
    (along,) = gradcheck(cr.sin, x).arguments
    assert (along.mode, along.checked) == ("directions", 4)
    (full,) = gradcheck(cr.sin, x, full=True).arguments
    assert (full.mode, full.checked) == ("elements", 81)
    (few,) = gradcheck(cr.sin, normal(2), full=False, directions=7).arguments
    assert (few.mode, few.checked) == ("directions", 7)


def test_errors_that_cancel_in_a_sum_are_found() -> None:
    class Rotated(Linear, abstract=True):
        """y = x; the rule hands each element its neighbour's cotangent."""

        def infer(self, *xs: Any) -> Any:
            return cr.core.aval.aval_of(xs[0])

        def forward(self, *xs: Any) -> Any:
            return xs[0] + 0.0

        def transpose(self, ct: Any, x: Any, *constants: Any) -> Any:
            return cr.roll(ct, 1, 0)

    assert not gradcheck(lambda x: apply(Rotated(), x), normal(5), raise_on_failure=False).ok


def test_relu_at_zero_warns_and_does_not_fail() -> None:
    x = cr.tensor([-1.0, 0.0, 2.0])
    with pytest.warns(GradcheckKinkWarning, match=re.escape("x is at a kink at [1]")):
        result = gradcheck(cr.relu, x)
    assert result.ok
    assert result.arguments[0].kinks == ((1,),)
    assert result.checked == 2


@pytest.mark.parametrize(
    "f",
    [
        lambda x: cr.maximum(x, 1.0),
        lambda x: cr.abs(x - 1.0),
        cr.max,
        lambda x: cr.clip(x, 0.0, 1.0),
        cr.floor,
    ],
)
def test_ties_and_corners_warn(f: Any) -> None:
    with pytest.warns(GradcheckKinkWarning):
        assert gradcheck(f, cr.tensor([1.0, 1.0, 0.5])).ok


def test_a_kink_in_one_element_does_not_hide_a_wrong_rule_in_another() -> None:
    op = ScaledWrongly(1.0, 0.5)
    for n in (3, 100):
        x = np.linspace(1.0, 2.0, n)
        x[0] = 0.0
        with pytest.warns(GradcheckKinkWarning):
            result = gradcheck(
                lambda x: cr.relu(x) + apply(op, x), cr.tensor(x), raise_on_failure=False
            )
        assert not result.ok
        assert result.worst.index != (0,)


def test_a_point_close_to_a_kink_is_checked() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for distance in (1e-2, 1e-4, 1e-5):
            result = gradcheck(cr.relu, cr.tensor(np.array([distance, -distance])))
            assert result.checked == 2


def test_no_warning_where_a_function_is_smooth_but_curved() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradcheck(lambda x: x**4 + x * x, cr.tensor(np.array([0.0, 1e-6, 1.0]))).ok
        assert gradcheck(lambda x: 1.0 / x, cr.tensor(np.array([2e-3, -5e-4]))).ok


def test_nan_and_infinity_are_named() -> None:
    with pytest.raises(GradientCheckError, match="output 0 is not finite") as caught:
        gradcheck(cr.log, cr.tensor([1.0, -1.0]))
    assert "nan at [1], 1 of 2 elements" in str(caught.value)
    with pytest.raises(GradientCheckError, match="the gradient of x is not finite") as caught:
        gradcheck(cr.sqrt, cr.tensor([1.0, 0.0]))
    assert "inf at [1]" in str(caught.value)


def test_chance_is_detected() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(GradientCheckError, match="does not return the same value twice"):
        gradcheck(lambda x: x * float(rng.normal()), normal(3))


def test_random_numbers_of_the_default_generator_are_frozen_and_its_state_is_kept() -> None:
    cr.manual_seed(3)
    expected = cr.rand(2).tolist()
    cr.manual_seed(3)
    assert gradcheck(lambda x: cr.dropout(x, 0.5, True) * x, normal(20)).ok
    assert cr.rand(2).tolist() == expected


def test_a_detached_input_fails() -> None:
    with pytest.raises(GradientCheckError, match="no gradient arrived"):
        gradcheck(lambda x: x.detach() * 2.0, normal(3))


def test_an_input_that_is_not_used_passes() -> None:
    assert gradcheck(lambda x, unused: x * 2.0, (normal(3), normal(2))).ok


def test_integers_and_other_arguments_are_passed_on() -> None:
    index = cr.tensor([2, 0])
    result = gradcheck(lambda x, i, name: x[i] if name == "take" else x, (normal(3), index, "take"))
    assert [a.name for a in result.arguments] == ["x"]


def test_numpy_arrays_numbers_and_nested_inputs_are_checked() -> None:
    assert gradcheck(lambda x: x * x, np.array([1.0, 2.0])).checked == 2
    assert gradcheck(lambda x, y: x * cr.exp(y), (2.0, 0.5)).checked == 2
    result = gradcheck(lambda pair, more: pair[0] * pair[1] + more["a"], (
        [normal(2), normal(2, seed=1)], {"a": normal(2, seed=2)},
    ))  # fmt: skip
    assert [a.name for a in result.arguments] == ["pair[0]", "pair[1]", "more['a']"]


def test_several_outputs_are_checked_together() -> None:
    def wrong_second(x: Tensor) -> tuple[Tensor, Tensor]:
        return cr.sin(x), apply(ScaledWrongly(1.0, 0.1), x)

    assert gradcheck(lambda x: (cr.sin(x), cr.cos(x)), normal(3)).ok
    assert not gradcheck(wrong_second, normal(3), raise_on_failure=False).ok


def test_what_cannot_be_checked_is_said() -> None:
    with pytest.raises(ArgumentError, match="there is nothing to check"):
        gradcheck(lambda x: x, cr.tensor([1, 2]))
    with pytest.raises(GradientError, match="returned nothing that has a gradient"):
        gradcheck(lambda x: x.tolist(), normal(2))
    with pytest.raises(GradientError, match="returned nothing that has a gradient"):
        gradcheck(cr.argmax, normal(2))
    with pytest.raises(ArgumentError, match="positive tolerances"):
        gradcheck(cr.sin, normal(2), eps=0.0)


def test_empty_inputs_pass() -> None:
    assert gradcheck(lambda x: x * 2.0, cr.tensor(np.zeros((0, 3)))).checked == 0


def test_the_report_is_a_small_table() -> None:
    report = str(gradcheck(lambda x, y: x * y, (normal(2), normal(2, seed=1))))
    lines = report.splitlines()
    assert lines[0] == "gradcheck passed: 4 derivatives of 2 arguments"
    assert " ".join(lines[1].split()) == "argument shape checked worst error at analytic numeric"
    assert lines[2].split()[:2] == ["x", "(2,)"]
    failed = str(gradcheck(lambda x: apply(WrongAt(1, 2.0), x), normal(2), raise_on_failure=False))
    assert failed.startswith("gradcheck FAILED")
    assert "(1 wrong)" in failed


# Modules ------------------------------------------------------------------------------------------


def test_a_module_is_checked_with_all_its_parameters_and_left_untouched() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    before = {name: p.numpy().copy() for name, p in net.state_dict().items()}
    result = gradcheck(net, normal(5, 3))
    names = [a.name for a in result.arguments]
    assert names == ["x", "0.weight", "0.bias", "2.weight", "2.bias"]
    for name, p in net.named_parameters():
        assert p.dtype == np.float32
        assert p.grad is None
        assert p.requires_grad
        assert np.array_equal(p.detach().numpy(), before[name])


def test_a_wrong_parameter_gradient_is_reported_by_name() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.good = nn.Parameter(cr.tensor([1.0, 2.0]))
            self.bad = nn.Parameter(cr.tensor([3.0, 4.0]))

        def forward(self, x: Tensor) -> Tensor:
            return x * self.good + apply(WrongAt(1, -1.0), self.bad)

    with pytest.raises(GradientCheckError, match=re.escape("gradient of bad is wrong at [1]")):
        gradcheck(Scale(), normal(2))


def test_the_network_of_the_sources_passes() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, 10),
    )  # fmt: skip
    target = cr.tensor([3, 8])

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.cross_entropy(self.net(x), target)

    result = gradcheck(Loss(), cr.tensor(np.random.default_rng(0).uniform(size=(2, 1, 28, 28))))
    assert [a.name for a in result.arguments] == [
        "x",
        *(f"net.{i}.{name}" for i in (0, 3, 8) for name in ("weight", "bias")),
    ]


def test_frozen_parameters_are_not_checked() -> None:
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    names = [a.name for a in gradcheck(layer, normal(3, 2)).arguments]
    assert names[1:] == ["weight"]


def test_dropout_in_training_is_frozen() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    assert gradcheck(net.train(), normal(6, 4)).ok
    assert gradcheck(net.eval(), normal(6, 4)).ok


def test_batch_norm_is_checked_in_both_modes_and_keeps_its_statistics() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    before = net[1].running_mean.numpy().copy()
    assert gradcheck(net.train(), normal(8, 3)).ok
    assert gradcheck(net.eval(), normal(8, 3)).ok
    assert np.array_equal(net[1].running_mean.numpy(), before)
    assert not net.training


def test_a_module_without_float_inputs_is_checked_by_its_parameters() -> None:
    result = gradcheck(nn.Embedding(5, 3), cr.tensor([0, 2, 2]))
    assert [a.name for a in result.arguments] == ["weight"]


def test_shared_parameters_are_checked_once() -> None:
    layer = nn.Linear(3, 3)
    result = gradcheck(nn.Sequential(layer, nn.Tanh(), layer), normal(2, 3))
    assert [a.name for a in result.arguments][1:] == ["0.weight", "0.bias"]


# Second derivatives -------------------------------------------------------------------------------


def test_right_second_derivatives_pass() -> None:
    result = gradgradcheck(lambda x, w: cr.tanh(x @ w) ** 2, (normal(2, 3), normal(3, 2)))
    assert result.ok
    assert [a.name for a in result.arguments] == ["x", "w", "cotangent"]
    assert str(result).startswith("gradgradcheck passed")


def test_a_rule_right_in_first_order_and_wrong_in_second_fails() -> None:
    class Detached(Unary, abstract=True):
        """y = x³ with a slope that cannot be differentiated."""

        def forward(self, *xs: Any) -> Any:
            return xs[0] ** 3

        def slope(self, x: Any, y: Any) -> Any:
            return 3.0 * (x.detach() if isinstance(x, Tensor) else x) ** 2

    def f(x: Tensor) -> Tensor:
        return apply(Detached(), x)

    assert gradcheck(f, normal(3)).ok
    with pytest.raises(GradientCheckError, match="the gradient of x is wrong"):
        gradgradcheck(f, normal(3))


def test_second_derivatives_of_a_module_are_checked() -> None:
    assert gradgradcheck(
        nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), normal(3, 2)
    ).ok


def test_an_op_without_a_second_derivative_is_named() -> None:
    class Once(Unary, abstract=True):
        """y = x², whose derivative has none."""

        once = True

        def forward(self, *xs: Any) -> Any:
            return xs[0] ** 2

        def slope(self, x: Any, y: Any) -> Any:
            return 2.0 * x

    with pytest.raises(SecondOrderError, match="once has no second derivative"):
        gradgradcheck(lambda x: apply(Once(), x), normal(2))


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(ArgumentError, match="no function to check"):
        gradcheck(5, cr.ones(2))  # type: ignore[arg-type]  # meant
