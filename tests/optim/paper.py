"""Each method as its paper writes it, for one parameter, in mpmath with 50 digits: slow, short, and its own words.

A rule takes the step number t (from 1), the parameter, its gradient and what it remembers, and returns the parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
from problems import PROBLEMS, SIZE, STEPS, STORED

__all__ = ["RULES", "trajectory"]

Rule = Callable[..., Any]


def gradient_descent(t, x, g, s, rate):
    return x - rate * g


def momentum(t, x, g, s, rate, beta):
    """Polyak 1964, in the form of Sutskever et al. 2013 with the rate outside."""
    s["velocity"] = beta * s.get("velocity", 0) + g
    return x - rate * s["velocity"]


def nesterov(t, x, g, s, rate, beta):
    """Sutskever et al. 2013, in the variable at which the gradient is taken (Bengio et al. 2013)."""
    s["velocity"] = beta * s.get("velocity", 0) + g
    return x - rate * (g + beta * s["velocity"])


def adagrad(t, x, g, s, rate, epsilon):
    """Duchi et al. 2011, diagonal: the sum begins at 0, and epsilon stands outside the root."""
    s["sum"] = s.get("sum", 0) + g**2
    return x - rate * g / (mpmath.sqrt(s["sum"]) + epsilon)


def rmsprop(t, x, g, s, rate, beta, epsilon):
    """Tieleman and Hinton 2012, lecture 6e; epsilon outside the root, as in PyTorch."""
    s["v"] = beta * s.get("v", 0) + (1 - beta) * g**2
    return x - rate * g / (mpmath.sqrt(s["v"]) + epsilon)


def _moments(g, s, beta1, beta2):
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g**2


def adam(t, x, g, s, rate, beta1, beta2, epsilon):
    """Kingma and Ba 2015, algorithm 1."""
    _moments(g, s, beta1, beta2)
    m, v = s["m"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
    return x - rate * m / (mpmath.sqrt(v) + epsilon)


def amsgrad(t, x, g, s, rate, beta1, beta2, epsilon):
    """Reddi et al. 2018, algorithm 2, with Adam's corrections: the largest v is taken before its correction."""
    _moments(g, s, beta1, beta2)
    s["v_max"] = max(s.get("v_max", mpmath.mpf(0)), s["v"])
    m, v = s["m"] / (1 - beta1**t), s["v_max"] / (1 - beta2**t)
    return x - rate * m / (mpmath.sqrt(v) + epsilon)


def adamw(t, x, g, s, rate, beta1, beta2, epsilon, weight_decay):
    """Loshchilov and Hutter 2019, algorithm 2, the decay times the rate, as in PyTorch."""
    return adam(t, x, g, s, rate, beta1, beta2, epsilon) - rate * weight_decay * x


def nadam(t, x, g, s, rate, beta1, beta2, epsilon, momentum_decay):
    """Dozat 2016, with the schedule of the momentum that its section 3.2 (and PyTorch) has."""
    _moments(g, s, beta1, beta2)
    mu, after = (beta1 * (1 - mpmath.mpf(0.96) ** (k * momentum_decay) / 2) for k in (t, t + 1))
    s["product"] = s.get("product", 1) * mu
    m = after * s["m"] / (1 - s["product"] * after) + (1 - mu) * g / (1 - s["product"])
    return x - rate * m / (mpmath.sqrt(s["v"] / (1 - beta2**t)) + epsilon)


def lion(t, x, g, s, rate, beta1, beta2, weight_decay):
    """Chen et al. 2023, program 1."""
    m = s.get("m", 0)
    s["m"] = beta2 * m + (1 - beta2) * g
    return x - rate * (mpmath.sign(beta1 * m + (1 - beta1) * g) + weight_decay * x)


RULES: dict[str, Rule] = {
    "GradientDescent": gradient_descent, "Momentum": momentum, "Nesterov": nesterov, "AdaGrad": adagrad,
    "RMSprop": rmsprop, "Adam": adam, "AMSGrad": amsgrad, "AdamW": adamw, "NAdam": nadam, "Lion": lion,
}  # fmt: skip


def _clipped(g, largest):
    length = mpmath.sqrt(sum(a * a for a in g))
    return g if length <= largest else [a * largest / length for a in g]


def trajectory(parts: list[tuple[str, dict[str, float]]], problem: str) -> tuple[list[list[float]], list[dict]]:
    """The points after the steps of STORED, rounded to floats, and what is remembered in the end.

    ``parts`` names one of the rules with its numbers; before it may come ``Clip`` or ``L2``, behind it ``Decay``.
    """
    points = []
    with mpmath.workdps(50):
        parts = [(name, {key: mpmath.mpf(value) for key, value in numbers.items()}) for name, numbers in parts]
        start, gradient = PROBLEMS[problem]
        x, memory = [mpmath.mpf(a) for a in start], [{} for _ in range(SIZE)]
        for k in range(STEPS):
            g, before = gradient(k, x), x
            for name, numbers in parts:
                if name == "Clip":
                    g = _clipped(g, numbers["largest"])
                elif name == "L2":
                    g = [a + numbers["weight_decay"] * b for a, b in zip(g, before, strict=True)]
                elif name == "Decay":
                    x = [a - numbers["amount"] * b for a, b in zip(x, before, strict=True)]
                else:
                    x = [RULES[name](k + 1, *each, **numbers) for each in zip(x, g, memory, strict=True)]
            if k + 1 in STORED:
                points.append([float(a) for a in x])
        return points, [{name: float(value) for name, value in s.items()} for s in memory]
