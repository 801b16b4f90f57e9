"""Tensor: construction, types, printing, conversion, and mistakes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, GradientError, ShapeError, TracingError


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, "float32", ()),
        (3, "int64", ()),
        (True, "bool", ()),
        ([1, 2.0], "float32", (2,)),
        ([[1, 2], [3, 4]], "int64", (2, 2)),
        (np.ones(2), "float64", (2,)),
        (np.float64(2), "float64", ()),
        ([np.float64(2), 1], "float64", (2,)),
        (np.ones(2, np.float32), "float32", (2,)),
        (np.ones(2, np.uint8), "uint8", (2,)),
        ([], "float32", (0,)),
    ],
)
def test_dtype_and_shape_of_data(data, dtype: str, shape: tuple[int, ...]) -> None:
    x = cr.tensor(data)
    assert (str(x.dtype), x.shape) == (dtype, shape)


def test_a_list_of_tensors_is_stacked() -> None:
    rows = [cr.tensor([1.0, 2.0]), cr.tensor([3.0, 4.0])]
    assert cr.tensor(rows).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_data_are_copied_in_and_out() -> None:
    array = np.zeros(2)
    x = cr.tensor(array)
    y = cr.from_numpy(array)
    array[0] = 1
    out = x.numpy()
    out[1] = 1
    assert x.tolist() == y.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "data", ["text", [b"x"], [None], object(), np.array(["a"]), np.ones(2, dtype=">f4"), 1 + 2j]
)
def test_data_that_are_not_numbers_are_refused(data) -> None:
    with pytest.raises(DTypeError):
        cr.tensor(data)


def test_ragged_sequences_are_refused() -> None:
    with pytest.raises(ShapeError):
        cr.tensor([[1, 2], [3]])


def test_integers_have_no_gradient() -> None:
    with pytest.raises(DTypeError, match="floating"):
        cr.tensor([1, 2], requires_grad=True)


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (lambda: cr.tensor([1.0, 2.0]), "tensor([1., 2.])"),
        (lambda: cr.tensor([0.0, 0.76159]), "tensor([0.0000, 0.7616])"),
        (lambda: cr.tensor([1, 2]), "tensor([1, 2])"),
        (lambda: cr.tensor(2.5), "tensor(2.5000)"),
        (lambda: cr.tensor([True, False]), "tensor([True, False])"),
        (lambda: cr.tensor([1e-9, 1.0]), "tensor([1.0000e-09, 1.0000e+00])"),
        (lambda: cr.tensor([1.0, float("nan"), float("inf")]), "tensor([ 1., nan, inf])"),
        (lambda: cr.ones(1, dtype=cr.float64), "tensor([1.], dtype=float64)"),
        (lambda: cr.ones(1, requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: cr.ones(1, requires_grad=True) * 2, "tensor([2.], grad_fn=<mul>)"),
        (lambda: cr.zeros(2, 0), "tensor([], size=(2, 0))"),
    ],
)
def test_printing(x, text: str) -> None:
    assert repr(x()) == text


def test_python_numbers_do_not_widen() -> None:
    x = cr.ones(2)
    for y in (x + 1, x * 2.5, 1 / x, 2 - x, x**2, 2**x, x / 3, -x, abs(x)):
        assert y.dtype == cr.float32


@pytest.mark.parametrize(
    ("a", "b", "dtype"),
    [
        (cr.ones(2), cr.ones(2, dtype=cr.float64), "float64"),
        (cr.ones(2), cr.arange(2), "float32"),
        (cr.ones(2), cr.tensor(1.0, dtype=cr.float64), "float32"),
        (cr.ones(2, dtype=cr.int32), cr.arange(2), "int64"),
        (cr.arange(2), 1.5, "float32"),
        (cr.tensor([True]), 1, "int64"),
    ],
)
def test_promotion_is_pytorchs(a, b, dtype: str) -> None:
    assert str((a * b).dtype) == dtype
    assert str((b * a).dtype) == dtype


def test_gradient_comes_back_in_the_dtype_and_shape_of_its_tensor() -> None:
    x = cr.ones(3, requires_grad=True)
    y = cr.ones((2, 1), dtype=cr.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, x.grad.shape) == (cr.float32, (3,))
    assert (y.grad.dtype, y.grad.shape) == (cr.float64, (2, 1))


def test_conversion_to_python() -> None:
    x = cr.tensor(2.5)
    assert (float(x), int(x), bool(x), x.item()) == (2.5, 2, True, 2.5)
    assert [10, 20, 30][cr.tensor(1)] == 20
    assert len(cr.ones(3, 2)) == 3
    assert [row.tolist() for row in cr.ones(2, 1)] == [[1.0], [1.0]]
    assert 1.0 in cr.ones(2)
    with pytest.raises(ShapeError, match="one element"):
        cr.ones(2).item()
    with pytest.raises(TypeError):
        len(cr.tensor(1.0))
    with pytest.raises(DTypeError):
        [1, 2][cr.tensor(1.0)]


def test_truth_of_many_elements_is_refused() -> None:
    with pytest.raises(ShapeError):
        bool(cr.ones(2))


def test_numpy_of_a_recorded_tensor_is_refused_unless_detached() -> None:
    x = cr.ones(2, requires_grad=True)
    with pytest.raises(GradientError, match="detach"):
        x.numpy()
    assert x.detach().numpy().tolist() == [1.0, 1.0]
    with cr.no_grad():
        assert x.numpy().tolist() == [1.0, 1.0]


def test_equality_is_elementwise_and_tensors_are_hashable_by_identity() -> None:
    a, b = cr.tensor([1.0, 2.0]), cr.tensor([1.0, 3.0])
    assert (a == b).tolist() == [True, False]
    assert (a != b).tolist() == [False, True]
    assert len({a, b, a}) == 2


def test_deep_copy_of_a_leaf_is_a_leaf_of_its_own() -> None:
    x = cr.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    twin = copy.deepcopy(x)
    assert twin.requires_grad
    assert twin.grad.tolist() == [2.0, 2.0]
    with cr.no_grad():
        twin.mul_(5)
    assert x.tolist() == [1.0, 1.0]
    with pytest.raises(GradientError):
        copy.deepcopy(x * 2)


def test_tensors_are_not_pickled() -> None:
    with pytest.raises(TypeError, match="safetensors"):
        pickle.dumps(cr.ones(2))


def test_devices() -> None:
    x = cr.ones(2)
    assert x.to("cpu") is x
    assert x.cpu() is x
    assert x.to(cr.float64).dtype == cr.float64
    with pytest.raises(ArgumentError, match="device"):
        x.to("cuda")


def test_creation() -> None:
    assert cr.zeros(2, 3).shape == cr.zeros((2, 3)).shape == cr.zeros([2, 3]).shape == (2, 3)
    assert cr.full((2,), 3).dtype == cr.int64
    assert cr.full((2,), 3.5).tolist() == [3.5, 3.5]
    assert cr.arange(1, 10, 4).tolist() == [1, 5, 9]
    assert cr.arange(0, 1, 0.25).tolist() == [0.0, 0.25, 0.5, 0.75]
    assert cr.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert cr.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
    assert cr.eye(2, 3).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert cr.ones_like(cr.zeros(2, dtype=cr.int32)).dtype == cr.int32
    with pytest.raises(ShapeError, match="negative"):
        cr.zeros(-1)
    with pytest.raises(ShapeError, match="memory"):
        cr.zeros(2**40, 2**40)
    with pytest.raises(ArgumentError, match="step"):
        cr.arange(0, 1, 0)


def test_default_dtype_can_be_changed_and_is_checked() -> None:
    cr.set_default_dtype(cr.float64)
    try:
        assert cr.tensor(1.0).dtype == cr.zeros(1).dtype == cr.rand(1).dtype == cr.float64
    finally:
        cr.set_default_dtype(cr.float32)
    with pytest.raises(ValueError, match="default dtype"):
        cr.set_default_dtype(cr.int64)


def test_random_tensors_can_want_gradients() -> None:
    assert cr.randn(2, 3, requires_grad=True).requires_grad
    assert cr.rand(2, requires_grad=True).is_leaf


def test_a_tensor_in_a_boolean_or_bitwise_operator() -> None:
    assert (cr.tensor([5, 6]) & cr.tensor([3, 3])).tolist() == [1, 2]
    assert (cr.tensor([5]) | 2).tolist() == [7]
    assert (cr.tensor([5]) ^ cr.tensor([1])).tolist() == [4]
    assert (~cr.tensor([1, 2])).tolist() == [-2, -3]
    mask = cr.tensor([True, False])
    assert (~mask).tolist() == [False, True]
    for combined in (True & mask, mask & True, mask & np.True_):
        assert combined.tolist() == [True, False]
        assert combined.dtype == cr.bool_
    assert (False | mask).tolist() == [True, False]
    assert (True ^ mask).tolist() == [False, True]
    for call in (lambda: cr.ones(2) & mask, lambda: ~cr.ones(2)):
        with pytest.raises(DTypeError, match="integers"):
            call()


def test_numbers_on_the_left_of_division_with_remainder() -> None:
    t = cr.tensor([2, 4])
    assert (7 // t).tolist() == [3, 1]
    assert (7 % t).tolist() == [1, 3]
    assert [part.tolist() for part in divmod(t, 3)] == [[0, 1], [2, 1]]
    assert [part.tolist() for part in divmod(7, t)] == [[3, 1], [1, 3]]


def test_equality_with_none_is_one_truth_value() -> None:
    x = cr.ones(2)
    assert (x == None) is False  # noqa: E711  on purpose
    assert (x != None) is True  # noqa: E711  on purpose


@pytest.mark.parametrize("number", [np.float64(2.0), np.sqrt(np.float64(4.0)), np.int64(2)])
def test_numpy_numbers_do_not_widen(number) -> None:
    x = cr.tensor(1.5)
    for y in (x * number, number * x, x + number, number - x, x / number, number / x, x**number):
        assert y.dtype == cr.float32
    assert (cr.arange(3) * np.float32(2.0)).dtype == cr.float32
    x *= number
    assert x.item() == 3.0


def test_formatting_a_number_takes_a_specification() -> None:
    loss = cr.tensor(0.12345)
    assert f"{loss:.3f}" == "0.123"
    assert f"{cr.tensor(3):>4}" == "   3"
    assert f"{cr.ones(2)}" == "tensor([1., 1.])"
    with pytest.raises(TypeError):
        f"{cr.ones(2):.3f}"


def test_sizes_are_whole_numbers() -> None:
    assert cr.zeros(np.int64(2), cr.tensor(3)).shape == (2, 3)
    for call in (lambda: cr.zeros(2.5), lambda: cr.ones((2, 1.0)), lambda: cr.full(2.5, 1.0)):
        with pytest.raises(ShapeError, match="whole"):
            call()


def test_a_number_that_its_dtype_cannot_hold_is_refused() -> None:
    with pytest.raises(DTypeError, match="300"):
        cr.tensor([300], dtype=cr.uint8)


def test_a_shallow_copy_is_a_cell_of_its_own() -> None:
    x = cr.ones(2, requires_grad=True)
    twin = copy.copy(x)
    assert twin.requires_grad
    assert twin.is_leaf
    with cr.no_grad():
        twin.mul_(5)
    assert x.tolist() == [1.0, 1.0]
    y = copy.copy(x * 2)
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_deep_copies_of_handles_and_views_are_tensors() -> None:
    x = cr.ones(2, requires_grad=True)
    for twin in (copy.deepcopy(x.data), copy.deepcopy(x.detach()), copy.copy(x.data)):
        twin.zero_()
        assert type(twin) is cr.Tensor
        assert twin.tolist() == [0.0, 0.0]
    assert x.tolist() == [1.0, 1.0]


def test_parameters_take_attributes_and_keep_them_in_copies() -> None:
    p = cr.nn.Parameter(cr.ones(2))
    p.tag = [1]
    twin = copy.deepcopy(p)
    assert type(twin) is cr.nn.Parameter
    assert twin.tag == [1]
    assert twin.tag is not p.tag
    assert copy.copy(p).tag is p.tag


@pytest.mark.parametrize("value", [np.ones(2, np.float32), 1.0, [1.0, 1.0]])
def test_a_gradient_is_a_tensor(value) -> None:
    x = cr.ones(2, requires_grad=True)
    with pytest.raises(DTypeError, match="tensor"):
        x.grad = value


def test_a_gradient_has_the_dtype_of_its_tensor() -> None:
    x = cr.ones(2, requires_grad=True)
    with pytest.raises(DTypeError, match="dtype"):
        x.grad = cr.ones(2, dtype=cr.float64)


def test_an_error_of_ours_inside_data_is_not_renamed() -> None:
    class Unreadable:
        def __array__(self, dtype=None, copy=None):
            raise TracingError("no numbers yet")

    with pytest.raises(TracingError, match="no numbers yet"):
        cr.tensor([Unreadable()])


def test_comparison_methods_are_the_operators() -> None:
    x = cr.tensor([3.0, 2.0])
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        method, operator = getattr(x, name), getattr(x, f"__{name}__")
        assert method(2).tolist() == operator(2).tolist()
    assert x.argsort().tolist() == [1, 0]
    assert [part.item() for part in x.unbind()] == [3.0, 2.0]
