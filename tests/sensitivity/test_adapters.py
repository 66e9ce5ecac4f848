"""scikit-learn's models as functions: their outputs, and derivatives against differences of their own predictions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge, RidgeClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import LinearSVC

import mathdl as md
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.sensitivity import from_sklearn

WINE, CANCER, DIABETES = load_wine(), load_breast_cancer(), load_diabetes()


def scaled(data):
    return (data.data - data.data.mean(axis=0)) / data.data.std(axis=0)


def fitted(model, data, target=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trainings are cut short
        return model.fit(scaled(data), data.target if target is None else target)


CLASSIFIERS = {
    "logistic, 3 classes": lambda: fitted(LogisticRegression(), WINE),
    "logistic, 2 classes": lambda: fitted(LogisticRegression(), CANCER),
    "perceptron, 3 classes": lambda: fitted(MLPClassifier((8, 5), activation="tanh", max_iter=30), WINE),
    "perceptron, 2 classes": lambda: fitted(MLPClassifier((8,), activation="relu", max_iter=30), CANCER),
    "perceptron, logistic": lambda: fitted(MLPClassifier((8,), activation="logistic", max_iter=30), WINE),
}
OTHERS = {
    "linear": lambda: fitted(LinearRegression(), DIABETES),
    "ridge, two targets": lambda: fitted(Ridge(), DIABETES, np.stack([DIABETES.target, -2 * DIABETES.target], axis=1)),
    "perceptron": lambda: fitted(MLPRegressor(hidden_layer_sizes=(6,), max_iter=30), DIABETES),
    "identity": lambda: fitted(MLPRegressor(hidden_layer_sizes=(6,), activation="identity", max_iter=30), DIABETES),
    "ridge classifier": lambda: fitted(RidgeClassifier(), WINE),
    "svc": lambda: fitted(LinearSVC(max_iter=50), CANCER),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_probabilities_and_their_derivatives(name):
    model = CLASSIFIERS[name]()
    f = from_sklearn(model, "probability")
    x = np.random.default_rng(0).normal(size=model.n_features_in_)
    np.testing.assert_allclose(f(x), model.predict_proba(x[None])[0], rtol=1e-9, atol=1e-12)
    J = md.jacobian(f)(x)
    for j in range(3):
        h = np.zeros_like(x)
        h[j] = 1e-5
        slope = (model.predict_proba((x + h)[None]) - model.predict_proba((x - h)[None]))[0] / 2e-5
        np.testing.assert_allclose(J[:, j], slope, atol=1e-7)


@pytest.mark.parametrize("name", OTHERS)
def test_predictions_and_decisions(name):
    model = OTHERS[name]()
    x = np.random.default_rng(0).normal(size=model.n_features_in_)
    expected = (model.decision_function if hasattr(model, "decision_function") else model.predict)(x[None])[0]
    np.testing.assert_allclose(from_sklearn(model)(x), expected, rtol=1e-9)
    assert np.shape(md.jacobian(from_sklearn(model))(x)) == (*np.shape(expected), len(x))


@pytest.mark.parametrize("name", ["perceptron, 3 classes", "perceptron, 2 classes"])
def test_a_perceptron_before_its_last_function(name):
    model = CLASSIFIERS[name]()
    x = np.random.default_rng(0).normal(size=model.n_features_in_)
    z, p = from_sklearn(model)(x), model.predict_proba(x[None])[0]
    np.testing.assert_allclose(np.log(p[-1] / p[0]), z[-1] - z[0] if np.ndim(z) else z, rtol=1e-6)


def test_a_pipeline_with_a_scaler():
    for scaler in (StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False)):
        model = make_pipeline(scaler, Ridge()).fit(DIABETES.data * 7 + 3, DIABETES.target)
        x = DIABETES.data[5] * 7 + 3
        np.testing.assert_allclose(from_sklearn(model)(x), model.predict(x[None])[0])
    alone = make_pipeline(Ridge()).fit(DIABETES.data, DIABETES.target)
    np.testing.assert_allclose(from_sklearn(alone)(DIABETES.data[0]), alone.predict(DIABETES.data[:1])[0])


BAD = {
    "forest": (
        lambda: from_sklearn(fitted(RandomForestClassifier(3), WINE)),
        "RandomForestClassifier: only fitted linear",
    ),
    "not fitted": (lambda: from_sklearn(Ridge()), "Ridge: only fitted linear models"),
    "with a link": (
        lambda: from_sklearn(fitted(PoissonRegressor(), DIABETES)),
        "PoissonRegressor: its outputs are not",
    ),
    "other scaler": (
        lambda: from_sklearn(make_pipeline(MinMaxScaler(), Ridge()).fit(DIABETES.data, DIABETES.target)),
        "Pipeline of MinMaxScaler: only a StandardScaler",
    ),
    "scaler not fitted": (
        lambda: from_sklearn(make_pipeline(StandardScaler(), Ridge())),
        "Pipeline: only fitted linear",
    ),
    "no model": (lambda: from_sklearn(np.sum), "only fitted linear models"),
}


@pytest.mark.parametrize("bad", BAD)
def test_other_models_are_refused(bad):
    wrong, message = BAD[bad]
    with pytest.raises(NotDifferentiable, match=message):
        wrong()


def test_bad_outputs():
    with pytest.raises(InvalidInput, match="output: got 'logits'; wanted 'decision' or 'probability'"):
        from_sklearn(OTHERS["linear"](), "logits")
    with pytest.raises(InvalidInput, match="output: got 'probability' of a LinearRegression; wanted a model with"):
        from_sklearn(OTHERS["linear"](), "probability")
