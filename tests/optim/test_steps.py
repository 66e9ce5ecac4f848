"""One step of each elementwise optimizer, from any state: the paper's, on trees and in place."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from common import ELEMENTWISE, PROPERTY, ULP, copied, made, near, same_bits, tree
from hypothesis import given
from hypothesis import strategies as st
from paper import RULES

import mathdl as md
from mathdl import optim
from mathdl.autodiff.trees import leaves, mapped

NAMES = list(ELEMENTWISE)
SHARES = st.floats(0.0, 0.999).map(lambda x: 0.0 if x < 1e-6 else x)  # nothing that underflows
SETTINGS = {
    "rate": st.floats(1e-6, 10.0), "beta": SHARES, "beta1": SHARES, "beta2": SHARES, "epsilon": st.floats(1e-9, 1.0),
    "weight_decay": SHARES, "momentum_decay": SHARES,
}  # fmt: skip
NUMBERS = st.one_of(st.just(0.0), st.floats(-3.0, 3.0), st.floats(-1e9, 1e9)).map(lambda x: 0.0 if abs(x) < 1e-9 else x)


def state_of(optimizer, params, seed, step=3):
    """A state as it could be after some steps, for an array of parameters."""
    rng, state = np.random.default_rng(seed), optimizer.initial(params)
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            state[name] = rng.normal(size=value.shape)
            if name in ("v", "v_max", "sum"):
                state[name] = np.abs(state[name])
    return state | {"step": step} | ({"product": 0.3} if "product" in state else {})


@pytest.mark.parametrize("in_place", [False, True], ids=["update", "advance"])
@pytest.mark.parametrize("name", NAMES)
@PROPERTY
@given(data=st.data())
def test_a_step_from_any_state_is_the_papers(name, in_place, data):
    """With any settings, which are read anew: they are set after the optimizer was made."""
    optimizer, numbers = made([(name, {})]), {key: data.draw(SETTINGS[key]) for key in ELEMENTWISE[name]}
    for key, value in numbers.items():
        setattr(optimizer, key, value)
    p, g = (np.array(data.draw(st.lists(NUMBERS, min_size=3, max_size=3))) for _ in range(2))
    state = state_of(optimizer, p, data.draw(st.integers(0, 99)), step=data.draw(st.integers(0, 50)))
    with mpmath.workdps(50):
        memory = [{k: mpmath.mpf(float(np.broadcast_to(v, 3)[i])) for k, v in state.items()} for i in range(3)]
        t, exact = state["step"] + 1, {key: mpmath.mpf(value) for key, value in numbers.items()}
        numbers_of = [[mpmath.mpf(float(a)) for a in array] for array in (p, g)]
        after = [RULES[name](t, *each, **exact) for each in zip(*numbers_of, memory, strict=True)]
        moved = [float(a - b) for a, b in zip(after, numbers_of[0], strict=True)]
    if in_place:
        old = p.copy()
        new = optimizer.advance(g.copy(), copied(state), p)
        step, size = p - old, np.abs(old) + np.abs(p)
    else:
        step, new = optimizer.update(g, state, p)
        size = np.zeros(3)
    if name == "Lion":  # where the two terms cancel, rounding decides on the sign
        terms = [np.float64(numbers["beta1"]) * state["m"], (1 - numbers["beta1"]) * g]
        size = size + numbers["rate"] * 2e16 * (np.abs(terms[0] + terms[1]) < 1e-12 * np.abs(terms[0]))
    parts = size + np.abs(moved) + numbers["rate"] * numbers.get("weight_decay", 0.0) * np.abs(p)
    gains = numbers["rate"] * (np.abs(g) + np.abs(state["velocity"])) if "velocity" in state else 0
    mean = numbers["rate"] * 3e3 if "m" in state and name != "Lion" else 0  # m̂ may cancel: of the size of the rate
    assert np.all(np.abs(step - moved) <= 64 * ULP * (parts + gains + mean))
    assert new["step"] == t
    for moment in set(state) - {"step"}:
        theirs = [float(s[moment]) for s in memory]
        scale = np.abs(theirs) + (np.abs(g) + np.abs(state[moment]))
        assert np.all(np.abs(np.broadcast_to(new[moment], 3) - theirs) <= 8 * ULP * scale)


@pytest.mark.parametrize("name", NAMES)
def test_in_place_over_several_blocks_is_the_same_as_on_trees(name):
    """And the state keeps its arrays, over a length at which a step goes in blocks."""
    from mathdl.optim.optimizer import BLOCK

    rng, n = np.random.default_rng(0), 2 * BLOCK + 7
    optimizer, params = made([(name, ELEMENTWISE[name])]), rng.normal(size=n)
    ours, state, other = params.copy(), optimizer.initial(params), optimizer.initial(params)
    for _ in range(5):
        g = rng.normal(size=n)
        step, other = optimizer.update(g, other, params)
        params = params + step
        state = optimizer.advance(g.copy(), state, ours)
    scale = np.max(np.abs(params))
    np.testing.assert_allclose(ours, params, rtol=0, atol=1e-14 * scale)
    assert state.keys() == other.keys()
    for key in state:
        np.testing.assert_allclose(state[key], other[key], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_in_place_may_switch_with_one_on_trees(name):
    """The state says the same in both, after each step."""
    optimizer, rng = made([(name, ELEMENTWISE[name])]), np.random.default_rng(1)
    p, q = rng.normal(size=(2, 5))
    q[...] = p
    one, two = optimizer.initial(p), optimizer.initial(p)
    for k in range(6):
        g = rng.normal(size=5)
        step, one = optimizer.update(g, one, p)
        p = p + step
        if k % 2:
            step, two = optimizer.update(g, two, q)
            q = q + step
        else:
            two = optimizer.advance(g.copy(), two, q)
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-14)
    assert one.keys() == two.keys()
    for key in one:
        np.testing.assert_allclose(two[key], one[key], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_update_writes_into_nothing(name):
    optimizer, params, gradient = made([(name, ELEMENTWISE[name])]), tree(0), tree(1)
    _, state = optimizer.update(gradient, optimizer.initial(params), params)
    before = copied((params, gradient, state))
    for leaf in leaves((params, gradient, state)):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    first = optimizer.update(gradient, state, params)
    same_bits((params, gradient, state), before)
    same_bits(optimizer.update(gradient, state, params), first)  # and twice is the same
    for leaf in leaves(first):  # nor does it give back what was given
        assert not any(np.shares_memory(leaf, old) for old in leaves(before) if np.ndim(old))


@pytest.mark.parametrize("name", NAMES)
def test_the_state_is_a_dict_of_trees_like_the_parameters(name):
    optimizer, params = made([(name, ELEMENTWISE[name])]), tree(0)
    state = optimizer.initial(params)
    assert state["step"] == 0
    step, after = optimizer.update(tree(1), state, params)
    assert after["step"] == 1
    assert next(iter(after)) == "step"
    assert after.keys() == state.keys()
    for moments in (step, *(after[key] for key in optimizer.moments), *(state[key] for key in optimizer.moments)):
        mapped(lambda a, p: np.testing.assert_equal(np.shape(a), np.shape(p)), moments, params)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("name", NAMES)
def test_the_type_of_the_parameters_stays(name, dtype):
    """And the numbers are those of float64, as far as the type goes; in place too."""
    optimizer = made([(name, {key: np.float64(value) for key, value in ELEMENTWISE[name].items()})])
    params, exact = tree(0, dtype), tree(0, dtype)
    exact = mapped(lambda p: np.asarray(p, dtype=float)[()], exact)
    vector = np.concatenate([np.ravel(leaf) for leaf in leaves(params)])
    state, double, flat = optimizer.initial(params), optimizer.initial(exact), optimizer.initial(vector)
    for k in range(3):
        gradient = tree(k + 1, dtype)
        step, state = optimizer.update(gradient, state, params)
        assert {np.asarray(leaf).dtype for leaf in leaves((step, [state[key] for key in optimizer.moments]))} == {
            np.dtype(dtype)
        }
        params = mapped(lambda p, s: np.asarray(p + s)[()], params, step)
        step, double = optimizer.update(mapped(lambda g: np.asarray(g, dtype=float)[()], gradient), double, exact)
        exact = mapped(lambda p, s: p + s, exact, step)
        flat = optimizer.advance(np.concatenate([np.ravel(leaf) for leaf in leaves(gradient)]), flat, vector)
    assert vector.dtype == dtype
    assert all(flat[key].dtype == dtype for key in optimizer.moments)
    tolerance = 40 * np.finfo(dtype).eps
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance), params, exact)
    both = np.concatenate([np.ravel(leaf) for leaf in leaves(params)])
    np.testing.assert_allclose(vector, both, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_read_in_each_step(name):
    """A change takes effect in the next step, and is all that counts: nothing of the old value is kept aside."""
    optimizer, rng = made([(name, {})]), np.random.default_rng(0)
    params, before, gradient = rng.normal(size=(3, 500))  # many: of Lion's signs few change
    _, state = optimizer.update(before, optimizer.initial(params), params)
    for key, value in ELEMENTWISE[name].items():
        assert getattr(optimizer, key) != value, "the test needs other settings than the defaults"
        plain = optimizer.update(gradient, state, params)
        setattr(optimizer, key, value)
        changed = optimizer.update(gradient, state, params)
        differ = [not np.array_equal(a, b) for a, b in zip(leaves(plain), leaves(changed), strict=True)]
        assert any(differ), f"{key} has no effect"
    fresh = made([(name, ELEMENTWISE[name])])
    same_bits(optimizer.update(gradient, state, params), fresh.update(gradient, state, params))
    vectors = [np.arange(4.0) + 1, np.array([0.3, -2.0, 1.0, 0.0])]
    moved = []
    for one in (optimizer, made([(name, ELEMENTWISE[name])])):
        p, state = vectors[0].copy(), one.initial(vectors[0])
        for _ in range(2):
            state = one.advance(vectors[1].copy(), state, p)
        moved.append((p, state))
    same_bits(*moved)


@pytest.mark.parametrize("name", NAMES)
def test_settings_changed_between_steps_in_place(name):
    """As on trees: no sum is kept in a form that the old settings made."""
    optimizer, rng = made([(name, {})]), np.random.default_rng(2)
    p = rng.normal(size=6)
    q, one, two = p.copy(), optimizer.initial(p), optimizer.initial(p)
    for k in range(6):
        g = rng.normal(size=6)
        for key, value in ELEMENTWISE[name].items():
            setattr(optimizer, key, value / (k + 1))
        step, one = optimizer.update(g, one, p)
        p = p + step
        two = optimizer.advance(g.copy(), two, q)
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-13)
    for key in one:
        np.testing.assert_allclose(two[key], one[key], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_is_asked_for_the_number_of_steps_made(name):
    asked = []

    def schedule(k):
        asked.append(k)
        return 0.1 / (k + 1)

    scheduled, plain = made([(name, {**ELEMENTWISE[name], "rate": schedule})]), made([(name, ELEMENTWISE[name])])
    params = other = tree(0)
    state = states = scheduled.initial(params)
    for k in range(4):
        step, state = scheduled.update(tree(k + 1), state, params)
        plain.rate = 0.1 / (k + 1)
        same, states = plain.update(tree(k + 1), states, other)
        same_bits((step, state), (same, states))
        params, other = mapped(np.add, params, step), mapped(np.add, other, same)
    assert asked == [0, 1, 2, 3]
    vector = np.ones(3)
    scheduled.advance(np.ones(3), {**scheduled.initial(vector), "step": 7}, vector)
    assert asked[4:] == [7]


@pytest.mark.parametrize("name", NAMES)
def test_where_nothing_pulls_nothing_moves(name):
    """A gradient of zeros from the beginning: no 0 / 0, and no step (unless weights decay)."""
    optimizer = made([(name, {})])
    if hasattr(optimizer, "weight_decay"):
        optimizer.weight_decay = 0.0
    params, zeros = tree(0), mapped(np.zeros_like, tree(0))
    state = optimizer.initial(params)
    for _ in range(3):
        step, state = optimizer.update(zeros, state, params)
        assert not any(np.any(leaf) for leaf in leaves(step))


def test_methods_are_special_cases_of_one_another():
    """Momentum with beta 0 is gradient descent, AdamW without decay is Adam, and so on: bit for bit."""
    pairs = [
        (optim.Momentum(0.3, 0.0), optim.GradientDescent(0.3)),
        (optim.Nesterov(0.3, 0.0), optim.GradientDescent(0.3)),
        (optim.AdamW(0.3, weight_decay=0.0), optim.Adam(0.3)),
    ]
    for one, two in pairs:
        params = tree(0)
        states = [one.initial(params), two.initial(params)]
        for k in range(3):
            results = [o.update(tree(k + 1), s, params) for o, s in zip((one, two), states, strict=True)]
            near(results[0][0], results[1][0], 4 * ULP)
            states, params = [state for _, state in results], mapped(np.add, params, results[0][0])


def test_the_first_step_of_adam_is_the_rate_in_size():
    """Both corrections are whole after one step: m̂ = g and v̂ = g²."""
    g = np.array([1e-3, -2.0, 5e4])
    for adam in (optim.Adam(0.1, epsilon=0.0), optim.AMSGrad(0.1, epsilon=0.0)):
        np.testing.assert_allclose(adam.update(g, adam.initial(g), g)[0], -0.1 * np.sign(g), rtol=1e-14)


@PROPERTY
@given(scale=st.floats(1e-6, 1e6), seed=st.integers(0, 50))
def test_without_epsilon_adaptive_steps_do_not_see_the_scale_of_the_loss(scale, seed):
    rng = np.random.default_rng(seed)
    for name in ("AdaGrad", "RMSprop", "Adam", "AMSGrad", "NAdam"):
        optimizer = made([(name, {"epsilon": 0.0})])
        x = np.zeros(4)
        one, two = optimizer.initial(x), optimizer.initial(x)
        for _ in range(4):
            g = rng.normal(size=4)
            plain, one = optimizer.update(g, one, x)
            scaled, two = optimizer.update(scale * g, two, x)
            np.testing.assert_allclose(scaled, plain, rtol=1e-11, atol=1e-13)


def test_amsgrad_does_not_forget_a_large_gradient():
    amsgrad, adam = optim.AMSGrad(0.1, beta2=0.5), optim.Adam(0.1, beta2=0.5)
    x = np.zeros(1)
    states = [amsgrad.initial(x), adam.initial(x)]
    for g in (100.0, *[1.0] * 30):
        results = [o.update(np.array([g]), s, x) for o, s in zip((amsgrad, adam), states, strict=True)]
        states = [state for _, state in results]
    assert abs(results[0][0][0]) < 0.05 * abs(results[1][0][0])


def test_a_number_alone_and_an_empty_tree_can_be_trained():
    for name in NAMES:
        optimizer = made([(name, ELEMENTWISE[name])])
        step, _ = optimizer.update(np.float64(2.0), optimizer.initial(np.float64(1.0)), np.float64(1.0))
        assert np.shape(step) == ()
        for nothing in ({}, np.zeros(0), [np.zeros((0, 3))]):
            step, state = optimizer.update(nothing, optimizer.initial(nothing), nothing)
            assert md.flatten(step)[0].size == 0
            assert state["step"] == 1
