"""One vector for all parameters: views of it, gradients gathered into it, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput, MathdlError
from mathdl.optim import Adam, Arena

RNG = np.random.default_rng(0)
TREE = {"W": RNG.normal(size=(3, 2)), "inner": [RNG.normal(size=4), (np.array(2.0),)], "none": np.zeros((0, 2))}


def test_the_arrays_are_copies_that_share_the_vector():
    before = mapped(np.copy, TREE)
    arena = Arena(TREE)
    assert arena.vector.shape == (11,)
    for view, array in zip(leaves(arena.params), leaves(TREE), strict=True):
        np.testing.assert_array_equal(view, array)
        assert np.shares_memory(view, arena.vector) or not view.size
        assert not np.shares_memory(view, array)
    assert isinstance(arena.params["inner"][1], tuple)
    arena.vector += 1.0
    mapped(lambda view, array: np.testing.assert_array_equal(view, array + 1), arena.params, before)
    mapped(np.testing.assert_array_equal, TREE, before)


def test_steps_in_it_are_those_on_the_tree():
    adam, arena, own = Adam(0.1), Arena(TREE), TREE
    state, of_tree = adam.initial(arena.vector), adam.initial(own)
    for _ in range(20):
        gradient = mapped(lambda p: RNG.normal(size=np.shape(p)), TREE)
        reordered = dict(reversed(gradient.items()))
        state = adam.advance(arena.gather(reordered), state, arena.vector)
        step, of_tree = adam.update(gradient, of_tree, own)
        own = mapped(np.add, own, step)
    mapped(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), arena.params, own)


def test_single_precision_stays():
    arena = Arena([np.ones(2, np.float32)])
    assert arena.vector.dtype == arena.gather([np.ones(2, np.float32)]).dtype == np.float32


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"params: got no array; wanted arrays, all of one type"),
        ([np.ones(2), np.ones(2, np.float32)], r"params: got float32 and float64"),
        ([np.ones(2, int)], r"params\[0\]"),
    ],
)
def test_parameters_that_do_not_fit(params, message):
    with pytest.raises(MathdlError, match=message):
        Arena(params)


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ({"W": np.ones(2)}, r"gradient: got the keys \['W'\]; wanted the keys \['W', 'b'\]"),
        ({"W": np.ones(2), "b": np.ones(3)}, r"gradient\['b'\]: got .* shape \(3,\); wanted .* shape \(2,\)"),
        ({"W": np.ones(2), "b": np.ones(2, np.float32)}, r"gradient\['b'\]: got an array of float32"),
    ],
)
def test_gradients_that_do_not_fit(gradient, message):
    with pytest.raises(InvalidInput, match=message):
        Arena({"W": np.zeros(2), "b": np.zeros(2)}).gather(gradient)
