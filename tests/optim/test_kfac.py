"""K-FAC.

The oracle: Martens and Grosse (2015) with the mean over all labels in the place of drawn ones, written out with dense
matrices. The factors come from Jacobians of the engine, the step from one system with the whole Kronecker product.
"""

from __future__ import annotations

import numpy as np
import pytest

import mathdl as md
from mathdl import layers, optim
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.layers import Affine, CrossEntropy, Softplus, Tanh
from mathdl.network import Network
from mathdl.optim import KFAC, NaturalGradient

RNG = np.random.default_rng(0)
NET = Network(hidden=Affine(3), gate=Tanh(), out=Affine(3))
X, LABELS = RNG.normal(size=(6, 2)), np.array([0, 2, 1, 1, 0, 2])
VALUES = RNG.normal(size=(6, 3))
PARAMS = mapped(lambda p: p + 0.3 * RNG.normal(size=p.shape), NET.initial(X.shape))


def near(ours, theirs, tolerance=1e-12):
    assert np.shape(ours) == np.shape(theirs)
    assert np.max(np.abs(ours - theirs)) <= tolerance * np.max(np.abs(theirs))


def near_trees(ours, theirs, tolerance=1e-12):
    for one, other in zip(leaves(ours), leaves(theirs), strict=True):
        near(one, other, tolerance)


def information(z, model):
    if model == "normal":
        return np.eye(len(z))
    p = np.exp(z - z.max()) / np.sum(np.exp(z - z.max()))
    return np.diag(p) - np.outer(p, p)


def factors(params, x, model):
    """A and G of each layer, from the Jacobian of the outputs by what is added to the layers' own outputs."""

    def forward(shifts):
        a = x @ params["hidden"]["W"].T + params["hidden"]["b"] + shifts[0]
        h = np.tanh(a)
        return h @ params["out"]["W"].T + params["out"]["b"] + shifts[1]

    zero = np.zeros((2, 3))
    J, S = md.jacobian(forward)(zero), information(forward(zero), model)
    inputs = (x, np.tanh(x @ params["hidden"]["W"].T + params["hidden"]["b"]))
    A = [np.outer([*a, 1.0], [*a, 1.0]) for a in inputs]
    return A, [J[:, k].T @ S @ J[:, k] for k in range(2)]


def loss(params, batch, targets, model):
    z = np.tanh(batch @ params["hidden"]["W"].T + params["hidden"]["b"]) @ params["out"]["W"].T + params["out"]["b"]
    if model == "normal":
        return 0.5 * np.sum((z - targets) ** 2) / len(z)
    return -np.sum((z - np.log(np.sum(np.exp(z), axis=1, keepdims=True)))[np.arange(len(z)), targets]) / len(z)


def dense_steps(params, batches, *, rate, damping, decay=0.95, beta=0.0, model="categorical"):
    """The parameters after each step, by the formulas alone."""
    A, G = [0.0, 0.0], [0.0, 0.0]
    velocity = [0.0, 0.0]
    for t, (batch, targets) in enumerate(batches, start=1):
        each = [factors(params, x, model) for x in batch]
        share = min(decay, 1 - 1 / t)
        A = [share * A[k] + (1 - share) * np.mean([one[0][k] for one in each], axis=0) for k in range(2)]
        G = [share * G[k] + (1 - share) * np.mean([one[1][k] for one in each], axis=0) for k in range(2)]
        gradient = md.grad(lambda p, b=batch, t=targets: loss(p, b, t, model))(params)
        new = {}
        for k, name in enumerate(("hidden", "out")):
            pi = np.sqrt((np.trace(A[k]) / len(A[k])) / (np.trace(G[k]) / len(G[k])))
            right = A[k] + pi * np.sqrt(damping) * np.eye(len(A[k]))
            left = G[k] + np.sqrt(damping) / pi * np.eye(len(G[k]))
            slope = np.column_stack([gradient[name]["W"], gradient[name]["b"]])
            velocity[k] = beta * velocity[k] + np.linalg.solve(np.kron(left, right), slope.ravel()).reshape(slope.shape)
            new[name] = {
                "W": params[name]["W"] - rate * velocity[k][:, :-1],
                "b": params[name]["b"] - rate * velocity[k][:, -1],
            }
        params = new
        yield params


def batch(k, model):
    chosen = np.random.default_rng(k).choice(6, size=4, replace=False)
    return X[chosen], (VALUES if model == "normal" else LABELS)[chosen]


# ------------------------------------------------------------------------------------------------------------- oracles
@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"rate": 0.05, "damping": 0.1}, 1000),
        ({"rate": 0.02, "damping": 0.3, "beta": 0.8, "decay": 0.5}, 150),
        ({"rate": 0.05, "damping": 0.1, "decay": 0.9, "beta": 0.3, "model": "normal"}, 150),
    ],
)
def test_the_steps_are_those_of_the_formulas_with_dense_matrices(settings, steps):
    model = settings.get("model", "categorical")
    kfac, params = KFAC(NET, **settings), PARAMS
    state = kfac.initial(params)
    batches = [batch(k, model) for k in range(steps)]
    for k, theirs in enumerate(dense_steps(PARAMS, batches, **settings)):
        step, state = kfac.update(batches[k], state, params)
        params = mapped(np.add, params, step)
        near_trees(params, theirs)
    assert state["step"] == steps


@pytest.mark.parametrize("model", ["categorical", "normal"])
def test_of_one_example_a_layers_factors_are_its_block_of_the_fisher_information(model):
    kfac = KFAC(NET, model=model)
    targets = (VALUES if model == "normal" else LABELS)[:1]
    _, state = kfac.update((X[:1], targets), kfac.initial(PARAMS), PARAMS)
    for name in ("hidden", "out"):
        own = np.column_stack([PARAMS[name]["W"], PARAMS[name]["b"]])

        def outputs(w, name=name, shape=own.shape):
            w = np.reshape(w, shape)
            return NET({**PARAMS, name: {"W": w[:, :-1], "b": w[:, -1]}}, X[:1])[0]

        J = md.jacobian(outputs)(own.ravel())
        F = J.T @ information(outputs(own.ravel()), model) @ J
        near(np.kron(state["G"][name], state["A"][name]), F)


def test_for_a_layer_of_normal_means_kfac_is_the_natural_gradient():
    net = Network(out=Affine(2))
    params, targets = net.initial(X.shape), VALUES[:, :2]
    kfac, natural = KFAC(net, rate=1.0, damping=1e-20, model="normal"), NaturalGradient(damping=0.0, model="normal")
    one, _ = kfac.update((X, targets), kfac.initial(params), params)
    two, _ = natural.update((lambda p: net(p, X), targets), natural.initial(params), params)
    near_trees(one, two, 1e-8)
    fitted = mapped(np.add, params, one)  # the least squares are found in one step
    wanted = np.linalg.lstsq(np.column_stack([X, np.ones(6)]), targets)[0]
    near(np.column_stack([fitted["out"]["W"], fitted["out"]["b"]]), wanted.T, 1e-8)


def test_the_data_may_come_in_other_coordinates():
    M, shift = np.array([[2.0, 0.3], [-1.0, 0.5]]), np.array([0.7, -2.0])
    moved = X @ M.T + shift
    inverse = np.linalg.inv(M)
    other = {**PARAMS, "hidden": {"W": PARAMS["hidden"]["W"] @ inverse, "b": PARAMS["hidden"]["b"]}}
    other["hidden"]["b"] = other["hidden"]["b"] - other["hidden"]["W"] @ shift
    kfac = KFAC(NET, rate=0.1, damping=1e-18)
    one, two = PARAMS, other
    state, state_of_other = kfac.initial(PARAMS), kfac.initial(PARAMS)
    for _ in range(3):
        step, state = kfac.update((X, LABELS), state, one)
        other_step, state_of_other = kfac.update((moved, LABELS), state_of_other, two)
        one, two = mapped(np.add, one, step), mapped(np.add, two, other_step)
        near(NET(two, moved), NET(one, X), 1e-5)  # G is singular for logits: only the damping makes it invertible


def test_it_trains_a_network_faster_than_gradient_descent():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, 4)) * np.array([3.0, 1.0, 0.3, 0.1])
    labels = (np.abs(rows[:, 1]) + 10 * rows[:, 3] > 0.6).astype(int)
    net = Network(hidden=Affine(8), gate=Softplus(), out=Affine(2))
    params = net.initial(rows.shape)
    kfac = KFAC(net, rate=0.5, damping=1e-2)
    state, found = kfac.initial(params), params
    for _ in range(40):
        step, state = kfac.update((rows, labels), state, found)
        found = mapped(np.add, found, step)
    value = lambda p: CrossEntropy()(net(p, rows), labels)  # noqa: E731
    best = min(optim.minimise(value, params, optim.GradientDescent(rate), 40).values[-1] for rate in (0.1, 0.3, 1.0))
    assert value(found) < 0.5 * best


def test_the_defaults():
    wanted = "rate=0.1, damping=0.01, decay=0.95, beta=0.0, model='categorical')"
    assert repr(KFAC(Network(out=Affine(2)))).endswith(wanted)


# ------------------------------------------------------------------------------------------------- trees, states, types
def test_layers_without_parameters_are_passed_and_the_order_of_keys_does_not_matter():
    net = Network(flat=layers.Reshape((2,)), hidden=Affine(3), gate=Tanh(), out=Affine(3))
    turned = {"out": {key: PARAMS["out"][key] for key in ("b", "W")}, "hidden": PARAMS["hidden"]}
    kfac, plain = KFAC(net), KFAC(NET)
    one, _ = kfac.update((X.reshape(6, 1, 2), LABELS), kfac.initial(turned), turned)
    two, _ = plain.update((X, LABELS), plain.initial(PARAMS), PARAMS)
    mapped(np.testing.assert_array_equal, two, one)


def test_soft_labels_change_the_gradient_and_not_the_factors():
    kfac = KFAC(NET)
    hard, one = kfac.update((X, LABELS), kfac.initial(PARAMS), PARAMS)
    soft, two = kfac.update((X, np.full((6, 3), 1 / 3)), kfac.initial(PARAMS), PARAMS)
    mapped(np.testing.assert_array_equal, one["G"], two["G"])
    assert np.any(hard["out"]["W"] != soft["out"]["W"])


def test_nothing_is_written_into_and_a_saved_state_goes_on_bit_for_bit(tmp_path):
    kfac, params = KFAC(NET, beta=0.5), PARAMS
    state = kfac.initial(params)
    for k in range(3):
        step, state = kfac.update(batch(k, "categorical"), state, params)
        params = mapped(np.add, params, step)
    optim.save(tmp_path / "state", (params, state))
    for leaf in [*leaves(state), *leaves(params)]:
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    straight = kfac.update(batch(9, "categorical"), state, params)
    params, state = optim.load(tmp_path / "state")
    loaded = kfac.update(batch(9, "categorical"), state, params)
    for one, other in zip(leaves(straight), leaves(loaded), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


def test_float32_stays_float32():
    single = mapped(lambda p: p.astype(np.float32), PARAMS)
    for model, targets in (("categorical", LABELS), ("normal", VALUES.astype(np.float32))):
        kfac = KFAC(NET, model=model, beta=0.5)
        step, state = kfac.update((X.astype(np.float32), targets), kfac.initial(single), single)
        kinds = {leaf.dtype for leaf in [*leaves(step), *leaves(state)] if isinstance(leaf, np.ndarray)}
        assert kinds == {np.dtype("float32")}


def test_the_rate_may_be_a_schedule_and_settings_may_change():
    kfac = KFAC(NET, rate=lambda k: 0.5 if k == 1 else 0.0)
    none, state = kfac.update((X, LABELS), kfac.initial(PARAMS), PARAMS)
    assert not any(leaf.any() for leaf in leaves(none))
    step, _ = kfac.update((X, LABELS), state, PARAMS)
    kfac.rate = 1.0
    longer, _ = kfac.update((X, LABELS), state, PARAMS)
    near_trees(mapped(lambda s: 2 * s, step), longer)


def test_a_layer_that_nothing_reaches_does_not_move():
    dead = {"hidden": PARAMS["hidden"], "out": mapped(np.zeros_like, PARAMS["out"])}
    step, _ = KFAC(NET).update((X, LABELS), KFAC(NET).initial(dead), dead)
    assert not step["hidden"]["W"].any()
    assert step["out"]["b"].any() or step["out"]["W"].any()


def test_where_the_model_is_certain_and_wrong_there_is_still_a_step():
    net, x = Network(out=Affine(2)), np.array([[1.0]])
    params = {"out": {"W": np.array([[1e3], [-1e3]]), "b": np.zeros(2)}}
    kfac = KFAC(net, rate=1.0, damping=0.04)
    step, state = kfac.update((x, np.array([1])), kfac.initial(params), params)
    assert not state["G"]["out"].any()
    slope, A = np.array([[1.0, 1.0], [-1.0, -1.0]]), np.ones((2, 2))
    near(np.column_stack([step["out"]["W"], step["out"]["b"]]), -slope @ np.linalg.inv(A + 0.2 * np.eye(2)) / 0.2)


# ------------------------------------------------------------------------------------------------------------ bad input
def test_networks_of_other_layers_are_refused():
    with pytest.raises(InvalidInput, match="network: got the layer 'norm', LayerNorm, with parameters; wanted affine"):
        KFAC(Network(hidden=Affine(3), norm=layers.LayerNorm()))
    with pytest.raises(InvalidInput, match="network: got the function Affine; wanted a Network"):
        KFAC(Affine(3))
    net = Network(hidden=Affine(3), out=Affine(3))
    kfac = KFAC(net)
    params = net.initial((6, 5, 2))
    with pytest.raises(InvalidInput, match=r"X: got outputs of the shape \(6, 5, 3\)"):
        kfac.update((np.ones((6, 5, 2)), LABELS), kfac.initial(params), params)
    deep = Network(hidden=Affine(3), flat=layers.Reshape((15,)), out=Affine(3))
    params = deep.initial((6, 5, 2))
    with pytest.raises(InvalidInput, match=r"X: got an input of layer 'hidden' of the shape \(6, 5, 2\)"):
        KFAC(deep).update((np.ones((6, 5, 2)), LABELS), KFAC(deep).initial(params), params)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused_and_the_state_stays(bad):
    kfac = KFAC(NET)
    _, state = kfac.update((X, LABELS), kfac.initial(PARAMS), PARAMS)
    before = mapped(np.copy, state)
    wrong = X.copy()
    wrong[1, 0] = bad
    with pytest.raises(InvalidInput, match=r"gradient\['(hidden|out)'\]\['[Wb]'\]: got nan at"):
        kfac.update((wrong, LABELS), state, PARAMS)
    mapped(np.testing.assert_array_equal, before, state)


def test_what_does_not_fit_is_refused():
    kfac = KFAC(NET)
    state = kfac.initial(PARAMS)
    other = KFAC(Network(hidden=Affine(4), gate=Tanh(), out=Affine(3)))
    smaller = other.initial(other.network.initial(X.shape))
    wrong = [
        (X, state, PARAMS, r"function: got an array of .*; wanted a batch: a pair \(X, targets\)"),
        ((X, LABELS[:3]), state, PARAMS, "targets"),
        ((X[:, :1], LABELS), state, PARAMS, "x: got shape"),
        ((X, LABELS), state, {"out": PARAMS["out"]}, "params: got the keys"),
        ((X, LABELS), smaller, PARAMS, r"state: got .*; wanted what KFAC.initial\(params\) gives"),
        ((X, LABELS), None, PARAMS, "state: got"),
        ((X, LABELS), {"step": 0}, PARAMS, "state: got"),
        ((X[:0], LABELS[:0]), state, PARAMS, "X: got outputs"),
    ]
    for given, own, params, message in wrong:
        with pytest.raises(InvalidInput, match=message):
            kfac.update(given, own, params)
    with pytest.raises(InvalidInput, match=r"targets: got .*; wanted numbers, shape \(6, 3\)"):
        KFAC(NET, model="normal").update((X, VALUES[:, :2]), state, PARAMS)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("rate", -1.0, "at least 0"),
        ("damping", 0.0, "positive"),
        ("decay", 1.0, "less than 1"),
        ("beta", -0.1, "at least 0"),
        ("model", "gaussian", "one of 'categorical', 'normal'"),
    ],
)
def test_settings_out_of_range_are_refused(name, value, wanted):
    with pytest.raises(InvalidInput, match=rf"{name}: got .*{wanted}"):
        KFAC(NET, **{name: value})
