"""The exercises of *Curvature*: Newton's, Marquardt's and the natural step, a rate, Kronecker products, polar factors.

Truths come from complex steps, eigenvalues, least squares and large matrices that an answer need not build.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(20)
_normal = _rng.standard_normal

# ------------------------------------------------------------------------------------------------- Newton on another curve


def _decay(theta: Array, t: Array, y: Array) -> Array:
    return np.asarray(theta[0] * np.exp(-theta[1] * t) - y)


def _decay_parts(theta: Array, t: Array, y: Array) -> tuple[Array, Array, Array]:
    """The gradient, JᵀJ and the whole Hessian of ½‖r‖²; the last from differences of the gradient along imaginary steps."""
    J = numeric.jacobian(lambda v: _decay(v, t, y), theta, method="complex").value

    def gradient(v: Array) -> Array:
        e = np.exp(-v[1] * t)
        r = v[0] * e - y
        return np.stack([np.sum(r * e), np.sum(-r * v[0] * t * e)])

    H = numeric.jacobian(gradient, theta, method="complex").value
    return J.T @ _decay(theta, t, y), J.T @ J, H


def _newton(
    change: Callable[[Array, Array, Array], Array] = lambda g, A, H: np.linalg.solve(H, g),
) -> Callable[..., Array]:
    """θ less what ``change`` makes of the gradient, JᵀJ and the Hessian."""

    def step(theta: Array, t: Array, y: Array) -> Array:
        return theta - change(*_decay_parts(theta, t, y))

    return step


_TIMES = np.array([0.5, 1.0, 2.0, 3.5, 5.0])
_NEWTON = Exercise(
    name="newton-fit",
    task="Return θ after one step of Newton's method on ½‖r‖² with r = θ₁ exp(−θ₂ t) − y.",
    truth=_newton(),
    inputs=(
        (np.array([4.0, 0.5]), _TIMES, np.array([3.4, 2.6, 1.2, 0.9, 0.1])),
        (np.array([1.5, 0.2]), _TIMES[1:], np.array([1.3, 1.2, 0.5, 0.8])),
    ),
    hints=(
        "You need r, its Jacobian J (columns e and −θ₁ t e, with e = exp(−θ₂ t)), and H = JᵀJ + Σ rᵢ ∇²rᵢ. Which second derivatives of rᵢ are not zero?",
        "∂²rᵢ/∂θ₁∂θ₂ = −tᵢ eᵢ and ∂²rᵢ/∂θ₂² = θ₁ tᵢ² eᵢ. Weigh them by rᵢ and add them up.",
        "H = J.T @ J + [[0, −r@(t*e)], [−r@(t*e), θ₁ r@(t²*e)]]; θ − np.linalg.solve(H, J.T @ r)",
    ),
    mistakes={
        "this is Gauss–Newton: the second derivatives of the residuals, weighed by the residuals, are missing from H": _newton(
            lambda g, A, H: np.linalg.solve(A, g)
        ),
        "this is the step itself; the exercise asks for θ after it": lambda theta, t, y: _newton()(theta, t, y) - theta,
        "the sign of the step: it goes from θ by minus H⁻¹g": _newton(lambda g, A, H: -np.linalg.solve(H, g)),
        "the sign of S is wrong: H = JᵀJ + Σ rᵢ ∇²rᵢ with r = curve − y, and this subtracts it": _newton(
            lambda g, A, H: np.linalg.solve(2 * A - H, g)
        ),
        "only the diagonal of H is used: the two parameters act together": _newton(lambda g, A, H: g / np.diag(H)),
        "the mixed second derivative is missing: ∂²rᵢ/∂θ₁∂θ₂ = −tᵢ eᵢ is not zero": _newton(
            lambda g, A, H: np.linalg.solve(A + np.diag(np.diag(H - A)), g)
        ),
        "the curvature in θ₂ is missing: ∂²rᵢ/∂θ₂² = θ₁ tᵢ² eᵢ": _newton(
            lambda g, A, H: np.linalg.solve(H - np.diag(np.diag(H - A)), g)
        ),
        "multiplied by H; the step divides by it, and solves H δ = −g": _newton(lambda g, A, H: H @ g),
    },
)

# -------------------------------------------------------------------------------------------------- the rate of Gauss–Newton


def _rate(
    measure: Callable[[Array], float] = lambda M: float(np.abs(np.linalg.eigvals(M)).max()),
    form: Callable[[Array, Array], Array] = lambda A, S: np.linalg.solve(A, S),
) -> Callable[..., float]:
    """A measure of a matrix made of JᵀJ and S."""

    def rate(J: Array, r: Array, hessians: Array) -> float:
        return measure(
            form(J.T @ J, sum((a * B for a, B in zip(r, hessians, strict=True)), np.zeros_like(hessians[0])))
        )

    return rate


def _rate_of_map(J: Array, r: Array, hessians: Array) -> float:
    """From the map: one step from θ* + δ for many δ, with residuals that have these derivatives at θ* = 0."""
    r = r - J @ np.linalg.lstsq(J, r, rcond=None)[0]  # a minimum: the gradient is zero

    def step(delta: Array) -> Array:
        moved = r + J @ delta + np.einsum("i,kij,j->k", delta, hessians, delta) / 2
        slopes = J + np.einsum("kij,j->ki", hessians, delta)
        return delta - np.linalg.solve(slopes.T @ slopes, slopes.T @ moved)

    M = numeric.jacobian(step, np.zeros(J.shape[1]), method="complex").value
    return float(np.abs(np.linalg.eigvals(M)).max())


def _minimum(m: int, n: int, size: float) -> tuple[Array, Array, Array]:
    """A Jacobian, residuals orthogonal to its columns, and symmetric Hessians."""
    J, r, B = _normal((m, n)), _normal(m), _normal((m, n, n))
    return J, size * (r - J @ np.linalg.lstsq(J, r, rcond=None)[0]), B + B.transpose(0, 2, 1)


_RATE = Exercise(
    name="gauss-newton-rate",
    task="Return the rate at which Gauss–Newton converges at a minimum with Jacobian J, residuals r and Hessians of shape (m, n, n).",
    truth=_rate_of_map,
    inputs=(_minimum(7, 3, 0.3), _minimum(6, 2, 0.2), _minimum(9, 4, -0.5)),
    rtol=1e-5,
    hints=(
        "The rate is the spectral radius of the Jacobian of the map at the minimum, I − M⁻¹H with M = JᵀJ. What is left when H = JᵀJ + S?",
        "S = Σ rᵢ ∇²rᵢ is np.tensordot(r, hessians, axes=1). The matrix is −(JᵀJ)⁻¹S, not symmetric in general.",
        "np.abs(np.linalg.eigvals(np.linalg.solve(J.T @ J, S))).max()",
    ),
    mistakes={
        "this is the largest eigenvalue of (JᵀJ)⁻¹S with its sign; the rate is the largest in size": _rate(
            lambda M: float(np.linalg.eigvals(M).real.max())
        ),
        "this is the norm, the largest singular value; in the end errors shrink by the spectral radius, which is smaller": _rate(
            lambda M: float(np.linalg.norm(M, 2))
        ),
        "the inverse of the whole Hessian stands here; Gauss–Newton divides by JᵀJ": _rate(
            form=lambda A, S: np.linalg.solve(A + S, S)
        ),
        "JᵀJ is missing: S alone has units, a rate has none": _rate(form=lambda A, S: S),
        "upside down: S⁻¹ JᵀJ; the smaller S, the faster": _rate(form=lambda A, S: np.linalg.solve(S, A)),
        "these are the eigenvalues of M⁻¹H; the map's Jacobian is I less that": _rate(
            form=lambda A, S: np.eye(len(A)) + np.linalg.solve(A, S)
        ),
        "the residuals are missing: S = Σ rᵢ ∇²rᵢ, and this adds up the Hessians alone": lambda J, r, hessians: _rate()(
            J, np.ones_like(r), hessians
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- Marquardt's damping


def _damped(
    form: Callable[[Array, float], Array] = lambda A, a: A + a * np.diag(np.diag(A)), sign: int = -1
) -> Callable[..., Array]:
    """The solution of a damped system: how it is damped, with which sign."""

    def step(J: Array, r: Array, damping: float) -> Array:
        return np.asarray(sign * np.linalg.solve(form(J.T @ J, damping), J.T @ r))

    return step


def _marquardt(J: Array, r: Array, damping: float) -> Array:
    """As a least-squares problem with n more rows, √λ times the lengths of J's columns."""
    below = np.sqrt(damping) * np.diag(np.linalg.norm(J, axis=0))
    return np.asarray(-np.linalg.lstsq(np.vstack([J, below]), np.append(r, np.zeros(len(below))), rcond=None)[0])


_MARQUARDT = Exercise(
    name="marquardt-step",
    task="Return the damped step −(JᵀJ + λ diag(JᵀJ))⁻¹ Jᵀ r.",
    truth=_marquardt,
    inputs=((_normal((6, 3)), _normal(6), 0.3), (_normal((5, 2)) * [1.0, 20.0], _normal(5), 2.5)),
    hints=(
        "Form JᵀJ, a matrix of shape (n, n). Its diagonal holds the squared lengths of J's columns. Add λ times the diagonal, as a matrix, and solve.",
        "np.diag of a matrix gives its diagonal as a vector; np.diag of a vector gives a diagonal matrix. You need both.",
        "M = J.T @ J; −np.linalg.solve(M + damping * np.diag(np.diag(M)), J.T @ r)",
    ),
    mistakes={
        "this is Levenberg's λI; Marquardt's damping is λ diag(JᵀJ)": _damped(lambda A, a: A + a * np.eye(len(A))),
        "this is Gauss–Newton: the damping is missing": _damped(lambda A, a: A),
        "the sign: a step downhill is minus the pull": _damped(sign=1),
        "the vector np.diag(M) was added to every row of M; it has to go onto the diagonal: np.diag(np.diag(M))": _damped(
            lambda A, a: A + a * np.diag(A)
        ),
        "the number λ was added to every entry of JᵀJ": _damped(lambda A, a: A + a),
        "λ is squared": _damped(lambda A, a: A + a**2 * np.diag(np.diag(A))),
        "only the diagonal is left: JᵀJ itself has to stay in the sum": _damped(
            lambda A, a: (1 + a) * np.diag(np.diag(A))
        ),
        "all of JᵀJ is multiplied by 1 + λ; this only shortens Gauss–Newton's step": _damped(lambda A, a: (1 + a) * A),
    },
)

# ------------------------------------------------------------------------------------------------------- a Kronecker product


def _kron(form: Callable[[Array, Array, Array], Array], order: Any = "C") -> Callable[..., Array]:
    def product(P: Array, Q: Array, v: Array) -> Array:
        return np.asarray(form(P, Q, v.reshape(len(P), len(Q), order=order))).ravel()

    return product


def _kronecker(P: Array, Q: Array, v: Array) -> Array:
    """Block after block of the large matrix, one at a time."""
    blocks = v.reshape(len(P), -1)
    return np.concatenate([sum((p * (Q @ b) for p, b in zip(row, blocks, strict=True)), np.zeros(len(Q))) for row in P])


_KRONECKER = Exercise(
    name="kronecker-product",
    task="Return (P ⊗ Q) v for square P and Q, where v stacks the rows of a matrix, without building P ⊗ Q.",
    truth=_kronecker,
    inputs=(
        (_normal((4, 4)), _normal((4, 4)), _normal(16)),
        (_normal((30, 30)), _normal((30, 30)), _normal(900)),
    ),
    hints=(
        "Give v the shape of the matrix whose rows it stacks. One of the two matrices acts on its rows, the other on its columns: which stands on which side?",
        "Block (i, j) of P ⊗ Q is P[i, j] Q, so row i of the result is Σ_j P[i, j] Q v_j, with v_j for row j of V. Q times a row, as a row, is V Qᵀ.",
        "(P @ v.reshape(len(P), len(Q)) @ Q.T).ravel()",
    ),
    mistakes={
        "Q is not transposed: what acts on the rows of V stands on the right as Qᵀ": _kron(lambda P, Q, V: P @ V @ Q),
        "P and Q have changed places: this is (Q ⊗ P) v, and the formula for stacked columns; v stacks rows": _kron(
            lambda P, Q, V: Q @ V @ P.T
        ),
        "P is transposed: it stands on the left as it is": _kron(lambda P, Q, V: P.T @ V @ Q.T),
        "v stacks rows, and this reads it by columns": _kron(lambda P, Q, V: P @ V @ Q.T, order="F"),
        "both are transposed: this is the pull, (P ⊗ Q)ᵀ v": _kron(lambda P, Q, V: P.T @ V @ Q),
    },
    memory=1_000_000,
    too_large="P ⊗ Q has as many entries as P times as many as Q; multiply with P and Q one after the other.",
)

# -------------------------------------------------------------------------------------------- the natural step, written otherwise


def _natural(F: Array, g: Array, theta: Array) -> Array:
    """By the definition in η: F and g carried over, then solved."""
    D = np.diag(theta)
    return -np.asarray(np.linalg.lstsq(D @ F @ D, D @ g, rcond=None)[0])


def _metric(n: int) -> Array:
    A = _normal((n + 2, n))
    return A.T @ A


_NATURAL = Exercise(
    name="natural-step",
    task="Return the natural-gradient step in η, where θ = exp(η), from F and g by θ.",
    truth=_natural,
    inputs=(
        (_metric(2), _normal(2), np.array([2.0, 0.3])),
        (_metric(4), _normal(4), np.array([0.5, 4.0, 1.7, 0.2])),
    ),
    hints=(
        "The step in θ is −F⁻¹g. A small step dη moves θ by D dη, with D the Jacobian of exp. Which dη gives the same move?",
        "D = diag(θ), since the derivative of exp is exp itself. So dη is the step in θ divided by θ, entry by entry. You may also carry over: Dᵀ F D and Dᵀ g.",
        "-np.linalg.solve(F, g) / theta",
    ),
    mistakes={
        "this is the step in θ; in η it has to be divided by θ": lambda F, g, theta: -np.linalg.solve(F, g),
        "multiplied by θ: that carries a step from η to θ, and here it goes the other way": lambda F, g, theta: (
            -np.linalg.solve(F, g) * theta
        ),
        "the gradient was carried over to η, and F was not: it becomes Dᵀ F D": lambda F, g, theta: (
            -np.linalg.solve(F, theta * g)
        ),
        "F was carried over to η, and the gradient was not: it becomes Dᵀ g": lambda F, g, theta: (
            -np.linalg.solve(np.outer(theta, theta) * F, g)
        ),
        "F is carried over by one D only; it needs one on each side": lambda F, g, theta: (
            -np.linalg.solve(F * theta, theta * g)
        ),
        "the sign: the step goes against the gradient": lambda F, g, theta: np.linalg.solve(F, g) / theta,
        "this is the plain gradient step in η; F is missing": lambda F, g, theta: -theta * g,
        "divided by η; the derivative of exp(η) is exp(η) = θ": lambda F, g, theta: (
            -np.linalg.solve(F, g) / np.log(theta)
        ),
    },
)

# ------------------------------------------------------------------------------------------------------------- polar factors


def _polar(G: Array) -> Array:
    """G (GᵀG)^(−1/2) on the directions that G has, by eigenvalues."""
    wide = G.shape[0] < G.shape[1]
    T = G.T if wide else G
    w, Q = np.linalg.eigh(T.T @ T)
    X = T @ (Q / np.sqrt(w)) @ Q.T
    return np.asarray(X.T if wide else X)


def _svd(form: Callable[[Array, Array, Array], Array]) -> Callable[[Array], Array]:
    return lambda G: form(*np.linalg.svd(G, full_matrices=False))


_POLAR = Exercise(
    name="polar-factor",
    task="Return the orthogonal polar factor UVᵀ of G = UΣVᵀ, with the shape of G.",
    truth=_polar,
    inputs=((_normal((4, 4)),), (_normal((5, 5)) * [1.0, 10.0, 0.3, 1.0, 2.0],)),
    hints=(
        "np.linalg.svd gives three things. What does UVᵀ take of them, and what does it leave out?",
        "np.linalg.svd(G, full_matrices=False) returns U, the singular values, and Vᵀ: the third is transposed already.",
        "U, _, VT = np.linalg.svd(G, full_matrices=False); U @ VT",
    ),
    mistakes={
        "V is transposed once too often: the third thing that svd returns is Vᵀ already": _svd(
            lambda U, s, VT: U @ VT.T
        ),
        "this is G itself: leave the singular values out": lambda G: G,
        "this is G divided by its norm: all singular values are scaled alike, and not made 1": lambda G: (
            G / np.linalg.norm(G)
        ),
        "this is G divided by its largest singular value: only that one has become 1": lambda G: (
            G / np.linalg.norm(G, 2)
        ),
        "this takes the sign of each entry; the factor makes each singular value 1 and leaves U and V": np.sign,
        "transposed: this is V Uᵀ, which undoes the turn": lambda G: _polar(G).T,
        "the singular values are inverted instead of being made 1: this is the transposed inverse of G": _svd(
            lambda U, s, VT: U / s @ VT
        ),
        "this is Q of the QR decomposition: orthogonal, but not the nearest orthogonal matrix to G": lambda G: (
            np.linalg.qr(G)[0]
        ),
    },
)

# ------------------------------------------------------------------------------------------------------------ Newton–Schulz


def _schulz(X: Array) -> Array:
    """By the singular values, each for itself."""
    U, s, VT = np.linalg.svd(X)
    return np.asarray(U * (1.5 * s - 0.5 * s**3) @ VT)


_SCHULZ = Exercise(
    name="newton-schulz",
    task="Return the matrix with the singular vectors of X and the singular values 3/2 σ − 1/2 σ³.",
    truth=_schulz,
    inputs=((0.3 * _normal((4, 4)),), (0.2 * _normal((6, 6)),)),
    hints=(
        "With X = UΣVᵀ, which product of X's and Xᵀ's is UΣ³Vᵀ?",
        "X Xᵀ X = U Σ Vᵀ V Σ Uᵀ U Σ Vᵀ = U Σ³ Vᵀ, because VᵀV and UᵀU are the identity.",
        "1.5 * X − 0.5 * X @ X.T @ X",
    ),
    mistakes={
        "X**3 takes the third power of each entry; the singular values need X Xᵀ X": lambda X: 1.5 * X - 0.5 * X**3,
        "X X X is not UΣ³Vᵀ: the second factor has to be transposed": lambda X: 1.5 * X - 0.5 * X @ X @ X,
        "the first and the last factor are transposed: this is the cube of Xᵀ": lambda X: 1.5 * X - 0.5 * X.T @ X @ X.T,
        "the two terms are added; the cubic one is subtracted": lambda X: 1.5 * X + 0.5 * X @ X.T @ X,
        "only the square: X Xᵀ has the singular values σ², and loses V": lambda X: 1.5 * X - 0.5 * X @ X.T,
        "the factor of the cubic term is 1/2": lambda X: 1.5 * X - X @ X.T @ X,
        "this is one step of Muon's quintic": lambda X: (
            3.4445 * X - 4.7750 * X @ X.T @ X + 2.0315 * X @ X.T @ X @ X.T @ X
        ),
    },
)

EXERCISES = (_NEWTON, _RATE, _MARQUARDT, _KRONECKER, _NATURAL, _POLAR, _SCHULZ)
