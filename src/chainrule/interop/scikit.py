"""Estimators for scikit-learn: networks that fit into its pipelines, searches and scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import ops
from ..core.value import recording
from ..errors import ArgumentError
from ..nn import functional
from ..nn.containers import Sequential
from ..nn.layers import activation
from ..nn.layers.linear import Linear
from ..nn.module import Module
from ..optim.adam import AdamW
from ..tensor import Tensor
from ..train.loop import Trainer

__all__ = ["NetworkClassifier", "NetworkRegressor"]

_ACTIVATIONS = {"relu": activation.ReLU, "tanh": activation.Tanh, "sigmoid": activation.Sigmoid}
_COMPILED_FROM = 500
"""With fewer steps than this, compiling them would take longer than it saves."""


class _Network(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both estimators share: the network, its training, and the scale of the inputs."""

    def __init__(
        self,
        hidden: Sequence[int] = (64, 64),
        activation: str = "relu",
        build: Callable[[int, int], Module] | None = None,
        epochs: int = 60,
        batch_size: int = 32,
        lr: float = 3e-3,
        weight_decay: float = 1e-4,
        scale_inputs: bool = True,
        random_state: Any = None,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.build = build
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.scale_inputs = scale_inputs
        self.random_state = random_state

    def _make(self, inputs: int, outputs: int) -> Module:
        if self.build is not None:
            return self.build(inputs, outputs)
        if self.activation not in _ACTIVATIONS:
            raise ArgumentError(
                "there is no such activation",
                expected=", ".join(_ACTIVATIONS),
                got=repr(self.activation),
            )
        layers: list[Module] = []
        for width in self.hidden:
            layers += [Linear(inputs, width), _ACTIVATIONS[self.activation]()]
            inputs = width
        return Sequential(*layers, Linear(inputs, outputs))

    def _train(self, x: Any, y: Any, outputs: int, loss: Any) -> None:
        seed = int(check_random_state(self.random_state).randint(2**31))
        ops.manual_seed(seed)
        self.mean_ = x.mean(0) if self.scale_inputs else np.zeros(x.shape[1])
        deviation = x.std(0) if self.scale_inputs else np.ones(x.shape[1])
        self.scale_ = np.where(deviation > 0, deviation, 1.0)
        self.n_outputs_ = outputs
        self.module_ = self._make(x.shape[1], outputs)
        optimizer = AdamW(self.module_.parameters(), lr=self.lr, weight_decay=self.weight_decay)
        steps = self.epochs * -(-len(x) // self.batch_size)
        trainer = Trainer(self.module_, optimizer, loss, compile=steps >= _COMPILED_FROM)
        history = trainer.fit(
            (self._scaled(x).astype(np.float32), y), epochs=self.epochs,
            batch_size=self.batch_size, seed=seed, quiet=True,
        )  # fmt: skip
        self.module_.eval().double()  # so that a sample's output does not depend on the others
        self.loss_curve_ = [epoch.metrics["loss"] for epoch in history.epochs]
        self.n_iter_ = len(self.loss_curve_)

    def _scaled(self, x: Any) -> Any:
        return (x - self.mean_) / self.scale_

    def _outputs(self, x: Any) -> Any:
        check_is_fitted(self)
        x = validate_data(self, x, reset=False, dtype=np.float64)
        with recording(False):
            return self.module_(Tensor.wrap(self._scaled(x))).array

    def __getstate__(self) -> dict[str, Any]:
        """Numbers only: the module is made anew from them."""
        state = dict(super().__getstate__())
        if "module_" in state:
            weights = state["module_"].state_dict()
            state["module_"] = {name: np.asarray(x.array) for name, x in weights.items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if isinstance(weights := state.get("module_"), dict):
            self.module_ = self._make(self.n_features_in_, self.n_outputs_).eval().double()
            self.module_.load_state_dict({name: Tensor.wrap(x) for name, x in weights.items()})


class NetworkClassifier(ClassifierMixin, _Network):  # type: ignore[misc]
    """A network that tells classes apart, trained by cross-entropy (AdamW).

    `hidden` are the widths of layers between, or ``build(inputs, outputs)`` makes the module, which
    gives a logit for each class. Inputs are brought to mean 0 and deviation 1 unless `scale_inputs`
    is False. After ``fit``: ``classes_``, ``module_``, ``loss_curve_``.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples X (N, features) and their classes y (N,)."""
        X, y = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(y)
        self.classes_, numbers = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"a classifier needs samples of two classes or more, but there is one class: "
                f"{self.classes_[0]!r}"
            )
        self._train(X, numbers.astype(np.int64), len(self.classes_), functional.cross_entropy)
        return self

    def decision_function(self, X: Any) -> Any:
        """Logits (N, classes); with two classes their difference (N,)."""
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> Any:
        """Probabilities (N, classes)."""
        logits = self._outputs(X)
        e = np.exp(logits - logits.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def predict(self, X: Any) -> Any:
        """The most probable classes (N,)."""
        logits = self._outputs(X)
        return self.classes_[logits.argmax(1)]


class NetworkRegressor(RegressorMixin, _Network):  # type: ignore[misc]
    """A network that predicts numbers, trained by squared error (AdamW).

    As NetworkClassifier; targets y (N,) or (N, outputs) are scaled too.
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples X (N, features) and their numbers y (N,) or (N, outputs)."""
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._flat = y.ndim == 1
        targets = y.reshape(len(y), -1)
        self.target_mean_ = targets.mean(0)
        deviation = targets.std(0)
        self.target_scale_ = np.where(deviation > 0, deviation, 1.0)
        scaled = ((targets - self.target_mean_) / self.target_scale_).astype(np.float32)
        self._train(X, scaled, targets.shape[1], functional.mse_loss)
        return self

    def predict(self, X: Any) -> Any:
        """The predicted numbers, in the shape that targets had."""
        found = self._outputs(X) * self.target_scale_ + self.target_mean_
        return found[:, 0] if self._flat else found
