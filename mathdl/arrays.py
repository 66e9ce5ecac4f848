"""Arguments become float64 arrays here, or a named error: one place for what every module accepts.

A point must be real floating-point numbers, finite and not empty; a function's value must be an array or a number.
Integers are refused on purpose: a derivative asks what happens *between* them.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mathdl.errors import InvalidInput

__all__ = [
    "as_claim",
    "as_output",
    "as_point",
    "describe",
    "is_finite",
    "is_integer",
    "is_number",
    "refuse_single",
    "want_integer",
    "want_number",
]


def describe(value: object) -> str:
    """Say in a few words what ``value`` is, for an error message.

    Examples
    --------
    >>> describe(np.zeros((2, 3)))
    'an array of float64 with shape (2, 3)'
    >>> describe([1, 2]), describe(None)
    ('a list of length 2', 'None')
    """
    if value is None or value is Ellipsis:
        return "None" if value is None else "..."
    if isinstance(value, (np.ndarray, np.generic)):
        kind = "an array" if isinstance(value, np.ndarray) else "a number"
        shape = f" with shape {value.shape}" if isinstance(value, np.ndarray) else ""
        return f"{kind} of {value.dtype}{shape}"
    if isinstance(value, (list, tuple, dict, str)):
        return f"a {type(value).__name__} of length {len(value)}"
    if isinstance(value, (bool, int, float, complex)):
        return f"the {type(value).__name__} {value}"
    if callable(value):
        return f"the function {getattr(value, '__name__', type(value).__name__)}"
    article = "an" if type(value).__name__[0].lower() in "aeiou" else "a"
    return f"{article} {type(value).__name__}"


def as_point(x: object, argument: str = "x") -> NDArray[np.float64]:
    """Return ``x`` as a float64 array of its own, or raise.

    Parameters
    ----------
    x : array_like
        Real floating-point numbers, any shape with at least one entry.
    argument : str
        The name to use in the message.

    Raises
    ------
    InvalidInput
        If ``x`` is ragged, masked, not numeric, integer, complex, empty, or holds NaN or infinity.

    Examples
    --------
    >>> as_point([1.0, 2.0])
    array([1., 2.])
    """
    if isinstance(x, np.ma.MaskedArray):
        raise InvalidInput(argument, "a masked array", "a plain array: write .filled(...)")
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise InvalidInput(argument, "a ragged nest of sequences", "an array with rows of one length") from error
    _check_numeric(array, x, argument)
    if array.dtype.kind in "iub":
        raise InvalidInput(
            argument,
            describe(x if isinstance(x, (bool, int)) else array),
            f"floating-point numbers: write np.asarray({argument}, dtype=float), or 1.0 in place of 1",
        )
    if array.dtype.kind == "c":
        raise InvalidInput(argument, describe(array), "real numbers")
    if array.size == 0:
        raise InvalidInput(argument, f"an empty array with shape {array.shape}", "at least one number")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(argument, f"{_bad_entries(array)}", "finite numbers")
    return np.array(array, dtype=np.float64)


def as_output(y: object, function: str = "f", shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return the value ``y`` of a function as a float64 (or complex128) array, or raise.

    Parameters
    ----------
    y : array_like
        What the function returned: an array or a number.
    function : str
        The function's name in the message.
    shape : tuple of int, optional
        The shape it returned before; another one now is an error.

    Raises
    ------
    InvalidInput
        If ``y`` is a list, ``None`` or anything not numeric, empty, not finite, or of another shape than before.

    Examples
    --------
    >>> as_output(np.float64(2.0))
    array(2.)
    """
    name = f"{function}(x)"
    if isinstance(y, (list, tuple, dict, set)) or y is None:
        raise InvalidInput(name, describe(y), "an array or a number: return np.array([...])")
    try:
        array = np.asarray(y)
    except (TypeError, ValueError) as error:
        raise InvalidInput(name, describe(y), "an array or a number") from error
    _check_numeric(array, y, name)
    if shape is not None and array.shape != shape:
        came = f"shape {array.shape} at one point and {shape} at another"
        raise InvalidInput(name, came, "one shape for every input")
    if array.size == 0:
        raise InvalidInput(name, f"an empty array with shape {array.shape}", "at least one number")
    if not np.all(np.isfinite(array)):
        raise InvalidInput(name, f"{_bad_entries(array)}", "finite numbers")
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)


def as_claim(value: object, name: str) -> NDArray[np.float64]:
    """Return a claimed derivative as a float64 array, or raise.

    Integers and booleans are accepted here: a gate such as ``x > 0`` is a derivative of ones and zeros. So are NaN and
    infinity, which a diagnosis names.

    Parameters
    ----------
    value : array_like
        The claim.
    name : str
        The argument's name in the message.

    Raises
    ------
    InvalidInput
        If ``value`` is ``None``, ``...``, ragged, complex, float16 or float32, or not numeric.

    Examples
    --------
    >>> as_claim([[1, 0]], "claimed")
    array([[1., 0.]])
    """
    if value is None or value is Ellipsis:
        raise InvalidInput(name, describe(value), "the derivative: an array of shape f(x).shape + x.shape")
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise InvalidInput(name, describe(value), "an array in which all rows have one length") from error
    if array.dtype.kind not in "biufc":  # booleans too: a gate such as x > 0 is one and zero
        raise InvalidInput(name, describe(value), "an array of floating-point numbers")
    refuse_single(array, name)
    return array.astype(np.float64)


def refuse_single(array: NDArray[Any], name: str) -> None:
    """Raise ``InvalidInput`` if ``array`` is complex or has fewer digits than a derivative can be checked with."""
    if array.dtype.kind == "c":
        raise InvalidInput(name, describe(array), "real numbers: a real derivative is checked")
    if array.dtype in (np.float16, np.float32):
        raise InvalidInput(
            name, describe(array), "float64: seven digits are too few to tell a wrong derivative from a rounded one"
        )


def is_finite(array: Any) -> bool:
    """Whether all numbers are finite; their squares tell in one pass, unless they overflow, which is looked into."""
    return math.isfinite(np.vdot(array, array)) or bool(np.all(np.isfinite(array)))


def is_integer(value: object, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether it is an integer, of Python or of NumPy, and no boolean, within a range."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(least <= value <= most)


def is_number(value: object) -> bool:
    """Whether it is a real number, of Python or of NumPy, and no boolean."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def want_integer(value: object, argument: str, least: int, most: int | None = None, wanted: str = "") -> int:
    """Return an integer of Python or NumPy within its range, or raise ``InvalidInput``; booleans are none.

    Examples
    --------
    >>> want_integer(np.int64(3), "count", 1)
    3
    >>> want_integer(1.5, "count", 1)
    Traceback (most recent call last):
    mathdl.errors.InvalidInput: count: got 1.5; wanted an integer, at least 1
    """
    if not is_integer(value, least, math.inf if most is None else most):
        usual = f"an integer, at least {least}" if most is None else f"an integer from {least} to {most}"
        raise InvalidInput(argument, repr(value), wanted or usual)
    return int(value)  # type: ignore[call-overload, no-any-return]


def want_number(value: object, argument: str, wanted: str, above: float = -math.inf, least: float = -math.inf) -> float:
    """Return a finite real number of Python or NumPy, larger than ``above`` and at least ``least``, or raise.

    Examples
    --------
    >>> want_number(np.float32(0.5), "radius", "a number, not negative", least=0.0)
    0.5
    """
    if not is_number(value) or not least <= value < math.inf or not value > above:  # type: ignore[operator]
        raise InvalidInput(argument, repr(value), wanted)
    return float(value)  # type: ignore[arg-type]


def _check_numeric(array: NDArray[Any], value: object, argument: str) -> None:
    if array.dtype.kind == "O":
        came = f"an array of Python objects (from {describe(value)})"
        raise InvalidInput(argument, came, "numbers, rows of one length")
    if array.dtype.kind not in "iubfc":
        raise InvalidInput(argument, describe(value), "numbers")


def _bad_entries(array: NDArray[Any]) -> str:
    where = np.argwhere(~np.isfinite(array))
    first = tuple(int(i) for i in where[0])
    place = f" at index {first}" if first else ""
    return f"{array[first]}{place}" + (f" and {len(where) - 1} more not finite" if len(where) > 1 else "")
