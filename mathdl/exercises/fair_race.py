"""The exercises of *A fair race*: drawing rates, the best of k, trials enough, paired differences, signs, a hyper-gradient.

Truths come from enumeration, from quantiles and from complex steps; none repeats a solution.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[Any]

_rng = np.random.default_rng(21)
_normal = _rng.standard_normal

# --------------------------------------------------------------------------------------------------- log-uniform rates


def _log_uniform(u: Array, low: float, high: float) -> Array:
    """One after the other: as many decades above `low` as the share u of all of them."""
    decades = math.log10(high / low)
    return np.array([low * 10 ** (decades * share) for share in u])


_LOG_UNIFORM = Exercise(
    name="log-uniform",
    task="Turn numbers u, uniform between 0 and 1, into rates that are log-uniform between low and high.",
    truth=_log_uniform,
    inputs=(
        (np.array([0.0, 0.25, 0.5, 1.0]), 1e-4, 1.0),
        (_rng.random(6), 0.002, 3.0),
        (_rng.random(5), 5e-5, 0.7),
    ),
    hints=(
        "Log-uniform means that the logarithm is uniform. Between which two numbers does it lie?",
        "log rate = log low + u (log high − log low); which logarithm is the same, as long as you undo it with its own power.",
        "low * (high / low) ** u",
    ),
    mistakes={
        "these are uniform, so that nine in ten lie in the highest decade; let the logarithm be uniform": lambda u, low, high: (
            low + u * (high - low)
        ),
        "these are the logarithms; undo the logarithm at the end": lambda u, low, high: (
            np.log(low) + u * np.log(high / low)
        ),
        "these are the logarithms to base 10; undo the logarithm at the end": lambda u, low, high: (
            np.log10(low) + u * np.log10(high / low)
        ),
        "logarithms to base 10 are undone with exp; base and power have to belong together": lambda u, low, high: (
            np.exp(np.log10(low) + u * np.log10(high / low))
        ),
        "natural logarithms are undone with powers of 10; base and power have to belong together": lambda u, low, high: (
            10 ** (np.log(low) + u * np.log(high / low))
        ),
        "u runs the wrong way: u = 0 has to give low, and u = 1 high": lambda u, low, high: _log_uniform(
            1 - u, low, high
        ),
        "this goes from 1 to high / low; multiply by low": lambda u, low, high: (high / low) ** u,
    },
)

# ---------------------------------------------------------------------------------------------------- the best of k draws


def _expected_best(values: Array, k: int) -> float:
    """By going through all of the n^k draws."""
    return float(np.mean([min(draw) for draw in itertools.product(values, repeat=k)]))


def _weighted(weight: Callable[[int, int, int], float], falling: bool = False) -> Callable[[Array, int], float]:
    """Sorted values with the weights of rank i of n; from the largest on, if falling."""

    def best(values: Array, k: int) -> float:
        ranks = np.sort(values)[::-1] if falling else np.sort(values)
        n = len(values)
        return float(sum(weight(i, n, k) * v for i, v in enumerate(ranks)))

    return best


def _with(i: int, n: int, k: int) -> float:
    return ((n - i) / n) ** k - ((n - i - 1) / n) ** k


def _without(i: int, n: int, k: int) -> float:
    return math.comb(n - i - 1, k - 1) / math.comb(n, k)


_BEST = Exercise(
    name="expected-best",
    task="Return the expected smallest of k values that are drawn from `values` independently, with replacement.",
    truth=_expected_best,
    inputs=(
        (np.array([0.5, 0.1, 0.9]), 2),
        (_normal(5), 4),
        (np.array([2.0, 0.3, 0.3, 1.1]), 3),
        (_normal(4), 1),
    ),
    hints=(
        "With what probability are all k draws at least the i-th smallest value? It is the k-th power of something simple.",
        "Sorted, v_0 ≤ v_1 ≤ …: all draws are among v_i, v_{i+1}, … with probability ((n − i)/n)^k. The least draw is v_i with the difference of this and the same for i + 1.",
        "v = np.sort(values); tail = (np.arange(n, -1, -1) / n) ** k; np.sum(v * (tail[:-1] − tail[1:]))",
    ),
    mistakes={
        "these weights are for draws without replacement, as in the chapter; here a value may come again": _weighted(
            _without
        ),
        "this is the expected largest; a loss is best when it is smallest": _weighted(_with, falling=True),
        "this is the smallest of all values, which k draws may miss": lambda values, k: float(np.min(values)),
        "this is the mean of all values: the expected result of a single draw": lambda values, k: float(
            np.mean(values)
        ),
        "this is the mean of the k smallest values; the k draws are not the best ones": lambda values, k: float(
            np.mean(np.sort(values)[:k])
        ),
        "this is the smallest of the first k values, one draw out of many": lambda values, k: float(np.min(values[:k])),
        "the values are not sorted before they get their weights": lambda values, k: float(
            sum(_with(i, len(values), k) * v for i, v in enumerate(values))
        ),
        "the weight of a value is a difference of two probabilities; this is the first of them alone": _weighted(
            lambda i, n, k: ((n - i) / n) ** k
        ),
    },
)

# ------------------------------------------------------------------------------------------------------- trials enough


def _trials_needed(width: float, decades: float, chance: float) -> int:
    """By counting up."""
    miss, trials = 1.0, 0
    while 1 - miss < chance - 1e-12:
        miss *= 1 - width / decades
        trials += 1
    return trials


def _exact_trials(width: float, decades: float, chance: float) -> float:
    return math.log(1 - chance) / math.log(1 - width / decades)


_TRIALS = Exercise(
    name="trials-needed",
    task="Return how many log-uniform trials over `decades` hit a valley of `width` decades at least once with probability `chance`.",
    truth=_trials_needed,
    inputs=((1.0, 4.0, 0.95), (0.3, 4.0, 0.95), (0.5, 6.0, 0.8), (2.0, 3.0, 0.99), (0.2, 5.0, 0.5)),
    hints=(
        "It is easier to say with which probability all trials miss.",
        "One trial misses with probability 1 − width/decades, k trials with the k-th power. Where does that fall to 1 − chance? Trials are whole numbers.",
        "math.ceil(math.log(1 − chance) / math.log(1 − width / decades))",
    ),
    mistakes={
        "this is not a whole number; the next larger one is enough": _exact_trials,
        "rounded down, it is one trial too few": lambda width, decades, chance: math.floor(
            _exact_trials(width, decades, chance)
        ),
        "this is how many trials there are for one hit on average, which leaves it to luck": lambda width, decades, chance: (
            math.ceil(decades / width)
        ),
        "hits do not add up: with k trials the chance of a hit is 1 − (1 − p)^k, and not k p": lambda width, decades, chance: (
            math.ceil(chance * decades / width)
        ),
        "p and 1 − p have changed places: a trial misses with probability 1 − width/decades": lambda width, decades, chance: (
            math.ceil(math.log(1 - chance) / math.log(width / decades))
        ),
        "the chance and its complement have changed places: all trials may miss with probability 1 − chance": lambda width, decades, chance: (
            math.ceil(math.log(chance) / math.log(1 - width / decades))
        ),
    },
)

# ------------------------------------------------------------------------------------------------- a difference by pairs


def _paired(a: Array, b: Array) -> Array:
    """Mean and standard error, the variance from all pairs of differences."""
    d = [float(x - y) for x, y in zip(a, b, strict=True)]
    n = len(d)
    variance = sum((p - q) ** 2 for p in d for q in d) / (2 * n * (n - 1))
    return np.array([math.fsum(d) / n, math.sqrt(variance / n)])


_PAIRED = Exercise(
    name="paired-difference",
    task="Return the mean of the differences a − b by seed and its standard error, from the losses a and b, seed by seed.",
    truth=_paired,
    inputs=(
        (np.array([0.31, 0.28, 0.35, 0.30]), np.array([0.29, 0.27, 0.31, 0.30])),
        (_normal(6), _normal(6)),
        (np.array([1.0, 2.0]), np.array([3.0, 3.5])),
    ),
    hints=(
        "Two numbers for each seed become one: its difference. After that it is the standard error of a mean.",
        "d = a − b. The standard deviation is taken with n − 1, and the mean of n numbers has one that is √n times as small.",
        "d = a − b; np.array([d.mean(), d.std(ddof=1) / np.sqrt(len(d))])",
    ),
    mistakes={
        "the seeds are not paired: this adds the variances of a and b, as for two separate groups": lambda a, b: (
            np.array([np.mean(a - b), np.sqrt(np.var(a, ddof=1) / len(a) + np.var(b, ddof=1) / len(b))])
        ),
        "this is the standard deviation of the differences; their mean varies √n times less": lambda a, b: np.array(
            [np.mean(a - b), np.std(a - b, ddof=1)]
        ),
        "the variance divides by n; n differences around their own mean leave n − 1": lambda a, b: np.array(
            [np.mean(a - b), np.std(a - b) / np.sqrt(len(a))]
        ),
        "the standard deviation is divided by n; it is divided by √n": lambda a, b: np.array(
            [np.mean(a - b), np.std(a - b, ddof=1) / len(a)]
        ),
        "this is b − a; a − b was asked for": lambda a, b: np.array([-1.0, 1.0]) * _paired(a, b),
        "this is the variance of the mean; its root is the standard error": lambda a, b: np.array(
            [np.mean(a - b), np.var(a - b, ddof=1) / len(a)]
        ),
    },
)

# -------------------------------------------------------------------------------------------------------------- signs


def _sign_test(d: Array) -> float:
    """By going through all signs that coins could have given."""
    signs = [float(np.sign(x)) for x in d if x != 0]
    if not signs:
        return 1.0
    seen = abs(sum(signs))
    return float(np.mean([abs(sum(coins)) >= seen for coins in itertools.product((-1, 1), repeat=len(signs))]))


def _tail(n: int, wins: int) -> float:
    """The probability of at most so many heads in n throws."""
    return float(sum(math.comb(n, k) for k in range(wins + 1)) / 2**n)


def _counted(p: Callable[[int, int, int], float]) -> Callable[[Array], float]:
    """From the numbers of positive, of negative and of all differences."""
    return lambda d: p(int(np.sum(d > 0)), int(np.sum(d < 0)), len(d))


_SIGN = Exercise(
    name="sign-test",
    task="Return the two-sided p of the sign test for differences d: ties are left out, and at most 1 is returned.",
    truth=_sign_test,
    inputs=(
        (np.array([0.2, 0.1, 0.4, 0.3, 0.1]),),
        (np.array([-1.0, -2.0, 0.5, -0.3, -0.1, -0.7, 0.0, -3.0]),),
        (np.array([1.0, -1.0, 2.0, -2.0]),),
        (_normal(9) + 0.5,),
    ),
    hints=(
        "If neither is better, each sign is a fair coin. How likely are so few of the rarer sign, or so few of the other?",
        "Leave out the zeros: n are left. With w of the rarer sign, P(at most w) = Σ_{k ≤ w} C(n, k) / 2ⁿ. Two-sided: twice that, but no more than 1.",
        "n, w = np.sum(d != 0), min(np.sum(d > 0), np.sum(d < 0)); min(1, 2 * sum(math.comb(n, k) for k in range(w + 1)) / 2**n)",
    ),
    mistakes={
        "this is one-sided; before looking, either of the two could have been the better one": _counted(
            lambda up, down, n: _tail(up + down, min(up, down))
        ),
        "this is the probability of exactly so many; those that are rarer still belong to it": _counted(
            lambda up, down, n: min(1.0, 2 * math.comb(up + down, min(up, down)) / 2 ** (up + down))
        ),
        "ties are counted among the n; leave them out first": _counted(
            lambda up, down, n: min(1.0, 2 * _tail(n, min(up, down)))
        ),
        "this counts the more frequent sign; surprising is how few there are of the rarer one": _counted(
            lambda up, down, n: min(1.0, 2 * _tail(up + down, max(up, down)))
        ),
        "a probability is at most 1: where both signs are equally frequent, twice the tail is more": _counted(
            lambda up, down, n: 2 * _tail(up + down, min(up, down))
        ),
        "the sum ends too early: so many of the rarer sign as were seen belong to it": _counted(
            lambda up, down, n: min(1.0, 2 * _tail(up + down, min(up, down) - 1))
        ),
    },
)

# ------------------------------------------------------------------------------------------- through two steps of descent


def _quartic(A: Array, c: float) -> tuple[Callable[[Array], Any], Callable[[Array], Any], Callable[[Array], Any]]:
    """θᵀAθ/2 + c Σ θ⁴/4, its gradient and its Hessian."""
    return (
        lambda t: t @ A @ t / 2 + c * np.sum(t**4) / 4,
        lambda t: A @ t + c * t**3,
        lambda t: A + 3 * c * np.diag(t**2),
    )


def _symmetric(n: int) -> Array:
    B = _normal((n, n))
    return np.asarray(B @ B.T / n + np.eye(n))


_LOSSES = (_quartic(_symmetric(2), 0.4), _quartic(_symmetric(4), 0.1))
_VALUE_OF = {gradient: value for value, gradient, _ in _LOSSES}


def _hyper(gradient: Callable[[Array], Array], hessian: Callable[[Array], Array], theta: Array, rate: float) -> Any:
    """The loss after two steps, as a function of the rate, by a complex step."""

    def after(rate: Array) -> Any:
        once = theta - rate * gradient(theta)
        return _VALUE_OF[gradient](once - rate * gradient(once))

    return numeric.jacobian(after, np.array(rate), method="complex").value


def _hyper_written(line: str) -> Callable[..., Any]:
    def written(gradient: Any, hessian: Any, theta: Array, rate: float) -> Any:
        g0 = gradient(theta)
        one = theta - rate * g0
        g1 = gradient(one)
        g2 = gradient(one - rate * g1)
        H = hessian(theta if line == "old Hessian" else one)
        if line == "one step":
            return -g1 @ g0
        dot = -g0 - g1 + (0 if line == "no Hessian" else (-1 if line == "sign" else 1) * rate * H @ g0)
        if line == "last":
            dot = -g1
        return {"old slope": g0, "g1": g1}.get(line, g2) @ dot * {"log": rate, "up": -1}.get(line, 1)

    return written


_HYPER = Exercise(
    name="hyper-gradient",
    task="Return the derivative, by the rate, of the loss after two steps of gradient descent from theta.",
    truth=_hyper,
    inputs=(
        (_LOSSES[0][1], _LOSSES[0][2], np.array([1.0, -0.5]), 0.1),
        (_LOSSES[1][1], _LOSSES[1][2], _normal(4), 0.2),
    ),
    derivative=True,
    hints=(
        "Carry two things along: θ, and θ̇, its derivative by the rate. Before the first step θ̇ is zero.",
        "A step makes θ − α g of θ, and θ̇ − g − α H θ̇ of θ̇, with g and H at the old θ. At the end the loss changes with g(θ) · θ̇.",
        "dot = 0 θ; twice: g, H = gradient(θ), hessian(θ); dot = dot − g − α H dot; θ = θ − α g. Then gradient(θ) @ dot",
    ),
    mistakes={
        "the Hessian is missing: the second gradient is taken at a point that moves with the rate too": _hyper_written(
            "no Hessian"
        ),
        "the Hessian's term has the wrong sign: θ̇ after the first step is −g, and −α H θ̇ is + α H g": _hyper_written(
            "sign"
        ),
        "the Hessian is taken at the first point; the second step begins at θ − α g": _hyper_written("old Hessian"),
        "this is the loss after one step, −g(θ₁) · g(θ₀)": _hyper_written("one step"),
        "only the last step counts here; the rate was used in the first one too": _hyper_written("last"),
        "the slope at the end is that of the loss after both steps; this takes the one at the start": _hyper_written(
            "old slope"
        ),
        "the slope at the end is that of the loss after both steps; this takes the one between them": _hyper_written(
            "g1"
        ),
        "this is the derivative by log α; the one by α is 1/α times as large": _hyper_written("log"),
        "the sign is wrong: a step goes against the gradient": _hyper_written("up"),
    },
)

EXERCISES = (_LOG_UNIFORM, _BEST, _TRIALS, _PAIRED, _SIGN, _HYPER)
