"""The exercises of *Curvature*: wrong answers as students write them are told apart, right ones pass.

Right answers come from the engine, from iterations run to their end and from other factorisations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests, told

import mathdl as md
from mathdl.exercises.curvature import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
NEWTON, RATE, MARQUARDT = "newton-fit", "gauss-newton-rate", "marquardt-step"
KRONECKER, NATURAL, POLAR, SCHULZ = "kronecker-product", "natural-step", "polar-factor", "newton-schulz"


# -- right answers -----------------------------------------------------------------------------------------------------


def newton(theta: Any, t: Any, y: Any) -> Any:
    def loss(v: Any) -> Any:
        return np.sum((v[0] * np.exp(-v[1] * t) - y) ** 2) / 2

    return theta - np.linalg.inv(md.hessian(loss)(theta)) @ md.grad(loss)(theta)


def rate(J: Any, r: Any, hessians: Any) -> Any:
    """By Gelfand's formula, from a high power of the matrix."""
    M = np.linalg.pinv(J) @ np.linalg.pinv(J).T @ np.einsum("k,kij->ij", r, hessians)
    power, log = M, 0.0
    for _ in range(40):
        size = np.linalg.norm(power)
        power, log = (power / size) @ (power / size), 2 * (log + np.log(size))
    return np.exp((log + np.log(np.linalg.norm(power))) / 2.0**40)


def marquardt(J: Any, r: Any, damping: Any) -> Any:
    """With columns of length 1, where it is Levenberg's, and back."""
    lengths = np.linalg.norm(J, axis=0)
    unit = J / lengths
    U, s, VT = np.linalg.svd(unit, full_matrices=False)
    return -VT.T @ (s / (s**2 + damping) * (U.T @ r)) / lengths


def natural(F: Any, g: Any, theta: Any) -> Any:
    J = md.jacobian(np.exp)(np.log(theta))
    return -np.linalg.inv(J.T @ F @ J) @ J.T @ g


def polar(G: Any) -> Any:
    """Newton's iteration with inverses, to its end."""
    for _ in range(60):
        G = (G + np.linalg.inv(G).T) / 2
    return G


RIGHT: dict[str, Any] = {
    NEWTON: newton,
    RATE: rate,
    MARQUARDT: marquardt,
    KRONECKER: lambda P, Q, v: np.einsum("ij,kl,jl->ik", P, Q, v.reshape(len(P), len(Q)), optimize=True).ravel(),
    NATURAL: natural,
    POLAR: polar,
    SCHULZ: lambda X: 1.5 * X - 0.5 * X @ X.T @ X,
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


def newton_written(line: str) -> Callable[..., Any]:
    def attempt(theta: Any, t: Any, y: Any) -> Any:
        e = np.exp(-theta[1] * t)
        r = theta[0] * e - y
        J = np.stack([e, -theta[0] * t * e], axis=1)
        mixed = 0 if line == "no mixed" else -r @ (t * e)
        last = 0 if line == "no last" else theta[0] * (r @ (t**2 * e))
        S = np.array([[0, mixed], [mixed, last]])
        H = J.T @ J + {"none": 0, "minus": -1}.get(line, 1) * S
        g = J.T @ r
        if line == "diagonal":
            return theta - g / np.diag(H)
        if line == "times":
            return theta - H @ g
        step = np.linalg.solve(H, g)
        return {"uphill": theta + step, "step": -step}.get(line, theta - step)

    return attempt


def rate_written(line: str) -> Callable[..., Any]:
    def attempt(J: Any, r: Any, hessians: Any) -> Any:
        S = hessians.sum(axis=0) if line == "no residuals" else np.tensordot(r, hessians, axes=1)
        A = J.T @ J
        M = {"no A": S, "inverse": np.linalg.inv(S) @ A, "H": np.linalg.solve(A + S, S)}.get(
            line, np.linalg.solve(A, S)
        )
        if line == "quotient":
            M = np.linalg.solve(A, A + S)
        if line == "norm":
            return np.linalg.norm(M, 2)
        w = np.linalg.eigvals(M)
        return w.real.max() if line == "signed" else np.abs(w).max()

    return attempt


def marquardt_written(line: str) -> Callable[..., Any]:
    def attempt(J: Any, r: Any, damping: Any) -> Any:
        M = J.T @ J
        damped = {
            "I": M + damping * np.eye(len(M)),
            "none": M,
            "row": M + damping * np.diag(M),
            "all": M + damping,
            "square": M + damping**2 * np.diag(np.diag(M)),
            "only": np.diag(np.diag(M)) * (1 + damping),
            "scaled": M * (1 + damping),
        }.get(line, M + damping * np.diag(np.diag(M)))
        step = np.linalg.solve(damped, J.T @ r)
        return step if line == "uphill" else -step

    return attempt


def kronecker_written(line: str) -> Callable[..., Any]:
    def attempt(P: Any, Q: Any, v: Any) -> Any:
        if line == "columns":
            return (P @ v.reshape(len(P), len(Q), order="F") @ Q.T).ravel()
        V = v.reshape(len(P), len(Q))
        table = {
            "no transpose": P @ V @ Q,
            "swapped": Q @ V @ P.T,
            "P transposed": P.T @ V @ Q.T,
            "both": P.T @ V @ Q,
        }
        return table[line].ravel()

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (NEWTON, newton_written("none"), "Gauss–Newton"),
    (NEWTON, newton_written("step"), "the step itself"),
    (NEWTON, newton_written("uphill"), "sign of the step"),
    (NEWTON, newton_written("minus"), "sign of S"),
    (NEWTON, newton_written("diagonal"), "only the diagonal"),
    (NEWTON, newton_written("no mixed"), "mixed second derivative"),
    (NEWTON, newton_written("no last"), "curvature in θ₂"),
    (NEWTON, newton_written("times"), "multiplied by H"),
    (RATE, rate_written("signed"), "with its sign"),
    (RATE, rate_written("norm"), "this is the norm"),
    (RATE, rate_written("H"), "whole Hessian"),
    (RATE, rate_written("no A"), "JᵀJ is missing"),
    (RATE, rate_written("inverse"), "upside down"),
    (RATE, rate_written("quotient"), "I less that"),
    (RATE, rate_written("no residuals"), "residuals are missing"),
    (MARQUARDT, marquardt_written("I"), "Levenberg's"),
    (MARQUARDT, marquardt_written("none"), "damping is missing"),
    (MARQUARDT, marquardt_written("uphill"), "minus the pull"),
    (MARQUARDT, marquardt_written("row"), "every row"),
    (MARQUARDT, marquardt_written("all"), "every entry"),
    (MARQUARDT, marquardt_written("square"), "squared"),
    (MARQUARDT, marquardt_written("only"), "only the diagonal"),
    (MARQUARDT, marquardt_written("scaled"), "only shortens"),
    (KRONECKER, kronecker_written("no transpose"), "Q is not transposed"),
    (KRONECKER, kronecker_written("swapped"), "changed places"),
    (KRONECKER, kronecker_written("P transposed"), "P is transposed"),
    (KRONECKER, kronecker_written("columns"), "by columns"),
    (KRONECKER, kronecker_written("both"), "both are transposed"),
    (NATURAL, lambda F, g, theta: -np.linalg.inv(F) @ g, "this is the step in θ"),
    (NATURAL, lambda F, g, theta: -theta * (np.linalg.inv(F) @ g), "multiplied by θ"),
    (NATURAL, lambda F, g, theta: -np.linalg.inv(F) @ np.diag(theta) @ g, "and F was not"),
    (
        NATURAL,
        lambda F, g, theta: -np.linalg.inv(np.diag(theta) @ F @ np.diag(theta)) @ g,
        "the gradient was not",
    ),
    (NATURAL, lambda F, g, theta: -np.linalg.inv(F @ np.diag(theta)) @ (theta * g), "one D only"),
    (NATURAL, lambda F, g, theta: np.linalg.inv(F) @ g / theta, "against the gradient"),
    (NATURAL, lambda F, g, theta: -np.diag(theta) @ g, "F is missing"),
    (NATURAL, lambda F, g, theta: -np.linalg.inv(F) @ g / np.log(theta), "divided by η"),
    (POLAR, lambda G: np.linalg.svd(G)[0] @ np.linalg.svd(G)[2].T, "once too often"),
    (POLAR, lambda G: np.linalg.svd(G)[0] @ np.diag(np.linalg.svd(G)[1]) @ np.linalg.svd(G)[2], "G itself"),
    (POLAR, lambda G: G / np.sqrt((G**2).sum()), "divided by its norm"),
    (POLAR, lambda G: G / np.linalg.svd(G)[1][0], "largest singular value"),
    (POLAR, np.sign, "sign of each entry"),
    (POLAR, lambda G: (np.linalg.svd(G)[0] @ np.linalg.svd(G)[2]).T, "V Uᵀ"),
    (POLAR, lambda G: np.linalg.inv(G).T, "inverted"),
    (POLAR, lambda G: np.linalg.qr(G)[0], "QR"),
    (SCHULZ, lambda X: 1.5 * X - 0.5 * X**3, "each entry"),
    (SCHULZ, lambda X: 1.5 * X - 0.5 * np.linalg.matrix_power(X, 3), "second factor"),
    (SCHULZ, lambda X: 1.5 * X - 0.5 * X.T @ X @ X.T, "first and the last"),
    (SCHULZ, lambda X: 1.5 * X + 0.5 * X @ X.T @ X, "are added"),
    (SCHULZ, lambda X: 1.5 * X - 0.5 * X @ X.T, "only the square"),
    (SCHULZ, lambda X: 1.5 * X - X @ X.T @ X, "is 1/2"),
    (SCHULZ, lambda X: 3.4445 * X - 4.775 * X @ X.T @ X + 2.0315 * X @ X.T @ X @ X.T @ X, "Muon's quintic"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- what the exercises rely on ----------------------------------------------------------------------------------------


def test_the_large_matrix_is_refused() -> None:
    assert "held" in told(EXERCISE[KRONECKER], lambda P, Q, v: np.kron(P, Q) @ v)


@pytest.mark.parametrize("case", range(3))
def test_the_rate_is_what_steps_show(case: int) -> None:
    """Gauss–Newton on residuals with these derivatives: errors shrink by the rate, in the mean over many steps."""
    J, r, B = EXERCISE[RATE].inputs[case]
    assert np.allclose(J.T @ r, 0), "no minimum"
    wanted = EXERCISE[RATE].truth(J, r, B)
    delta = 1e-7 * np.ones(J.shape[1])
    steps, lengths = 40, [np.linalg.norm(delta)]
    for _ in range(steps):
        slopes = J + np.einsum("kij,j->ki", B, delta)
        moved = r + J @ delta + np.einsum("i,kij,j->k", delta, B, delta) / 2
        delta = delta - np.linalg.solve(slopes.T @ slopes, slopes.T @ moved)
        lengths.append(np.linalg.norm(delta))
        delta = delta * 1e-7 / lengths[-1]  # kept small, so that only the first order shows
    shrunk = np.mean(np.log(np.array(lengths[21:]) / 1e-7))
    assert np.exp(shrunk) == pytest.approx(wanted, rel=0.02)


def test_inputs_show_what_is_judged() -> None:
    found = [
        np.linalg.eigvals(np.linalg.solve(J.T @ J, np.tensordot(r, B, axes=1))) for J, r, B in EXERCISE[RATE].inputs
    ]
    assert any(np.abs(w).max() > w.real.max() + 1e-3 for w in found), "the sign would not be missed"
    for P, Q, _ in EXERCISE[KRONECKER].inputs:
        assert P.shape == Q.shape, "another order would not fit, and so not be told"
    for X in (arguments[0] for arguments in EXERCISE[SCHULZ].inputs + EXERCISE[POLAR].inputs):
        assert not np.allclose(X, X.T)
