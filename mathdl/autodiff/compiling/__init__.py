"""``md.compile``: a derivative, or any function of arrays, followed once and written out as NumPy source.

The modules in the order of the work: captured, following, cleaning, expressions, source (or unrolled), running.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.compiling.captured import AssignsOutside, variables_of
from mathdl.autodiff.compiling.following import Made, follow, parameter_names
from mathdl.autodiff.compiling.running import Compiled, assemble
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import innermost, refuse
from mathdl.autodiff.trees import leaves
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable

__all__ = ["Compiled", "compile"]


def compile(function: Callable[..., Any], *args: Any) -> Compiled:
    """Follow a function once, and write down what it computes as straight-line NumPy.

    Parameters
    ----------
    function : callable
        A derivative, such as ``md.jacobian(f)`` or ``md.value_and_grad(loss)``, or any function of arrays.
    *args
        An example of its arguments. Arrays and floating-point numbers, also in nested dicts, lists and tuples, become
        inputs of the source; so do the arrays that the function captures, which are read anew in every call. All else
        (integers, strings, captured numbers, helper functions) is fixed, and compared in every call.

    Returns
    -------
    callable
        It takes arguments of the same structure, shapes and types, and returns what ``function`` returns. ``.source``
        is its source, ``.constants`` are the arrays that the source mentions as ``c1``, ``c2``, ...

    Raises
    ------
    InvalidInput
        When called: if an argument has another structure, shape or type than the example, or if something fixed has
        changed.
    NotDifferentiable
        If what the function does depends on the values of its arguments (``if x > 0``, ``x[x > 0]``), or cannot be
        recorded; or if it gives another result when it is called again, as one that draws random numbers.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> from mathdl.autodiff import jacobian
    >>> J = compile(jacobian(lambda x: np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])), np.array([3.0, 0.5]))
    >>> J(np.array([3.0, 0.0]))
    array([[0., 9.],
           [5., 1.]])
    >>> print(J.source)
    import numpy as np
    from math import cos
    <BLANKLINE>
    <BLANKLINE>
    def jacobian(x):
        x0, x1 = x.tolist()
        return np.array([[2.0 * x0 * x1, x0 * x0], [5.0, cos(x1)]])
    """
    if not callable(function):
        raise InvalidInput("function", describe(function), "a function")
    parameters = parameter_names(function, len(args))
    if any(isinstance(leaf, Followed) for arg in args for leaf in leaves(arg)):
        raise NotDifferentiable("mathdl.compile", "it is called on a traced array", "compile outside of the function")
    variables = variables_of(function, args)
    arrays = [v for v in variables if v.holds_arrays and v.plantable]
    try:
        made = follow(function, args, parameters, arrays)
    except AssignsOutside:
        raise
    except Exception:
        arrays = []  # something asks captured arrays for their values: then these must stay what they are
        made = _follow_or_refuse(function, args, parameters)
    compiled = assemble(made, [v for v in variables if v not in arrays])
    _compare(compiled(*args), function(*args), made.name)
    return compiled


def _follow_or_refuse(function: Callable[..., Any], args: Sequence[Any], parameters: list[str]) -> Made:
    """Follow a function; what it can do with plain arrays only becomes a `NotDifferentiable`."""
    try:
        return follow(function, args, parameters, [])
    except MathdlError:
        raise
    except Exception as error:
        function(*args)  # its own error, if it has one
        place, library = innermost(error)
        raise NotDifferentiable(
            library or "mathdl.compile",
            f"it does what a recorded array cannot do (at {place}): {type(error).__name__}: {error}",
            "np.stack([...]) in place of lists of numbers, NumPy functions, or the same without mathdl.compile",
        ) from error


def _compare(found: Any, wanted: Any, name: str) -> None:
    """A function that is compiled must give the same result when it is called again."""
    for x, y in zip(leaves(found), leaves(wanted), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape or x.dtype != y.dtype or not _close(x, y):
            raise refuse(
                name,
                "called again with the same arguments it gives another result",
                "no random numbers, counters or files inside: draw them before, and make them arguments",
            )


def _close(x: Any, y: Any) -> bool:
    if x.dtype.kind not in "fc":
        return bool(np.array_equal(x, y))
    finite = np.isfinite(x) & np.isfinite(y)
    # Where the derivative is 0 * inf = nan, the compiled one may have left the zero out.
    if not np.all(finite | np.isnan(y) | (x == y)):
        return False
    scale = np.max(np.abs(y), where=finite, initial=0.0)
    return bool(np.all(np.abs(np.where(finite, x - y, 0.0)) <= np.sqrt(np.finfo(x.dtype).eps) * scale))
