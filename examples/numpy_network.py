"""Backpropagation written out by hand in NumPy, checked against the engine (document 003).

A fully connected network of sigmoid layers, columns as samples. The backward pass is the chain rule
layer by layer: δ = (Wᵀδ) ⊙ σ′, dW = δ aᵀ / m, db = mean of δ. Its loss is L = Σ (a - y)² / 2m; the
with respect to the output is (a - y) / m.

    python examples/numpy_network.py
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import chainrule as cr

Array = np.ndarray


def sigmoid(z: Array) -> Array:
    """σ(z) = 1 / (1 + e^-z)."""
    return 1 / (1 + np.exp(-z))


class NeuralNetwork:
    """Sigmoid layers of the given sizes, with forward and backward passes written by hand."""

    def __init__(self, layer_sizes: list[int], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        pairs = list(pairwise(layer_sizes))
        self.weights = [0.5 * rng.normal(size=(n_out, n_in)) for n_in, n_out in pairs]
        self.biases = [np.zeros((n_out, 1)) for n_out in layer_sizes[1:]]
        self.activations: list[Array] = []

    def forward(self, x: Array) -> Array:
        """Predictions for the columns of `x`; every activation is kept for backward."""
        self.activations = [x]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            self.activations.append(sigmoid(weight @ self.activations[-1] + bias))
        return self.activations[-1]

    def backward(self, y: Array) -> list[tuple[Array, Array]]:
        """(dL/dW, dL/db) of each layer, first to last."""
        samples = y.shape[1]
        grads = []
        upstream = self.activations[-1] - y
        for weight, before, after in reversed(
            list(zip(self.weights, self.activations, self.activations[1:], strict=False))
        ):
            delta = upstream * after * (1 - after)
            grads.append((delta @ before.T / samples, delta.mean(axis=1, keepdims=True)))
            upstream = weight.T @ delta
        return grads[::-1]

    def update(self, grads: list[tuple[Array, Array]], learning_rate: float) -> None:
        """One step of gradient descent."""
        for layer, (d_weight, d_bias) in enumerate(grads):
            self.weights[layer] = self.weights[layer] - learning_rate * d_weight
            self.biases[layer] = self.biases[layer] - learning_rate * d_bias


def engine_gradients(network: NeuralNetwork, x: Array, y: Array) -> list[tuple[Array, Array]]:
    """The same gradients, by the engine: only the forward pass is written down."""
    weights = [cr.tensor(w, requires_grad=True) for w in network.weights]
    biases = [cr.tensor(b, requires_grad=True) for b in network.biases]
    a = cr.tensor(x)
    for weight, bias in zip(weights, biases, strict=True):
        a = cr.sigmoid(weight @ a + bias)
    loss = ((a - cr.tensor(y)) ** 2).sum() / (2 * y.shape[1])
    loss.backward()
    return [(w.grad.numpy(), b.grad.numpy()) for w, b in zip(weights, biases, strict=True)]


def main() -> None:
    """Train the document's 2-3-1 network on which side of a line its points lie."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2, 100))
    y = (x[:1] + x[1:] > 0).astype(float)
    network = NeuralNetwork([2, 3, 1])
    network.forward(x)
    worst = max(
        np.abs(hand - engine).max()
        for by_hand, by_engine in zip(
            network.backward(y), engine_gradients(network, x, y), strict=True
        )
        for hand, engine in zip(by_hand, by_engine, strict=True)
    )
    print(f"largest difference between the gradients by hand and by the engine: {worst:.1e}")
    for step in range(2001):
        prediction = network.forward(x)
        if step % 500 == 0:
            loss = ((prediction - y) ** 2).sum() / (2 * y.shape[1])
            accuracy = ((prediction > 0.5) == y).mean()
            print(f"step {step:4d}   loss {loss:.4f}   accuracy {accuracy:.2f}")
        network.update(network.backward(y), learning_rate=3.0)


if __name__ == "__main__":
    main()
