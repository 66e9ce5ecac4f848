"""Programs on a few numbers, such as ``np.array([x[0] ** 2 * x[1], ...])``, written out number by number.

Here an array is an array of expressions: zeros and ones vanish, equal expressions become one, and what is left is
arithmetic that Python does faster than NumPy could call its functions.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mathdl.autodiff.compiling.cleaning import moderate
from mathdl.autodiff.compiling.source import Program
from mathdl.autodiff.recording import (
    Recorded,
    RecordedArray,
    RecordedNumber,
    Recording,
    Step,
    embedded,
    indexed,
    put,
    replaced,
    scattered,
)
from mathdl.errors import MathdlError

__all__ = ["NotUnrolled", "Unrolling", "write_numbers"]

SMALL: Final = 64  # entries that the inputs may have together
MANY: Final = 20_000  # expressions: beyond, it is no program on a few numbers
_ATOM, _POWER, _MINUS, _TIMES, _PLUS = 5, 4, 3, 2, 1


class NotUnrolled(MathdlError):
    """This program is better written with arrays."""


# --------------------------------------------------------------------------------------------------------- expressions
class Expression:
    """A number that is computed from others; equal ones are one object."""

    __slots__ = ("level", "name", "number", "operands", "template", "uses", "value")

    def __init__(self, number: int, template: str, level: int, operands: tuple[Any, ...], value: float | None) -> None:
        self.number, self.template, self.level, self.operands, self.value = number, template, level, operands, value
        self.uses = 0
        self.name: str | None = None


class _Algebra:
    """Makes expressions; knows all that were made."""

    def __init__(self) -> None:
        self.known: dict[Any, Expression] = {}

    def make(self, template: str, level: int, a: Expression, b: Expression | None = None) -> Expression:
        if b is None:
            key: Any = (template, a.number)
        elif template in _COMMUTING and a.number > b.number:
            key = (template, b.number, a.number)
        else:
            key = (template, a.number, b.number)
        found = self.known.get(key)
        if found is None:
            found = self._new(key, template, level, (a,) if b is None else (a, b), None)
        return found

    def _new(
        self, key: Any, template: str, level: int, operands: tuple[Expression, ...], value: float | None
    ) -> Expression:
        if len(self.known) > MANY:
            raise NotUnrolled
        found = self.known[key] = Expression(len(self.known), template, level, operands, value)
        return found

    def variable(self, name: str) -> Expression:
        return self._new(name, name, _ATOM, (), None)

    def constant(self, value: float) -> Expression:
        key = (value, value == 0 and math.copysign(1.0, value))
        found = self.known.get(key)
        return self._new(key, "", _ATOM, (), value) if found is None else found

    def lift(self, x: Any) -> Expression:
        if type(x) is Expression:
            return x
        if isinstance(x, (bool, np.bool_)) or not isinstance(x, (int, float, np.floating, np.integer)):
            raise NotUnrolled
        return self.constant(float(x))

    # -- arithmetic; zeros that stand in arrays are those of derivatives, and what is multiplied by them is dropped.
    # Signs move to the front.
    def add(self, a: Any, b: Any) -> Expression:
        a = a if type(a) is Expression else self.lift(a)
        b = b if type(b) is Expression else self.lift(b)
        if a.value is not None:
            if b.value is not None:
                return self.constant(a.value + b.value)
            if a.value == 0:
                return b  # type: ignore[no-any-return]
        elif b.value == 0:
            return a  # type: ignore[no-any-return]
        if b.template == "-{}":
            return self.make("{} - {}", _PLUS, a, b.operands[0])
        if a.template == "-{}":
            return self.make("{} - {}", _PLUS, b, a.operands[0])
        return self.make("{} + {}", _PLUS, a, b)

    def subtract(self, a: Any, b: Any) -> Expression:
        a, b = self.lift(a), self.lift(b)
        if a.value is not None:
            if b.value is not None:
                return self.constant(a.value - b.value)
            if a.value == 0:
                return self.negative(b)
        elif b.value == 0:
            return a  # type: ignore[no-any-return]
        return self.add(a, b.operands[0]) if b.template == "-{}" else self.make("{} - {}", _PLUS, a, b)

    def negative(self, a: Any) -> Expression:
        a = self.lift(a)
        if a.value is not None:
            return self.constant(-a.value)
        if a.template == "-{}":
            return a.operands[0]  # type: ignore[no-any-return]
        if a.template == "{} * {}" and a.operands[0].value is not None:
            return self.multiply(-a.operands[0].value, a.operands[1])
        return self.make("-{}", _MINUS, a)

    def multiply(self, a: Any, b: Any) -> Expression:
        a = a if type(a) is Expression else self.lift(a)
        b = b if type(b) is Expression else self.lift(b)
        if b.value is not None:
            a, b = b, a
        factor = a.value
        if factor is not None:
            if factor == 0:
                return a  # type: ignore[no-any-return]
            if b.value is not None:
                return self.constant(factor * b.value)
            if factor == 1:
                return b  # type: ignore[no-any-return]
            if factor == -1:
                return self.negative(b)
            if b.template == "-{}":
                return self.multiply(-factor, b.operands[0])
            if b.template == "{} * {}" and b.operands[0].value is not None and moderate(factor * b.operands[0].value):
                return self.multiply(factor * b.operands[0].value, b.operands[1])
            return self.make("{} * {}", _TIMES, a, b)
        if b.template == "-{}":
            return self.negative(self.multiply(a, b.operands[0]))
        if a.template == "-{}":
            return self.negative(self.multiply(a.operands[0], b))
        if (
            a.template == b.template == "{} * {}"
            and a.operands[0].value is not None
            and b.operands[0].value is not None
            and all(abs(e.operands[0].value) >= 1 for e in (a, b))  # or x * y could be too large where a * b is not
            and moderate(a.operands[0].value * b.operands[0].value)
        ):
            both = self.multiply(a.operands[1], b.operands[1])
            return self.multiply(a.operands[0].value * b.operands[0].value, both)
        return self.make("{} * {}", _TIMES, a, b)

    def divide(self, a: Any, b: Any) -> Expression:
        a, b = self.lift(a), self.lift(b)
        if b.value == 1:
            return a  # type: ignore[no-any-return]
        if b.value == 0:
            raise NotUnrolled  # an error in Python, infinity in NumPy
        if a.value is not None and b.value is not None:
            return self.constant(a.value / b.value)
        return self.make("{} / {}", _TIMES, a, b)

    def power(self, a: Any, b: Any) -> Expression:
        a, b = self.lift(a), self.lift(b)
        if b.value is not None and b.value.is_integer() and 0 < abs(b.value) < 1000 and a.value is None:
            n = int(b.value)
            if n == 2:
                return self.multiply(a, a)  # three times as fast as a power
            return a if n == 1 else self.make(f"{{}}**{n}", _POWER, a)
        return self.make("pow({}, {})", _ATOM, a, b)


_COMMUTING: Final = frozenset({"{} + {}", "{} * {}"})

# NumPy function -> the name that Python's math module has for it; where that raises an error, NumPy is asked instead
_MATH: Final = {
    np.sin: "sin", np.cos: "cos", np.tan: "tan", np.arcsin: "asin", np.arccos: "acos", np.arctan: "atan",
    np.sinh: "sinh", np.cosh: "cosh", np.tanh: "tanh", np.arcsinh: "asinh", np.arccosh: "acosh", np.arctanh: "atanh",
    np.exp: "exp", np.expm1: "expm1", np.log: "log", np.log2: "log2", np.log10: "log10", np.log1p: "log1p",
    np.sqrt: "sqrt", np.arctan2: "atan2", np.hypot: "hypot",
}  # fmt: skip
_NUMPY_NAME: Final = {name: function for function, name in _MATH.items()} | {"pow": np.power}
_ARITHMETIC: Final = {
    np.add: "add", np.subtract: "subtract", np.multiply: "multiply", np.divide: "divide", np.negative: "negative",
    np.power: "power",
}  # fmt: skip
# Functions that only move entries, or do arithmetic with them: NumPy does them with arrays of expressions too.
_STRUCTURAL: Final = {
    *(np.reshape, np.ravel, np.transpose, np.swapaxes, np.moveaxis, np.broadcast_to, np.expand_dims, np.squeeze),
    *(np.concatenate, np.stack, np.take, np.array, np.flip, indexed, embedded, put, scattered),
}


class Unrolling(Recording):
    """A recording in which every entry of every array is an expression of its own."""

    prefers_forward = True  # zeros of the first tangents vanish at once

    def __init__(self, reserved: set[str]) -> None:
        super().__init__()
        self.reserved = reserved  # names of arguments and of captured arrays
        self.taken = {"np", *_NUMPY_NAME}
        self.algebra = _Algebra()
        self.operations: dict[Any, Callable[..., Expression]] = {}
        self.on_numbers = self.on_arrays = self.entered = 0

    @property
    def worthwhile(self) -> bool:
        """Whether the program works with numbers rather than with arrays."""
        return self.on_numbers > self.on_arrays

    def enter(self, value: Any, label: str) -> Recorded:
        array = np.asarray(value)
        self.entered += array.size
        if array.dtype != np.dtype(float) or self.entered > SMALL or array.ndim > 2 or not array.size:
            raise NotUnrolled
        entries = [self.algebra.variable(name) for name in self._names(label, array.shape)]
        if not array.ndim:
            return self.wrap(entries[0], label)
        objects = np.empty(array.size, dtype=object)
        objects[:] = entries
        return self.wrap(objects.reshape(array.shape), label)

    def _names(self, label: str, shape: tuple[int, ...]) -> list[str]:
        """x0, x1, ... for the entries of x; x_0, x_1, ... if one of these is something else."""
        if label in self.taken:
            raise NotUnrolled
        plain = not label[-1].isdigit() and max(shape, default=0) <= 10
        for joint in ("", "_") if plain else ("_",):
            names = (
                [f"{label}{joint}{joint.join(map(str, place))}" for place in np.ndindex(*shape)] if shape else [label]
            )
            if not (self.taken | (self.reserved - {label})).intersection(names):
                self.taken.update(names, [label])
                return names
        raise NotUnrolled

    def wrap(self, entries: Any, label: str | None = None) -> Recorded:
        if isinstance(entries, np.ndarray) and entries.ndim:
            step = _Entries(entries, np.zeros(entries.shape))
            step.label = label
            return RecordedArray(self, step)
        if isinstance(entries, np.ndarray):
            entries = entries.item()
        step = _Entries(self.algebra.lift(entries), _ZERO)
        step.label = label
        return RecordedNumber(self, step)

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(function, np.ufunc) and function.signature is None:
            return self._elementwise(function, args, kwargs)
        given = [_entries(x) for x in args]
        if function is np.matmul or function in (np.sum, np.add.reduce):
            if function is not np.matmul:
                function = np.add.reduce if "axis" in kwargs or len(args) > 1 else _sum
            with_entries = {name: _entries(x) for name, x in kwargs.items()}
            given = [self._objects(x) if k == 0 or function is np.matmul else x for k, x in enumerate(given)]
            self.on_arrays += 1
            return self.wrap(_with(self.algebra, function, given, with_entries))
        if function not in _STRUCTURAL:
            raise NotUnrolled
        return self.wrap(_with(self.algebra, function, given, {name: _entries(x) for name, x in kwargs.items()}))

    def _elementwise(self, function: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
        if kwargs:
            raise NotUnrolled
        given = [_entries(x) for x in args]
        if all(not isinstance(x, (np.ndarray, list, tuple)) for x in given):
            self.on_numbers += 1
            operands = [self.algebra.lift(x) for x in given]
            if function is np.multiply and (operands[0].value == 0 or operands[1].value == 0):
                return self.wrap(self.algebra.make("{} * {}", _TIMES, *operands))  # 0 * inf is not 0
            return self.wrap(self._known_operation(function)(*operands))
        # An array times a number, and sums, are what derivatives of numbers make too; all else is the program's own.
        arrays = sum(isinstance(x, np.ndarray) for x in given)
        self.on_arrays += not (
            function in (np.add, np.subtract, np.negative) or (function is np.multiply and arrays == 1)
        )
        return self.wrap(np.frompyfunc(self._known_operation(function), len(args), 1)(*given))

    def _known_operation(self, function: Any) -> Callable[..., Expression]:
        found = self.operations.get(function)
        if found is None:
            found = self.operations[function] = self._operation(function)
        return found

    def _operation(self, function: Any) -> Callable[..., Expression]:
        algebra = self.algebra
        if function in _ARITHMETIC:
            return getattr(algebra, _ARITHMETIC[function])  # type: ignore[no-any-return]
        if function is np.square:
            return lambda a: algebra.power(a, 2)
        if function is np.reciprocal:
            return lambda a: algebra.divide(1.0, a)
        if function is np.positive:
            return algebra.lift
        name = _MATH.get(function)
        if name is None:
            raise NotUnrolled
        template = f"{name}({', '.join(['{}'] * function.nin)})"
        return lambda *operands: algebra.make(template, _ATOM, *map(algebra.lift, operands))

    def _objects(self, x: Any) -> Any:
        """An array of expressions that can be added and multiplied by NumPy's loops for objects."""
        algebra = self.algebra
        array = np.asarray(x, dtype=object)
        return np.frompyfunc(lambda e: _Operand(algebra, algebra.lift(e)), 1, 1)(array)

    def read_labels(self) -> None:
        """Numbers are named by their entries."""


class _Entries(Step):
    """A step that is nothing but its expressions; its value is a stand-in with the same shape."""

    __slots__ = ("entries",)

    def __init__(self, entries: Any, value: Any) -> None:
        self.entries, self.value = entries, value
        self.function = self.label = None
        self.companions, self.provisional = [], False
        self.args, self.kwargs, self.place = (), {}, 0


_ZERO: Final = np.float64(0.0)


class _Operand:
    """An expression with operators, for the time of one of NumPy's sums or products of objects."""

    __slots__ = ("algebra", "expression")

    def __init__(self, algebra: _Algebra, expression: Expression) -> None:
        self.algebra, self.expression = algebra, expression

    def __add__(self, other: Any) -> Any:
        return _Operand(self.algebra, self.algebra.add(self.expression, getattr(other, "expression", other)))

    __radd__ = __add__

    def __mul__(self, other: Any) -> Any:
        return _Operand(self.algebra, self.algebra.multiply(self.expression, getattr(other, "expression", other)))


def _sum(x: Any, keepdims: bool = False) -> Any:
    return np.add.reduce(x, axis=None, keepdims=keepdims)  # type: ignore[call-overload]


def _with(algebra: _Algebra, function: Any, args: list[Any], kwargs: Any) -> Any:
    """Call a NumPy function with arrays of expressions."""
    if function in (put, scattered):
        y = args[0] if function is put else np.zeros(args[2], dtype=object)
        key, g = (args[1], args[2]) if function is put else (args[1], args[0])
        y = y.copy()
        if isinstance(y[key], np.ndarray):
            y[key] = np.frompyfunc(algebra.add, 2, 1)(y[key], g)
        else:
            y[key] = algebra.add(y[key], g)
        if function is scattered and np.size(y[key]) > 1:
            raise NotUnrolled  # places may occur more than once
        return y
    if function is embedded:
        y = np.zeros(args[2], dtype=object)
        y[args[1]] = args[0]
        return y
    if function is np.array:
        return _stacked(args[0])
    result = function(*args, **kwargs)
    if isinstance(result, _Operand):
        return result.expression
    if (
        isinstance(result, np.ndarray)
        and result.dtype == object
        and result.size
        and isinstance(result.flat[0], _Operand)
    ):
        return np.frompyfunc(lambda e: e.expression if isinstance(e, _Operand) else e, 1, 1)(result)
    return result


def _stacked(x: Any) -> Any:
    def shape_of(part: Any) -> tuple[int, ...]:
        return (len(part), *shape_of(part[0])) if isinstance(part, list) else ()

    def flat(part: Any) -> Any:
        return [entry for inner in part for entry in flat(inner)] if isinstance(part, list) else [part]

    entries = flat(x)
    if any(isinstance(entry, np.ndarray) for entry in entries):
        raise NotUnrolled
    objects = np.empty(len(entries), dtype=object)
    objects[:] = entries
    return objects.reshape(shape_of(x))


def _entries(x: Any) -> Any:
    """Arguments with expressions in place of what is recorded."""
    return replaced(x, lambda r: r.step.entries)


# ------------------------------------------------------------------------------------------------------------- writing
def write_numbers(recording: Unrolling, inputs: list[Recorded], results: list[Any]) -> Program:
    """Write an unrolled program as source; as `mathdl.autodiff.source.write`."""
    writer = _Writer(recording.algebra, recording.taken | recording.reserved)
    ends = [_entries(x) for x in results]
    for end in ends:
        for e in end.flat if isinstance(end, np.ndarray) else [end]:
            writer.count(writer.lift(e))
    texts = [writer.result(end) for end in ends]
    namespace: dict[str, Any] = {"np": np}
    names = {id(x.step): str(x.step.label) for x in inputs}
    program = Program(writer.lines, texts, names, namespace)
    program.mathematics = {name: _NUMPY_NAME[name] for name in sorted(writer.functions)}
    return program


class _Writer:
    """Expressions as text, with a line for each that is used more than once or is long."""

    def __init__(self, algebra: _Algebra, taken: set[str]) -> None:
        self.lift = algebra.lift
        self.width = 70 if len(algebra.known) < 400 else 500  # characters; what is long is not read line by line
        self.lines: list[str] = []
        self.functions: set[str] = set()
        self.texts: dict[int, tuple[str, int]] = {}
        self.temporaries = (name for k in itertools.count(1) if (name := f"t{k}") not in taken)

    def count(self, root: Expression) -> None:
        """How often each expression is used."""
        waiting = [root]
        while waiting:
            e = waiting.pop()
            e.uses += 1
            if e.uses == 1:
                waiting.extend(e.operands)

    def text(self, root: Expression) -> tuple[str, int]:
        """An expression's text and how tightly it binds; its parts first, without recursion."""
        waiting = [root]
        while waiting:
            e = waiting[-1]
            if e.number in self.texts:
                waiting.pop()
                continue
            missing = [part for part in e.operands if part.number not in self.texts]
            if missing:
                waiting.extend(reversed(missing))
                continue
            waiting.pop()
            self.texts[e.number] = self._one(e)
        return self.texts[root.number]

    def _one(self, e: Expression) -> tuple[str, int]:
        if e.value is not None:
            value = e.value
            if not math.isfinite(value):
                return f"np.{'nan' if value != value else 'inf'}" if value >= 0 or value != value else "-np.inf", _MINUS
            return repr(value), _ATOM if value >= 0 else _MINUS
        if not e.operands:
            return e.template, _ATOM
        if e.level == _ATOM:
            self.functions.add(e.template.partition("(")[0])
            text = e.template.format(*(self.texts[part.number][0] for part in e.operands))
        else:
            parts = []
            for k, part in enumerate(_in_order(e)):
                inner, level = self.texts[part.number]
                needed = e.level + (k == 1) + (e.level == _POWER)  # a + (b + c) is not rounded as a + b + c
                parts.append(inner if level >= needed else f"({inner})")
            if parts[-1][0] == "-" and len(parts) == 2:
                plus = e.template == "{} + {}"  # a + (-b) is a - b
                text = f"{parts[0]} - {parts[1][1:]}" if plus else e.template.format(parts[0], f"({parts[1]})")
            else:
                text = e.template.format(*parts)
        if e.uses > 1 or len(text) > self.width:
            name = next(self.temporaries)
            self.lines.append(f"{name} = {text}")
            return name, _ATOM
        return text, e.level

    def result(self, end: Any) -> str:
        """One result of the program."""
        if not isinstance(end, np.ndarray):
            if not isinstance(end, (Expression, float)):
                return repr(end)
            return f"np.float64({self.text(self.lift(end))[0]})"
        texts = np.frompyfunc(lambda e: self._entry(self.lift(e)), 1, 1)(end)
        if not end.size:
            return f"np.zeros({end.shape})"
        if end.size > 16:  # faster, and no longer a picture of the matrix anyway
            return f"np.array([{', '.join(texts.ravel().tolist())}]).reshape{end.shape}"
        return f"np.array({_bracketed(texts.tolist())})"

    def _entry(self, e: Expression) -> str:
        return repr(e.value) if e.value is not None and math.isfinite(e.value) else self.text(e)[0]


def _in_order(e: Expression) -> tuple[Expression, ...]:
    """The operands; of a product, the one that begins with a number first."""
    if e.template == "{} * {}":
        a, b = e.operands
        if b.template == "{} * {}" and b.uses == 1 and b.operands[0].value is not None:
            return b, a
    return e.operands


def _bracketed(x: Any) -> str:
    return f"[{', '.join(map(_bracketed, x))}]" if isinstance(x, list) else str(x)
