"""The exercises of the chapter *The best linear map*: error slopes, area factors, polar coordinates, robot arms.

Truths come from the complex step, the singular value decomposition or geometry, so that no formula a student
is asked for stands here twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl import numeric
from mathdl.exercises.judge import Exercise

__all__ = ["EXERCISES"]

Array = NDArray[np.float64]


def _derivative(f: Callable[[Any], Any], x: Array) -> Array:
    return np.asarray(numeric.jacobian(f, x, method="complex").value)


# ------------------------------------------------------------------------------------------------ polar coordinates


def _polar(x: Any) -> Any:
    return np.array([x[0] * np.cos(x[1]), x[0] * np.sin(x[1])])


def _polar_degrees(x: Any) -> Any:
    return _polar(np.array([x[0], x[1] * (np.pi / 180)]))


def _inverse_polar(x: Array) -> Array:
    """The inverse of the polar map's Jacobian at the polar coordinates of ``x``, (2, 2)."""
    return np.asarray(np.linalg.inv(_derivative(_polar, np.array([np.hypot(*x), np.arctan2(x[1], x[0])]))))


def _condition_in_degrees(r: float) -> float:
    return float(np.linalg.cond(_derivative(_polar_degrees, np.array([r, 30.0]))))


# ---------------------------------------------------------------------------------------------------------- areas


def _area_factor(f: Callable[[Any], Any], x: Array, h: float) -> float:
    """Half the cross product of the diagonals: the signed area of any quadrilateral."""
    a, b, c, d = (np.asarray(f(x + h / 2 * np.array(corner))) for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
    (u, v), (s, t) = c - a, d - b
    return float((u * t - v * s) / (2 * h**2))


def _example(x: Any) -> Any:
    return np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])


def _open_shoelace(f: Callable[[Any], Any], x: Array, h: float) -> float:
    """The shoelace sum without its last term, which closes the polygon."""
    last, first = (np.asarray(f(x + h / 2 * np.array(corner))) for corner in ((-1, 1), (-1, -1)))
    return _area_factor(f, x, h) - float((last[0] * first[1] - first[0] * last[1]) / (2 * h**2))


def _crossed(f: Callable[[Any], Any], x: Array, h: float) -> float:
    """The corners row by row: a bow tie."""
    a, b, c, d = (np.asarray(f(x + h / 2 * np.array(corner))) for corner in ((-1, -1), (1, -1), (-1, 1), (1, 1)))
    (u, v), (s, t) = c - a, d - b
    area = float((u * t - v * s) / (2 * h**2))
    return area if abs(area) > 1e-9 else 0.0  # where the map is symmetric the two halves cancel


def _determinant_of_differences(f: Callable[[Any], Any], x: Array, h: float) -> float:
    columns = [(np.asarray(f(x + h / 2 * e)) - np.asarray(f(x - h / 2 * e))) / h for e in np.eye(2)]
    return float(np.linalg.det(np.stack(columns, axis=1)))


# ----------------------------------------------------------------------------------------------------------- arms


def _hand(lengths: Array, theta: Any) -> Any:
    angle = np.cumsum(theta)
    return np.array([np.sum(lengths * np.cos(angle)), np.sum(lengths * np.sin(angle))])


def _arm(lengths: Array, theta: Array) -> Array:
    return _derivative(lambda angles: _hand(lengths, angles), theta)


def _links_turned_alone(lengths: Array, theta: Array) -> Array:
    angle = np.cumsum(theta)
    return np.array([-lengths * np.sin(angle), lengths * np.cos(angle)])


def _own_angles(lengths: Array, theta: Array) -> Array:
    """As if each angle were measured from the table: the derivative of that other arm."""
    return np.array([-lengths * np.sin(theta), lengths * np.cos(theta)])


def _own_angles_summed(lengths: Array, theta: Array) -> Array:
    return np.asarray(np.cumsum(_own_angles(lengths, theta)[:, ::-1], axis=1)[:, ::-1])


def _earlier_links(lengths: Array, theta: Array) -> Array:
    return np.asarray(np.cumsum(_links_turned_alone(lengths, theta), axis=1))


def _self_motion(J: Array, w: Array) -> Array:
    """Project on the right singular vectors whose singular value is zero."""
    _, s, Vt = np.linalg.svd(J)
    null = Vt[int(np.sum(s > 1e-12 * s[0])) :]
    return np.asarray(null.T @ (null @ w))


_LENGTHS = np.array([1.0, 0.7, 0.4])
_POSES = (np.array([0.3, 0.8, -0.5]), np.array([1.9, -1.1, 0.6]), np.array([-0.4, 2.2, 1.3]))
_WISHES = (np.array([1.0, 0.0, 0.0]), np.array([0.2, -0.7, 0.5]), np.array([0.0, 0.3, -1.0]))


EXERCISES: tuple[Exercise, ...] = (
    Exercise(
        name="error-slopes",
        task="Predict on paper the slope of five errors of linearisation on logarithmic axes.",
        truth=np.array([2.0, 3.0, 1.0, 1.0, 0.0]),
        hints=(
            "Take the Taylor polynomial at the point, subtract the claimed line: the lowest power left is the slope.",
            "cos has no curvature where it crosses zero, and a claim with a wrong slope leaves a first-order term.",
            "For (c), 0.5 t leaves 0.5 |t| on both sides; for (e), put y = 2 into xy: what remains is linear in x.",
        ),
        mistakes={
            "(b) has no curvature at π/2: the second derivative of cos is -cos, which is zero there, "
            "so the third-order term leads": np.array([2.0, 2.0, 1.0, 1.0, 0.0]),
            "in (c) no line fits both sides of the kink: 0.5 t is wrong by 0.5 |t|, an error of first order": np.array(
                [2.0, 3.0, 2.0, 1.0, 0.0]
            ),
            "in (d) the claimed slope 2.9 is wrong, so an error of 0.1 t stays however smooth the function is": np.array(
                [2.0, 3.0, 1.0, 2.0, 0.0]
            ),
            "in (e) only x moves, and xy with y held at 2 is linear in x: no error is left, which we write as 0": np.array(
                [2.0, 3.0, 1.0, 1.0, 2.0]
            ),
            "that is the order of the last term that is kept; the error has the order of the first term left out": np.array(
                [1.0, 2.0, 0.0, 0.0, 0.0]
            ),
            "slope 2 takes a smooth function, the right claim and curvature: (c) is not smooth, (d) claims wrongly, "
            "and (b) and (e) have no curvature": np.array([2.0, 2.0, 2.0, 2.0, 2.0]),
            "in (c) the error is 0.5 t: the slope on logarithmic axes is the power of t, not the number in front": np.array(
                [2.0, 3.0, 0.5, 1.0, 0.0]
            ),
            "in (d) the error is about 0.1 t: the slope on logarithmic axes is the power of t, not the number in front": np.array(
                [2.0, 3.0, 1.0, 0.1, 0.0]
            ),
            "in (e) the claim is right and the function linear in x: nothing is left over, not even a term in t": np.array(
                [2.0, 3.0, 1.0, 1.0, 1.0]
            ),
        },
    ),
    Exercise(
        name="inverse-polar-jacobian",
        task="Return the 2×2 Jacobian of (x, y) -> (r, θ).",
        truth=_inverse_polar,
        inputs=((np.array([1.0, 2.0]),), (np.array([-0.6, 0.8]),), (np.array([3.0, -0.5]),)),
        derivative=True,
        hints=(
            "r² = x² + y²: differentiate both sides. For θ use tan θ = y / x, or invert the polar Jacobian.",
            "The first row is a unit vector; the second has length 1/r and is at right angles to it.",
        ),
        mistakes={
            "this is the Jacobian of the way back, from (r, θ) to (x, y); the one asked for is its inverse": lambda x: (
                np.linalg.inv(_inverse_polar(x))
            ),
            "the second row has length 1 here, but an angle changes less the farther out you stand: "
            "one more division by r": lambda x: _inverse_polar(x) * np.array([[1.0], [np.hypot(*x)]]),
            "the second row points the wrong way: moving up at a point with x > 0 must increase θ": lambda x: (
                _inverse_polar(x) * np.array([[1.0], [-1.0]])
            ),
            "the first row is (x, y); r = √(x² + y²), and the derivative of the root brings 1/r": lambda x: np.array(
                [x, _inverse_polar(x)[1]]
            ),
            "the first row is the derivative of r² = x² + y²; that of r is (x/r, y/r)": lambda x: np.array(
                [2 * x, _inverse_polar(x)[1]]
            ),
            "the first row is half of what it should be: the root brings 1/(2r), and the x² and y² inside it bring a 2": lambda x: (
                _inverse_polar(x) * np.array([[0.5], [1.0]])
            ),
            "the first row has length 1/r here, but one step outward changes r by one: divide by r once, not twice": lambda x: (
                _inverse_polar(x) / np.array([[np.hypot(*x)], [1.0]])
            ),
            "the second row is the derivative of tan θ = y/x; that of θ has the further factor cos²θ = x²/r²": lambda x: (
                _inverse_polar(x) * np.array([[1.0], [(x @ x) / x[0] ** 2]])
            ),
            "the second row has length 1/r² here, but an arc of length 1 is the angle 1/r: divide (-y, x) by r² only": lambda x: (
                _inverse_polar(x) * np.array([[1.0], [1 / np.hypot(*x)]])
            ),
            "the second row has length r here, but an angle changes less the farther out you stand: "
            "it is still to be divided by r²": lambda x: _inverse_polar(x) * np.array([[1.0], [x @ x]]),
            "θ is asked for in radians; the second row is for degrees": lambda x: (
                _inverse_polar(x) * np.array([[1.0], [180 / np.pi]])
            ),
        },
    ),
    Exercise(
        name="area-factor",
        task="Return the signed area of the image of a small square, divided by the square's own area.",
        truth=_area_factor,
        inputs=(
            (_example, np.array([1.0, 1.0]), 0.1),
            (_polar, np.array([2.0, 0.5]), 0.3),
            (_example, np.array([0.2, -1.0]), 0.01),
        ),
        rtol=1e-5,
        hints=(
            "Four corners, in the order (-, -), (+, -), (+, +), (-, +) around x; map each with f; then the shoelace.",
            "Shoelace: half the sum of x_k y_(k+1) - x_(k+1) y_k, where the corner after the last is the first again.",
        ),
        mistakes={
            "the size is right and the sign is lost: without abs() you see which maps turn the square over": lambda f, x, h: (
                abs(_area_factor(f, x, h))
            ),
            "the orientation is reversed: go round the square counter-clockwise": lambda f, x, h: (
                -_area_factor(f, x, h)
            ),
            "this is twice the factor: the shoelace sum is twice the area": lambda f, x, h: 2 * _area_factor(f, x, h),
            "this is the area of the image; divide by the area of the square, h²": lambda f, x, h: (
                h**2 * _area_factor(f, x, h)
            ),
            "divide by the square's area h², not by its side h": lambda f, x, h: h * _area_factor(f, x, h),
            "the square's side is 2h here: go h/2 from the middle to each side": lambda f, x, h: (
                4 * _area_factor(f, x, 2 * h)
            ),
            "the square is too large: its side is 2h; go h/2 from the middle to each side, and divide by h²": lambda f, x, h: (
                _area_factor(f, x, 2 * h)
            ),
            "x is the middle of the square, not its lower left corner": lambda f, x, h: _area_factor(f, x + h / 2, h),
            "the shoelace is left open: after the last corner comes the first again": _open_shoelace,
            "the corners cross over: go round the square, so that each corner is followed by a neighbour": _crossed,
            "this is a determinant of central differences: it tends to the same number, but the area of the "
            "quadrilateral is asked for": _determinant_of_differences,
        },
    ),
    Exercise(
        name="polar-condition",
        task="Return the condition number of the polar map at radius r, with the angle in degrees.",
        truth=_condition_in_degrees,
        inputs=((0.5,), (2.0,), (40.0,), (100.0,)),
        hints=(
            "The columns of the polar Jacobian are at right angles, so the singular values are their lengths.",
            "One degree is π/180 radians: the second column has length rπ/180. Larger over smaller.",
        ),
        mistakes={
            "that is the condition number with the angle in radians; a degree is π/180 of one": lambda r: max(r, 1 / r),
            "a condition number is never below 1: divide the larger singular value by the smaller one": lambda r: (
                r * np.pi / 180
            ),
            "right while rπ/180 < 1 only: farther out the second singular value is the larger one": lambda r: (
                180 / (r * np.pi)
            ),
            "the angle was turned into degrees instead of out of them: the factor is π/180": lambda r: r * 180 / np.pi,
            "this is the smaller singular value over the larger; the condition number is the larger over the smaller": lambda r: (
                1 / _condition_in_degrees(r)
            ),
            "this is the square: JᵀJ has the squares of the singular values, so take the root": lambda r: (
                _condition_in_degrees(r) ** 2
            ),
            "max(1, rπ/180) is the larger singular value; it is still to be divided by the smaller one": lambda r: max(
                1.0, r * np.pi / 180
            ),
        },
    ),
    Exercise(
        name="arm-jacobian",
        task="Return the 2×n Jacobian of an arm's hand with respect to its n joint angles.",
        truth=_arm,
        inputs=(*((_LENGTHS, pose) for pose in _POSES), (np.array([1.0, 0.7]), np.array([0.5, 1.1]))),
        derivative=True,
        hints=(
            "Link k points at the angle θ_1 + … + θ_k, so it depends on every joint up to k.",
            "Column j is the sum over the links k ≥ j of l_k (-sin, cos) of link k's angle.",
            "np.cumsum(theta) gives the angles; a sum from the far end, np.cumsum(v[::-1])[::-1], the columns.",
        ),
        mistakes={
            "each column moves one link only, but joint j carries every link from j outward": _links_turned_alone,
            "you used θ_k as the direction of link k; joint angles add up: link k points at θ_1 + … + θ_k": _own_angles_summed,
            "you used θ_k as the direction of link k, and moved one link per joint; joint angles add up, "
            "and joint j carries every link from j outward": _own_angles,
            "column j sums the links before joint j; turning a joint moves the links after it": _earlier_links,
            "sines and cosines here take radians: do not convert the angles from degrees": lambda lengths, theta: _arm(
                lengths, np.deg2rad(theta)
            ),
            "the lengths are missing: a link that is longer moves the hand faster": lambda lengths, theta: _arm(
                np.ones_like(lengths), theta
            ),
            "joint j carries link j too; your columns begin with the link after it": lambda lengths, theta: (
                _arm(lengths, theta) - _links_turned_alone(lengths, theta)
            ),
            "your columns are sums of the links; the derivative turns each of them: (cos, sin) becomes (-sin, cos)": lambda lengths, theta: (
                np.array([[0.0, 1.0], [-1.0, 0.0]]) @ _arm(lengths, theta)
            ),
        },
    ),
    Exercise(
        name="self-motion",
        task="Return the part of the joint velocity w that does not move the hand.",
        truth=_self_motion,
        inputs=tuple((_arm(_LENGTHS, pose), wish) for pose, wish in zip(_POSES, _WISHES, strict=True)),
        hints=(
            "Split w into a part in the row space of J, which moves the hand, and a part in its null space.",
            "np.linalg.pinv(J) @ J projects on the row space; what is left over is (I - J⁺J) w.",
        ),
        mistakes={
            "this is the other part: it is what moves the hand; subtract it from w": lambda J, w: (
                w - _self_motion(J, w)
            ),
            "this is w itself, which moves the hand as well": lambda J, w: w,
            "JᵀJ is no projection (the rows of J are not orthonormal); use J⁺J": lambda J, w: w - J.T @ (J @ w),
            "this is the velocity of the hand, in R²; wanted is a joint velocity, in R³": lambda J, w: J @ w,
            "the direction is right and the length is not: project w, do not rescale it": lambda J, w: (
                _self_motion(J, w) / np.linalg.norm(_self_motion(J, w))
            ),
            "the sign is wrong: it is w minus its part in the row space, not the other way round": lambda J, w: (
                -_self_motion(J, w)
            ),
            "zero does not move the hand, but it is not the vector nearest to w that does not": lambda J, w: (
                np.zeros_like(w)
            ),
            "this is a direction that does not move the hand, and w does not appear in it: project w on it": lambda J, w: (
                np.cross(J[0], J[1])
            ),
            "this is a unit vector that does not move the hand, and w does not appear in it: project w on it": lambda J, w: (
                np.linalg.svd(J)[2][2]
            ),
            "divide by the squared length of the direction: the projection of w on n is n (n·w) / (n·n)": lambda J, w: (
                np.cross(J[0], J[1]) * (np.cross(J[0], J[1]) @ w)
            ),
            "the rows of J are not orthogonal, so their parts may not be subtracted one by one; use J⁺J": lambda J, w: (
                w - sum(row * (row @ w) / (row @ row) for row in J)
            ),
            "NumPy returns Vᵀ: the singular directions are its rows, and this takes a column": lambda J, w: (
                np.linalg.svd(J)[2][:, 2] * (np.linalg.svd(J)[2][:, 2] @ w)
            ),
        },
    ),
)
