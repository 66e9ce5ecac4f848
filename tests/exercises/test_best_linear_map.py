"""Wrong answers as students write them, for the exercises of *The best linear map*: never right, and told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
from verdicts import answer_tests

from mathdl.exercises.best_linear_map import EXERCISES

BY_NAME = {exercise.name: exercise for exercise in EXERCISES}


# ------------------------------------------------------------------- right answers, written another way than the truth


def inverse_polar(x: Any) -> Any:
    r2 = x @ x
    return np.array([x / np.sqrt(r2), np.array([-x[1], x[0]]) / r2])


def area(f: Any, x: Any, h: Any) -> Any:
    corners = np.array([f(x + h / 2 * np.array(c)) for c in [(-1, -1), (1, -1), (1, 1), (-1, 1)]])
    u, v = corners.T
    return sum(u[k - 1] * v[k] - u[k] * v[k - 1] for k in range(4)) / 2 / h**2


def condition(r: Any) -> Any:
    lengths = [1.0, np.radians(r)]
    return max(lengths) / min(lengths)


def arm(lengths: Any, theta: Any) -> Any:
    n = len(theta)
    J = np.zeros((2, n))
    for j in range(n):
        for k in range(j, n):
            q = theta[: k + 1].sum()
            J[:, j] += lengths[k] * np.array([-np.sin(q), np.cos(q)])
    return J


def self_motion(J: Any, w: Any) -> Any:
    normal = np.cross(J[0], J[1])
    return normal * (normal @ w) / (normal @ normal)


RIGHT: dict[str, Any] = {
    "error-slopes": [2, 3, 1, 1, 0],
    "inverse-polar-jacobian": inverse_polar,
    "area-factor": area,
    "polar-condition": condition,
    "arm-jacobian": arm,
    "self-motion": self_motion,
}


# ------------------------------------------------------------------------------------------ wrong answers, and the word


def slopes(*values: float) -> Any:
    return np.array(values, dtype=float)


def arm_two_links_only(lengths: Any, theta: Any) -> Any:
    q1, q2 = theta[0], theta[0] + theta[1]
    return np.array(
        [
            [-lengths[0] * np.sin(q1) - lengths[1] * np.sin(q2), -lengths[1] * np.sin(q2)],
            [lengths[0] * np.cos(q1) + lengths[1] * np.cos(q2), lengths[1] * np.cos(q2)],
        ]
    )


def arm_one_link_each(lengths: Any, theta: Any) -> Any:
    q = np.cumsum(theta)
    return np.stack([-lengths * np.sin(q), lengths * np.cos(q)])


def arm_angles_from_the_table(lengths: Any, theta: Any) -> Any:
    return np.stack([-lengths * np.sin(theta), lengths * np.cos(theta)])


def arm_links_right_angles_wrong(lengths: Any, theta: Any) -> Any:
    n = len(theta)
    return np.array(
        [
            [-sum(lengths[k] * np.sin(theta[k]) for k in range(j, n)) for j in range(n)],
            [sum(lengths[k] * np.cos(theta[k]) for k in range(j, n)) for j in range(n)],
        ]
    )


def arm_minus_forgotten(lengths: Any, theta: Any) -> Any:
    return arm(lengths, theta) * np.array([[-1.0], [1.0]])


def arm_from_the_next_link(lengths: Any, theta: Any) -> Any:
    J = np.zeros((2, len(theta)))
    J[:, :-1] = arm(lengths, theta)[:, 1:]
    return J


def arm_links_not_turned(lengths: Any, theta: Any) -> Any:
    q = np.cumsum(theta)
    return np.array(
        [
            [sum(lengths[j:] * np.cos(q[j:])) for j in range(len(q))],
            [sum(lengths[j:] * np.sin(q[j:])) for j in range(len(q))],
        ]
    )


def area_of_a_bow_tie(f: Any, x: Any, h: Any) -> Any:
    u, v = np.array([f(x + h / 2 * np.array(c)) for c in [(-1, -1), (1, -1), (-1, 1), (1, 1)]]).T
    return np.sum(u * np.roll(v, -1) - np.roll(u, -1) * v) / 2 / h**2


def area_left_open(f: Any, x: Any, h: Any) -> Any:
    u, v = np.array([f(x + h / 2 * np.array(c)) for c in [(-1, -1), (1, -1), (1, 1), (-1, 1)]]).T
    return np.sum(u[:-1] * v[1:] - u[1:] * v[:-1]) / 2 / h**2


def determinant(f: Any, x: Any, h: Any) -> Any:
    right, up = np.array([h / 2, 0]), np.array([0, h / 2])
    (a, b), (c, d) = (f(x + right) - f(x - right)) / h, (f(x + up) - f(x - up)) / h
    return a * d - b * c


WRONG: list[tuple[str, Any, str]] = [
    ("error-slopes", slopes(2, 2, 1, 1, 0), "curvature at π/2"),
    ("error-slopes", slopes(2, 3, 2, 1, 0), "kink"),
    ("error-slopes", slopes(2, 3, 1, 2, 0), "2.9"),
    ("error-slopes", slopes(2, 3, 1, 1, 2), "linear in x"),
    ("error-slopes", slopes(1, 2, 0, 0, 0), "first term left out"),
    ("error-slopes", slopes(2, 3, 0, 1, 0), "the first at index (2,)"),
    ("error-slopes", slopes(2, 2, 2, 2, 2), "takes a smooth function"),
    ("error-slopes", slopes(2, 3, 0.5, 1, 0), "error is 0.5 t"),
    ("error-slopes", slopes(2, 3, 1, 0.1, 0), "about 0.1 t"),
    ("error-slopes", slopes(2, 3, 1, 1, 1), "nothing is left over"),
    ("error-slopes", slopes(2, 3, 1, 1), "shape"),
    ("error-slopes", "2, 3, 1, 1, 0", "wanted numbers"),
    ("inverse-polar-jacobian", lambda x: inverse_polar(x).T, "transpose"),
    ("inverse-polar-jacobian", lambda x: np.linalg.inv(inverse_polar(x)), "way back"),
    ("inverse-polar-jacobian", lambda x: np.array([x, [-x[1], x[0]]]) / np.hypot(*x), "second row has length 1"),
    ("inverse-polar-jacobian", lambda x: np.array([x / np.hypot(*x), np.array([x[1], -x[0]]) / (x @ x)]), "increase θ"),
    ("inverse-polar-jacobian", lambda x: np.array([x, np.array([-x[1], x[0]]) / (x @ x)]), "brings 1/r"),
    ("inverse-polar-jacobian", lambda x: np.array([x / np.hypot(*x), np.array([x[0], x[1]]) / (x @ x)]), "row"),
    ("inverse-polar-jacobian", lambda x: inverse_polar(x).ravel(), "shape"),
    ("inverse-polar-jacobian", lambda x: np.array([2 * x, inverse_polar(x)[1]]), "derivative of r²"),
    ("inverse-polar-jacobian", lambda x: np.array([x / 2 / np.hypot(*x), inverse_polar(x)[1]]), "bring a 2"),
    ("inverse-polar-jacobian", lambda x: np.array([x / (x @ x), inverse_polar(x)[1]]), "once, not twice"),
    ("inverse-polar-jacobian", lambda x: np.array([x / np.hypot(*x), [-x[1] / x[0] ** 2, 1 / x[0]]]), "cos²θ"),
    ("inverse-polar-jacobian", lambda x: np.array([x / np.hypot(*x), [-x[1], x[0]]]), "divided by r²"),
    ("inverse-polar-jacobian", lambda x: inverse_polar(x) / [[1], [np.hypot(*x)]], "r² only"),
    ("inverse-polar-jacobian", lambda x: inverse_polar(x) * np.array([[1], [180 / np.pi]]), "for degrees"),
    ("area-factor", lambda f, x, h: abs(area(f, x, h)), "sign is lost"),
    ("area-factor", lambda f, x, h: -area(f, x, h), "counter-clockwise"),
    ("area-factor", lambda f, x, h: 2 * area(f, x, h), "twice"),
    ("area-factor", lambda f, x, h: h**2 * area(f, x, h), "area of the image"),
    ("area-factor", lambda f, x, h: h * area(f, x, h), "not by its side"),
    ("area-factor", lambda f, x, h: 4 * area(f, x, 2 * h), "side is 2h"),
    ("area-factor", lambda f, x, h: area(f, x + h / 2, h), "lower left"),
    ("area-factor", lambda f, x, h: area(f, x, 2 * h), "too large"),
    ("area-factor", area_of_a_bow_tie, "cross over"),
    ("area-factor", area_left_open, "left open"),
    ("area-factor", determinant, "determinant"),
    ("area-factor", lambda f, x, h: 1.01 * area(f, x, h), "not the right number"),
    ("polar-condition", lambda r: max(r, 1 / r), "radians"),
    ("polar-condition", lambda r: np.pi * r / 180, "never below 1"),
    ("polar-condition", lambda r: 180 / (np.pi * r), "farther out"),
    ("polar-condition", lambda r: r * 180 / np.pi, "out of them"),
    ("polar-condition", lambda r: r, "not the right number"),
    ("polar-condition", lambda r: min(np.radians(r), 1 / np.radians(r)), "smaller singular value over"),
    ("polar-condition", lambda r: max(np.radians(r) ** 2, np.radians(r) ** -2), "square"),
    ("polar-condition", lambda r: max(1, np.radians(r)), "still to be divided"),
    ("arm-jacobian", arm_one_link_each, "carries every link"),
    ("arm-jacobian", arm_angles_from_the_table, "moved one link per joint"),
    ("arm-jacobian", arm_links_right_angles_wrong, "joint angles add up"),
    ("arm-jacobian", lambda lengths, theta: np.cumsum(arm_one_link_each(lengths, theta), axis=1), "before joint j"),
    ("arm-jacobian", lambda lengths, theta: arm(lengths, np.deg2rad(theta)), "degrees"),
    ("arm-jacobian", lambda lengths, theta: arm(lengths, theta).T, "shape"),
    ("arm-jacobian", arm_minus_forgotten, "sign"),
    ("arm-jacobian", arm_two_links_only, "shape"),
    ("arm-jacobian", lambda lengths, theta: arm(0 * lengths + 1, theta), "lengths are missing"),
    ("arm-jacobian", arm_from_the_next_link, "carries link j too"),
    ("arm-jacobian", arm_links_not_turned, "turns each"),
    ("self-motion", lambda J, w: np.linalg.pinv(J) @ J @ w, "other part"),
    ("self-motion", lambda J, w: w, "w itself"),
    ("self-motion", lambda J, w: w - J.T @ J @ w, "no projection"),
    ("self-motion", lambda J, w: J @ w, "velocity of the hand"),
    ("self-motion", lambda J, w: self_motion(J, w) / np.linalg.norm(self_motion(J, w)), "length is not"),
    ("self-motion", lambda J, w: np.zeros(3), "nearest to w"),
    ("self-motion", lambda J, w: np.linalg.pinv(J) @ J @ w - w, "other way round"),
    ("self-motion", lambda J, w: np.cross(J[0], J[1]), "a direction that"),
    ("self-motion", lambda J, w: np.linalg.svd(J)[2][-1], "a unit vector that"),
    ("self-motion", lambda J, w: np.cross(*J) * (np.cross(*J) @ w), "squared length"),
    ("self-motion", lambda J, w: w - sum(n * (n @ w) / (n @ n) for n in J), "one by one"),
    ("self-motion", lambda J, w: w - J[0] * (J[0] @ w) / (J[0] @ J[0]), "entries differ"),
    ("self-motion", lambda J, w: np.linalg.inv(J) @ w, "LinAlgError"),
]


test_right_answers_pass, test_wrong_answers_are_told, test_wrong_answers_differ = answer_tests(BY_NAME, RIGHT, WRONG)
