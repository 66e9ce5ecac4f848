"""The exercises of *Gradient flow*: a leaky gain, χ by integration, products of Jacobians, skips, LSUV, a depth scale.

Truths come from the engine, from quadrature and from root finding; none repeats a solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, optimize

from mathdl import numeric
from mathdl.exercises.judge import Exercise
from mathdl.gradient_flow import mean_field
from mathdl.layers import Softplus, Tanh

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(12)
_normal = _rng.standard_normal


def _mean(f: Callable[[Array], Array]) -> float:
    """E f(z) with z standard normal, each half for itself: a kink at zero does no harm."""
    halves = (integrate.fixed_quad(lambda z: f(z) * np.exp(-z * z / 2), *ends, n=200) for ends in ((-12, 0), (0, 12)))
    return float(sum(value for value, _ in halves)) / math.sqrt(2 * math.pi)


# ------------------------------------------------------------------------------------------------------ a leaky rectifier


def _leaky(slope: float) -> float:
    """E φ(z)² of the leaky rectifier."""
    return _mean(lambda z: np.where(z > 0, z, slope * z) ** 2)


_LEAKY = Exercise(
    name="leaky-gain",
    task="Return n times the variance of the weights with which leaky ReLU, max(h, a h), keeps the mean square.",
    truth=lambda a: 1 / _leaky(a),
    inputs=((0.0,), (0.01,), (0.25,), (0.8,), (1.0,)),
    hints=(
        "For h symmetric about zero, half of the mean square comes from h > 0 and half from h < 0. What does the activation make of each half?",
        "E φ(h)² = (1 + a²) E h² / 2, and n v times this has to be E h² again. Test yourself at a = 0, which is ReLU, and at a = 1, which is no activation at all.",
    ),
    mistakes={
        "this is He's 2 for every slope; the negative half is not lost here, it comes through with a²": lambda a: 2.0,
        "the slope is not squared: mean squares of the negative half are multiplied by a²": lambda a: 2 / (1 + a),
        "this is the gain, the square root of n v; the exercise asks for n times the variance": lambda a: math.sqrt(
            1 / _leaky(a)
        ),
        "the halves are missing: each sign has half of the mean square, so at a = 1 the answer is 1, not 1/2": lambda a: (
            0.5 / _leaky(a)
        ),
        "the wrong way up: this is what the activation leaves of the mean square, and the weights have to make up for it": _leaky,
    },
)

# ------------------------------------------------------------------------------------------------------ χ by integration


def _slope(phi: Any) -> Callable[[Array], Array]:
    """φ′ of an elementwise layer, as the layer pushes a one through."""

    def slope(x: Array) -> Array:
        return np.asarray(phi.jvp({}, phi.forward({}, x)[1], np.ones_like(x)))

    return slope


def _chi(slope: Callable[[Array], Array], weights: float, q: float) -> float:
    return weights * _mean(lambda z: slope(math.sqrt(q) * z) ** 2)


_CHI = Exercise(
    name="chi-by-integration",
    task="Return χ = σ_w² E φ′(√q z)² for a function φ′, the number σ_w² and the variance q, by numerical integration.",
    truth=_chi,
    inputs=((_slope(Tanh()), 1.5, 0.7), (_slope(Softplus()), 3.0, 2.5), (_slope(Tanh()), 0.8, 0.1)),
    rtol=1e-4,
    hints=(
        "A mean over a standard normal z is an integral with the density exp(−z²/2)/√(2π). On a fine grid from −8 to 8 it is a sum.",
        "z = np.linspace(−8, 8, 2001); density = np.exp(−z²/2)/√(2π). The integrand is slope(√q z)² times the density, and dz = 16/2000.",
        "weight_variance * np.sum(slope(np.sqrt(q) * z) ** 2 * density) * (z[1] − z[0])",
    ),
    mistakes={
        "the slope is not squared: χ is about squared lengths": lambda slope, weights, q: (
            weights * _mean(lambda z: slope(math.sqrt(q) * z))
        ),
        "σ_w² is missing: this is E φ′² alone": lambda slope, weights, q: _chi(slope, 1.0, q),
        "σ_w² is squared once more: the argument is a variance already": lambda slope, weights, q: _chi(
            slope, weights**2, q
        ),
        "the slope is taken at z; the signal has variance q, so that it is taken at √q z": lambda slope, weights, q: (
            _chi(slope, weights, 1.0)
        ),
        "the slope is taken at q z; a variance of q is a standard deviation of √q": lambda slope, weights, q: _chi(
            slope, weights, q * q
        ),
        "the mean is squared here; χ is the mean of the square": lambda slope, weights, q: (
            weights * _mean(lambda z: slope(math.sqrt(q) * z)) ** 2
        ),
        "the density lacks its 1/√(2π): the weights of the sum have to add up to 1": lambda slope, weights, q: (
            _chi(slope, weights, q) * math.sqrt(2 * math.pi)
        ),
    },
)

# --------------------------------------------------------------------------------------------------- a product of Jacobians


def _chain(weights: list[Array], x: Array) -> Array:
    for W in weights:
        x = np.tanh(W @ x)
    return x


def _chain_jacobian(weights: list[Array], x: Array) -> Array:
    return numeric.jacobian(lambda v: _chain(weights, v), x, method="complex").value


def _chain_slipped(
    slope: Callable[[Array, Array], Array] = lambda h, y: 1 - y**2, before: bool = False, last: bool = True
) -> Callable[..., Array]:
    """The product with another slope, with D on the other side of W, or without the last D."""

    def jacobian(weights: list[Array], x: Array) -> Array:
        J = np.eye(len(x))
        for k, W in enumerate(weights):
            h = W @ x
            y = np.tanh(h)
            d = slope(h, y) if last or k + 1 < len(weights) else np.ones_like(h)
            J = W @ ((1 - x**2)[:, None] * J) if before else d[:, None] * (W @ J)
            x = y
        return J

    return jacobian


def _reversed(weights: list[Array], x: Array) -> Array:
    """The same factors in the other order, where their shapes allow it."""
    factors = []
    for W in weights:
        x = np.tanh(W @ x)
        factors.append((1 - x**2)[:, None] * W)
    J = np.eye(len(factors[0]))
    for factor in factors:
        J = J @ factor
    return J


_CHAIN = Exercise(
    name="chain-jacobian",
    task="Return the Jacobian of x ↦ tanh(W_L ... tanh(W_1 x)) at x, shape (m, n), as a product of D_l W_l.",
    truth=_chain_jacobian,
    inputs=(
        ([_normal((3, 3)), _normal((3, 3)), _normal((3, 3))], _normal(3)),
        ([0.7 * _normal((4, 4)) for _ in range(6)], _normal(4)),
    ),
    derivative=True,
    hints=(
        "Go through the layers with x and J together: x becomes tanh(W x), and J becomes the layer's Jacobian times J.",
        "The layer's Jacobian is diag(1 − y²) W with y = tanh(W x). Multiplying by a diagonal matrix from the left scales rows.",
        "J = np.eye(len(x)); for each W: x = np.tanh(W @ x); J = (1 − x**2)[:, None] * (W @ J)",
    ),
    mistakes={
        "the slopes are missing: this is the product of the matrices alone": _chain_slipped(
            slope=lambda h, y: np.ones_like(y)
        ),
        "the slope is taken of h, 1 − h²; it is 1 − tanh(h)²": _chain_slipped(slope=lambda h, y: 1 - h**2),
        "the slope is 1 − y², and this is 1 − y": _chain_slipped(slope=lambda h, y: 1 - y),
        "the factors are in the wrong order: the last layer stands on the left": _reversed,
        "the slopes belong to the wrong side: D_l stands to the left of W_l, and holds the slopes at the output of layer l": (
            _chain_slipped(before=True)
        ),
        "the slopes of the last layer are missing": _chain_slipped(last=False),
        "transposed: this is the matrix that pulls a cotangent back": lambda weights, x: _chain_jacobian(weights, x).T,
    },
)

# ------------------------------------------------------------------------------------------------------ how much of a branch


def _branch(chi: float, depth: int, growth: float) -> float:
    """Found by bisection: at a = 0 nothing grows, and the growth rises with a."""
    grown = lambda a: depth * math.log1p(a * a * chi) - math.log(growth)  # noqa: E731
    return float(optimize.brentq(grown, 0.0, 1e3, xtol=1e-14, rtol=1e-14))


_BRANCH = Exercise(
    name="branch-scale",
    task="Return the a with which L blocks x + a f(x), with χ_f of f, multiply squared gradients by `growth` on average.",
    truth=_branch,
    inputs=((1.0, 50, math.e), (0.5, 10, 2.0), (2.0, 100, 100.0)),
    hints=(
        "One block multiplies the mean square by 1 + a² χ_f. And L blocks?",
        "(1 + a² χ_f)^L = growth. Take the L-th root, then solve for a.",
        "np.sqrt((growth ** (1 / depth) − 1) / chi)",
    ),
    mistakes={
        "this is a², not a": lambda chi, depth, growth: _branch(chi, depth, growth) ** 2,
        "one block counts for all: take the L-th root of the growth first": lambda chi, depth, growth: _branch(
            chi, 1, growth
        ),
        "χ_f is missing: the branch multiplies squares by a² χ_f": lambda chi, depth, growth: _branch(
            1.0, depth, growth
        ),
        "the skip is missing: this solves (a² χ_f)^L = growth": lambda chi, depth, growth: math.sqrt(
            growth ** (1 / depth) / chi
        ),
        "this is the limit for many blocks, √(log growth / (L χ_f)); here L is given, so that the equation can be solved": lambda chi, depth, growth: (
            math.sqrt(math.log(growth) / (depth * chi))
        ),
        "a and χ_f are mixed up: χ_f is about squares already, so χ_f stands there once, not squared": lambda chi, depth, growth: (
            _branch(chi * chi, depth, growth)
        ),
        "this solves 1 + L a² χ_f = growth; the factors of the blocks multiply, they do not add": lambda chi, depth, growth: (
            math.sqrt((growth - 1) / (depth * chi))
        ),
    },
)

# ------------------------------------------------------------------------------------------------------------ LSUV by hand


def _scaled(
    measure: Callable[[Array, Array], Any] = lambda h, x: np.std(h),
    follow: bool = True,
    activation: bool = True,
) -> Callable[..., Array]:
    """The factors by which the weights are divided, with another measure, or with signals that are not followed on."""

    def factors(weights: list[Array], X: Array) -> Array:
        found = []
        for W in weights:
            h = X @ W.T
            s = measure(h, X)
            found.append(1 / s)
            h = h / s if follow else h
            X = np.tanh(h) if activation else h
        return np.array(found)

    return factors


def _lsuv(weights: list[Array], X: Array) -> Array:
    """From the definition: each factor is the root of "the variance is 1", found layer after layer."""
    found: list[float] = []
    for W in weights:
        c = optimize.brentq(lambda c, H=X @ W.T: np.var(c * H) - 1, 1e-6, 1e6, xtol=1e-15)
        X = np.tanh(c * (X @ W.T))
        found.append(float(c))
    return np.array(found)


_LSUV = Exercise(
    name="lsuv-factors",
    task="Return the factors c_l, shape (L,), with which all tanh layers of c_l W_l get inputs h_l of variance 1 from the data X.",
    truth=_lsuv,
    inputs=(
        ([3 * _normal((5, 4)), 0.1 * _normal((6, 5)), _normal((3, 6))], _normal((20, 4))),
        ([0.3 * _normal((4, 4)) for _ in range(5)], 2 + _normal((12, 4))),
    ),
    hints=(
        "Start with the first layer: H = X Wᵀ has some standard deviation. Which factor makes it 1, and what does the second layer then get?",
        "c = 1 / np.std(H), over all entries of H. The next layer gets tanh(c H), not tanh(H).",
        "for each W: H = X @ W.T; c = 1 / np.std(H); X = np.tanh(c * H)",
    ),
    mistakes={
        "these are the standard deviations; the weights have to be divided by them": lambda weights, X: (
            1 / _lsuv(weights, X)
        ),
        "divide by the standard deviation, not by the variance": _scaled(measure=lambda h, x: np.var(h)),
        "each layer was measured with the layers before it unscaled; what is measured has to follow from the new weights": (
            _scaled(follow=False)
        ),
        "the layer after gets tanh of what the layer before gives; here the activation is left out": _scaled(
            activation=False
        ),
        "measured after the activation: it is h = W x that shall have variance 1, before tanh": _scaled(
            measure=lambda h, x: np.std(np.tanh(h))
        ),
        "this divides by the root mean square; the variance is taken about the mean": _scaled(
            measure=lambda h, x: np.sqrt(np.mean(h**2))
        ),
    },
)

# --------------------------------------------------------------------------------------------------------- how deep it reaches


def _depths(square: bool = False, change: float = 1000.0, relu: float = 2.0, sign: int = 1) -> Array:
    """Layers until lengths have changed by ``change``: ReLU at gain 1.3, tanh at gain 0.9 and 2."""
    chis = (1.3**2 / relu, 0.9**2, mean_field(Tanh(), 4.0).chi)
    power = 1 if square else 2
    return np.array([sign * power * math.log(change) / abs(math.log(chi)) for chi in chis])


_DEPTH = Exercise(
    name="depth-scales",
    task="After how many layers is the length of a cotangent a thousandth or a thousandfold: ReLU at gain 1.3, tanh at 0.9, tanh at 2?",
    truth=_depths(),
    rtol=1e-3,
    hints=(
        "χ is the factor of the squared length in one layer. What is it for ReLU, and what for tanh below gain 1, where q* = 0? For the third ask mean_field.",
        "Lengths change by χ^(l/2). Solve χ^(l/2) = 1/1000, or 1000, for l.",
        "2 · log(1000) / |log χ|, with χ = 1.3²/2, 0.9², and mean_field(Tanh(), 4.0).chi",
    ),
    mistakes={
        "this is for the squared length: χ belongs to squares, so lengths take twice as many layers": _depths(
            square=True
        ),
        "the gates of ReLU are forgotten: half of them are shut, so χ = gain² / 2": _depths(relu=1.0),
        "the number of layers is positive, also where gradients vanish": np.array([1.0, 1.0, 1.0])
        * _depths()
        * np.sign([1.3**2 / 2 - 1, 0.9**2 - 1, 1.0]),
        "χ is the square of the gain, 0.81 for the second; here the gain stands for χ": np.array(
            [2 * math.log(1000) / abs(math.log(chi)) for chi in (1.3 / 2, 0.9, mean_field(Tanh(), 2.0).chi)]
        ),
    },
)

EXERCISES = (_LEAKY, _CHI, _CHAIN, _BRANCH, _LSUV, _DEPTH)
