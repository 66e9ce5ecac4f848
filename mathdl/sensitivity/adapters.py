"""scikit-learn's linear models and multilayer perceptrons as differentiable NumPy functions of one row.

Explained in the chapter *Sensitivity*.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from mathdl.errors import InvalidInput, NotDifferentiable

__all__ = ["from_sklearn"]

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0.0),
    "tanh": np.tanh,
    "logistic": lambda x: 0.5 * (1 + np.tanh(0.5 * x)),
}


def _softmax(z: Any) -> Any:
    e = np.exp(z - np.max(z))
    return e / np.sum(e)


_OUTPUTS: dict[str, Callable[[Any], Any]] = {**_ACTIVATIONS, "softmax": _softmax}


def from_sklearn(model: Any, output: str = "decision") -> Callable[[Any], Any]:
    """A fitted scikit-learn model as a function that `mathdl` differentiates: its weights are read, and nothing else.

    Parameters
    ----------
    model : estimator
        Fitted: a linear model (with ``coef_`` and ``intercept_``), ``MLPClassifier`` or ``MLPRegressor``, or a
        ``Pipeline`` of a ``StandardScaler`` and one of these.
    output : {"decision", "probability"}
        What the function gives for a classifier: the numbers before the last softmax or logistic function, or the
        probabilities as ``predict_proba`` has them. For a regressor both are the prediction.

    Returns
    -------
    callable
        From one row, shape (n,), to a vector; to one number for a regressor of one target.

    Raises
    ------
    NotDifferentiable
        If the model is another one, such as a tree or a forest, is not fitted, or gives other numbers than its weights
        say: some models with weights transform them once more.
    InvalidInput
        If ``output`` is unknown, or the model has no probabilities.

    References
    ----------
    Chapter *Sensitivity*.

    Examples
    --------
    >>> from sklearn.linear_model import LinearRegression
    >>> model = LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([1.0, 3.0]))
    >>> round(float(from_sklearn(model)(np.array([2.0]))), 6)
    5.0
    """
    if output not in ("decision", "probability"):
        raise InvalidInput("output", repr(output), "'decision' or 'probability'")
    if output == "probability" and not hasattr(model, "predict_proba"):
        raise InvalidInput("output", f"'probability' of a {type(model).__name__}", "a model with predict_proba")
    *firsts, last = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    weights = _weights(last)
    if weights is None:
        raise NotDifferentiable(
            type(model).__name__, "only fitted linear models and multilayer perceptrons are read", "one of those"
        )
    mean, scale = _scaling(firsts)
    matrices, shifts, activation, link = weights
    bend, n = _ACTIVATIONS[activation], matrices[0].shape[1]

    def f(x: Any) -> Any:
        if np.shape(x) != (n,):
            raise InvalidInput("x", f"shape {np.shape(x)}", f"one row, shape ({n},)")
        y = np.subtract(x, mean) / scale
        for k, (W, b) in enumerate(zip(matrices, shifts, strict=True)):
            y = W @ (bend(y) if k else y) + b
        if output == "probability":
            y = _probabilities(y, link)
        return y[0] if len(y) == 1 else y

    _compare(f, model, output, _points(matrices, shifts) * scale + mean)
    return f


def _scaling(firsts: list[Any]) -> tuple[Any, Any]:
    """What a pipeline subtracts from a row before its last step, and divides it by."""
    firsts = [step for step in firsts if step not in ("passthrough", None)]
    names = [type(step).__name__ for step in firsts]
    if names not in ([], ["StandardScaler"]):
        what = f"Pipeline of {', '.join(names)}"
        raise NotDifferentiable(what, "only a StandardScaler is read before the model", "apply the others yourself")
    if not firsts:
        return 0.0, 1.0
    (scaler,) = firsts
    if not hasattr(scaler, "mean_"):
        raise NotDifferentiable("StandardScaler", "it is not fitted", "call fit on the whole pipeline")
    return scaler.mean_ if scaler.with_mean else 0.0, scaler.scale_ if scaler.with_std else 1.0


def _weights(model: Any) -> tuple[list[Any], list[Any], str, str] | None:
    """Matrices, shifts, the activation between them, and what makes probabilities of the last; None of other models."""
    if hasattr(model, "coefs_"):
        return [W.T for W in model.coefs_], list(model.intercepts_), model.activation, model.out_activation_
    if hasattr(model, "coef_") and hasattr(model, "intercept_"):
        sparse = hasattr(model.coef_, "toarray")
        W = np.atleast_2d(model.coef_.toarray() if sparse else model.coef_)
        b = np.broadcast_to(np.ravel(model.intercept_), (len(W),))
        return [W], [b], "identity", "softmax" if len(W) > 1 else "logistic"
    return None


def _probabilities(z: Any, link: str) -> Any:
    if link == "logistic" and len(z) == 1:
        p = _ACTIVATIONS["logistic"](z[0])
        return np.stack([1 - p, p])
    return _OUTPUTS[link](z)


def _points(matrices: list[Any], shifts: list[Any]) -> Any:
    """Some rows: and of a linear model some near its boundary, since far from it all probabilities are 0 or 1."""
    rng, (W, b) = np.random.default_rng(0), (matrices[0], shifts[0])
    X = rng.normal(size=(10, W.shape[1]))
    wanted = np.linspace(-2.0, 2.0, 10)[:, None] * rng.normal(size=(10, len(W)))
    near = X + (wanted - X @ W.T - b) @ np.linalg.pinv(W, rcond=1e-6).T
    return np.concatenate([X, near]) if len(matrices) == 1 else X


def _compare(f: Callable[[Any], Any], model: Any, output: str, X: Any) -> None:
    """The function must give what the model gives, at some points: a model may do more than its weights say."""
    from scipy.special import expit, softmax

    found = np.array([f(x) for x in X])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")
        if output == "probability":
            wanted = model.predict_proba(X)
        elif hasattr(model, "decision_function"):
            wanted = model.decision_function(X)
        elif hasattr(model, "predict_proba"):  # an MLPClassifier has no decision_function: look through the last step
            wanted = model.predict_proba(X)
            found = softmax(found, axis=1) if found.ndim == 2 else np.stack([1 - expit(found), expit(found)], axis=1)
        else:
            wanted = np.asarray(model.predict(X))
            wanted = wanted[:, 0] if wanted.ndim == 2 and wanted.shape[1] == 1 else wanted
    if found.shape != wanted.shape or not np.allclose(found, wanted, rtol=1e-6, atol=1e-8):
        raise NotDifferentiable(
            type(model).__name__, "its outputs are not what its weights alone give", "a linear model or a perceptron"
        )
