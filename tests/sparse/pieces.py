"""Random functions of a vector, composed of slices, joins, sums and choices: their Jacobians are sparse."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

LENGTHS = st.integers(0, 9)
SMOOTH = [
    np.sin,
    np.tanh,
    lambda a: a * a,
    lambda a: 0.3 * a - 1.0,
    lambda a: 1 / (2 + a**2),
    lambda a: np.exp(-(a**2)),
]
KINKED = [np.abs, lambda a: np.maximum(a, 0.0), lambda a: np.clip(a, -0.5, 0.5), lambda a: a - np.floor(a), np.sign]


# Every piece takes two vectors, a random generator and what may be chosen; it gives a vector.
def _smooth(a, b, rng):
    return SMOOTH[rng.integers(len(SMOOTH))](a)


def _sliced(a, b, rng):
    first, last = (int(k) for k in rng.integers(-len(a) - 1, len(a) + 2, 2))
    return a[first : last : int(rng.choice([1, 1, 2, 3, -1, -2]))]


def _two(a, b, rng):
    n = min(len(a), len(b))
    a, b = (a[:n], b[len(b) - n :]) if rng.random() < 0.7 else (a[len(a) - n :], b[:n])
    c = float(rng.uniform(0.3, 2.0))
    return [c * a + b, a - c * b, np.tanh(a) * b, a / (c + b * b), np.hypot(a, b + c)][rng.integers(5)]


def _joined(a, b, rng):
    parts = [a, np.full(int(rng.integers(3)), 0.5), b, b[:1], np.ones(1)]
    chosen = [parts[k] for k in rng.permutation(5)[: int(rng.integers(1, 5))]]
    return [np.concatenate, np.hstack][rng.integers(2)](chosen)


def _rolled(a, b, rng):
    return [np.roll(a, int(rng.integers(-4, 5))), np.flip(a), a[::-1]][rng.integers(3)]


def _difference(a, b, rng):
    if not len(a):
        return a
    return [np.diff(a), np.diff(a, prepend=0.0), np.diff(np.pad(a, 1), 2), np.diff(a, append=b[:1])][rng.integers(4)]


def _padded(a, b, rng):
    if not len(a):
        return np.pad(a, 1)
    mode = ["constant", "edge", "reflect", "symmetric", "wrap"][rng.integers(5)]
    width = int(rng.integers(0, 3 if len(a) > 2 else 1))
    return np.pad(a, (width, int(rng.integers(0, 2)) if len(a) > 1 else 0), mode=mode)


def _picked(a, b, rng):
    if not len(a):
        return a
    kind, numbers = rng.integers(4), rng.integers(-len(a), len(a), int(rng.integers(1, 5)))
    if kind == 0:
        return a[numbers]
    if kind == 1:
        return np.take(a, numbers)
    if kind == 2:
        return a[rng.random(len(a)) < 0.6]
    return np.stack([a[int(k)] for k in numbers])


def _masked(a, b, rng):
    mask = rng.random(len(a)) < 0.5
    return [np.where(mask, a, 0.0), mask * a, np.where(mask, np.roll(a, 1), a)][rng.integers(3)]


def _summed(a, b, rng):
    kind = rng.integers(6)
    if kind == 0 and len(a) % 2 == 0:
        return np.sum(np.reshape(a, (2, -1)), axis=int(rng.integers(2)))
    if kind == 1:
        return np.cumsum(a)
    if kind == 2:
        return a * np.sum(np.sin(b[:2]))
    if kind == 3 and len(a):
        return (rng.normal(size=(4, len(a))) * (rng.random((4, len(a))) < 0.4)) @ a
    if kind == 4 and len(a) > 2:
        return np.convolve(a, [1.0, 0.0, -2.0], "same")
    return np.concatenate([a, [np.sum(b)]])


def _gridded(a, b, rng):
    if len(a) % 3 or not len(a):
        a = np.concatenate([a, np.ones(3 - len(a) % 3)])
    grid = np.reshape(a, (3, -1))
    kind = rng.integers(6)
    if kind == 0:
        return np.ravel(grid.T)
    if kind == 1:
        return np.ravel(grid[:, ::-1] * grid[1])
    if kind == 2:
        return np.ravel(np.roll(grid, 1, axis=0) + 2.0 * np.sin(grid))
    if kind == 3:
        return np.ravel(np.pad(grid, 1, mode="edge")[:-2, 1:-1] * grid)
    if kind == 4:
        return np.ravel(np.stack([grid[0], grid[2]], axis=-1))
    return np.ravel(np.tile(grid[:2], (1, 2)))[: 2 * len(a)]


def _kinked(a, b, rng):
    return KINKED[rng.integers(len(KINKED))](a)


def _chosen(a, b, rng):
    n = min(len(a), len(b))
    a, b = a[:n], b[:n]
    if not n:
        return a
    kind = rng.integers(8)
    if kind == 0:
        return np.where(a > b, a, np.roll(b, 1))
    if kind == 1:
        return np.maximum(a, b)
    if kind == 2:
        return np.sort(a)
    if kind == 3:
        return a[np.argsort(b)]
    if kind == 4:
        return b * a[np.argmax(a)]
    if kind == 5:
        return np.where(b > 0.2, 1.0, np.where(a < 0, a, -0.5 * b))
    if kind == 6:
        return np.minimum(a, np.max(b))
    return (a > 0) * b + (a <= 0) * np.sin(np.roll(b, 2))


# Without choices, and without zeros that could be multiplied: then no entry is zero but where the program shows it.
STRAIGHT_PIECES = [_smooth, _sliced, _two, _two, _joined, _rolled, _difference, _picked, _summed, _gridded]
PIECES = [*STRAIGHT_PIECES, _padded, _masked, _kinked, _chosen, _chosen]


def program(seed, length, pieces=PIECES):
    """A function of one vector, the same for the same seed: it combines the vector and what it made before."""

    def f(x):
        rng = np.random.default_rng(seed)
        pool = [x, x]
        for _ in range(length):
            a, b = (pool[int(k)] for k in rng.integers(max(len(pool) - 3, 0), len(pool), 2))
            made = pieces[rng.integers(len(pieces))](a, b, rng)
            if len(made) <= 30:
                pool.append(made)
        return pool[-1] if rng.random() < 0.7 else np.concatenate(pool[-2:])

    return f


PROGRAMS = st.builds(program, st.integers(0, 10**6), st.integers(1, 8))
STRAIGHT = st.builds(program, st.integers(0, 10**6), st.integers(1, 6), st.just(STRAIGHT_PIECES))
