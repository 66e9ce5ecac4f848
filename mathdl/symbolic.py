"""Jacobians as formulas: SymPy differentiates, and a formula becomes a fast NumPy function.

Use it where the derivative is wanted on paper, and as an independent oracle in tests.
Explained in the chapter *Jacobians as formulas*.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
import sympy
from numpy.typing import ArrayLike, NDArray
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.numpy import SciPyPrinter

from mathdl.arrays import describe
from mathdl.errors import InvalidInput

__all__ = ["Formula", "function", "jacobian"]


def jacobian(exprs: Any, variables: Any) -> sympy.Matrix:
    """Return the matrix of partial derivatives of ``exprs`` with respect to ``variables``.

    Parameters
    ----------
    exprs : sympy.Expr, or a list, tuple or one-column (or one-row) Matrix of m of them
        The components of f. Symbols that are not among the variables are parameters.
    variables : sympy.Symbol, or a list, tuple or Matrix of n of them

    Returns
    -------
    sympy.Matrix
        Shape (m, n), entry (i, j) is the derivative of component i by variable j. One expression counts as m = 1,
        one symbol as n = 1.

    Raises
    ------
    InvalidInput
        If a variable is no symbol or occurs twice, if either argument is empty, if ``exprs`` holds strings or anything
        else that is no expression, or is a matrix with more than one column and row.

    References
    ----------
    Chapter *Jacobians as formulas*.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> jacobian([x**2 * y, 5*x + sympy.sin(y)], [x, y])
    Matrix([
    [2*x*y,   x**2],
    [    5, cos(y)]])
    """
    symbols = _symbols(variables)
    entries, shape = _expressions(exprs)
    if len(shape) == 2 and 1 in shape:
        shape = (len(entries),)
    if len(shape) > 1:
        raise InvalidInput("exprs", f"expressions of shape {shape}", "one list of expressions, one per component of f")
    return sympy.Matrix([[sympy.diff(entry, symbol) for symbol in symbols] for entry in entries])


def function(exprs: Any, variables: Any) -> Formula:
    """Turn expressions into a NumPy function that evaluates them at one point or at many.

    Parameters
    ----------
    exprs : sympy.Expr, Matrix, or (nested) list or tuple of expressions
        Its shape S is ``()`` for one expression, ``(m,)`` for a list, ``(m, n)`` for a Matrix, and so on.
    variables : sympy.Symbol, or a list, tuple or Matrix of n symbols

    Returns
    -------
    Formula
        A callable ``g``; ``g.source`` is its straight-line NumPy code with common subexpressions named.

        * ``g(x)``: the *first* axis of ``x`` runs over the variables, ``(n, ...)`` -> ``S + (...)``.
        * ``g(x0, x1, ...)``: one argument per variable (n >= 2); they broadcast: -> ``S + broadcast shape``.
        * For a single symbol (not in a list) ``g(x)`` takes any shape: -> ``S + x.shape``.

        Every entry gets the full shape, constants too. Arguments are made float64 (complex128 if complex), integers
        too. Outside a formula's domain it does what NumPy does: nan and a RuntimeWarning.

    Raises
    ------
    InvalidInput
        If the expressions contain other symbols than the variables, or functions that neither NumPy nor SciPy has, and
        for the reasons named at `jacobian`. The callable raises it for a wrong number of arguments, a wrong
        length of the first axis, shapes that do not broadcast, and arguments that are not numeric.

    References
    ----------
    Chapter *Jacobians as formulas*.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> g = function([[2*x*y, x**2], [5, sympy.cos(y)]], [x, y])
    >>> g(np.array([1.0, 0.0]))
    array([[0., 1.],
           [5., 1.]])
    >>> g(np.zeros((2, 7))).shape, g(np.zeros(7), 0.0).shape
    ((2, 2, 7), (2, 2, 7))
    """
    symbols = _symbols(variables)
    entries, shape = _expressions(exprs)
    free = set().union(*(entry.free_symbols for entry in entries)) - set(symbols)
    if free:
        names = ", ".join(sorted(str(symbol) for symbol in free))
        raise InvalidInput(
            "exprs",
            f"the free symbols {names}" if len(free) > 1 else f"the free symbol {names}",
            "only the variables: add them to the variables, or put in their values with .subs(...)",
        )
    return Formula(
        _source(entries, symbols),
        shape,
        [str(symbol) for symbol in symbols],
        scalar=isinstance(variables, sympy.Symbol),
    )


class Formula:
    """A formula as a NumPy function; made by `function`, which documents how to call it.

    Attributes
    ----------
    source : str
        The generated Python code.
    shape : tuple of int
        The shape of the result at one point.
    variables : list of str
        The variables in the order of the arguments.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> print(function([sympy.exp(x), x * sympy.exp(x), 1], x).source)
    def formula(x):
        t0 = numpy.exp(x)
        return (t0, t0*x, 1,)
    """

    def __init__(self, source: str, shape: tuple[int, ...], variables: list[str], scalar: bool) -> None:
        self.source, self.shape, self.variables = source, shape, variables
        self._scalar, self._n = scalar, len(variables)
        self._evaluate = _compiled(source)

    def __repr__(self) -> str:
        return f"Formula({', '.join(self.variables)}) -> shape {self.shape}"

    def __call__(self, *points: ArrayLike) -> NDArray[Any]:
        rows = self._rows(points)
        values = self._evaluate(*rows)
        if all(isinstance(row, np.generic) for row in rows):
            result = np.array(values)
            return _floating(result).reshape(self.shape)
        common = np.broadcast_shapes(*(row.shape for row in rows))
        if any(map(_is_followed, rows)):
            stacked = np.stack([np.broadcast_to(value, common) for value in values])
            return np.reshape(stacked, self.shape + common)
        result = np.empty((len(values), *common), np.complex128 if any(map(np.iscomplexobj, values)) else np.float64)
        for k, value in enumerate(values):
            result[k] = value  # a constant fills the whole row
        return result.reshape(self.shape + common)

    def _rows(self, points: tuple[Any, ...]) -> Any:
        """One float64 or complex128 array or NumPy number per variable; Python's would raise where these give inf."""
        n = self._n
        if len(points) == n and (n > 1 or self._scalar):
            if all(type(point) is float for point in points):
                return tuple(map(np.float64, points))
            rows = [_numeric(point, name) for point, name in zip(points, self.variables, strict=True)]
            try:
                np.broadcast_shapes(*(row.shape for row in rows))
            except ValueError as error:
                shapes = ", ".join(f"{name} {row.shape}" for name, row in zip(self.variables, rows, strict=True))
                wanted = "shapes that broadcast against each other"
                raise InvalidInput("arguments", f"the shapes {shapes}", wanted) from error
            return rows
        if len(points) != 1:
            wanted = "one argument" if self._scalar else f"one array with first axis {n}, or {n} arguments"
            raise InvalidInput("arguments", f"{len(points)} of them", f"{wanted} ({', '.join(self.variables)})")
        x = _numeric(points[0], "x")
        if n == 1 and x.ndim == 0:
            return (x,)
        if x.ndim == 0 or x.shape[0] != n:
            wanted = f"shape ({n}, ...): the first axis runs over {', '.join(self.variables)}"
            raise InvalidInput("x", f"shape {x.shape}", wanted)
        return tuple(x)


def _numeric(point: Any, argument: str) -> Any:
    """A float64 or complex128 array (a NumPy number when 0-d); NaN passes, because evaluating it is no mistake."""
    if (type(point) is np.ndarray and point.dtype == np.float64 and point.ndim) or _is_followed(point):
        return point
    try:
        array = np.asarray(point)
    except ValueError as error:
        raise InvalidInput(argument, "a ragged nest of sequences", "an array with rows of one length") from error
    if array.dtype.kind not in "iubfc":
        raise InvalidInput(argument, describe(point), "numbers")
    return _floating(array)[()]


def _is_followed(point: Any) -> bool:
    """Whether it is no array but takes part in NumPy's functions, like those with which autodiff follows a call."""
    return hasattr(point, "__array_function__") and not isinstance(point, np.ndarray)


def _floating(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)


def _symbols(variables: Any) -> list[sympy.Symbol]:
    if isinstance(variables, sympy.Symbol):
        return [variables]
    if not isinstance(variables, (list, tuple, sympy.MatrixBase, sympy.Tuple)):  # a set has no order
        wanted = "SymPy symbols: write x, y = sympy.symbols('x y') and pass [x, y]"
        raise InvalidInput("variables", describe(variables), wanted)
    symbols = list(variables)
    if not symbols:
        raise InvalidInput("variables", "none", "at least one symbol")
    for k, symbol in enumerate(symbols):
        if not isinstance(symbol, sympy.Symbol):
            came = f"the expression {symbol}" if isinstance(symbol, sympy.Basic) else describe(symbol)
            raise InvalidInput(f"variables[{k}]", came, "a SymPy symbol")
        if symbol in symbols[:k]:
            raise InvalidInput(f"variables[{k}]", f"{symbol} a second time", "each variable once")
    return symbols


def _expressions(exprs: Any) -> tuple[list[sympy.Expr], tuple[int, ...]]:
    """The expressions in a flat list, and the shape they came in."""
    if isinstance(exprs, (sympy.MatrixBase, sympy.NDimArray)):
        shape, entries = tuple(int(size) for size in exprs.shape), list(sympy.flatten(exprs))
    else:
        shape = _nested_shape(exprs, "exprs")
        entries = list(_leaves(exprs))
    if not entries:
        raise InvalidInput("exprs", "no expression", "at least one expression")
    return [_expression(entry) for entry in entries], shape


def _nested_shape(exprs: Any, place: str) -> tuple[int, ...]:
    if not isinstance(exprs, (list, tuple)):
        return ()
    shapes = [_nested_shape(entry, place) for entry in exprs]
    if any(shape != shapes[0] for shape in shapes):
        raise InvalidInput(place, "a ragged nest of lists", "rows of one length")
    return (len(exprs), *(shapes[0] if shapes else ()))


def _leaves(exprs: Any) -> Iterator[Any]:
    if isinstance(exprs, (list, tuple)):
        for entry in exprs:
            yield from _leaves(entry)
    else:
        yield exprs


def _expression(entry: Any) -> sympy.Expr:
    if isinstance(entry, (int, float, complex, np.number)) and not isinstance(entry, bool):
        return sympy.sympify(entry)
    if not isinstance(entry, sympy.Expr):  # a string would be evaluated as code by SymPy, so it is refused as well
        came = f"the {type(entry).__name__} {entry}" if isinstance(entry, sympy.Basic) else describe(entry)
        raise InvalidInput("exprs", came, "SymPy expressions")
    return entry


def _source(entries: list[sympy.Expr], symbols: list[sympy.Symbol]) -> str:
    """Straight-line Python: one line per common subexpression, then the entries."""
    names = _names(symbols)
    clean = dict(zip(symbols, map(sympy.Symbol, names), strict=True))
    shared, reduced = sympy.cse([entry.xreplace(clean) for entry in entries], symbols=sympy.numbered_symbols("t"))
    printer = _Printer({"fully_qualified_modules": True, "strict": True, "allow_unknown_functions": False})
    lines = [f"    {name} = {_printed(printer, value)}" for name, value in shared]
    values = ", ".join(_printed(printer, value) for value in reduced)
    return "\n".join([f"def formula({', '.join(names)}):", *lines, f"    return ({values},)"])


class _Printer(SciPyPrinter):  # type: ignore[misc]
    """SymPy's printer for NumPy and SciPy, without what it prints as Python loops or needs further modules for."""

    def _print_Float(self, expr: sympy.Float) -> str:
        return repr(float(expr))  # SymPy prints 15 digits, two too few

    def _print_Pi(self, expr: sympy.Expr) -> str:
        return "numpy.pi"

    def _print_Max(self, expr: sympy.Expr) -> str:
        return self._pairwise("numpy.maximum", expr)

    def _print_Min(self, expr: sympy.Expr) -> str:
        return self._pairwise("numpy.minimum", expr)

    def _pairwise(self, name: str, expr: sympy.Expr) -> str:
        first, *others = (self._print(argument) for argument in expr.args)
        return str(reduce(lambda nested, other: f"{name}({nested}, {other})", others, first))

    def _refuse(self, expr: sympy.Expr) -> str:
        raise PrintMethodNotImplementedError(f"{expr}")

    _print_Integral = _print_Sum = _print_Product = _print_ComplexInfinity = _refuse


def _names(symbols: list[sympy.Symbol]) -> list[str]:
    """Each symbol's own name where Python allows it (no ``lambda``, no ``x_{1}``), else ``x0``, ``x1``, ..."""
    reserved = {*keyword.kwlist, *dir(builtins), "numpy", "scipy", "formula"}
    names = [str(symbol) if str(symbol).isidentifier() else "" for symbol in symbols]
    taken = set(names)
    for k, name in enumerate(names):
        if not name or name in reserved or name in names[:k]:
            spare = f"x{k}"
            while spare in taken:
                spare += "_"
            names[k] = spare
            taken.add(spare)
    return names


def _printed(printer: Any, value: sympy.Expr) -> str:
    try:
        return str(printer.doprint(value))
    except (PrintMethodNotImplementedError, NotImplementedError, TypeError) as error:
        wanted = "functions that NumPy or SciPy has; rewrite it, or put in values first"
        raise InvalidInput("exprs", str(value), wanted) from error


def _compiled(source: str) -> Callable[..., tuple[Any, ...]]:
    namespace: dict[str, Any] = {"numpy": np}
    if "scipy." in source:
        import scipy.special

        namespace["scipy"] = scipy
    exec(source, namespace)  # the source was printed above from checked expressions and names
    evaluate: Callable[..., tuple[Any, ...]] = namespace["formula"]
    return evaluate
