"""Rules for the factors of a matrix: QR and singular values, and for what is made of them, such as least squares.

A factor has a derivative where it is unique up to signs; elsewhere it is refused.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import rule
from mathdl.autodiff.rules.linear_algebra import turned
from mathdl.autodiff.rules.steps import ensure
from mathdl.autodiff.trace import FRESH, apply, concrete, lift

__all__ = ["left_step", "orthogonal_step", "pseudo_inverse_step", "right_step", "values_step"]

_CLOSE = 1e-13  # relative to the largest singular value: nearer ones are taken for equal


# ---------------------------------------------------------------------------------------------------- singular values
def _thin(a: Any) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices=False)
    return u, s, turned(vh)


def distinct_singular_values(a: Any) -> Any:
    """The matrix, unless singular values are equal or zero: there they have a kink, and their vectors no limit."""
    s = np.linalg.svd(a, compute_uv=False)
    gaps = np.diff(s, axis=-1, append=0.0)
    if s.shape[-1] and np.any(np.abs(gaps) <= _CLOSE * s[..., :1]):
        raise refuse(
            np.linalg.svd,
            "two singular values coincide, or one is zero, where they have no derivative",
            "a matrix without such values",
        )
    return a


def values_step(a: Any) -> Any:
    u, s, v = _thin(a)

    def push(t: Any, lead: int) -> Any:
        return np.sum(u * (t @ v), axis=-2)

    def pull(g: Any, lead: int) -> Any:
        return (u * g[..., None, :]) @ turned(v)

    return s, [(push, pull, FRESH)]


def _inverse_gaps(s: Any) -> Any:
    gaps = np.square(s)[..., None, :] - np.square(s)[..., :, None]
    same = np.eye(s.shape[-1], dtype=bool)
    return np.where(same, 0.0, 1.0 / np.where(same, 1.0, gaps))


def _vectors(u: Any, s: Any, v: Any) -> Any:
    """The maps for the left singular vectors ``u`` of a matrix u s vᵀ."""
    inverse, s = _inverse_gaps(s), s[..., None, :]

    def push(t: Any, lead: int) -> Any:
        moved = t @ v
        p = turned(u) @ moved
        return u @ (inverse * (p * s + turned(p * s))) + (moved - u @ p) / s

    def pull(g: Any, lead: int) -> Any:
        m = turned(u) @ g
        n = inverse * m
        return (u @ ((n + turned(n)) * s) + (g - u @ m) / s) @ turned(v)

    return push, pull


def left_step(a: Any) -> Any:
    u, s, v = _thin(a)
    return u, [(*_vectors(u, s, v), FRESH)]


def right_step(a: Any) -> Any:
    u, s, v = _thin(a)
    push, pull = _vectors(v, s, u)
    return v, [(lambda t, lead: push(turned(t), lead), lambda g, lead: turned(pull(g, lead)), FRESH)]


@rule(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    a = ensure(distinct_singular_values, lift(a))
    if not compute_uv:
        return apply(values_step, (a,))
    if full_matrices and a.shape[-1] != a.shape[-2]:
        raise refuse(np.linalg.svd, "the vectors beyond the singular ones are arbitrary", "full_matrices=False")
    kind = type(np.linalg.svd(np.eye(1)))
    return kind(apply(left_step, (a,)), apply(values_step, (a,)), turned(apply(right_step, (a,))))


if hasattr(np.linalg, "svdvals"):

    @rule(np.linalg.svdvals)
    def svdvals(x: Any) -> Any:
        return np.linalg.svd(x, compute_uv=False)


@rule(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    x = lift(x)
    if p in (None, 2, -2):
        s = np.linalg.svd(x, compute_uv=False)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    axes = (x.ndim - 2, x.ndim - 1)
    return np.linalg.norm(x, p, axis=axes) * np.linalg.norm(np.linalg.inv(x), p, axis=axes)


# ------------------------------------------------------------------------------------------- pseudo-inverse and systems
def full_rank(a: Any) -> Any:
    """The matrix, unless its rank is not full: there its pseudo-inverse jumps, and its factors are not unique."""
    if np.any(np.linalg.matrix_rank(a) < min(a.shape[-2:])):
        raise refuse("a matrix without full rank", "its pseudo-inverse and factors have no derivative", "full rank")
    return a


def pseudo_inverse_step(a: Any) -> Any:
    y = np.linalg.pinv(a)
    z = turned(y)
    beside, below = np.eye(a.shape[-2], dtype=a.dtype) - a @ y, np.eye(a.shape[-1], dtype=a.dtype) - y @ a
    rows, columns = y @ z, z @ y

    def push(t: Any, lead: int) -> Any:
        return rows @ turned(t) @ beside + below @ turned(t) @ columns - y @ t @ y

    def pull(g: Any, lead: int) -> Any:
        return beside @ turned(g) @ rows + columns @ turned(g) @ below - z @ g @ z

    return y, [(push, pull, FRESH)]


@rule(np.linalg.pinv)
def pinv(a: Any) -> Any:
    a = ensure(full_rank, lift(a))
    return apply(pseudo_inverse_step, (a,))


@rule(np.linalg.lstsq)
def lstsq(a: Any, b: Any) -> Any:
    a, b = ensure(full_rank, lift(a)), lift(b)
    plain = np.linalg.lstsq(concrete(a), concrete(b))
    x = np.linalg.pinv(a) @ b
    left = np.atleast_1d(np.sum(np.square(b - a @ x), axis=0)) if plain[1].size else plain[1]
    return x, left, plain[2], np.linalg.svd(a, compute_uv=False)


@rule(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    a = lift(a)
    inverse = np.linalg.inv(np.reshape(a, (math.prod(a.shape[:ind]), -1)))
    return np.reshape(inverse, a.shape[ind:] + a.shape[:ind])


@rule(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any) -> Any:
    a, b = lift(a), lift(b)
    shape = a.shape[np.ndim(b) :]
    return np.reshape(np.linalg.solve(np.reshape(a, (math.prod(np.shape(b)), math.prod(shape))), np.ravel(b)), shape)


# ------------------------------------------------------------------------------------------------------------------- QR
def orthogonal_step(a: Any) -> Any:
    q, r = np.linalg.qr(a)
    back = np.linalg.inv(r)
    below = np.tri(r.shape[-1], k=-1, dtype=r.dtype)

    def push(t: Any, lead: int) -> Any:
        moved = t @ back
        c = turned(q) @ moved
        return q @ (below * c - turned(below * c) - c) + moved

    def pull(g: Any, lead: int) -> Any:
        h = turned(q) @ g
        return (g + q @ (below * (h - turned(h)) - h)) @ turned(back)

    return q, [(push, pull, FRESH)]


@rule(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    a = lift(a)
    rows, columns = a.shape[-2:]
    if mode not in ("reduced", "complete", "r") or (mode == "complete" and rows > columns):
        raise refuse(np.linalg.qr, f"mode={mode!r} has no derivative rule", 'mode="reduced"')
    square = ensure(full_rank, a if rows >= columns else a[..., :rows])
    q = apply(orthogonal_step, (square,))
    r = np.triu(turned(q) @ a)
    return r if mode == "r" else type(np.linalg.qr(np.eye(1)))(q, r)
