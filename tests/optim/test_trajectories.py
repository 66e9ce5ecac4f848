"""A thousand steps of each optimizer beside those of every oracle that defines the same variant (see variants.py)."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path

import numpy as np
import peers
import pytest
from common import made
from paper import trajectory
from problems import PROBLEMS, STEPS, STORED, as_tree, as_vector
from variants import DIFFERENT, VARIANTS

from mathdl.autodiff.trees import mapped

TOLERANCE = 1e-12
FILE = json.loads(Path(__file__).with_name("trajectories.json").read_text(encoding="utf-8"))
RUNS = [(name, problem) for name, variant in VARIANTS.items() for problem in variant.problems]
PEER_RUNS = [
    (name, peer, problem)
    for name, variant in VARIANTS.items()
    for peer in peers.RUNS
    if getattr(variant, peer) is not None
    for problem in variant.problems
]
LIVE = {"torch": ("torch",), "optax": ("optax", "jax")}


@functools.cache
def on_trees(name, problem):
    """The points after the steps of STORED, and the state in the end, by `update` on a tree."""
    optimizer, (start, gradient) = made(VARIANTS[name].parts), PROBLEMS[problem]
    params = as_tree(start)
    state, points = optimizer.initial(params), []
    for k in range(STEPS):
        step, state = optimizer.update(as_tree(gradient(k, as_vector(params).tolist())), state, params)
        params = mapped(np.add, params, step)
        if k + 1 in STORED:
            points.append(as_vector(params))
    return np.array(points), state


@functools.cache
def on_a_vector(name, problem):
    """The same by `advance` on a vector, in place."""
    optimizer, (start, gradient) = made(VARIANTS[name].parts), PROBLEMS[problem]
    params = np.array(start)
    state, points = optimizer.initial(params), []
    for k in range(STEPS):
        state = optimizer.advance(np.array(gradient(k, params.tolist())), state, params)
        if k + 1 in STORED:
            points.append(params.copy())
    return np.array(points), state


@functools.cache
def on_paper(name, problem):
    return trajectory(VARIANTS[name].parts, problem)


def error(ours, theirs):
    """The largest difference, relative for each parameter to its largest value on the way."""
    theirs = np.array(theirs)
    assert ours.shape == theirs.shape
    scale = np.max(np.abs(theirs), axis=0)
    return float(np.max(np.abs(ours - theirs) / np.where(scale > 0, scale, 1)))


@pytest.mark.parametrize(("name", "problem"), RUNS)
def test_as_the_paper_says_in_fifty_digits(name, problem):
    assert error(on_trees(name, problem)[0], on_paper(name, problem)[0]) <= TOLERANCE


@pytest.mark.parametrize(("name", "problem"), RUNS)
def test_in_place_as_the_paper_says(name, problem):
    if not hasattr(made(VARIANTS[name].parts), "advance"):
        pytest.skip("has no step in place")
    assert error(on_a_vector(name, problem)[0], on_paper(name, problem)[0]) <= TOLERANCE


@pytest.mark.parametrize(("name", "problem"), RUNS)
@pytest.mark.parametrize("run", [on_trees, on_a_vector])
def test_what_is_remembered_in_the_end(run, name, problem):
    optimizer = made(VARIANTS[name].parts)
    if run is on_a_vector and not hasattr(optimizer, "advance"):
        pytest.skip("has no step in place")
    states, remembered = run(name, problem)[1], on_paper(name, problem)[1]
    states = states if isinstance(states, tuple) else (states,)
    (state,) = [state for part, state in zip(VARIANTS[name].parts, states, strict=True) if part[0] not in OTHER_PARTS]
    assert state["step"] == STEPS
    for moment in remembered[0]:
        ours = state[moment]
        ours = as_vector(ours) if isinstance(ours, dict) else np.broadcast_to(ours, 8)
        # On the floor of the valley gradients are differences of numbers about 1.
        floor = TOLERANCE if problem == "valley" else 0
        np.testing.assert_allclose(ours, [s[moment] for s in remembered], rtol=TOLERANCE, atol=floor)
    assert state.keys() == {"step", *remembered[0]}


OTHER_PARTS = ("Clip", "L2", "Decay")


@pytest.mark.parametrize(("name", "peer", "problem"), PEER_RUNS)
def test_as_other_libraries_did(name, peer, problem):
    assert error(on_trees(name, problem)[0], FILE[f"{name} / {peer} / {problem}"]) <= TOLERANCE


@pytest.mark.parametrize(("name", "peer", "problem"), PEER_RUNS)
def test_as_other_libraries_do(name, peer, problem):
    for module in LIVE[peer]:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    theirs = peers.RUNS[peer](*getattr(VARIANTS[name], peer), problem, VARIANTS[name].clip)
    assert error(on_trees(name, problem)[0], theirs) <= TOLERANCE


@pytest.mark.parametrize("name", DIFFERENT)
def test_the_same_name_elsewhere_is_another_method(name):
    peer = DIFFERENT[name][0]
    assert error(on_trees(name, "valley")[0], FILE[f"not {name} / {peer} / valley"]) > 1e-4


def test_the_table_has_every_optimizer_and_the_file_nothing_else():
    from mathdl.optim import first_order

    assert {part for variant in VARIANTS.values() for part, _ in variant.parts} >= set(first_order.__all__)
    keys = {f"{name} / {peer} / {problem}" for name, peer, problem in PEER_RUNS}
    others = {f"not {name} / {peer} / valley" for name, (peer, *_) in DIFFERENT.items()}
    assert FILE.keys() == keys | others | {"made with"}
    assert FILE["made with"].keys() == {"torch", "optax", "jax", "numpy"}
