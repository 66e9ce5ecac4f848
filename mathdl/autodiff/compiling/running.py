"""The function that runs: guards in front, then the source, which is what a reader sees.

Whatever is no input of the source must be as it was when it was compiled; the guards look, and raise named errors.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import builtins
import itertools
import linecache
import math
from collections.abc import Callable
from typing import Any, Final, Protocol

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.compiling.captured import Variable, same, snapshot
from mathdl.autodiff.compiling.following import Input, Made, is_input, quoted
from mathdl.autodiff.compiling.source import WIDTH, Program
from mathdl.autodiff.followed import Followed, is_sparse
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.recording import Recorded
from mathdl.errors import InvalidInput

__all__ = ["Compiled", "assemble"]


class Compiled(Protocol):
    """What `compile` returns: a function, and its source.

    Attributes
    ----------
    source : str
        The program, straight-line NumPy. What runs is this text, behind checks of the arguments; where it calls
        Python's ``math`` and that raises, the same is computed with NumPy.
    constants : mapping of str to array
        The arrays that the source mentions as ``c1``, ``c2``, ...
    """

    source: str
    constants: dict[str, Any]

    def __call__(self, *args: Any) -> Any:
        """Compute what was compiled, for other values of the arguments."""


_INDENT: Final = "    "
_numbers = itertools.count(1)


class _Guards:
    """The lines in front of the source, and what they refer to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.namespace: dict[str, Any] = {"_ndarray": np.ndarray}

    def know(self, thing: Any) -> str:
        for name, known in self.namespace.items():
            if known is thing:
                return name
        name = f"_{len(self.namespace)}"
        self.namespace[name] = thing
        return name

    def leaf(self, name: str, argument: str, example: Any) -> None:
        """An array must have the example's type and shape."""
        if isinstance(example, np.ndarray):
            shape = f"{name}.shape != {example.shape}"
            if example.ndim == 1:  # the same, and faster
                shape = f"{name}.ndim != 1 or len({name}) != {len(example)}"
            wrong = f"{name}.__class__ is not _ndarray or {name}.dtype is not {self.know(example.dtype)} or {shape}"
        else:
            wrong = f"{name}.__class__ is not {self.know(type(example))}"
        self.lines.append(f"if {wrong}: {name} = {self.know(_fitting(argument, example))}({name})")

    def structure(self, expression: str, argument: str, tree: Any) -> None:
        """A tree must have the example's form, and what is no input in it the example's value."""
        conditions: list[str] = []
        self._conditions(expression, tree, conditions)
        if conditions:
            self.lines.append(f"if {' or '.join(conditions)}: {self.know(_other_form(argument, tree))}({expression})")

    def _conditions(self, e: str, x: Any, conditions: list[str]) -> None:
        if is_input(x):
            return
        if isinstance(x, dict):
            keys = self.know(list(x))  # in the same order: a program can go through them
            conditions.append(f"{e}.__class__ is not {self.know(type(x))} or list({e}) != {keys}")
            for key, part in x.items():
                self._conditions(f"{e}[{quoted(key)}]", part, conditions)
        elif isinstance(x, (list, tuple)):
            conditions.append(f"{e}.__class__ is not {self.know(type(x))} or len({e}) != {len(x)}")
            for k, part in enumerate(x):
                self._conditions(f"{e}[{k}]", part, conditions)
        else:
            conditions.append(f"not {self.know(same)}({e}, {self.know(snapshot(x))})")


def _fitting(argument: str, example: Any) -> Callable[[Any], Any]:
    """Called when an argument is not obviously like the example: the same in another guise, or an error."""

    def fit(x: Any) -> Any:
        if isinstance(x, Followed):
            raise refuse(
                "a compiled function", "it cannot be followed again", "compile the derivative, not the function"
            )
        if np.ndim(example) == 0 and isinstance(x, (float, np.generic, np.ndarray)) and np.ndim(x) == 0:
            if np.asarray(x).dtype == np.asarray(example).dtype:
                return x if isinstance(example, float) else np.asarray(x)[()]
        elif type(x) is np.ndarray and x.dtype == example.dtype and x.shape == example.shape:
            return x
        raise InvalidInput(argument, describe(x), f"{describe(example)}, as when it was compiled")

    return fit


def _other_form(argument: str, tree: Any) -> Callable[[Any], Any]:
    simple = not isinstance(tree, (list, tuple, dict))
    wanted = describe(tree) if simple else f"the structure {_sketch(tree)}"

    def complain(x: Any) -> Any:
        came = describe(x) if simple else f"the structure {_sketch(x)}"
        raise InvalidInput(argument, came, f"{wanted}, as when it was compiled; or compile it again")

    return complain


def _sketch(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key!r}: {_sketch(part)}' for key, part in tree.items())}}}"
    if isinstance(tree, (list, tuple)):
        return f"{type(tree).__name__}({', '.join(map(_sketch, tree))})"
    return "array" if isinstance(tree, np.ndarray) else repr(tree)


def assemble(made: Made, fixed: list[Variable]) -> Compiled:
    program, guards = made.program, _Guards()
    unpacking: list[str] = []
    for one in made.inputs:
        guards.structure(one.name, one.name, one.tree)
        _unpack(one, guards, unpacking, one.name)
    for one, variable in zip(made.captured, made.variables, strict=True):
        cell = isinstance(variable.scope, dict)
        read = (
            f"{guards.know(variable.scope)}[{variable.key!r}]"
            if cell
            else f"{guards.know(variable.scope)}.cell_contents"
        )
        whole = str(one.stand_in.step.label) if isinstance(one.stand_in, Recorded) else f"_{one.name}"
        guards.lines.append(f"{whole} = {read}")
        guards.structure(whole, one.name, one.tree)
        _unpack(one, guards, None, whole)
    checks = guards.lines
    if fixed:
        checks = [f"{guards.know(_unchanged(fixed))}()", *checks]
    takes = ", ".join(one.name for one in made.inputs)
    namespace = {**program.namespace, **guards.namespace}
    numbers = _numbers_of(made)
    body = [*(f"{pattern} = {array}.tolist()" for pattern, array in numbers), *program.lines, *_returned(made.results)]
    shown = _function(made.name, takes, [*unpacking, *body])
    if program.mathematics is None:
        runs = _function(made.name, takes, [*checks, *body])
    else:
        # Python's math raises errors where NumPy gives infinity or nan: then NumPy computes the same once more.
        leaves = ", ".join(str(x.step.label) for one in (*made.inputs, *made.captured) for x in one.entered.values())
        again = [*(f"{pattern} = {array}" for pattern, array in numbers), *program.lines, *_returned(made.results)]
        namespace |= {name: getattr(math, name) for name in program.mathematics}
        namespace["_with_numpy"] = _when_called(
            _function("_with_numpy", leaves, [*_as_numpy_numbers(made), *again]),
            {**program.namespace, **program.mathematics},
        )
        guarded = ["try:", *(_INDENT + line for line in body), "except (ValueError, ArithmeticError):"]
        runs = _function(made.name, takes, [*checks, *guarded, f"{_INDENT}return _with_numpy({leaves})"])
    _run(runs, made.name, namespace)
    compiled = namespace[made.name]
    compiled.source = _header(made, program) + shown
    compiled.constants = {name: x for name, x in program.namespace.items() if isinstance(x, np.ndarray) or is_sparse(x)}
    compiled.__doc__ = "Compiled by mathdl; see .source."
    return compiled  # type: ignore[no-any-return]


def _function(name: str, takes: str, lines: list[str]) -> str:
    return "\n".join([f"def {name}({takes}):", *(_INDENT + line for line in lines)]) + "\n"


def _run(text: str, name: str, namespace: dict[str, Any]) -> None:
    """Define a function; error messages can show its lines."""
    file = f"<compiled {name} {next(_numbers)}>"
    exec(builtins.compile(text, file, "exec"), namespace)
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)


def _when_called(text: str, namespace: dict[str, Any]) -> Callable[..., Any]:
    """The function ``_with_numpy`` of this text, which is not read before it is needed."""

    def with_numpy(*numbers: Any) -> Any:
        if "_with_numpy" not in namespace:
            _run(text, "_with_numpy", namespace)
        return namespace["_with_numpy"](*numbers)

    return with_numpy


def _numbers_of(made: Made) -> list[tuple[str, str]]:
    """For an unrolled program: the names of the entries of each array, and the array's."""
    if made.program.mathematics is None:
        return []
    arrays = [x for one in (*made.inputs, *made.captured) for x in one.entered.values() if x.ndim]
    return [(_entry_names(x.step.entries.tolist()), str(x.step.label)) for x in arrays]  # type: ignore[attr-defined]


def _entry_names(x: Any) -> str:
    parts = [f"({_entry_names(part)})" if isinstance(part, list) else part.template for part in x]
    return ", ".join(parts) + ("," if len(parts) == 1 else "")


def _as_numpy_numbers(made: Made) -> list[str]:
    names = [str(x.step.label) for one in (*made.inputs, *made.captured) for x in one.entered.values() if not x.ndim]
    return [f"{name} = np.float64({name})" for name in names]


def _unpack(one: Input, guards: _Guards, shown: list[str] | None, whole: str) -> None:
    """Lines that give each array of an argument its name, and the guards of these arrays."""
    if not isinstance(one.stand_in, Recorded) and one.entered:
        pattern = _pattern(one.stand_in)
        if pattern is not None and len(pattern) + len(whole) < WIDTH:
            line = f"{pattern} = {whole}"
            guards.lines.append(line)
            if shown is not None:
                shown.append(line)
        else:
            for path, x in one.entered.items():
                line = f"{x.step.label} = {whole}{path[len(one.name) :]}"
                guards.lines.append(line)
                if shown is not None:
                    shown.append(line)
    for path, x in one.entered.items():
        guards.leaf(str(x.step.label), path, x.step.value)


def _pattern(x: Any) -> str | None:
    """``(W1, b1), (W2, b2)``, if a tree is made of lists and tuples of arrays only."""
    if isinstance(x, Recorded):
        return str(x.step.label)
    if type(x) not in (list, tuple) or not x:
        return None
    parts = [_pattern(part) for part in x]
    if None in parts:
        return None
    inner = [f"({part})" if not isinstance(x[k], Recorded) else str(part) for k, part in enumerate(parts)]
    return ", ".join(inner) + ("," if len(inner) == 1 else "")


def _unchanged(fixed: list[Variable]) -> Callable[[], None]:
    """What is called first: it compares the variables that the source does not read with what they were."""
    quick = [(v.read, v.value, v.copied, v.name, v) for v in fixed]

    def check() -> None:
        for read, value, copied, name, variable in quick:
            now = read()
            if (now is not value or copied is not value) and not same(now, copied):
                came, before = describe(now), describe(variable.value)
                wanted = f"{before}, as" if came != before else "what it was"
                raise InvalidInput(
                    f"{name} (captured)",
                    came if came != before else f"{came} with other values",
                    f"{wanted} when it was compiled: compile again, or make it an argument",
                )

    return check


def _returned(results: list[str]) -> list[str]:
    """The last line, or one line for each result if it is long."""
    line = f"return {', '.join(results)}"
    if len(line) <= WIDTH or len(results) == 1:
        return [line]
    return ["return (", *(f"{_INDENT}{result}," for result in results), ")"]


def _header(made: Made, program: Program) -> str:
    """Imports, and what the source mentions that is defined elsewhere."""
    lines = ["import numpy as np"]
    if program.mathematics:
        lines.append(f"from math import {', '.join(program.mathematics)}")
    for name, thing in program.namespace.items():
        if name != "np" and callable(thing):
            module = getattr(thing, "__module__", None) or "scipy.special"
            alias = "" if name == thing.__name__ else f" as {name}"
            lines.append(f"from {module} import {thing.__name__}{alias}")
    captured = [str(x.step.label) for one in made.captured for x in one.entered.values()]
    if captured:
        lines += ["", f"# {', '.join(captured)}: captured, and read anew in every call"]
    for name, thing in program.namespace.items():
        if isinstance(thing, np.ndarray):
            identity = thing.ndim == 2 and thing.dtype == np.dtype(float) and np.array_equal(thing, np.eye(len(thing)))
            what = (
                f" = np.eye({len(thing)})" if identity else f": a constant array of {thing.dtype}, shape {thing.shape}"
            )
            lines.append(f"# {name}{what}")
        elif is_sparse(thing):
            lines.append(f"# {name}: a constant sparse matrix of {thing.dtype}, shape {thing.shape}")
    return "\n".join(lines) + "\n\n\n"
