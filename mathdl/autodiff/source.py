"""A recorded program written out as straight-line NumPy source: nothing twice, nothing unused, buffers used again.

What the program itself has named keeps its name, and what is the derivative by ``z`` is called ``dz``.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import itertools
import keyword
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from mathdl.autodiff.naming import full_name
from mathdl.autodiff.recording import Recorded, Step, embedded, indexed, item, put, scattered

__all__ = ["Program", "Text", "write"]

LARGE: Final = 2**13  # bytes: results of this size are written over operands that nobody needs any more
WIDTH: Final = 88  # characters: longer expressions are taken apart


# ------------------------------------------------------------------------------------------------- values and constants
class Value:
    """A step of the cleaned-up program: its arguments are values, or plain Python and NumPy objects."""

    __slots__ = ("args", "derived", "function", "kwargs", "label", "step", "uses")

    def __init__(self, step: Step, args: Any, kwargs: Any) -> None:
        self.step, self.args, self.kwargs, self.function = step, args, kwargs, step.function
        self.label: str | None = None  # what the program calls it
        self.derived: str | None = None  # dz, if it is the derivative by z
        self.uses = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape_of(self.step)

    @property
    def dtype(self) -> Any:
        return getattr(self.step.value, "dtype", None)

    @property
    def large(self) -> bool:
        return getattr(self.step.value, "nbytes", 0) >= LARGE


def _shape_of(step: Step) -> tuple[int, ...]:
    """The shape of a step's result; () for several results at once."""
    return () if isinstance(step.value, (tuple, list)) else np.shape(step.value)


def parts_of(x: Any) -> Iterator[Value]:
    """The values in an argument, however it is nested."""
    if isinstance(x, Value):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from parts_of(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from parts_of(part)
    elif isinstance(x, slice):
        yield from parts_of((x.start, x.stop, x.step))


# ----------------------------------------------------------------------------------------------- cleaning up the program
VIEWS: Final = {
    np.reshape,
    np.transpose,
    np.broadcast_to,
    np.swapaxes,
    np.expand_dims,
    np.squeeze,
    np.moveaxis,
    np.ravel,
}
ELEMENTWISE_TEXT: Final[dict[Any, tuple[str, int]]] = {
    np.power: ("**", 5), np.multiply: ("*", 3), np.divide: ("/", 3), np.matmul: ("@", 3), np.remainder: ("%", 3),
    np.floor_divide: ("//", 3), np.add: ("+", 2), np.subtract: ("-", 2), np.greater: (">", 1), np.less: ("<", 1),
    np.greater_equal: (">=", 1), np.less_equal: ("<=", 1), np.equal: ("==", 1), np.not_equal: ("!=", 1),
}  # fmt: skip
UNARY_TEXT: Final = {np.negative: "-", np.invert: "~"}
UNARY_LEVEL: Final = 4
ATOM: Final = 9


class Cleaner:
    """Steps become values: unused ones are left out, equal ones become one, and detours are cut short."""

    def __init__(self, steps: list[Step], results: list[Step]) -> None:
        self.values: list[Value] = []
        self.of: dict[int, Value] = {}
        self.known: dict[Any, Value] = {}
        needed = _needed(steps, results)
        for step in steps:
            if step.place in needed:
                self.of[step.place] = self.clean(step)
        self._label(steps)

    def convert(self, x: Any) -> Any:
        """An argument, with values in place of recorded arrays."""
        if isinstance(x, Recorded):
            return self.of[x.step.place]
        kind = type(x)
        if kind is tuple or kind is list:
            return kind([self.convert(part) for part in x])
        if kind is dict:
            return {name: self.convert(part) for name, part in x.items()}
        if kind is slice:
            return slice(*map(self.convert, (x.start, x.stop, x.step)))
        return x

    def clean(self, step: Step) -> Value:
        args, kwargs = self.convert(step.args), self.convert(step.kwargs)
        if step.function is None:
            value = Value(step, args, kwargs)
            self.values.append(value)
            return value
        args = self._with_scalars(step, args)
        args = _folded(step, args)
        same = _shortcut(step, args, kwargs)
        if same is not None:
            return same
        key = (step.function, _key(args), _key(kwargs))
        found = self.known.get(key)
        if found is not None:
            return found
        value = Value(step, args, kwargs)
        self.values.append(value)
        self.known[key] = value
        return value

    def _with_scalars(self, step: Step, args: Any) -> Any:
        """Elementwise: a constant array of equal entries becomes a number, and broadcasting is left to NumPy."""
        if not isinstance(step.function, np.ufunc) or step.function.signature is not None or len(args) != 2:
            return args
        shape, dtype = _shape_of(step), getattr(step.value, "dtype", None)
        result = list(args)
        for k in (0, 1):
            mine, other = result[k], result[1 - k]
            candidate = mine
            if isinstance(mine, np.ndarray) and mine.size and mine.dtype == dtype and _uniform(mine):
                candidate = float(mine.flat[0]) if mine.dtype == np.dtype(float) else mine.flat[0]
            elif isinstance(mine, Value) and mine.function is np.broadcast_to:
                candidate = mine.args[0]
            if candidate is not mine and _broadcast(candidate, other) == shape:
                result[k] = candidate
        return tuple(result)

    def _label(self, steps: list[Step]) -> None:
        """Names: what the program says, and dz for what is the derivative by z."""
        derived: dict[int, str] = {}
        for step in steps:
            value = self.of.get(step.place)
            if value is not None and value.label is None:
                value.label = step.label
        for step in steps:
            value = self.of.get(step.place)
            for other in step.companions:
                name = other.label or derived.get(other.place)
                if name is not None:
                    derived.setdefault(step.place, f"d{name}")
                    if value is not None and value.derived is None:
                        value.derived = f"d{name}"


def _needed(steps: list[Step], results: list[Step]) -> set[int]:
    needed = {step.place for step in results}
    for step in reversed(steps):
        if step.place in needed:
            needed.update(part.place for part in _steps_in((step.args, step.kwargs)))
    return needed | {step.place for step in steps if step.function is None}


def _steps_in(x: Any) -> Iterator[Step]:
    if isinstance(x, Recorded):
        yield x.step
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from _steps_in(part)
    elif isinstance(x, dict):
        for part in x.values():
            yield from _steps_in(part)
    elif isinstance(x, slice):
        yield from _steps_in((x.start, x.stop, x.step))


def _key(x: Any) -> Any:
    """Something hashable that is equal for equal arguments only."""
    if isinstance(x, Value):
        return ("value", id(x))
    if isinstance(x, (tuple, list)):
        return (type(x).__name__, *map(_key, x))
    if isinstance(x, dict):
        return tuple((name, _key(part)) for name, part in x.items())
    if isinstance(x, slice):
        return ("slice", _key(x.start), _key(x.stop), _key(x.step))
    if isinstance(x, np.ndarray):
        return ("array", x.shape, x.dtype.str, x.tobytes())
    return (type(x), repr(x)) if isinstance(x, (float, np.floating)) else (type(x), x)


def _uniform(x: np.ndarray[Any, Any]) -> bool:
    return bool(np.all(x == x.flat[0]))


def _broadcast(a: Any, b: Any) -> Any:
    try:
        return np.broadcast_shapes(*(x.shape if isinstance(x, Value) else np.shape(x) for x in (a, b)))
    except ValueError:
        return None


def _is_number(x: Any, number: float) -> bool:
    return isinstance(x, (int, float, np.number)) and not isinstance(x, bool) and x == number


def _shortcut(step: Step, args: Any, kwargs: Any) -> Value | None:
    """The value that this step only passes on."""
    shape, dtype, f = _shape_of(step), getattr(step.value, "dtype", None), step.function
    if kwargs:
        return None

    def same(x: Any) -> Value | None:
        return x if isinstance(x, Value) and x.shape == shape and x.dtype == dtype else None

    if f is np.multiply and (_is_number(args[0], 1) or _is_number(args[1], 1)):
        return same(args[1] if _is_number(args[0], 1) else args[0])
    if f in (np.divide, np.power) and _is_number(args[1], 1):
        return same(args[0])
    if f in (np.reshape, np.broadcast_to, np.positive):
        return same(args[0])
    if f is np.transpose and isinstance(args[0], Value) and args[0].function is np.transpose and not args[0].kwargs:
        inner = args[0]
        if _axes(args, len(shape)) == tuple(np.argsort(_axes(inner.args, len(shape)))):
            return same(inner.args[0])
    return None


def _folded(step: Step, args: Any) -> Any:
    """2 * (3 * x) as 6 * x."""
    if step.function is not np.multiply:
        return args
    for number, other in ((args[0], args[1]), (args[1], args[0])):
        if type(number) is float and isinstance(other, Value) and other.function is np.multiply and other.shape:
            for inner, rest in (other.args, other.args[::-1]):
                if type(inner) in (float, int) and isinstance(rest, Value) and rest.dtype == other.dtype:
                    return (number * inner, rest)
    return args


def _axes(args: Any, ndim: int) -> tuple[int, ...]:
    axes = args[1] if len(args) > 1 else None
    return tuple(range(ndim))[::-1] if axes is None else tuple(int(k) % ndim for k in axes)


# ------------------------------------------------------------------------------------------------------ text of one step
class Text:
    """An expression, and how tightly it binds."""

    __slots__ = ("level", "text")

    def __init__(self, text: str, level: int = ATOM) -> None:
        self.text, self.level = text, level

    def at(self, level: int) -> str:
        return self.text if self.level >= level else f"({self.text})"


class Writer:
    """Turns values into text; constants that have no short text get a name in the namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.taken: set[str] = set()  # names of variables
        self.constants: dict[Any, str] = {}
        self.texts: dict[int, Text] = {}  # of each value: its name, or its expression where that is written in place

    def plain(self, x: Any) -> Text:
        """An argument as text."""
        if isinstance(x, Value):
            return self.texts[id(x)]
        if isinstance(x, (tuple, list)):
            inner = ", ".join(self.plain(part).text for part in x)
            if isinstance(x, list):
                return Text(f"[{inner}]")
            return Text(f"({inner},)" if len(x) == 1 else f"({inner})")
        if isinstance(x, slice):
            return Text(f"slice({', '.join(self.plain(part).text for part in (x.start, x.stop, x.step))})")
        if x is None or x is Ellipsis or isinstance(x, (bool, str)):
            return Text("..." if x is Ellipsis else repr(x))
        if isinstance(x, np.bool_):
            return Text(repr(bool(x)))
        if isinstance(x, (int, np.integer)):
            return _signed(repr(int(x)))
        if isinstance(x, float) or (isinstance(x, np.ndarray) and x.ndim == 0 and x.dtype == np.dtype(float)):
            x = float(x)
            return (
                _signed(repr(x))
                if math.isfinite(x)
                else _signed(repr(x).replace("inf", "np.inf").replace("nan", "np.nan"))
            )
        if isinstance(x, np.dtype):
            return Text(f"np.{x.name}" if hasattr(np, x.name) else repr(x.str))
        if isinstance(x, np.ndarray):
            return self.array(x)
        if isinstance(x, np.generic):
            return Text(f"np.{x.dtype.name}({x.item()!r})")
        if callable(x):
            return Text(self.named(x, full_name(x)))
        return Text(self.constant(x))

    def array(self, x: np.ndarray[Any, Any]) -> Text:
        """A constant array: as it would be written if it is one of the usual ones, else by a name."""
        kind = "" if x.dtype == np.dtype(float) else f", dtype=np.{x.dtype.name}"
        if x.ndim == 1 and x.size > 1 and x.dtype.kind == "i" and np.array_equal(x, np.arange(x.size)):
            return Text(f"np.arange({x.size})")
        if x.dtype.kind in "fiub" and x.size and _uniform(x):
            first = x.flat[0]
            shape = self.plain(x.shape if x.ndim != 1 else int(x.size)).text
            if first == 0 or first == 1:
                return Text(f"np.{'ones' if first else 'zeros'}({shape}{kind})")
            if x.dtype.kind == "f":
                return Text(f"np.full({shape}, {self.plain(first.item()).text}{kind})")
        if x.ndim == 1 and x.size <= 4 and x.dtype in (np.dtype(float), np.dtype(int)) and np.all(np.isfinite(x)):
            return Text(f"np.array({self.plain(x.tolist()).text})")
        return Text(self.constant(x))

    def constant(self, x: Any) -> str:
        key = (x.shape, x.dtype.str, x.tobytes()) if isinstance(x, np.ndarray) else id(x)
        if key not in self.constants:
            name = next(n for k in itertools.count(len(self.constants) + 1) if (n := f"c{k}") not in self.taken)
            self.taken.add(name)
            if isinstance(x, np.ndarray):
                x = x.copy()
                x.flags.writeable = False
            self.constants[key] = name
            self.namespace[name] = x
        return self.constants[key]

    def named(self, function: Any, name: str) -> str:
        """The text of a function's name, which the namespace then knows."""
        module, _, short = name.rpartition(".")
        if module == "numpy" or module.startswith("numpy."):
            inner = module[len("numpy") :].lstrip(".")
            if inner in ("linalg", "fft") and getattr(getattr(np, inner), short, None) is function:
                return f"np.{inner}.{short}"
            if getattr(np, short, None) is function:
                return f"np.{short}"
        while short in self.taken or self.namespace.setdefault(short, function) is not function:
            short += "_"
        return short

    def expression(self, value: Value) -> Text:
        """One step as an expression."""
        f, args, kwargs = value.function, value.args, value.kwargs
        if f in ELEMENTWISE_TEXT and len(args) == 2 and not kwargs:
            sign, level = ELEMENTWISE_TEXT[f]
            left, right = self.plain(args[0]), self.plain(args[1])
            if f is np.power:
                return Text(f"{left.at(level + 1)} {sign} {right.at(level)}".replace(" ** ", "**"), level)
            return Text(f"{left.at(level if level > 1 else 2)} {sign} {right.at(level + 1)}", level)
        if f in UNARY_TEXT and not kwargs:
            return Text(f"{UNARY_TEXT[f]}{self.plain(args[0]).at(UNARY_LEVEL)}", UNARY_LEVEL)
        special = _SPECIAL.get(f)
        text = special(self, value) if special is not None else None
        return text if text is not None else self.call(f, args, kwargs)

    def call(self, f: Any, args: Any, kwargs: Any) -> Text:
        owner = getattr(f, "__self__", None)
        if isinstance(owner, np.ufunc):  # np.add.reduce
            name = f"{self.named(owner, full_name(owner))}.{f.__name__}"
        else:
            name = self.named(f, full_name(f))
        given = [self.plain(part).text for part in args]
        given += [f"{key}={self.plain(part).text}" for key, part in kwargs.items()]
        return Text(f"{name}({', '.join(given)})")

    def subscript(self, key: Any) -> str:
        """What stands between square brackets."""

        def one(part: Any) -> str:
            if isinstance(part, slice):
                ends = ["" if end is None else self.plain(end).text for end in (part.start, part.stop)]
                step = "" if part.step is None else f":{self.plain(part.step).text}"
                return f"{ends[0]}:{ends[1]}{step}"
            return self.plain(part).text

        if type(key) is not tuple:
            return one(key)
        if not key:
            return "()"
        while len(key) > 1 and isinstance(key[-1], slice) and key[-1] == slice(None) and Ellipsis not in _hashable(key):
            key = key[:-1]
        return ", ".join(map(one, key)) + ("," if len(key) == 1 and isinstance(key[0], tuple) else "")


def _hashable(key: tuple[Any, ...]) -> list[Any]:
    return [part for part in key if part is Ellipsis]


def _signed(text: str) -> Text:
    return Text(text, UNARY_LEVEL if text.startswith("-") else ATOM)


# How particular functions are written: (writer, value) -> Text, or None for an ordinary call.
def _write_indexed(writer: Writer, value: Value) -> Text:
    return Text(f"{writer.plain(value.args[0]).at(ATOM)}[{writer.subscript(value.args[1])}]")


def _write_item(writer: Writer, value: Value) -> Text:
    return Text(f"{writer.plain(value.args[0]).at(ATOM)}[{value.args[1]}]")


def _write_transpose(writer: Writer, value: Value) -> Text | None:
    x = value.args[0]
    ndim = len(value.shape)
    if value.function is np.swapaxes:
        if ndim != 2 or value.kwargs or {int(k) % 2 for k in value.args[1:]} != {0, 1}:
            return None
    elif value.kwargs or _axes(value.args, ndim) != tuple(range(ndim))[::-1]:
        return None
    return Text(f"{writer.plain(x).at(ATOM)}.T")


def _write_reshape(writer: Writer, value: Value) -> Text | None:
    if value.kwargs or len(value.args) != 2:
        return None
    x = value.args[0]
    own, new = (x.shape if isinstance(x, Value) else np.shape(x)), value.shape
    operand = writer.plain(x).at(ATOM)
    if len(own) == 1 and new == (*own, 1):
        return Text(f"{operand}[:, None]")
    if len(own) == 1 and new == (1, *own):
        return Text(f"{operand}[None]")
    if not isinstance(x, Value):
        return None
    if not own:
        return Text(f"np.reshape({operand}, {writer.plain(new).text})")  # numbers may be plain ones
    return Text(f"{operand}.reshape({writer.plain(new if len(new) != 1 else new[0]).text})")


def _write_reduction(writer: Writer, value: Value) -> Text | None:
    """``x.sum(axis=0)``."""
    f = np.sum if getattr(value.function, "__self__", None) is np.add else value.function
    given = dict(zip(("a", "axis"), value.args, strict=False)) | value.kwargs
    x = given.pop("a", None)
    if not isinstance(x, Value) or len(value.args) > 2 or set(given) - {"axis", "keepdims"} or not x.shape:
        return None
    axis, keepdims = given.get("axis"), given.get("keepdims", False)
    if value.function is np.add.reduce and "axis" not in given:
        axis = 0
    axes = tuple(range(len(x.shape))) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    options = []
    if len(axes) != len(x.shape) or keepdims is True:
        options.append(f"axis={writer.plain(axes[0] if len(axes) == 1 else axes).text}")
    if keepdims is True:
        options.append("keepdims=True")
    return Text(f"{writer.plain(x).at(ATOM)}.{f.__name__}({', '.join(options)})")


def _write_as_type(writer: Writer, value: Value) -> Text | None:
    return Text(f"{writer.plain(value.args[0]).at(ATOM)}.astype({writer.plain(value.args[1]).text})")


_SPECIAL: Final[dict[Any, Callable[[Writer, Value], Text | None]]] = {
    indexed: _write_indexed,
    item: _write_item,
    np.transpose: _write_transpose,
    np.swapaxes: _write_transpose,
    np.reshape: _write_reshape,
    **dict.fromkeys((np.sum, np.max, np.min, np.prod, np.mean, np.add.reduce), _write_reduction),
}

# Functions whose result is a new array, whatever their arguments: only over such a result may be written.
FRESH: Final = {
    *(np.matmul, np.sum, np.mean, np.max, np.min, np.prod, np.cumsum, np.cumprod, np.concatenate, np.where, np.take),
    *(np.bincount, np.array, np.linalg.inv, np.linalg.solve, embedded, put, scattered),
}


def is_fresh(value: Value) -> bool:
    f = value.function
    return isinstance(f, np.ufunc) or isinstance(getattr(f, "__self__", None), np.ufunc) or f in FRESH


# ----------------------------------------------------------------------------------------------------------- statements
class Program:
    """The text of a function's body, and what it needs to run."""

    __slots__ = ("lines", "mathematics", "names", "namespace", "results")

    def __init__(self, lines: list[str], results: list[str], names: dict[int, str], namespace: dict[str, Any]) -> None:
        self.lines, self.results, self.names, self.namespace = lines, results, names, namespace
        # For a program on numbers: the functions of the math module that it uses, and what NumPy has in their place.
        self.mathematics: dict[str, Any] | None = None


def write(steps: list[Step], inputs: list[Step], results: list[Any], reserved: set[str]) -> Program:
    """Write a recorded program as source.

    Parameters
    ----------
    steps : list of Step
        The recording.
    inputs : list of Step
        Its inputs, which have names.
    results : list
        Recorded arrays or plain values.
    reserved : set of str
        Names that are taken.

    Returns
    -------
    Program
        One line a statement, and one expression for each result.
    """
    wanted = [x.step for x in results if isinstance(x, Recorded)]
    cleaner = Cleaner(steps, wanted)
    ends = [cleaner.of[x.step.place] if isinstance(x, Recorded) else x for x in results]
    for value in cleaner.values:
        for part in parts_of((value.args, value.kwargs)):
            part.uses += 1
    for end in ends:
        if isinstance(end, Value):
            end.uses += 1
    namespace: dict[str, Any] = {"np": np}
    statements = _Statements(cleaner.values, {id(cleaner.of[step.place]) for step in inputs}, ends, namespace)
    return statements.program(reserved)


class _Statements:
    """Which values get a line of their own, which lines write over which arrays, and what all is called."""

    def __init__(self, values: list[Value], inputs: set[int], ends: list[Any], namespace: dict[str, Any]) -> None:
        self.values, self.inputs, self.ends = values, inputs, ends
        self.writer = Writer(namespace)
        self.roots: set[int] = set()  # the values that have a line
        self.lines: list[Value] = []
        self.mentioned: dict[int, list[Value]] = {}  # of each line: the named values in its expression
        self.overwritten: dict[int, Value] = {}  # of each line: the value whose array it uses for its result
        self._choose_lines()
        self._plan_memory()

    def program(self, reserved: set[str]) -> Program:
        """The text of it all."""
        names = self._names(reserved)
        self.writer.taken = reserved | set(names.values())
        body: list[str] = []
        for value in self.values:
            if id(value) in self.inputs:
                self.writer.texts[id(value)] = Text(names[id(value)])
            elif id(value) in self.roots:
                body.extend(self._line(value, names[id(value)]))
                self.writer.texts[id(value)] = Text(names[id(value)])
            else:
                self.writer.texts[id(value)] = self.writer.expression(value)
        return Program(body, [self._result(end) for end in self.ends], names, self.writer.namespace)

    # -- lines
    def _choose_lines(self) -> None:
        """A line of its own has what is used more than once, has a name, is large, or long to write."""
        lengths: dict[int, int] = {}
        leaves: dict[int, list[Value]] = {}
        for value in self.values:
            if id(value) in self.inputs:
                lengths[id(value)], leaves[id(value)] = 2, [value]
                continue
            parts = list(parts_of((value.args, value.kwargs)))
            lengths[id(value)] = 4 + sum(lengths[id(part)] + 3 for part in parts)
            mentioned = [leaf for part in parts for leaf in leaves[id(part)]]
            leaves[id(value)] = mentioned
            if self._stands_alone(value, parts, lengths[id(value)]):
                self.roots.add(id(value))
                self.lines.append(value)
                self.mentioned[id(value)] = mentioned
                lengths[id(value)], leaves[id(value)] = 2, [value]
        self.leaves = leaves

    def _stands_alone(self, value: Value, parts: list[Value], length: int) -> bool:
        ends = sum(end is value for end in self.ends)
        if (
            value.label is not None
            or (value.derived is not None and ends and len(self.ends) > 1)
            or (value.large and is_fresh(value) and value.uses > ends and value.dtype.kind == "f")
            or value.function in _IN_TWO_LINES
            or isinstance(value.step.value, (tuple, list))
            or length > WIDTH - 28
        ):
            return True
        turned = value.function in (np.transpose, np.swapaxes) and len(value.shape) == 2
        return value.uses > 1 and not (turned and all(id(part) in self.roots | self.inputs for part in parts))

    def _plan_memory(self) -> None:
        """Find, for each line with a large result, an operand that nobody needs any more."""
        last: dict[int, int] = {}
        for number, value in enumerate(self.lines):
            last.update({id(leaf): number for leaf in (value, *self.mentioned[id(value)])})
        for end in self.ends:
            if isinstance(end, Value):
                last.update({id(leaf): len(self.lines) for leaf in self.leaves[id(end)]})
        sharing: dict[int, set[int]] = {key: {key} for key in self.inputs}  # who may share memory with whom
        for number, value in enumerate(self.lines):
            operand = self._operand_to_overwrite(value, number, last, sharing)
            mine = {id(value)}
            if operand is not None:
                self.overwritten[id(value)] = operand
            elif not is_fresh(value):
                mine = mine.union(*(sharing[id(leaf)] for leaf in self.mentioned[id(value)]))
                for other in mine:
                    sharing[other] = sharing.get(other, {other}) | mine
            sharing[id(value)] = mine

    def _operand_to_overwrite(
        self, value: Value, number: int, last: dict[int, int], sharing: dict[int, set[int]]
    ) -> Value | None:
        elementwise = isinstance(value.function, np.ufunc) and value.function.signature is None
        if value.function is not put and not (elementwise and value.large and not value.kwargs):
            return None
        for part in value.args[:1] if value.function is put else value.args:
            if (
                isinstance(part, Value)
                and id(part) in self.roots
                and is_fresh(part)
                and (part.shape, part.dtype) == (value.shape, value.dtype)
                and all(last[other] <= number for other in sharing[id(part)])
            ):
                return part
        return None

    # -- names
    def _names(self, reserved: set[str]) -> dict[int, str]:
        """What is written over an array keeps its name, unless the program calls both by names of their own."""
        named: dict[int, list[Value]] = {}
        groups: list[list[Value]] = []
        for value in self.lines:
            operand = self.overwritten.get(id(value))
            group = named[id(operand)] if operand is not None else None
            if group is None or (value.label is not None and any(v.label not in (None, value.label) for v in group)):
                group = []
                groups.append(group)
            group.append(value)
            named[id(value)] = group
        labels = [_good_label(next(filter(None, map(self._label_of, group)), None)) for group in groups]
        names = {id(value): value.label or "x" for value in self.values if id(value) in self.inputs}
        taken = reserved | set(names.values())
        counts: dict[str, int] = {}
        for group, label in zip(groups, labels, strict=True):
            name = label
            if label is None or labels.count(label) > 1 or label in taken:
                base = "t" if label is None else f"{label}_" if label[-1].isdigit() else label
                while True:
                    counts[base] = counts.get(base, 0) + 1
                    name = f"{base}{counts[base]}"
                    if name not in taken:
                        break
            assert name is not None
            taken.add(name)
            names.update({id(value): name for value in group})
        return names

    def _label_of(self, value: Value) -> str | None:
        """Its own name, or the derivative it is, or the one that it is a multiple of."""
        if value.label or value.derived:
            return value.label or value.derived
        if isinstance(value.function, np.ufunc):
            for part in value.args:
                if isinstance(part, Value) and id(part) not in self.roots | self.inputs:
                    found = self._label_of(part)
                    if found is not None:
                        return found
        return None

    # -- text
    def _line(self, value: Value, target: str) -> list[str]:
        f, writer = value.function, self.writer
        operand = self.overwritten.get(id(value))
        if f in _IN_TWO_LINES:
            return _IN_TWO_LINES[f](writer, value, target, operand)
        if operand is None:
            return [f"{target} = {writer.expression(value).text}"]
        there = writer.plain(operand).text
        sign = ELEMENTWISE_TEXT.get(f)
        if sign is not None and sign[1] > 1 and target == there:
            for k in (0, 1) if f in (np.add, np.multiply) else (0,):
                if value.args[k] is operand:
                    return [f"{target} {sign[0]}= {writer.plain(value.args[1 - k]).text}"]
        out = f"{writer.call(f, value.args, {}).text[:-1]}, out={there})"
        return [out if target == there else f"{target} = {out}"]

    def _result(self, end: Any) -> str:
        """The expression of a result, which must be an array of its own."""
        writer = self.writer
        if not isinstance(end, Value):
            text = writer.plain(end).text
            if isinstance(end, np.ndarray) and end.ndim:
                return f"{text}.copy()" if text in writer.namespace else text
            return f"np.{np.asarray(end).dtype.name}({text})" if isinstance(end, (np.ndarray, np.generic)) else text
        text = writer.plain(end)
        if end.shape and (id(end) in self.inputs or not is_fresh(end) or sum(end is other for other in self.ends) > 1):
            return f"{text.at(ATOM)}.copy()"
        if isinstance(end.step.value, np.ndarray) and not end.shape:
            return f"{text.at(ATOM)}[()]"
        return text.text


def _good_label(label: str | None) -> str | None:
    return label if label is not None and label.isidentifier() and not keyword.iskeyword(label) else None


def _zeros(writer: Writer, value: Value, target: str) -> str:
    shape = value.shape if len(value.shape) != 1 else value.shape[0]
    kind = "" if value.dtype == np.dtype(float) else f", dtype=np.{value.dtype.name}"
    return f"{target} = np.zeros({writer.plain(shape).text}{kind})"


def _write_embedded(writer: Writer, value: Value, target: str, operand: Value | None) -> list[str]:
    g, key, _ = value.args
    return [_zeros(writer, value, target), f"{target}[{writer.subscript(key)}] = {writer.plain(g).text}"]


def _write_scattered(writer: Writer, value: Value, target: str, operand: Value | None) -> list[str]:
    g, key, _ = value.args
    return [_zeros(writer, value, target), f"np.add.at({target}, {writer.plain(key).text}, {writer.plain(g).text})"]


def _write_put(writer: Writer, value: Value, target: str, operand: Value | None) -> list[str]:
    y, key, g = value.args
    there = writer.plain(y).text
    first = [] if operand is not None and there == target else [f"{target} = {there}{'' if operand else '.copy()'}"]
    return [*first, f"{target}[{writer.subscript(key)}] += {writer.plain(g).text}"]


_IN_TWO_LINES: Final = {embedded: _write_embedded, scattered: _write_scattered, put: _write_put}
