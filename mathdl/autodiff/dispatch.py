"""NumPy's two protocols: which rule a call is handed to, and what is refused, by name.

Explained in the chapter *Automatic differentiation*.
Whatever is in no table is refused: there is no way around the tables.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

import numpy as np

from mathdl.autodiff.naming import ORDER, asked_by_compiled_code, full_name, refuse
from mathdl.autodiff.primitives import CONSTANT, ELEMENTWISE, RULES, Rule, parameters, partials
from mathdl.autodiff.trace import Traced, binary, concrete, lift, unary
from mathdl.errors import NotDifferentiable

__all__ = ["call_function", "call_ufunc", "elementwise", "tie"]


def elementwise(function: Any, arguments: Sequence[Any]) -> Any:
    """Apply a function from the table of partial derivatives."""
    row = partials(function)
    if row is None or len(row) != len(arguments):
        raise no_rule(function)
    if len(arguments) == 2:
        return binary(function, function, *arguments)
    x = lift(arguments[0])
    return unary(function, row[0], x) if isinstance(x, Traced) else function(x)


_HARMLESS: Final = {"casting": "same_kind", "order": "K", "dtype": None, "subok": True, "where": True, "out": None}


def call_ufunc(function: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What ``function.method(*inputs, **kwargs)`` gives when an input, or an output, is traced."""
    if method != "__call__":
        return _call_method(function, method, inputs, kwargs)
    for name, given in kwargs.items():
        if name not in _HARMLESS or not (given is _HARMLESS[name] or _equal(given, _HARMLESS[name])):
            raise _refused_argument(function, name)
    if function in CONSTANT:
        if function in _ORDERING and isinstance(inputs[0], (np.generic, np.ndarray)) and not inputs[0].ndim:
            # perhaps an entry of an array of objects, which NumPy compares in this way
            tie(concrete(inputs[0]), concrete(inputs[1]), sys._getframe(2))
        return function(*map(concrete, inputs))
    if function in RULES:
        return RULES[function].apply(*inputs)
    return elementwise(function, inputs)


_ORDERING: Final = frozenset({np.less, np.less_equal, np.greater, np.greater_equal})


def tie(one: Any, two: Any, frame: FrameType) -> None:
    """Refuse to order two equal numbers (or NaN) when compiled code asks: it would give all of the derivative to one.

    An ``if`` may ask: there the reader of the function sees which branch is taken.
    """
    if np.size(two) == 1 and asked_by_compiled_code(frame, ORDER) and not (one < two or one > two):
        raise refuse(
            "max, min or sort of a list of traced numbers",
            "two of them are equal (or one is NaN), and all of the derivative would go to one",
            "np.max(np.stack([...])), where ties share equally, or an if",
        )


def _refused_argument(function: Any, name: str) -> NotDifferentiable:
    if name == "out":
        return refuse(
            function, "its result is written into an existing array", "leave out= away; write y = y + x, not y += x"
        )
    if name == "where":
        remedy = "np.where(mask, y, 0.0), of arguments that are harmless where the mask is False"
        return refuse(function, "its argument where= has no derivative rule", remedy)
    return refuse(function, f"its argument {name}= has no derivative rule", f"leave {name}= away")


_AS_FUNCTION: Final[dict[tuple[str, Any], Any]] = {
    ("reduce", np.add): np.sum,
    ("reduce", np.multiply): np.prod,
    ("reduce", np.maximum): np.max,
    ("reduce", np.minimum): np.min,
    ("reduce", np.logaddexp): "logaddexp.reduce",
    ("accumulate", np.add): np.cumsum,
    ("accumulate", np.multiply): np.cumprod,
}


def _call_method(function: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if method == "outer" and not kwargs and function.signature is None and function.nout == 1 and function.nin == 2:
        a, b = map(lift, inputs)
        return function(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b)
    yes_or_no = function in CONSTANT and function.types[0].endswith("?")
    if yes_or_no and method != "at" and kwargs.get("out") is None:
        return getattr(function, method)(*map(concrete, inputs), **kwargs)
    same = _AS_FUNCTION.get((method, function))
    if same is None:
        raise refuse(
            f"{full_name(function)}.{method}", "it has no derivative rule", "use np.sum, np.max, np.outer, ..."
        )
    positional = dict(zip(("array", "axis", "dtype", "out"), inputs, strict=False))
    array = positional.pop("array")
    given = {"axis": 0} | positional | kwargs
    for name in set(given) - {"axis", "keepdims"}:
        if given.pop(name) not in (None, True):
            raise _refused_argument(f"{full_name(function)}.{method}", name)
    return call_function(same, (array,), given)


def call_function(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a NumPy function gives when an argument is traced."""
    found = RULES.get(function)
    if found is None:
        if function in CONSTANT:
            return function(*map(concrete, args), **{name: concrete(given) for name, given in kwargs.items()})
        if partials(function) is not None:
            return elementwise(function, args)
        raise no_rule(function)
    if len(args) <= found.leading and found.names.issuperset(kwargs):
        return found.apply(*args, **kwargs)
    return found.apply(**_bound(found, args, kwargs))


def _bound(found: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name; those that the rule does not know must have their default value."""
    theirs = parameters(found.function)
    given = dict(zip(theirs, args, strict=False)) | kwargs
    for name in [name for name in given if name not in found.names]:
        value = given.pop(name)
        default = theirs[name].default if name in theirs else None
        if value is not None and value is not default and not _equal(value, default):
            raise _refused_argument(found.function, name)
    return given


def _equal(value: Any, default: Any) -> bool:
    return type(value) is type(default) and isinstance(value, (bool, int, str)) and bool(value == default)


def no_rule(function: Any) -> NotDifferentiable:
    """The error for a function that is in no table."""
    name = getattr(function, "__name__", str(function))
    if name in _IN_PLACE:
        return refuse(function, "it writes into an existing array", _IN_PLACE[name])
    remedy = _INSTEAD.get(name, "write it with functions that have one, or use mathdl.numeric.jacobian")
    return refuse(function, "it has no derivative rule", remedy)


_INSTEAD: Final = {
    **dict.fromkeys(("eig", "eigvals"), "np.linalg.eigh of a symmetric matrix, whose eigenvalues are real"),
    **dict.fromkeys(("fft", "rfft"), "products with np.cos and np.sin of 2 pi j k / n, the real and imaginary part"),
    **dict.fromkeys(("nanmedian", "nanquantile", "nanpercentile"), "np.quantile(x[~np.isnan(x)], q)"),
    **dict.fromkeys(("unique", "union1d", "intersect1d", "setdiff1d", "setxor1d"), "x[indices], found beforehand"),
    "histogram": "np.bincount(np.digitize(x, edges), weights=w)",
    "ix_": "np.ix_ of integers",
}
_IN_PLACE: Final = {
    "copyto": "use np.where(mask, new, old)",
    "put": "use np.where(mask, new, old)",
    "place": "use np.where(mask, new, old)",
    "putmask": "use np.where(mask, new, old)",
    "put_along_axis": "use np.where(mask, new, old)",
    "fill_diagonal": "use x * (1 - np.eye(n)) + np.diag(d)",
}


def _array_ufunc(self: Traced, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    if len(inputs) == 1 and not kwargs and method == "__call__" and ufunc in ELEMENTWISE:
        return unary(ufunc, ELEMENTWISE[ufunc][0], self)  # the most frequent call
    return call_ufunc(ufunc, method, inputs, kwargs)


def _array_function(self: Traced, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
    return call_function(func, args, kwargs)


Traced.__array_ufunc__ = _array_ufunc  # type: ignore[attr-defined]
Traced.__array_function__ = _array_function  # type: ignore[attr-defined]
