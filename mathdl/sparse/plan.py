"""What planning a sparse Jacobian gives: its pattern, the program for its entries, and the matrix at any point.

How a plan is chosen stands in `choosing`; this is what the caller holds and looks at.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator

from mathdl.arrays import describe
from mathdl.autodiff.compiling import Compiled
from mathdl.errors import InvalidInput
from mathdl.sparse.coloring import column_coloring
from mathdl.sparse.dependencies import LARGEST
from mathdl.sparse.drawing import braille
from mathdl.sparse.programs import Program

__all__ = ["Factors", "Plan", "Way", "counted", "filled", "row_numbers"]


class Way:
    """One way to the entries of a Jacobian: the compiled program, and what can be said about it."""

    def __init__(self, method: str, reason: str, entries: Compiled, sweeps: int, colors: Any, saving: str) -> None:
        self.method, self.reason, self.entries, self.sweeps = method, reason, entries, sweeps
        self.colors, self.saving = colors, saving


class Factors:
    """The patterns of S, U, V and D, where the Jacobian is S + U W, and W = V + D W (D strictly below its diagonal)."""

    def __init__(self, s: Any, u: Any, v: Any, d: Any = None) -> None:
        self.patterns = (s, u, v) if d is None else (s, u, v, d)
        for pattern in self.patterns:
            _lock(pattern.indices, pattern.indptr)

    def at(self, entries: tuple[Any, ...]) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
        """S, U and W with these entries."""
        s, u, *inner = (filled(pattern, data) for pattern, data in zip(self.patterns, entries, strict=True))
        return s, u, _solved(*inner)

    def pattern(self) -> sparse.csr_array | None:
        """The pattern of the product, or None if it is too large."""
        s, u, *inner = self.patterns
        w = _solved(*inner)
        if s.nnz + int(np.diff(w.indptr)[u.indices].sum()) > LARGEST:
            return None
        found = sparse.csr_array(s + u @ w, dtype=bool)
        found.sum_duplicates()
        return found


def _lock(*arrays: Any) -> None:
    """Make arrays read-only that all results share."""
    for array in arrays:
        array.flags.writeable = False


def _solved(v: sparse.csr_array, d: sparse.csr_array | None = None) -> sparse.csr_array:
    """W of W = V + D W, where each row of D leads to earlier rows only."""
    w, level = v, d
    while level is not None and level.nnz:
        w = v + d @ w
        level = level @ d
    return w


def filled(pattern: sparse.csr_array, data: Any) -> sparse.csr_array:
    """A matrix with a pattern's index arrays and these entries."""
    result = sparse.csr_array((data, pattern.indices, pattern.indptr), shape=pattern.shape)
    result.has_canonical_format = True
    return result


def row_numbers(a: sparse.csr_array) -> Any:
    """Of each entry, in the order in which they are stored, its row."""
    return np.repeat(np.arange(a.shape[0]), np.diff(a.indptr))


class Plan:
    """A sparse Jacobian: called with the arguments of the function, it gives the matrix at this point.

    Made by `mathdl.sparse.jacobian` and `mathdl.sparse.hessian`. Rows are the entries of f(x) in C order, columns those
    of x. It can be given to SciPy as ``jac=plan``.

    Attributes
    ----------
    method : str
        ``"bands"``, ``"factored"``, ``"forward"``, ``"reverse"``, ``"bicoloring"``, ``"star"`` or ``"dense"``.
    reason : str
        Why this one.
    sweeps : int
        How many directions are pushed or pulled.

    References
    ----------
    Chapter *Structure and sparsity*.
    """

    def __init__(
        self, program: Program, pattern: sparse.csr_array | None, way: Way, factors: Factors | None = None
    ) -> None:
        self._program, self._way, self._factors = program, way, factors
        self._products: dict[str, Compiled] = {}
        self._colors: Any = None
        self._pattern = pattern
        if pattern is not None:
            _lock(pattern.data, pattern.indices, pattern.indptr)
            self._like = filled(pattern, np.broadcast_to(np.zeros(1, program.dtype), pattern.nnz))
        self.method, self.reason, self.sweeps = way.method, way.reason, way.sweeps

    # -- what is known without a point
    @property
    def shape(self) -> tuple[int, int]:
        """(m, n): how many outputs, how many inputs."""
        return self._program.size, self._program.x.size

    @property
    def pattern(self) -> sparse.csr_array:
        """The entries that can be other than zero, for any input of the shape, as a matrix of bool."""
        if self._pattern is None:
            raise InvalidInput("plan.pattern", f"a matrix of more than {LARGEST:.0e} entries", "plan.factors(x)")
        return self._pattern

    @property
    def density(self) -> float:
        """The part of all entries that can be other than zero."""
        m, n = self.shape
        if self._pattern is None:  # too large to be written down, and so not sparse
            return 1.0
        return self.pattern.nnz / (m * n) if m * n else 0.0

    @property
    def colors(self) -> Any:
        """The colours: of the columns; of the rows if these are pulled; both, with -1 for none, if both."""
        if self._colors is None:
            colors = column_coloring(self.pattern) if self._way.colors is None else self._way.colors
            _lock(*colors if isinstance(colors, tuple) else (colors,))
            self._colors = colors
        return self._colors

    @property
    def source(self) -> str:
        """The program that computes the entries, straight-line NumPy."""
        return self._way.entries.source

    @property
    def constants(self) -> dict[str, Any]:
        """The arrays that the source mentions as ``c1``, ``c2``, ..."""
        return self._way.entries.constants

    @property
    def empty_rows(self) -> Any:
        """The outputs that depend on nothing."""
        return np.flatnonzero(np.diff(self.pattern.indptr) == 0)

    @property
    def empty_columns(self) -> Any:
        """The inputs that nothing depends on."""
        return np.flatnonzero(np.bincount(self.pattern.indices, minlength=self.shape[1]) == 0)

    # -- at a point
    def __call__(self, *args: Any) -> sparse.csr_array:
        """The Jacobian at a point.

        Parameters
        ----------
        *args
            The arguments of the function, of the structure, shapes and types that it was planned for.

        Returns
        -------
        csr_array, shape (m, n)
            All entries of the pattern are stored, zero or not. The index arrays are those of the plan, and read-only:
            take a ``.copy()`` to change the structure.

        Raises
        ------
        InvalidInput
            If the arguments do not fit, if something that the function captures has changed, or if a factored Jacobian
            is too large to be multiplied out.

        Examples
        --------
        >>> from mathdl.sparse import jacobian
        >>> plan = jacobian(lambda x: x[1:] * x[:-1], np.ones(4))
        >>> plan(np.array([1.0, 2.0, 3.0, 4.0])).toarray()
        array([[2., 1., 0., 0.],
               [0., 3., 2., 0.],
               [0., 0., 4., 3.]])
        """
        if self._factors is not None:
            return self._multiplied_out(*args)
        result = object.__new__(sparse.csr_array)  # what SciPy's constructor would look at in every call is known
        result.__dict__ = self._like.__dict__.copy()
        try:
            result.data = self._way.entries(*args)
        except TypeError:  # to count before would cost time in every call
            self._check_number(args)
            raise
        return result

    def _check_number(self, args: tuple[Any, ...], *more: str) -> None:
        """Whether there are as many arguments as the function has, and those that are named here."""
        wanted = (*self._program.parameters, *more)
        if len(args) != len(wanted):
            came = counted(len(args), "argument")
            raise InvalidInput("plan", came, f"{counted(len(wanted), 'argument')}: {', '.join(wanted)}") from None

    def factors(self, *args: Any) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
        """The Jacobian at a point as S + U @ V: S sparse, U with few columns, V with few rows.

        Parameters
        ----------
        *args
            The arguments of the function, as in a call.

        Returns
        -------
        S, U, V : csr_array
            Of shapes (m, n), (m, r) and (r, n).

        Raises
        ------
        InvalidInput
            If the plan is not factored, or the arguments do not fit.

        Examples
        --------
        >>> from mathdl.sparse import jacobian
        >>> x = np.linspace(1.0, 2.0, 100)
        >>> S, U, V = jacobian(lambda x: x / np.sum(x), x, method="factored").factors(x)
        >>> S.nnz, U.shape, V.shape
        (100, (100, 1), (1, 100))
        """
        if self._factors is None:
            raise InvalidInput("plan", f"a plan by {self.method}", "one by method='factored'; plan(x) gives the matrix")
        self._check_number(args)
        return self._factors.at(self._way.entries(*args))

    def _multiplied_out(self, *args: Any) -> sparse.csr_array:
        if self._pattern is None:
            wanted = "plan.factors(x) or plan.linear_operator(x)"
            raise InvalidInput("plan(x)", f"a matrix of more than {LARGEST:.0e} entries", wanted)
        s, u, v = self.factors(*args)
        found = (s + u @ v).tocsr()
        found.sort_indices()
        if found.nnz == self._like.nnz:  # SciPy drops what happens to be zero
            return filled(self._pattern, found.data)
        mine, theirs = (row_numbers(a) * self.shape[1] + a.indices for a in (self._pattern, found))
        data = np.zeros(self._like.nnz, found.dtype)
        data[np.searchsorted(mine, theirs)] = found.data
        return filled(self._pattern, data)

    def matvec(self, *args: Any) -> Any:
        """The Jacobian times a vector, without the matrix.

        Parameters
        ----------
        *args
            The arguments of the function, and last the vector, of shape (n,).

        Returns
        -------
        array, shape (m,)

        Raises
        ------
        InvalidInput
            If the arguments or the vector do not fit.

        Examples
        --------
        >>> from mathdl.sparse import jacobian
        >>> x = np.array([1.0, 2.0, 3.0, 4.0])
        >>> jacobian(lambda x: x[1:] * x[:-1], x).matvec(x, np.array([1.0, 0.0, 0.0, 0.0]))
        array([2., 0., 0.])
        """
        return self._product("v", self.shape[1], args)

    def rmatvec(self, *args: Any) -> Any:
        """The transposed Jacobian times a vector, without the matrix.

        Parameters
        ----------
        *args
            The arguments of the function, and last the vector, of shape (m,).

        Returns
        -------
        array, shape (n,)

        Raises
        ------
        InvalidInput
            If the arguments or the vector do not fit.

        Examples
        --------
        >>> from mathdl.sparse import jacobian
        >>> x = np.array([1.0, 2.0, 3.0, 4.0])
        >>> jacobian(lambda x: x[1:] * x[:-1], x).rmatvec(x, np.array([1.0, 0.0, 0.0]))
        array([2., 1., 0., 0.])
        """
        return self._product("u", self.shape[0], args)

    def _product(self, name: str, length: int, args: tuple[Any, ...]) -> Any:
        program = self._program
        self._check_number(args, name)
        *point, vector = args
        vector = np.asarray(vector)
        if vector.shape != (length,) or vector.dtype.kind not in "fiub":
            wanted = f"real numbers of shape ({length},), after the arguments of the function"
            raise InvalidInput(name, describe(args[-1]), wanted)
        vector = vector.astype(program.x.dtype, copy=False)
        compiled = self._products.get(name)
        if compiled is None:
            along, into = (program.pushed, program.x.shape) if name == "v" else (program.pulled, program.shape)

            def product(*given: Any) -> Any:
                return np.ravel(along(given[:-1], np.reshape(given[-1], into)))

            compiled = program.compile(product, "push" if name == "v" else "pull", **{name: vector})
        result = compiled(*point, vector)
        self._products[name] = compiled  # not before it has found that nothing captured has changed since the plan
        return result

    def linear_operator(self, *args: Any) -> LinearOperator:
        """The Jacobian at a point as SciPy's iterative solvers take it; a factored one is never multiplied out.

        Parameters
        ----------
        *args
            The arguments of the function, as in a call.

        Returns
        -------
        LinearOperator, shape (m, n)

        Raises
        ------
        InvalidInput
            If the arguments do not fit.

        Examples
        --------
        >>> from mathdl.sparse import jacobian
        >>> x = np.array([1.0, 2.0, 3.0])
        >>> jacobian(np.sin, x).linear_operator(x) @ np.ones(3) == np.cos(x)
        array([ True,  True,  True])
        """
        if self._factors is None:
            j = self(*args)
            return _operator(self.shape, j.dtype, lambda v: j @ v, lambda u: j.T @ u)
        s, u, v = self.factors(*args)
        return _operator(self.shape, s.dtype, lambda x: s @ x + u @ (v @ x), lambda y: s.T @ y + v.T @ (u.T @ y))

    # -- looking at it
    def __repr__(self) -> str:
        m, n = self.shape
        title = f"{self._program.kind} of {self._program.name}: {m} x {n}"
        if self._pattern is None:
            return f"{title}\n{self.method}: {self._way.saving}"
        lines = [
            f"{title}, {self.pattern.nnz} entries ({100 * self.density:.3g} %)",
            f"{self.method}: {self._way.saving}",
            *_named("row", "no input reaches", self.empty_rows),
            *_named("column", "reaches no output", self.empty_columns),
            braille(self.pattern, width=32, height=16),
        ]
        return "\n".join(lines)


def _operator(shape: Any, dtype: Any, forward: Callable[[Any], Any], backward: Callable[[Any], Any]) -> LinearOperator:
    return LinearOperator(shape, matvec=forward, rmatvec=backward, matmat=forward, rmatmat=backward, dtype=dtype)


_SHOWN: Final = 6


def _named(kind: str, what: str, numbers: Any) -> list[str]:
    """A line that names the empty rows or columns."""
    if not len(numbers):
        return []
    some = ", ".join(map(str, numbers[:_SHOWN])) + (", ..." if len(numbers) > _SHOWN else "")
    return [f"{counted(len(numbers), f'empty {kind}')} ({what}): {some}"]


def counted(number: int, thing: str) -> str:
    """A number and what it counts, in the plural unless it is one."""
    return f"{number} {thing}{'s' * (number != 1)}"
