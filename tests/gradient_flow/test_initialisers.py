"""First weights have the variances and the singular values that are promised, wherever they stand in a network."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl import layers
from mathdl.autodiff.trees import leaves
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import he, lsuv, orthogonal, xavier
from mathdl.network import Network

BLOCK = Network(norm=layers.LayerNorm(), inner=layers.Affine(400))
NET = Network(first=layers.Affine(400), block=layers.Residual(BLOCK), bend=layers.Tanh(), out=layers.Affine(200))
SHAPE = (2, 100)
CONV = Network(conv=layers.Conv2d(60, (3, 2)), line=layers.Reshape((60, -1)), one=layers.Conv1d(50, 4))
CONV_SHAPE = (1, 40, 5, 6)


def near(W, variance):
    assert abs(np.mean(W)) < 5 * np.sqrt(variance / W.size)
    assert abs(np.var(W) / variance - 1) < 5 * np.sqrt(2 / W.size)


def test_xavier_and_he():
    for draw, variance in ((xavier, lambda m, n: 2 / (n + m)), (he, lambda m, n: 2 / n)):
        params = draw(NET, SHAPE, 1)
        near(params["first"]["W"], variance(400, 100))
        near(params["block"]["inner"]["W"], variance(400, 400))
        near(params["out"]["W"], variance(200, 400))
        conv = draw(CONV, CONV_SHAPE, 1)
        near(conv["conv"]["K"], variance(60 * 6, 40 * 6))
        near(conv["one"]["K"], variance(50 * 4, 60 * 4))


def test_orthogonal_weights_have_one_singular_value():
    for params, keys in (
        (orthogonal(NET, SHAPE, 2, gain=1.5), [("first", "W"), ("out", "W")]),
        (orthogonal(CONV, CONV_SHAPE, 2, gain=1.5), [("conv", "K"), ("one", "K")]),
    ):
        for name, key in keys:
            W = params[name][key]
            values = np.linalg.svd(W.reshape(len(W), -1), compute_uv=False)
            np.testing.assert_allclose(values, 1.5)


def test_orthogonal_weights_that_narrow_keep_a_share_of_the_squared_length():
    network, x = Network(out=layers.Affine(20)), np.random.default_rng(0).normal(size=(2000, 80))
    y = network(orthogonal(network, x.shape, 1), x)
    assert np.sum(y**2) / np.sum(x**2) == pytest.approx(20 / 80, rel=0.02)


def test_orthogonal_weights_are_uniform():
    """Without the signs the first entry would always have one sign."""
    network = Network(out=layers.Affine(2))
    firsts = [orthogonal(network, (1, 2), seed)["out"]["W"][0, 0] for seed in range(300)]
    assert abs(np.mean(np.sign(firsts))) < 0.2


@pytest.mark.parametrize("draw", [xavier, he, orthogonal])
def test_all_else_is_as_the_network_makes_it_and_the_seed_decides(draw):
    one, same, other = (draw(NET, SHAPE, seed) for seed in (3, np.random.default_rng(3), 4))
    assert all(np.array_equal(a, b) for a, b in zip(leaves(one), leaves(same), strict=True))
    assert not np.array_equal(one["out"]["W"], other["out"]["W"])
    np.testing.assert_array_equal(one["block"]["norm"]["scale"], 1.0)
    assert not np.any(one["first"]["b"])
    assert NET(one, np.ones(SHAPE)).shape == (2, 200)


def test_lsuv_makes_every_output_vary_by_one():
    X = np.random.default_rng(0).normal(size=(300, 40, 5, 6))
    params = orthogonal(CONV, CONV_SHAPE, 0, gain=4.0)
    before = [leaf.copy() for leaf in leaves(params)]
    scaled = lsuv(CONV, params, X, tolerance=1e-6)
    outputs = CONV.outputs(scaled, X)
    for name in ("conv", "one"):
        assert np.var(outputs[name]) == pytest.approx(1, abs=1e-6)
    assert all(map(np.array_equal, before, leaves(params)))
    ratio = scaled["conv"]["K"] / params["conv"]["K"]
    np.testing.assert_allclose(ratio, ratio.flat[0])


def test_lsuv_in_a_network_in_a_network():
    network = Network(inner=Network(a=layers.Affine(30), bend=layers.Tanh()), out=layers.Affine(5))
    X = np.random.default_rng(1).normal(size=(500, 10))
    params = lsuv(network, network.initial(X.shape), X, tolerance=0.01)
    assert np.var(network(params, X)) == pytest.approx(1, abs=0.011)
    assert np.var(layers.Affine()(params["inner"]["a"], X)) == pytest.approx(1, abs=0.011)


def test_lsuv_inside_residuals():
    """What a residual goes around is scaled; the way around it adds to that."""
    block = Network(bend=layers.Tanh(), affine=layers.Affine(10))
    network = Network(alone=layers.Residual(layers.Affine(10)), block=layers.Residual(block))
    X = np.random.default_rng(2).normal(size=(400, 10))
    params = lsuv(network, orthogonal(network, X.shape, gain=5.0), X, tolerance=1e-9)
    after = network.outputs(params, X)
    assert np.var(after["alone"] - X) == pytest.approx(1, abs=1e-8)
    assert np.var(after["block"] - after["alone"]) == pytest.approx(1, abs=1e-8)


def test_lsuv_goes_into_residuals():
    inner = Network(bend=layers.Tanh(), last=layers.Affine(20))
    network = Network(first=layers.Affine(20), block=layers.Residual(inner), out=layers.Affine(5))
    X = np.random.default_rng(1).normal(size=(500, 10))
    params = lsuv(network, orthogonal(network, X.shape, gain=3.0), X, tolerance=1e-6)
    first = layers.Affine()(params["first"], X)
    for y in (first, layers.Affine()(params["block"]["last"], np.tanh(first)), network(params, X)):
        assert np.var(y) == pytest.approx(1, abs=1e-5)


def test_lsuv_with_biases_comes_near_or_says_that_it_cannot():
    network, X = Network(out=layers.Affine(50)), np.random.default_rng(1).normal(size=(500, 10))
    params = network.initial(X.shape)
    params["out"]["b"] = np.random.default_rng(2).normal(size=50)
    scaled = lsuv(network, {"out": {**params["out"], "b": 0.5 * params["out"]["b"]}}, X, most=50)
    assert np.var(network(scaled, X)) == pytest.approx(1, abs=0.05)
    params["out"]["b"] *= 2
    with pytest.raises(
        InvalidInput, match=r"params: got outputs of layer 'out' with variance 3\.\d+, after it was scaled"
    ):
        lsuv(network, params, X)


def test_lsuv_behind_a_relu_that_is_dead_is_an_error():
    network = Network(gate=layers.ReLU(), inner=Network(out=layers.Affine(5)))
    X = -np.abs(np.random.default_rng(1).normal(size=(20, 4)))
    with pytest.raises(InvalidInput, match=r"X: got outputs of layer 'inner/out' with variance 0"):
        lsuv(network, network.initial(X.shape), X)


def test_layers_without_such_weights_begin_as_usual():
    network = Network(
        table=layers.Embedding(9, 6),
        mix=layers.MultiHeadAttention(2),
        cell=layers.GatedRecurrent(4),
        out=layers.Affine(3),
    )
    usual = network.initial((2, 5), 7)
    for draw in (xavier, he, orthogonal):
        params = draw(network, (2, 5), 7)
        for name in ("table", "mix", "cell"):
            for key, array in params[name].items():
                np.testing.assert_array_equal(array, usual[name][key])
        assert not np.array_equal(params["out"]["W"], usual["out"]["W"])
        assert network(params, np.zeros((2, 5), int)).shape == (2, 5, 3)


@pytest.mark.parametrize("draw", [xavier, he, orthogonal])
def test_what_is_no_network_or_no_seed(draw):
    with pytest.raises(InvalidInput, match="network: got None; wanted a network"):
        draw(None, SHAPE)
    for seed in (-1, 1.5, "a", True):
        with pytest.raises(InvalidInput, match=r"rng: got .*; wanted a Generator, or a seed"):
            draw(NET, SHAPE, seed)


def test_bad_input():
    with pytest.raises(InvalidInput, match=r"tolerance: got 0"):
        lsuv(NET, orthogonal(NET, SHAPE), np.ones(SHAPE), tolerance=0)
    with pytest.raises(InvalidInput, match=r"most: got 0"):
        lsuv(NET, orthogonal(NET, SHAPE), np.ones(SHAPE), most=0)
    assert orthogonal(NET, SHAPE, gain=np.float32(2.0))["out"]["W"].shape == (200, 400)
    with pytest.raises(InvalidInput, match=r"gain: got 0; wanted a positive number"):
        orthogonal(NET, SHAPE, gain=0)
    network = Network(out=layers.Affine(5))
    with pytest.raises(InvalidInput, match=r"X: got outputs of layer 'out' with variance 0"):
        lsuv(network, network.initial((2, 3)), np.zeros((4, 3)))
