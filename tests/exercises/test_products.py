"""Wrong answers to the exercises of *Products of Jacobians*, as students write them, told apart; right ones pass."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from verdicts import answer_tests, told

from mathdl.exercises.judge import Exercise, judge
from mathdl.exercises.products import EXERCISES

TABLE = {exercise.name: exercise for exercise in EXERCISES}


def exercise(name: str) -> Exercise:
    return TABLE[name]


# -- tanh-network-jacobian: attempts -----------------------------------------------------------------------------------


def forward_values(weights: Any, biases: Any, x: Any) -> Any:
    values = [x]
    for W, b in zip(weights, biases, strict=True):
        values.append(np.tanh(W @ values[-1] + b))
    return values


def network_right(weights: Any, biases: Any, x: Any) -> Any:
    """In reverse order, with diagonal matrices written out: not how the chapter does it."""
    values = forward_values(weights, biases, x)
    J = np.eye(len(values[-1]))
    for W, h in zip(weights[::-1], values[:0:-1], strict=True):
        J = J @ np.diag(1 - h**2) @ W
    return J


def network_without_slopes(weights: Any, biases: Any, x: Any) -> Any:
    J = np.eye(len(x))
    for W in weights:
        J = W @ J
    return J


def network_slope_unsquared(weights: Any, biases: Any, x: Any) -> Any:
    J, h = np.eye(len(x)), x
    for W, b in zip(weights, biases, strict=True):
        h = np.tanh(W @ h + b)
        J = np.diag(1 - h) @ W @ J
    return J


def network_tanh_twice(weights: Any, biases: Any, x: Any) -> Any:
    J, h = np.eye(len(x)), x
    for W, b in zip(weights, biases, strict=True):
        h = np.tanh(W @ h + b)
        J = np.diag(1 / np.cosh(h) ** 2) @ W @ J
    return J


def network_other_order(weights: Any, biases: Any, x: Any) -> Any:
    J, h = np.eye(len(x)), x
    for W, b in zip(weights, biases, strict=True):
        h = np.tanh(W @ h + b)
        J = J @ ((1 - h**2)[:, None] * W)
    return J


def network_no_bias(weights: Any, biases: Any, x: Any) -> Any:
    return network_right(weights, [np.zeros_like(b) for b in biases], x)


def network_gradient_stacked_as_columns(weights: Any, biases: Any, x: Any) -> Any:
    return network_right(weights, biases, x).T


def network_last_layer_only(weights: Any, biases: Any, x: Any) -> Any:
    values = forward_values(weights, biases, x)
    return (1 - values[-1] ** 2)[:, None] * network_without_slopes(weights, biases, x)


def network_columns_scaled(weights: Any, biases: Any, x: Any) -> Any:
    J = np.eye(len(x))
    for W, a in zip(weights, forward_values(weights, biases, x)[:-1], strict=True):
        J = W * (1 - a**2) @ J
    return J


NETWORK = {
    network_without_slopes: "missing in every layer",
    network_slope_unsquared: "without the square",
    network_tanh_twice: "second time",
    network_other_order: "matmul",
    network_no_bias: "biases",
    network_gradient_stacked_as_columns: "transposed",
    network_last_layer_only: "last layer only",
    network_columns_scaled: "rows",
}


# -- input-gradient: attempts ------------------------------------------------------------------------------------------


def pull_right(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    return g @ network_right(weights, biases, x)


def pull_jacobian_times_gradient(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    return network_right(weights, biases, x) @ g


def pull_no_transpose(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    for W, h in zip(weights[::-1], forward_values(weights, biases, x)[:0:-1], strict=True):
        g = W @ ((1 - h**2) * g)
    return g


def pull_layer_jacobians(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    for W, h in zip(weights[::-1], forward_values(weights, biases, x)[:0:-1], strict=True):
        g = np.diag(1 - h**2) @ W @ g
    return g


def pull_first_layer_first(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    for W, h in zip(weights, forward_values(weights, biases, x)[1:], strict=True):
        g = (np.diag(1 - h**2) @ W).T @ g
    return g


def pull_slopes_after(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    for W, h in zip(weights[::-1], forward_values(weights, biases, x)[:0:-1], strict=True):
        g = np.diag(1 - h**2) @ W.T @ g
    return g


def pull_no_slopes(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    for W in weights[::-1]:
        g = W.T @ g
    return g


def pull_values_shifted(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    values = forward_values(weights, biases, x)
    for k in range(len(weights) - 1, -1, -1):
        g = weights[k].T @ ((1 - values[k] ** 2) * g)
    return g


def pull_negative(weights: Any, biases: Any, x: Any, g: Any) -> Any:
    return -pull_right(weights, biases, x, g)


PULL = {
    pull_jacobian_times_gradient: "pushes g forward",
    pull_no_transpose: "transpose is missing",
    pull_layer_jacobians: "not by its transpose",
    pull_first_layer_first: "order is not",
    pull_slopes_after: "wrong side",
    pull_no_slopes: "missing in every layer",
    pull_values_shifted: "too early",
    pull_negative: "wrong sign",
}


# -- used-twice-gradient: attempts -------------------------------------------------------------------------------------


def twice_right(W: Any, x: Any) -> Any:
    """Entry by entry, from the double sum."""
    u = W @ x
    n = len(x)
    return np.array([np.tanh(u[j]) + sum(x[i] * W[i, j] / np.cosh(u[i]) ** 2 for i in range(n)) for j in range(n)])


def twice_direct_only(W: Any, x: Any) -> Any:
    return np.tanh(W @ x)


def twice_inner_only(W: Any, x: Any) -> Any:
    return x @ np.diag(1 - np.tanh(W @ x) ** 2) @ W


def twice_untransposed(W: Any, x: Any) -> Any:
    return np.tanh(W @ x) + np.diag(1 - np.tanh(W @ x) ** 2) @ W @ x


def twice_no_slope(W: Any, x: Any) -> Any:
    return np.tanh(W @ x) + x @ W


def twice_matrix(W: Any, x: Any) -> Any:
    return np.tanh(W @ x) + np.diag(1 - np.tanh(W @ x) ** 2) @ W


def twice_multiplied(W: Any, x: Any) -> Any:
    return twice_direct_only(W, x) * twice_inner_only(W, x)


def twice_doubled(W: Any, x: Any) -> Any:
    return 2 * np.tanh(W @ x)


def twice_subtracted(W: Any, x: Any) -> Any:
    return twice_direct_only(W, x) - twice_inner_only(W, x)


TWICE = {
    twice_direct_only: "through the tanh is missing",
    twice_inner_only: "direct path is missing",
    twice_untransposed: "Jacobian multiplies x",
    twice_no_slope: "slope 1 − h²",
    twice_matrix: "still has to multiply",
    twice_multiplied: "multiplied",
    twice_doubled: "doubles",
    twice_subtracted: "check each factor",
}


# -- shared-weight-slope: attempts -------------------------------------------------------------------------------------


def shared_right(w: Any, x: Any) -> Any:
    """A central difference with one Richardson step: close enough, and nothing of the formula."""

    def y(w: float) -> float:
        return float(np.tanh(w * np.tanh(w * x)))

    def D(h: float) -> float:
        return (y(w + h) - y(w - h)) / (2 * h)

    return (4 * D(5e-4) - D(1e-3)) / 3


def shared_outer_only(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return (1 - np.tanh(w * a) ** 2) * a


def shared_inner_only(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return (1 - np.tanh(w * a) ** 2) * w * (1 - a**2) * x


def shared_no_outer_slope(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return a + w * (1 - a**2) * x


def shared_no_inner_weight(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return (1 - np.tanh(w * a) ** 2) * (a + (1 - a**2) * x)


def shared_by_x(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return (1 - np.tanh(w * a) ** 2) * w * (1 - a**2) * w


def shared_brackets_lost(w: Any, x: Any) -> Any:
    a = np.tanh(w * x)
    return (1 - np.tanh(w * a) ** 2) * a + w * (1 - a**2) * x


def shared_value(w: Any, x: Any) -> Any:
    return np.tanh(w * np.tanh(w * x))


SHARED = {
    shared_outer_only: "inner layer is missing",
    shared_inner_only: "direct path is missing",
    shared_no_outer_slope: "outer tanh is missing",
    shared_no_inner_weight: "lacks the outer weight",
    shared_by_x: "with respect to x",
    shared_brackets_lost: "first path only",
    shared_value: "y itself",
}


# -- cheapest-brackets: attempts ---------------------------------------------------------------------------------------


def cheapest_right(widths: Any) -> Any:
    @cache
    def cost(i: int, j: int) -> int:
        pieces = range(i + 1, j)
        return min((cost(i, k) + cost(k, j) + widths[i] * widths[k] * widths[j] for k in pieces), default=0)

    return cost(0, len(widths) - 1)


def cheapest_forward(widths: Any) -> Any:
    return sum(widths[0] * widths[k] * widths[k + 1] for k in range(1, len(widths) - 1))


def cheapest_reverse(widths: Any) -> Any:
    return sum(widths[k - 1] * widths[k] * widths[-1] for k in range(1, len(widths) - 1))


def cheapest_of_two(widths: Any) -> Any:
    return min(cheapest_forward(widths), cheapest_reverse(widths))


def cheapest_greedy(widths: Any) -> Any:
    n, total = list(widths), 0
    while len(n) > 2:
        costs = [n[k - 1] * n[k] * n[k + 1] for k in range(1, len(n) - 1)]
        k = int(np.argmin(costs))
        total += costs[k]
        n.pop(k + 1)
    return total


def cheapest_flops(widths: Any) -> Any:
    return 2 * cheapest_right(widths)


def cheapest_sizes(widths: Any) -> Any:
    return sum(m * n for m, n in zip(widths[1:], widths[:-1], strict=True))


def cheapest_no_join(widths: Any) -> Any:
    """Forgets what it costs to join the two parts."""
    return 0


CHEAPEST = {
    cheapest_forward: "forward order",
    cheapest_reverse: "reverse order",
    cheapest_of_two: "better of forward and reverse",
    cheapest_greedy: "two neighbours",
    cheapest_flops: "twice",
    cheapest_sizes: "sizes of the factors",
    cheapest_no_join: "not the right number",
}

WRONG: dict[str, dict[Callable[..., Any], str]] = {
    "tanh-network-jacobian": NETWORK,
    "input-gradient": PULL,
    "used-twice-gradient": TWICE,
    "shared-weight-slope": SHARED,
    "cheapest-brackets": CHEAPEST,
}
RIGHT: dict[str, Callable[..., Any]] = {
    "tanh-network-jacobian": network_right,
    "input-gradient": pull_right,
    "used-twice-gradient": twice_right,
    "shared-weight-slope": shared_right,
    "cheapest-brackets": cheapest_right,
}
CASES = [(name, attempt, word) for name, attempts in WRONG.items() for attempt, word in attempts.items()]


def test_every_exercise_is_here() -> None:
    assert set(WRONG) == set(RIGHT) == set(TABLE) - {"bracket-costs"}


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(
    {name: TABLE[name] for name in RIGHT}, RIGHT, CASES
)


BRACKETS = {
    (30_000, 110_000): "other way round",
    (100_000, 5_000): "first products alone",
    (10_000, 25_000): "second products alone",
    (220_000, 60_000): "twice",
    (217_500, 59_250): "additions",
    (610_000, 30_500): "identity",
    (110_000, 25_000): "1 of 2 entries differ, the first at index (1,)",
    (11_000, 30_000): "1 of 2 entries differ, the first at index (0,)",
}


@pytest.mark.parametrize("answer", BRACKETS)
def test_wrong_counts_are_named(answer: tuple[int, int]) -> None:
    assert BRACKETS[answer] in told(exercise("bracket-costs"), list(answer))


def test_right_counts_pass_as_a_list_or_an_array() -> None:
    right = [20 * 50 * 100 + 5 * 20 * 100, 5 * 20 * 50 + 5 * 50 * 100]
    for answer in (right, tuple(right), np.array(right), np.array(right, dtype=float)):
        assert judge(exercise("bracket-costs"), answer).status == "right"


def test_one_number_is_not_enough() -> None:
    assert "shape" in judge(exercise("bracket-costs"), 110_000).diagnosis


def test_no_input_of_the_pulled_gradient_betrays_a_transpose_by_its_shape() -> None:
    for weights, _, x, g in exercise("input-gradient").inputs:
        assert {W.shape for W in weights} == {(x.size, x.size)}
        assert g.shape == x.shape


def test_the_widths_tell_all_orders_apart() -> None:
    inputs = [widths for (widths,) in exercise("cheapest-brackets").inputs]
    for wrong in (cheapest_forward, cheapest_reverse, cheapest_of_two, cheapest_greedy):
        assert any(wrong(widths) != cheapest_right(widths) for widths in inputs)
