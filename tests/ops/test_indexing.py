"""Indexing is NumPy's: forward equals NumPy's own, gradients equal those of one-hot matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from chainrule.testing import gradcheck, gradgradcheck

Array = np.ndarray[Any, np.dtype[Any]]

many = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


def numbered(shape: tuple[int, ...]) -> Array:
    """An array whose elements say where they are."""
    return np.arange(float(np.prod(shape))).reshape(shape)


def one_hot_matrix(shape: tuple[int, ...], key: Any) -> Array:
    """The matrix A with A @ x.ravel() == x[key].ravel()."""
    places = np.arange(int(np.prod(shape))).reshape(shape)[key].reshape(-1)
    matrix = np.zeros((places.size, int(np.prod(shape))))
    matrix[np.arange(places.size), places] = 1
    return matrix


@st.composite
def _integer_arrays(draw: st.DrawFn, n: int, common: tuple[int, ...]) -> Any:
    """Integers within an axis of length n, of a shape that broadcasts to `common`."""
    shape = tuple(draw(st.sampled_from([1, m])) for m in common)
    shape = shape[draw(st.integers(0, len(shape))) :]
    array = draw(hnp.arrays(np.int64, shape, elements=st.integers(-n, n - 1)))
    form = draw(st.sampled_from(["array", "int32", "list", "tensor"]))
    if form == "tensor":
        return cr.tensor(array)
    if form == "int32":
        return array.astype(np.int32)
    return array.tolist() if form == "list" and array.ndim else array


@st.composite
def shapes_and_keys(draw: st.DrawFn) -> tuple[tuple[int, ...], Any]:
    """A shape and a key for it: every kind of index, mixed, in any order."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    common = draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=1, max_side=3))
    key: list[Any] = []
    axis, ellipsis_left = 0, True
    while axis < len(shape):
        n = shape[axis]
        kinds = ["slice", "slice", "mask", "new", "stop"]
        kinds += ["int", "array", "array"] if n else []
        kinds += ["ellipsis"] if ellipsis_left else []
        kind = draw(st.sampled_from(kinds))
        if kind == "stop":
            break
        if kind == "new":
            key.append(None)
        elif kind == "ellipsis":
            key.append(Ellipsis)
            ellipsis_left = False
            axis += draw(st.integers(0, len(shape) - axis))
        elif kind == "mask":
            k = draw(st.integers(1, min(2, len(shape) - axis)))
            mask = draw(hnp.arrays(np.bool_, shape[axis : axis + k]))
            key.append(cr.tensor(mask) if draw(st.booleans()) else mask)
            axis += k
        else:
            if kind == "slice":
                key.append(draw(st.slices(n)))
            elif kind == "int":
                i = draw(st.integers(-n, n - 1))
                key.append(draw(st.sampled_from([i, np.int64(i), cr.tensor(i)])))
            else:
                key.append(draw(_integer_arrays(n, common)))
            axis += 1
    if draw(st.integers(0, 9)) == 0:
        key.insert(draw(st.integers(0, len(key))), draw(st.booleans()))
    return shape, key[0] if len(key) == 1 and draw(st.booleans()) else tuple(key)


def for_numpy(key: Any) -> Any:
    """The same key without tensors."""
    if isinstance(key, tuple):
        return tuple(for_numpy(part) for part in key)
    return key.numpy() if isinstance(key, cr.Tensor) else key


def oracle(shape: tuple[int, ...], key: Any) -> Array | None:
    """What NumPy reads from the numbered array, or None if it refuses the key."""
    try:
        return np.asarray(numbered(shape)[for_numpy(key)])
    except IndexError:
        return None


@many
@given(shapes_and_keys())
def test_reading_equals_numpy_and_the_gradient_is_that_of_a_one_hot_matrix(
    case: tuple[tuple[int, ...], Any],
) -> None:
    shape, key = case
    expected = oracle(shape, key)
    x = cr.tensor(numbered(shape), requires_grad=True)
    if expected is None:
        with pytest.raises((IndexRangeError, ShapeError)):
            x[key]
        return
    y = x[key]
    assert y.shape == expected.shape
    assert np.array_equal(y.detach().numpy(), expected)
    ct = np.random.default_rng(0).normal(size=expected.shape)
    y.backward(cr.tensor(ct))
    assert x.grad is not None
    want = ct.reshape(-1) @ one_hot_matrix(shape, for_numpy(key))
    np.testing.assert_allclose(x.grad.numpy().reshape(-1), want, rtol=1e-12, atol=1e-12)


@many
@given(shapes_and_keys(), st.sampled_from(["full", "number", "row"]))
def test_assigning_equals_numpy_and_the_last_of_several_values_gets_the_gradient(
    case: tuple[tuple[int, ...], Any], form: str
) -> None:
    shape, key = case
    target = oracle(shape, key)
    if target is None:
        return
    rng = np.random.default_rng(1)
    v_shape = {"full": target.shape, "number": (), "row": target.shape[-1:]}[form]
    x0, v0 = numbered(shape), rng.normal(size=v_shape)
    expected = x0.copy()
    expected[for_numpy(key)] = v0
    x, v = cr.tensor(x0, requires_grad=True), cr.tensor(v0, requires_grad=True)
    y = cr.index_update(x, key, v)
    assert np.array_equal(y.detach().numpy(), expected)
    assert np.array_equal(x.detach().numpy(), x0)

    ct = rng.normal(size=shape)
    y.backward(cr.tensor(ct))
    assert x.grad is not None
    assert v.grad is not None
    untouched = ct.copy()
    untouched[for_numpy(key)] = 0
    np.testing.assert_allclose(x.grad.numpy(), untouched)
    spread = np.zeros(shape)  # which value ended up where: one NumPy assignment per value
    given_gradient = np.zeros(v0.size)
    for k in range(v0.size):
        spread[...] = 0
        spread[for_numpy(key)] = (np.arange(v0.size) == k).reshape(v_shape)
        given_gradient[k] = (spread * ct).sum()
    np.testing.assert_allclose(v.grad.numpy().reshape(-1), given_gradient, atol=1e-12)


KEYS: list[tuple[str, tuple[int, ...], Any]] = [
    ("negative step", (5,), np.s_[::-2]),
    ("arrays next to each other", (3, 4, 2), np.s_[:, [0, 3, 3], [1, 0, 1]]),
    ("arrays separated by a slice", (3, 4, 2), np.s_[[0, 2, 2], :, [1, 0, 1]]),
    ("an integer and an array separated", (3, 4, 2), np.s_[0, :, [1, 0]]),
    ("repeated rows", (3, 2), np.s_[[1, 1, 1, 0]]),
    ("a mask", (2, 3), np.array([[True, False, True], [False, True, True]])),
    ("a mask and an array", (2, 3), np.s_[np.array([True, True]), [2, 0]]),
    ("new axes", (2, 3), np.s_[None, 1, None, [0, 2]]),
]


@pytest.mark.parametrize(("shape", "key"), [k[1:] for k in KEYS], ids=[k[0] for k in KEYS])
def test_first_and_second_derivatives_of_reading_and_assigning(
    shape: tuple[int, ...], key: Any
) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=shape)
    v = rng.normal(size=numbered(shape)[key].shape)
    gradcheck(lambda x: x[key] ** 2, x)
    gradgradcheck(lambda x: x[key] ** 3, x)
    gradcheck(lambda x, v: cr.index_update(x, key, v) ** 2, (x, v))
    gradgradcheck(lambda x, v: cr.index_update(x, key, v) ** 3, (x, v))


@pytest.mark.parametrize("index", [3, -4, [0, 3], [[-4]], np.array([2**63 - 1])])
def test_an_index_out_of_range_is_an_error_that_names_the_line(index: Any) -> None:
    x = cr.tensor([1.0, 2.0, 3.0])
    for attempt in (lambda: x[index], lambda: cr.index_update(x, index, 0.0)):
        with pytest.raises(IndexRangeError) as info:
            attempt()
        assert isinstance(info.value, IndexError)
        assert "test_indexing.py" in (info.value.at or "")


def test_an_unsigned_index_beyond_the_signed_range_does_not_wrap_around() -> None:
    with pytest.raises(IndexRangeError):
        cr.tensor([1.0])[np.array([2**64 - 1], np.uint64)]


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ((0, 0, 0), IndexRangeError),
        ((..., 0, ...), IndexRangeError),
        (1.0, DTypeError),
        ("a", DTypeError),
        ([0.5], DTypeError),
        (slice(0.5), DTypeError),
        (np.array([True, False, True]), ShapeError),
        (([0, 1], [0, 1, 1]), ShapeError),
    ],
)
def test_what_is_no_index_for_this_shape_is_a_named_error(key: Any, error: type) -> None:
    with pytest.raises(error):
        cr.tensor(np.zeros((2, 3)))[key]


def test_values_that_do_not_broadcast_are_refused_and_nothing_changes() -> None:
    x = cr.tensor(np.zeros((2, 3)))
    with pytest.raises(ShapeError):
        x[0] = cr.tensor([1.0, 2.0])
    assert not x.any()


def test_assignment_keeps_the_element_type_of_the_tensor() -> None:
    x = cr.tensor([1, 2, 3])
    x[0] = 7.9
    x[np.array([False, True, False])] = 2.5
    assert x.dtype == np.int64
    assert x.tolist() == [7, 2, 3]
    y = cr.tensor(np.zeros(2, np.float32))
    y[1] = np.float64(0.1)
    assert y.dtype == np.float32


def test_assignment_differentiates_in_the_tensor_and_in_the_value() -> None:
    w = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    v = cr.tensor(5.0, requires_grad=True)
    x = w * 2
    x[1] = v * v
    (x * cr.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert w.grad.tolist() == [2.0, 0.0, 200.0]  # type: ignore[union-attr]  # it was computed
    assert v.grad.item() == 100.0  # type: ignore[union-attr]  # it was computed


def test_reading_from_an_empty_axis() -> None:
    x = cr.tensor(np.zeros((0, 3)), requires_grad=True)
    y = x[[]]
    y.sum().backward()
    assert y.shape == x.grad.shape == (0, 3)  # type: ignore[union-attr]  # it was computed
    with pytest.raises(IndexRangeError):
        x[0]


# Named look-ups -----------------------------------------------------------------------------------


def test_take_and_index_add_are_transposes() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(4, 3, 2)), rng.normal(size=(4, 5, 2))
    index = np.array([2, 0, 2, 1, -1])
    taken = cr.take(cr.tensor(x), index, dim=1).numpy()
    assert np.array_equal(taken, np.take(x, index, 1))
    added = cr.index_add(cr.tensor(np.zeros_like(x)), 1, index, cr.tensor(y)).numpy()
    assert np.sum(taken * y) == pytest.approx(np.sum(x * added), rel=1e-12)
    gradcheck(lambda x, y: cr.index_add(x, 1, index, y) ** 2, (x, y))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2), st.data())
def test_gather_and_scatter_add_equal_loops(dim: int, data: st.DataObject) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=3))
    size = tuple(data.draw(st.integers(0, 4 if axis == dim else n)) for axis, n in enumerate(shape))
    index = data.draw(hnp.arrays(np.int64, size, elements=st.integers(0, shape[dim] - 1)))
    x, src = numbered(shape), numbered(size) + 1
    gathered, scattered = np.zeros(size), x.copy()
    for place in np.ndindex(*size):
        there = (*place[:dim], int(index[place]), *place[dim + 1 :])
        gathered[place] = x[there]
        scattered[there] += src[place]
    assert np.array_equal(cr.gather(cr.tensor(x), dim, cr.tensor(index)).numpy(), gathered)
    result = cr.scatter_add(cr.tensor(x), dim, cr.tensor(index), cr.tensor(src))
    assert np.array_equal(result.numpy(), scattered)


def test_take_along_dim_and_index_select_have_the_signatures_of_torch() -> None:
    x = cr.Tensor(numbered((2, 3)))
    order = cr.argsort(x, 1, descending=True)
    assert cr.take_along_dim(x, order, 1).tolist() == [[2.0, 1.0, 0.0], [5.0, 4.0, 3.0]]
    assert cr.take_along_dim(x, [[0, 2]], 1).tolist() == [[0.0, 2.0], [3.0, 5.0]]
    assert cr.take_along_dim(x[:1], [[1], [2]], dim=1).tolist() == [[1.0], [2.0]]
    assert cr.take_along_dim(x, [5, 0]).tolist() == [5.0, 0.0]
    assert cr.index_select(x, 1, [2, 2, 0]).tolist() == [[2.0, 2.0, 0.0], [5.0, 5.0, 3.0]]
    with pytest.raises(ShapeError, match="as many axes"):
        cr.take_along_dim(x, [1], 0)
    with pytest.raises(ShapeError):
        cr.take_along_dim(x, [[0], [1], [2]], 1)
    gradcheck(lambda x: cr.take_along_dim(x, [[0, 2, 0]], 1), cr.Tensor(numbered((2, 3))))


def test_derivatives_of_gather_and_scatter_add() -> None:
    rng = np.random.default_rng(4)
    index = np.array([[0, 2, 2], [1, 1, 0]])
    x, src = rng.normal(size=(3, 3)), rng.normal(size=(2, 3))
    gradcheck(lambda x: cr.gather(x, 0, index) ** 2, x)
    gradgradcheck(lambda x: cr.gather(x, 0, index) ** 3, x)
    gradcheck(lambda x, s: cr.scatter_add(x, 0, index, s) ** 2, (x, src))
    gradgradcheck(lambda x, s: cr.scatter_add(x, 0, index, s) ** 3, (x, src))


@pytest.mark.parametrize("index", [[[3, 0]], [[-1, 0]], [[0, 2**63 - 1]]])
def test_gather_and_scatter_refuse_numbers_out_of_range(index: Any) -> None:
    x = cr.tensor(np.zeros((3, 2)))
    with pytest.raises(IndexRangeError):
        cr.gather(x, 0, index)
    with pytest.raises(IndexRangeError):
        cr.scatter_add(x, 0, index, cr.tensor(np.zeros((1, 2))))


def test_gather_refuses_floats_and_shapes_that_do_not_fit() -> None:
    x = cr.tensor(np.zeros((3, 2)))
    with pytest.raises(DTypeError):
        cr.gather(x, 0, cr.tensor([[0.0]]))
    with pytest.raises(ShapeError):
        cr.gather(x, 0, cr.tensor([0]))
    with pytest.raises(ShapeError):
        cr.gather(x, 0, cr.tensor([[0, 0, 0]]))
    with pytest.raises(ShapeError):
        cr.scatter_add(x, 0, cr.tensor([[0, 0]]), cr.tensor([[1.0]]))


@pytest.mark.parametrize("width", [1, 3, 700])
def test_embedding_and_its_gradient_equal_a_one_hot_matrix(width: int) -> None:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(6, width))
    index = rng.integers(0, 6, size=(50, 3))
    ct = rng.normal(size=(50, 3, width))
    codes = np.eye(6)[index]
    w = cr.tensor(weight, requires_grad=True)
    y = cr.embedding(cr.tensor(index), w)
    np.testing.assert_allclose(y.detach().numpy(), codes @ weight)
    y.backward(cr.tensor(ct))
    assert w.grad is not None
    want = np.einsum("nkr,nkw->rw", codes, ct)
    np.testing.assert_allclose(w.grad.numpy(), want, rtol=1e-12, atol=1e-12)


def test_second_derivative_of_embedding() -> None:
    weight = np.random.default_rng(6).normal(size=(4, 2))
    gradgradcheck(lambda w: cr.embedding([1, 1, 3, 0], w) ** 3, weight)


@pytest.mark.parametrize("padding_idx", [2, -2])
def test_the_padding_row_of_an_embedding_is_shown_but_gets_no_gradient(padding_idx: int) -> None:
    weight = np.random.default_rng(7).normal(size=(4, 2))
    w = cr.tensor(weight, requires_grad=True)
    y = cr.embedding(cr.tensor([2, 0, 2]), w, padding_idx=padding_idx)
    assert np.array_equal(y.detach().numpy(), weight[[2, 0, 2]])
    (first,) = cr.gradients([(y**2).sum()], [w], create_graph=True)
    want = np.zeros_like(weight)
    want[0] = 2 * weight[0]
    np.testing.assert_allclose(first.detach().numpy(), want)
    (second,) = cr.gradients([first.sum()], [w])
    assert second.numpy()[0].tolist() == [2.0, 2.0]
    assert not second.numpy()[1:].any()


@pytest.mark.parametrize("index", [[-1], [4], [0, 2**63 - 1]])
def test_embedding_refuses_numbers_out_of_range(index: list[int]) -> None:
    with pytest.raises(IndexRangeError):
        cr.embedding(cr.tensor(index), cr.tensor(np.zeros((4, 2))))


def test_embedding_refuses_floats_and_a_padding_row_that_is_not_there() -> None:
    weight = cr.tensor(np.zeros((4, 2)))
    with pytest.raises(DTypeError):
        cr.embedding(cr.tensor([1.0]), weight)
    with pytest.raises(IndexRangeError):
        cr.embedding(cr.tensor([1]), weight, padding_idx=4)


def test_one_hot() -> None:
    index = np.array([[2, 0], [1, 1]])
    assert np.array_equal(cr.one_hot(cr.tensor(index)).numpy(), np.eye(3, dtype=int)[index])
    assert cr.one_hot(cr.tensor(2), 4).tolist() == [0, 0, 1, 0]
    assert cr.one_hot(cr.tensor(np.zeros(0, int)), 3).shape == (0, 3)
    assert cr.one_hot(cr.tensor(index)).dtype == np.int64


@pytest.mark.parametrize("label", [7, 3, -1, 2**63 - 1])
def test_one_hot_refuses_labels_out_of_range(label: int) -> None:
    with pytest.raises(IndexRangeError):
        cr.one_hot(cr.tensor([0, label]), 3)


def test_one_hot_needs_classes_and_integers() -> None:
    with pytest.raises(ArgumentError):
        cr.one_hot(cr.tensor(np.zeros(0, int)))
    with pytest.raises(DTypeError):
        cr.one_hot(cr.tensor([1.0]), 3)


def test_nonzero_lists_coordinates() -> None:
    x = np.array([[0.0, 1.0], [2.0, 0.0]])
    assert np.array_equal(cr.nonzero(cr.tensor(x)).numpy(), np.argwhere(x))
