"""The exercises of *Second derivatives*: Hessians and their products, the best step, Gauss–Newton, Lanczos, a false gradient.

A truth is the Jacobian of a gradient by complex step, or the full matrix where the attempt may use only products.
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
Map = Callable[[Array], Any]

_norm = np.linalg.norm
_rng = np.random.default_rng(9)
_normal = _rng.standard_normal


class _Matrix:
    """A matrix that shows itself only in products, with a vector from the right or, transposed, from the left."""

    def __init__(self, A: Array) -> None:
        self.A = A

    def push(self, v: Array) -> Array:
        return np.asarray(self.A @ v)

    def pull(self, u: Array) -> Array:
        return np.asarray(self.A.T @ u)


def _dense(product: Map, n: int) -> Array:
    return np.stack([product(e) for e in np.eye(n)], axis=1)


def _with_eigenvalues(values: Array) -> Map:
    Q = np.linalg.qr(_normal((len(values), len(values))))[0]
    return _Matrix((Q * values) @ Q.T).push


# --------------------------------------------------------------------------------------------------- a quadratic form


def _form_gradient(A: Array) -> Map:
    return lambda x: A @ x + x @ A


_QUADRATIC_HESSIAN = Exercise(
    name="quadratic-hessian",
    task="Return the Hessian of xᵀA x for a square A that need not be symmetric.",
    truth=lambda A, x: numeric.jacobian(_form_gradient(A), x, method="complex").value,
    inputs=((np.array([[1.0, 4.0], [-2.0, 3.0]]), np.array([0.5, -1.0])), (_normal((4, 4)), _normal(4))),
    derivative=True,
    hints=(
        "x occurs twice in xᵀA x, so its gradient has two terms.",
        "The gradient is A x + Aᵀx. Now take the Jacobian of each term.",
        "A x has the Jacobian A, and Aᵀx has Aᵀ; their sum is symmetric, as it has to be.",
    ),
    mistakes={
        "this is right for symmetric A only: 2A is not symmetric, and a Hessian is": lambda A, x: 2 * A,
        "this is half of the Hessian: it is the symmetric part of A, and f = xᵀA x has no factor ½": lambda A, x: (
            (A + A.T) / 2
        ),
        "x occurs twice, and this counts one occurrence: the second term Aᵀ is missing": lambda A, x: A,
        "x occurs twice, and this counts one occurrence: the first term A is missing": lambda A, x: A.T,
        "the second term has the wrong sign; A − Aᵀ is the part of A that f never feels": lambda A, x: A - A.T,
        "this is the gradient; differentiate once more": lambda A, x: A @ x + x @ A,
    },
)

# --------------------------------------------------------------------------------------------- the best step along d

_step_H = _normal((5, 5))
_step_product = _Matrix(_step_H @ _step_H.T + np.eye(5)).push
_step_product_3 = _Matrix(np.diag([4.0, 1.0, -0.5])).push


def _model_minimum(g: Array, product: Map, d: Array) -> float:
    """Fit the model's parabola through three of its values; it is least at −b / 2a."""
    H = _dense(product, len(d))
    values = [t * (g @ d) + t * t / 2 * (d @ H @ d) for t in (-1.0, 0.0, 1.0)]
    a, b, _ = np.polyfit([-1.0, 0.0, 1.0], values, 2)
    return float(-b / (2 * a))


_BEST_STEP = Exercise(
    name="best-step",
    task="Return the t at which the quadratic model along θ + t d is least.",
    truth=_model_minimum,
    inputs=(
        (np.array([1.0, -2.0, 0.5]), _step_product_3, np.array([-2.0, 1.0, 0.3])),
        (_normal(5), _step_product, _normal(5)),
    ),
    hints=(
        "Write the model along the line as a function of t alone: L + t gᵀd + ½ t² dᵀHd.",
        "Its slope in t is gᵀd + t dᵀHd. Where is it zero?",
        "t = −(g @ d) / (d @ product(d)); for d = −g it becomes gᵀg / gᵀHg.",
    ),
    mistakes={
        "the sign is wrong: where gᵀd is negative the model falls along d, and t is positive": lambda g, product, d: (
            (g @ d) / (d @ product(d))
        ),
        "this is the step along −g; along d the slope is gᵀd and the curvature dᵀHd": lambda g, product, d: (
            (g @ g) / (g @ product(g))
        ),
        "the numerator is gᵀg, which is right along −g only; along d the slope is gᵀd": lambda g, product, d: (
            (g @ g) / (d @ product(d))
        ),
        "the denominator uses g; the curvature along d is dᵀHd": lambda g, product, d: -(g @ d) / (g @ product(g)),
        "the factor ½ of the model goes away in its slope: t² / 2 has the slope t": lambda g, product, d: (
            -2 * (g @ d) / (d @ product(d))
        ),
        "there is a factor ½ too much: t² / 2 has the slope t": lambda g, product, d: -(g @ d) / (2 * d @ product(d)),
        "the curvature is missing: divide by dᵀHd": lambda g, product, d: -(g @ d),
        "this divides by dᵀd, as if every curvature were 1; divide by dᵀHd": lambda g, product, d: -(g @ d) / (d @ d),
        "this divides by dᵀHd / dᵀd, the curvature for a d of length 1; here t counts in units of d, whatever its length": lambda g, product, d: (
            -(g @ d) * (d @ d) / (d @ product(d))
        ),
    },
)

# ----------------------------------------------------------------------------------------- logistic loss, H times v


def _logistic_gradient(X: Array, s: Array, w: Array) -> Array:
    pulled: Array = -X.T @ (s / (1 + np.exp(s * (X @ w)))) / len(X)
    return pulled


def _slope(X: Array, w: Array) -> Array:
    p: Array = 1 / (1 + np.exp(-(X @ w)))
    return np.asarray(p * (1 - p))


def _classes(N: int, n: int) -> tuple[Array, Array, Array, Array]:
    """Rows, signs, weights and a direction, from numbers of their own."""
    rng = np.random.default_rng(N)
    w, v = rng.standard_normal((2, n)) / np.sqrt(n)
    return rng.standard_normal((N, n)), rng.choice([-1.0, 1.0], N), w, v


_LOGISTIC_PRODUCT = Exercise(
    name="logistic-product",
    task="Return Hv for the mean logistic loss, without an array larger than X.",
    truth=lambda X, s, w, v: (
        numeric.jacobian(lambda t: _logistic_gradient(X, s, w + t * v), np.array(0.0), method="complex").value
    ),
    inputs=(
        (_normal((6, 3)), np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0]), _normal(3), _normal(3)),
        (_normal((4, 5)), np.array([-1.0, 1.0, 1.0, -1.0]), _normal(5), _normal(5)),
        _classes(600, 2),
        _classes(2, 600),
    ),
    derivative=True,
    memory=400_000,
    too_large="an array larger than X is built on the way. The diagonal matrix of the weights multiplies entry by entry, and H meets v factor by factor",
    hints=(
        "First the gradient: the slope of log(1 + e^−m) in m is −1 / (1 + eᵐ), and m_i = s_i x_iᵀw.",
        "Now push it along v. Only the weights 1 / (1 + eᵐ) change; their slope is p (1 − p) with p = 1 / (1 + e^−m).",
        "H = Xᵀ diag(p (1 − p)) X / N, applied from the right: X @ v first, then the weights, then X.T. The signs s_i drop out.",
    ),
    mistakes={
        "the mean's factor 1/N is missing": lambda X, s, w, v: X.T @ (_slope(X, w) * (X @ v)),
        "the weights p (1 − p) are missing: XᵀX is the Hessian of least squares": lambda X, s, w, v: (
            X.T @ (X @ v) / len(X)
        ),
        "the weights are p; the slope of p is p (1 − p)": lambda X, s, w, v: (
            X.T @ (1 / (1 + np.exp(-(X @ w))) * (X @ v)) / len(X)
        ),
        "the weights are p with the margins s_i x_iᵀw; the second derivative of the loss is p (1 − p)": lambda X, s, w, v: (
            X.T @ (1 / (1 + np.exp(-s * (X @ w))) * (X @ v)) / len(X)
        ),
        "the weights are 1 − p with the margins s_i x_iᵀw, as in the gradient; their slope is p (1 − p)": lambda X, s, w, v: (
            X.T @ (1 / (1 + np.exp(s * (X @ w))) * (X @ v)) / len(X)
        ),
        "one factor s_i is left over; in the second derivative it is squared, and s_i² = 1": lambda X, s, w, v: (
            X.T @ (s * _slope(X, w) * (X @ v)) / len(X)
        ),
        "the curvature was taken at v: the weights depend on w": lambda X, s, w, v: (
            X.T @ (_slope(X, v) * (X @ v)) / len(X)
        ),
        "this multiplies H with w; the vector is v": lambda X, s, w, v: X.T @ (_slope(X, w) * (X @ w)) / len(X),
        "this keeps the diagonal of H alone; the entries beside it count too": lambda X, s, w, v: (
            (_slope(X, w) @ X**2) / len(X) * v
        ),
        "this divides by n, the number of weights; the mean is over the N rows of X": lambda X, s, w, v: (
            X.T @ (_slope(X, w) * (X @ v)) / X.shape[1]
        ),
    },
)

# ------------------------------------------------------------------------------------------- Gauss–Newton times v

_J3, _J4 = _Matrix(_normal((3, 5))), _Matrix(_normal((4, 4)))
_half = _normal((3, 3))
_out3 = _half @ _half.T
_p4 = np.exp(_normal(4))
_p4 = _p4 / _p4.sum()
_out4 = np.diag(_p4) - np.outer(_p4, _p4)


def _dense_gauss_newton(push: Map, pull: Map, H_out: Array, v: Array) -> Array:
    J = _dense(push, len(v))
    product: Array = (J.T @ H_out @ J) @ v
    return product


_GAUSS_NEWTON_PRODUCT = Exercise(
    name="gauss-newton-product",
    task="Return JᵀH_out J v, given the push and the pull of the net.",
    truth=_dense_gauss_newton,
    inputs=((_J3.push, _J3.pull, _out3, _normal(5)), (_J4.push, _J4.pull, _out4, _normal(4))),
    hints=(
        "G = JᵀH_out J. Read it from the right: what meets v first?",
        "push(v) is Jv, with the shape of the outputs; H_out is a matrix on the outputs; pull brings a vector back.",
        "pull(H_out @ push(v)): three steps, no table but H_out.",
    ),
    mistakes={
        "H_out is missing: this is JᵀJ v, right for least squares only": lambda push, pull, H_out, v: pull(push(v)),
        "only the diagonal of H_out is used; its other entries couple the outputs": lambda push, pull, H_out, v: pull(
            np.diag(H_out) * push(v)
        ),
        "H_out * push(v) multiplies entry by entry and sums the wrong way; a matrix product is H_out @ push(v)": lambda push, pull, H_out, v: (
            pull((H_out * push(v)).sum(axis=0))
        ),
        "H_out is applied twice": lambda push, pull, H_out, v: pull(H_out @ (H_out @ push(v))),
        "this stops at the outputs: Hv has the shape of v, so pull the result back": lambda push, pull, H_out, v: (
            H_out @ push(v)
        ),
        "this is the number vᵀG v; the product G v has the shape of v": lambda push, pull, H_out, v: (
            push(v) @ H_out @ push(v)
        ),
    },
)

# ------------------------------------------------------------------------------------------------ the trace by signs

_trace_H = _normal((6, 6))
_trace_product = _Matrix(_trace_H + _trace_H.T).push
_trace_product_3 = _Matrix(np.array([[2.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 4.0]])).push


def _signs(count: int, n: int) -> Array:
    return _rng.choice([-1.0, 1.0], size=(count, n))


_TRACE_ESTIMATE = Exercise(
    name="trace-estimate",
    task="Return the mean of vᵀHv over the rows v of an array of signs.",
    truth=lambda product, signs: float(
        np.einsum("ki,ij,kj->", signs, _dense(product, signs.shape[1]), signs) / len(signs)
    ),
    inputs=((_trace_product_3, _signs(5, 3)), (_trace_product, _signs(8, 6))),
    hints=(
        "Each row v of signs gives one number, v @ product(v).",
        "The mean over the rows estimates the trace; for signs, vᵀv = n and no division by it is needed.",
        "np.mean([v @ product(v) for v in signs])",
    ),
    mistakes={
        "the numbers vᵀHv are summed; the estimate is their mean": lambda product, signs: sum(
            v @ product(v) for v in signs
        ),
        "this divides by vᵀv = n as well, which gives the mean eigenvalue, not the trace": lambda product, signs: (
            np.mean([v @ product(v) / (v @ v) for v in signs])
        ),
        "this is the exact trace, from one product for each unit vector; n of them are what the signs should save": lambda product, signs: (
            np.trace(_dense(product, signs.shape[1]))
        ),
        "the rows are averaged before the product; the mean has to be taken of the numbers vᵀHv": lambda product, signs: (
            signs.mean(axis=0) @ product(signs.mean(axis=0))
        ),
        "this is the mean of the entries of Hv; multiply them by v first and sum": lambda product, signs: np.mean(
            [np.mean(product(v)) for v in signs]
        ),
        "these are the sums of the entries of Hv, without v; vᵀHv is v @ product(v)": lambda product, signs: np.mean(
            [np.sum(product(v)) for v in signs]
        ),
        "these are the estimates of single rows; take their mean": lambda product, signs: np.array(
            [v @ product(v) for v in signs]
        ),
        "these are estimates of the single diagonal entries; their sum is the trace": lambda product, signs: np.mean(
            [v * product(v) for v in signs], axis=0
        ),
    },
)

# ------------------------------------------------------------------------------------------------- Lanczos, repaired


def _three(values: Array) -> Array:
    return values[:-4:-1]


def _reflected(product: Map, q: Array, k: int) -> Array:
    """The tridiagonal matrix another way: build H, and reflect it to that form so that the start's direction stays."""
    n = len(q)
    H = _dense(product, n)
    U = np.linalg.qr(np.column_stack([q, np.eye(n)[:, 1:]]))[0]  # its first column is q, but for the length
    B = U.T @ H @ U
    for j in range(n - 2):  # Householder's reflections, from column to column
        x = B[j + 1 :, j].copy()
        x[0] += np.copysign(_norm(x), x[0])
        x = x / _norm(x)
        B[j + 1 :] -= 2 * np.outer(x, x @ B[j + 1 :])
        B[:, j + 1 :] -= 2 * np.outer(B[:, j + 1 :] @ x, x)
    return np.asarray(B[:k, :k])


def _ritz(product: Map, q: Array, k: int) -> Array:
    return np.asarray(np.linalg.eigvalsh(_reflected(product, q, k)))


def _tridiagonal(product: Map, q: Array, k: int, first: Array | None = None, forget: bool = False) -> Array:
    """As derived: two subtractions, no look at the vectors before."""
    q = q / _norm(q) if first is None else first
    before, beta, alphas, betas = np.zeros_like(q), 0.0, [], []
    for _ in range(k):
        r = product(q)
        alphas.append(q @ r)
        r = r - alphas[-1] * q - (0.0 if forget else beta) * before
        beta = float(_norm(r))
        betas.append(beta)
        before, q = q, r / beta
    return np.diag(alphas) + np.diag(betas[:-1], 1) + np.diag(betas[:-1], -1)


_spread = _with_eigenvalues(np.concatenate([np.linspace(-0.2, 0.2, 57), [3.0, 5.0, 8.0]]))
_small = _with_eigenvalues(np.array([-1.0, 0.5, 2.0, 4.0, 7.0, 11.0]))
_wide = _with_eigenvalues(np.concatenate([np.linspace(0.0, 0.1, 36), [1.0, -2.0, 4.0, 9.0]]))

_RITZ_VALUES = Exercise(
    name="ritz-values",
    task="Return the three largest Ritz values after k steps, in descending order, without ghosts.",
    truth=lambda product, q, k: _three(_ritz(product, q, k)),
    inputs=((_small, _normal(6), 4), (_spread, _normal(60), 40), (_wide, _normal(40), 35)),
    hints=(
        "Make orthonormal directions: multiply the last one by the matrix, subtract the parts along all that are there, divide by the length. Repeat until there are k.",
        "Subtract twice, D.T @ (D @ r) each time, with the directions as rows of the array D.",
        "np.linalg.eigvalsh of the k × k matrix of all d_i @ product(d_j) gives the Ritz values in ascending order; [:-4:-1] takes the three largest.",
    ),
    mistakes={
        "there are ghosts: only the parts along the last two directions were subtracted, and rounding has let a found eigenvector in again. Subtract the parts along all earlier ones": lambda product, q, k: (
            _three(np.linalg.eigvalsh(_tridiagonal(product, q, k)))
        ),
        "the term β d of the direction before the last is missing, so that the directions are not orthogonal": lambda product, q, k: (
            _three(np.linalg.eigvalsh(_tridiagonal(product, q, k, forget=True)))
        ),
        "the starting vector was not divided by its length": lambda product, q, k: _three(
            np.linalg.eigvalsh(_tridiagonal(product, q, k, first=q))
        ),
        "the values are right, in ascending order; wanted is descending": lambda product, q, k: _three(
            _ritz(product, q, k)
        )[::-1],
        "these are the three smallest Ritz values; the largest are wanted": lambda product, q, k: _ritz(product, q, k)[
            :3
        ],
        "these are all k Ritz values; the three largest are wanted": lambda product, q, k: _ritz(product, q, k)[::-1],
        "this is one step short: k directions give k Ritz values": lambda product, q, k: _three(
            _ritz(product, q, k - 1)
        ),
        "this is one step too many: k directions give k Ritz values": lambda product, q, k: _three(
            _ritz(product, q, k + 1)
        ),
        "these are eigenvalues of the whole matrix, from n products; Ritz values are what k products give": lambda product, q, k: (
            _three(np.linalg.eigvalsh(_dense(product, len(q))))
        ),
        "these are diagonal entries of T; take the eigenvalues of all of T": lambda product, q, k: _three(
            np.sort(np.diag(_reflected(product, q, k)))
        ),
    },
)

# ------------------------------------------------------------------------------------------------ which is a gradient

_NO_GRADIENT = Exercise(
    name="no-gradient",
    task="Which of three fields is the gradient of no function?",
    truth=np.array(1),
    hints=(
        "Compute the Jacobian of each field at a random point, by md.jacobian or by differences, and look at J − Jᵀ.",
        "For two of the three J − Jᵀ is zero up to rounding. The numbers count from 0.",
    ),
    mistakes={
        "field 0 is the gradient of ½ ‖tanh(Ax)‖², and its Jacobian is symmetric": np.array(0),
        "field 2 is the gradient of log Σ exp(BAx) + ½ ‖x‖², and its Jacobian is symmetric": np.array(2),
        "the fields are numbered 0, 1 and 2": np.array(3),
    },
)

# ---------------------------------------------------------------------------------------------- a problem in a problem


def _outer(x: Array) -> Array:
    y = x**2 / 2  # where (y − x²)² / 2 + y² / 2 is least
    return np.asarray(x * y + y**2)


_OUTER_SLOPE = Exercise(
    name="outer-slope",
    task="Return the slope of F(x, y*(x)), where y* minimises G(x, y).",
    truth=lambda x: float(numeric.jacobian(_outer, x, method="complex").value),
    inputs=((1.3,), (-0.7,), (0.4,)),
    hints=(
        "First find y*: where is G_y = (y − x²) + y zero?",
        "y* = x² / 2. Differentiating G_y(x, y*(x)) = 0 by x gives G_xy + G_yy (y*)' = 0.",
        "h' = F_x + F_y (y*)' with F_x = y, F_y = x + 2y and (y*)' = x.",
    ),
    mistakes={
        "this is the formula as printed: G_y is zero at y*, so that only F_x is left. The outer slope F_y belongs there": lambda x: (
            x**2 / 2
        ),
        "the second term has the wrong sign: (y*)' = −G_xy / G_yy, and G_xy = −2x is negative": lambda x: (
            x**2 / 2 - x * (x + x**2)
        ),
        "the direct term F_x is missing; x enters F by itself too": lambda x: x * (x + x**2),
        "G_yy is 2: both squares of G contain y": lambda x: x**2 / 2 + 2 * x * (x + x**2),
        "y* is x² / 2, halfway between what the two squares of G ask for": lambda x: x**2 + 2 * x * (x + 2 * x**2),
        "F_y is x + 2y: the first term of F contains y as well": lambda x: x**2 / 2 + x * x**2,
        "F_y is x + 2y: the square of F was left out": lambda x: x**2 / 2 + x * x,
        "this is h itself; differentiate it": lambda x: x**3 / 2 + x**4 / 4,
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _QUADRATIC_HESSIAN,
    _BEST_STEP,
    _LOGISTIC_PRODUCT,
    _GAUSS_NEWTON_PRODUCT,
    _TRACE_ESTIMATE,
    _RITZ_VALUES,
    _NO_GRADIENT,
    _OUTER_SLOPE,
)
