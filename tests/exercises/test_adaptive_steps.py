"""The exercises of *Adaptive steps*: wrong answers as students write them are told apart, right ones pass.

Right answers are written out here number by number, or come from the engine, not from the package's optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests

import mathdl as md
from mathdl.exercises.adaptive_steps import EXERCISES, runs

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}
BIAS, ADAM, EPSILON, DECAY = "bias-factor", "adam-steps", "epsilon-inside", "adamw-update"
AMSGRAD, LION, JACOBIAN, WHICH = "amsgrad-steps", "lion-steps", "adagrad-jacobian", "which-line"


# -- right answers -----------------------------------------------------------------------------------------------------


def mean(values: Any, beta: float) -> Any:
    """The corrected mean, with its weights written out."""
    weights = beta ** np.arange(len(values))[::-1]
    return np.tensordot(weights / weights.sum(), np.asarray(values), 1)


def adam(gradients: Any, rate: float, beta1: float, beta2: float, epsilon: float) -> Any:
    T = range(1, len(gradients) + 1)
    return [-rate * mean(gradients[:t], beta1) / (mean(gradients[:t] ** 2, beta2) ** 0.5 + epsilon) for t in T]


def adamw(theta: Any, g: Any, m: Any, v: Any, t: int, rate: float, decay: float) -> Any:
    m, v = m + 0.1 * (g - m), v + 0.001 * (g * g - v)
    step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return (1 - rate * decay) * theta - rate * step


def amsgrad(gradients: Any, rate: float, beta1: float, beta2: float) -> Any:
    steps, seen = [], []
    for t in range(1, len(gradients) + 1):
        seen.append((1 - beta2**t) * mean(gradients[:t] ** 2, beta2))
        steps.append(-rate * mean(gradients[:t], beta1) / np.sqrt(np.max(seen, axis=0) / (1 - beta2**t)))
    return steps


def lion(gradients: Any, rate: float, beta1: float, beta2: float) -> Any:
    m, steps = 0 * gradients[0], []
    for g in gradients:
        steps.append(np.where(m + (1 - beta1) * (g - m) > 0, -rate, rate))
        m = m + (1 - beta2) * (g - m)
    return steps


RIGHT: dict[str, Any] = {
    BIAS: lambda t, beta1, beta2: (
        -math.expm1(t * math.log(beta1)) / math.sqrt(1 - beta2**t) if beta1 else (1 - beta2**t) ** -0.5
    ),
    ADAM: adam,
    EPSILON: lambda g, epsilon: epsilon * (2 * g + epsilon),
    DECAY: adamw,
    AMSGRAD: amsgrad,
    LION: lion,
    JACOBIAN: lambda g: md.jacobian(lambda h: -h[-1] / np.sqrt(np.sum(h * h)))(g),
    WHICH: [3, 5, 1, 0, 4, 2],
}


# -- wrong answers, as they are written --------------------------------------------------------------------------------


MEAN = {"m": "beta1 * m + (1 - beta1) * g", "v": "beta2 * v + (1 - beta2) * g**2"}


def adam_written(**lines: str) -> Callable[..., Any]:
    """Adam as a program, with lines replaced; each is an expression in the program's own names."""
    program = {
        **MEAN,
        "w": "np.maximum(w, v)",
        "m_hat": "m / (1 - beta1**t)",
        "v_hat": "v / (1 - beta2**t)",
        "step": "-rate * m_hat / (np.sqrt(v_hat) + epsilon)",
    } | lines

    def attempt(gradients: Any, rate: float, beta1: float, beta2: float, epsilon: float = 0.0) -> Any:
        own = {"m": 0.0, "v": 0.0, "w": 0.0, "beta1": beta1, "beta2": beta2, "rate": rate, "epsilon": epsilon, "np": np}
        steps = []
        for k, g in enumerate(gradients):
            own |= {"t": k + 1, "g": g}
            for name, line in program.items():
                own[name] = eval(line, own)
            steps.append(own["step"])
        return np.array(steps)

    return attempt


def amsgrad_written(**lines: str) -> Callable[..., Any]:
    """The same, divided by the largest."""
    return adam_written(**{"v_hat": "w / (1 - beta2**t)"} | lines)


def decay_written(line: str) -> Callable[..., Any]:
    def attempt(theta: Any, g: Any, m: Any, v: Any, t: int, rate: float, decay: float) -> Any:
        g = g + decay * theta if line == "coupled" else g
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        bare = theta - rate * (m / (np.sqrt(v) + 1e-8) + decay * theta)
        m_hat, root = m / (1 - 0.9**t), np.sqrt(v / (1 - 0.999**t)) + 1e-8
        return {
            "coupled": lambda: theta - rate * m_hat / root,
            "divided": lambda: theta - rate * (m_hat + decay * theta) / root,
            "no rate": lambda: theta - rate * m_hat / root - decay * theta,
            "grows": lambda: theta - rate * m_hat / root + rate * decay * theta,
            "none": lambda: theta - rate * m_hat / root,
            "after": lambda: (theta - rate * m_hat / root) * (1 - rate * decay),
            "step alone": lambda: -rate * (m_hat / root + decay * theta),
            "uncorrected": lambda: bare,
        }[line]()

    return attempt


def lion_written(sign: str, keep: str = "b2 * m + (1 - b2) * g", first: bool = True) -> Callable[..., Any]:
    def attempt(gradients: Any, rate: float, beta1: float, beta2: float) -> Any:
        own: dict[str, Any] = {"b1": beta1, "b2": beta2, "r": rate, "np": np, "m": 0.0}
        steps = []
        for own["g"] in gradients:
            if not first:
                own["m"] = eval(keep, own)
            steps.append(eval(sign, own))
            if first:
                own["m"] = eval(keep, own)
        return np.array(steps)

    return attempt


def jacobian_written(first: float, second: float, power: float = 1.5) -> Callable[..., Any]:
    def attempt(g: Any) -> Any:
        total = g @ g
        row = second * g[-1] * g / total**power
        row[-1] += first / np.sqrt(total)
        return row

    return attempt


WRONG: list[tuple[str, Any, str]] = [
    (BIAS, lambda t, b1, b2: (1 - b1**t) / (1 - b2**t), "root is missing"),
    (BIAS, lambda t, b1, b2: (1 - b1) / np.sqrt(1 - b2), "first step's factor"),
    (BIAS, lambda t, b1, b2: np.sqrt(1 - b2**t) / (1 - b1**t), "wrong way up"),
    (BIAS, lambda t, b1, b2: (1 - b1) * b1 ** (t - 1) / np.sqrt((1 - b2) * b2 ** (t - 1)), "oldest gradient"),
    (BIAS, lambda t, b1, b2: (1 - b1 ** (t + 1)) / np.sqrt(1 - b2 ** (t + 1)), "one too far"),
    (BIAS, lambda t, b1, b2: (1 - b2**t) / np.sqrt(1 - b1**t), "betas are exchanged"),
    (BIAS, lambda t, b1, b2: 1 - b1**t, "only m"),
    (ADAM, adam_written(m_hat="m", v_hat="v"), "nothing is corrected"),
    (ADAM, adam_written(v_hat="v"), "m is corrected and v is not"),
    (ADAM, adam_written(m_hat="m"), "v is corrected and m is not"),
    (ADAM, adam_written(m_hat="m / (1 - beta1)", v_hat="v / (1 - beta2)"), "as if it were the first"),
    (ADAM, adam_written(step="-rate * m_hat / np.sqrt(v_hat + epsilon)"), "inside of the root"),
    (ADAM, adam_written(step="-rate * m_hat / (v_hat + epsilon)"), "root is missing"),
    (ADAM, adam_written(v="beta2 * v + (1 - beta2) * abs(g)"), "mean of |g|"),
    (ADAM, adam_written(v="beta2 * v + (1 - beta2) * m**2"), "mean of m²"),
    (ADAM, adam_written(step="-rate * g / (np.sqrt(v_hat) + epsilon)"), "g itself"),
    (ADAM, lambda g, rate, b1, b2, e: adam(g, rate, b2, b1, e), "betas are exchanged"),
    (ADAM, adam_written(m="beta1 * m + g"), "weight 1"),
    (ADAM, adam_written(step="rate * m_hat / (np.sqrt(v_hat) + epsilon)"), "goes up"),
    (
        ADAM,
        adam_written(m=f"({MEAN['m']}) / (1 - beta1**t)", v=f"({MEAN['v']}) / (1 - beta2**t)", m_hat="m", v_hat="v"),
        "written over",
    ),
    (ADAM, adam_written(step="-rate * m_hat / np.sqrt(v_hat)"), "ε is missing"),
    (ADAM, adam_written(step="-m_hat / (np.sqrt(v_hat) + epsilon)"), "rate is missing"),
    (EPSILON, lambda g, e: e**2, "g = 0 only"),
    (EPSILON, lambda g, e: 2 * g * e, "ε² is missing"),
    (EPSILON, lambda g, e: g * e + e**2, "middle term of (g + ε)²"),
    (EPSILON, lambda g, e: e, "ε itself"),
    (EPSILON, lambda g, e: np.sqrt(e), "other way round"),
    (EPSILON, lambda g, e: (g + e) ** 2, "under the root already"),
    (DECAY, decay_written("coupled"), "Adam with L2"),
    (DECAY, decay_written("divided"), "outside of the fraction"),
    (DECAY, decay_written("no rate"), "rate is missing"),
    (DECAY, decay_written("grows"), "grow"),
    (DECAY, decay_written("none"), "no decay"),
    (DECAY, decay_written("after"), "after the step;"),
    (DECAY, decay_written("step alone"), "this is the step"),
    (DECAY, decay_written("uncorrected"), "not corrected"),
    (AMSGRAD, adam_written(), "this is Adam"),
    (AMSGRAD, amsgrad_written(w="np.maximum(w, v.max())"), "over the parameters"),
    (AMSGRAD, amsgrad_written(w="np.maximum(w, g**2)", v_hat="w"), "largest g²"),
    (AMSGRAD, amsgrad_written(w="np.maximum(w, v / (1 - beta2**t))", v_hat="w"), "corrected v̂"),
    (AMSGRAD, amsgrad_written(v="np.maximum(v, beta2 * v + (1 - beta2) * g**2)", w="v"), "put back"),
    (AMSGRAD, amsgrad_written(w="v if t == 1 else np.minimum(w, v)"), "smallest"),
    (AMSGRAD, amsgrad_written(m_hat="m", v_hat="w"), "nothing is corrected"),
    (AMSGRAD, amsgrad_written(step="-rate * m_hat / v_hat"), "root is missing"),
    (LION, lion_written("-r * np.sign(m)", first=False), "new m; Lion"),
    (LION, lion_written("-r * np.sign(g)"), "gradient alone"),
    (LION, lion_written("-r * np.sign(b1 * m + (1 - b1) * g)", first=False), "after m was updated"),
    (LION, lambda g, rate, b1, b2: lion(g, rate, b2, b1), "betas are exchanged"),
    (LION, lion_written("-r * np.sign(b1 * m + (1 - b1) * g)", "b1 * m + (1 - b1) * g"), "mixed with β₂"),
    (LION, lion_written("-r * np.sign(b1 * m + (1 - b1) * g)", "b2 * m + (1 - b2) * np.sign(g)"), "m is made of"),
    (LION, lion_written("-r * (b1 * m + (1 - b1) * g)"), "no sign"),
    (LION, lion_written("r * np.sign(b1 * m + (1 - b1) * g)"), "goes up"),
    (JACOBIAN, jacobian_written(-1, 0), "held constant"),
    (JACOBIAN, jacobian_written(0, 1), "denominator only"),
    (JACOBIAN, jacobian_written(-1, 2), "factor 2 too much"),
    (JACOBIAN, jacobian_written(-1, 0.5), "half of the denominator"),
    (JACOBIAN, jacobian_written(-1, 1, power=1.0), "power 1"),
    (JACOBIAN, jacobian_written(1, -1), "a step has a minus"),
    (JACOBIAN, jacobian_written(-1, -1), "same sign"),
    (WHICH, [3, 5, 1, 4, 0, 2], "Adam and AMSGrad"),
    (WHICH, [4, 5, 1, 0, 3, 2], "AdaGrad and AMSGrad"),
    (WHICH, [3, 5, 2, 0, 4, 1], "and RMSprop"),
    (WHICH, [3, 5, 0, 1, 4, 2], "which of them begins with 1"),
    (WHICH, [3, 0, 1, 5, 4, 2], "Adam and Lion"),
    (WHICH, [3, 2, 5, 0, 4, 1], "for each method"),
    (WHICH, [4, 6, 2, 1, 5, 3], "begin with 0"),
    (WHICH, [3, 5, 1, 2, 4, 0], "2 of 6 entries"),
]

test_right, test_wrong, test_differ = answer_tests(EXERCISE, RIGHT, WRONG)


# -- the statements behind the answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("t", "factor"), [(1, 3.1623), (5, 5.7972), (12, 6.5685)])
def test_the_factor_is_as_printed(t: int, factor: float) -> None:
    assert EXERCISE[BIAS].truth(t, 0.9, 0.999) == pytest.approx(factor, abs=1e-4)
    assert EXERCISE[BIAS].truth(t, 0.9, 0.999) <= EXERCISE[BIAS].truth(12, 0.9, 0.999)


def test_the_runs_tell_the_methods_apart() -> None:
    """What the solution says about them, and that no two rows print alike."""
    adagrad, lion, uncorrected, adam, amsgrad, rmsprop = runs()
    assert np.allclose(adagrad[:5], np.arange(1, 6) ** -0.5)
    assert np.all(lion == 1)
    assert uncorrected[0] == pytest.approx(0.5 / 0.1**0.5)
    assert rmsprop[0] == pytest.approx(1 / 0.1**0.5)
    assert np.allclose(adam[:5], 1)
    assert adam[-1] > 0.9 > 0.4 > amsgrad[-1]
    printed = runs()[:, [0, 1, 4, 5, 6, 9, 59]].round(2)
    assert len(np.unique(printed, axis=0)) == 6


def test_inputs_show_what_is_judged() -> None:
    for g, *_ in EXERCISE[AMSGRAD].inputs:
        assert np.max(np.abs(g[-1]) / np.abs(g).max(axis=0)) < 0.9, "the largest would be the last"
    for g, *_ in EXERCISE[LION].inputs:
        assert np.any(g != 0)
    for g in (case[0] for case in EXERCISE[JACOBIAN].inputs):
        assert g[-1] != 0
