"""Rules for numpy.linalg: inverses, systems, determinants, factors, norms.

A function that reads one triangle of its matrix, as cholesky and eigh do, is differentiated as just that function.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mathdl.autodiff.broadcasting import expand, unbroadcast
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import rule
from mathdl.autodiff.recording import run
from mathdl.autodiff.rules.reductions import root
from mathdl.autodiff.rules.steps import normal_axes
from mathdl.autodiff.trace import FRESH, Traced, apply, concrete, lift

__all__ = [
    "cholesky_step",
    "det_step",
    "eigenvalue_step",
    "eigenvector_step",
    "inverse_step",
    "log_det_step",
    "solve_step",
    "turned",
]


def turned(x: Any) -> Any:
    """The transpose of each matrix."""
    return np.swapaxes(x, -1, -2)


# ----------------------------------------------------------------------------------------------- inverses, systems
def inverse_step(a: Any) -> Any:
    y = np.linalg.inv(a)
    z = turned(y)
    return y, [(lambda t, lead: -(y @ t @ y), lambda g, lead: -(z @ g @ z), FRESH)]


@rule(np.linalg.inv)
def inv(a: Any) -> Any:
    return apply(inverse_step, (lift(a),))


def solve_step(a: Any, b: Any) -> Any:
    y = np.linalg.solve(a, b)
    own_a, own_b = a.shape, b.shape

    def push_a(t: Any, lead: int) -> Any:
        return -np.linalg.solve(a, expand(t, y.ndim, lead) @ y)

    def pull_a(g: Any, lead: int) -> Any:
        return unbroadcast(-(np.linalg.solve(turned(a), g) @ turned(y)), own_a, lead)

    def push_b(t: Any, lead: int) -> Any:
        d = np.linalg.solve(a, expand(t, y.ndim, lead))
        return d if d.shape[lead:] == y.shape else np.broadcast_to(d, d.shape[:lead] + y.shape)

    def pull_b(g: Any, lead: int) -> Any:
        return unbroadcast(np.linalg.solve(turned(a), g), own_b, lead)

    return y, [(push_a, pull_a, FRESH), (push_b, pull_b, FRESH)]


@rule(np.linalg.solve)
def solve(a: Any, b: Any) -> Any:
    a, b = lift(a), lift(b)
    if np.ndim(b) == 1:
        return apply(solve_step, (a, np.expand_dims(b, -1)))[..., 0]
    return apply(solve_step, (a, b))


@rule(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    if n < 0:
        a, n = np.linalg.inv(a), -n
    y = np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape)
    while n:
        y = y @ a if n % 2 else y
        n //= 2
        a = a @ a if n else a
    return y


@rule(np.linalg.multi_dot)
def multi_dot(arrays: Any) -> Any:
    y = lift(arrays[0])
    for x in arrays[1:]:
        y = np.matmul(y, lift(x))
    return y


# ------------------------------------------------------------------------------------------------------- determinants
def _inverse_or_refuse(a: Any, function: Any) -> Any:
    try:
        return np.linalg.inv(a)
    except np.linalg.LinAlgError as error:
        raise refuse(function, "its rule divides by the determinant, which is zero", "an invertible matrix") from error


def det_step(a: Any) -> Any:
    y = np.linalg.det(a)
    z = turned(_inverse_or_refuse(a, np.linalg.det)) * np.expand_dims(y, (-2, -1))
    return y, [(lambda t, lead: np.sum(t * z, axis=(-2, -1)), lambda g, lead: np.expand_dims(g, (-2, -1)) * z, FRESH)]


@rule(np.linalg.det)
def det(a: Any) -> Any:
    return apply(det_step, (lift(a),))


def log_det_step(a: Any) -> Any:
    y = np.linalg.slogdet(a)[1]
    z = turned(_inverse_or_refuse(a, np.linalg.slogdet))
    return y, [(lambda t, lead: np.sum(t * z, axis=(-2, -1)), lambda g, lead: np.expand_dims(g, (-2, -1)) * z, FRESH)]


@rule(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    sign, _ = plain = np.linalg.slogdet(concrete(a))
    return type(plain)(sign, apply(log_det_step, (lift(a),)))


# -------------------------------------------------------------------------------------------------------------- factors
def _symmetric(a: Any, upper: bool) -> Any:
    """The symmetric matrix that has one triangle of ``a``: all that the function reads."""
    half, strict = (np.triu(a), np.triu(a, 1)) if upper else (np.tril(a), np.tril(a, -1))
    return half + turned(strict)


def cholesky_step(a: Any) -> Any:
    low = np.linalg.cholesky(a)
    below = np.tril(np.ones(low.shape[-2:], low.dtype)) - 0.5 * np.eye(low.shape[-1], dtype=low.dtype)
    back = np.linalg.inv(low)

    def push(t: Any, lead: int) -> Any:
        return low @ (below * (back @ t @ turned(back)))

    def pull(g: Any, lead: int) -> Any:
        return turned(back) @ (below * (turned(low) @ g)) @ back

    return low, [(push, pull, FRESH)]


@rule(np.linalg.cholesky)
def cholesky(a: Any, upper: bool = False) -> Any:
    low = apply(cholesky_step, (_symmetric(lift(a), upper),))
    return turned(low) if upper else low


def eigenvalue_step(a: Any, UPLO: str) -> Any:
    # Which triangle is read decides on the signs of the vectors.
    w, v = np.linalg.eigh(a, UPLO)  # type: ignore[call-overload]
    w = _checked(w)

    def push(t: Any, lead: int) -> Any:
        return np.sum(v * (t @ v), axis=-2)

    def pull(g: Any, lead: int) -> Any:
        return (v * g[..., None, :]) @ turned(v)

    return w, [(push, pull, FRESH)]


def eigenvector_step(a: Any, UPLO: str) -> Any:
    w, v = np.linalg.eigh(a, UPLO)  # type: ignore[call-overload]
    w = _checked(w)
    gaps = w[..., None, :] - w[..., :, None]
    same = np.eye(v.shape[-1], dtype=bool)
    inverse = np.where(same, 0.0, 1.0 / np.where(same, 1.0, gaps))

    def push(t: Any, lead: int) -> Any:
        return v @ (inverse * (turned(v) @ t @ v))

    def pull(g: Any, lead: int) -> Any:
        return v @ (inverse * (turned(v) @ g)) @ turned(v)

    return v, [(push, pull, FRESH)]


def _checked(w: Any) -> Any:
    return w if isinstance(w, Traced) else run(distinct, w)


def distinct(w: Any) -> Any:
    """Eigenvalues that all differ, or an error: equal ones have a kink, and their eigenvectors no limit."""
    if w.shape[-1] > 1 and np.any(np.diff(w, axis=-1) <= 1e-13 * np.max(np.abs(w), axis=-1, keepdims=True)):
        raise refuse(
            np.linalg.eigh, "two eigenvalues coincide, where they have no derivative", "a matrix without equal ones"
        )
    return w


@rule(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    a = _symmetric(lift(a), UPLO.upper() == "U")
    return apply(eigenvalue_step, (a,), UPLO)


@rule(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    a = _symmetric(lift(a), UPLO.upper() == "U")
    kind = type(np.linalg.eigh(np.eye(1)))
    return kind(apply(eigenvalue_step, (a,), UPLO), apply(eigenvector_step, (a,), UPLO))


# --------------------------------------------------------------------------------------------------------------- norms
def _root_of_squares(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return root(np.sum(np.square(x), axis=axes, keepdims=keepdims))


def _vector_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order is None or order == 2:
        return _root_of_squares(x, axes, keepdims)
    if order == np.inf:
        return np.max(np.abs(x), axis=axes, keepdims=keepdims)
    if order == -np.inf:
        return np.min(np.abs(x), axis=axes, keepdims=keepdims)
    if order == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    if isinstance(order, str) or order == 0 or order < 1:
        raise refuse(
            np.linalg.norm, f"ord={order!r} has no derivative rule here", "ord=1, 2, np.inf, or another above 1"
        )
    total = np.sum(np.abs(x) ** order, axis=axes, keepdims=keepdims)
    zero = concrete(total) == 0
    return np.where(zero, 0.0, np.where(zero, 1.0, total) ** (1.0 / order))


def _matrix_norm(x: Any, order: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if order in (None, "fro", "f"):
        return _root_of_squares(x, axes, keepdims)
    if order in ("nuc", 2, -2):
        s = np.linalg.svd(np.moveaxis(x, axes, (-2, -1)), compute_uv=False)
        y = np.sum(s, axis=-1) if order == "nuc" else s[..., 0 if order == 2 else -1]
        return np.expand_dims(y, axes) if keepdims else y
    if order not in (1, -1, np.inf, -np.inf):
        raise refuse(np.linalg.norm, f"the matrix norm ord={order!r} has no derivative rule", 'ord="fro", 1, 2, "nuc"')
    along, over = axes if abs(order) == 1 else axes[::-1]
    extreme = np.max if order > 0 else np.min
    return _reduced(extreme(np.sum(np.abs(x), axis=along, keepdims=True), axis=over, keepdims=True), axes, keepdims)


def _reduced(y: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    return y if keepdims else np.squeeze(y, axes)


@rule(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    x = lift(x)
    axes = normal_axes(axis, x.ndim)
    if axis is None and ord is not None and x.ndim > 2:
        raise ValueError("Improper number of dimensions to norm.")
    if (axis is None and ord is None) or len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    return _matrix_norm(x, ord, axes, keepdims)


if hasattr(np.linalg, "vector_norm"):

    @rule(np.linalg.vector_norm)
    def vector_norm(x: Any, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
        x = lift(x)
        return _vector_norm(x, ord, normal_axes(axis, x.ndim), keepdims)

    @rule(np.linalg.matrix_norm)
    def matrix_norm(x: Any, keepdims: bool = False, ord: Any = "fro") -> Any:
        x = lift(x)
        return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)
