"""What a function uses besides its arguments: closure, global and default variables, and what these refer to.

A compiled program must not go on with what such a variable was when it was compiled. Arrays become inputs that are read
anew in every call; everything else is compared with what it was.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import copy
import dis
import functools
import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from mathdl.errors import NotDifferentiable

__all__ = ["AssignsOutside", "Variable", "planted", "same", "snapshot", "variables_of"]

_LIBRARIES: Final = frozenset({"numpy", "scipy", "mathdl", "sympy", "matplotlib", *sys.stdlib_module_names}) - {
    "__main__"
}
_DEEPEST: Final = 6


class AssignsOutside(NotDifferentiable):
    """A function that assigns to a variable outside of it."""


class Variable:
    """A place where a function finds a value: ``scope[key]``, such as the globals of a module or one closure cell."""

    __slots__ = ("copied", "key", "name", "scope", "value")

    def __init__(self, name: str, scope: Any, key: Any, value: Any) -> None:
        self.name, self.scope, self.key, self.value = name, scope, key, value
        self.copied = snapshot(value)

    @property
    def holds_arrays(self) -> bool:
        """Whether it is an array or made of arrays, in lists, tuples and dicts."""
        found = list(_leaves(self.value))
        return any(_is_array(leaf) for leaf in found) and all(_is_array(leaf) or _is_simple(leaf) for leaf in found)

    def read(self) -> Any:
        return self.scope.cell_contents if isinstance(self.scope, types.CellType) else self.scope[self.key]

    def write(self, value: Any) -> None:
        if isinstance(self.scope, types.CellType):
            self.scope.cell_contents = value
        else:
            self.scope[self.key] = value

    @property
    def plantable(self) -> bool:
        return isinstance(self.scope, (types.CellType, dict))


def _is_array(x: Any) -> bool:
    return type(x) is np.ndarray and x.dtype.kind in "fiub"


def _is_simple(x: Any) -> bool:
    return x is None or isinstance(x, (bool, int, float, complex, str, bytes, np.generic, np.dtype, type, range))


def _leaves(x: Any, depth: int = 0) -> Iterator[Any]:
    if type(x) is dict:
        parts = list(x.values())
    elif type(x) in (list, tuple):
        parts = list(x)
    else:
        yield x
        return
    for part in parts:
        yield from _leaves(part, depth + 1) if depth < _DEEPEST else [object()]


# ----------------------------------------------------------------------------------------------- finding the variables
def variables_of(function: Any) -> list[Variable]:
    """All variables that a function can reach by name, through the functions that it calls too."""
    found: list[Variable] = []
    _visit(function, found, set())
    return found


def _visit(f: Any, found: list[Variable], seen: set[int]) -> None:
    if id(f) in seen:
        return
    seen.add(id(f))
    if isinstance(f, functools.partial):
        for part in (f.func, *f.args, *f.keywords.values()):
            _take(Variable("an argument of a partial", (part,), 0, part), found, seen)
    elif isinstance(f, types.MethodType):
        _take(Variable(f"the object of {f.__name__}", (f.__self__,), 0, f.__self__), found, seen)
        _visit(f.__func__, found, seen)
    elif isinstance(f, types.FunctionType):
        _visit_function(f, found, seen)
    elif _is_of_the_user(type(f)) and callable(f) and not isinstance(f, type):
        _take(Variable(f"the {type(f).__name__}", (f,), 0, f), found, seen)


def _is_of_the_user(thing: Any) -> bool:
    """Whether a function, class or module was written for the program, and does not come from a library."""
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None) or ""
    return module.partition(".")[0] not in _LIBRARIES


def _visit_function(f: types.FunctionType, found: list[Variable], seen: set[int]) -> None:
    own = _is_of_the_user(f)
    globals_read, attributes = _names_in(f.__code__) if own else ([], set())
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
        if own and isinstance(value, types.ModuleType):
            _take_module(value, attributes, found, seen)
        elif own:
            _take(Variable(name, cell, None, value), found, seen)
        elif callable(value):
            _visit(value, found, seen)
    if not own:
        return
    for name in globals_read:
        if name in f.__globals__:
            value = f.__globals__[name]
            if isinstance(value, types.ModuleType):
                _take_module(value, attributes, found, seen)
            else:
                _take(Variable(name, f.__globals__, name, value), found, seen)
    defaults = zip(f.__code__.co_varnames[: f.__code__.co_argcount][::-1], (f.__defaults__ or ())[::-1], strict=False)
    for name, value in [*defaults, *(f.__kwdefaults__ or {}).items()]:
        _take(Variable(f"the default of {name}", (value,), 0, value), found, seen)


def _take(variable: Variable, found: list[Variable], seen: set[int]) -> None:
    if any(other.scope is variable.scope and other.key == variable.key for other in found):
        return
    value = variable.value
    of_the_user = _is_of_the_user(value if isinstance(value, type) else type(value))
    if callable(value) and not isinstance(value, types.FunctionType) and not of_the_user:
        return  # a function or class of a library
    found.append(variable)
    for leaf in _leaves(value):
        if callable(leaf):
            _visit(leaf, found, seen)
    if _is_of_the_user(type(value)) and not isinstance(value, (type, types.FunctionType)):
        for kind in type(value).__mro__:
            for part in vars(kind).values() if _is_of_the_user(kind) else ():
                if isinstance(part, types.FunctionType):
                    _visit(part, found, seen)


def _take_module(module: types.ModuleType, attributes: set[str], found: list[Variable], seen: set[int]) -> None:
    if not _is_of_the_user(module):
        return
    for name in sorted(attributes & set(vars(module))):
        value = vars(module)[name]
        if not isinstance(value, types.ModuleType):
            _take(Variable(name, vars(module), name, value), found, seen)


def _names_in(code: types.CodeType) -> tuple[list[str], set[str]]:
    """The global names that code reads, and all attribute names in it, inner functions included."""
    names: dict[str, None] = {}
    attributes = set(code.co_names)
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            names[step.argval] = None
    for constant in code.co_consts:
        if inspect.iscode(constant):
            inner, more = _names_in(constant)
            names.update(dict.fromkeys(inner))
            attributes |= more
    return list(names), attributes


# ---------------------------------------------------------------------------------------------------- comparing values
class _Object:
    """What is remembered of an object: its type and its attributes."""

    def __init__(self, of: Any, attributes: Any) -> None:
        self.of, self.attributes = of, attributes


def snapshot(x: Any, depth: int = 0) -> Any:
    """A copy to compare with later: of containers, arrays and the attributes of objects; the thing itself otherwise."""
    if depth > _DEEPEST or _is_simple(x) or isinstance(x, (types.FunctionType, types.ModuleType, types.MethodType)):
        return x
    if isinstance(x, (list, tuple)):
        return [snapshot(part, depth + 1) for part in x]
    if isinstance(x, dict):
        return {key: snapshot(part, depth + 1) for key, part in x.items()}
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, (set, frozenset)):
        return copy.copy(x)
    if hasattr(x, "__dict__"):
        return _Object(x, {key: snapshot(part, depth + 1) for key, part in vars(x).items()})
    return x


def same(x: Any, before: Any) -> bool:
    """Whether a value is still what its `snapshot` says."""
    if x is before:
        return True
    if isinstance(before, _Object):
        return x is before.of and same(dict(vars(x)), before.attributes)
    if isinstance(x, (list, tuple)) and isinstance(before, list):
        return len(x) == len(before) and all(map(same, x, before))
    if isinstance(x, dict) and isinstance(before, dict):
        return list(x) == list(before) and all(map(same, x.values(), before.values()))
    if type(x) is not type(before):
        return False
    if isinstance(x, np.ndarray):
        if x.dtype != before.dtype or x.shape != before.shape:
            return False
        return x.tobytes() == before.tobytes() if x.dtype.kind != "O" else all(map(same, x.flat, before.flat))
    if isinstance(x, (types.FunctionType, types.ModuleType, type)):
        return False
    try:
        return bool(x == before) or bool(x != x and before != before)
    except Exception:
        return False


# -------------------------------------------------------------------------------------------- recording in their place
@contextmanager
def planted(variables: list[Variable], stand_ins: list[Any]) -> Iterator[None]:
    """Put recorded arrays in the place of captured ones while a function is followed."""
    for variable, stand_in in zip(variables, stand_ins, strict=True):
        variable.write(stand_in)
    before = [list(map(id, _leaves(stand_in))) for stand_in in stand_ins]
    try:
        yield
        for variable, stand_in, leaves in zip(variables, stand_ins, before, strict=True):
            if variable.read() is not stand_in or list(map(id, _leaves(stand_in))) != leaves:
                raise AssignsOutside(
                    variable.name,
                    "the function assigns to a variable outside of it, which a compiled program would not do",
                    "return the new value",
                )
    finally:
        for variable in variables:
            variable.write(variable.value)
