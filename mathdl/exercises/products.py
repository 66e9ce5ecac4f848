"""The exercises of the chapter *Products of Jacobians*: brackets, layers in a row, a pulled gradient, an input used twice.

Truths are complex steps of the functions themselves, and for the brackets a trial of every bracketing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array: TypeAlias = NDArray[Any]


def _true_jacobian(f: Callable[[Array], Any], x: Array) -> Array:
    return numeric.jacobian(f, x, method="complex").value


# ------------------------------------------------------------------------------------------------- a tanh network


def _values(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> list[Array]:
    """The input and the output of every layer."""
    values = [x]
    for W, b in zip(weights, biases, strict=True):
        values.append(np.tanh(W @ values[-1] + b))
    return values


def _network_truth(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    return _true_jacobian(lambda x: _values(weights, biases, x)[-1], x)


def _product(
    factor: Callable[[Array, Array, Array], Array],
) -> Callable[[Sequence[Array], Sequence[Array], Array], Array]:
    """The product of ``factor(W, a, h)`` over the layers, with a the layer's input and h its output."""

    def jacobian(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
        h, J = _values(weights, biases, x), np.eye(x.size)
        for k, W in enumerate(weights):
            J = factor(W, h[k], h[k + 1]) @ J
        return J

    return jacobian


def _slopes_once(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    J: Array = (1 - _values(weights, biases, x)[-1][:, None] ** 2) * _product(lambda W, a, h: W)(weights, biases, x)
    return J


def _without_biases(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    return _network_truth(weights, [0 * b for b in biases], x)


def _all_at_the_input(weights: Sequence[Array], biases: Sequence[Array], x: Array) -> Array:
    """Every layer's slopes taken at x instead of at the value the layer receives."""
    J = np.eye(x.size)
    for W, b in zip(weights, biases, strict=True):
        at = x if W.shape[1] == x.size else np.resize(x, W.shape[1])
        J = (1 - np.tanh(W @ at + b) ** 2)[:, None] * (W @ J)
    return J


def _pulled(
    back: Callable[[Array, Array, Array], Array], last_first: bool = True
) -> Callable[[Sequence[Array], Sequence[Array], Array, Array], Array]:
    """Carry g through the layers by ``back(W, h, g)``."""

    def gradient(weights: Sequence[Array], biases: Sequence[Array], x: Array, g: Array) -> Array:
        layers = list(zip(weights, _values(weights, biases, x)[1:], strict=True))
        for W, h in reversed(layers) if last_first else layers:
            g = back(W, h, g)
        return g

    return gradient


def _gradient_truth(weights: Sequence[Array], biases: Sequence[Array], x: Array, g: Array) -> Array:
    return _true_jacobian(lambda x: g @ _values(weights, biases, x)[-1], x)


def _off_by_one(weights: Sequence[Array], biases: Sequence[Array], x: Array, g: Array) -> Array:
    """The slopes of each layer at its input, the value stored one place too early."""
    for W, a in zip(reversed(weights), reversed(_values(weights, biases, x)[:-1]), strict=True):
        g = W.T @ ((1 - a**2) * g)
    return g


# --------------------------------------------------------------------------------------------- the same thing twice


def _used_twice(W: Array, x: Array) -> Any:
    return x @ np.tanh(W @ x)


def _shared(w: Any, x: Any) -> Any:
    return np.tanh(w * np.tanh(w * x))


def _shared_parts(w: float, x: float) -> tuple[float, float, float]:
    """The slope of the outer tanh, what the outer w contributes, and what the inner one does."""
    a = float(np.tanh(w * x))
    return float(1 - np.tanh(w * a) ** 2), a, w * (1 - a**2) * x


def _of_shared(formula: Callable[[float, float, float], float]) -> Callable[[float, float], float]:
    return lambda w, x: formula(*_shared_parts(w, x))


# ----------------------------------------------------------------------------------------------------- the brackets


def _every_bracketing(widths: Sequence[int]) -> int:
    """Join any two neighbours, in every possible order."""
    if len(widths) == 2:
        return 0
    return min(
        widths[k - 1] * widths[k] * widths[k + 1] + _every_bracketing([*widths[:k], *widths[k + 1 :]])
        for k in range(1, len(widths) - 1)
    )


def _forward(widths: Sequence[int]) -> int:
    return widths[0] * sum(a * b for a, b in pairwise(widths[1:]))


def _reverse(widths: Sequence[int]) -> int:
    return widths[-1] * sum(a * b for a, b in pairwise(widths[:-1]))


def _greedy(widths: Sequence[int]) -> int:
    """Always the cheapest product of two neighbours."""
    n, total = list(widths), 0
    while len(n) > 2:
        cost, k = min((n[k - 1] * n[k] * n[k + 1], k) for k in range(1, len(n) - 1))
        total += cost
        del n[k]
    return total


def _dearest(widths: Sequence[int]) -> int:
    if len(widths) == 2:
        return 0
    return max(
        widths[k - 1] * widths[k] * widths[k + 1] + _dearest([*widths[:k], *widths[k + 1 :]])
        for k in range(1, len(widths) - 1)
    )


def _meeting(widths: Sequence[int]) -> int:
    """The best single place at which a forward and a reverse half meet."""
    last = len(widths) - 1
    return min(
        (_forward(widths[: k + 1]) if k > 1 else 0)
        + (_reverse(widths[k:]) if k < last - 1 else 0)
        + (widths[0] * widths[k] * widths[last] if 0 < k < last else 0)
        for k in range(1, last)
    )


# ------------------------------------------------------------------------------------------------------ the exercises

_rng = np.random.default_rng(5)


def _random_network(*widths: int) -> tuple[list[Array], list[Array], Array]:
    weights = [0.8 * _rng.standard_normal((m, n)) for n, m in pairwise(widths)]
    return weights, [0.3 * _rng.standard_normal(m) for m in widths[1:]], 0.7 * _rng.standard_normal(widths[0])


_BRACKET_COSTS = Exercise(
    name="bracket-costs",
    task="How many multiplications do the forward and the reverse order take for the widths 100, 50, 20, 5?",
    truth=np.array([110_000, 30_000]),
    hints=(
        "Write the shapes down first: J3 is 5 × 20, J2 is 20 × 50, J1 is 50 × 100. A product m × k by k × n takes m k n.",
        "Forward is J3 (J2 J1): the product in the brackets is 20 × 100, and then J3 multiplies it.",
        "Forward: 20·50·100 + 5·20·100. Reverse, (J3 J2) J1: 5·20·50 + 5·50·100.",
    ),
    rtol=1e-9,
    mistakes={
        "the two numbers are right and stand the other way round: forward begins at the input, with J2 J1": np.array(
            [30_000, 110_000]
        ),
        "these are the first products alone, J2 J1 and J3 J2; the remaining factor has to be multiplied too": np.array(
            [100_000, 5_000]
        ),
        "these are the second products alone; the product inside the brackets costs something too": np.array(
            [10_000, 25_000]
        ),
        "these count additions as well; asked for are the multiplications": np.array([217_500, 59_250]),
        "these are twice the multiplications: a multiplication with its addition is counted once here": np.array(
            [220_000, 60_000]
        ),
        "this starts from the identity, with 100 columns and 5 rows to be carried through all three layers; the "
        "first factor is there already and costs nothing": np.array([610_000, 30_500]),
    },
)

_NETWORK_JACOBIAN = Exercise(
    name="tanh-network-jacobian",
    task="Return the Jacobian of a tanh network of any depth with respect to its input.",
    truth=_network_truth,
    inputs=(_random_network(3, 4, 2), _random_network(4, 4, 4, 4), _random_network(2, 5, 3, 6)),
    derivative=True,
    hints=(
        "One layer's Jacobian is diag(1 − h²) W, with h the output of that layer. Multiply one for each layer.",
        "Walk from the input to the output, and keep two things: the value h and the product J so far, at first np.eye(x.size).",
        "In the loop: h = np.tanh(W @ h + b), then J = (1 − h²)[:, np.newaxis] * (W @ J).",
    ),
    mistakes={
        "the slopes 1 − h² of the tanh are missing in every layer": _product(lambda W, a, h: W),
        "the slopes 1 − h² appear in the last layer only; each layer has a tanh": _slopes_once,
        "the slopes are taken at the input of the network in every layer; a layer's slopes belong to the value that the "
        "layer itself receives": _all_at_the_input,
        "the slope is written 1 − h, without the square: tanh' = 1 − tanh²": _product(
            lambda W, a, h: (1 - h)[:, None] * W
        ),
        "tanh is applied a second time: h is already the output of the tanh, so the slope is 1 − h²": _product(
            lambda W, a, h: (1 - np.tanh(h) ** 2)[:, None] * W
        ),
        "this is the slope of the logistic function, h (1 − h); that of tanh is 1 − h²": _product(
            lambda W, a, h: (h * (1 - h))[:, None] * W
        ),
        "the slopes multiply the columns of W and come from the layer's input: (1 − h²) belongs to the output, so it "
        "scales the rows": _product(lambda W, a, h: W * (1 - a**2)),
        "the biases are left out of the values; they vanish from the derivative of the affine map, but they move the "
        "point at which the tanh is differentiated": _without_biases,
        "the matrix is transposed: the Jacobian has a row for each output": lambda *given: _network_truth(*given).T,
    },
)

_INPUT_GRADIENT = Exercise(
    name="input-gradient",
    task="Pull a gradient at the output of a square tanh network back to its input.",
    truth=_gradient_truth,
    inputs=tuple((*_random_network(*[n] * 4), _rng.standard_normal(n)) for n in (3, 5)),
    derivative=True,
    hints=(
        "Compute all values first and keep them. Then walk back: the last layer comes first.",
        "One layer's Jacobian is diag(1 − h²) W. Its transpose is Wᵀ diag(1 − h²): which factor meets g first?",
        "For each layer, last one first: g = W.T @ ((1 − h²) * g).",
    ),
    mistakes={
        "both the transposes and the order are lost: this pushes g forward, J3 J2 J1 g; a gradient is pulled back": _pulled(
            lambda W, h, g: (1 - h**2) * (W @ g), last_first=False
        ),
        "the transpose is missing: each layer has to multiply by Wᵀ, last layer first as you do": _pulled(
            lambda W, h, g: W @ ((1 - h**2) * g)
        ),
        "the layers come in the right order, but each multiplies by J and not by its transpose": _pulled(
            lambda W, h, g: (1 - h**2) * (W @ g)
        ),
        "the transposes are right and the order is not: the last layer comes first": _pulled(
            lambda W, h, g: W.T @ ((1 - h**2) * g), last_first=False
        ),
        "W is transposed, but the slopes stand on the wrong side: (diag(1 − h²) W)ᵀ is Wᵀ diag(1 − h²), so g meets the "
        "slopes first and Wᵀ second": _pulled(lambda W, h, g: (1 - h**2) * (W.T @ g)),
        "the slopes 1 − h² are missing in every layer": _pulled(lambda W, h, g: W.T @ g),
        "the slopes come one layer too early: each layer's 1 − h² is that of its own output, not of its input": _off_by_one,
        "this is g alone, nothing has been pulled back": lambda weights, biases, x, g: g,
    },
)

_USED_TWICE = Exercise(
    name="used-twice-gradient",
    task="Return the gradient of q(x) = x·tanh(W x), in which x is used twice.",
    truth=lambda W, x: _true_jacobian(lambda x: _used_twice(W, x), x),
    inputs=tuple((_rng.standard_normal((n, n)), 0.8 * _rng.standard_normal(n)) for n in (3, 5)),
    derivative=True,
    hints=(
        "Two paths lead from x to q: one through the first factor, one through the tanh. Hold one factor still each time.",
        "With h = tanh(W x) the first path gives h. The second pulls the gradient of q with respect to h, which is x, "
        "back through the layer.",
        "h + Wᵀ ((1 − h²) x)",
    ),
    mistakes={
        "the path through the tanh is missing: this is what the first factor contributes": lambda W, x: np.tanh(W @ x),
        "the direct path is missing: this is what comes through the tanh, and the first factor x changes too": lambda W, x: (
            W.T @ ((1 - np.tanh(W @ x) ** 2) * x)
        ),
        "the transpose is missing in the path through the tanh: x is pulled back by Wᵀ": lambda W, x: (
            np.tanh(W @ x) + W @ ((1 - np.tanh(W @ x) ** 2) * x)
        ),
        "in the path through the tanh the Jacobian multiplies x, and its transpose should": lambda W, x: (
            np.tanh(W @ x) + (1 - np.tanh(W @ x) ** 2) * (W @ x)
        ),
        "W is transposed, but the slopes stand on the wrong side: x meets 1 − h² first and Wᵀ second": lambda W, x: (
            np.tanh(W @ x) + (1 - np.tanh(W @ x) ** 2) * (W.T @ x)
        ),
        "the slope 1 − h² of the tanh is missing": lambda W, x: np.tanh(W @ x) + W.T @ x,
        "the two paths are multiplied; their contributions add up": lambda W, x: (
            np.tanh(W @ x) * (W.T @ ((1 - np.tanh(W @ x) ** 2) * x))
        ),
        "this doubles the first path, as for the square of x; the two uses of x differ": lambda W, x: (
            2 * np.tanh(W @ x)
        ),
        "this is the Jacobian of tanh(W x) plus its value; the path through the tanh still has to multiply by x": lambda W, x: (
            np.tanh(W @ x) + (1 - np.tanh(W @ x) ** 2)[:, None] * W
        ),
    },
)

_SHARED_WEIGHT = Exercise(
    name="shared-weight-slope",
    task="Return dy/dw for y = tanh(w tanh(w x)), in which the weight w is used twice.",
    truth=lambda w, x: float(_true_jacobian(lambda w: _shared(w, x), np.array(w))),
    inputs=((0.8, 0.5), (-1.3, 0.7), (0.4, -1.6)),
    derivative=True,
    hints=(
        "Call the two weights w₁ and w₂ for a moment. How does y move with each of them alone?",
        "With a = tanh(w₁ x): ∂y/∂w₂ = (1 − y²) a, and ∂y/∂w₁ = (1 − y²) w₂ (1 − a²) x. Now both are w.",
        "(1 − y²) (a + w (1 − a²) x)",
    ),
    mistakes={
        "the path through the inner layer is missing: w stands there too": _of_shared(lambda s, a, b: s * a),
        "the direct path is missing: the outer w is held still here": _of_shared(lambda s, a, b: s * b),
        "the two paths are multiplied; their contributions add up": _of_shared(lambda s, a, b: s * a * b),
        "the slope 1 − y² of the outer tanh is missing": _of_shared(lambda s, a, b: a + b),
        "the slope 1 − y² multiplies the first path only; both paths end in the outer tanh": _of_shared(
            lambda s, a, b: s * a + b
        ),
        "the slope 1 − y² multiplies the second path only; both paths end in the outer tanh": _of_shared(
            lambda s, a, b: a + s * b
        ),
        "the slope 1 − a² of the inner tanh is missing": lambda w, x: _of_shared(lambda s, a, b: s * (a + w * x))(w, x),
        "the inner path lacks the outer weight: on its way to y, the change of a is multiplied by w": lambda w, x: (
            _of_shared(lambda s, a, b: s * (a + b / w))(w, x)
        ),
        "the inner path lacks x: the slope of w x with respect to w is x": lambda w, x: _of_shared(
            lambda s, a, b: s * (a + b / x)
        )(w, x),
        "this is the slope with respect to x; asked for is the one with respect to the weight": lambda w, x: float(
            _true_jacobian(lambda x: _shared(w, x), np.array(x))
        ),
        "this is y itself, not its slope": lambda w, x: float(_shared(w, x)),
    },
)

_CHEAPEST = Exercise(
    name="cheapest-brackets",
    task="Return the least number of multiplications for a chain of Jacobians with given widths.",
    truth=_every_bracketing,
    inputs=(
        ([4, 2, 3, 6],),
        ([64, 256, 8, 256, 64],),
        ([3, 9, 2, 8, 2, 9, 4],),
        ([5, 30, 4, 30, 2, 25, 6, 20, 7],),
        ([10, 4, 7],),
        ([10, 4],),
    ),
    rtol=1e-9,
    hints=(
        "Think of the last multiplication: it splits the chain at some width k. What do the two parts cost, and what does joining them?",
        "The least cost from width i to width j is the smallest C[i, k] + C[k, j] + n_i n_k n_j over all k between, and 0 "
        "for a single factor.",
        "Fill a table for pieces of length 1, 2, 3, … or write a recursive function with @functools.cache.",
    ),
    mistakes={
        "this is the forward order; it is not always the cheapest": _forward,
        "this is the reverse order; it is not always the cheapest": _reverse,
        "this is the better of forward and reverse; a bottleneck in the middle can be cheaper to start from": lambda n: (
            min(_forward(n), _reverse(n))
        ),
        "this always takes the cheapest product of two neighbours; for the widths 4, 2, 3, 6 that greedy rule costs 96, "
        "and 84 is possible": _greedy,
        "this joins a forward and a reverse half at the best place; inside the halves other orders may be cheaper still": (
            lambda n: _meeting(n) if len(n) > 2 else 0
        ),
        "this is the dearest order; take min, not max": _dearest,
        "this is twice the least number: a multiplication with its addition is counted once": lambda n: (
            2 * _every_bracketing(n)
        ),
        "this adds up the sizes of the factors; a product m × k by k × n takes m k n multiplications": lambda n: sum(
            a * b for a, b in pairwise(n)
        ),
    },
)

EXERCISES: tuple[Exercise, ...] = (
    _BRACKET_COSTS,
    _NETWORK_JACOBIAN,
    _INPUT_GRADIENT,
    _USED_TWICE,
    _SHARED_WEIGHT,
    _CHEAPEST,
)
