"""Attributions against the engine, against what they must add up to, and on a real network."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.network import Network, fit
from mathdl.sensitivity import (
    adversarial,
    elasticities,
    input_times_gradient,
    integrated_gradients,
    lipschitz_bounds,
    propagate,
    rank_features,
    saliency,
    smooth_grad,
)

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


SETS = {"iris": load_iris, "wine": load_wine, "breast cancer": load_breast_cancer, "diabetes": load_diabetes}


@pytest.mark.parametrize("data", SETS)
@pytest.mark.parametrize("activation", [layers.Tanh(), layers.GELU(), layers.Softplus(), layers.ReLU()])
def test_completeness_of_networks_trained_on_other_data(data, activation):
    """To 1e-6 where they are smooth, and within the quadrature's own bound where they have kinks."""
    loaded = SETS[data]()
    X, y = (loaded.data - loaded.data.mean(axis=0)) / loaded.data.std(axis=0), loaded.target
    loss = layers.CrossEntropy()
    if data == "diabetes":
        y, loss = ((y - y.mean()) / y.std())[:, None], layers.MeanSquaredError()
    width = 1 if data == "diabetes" else int(y.max()) + 1
    network = Network(
        a=layers.Affine(24), bend=activation, b=layers.Affine(16), again=activation, out=layers.Affine(width)
    )
    fitted = fit(network, network.initial(X.shape), X, y, loss=loss, epochs=10, progress=False)

    def f(x):
        return network(fitted.params, x[np.newaxis])[0]

    for row in X[:: len(X) // 8]:
        target = int(np.argmax(f(row)))
        found = integrated_gradients(f, row, target=target, steps=64)
        change = f(row)[target] - f(np.zeros_like(row))[target]
        assert np.sum(found.values) + found.residual == pytest.approx(change, abs=1e-12)
        if isinstance(activation, layers.ReLU):
            assert 0 < abs(found.residual) <= found.bound
        else:
            assert abs(found.residual) < 1e-6


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
    "spread is no number": (lambda: smooth_grad(smooth, X0, True, 0), r"spread: got True"),
    "seed": (lambda: smooth_grad(smooth, X0, 1.0, 0, seed=-1), r"seed: got -1; wanted an integer, at least 0"),
    "spread": (lambda: smooth_grad(smooth, X0, -1.0, 0), r"spread: got -1\.0"),
    "samples": (lambda: smooth_grad(smooth, X0, 1.0, 0, samples=1.5), r"samples: got 1\.5"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


CALLS = {
    "saliency": lambda f: saliency(f, X0),
    "input times gradient": lambda f: input_times_gradient(f, X0),
    "integrated gradients": lambda f: integrated_gradients(f, X0),
    "smooth grad": lambda f: smooth_grad(f, X0, 0.1, samples=2),
    "elasticities": lambda f: elasticities(f, X0),
    "propagate": lambda f: propagate(f, X0, np.eye(4)),
    "ranking": lambda f: rank_features(f, np.stack([X0, X0 + 1])),
    "adversarial": lambda f: adversarial(f, X0, 0.1),
    "Lipschitz": lambda f: lipschitz_bounds(f, X0, 0.1, samples=2),
}


def write(x):
    x[0] = 1.0
    return np.sum(x)


REFUSED = {
    "a float": (lambda x: float(x[0]), NotDifferentiable),
    "the module math": (lambda x: math.sin(x[0]), NotDifferentiable),
    "compiled code without a rule": (lambda x: np.sum(special.j0(x)), NotDifferentiable),
    "written into its input": (write, NotDifferentiable),
    "written elsewhere": (lambda x: np.sum(np.add(x, 1.0, out=np.zeros(4))), NotDifferentiable),
    "an index": (np.argmax, NotDifferentiable),
    "cut to an integer": (lambda x: np.sum(x).astype(int), NotDifferentiable),
    "a decision": (lambda x: x[0] > 0, NotDifferentiable),
    "NaN": (lambda x: np.sum(np.sqrt(x - 50.0)), InvalidInput),
    "infinite slope": (lambda x: np.sqrt(np.sum((x - x) * x)) + 1.0, NotDifferentiable),
    "nothing": (lambda x: None, InvalidInput),
    "text": (lambda x: "a", InvalidInput),
    "a tuple": (lambda x: (x[0], x[1]), InvalidInput),
    "a list": (lambda x: [x[0]], InvalidInput),
    "a dict": (lambda x: {"y": x[0]}, InvalidInput),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("model", REFUSED)
def test_what_has_no_derivative_here_is_refused_by_every_function(model, call):
    f, error = REFUSED[model]
    with pytest.raises(error):
        CALLS[call](f)


@pytest.mark.parametrize("call", CALLS)
def test_a_zero_jacobian_is_zero_everywhere(call):
    """A constant, and steps that are flat where they are looked at."""
    for f in (lambda x: 3.0, lambda x: 1.0 + 0.0 * np.sum(np.round(x))):
        found = CALLS[call](f)
        if call == "adversarial":
            np.testing.assert_array_equal(found, X0)
            continue
        named = [name for name in ("values", "scores", "lower") if hasattr(found, name)]
        assert not np.any(getattr(found, named[0]) if named else found)


def test_sorting_and_branches_are_followed_where_they_are():
    x = np.array([0.3, -1.0, 2.0])
    np.testing.assert_array_equal(saliency(lambda x: x[np.argsort(x)][0] * 3, x), [0, 3, 0])
    np.testing.assert_array_equal(saliency(lambda x: np.sort(x) @ np.array([0.0, 1.0, 2.0]), x), [1, 0, 2])
    np.testing.assert_allclose(saliency(lambda x: x[0] ** 2 if x[0] > 0 else -x[0], x), [0.6, 0, 0])


POINTS = {
    "integers": (np.arange(4), r"x: got an array of int64"),
    "Python integers": ([1, 2, 3, 4], r"x: got an array of int64"),
    "NaN": (np.array([np.nan, 1.0]), r"x: got nan at index \(0,\)"),
    "infinity": (np.array([1.0, -np.inf]), r"x: got -inf"),
    "empty": (np.zeros(0), r"x: got an empty array"),
    "complex": (np.ones(2) * 1j, r"x: got .*complex"),
    "ragged": ([[1.0], [1.0, 2.0]], r"x: got a ragged nest"),
    "masked": (np.ma.array([1.0, 2.0], mask=[False, True]), r"x: got a masked array"),
    "None": (None, r"x: got "),
}


@pytest.mark.parametrize("point", POINTS)
def test_points_that_are_none(point):
    x, message = POINTS[point]
    for call in (
        lambda: saliency(np.sum, x),
        lambda: integrated_gradients(np.sum, x),
        lambda: smooth_grad(np.sum, x, 0.1),
        lambda: elasticities(np.sum, x),
        lambda: propagate(np.sum, x, np.eye(2)),
        lambda: adversarial(np.sum, x, 0.1),
        lambda: lipschitz_bounds(np.sum, x, 0.1),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()


def test_lists_single_precision_and_single_numbers_are_points_too():
    for x in ([0.5, 1.0], np.array([0.5, 1.0], np.float32)):
        found = saliency(lambda x: np.sum(x**2), x)
        np.testing.assert_array_equal(found, [1.0, 2.0])
        assert found.dtype == np.float64
    assert saliency(np.square, 1.5) == 3.0
    assert integrated_gradients(np.square, np.array(2.0)).values == pytest.approx(4.0)
    assert elasticities(lambda x: x**3, 2.0) == pytest.approx(3.0)
    assert adversarial(np.square, 1.0, 0.5) == 1.5


def test_numbers_of_numpy_are_numbers():
    np.testing.assert_allclose(
        smooth_grad(smooth, X0, np.float32(0.5), 0, samples=np.int64(3)), smooth_grad(smooth, X0, 0.5, 0, samples=3)
    )
    np.testing.assert_allclose(adversarial(np.sum, X0, np.int64(1), steps=np.int8(2)), X0 + 1)
    assert lipschitz_bounds(np.sum, X0, np.float32(1), upper=np.float32(3.0)).upper == 3.0
    assert isinstance(lipschitz_bounds(np.sum, X0, 1.0, upper=np.float32(3.0)).upper, float)
