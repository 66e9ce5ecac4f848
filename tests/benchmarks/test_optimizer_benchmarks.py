"""Steps of optimizers are compared only where every way makes the same ones, and their bare passes make them too."""

from __future__ import annotations

import importlib.util
from functools import partial

import numpy as np
import pytest

from benchmarks import optimizers, run
from benchmarks.optimizers import OPTIMIZERS
from benchmarks.timing import Effort

ONCE = Effort(rounds=1, batch=1e-9)
OURS = {"floor", "mathdl, in place", "mathdl, gathered, in place", "mathdl, on trees"}
WAYS = {
    "optim": OURS,
    "torch, optim": {"torch, fused", "torch, foreach", "torch, one by one"},
    "optax": {"optax, jit", "optax, jit, donated"},
}


def shorter(work):
    name = OPTIMIZERS[work].make.args[0]
    return OPTIMIZERS[work]._replace(make=partial(optimizers._case, name, [(3, 4), (5,)]))


RUNS = [(work, peer) for work, workload in OPTIMIZERS.items() for peer in workload.peers]
INSTALLED = [run_ for run_ in RUNS if importlib.util.find_spec(run.PEERS[run_[1]].module)]


@pytest.mark.parametrize(("work", "peer"), INSTALLED)
def test_all_make_the_same_steps(work, peer, monkeypatch):
    monkeypatch.setitem(run.WORKLOADS, work, shorter(work))
    found = run.measure(work, peer, ONCE)
    assert {way for way, *_ in found["rows"]} == WAYS[peer]
    assert all(seconds > 0 for _, seconds, *_ in found["rows"])


@pytest.mark.parametrize(("work", "peer"), INSTALLED)
def test_other_steps_are_refused(work, peer, monkeypatch):
    workload = shorter(work)
    case = workload.make()

    def wrong(*args):
        return [part + 1e-6 for part in case.hand(*args)]

    monkeypatch.setitem(run.WORKLOADS, work, workload._replace(make=lambda: case._replace(hand=wrong)))
    with pytest.raises(AssertionError, match="off by"):
        run.measure(work, peer, ONCE)


@pytest.mark.parametrize("name", [name for name in optimizers._BY_HAND if name != "NAdam"])
def test_the_bare_passes_are_a_step_of_the_formula(name):
    """NAdam's are as many, with two of its numbers held fixed."""
    _, formula, passes, moments = optimizers._BY_HAND[name]
    rng = np.random.default_rng(0)
    p, g, u, w = rng.normal(size=(4, 6))
    state = list(rng.random(size=(moments, 6)))
    wanted = formula(3, p.copy(), g, *(moment.copy() for moment in state))
    passes(3, p, g, u, w, *state)
    for ours, theirs in zip((p, *state), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_the_small_case_has_the_number_of_parameters_it_says():
    assert sum(int(np.prod(shape)) for shape in optimizers.SMALL) == 337
    assert "337" in OPTIMIZERS["adam small"].title
