"""mathdl.symbolic: formulas agree with mpmath and with SymPy's own evaluation, at one point and at many."""

from __future__ import annotations

import warnings

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from mathdl import autodiff
from mathdl.errors import InvalidInput
from mathdl.symbolic import Formula, function, jacobian

x, y, z = sp.symbols("x y z")
PROPERTY = settings(derandomize=True, deadline=None, max_examples=60, database=None)


# ------------------------------------------------------------------------------------------------------- properties
def expressions(symbols=(x, y)):
    leaves = st.one_of(
        st.sampled_from(symbols), st.integers(-3, 3).map(sp.Integer), st.sampled_from([sp.pi, sp.Rational(1, 3)])
    )

    def grow(children):
        return st.one_of(
            st.builds(lambda a, b: a + b, children, children),
            st.builds(lambda a, b: a * b, children, children),
            st.builds(sp.sin, children),
            st.builds(sp.tanh, children),
            st.builds(lambda a: sp.exp(sp.cos(a)), children),
            st.builds(lambda a: sp.log(2 + a**2), children),
            st.builds(lambda a, b: a / (1 + b**2), children, children),
        )

    return st.recursive(leaves, grow, max_leaves=6)


def with_mpmath(expr, point):
    with mpmath.workdps(30):
        return float(sp.lambdify(list(point), expr, "mpmath")(*map(mpmath.mpf, point.values())))


@PROPERTY
@given(st.lists(expressions(), min_size=1, max_size=3), st.floats(-2, 2), st.floats(-2, 2))
def test_a_function_agrees_with_mpmath_at_a_point(exprs, a, b):
    expected = [with_mpmath(expr, {x: a, y: b}) for expr in exprs]
    g = function(exprs, [x, y])
    result = g(np.array([a, b]))
    assert result.shape == (len(exprs),)
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11)
    assert np.array_equal(g(a, b), result)


@PROPERTY
@given(st.lists(expressions(), min_size=1, max_size=3), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_a_jacobian_agrees_with_differences_in_mpmath(exprs, a, b):
    matrix = jacobian(exprs, [x, y])
    assert matrix.shape == (len(exprs), 2)
    value = function(matrix, [x, y])(a, b)
    with mpmath.workdps(40):
        for i, expr in enumerate(exprs):
            f = sp.lambdify([x, y], expr, "mpmath")
            for j, order in enumerate([(1, 0), (0, 1)]):
                slope = mpmath.diff(f, (mpmath.mpf(a), mpmath.mpf(b)), order) if expr.free_symbols else 0
                assert value[i, j] == pytest.approx(float(slope), rel=1e-9, abs=1e-9)


SHAPES = {
    "expression": (x * y, ()),
    "constant": (sp.Integer(2), ()),
    "number": (2.5, ()),
    "list": ([x, 1, y], (3,)),
    "tuple": ((x + y,), (1,)),
    "matrix": (sp.Matrix([[x, 1, y], [2, x * y, 0]]), (2, 3)),
    "column": (sp.Matrix([x, y]), (2, 1)),
    "nested": ([[[x], [1]], [[y], [sp.exp(x)]]], (2, 2, 1)),
    "array": (sp.Array([[x, 1], [y, 2]]), (2, 2)),
    "immutable": (sp.ImmutableMatrix([[x, y]]), (1, 2)),
    "all constants": ([1, 2, 3], (3,)),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (5,), (3, 4), (0,), (2, 2)])
def test_every_point_of_a_grid_gets_what_it_gets_alone(name, shape):
    exprs, wanted = SHAPES[name]
    g = function(exprs, [x, y])
    assert g.shape == wanted
    points = np.random.default_rng(0).normal(size=(2, *shape))
    together = g(points)
    assert together.shape == wanted + shape
    assert together.dtype == np.float64
    assert np.array_equal(together, g(points[0], points[1]))
    for index in np.ndindex(*shape):
        a, b = (float(points[(k, *index)]) for k in range(2))
        alone = np.vectorize(lambda e: float(sp.sympify(e).subs({x: a, y: b})), otypes=[float])(  # noqa: B023
            np.array(exprs.tolist() if hasattr(exprs, "tolist") else exprs, dtype=object)
        )
        np.testing.assert_allclose(together[(..., *index)], alone.reshape(wanted), rtol=1e-13)


def test_arguments_broadcast_against_each_other():
    g = function(sp.Matrix([[x * y, 1], [0, y - x]]), [x, y])
    a, b = np.arange(3.0)[:, None], np.arange(4.0)
    result = g(a, b)
    assert result.shape == (2, 2, 3, 4)
    assert np.array_equal(result[0, 0], a * b)
    assert np.array_equal(result[1, 1], b - a)
    assert np.all(result[0, 1] == 1)
    assert np.all(result[1, 0] == 0)
    assert np.array_equal(g(a, 2.0), g(a, np.full((3, 1), 2.0)))


# --------------------------------------------------------------------------------------- conventions, one variable
def test_one_symbol_takes_any_shape():
    g = function([x**2, 3], x)
    for shape in [(), (1,), (4,), (2, 3)]:
        point = np.random.default_rng(0).normal(size=shape)
        assert g(point).shape == (2, *shape)
        assert np.array_equal(g(point)[0], point**2)
    assert np.array_equal(g([1.0, 2.0]), [[1, 4], [3, 3]])
    assert np.array_equal(g(2), [4, 3])


def test_a_list_of_one_symbol_has_a_first_axis_of_length_one():
    g = function(x**2, [x])
    assert g(np.array([3.0])).shape == ()
    assert g(np.array([[3.0, 4.0]])).tolist() == [9, 16]
    assert g(3.0) == 9
    with pytest.raises(InvalidInput, match=r"x: got shape \(2,\); wanted shape \(1, ...\)"):
        g(np.array([3.0, 4.0]))
    with pytest.raises(InvalidInput, match=r"2 of them; wanted one array with first axis 1"):
        g(3.0, 4.0)


@PROPERTY
@given(st.lists(expressions(), min_size=1, max_size=3), st.floats(-1.5, 1.5), st.floats(-1.5, 1.5))
def test_autodiff_follows_a_formula(exprs, a, b):
    point = np.array([a, b])
    true = function(jacobian(exprs, [x, y]), [x, y])(point)
    for order in (exprs, sp.Matrix(exprs), [[expr] for expr in exprs]):  # and every shape comes out as without it
        g = function(order, [x, y])
        found = autodiff.jacobian(g)(point)
        assert found.shape == (*g.shape, 2)
        np.testing.assert_allclose(found.reshape(true.shape), true, rtol=1e-11, atol=1e-11)
        assert np.array_equal(autodiff.vjp(g, point)[0], g(point))


def test_autodiff_follows_a_formula_at_many_points_and_by_one_argument():
    g = function([x * sp.sin(y), 2, y], [x, y])
    u, v = np.array([0.5, 1.5, 2.0]), np.array([[1.0], [2.0]])
    value, tangent = autodiff.jvp(lambda v: g(u, v), (v,), (np.ones_like(v),))
    assert np.array_equal(value, g(u, v))
    slopes = [u * np.cos(v), 0 * (u + v), 1 + 0 * (u + v)]
    np.testing.assert_allclose(tangent, slopes, rtol=1e-14, atol=1e-14)
    h = function(sp.exp(x), x)
    np.testing.assert_allclose(autodiff.grad(h)(0.5), np.exp(0.5), rtol=1e-14)


def test_integers_become_floats():
    g = function([x**-1, x**40, 2**x], x)
    np.testing.assert_allclose(g(3), [1 / 3, 3.0**40, 8])
    np.testing.assert_allclose(g(np.array([3, -2]))[2], [8, 0.25])
    assert function([1, 2], x)(1).dtype == np.float64
    assert function(sp.Integer(10) ** 30, x)(np.ones(2)).tolist() == [1e30, 1e30]
    assert function([x, y], [x, y])(True, np.float32(0.5)).tolist() == [1.0, 0.5]


def test_complex_points_pass_through():
    g = function(sp.Matrix([[sp.sin(x) * y, 1]]), [x, y])
    h = 1e-20
    assert g(np.array([0.5 + 1j * h, 2.0])).imag[0, 0] / h == pytest.approx(2 * np.cos(0.5))
    assert g(np.array([[0.5 + 1j * h], [2.0]])).dtype == np.complex128
    assert function(sp.I * x, x)(np.ones(2)).tolist() == [1j, 1j]


def test_outside_the_domain_it_does_what_numpy_does():
    g = function([sp.log(x), 1 / x, sp.exp(x)], x)
    with pytest.warns(RuntimeWarning, match="log"):
        assert np.isnan(g(-1.0)[0])
    with pytest.warns(RuntimeWarning, match="divide"):
        assert np.isinf(g(0.0)[1])
    with pytest.warns(RuntimeWarning, match="overflow"):
        assert np.isinf(g(1e4)[2])
    assert np.isnan(function(x, x)(np.nan))


@pytest.mark.parametrize(
    ("expr", "reference"),
    [
        (sp.Max(x, 0, y), lambda a, b: np.maximum(np.maximum(a, 0), b)),
        (sp.Min(x, y, 1), lambda a, b: np.minimum(np.minimum(a, b), 1)),
        (sp.Abs(x) * sp.sign(y), lambda a, b: np.abs(a) * np.sign(b)),
        (sp.Piecewise((x, x > y), (y**2, True)), lambda a, b: np.where(a > b, a, b**2)),
        (sp.Heaviside(x) + y, lambda a, b: np.heaviside(a, 0.5) + b),
        (sp.pi * x + sp.E * y, lambda a, b: np.pi * a + np.e * b),
        (
            sp.erf(x) + sp.erf(y),
            lambda a, b: (
                np.vectorize(lambda v: float(mpmath.erf(v)))(a) + np.vectorize(lambda v: float(mpmath.erf(v)))(b)
            ),
        ),
        (sp.gamma(x**2 + 1), lambda a, b: np.vectorize(lambda v: float(mpmath.gamma(v**2 + 1)))(a) + 0 * b),
        (sp.Float(0.1 + 0.2) * x + sp.Float(1) / 3 * y, lambda a, b: (0.1 + 0.2) * a + (1 / 3) * b),
    ],
)
def test_functions_beyond_the_elementary_ones(expr, reference):
    a, b = np.array([-1.5, -0.25, 0.0, 0.75, 2.0])[:, None], np.array([0.3, -1.0, 2.0])
    g = function([expr, 1], [x, y])
    np.testing.assert_allclose(g(a, b)[0], reference(a, b), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(g(-1.5, 0.3)[0], reference(np.float64(-1.5), np.float64(0.3)), rtol=1e-15)


def test_floating_constants_keep_all_digits():
    for constant in (0.1 + 0.2, 2 / 3, 1e-17 / 3, 1 / 3e200):
        assert function(sp.Float(constant) * x, x)(1.0) == constant


# -------------------------------------------------------------------------------------------------------- the source
def test_common_subexpressions_are_computed_once():
    g = function([sp.exp(x * y), sp.sin(sp.exp(x * y)), x * y], [x, y])
    assert g.source.count("numpy.exp") == 1
    assert g.source.count("x*y") == 1
    assert g.source.startswith("def formula(x, y):\n")
    assert repr(g) == "Formula(x, y) -> shape (3,)"
    assert isinstance(g, Formula)


@pytest.mark.parametrize(
    "symbols",
    [
        sp.symbols("lambda x_{1} numpy"),
        sp.symbols("t0 t1 t2"),
        sp.symbols("x1 lambda x0"),
        sp.symbols("e pi exp"),
        sp.symbols("abs formula scipy"),
        (sp.Symbol("x"), sp.Symbol("x", positive=True), sp.Dummy("x")),
        sp.symbols(r"\theta θ x2"),
        (y, x, z),
        sp.symbols("None x x_0"),
    ],
)
def test_no_name_of_a_variable_changes_the_value(symbols):
    a, b, c = symbols
    exprs = [
        sp.exp(a) * sp.pi + sp.erf(b),
        sp.exp(a) * sp.cos(b * c) + sp.E,
        sp.cos(b * c) * sp.Abs(a) - c,
        sp.Abs(a) / 2,
    ]
    result = function(exprs, symbols)(0.5, -1.25, 2.0)
    erf = float(mpmath.erf(-1.25))
    expected = [np.exp(0.5) * np.pi + erf, np.exp(0.5) * np.cos(2.5) + np.e, np.cos(2.5) * 0.5 - 2, 0.25]
    np.testing.assert_allclose(result, expected, rtol=1e-14)


def test_the_order_of_the_variables_is_the_order_of_the_arguments():
    assert function(x - 2 * y, [y, x])(1.0, 10.0) == 8
    assert jacobian([x - 2 * y], [y, x]) == sp.Matrix([[-2, 1]])
    assert function(x - 2 * y, sp.Matrix([y, x]))(np.array([1.0, 10.0])) == 8


# ----------------------------------------------------------------------------------------------------------- jacobian
@pytest.mark.parametrize(
    "exprs",
    [
        [x**2 * y, 5 * x + sp.sin(y)],
        (x**2 * y, 5 * x + sp.sin(y)),
        sp.Matrix([x**2 * y, 5 * x + sp.sin(y)]),
        sp.Matrix([[x**2 * y, 5 * x + sp.sin(y)]]),
        sp.Array([x**2 * y, 5 * x + sp.sin(y)]),
    ],
)
@pytest.mark.parametrize("variables", [[x, y], (x, y), sp.Matrix([x, y]), sp.Matrix([[x, y]]), sp.Tuple(x, y)])
def test_a_jacobian_by_hand_in_every_form_of_the_arguments(exprs, variables):
    assert jacobian(exprs, variables) == sp.Matrix([[2 * x * y, x**2], [5, sp.cos(y)]])


def test_one_expression_one_symbol_and_parameters():
    assert jacobian(z * x**2, x) == sp.Matrix([[2 * x * z]])
    assert jacobian(3, [x, y]) == sp.Matrix([[0, 0]])
    assert jacobian([x, 2.5, x * y], x).shape == (3, 1)
    assert jacobian([sp.Matrix([[x]])[0]], [x]).shape == (1, 1)


# ---------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize("call", [jacobian, function])
@pytest.mark.parametrize(
    ("exprs", "variables", "argument", "message"),
    [
        ([x], "x", "variables", "sympy.symbols"),
        ([x], ["x"], "variables[0]", "a SymPy symbol"),
        ([x], [], "variables", "at least one"),
        ([x], [y, x, y], "variables[2]", "y a second time"),
        ([x], [x + y], "variables[0]", "x \\+ y"),
        ([x], {x, y}, "variables", "symbols"),
        ([x], None, "variables", "None"),
        ([x], 3, "variables", "3"),
        ([x], [x, 3], "variables[1]", "3"),
        ([x], x + 1, "variables", "symbols"),
        ("x**2", x, "exprs", "str"),
        (["x**2"], x, "exprs", "str"),
        ([], x, "exprs", "no expression"),
        (sp.Matrix([]), x, "exprs", "no expression"),
        ([x, [x]], x, "exprs", "ragged"),
        ([[x, x], [x]], x, "exprs", "ragged"),
        (None, x, "exprs", "None"),
        ([x > 0], x, "exprs", "x > 0"),
        ([True], x, "exprs", "True"),
        ({"a": x}, x, "exprs", "dict"),
        (np.array([1.0]), x, "exprs", "array"),
    ],
)
def test_bad_arguments_are_named(call, exprs, variables, argument, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        call(exprs, variables)
    assert caught.value.argument == argument


def test_a_jacobian_of_a_matrix_is_refused():
    with pytest.raises(InvalidInput, match=r"exprs: got expressions of shape \(2, 2\)"):
        jacobian(sp.Matrix([[x, y], [y, x]]), [x, y])


def test_free_symbols_are_refused_by_a_function():
    with pytest.raises(InvalidInput, match="exprs: got the free symbols y, z; wanted only the variables"):
        function([x * y, z], x)
    with pytest.raises(InvalidInput, match="the free symbol y;"):
        function(x * y, x)


@pytest.mark.parametrize(
    "expr",
    [
        sp.zeta(x, 2),
        sp.Function("f")(x),
        sp.Derivative(sp.Function("f")(x), x),
        sp.DiracDelta(x),
        sp.zoo,
        sp.Integral(sp.exp(-(y**2)) * x, (y, 0, 1)),
        sp.Sum(x**y, (y, 0, 3)),
        sp.polylog(2, x),
    ],
)
def test_what_numpy_and_scipy_lack_is_refused(expr):
    with pytest.raises(InvalidInput, match="functions that NumPy or SciPy has"):
        function([1, expr], x)


@pytest.mark.parametrize(
    ("points", "argument", "message"),
    [
        ((), "arguments", "0 of them; wanted one array with first axis 2, or 2 arguments"),
        ((1.0, 2.0, 3.0), "arguments", "3 of them"),
        ((np.ones(3),), "x", r"shape \(3,\); wanted shape \(2, ...\)"),
        ((1.0,), "x", r"shape \(\)"),
        ((np.ones((3, 2)),), "x", r"\(3, 2\)"),
        ((np.ones(3), np.ones(2)), "arguments", r"x \(3,\), y \(2,\)"),
        (("a", 1.0), "x", "numbers"),
        ((1.0, None), "y", "numbers"),
        (([[1.0], [1.0, 2.0]],), "x", "ragged"),
    ],
)
def test_bad_points_are_named(points, argument, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        function([x, y], [x, y])(*points)
    assert caught.value.argument == argument


def test_one_symbol_wants_one_argument():
    with pytest.raises(InvalidInput, match=r"arguments: got 2 of them; wanted one argument \(x\)"):
        function(x, x)(1.0, 2.0)


def test_the_points_are_never_written_to_and_never_returned():
    g = function([x, y], [x, y])
    points = np.random.default_rng(0).normal(size=(2, 3))
    points.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = g(points)
    result[0] = 0
    assert np.all(points != 0)
    single = function(x, x)
    assert not np.shares_memory(single(points), points)
