"""Shifted images: whole pixels, zeros from outside, repeatable."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.data import DataLoader, Shifted, TensorDataset
from chainrule.errors import ArgumentError, ShapeError


def pictures(n: int = 64) -> TensorDataset:
    """One bright pixel in the middle of 7×7; the label says which sample it is."""
    images = np.zeros((n, 1, 7, 7), np.float32)
    images[:, :, 3, 3] = 1
    return TensorDataset(images, np.arange(n))


def test_every_image_moves_by_at_most_so_many_pixels_and_all_moves_occur() -> None:
    cr.manual_seed(0)
    ((images, labels),) = DataLoader(Shifted(pictures(500), 2), 500)
    assert images.sum((1, 2, 3)).tolist() == [1.0] * 500
    assert labels.tolist() == list(range(500))
    places = {tuple(np.argwhere(image)[0] - 3) for image in images.numpy()[:, 0]}
    assert places == {(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)}


def test_zeros_come_in_at_the_border() -> None:
    cr.manual_seed(0)
    ones = TensorDataset(np.ones((100, 2, 4, 4), np.float32))
    images = Shifted(ones, 1).batch(slice(0, 100))[0].numpy()
    assert set(images[:, 0].sum((1, 2)).tolist()) == {16.0, 12.0, 9.0}


def test_the_same_seed_moves_the_same_way_and_the_data_stay_as_they_are() -> None:
    data = pictures()
    runs = []
    for _ in range(2):
        cr.manual_seed(5)
        runs.append(Shifted(data, 2).batch(slice(0, 64))[0].numpy())
    np.testing.assert_array_equal(*runs)
    assert data.tensors[0].numpy()[:, 0, 3, 3].tolist() == [1.0] * 64


def test_one_sample_is_a_tuple_without_a_batch_axis() -> None:
    image, label = Shifted(pictures(), 0)[-1]
    assert image.shape == (1, 7, 7)
    assert label.item() == 63
    with pytest.raises(IndexError):
        Shifted(pictures(), 0)[64]


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError):
        Shifted(pictures(), -1)
    with pytest.raises(ShapeError, match="images"):
        Shifted(TensorDataset(np.ones((3, 4))), 1).batch(slice(0, 3))
