"""Checkpointing: the recomputation gives what the function itself would have given."""

from __future__ import annotations

import threading
import weakref
from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.errors import FreedGraphError, GradientError

f64 = cr.float64


def block(w):
    return lambda x: cr.tanh(cr.matmul(x, w)).exp()


def test_checkpoint_gives_the_same_gradients_also_to_closed_over_weights() -> None:
    rng = np.random.default_rng(0)
    x0, w0 = rng.normal(size=(4, 3)), rng.normal(size=(3, 3))
    results = []
    for use in (lambda f, x: f(x), cr.checkpoint):
        x, w = cr.tensor(x0, requires_grad=True), cr.tensor(w0, requires_grad=True)
        h = use(block(w), x * 2)
        use(block(w), h).sum().backward()
        results.append((x.grad.numpy(), w.grad.numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-14)


def test_checkpoint_keeps_the_same_random_numbers() -> None:
    results = []
    for use in (lambda f, x: f(x), cr.checkpoint):
        cr.manual_seed(7)
        x = cr.ones(1000, requires_grad=True)
        use(lambda x: cr.dropout(x * x, 0.5, True), x).sum().backward()
        after = cr.rand(3).tolist()
        results.append((x.grad.tolist(), after))
    assert results[0] == results[1]


def test_checkpoint_runs_its_function_again_and_keeps_no_residuals() -> None:
    calls = []

    def f(x):
        calls.append(1)
        return x.exp().sin()

    x = cr.ones(3, requires_grad=True)
    y = cr.checkpoint(f, x)
    call = y.grad_fn
    assert call.parents == [x.node, None]
    assert not any(isinstance(kept, np.ndarray) for kept in (*call.xs, call.y))
    y.sum().backward()
    assert len(calls) == 2


def test_checkpoint_differentiates_twice() -> None:
    x = cr.tensor(0.3, dtype=f64)
    f = lambda x: cr.checkpoint(lambda x: cr.sin(x) * x, x)  # noqa: E731
    plain = lambda x: cr.sin(x) * x  # noqa: E731
    assert cr.grad(cr.grad(f))(x).item() == pytest.approx(cr.grad(cr.grad(plain))(x).item())


def test_checkpoint_of_several_outputs_and_under_no_grad() -> None:
    x = cr.tensor(2.0, dtype=f64, requires_grad=True)
    a, b = cr.checkpoint(lambda x: (x * x, x**3), x)
    (a + 2 * b).backward()
    assert x.grad.item() == 4.0 + 24.0
    with cr.no_grad():
        assert not cr.checkpoint(lambda x: x * x, x).requires_grad


def leaf(value) -> cr.Tensor:
    return cr.tensor(value, dtype=f64, requires_grad=True)


def test_checkpoint_recomputes_with_the_arguments_of_then() -> None:
    w = leaf(2.0)
    h = w * 1.0
    h += cr.checkpoint(lambda x: x * x, h)
    h.backward()
    assert w.grad.item() == 5.0


def test_checkpoint_of_a_changed_untracked_argument() -> None:
    x, c = leaf(3.0), cr.tensor(2.0, dtype=f64)
    y = cr.checkpoint(lambda x, c: x * x * c, x, c)
    c += 10
    y.backward()
    assert x.grad.item() == 12.0


def test_a_weight_changed_between_checkpoint_and_backward_is_a_named_error() -> None:
    w, x = leaf(2.0), leaf(3.0)
    y = cr.checkpoint(lambda x: w * x, x)
    with cr.no_grad():
        w += 1
    with pytest.raises(GradientError, match="changed before backward") as caught:
        y.backward()
    assert "cr.checkpoint(lambda x: w * x, x)" in str(caught.value)
    h = w * 1.0
    y = cr.checkpoint(lambda x: h * x, x)
    h += 1
    with pytest.raises(GradientError, match="not the same"):
        y.backward()


def test_an_argument_changed_inside_a_checkpoint_is_changed_once() -> None:
    calls, x = cr.tensor(0.0), leaf(2.0)

    def f(x, calls):
        calls += 1
        return x * x * calls

    cr.checkpoint(f, x, calls).backward()
    assert calls.item() == 1.0
    assert x.grad.item() == 4.0

    def inplace(x):
        x += 1
        return (x * x).sum()

    x = leaf([2.0, 3.0])
    cr.checkpoint(inplace, x).backward()
    assert x.tolist() == [2.0, 3.0]
    assert x.grad.tolist() == [6.0, 8.0]
    assert cr.hessian(lambda x: cr.checkpoint(inplace, x))(x).tolist() == [[2, 0], [0, 2]]


def wide(x):
    return cr.concatenate([x * x, cr.sin(x), x.exp()])


def nested(x):
    return cr.checkpoint(lambda x: cr.checkpoint(wide, x * x), x)


WIDE = {
    "checkpoint": (lambda x: cr.checkpoint(wide, x), wide),
    "nested checkpoint": (nested, lambda x: wide(x * x)),
}


@pytest.mark.parametrize("name", WIDE)
def test_forward_mode_agrees_with_plain_operations(name: str) -> None:
    custom, plain = WIDE[name]
    x, v = cr.tensor([0.3, 0.7], dtype=f64), cr.tensor([1.0, -2.0], dtype=f64)
    for transform in (
        lambda f: cr.jvp(f, (x,), (v,))[1],
        lambda f: cr.jacobian(f)(x),
        lambda f: cr.hvp(lambda x: (f(x) ** 2).sum(), x, v)[1],
        lambda f: cr.jvp(lambda x: cr.jvp(f, (x,), (v,))[1], (x,), (v,))[1],
        lambda f: cr.hessian(lambda x: f(x).sum())(x),
        lambda f: cr.grad(lambda x: cr.jvp(f, (x,), (v,))[1].sum())(x),
    ):
        np.testing.assert_allclose(transform(custom).numpy(), transform(plain).numpy(), atol=1e-12)


def test_forward_mode_through_closed_over_weights_of_a_checkpoint() -> None:
    x = cr.tensor(2.0, dtype=f64)
    f = lambda w: cr.checkpoint(lambda x: w * w * x, x)  # noqa: E731
    assert cr.jvp(f, (x,), (cr.ones_like(x),))[1].item() == 8.0


def test_checkpoint_repeats_the_draws_of_any_generator() -> None:
    g = cr.Generator(3)
    f = lambda x: cr.dropout(x, 0.5, True, generator=g) * cr.dropout(x, 0.5)  # noqa: E731
    x = leaf(np.ones(100))
    y = cr.checkpoint(lambda x: cr.checkpoint(f, x) + cr.dropout(x, 0.5, True, generator=g), x)
    before = g.get_state().tolist(), cr.default_generator.get_state().tolist()
    seen = []
    x.register_hook(lambda ct: seen.append(ct))
    total = y.sum()
    total.backward(retain_graph=True)
    total.backward()
    assert (g.get_state().tolist(), cr.default_generator.get_state().tolist()) == before
    np.testing.assert_array_equal(seen[0].numpy(), seen[1].numpy())
    h = cr.dropout(leaf(np.ones(3)), 0.5, True, generator=g)  # drawn anew, after backward
    assert g.get_state().tolist() != before[0]
    assert h.shape == (3,)
    product = cr.checkpoint(f, x)
    x.grad = None
    product.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * product.detach().numpy())


def test_recomputation_leaves_the_generator_of_other_threads_alone() -> None:
    drawn, entered, go_on = [], threading.Event(), threading.Event()
    runs = []

    def f(x):
        runs.append(1)
        if len(runs) == 2:
            entered.set()
            assert go_on.wait(10)
        return cr.dropout(x * x, 0.5)

    def other() -> None:
        assert entered.wait(10)
        drawn.append(cr.rand(4).tolist())
        go_on.set()

    cr.manual_seed(1)
    x = leaf(np.ones(16))
    y = cr.checkpoint(f, x).sum()
    thread = threading.Thread(target=other)
    thread.start()
    y.backward()
    thread.join()
    cr.manual_seed(1)
    cr.dropout(x, 0.5)
    assert drawn == [cr.rand(4).tolist()]


def test_a_checkpointed_function_that_draws_more_the_second_time_is_refused() -> None:
    runs = []

    def f(x):
        runs.append(1)
        for _ in runs:
            x = cr.dropout(x, 0.5)
        return x

    with pytest.raises(GradientError, match="more random numbers"):
        cr.checkpoint(f, leaf(np.ones(4))).sum().backward()


def test_a_parameter_made_in_a_checkpoint_gets_its_gradient() -> None:
    made = []

    def lazy(x):
        if not made:
            made.append(nn.Parameter(cr.tensor(3.0, dtype=f64)))
        return x * made[0]

    x = leaf(2.0)
    cr.checkpoint(lazy, x).backward()
    assert made[0].grad.item() == 2.0
    assert x.grad.item() == 3.0


def test_leaves_of_one_run_of_a_checkpoint_are_none_of_its_business() -> None:
    x = leaf(2.0)
    cr.checkpoint(lambda x: x * leaf(5.0), x).backward()
    assert x.grad.item() == 5.0


Pair = namedtuple("Pair", "first second")


def test_checkpoint_passes_containers_and_other_values_through() -> None:
    x = leaf(2.0)
    y, n = cr.checkpoint(lambda x: (x * x, 3), x)
    z, none = cr.checkpoint(lambda x: [x * x, None], x)
    named = cr.checkpoint(lambda x: {"a": x * 3, "b": [x, "text"]}, x)
    pair = cr.checkpoint(lambda x: Pair(x, x * x), x)
    listed = cr.checkpoint(lambda x: [x], x)
    assert n == 3
    assert none is None
    assert isinstance(pair, Pair)
    assert isinstance(listed, list)
    assert named["b"][1] == "text"
    (y + z + named["a"] + named["b"][0] + pair.first + pair.second + listed[0]).backward()
    assert x.grad.item() == 4 + 4 + 3 + 1 + 1 + 4 + 1


def test_checkpoint_takes_keywords_and_containers_of_tensors() -> None:
    a, b, c = leaf(2.0), leaf(3.0), leaf(5.0)
    h = b * 1.0
    y = cr.checkpoint(lambda xs, scale, c: xs[0] * xs[1]["h"] * scale * c, (a, {"h": h}), 7, c=c)
    h += 1
    y.backward()
    assert (a.grad.item(), b.grad.item(), c.grad.item()) == (105.0, 70.0, 42.0)


def test_second_walk_through_a_freed_checkpoint_is_refused() -> None:
    x = leaf(1.0)
    assert "checkpoint" in repr(cr.checkpoint(lambda x: x * x, x))
    for y in (cr.checkpoint(lambda x: x * x, x), cr.checkpoint(lambda x: (x * x,), x)[0]):
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(FreedGraphError, match="retain_graph") as caught:
            y.backward()
        assert "test_checkpoint.py" in caught.value.at


def test_backward_frees_what_a_checkpoint_keeps() -> None:
    h = leaf(1.0) * 3
    dead = weakref.ref(h.array)
    y = cr.checkpoint(lambda h: h * h, h)
    del h
    assert dead() is not None
    y.backward()
    assert dead() is None
    assert y.shape == ()
