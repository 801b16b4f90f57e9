"""Networks that the command line trains, by name: saved runs are rebuilt from this list only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from . import init
from .containers import Sequential
from .layers.activation import ReLU
from .layers.convolution import Conv2d
from .layers.dropout import Dropout
from .layers.linear import Linear
from .layers.pooling import MaxPool2d
from .layers.shape import Flatten
from .module import Module


def mnist_cnn() -> Sequential:
    """The network of document 002 for 28×28 images of ten classes; 34,826 parameters.

    Conv 32 (3×3) + ReLU → max pool 2 → Conv 64 (3×3) + ReLU → max pool 2 → flatten (1600) →
    dropout 0.5 → dense 10. It returns logits: softmax is part of the loss. The document writes it
    in Keras's terms, so weights start as there: Glorot uniform, biases zero.
    """
    model = Sequential(
        {
            "conv1": Conv2d(1, 32, 3),
            "relu1": ReLU(),
            "pool1": MaxPool2d(2),
            "conv2": Conv2d(32, 64, 3),
            "relu2": ReLU(),
            "pool2": MaxPool2d(2),
            "flatten": Flatten(),
            "dropout": Dropout(0.5),
            "dense": Linear(1600, 10),
        }
    )
    for layer in (model.conv1, model.conv2, model.dense):
        init.xavier_uniform_(layer.weight)
        init.zeros_(layer.bias)
    return model


class Network(NamedTuple):
    """How to build a network, and the shape of one of its inputs."""

    build: Callable[[], Module]
    input_shape: tuple[int, ...]


NETWORKS: Final[Mapping[str, Network]] = MappingProxyType(
    {"mnist-cnn": Network(mnist_cnn, (1, 28, 28))}
)
"""The networks by the name that ``run.json`` gives."""
