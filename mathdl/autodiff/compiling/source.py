"""A recorded program written out as straight-line NumPy source: nothing twice, nothing unused, buffers used again.

What the program itself has named keeps its name, and what is the derivative by ``z`` is called ``dz``.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import itertools
import keyword
from typing import Any, Final

import numpy as np

from mathdl.autodiff.compiling.cleaning import Cleaner, Value, is_fresh, parts_of
from mathdl.autodiff.compiling.expressions import ATOM, ELEMENTWISE_TEXT, Text, Writer
from mathdl.autodiff.recording import Recorded, Step, embedded, filled, put, scattered, summed

__all__ = ["WIDTH", "Program", "write"]

WIDTH: Final = 88  # characters: longer expressions are taken apart


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
        for part in parts_of(value):
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
            parts = parts_of(value)
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
        return value.uses > 1 and not (turned and all(map(self._is_named, parts)))

    def _is_named(self, value: Value) -> bool:
        return id(value) in self.roots or id(value) in self.inputs

    def _plan_memory(self) -> None:
        """Find, for each line with a large result, an operand that nobody needs any more."""
        last: dict[int, int] = {}
        for number, value in enumerate(self.lines):
            last.update({id(leaf): number for leaf in (value, *self.mentioned[id(value)])})
        for end in self.ends:
            if isinstance(end, Value):
                last.update({id(leaf): len(self.lines) for leaf in self.leaves[id(end)]})
        sharing = _Sharing(last)
        for number, value in enumerate(self.lines):
            operand = self._operand_to_overwrite(value, number, sharing)
            if operand is not None:
                self.overwritten[id(value)] = operand
            elif not is_fresh(value):
                for leaf in self.mentioned[id(value)]:
                    sharing.join(id(value), id(leaf))

    def _operand_to_overwrite(self, value: Value, number: int, sharing: _Sharing) -> Value | None:
        elementwise = isinstance(value.function, np.ufunc) and value.function.signature is None
        if value.function is not put and not (elementwise and value.large and value.shape and not value.kwargs):
            return None
        for part in value.args[:1] if value.function is put else value.args:
            if (
                isinstance(part, Value)
                and id(part) in self.roots
                and is_fresh(part)
                and (part.shape, part.dtype) == (value.shape, value.dtype)
                and sharing.last_use(id(part)) <= number
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
        names = {id(value): value.label or "x" for value in self.values if id(value) in self.inputs}
        taken = reserved | set(names.values())
        labels = [_good_label(next((v.label for v in group if v.label), None)) for group in groups]
        for group, label in zip(groups, labels, strict=True):
            if label is not None:  # the program's own name; h1, h2 if it has used one name twice
                single = labels.count(label) == 1
                name = _free(label if single else f"{label}_" if label[-1].isdigit() else label, taken, single)
                names.update({id(value): name for value in group})
        for group, label in zip(groups, labels, strict=True):
            if label is None:
                derived = next(filter(None, map(self._derived_from, group)), None)
                if derived is None:
                    name = _free("t", taken, False)
                else:
                    order, text, base, place = derived
                    name = order + (_good_label(names.get(id(base), text)) or "t") + place
                    name = name if name not in taken else _free(f"{name}_", taken, False)
                    taken.add(name)
                names.update({id(value): name for value in group})
        return names

    def _derived_from(self, value: Value) -> tuple[str, str, Value | None, str] | None:
        """How often d, of what, and "_in" if it is the derivative by what that is computed from."""
        if value.derived is not None:
            order, text, base = value.derived
            return "d" * order, text, base, ""
        if value.function is np.multiply:
            for part in value.args:
                if isinstance(part, Value) and not self._is_named(part) and part.derived is not None:
                    order, text, base = part.derived
                    return "d" * order, text, base, "_in"
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
            constant = writer.plain(end).text
            if isinstance(end, np.ndarray) and end.ndim:
                return f"{constant}.copy()" if constant in writer.namespace else constant
            number = isinstance(end, (np.ndarray, np.generic))
            return f"np.{np.asarray(end).dtype.name}({constant})" if number else constant
        text = writer.plain(end)
        if end.shape and not self._own_memory(end):
            return f"{text.at(ATOM)}.copy()"
        if isinstance(end.step.value, np.ndarray) and not end.shape:
            return f"{text.at(ATOM)}[()]"
        return text.text

    def _own_memory(self, end: Value) -> bool:
        """Whether a result is in arrays that were made for it alone."""
        mine = self._made_in(end)
        others = [other for other in self.ends if isinstance(other, Value)]
        shared = sum(bool(mine & self._made_in(other)) for other in others) > 1
        return bool(mine) and not shared and not mine & {id(None), *self.inputs}

    def _made_in(self, value: Value) -> set[int]:
        """The values whose arrays a value may be a view of; None stands for a constant."""
        if is_fresh(value) or id(value) in self.inputs:
            return {id(self._first_of(value))}
        parts = parts_of(value)
        return set().union(*map(self._made_in, parts)) if parts else {id(None)}

    def _first_of(self, value: Value) -> Value:
        """The value in whose array this one has been written."""
        while id(value) in self.overwritten:
            value = self.overwritten[id(value)]
        return value


class _Sharing:
    """Which values may share memory, in groups; and the last line that mentions any of a group."""

    def __init__(self, last: dict[int, int]) -> None:
        self.last = last  # of each value; of the first of each group, that of the group
        self.first: dict[int, int] = {}  # of a value, another one of its group, nearer to the first

    def _first_of(self, key: int) -> int:
        while key in self.first:
            above = self.first[key]
            if above in self.first:
                self.first[key] = self.first[above]  # a shorter way next time
            key = above
        return key

    def join(self, one: int, two: int) -> None:
        one, two = self._first_of(one), self._first_of(two)
        if one != two:
            self.first[two] = one
            self.last[one] = max(self.last.get(one, -1), self.last.get(two, -1))

    def last_use(self, key: int) -> int:
        return self.last[self._first_of(key)]


def _free(base: str, taken: set[str], as_it_is: bool) -> str:
    """The name itself, or with the first number that makes it a new one; it is taken then."""
    name = (
        base
        if as_it_is and base not in taken
        else next(n for k in itertools.count(1) if (n := f"{base}{k}") not in taken)
    )
    taken.add(name)
    return name


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
    text = writer.plain(y)
    there = text.text if operand or (is_fresh(y) and not text.text.isidentifier()) else f"{text.at(ATOM)}.copy()"
    first = [] if operand is not None and there == target else [f"{target} = {there}"]
    return [*first, f"{target}[{writer.subscript(key)}] += {writer.plain(g).text}"]


def _write_filled(writer: Writer, value: Value, target: str, operand: Value | None) -> list[str]:
    size, _, places, parts = value.args
    kind = "" if value.dtype == np.dtype(float) else f", dtype=np.{value.dtype.name}"
    lines = [f"{target} = np.empty({size}{kind})"]
    for place, part in zip(places, parts, strict=True):
        lines.append(f"{target}[{writer.subscript(place)}] = {writer.plain(part).text}")
    return lines


def _write_summed(writer: Writer, value: Value, target: str, operand: Value | None) -> list[str]:
    _, _, places, parts = value.args
    lines = [_zeros(writer, value, target)]
    for place, part in zip(places, parts, strict=True):
        if isinstance(place, np.ndarray):
            lines.append(f"np.add.at({target}, {writer.plain(place).text}, {writer.plain(part).text})")
        else:
            lines.append(f"{target}[{writer.subscript(place)}] += {writer.plain(part).text}")
    return lines


_IN_TWO_LINES: Final = {
    embedded: _write_embedded,
    scattered: _write_scattered,
    put: _write_put,
    filled: _write_filled,
    summed: _write_summed,
}
