"""Clipped gradients: their length, their direction, and both ways of making steps with them."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl import layers
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.network import Network, fit
from mathdl.optim import Chain, Clip, Momentum, norm

RNG = np.random.default_rng(0)
TREE = {"a": RNG.normal(size=(3, 2)), "b": [RNG.normal(size=4), np.array(2.0)]}
LENGTH = np.sqrt(sum(np.sum(leaf**2) for leaf in leaves(TREE)))
X, LABELS = RNG.normal(size=(23, 4)), RNG.integers(0, 3, size=23)
NET = Network(hidden=layers.Affine(5), gate=layers.Tanh(), out=layers.Affine(3))


class OfTrees:
    """Momentum without its way in place."""

    initial, update = staticmethod(Momentum().initial), staticmethod(Momentum().update)


def test_the_norm_is_that_of_all_leaves():
    np.testing.assert_allclose(norm(TREE), LENGTH)
    assert norm({}) == norm({"a": np.zeros(3), "b": np.zeros((0, 2))}) == 0
    assert norm(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert norm(np.array([1e-300, 1e-300])) == pytest.approx(np.sqrt(2) * 1e-300)
    assert np.isnan(norm([np.array([np.nan, 1.0])]))
    assert norm([np.array([-np.inf, 1.0])]) == np.inf


@pytest.mark.parametrize("share", [0.1, 0.999, 1.001, 10.0])
def test_long_gradients_are_cut_and_short_ones_are_not(share):
    clip = Chain(Clip(share * LENGTH), Momentum(rate=1.0, beta=0.0))
    step, _ = clip.update(TREE, clip.initial(TREE), TREE)
    mapped(lambda s, g: np.testing.assert_allclose(s, -min(share, 1.0) * g), step, TREE)


def test_momentum_gathers_what_was_cut():
    clip, x = Chain(Clip(1.0), Momentum(rate=0.5, beta=0.5)), np.array([3.0])
    step, state = clip.update(np.array([100.0]), clip.initial(x), x)
    step, state = clip.update(np.array([-0.25]), state, x)
    np.testing.assert_allclose((step, state[1]["velocity"]), ([-0.125], [0.25]))


def test_in_a_training_both_ways_agree_and_a_length_never_reached_changes_nothing():
    start, quick = NET.initial(X.shape), {"epochs": 4, "batch": 8, "progress": False}
    chains = [Chain(Clip(0.1), optimizer) for optimizer in (Momentum(), OfTrees())]
    assert [hasattr(chain, "advance") for chain in chains] == [True, False]
    in_place, of_trees = (fit(NET, start, X, LABELS, update=chain, **quick) for chain in chains)
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10), in_place.params, of_trees.params)
    free = fit(NET, start, X, LABELS, **quick)
    assert norm(mapped(np.subtract, free.params, in_place.params)) > 0.01
    never = fit(NET, start, X, LABELS, update=Chain(Clip(1e6), Momentum()), **quick)
    assert never.history == free.history


def test_bad_input_gets_an_error_that_names_it():
    for largest in (0.0, -1.0, np.nan, "1", True):
        with pytest.raises(InvalidInput, match=r"largest: got .* a number, positive"):
            Clip(largest)
    with pytest.raises(InvalidInput, match=r"parts\[1\]: got .*; wanted an optimizer"):
        Chain(Clip(1.0), Momentum)
    for bad in (np.nan, np.inf):
        clip = Clip(1.0)
        with pytest.raises(InvalidInput, match=r"gradient: got (nan|inf) at \(0,\)"):
            clip.update(np.array([bad]), {}, np.zeros(1))
