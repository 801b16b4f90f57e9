"""Tensors as cells: in-place changes, handles, views, and what they do to the tape."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import DTypeError, GradientError, InPlaceError, ShapeError


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


# Taking over a value ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["copy_", "assign_", "fill_"])
def test_taking_over_a_tracked_tensor_makes_a_node_of_its_own(method: str) -> None:
    w = cr.tensor(3.0, dtype=cr.float64, requires_grad=True)
    y = w * 2
    b = cr.zeros((), dtype=cr.float64)
    getattr(b, method)(y)
    seen = []
    b.register_hook(lambda g: seen.append(g.item()))
    loss = b + 10 * y
    assert cr.gradients(loss, b, retain_graph=True)[0].item() == 1.0
    loss.backward()
    assert w.grad.item() == 22.0
    assert seen[-1] == 1.0
    assert y.grad is None


def test_taking_over_a_leaf_is_a_computation() -> None:
    w = leaf(1.0, 2.0)
    b = cr.zeros(2, dtype=cr.float64)
    b.copy_(w)
    assert not b.is_leaf
    (b * 3).sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]
    assert b.grad is None


@pytest.mark.parametrize("method", ["copy_", "assign_"])
def test_the_callers_array_is_copied(method: str) -> None:
    array = np.ones(2, np.float32)
    x = cr.zeros(2)
    getattr(x, method)(array)
    array[0] = 9.0
    assert x.tolist() == [1.0, 1.0]


def test_numbers_keep_their_precision_when_they_are_assigned() -> None:
    x = cr.zeros(2, dtype=cr.float64)
    assert x.fill_(0.1).tolist() == [0.1, 0.1]
    assert x.copy_([0.2, 0.3]).tolist() == [0.2, 0.3]


def test_retained_gradients_follow_the_cell() -> None:
    h = leaf(1.0) * 1
    h.retain_grad()
    h *= 3
    (h * 5).sum().backward()
    assert h.grad.tolist() == [5.0]


# Types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda i: i.__itruediv__(2),
        lambda i: i.__iadd__(0.5),
        lambda i: i.mul_(1.5),
        lambda i: i.div_(2),
        lambda i: i.add_(1, alpha=0.5),
        lambda i: i.clamp_(0.5, 1.5),
        lambda i: i.__ipow__(0.5),
    ],
)
def test_integers_do_not_silently_lose_a_fraction(change) -> None:
    i = cr.tensor([1, 2, 3])
    with pytest.raises(DTypeError, match="float32"):
        change(i)
    assert i.tolist() == [1, 2, 3]


def test_truth_values_do_not_silently_become_numbers() -> None:
    with pytest.raises(DTypeError, match="int64"):
        cr.tensor([True]).add_(1)


def test_smaller_types_of_one_category_are_kept_in_place() -> None:
    assert (cr.tensor([1], dtype=cr.uint8).add_(cr.tensor([2]))).dtype == cr.uint8
    assert cr.ones(1).mul_(cr.ones(1, dtype=cr.float64)).dtype == cr.float32
    assert cr.tensor([1, 2]).fill_(1.5).tolist() == [1, 1]


def test_every_augmented_operator_changes_the_cell() -> None:
    def check(start, change, expected) -> None:
        x = cr.tensor(start)
        other = x
        x = change(x)
        assert x is other
        assert other.tolist() == expected

    check([3.0], lambda x: x.__ipow__(2), [9.0])
    check([7], lambda x: x.__ifloordiv__(2), [3])
    check([7], lambda x: x.__imod__(4), [3])
    check([5], lambda x: x.__iand__(3), [1])
    check([True, False], lambda x: x.__ior__(cr.tensor([False, True])), [True, True])
    check([5], lambda x: x.__ixor__(1), [4])
    eye = [[1.0, 0.0], [0.0, 1.0]]
    check(eye, lambda x: x.__imatmul__(cr.eye(2) * 2), [[2.0, 0.0], [0.0, 2.0]])


# Handles ------------------------------------------------------------------------------------------


def test_data_is_a_handle_on_the_same_cell() -> None:
    w = leaf(3.0, -3.0)
    handle = w.data
    w.data.clamp_(-1, 1)
    assert w.tolist() == handle.tolist() == [1.0, -1.0]
    w.data[0] = 5.0
    w.data -= 1.0
    assert w.tolist() == handle.tolist() == [4.0, -2.0]
    assert w.requires_grad
    assert not handle.requires_grad


def test_a_handle_records_nothing_for_its_tensor() -> None:
    w, v = leaf(3.0), leaf(2.0)
    w.data.mul_(v)
    assert w.tolist() == [6.0]
    assert w.is_leaf
    assert not w.data.requires_grad


def test_assigning_data_leaves_earlier_handles_their_array() -> None:
    p = leaf(1.0, 2.0)
    old = p.data
    p.data = p.data * 0
    assert p.tolist() == [0.0, 0.0]
    assert old.tolist() == [1.0, 2.0]
    old.mul_(2)
    assert p.tolist() == [0.0, 0.0]
    p.data = old
    assert p.tolist() == [2.0, 4.0]


def test_assigned_data_may_have_another_shape_and_dtype() -> None:
    p = leaf(1.0, 2.0)
    p.grad = cr.ones(2, dtype=cr.float64)
    p.data = cr.ones(3)
    assert (p.shape, p.dtype, p.grad) == ((3,), cr.float32, None)
    (p * cr.ones(2, 3, dtype=cr.float64)).sum().backward()
    assert (p.grad.dtype, p.grad.tolist()) == (cr.float32, [2.0, 2.0, 2.0])


def test_assigned_data_must_fit() -> None:
    p = leaf(1.0)
    with pytest.raises(DTypeError, match="floating"):
        p.data = cr.tensor([1])
    h = p * 2
    with pytest.raises(ShapeError, match="computed"):
        h.data = cr.ones(3)
    h.data = cr.zeros(1, dtype=cr.float64)
    assert h.tolist() == [0.0]
    array = np.ones(1)
    p.data = array
    array[0] = 7.0
    assert p.tolist() == [1.0]


# Views --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[0].zero_(),
        lambda x: x[0][1].zero_(),
        lambda x: x.view(-1).mul_(2),
        lambda x: x.T.add_(1),
        lambda x: x[:, 0].copy_(cr.zeros(2)),
        lambda x: x[0].data.zero_(),
        lambda x: x.data[0].zero_(),
        lambda x: x[0].detach().zero_(),
        lambda x: x.detach().zero_(),
        lambda x: x.chunk(2)[0].zero_(),
        lambda x: x[0].__setitem__(0, 5.0),
        lambda x: x[0].data.__isub__(1.0),
        lambda x: next(iter(x)).zero_(),
    ],
)
def test_in_place_on_a_part_of_a_living_tensor_shows_the_assignment_to_write(change) -> None:
    x = cr.ones(2, 2)
    with pytest.raises(InPlaceError, match="assign instead"):
        change(x)
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_view_that_outlived_its_tensor_can_be_changed() -> None:
    m = cr.arange(6).reshape(2, 3)
    m[0] = 9
    assert m.tolist() == [[9, 9, 9], [3, 4, 5]]
    twos = cr.ones(3).unsqueeze(0).mul_(2)
    assert twos.tolist() == [[2.0, 2.0, 2.0]]
    w = cr.zeros(2, 3)
    w = w.t()
    gc.collect()
    w.fill_(3.0)
    assert w.tolist() == [[3.0, 3.0]] * 3
    part = cr.ones(6).reshape(2, 3)
    with pytest.raises(InPlaceError):
        part[0].zero_()
    m += 1
    assert m[0].tolist() == [10, 10, 10]


def test_an_augmented_assignment_to_a_part_reaches_its_tensor() -> None:
    x = cr.ones(4)
    x[0] += 1
    x[1:3] *= 5
    assert x.tolist() == [2.0, 5.0, 5.0, 1.0]


def test_an_augmented_assignment_to_a_named_part_is_a_value_of_its_own() -> None:
    x = cr.ones(2)
    v = x[0:1]
    v += 1
    assert v.tolist() == [2.0]
    assert x.tolist() == [1.0, 1.0]


def test_detach_in_place_cuts_the_graph_of_the_cell() -> None:
    h = leaf(2.0) * 3
    assert h.detach_() is h
    assert h.is_leaf
    assert not h.requires_grad
    h.add_(1)
    assert h.tolist() == [7.0]
    with pytest.raises(GradientError):
        h.backward()


def test_a_leaf_that_stopped_wanting_a_gradient_gets_none() -> None:
    x, w = leaf(2.0), leaf(3.0)
    y = (x * w).sum()
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None
    assert w.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    "part",
    [
        lambda x: cr.reshape(x, (4,)),
        lambda x: cr.transpose(x, 0, 1),
        lambda x: cr.unsqueeze(x, 0),
        lambda x: cr.split(x, 1)[0],
        lambda x: cr.unbind(x)[1],
        lambda x: np.reshape(x, (4,)),
    ],
)
def test_in_place_on_a_part_made_by_a_function_is_refused_too(part) -> None:
    x = cr.ones(2, 2)
    view = part(x)
    with pytest.raises(InPlaceError):
        view.zero_()
    assert x.tolist() == [[1.0, 1.0], [1.0, 1.0]]
