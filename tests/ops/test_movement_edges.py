"""Movement at the edges: empty axes, numbers, negative sizes and steps, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import (
    ArgumentError,
    ChainruleError,
    DTypeError,
    IndexRangeError,
    ShapeError,
)
from chainrule.testing import gradcheck, gradgradcheck

RNG = np.random.default_rng(0)
X = RNG.normal(size=(2, 3, 4))

EQUAL_TO_NUMPY: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "reshape": (lambda x: cr.reshape(x, 4, -1), lambda x: x.reshape(4, -1)),
    "permute": (lambda x: cr.permute(x, 2, 0, -2), lambda x: x.transpose(2, 0, 1)),
    "transpose": (lambda x: cr.transpose(x, 0, -1), lambda x: x.swapaxes(0, -1)),
    "movedim": (lambda x: cr.movedim(x, (0, 1), (-1, 0)), lambda x: x.transpose(1, 2, 0)),
    "unsqueeze": (lambda x: cr.unsqueeze(x, -1), lambda x: x[..., None]),
    "squeeze": (lambda x: cr.squeeze(x[:1], 0), lambda x: x[0]),
    "flatten": (lambda x: cr.flatten(x, 1), lambda x: x.reshape(2, 12)),
    "unflatten": (lambda x: cr.unflatten(x, -1, (2, -1)), lambda x: x.reshape(2, 3, 2, 2)),
    "expand": (lambda x: cr.expand(x[:, :1], -1, 5, -1), lambda x: np.repeat(x[:, :1], 5, 1)),
    "expand in front": (lambda x: cr.expand(x, 2, 2, 3, 4), lambda x: np.stack([x, x])),
    "flip": (lambda x: cr.flip(x, 0, -1), lambda x: np.flip(x, (0, -1))),
    "flip all": (cr.flip, np.flip),
    "roll": (lambda x: cr.roll(x, (1, -5), (0, 2)), lambda x: np.roll(x, (1, -5), (0, 2))),
    "roll flat": (lambda x: cr.roll(x, 7), lambda x: np.roll(x, 7)),
    "pad": (
        lambda x: cr.pad(x, ((0, 1), (2, 0), (1, 1)), 0.5),
        lambda x: np.pad(x, ((0, 1), (2, 0), (1, 1)), constant_values=0.5),
    ),
    "pad that cuts": (
        lambda x: cr.pad(x, ((-1, 1), (0, -2), (1, -1))),
        lambda x: np.pad(x[1:, :1, :3], ((0, 1), (0, 0), (1, 0))),
    ),
    "slice": (lambda x: cr.slice_(x, (1, 2, 0), (1, 3, 2), (1, -1, 3)), lambda x: x[1:, ::-1, ::3]),
    "tile": (lambda x: cr.tile(x, 2, 1, 3), lambda x: np.tile(x, (2, 1, 3))),
    "tile in front": (lambda x: cr.tile(x, 2, 1, 1, 2), lambda x: np.tile(x, (2, 1, 1, 2))),
    "tile none": (lambda x: cr.tile(x, 0), lambda x: np.tile(x, 0)),
    "concatenate": (
        lambda x: cr.concatenate([x, x[:, :1]], 1),
        lambda x: np.concatenate([x, x[:, :1]], 1),
    ),
    "stack": (lambda x: cr.stack([x, 2 * x], -1), lambda x: np.stack([x, 2 * x], -1)),
    "split": (lambda x: cr.split(x, [1, 3], -1)[1], lambda x: x[..., 1:]),
    "chunk": (lambda x: cr.chunk(x, 3, 2)[-1], lambda x: x[..., 2:]),
    "unbind": (lambda x: cr.unbind(x, 1)[2], lambda x: x[:, 2]),
    "tril": (lambda x: cr.tril(x, -1), lambda x: np.tril(x, -1)),
    "triu": (lambda x: cr.triu(x, 1), lambda x: np.triu(x, 1)),
    "diagonal": (lambda x: cr.diagonal(x, 1, 1, 2), lambda x: np.diagonal(x, 1, 1, 2)),
    "diagonal below": (lambda x: cr.diagonal(x, -1, 2, 0), lambda x: np.diagonal(x, -1, 2, 0)),
    "diagonal beyond": (lambda x: cr.diagonal(x, 9, 1, 2), lambda x: np.diagonal(x, 9, 1, 2)),
    "diag": (lambda x: cr.diag(x[0, 0], -1), lambda x: np.diag(x[0, 0], -1)),
    "diag of matrix": (lambda x: cr.diag(x[0], 1), lambda x: np.diag(x[0], 1)),
}  # fmt: skip
for _mode, _name in [
    ("reflect", "reflect"), ("symmetric", "symmetric"), ("replicate", "edge"), ("circular", "wrap"),
]:  # fmt: skip
    EQUAL_TO_NUMPY[f"pad {_mode}"] = (
        lambda x, mode=_mode: cr.pad_mode(x, ((1, 0), (5, 2), (0, 9)), mode),  # type: ignore[misc]
        lambda x, name=_name: np.pad(x, ((1, 0), (5, 2), (0, 9)), name),  # type: ignore[misc]
    )


@pytest.mark.parametrize("name", EQUAL_TO_NUMPY)
def test_movement_equals_numpy_and_its_derivatives_are_right(name: str) -> None:
    ours, numpys = EQUAL_TO_NUMPY[name]
    expected = numpys(X)
    result = ours(cr.tensor(X))
    assert result.shape == expected.shape
    assert np.array_equal(result.numpy(), expected)
    assert np.array_equal(ours(X), expected), "arrays in, arrays out"
    gradcheck(lambda x: ours(x) ** 2, X)
    gradgradcheck(lambda x: ours(x) ** 3, X)


@pytest.mark.parametrize("size", [(0,), (0, 3), (2, 0, 3)])
def test_empty_tensors_move_and_have_empty_gradients(size: tuple[int, ...]) -> None:
    x = cr.tensor(np.zeros(size), requires_grad=True)
    y = cr.tile(cr.flip(cr.roll(cr.unsqueeze(x, 0), 1)), 2)
    z = cr.concatenate([cr.reshape(y, 0, 2), cr.tensor(np.ones((1, 2)))])
    z.sum().backward()
    assert x.grad is not None
    assert x.grad.shape == size


def test_numbers_have_no_axes_but_can_get_some() -> None:
    x = cr.tensor(2.0, requires_grad=True)
    y = cr.expand(cr.flip(cr.roll(cr.permute(cr.squeeze(x)), 3)), 3)
    assert y.shape == (3,)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == 3.0
    assert cr.flatten(x).shape == (1,)
    assert cr.stack([x, x]).shape == (2,)


def test_every_part_of_a_split_contributes_and_unused_parts_count_as_zero() -> None:
    x = cr.tensor(np.arange(6.0), requires_grad=True)
    first, _, last = cr.split(x, 2)
    (first.sum() + 10 * (last**2).sum()).backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 1.0, 0.0, 0.0, 80.0, 100.0]


def test_split_sizes_follow_pytorch() -> None:
    x = cr.tensor(np.zeros((7, 2)))
    assert [part.shape[0] for part in cr.split(x, 3)] == [3, 3, 1]
    assert [part.shape[0] for part in cr.split(x, [0, 7])] == [0, 7]
    assert [part.shape[0] for part in cr.chunk(x, 3)] == [3, 3, 1]
    assert [part.shape[0] for part in cr.chunk(x, 5)] == [2, 2, 2, 1]
    assert [part.shape for part in cr.split(cr.tensor(np.zeros(0)), 3)] == [(0,)]
    assert cr.unbind(cr.tensor(np.zeros((0, 2)))) == ()


def test_joining_promotes_and_passes_no_gradient_to_integers() -> None:
    x = cr.tensor([1.0], requires_grad=True)
    y = cr.concatenate([cr.tensor([2]), x])
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0]


def test_a_tensor_joined_with_itself_gets_the_sum() -> None:
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    (cr.stack([x, x, x]) * cr.tensor([[1.0], [2.0], [4.0]])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [7.0, 7.0]


def test_results_do_not_change_when_the_source_is_reassigned() -> None:
    x = cr.tensor(np.arange(6.0))
    views = [
        x[1:3], x.reshape(2, 3), cr.flip(x), cr.expand(x, 2, 6), cr.split(x, 3)[0],
        cr.cast(x, x.dtype), cr.permute(x, 0), cr.identity(x),
    ]  # fmt: skip
    before = [view.numpy() for view in views]
    x[1] = 100.0
    x.add_(1.0)
    for view, old in zip(views, before, strict=True):
        assert np.array_equal(view.numpy(), old)


def test_cast_changes_the_type_and_passes_gradients_in_the_source_type() -> None:
    x = cr.tensor(np.array([1.5, -2.5]), requires_grad=True)
    y = cr.cast(x, np.float32)
    assert y.dtype == np.float32
    (y**2).sum().backward()
    assert x.grad is not None
    assert x.grad.dtype == np.float64
    assert x.grad.tolist() == [3.0, -5.0]
    whole = cr.cast(x, np.int64)
    assert whole.tolist() == [1, -2]
    assert not whole.requires_grad


@pytest.mark.parametrize("dtype", ["complex64", "U3", object, ">f4", "no such type", "datetime64"])
def test_cast_refuses_types_that_cannot_be_computed_with(dtype: Any) -> None:
    with pytest.raises(DTypeError) as info:
        cr.cast(cr.tensor([1.0]), dtype)
    assert "test_movement_edges.py" in (info.value.at or "")


REFUSED: dict[str, tuple[Callable[[Any], Any], type[ChainruleError]]] = {
    "reshape to another size": (lambda x: cr.reshape(x, 5, 5), ShapeError),
    "reshape with two holes": (lambda x: cr.reshape(x, -1, -1), ShapeError),
    "reshape with a hole that does not divide": (lambda x: cr.reshape(x, 5, -1), ShapeError),
    "reshape to a negative size": (lambda x: cr.reshape(x, -2, 12), ShapeError),
    "permute too few axes": (lambda x: cr.permute(x, 1, 0), ShapeError),
    "permute one axis twice": (lambda x: cr.permute(x, 0, 0, 1), ShapeError),
    "permute an axis out of range": (lambda x: cr.permute(x, 0, 1, 3), IndexRangeError),
    "transpose an axis out of range": (lambda x: cr.transpose(x, 0, 3), IndexRangeError),
    "movedim with unequal lists": (lambda x: cr.movedim(x, (0, 1), 0), ShapeError),
    "unsqueeze out of range": (lambda x: cr.unsqueeze(x, 5), IndexRangeError),
    "flatten backwards": (lambda x: cr.flatten(x, 2, 0), ShapeError),
    "expand an axis that is not one": (lambda x: cr.expand(x, 2, 6, 4), ShapeError),
    "expand to fewer axes": (lambda x: cr.expand(x, 3, 4), ShapeError),
    "expand a new axis by -1": (lambda x: cr.expand(x, -1, 2, 3, 4), ShapeError),
    "flip an axis out of range": (lambda x: cr.flip(x, 3), IndexRangeError),
    "roll with unequal lists": (lambda x: cr.roll(x, (1, 2), 0), ArgumentError),
    "pad with too few pairs": (lambda x: cr.pad(x, ((1, 1),)), ShapeError),
    "pad that cuts more than there is": (
        lambda x: cr.pad(x, ((-2, -1), (0, 0), (0, 0))),
        ShapeError,
    ),
    "pad in an unknown way": (lambda x: cr.pad_mode(x, ((1, 1),) * 3, "nearest"), ArgumentError),
    "pad from nothing": (lambda x: cr.pad_mode(x[:0], ((1, 1),) * 3), ShapeError),
    "slice outside": (lambda x: cr.slice_(x, (0, 0, 3), (1, 1, 2)), IndexRangeError),
    "slice too few axes": (lambda x: cr.slice_(x, (0,), (1,)), ShapeError),
    "concatenate nothing": (lambda _: cr.concatenate([]), ArgumentError),
    "concatenate numbers": (lambda x: cr.concatenate([x[0, 0, 0], x[0, 0, 1]]), ShapeError),
    "concatenate unequal shapes": (lambda x: cr.concatenate([x, x[:, :2]]), ShapeError),
    "concatenate unequal axes": (lambda x: cr.concatenate([x, x[0]]), ShapeError),
    "stack unequal shapes": (lambda x: cr.stack([x, x[:1]]), ShapeError),
    "split by nothing": (lambda x: cr.split(x, 0), ArgumentError),
    "split into sizes that do not add up": (lambda x: cr.split(x, [1, 2], 2), ShapeError),
    "chunk into nothing": (lambda x: cr.chunk(x, 0), ArgumentError),
    "unbind a number": (lambda x: cr.unbind(x[0, 0, 0]), ShapeError),
    "tile a negative number of times": (lambda x: cr.tile(x, -1), ArgumentError),
    "triangle of a vector": (lambda x: cr.tril(x[0, 0]), ShapeError),
    "diagonal of one axis": (lambda x: cr.diagonal(x, 0, 1, 1), ShapeError),
    "diag of three dimensions": (cr.diag, ShapeError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_a_named_error_of_at_most_five_lines(name: str) -> None:
    attempt, error = REFUSED[name]
    with pytest.raises(error) as info:
        attempt(cr.tensor(X))
    assert len(str(info.value).splitlines()) <= 5


@pytest.mark.parametrize(
    "attempt",
    [
        lambda x: cr.expand(x, 2**40, 2**40),
        lambda x: cr.tile(x, 2**40, 2**40),
        lambda x: cr.pad(x, ((2**62, 0),)),
        lambda x: cr.one_hot(cr.cast(x, np.int64), 2**60),
        lambda _: cr.rand(2**40, 2**40),
        lambda _: cr.zeros(2**40, 2**40),
    ],
)
def test_a_tensor_too_large_to_exist_is_refused_before_anything_is_allocated(attempt: Any) -> None:
    with pytest.raises((ChainruleError, MemoryError)):
        attempt(cr.tensor([1.0]))


def test_expand_and_split_name_the_sizes_that_were_asked_for_as_got() -> None:
    with pytest.raises(ShapeError) as caught:
        cr.expand(cr.zeros(2, 3), 4, 3)
    assert "(2, 3)" in str(caught.value.expected)
    assert caught.value.got == "(4, 3)"
    with pytest.raises(ShapeError) as caught:
        cr.split(cr.zeros(5), [2, 2])
    assert "sizes of 5 in all" in str(caught.value.expected)
    assert caught.value.got == "(2, 2), 4 in all"


@pytest.mark.parametrize("f", [cr.softmax, cr.sum, cr.unsqueeze])
def test_an_axis_that_is_no_integer_is_refused(f: Any) -> None:
    with pytest.raises(ArgumentError, match="an axis is an integer"):
        f(cr.zeros(2, 3), 1.0)
