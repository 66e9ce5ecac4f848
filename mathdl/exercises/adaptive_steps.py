"""The exercises of *Adaptive steps*: a correction, Adam, where epsilon stands, decay, AMSGrad, Lion, a Jacobian.

Truths come from `mathdl.optim`, from root finding and from complex steps; none repeats a solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from mathdl import numeric, optim
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES", "runs"]

Array = NDArray[Any]
Rule = Callable[..., Array]

_normal = np.random.default_rng(18).standard_normal


def _steps(optimizer: Any, gradients: Any, theta: Any = None) -> Array:
    """The steps that an optimizer of the package makes of these gradients, a row each."""
    theta = np.zeros_like(gradients[0]) if theta is None else theta
    state, steps = optimizer.initial(theta), []
    for g in gradients:
        step, state = optimizer.update(g, state, theta)
        steps.append(step)
        theta = theta + step
    return np.array(steps)


def _written(line: str) -> Rule:
    """Adam's steps with a slip in one line."""

    def steps(gradients: Array, rate: float, beta1: float, beta2: float, epsilon: float) -> Array:
        if line == "betas":
            beta1, beta2 = beta2, beta1
        m, v, made = np.zeros_like(gradients[0]), np.zeros_like(gradients[0]), []
        for k, g in enumerate(gradients):
            t = k + 1
            m = beta1 * m + (1.0 if line == "sum" else 1 - beta1) * g
            v = beta2 * v + (1 - beta2) * (np.abs(g) if line == "no square" else m**2 if line == "m squared" else g**2)
            m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
            if line in ("uncorrected", "m alone"):
                v_hat = v
            if line in ("uncorrected", "v alone"):
                m_hat = m
            if line == "once":
                m_hat, v_hat = m / (1 - beta1), v / (1 - beta2)
            root = v_hat if line == "no root" else np.sqrt(v_hat + (epsilon if line == "inside" else 0.0))
            top = g if line == "no mean" else m_hat
            step = -top / (root + (0.0 if line in ("inside", "no epsilon") else epsilon))
            step = step if line == "no rate" else rate * step
            made.append(-step if line == "sign" else step)
            if line == "kept":
                m, v = m_hat, v_hat
        return np.array(made)

    return steps


# ------------------------------------------------------------------------------------------------- the missing correction


def _factor(t: int, beta1: float, beta2: float) -> float:
    """From the definition: t steps of both means, on a gradient of 1."""
    m = v = 0.0
    for _ in range(t):
        m, v = beta1 * m + (1 - beta1), beta2 * v + (1 - beta2)
    return m / math.sqrt(v)


_BIAS = Exercise(
    name="bias-factor",
    task="On a constant positive gradient, how long is Adam's step t without any correction, in units of the rate (ε = 0)?",
    truth=_factor,
    inputs=((1, 0.9, 0.999), (5, 0.9, 0.999), (12, 0.9, 0.999), (40, 0.5, 0.9), (3, 0.0, 0.99)),
    rtol=1e-9,
    hints=(
        "With the same g in every step, m is g times a number, and v is g² times a number. What do the weights of the t gradients in each of them add up to?",
        "(1 − β) (1 + β + ... + β^(t−1)) = 1 − β^t. So m = (1 − β₁^t) g. And √v?",
        "(1 − beta1**t) / np.sqrt(1 − beta2**t)",
    ),
    mistakes={
        "the root is missing: the step is divided by √v, not by v": lambda t, b1, b2: (1 - b1**t) / (1 - b2**t),
        "this is the first step's factor for every t; the weights of t gradients add up to 1 − β^t": lambda t, b1, b2: (
            _factor(1, b1, b2)
        ),
        "the wrong way up: this is what the correction multiplies by": lambda t, b1, b2: 1 / _factor(t, b1, b2),
        "these are the weights of the oldest gradient alone, (1 − β) β^(t−1); all t count": lambda t, b1, b2: (
            (1 - b1) * b1 ** (t - 1) / math.sqrt((1 - b2) * b2 ** (t - 1))
        ),
        "the first step is t = 1, and this counts it as t = 0 or one too far: β^(t+1) should be β^t": lambda t, b1, b2: (
            _factor(t + 1, b1, b2)
        ),
        "the betas are exchanged: β₁ belongs to m, β₂ to v": lambda t, b1, b2: _factor(t, b2, b1),
        "only m is there; it is divided by √v, which is too small as well": lambda t, b1, b2: 1 - b1**t,
    },
)

# ------------------------------------------------------------------------------------------------------------ Adam by hand

_ADAM = Exercise(
    name="adam-steps",
    task="Return the steps, shape (T, n), that Adam makes of the gradients, shape (T, n), with both corrections, ε outside of the root.",
    truth=lambda gradients, rate, beta1, beta2, epsilon: _steps(
        optim.Adam(rate, beta1, beta2, epsilon), list(gradients)
    ),
    inputs=(
        (_normal((6, 3)), 0.1, 0.9, 0.999, 1e-8),
        (0.05 * _normal((12, 2)), 1e-3, 0.8, 0.9, 1e-2),
        (3 + _normal((4, 1)), 0.5, 0.5, 0.99, 0.1),
    ),
    rtol=1e-9,
    hints=(
        "Two means, begun at zero: m of the gradients, v of their squares. In each step update both, correct both, divide.",
        "m = β₁ m + (1 − β₁) g, v = β₂ v + (1 − β₂) g², then m̂ = m / (1 − β₁^t) and v̂ = v / (1 − β₂^t), with t = 1 in the first step.",
        "The step is −rate * m_hat / (np.sqrt(v_hat) + epsilon); append it and return np.array(steps).",
    ),
    mistakes={
        "nothing is corrected: the first steps are too long": _written("uncorrected"),
        "m is corrected and v is not": _written("m alone"),
        "v is corrected and m is not": _written("v alone"),
        "each step is corrected as if it were the first: the divisors are 1 − β^t, with the number of the step": _written(
            "once"
        ),
        "ε stands inside of the root; here it is added to the root": _written("inside"),
        "the root is missing: the step is divided by √v̂, not by v̂": _written("no root"),
        "v is the mean of |g|; it should be the mean of g²": _written("no square"),
        "v is the mean of m²; it is made of the gradients themselves": _written("m squared"),
        "above the line stands g itself: this is RMSprop with a correction. Adam has m̂ there": _written("no mean"),
        "the betas are exchanged: β₁ belongs to m, β₂ to v": _written("betas"),
        "the new gradient comes into m with the weight 1; in Adam it is 1 − β₁": _written("sum"),
        "this goes up: a step is what is added to the parameters, so it has a minus": _written("sign"),
        "m and v are written over with their corrected values, and go on from these; they go on uncorrected": _written(
            "kept"
        ),
        "ε is missing below the line": _written("no epsilon"),
        "the rate is missing": _written("no rate"),
    },
)

# ---------------------------------------------------------------------------------------------------- where epsilon stands


def _inside(g: float, epsilon: float) -> float:
    """Found as a root: with it inside, the first step is as long as with ε outside."""
    outside = g / (g + epsilon)
    return float(optimize.brentq(lambda e: g / math.sqrt(g * g + e) - outside, 0.0, 100.0, xtol=1e-300, rtol=1e-14))


_EPSILON = Exercise(
    name="epsilon-inside",
    task="Which number under the root, √(v̂ + e), shortens the first step on a gradient g > 0 as much as ε outside, √v̂ + ε?",
    truth=_inside,
    inputs=((1.0, 0.5), (0.1, 0.01), (1e-3, 1e-2), (2.0, 1.0)),
    hints=(
        "In the first step v̂ = g². Write both denominators, with e inside and with ε outside.",
        "They have to be equal: √(g² + e) = g + ε. Square both sides.",
        "2 * g * epsilon + epsilon**2",
    ),
    mistakes={
        "this is right for g = 0 only; elsewhere the square of a sum has a middle term": lambda g, e: e * e,
        "the middle term 2 g ε alone; ε² is missing": lambda g, e: 2 * g * e,
        "the middle term of (g + ε)² is 2 g ε": lambda g, e: g * e + e * e,
        "this is ε itself: inside of the root the same number does much more": lambda g, e: e,
        "this is the root of ε; the question is the other way round": lambda g, e: math.sqrt(e),
        "this is (g + ε)²; g² stands under the root already": lambda g, e: (g + e) ** 2,
    },
)

# -------------------------------------------------------------------------------------------------------- decay by itself


def _decayed(theta: Array, g: Array, m: Array, v: Array, t: int, rate: float, decay: float) -> Array:
    state = {"step": t - 1, "m": m, "v": v}
    return np.asarray(theta + optim.AdamW(rate, weight_decay=decay).update(g, state, theta)[0])


def _decay_written(line: str) -> Rule:
    def after(theta: Array, g: Array, m: Array, v: Array, t: int, rate: float, decay: float) -> Array:
        if line == "coupled":
            g = g + decay * theta
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        if line == "uncorrected":
            m, v = m * (1 - 0.9**t), v * (1 - 0.999**t)
        root = np.sqrt(v / (1 - 0.999**t)) + 1e-8
        step = -rate * m / (1 - 0.9**t) / root
        factor = {"no rate": decay, "grows": -rate * decay, "none": 0.0, "coupled": 0.0}.get(line, rate * decay)
        if line == "divided":
            return theta + step - rate * decay * theta / root
        if line == "after":
            return (1 - factor) * (theta + step)
        if line == "step alone":
            return step - factor * theta
        return theta + step - factor * theta

    return after


_DECAY = Exercise(
    name="adamw-update",
    task="Return the parameters after step t of AdamW, from θ, the gradient, and m and v before the step (β = 0.9, 0.999; ε = 1e-8).",
    truth=_decayed,
    inputs=(
        (_normal(4), _normal(4), 0.3 * _normal(4), np.abs(_normal(4)), 7, 0.1, 0.5),
        (2 * _normal(3), 0.1 * _normal(3), np.zeros(3), np.zeros(3), 1, 0.05, 2.0),
        (_normal((2, 2)), _normal((2, 2)), _normal((2, 2)), 4 + np.abs(_normal((2, 2))), 100, 0.2, 0.1),
    ),
    rtol=1e-9,
    hints=(
        "First Adam's step, made of the gradient alone. The decay does not go into m or v, and is not divided by anything.",
        "AdamW subtracts rate · decay · θ besides, with the θ from before the step.",
        "theta − rate * m_hat / (np.sqrt(v_hat) + 1e-8) − rate * decay * theta",
    ),
    mistakes={
        "the decay is added to the gradient, and goes into m and v: this is Adam with L2": _decay_written("coupled"),
        "the decay is divided by the root, as the gradient is; it should stand outside of the fraction": (
            _decay_written("divided")
        ),
        "the rate is missing: what is subtracted is rate · decay · θ": _decay_written("no rate"),
        "the wrong sign: this makes the parameters grow": _decay_written("grows"),
        "there is no decay in it: this is Adam": _decay_written("none"),
        "the decay is taken of the parameters after the step; AdamW takes it of those before": _decay_written("after"),
        "this is the step; the exercise asks for the parameters after it": _decay_written("step alone"),
        "m and v are not corrected: divide by 1 − β^t": _decay_written("uncorrected"),
    },
)

# ------------------------------------------------------------------------------------------------------ the largest so far


def _amsgrad_written(line: str) -> Rule:
    def steps(gradients: Array, rate: float, beta1: float, beta2: float) -> Array:
        m, v, w, made = 0.0, np.zeros_like(gradients[0]), np.zeros_like(gradients[0]), []
        for t, g in enumerate(gradients, start=1):
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * (w if line == "into v" else v) + (1 - beta2) * g**2
            w = {
                "none": v,
                "over entries": np.maximum(w, np.max(v)),
                "of g": np.maximum(w, g**2),
                "hat": np.maximum(w, v / (1 - beta2**t)),
                "least": v if t == 1 else np.minimum(w, v),
            }.get(line, np.maximum(w, v))
            corrected = w if line in ("hat", "of g", "uncorrected") else w / (1 - beta2**t)
            m_hat = m if line == "uncorrected" else m / (1 - beta1**t)
            made.append(-rate * m_hat / (corrected if line == "no root" else np.sqrt(corrected)))
        return np.array(made)

    return steps


_peaks = _normal((15, 3)) * np.array([1.0, 0.3, 2.0])
_peaks[4] *= 8

_AMSGRAD = Exercise(
    name="amsgrad-steps",
    task="Return the steps, shape (T, n), of AMSGrad: Adam with the largest v so far in v's place, corrected like v (ε = 0).",
    truth=lambda gradients, rate, beta1, beta2: _steps(optim.AMSGrad(rate, beta1, beta2, 0.0), list(gradients)),
    inputs=((_peaks, 0.1, 0.9, 0.8), (_normal((10, 2)) * np.linspace(3, 0.2, 10)[:, None], 1.0, 0.5, 0.9)),
    rtol=1e-9,
    hints=(
        "v goes on as in Adam. Beside it there is a third thing to remember: for each parameter, the largest v there has been.",
        "largest = np.maximum(largest, v), for each entry by itself; then divide by √(largest / (1 − β₂^t)).",
        "The largest is taken of v, not of v̂; the correction comes after, with the number of the present step.",
    ),
    mistakes={
        "nothing is kept: this is Adam": _amsgrad_written("none"),
        "the maximum is taken over the parameters too; it is over time, for each parameter by itself": (
            _amsgrad_written("over entries")
        ),
        "this keeps the largest g²; AMSGrad keeps the largest of the means v": _amsgrad_written("of g"),
        "this is the largest corrected v̂; here the largest v is kept, and corrected in the end": _amsgrad_written(
            "hat"
        ),
        "the largest is put back into v, so that v cannot fall either; v goes on as in Adam": _amsgrad_written(
            "into v"
        ),
        "this keeps the smallest v": _amsgrad_written("least"),
        "nothing is corrected: divide by 1 − β^t": _amsgrad_written("uncorrected"),
        "the root is missing: the step is divided by the root of the largest v": _amsgrad_written("no root"),
    },
)

# ----------------------------------------------------------------------------------------------------------- only the sign


def _lion_written(line: str) -> Rule:
    def steps(gradients: Array, rate: float, beta1: float, beta2: float) -> Array:
        if line == "betas":
            beta1, beta2 = beta2, beta1
        m, made = np.zeros_like(gradients[0]), []
        for g in gradients:
            ahead = beta1 * m + (1 - beta1) * g
            new = beta2 * m + (1 - beta2) * g
            if line == "sign in m":
                new = beta2 * m + (1 - beta2) * np.sign(g)
            if line == "one mean":
                new = ahead
            said = {"after": new, "gradient": g, "new m": beta1 * new + (1 - beta1) * g}.get(line, ahead)
            step = -rate * (said if line == "no sign" else np.sign(said))
            made.append(-step if line == "up" else step)
            m = new
        return np.array(made)

    return steps


_LION = Exercise(
    name="lion-steps",
    task="Return the steps, shape (T, n), of Lion without weight decay.",
    truth=lambda gradients, rate, beta1, beta2: _steps(optim.Lion(rate, beta1, beta2), list(gradients)),
    inputs=((_normal((30, 4)), 0.1, 0.9, 0.99), (_normal((25, 3)) + 0.2, 1e-3, 0.5, 0.8)),
    hints=(
        "Lion mixes m and g twice: once with β₁ for the sign, and once with β₂ for what it remembers.",
        "The step is −rate · sign(β₁ m + (1 − β₁) g), with the m from before; then m ← β₂ m + (1 − β₂) g.",
    ),
    mistakes={
        "the sign is that of the new m; Lion mixes with β₁ for the sign, and keeps another mean": _lion_written(
            "after"
        ),
        "this is the sign of the gradient alone": _lion_written("gradient"),
        "the sign is taken after m was updated; it belongs before": _lion_written("new m"),
        "the betas are exchanged: β₁ is for the sign, β₂ for the memory": _lion_written("betas"),
        "the mean is kept with β₁; what is remembered is mixed with β₂": _lion_written("one mean"),
        "m is made of the signs; it is the mean of the gradients themselves": _lion_written("sign in m"),
        "there is no sign in it: this is momentum": _lion_written("no sign"),
        "this goes up: a step is what is added to the parameters, so it has a minus": _lion_written("up"),
    },
)

# ------------------------------------------------------------------------------------------------------- AdaGrad's Jacobian


def _last_adagrad(gradients: Array) -> Any:
    return -gradients[-1] / np.sqrt(np.sum(gradients**2))


def _adagrad_jacobian(gradients: Array) -> Array:
    return numeric.jacobian(_last_adagrad, gradients, method="complex").value


def _adagrad_slipped(
    share: float = 1.0, power: float = 1.5, own: float = 1.0, sign: float = -1.0, size: bool = False
) -> Rule:
    def jacobian(g: Array) -> Array:
        total = np.sum(g**2)
        row = -share * g[-1] * (np.abs(g) if size else g) / total**power
        row[-1] += own / np.sqrt(total)
        return np.asarray(sign * row)

    return jacobian


_JACOBIAN = Exercise(
    name="adagrad-jacobian",
    task="Return the derivatives, shape (t,), of AdaGrad's last step −g_t / √(g_1² + ... + g_t²) by all gradients (α = 1, ε = 0).",
    truth=_adagrad_jacobian,
    inputs=((_normal(5),), (2 + _normal(3),), (np.array([0.3, -1.2]),), (np.array([1.5, 0.2, -0.7, 0.4]),)),
    derivative=True,
    hints=(
        "It is a quotient in which g_t stands above the line and, with all the others, under the root. What is the derivative of the root by g_k?",
        "With s the sum of squares: the root's derivative is g_k / √s. By g_k with k < t only the denominator changes.",
        "row = g[−1] * g / s**1.5, and to the last entry comes −1 / np.sqrt(s). Test: g times the row adds up to zero.",
    ),
    mistakes={
        "the sum is held constant: the gradients are in the denominator too": _adagrad_slipped(share=0.0),
        "the last gradient is in the denominator only; it stands above the line too": _adagrad_slipped(own=0.0),
        "a factor 2 too much in the denominator's part: the root takes half of the square's 2": _adagrad_slipped(
            share=2.0
        ),
        "half of the denominator's part is missing: g² has the derivative 2 g, which cancels the root's half": (
            _adagrad_slipped(share=0.5)
        ),
        "the denominator's part has the sum to the power 1; it is 3/2": _adagrad_slipped(power=1.0),
        "the sign: a step has a minus": _adagrad_slipped(sign=1.0),
        "the two parts have the same sign here; the denominator's part works against the other": _adagrad_slipped(
            share=-1.0
        ),
    },
)

# ---------------------------------------------------------------------------------------------------- which line has changed

_ORDER = (3, 5, 1, 0, 4, 2)  # of the rows of `runs`, among the methods as the chapter numbers them


def runs() -> Array:
    """Six runs for the chapter's last exercise: steps over the rate, shape (6, 60).

    The gradients are 1, but for the sixth, which is 10; beta1 = 0.5, beta2 = 0.9, epsilon = 0.

    Examples
    --------
    >>> runs().shape
    (6, 60)
    """
    gradients = np.ones(60)
    gradients[5] = 10.0
    wrong = _written("uncorrected")(gradients[:, None], 1.0, 0.5, 0.9, 0.0)
    made = [
        _steps(optim.Adam(1.0, 0.5, 0.9, 0.0), gradients[:, None]),
        wrong,
        _steps(optim.RMSprop(1.0, 0.9, 0.0), gradients[:, None]),
        _steps(optim.AdaGrad(1.0, 0.0), gradients[:, None]),
        _steps(optim.AMSGrad(1.0, 0.5, 0.9, 0.0), gradients[:, None]),
        _steps(optim.Lion(1.0, 0.5, 0.9), gradients[:, None]),
    ]
    return np.array([-made[k][:, 0] for k in _ORDER])


def _exchanged(one: int, other: int) -> Array:
    """The right numbers with two methods taken for each other."""
    swap = {one: other, other: one}
    return np.array([swap.get(k, k) for k in _ORDER], dtype=float)


_WHICH = Exercise(
    name="which-line",
    task="Which method made which of the six runs? Six numbers, in the order of the rows.",
    truth=np.array(_ORDER, dtype=float),
    hints=(
        "Begin with the first step: whose is 1 by construction, and whose betrays a mean that begins at zero?",
        "Then the steps after the large gradient: who forgets it, who never does, and who has not even noticed?",
        "Without correction the first step is (1 − β₁)/√(1 − β₂) for Adam and 1/√(1 − β₂) for RMSprop.",
    ),
    mistakes={
        "Adam and AMSGrad are exchanged: which of them still has small steps long after the large gradient?": _exchanged(
            0, 4
        ),
        "AdaGrad and AMSGrad are exchanged: only AdaGrad's steps fall before the large gradient comes": _exchanged(
            3, 4
        ),
        "Adam without correction and RMSprop are exchanged: compute the two first steps": _exchanged(1, 2),
        "Adam and Adam without correction are exchanged: which of them begins with 1?": _exchanged(0, 1),
        "Adam and Lion are exchanged: which of them does not even notice the large gradient?": _exchanged(0, 5),
        "the runs are given for each method; asked for is the method of each run": np.argsort(_ORDER).astype(float),
        "the numbers begin with 0, and yours with 1": np.array(_ORDER, dtype=float) + 1,
    },
)

EXERCISES = (_BIAS, _ADAM, _EPSILON, _DECAY, _AMSGRAD, _LION, _JACOBIAN, _WHICH)
