"""Joining, turning, splitting and replacing parts: NumPy is the judge of where elements go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, IndexRangeError, ShapeError
from chainrule.testing import gradcheck

Array = np.ndarray[Any, np.dtype[Any]]


def numbered(*shape: int) -> Array:
    """An array whose elements say where they are."""
    return np.arange(1.0, 1.0 + float(np.prod(shape))).reshape(shape)


A, B, C = numbered(2, 3), numbered(4, 3), numbered(2, 3, 4)

SAME_AS_NUMPY: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[Array, ...]]] = {
    "hstack": (lambda *x: cr.hstack(x), lambda *x: np.hstack(x), (A, A)),
    "hstack of vectors": (lambda *x: cr.hstack(x), lambda *x: np.hstack(x), (A[0], B[0])),
    "vstack": (lambda *x: cr.vstack(x), lambda *x: np.vstack(x), (A, B, A[0])),
    "dstack": (lambda *x: cr.dstack(x), lambda *x: np.dstack(x), (A, A)),
    "column_stack": (lambda *x: cr.column_stack(x), lambda *x: np.column_stack(x), (A[0], B[:3])),
    "rot90": (lambda x: cr.rot90(x, 3, (0, 2)), lambda x: np.rot90(x, 3, (0, 2)), (C,)),
    "rot180": (lambda x: cr.rot90(x, -2), lambda x: np.rot90(x, -2), (A,)),
    "fliplr": (cr.fliplr, np.fliplr, (C,)),
    "flipud": (cr.flipud, np.flipud, (A[0],)),
    "moveaxis": (lambda x: cr.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, 0, -1), (C,)),
    "kron": (cr.kron, np.kron, (A, numbered(2, 1, 2))),
    "inner": (cr.inner, np.inner, (A, B)),
    "repeat": (lambda x: cr.repeat_interleave(x, 2, 1), lambda x: np.repeat(x, 2, 1), (A,)),
    "repeat by counts": (
        lambda x: cr.repeat_interleave(x, cr.tensor([2, 0, 1]), 1),
        lambda x: np.repeat(x, [2, 0, 1], 1), (A,),
    ),
    "meshgrid": (
        lambda x, y: cr.meshgrid(x, y, indexing="xy")[0], lambda x, y: np.meshgrid(x, y)[0],
        (A[0], B[:, 0]),
    ),
    "tensor_split": (
        lambda x: cr.tensor_split(x, 3, 2)[1], lambda x: np.array_split(x, 3, 2)[1], (C,)
    ),
    "tensor_split at": (
        lambda x: cr.tensor_split(x, (1, 3), 2)[1], lambda x: np.split(x, (1, 3), 2)[1], (C,)
    ),
    "hsplit": (lambda x: cr.hsplit(x, 3)[2], lambda x: np.hsplit(x, 3)[2], (A,)),
    "trace": (cr.trace, np.trace, (A,)),
    "diagflat": (lambda x: cr.diagflat(x, -1), lambda x: np.diagflat(x, -1), (A,)),
    "windows": (
        lambda x: x.unfold(1, 2, 1),
        lambda x: np.lib.stride_tricks.sliding_window_view(x, 2, 1), (C,),
    ),
    "as_strided": (
        lambda x: cr.as_strided(x, (2, 2), (1, 2), 1),
        lambda x: np.lib.stride_tricks.as_strided(x.reshape(-1)[1:], (2, 2), (8, 16)), (A,),
    ),
    "diag_embed": (lambda x: cr.diag_embed(x, 1)[1], lambda x: np.diag(x[1], 1), (A,)),
    "cov": (cr.cov, np.cov, (numbered(2, 3) ** 2 * [[1.0], [-2.0]],)),
    "corrcoef": (cr.corrcoef, np.corrcoef, (numbered(2, 4) ** [[1.0], [3.0]],)),
    "put": (
        lambda x, v: cr.put(x, [4, 0], v), lambda x, v: _put(x, [4, 0], v), (A, numbered(2))
    ),
    "irfft": (lambda x: cr.fft.irfft(x, 5), lambda x: np.fft.irfft(x, 5), (A,)),
    "hfft": (lambda x: cr.fft.hfft(x, norm="ortho"), lambda x: np.fft.hfft(x, norm="ortho"), (A,)),
    "fftshift": (lambda x: cr.fft.fftshift(x, 1), lambda x: np.fft.fftshift(x, 1), (A,)),
}  # fmt: skip


def _put(x: Array, places: list[int], v: Array) -> Array:
    y = x.copy()
    np.put(y, places, v)
    return y


@pytest.mark.parametrize("name", SAME_AS_NUMPY)
def test_places_are_numpys_and_gradients_hold(name: str) -> None:
    ours, numpys, operands = SAME_AS_NUMPY[name]
    tensors = tuple(cr.tensor(x) for x in operands)
    np.testing.assert_allclose(ours(*tensors).numpy(), numpys(*operands), rtol=1e-12, atol=1e-12)
    assert gradcheck(ours, tensors, rtol=1e-5).ok


def test_scattered_parts_are_what_the_part_reads_back() -> None:
    x, row, diagonal = cr.tensor(C), cr.tensor(-numbered(2, 4)), cr.tensor(-numbered(4, 2))
    assert cr.select_scatter(x, row, 1, -1)[:, 2].tolist() == row.tolist()
    assert cr.diagonal(cr.diagonal_scatter(x, diagonal), 0, 0, 1).tolist() == diagonal.tolist()
    cut = cr.slice_scatter(x, x[:, :, :2] * 0, 2, 0, None, 2)
    assert cut.tolist() == np.where(np.arange(4) % 2, C, 0).tolist()
    again = cr.as_strided_scatter(x, cr.tensor([-1.0, -2.0]), (2,), (5,), 3)
    assert cr.as_strided(again, (2,), (5,), 3).tolist() == [-1.0, -2.0]
    assert x.tolist() == C.tolist()


def test_copies_may_be_changed_in_place() -> None:
    x = cr.tensor(A)
    for copy in (cr.permute_copy(x, (1, 0)), cr.narrow_copy(x, 0, 0, 1), cr.view_copy(x, (6,))):
        copy.zero_()
        assert not copy.any()
    assert x.tolist() == A.tolist()


def test_block_diagonals_products_and_combinations() -> None:
    y = cr.block_diag(cr.tensor(A), cr.tensor(3.0), cr.tensor(A[0]))
    want = np.zeros((4, 7))
    want[:2, :3], want[2, 3], want[3, 4:] = A, 3.0, A[0]
    assert y.tolist() == want.tolist()
    assert cr.cartesian_prod(cr.tensor([1, 2]), cr.tensor([3])).tolist() == [[1, 3], [2, 3]]
    assert cr.combinations(cr.tensor([1, 2]), 2, True).tolist() == [[1, 1], [1, 2], [2, 2]]
    assert cr.combinations(cr.tensor([1.0]), 2).shape == (0, 2)


def test_empty_vectors_are_left_out_of_cat() -> None:
    assert cr.cat([cr.zeros(0), cr.ones(1, 2)]).shape == (1, 2)
    assert cr.cat([cr.zeros(0), cr.zeros(0)]).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: cr.narrow(x, 0, 1, 2), IndexRangeError),
        (lambda x: cr.select(x, 1, 3), IndexRangeError),
        (lambda x: cr.hsplit(x, 2), ShapeError),
        (lambda x: cr.as_strided(x, (2, 4), (3, 1)), IndexRangeError),
        (lambda x: x.unfold(1, 4, 1), ArgumentError),
        (lambda x: cr.rot90(x, 1, (0, 0)), ArgumentError),
        (lambda x: cr.trace(x[0]), ShapeError),
        (lambda x: cr.mm(x, x), ShapeError),
        (lambda x: cr.bmm(x, x), ShapeError),
        (lambda x: cr.cdist(x, x[:, :2]), ShapeError),
        (lambda x: cr.repeat_interleave(x, -1), ArgumentError),
        (lambda x: cr.meshgrid(x), ShapeError),
        (lambda x: cr.diagonal_scatter(x, x), ShapeError),
        (lambda x: cr.constant_pad_nd(x, (1,)), ShapeError),
        (lambda x: cr.fft.irfft(x, norm="none"), ArgumentError),
        (lambda x: cr.fft.fft(x), AttributeError),
    ],
)
def test_what_does_not_fit_is_an_error(call: Callable[..., Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        call(cr.tensor(A))


def test_a_beta_of_zero_ignores_even_nan() -> None:
    nan, x = cr.tensor(np.full((2, 2), np.nan)), cr.tensor(A)
    assert cr.addmm(nan, x, x.mT, beta=0, alpha=2).tolist() == (2 * A @ A.T).tolist()


def test_one_variable_has_a_variance_and_weights_count() -> None:
    x, weights = cr.tensor(A[:1]), cr.tensor([1, 2, 3])
    assert cr.cov(x).item() == cr.corrcoef(x).item() == 1.0
    got = cr.cov(cr.tensor(A), fweights=weights, aweights=cr.tensor([0.5, 1.0, 2.0]))
    want = np.cov(A, fweights=[1, 2, 3], aweights=[0.5, 1.0, 2.0])
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_equal_rows_have_distance_and_gradient_zero() -> None:
    x = cr.tensor(np.ones((2, 3)), requires_grad=True)
    y = cr.cdist(x, x)
    y.sum().backward()
    assert y.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert x.grad.tolist() == np.zeros((2, 3)).tolist()
    assert cr.pdist(x).tolist() == [0.0]
