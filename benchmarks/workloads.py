"""What is measured: programs whose text is the same for all peers, with their derivatives written by hand.

A program is given the namespace that stands for NumPy. Each names the peers that take part, and its floor: NumPy's bare
matrix products where they dominate, elsewhere the derivative written by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

__all__ = ["WORKLOADS", "Case", "Workload"]

ALL = ("mathdl", "jax", "torch", "autograd", "scipy", "numdifftools")
GRADIENTS = ("mathdl", "jax", "torch", "autograd")


class Case(NamedTuple):
    """One problem with its data."""

    program: Callable[[Any], Callable[..., Any]]  # namespace -> the function to differentiate by its first argument
    args: tuple[Any, ...]
    hand: Callable[..., Any]  # its derivative in plain NumPy: what all peers must return
    floor: Callable[[], Any]
    pattern: Any = None  # of a sparse derivative: a boolean csr_array
    gradient: Callable[..., Any] | None = None  # by hand, of which SciPy can take differences for a sparse Hessian
    solve: Callable[..., Any] | None = None  # how a solver is told of the Jacobian -> the solution


class Workload(NamedTuple):
    title: str
    derivative: str  # "jacobian", "value_and_grad", "sparse jacobian", "sparse hessian", "solution" or "step"
    floor: str
    peers: tuple[str, ...]
    make: Callable[[], Case]
    warm: bool = False  # built twice, and the quicker counts: the first also wakes up the library
    long: bool = False  # timed few times, in one process


# --------------------------------------------------------------------------------------------------- Jacobians, small
def _plane() -> Case:
    def program(np: Any) -> Any:
        return lambda x: np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])

    def hand(x: Any) -> Any:
        return np.array([[2 * x[0] * x[1], x[0] ** 2], [5.0, np.cos(x[1])]])

    x = np.array([1.3, 0.7])
    return Case(program, (x,), hand, lambda: hand(x))


def _composite() -> Case:
    n = 6
    rows = [[((3 * i + 5 * j) % 7 - 3) / 4 for j in range(n)] for i in range(n)]
    W = np.array(rows)

    def program(np: Any) -> Any:
        def layer(e: Any) -> list[Any]:
            return [np.sin(sum(rows[i][j] * e[j] for j in range(n))) for i in range(n)]

        def f(x: Any) -> Any:
            grown = [np.exp(sum(rows[j][i] * x[j] ** 2 for j in range(n))) for i in range(n)]
            first = [a * b for a, b in zip(layer(x), grown, strict=True)]
            return np.array(layer(layer(first)))

        return f

    def hand(x: Any) -> Any:
        u, v = W @ x, W.T @ x**2
        e = np.sin(u) * np.exp(v)
        J = (np.cos(u) * np.exp(v))[:, None] * W + e[:, None] * W.T * (2 * x)
        for _ in range(2):
            J = np.cos(W @ e)[:, None] * (W @ J)
            e = np.sin(W @ e)
        return J

    x = np.linspace(0.1, 0.5, n)
    return Case(program, (x,), hand, lambda: hand(x))


# ------------------------------------------------------------------------------------------------------------ networks
def _mlp() -> Case:
    rng = np.random.default_rng(0)
    sizes = (64, 256, 256, 64)
    A, B, C = (rng.normal(size=(m, n)) / n**0.5 for n, m in itertools.pairwise(sizes))
    a, b, c = (0.1 * rng.normal(size=m) for m in sizes[1:])
    x = rng.normal(size=64)

    def program(np: Any) -> Any:
        A_, B_, C_, a_, b_, c_ = map(np.asarray, (A, B, C, a, b, c))
        return lambda x: C_ @ np.tanh(B_ @ np.tanh(A_ @ x + a_) + b_) + c_

    def hand(x: Any) -> Any:
        h = np.tanh(A @ x + a)
        k = np.tanh(B @ h + b)
        return ((C * (1 - k * k)) @ B * (1 - h * h)) @ A

    first, second = np.empty((64, 256)), np.empty((64, 64))

    def bare() -> None:
        np.matmul(C, B, out=first)
        np.matmul(first, A, out=second)

    return Case(program, (x,), hand, bare)


def _parameters(rng: np.random.Generator, sizes: tuple[int, ...]) -> list[Any]:
    return [
        part for n, m in itertools.pairwise(sizes) for part in (rng.normal(size=(n, m)) * (2 / n) ** 0.5, np.zeros(m))
    ]


def _training() -> Case:
    rng = np.random.default_rng(0)
    batch, sizes = 128, (784, 256, 128, 10)
    p = _parameters(rng, sizes)
    X, y, rows = rng.normal(size=(batch, 784)), rng.integers(0, 10, batch), np.arange(batch)

    def program(np: Any) -> Any:
        def loss(p: Any, X: Any, y: Any) -> Any:
            h = np.maximum(X @ p[0] + p[1], 0.0)
            k = np.maximum(h @ p[2] + p[3], 0.0)
            z = k @ p[4] + p[5]
            z = z - np.max(z, axis=1, keepdims=True)
            return np.mean(np.log(np.sum(np.exp(z), axis=1)) - z[rows, y])

        return getattr(np, "classifier", loss)  # a library's own way to say the same

    def hand(p: Any, X: Any, y: Any) -> Any:
        h = np.maximum(X @ p[0] + p[1], 0)
        k = np.maximum(h @ p[2] + p[3], 0)
        z = k @ p[4] + p[5]
        z -= z.max(axis=1, keepdims=True)
        e = np.exp(z)
        total = e.sum(axis=1, keepdims=True)
        loss = np.mean(np.log(total[:, 0]) - z[rows, y])
        e /= total
        e[rows, y] -= 1
        e /= batch
        dk = e @ p[4].T * (k > 0)
        dh = dk @ p[2].T * (h > 0)
        return loss, [X.T @ dh, dh.sum(0), h.T @ dk, dk.sum(0), k.T @ e, e.sum(0)]

    H, K, Z = (np.empty((batch, n)) for n in sizes[1:])
    G = [np.empty_like(w) for w in p[::2]]

    def bare() -> None:
        np.matmul(X, p[0], out=H)
        np.matmul(H, p[2], out=K)
        np.matmul(K, p[4], out=Z)
        np.matmul(K.T, Z, out=G[2])
        np.matmul(Z, p[4].T, out=K)
        np.matmul(H.T, K, out=G[1])
        np.matmul(K, p[2].T, out=H)
        np.matmul(X.T, H, out=G[0])

    return Case(program, (p, X, y), hand, bare)


def _course() -> Case:
    rng = np.random.default_rng(0)
    p = _parameters(rng, (2, 16, 16, 1))
    X, y = rng.normal(size=(32, 2)), rng.normal(size=(32, 1))

    def program(np: Any) -> Any:
        def loss(p: Any, X: Any, y: Any) -> Any:
            h = np.tanh(X @ p[0] + p[1])
            k = np.tanh(h @ p[2] + p[3])
            return np.mean((k @ p[4] + p[5] - y) ** 2)

        return loss

    def hand(p: Any, X: Any, y: Any) -> Any:
        h = np.tanh(X @ p[0] + p[1])
        k = np.tanh(h @ p[2] + p[3])
        e = k @ p[4] + p[5] - y
        loss = np.vdot(e, e) / 32
        e *= 2 / 32
        dk = e @ p[4].T
        dk *= 1 - k * k
        dh = dk @ p[2].T
        dh *= 1 - h * h
        return loss, [X.T @ dh, dh.sum(0), h.T @ dk, dk.sum(0), k.T @ e, e.sum(0)]

    return Case(program, (p, X, y), hand, lambda: hand(p, X, y))


WORKLOADS = {
    "plane": Workload("R²→R², Jacobian", "jacobian", "by hand", (*ALL, "sympy"), _plane),
    "composite": Workload("3 layers R⁶→R⁶, Jacobian", "jacobian", "by hand", ("mathdl", "sympy"), _composite),
    "mlp": Workload("MLP 64-256-256-64, input Jacobian", "jacobian", "bare matmuls", ALL, _mlp),
    "training": Workload(
        "training gradient 784-256-128-10, batch 128", "value_and_grad", "bare matmuls", GRADIENTS, _training
    ),
    "course": Workload("course-size net 2-16-16-1, batch 32", "value_and_grad", "by hand", GRADIENTS, _course),
}
