"""Augmentation: a data set seen a little differently each time it is read."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..core.aval import describe
from ..errors import ArgumentError, ShapeError
from ..ops.random import randint
from ..tensor import Tensor
from .dataset import Dataset, Samples, fetch
from .samplers import Indices


@final
class Shifted(Dataset):
    """Images of another data set, each moved by up to `pixels` along both axes, zeros coming in.

    A sample is a tuple whose first field is the image (channels, height, width); other fields stay.
    The moves are drawn from the default generator, so ``Trainer.fit`` with a seed repeats them.
    Source: Simard, Steinkraus, Platt 2003, Best practices for convolutional neural networks,
    section 2 (translations of handwritten digits).

    >>> digits = cr.data.TensorDataset(np.ones((1, 1, 2, 2)), np.array([7]))
    >>> image, label = Shifted(digits, 1)[0]
    >>> image.shape, label.item()
    ((1, 2, 2), 7)
    """

    def __init__(self, dataset: Samples, pixels: int) -> None:
        if pixels < 0:
            raise ArgumentError("images move by a number of pixels", got=f"pixels={pixels}")
        self.dataset = dataset
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        images, *others = self.batch(np.array([range(len(self))[index]]))
        return (images[0], *(field[0] for field in others))

    def batch(self, indices: Indices | slice) -> Any:
        images, *others = fetch(self.dataset, indices)
        if images.ndim != 4:
            raise ShapeError(
                "only images can be shifted",
                expected="batches of (N, channels, height, width)",
                got=describe(images),
            )
        return (self._moved(images.array), *others)

    def _moved(self, images: Any) -> Tensor:
        """Each image cut out of its padded self, at a place of its own."""
        n, _, height, width = images.shape
        p = self.pixels
        padded = np.pad(images, ((0, 0), (0, 0), (p, p), (p, p)))
        places = randint(0, 2 * p + 1, (2, n)).array
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))
        return Tensor.wrap(windows[np.arange(n), :, places[0], places[1]])
