"""Running a function once on recorded arrays: its arguments and what it captures become inputs with names.

Programs on a few numbers are recorded number by number, all others array by array.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import inspect
import itertools
import keyword
from collections.abc import Sequence
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.compiling.captured import Variable, planted
from mathdl.autodiff.compiling.source import Program, write
from mathdl.autodiff.compiling.unrolled import SMALL, NotUnrolled, Unrolling, write_numbers
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import begin_run, end_run
from mathdl.autodiff.recording import Recorded, Recording, Step, recorded
from mathdl.autodiff.trees import leaves
from mathdl.errors import InvalidInput

__all__ = ["Input", "Made", "follow", "is_input", "parameter_names", "quoted", "record"]


class Input:
    """One argument, or one captured variable: its tree, and the recorded arrays in the places of its arrays."""

    def __init__(self, recording: Recording, name: str, tree: Any, taken: set[str], argument: bool) -> None:
        self.name, self.tree, self.argument = name, tree, argument
        self.entered: dict[str, Recorded] = {}  # path -> recorded
        self.in_sequences: list[Step] = []  # those that stand in lists and tuples, and have no names there
        self.stand_in = self._enter(recording, tree, name, name, taken)

    def _enter(self, recording: Recording, x: Any, path: str, name: str, taken: set[str]) -> Any:
        if is_input(x):
            own = name
            if name in taken and not (self.argument and path == name):  # an argument is called what it is called
                own = next(n for k in itertools.count(2) if (n := f"{name}_{k}") not in taken)
            taken.add(own)
            self.entered[path] = recording.enter(_example(x), own)
            if path.endswith("]") and not path.endswith(("']", '"]')):
                self.entered[path].step.provisional = True
                self.in_sequences.append(self.entered[path].step)
            return self.entered[path]
        if isinstance(x, dict):
            return type(x)(
                (key, self._enter(recording, part, f"{path}[{quoted(key)}]", _name_of_key(name, key), taken))
                for key, part in x.items()
            )
        if isinstance(x, (list, tuple)):
            parts = [
                self._enter(recording, part, f"{path}[{k}]", _name_of_key(name, k), taken) for k, part in enumerate(x)
            ]
            return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
        return x


class Made:
    """What following a function gives."""

    def __init__(self, name: str, inputs: list[Input], captured: list[Input], variables: list[Variable]) -> None:
        self.name, self.inputs, self.captured, self.variables = name, inputs, captured, variables
        self.program: Program
        self.results: list[str]  # what the function returns: one expression, or those of a tuple


def is_input(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "fiub" or type(x) is not np.ndarray:
            raise InvalidInput("an argument", describe(x), "a plain array of real numbers")
        return True
    return isinstance(x, (float, np.floating, np.integer, np.bool_))


def _example(x: Any) -> Any:
    return np.float64(x) if type(x) is float else x


def quoted(key: Any) -> str:
    """A key as people write it, with double quotes."""
    return f'"{key}"' if isinstance(key, str) and key.isprintable() and not set(key) & {'"', "\\"} else repr(key)


def _name_of_key(name: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key):
        return key
    digits = str(key) if str(key).isalnum() else "_"
    return f"{name}_{digits}" if name[-1:].isdigit() else f"{name}{digits}"


def parameter_names(function: Any, count: int) -> list[str]:
    """The names of its first parameters; ``x1`` and so on for those without one, or with that of NumPy."""
    try:
        found = [p.name for p in inspect.signature(function).parameters.values() if p.kind in (0, 1)]
    except (TypeError, ValueError):
        found = []
    names: list[str] = []
    for k in range(count):
        free = (name for j in itertools.count(k) if (name := f"x{j}") not in (*found, *names))
        names.append(found[k] if k < len(found) and found[k] != "np" else next(free))
    return names


def _name(function: Any, parameters: list[str]) -> str:
    name = str(getattr(function, "__name__", "f")).replace("<lambda>", "f")
    name = name if name.isidentifier() and not keyword.iskeyword(name) else "f"
    while name in parameters:
        name += "_"
    return name


def follow(
    function: Any, args: Sequence[Any], parameters: list[str], arrays: list[Variable], by_number: bool = True
) -> Made:
    """Record a function; number by number, if that is allowed and all arrays are small."""
    if by_number and all(_is_small(tree) for tree in (*args, *(v.value for v in arrays))):
        try:
            return _record(
                Unrolling({*parameters, _name(function, parameters), *(v.name for v in arrays)}),
                function,
                args,
                parameters,
                arrays,
            )
        except Exception:
            pass  # what is wrong, if anything, is said when it is recorded with arrays
    return _record(Recording(), function, args, parameters, arrays)


def _is_small(tree: Any) -> bool:
    return all(np.size(leaf) <= SMALL for leaf in leaves(tree) if is_input(leaf))


def record(
    recording: Recording, function: Any, args: Sequence[Any], parameters: list[str], arrays: list[Variable]
) -> tuple[list[Input], list[Input], Any]:
    """Call a function with recorded arrays: these, those in the place of what it captures, and its result."""
    name = _name(function, parameters)
    taken = {"np", name, *parameters}
    inputs = [Input(recording, name, tree, taken, True) for name, tree in zip(parameters, args, strict=True)]
    captured = [Input(recording, v.name, v.value, taken, False) for v in arrays]
    with planted(arrays, [one.stand_in for one in captured]):
        refused = begin_run()
        try:
            result = function(*(one.stand_in for one in inputs))
        finally:
            end_run()
        if refused:  # and the function has caught the error, and gone on without what was refused
            raise refused[0]
        recording.read_labels()
    return inputs, captured, result


def _record(
    recording: Recording, function: Any, args: Sequence[Any], parameters: list[str], arrays: list[Variable]
) -> Made:
    name = _name(function, parameters)
    inputs, captured, result = record(recording, function, args, parameters, arrays)
    made = Made(name, inputs, captured, arrays)
    ends: list[Any] = []
    form = _form(result, ends)
    entered = [x for one in (*inputs, *captured) for x in one.entered.values()]
    unnamed = [step for one in (*inputs, *captured) for step in one.in_sequences]
    _settle_names(unnamed, {*parameters, name, "np"} | {str(x.step.label) for x in entered if x.step not in unnamed})
    reserved = set(parameters) | {made.name}
    if isinstance(recording, Unrolling):
        if not recording.worthwhile:
            raise NotUnrolled
        program = write_numbers(recording, entered, ends)
    else:
        program = write(recording.steps, [x.step for x in entered], ends, reserved)
    namespace = program.namespace
    recording.forget()
    made.program = program
    texts = iter(program.results)
    several = form is not None and form[0] is tuple and len(form[1]) > 1
    made.results = [_text_of(part, texts, namespace) for part in (form[1] if several else [form])]
    return made


def _settle_names(steps: list[Step], taken: set[str]) -> None:
    """Entries of lists are called what the program calls them; W1 and W2 if it calls both W."""
    labels = [str(step.label) for step in steps]
    counts: dict[str, int] = {}
    for step, label in zip(steps, labels, strict=True):
        name = label
        if labels.count(label) > 1 or label in taken:
            base = f"{label}_" if label[-1].isdigit() else label
            while name in taken or name == label:
                counts[base] = counts.get(base, 0) + 1
                name = f"{base}{counts[base]}"
        taken.add(name)
        step.label = name


def _form(x: Any, ends: list[Any]) -> Any:
    """The structure of a result, with places in it; the leaves go to ``ends``."""
    if isinstance(x, np.ndarray) and x.dtype.kind == "O":
        x = recorded(x)
    if isinstance(x, dict):
        return type(x), {key: _form(part, ends) for key, part in x.items()}
    if isinstance(x, (list, tuple)):
        return type(x), [_form(part, ends) for part in x]
    if callable(x) or (isinstance(x, Followed) and not isinstance(x, Recorded)):
        raise InvalidInput("the result", describe(x), "arrays and numbers, in dicts, lists and tuples")
    ends.append(x)
    return None


def _text_of(form: Any, results: Any, namespace: dict[str, Any]) -> str:
    if form is None:
        return str(next(results))
    kind, parts = form
    if isinstance(parts, dict):
        inner = ", ".join(f"{quoted(key)}: {_text_of(part, results, namespace)}" for key, part in parts.items())
        return f"{{{inner}}}" if kind is dict else f"{_known(kind, namespace)}({{{inner}}})"
    inner = ", ".join(_text_of(part, results, namespace) for part in parts)
    if kind is list:
        return f"[{inner}]"
    if kind is tuple:
        return f"({inner},)" if len(parts) == 1 else f"({inner})"
    return (
        f"{_known(kind, namespace)}({inner})" if hasattr(kind, "_fields") else f"{_known(kind, namespace)}([{inner}])"
    )


def _known(kind: type, namespace: dict[str, Any]) -> str:
    namespace[kind.__name__] = kind
    return kind.__name__
