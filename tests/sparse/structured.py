"""Functions of one array with structure, as users write them; points for each, and its exact pattern by brute force.

A function that cannot be planned exactly states how many entries its pattern may have too many.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import sparse

import mathdl as md
from mathdl.errors import NotDifferentiable

rng = np.random.default_rng(4)


@dataclasses.dataclass(frozen=True)
class Case:
    """A function, the shape of its argument, and how many entries of its pattern may be superfluous."""

    f: Callable[..., Any]
    shape: tuple[int, ...] = (12,)
    extra: int = 0
    domain: str = "real"
    dtype: Any = float


DOMAINS: dict[str, Callable[..., Any]] = {
    "real": lambda x: x,
    "positive": lambda x: 0.2 + np.abs(x),
    "unit": lambda x: 0.5 + np.arctan(x) / np.pi * 0.98,
}


def points(case, count=12, seed=0):
    """Random points, and those where patterns are easily lost: zeros, ties, zeros in some places, large, in order."""
    draw = np.random.default_rng(seed)
    size, shape = int(np.prod(case.shape)), case.shape
    turns = range(0, size, max(1, size // 16))
    special = [
        np.zeros(shape),
        np.ones(shape),
        draw.integers(-1, 2, shape).astype(float),
        draw.normal(size=shape) * (draw.random(shape) < 0.5),
        1e3 * draw.normal(size=shape),
        1e-3 * draw.normal(size=shape),
        *(np.roll(np.linspace(-2.0, 2.0, size), k).reshape(shape) for k in turns),  # every entry at every place
        *(np.roll(np.linspace(9.0, -9.0, size), k).reshape(shape) for k in turns),
    ]
    drawn = [draw.normal(size=shape) * draw.choice([0.3, 1.0, 3.0]) for _ in range(count)]
    return [np.asarray(DOMAINS[case.domain](x), case.dtype) for x in special + drawn]


def point(case, seed=1):
    """One random point."""
    return np.asarray(DOMAINS[case.domain](np.random.default_rng(seed).normal(size=case.shape)), case.dtype)


def matrix(f, x, *rest):
    """The Jacobian as a matrix, with a row for each entry of the result and a column for each of x."""
    with np.errstate(all="ignore"):
        j = np.asarray(md.jacobian(f)(x, *rest))
    return j.reshape(j.size // x.size if x.size else int(np.prod(np.shape(f(x, *rest)))), x.size)


def union(f, xs):
    """Where the Jacobian is other than zero at some of the points; where it is NaN, nothing is said."""
    found = []
    for x in xs:
        try:
            found.append(matrix(f, x))
        except NotDifferentiable:  # at this point, such as two equal eigenvalues
            continue
    assert len(found) >= len(xs) // 2
    return np.any([(j != 0) & ~np.isnan(j) for j in found], axis=0)


def normal(shape, density=1.0):
    a = rng.normal(size=shape)
    return a * (rng.random(shape) < density)


# ------------------------------------------------------------------------------------------------ stencils in one space
N = 12
HOLES = normal((N, N), 0.2)
EDGES = rng.integers(0, N, (15, 2))
INDEX = np.array([3, 3, 0, 11, 7, 3, -1, -12])
MASK = np.arange(N) % 3 != 1
TRIDIAGONAL = np.diag(np.full(N, 4.0)) + np.diag(np.ones(N - 1), 1) + np.diag(np.ones(N - 1), -1)
NOTHING = np.zeros(N)
LEVELS = np.array([-1.0, 0.0, 1.0])


def periodic(x):
    return np.roll(x, 1) - 2 * x + np.roll(x, -1) + x**3


def dirichlet(x):
    left, right = np.concatenate([[0.0], x[:-1]]), np.concatenate([x[1:], [0.0]])
    return left - 2 * x + right + np.exp(-x)


def neumann(x):
    y = np.concatenate([x[1:2], x, x[-2:-1]])
    return (y[2:] - y[:-2]) * x


def robin(x):
    y = np.hstack([x[0] - 0.1 * (x[1] - x[0]), x, 1.5 * x[-1]])
    return y[2:] - 2 * y[1:-1] + y[:-2]


def dirichlet_by_hand(x):
    inside = x[:-2] - 2 * x[1:-1] + x[2:]
    return np.concatenate([x[:1] - 1.0, inside * x[1:-1], x[-1:] - 2.0])


def upwind(x):
    return np.where(x > 0, x * (x - np.roll(x, 1)), x * (np.roll(x, -1) - x))


def minmod(x):
    a, b = np.diff(x, prepend=x[-1]), np.diff(x, append=x[0])
    return np.where(a * b > 0, np.where(np.abs(a) < np.abs(b), a, b), 0.0)


def burgers(x):
    """Godunov's flux, with a wall at both ends."""
    y = np.pad(x, 1, mode="edge")
    flux = np.maximum(np.maximum(y[:-1], 0.0) ** 2, np.minimum(y[1:], 0.0) ** 2) / 2
    return flux[:-1] - flux[1:]


def harmonic_diffusion(x):
    k = 1.0 + x**2
    face = 2 * k[1:] * k[:-1] / (k[1:] + k[:-1])
    flux = np.concatenate([np.zeros(1), face * np.diff(x), np.zeros(1)])
    return np.diff(flux)


def brusselator(x):
    u, v = x[:6], x[6:]
    around = [np.concatenate([[edge], w, [edge]]) for w, edge in ((u, 1.0), (v, 3.0))]
    du, dv = (w[:-2] - 2 * w[1:-1] + w[2:] for w in around)
    return np.concatenate([1 + u**2 * v - 4 * u + 0.02 * du, 3 * u - u**2 * v + 0.02 * dv])


def brusselator_interleaved(x):
    u, v = x[::2], x[1::2]
    du = np.append(u[1:], 1.0) - 2 * u + np.insert(u[:-1], 0, 1.0)
    dv = np.append(v[1:], 3.0) - 2 * v + np.insert(v[:-1], 0, 3.0)
    return np.ravel(np.column_stack([1 + u**2 * v - 4 * u + du, 3 * u - u**2 * v + dv]))


def biharmonic(x):
    return np.diff(np.pad(x, 2), n=4)


def korteweg(x):
    third = (np.roll(x, -2) - 2 * np.roll(x, -1) + 2 * np.roll(x, 1) - np.roll(x, 2)) / 2
    return 6 * x * (np.roll(x, -1) - np.roll(x, 1)) / 2 + third


def staggered(x):
    p, u = x[:6], x[6:]
    return np.concatenate([u - np.roll(u, 1), np.where(u > 0, p, np.roll(p, -1)) * u])


STENCILS = {
    "diff": Case(np.diff),
    "second diff, squared": Case(lambda x: np.diff(x, 2) ** 2),
    "diff with ends": Case(lambda x: np.diff(x, prepend=0.0, append=x[-1]), extra=1),
    "periodic": Case(periodic),
    "dirichlet": Case(dirichlet),
    "neumann": Case(neumann, extra=4),
    "robin": Case(robin),
    "rows of the boundary": Case(dirichlet_by_hand),
    "upwind": Case(upwind),
    "minmod": Case(minmod),
    "burgers": Case(burgers),
    "harmonic diffusion": Case(harmonic_diffusion),
    "brusselator": Case(brusselator),
    "brusselator interleaved": Case(brusselator_interleaved),
    "biharmonic": Case(biharmonic),
    "korteweg - de vries": Case(korteweg),
    "staggered": Case(staggered),
    "gradient": Case(lambda x: np.gradient(x) * x),
    "gradient, second order at the ends": Case(lambda x: np.gradient(x, 0.5, edge_order=2)),
    "trapezoid of pieces": Case(lambda x: np.trapezoid(np.reshape(x, (4, 3)), axis=1)),
    **{
        f"pad {mode}": Case(lambda x, mode=mode: np.cos(np.pad(x, (2, 1), mode=mode))[3:] * x)
        for mode in ("constant", "edge", "reflect", "symmetric", "wrap")
    },
    "pad unevenly": Case(lambda x: np.pad(x, (3, 0)) ** 2 - np.pad(x, (0, 3))),
    **{
        f"convolve {mode}": Case(lambda x, mode=mode: np.convolve(x, [1.0, 0.0, -2.0, 0.5], mode))
        for mode in ("full", "same", "valid")
    },
    "convolve with itself": Case(lambda x: np.convolve(x[3:], x[:3], "valid")),
    "strided": Case(lambda x: x[::2] * x[1::2]),
    "strided thrice": Case(lambda x: np.tanh(x[::3]) + x[2::3]),
    "strided backwards": Case(lambda x: x[::-2] ** 2),
    "reversed": Case(lambda x: x * x[::-1]),
    "slices of slices": Case(lambda x: x[2:][::2][1:] * x[:-2][::-1][:4]),
    "flip and roll": Case(lambda x: np.roll(np.flip(x), 3) - x, extra=2),
    "roll by more than all": Case(lambda x: np.roll(x, 25) * x),
    "maximum of neighbours": Case(lambda x: np.maximum(x[1:], x[:-1])),
    "clip": Case(lambda x: np.clip(x[1:], -0.5, x[:-1] + 2.0)),
    "clip by constants": Case(lambda x: np.clip(x, -0.5, 0.5) + np.minimum(np.roll(x, 1), 0.3)),
    "abs": Case(lambda x: np.abs(x[1:] - x[:-1])),
    "relu": Case(lambda x: np.maximum(np.diff(x), 0)),
}


# --------------------------------------------------------------------------------------------- stencils in two and more
def padded_laplace(x):
    y = np.pad(x, 1)
    return y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * x + x**3


def interior(x):
    inside = x[1:-1, :-2] + x[1:-1, 2:] + x[:-2, 1:-1] + x[2:, 1:-1] - 4 * x[1:-1, 1:-1]
    return np.pad(inside, 1)


def walls(x):
    """Inside a five-point stencil, on the walls a row of its own."""
    u = np.reshape(x, (4, 5))
    inside = u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:] - 4 * u[1:-1, 1:-1]
    middle = np.hstack([u[1:-1, :1] - 1.0, inside, u[1:-1, -1:] - u[1:-1, -2:-1]])
    return np.ravel(np.vstack([u[:1], middle, u[-1:] - u[-2:-1]]))


def gray_scott(z):
    u, v = z
    rate = u * v**2
    return np.stack([_spread(u) - rate + 0.04 * (1 - u), 0.5 * _spread(v) + rate - 0.1 * v])


def _spread(u):
    return np.roll(u, 1, 0) + np.roll(u, -1, 0) + np.roll(u, 1, 1) + np.roll(u, -1, 1) - 4 * u


def nine_points(x):
    y = np.pad(x, 1, mode="reflect")
    return sum(y[i : i + 4, j : j + 5] * (1 + i + j) for i in range(3) for j in range(3))


def flux_form(x):
    k = 1 + x**2
    east = (k[:, 1:] + k[:, :-1]) / 2 * np.diff(x, axis=1)
    south = (k[1:] + k[:-1]) / 2 * np.diff(x, axis=0)
    return np.diff(np.pad(east, ((0, 0), (1, 1))), axis=1) + np.diff(np.pad(south, ((1, 1), (0, 0))), axis=0)


def seven_points(x):
    return x * sum(np.roll(x, shift, axis) for shift in (1, -1) for axis in range(3))


def by_kronecker(x):
    second = np.diag(np.full(4, -2.0)) + np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    return (np.kron(second, np.eye(3)) + np.kron(np.eye(4), second[:3, :3])) @ x


def by_products(x):
    second = np.diag(np.full(4, -2.0)) + np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    return second @ x + x @ second


GRIDS = {
    "laplace, padded": Case(padded_laplace, (4, 5)),
    "laplace inside": Case(interior, (4, 5)),
    "laplace with walls": Case(walls, (20,)),
    "gray - scott": Case(gray_scott, (2, 4, 4)),
    "nine points": Case(nine_points, (4, 5)),
    "flux form": Case(flux_form, (4, 5)),
    "seven points": Case(seven_points, (3, 3, 4)),
    "by kronecker products": Case(by_kronecker),
    "by products from both sides": Case(by_products, (4, 4)),
    "gradient of a grid": Case(lambda x: np.stack(np.gradient(x)), (4, 5)),
    "transposed": Case(lambda x: x.T * x, (4, 4)),
    "swapped and reshaped": Case(lambda x: np.reshape(np.transpose(x, (2, 0, 1)), (8, 3)) ** 2, (2, 3, 4)),
    "ravelled by columns": Case(lambda x: np.ravel(x, order="F")[1:] * np.ravel(x)[:-1], (3, 4)),
    "rotated": Case(lambda x: np.rot90(x) + x, (4, 4)),
    "corner box": Case(lambda x: x[1:3, -2:] * x[:2, :2], (4, 5)),
}


# ------------------------------------------------------------------------------------------------------------- choosing
CHOOSING = {
    "take": Case(lambda x: np.take(x, [5, 5, 0, 2])),
    "take along an axis": Case(lambda x: np.take(x, [[0, 2], [2, 2]], axis=1), (3, 4)),
    "repeated indices": Case(lambda x: x[INDEX] * x[INDEX[::-1]]),
    "a constant mask": Case(lambda x: x[MASK] ** 2),
    "indices of rows and columns": Case(lambda x: x[[0, 1, 2, 0], [3, 0, 3, 3]], (3, 4)),
    "ix_": Case(lambda x: x[np.ix_([0, 2], [1, 1, 3])], (3, 4)),
    "a list of lists": Case(lambda x: x[[[0, 1], [2, 2]]], (3, 2)),
    "argsort": Case(lambda x: x[np.argsort(x)]),
    "ranks": Case(lambda x: x * np.argsort(np.argsort(x))),
    "argmax": Case(lambda x: x[np.argmax(x)] * np.ones(2)),
    "argmax less itself": Case(lambda x: x - x[np.argmax(np.abs(x))]),
    "argmin of rows": Case(lambda x: x[np.arange(3), np.argmin(x, axis=1)], (3, 4)),
    "sort": Case(np.sort),
    "sort rows": Case(lambda x: np.sort(x) * x, (3, 4)),
    "sort columns": Case(lambda x: np.sort(x, axis=0), (3, 4)),
    "sort after a slice": Case(lambda x: np.concatenate([x[:5], np.sort(x[5:])])),
    "take_along_axis": Case(lambda x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0), (3, 4)),
    "partition": Case(lambda x: np.partition(x, 3)[:4]),
    "median of three": Case(lambda x: np.median(np.stack([np.roll(x, 1), x, np.roll(x, -1)]), axis=0)),
    "quantile of rows": Case(lambda x: np.quantile(x, 0.3, axis=1), (3, 4)),
    "index by a value": Case(lambda x: x[:3][np.mod(np.floor(16 * x), 3).astype(int)] * 2.0),
    "row by a value": Case(lambda x: x[np.argmax(x[:, 0])], (3, 4)),
    "column by a value": Case(lambda x: x[:, np.argmax(np.sum(x, axis=0))], (3, 4)),
    "entry by values": Case(lambda x: x[np.argmax(x[:, 0]), np.argmin(x[0])] * np.ones(2), (3, 4)),
    "a table by a value": Case(lambda x: LEVELS[np.searchsorted([-0.5, 0.5], x)] * x),
    "where of arrays": Case(lambda x: np.where(x > 0.1, np.roll(x, 1), 3.0)),
    "where of a constant mask": Case(lambda x: np.where(MASK, x, np.roll(x, 2))),
    "where of another argument": Case(lambda x: np.where(x[::-1] > 0, x, 0.0)),
    "where of where": Case(lambda x: np.where(x > 1, x**2, np.where(x < -1, np.roll(x, 1), np.roll(x, -1)))),
    "where of numbers": Case(lambda x: np.where(x > 0, 1.0, 2.0) * np.roll(x, 1)),
    "where broadcast": Case(lambda x: np.where(x[:, None] > 0, x[None, :], 1.0), (4,)),
    "select": Case(lambda x: np.select([x > 1, x > 0], [x**2, np.roll(x, 1)], np.roll(x, 2))),
    "a mask of floats": Case(lambda x: (x > 0) * np.roll(x, 1) + (x <= 0) * np.roll(x, -1)),
    "choose": Case(lambda x: np.stack([x, np.roll(x, 1), 2 * x])[(x > 0).astype(int), np.arange(N)], extra=0),
    "bincount": Case(lambda x: np.bincount([0, 0, 1, 4, 4, 4, 0, 1, 1, 2, 4, 0], weights=x, minlength=7)),
    "one hot": Case(lambda x: np.eye(5)[[0, 0, 1, 4, 4, 3, 0, 1, 1, 2, 4, 0]].T @ x),
    "delete and insert": Case(lambda x: np.insert(np.delete(x, [1, 4]), 2, x[0] * x[3])),
    "repeat and tile": Case(lambda x: np.repeat(x[:6], 2) * np.tile(x[6:], 2)),
    "extract a triangle": Case(lambda x: x[np.triu_indices(4)], (4, 4)),
    "from a triangle": Case(lambda x: np.stack([x[max(i, j)] for i in range(4) for j in range(4)])),
    "resize": Case(lambda x: np.resize(x, 17) ** 2),
    "interp of values": Case(lambda x: np.interp(x, np.linspace(-3, 3, 9), np.sin(np.arange(9.0)))),
    "interp in values": Case(lambda x: np.interp([0.5, 0.25, 3.0, 7.75, -1.0], np.arange(12.0), x)),
    "digitize": Case(lambda x: np.digitize(x, LEVELS) * 1.0),
    "max of rows": Case(lambda x: np.max(x, axis=1), (3, 4)),
    "max and its place": Case(lambda x: np.where(x == np.max(x), 0.0, x), (5,)),
    "ptp": Case(lambda x: np.ptp(x, axis=0), (3, 4)),
    "max pooling": Case(lambda x: np.max(np.reshape(x, (2, 2, 3, 2)), axis=(1, 3)), (4, 6)),
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------- sums and products
def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def layer_norm(x):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.var(x, axis=-1, keepdims=True) + 1e-5)


W1, W2, KERNEL = normal((4, 6)), normal((6, 2)), normal((3, 3))
ROWS, BLOCKS, BATCH = normal((4, 4), 0.4), normal((3, 4, 4), 0.5), normal((3, 4, 4)) + 4 * np.eye(4)
LABELS = np.array([0, 3, 1])
DROPOUT = (rng.random((3, 4)) < 0.5) * 2.0


def mlp(x):
    return np.tanh(np.maximum(x @ W1, 0.0) @ W2)


def convolution(x):
    return sum(KERNEL[i, j] * x[i : i + 3, j : j + 4] for i in range(3) for j in range(3))


def losses(x):
    shifted = x - np.max(x, axis=1, keepdims=True)
    return np.log(np.sum(np.exp(shifted), axis=1)) - shifted[np.arange(3), LABELS]


def attention(x):
    weights = softmax(x @ np.swapaxes(x, -1, -2))
    return weights @ x


def causal_attention(x):
    scores = x @ x.T + np.where(np.tri(4) > 0, 0.0, -np.inf)
    return softmax(scores) @ x


def recurrent(x):
    h, states = np.zeros(2), []
    for row in x:
        h = np.tanh(row + h @ W1[:2, :2])
        states.append(h)
    return np.stack(states)


SUMS = {
    "cumsum": Case(np.cumsum),
    "cumsum of rows": Case(lambda x: np.cumsum(x, axis=1) ** 2, (3, 4)),
    "cumsum of all": Case(lambda x: np.cumsum(x), (3, 4)),
    "cumsum backwards": Case(lambda x: np.cumsum(x[::-1])[::-1]),
    "cumprod": Case(np.cumprod),
    "sum": Case(np.sum),
    "sum of squares and all": Case(lambda x: np.concatenate([x**2, [np.sum(x)]])),
    "sums of rows": Case(lambda x: np.sum(np.sin(x), axis=1), (3, 4)),
    "sums over two axes": Case(lambda x: x.sum(axis=(0, 2), keepdims=True) ** 2, (2, 3, 2)),
    "mean": Case(lambda x: x - np.mean(x)),
    "mean of columns": Case(lambda x: x / (2 + np.mean(x**2, axis=0)), (3, 4)),
    "weighted average": Case(lambda x: np.average(x, axis=1, weights=[1.0, 0.0, 2.0, 0.0]), (3, 4)),
    "var and std": Case(lambda x: np.stack([np.var(x, axis=1), np.std(x, axis=1)]), (3, 4)),
    "prod": Case(lambda x: np.prod(x, axis=1), (4, 3)),
    "norms": Case(lambda x: np.linalg.norm(x, axis=1), (4, 3)),
    "logaddexp": Case(lambda x: np.logaddexp(x[1:], x[:-1])),
    "logsumexp": Case(lambda x: np.logaddexp.reduce(x, axis=1), (3, 4)),
    "add.reduce": Case(lambda x: np.add.reduce(x, axis=0), (3, 4)),
    "moving average": Case(lambda x: (np.cumsum(x)[3:] - np.cumsum(x)[:-3]) / 3, extra=45),
    "softmax": Case(softmax),
    "softmax of rows": Case(softmax, (3, 4)),
    "normalized": Case(lambda x: x / np.sum(x), domain="positive"),
    "layer norm": Case(layer_norm, (3, 4)),
    "batch norm": Case(lambda x: (x - np.mean(x, 0)) / np.sqrt(1e-5 + np.var(x, 0)), (3, 4)),
    "rms norm": Case(lambda x: x / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + 1e-6), (3, 4)),
    "mlp": Case(mlp, (3, 4)),
    "losses": Case(losses, (3, 4)),
    "dropout": Case(lambda x: np.tanh(x) * DROPOUT, (3, 4)),
    "two-dimensional convolution": Case(convolution, (5, 6)),
    "attention": Case(attention, (2, 3, 2)),
    "causal attention": Case(causal_attention, (4, 2), extra=26),
    "recurrent": Case(recurrent, (4, 2)),
    "fourier of cosines": Case(lambda x: np.cos(np.outer(np.arange(3), np.arange(12)) / 4) @ x),
    "polynomial": Case(lambda x: np.polyval([2.0, 0.0, -1.0, 3.0], x)),
    "powers": Case(lambda x: x[:, None] ** np.arange(4), (5,), extra=5),
    "vander": Case(lambda x: np.stack([x**k for k in range(3)], axis=1) @ np.array([1.0, 0.0, 0.5]), (5,)),
}


# ------------------------------------------------------------------------------------------------------- linear algebra
def tridiagonal_batch(x):
    return np.linalg.solve(BATCH + 0.1 * np.eye(4) * x[:, :, None] ** 2, x[..., None])[..., 0]


ALGEBRA = {
    "constant matrix with zeros": Case(lambda x: np.tanh(HOLES @ x)),
    "from the left": Case(lambda x: x @ HOLES),
    "matrix of rows": Case(lambda x: x @ ROWS, (3, 4)),
    "matrix of columns": Case(lambda x: ROWS @ x, (4, 3)),
    "products in batches": Case(lambda x: BLOCKS @ x[..., None], (3, 4)),
    "one matrix on batches": Case(lambda x: BLOCKS[0] @ x, (3, 4, 2)),
    "two varying matrices": Case(lambda x: x[0] @ x[1], (2, 3, 3)),
    "gram": Case(lambda x: x @ x.T, (3, 4)),
    "outer": Case(lambda x: np.outer(x, x), (4,)),
    "outer with zeros": Case(lambda x: np.outer(x, [1.0, 0.0, 2.0])),
    "kron": Case(lambda x: np.kron(x, np.array([[0.0, 1.0], [2.0, 0.0]])), (2, 3)),
    "einsum": Case(lambda x: np.einsum("bij,bj->bi", BLOCKS, x), (3, 4)),
    "einsum of the diagonal": Case(lambda x: np.einsum("ii->i", x) ** 2, (4, 4)),
    "einsum of two": Case(lambda x: np.einsum("bi,bj->bij", x, np.sin(x)), (3, 3)),
    "einsum of three": Case(lambda x: np.einsum("i,ij,j->i", x, BLOCKS[0], x), (4,), extra=6),
    "tensordot": Case(lambda x: np.tensordot(BLOCKS, x, ([2], [0])), (4, 2)),
    "inner": Case(lambda x: np.inner(x, BLOCKS[0]), (3, 4)),
    "dot": Case(lambda x: np.dot(x[:6], x[6:])),
    "cross": Case(lambda x: np.cross(x, [1.0, 0.0, 2.0]), (4, 3)),
    "cross of two": Case(lambda x: np.cross(x[0], x[1]), (2, 4, 3)),
    "trace": Case(np.trace, (4, 4)),
    "triu": Case(lambda x: np.triu(x) ** 2, (4, 4)),
    "tril of a product": Case(lambda x: np.tril(x @ BATCH[0], -1), (4, 4)),
    "diag": Case(lambda x: np.diag(x) @ BATCH[0], (4,)),
    "diagonal": Case(lambda x: np.diagonal(x, 1) * np.diag(x)[1:], (4, 4)),
    "solve in batches": Case(lambda x: np.linalg.solve(BATCH, x[..., None])[..., 0], (3, 4)),
    "solve with varying matrices": Case(tridiagonal_batch, (3, 4)),
    "solve by columns": Case(lambda x: np.linalg.solve(BATCH[0], x), (4, 3)),
    "inverse of two by two": Case(lambda x: np.linalg.inv(x + 9 * np.eye(2)), (3, 2, 2), domain="unit"),
    "determinants": Case(np.linalg.det, (3, 3, 3)),
    "log determinants": Case(lambda x: np.linalg.slogdet(x @ np.swapaxes(x, 1, 2) + np.eye(2))[1], (3, 2, 2)),
    "eigenvalues": Case(lambda x: np.linalg.eigvalsh(x), (3, 2, 2)),
    "cholesky": Case(lambda x: np.linalg.cholesky(x * np.eye(2) + 9 * np.eye(2)), (3, 2, 2), domain="unit", extra=18),
    "singular values": Case(lambda x: np.linalg.svd(x, compute_uv=False), (3, 2, 2)),
    "matrix powers": Case(lambda x: np.linalg.matrix_power(x, 2), (3, 3)),
    "multi_dot": Case(lambda x: np.linalg.multi_dot([BLOCKS[0], BLOCKS[1], x]), (4, 2)),
}  # fmt: skip


# --------------------------------------------------------------------------------------------- known shapes of matrices
def arrowhead(x):
    return np.concatenate([[np.sum(x**2)], x[1:] * x[0] + np.sin(x[1:])])


def arrowhead_below(x):
    return np.append(x[:-1] ** 2 + x[-1], np.prod(x))


def border(x):
    y, (a, b) = x[:10], x[10:]
    return np.concatenate([a * np.diff(y, append=0.0) + b, [np.sum(y) - a, y @ y - b**2]])


def dae(x):
    """Differential unknowns, algebraic ones, and two rows that couple them all."""
    y, z, total = x[:5], x[5:10], x[10:]
    return np.concatenate([-y * z, z - np.exp(-(y**2)) * total[0], [np.sum(y) - total[0], total[1] - y[0] * z[-1]]])


def pendulum(x):
    px, py, vx, vy, force = x
    return np.array([vx, vy, -px * force, -py * force - 9.81, px**2 + py**2 - 1.0])


def robertson(x):
    y1, y2, y3 = np.moveaxis(np.reshape(x, (4, 3)), 1, 0)
    r1, r2, r3 = 0.04 * y1, 1e4 * y2 * y3, 3e7 * y2**2
    return np.reshape(np.stack([r2 - r1, r1 - r2 - r3, r3], axis=-1), -1)


def broyden_banded(x):
    n = len(x)
    rows = []
    for i in range(n):
        near = [j for j in range(max(0, i - 5), min(n, i + 2)) if j != i]
        rows.append(x[i] * (2 + 5 * x[i] ** 2) + 1 - sum(x[j] * (1 + x[j]) for j in near))
    return np.array(rows)


def rosenbrock_residuals(x):
    return np.concatenate([10 * (x[1:] - x[:-1] ** 2), 1 - x[:-1]])


def powell(x):
    a, b, c, d = x[::4], x[1::4], x[2::4], x[3::4]
    return np.concatenate([a + 10 * b, np.sqrt(5) * (c - d), (b - 2 * c) ** 2, np.sqrt(10) * (a - d) ** 2])


def shooting(x):
    s = np.reshape(x, (4, 3))
    step = s + 0.1 * np.stack([s[:, 1], s[:, 2] * s[:, 0], -s[:, 0]], axis=1)
    return np.concatenate([s[0] - 1.0, np.ravel(step[:-1] - s[1:])])


def bodies(x):
    """Forces between all pairs: the diagonal blocks are of two, and all others."""
    q = np.reshape(x, (4, 2))
    d = q[:, None] - q[None]
    r = np.sum(d**2, axis=-1) + 0.1
    return np.ravel(np.sum(d / r[..., None] ** 1.5, axis=1))


def springs(x):
    stretch = x[EDGES[:, 0]] - x[EDGES[:, 1]]
    return np.bincount(EDGES[:, 0], stretch**3, minlength=N) - np.bincount(EDGES[:, 1], stretch**3, minlength=N)


def chain(x):
    angle = np.cumsum(x)
    return np.concatenate([np.cumsum(np.cos(angle)), np.cumsum(np.sin(angle))])


def newton_step(x):
    """An implicit Euler step, solved for with a constant tridiagonal matrix."""
    return np.linalg.solve(TRIDIAGONAL, np.diff(x, append=x[0]))


def loop(x):
    y = x * 1.0
    for _ in range(2):
        y += 0.1 * (np.roll(y, 1) - y)
    return y


MATRICES = {
    "arrowhead": Case(arrowhead),
    "arrowhead below": Case(arrowhead_below),
    "border": Case(border),
    "dae": Case(dae),
    "pendulum": Case(pendulum, (5,)),
    "robertson": Case(robertson),
    "broyden banded": Case(broyden_banded),
    "broyden tridiagonal": Case(lambda x: (3 - 2 * x) * x - np.append(0.0, x[:-1]) - 2 * np.append(x[1:], 0.0) + 1),
    "rosenbrock": Case(rosenbrock_residuals),
    "powell": Case(powell),
    "shooting": Case(shooting),
    "bodies": Case(bodies, (8,)),
    "springs": Case(springs),
    "chain": Case(chain),
    "newton step": Case(newton_step),
    "loop": Case(loop),
    "hub": Case(lambda x: x * x[0]),
    "block diagonal": Case(lambda x: np.ravel(np.tanh(np.reshape(x, (3, 4)) @ W1))),
    "permutation": Case(lambda x: x[np.array([3, 1, 0, 2, 7, 6, 5, 4, 11, 10, 8, 9])] ** 2),
    "list of numbers": Case(lambda x: np.array([x[0] * x[1], x[2] + 1.0, 3.0, np.sum(x[3:5])])),
    "stack of rows": Case(lambda x: np.stack([x[:4] * x[4:8], x[8:], np.ones(4)])),
    "block of matrices": Case(lambda x: np.block([[x, np.eye(3)], [np.zeros((2, 3)), x[:2]]]), (3, 3)),
    "polar": Case(lambda x: np.stack([np.hypot(x[::2], x[1::2]), np.arctan2(x[1::2], x[::2])], axis=1)),
}


# ----------------------------------------------------------------------------------------------- nothing, zeros, shapes
EMPTY = {
    "floor": Case(np.floor),
    "rounded part": Case(lambda x: x - np.floor(x)),
    "signs": Case(lambda x: np.sign(x) * 3.0),
    "a comparison": Case(lambda x: (x > 0).astype(float)),
    "constant": Case(lambda x: np.arange(5.0)),
    "a number": Case(lambda x: 3.0),
    "constant entries": Case(lambda x: np.concatenate([np.ones(3), x[:2], np.zeros(2)])),
    "unused inputs": Case(lambda x: x[3:7] ** 2),
    "times zero": Case(lambda x: 0.0 * x),
    "times an array of zeros": Case(lambda x: NOTHING * x + np.where(MASK, 1.0, 0.0) * np.roll(x, 1)),
    "times a broadcast zero": Case(lambda x: x * np.array([[1.0], [0.0]]), (2, 5)),
    "power zero": Case(lambda x: x**0 + np.ones(12), extra=12),
    "less itself": Case(lambda x: x - x, extra=12),
    "cancels partly": Case(lambda x: (x[1:] + x[:-1]) - x[1:], extra=11),
    "vanishes at points": Case(lambda x: x[1:] * x[:-1]),
    "squares": Case(lambda x: x**2 * np.roll(x, 1) ** 3),
    "copysign": Case(lambda x: np.copysign(2.0, x)),
    "copysign of both": Case(lambda x: np.copysign(x, np.roll(x, 1))),
    "heaviside": Case(lambda x: np.heaviside(x, 0.5)),
    "remainder": Case(lambda x: np.mod(x, 2.0) + np.fmod(np.roll(x, 1), 0.7)),
    "zeros like": Case(lambda x: np.zeros_like(x) + np.ones_like(x)),
    "constant slope": Case(lambda x: 3.0 * x - 1.0),
    "the input": Case(lambda x: x),
    "a number of a number": Case(lambda x: x**2, ()),
    "a vector of a number": Case(lambda x: x * np.arange(4.0), ()),
    "a number of one": Case(lambda x: np.reshape(x, ()), (1,)),
    "a number of many": Case(lambda x: x[3] * x[5]),
    "no inputs": Case(lambda x: x**2, (0,)),
    "no inputs, some outputs": Case(lambda x: np.concatenate([x, np.ones(2)]), (0,)),
    "no outputs": Case(lambda x: x[:0] * 2.0),
    "none of either in two dimensions": Case(lambda x: np.sum(x, axis=0), (3, 0)),
    "sum of none": Case(lambda x: np.sum(x, axis=1), (3, 0)),
    "single precision": Case(periodic, dtype=np.float32),
    "single precision, with sums": Case(softmax, (3, 4), dtype=np.float32),
    "a row": Case(lambda x: np.sin(x) * x[:, ::-1], (1, 7)),
    "a column": Case(lambda x: x * x.T, (4, 1)),
    "four dimensions": Case(lambda x: np.swapaxes(x, 1, 2)[..., ::-1] ** 2, (2, 2, 3, 2)),
    "broadcast": Case(lambda x: np.broadcast_to(x, (3, 4)) * np.arange(12.0).reshape(3, 4), (4,)),
    "maximum with zeros": Case(lambda x: np.maximum(x, NOTHING)),
    "divided": Case(lambda x: np.roll(x, 1) / (1 + x**2)),
    "zero over it": Case(lambda x: 0.0 / (1 + x**2), extra=12),
}


# ------------------------------------------------------------------------------------------------ what else users write
SPARSE = sparse.csr_array(HOLES)


class Weighted:
    """A function that is an object."""

    def __init__(self):
        self.weight = np.arange(12.0)

    def __call__(self, x):
        return self.weight * np.roll(x, 1)

    def square(self, x):
        return self.weight[1:] * np.diff(x**2)


def energy(x):
    return np.sum(np.diff(x) ** 4) + np.sum(np.cos(x))


def in_place(x):
    y = x * 1.0
    y *= np.roll(x, 1)
    y -= 0.5 * np.flip(x)
    return y


def gauss_seidel(x):
    y = [x[0]]
    for k in range(1, 6):
        y.append(0.5 * y[-1] + x[k])
    return np.array(y)


USED = {
    "an object": Case(Weighted(), extra=1),
    "a method": Case(Weighted().square),
    "a partial": Case(functools.partial(lambda a, x: a * np.diff(x), 3.0)),
    "vectorized": Case(np.vectorize(lambda v: v**2 + 1.0), (5,)),
    "a sparse matrix": Case(lambda x: np.sin(SPARSE @ x)),
    "a gradient inside": Case(md.grad(energy)),
    "a push inside": Case(lambda x: md.jvp(lambda y: y**2 * np.roll(y, 1), (x,), (np.roll(x, 2),))[1]),
    "a pull inside": Case(lambda x: md.vjp(lambda y: np.diff(y) ** 3, x)[1](np.ones(11))),
    "a Hessian's product inside": Case(lambda x: md.hvp(energy, x, np.arange(12.0))),
    "a Jacobian inside": Case(lambda x: np.diagonal(md.jacobian(lambda y: y**3)(x)), (4,)),
    "in place": Case(in_place),
    "gauss - seidel": Case(gauss_seidel),
    "list of products": Case(lambda x: np.stack([x[0] * x[1], x[2], x[3] * x[0]])[:2]),
    "inserted product": Case(lambda x: np.insert(x, 2, x[0] * x[3])),
    "cumsum of none": Case(lambda x: np.cumsum(x[:0])),
    "interp between values": Case(
        lambda x: np.interp(np.array([0.1, 2.5]), np.cumsum(x), np.arange(5.0)), (5,), extra=5, domain="positive"
    ),
    "logaddexp of a list": Case(lambda x: np.logaddexp.reduce(np.stack([v * v for v in x[:3]]))),
    "product of two sums": Case(lambda x: np.sum(x[:4]) * np.sum(x[6:])),
    "NaN left out": Case(lambda x: np.where(np.isnan(x), 0.0, x) + np.nan_to_num(np.roll(x, 1))),
    "indices after sorting": Case(lambda x: x[np.argsort(x)][np.argsort(np.argsort(x))], (5,), extra=20),
    "Runge - Kutta": Case(lambda x: x + 0.1 * (_heat(x) + _heat(x + 0.05 * _heat(x + 0.05 * _heat(x))))),
    "eight steps": Case(lambda x: functools.reduce(lambda y, _: y + 0.1 * np.roll(y, 1) ** 2, range(8), x)),
    "piecewise polynomials": Case(lambda x: np.where(x < 0, 0.0, np.where(x < 1, x**2, 2 * x - 1))),
    "one of two inputs": Case(lambda x: np.where(x[:6] > x[6:], x[:6], 2 * x[6:])),
    "softmax over axis 0": Case(lambda x: softmax(x.T).T, (4, 3)),
}


def _heat(x):
    return np.roll(x, 1) - 2 * x + np.roll(x, -1)


# -------------------------------------------------------------- few entries that spread over many: sparse plus low rank
def two_means(x):
    return x / (3 + np.sin(np.sum(x))) + np.roll(x, 1) * np.mean(np.cos(x))


def softmax_unshifted(x):
    e = np.exp(np.tanh(x))
    return e / np.sum(e)


def mean_field(x):
    return np.diff(x, append=x[0]) * np.roll(x, 3) - np.mean(x**2) * x


def of_columns(x):
    return (x - np.mean(x, axis=0)) / np.sqrt(np.var(x, axis=0) + 1e-3)


FACTORED = {
    "long softmax": Case(softmax_unshifted, (60,)),
    "long, normalized": Case(lambda x: x / np.sum(x), (60,), domain="positive"),
    "long, centred": Case(lambda x: x - np.mean(x), (60,)),
    "long, two means": Case(two_means, (60,)),
    "long, mean field": Case(mean_field, (60,)),
    "long, over its norm": Case(lambda x: x / np.sqrt(1 + x @ x) ** 3, (60,)),
    "long, less logsumexp": Case(lambda x: x - np.log(np.sum(np.exp(np.tanh(x)))), (60,)),
    "long, around the mean": Case(lambda x: np.where(x > np.mean(x), x, np.mean(x)), (60,)),
    "long, layer norm": Case(layer_norm, (3, 40)),
    "long, batch norm": Case(of_columns, (40, 3)),
    "long, rows and columns": Case(lambda x: x - np.mean(x, 0) - np.mean(x, 1, keepdims=True), (17, 18)),
    "long, low rank": Case(lambda x: COLUMNS @ np.tanh(COLUMNS.T @ x) + x**2, (60,)),
    "long, full_like": Case(lambda x: np.full_like(x, np.sum(x)) * np.sin(x), (60,)),
    "long, single precision": Case(two_means, (60,), dtype=np.float32),
}
COLUMNS = normal((60, 2))

GROUPS = [STENCILS, GRIDS, CHOOSING, SUMS, ALGEBRA, MATRICES, EMPTY, USED, FACTORED]
CASES: dict[str, Case] = {name: case for group in GROUPS for name, case in group.items()}
assert len(CASES) == sum(map(len, GROUPS))
