"""The exercises of the chapter *Jacobians as differences*: best steps, quotients, the complex step, a planted bug.

Truths are written in another way than the solutions: polynomial extrapolation, complex steps, two slopes averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array: TypeAlias = NDArray[Any]
Function: TypeAlias = Callable[[Array], Array]

_EPS = 2.0**-52
_STEP = 0.01  # wide, so that forward, backward and central differences are told apart


# ------------------------------------------------------------------------------------- functions to be differentiated


def _cubic(x: Array) -> Array:
    """From R^2 to R^3, with third derivatives that are not zero."""
    return np.stack([x[0] ** 3 * x[1], np.sin(3 * x[1]) + x[0], np.exp(x[0] - x[1])])


def _wave(x: Array) -> Array:
    """From R^4 to R^2."""
    return np.stack([np.sin(x[0] * x[1]) + x[2] ** 3, np.exp(x[3]) * x[0]])


def _square(x: Array) -> Array:
    """From R^3 to R^3, so that the shape does not give a transposed answer away."""
    return np.stack([x[0] ** 3 + np.sin(2 * x[1]), np.exp(x[0] * x[2]), x[1] ** 3 * x[2]])


_POINTS: tuple[tuple[Function, Array], ...] = (
    (_cubic, np.array([1.2, -0.4])),
    (_wave, np.array([0.7, 1.1, -0.6, 0.3])),
    (_square, np.array([0.5, 0.8, -1.3])),
)


# --------------------------------------------------------------------------------------------------- the quotients


def _quotient(ahead: float, behind: float, divisor: float) -> Callable[[Function, Array, float], Array]:
    """Difference quotients from f at x + ahead*h and x + behind*h, divided by divisor*h."""

    def jacobian(f: Function, x: Array, h: float) -> Array:
        return np.array([(f(x + ahead * h * e) - f(x + behind * h * e)) / (divisor * h) for e in np.eye(x.size)]).T

    return jacobian


def _central_truth(f: Function, x: Array, h: float) -> Array:
    # Central differences are the mean of the slopes to both sides; points along axis 1, all at once.
    points = h * np.eye(x.size)
    here = f(x[:, None] + 0 * points)
    result: Array = ((f(x[:, None] + points) - here) / h + (here - f(x[:, None] - points)) / h) / 2
    return result


def _drifting(f: Function, x: Array, h: float) -> Array:
    """What comes out when x[j] += h is never taken back before the next column."""
    moved, columns = x.copy(), []
    for j in range(x.size):
        moved[j] += h
        ahead = f(moved)
        moved[j] -= 2 * h
        columns.append((ahead - f(moved)) / (2 * h))
    return np.stack(columns, axis=1)


# -------------------------------------------------------------------------------------------------- extrapolation


def _central_of_exp(h: float) -> float:
    return float((np.exp(0.5 + h) - np.exp(0.5 - h)) / (2 * h))


def _central_of_sin(h: float) -> float:
    return float((np.sin(2 * (0.3 + h)) - np.sin(2 * (0.3 - h))) / (2 * h))


def _extrapolated(D: Callable[[float], float], h: float) -> float:
    """The straight line in h^2 through the two values, read off at zero."""
    squares = np.array([h**2, (h / 2) ** 2])
    return float(np.linalg.solve(np.stack([np.ones(2), squares], axis=1), np.array([D(h), D(h / 2)]))[0])


def _weighted(fine: float, coarse: float) -> Callable[[Callable[[float], float], float], float]:
    return lambda D, h: fine * D(h / 2) + coarse * D(h)


# ------------------------------------------------------------------------------------------------ the complex step


def _complex_truth(f: Function, x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


def _complex_like(step: float, divisor: float, part: str) -> Callable[[Function, Array], Array]:
    def jacobian(f: Function, x: Array) -> Array:
        columns: list[Array] = [getattr(f(x + 1j * step * e), part) / divisor for e in np.eye(x.size)]
        return np.stack(columns, axis=1)

    return jacobian


def _with_step(jacobian: Callable[[Function, Array, float], Array], h: float) -> Callable[[Function, Array], Array]:
    return lambda f, x: jacobian(f, x, h)


_REAL = np.array([-2.0, 0.5, 3.0, -0.25])
# Imaginary parts far above rtol times the largest entry, or a lost one would go unseen.
# Their squares far below it, so that |t + ih| may stand for |t| in the real part.
_COMPLEX = np.array([-2.0 + 1e-7j, 0.5 + 2e-7j, 3.0 - 1e-7j, -0.25 + 5e-8j])


def _absolute_truth(t: Array) -> Array:
    result: Array = t * np.sign(np.real(t))
    return result


def _modulus(t: Array) -> Array:
    result: Array = np.abs(t)
    return result


def _sign_kept(t: Array) -> Array:
    result: Array = np.abs(t.real) + 1j * t.imag if np.iscomplexobj(t) else np.abs(t)
    return result


def _sign_flipped(t: Array) -> Array:
    result: Array = np.abs(t.real) - 1j * np.sign(t.real) * t.imag if np.iscomplexobj(t) else np.abs(t)
    return result


def _both_parts(t: Array) -> Array:
    result: Array = np.abs(t.real) + 1j * np.abs(t.imag) if np.iscomplexobj(t) else np.abs(t)
    return result


def _half_real(t: Array) -> Array:
    result: Array = np.where(t.real < 0, -t.real, t)
    return result


def _turned(t: Array) -> Array:
    result: Array = t * t / np.abs(t)
    return result


# ------------------------------------------------------------------------------------------------------ the exercises

EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        name="central-jacobian",
        task="the Jacobian of f at x by central differences with step h",
        truth=_central_truth,
        hints=(
            "Move one entry of x at a time: x + h * e and x - h * e with e a row of np.eye(x.size).",
            "Each move gives the change of all m outputs: that is one column, so stack along axis 1.",
            "np.stack([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(x.size)], axis=1)",
        ),
        mistakes={
            "these are forward differences: step to both sides, f(x + h e) - f(x - h e), and divide by 2h": _quotient(
                1, 0, 1
            ),
            "these are backward differences: step to both sides, f(x + h e) - f(x - h e), and divide by 2h": _quotient(
                0, -1, 1
            ),
            "the two points are 2h apart, so the difference is divided by 2h and not by h": _quotient(1, -1, 1),
            "Python reads / 2 * h from the left, so it divides by 2 and then multiplies by h: write / (2 * h)": (
                lambda f, x, h: _quotient(1, -1, 2)(f, x, h) * h * h
            ),
            "this is the forward slope divided by 2h: the second value must be f(x - h e), not f(x)": _quotient(
                1, 0, 2
            ),
            "an entry that was moved stays moved while the next column is computed: start each column from x": _drifting,
            "all entries are zero, as when both values of f are taken at one point: up = x makes no copy, "
            "x.copy() does": (lambda f, x, h: 0 * _central_truth(f, x, h)),
            "the two points are h apart and not 2h: step by the whole h to each side": _quotient(0.5, -0.5, 1),
            "the points are h apart and the division is by 2h: step by the whole h to each side": _quotient(
                0.5, -0.5, 2
            ),
            "the two points are x and x + 2 h e, both on one side: step by h to each side": _quotient(2, 0, 2),
            "the two points are 4h apart: step by h to each side, not by 2h": _quotient(2, -2, 4),
            "the division by 2h is right, but the first value must be f(x + h e), not f(x)": _quotient(0, -1, 2),
            "this is closer to the derivative than a central difference with this h can be: use the h you are given": (
                lambda f, x, h: _complex_truth(f, x)
            ),
        },
        inputs=tuple((f, x, _STEP) for f, x in _POINTS),
        rtol=1e-8,
        derivative=True,
    ),
    Exercise(
        name="richardson-step",
        task="one Richardson step from D(h) and D(h / 2)",
        truth=_extrapolated,
        hints=(
            "Write D(h) = f' + a h^2 and D(h/2) = f' + a h^2 / 4, and get rid of a.",
            "Four times the second equation minus the first contains no a. How often does it contain f'?",
            "(4 * D(h / 2) - D(h)) / 3",
        ),
        mistakes={
            "four times one minus the other holds 3 f': divide by 3": _weighted(4, -1),
            "these weights cancel an error of order h; a central difference has h^2, which a half step divides by 4": _weighted(
                2, -1
            ),
            "the roles are exchanged: the finer value D(h / 2) deserves the larger weight": _weighted(-1 / 3, 4 / 3),
            "a mean of the two lies between them, but both err to the same side: f' lies outside": _weighted(0.5, 0.5),
            "this removes h^2 with the steps h and 2h; the exercise asks for h and h / 2, which is more accurate": (
                lambda D, h: (4 * D(h) - D(2 * h)) / 3
            ),
            "this is D(h / 2) alone: a smaller error, but of the same order": _weighted(1, 0),
            "this is D(h) alone: combine it with D(h / 2)": _weighted(0, 1),
            "four times one minus the other holds 3 f': divide by 3 and not by 4": _weighted(1, -1 / 4),
            "the division by 3 reaches only D(h): put brackets around 4 * D(h / 2) - D(h)": _weighted(4, -1 / 3),
            "the sign is wrong: it is four times the finer value minus the coarser one": _weighted(-4 / 3, 1 / 3),
            "D(h / 2) must be moved away from D(h), by a third of their difference, and not towards it": _weighted(
                2 / 3, 1 / 3
            ),
            "from D(h / 2) it is a third of D(h / 2) - D(h) that is missing, not a quarter": _weighted(5 / 4, -1 / 4),
            "this is the correction alone: it is to be added to D(h / 2)": _weighted(1 / 3, -1 / 3),
            "this uses the steps h / 2 and h / 4, and so it is more exact than asked for; the exercise asks for "
            "h and h / 2": (lambda D, h: (4 * D(h / 4) - D(h / 2)) / 3),
            "this uses the steps h and h / 3; the exercise asks for h and h / 2": lambda D, h: (
                (9 * D(h / 3) - D(h)) / 8
            ),
            "this is the derivative itself, or nearly: the exercise asks for what D(h) and D(h / 2) make of it": (
                lambda D, h: (4 * D(5e-4) - D(1e-3)) / 3
            ),
            "these weights remove an h^4 term; that is the next step's business": _weighted(16 / 15, -1 / 15),
        },
        inputs=((_central_of_exp, 0.2), (_central_of_sin, 0.3)),
        rtol=1e-9,
    ),
    Exercise(
        name="second-difference-step",
        task="the best step of the second difference for |f''''| = 1 and noise 2^-52",
        truth=(48 * _EPS) ** 0.25,
        hints=(
            "The bound has two terms: h^2 |f''''| / 12 and the noise of the values divided by h^2.",
            "f(x) enters twice, so the noise adds up to 4 eta. Set the derivative of h^2/12 + 4 eta/h^2 to zero.",
            "h/6 = 8 eta / h^3, so h^4 = 48 eta.",
        ),
        mistakes={
            "this is the best step of a central first difference: the second difference divides its noise by h^2": (
                3 * _EPS
            )
            ** (1 / 3),
            "this is the best step of a forward difference: start from the bound h^2/12 + 4 eta/h^2": 2 * _EPS**0.5,
            "f(x) has the weight 2, so three values bring 4 eta and not 3 eta": (36 * _EPS) ** 0.25,
            "three values are in play, one of them twice: 4 eta and not eta": (12 * _EPS) ** 0.25,
            "this is h^4 = 24 eta, a factor 2 short: the noise is 4 eta altogether (f(x+h) and f(x-h) bring an error "
            "too), its term 4 eta/h^2 has the derivative -8 eta/h^3, and eta is 2^-52": (24 * _EPS) ** 0.25,
            "this is h^4 = 96 eta, a factor 2 too much: the derivative of h^2/12 is h/6": (96 * _EPS) ** 0.25,
            "this is the order of magnitude; the exercise asks for the constant as well": _EPS**0.25,
            "this is h^4: take the fourth root": 48 * _EPS,
            "this is h^2: take one more square root": (48 * _EPS) ** 0.5,
        },
        rtol=5e-3,
    ),
    Exercise(
        name="complex-step-jacobian",
        task="the Jacobian of f at x by the complex step",
        truth=_complex_truth,
        hints=(
            "Move one entry of x into the imaginary direction: x + 1j * h * e. The slope is in the imaginary part.",
            "Divide .imag by h, and choose h so small that h^2 is out of sight: 1e-20.",
            "np.stack([f(x + 1e-20j * e).imag / 1e-20 for e in np.eye(x.size)], axis=1)",
        ),
        mistakes={
            "the imaginary part is h times the derivative: divide it by h": _complex_like(1e-20, 1.0, "imag"),
            "the real part holds the value of f; the derivative is in the imaginary part": _complex_like(
                1e-20, 1e-20, "real"
            ),
            "all slopes are zero, so the imaginary part is missing: move by 1j * h, and in an array that can "
            "hold it (a float array drops it)": (lambda f, x: np.zeros_like(_complex_truth(f, x))),
            "h = 1e-3 leaves a truncation error of h^2 f'''/6: nothing cancels here, so take h = 1e-20": (
                _complex_like(1e-3, 1e-3, "imag")
            ),
            "h = 1e-4 leaves a truncation error of h^2 f'''/6: nothing cancels here, so take h = 1e-20": (
                _complex_like(1e-4, 1e-4, "imag")
            ),
            "h = 1e-5 leaves a truncation error of h^2 f'''/6: nothing cancels here, so take h = 1e-20": (
                _complex_like(1e-5, 1e-5, "imag")
            ),
            "h = 1e-2 leaves a truncation error of h^2 f'''/6: nothing cancels here, so take h = 1e-20": (
                _complex_like(1e-2, 1e-2, "imag")
            ),
            "h = 0.1 leaves a truncation error of h^2 f'''/6: nothing cancels here, so take h = 1e-20": (
                _complex_like(0.1, 0.1, "imag")
            ),
            "a step of 1j leaves a truncation error of h^2 f'''/6 with h = 1: take h = 1e-20 and divide by it": (
                _complex_like(1.0, 1.0, "imag")
            ),
            "a complex step moves to one side only: divide by h, not by 2h": _complex_like(1e-20, 2e-20, "imag"),
            "the result is transposed: each e moves one input and gives one column, so stack along axis 1": (
                lambda f, x: _complex_truth(f, x).T
            ),
            "the sign is wrong: the step is + 1j * h, not - 1j * h": _complex_like(1e-20, -1e-20, "imag"),
            **{
                f"these are central differences with h = {h:.0e}, right to ten digits at most: the complex step, "
                "x + 1j * h * e and no subtraction, gives them all": _with_step(_quotient(1, -1, 2), h)
                for h in (1e-4, 1e-5, 1e-6, 1e-7)
            },
            "an entry that was moved stays moved while the next column is computed: start each column from x": (
                lambda f, x: np.cumsum(_complex_truth(f, x), axis=1)
            ),
        },
        inputs=_POINTS,
        rtol=1e-12,  # finer than diagnose looks, hence no derivative=True
    ),
    Exercise(
        name="complex-safe-absolute",
        task="an absolute value that carries the imaginary part of a complex step",
        truth=_absolute_truth,
        hints=(
            "Left of zero |t| is -t, right of zero it is t. Which part of a complex t says on which side it lies?",
            "Decide by t.real, and return the whole number: np.where(condition, one, the_other).",
            "np.where(t.real < 0, -t, t)",
        ),
        mistakes={
            "this is real, so the imaginary part, which carries the derivative, is gone: negate the whole number, and "
            "take neither np.abs nor .real of it": _modulus,
            "where t is negative the imaginary part is gone: negate the whole number, not its real part alone": _half_real,
            "np.sign of a complex number is t / |t| and turns the imaginary part as well: use np.sign(t.real)": _turned,
            "the imaginary part keeps its sign for negative t, so the slope comes out as +1 everywhere: negate "
            "it with the rest": _sign_kept,
            "the slope has the wrong sign: where t is positive, t must come back unchanged": _sign_flipped,
            "the imaginary part is no size: it must become h sign(t), and h may be negative": _both_parts,
        },
        inputs=((_REAL,), (_COMPLEX,)),
        rtol=1e-12,
    ),
    Exercise(
        name="planted-bug",
        task="which piece of the network's Jacobian is wrong",
        truth="activation",
        hints=(
            "Check each piece as a function of its own: md.check_jacobian(np.tanh, np.diag(...), V @ x).",
            "What is in the variable a: the value before the tanh, or after it?",
            "The derivative of tanh at s is 1 - tanh(s)^2, and a is tanh(s) already.",
        ),
        mistakes={
            "y = U a is linear, so its Jacobian is U, and that is what stands there: look further in": "output layer",
            "s = V x is linear, so its Jacobian is V, and that is what stands there: look further out": "first layer",
            "the tanh is the activation: answer with the word that the exercise uses for it": "tanh",
            "d_activation is the Jacobian of the activation: answer with the word that the exercise uses for it": "d_activation",
            "the shapes (3, 5), (5, 5), (5, 4) fit in this order only: look at the factors": "order of the product",
        },
    ),
)
