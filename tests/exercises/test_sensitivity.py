"""The exercises of *Sensitivity*: wrong answers as students write them are told apart, right ones pass.

Right answers come from the engine, from `md.sensitivity` and from least squares; none from the truths.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests, told

import mathdl as md
from mathdl.exercises.sensitivity import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
MARGIN, SHARES, ELASTICITY = "margin-gradient", "integrated-gradients", "elasticity-matrix"
COVARIANCE, FLIP, PENALTY = "correlated-errors", "nearest-flip", "double-backprop"


# -- right answers -----------------------------------------------------------------------------------------------------


def margin(J: Any, z: Any, c: int) -> Any:
    return md.grad(lambda d: (z + J @ d)[c] - np.max(np.delete(z + J @ d, c)))(np.zeros(J.shape[1]))


def shares(slope: Any, x: Any, b: Any, steps: int) -> Any:
    t = (np.arange(steps) + 0.5)[:, None] / steps
    return (x - b) * np.mean([slope(point) for point in b + t * (x - b)], axis=0)


def elasticity(J: Any, x: Any, y: Any) -> Any:
    return md.sensitivity.elasticities(lambda v: y + J @ (v - x), x)


def covariance(J: Any, sd: Any, R: Any) -> Any:
    return md.sensitivity.propagate(lambda x: J @ x, np.zeros(J.shape[1]), np.diag(sd) @ R @ np.diag(sd))


def flip(W: Any, b: Any, x: Any) -> Any:
    """The least-norm solution of (W_k − W_c) δ = z_c − z_k, for each k."""
    z = W @ x + b
    c = z.argmax()
    steps = [np.linalg.lstsq((W[k] - W[c])[None], [z[c] - z[k]])[0] for k in range(len(z)) if k != c]
    return steps[int(np.argmin([np.linalg.norm(step) for step in steps]))]


def penalty(w: Any, x: Any, s: float) -> Any:
    def squared(w: Any) -> Any:
        return np.sum(md.grad(lambda x: np.log(1 + np.exp(-s * (w @ x))))(x) ** 2)

    return md.grad(squared)(w)


RIGHT: dict[str, Any] = {
    MARGIN: margin,
    SHARES: shares,
    ELASTICITY: elasticity,
    COVARIANCE: covariance,
    FLIP: flip,
    PENALTY: penalty,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def margin_written(line: str) -> Callable[..., Any]:
    def attempt(J: Any, z: Any, c: int) -> Any:
        rest = np.delete(np.arange(len(z)), c)
        k = rest[z[rest].argmax()]
        first, second = np.argsort(-z)[:2]
        return {
            "of all": J[c] - J[z.argmax()],
            "sign": J[k] - J[c],
            "logit": J[c],
            "two largest": J[first] - J[second],
            "smallest": J[c] - J[rest[z[rest].argmin()]],
            "mean": J[c] - J[rest].mean(axis=0),
        }[line]

    return attempt


def shares_written(line: str) -> Callable[..., Any]:
    def attempt(slope: Any, x: Any, b: Any, steps: int) -> Any:
        t = {
            "left": np.arange(steps) / steps,
            "right": np.arange(1, steps + 1) / steps,
            "linspace": np.linspace(0, 1, steps),
            "at x": np.ones(steps),
        }.get(line, (np.arange(steps) + 0.5) / steps)
        if line == "from zero":
            return (x - b) * np.mean([slope(u * x) for u in t], axis=0)
        total = sum(slope(b + u * (x - b)) for u in t)
        factor = {"no factor": 1.0, "x": x, "sign": b - x}.get(line, x - b)
        return factor * total / (1 if line == "sum" else steps)

    return attempt


def elasticity_written(line: str) -> Callable[..., Any]:
    def attempt(J: Any, x: Any, y: Any) -> Any:
        column = y.reshape(-1, 1)
        return {
            "no y": J * x,
            "no x": J / column,
            "swapped": J * column / x,
            "transposed": (J * x / column).T,
            "size": J * x / abs(column),
            "sum": J * x / y.sum(),
        }[line]

    return attempt


def covariance_written(line: str) -> Callable[..., Any]:
    def attempt(J: Any, sd: Any, R: Any) -> Any:
        S = np.diag(sd) @ R @ np.diag(sd)
        out = J @ S @ J.T
        root = np.sqrt(np.diag(out))
        return {
            "no correlation": (J * sd**2) @ J.T,
            "R": J @ R @ J.T,
            "one sd": J @ R @ np.diag(sd) @ J.T,
            "sd": (J * sd) @ J.T,
            "diagonal": np.diag(root**2),
            "correlation": out / root / root[:, None],
            "vector": root,
        }[line]

    return attempt


def flip_written(line: str) -> Callable[..., Any]:
    def attempt(W: Any, b: Any, x: Any) -> Any:
        z = W @ x + b
        order = np.argsort(-z)
        c, runner_up = order[0], order[1]
        gap, slopes = z[c] - z, W - W[c]
        norm = np.linalg.norm(slopes, axis=1)
        norm[c] = 1.0
        distance = gap / norm
        distance[c] = np.inf
        k = runner_up if line == "runner-up" else distance.argmin()
        w, d, n = slopes[k], gap[k], norm[k]
        return {
            "sign": -d * w / n**2,
            "unit": w / n,
            "gap": d * w / n,
            "no division": d * w,
            "entries": d * np.sign(w) / abs(w).sum(),
            "input": x + d * w / n**2,
        }.get(line, d * w / n**2)

    return attempt


def penalty_written(line: str) -> Callable[..., Any]:
    def attempt(w: Any, x: Any, s: float) -> Any:
        rho = 1 / (1 + np.exp(s * w @ x))
        first, second = 2 * rho**2 * w, -2 * rho**2 * (1 - rho) * (w @ w) * s * x
        return {
            "constant": first,
            "rho alone": second,
            "no label": first - 2 * rho**2 * (1 - rho) * (w @ w) * x,
            "sign": first - second,
            "slope": first - 2 * rho**2 * (w @ w) * s * x,
            "half": (first + second) / 2,
            "by input": -s * rho * w,
        }[line]

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (MARGIN, margin_written("of all"), "c among them"),
    (MARGIN, margin_written("sign"), "sign is wrong"),
    (MARGIN, margin_written("logit"), "z_c alone"),
    (MARGIN, margin_written("two largest"), "may be misread"),
    (MARGIN, margin_written("smallest"), "smallest logit"),
    (MARGIN, margin_written("mean"), "mean of the other rows"),
    (SHARES, shares_written("no factor"), "factor x − b is missing"),
    (SHARES, shares_written("x"), "the factor is x;"),
    (SHARES, shares_written("sign"), "sign is wrong"),
    (SHARES, shares_written("from zero"), "starts at the baseline"),
    (SHARES, shares_written("left"), "left ends"),
    (SHARES, shares_written("right"), "right ends"),
    (SHARES, shares_written("linspace"), "both ends"),
    (SHARES, shares_written("at x"), "gradient at x alone"),
    (SHARES, shares_written("sum"), "not averaged"),
    (ELASTICITY, elasticity_written("no y"), "division by y is missing"),
    (ELASTICITY, elasticity_written("no x"), "factor x is missing"),
    (ELASTICITY, elasticity_written("swapped"), "changed places"),
    (ELASTICITY, elasticity_written("transposed"), "transposed"),
    (ELASTICITY, elasticity_written("size"), "size of y"),
    (ELASTICITY, elasticity_written("sum"), "sum of all outputs"),
    (COVARIANCE, covariance_written("no correlation"), "correlations are ignored"),
    (COVARIANCE, covariance_written("R"), "taken for the covariance"),
    (COVARIANCE, covariance_written("one sd"), "one of the two"),
    (COVARIANCE, covariance_written("sd"), "where variances belong"),
    (COVARIANCE, covariance_written("diagonal"), "variances alone"),
    (COVARIANCE, covariance_written("correlation"), "correlation of the outputs"),
    (COVARIANCE, covariance_written("vector"), "vector of standard deviations"),
    (FLIP, flip_written("runner-up"), "runner-up"),
    (FLIP, flip_written("sign"), "walks away"),
    (FLIP, flip_written("unit"), "length 1"),
    (FLIP, flip_written("gap"), "length is the gap"),
    (FLIP, flip_written("no division"), "is missing"),
    (FLIP, flip_written("entries"), "sign of each entry"),
    (FLIP, flip_written("input"), "changed input"),
    (PENALTY, penalty_written("constant"), "held constant"),
    (PENALTY, penalty_written("rho alone"), "only ρ"),
    (PENALTY, penalty_written("no label"), "label s is missing"),
    (PENALTY, penalty_written("sign"), "second term has the wrong sign"),
    (PENALTY, penalty_written("slope"), "factor 1 − ρ"),
    (PENALTY, penalty_written("half"), "half of the gradient"),
    (PENALTY, penalty_written("by input"), "loss by the input"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_a_transposed_covariance_is_no_mistake() -> None:
    """It is symmetric; and a transposed R is the same R."""
    for J, sd, R in EXERCISE[COVARIANCE].inputs:
        np.testing.assert_array_equal(R, R.T)
        assert np.linalg.eigvalsh(R)[0] > 0, "no correlation matrix"
        np.testing.assert_allclose(covariance(J, sd, R), covariance(J, sd, R).T, rtol=1e-12)


def test_inputs_show_what_is_judged() -> None:
    misread = [z.argmax() != c for _, z, c in EXERCISE[MARGIN].inputs]
    assert set(misread) == {True, False}, "the rival is the largest of the others in both cases"
    nearest = [flip_written("runner-up")(*a) for a in EXERCISE[FLIP].inputs]
    assert any(np.linalg.norm(n - flip(*a)) > 1e-3 for n, a in zip(nearest, EXERCISE[FLIP].inputs, strict=True))
    labels = {s for _, _, s in EXERCISE[PENALTY].inputs}
    assert labels == {1.0, -1.0}, "a label left out would not be missed"
    for _, x, b, _ in EXERCISE[SHARES].inputs:
        assert np.all(x != b)
        assert np.any(b != 0)
    for _, _, y in EXERCISE[ELASTICITY].inputs:
        assert set(np.sign(y)) == {-1.0, 1.0}, "a size in place of a value would not be missed"


def test_the_flip_reaches_the_border_and_nothing_shorter_does() -> None:
    for W, b, x in EXERCISE[FLIP].inputs:
        c, step = (W @ x + b).argmax(), EXERCISE[FLIP].truth(W, b, x)
        z = W @ (x + step) + b
        assert z[c] == pytest.approx(np.delete(z, c).max(), abs=1e-12)
        directions = np.random.default_rng(0).normal(size=(5000, len(x)))
        directions *= 0.999 * np.linalg.norm(step) / np.linalg.norm(directions, axis=1, keepdims=True)
        assert np.all(((x + directions) @ W.T + b).argmax(axis=1) == c)


def test_the_midpoint_rule_comes_near_the_package() -> None:
    """With many steps it is complete, as `md.sensitivity.integrated_gradients` is."""
    slope, x, b, _ = EXERCISE[SHARES].inputs[0]

    def f(x: Any) -> Any:
        return np.sin(x @ np.arange(1.0, len(x) + 1)) + np.sum(x**2)

    np.testing.assert_allclose(slope(x), md.grad(f)(x), rtol=1e-12)
    package = md.sensitivity.integrated_gradients(f, x, b).values
    np.testing.assert_allclose(EXERCISE[SHARES].truth(slope, x, b, 4000), package, atol=1e-6)


def test_a_finer_rule_is_not_the_one_asked_for() -> None:
    """It is near, and passes for nothing else."""
    word = told(EXERCISE[SHARES], lambda slope, x, b, steps: shares(slope, x, b, 50 * steps))
    assert "differ" in word
