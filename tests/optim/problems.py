"""Where the optimizers run: a valley whose gradient depends on where they are, and gradients that do not.

Both are written for plain numbers of any kind (float, mpf), so that every library gets the same gradients.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["PROBLEMS", "SIZE", "STEPS", "STORED", "Problem", "as_tree", "as_vector"]

STEPS, SIZE = 1000, 8
STORED = range(50, STEPS + 1, 50)  # the steps after which a trajectory is kept


class Problem(NamedTuple):
    start: list[float]
    gradient: Callable[[int, Sequence[Any]], list[Any]]  # step number (from 0) and point -> gradient


def valley(k: int, x: Sequence[Any]) -> list[Any]:
    """The gradient of sum over k of (x[k+1] - x[k]²)² + (1 - x[k])²/4, a Rosenbrock valley of gentle slopes."""
    g = [x[0] * 0] * SIZE
    for i in range(SIZE - 1):
        off = x[i + 1] - x[i] * x[i]
        g[i] = g[i] - 4 * x[i] * off - (1 - x[i]) / 2
        g[i + 1] = g[i + 1] + 2 * off
    return g


def _prescribed() -> list[list[float]]:
    """One coordinate gets zeros only, one at first; the others have sizes from 1e-9 to 1e9, and some zeros."""
    draw = random.Random(7).random  # the one stream of numbers that Python promises to keep
    sizes = [1.0, 1e-9, 1e-4, 1e4, 1e9, 0.0, 1.0, 0.03]
    rows = []
    for k in range(STEPS):
        swing = 10 ** (4 * draw() - 2)
        rows.append([size * swing * (2 * draw() - 1) * (draw() > 0.2) for size in sizes])
        rows[-1][6] *= k >= 300
    return rows


_ROWS = _prescribed()

PROBLEMS = {
    "valley": Problem([0.3, 0.9, 0.4, -0.3, 1.3, 0.2, -0.8, 0.6], valley),
    "prescribed": Problem([0.5, 0.0, 0.0, -0.2, 0.0, 0.7, 0.0, -0.1], lambda k, x: [0 * x[0] + g for g in _ROWS[k]]),
}


def as_tree(x: Sequence[float]) -> dict[str, Any]:
    """The same numbers as parameters of several shapes."""
    x = np.asarray(x)
    return {"hidden": {"W": x[:6].reshape(2, 3).copy(), "b": x[6:7].copy()}, "out": [np.float64(x[7])]}


def as_vector(tree: Any) -> Any:
    """And back; written here, so that nothing of the package takes part."""
    return np.concatenate([np.ravel(tree["hidden"]["W"]), np.ravel(tree["hidden"]["b"]), np.ravel(tree["out"][0])])
