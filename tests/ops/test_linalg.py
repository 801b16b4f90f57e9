"""Linear algebra: factors multiply back, derivatives hold to second order, edges say what is wrong.

The ops themselves are held by the contract; here are the functions made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule import linalg
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from chainrule.testing import gradcheck, gradgradcheck

Array = np.ndarray[Any, np.dtype[Any]]


def matrices(*shape: int, seed: int = 0) -> Array:
    """Random matrices, far enough from singular ones."""
    x = np.random.default_rng(seed).uniform(-1, 1, shape)
    x[..., np.arange(min(shape[-2:])), np.arange(min(shape[-2:]))] += 3.0
    return x


def definite(*shape: int) -> Array:
    """Symmetric matrices with positive eigenvalues."""
    x = matrices(*shape)
    return x @ x.swapaxes(-1, -2)


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got.numpy()), want, rtol=1e-10, atol=1e-12)


SHAPES = ((3, 3), (4, 2), (2, 4), (2, 3, 3), (2, 1, 4, 3), (2, 2, 3), (1, 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_qr_factors_multiply_back(shape: tuple[int, ...]) -> None:
    a = cr.tensor(matrices(*shape))
    for mode in ("reduced", "complete"):
        q, r = linalg.qr(a, mode)
        close(q @ r, a.numpy())
        close(q.mT @ q, np.broadcast_to(np.eye(q.shape[-1]), (*shape[:-2], *q.shape[-1:] * 2)))
        assert np.array_equal(r.numpy(), np.triu(r.numpy()))
    close(linalg.qr(a, "r").R, linalg.qr(a).R.numpy())


@pytest.mark.parametrize("shape", SHAPES)
def test_svd_factors_multiply_back(shape: tuple[int, ...]) -> None:
    a = cr.tensor(matrices(*shape))
    u, s, vh = linalg.svd(a, full_matrices=False)
    close(u * s.unsqueeze(-2) @ vh, a.numpy())
    full = linalg.svd(a)
    assert full.U.shape[-1] == shape[-2]
    assert full.Vh.shape[-2] == shape[-1]
    close(full.U @ full.U.mT, np.broadcast_to(np.eye(shape[-2]), full.U.shape))
    older = cr.svd(a)
    close(older.V, vh.numpy().swapaxes(-1, -2))
    close(linalg.svdvals(a), np.linalg.svd(a.numpy(), compute_uv=False))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pivot", [True, False])
def test_lu_factors_multiply_back(shape: tuple[int, ...], pivot: bool) -> None:
    a = cr.tensor(matrices(*shape)[..., ::-1, :] if pivot else matrices(*shape))
    p, lower, upper = linalg.lu(a, pivot=pivot)
    close(p @ lower @ upper if pivot else lower @ upper, a.numpy())
    assert np.array_equal(upper.numpy(), np.triu(upper.numpy()))


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("adjoint", [True, False])
def test_lu_solve_solves_both_sides(left: bool, adjoint: bool) -> None:
    a = cr.tensor(matrices(2, 3, 3)[..., ::-1, :].copy())
    b = cr.tensor(matrices(2, 3, 3, seed=1))
    x = linalg.lu_solve(*linalg.lu_factor(a), b, left=left, adjoint=adjoint)
    matrix = a.mT if adjoint else a
    close(matrix @ x if left else x @ matrix, b.numpy())


def test_eigenvectors_of_symmetric_matrices() -> None:
    a = cr.tensor(definite(2, 3, 3))
    w, v = linalg.eigh(a)
    close(v * w.unsqueeze(-2) @ v.mT, a.numpy())
    close(linalg.eigvalsh(a), w.numpy())


def test_only_one_triangle_of_a_symmetric_matrix_is_read() -> None:
    a = definite(3, 3)
    lower, upper = cr.tensor(np.tril(a)), cr.tensor(np.triu(a))
    close(linalg.cholesky(lower), np.linalg.cholesky(a))
    close(linalg.cholesky(upper, upper=True), np.linalg.cholesky(a).T)
    close(linalg.eigvalsh(lower), np.linalg.eigvalsh(a))
    close(linalg.eigvalsh(upper, "U"), np.linalg.eigvalsh(a))


def test_householder_reflectors_give_q() -> None:
    a = cr.tensor(matrices(2, 4, 3))
    h, tau = cr.geqrf(a)
    close(linalg.householder_product(h, tau), linalg.qr(a).Q.numpy())
    c = cr.tensor(matrices(2, 4, 2, seed=1))
    q = linalg.qr(a, "complete").Q
    close(cr.ormqr(h, tau, c), (q @ c).numpy())
    close(cr.ormqr(h, tau, c, transpose=True), (q.mT @ c).numpy())
    close(cr.ormqr(h, tau, c.mT, left=False), (c.mT @ q).numpy())


def test_cholesky_solves() -> None:
    a = definite(2, 3, 3)
    b = matrices(2, 3, 2)
    for upper in (False, True):
        factor = linalg.cholesky(cr.tensor(a), upper=upper)
        close(cr.cholesky_solve(cr.tensor(b), factor, upper), np.linalg.solve(a, b))
        close(cr.cholesky_inverse(factor, upper), np.linalg.inv(a))


def test_least_squares_and_pseudoinverse() -> None:
    a, b = matrices(4, 2), matrices(4, 3)
    found = linalg.lstsq(cr.tensor(a), cr.tensor(b))
    want, residuals, rank, _ = np.linalg.lstsq(a, b)
    close(found.solution, want)
    close(found.residuals, residuals)
    assert found.rank.item() == rank
    singular = np.outer([1.0, 2.0, 3.0], [1.0, -1.0])
    close(linalg.pinv(cr.tensor(singular)), np.linalg.pinv(singular))


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norms_are_numpys(ord: Any) -> None:
    a = matrices(2, 3, 4)
    close(linalg.matrix_norm(cr.tensor(a), ord), np.linalg.norm(a, ord, axis=(1, 2)))
    kept = linalg.matrix_norm(cr.tensor(a), ord, (0, 2), keepdim=True)
    close(kept, np.linalg.norm(a, ord, axis=(0, 2), keepdims=True))


def test_conditions_powers_and_chains() -> None:
    a = matrices(3, 3)
    for p in (None, 1, float("inf"), "fro", -2, "nuc"):
        close(linalg.cond(cr.tensor(a), p), np.linalg.cond(a, p))
    for n in (-3, 0, 1, 5):
        close(linalg.matrix_power(cr.tensor(a), n), np.linalg.matrix_power(a, n))
    chain = [matrices(2, 5), matrices(5, 1), matrices(1, 4), matrices(4, 3)]
    close(linalg.multi_dot([cr.tensor(x) for x in chain]), np.linalg.multi_dot(chain))
    assert linalg.matrix_rank(cr.tensor(np.diag([1.0, 0.0, 2.0]))).item() == 2
    close(cr.cross(cr.tensor(a), cr.tensor(a[::-1].copy())), np.cross(a, a[::-1], axis=0))
    close(linalg.vander(cr.tensor(a[0]), 4), np.vander(a[0], 4, increasing=True))


def test_tensor_systems() -> None:
    a, b = matrices(6, 6).reshape(2, 3, 6), matrices(2, 3)
    close(linalg.tensorsolve(cr.tensor(a), cr.tensor(b)), np.linalg.tensorsolve(a, b))
    square = matrices(6, 6).reshape(2, 3, 3, 2)
    close(linalg.tensorinv(cr.tensor(square)), np.linalg.tensorinv(square))


SECOND_ORDER: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {
    "solve": (linalg.solve, (matrices(2, 2, 2), matrices(2, 2, 1))),
    "solve on the right": (
        lambda a, b: linalg.solve(a, b, left=False), (matrices(2, 2), matrices(1, 2))
    ),
    "solve_triangular": (
        lambda a, b: linalg.solve_triangular(a, b, upper=True), (matrices(2, 2), matrices(2, 1))
    ),
    "inv": (linalg.inv, (matrices(2, 2),)),
    "slogdet": (lambda a: linalg.slogdet(a).logabsdet, (matrices(3, 3),)),
    "cholesky": (lambda a: linalg.cholesky(a + a.mT), (definite(2, 2),)),
    "cholesky_inverse": (cr.cholesky_inverse, (matrices(2, 2),)),
    "wide qr": (lambda a: tuple(linalg.qr(a)), (matrices(2, 3),)),
    "tall lu": (lambda a: linalg.lu_factor(a).LU, (matrices(3, 2),)),
    "wide lu": (lambda a: linalg.lu_factor(a).LU, (matrices(2, 3),)),
    "eigvalsh": (lambda a: linalg.eigvalsh(a + a.mT), (definite(2, 2),)),
    "svdvals": (linalg.svdvals, (matrices(3, 2),)),
    "singular vectors": (lambda a: linalg.svd(a, False).U, (matrices(3, 2),)),
    "pinv": (linalg.pinv, (matrices(3, 2),)),
    "lstsq": (lambda a, b: linalg.lstsq(a, b).solution, (matrices(3, 2), matrices(3, 1))),
    "matrix_exp": (linalg.matrix_exp, (matrices(2, 2),)),
    "householder_product": (linalg.householder_product, (matrices(3, 2), np.array([0.5, 0.7]))),
    "nuclear norm": (lambda a: cr.norm(a, "nuc"), (matrices(2, 3),)),
    "cond": (linalg.cond, (matrices(2, 2),)),
}  # fmt: skip


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_derivatives_hold_to_second_order(name: str) -> None:
    fn, inputs = SECOND_ORDER[name]
    operands = tuple(cr.tensor(x) for x in inputs)
    assert gradcheck(fn, operands).ok
    assert gradgradcheck(fn, operands, rtol=1e-5).ok


def test_the_gradient_of_a_singular_determinant_is_its_cofactors() -> None:
    a = cr.tensor(np.array([[1.0, 2.0], [2.0, 4.0]]), requires_grad=True)
    linalg.det(a).backward()
    close(a.grad, [[4.0, -2.0], [-2.0, 1.0]])
    dependent = matrices(3, 3)
    dependent[2] = dependent[0] - 2 * dependent[1]
    assert gradgradcheck(linalg.det, (cr.tensor(dependent),), rtol=1e-5).ok


def test_empty_matrices() -> None:
    empty = cr.tensor(np.zeros((2, 0, 0)), requires_grad=True)
    assert linalg.det(empty).tolist() == [1.0, 1.0]
    for fn in (linalg.inv, linalg.cholesky, linalg.matrix_exp, linalg.pinv):
        assert fn(empty).shape == (2, 0, 0)
    assert linalg.qr(cr.tensor(np.zeros((3, 0)))).Q.shape == (3, 0)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ArgumentError, match="singular"):
        linalg.inv(cr.zeros(2, 2))
    with pytest.raises(ArgumentError, match="not positive definite"):
        linalg.cholesky(cr.tensor(-np.eye(2)))
    with pytest.raises(ShapeError, match="square"):
        linalg.det(cr.zeros(2, 3))
    with pytest.raises(DTypeError, match="floating"):
        linalg.inv(cr.tensor([[1, 2], [3, 4]]))
    with pytest.raises(ArgumentError, match="no such mode"):
        linalg.qr(cr.zeros(2, 2), "full")
    with pytest.raises(ArgumentError, match="no such matrix norm"):
        linalg.matrix_norm(cr.zeros(2, 2), 3)


def test_the_ex_forms_report_instead_of_raising() -> None:
    a = cr.tensor(np.stack([np.eye(2), np.ones((2, 2)) * 0]))
    inverse, info = linalg.inv_ex(a)
    assert info.tolist() == [0, 1]
    assert inverse[0].tolist() == np.eye(2).tolist()
    assert np.isnan(inverse[1].numpy()).all()
    factor, info = linalg.cholesky_ex(cr.tensor(np.stack([np.eye(2), np.diag([1.0, -1.0])])))
    assert info.tolist() == [0, 2]
    assert np.isnan(factor[1].numpy()).all()
    x, info = linalg.solve_ex(a, cr.tensor(np.ones((2, 2, 1))))
    assert x[0].tolist() == [[1.0], [1.0]]
    assert info.tolist() == [0, 1]


def test_float32_stays_float32() -> None:
    a = cr.tensor(definite(3, 3).astype(np.float32))
    for fn in (linalg.inv, linalg.det, linalg.cholesky, linalg.matrix_exp, linalg.pinv):
        assert fn(a).dtype == np.float32
    assert all(part.dtype == np.float32 for part in (*linalg.svd(a), *linalg.lu(a), *linalg.qr(a)))


def test_compiled_as_eager() -> None:
    def loss(a: Any, b: Any) -> Any:
        factor = linalg.cholesky(a @ a.mT + 1.0)
        x = cr.cholesky_solve(b, factor)
        return (x * x).sum() + linalg.slogdet(a).logabsdet + linalg.svdvals(a).sum()

    a, b = cr.tensor(matrices(3, 3)), cr.tensor(matrices(3, 2))
    step = cr.compile(cr.value_and_grad(loss))
    value, gradient = cr.value_and_grad(loss)(a, b)
    for _ in range(2):
        got, found = step(a, b)
        close(got, value.numpy())
        close(found, gradient.numpy())


@pytest.mark.parametrize("odd", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize(
    ("fn", "what"),
    [
        (linalg.svd, "singular values"), (linalg.svdvals, "singular values"),
        (linalg.pinv, "singular values"), (linalg.eigh, "eigenvalues"),
    ],
)  # fmt: skip
def test_what_does_not_converge_is_an_error(fn: Any, what: str, dtype: str, odd: float) -> None:
    """LAPACK's singular values of the matrix with infinity would never end."""
    a = np.array([[-2.0, 0.0, 0.5], [odd, 1.0, -2.0], [0.5, 1.0, 0.0]], dtype)
    for call in (fn, cr.compile(lambda x: fn(x))):
        with pytest.raises(ArgumentError, match=what) as caught:
            call(cr.tensor(a))
        assert "NaN and infinities" in str(caught.value)
