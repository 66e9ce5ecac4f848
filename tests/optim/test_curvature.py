"""Newton, Gauss–Newton, Levenberg–Marquardt, the natural gradient and L-BFGS.

Which oracle defines which variant, all of them in mpmath with 40 digits and derivatives written out by hand:

=====================  ================================================================================================
Newton                 H s = - g with `mp.lu_solve`, Nocedal and Wright (2006), section 3.3; with damping H + damping I
Gauss–Newton           the least squares of r + J s with `mp.qr_solve`, Nocedal and Wright, section 10.3
Levenberg–Marquardt    Marquardt (1963), section on strategy, with λ I or λ diag(JᵀJ), and one trial in each step
NaturalGradient        F as the sum over examples and classes of p ∇log p ∇log pᵀ, Amari (1998); for a linear model also
                       `Newton`, whose Hessian is F there, and for normal distributions `GaussNewton`
lbfgs                  `scipy.optimize.minimize` with derivatives written out by hand
=====================  ================================================================================================
"""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
import scipy.optimize

import mathdl as md
from mathdl import optim
from mathdl.autodiff.trees import leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.layers import CrossEntropy
from mathdl.optim import GaussNewton, LevenbergMarquardt, NaturalGradient, Newton, lbfgs

TOLERANCE = 1e-12
DIGITS = 40


def points(optimizer, function, params, steps):
    """The parameters and the state after each step."""
    state, found, states = optimizer.initial(params), [], []
    for _ in range(steps):
        step, state = optimizer.update(function, state, params)
        params = mapped(np.add, params, step)
        found.append(params)
        states.append(state)
    return found, states


def near(ours, theirs, tolerance=TOLERANCE):
    theirs = np.array(theirs, dtype=float)
    assert np.shape(ours) == theirs.shape
    assert np.max(np.abs(ours - theirs)) <= tolerance * np.max(np.abs(theirs))


# ----------------------------------------------------------------------------------------------- functions in two forms
def bowl(x):
    """Convex, and quartic in one direction."""
    return np.exp(0.5 * x[0]) + (x[0] - 2 * x[1]) ** 4 + 0.5 * x[0] ** 2 + x[1] ** 2


def bowl_derivatives(x, y):
    d = x - 2 * y
    g = mp.matrix([mp.exp(x / 2) / 2 + 4 * d**3 + x, -8 * d**3 + 2 * y])
    H = mp.matrix([[mp.exp(x / 2) / 4 + 12 * d**2 + 1, -24 * d**2], [-24 * d**2, 48 * d**2 + 2]])
    return g, H


T = np.array([0.0, 0.5, 1.0, 2.0, 3.5])
Y = np.array([2.1, 1.4, 1.2, 0.6, 0.4])


def decay(p):
    return p["size"] * np.exp(-p["rates"][0] * T) + p["rates"][1] - Y


def as_tree(v):
    return {"size": v[0], "rates": v[1:]}


def as_vector(params):
    return md.flatten(params)[0]


def decay_derivatives(size, rate, floor):
    r, rows = [], []
    for t, y in zip(T, Y, strict=True):
        t, y = mp.mpf(t), mp.mpf(y)
        fall = mp.exp(-rate * t)
        r.append(size * fall + floor - y)
        rows.append([fall, -t * size * fall, 1])
    return mp.matrix(r), mp.matrix(rows)


START = np.array([0.7, 0.2, 0.3])


# ------------------------------------------------------------------------------------------------------------- oracles
@pytest.mark.parametrize(("rate", "damping", "steps"), [(1.0, 0.0, 5), (0.01, 0.0, 1000), (0.1, 0.7, 1000)])
def test_newtons_steps_are_those_of_the_formula(rate, damping, steps):
    ours, states = points(Newton(damping=damping, rate=rate), bowl, np.array([1.5, -0.5]), steps)
    with mp.workdps(DIGITS):
        x = mp.matrix([1.5, -0.5])
        for k in range(steps):
            g, H = bowl_derivatives(*x)
            x = x - mp.mpf(rate) * mp.lu_solve(H + mp.mpf(damping) * mp.eye(2), g)
            near(ours[k], list(x))
    assert states[-1] == {"step": steps}


@pytest.mark.parametrize(("rate", "steps"), [(1.0, 6), (0.01, 1000)])
def test_the_steps_of_gauss_and_newton_are_those_of_the_formula(rate, steps):
    ours, states = points(GaussNewton(rate=rate), decay, as_tree(START), steps)
    with mp.workdps(DIGITS):
        x = mp.matrix(START.tolist())
        for k in range(steps):
            r, J = decay_derivatives(*x)
            x = x - mp.mpf(rate) * mp.qr_solve(J, r)[0]
            near(as_vector(ours[k]), list(x))
    assert states[-1] == {"step": steps}


def valley(x):
    """Rosenbrock's function as residuals, with a third that is never zero."""
    return np.array([[10 * (x[1] - x[0] ** 2), 1 - x[0]], [0.1 * x[0] * x[1], 1.0]])


def valley_derivatives(x, y):
    r = mp.matrix([10 * (y - x**2), 1 - x, mp.mpf(0.1) * x * y, 1])
    return r, mp.matrix([[-20 * x, 10], [-1, 0], [mp.mpf(0.1) * y, mp.mpf(0.1) * x], [0, 0]])


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize(
    ("damping", "up", "down", "start"), [(1e-3, 10.0, 10.0, (-1.2, 1.0)), (2.0, 3.0, 1.1, (-3.0, 2.0))]
)
def test_the_steps_of_levenberg_and_marquardt_are_those_of_the_formula(scaled, damping, up, down, start):
    method = LevenbergMarquardt(damping=damping, up=up, down=down, scaled=scaled)
    steps = 20 if up == 10 else 60
    ours, states = points(method, valley, np.array(start), steps)
    refused = 0
    with mp.workdps(DIGITS):
        x, size, up, down = mp.matrix(start), mp.mpf(damping), mp.mpf(up), mp.mpf(down)
        for k in range(steps):
            r, J = valley_derivatives(*x)
            N = J.T * J
            s = mp.lu_solve(N + size * (mp.diag([N[0, 0], N[1, 1]]) if scaled else mp.eye(2)), -(J.T * r))
            if mp.norm(valley_derivatives(*(x + s))[0]) <= mp.norm(r):
                x, size = x + s, size / down
            else:
                refused, size = refused + 1, size * up
            if mp.norm(s) < 1e-6:  # from here on rounding decides whether the sum of squares has become larger
                break
            near(ours[k], list(x))
            assert (states[k]["step"], states[k]["accepted"]) == (k + 1, k + 1 - refused)
            np.testing.assert_allclose(states[k]["damping"], float(size), rtol=1e-12)
    assert refused > 0
    assert k >= 8


def test_what_levenberg_and_marquardt_find_is_what_scipy_finds():
    ours, _ = points(LevenbergMarquardt(), decay, as_tree(START), 40)
    theirs = scipy.optimize.least_squares(lambda v: decay(as_tree(v)), START, method="lm", xtol=1e-15, ftol=1e-15)
    near(as_vector(ours[-1]), theirs.x, 1e-7)


X = np.array([[0.5, -1.0], [2.0, 0.3], [-0.7, 0.8], [1.0, 1.0]])
LABELS = np.array([0, 2, 1, 2])


def curved_logits(w):
    """Three logits of each row, two parameters that enter nonlinearly."""
    a = np.tanh(X * w)
    return np.stack([a[:, 0], a[:, 1], a[:, 0] * a[:, 1]], axis=1)


def curved_derivatives(u, v, distributions):
    """F and g of the mean cross-entropy, from log p of each class and its gradient."""
    F, g = mp.zeros(2), mp.zeros(2, 1)
    for (x, y), t in zip(X.tolist(), distributions, strict=True):
        a, b = mp.tanh(u * x), mp.tanh(v * y)
        da, db = x * (1 - a**2), y * (1 - b**2)
        z, dz = [a, b, a * b], [(da, 0), (0, db), (da * b, a * db)]
        total = sum(map(mp.exp, z))
        p = [mp.exp(one) / total for one in z]
        mean = [sum(p[c] * dz[c][i] for c in range(3)) for i in range(2)]
        for c in range(3):
            score = mp.matrix([dz[c][i] - mean[i] for i in range(2)])
            F += p[c] * score * score.T / len(X)
            g -= mp.mpf(t[c]) * score / len(X)
    return F, g


@pytest.mark.parametrize(
    ("rate", "damping", "steps", "soft"), [(1.0, 0.0, 2, False), (1.0, 0.0, 8, True), (0.05, 0.01, 1000, False)]
)
def test_natural_steps_are_those_of_the_formula(rate, damping, steps, soft):
    targets = np.array([[0.5, 0.25, 0.25], [0.0, 0.5, 0.5], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]])
    targets = targets if soft else np.eye(3)[LABELS]
    given = targets if soft else LABELS
    method = NaturalGradient(rate=rate, damping=damping)
    ours, states = points(method, (curved_logits, given), np.array([0.4, -0.3]), steps)
    with mp.workdps(DIGITS):
        x = mp.matrix([0.4, -0.3])
        for k in range(steps):
            F, g = curved_derivatives(*x, targets.tolist())
            x = x - mp.mpf(rate) * mp.lu_solve(F + mp.mpf(damping) * mp.eye(2), g)
            near(ours[k], list(x))
    assert states[-1] == {"step": steps}


def test_for_a_linear_model_the_natural_gradient_is_newtons_step():
    W = {"W": np.array([[0.1, -0.2], [0.3, 0.5]]), "b": np.array([0.1, -0.4])}

    def logits(p):  # the first class has none, so that F is not singular
        z = X @ p["W"].T + p["b"]
        return np.concatenate([np.zeros((4, 1)), z], axis=1)

    natural = NaturalGradient(damping=0.02)
    newton = Newton(damping=0.02)
    one, _ = natural.update((logits, LABELS), natural.initial(W), W)
    two, _ = newton.update(lambda p: CrossEntropy()(logits(p), LABELS), newton.initial(W), W)
    near(as_vector(one), as_vector(two))


@pytest.mark.parametrize("columns", [1, 2])
def test_for_normal_distributions_the_natural_gradient_is_the_step_of_gauss_and_newton(columns):
    targets = np.random.default_rng(0).normal(size=(5, columns))

    def means(p):
        return np.stack([decay(p) + Y] * columns, axis=1) * np.arange(1, columns + 1)

    natural, gauss_newton, params = NaturalGradient(damping=0.0, model="normal"), GaussNewton(), as_tree(START)
    one, _ = natural.update((means, targets), natural.initial(params), params)
    two, _ = gauss_newton.update(lambda p: means(p) - targets, gauss_newton.initial(params), params)
    near(as_vector(one), as_vector(two), 1e-10)
    damped = NaturalGradient(damping=0.5, model="normal").update((means, targets), {"step": 0}, params)[0]
    J = md.jacobian(lambda v: means(as_tree(v)))(np.array(START)).reshape(-1, 3)
    r = (means(params) - targets).reshape(-1)
    near(as_vector(damped), -np.linalg.solve(J.T @ J / 5 + 0.5 * np.eye(3), J.T @ r / 5))


def test_the_natural_gradient_goes_the_same_way_in_other_coordinates():
    A = np.array([[2.0, 1.0], [-0.5, 0.7]])
    natural, x = NaturalGradient(damping=0.0), np.array([0.4, -0.3])
    straight, _ = natural.update((curved_logits, LABELS), natural.initial(x), x)
    y = np.linalg.solve(A, x)
    other, _ = natural.update((lambda y: curved_logits(A @ y), LABELS), natural.initial(y), y)
    near(A @ other, straight)


def test_lbfgs_is_scipys_with_the_engines_gradient():
    start = np.array([-1.2, 1.0, 0.7])
    theirs = scipy.optimize.minimize(
        scipy.optimize.rosen,
        start,
        jac=scipy.optimize.rosen_der,
        method="L-BFGS-B",
        options={"maxcor": 10, "gtol": 1e-8, "ftol": np.finfo(float).eps, "maxiter": 1000},
    )

    def rosen(p):
        x = np.concatenate([p["a"], p["b"]])
        return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    found = lbfgs(rosen, {"a": start[:1], "b": start[1:]})
    near(as_vector(found.params), theirs.x, 1e-6)
    near(as_vector(found.params), np.ones(3), 1e-6)
    assert found.converged
    assert abs(found.steps - theirs.nit) <= 3
    assert found.value == rosen(found.params) < 1e-12
    near(as_vector(found.gradient), as_vector(md.grad(rosen)(found.params)))
    assert isinstance(found.message, str)
    first = lbfgs(rosen, {"a": start[:1], "b": start[1:]}, steps=1, memory=1)
    assert (first.steps, first.converged) == (1, False)
    early = lbfgs(rosen, {"a": start[:1], "b": start[1:]}, steps=3)
    assert (early.steps, early.converged) == (3, False)
    assert early.value > 0.1
    rough = lbfgs(rosen, {"a": start[:1], "b": start[1:]}, tolerance=1.0, memory=3)
    assert rough.steps < found.steps
    assert 1e-6 < np.max(np.abs(as_vector(rough.gradient))) <= 1.0


def test_lbfgs_computes_in_float64_and_gives_back_the_type_it_got():
    found = lbfgs(lambda x: np.sum((x - 1) ** 2), np.zeros(3, np.float32))
    assert found.params.dtype == np.float32
    near(found.params, np.ones(3), 1e-6)


# ----------------------------------------------------------------------------------------------------------- properties
def test_the_defaults():
    assert repr(Newton()) == "Newton(damping=0.0, rate=1.0)"
    assert repr(GaussNewton()) == "GaussNewton(rate=1.0)"
    assert repr(LevenbergMarquardt()) == "LevenbergMarquardt(damping=0.001, up=10.0, down=10.0, scaled=False)"
    assert repr(NaturalGradient()) == "NaturalGradient(rate=1.0, damping=0.001, model='categorical')"


def test_newton_goes_to_the_minimum_of_a_quadratic_in_one_step_and_to_a_saddle_too():
    centre, x = np.array([0.3, -2.0]), np.array([5.0, 5.0])
    for H in (np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([[3.0, 1.0], [1.0, -2.0]])):
        found, _ = points(Newton(), lambda x, H=H: (x - centre) @ H @ (x - centre) / 2, x, 1)
        near(found[0], centre)
    step, _ = Newton(damping=5.0).update(lambda x: (x[0] ** 2 - x[1] ** 2) / 2, {"step": 0}, np.array([1.0, 1.0]))
    near(step, [-1 / 6, 1 / 4])  # damped, it goes down along both


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_whether_a_hessian_is_singular_does_not_depend_on_units(scale):
    step, _ = Newton().update(lambda x: scale * (x[0] ** 2 + 3 * x[1] ** 2), {"step": 0}, np.array([2.0, -5.0]))
    near(step, [-2.0, 5.0])
    along = np.array([1.0, 1 / 3, 0.7])
    with pytest.raises(InvalidInput, match="singular"):
        Newton().update(lambda x: scale * ((x @ along) ** 2 + (x[0] - x[1]) ** 2), {"step": 0}, np.ones(3))


def test_newtons_map_is_flat_at_a_minimum_and_not_elsewhere():
    newton = Newton()

    def after(x):
        return x + newton.update(bowl, {"step": 0}, x)[0]

    found, _ = points(newton, bowl, np.array([0.5, 0.5]), 30)
    assert np.max(np.abs(md.jacobian(after)(found[-1]))) < 1e-12
    x = np.array([1.0, 0.2])
    near(md.jacobian(after)(x), md.numeric.jacobian(after, x).value, 1e-7)
    assert np.max(np.abs(md.jacobian(after)(x))) > 0.1


@pytest.mark.parametrize(
    ("method", "function", "x"),
    [
        (GaussNewton(), lambda v: decay(as_tree(v)), START),
        (GaussNewton(rate=0.5), lambda v: np.array([v[0] - v[1], 2 * v[1], v[0] + 1, 3 * v[2]]), START),
        (LevenbergMarquardt(damping=0.3), lambda v: decay(as_tree(v)), START),
        (LevenbergMarquardt(damping=0.3, scaled=True), lambda v: decay(as_tree(v)), START),
        (NaturalGradient(damping=0.1), (curved_logits, LABELS), np.array([0.4, -0.3])),
        (NaturalGradient(damping=0.1, model="normal"), (curved_logits, np.ones((4, 3))), np.array([0.4, -0.3])),
    ],
)
def test_the_maps_of_the_others_have_jacobians_too(method, function, x):
    def after(x):
        return x + method.update(function, method.initial(x), x)[0]

    near(md.jacobian(after)(x), md.numeric.jacobian(after, x).value, 1e-6)


def test_of_many_least_squares_gauss_newton_takes_the_shortest_step():
    step, _ = GaussNewton().update(
        lambda x: np.array([x[0] + x[1] - 2, 2 * (x[0] + x[1]) - 4]), {"step": 0}, np.zeros(2)
    )
    near(step, [1.0, 1.0])


def test_gauss_newton_keeps_the_digits_that_the_normal_equations_lose():
    A = np.array([[1.0, 1.0], [1e-7, 0.0], [0.0, 1e-7]])  # AᵀA is singular to float64
    step, _ = GaussNewton().update(lambda x: A @ (x - np.array([1.0, 2.0])), {"step": 0}, np.zeros(2))
    near(step, [1.0, 2.0], 1e-7)


def test_levenberg_marquardt_refuses_steps_to_where_nothing_is_finite():
    def residuals(x):
        return np.log(x) + 3.0

    method, x = LevenbergMarquardt(damping=1e-6), np.array([2.0])
    with np.errstate(invalid="raise"):  # the trial at a negative number makes no warning of its own
        step, state = method.update(residuals, method.initial(x), x)
    assert (step == 0).all()
    assert state == {"step": 1, "damping": pytest.approx(1e-5), "accepted": 0}
    found, states = points(method, residuals, x, 40)
    near(found[-1], [np.exp(-3.0)], 1e-9)
    assert 0 < states[-1]["accepted"] < 40


def test_levenberg_marquardt_compares_residuals_whose_squares_overflow():
    method, x = LevenbergMarquardt(), np.array([1.9])
    _, better = method.update(lambda x: 1e200 * x, method.initial(x), x)
    _, worse = method.update(lambda x: 1e200 * np.arctan(4 * x), method.initial(x), x)  # which goes too far
    assert (better["accepted"], worse["accepted"]) == (1, 0)


def test_the_damping_of_levenberg_and_marquardt_stays_between_bounds():
    method, x = LevenbergMarquardt(damping=1.0), np.array([3.0])
    _, states = points(method, lambda x: x, x, 400)
    assert states[-1]["damping"] == 1e-12
    assert method.update(lambda x: x, {"step": 0, "damping": 1e-20, "accepted": 0}, x)[1]["damping"] == 1e-20
    uphill = iter(range(10**6))
    _, states = points(method, lambda x: x * 0 + next(uphill), x, 400)
    assert states[-1]["damping"] == 1e100
    assert states[-1]["accepted"] == 0
    assert (
        method.update(lambda x: x * 0 + next(uphill), {"step": 0, "damping": 1e200, "accepted": 0}, x)[1]["damping"]
        == 1e200
    )


FUNCTIONS = {
    Newton: lambda p: np.sum(p["a"] ** 2) + p["b"][0] ** 2,
    GaussNewton: lambda p: np.concatenate([p["a"], p["a"] * p["b"][0]]),
    LevenbergMarquardt: lambda p: np.concatenate([p["a"], p["a"] * p["b"][0]]),
    NaturalGradient: (lambda p: np.stack([p["a"] * 0, p["a"] * p["b"][0]], axis=1), np.array([0, 1, 1])),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_types_forms_and_arguments_are_kept_and_states_can_be_saved(kind, dtype, tmp_path):
    params = {"a": np.array([1.0, 2.0, 0.5], dtype), "b": (dtype(3.0),)}
    params["a"].flags.writeable = False
    method = kind()
    state = method.initial(params)
    before = dict(state)
    step, after = method.update(FUNCTIONS[kind], state, params)
    assert state == before
    assert after["step"] == 1
    assert type(step["b"]) is tuple
    assert [np.asarray(leaf).dtype for leaf in leaves(step)] == [dtype, dtype]
    assert [np.shape(leaf) for leaf in leaves(step)] == [(3,), ()]
    optim.save(tmp_path / "state", after)
    assert optim.load(tmp_path / "state") == after


@pytest.mark.parametrize("kind", [Newton, GaussNewton, NaturalGradient])
def test_the_rate_may_be_a_schedule(kind):
    params = {"a": np.array([1.0, 2.0, 0.5]), "b": (np.float64(3.0),)}
    full, half = kind(), kind(rate=lambda k: 0.5 if k == 4 else 0.0)
    step, _ = full.update(FUNCTIONS[kind], {"step": 4}, params)
    shorter, _ = half.update(FUNCTIONS[kind], {"step": 4}, params)
    none, _ = half.update(FUNCTIONS[kind], {"step": 5}, params)
    near(as_vector(shorter), 0.5 * as_vector(step))
    assert not as_vector(none).any()


# ------------------------------------------------------------------------------------------------------------ bad input
PARAMS = {"a": np.array([1.0, 2.0]), "b": np.array([0.0])}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("method", "function", "message"),
    [
        (Newton(), lambda p: np.log(-p["a"][0]), r"function\(params\): got nan; wanted finite numbers; no step"),
        (Newton(), lambda p: np.sum(np.sqrt(p["b"])) + p["a"][0], r"gradient\['b'\]: got inf at \(0,\)"),
        (Newton(), lambda p: np.sum(p["a"]), r"function: got the Hessian with eigenvalues .* singular.*larger damping"),
        (GaussNewton(), lambda p: p["a"] / p["b"], r"residuals\(params\): got inf at \(0,\)"),
        (GaussNewton(), lambda p: np.sqrt(p["b"]), r"derivative of residuals by params\['b'\]: got nan at \(0,\)"),
        (LevenbergMarquardt(), lambda p: p["a"] / p["b"], r"residuals\(params\): got inf at \(0,\)"),
        (NaturalGradient(), (lambda p: np.stack([p["a"]] * 2) / p["b"], np.ones(2, int)), r"outputs\(params\): got i"),
        (
            NaturalGradient(damping=0.0),
            (lambda p: np.stack([p["a"], p["a"]]), np.array([0, 1])),
            r"function: got the Fisher information with eigenvalues .* singular",
        ),
    ],
)  # fmt: skip
def test_what_is_not_finite_or_singular_is_refused_by_name(method, function, message):
    state = method.initial(PARAMS)
    before = dict(state)
    with pytest.raises(InvalidInput, match=message):
        method.update(function, state, PARAMS)
    assert state == before


def test_a_hessian_that_is_not_finite_is_refused():
    with np.errstate(all="ignore"), pytest.raises(InvalidInput, match=r"the Hessian: got inf at \(0, 0\)"):
        Newton().update(lambda x: np.sum(x**1.5), {"step": 0}, np.zeros(2))


def test_steps_that_overflow_are_refused():
    tiny, x = 1e-300, np.array([1.0])
    with np.errstate(all="ignore"):
        with pytest.raises(
            InvalidInput, match=r"the step: got -?inf at \(0,\); wanted finite numbers; no step was made"
        ):
            Newton().update(lambda x: 1e100 * x[0] + tiny * x[0] ** 2, {"step": 0}, x)
        with pytest.raises(InvalidInput, match="the step: got"):
            GaussNewton().update(lambda x: 1e100 + tiny * x, {"step": 0}, x)
        method = LevenbergMarquardt(scaled=True)
        with pytest.raises(InvalidInput, match="the squares of the derivatives: got inf"):
            method.update(lambda x: 1e200 * x, method.initial(x), x)


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_trees_and_states_that_cannot_be_used_are_refused(kind):
    function, good = FUNCTIONS[kind], {"a": np.array([1.0, 2.0, 0.5]), "b": [np.float64(3.0)]}
    with pytest.raises(InvalidInput, match=r"params\['b'\]: got a set"):
        kind().initial({"a": np.ones(2), "b": {1}})
    for state in (None, {}, 3):
        with pytest.raises(InvalidInput, match=r"state: got .*; wanted what .*initial\(params\) gives"):
            kind().update(function, state, good)
    if kind is LevenbergMarquardt:
        with pytest.raises(InvalidInput, match=r"state: got the keys \['step'\]"):
            kind().update(function, {"step": 0}, good)
    with pytest.raises(InvalidInput, match="params: got arrays of float32 and float64; wanted arrays of one type"):
        kind().update(function, kind().initial(good), {"a": np.ones(3, np.float32), "b": [np.float64(3.0)]})
    if kind is not NaturalGradient:
        with pytest.raises(
            InvalidInput, match=r"function: got .*; wanted a function of the parameters, in the gradient"
        ):
            kind().update(good["a"], kind().initial(good), good)
    with pytest.raises(InvalidInput, match="params: got no numbers"):
        kind().update(function, kind().initial(good), [])


def test_natural_gradients_ask_for_outputs_and_targets_that_fit():
    natural, x = NaturalGradient(), np.ones(2)
    logits = lambda x: np.outer(np.ones(3), x)  # noqa: E731
    wrong = [
        (logits, r"function: got the function .*; wanted a pair \(outputs, targets\)"),
        ((1.0, np.zeros(3, int)), "function: got a tuple"),
        ((lambda x: x, np.zeros(2, int)), r"outputs\(params\): got shape \(2,\); wanted shape \(N, k\)"),
        ((logits, np.zeros(2, int)), "targets"),
        ((logits, np.array([0, 1, 2])), "targets"),
    ]
    for function, message in wrong:
        with pytest.raises(InvalidInput, match=message):
            natural.update(function, {"step": 0}, x)
    normal = NaturalGradient(model="normal")
    for targets in (np.zeros(3), np.zeros((3, 2), bool), np.zeros((3, 2), complex)):
        with pytest.raises(InvalidInput, match=r"targets: got .*; wanted numbers, shape \(3, 2\)"):
            normal.update((logits, targets), {"step": 0}, x)
    with pytest.raises(InvalidInput, match=r"outputs\(params\): got shape \(0, 2\)"):
        normal.update((lambda x: logits(x)[:0], np.zeros((0, 2))), {"step": 0}, x)


@pytest.mark.parametrize(
    ("kind", "name", "value", "wanted"),
    [
        (Newton, "damping", -1.0, "at least 0"),
        (Newton, "rate", -1.0, "at least 0"),
        (GaussNewton, "rate", np.nan, "at least 0"),
        (LevenbergMarquardt, "damping", 0.0, "positive"),
        (LevenbergMarquardt, "up", 1.0, "more than 1"),
        (LevenbergMarquardt, "down", 0.5, "more than 1"),
        (LevenbergMarquardt, "scaled", 1, "one of True, False"),
        (NaturalGradient, "rate", "1", "at least 0"),
        (NaturalGradient, "damping", -1e-3, "at least 0"),
        (NaturalGradient, "model", "softmax", "one of 'categorical', 'normal'"),
    ],
)
def test_settings_out_of_range_are_refused(kind, name, value, wanted):
    with pytest.raises(InvalidInput, match=rf"{name}: got .*{wanted}"):
        kind(**{name: value})


def test_lbfgs_names_what_it_cannot_use():
    with pytest.raises(InvalidInput, match="function: got None"):
        lbfgs(None, np.ones(2))
    with np.errstate(all="ignore"), pytest.raises(InvalidInput, match=r"function\(params\): got nan"):
        lbfgs(lambda x: np.log(x), np.float64(-1.0))
    with np.errstate(all="ignore"), pytest.raises(InvalidInput, match=r"gradient\['b'\]: got inf at \(0,\)"):
        lbfgs(lambda p: np.sum(np.sqrt(p["b"])) + p["a"] @ p["a"], PARAMS)
    for setting in ({"steps": 0}, {"memory": 0}, {"tolerance": -1.0}):
        with pytest.raises(InvalidInput, match=next(iter(setting))):
            lbfgs(lambda x: x @ x, np.ones(2), **setting)
