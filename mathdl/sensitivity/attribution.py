"""Which entries of the input an output listens to, at one input: gradients, and averages of gradients.

Explained in the chapter *Sensitivity*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import as_output, as_point, describe, is_integer, want_integer, want_number
from mathdl.autodiff import grad
from mathdl.errors import InvalidInput, NotDifferentiable

__all__ = ["Attribution", "input_times_gradient", "integrated_gradients", "saliency", "smooth_grad"]

Function = Callable[[Any], Any]


def output(f: Function, x: Any) -> Any:
    """f(x) as an array of finite numbers, or an error: what gives integers or truth values changes by jumps alone."""
    y = f(x)
    array = as_output(y)
    if np.asarray(y).dtype.kind in "iub":
        raise NotDifferentiable("f", f"it gives {describe(y)}, which jumps", "the number that this is decided by")
    return array


def finite(derivative: Function) -> Function:
    """The same derivative; an error where it is infinite or NaN."""

    def checked(x: Any) -> Any:
        g = derivative(x)
        if not np.all(np.isfinite(g)):
            raise NotDifferentiable("f", "its derivative is not finite at one of the points", "points where it is")
        return g

    return checked


def chosen(f: Function, x: Any, target: int | tuple[int, ...] | None) -> Function:
    """The one output of f that is asked about, as a function of a single number."""
    shape = output(f, x).shape
    if target is None:
        if shape != ():
            raise InvalidInput("target", "None", f"the index of one output, since f gives shape {shape}")
        return f
    place = target if isinstance(target, tuple) else (target,)
    fits = [is_integer(k, -n, n - 1) for k, n in zip(place, shape, strict=False)]
    if len(place) != len(shape) or not all(fits):
        raise InvalidInput("target", repr(target), f"the index of one entry of an output of shape {shape}")
    return lambda x: f(x)[place]


def saliency(f: Function, x: Any, target: int | tuple[int, ...] | None = None) -> Any:
    """The gradient of one output: a row of the Jacobian, in the shape of x.

    It says how the output answers to small changes of each entry, here and now. An entry that matters may have a
    gradient of zero, where the output is saturated.

    Parameters
    ----------
    f : callable
        A differentiable NumPy function; ``lambda x: network(params, x[np.newaxis])[0]`` for a network and one input.
    x : ndarray
    target : int or tuple of int, optional
        Which output; not needed where there is a single one.

    Returns
    -------
    ndarray, the shape of x
        In units of the output by units of the input.

    Raises
    ------
    InvalidInput
        If ``target`` is no index of an output.
    NotDifferentiable
        If f is not a differentiable NumPy function, gives integers, or has a derivative that is not finite.

    References
    ----------
    Chapter *Sensitivity*. K. Simonyan, A. Vedaldi and A. Zisserman, ICLR workshop (2014), arXiv:1312.6034.

    Examples
    --------
    >>> saliency(lambda x: np.array([x[0] * x[1], x[1] ** 2]), np.array([3.0, 2.0]), target=1)
    array([0., 4.])
    """
    x = as_point(x)
    return finite(grad(chosen(f, x, target)))(x)


def input_times_gradient(f: Function, x: Any, target: int | tuple[int, ...] | None = None) -> Any:
    """x times the gradient, entry by entry: what each would add if f were linear, and passed through zero.

    For functions with f(t x) = t f(x) for t > 0, such as ReLU networks without biases, the entries add up to f(x).

    Parameters
    ----------
    f, x, target
        As in `saliency`.

    Returns
    -------
    ndarray, the shape of x
        In units of the output.

    References
    ----------
    Chapter *Sensitivity*. A. Shrikumar et al., arXiv:1605.01713 (2016).

    Examples
    --------
    >>> input_times_gradient(lambda x: 3 * x[0] - x[1], np.array([2.0, 5.0]))
    array([ 6., -5.])
    """
    return as_point(x) * saliency(f, x, target)


class Attribution(NamedTuple):
    """What integrated gradients give.

    Attributes
    ----------
    values : ndarray, the shape of x
        The share of each entry in f(x) - f(baseline), in units of the output.
    residual : float
        f(x) - f(baseline) less the sum of the values: zero but for the error of the quadrature.
    bound : float
        What that error is at most, if the slope along the line rises or falls, but not both, from one node to the next.
    """

    values: Any
    residual: float
    bound: float


def integrated_gradients(
    f: Function, x: Any, baseline: Any = None, target: int | tuple[int, ...] | None = None, steps: int = 64
) -> Attribution:
    """The change of an output from a baseline to x, divided among the entries of x.

    The gradient is integrated along the straight line from b to x, and multiplied by x - b:

        a_i = (x_i - b_i) ∫₀¹ ∂f/∂x_i (b + t (x - b)) dt,   with   Σ a_i = f(x) - f(b),

    the fundamental theorem of calculus along that line (**completeness**). The integral is a Gauss–Legendre sum, exact
    to rounding for smooth f and enough steps; where f has kinks its error falls like 1 / steps. The sum is a Riemann
    sum too: node k lies in a cell as wide as its weight, and the cells tile the line. So the slope varies in a cell no
    more than between the neighbours of its node, which gives ``bound``. Completeness is asserted: a residual larger
    than that is an error.

    Parameters
    ----------
    f, x, target
        As in `saliency`.
    baseline : ndarray, the shape of x, optional
        An input that says nothing, such as a blank image; zeros by default.
    steps : int
        How many gradients.

    Returns
    -------
    Attribution

    Raises
    ------
    InvalidInput
        If the baseline has another shape, or ``steps`` is no positive integer.
    NotDifferentiable
        If the values do not add up: f jumps between baseline and x, or bends more often than the steps see.

    References
    ----------
    Chapter *Sensitivity*. M. Sundararajan, A. Taly and Q. Yan, Proc. 34th ICML (2017) 3319; the cells: G. Szegő,
    Orthogonal Polynomials (1939), theorem 3.41.1.

    Examples
    --------
    >>> a = integrated_gradients(lambda x: x[0] * x[1], np.array([2.0, 3.0]))
    >>> a.values.round(12), abs(a.residual) < 1e-12
    (array([3., 3.]), True)
    """
    x = as_point(x)
    b = np.zeros_like(x) if baseline is None else as_point(baseline, "baseline")
    if b.shape != x.shape:
        raise InvalidInput("baseline", f"shape {b.shape}", f"shape {x.shape}, that of x")
    want_integer(steps, "steps", 1)
    one = chosen(f, x, target)
    slope = finite(grad(one))
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    places, weights = np.concatenate([[0.0], (1 + nodes) / 2, [1.0]]), weights / 2
    gradients = np.stack([slope(b + t * (x - b)) for t in places])
    values = (x - b) * np.tensordot(weights, gradients[1:-1], 1)

    along = np.abs(np.diff(gradients.reshape(len(places), -1) @ np.ravel(x - b)))
    bound = float(weights @ np.maximum(along[:-1], along[1:]))
    end, start, total = float(one(x)), float(one(b)), float(np.sum(values))
    residual = end - start - total
    rounding = 1e-6 * (abs(end) + abs(start) + float(np.sum(np.abs(values))))
    if not abs(residual) <= bound + rounding:
        raise NotDifferentiable(
            "f",
            f"it changes by {end - start:g} from the baseline to x, and its gradients along the line add up to "
            f"{total:g} with an error of at most {bound:g}: it jumps, or bends more often than {steps} gradients see",
            "take more steps, or a function without jumps",
        )
    return Attribution(values, residual, bound)


def smooth_grad(
    f: Function,
    x: Any,
    spread: float,
    target: int | tuple[int, ...] | None = None,
    samples: int = 50,
    seed: int = 0,
) -> Any:
    """The mean gradient over normal noise around x: it is the gradient of f smoothed by that noise.

    Parameters
    ----------
    f, x, target
        As in `saliency`.
    spread : float
        The standard deviation of the noise, in units of x.
    samples : int
        How many gradients; the mean's own error falls like 1 / √samples.
    seed : int

    Returns
    -------
    ndarray, the shape of x

    Raises
    ------
    InvalidInput
        If ``spread`` is negative, or ``samples`` no positive integer.

    References
    ----------
    Chapter *Sensitivity*. D. Smilkov et al., arXiv:1706.03825 (2017).

    Examples
    --------
    >>> smooth_grad(lambda x: np.sum(np.maximum(x, 0)), np.zeros(1), spread=1.0, samples=2000).round(1)
    array([0.5])
    """
    x = as_point(x)
    spread = want_number(spread, "spread", "a number, not negative", least=0.0)
    want_integer(samples, "samples", 1)
    slope, rng = finite(grad(chosen(f, x, target))), np.random.default_rng(want_integer(seed, "seed", 0))
    return sum(slope(x + spread * rng.normal(size=x.shape)) for _ in range(samples)) / samples
