"""The same programs in autograd, JAX and PyTorch: equal values, Jacobians, Hessians and products with vectors.

Where a library is not installed, its tests are skipped by name (`make oracles` and `make peers` install them). Where
conventions differ, at kinks, the difference is stated and tested.
"""

from __future__ import annotations

import functools

import numpy as np
import portable
import pytest
from hypothesis import assume, given, settings
from oracles import ORACLES, derivatives

from mathdl import autodiff as ad

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # PyTorch's own use of it

# What a library cannot do or, at the point of the program, does wrong. All else it must do, and equally.
LACKING = {
    "autograd": set(
        """
        cumprod sort trapezoid broadcast_to flip pad meshgrid take eigvalsh matrix_power
        qr median percentile cov corrcoef interp nanmean convolve polyval
        """.split()
    )
    | {"where, broadcast", "diag of a matrix", "einsum trace"},
    "jax": set(),
    "torch": set("cross trapezoid interp nanmean polyval".split()),
}
EXAMPLES = {"autograd": 300, "jax": 40, "torch": 200}  # JAX compiles each program
LACKING_STEPS = {"autograd": {"flip", "take"}, "jax": set(), "torch": set()}


@pytest.fixture(params=ORACLES)
def name(request):
    return request.param


@pytest.fixture
def oracle(name):
    return ORACLES[name]()


def near(ours, theirs, tolerance=1e-9):
    assert np.shape(ours) == np.shape(theirs)
    largest = max(1.0, float(np.max(np.abs(theirs), initial=0.0)))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance * largest)


def compare(oracle, f, x):
    """All derivatives of one program: ours in every mode, against what the oracle says."""
    y = f(np, x)
    weights = np.cos(np.arange(np.size(y))).reshape(np.shape(y))

    def g(namespace, x):
        return namespace.sum(namespace.sin(f(namespace, x)) * weights)

    value, J, H = derivatives(oracle, f, g, x)
    mine, scalar = functools.partial(f, np), functools.partial(g, np)
    near(y, value, 1e-11)
    for mode in ("auto", "forward", "reverse"):
        near(ad.jacobian(mine, mode)(x), J)
    v = np.sin(1.0 + np.arange(np.size(x))).reshape(np.shape(x))
    near(ad.jvp(mine, (x,), (v,))[1], np.tensordot(J, v, np.ndim(x)))
    near(ad.vjp(mine, x)[1](weights), np.tensordot(weights, J, np.ndim(y)))
    near(ad.hessian(scalar)(x), H, 1e-8)
    near(ad.hvp(scalar, x, v), np.tensordot(H, v, np.ndim(x)), 1e-8)
    near(ad.compile(ad.jacobian(mine), x)(x), J)
    near(ad.compile(ad.hessian(scalar), x)(x), H, 1e-8)


@pytest.mark.parametrize("program", portable.FUNCTIONS)
def test_one_function(oracle, name, program):
    if program in LACKING[name]:
        pytest.skip(f"{name} has no right derivative of this")
    compare(oracle, *portable.FUNCTIONS[program])


def test_random_programs(oracle, name):
    @settings(derandomize=True, deadline=None, max_examples=EXAMPLES[name], database=None)
    @given(portable.random_programs(), portable.points())
    def agree(program, x):
        assume(not LACKING_STEPS[name] & {step for step, *_ in program.steps})
        compare(oracle, program, x)

    agree()


# -------------------------------------------------------------------------------------------------------------- kinks
NAN = np.nan
TIE, ONE_ONE = np.array([1.0, 2.0, 2.0]), np.array([1.0, 1.0])
ZEROS, MATRIX = np.zeros(2), np.array([[2.0, 0.5], [0.5, 1.0]])

# Program, point, our Jacobian, and those of the libraries that answer differently. All that are not named agree.
KINKS = {
    "ties share equally": (lambda np, x: np.max(x), TIE, [0, 0.5, 0.5], {}),
    "ties of two arrays, too": (lambda np, x: np.maximum(x[0], x[1]), ONE_ONE, [0.5, 0.5], {}),
    "and with a constant": (lambda np, x: np.minimum(x[0], 1.0), ONE_ONE, [0.5, 0], {}),
    "but relu'(0) = 0": (
        lambda np, x: np.maximum(x[0], 0.0),
        ZEROS,
        [0, 0],
        {"autograd": [0.5, 0], "jax": [0.5, 0], "torch": [0.5, 0]},
    ),
    "|x|'(0) = 0": (lambda np, x: np.abs(x[0]), ZEROS, [0, 0], {"jax": [1, 0]}),
    "the ends of clip share": (
        lambda np, x: np.clip(x[0], -1.0, 1.0),
        ONE_ONE,
        [0.5, 0],
        {"autograd": [0, 0], "torch": [1, 0]},
    ),
    "a norm at zero": (
        lambda np, x: np.linalg.norm(x),
        ZEROS,
        [0, 0],
        {"autograd": [NAN, NAN], "jax": [NAN, NAN]},
    ),
    "a standard deviation of equals": (
        lambda np, x: np.std(x),
        ONE_ONE,
        [0, 0],
        {"autograd": [NAN, NAN], "jax": [NAN, NAN]},
    ),
    "hypot at zero": (
        lambda np, x: np.hypot(x[0], x[1]),
        ZEROS,
        [0, 0],
        {"autograd": [NAN, NAN], "jax": [0.5, 0.5], "torch": [NAN, NAN]},
    ),
    # No kinks, but points where a formula divides zero by zero.
    "a product with a zero": (lambda np, x: np.prod(x - 1.0), TIE, [1, 0, 0], {"autograd": [NAN, 0, 0]}),
    "x to the power of zero": (lambda np, x: x[0] ** 0.0, ZEROS, [0, 0], {"jax": [NAN, 0]}),
    "sinc at zero": (lambda np, x: np.sinc(x[0]), ZEROS, [0, 0], {"autograd": [NAN, 0]}),
    # NumPy's eigenvalues and factors read the lower triangle alone. So do our derivatives; others share between both.
    "the triangle that is read": (
        lambda np, x: np.linalg.eigh(x)[0][0],
        MATRIX,
        [[0.5 - 0.5 / 2**0.5, 0], [-(0.5**0.5), 0.5 + 0.5 / 2**0.5]],
        {name: [[0.5 - 0.5 / 2**0.5, -(0.125**0.5)], [-(0.125**0.5), 0.5 + 0.5 / 2**0.5]] for name in ("jax", "torch")},
    ),
}


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning", "ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("kink", KINKS)
def test_conventions(oracle, name, kink):
    f, x, ours, theirs = KINKS[kink]
    for mode in ("forward", "reverse"):
        np.testing.assert_allclose(ad.jacobian(functools.partial(f, np), mode)(x), ours, rtol=1e-12, atol=1e-12)
    _, J, _ = derivatives(oracle, f, lambda namespace, x: namespace.sum(x * x), x)
    np.testing.assert_allclose(J, theirs.get(name, ours), rtol=1e-9, atol=1e-9)


def test_a_peer_that_returns_zero_for_plain_numpy():
    """What *right, or a named error* is about: the same line, once all zero and once right."""
    autograd = pytest.importorskip("autograd")

    def f(x):
        return np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])

    x = np.array([1.3, 0.7])
    with pytest.warns(UserWarning, match="independent of input"):
        assert not np.any(autograd.jacobian(f)(x))
    near(ad.jacobian(f)(x), np.array([[2 * x[0] * x[1], x[0] ** 2], [5.0, np.cos(x[1])]]))
