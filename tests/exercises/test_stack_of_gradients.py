"""The exercises of *A stack of gradients*: wrong answers as students write them are told apart, right ones pass.

The right answers here are written out by hand; the module takes its truth from the functions themselves.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from verdicts import answer_tests

from mathdl.exercises.stack_of_gradients import EXERCISES

EXERCISE = {exercise.name: exercise for exercise in EXERCISES}


def softmax(z: Any) -> Any:
    z = z - z.max()
    return np.exp(z) / np.exp(z).sum()


def three_inputs(x: Any) -> Any:
    a, b, c = x
    return np.array([[b * c, a * c, a * b], [2 * a, 0, -np.sin(c)]])


def temperature(z: Any, T: float) -> Any:
    p = softmax(z / T)
    return np.array([[p[i] * (float(i == j) - p[j]) / T for j in range(len(z))] for i in range(len(z))])


def unit_vector(x: Any) -> Any:
    u = x / np.linalg.norm(x)
    return (np.eye(x.size) - u[:, None] * u) / np.linalg.norm(x)


def relu_gate(A: Any, x: Any) -> Any:
    return np.where((A @ x)[:, None] > 0, A, 0.0)


RIGHT: dict[str, Any] = {
    "three-inputs": three_inputs,
    "count-the-axes": [[2, 64], [1, 5], [2, 100], [2, 3]],
    "logits-jacobian": lambda W, b, x: np.array([[W[i, j] for j in range(x.size)] for i in range(b.size)]),
    "softmax-times-vector": lambda z, v: softmax(z) * v - softmax(z) * np.sum(softmax(z) * v),
    "temperature-jacobian": temperature,
    "unit-vector-jacobian": unit_vector,
    "relu-gate": relu_gate,
}


def forgets_the_cosine(x: Any) -> Any:
    return np.array([[x[1] * x[2], x[0] * x[2], x[0] * x[1]], [2 * x[0], 0, np.sin(x[2])]])


def forgets_the_two(x: Any) -> Any:
    return np.array([[x[1] * x[2], x[0] * x[2], x[0] * x[1]], [x[0], 0, -np.sin(x[2])]])


def swaps_the_outputs(x: Any) -> Any:
    return three_inputs(x)[::-1]


def at_the_wrong_temperature(z: Any, T: float) -> Any:
    p = softmax(z)
    return (np.diag(p) - np.outer(p, p)) / T


def without_inner_slope(z: Any, T: float) -> Any:
    p = softmax(z / T)
    return np.diag(p) - np.outer(p, p)


def elementwise_temperature(z: Any, T: float) -> Any:
    p = softmax(z / T)
    return np.diag(p * (1 - p) / T)


def probabilities_divided_by_temperature(z: Any, T: float) -> Any:
    p = softmax(z) / T
    return np.diag(p) - np.outer(p, p)


def half_divided_by_temperature(z: Any, T: float) -> Any:
    p = softmax(z / T)
    return np.diag(p) / T - np.outer(p, p)


def published_gate(A: Any, x: Any) -> Any:
    h = np.maximum(0, A @ x)
    gate = h >= 0
    return gate[:, np.newaxis] * A


# exercise, wrong answer, a word that only its own diagnosis contains
WRONG: list[tuple[str, Any, str]] = [
    ("three-inputs", forgets_the_cosine, "−sin"),
    ("three-inputs", lambda x: three_inputs(x).T, "transposed"),
    ("three-inputs", swaps_the_outputs, "swapped"),
    ("three-inputs", forgets_the_two, "[1, 0]"),
    ("three-inputs", lambda x: np.array([x[0] * x[1] * x[2], x[0] ** 2 + np.cos(x[2])]), "values of f"),
    ("three-inputs", lambda x: np.array([[1, 1, 1], [2 * x[0], 0, -np.sin(x[2])]]), "sum"),
    ("count-the-axes", [[2, 64], [1, 5], [2, 100], [1, 3]], "squeezed"),
    ("count-the-axes", [[1, 64], [1, 5], [2, 100], [2, 3]], "flattened"),
    ("count-the-axes", [[2, 64], [2, 5], [2, 100], [2, 3]], "behind"),
    ("count-the-axes", [[2, 64], [1, 5], [1, 10], [2, 3]], "mixes"),
    ("count-the-axes", [[2, 64], [1, 5], [2, 10], [2, 3]], "(2, 1)"),
    ("count-the-axes", [(8, 8), (5,), (10, 10), (1, 3)], "wanted numbers"),
    ("count-the-axes", [[2, 64], [1, 4], [2, 100], [2, 3]], "there are five"),
    ("count-the-axes", [[2, 64], [1, 5], [2, 100], [2, 1]], "zeros"),
    ("count-the-axes", [[64, 2], [5, 1], [100, 2], [3, 2]], "other way round"),
    ("logits-jacobian", lambda W, b, x: W.T, "transposed"),
    ("logits-jacobian", lambda W, b, x: W @ x + b, "themselves"),
    ("logits-jacobian", lambda W, b, x: W * x, "contributes"),
    (
        "logits-jacobian",
        lambda W, b, x: np.diag(softmax(W @ x + b)) @ W - np.outer(softmax(W @ x + b), softmax(W @ x + b)) @ W,
        "probabilities",
    ),
    ("logits-jacobian", lambda W, b, x: -W, "sign"),
    ("logits-jacobian", lambda W, b, x: np.diag(b) @ W, "its bias"),
    ("logits-jacobian", lambda W, b, x: np.diag(softmax(W @ x + b)) @ W, "its probability"),
    ("logits-jacobian", lambda W, b, x: np.array([x for _ in b]), "weight W_ij"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (1 - softmax(z)) * v, "elementwise"),
    ("softmax-times-vector", lambda z, v: np.diag(softmax(z)) @ v, "missing"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (v - 1), "once"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (v - np.mean(v)), "plain mean"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (softmax(z) @ v - v), "sign"),
    ("softmax-times-vector", lambda z, v: v - np.dot(softmax(z), v), "factor p is missing"),
    ("softmax-times-vector", lambda z, v: softmax(z) * v - np.dot(softmax(z), v), "same number"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (v + np.dot(softmax(z), v)), "not added"),
    ("softmax-times-vector", lambda z, v: softmax(z) * np.dot(softmax(z), v), "second term, p"),
    ("softmax-times-vector", lambda z, v: v * (softmax(z) - np.dot(softmax(z), v)), "v times that number"),
    ("softmax-times-vector", lambda z, v: softmax(z) * (v - softmax(z)), "p_i²"),
    ("softmax-times-vector", lambda z, v: softmax(v) * (z - softmax(v) @ z), "changed places"),
    ("softmax-times-vector", lambda z, v: np.diag(softmax(z)) - np.outer(softmax(z), softmax(z)), "shape"),
    ("temperature-jacobian", without_inner_slope, "slope 1/T"),
    ("temperature-jacobian", at_the_wrong_temperature, "wrong point"),
    ("temperature-jacobian", lambda z, T: temperature(z, 1.0), "nowhere"),
    ("temperature-jacobian", elementwise_temperature, "diagonal"),
    ("temperature-jacobian", lambda z, T: temperature(z, T) * T**2, "multiplies by T"),
    ("temperature-jacobian", lambda z, T: -temperature(z, T), "sign"),
    ("temperature-jacobian", lambda z, T: temperature(z, T) / T, "twice"),
    ("temperature-jacobian", probabilities_divided_by_temperature, "another function"),
    ("temperature-jacobian", half_divided_by_temperature, "p pᵀ as well"),
    ("temperature-jacobian", lambda z, T: (softmax(z / T) * (1 - softmax(z / T)[:, None])) / T, "every row"),
    ("unit-vector-jacobian", lambda x: np.eye(len(x)) / np.linalg.norm(x), "constant"),
    ("unit-vector-jacobian", lambda x: np.eye(len(x)) - np.outer(x, x) / (x @ x), "divided by"),
    ("unit-vector-jacobian", lambda x: (np.eye(len(x)) - np.outer(x, x)) / np.linalg.norm(x), "outer product"),
    ("unit-vector-jacobian", lambda x: np.eye(len(x)) / np.sqrt(x @ x) + np.outer(x, x) / np.sqrt(x @ x) ** 3, "sign"),
    ("unit-vector-jacobian", lambda x: x / np.linalg.norm(x), "shape"),
    ("unit-vector-jacobian", lambda x: -np.outer(x, x) / (x @ x) ** 1.5, "second term alone"),
    ("unit-vector-jacobian", lambda x: np.eye(len(x)) - np.outer(x, x) / (x @ x) ** 1.5, "identity has to be divided"),
    ("unit-vector-jacobian", lambda x: (np.eye(len(x)) - np.outer(x, x)) / (x @ x) ** 1.5, "powers"),
    ("unit-vector-jacobian", lambda x: unit_vector(x) / np.linalg.norm(x), "too often"),
    ("unit-vector-jacobian", lambda x: (np.eye(len(x)) - x @ x / (x @ x)) / np.linalg.norm(x), "is a number"),
    ("unit-vector-jacobian", lambda x: (np.eye(len(x)) - (x / np.linalg.norm(x)) ** 2) / np.linalg.norm(x), "u_j²"),
    ("unit-vector-jacobian", lambda x: np.eye(len(x)) / (x @ x) ** 0.5 - 2 * np.outer(x, x) / (x @ x) ** 1.5, "twice"),
    ("relu-gate", published_gate, "open everywhere"),
    ("relu-gate", lambda A, x: (A @ x < 0)[:, None] * A, "inverted"),
    ("relu-gate", lambda A, x: np.maximum(0, A @ x)[:, None] * A, "value h"),
    ("relu-gate", lambda A, x: A * (x > 0), "inputs"),
    ("relu-gate", lambda A, x: np.maximum(A, 0), "entries of A"),
    ("relu-gate", lambda A, x: np.diag(np.sign(A @ x)) @ A, "np.sign"),
    ("relu-gate", lambda A, x: np.outer(A @ x > 0, np.ones(x.size)), "gate alone"),
    ("relu-gate", lambda A, x: ((A @ x > 0)[:, None] * A).T, "transposed"),
    ("relu-gate", lambda A, x: (A @ x > 0) * A, "raised ValueError"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(EXERCISE, RIGHT, WRONG)


def test_the_relu_inputs_have_open_and_closed_gates() -> None:
    # otherwise the published mistake would be right by luck
    for A, x in EXERCISE["relu-gate"].inputs:
        assert 0 < np.count_nonzero(A @ x > 0) < len(A)
