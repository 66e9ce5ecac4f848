"""Rules for products of arrays: matmul in all its shapes, einsum, and what is made of them.

Directions on a leading axis are folded into one matrix product wherever a factor has no axes of its own to batch over.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mathdl.autodiff.broadcasting import Identity, expand, unbroadcast
from mathdl.autodiff.followed import is_sparse
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.primitives import rule
from mathdl.autodiff.recording import run, sparse_product
from mathdl.autodiff.rules.steps import normal_axes, positions
from mathdl.autodiff.trace import FRESH, KNOWS_IDENTITY, VIEW, Traced, apply, lift

__all__ = ["einsum_step", "matmul_step", "sparse_product_step"]


# -------------------------------------------------------------------------------------------------------------- matmul
@rule(np.matmul)
def matmul(x1: Any, x2: Any) -> Any:
    if is_sparse(x1):
        x2 = lift(x2)
        return apply(sparse_product_step, (x2,), _kept(x1, x2))
    if is_sparse(x2):
        x1 = lift(x1)
        return np.transpose(apply(sparse_product_step, (np.transpose(x1),), _kept(x2.T, x1)))
    return apply(matmul_step, (lift(x1), lift(x2)))


def _kept(matrix: Any, x: Any) -> Any:
    """A sparse matrix, safe from being written into until no trace of ``x`` needs it any more."""
    while isinstance(x, Traced):
        matrix, x = x.origin.keep(matrix), x.value
    return matrix


def matmul_step(a: Any, b: Any) -> Any:
    y = np.matmul(a, b)
    if a.ndim == 2 and b.ndim == 2:
        return y, (_matrix_left(b), _matrix_right(a))
    if (a.ndim <= 2 and b.ndim == 1) or (a.ndim == 1 and b.ndim == 2):
        return y, (_vector_left(a.shape, b), _vector_right(a, b.shape))
    return y, (_left(a.shape, b, y.ndim), _right(a, b.shape, y.ndim))


def sparse_product_step(x: Any, matrix: Any) -> Any:
    """A sparse matrix times a vector or a matrix; the sparse one is constant."""

    def times(factor: Any, t: Any, lead: int) -> Any:
        t = np.moveaxis(t, 0, -1) if lead else t
        rest = t.shape[1:]
        y = np.reshape(t, (t.shape[0], math.prod(rest))) if len(rest) > 1 else t
        y = apply(sparse_product_step, (y,), factor) if isinstance(y, Traced) else run(sparse_product, factor, y)
        y = np.reshape(y, (y.shape[0], *rest)) if len(rest) > 1 else y
        return np.moveaxis(y, -1, 0) if lead else y

    return times(matrix, x, 0), [
        (lambda t, lead: times(matrix, t, lead), lambda g, lead: times(matrix.T, g, lead), FRESH)
    ]


def _matrix_left(b: Any) -> Any:
    return lambda t, lead: _times(t, b), lambda g, lead: _times(g, b.T), FRESH


def _matrix_right(a: Any) -> Any:
    return lambda t, lead: np.matmul(a, t), lambda g, lead: np.matmul(a.T, g), FRESH


def _vector_left(own: tuple[int, ...], b: Any) -> Any:
    """For the left factor, when one of the two is a vector and the other a vector or a matrix."""
    if b.ndim == 2:  # a vector times a matrix

        def push(t: Any, lead: int) -> Any:
            return b if type(t) is Identity else np.matmul(t, b)

        def pull(g: Any, lead: int) -> Any:
            return b.T if type(g) is Identity else np.matmul(g, b.T)

        return push, pull, KNOWS_IDENTITY
    return (
        lambda t, lead: np.matmul(t, b),
        lambda g, lead: g[..., None] * b if len(own) == 2 or lead else g * b,
        FRESH,
    )


def _vector_right(a: Any, own: tuple[int, ...]) -> Any:
    """For the right factor, when one of the two is a vector and the other a vector or a matrix."""
    if a.ndim == 2:  # a matrix times a vector

        def push(t: Any, lead: int) -> Any:
            return a.T if type(t) is Identity else np.matmul(t, a.T)

        def pull(g: Any, lead: int) -> Any:
            return a if type(g) is Identity else np.matmul(g, a)

        return push, pull, KNOWS_IDENTITY
    if len(own) == 2:
        return (
            lambda t, lead: np.matmul(a, t),
            lambda g, lead: a[:, None] * g[..., None, :],
            FRESH,
        )
    return lambda t, lead: np.matmul(t, a), lambda g, lead: g[..., None] * a if lead else g * a, FRESH


def _matrix(x: Any, own: tuple[int, ...], place: int) -> Any:
    """As a matrix, with an axis of length one where a vector lacks it."""
    return np.expand_dims(x, place) if len(own) == 1 else x


def _rows(x: Any) -> Any:
    return np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _times(x: Any, y: Any) -> Any:
    """x @ y, as one product of matrices when y is one."""
    if y.ndim == 2 and x.ndim > 2:
        return np.reshape(np.matmul(_rows(x), y), (*x.shape[:-1], y.shape[-1]))
    return np.matmul(x, y)


def _left(own: tuple[int, ...], b: Any, ndim: int) -> Any:
    row, column = len(own) == 1, b.ndim == 1
    full = ndim + row + column  # axes of the result, before vectors lose theirs

    def push(t: Any, lead: int) -> Any:
        t = expand(_matrix(t, own, -2), full, lead)
        d = _times(t, _matrix(b, b.shape, -1))
        return _without(d, row, column)

    def pull(g: Any, lead: int) -> Any:
        g = _with(g, row, column)
        h = _times(g, np.swapaxes(_matrix(b, b.shape, -1), -1, -2))
        return np.reshape(unbroadcast(h, (1, *own) if row else own, lead), g.shape[:lead] + own)

    return push, pull, FRESH


def _right(a: Any, own: tuple[int, ...], ndim: int) -> Any:
    row, column = a.ndim == 1, len(own) == 1
    full = ndim + row + column

    def push(t: Any, lead: int) -> Any:
        t = expand(_matrix(t, own, -1), full, lead)
        return _without(np.matmul(_matrix(a, a.shape, -2), t), row, column)

    def pull(g: Any, lead: int) -> Any:
        g = _with(g, row, column)
        left = _matrix(a, a.shape, -2)
        if not lead and len(own) <= 2 and left.ndim > 2:  # one weight for the whole batch: one product
            batch = np.broadcast_to(left, g.shape[:-1] + left.shape[-1:])
            h = np.matmul(np.transpose(_rows(batch)), _rows(g))
            return np.reshape(h, own)
        h = np.matmul(np.swapaxes(left, -1, -2), g)
        return np.reshape(unbroadcast(h, (*own, 1) if column else own, lead), g.shape[:lead] + own)

    return push, pull, FRESH


def _with(g: Any, row: bool, column: bool) -> Any:
    g = np.expand_dims(g, -1) if column else g
    return np.expand_dims(g, -2) if row else g


def _without(d: Any, row: bool, column: bool) -> Any:
    d = np.squeeze(d, -1) if column else d
    return np.squeeze(d, -1 if column else -2) if row else d


# ----------------------------------------------------------------------------------------- products made of these
@rule(np.dot)
def dot(a: Any, b: Any) -> Any:
    a, b = lift(a), lift(b)
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(a) <= 2 and np.ndim(b) <= 2:
        return np.matmul(a, b)
    return np.tensordot(a, b, (-1, -2 if np.ndim(b) > 1 else 0))


@rule(np.inner)
def inner(a: Any, b: Any) -> Any:
    a, b = lift(a), lift(b)
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else np.tensordot(a, b, (-1, -1))


@rule(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    return np.matmul(np.ravel(lift(a)), np.ravel(lift(b)))


@rule(np.outer, np.linalg.outer)
def outer(a: Any, b: Any) -> Any:
    return np.ravel(lift(a))[:, None] * np.ravel(lift(b))[None, :]


if hasattr(np, "vecdot"):

    @rule(np.vecdot, np.linalg.vecdot)
    def vecdot(x1: Any, x2: Any, axis: int = -1) -> Any:
        a, b = lift(x1), lift(x2)
        if np.shape(a)[axis] != np.shape(b)[axis]:
            raise ValueError(f"vecdot: axis {axis} has lengths {np.shape(a)[axis]} and {np.shape(b)[axis]}")
        return np.sum(np.moveaxis(a, axis, -1) * np.moveaxis(b, axis, -1), axis=-1)


if hasattr(np, "matvec"):

    @rule(np.matvec)
    def matvec(x1: Any, x2: Any) -> Any:
        return np.matmul(lift(x1), lift(x2)[..., None])[..., 0]

    @rule(np.vecmat)
    def vecmat(x1: Any, x2: Any) -> Any:
        return np.matmul(lift(x1)[..., None, :], lift(x2))[..., 0, :]


@rule(np.linalg.matmul)
def linalg_matmul(x1: Any, x2: Any) -> Any:
    return np.matmul(x1, x2)


@rule(np.tensordot, np.linalg.tensordot)
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = lift(a), lift(b)
    if np.ndim(axes) == 0 and not isinstance(axes, (list, tuple)):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    of_a, of_b = (
        normal_axes(list(k) if isinstance(k, (range, list, tuple)) else int(k), x.ndim)
        for k, x in zip(axes, (a, b), strict=True)
    )
    rest_a = tuple(k for k in range(a.ndim) if k not in of_a)
    rest_b = tuple(k for k in range(b.ndim) if k not in of_b)
    if [a.shape[k] for k in of_a] != [b.shape[k] for k in of_b]:
        raise ValueError("shape-mismatch for sum")
    summed = math.prod([a.shape[k] for k in of_a])
    shape_a, shape_b = tuple(a.shape[k] for k in rest_a), tuple(b.shape[k] for k in rest_b)
    left = np.reshape(np.transpose(a, (*rest_a, *of_a)), (math.prod(shape_a), summed))
    right = np.reshape(np.transpose(b, (*of_b, *rest_b)), (summed, math.prod(shape_b)))
    return np.reshape(np.matmul(left, right), shape_a + shape_b)


@rule(np.kron)
def kron(a: Any, b: Any) -> Any:
    a, b = lift(a), lift(b)
    ndim = max(np.ndim(a), np.ndim(b))
    one, two = (np.reshape(x, (1,) * (ndim - np.ndim(x)) + np.shape(x)) for x in (a, b))
    apart = np.reshape(one, [n for m in one.shape for n in (m, 1)]) * np.reshape(
        two, [n for m in two.shape for n in (1, m)]
    )
    return np.reshape(apart, tuple(m * n for m, n in zip(one.shape, two.shape, strict=True)))


@rule(np.cross, np.linalg.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    one, two = np.moveaxis(lift(a), axisa, -1), np.moveaxis(lift(b), axisb, -1)
    if one.shape[-1] != 3 or two.shape[-1] != 3:
        raise refuse(np.cross, "vectors of length 2 have no derivative rule", "vectors of length 3")
    (a1, a2, a3), (b1, b2, b3) = ([x[..., k] for k in range(3)] for x in (one, two))
    return np.stack([a2 * b3 - a3 * b2, a3 * b1 - a1 * b3, a1 * b2 - a2 * b1], axisc)


@rule(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Any:
    a, v = np.atleast_1d(lift(a)), np.atleast_1d(lift(v))
    if np.size(v) > np.size(a):
        a, v = v, a
    n, m = np.size(a), np.size(v)
    # Each row is a window of a, padded with zeros; the kernel runs backwards over it.
    begin, length = {"full": (0, n + m - 1), "same": ((m - 1) // 2, n), "valid": (m - 1, n - m + 1)}[
        {0: "valid", 1: "same", 2: "full"}.get(mode, mode)  # type: ignore[call-overload]
    ]
    windows = np.pad(a, m - 1)[np.arange(begin, begin + length)[:, None] + np.arange(m)]
    return np.matmul(windows, np.flip(v))


@rule(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    p, x = lift(p), lift(x)
    y = np.zeros(np.shape(x))
    for k in range(len(p)):
        y = y * x + p[k]
    return y


# -------------------------------------------------------------------------------------------------------------- einsum
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@rule(np.einsum)
def einsum(*operands: Any, optimize: Any = False) -> Any:
    if operands and not isinstance(operands[0], str):
        operands = _with_letters(operands)
    arrays = [lift(x) for x in operands[1:]]
    arrays = [x if hasattr(x, "ndim") else np.asarray(x) for x in arrays]
    terms, result = _explicit(operands[0], [x.ndim for x in arrays])
    if len(terms) != len(arrays):
        raise ValueError(f"einsum: {len(terms)} terms for {len(arrays)} operands")
    lengths: dict[str, int] = {}
    for term, x in zip(terms, arrays, strict=True):
        for letter, n in zip(term, x.shape, strict=True):
            if lengths.setdefault(letter, n) != n and 1 not in (n, lengths[letter]):
                raise ValueError(f"einsum: index {letter} has lengths {lengths[letter]} and {n}")
            lengths[letter] = max(n, lengths[letter]) if n else n
    for k, x in enumerate(arrays):
        terms[k], arrays[k] = _simplified(k, terms, x, result, lengths)
    return apply(einsum_step, arrays, tuple(terms), result, optimize)


def _with_letters(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` as ``einsum("ab,bc->ac", a, b)``."""
    arrays, lists = operands[0 : len(operands) // 2 * 2 : 2], operands[1::2]
    terms = ["".join("..." if k is Ellipsis else _LETTERS[k] for k in term) for term in lists]
    result = "" if len(operands) % 2 == 0 else "->" + _with_letters((None, operands[-1]))[0]
    return (",".join(terms) + result, *arrays)


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """Each operand's letters and the result's, without ellipses and with the arrow."""
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    counts = [ndim - len(term.replace("...", "")) for term, ndim in zip(terms, ndims, strict=False)]
    free = [letter for letter in _LETTERS if letter not in subscripts]
    rest = "".join(free[: max([n for n, term in zip(counts, terms, strict=False) if "..." in term], default=0)])
    terms = [term.replace("...", rest[len(rest) - n :]) for term, n in zip(terms, counts, strict=False)]
    if not arrow:
        together = "".join(terms)
        result = rest + "".join(sorted(letter for letter in set(together) - set(rest) if together.count(letter) == 1))
    return terms, result.replace("...", rest)


def _simplified(k: int, terms: list[str], x: Any, result: str, lengths: dict[str, int]) -> tuple[str, Any]:
    """Operand k with each letter once, at full length, and none that stands nowhere else."""
    term = terms[k]
    once = "".join(dict.fromkeys(term))
    if once != term:
        before = term
        x = positions(x, lambda numbers: np.einsum(f"{before}->{once}", numbers))
        term = once
    elsewhere = result + "".join(terms[:k] + terms[k + 1 :])
    alone = tuple(axis for axis, letter in enumerate(term) if letter not in elsewhere)
    if alone:
        x = np.sum(x, axis=alone)
        term = "".join(letter for letter in term if letter in elsewhere)
    full = tuple(lengths[letter] for letter in term)
    return term, x if x.shape == full else np.broadcast_to(x, full)


def einsum_step(*arrays_and_how: Any) -> Any:
    *arrays, terms, result, optimize = arrays_and_how
    y = np.einsum(f"{','.join(terms)}->{result}", *arrays, optimize=optimize)
    spare = next(letter for letter in _LETTERS if letter not in "".join(terms) + result)

    def maps(k: int) -> Any:
        others = [(terms[j], x) for j, x in enumerate(arrays) if j != k]

        def product(source: str, target: str) -> Any:
            def multiply(t: Any, lead: int) -> Any:
                head = spare * lead
                names = ",".join([head + source, *(term for term, _ in others)])
                return np.einsum(f"{names}->{head}{target}", t, *(x for _, x in others), optimize=True)

            return multiply

        return product(terms[k], result), product(result, terms[k]), VIEW

    return y, [maps(k) for k in range(len(arrays))]
