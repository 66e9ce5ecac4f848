"""The exercises of *Gradient descent*: exact losses, the best rate, spectral radii, step lengths, orders, a saddle's delay.

Truths run the descent, ask the engine, or minimise on a line; none repeats a solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(16)
_normal = _rng.standard_normal


def _symmetric(*eigenvalues: float) -> Array:
    """A matrix with these eigenvalues and random orthonormal eigenvectors."""
    Q, _ = np.linalg.qr(_normal((len(eigenvalues), len(eigenvalues))))
    H = (Q * np.array(eigenvalues)) @ Q.T
    return np.asarray((H + H.T) / 2)


# ------------------------------------------------------------------------------------------- the loss, without running it


def _excess(H: Array, e: Array, rate: float, steps: int) -> float:
    """By running."""
    for _ in range(steps):
        e = e - rate * (H @ e)
    return float(e @ H @ e / 2)


def _summed(
    term: Callable[[Array, Array, float, int], Array],
) -> Callable[[Array, Array, float, int], float]:
    """The sum over the eigenvectors of another term, from the eigenvalues and the coordinates."""

    def excess(H: Array, e: Array, rate: float, steps: int) -> float:
        values, Q = np.linalg.eigh(H)
        return float(np.sum(term(values, Q.T @ e, rate, steps)))

    return excess


_EXCESS = Exercise(
    name="excess-loss",
    task="Return how far a quadratic loss is above its minimum after `steps` steps, from H, the first error e and the rate.",
    truth=_excess,
    inputs=(
        (_symmetric(0.5, 2.0, 3.0), _normal(3), 0.3, 4),
        (_symmetric(0.1, 1.0, 1.5, 4.0), _normal(4), 0.45, 9),
        (_symmetric(1.0, 5.0), np.array([2.0, -1.0]), 0.1, 0),
    ),
    hints=(
        "In the coordinates c = Qᵀe of the eigenvectors each error is multiplied by its own number. What is the loss above the minimum in these coordinates?",
        "½ Σ λ_i c_i(t)², and c_i(t) = (1 − αλ_i)^t c_i(0). `np.linalg.eigh(H)` gives the eigenvalues, and the eigenvectors as columns.",
        "values, Q = np.linalg.eigh(H); c = (1 − rate * values) ** steps * (Q.T @ e); 0.5 * np.sum(values * c**2)",
    ),
    mistakes={
        "the factor (1 − αλ) stands there t times; squaring the coordinate makes it 2t times": _summed(
            lambda v, c, a, t: v / 2 * (1 - a * v) ** t * c**2
        ),
        "the eigenvalues are missing: this is half the squared distance, and the loss is ½ Σ λ c²": _summed(
            lambda v, c, a, t: (1 - a * v) ** (2 * t) * c**2 / 2
        ),
        "the ½ is missing": _summed(lambda v, c, a, t: v * (1 - a * v) ** (2 * t) * c**2),
        "the error is taken entry by entry; it needs its coordinates along the eigenvectors, Qᵀe": lambda H, e, a, t: (
            float(np.sum((v := np.linalg.eigvalsh(H)) / 2 * (1 - a * v) ** (2 * t) * e**2))
        ),
        "the coordinates are Qᵀe; this is Qe, with the eigenvectors taken from the rows": lambda H, e, a, t: float(
            np.sum((eig := np.linalg.eigh(H))[0] / 2 * (1 - a * eig[0]) ** (2 * t) * (eig[1] @ e) ** 2)
        ),
        "this is one step more than asked: after `steps` steps the power is `steps`": lambda H, e, a, t: _excess(
            H, e, a, t + 1
        ),
        "this is the loss at the start: the factors of the steps are missing": lambda H, e, a, t: _excess(H, e, a, 0),
    },
)

# ---------------------------------------------------------------------------------------------------------- the best rate


def _ends(H: Array) -> tuple[float, float]:
    values = np.linalg.eigvalsh(H)
    return float(values[0]), float(values[-1])


def _best(H: Array) -> Array:
    """The least spectral radius of I − αH over all α, searched for, with nothing said of where it is."""
    n = len(H)

    def radius(a: float) -> float:
        return float(np.abs(np.linalg.eigvalsh(np.eye(n) - a * H)).max())

    low, high = 0.0, 2 / float(np.trace(H)) * n * 10
    for _ in range(300):  # the radius is convex in α: a third that cannot hold the minimum is dropped
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if radius(a) < radius(b) else (a, high)
    return np.array([(low + high) / 2, radius((low + high) / 2)])


def _rated(
    rate: Callable[[float, float], float], factor: Callable[[float, float, float], float]
) -> Callable[..., Array]:
    def best(H: Array) -> Array:
        mu, L = _ends(H)
        a = rate(mu, L)
        return np.array([a, factor(a, mu, L)])

    return best


def _radius(a: float, mu: float, L: float) -> float:
    return max(abs(1 - a * mu), abs(1 - a * L))


_BEST = Exercise(
    name="best-rate",
    task="Return the learning rate at which gradient descent on a quadratic converges fastest, and its factor per step: (2,).",
    truth=_best,
    inputs=((_symmetric(1.0, 2.0, 9.0),), (_symmetric(0.02, 0.3, 0.5, 0.8),), (_symmetric(3.0, 5.0),)),
    hints=(
        "The factor of a direction is |1 − αλ|. Which two directions can be the slowest, and what happens to each as α grows?",
        "1 − αμ falls and αL − 1 rises. They are equal at α = 2/(μ + L). Put that into either.",
        "values = np.linalg.eigvalsh(H); rate = 2 / (values[0] + values[-1]); factor = 1 − rate * values[0]",
    ),
    mistakes={
        "this is 1/L with its factor: safe, and up to twice as slow as the best": _rated(lambda mu, L: 1 / L, _radius),
        "this is the limit 2/L itself, where the steepest direction does not shrink at all": _rated(
            lambda mu, L: 2 / L, _radius
        ),
        "the rate is half of the best one: 1 − αμ = αL − 1 gives 2/(μ + L)": _rated(
            lambda mu, L: 1 / (mu + L), _radius
        ),
        "the rate is right; the factor is that of all directions together, (κ − 1)/(κ + 1), which is never negative": _rated(
            lambda mu, L: 2 / (mu + L), lambda a, mu, L: 1 - a * L
        ),
        "the rate is right; this factor is 1 − 1/κ, which belongs to the rate 1/L": _rated(
            lambda mu, L: 2 / (mu + L), lambda a, mu, L: 1 - mu / L
        ),
        "the rate is right; this factor is squared: it belongs to the loss, and the error was asked for": _rated(
            lambda mu, L: 2 / (mu + L), lambda a, mu, L: _radius(a, mu, L) ** 2
        ),
        "the rate is right; this factor has square roots of κ, as momentum will have": _rated(
            lambda mu, L: 2 / (mu + L), lambda a, mu, L: (math.sqrt(L / mu) - 1) / (math.sqrt(L / mu) + 1)
        ),
        "both are right, in the wrong order: the rate comes first": lambda H: _best(H)[::-1],
        "the mean of all eigenvalues is taken; only the smallest and the largest decide": lambda H: np.array(
            [1 / (m := float(np.trace(H)) / len(H)), _radius(1 / m, *_ends(H))]
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- the update's rate


def _wave(theta: Array) -> Any:
    """The gradient of bowls 1 − cos that are coupled: smooth, not quadratic."""
    return np.sin(theta) + 0.3 * (theta - np.roll(theta, 1)) + 0.3 * (theta - np.roll(theta, -1))


def _steep(theta: Array) -> Any:
    """The gradient of a bowl that is steep in one direction: its largest factor is negative at the rates used."""
    weights = np.array([0.4, 1.0, 6.0])
    return weights * np.sinh(theta)


def _bent(theta: Array) -> Any:
    """The gradient of ½x² − ½y² + ¼y⁴ and a coupling: a saddle at the origin."""
    x, y = theta
    return np.stack([x + 0.2 * y, y**3 - y + 0.2 * x])


def _update_radius(gradient: Callable[[Array], Any], theta: Array, rate: float) -> float:
    """Of the update's Jacobian, by complex steps through one update."""
    J = numeric.jacobian(lambda v: v - rate * gradient(v), theta, method="complex").value
    return float(np.abs(np.linalg.eigvals(J)).max())


def _from_hessian(number: Callable[[Array, float], float]) -> Callable[..., float]:
    """Another number made of the Hessian's eigenvalues and the rate."""

    def radius(gradient: Callable[[Array], Any], theta: Array, rate: float) -> float:
        H = numeric.jacobian(gradient, theta, method="complex").value
        return float(number(np.linalg.eigvalsh((H + H.T) / 2), rate))

    return radius


_RADIUS = Exercise(
    name="update-radius",
    task="Return the spectral radius of the Jacobian of θ ↦ θ − rate · gradient(θ) at theta.",
    truth=_update_radius,
    inputs=(
        (_wave, np.zeros(4), 0.5),
        (_steep, np.zeros(3), 0.33),
        (_bent, np.zeros(2), 0.1),
    ),
    hints=(
        "Write one step as a function of θ and ask the engine for its Jacobian. Which of its eigenvalues is the largest in size?",
        "J = md.jacobian(lambda v: v − rate * gradient(v))(theta); the spectral radius is the largest |λ| of J.",
        "Return np.abs(np.linalg.eigvals(J)).max() of that Jacobian.",
    ),
    mistakes={
        "this is the largest eigenvalue, not the largest in size: 1 − αL may be negative and still be the slowest": _from_hessian(
            lambda v, a: np.max(1 - a * v)
        ),
        "this is the spectral radius of the Hessian; the update's Jacobian is I − αH": _from_hessian(
            lambda v, a: np.abs(v).max()
        ),
        "this is the smallest of the factors; in the long run the largest is left": _from_hessian(
            lambda v, a: np.abs(1 - a * v).min()
        ),
        "this is the factor of the steepest direction alone, |1 − αL|": _from_hessian(lambda v, a: abs(1 - a * v[-1])),
        "the step goes uphill: this is the spectral radius of I + αH": _from_hessian(
            lambda v, a: np.abs(1 + a * v).max()
        ),
        "this is the spectral radius of αH; the I of the update is missing": _from_hessian(
            lambda v, a: a * np.abs(v).max()
        ),
        "this is the root of the sum of all squared entries of J; the spectral radius is one eigenvalue's size": _from_hessian(
            lambda v, a: np.sqrt(np.sum((1 - a * v) ** 2))
        ),
        "this is the signed eigenvalue; take its size": _from_hessian(
            lambda v, a: (1 - a * v)[np.abs(1 - a * v).argmax()]
        ),
    },
)

# ---------------------------------------------------------------------------------------------------- the exact step length


def _step_length(H: Array, b: Array, theta: Array) -> float:
    """Where the loss is least on the line, from three of its values: it is a parabola there."""
    g = H @ theta - b

    def value(a: float) -> float:
        v = theta - a * g
        return float(v @ H @ v / 2 - b @ v)

    before, here, after = value(-1.0), value(0.0), value(1.0)
    return (before - after) / (2 * (before - 2 * here + after))


def _lengths(length: Callable[[Array, Array], Any], sign: float = -1.0) -> Callable[..., float]:
    return lambda H, b, theta: float(length(H, H @ theta + sign * b))


_EXACT = Exercise(
    name="exact-step",
    task="Return the step length a that makes ½θᵀHθ − bᵀθ least at θ − a g, with g the gradient at theta.",
    truth=_step_length,
    inputs=(
        (_symmetric(1.0, 2.0, 9.0), _normal(3), _normal(3)),
        (_symmetric(0.1, 0.7, 0.8, 5.0), _normal(4), _normal(4)),
    ),
    hints=(
        "On the line the loss is a parabola in a. Its slope at 0 is −gᵀg. At which rate does the slope change?",
        "The slope is −gᵀg + a gᵀHg. With g = Hθ − b, set it to zero.",
        "g = H @ theta − b; (g @ g) / (g @ H @ g)",
    ),
    mistakes={
        "this is upside down: gᵀHg / gᵀg is the curvature along g, and the step is its inverse": _lengths(
            lambda H, g: (g @ H @ g) / (g @ g)
        ),
        "the gradient is Hθ − b; here b was added": _lengths(lambda H, g: (g @ g) / (g @ H @ g), sign=1.0),
        "the gradient is Hθ − b; here b is left out": _lengths(lambda H, g: (g @ g) / (g @ H @ g), sign=0.0),
        "the length of g is not squared in the numerator": _lengths(lambda H, g: math.sqrt(g @ g) / (g @ H @ g)),
        "the numerator is gᵀg; the step is along g, which has not the length 1": _lengths(lambda H, g: 1 / (g @ H @ g)),
        "twice the way: there the loss is what it was at the start": _lengths(lambda H, g: 2 * (g @ g) / (g @ H @ g)),
        "half the way: the ½ of the loss is gone when it is differentiated": _lengths(
            lambda H, g: (g @ g) / (g @ H @ g) / 2
        ),
        "this length makes the new gradient the shortest, gᵀHg / ‖Hg‖²; the loss was to be made least": _lengths(
            lambda H, g: (g @ H @ g) / np.sum((H @ g) ** 2)
        ),
        "this is the best fixed rate, 2/(μ + L); the length that is asked for depends on g": _lengths(
            lambda H, g: 2 / sum(_ends(H))
        ),
        "this is the fixed rate 1/L; the length that is asked for depends on g": _lengths(lambda H, g: 1 / _ends(H)[1]),
        "the sign is wrong: the step goes from θ to θ − a g, downhill with a > 0": _lengths(
            lambda H, g: -(g @ g) / (g @ H @ g)
        ),
    },
)

# ------------------------------------------------------------------------------------------------------------ backtracking


def _bowl(v: Array) -> Any:
    return (v[0] - 1) ** 2 / 2 + 8 * (v[1] - v[0] ** 2 / 3) ** 2


def _bowl_gradient(v: Array) -> Array:
    r = v[1] - v[0] ** 2 / 3
    return np.array([v[0] - 1 - 16 * r * 2 * v[0] / 3, 16 * r])


def _quartic(v: Array) -> Any:
    return np.sum(v**4) / 4 + v[0] * v[1] / 3


def _quartic_gradient(v: Array) -> Array:
    return np.asarray(v**3 + np.append(v[1::-1], np.zeros(len(v) - 2)) / 3)


def _accepted(f: Any, gradient: Any, theta: Array, longest: float, c: float) -> float:
    """The first of longest, longest/2, longest/4, ... that Armijo's condition accepts, from a list of them all."""
    g = np.asarray(gradient(theta))
    lengths = longest * 0.5 ** np.arange(60)
    return float(next(a for a in lengths if f(theta - a * g) - f(theta) <= -c * a * float(g @ g)))


def _halved(
    enough: Callable[[float, float, float, Array], bool],
    share: float = 0.5,
    direction: Callable[[Array], Array] = lambda g: -g,
    after: float = 1.0,
) -> Callable[..., float]:
    """Backtracking with another test of (loss after, loss before, a · c, g), another factor, direction or answer."""

    def search(f: Any, gradient: Any, theta: Array, longest: float, c: float) -> float:
        g, a = np.asarray(gradient(theta)), longest
        for _ in range(200):
            if enough(float(f(theta + a * direction(g))), float(f(theta)), a * c, g):
                break
            a *= share
        return a * after

    return search


def _armijo(new: float, old: float, ac: float, g: Array) -> bool:
    return new <= old - ac * float(g @ g)


_BACKTRACKING = Exercise(
    name="backtracking",
    task="Return the first of the lengths `longest`, `longest`/2, `longest`/4, ... that Armijo's condition with c accepts.",
    truth=_accepted,
    inputs=(
        (_bowl, _bowl_gradient, np.array([-1.2, 1.0]), 2.0, 0.3),
        (_bowl, _bowl_gradient, np.array([1.5, 0.1]), 1.0, 0.45),
        (_quartic, _quartic_gradient, np.array([0.9, -1.3, 0.4]), 3.0, 0.1),
        (_quartic, _quartic_gradient, np.array([2.0, 1.0]), 4.0, 0.4),
        (_quartic, _quartic_gradient, np.array([0.3, -0.2]), 0.125, 0.2),
    ),
    hints=(
        "Begin with a = longest. As long as the new loss is larger than the loss less c a gᵀg, halve a. What is returned if the first length is good?",
        "The condition is f(θ − a g) ≤ f(θ) − c a gᵀg. The right side has a in it too, so that it changes with every halving.",
        "while f(theta − a * g) > f(theta) − c * a * (g @ g): a = a / 2. Then return a.",
    ),
    mistakes={
        "this accepts whatever makes the loss smaller; Armijo asks for at least the share c of what the slope promised": _halved(
            lambda new, old, ac, g: new < old
        ),
        "the length of g is not squared: the slope along −g is −gᵀg": _halved(
            lambda new, old, ac, g: new <= old - ac * float(np.sqrt(g @ g))
        ),
        "the length a is missing on the right: a step half as long is promised half as much": lambda f, gradient, theta, longest, c: (
            _halved(lambda new, old, ac, g: new <= old - c * float(g @ g))(f, gradient, theta, longest, c)
        ),
        "the right side keeps the first length: it has to be computed anew after each halving": lambda f, gradient, theta, longest, c: (
            _halved(lambda new, old, ac, g: new <= old - c * longest * float(g @ g))(f, gradient, theta, longest, c)
        ),
        "c is missing: this asks for all that the slope promised, which a curve that bends upward never gives": lambda f, gradient, theta, longest, c: (
            _halved(_armijo)(f, gradient, theta, longest, 1.0)
        ),
        "this is halved once more than needed: return the length that was accepted": _halved(_armijo, after=0.5),
        "this is the last length that was refused; return the next": _halved(_armijo, after=2.0),
        "the lengths are divided by 10 and not by 2": _halved(_armijo, share=0.1),
        "the sign of the last term is wrong: the loss has to fall below f(θ) by it": _halved(
            lambda new, old, ac, g: new <= old + ac * float(g @ g)
        ),
        "this walks along g/‖g‖; the condition was for steps along g itself": _halved(
            _armijo, direction=lambda g: -g / np.sqrt(g @ g)
        ),
        "this walks uphill, to θ + a g, where no length is good": _halved(_armijo, direction=lambda g: g),
    },
)

# ---------------------------------------------------------------------------------------------------- the order, measured


def _errors(order: float, constant: float, first: float, count: int) -> Array:
    """e, C eᵖ, C (C eᵖ)ᵖ, ... after two errors that belong to nothing, as runs begin."""
    found = [3.0 * first, 2.2 * first, first]
    while len(found) < count:
        found.append(constant * found[-1] ** order)
    return np.array(found)


def _order(errors: Array) -> float:
    """The slope of the straight line through the last two points (log e_t, log e_{t+1})."""
    logs = np.log(errors[-3:])
    return float(np.polyfit(logs[:-1], logs[1:], 1)[0])


_ORDER = Exercise(
    name="convergence-order",
    task="Return the order p that the last three errors show: e_{t+1} = C e_tᵖ with the same C and p for both steps.",
    truth=_order,
    inputs=(
        (_errors(2.0, 0.8, 0.4, 7),),
        (_errors(1.0, 0.9, 0.5, 9),),
        (_errors(1.618, 1.3, 0.2, 7),),
        (_errors(3.0, 2.0, 0.3, 6),),
    ),
    hints=(
        "Take logarithms: log e_{t+1} = log C + p log e_t. Two steps give two equations. Subtract them.",
        "p = (log e_3 − log e_2) / (log e_2 − log e_1) with the last three errors.",
        "a, b, c = np.log(errors[-3:]); (c − b) / (b − a)",
    ),
    mistakes={
        "this is upside down: the later difference of logarithms stands above": lambda e: 1 / _order(e),
        "the constant C is taken for 1: log e_{t+1} / log e_t is p only then": lambda e: (
            math.log(e[-1]) / math.log(e[-2])
        ),
        "this is the factor e_{t+1}/e_t, the constant of linear convergence; the order is an exponent": lambda e: (
            e[-1] / e[-2]
        ),
        "the first three errors are taken; a run shows its order only near the end": lambda e: _order(e[:3]),
        "the logarithms are missing: this is a quotient of differences of errors": lambda e: (
            (e[-1] - e[-2]) / (e[-2] - e[-3])
        ),
        "this is a slope over steps, log e_{t+1} − log e_t; the order compares two of them": lambda e: (
            math.log(e[-1]) - math.log(e[-2])
        ),
        "this is the quotient of the factors themselves; take their logarithms first": lambda e: (
            (e[-1] / e[-2]) / (e[-2] / e[-3])
        ),
    },
)

# -------------------------------------------------------------------------------------------------------- past the saddle


def _escape(curvature: float, rate: float, start: float, goal: float) -> int:
    """By walking."""
    steps, y = 0, start
    while y < goal:
        y -= rate * curvature * y
        steps += 1
    return steps


def _counted(number: Callable[[float, float, float], float]) -> Callable[..., float]:
    """Another count, from the curvature, the rate and the ratio of goal to start."""
    return lambda curvature, rate, start, goal: number(curvature, rate, goal / start)


def _steps(c: float, a: float, ratio: float) -> float:
    return math.log(ratio) / math.log(1 - a * c)


_ESCAPE = Exercise(
    name="saddle-escape",
    task="Return after how many steps, a whole number, a coordinate with negative curvature has grown from start to goal.",
    truth=_escape,
    inputs=((-1.0, 0.1, 1e-6, 0.5), (-0.02, 0.5, 1e-3, 1.0), (-4.0, 0.2, 1e-12, 0.1)),
    rtol=1e-9,
    hints=(
        "Each step multiplies the coordinate by 1 − rate · curvature, which is above 1. How often, until it is goal/start times as large?",
        "Solve (1 − rate · curvature)ⁿ ≥ goal/start for n by logarithms, and round up: a step cannot be made by halves.",
        "np.ceil(np.log(goal / start) / np.log(1 − rate * curvature))",
    ),
    mistakes={
        "this is not a whole number: round up, since a part of a step does not reach the goal": _counted(_steps),
        "this is rounded down: after so many steps the goal is not yet reached": _counted(
            lambda c, a, r: math.floor(_steps(c, a, r))
        ),
        "the sign of the curvature is lost: 1 + αλ is below 1, and the coordinate would shrink": _counted(
            lambda c, a, r: math.ceil(math.log(r) / math.log(1 + a * c))
        ),
        "this is log(goal/start)/(α|λ|), which holds for small steps only: divide by log(1 + α|λ|)": _counted(
            lambda c, a, r: math.ceil(math.log(r) / (a * abs(c)))
        ),
        "this grows by the same amount each step; the growth is a factor each step, which needs logarithms": lambda c, a, start, goal: (
            math.ceil((goal - start) / (a * abs(c) * start))
        ),
        "the logarithm of the ratio is negative here: start and goal have changed places": _counted(
            lambda c, a, r: math.ceil(-_steps(c, a, r))
        ),
        "the rate is missing: the factor is 1 − rate · curvature": _counted(
            lambda c, a, r: math.ceil(math.log(r) / math.log(1 - c))
        ),
        "one step too many": _counted(lambda c, a, r: math.ceil(_steps(c, a, r)) + 1),
    },
)

EXERCISES = (_EXCESS, _BEST, _RADIUS, _EXACT, _BACKTRACKING, _ORDER, _ESCAPE)
