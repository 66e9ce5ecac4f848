"""Singular values without the matrix against those of the matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mathdl as md
from mathdl import layers
from mathdl.autodiff.trees import mapped
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


@pytest.mark.parametrize("method", ["dense", "lanczos"])
def test_a_jacobian_of_zeros(method):
    found = singular_values(layers.ReLU(), {}, -np.ones(40), 3, method)
    np.testing.assert_array_equal(found, [0.0, 0.0, 0.0])


def by_svd(A, count, seed=0):
    """Lanczos' method on the matrix A against LAPACK, in units of the largest value."""
    params = {"W": A, "b": np.zeros(len(A))}
    found = singular_values(layers.Affine(), params, np.ones(A.shape[1]), count, "lanczos", seed)
    expected = np.linalg.svd(A, compute_uv=False)
    assert found.shape == (count,)
    assert np.all(np.diff(found) <= 0)
    unit = expected[0] or 1.0
    np.testing.assert_allclose(found / unit, expected[:count] / unit, rtol=0, atol=1e-11)


def with_values(values, m, n, seed=0):
    rng = np.random.default_rng(seed)
    k = len(values)
    left, right = np.linalg.qr(rng.normal(size=(m, k)))[0], np.linalg.qr(rng.normal(size=(n, k)))[0]
    return (left * values) @ right.T


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1), st.data())
def test_lanczos_at_all_shapes_ranks_and_counts(m, n, seed, data):
    """All counts, that of all values too; and rank deficient matrices, zero among them."""
    count, rank = data.draw(st.integers(1, min(m, n))), data.draw(st.integers(0, min(m, n)))
    rng = np.random.default_rng(seed)
    by_svd(rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n)) if rank else np.zeros((m, n)), count, seed % 5)


SPECTRA = {
    "all equal": np.ones(60),
    "twenty pairs": np.repeat(np.linspace(2.0, 1.0, 20), 2),
    "tens": np.repeat([3.0, 2.0, 1.0], 10),
    "halved each time": 2.0 ** -np.arange(50),
    "one of many": np.array([1.0] + 59 * [0.3]),
    "in a cluster": 1 + 1e-4 * np.linspace(1.0, 0.0, 60),
}


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_lanczos_where_values_repeat_cluster_or_fade_at_any_scale(spectrum, scale):
    values = SPECTRA[spectrum]
    for m, n in ((len(values), len(values)), (70, 60), (60, 80)):
        for count in (1, 2, 5, 11, 25):
            by_svd(scale * with_values(values, m, n), count)
    for count in (1, 2, 3, 5):
        by_svd(scale * np.diag(values), count)


class Crooked(layers.Affine):
    """Its pull is not its push transposed: residuals never get small."""

    def pull(self, params, kept, g):
        gparams, gx = super().pull(params, kept, g)
        return gparams, np.roll(gx, 1, axis=-1)


def test_lanczos_ends_even_where_pull_and_push_contradict_each_other():
    A = np.random.default_rng(0).normal(size=(12, 9))
    found = singular_values(Crooked(), {"W": A, "b": np.zeros(12)}, np.ones(9), 2, "lanczos")
    np.testing.assert_allclose(found, np.linalg.svd(A, compute_uv=False)[:2])


BLOCK = Network(bend=layers.ReLU(), inner=layers.Affine(12))
RESIDUAL = Network(first=layers.Affine(12), block=layers.Residual(BLOCK), norm=layers.LayerNorm())
IMAGE = Network(
    conv=layers.Conv2d(4, 3, stride=2),
    gate=layers.ReLU(),
    pool=layers.MaxPool2d(2),
    line=layers.Reshape((-1,)),
    out=layers.Affine(7),
)
MORE = {
    "residual": (RESIDUAL, (3, 8)),
    "attention": (Network(first=layers.MultiHeadAttention(2), out=layers.RMSNorm()), (2, 5, 6)),
    "recurrent": (Network(cell=layers.Recurrent(5), gated=layers.GatedRecurrent(4)), (2, 6, 3)),
    "image": (IMAGE, (2, 2, 11, 9)),
    "batch norm": (Network(first=layers.Affine(5), norm=layers.BatchNorm(), out=layers.Softmax()), (6, 4)),
}


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("name", MORE)
def test_networks_of_all_kinds(name, kind):
    network, shape = MORE[name]
    params = mapped(kind, network.initial(shape, 1))
    x = np.random.default_rng(1).normal(size=shape).astype(kind)
    J = network.jacobian(params, x)
    expected = np.linalg.svd(J.reshape(-1, x.size).astype(float), compute_uv=False)
    close = 1e-9 if kind is np.float64 else 1e-5
    np.testing.assert_allclose(singular_values(network, params, x), expected, atol=close * expected[0])
    for count in (1, 4, len(expected)):
        found = singular_values(network, params, x, count, "lanczos")
        np.testing.assert_allclose(found, expected[:count], atol=close * expected[0])


def test_dense_takes_whichever_products_are_fewer():
    """4 * 3 < 13: three pulls; otherwise pushes, of which one is quicker."""
    for m, n, pulls in ((3, 13, 3), (3, 12, 0), (12, 3, 0)):
        calls = []

        class Counting(layers.Affine):
            def pull(self, params, kept, g, calls=calls):
                calls.append(1)
                return super().pull(params, kept, g)

        A = np.random.default_rng(0).normal(size=(m, n))
        found = singular_values(Counting(), {"W": A, "b": np.zeros(m)}, np.ones(n), method="dense")
        np.testing.assert_allclose(found, np.linalg.svd(A, compute_uv=False))
        assert len(calls) == pulls


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_the_effective_rank_is_between_one_and_the_rank(values):
    rank = effective_rank(np.array(values))
    count = np.count_nonzero(values)
    assert (rank == 0) if count == 0 else (1 - 1e-12 <= rank <= count + 1e-9)


def test_the_effective_rank_of_equal_values_is_their_number_and_scale_does_not_matter():
    assert effective_rank(np.full(7, 3.0)) == pytest.approx(7)
    values = np.array([3.0, 1.0, 0.5])
    for scale in (1e5, 1e308 / 3, 1e-300):
        assert effective_rank(scale * values) == pytest.approx(effective_rank(values))
    shares = values / values.sum()
    assert effective_rank(values) == pytest.approx(np.exp(-np.sum(shares * np.log(shares))))


BAD = {
    "count": (
        lambda: singular_values(layers.Tanh(), {}, np.ones(3), 4),
        r"count: got 4; wanted an integer from 1 to 3",
    ),
    "no count": (lambda: singular_values(layers.Tanh(), {}, np.ones(3), 0), r"count: got 0"),
    "method": (lambda: singular_values(layers.Tanh(), {}, np.ones(3), method="qr"), r"method: got 'qr'"),
    "seed": (lambda: singular_values(layers.Tanh(), {}, np.ones(3), 1, "lanczos", seed=-1), r"seed: got -1"),
    "layer": (lambda: singular_values(np.tanh, {}, np.ones(3)), r"layer: got the function tanh; wanted a layer"),
    "several inputs": (
        lambda: singular_values(layers.Attention(), {}, (np.eye(2), np.eye(2), np.eye(2))),
        r"layer: got .*; wanted a layer or a network, with one input",
    ),
    "integers": (lambda: singular_values(layers.Tanh(), {}, np.ones(3, int)), r"x: got an array of int64"),
    "infinite x": (lambda: singular_values(layers.Tanh(), {}, np.array([np.inf])), r"x: got NaN or infinity"),
    "infinite": (
        lambda: singular_values(layers.Affine(), {"W": np.full((4, 4), np.inf), "b": np.zeros(4)}, np.ones(4)),
        r"x: got a Jacobian with NaN or infinity",
    ),
    "NaN": (
        lambda: singular_values(
            layers.Affine(), {"W": np.full((4, 4), np.nan), "b": np.zeros(4)}, np.ones(4), 2, "lanczos"
        ),
        r"x: got a Jacobian with NaN or infinity",
    ),
    "ragged": (lambda: effective_rank([[1.0], [1.0, 2.0]]), r"values: got a ragged nest"),
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
