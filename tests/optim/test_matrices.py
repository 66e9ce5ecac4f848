"""Muon, Shampoo and SOAP.

Which oracle defines which variant:

=========  ==========================================================================================================
Muon       torch.optim.Muon 2.13 with its one cast to bfloat16 made one to float64 (stored), and K. Jordan's post in
           mpmath. Optax's is another: it divides M by 1 - betaᵗ before it looks ahead, and W's axes are swapped in s.
Shampoo    pytorch_optimizer 4.1 (stored), and algorithm 1 of Gupta, Koren and Singer (2018) in mpmath
SOAP       pytorch_optimizer 4.1 with its QR factors in float64 (stored), and algorithms 3 and 4 of Vyas et al. (2024)
           in mpmath, with the bias correction, the order of columns and the first step of the authors' program
=========  ==========================================================================================================

Stored: matrix_trajectories.json, a thousand steps, which make_matrix_trajectories.py writes.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from matrix_paper import trajectory
from matrix_problems import SETTINGS, SHAPES, STEPS, STORED, gradient, start

import mathdl as md
from mathdl import optim
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.optim import SOAP, AdamW, Chain, Clip, Muon, Shampoo, Split, as_map, orthogonalised

TOLERANCE = 1e-12
FILE = json.loads(Path(__file__).with_name("matrix_trajectories.json").read_text(encoding="utf-8"))
ALL = {"Muon": Muon, "Shampoo": Shampoo, "SOAP": SOAP}
RUNS = [(name, shape) for name in SETTINGS for shape in SHAPES]


def made(name):
    return ALL[name.split(",")[0]](**SETTINGS[name])


def points(optimizer, W, gradients, state=None):
    """The weights after each step, and the last state."""
    state, found = optimizer.initial(W) if state is None else state, []
    for G in gradients:
        step, state = optimizer.update(G, state, W)
        W = W + step
        found.append(W)
    return found, state


def near(ours, theirs, tolerance=TOLERANCE):
    assert np.shape(ours) == np.shape(theirs)
    assert np.max(np.abs(ours - np.array(theirs))) <= tolerance * np.max(np.abs(theirs))


# ------------------------------------------------------------------------------------------------------------- oracles
@pytest.mark.parametrize(("name", "shape"), RUNS)
def test_a_thousand_steps_are_those_of_another_program(name, shape):
    found, state = points(made(name), start(SHAPES[shape]), (gradient(k, SHAPES[shape]) for k in range(STEPS)))
    assert state["step"] == STEPS
    for k, theirs in zip(STORED, FILE[f"{name} / {shape}"], strict=True):
        near(found[k - 1], theirs)


@pytest.mark.parametrize(("name", "shape"), RUNS)
def test_the_steps_are_those_of_the_paper(name, shape):
    count, shape = 40, SHAPES[shape]
    theirs = trajectory(name.split(",")[0], SETTINGS[name], start(shape), lambda k: gradient(k, shape), count)
    found, _ = points(made(name), start(shape), (gradient(k, shape) for k in range(count)))
    for one, other in zip(found, theirs, strict=True):
        near(one, other)


def test_the_defaults_are_those_of_the_authors():
    muon = "rate=0.02, beta=0.95, weight_decay=0.0, steps=5, nesterov=True, scale='original'"
    soap = "rate=0.003, beta1=0.95, beta2=0.95, epsilon=1e-08, every=10"
    assert [repr(kind()) for kind in ALL.values()] == [
        f"Muon({muon})",
        "Shampoo(rate=0.1, epsilon=0.0001)",
        f"SOAP({soap})",
    ]


# ---------------------------------------------------------------------------------------------------- orthogonalisation
def polynomial(x, steps):
    for _ in range(steps):
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    return x


@pytest.mark.parametrize("shape", [(3, 3), (5, 2), (2, 5), (1, 4), (4, 1)])
@pytest.mark.parametrize("steps", [1, 5])
def test_the_singular_values_go_through_the_polynomial_and_the_vectors_stay(shape, steps):
    G = np.random.default_rng(3).normal(size=shape)
    U, sizes, V = np.linalg.svd(G, full_matrices=False)
    near(orthogonalised(G, steps), U @ np.diag(polynomial(sizes / np.linalg.norm(G), steps)) @ V)


def test_five_steps_bring_singular_values_near_one():
    G = np.diag(np.geomspace(5e-3, 1.0, 8))
    sizes = np.linalg.svd(orthogonalised(G), compute_uv=False)
    assert 0.65 < sizes.min() < 0.75
    assert 1.1 < sizes.max() < 1.21


def test_only_the_direction_of_a_matrix_counts_unless_it_is_nearly_zero():
    G = np.random.default_rng(3).normal(size=(3, 4))
    G = G / np.linalg.norm(G)
    for scale in (1e-6, 3.0, 1e200):
        near(orthogonalised(scale * G), orthogonalised(G), 1e-12)
    near(orthogonalised(1e-9 * G), polynomial_of(1e-2 * G), 1e-9)  # divided by 1e-7, not by the norm
    assert not orthogonalised(np.zeros((2, 3))).any()
    near(orthogonalised(G.tolist()), orthogonalised(G), 0.0)


def test_near_zero_it_is_a_multiple_also_for_its_derivative():
    J = md.jacobian(orthogonalised)(1e-16 * np.random.default_rng(3).normal(size=(2, 3)))
    near(J.reshape(6, 6), 3.4445**5 / 1e-7 * np.eye(6))


def polynomial_of(X):
    U, sizes, V = np.linalg.svd(X, full_matrices=False)
    return U @ np.diag(polynomial(sizes, 5)) @ V


# ----------------------------------------------------------------------------------------------------------- properties
@pytest.mark.parametrize(("name", "shape"), [("Muon", (4, 3)), ("Shampoo", (4, 3)), ("SOAP", (3, 3))])
def test_rotated_gradients_make_rotated_steps(name, shape):
    rng = np.random.default_rng(5)
    U, V = (np.linalg.qr(rng.normal(size=(size, size)))[0] for size in shape)
    straight, _ = points(ALL[name](), np.zeros(shape), (gradient(k, shape) for k in range(25)))
    rotated, _ = points(ALL[name](), np.zeros(shape), (U @ gradient(k, shape) @ V for k in range(25)))
    near(rotated[-1], U @ straight[-1] @ V, 1e-11)


def test_of_a_single_number_shampoo_is_adagrad_with_epsilon_inside_the_root():
    gradients = [np.array([[g]]) for g in (2.0, -1.0, 0.5)]
    found, _ = points(Shampoo(rate=0.5, epsilon=0.1), np.zeros((1, 1)), gradients)
    near(found[-1], [[-0.5 * (2 / 4.1**0.5 - 1 / 5.1**0.5 + 0.5 / 5.35**0.5)]])


def test_what_rounding_makes_negative_in_shampoo_counts_as_zero():
    u, v = np.array([[0.6], [0.0], [0.8]]), np.array([[1 / 3, 2 / 3, 2 / 3]])
    G = 1e6 * u @ v + 1e-12 * np.random.default_rng(0).normal(size=(3, 3))
    found, _ = points(Shampoo(rate=1.0, epsilon=1e-6), np.zeros((3, 3)), [G])
    near(found[-1], -u @ v, 1e-6)


def test_epsilon_is_read_in_each_step_and_keeps_what_was_gathered():
    shampoo, W = Shampoo(rate=1.0, epsilon=0.1), np.zeros((1, 1))
    _, state = points(shampoo, W, [np.array([[2.0]])])
    shampoo.epsilon, shampoo.rate = 5.0, 0.5
    found, _ = points(shampoo, W, [np.array([[4.0]])], state)
    near(found[-1], [[-0.5 * 4 / 25**0.5]])


def test_soap_makes_no_step_of_the_first_gradient_and_is_adam_where_the_basis_is_straight():
    soap, W = SOAP(rate=0.1, beta1=0.5, beta2=0.75, epsilon=1e-300, every=100), np.zeros((2, 2))
    first, then = np.diag([3.0, 1.0]), [np.diag([1.0, 4.0]), np.diag([2.0, -1.0])]
    found, _ = points(soap, W, [first, *then])
    assert not found[0].any()
    adam, _ = points(optim.Adam(rate=0.1, beta1=0.5, beta2=0.75, epsilon=0.0), np.zeros(2), map(np.diag, then))
    near(np.diag(found[-1]), adam[-1])


def test_soaps_bases_come_to_the_eigenvectors():
    rng = np.random.default_rng(0)
    U, V = np.linalg.qr(rng.normal(size=(3, 3)))[0], np.linalg.qr(rng.normal(size=(3, 3)))[0]
    G = U @ np.diag([5.0, 2.0, 1.0]) @ V.T
    first = rng.normal(size=(3, 3))
    _, state = points(SOAP(beta2=0.6), np.zeros((3, 3)), [first])
    near(state["L"], 0.4 * first @ first.T)
    near(state["R"], 0.4 * first.T @ first)
    for basis, S in (("Q_L", first @ first.T), ("Q_R", first.T @ first)):
        sizes = state[basis].T @ S @ state[basis]
        near(sizes, np.diag(np.linalg.svd(first, compute_uv=False) ** 2))  # the largest first
    _, state = points(SOAP(every=1, beta2=0.6), np.zeros((3, 3)), [first] + 80 * [G])
    for basis, true in (("Q_L", U), ("Q_R", V)):
        np.testing.assert_allclose(np.abs(state[basis].T @ true), np.eye(3), atol=1e-9)
    near(state["L"], G @ G.T, 1e-9)
    near(state["R"], G.T @ G, 1e-9)


@pytest.mark.parametrize(("scale", "factor"), [("original", 2.0), ("match_rms_adamw", 0.8), ("none", 1.0)])
def test_muons_steps_are_scaled(scale, factor):
    G = np.random.default_rng(0).normal(size=(16, 4))
    step, _ = Muon(rate=0.5, scale=scale).update(G, Muon().initial(G), G)
    near(step, -0.5 * factor * orthogonalised(G))
    wide, _ = Muon(rate=0.5, scale=scale).update(G.T, Muon().initial(G.T), G.T)
    near(wide, -0.5 * (1.0 if scale == "original" else factor) * orthogonalised(G.T))


# ------------------------------------------------------------------------------------------- trees, states, derivatives
TREE = {"a": start((3, 3)), "b": [start((5, 2)), (start((2, 4)),)]}


def gradients(k):
    return mapped(lambda W: gradient(k, W.shape), TREE)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_matrix_of_a_tree_is_treated_by_itself(name):
    optimizer, params = made(name), TREE
    state = optimizer.initial(params)
    for k in range(9):
        step, state = optimizer.update(gradients(k), state, params)
        params = mapped(np.add, params, step)
    assert type(params["b"][1]) is tuple
    for W, begin in zip(leaves(params), leaves(TREE), strict=True):
        alone, _ = points(made(name), begin, (gradient(k, begin.shape) for k in range(9)))
        np.testing.assert_array_equal(W, alone[-1])


@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_written_into_and_a_saved_state_goes_on_bit_for_bit(name, tmp_path):
    optimizer, params, G = made(name), TREE, gradients(0)
    states = [optimizer.initial(params)]
    for k in range(8):
        states.append(optimizer.update(gradients(k), states[-1], params)[1])
    optim.save(tmp_path / "state.npz", states[-1])
    for leaf in [*leaves(states[-1]), *leaves(params), *leaves(G)]:
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    straight = optimizer.update(G, states[-1], params)
    loaded = optimizer.update(G, optim.load(tmp_path / "state.npz"), params)
    for one, other in zip(leaves(straight), leaves(loaded), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()
    assert all(leaf.flags.c_contiguous for leaf in leaves(straight) if isinstance(leaf, np.ndarray))


@pytest.mark.parametrize("name", SETTINGS)
def test_float32_stays_float32(name):
    optimizer, W = made(name), start((3, 2)).astype(np.float32)
    state = optimizer.initial(W)
    for _ in range(3):
        step, state = optimizer.update(W, state, W)
        assert {leaf.dtype for leaf in [step, *leaves(state)] if isinstance(leaf, np.ndarray)} == {np.dtype("float32")}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_rate_may_be_a_schedule(name):
    settings = SETTINGS[name] | {"rate": lambda k: 0.1 if k == 3 else 0.0}
    found, _ = points(ALL[name.split(",")[0]](**settings), start((3, 3)), (gradient(k, (3, 3)) for k in range(6)))
    moved = [bool(np.any(one != other)) for one, other in zip([start((3, 3)), *found], found, strict=False)]
    assert moved == [False, False, False, True, False, False]


@pytest.mark.parametrize("name", SETTINGS)
def test_the_update_has_a_jacobian(name):
    W, optimizer = start((3, 2)), made(name)
    _, state = points(optimizer, W, (gradient(k, (3, 2)) for k in range(3)))
    if name.endswith("each step"):
        optimizer.every = 100  # QR factors are not differentiated
    f, z = as_map(optimizer, lambda W: W**3 + W, W, state)
    near(md.jacobian(f)(z), md.numeric.jacobian(f, z).value, 1e-6)
    if not name.endswith("each step"):
        near(md.compile(f, z)(2 * z), f(2 * z))


def test_in_a_network_they_get_the_matrices_and_another_gets_the_rest():
    params = {"W": start((3, 2)), "b": np.ones(3)}
    for name, kind in ALL.items():
        split = Split(matrices=kind(), others=AdamW())
        state = split.initial(params)
        for k in range(2):
            step, state = split.update({"W": gradient(k, (3, 2)), "b": np.ones(3)}, state, params)
        alone, _ = points(kind(), params["W"], (gradient(k, (3, 2)) for k in range(2)))
        one, _ = points(kind(), params["W"], [gradient(0, (3, 2))])
        assert step["W"].shape == (3, 2), name
        assert step["b"].any()
        assert np.any(alone[1] != one[0])


@pytest.mark.parametrize("name", ALL)
def test_there_may_be_no_matrix_at_all(name):
    optimizer = ALL[name]()
    step, state = optimizer.update([], optimizer.initial([]), [])
    assert step == []
    assert state == {"step": 1, **{moment: [] for moment in optimizer.moments}}
    assert optimizer.update([], state, [])[1]["step"] == 2


def test_a_chain_may_clip_in_front():
    chain, G = Chain(Clip(1.0), Shampoo(rate=1.0, epsilon=1.0)), 100 * start((3, 3))
    step, _ = chain.update(G, chain.initial(G), G)
    short = G / np.linalg.norm(G)
    near(step, Shampoo(rate=1.0, epsilon=1.0).update(short, Shampoo().initial(G), G)[0])


# ------------------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize("name", ALL)
def test_what_is_no_matrix_is_refused_by_name(name):
    advice = rf"params\['b'\]: got shape \(3,\); wanted a matrix.*Split\(matrices={name}\(\), others=AdamW\(\)\)"
    for params in ({"W": np.ones((2, 2)), "b": np.ones(3)}, {"b": np.ones(3)}):
        with pytest.raises(InvalidInput, match=advice):
            ALL[name]().initial(params)
    with pytest.raises(InvalidInput, match=r"params: got shape \(2, 2, 2\)"):
        ALL[name]().initial(np.ones((2, 2, 2)))
    with pytest.raises(InvalidInput, match=r"params: got shape \(0, 2\)"):
        ALL[name]().initial(np.ones((0, 2)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_is_refused_and_the_state_stays(name, bad):
    optimizer, params = ALL[name](), {"a": np.ones((2, 2)), "b": [np.ones((2, 3))]}
    _, state = optimizer.update(params, optimizer.initial(params), params)
    before = mapped(np.copy, state)
    wrong = {"a": np.ones((2, 2)), "b": [np.ones((2, 3))]}
    wrong["b"][0][1, 2] = bad
    with pytest.raises(InvalidInput, match=r"gradient\['b'\]\[0\]: got -?(nan|inf) at \(1, 2\)"):
        optimizer.update(wrong, state, params)
    for one, other in zip(leaves(before), leaves(state), strict=True):
        np.testing.assert_array_equal(one, other)
    with (
        pytest.raises(InvalidInput, match=r"gradient\['b'\]\[0\]: got numbers whose squares overflow"),
        np.errstate(over="ignore"),
    ):
        optimizer.update({"a": np.ones((2, 2)), "b": [np.full((2, 3), 1e200)]}, state, params)


@pytest.mark.parametrize("name", ALL)
def test_trees_types_and_states_that_do_not_fit_are_refused(name):
    optimizer, W = ALL[name](), {"W": np.ones((2, 3))}
    state = optimizer.initial(W)
    wrong = [
        ({"V": W["W"]}, state, W, "gradient: got the keys"),
        ({"W": np.ones((3, 2))}, state, W, r"gradient\['W'\]: got an array of float64 with shape \(3, 2\)"),
        ({"W": np.ones((2, 3), np.float32)}, state, W, r"gradient\['W'\]: got an array of float32"),
        (W, {"step": 0}, W, "state: got the keys"),
        (W, None, W, "state: got None"),
        (W, optimizer.initial({"W": np.ones((3, 3))}), W, r"state\['[ML]'\]\['W'\]: got an array of float64"),
        (W, optimizer.initial({"W": np.ones((2, 3), np.float32)}), W, r"state\['[ML]'\]\['W'\]: got .* float32"),
        (W, optimizer.initial(W["W"]), W, r"state\['[ML]'\]: got an array"),
    ]
    for gradient_, state_, params, message in wrong:
        with pytest.raises(InvalidInput, match=message):
            optimizer.update(gradient_, state_, params)


@pytest.mark.parametrize(
    ("kind", "name", "value", "wanted"),
    [(kind, "rate", bad, "a number, at least 0") for kind in ALL.values() for bad in (-0.1, np.nan, np.inf, "1", True)]
    + [(Muon, "beta", bad, "less than 1") for bad in (1.0, -0.1)]
    + [(Muon, "weight_decay", -0.1, "at least 0")]
    + [(Muon, "steps", bad, "an integer, at least 1") for bad in (0, 2.0, True)]
    + [(Muon, "nesterov", bad, "one of True, False") for bad in (1, None)]
    + [(Muon, "scale", bad, "one of 'original', 'match_rms_adamw', 'none'") for bad in ("adam", None, 1)]
    + [(Shampoo, "epsilon", bad, "a number, positive") for bad in (0.0, -1.0)]
    + [(SOAP, "beta1", 1.0, "less than 1"), (SOAP, "beta2", -0.5, "at least 0"), (SOAP, "epsilon", 0.0, "positive")]
    + [(SOAP, "every", bad, "an integer, at least 1") for bad in (0, 1.5)],
)
def test_settings_out_of_range_are_refused_when_they_are_set(kind, name, value, wanted):
    with pytest.raises(InvalidInput, match=rf"{name}: got .*{wanted}"):
        kind(**{name: value})
    optimizer = kind()
    with pytest.raises(InvalidInput, match=rf"{name}: got .*{wanted}"):
        setattr(optimizer, name, value)
    assert optimizer == kind()


def test_what_is_no_matrix_cannot_be_orthogonalised():
    with pytest.raises(InvalidInput, match=r"G: got an array of float64 with shape \(3,\)"):
        orthogonalised(np.ones(3))
    with pytest.raises(InvalidInput, match="steps: got 0"):
        orthogonalised(np.ones((2, 2)), steps=0)
