"""What is measured of sparse derivatives: programs of many unknowns, with the entries of their Jacobians by hand.

A program takes one vector. Its floor computes the entries and nothing else; "by hand" also puts them into a matrix.
The structures are those of the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks.workloads import Case, Workload

__all__ = ["SPARSE", "bratu", "brusselator", "brusselator_case", "ladder"]

ALL = ("mathdl.sparse", "asdex", "sparsejac", "scipy, groups")
FEW = ("mathdl.sparse", "asdex", "scipy, groups")  # sparsejac has no Hessians, and compares all pairs of rows
Entries = Callable[[Any], Sequence[Any]]  # x -> for each piece of the Jacobian its entries, or the one number they are
Piece = tuple[Any, Any]  # rows and columns of the entries of a piece


def _case(
    program: Any, x: Any, shape: tuple[int, int], pieces: Sequence[Piece], entries: Entries, gradient: Any = None
) -> Case:
    """The Jacobian by hand: where its entries stand is found once, and then only their values are computed."""
    sizes = [rows.size for rows, _ in pieces]
    ends = np.cumsum([0, *sizes])
    rows, columns = (np.concatenate([piece[k].ravel() for piece in pieces]) for k in (0, 1))
    order = sparse.csr_array((np.arange(1, rows.size + 1), (rows, columns)), shape)
    if order.nnz != rows.size:
        raise ValueError("an entry is named twice")
    order.sort_indices()
    gather, indices, indptr = order.data - 1, order.indices, order.indptr

    def hand(x: Any) -> Any:
        values = np.empty(ends[-1])
        for a, b, piece in zip(ends[:-1], ends[1:], entries(x), strict=True):
            values[a:b] = piece
        return sparse.csr_array((values[gather], indices, indptr), shape)

    pattern = sparse.csr_array((np.ones(rows.size, bool), indices, indptr), shape)
    return Case(program, (x,), hand, lambda: entries(x), pattern, gradient)


# -------------------------------------------------------------------------------------------- differential equations
def brusselator(np: Any) -> Any:
    """The right-hand side of the Brusselator with diffusion in one dimension; u and v one after the other."""

    def f(x: Any) -> Any:
        m = x.shape[0] // 2
        u, v = x[:m], x[m:]
        k = (m + 1) ** 2 / 50
        U = np.concatenate([np.array([1.0]), u, np.array([1.0])])
        V = np.concatenate([np.array([3.0]), v, np.array([3.0])])
        r = u * u * v
        return np.concatenate(
            [1.0 + r - 4.0 * u + k * (U[:-2] - 2.0 * u + U[2:]), 3.0 * u - r + k * (V[:-2] - 2.0 * v + V[2:])]
        )

    return f


def brusselator_case(n: int) -> Case:
    m = n // 2
    k = (m + 1) ** 2 / 50
    i = np.arange(m)
    beside = [(i[1:], i[:-1]), (i[:-1], i[1:])]
    pieces = [(i, i), *beside, (i, i + m), (i + m, i), (i + m, i + m), *((a + m, b + m) for a, b in beside)]

    def entries(x: Any) -> list[Any]:
        u, v = x[:m], x[m:]
        uv, uu = 2 * u * v, u * u
        return [uv - (4 + 2 * k), k, k, uu, 3 - uv, -2 * k - uu, k, k]

    return _case(brusselator, 1 + np.random.default_rng(0).random(n), (n, n), pieces, entries)


def _neighbours(m: int) -> list[Piece]:
    """Of each point of a periodic m×m grid, the four beside it."""
    at = np.arange(m * m).reshape(m, m)
    return [(at.ravel(), np.roll(at, step, axis).ravel()) for axis in (0, 1) for step in (1, -1)]


def _gray_scott(m: int) -> Case:
    n, a, b, feed, kill = m * m, 0.16, 0.08, 0.035, 0.065

    def program(np: Any) -> Any:
        def laplacian(u: Any) -> Any:
            return np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4.0 * u

        def f(x: Any) -> Any:
            u, v = x[:n].reshape(m, m), x[n:].reshape(m, m)
            r = u * v**2
            du = a * laplacian(u) - r + feed * (1.0 - u)
            dv = b * laplacian(v) + r - (feed + kill) * v
            return np.concatenate([du.reshape(-1), dv.reshape(-1)])

        return f

    i, beside = np.arange(n), _neighbours(m)
    pieces = [(i, i), (i, i + n), (i + n, i), (i + n, i + n), *beside, *((r + n, c + n) for r, c in beside)]

    def entries(x: Any) -> list[Any]:
        u, v = x[:n], x[n:]
        vv, uv = v * v, 2 * u * v
        return [-(4 * a + feed) - vv, -uv, vv, uv - (4 * b + feed + kill), a, a, a, a, b, b, b, b]

    return _case(program, np.random.default_rng(0).random(2 * n), (2 * n, 2 * n), pieces, entries)


def bratu(m: int) -> Case:
    n, h = m * m, 1 / (m + 1)

    def program(np: Any) -> Any:
        def f(x: Any) -> Any:
            u = x.reshape(m, m)
            U = np.pad(u, 1)
            around = U[2:, 1:-1] + U[:-2, 1:-1] + U[1:-1, 2:] + U[1:-1, :-2]
            return (around - 4.0 * u + 6.0 * h * h * np.exp(u)).reshape(-1)

        return f

    at = np.arange(n).reshape(m, m)
    pairs = [(at[1:], at[:-1]), (at[:, 1:], at[:, :-1])]
    pieces = [(at, at), *pairs, *((c, r) for r, c in pairs)]

    def entries(x: Any) -> list[Any]:
        return [6 * h * h * np.exp(x) - 4, 1.0, 1.0, 1.0, 1.0]

    return _case(program, np.random.default_rng(0).random(n), (n, n), pieces, entries)


def ladder(m: int) -> Case:
    """A ladder of m capacitors and diodes: currents are given by equations without a derivative in time."""
    step, leak, thermal, R, cubic = 1e-2, 1e-3, 0.5, 1.0, 0.3
    before = np.linspace(1.0, 0.0, m)

    def program(np: Any) -> Any:
        def f(x: Any) -> Any:
            v, i = x[:m], x[m:]
            out = np.concatenate([i[1:], np.array([0.0])])
            left = np.concatenate([np.array([1.0]), v[:-1]])
            charge = (v - before) / step - (i - out) + leak * (np.exp(v / thermal) - 1.0)
            return np.concatenate([charge, R * i + cubic * i**3 - (left - v)])

        return f

    k = np.arange(m)
    pieces = [(k, k), (k, k + m), (k[:-1], k[1:] + m), (k + m, k + m), (k + m, k), (k[1:] + m, k[:-1])]

    def entries(x: Any) -> list[Any]:
        v, i = x[:m], x[m:]
        return [1 / step + leak / thermal * np.exp(v / thermal), -1.0, 1.0, R + 3 * cubic * i * i, 1.0, -1.0]

    return _case(program, np.random.default_rng(0).random(2 * m), (2 * m, 2 * m), pieces, entries)


# ------------------------------------------------------------------------------------------------------------ learning
def _blocks(count: int, rows: int, columns: int) -> list[Piece]:
    """Every entry of `count` blocks on the diagonal, in C order."""
    b, i, j = np.ogrid[:count, :rows, :columns]
    return [tuple(np.broadcast_to(index, (count, rows, columns)) for index in (b * rows + i, b * columns + j))]  # type: ignore[list-item]


def _softmaxes(count: int) -> Case:
    n = 10 * count

    def program(np: Any) -> Any:
        def f(x: Any) -> Any:
            z = x.reshape(count, 10)
            e = np.exp(z - np.max(z, axis=1, keepdims=True))
            return (e / np.sum(e, axis=1, keepdims=True)).reshape(-1)

        return f

    def entries(x: Any) -> list[Any]:
        z = x.reshape(count, 10)
        s = np.exp(z - z.max(1, keepdims=True))
        s /= s.sum(1, keepdims=True)
        J = -s[:, :, None] * s[:, None, :]
        J[:, np.arange(10), np.arange(10)] += s
        return [J.ravel()]

    return _case(program, np.random.default_rng(0).normal(size=n), (n, n), _blocks(count, 10, 10), entries)


def _networks(count: int) -> Case:
    """The same small net 10-16-10 for each example of a batch."""
    rng = np.random.default_rng(0)
    A, B, a, b = rng.normal(size=(10, 16)) / 4, rng.normal(size=(16, 10)) / 4, rng.normal(size=16), rng.normal(size=10)
    n = 10 * count

    def program(np: Any) -> Any:
        return lambda x: (np.tanh(x.reshape(count, 10) @ A + a) @ B + b).reshape(-1)

    def entries(x: Any) -> list[Any]:
        h = np.tanh(x.reshape(count, 10) @ A + a)
        return [((B.T * (1 - h * h)[:, None, :]) @ A.T).ravel()]

    return _case(program, rng.normal(size=n), (n, n), _blocks(count, 10, 10), entries)


def _convolution_1d(n: int) -> Case:
    kernel = [0.1, -0.4, 0.9, 0.3, -0.2]
    m = n - len(kernel) + 1

    def program(np: Any) -> Any:
        return lambda x: np.tanh(sum(w * x[k : m + k] for k, w in enumerate(kernel)))

    i = np.arange(m)

    def entries(x: Any) -> list[Any]:
        d = 1 - np.tanh(sum(w * x[k : m + k] for k, w in enumerate(kernel))) ** 2
        return [w * d for w in kernel]

    x = np.random.default_rng(0).normal(size=n)
    return _case(program, x, (m, n), [(i, i + k) for k in range(len(kernel))], entries)


def _convolution_2d(m: int) -> Case:
    kernel = {(i, j): (3 * i + 5 * j + 1) / 20 for i in range(3) for j in range(3)}
    inner = m - 2

    def convolved(x: Any) -> Any:
        image = x.reshape(m, m)
        return sum(w * image[i : inner + i, j : inner + j] for (i, j), w in kernel.items())

    def program(np: Any) -> Any:
        return lambda x: np.tanh(convolved(x)).reshape(-1)

    rows = np.arange(inner * inner).reshape(inner, inner)
    at = np.arange(m * m).reshape(m, m)

    def entries(x: Any) -> list[Any]:
        d = (1 - np.tanh(convolved(x)) ** 2).ravel()
        return [w * d for w in kernel.values()]

    pieces = [(rows, at[i : inner + i, j : inner + j]) for i, j in kernel]
    x = np.random.default_rng(0).normal(size=m * m)
    return _case(program, x, (inner * inner, m * m), pieces, entries)


# ---------------------------------------------------------------------------------------------------------- few to many
def _fit(m: int) -> Case:
    """Residuals of a decay with three parameters that all points share, and a small shift of each point."""
    t = np.linspace(0.01, 1.0, m)
    y = 2.0 * np.exp(-3.0 * t) + 0.5

    def program(np: Any) -> Any:
        def f(x: Any) -> Any:
            shifts, p = x[3:], x[:3]
            return np.concatenate([p[0] * np.exp(-p[1] * t) + p[2] + shifts - y, 0.1 * shifts])

        return f

    i = np.arange(m)
    pieces = [*((i, np.full(m, k)) for k in range(3)), (i, i + 3), (i + m, i + 3)]

    def entries(x: Any) -> list[Any]:
        e = np.exp(-x[1] * t)
        return [e, -x[0] * t * e, 1.0, 1.0, 0.1]

    x = np.concatenate([[1.5, 2.0, 0.3], 0.01 * np.random.default_rng(0).normal(size=m)])
    return _case(program, x, (2 * m, m + 3), pieces, entries)


def _arrowhead(n: int) -> Case:
    """The first unknown acts on all equations, and the first equation on all unknowns."""

    def program(np: Any) -> Any:
        return lambda x: np.concatenate([np.array([np.sum(x * x)]), x[1:] ** 3 + x[0] * x[1:]])

    i, zero = np.arange(1, n), np.zeros(n - 1, int)
    pieces = [(np.zeros(n, int), np.arange(n)), (i, zero), (i, i)]

    def entries(x: Any) -> list[Any]:
        rest = x[1:]
        return [2 * x, rest, 3 * rest * rest + x[0]]

    return _case(program, np.random.default_rng(0).random(n), (n, n), pieces, entries)


def _rosenbrock(n: int) -> Case:
    """The chained Rosenbrock function: its Hessian is tridiagonal."""

    def program(np: Any) -> Any:
        return lambda x: np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)

    def gradient(x: Any) -> Any:
        a, g = x[:-1], np.zeros_like(x)
        e = x[1:] - a * a
        g[:-1] = -400 * e * a - 2 * (1 - a)
        g[1:] += 200 * e
        return g

    i = np.arange(n)

    def entries(x: Any) -> list[Any]:
        d = np.zeros(n)
        d[:-1] = 1200 * x[:-1] ** 2 - 400 * x[1:] + 2
        d[1:] += 200
        beside = -400 * x[:-1]
        return [d, beside, beside]

    pieces = [(i, i), (i[:-1], i[1:]), (i[1:], i[:-1])]
    return _case(program, np.random.default_rng(0).random(n), (n, n), pieces, entries, gradient)


def _workload(title: str, make: Callable[[int], Case], size: int, peers: tuple[str, ...] = ALL) -> Workload:
    derivative = "sparse hessian" if make is _rosenbrock else "sparse jacobian"
    return Workload(title, derivative, "entries by hand", peers, partial(make, size), warm=True)


SPARSE = {
    "bruss3": _workload("Brusselator, n = 10³", brusselator_case, 10**3),
    "bruss4": _workload("Brusselator, n = 10⁴", brusselator_case, 10**4),
    "bruss5": _workload("Brusselator, n = 10⁵", brusselator_case, 10**5),
    "gray": _workload("Gray–Scott on a periodic grid 100×100, n = 2·10⁴", _gray_scott, 100),
    "bratu": _workload("Bratu on a grid 100×100, n = 10⁴", bratu, 100),
    "ladder": _workload("ladder of 5000 capacitors with algebraic equations, n = 10⁴", ladder, 5000),
    "softmaxes": _workload("200 softmaxes of 10, n = 2000", _softmaxes, 200),
    "networks": _workload("net 10-16-10, batch 200, n = 2000", _networks, 200),
    "convolution1": _workload("convolution with 5 weights, n = 10⁴", _convolution_1d, 10**4),
    "convolution2": _workload("convolution 3×3 of an image 100×100, n = 10⁴", _convolution_2d, 100),
    "fit": _workload("least squares with 3 shared parameters, 2·10⁴×(10⁴ + 3)", _fit, 10**4, FEW),
    "arrowhead": _workload("arrowhead, n = 1000", _arrowhead, 1000),
    "rosenbrock": _workload("chained Rosenbrock, Hessian, n = 10⁴", _rosenbrock, 10**4, FEW),
}
