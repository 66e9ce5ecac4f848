"""``md.compile``: a derivative, or any function of arrays, followed once and written out as NumPy source.

The source is what runs. In front of it stand the guards: what is no input of the source must be as it was.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import keyword
import linecache
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.captured import Variable, planted, same, variables_of
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.recording import Recorded, Recording, recorded
from mathdl.autodiff.source import WIDTH, Program, write
from mathdl.autodiff.unrolled import SMALL, NotUnrolled, Unrolling, write_numbers
from mathdl.errors import InvalidInput, NotDifferentiable

__all__ = ["Compiled", "compile"]


class Compiled(Protocol):
    """What `compile` returns: a function, and its source."""

    source: str
    constants: dict[str, Any]

    def __call__(self, *args: Any) -> Any:
        """Compute what was compiled, for other values of the arguments."""


def compile(function: Callable[..., Any], *args: Any) -> Compiled:
    """Follow a function once, and write down what it computes as straight-line NumPy.

    Parameters
    ----------
    function : callable
        A derivative, such as ``md.jacobian(f)`` or ``md.value_and_grad(loss)``, or any function of arrays.
    *args
        An example of its arguments. Arrays and floating-point numbers, also in nested dicts, lists and tuples, become
        inputs of the source; so do the arrays that the function captures, which are read anew in every call. All else
        (integers, strings, captured numbers, helper functions) is fixed, and compared in every call.

    Returns
    -------
    callable
        It takes arguments of the same structure, shapes and types, and returns what ``function`` returns. ``.source``
        is its source, ``.constants`` are the arrays that the source mentions as ``c1``, ``c2``, ...

    Raises
    ------
    InvalidInput
        When called: if an argument has another structure, shape or type than the example, or if something fixed has
        changed.
    NotDifferentiable
        If what the function does depends on the values of its arguments (``if x > 0``, ``x[x > 0]``), or cannot be
        recorded; or if it gives another result when it is called again, as one that draws random numbers.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> from mathdl.autodiff import jacobian
    >>> J = compile(jacobian(lambda x: np.tanh(x) * x), np.array([0.5, 1.0]))
    >>> J(np.array([0.0, 2.0]))
    array([[0.        , 0.        ],
           [0.        , 1.10532967]])
    >>> J(np.zeros(3))
    Traceback (most recent call last):
    mathdl.errors.InvalidInput: x: got an array of float64 with shape (3,); wanted an array of float64 with shape (2,)
    """
    if not callable(function):
        raise InvalidInput("function", describe(function), "a function")
    parameters = _parameter_names(function, len(args))
    if any(isinstance(leaf, Followed) for arg in args for leaf in _leaves_of(arg)):
        raise NotDifferentiable("mathdl.compile", "it is called on a traced array", "compile outside of the function")
    variables = variables_of(function)
    arrays = [v for v in variables if v.holds_arrays and v.plantable]
    try:
        made = _follow(function, args, parameters, arrays)
    except Exception:
        if not arrays:
            raise
        arrays = []  # something asks captured arrays for their values: then these must stay what they are
        made = _follow(function, args, parameters, arrays)
    compiled = _assemble(made, [v for v in variables if v not in arrays])
    _compare(compiled(*args), function(*args), made.name)
    return compiled


# ------------------------------------------------------------------------------------------------------ following it once
class _Input:
    """One argument, or one captured variable: its tree, and the recorded arrays in the places of its arrays."""

    def __init__(self, recording: Recording, name: str, tree: Any, taken: set[str]) -> None:
        self.name, self.tree = name, tree
        self.entered: dict[str, Recorded] = {}  # path -> recorded
        self.stand_in = self._enter(recording, tree, name, name, taken)

    def _enter(self, recording: Recording, x: Any, path: str, name: str, taken: set[str]) -> Any:
        if _is_input(x):
            own = (
                name if name not in taken else next(n for k in itertools.count(2) if (n := f"{name}_{k}") not in taken)
            )
            taken.add(own)
            self.entered[path] = recording.enter(_example(x), own)
            return self.entered[path]
        if isinstance(x, dict):
            return type(x)(
                (key, self._enter(recording, part, f"{path}[{key!r}]", _name_of_key(name, key), taken))
                for key, part in x.items()
            )
        if isinstance(x, (list, tuple)):
            parts = [
                self._enter(recording, part, f"{path}[{k}]", _name_of_key(name, k), taken) for k, part in enumerate(x)
            ]
            return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
        return x


class _Made:
    """What following a function gives."""

    def __init__(self, name: str, inputs: list[_Input], captured: list[_Input], variables: list[Variable]) -> None:
        self.name, self.inputs, self.captured, self.variables = name, inputs, captured, variables
        self.program: Program
        self.result: str


def _is_input(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        if x.dtype.kind not in "fiub" or type(x) is not np.ndarray:
            raise InvalidInput("an argument", describe(x), "a plain array of real numbers")
        return True
    return isinstance(x, (float, np.floating, np.integer, np.bool_))


def _example(x: Any) -> Any:
    return np.float64(x) if type(x) is float else x


def _leaves_of(x: Any) -> list[Any]:
    if isinstance(x, dict):
        return [leaf for part in x.values() for leaf in _leaves_of(part)]
    if isinstance(x, (list, tuple)):
        return [leaf for part in x for leaf in _leaves_of(part)]
    return [x]


def _name_of_key(name: str, key: Any) -> str:
    if isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key):
        return key
    digits = str(key) if str(key).isalnum() else "_"
    return f"{name}_{digits}" if name[-1:].isdigit() else f"{name}{digits}"


def _parameter_names(function: Any, count: int) -> list[str]:
    try:
        found = [p.name for p in inspect.signature(function).parameters.values() if p.kind in (0, 1)]
    except (TypeError, ValueError):
        found = []
    names = [name for name in found[:count] if name != "np"]
    return names + [f"x{k}" for k in range(len(names), count)]


def _name(function: Any) -> str:
    name = str(getattr(function, "__name__", "f")).replace("<lambda>", "f")
    return name if name.isidentifier() and not keyword.iskeyword(name) else "f"


def _follow(function: Any, args: Sequence[Any], parameters: list[str], arrays: list[Variable]) -> _Made:
    if all(_is_small(tree) for tree in (*args, *(v.value for v in arrays))):
        try:
            return _record(Unrolling(), function, args, parameters, arrays)
        except Exception:
            pass  # what is wrong, if anything, is said when it is recorded with arrays
    return _record(Recording(), function, args, parameters, arrays)


def _is_small(tree: Any) -> bool:
    return all(np.size(leaf) <= SMALL for leaf in _leaves_of(tree) if _is_input(leaf))


def _record(
    recording: Recording, function: Any, args: Sequence[Any], parameters: list[str], arrays: list[Variable]
) -> _Made:
    taken = {"np", _name(function)}
    inputs = [_Input(recording, name, tree, taken) for name, tree in zip(parameters, args, strict=True)]
    captured = [_Input(recording, v.name, v.value, taken) for v in arrays]
    with planted(arrays, [one.stand_in for one in captured]):
        result = function(*(one.stand_in for one in inputs))
        recording.read_labels()
    made = _Made(_name(function), inputs, captured, arrays)
    ends: list[Any] = []
    form = _form(result, ends)
    entered = [x for one in (*inputs, *captured) for x in one.entered.values()]
    reserved = set(parameters) | {made.name}
    if isinstance(recording, Unrolling):
        if not recording.worthwhile:
            raise NotUnrolled
        program = write_numbers(recording, entered, ends)
    else:
        program = write(recording.steps, [x.step for x in entered], ends, reserved)
    namespace = program.namespace
    made.program = program
    made.result = _text_of(form, iter(program.results), namespace)
    return made


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
        inner = ", ".join(f"{key!r}: {_text_of(part, results, namespace)}" for key, part in parts.items())
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


# ------------------------------------------------------------------------------------------------- the function that runs
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
        if isinstance(example, np.ndarray) and example.ndim:
            wrong = (
                f"{name}.__class__ is not _ndarray or {name}.dtype is not {self.know(example.dtype)} "
                f"or {name}.shape != {example.shape}"
            )
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
        if _is_input(x):
            return
        if isinstance(x, dict):
            keys = self.know(x.keys() if type(x) is dict else dict(x).keys())
            conditions.append(f"{e}.__class__ is not {self.know(type(x))} or {e}.keys() != {keys}")
            for key, part in x.items():
                self._conditions(f"{e}[{key!r}]", part, conditions)
        elif isinstance(x, (list, tuple)):
            conditions.append(f"{e}.__class__ is not {self.know(type(x))} or len({e}) != {len(x)}")
            for k, part in enumerate(x):
                self._conditions(f"{e}[{k}]", part, conditions)
        else:
            conditions.append(f"not {self.know(same)}({e}, {self.know(x)})")


def _fitting(argument: str, example: Any) -> Callable[[Any], Any]:
    """Called when an argument is not obviously like the example: the same in another guise, or an error."""

    def fit(x: Any) -> Any:
        if np.ndim(example) == 0 and isinstance(x, (float, np.generic, np.ndarray)) and np.ndim(x) == 0:
            if np.asarray(x).dtype == np.asarray(example).dtype:
                return x if isinstance(example, float) else np.asarray(x)[()]
        elif type(x) is np.ndarray and x.dtype == example.dtype and x.shape == example.shape:
            return x
        raise InvalidInput(argument, describe(x), describe(example))

    return fit


def _other_form(argument: str, tree: Any) -> Callable[[Any], Any]:
    def complain(x: Any) -> Any:
        simple = not isinstance(tree, (list, tuple, dict))
        wanted = describe(tree) if simple else f"the structure {_sketch(tree)}"
        came = describe(x) if simple else f"the structure {_sketch(x)}"
        raise InvalidInput(argument, came, f"{wanted}, as when it was compiled; or compile it again")

    return complain


def _sketch(tree: Any) -> str:
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key!r}: {_sketch(part)}' for key, part in tree.items())}}}"
    if isinstance(tree, (list, tuple)):
        return f"{type(tree).__name__}({', '.join(map(_sketch, tree))})"
    return "array" if isinstance(tree, np.ndarray) else repr(tree)


def _assemble(made: _Made, fixed: list[Variable]) -> Compiled:
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
        whole = one.name if isinstance(one.stand_in, Recorded) else f"_{one.name}"
        guards.lines.append(f"{whole} = {read}")
        guards.structure(whole, one.name, one.tree)
        _unpack(one, guards, None, whole)
    checks = guards.lines
    if fixed:
        checks = [f"{guards.know(_unchanged(fixed))}()", *checks]
    result = made.result[1:-1] if made.result.startswith("(") and _closes_at_end(made.result) else made.result
    head = f"def {made.name}({', '.join(one.name for one in made.inputs)}):"
    takes = ", ".join(one.name for one in made.inputs)
    namespace = {**program.namespace, **guards.namespace}
    numbers = _numbers_of(made)
    body = [*(f"{pattern} = {array}.tolist()" for pattern, array in numbers), *program.lines, *_returned(result)]
    shown = _function(made.name, takes, [*unpacking, *body])
    if program.mathematics is None:
        runs = _function(made.name, takes, [*checks, *body])
    else:
        # Python's math raises errors where NumPy gives infinity or nan: then NumPy computes the same once more.
        leaves = ", ".join(str(x.step.label) for one in (*made.inputs, *made.captured) for x in one.entered.values())
        again = [*(f"{pattern} = {array}" for pattern, array in numbers), *program.lines, *_returned(result)]
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
    compiled.constants = {name: x for name, x in program.namespace.items() if isinstance(x, np.ndarray)}
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


def _numbers_of(made: _Made) -> list[tuple[str, str]]:
    """For an unrolled program: the names of the entries of each array, and the array's."""
    if made.program.mathematics is None:
        return []
    arrays = [x for one in (*made.inputs, *made.captured) for x in one.entered.values() if x.ndim]
    return [(_entry_names(x.step.entries.tolist()), str(x.step.label)) for x in arrays]  # type: ignore[attr-defined]


def _entry_names(x: Any) -> str:
    parts = [f"({_entry_names(part)})" if isinstance(part, list) else part.template for part in x]
    return ", ".join(parts) + ("," if len(parts) == 1 else "")


def _as_numpy_numbers(made: _Made) -> list[str]:
    names = [str(x.step.label) for one in (*made.inputs, *made.captured) for x in one.entered.values() if not x.ndim]
    return [f"{name} = np.float64({name})" for name in names]


def _unpack(one: _Input, guards: _Guards, shown: list[str] | None, whole: str) -> None:
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
                raise InvalidInput(
                    f"{name} (captured)",
                    _briefly(now),
                    f"{_briefly(variable.value)} as when it was compiled: compile again, or make it an argument",
                )

    return check


def _briefly(x: Any) -> str:
    return "another value" if isinstance(x, (list, tuple, dict)) else describe(x)


def _closes_at_end(text: str) -> bool:
    """Whether the first parenthesis is closed by the last character."""
    depth = 0
    for k, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 0:
            return k == len(text) - 1 and ",)" not in text[-2:]
    return False


def _returned(result: str) -> list[str]:
    """The last line, or one line for each entry of what is returned if it is long."""
    if len(result) <= WIDTH or not result.endswith(("]", "}", ")")):
        return [f"return {result}"]
    lines, depth, begin = [], 0, 0
    for k, letter in enumerate(result):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            lines.append(f"{_INDENT}{result[begin : k + 1].strip()}")
            begin = k + 1
    return ["return (", *lines, f"{_INDENT}{result[begin:].strip()},", ")"] if lines else [f"return {result}"]


def _header(made: _Made, program: Program) -> str:
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
            lines.append(f"# {name}: a constant array of {thing.dtype} with shape {thing.shape}")
    return "\n".join(lines) + "\n\n\n"


# --------------------------------------------------------------------------------------------------------------- comparing
def _compare(found: Any, wanted: Any, name: str) -> None:
    """A function that is compiled must give the same result when it is called again."""
    for x, y in zip(_leaves_of(found), _leaves_of(wanted), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if x.shape != y.shape or x.dtype != y.dtype or not _close(x, y):
            raise refuse(
                name,
                "called again with the same arguments it gives another result",
                "no random numbers, counters or files inside: draw them before, and make them arguments",
            )


def _close(x: Any, y: Any) -> bool:
    if x.dtype.kind not in "fc":
        return bool(np.array_equal(x, y))
    finite = np.isfinite(x) & np.isfinite(y)
    if not np.array_equal(np.where(finite, 0.0, x), np.where(finite, 0.0, y), equal_nan=True):
        return False
    scale = np.max(np.abs(y), where=finite, initial=0.0)
    return bool(np.all(np.abs(np.where(finite, x - y, 0.0)) <= np.sqrt(np.finfo(x.dtype).eps) * scale))
