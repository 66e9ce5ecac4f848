"""The exercises of *Second derivatives*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written in other ways than the module's: with loops, or by another recurrence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mathdl.exercises.judge import judge
from mathdl.exercises.second_derivatives import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
norm = np.linalg.norm


def quadratic(A: Any, x: Any) -> Any:
    return np.array([[A[i, j] + A[j, i] for j in range(len(x))] for i in range(len(x))])


def step(g: Any, product: Any, d: Any) -> Any:
    return np.vdot(-g, d) / np.vdot(product(d), d)


def sigma(m: Any) -> Any:
    return 1 / (1 + np.exp(-m))


def logistic(X: Any, s: Any, w: Any, v: Any) -> Any:
    m = s * (X @ w)
    terms = [sigma(mi) * sigma(-mi) * (x @ v) * x for mi, x in zip(m, X, strict=True)]
    return sum(terms) / len(terms)


def with_a_diagonal_matrix(X: Any, s: Any, w: Any, v: Any) -> Any:
    return X.T @ (np.diag(sigma(X @ w) * sigma(-X @ w)) @ (X @ v)) / len(X)


def with_the_hessian(X: Any, s: Any, w: Any, v: Any) -> Any:
    D = sigma(X @ w) * sigma(-X @ w)
    return (X.T @ (D[:, None] * X)) @ v / len(X)


def gauss_newton(push: Any, pull: Any, H_out: Any, v: Any) -> Any:
    return pull(push(v) @ H_out)  # H_out is symmetric


def trace(product: Any, signs: Any) -> Any:
    total = 0.0
    for v in signs:
        total += np.vdot(v, product(v))
    return total / signs.shape[0]


def directions(product: Any, d: Any, k: int, back: int | None = None) -> Any:
    """Modified Gram and Schmidt; with ``back`` only the last few directions are looked at."""
    D = [d / norm(d)]
    for _ in range(k - 1):
        r = product(D[-1])
        for _ in range(2):
            for e in D if back is None else D[-back:]:
                r = r - (e @ r) * e
        D.append(r / norm(r))
    return np.array(D)


def small_matrix(product: Any, D: Any) -> Any:
    return np.array([[e @ product(d) for d in D] for e in D])


def ritz(product: Any, d: Any, k: int) -> Any:
    return np.sort(np.linalg.eigvalsh(small_matrix(product, directions(product, d, k))))[::-1][:3]


RIGHT: dict[str, Any] = {
    "quadratic-hessian": quadratic,
    "best-step": step,
    "logistic-product": logistic,
    "gauss-newton-product": gauss_newton,
    "trace-estimate": trace,
    "ritz-values": ritz,
    "no-gradient": 1,
    "outer-slope": lambda x: 1.5 * x**2 + x**3,
}


def three_terms(product: Any, d: Any, k: int) -> Any:
    """Lanczos' recurrence as derived."""
    e, before, beta, a, b = d / norm(d), 0 * d, 0.0, [], []
    for _ in range(k):
        r = product(e) - beta * before
        a.append(r @ e)
        r = r - a[-1] * e
        beta = norm(r)
        b.append(beta)
        before, e = e, r / beta
    return np.diag(a) + np.diag(b[:-1], 1) + np.diag(b[:-1], -1)


def ghosts(product: Any, d: Any, k: int) -> Any:
    return np.linalg.eigvalsh(three_terms(product, d, k))[:-4:-1]


def ghosts_by_subtraction(product: Any, d: Any, k: int) -> Any:
    T = small_matrix(product, directions(product, d, k, back=2))
    return np.linalg.eigvalsh(np.triu(np.tril(T, 1), -1))[:-4:-1]


def not_normalised(product: Any, d: Any, k: int) -> Any:
    alpha, beta, e, before = [], [0.0], d, 0 * d
    for _ in range(k):
        r = product(e)
        alpha.append(e @ r)
        r = r - alpha[-1] * e - beta[-1] * before
        beta.append(norm(r))
        before, e = e, r / beta[-1]
    T = np.diag(alpha) + np.diag(beta[1:-1], 1) + np.diag(beta[1:-1], -1)
    return np.linalg.eigvalsh(T)[:-4:-1]


def one_subtraction(product: Any, d: Any, k: int) -> Any:
    e, alpha, beta = d / norm(d), [], []
    for _ in range(k):
        r = product(e)
        alpha.append(e @ r)
        r = r - alpha[-1] * e
        beta.append(norm(r))
        e = r / beta[-1]
    T = np.diag(alpha) + np.diag(beta[:-1], 1) + np.diag(beta[:-1], -1)
    return np.linalg.eigvalsh(T)[:-4:-1]


def whole(product: Any, d: Any) -> Any:
    return np.array([product(e) for e in np.eye(len(d))])


# exercise, wrong answer, a word that only its own diagnosis contains
WRONG: list[tuple[str, Any, str]] = [
    ("quadratic-hessian", lambda A, x: 2 * A, "symmetric A only"),
    ("quadratic-hessian", lambda A, x: 0.5 * (A + A.T), "half of the Hessian"),
    ("quadratic-hessian", lambda A, x: A, "second term Aᵀ"),
    ("quadratic-hessian", lambda A, x: A.T, "first term A is"),
    ("quadratic-hessian", lambda A, x: A - A.T, "never feels"),
    ("quadratic-hessian", lambda A, x: (A + A.T) @ x, "this is the gradient"),
    ("quadratic-hessian", lambda A, x: -(A + A.T), "wrong sign everywhere"),
    ("quadratic-hessian", lambda A, x: 2 * (A + A.T), "factor"),
    ("best-step", lambda g, p, d: g @ d / (d @ p(d)), "the sign is wrong"),
    ("best-step", lambda g, p, d: g @ g / (g @ p(g)), "step along −g;"),
    ("best-step", lambda g, p, d: g @ g / (d @ p(d)), "numerator"),
    ("best-step", lambda g, p, d: -(g @ d) / (g @ p(g)), "denominator"),
    ("best-step", lambda g, p, d: -2 * (g @ d) / (d @ p(d)), "goes away"),
    ("best-step", lambda g, p, d: -(g @ d) / (d @ p(d)) / 2, "too much"),
    ("best-step", lambda g, p, d: -(g @ d), "curvature is missing"),
    ("best-step", lambda g, p, d: -(g @ d) / (d @ d), "every curvature were 1"),
    ("best-step", lambda g, p, d: -(g @ d) / (d @ p(d) / (d @ d)), "units of d"),
    ("best-step", lambda g, p, d: -g / p(d), "shape"),
    ("logistic-product", lambda X, s, w, v: len(X) * logistic(X, s, w, v), "1/N"),
    ("logistic-product", lambda X, s, w, v: X.T @ X @ v / len(X), "least squares"),
    ("logistic-product", lambda X, s, w, v: X.T @ (sigma(X @ w) * (X @ v)) / len(X), "the slope of p is"),
    ("logistic-product", lambda X, s, w, v: X.T @ (sigma(s * (X @ w)) * (X @ v)) / len(X), "second derivative of the"),
    ("logistic-product", lambda X, s, w, v: X.T @ (sigma(-s * (X @ w)) * (X @ v)) / len(X), "as in the gradient"),
    (
        "logistic-product",
        lambda X, s, w, v: X.T @ (s * sigma(X @ w) * sigma(-X @ w) * (X @ v)) / len(X),
        "left over",
    ),
    ("logistic-product", lambda X, s, w, v: logistic(X, s, v, v), "taken at v"),
    ("logistic-product", lambda X, s, w, v: logistic(X, s, w, w), "the vector is v"),
    (
        "logistic-product",
        lambda X, s, w, v: ((sigma(X @ w) * sigma(-X @ w))[:, None] * X**2).mean(axis=0) * v,
        "diagonal",
    ),
    ("logistic-product", lambda X, s, w, v: logistic(X, s, w, v) * len(X) / len(w), "number of weights"),
    ("logistic-product", lambda X, s, w, v: -logistic(X, s, w, v), "sign"),
    ("logistic-product", with_a_diagonal_matrix, "with shape (600, 2)"),
    ("logistic-product", with_the_hessian, "with shape (2, 600)"),
    ("gauss-newton-product", lambda a, b, H, v: b(a(v)), "least squares"),
    ("gauss-newton-product", lambda a, b, H, v: b(np.diag(H) * a(v)), "diagonal"),
    ("gauss-newton-product", lambda a, b, H, v: b(sum(H * a(v))), "entry by entry"),
    ("gauss-newton-product", lambda a, b, H, v: b(H @ H @ a(v)), "twice"),
    ("gauss-newton-product", lambda a, b, H, v: H @ a(v), "stops at the outputs"),
    ("gauss-newton-product", lambda a, b, H, v: a(v) @ H @ a(v), "number vᵀG v"),
    ("gauss-newton-product", lambda a, b, H, v: a(H @ b(v)), "raised ValueError"),
    ("trace-estimate", lambda p, S: trace(p, S) * len(S), "summed"),
    ("trace-estimate", lambda p, S: trace(p, S) / S.shape[1], "mean eigenvalue"),
    ("trace-estimate", lambda p, S: sum(e @ p(e) for e in np.eye(S.shape[1])), "exact trace"),
    ("trace-estimate", lambda p, S: np.mean(S, axis=0) @ p(np.mean(S, axis=0)), "averaged before"),
    ("trace-estimate", lambda p, S: np.mean([p(v) for v in S]), "mean of the entries of Hv"),
    ("trace-estimate", lambda p, S: np.mean([p(v).sum() for v in S]), "without v"),
    ("trace-estimate", lambda p, S: np.mean([np.mean(v * p(v)) for v in S]), "mean eigenvalue"),
    ("trace-estimate", lambda p, S: [v @ p(v) for v in S], "single rows"),
    ("trace-estimate", lambda p, S: np.mean([v * p(v) for v in S], axis=0), "single diagonal"),
    ("ritz-values", ghosts, "ghosts"),
    ("ritz-values", ghosts_by_subtraction, "ghosts"),
    ("ritz-values", one_subtraction, "term β d"),
    ("ritz-values", not_normalised, "divided by its length"),
    ("ritz-values", lambda p, d, k: ritz(p, d, k)[::-1], "ascending"),
    (
        "ritz-values",
        lambda p, d, k: np.linalg.eigvalsh(small_matrix(p, directions(p, d, k)))[:3],
        "three smallest",
    ),
    (
        "ritz-values",
        lambda p, d, k: np.linalg.eigvalsh(small_matrix(p, directions(p, d, k)))[::-1],
        "all k",
    ),
    ("ritz-values", lambda p, d, k: ritz(p, d, k - 1), "one step short"),
    ("ritz-values", lambda p, d, k: ritz(p, d, k + 1), "too many"),
    ("ritz-values", lambda p, d, k: np.linalg.eigvalsh(whole(p, d))[:-4:-1], "whole matrix"),
    (
        "ritz-values",
        lambda p, d, k: sorted(np.diag(small_matrix(p, directions(p, d, k))), reverse=True)[:3],
        "diagonal entries",
    ),
    ("no-gradient", 0, "field 0"),
    ("no-gradient", 2, "field 2"),
    ("no-gradient", 3, "numbered"),
    ("no-gradient", [1], "shape"),
    ("no-gradient", -1, "not the right number"),
    ("outer-slope", lambda x: x**2 / 2, "as printed"),
    ("outer-slope", lambda x: x**2 / 2 - x**2 - x**3, "wrong sign"),
    ("outer-slope", lambda x: x**2 + x**3, "direct term"),
    ("outer-slope", lambda x: x**2 / 2 + 2 * x * (x + x**2), "G_yy is 2"),
    ("outer-slope", lambda x: x**2 + 2 * x * (x + 2 * x**2), "halfway"),
    ("outer-slope", lambda x: x**2 / 2 + x**3, "first term of F"),
    ("outer-slope", lambda x: x**2 / 2 + x**2, "square of F"),
    ("outer-slope", lambda x: x**3 / 2 + x**4 / 4, "h itself"),
    ("outer-slope", lambda x: 3 * x + 3 * x**2, "not the right number"),
]


@pytest.mark.parametrize("name", EXERCISE)
def test_independent_right_answer_passes(name: str) -> None:
    verdict = judge(EXERCISE[name], RIGHT[name])
    assert verdict.status == "right", verdict


@pytest.mark.parametrize("name", EXERCISE)
def test_stub_is_not_attempted(name: str) -> None:
    def stub(*arguments: Any) -> Any:
        """Return what the exercise asks for."""

    assert judge(EXERCISE[name], stub if EXERCISE[name].inputs else ...).status == "not attempted"


@pytest.mark.parametrize(("name", "attempt", "word"), WRONG, ids=[f"{name}: {word}" for name, _, word in WRONG])
def test_wrong_answer_is_diagnosed(name: str, attempt: Any, word: str) -> None:
    verdict = judge(EXERCISE[name], attempt)
    assert verdict.status == "not yet"
    assert word in verdict.diagnosis, verdict.diagnosis
    assert verdict.hint == EXERCISE[name].hints[0]


@pytest.mark.parametrize("name", EXERCISE)
def test_wrong_answers_are_told_apart(name: str) -> None:
    words = {word: judge(EXERCISE[name], attempt).diagnosis for exercise, attempt, word in WRONG if exercise == name}
    assert len(words) >= 4
    assert len(set(words.values())) == len(words)


@pytest.mark.parametrize("name", EXERCISE)
def test_later_attempts_get_later_hints(name: str) -> None:
    wrong = next(attempt for exercise, attempt, _ in WRONG if exercise == name)
    count = len(EXERCISE[name].hints)
    hints = [judge(EXERCISE[name], wrong, failures).hint for failures in range(count + 1)]
    assert hints == [*EXERCISE[name].hints, EXERCISE[name].hints[-1]]


def test_a_single_subtraction_is_enough_here() -> None:
    def once(product: Any, d: Any, k: int) -> Any:
        D = [d / norm(d)]
        for _ in range(k - 1):
            r = product(D[-1])
            r = r - np.array(D).T @ (np.array(D) @ r)
            D.append(r / norm(r))
        return np.linalg.eigvalsh(small_matrix(product, D))[:-4:-1]

    assert judge(EXERCISE["ritz-values"], once).status == "right"


@pytest.mark.parametrize("large", [with_a_diagonal_matrix, with_the_hessian])
def test_what_is_larger_than_the_data_is_told(large: Any) -> None:
    verdict = judge(EXERCISE["logistic-product"], large)
    assert "the result is right, but" in verdict.diagnosis
    assert "an array larger than X" in verdict.diagnosis


def test_the_inputs_can_tell() -> None:
    for A, _ in EXERCISE["quadratic-hessian"].inputs:
        assert not np.allclose(A, A.T), "with a symmetric A the mistake 2A would be right"
    for g, product, d in EXERCISE["best-step"].inputs:
        assert d @ product(d) > 0
        assert not np.isclose(abs(g @ d), norm(g) * norm(d)), "along −g the special formula would be right"
    for product, d, k in EXERCISE["ritz-values"].inputs[1:]:
        T = np.linalg.eigvalsh(three_terms(product, d, k))
        assert T[-1] - T[-3] < 1e-9, "the top value has to have two ghosts, so that the three largest are it alone"
        assert np.min(-np.diff(ritz(product, d, k))) > 1


def test_the_fields_are_what_the_chapter_says() -> None:
    rng = np.random.default_rng(5)
    A, B = rng.normal(size=(4, 5)), rng.normal(size=(3, 4))

    def probabilities(z: Any) -> Any:
        return np.exp(z) / np.exp(z).sum()

    fields = [
        lambda x: A.T @ ((1 - np.tanh(A @ x) ** 2) * np.tanh(A @ x)),
        lambda x: A.T @ (B.T @ (B @ np.tanh(A @ x))),
        lambda x: A.T @ (B.T @ probabilities(B @ (A @ x))) + x,
    ]
    x, symmetric = rng.normal(size=5), []
    for field in fields:
        J = np.stack([(field(x + 1e-5 * e) - field(x - 1e-5 * e)) / 2e-5 for e in np.eye(5)], axis=1)
        symmetric.append(bool(np.abs(J - J.T).max() < 1e-7))
    assert symmetric == [True, False, True]
