"""The tape: what is recorded, what is kept, what is freed, and walks over it."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import FreedGraphError, GradientError, InPlaceError, ShapeError


def leaf(*values: float) -> cr.Tensor:
    return cr.tensor(values, dtype=cr.float64, requires_grad=True)


def test_a_million_operations_backpropagate_without_recursion() -> None:
    x = cr.tensor(1.0, dtype=cr.float64, requires_grad=True)
    y = x
    for _ in range(1_000_000):
        y = y * 1.000001
    y.backward()
    assert x.grad.item() == pytest.approx(1.000001**1_000_000, rel=1e-9)
    del y
    gc.collect()


def test_shared_input_accumulates() -> None:
    x = leaf(2.0, 3.0)
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_the_same_operand_twice_counts_twice() -> None:
    x = leaf(3.0)
    (x + x).sum().backward()
    assert x.grad.tolist() == [2.0]


def test_diamond_is_walked_once_per_node() -> None:
    """2⁵⁰ paths, 100 nodes."""
    x = leaf(1.0)
    y = x
    for _ in range(50):
        y = y + y
    y.sum().backward()
    assert x.grad.tolist() == [2.0**50]


def test_residual_branch_adds_the_skip_gradient() -> None:
    x, w = leaf(2.0), leaf(5.0)
    (x + w * x).sum().backward()
    assert x.grad.tolist() == [6.0]
    assert w.grad.tolist() == [2.0]


def test_grad_accumulates_over_backward_calls() -> None:
    x = leaf(1.0)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0]


def test_second_backward_of_a_freed_graph_is_a_named_error_and_changes_nothing() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward()
    before = x.grad.tolist()
    with pytest.raises(FreedGraphError, match="retain_graph"):
        y.backward()
    assert x.grad.tolist() == before


def test_retain_graph_allows_a_second_backward() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8.0]


def test_a_trunk_that_saves_nothing_serves_two_losses() -> None:
    x = leaf(1.0, 2.0)
    trunk = x + 1
    trunk.sum().backward()
    trunk.mean().backward()
    assert x.grad.tolist() == [1.5, 1.5]


def test_residuals_are_freed_as_backward_passes() -> None:
    x = leaf(2.0)
    y = x.exp()
    kept = weakref.ref(y.node)
    assert kept().y is not None
    y.sum().backward()
    assert kept().y is None


def test_an_intermediate_that_backward_does_not_need_is_released() -> None:
    x = leaf(1.0)
    h = x + 1
    array = weakref.ref(h.array)
    z = h * 2
    del h
    gc.collect()
    assert array() is None, "a product with a constant needs neither factor"
    z.sum().backward()
    assert x.grad.tolist() == [2.0]


def test_constants_get_no_gradient_and_no_node() -> None:
    image, w = cr.ones(3, dtype=cr.float64), leaf(1.0, 2.0, 3.0)
    (image * w).sum().backward()
    assert image.grad is None
    assert not image.requires_grad


def test_no_grad_records_nothing() -> None:
    x = leaf(1.0)
    with cr.no_grad():
        y = x * 2
        with cr.enable_grad():
            z = x * 2
    assert not y.requires_grad
    assert z.requires_grad


def test_no_grad_is_restored_after_an_exception_and_works_as_a_decorator() -> None:
    @cr.no_grad()
    def fails() -> None:
        assert not cr.is_grad_enabled()
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        fails()
    assert cr.is_grad_enabled()


def test_no_grad_without_parentheses_is_a_decorator() -> None:
    @cr.no_grad
    def recorded() -> bool:
        return cr.is_grad_enabled()

    assert recorded() is False
    assert recorded.__name__ == "recorded"
    assert cr.is_grad_enabled()


def test_a_generator_under_no_grad_records_nothing_whenever_it_is_resumed() -> None:
    @cr.no_grad()
    def steps():
        got = []
        try:
            while True:
                try:
                    got.append((yield cr.is_grad_enabled()))
                except KeyError:
                    got.append(cr.is_grad_enabled())
                if len(got) == 3:
                    return got
        finally:
            closed.append(cr.is_grad_enabled())

    closed: list[bool] = []
    running = steps()
    assert next(running) is False
    assert cr.is_grad_enabled()
    assert running.send("a") is False
    assert running.throw(KeyError()) is False
    with pytest.raises(StopIteration) as end:
        running.send("b")
    assert end.value.value == ["a", False, "b"]
    early = steps()
    next(early)
    early.close()
    assert closed == [False, False]
    assert cr.is_grad_enabled()


def test_set_grad_enabled_works_at_once_and_as_a_context_and_decorator() -> None:
    try:
        cr.set_grad_enabled(False)
        assert not cr.is_grad_enabled()
    finally:
        cr.set_grad_enabled(True)
    with cr.set_grad_enabled(False):
        assert not cr.is_grad_enabled()
        with cr.set_grad_enabled(True):
            assert cr.is_grad_enabled()
        assert not cr.is_grad_enabled()
    assert cr.is_grad_enabled()

    @cr.set_grad_enabled(False)
    def recorded() -> bool:
        return cr.is_grad_enabled()

    assert cr.is_grad_enabled()
    assert recorded() is False
    assert cr.is_grad_enabled()


def test_recording_is_per_thread() -> None:
    seen = []
    with cr.no_grad():
        thread = threading.Thread(target=lambda: seen.append(cr.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_cuts_the_graph() -> None:
    x = leaf(3.0)
    (x.detach() * x).sum().backward()
    assert x.grad.tolist() == [3.0]


def test_retain_grad_keeps_an_intermediate_gradient() -> None:
    x = leaf(3.0)
    h = x * 2
    h.retain_grad()
    (h * h).sum().backward()
    assert h.grad.tolist() == [12.0]


def test_hooks_see_and_replace_gradients_and_can_be_removed() -> None:
    x = leaf(1.0)
    h = x * 2
    seen = []
    handle = h.register_hook(lambda g: seen.append(g.tolist()))
    h.register_hook(lambda g: g * 10)
    h.sum().backward(retain_graph=True)
    assert seen == [[1.0]]
    assert x.grad.tolist() == [20.0]
    handle.remove()
    h.sum().backward()
    assert len(seen) == 1


def test_hook_on_a_leaf_runs_before_accumulation() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: g * 100)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [200.0]


def test_a_hook_with_the_wrong_shape_is_an_error() -> None:
    x = leaf(1.0, 2.0)
    x.register_hook(lambda g: g.sum())
    with pytest.raises(ShapeError, match="hook"):
        (x * 2).sum().backward()


def test_backward_of_many_elements_needs_a_direction() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(GradientError, match="direction"):
        (x * 2).backward()
    (x * 2).backward(cr.tensor([1.0, 10.0], dtype=cr.float64))
    assert x.grad.tolist() == [2.0, 20.0]


def test_backward_of_the_unrecorded_says_so() -> None:
    with pytest.raises(GradientError, match="not recorded"):
        cr.ones(1).sum().backward()


def test_backward_sees_the_value_that_forward_used() -> None:
    w = leaf(3.0)
    y = (w * w).sum()
    with cr.no_grad():
        w.mul_(100)
    y.backward()
    assert w.grad.tolist() == [6.0]
    assert w.tolist() == [300.0]


def test_an_array_changed_by_its_owner_after_forward_changes_no_gradient() -> None:
    data = np.array([5.0])
    x = leaf(2.0)
    y = (x * data).sum()
    data[0] = 1000.0
    y.backward()
    assert x.grad.tolist() == [5.0]


def test_in_place_on_a_leaf_while_recording_is_an_error() -> None:
    with pytest.raises(InPlaceError, match="no_grad"):
        leaf(1.0).add_(1)


def test_in_place_on_a_computed_tensor_differentiates() -> None:
    x = leaf(2.0)
    h = x * 3
    h.mul_(h)
    h += 1
    h.sum().backward()
    assert x.grad.tolist() == [36.0]


def test_assignment_to_a_slice_differentiates_in_both() -> None:
    x, v = leaf(1.0, 2.0, 3.0), leaf(10.0)
    h = x * 1
    h[1] = v[0] * 2
    h[2] += 5
    (h * h).sum().backward()
    assert h.tolist() == [1.0, 20.0, 8.0]
    assert x.grad.tolist() == [2.0, 0.0, 16.0]
    assert v.grad.tolist() == [80.0]


def test_slices_and_reshapes_share_nothing_the_user_can_see() -> None:
    x = cr.zeros(4)
    y = x.reshape(2, 2)
    x[0] = 7.0
    assert y.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_grad_can_be_changed_in_place_and_cleared() -> None:
    w = leaf(3.0)
    (w * 2).sum().backward()
    w.grad.mul_(10)
    w.grad.data.add_(1)
    assert w.grad.tolist() == [21.0]
    w.grad = None
    assert w.grad is None
    with pytest.raises(ShapeError):
        w.grad = cr.ones(2)


def test_a_leaf_that_nobody_holds_is_not_kept_alive_by_the_tape() -> None:
    x = leaf(1.0)
    w = leaf(2.0)
    y = (x * w).sum()
    gone = weakref.ref(x)
    del x
    assert gone() is None
    y.backward()
    assert w.grad.tolist() == [1.0]


def test_training_memory_does_not_grow_with_steps() -> None:
    w = leaf(*[1.0] * 100)
    gc.disable()
    try:
        counts = []
        for _ in range(5):
            for _ in range(20):
                w.grad = None
                (w * w).sum().backward()
            counts.append(len(gc.get_objects()))
        assert counts[-1] <= counts[1] + 10
    finally:
        gc.enable()


def test_nodes_know_the_users_line() -> None:
    x = leaf(1.0)
    y = x * 2  # the line that is named
    assert "test_tape.py" in y.grad_fn.location
    assert "the line that is named" in y.grad_fn.location


def test_errors_name_the_operands_and_the_users_line() -> None:
    a, b = cr.ones(2, 3), cr.ones(4)
    with pytest.raises(ShapeError) as caught:
        a + b  # the offending line
    assert "float32[2,3]" in str(caught.value) or "(2, 3)" in str(caught.value)
    assert "the offending line" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 5


def test_gradients_only_computes_what_leads_to_the_inputs() -> None:
    x, w = leaf(2.0), leaf(5.0)
    called = []
    h = w * 3
    h.register_hook(lambda g: called.append(g))
    y = (x * h).sum()
    (dx,) = cr.gradients(y, x)
    assert dx.tolist() == [15.0]
    assert not called
    assert x.grad is None


def test_gradients_at_a_computed_tensor_neither_need_nor_free_what_it_saved() -> None:
    x = leaf(2.0)
    a = x * x
    (da,) = cr.gradients((a * 3).sum(), a)
    assert da.tolist() == [3.0]
    a.sum().backward()
    assert x.grad.tolist() == [4.0]
    (da,) = cr.gradients((a * a).sum(), a)
    assert da.tolist() == [8.0]
