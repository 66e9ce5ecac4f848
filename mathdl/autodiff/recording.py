"""Writing down which NumPy functions a program calls, in order: what `mathdl.autodiff.compiling` makes a program of.

The recorded arrays lie *under* the traced ones, so that whatever the engine does to find a derivative is recorded too.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from mathdl.autodiff.followed import Followed, is_sparse, length_or_scalar
from mathdl.autodiff.naming import INSIDE, refuse

__all__ = [
    "Recorded",
    "RecordedArray",
    "RecordedNumber",
    "Recording",
    "Step",
    "as_type",
    "bottom",
    "call_it",
    "companion",
    "embedded",
    "filled",
    "found_in",
    "indexed",
    "item",
    "prefers_forward",
    "put",
    "recorded",
    "replaced",
    "run",
    "scattered",
    "sparse_product",
    "summed",
]


# ----------------------------------------------------------------------------------------------------------- the steps
class Step:
    """One call: the function, its arguments (steps or plain values, nested as NumPy takes them), and what came out."""

    __slots__ = ("args", "companions", "function", "kwargs", "label", "place", "provisional", "value")

    def __init__(self, function: Any, args: Any, kwargs: dict[str, Any], value: Any, place: int) -> None:
        self.function, self.args, self.kwargs, self.value, self.place = function, args, kwargs, value, place
        self.label: str | None = None  # what the program that is followed calls it
        self.provisional = False  # whether the program's own name for it would be better
        self.companions: list[Step] = []  # the values that this is the tangent or the cotangent of


class Recording:
    """The steps of one program, from the inputs to the results."""

    prefers_forward = False  # which mode a square Jacobian is cheaper in, where nothing else decides

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.matrices: list[Any] = []  # sparse ones, as they were in the products with them
        self.outermost: Any = sys._getframe(1)  # frames above it do not belong to the program

    def enter(self, value: Any, label: str) -> Recorded:
        """An input of the program."""
        step = self._step(None, (), {}, value)
        step.label = label
        return _wrap(self, step)

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function with recorded arguments, and write the call down."""
        self.read_labels()
        args, kwargs = _settled(args), _settled(kwargs)
        if any(map(_above, (*args, *kwargs.values()))):
            return function(*args, **kwargs)  # an array of objects held traced numbers: those follow the call
        if function is sparse_product:
            args = (self._settled_matrix(args[0]), args[1])
        value = function(*_plain(args), **_plain(kwargs))
        step = self._step(function, args, kwargs, value)
        if isinstance(value, (tuple, list)):
            parts = [_wrap(self, self._step(item, (_wrap(self, step), k), {}, part)) for k, part in enumerate(value)]
            kind: Any = type(value)
            return kind(*parts) if hasattr(value, "_fields") else kind(parts)
        return _wrap(self, step)

    def _settled_matrix(self, matrix: Any) -> Any:
        """A copy that later changes cannot reach; the same one while the matrix is the same, as in a loop over time."""
        for known in self.matrices[-4:]:
            if matrix is known or (_alike(matrix, known) and not (matrix != known).nnz):
                return known
        self.matrices.append(matrix.copy())
        return self.matrices[-1]

    def _step(self, function: Any, args: Any, kwargs: Any, value: Any) -> Step:
        step = Step(function, args, kwargs, value, len(self.steps))
        self.steps.append(step)
        return step

    def forget(self) -> None:
        """Let go of all steps, and of the example values in them, as soon as nobody needs them any more."""
        self.steps, self.matrices, self.outermost = [], [], None

    def read_labels(self) -> None:
        """Learn which names the program has given to what it made so far; outer functions have the first word."""
        frame: Any = sys._getframe(1)
        scopes = []
        while frame is not None and frame is not self.outermost:
            if not frame.f_code.co_filename.startswith(INSIDE):
                scopes.append(frame.f_locals)
            frame = frame.f_back
        for names in reversed(scopes):
            for name, value in names.items():
                value = bottom(value) if isinstance(value, Followed) else value
                if not isinstance(value, Recorded) or name.startswith("_"):
                    continue
                if value.step.label is None or value.step.provisional:
                    value.step.label, value.step.provisional = name, False


def _alike(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a.shape == b.shape and a.dtype == b.dtype and a.nnz == b.nnz


def item(values: Any, k: int) -> Any:
    """One of several results."""
    return values[k]


def replaced(x: Any, of: Callable[[Any], Any]) -> Any:
    """An argument, however it is nested, with ``of(r)`` in place of each recorded array ``r``."""
    kind = type(x)
    if kind is RecordedArray or kind is RecordedNumber:
        return of(x)
    if kind is tuple or kind is list:
        return kind([replaced(part, of) for part in x])
    if kind is dict:
        return {name: replaced(part, of) for name, part in x.items()}
    if kind is slice:
        return slice(replaced(x.start, of), replaced(x.stop, of), replaced(x.step, of))
    return x


def _plain(x: Any) -> Any:
    """Arguments with the example values in place of what is recorded."""
    return replaced(x, lambda r: r.step.value)


def _settled(x: Any) -> Any:
    """Arguments in which arrays of recorded numbers are recorded arrays, and which later changes cannot reach."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind([_settled(part) for part in x])
    if kind is dict:
        return {name: _settled(part) for name, part in x.items()}
    if isinstance(x, np.ndarray):
        if x.dtype.kind == "O":
            return recorded(x)
        return x.copy()
    return x


def recorded(x: Any) -> Any:
    """A list or an object array of recorded numbers as one recorded array; anything else as it came."""
    array = x if isinstance(x, np.ndarray) else np.asarray(x, dtype=object)
    found = next((entry for entry in array.flat if isinstance(entry, Recorded)), None)
    if found is None:
        return x
    if any(map(_above, array.flat)):
        return np.reshape(np.stack(array.ravel().tolist()), array.shape)
    return found.recording.call(np.array, (array.tolist(),), {})


def _shown(x: Any, is_array: bool) -> Any:
    """An argument in which lists of numbers, some of them traced, are traced arrays: NumPy does not look into them.

    A list is an array itself, or one of arrays, as in ``np.concatenate([a, [b[0], 1.0]])``. The same object if NumPy
    sees all there is.
    """
    if not isinstance(x, (tuple, list)) or not any(map(_above, found_in(x, Followed))):
        return x
    parts = [_shown(part, True) for part in x]
    if is_array:
        return np.stack(parts)
    return x if all(map(operator.is_, parts, x)) else type(x)(parts)


def run(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function that NumPy does not dispatch; write it down if one of its arguments is recorded."""
    found = next(found_in(args, Recorded), None)
    return function(*args) if found is None else found.recording.call(function, args, {})


def found_in(x: Any, kind: type) -> Iterator[Any]:
    """What there is of a kind in an argument, however it is nested."""
    if isinstance(x, kind):
        yield x
    elif isinstance(x, (tuple, list)):
        for part in x:
            yield from found_in(part, kind)
    elif isinstance(x, dict):
        for part in x.values():
            yield from found_in(part, kind)
    elif isinstance(x, slice):
        yield from found_in((x.start, x.stop, x.step), kind)


def bottom(x: Any) -> Any:
    """The plain or recorded array under a traced one."""
    while isinstance(x, Followed) and not isinstance(x, Recorded):
        x = x.value  # type: ignore[attr-defined]
    return x


def prefers_forward(x: Any) -> bool:
    """Whether ``x`` is recorded in such a way that forward mode makes the shorter program."""
    x = bottom(x)
    return isinstance(x, Recorded) and x.recording.prefers_forward


def _step_of(x: Any) -> Step | None:
    x = bottom(x)
    return x.step if isinstance(x, Recorded) and x.step.function is not None else None


def companion(derivative: Any, value: Any) -> None:
    """Note that one recorded array is the tangent or the cotangent of another, so that it can be named after it."""
    mine, other = _step_of(derivative), bottom(value)
    if mine is not None and isinstance(other, Recorded) and mine is not other.step:
        mine.companions.append(other.step)


def call_it(x: Any, label: str) -> None:
    """Name a result after the function that returned it, if the program has no name for it."""
    step = _step_of(x)
    if step is not None and step.label is None:
        step.label = label


def _wrap(recording: Recording, step: Step) -> Recorded:
    several = isinstance(step.value, (tuple, list)) or np.ndim(step.value)
    return (RecordedArray if several else RecordedNumber)(recording, step)


# ------------------------------------------------------------------------------------------------- the recorded arrays
class Recorded(Followed):
    """What a recording follows: the step that made it, and the value that it has in the example."""

    __slots__ = ("recording", "step")

    def __init__(self, recording: Recording, step: Step) -> None:
        self.recording, self.step = recording, step

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, Followed) and not isinstance(x, Recorded) for x in inputs):
            return NotImplemented  # a traced array lies above
        if kwargs.get("out") is not None or method == "at":
            raise refuse(ufunc, "it writes into an existing array", "write y = y + x, not y += x or out=y")
        kwargs = {name: given for name, given in kwargs.items() if name != "out"}
        if method == "reduce":
            kwargs.setdefault("axis", 0)  # it is written as np.sum and its like, whose default is another
        return self.recording.call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Followed) and not issubclass(kind, Recorded) for kind in types):
            return NotImplemented
        if function in STATIC:
            return function(*_plain(args), **_plain(kwargs))
        if any(map(_above, found_in((args, kwargs), Followed))):
            is_array = getattr(function, "__name__", "") not in OF_SEQUENCES
            shown = [_shown(given, is_array) for given in (*args, *kwargs.values())]
            if not all(map(operator.is_, shown, (*args, *kwargs.values()))):
                return function(*shown[: len(args)], **dict(zip(kwargs, shown[len(args) :], strict=True)))
        name = getattr(function, "__name__", "")
        if kwargs.get("out") is not None or name in IN_PLACE:
            raise refuse(function, "it writes into an existing array", "np.where(mask, new, old)")
        if _is_shaped_by_values(name, args, kwargs):
            raise refuse(
                function,
                "the shape of its result depends on values, and a compiled program has fixed shapes",
                "np.where(mask, x, 0.0), or the same without mathdl.compile",
            )
        return self.recording.call(function, args, kwargs)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.shape(self.step.value)

    @property
    def ndim(self) -> int:
        return np.ndim(self.step.value)

    @property
    def size(self) -> int:
        return int(np.size(self.step.value))

    @property
    def dtype(self) -> Any:
        value = self.step.value
        return value.dtype if hasattr(value, "dtype") else np.asarray(value).dtype

    @property
    def itemsize(self) -> int:
        return int(self.dtype.itemsize)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def T(self) -> Any:
        return np.transpose(self)  # type: ignore[call-overload]

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)  # type: ignore[call-overload]

    @property
    def real(self) -> Any:
        return self if self.dtype.kind == "f" else np.real(self)

    @property
    def imag(self) -> Any:
        return np.imag(self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        return self if self.dtype == np.dtype(dtype) else self.recording.call(as_type, (self, np.dtype(dtype)), {})

    def copy(self, order: str = "C") -> Any:
        return type(self)(self.recording, self.step)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        return self.copy()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise refuse("pickle", "a recorded array belongs to one recording", "x.copy()")

    def item(self) -> Any:
        return np.reshape(self, ())  # type: ignore[call-overload]

    def tolist(self) -> Any:
        return self

    def __repr__(self) -> str:
        return f"Recorded({self.step.value!r})"

    def __bool__(self) -> bool:
        raise refuse(
            "if",
            "it asks for the value of a recorded array: a compiled program would always go the way of its example",
            "np.where(condition, x, y), or the same without mathdl.compile",
        )

    def __setitem__(self, key: Any, value: Any) -> None:
        raise refuse("x[...] = ...", "a recorded array cannot be written into", "np.where(mask, new, old) or np.stack")


class RecordedNumber(Recorded):
    """A recorded array without axes. It must have no length and no items, or NumPy takes it apart."""

    __slots__ = ()


class RecordedArray(Recorded):
    """A recorded array with at least one axis."""

    __slots__ = ()

    def __len__(self) -> int:
        return length_or_scalar(self, len(self.step.value))

    def __getitem__(self, key: Any) -> Any:
        for part in key if type(key) is tuple else (key,):
            ends = (part.start, part.stop, part.step) if isinstance(part, slice) else ()
            if (isinstance(part, Recorded) and part.dtype.kind == "b") or any(
                isinstance(end, Recorded) for end in ends
            ):
                raise refuse(
                    "x[mask]" if not ends else "x[i:j]",
                    "the shape of its result depends on values, and a compiled program has fixed shapes",
                    "np.where(mask, x, 0.0), or the same without mathdl.compile",
                )
        return self.recording.call(indexed, (self, key), {})

    def __iter__(self) -> Iterator[Any]:
        return (self[k] for k in range(len(self)))

    def tolist(self) -> Any:
        return [entry.tolist() for entry in self]


# ----------------------------------------------------------------------- steps that are no NumPy function of their own
def indexed(x: Any, key: Any) -> Any:
    """``x[key]``."""
    return x[key]


def as_type(x: Any, dtype: Any) -> Any:
    """``x.astype(dtype)``."""
    return np.asarray(x).astype(dtype)[()]


def sparse_product(matrix: Any, x: Any) -> Any:
    """``matrix @ x``, of a sparse matrix."""
    return matrix @ x


def embedded(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of this shape with ``g`` at ``key``."""
    y = np.zeros(shape, g.dtype)
    y[key] = g
    return y


def put(y: Any, key: Any, g: Any) -> Any:
    """``y`` with ``g`` added at ``key``; its buffer is used again."""
    y = y.copy()
    y[key] += g
    return y


def scattered(g: Any, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of this shape with ``g`` added at ``key``, where places may occur more than once."""
    y = np.zeros(shape, g.dtype)
    np.add.at(y, key, g)
    return y


def filled(size: int, dtype: Any, places: tuple[Any, ...], parts: tuple[Any, ...]) -> Any:
    """An array made of parts, each in its places, which together are all."""
    y = np.empty(size, dtype)
    for place, part in zip(places, parts, strict=True):
        y[place] = part
    return y


def summed(size: int, dtype: Any, places: tuple[Any, ...], parts: tuple[Any, ...]) -> Any:
    """An array to which parts are added, each in its places, which may meet."""
    y = np.zeros(size, dtype)
    for place, part in zip(places, parts, strict=True):
        if isinstance(place, np.ndarray):
            np.add.at(y, place, part)
        else:
            y[place] += part
    return y


# ----------------------------------------------------------------------------------------- what is answered or refused
# Questions about shapes and types, which the example answers for all arguments: they are fixed when compiling.
STATIC: Final = {
    *(np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.result_type, np.can_cast, np.common_type),
    *(np.zeros_like, np.ones_like, np.empty_like, np.may_share_memory, np.shares_memory, np.min_scalar_type),
}
IN_PLACE: Final = frozenset("copyto put place putmask put_along_axis fill_diagonal".split())
OF_SEQUENCES: Final = frozenset(
    "concatenate concat stack hstack vstack dstack column_stack block select choose multi_dot piecewise".split()
)  # functions of lists of arrays, not of lists that are arrays
SHAPED_BY_VALUES: Final = frozenset(
    """
    nonzero argwhere flatnonzero extract compress unique unique_all unique_counts unique_inverse unique_values union1d
    intersect1d setdiff1d setxor1d trim_zeros histogram_bin_edges
    """.split()
)
# By the values of these arguments, if they are not fixed when compiling: the place in the call, and the names.
SHAPED_BY_ARGUMENT: Final = {
    **dict.fromkeys("repeat reshape broadcast_to tile split array_split delete insert resize expand_dims".split(), 1),
    **dict.fromkeys("sum mean max min prod std var any all argmax argmin median diag diagonal diff pad".split(), 1),
    **dict.fromkeys("squeeze concatenate stack".split(), 1),
    **dict.fromkeys("linspace logspace geomspace".split(), 2),
}
SHAPING: Final = frozenset(
    "repeats shape reps indices_or_sections obj new_shape axis pad_width num k offset n minlength".split()
)


def _is_shaped_by_values(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the shape of a function's result depends on the values of what is recorded."""
    if name in SHAPED_BY_VALUES or (name == "where" and len(args) + len(kwargs) == 1):
        return True
    if name == "bincount" and len(args) < 3 and "minlength" not in kwargs:
        return any(isinstance(x, Recorded) for x in (*args[:1], kwargs.get("x")))
    place = SHAPED_BY_ARGUMENT.get(name, len(args))
    shaping = (*args[place : place + 1], *(kwargs[key] for key in SHAPING.intersection(kwargs)))
    return next(found_in(shaping, Recorded), None) is not None


def _operators() -> None:
    names = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
        "mod": np.remainder, "floordiv": np.floor_divide, "matmul": np.matmul, "and": np.bitwise_and,
        "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift, "rshift": np.right_shift,
    }  # fmt: skip
    compare = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
               "ne": np.not_equal}  # fmt: skip
    for name, function in {**names, **compare}.items():
        setattr(Recorded, f"__{name}__", _operator(function))
    for name, function in names.items():
        setattr(Recorded, f"__r{name}__", _reflected(function))
        setattr(Recorded, f"__i{name}__", _in_place)
    setattr(Recorded, "__matmul__", _matmul)  # noqa: B010
    setattr(Recorded, "__rmatmul__", _matmul_reflected)  # noqa: B010
    for name, function in {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}.items():
        setattr(Recorded, f"__{name}__", lambda self, f=function: self.recording.call(f, (self,), {}))


def _matmul(self: Recorded, other: Any) -> Any:
    if is_sparse(other):
        return np.transpose(run(sparse_product, other.T, np.transpose(self)))  # type: ignore[call-overload]
    return NotImplemented if _above(other) else self.recording.call(np.matmul, (self, other), {})


def _matmul_reflected(self: Recorded, other: Any) -> Any:
    function = sparse_product if is_sparse(other) else np.matmul
    return NotImplemented if _above(other) else self.recording.call(function, (other, self), {})


def _above(x: Any) -> bool:
    return isinstance(x, Followed) and not isinstance(x, Recorded)


def _operator(function: Any) -> Any:
    return lambda self, other: NotImplemented if _above(other) else self.recording.call(function, (self, other), {})


def _in_place(self: Recorded, other: Any) -> Any:
    raise refuse("an in-place operator", "a recorded array cannot be written into", "write y = y + x, not y += x")


def _reflected(function: Any) -> Any:
    return lambda self, other: NotImplemented if _above(other) else self.recording.call(function, (other, self), {})


_METHODS: Final = """
sum mean max min prod std var cumsum cumprod ravel squeeze dot take clip trace diagonal swapaxes repeat
argsort argmax argmin round any all searchsorted compress nonzero
""".split()
_ELEMENTWISE: Final = """
sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 expm1 log log2 log10 log1p sqrt cbrt
square reciprocal fabs degrees radians deg2rad rad2deg arctan2 hypot rint floor ceil trunc sign conjugate
""".split()


def _methods() -> None:
    def function_of(name: str) -> Callable[..., Any]:
        function = getattr(np, name)
        if name == "compress":
            return lambda self, condition, axis=None: function(condition, self, axis)
        return lambda self, *args, **kwargs: function(self, *args, **kwargs)

    for name in _METHODS + _ELEMENTWISE:
        setattr(Recorded, name, function_of(name))
    for name, function in {"reshape": np.reshape, "transpose": np.transpose}.items():
        setattr(Recorded, name, _of_shape(function))
    setattr(Recorded, "flatten", lambda self, order="C": np.ravel(self, order))  # noqa: B010
    setattr(Recorded, "conj", lambda self: np.conjugate(self))  # noqa: B010
    for name in ("__float__", "__int__", "__index__", "__complex__"):
        setattr(Recorded, name, _losing(name))
    for name in dir(np.ndarray):
        if not name.startswith("_") and not hasattr(RecordedArray, name):
            setattr(Recorded, name, _unknown(name))


def _of_shape(function: Any) -> Any:
    def method(self: Recorded, *shape: Any, **kwargs: Any) -> Any:
        if len(shape) > 1 or (shape and isinstance(shape[0], (int, np.integer))):
            shape = (shape,)
        return function(self, *shape, **kwargs)

    return method


def _losing(name: str) -> Any:
    def convert(self: Recorded, *_: Any) -> Any:
        raise refuse(
            name.strip("_") + "()",
            "it asks for the value of a recorded array: a compiled program would always use the value of its example",
            "NumPy functions in place of those of Python, or the same without mathdl.compile",
        )

    return convert


def _unknown(name: str) -> Any:
    def refuse_it(self: Recorded, *args: Any, **kwargs: Any) -> Any:
        raise refuse(f"ndarray.{name}", "it cannot be recorded", "use the NumPy functions, such as np.sort(x)")

    return refuse_it


_operators()
_methods()
