"""A function that is to be differentiated sparsely: followed for its structure, and compiled to give the entries.

Each way to the entries is a small program made of jvp and vjp, which `mathdl.autodiff.compiling` writes out.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from mathdl.arrays import describe
from mathdl.autodiff.compiling import Compiled
from mathdl.autodiff.compiling.captured import Variable, variables_of
from mathdl.autodiff.compiling.following import follow as compile_steps
from mathdl.autodiff.compiling.following import parameter_names, record
from mathdl.autodiff.compiling.running import assemble
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import innermost
from mathdl.autodiff.recording import Recording
from mathdl.autodiff.trace import Trace, follow
from mathdl.autodiff.transforms import grad, jvp, returning_array, split_output, vjp
from mathdl.autodiff.trees import as_leaf, leaves
from mathdl.errors import InvalidInput, MathdlError, NotDifferentiable
from mathdl.sparse.bands import Bands, Terms
from mathdl.sparse.dependencies import Dependencies

__all__ = ["Program"]


class Program:
    """A function of several arguments, an example of these, and by which one it is differentiated."""

    def __init__(self, f: Callable[..., Any], args: Sequence[Any], argnum: int, of_gradient: bool = False) -> None:
        if not callable(f):
            raise InvalidInput("f", describe(f), "a function")
        if not isinstance(argnum, (int, np.integer)) or not -len(args) <= argnum < len(args):
            raise InvalidInput("argnum", repr(argnum), f"an integer: the place of one of the {len(args)} arguments")
        self.argnum = int(argnum) % len(args)
        self.parameters = parameter_names(f, len(args))
        self.variables = variables_of(f, args)
        self._refuse_traced(args)
        x = args[self.argnum]
        if isinstance(x, (dict, list, tuple)):
            raise InvalidInput("x", describe(x), "one array: np.array(...), or md.flatten(...) of a tree")
        self.x = np.asarray(as_leaf(x, "x"))
        self.args = (*args[: self.argnum], self.x, *args[self.argnum + 1 :])
        self.name = str(getattr(f, "__name__", type(f).__name__))
        self.kind = "Hessian" if of_gradient else "Jacobian"
        self.f = grad(f, self.argnum) if of_gradient else f
        self.arrays: list[Variable] = []  # captured arrays that are inputs, and not fixed
        self.shape: tuple[int, ...] = ()  # of the result; known once the function has been followed
        self.dtype: Any = None

    def _refuse_traced(self, args: Sequence[Any]) -> None:
        """A plan holds for all values: it cannot be differentiated by one of them."""
        found = [(name, leaf) for name, arg in zip(self.parameters, args, strict=True) for leaf in leaves(arg)]
        found += [(f"{variable.name} (captured)", variable.value) for variable in self.variables]
        for name, x in found:
            if isinstance(x, Followed):
                raise NotDifferentiable("mathdl.sparse", f"{name} is a traced array", "make the plan outside")

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def of_x(self, args: Sequence[Any]) -> Callable[[Any], Any]:
        """The function of the one argument alone, with one array as its result."""
        before, after = args[: self.argnum], args[self.argnum + 1 :]
        return returning_array(lambda x: self.f(*before, x, *after), self.name)

    def follow(self, trace: Trace, args: Sequence[Any], mark: Any) -> tuple[Any, Any]:
        """Run the function while a trace follows ``x``: the value, and its mark (None if it depends on nothing)."""
        y = follow(trace, self.of_x(args), trace.wrap(args[self.argnum], mark))
        value, mark = split_output(y, trace)
        self.shape = np.shape(value)
        kind = value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype
        self.dtype = kind if kind.kind == "f" else np.dtype(float)
        return value, mark

    def pattern(self) -> sparse.csr_array:
        """Which entries of the Jacobian can be other than zero, for any input of this shape."""

        def run(*args: Any) -> Any:
            trace = Dependencies(self.x.size)
            return self.follow(trace, args, trace.start())[1]

        def recorded() -> Any:
            recording = Recording()
            mark = record(recording, run, self.args, self.parameters, self.arrays)[2]
            recording.forget()
            return mark

        mark = self._retried(recorded)
        return sparse.csr_array((self.size, self.x.size), dtype=bool) if mark is None else mark

    def compile(self, program: Callable[..., Any], kind: str, **more: Any) -> Compiled:
        """Write out a program that takes the function's arguments, and perhaps one more with this example."""
        name = self.name.replace("<lambda>", "f")
        program.__name__ = f"{kind}_{name}" if name.isidentifier() else kind
        args, parameters = (*self.args, *more.values()), list(self.parameters)
        for own in more:
            while own in parameters:
                own += "_"
            parameters.append(own)
        made = self._retried(lambda: compile_steps(program, args, parameters, self.arrays, by_number=False))
        return assemble(made, [v for v in self.variables if v not in self.arrays])

    def _retried(self, work: Callable[[], Any]) -> Any:
        """Do what records the function; if it does what plain arrays cannot, with captured arrays as inputs too.

        A fixed array cannot be indexed by a recorded one, say; as an input, it can.
        """
        try:
            return work()
        except NotDifferentiable as error:
            without = error.remedy.replace("the same without mathdl.compile", "mathdl.jacobian, which needs no plan")
            if without != error.remedy:
                raise NotDifferentiable(error.function, error.reason, without) from None
            raise
        except MathdlError:
            raise
        except Exception:
            self.arrays = [v for v in self.variables if v.holds_arrays and v.plantable]
        try:
            return work()
        except MathdlError:
            raise
        except Exception as error:
            self.f(*self.args)  # its own error, if it has one
            place, library = innermost(error)
            raise NotDifferentiable(
                library or self.name,
                f"it does what a recorded array cannot do (at {place}): {type(error).__name__}: {error}",
                "np.stack([...]) in place of lists of numbers, np.take(array, index), or other NumPy functions",
            ) from error

    # -- programs
    def by_bands(self, factoring: bool, arrange: Callable[[Bands, Terms], Any]) -> Callable[..., Any]:
        """Carry diagonals along; ``arrange`` makes of them what the program returns."""

        def entries(*args: Any) -> Any:
            trace = Bands(self.x.size, factoring)
            _, terms = self.follow(trace, args, trace.start(self.x.shape))
            return arrange(trace, Terms() if terms is None else terms)

        return entries

    def by_columns(self, seeds: Any, places: Any) -> Callable[..., Any]:
        """Push the seeds, one direction for each colour of the columns, and take the entries from what comes out."""

        def entries(*args: Any) -> Any:
            return np.take(np.ravel(self.pushed(args, seeds)), places)

        return entries

    def by_rows(self, seeds: Any, places: Any) -> Callable[..., Any]:
        """Pull the seeds, one for each colour of the rows, and take the entries from what comes out."""

        def entries(*args: Any) -> Any:
            return np.take(np.ravel(self.pulled(args, seeds)), places)

        return entries

    def by_both(self, row_seeds: Any, column_seeds: Any, places: Any) -> Callable[..., Any]:
        """Push some, pull others; the places count through both."""

        def entries(*args: Any) -> Any:
            pulled, pushed = self.pulled(args, row_seeds), self.pushed(args, column_seeds)
            return np.take(np.concatenate([np.ravel(pulled), np.ravel(pushed)]), places)

        return entries

    def by_all(self, forward: bool, places: Any) -> Callable[..., Any]:
        """The whole matrix, and of it the entries of the pattern."""
        of = self.x.shape if forward else self.shape
        count = int(np.prod(of, dtype=int))
        seeds = np.eye(count).reshape(count, *of)
        return self.by_columns(seeds, places) if forward else self.by_rows(seeds, places)

    def pushed(self, args: Sequence[Any], directions: Any) -> Any:
        return jvp(self.of_x(args), (args[self.argnum],), (directions,))[1]

    def pulled(self, args: Sequence[Any], cotangents: Any) -> Any:
        return vjp(self.of_x(args), args[self.argnum])[1](cotangents)
