"""The exercises of *Automatic differentiation*: dual numbers, a new primitive, a tape's sweep, counts, a source to read.

Truths come from complex steps, from a linear system in place of a sweep, and from counting; none repeats a solution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]
Steps = Sequence[Sequence[tuple[int, float]]]

# ------------------------------------------------------------------------------------------- division of dual numbers


def _quotient(p: Array, q: Array) -> Array:
    """The value and the slope of (p + t dp) / (q + t dq) at t = 0."""
    slope = numeric.jacobian(lambda t: (p[0] + t * p[1]) / (q[0] + t * q[1]), np.array(0.0), method="complex")
    return np.array([p[0] / q[0], float(slope.value)])


def _with_tangent(tangent: Callable[..., Any]) -> Callable[[Array, Array], Array]:
    """Right in the value, and with this tangent, written with p, dp, q, dq."""
    return lambda p, q: np.array([p[0] / q[0], tangent(*p, *q)])


_DUAL_DIVIDE = Exercise(
    name="dual-divide",
    task="Divide two dual numbers, each an array of a value and a tangent.",
    truth=_quotient,
    inputs=(
        (np.array([3.0, 1.0]), np.array([2.0, 0.5])),
        (np.array([-1.5, 0.7]), np.array([0.4, -2.0])),
        (np.array([0.8, 1.3]), np.array([-2.5, 0.6])),
    ),
    hints=(
        "The value is p / q. For the tangent, use the quotient rule, or the row of np.divide in the table.",
        "With y = p / q, the table says: the slope in p is 1 / q, the slope in q is -y / q.",
        "The tangent is (dp - y * dq) / q with y = p / q.",
    ),
    mistakes={
        "the value is right; in the tangent the term of q is added; it has to be subtracted": _with_tangent(
            lambda p, dp, q, dq: (dp + p / q * dq) / q
        ),
        "the value is right; the tangent has the sign of dp q - p dq reversed": _with_tangent(
            lambda p, dp, q, dq: (p * dq - dp * q) / q**2
        ),
        "the value is right; the tangent lacks the square: dp q - p dq is divided by q * q": _with_tangent(
            lambda p, dp, q, dq: (dp * q - p * dq) / q
        ),
        "the value is right; the tangent takes q for a constant and lacks its term": _with_tangent(
            lambda p, dp, q, dq: dp / q
        ),
        "the value is right; the tangent is that of a product": _with_tangent(lambda p, dp, q, dq: dp * q + p * dq),
        "the tangent of a quotient is not the quotient of the tangents": lambda p, q: np.array(
            [p[0] / q[0], p[1] / q[1] if q[1] else np.inf]
        ),
        "only the tangent is there; return the value and the tangent, shape (2,)": lambda p, q: _quotient(p, q)[1],
        "both numbers are right, in the wrong order: first the value, then the tangent": lambda p, q: _quotient(p, q)[
            ::-1
        ],
    },
)

# ------------------------------------------------------------------------------------------- a row of the table: softplus


def _softplus_slope(y: Array) -> Array:
    """The logistic function of x, with e^x = e^y - 1; beyond y = 700 it is 1 to the last digit."""
    e_x = np.expm1(np.minimum(y, 700.0))
    return np.asarray(e_x / (1 + e_x))


_SOFTPLUS_ROW = Exercise(
    name="softplus-row",
    task="Return the slope of softplus, y = log(1 + e^x), from its result y alone.",
    truth=_softplus_slope,
    inputs=(
        (np.array([0.3, 0.7, 1.9, 4.0]),),
        (np.array([1e-20, 3e-20]),),
        (np.array([30.0, 800.0]),),
    ),
    derivative=True,
    hints=(
        "The slope is e^x / (1 + e^x). Which of the two is e^y?",
        "1 + e^x = e^y, so the slope is (e^y - 1) / e^y = 1 - e^(-y).",
        "For y = 1e-20 the difference 1 - e^(-y) is computed as 0. np.expm1(t) is e^t - 1 without that loss.",
    ),
    mistakes={
        "right where y is not small; for y = 1e-20 every digit is lost in 1 - np.exp(-y): use np.expm1": lambda y: (
            1 - np.exp(-y)
        ),
        "this is the slope as a function of x; what comes in is the result y": lambda y: 1 / (1 + np.exp(-y)),
        "the sign is lost: np.expm1(-y) is e^(-y) - 1, the negative of the slope": lambda y: np.expm1(-y),
        "this is e^(-y), what is missing from the slope to 1": lambda y: np.exp(-y),
        "this is e^x; the slope is e^x divided by 1 + e^x = e^y": lambda y: np.expm1(np.minimum(y, 700.0)),
        "this is the row of tanh; softplus has one of its own": lambda y: 1 - y * y,
        "this is the row of the logistic function, y (1 - y), which is the slope of softplus's slope": lambda y: (
            y * (1 - y)
        ),
    },
)

# -------------------------------------------------------------------------------------------------- the sweep of a tape


def _system(steps: Steps, n: int, u: float) -> Array:
    """The cotangents solve (I - L^T) c = u e: L[w, p] is the sum of the slopes of step w in step p."""
    L = np.zeros((len(steps), len(steps)))
    for w, links in enumerate(steps):
        for p, slope in links:
            L[w, p] += slope
    seed = np.zeros(len(steps))
    seed[-1] = u
    return np.linalg.solve(np.eye(len(steps)) - L.T, seed)[:n]


def _sweep(steps: Steps, n: int, u: float, order: int = -1, add: bool = True, start: int = -1) -> Array:
    c = np.zeros(len(steps))
    c[start] = u
    for w in range(len(steps))[::order]:
        for p, slope in steps[w]:
            c[p] = (c[p] if add else 0.0) + slope * c[w]
    return c[:n]


def _one_link(steps: Steps, n: int, u: float) -> Array:
    return _sweep([links[:1] for links in steps], n, u)


def _all_places(steps: Steps, n: int, u: float) -> Array:
    return _system(steps, len(steps), u)


# x, y, x*x, (x*x)*y, sin y, the sum of the last two; and a longer one whose inputs are used again near the end
_SHORT: Steps = ((), (), ((0, 3.0), (0, 3.0)), ((2, 2.0), (1, 9.0)), ((1, -0.4),), ((3, 1.0), (4, 1.0)))
_LONG: Steps = (
    (),
    (),
    (),
    ((0, 1.5), (1, -2.0)),
    ((3, 0.5),),
    ((3, 2.0), (4, -1.0)),
    ((2, 0.7), (5, 1.2)),
    ((4, 3.0), (6, -0.5), (0, 0.25)),
)
_CHAIN: Steps = ((), ((0, 2.0),), ((1, -3.0),))

_TAPE_SWEEP = Exercise(
    name="tape-sweep",
    task="Pull a cotangent u of the last step back along a tape to its n inputs.",
    truth=_system,
    inputs=((_SHORT, 2, 1.0), (_LONG, 3, -1.5), (_CHAIN, 1, 0.5)),
    derivative=True,
    hints=(
        "Make one cotangent for each step, all zero, and set the last one to u.",
        "Go through the steps from the last to the first: a step may pull once all its users have.",
        "For each (place, slope) of step k: cotangents[place] += slope * cotangents[k]. In the end return the first n.",
    ),
    mistakes={
        "a place that is used more than once keeps only one of its terms: the cotangents that arrive have to add up": lambda steps, n, u: (
            _sweep(steps, n, u, add=False)
        ),
        "only the last step has pulled anything: taken in the order of the run, the steps before it pull when nothing has arrived yet; go from the last to the first": lambda steps, n, u: (
            _sweep(steps, n, u, order=1)
        ),
        "the sweep begins with 1 in place of u": lambda steps, n, u: _sweep(steps, n, 1.0),
        "only the first link of each step is followed": _one_link,
        "these are the cotangents of all steps; return those of the n inputs": _all_places,
        "u stands at the first place; the sweep begins at the last step": lambda steps, n, u: _sweep(
            steps, n, u, start=0
        ),
    },
)

# -------------------------------------------------------------------------------------------------- how many directions

_COUNT_DIRECTIONS = Exercise(
    name="count-directions",
    task="For five tasks, how many tangents or cotangents have to travel, at least?",
    truth=np.array([1, 3, 20, 1, 32]),
    hints=(
        "A full Jacobian takes n tangents or m cotangents, whichever is fewer.",
        "The fourth asks for J v, not for J. The fifth has one output for each image.",
        "min(1000, 1), min(3, 500), min(50, 20); then one tangent; then min(640, 32).",
    ),
    mistakes={
        "these are the numbers of tangents, one for each input; where there are fewer outputs, pull instead": np.array(
            [1000, 3, 50, 1, 640]
        ),
        "these are the numbers of cotangents, one for each output; the second function has fewer inputs, so push": np.array(
            [1, 500, 20, 1, 32]
        ),
        "all but the fourth are right: J v is a single push, with the tangent v, whatever the size of J": np.array(
            [1, 3, 20, 1000, 32]
        ),
        "each of these can be one run, with all directions on a leading axis; the question is how many directions": np.array(
            [1, 1, 1, 1, 1]
        ),
        "all but the last are right: 32 losses are 32 outputs, and one cotangent gives only the gradient of their weighted sum": np.array(
            [1, 3, 20, 1, 1]
        ),
    },
)

# ------------------------------------------------------------------------------------------------ perturbation confusion

_TWO_ANSWERS = Exercise(
    name="two-answers",
    task="What is the derivative, and what do dual numbers give that confuse two perturbations?",
    truth=np.array([6.0, 5.0]),
    hints=(
        "First by calculus: the inner derivative by y is x. So what is differentiated by x?",
        "Then as Dual computes it: the inner run multiplies (3 + ε) by (2 + ε), with one and the same ε.",
        "The inner tangent is 1·2 + 3·1, taken for a plain number; the outer run multiplies (3 + ε) by it.",
    ),
    mistakes={
        "these are the two numbers, in the wrong order: first the derivative": np.array([5.0, 6.0]),
        "the second is right; for the first, the inner derivative is x and not the constant 3": np.array([3.0, 5.0]),
        "the first is right; the second is not what remains when the inner tangent 3 is taken for a constant: Dual gives an inner tangent with a term for each factor": np.array(
            [6.0, 3.0]
        ),
        "the first is right; the second is the value of the inner product, not its tangent": np.array([6.0, 6.0]),
        "these are both for x + y, the example of the chapter; here x and y are multiplied": np.array([1.0, 2.0]),
    },
)

# ---------------------------------------------------------------------------------------------- reading generated source

_WHOSE_GRADIENT = Exercise(
    name="whose-gradient",
    task="Of five functions, whose gradients are the three programs?",
    truth=np.array([3, 2, 4]),
    hints=(
        "A sum over entries has a gradient whose entries do not look at each other. Which program sums inside?",
        "Differentiate log(1 + e^x), and log of a sum of e^x. Where does the denominator differ?",
        "A is e^x / sum(e^x), B is e^x / (1 + e^x), C is 2 tanh(x) times the slope of tanh.",
    ),
    mistakes={
        "A and B have changed places: A divides by t1.sum(), one number for all entries, and B entry by entry by 1 + t1": np.array(
            [2, 3, 4]
        ),
        "A and B are right; C has a factor 2 * t1 in front of the slope of tanh": np.array([3, 2, 0]),
        "A and B are right; the product rule for x * tanh(x) would give two terms, and C has one": np.array([3, 2, 1]),
        "these are the three functions, counted from 1; in the list the first has the number 0": np.array([4, 3, 5]),
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _DUAL_DIVIDE,
    _SOFTPLUS_ROW,
    _TAPE_SWEEP,
    _COUNT_DIRECTIONS,
    _TWO_ANSWERS,
    _WHOSE_GRADIENT,
)
