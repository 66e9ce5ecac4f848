"""Does a wrong derivative always turn red, with the right name, and does a right one always pass?"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import mathdl as md
from mathdl import checking, diagnosis, numeric
from mathdl.autodiff import primitives
from mathdl.checking import ORACLES, Diagnosis, Oracle, Report, check_jacobian, diagnose
from mathdl.errors import InvalidInput, NotDifferentiable, OraclesDisagree, WrongDerivative

fixed = settings(derandomize=True, deadline=None, max_examples=40, database=None)
seeds = st.integers(0, 10**6)

ALL = "agrees to 1e-10 with autodiff and complex step, to 1e-7 with Richardson, at"
NOT_COMPLEX = "agrees to 1e-10 with autodiff, to 1e-7 with Richardson, at"


# ---------------------------------------------------------------------------------------------- functions


def softmax(z):
    e = np.exp(z)
    return e / e.sum()


def softmax_jacobian(z):
    p = softmax(z)
    return np.diag(p) - np.outer(p, p)


X2 = np.array([1.0, 2.0])
A = np.random.default_rng(5).normal(size=(4, 3))
B = np.random.default_rng(6).normal(size=(3, 5))


def layers(x):
    return A @ np.tanh(B @ x)


def layers_jacobian(x):
    return A @ np.diag(1 - np.tanh(B @ x) ** 2) @ B


def polar(v):
    return np.array([v[0] * np.cos(v[1]), v[0] * np.sin(v[1])])


def polar_jacobian(v):
    return np.array([[np.cos(v[1]), -v[0] * np.sin(v[1])], [np.sin(v[1]), v[0] * np.cos(v[1])]])


def example(v):
    return np.array([v[0] ** 2 * v[1], 5 * v[0] + np.sin(v[1])])


def example_jacobian(v):
    return np.array([[2 * v[0] * v[1], v[0] ** 2], [5, np.cos(v[1])]])


def relu_layer(x):
    return A @ np.maximum(B @ x, 0)


def relu_layer_jacobian(x):
    return A @ np.diag(1.0 * (B @ x > 0)) @ B


def energy(x):
    return np.sum(x**2 * np.arange(1, x.size + 1)) + np.prod(x)


def energy_gradient(x):
    return 2 * x * np.arange(1, x.size + 1) + np.prod(x) / x


FUNCTIONS = {
    "softmax": (softmax, softmax_jacobian, np.array([0.3, -1.0, 0.8, 0.1])),
    "layers": (layers, layers_jacobian, np.array([0.2, -0.4, 1.0, 0.5, -0.3])),
    "polar": (polar, polar_jacobian, np.array([2.0, 0.5])),
    "example": (example, example_jacobian, np.array([1.0, 2.0])),
    "relu": (relu_layer, relu_layer_jacobian, np.array([0.2, -0.4, 1.0, 0.5, -0.3])),
    "gradient": (energy, energy_gradient, np.array([1.0, -2.0, 0.5])),
    "number": (lambda t: np.exp(-t) * t, lambda t: np.exp(-t) * (1 - t), np.array(0.3)),
    "matrix": (lambda X: X @ X.T, None, np.array([[1.0, 2.0], [0.5, -1.0]])),
    "curve": (
        lambda t: np.array([np.cos(t), np.sin(t), t**2]),
        lambda t: np.array([-np.sin(t), np.cos(t), 2 * t]),
        np.array(0.7),
    ),
}


def gram_jacobian(X):
    eye = np.eye(len(X))
    return np.einsum("ik,jl->ijkl", eye, X) + np.einsum("jk,il->ijkl", eye, X)


FUNCTIONS["matrix"] = (FUNCTIONS["matrix"][0], gram_jacobian, FUNCTIONS["matrix"][2])
TABLE = [pytest.param(*row, id=name) for name, row in FUNCTIONS.items()]


def swap_first(J):
    return J[[1, 0, *range(2, len(J))]]


def drop_term(J):
    return J - np.multiply.outer(np.ones(J.shape[0]), np.full(J.shape[1:], 0.1))


def nudge(J):
    changed = np.array(J, dtype=float)
    where = np.unravel_index(np.argmax(np.abs(changed)), changed.shape)
    changed[where] *= 1 + 1e-4
    return changed


def nudge_small(J):
    """The smallest entry that is not zero, by one part in ten thousand."""
    changed = np.array(J, dtype=float)
    size = np.where(changed == 0, np.inf, np.abs(changed))
    where = np.unravel_index(np.argmin(size), changed.shape)
    changed[where] *= 1 + 1e-4
    return changed


MUTATIONS = {
    "transposed": lambda J: J.T,
    "sign": np.negative,
    "double": lambda J: 2 * J,
    "1/N": lambda J: J / len(J),
    "term": drop_term,
    "rows swapped": swap_first,
    "one entry": nudge,
    "smallest entry": nudge_small,
    "by 1e-7": lambda J: J * (1 + 1e-7),
    "zero": np.zeros_like,
    "nan": lambda J: J * np.nan,
    "one row nan": lambda J: np.where(np.arange(len(J)).reshape(-1, *[1] * (J.ndim - 1)) == 0, np.nan, J),
    "row sign": lambda J: J * np.where(np.arange(len(J)) == 0, -1, 1).reshape(-1, *[1] * (J.ndim - 1)),
    "flattened": lambda J: J.reshape(-1, 1),
    "axis added": lambda J: J[None],
}


SCALAR = ("sign", "double", "by 1e-7", "zero", "nan", "one entry", "flattened")  # those that one number can have


# --------------------------------------------------------------------------------------- check_jacobian


@pytest.mark.parametrize(("f", "jacobian", "x"), TABLE)
def test_the_right_derivative_passes_and_the_line_is_the_same_everywhere(f, jacobian, x):
    agrees, without = (NOT_COMPLEX, "; complex step could not be used") if f is relu_layer else (ALL, "")
    assert repr(check_jacobian(f, jacobian, x)) == f"✓ checked: {agrees} 5 points{without}"
    report = check_jacobian(f, jacobian(x), x, equation="eq-d-some")
    assert str(report) == f"✓ checked eq-d-some: {agrees} 1 point{without}"


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize(("f", "jacobian", "x"), TABLE)
def test_every_mutation_turns_red(f, jacobian, x, mutation):
    mutate = MUTATIONS[mutation]
    if np.ndim(jacobian(x)) == 0 and mutation not in SCALAR:
        pytest.skip("one number has no rows")
    wrong = mutate(jacobian(x))
    if wrong.shape == jacobian(x).shape and np.array_equal(wrong, jacobian(x)):
        pytest.skip("this derivative is its own transpose")
    for claim in (wrong, lambda z: mutate(jacobian(z))):
        with pytest.raises(WrongDerivative, match="eq-d-wrong is wrong") as caught:
            check_jacobian(f, claim, x, equation="eq-d-wrong")
        assert caught.value.diagnosis in str(caught.value)
        assert caught.value.diagnosis.endswith(".")


@fixed
@given(seeds)
def test_a_random_network_passes_right_and_fails_wrong(seed):
    rng = np.random.default_rng(seed)
    m, k, n = rng.integers(1, 7, 3)
    V, U = rng.normal(size=(k, n)), rng.normal(size=(m, k))
    point = rng.normal(size=n)

    def f(x):
        return U @ np.tanh(V @ x)

    def jacobian(x):
        return U @ np.diag(1 - np.tanh(V @ x) ** 2) @ V

    report = check_jacobian(f, jacobian, point)
    assert report.points == 5
    assert all(difference < report.tolerances[name] for name, difference in report.differences.items())
    i, j = rng.integers(m), rng.integers(n)
    change = np.ones((m, n))
    change[i, j] += 1e-4
    with pytest.raises(WrongDerivative):
        check_jacobian(f, lambda x: jacobian(x) * change, point)
    with pytest.raises(WrongDerivative):
        check_jacobian(f, lambda x: U @ np.diag(1 - np.tanh(np.tanh(V @ x)) ** 2) @ V, point)


def test_a_claim_right_at_x_alone_fails_at_the_points_around_it():
    with pytest.raises(WrongDerivative, match="at a point near x"):
        check_jacobian(example, lambda v: example_jacobian(np.array([1.0, 2.0])), np.array([1.0, 2.0]))


def test_the_message_says_what_where_and_how_much():
    with pytest.raises(WrongDerivative) as caught:
        check_jacobian(example, example_jacobian(np.array([1.0, 2.0])).T, np.array([1.0, 2.0]), equation="eq-d-stack")
    assert str(caught.value) == (
        "eq-d-stack is wrong. The claim is transposed: it has at [j, i] what belongs at [i, j]. "
        "The difference is 4 at index [0, 1]: claimed 5, 1 by autodiff (at x)."
    )
    assert caught.value.diagnosis == "The claim is transposed: it has at [j, i] what belongs at [i, j]."


def test_a_claim_that_is_only_rounded_is_named_nearly_right():
    x = np.array([0.3, -1.0, 0.8, 0.1])
    with pytest.raises(WrongDerivative, match="nearly right, but 16 of 16 entries"):
        check_jacobian(softmax, softmax_jacobian(x) * (1 + 1e-8), x)
    rounded = softmax_jacobian(x).astype(np.float32).astype(float)
    with pytest.raises(WrongDerivative, match="nearly right"):
        check_jacobian(softmax, rounded, x)


@pytest.mark.parametrize("shape", [(3,), (2, 2), ()])
def test_the_shape_law_is_never_bent(shape):
    x = np.full(shape, 0.5) + 0.1 * np.arange(math.prod(shape)).reshape(shape)
    gradient = 2 * x
    assert check_jacobian(lambda z: np.sum(z**2), gradient, x).points == 1
    for wrong in (gradient[None], gradient[..., None], gradient.reshape(-1, 1, 1)):
        with pytest.raises(WrongDerivative, match=r"It has shape .* and f\(x\).shape \+ x.shape is"):
            check_jacobian(lambda z: np.sum(z**2), wrong, x)


def test_a_row_of_a_one_output_function_is_not_squeezed():
    f, x = (lambda z: np.array([np.sum(z**2)])), np.array([1.0, 2.0])
    check_jacobian(f, np.array([[2.0, 4.0]]), x)
    with pytest.raises(WrongDerivative, match="squeezed"):
        check_jacobian(f, np.array([2.0, 4.0]), x)


# ------------------------------------------------------------------------------ it cannot pass vacuously


def unfinished(x):
    return 0.0 * x.sum()


@pytest.mark.parametrize("claim", [np.zeros_like, np.zeros(3)])
def test_an_unsolved_stub_never_passes(claim):
    """Bug museum 3: finite differences and backpropagation were both zero, and the check printed success."""
    with pytest.raises(InvalidInput, match=r"stationary point.*allow_zero=True"):
        check_jacobian(unfinished, claim, np.array([1.0, 2.0, 3.0]))


def test_zero_passes_only_when_asked_for():
    x = np.array([1.0, 2.0, 3.0])
    report = check_jacobian(lambda z: softmax(z).sum(), np.zeros_like, x, equation="eq-d-sum", allow_zero=True)
    assert repr(report) == f"✓ checked eq-d-sum: {ALL} 5 points"
    check_jacobian(lambda z: softmax(z).sum(), lambda z: softmax(z) - softmax(z) * softmax(z).sum(), x, allow_zero=True)
    with pytest.raises(InvalidInput, match="at x and at 4 points around it"):
        check_jacobian(lambda z: softmax(z).sum(), np.zeros_like, x)
    with pytest.raises(WrongDerivative, match="zero everywhere, and the claim is not"):
        check_jacobian(lambda z: softmax(z).sum(), softmax, x, allow_zero=True)
    with pytest.raises(WrongDerivative, match="all zero"):
        check_jacobian(lambda z: softmax(z)[0], np.zeros_like, x, allow_zero=True)


@pytest.mark.parametrize("centre", [0.0, 1.0, 1 / 3])
def test_a_stationary_point_needs_a_function(centre):
    x = np.full(3, centre)
    with pytest.raises(InvalidInput, match="is zero at x, and so is the claim"):
        check_jacobian(lambda z: np.sum((z - centre) ** 2), np.zeros(3), x)
    assert check_jacobian(lambda z: np.sum((z - centre) ** 2), lambda z: 2 * (z - centre), x).points == 5
    with pytest.raises(WrongDerivative, match=r"all zero.*at a point near x"):
        check_jacobian(lambda z: np.sum((z - centre) ** 2), np.zeros_like, x)


def test_a_least_squares_optimum_found_by_computer_passes():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(50, 4)), rng.normal(size=50)
    w = np.linalg.lstsq(X, y, rcond=None)[0]
    report = check_jacobian(lambda v: np.sum((X @ v - y) ** 2), lambda v: 2 * X.T @ (X @ v - y), w)
    assert repr(report) == f"✓ checked: {ALL} 5 points"


@pytest.mark.parametrize("value", [None, ...])
def test_an_exercise_left_open_is_refused(value):
    for claim in (value, lambda x: value):
        with pytest.raises(InvalidInput, match=r"^claimed(\(x\))?: got (None|\.\.\.); wanted the derivative"):
            check_jacobian(example, claim, np.array([1.0, 2.0]))


# ------------------------------------------------------------------------------------ kinks and domains


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.maximum(x, 0),
        np.abs,
        lambda x: np.sqrt(x * x),
        lambda x: np.where(x.real > 0, x, 0 * x),
        lambda x: np.where(x.real > 0, 1 + x, x),
    ],
    ids=["relu", "abs", "root of square", "where on the real part", "jump"],
)
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_no_claim_passes_at_a_kink(f, slope):
    x = np.array([1.0, 0.0])
    for claim in (np.diag([1.0, slope]), lambda z: np.diag([1.0, slope]), md.jacobian(f)):
        with pytest.raises(NotDifferentiable, match="kink"):
            check_jacobian(f, claim, x)


def test_beside_a_kink_the_check_works():
    x = np.array([1.0, -2.0, 1e-6])
    report = check_jacobian(np.abs, lambda z: np.diag(np.sign(z)), x)
    assert repr(report) == f"✓ checked: {NOT_COMPLEX} 5 points; complex step could not be used"
    assert "numpy.absolute" in report.refusals["complex step"]
    with pytest.raises(WrongDerivative, match="sign"):
        check_jacobian(np.abs, np.diag([1.0, 1.0, 1.0]), x)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (1e-12, "to 1e-9"),
        (2e-8, "to 1e-6"),
        (1e-5, "rounded too coarsely"),
        (0.1, "kink, a jump or an edge"),
        (np.nan, "kink, a jump or an edge"),
    ],
)
def test_an_oracles_error_widens_the_tolerance_only_so_far(monkeypatch, error, outcome):
    def rough(f, x):
        return numeric.Estimate(np.array([2.0, 4.0]), np.full(2, error), np.zeros(2))

    monkeypatch.setattr(checking, "ORACLES", [Oracle("rough", rough, 1e-9)])
    x = np.array([1.0, 2.0])
    if outcome.startswith("to"):
        assert outcome in repr(check_jacobian(lambda z: np.sum(z**2), 2 * x, x))
        with pytest.raises(WrongDerivative):
            check_jacobian(lambda z: np.sum(z**2), 2 * x + np.array([1e-5, 0]), x)
    else:
        with pytest.raises(NotDifferentiable, match=outcome):
            check_jacobian(lambda z: np.sum(z**2), 2 * x, x)


def test_a_vague_oracle_is_set_aside_when_a_precise_one_serves():
    # 1e8 + x: differences lose eight digits, complex step none.
    report = check_jacobian(lambda x: 1e8 + x, np.array(1.0), 0.3)
    assert report.oracles == ("autodiff", "complex step")
    assert repr(report).endswith("at 1 point; Richardson could not be used")
    assert "rounded too coarsely" in report.refusals["Richardson"]
    with pytest.raises(NotDifferentiable, match="rounded too coarsely"):
        check_jacobian(lambda x: 1e8 + np.abs(x), np.array(1.0), 0.3)


def test_small_rows_are_checked_in_their_own_units():
    x = np.array([0.3, 2.0])

    def f(z):
        return np.array([1e4 * z[0], 1e-6 * z[1] ** 2])

    check_jacobian(f, lambda z: np.diag([1e4, 2e-6 * z[1]]), x)
    with pytest.raises(WrongDerivative, match="slip in a small entry"):
        check_jacobian(f, lambda z: np.diag([1e4, 2.002e-6 * z[1]]), x)


def test_points_outside_the_domain_are_replaced_without_a_warning():
    def f(x):
        return np.log(x) if np.all(x.real < 2.13) else [1 / 0]

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert check_jacobian(f, lambda x: np.diag(np.exp(-np.log(x))), np.array([1e-3, 2.0, 1.0])).points == 5
    assert not caught


def test_a_claim_without_neighbours_is_an_error_of_its_own():
    x = np.array([1.0, 2.0])

    def only_here(z):
        if not np.array_equal(z, x):
            raise KeyError("elsewhere")
        return example_jacobian(z)

    with pytest.raises(InvalidInput, match=r"fewer than 4 neighbours.*KeyError.*pass its value there") as caught:
        check_jacobian(example, only_here, x)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(InvalidInput, match="fewer than 4 neighbours at which f and claimed are finite;"):
        check_jacobian(example, lambda z: example_jacobian(z) * (1 if np.array_equal(z, x) else np.nan), x)


def test_an_error_at_x_itself_is_the_callers_to_see():
    with pytest.raises(KeyError, match="mine"):
        check_jacobian(lambda x: {}["mine"], np.ones(2), np.ones(2))
    with pytest.raises(KeyError, match="mine"):
        check_jacobian(example, lambda x: {}["mine"], np.ones(2))


# ------------------------------------------------------------------------------- the engine among the oracles


FOUND = {
    "transposed": "The claim is transposed",
    "sign": "The claim has the wrong sign everywhere",
    "double": "The claim is 2 times too large: a factor 1/2 is missing",
    "1/N": "The claim is 4 times too small: a factor 4 is missing",
    "term": "The same number is subtracted from every entry",
    "rows swapped": r"Rows 0 and 1 \(counting from 0\) are swapped",
    "one entry": r"Right on 19 of 20 entries, wrong at \[",
    "smallest entry": "a slip in a small entry|Right on 19 of 20 entries, wrong at",
    "by 1e-7": "nearly right, but 20 of 20 entries",
    "zero": "The claim is all zero",
    "one row nan": r"The claim is not finite \(NaN or infinity\) at \[0, 0\]",
    "row sign": r"The sign of row 0 \(counting from 0\) is wrong",
}


@pytest.mark.parametrize("mutation", FOUND)
@pytest.mark.parametrize(("f", "jacobian", "x"), [FUNCTIONS["layers"], FUNCTIONS["relu"]], ids=["layers", "relu"])
def test_the_engine_speaks_first_and_the_mistake_gets_its_name(f, jacobian, x, mutation):
    """Of relu complex step knows nothing, and Richardson alone would let one part in ten million pass."""
    with pytest.raises(WrongDerivative) as caught:
        check_jacobian(f, MUTATIONS[mutation](jacobian(x)), x)
    assert re.search(FOUND[mutation], caught.value.diagnosis)
    assert ("It has shape" if mutation == "transposed" else "by autodiff (at x).") in str(caught.value)


def stable_softmax(z):
    e = np.exp(z - np.max(z))
    return e / e.sum()


def angle(v):
    return np.array([np.hypot(v[0], v[1]), np.arctan2(v[1], v[0])])


@pytest.mark.parametrize(
    ("f", "jacobian", "x"),
    [
        (stable_softmax, softmax_jacobian, np.array([0.3, -1.0, 0.8, 0.1])),
        (angle, lambda v: np.array([v / np.hypot(*v), np.array([-v[1], v[0]]) / (v @ v)]), np.array([1.0, -2.0])),
    ],
    ids=["softmax", "angle"],
)
def test_where_complex_step_is_lost_the_engine_brings_the_digits(f, jacobian, x):
    report = check_jacobian(f, jacobian, x)
    assert repr(report) == f"✓ checked: {NOT_COMPLEX} 5 points; complex step could not be used"
    assert report.differences["autodiff"] < 1e-14
    with pytest.raises(WrongDerivative, match="nearly right"):
        check_jacobian(f, lambda z: jacobian(z) * (1 + 1e-9), x)


@pytest.mark.parametrize(("f", "jacobian", "x"), TABLE)
def test_the_engines_own_derivative_is_a_claim_like_any_other(f, jacobian, x):
    assert {"Richardson"} <= set(check_jacobian(f, md.jacobian(f), x).oracles)
    with pytest.raises(WrongDerivative):
        check_jacobian(f, md.jacobian(lambda z: f(z) * 1.0001), x)


def clipped(x):
    return np.tanh(np.maximum(x, -5.0))


PLANTED = {
    # function, its row in the engine's table with a mistake, and one that calls it
    "tanh without the square": (np.tanh, (lambda y: 1 - y,), layers),
    "tanh where complex step is lost": (np.tanh, (lambda y: 1 - y,), clipped),
    "tanh a little off": (np.tanh, (lambda y: (1 - y * y) * (1 + 1e-6),), clipped),
    "sin with the wrong sign": (np.sin, (lambda a: -np.cos(a),), example),
    "product by the wrong factor": (np.multiply, (lambda a: a, lambda a: a), polar),
    "nothing": (np.exp, (0,), stable_softmax),
}


@pytest.mark.parametrize(("function", "row", "f"), PLANTED.values(), ids=PLANTED)
def test_a_wrong_rule_of_the_engine_is_caught(monkeypatch, function, row, f):
    """Neither the right claim nor the engine's own passes: the two ways to the truth contradict each other."""
    x = np.array([0.2, -0.4, 1.0, 0.5, -0.3])[: 2 if f in (example, polar) else 5]
    right = numeric.jacobian(f, x, method="richardson").value
    check_jacobian(f, md.jacobian(f), x)  # as long as the rule is right
    partials = tuple(primitives.Partial(partial) if callable(partial) else partial for partial in row)
    monkeypatch.setitem(primitives.ELEMENTWISE, function, partials)
    for claim in (right, md.jacobian(f)(x), md.jacobian(f)):
        with pytest.raises(OraclesDisagree, match=r"contradict each other at x: .* by autodiff and .* by (comp|Rich)"):
            check_jacobian(f, claim, x)


def test_a_rule_that_is_wrong_elsewhere_is_caught_by_the_points_around(monkeypatch):
    """At x itself it is right; a neighbour at which the oracles disagree must not be passed over."""
    x = np.array([1.0, 2.0])
    wrong_beyond = (primitives.Partial(lambda a: np.cos(a) * np.where(a > x[1], 1.1, 1)),)
    monkeypatch.setitem(primitives.ELEMENTWISE, np.sin, wrong_beyond)
    check_jacobian(example, example_jacobian(x), x)
    with pytest.raises(OraclesDisagree):
        check_jacobian(example, example_jacobian, x)


@pytest.mark.parametrize("name", ["complex step", "Richardson"])
@pytest.mark.parametrize("error", [1e-4, 1.0])
def test_a_wrong_numeric_oracle_is_caught(monkeypatch, name, error):
    def liar(f, x):
        estimate = numeric.jacobian(f, x, method="complex")
        return dataclasses.replace(estimate, value=estimate.value * (1 + error))

    rows = [dataclasses.replace(oracle, jacobian=liar) if oracle.name == name else oracle for oracle in ORACLES]
    monkeypatch.setattr(checking, "ORACLES", rows)
    x = np.array([1.0, 2.0])
    for claim in (example_jacobian, example_jacobian(x), example_jacobian(x) * (1 + error)):
        with pytest.raises(OraclesDisagree, match=f"by autodiff and .* by {name}"):
            check_jacobian(example, claim, x)


def test_two_numeric_oracles_that_disagree_need_no_engine_to_be_caught(monkeypatch):
    """Each is near enough to the engine's vague value, and not to the other's."""

    def off(by, vague):
        value = example_jacobian(X2)
        return lambda f, x: numeric.Estimate(value + by, np.full((2, 2), vague), np.zeros(2))

    rows = [
        Oracle("middle", off(0, 1e-7), 1e-10),
        Oracle("high", off(8e-7, 0), 1e-10),
        Oracle("low", off(-8e-7, 0), 1e-10),
    ]
    monkeypatch.setattr(checking, "ORACLES", rows[:2])
    check_jacobian(example, example_jacobian(X2) + 8e-7, X2)
    monkeypatch.setattr(checking, "ORACLES", rows)
    with pytest.raises(OraclesDisagree, match=r"by high and .* by low, 1\.6e-06 apart"):
        check_jacobian(example, example_jacobian(X2) + 8e-7, X2)


def test_the_engine_does_not_vouch_alone(monkeypatch):
    def lost(f, x):
        raise NotDifferentiable("f", "nothing is known", "give up")

    rows = [oracle if oracle.name == "autodiff" else dataclasses.replace(oracle, jacobian=lost) for oracle in ORACLES]
    monkeypatch.setattr(checking, "ORACLES", rows)
    for claim in (example_jacobian, md.jacobian(example)):
        with pytest.raises(NotDifferentiable, match="nothing is known"):
            check_jacobian(example, claim, X2)
    assert [oracle.name for oracle in ORACLES if not oracle.vouches_alone] == ["autodiff"]


def filled(v):
    y = np.empty(2, dtype=v.dtype)
    y[0] = v[0] ** 2 * v[1]
    y[1] = 5 * v[0] + np.sin(v[1])
    return y


def with_math(v):
    return np.array([v[0] ** 2 * v[1], 5 * v[0] + math.sin(v[1])])


@pytest.mark.parametrize(
    ("f", "agrees", "without"),
    [
        (filled, "to 1e-10 with complex step, to 1e-7 with Richardson, at 5 points", "autodiff"),
        (with_math, "to 1e-7 with Richardson at 5 points", "autodiff and complex step"),
    ],
    ids=["filled", "math"],
)
def test_what_the_engine_cannot_follow_is_checked_without_it_and_the_report_says_so(f, agrees, without):
    report = check_jacobian(f, example_jacobian, X2, equation="eq-d-a")
    assert repr(report) == f"✓ checked eq-d-a: agrees {agrees}; {without} could not be used"
    assert list(report.refusals) == without.split(" and ")
    assert "plain number" in report.refusals["autodiff"]
    with pytest.raises(WrongDerivative, match="transposed"):
        check_jacobian(f, lambda v: example_jacobian(v).T, X2)


def test_a_derivative_that_the_engine_finds_infinite_is_checked_without_it():
    """The root has an infinite slope at zero, its cube none; the neighbours the engine can judge again."""
    report = check_jacobian(lambda x: np.sqrt(x @ x) ** 3, lambda x: 3 * x * np.sqrt(x @ x), np.zeros(2))
    assert "not finite" in report.refusals["autodiff"]
    assert report.points == 5
    with pytest.raises(WrongDerivative, match=r"2 times too large.*by autodiff \(at a point near x"):
        check_jacobian(lambda x: np.sqrt(x @ x) ** 3, lambda x: 6 * x * np.sqrt(x @ x), np.zeros(2))


def test_digits_that_cancel_in_the_engines_program_widen_its_tolerance():
    """(e^x - 1 - x) / x² has a slope near 1/6, made of numbers near 1e6: digits are gone that the claim still has."""
    x = np.array([1e-3])
    report = check_jacobian(lambda x: (np.exp(x) - 1 - x) / x**2, np.diag(1 / 6 + x / 12 + x**2 / 40 + x**3 / 180), x)
    assert report.tolerances["autodiff"] == 1e-6
    assert 1e-10 < report.differences["autodiff"] < 1e-6


@pytest.mark.parametrize("error", [1e-5, 0.1])
def test_a_vague_engine_is_set_aside_and_finds_no_kinks(monkeypatch, error):
    def vague(f, x):
        return numeric.Estimate(3 + example_jacobian(x), np.full((2, 2), error), np.zeros(2))

    rows = [dataclasses.replace(ORACLES[0], jacobian=vague), *ORACLES[1:]]
    monkeypatch.setattr(checking, "ORACLES", rows)
    report = check_jacobian(example, example_jacobian, X2)
    assert report.oracles == ("complex step", "Richardson")
    assert list(report.refusals) == ["autodiff"]


def test_a_function_that_asks_for_types_is_refused():
    def another(x):
        return x**2 if type(x) is np.ndarray else x**3

    def another_shape(x):
        return x if type(x) is np.ndarray else x[None]

    def not_a_number(x):
        return x if type(x) is np.ndarray else x * np.nan

    def same_value(x):
        return x**2 if type(x) is np.ndarray else x * x.value

    claims = {another: lambda x: np.diag(2 * x), another_shape: lambda x: np.eye(2), not_a_number: lambda x: np.eye(2)}
    for f, claim in claims.items():
        with pytest.raises(OraclesDisagree, match="another one when autodiff follows it"):
            check_jacobian(f, claim, X2)
    with pytest.raises(OraclesDisagree, match="contradict"):
        check_jacobian(same_value, lambda x: np.diag(2 * x), X2)


def test_a_function_with_a_memory_is_named_as_before():
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidInput, match=r"two different values .* fix the seed"):
        check_jacobian(lambda x: x * rng.uniform(1, 2), lambda x: np.eye(2), X2)


# ---------------------------------------------------------------------------------------------- bad input


BAD = {
    "integers": (example, example_jacobian, np.array([1, 2]), {}, "^x: got an array of int64.*astype|dtype=float"),
    "nan": (example, example_jacobian, np.array([1.0, np.nan]), {}, "^x: got nan at index"),
    "empty": (example, example_jacobian, np.array([]), {}, "^x: got an empty array"),
    "text": (example, example_jacobian, "here", {}, "^x: "),
    "f not callable": (np.ones(2), example_jacobian, X2, {}, "^f: got an array of float64"),
    "f returns a list": (lambda x: [x[0]], example_jacobian, X2, {}, r"^f\(x\): got a list"),
    "f returns nan": (lambda x: x * np.nan, example_jacobian, X2, {}, r"^f\(x\): got nan"),
    "f in float32": (lambda x: np.tanh(x.astype(np.float32)), np.eye(2), X2, {}, r"^f\(x\): got .*float32.*float64"),
    "f complex": (lambda x: x * 1j, np.eye(2), X2, {}, r"^f\(x\): got .*complex128.*real"),
    "claim in float32": (example, example_jacobian(X2).astype(np.float32), X2, {}, "^claimed: got .*float32.*float64"),
    "claim in float16": (example, lambda x: np.eye(2, dtype=np.float16), X2, {}, r"^claimed\(x\): got .*float16"),
    "claim complex": (example, example_jacobian(X2) * 1j, X2, {}, "^claimed: got .*complex128"),
    "claim ragged": (example, [[1.0], [1.0, 2.0]], X2, {}, "^claimed: got a list of length 2; wanted .* one length"),
    "claim text": (example, "2x", X2, {}, "^claimed: got a str"),
    "claim of objects": (example, np.array([[1, None], [1, 2]]), X2, {}, "^claimed: got an array of object"),
    "equation without prefix": (example, example_jacobian, X2, {"equation": "eq-a"}, "^equation: got 'eq-a'.*eq-d-"),
    "equation without name": (example, example_jacobian, X2, {"equation": "eq-d-"}, "^equation: "),
    "equation not text": (example, example_jacobian, X2, {"equation": 3}, "^equation: got 3"),
}


@pytest.mark.parametrize(("f", "claim", "x", "options", "message"), [pytest.param(*v, id=k) for k, v in BAD.items()])
def test_bad_input_is_named(f, claim, x, options, message):
    with pytest.raises(InvalidInput, match=message):
        check_jacobian(f, claim, x, **options)


def test_a_function_of_changing_shape_is_named():
    with pytest.raises(InvalidInput, match="shape"):
        check_jacobian(lambda x: x[: 1 + int(x[0].real > 1.0)], np.eye(1, 2), X2)


def test_what_can_be_used_is_used():
    check_jacobian(example, example_jacobian(X2).tolist(), [1.0, 2.0])  # lists
    check_jacobian(example, example_jacobian, X2.astype(np.float32))  # a float32 point
    check_jacobian(lambda x: 3 * x, np.diag([3, 3]), X2)  # integers that are meant
    check_jacobian(lambda x: np.maximum(x, 0), lambda x: np.diag(x > 0), np.array([1.0, -2.0]))  # a gate
    check_jacobian(example, example_jacobian(X2), X2[::-1][::-1])
    assert check_jacobian(lambda t: t**2, lambda t: 2 * t, 3.0).points == 5
    frozen = X2.copy()
    frozen.flags.writeable = False
    check_jacobian(example, example_jacobian, frozen)


def test_a_claim_or_f_that_writes_into_its_argument_changes_nothing():
    x = X2.copy()

    def writing(z):
        J = example_jacobian(z)
        z[:] = 0
        return J

    check_jacobian(example, writing, x)
    assert_allclose(x, X2, rtol=0, atol=0)


def test_the_report_is_a_value():
    report = check_jacobian(example, example_jacobian, X2, equation="eq-d-a")
    assert isinstance(report, Report)
    assert report == check_jacobian(example, example_jacobian, X2, equation="eq-d-a")
    assert report.oracles == tuple(report.differences) == ("autodiff", "complex step", "Richardson")
    assert report.equation == "eq-d-a"
    assert report.tolerances == {"autodiff": 1e-10, "complex step": 1e-10, "Richardson": 1e-7}
    assert report.refusals == {}
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.points = 6


# ---------------------------------------------------------------------------------------------- diagnose


def truths(seed, m=None, n=None):
    """A random true Jacobian: general, symmetric, of a softmax, with zero rows, or a product through a narrow layer."""
    rng = np.random.default_rng(seed)
    m, n = m or int(rng.integers(2, 7)), n or int(rng.integers(2, 7))
    kind = seed % 4
    if m == n and kind == 1:
        return rng, (lambda G: G + G.T)(rng.normal(size=(m, m)))
    if m == n and kind == 2 and m > 2:
        return rng, softmax_jacobian(rng.normal(size=m))
    J = rng.normal(size=(m, n))
    if kind == 3 and m > 2:
        J[rng.integers(m)] = 0
    return rng, J


def live_rows(J):
    return np.flatnonzero(np.abs(J).max(axis=1) > 0)


@fixed
@given(seeds)
def test_right_is_right(seed):
    _, J = truths(seed)
    assert diagnose(J, J).kind == "right"
    assert diagnose(J * (1 + 1e-9), J) == Diagnosis("right", "The claim agrees with the true derivative.")
    assert diagnose(J.T, J.T).kind == diagnose(J[0], J[0]).kind == "right"


@fixed
@given(seeds)
def test_explanations_of_the_whole(seed):
    rng, J = truths(seed)
    factor = float(rng.choice([2, 0.5, 1 / 3, 7, 1.37]))
    symmetric = J.shape == J.T.shape and np.allclose(J, J.T)
    assert diagnose(-J, J).kind == "wrong sign"
    assert diagnose(factor * J, J).kind == "constant factor"
    assert diagnose(-factor * J, J).kind == "constant factor and sign"
    assert diagnose(J.T, J).kind == ("right" if symmetric else "transposed")
    assert diagnose(0 * J, J).kind == "all zero"
    assert diagnose(J, 0 * J).kind == "not zero"
    assert diagnose(np.where(np.eye(*J.shape) > 0, np.nan, J), J).kind == "not finite"
    assert diagnose(J + 0.3, J).kind == "constant added"
    if J.shape[0] == J.shape[1] and not symmetric:
        assert diagnose(-J.T, J).kind == "transposed and wrong sign"
        assert diagnose(1.7 * J.T, J).kind == "transposed and constant factor"


@fixed
@given(seeds)
def test_signs_and_orders_of_rows_and_columns(seed):
    rng, J = truths(seed, m=int(seed % 5 + 3), n=int(seed % 3 + 3))
    i, k = rng.choice(live_rows(J), 2, replace=False)
    flipped, swapped = J.copy(), J.copy()
    flipped[i] *= -1
    swapped[[i, k]] = swapped[[k, i]]
    low, high = sorted((i, k))
    assert diagnose(flipped, J) == Diagnosis(
        "rows with the wrong sign", f"The sign of row {i} (counting from 0) is wrong."
    )
    assert diagnose(swapped, J) == Diagnosis("rows permuted", f"Rows {low} and {high} (counting from 0) are swapped.")
    if not np.allclose(J[:, :1], 0):
        assert diagnose(flipped.T, J.T).kind == "columns with the wrong sign"
        assert diagnose(swapped.T, J.T) == Diagnosis(
            "columns permuted", f"Columns {low} and {high} (counting from 0) are swapped."
        )
    assert diagnose(J[::-1], J).kind == "rows permuted"
    assert diagnose(np.roll(J, 1, axis=1), J).kind == "columns permuted"
    one = J.copy()
    one[i, 0] *= -1
    other = (i, 1)
    one[other] *= -1
    if J.shape[1] > 2 and np.abs(J[i]).min() > 1e-3 and np.abs(J[:, :2]).min() > 1e-3:
        assert diagnose(one, J).kind == "entries with the wrong sign"


@fixed
@given(seeds)
def test_factors_of_rows_and_columns(seed):
    """A wrong activation derivative multiplies rows (or columns) by factors of their own."""
    rng, J = truths(4 * seed, m=5, n=4)
    rows, columns = rng.uniform(0.2, 0.9, (5, 1)), rng.uniform(0.2, 0.9, 4)
    assert diagnose(rows * J, J).kind == "own factor per row"
    assert diagnose(J * columns, J).kind == "own factor per column"
    assert diagnose(J, rows * J).kind == "own factor per row"
    one = J.copy()
    one[3] *= 2.5
    assert diagnose(one, J) == Diagnosis("own factor per row", "Row 3 (counting from 0) is off by the factor 2.5.")
    # Museum 1: the gate is missing in some rows and the factor 2 of dropout in the others.
    gate = np.array([2.0, 0, 2, 0, 2])[:, None]
    assert diagnose(J, gate * J).kind == "own factor per row"


@fixed
@given(seeds)
def test_gates_and_empty_rows(seed):
    rng, J = truths(4 * seed, m=5, n=4)
    gate = np.ones((5, 1))
    gate[rng.choice(5, 2, replace=False)] = 0
    off = np.flatnonzero(gate == 0)
    assert diagnose(J, gate * J).kind == "missing gate"
    assert f"rows {off[0]} and {off[1]} (counting" in diagnose(J, gate * J).sentence
    assert diagnose(J.T, (gate * J).T).kind == "missing gate"
    assert diagnose(gate * J, J).kind == "rows zero"
    assert diagnose((gate * J).T, J.T).kind == "columns zero"
    assert diagnose(np.eye(5), np.diag(gate[:, 0])).kind == "missing gate"


@fixed
@given(seeds)
def test_diagonals_and_terms(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 7))
    G = rng.normal(size=(n, n))
    p = softmax(rng.normal(size=n))
    S = np.diag(p) - np.outer(p, p)
    off = ~np.eye(n, dtype=bool)
    assert diagnose(G * off, G).kind == "missing diagonal"
    assert diagnose(-np.outer(p, p), S).kind == "wrong diagonal"
    assert diagnose(np.diag(np.diagonal(G)), G).kind == "missing off-diagonal"
    assert diagnose(np.diag(p), S) == Diagnosis(
        "missing off-diagonal",
        (
            "Everything off the diagonal is missing: the claim is diagonal, and the true derivative is not; "
            "it lacks an outer product u vᵀ."
        ),
    )
    assert diagnose(np.diag(p), np.diag(p * rng.uniform(0.1, 0.9, n))).kind == "wrong activation"
    assert diagnose(G, G + np.eye(n)) == Diagnosis(
        "missing identity",
        (
            "A multiple of the identity is missing: 1 on the whole diagonal, "
            "as when the skip of x + f(x) is forgotten or counted where there is none."
        ),
    )
    assert diagnose(G + np.eye(n), G).kind == "missing identity"
    term = np.outer(rng.uniform(0.5, 1, n), rng.uniform(0.5, 1, n + 1))
    J = rng.normal(size=(n, n + 1))
    assert diagnose(J - term, J).kind == diagnose(J + term, J).kind == "missing term"
    assert diagnose(np.linalg.inv(G), G).kind == "inverse"


@fixed
@given(seeds)
def test_right_in_part(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(3, 7, 2)
    J = rng.normal(size=(m, n))
    i, j = rng.integers(m), rng.integers(n)
    entry, row, column = J.copy(), J.copy(), J.copy()
    entry[i, j] += 1e-4 * np.abs(J).max()
    row[i] = rng.normal(size=n)
    column[:, j] = rng.normal(size=m)
    assert diagnose(entry, J) == Diagnosis(
        "some entries", f"Right on {m * n - 1} of {m * n} entries, wrong at [{i}, {j}] (counting from 0)."
    )
    assert diagnose(row, J) == Diagnosis(
        "some rows", f"Right on {m - 1} of {m} rows, wrong in row {i} (counting from 0)."
    )
    assert diagnose(column, J) == Diagnosis(
        "some columns", f"Right on {n - 1} of {n} columns, wrong in column {j} (counting from 0)."
    )
    assert diagnose(rng.normal(size=(m, n)), J).kind in ("unrelated", "close")


@fixed
@given(seeds)
def test_gradients(seed):
    rng = np.random.default_rng(seed)
    g = rng.normal(size=int(rng.integers(3, 8)))
    flipped, swapped, nudged = g.copy(), g.copy(), g.copy()
    flipped[1] *= -1
    swapped[[0, 2]] = swapped[[2, 0]]
    nudged[2] += 1
    assert diagnose(-g, g).kind == "wrong sign"
    assert diagnose(2 * g, g).kind == "constant factor"
    assert diagnose(flipped, g) == Diagnosis(
        "entries with the wrong sign", f"The sign is wrong in 1 of {g.size} entries, at [1] (counting from 0)."
    )
    assert diagnose(swapped, g) == Diagnosis("entries permuted", "Entries 0 and 2 (counting from 0) are swapped.")
    assert diagnose(nudged, g) == Diagnosis(
        "some entries", f"Right on {g.size - 1} of {g.size} entries, wrong in entry 2 (counting from 0)."
    )
    assert diagnose(g, np.where(np.arange(g.size) == 1, 0, g)).kind == "missing gate"
    assert diagnose(np.where(np.arange(g.size) == 1, 0, g), g).kind == "entries zero"
    assert diagnose(g + 1, g).kind == "constant added"
    for column in (g[:, None], g[None]):
        assert diagnose(-column, column).kind == "wrong sign"
        assert diagnose(column[::-1, ::-1], column).kind in ("rows permuted", "columns permuted")
        assert diagnose(g, column).kind == diagnose(column, g).kind == "squeezed"


def test_factors_have_names():
    J = np.random.default_rng(0).normal(size=(5, 3))
    said = {factor: diagnose(factor * J, J).sentence for factor in (2, 0.5, 5, 0.2, 3, 9, 1.7, -2, -1.7)}
    assert said == {
        2: "The claim is 2 times too large: a factor 1/2 is missing.",
        0.5: "The claim is 2 times too small: a factor 2 is missing.",
        5: "The claim is 5 times too large: a factor 1/5 is missing, as when the 1/5 of a mean over 5 is lost.",
        0.2: "The claim is 5 times too small: a factor 5 is missing, as when a mean over 5 is taken twice.",
        3: "The claim is 3 times too large: a factor 1/3 is missing, as when the 1/3 of a mean over 3 is lost.",
        9: "The claim is 9 times too large: a factor 1/9 is missing.",
        1.7: "The claim is the true derivative times 1.7.",
        -2: "The claim has the wrong sign everywhere, and is 2 times too large: a factor 1/2 is missing.",
        -1.7: "The claim has the wrong sign everywhere, and is off by the factor -1.7.".replace("-1.7", "1.7"),
    }


def test_one_number_is_not_a_factor_of_another_by_accident():
    assert diagnose(np.array(2.0), np.array(1.0)).kind == "constant factor"
    assert diagnose(np.array(-1.0), np.array(1.0)).kind == "wrong sign"
    assert diagnose(np.array(1.234), np.array(1.0)).kind == "close"
    assert diagnose(np.array(-1.234), np.array(1.0)).kind == "unrelated"
    single = np.array([[0.0, 0.0], [3.0, 0.0]])
    assert diagnose(1.234 * single, single).kind == "close"


def test_orders_shifts_and_lists():
    J = np.random.default_rng(0).normal(size=(7, 4))
    assert diagnose(J[::-1], J).sentence == "The rows are in reverse order."
    assert diagnose(J[:, ::-1], J).sentence == "The columns are in reverse order."
    assert diagnose(np.roll(J, -1, axis=0), J).sentence == (
        "The rows are shifted around: number 1 stands in the place of number 0 (counting from 0)."
    )
    assert diagnose(J[[0, 2, 3, 1, 4, 6, 5]], J).sentence == (
        "The rows are in another order: number 2 stands in the place of number 1 (counting from 0)."
    )
    claim = J.copy()
    claim[:6] *= -1
    assert diagnose(claim, J).sentence == "The sign of rows 0, 1, 2, 3 and 2 more (counting from 0) is wrong."
    claim = J.copy()
    claim[[0, 2]] *= np.array([[2.5], [0.3]])
    assert diagnose(claim, J).sentence.startswith("Rows 0 and 2 (counting from 0) are off by a factor each: the ")
    claim = J.copy()
    claim[[0, 2]] *= 2.5
    assert diagnose(claim, J).sentence == "Rows 0 and 2 (counting from 0) are off by the factor 2.5."
    wide = np.arange(6.0).reshape(2, 3) ** 2
    assert diagnose(wide.T.reshape(2, 3), wide).kind == "reading order"
    zeroed = J.copy()
    zeroed[0, 0] = zeroed[1, 2] = 0
    assert diagnose(zeroed, J).sentence == (
        "Right on 26 of 28 entries, wrong at [0, 0] and [1, 2] (counting from 0); "
        "the claim is zero there, and the true derivative is not."
    )


def test_what_two_names_fit_gets_the_simplest():
    turn = np.array([[0.0, 2.0], [-2.0, 0.0]])
    assert diagnose(turn.T, turn) == Diagnosis(
        "wrong sign", ("The claim has the wrong sign everywhere (for this derivative that is the same as transposed).")
    )
    symmetric = np.array([[1.0, 2.0], [2.0, 5.0]])
    assert diagnose(3 * symmetric.T, symmetric).kind == "constant factor"
    ones = np.ones((3, 3))
    assert diagnose(ones + 1, ones).kind == "constant factor"


def test_one_wrong_entry_on_a_diagonal_is_one_wrong_entry():
    true = np.diag([1.0, 2.0, 3.0])
    assert diagnose(np.diag([1.0, 2.0, 3.5]), true).kind == "some rows"
    full = true + 1
    assert diagnose(full + np.diag([0, 0, 0.5]), full).kind == "some entries"


def test_low_rank_and_few_entries_are_told_apart():
    rng = np.random.default_rng(1)
    J = rng.normal(size=(6, 7))
    two = rng.normal(size=(6, 2)) @ rng.normal(size=(2, 7))
    assert diagnose(J - two, J) == Diagnosis(
        "missing term", "A term is missing or too much: the difference is a matrix of low rank, 2 of 6."
    )
    outer = "A term is missing or too much: the difference is an outer product u vᵀ (rank one)."
    one = np.zeros((6, 7))
    one[np.ix_([0, 3], [1, 2, 5])] = np.outer([1.0, 2.0], [1.0, -1.0, 0.5])
    assert diagnose(J + one, J).sentence == diagnose(J + two[:, :1] * two[:1], J).sentence == outer
    few = J.copy()
    few[0, 0] += 1
    few[3, 4] -= 2
    assert diagnose(few, J).kind == "some entries"
    rows = J.copy()
    rows[[1, 4]] = rng.normal(size=(2, 7))
    assert diagnose(rows, J).sentence == "Right on 4 of 6 rows, wrong in rows 1 and 4 (counting from 0)."


SHAPES = {
    "transposed": (lambda J: J.T, "The claim is transposed: its shape is (3, 2) where (2, 3) is due."),
    "flattened": (np.ravel, "The claim is flattened: its shape is (6,) where (2, 3) is due."),
    "summed over outputs": (
        lambda J: J.sum(axis=0),
        "The claim is summed over the outputs: its shape is (3,) where (2, 3) is due.",
    ),
    "wrong shape": (lambda J: J[:, :2], "The claim has the wrong shape: (2, 2) where (2, 3) is due."),
    "squeezed": (
        lambda J: J[:, None],
        "The claim has axes of length 1 too many or misplaced; its shape is (2, 1, 3) where (2, 3) is due.",
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_shapes(kind):
    change, sentence = SHAPES[kind]
    J = np.random.default_rng(3).normal(size=(2, 3))
    assert diagnose(change(J), J) == Diagnosis(kind, sentence)


def test_more_shapes():
    J = np.random.default_rng(3).normal(size=(2, 3))
    assert diagnose(J[:1], J[:1].T).kind == "transposed"
    assert diagnose(J.T + 1, J).sentence == (
        "The claim has the wrong shape: (3, 2) (the shape of the transpose, but not its values) where (2, 3) is due."
    )
    assert diagnose(J.T.ravel(), J).sentence == (
        "The claim is flattened: its shape is (6,) where (2, 3) is due, and its entries are not the true ones."
    )
    assert diagnose(J[:1, :].ravel(), J[:1]).sentence == (
        "The claim is squeezed: axes of length 1 are lost; its shape is (3,) where (1, 3) is due."
    )
    assert diagnose(np.array([1.0, 2.0]), np.diag([1.0, 2.0])).kind == "diagonal only"
    assert diagnose(np.array([1.0, 3.0]), np.diag([1.0, 2.0])).kind == "wrong shape"
    assert diagnose(np.array(1.0), np.array([1.0, 2.0])).kind == "wrong shape"
    assert diagnose(np.array([np.nan, 1.0]), np.diag([1.0, 2.0])).kind == "wrong shape"


def test_more_than_two_axes():
    rng = np.random.default_rng(4)
    J = rng.normal(size=(2, 3, 2, 3))
    assert diagnose(-J, J).kind == "wrong sign"
    assert diagnose(np.moveaxis(J, (0, 1), (2, 3)), J).kind == "transposed"
    flipped = J.copy()
    flipped[1, 2] *= -1
    assert diagnose(flipped, J).sentence == "The sign of output [1, 2] (counting from 0) is wrong."
    flipped = J.copy()
    flipped[:, :, 0, 1] *= -1
    assert diagnose(flipped, J).sentence == "The sign of input [0, 1] (counting from 0) is wrong."
    elementwise = np.diag(np.arange(1.0, 7)).reshape(2, 3, 2, 3)
    assert diagnose(np.arange(1.0, 7).reshape(2, 3), elementwise).kind == "diagonal only"
    # A vector by a matrix: one leading axis. Claimed as matrix by vector: the output's axis stands last.
    V = rng.normal(size=(2, 3, 4))
    assert diagnose(np.moveaxis(V, 0, -1), V).kind == "transposed"
    assert diagnose(np.moveaxis(V, (0, 1), (1, 2)), V, rows=2).kind == "transposed"
    cube = rng.normal(size=(3, 3, 3))
    assert diagnose(np.moveaxis(cube, 0, -1), cube).kind == "transposed"
    assert diagnose(np.moveaxis(cube, (0, 1), (1, 2)), cube, rows=2).kind == "transposed"
    swapped = cube[[0, 2, 1]]
    assert diagnose(swapped, cube).sentence == "Outputs 1 and 2 (counting from 0) are swapped."
    # A number by a matrix, or a matrix by a number: rows and columns keep their names.
    W = rng.normal(size=(3, 3))
    assert diagnose(W.T, W, rows=0).kind == diagnose(W.T, W, rows=2).kind == "transposed"


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_the_size_of_the_derivative_does_not_matter(scale):
    J = scale * np.random.default_rng(7).normal(size=(4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert diagnose(J, J).kind == "right"
        assert diagnose(3.3 * J, J).kind == "constant factor"
        assert diagnose(J[[1, 0, 2, 3]], J).kind == "rows permuted"
        assert diagnose(J * np.array([1.0, 2.0, 3.0]), J).kind == "own factor per column"
        huge = -1.7e308 * np.sign(J) / (1 + 0.01 * np.arange(12).reshape(4, 3))
        assert diagnose(huge, J).kind == "unrelated"
        assert diagnose(huge, -huge[::-1]).kind == "unrelated"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((None, np.ones(2)), {}, "^claimed: got None"),
        ((np.ones(2), ...), {}, r"^true: got \.\.\."),
        ((np.ones(2), np.array([])), {}, "^true: got"),
        ((np.ones(2), np.array([1.0, np.inf])), {}, "^true: got .*finite"),
        ((np.ones(2), np.ones(2)), {"rows": 2}, "^rows: got 2; wanted .* from 0 to 1"),
        ((len, np.ones(2)), {}, "^claimed: got"),
    ],
)
def test_diagnose_names_bad_input(arguments, options, message):
    with pytest.raises(InvalidInput, match=message):
        diagnose(*arguments, **options)


def test_kinds_and_sentences_are_plain():
    kinds = [kind for kind, _ in [*diagnosis._SHAPE_DETECTORS, *diagnosis._DETECTORS]]
    assert all(kind == kind.lower() and not kind.endswith(".") for kind in kinds)
    assert (md.check_jacobian, md.diagnose) == (check_jacobian, diagnose)
    assert str(Diagnosis("k", "A sentence.")) == "A sentence."
    signature = inspect.signature(check_jacobian)
    assert list(signature.parameters) == ["f", "claimed", "x", "equation", "allow_zero"]
