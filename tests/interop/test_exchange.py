"""Arrays and frames of other libraries, in and out."""

from __future__ import annotations

import numpy as np
import pandas
import polars
import pytest

import chainrule as cr
from chainrule.data.frames import from_frame
from chainrule.errors import ArgumentError, DataError, GradientError

COLUMNS = {"age": [31, 40, 25], "size": [1.5, 2.5, 0.5], "name": ["a", "b", "c"], "y": [0, 1, 1]}


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame, dict])
def test_frames_become_inputs_and_targets(make: type) -> None:
    frame = make(COLUMNS)
    table = from_frame(frame, "y", columns=["size", "age"])
    assert table.columns == ("size", "age")
    np.testing.assert_array_equal(table.inputs, np.float32([[1.5, 31], [2.5, 40], [0.5, 25]]))
    assert table.targets.dtype == np.int64
    with pytest.raises(DataError, match="name: values of type"):
        from_frame(frame, "y")
    with pytest.raises(DataError, match="weight"):
        from_frame(frame, "weight")


@pytest.mark.parametrize("make", [pandas.DataFrame, polars.DataFrame])
def test_gaps_are_named(make: type) -> None:
    frame = make({"a": [1.0, None, 3.0, None], "b": [1, 2, 3, 4]})
    with pytest.raises(DataError, match="a: 2 gaps in 4 rows"):
        from_frame(frame)
    assert from_frame(frame, columns=["b"]).targets is None


def test_frames_of_numbers_are_tensors_too() -> None:
    numbers = {"a": [1.0, 2.0], "b": [3.0, 4.0]}
    for make in (pandas.DataFrame, polars.DataFrame):
        assert cr.tensor(make(numbers)).tolist() == [[1.0, 3.0], [2.0, 4.0]]
        assert cr.tensor(make(numbers)["b"]).tolist() == [3.0, 4.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_dlpack_both_ways(dtype: type) -> None:
    x = np.arange(12, dtype=dtype).reshape(3, 4)
    inside = cr.from_dlpack(x.T)
    assert inside.dtype == dtype
    np.testing.assert_array_equal(inside.numpy(), x.T)
    np.testing.assert_array_equal(np.from_dlpack(cr.tensor(x)), x)
    assert inside.__dlpack_device__() == (1, 0)


def test_dlpack_does_not_lose_gradients_silently() -> None:
    with pytest.raises(GradientError):
        np.from_dlpack(cr.ones(2, requires_grad=True) * 2)
    with pytest.raises(ArgumentError, match="__dlpack__"):
        cr.from_dlpack([1, 2])
