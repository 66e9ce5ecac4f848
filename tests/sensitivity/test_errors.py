"""Propagated errors against Monte Carlo, elasticities against logarithms, rankings against what they are made of."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_linnerud, load_wine
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier, MLPRegressor

import mathdl as md
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.sensitivity import elasticities, from_sklearn, propagate, rank_features

RNG = np.random.default_rng(0)
A = RNG.normal(size=(3, 3))
SIGMA = A @ A.T
MEAN = np.array([1.0, 2.0, 0.5])


def polar(x):
    return np.stack([x[0] * np.cos(x[1]), x[0] * np.sin(x[1]) + x[2]])


def test_elasticities_are_derivatives_of_logarithms():
    def f(x):
        return np.stack([x[0] ** 2 * x[1], x[2] / x[0], np.exp(x[1])])

    of_logarithms = md.jacobian(lambda u: np.log(f(np.exp(u))))(np.log(MEAN))
    np.testing.assert_allclose(elasticities(f, MEAN), of_logarithms)
    np.testing.assert_allclose(elasticities(f, MEAN)[:2], [[2, 1, 0], [-1, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(elasticities(lambda x: x[0] * x[1], MEAN), [1, 1, 0])


def test_elasticities_of_a_negative_output_and_of_a_matrix():
    x = np.array([[1.0, -2.0], [3.0, 4.0]])
    found = elasticities(lambda x: -3 * x[0, 0] * x[1], x)
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose(found[0], [[1, 0], [1, 0]])


def test_propagation_is_exact_for_linear_functions():
    C = RNG.normal(size=(2, 3))
    np.testing.assert_allclose(propagate(lambda x: C @ x + 1, MEAN, SIGMA), C @ SIGMA @ C.T)
    np.testing.assert_allclose(propagate(lambda x: C @ x, MEAN, np.array([1.0, 4.0, 9.0])), C * [1, 4, 9] @ C.T)


def test_propagation_against_a_million_samples():
    covariance = 1e-4 * SIGMA
    samples = np.random.default_rng(1).multivariate_normal(MEAN, covariance, size=10**6)
    measured = np.cov(polar(samples.T))
    np.testing.assert_allclose(propagate(polar, MEAN, covariance), measured, rtol=1e-2)


@pytest.mark.parametrize("data", [load_iris, load_wine, load_breast_cancer, load_diabetes])
def test_errors_of_measurement_through_a_trained_network_against_a_million_samples(data):
    """Correlated errors, one per cent of what the features vary: small enough for the first order."""
    loaded = data()
    X, y = (loaded.data - loaded.data.mean(axis=0)) / loaded.data.std(axis=0), loaded.target
    model = MLPRegressor if data is load_diabetes else MLPClassifier
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the training is cut short
        fitted = model(hidden_layer_sizes=(8,), activation="tanh", random_state=0, max_iter=100).fit(X, y)
    f = from_sklearn(fitted)
    covariance = 1e-4 * np.cov(X.T)
    x = X[len(X) // 2]
    noise = np.random.default_rng(1).multivariate_normal(np.zeros(len(x)), covariance, size=10**6)
    hidden = np.tanh((x + noise) @ fitted.coefs_[0] + fitted.intercepts_[0])
    measured = np.cov((hidden @ fitted.coefs_[1] + fitted.intercepts_[1]).T)
    found = propagate(f, x, covariance)
    assert np.shape(found) == np.shape(measured)
    np.testing.assert_allclose(found, measured, atol=1e-2 * np.max(np.abs(measured)))


@pytest.mark.parametrize("data", [load_iris, load_breast_cancer, load_diabetes, load_linnerud])
def test_rankings_of_linear_models_of_other_data_are_weights_times_spreads(data):
    loaded = data()
    model = (Ridge() if data in (load_diabetes, load_linnerud) else LogisticRegression(max_iter=5000)).fit(
        loaded.data, loaded.target
    )
    ranking = rank_features(from_sklearn(model), loaded.data.astype(float))
    weights = np.atleast_2d(model.coef_)
    np.testing.assert_allclose(ranking.scores, np.sqrt(np.mean(weights**2, axis=0)) * loaded.data.std(axis=0))
    assert sorted(ranking.order) == list(range(loaded.data.shape[1]))
    assert np.all(np.diff(ranking.scores[ranking.order]) <= 0)


def test_a_ranking_is_made_of_gradients_and_spreads():
    X = RNG.normal(size=(6, 3)) * [1.0, 10.0, 0.1]
    ranking = rank_features(polar, X)
    J = np.stack([md.jacobian(polar)(row) for row in X])
    np.testing.assert_allclose(ranking.scores, np.sqrt(np.mean(J**2, axis=(0, 1))) * X.std(axis=0))
    np.testing.assert_array_equal(ranking.order, np.argsort(-ranking.scores))
    np.testing.assert_allclose(rank_features(polar, X[:1], np.ones(3)).scores, np.sqrt(np.mean(J[0] ** 2, axis=0)))


def test_the_ranking_does_not_depend_on_the_units():
    X = RNG.normal(size=(20, 3)) + 3
    factor = np.array([1.0, 1000.0, 0.001])
    one = rank_features(polar, X).scores
    two = rank_features(lambda x: polar(x / factor), X * factor).scores
    np.testing.assert_allclose(one, two)


def test_a_model_of_real_wines_is_ranked_by_its_weights():
    wine = load_wine()
    X = (wine.data - wine.data.mean(axis=0)) / wine.data.std(axis=0)
    model = LogisticRegression().fit(X, wine.target)
    ranking = rank_features(from_sklearn(model), X)
    np.testing.assert_allclose(ranking.scores, np.sqrt(np.mean(model.coef_**2, axis=0)))


BAD = {
    "zero": (
        lambda: elasticities(lambda x: x - MEAN, MEAN),
        r"f: got the value 0 at index \(0,\); wanted outputs that are",
    ),
    "zero alone": (lambda: elasticities(lambda x: 0 * x[0], MEAN), r"f: got the value 0; wanted"),
    "matrix": (lambda: propagate(np.sum, np.eye(2), np.eye(2)), r"x: got shape \(2, 2\); wanted a vector"),
    "size": (lambda: propagate(np.sum, MEAN, np.eye(2)), r"covariance: got shape \(2, 2\); wanted shape \(3, 3\)"),
    "asymmetric": (lambda: propagate(np.sum, MEAN, np.triu(np.ones((3, 3)))), r"covariance: got no covariance"),
    "asymmetric and small": (
        lambda: propagate(np.sum, MEAN, 1e-12 * np.triu(np.ones((3, 3)))),
        r"covariance: got no covariance",
    ),
    "negative scale": (
        lambda: rank_features(polar, np.ones((2, 3)), np.array([1.0, -2.0, 1.0])),
        r"scale: got -2 for column 1; wanted numbers that are not negative",
    ),
    "negative": (lambda: propagate(np.sum, MEAN, -np.eye(3)), r"covariance: got no covariance; wanted a symmetric"),
    "output": (lambda: propagate(lambda x: np.outer(x, x), MEAN, SIGMA), r"f: got an output of shape \(3, 3\)"),
    "rows": (lambda: rank_features(polar, MEAN), r"X: got shape \(3,\); wanted a matrix"),
    "one row": (lambda: rank_features(polar, MEAN[None]), r"X: got shape \(1, 3\)"),
    "scale": (lambda: rank_features(polar, np.ones((2, 3)), np.ones(2)), r"scale: got shape \(2,\)"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


def test_what_is_not_differentiable_is_refused():
    with pytest.raises(NotDifferentiable):
        elasticities(lambda x: np.array([float(v) for v in x]), MEAN)
