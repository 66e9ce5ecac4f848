"""Optimizers made of others are what one would write by hand: chains, penalties, decay, averages, splits."""

from __future__ import annotations

import numpy as np
import pytest
from common import ELEMENTWISE, PROPERTY, ULP, copied, made, near, same_bits, tree
from hypothesis import given
from hypothesis import strategies as st

from mathdl import optim
from mathdl.autodiff.trees import leaves, mapped


def steps_of(optimizer, count=5, params=None):
    """Steps with gradients that are given, and the states between them."""
    params = tree(0) if params is None else params
    state, steps, states = optimizer.initial(params), [], []
    for k in range(count):
        step, state = optimizer.update(tree(k + 1), state, params)
        params = mapped(np.add, params, step)
        steps.append(step)
        states.append(state)
    return steps, states, params


# -------------------------------------------------------------------------------------------------------------- chains
def test_a_chain_hands_each_part_what_the_one_before_gives():
    clip, l2, adam, decay = optim.Clip(0.5), optim.L2(0.1), optim.Adam(0.1), optim.Decay(0.01)
    chain = optim.Chain(clip, l2, adam, decay)
    params, states = tree(0), None
    state = chain.initial(params)
    states = [part.initial(params) for part in chain.parts]
    for k in range(4):
        g = tree(k + 1)
        for j, part in enumerate((clip, l2, adam, decay)):
            g, states[j] = part.update(g, states[j], params)
        step, state = chain.update(tree(k + 1), state, params)
        same_bits((step, state), (g, tuple(states)))
        params = mapped(np.add, params, step)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_chain_of_one_is_that_one(name):
    one = made([(name, ELEMENTWISE[name])])
    steps, states, _ = steps_of(one)
    chained, in_tuples, _ = steps_of(optim.Chain(one))
    same_bits((steps, [(state,) for state in states]), (chained, in_tuples))


def test_chains_may_stand_in_chains_and_their_settings_can_be_changed():
    inner = optim.Chain(optim.L2(0.1), optim.Momentum(0.1))
    nested, flat = optim.Chain(optim.Clip(0.5), inner), optim.Chain(optim.Clip(0.5), *inner.parts)
    same_bits(steps_of(nested)[0], steps_of(flat)[0])
    flat.parts[0].largest, flat.parts[2].rate = 0.1, 0.05
    changed = optim.Chain(optim.Clip(0.1), optim.L2(0.1), optim.Momentum(0.05))
    same_bits(steps_of(flat)[0], steps_of(changed)[0])
    assert repr(flat) == "Chain(Clip(largest=0.1), L2(weight_decay=0.1), Momentum(rate=0.05, beta=0.9))"


FRONTS = {
    "clip": [optim.Clip(0.5)], "L2": [optim.L2(0.1)], "both": [optim.Clip(0.5), optim.L2(0.1)],
    "both, other way": [optim.L2(0.1), optim.Clip(0.5)], "none": [],
}  # fmt: skip


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_chain_in_place_is_the_same(front, name):
    chain, rng = optim.Chain(*FRONTS[front], made([(name, ELEMENTWISE[name])])), np.random.default_rng(0)
    p = rng.normal(size=7)
    q, one, two = p.copy(), chain.initial(p), chain.initial(p)
    for _ in range(4):
        g = rng.normal(size=7)
        step, one = chain.update(g, one, p)
        p = p + step
        kept = g.copy()
        two = chain.advance(g, two, q)
        np.testing.assert_array_equal(g, kept)  # steps in place read the gradient only
    np.testing.assert_allclose(q, p, rtol=0, atol=1e-14)
    for a, b in zip(leaves(one), leaves(two), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-15)


def test_there_is_a_way_in_place_only_where_every_part_has_one():
    assert hasattr(optim.Chain(optim.Clip(1.0), optim.L2(0.1), optim.Adam()), "advance")
    assert not hasattr(optim.Chain(optim.Adam(), optim.Decay(0.1)), "advance")
    assert not hasattr(optim.Chain(optim.Momentum(), optim.Adam()), "advance")
    assert not hasattr(optim.Averaged(optim.Adam()), "advance")
    assert not hasattr(optim.Split(optim.Adam(), optim.Adam()), "advance")


# ------------------------------------------------------------------------------------------------ clipping and decay
@PROPERTY
@given(scale=st.floats(1e-6, 1e6), largest=st.floats(1e-6, 1e6), seed=st.integers(0, 99))
def test_a_clipped_gradient_is_no_longer_than_it_may_be_and_points_as_before(scale, largest, seed):
    gradient = mapped(lambda g: scale * g, tree(seed))
    clip = optim.Clip(largest)
    cut, state = clip.update(gradient, clip.initial(gradient), gradient)
    assert state == {}
    length = optim.norm(gradient)
    if length <= largest:
        same_bits(cut, gradient)
    else:
        assert optim.norm(cut) == pytest.approx(largest, rel=1e-12)
        near(mapped(lambda c: c * (length / largest), cut), gradient, 1e-12)


def test_l2_is_the_gradient_of_its_penalty_and_decay_is_not_seen_by_the_moments():
    import mathdl as md

    p, g = tree(0)["hidden"], tree(1)["hidden"]
    l2 = optim.L2(0.3)
    penalty = md.grad(lambda p: 0.3 / 2 * (np.sum(p["W"] ** 2) + np.sum(p["b"] ** 2)))(p)
    near(l2.update(g, {}, p)[0], mapped(np.add, g, penalty), 1e-14)
    plain, decayed = optim.Adam(0.1), optim.Chain(optim.Adam(0.1), optim.Decay(0.02))
    one, two = plain.update(g, plain.initial(p), p), decayed.update(g, decayed.initial(p), p)
    same_bits(two[1][0], one[1])
    near(two[0], mapped(lambda s, p: s - 0.02 * p, one[0], p), 1e-14)


def test_decay_behind_adam_is_adamw():
    """With the rate times its weight_decay for the amount; and a schedule for both."""
    rate = optim.cosine(0.1, 5, final=0.01)
    adamw = optim.AdamW(rate, weight_decay=0.3)
    chain = optim.Chain(optim.Adam(rate), optim.Decay(lambda k: 0.3 * rate(k)))
    one, two = steps_of(adamw), steps_of(chain)
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15), one[0], two[0])
    assert two[1][-1][1] == {"step": 5}


def test_l2_in_front_of_gradient_descent_is_decay_behind_it():
    """The two differ only where the rule is not linear: that is what 'decoupled' is about."""
    front = optim.Chain(optim.L2(0.2), optim.GradientDescent(0.1))
    behind = optim.Chain(optim.GradientDescent(0.1), optim.Decay(0.2 * 0.1))
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), steps_of(front)[0], steps_of(behind)[0])
    front = optim.Chain(optim.L2(0.2), optim.Adam(0.1))
    behind = optim.Chain(optim.Adam(0.1), optim.Decay(0.2 * 0.1))
    assert not np.allclose(leaves(steps_of(front)[0])[0], leaves(steps_of(behind)[0])[0], rtol=1e-3)


# ------------------------------------------------------------------------------------------------------------- averages
@PROPERTY
@given(beta=st.floats(0.0, 0.999), count=st.integers(1, 8))
def test_the_average_is_the_weighted_sum_of_all_parameters(beta, count):
    """beta to the n times the first, and (1 - beta) beta to the k times those k steps ago."""
    averaged, params = optim.Averaged(optim.Momentum(0.1), beta=beta), tree(0)
    state, path = averaged.initial(params), [params]
    near(averaged.average(state), params, 0)
    for k in range(count):
        step, state = averaged.update(tree(k + 1), state, path[-1])
        path.append(mapped(np.add, path[-1], step))
    weights = [beta**count, *((1 - beta) * beta ** (count - k) for k in range(1, count + 1))]
    wanted = mapped(lambda *ps: sum(w * p for w, p in zip(weights, ps, strict=True)), *path)
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), averaged.average(state), wanted)


def test_averaging_does_not_change_the_steps_nor_does_it_hold_the_parameters_themselves():
    params = tree(0)
    plain, averaged = optim.Adam(0.1), optim.Averaged(optim.Adam(0.1))
    state = averaged.initial(params)
    before = copied(averaged.average(state))
    for leaf in leaves(params):
        if np.ndim(leaf):
            leaf += 1.0
    same_bits(averaged.average(state), before)
    same_bits(steps_of(averaged)[0], steps_of(plain)[0])


# --------------------------------------------------------------------------------------------------------------- splits
def test_a_split_gives_matrices_to_one_and_all_else_to_the_other():
    one, two = optim.Momentum(0.3, 0.5), optim.Adam(0.1)
    split = optim.Split(matrices=one, others=two)
    steps, _, _ = steps_of(split)
    first, second = steps_of(one)[0], steps_of(two)[0]
    for step, m, a, p in zip(leaves(steps), leaves(first), leaves(second), [*leaves(tree(0))] * 5, strict=True):
        np.testing.assert_array_equal(step, m if np.ndim(p) == 2 else a)
    assert any(np.ndim(p) == 2 for p in leaves(tree(0)))


def test_a_split_works_where_there_is_nothing_for_one_of_them():
    for params in ({"b": np.ones(3)}, {"W": np.ones((2, 2))}):
        split = optim.Split(matrices=optim.Momentum(), others=optim.Adam())
        step, state = split.update(params, split.initial(params), params)
        assert leaves(step)[0].shape == leaves(params)[0].shape
        split.update(params, state, params)


COMPOSED = {
    "chain": optim.Chain(optim.Clip(0.5), optim.L2(0.1), optim.Adam(0.1), optim.Decay(0.01)),
    "averaged": optim.Averaged(optim.Chain(optim.Clip(0.5), optim.NAdam(0.1))),
    "split": optim.Split(matrices=optim.Chain(optim.Momentum(), optim.Decay(0.1)), others=optim.AMSGrad()),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_nothing_is_written_into(name):
    optimizer, params, gradient = COMPOSED[name], tree(0), tree(1)
    _, state = optimizer.update(gradient, optimizer.initial(params), params)
    before = copied((params, gradient, state))
    for leaf in leaves((params, gradient, state)):
        if isinstance(leaf, np.ndarray):
            leaf.flags.writeable = False
    first = optimizer.update(gradient, state, params)
    same_bits((params, gradient, state), before)
    same_bits(optimizer.update(gradient, state, params), first)


@pytest.mark.parametrize("name", COMPOSED)
def test_single_precision_stays(name):
    optimizer, params = COMPOSED[name], tree(0, np.float32)
    state = optimizer.initial(params)
    for k in range(3):
        step, state = optimizer.update(tree(k + 1, np.float32), state, params)
        params = mapped(np.add, params, step)
    floats = [np.asarray(leaf).dtype for leaf in leaves((params, state)) if isinstance(leaf, (np.ndarray, np.generic))]
    assert set(floats) == {np.dtype(np.float32)}


def test_the_norm_of_a_tree():
    assert optim.norm({"a": np.array([1e300, 1e300])}) == pytest.approx(2**0.5 * 1e300, rel=1e-15)
    assert optim.norm([np.array([1e-300]), (np.array([1e-300]),)]) == pytest.approx(2**0.5 * 1e-300, rel=1e-15)
    assert optim.norm([]) == optim.norm(np.zeros((0, 2))) == 0.0
    assert optim.norm(tree(3)) == pytest.approx(np.sqrt(sum(np.sum(leaf**2) for leaf in leaves(tree(3)))), rel=4 * ULP)
