"""An optimizer at work: on a function, step after step, and as a map whose Jacobian decides how fast it converges.

Explained in the chapter *Gradient descent*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mathdl.arrays import describe, want_integer
from mathdl.autodiff import flatten, value_and_grad
from mathdl.autodiff.trees import build, leaves, mapped
from mathdl.errors import InvalidInput
from mathdl.optim.optimizer import Optimizer, check_optimizer

__all__ = ["Descent", "as_map", "minimise"]


class Descent(NamedTuple):
    """What `minimise` gives back.

    Attributes
    ----------
    params : tree
        After the last step.
    state : tree
        The optimizer's, with which it could go on.
    values : ndarray, shape (steps + 1,)
        The function before the first step and after each.
    path : list of tree
        The parameters before the first step and after each.
    """

    params: Any
    state: Any
    values: Any
    path: list[Any]


def minimise(
    function: Callable[[Any], Any],
    params: Any,
    optimizer: Optimizer,
    steps: int,
    gradient: Callable[[Any], Any] | None = None,
    state: Any = None,
) -> Descent:
    """Make steps on a function of the parameters, with its whole gradient each time.

    Parameters
    ----------
    function : callable
        From the parameters to a number, in plain NumPy.
    params : tree of ndarray
        Where to begin; not changed.
    optimizer : Optimizer
        A first-order one.
    steps : int
        How many, at least 0.
    gradient : callable, optional
        From the parameters to the gradient; the engine's, unless told otherwise.
    state : tree, optional
        Of the optimizer, to go on with.

    Returns
    -------
    Descent

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a gradient is not finite: the message names the parameter.

    References
    ----------
    Chapter *Gradient descent*.

    Examples
    --------
    >>> from mathdl.optim import GradientDescent
    >>> minimise(lambda x: np.sum(x**2), np.array([4.0]), GradientDescent(rate=0.25), steps=3).values
    array([16.  ,  4.  ,  1.  ,  0.25])
    """
    check_optimizer(optimizer, "optimizer")
    steps = want_integer(steps, "steps", 0)
    both = value_and_grad(function)
    state = optimizer.initial(params) if state is None else state
    values, path = [], [mapped(np.copy, params)]
    for _ in range(steps):
        value, g = both(path[-1]) if gradient is None else (function(path[-1]), gradient(path[-1]))
        step, state = optimizer.update(g, state, path[-1])
        values.append(as_value(value))
        path.append(mapped(np.add, path[-1], step))
    values.append(as_value(function(path[-1])))
    return Descent(path[-1], state, np.array(values), path)


def as_value(value: Any) -> float:
    """What a function gave, a number; or `InvalidInput`."""
    if np.ndim(value) or np.result_type(value).kind not in "fiu":
        raise InvalidInput("function(params)", describe(value), "a real number")
    return float(value)


def as_map(
    optimizer: Optimizer, gradient: Callable[[Any], Any], params: Any, state: Any = None
) -> tuple[Callable[[Any], Any], Any]:
    """One step as a function f of one vector: all parameters, and behind them what the state remembers.

    Near a fixed point z of a smooth f, errors shrink in the long run as powers of the spectral radius of ``f``'s
    Jacobian at z: that is the optimizer's rate of convergence. Integers in the state, such as the number of the step,
    stay as they are.

    Parameters
    ----------
    optimizer : Optimizer
        A first-order one.
    gradient : callable
        From the parameters to the gradient, such as ``md.grad(loss)``; in plain NumPy, so that it can be followed.
    params : tree of ndarray
        The form of the parameters, and the point that z says.
    state : tree, optional
        The same for the state; ``optimizer.initial(params)`` unless told otherwise.

    Returns
    -------
    f : callable
        From a vector of this form to the one after a step.
    z : ndarray, shape (n,)
        ``params`` and ``state`` as such a vector.

    Raises
    ------
    InvalidInput
        If what comes is no optimizer, or trees do not fit.

    References
    ----------
    Chapters *Gradient descent* and *Momentum*.

    Examples
    --------
    >>> import mathdl as md
    >>> from mathdl.optim import Momentum
    >>> f, z = as_map(Momentum(rate=0.5, beta=0.25), lambda x: 2.0 * x, np.zeros(1))
    >>> md.jacobian(f)(z)
    array([[ 0.  , -0.125],
           [ 2.  ,  0.25 ]])
    """
    check_optimizer(optimizer, "optimizer")
    state = optimizer.initial(params) if state is None else state
    moves = [not isinstance(leaf, (int, np.integer)) for leaf in leaves(state)]
    z, unflatten = flatten((params, [leaf for leaf, moving in zip(leaves(state), moves, strict=True) if moving]))

    def f(z: Any) -> Any:
        now, moving = unflatten(z)
        parts = iter(moving)
        both = zip(leaves(state), moves, strict=True)
        old = build(state, iter([next(parts) if move else leaf for leaf, move in both]))
        step, new = optimizer.update(gradient(now), old, now)
        kept = [leaf for leaf, move in zip(leaves(new), moves, strict=True) if move]
        after = [p + s for p, s in zip(leaves(now), leaves(step), strict=True)]
        return np.concatenate([np.ravel(part) for part in (*after, *kept)])

    return f, z
