"""What it is to follow a function: a trace of its steps, and the arrays that belong to one.

A traced array is not a subclass of ndarray and cannot become one: where it would be dropped, an error is raised.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import functools
import itertools
import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from mathdl.autodiff.followed import Followed, length_or_scalar
from mathdl.autodiff.naming import begin_run, end_run, innermost, refuse
from mathdl.autodiff.primitives import AGAINST_CONSTANT, AGAINST_ZERO, ELEMENTWISE, RULES
from mathdl.autodiff.recording import Recorded, recorded, run
from mathdl.errors import MathdlError, NotDifferentiable

__all__ = [
    "Link",
    "Trace",
    "Traced",
    "TracedArray",
    "TracedNumber",
    "apply",
    "binary",
    "cast",
    "collect",
    "concrete",
    "follow",
    "lift",
    "lock",
    "unary",
]

# How a result depends on one traced argument: where that argument stands in the trace, and its local derivative.
#   (mark, SAME | NEGATED, None, None, shape)    the identity, or minus it
#   (mark, SCALED, formula, needed, shape)       elementwise: multiply by formula(*needed)
#   (mark, LINEAR, push, pull, how)   a linear map push(tangent, lead) and its transpose pull(cotangent, lead)
#   (mark, PART, key, None, shape)               basic indexing
#   (mark, ENTRY, key, None, shape)              the reverse: the argument is a number, and this entry of the result
# shape is that of the argument for PART, of the result for ENTRY; else None, or (its shape, the result's shape) if the
# argument was broadcast.
# lead is the number of axes in front of the array's own: 1 if several directions travel together, else 0.
Link: TypeAlias = tuple[Any, int, Any, Any, Any]
SAME: Final = 0
NEGATED: Final = 1
SCALED: Final = 2
LINEAR: Final = 3
PART: Final = 4
ENTRY: Final = 5

# What a linear map's pull gives: what it was given or a view of it, or always a new array. If it knows the Identity, it
# takes that too, and gives a new array for all else.
VIEW: Final = 0
FRESH: Final = 1
KNOWS_IDENTITY: Final = 2

COPIED: Final = 2**15  # bytes: smaller constants are copied rather than locked
_NUMBERS: Final = frozenset({float, int, np.float64, np.float32})
_FLOAT: Final = np.dtype(float)
_levels = itertools.count(1)


# ------------------------------------------------------------------------------------------------------ what a trace is
class Trace:
    """One run of one function. One begun later has a higher level: arrays of earlier ones are constants to it."""

    __slots__ = ("ended", "level", "locked", "prints")
    by_structure = False  # whether it is told which steps are taken, and not only what these do to tangents

    def __init__(self) -> None:
        self.level = next(_levels)
        self.ended = False
        self.locked: list[np.ndarray[Any, Any]] = []
        self.prints: list[tuple[np.ndarray[Any, Any], bytes]] = []  # some entries of what is locked, and what they were

    def record(self, value: Any, links: Sequence[Link]) -> Traced:
        """The result of a step, with its links to the traced arguments."""
        raise NotImplementedError

    def record_step(
        self,
        value: Any,
        define: Callable[..., Any],
        marks: Sequence[Any],
        values: Sequence[Any],
        static: tuple[Any, ...],
    ) -> Traced:
        """The same for a trace `by_structure`, of ``define(*values, *static)``; an untraced operand has no mark."""
        raise NotImplementedError

    def keep(self, constant: Any) -> Any:
        """A constant that the derivative will need later, safe from being written into until then."""
        return constant

    def keep_input(self, value: Any) -> Any:
        """An input, safe from being written into while the trace is open: large ones are locked, others copied."""
        if type(value) is np.ndarray:
            if value.nbytes <= COPIED:
                return value.copy() if value.ndim else value[()]
            self.protect(value)
        return value

    def protect(self, array: np.ndarray[Any, Any]) -> None:
        """Lock a large array, and note some of its entries: views made earlier can still be written through."""
        lock(array, self.locked)
        self.prints += [(some, some.tobytes()) for some in samples(array)]

    def end(self) -> None:
        """From here on the trace takes no more steps, and constants may be written into again."""
        self.ended = True
        if self.locked:
            unlock(self.locked)
            self.locked = []

    def wrap(self, value: Any, mark: Any) -> Traced:
        """A traced array (or number) with this value."""
        if self.ended:
            raise refuse(
                "a traced array", "it is used after the call that traced it has ended", "return it from the function"
            )
        if type(value) is np.float64:
            return TracedNumber(value, self, mark)
        if value.dtype is not _FLOAT and value.dtype.kind != "f":
            raise _not_real(value, value.dtype.kind)
        return (TracedArray if value.ndim else TracedNumber)(value, self, mark)


def _not_real(value: Any, kind: str) -> NotDifferentiable:
    if kind == "c":
        return refuse("a complex number", "only real derivatives are defined here", "compute with real numbers")
    return refuse(f"an array of {value.dtype}", "it does not hold real floating-point numbers", "write x.astype(float)")


def samples(array: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """Views of the first entry, the last, and some sixty between: enough to notice most writes, and almost free."""
    array = array.T if array.flags.f_contiguous else array
    if not array.flags.c_contiguous:
        return [array[tuple(slice(None, None, max(n - 1, 1)) for n in array.shape)]]  # its corners
    flat, step = array.reshape(-1), _stride(array.size)
    return [flat[:1], flat[(array.size - 1) % step :: step]]


@functools.lru_cache
def _stride(size: int) -> int:
    """A step without a factor in common with the lengths of the axes, so that all rows and columns are met."""
    return next(k for k in range(size // 61, size) if math.gcd(k, size) == 1)


# Constants that are locked, by id: the array, and by how many traces. Two traces may need the same one.
_locks: dict[int, list[Any]] = {}


def lock(array: np.ndarray[Any, Any], locked: list[np.ndarray[Any, Any]]) -> None:
    """Forbid writing into an array, and into those that it is a view of, until `unlock`."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        entry = _locks.get(id(owner))
        if entry is not None:
            entry[1] += 1
            locked.append(owner)
        elif owner.flags.writeable:
            _locks[id(owner)] = [owner, 1]
            owner.flags.writeable = False
            locked.append(owner)
        owner = owner.base


def unlock(locked: list[np.ndarray[Any, Any]]) -> None:
    """Take back what `lock` did."""
    for array in locked:
        _locks[id(array)][1] -= 1
    for array in reversed(locked):  # an array before its views
        entry = _locks.get(id(array))
        # A view stays locked while another trace needs the array behind it, whose own unlocking then frees both.
        if entry is not None and not entry[1] and not _held(array.base):
            del _locks[id(array)]
            array.flags.writeable = True
    for array, count in list(_locks.values()) if _locks else ():
        if not count and not _held(array.base):
            del _locks[id(array)]
            array.flags.writeable = True


def _held(owner: Any) -> bool:
    return isinstance(owner, np.ndarray) and (id(owner) in _locks or _held(owner.base))


_INSTEAD: Final = {
    "scipy.special.logsumexp": "np.logaddexp.reduce(x, axis=...)",
    "scipy.special.softmax": "e = np.exp(x - np.max(x)); e / np.sum(e)",
    "scipy.special.log_softmax": "x - np.logaddexp.reduce(x)",
}


def follow(trace: Trace, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call ``f`` while the trace is open.

    What ``f`` can do with plain arrays and not with traced ones becomes a `NotDifferentiable`. What it cannot do with
    plain arrays either is its own error, and stays as it is.
    """
    refused = begin_run()
    try:
        result = f(*args, **kwargs)
        if refused:  # and the function has caught the error, and gone on without what was refused
            raise refused[0]
        for some, before in trace.prints:
            if some.tobytes() != before:
                raise NotDifferentiable(
                    getattr(f, "__name__", "f"),
                    "it writes into an array whose earlier values the derivative needs, through a view of it",
                    "use a new array in place of the one that is written into, or multiply by a copy of it",
                )
        return result
    except MathdlError:
        raise
    except Exception as error:
        if isinstance(error.__cause__, MathdlError):  # NumPy speaks of a sequence where float() was refused
            raise error.__cause__ from None
        written = bool(trace.locked) and "read-only" in str(error)
        trace.end()
        if not _works(f, args, kwargs):
            raise
        name = getattr(f, "__name__", "f")
        place, library = innermost(error)
        if written:
            raise NotDifferentiable(
                name,
                f"it writes into an array whose earlier values the derivative needs (at {place})",
                "use a new array in place of the one that is written into, or multiply by a copy of it",
            ) from error
        raise NotDifferentiable(
            library or name,
            f"it does what a traced array cannot do (at {place}): {type(error).__name__}: {error}",
            _INSTEAD.get(
                library or "", "np.stack([...]) in place of lists of traced numbers, and functions with a rule"
            ),
        ) from error
    finally:
        end_run()
        trace.end()


def _works(f: Callable[..., Any], args: Any, kwargs: Any) -> bool:
    """Whether ``f`` accepts the plain values of its arguments."""
    try:
        f(*map(concrete, args), **kwargs)
    except MathdlError:  # it went all the way, and its result is refused
        return True
    except Exception:
        return False
    return True


# ---------------------------------------------------------------------------------------------------- the traced arrays
class Traced(Followed):
    """What a trace follows: a value, its trace, and the mark under which the trace knows it."""

    __slots__ = ("mark", "origin", "shared", "value")
    __array_priority__ = 1000.0

    def __init__(self, value: Any, trace: Trace, mark: Any) -> None:
        self.value, self.origin, self.mark = value, trace, mark
        self.shared = False  # whether another array shares its memory in NumPy, as a view or as the caller's argument

    def same(self) -> Traced:
        """Another traced array with this one's value and derivative."""
        return type(self)(self.value, self.origin, self.mark)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    @property
    def ndim(self) -> int:
        return int(self.value.ndim)

    @property
    def size(self) -> int:
        return int(self.value.size)

    @property
    def dtype(self) -> Any:
        return self.value.dtype

    @property
    def itemsize(self) -> int:
        return int(self.value.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def T(self) -> Any:
        return RULES[np.transpose].apply(self)

    @property
    def mT(self) -> Any:
        return RULES[np.matrix_transpose].apply(self)

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> Any:
        return np.zeros(self.shape, self.dtype)[()]

    @property
    def flat(self) -> Any:
        return RULES[np.ravel].apply(self)

    @property
    def device(self) -> str:
        return "cpu"

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        """The same numbers in another floating-point type; without a copy, perhaps this very array."""
        return self if not copy and np.dtype(dtype) == self.dtype else cast(self, np.dtype(dtype))

    def copy(self, order: str = "C") -> Traced:
        return self.same()

    __copy__ = copy

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise refuse("pickle", "a copy of a traced array would not know its trace", "x.copy()")

    def __deepcopy__(self, memo: Any) -> Traced:
        return self.same()

    def item(self, *index: Any) -> Any:
        if index:
            return RULES[np.ravel].apply(self)[index[0]] if len(index) == 1 else self[index]  # type: ignore[index]
        return RULES[np.reshape].apply(self, ())

    def tolist(self) -> Any:
        return self

    def __repr__(self) -> str:
        return f"Traced({concrete(self)!r})"

    def __format__(self, spec: str) -> str:
        return f"traced {format(concrete(self), spec)}"

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refuse(
            "x[...] = ...", "writing into a traced array", "np.where(mask, new, old), np.stack or np.concatenate"
        )


class TracedNumber(Traced):
    """A traced array without axes. It must have no length, and not be iterable, or NumPy takes it apart."""

    __slots__ = ()
    __iter__ = None

    def __getitem__(self, key: Any) -> Any:
        """As NumPy's numbers: x[None] has one axis more, x[...] and x[()] are x."""
        parts = key if type(key) is tuple else (key,)
        if all(part is None or part is Ellipsis for part in parts):
            return RULES[np.reshape].apply(self, np.empty(())[parts].shape)
        return select(self, parts)


numbers.Number.register(TracedNumber)
_ONLY_TRACED: Final = {TracedNumber}


class TracedArray(Traced):
    """An array with at least one axis that a trace follows."""

    __slots__ = ()

    def __len__(self) -> int:
        return length_or_scalar(self, int(self.value.shape[0]))

    def __getitem__(self, key: Any) -> Any:
        parts = key if type(key) is tuple else (key,)
        for part in parts:
            if type(part) is not int and not _is_basic(part):
                return select(self, parts)
        value = self.value[parts]
        result = self.origin.record(value, ((self.mark, PART, parts, None, self.value.shape),))
        self.shared = result.shared = True
        return result

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def tolist(self) -> Any:
        return [entry.tolist() for entry in self]


def _is_basic(part: Any) -> bool:
    if part is None or part is Ellipsis or isinstance(part, slice):
        return True
    return isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_))


def select(x: Traced, parts: tuple[Any, ...]) -> Any:
    """Indexing with arrays of integers or booleans: the rule finds which entries are meant, and gathers them."""
    if any(isinstance(part, Traced) for part in parts):
        raise refuse("x[i]", "the index is a traced value", "an index made of integers")
    return RULES["select"].apply(x, parts)


def cast(x: Any, dtype: np.dtype[Any]) -> Any:
    if dtype.kind != "f":
        raise refuse(
            f"x.astype({dtype})", "the derivative would be dropped", "np.round or np.floor, whose derivative is zero"
        )
    return RULES["cast"].apply(x, dtype)


# -------------------------------------------------------------------------------------------------- one step of a trace
def unary(function: Any, partial: Any, x: Traced) -> Traced:
    """One step with a function of one traced array, entry by entry."""
    value = function(x.value)
    link: Link
    if type(partial) is int:
        link = (x.mark, SAME if partial == 1 else NEGATED, None, None, None)
    else:
        link = (x.mark, SCALED, partial.formula, [value if k else x.value for k in partial.needs], None)
    return x.origin.record(value, (link,))


def binary(function: Any, compute: Any, a: Any, b: Any) -> Any:
    """One step with a function of two arrays, entry by entry; ``compute`` may be a faster way to its value."""
    one, two = isinstance(a, Traced), isinstance(b, Traced)
    row = ELEMENTWISE[function]
    if not (one and two):
        if not one and type(a) not in _NUMBERS:
            a = lift(a)
            one = isinstance(a, Traced)
        if not two and type(b) not in _NUMBERS:
            b = lift(b)
            two = isinstance(b, Traced)
        if not (one or two):
            return function(a, b)
        if function in AGAINST_CONSTANT and one is not two:
            constant = b if one else a
            zero = type(constant) in _NUMBERS and constant == 0
            row = (AGAINST_ZERO[function],) * 2 if zero else AGAINST_CONSTANT[function]
    if one and two and a.origin is not b.origin:  # the array of an outer trace is a constant here
        one = a.origin.level > b.origin.level
        two = not one
    trace = a.origin if one else b.origin
    value_a, value_b = a.value if one else a, b.value if two else b
    value = compute(value_a, value_b)
    links: list[Link] = []
    if one:
        kept = value_b if two or type(value_b) in _NUMBERS else None
        links.append(_partial_link(a.mark, row[0], value_a, kept, value, value_a.shape, trace, value_b))
    if two:
        kept = value_a if one or type(value_a) in _NUMBERS else None
        links.append(_partial_link(b.mark, row[1], kept, value_b, value, value_b.shape, trace, value_a))
    return trace.record(value, links)


def _partial_link(mark: Any, partial: Any, a: Any, b: Any, y: Any, own: Any, trace: Trace, constant: Any) -> Link:
    """The link to one operand; the other one is None if it is a constant that has yet to be kept safe."""
    shape = None if own == y.shape else (own, y.shape)
    if type(partial) is int:
        return (mark, SAME if partial == 1 else NEGATED, None, None, shape)
    if partial is None:
        raise refuse("a function of two arguments", "its derivative by this argument is not known", "a constant there")
    needed = []
    for k in partial.needs:
        value = a if k == 0 else b if k == 1 else y
        needed.append(trace.keep(constant) if value is None else value)
    return (mark, SCALED, partial.formula, needed, shape)


def _top(operands: Sequence[Any]) -> Any:
    trace = None
    for x in operands:
        if isinstance(x, Traced) and (trace is None or x.origin.level > trace.level):
            trace = x.origin
    return trace


def apply(define: Callable[..., Any], operands: Sequence[Any], *static: Any) -> Any:
    """Take one step: ``define(*values, *static)`` gives the value, and for each operand ``(push, pull, how)``.

    ``push(tangent, lead)`` is the step's linear map for that operand, ``pull(cotangent, lead)`` its transpose; both are
    written in NumPy, so that they can be differentiated in turn.
    """
    if len(operands) == 1 and isinstance(operands[0], Traced):  # the frequent case
        x = operands[0]
        value, (how,) = define(x.value, *static)
        if x.origin.by_structure:
            return x.origin.record_step(value, define, [x.mark], [x.value], static)
        return x.origin.record(value, ((x.mark, LINEAR, *how),))
    trace = _top(operands)
    if trace is None:
        return define(*operands, *static)[0]
    values = []
    for x in operands:
        if isinstance(x, Traced) and x.origin is trace:
            values.append(x.value)
        else:
            values.append(trace.keep(x))
    value, maps = define(*values, *static)
    if trace.by_structure:
        marks = [x.mark if isinstance(x, Traced) and x.origin is trace else None for x in operands]
        return trace.record_step(value, define, marks, values, static)
    links = [
        (x.mark, LINEAR, *how)
        for x, how in zip(operands, maps, strict=True)
        if isinstance(x, Traced) and x.origin is trace
    ]
    return trace.record(value, links)


def lift(x: Any) -> Any:
    """An operand as the rules take it: traced, a plain array or a number. Lists of traced numbers become traced."""
    if isinstance(x, (Followed, float, int, np.generic)):
        return x
    kind = type(x)
    if kind is not np.ndarray:
        if isinstance(x, np.ndarray) and kind is not np.memmap:
            raise refuse(f"numpy.{kind.__name__}", "its arithmetic is not that of plain arrays", "use np.asarray(x)")
        x = np.asarray(x)
    return collect(x) if x.dtype.kind == "O" else x


def collect(x: np.ndarray[Any, Any]) -> Any:
    """Make of an object array that holds traced numbers one traced array."""
    entries = x.ravel().tolist()
    kinds = set(map(type, entries))
    if TracedNumber not in kinds:
        x = recorded(x)
        if isinstance(x, Recorded):
            return x
    if kinds != _ONLY_TRACED:
        for entry in entries:
            if isinstance(entry, bool) or not isinstance(
                entry, (TracedNumber, Recorded, float, int, np.floating, np.integer)
            ):
                raise refuse(
                    "an array of Python objects",
                    f"it holds a {type(entry).__name__}, and not only numbers",
                    "use np.stack or np.concatenate",
                )
    trace = _top(entries)
    if trace is None:
        return _stacked(entries, x.shape)
    value = _stacked([y.value if isinstance(y, Traced) and y.origin is trace else y for y in entries], x.shape)
    places = ((k,) for k in range(len(entries))) if x.ndim == 1 else np.ndindex(*x.shape)
    return trace.record(
        value,
        [
            (y.mark, ENTRY, place, None, x.shape)
            for place, y in zip(places, entries, strict=True)
            if isinstance(y, Traced) and y.origin is trace
        ],
    )


def _stacked(entries: list[Any], shape: tuple[int, ...]) -> Any:
    """An array of these numbers, some of which may be traced by an outer trace or recorded."""
    kinds = set(map(type, entries))
    if TracedNumber in kinds:
        objects = np.empty(len(entries), dtype=object)
        objects[:] = entries
        return collect(objects.reshape(shape))
    value = run(np.array, entries) if any(issubclass(kind, Recorded) for kind in kinds) else np.array(entries)
    return value if len(shape) == 1 else np.reshape(value, shape)


def place_entry(t: Any, key: tuple[int, ...], shape: tuple[int, ...], lead: int) -> Any:
    """Zeros of this shape with the number ``t`` at one entry."""
    ones = np.zeros(shape)
    ones[key] = 1.0
    return np.reshape(t, t.shape[:lead] + (1,) * len(shape)) * ones.astype(t.dtype)


def concrete(x: Any) -> Any:
    """The plain value of a traced array, of a list of them, or of anything else."""
    while isinstance(x, Traced):
        x = x.value
    if type(x) in (list, tuple):
        return type(x)(concrete(part) for part in x)
    if type(x) is dict:
        return {key: concrete(part) for key, part in x.items()}
    if isinstance(x, np.ndarray) and x.dtype.kind == "O" and any(isinstance(entry, Traced) for entry in x.flat):
        return concrete(collect(x))
    return x
