"""Theory against closed forms, and against wide random networks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import integrate

from mathdl import layers
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import mean_field


@pytest.mark.parametrize("variance", [0.5, 1.9, 2.0, 2.5])
def test_relu_has_a_closed_form(variance):
    """Half of everything is lost: q grows by variance / 2 a layer, and so does a gradient."""
    found = mean_field(layers.ReLU(), variance)
    assert found.chi == pytest.approx(variance / 2, rel=1e-12)
    assert found.variance == pytest.approx({0.5: 0.0, 1.9: 0.0, 2.0: 1.0, 2.5: np.inf}[variance])


@pytest.mark.parametrize(("weights", "biases"), [(0.8, 0.0), (1.5, 0.0), (2.0, 0.1), (4.0, 0.5)])
@pytest.mark.parametrize("layer", [layers.Tanh(), layers.GELU(), layers.Sigmoid()])
def test_where_it_settles_is_a_fixed_point(layer, weights, biases):
    found = mean_field(layer, weights, biases)
    if not 0 < found.variance < 1e6:
        return

    def mean(function):
        value, _ = integrate.quad(
            lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi) * function(np.sqrt(found.variance) * z),
            -12,
            12,
            limit=400,
        )
        return value

    q = weights * mean(lambda x: float(layer({}, np.array([x]))[0]) ** 2) + biases
    chi = weights * mean(lambda x: float(layer.jacobian({}, np.array([x]))[0, 0]) ** 2)
    assert found.variance == pytest.approx(q, rel=1e-8)
    assert found.chi == pytest.approx(chi, rel=1e-8)


def test_tanh_fades_below_one_and_explodes_above():
    """At zero bias the edge of chaos of tanh is a weight variance of 1."""
    assert mean_field(layers.Tanh(), 0.9).chi == pytest.approx(0.9)
    assert mean_field(layers.Tanh(), 0.9).variance == pytest.approx(0, abs=1e-200)
    assert mean_field(layers.Tanh(), 1.5).chi > 1


def test_wide_random_networks_do_what_theory_says():
    n, depth, weights, biases = 1500, 8, 2.0, 0.05
    expected = mean_field(layers.Tanh(), weights, biases)
    rng = np.random.default_rng(0)
    W = [rng.normal(scale=np.sqrt(weights / n), size=(n, n)) for _ in range(depth)]
    h = rng.normal(scale=np.sqrt(expected.variance), size=n)
    slopes = []
    for k in range(depth):
        slopes.append(1 - np.tanh(h) ** 2)
        h = W[k] @ np.tanh(h) + rng.normal(scale=np.sqrt(biases), size=n)
    assert np.var(h) == pytest.approx(expected.variance, rel=0.1)
    g = rng.normal(size=n)
    first = g @ g
    for k in reversed(range(depth)):
        g = slopes[k] * (W[k].T @ g)
    assert (g @ g / first) ** (1 / depth) == pytest.approx(expected.chi, rel=0.05)


def test_steps_are_counted():
    assert mean_field(layers.Tanh(), 2.0, 0.1).layers > 3
    assert mean_field(layers.ReLU(), 2.0).layers == 1
    assert mean_field(layers.Tanh(), 2.0, 0.1, most=2).layers == 2


ACTIVATIONS = {
    "tanh": (layers.Tanh(), 2.0, 0.05),
    "relu": (layers.ReLU(), 1.5, 0.1),
    "gelu": (layers.GELU(), 1.8, 0.2),
    "sigmoid": (layers.Sigmoid(), 8.0, 0.1),
    "softplus": (layers.Softplus(), 1.0, 0.1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_layers_two_thousand_wide_settle_where_theory_says(name):
    """Three of them: the variance stays at q*, and a cotangent's squared norm changes by χ in each."""
    activation, weights, biases = ACTIVATIONS[name]
    n, expected = 2000, mean_field(activation, weights, biases)
    assert expected.settled
    rng = np.random.default_rng(1)
    h, variances, factors = rng.normal(scale=np.sqrt(expected.variance), size=n), [], []
    for _ in range(3):
        W = rng.normal(scale=np.sqrt(weights / n), size=(n, n))
        y, saved = activation.forward({}, h)
        g = rng.normal(size=n)
        _, pulled = activation.vjp({}, saved, W.T @ g)
        factors.append(pulled @ pulled / (g @ g))
        h = W @ y + rng.normal(scale=np.sqrt(biases), size=n)
        variances.append(np.mean(h**2))
    assert np.mean(variances) == pytest.approx(expected.variance, rel=0.1)
    assert np.mean(factors) == pytest.approx(expected.chi, rel=0.1)


@pytest.mark.parametrize("weights", [1.5, 12.0, 13.0, 150.0, 1e4, 1e8])
def test_means_are_right_however_large_the_variance(weights):
    """q* is nearly as large as the weights' variance: adaptive quadrature in pieces, since tanh bends near 0 only."""
    found = mean_field(layers.Tanh(), weights)
    deviation = np.sqrt(found.variance)
    edges = [0.0, *(edge for edge in (1.0, 5.0, 30.0) if edge < 12 * deviation), 12 * deviation]

    def mean(function):
        def integrand(x):
            return np.sqrt(2 / np.pi) / deviation * function(x) * np.exp(-0.5 * (x / deviation) ** 2)

        return sum(integrate.quad(integrand, *piece, epsrel=1e-12)[0] for piece in itertools.pairwise(edges))

    assert found.variance == pytest.approx(weights * mean(lambda x: np.tanh(x) ** 2), rel=1e-9)
    assert found.chi == pytest.approx(weights * mean(lambda x: (1 - np.tanh(x) ** 2) ** 2), rel=1e-9)


def test_what_has_not_settled_says_so():
    """At the edge of chaos the variance of tanh falls like 1 / layers, and that of ReLU with a bias grows for ever."""
    for found in (
        mean_field(layers.Tanh(), 1.0, most=500),
        mean_field(layers.ReLU(), 2.0, 0.1, most=500),
        mean_field(layers.ReLU(), 1.999, 0.1, most=500),
    ):
        assert not found.settled
        assert found.layers == 500
    for found in (mean_field(layers.ReLU(), 1.99, 0.1), mean_field(layers.Tanh(), 0.9), mean_field(layers.ReLU(), 3)):
        assert found.settled
    assert mean_field(layers.ReLU(), 1.99, 0.1).variance == pytest.approx(0.1 / 0.005, rel=1e-8)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, int])
def test_numbers_of_numpy_are_numbers(kind):
    assert mean_field(layers.Tanh(), kind(2), kind(1), kind(3)) == mean_field(layers.Tanh(), 2.0, 1.0, 3.0)


BAD = {
    "no number": (lambda: mean_field(layers.Tanh(), True), r"weight_variance: got True"),
    "NaN": (lambda: mean_field(layers.Tanh(), np.nan), r"weight_variance: got nan"),
    "most": (lambda: mean_field(layers.Tanh(), 1.0, most=0), r"most: got 0; wanted an integer, at least 1"),
    "activation": (lambda: mean_field(layers.Softmax(), 1.0), r"activation: got .*wanted an elementwise layer"),
    "weights": (lambda: mean_field(layers.Tanh(), 0.0), r"weight_variance: got 0\.0; wanted a finite number, positive"),
    "biases": (lambda: mean_field(layers.Tanh(), 1.0, -1.0), r"bias_variance: got -1\.0"),
    "start": (lambda: mean_field(layers.Tanh(), 1.0, start=np.inf), r"start: got inf"),
    "tolerance": (lambda: mean_field(layers.Tanh(), 1.0, tolerance=-1e-3), r"tolerance: got -0\.001"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()
