"""Singular values without the matrix against those of the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mathdl as md
from mathdl import layers
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import effective_rank, singular_values
from mathdl.network import Network

DEEP = Network(
    **{f"{kind}{k}": layer for k in range(6) for kind, layer in (("a", layers.Affine(30)), ("t", layers.Tanh()))}
)
WIDE = Network(first=layers.Affine(40), bend=layers.GELU(), out=layers.Affine(7))
TALL = Network(first=layers.Affine(9), bend=layers.Softplus(), out=layers.Affine(25))
CONV = Network(conv=layers.Conv2d(3, 3, padding=1), gate=layers.Tanh(), pool=layers.AveragePool2d(2))
POINTS = {"deep": (DEEP, (1, 30)), "wide": (WIDE, (1, 20)), "tall": (TALL, (1, 6)), "conv": (CONV, (1, 2, 6, 6))}


def at(name, seed=0):
    network, shape = POINTS[name]
    x = np.random.default_rng(seed).normal(size=shape)
    J = md.jacobian(lambda x: network(params, x))(x) if (params := network.initial(shape, seed)) else None
    return network, params, x, np.linalg.svd(J.reshape(-1, x.size), compute_uv=False)


@pytest.mark.parametrize("name", POINTS)
def test_both_methods_are_those_of_the_dense_jacobian(name):
    network, params, x, expected = at(name)
    np.testing.assert_allclose(singular_values(network, params, x), expected, rtol=1e-10, atol=1e-12)
    few = min(4, len(expected) - 1)
    for method in ("dense", "lanczos", "auto"):
        found = singular_values(network, params, x, few, method)
        np.testing.assert_allclose(found, expected[:few], rtol=1e-9)


def test_lanczos_repeats():
    network, params, x, _ = at("deep")
    one, two = (singular_values(network, params, x, 3, "lanczos") for _ in range(2))
    assert np.array_equal(one, two)


def test_a_large_jacobian_is_not_built():
    """1000 by 1000: forming it would ask for 1000 products."""
    calls = []

    class Counting(layers.Tanh):
        def push(self, params, kept, dx, dparams):
            calls.append(1)
            return super().push(params, kept, dx, dparams)

        def pull(self, params, kept, g):
            calls.append(1)
            return super().pull(params, kept, g)

    network = Network(count=Counting())
    x = np.concatenate([[0.0, 0.3, 0.6, 0.9, 1.2], np.linspace(2.0, 3.0, 995)])
    found = singular_values(network, {}, x, 5)
    np.testing.assert_allclose(found, 1 - np.tanh(x[:5]) ** 2, rtol=1e-9)
    assert 10 < len(calls) < 1000


def test_a_jacobian_of_zeros():
    assert not np.any(singular_values(layers.ReLU(), {}, -np.ones(4)))


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_the_effective_rank_is_between_one_and_the_rank(values):
    rank = effective_rank(np.array(values))
    count = np.count_nonzero(values)
    assert (rank == 0) if count == 0 else (1 - 1e-12 <= rank <= count + 1e-9)


def test_the_effective_rank_of_equal_values_is_their_number_and_scale_does_not_matter():
    assert effective_rank(np.full(7, 3.0)) == pytest.approx(7)
    values = np.array([3.0, 1.0, 0.5])
    assert effective_rank(1e5 * values) == pytest.approx(effective_rank(values))
    shares = values / values.sum()
    assert effective_rank(values) == pytest.approx(np.exp(-np.sum(shares * np.log(shares))))


BAD = {
    "count": (
        lambda: singular_values(layers.Tanh(), {}, np.ones(3), 4),
        r"count: got 4; wanted an integer from 1 to 3",
    ),
    "no count": (lambda: singular_values(layers.Tanh(), {}, np.ones(3), 0), r"count: got 0"),
    "method": (lambda: singular_values(layers.Tanh(), {}, np.ones(3), method="qr"), r"method: got 'qr'"),
    "all": (
        lambda: singular_values(layers.Tanh(), {}, np.ones(3), method="lanczos"),
        r"count: got 3; wanted fewer than all 3 for Lanczos' method",
    ),
    "empty": (lambda: singular_values(layers.Tanh(), {}, np.ones(0)), r"x: got shape \(0,\)"),
    "negative": (lambda: effective_rank(np.array([-1.0])), r"values: got an array"),
    "matrix": (lambda: effective_rank(np.eye(2)), r"values: got an array"),
    "nan": (lambda: effective_rank(np.array([np.nan])), r"values: got an array"),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()
