"""The exercises of *Gradient flow*: wrong answers as students write them are told apart, right ones pass.

Right answers come from the engine, from closed forms and from random networks, not from the module's own truths.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests

import mathdl as md
from mathdl.exercises.gradient_flow import EXERCISES
from mathdl.layers import Affine, Residual, Tanh
from mathdl.network import Network

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
LEAKY, CHI, CHAIN = "leaky-gain", "chi-by-integration", "chain-jacobian"
BRANCH, LSUV, DEPTH = "branch-scale", "lsuv-factors", "depth-scales"


# -- right answers -----------------------------------------------------------------------------------------------------


def chi(slope: Any, weight_variance: float, q: float) -> Any:
    """By Gauss and Hermite; the chapter sums over a grid, the truth is adaptive."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return weight_variance * weights @ slope(np.sqrt(q) * nodes) ** 2 / np.sqrt(2 * np.pi)


def chain(weights: Any, x: Any) -> Any:
    return md.jacobian(lambda v: reduce(lambda u, W: np.tanh(W @ u), weights, v))(x)


def lsuv(weights: Any, X: Any) -> Any:
    """What the package's own does to the weights, read off the first entry of each."""
    net = Network(
        **{f"{kind}{k}": layer for k in range(len(weights)) for kind, layer in (("W", Affine()), ("t", Tanh()))}
    )
    params = {f"W{k}": {"W": W, "b": np.zeros(len(W))} for k, W in enumerate(weights)}
    scaled = md.gradient_flow.lsuv(net, params, X, tolerance=1e-13)
    return [scaled[f"W{k}"]["W"][0, 0] / W[0, 0] for k, W in enumerate(weights)]


RIGHT: dict[str, Any] = {
    LEAKY: lambda a: 2 / (1 + a**2),
    CHI: chi,
    CHAIN: chain,
    BRANCH: lambda chi, depth, growth: np.sqrt(np.expm1(np.log(growth) / depth) / chi),
    LSUV: lsuv,
    DEPTH: [82.0259, 65.5618, 44.6431],
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def chi_written(line: str) -> Callable[..., Any]:
    def attempt(slope: Any, weight_variance: float, q: float) -> Any:
        z = np.linspace(-8, 8, 4001)
        density = np.exp(-(z**2) / 2) / (1 if line == "density" else np.sqrt(2 * np.pi))
        place = {"z": z, "q z": q * z}.get(line, np.sqrt(q) * z)
        values = slope(place) if line in ("not squared", "mean squared") else slope(place) ** 2
        mean = np.sum(values * density) * (z[1] - z[0])
        if line == "mean squared":
            mean = mean**2
        return {"no weights": 1.0, "weights twice": weight_variance**2}.get(line, weight_variance) * mean

    return attempt


def chain_written(line: str) -> Callable[..., Any]:
    def attempt(weights: Any, x: Any) -> Any:
        J = np.eye(len(x))
        for k, W in enumerate(weights):
            h, x_before = W @ x, x
            x = np.tanh(h)
            d = {"no slopes": np.ones_like(x), "h": 1 - h**2, "not squared": 1 - x}.get(line, 1 - x**2)
            if line == "last" and k + 1 == len(weights):
                d = np.ones_like(x)
            layer = W * (1 - x_before**2) if line == "side" else d[:, None] * W
            J = J @ layer if line == "order" else layer @ J
        return J.T if line == "transposed" else J

    return attempt


def branch_written(line: str) -> Callable[..., Any]:
    def attempt(chi: float, depth: int, growth: float) -> Any:
        root = growth if line == "one block" else growth ** (1 / depth)
        square = {
            "no chi": root - 1,
            "no skip": root / chi,
            "limit": np.log(growth) / depth / chi,
            "chi squared": (root - 1) / chi**2,
            "sum": (growth - 1) / depth / chi,
        }.get(line, (root - 1) / chi)
        return square if line == "square" else np.sqrt(square)

    return attempt


def lsuv_written(line: str) -> Callable[..., Any]:
    def attempt(weights: Any, X: Any) -> Any:
        factors = []
        for W in weights:
            H = X @ W.T
            s = {"variance": H.var(), "rms": np.sqrt(np.mean(H**2)), "after": np.tanh(H).std()}.get(line, H.std())
            factors.append(s if line == "not divided" else 1 / s)
            H = H if line == "unscaled" else H / s
            X = H if line == "linear" else np.tanh(H)
        return np.array(factors)

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (LEAKY, lambda a: 2, "He's 2 for every slope"),
    (LEAKY, lambda a: 2 / (1 + a), "slope is not squared"),
    (LEAKY, lambda a: np.sqrt(2 / (1 + a**2)), "the gain, the square root"),
    (LEAKY, lambda a: 1 / (1 + a**2), "halves are missing"),
    (LEAKY, lambda a: (1 + a**2) / 2, "wrong way up"),
    (CHI, chi_written("not squared"), "slope is not squared"),
    (CHI, chi_written("no weights"), "σ_w² is missing"),
    (CHI, chi_written("weights twice"), "variance already"),
    (CHI, chi_written("z"), "taken at z;"),
    (CHI, chi_written("q z"), "taken at q z"),
    (CHI, chi_written("mean squared"), "mean of the square"),
    (CHI, chi_written("density"), "1/√(2π)"),
    (CHAIN, chain_written("no slopes"), "slopes are missing"),
    (CHAIN, chain_written("h"), "1 − h²"),
    (CHAIN, chain_written("not squared"), "this is 1 − y"),
    (CHAIN, chain_written("order"), "wrong order"),
    (CHAIN, chain_written("side"), "wrong side"),
    (CHAIN, chain_written("last"), "last layer are missing"),
    (CHAIN, chain_written("transposed"), "pulls a cotangent back"),
    (BRANCH, branch_written("square"), "this is a², not a"),
    (BRANCH, branch_written("one block"), "one block counts for all"),
    (BRANCH, branch_written("no chi"), "χ_f is missing"),
    (BRANCH, branch_written("no skip"), "skip is missing"),
    (BRANCH, branch_written("limit"), "limit for many blocks"),
    (BRANCH, branch_written("chi squared"), "not squared"),
    (BRANCH, branch_written("sum"), "they do not add"),
    (LSUV, lsuv_written("not divided"), "divided by them"),
    (LSUV, lsuv_written("variance"), "not by the variance"),
    (LSUV, lsuv_written("unscaled"), "before it unscaled"),
    (LSUV, lsuv_written("linear"), "activation is left out"),
    (LSUV, lsuv_written("after"), "measured after the activation"),
    (LSUV, lsuv_written("rms"), "about the mean"),
    (DEPTH, np.array([82.0259, 65.5618, 44.6431]) / 2, "χ belongs to squares"),
    (DEPTH, [26.3283, 65.5618, 44.6431], "gates of ReLU"),
    (DEPTH, [-82.0259, -65.5618, 44.6431], "is positive"),
    (DEPTH, [32.0701, 131.1261, 137.7092], "stands for χ"),
    (DEPTH, [82.0259, 65.5618, 30.0], "1 of 3 entries"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- the statements behind the answers, in networks --------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.0, 0.3, 1.0])
def test_the_leaky_gain_keeps_the_mean_square(a: float) -> None:
    rng, n = np.random.default_rng(0), 1000
    h = rng.normal(size=n)
    before = np.mean(h**2)
    for _ in range(3):
        x = np.maximum(h, a * h)
        h = rng.normal(scale=np.sqrt(EXERCISE[LEAKY].truth(a) / n), size=(n, n)) @ x
    assert np.mean(h**2) == pytest.approx(before, rel=0.2)


def test_the_branch_scale_gives_the_growth() -> None:
    """In linear branches, whose weights of variance 1 / n have χ_f = 1; gates of ReLU would make draws differ more."""
    n, depth, growth = 60, 12, 4.0
    net = Network(**{f"b{k}": Residual(Affine(n)) for k in range(depth)})
    rng, squares = np.random.default_rng(1), []
    for _ in range(20):
        params = md.gradient_flow.xavier(net, (1, n), rng)
        for own in params.values():
            own["W"] *= EXERCISE[BRANCH].truth(1.0, depth, growth)
        squares.append(md.gradient_flow.singular_values(net, params, np.ones((1, n))) ** 2)
    assert np.mean(squares) == pytest.approx(growth, rel=0.05)


def test_inputs_show_what_is_judged() -> None:
    for weights, X in EXERCISE[LSUV].inputs:
        assert abs(np.mean(X @ weights[0].T)) > 0.01, "the mean would not be missed"
    for weights, _ in EXERCISE[CHAIN].inputs:
        assert all(not np.allclose(W, W.T) for W in weights)
    for _, weight_variance, q in EXERCISE[CHI].inputs:
        assert 1.0 not in (weight_variance, q)
