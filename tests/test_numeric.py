"""mathdl.numeric: is the value right, does the bound hold, and is what cannot work refused by name?"""

from __future__ import annotations

import math
import warnings
from dataclasses import FrozenInstanceError

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from mathdl import numeric
from mathdl.errors import InvalidInput, NotDifferentiable
from mathdl.numeric import Estimate, jacobian

METHODS = ("forward", "central", "richardson", "complex")
REAL_METHODS = METHODS[:3]
# what each method reaches on a harmless function with values and derivatives near 1
REACHES = {"forward": 1e-6, "central": 1e-8, "richardson": 1e-10, "complex": 1e-13}
PROPERTY = settings(derandomize=True, deadline=None, max_examples=40, database=None)


# ------------------------------------------------------------------------------------------ random smooth functions
# A tree is evaluated with NumPy, and with mpmath at 60 digits together with its gradient: RULES is the oracle.
mp = mpmath.mp
RULES = {  # name: (value, in NumPy and in mpmath alike; derivative by each operand)
    "sin": (lambda lib, a: lib.sin(a), lambda a: (mp.cos(a),)),
    "exp": (lambda lib, a: lib.exp(a), lambda a: (mp.exp(a),)),
    "tanh": (lambda lib, a: lib.tanh(a), lambda a: (mp.cosh(a) ** -2,)),
    "cube": (lambda lib, a: a**3 / 3 - a, lambda a: (a**2 - 1,)),
    "log": (lambda lib, a: lib.log(2 + a * a), lambda a: (2 * a / (2 + a * a),)),
    "sqrt": (lambda lib, a: lib.sqrt(2 + a * a), lambda a: (a / mp.sqrt(2 + a * a),)),
    "times": (lambda lib, a, b: a * b, lambda a, b: (b, a)),
    "plus": (lambda lib, a, b: a + b, lambda a, b: (mp.mpf(1), mp.mpf(1))),
    "minus": (lambda lib, a, b: a - b, lambda a, b: (mp.mpf(1), mp.mpf(-1))),
    "over": (lambda lib, a, b: a / (1 + b * b), lambda a, b: (1 / (1 + b * b), -2 * a * b / (1 + b * b) ** 2)),
}
OPERANDS = {name: rule[0].__code__.co_argcount - 1 for name, rule in RULES.items()}


def random_tree(rng, size, depth):
    if depth == 0:
        return "affine", (rng.normal(size=len(size)) / size).tolist(), float(rng.normal())
    name = str(rng.choice([*RULES, "scale"]))
    if name == "scale":
        return name, float(10 ** rng.uniform(-3, 3)), random_tree(rng, size, depth - 1)
    return name, *(
        random_tree(rng, size, depth - 1 if k == 0 else int(rng.integers(depth))) for k in range(OPERANDS[name])
    )


def tree_value(tree, x):
    name, *rest = tree
    if name == "affine":
        return sum(c * entry for c, entry in zip(rest[0], x, strict=True)) + rest[1]
    if name == "scale":
        return rest[0] * tree_value(rest[1], x)
    return RULES[name][0](np, *(tree_value(operand, x) for operand in rest))


def tree_gradient(tree, x):
    name, *rest = tree
    if name == "affine":
        slopes = [mp.mpf(c) for c in rest[0]]
        return sum(c * entry for c, entry in zip(slopes, x, strict=True)) + mp.mpf(rest[1]), slopes
    if name == "scale":
        value, gradient = tree_gradient(rest[1], x)
        return mp.mpf(rest[0]) * value, [mp.mpf(rest[0]) * g for g in gradient]
    parts = [tree_gradient(operand, x) for operand in rest]
    operands = [value for value, _ in parts]
    locals_ = RULES[name][1](*operands)
    gradient = [sum(d * part[j] for d, (_, part) in zip(locals_, parts, strict=True)) for j in range(len(x))]
    return RULES[name][0](mp, *operands), gradient


def random_cases(count, seed):
    rng = np.random.default_rng(seed)
    while count:
        magnitude = 10 ** rng.uniform(-3, 3, 2)
        x = magnitude * rng.normal(size=2)
        size = magnitude if rng.random() < 0.5 else np.maximum(magnitude, 1)
        trees = [random_tree(rng, size, int(rng.integers(1, 5))) for _ in range(2)]
        with np.errstate(all="ignore"):
            if not np.all(np.abs([tree_value(tree, x) for tree in trees]) < 1e12):
                continue
        with mpmath.workdps(60):
            point = [mp.mpf(float(entry)) for entry in x]
            truth = np.array([[float(g) for g in tree_gradient(tree, point)[1]] for tree in trees])
        count -= 1
        yield (lambda z, trees=trees: np.array([tree_value(tree, z) for tree in trees])), x, truth


@pytest.fixture(scope="module")
def cases():
    return list(random_cases(400, seed=7))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_bound_holds_for_random_smooth_functions_and_is_not_absurdly_loose(cases, method):
    held, looseness = [], []
    for f, x, truth in cases:
        estimate = jacobian(f, x, method)
        wrong = np.abs(estimate.value - truth)
        held.extend((wrong <= estimate.error).ravel())
        looseness.extend((estimate.error / np.maximum(wrong, 1e-16 * np.abs(truth) + 1e-300)).ravel())
    assert len(held) == 1600
    assert np.mean(held) >= 0.99
    assert np.median(looseness) <= 100


@pytest.mark.parametrize("method", REAL_METHODS)
def test_the_bound_holds_for_float32_values(method):
    # The noise is 1e-7 of the value, although x is float64: only the dtype of what f returns says so.
    rng = np.random.default_rng(0)
    held = []
    for _ in range(60):
        weights, x = rng.normal(size=(3, 2)), rng.normal(size=2)
        estimate = jacobian(lambda z, w=weights: np.tanh(w.astype(np.float32) @ z.astype(np.float32)), x, method)
        weights = weights.astype(np.float32).astype(float)
        truth = (1 - np.tanh(weights @ x) ** 2)[:, None] * weights
        held.extend((np.abs(estimate.value - truth) <= estimate.error).ravel())
        assert np.max(estimate.error) < 1
    assert np.mean(held) >= 0.99


def test_the_bound_sees_noise_that_comes_from_cancellation():
    def f(x):
        return (1e8 + np.sin(x)) - 1e8  # values near 1 with an error of 1e-8

    for x in np.linspace(-2, 2, 23):
        for method in REAL_METHODS:
            estimate = jacobian(f, x, method)
            assert abs(estimate.value - np.cos(x)) <= estimate.error


def test_the_bound_sees_that_wide_steps_alias():
    # 0.1 * 2**-4 / 4**k is a multiple of the period for the widest steps: they agree, on nonsense
    omega = 2 * np.pi * 4**3 / (0.0078125)
    estimate = jacobian(lambda x: np.sin(omega * x), 0.1, "richardson")
    assert abs(estimate.value - omega * np.cos(omega * 0.1)) <= estimate.error
    assert estimate.error < 1e-3 * omega


@pytest.mark.parametrize(("method", "order"), [("forward", 1), ("central", 2), ("complex", 2)])
def test_the_error_falls_with_the_order_of_the_method(method, order):
    x, steps = np.array([0.7]), 2.0 ** -np.arange(4, 8)
    errors = [abs(jacobian(np.exp, x, method, step=h).value[0, 0] - np.exp(0.7)) for h in steps]
    np.testing.assert_allclose(np.diff(np.log2(errors)), -order, atol=0.05)


def test_richardson_extrapolates():
    # wide steps alone would leave h^2/6; narrow ones alone noise near 1e-16/h
    estimate = jacobian(np.exp, 0.5, "richardson", step=0.5)
    assert abs(estimate.value - np.exp(0.5)) <= estimate.error < 1e-11
    assert abs(estimate.value - np.exp(0.5)) < 1e-13
    assert abs(jacobian(lambda x: x**5, 2.0, "richardson", step=1.0).value - 80) < 1e-12


@pytest.mark.parametrize(
    ("method", "formula"),
    [
        ("forward", lambda f, x, h: (f(x + h) - f(x)) / h),
        ("central", lambda f, x, h: (f(x + h) - f(x - h)) / (2 * h)),
        ("complex", lambda f, x, h: f(x + 1j * h).imag / h),
    ],
)
def test_a_step_that_is_given_is_the_step_that_is_used(method, formula):
    estimate = jacobian(np.exp, 0.75, method, step=0.125)
    assert estimate.step == 0.125
    assert estimate.value == pytest.approx(formula(np.exp, 0.75, 0.125), rel=1e-14)
    assert estimate.error >= abs(estimate.value - np.exp(0.75))


@pytest.mark.parametrize("method", METHODS)
def test_one_step_for_each_entry(method):
    step = np.array([2.0**-10, 2.0**-20, 2.0**-5])
    assert np.array_equal(jacobian(np.sin, np.array([0.5, 1.5, -1.0]), method, step=step).step, step)


def test_steps_are_exactly_representable_and_follow_theory():
    x = np.array([0.3, 1e3 / 3, -7.7])
    for method, size in {"forward": 2.0**-26, "central": 6e-6, "richardson": 2.0**-4}.items():
        step = jacobian(np.sin, x, method).step
        assert np.array_equal((x + step) - x, step)
        assert np.all((step / np.abs(x) > size / 2) & (step / np.abs(x) < size * 2))
    assert (0.3 + jacobian(np.sin, 0.3, step=1e-5).step) - 0.3 == jacobian(np.sin, 0.3, step=1e-5).step
    assert jacobian(np.sin, 0.3, step=1e-5).step == pytest.approx(1e-5, rel=1e-10)
    assert jacobian(lambda x: x.astype(np.float32), 1.0).step > 100 * jacobian(lambda x: x, 1.0).step


# -------------------------------------------------------------------------------------------------- values and shapes
@PROPERTY
@given(
    array_shapes(min_dims=0, max_dims=2, max_side=4),
    array_shapes(min_dims=0, max_dims=2, max_side=3),
    st.sampled_from(METHODS),
    st.integers(0, 9),
)
def test_a_linear_map_is_its_own_jacobian_with_shape_f_x_then_x(shape, result, method, seed):
    rng = np.random.default_rng(seed)
    matrix, x = rng.normal(size=result + shape), rng.normal(size=shape)
    estimate = jacobian(lambda z: np.tensordot(matrix, z, z.ndim) if z.shape == shape else 1 / 0, x, method)
    assert estimate.value.shape == estimate.error.shape == result + shape
    assert estimate.step.shape == shape
    np.testing.assert_allclose(estimate.value, matrix, atol=REACHES[method] * 10)
    assert np.all(np.abs(estimate.value - matrix) <= estimate.error)


@pytest.mark.parametrize("method", METHODS)
def test_a_jacobian_by_hand(method):
    x, y = 1.25, -0.5
    estimate = jacobian(lambda z: np.array([z[0] ** 2 * z[1], 5 * z[0] + np.sin(z[1]), 3.0]), np.array([x, y]), method)
    truth = np.array([[2 * x * y, x**2], [5.0, np.cos(y)], [0.0, 0.0]])
    np.testing.assert_allclose(estimate.value, truth, atol=REACHES[method])
    assert np.all(np.abs(estimate.value - truth) <= estimate.error)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "x", [np.float64(0.5), 0.5, np.array(0.5), np.array([0.5]), np.full((1, 1), 0.5), [0.5, 0.25], np.float32(0.5)]
)
def test_nothing_is_squeezed_and_sequences_are_points(method, x):
    shape = np.shape(x)
    estimate = jacobian(lambda z: np.sum(z**2), x, method)
    assert estimate.value.shape == shape
    np.testing.assert_allclose(estimate.value, 2 * np.asarray(x), atol=REACHES[method])
    assert jacobian(lambda z: z[..., None] ** 2, x, method).value.shape == (*shape, 1, *shape)


@pytest.mark.parametrize("method", METHODS)
def test_constants_have_derivative_zero_also_integer_ones(method):
    for f in (lambda x: np.ones((2, 3)), lambda x: 7, lambda x: np.array([1, 2])):
        estimate = jacobian(f, np.arange(4.0), method)
        assert estimate.value.shape == (*np.shape(f(None)), 4)
        assert np.all(estimate.value == 0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [0.1, 1e-3, 1e-8, 1e-12])
def test_the_edge_of_the_domain_beside_x(method, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate = jacobian(np.log, x, method)
    assert abs(estimate.value - 1 / x) <= estimate.error


@pytest.mark.parametrize("method", ["central", "richardson"])
@pytest.mark.parametrize("n", [1, 10])
def test_at_a_kink_the_error_covers_both_sides(method, n):
    x = np.full(n, 0.5)
    x[0] = 0.0
    for f, left, right in ((np.abs, -1, 1), (lambda z: np.maximum(z, 0), 0, 1), (lambda z: np.abs(z) + z**2 + z, 0, 2)):
        estimate = jacobian(f, x, method)
        value, error = estimate.value[0, 0], estimate.error[0, 0]
        assert value - error <= left
        assert value + error >= right
        assert error >= 0.5
        assert np.all(estimate.error[1:] < 1e-6)  # and only there
    assert jacobian(np.abs, 0.0, "forward").error >= 1


# ------------------------------------------------------------------------------------------------------------ batching
def counted(f):
    def g(x):
        g.calls += 1
        g.shapes.append(x.shape)
        return f(x)

    g.calls, g.shapes = 0, []
    return g


def softmax(x):
    e = np.exp(x - np.max(x, axis=0))
    return e / e.sum(axis=0)


@pytest.mark.parametrize("method", REAL_METHODS)
def test_a_function_that_takes_many_points_gets_them_at_once(method):
    x = np.random.default_rng(0).normal(size=50)
    f = counted(softmax)
    p = softmax(x)
    estimate = jacobian(f, x, method)
    truth = np.diag(p) - np.outer(p, p)
    assert np.all(np.abs(estimate.value - truth) <= estimate.error)
    assert f.calls < 60
    assert (50, 50) in f.shapes
    assert f.shapes[2][1] not in (50,)  # the probe comes first, as wide as no axis is long


def test_the_complex_step_is_batched_too():
    f = counted(lambda x: np.tanh(x) * np.sum(x, axis=0))
    x = np.linspace(-1, 1.5, 64)
    t = np.tanh(x)
    estimate = jacobian(f, x, "complex")
    np.testing.assert_allclose(estimate.value, np.diag((1 - t**2) * x.sum()) + t[:, None], atol=1e-13)
    assert f.calls < 150
    assert (64, 64) in f.shapes


def test_few_entries_are_not_worth_a_probe():
    f = counted(np.sin)
    jacobian(f, np.array([0.5, 1.0]))
    assert all(shape == (2,) for shape in f.shapes)


def test_a_large_jacobian_is_computed_in_blocks(monkeypatch):
    monkeypatch.setattr(numeric, "_BATCH_NUMBERS", 200)
    x = np.linspace(0.1, 1, 30)
    f = counted(lambda z: z**2)
    np.testing.assert_allclose(jacobian(f, x).value, np.diag(2 * x), atol=1e-8)
    assert (30, 6) in f.shapes
    assert max(shape[1] for shape in f.shapes if len(shape) == 2) <= 7


SQUARE = np.random.default_rng(5).normal(size=(10, 10))
WRONG_IN_BATCHES = {
    "softmax over everything": lambda x: np.exp(x) / np.exp(x).sum(),
    "softmax over the last axis": lambda x: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
    "minus the mean": lambda x: x - x.mean(),
    "over the maximum": lambda x: x / np.max(x),
    "product from the right": lambda x: x @ SQUARE,
    "transposed": lambda x: x.T**2,
    "reversed last axis": lambda x: x[..., ::-1] ** 2,
    "cumulative along the last axis": lambda x: np.cumsum(x, axis=-1),
    "a branch": lambda x: x**2 if np.all(x > x.flat[0] - 1e-3) else x**3,
    "a branch on one entry": lambda x: x**2 if x[0] > 0 else x**3,
    "a global branch": lambda x: x * 2 if np.sum(x) > 3 else x**2,
    "the norm": lambda x: np.sqrt(np.sum(x**2)) * x,
    "flat": lambda x: np.concatenate([np.ravel(x)[:3], np.ravel(x)[-3:]]) ** 2,
    "a scalar": lambda x: np.sum(x**2),
    "a loop of floats": lambda x: np.array([math.sin(entry) for entry in x]),
    "column by column": lambda x: (
        np.stack([row**2 for row in np.atleast_2d(x.T)], axis=-1).reshape(x.shape) / np.sqrt(x.size)
    ),
}


@pytest.mark.parametrize("name", WRONG_IN_BATCHES)
@pytest.mark.parametrize("method", REAL_METHODS)
def test_batching_is_never_wrong(name, method):
    f = WRONG_IN_BATCHES[name]
    x = np.linspace(0.3, 2.0, 10)

    def one_point(z):
        assert z.shape == x.shape
        return f(z)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimate, reference = jacobian(f, x, method), jacobian(one_point, x, method)
    assert estimate.value.shape == reference.value.shape
    # a kink (maximum) or a threshold apart, the two differ by rounding
    assert np.all(np.abs(estimate.value - reference.value) <= 2 * (estimate.error + reference.error))
    assert np.max(np.abs(estimate.value - reference.value)) < 1e-5


@pytest.mark.parametrize(
    "name",
    [
        "softmax over everything",
        "softmax over the last axis",
        "minus the mean",
        "product from the right",
        "cumulative along the last axis",
        "the norm",
        "flat",
        "a scalar",
        "reversed last axis",
    ],
)
def test_batching_is_never_wrong_for_complex_points(name):
    f, x = WRONG_IN_BATCHES[name], np.linspace(0.3, 2.0, 10)
    exact, other = jacobian(f, x, "complex"), jacobian(f, x, "richardson")
    assert exact.value.shape == other.value.shape
    assert np.all(np.abs(exact.value - other.value) <= exact.error + other.error)


def test_a_batch_that_only_fits_in_the_probe_falls_back():
    # right for few points, wrong shape, wrong values or an exception for many
    def sums(x):
        return x**2 if x.ndim == 1 or x.shape[1] < 8 else x**2 + x.mean()

    def shapes(x):
        return x**2 if x.ndim == 1 or x.shape[1] < 8 else x[0] ** 2

    def raises(x):
        return x**2 if x.ndim == 1 or x.shape[1] < 8 else 1 / 0

    x = np.linspace(0.5, 1.5, 9)
    for f in (sums, shapes, raises):
        np.testing.assert_allclose(jacobian(f, x).value, np.diag(2 * x), atol=1e-8)


def test_small_components_are_compared_by_their_own_size():
    # relative to the first rows the mistake in the last is 1e-16; relative to itself it is everything
    def f(x):
        return np.concatenate([1e8 * x[:-1] ** 2, (1e-8 * (x[-1] - x.mean()))[None]])

    x = np.linspace(0.5, 1.5, 9)
    last = jacobian(f, x).value[-1]
    np.testing.assert_allclose(last, 1e-8 * (np.eye(9)[-1] - 1 / 9), atol=1e-15)


def test_the_probe_swallows_warnings_and_nothing_else_does():
    def f(x):
        if x.ndim > 1:
            warnings.warn("not for batches", UserWarning, stacklevel=1)
        return x**2

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        jacobian(f, np.linspace(1, 2, 9))
    assert not seen

    def g(x):
        warnings.warn("always", UserWarning, stacklevel=1)
        return x**2

    with pytest.warns(UserWarning, match="always"):
        jacobian(g, np.linspace(1, 2, 9))


# -------------------------------------------------------------------------------- what the complex step must not accept
def writes_floats(x):
    out = np.zeros(2)
    out[0] = x[0]
    return out


DROPPED = {
    "numpy.absolute": np.abs,
    "numpy.real": np.real,
    "numpy.imag": lambda x: np.imag(x) + x,
    "numpy.conjugate": np.conj,
    "numpy.sign": np.sign,
    "numpy.maximum": lambda x: np.maximum(x, 0),
    "numpy.minimum": lambda x: np.minimum(x, 5) * x,
    "numpy.greater": lambda x: np.where(x > 0, x, 0),
    "numpy.less": lambda x: sorted(x)[0],
    "numpy.equal": lambda x: x * (x == 1),
    "numpy.floor": np.floor,
    "numpy.hypot": lambda x: np.hypot(x[0], x[1]),
    "numpy.linalg.norm": np.linalg.norm,
    "numpy.vdot": lambda x: np.vdot(x, x),
    "numpy.vecdot": lambda x: np.vecdot(x, x),
    "numpy.sort": np.sort,
    "numpy.max": np.max,
    "numpy.argmax": lambda x: x[np.argmax(x)],
    "numpy.clip": lambda x: np.clip(x, 0, 5),
    "numpy.angle": lambda x: np.angle(x) + x,
    "numpy.median": np.median,
    "numpy.std": np.std,
    "numpy.round": lambda x: x * np.round(x),
    "x.real": lambda x: x.real,
    "x.imag": lambda x: x.imag + x,
    "x.conj()": lambda x: x.conj(),
    "x.max()": lambda x: x.max(),
    "x.min()": lambda x: x.min(),
    "x.round()": lambda x: x.round() * x,
    "x.argmin()": lambda x: x[x.argmin()],
    "x.std()": lambda x: x.std(),
    "float(), or writing into an array of floats": lambda x: np.array([float(x[0]), 1.0]),
    "int()": lambda x: x * int(x[0]),
    "a value as a condition (if, and, or)": lambda x: x[0] if x[0] else x[1],
    "numpy.linalg.svd": lambda x: np.linalg.svd(np.diag([1.0, 2.0]) + x)[1],
}


@pytest.mark.parametrize("name", DROPPED)
@pytest.mark.parametrize("n", [2, 9])
def test_the_complex_step_refuses_by_name_what_drops_the_imaginary_part(name, n):
    if name == "numpy.linalg.svd" and n == 9:
        n = 2
    with pytest.raises(NotDifferentiable) as caught:
        jacobian(DROPPED[name], np.linspace(1.1, 2.7, n), "complex")
    assert caught.value.function == name
    assert caught.value.reason.startswith(("it drops", "it compares"))
    assert "richardson" in caught.value.remedy


UNSEEN = {  # the tracking is lost, or never began: the differences of real values notice
    "abs after np.array": lambda x: np.abs(np.array([x[0], x[1]])),
    "a factor abs": lambda x: x * np.abs(np.array(list(x))),
    "real after asarray": lambda x: np.asarray(x).real * x,
    "tolist": lambda x: np.array([abs(entry) for entry in x.tolist()]),
    "all real": lambda x: float(np.sum(np.asarray(x).real)),
    "conj after asarray": lambda x: np.conj(np.asarray(x)) ** 2,
    "real cast": lambda x: np.array(x, dtype=float),
    "astype": lambda x: x.astype(np.float64) * x,
    "float item": lambda x: np.array([x.item(0).real, x[1]]),
    "only one component": lambda x: np.array([x[0] ** 2, np.asarray(x)[1].real]),
    "a small part": lambda x: x[0] + x[1] + 1e-6 * np.asarray(x).real.sum(),
    "written into floats": writes_floats,
    "max of a copy": lambda x: np.max(np.asarray(x)) * np.abs(np.asarray(x)),
    "a complex branch": lambda x: x**3 if np.iscomplexobj(x) else x**2,
}


@pytest.mark.parametrize("name", UNSEEN)
@pytest.mark.parametrize("n", [2, 9])
def test_the_complex_step_refuses_what_lost_the_imaginary_part_unseen(name, n):
    with pytest.raises(NotDifferentiable) as caught:
        jacobian(UNSEEN[name], np.linspace(1.1, 2.7, n), "complex")
    assert "complex" in caught.value.reason


def test_the_refusal_says_which_component_and_what_came():
    with pytest.raises(NotDifferentiable, match="in component 1, so"):
        jacobian(UNSEEN["only one component"], np.array([1.0, 2.0]), "complex")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(NotDifferentiable, match="writing into an array of floats: it drops"):
            jacobian(UNSEEN["written into floats"], np.array([1.0, 2.0]), "complex")
        with pytest.raises(NotDifferentiable, match="an array made for floats"):
            jacobian(UNSEEN["astype"], np.array([1.0, 2.0]), "complex")
    with pytest.raises(NotDifferentiable, match="no order"):
        jacobian(DROPPED["numpy.greater"], np.array([1.0, 2.0]), "complex")

    def picky(x):
        if np.iscomplexobj(x):
            raise ValueError("only floats here")
        return x

    with pytest.raises(NotDifferentiable, match="only floats here"):
        jacobian(picky, np.array([1.0]), "complex")
    with pytest.raises(NotDifferentiable, match=r"float\(\)"):
        jacobian(lambda x: np.array([math.sin(x[0])]), np.array([1.0]), "complex")


ANALYTIC = {
    "array of items": lambda x: np.array([np.exp(x[0]), x[1] * x[0]]),
    "loop": lambda x: np.stack([entry**3 / (1 + entry) for entry in x]),
    "solve": lambda x: np.linalg.solve(np.diag(x) + 1, x),
    "det and inv": lambda x: np.linalg.det(np.outer(x, x) + np.eye(len(x))) * np.linalg.inv(np.diag(x)),
    "einsum": lambda x: np.einsum("i,j->ij", x, np.sin(x)),
    "concatenate": lambda x: np.concatenate([x, x**2.5, 2.0**x]),
    "reductions": lambda x: x.mean() * np.prod(x) + np.cumsum(x)[-1] + x.dot(x) + x @ x,
    "where with a fixed mask": lambda x: np.where(np.arange(len(x)) == 1, x**2, 1.0),
    "zeros_like": lambda x: np.zeros_like(x) + x[0],
    "out": lambda x: np.multiply(x, x, out=np.zeros_like(x)),
    "softplus, arctan, tanh": lambda x: np.log1p(np.exp(x)) + np.arctan(x) * np.tanh(x) + np.expm1(x),
    "in place on its own argument": lambda x: np.add(x, x**2, out=x),
    "split": lambda x: np.split(x**2, [1])[1] * x[0],
    "isfinite": lambda x: x**2 if np.all(np.isfinite(x)) else x,
}


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_complex_step_is_exact_for_what_is_analytic(name):
    x = np.array([0.75, 1.5, 0.4])[:2]
    exact, other = jacobian(ANALYTIC[name], x, "complex"), jacobian(ANALYTIC[name], x, "richardson")
    assert np.all(np.abs(exact.value - other.value) <= exact.error + other.error)
    assert np.max(exact.error) < 1e-12
    assert np.max(np.abs(exact.value)) > 0.1


# --------------------------------------------------------------------------------------------------------- bad input
@pytest.mark.parametrize(
    ("f", "x", "options", "argument", "message"),
    [
        (3, 1.0, {}, "f", "a function of one array"),
        (np.sin, 1, {}, "x", "floating-point"),
        (np.sin, np.array([1, 2]), {}, "x", "floating-point"),
        (np.sin, np.array([1.0, np.nan]), {}, "x", "nan"),
        (np.sin, np.array([]), {}, "x", "empty"),
        (np.sin, np.array([1j]), {}, "x", "real"),
        (np.sin, "1.0", {}, "x", "numbers"),
        (np.sin, [[1.0], [1.0, 2.0]], {}, "x", "ragged"),
        (
            np.sin,
            1.0,
            {"method": "magic"},
            "method",
            "'magic'; wanted one of 'forward', 'central', 'richardson', 'complex'",
        ),
        (np.sin, 1.0, {"method": ["central"]}, "method", "central"),
        (np.sin, 1.0, {"step": 0.0}, "step", "positive"),
        (np.sin, 1.0, {"step": -1e-3}, "step", "positive"),
        (np.sin, 1.0, {"step": np.nan}, "step", "positive"),
        (np.sin, 1.0, {"step": np.inf, "method": "complex"}, "step", "positive"),
        (np.sin, 1.0, {"step": 1e-17}, "step", "differs from x"),
        (np.sin, 1.0, {"step": 1e-12, "method": "richardson"}, "step", "differs from x"),
        (np.sin, 1.0, {"step": "small"}, "step", "positive"),
        (np.sin, np.ones(2), {"step": np.ones(3)}, "step", r"shape \(2,\)"),
        (lambda x: [x, x], 1.0, {}, "<lambda>(x)", "np.array"),
        (lambda x: None, 1.0, {}, "<lambda>(x)", "None"),
        (lambda x: "no", 1.0, {}, "<lambda>(x)", "number"),
        (lambda x: np.zeros(0), 1.0, {}, "<lambda>(x)", "empty"),
        (lambda x: x * np.nan, 1.0, {}, "<lambda>(x)", "nan"),
        (lambda x: x + 1j, 1.0, {}, "<lambda>(x)", "real"),
        (lambda x: np.ones(2 if x == 1.0 else 3), 1.0, {}, "<lambda>(x)", "one shape"),
        (lambda x: np.where(x == 0.0, x, np.nan), 0.0, {}, "<lambda>(x)", "not finite at a point next to x"),
        (lambda x: np.where(x < 0.001, x, np.nan), 0.0, {"step": 0.01}, "<lambda>(x)", "smaller step"),
    ],
)
def test_bad_input_is_named(f, x, options, argument, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        jacobian(f, x, **options)
    assert caught.value.argument == argument


@pytest.mark.parametrize("method", METHODS)
def test_randomness_and_memory_are_found_out(method):
    rng = np.random.default_rng(0)

    def dropout(x):
        return x * (rng.random(x.shape) < 0.5) + rng.random()

    with pytest.raises(InvalidInput, match="two different values of dropout at the same x"):
        jacobian(dropout, np.ones(3), method)
    calls = []

    def counts(x):
        calls.append(1)
        return x + len(calls)

    with pytest.raises(InvalidInput, match="same x"):
        jacobian(counts, 1.0, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 12])
def test_a_function_that_writes_into_its_argument_or_reuses_its_result(method, n):
    buffer = {}

    def f(x):
        x *= x
        out = buffer.setdefault((x.shape, x.dtype), np.empty(x.shape, x.dtype))
        out[...] = x
        return out

    x = np.linspace(0.5, 1.5, n)
    kept = x.copy()
    np.testing.assert_allclose(jacobian(f, x, method).value, np.diag(2 * x), atol=REACHES[method])
    assert np.array_equal(x, kept)


def test_read_only_and_strided_points():
    x = np.linspace(0.5, 1.5, 24)[::2]
    x.flags.writeable = False
    np.testing.assert_allclose(jacobian(np.sin, x).value, np.diag(np.cos(x)), atol=1e-8)


def test_exceptions_of_f_itself_come_through():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        jacobian(f, np.ones(9))


def test_the_estimate_is_frozen_and_says_what_it_is_in_a_line():
    estimate = jacobian(np.sin, np.array([0.5, 100.0]))
    assert isinstance(estimate, Estimate)
    assert "\n" not in repr(estimate)
    assert repr(estimate).startswith("Estimate(shape (2, 2), error <= ")
    assert repr(estimate).endswith("step 3.8e-06 to 0.00049)")
    with pytest.raises(FrozenInstanceError):
        estimate.value = 0


def test_calling_twice_gives_the_same_answer():
    x = np.random.default_rng(1).normal(size=12)
    for method in METHODS:
        first, second = (
            jacobian(
                lambda z: np.tanh(SQUARE[:, :1] * np.sum(z, axis=0)) if z.ndim > 1 else np.tanh(SQUARE[:, 0] * z.sum()),
                x,
                method,
            )
            for _ in range(2)
        )
        assert np.array_equal(first.value, second.value)
        assert np.array_equal(first.error, second.error)
