"""The estimators are what scikit-learn says an estimator is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_wine, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from chainrule import nn
from chainrule.errors import ArgumentError
from chainrule.interop.scikit import NetworkClassifier, NetworkRegressor

NEEDS_A_SETTING = {"check_array_api_input"}
"""Left out by scikit-learn itself unless SCIPY_ARRAY_API is set."""


@pytest.mark.parametrize(
    "estimator", [NetworkClassifier(hidden=(24,)), NetworkRegressor(hidden=(24,))], ids=["c", "r"]
)
def test_scikit_learns_own_checks_pass(estimator: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(estimator, on_fail=None)
    assert len(found) > 45
    wrong = {r["check_name"]: r["exception"] for r in found if r["status"] != "passed"}
    assert wrong.keys() <= NEEDS_A_SETTING, wrong


def test_a_classifier_scores_in_pipelines_and_searches() -> None:
    x, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(epochs=30, random_state=0))
    assert cross_val_score(pipeline, x, y, cv=3).mean() > 0.95
    search = GridSearchCV(
        NetworkClassifier(epochs=20, random_state=0),
        {"hidden": [(4,), (32,)], "lr": [1e-5, 3e-3]},
        cv=2,
    )
    search.fit(x, y)
    assert search.best_params_["lr"] == 3e-3


def test_names_of_classes_and_probabilities() -> None:
    x, y = load_digits(return_X_y=True)
    names = np.array([f"digit {n}" for n in range(10)])[y]
    model = NetworkClassifier(epochs=15, random_state=1).fit(x[:1000], names[:1000])
    assert model.score(x[1000:], names[1000:]) > 0.88
    probabilities = model.predict_proba(x[:5])
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert (model.classes_[probabilities.argmax(1)] == model.predict(x[:5])).all()


def test_several_targets_and_modules_of_ones_own() -> None:
    x, y = make_regression(300, 5, n_targets=2, random_state=0)
    model = NetworkRegressor(
        build=lambda i, o: nn.Sequential(nn.Linear(i, 40), nn.Tanh(), nn.Linear(40, o)),
        epochs=80, random_state=0,
    )  # fmt: skip
    assert model.fit(x[:200], y[:200]).score(x[200:], y[200:]) > 0.9
    assert model.predict(x).shape == (300, 2)


def test_the_same_state_gives_the_same_network() -> None:
    x, y = load_wine(return_X_y=True)
    a, b = (NetworkClassifier(epochs=3, random_state=5).fit(x, y) for _ in range(2))
    np.testing.assert_array_equal(a.decision_function(x), b.decision_function(x))


def test_an_unknown_activation_is_named() -> None:
    x, y = load_wine(return_X_y=True)
    with pytest.raises(ArgumentError, match="relu"):
        NetworkClassifier(activation="step").fit(x, y)
