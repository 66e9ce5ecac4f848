"""The exercises of *Numbers that misbehave*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written in other ways than the module's truths.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special
from verdicts import answer_tests, told

from mathdl.exercises.numbers_that_misbehave import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
LSE, LOG1MEXP, BCE = "row-log-sum-exp", "log-one-minus-exp", "binary-cross-entropy-gradient"
SCALE, DIRECTIONS = "largest-loss-scale", "directions-of-rows"


def quiet(f: Any) -> Any:
    """Without the warnings that NumPy would give; a student sees them, tests would stop at them."""

    def silent(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return f(*arguments)

    return silent


def log1mexp(x: Any) -> Any:
    y = np.exp(-x)
    return np.where(y > 0.5, np.log(np.where(y > 0.5, -np.expm1(-x), 1.0)), np.log1p(-np.where(y > 0.5, 0.0, y)))


def scale(g: Any) -> float:
    _, exponent = np.frexp(65504 / np.max(np.abs(g)))
    return 2.0 ** (exponent - 1)


def directions(X: Any) -> Any:
    m = np.max(np.abs(X), axis=1, keepdims=True)
    Y = X / np.where(m > 0, m, 1)
    length = np.linalg.norm(Y, axis=1, keepdims=True)
    return Y / np.where(length > 0, length, 1)


RIGHT: dict[str, Any] = {
    LSE: lambda z: scipy.special.logsumexp(z, axis=1),
    LOG1MEXP: log1mexp,
    BCE: lambda z, t: (1 - 2 * t) * scipy.special.expit((1 - 2 * t) * z),
    SCALE: scale,
    DIRECTIONS: directions,
}


WRONG: list[tuple[str, Any, str]] = [
    (LSE, quiet(lambda z: np.log(np.exp(z).sum(axis=1))), "overflows"),
    (LSE, quiet(lambda z: np.log(np.exp(z - z.max()).sum(axis=1)) + z.max()), "very negative logits"),
    (LSE, lambda z: np.log(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)), "not added again"),
    (LSE, lambda z: z.max(axis=1), "log Σ exp(z - m) is missing"),
    (LSE, lambda z: z.max(axis=1) + np.log(np.exp(z - z.max(axis=1, keepdims=True)).mean(axis=1)), "log of the mean"),
    (LSE, lambda z: z.max(axis=1) + np.log1p(np.exp(z - z.max(axis=1, keepdims=True)).sum(axis=1)), "counts twice"),
    (LSE, lambda z: scipy.special.logsumexp(z), "shape"),
    (LSE, lambda z: scipy.special.logsumexp(z, axis=0), "shape"),
    (LSE, lambda z: scipy.special.logsumexp(z, axis=1, keepdims=True), "shape"),
    (LOG1MEXP, quiet(lambda x: np.log(1 - np.exp(-x))), "at small x and at large x"),
    (LOG1MEXP, quiet(lambda x: np.log1p(-np.exp(-x))), "all at small x"),
    (LOG1MEXP, quiet(lambda x: np.log(-np.expm1(-x))), "all at large x"),
    (LOG1MEXP, lambda x: np.log(1 + np.exp(-x)), "log(1 + e⁻ˣ)"),
    (LOG1MEXP, lambda x: -np.expm1(-x), "still to be taken"),
    (LOG1MEXP, lambda x: -log1mexp(x), "sign is wrong"),
    (LOG1MEXP, lambda x: np.log(x), "at small x only"),
    (BCE, quiet(lambda z, t: 1 / (1 + np.exp(-z)) - t), "all with label 1"),
    (BCE, quiet(lambda z, t: np.exp(z) / (1 + np.exp(z)) - t), "NaN"),
    (BCE, lambda z, t: np.where(t == 1, -scipy.special.expit(-z), 1 - scipy.special.expit(-z)), "all with label 0"),
    (BCE, lambda z, t: scipy.special.expit(z), "derivative of -t z"),
    (BCE, lambda z, t: -(1 - 2 * t) * scipy.special.expit((1 - 2 * t) * z), "t - σ(z)"),
    (BCE, lambda z, t: np.logaddexp(0, z) - t * z, "this is the loss"),
    (BCE, lambda z, t: scipy.special.expit(z) * scipy.special.expit(-z), "slope of the sigmoid"),
    (BCE, lambda z, t: (1 - 2 * t) * scipy.special.expit((1 - 2 * t) * z) / z.size, "for a mean"),
    (SCALE, lambda g: np.floor(np.log2(65504 / np.abs(g).max())), "the exponent k"),
    (SCALE, lambda g: 2.0 ** np.ceil(np.log2(65504 / np.abs(g).max())), "rounded down"),
    (SCALE, lambda g: 65504 / np.abs(g).max(), "no power of two"),
    (SCALE, quiet(lambda g: 2.0 ** np.floor(np.log2(65504 / g.max()))), "with its sign"),
    (SCALE, lambda g: 2.0 ** np.floor(np.log2(32768 / np.abs(g).max())), "half"),
    (SCALE, quiet(lambda g: 2.0 ** np.floor(np.log2(65504 / np.abs(g[g != 0]).min()))), "smallest entry"),
    (SCALE, lambda g: 1024.0, "not the right number"),
    (DIRECTIONS, quiet(lambda X: X / np.linalg.norm(X, axis=1, keepdims=True)), "row of zeros"),
    (DIRECTIONS, quiet(lambda X: X / (np.sqrt((X**2).sum(axis=1, keepdims=True)) + 1e-12)), "are not right"),
    (DIRECTIONS, quiet(lambda X: X / np.maximum(np.sqrt((X**2).sum(axis=1, keepdims=True)), 1e-300)), "huge"),
    (DIRECTIONS, lambda X: X / np.maximum(np.max(np.abs(X), axis=1, keepdims=True), 1e-300), "largest magnitude only"),
    (DIRECTIONS, lambda X: X / np.maximum(np.abs(X).sum(axis=1, keepdims=True), 1e-300), "sum of their magnitudes"),
    (DIRECTIONS, lambda X: -directions(X), "opposite"),
    (DIRECTIONS, lambda X: directions(X.T).T, "each column"),
    (DIRECTIONS, lambda X: X, "nothing is divided"),
]

test_right_answers_pass, test_wrong_answers_are_told, test_sentences_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_a_floor_under_the_length_shrinks_tiny_rows() -> None:
    def attempt(X: Any) -> Any:
        m = np.max(np.abs(X), axis=1, keepdims=True)
        length = m * np.linalg.norm(X / np.where(m > 0, m, 1), axis=1, keepdims=True)
        return X / np.maximum(length, 1e-12)

    assert "tiny" in told(EXERCISE[DIRECTIONS], attempt)


@pytest.mark.parametrize("name", [LSE, LOG1MEXP, BCE])
def test_eight_digits_are_not_enough(name: str) -> None:
    assert "twelve digits" in told(EXERCISE[name], lambda *arguments: RIGHT[name](*arguments) * (1 + 1e-9))
