"""For each NumPy function that has a rule: functions of one array that use it, and a point for each.

A function without a case here makes test_rules.py fail. Points stay away from kinks.
"""

from __future__ import annotations

import numpy as np
import scipy.special as special

rng = np.random.default_rng(0)


def normal(*shape):
    return rng.normal(size=shape)


def positive(*shape):
    return rng.uniform(0.3, 2.0, size=shape)


def inside(*shape):
    return rng.uniform(-0.8, 0.8, size=shape)


def spd(n, *batch):
    a = normal(*batch, n, n)
    return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)


A32, A23, A34, A43, A33 = normal(3, 2), normal(2, 3), normal(3, 4), normal(4, 3), normal(3, 3)
B2, B3, B4 = normal(2), normal(3), normal(4)
T234, T243, T134 = normal(2, 3, 4), normal(2, 4, 3), normal(1, 3, 4)
MASK = np.array([[True, False, True, True], [False, True, False, True], [True, True, False, False]])

# ------------------------------------------------------------------------------------------------ elementwise functions
UNARY = {
    **dict.fromkeys(
        "sin cos tanh exp expm1 exp2 square negative positive sinh cosh arctan arcsinh sinc".split(), normal
    ),
    **dict.fromkeys("conjugate absolute fabs deg2rad rad2deg degrees radians cbrt".split(), normal),
    **dict.fromkeys("sqrt log log2 log10 log1p reciprocal".split(), positive),
    **dict.fromkeys("arcsin arccos arctanh tan".split(), inside),
    "arccosh": lambda *shape: 1.2 + positive(*shape),
}
BINARY = {
    **dict.fromkeys(
        "add subtract multiply arctan2 hypot logaddexp logaddexp2 maximum minimum fmax fmin".split(), normal
    ),
    **dict.fromkeys("divide power float_power remainder fmod".split(), positive),
    "copysign": normal,
    "heaviside": normal,
}
SPECIAL = {
    **dict.fromkeys("expit log_expit erf erfc ndtr".split(), normal),
    "logit": lambda *shape: rng.uniform(0.1, 0.9, shape),
    "erfinv": inside,
    **dict.fromkeys("gammaln gamma entr psi".split(), positive),
}


def unary_cases(function, points):
    return [(function, points(3)), (function, points(2, 3)), (function, points())]


def binary_cases(function, points):
    """Each operand alone, both at once, and every way of broadcasting."""
    c3, c1, c0, c23 = points(3), points(2, 1), points(), points(2, 3)
    return [
        (lambda x: function(x, c3), points(3)),
        (lambda x: function(c3, x), points(3)),
        (lambda x: function(x[0], x[1]), points(2, 3)),
        (lambda x: function(x, c1), points(3)),
        (lambda x: function(c1, x), points(3)),
        (lambda x: function(x[:3], x[3]), points(4)),
        (lambda x: function(x[3], x[:3]), points(4)),
        (lambda x: function(x[:, None], x[1]), points(3)),
        (lambda x: function(x, c0), points(2, 3)),
        (lambda x: function(float(c0), x), points(2, 3)),
        (lambda x: function(x, c23), points()),
        (lambda x: function(x, c23), points(1, 3)),
        (lambda x: function(x, c23), points(2, 1)),
    ]


ELEMENTWISE = {getattr(np, name): unary_cases(getattr(np, name), points) for name, points in UNARY.items()}
ELEMENTWISE |= {getattr(np, name): binary_cases(getattr(np, name), points) for name, points in BINARY.items()}
ELEMENTWISE[np.ldexp] = [(lambda x: np.ldexp(x, np.array([1, 2, -3])), normal(3))]
ELEMENTWISE[np.heaviside] = [(lambda x: np.heaviside(np.array([-1.0, 0.0, 2.0]), x), normal(3))]
ELEMENTWISE[np.copysign] = [
    (lambda x: np.copysign(x, B3), normal(3)),
    (lambda x: np.copysign(x[0], x[1]), normal(2, 3)),
]
SPECIAL_CASES = {name: unary_cases(getattr(special, name), points) for name, points in SPECIAL.items()}

SPECIAL_CASES["_zeta"] = [(lambda x: special.zeta(2.5, x), positive(3))]
SPECIAL_CASES |= {name: binary_cases(getattr(special, name), positive) for name in ("xlogy", "rel_entr")}

POWERS = [
    *[(lambda x, c=c: x**c, normal(4)) for c in (-3, -2, -1, 1, 2, 3, 4)],
    *[(lambda x, c=c: x**c, positive(4)) for c in (-0.5, 0.5, 1.5, 2.0, 0.0)],
    (lambda x: x ** np.array([1, 2, 3, -1]), normal(4)),
    (lambda x: x ** np.array([0.0, 2.0, 3.0, 1.0]), normal(4)),
    (lambda x: 2.0**x, normal(4)),
    (lambda x: x**x, positive(4)),
    (lambda x: x**2, np.array([0.0, 1.0])),
    (lambda x: x**3 + x**1, np.array([0.0, -1.0])),
]

# ------------------------------------------------------------------------------------------------------ everything else
HOLES = np.eye(3, 4, 1) > 0
OTHER = {
    np.reshape: [
        (lambda x: np.reshape(x, (4, 3)), A34),
        (lambda x: np.reshape(x, -1, order="F") * np.arange(12.0), A34),
        (lambda x: np.reshape(x, (2, 6), order="F"), A34),
        (lambda x: x.reshape(3, -1).reshape((12,)), T134),
        (lambda x: x.reshape(()), np.ones(1)),
    ],
    np.ravel: [(np.ravel, A34), (lambda x: np.ravel(x, order="F"), A34), (lambda x: x.flatten() + x.ravel(), A34)],
    np.transpose: [
        (np.transpose, A34),
        (lambda x: np.transpose(x, (1, 2, 0)), T234),
        (lambda x: x.T @ x, A34),
        (lambda x: x.transpose(2, 0, 1), T234),
        (lambda x: x.transpose((-1, 0, 1)), T234),
    ],
    np.permute_dims: [(lambda x: np.permute_dims(x, (2, 0, 1)), T234)],
    np.matrix_transpose: [(np.matrix_transpose, T234), (lambda x: x.mT, T234)],
    np.linalg.matrix_transpose: [(np.linalg.matrix_transpose, T234)],
    np.swapaxes: [(lambda x: np.swapaxes(x, 0, -1), T234), (lambda x: x.swapaxes(1, 2), T234)],
    np.moveaxis: [(lambda x: np.moveaxis(x, 0, -1), T234), (lambda x: np.moveaxis(x, [0, 1], [2, 0]), T234)],
    np.rollaxis: [(lambda x: np.rollaxis(x, 2), T234), (lambda x: np.rollaxis(x, 0, 3), T234)],
    np.squeeze: [(np.squeeze, T134), (lambda x: np.squeeze(x, 0), T134), (lambda x: x.squeeze(), T134)],
    np.expand_dims: [(lambda x: np.expand_dims(x, 1), A34), (lambda x: np.expand_dims(x, (0, -1)), A34)],
    np.atleast_1d: [(np.atleast_1d, normal()), (lambda x: np.atleast_1d(x, x[0])[1], B3)],
    np.atleast_2d: [(np.atleast_2d, B3)],
    np.atleast_3d: [(np.atleast_3d, A34)],
    np.broadcast_to: [
        (lambda x: np.broadcast_to(x, (2, 3)), B3),
        (lambda x: np.broadcast_to(x, (4, 3, 2)), normal(3, 1)),
    ],
    np.broadcast_arrays: [(lambda x: np.broadcast_arrays(x, A43)[0] * A43, B3)],
    np.take: [
        (lambda x: np.take(x, [0, 2, 2]), B3),
        (lambda x: np.take(x, [[0, -1], [1, 1]], axis=1), A34),
        (lambda x: x.take(2), A34),
    ],
    np.take_along_axis: [(lambda x: np.take_along_axis(x, np.argsort(x, axis=1), axis=1), A34)],
    np.compress: [(lambda x: np.compress([True, False, True], x, axis=0), A34), (lambda x: x.compress([0, 1, 1]), B3)],
    np.extract: [(lambda x: np.extract(MASK, x), A34)],
    np.sort: [(np.sort, A34), (lambda x: np.sort(x, axis=0), A34), (lambda x: np.sort(x, axis=None), A34)],
    np.partition: [(lambda x: np.partition(x, 1)[..., 1], A34), (lambda x: np.partition(x, 2, axis=None)[2], A34)],
    np.roll: [(lambda x: np.roll(x, 1), A34), (lambda x: np.roll(x, (1, 2), (0, 1)), A34)],
    np.flip: [(np.flip, A34), (lambda x: np.flip(x, 1), A34), (lambda x: np.flip(x, (0, 1)), A34)],
    np.fliplr: [(np.fliplr, A34)],
    np.flipud: [(np.flipud, A34)],
    np.rot90: [(np.rot90, A34), (lambda x: np.rot90(x, 3), A34)],
    np.tile: [(lambda x: np.tile(x, 2), B3), (lambda x: np.tile(x, (2, 1, 2)), A34)],
    np.repeat: [
        (lambda x: np.repeat(x, 2), A34),
        (lambda x: np.repeat(x, [1, 0, 2], axis=0), A34),
        (lambda x: x.repeat(2, axis=1), A34),
    ],
    np.resize: [(lambda x: np.resize(x, (2, 4)), B3)],
    np.delete: [(lambda x: np.delete(x, 1), B3), (lambda x: np.delete(x, [0, 2], axis=1), A34)],
    np.trim_zeros: [(lambda x: np.trim_zeros(np.concatenate([np.zeros(2), x])), B3)],
    np.diagonal: [(np.diagonal, A34), (lambda x: np.diagonal(x, 1, 0, 2), T234), (lambda x: x.diagonal(), A34)],
    np.linalg.diagonal: [(np.linalg.diagonal, T234)],
    np.diag: [(np.diag, B3), (lambda x: np.diag(x, 1), B3), (lambda x: np.diag(x, -1), A34)],
    np.diagflat: [(lambda x: np.diagflat(x, 1), B3)],
    np.tril: [(np.tril, A34), (lambda x: np.tril(x, 1), T234)],
    np.triu: [(np.triu, A34), (lambda x: np.triu(x, -1), T234)],
    np.pad: [
        (lambda x: np.pad(x, 2), B3),
        (lambda x: np.pad(x, ((0, 1), (2, 0))), A34),
        *[(lambda x, mode=mode: np.pad(x, 2, mode=mode), A34) for mode in ("edge", "reflect", "symmetric", "wrap")],
    ],
    np.concatenate: [
        (lambda x: np.concatenate([x, B3, x * x]), B3),
        (lambda x: np.concatenate([A34, x], axis=-1), A34),
        (lambda x: np.concatenate((x, B3), axis=None), A34),
        (lambda x: np.concat([x, x]), A34),
        (lambda x: np.concatenate(x), T234),
    ],
    np.stack: [
        (lambda x: np.stack([x[0] * x[1], x[2], 1.0]), B3),
        (lambda x: np.stack([x, A34], axis=1), A34),
        (lambda x: np.stack((x, x**2), -1), A34),
    ],
    np.hstack: [(lambda x: np.hstack([x, B3]), B3), (lambda x: np.hstack([x, A33]), A34)],
    np.vstack: [(lambda x: np.vstack([x, B3]), B3)],
    np.dstack: [(lambda x: np.dstack([x, A34]), A34)],
    np.column_stack: [(lambda x: np.column_stack([x, A34]), B3)],
    np.block: [
        (lambda x: np.block([[x, A33], [A34, x[:, :3]]]), A34),
        (lambda x: np.block([x, 1.0, x]), B3),
    ],
    np.append: [(lambda x: np.append(x, 1.0), B3), (lambda x: np.append(x, A34, axis=0), A34)],
    np.insert: [(lambda x: np.insert(x, 1, 5.0), B3), (lambda x: np.insert(x, [0, 2], x[0], axis=0), A34)],
    np.split: [(lambda x: np.split(x, 2, axis=1)[1], A34), (lambda x: np.split(x, [1, 3])[1], B4)],
    np.array_split: [(lambda x: np.array_split(x, 3)[0], B4)],
    np.hsplit: [(lambda x: np.hsplit(x, 2)[1], A34)],
    np.vsplit: [(lambda x: np.vsplit(x, 3)[1], A34)],
    np.dsplit: [(lambda x: np.dsplit(x, 2)[1], T234)],
    np.where: [
        (lambda x: np.where(x > 0, x**2, A34), A34),
        (lambda x: np.where(MASK, x, 0.0), B4),
        (lambda x: np.where(MASK, x[0], x), A34),
        (lambda x: np.where(MASK, x[0], 1.0), B4),
        (lambda x: np.where(x[0] > -9, x, 2 * x), B4),
    ],
    np.select: [(lambda x: np.select([x > 1, x > 0], [x**2, x**3], 7.0), A34)],
    np.copy: [(lambda x: np.copy(x) * x.copy(), B3)],
    np.full_like: [(lambda x: np.full_like(x, x[1]), A34[0]), (lambda x: np.full_like(x, 2.0) * x, B3)],
    np.linspace: [
        (lambda x: np.linspace(x[0], x[1], 5), B3),
        (lambda x: np.linspace(x, 2.0, 4, endpoint=False, axis=-1), A34),
        (lambda x: np.linspace(0.0, x, 1), B3),
    ],
    np.real: [(lambda x: np.real(x) * x.real, B3)],
    np.real_if_close: [(np.real_if_close, B3)],
    np.astype: [(lambda x: np.astype(x, float), B3)],
    np.fft.fftshift: [(np.fft.fftshift, A34), (lambda x: np.fft.fftshift(x, 1), A34)],
    np.fft.ifftshift: [(np.fft.ifftshift, A34)],
    np.meshgrid: [(lambda x: np.meshgrid(x, x**2)[1], B3), (lambda x: np.meshgrid(x, B4, indexing="ij")[0], B3)],
    # ---------------------------------------------------------------------------------------------------- products
    np.matmul: [
        (lambda x: x @ B3, B3),
        (lambda x: B3 @ x, B3),
        (lambda x: x @ x, B3),
        (lambda x: x @ A34, B3),
        (lambda x: B3 @ x, A34),
        (lambda x: x @ B4, A34),
        (lambda x: A34 @ x, B4),
        (lambda x: x @ A43, A34),
        (lambda x: A43 @ x, A34),
        (lambda x: x @ x.T, A34),
        (lambda x: x @ T243, T234),
        (lambda x: T243 @ x, T234),
        (lambda x: x @ A43, T234),
        (lambda x: T243 @ x, A34),
        (lambda x: x @ T243, A34),
        (lambda x: A43 @ x, T234),
        (lambda x: x @ T243, T134),
        (lambda x: T243 @ x, T134),
        (lambda x: x @ B4, T234),
        (lambda x: T234 @ x, B4),
        (lambda x: B3 @ x, T234),
        (lambda x: x @ T234, B3),
        (lambda x: normal_4d @ x, T234),
        (lambda x: x @ normal_4d, T234),
        (lambda x: np.matmul(x, np.swapaxes(x, -1, -2)), T234),
    ],
    np.linalg.matmul: [(lambda x: np.linalg.matmul(x, A43), A34)],
    np.dot: [
        (lambda x: np.dot(x, 2.0), B3),
        (lambda x: np.dot(3.0, x), B3),
        (lambda x: np.dot(x, A34), B3),
        (lambda x: np.dot(A34, x), B4),
        (lambda x: x.dot(B3), B3),
        (lambda x: np.dot(x, T243), T234),
        (lambda x: np.dot(T243, x), T234),
        (lambda x: np.dot(T234, x), B4),
    ],
    np.inner: [(lambda x: np.inner(x, A34), B4), (lambda x: np.inner(T234, x), A34), (lambda x: np.inner(x, 2.0), B3)],
    np.vdot: [(lambda x: np.vdot(x, A34 + x), A34)],
    np.outer: [(lambda x: np.outer(x, B4), B3), (lambda x: np.outer(x, x), A23)],
    np.linalg.outer: [(lambda x: np.linalg.outer(B4, x), B3)],
    np.tensordot: [
        (lambda x: np.tensordot(x, A34), A34),
        (lambda x: np.tensordot(x, A43, 1), T234),
        (lambda x: np.tensordot(T234, x, ([0, 2], [1, 0])), normal(4, 2)),
        (lambda x: np.tensordot(x, x, 0), B3),
    ],
    np.linalg.tensordot: [(lambda x: np.linalg.tensordot(x, A43, axes=1), A34)],
    np.kron: [(lambda x: np.kron(x, A23), A32), (lambda x: np.kron(A23, x), B3), (lambda x: np.kron(x, x), B3)],
    np.cross: [
        (lambda x: np.cross(x, B3), B3),
        (lambda x: np.cross(A43, x, axisb=0), A34),
        (lambda x: np.cross(x, A34, axis=0), A34),
    ],
    np.linalg.cross: [(lambda x: np.linalg.cross(x, A43), A43)],
    np.convolve: [
        *[(lambda x, mode=mode: np.convolve(x, B3, mode), normal(5)) for mode in ("full", "same", "valid")],
        *[(lambda x, mode=mode: np.convolve(B2, x, mode), normal(5)) for mode in ("full", "same", "valid")],
        (lambda x: np.convolve(x, x[:4], "same"), normal(5)),
    ],
    np.polyval: [(lambda x: np.polyval(x, 1.5), B3), (lambda x: np.polyval(B3, x), A34)],
    np.einsum: [
        (lambda x: np.einsum(x, [0, 1], A43, [1, 2], [0, 2]), A34),
        (lambda x: np.einsum(A43, [Ellipsis, 1], x, [1, 2]), A34),
        (lambda x: np.einsum("ij,jk->ik", x, A43), A34),
        (lambda x: np.einsum("ij,jk", A43, x), A34),
        (lambda x: np.einsum("ii->i", x), A33),
        (lambda x: np.einsum("ii", x), A33),
        (lambda x: np.einsum("ij->ji", x), A34),
        (lambda x: np.einsum("ij->", x), A34),
        (lambda x: np.einsum("i,j,k->kij", x, B2, x), B3),
        (lambda x: np.einsum("...ij,...jk->...ik", T234, x), T243),
        (lambda x: np.einsum("...ij,jk->...ik", x, A43), T234),
        (lambda x: np.einsum("ij,kl->i", x, A34), A34),
        (lambda x: np.einsum("iij,j->i", x, B4), normal(3, 3, 4)),
        (lambda x: np.einsum("bi,bj->bij", x, x), A34),
        (lambda x: np.einsum("ij,ij->j", x, A34, optimize=True), normal(1, 4)),
        (lambda x: np.einsum("i...->...", x), T234),
        (lambda x: np.einsum("ba,cb", x, A33), A34),
    ],
    # -------------------------------------------------------------------------------------------------- reductions
    np.sum: [
        (np.sum, A34),
        (lambda x: x.sum(axis=0), A34),
        (lambda x: np.sum(x, axis=(0, -1), keepdims=True), T234),
        (lambda x: np.sum(x, 1), T234),
        (lambda x: x.sum(-1, keepdims=True), T234),
        (np.sum, normal()),
        (lambda x: np.add.reduce(x), A34),
        (lambda x: np.add.reduce(x, axis=1, keepdims=True), A34),
    ],
    np.mean: [(np.mean, A34), (lambda x: x.mean(axis=(0, 1)), T234), (lambda x: x.mean(1, keepdims=True), A34)],
    np.average: [
        (lambda x: np.average(x, axis=0, weights=np.array([1.0, 2.0, 3.0])), A34),
        (lambda x: np.average(A34, weights=x), positive(3, 4)),
        (lambda x: np.average(x, axis=1), A34),
    ],
    np.var: [(np.var, A34), (lambda x: x.var(axis=1, ddof=1), A34), (lambda x: np.var(x, 0, keepdims=True), A34)],
    np.std: [(np.std, A34), (lambda x: x.std(axis=1, ddof=1), A34)],
    np.max: [
        (np.max, A34),
        (lambda x: x.max(axis=1), A34),
        (lambda x: np.max(x, axis=(0, 2), keepdims=True), T234),
        (lambda x: np.amax(x, 0), A34),
        (lambda x: np.maximum.reduce(x), A34),
    ],
    np.min: [(np.min, A34), (lambda x: x.min(0), A34), (lambda x: np.amin(x, axis=-1), T234)],
    np.ptp: [(np.ptp, A34), (lambda x: np.ptp(x, axis=1), A34)],
    np.clip: [
        (lambda x: np.clip(x, -0.5, 0.7), A34),
        (lambda x: x.clip(None, 0.3), A34),
        (lambda x: x.clip(min=0.1), A34),
        (lambda x: np.clip(A34, x, 2.0), B4),
    ],
    np.median: [
        (np.median, A34),
        (lambda x: np.nan_to_num(np.median(np.where(np.arange(4) > 2, x, np.where(HOLES, np.nan, x)), axis=1)), A34),
        (lambda x: np.median(x, axis=0), A34),
        (lambda x: np.median(x, axis=1, keepdims=True), A34),
    ],
    np.prod: [
        (np.prod, A34),
        (lambda x: x.prod(axis=1), A34),
        (lambda x: np.prod(x, axis=(0, 2), keepdims=True), T234),
        (np.prod, np.array([2.0, 0.0, 3.0])),
        (np.prod, np.array([2.0, 0.0, 0.0])),
        (lambda x: np.multiply.reduce(x), A34),
    ],
    np.cumsum: [(np.cumsum, A34), (lambda x: x.cumsum(axis=1), A34), (lambda x: np.add.accumulate(x), A34)],
    np.cumprod: [
        (np.cumprod, A34),
        (lambda x: x.cumprod(axis=1), A34),
        (np.cumprod, np.array([2.0, 0.0, 3.0, 0.0, 5.0])),
        (lambda x: np.multiply.accumulate(x), A34),
    ],
    np.diff: [
        (np.diff, A34),
        (lambda x: np.diff(x, n=2, axis=0), A34),
        (lambda x: np.diff(x, prepend=0.0, append=x[:, :1]), A34),
    ],
    np.ediff1d: [(np.ediff1d, A34)],
    np.trapezoid: [
        (np.trapezoid, A34),
        (lambda x: np.trapezoid(x, dx=0.5, axis=0), A34),
        (lambda x: np.trapezoid(A34, x), B4),
        (lambda x: np.trapezoid(x, A34), A34),
    ],
    np.trace: [(np.trace, A34), (lambda x: x.trace(1, 1, 2), T234)],
    np.linalg.trace: [(np.linalg.trace, T234)],
    np.nan_to_num: [(lambda x: np.nan_to_num(np.concatenate([x, np.array([np.nan])])), B3)],
    # --------------------------------------------------------------------------------------------- linear algebra
    np.linalg.inv: [(np.linalg.inv, spd(3) + A33), (np.linalg.inv, spd(2, 2))],
    np.linalg.solve: [
        (lambda x: np.linalg.solve(x, B3), spd(3)),
        (lambda x: np.linalg.solve(spd3, x), B3),
        (lambda x: np.linalg.solve(spd3, x), A34),
        (lambda x: np.linalg.solve(x, A34), spd(3)),
        (lambda x: np.linalg.solve(x, A34), spd(3, 2)),
        (lambda x: np.linalg.solve(spd3_batch, x), A34),
        (lambda x: np.linalg.solve(x, T234), spd(3)),
        (lambda x: np.linalg.solve(x, x @ x), spd(3)),
    ],
    np.linalg.matrix_power: [
        (lambda x: np.linalg.matrix_power(x, 3), A33),
        (lambda x: np.linalg.matrix_power(x, -2), spd(3)),
        (lambda x: np.linalg.matrix_power(x, 0) + x, A33),
    ],
    np.linalg.multi_dot: [(lambda x: np.linalg.multi_dot([A43, x, A43]), A34)],
    np.linalg.det: [(np.linalg.det, A33), (np.linalg.det, spd(2, 2))],
    np.linalg.slogdet: [
        (lambda x: np.linalg.slogdet(x)[1], A33),
        (lambda x: np.linalg.slogdet(x).logabsdet, spd(2, 2)),
    ],
    np.linalg.cholesky: [
        (np.linalg.cholesky, spd(3)),
        (np.linalg.cholesky, spd(2, 2)),
        (lambda x: np.linalg.cholesky(x, upper=True), spd(3)),
    ],
    np.linalg.eigvalsh: [(np.linalg.eigvalsh, spd(3)), (lambda x: np.linalg.eigvalsh(x, "U"), spd(3))],
    np.linalg.eigh: [
        (lambda x: np.linalg.eigh(x)[0], spd(3)),
        (lambda x: np.linalg.eigh(x).eigenvalues, spd(2, 2)),
        (lambda x: np.square(np.linalg.eigh(x)[1]), spd(3)),  # squares: the signs of eigenvectors are arbitrary
        (lambda x: np.square(np.linalg.eigh(x, "U").eigenvectors), spd(3)),
        (lambda x: np.square(np.linalg.eigh(x)[1]), spd(2, 2)),
    ],
    np.linalg.norm: [
        (np.linalg.norm, A34),
        (np.linalg.norm, B3),
        (lambda x: np.linalg.norm(x, axis=1), A34),
        (lambda x: np.linalg.norm(x, axis=1, keepdims=True), A34),
        *[(lambda x, p=p: np.linalg.norm(x, p), B3) for p in (1, 2, 3, 2.5, np.inf, -np.inf)],
        *[(lambda x, p=p: np.linalg.norm(x, p), A34) for p in ("fro", 1, -1, np.inf, -np.inf, 2, -2, "nuc")],
        (lambda x: np.linalg.norm(x, 2, axis=(0, 2), keepdims=True), T234),
        (lambda x: np.linalg.norm(x, axis=(0, 2), ord=1), T234),
    ],
    np.linalg.vector_norm: [(np.linalg.vector_norm, A34), (lambda x: np.linalg.vector_norm(x, axis=0, ord=1), A34)],
    np.linalg.matrix_norm: [(np.linalg.matrix_norm, T234), (lambda x: np.linalg.matrix_norm(x, ord=1), T234)],
    np.linalg.svd: [
        (lambda x: np.linalg.svd(x, compute_uv=False), A34),
        (lambda x: np.linalg.svd(x)[1], A33),
        (lambda x: np.square(np.linalg.svd(x, full_matrices=False)[0]), A34),  # squares: the signs are arbitrary
        (lambda x: np.square(np.linalg.svd(x, full_matrices=False).Vh), A34),
        (lambda x: np.square(np.linalg.svd(x, full_matrices=False)[0]), A43),
        (lambda x: np.square(np.linalg.svd(x, full_matrices=False)[2]), A43),
        (lambda x: np.square(np.linalg.svd(x).U) + np.square(np.linalg.svd(x).Vh), normal(2, 2, 2)),
        (lambda x: _rebuilt(*np.linalg.svd(x, full_matrices=False)), A34),
    ],
    np.linalg.svdvals: [(np.linalg.svdvals, T234)],
    np.linalg.cond: [
        *[(lambda x, p=p: np.linalg.cond(x, p), spd(3)) for p in (None, 2, -2, 1, np.inf, "fro")],
        (np.linalg.cond, A34),
    ],
    np.linalg.pinv: [(np.linalg.pinv, A34), (np.linalg.pinv, A43), (np.linalg.pinv, T234)],
    np.linalg.lstsq: [
        (lambda x: np.linalg.lstsq(x, B4)[0], A43),
        (lambda x: np.linalg.lstsq(x, B3)[0], A34),
        (lambda x: np.linalg.lstsq(A43, x)[0], A43),
        (lambda x: np.linalg.lstsq(x, B4)[1], A43),
        (lambda x: np.linalg.lstsq(A43, x)[1], A43),
        (lambda x: np.linalg.lstsq(x, B4)[3], A43),
    ],
    np.linalg.qr: [
        (lambda x: np.linalg.qr(x)[0], A43),
        (lambda x: np.linalg.qr(x).R, A43),
        (lambda x: np.linalg.qr(x, "complete").Q, A33),
        (lambda x: np.linalg.qr(x).Q, A34),
        (lambda x: np.linalg.qr(x, "r"), A34),
        (lambda x: np.linalg.qr(x).Q @ np.linalg.qr(x).R, normal(2, 3, 2)),
    ],
    np.linalg.tensorinv: [(lambda x: np.linalg.tensorinv(np.reshape(x, (2, 2, 4))), normal(4, 4) + 3 * np.eye(4))],
    np.linalg.tensorsolve: [
        (lambda x: np.linalg.tensorsolve(np.reshape(x, (2, 2, 4)), A32[:2]), normal(4, 4) + 3 * np.eye(4)),
        (lambda x: np.linalg.tensorsolve(np.reshape(spd4, (2, 2, 2, 2)), x), normal(2, 2)),
    ],
    # -------------------------------------------------------------------------- statistics, samples, polynomials
    **{
        f: [
            (lambda x, f=f: f(np.where(HOLES, np.nan, x)), A34),
            (lambda x, f=f: f(np.where(HOLES, np.nan, x), axis=0), A34),
            (lambda x, f=f: f(x, axis=1), A34),
        ]
        for f in (np.nansum, np.nanprod, np.nanmax, np.nanmin, np.nancumsum, np.nancumprod)
    },
    **{
        f: [
            (lambda x, f=f: f(np.where(HOLES, np.nan, x)), A34),
            (lambda x, f=f: f(np.where(HOLES, np.nan, x), axis=1, keepdims=True), A34),
            (f, A34),
        ]
        for f in (np.nanmean, np.nanvar, np.nanstd)
    },
    np.quantile: [
        (lambda x: np.quantile(x, 0.3), A34),
        (lambda x: np.quantile(x, [0.0, 0.4, 1.0], axis=0), A34),
        (lambda x: np.quantile(x, 0.8, axis=(0, 2), keepdims=True), T234),
    ],
    np.percentile: [(lambda x: np.percentile(x, [[10, 50], [90, 100]], axis=1, keepdims=True), A34)],
    np.cov: [
        (np.cov, A34),
        (lambda x: np.cov(x, rowvar=False, bias=True), A34),
        (lambda x: np.cov(x, B4, ddof=0), B4 + 1),
        (np.cov, B4),
    ],
    np.corrcoef: [(np.corrcoef, A34), (lambda x: np.corrcoef(x, B4), B3[[0, 1, 2, 0]] + B4)],
    np.bincount: [
        (lambda x: np.bincount([0, 2, 2, 1], x), B4),
        (lambda x: np.bincount([0, 2, 2, 1], weights=x, minlength=5), B4),
    ],
    np.interp: [
        (lambda x: np.interp(x, [-1.0, 0.2, 0.5, 1.5], B4), A34),
        (lambda x: np.interp(A34, [-1.0, 0.2, 0.5, 1.5], x), B4),
        (lambda x: np.interp(A34, np.cumsum(x), B4), positive(4)),
        (lambda x: np.interp(x, [-0.5, 0.5], [1.0, 3.0], left=x[0, 0], right=5.0), A34),
        (lambda x: np.interp(x, [0.5], [1.0]) * x, A34),
        (lambda x: np.interp(x, [-3.0, 3.0], [1.0, 3.0]), normal()),
    ],
    np.gradient: [
        (np.gradient, normal(5)),
        (lambda x: np.gradient(x, 0.5, edge_order=2), normal(5)),
        (lambda x: np.gradient(x, np.array([0.0, 0.5, 1.5, 1.7, 3.0]), edge_order=2), normal(5)),
        (lambda x: np.gradient(np.ones(5) ** 2 * np.arange(5.0), np.cumsum(x)), positive(5)),
        (lambda x: np.gradient(x, 0.5, [0.0, 1.0, 1.5, 4.0])[1], A34),
        (lambda x: np.gradient(x, axis=(1, 0))[0], A34),
        (lambda x: np.gradient(x, axis=0), normal(2, 3)),
    ],
    np.unwrap: [(lambda x: np.unwrap(x * 9), A34), (lambda x: np.unwrap(x, period=0.7, axis=0), A34)],
    np.piecewise: [
        (lambda x: np.piecewise(x, [x > 1, x > 0], [lambda v: v**2, 3.0, lambda v: -v]), A34),
        (lambda x: np.piecewise(x, x > 0, [np.sin]), B3),
    ],
    np.apply_along_axis: [
        (lambda x: np.apply_along_axis(lambda row: np.outer(row, row), 0, x), A34),
        (lambda x: np.apply_along_axis(np.sum, 1, x), T234),
    ],
    np.apply_over_axes: [(lambda x: np.apply_over_axes(np.sum, x, [0, -1]), T234)],
    np.vander: [(np.vander, B3), (lambda x: np.vander(x, 4, increasing=True), B3)],
    np.poly: [(np.poly, B3)],
    np.polymul: [(lambda x: np.polymul(x, B4), B3), (lambda x: np.polymul(x, x), B3)],
    np.polyadd: [(lambda x: np.polyadd(x, B4), B3)],
    np.polysub: [(lambda x: np.polysub(B4, x), B3)],
    np.polyder: [(lambda x: np.polyder(x, 2), B4)],
    np.polyint: [(lambda x: np.polyint(x, 2), B3)],
    np.polyfit: [
        (lambda x: np.polyfit(x, normal5, 2), np.arange(5.0)),
        (lambda x: np.polyfit(range(5), x, 1), normal(5)),
    ],
    np.correlate: [
        *[(lambda x, mode=mode: np.correlate(x, B3, mode), normal(5)) for mode in ("full", "same", "valid")],
        *[(lambda x, mode=mode: np.correlate(B2, x, mode), normal(5)) for mode in ("full", "same", "valid")],
        (lambda x: np.correlate(x, x), B3),
    ],
    np.logspace: [
        (lambda x: np.logspace(x, 1.0, 4, base=2.0), B3),
        (lambda x: np.logspace(0.0, 1.0, 3, base=x), positive()),
    ],
    np.geomspace: [(lambda x: np.geomspace(x, 2.0, 4, axis=-1), positive(3))],
    np.choose: [
        (lambda x: np.choose([[0, 1], [1, 2]], [x, 5.0, x**2]), normal(2)),
        (lambda x: np.choose([2, 0, 1, 1], x), A34),
    ],
    np.divmod: [(lambda x: np.divmod(x, 0.7)[1], A34), (lambda x: divmod(5.0, x)[1] * divmod(x, 0.3)[0], positive(3))],
    np.modf: [(lambda x: np.modf(3 * x)[0] * np.modf(3 * x)[1], A34)],
    np.frexp: [(lambda x: np.frexp(3 * x)[0] * np.frexp(3 * x)[1], A34)],
}


def _rebuilt(u, s, vh):
    return (u * s) @ vh


spd3, spd3_batch, spd4, normal_4d, normal5 = spd(3), spd(3, 2), spd(4), normal(5, 1, 4, 3), normal(5)

# Functions that came with later versions of NumPy.
if hasattr(np, "vecdot"):
    OTHER[np.vecdot] = [(lambda x: np.vecdot(x, A34), B4), (lambda x: np.vecdot(A34, x), A34)]
    OTHER[np.linalg.vecdot] = [(lambda x: np.linalg.vecdot(x, A34, axis=0), A34)]
if hasattr(np, "matvec"):
    OTHER[np.matvec] = [(lambda x: np.matvec(x, B4), T234), (lambda x: np.matvec(T234, x), normal(2, 4))]
    OTHER[np.vecmat] = [(lambda x: np.vecmat(x, T234), B3), (lambda x: np.vecmat(B3, x), T234)]
if hasattr(np, "unstack"):
    OTHER[np.unstack] = [(lambda x: np.unstack(x, axis=1)[1], A34)]
if hasattr(np, "cumulative_sum"):
    OTHER[np.cumulative_sum] = [(lambda x: np.cumulative_sum(x, axis=1), A34), (np.cumulative_sum, B3)]
    OTHER[np.cumulative_prod] = [(lambda x: np.cumulative_prod(x, axis=0), A34)]

INDEXING = {
    "number": (lambda x: x[1], A34),
    "negative": (lambda x: x[-1, -2], A34),
    "slice": (lambda x: x[:2, 1:], A34),
    "steps": (lambda x: x[::2, ::-1], A34),
    "None and Ellipsis": (lambda x: x[None, ..., 1], T234),
    "everything": (lambda x: x[...], A34),
    "list": (lambda x: x[[0, 0, 2]], A34),
    "pairs": (lambda x: x[[0, 0, 2], [1, 1, 3]], A34),
    "apart": (lambda x: x[[0, 1], :, [1, 3]], T234),
    "number and list": (lambda x: x[1, :, [0, 0, 2]], T234),
    "matrix of indices": (lambda x: x[:, np.array([[0, 1], [2, 2]])], T234),
    "mask": (lambda x: x[MASK], A34),
    "mask of the value": (lambda x: x[x > 0], A34),
    "mask of rows": (lambda x: x[np.array([True, False, True])], A34),
    "ix_": (lambda x: x[np.ix_([0, 2], [1, 3])], A34),
    "rows": (lambda x: sum(row * k for k, row in enumerate(x)), A34),
    "numpy integer": (lambda x: x[np.int64(1)], A34),
    "argmax": (lambda x: x[np.arange(3), np.argmax(x, axis=1)], A34),
    "one entry many times": (lambda x: x[0] * x[0] + x[1] * x[0] + x[:2].sum() * x[1:], B3),
}
