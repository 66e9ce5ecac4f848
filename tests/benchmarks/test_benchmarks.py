"""The benchmarks measure what they say: right derivatives, named gaps, goals judged by the numbers. No timings."""

from __future__ import annotations

import os
import re
import socket

import numpy as np
import pytest

import mathdl as md
from benchmarks import peers, report, run
from benchmarks.memory import Peak
from benchmarks.peers import PEERS, Peer, check, is_installed
from benchmarks.report import GOALS, Goal, Results, Row, duration, render, verdict
from benchmarks.timing import Effort
from benchmarks.workloads import WORKLOADS

ONCE = Effort(rounds=1, batch=0.0)


@pytest.mark.parametrize("work", WORKLOADS)
def test_derivatives_by_hand_agree_with_mathdl(work):
    """`measure` compares before it times, and would raise."""
    found = run.measure(work, "mathdl", ONCE)
    assert {"floor", "by hand", "mathdl, traced"} <= {way for way, *_ in found["rows"]}
    assert all(seconds > 0 for _, seconds, *_ in found["rows"])


@pytest.mark.parametrize("work", WORKLOADS)
def test_a_wrong_derivative_is_not_timed(work, monkeypatch):
    workload = WORKLOADS[work]
    case = workload.make()

    def wrong(*args):
        truth = case.hand(*args)
        value, gradients = truth if isinstance(truth, tuple) else (None, [truth])
        gradients = [part * 1.001 for part in gradients]
        return gradients[0] if value is None else (value, gradients)

    monkeypatch.setitem(run.WORKLOADS, work, workload._replace(make=lambda: case._replace(hand=wrong)))
    with pytest.raises(AssertionError, match="off by"):
        run.measure(work, "mathdl", ONCE)


def test_the_check_looks_at_shapes_and_at_every_array():
    one = np.ones(2)
    check((1.0, [one, one]), (1.0, [one, one]), 1e-9)
    with pytest.raises(AssertionError, match="shape"):
        check(np.ones((1, 2)), one, 1e-9)
    with pytest.raises(AssertionError, match="off by"):
        check([one, one], [one, one + 1e-6], 1e-9)
    with pytest.raises(AssertionError, match="off by"):
        check(one * np.nan, one, 1e-9)
    with pytest.raises(ValueError, match="longer"):
        check([one], [one, one], 1e-9)


@pytest.mark.parametrize(
    ("work", "name"),
    [(work, name) for work in ("plane", "course") for name in WORKLOADS[work].peers if name != "mathdl"],
)
def test_each_peer_runs_in_a_process_of_its_own(work, name):
    if not is_installed(PEERS[name]):
        pytest.skip(f"{name} is not installed")
    found = run._child(work, name, True, {})
    assert found["notes"] == []
    assert found["rows"]


def collection(monkeypatch, quick=True, child=None, **extra):
    monkeypatch.setattr(run, "WORKLOADS", {"plane": WORKLOADS["plane"]._replace(peers=("mathdl", *extra))})
    monkeypatch.setattr(run, "PEERS", {"mathdl": PEERS["mathdl"], **extra})
    monkeypatch.setattr(run, "import_times", lambda codes, effort: [0.1, 0.101, 0.15])
    monkeypatch.setattr(run, "peaks", lambda: [])
    monkeypatch.setattr(run, "_child", child or (lambda work, name, quick, allocator: run.measure(work, name, ONCE)))
    return run._collect(quick)


def test_a_peer_that_is_not_installed_is_named(monkeypatch):
    results = collection(monkeypatch, absent=Peer("a_module_that_is_not_there", lambda case, derivative: {}))
    assert "absent is not installed: skipped" in results.notes
    assert "* absent is not installed: skipped" in render(results)
    assert {row.who for row in results.rows} >= {"floor", "mathdl, traced"}


def test_what_is_not_available_is_named(monkeypatch):
    monkeypatch.setitem(PEERS, "mathdl", PEERS["mathdl"]._replace(ways=lambda case, derivative: {
        way: None if "compiled" in way else build
        for way, build in peers._mathdl(case, derivative).items()
    }))  # fmt: skip
    found = run.measure("plane", "mathdl", ONCE)
    assert found["notes"] == ["R²→R², Jacobian: mathdl, compiled is not available"]
    assert "mathdl, compiled" not in {way for way, *_ in found["rows"]}


def test_a_peer_that_fails_is_named():
    found = run._child("plane", "nobody", True, {})
    assert found["rows"] == []
    assert found["notes"] == ["R²→R², Jacobian: nobody failed: KeyError: 'nobody'"]


def test_a_full_run_tries_both_allocators_and_a_quick_one_the_defaults(monkeypatch):
    tried = []

    def child(work, name, quick, allocator):
        tried.append(sorted(allocator))
        return {"rows": [("floor", 1.0, 0.0)], "notes": ["once"]}

    results = collection(monkeypatch, quick=False, child=child)
    assert tried == [[], ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"]] * run.PROCESSES
    assert results.notes == ["once"]
    tried.clear()
    collection(monkeypatch, quick=True, child=child)
    assert tried == [[]]


def test_the_best_process_is_quoted_with_its_own_floor():
    runs = {
        "defaults 0": {"rows": [("floor", 1.5, 0.0), ("mathdl, traced", 5.0, 0.4)]},
        "defaults 1": {"rows": [("floor", 1.0, 0.0), ("mathdl, traced", 4.0, 0.3)]},
        "kept 0": {"rows": [("floor", 2.0, 0.0), ("mathdl, traced", 3.0, 0.2)]},
    }
    floor, traced = run._rows("mlp", runs)
    assert floor == Row("mlp", "floor", 1.0, 1.0, 0.0, 1.0)
    assert traced == Row("mlp", "mathdl, traced", 3.0, 4.0, 0.2, 1.5)


RESULTS = Results(
    rows=[
        Row("plane", "floor", 1e-6, 1e-6, 0.0, 1.0),
        Row("plane", "mathdl, compiled", 0.5e-6, 0.6e-6, 2e-3, 0.5),
        Row("plane", "mathdl, traced", 50e-6, 60e-6, 0.0, 50.0),
        Row("plane", "SymPy, lambdify", 2e-6, 2e-6, 0.3),
        Row("plane", "SymPy, lambdify(cse)", 1e-6, 1e-6, 0.3),
        Row("mlp", "floor", 1e-4, 1e-4, 0.0, 1.0),
        Row("mlp", "mathdl, traced", 1.7e-4, 2e-4, 0.0, 1.7),
    ],
    notes=["torch is not installed: skipped"],
    peaks=[Peak("training gradient, traced", 130, "stored activations + gradients", 100.0)],
    imports=[0.004, 0.03],
    machine="A machine.",
)


@pytest.mark.parametrize(
    ("text", "measured", "said"),
    [
        ("compiled ≤ 0.6 × SymPy's lambdify", "0.5×", "holds"),  # of the better of SymPy's two
        ("traced ≤ 45 µs", "50 µs", "**does not hold**"),
        ("traced ≤ 1/5 × autograd", "", "not measured"),
        ("traced ≤ 1.8 × the bare matmuls", "1.7×", "holds"),
        ("≤ 20 ms over `import numpy`", "4 ms", "holds"),
        ("training gradient, traced: peak ≤ 1.2 × stored activations + gradients", "1.3×", "**does not hold**"),
    ],
)
def test_goals_are_judged_by_the_numbers(text, measured, said):
    (goal,) = [goal for goal in GOALS if goal.text == text]
    assert verdict(goal, RESULTS) == (measured, said)


def test_a_goal_at_its_limit_holds():
    assert verdict(Goal("work", "text", lambda results: 2.0, 2.0), RESULTS)[1] == "holds"


def test_goals_name_rows_that_are_there(monkeypatch):
    """With every row present, every goal is measured: no name in a goal is misspelt."""
    names = [
        *("floor", "mathdl, compiled", "mathdl, traced", "SymPy, lambdify", "SymPy, lambdify(cse)", "autograd"),
        *("jax.jacfwd, jit", "jax.value_and_grad, jit"),
    ]
    names += ["mathdl, auto", "mathdl, forward", "asdex, jit", "SciPy, 2-point", "mathdl.network.fit"]
    names += ["mathdl, in place", "torch, fused"]
    rows = [Row(work, who, 1.0, 1.0, 1.0, 1.0, 1) for work in run.WORKLOADS for who in names]
    whats = ["training gradient, compiled", "training gradient, traced", "hvp, n = 100,000"]
    whats += [f"vjp of f: Rⁿ→Rⁿ⁻¹, n = {n:,}" for n in (10**5, 10**6)]
    whats += [report.TRIDIAGONAL, f"{report.TRIDIAGONAL}: its process"]
    results = RESULTS._replace(rows=rows, peaks=[Peak(what, 1, "units", 1.0) for what in whats])
    assert {verdict(goal, results)[1] for goal in GOALS} <= {"holds", "**does not hold**"}


def test_the_report():
    text = render(RESULTS)
    assert re.search(r"3 of \d+ goals hold; 5 could be measured\.", text)
    assert re.search(r"\| mathdl, compiled +\| 500 ns +\| 0\.50 +\| 600 ns +\| 2 ms +\|", text)
    assert "A machine." in text
    assert "* torch is not installed: skipped" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:  # whole tables: each line has as many cells as the head, and the same width
        lines = table.splitlines()
        assert len({line.count("|") for line in lines}) == len({len(line) for line in lines}) == 1
    assert "## Missing" not in render(RESULTS._replace(notes=[]))


def test_durations():
    assert [duration(t) for t in (2.0, 0.0123, 45e-6, 5e-7)] == ["2 s", "12.3 ms", "45 µs", "500 ns"]


def test_the_machine_is_described_without_names_or_paths():
    said = run._machine()
    assert np.__version__ in said
    assert socket.gethostname() not in said
    assert os.path.dirname(md.__file__) not in said
    assert "/" not in said


def test_memory_goals_read_what_memory_says():
    """One real peak, to see that its name is the one that a goal asks for."""
    from benchmarks import memory

    found = {peak.what: peak for peak in memory._training()}
    results = RESULTS._replace(peaks=list(found.values()))
    (goal,) = [goal for goal in GOALS if goal.text.startswith("training gradient, traced")]
    assert goal.number(results) == pytest.approx(
        found["training gradient, traced"].bytes / found["training gradient, traced"].units
    )
    assert report.verdict(goal, results)[1] == "holds"
