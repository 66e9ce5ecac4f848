"""What can be done with a traced array besides calling NumPy: operators, methods, comparisons, conversions.

What would drop the derivative, such as ``float()``, raises an error that says what to write instead.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mathdl.autodiff.dispatch import call_function, elementwise, tie
from mathdl.autodiff.naming import TRUTH, asked_by_compiled_code, refuse
from mathdl.autodiff.primitives import CONSTANT, RULES
from mathdl.autodiff.trace import Traced, TracedArray, binary, cast, concrete

__all__: list[str] = []


def _operators() -> None:
    names = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide, "pow": np.power,
        "mod": np.remainder, "floordiv": np.floor_divide, "matmul": np.matmul,
    }  # fmt: skip
    for name, function in names.items():
        step, reflected = _steps(function, getattr(operator, name))
        setattr(Traced, f"__{name}__", step)
        setattr(Traced, f"__r{name}__", reflected)
        setattr(TracedArray, f"__i{name}__", _in_place(step, name))
    compare = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal,
               "ne": np.not_equal}  # fmt: skip
    for name, function in compare.items():
        setattr(Traced, f"__{name}__", _comparison(function, name not in ("eq", "ne")))
    setattr(Traced, "__divmod__", lambda self, other: np.divmod(self, other))  # noqa: B010
    setattr(Traced, "__rdivmod__", lambda self, other: np.divmod(other, self))  # noqa: B010
    for name, function in {"neg": np.negative, "pos": np.positive, "abs": np.absolute}.items():
        setattr(Traced, f"__{name}__", lambda self, f=function: elementwise(f, (self,)))


def _comparison(function: Any, ordered: bool) -> Any:
    def compare(self: Traced, other: Any) -> Any:
        one, two = concrete(self), concrete(other)
        if ordered and self.size == 1:
            tie(one, two, sys._getframe(1))
        return function(one, two)

    return compare


def _truth(self: Traced) -> bool:
    if self.size == 1 and asked_by_compiled_code(sys._getframe(1), TRUTH):
        raise refuse(
            "the truth of a traced number",
            "compiled code asks for it, as np.logical_and does of lists, and could return the number itself",
            "a comparison, such as x != 0, or np.stack([...]) in place of the list",
        )
    return bool(concrete(self))


def _steps(function: Any, compute: Any) -> tuple[Any, Any]:
    """The methods for ``x + y`` and ``y + x``, with no call between them and the step: they run in every step."""
    if function is np.matmul:
        return lambda a, b: RULES[np.matmul].apply(a, b), lambda b, a: RULES[np.matmul].apply(a, b)
    if function in CONSTANT:
        return lambda a, b: function(concrete(a), concrete(b)), lambda b, a: function(concrete(a), concrete(b))
    return lambda a, b: binary(function, compute, a, b), lambda b, a: binary(function, compute, a, b)


def _in_place(step: Callable[[Any, Any], Any], name: str) -> Any:
    def in_place(self: TracedArray, other: Any) -> TracedArray:
        """As in NumPy: every name of this array sees the new value. Views would have to see it too."""
        if self.shared:
            raise refuse(
                f"an in-place operator (__i{name}__)",
                "it would also change another array: this one is an argument of the function, or a view, or has views",
                "write y = y + x, not y += x",
            )
        result = step(self, other)
        if result.shape != self.shape:
            raise refuse(f"an in-place operator (__i{name}__)", "the result has another shape", "write y = y + x")
        if isinstance(result, Traced) and result.dtype != self.dtype:
            result = cast(result, self.dtype)
        if not isinstance(result, Traced):  # x //= y: piecewise constant
            raise refuse(f"an in-place operator (__i{name}__)", "the result is a constant", "write y = y // x")
        self.value, self.origin, self.mark = result.value, result.origin, result.mark
        return self

    return in_place


_LOSING: Final = {
    "__float__": "float(), math functions, and writing into an array of floats",
    "__int__": "int()",
    "__index__": "an index or a range",
    "__complex__": "complex()",
}


def _conversions() -> None:
    def losing(name: str) -> Any:
        def convert(self: Traced, *_: Any) -> Any:
            raise refuse(
                _LOSING[name],
                "a traced value would become a plain number, and its derivative would be dropped",
                "np.sin in place of math.sin, np.stack or np.array([...]) in place of writing into an array",
            )

        return convert

    for name in _LOSING:
        setattr(Traced, name, losing(name))
    setattr(Traced, "__bool__", _truth)  # noqa: B010
    for name, function in {"__floor__": np.floor, "__ceil__": np.ceil, "__trunc__": np.trunc}.items():
        setattr(Traced, name, lambda self, f=function: int(f(concrete(self))))
    setattr(Traced, "__round__", lambda self, digits=0: np.round(concrete(self), digits or 0))  # noqa: B010


_METHODS: Final = """
sum mean max min prod std var cumsum cumprod ravel squeeze dot take clip trace diagonal swapaxes repeat
argsort argmax argmin argpartition round any all nonzero searchsorted
""".split()
# np.sin of an object array asks each entry for .sin(), and so on
_ELEMENTWISE: Final = """
sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 expm1 log log2 log10 log1p sqrt cbrt
square reciprocal fabs degrees radians deg2rad rad2deg arctan2 hypot
""".split()
_CONSTANT: Final = "rint floor ceil trunc sign".split()


def _methods() -> None:
    def method(function: Any) -> Any:
        return lambda self, *args, **kwargs: call_function(function, (self, *args), kwargs)

    def elementwise_method(function: Any) -> Any:
        return lambda *operands: elementwise(function, operands)

    def constant_method(function: Any) -> Any:
        return lambda self: function(concrete(self))

    def refused(name: str) -> Any:
        def refuse_it(self: Traced, *args: Any, **kwargs: Any) -> Any:
            raise refuse(f"ndarray.{name}", "it has no derivative rule", "use the NumPy functions, such as np.sort(x)")

        return refuse_it

    for name in _METHODS:
        setattr(Traced, name, method(getattr(np, name)))
    particular = {
        "reshape": _shape_method(np.reshape),
        "transpose": _shape_method(np.transpose),
        "compress": lambda self, condition, axis=None: call_function(np.compress, (condition, self), {"axis": axis}),
        "flatten": lambda self, order="C": call_function(np.ravel, (self,), {"order": order}).same(),
        "conj": lambda self: self,  # as NumPy does with real numbers
        "conjugate": lambda self: self,
    }
    for name, found in particular.items():
        setattr(Traced, name, found)
    for name in _ELEMENTWISE:
        setattr(Traced, name, elementwise_method(getattr(np, name)))
    for name in _CONSTANT:
        setattr(Traced, name, constant_method(getattr(np, name)))
    for name in dir(np.ndarray):
        if not name.startswith("_") and not hasattr(TracedArray, name):
            found = refused(name)
            setattr(Traced, name, found if callable(getattr(np.ndarray, name)) else property(found))


def _shape_method(function: Any) -> Any:
    def method(self: Traced, *shape: Any, **kwargs: Any) -> Any:
        if len(shape) > 1 or (shape and isinstance(shape[0], (int, np.integer))):
            shape = (shape,)
        return call_function(function, (self, *shape), kwargs)

    return method


_operators()
_conversions()
_methods()
