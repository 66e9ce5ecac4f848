"""scikit-learn's models as functions: their outputs, and derivatives against differences of their own predictions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.cross_decomposition import PLSRegression
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_linnerud, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import (
    GammaRegressor,
    HuberRegressor,
    Lasso,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Perceptron,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputRegressor
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import mathdl as md
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable
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


def everything(data):
    """Models of all kinds that read a fitted matrix, or look as if they did."""
    kinds = [
        *(LogisticRegression(), LogisticRegression(fit_intercept=False), LogisticRegressionCV(Cs=2, cv=2)),
        *(LinearSVC(max_iter=50), SVC(kernel="linear"), SVC(kernel="linear", decision_function_shape="ovo"), SVC()),
        *(SGDClassifier(loss=loss, random_state=0) for loss in ("hinge", "log_loss", "modified_huber")),
        *(Perceptron(), RidgeClassifier(), RidgeClassifierCV(), LinearDiscriminantAnalysis(), GaussianNB()),
        *(MLPClassifier((5,), activation=a, max_iter=9) for a in ("identity", "logistic", "tanh", "relu")),
        *(
            MLPClassifier((5, 4, 3), max_iter=9),
            DecisionTreeClassifier(),
            CalibratedClassifierCV(LinearSVC(max_iter=9)),
        ),
        *(OneVsRestClassifier(LogisticRegression()), GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2)),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline("passthrough", StandardScaler(), MLPClassifier((4,), max_iter=9)),
        make_pipeline(StandardScaler(), StandardScaler(), LogisticRegression()),
        make_pipeline(make_pipeline(StandardScaler()), LogisticRegression()),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), LogisticRegression())),
        make_pipeline(PolynomialFeatures(), LogisticRegression(max_iter=9)),
    ]
    if data in REGRESSIONS:
        kinds = [
            *(LinearRegression(), Ridge(), Lasso(), HuberRegressor(max_iter=9), SVR(kernel="linear"), SVR()),
            *(PoissonRegressor(max_iter=9), GammaRegressor(max_iter=9), TweedieRegressor(power=0, max_iter=9)),
            *(
                PLSRegression(2),
                PLSRegression(2, scale=False),
                TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1),
            ),
            *(
                MLPRegressor(hidden_layer_sizes=(5,), activation=a, max_iter=9)
                for a in ("identity", "logistic", "tanh", "relu")
            ),
            *(make_pipeline(StandardScaler(), Ridge()), MultiOutputRegressor(Ridge()), DecisionTreeRegressor()),
        ]
    return kinds


REGRESSIONS = {"diabetes": DIABETES, "linnerud": load_linnerud()}
CLASSES = {"iris": load_iris(), "wine": WINE, "breast cancer": CANCER}
READ = {"iris": 15, "wine": 15, "breast cancer": 15, "diabetes": 10, "linnerud": 7}


@pytest.mark.parametrize("name", CLASSES | REGRESSIONS)
def test_a_model_is_what_it_predicts_or_is_refused(name):
    """On data at hand and far away, near a boundary and where probabilities are 0 and 1: never another function."""
    data, read = (CLASSES | REGRESSIONS)[name], 0
    X = scaled(data)
    W = np.random.default_rng(1).normal(size=(40, X.shape[1]))
    Z = np.concatenate([X[:30], -3 * X[:5], 0.01 * W[:20], W, 30 * W[:5]])
    for model in everything(name):
        try:
            fitted(model, data)
        except (ValueError, IndexError):  # some take one target only
            continue
        for output in ("decision", "probability"):
            try:
                f = from_sklearn(model, output)
            except MathdlError:
                continue
            found = np.stack([f(z) for z in Z])
            if output == "probability":
                expected = model.predict_proba(Z)
            elif hasattr(model, "decision_function") or name in REGRESSIONS:
                expected = getattr(model, "decision_function", model.predict)(Z)
            else:
                found = np.argmax(found, axis=1) if found.ndim == 2 else (found > 0).astype(int)
                expected = model.predict(Z)
            np.testing.assert_allclose(found, np.reshape(expected, found.shape), rtol=1e-7, atol=1e-9)
            read += 1
    assert read >= READ[name]


def near_the_boundary(model, W):
    """Rows that the model is not sure of."""
    return W - (model.decision_function(W) / (model.coef_[0] @ model.coef_[0]))[:, None] * model.coef_


def test_probabilities_that_look_logistic_far_from_the_boundary_only_are_refused():
    """Of the modified Huber loss: (1 + clip(z, -1, 1)) / 2, which is 0 or 1 nearly everywhere, as the logistic is."""
    model = fitted(SGDClassifier(loss="modified_huber", random_state=0), CANCER)
    model.coef_ *= 100  # as on data of larger numbers
    assert np.mean(np.abs(model.decision_function(scaled(CANCER))) > 40) > 0.99
    with pytest.raises(NotDifferentiable, match="SGDClassifier: its outputs are not what its weights alone give"):
        from_sklearn(model, "probability")
    model = fitted(SGDClassifier(loss="log_loss", random_state=0), CANCER)
    f, points = from_sklearn(model, "probability"), near_the_boundary(model, scaled(CANCER)[:20])
    np.testing.assert_allclose([f(x) for x in points], model.predict_proba(points), rtol=1e-9)


def test_weights_that_are_sparse_or_single_precision_are_read():
    model = fitted(LogisticRegression(), CANCER)
    x, expected = scaled(CANCER)[3], model.decision_function(scaled(CANCER)[3:4])[0]
    np.testing.assert_allclose(from_sklearn(model.sparsify())(x), expected)
    np.testing.assert_allclose(from_sklearn(model)(list(x)), expected)
    single = make_pipeline(StandardScaler(), Ridge()).fit(CANCER.data.astype(np.float32), CANCER.target)
    np.testing.assert_allclose(from_sklearn(single)(CANCER.data[0]), single.predict(CANCER.data[:1])[0], rtol=1e-5)


def test_a_model_that_knows_the_names_of_its_features_does_not_warn():
    model = fitted(Ridge(), DIABETES)
    model.feature_names_in_ = np.array([f"feature {k}" for k in range(10)], dtype=object)  # as after a data frame
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_sklearn(model)


def test_a_function_of_one_row_refuses_a_matrix():
    """With as many rows as columns W @ X would have been another product."""
    f = from_sklearn(fitted(Ridge(), DIABETES))
    with pytest.raises(InvalidInput, match=r"x: got shape \(10, 10\); wanted one row, shape \(10,\)"):
        f(np.ones((10, 10)))


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
    "only the scaler not fitted": (
        lambda: from_sklearn(Pipeline([("scaler", StandardScaler()), ("model", fitted(Ridge(), DIABETES))])),
        "StandardScaler: it is not fitted",
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
