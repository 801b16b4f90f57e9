"""Matrix products and einsum against NumPy, and at the edges: empties, vectors, wrong operands."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError

Shape = tuple[int, ...]


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape)


def gradients_of_sum(out: cr.Tensor, *xs: cr.Tensor) -> list[np.ndarray]:
    """Gradients of Σ y ct, for a ct that is different everywhere."""
    ct = np.arange(1.0, out.array.size + 1).reshape(out.shape)
    return [g.numpy() for g in cr.gradients([cr.sum(out * ct)], list(xs))]


PAIRS: list[tuple[Shape, Shape]] = [
    ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)),
    ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
    ((1, 1), (1, 1)), ((4, 1, 1, 1, 2), (2, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_matmul_is_numpys(a: Shape, b: Shape) -> None:
    x, y = draw(*a), draw(*b, seed=1)
    np.testing.assert_allclose(cr.matmul(cr.tensor(x), y).numpy(), x @ y, rtol=1e-12)
    np.testing.assert_allclose((cr.tensor(x) @ cr.tensor(y)).numpy(), x @ y, rtol=1e-12)


@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_matmul_passes_gradcheck(a: Shape, b: Shape) -> None:
    inputs = tuple(cr.tensor(draw(*s, seed=i), requires_grad=True) for i, s in enumerate((a, b)))
    assert cr.gradcheck(cr.matmul, inputs)
    assert cr.gradgradcheck(cr.matmul, inputs)


def test_product_over_an_empty_axis_is_zero() -> None:
    x, y = (cr.tensor(np.ones(s), requires_grad=True) for s in ((2, 0), (0, 3)))
    z = x @ y
    assert z.tolist() == [[0.0] * 3] * 2
    assert [g.shape for g in gradients_of_sum(z, x, y)] == [(2, 0), (0, 3)]


@pytest.mark.parametrize(
    ("a", "b"), [((0, 3), (3, 2)), ((2, 0, 3), (3, 2)), ((0, 2, 3), (0, 3, 4))]
)
def test_product_of_no_rows_is_empty_and_its_gradient_zero(a: Shape, b: Shape) -> None:
    x, y = cr.tensor(np.ones(a), requires_grad=True), cr.tensor(np.ones(b), requires_grad=True)
    z = x @ y
    assert z.shape == (np.ones(a) @ np.ones(b)).shape
    gx, gy = gradients_of_sum(z, x, y)
    assert gx.shape == a
    assert not gy.any()


def test_weight_of_a_batch_collects_over_all_leading_axes() -> None:
    x, w = draw(2, 3, 4, 5), cr.tensor(draw(5, 6), requires_grad=True)
    (g,) = gradients_of_sum(cr.matmul(x, w), w)
    ct = np.arange(1.0, 2 * 3 * 4 * 6 + 1).reshape(-1, 6)
    np.testing.assert_allclose(g, x.reshape(-1, 5).T @ ct, rtol=1e-12)


def test_integers_multiply_exactly() -> None:
    a = np.array([[2**40, 1]])
    assert cr.matmul(cr.tensor(a), cr.tensor(np.array([3, 4]))).tolist() == [3 * 2**40 + 4]


def test_nan_and_infinity_reach_only_their_row() -> None:
    y = cr.matmul(cr.tensor([[np.nan, 1.0], [1.0, 1.0]]), cr.tensor([1.0, np.inf]))
    assert np.isnan(y.numpy()[0])
    assert y.numpy()[1] == np.inf


@pytest.mark.parametrize(
    ("a", "b"), [((2, 3), (4, 5)), ((3,), (4,)), ((2, 3), (2,)), ((), (3,)), ((2, 2, 3), (3, 3, 4))]
)
def test_operands_that_do_not_fit_are_named(a: Shape, b: Shape) -> None:
    with pytest.raises(ShapeError, match=r"matmul|broadcast") as caught:
        cr.matmul(cr.tensor(np.ones(a)), cr.tensor(np.ones(b)))
    assert "test_contract_edges.py" in str(caught.value)


def test_the_message_of_matmul_says_which_sizes_differ() -> None:
    with pytest.raises(ShapeError) as caught:
        cr.matmul(cr.tensor(np.ones((32, 784))), cr.tensor(np.ones((768, 128))))
    lines = str(caught.value).splitlines()
    assert lines[0] == "matmul cannot contract its operands"
    assert lines[1].split(maxsplit=1) == ["expected", "a.shape[-1] == b.shape[-2]"]
    assert "float64[32,784]" in lines[2]
    assert "float64[768,128]" in lines[2]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (4, 2, 3), (0, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_linear_is_x_times_w_transposed_plus_b(shape: Shape, bias: bool) -> None:
    x, w, b = draw(*shape), draw(5, 3), draw(5) if bias else None
    want = x @ w.T + (0 if b is None else b)
    np.testing.assert_allclose(cr.linear(cr.tensor(x), w, b).numpy(), want, rtol=1e-12)


def test_gradients_of_linear_are_those_of_document_002() -> None:
    x, w, b = draw(4, 3), draw(2, 3), draw(2)
    leaves = [cr.tensor(v, requires_grad=True) for v in (x, w, b)]
    gx, gw, gb = gradients_of_sum(cr.linear(*leaves), *leaves)
    delta = np.arange(1.0, 9.0).reshape(4, 2)
    np.testing.assert_allclose(gx, delta @ w, rtol=1e-12)
    np.testing.assert_allclose(gw, delta.T @ x, rtol=1e-12)
    np.testing.assert_allclose(gb, delta.sum(axis=0), rtol=1e-12)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3,)), ((2, 3), (3,)), ((2, 3), (3, 2)), ((), (3,)), ((2, 2, 3), (4, 3, 2))]
)
def test_dot_is_numpys(a: Shape, b: Shape) -> None:
    x, y = draw(*a), draw(*b, seed=1)
    np.testing.assert_allclose(cr.dot(cr.tensor(x), cr.tensor(y)).numpy(), np.dot(x, y))


def test_outer_flattens_as_numpy_does() -> None:
    x, y = draw(2, 2), draw(3)
    np.testing.assert_array_equal(cr.outer(cr.tensor(x), y).numpy(), np.outer(x, y))


@pytest.mark.parametrize("dims", [0, 1, 2, ([1, 2], [1, 0]), ([-1], [0]), (2, 0), ([], [])])
def test_tensordot_is_numpys(dims: Any) -> None:
    x, y = draw(3, 4, 4), draw(4, 4, 2)
    np.testing.assert_allclose(
        cr.tensordot(cr.tensor(x), y, dims).numpy(), np.tensordot(x, y, dims)
    )


def test_tensordot_refuses_axes_that_do_not_fit() -> None:
    x, y = cr.tensor(np.ones((2, 3))), cr.tensor(np.ones((3, 4)))
    with pytest.raises(ShapeError):
        cr.tensordot(x, y, 3)
    with pytest.raises(ShapeError):
        cr.tensordot(x, y, ([0], [0]))
    with pytest.raises(ShapeError):
        cr.tensordot(x, y, ([0, 1], [0]))
    with pytest.raises(IndexRangeError):
        cr.tensordot(x, y, ([2], [0]))


EQUATIONS = [
    ("ij,jk", [(2, 3), (3, 4)]),
    ("ij,jk->ki", [(2, 3), (3, 4)]),
    ("ji,jk", [(3, 2), (3, 4)]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
    ("bij,bkj->kbi", [(2, 3, 4), (2, 5, 4)]),
    ("i,i", [(3,), (3,)]),
    ("i,i->i", [(3,), (3,)]),
    ("i,j", [(3,), (2,)]),
    (",i", [(), (3,)]),
    ("ij", [(2, 3)]),
    ("ba", [(2, 3)]),
    ("ij->ji", [(2, 3)]),
    ("ij->", [(2, 3)]),
    ("ij->j", [(2, 3)]),
    ("ii", [(3, 3)]),
    ("ii->i", [(3, 3)]),
    ("iii->i", [(3, 3, 3)]),
    ("iij->ji", [(3, 3, 2)]),
    ("ii,ij->j", [(3, 3), (3, 2)]),
    ("iij,jkk->ik", [(3, 3, 2), (2, 4, 4)]),
    ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
    ("...,...", [(2, 3), (3,)]),
    ("i...,i...->...", [(3, 2), (3, 1, 2)]),
    ("...i->...", [(2, 3, 4)]),
    ("i...j->j...i", [(2, 3, 4)]),
    ("ij,jk", [(2, 1), (3, 4)]),
    ("ij,ij->ij", [(1, 3), (2, 1)]),
    ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 5)]),
    ("i,j,k->kji", [(2,), (3,), (4,)]),
    ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 5), (5, 2)]),
    ("ab,ab,ab->a", [(2, 3), (2, 3), (2, 3)]),
    ("ij,jk", [(2, 0), (0, 4)]),
    (" i j , j k -> i k ", [(2, 3), (3, 4)]),
    ("Aa,aB->AB", [(2, 3), (3, 4)]),
]


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum_is_numpys(equation: str, shapes: list[Shape]) -> None:
    xs = [draw(*s, seed=i) for i, s in enumerate(shapes)]
    y = cr.einsum(equation, *map(cr.tensor, xs))
    want = np.einsum(equation.replace(" ", ""), *xs)
    assert y.shape == want.shape
    np.testing.assert_allclose(y.numpy(), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("equation", "shapes"), EQUATIONS)
def test_einsum_passes_gradcheck(equation: str, shapes: list[Shape]) -> None:
    xs = tuple(cr.tensor(draw(*s, seed=i), requires_grad=True) for i, s in enumerate(shapes))
    if all(x.array.size for x in xs):
        assert cr.gradcheck(lambda *a: cr.einsum(equation, *a), xs)


@st.composite
def contractions(draw_: st.DrawFn) -> tuple[str, list[Shape]]:
    """An equation of one to four operands over a few letters, and shapes that fit it."""
    letters = string.ascii_lowercase[:5]
    sizes = {c: draw_(st.integers(1, 3)) for c in letters}
    terms = draw_(st.lists(st.text(letters, max_size=3), min_size=1, max_size=4))
    present = sorted(set("".join(terms)))
    out = draw_(st.permutations(present))[: draw_(st.integers(0, len(present)))]
    return f"{','.join(terms)}->{''.join(out)}", [tuple(sizes[c] for c in t) for t in terms]


@settings(max_examples=100, deadline=None)
@given(contractions())
def test_any_einsum_is_numpys(case: tuple[str, list[Shape]]) -> None:
    equation, shapes = case
    xs = [np.asarray(draw(*s, seed=i)) for i, s in enumerate(shapes)]
    y = cr.einsum(equation, *map(cr.tensor, xs))
    np.testing.assert_allclose(y.numpy(), np.einsum(equation, *xs), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("equation", "shapes", "error"),
    [
        ("ij,jk->ii", [(2, 3), (3, 4)], ArgumentError),
        ("ij,jk->iz", [(2, 3), (3, 4)], ArgumentError),
        ("ij", [(2, 3), (3, 4)], ArgumentError),
        ("i1,1k", [(2, 3), (3, 4)], ArgumentError),
        ("i.j", [(2, 3)], ArgumentError),
        ("ij->i->j", [(2, 3)], ArgumentError),
        ("ijk", [(2, 3)], ShapeError),
        ("i...", [()], ShapeError),
        ("ij,jk", [(2, 3), (4, 5)], ShapeError),
        ("ii", [(2, 3)], ShapeError),
    ],
)
def test_einsum_explains_what_it_cannot_read(
    equation: str, shapes: list[Shape], error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        cr.einsum(equation, *(cr.tensor(np.ones(s)) for s in shapes))
    assert "test_contract_edges.py" in str(caught.value)


def test_several_operands_are_contracted_in_the_cheaper_order() -> None:
    # (1 × 300)(300 × 300)(300 × 1): from the left nothing larger than a vector is ever made, while
    # a product over all three at once would visit 300 · 300 places for each result
    x, a, y = draw(1, 300), draw(300, 300), draw(300, 1)
    value = cr.einsum("ij,jk,kl->il", x, a, cr.tensor(y))
    np.testing.assert_allclose(value.numpy(), x @ a @ y, rtol=1e-10)


def test_einsum_takes_its_operands_as_a_list() -> None:
    x = cr.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert cr.einsum("ij->i", [x]).tolist() == [3.0, 7.0]
    assert cr.einsum("ij,j->i", (x, x[0])).tolist() == [5.0, 11.0]
    with pytest.raises(DTypeError, match="einsum takes tensors"):
        cr.einsum("i->", "a")
