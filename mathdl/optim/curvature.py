"""Optimizers that know the curvature: Newton, Gauss–Newton, Levenberg–Marquardt, the natural gradient, and L-BFGS.

They take the function itself in the place of its gradient, since they want more of its derivatives. Explained in the
chapter *Curvature*.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from mathdl.arrays import describe, is_integer, want_integer, want_number
from mathdl.autodiff import flatten, hessian, jacobian, value_and_grad
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trace import concrete
from mathdl.autodiff.transforms import returning_array
from mathdl.autodiff.trees import inputs, leaves, places
from mathdl.errors import InvalidInput
from mathdl.layers.classification import CrossEntropy, probabilities
from mathdl.optim.matrices import OneOf
from mathdl.optim.optimizer import NOT_NEGATIVE, POSITIVE, RATE, Range, Schedule, Settings, at_step, check_state, norm

__all__ = ["GaussNewton", "LevenbergMarquardt", "Minimum", "NaturalGradient", "Newton", "lbfgs"]

Function = Callable[[Any], Any]


class OfFunctions(Settings):
    """An optimizer that is given a function of the parameters. Its state is ``{"step": 0, ...}``."""

    ranges: ClassVar[dict[str, Any]] = {}

    def initial(self, params: Any) -> dict[str, Any]:
        inputs(params, "params")
        return {"step": 0}


@dataclass
class Newton(OfFunctions):
    """(H + damping I) s = - g; the step is rate s: to where the gradient of the quadratic model is zero.

    Where the Hessian H is not positive definite that is no minimum: the step goes to a saddle, or up to a maximum, if
    one is near. A damping larger than the size of the most negative eigenvalue makes it go down.

    ``update(function, state, params)`` takes a function from the parameters to a number.

    Parameters
    ----------
    damping : float
        Not negative.
    rate : float or schedule
        How much of the step is made: all of it, unless told otherwise.

    Raises
    ------
    InvalidInput
        If a setting is out of its range; in `update`, if the function, its gradient or its Hessian is not finite, or
        H + damping I is singular.
    NotDifferentiable
        In `update`, if the function does what has no derivative here.

    References
    ----------
    Chapter *Curvature*. J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed. (2006), chapter 3.

    Examples
    --------
    >>> newton, x = Newton(), np.array([1.0, 3.0])
    >>> step, state = newton.update(lambda x: x[0] ** 4 + 2 * x[1] ** 2, newton.initial(x), x)
    >>> x + step
    array([0.66666667, 0.        ])
    """

    damping: float = 0.0
    rate: float | Schedule = 1.0

    ranges: ClassVar = {"damping": NOT_NEGATIVE, "rate": RATE}

    def update(self, function: Function, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        x, unflatten = _vector(params, function)
        value, g = value_and_grad(lambda v: function(unflatten(v)))(x)
        _want_finite(value, "function(params)")
        _want_finite_parts(g, "gradient", params, unflatten)
        H = hessian(lambda v: function(unflatten(v)))(x)
        s = _solved(H, -g, self.damping, "the Hessian")
        made = check_state(state, ("step",), self)
        return unflatten(at_step(self.rate, made) * s), {"step": made + 1}


@dataclass
class GaussNewton(OfFunctions):
    """The step is the s that makes ‖r + J s‖ least: to the minimum of the squares of the linearised residuals.

    Where J has full rank, JᵀJ s = - Jᵀr: Newton's method without the second derivatives of the residuals. Where it has
    not, the shortest of all such s.

    ``update(residuals, state, params)`` takes a function from the parameters to the residuals r, an array of any shape.

    Parameters
    ----------
    rate : float or schedule
        How much of the step is made: all of it, unless told otherwise.

    Raises
    ------
    InvalidInput
        If the rate is out of its range; in `update`, if a residual or its derivative is not finite.
    NotDifferentiable
        In `update`, if the function does what has no derivative here.

    References
    ----------
    Chapter *Curvature*. J. Nocedal and S. J. Wright, Numerical Optimization, 2nd ed. (2006), section 10.3.

    Examples
    --------
    >>> gauss_newton, x = GaussNewton(), np.array([5.0, 5.0])
    >>> A, b = np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]), np.array([1.0, 3.0, 5.0])
    >>> step, state = gauss_newton.update(lambda x: A @ x - b, gauss_newton.initial(x), x)
    >>> np.round(x + step, 12)
    array([1., 2.])
    """

    rate: float | Schedule = 1.0

    ranges: ClassVar = {"rate": RATE}

    def update(self, function: Function, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        x, unflatten = _vector(params, function)
        _, r, J = _linearised(function, x, unflatten, params)
        s = _least_squares(J, -r)
        made = check_state(state, ("step",), self)
        return unflatten(at_step(self.rate, made) * s), {"step": made + 1}


@dataclass
class LevenbergMarquardt(OfFunctions):
    """(JᵀJ + damping I) s = - Jᵀr: between Gauss–Newton, where the damping is small, and short steps downhill.

    A step that does not make ‖r‖² larger is accepted, and damping ← damping / down. Any other is refused: the step is
    zero, and damping ← up damping. With ``scaled``, the diagonal of JᵀJ stands in the place of I (Marquardt's choice),
    so that the units of the parameters do not matter. The state is ``{"step": 0, "damping": ..., "accepted": 0}``.

    ``update(residuals, state, params)`` takes a function from the parameters to the residuals r, an array of any shape.

    Parameters
    ----------
    damping : float
        What it begins with, positive.
    up, down : float
        More than 1.
    scaled : bool

    Raises
    ------
    InvalidInput
        If a setting is out of its range; in `update`, if a residual or its derivative is not finite at the parameters.
        Where they are not finite after the step, it is refused, and that is all.
    NotDifferentiable
        In `update`, if the function does what has no derivative here.

    References
    ----------
    Chapter *Curvature*. K. Levenberg, Quart. Appl. Math. 2 (1944) 164; D. W. Marquardt, J. SIAM 11 (1963) 431.

    Examples
    --------
    >>> lm, x = LevenbergMarquardt(damping=1.0), np.array([3.0])
    >>> step, state = lm.update(lambda x: x - 1.0, lm.initial(x), x)
    >>> x + step, state
    (array([2.]), {'step': 1, 'damping': 0.1, 'accepted': 1})
    """

    damping: float = 1e-3
    up: float = 10.0
    down: float = 10.0
    scaled: bool = False

    ranges: ClassVar = {
        "damping": POSITIVE,
        "up": Range(1.0, open=True),
        "down": Range(1.0, open=True),
        "scaled": OneOf((True, False)),
    }

    def initial(self, params: Any) -> dict[str, Any]:
        return {**super().initial(params), "damping": self.damping, "accepted": 0}

    def update(self, function: Function, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        x, unflatten = _vector(params, function)
        f, r, J = _linearised(function, x, unflatten, params)
        step, damping = check_state(state, ("step", "damping", "accepted"), self), state["damping"]
        if not POSITIVE.holds(damping) or not is_integer(state["accepted"], 0):
            came = f"the damping {damping!r}, accepted {state['accepted']!r}"
            raise InvalidInput("state", came, "a positive damping, and how many steps were accepted")
        with np.errstate(all="ignore"):
            sizes = np.sum(J * J, axis=0) if self.scaled else np.ones_like(x)
            s = _least_squares(J, -r, damping * sizes)
            better = norm(concrete(f(x + s))) <= norm(concrete(r))  # False where it is not a number
        if better:
            damping = max(damping / self.down, min(damping, LEAST))
            return unflatten(s), {"step": step + 1, "damping": damping, "accepted": state["accepted"] + 1}
        damping = min(damping * self.up, max(damping, MOST))
        return unflatten(np.zeros_like(s)), {"step": step + 1, "damping": damping, "accepted": state["accepted"]}


LEAST, MOST = 1e-12, 1e100  # between these a damping moves: from outside of them it would take long to come back


@dataclass
class NaturalGradient(OfFunctions):
    """(F + damping I) s = - g; the step is rate s: the steepest descent where distances are those of the distributions.

    F is the Fisher information of the model, the mean over the examples of Jᵀ Λ J, with the Jacobian J of the example's
    outputs by the parameters, and Λ the information of the distribution that they stand for: diag(p) - p pᵀ for the
    logits of classes, I for the means of normal distributions of variance 1. g is the gradient of the mean negative
    logarithm of the likelihood: of the cross-entropy, or of half the sum of the squared errors of an example.

    ``update((outputs, targets), state, params)`` takes a function from the parameters to the outputs of all examples,
    shape (N, k), and the labels or distributions (or for normal distributions the values, shape (N, k)) to be fitted.

    Parameters
    ----------
    rate : float or schedule
    damping : float
        Not negative. F is singular where some change of the parameters leaves all distributions as they are: logits,
        for one, that all grow by the same. Then a damping is needed.
    model : {"categorical", "normal"}

    Raises
    ------
    InvalidInput
        If a setting is out of its range; in `update`, if outputs and targets do not fit, an output or its derivative is
        not finite, or F + damping I is singular.
    NotDifferentiable
        In `update`, if the function does what has no derivative here.

    References
    ----------
    Chapter *Curvature*. S. Amari, Neural Computation 10 (1998) 251; J. Martens, J. Mach. Learn. Res. 21 (2020) 146.

    Examples
    --------
    >>> natural, x = NaturalGradient(damping=0.0), np.array([0.0])
    >>> def logits(x):
    ...     return np.array([[0.0, x[0]], [0.0, x[0]], [0.0, x[0]]])
    >>> step, state = natural.update((logits, np.array([1, 1, 0])), natural.initial(x), x)
    >>> x + step
    array([0.66666667])
    """

    rate: float | Schedule = 1.0
    damping: float = 1e-3
    model: str = "categorical"

    ranges: ClassVar = {"rate": RATE, "damping": NOT_NEGATIVE, "model": OneOf(("categorical", "normal"))}

    def update(self, function: Any, state: Any, params: Any) -> tuple[Any, dict[str, Any]]:
        outputs, targets = _pair(function)
        x, unflatten = _vector(params, outputs)
        _, z, J = _linearised(outputs, x, unflatten, params, "outputs", flat=False)
        if np.ndim(z) != 2 or not np.size(z):
            raise InvalidInput("outputs(params)", f"shape {np.shape(z)}", "shape (N, k): a row for each example")
        if self.model == "categorical":
            p, gz = probabilities(z)[..., None], CrossEntropy().jacobian(z, targets)
            LJ = p * (J - np.sum(p * J, axis=1, keepdims=True))
        else:
            LJ, gz = J, errors_of(z, targets) / len(z)
        rows = np.reshape(J, (-1, x.size))
        F, g = rows.T @ np.reshape(LJ, rows.shape) / len(z), rows.T @ np.reshape(gz, -1)
        s = _solved(F, -g, self.damping, "the Fisher information")
        made = check_state(state, ("step",), self)
        return unflatten(at_step(self.rate, made) * s), {"step": made + 1}


# --------------------------------------------------------------------------------------------------------------- L-BFGS
class Minimum(NamedTuple):
    """What `lbfgs` gives back.

    Attributes
    ----------
    params : tree
        Where the search ended.
    value : float
        The function there.
    gradient : tree
        And its gradient.
    steps, calls : int
        How many steps were made, and how often the function and its gradient were computed for them.
    converged : bool
        Whether the gradient, or the last change of the function, became as small as was asked for.
    message : str
        Why it ended, in SciPy's words.
    """

    params: Any
    value: float
    gradient: Any
    steps: int
    calls: int
    converged: bool
    message: str


def lbfgs(function: Function, params: Any, *, steps: int = 1000, memory: int = 10, tolerance: float = 1e-8) -> Minimum:
    """Minimise by SciPy's L-BFGS-B, with the engine's gradient: Newton's step with a Hessian guessed from gradients.

    Parameters
    ----------
    function : callable
        From the parameters to a number, in plain NumPy. It is computed in float64.
    params : tree of ndarray
        Where to begin; not changed.
    steps : int
        At most so many, at least 1.
    memory : int
        From how many of the last steps the curvature is guessed, at least 1.
    tolerance : float
        The search ends where no entry of the gradient is larger, or where the function no longer falls by more than its
        rounding error.

    Returns
    -------
    Minimum

    Raises
    ------
    InvalidInput
        If a number is out of its range, or the function or its gradient is not finite at a point that the search tries.
    NotDifferentiable
        If the function does what has no derivative here.

    References
    ----------
    Chapter *Curvature*. R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, SIAM J. Sci. Comput. 16 (1995) 1190.

    Examples
    --------
    >>> found = lbfgs(lambda p: (p["a"] - 1.0) ** 2 + 10 * (p["b"] - p["a"] ** 2) ** 2, {"a": -1.0, "b": 2.0})
    >>> found.converged, round(float(found.params["a"]), 6), round(float(found.params["b"]), 6)
    (True, 1.0, 1.0)
    """
    from scipy.optimize import minimize

    want_integer(steps, "steps", 1)
    want_integer(memory, "memory", 1)
    want_number(tolerance, "tolerance", "a number, not negative", least=0.0)
    x, unflatten = _vector(params, function)
    both = value_and_grad(lambda v: function(unflatten(v)))

    def computed(v: Any) -> tuple[float, Any]:
        value, g = both(v)
        _want_finite(value, "function(params)")
        _want_finite_parts(g, "gradient", params, unflatten)
        return float(value), g

    options = {"maxiter": steps, "maxcor": memory, "gtol": tolerance, "ftol": np.finfo(float).eps, "maxfun": 20 * steps}
    found = minimize(computed, x.astype(float), jac=True, method="L-BFGS-B", options=options)
    ends = [unflatten(v.astype(x.dtype)) for v in (found.x, found.jac)]
    return Minimum(
        ends[0], float(found.fun), ends[1], int(found.nit), int(found.nfev), bool(found.success), found.message
    )


# --------------------------------------------------------------------------------------------- what they have in common
def _vector(params: Any, function: Any) -> tuple[Any, Function]:
    """The parameters as one vector, and the way back to what the function takes."""
    if not callable(function) or isinstance(function, type):
        raise InvalidInput("function", describe(function), "a function of the parameters, in the gradient's place")
    kinds = {np.result_type(leaf) for leaf in inputs(params, "params")}
    if len(kinds) > 1:
        raise InvalidInput("params", f"arrays of {' and '.join(sorted(map(str, kinds)))}", "arrays of one type")
    x, unflatten = flatten(params)
    if not x.size:
        raise InvalidInput("params", "no numbers", "at least one")
    return x, unflatten


def _pair(both: Any) -> tuple[Function, Any]:
    if not isinstance(both, (tuple, list)) or len(both) != 2 or not callable(both[0]):
        raise InvalidInput("function", describe(both), "a pair (outputs, targets) of a function and an array")
    return both[0], both[1]


def _linearised(
    function: Function, x: Any, unflatten: Function, params: Any, name: str = "residuals", flat: bool = True
) -> tuple[Function, Any, Any]:
    """A function as one of a vector, its values at the parameters, and their Jacobian, a matrix where ``flat``."""
    f = returning_array(lambda v: function(unflatten(v)), name)
    r, J = f(x), jacobian(f)(x)
    _want_finite(r, f"{name}(params)")
    columns = np.isfinite(concrete(J)).reshape(-1, x.size).all(axis=0)
    _want_finite_parts(np.where(columns, 0.0, np.nan), f"the derivative of {name} by params", params, unflatten)
    return (f, np.reshape(r, -1), np.reshape(J, (-1, x.size))) if flat else (f, r, J)


def errors_of(z: Any, targets: Any) -> Any:
    t = np.asarray(targets)
    if t.dtype.kind not in "iuf" or t.shape != np.shape(z):
        raise InvalidInput("targets", describe(targets), f"numbers, shape {np.shape(z)}, as the outputs have it")
    return z - t


def _solved(H: Any, b: Any, damping: float, what: str) -> Any:
    """(H + damping I)⁻¹ b for a symmetric H, or an error where that is numerically singular."""
    _want_finite(H, what)
    damped = H + damping * np.eye(len(b), dtype=b.dtype)
    sizes = np.abs(np.linalg.eigvalsh(concrete(damped)))
    if not np.min(sizes) > len(sizes) * np.finfo(b.dtype).eps * np.max(sizes):
        came = f"{what} with eigenvalues of sizes from {np.min(sizes):.2g} to {np.max(sizes):.2g}: it is singular"
        raise InvalidInput("function", came, "one that is not, or a larger damping; no step was made")
    return _finite_step(np.linalg.solve(damped, b))


def _least_squares(J: Any, b: Any, sizes: Any = None) -> Any:
    """The s for which ‖J s - b‖² + Σ sizes s² is least; the shortest, if there are several.

    It is found from J itself: the condition number of JᵀJ is the square of that of J. While it is followed for its
    derivative, where J must have full rank, JᵀJ must do.
    """
    if isinstance(b, Followed):
        return _solved(J.T @ J + (0.0 if sizes is None else np.diag(sizes)), J.T @ b, 0.0, "JᵀJ")
    if sizes is not None:
        J, b = np.concatenate([J, np.diag(np.sqrt(sizes))]), np.concatenate([b, np.zeros_like(sizes)])
    _want_finite(J, "the squares of the derivatives")
    return _finite_step(np.linalg.lstsq(J, b)[0])


def _finite_step(s: Any) -> Any:
    _want_finite(s, "the step")
    return s


def _want_finite(value: Any, name: str) -> None:
    array = np.asarray(concrete(value))
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise InvalidInput(name, f"{array[at]}" + f" at {at}" * bool(at), "finite numbers; no step was made")


def _want_finite_parts(vector: Any, name: str, params: Any, unflatten: Function) -> None:
    """The same for a vector with an entry for each parameter: the message names the one."""
    for part, place in zip(leaves(unflatten(concrete(vector))), places(params, name), strict=True):
        _want_finite(part, place)
