"""Trainings are compared only where every way makes the same steps."""

from __future__ import annotations

import importlib.util
from functools import partial

import pytest

from benchmarks import run
from benchmarks.steps import STEPS
from benchmarks.timing import Effort

ONCE = Effort(rounds=1, batch=1e-9)
# The same programs, small and short: (widths or nothing, batch, epochs) of each.
SHORT = {"fit small": ((5, 4, 3), 3, 2), "fit large": ((6, 5, 4, 3), 3, 2), "fit images": (2, 1)}
PEERS = [name for name in ("network", "torch, network") if importlib.util.find_spec(run.PEERS[name].module)]


def shorter(work):
    make = partial(STEPS[work].make.func, *SHORT[work])
    return STEPS[work]._replace(make=make)


@pytest.mark.parametrize("work", STEPS)
@pytest.mark.parametrize("peer", PEERS)
def test_all_make_the_same_steps(work, peer, monkeypatch):
    monkeypatch.setitem(run.WORKLOADS, work, shorter(work))
    rows = run.measure(work, peer, ONCE)["rows"]
    assert {way for way, *_ in rows} == {"network": {"floor", "mathdl.network.fit"}}.get(peer, {"torch, eager"})
    assert all(seconds > 0 for _, seconds, *_ in rows)


@pytest.mark.parametrize("work", STEPS)
@pytest.mark.parametrize("peer", PEERS)
def test_other_steps_are_refused(work, peer, monkeypatch):
    workload = shorter(work)
    case = workload.make()

    def wrong(*args):
        return [part + 1e-5 for part in case.hand(*args)]

    monkeypatch.setitem(run.WORKLOADS, work, workload._replace(make=lambda: case._replace(hand=wrong)))
    with pytest.raises(AssertionError, match="off by"):
        run.measure(work, peer, ONCE)
