"""Adversarial steps gain what they promise, penalties have the gradient of differences, bounds hold."""

from __future__ import annotations

import numpy as np
import pytest

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.sensitivity import adversarial, jacobian_penalty, lipschitz_bounds

RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 4))
X0 = RNG.normal(size=4)


def loss(x):
    return np.sum(np.tanh(W @ x) ** 2)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_step_gains_to_first_order_what_the_dual_norm_says(norm):
    g = md.grad(loss)(X0)
    near = adversarial(loss, X0, 1e-5, norm)
    size = {"linf": np.max(np.abs(near - X0)), "l2": np.linalg.norm(near - X0)}[norm]
    dual = {"linf": np.sum(np.abs(g)), "l2": np.linalg.norm(g)}[norm]
    np.testing.assert_allclose(size, 1e-5)
    np.testing.assert_allclose(loss(near) - loss(X0), 1e-5 * dual, rtol=1e-3)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_steps_stay_in_the_ball_and_gain_more(norm):
    one, many = (adversarial(loss, X0, 0.3, norm, steps) for steps in (1, 20))
    order = np.inf if norm == "linf" else 2
    assert np.linalg.norm(many - X0, order) <= 0.3 * (1 + 1e-12)
    assert loss(many) >= loss(one) - 1e-3
    assert loss(many) > loss(X0)


def test_bounds_are_kept_and_a_flat_loss_moves_nothing():
    x = np.array([0.0, 0.5, 1.0, 0.2])
    near = adversarial(loss, x, 0.4, bounds=(0.0, 1.0))
    assert np.min(near) >= 0
    assert np.max(near) <= 1
    np.testing.assert_array_equal(adversarial(lambda x: 0.0 * x[0], x, 0.1, "l2"), x)
    np.testing.assert_array_equal(adversarial(loss, x, 0.0), x)


def f(params, X):
    return np.tanh(X @ params["W"].T + params["b"]) @ params["V"].T


PARAMS = {"W": W, "b": RNG.normal(size=5), "V": RNG.normal(size=(3, 5))}
X = RNG.normal(size=(6, 4))


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_the_penalty_and_its_gradient(norm):
    value, gradient = jacobian_penalty(f, PARAMS, X, norm)
    squares = [
        np.linalg.norm(md.jacobian(lambda x: f(PARAMS, x[None])[0])(x), "fro" if norm == "frobenius" else 2) ** 2
        for x in X
    ]
    assert value == pytest.approx(np.mean(squares))
    vector, unflatten = md.flatten(PARAMS)
    direction = RNG.normal(size=vector.shape)
    h = 1e-5
    values = [jacobian_penalty(f, unflatten(vector + t * direction), X, norm)[0] for t in (-h, h)]
    assert md.flatten(gradient)[0] @ direction == pytest.approx((values[1] - values[0]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_the_penalty_of_a_network_on_images(norm):
    """The batch's axis is the first one, and all others are inputs and outputs."""
    network = layers.Conv2d(channels=2, size=3)
    images = RNG.normal(size=(3, 1, 5, 4))
    params = network.initial(images.shape, RNG)
    value, gradient = jacobian_penalty(network, params, images, norm)
    J = network.jacobian(params, images)[0, ..., 0, :, :, :].reshape(12, 20)
    assert value == pytest.approx(np.linalg.norm(J, "fro" if norm == "frobenius" else 2) ** 2)
    np.testing.assert_allclose(np.vdot(gradient["K"], params["K"]), 2 * value)  # homogeneous of degree two
    assert not np.any(gradient["b"])


def test_projections_estimate_the_frobenius_norm_and_its_gradient():
    value, gradient = jacobian_penalty(f, PARAMS, X)
    found = [jacobian_penalty(f, PARAMS, X, projections=2, seed=seed) for seed in range(400)]
    values, gradients = np.array([v for v, _ in found]), np.array([g["W"] for _, g in found])
    for mean, exact, spread in (
        (values.mean(), value, values.std()),
        (gradients.mean(axis=0), gradient["W"], gradients.std(axis=0)),
    ):
        assert np.all(np.abs(mean - exact) < 4.5 * spread / np.sqrt(400))
        assert np.all(spread > 0)
    assert jacobian_penalty(f, PARAMS, X, projections=2, seed=1)[0] == values[1]


def test_one_input_and_one_output_a_row():
    value, gradient = jacobian_penalty(lambda w, X: np.tanh(X @ w), np.array([2.0, 1.0]), np.zeros((1, 2)))
    assert value == pytest.approx(5.0)
    np.testing.assert_allclose(gradient, [4.0, 2.0])


def test_a_jacobian_of_zeros_has_the_penalty_zero():
    value, gradient = jacobian_penalty(f, {**PARAMS, "V": np.zeros((3, 5))}, X)
    assert value == 0
    assert not any(np.any(g) for g in gradient.values())


def test_bounds_from_below_and_above():
    M = RNG.normal(size=(3, 4))
    top = np.linalg.norm(M, 2)
    found = lipschitz_bounds(lambda x: M @ x, X0, 1.0, samples=5, upper=top)
    assert found.lower == pytest.approx(top)
    assert found.upper == top
    assert lipschitz_bounds(lambda x: np.tanh(M @ x), X0, 1.0, samples=5).upper == np.inf
    few, many = (lipschitz_bounds(lambda x: np.tanh(M @ x), 3 * X0, 3.0, samples=n).lower for n in (1, 300))
    assert few < many <= top


def test_a_gradient_whose_squares_underflow_has_a_direction():
    near = adversarial(lambda x: 1e-200 * (3 * x[0] - 4 * x[1]), np.zeros(2), 1.0, "l2")
    np.testing.assert_allclose(near, [0.6, -0.8])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("norm", ["frobenius", "spectral"])
def test_a_penalty_that_is_not_finite_is_an_error(norm):
    with pytest.raises(NotDifferentiable, match="its derivative is not finite"):
        jacobian_penalty(lambda W, X: np.sqrt(X @ W.T), np.zeros((1, 2)), np.ones((3, 2)), norm)


BAD = {
    "radius": (lambda: adversarial(loss, X0, -1.0), r"radius: got -1\.0"),
    "norm": (lambda: adversarial(loss, X0, 1.0, "l1"), r"norm: got 'l1'; wanted one of 'l2', 'linf'"),
    "steps": (lambda: adversarial(loss, X0, 1.0, steps=0), r"steps: got 0"),
    "radius is no number": (lambda: adversarial(loss, X0, True), r"radius: got True"),
    "NaN": (lambda: lipschitz_bounds(loss, X0, np.nan), r"radius: got nan"),
    "bounds": (lambda: adversarial(loss, X0, 1.0, bounds=0.0), r"bounds: got 0\.0; wanted two numbers"),
    "bounds of text": (lambda: adversarial(loss, X0, 1.0, bounds=("0", "1")), r"bounds: got \('0', '1'\)"),
    "bounds exchanged": (lambda: adversarial(loss, X0, 1.0, bounds=(1.0, 0.0)), r"bounds: got \(1\.0, 0\.0\)"),
    "upper": (lambda: lipschitz_bounds(loss, X0, 1.0, upper=np.nan), r"upper: got nan; wanted a number, not negative"),
    "upper is text": (lambda: lipschitz_bounds(loss, X0, 1.0, upper="3"), r"upper: got '3'"),
    "seed": (lambda: lipschitz_bounds(loss, X0, 1.0, seed=1.5), r"seed: got 1\.5"),
    "seed of projections": (lambda: jacobian_penalty(f, PARAMS, X, projections=1, seed=-1), r"seed: got -1"),
    "outside": (lambda: adversarial(loss, X0, 1.0, bounds=(0.0, 0.1)), r"x: got entries from .* within the bounds"),
    "penalty's norm": (lambda: jacobian_penalty(f, PARAMS, X, "nuclear"), r"norm: got 'nuclear'"),
    "no inputs": (lambda: jacobian_penalty(f, PARAMS, 1.0), r"X: got a single number"),
    "projections": (lambda: jacobian_penalty(f, PARAMS, X, projections=0), r"projections: got 0"),
    "projections of the spectral norm": (
        lambda: jacobian_penalty(f, PARAMS, X, "spectral", projections=1),
        r"projections: got 1; wanted None for the spectral norm",
    ),
    "no row for each": (
        lambda: jacobian_penalty(lambda params, X: np.sum(f(params, X)), PARAMS, X),
        r"f: got an output of shape \(\); wanted one of shape \(6, \.\.\.\)",
    ),
    "batch norm": (
        lambda: jacobian_penalty(lambda params, X: f(params, X - np.mean(X, axis=0)), PARAMS, X),
        r"f: got rows that come out differently without the others",
    ),
    "a row that looks at one before": (
        lambda: jacobian_penalty(lambda params, X: f(params, np.concatenate([X[:1], X[:-1]])), PARAMS, X),
        r"f: got rows that come out differently without the others",
    ),
    "ball": (lambda: lipschitz_bounds(loss, X0, np.inf), r"radius: got inf"),
    "samples": (lambda: lipschitz_bounds(loss, X0, 1.0, samples=0), r"samples: got 0"),
    "contradiction": (
        lambda: lipschitz_bounds(lambda x: 3 * x, X0, 1.0, upper=2.0),
        r"upper: got 2; wanted at least 3",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()
