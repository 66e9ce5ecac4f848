"""How little fools a function, and what keeps it from being fooled: adversarial steps, Lipschitz bounds, penalties.

Explained in the chapter *Sensitivity*.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import as_point, is_number, want_integer, want_number
from mathdl.autodiff import grad, jacobian, jvp, value_and_grad
from mathdl.errors import InvalidInput
from mathdl.sensitivity.attribution import finite, output

__all__ = ["Bounds", "adversarial", "jacobian_penalty", "lipschitz_bounds"]

Function = Callable[[Any], Any]
_NORMS = ("l2", "linf")


def adversarial(
    loss: Function, x: Any, radius: float, norm: str = "linf", steps: int = 1, bounds: tuple[float, float] | None = None
) -> Any:
    """An input near x at which the loss is as large as a few steps can make it.

    One step in the norm "linf" is x + radius · sign(gradient), the fast gradient sign method; in "l2" it is along the
    gradient itself. Several steps are each 2.5 / steps of the radius, with the way back to the ball of that radius.

    Parameters
    ----------
    loss : callable
        A differentiable NumPy function from x to a number, such as the cross-entropy of the true label.
    x : ndarray
    radius : float
        How far from x, in that norm, not negative.
    norm : {"linf", "l2"}
        The largest entry of the change, or its Euclidean length.
    steps : int
    bounds : tuple (least, largest), optional
        Of the entries, such as (0, 1) for pixels; x must be within.

    Returns
    -------
    ndarray, the shape of x

    Raises
    ------
    InvalidInput
        If a number is out of range, the norm unknown, or x outside the bounds.

    References
    ----------
    Chapter *Sensitivity*. I. J. Goodfellow, J. Shlens and C. Szegedy, ICLR (2015), arXiv:1412.6572; A. Madry et al.,
    ICLR (2018), arXiv:1706.06083.

    Examples
    --------
    >>> adversarial(lambda x: x[0] - 2 * x[1], np.zeros(2), radius=0.1)
    array([ 0.1, -0.1])
    """
    x = as_point(x)
    radius = want_number(radius, "radius", "a number, not negative", least=0.0)
    if norm not in _NORMS:
        raise InvalidInput("norm", repr(norm), f"one of {', '.join(map(repr, _NORMS))}")
    want_integer(steps, "steps", 1)
    least, largest = _range(bounds)
    if not np.all((least <= x) & (x <= largest)):
        raise InvalidInput("x", f"entries from {np.min(x):g} to {np.max(x):g}", f"entries within the bounds {bounds}")
    output(loss, x)
    slope, near = finite(grad(loss)), x
    length = radius if steps == 1 else 2.5 * radius / steps
    for _ in range(steps):
        near = x + _within(near + length * _direction(slope(near), norm) - x, radius, norm)
        near = np.clip(near, least, largest)
    return near


def _range(bounds: Any) -> tuple[float, float]:
    if bounds is None:
        return -math.inf, math.inf
    pair = isinstance(bounds, (tuple, list)) and len(bounds) == 2 and all(map(is_number, bounds))
    if not pair or not bounds[0] <= bounds[1]:
        raise InvalidInput("bounds", repr(bounds), "two numbers, the least and the largest, such as (0.0, 1.0)")
    return bounds[0], bounds[1]


def _direction(g: Any, norm: str) -> Any:
    """The unit step, in this norm, that a linear loss gains most from; zero where the gradient is."""
    if norm == "linf":
        return np.sign(g)
    largest = np.max(np.abs(g))
    if largest == 0:
        return np.zeros_like(g)
    g = g / largest  # squares of small numbers would be zero
    return g / np.linalg.norm(g)


def _within(step: Any, radius: float, norm: str) -> Any:
    if norm == "linf":
        return np.clip(step, -radius, radius)
    size = np.linalg.norm(step)
    return step * (radius / size) if size > radius else step


def jacobian_penalty(
    f: Callable[[Any, Any], Any],
    params: Any,
    X: Any,
    norm: str = "frobenius",
    projections: int | None = None,
    seed: int = 0,
) -> tuple[float, Any]:
    """The mean of ‖J‖² over a batch, J the Jacobian of an output row by its input, and its gradient by the parameters.

    Added to a loss it makes a function that small changes of the input move little. Its gradient is a second one: what
    was pulled back to the inputs is differentiated once more, by the parameters.

    Parameters
    ----------
    f : callable (params, X) -> ndarray, shape (N, ...)
        A differentiable NumPy function of parameters and a batch, such as a network; no row looks at another one.
    params : tree of ndarray
    X : ndarray, shape (N, ...)
        The inputs, one a row.
    norm : {"frobenius", "spectral"}
        The sum of squares of all entries, or the square of the largest singular value. For the latter the singular
        vectors u, v are held constant and the derivative of (uᵀ J v)² is taken, which is that of σ² where σ is single.
    projections : int, optional
        For the sum of squares of m outputs m pulls are needed. So many are taken in its place, of random directions:
        since E ‖Jᵀ v‖² is ‖J‖² for normal v, the estimate and its gradient are right on average.
    seed : int
        Of these directions: another one for each step of a training.

    Returns
    -------
    value : float
    gradient : tree like ``params``

    Raises
    ------
    InvalidInput
        If there are no inputs, f does not give a row for each or its rows depend on each other, or the norm is unknown.

    References
    ----------
    Chapter *Sensitivity*. H. Drucker and Y. Le Cun, IEEE Trans. Neural Networks 3 (1992) 991; J. Sokolić, R. Giryes,
    G. Sapiro and M. Rodrigues, IEEE Trans. Signal Process. 65 (2017) 4265; projections: J. Hoffman, D. A. Roberts and
    S. Yaida, arXiv:1908.02729.

    Examples
    --------
    >>> jacobian_penalty(lambda W, X: X @ W.T, np.array([[1.0, 2.0]]), np.ones((3, 2)))
    (5.0, array([[2., 4.]]))
    """
    X = as_point(X, "X")
    if X.ndim == 0:
        raise InvalidInput("X", "a single number", "inputs, one a row")
    if norm not in ("frobenius", "spectral"):
        raise InvalidInput("norm", repr(norm), "'frobenius' or 'spectral'")
    if projections is not None:
        want_integer(projections, "projections", 1)
        if norm == "spectral":
            raise InvalidInput("projections", repr(projections), "None for the spectral norm")
    shape = _rows(f, params, X)

    def pulled(params: Any, V: Any) -> Any:
        """Each row of V times the Jacobian of its row, and all of them in one pull: rows do not mix."""
        return grad(lambda X: np.sum(V * f(params, X)))(X)

    def frobenius(params: Any) -> Any:
        return sum(np.sum(pulled(params, V) ** 2) for V in directions) * share

    def spectral(params: Any) -> Any:
        pushed = jvp(lambda X: f(params, X), (X,), (right,))[1]
        return np.sum(np.sum((left * pushed).reshape(len(X), -1), axis=1) ** 2) / len(X)

    if norm == "spectral":
        left, right = _top(np.stack([finite(lambda V: pulled(params, V))(V) for V in _units(shape)], axis=1), shape)
        value, gradient = value_and_grad(spectral)(params)
    else:
        rng = np.random.default_rng(want_integer(seed, "seed", 0))
        directions = _units(shape) if projections is None else rng.normal(size=(projections, *shape))
        share = 1 / len(X) / (projections or 1)
        value, gradient = value_and_grad(frobenius)(params)
    finite(lambda _: value)(X)
    return float(value), gradient


def _rows(f: Callable[[Any, Any], Any], params: Any, X: Any) -> tuple[int, ...]:
    """The shape of f(params, X), which must have a row for each input that depends on this input alone."""
    Y = np.asarray(f(params, X))
    if Y.shape[:1] != X.shape[:1]:
        raise InvalidInput("f", f"an output of shape {Y.shape}", f"one of shape ({len(X)}, ...): a row for each input")
    close = 1e4 * np.finfo(np.result_type(Y.dtype, np.float32)).eps
    for rows in (slice(0, None, 2), slice(1, None, 2)) if len(X) > 1 else ():
        alone, together = np.asarray(f(params, X[rows])), Y[rows]
        if alone.shape != together.shape or not np.allclose(alone, together, close, close * np.max(np.abs(Y))):
            came = "rows that come out differently without the others, or each time"
            raise InvalidInput("f", came, "rows that depend on their own input alone: a network for evaluation")
    return Y.shape


def _units(shape: tuple[int, ...]) -> Any:
    """For each of the m outputs an array of this shape: 1 for that output in every row."""
    m = math.prod(shape[1:])
    return np.broadcast_to(np.eye(m)[:, None], (m, shape[0], m)).reshape(m, *shape)


def _top(J: Any, shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The singular vectors of the largest singular value of each of N Jacobians (N, m, ...)."""
    U, _, V = np.linalg.svd(J.reshape(*J.shape[:2], -1), full_matrices=False)
    return U[:, :, 0].reshape(shape), V[:, 0].reshape(J.shape[0], *J.shape[2:])


class Bounds(NamedTuple):
    """How fast a function can change.

    Attributes
    ----------
    lower : float
        The largest ‖J‖ found at some points: the function does change as fast as this.
    upper : float
        A bound for every point; infinity where none is known.
    """

    lower: float
    upper: float


def lipschitz_bounds(
    f: Function, x: Any, radius: float, samples: int = 100, seed: int = 0, upper: float = math.inf
) -> Bounds:
    """How fast f can change near x: the largest ‖J‖₂ among random points of the ball of that radius, from below.

    Parameters
    ----------
    f : callable
        A differentiable NumPy function.
    x : ndarray
    radius : float
        Of the ball, in Euclidean length.
    samples : int
        How many points; x is the first of them.
    seed : int
    upper : float
        A bound from above, if there is one: for a chain of layers the product of their norms
        ``np.linalg.norm(W, 2)``, times the largest slope of each activation.

    Returns
    -------
    Bounds

    Raises
    ------
    InvalidInput
        If a number is out of range, or what was found contradicts the bound from above.

    References
    ----------
    Chapter *Sensitivity*. C. Szegedy et al., ICLR (2014), arXiv:1312.6199, section 4.3.

    Examples
    --------
    >>> lipschitz_bounds(lambda x: np.tanh(3 * x), np.zeros(2), radius=1.0, upper=3.0)
    Bounds(lower=3.0, upper=3.0)
    """
    x = as_point(x)
    radius = want_number(radius, "radius", "a number, not negative", least=0.0)
    want_integer(samples, "samples", 1)
    if not is_number(upper) or not upper >= 0:
        raise InvalidInput("upper", repr(upper), "a number, not negative, or infinity")
    output(f, x)
    slope, rng, lower = finite(jacobian(f)), np.random.default_rng(want_integer(seed, "seed", 0)), 0.0
    for k in range(samples):
        v = rng.normal(size=x.shape)
        length = radius * rng.random() ** (1 / x.size)  # uniform in the ball
        point = x if k == 0 else x + length * v / np.linalg.norm(v)
        lower = max(lower, float(np.linalg.norm(np.reshape(slope(point), (-1, x.size)), 2)))
    if lower > upper * (1 + 1e-9):
        raise InvalidInput("upper", f"{upper:g}", f"at least {lower:g}, which was found near x")
    return Bounds(lower, float(upper))
