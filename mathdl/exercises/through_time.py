"""The exercises of *Backpropagation through time*: pulls through a cell's steps, sums over them, exponents, clipping, leaks.

Truths come from complex steps and singular values of whole products; none repeats a solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(13)
_normal = _rng.standard_normal


def _gradient(f: Callable[[Array], Any], x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


def _run(U: Array, a: Array, h: Array) -> Array:
    """The states of h_t = tanh(a_t + U h_(t-1)), without the first."""
    states = []
    for drive in a:
        h = np.tanh(drive + U @ h)
        states.append(h)
    return np.stack(states)


# ------------------------------------------------------------------------------------------------ pulled through steps


def _pull(U: Array, H: Array, g: Array) -> Array:
    """The gradient of g · h_T by the state before the first step, with the inputs that made the states H."""
    a = np.arctanh(H[1:]) - H[:-1] @ U.T
    return _gradient(lambda h: g @ _run(U, a, h)[-1], H[0])


def _stepwise(
    slope: Callable[[Array], Array] = lambda h: 1 - h**2, turn: bool = False, shift: int = 0, late: bool = False
) -> Callable[..., Array]:
    """The same step by step, with another slope, U turned, slopes of other states, or slope and U exchanged."""

    def pulled(U: Array, H: Array, g: Array) -> Array:
        V = U.T if turn else U
        for t in range(len(H) - 1, 0, -1):
            s = slope(H[t - shift])
            g = (g @ V) * s if late else (g * s) @ V
        return g

    return pulled


def _forward_order(U: Array, H: Array, g: Array) -> Array:
    for h in H[1:]:
        g = (g * (1 - h**2)) @ U
    return g


def _states(steps: int, n: int) -> tuple[Array, Array, Array]:
    U = _normal((n, n)) / np.sqrt(n)
    h = np.tanh(_normal(n))
    return U, np.concatenate([h[None], _run(U, _normal((steps, n)), h)]), _normal(n)


_PULL = Exercise(
    name="pull-through-time",
    task="Return the cotangent of h_0, shape (n,), from a cotangent g of the last state; the rows of H are h_0 to h_T.",
    truth=_pull,
    inputs=(_states(3, 2), _states(6, 4)),
    derivative=True,
    hints=(
        "Go back from the last state. What does one step, h_t = tanh(a_t + U h_(t-1)), pull g to?",
        "To Uᵀ D_t g, where D_t has the slopes 1 − h_t² of the state that the step gives. Begin with the last row of H; row 0 has no step.",
        "for h in H[:0:-1]: g = U.T @ ((1 − h**2) * g)",
    ),
    mistakes={
        "U is not transposed: a pull multiplies by Uᵀ": _stepwise(turn=True),
        "the slopes of tanh are missing: each step also multiplies by 1 − h_t²": _stepwise(slope=np.ones_like),
        "the slopes are those of the state before: the step from h_(t-1) to h_t has the slopes 1 − h_t²": _stepwise(
            shift=1
        ),
        "the slope is not squared: tanh has the slope 1 − h² in terms of its value h": _stepwise(slope=lambda h: 1 - h),
        "h itself stands where the slope of tanh belongs, 1 − h²": _stepwise(slope=lambda h: h),
        "slope and U are exchanged: first multiply g by the slopes of the step's output, then by Uᵀ": _stepwise(
            late=True
        ),
        "the steps are taken from the first to the last: a pull begins at the end": _forward_order,
        "this is one step only: g has to go back through all of them": lambda U, H, g: U.T @ ((1 - H[-1] ** 2) * g),
        "one step is missing: row 1 of H has a step before it, too": lambda U, H, g: _stepwise()(U, H[1:], g),
        "one step too many: row 0 of H is the start, and no step leads to it": lambda U, H, g: (
            U.T @ ((1 - H[0] ** 2) * _stepwise()(U, H, g))
        ),
    },
)

# ----------------------------------------------------------------------------------------- the sum over all uses of U


def _gradient_by_U(U: Array, H: Array, G: Array) -> Array:
    a = np.arctanh(H[1:]) - H[:-1] @ U.T
    return _gradient(lambda V: np.sum(G * _run(V, a, H[0])), U)


def _summed(
    carry: bool = True,
    gate: bool = True,
    shift: int = 1,
    outer: Callable[[Array, Array], Array] = np.outer,
    turn: bool = False,
    only: slice = slice(None),
    mean: bool = False,
) -> Callable[..., Array]:
    """The sum by formula, with nothing carried back, slopes missing, the wrong state, or some of its terms alone."""

    def gradient(U: Array, H: Array, G: Array) -> Array:
        back, terms = np.zeros(len(U)), []
        for t in range(len(H) - 1, 0, -1):
            a_bar = (G[t - 1] + back) * (1 - H[t] ** 2 if gate else 1.0)
            terms.append(outer(a_bar, H[t - shift]))
            back = (U if turn else U.T) @ a_bar if carry else back
        kept = np.array(terms[only])
        return np.asarray(kept.mean(axis=0) if mean else kept.sum(axis=0))

    return gradient


def _with_cotangents(steps: int, n: int) -> tuple[Array, Array, Array]:
    U, H, _ = _states(steps, n)
    return U, H, _normal((steps, n))


_SUM = Exercise(
    name="recurrent-gradient",
    task="Return the gradient by U of Σ_t G_t · h_t, shape (n, n); the rows of H are h_0 to h_T, those of G belong to h_1 to h_T.",
    truth=_gradient_by_U,
    inputs=(_with_cotangents(3, 2), _with_cotangents(5, 4)),
    derivative=True,
    hints=(
        "U is used in every step, so there is a term for every step. Go back through time, and carry the cotangent of the state along.",
        "At step t: the cotangent of h_t is G_t plus what comes back from step t + 1. Times the slopes 1 − h_t² it is ā_t. The term is the outer product of ā_t with h_(t-1), and Uᵀ ā_t goes back.",
        "back = 0; for t from T to 1: a_bar = (G[t − 1] + back) * (1 − H[t]**2); total += np.outer(a_bar, H[t − 1]); back = U.T @ a_bar",
    ),
    mistakes={
        "nothing is carried back: U moves h_t also through the states before it": _summed(carry=False),
        "this is the term of the last step alone: U is used in every step, and the terms add": _summed(only=slice(1)),
        "the term of the first step is missing: h_0 is not zero here": _summed(only=slice(-1)),
        "the slopes of tanh are missing: ā_t is the cotangent of h_t times 1 − h_t²": _summed(gate=False),
        "the terms have h_t in place of h_(t-1): U multiplies the state before": _summed(shift=0),
        "the outer product is the wrong way round: row i of the gradient belongs to output i": _summed(
            outer=lambda a, h: np.outer(h, a)
        ),
        "U is not transposed on the way back": _summed(turn=True),
        "this is the mean over the steps: where a matrix is used several times the terms add": _summed(mean=True),
    },
)

# ------------------------------------------------------------------------------------------------- Lyapunov exponents


def _exponents(M: Array) -> Array:
    """From the singular values of the whole product: few and tame steps, so that it can be formed.

    What the first k unit vectors span grows in volume at the sum of the first k rates.
    """
    found, T = [], len(M)
    n = M.shape[1]
    for k in range(1, n + 1):
        P = np.eye(n)[:, :k]
        for step in M:
            P = step @ P
        found.append(np.sum(np.log(np.linalg.svd(P, compute_uv=False))) / T)
    return np.diff(found, prepend=0.0)


def _by_qr(
    read: Callable[[Array], Array] = lambda R: np.log(np.abs(np.diag(R))), keep: bool = True, divide: bool = True
) -> Callable[[Array], Array]:
    """By QR, with something else read off R, no new Q, or no mean."""

    def exponents(M: Array) -> Array:
        Q, total = np.eye(M.shape[1]), np.zeros(M.shape[1])
        for step in M:
            new, R = np.linalg.qr(step @ Q)
            Q = new if keep else Q
            total = total + read(R)
        return total / len(M) if divide else total

    return exponents


def _norms(M: Array) -> Array:
    return np.asarray(np.mean([np.log(np.linalg.svd(step, compute_uv=False)) for step in M], axis=0))


def _steps(T: int, n: int) -> tuple[Array]:
    return (_normal((T, n, n)) * np.linspace(2.0, 0.4, n),)


_LYAPUNOV = Exercise(
    name="lyapunov-exponents",
    task="Return the growth rates that QR finds, shape (n,), of the product M_T ... M_2 M_1; M has shape (T, n, n).",
    truth=_exponents,
    inputs=(_steps(4, 2), _steps(9, 3)),
    rtol=1e-5,
    hints=(
        "Begin with Q = I. Each step: multiply M_t Q, and split the result into a new Q and an R.",
        "The diagonal of R says how much each direction was stretched in this step. Signs do not matter. Sum the logarithms of all steps and divide by T.",
        "for step in M: Q, R = np.linalg.qr(step @ Q); total += np.log(np.abs(np.diag(R))); at the end total / len(M)",
    ),
    mistakes={
        "the sum is not divided by T: a rate is per step": _by_qr(divide=False),
        "each step is split by itself, as with Q M_t or with I in place of M_t Q: the Q of one step has to go into the next": _by_qr(
            keep=False
        ),
        "these are stretches, not their logarithms": _by_qr(read=lambda R: np.abs(np.diag(R))),
        "the sign is wrong: growth is a positive rate": lambda M: -_exponents(M),
        "these are the mean logarithms of the singular values of single steps: directions have to be followed through all of them": _norms,
        "the eigenvalues of the steps say nothing about their product": lambda M: np.mean(
            [np.sort(np.log(np.abs(np.linalg.eigvals(step))))[::-1] for step in M], axis=0
        ),
        "the steps are taken from the last to the first": lambda M: _exponents(M[::-1]),
    },
)

# ----------------------------------------------------------------------------------------------------------- clipping


def _clipped(gradients: list[Array], largest: float) -> Array:
    """All entries as one vector, shortened where it is too long."""
    joined = np.concatenate([np.ravel(g) for g in gradients])
    return np.asarray(joined * min(1.0, largest / np.linalg.norm(joined)))


def _each_alone(gradients: list[Array], largest: float) -> Array:
    return np.concatenate([np.ravel(g) * min(1.0, largest / np.linalg.norm(g)) for g in gradients])


def _joined(gradients: list[Array]) -> Array:
    return np.concatenate([np.ravel(g) for g in gradients])


_CLIP = Exercise(
    name="clip-by-norm",
    task="Clip a list of gradients by the norm of all of them together, and return all entries in one vector.",
    truth=_clipped,
    inputs=(
        ([_normal((2, 3)), _normal(2)], 0.7),
        ([0.1 * _normal((2, 2)), 0.1 * _normal(3)], 5.0),
        ([3 * _normal(3), 0.2 * _normal((2, 4))], 1.3),
    ),
    hints=(
        "How long is the whole gradient? The squares of all entries of all arrays add.",
        "If it is longer than largest, one factor for all arrays, largest / norm, makes it as long as that. If it is shorter, it stays as it is.",
        "joined = np.concatenate([g.ravel() for g in gradients]); joined * min(1, largest / np.linalg.norm(joined))",
    ),
    mistakes={
        "each array is clipped by its own norm, which changes the direction of the whole": _each_alone,
        "each entry is clipped, which changes the direction": lambda gradients, largest: np.clip(
            _joined(gradients), -largest, largest
        ),
        "short gradients are made longer: only those beyond largest are scaled": lambda gradients, largest: (
            _joined(gradients) * largest / np.linalg.norm(_joined(gradients))
        ),
        "this scales to length 1; the length is to be largest": lambda gradients, largest: (
            _joined(gradients) / max(1.0, np.linalg.norm(_joined(gradients)) / largest) / largest
        ),
        "the norms of the arrays are added: it is their squares that add": lambda gradients, largest: (
            _joined(gradients) * min(1.0, largest / sum(np.linalg.norm(g) for g in gradients))
        ),
        "nothing is clipped": lambda gradients, largest: _joined(gradients),
        "the squared norm is compared with largest; take the root": lambda gradients, largest: (
            _joined(gradients) * min(1.0, largest / np.linalg.norm(_joined(gradients)) ** 2)
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- a leaky cell


def _leaky_jacobian(U: Array, a: Array, h: Array, z: Array) -> Array:
    return numeric.jacobian(lambda v: (1 - z) * v + z * np.tanh(a + U @ v), h, method="complex").value


def _leaky(
    leak: Callable[[Array], Array] = lambda z: 1 - z,
    weight: Callable[[Array], Array] = lambda z: z,
    slope: Callable[[Array, Array], Array] = lambda c, h: 1 - c**2,
    side: bool = False,
) -> Callable[..., Array]:
    """By formula, with another leak, another weight, another slope, or the slopes on the other side of U."""

    def jacobian(U: Array, a: Array, h: Array, z: Array) -> Array:
        d = weight(z) * slope(np.tanh(a + U @ h), h)
        return np.asarray(np.diag(leak(z)) + (U * d if side else d[:, None] * U))

    return jacobian


def _leaky_case(n: int) -> tuple[Array, Array, Array, Array]:
    return _normal((n, n)), _normal(n), np.tanh(_normal(n)), _rng.uniform(0.1, 0.9, n)


_LEAKY = Exercise(
    name="leaky-jacobian",
    task="Return the Jacobian by h, shape (n, n), of one step of (1 − z) h + z tanh(a + U h), with constants z.",
    truth=_leaky_jacobian,
    inputs=(_leaky_case(2), _leaky_case(4)),
    derivative=True,
    hints=(
        "h reaches the next state by two ways: directly, and through tanh. Their Jacobians add.",
        "The direct way is the diagonal matrix of 1 − z. The other is diag(z (1 − c²)) U, where c = tanh(a + U h).",
        "np.diag(1 − z) + (z * (1 − c**2))[:, None] * U",
    ),
    mistakes={
        "the direct way is missing: (1 − z) h adds the diagonal 1 − z": _leaky(leak=np.zeros_like),
        "the weight z in front of tanh is missing": _leaky(weight=np.ones_like),
        "z and 1 − z are exchanged": _leaky(leak=lambda z: z, weight=lambda z: 1 - z),
        "the direct way has the slope 1; here it is weighted with 1 − z": _leaky(leak=np.ones_like),
        "the slope of tanh is missing: 1 − c²": _leaky(slope=lambda c, h: np.ones_like(c)),
        "the slope is taken at the state before: it is 1 − c², with c = tanh(a + U h)": _leaky(
            slope=lambda c, h: 1 - h**2
        ),
        "the slopes multiply the columns of U; they belong to the outputs of tanh, which are rows": _leaky(side=True),
    },
)

# --------------------------------------------------------------------------------------------------- how long it lasts

_Z = 1 - 0.5 ** (1 / np.array([1.0, 10.0, 64.0]))

_HALF_LIFE = Exercise(
    name="half-life-bias",
    task="For z = σ(b) and nothing but the leak, give the three biases b at which half of a state is left after 1, 10 and 64 steps.",
    truth=np.log(_Z / (1 - _Z)),
    rtol=2e-3,
    hints=(
        "After k steps (1 − z)ᵏ is left. Set it to one half, and solve for z first.",
        "z = 1 − 2^(−1/k), and σ(b) = z means b = log(z / (1 − z)).",
        "For k = 1: z = 1/2 and b = 0. For k = 10: z = 0.067.",
    ),
    mistakes={
        "the sign is wrong: a gate that is nearly shut has a negative bias": -np.log(_Z / (1 - _Z)),
        "these are the values of z; the biases are log(z / (1 − z))": _Z,
        "these are the values of 1 − z": 1 - _Z,
        "this leaves 1/e of the state, not a half": np.log(np.expm1(1 / np.array([1.0, 10.0, 64.0]))),
        "z = 1/(2k) is not the solution: (1 − z)ᵏ = 1/2": -np.log(2 * np.array([1.0, 10.0, 64.0]) - 1),
        "log z is not enough: σ(b) = z means b = log(z / (1 − z))": np.log(_Z),
    },
)

EXERCISES = (_PULL, _SUM, _LYAPUNOV, _CLIP, _LEAKY, _HALF_LIFE)
