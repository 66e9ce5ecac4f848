"""Values as text: how one step of a program is written in NumPy.

A function without an entry in the table below is written as an ordinary call.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mathdl.autodiff.compiling.cleaning import Value, axes_of, is_uniform, parts_of
from mathdl.autodiff.naming import full_name
from mathdl.autodiff.recording import as_type, indexed, item, sparse_product

__all__ = ["ATOM", "ELEMENTWISE_TEXT", "Text", "Writer"]

_MATMUL: Final = 2.5  # binds as * does, but is kept apart from it by parentheses
ELEMENTWISE_TEXT: Final[dict[Any, tuple[str, float]]] = {
    np.power: ("**", 5), np.multiply: ("*", 3), np.divide: ("/", 3), np.remainder: ("%", 3), np.floor_divide: ("//", 3),
    np.matmul: ("@", _MATMUL), sparse_product: ("@", _MATMUL), np.add: ("+", 2), np.subtract: ("-", 2),
    np.greater: (">", 1), np.less: ("<", 1), np.greater_equal: (">=", 1), np.less_equal: ("<=", 1),
    np.equal: ("==", 1), np.not_equal: ("!=", 1),
}  # fmt: skip
UNARY_TEXT: Final = {np.negative: "-", np.invert: "~"}
UNARY_LEVEL: Final = 4
ATOM: Final = 9


class Text:
    """An expression, and how tightly it binds."""

    __slots__ = ("level", "text")

    def __init__(self, text: str, level: float = ATOM) -> None:
        self.text, self.level = text, level

    def at(self, level: float) -> str:
        return self.text if self.level >= level else f"({self.text})"


class Writer:
    """Turns values into text; constants that have no short text get a name in the namespace."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace = namespace
        self.taken: set[str] = set()  # names of variables
        self.constants: dict[Any, str] = {}
        self.narrow = False  # whether an operand has fewer bits: then NumPy's numbers are not as good as Python's
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
        if isinstance(x, (np.float64, np.int64)) and self.narrow:
            return Text(f"np.{x.dtype.name}({self.plain(x.item()).text})")
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
        if x.dtype.kind in "fiub" and x.size and is_uniform(x):
            first = x.flat[0]
            shape = self.plain(x.shape if x.ndim != 1 else int(x.size)).text
            if first == 0 or first == 1:
                return Text(f"np.{'ones' if first else 'zeros'}({shape}{kind})")
            if x.dtype.kind == "f":
                return Text(f"np.full({shape}, {self.plain(first.item()).text}{kind})")
        if x.ndim == 1 and 0 < x.size <= 4 and x.dtype in (np.dtype(float), np.dtype(int)) and np.all(np.isfinite(x)):
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
        self.narrow = any(getattr(part.dtype, "itemsize", 8) < 8 for part in parts_of(value))
        if f in ELEMENTWISE_TEXT and len(args) == 2 and not kwargs:
            sign, level = ELEMENTWISE_TEXT[f]
            left, right = self.plain(args[0]), self.plain(args[1])
            if f is np.power:
                return Text(f"{left.at(level + 1)} {sign} {right.at(level)}".replace(" ** ", "**"), level)
            least = level if level > 1 else 2  # comparisons are not chained
            if level == _MATMUL and left.level != level:
                least = UNARY_LEVEL  # (x * y) @ z: Python does not need the parentheses, people do
            more = UNARY_LEVEL if level in (3, _MATMUL) else level + 0.1
            return Text(f"{left.at(least)} {sign} {right.at(more)}", level)
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
        while (
            len(key) > 1
            and isinstance(key[-1], slice)
            and key[-1] == slice(None)
            and not any(part is Ellipsis for part in key)
        ):
            key = key[:-1]
        return ", ".join(map(one, key)) + ("," if len(key) == 1 and isinstance(key[0], tuple) else "")


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
    elif value.kwargs or axes_of(value.args, ndim) != tuple(range(ndim))[::-1]:
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
    if given.get("keepdims", False) not in (True, False) or isinstance(given.get("axis"), Value):
        return None
    axis, keepdims = given.get("axis"), bool(given.get("keepdims", False))
    if value.function is np.add.reduce and "axis" not in given:
        axis = 0
    axes = tuple(range(len(x.shape))) if axis is None else (axis,) if np.ndim(axis) == 0 else tuple(axis)
    options = []
    if len(axes) != len(x.shape) or keepdims is True:
        options.append(f"axis={writer.plain(axes[0] if len(axes) == 1 else axes).text}")
    if keepdims is True:
        options.append("keepdims=True")
    return Text(f"{writer.plain(x).at(ATOM)}.{f.__name__}({', '.join(options)})")


def _write_as_type(writer: Writer, value: Value) -> Text | None:
    if not value.shape:
        return Text(f"{writer.plain(value.args[1]).text}({writer.plain(value.args[0]).text})")
    return Text(f"{writer.plain(value.args[0]).at(ATOM)}.astype({writer.plain(value.args[1]).text})")


_SPECIAL: Final[dict[Any, Callable[[Writer, Value], Text | None]]] = {
    indexed: _write_indexed,
    item: _write_item,
    as_type: _write_as_type,
    np.transpose: _write_transpose,
    np.swapaxes: _write_transpose,
    np.reshape: _write_reshape,
    **dict.fromkeys((np.sum, np.max, np.min, np.prod, np.mean, np.add.reduce), _write_reduction),
}
