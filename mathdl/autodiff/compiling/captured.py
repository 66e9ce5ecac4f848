"""What a function uses besides its arguments: closure, global and default variables, and what these refer to.

A compiled program must not go on with what such a variable was when it was compiled. Arrays become inputs that are read
anew in every call; everything else is compared with what it was.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import collections
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
_DEEPEST: Final = 30
_PLAIN: Final = (dict, list, tuple, set, frozenset, collections.deque, types.SimpleNamespace, type, types.MethodType)
_FUNCTION: Final = types.FunctionType
# What has no state of its own that a program could change, or only caches.
_IDENTICAL: Final = (types.ModuleType, types.MethodType, np.ufunc, np.vectorize, functools.partial, property)


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
def variables_of(function: Any, args: Any = ()) -> list[Variable]:
    """All variables that a function can reach by name, through the functions, objects and classes that it uses too."""
    found: list[Variable] = []
    seen: dict[int, Any] = {}  # by id; kept alive, or another thing could get its id
    _visit(function, found, seen)
    for arg in args:
        _visit(arg, found, seen)
    return found


def _is_of_the_user(thing: Any) -> bool:
    """Whether a function, class or module was written for the program, and does not come from a library."""
    module = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None) or ""
    return str(module).partition(".")[0] not in _LIBRARIES


def _visit(x: Any, found: list[Variable], seen: dict[int, Any], depth: int = 0) -> None:
    """Look for variables in whatever a variable holds: functions and what they read, objects, classes, containers."""
    if id(x) in seen or depth > _DEEPEST or isinstance(x, np.ndarray) or (_is_simple(x) and not isinstance(x, type)):
        return
    seen[id(x)] = x
    parts: Any = ()
    if isinstance(x, functools.partial):
        for part in (x.func, *x.args, *x.keywords.values()):
            _take(Variable("an argument of a partial", (part,), 0, part), found, seen, depth)
    elif isinstance(x, types.MethodType):
        _take(Variable(f"the object of {x.__name__}", (x.__self__,), 0, x.__self__), found, seen, depth)
        parts = (x.__func__,)
    elif isinstance(x, types.FunctionType):
        _visit_function(x, found, seen, depth)
    elif isinstance(x, type):
        parts = (type(x),)
        for kind in x.__mro__:
            if _is_of_the_user(kind):
                _take(Variable(f"the class {kind.__name__}", (kind,), 0, kind), found, seen, depth)
                parts = (*parts, *vars(kind).values())
    elif isinstance(x, property):
        parts = (x.fget,)
    elif isinstance(x, (list, tuple, set, frozenset, collections.deque)):
        parts = list(x)
    elif isinstance(x, dict):
        parts = list(x.values())
    elif not isinstance(x, types.ModuleType):
        if callable(x) and _is_of_the_user(type(x)):
            _take(Variable(f"the {type(x).__name__}", (x,), 0, x), found, seen, depth)
        parts = (type(x), *attributes_of(x).values(), getattr(x, "__wrapped__", None))
    for part in parts:
        _visit(part, found, seen, _deeper(x, depth))


def _deeper(x: Any, depth: int) -> int:
    """Objects of libraries can hold very much that does not belong to the program: these are not followed as far."""
    return depth + (1 if _is_of_the_user(type(x)) or isinstance(x, _PLAIN) else 10)


def _visit_function(f: types.FunctionType, found: list[Variable], seen: dict[int, Any], depth: int) -> None:
    own = _is_of_the_user(f)
    globals_read, attributes = _names_in(f.__code__) if own else ((), frozenset())
    for name, cell in zip(f.__code__.co_freevars, f.__closure__ or (), strict=True):
        try:
            value = cell.cell_contents
        except ValueError:  # not yet assigned
            continue
        if own and isinstance(value, types.ModuleType):
            _take_module(value, attributes, found, seen, depth)
        elif own:
            _take(Variable(name, cell, None, value), found, seen, depth)
        elif callable(value):
            _visit(value, found, seen, depth + 1)
    if not own:
        return
    for name in globals_read:
        if name in f.__globals__:
            value = f.__globals__[name]
            if isinstance(value, types.ModuleType):
                _take_module(value, attributes, found, seen, depth)
            else:
                _take(Variable(name, f.__globals__, name, value), found, seen, depth)
    defaults = zip(f.__code__.co_varnames[: f.__code__.co_argcount][::-1], (f.__defaults__ or ())[::-1], strict=False)
    for name, value in [*defaults, *(f.__kwdefaults__ or {}).items()]:
        _take(Variable(f"the default of {name}", (value,), 0, value), found, seen, depth)


def _take(variable: Variable, found: list[Variable], seen: dict[int, Any], depth: int) -> None:
    if not any(other.scope is variable.scope and other.key == variable.key for other in found):
        found.append(variable)
        _visit(variable.value, found, seen, depth + 1)


def _take_module(
    module: types.ModuleType, attributes: frozenset[str], found: list[Variable], seen: dict[int, Any], depth: int
) -> None:
    if not _is_of_the_user(module):
        return
    for name in sorted(attributes & set(vars(module))):
        value = vars(module)[name]
        if not isinstance(value, types.ModuleType):
            _take(Variable(name, vars(module), name, value), found, seen, depth)
        elif value is not module and depth < _DEEPEST:
            _take_module(value, attributes, found, seen, depth + 1)


@functools.lru_cache(maxsize=1024)
def _names_in(code: types.CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
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
    return tuple(names), frozenset(attributes)


# ---------------------------------------------------------------------------------------------------- comparing values
class _Object:
    """What is remembered of an object or a class: its attributes."""

    def __init__(self, of: Any, attributes: Any) -> None:
        self.of, self.attributes = of, attributes


def attributes_of(x: Any) -> dict[str, Any]:
    """The attributes that an object has of its own, in slots too; of a class, all but those that Python gives it."""
    if isinstance(x, type):
        return {name: part for name, part in vars(x).items() if name[:2] != "__" or isinstance(part, _FUNCTION)}
    found = dict(getattr(x, "__dict__", {}))
    kind: Any = type(x)
    for name in _slots_of(kind):
        found[name] = getattr(x, name, None)
    return found


@functools.lru_cache
def _slots_of(kind: type) -> list[str]:
    return [
        name
        for base in kind.__mro__
        if _is_of_the_user(base)
        for name, part in vars(base).items()
        if isinstance(part, types.MemberDescriptorType)
    ]


def snapshot(x: Any, depth: int = 0, seen: dict[int, Any] | None = None) -> Any:
    """A copy to compare with later: of containers, arrays and the attributes of objects; the thing itself otherwise."""
    seen = {} if seen is None else seen
    if id(x) in seen or depth > _DEEPEST or (_is_simple(x) and not isinstance(x, type)):
        return x
    if isinstance(x, type) and not _is_of_the_user(x):
        return x
    if isinstance(x, _IDENTICAL) or (isinstance(x, _FUNCTION) and not vars(x)):
        return x
    seen[id(x)] = x
    deeper = _deeper(x, depth)
    if isinstance(x, (list, tuple, collections.deque)):
        return [snapshot(part, deeper, seen) for part in x]
    if isinstance(x, dict):
        return {key: snapshot(part, deeper, seen) for key, part in x.items()}
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, (set, frozenset, bytearray)):
        return copy.copy(x)
    attributes = attributes_of(x)
    if attributes or isinstance(x, type) or hasattr(x, "__dict__"):
        return _Object(x, {name: snapshot(part, deeper, seen) for name, part in attributes.items()})
    return x


def same(x: Any, before: Any) -> bool:
    """Whether a value is still what its `snapshot` says."""
    if x is before:
        return True
    if isinstance(before, _Object):
        if x is not before.of and not (type(x) is type(before.of) and type(x) is not type and _is_of_the_user(type(x))):
            return False
        return same(attributes_of(x), before.attributes)
    if isinstance(x, (list, tuple, collections.deque)) and isinstance(before, list):
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
