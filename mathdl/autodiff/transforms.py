"""What the engine offers: jvp and vjp, and gradients, Jacobians and Hessians made of them.

Each takes a function written in plain NumPy. Nothing is kept between calls.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mathdl.arrays import describe
from mathdl.autodiff.broadcasting import Identity
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.forward import Tangents, push_forward
from mathdl.autodiff.recording import call_it, prefers_forward
from mathdl.autodiff.reverse import Tape, pull_back
from mathdl.autodiff.trace import Trace, Traced, follow, lift
from mathdl.autodiff.trees import as_leaf, build, inputs, leaves
from mathdl.errors import InvalidInput, NotDifferentiable

__all__ = [
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "returning_array",
    "split_output",
    "value_and_grad",
    "vjp",
]

Function = Callable[..., Any]


# --------------------------------------------------------------------------------------------------- running a function
def _traced(trace: Trace, tree: Any, values: list[Any], marks: Any) -> Any:
    """The tree with traced leaves, which share memory with what the caller holds; their values are kept safe."""
    values[:] = map(trace.keep_input, values)
    traced = []
    for value, mark in zip(values, marks, strict=True):
        leaf = trace.wrap(value, mark)
        leaf.shared = True
        traced.append(leaf)
        if isinstance(value, Followed) and isinstance(trace, Tape):
            trace.values[mark] = value
    return build(tree, iter(traced))


def _array_of(y: Any, name: str) -> Any:
    """What a function returned, as one traced or plain array."""
    if isinstance(y, (Followed, np.ndarray, np.generic, float, int, list, tuple)):
        try:
            y = lift(y)
        except ValueError as error:
            raise InvalidInput(f"{name}(x)", "rows of different lengths", "an array or a number") from error
        call_it(y, name)
        if isinstance(y, Followed) or np.asarray(y).dtype.kind in "fiub":
            return y
        if np.asarray(y).dtype.kind == "c":
            raise NotDifferentiable(name, "it returns complex numbers", "return .real and .imag as two components")
    raise InvalidInput(f"{name}(x)", describe(y), "an array or a number: return np.array([...])")


def split_output(y: Any, trace: Trace) -> tuple[Any, Any]:
    """The value of an output, and its mark: None if it does not depend on the inputs."""
    if not isinstance(y, Traced):
        return y if isinstance(y, Followed) else np.asarray(y)[()], None
    if y.origin is trace:
        return y.value, y.mark
    if y.origin.ended or y.origin.level >= trace.level:
        raise NotDifferentiable(
            "a traced array", "the function returns one of an earlier call, kept somewhere", "keep no traced arrays"
        )
    return y, None


def _name(f: Any) -> str:
    if not callable(f):
        raise InvalidInput("f", describe(f), "a function")
    return getattr(f, "__name__", type(f).__name__)


def _derivative(run: Function, kind: str, f: Function) -> Function:
    """Name a derivative after its function, whose arguments it takes."""
    name = _name(f)
    run.__name__ = run.__qualname__ = f"{kind}_{name}" if name.isidentifier() else kind
    run.__wrapped__ = f  # type: ignore[attr-defined]
    return run


def returning_array(f: Function, name: str) -> Function:
    """The function with one traced or plain array as its result, or a named error."""

    def run(*args: Any, **kwargs: Any) -> Any:
        return _array_of(f(*args, **kwargs), name)

    run.__name__ = name
    return run


def _several(f: Function, name: str) -> Function:
    def run(*args: Any) -> tuple[Any, list[Any]]:
        y = f(*args)
        if isinstance(y, np.ndarray) and y.dtype.kind == "O":
            y = _array_of(y, name)
        return y, [_array_of(leaf, name) for leaf in leaves(y)]

    run.__name__ = name
    return run


def _own(y: Any) -> Any:
    """A result that the caller may write into without changing anything else."""
    return y.copy() if isinstance(y, np.ndarray) else y


# ---------------------------------------------------------------------------------------------------------- jvp and vjp
def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """Push tangents through a function: its value, and its Jacobian times a vector (forward mode).

    Parameters
    ----------
    f : callable
        Written in plain NumPy; takes as many arguments as there are primals, returns an array or a tree of arrays.
    primals : tuple
        The point: floating-point arrays, or nested dicts, lists and tuples of them.
    tangents : tuple
        The direction, of the same form as ``primals``. All of its arrays may have one more axis in front, of length K:
        K directions at once.

    Returns
    -------
    value, tangent
        Both of the form that ``f`` returns; with K directions, the tangent has an axis of length K in front.

    Raises
    ------
    InvalidInput
        If the tangents do not fit the primals, or ``f`` returns something that is not made of arrays.
    NotDifferentiable
        If ``f`` does what has no derivative here; the message says what to write instead.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> y, dy = jvp(lambda x: x**2, (np.array([1.0, 3.0]),), (np.array([1.0, 10.0]),))
    >>> y, dy
    (array([1., 9.]), array([ 2., 60.]))
    """
    name = _name(f)
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise InvalidInput("primals", describe(primals), "a tuple with one entry for each argument of f; tangents too")
    values = inputs(primals, "primals")
    directions = inputs(tangents, "tangents", exact=False)
    lead = _common_lead(directions, values)
    directions = [
        v if isinstance(v, Followed) else np.array(v, dtype=x.dtype)[()]
        for v, x in zip(directions, values, strict=True)
    ]
    trace = Tangents(lead)
    arguments = _traced(trace, tuple(primals), values, directions)
    form, outputs = follow(trace, _several(f, name), *arguments)
    pairs = [split_output(y, trace) for y in outputs]
    count = directions[0].shape[:lead] if directions else ()
    pushed = [np.zeros(count + np.shape(y), _float_type(y))[()] if dy is None else _own(dy) for y, dy in pairs]
    return build(form, iter([_own(y) for y, _ in pairs])), build(form, iter(pushed))


def _common_lead(directions: Sequence[Any], values: Sequence[Any]) -> int:
    """0 if the directions have the shapes of the values; 1 if all have an axis of one length more in front."""
    shapes, own = [v.shape for v in directions], [x.shape for x in values]
    if shapes == own:
        return 0
    if [shape[1:] for shape in shapes] == own and all(shapes) and len({shape[0] for shape in shapes}) == 1:
        return 1
    raise InvalidInput("the directions", f"shapes {shapes}", f"the shapes {own}, or these with one more axis in front")


def _float_type(y: Any) -> Any:
    kind = y.dtype if hasattr(y, "dtype") else np.asarray(y).dtype
    return kind if kind.kind == "f" else np.dtype(float)


def vjp(f: Function, *xs: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Run a function, and get a function that pulls cotangents back through it (reverse mode).

    Parameters
    ----------
    f : callable
        Written in plain NumPy; takes the inputs, returns an array or a tree of arrays.
    *xs : array, or nested dict, list or tuple of arrays
        The point, made of floating-point numbers.

    Returns
    -------
    value
        What ``f`` returns.
    pull : callable
        ``pull(g)``, with ``g`` of the form of ``value``, gives g times the Jacobian: one result for each input, with
        the form of that input; a tuple of them if there are several inputs. ``g`` may have one more axis in front, of
        length K, and so have the results then. It may be called often.

    Raises
    ------
    InvalidInput
        If ``g`` does not fit the value, or ``f`` returns something that is not made of arrays.
    NotDifferentiable
        If ``f`` does what has no derivative here; the message says what to write instead.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> y, pull = vjp(lambda x: np.array([x[0] * x[1], x[1]]), np.array([2.0, 3.0]))
    >>> pull(np.array([1.0, 0.0]))
    array([3., 2.])
    """
    name = _name(f)
    values = inputs(xs[0], "x") if len(xs) == 1 else inputs(xs, "xs")
    tape = Tape(outlives=True)
    tape.steps = [()] * len(values)
    arguments = _traced(tape, xs, values, range(len(values)))
    form, outputs = follow(tape, _several(f, name), *arguments)
    pairs = [split_output(y, tape) for y in outputs]
    shapes = [np.shape(y) for y, _ in pairs]
    kinds = [_float_type(y) for y, _ in pairs]

    def pull(g: Any) -> Any:
        given = inputs(g, "g", exact=False)
        lead = _common_lead(given, [np.broadcast_to(0.0, shape) for shape in shapes])
        seeds = [
            (mark, c.astype(kind) if c.dtype != kind else c)
            for c, kind, (_, mark) in zip(given, kinds, pairs, strict=True)
            if mark is not None
        ]
        count = given[0].shape[:lead] if given else ()
        pulled = pull_back(tape, len(values), seeds, lead, free=False)
        results = build(xs, iter([_finished(c, x, count) for c, x in zip(pulled, values, strict=True)]))
        return results[0] if len(xs) == 1 else results

    return build(form, iter([_own(y) for y, _ in pairs])), pull


def _finished(c: Any, x: Any, count: tuple[int, ...] = ()) -> Any:
    """A cotangent of the input ``x``: zero if nothing came back, in the input's type."""
    if c is None:
        return np.zeros(count + x.shape, x.dtype)[()]
    return c.astype(x.dtype) if c.dtype != x.dtype else c


# ------------------------------------------------------------------------------------------------------------ gradients
def value_and_grad(f: Function, argnum: int = 0) -> Function:
    """The function that computes ``f`` and its gradient by one argument in one reverse sweep.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; returns a single number.
    argnum : int
        By which argument: a floating-point array, or a nested dict, list or tuple of arrays. All others are constants.

    Returns
    -------
    callable
        Takes what ``f`` takes; returns the value and the gradient, which has the form of the argument.

    Raises
    ------
    InvalidInput
        When called: if ``f`` returns more than one number, or there is no such argument.
    NotDifferentiable
        When called: if ``f`` does what has no derivative here; the message says what to write instead.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> value_and_grad(lambda x: x @ x)(np.array([1.0, 2.0]))
    (np.float64(5.0), array([2., 4.]))
    """
    name = _name(f)

    def derivative(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not -len(args) <= argnum < len(args):
            raise InvalidInput("argnum", str(argnum), f"the place of one of the {len(args)} arguments")
        chosen = argnum % len(args)
        tree = args[chosen]
        values = inputs(tree, "x")
        tape = Tape()
        tape.steps = [()] * len(values)
        traced = _traced(tape, tree, values, range(len(values)))
        y = follow(tape, returning_array(f, name), *args[:chosen], traced, *args[chosen + 1 :], **kwargs)
        value, mark = split_output(y, tape)
        if np.shape(value):
            wanted = "a single number: take np.sum or np.mean of it, or use jacobian"
            raise InvalidInput(f"{name}(x)", f"an array with shape {np.shape(value)}", wanted)
        seeds = [] if mark is None else [(mark, _float_type(value).type(1.0))]
        pulled = pull_back(tape, len(values), seeds, 0, free=True)
        return value, build(tree, iter([_finished(c, x) for c, x in zip(pulled, values, strict=True)]))

    return _derivative(derivative, "value_and_grad", f)


def grad(f: Function, argnum: int = 0) -> Function:
    """The gradient of a function that returns a single number, as a function; see `value_and_grad`.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; returns a single number.
    argnum : int
        By which argument.

    Returns
    -------
    callable
        Takes what ``f`` takes; returns the gradient, which has the form (for an array: the shape) of the argument.

    Raises
    ------
    InvalidInput, NotDifferentiable
        As `value_and_grad`.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> grad(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> grad(grad(np.sin))(0.5) == -np.sin(0.5)
    np.True_
    """
    both = value_and_grad(f, argnum)
    return _derivative(lambda *args, **kwargs: both(*args, **kwargs)[1], "grad", f)


# -------------------------------------------------------------------------------------------------- Jacobians, Hessians
def jacobian(f: Function, mode: str = "auto") -> Function:
    """The Jacobian of a function, as a function: all of it in one sweep.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; takes an array (and constants after it), returns an array or a number.
    mode : {"auto", "forward", "reverse"}
        Forward pushes one direction for each entry of x, reverse pulls one for each entry of f(x). ``"auto"`` takes
        whichever is fewer; of equally many reverse, or forward in a program on a few numbers that is compiled.

    Returns
    -------
    callable
        ``jacobian(f)(x)`` has the shape ``f(x).shape + x.shape``, never squeezed: J[i, j] = ∂f_i/∂x_j.

    Raises
    ------
    InvalidInput
        If ``mode`` is unknown. When called: if ``x`` or ``f(x)`` is not an array or a number.
    NotDifferentiable
        When called: if ``f`` does what has no derivative here; the message says what to write instead.

    References
    ----------
    Chapter *Automatic differentiation*.

    Examples
    --------
    >>> jacobian(lambda x: np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])]))(np.array([3.0, 0.0]))
    array([[0., 9.],
           [5., 1.]])
    """
    name = _name(f)
    if mode not in ("auto", "forward", "reverse"):
        raise InvalidInput("mode", repr(mode), "'auto', 'forward' or 'reverse'")
    run = returning_array(f, name)

    def derivative(x: Any, *constants: Any, **kwargs: Any) -> Any:
        x = as_leaf(lift(x) if isinstance(x, (list, tuple)) else x, "x")
        trace: Trace
        if mode == "forward":
            trace = Tangents(1)
            mark: Any = Identity(x.shape, x.dtype)
        else:
            trace = tape = Tape()
            tape.steps = [()]
            tape.values = {0: x} if isinstance(x, Followed) else {}
            mark = 0
        traced = trace.wrap(trace.keep_input(x), mark)
        traced.shared = True
        value, mark = split_output(follow(trace, run, traced, *constants, **kwargs), trace)
        shape = np.shape(value)
        size = math.prod(shape)
        if mark is None or not size or not x.size:
            return np.zeros(shape + x.shape, x.dtype)
        if mode == "forward":
            return _columns(mark, shape, x)
        if mode == "auto" and (x.size < size or (x.size == size and prefers_forward(x))):
            return _columns(push_forward(tape, [Identity(x.shape, x.dtype)], mark, 1), shape, x)
        (rows,) = pull_back(tape, 1, [(mark, Identity(shape, value.dtype))], 1, free=True)
        return np.zeros(shape + x.shape, x.dtype) if rows is None else _finished(np.reshape(rows, shape + x.shape), x)

    return _derivative(derivative, "jacobian", f)


def _columns(tangents: Any, shape: tuple[int, ...], x: Any) -> Any:
    """A Jacobian from its columns, which lie along the first axis."""
    if tangents is None:
        return np.zeros(shape + x.shape, x.dtype)
    if isinstance(tangents, Identity):
        tangents = tangents.array()
    turned = np.moveaxis(tangents, 0, -1)
    turned = np.array(turned, order="C") if isinstance(turned, np.ndarray) else turned
    return _finished(np.reshape(turned, shape + x.shape), x)


def hessian(f: Function) -> Function:
    """The Hessian of a function that returns a single number, as a function: forward over reverse.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; takes an array (and constants after it), returns a single number.

    Returns
    -------
    callable
        ``hessian(f)(x)`` has the shape ``x.shape + x.shape``.

    Raises
    ------
    InvalidInput, NotDifferentiable
        As `value_and_grad`.

    References
    ----------
    Chapter *Second derivatives*.

    Examples
    --------
    >>> hessian(lambda x: x[0] ** 2 * x[1])(np.array([1.0, 2.0]))
    array([[4., 2.],
           [2., 0.]])
    """
    return _derivative(jacobian(grad(f), mode="forward"), "hessian", f)


def hvp(f: Function, x: Any, v: Any) -> Any:
    """The Hessian of ``f`` at ``x`` times ``v``, without building the Hessian: forward over reverse.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; returns a single number.
    x : array, or nested dict, list or tuple of arrays
        The point, made of floating-point numbers.
    v : of the form of x
        The direction.

    Returns
    -------
    array, or tree of arrays
        Of the form of ``x``.

    Raises
    ------
    InvalidInput, NotDifferentiable
        As `value_and_grad` and `jvp`.

    References
    ----------
    Chapter *Second derivatives*. B. A. Pearlmutter, Neural Computation 6 (1994) 147.

    Examples
    --------
    >>> hvp(lambda x: x[0] ** 2 * x[1], np.array([1.0, 2.0]), np.array([1.0, 0.0]))
    array([4., 2.])
    """
    return jvp(grad(f), (x,), (v,))[1]
