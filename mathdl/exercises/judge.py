"""How an attempt is judged: compared with the truth on several inputs, then with the known mistakes, then diagnosed.

An untouched stub is "not attempted", never right; an attempt that raises is told where. Where an exercise forbids a large
matrix, one that builds it is told so.
"""

from __future__ import annotations

import copy
import re
import traceback
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from mathdl.arrays import describe
from mathdl.diagnosis import diagnose

__all__ = ["Exercise", "Verdict", "judge"]

Status = Literal["not attempted", "not yet", "right"]


@dataclass(frozen=True)
class Exercise:
    """What one exercise asks and how it is judged.

    Parameters
    ----------
    name : str
        Lower-case words joined by hyphens.
    task : str
        What is asked, in one sentence.
    truth : object
        The right function or value. For a derivative, compute it (``numeric.jacobian(f, x, method="complex").value``)
        rather than writing the formula down a second time.
    hints : tuple of str
        From a nudge to nearly the answer; the first wrong attempt gets the first.
    mistakes : mapping of str to object
        A sentence that tells the student what went wrong -> the wrong function or value it belongs to.
    inputs : tuple of tuples
        The arguments a function is tried on; empty where a value is asked for.
    rtol : float
        How close counts as right, relative to the largest entry of the truth.
    derivative : bool
        Whether the result is a Jacobian or a gradient, so that ``diagnose`` applies.
    examine : function, optional
        Where the truth is not the only right answer, or a mistake is not one function: called with a result of the
        truth's shape and the arguments, it says what is wrong with that result, and ``None`` of a right one.
    memory : int
        How many bytes a call may hold at once beside its arguments; 0 where that does not matter. The largest input has to
        be so large that what must not be built exceeds it, and so small that building it does no harm.
    too_large : str
        What an attempt is told that gives the right numbers and holds more.
    """

    name: str
    task: str
    truth: Any
    hints: tuple[str, ...]
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[tuple[Any, ...], ...] = ()
    rtol: float = 1e-6
    derivative: bool = False
    examine: Callable[..., str | None] | None = None
    memory: int = 0
    too_large: str = ""


@dataclass(frozen=True)
class Verdict:
    """The answer to an attempt; prints as one sentence."""

    name: str
    status: Status
    diagnosis: str = ""
    hint: str = ""

    def __repr__(self) -> str:
        text = f"{self.name}: {self.status}"
        if self.status == "right":
            return f"✓ {text}"
        if self.diagnosis:
            text += f": {self.diagnosis}"
        return text + (f"\n  Hint: {self.hint}" if self.hint else "")


def judge(exercise: Exercise, attempt: Any, failures: int = 0) -> Verdict:
    """Compare ``attempt`` with the exercise's truth; ``failures`` wrong attempts before decide which hint is given."""
    try:
        diagnosis = _compare(exercise, _results(exercise, attempt)) or _weigh(exercise, attempt)
    except _Untouched:
        return Verdict(exercise.name, "not attempted")
    except _Unusable as problem:
        diagnosis = str(problem)
    if diagnosis is None:
        return Verdict(exercise.name, "right")
    hint = exercise.hints[min(failures, len(exercise.hints) - 1)] if exercise.hints else ""
    return Verdict(exercise.name, "not yet", diagnosis, hint)


class _Untouched(Exception):
    """The stub as it was handed out."""


class _Unusable(Exception):
    """An attempt that gives nothing to compare; the message says why."""


def _is_stub(value: Any) -> bool:
    return value is None or value is Ellipsis


def _results(exercise: Exercise, attempt: Any) -> list[Any]:
    """Return the attempt's value for each input (or the attempt itself, where a value is asked for)."""
    if _is_stub(attempt):
        raise _Untouched
    if not exercise.inputs:
        if callable(attempt):
            raise _Unusable(f"got {describe(attempt)}; the exercise asks for a value: call the function first")
        return [attempt]
    if not callable(attempt):
        raise _Unusable(f"got {describe(attempt)}; the exercise asks for the function itself: hand it over uncalled")
    return [_call(attempt, arguments) for arguments in exercise.inputs]


def _call(attempt: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        result = attempt(*copy.deepcopy(arguments))
    except NotImplementedError:
        raise _Untouched from None
    except Exception as error:
        shapes = ", ".join(describe(a) for a in arguments)
        raise _Unusable(f"called with {shapes} it raised {type(error).__name__}: {error}{_where(error)}") from error
    if _is_stub(result):
        raise _Untouched
    return result


def _where(error: Exception) -> str:
    """Name the attempt's own line that raised; nothing if the call itself did not fit."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # without the call in this file
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" (at `{own[-1].line}`)" if own else ""


def _compare(exercise: Exercise, results: list[Any]) -> str | None:
    """Return ``None`` if the results are right, otherwise what is wrong with them."""
    truths = _expected(exercise, exercise.truth)
    cases = zip(exercise.inputs or ((),), results, truths, strict=True)
    differences = [found for case in cases if (found := _difference(exercise, *case)) is not None]
    if not differences:
        return None
    for sentence, wrong in exercise.mistakes.items():
        if all(_close(r, w, exercise.rtol) for r, w in zip(results, _expected(exercise, wrong), strict=True)):
            return sentence
    first = differences[0]
    # The same slip may be told with other shapes; a factor, or another slip, is true of one input only.
    alike = len({re.sub(r"[\d.,()\[\] ]+", " ", sentence) for sentence in differences}) == 1
    if len(set(differences)) == 1 or (alike and "factor" not in first):
        return first
    begins = first[0].lower() if first.startswith(("The ", "No ")) else first[0]
    return f"for the first input that differs, {begins}{first[1:]}"


def _difference(exercise: Exercise, arguments: tuple[Any, ...], result: Any, truth: Any) -> str | None:
    """Return ``None`` of a right result, otherwise what is wrong with it."""
    a = _numbers(result)
    if exercise.examine is not None and a is not None and a.shape == np.shape(truth) and not np.iscomplexobj(a):
        return exercise.examine(_dense(result), *copy.deepcopy(arguments))
    return None if _close(result, truth, exercise.rtol) else _describe_difference(exercise, arguments, result, truth)


def _weigh(exercise: Exercise, attempt: Any) -> str | None:
    """Call once more an attempt that is right, and return what is wrong if it holds more bytes at once than it may.

    The calls before have loaded what the attempt imports, so that the arrays alone count.
    """
    if not exercise.memory:
        return None
    running = tracemalloc.is_tracing()
    for arguments in exercise.inputs:
        (tracemalloc.reset_peak if running else tracemalloc.start)()
        before = tracemalloc.get_traced_memory()[0]
        try:
            _call(attempt, arguments)
            held = tracemalloc.get_traced_memory()[1] - before
        finally:
            if not running:
                tracemalloc.stop()
        if held > exercise.memory:
            shapes = ", ".join(describe(a) for a in arguments)
            return f"the result is right, but called with {shapes} it held {held / 1e6:.1f} MB at once: {exercise.too_large}"
    return None


def _expected(exercise: Exercise, function: Any) -> list[Any]:
    return [function(*copy.deepcopy(a)) for a in exercise.inputs] if exercise.inputs else [function]


def _close(result: Any, truth: Any, rtol: float) -> bool:
    if isinstance(truth, str):
        return isinstance(result, str) and result.strip().lower() == truth.strip().lower()
    a, b = _numbers(result), np.asarray(truth)
    if a is None or a.shape != b.shape:
        return False
    scale = float(np.max(np.abs(b), initial=0.0))
    return bool(np.all(np.abs(a - b) <= rtol * (scale if scale > 0 else 1.0)))  # a NaN compares false


def _dense(value: Any) -> Any:
    """A sparse matrix as an array, unless that would fill the memory; anything else as it is."""
    small = hasattr(value, "toarray") and np.prod(np.shape(value), dtype=float) < 1e7
    return value.toarray() if small else value


def _numbers(value: Any) -> np.ndarray[Any, np.dtype[Any]] | None:
    try:
        array = np.asarray(_dense(value))
    except ValueError:
        return None
    if array.dtype.kind not in "biufc":
        return None
    return array if array.dtype.kind == "c" else array.astype(float)  # booleans and unsigned integers do not subtract


def _describe_difference(exercise: Exercise, arguments: tuple[Any, ...], result: Any, truth: Any) -> str:
    if isinstance(truth, str):
        return f"{result!r} is not the answer" if isinstance(result, str) else f"got {describe(result)}; wanted a word"
    a, b = _numbers(result), np.asarray(truth)
    if a is None:
        return f"got {describe(result)}; wanted " + ("a number" if b.ndim == 0 else f"numbers with shape {b.shape}")
    if np.iscomplexobj(a) and not np.iscomplexobj(b):
        return "got complex numbers; wanted real ones"
    if exercise.derivative:
        found = diagnose(a, b)
        return "right to six digits, and the exercise asks for more" if found.kind == "right" else found.sentence
    if a.shape != b.shape:
        return f"the result has shape {a.shape}; wanted {b.shape}"
    if a.ndim == 0:
        where = f" for the input {arguments[0]}" if len(arguments) == 1 and np.ndim(arguments[0]) == 0 else ""
        return f"{float(a):.6g} is not the right number{where}"
    wrong = np.abs(a - b) > exercise.rtol * max(float(np.max(np.abs(b))), np.finfo(float).tiny)
    wrong |= ~np.isfinite(a)
    first = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{int(wrong.sum())} of {wrong.size} entries differ, the first at index {first}: {a[first]:.6g}"
