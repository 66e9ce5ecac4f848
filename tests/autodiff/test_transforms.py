"""Random programs: forward = reverse = differences; adjoint identity, linearity, symmetry, nesting, trees."""

from __future__ import annotations

import gc
import tracemalloc
import weakref
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs import ANALYTIC, PROGRAMS, points

import mathdl as md
from mathdl import autodiff as ad
from mathdl import numeric
from mathdl.errors import InvalidInput, NotDifferentiable

PROPERTY = settings(derandomize=True, deadline=None, max_examples=300, database=None)
FEWER = settings(PROPERTY, max_examples=100)


def near(one, two, tolerance=1e-9):
    one, two = np.asarray(one), np.asarray(two)
    assert one.shape == two.shape
    np.testing.assert_allclose(
        one, two, rtol=tolerance, atol=tolerance * max(1.0, float(np.max(np.abs(two), initial=0)))
    )


def random_like(x, seed):
    return np.random.default_rng(seed).normal(size=np.shape(x))


# ------------------------------------------------------------------------------------------------------------ agreement
# The ways to a Jacobian: a new one is added here, and then has to agree with all others on every random program.
WAYS = {
    "forward": lambda f, x: ad.jacobian(f, "forward")(x),
    "reverse": lambda f, x: ad.jacobian(f, "reverse")(x),
    "auto": lambda f, x: ad.jacobian(f)(x),
    "jvp": lambda f, x: np.moveaxis(ad.jvp(f, (x,), (_units(x, float),))[1], 0, -1),
    "vjp": lambda f, x: _pulled(*ad.vjp(f, x), x),
    "compiled": lambda f, x: _compiled(ad.jacobian(f), x),
}


def _compiled(derivative, x):
    try:
        return ad.compile(derivative, x)(x)
    except NotDifferentiable as error:
        if error.function == "if":  # the program branches
            return derivative(x)
        raise


def _units(x, dtype):
    return np.eye(np.size(x), dtype=dtype).reshape(np.size(x), *np.shape(x))


def _pulled(y, pull, x):
    return pull(_units(y, np.asarray(y).dtype)).reshape(np.shape(y) + np.shape(x))


@PROPERTY
@given(PROGRAMS, points())
def test_all_ways_agree(f, x):
    before = np.array(x)
    shape = np.shape(f(x)) + np.shape(x)
    expected = ad.jacobian(f, "reverse")(x)
    for way in WAYS.values():
        found = way(f, x).reshape(shape)
        assert found.dtype == np.float64
        near(found, expected)
        np.testing.assert_array_equal(x, before)
        np.testing.assert_array_equal(way(f, x).reshape(shape), found)  # nothing is kept between calls
    assert ad.jacobian(f)(x).shape == expected.shape == shape


@FEWER
@given(ANALYTIC, points())
def test_agreement_with_complex_steps(f, x):
    assume(np.size(x))
    y = np.asarray(f(x))
    truth = np.stack([np.imag(f(x + 1e-30j * unit)) / 1e-30 for unit in _units(x, float)], axis=-1)
    for way in WAYS.values():
        near(way(f, x).reshape(y.shape + np.shape(x)), truth.reshape(y.shape + np.shape(x)))


@FEWER
@given(PROGRAMS, points(min_side=1))
def test_agreement_with_differences(f, x):
    assume(np.size(f(x)) * np.size(x) <= 400)
    assume(np.size(f(x)) > 0)
    truth = numeric.jacobian(f, x, method="richardson", step=1e-3)
    ours = ad.jacobian(f)(x)
    largest = max(1.0, float(np.max(np.abs(truth.value), initial=0.0)))
    np.testing.assert_allclose(ours, truth.value, rtol=1e-7, atol=1e-8 * largest)


@PROPERTY
@given(PROGRAMS, points(), st.integers(0, 1000))
def test_adjoint_identity_and_values(f, x, seed):
    v = random_like(x, seed)
    y, dy = ad.jvp(f, (x,), (v,))
    value, pull = ad.vjp(f, x)
    g = random_like(y, seed + 1)
    near(y, f(x), 1e-13)
    near(value, f(x), 1e-13)
    assert np.shape(pull(g)) == np.shape(x)
    near(np.sum(pull(g) * v), np.sum(g * dy))


@FEWER
@given(PROGRAMS, points(), st.integers(0, 1000), st.floats(-2, 2), st.floats(-2, 2))
def test_linearity(f, x, seed, a, b):
    u, v = random_like(x, seed), random_like(x, seed + 1)

    def push(t):
        return ad.jvp(f, (x,), (t,))[1]

    near(push(a * u + b * v), a * push(u) + b * push(v))
    y, pull = ad.vjp(f, x)
    g, h = random_like(y, seed + 2), random_like(y, seed + 3)
    near(pull(a * g + b * h), a * pull(g) + b * pull(h))


@FEWER
@given(PROGRAMS, points(), st.integers(0, 4), st.integers(0, 1000))
def test_many_directions_at_once(f, x, count, seed):
    rng = np.random.default_rng(seed)
    tangents = rng.normal(size=(count, *np.shape(x)))
    y, pushed = ad.jvp(f, (x,), (tangents,))
    _, pull = ad.vjp(f, x)
    cotangents = rng.normal(size=(count, *np.shape(y)))
    pulled = pull(cotangents)
    assert pushed.shape == (count, *np.shape(y))
    assert pulled.shape == (count, *np.shape(x))
    for k in range(count):
        near(pushed[k], ad.jvp(f, (x,), (tangents[k],))[1])
        near(pulled[k], pull(cotangents[k]))


@FEWER
@given(PROGRAMS, points())
def test_second_derivatives_agree_and_are_symmetric(f, x):
    def g(x):
        return np.sum(np.sin(f(x)))

    H = ad.hessian(g)(x)
    assert H.shape == np.shape(x) * 2
    flat = H.reshape(np.size(x), np.size(x))
    near(flat, flat.T, 1e-8)
    near(ad.jacobian(ad.grad(g), "reverse")(x), H, 1e-8)
    near(ad.jacobian(ad.jacobian(g, "forward"), "forward")(x), H, 1e-8)
    near(ad.jacobian(ad.jacobian(g, "forward"), "reverse")(x), H, 1e-8)
    v = random_like(x, 5)
    near(ad.hvp(g, x, v), np.tensordot(H, v, np.ndim(x)), 1e-8)


@FEWER
@given(PROGRAMS, points())
def test_single_precision_stays_single(f, x):
    single = np.asarray(x, dtype=np.float32)
    for mode in ("auto", "forward", "reverse"):
        J = ad.jacobian(f, mode)(single)
        assert J.dtype == np.float32
        truth = ad.jacobian(f)(single.astype(float))
        np.testing.assert_allclose(J, truth, rtol=2e-2, atol=2e-3 * max(1.0, np.max(np.abs(truth), initial=0.0)))
    assert ad.grad(lambda x: np.sum(f(x)))(single).dtype == np.float32
    assume(np.asarray(f(single)).dtype == np.float32)  # no list of Python's own numbers
    value, dy = ad.jvp(f, (single,), (np.ones_like(single),))
    again, pull = ad.vjp(f, single)
    assert value.dtype == dy.dtype == again.dtype == pull(np.ones_like(again)).dtype == np.float32


@FEWER
@given(PROGRAMS, PROGRAMS, points(), st.integers(0, 1000))
def test_one_array_as_two_arguments(f, g, x, seed):
    """The same array twice: each argument has its own derivative."""

    def both(a, b):
        return np.sum(f(a)) * np.tanh(np.sum(g(b)))

    _, pull = ad.vjp(both, x, x)
    one, two = pull(1.0)
    near(one + two, ad.grad(lambda x: both(x, x))(x))
    near(one, ad.grad(both, 0)(x, x))
    near(two, ad.grad(both, 1)(x, x))
    near(two, ad.grad(both, -1)(x, x))
    v = random_like(x, seed)
    near(ad.jvp(both, (x, x), (v, v))[1], np.sum((one + two) * v))


@FEWER
@given(PROGRAMS, PROGRAMS, points(min_side=1))
def test_views_of_one_array_as_arguments(f, g, x):
    """Arguments that share memory are still different arguments, in trees too."""
    assume(np.ndim(x))
    views = {"whole": x, "part": x[1:], "back": x[::-1], "again": x}

    def loss(p):
        return np.sum(f(p["whole"])) + np.sum(np.sin(p["part"])) * np.sum(g(p["back"])) + np.sum(np.cos(p["again"]))

    apart = {name: np.array(view) for name, view in views.items()}
    shared, own = ad.grad(loss)(views), ad.grad(loss)(apart)
    for name in views:
        near(shared[name], own[name])
    shared["whole"][...] = 7.0
    assert not np.any(shared["again"] == 7.0)


# -------------------------------------------------------------------------------------------------------------- nesting
def test_perturbations_are_not_confused():
    """d/dx (x · d/dy (x + y)) at 1 is 1: with one tag for both, the inner derivative would be 2."""

    def d(f, x):
        return ad.jvp(f, (x,), (1.0,))[1]

    assert d(lambda x: x * d(lambda y: x + y, 1.0), 1.0) == 1.0
    assert ad.grad(lambda x: x * ad.grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert ad.grad(lambda x: x * d(lambda y: x * y * y, 2.0))(3.0) == 24.0
    assert d(lambda x: x * ad.grad(lambda y: x * y * y)(2.0), 3.0) == 24.0
    assert d(lambda x: d(lambda y: d(lambda z: x * y * z, x), x), 2.0) == 1.0  # d/dx of d/dy (x y)


@pytest.mark.parametrize("order", [(a, b, c) for a in "fr" for b in "fr" for c in "fr"])
def test_third_derivatives_in_any_order(order):
    mode = {"f": "forward", "r": "reverse"}

    def f(x):
        return np.sum(np.sin(x) * x[0] ** 3) + np.array([x[1] * x[2], x[0]]) @ np.array([x[0] ** 2, 1.0])

    for name in order:
        f = ad.jacobian(f, mode[name])
    x = np.array([0.5, -0.3, 0.8])
    J = f(x)
    assert J.shape == (3, 3, 3)
    expected = np.zeros((3, 3, 3))
    s, c = np.sin(x), np.cos(x)
    expected[0, 0, 0] = np.sum(s) * 6 + 18 * x[0] * c[0] - 9 * x[0] ** 2 * s[0] - x[0] ** 3 * c[0]
    for i in (1, 2):
        for place in ((0, 0, i), (0, i, 0), (i, 0, 0)):
            expected[place] = 6 * x[0] * c[i]
        for place in ((0, i, i), (i, 0, i), (i, i, 0)):
            expected[place] = -3 * x[0] ** 2 * s[i]
        expected[i, i, i] = -(x[0] ** 3) * c[i]
    # x0^2 x1 x2 has third derivatives 2 x2 (0,0,1), 2 x1 (0,0,2) and 2 x0 (0,1,2)
    for place in ((0, 0, 1), (0, 1, 0), (1, 0, 0)):
        expected[place] += 2 * x[2]
    for place in ((0, 0, 2), (0, 2, 0), (2, 0, 0)):
        expected[place] += 2 * x[1]
    for place in ((0, 1, 2), (1, 0, 2), (1, 2, 0), (0, 2, 1), (2, 0, 1), (2, 1, 0)):
        expected[place] += 2 * x[0]
    near(J, expected, 1e-12)


def test_pull_and_push_can_be_differentiated():
    x, g = np.array([0.3, 0.4]), np.array([1.0, -2.0])

    def by_cotangent(g):
        return ad.vjp(np.sin, x)[1](g)

    near(ad.jacobian(by_cotangent)(g), np.diag(np.cos(x)))
    near(ad.jacobian(lambda v: ad.jvp(np.sin, (x,), (v,))[1])(g), np.diag(np.cos(x)))
    _, pull = ad.vjp(lambda x: np.array([x[0] * x[1], x[1]])[[0, 1, 1]], x)
    near(ad.jacobian(pull)(np.ones(3)), pull(np.eye(3)).T)


def test_an_outer_array_is_a_constant_inside():
    def f(w):
        J = ad.jacobian(lambda x: np.tanh(w * x) + w)(np.ones(2))
        return np.sum(J)

    near(
        ad.grad(f)(np.array([0.5, 0.2])),
        [-2 * w * np.tanh(w) / np.cosh(w) ** 2 + 1 / np.cosh(w) ** 2 for w in (0.5, 0.2)],
    )


# ---------------------------------------------------------------------------------------------------------------- trees
class Layer(NamedTuple):
    W: object
    b: object


def test_trees_go_in_and_come_out():
    rng = np.random.default_rng(0)
    params = {
        "layers": [Layer(rng.normal(size=(3, 2)), np.zeros(3)), (rng.normal(size=(1, 3)), np.zeros(1))],
        "scale": 2.0,
    }
    X = rng.normal(size=(5, 2))

    def loss(params, X):
        (W, b), (V, c) = params["layers"]
        return np.mean((np.tanh(X @ W.T + b) @ V.T + c) ** 2) * params["scale"]

    value, gradient = ad.value_and_grad(loss)(params, X)
    assert value == loss(params, X)
    assert isinstance(gradient["layers"][0], Layer)
    assert isinstance(gradient["layers"][1], tuple)
    vector, unflatten = ad.flatten(params)
    assert vector.shape == (6 + 3 + 3 + 1 + 1,)
    flat = ad.grad(lambda v: loss(unflatten(v), X))(vector)
    near(ad.flatten(gradient)[0], flat)
    near(numeric.jacobian(lambda v: loss(unflatten(v), X), vector, method="richardson").value, flat, 1e-8)
    _, pull = ad.vjp(loss, params, X)
    by_params, by_X = pull(1.0)
    near(ad.flatten(by_params)[0], flat)
    assert by_X.shape == X.shape
    _, push = ad.jvp(loss, (params, X), (gradient, np.zeros_like(X)))
    near(push, flat @ flat)
    near(ad.flatten(ad.hvp(loss_of_params := lambda p: loss(p, X), params, gradient))[0],
         ad.hessian(lambda v: loss_of_params(unflatten(v)))(vector) @ flat)  # fmt: skip
    assert ad.grad(loss)(params, X=X)["scale"] == gradient["scale"]


def test_directions_may_be_integers():
    near(ad.jvp(np.sin, (np.zeros(2),), (np.array([1, 0]),))[1], [1.0, 0.0])
    near(ad.vjp(np.sum, np.zeros(2))[1](1), [1.0, 1.0])


def test_trees_as_outputs():
    def f(x):
        return {"a": [x * 2, np.sum(x)], "b": (np.array([x[0], x[1] ** 2]), 3.0)}

    x = np.array([1.0, 2.0])
    _, dy = ad.jvp(f, (x,), (x,))
    near(dy["a"][0], 2 * x)
    assert dy["b"][1] == 0.0
    value, pull = ad.vjp(f, x)
    assert value["a"][1] == 3.0
    near(pull({"a": [np.zeros(2), 1.0], "b": (np.array([0.0, 1.0]), 5.0)}), [1.0, 5.0])


def test_flatten_both_ways():
    tree = {"a": np.arange(3.0), "b": [1.5, (np.ones((2, 2)), [])]}
    vector, unflatten = ad.flatten(tree)
    again = unflatten(vector)
    assert again["b"][0] == 1.5
    assert again["b"][1][1] == []
    np.testing.assert_array_equal(again["b"][1][0], np.ones((2, 2)))
    again["a"][:] = 7.0
    assert vector[0] == 0.0
    assert ad.flatten({})[0].shape == (0,)
    with pytest.raises(InvalidInput, match="vector"):
        unflatten(np.ones(3))
    with pytest.raises(InvalidInput, match=r"tree\['a'\]\[1\]"):
        ad.flatten({"a": [1.0, "x"]})


# --------------------------------------------------------------------------------------------------- shapes and numbers
@pytest.mark.parametrize("shape", [(), (1,), (0,), (1, 1), (2, 0), (2, 3)])
@pytest.mark.parametrize("mode", ["auto", "forward", "reverse"])
def test_jacobians_are_never_squeezed(shape, mode):
    x = np.full(shape, 0.5)
    for f in (
        np.sin,
        np.sum,
        lambda x: np.reshape(x, -1),
        lambda x: np.zeros(2),
        lambda x: np.stack([x, x]),
        lambda x: 1.0,
    ):
        J = ad.jacobian(f, mode)(x)
        assert isinstance(J, np.ndarray)
        assert J.shape == np.shape(f(x)) + shape
    assert np.shape(ad.grad(np.sum)(x)) == shape


def test_a_number_that_is_broadcast_more_than_once():
    """Its cotangents are sums, which are numbers and not arrays: they must not be added in place."""
    a, s = np.array([1.0, 2.0, 3.0]), 2.0
    for f, derivative in (
        (lambda s: np.sum(s * a) + np.sum(s * a), 2 * np.sum(a)),
        (lambda s: np.sum((s + a) * (s * a)), np.sum(2 * s * a + a * a)),
        (lambda s: np.sum(np.sin(s * a) * s), np.sum(np.cos(s * a) * s * a + np.sin(s * a))),
    ):
        near(ad.grad(f)(s), derivative)
        near(ad.grad(f)(np.array(s)), derivative)
        near(ad.jacobian(f, "reverse")(s), derivative)


def test_numbers_and_lists_as_points():
    assert ad.grad(lambda x: x**3)(2.0) == 12.0
    assert ad.jacobian(lambda x: x**3)(2.0) == 12.0
    assert ad.grad(np.exp)(np.float32(0.0)).dtype == np.float32
    near(ad.jacobian(lambda x: x**2)([1.0, 2.0]), np.diag([2.0, 4.0]))
    assert ad.grad(lambda x: x[0] * x[1])([2.0, 3.0]) == [3.0, 2.0]
    near(ad.jacobian(lambda x, a: a * x)(np.ones(2), 3.0), 3 * np.eye(2))
    near(ad.hessian(lambda x, a: a * x @ x)(np.ones(2), 3.0), 6 * np.eye(2))
    x = np.array([1.0, 2.0], dtype=np.longdouble)
    assert ad.jacobian(np.sin)(x).dtype == np.longdouble
    third = np.longdouble(1) / 3
    for mode in ("forward", "reverse"):
        J = ad.jacobian(lambda x: x[[0, 1, 1]] * third + np.sort(x)[1], mode)(x)
        np.testing.assert_array_equal(J[:, 0], [third, 0.0, 0.0])  # exactly: not by way of double precision


def test_inputs_that_do_not_matter():
    x = np.ones(3)
    for mode in ("auto", "forward", "reverse"):
        assert not np.any(ad.jacobian(lambda x: np.ones(4) + 0 * np.floor(x[0]), mode)(x))
    _, gradient = ad.value_and_grad(lambda p: np.sum(p["a"]))({"a": x, "b": x})
    assert not np.any(gradient["b"])
    _, dy = ad.jvp(lambda a, b: a, (x, x), (x, x))
    near(dy, x)
    _, pull = ad.vjp(lambda a, b: np.zeros(2), x, x)
    assert pull(np.ones(2))[1].shape == (3,)
    assert pull(np.ones((5, 2)))[1].shape == (5, 3)


# --------------------------------------------------------------------------------------------------------------- memory
def peak(call):
    gc.collect()
    tracemalloc.start()
    call()
    _, highest = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return highest


def test_a_million_entries_stay_linear():
    x = np.ones(10**6)

    def f(x):
        return np.tanh(x[1:] * x[:-1]) + x[np.arange(10**6 - 1)[::-1]]

    assert peak(lambda: ad.vjp(f, x)[1](np.ones(10**6 - 1))) < 30 * x.nbytes
    assert peak(lambda: ad.jvp(f, (x,), (x,))) < 30 * x.nbytes


def test_forward_mode_keeps_no_history():
    x = np.ones(10**5)

    def long(x):
        for _ in range(60):
            x = np.sin(x)
        return x

    assert peak(lambda: ad.jvp(long, (x,), (x,))) < 12 * x.nbytes


def test_a_gradient_frees_what_it_has_used():
    x = np.ones(10**5)

    def deep(x):
        for _ in range(30):
            x = np.tanh(x)
        return np.sum(x)

    # 30 values are stored; on the way back each is freed, and a few cotangents live.
    assert peak(lambda: ad.grad(deep)(x)) < 36 * x.nbytes


def test_hvp_builds_no_hessian():
    n = 20_000
    x = np.linspace(0.0, 1.0, n)
    assert peak(lambda: ad.hvp(lambda x: np.sum(np.sin(x) ** 2) * np.sum(x), x, x)) < 60 * x.nbytes


def test_nothing_is_left_behind():
    class Array(np.ndarray):
        pass

    inner = []

    def f(x):
        y = x * 2
        inner.append(weakref.ref(y.origin)) if hasattr(y.origin, "__weakref__") else None
        return np.sum(y)

    ad.grad(f)(np.ones(3))
    gc.collect()
    assert all(reference() is None for reference in inner)
    assert md.autodiff.trace._locks == {}
