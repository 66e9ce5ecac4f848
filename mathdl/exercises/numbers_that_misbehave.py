"""The exercises of *Numbers that misbehave*: functions rewritten so that they keep their digits, and a scale for float16.

Truths come from mpmath, from the standard library or from trying all scales. Every entry has to be right by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_DIGITS = 1e-12  # how far an entry may be off, relative to itself


def _wrong(result: Array, truth: Array) -> Array:
    """Which entries are not right to twelve digits."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(~(np.abs(result - truth) <= _DIGITS * np.abs(truth)))  # a NaN compares false


def _count(wrong: Array) -> str:
    return f"{int(np.sum(wrong))} of {wrong.size} entries are not right to twelve digits"


def _exactly(f: Callable[..., Any]) -> Callable[..., Array]:
    """A function of numbers, computed for each entry of arrays, with digits enough for 1 - e⁻⁷⁰⁰."""

    def entries(*arrays: Array) -> Array:
        with mpmath.workdps(350):
            rows = zip(*(np.ravel(a).tolist() for a in arrays), strict=True)
            return np.array([float(f(*map(mpmath.mpf, row))) for row in rows]).reshape(np.shape(arrays[0]))

    return entries


# ------------------------------------------------------------------------------------------------------- log-sum-exp


def _shifted(z: Array) -> tuple[Array, Array]:
    m = np.max(z, axis=1)
    return m, np.sum(np.exp(z - m[:, np.newaxis]), axis=1)


def _log_sum_exp(z: Array) -> Array:
    return np.asarray(np.logaddexp.reduce(z, axis=1))


def _examine_log_sum_exp(result: Array, z: Array) -> str | None:
    wrong = _wrong(result, _log_sum_exp(z))
    if not np.any(wrong):
        return None
    if np.any(np.isnan(result) | np.isposinf(result)):
        return "the exponential of a large logit overflows: subtract the largest entry of the row first, and add it in the end"
    if np.any(np.isneginf(result)):
        return "a row of very negative logits becomes -inf, because all its exponentials underflow: shift each row by its own largest entry"
    return _count(wrong)


_LOG_SUM_EXP = Exercise(
    name="row-log-sum-exp",
    task="Return log Σ exp z for each row of z, shape (N, k), whatever the size of the logits; entries may be -inf.",
    truth=_log_sum_exp,
    inputs=(
        (np.array([[0.0, 1.0, -2.0], [3.0, 3.0, 0.5]]),),
        (np.array([[1e4, 1e4 - 1, -1e4, 0.0], [-1e4, -1e4 - 2, -1e4 - 1, -2e4], [0.3, -np.inf, 0.1, -0.2]]),),
        (np.array([[-800.0, -801.0], [700.0, 710.0], [5.0, 5.0]]),),
    ),
    examine=_examine_log_sum_exp,
    hints=(
        "Which number can you subtract from a whole row before exp sees it, and how do you make up for it afterwards?",
        "With m = np.max(z, axis=1, keepdims=True) no exponent of z - m is above 0, and one is 0. log Σ exp z = m + log Σ exp(z - m).",
        "m = z.max(axis=1, keepdims=True); return m[:, 0] + np.log(np.exp(z - m).sum(axis=1))",
    ),
    mistakes={
        "the shift is subtracted and not added again: log Σ exp z = m + log Σ exp(z - m)": lambda z: np.log(
            _shifted(z)[1]
        ),
        "the shift is subtracted in the end as well; it has to be added": lambda z: (
            -_shifted(z)[0] + np.log(_shifted(z)[1])
        ),
        "this is the largest entry of the row; log Σ exp(z - m) is missing": lambda z: _shifted(z)[0],
        "the largest entry counts twice: log1p is for the sum of the others": lambda z: (
            _shifted(z)[0] + np.log1p(_shifted(z)[1])
        ),
        "this is the log of the mean of the exponentials, not of their sum": lambda z: (
            _shifted(z)[0] + np.log(_shifted(z)[1] / z.shape[1])
        ),
        "m is added inside the logarithm: log(m + Σ …) is not m + log Σ …": lambda z: np.log(
            np.abs(_shifted(z)[0]) + _shifted(z)[1]
        ),
    },
)

# ------------------------------------------------------------------------------------------- the logarithm of 1 - e⁻ˣ

_log1mexp = _exactly(lambda x: mpmath.log(-mpmath.expm1(-x)))


def _examine_log1mexp(result: Array, x: Array) -> str | None:
    wrong = _wrong(result, _log1mexp(x))
    small = x < math.log(2)
    if not np.any(wrong):
        return None
    if np.any(wrong & small) and np.any(wrong & ~small):
        return f"{_count(wrong)}, at small x and at large x. At small x e⁻ˣ is nearly 1 before it is subtracted, at large x 1 - e⁻ˣ is nearly 1 before its logarithm is taken"
    if np.any(wrong & small):
        return f"{_count(wrong)}, all at small x: e⁻ˣ is nearly 1 there, and 1 - e⁻ˣ cancels. np.expm1 subtracts before it rounds"
    return f"{_count(wrong)}, all at large x: 1 - e⁻ˣ is nearly 1 there, and has rounded e⁻ˣ away. np.log1p adds the 1 after"


_LOG1MEXP = Exercise(
    name="log-one-minus-exp",
    task="Return log(1 - exp(-x)) for an array of positive x, each entry to twelve digits.",
    truth=_log1mexp,
    inputs=(
        (np.array([0.3, 1.0, 2.0, 0.7]),),
        (np.array([1e-18, 1e-9, 1e-3, 0.5, 0.69, 0.7, 5.0, 40.0, 300.0, 700.0]),),
        (np.array([[1e-300, 33.0], [36.0, 1e-6]]),),
    ),
    examine=_examine_log1mexp,
    hints=(
        "There are two subtractions from 1. Which of them cancels at small x? Which loses its small partner at large x?",
        "-np.expm1(-x) is 1 - e⁻ˣ without cancellation, and np.log1p(-np.exp(-x)) is its logarithm without losing e⁻ˣ. Each is good on one side.",
        "np.where(x < np.log(2), np.log(-np.expm1(-x)), np.log1p(-np.exp(-x)))",
    ),
    mistakes={
        "this is log(1 + e⁻ˣ): the sign before the exponential is wrong": lambda x: np.log1p(np.exp(-x)),
        "this is 1 - e⁻ˣ; its logarithm is still to be taken": lambda x: -np.expm1(-x),
        "the sign is wrong: the logarithm of a number below 1 is negative": lambda x: -_log1mexp(x),
        "this is -e⁻ˣ, which log(1 - e⁻ˣ) comes near to at large x only": lambda x: -np.exp(-x),
        "this is log x, which log(1 - e⁻ˣ) comes near to at small x only": np.log,
    },
)

# ----------------------------------------------------------------------------------------------- two classes, one logit

_bce_gradient = _exactly(lambda z, t: -1 / (1 + mpmath.exp(z)) if t else 1 / (1 + mpmath.exp(-z)))


def _examine_bce(result: Array, z: Array, t: Array) -> str | None:
    wrong = _wrong(result, _bce_gradient(z, t))
    if not np.any(wrong):
        return None
    if np.any(np.isnan(result)):
        return "NaN where z is large: infinity divided by infinity. 1 / (1 + exp(-z)) and exp(z) / (1 + exp(z)) are one function, and only one of them is safe there"
    if np.all((t == 1) & (z > 0) | ~wrong):
        return f"{_count(wrong)}, all with label 1 and a large logit: σ(z) - 1 cancels there. What is 1 - σ(z), written as one sigmoid?"
    if np.all((t == 0) & (z < 0) | ~wrong):
        return f"{_count(wrong)}, all with label 0 and a very negative logit: σ(z) is tiny there, and was made as a difference from 1"
    return _count(wrong)


_BCE = Exercise(
    name="binary-cross-entropy-gradient",
    task="Return the derivative of log(1 + e^z) - t z by z, for arrays of logits z and labels t in {0, 1}.",
    truth=_bce_gradient,
    inputs=(
        (np.array([0.5, -1.0, 2.0, 0.0]), np.array([1, 0, 0, 1])),
        (np.array([40.0, 40.0, -40.0, -40.0, 700.0, -700.0, 1e4, -1e4]), np.array([1, 0, 1, 0, 1, 0, 0, 1])),
        (np.array([[20.0, -3.0], [30.0, -30.0]]), np.array([[1, 1], [1, 0]])),
    ),
    examine=_examine_bce,
    hints=(
        "The derivative is σ(z) - t with the sigmoid σ(z) = 1 / (1 + e⁻ᶻ). For which label and which logits is that a difference of two nearly equal numbers?",
        "1 - σ(z) = σ(-z). So for label 1 the derivative is -σ(-z), for label 0 it is σ(z).",
        "scipy.special.expit is σ, safe at all z. With s = 1 - 2 t the derivative is s * expit(s * z).",
    ),
    mistakes={
        "the sign is wrong: this is t - σ(z)": lambda z, t: -_bce_gradient(z, t),
        "this is σ(z); the derivative of -t z is missing": lambda z, t: expit(z),
        "this is the loss, log(1 + e^z) - t z; its derivative is asked for": lambda z, t: np.logaddexp(0, z) - t * z,
        "this is the slope of the sigmoid, σ(z) (1 - σ(z)); the sigmoid itself is the derivative of log(1 + e^z)": lambda z, t: (
            expit(z) * expit(-z)
        ),
        "this is divided by the number of entries, as for a mean; there is no mean here": lambda z, t: (
            _bce_gradient(z, t) / z.size
        ),
        "the labels are exchanged: label 1 wants a large logit": lambda z, t: _bce_gradient(z, 1 - t),
    },
)

# ---------------------------------------------------------------------------------------------- a scale for the backward pass


def _fits(g: Array, k: int) -> bool:
    with np.errstate(over="ignore"):
        return bool(np.all(np.isfinite((g * 2.0**k).astype(np.float16))))


def _largest_scale(g: Array) -> float:
    return 2.0 ** next(k for k in range(60, -60, -1) if _fits(g, k))


def _rounded_down(ratio: Any) -> float:
    return float(2.0 ** np.floor(np.log2(ratio)))


_SCALE = Exercise(
    name="largest-loss-scale",
    task="Return the largest power of two S for which no entry of S g is infinite in float16.",
    truth=_largest_scale,
    inputs=(
        (np.array([3e-5, -2e-3, 1e-8]),),
        (np.array([[0.7, -0.02], [1e-6, -5.3]]),),
        (np.array([1.3e-7, 0.0, -9e-8, 4e-9]),),
        (np.array([-3e5, 2.0]),),
    ),
    hints=(
        "The largest finite float16 is 65504. Which entry of g reaches it first as S grows?",
        "S max|g| ≤ 65504, so S ≤ 65504 / max|g|. A power of two below that: round the logarithm down.",
        "2.0 ** np.floor(np.log2(65504 / np.abs(g).max()))",
    ),
    mistakes={
        "this is the exponent k; the scale is 2.0 ** k": lambda g: np.log2(_largest_scale(g)),
        "twice too large: the logarithm has to be rounded down": lambda g: 2 * _largest_scale(g),
        "half of what is possible: S max|g| may come up to 65504, which is nearly 2¹⁶": lambda g: _largest_scale(g) / 2,
        "this is 65504 / max|g|, which is no power of two, so that multiplying by it rounds every entry": lambda g: (
            65504 / np.max(np.abs(g))
        ),
        "the largest entry was taken with its sign; a large negative one overflows as well": lambda g: _rounded_down(
            65504 / np.max(g)
        ),
        "this scale is made for the smallest entry; the largest one overflows": lambda g: _rounded_down(
            65504 / np.min(np.abs(g[g != 0]))
        ),
        "this scale brings the smallest entry up to 2⁻²⁴, whatever becomes of the largest": lambda g: (
            2.0 ** np.ceil(np.log2(2.0**-24 / np.min(np.abs(g[g != 0]))))
        ),
    },
)

# ----------------------------------------------------------------------------------------------- the gradient of a norm


def _directions(X: Array) -> Array:
    lengths = [math.hypot(*row) for row in X.tolist()]
    return np.stack([row / length if length else row for row, length in zip(X, lengths, strict=True)])


def _examine_directions(result: Array, X: Array) -> str | None:
    wrong = np.any(_wrong(result, _directions(X)), axis=1)
    sizes = np.max(np.abs(X), axis=1)
    if not np.any(wrong):
        return None
    ordinary = (sizes > 1e-100) & (sizes < 1e100)
    for rows, sentence in (
        (ordinary, _count(_wrong(result, _directions(X)))),
        (
            sizes == 0,
            "a row of zeros does not come out as zeros: 0 / 0 is NaN. Divide it by something else than its length",
        ),
        (
            sizes >= 1e100,
            "rows of huge entries are wrong: their squares overflow. Divide by the largest magnitude of the row first",
        ),
        (
            sizes <= 1e-100,
            "rows of tiny entries are wrong: their squares underflow, or a constant that was added outweighs their length",
        ),
    ):
        if np.any(wrong & rows):
            return sentence
    return None


_DIRECTIONS = Exercise(
    name="directions-of-rows",
    task="Return each row of X divided by its Euclidean length, and zeros for a row of zeros.",
    truth=_directions,
    inputs=(
        (np.array([[3.0, 4.0], [-1.0, 2.0]]),),
        (np.array([[1.0, -2.0, 2.0], [0.0, 0.0, 0.0], [0.5, 0.1, -0.2]]),),
        (np.array([[3e200, -4e200], [3e-200, 4e-200], [0.0, 5.0], [-0.3, 0.2]]),),
    ),
    examine=_examine_directions,
    hints=(
        "The result does not change when a row is multiplied by a positive number. Which number brings 1e200 and 1e-200 to the same size?",
        "Divide each row by its largest magnitude, then by its length. Where the largest magnitude is 0, divide by 1.",
        "m = np.abs(X).max(axis=1, keepdims=True); Y = X / np.where(m > 0, m, 1); and the same once more with the length of Y in place of m",
    ),
    mistakes={
        "the rows are divided by the sum of their magnitudes; the Euclidean length has squares": lambda X: (
            X / _or_one(np.sum(np.abs(X), axis=1, keepdims=True))
        ),
        "the rows are divided by their largest magnitude only; the length is still to come": lambda X: (
            X / _or_one(np.max(np.abs(X), axis=1, keepdims=True))
        ),
        "the sign is wrong: these are the opposite directions": lambda X: -_directions(X),
        "the rows are as they were: nothing is divided": lambda X: X,
        "each row is divided by its length twice": lambda X: (
            _directions(X) / _or_one(np.array([[math.hypot(*row)] for row in X.tolist()]))
        ),
        "each column is divided by its length; the rows are the vectors": lambda X: _directions(X.T).T,
    },
)


def _or_one(a: Array) -> Array:
    return np.where(a > 0, a, 1.0)


EXERCISES = (_LOG_SUM_EXP, _LOG1MEXP, _BCE, _SCALE, _DIRECTIONS)
