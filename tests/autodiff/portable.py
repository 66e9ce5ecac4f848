"""Programs for several array libraries: each takes the namespace that it calls, NumPy's or one that imitates it.

FUNCTIONS has a program for each thing that all libraries can do, with a point away from kinks. `random_programs` draws
compositions of STEPS, each of which takes two arrays of any shape and keeps its entries of moderate size.
"""

from __future__ import annotations

import math

import numpy
from hypothesis import strategies as st

rng = numpy.random.default_rng(7)


def normal(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.3, 2.0, size=shape)


def inside(*shape):
    return rng.uniform(-0.8, 0.8, size=shape)


V3, V4, A34, A43, A33, T234, T243 = (normal(*s) for s in ((3,), (4,), (3, 4), (4, 3), (3, 3), (2, 3, 4), (2, 4, 3)))
MASK = numpy.array([[True, False, True, True], [False, True, False, True], [True, True, False, False]])
LABELS = numpy.array([1, 0, 2])
BETWEEN = numpy.array([0.3, 1.2, 0.7, 2.4])  # with another spacing than the points
SPD = A33 @ A33.T + 3 * numpy.eye(3)

# ------------------------------------------------------------------------------------------------------- one at a time
_UNARY = {
    **dict.fromkeys(
        "sin cos tanh exp expm1 exp2 square negative sinh cosh arctan arcsinh sinc absolute".split(), normal
    ),
    **dict.fromkeys("sqrt log log2 log10 log1p reciprocal".split(), positive),
    **dict.fromkeys("tan arcsin arccos arctanh".split(), inside),
    "arccosh": lambda *shape: 1.2 + positive(*shape),
}
_BINARY = {
    **dict.fromkeys("add subtract multiply arctan2 logaddexp logaddexp2 maximum minimum".split(), normal),
    **dict.fromkeys("divide power remainder".split(), positive),
}


def _unary(name):
    return lambda np, x: getattr(np, name)(x)


def _each_operand(name, c):
    """A broadcast constant on either side, and both operands from x."""

    def f(np, x):
        g = getattr(np, name)
        return np.concatenate([np.ravel(g(x, c)), np.ravel(g(c, x)), np.ravel(g(x[:, None], x[0]))])

    return f


def _symmetric(np, x):
    """A symmetric positive definite matrix with well separated eigenvalues."""
    return x @ np.swapaxes(x, -1, -2) / 3 + numpy.diag(numpy.arange(1.0, x.shape[-2] + 1))


def _softmax(np, z):
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def _cross_entropy(np, x):
    return -np.mean(np.log(_softmax(np, x @ A43))[numpy.arange(3), LABELS])


def _network(np, x):
    h = np.tanh(x @ A43 + V3)
    return np.mean((h @ A34 - np.where(h[:, :1] > 0, h[:, :1], 0.1 * h[:, :1])) ** 2, axis=0)


def _layer_norm(np, x):
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return centred / np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * V4 + V4[::-1].copy()


def _attention(np, x):
    q, k = x @ A43, x @ A43[::-1].copy()
    return _softmax(np, np.einsum("...id,...jd->...ij", q, k) / 1.7) @ x


def _newton(np, x):
    y = np.ones(4)
    for _ in range(3):
        y = y - (y * y - x) / (2 * y)
    return y


FUNCTIONS = {
    **{name: (_unary(name), points(2, 3)) for name, points in _UNARY.items()},
    **{name: (_each_operand(name, points(2, 1)), points(3)) for name, points in _BINARY.items()},
    "x**3": (lambda np, x: x**3 + x**1 + x**-2, normal(4)),
    "x**0.5": (lambda np, x: x**0.5, positive(4)),
    "2**x": (lambda np, x: 2.0**x, normal(4)),
    "x**x": (lambda np, x: x**x, positive(4)),
    "x**2 at 0": (lambda np, x: x**2, numpy.array([0.0, 1.0])),
    "where": (lambda np, x: np.where(x > 0, x**2, np.sin(x)), A34),
    "where, broadcast": (lambda np, x: np.where(MASK, x, x[:, :1]), A34),
    "clip": (lambda np, x: np.clip(x, -0.5, 0.7), A34),
    # ------------------------------------------------------------------------------------------------------ reductions
    "sum": (lambda np, x: np.sum(x, axis=(0, 2)) * np.sum(x), T234),
    "sum, keepdims": (lambda np, x: x / np.sum(x**2, axis=1, keepdims=True), A34),
    "mean": (lambda np, x: np.mean(x, axis=0) * np.mean(x), A34),
    "var": (lambda np, x: np.var(x, axis=1) + np.var(x), A34),
    "std": (lambda np, x: np.std(x, axis=-1), A34),
    "max": (lambda np, x: np.max(x, axis=1) * np.max(x), A34),
    "min": (lambda np, x: np.min(x, axis=0), A34),
    "prod": (lambda np, x: np.prod(x, axis=1), positive(3, 4)),
    "cumsum": (lambda np, x: np.cumsum(x, axis=1), A34),
    "cumprod": (lambda np, x: np.cumprod(x, axis=1), A34),
    "sort": (lambda np, x: np.sort(x, axis=-1), A34),
    "diff": (lambda np, x: np.diff(x, axis=1), A34),
    "diff, twice": (lambda np, x: np.diff(x, n=2, axis=0), A43),
    "trapezoid": (lambda np, x: np.trapezoid(np.sin(x), BETWEEN, axis=-1), A34),
    "median": (lambda np, x: np.median(x, axis=1), A43),
    "percentile": (lambda np, x: np.percentile(x, 30.0, axis=1), A34),
    "cov": (lambda np, x: np.cov(x), A34),
    "corrcoef": (lambda np, x: np.corrcoef(x), A34),
    "gradient": (lambda np, x: np.gradient(np.sin(x), axis=1), A34),
    "interp": (lambda np, x: np.interp(np.sin(x), numpy.linspace(-2.0, 2.0, 7), numpy.arange(7.0) ** 2), A34),
    "nanmean": (lambda np, x: np.nanmean(np.where(MASK, x, numpy.nan), axis=1), A34),
    "norm": (lambda np, x: np.linalg.norm(x, axis=1) * np.linalg.norm(x), A34),
    "logsumexp": (lambda np, x: np.log(np.sum(np.exp(x), axis=-1)), A34),
    # ---------------------------------------------------------------------------------------------------------- shapes
    "reshape": (lambda np, x: np.reshape(x, (4, -1)) ** 2, A34),
    "transpose": (lambda np, x: np.transpose(x, (1, 2, 0)) * 0.5, T234),
    "swapaxes": (lambda np, x: np.swapaxes(x, 0, 2), T234),
    "moveaxis": (lambda np, x: np.moveaxis(x, 0, -1), T234),
    "squeeze and expand": (lambda np, x: np.squeeze(np.expand_dims(x, 1)) * x, A34),
    "broadcast_to": (lambda np, x: np.broadcast_to(x, (2, 3)) * np.sum(x), V3),
    "concatenate": (lambda np, x: np.concatenate([x, A34, x * x], axis=1), A34),
    "stack": (lambda np, x: np.stack([x, np.sin(x)], axis=-1), A34),
    "hstack and vstack": (lambda np, x: np.vstack([np.hstack([x, x]), np.hstack([x * x, x])]), A34),
    "append": (lambda np, x: np.append(x, x * x, axis=0), A34),
    "split": (lambda np, x: np.split(x, 2, axis=1)[1] * np.split(x, 2, axis=1)[0], A34),
    "tile": (lambda np, x: np.tile(x, (2, 2)), A34),
    "repeat": (lambda np, x: np.repeat(x, 2, axis=1), A34),
    "roll": (lambda np, x: np.roll(x, 1, axis=1) * x, A34),
    "flip": (lambda np, x: np.flip(x, axis=1) * x, A34),
    "rot90": (lambda np, x: np.rot90(x) * A43, A34),
    "pad": (lambda np, x: np.pad(x, ((1, 0), (0, 2))), A34),
    "diag of a vector": (lambda np, x: np.diag(x), V3),
    "diag of a matrix": (lambda np, x: np.diag(x, 1), A34),
    "trace": (lambda np, x: np.trace(x @ x), A33),
    "triangles": (lambda np, x: np.tril(x) @ np.triu(x, 1), A33),
    "meshgrid": (lambda np, x: np.meshgrid(x, x**2)[0] * np.meshgrid(x, x**2)[1], V3),
    # -------------------------------------------------------------------------------------------------------- indexing
    "slices": (lambda np, x: x[1:, ::2] * x[:2, 1::2], A34),
    "newaxis": (lambda np, x: x[:, None] * x[None, :], V3),
    "negative": (lambda np, x: x[-1] * x[..., -2:-1], A34),
    "list with repeats": (lambda np, x: x[numpy.array([0, 2, 2])] ** 2, A34),
    "pairs": (lambda np, x: x[numpy.array([0, 0, 2]), numpy.array([1, 1, 3])], A34),
    "apart": (lambda np, x: x[numpy.array([0, 1]), :, numpy.array([1, 3])], T234),
    "mask": (lambda np, x: x[MASK] ** 2, A34),
    "take": (lambda np, x: np.take(x, numpy.array([[0, 3], [1, 1]]), axis=1), A34),
    "rows": (lambda np, x: sum(row * k for k, row in enumerate(x)), A34),
    # -------------------------------------------------------------------------------------------------------- products
    "vector @ vector": (lambda np, x: x @ x, V3),
    "matrix @ vector": (lambda np, x: np.matmul(A34, x), V4),
    "vector @ matrix": (lambda np, x: x @ A34 * x[0], V3),
    "x @ x.T": (lambda np, x: x @ x.T, A34),
    "batches": (lambda np, x: x @ T243, T234),
    "batch, broadcast": (lambda np, x: np.matmul(T243, x), A34),
    "dot": (lambda np, x: np.dot(x, A43), A34),
    "inner": (lambda np, x: np.inner(x, x), A34),
    "outer": (lambda np, x: np.outer(x, np.sin(x)), V3),
    "tensordot": (lambda np, x: np.tensordot(x, A43, axes=1), T234),
    "tensordot, two axes": (lambda np, x: np.tensordot(T234, x, axes=[[1, 2], [0, 1]]), A34),
    "kron": (lambda np, x: np.kron(x, x), A33[:2, :2].copy()),
    "cross": (lambda np, x: np.cross(x, A43), A43),
    "convolve": (lambda np, x: np.convolve(x, x[:3], mode="same"), normal(6)),
    "polyval": (lambda np, x: np.polyval(x, 1.5) * np.polyval(x, x), V3),
    "einsum product": (lambda np, x: np.einsum("ij,jk->ik", x, A43), A34),
    "einsum batch": (lambda np, x: np.einsum("bij,bjk->ik", x, T243), T234),
    "einsum trace": (lambda np, x: np.einsum("ii", x) * np.einsum("ii->i", x), A33),
    "einsum outer": (lambda np, x: np.einsum("bi,bj->bij", x, x), A34),
    "einsum three": (lambda np, x: np.einsum("ij,kj,k->i", x, x, V3), A34),
    "einsum ellipsis": (lambda np, x: np.einsum("...i,ij->...j", x, A43), T234),
    # -------------------------------------------------------------------------------------------------- linear algebra
    "inv": (lambda np, x: np.linalg.inv(x), SPD + 0.3 * A33),
    "solve": (lambda np, x: np.linalg.solve(x, x @ A34), SPD + 0.3 * A33),
    "solve, one vector": (lambda np, x: np.linalg.solve(x, V3), SPD + 0.3 * A33),
    "det": (lambda np, x: np.linalg.det(x), SPD + 0.3 * A33),
    "slogdet": (lambda np, x: np.linalg.slogdet(x)[1], SPD + 0.3 * A33),
    "cholesky": (lambda np, x: np.linalg.cholesky(_symmetric(np, x)), A33),
    "eigvalsh": (lambda np, x: np.linalg.eigvalsh(_symmetric(np, x)), A33),
    "eigh": (lambda np, x: np.linalg.eigh(_symmetric(np, x))[1] ** 2, A33),  # squares: the signs are arbitrary
    "matrix_power": (lambda np, x: np.linalg.matrix_power(x, 3), A33),
    "svd, values": (lambda np, x: np.linalg.svd(x, compute_uv=False), A34),
    "svd, vectors": (lambda np, x: np.abs(np.linalg.svd(x, full_matrices=False)[2]), A34),
    "pinv": (lambda np, x: np.linalg.pinv(x), A34),
    "qr": (lambda np, x: np.abs(np.linalg.qr(x)[1]), A43),
    "inv, batch": (lambda np, x: np.linalg.inv(_symmetric(np, x)), T234),
    # -------------------------------------------------------------------------------------------------- deep learning
    "softmax": (_softmax, A34),
    "cross entropy": (_cross_entropy, A34),
    "network": (_network, A34),
    "layer norm": (_layer_norm, A34),
    "attention": (_attention, T234),
    "Newton's iteration": (_newton, positive(4)),
}


# ------------------------------------------------------------------------------------------------------------ at random
def _fitting(np, a, b):
    """``b``, or its sum if it cannot be broadcast with ``a``."""
    try:
        rank = len(numpy.broadcast_shapes(a.shape, b.shape))
    except ValueError:
        return np.sum(b)
    return b if rank <= 4 else np.sum(b)


def _axis(a):
    return (len(a.shape) - 1) // 2 if len(a.shape) else None


def _matrix(np, a):
    """A matrix with the entries of ``a``, at most 3 by 3 of them."""
    return np.reshape(a, (-1, a.shape[-1] if len(a.shape) else 1))[:3, :3]


def _weights(a):
    n = a.shape[-1]
    return numpy.sin(numpy.arange(1.0, 2 * n + 1)).reshape(n, 2) / n


def _indices(a):
    return numpy.array([0, a.shape[0] - 1, 0])


def _binary(step):
    return lambda np, a, b: step(np, a, _fitting(np, a, b))


def _of_arrays(step):
    """A step for an array with axes; a number passes unchanged."""
    return lambda np, a, b: step(np, a) if len(a.shape) else a


STEPS = {
    "sin": lambda np, a, b: np.sin(a),
    "tanh": lambda np, a, b: np.tanh(a),
    "arctan": lambda np, a, b: np.arctan(a),
    "gauss": lambda np, a, b: np.exp(-np.square(a)),
    "log1p": lambda np, a, b: np.log1p(np.square(a)),
    "sqrt": lambda np, a, b: np.sqrt(1.0 + a * a),
    "quotient": lambda np, a, b: a / (1.0 + a**2),
    "cube": lambda np, a, b: np.cos(a) ** 3,
    "expm1": lambda np, a, b: np.expm1(0.3 * np.tanh(a)),
    "arcsinh": lambda np, a, b: np.arcsinh(a),
    "power": lambda np, a, b: (1.5 + np.sin(a)) ** np.tanh(_fitting(np, a, b)),
    "abs": lambda np, a, b: np.abs(a + 0.1234),
    "plus": _binary(lambda np, a, b: np.tanh(a + b)),
    "minus": _binary(lambda np, a, b: a - 0.5 * b),
    "times": _binary(lambda np, a, b: np.tanh(a) * np.sin(b)),
    "over": _binary(lambda np, a, b: np.tanh(a) / (1.5 + np.cos(b))),
    "arctan2": _binary(lambda np, a, b: np.arctan2(b, 2.0 + np.square(a))),
    "logaddexp": _binary(lambda np, a, b: np.logaddexp(np.tanh(a), b)),
    "maximum": _binary(lambda np, a, b: np.maximum(np.sin(a + 0.31), 0.7 * b)),
    "where": _binary(lambda np, a, b: np.where(a > 0.123, np.sin(a), b * a)),
    "sum": lambda np, a, b: np.sum(a, axis=_axis(a)),
    "mean": lambda np, a, b: np.mean(a, axis=_axis(a), keepdims=True),
    "max": lambda np, a, b: np.max(a, axis=_axis(a)),
    "var": lambda np, a, b: np.var(a, axis=_axis(a)),
    "norm": lambda np, a, b: np.sqrt(1.0 + np.sum(a * a)),
    "prod": lambda np, a, b: np.tanh(np.prod(1.2 + 0.4 * np.sin(a), axis=_axis(a))),
    "cumsum": _of_arrays(lambda np, a: np.tanh(np.cumsum(a, axis=_axis(a)))),
    "softmax": _of_arrays(_softmax),
    "flat": lambda np, a, b: np.reshape(a, (-1,)),
    "transpose": lambda np, a, b: np.transpose(a),
    "column": lambda np, a, b: np.expand_dims(a, -1) if len(a.shape) < 4 else a,
    "squeeze": lambda np, a, b: np.squeeze(a),
    "flip": _of_arrays(lambda np, a: np.flip(a, axis=0)),
    "roll": _of_arrays(lambda np, a: np.roll(a, 1, axis=-1)),
    "concatenate": _of_arrays(lambda np, a: np.concatenate([a, np.sin(a)], axis=0)),
    "stack": lambda np, a, b: np.stack([a, a * a], axis=-1) if len(a.shape) < 4 else a,
    "first": _of_arrays(lambda np, a: a[0]),
    "last column": _of_arrays(lambda np, a: a[..., -1]),
    "every second": _of_arrays(lambda np, a: a[::2]),
    "gather": _of_arrays(lambda np, a: a[_indices(a)]),
    "take": _of_arrays(lambda np, a: np.take(a, _indices(a), axis=0)),
    "matmul": _of_arrays(lambda np, a: a @ _weights(a)),
    "gram": lambda np, a, b: _matrix(np, a) @ _matrix(np, a).T,
    "bilinear": lambda np, a, b: np.einsum("ij,kj->ik", _matrix(np, a), np.sin(_matrix(np, a))),
    "einsum": _of_arrays(lambda np, a: np.einsum("...i,ij->...j", a, _weights(a))),
    "tensordot": _of_arrays(lambda np, a: np.tensordot(a, _weights(a), axes=1)),
    "outer": lambda np, a, b: np.outer(np.reshape(a, (-1,))[:4], np.reshape(b, (-1,))[:4]),
    "inv": lambda np, a, b: np.linalg.inv(_symmetric(np, np.tanh(_matrix(np, a)))),
    "solve": lambda np, a, b: np.linalg.solve(_symmetric(np, np.tanh(_matrix(np, a))), _matrix(np, a)),
    "det": lambda np, a, b: np.linalg.slogdet(_symmetric(np, np.tanh(_matrix(np, a))))[1],
    "cholesky": lambda np, a, b: np.linalg.cholesky(_symmetric(np, np.tanh(_matrix(np, a)))),
    "eigenvalues": lambda np, a, b: np.linalg.eigh(_symmetric(np, np.tanh(_matrix(np, a))))[0],
}
MOST = 40  # entries of an array in a random program


class Program:
    """Steps with the places of their two operands, counted back from the newest array."""

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, np, x):
        pool = [x]
        for name, first, second in self.steps:
            made = STEPS[name](np, pool[-1 - first % len(pool)], pool[-1 - second % len(pool)])
            pool.append(made if math.prod(made.shape) <= MOST else np.sum(made))
        return pool[-1]

    def __repr__(self):
        return f"Program({self.steps})"


def random_programs():
    """Compositions of steps. Each begins at the newest array more often than not, so that few steps are idle."""
    place = st.sampled_from([0, 0, 1, 2])
    return st.lists(st.tuples(st.sampled_from(sorted(STEPS)), place, place), min_size=1, max_size=6).map(Program)


@st.composite
def points(draw):
    """Arrays of rank 0 to 3."""
    shape = draw(st.lists(st.integers(1, 3), max_size=3))
    return numpy.random.default_rng(draw(st.integers(0, 10**6))).uniform(-1.5, 1.5, size=shape)
