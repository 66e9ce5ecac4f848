"""Patterns: every entry that can be other than zero is in them, and few others, for all inputs of the shape."""

from __future__ import annotations

import cases
import numpy as np
import pieces
import programs
import pytest
import structured
from hypothesis import HealthCheck, given, reject, settings
from scipy import sparse
from structured import CASES

import mathdl as md
from mathdl.errors import NotDifferentiable

pytestmark = pytest.mark.filterwarnings("ignore::mathdl.errors.DensePattern")
QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
METHODS = ["forward", "auto"]  # patterns are found in two ways: by sets of columns, and by diagonals


def planned(f, *args, **how):
    with np.errstate(all="ignore"):
        return md.sparse.jacobian(f, *args, **how)


def pattern_of(f, *args, **how):
    return planned(f, *args, **how).pattern.toarray()


def holds(pattern, needed):
    assert pattern.shape == needed.shape
    missing = np.argwhere(needed & ~pattern)
    assert not len(missing), f"missing: {missing[:5].tolist()} of {len(missing)}"


# ------------------------------------------------------------------------------------------------------ known functions
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_the_pattern_is_the_union_of_what_is_met(name, method):
    case = CASES[name]
    needed = structured.union(case.f, structured.points(case))
    pattern = planned(case.f, structured.point(case), method=method).pattern
    canonical(pattern)
    found = pattern.toarray()
    holds(found, needed)
    assert np.sum(found & ~needed) <= case.extra


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_the_pattern_does_not_depend_on_the_point(name, method):
    case = CASES[name]
    wanted = pattern_of(case.f, structured.point(case), method=method)
    for x in structured.points(case, 0)[:3:2]:
        try:
            found = pattern_of(case.f, x, method=method)
        except NotDifferentiable:  # two equal eigenvalues, at this point
            assert case in structured.ALGEBRA.values()
            continue
        np.testing.assert_array_equal(found, wanted)


def canonical(pattern):
    assert isinstance(pattern, sparse.csr_array)
    assert pattern.dtype == bool
    assert pattern.data.all()
    same = sparse.csr_array(pattern.toarray())
    np.testing.assert_array_equal(pattern.indptr, same.indptr)
    np.testing.assert_array_equal(pattern.indices, same.indices)


def test_points_reach_every_kind():
    """The oracle itself: what it finds for a function whose pattern is written down here."""
    needed = structured.union(structured.upwind, structured.points(CASES["upwind"]))
    n = len(needed)
    wanted = np.eye(n) + np.roll(np.eye(n), 1, axis=1) + np.roll(np.eye(n), -1, axis=1)
    np.testing.assert_array_equal(needed, wanted > 0)


# --------------------------------------------------------------------------------------- every function that has a rule
RULES = {
    **{f"{f.__name__} {k}": case for f, row in cases.ELEMENTWISE.items() for k, case in enumerate(row)},
    **{f"{f.__module__}.{f.__name__} {k}": case for f, row in cases.OTHER.items() for k, case in enumerate(row)},
    **{f"special.{name} {k}": case for name, row in cases.SPECIAL_CASES.items() for k, case in enumerate(row)},
    **{f"power {k}": case for k, case in enumerate(cases.POWERS)},
    **{f"x[{name}]": case for name, case in cases.INDEXING.items()},
}
REFUSED = {
    "x[mask of the value]",
    *("numpy.trim_zeros 0", "numpy.polymul 0", "numpy.polymul 1", "numpy.piecewise 0", "numpy.piecewise 1"),
    "numpy.geomspace 0",
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RULES)
def test_every_rule(name, method):
    f, x = RULES[name]
    x = np.asarray(x)
    if name in REFUSED:
        with pytest.raises(NotDifferentiable):
            planned(f, x)
        return
    plan = planned(f, x, method=method)
    draw = np.random.default_rng(2)
    for point in (x, x * draw.uniform(0.95, 1.05, x.shape), draw.permutation(x.ravel()).reshape(x.shape)):
        try:
            wanted = structured.matrix(f, point)
        except (NotDifferentiable, np.linalg.LinAlgError):  # equal eigenvalues, a matrix that is not definite
            assert point is not x
            continue
        holds(plan.pattern.toarray(), (wanted != 0) & ~np.isnan(wanted))
        if np.isfinite(wanted).all():
            scale = 1e-12 * max(1.0, float(np.max(np.abs(wanted), initial=0)))
            np.testing.assert_allclose(plan(point).toarray(), wanted, rtol=1e-9, atol=scale)


# ------------------------------------------------------------------------------------------------------ random programs
@QUIET
@given(f=programs.STRAIGHT, x=programs.points())
def test_random_programs(f, x):
    """Those that the engine is tested with: all ranks, lists, and layouts in memory."""
    try:
        plan = planned(f, x)
    except NotDifferentiable:
        reject()
    for point in (x, 0.9 * x, 0.0 * x):
        wanted = structured.matrix(f, point)
        holds(plan.pattern.toarray(), (wanted != 0) & ~np.isnan(wanted))


@QUIET
@given(f=pieces.PROGRAMS, n=pieces.LENGTHS)
def test_random_pieces(f, n):
    """Slices, joins, choices and sums, so that the matrices are sparse: by both ways, and at special points."""
    points = structured.points(structured.Case(f, (n,)), 4)
    needed = structured.union(f, points)
    for method in METHODS:
        holds(pattern_of(f, points[-1], method=method), needed)


def test_few_entries_are_superfluous():
    """Without choices and zeros only what is taken from itself again: the difference of one entry with itself."""
    superfluous, all_needed = 0, 0
    for seed in range(100):
        f, n = pieces.program(seed, 1 + seed % 6, pieces.STRAIGHT_PIECES), 1 + seed % 9
        points = structured.points(structured.Case(f, (n,)), 4)[-4:]
        needed = structured.union(f, points)
        for method in METHODS:
            superfluous += np.sum(pattern_of(f, points[0], method=method) & ~needed)
            all_needed += np.sum(needed)
    assert all_needed > 1000
    assert superfluous <= 0.02 * all_needed


# ---------------------------------------------------------------------------------- what is fixed, and what is an input
def test_other_arguments_may_hold_zeros_that_do_not_stay():
    """Zeros in an argument say nothing about the next call; zeros that the function captures do."""
    zeros, x = np.zeros(5), np.arange(1.0, 6.0)

    def f(x, weight, mask):
        return np.concatenate(
            [weight * x[1:], np.where(mask, x[1:], x[:-1]), (weight * mask) @ np.eye(4)[:, :2] * x[:2]]
        )

    wanted = pattern_of(f, x, np.arange(1.0, 5.0), np.array([True, False, True, False]))
    found = pattern_of(f, x, np.zeros(4), np.zeros(4, bool))
    np.testing.assert_array_equal(found, wanted)
    plan = planned(f, x, np.zeros(4), np.zeros(4, bool))
    rng = np.random.default_rng(0)
    for _ in range(3):
        args = x * rng.normal(size=5), rng.normal(size=4), rng.random(4) < 0.5
        np.testing.assert_allclose(plan(*args).toarray(), md.jacobian(f)(*args), rtol=1e-13)
    assert pattern_of(lambda x: zeros * x, x).sum() == 0


def test_numbers_that_are_arguments_may_be_zero():
    def f(x, a):
        return a * np.diff(x)

    plan = planned(f, np.ones(4), 0.0)
    np.testing.assert_array_equal(plan.pattern.toarray(), pattern_of(f, np.ones(4), 2.0))
    np.testing.assert_allclose(plan(np.ones(4), 3.0).toarray(), md.jacobian(f)(np.ones(4), 3.0))


def test_indices_that_are_arguments_may_be_others():
    """Labels: any entry of the row can be asked for in the next call."""

    def f(x, labels):
        return x[np.arange(3), labels] ** 2

    x = np.random.default_rng(0).normal(size=(3, 4))
    plan = planned(f, x, np.array([0, 0, 0]))
    for labels in (np.array([0, 0, 0]), np.array([3, 1, 2])):
        np.testing.assert_allclose(plan(x, labels).toarray().reshape(3, 3, 4), md.jacobian(f)(x, labels), rtol=1e-13)


def test_matrices_that_are_arguments_may_be_full():
    def f(x, a):
        return a @ x

    x, rng = np.ones(4), np.random.default_rng(0)
    plan = planned(f, x, np.eye(4))
    full = rng.normal(size=(4, 4))
    np.testing.assert_allclose(plan(x, full).toarray(), full, rtol=1e-13)


def test_inputs_of_zero_do_not_hide_products():
    """At zero all of these have a Jacobian of zeros."""
    for f in (lambda x: x[1:] * x[:-1], lambda x: x**2, lambda x: np.outer(x, x), lambda x: x @ x, np.prod):
        found = pattern_of(f, np.zeros(5))
        np.testing.assert_array_equal(found, structured.union(f, [np.arange(1.0, 6.0)]))
