"""The exercises of the chapter *Jacobians as formulas*: what each asks, what is right, and the mistakes it knows.

The truth of a derivative comes from the complex step, the others from a second road: a series, or counting.
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


def _complex(f: Callable[[Array], Any], x: Array) -> Array:
    return np.asarray(numeric.jacobian(f, x, method="complex").value)


# -- spherical coordinates -------------------------------------------------------------------------------------------


def _spherical(s: Array) -> Array:
    r, theta, phi = s
    return np.array([r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)])


def _latitude(s: Array) -> Array:
    r, theta, phi = s
    return np.array([r * np.cos(theta) * np.cos(phi), r * np.cos(theta) * np.sin(phi), r * np.sin(theta)])


def _angles_exchanged(s: Array) -> Array:
    r, theta, phi = s
    return _spherical(np.array([r, phi, theta]))


SPHERICAL = Exercise(
    name="spherical-jacobian",
    task="The Jacobian of spherical coordinates as a NumPy function, shape (3, 3).",
    truth=lambda s: _complex(_spherical, s),
    inputs=((np.array([2.0, 0.7, 0.4]),), (np.array([1.5, 2.2, -1.1]),)),
    derivative=True,
    hints=(
        "Write the three coordinates as SymPy expressions of r, theta, phi. md.symbolic.jacobian differentiates them.",
        "The order of the symbols decides the order of the columns: [r, theta, phi].",
        "md.symbolic.function(J, [r, theta, phi]) makes the function. Hand it over uncalled.",
    ),
    mistakes={
        "Your theta is the latitude, measured from the plane z = 0; here it is measured from the z-axis, "
        "so z = r cos(theta).": lambda s: _complex(_latitude, s),
        "Theta and phi have changed places: theta is measured from the z-axis and phi around it, so z = r cos(theta).": lambda s: (
            _complex(_angles_exchanged, s)
        ),
        "Column theta lacks the factor r: a turn by a small angle moves a distant point further.": lambda s: (
            _complex(_spherical, s) / np.array([1.0, s[0], 1.0])
        ),
        "Columns theta and phi lack the factor r: a turn by a small angle moves a distant point further.": lambda s: (
            _complex(_spherical, s) / np.array([1.0, s[0], s[0]])
        ),
        "The columns are divided by their own lengths: column theta lacks the factor r, column phi the factor "
        "r sin(theta).": lambda s: _complex(_spherical, s) / np.array([1.0, s[0], s[0] * np.sin(s[1])]),
        "This is the map itself, repeated, and no derivative of it: call md.symbolic.jacobian first.": lambda s: (
            np.tile(_spherical(s), (3, 1)).T
        ),
    },
)


# -- a layer of two neurons ------------------------------------------------------------------------------------------

_LAYERS = (
    (np.array([[1.0, -0.5], [0.3, 0.8]]), np.array([0.1, -0.2]), np.array([0.4, 0.9])),
    (np.array([[-0.7, 1.2], [0.6, 0.5]]), np.array([0.0, 0.3]), np.array([-0.3, 0.5])),
    (np.array([[0.9, -0.4], [-0.2, 1.1]]), np.array([-0.5, 0.2]), np.array([0.3, 0.6])),  # z_0 < 0 < z_1
)


def _slopes(W: Array, b: Array, x: Array) -> Array:
    return np.asarray(1 - np.tanh(W @ x + b) ** 2)


TANH_LAYER = Exercise(
    name="tanh-layer-jacobian",
    task="The Jacobian of tanh(Wx + b) with respect to x.",
    truth=lambda W, b, x: _complex(lambda v: np.tanh(W @ v + b), x),
    inputs=_LAYERS,
    derivative=True,
    hints=(
        "Write out h_0 = tanh(W_00 x_0 + W_01 x_1 + b_0) and differentiate it with respect to x_0. What is left?",
        "Row i of the Jacobian is row i of W times one number, 1 - h_i².",
        "Multiply the rows: (1 - h**2)[:, np.newaxis] * W.",
    ),
    mistakes={
        "You scaled the columns of W. The slope 1 - h_i² belongs to output i, so it scales row i.": lambda W, b, x: (
            W * _slopes(W, b, x)
        ),
        "This is W, the Jacobian of Wx + b. The tanh has a slope too.": lambda W, b, x: W,
        "This is the Jacobian with respect to Wx + b. One factor is missing on the way to x: W.": lambda W, b, x: (
            np.diag(_slopes(W, b, x))
        ),
        "The slope of tanh is 1 - tanh²; you wrote 1 - tanh, without the square.": lambda W, b, x: (
            (1 - np.tanh(W @ x + b))[:, np.newaxis] * W
        ),
        "The square in 1 - h² is taken of z = Wx + b, before the tanh; it must be taken of h = tanh(z).": lambda W, b, x: (
            (1 - (W @ x + b) ** 2)[:, np.newaxis] * W
        ),
        "The slope of tanh is taken at x; it must be taken at Wx + b.": lambda W, b, x: (
            (1 - np.tanh(x) ** 2)[:, np.newaxis] * W
        ),
        "The bias b is missing inside the tanh. It does not change what Wx + b gives when differentiated, but it moves "
        "the point at which the tanh is differentiated.": lambda W, b, x: _slopes(W, 0 * b, x)[:, np.newaxis] * W,
        "This is diag(1 - h²) times the transpose of W: W[i, j] belongs in row i and column j.": lambda W, b, x: (
            (W * _slopes(W, b, x)).T
        ),
        "Each column j has a factor x_j too many: x is differentiated away. It would be left over from a derivative "
        "with respect to W.": lambda W, b, x: _slopes(W, b, x)[:, np.newaxis] * W * x,
        "These are the derivatives with respect to W: ∂h_i/∂W_ij = (1 - h_i²) x_j. With respect to x_j the factor W_ij "
        "is left over.": lambda W, b, x: np.outer(_slopes(W, b, x), x),
    },
)


# -- the entry that does not broadcast -------------------------------------------------------------------------------


def _example(v: Array) -> Array:
    return np.array([v[0] ** 2 * v[1], 5 * v[0] + np.sin(v[1])])


def _at_points(x: Any, y: Any) -> Array:
    """Shape (2, 2) + the broadcast shape of x and y: one complex-step Jacobian after another."""
    xs, ys = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    result = np.empty((2, 2, *xs.shape))
    for place in np.ndindex(xs.shape):
        result[(slice(None), slice(None), *place)] = _complex(_example, np.array([xs[place], ys[place]]))
    return result


def _points_first(x: Any, y: Any) -> Array:
    return np.moveaxis(_at_points(x, y), (0, 1), (-2, -1))


def _with_entry(value: float) -> Callable[[Any, Any], Array]:
    def jacobians(x: Any, y: Any) -> Array:
        result = _at_points(x, y)
        result[1, 0] = value
        return result

    return jacobians


CONSTANT_ENTRY = Exercise(
    name="constant-entry",
    task="The Jacobian of (x²y, 5x + sin y) at many points at once, shape (2, 2) + the shape of the points.",
    truth=_at_points,
    inputs=(
        (np.array([1.0, 2.0, -0.5]), np.array([0.3, 1.0, 2.0])),
        (1.5, 0.7),
        (np.array([[1.0], [2.0], [3.0]]), np.array([0.5, -1.0])),
    ),
    hints=(
        "x and y may have different shapes. np.broadcast_arrays(x, y) returns both with the common one.",
        "Give the entry 5 the shape of the others: np.full(shape, 5.0), with the common shape.",
        "Write x, y = np.broadcast_arrays(x, y). Three entries then have x.shape; the fourth is np.full(x.shape, 5.0).",
    ),
    mistakes={
        "The points come first and the matrix last. The matrix must be first: shape (2, 2) + the shape of the points.": _points_first,
        "The entry in row 1, column 0 is zero; it was created and not filled with 5.": _with_entry(0.0),
        "The entry in row 1, column 0 is 1 where it should be 5.": _with_entry(1.0),
        "Each matrix is transposed: rows belong to outputs, so 5 stands in row 1, column 0.": lambda x, y: np.swapaxes(
            _at_points(x, y), 0, 1
        ),
    },
)


# -- the wrong entry -------------------------------------------------------------------------------------------------

WRONG_ENTRY = Exercise(
    name="find-the-wrong-entry",
    task="Row and column, counted from 0, of the one wrong entry of a Jacobian written by hand.",
    truth=np.array([3, 1]),
    hints=(
        "Let md.symbolic.jacobian find the right matrix and subtract. Not all that looks different is different.",
        "sp.simplify of the difference, entry by entry: all but one become 0.",
        "The survivor belongs to x**y. Differentiate it with respect to y, holding x still.",
    ),
    mistakes={
        "You counted from 1; count from 0, as Python does.": np.array([4, 2]),
        "Row first, then column.": np.array([1, 3]),
        "Entry (0, 0) is right, only written in another way: sin(2x) = 2 sin(x) cos(x).": np.array([0, 0]),
        "Entry (0, 1) is right, only written in another way: sin²(x) = (1 - cos(2x)) / 2.": np.array([0, 1]),
        "Entry (2, 1) is right, only written in another way: multiply numerator and denominator by exp(2y).": np.array(
            [2, 1]
        ),
        "Entry (1, 0) is right: sqrt(s) has the slope 1 / (2 sqrt(s)), and s = x² + y² the slope 2x.": np.array([1, 0]),
        "Entry (1, 1) is right: sqrt(s) has the slope 1 / (2 sqrt(s)), and s = x² + y² the slope 2y.": np.array([1, 1]),
        "Entry (2, 0) is right: 1 / (1 + exp(-y)) does not contain x, so it is a constant factor.": np.array([2, 0]),
        "The column is counted from 0; count the row from 0 as well.": np.array([4, 1]),
        "The row is counted from 0; count the column from 0 as well.": np.array([3, 2]),
        "The other entry of that row is wrong: y x**(y-1) is the derivative of x**y with respect to x.": np.array(
            [3, 0]
        ),
    },
)


# -- the gradient of a product ---------------------------------------------------------------------------------------

PRODUCT = Exercise(
    name="gradient-of-a-product",
    task="Multiplications in the gradient of a product of ten numbers: written out, and with named intermediates.",
    truth=np.array([80, 24]),
    hints=(
        "One entry of the gradient is a product of nine numbers. How many multiplication signs does it have?",
        "From the left: x0 x1, x0 x1 x2, ..., up to nine factors: 8 multiplications. From the right as many.",
        "The end entries are the longest products, there already. The others are one from each side, multiplied.",
    ),
    mistakes={
        "Each entry has nine factors, and nine factors need eight multiplication signs.": np.array([90, 24]),
        "Both numbers are too high: nine factors need eight multiplications, and the two end entries are free.": np.array(
            [90, 28]
        ),
        "Written out is right. With names, the first and the last entry cost nothing more: they are the longest "
        "products from the right and from the left.": np.array([80, 26]),
        "Written out is right. With names, you built the products from both sides and did not yet put left and right "
        "together.": np.array([80, 16]),
        "Written out is right. With names, the full product of ten is not needed, from neither side, nor are the end "
        "entries multiplied again.": np.array([80, 28]),
        "Written out is right. 45 is what sp.cse finds; the products from the left and from the right need fewer.": np.array(
            [80, 45]
        ),
        "You counted one entry. The gradient has ten.": np.array([8, 24]),
        "That is the number of signs in the product itself, not in its gradient.": np.array([9, 24]),
    },
)


# -- log-sum-exp -----------------------------------------------------------------------------------------------------


def _logsumexp(z: Array, top: float) -> Any:
    return top + np.log(np.sum(np.exp(z - top)))  # any top gives the same value; near max z nothing overflows


def _lse_gradient(z: Array) -> Array:
    top = float(np.max(z))
    return _complex(lambda v: _logsumexp(v, top), z)


LOGSUMEXP = Exercise(
    name="logsumexp-gradient",
    task="The gradient of log(exp(z_0) + ... + exp(z_{k-1})), for logits of any size.",
    truth=_lse_gradient,
    inputs=(
        (np.array([0.5, -1.0, 1.7]),),
        (np.array([1.0, 1.0, 0.0, -2.0, 3.0]),),
        (np.array([1000.0, 999.0, 998.0]),),
        (np.array([-1000.0, -1001.0, -1003.0]),),
        (np.array([1000.0, -1000.0, -999.0]),),  # a shift by the mean or the least is not enough
    ),
    derivative=True,
    hints=(
        "The derivative of log(s) is s'/s, and of the sum s only one term contains z_i. You know the result by name.",
        "It is softmax. If the entries are not finite, exp has overflowed (or all of them underflowed to 0/0).",
        "Softmax does not change when the same number is subtracted from all logits: subtract the largest.",
    ),
    mistakes={
        "You have exp(z - max z), but the entries must sum to 1: divide by their sum.": lambda z: np.exp(z - np.max(z)),
        "This is softmax of -z: the exponents have the wrong sign.": lambda z: _lse_gradient(-z),
        "This is 1 for the largest logit and 0 for the others: the gradient of max z. Log-sum-exp is its smooth "
        "relative and leaves the others a share.": lambda z: np.where(z == np.max(z), 1.0, 0.0),
        "Clipped logits are no longer different: 1000, 999 and 998 must not become the same number. Subtract the "
        "largest of them instead.": lambda z: _lse_gradient(np.clip(z, -500.0, 500.0)),
        "This is log softmax, z - log-sum-exp: the logarithm of the gradient.": lambda z: z - _logsumexp(z, np.max(z)),
        "This is p(1 - p), the diagonal of softmax's own Jacobian: one derivative too many.": lambda z: (
            _lse_gradient(z) * (1 - _lse_gradient(z))
        ),
        "This is the Jacobian of softmax, one derivative too many: the gradient of a number has the shape of z.": lambda z: (
            np.diag(_lse_gradient(z)) - np.outer(_lse_gradient(z), _lse_gradient(z))
        ),
        "This is a one-row matrix. The gradient of a number has the shape of its input, (k,).": lambda z: _lse_gradient(
            z
        )[np.newaxis],
        "This is the value, not its gradient.": lambda z: np.full_like(z, _logsumexp(z, np.max(z))),
    },
)


# -- a stable rewriting ----------------------------------------------------------------------------------------------


def _versine_series(x: Array) -> Array:
    """(1 - cos x)/x² from its power series, the sum of (-x²)^k / (2k + 2)!, without subtracting cos x from 1."""
    return np.asarray(sum((-(x**2)) ** k / math.factorial(2 * k + 2) for k in range(20)))


VERSINE = Exercise(
    name="stable-one-minus-cosine",
    task="(1 - cos x)/x² for x other than 0, right for tiny x and for ordinary x.",
    truth=_versine_series,
    inputs=(
        (np.array([1e-9, 1e-8, -1e-7, 1e-6]),),
        (np.array([1e-4, 0.01, 0.5, -1.0, 2.0, 3.0]),),
    ),
    hints=(
        "The trouble is the subtraction 1 - cos x. Is there a formula for it without a subtraction?",
        "1 - cos x = 2 sin²(x/2).",
        "2 * (np.sin(x / 2) / x)**2: no numbers that nearly agree are subtracted any more.",
    ),
    mistakes={
        "This is the formula as it stood: for tiny x the cosine rounds to 1, and nothing is left of the difference.": lambda x: (
            (1 - np.cos(x)) / x**2
        ),
        "That is the limit, right for tiny x only.": lambda x: np.full_like(x, 0.5),
        "A few terms of the series are right near 0 only; at x = 2 or 3 they are not.": lambda x: 0.5 - x**2 / 24,
        "A few terms of the series are right near 0 only; at x = 2 or 3 they are still not.": lambda x: (
            0.5 - x**2 / 24 + x**4 / 720
        ),
        "A factor 2 is lost: 1 - cos x is 2 sin²(x/2).": lambda x: (np.sin(x / 2) / x) ** 2,
        "The angle must be halved: 1 - cos x = 2 sin²(x/2), and you have sin²(x).": lambda x: 2 * (np.sin(x) / x) ** 2,
        "The square is missing: 1 - cos x is 2 sin²(x/2).": lambda x: 2 * np.sin(x / 2) / x**2,
        "This is 1 - cos x, and accurate; it is still to be divided by x².": lambda x: 2 * np.sin(x / 2) ** 2,
        "With sin(x/2) / (x/2) the factor in front is 1/2: the square of x/2 brings a 4 into the denominator.": lambda x: (
            2 * (np.sin(x / 2) / (x / 2)) ** 2
        ),
        "L'Hôpital's rule gives the limit at 0. The quotient of the derivatives is another function, wrong at x = 2.": lambda x: (
            np.sin(x) / (2 * x)
        ),
        "L'Hôpital's rule, used twice, gives the limit at 0. Cos x / 2 is another function, wrong at x = 2.": lambda x: (
            np.cos(x) / 2
        ),
        "np.sinc(t) is sin(πt)/(πt): the π is in there already, so you need np.sinc(x / (2π)).": lambda x: (
            0.5 * np.sinc(x / 2) ** 2
        ),
        "np.sinc(x / π) is sin(x)/x, and the angle must be halved: you need np.sinc(x / (2π)).": lambda x: (
            0.5 * np.sinc(x / np.pi) ** 2
        ),
        "1 - cos²x is sin²x, and (1 - cos x)(1 + cos x) equals it: you still have to divide by 1 + cos x.": lambda x: (
            np.sin(x) ** 2 / x**2
        ),
    },
)

EXERCISES: tuple[Exercise, ...] = (SPHERICAL, TANH_LAYER, CONSTANT_ENTRY, WRONG_ENTRY, PRODUCT, LOGSUMEXP, VERSINE)
