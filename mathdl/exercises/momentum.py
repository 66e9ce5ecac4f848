"""The exercises of *Momentum*: blocks of heavy ball and Nesterov, their radius, the best pair, turns, the critical β.

Truths come from differentiating the updates themselves, from eigenvalues and from root finding; none repeats a solution.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]
Update = Callable[[Any, float, float, float], Any]

# ---------------------------------------------------------------------------------------------------- updates and blocks


def _heavy(z: Any, rate: float, beta: float, curvature: float) -> Any:
    """One step of heavy ball on λθ²/2, from the state (θ, v) to the next."""
    v = beta * z[1] + curvature * z[0]
    return np.stack([z[0] - rate * v, v])


def _ahead(z: Any, rate: float, beta: float, curvature: float) -> Any:
    """One step of Nesterov's, with the gradient taken where the velocity is about to lead."""
    v = beta * z[1] + curvature * (z[0] - rate * beta * z[1])
    return np.stack([z[0] - rate * v, v])


def _block(update: Update) -> Callable[[float, float, float], Array]:
    """The Jacobian of an update by its state, as a function of α, β and λ."""

    def block(rate: float, beta: float, curvature: float) -> Array:
        step = lambda z: update(z, rate, beta, curvature)  # noqa: E731
        return numeric.jacobian(step, np.array([0.3, -0.7]), method="complex").value

    return block


def _written(theta: Callable[..., float], v: Callable[..., float]) -> Update:
    """An update from two formulas: the new velocity from (θ, v, α, β, λ), the new θ from (θ, v, new v, α, β, λ)."""

    def update(z: Any, *abc: float) -> Any:
        new = v(z[0], z[1], *abc)
        return np.stack([theta(z[0], z[1], new, *abc), new])

    return update


_heavy_block, _ahead_block = _block(_heavy), _block(_ahead)
_THETA: Callable[..., Any] = lambda t, v, new, a, b, h: t - a * new  # noqa: E731
_V: Callable[..., Any] = lambda t, v, a, b, h: b * v + h * t  # noqa: E731
_V_AHEAD: Callable[..., Any] = lambda t, v, a, b, h: b * v + h * (t - a * b * v)  # noqa: E731
_THREE = ((0.1, 0.9, 2.0), (0.3, 0.5, 0.7), (1.1, 0.2, 3.0))

# ---------------------------------------------------------------------------------------------------- heavy ball's block

_HEAVY = Exercise(
    name="heavy-ball-block",
    task="Return the 2 x 2 Jacobian of one step of heavy ball by the state (θ, v), for a loss of curvature λ.",
    truth=_heavy_block,
    inputs=_THREE,
    derivative=True,
    hints=(
        "Write the two lines with g = λθ, and put the first into the second: the step is made with the new velocity. What does θ' depend on then?",
        "v' = βv + λθ, so θ' = θ − αβv − αλθ. Rows are outputs (θ', v'), columns inputs (θ, v).",
        "np.array([[1 − rate * curvature, −rate * beta], [curvature, beta]])",
    ),
    mistakes={
        "the step is made with the old velocity here, θ' = θ − αv; heavy ball uses the new one": _block(
            _written(lambda t, v, new, a, b, h: t - a * v, _V)
        ),
        "the state is in the other order: the rows and columns should be θ, then v": lambda *abc: _heavy_block(*abc)[
            ::-1, ::-1
        ],
        "the velocity goes up the hill: the step is −αv', with a minus": _block(
            _written(lambda t, v, new, a, b, h: t + a * new, _V)
        ),
        "the rate stands in the velocity here; v' = βv + g, and α comes in with the step": _block(
            _written(lambda t, v, new, a, b, h: t - new, lambda t, v, a, b, h: b * v + a * h * t)
        ),
        "this velocity is a mean, βv + (1 − β)g; heavy ball's is a sum, βv + g": _block(
            _written(_THETA, lambda t, v, a, b, h: b * v + (1 - b) * h * t)
        ),
        "β is missing in the first row: the new velocity has only β times the old one in it": lambda a, b, h: np.array(
            [[1 - a * h, -a], [h, b]]
        ),
        "αλ is missing in the upper left: the new velocity contains λθ": lambda a, b, h: np.array(
            [[1.0, -a * b], [h, b]]
        ),
        "transposed: row i is for output i": lambda *abc: _heavy_block(*abc).T,
    },
)

# ------------------------------------------------------------------------------------------------------------ the radius


def _radius(rate: float, beta: float, curvatures: Any) -> float:
    """The spectral radius of the whole update, from all blocks at once."""
    sizes = [np.abs(np.linalg.eigvals(_heavy_block(rate, beta, float(h)))) for h in curvatures]
    return float(np.max(sizes))


def _over(choose: Callable[[Array], float]) -> Callable[..., float]:
    """Like the radius, with one number made of each curvature's pair of eigenvalues, and the largest of them."""
    return lambda rate, beta, curvatures: max(
        choose(np.linalg.eigvals(_heavy_block(rate, beta, float(h)))) for h in curvatures
    )


_RADIUS = Exercise(
    name="heavy-ball-radius",
    task="Return the factor by which heavy ball's error shrinks in each late step, given α, β and the Hessian's eigenvalues.",
    truth=_radius,
    inputs=(
        (0.1, 0.5, np.array([0.2, 1.0, 9.0])),
        (0.02, 0.9, np.array([1.0, 5.0, 30.0])),
        (1.0, 0.3, np.array([0.5, 2.4])),
        (0.1, 0.1, np.array([0.5, 0.2, 20.0])),
        (0.1, 0.0, np.array([4.0, 1.0, 17.0])),
    ),
    hints=(
        "Each eigenvalue λ of the Hessian has a block of its own, and each block two eigenvalues. Which of all of these is left at the end?",
        "The one with the largest modulus. Eigenvalues may be complex or negative: take np.abs of them.",
        "max(np.abs(np.linalg.eigvals(block)).max() for each block [[1 − αλ, −αβ], [λ, β]])",
    ),
    mistakes={
        "this is √β, which is right only where all blocks have complex eigenvalues": lambda a, b, h: math.sqrt(b),
        "the largest real part counts an oscillation for too little; take the modulus": _over(
            lambda pair: float(np.max(pair.real))
        ),
        "only the smallest curvature is looked at; a large one may be slower, or worse": lambda a, b, h: _radius(
            a, b, [min(h)]
        ),
        "only the largest curvature is looked at; the flat directions are the slow ones as a rule": lambda a, b, h: (
            _radius(a, b, [max(h)])
        ),
        "the smallest eigenvalue of each block is taken; what is left at the end belongs to the largest": _over(
            lambda pair: float(np.min(np.abs(pair)))
        ),
        "the fastest block is taken; the error has a part in every one of them, and the slowest remains": lambda a, b, h: (
            min(_radius(a, b, [k]) for k in h)
        ),
        "this is gradient descent's factor, |1 − αλ|: the momentum is not in it": lambda a, b, h: float(
            np.max(np.abs(1 - a * np.asarray(h)))
        ),
    },
)

# ---------------------------------------------------------------------------------------------------------- the best pair


def _pair(mu: float, L: float) -> Array:
    """Both ends critical: 1 − s = √(αμ) and 1 + s = √(αL) with s = √β, found by bisection."""
    s = optimize.brentq(lambda s: (1 + s) * math.sqrt(mu) - (1 - s) * math.sqrt(L), 0.0, 1.0, xtol=1e-15)
    return np.array([(1 - s) ** 2 / mu, s * s])


_BEST = Exercise(
    name="best-heavy-ball",
    task="Return the rate α and the momentum β, an array (2,), with which heavy ball is fastest for eigenvalues from μ to L.",
    truth=_pair,
    inputs=((1.0, 25.0), (0.1, 4.0), (2.0, 1000.0)),
    hints=(
        "At the best pair both ends are critical: μ at the lower edge of the complex region, L at the upper one.",
        "1 − √β = √(αμ) and 1 + √β = √(αL). Add the two, and divide one by the other.",
        "rate = (2 / (√μ + √L))², beta = ((√κ − 1) / (√κ + 1))² with κ = L/μ",
    ),
    mistakes={
        "β is the square of (√κ − 1)/(√κ + 1); the root is the rate of convergence": lambda mu, L: np.array(
            [_pair(mu, L)[0], math.sqrt(_pair(mu, L)[1])]
        ),
        "the rate α is the square of 2/(√μ + √L)": lambda mu, L: np.array(
            [math.sqrt(_pair(mu, L)[0]), _pair(mu, L)[1]]
        ),
        "α = 2/(μ + L) is gradient descent's; with momentum a larger one is best": lambda mu, L: np.array(
            [2 / (mu + L), _pair(mu, L)[1]]
        ),
        "√κ is wanted where κ stands: this is ((κ − 1)/(κ + 1))²": lambda mu, L: np.array(
            [_pair(mu, L)[0], ((L - mu) / (L + mu)) ** 2]
        ),
        "the two are swapped: first α, then β": lambda mu, L: _pair(mu, L)[::-1],
        "this is Nesterov's standard pair, 1/L and (√κ − 1)/(√κ + 1)": lambda mu, L: np.array(
            [1 / L, math.sqrt(_pair(mu, L)[1])]
        ),
        "α = 1/L is too careful for heavy ball: with it L does not reach the upper edge": lambda mu, L: np.array(
            [1 / L, _pair(mu, L)[1]]
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- Nesterov's block

_NESTEROV = Exercise(
    name="nesterov-block",
    task="Return the 2 x 2 Jacobian of one step of Nesterov's method in its look-ahead form, by the state (θ, v), for curvature λ.",
    truth=_ahead_block,
    inputs=_THREE,
    derivative=True,
    hints=(
        "Only the place of the gradient is new: g is taken at θ − αβv. What is it there, for the loss λθ²/2?",
        "g = λ(θ − αβv), so v' = λθ + β(1 − αλ)v. Then θ' = θ − αv'.",
        "np.array([[1 − αλ, −αβ(1 − αλ)], [λ, β(1 − αλ)]])",
    ),
    mistakes={
        "this is heavy ball's: the gradient is not taken ahead": _heavy_block,
        "this is the block of the form g + βv; here the state is the θ before looking ahead": _block(
            _written(lambda t, v, new, a, b, h: t - a * (h * t + b * new), _V)
        ),
        "looks back: the gradient is taken at θ + αβv, where the ball comes from": _block(
            _written(_THETA, lambda t, v, a, b, h: b * v + h * (t + a * b * v))
        ),
        "looks ahead by the whole velocity, θ − αv; only βv of it is carried over": _block(
            _written(_THETA, lambda t, v, a, b, h: b * v + h * (t - a * v))
        ),
        "the look ahead lacks α: the gradient is taken at θ − αβv": _block(
            _written(_THETA, lambda t, v, a, b, h: b * v + h * (t - b * v))
        ),
        "the step is made with the old velocity; it uses the new one, which has seen the gradient ahead": _block(
            _written(lambda t, v, new, a, b, h: t - a * v, _V_AHEAD)
        ),
        "the state is in the other order: the rows and columns should be θ, then v": lambda *abc: _ahead_block(*abc)[
            ::-1, ::-1
        ],
        "transposed: row i is for output i": lambda *abc: _ahead_block(*abc).T,
    },
)

# --------------------------------------------------------------------------------------------------- one form, the other


def _shift(rate: float, beta: float) -> Array:
    """The Jacobian of the change of variables: the look-ahead point, and the velocity as it is."""
    return numeric.jacobian(
        lambda z: np.stack([z[0] - rate * beta * z[1], z[1]]), np.array([0.3, -0.7]), method="complex"
    ).value


_SHIFT = Exercise(
    name="look-ahead-shift",
    task="Return the 2 x 2 matrix that takes the state (θ, v) of Nesterov's look-ahead form to the state (φ, v) of the form g + βv.",
    truth=_shift,
    inputs=((0.1, 0.9), (0.5, 0.4), (1.3, 0.7)),
    derivative=True,
    hints=(
        "In the second form the gradient is taken at φ itself. Where is it taken in the first?",
        "φ = θ − αβv, the point ahead, and v is the same in both.",
        "np.array([[1, −rate * beta], [0, 1]])",
    ),
    mistakes={
        "this leads from the second form to the first: its inverse is asked for": lambda a, b: np.linalg.inv(
            _shift(a, b)
        ),
        "β is missing: the point ahead is θ − αβv": lambda a, b: _shift(a, 1.0),
        "α is missing: the point ahead is θ − αβv": lambda a, b: _shift(1.0, b),
        "transposed: row i is for output i, and it is φ that depends on both": lambda a, b: _shift(a, b).T,
        "the velocity is the same in both forms; it is not scaled": lambda a, b: np.array([[1.0, -a * b], [0.0, b]]),
    },
)

# -------------------------------------------------------------------------------------------------------------- its turns


def _eigenvalue(rate: float, beta: float, curvature: float) -> complex:
    """The eigenvalue of heavy ball's block with the larger imaginary part."""
    pair = np.linalg.eigvals(_heavy_block(rate, beta, curvature))
    return complex(pair[np.argmax(pair.imag)])


def _period(rate: float, beta: float, curvature: float) -> float:
    return 2 * math.pi / cmath.phase(_eigenvalue(rate, beta, curvature))


_PERIOD = Exercise(
    name="oscillation-period",
    task="Return in how many steps heavy ball's oscillation comes round, where the eigenvalues of its block are complex.",
    truth=_period,
    inputs=((0.02, 0.9, 5.0), (0.3, 0.9, 1.0), (1.0, 0.8, 2.8)),
    hints=(
        "A complex eigenvalue is r e^{iφ}: each step turns by the angle φ. How many steps make a whole turn?",
        "2π/φ. The modulus is √β and the real part is half the trace, (1 + β − αλ)/2; np.arccos or np.angle give φ.",
        "2 * np.pi / np.arccos((1 + beta − rate * curvature) / (2 * np.sqrt(beta)))",
    ),
    mistakes={
        "this is half a turn, after which the error has only changed its sign": lambda *abc: _period(*abc) / 2,
        "this is the angle of one step; the question is how many of them make 2π": lambda *abc: cmath.phase(
            _eigenvalue(*abc)
        ),
        "2π is missing: after 1/φ steps it has turned by one radian": lambda *abc: _period(*abc) / (2 * math.pi),
        "the imaginary part is not the angle; divide by the modulus and take the angle, with np.angle": lambda *abc: (
            2 * math.pi / _eigenvalue(*abc).imag
        ),
        "the arc tangent of im/re loses half of the circle where the real part is negative; np.angle does not": lambda *abc: (
            2 * math.pi / math.atan(_eigenvalue(*abc).imag / _eigenvalue(*abc).real)
        ),
        "degrees and radians are mixed": lambda *abc: 360 / cmath.phase(_eigenvalue(*abc)),
        "this is the period of the continuous ball, 2π/√(αλ); the steps here are not small, and there is friction": lambda a, b, h: (
            2 * math.pi / math.sqrt(a * h)
        ),
    },
)

# --------------------------------------------------------------------------------------------------- critical damping


def _critical(rate: float, curvature: float) -> float:
    """The β between 0 and 1 at which the discriminant of the characteristic polynomial is zero."""
    a = rate * curvature
    return float(optimize.brentq(lambda b: (1 + b - a) ** 2 - 4 * b, 0.0, 1.0, xtol=1e-15))


_CRITICAL = Exercise(
    name="critical-beta",
    task="Return the β between 0 and 1 at which one direction of curvature λ is critically damped, for a given rate α.",
    truth=_critical,
    inputs=((0.1, 0.5), (0.05, 8.0), (0.3, 0.04), (1.0, 2.5)),
    hints=(
        "Critical means that the two eigenvalues of the block coincide: the discriminant of r² − (1 + β − αλ)r + β is zero.",
        "(1 + β − αλ)² = 4β, or 1 + β − αλ = 2√β: a quadratic equation for √β. Of its two answers take the one with √β < 1.",
        "(1 − np.sqrt(rate * curvature)) ** 2",
    ),
    mistakes={
        "this is √β: the answer is the square of 1 − √(αλ)": lambda a, h: 1 - math.sqrt(a * h),
        "the root is missing: it is 1 − √(αλ) that is squared": lambda a, h: (1 - a * h) ** 2,
        "1 − αλ is gradient descent's factor; momentum gets at its root": lambda a, h: 1 - a * h,
        "this is the upper edge, with β above 1, where nothing converges": lambda a, h: (1 + math.sqrt(a * h)) ** 2,
        "1 − 2√(αλ) is the limit for small αλ; the exact one is (1 − √(αλ))²": lambda a, h: 1 - 2 * math.sqrt(a * h),
        "the curvature is missing: (1 − √(αλ))², not (1 − √α)²": lambda a, h: (1 - math.sqrt(a)) ** 2,
    },
)

EXERCISES = (_HEAVY, _RADIUS, _BEST, _NESTEROV, _SHIFT, _PERIOD, _CRITICAL)
