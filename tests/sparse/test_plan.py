"""Plans: the same numbers as `mathdl.jacobian`, by every method; what a plan says of itself; what it refuses."""

from __future__ import annotations

import functools
import inspect
import pickle
import re
import warnings

import numpy as np
import pieces
import pytest
import structured
from hypothesis import HealthCheck, given, settings
from scipy import integrate, optimize, sparse
from scipy.sparse.linalg import LinearOperator, gmres
from structured import CASES

import mathdl as md
from mathdl.errors import DensePattern, InvalidInput, MathdlError, NotDifferentiable

pytestmark = pytest.mark.filterwarnings("ignore::mathdl.errors.DensePattern")
COLOURED = ["forward", "reverse", "bicoloring"]
METHODS = ["auto", "bands", "factored", *COLOURED, "dense"]
QUIET = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=40)


def planned(f, *args, **how):
    with np.errstate(all="ignore"):
        return md.sparse.jacobian(f, *args, **how)


def planned_if_it_applies(f, x, method):
    """A plan, or None where bands or factors are asked for, and the function has none: that is said by name."""
    try:
        return planned(f, x, method=method)
    except NotDifferentiable as error:
        if method in ("bands", "factored") and "no diagonals" in str(error):
            return None
        raise


def close(found, wanted):
    """Equal up to rounding, relative to the largest entry; where all entries cancel, to numbers of moderate size."""
    assert found.shape == wanted.shape
    eps = np.finfo(wanted.dtype).eps
    np.testing.assert_allclose(found, wanted, rtol=1e4 * eps, atol=1e3 * eps * np.max(np.abs(wanted), initial=0.1))


@functools.cache
def known(case):
    """Seven points of a case, or fewer, with the Jacobian at each, where there is one."""
    found, candidates = [], structured.points(case, 3)
    for x in candidates[:5] + candidates[-3:]:
        try:
            wanted = structured.matrix(case.f, x)
        except NotDifferentiable:
            continue
        if np.isfinite(wanted).all():
            found.append((x, wanted))
    return found


# ---------------------------------------------------------------------------------------------------------- the numbers
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", CASES)
def test_every_method_gives_the_jacobian(name, method):
    case = CASES[name]
    plan = planned_if_it_applies(case.f, structured.point(case), method)
    if plan is None:
        return
    assert method in ("auto", plan.method)
    for x, wanted in known(case):
        found = plan(x)
        assert isinstance(found, sparse.csr_array)
        assert found.dtype == wanted.dtype == case.dtype
        close(found.toarray(), wanted)
        np.testing.assert_array_equal(found.indices, plan.pattern.indices)
        np.testing.assert_array_equal(found.indptr, plan.pattern.indptr)


@pytest.mark.parametrize("name", CASES)
def test_products(name):
    case = CASES[name]
    plan = planned(case.f, structured.point(case))
    m, n = plan.shape
    rng = np.random.default_rng(5)
    v, u, block = (rng.normal(size=size).astype(case.dtype) for size in (n, m, (n, 3)))
    for x, wanted in known(case)[-2:]:
        close(plan.matvec(x, v), wanted @ v)
        close(plan.rmatvec(x, u), u @ wanted)
        operator = plan.linear_operator(x)
        assert isinstance(operator, LinearOperator)
        assert operator.shape == (m, n)
        assert operator.dtype == case.dtype
        close(operator.matvec(v), wanted @ v)
        close(operator.rmatvec(u), u @ wanted)
        close(operator.matmat(block), wanted @ block)


@QUIET
@given(f=pieces.PROGRAMS, n=pieces.LENGTHS)
def test_random_programs(f, n):
    case = structured.Case(f, (n,))
    points = known.__wrapped__(case)
    for method in METHODS:
        plan = planned_if_it_applies(f, structured.point(case), method)
        for x, wanted in points if plan is not None else []:
            close(plan(x).toarray(), wanted)


@pytest.mark.parametrize("layout", ["read-only", "strided", "reversed", "fortran"])
def test_memory_layouts(layout):
    case = CASES["laplace, padded"]
    plan = planned(case.f, structured.point(case))
    x = structured.point(case, 3)
    wanted = plan(x).toarray()
    given = {
        "read-only": lambda: x.copy(),
        "strided": lambda: np.repeat(x, 2, axis=1)[:, ::2],
        "reversed": lambda: x[::-1, ::-1].copy()[::-1, ::-1],
        "fortran": lambda: np.asfortranarray(x),
    }[layout]()
    given.flags.writeable = layout != "read-only"
    np.testing.assert_array_equal(plan(given).toarray(), wanted)
    close(planned(case.f, given)(x).toarray(), wanted)
    np.testing.assert_array_equal(given, x)


def test_results_are_independent_of_each_other():
    plan = planned(structured.periodic, np.ones(12))
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 12))
    first = plan(x)
    kept = first.toarray()
    second = plan(y)
    assert not np.shares_memory(first.data, second.data)
    np.testing.assert_array_equal(first.toarray(), kept)
    first.data[:] = 7.0
    np.testing.assert_array_equal(plan(x).toarray(), kept)


@pytest.mark.parametrize("method", ["bands", *COLOURED, "dense"])
def test_a_linear_function_has_a_new_matrix_in_each_call(method):
    """Nothing is computed: still the caller may write into what it got."""
    plan = planned(np.diff, np.ones(6), method=method)
    first = plan(np.ones(6))
    first.data *= 0.0
    np.testing.assert_array_equal(plan(np.ones(6)).toarray(), np.diff(np.eye(6), axis=0))


@pytest.mark.parametrize("method", ["bands", *COLOURED, "dense"])
def test_the_structure_is_shared_and_read_only(method):
    plan = (
        planned(structured.burgers, np.ones(12), method=method)
        if method != "bands"
        else planned(structured.periodic, np.ones(12), method=method)
    )
    one, two = plan(np.zeros(12)), plan(np.ones(12))
    for name in ("indices", "indptr"):
        arrays = [getattr(matrix, name) for matrix in (one, two, plan.pattern)]
        assert all(np.shares_memory(arrays[0], array) for array in arrays)
        for array in arrays:
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        plan.pattern.data[0] = False
    assert one.nnz == plan.pattern.nnz  # zeros are stored
    assert one.has_canonical_format
    changed = one.copy()
    changed.indices[0] = 1
    changed.data[:] = 3.0
    assert plan(np.zeros(12)).indices[0] == one.indices[0]


def test_scipy_can_work_with_the_matrix():
    plan = planned(structured.dirichlet, np.ones(12))
    x = structured.point(CASES["dirichlet"])
    j, dense = plan(x), structured.matrix(structured.dirichlet, x)
    close((j @ j.T).toarray(), dense @ dense.T)
    close((2 * j + sparse.eye_array(12)).toarray(), 2 * dense + np.eye(12))
    close(j.tocsc().toarray(), dense)
    close(j[2:5, ::2].toarray(), dense[2:5, ::2])
    close(sparse.linalg.spsolve(j.tocsc(), np.ones(12)), np.linalg.solve(dense, np.ones(12)))
    close(j.T.toarray(), dense.T)
    assert pickle.loads(pickle.dumps(j)).nnz == j.nnz
    with_zeros = plan(np.zeros(12))
    with_zeros = with_zeros.copy()
    with_zeros.eliminate_zeros()
    solution, flag = gmres(plan.linear_operator(x), np.ones(12), rtol=1e-10)
    assert flag == 0
    np.testing.assert_allclose(dense @ solution, np.ones(12), rtol=1e-6)


# ------------------------------------------------------------------------------------------------------------- factored
@pytest.mark.parametrize("name", structured.FACTORED)
def test_factors(name):
    case = CASES[name]
    plan = planned(case.f, structured.point(case), method="factored")
    assert plan.method == "factored"
    assert plan.sweeps == 1
    for x, wanted in known(case)[-3:]:
        s, u, v = plan.factors(x)
        assert u.shape[1] == v.shape[0] < min(wanted.shape)
        close((s + u @ v).toarray(), wanted)
        assert s.dtype == u.dtype == v.dtype == wanted.dtype
    assert s.nnz + u.nnz + v.nnz < np.count_nonzero(wanted)


@pytest.mark.parametrize("name", structured.FACTORED)
def test_factors_are_chosen_where_they_are_smaller(name):
    case = CASES[name]
    assert planned(case.f, structured.point(case)).method == "factored"


def test_large_factored_jacobians_are_not_multiplied_out():
    n = 10**4
    x = np.random.default_rng(0).uniform(1.0, 2.0, n)
    plan = planned(lambda x: x / np.sum(x), x)
    assert plan.method == "factored"
    with pytest.raises(InvalidInput, match=r"factors.*linear_operator"):
        plan(x)
    total, v = np.sum(x), np.cos(np.arange(n))
    wanted = v / total - x * np.sum(v) / total**2
    operator = plan.linear_operator(x)
    np.testing.assert_allclose(operator @ v, wanted, rtol=1e-10, atol=1e-18)
    np.testing.assert_allclose(plan.matvec(x, v), wanted, rtol=1e-10, atol=1e-18)
    s, u, w = plan.factors(x)
    np.testing.assert_allclose(s @ v + u @ (w @ v), wanted, rtol=1e-10, atol=1e-18)
    pulled = v / total - np.sum(x * v) / total**2
    np.testing.assert_allclose(operator.T @ v, pulled, rtol=1e-10, atol=1e-18)
    np.testing.assert_allclose(plan.rmatvec(x, v), pulled, rtol=1e-10, atol=1e-18)
    assert "factored" in repr(plan)
    assert (s.nnz, u.shape, w.shape) == (n, (n, 1), (1, n))


def test_softmax_of_a_long_vector_is_factored():
    """As it is written everywhere: the largest entry is taken off before."""
    n = 10**4
    x = np.random.default_rng(0).normal(size=n)
    plan = planned(structured.softmax, x)
    assert plan.method == "factored"
    y, v = structured.softmax(x), np.cos(np.arange(n))
    np.testing.assert_allclose(plan.linear_operator(x) @ v, y * (v - y @ v), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("method", ["bands", *COLOURED, "dense"])
def test_only_factored_plans_have_factors(method):
    plan = planned(np.diff, np.ones(5), method=method)
    with pytest.raises(InvalidInput, match="factored"):
        plan.factors(np.ones(5))


# ------------------------------------------------------------------------------------------- what a plan says of itself
def lines_up(pattern, colors):
    """Whether columns of one colour share no row."""
    pairs = {(i, int(colors[j])) for i, j in zip(*pattern.nonzero(), strict=True)}
    return len(pairs) == pattern.nnz


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", ["brusselator", "arrowhead", "laplace with walls", "unused inputs", "dae", "long, centred"]
)
def test_what_a_plan_says_of_itself(name, method):
    case = CASES[name]
    plan = planned_if_it_applies(case.f, structured.point(case), method)
    if plan is None:
        return
    needed = structured.union(case.f, structured.points(case))
    m, n = plan.shape
    assert plan.shape == needed.shape == plan.pattern.shape
    assert plan.density == plan.pattern.nnz / (m * n)
    assert method in ("auto", plan.method)
    assert plan.method in METHODS
    assert plan.reason
    assert len(plan.reason) > 20
    np.testing.assert_array_equal(plan.empty_rows, np.flatnonzero(~plan.pattern.toarray().any(axis=1)))
    np.testing.assert_array_equal(plan.empty_columns, np.flatnonzero(~plan.pattern.toarray().any(axis=0)))
    if plan.method == "reverse":
        assert lines_up(plan.pattern.T, plan.colors)
        assert len(plan.colors) == m
        assert plan.sweeps == plan.colors.max() + 1
    elif plan.method == "bicoloring":
        of_rows, of_columns = plan.colors
        assert (len(of_rows), len(of_columns)) == (m, n)
        assert plan.sweeps == of_rows.max() + 1 + of_columns.max() + 1
        for i, j in zip(*plan.pattern.nonzero(), strict=True):  # each entry is read off its row's or its column's sweep
            row, column = plan.pattern.toarray()[i], plan.pattern.toarray()[:, j]
            alone_in_row = of_columns[j] >= 0 and np.sum(row & (of_columns == of_columns[j])) == 1
            alone_in_column = of_rows[i] >= 0 and np.sum(column & (of_rows == of_rows[i])) == 1
            assert alone_in_row or alone_in_column
    else:
        assert lines_up(plan.pattern, plan.colors)
        assert len(plan.colors) == n
        wanted = {"bands": 1, "factored": 1, "dense": min(m, n)}.get(plan.method, plan.colors.max() + 1)
        assert plan.sweeps == wanted


def test_the_brusselator_needs_four_colours():
    for n in (4, 50):

        def f(x, n=n):
            u, v = x[:n], x[n:]
            du = np.concatenate([[1.0], u, [1.0]])
            dv = np.concatenate([[3.0], v, [3.0]])
            return np.concatenate(
                [1 + u**2 * v - 4 * u + np.diff(du, 2), 3 * u - u**2 * v + np.diff(dv, 2)],
            )

        assert planned(f, np.ones(2 * n), method="forward").sweeps == 4
        assert planned(f, np.ones(2 * n)).colors.max() == 3


def test_it_is_chosen_by_structure():
    """Each way where it is the natural one."""
    x = np.random.default_rng(0).uniform(1.0, 2.0, 200)
    table = np.random.default_rng(0).permutation(200)
    chosen = {
        "bands": (lambda x: np.diff(x) ** 2, 1),
        "factored": (lambda x: x / np.sum(x), 1),
        "forward": (lambda x: np.sort(np.reshape(x[table], (50, 4))), 4),
        "reverse": (lambda x: np.quantile(np.reshape(x[table], (10, 20)), 0.3, axis=1), 1),
    }
    for method, (f, sweeps) in chosen.items():
        plan = planned(f, x)
        assert (plan.method, plan.sweeps) == (method, sweeps)
        close(plan(x).toarray(), structured.matrix(f, x))


def test_long_rows_and_long_columns_are_coloured_both_ways():
    """An arrowhead with a maximum, which has no diagonals: one row and two columns are long."""

    def f(x):
        return np.concatenate([[np.max(x)], np.sort(np.stack([x[1:], 0.0 * x[1:]]), axis=0)[0] * x[0]])

    x = np.random.default_rng(0).normal(size=60)
    plan = planned(f, x)
    assert plan.method == "bicoloring"
    assert plan.sweeps <= 4
    close(plan(x).toarray(), md.jacobian(f)(x))


def test_dense_patterns_are_named():
    def f(x):
        return np.linalg.solve(np.outer(x, x) + 9 * np.eye(7), np.sort(x))

    with pytest.warns(DensePattern, match=r"density of 1\b") as caught:
        plan = md.sparse.jacobian(f, np.arange(7.0))
    assert caught[0].filename == __file__
    assert plan.method == "dense"
    assert plan.sweeps == 7
    assert "density" in plan.reason
    close(plan(np.ones(7) + np.arange(7)).toarray(), md.jacobian(f)(np.ones(7) + np.arange(7)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        md.sparse.jacobian(np.diff, np.ones(7))


def test_asked_for_dense_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert md.sparse.jacobian(np.sort, np.arange(9.0), method="dense").method == "dense"


# ----------------------------------------------------------------------------------------------------------------- repr
def test_repr_draws_the_pattern():
    text = repr(planned(np.diff, np.ones(60)))
    assert any("⠀" < letter <= "⣿" for letter in text)
    assert "59" in text
    assert "60" in text
    assert "bands" in text
    for method, word in (("forward", "2"), ("reverse", "2"), ("dense", "59")):
        text = repr(planned(np.diff, np.ones(60), method=method))
        assert method in text
        assert re.search(rf"\b{word}\b", text)


def test_repr_names_empty_rows_and_columns():
    plan = planned(lambda x: np.concatenate([[1.0], x[3:6] ** 2, np.zeros(1)]), np.ones(8))
    text = repr(plan)
    assert re.search(r"2 empty rows.*0, 4", text)
    assert re.search(r"5 empty columns.*0, 1, 2, 6, 7", text)
    assert "empty" not in repr(planned(np.sin, np.ones(8)))
    many = repr(planned(lambda x: x[:1] * 2.0, np.ones(1000)))
    assert "999 empty columns" in many
    assert max(map(len, many.splitlines())) < 200


@pytest.mark.parametrize(
    "name", ["no inputs", "no outputs", "a number of a number", "constant", "no inputs, some outputs"]
)
def test_repr_of_nothing(name):
    case = CASES[name]
    for method in METHODS:
        plan = planned_if_it_applies(case.f, structured.point(case), method)
        if plan is not None:
            assert plan.method in repr(plan)


def test_signature_and_docstrings():
    assert list(inspect.signature(md.sparse.jacobian).parameters) == ["f", "args", "argnum", "method"]
    for thing in (md.sparse.jacobian, md.sparse.hessian, md.sparse.Plan):
        assert inspect.getdoc(thing)


# ----------------------------------------------------------------------------------------------------------- the source
@pytest.mark.parametrize("method", ["bands", *COLOURED, "dense"])
@pytest.mark.parametrize("name", ["brusselator", "diff", "periodic", "laplace with walls", "unused inputs", "springs"])
def test_the_source_runs_by_itself(name, method):
    case = CASES[name]
    plan = planned_if_it_applies(case.f, structured.point(case), method)
    if plan is None:
        return
    space = dict(plan.constants)
    before = set(space) | {"__builtins__", "np", "numpy"}
    exec(plan.source, space)
    functions = [thing for key, thing in space.items() if key not in before and callable(thing)]
    assert functions
    x = structured.point(case, 7)
    np.testing.assert_array_equal(np.ravel(functions[-1](x)), plan(x).data)


def test_the_source_is_straight_line():
    for method in ("bands", "forward", "reverse"):
        source = planned(structured.brusselator, np.ones(12), method=method).source
        assert "import numpy as np" in source or "np." in source
        assert "mathdl" not in source
        assert not re.search(r"^\s*(for|while|if)\b", source, re.MULTILINE)
    assert "def " in source


# ------------------------------------------------------------------------------------------------------ what is refused
@pytest.mark.parametrize(
    ("point", "came"),
    [
        (np.ones(11), r"shape \(11,\)"),
        (np.ones((12, 1)), r"shape \(12, 1\)"),
        (np.ones(12, np.float32), "float32"),
        (np.ones(12, int), "int"),
        (np.ones(12, complex), "complex"),
        ([1.0] * 12, "list"),
        (1.0, "float"),
        (None, "None"),
    ],
)
@pytest.mark.parametrize("method", ["bands", "forward", "reverse", "dense"])
def test_another_shape_or_type_is_refused(point, came, method):
    plan = planned(structured.periodic, np.ones(12), method=method)
    for call in (
        plan,
        plan.linear_operator,
        lambda x: plan.matvec(x, np.ones(12)),
        lambda x: plan.rmatvec(x, np.ones(12)),
    ):
        with pytest.raises(InvalidInput, match=came):
            call(point)


def test_the_number_of_arguments():
    plan = planned(structured.periodic, np.ones(12))
    for args in ((), (np.ones(12), np.ones(12))):
        with pytest.raises((TypeError, InvalidInput)):
            plan(*args)


@pytest.mark.parametrize("vector", [np.ones(11), np.ones((12, 1)), np.ones(()), np.ones((2, 12))])
def test_vectors_must_fit(vector):
    plan = planned(structured.periodic, np.ones(12))
    for product in (plan.matvec, plan.rmatvec):
        with pytest.raises(InvalidInput, match=r"\(12,\)"):
            product(np.ones(12), vector)
    with pytest.raises(InvalidInput):
        plan.matvec(np.ones(12))


@pytest.mark.parametrize("method", METHODS)
def test_captured_arrays_may_not_change(method):
    weight = np.arange(1.0, 41.0)
    shapes = {"factored": lambda x: weight * x / np.sum(x)}
    f = shapes.get(method, lambda x: weight[1:] * np.diff(x) ** 2)
    x = np.random.default_rng(0).uniform(1.0, 2.0, 40)
    plan = planned(f, x, method=method)
    close(plan(x).toarray(), md.jacobian(f)(x))
    weight[3] = 0.0
    for call in (plan, plan.linear_operator, lambda x: plan.matvec(x, x)):
        with pytest.raises(InvalidInput, match="weight"):
            call(x)
    weight[3] = 4.0
    close(plan(x).toarray(), md.jacobian(f)(x))


@pytest.mark.parametrize("method", ["auto", "forward", "reverse", "dense"])
def test_captured_arrays_that_values_index(method):
    """After a change of these, or of what else is captured, the result is right, or refused."""
    levels, weight, full = np.array([-1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 2.0]), np.zeros((4, 4))
    mask, places = np.array([True, False, True, False]), np.array([0, 0, 1, 2])

    def f(x):
        step = levels[np.searchsorted([-0.5, 0.5], x)]
        return step * x * weight + full @ np.roll(x, 1) + np.where(mask, np.roll(x, 1), 0.0) + x[places]

    x = np.array([1.0, 2.0, 3.0, -1.0])
    plan = planned(f, x, method=method)
    close(plan(x).toarray(), md.jacobian(f)(x))
    for array, place, new in ((levels, 2, 5.0), (weight, 1, 5.0), (full, (1, 2), 5.0), (mask, 1, True), (places, 0, 3)):
        before = array[place]
        array[place] = new
        try:
            found, product = plan(x), plan.matvec(x, x)
        except InvalidInput:
            pass
        else:
            close(found.toarray(), md.jacobian(f)(x))
            close(product, md.jacobian(f)(x) @ x)
        array[place] = before


def test_captured_numbers_may_not_change():
    settings = {"k": 1}

    def f(x):
        return np.roll(x, settings["k"]) * x

    plan = planned(f, np.ones(6))
    settings["k"] = 2
    with pytest.raises(InvalidInput):
        plan(np.ones(6))


def looping(x):
    while x[0] > 1:
        x = x / 2
    return x


BRANCHES = {
    "if": lambda x: np.diff(x) if x[0] > 0 else np.diff(x) ** 2,
    "while": looping,
    "mask": lambda x: x[x > 0] ** 2,
    "nonzero": lambda x: x[np.nonzero(x > 0)],
    "float": lambda x: x * float(x[0]),
    "int": lambda x: x[: int(np.argmax(x)) + 1],
    "max of Python": lambda x: max(x[0], x[1]) * x,
    "all": lambda x: np.sin(x) if np.all(x > 0) else x,
    "in the middle": lambda x: np.where(x > 0, x, 1.0) * (2.0 if np.sum(x) > 0 else 1.0),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BRANCHES)
def test_branches_on_values_are_refused(name, method):
    with pytest.raises(NotDifferentiable, match=r"test_plan.py:\d+"):
        planned(BRANCHES[name], np.array([0.5, 1.0, 2.0]), method=method)


UNTRACEABLE = {
    "in place": lambda x: np.put(np.zeros(3), [0], x),
    "no rule": lambda x: np.fft.fft(x).real,
    "foreign": lambda x: np.array(sorted(x)),
    "two results": lambda x: (x, x[1:]),
    "None": lambda x: None,
    "a string": lambda x: "no",
    "complex": lambda x: x * 1j,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", UNTRACEABLE)
def test_what_cannot_be_followed_is_refused_by_name(name, method):
    with pytest.raises(MathdlError):
        planned(UNTRACEABLE[name], np.ones(3), method=method)


def test_its_own_errors_come_through():
    def f(x):
        return x[5]

    for method in ("auto", "bands", "forward"):
        with pytest.raises(IndexError):
            planned(f, np.ones(3), method=method)
        with pytest.raises(ZeroDivisionError):
            planned(lambda x: x * (1 // 0), np.ones(3), method=method)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ((np.diff, np.arange(5)), "x"),
        ((np.diff, np.ones(5, complex)), "x"),
        ((np.diff, {"a": np.ones(3)}), "x"),
        ((np.diff,), "argnum"),
        ((3, np.ones(3)), "f"),
    ],
)
def test_what_cannot_be_planned(given, match):
    with pytest.raises(MathdlError, match=match):
        md.sparse.jacobian(*given)


def test_names_of_methods():
    with pytest.raises(InvalidInput, match="'bands'"):
        md.sparse.jacobian(np.diff, np.ones(3), method="banded")
    with pytest.raises(InvalidInput, match="argnum"):
        md.sparse.jacobian(np.diff, np.ones(3), argnum=1)


def test_bands_that_are_none_name_the_step():
    for method in ("bands", "factored"):
        with pytest.raises(NotDifferentiable, match=r"sort|take|gather"):
            planned(lambda x: np.sort(x), np.ones(9), method=method)


def test_patterns_that_are_too_large():
    with pytest.raises(InvalidInput, match="entries"):
        planned(lambda x: np.sort(x)[::-1], np.ones(8000), method="forward")


def test_random_numbers_inside_are_refused():
    generator = np.random.default_rng(0)
    with pytest.raises(NotDifferentiable):
        planned(lambda x: generator.normal(size=5) * x, np.ones(5))
    with pytest.raises(NotDifferentiable):
        planned(lambda x: generator.normal() * np.sort(x), np.ones(5))


def test_rounding_is_no_reason_to_refuse():
    """Where all of a row cancels, two ways to compute it have nothing in common but that they are nearly zero."""
    x = np.random.default_rng(0).normal(size=20)
    for f in (
        lambda x: np.sin(x) ** 2 + np.cos(x) ** 2,
        lambda x: np.sum(structured.softmax(np.reshape(x, (4, 5))), axis=1),
        lambda x: np.corrcoef(np.reshape(x, (4, 5))),
        lambda x: x * np.sum(x) / np.sum(x) / x,
        lambda x: structured.softmax(1e3 * x),
        lambda x: x.astype(np.float32) * 2,
    ):
        for method in ("auto", "forward", "reverse"):
            found = planned(f, x, method=method)(x).toarray()
            np.testing.assert_allclose(found, structured.matrix(f, x), atol=1e-13)


def test_inside_another_derivative_it_is_refused():
    with pytest.raises(NotDifferentiable):
        md.grad(lambda x: np.sum(md.sparse.jacobian(np.diff, x)(x).data))(np.ones(4))
    plan = planned(lambda x: np.diff(x) ** 2, np.ones(4))
    with pytest.raises(MathdlError):
        md.grad(lambda x: np.sum(plan(x).data))(np.ones(4))


# --------------------------------------------------------------------------------------------- several arguments, trees
def test_the_second_argument():
    def rhs(t, y, p):
        return np.concatenate([p["k"] * np.diff(y) * t, [y[0] ** 2 - p["b"][1]]])

    y, p = np.arange(1.0, 8.0), {"k": np.array(2.0), "b": np.ones(3)}
    for method in ("auto", "forward", "reverse", "bands"):
        plan = planned(rhs, 0.0, y, p, argnum=1, method=method)
        for t, q in ((0.0, p), (1.5, {"k": np.array(-3.0), "b": np.zeros(3)})):
            close(plan(t, y + t, q).toarray(), md.jacobian(lambda y, t=t, q=q: rhs(t, y, q))(y + t))
            close(plan.matvec(t, y, q, np.ones(7)), plan(t, y, q) @ np.ones(7))
            close(plan.rmatvec(t, y, q, np.ones(7)), plan(t, y, q).T @ np.ones(7))
            close(plan.linear_operator(t, y, q) @ np.ones(7), plan(t, y, q) @ np.ones(7))
    same = planned(rhs, 0.0, y, p, argnum=-2)
    close(same(0.5, y, p).toarray(), plan(0.5, y, p).toarray())
    with pytest.raises(InvalidInput):
        plan(0.0, y, {"k": np.array(2.0)})


def test_the_same_array_twice():
    plan = planned(lambda x, y: x * np.roll(y, 1), np.ones(4), np.ones(4))
    x = np.arange(4.0)
    close(plan(x, x).toarray(), np.diag(np.roll(x, 1)))


# -------------------------------------------------------------------------------------------------------------- solvers
def reaction(t, y):
    u, v = y[:20], y[20:]
    left, right = np.concatenate([[1.0], u, [1.0]]), np.concatenate([[3.0], v, [3.0]])
    spread = 0.02 * 21**2
    return np.concatenate(
        [1 + u**2 * v - 4 * u + spread * np.diff(left, 2), 3 * u - u**2 * v + spread * np.diff(right, 2)]
    )


@pytest.mark.parametrize("method", ["bands", "forward", "reverse"])
@pytest.mark.parametrize("solver", ["BDF", "Radau"])
def test_stiff_equations(solver, method):
    grid = np.arange(1, 21) / 21
    y0 = np.concatenate([1 + np.sin(2 * np.pi * grid), np.full(20, 3.0)])
    plan = planned(reaction, 0.0, y0, argnum=1, method=method)
    calls = []

    def counted(t, y):
        calls.append(t)
        return reaction(t, y)

    ours = integrate.solve_ivp(counted, (0.0, 1.0), y0, method=solver, jac=plan, rtol=1e-6, atol=1e-8)
    assert ours.success
    assert ours.njev > 0
    assert len(calls) <= ours.nfev + 2  # none for differences
    theirs = integrate.solve_ivp(reaction, (0.0, 1.0), y0, method=solver, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.y[:, -1], theirs.y[:, -1], rtol=1e-4)


def broyden(x):
    return (3 - 2 * x) * x - np.append(0.0, x[:-1]) - 2 * np.append(x[1:], 0.0) + 1


def test_least_squares():
    x0 = -np.ones(30)
    plan = planned(broyden, x0)
    ours = optimize.least_squares(broyden, x0, jac=plan)
    assert ours.success
    np.testing.assert_allclose(broyden(ours.x), 0.0, atol=1e-8)
    assert sparse.issparse(ours.jac)


def test_roots():
    x0 = -np.ones(30)
    plan = planned(broyden, x0)
    found = optimize.root(broyden, x0, jac=lambda x: plan(x).toarray())
    assert found.success
    x = x0
    for _ in range(8):
        x = x - sparse.linalg.spsolve(plan(x).tocsc(), broyden(x))
    np.testing.assert_allclose(x, found.x, rtol=1e-8)
    np.testing.assert_allclose(broyden(x), 0.0, atol=1e-12)


def test_large_problems_are_planned():
    """10⁵ unknowns: nothing of size n² is ever made."""
    n = 10**5

    def f(x):
        return np.where(x > 0, x**2, x) * np.roll(x, 1) - np.concatenate([x[1:], x[:1]])

    x = np.random.default_rng(0).normal(size=n)
    v = np.cos(np.arange(n))
    pushed = md.jvp(f, (x,), (v,))[1]
    for method in ("bands", "forward"):
        plan = planned(f, np.zeros(n), method=method)
        assert plan.pattern.nnz == 3 * n
        np.testing.assert_allclose(plan(x) @ v, pushed, rtol=1e-10, atol=1e-12)
