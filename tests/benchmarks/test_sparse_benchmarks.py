"""The benchmarks of sparse derivatives: right entries in the right places, no wrong one timed, solvers that arrive."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
from scipy import sparse

import mathdl as md
from benchmarks import memory, report, run, sparse_peers, timing
from benchmarks.peers import PEERS, check, is_installed
from benchmarks.report import GOALS, Results, Row, render, verdict
from benchmarks.solvers import SOLVERS
from benchmarks.sparse_workloads import SPARSE
from benchmarks.timing import Effort

ONCE = Effort(rounds=1, batch=0.0)
SMALL = {"gray": 4, "bratu": 4, "ladder": 5, "softmaxes": 3, "networks": 3, "convolution2": 6, "fit": 5}
COMPILED = ("gray", "networks", "rosenbrock")  # what JAX takes part in here: it compiles slowly
PAIRS = [
    (work, name)
    for work, workload in SPARSE.items()
    for name in workload.peers
    if work in COMPILED or name not in ("asdex", "sparsejac")
]


def small(work):
    """A workload of few unknowns, and its case."""
    workload = SPARSE[work]
    workload = workload._replace(make=partial(workload.make.func, SMALL.get(work, 12)))
    return workload, workload.make()


@pytest.mark.parametrize("work", SPARSE)
def test_entries_by_hand_agree_with_the_full_derivative(work):
    workload, case = small(work)
    (x,) = case.args
    full = {"sparse jacobian": md.jacobian, "sparse hessian": md.hessian}[workload.derivative](case.program(np))(x)
    np.testing.assert_allclose(case.hand(x).toarray(), full, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(case.pattern.toarray(), full != 0)
    if case.gradient:
        np.testing.assert_allclose(case.gradient(x), md.grad(case.program(np))(x), rtol=1e-12)


@pytest.mark.parametrize(("work", "name"), PAIRS)
def test_a_peer_is_right_and_a_wrong_entry_is_not_timed(work, name, monkeypatch):
    workload, case = small(work)
    if not is_installed(PEERS[name]):
        pytest.skip(f"{name} is not installed")
    monkeypatch.setitem(run.WORKLOADS, work, workload)
    rows = run.measure(work, name, ONCE)["rows"]
    assert all(seconds > 0 for _, seconds, *_ in rows)
    swept = {way: (sweeps, how) for way, _, _, sweeps, how in rows if sweeps is not None}
    assert all(1 <= sweeps <= case.pattern.shape[1] for sweeps, _ in swept.values())
    assert swept or name == "sparsejac"

    def wrong(x):
        J = case.hand(x)
        J.data[-1] += 0.01 * max(1.0, abs(J.data).max())
        return J

    monkeypatch.setitem(run.WORKLOADS, work, workload._replace(make=lambda: case._replace(hand=wrong)))
    with pytest.raises(AssertionError, match="off by"):
        run.measure(work, name, ONCE)


def test_a_sparse_check_looks_at_missing_entries_and_forgives_zeros():
    truth = sparse.csr_array(np.eye(3))
    more = sparse.csr_array((np.array([1.0, 0.0, 1.0, 1.0]), ([0, 0, 1, 2], [0, 2, 1, 2])), (3, 3))
    check(more, truth, 1e-9)
    for wrong in (sparse.csr_array(np.diag([1.0, 1.0, 0.0])), truth + 1e-6 * truth, truth * np.nan):
        with pytest.raises(AssertionError, match="off by"):
            check(wrong, truth, 1e-9)
    with pytest.raises(AssertionError, match="shape"):
        check(sparse.csr_array(np.ones((1, 3))), truth, 1e-9)


def test_an_entry_named_twice_is_refused():
    from benchmarks.sparse_workloads import _case

    i = np.arange(3)
    with pytest.raises(ValueError, match="twice"):
        _case(lambda np: lambda x: x, np.ones(3), (3, 3), [(i, i), (i, i)], lambda x: [1.0, 1.0])


def test_the_quicker_of_two_builds_counts(monkeypatch):
    workload, _ = small("bratu")
    seconds = iter([5.0, 3.0, 0.5, 0.7] + [0.0] * 20)
    monkeypatch.setattr(run, "timed", lambda build: (build(), next(seconds)))
    monkeypatch.setitem(run.WORKLOADS, "bratu", workload)
    rows = run.measure("bratu", "mathdl.sparse", ONCE)["rows"]
    assert [built for _, _, built, *_ in rows[:2]] == [3.0, 0.5]


@pytest.mark.parametrize(
    ("work", "size"), [("bdf", 20), ("radau", 20), ("least_squares", 4), ("least_squares4", 10), ("root", 4)]
)
def test_solvers_get_there_in_every_way(work, size, monkeypatch):
    workload = SOLVERS[work]
    make = partial(workload.make.func, *workload.make.args[:-1], size)
    monkeypatch.setitem(run.WORKLOADS, work, workload._replace(make=make))
    ways = [way for way, *_ in run.measure(work, "solvers", ONCE)["rows"]]
    assert {"floor", "jac=plan", "SciPy's differences"} <= set(ways)

    case = make()
    monkeypatch.setitem(
        run.WORKLOADS, work, workload._replace(make=lambda: case._replace(hand=lambda *args: case.hand(*args) + 1e-3))
    )
    with pytest.raises(AssertionError, match="off by"):
        run.measure(work, "solvers", ONCE)


def test_a_long_call_is_timed_as_often_as_patience_allows():
    calls = []
    assert timing.few(lambda: calls.append(1) or 7, patience=10.0)[0] == 7
    assert len(calls) == 5
    timing.few(lambda: calls.append(1), patience=0.0)
    assert len(calls) == 6


def test_solvers_run_in_one_process(monkeypatch):
    tried = []

    def child(work, name, quick, allocator):
        tried.append(work)
        return {"rows": [("floor", 1.0, 0.0, None, "")], "notes": []}

    monkeypatch.setattr(
        run, "WORKLOADS", {"bdf": SOLVERS["bdf"], "bruss3": SPARSE["bruss3"]._replace(peers=("scipy",))}
    )
    monkeypatch.setattr(run, "import_times", lambda codes, effort: [0.1, 0.1, 0.1])
    monkeypatch.setattr(run, "peaks", lambda: [])
    monkeypatch.setattr(run, "_child", child)
    run._collect(False)
    assert tried == ["bdf"] + ["bruss3"] * 2 * run.PROCESSES


RESULTS = Results(
    rows=[
        Row("bruss4", "floor", 1e-5, 1e-5, 0.0, 1.0),
        Row("bruss4", "mathdl, auto", 3e-5, 3e-5, 0.004, 3.0, 1, "bands"),
        Row("bruss4", "mathdl, forward", 2e-5, 2e-5, 0.002, 2.0, 5, "forward"),
        Row("bruss4", "asdex, jit", 1e-4, 1e-4, 0.2, None, 6, "fwd"),
    ],
    notes=[],
    peaks=[memory.Peak(report.TRIDIAGONAL, 110, "entries", 10.0)],
    imports=[0.004, 0.03],
    machine="A machine.",
)


@pytest.mark.parametrize(
    ("text", "measured", "said"),
    [
        ("evaluation ≤ 1/6 × asdex, jit", "0.3×", "**does not hold**"),  # of auto alone, not of the quicker
        ("set-up ≤ 1/40 × asdex's detection, colouring and compilation", "0.02×", "holds"),
        ("4 colours", "5 colours", "**does not hold**"),
        ("evaluation ≤ 1/8 × SciPy, 2-point", "", "not measured"),
        (f"{report.TRIDIAGONAL}: ≤ 10 × its entries", "11×", "**does not hold**"),
    ],
)
def test_sparse_goals_are_judged_by_the_numbers(text, measured, said):
    (goal,) = [g for g in GOALS if g.text == text and g.work in (SPARSE["bruss4"].title, "memory")]
    assert verdict(goal, RESULTS) == (measured, said)


def test_sweeps_stand_in_the_report():
    text = render(RESULTS)
    assert "| 1 (bands)" in text
    assert "| 6 (fwd)" in text


def test_evaluations_say_how_many_directions():
    workload, case = small("bruss3")
    found = {way: build() for way, build in sparse_peers.scipy(case, workload.derivative).items()}
    assert all(evaluation.sweeps >= 4 for evaluation in found.values())
    assert all(found[way].how == "differences" for way in found)


def test_memory_holds_the_result_at_least():
    """Twelve bytes for each entry; the process grows by no less than what tracemalloc saw of the arrays."""
    n = 3 * 10**5
    found = [peak.bytes / (3 * n - 2) for peak in memory._sparse(n)]
    assert len(found) == (2 if sys.platform == "linux" else 1)
    assert min(found) >= 12
    assert max(found) < 1.3 * min(found)  # two ways to count the same


def test_memory_is_named_as_the_goals_name_it(monkeypatch):
    monkeypatch.setattr(memory, "_tridiagonal", lambda n: 1)
    monkeypatch.setattr(memory.subprocess, "check_output", lambda command, text: "1")
    assert next(peak.what for peak in memory._sparse()) == report.TRIDIAGONAL
    assert {peak.what for peak in memory._sparse()} <= {report.TRIDIAGONAL, f"{report.TRIDIAGONAL}: its process"}
