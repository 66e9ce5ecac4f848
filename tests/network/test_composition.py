"""Networks of every form: one pass backward, the products and the dense Jacobian all agree with the engine."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from nets import NETS, inputs, random_params

import mathdl as md
from mathdl import layers
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.network import Network

every_net = pytest.mark.parametrize("name", NETS)


def at_a_point(name, seed=0):
    network, shape = NETS[name]
    return network, random_params(network, shape, seed), inputs(name, seed)


def close(found, expected, tolerance=1e-10):
    assert found.keys() == expected.keys() if isinstance(found, dict) else True
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), found, expected)


def place(tree, path):
    for key in path.split("/"):
        tree = tree[key]
    return tree


# ------------------------------------------------------------------------------------------------------ values and ways
def test_layers_are_applied_in_their_order():
    network = Network(first=layers.Affine(), second=layers.ReLU())
    params = {"first": {"W": np.array([[2.0]]), "b": np.array([-1.0])}}
    np.testing.assert_array_equal(network(params, np.array([[3.0], [-3.0]])), [[5.0], [0.0]])
    outputs = network.outputs(params, np.array([[3.0], [-3.0]]))
    np.testing.assert_array_equal(outputs["first"], [[5.0], [-7.0]])
    np.testing.assert_array_equal(outputs["second"], [[5.0], [0.0]])
    assert list(outputs) == ["first", "second"]


@every_net
def test_vjp_is_that_of_the_engine(name):
    network, params, x = at_a_point(name)
    y, saved = network.forward(params, x)
    g = np.random.default_rng(1).normal(size=y.shape)
    gparams, gx = network.vjp(params, saved, g)
    if params:
        _, pull = md.vjp(lambda params: network(params, x), params)
        close(gparams, pull(g))
    if x.dtype.kind == "f":
        _, pull = md.vjp(lambda x: network(params, x), x)
        close(gx, pull(g))
    else:
        assert gx is None
    again = network.vjp(params, saved, g)
    close(again[0], gparams, 0.0)  # nothing was used up


@every_net
def test_jvp_is_that_of_the_engine(name):
    network, params, x = at_a_point(name)
    _, saved = network.forward(params, x)
    rng = np.random.default_rng(2)
    dparams = mapped(lambda p: rng.normal(size=p.shape), params)
    if x.dtype.kind == "f":
        dx = rng.normal(size=x.shape)
        _, expected = md.jvp(lambda params, x: network(params, x), (params, x), (dparams, dx))
    else:
        dx = None
        _, expected = md.jvp(lambda params: network(params, x), (params,), (dparams,))
    close(network.jvp(params, saved, dx, dparams), expected)
    some = dict(list(dparams.items())[:1])  # the others stand still
    rest = mapped(np.zeros_like, {key: part for key, part in dparams.items() if key not in some})
    close(network.jvp(params, saved, dx, some), network.jvp(params, saved, dx, {**some, **rest}))


@every_net
def test_the_dense_jacobian_is_that_of_the_engine_by_everything(name):
    network, params, x = at_a_point(name)
    if x.dtype.kind == "f":
        close(network.jacobian(params, x), md.jacobian(lambda x: network(params, x))(x))
    for path in network.paths:

        def moved(value, path=path):
            def changed(tree, way):
                return {**tree, way[0]: changed(tree[way[0]], way[1:])} if way else value

            return network(changed(params, path.split("/")), x)

        close(network.jacobian(params, x, path), md.jacobian(moved)(place(params, path)))
    assert len(network.paths) == len(leaves(params))


@every_net
def test_one_pass_backward_is_the_gradient_of_the_engine_and_of_differences(name):
    network, params, x = at_a_point(name)
    y = network(params, x)
    targets = np.random.default_rng(3).normal(size=y.shape)
    loss = layers.MeanSquaredError()
    value, gradient = network.value_and_grad(params, x, targets, loss)
    assert value == loss(y, targets)
    if not params:
        assert gradient == {}
        return
    close(gradient, md.grad(lambda params: loss(network(params, x), targets))(params))
    vector, unflatten = md.flatten(params)
    direction = np.random.default_rng(4).normal(size=vector.shape)

    def along(t):
        return loss(network(unflatten(vector + t * direction), x), targets)

    slope = (along(1e-5) - along(-1e-5)) / 2e-5
    np.testing.assert_allclose(md.flatten(gradient)[0] @ direction, slope, rtol=1e-6, atol=1e-9)


def test_labels_and_cross_entropy():
    network, params, x = at_a_point("mlp")
    labels = np.array([0, 2, 1, 1])
    value, gradient = network.value_and_grad(params, x, labels, layers.CrossEntropy())
    expected, found = md.value_and_grad(lambda params: layers.CrossEntropy()(network(params, x), labels))(params)
    np.testing.assert_allclose(value, expected)
    close(gradient, found)


def test_the_gradient_has_the_mean_of_the_batch():
    """Each example counts 1/N: twice the batch twice over has the same gradient."""
    network, params, x = at_a_point("mlp")
    labels = np.array([0, 2, 1, 1])
    once = network.value_and_grad(params, x, labels, layers.CrossEntropy())
    twice = network.value_and_grad(params, np.tile(x, (2, 1)), np.tile(labels, 2), layers.CrossEntropy())
    np.testing.assert_allclose(once[0], twice[0])
    close(once[1], twice[1])


def test_single_precision_stays_single():
    network, params, x = at_a_point("convolution")
    params = mapped(lambda p: p.astype(np.float32), params)
    y, saved = network.forward(params, x.astype(np.float32))
    gparams, gx = network.vjp(params, saved, np.ones_like(y))
    assert {y.dtype, gx.dtype, *(g.dtype for g in leaves(gparams))} == {np.dtype(np.float32)}


def test_what_was_kept_is_free_as_soon_as_it_was_needed():
    """Backward, a layer finds what the layers after it kept gone."""
    seen = []

    class Watched(layers.Tanh):
        def value(self, params, x):
            y, kept = super().value(params, x)
            seen.append(weakref.ref(y))
            return y, kept

    class First(layers.Affine):
        def pull_parameters(self, params, kept, g):
            gc.collect()
            assert [reference() is None for reference in seen] == [True, True]
            return super().pull_parameters(params, kept, g)

    network = Network(first=First(3), a=Watched(), b=Watched(), out=layers.Affine(2))
    params = network.initial((2, 3))
    seen.clear()
    network.value_and_grad(params, np.ones((2, 3)), np.array([0, 1]), layers.CrossEntropy())
    assert len(seen) == 2


def test_the_first_layer_is_not_asked_for_the_cotangent_of_the_data():
    class First(layers.Affine):
        def pull(self, params, kept, g):
            raise AssertionError

    network = Network(first=First(2))
    network.value_and_grad(network.initial((1, 3)), np.ones((1, 3)), np.array([1]), layers.CrossEntropy())


# ------------------------------------------------------------------------------------- first parameters, and two modes
@every_net
def test_first_parameters_fit_and_come_from_the_seed(name):
    network, shape = NETS[name]
    one, same, other = (network.initial(shape, rng=seed) for seed in (0, np.random.default_rng(0), 1))
    close(one, same, 0.0)
    assert not one or not all(np.array_equal(a, b) for a, b in zip(leaves(one), leaves(other), strict=True))
    assert np.all(np.isfinite(network(one, inputs(name))))
    assert list(one) == list(network.parameters)


def test_evaluation_drops_nothing_and_takes_what_was_measured():
    network = Network(inner=Network(norm=layers.BatchNorm()), drop=layers.Dropout(0.5))
    params, x = network.initial((6, 2)), np.random.default_rng(0).normal(size=(6, 2))
    measured = network.measured_in(network.forward(params, x)[1].kept)
    assert measured.keys() == {"inner"}
    np.testing.assert_allclose(measured["inner"]["norm"][0], x.mean(axis=0))
    np.testing.assert_allclose(measured["inner"]["norm"][1], x.var(axis=0, ddof=1))
    y = network.evaluating(measured)(params, x)
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0, ddof=1) + 1e-5), rtol=1e-12)
    assert network.evaluating().measured_in(network.evaluating().forward(params, x)[1].kept) is not None
    masks = [network.redrawn(np.random.default_rng(seed))(params, x) == 0 for seed in (0, 0, 1)]
    assert np.array_equal(masks[0], masks[1])
    assert not np.array_equal(masks[0], masks[2])


# ----------------------------------------------------------------------------------------------------------- bad input
MLP, MLP_SHAPE = NETS["mlp"]
PARAMS = MLP.initial(MLP_SHAPE)
X = np.ones(MLP_SHAPE)
BAD = {
    "nothing": (lambda: Network(), r"layers: got none; wanted at least one"),
    "no layer": (lambda: Network(hidden=np.tanh), r"hidden: got the function tanh; wanted a layer"),
    "a slash": (lambda: Network(**{"a/b": layers.Tanh()}), r"a/b: got a name with a slash"),
    "many inputs": (
        lambda: Network(first=layers.Tanh(), look=layers.Attention()),
        r"look: got a layer with the inputs Q, K, V; wanted one input",
    ),
    "between layers": (
        lambda: MLP({**PARAMS, "out": {"W": np.ones((3, 4)), "b": np.zeros(3)}}, X),
        r"layer 'out' \(Affine, after 'gate'\): x: got shape \(4, 5\); wanted shape \(\.\.\., 4\), since W",
    ),
    "the data": (
        lambda: MLP(PARAMS, np.ones((4, 7))),
        r"layer 'hidden' \(Affine\): x: got shape \(4, 7\); wanted shape \(\.\.\., 6\)",
    ),
    "when initialised": (
        lambda: Network(a=layers.Affine(3), conv=layers.Conv2d(2, 3)).initial((4, 5)),
        r"layer 'conv' \(Conv2d, after 'a'\): x: got shape \(4, 3\); wanted shape \(N, c, h, w\)",
    ),
    "array for shape": (
        lambda: MLP.initial(X),
        r"shape: got an array of float64 .*wanted a tuple of sizes: write \.shape",
    ),
    "number for shape": (
        lambda: MLP.summary(PARAMS, 4),
        r"shape: got the int 4; wanted a tuple of sizes, such as X\.shape",
    ),
    "rng": (lambda: MLP.initial(MLP_SHAPE, rng=-1), r"rng: got -1; wanted a Generator, or a seed"),
    "in a block": (
        lambda: Network(block=layers.Residual(Network(inner=layers.Affine(3)))).initial((4, 5)),
        r"layer 'block' \(Residual\): layer: got one from shape \(4, 5\) to \(4, 3\)",
    ),
    "integers": (lambda: MLP(PARAMS, np.ones((4, 6), int)), r"x: got an array of int64"),
    "params": (lambda: MLP([], X), r"params: got a list of length 0; wanted a dict with the keys 'hidden', 'out'"),
    "one missing": (lambda: MLP({"hidden": PARAMS["hidden"]}, X), r"params: got the keys \['hidden'\]"),
    "inside": (
        lambda: MLP({**PARAMS, "out": {}}, X),
        r"layer 'out' \(Affine, after 'gate'\): params: got the keys \[\]",
    ),
    "by": (lambda: MLP.jacobian(PARAMS, X, "hidden"), r"by: got 'hidden'; wanted one of 'x', 'hidden/W', 'hidden/b'"),
    "g": (
        lambda: MLP.vjp(PARAMS, MLP.forward(PARAMS, X)[1], np.ones(3)),
        r"g: got shape \(3,\); wanted shape \(4, 3\)",
    ),
    "dx": (lambda: MLP.jvp(PARAMS, MLP.forward(PARAMS, X)[1], np.ones(3)), r"dx: got shape \(3,\); wanted shape"),
    "dparams": (
        lambda: MLP.jvp(PARAMS, MLP.forward(PARAMS, X)[1], X, {"gate": {}}),
        r"dparams\['gate'\]: got no layer with parameters",
    ),
    "inside dparams": (
        lambda: MLP.jvp(PARAMS, MLP.forward(PARAMS, X)[1], X, {"out": {"W": np.ones(2)}}),
        r"layer 'out' .*: dparams\['W'\]: got shape \(2,\); wanted shape \(3, 5\)",
    ),
    "label": (
        lambda: MLP.value_and_grad(PARAMS, X, np.array([0, 1, 2, 3]), layers.CrossEntropy()),
        r"targets: got 3 at index \(3,\); wanted integers from 0 to 2",
    ),
    "empty batch": (
        lambda: MLP.value_and_grad(PARAMS, X[:0], np.zeros(0, int), layers.CrossEntropy()),
        r"x: got an empty batch, shape \(0, 3\)",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_bad_input_gets_an_error_that_names_it(bad):
    wrong, message = BAD[bad]
    with pytest.raises(InvalidInput, match=message):
        wrong()


def test_a_batch_of_one_and_an_empty_batch_pass_through():
    assert MLP(PARAMS, X[:1]).shape == (1, 3)
    y, saved = MLP.forward(PARAMS, X[:0])
    assert y.shape == (0, 3)
    gparams, gx = MLP.vjp(PARAMS, saved, y)
    assert gx.shape == (0, 6)
    assert all(not np.any(g) for g in leaves(gparams))
    assert MLP.jacobian(PARAMS, X[:0]).shape == (0, 3, 0, 6)
