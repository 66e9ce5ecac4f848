"""How errors of the input show in the output, in relative terms and as covariances; and which features count most.

Explained in the chapter *Sensitivity*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import as_point
from mathdl.autodiff import jacobian
from mathdl.errors import InvalidInput
from mathdl.sensitivity.attribution import finite, output

__all__ = ["Ranking", "elasticities", "propagate", "rank_features"]

Function = Callable[[Any], Any]


def elasticities(f: Function, x: Any) -> Any:
    """By how many per cent each output changes when an input changes by one: E_ij = ∂f_i/∂x_j · x_j / f_i.

    It has no units, so that a price and a length can be compared. The elasticity of a product of powers of x is their
    exponents.

    Parameters
    ----------
    f : callable
        A differentiable NumPy function.
    x : ndarray

    Returns
    -------
    ndarray, shape f(x).shape + x.shape

    Raises
    ------
    InvalidInput
        If an output is zero: no change of it can be told in per cent.
    NotDifferentiable
        If f is not a differentiable NumPy function.

    References
    ----------
    Chapter *Sensitivity*.

    Examples
    --------
    >>> elasticities(lambda x: x[0] ** 3 / x[1], np.array([2.0, 5.0]))
    array([ 3., -1.])
    """
    x = as_point(x)
    y = output(f, x)
    zero = np.argwhere(y == 0)
    if len(zero):
        place = f" at index {tuple(map(int, zero[0]))}" if y.ndim else ""
        raise InvalidInput("f", f"the value 0{place}", "outputs that are not zero: elasticities divide by them")
    return finite(jacobian(f))(x) * x / y.reshape(y.shape + (1,) * x.ndim)


def propagate(f: Function, x: Any, covariance: Any) -> Any:
    """The covariance of f(x) when x has errors: J Σ Jᵀ, to first order.

    Exact for linear f. For others it is right as far as the errors are so small that f is nearly linear among them.

    Parameters
    ----------
    f : callable
        A differentiable NumPy function from a vector to a number or a vector.
    x : ndarray, shape (n,)
        The mean of the input.
    covariance : ndarray, shape (n, n) or (n,)
        Of the input; a vector holds variances of errors that are not correlated.

    Returns
    -------
    ndarray, shape f(x).shape * 2
        A single variance where f gives a single number.

    Raises
    ------
    InvalidInput
        If x is no vector, the covariance does not fit it, is not symmetric or has a negative eigenvalue.

    References
    ----------
    Chapter *Sensitivity*. Joint Committee for Guides in Metrology, JCGM 100:2008, section 5.

    Examples
    --------
    >>> propagate(lambda x: x[0] * x[1], np.array([2.0, 3.0]), np.array([0.01, 0.04]))
    np.float64(0.25)
    """
    x = as_point(x)
    if x.ndim != 1:
        raise InvalidInput("x", f"shape {x.shape}", "a vector")
    S = as_point(covariance, "covariance")
    if S.shape == x.shape:
        S = np.diag(S)
    if S.shape != x.shape * 2:
        raise InvalidInput("covariance", f"shape {S.shape}", f"shape {x.shape * 2}, or {x.shape} for variances")
    least = np.linalg.eigvalsh(S)[0]
    rounding = 1e-10 * np.max(np.abs(S))
    if np.max(np.abs(S - S.T)) > rounding or least < -rounding:
        raise InvalidInput("covariance", "no covariance", "a symmetric matrix without negative eigenvalues")
    shape = output(f, x).shape
    if len(shape) > 1:
        raise InvalidInput("f", f"an output of shape {shape}", "a number or a vector")
    J = finite(jacobian(f))(x)
    return (J @ S @ J.T)[()]


class Ranking(NamedTuple):
    """Features by how much the output listens to them.

    Attributes
    ----------
    order : ndarray of int, shape (n,)
        The features, the one that counts most first.
    scores : ndarray, shape (n,)
        Of each feature, in the order of the columns of X: in units of the output.
    """

    order: Any
    scores: Any


def rank_features(f: Function, X: Any, scale: Any = None) -> Ranking:
    """Rank the columns of X by how far the output moves when they move by what is usual for them.

    The score of column j is the root mean square of ∂f_i/∂x_j over all rows and outputs, times the column's standard
    deviation. It is *local*: it says what small changes do around the data, and not what the feature explains.

    Parameters
    ----------
    f : callable
        A differentiable NumPy function of one row: to a number or a vector.
    X : ndarray, shape (N, n)
    scale : ndarray, shape (n,), optional
        In place of the standard deviations.

    Returns
    -------
    Ranking

    Raises
    ------
    InvalidInput
        If X is no matrix with two rows or more, or the scale does not fit it or is negative.

    References
    ----------
    Chapter *Sensitivity*.

    Examples
    --------
    >>> X = np.array([[0.0, 0.0], [1.0, 10.0]])
    >>> rank_features(lambda x: 3 * x[0] + x[1], X).order
    array([1, 0])
    """
    X = as_point(X, "X")
    if X.ndim != 2 or (len(X) < 2 and scale is None):
        raise InvalidInput("X", f"shape {X.shape}", "a matrix with a row for each example, at least two")
    scale = np.std(X, axis=0) if scale is None else as_point(scale, "scale")
    if scale.shape != X.shape[1:]:
        raise InvalidInput("scale", f"shape {scale.shape}", f"shape {X.shape[1:]}, one for each column of X")
    if np.any(scale < 0):
        raise InvalidInput("scale", f"{np.min(scale):g} for column {np.argmin(scale)}", "numbers that are not negative")
    slope = finite(jacobian(f))
    output(f, X[0])
    squares = [np.mean(slope(row).reshape(-1, X.shape[1]) ** 2, axis=0) for row in X]
    scores = np.sqrt(np.mean(squares, axis=0)) * scale
    return Ranking(np.argsort(-scores, kind="stable"), scores)
