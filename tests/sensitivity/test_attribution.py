"""Attributions against the engine, against what they must add up to, and on a real network."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.network import Network, fit
from mathdl.sensitivity import input_times_gradient, integrated_gradients, saliency, smooth_grad

RNG = np.random.default_rng(0)
W, V = RNG.normal(size=(5, 4)), RNG.normal(size=(3, 5))
X0 = RNG.normal(size=4)


def smooth(x):
    return V @ np.tanh(W @ x)


def kinked(x):
    return V @ np.maximum(W @ x, 0.0)


def test_saliency_is_a_row_of_the_jacobian():
    J = md.jacobian(smooth)(X0)
    for k in (0, 2, -1):
        np.testing.assert_allclose(saliency(smooth, X0, k), J[k])
    np.testing.assert_allclose(saliency(lambda x: smooth(x)[1], X0), J[1])
    picture = RNG.normal(size=(2, 2))
    found = saliency(lambda x: np.sum(x, axis=0)[None] * x, picture, (1, 0))
    np.testing.assert_allclose(found, [[picture[1, 0], 0.0], [picture[0, 0] + 2 * picture[1, 0], 0.0]])


def test_input_times_gradient_adds_up_for_a_network_without_biases():
    np.testing.assert_allclose(np.sum(input_times_gradient(kinked, X0, 1)), kinked(X0)[1])


def test_integrated_gradients_are_complete():
    baseline = RNG.normal(size=4)
    for k in range(3):
        found = integrated_gradients(smooth, X0, baseline, k)
        assert abs(found.residual) < 1e-10
        np.testing.assert_allclose(np.sum(found.values) + found.residual, smooth(X0)[k] - smooth(baseline)[k])


def test_on_kinks_the_residual_is_within_its_bound_and_falls_with_the_steps():
    for steps in (3, 10, 100, 1000):
        found = integrated_gradients(kinked, X0, -X0[::-1], 0, steps)
        assert abs(found.residual) <= found.bound
    few, many = (integrated_gradients(kinked, X0, -X0[::-1], 0, steps) for steps in (10, 1000))
    assert abs(many.residual) < 0.1 * abs(few.residual)
    assert many.bound < 0.05 * few.bound


def test_the_bound_is_reached_by_a_jump_of_the_slope_at_the_worst_place():
    """One node, one cell from 0 to 1: a kink near 0 makes the residual as large as the bound says."""
    found = integrated_gradients(
        lambda x: np.maximum(x[0], 0.0) + np.maximum(-x[0], 0.0), np.ones(1), -1e-3 * np.ones(1), steps=1
    )
    assert found.bound == pytest.approx(2 * 1.001)
    assert -found.residual == pytest.approx(2e-3)
    found = integrated_gradients(lambda x: np.maximum(x[0] - 0.4999, 0.0), np.ones(1), steps=1)
    assert found.bound == pytest.approx(1.0)
    assert -found.residual == pytest.approx(0.4999)


def test_completeness_is_asserted():
    with pytest.raises(NotDifferentiable, match=r"changes by 1 from the baseline to x, .* add up to 0 .* it jumps"):
        integrated_gradients(lambda x: np.where(x[0] > 0.5, 1.0, 0.0), np.ones(2))

    def ramp(x):
        return np.clip(10 * x[0] - 4.5, 0.0, 1.0)

    with pytest.raises(NotDifferentiable, match=r"more often than 2 gradients see"):
        integrated_gradients(ramp, np.ones(1), steps=2)
    found = integrated_gradients(ramp, np.ones(1), steps=200)
    assert 0 < abs(found.residual) <= found.bound


def test_integrated_gradients_of_a_linear_function_are_its_terms():
    found = integrated_gradients(lambda x: W @ x, X0, target=2, steps=1)
    np.testing.assert_allclose(found.values, W[2] * X0)


def test_completeness_on_a_trained_network():
    digits = load_digits()
    X, labels = digits.data / 16, digits.target
    network = Network(hidden=layers.Affine(32), bend=layers.Tanh(), out=layers.Affine(10), p=layers.LogSoftmax())
    inner = Network(**dict(list(network.layers.items())[:3]))
    fitted = fit(inner, inner.initial(X.shape), X, labels, epochs=5, progress=False)

    def f(x):
        return network(fitted.params, x[np.newaxis])[0]

    for row in X[:5]:
        assert abs(integrated_gradients(f, row, target=int(np.argmax(f(row)))).residual) < 1e-6


def test_smooth_grad_is_the_mean_of_gradients_and_repeats():
    found = smooth_grad(smooth, X0, 0.1, 1, samples=7, seed=3)
    rng = np.random.default_rng(3)
    points = [X0 + 0.1 * rng.normal(size=4) for _ in range(7)]
    np.testing.assert_allclose(found, np.mean([md.jacobian(smooth)(p)[1] for p in points], axis=0))
    np.testing.assert_allclose(smooth_grad(smooth, X0, 0.0, 1, samples=2), saliency(smooth, X0, 1))


def test_smooth_grad_of_a_kink_is_the_slope_of_the_smoothed_function():
    """relu smoothed by unit noise has the slope Φ(x)."""
    found = smooth_grad(lambda x: np.sum(np.maximum(x, 0)), np.array([0.5]), 1.0, samples=20_000)
    assert abs(found[0] - 0.6914624612740131) < 5 * 0.5 / np.sqrt(20_000)


BAD = {
    "no target": (lambda: saliency(smooth, X0), r"target: got None; wanted the index of one output, .*\(3,\)"),
    "too large": (lambda: saliency(smooth, X0, 3), r"target: got 3; wanted the index of one entry"),
    "two": (lambda: saliency(smooth, X0, (0, 1)), r"target: got \(0, 1\)"),
    "float": (lambda: saliency(smooth, X0, 1.0), r"target: got 1\.0"),
    "of a number": (lambda: saliency(np.sum, X0, 0), r"target: got 0"),
    "integers": (lambda: saliency(smooth, np.arange(4), 0), r"x: got an array of int"),
    "baseline": (lambda: integrated_gradients(smooth, X0, np.zeros(3), 0), r"baseline: got shape \(3,\)"),
    "steps": (lambda: integrated_gradients(smooth, X0, target=0, steps=0), r"steps: got 0"),
    "spread": (lambda: smooth_grad(smooth, X0, -1.0, 0), r"spread: got -1\.0"),
    "samples": (lambda: smooth_grad(smooth, X0, 1.0, 0, samples=1.5), r"samples: got 1\.5"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


def test_what_is_not_differentiable_is_refused():
    with pytest.raises(NotDifferentiable):
        saliency(lambda x: float(x[0]), X0)
