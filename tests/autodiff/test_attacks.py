"""Attempts to lose a derivative in silence: each program is followed rightly, or refused by name; either will do."""

from __future__ import annotations

import array
import decimal
import fractions
import functools
import itertools
import json
import math
import operator
import statistics
import struct
import threading

import numpy as np
import pytest
import scipy.special as special

from mathdl import autodiff as ad
from mathdl.errors import MathdlError

X = np.array([0.31, 0.62, 0.57])
W = np.arange(9.0).reshape(3, 3)


def in_a_thread(x):
    made = []
    thread = threading.Thread(target=lambda: made.append(x * x))
    thread.start()
    thread.join()
    return made[0]


def into_objects(x):
    y = np.zeros((2, 3), dtype=object)
    y[0] = x
    y[1, :] = x * x
    y[1, 0] += x[1]
    return y


def into_objects_by_out(x):
    y = np.zeros(3, dtype=object)
    np.multiply(list(x), list(x), out=y)
    return y


def into_floats_from_objects(x):
    y = np.zeros(3)
    np.copyto(y, np.array(list(x)), casting="unsafe")
    return y


def into_floats_by_mask(x):
    y = np.zeros(3)
    y[x > 0.5] = x[x > 0.5]
    return y


def add_at_objects(x):
    y = np.zeros(3, dtype=object)
    np.add.at(y, [0, 0, 1], np.array(list(x)))
    return y


def list_of_numbers(x):
    y = [0.0] * 3
    y[0] = x[1]
    y[1:] = x[:2] * x[1:]
    return np.array(y)


def in_place(same_array):
    """A program that changes an array after it was given another name, or copied."""

    def f(x):
        y = x * 2.0
        z = same_array(y)
        y += 1.0
        return z**2 + y

    return f


ATTACKS = {
    f.__name__: f
    for f in (in_a_thread, into_objects, into_objects_by_out, into_floats_from_objects, into_floats_by_mask,
              add_at_objects, list_of_numbers)
} | {
    "pow with a modulus": lambda x: pow(x[0], 2, 3),
    "divmod": lambda x: divmod(x, 0.2)[1] * divmod(1.0, x)[0],
    "round": lambda x: round(x[0], 1) * x,
    "a format": lambda x: x * float(f"{x[0]:.3f}"),
    "percent": lambda x: x * float("%.17g" % x[0]),  # noqa: UP031
    "np.float64": lambda x: np.float64(x),
    "np.longdouble": lambda x: np.longdouble(x[0]),
    "different ranks": lambda x: np.array([x[0], x], dtype=object),
    "memoryview": lambda x: np.asarray(memoryview(x)),
    "bytes": lambda x: np.frombuffer(bytes(x)),
    "array.array": lambda x: np.array(array.array("d", x)),
    "struct": lambda x: np.frombuffer(struct.pack("ddd", *x)),
    "json": lambda x: np.array(json.loads(json.dumps(list(x)))),
    "Decimal": lambda x: x * float(decimal.Decimal(x[0])),
    "Fraction": lambda x: x * float(fractions.Fraction(x[0])),
    "statistics.mean": lambda x: statistics.mean(x),
    "statistics.fmean": lambda x: statistics.fmean(x),
    "statistics.median": lambda x: statistics.median(x),
    "math.fsum": lambda x: math.fsum(x),
    "math.prod": lambda x: math.prod(x),
    "math.dist": lambda x: math.dist(x, [0.0, 0.0, 0.0]),
    "math.hypot": lambda x: math.hypot(*x),
    "reduce": lambda x: functools.reduce(operator.mul, x),
    "accumulate": lambda x: np.array(list(itertools.accumulate(x, operator.mul))),
    "operator.iadd": lambda x: operator.iadd(x * 1.0, x),
    "operator.index": lambda x: W[operator.index(x[0])],
    "nditer": lambda x: np.array([v * 1.0 for v in np.nditer(x)]),
    "ndenumerate": lambda x: np.array([v * v for _, v in np.ndenumerate(x)]),
    "np.broadcast": lambda x: np.array([p * q for p, q in np.broadcast(x, x)]),
    "vectorize with types": lambda x: np.vectorize(lambda v: v**2, otypes=[float])(x),
    "vectorize with a signature": lambda x: np.vectorize(lambda v: np.sum(v**2), signature="(n)->()")(x),
    "fromiter": lambda x: np.fromiter((v * v for v in x), float),
    "generators": lambda x: sum(v * v for v in (w for w in x)),
    "unsigned integers": lambda x: x * np.uint8(200) + np.uint8(100),
    "powers of integers": lambda x: np.array([2, 3, 4]) ** x,
    "truth of a traced condition": lambda x: np.where(x, x, 0.0),
    "a masked array": lambda x: np.ma.masked_less(x, 0.5).sum(),
    "a record array": lambda x: np.rec.fromarrays([x, x]).f0,
    "poly1d": lambda x: np.poly1d([x[0], x[1], 2.0])(3.0),
    "Polynomial": lambda x: np.polynomial.Polynomial([x[0], x[1], 3.0])(2.0),
    "emath": lambda x: np.emath.sqrt(x),
    "random numbers": lambda x: np.random.default_rng(0).uniform(0.0, x),
    "complex detour": lambda x: ((x + 1j) * (x - 1j)).real,
    "np.einsum with out": lambda x: np.einsum("i,i->i", x, x, out=np.zeros(3)),
    "the determinant of a list": lambda x: np.linalg.det([[x[0], 1.0], [2.0, x[1]]]),
    "interp of lists": lambda x: np.interp([x[0], x[1]], [0, 1], [0, 2.0]),
    "clip of a list": lambda x: np.clip([x[0], x[1]], 0.4, 0.6),
    "floor of a list": lambda x: np.floor([x[0], x[1]]) + x[0],
    "expit of a list": lambda x: special.expit([x[0], x[1]]),
    "polyfit of a list": lambda x: np.polyfit([0, 1, 2], [x[0], x[1], x[2]], 1),
    "std of a list": lambda x: np.std([x[0], x[1]]),
    "objects as floats": lambda x: np.array([x[0], x[1]]).astype(float),
    "objects as booleans": lambda x: np.array([x[0], x[1]]).astype(bool) * x[0],
    "astype without a copy": in_place(lambda y: y.astype(float, copy=False)),
    "astype": in_place(lambda y: y.astype(float)),
    "y.conj()": in_place(lambda y: y.conj()),
    "y.conjugate()": in_place(lambda y: y.conjugate()),
    "np.conj": in_place(np.conj),
    "np.real": in_place(np.real),
    "np.asarray": in_place(np.asarray),
    "np.array": in_place(np.array),
    "+y": in_place(lambda y: +y),
    "objects clipped": lambda x: np.array([x[0], x[1]]).clip(0.4, 0.5),
}  # fmt: skip


def differences(f, x):
    """Central differences, or None if the program does not accept plain arrays either."""
    try:
        columns = [
            (np.ravel(np.asarray(f(x + h), float)) - np.ravel(np.asarray(f(x - h), float))) / 2e-6
            for h in 1e-6 * np.eye(3)
        ]
    except Exception:
        return None
    return np.stack(columns, axis=-1)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.filterwarnings("ignore")
def test_right_or_refused(name, mode):
    f = ATTACKS[name]
    truth = differences(f, X)
    try:
        found = ad.jacobian(f, mode)(X)
    except MathdlError:
        return
    except Exception:
        assert truth is None  # its own error, which it has with plain arrays too
        return
    assert truth is not None
    np.testing.assert_allclose(found.reshape(truth.shape), truth, rtol=1e-5, atol=1e-6)


def test_isinstance_answers_as_for_plain_arrays():
    """A function that looks at the type of its argument goes the same way as without a trace."""

    def of_array(x):
        return np.sum(x**2) if isinstance(x, np.ndarray) else np.sum(x)

    def of_number(x):
        return x[0] ** 2 if isinstance(x[0], float) and not isinstance(x[0], np.ndarray) else x[0]

    x = np.array([1.5, 2.0])
    for derivative in (ad.grad, lambda f: ad.jacobian(f, "forward"), lambda f: lambda x: ad.compile(ad.grad(f), x)(x)):
        np.testing.assert_array_equal(derivative(of_array)(x), 2 * x)
        np.testing.assert_array_equal(derivative(of_number)(x), [3.0, 0.0])
    np.testing.assert_array_equal(ad.hessian(of_array)(x), 2 * np.eye(2))


def test_isinstance_knows_integers_and_single_precision():
    def of_integer(x, n):
        return x[0] ** 2 if isinstance(n, (int, np.integer)) and not isinstance(n, float) else x[0]

    def of_single(x):
        return x[0] ** 2 if isinstance(x[0], np.float32) and not isinstance(x[0], float) else x[0]

    x = np.array([1.5, 2.0])
    compiled = ad.compile(ad.grad(of_integer), x, np.int64(2))
    np.testing.assert_array_equal(compiled(x, np.int64(3)), [3.0, 0.0])
    for derivative in (ad.grad(of_single), ad.compile(ad.grad(of_single), np.float32(x))):
        np.testing.assert_array_equal(derivative(np.float32(x)), [3.0, 0.0])
