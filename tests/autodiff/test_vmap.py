"""vmap: axes, nesting, randomness, derivatives inside and through it, compiled, and bad input."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import func
from chainrule.errors import ArgumentError, ShapeError, TracingError

rng = np.random.default_rng(0)


def t(*shape: int) -> cr.Tensor:
    return cr.Tensor(rng.normal(size=shape))


def close(a: Any, b: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(
        a.detach().numpy(), np.asarray(b.detach().numpy() if isinstance(b, cr.Tensor) else b),
        rtol=rtol, atol=1e-12,
    )  # fmt: skip


def looped(fn: Any, *xs: cr.Tensor) -> np.ndarray:
    rows = zip(*[list(x) for x in xs], strict=True)
    return np.stack([fn(*row).detach().numpy() for row in rows])


def test_any_axis_goes_in_and_comes_out() -> None:
    x, y = t(4, 3), t(2, 4)
    out = cr.vmap(lambda a, b: cr.outer(a, b), in_dims=(0, 1), out_dims=-1)(x, y)
    assert out.shape == (3, 2, 4)
    close(out, np.stack([np.outer(x[i].numpy(), y.numpy()[:, i]) for i in range(4)], -1))


def test_dims_follow_the_structure_of_arguments_and_results() -> None:
    tree = {"w": t(5, 3), "b": t(3)}
    x = t(3, 5)

    def f(p: Any, x: cr.Tensor) -> Any:
        return {"sum": p["w"] * x.sum() + p["b"], "pair": (x.sum(), [x * 2])}

    out = cr.vmap(f, in_dims=({"w": 0, "b": None}, 1), out_dims={"sum": 1, "pair": 0})(tree, x)
    assert out["sum"].shape == (3, 5)
    assert out["pair"][0].shape == (5,)
    close(out["pair"][1][0], 2 * x.numpy().T)


def test_a_result_that_is_the_same_for_all_is_repeated_or_given_once() -> None:
    w, x = t(2), t(3)
    whole, once = cr.vmap(lambda x: (w * 2, w * 3), out_dims=(0, None))(x)
    assert (whole.shape, once.shape) == ((3, 2), (2,))
    with pytest.raises(ArgumentError, match="differs"):
        cr.vmap(lambda x: x, out_dims=None)(x)


def test_maps_nest() -> None:
    x, y = t(3), t(4)
    table = cr.vmap(lambda a: cr.vmap(lambda b: cr.sin(a) * b + a / 2)(y))(x)
    close(table, np.sin(x.numpy())[:, None] * y.numpy() + x.numpy()[:, None] / 2)


def test_chunks_give_the_same() -> None:
    x = t(7, 3)
    whole = cr.vmap(lambda r: (r.sum(), r * 2), out_dims=(0, 1))(x)
    for size in (1, 2, 7, 100):
        parts = cr.vmap(lambda r: (r.sum(), r * 2), out_dims=(0, 1), chunk_size=size)(x)
        for a, b in zip(parts, whole, strict=True):
            close(a, b)


@pytest.mark.parametrize("size", [0, 1])
def test_few_examples(size: int) -> None:
    out = cr.vmap(lambda r: cr.softmax(r, 0) @ r)(t(size, 3))
    assert out.shape == (size,)
    assert cr.vmap(cr.grad(lambda r: (r * r).sum()))(t(size, 3)).shape == (size, 3)


def test_gradients_of_each_example_and_through_all() -> None:
    w = t(3, 2).requires_grad_()
    x = t(5, 3).requires_grad_()

    def f(x: cr.Tensor) -> cr.Tensor:
        return cr.tanh(x @ w).sum()

    slopes = cr.vmap(cr.grad(f))(x)
    close(slopes, looped(cr.grad(f), x))
    (slopes**3).sum().backward()
    mapped = x.grad.numpy(), w.grad.numpy()
    x.grad = w.grad = None
    sum(((cr.grad(f)(x[i]) ** 3).sum() for i in range(5)), cr.zeros(())).backward()
    close(cr.Tensor(mapped[0]), x.grad)
    close(cr.Tensor(mapped[1]), w.grad)


def test_detached_values_stay_detached_inside() -> None:
    x = t(4)
    close(cr.grad(lambda x: cr.vmap(lambda a: a.detach() * a)(x).sum())(x), x)
    with cr.no_grad():
        assert not cr.vmap(lambda a: a * 2)(x.clone().requires_grad_()).requires_grad


def test_forward_mode_inside_and_through() -> None:
    x, dx = t(4, 3), t(4, 3)

    def f(r: cr.Tensor) -> cr.Tensor:
        return cr.exp(r).sum() * r

    inside = cr.vmap(lambda r, dr: cr.jvp(f, (r,), (dr,))[1])(x, dx)
    through = cr.jvp(lambda x: cr.vmap(f)(x), (x,), (dx,))[1]
    close(inside, looped(lambda r, dr: cr.jvp(f, (r,), (dr,))[1], x, dx))
    close(through, inside)


def test_second_derivatives_in_every_order() -> None:
    x = t(4, 3)

    def f(r: cr.Tensor) -> cr.Tensor:
        return (cr.sin(r) * r[0]).prod()

    wanted = looped(cr.hessian(f), x)
    close(cr.vmap(cr.hessian(f))(x), wanted)
    close(cr.vmap(cr.jacrev(cr.jacfwd(f)))(x), wanted)
    close(cr.vmap(cr.jacrev(cr.jacrev(f)))(x), wanted)
    through = cr.hessian(lambda x: cr.vmap(f)(x).sum())(x)
    close(cr.diagonal(through, 0, 0, 2).permute(2, 0, 1), wanted)


def test_what_is_closed_over_is_shared_and_its_gradients_are_summed() -> None:
    w = t(3).requires_grad_()
    cr.vmap(lambda x: x * w)(t(5, 3) * 0 + 2.0).sum().backward()
    close(w.grad, np.full(3, 10.0))


def test_random_numbers_are_refused_shared_or_different() -> None:
    x = cr.zeros(3, 4)
    with pytest.raises(TracingError, match="randomness"):
        cr.vmap(lambda r: r + cr.rand(4))(x)
    cr.manual_seed(1)
    shared = cr.vmap(lambda r: r + cr.rand(4), randomness="same")(x).numpy()
    apart = cr.vmap(lambda r: r + cr.rand(4), randomness="different")(x).numpy()
    after = cr.rand(4).numpy()
    assert (shared == shared[0]).all()
    assert len({*apart.reshape(-1).tolist(), *after.tolist()}) == 16
    orders = cr.vmap(lambda r: cr.permutation(6), randomness="different")(x).numpy()
    assert (np.sort(orders, 1) == np.arange(6)).all()
    assert len({tuple(row) for row in orders}) > 1
    dropped = cr.vmap(lambda r: cr.dropout(r + 1.0, 0.5), randomness="different")(cr.zeros(64, 8))
    assert set(dropped.numpy().reshape(-1).tolist()) == {0.0, 2.0}


def test_steps_with_maps_compile() -> None:
    w, x = t(3, 2), t(5, 3)

    def f(w: cr.Tensor, x: cr.Tensor) -> cr.Tensor:
        loss = cr.vmap(lambda r: cr.log_softmax(r @ w, 0)[0])(x)
        return cr.vmap(cr.grad(lambda r: (cr.tanh(r @ w) ** 2).sum()))(x).sum() + loss.sum()

    close(cr.compile(cr.grad(f))(w, x), cr.grad(f)(w, x), 1e-9)


def test_integers_promote_as_one_example_does() -> None:
    """A number (no axes) does not widen a vector, though the batch of numbers has an axis."""
    numbers = cr.tensor([1.0, 2.0], dtype=cr.float64)
    vector = cr.ones(3)
    assert cr.vmap(lambda a: a * vector)(numbers).dtype == (numbers[0] * vector).dtype


def test_bad_arguments_are_explained() -> None:
    x = t(3, 2)
    with pytest.raises(ShapeError, match="same size"):
        cr.vmap(lambda a, b: a)(x, t(4))
    with pytest.raises(ArgumentError, match="at least one"):
        cr.vmap(lambda a: a, in_dims=None)(x)
    with pytest.raises(ArgumentError, match="in_dims names"):
        cr.vmap(lambda a: a, in_dims=2)(x)
    with pytest.raises(ArgumentError, match="structure"):
        cr.vmap(lambda a, b: a, in_dims=(0,))(x, x)
    with pytest.raises(ArgumentError, match="maps over tensors"):
        cr.vmap(lambda a, b: a)(x, 3.0)
    with pytest.raises(ArgumentError, match="returns tensors"):
        cr.vmap(lambda a: 1.0)(x)
    with pytest.raises(ArgumentError, match="random"):
        cr.vmap(lambda a: a, randomness="any")
    with pytest.raises(ArgumentError, match="chunk"):
        cr.vmap(lambda a: a, chunk_size=0)
    with pytest.raises(TracingError, match="stands for many"):
        cr.vmap(lambda a: a if a.sum() > 0 else -a)(x)
    with pytest.raises(ShapeError, match="broadcast"):
        cr.vmap(lambda a: a + cr.ones(3))(x)


def test_models_run_on_examples_and_as_ensembles() -> None:
    net = cr.nn.Sequential(cr.nn.Linear(3, 4), cr.nn.Tanh(), cr.nn.Linear(4, 2)).double()
    params = {name: p.detach() for name, p in net.named_parameters()}
    x, target = t(6, 3), cr.Tensor(rng.integers(0, 2, 6))

    def loss(params: Any, x: cr.Tensor, target: cr.Tensor) -> cr.Tensor:
        out = func.functional_call(net, params, (x[None],))
        return cr.nn.functional.cross_entropy(out, target[None])

    each = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(params, x, target)
    cr.nn.functional.cross_entropy(net(x), target, reduction="sum").backward()
    for name, p in net.named_parameters():
        close(each[name].sum(0), p.grad)
    nets = [cr.nn.Linear(3, 2).double() for _ in range(4)]
    stacked, buffers = func.stack_module_state(nets)
    assert buffers == {}
    out = func.vmap(lambda p, x: func.functional_call(nets[0], p, (x,)), (0, None))(stacked, x)
    close(out, np.stack([n(x).detach().numpy() for n in nets]))
    out.sum().backward()
    assert stacked["weight"].grad.shape == (4, 2, 3)
