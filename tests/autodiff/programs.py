"""Random programs: compositions of rules on arrays of random shapes, written in plain NumPy."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

# Each step takes the pool of arrays made so far and a random generator, and gives a new array. Steps keep entries of
# moderate size, so that compositions neither overflow nor leave a domain.
SMOOTH = [
    np.sin,
    np.tanh,
    np.arctan,
    lambda a: np.exp(-np.square(a)),
    lambda a: np.log1p(np.square(a)),
    lambda a: np.sqrt(1.0 + a * a),
    lambda a: a / (1.0 + a**2),
    lambda a: np.cos(a) ** 3,
    lambda a: np.expm1(0.3 * np.tanh(a)),
    lambda a: np.arcsinh(a) - np.logaddexp(a, 0.5),
    lambda a: np.where(a > -100.0, a, 0.0) * 0.7,
    lambda a: np.abs(a + 100.0) - 100.0,
]


def _unary(pool, rng):
    return SMOOTH[rng.integers(len(SMOOTH))](_pick(pool, rng))


def _binary(pool, rng):
    a, b = _pick(pool, rng), _pick(pool, rng)
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        b = np.sum(b)
    if np.ndim(a + b) > 4 or np.size(a + b) > 200:
        b = np.sum(b)
    kind = rng.integers(5)
    if kind == 0:
        return np.tanh(a + b)
    if kind == 1:
        return np.tanh(a) * np.sin(b)
    if kind == 2:
        return a - 0.5 * b
    if kind == 3:
        return np.tanh(a) / (1.5 + np.cos(b))
    return np.hypot(a, np.arctan2(b, 2.0 + np.square(a)))


def _reduce(pool, rng):
    a = _pick(pool, rng)
    axis = None if np.ndim(a) == 0 or rng.random() < 0.3 else int(rng.integers(-np.ndim(a), np.ndim(a)))
    keepdims = bool(rng.random() < 0.5)
    if np.size(a) == 0 or (axis is not None and np.shape(a)[axis] == 0):
        return np.sum(a, axis=axis, keepdims=keepdims)
    name = ["sum", "mean", "prod", "var", "cumsum", "norm"][rng.integers(6)]
    if name == "prod":
        return np.prod(np.tanh(a), axis=axis, keepdims=keepdims)
    if name == "cumsum":
        return np.tanh(np.cumsum(a, axis=axis))
    if name == "norm":
        return np.sqrt(1.0 + np.sum(np.square(a), axis=axis, keepdims=keepdims))
    return np.tanh(getattr(np, name)(a, axis=axis, keepdims=keepdims))


def _shape(pool, rng):
    a = _pick(pool, rng)
    kind = rng.integers(8)
    if kind == 0:
        return np.reshape(a, -1)
    if kind == 1:
        return np.transpose(a)
    if kind == 2:
        return np.flip(a) if np.ndim(a) else a
    if kind == 3 and np.ndim(a) < 4:
        return np.expand_dims(a, int(rng.integers(np.ndim(a) + 1)))
    if kind == 4 and np.ndim(a):
        return np.roll(a, 1, axis=int(rng.integers(np.ndim(a))))
    if kind == 5 and np.ndim(a) and np.size(a) < 60:
        return np.concatenate([a, np.sin(a)], axis=int(rng.integers(np.ndim(a))))
    if kind == 6 and np.ndim(a) < 4 and np.size(a) < 60:
        return np.stack([a, a * a], axis=-1)
    return np.squeeze(a)


def _index(pool, rng):
    a = _pick(pool, rng)
    if np.ndim(a) == 0 or np.size(a) == 0:
        return a
    n = np.shape(a)[0]
    kind = rng.integers(6)
    if kind == 0:
        return a[int(rng.integers(-n, n))]
    if kind == 1:
        return a[::-2]
    if kind == 2:
        return a[rng.integers(0, n, size=3)]
    if kind == 3:
        return a[..., None][rng.random(n) < 0.5]
    if kind == 4:
        return np.take(a, rng.integers(0, n, size=(2,)), axis=0)
    return a[..., : np.shape(a)[-1] // 2 + 1]


def _product(pool, rng):
    a = _pick(pool, rng)
    if np.ndim(a) == 0:
        return a * a
    last = np.shape(a)[-1]
    kind = rng.integers(4)
    weight = np.random.default_rng(int(rng.integers(100))).normal(size=(last, 2)) / max(last, 1)
    if kind == 0:
        return a @ weight
    if kind == 1:
        return np.swapaxes(a, -1, -2) @ a / max(np.shape(a)[-2], 1) if np.ndim(a) > 1 and np.size(a) < 60 else a @ a
    if kind == 2:
        return np.einsum("...i,ij->...j", a, weight)
    return np.tensordot(a, weight, (-1, 0))


def _python(pool, rng):
    """What people write without NumPy: loops, lists of numbers, in-place operators, built-in functions."""
    a = _pick(pool, rng)
    kind = rng.integers(5)
    a_list = isinstance(a, np.ndarray) and a.dtype.kind == "O"  # of traced numbers: it cannot be written into
    if kind == 0 and not a_list:
        y = np.sin(a)
        y *= 0.5
        y += np.tanh(np.sum(a))
        return y
    if kind == 1:
        return sum([np.cos(part) for part in a], 0.1 * np.sum(a)) if np.ndim(a) else a * 2
    if kind == 2 and 0 < np.size(a) < 20:
        return np.array([v * np.sin(v) for v in np.ravel(a)])
    if kind == 3 and np.ndim(a):
        return np.array([row * 0.5 for row in a]) if np.size(a) else a
    return a[..., None] * np.array([1.0, 2.0]) if np.ndim(a) < 4 and np.size(a) < 60 else -a


def _branch(pool, rng):
    a = _pick(pool, rng)
    return [np.tanh(a), np.sin(a)][int(rng.integers(2))] if np.sum(a) > 0 else -np.arctan(a)


def _more(pool, rng):
    a = _pick(pool, rng)
    n = np.size(a)
    if np.ndim(a) == 0 or n == 0 or n > 40:
        return np.tanh(a)
    kind = rng.integers(10)
    if kind == 0:
        return np.pad(a, 1, mode="edge")
    if kind == 1:
        return np.tile(a, 2)
    if kind == 2:
        return np.tril(np.outer(a, np.sin(a)))
    if kind == 3:
        return np.tanh(np.logaddexp.reduce(a, axis=-1))
    if kind == 4:
        square = np.outer(np.sin(a), np.cos(a)) / n + 2.0 * np.eye(n)
        return np.linalg.solve(square, np.ravel(a))
    if kind == 5:
        return np.diff(a, axis=0, append=0.3 * a[:1])
    if kind == 6:
        return np.repeat(a, 2, axis=0)
    if kind == 7:
        return np.tanh(np.cumprod(np.tanh(a), axis=0))
    if kind == 8:
        return np.concatenate([np.ravel(a), np.ravel(a[::-1])])[::2]
    return np.where(rng.random(np.shape(a)) < 0.5, a, np.sin(a))


STRAIGHT_STEPS = [_unary, _unary, _binary, _binary, _reduce, _shape, _index, _product, _python, _more]
STEPS = [*STRAIGHT_STEPS, _branch]


# For complex steps: no step may look at an absolute value, a sign or an order.
def _analytic_unary(pool, rng):
    return SMOOTH[rng.integers(9)](_pick(pool, rng))


def _analytic_binary(pool, rng):
    a, b = _pick(pool, rng), np.sum(_pick(pool, rng))
    return [np.tanh(a) * np.sin(b), a - 0.5 * b, np.tanh(a) / (1.5 + np.cos(0.1 * b))][rng.integers(3)]


def _analytic_reduce(pool, rng):
    a = _pick(pool, rng)
    axis = None if np.ndim(a) == 0 or rng.random() < 0.3 else int(rng.integers(-np.ndim(a), np.ndim(a)))
    return np.tanh([np.sum, np.prod, np.cumsum][rng.integers(3)](0.3 * a, axis=axis))


ANALYTIC_STEPS = [_analytic_unary, _analytic_unary, _analytic_binary, _analytic_reduce, _shape, _index, _product]


def _pick(pool, rng):
    return pool[int(rng.integers(len(pool)))]


def program(seed, length, steps=STEPS):
    """A function of one array, the same for the same seed: it combines the array and what it made before."""

    def f(x):
        rng = np.random.default_rng(seed)
        pool = [x, x]
        for _ in range(length):
            made = steps[rng.integers(len(steps))](pool, rng)
            if np.size(made) <= 200 and np.ndim(made) <= 4:
                pool.append(made)
        return pool[-1] + 0.1 * np.sum(pool[-2])

    return f


PROGRAMS = st.builds(program, st.integers(0, 10**6), st.integers(1, 7))
STRAIGHT = st.builds(program, st.integers(0, 10**6), st.integers(1, 7), st.just(STRAIGHT_STEPS))  # without branches
ANALYTIC = st.builds(program, st.integers(0, 10**6), st.integers(1, 7), st.just(ANALYTIC_STEPS))


@st.composite
def points(draw, min_side=0):
    """Arrays of rank 0 to 4: contiguous or not, read-only, reversed, transposed, of length zero."""
    shape = draw(st.lists(st.integers(min_side, 3), max_size=4))
    x = np.random.default_rng(draw(st.integers(0, 10**6))).uniform(-1.5, 1.5, size=shape)
    kind = draw(st.sampled_from(["plain", "transposed", "reversed", "strided", "read-only", "fortran"]))
    if kind == "transposed":
        x = x.T
    elif kind == "reversed" and x.ndim:
        x = x[::-1]
    elif kind == "strided" and x.ndim:
        x = np.repeat(x, 2, axis=-1)[..., ::2]
    elif kind == "read-only":
        x.flags.writeable = False
    elif kind == "fortran":
        x = np.asfortranarray(x)
    return x
