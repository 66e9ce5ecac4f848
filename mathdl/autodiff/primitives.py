"""The table of local derivatives: for each NumPy function, what it multiplies a small change by.

Forward and reverse mode both read it, and so can anything else that follows a NumPy function step by step.
Explained in the chapter *Automatic differentiation*.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from mathdl.autodiff.naming import refuse
from mathdl.autodiff.recording import bottom, run

__all__ = [
    "AGAINST_CONSTANT",
    "AGAINST_ZERO",
    "CONSTANT",
    "ELEMENTWISE",
    "RULES",
    "Partial",
    "Rule",
    "partials",
    "rule",
]

# ------------------------------------------------------------------------------------------ elementwise functions
# A partial derivative is written with the letters a, b (the arguments) and y (the result): those that it names are kept
# until they are needed, all others are freed. 1 and -1 stand for themselves, None for a partial that is not known.

ONE: Final = 1
MINUS: Final = -1


class Partial:
    """One partial derivative of an elementwise function: the formula, and which of a, b, y it needs."""

    __slots__ = ("formula", "needs")

    def __init__(self, formula: Callable[..., Any]) -> None:
        self.formula = formula
        self.needs = tuple({"a": 0, "b": 1, "y": 2}[name] for name in inspect.signature(formula).parameters)


LOG2, LOG10, DEGREE = float(np.log(2.0)), float(np.log(10.0)), float(np.pi / 180)


def _power_by_base(a: Any, b: Any) -> Any:
    """b a^(b-1); where a and b are both zero, a^0 is the constant 1."""
    if isinstance(b, (int, float)):
        return 2 * a if b == 2 else np.zeros_like(a) if b == 0 else b * a ** (b - 1)
    return b * np.where((a == 0) & (b == 0), 1.0, a) ** (b - 1)


def _power_by_exponent(a: Any, b: Any, y: Any) -> Any:
    """y log a; 0^b is the constant 0 for b > 0. A negative base has no derivative by its exponent."""
    return y * np.log(np.where(run(zero_base, bottom(a), bottom(b)), 1.0, a))


def zero_base(a: Any, b: Any) -> Any:
    """Where a power's base is zero; an error where the power has no derivative by its exponent."""
    zero = np.equal(a, 0)
    if np.any(np.less(a, 0)) or np.any(zero & np.less_equal(b, 0)):
        raise refuse(
            np.power,
            "a power of a negative number (or of zero, with an exponent that is not positive) cannot be differentiated "
            "by the exponent",
            "keep the base positive, or the exponent constant",
        )
    return zero


def _share(a: Any, b: Any, wins: Any) -> Any:
    return wins + 0.5 * (a == b)


def _unless_zero(share: Any, a: Any, b: Any) -> Any:
    """A tie with the constant 0 gives nothing: relu'(0) = 0."""
    return np.where((a == b) & (b == 0), 0.0, share)


def _sinc_slope(a: Any) -> Any:
    """(cos πa - sinc a) / a, by its Taylor series near zero."""
    near = np.abs(a) < 0.03
    safe = np.where(near, 1.0, a)
    p = np.pi**2
    series = a * (-p / 3 + a**2 * (p**2 / 30 + a**2 * (-(p**3) / 840 + a**2 * (p**4 / 45360))))
    return np.where(near, series, (np.cos(np.pi * safe) - np.sinc(safe)) / safe)


def _nonzero(a: Any) -> Any:
    return np.where(a == 0, 1.0, a)


_TABLE: dict[Any, tuple[Any, ...]] = {
    np.add: (1, 1),
    np.subtract: (1, -1),
    np.multiply: (lambda b: b, lambda a: a),
    np.divide: (lambda b: 1 / b, lambda b, y: -y / b),
    np.negative: (-1,),
    np.positive: (1,),
    np.conjugate: (1,),
    np.power: (_power_by_base, _power_by_exponent),
    np.float_power: (_power_by_base, _power_by_exponent),
    np.remainder: (1, lambda a, b: -np.floor_divide(a, b)),
    np.fmod: (1, lambda a, b: -np.trunc(np.divide(a, b))),
    np.square: (lambda a: 2 * a,),
    np.sqrt: (lambda y: 0.5 / y,),
    np.cbrt: (lambda y: 1 / (3 * y * y),),
    np.reciprocal: (lambda y: -y * y,),
    np.exp: (lambda y: y,),
    np.exp2: (lambda y: y * LOG2,),
    np.expm1: (lambda y: y + 1,),
    np.log: (lambda a: 1 / a,),
    np.log2: (lambda a: 1 / (a * LOG2),),
    np.log10: (lambda a: 1 / (a * LOG10),),
    np.log1p: (lambda a: 1 / (1 + a),),
    np.logaddexp: (lambda a, y: np.exp(a - y), lambda b, y: np.exp(b - y)),
    np.logaddexp2: (lambda a, y: np.exp2(a - y), lambda b, y: np.exp2(b - y)),
    np.sin: (lambda a: np.cos(a),),
    np.cos: (lambda a: -np.sin(a),),
    np.tan: (lambda y: 1 + y * y,),
    np.arcsin: (lambda a: 1 / np.sqrt((1 - a) * (1 + a)),),
    np.arccos: (lambda a: -1 / np.sqrt((1 - a) * (1 + a)),),
    np.arctan: (lambda a: 1 / (1 + a * a),),
    np.arctan2: (lambda a, b: b / (a * a + b * b), lambda a, b: -a / (a * a + b * b)),
    np.sinh: (lambda a: np.cosh(a),),
    np.cosh: (lambda a: np.sinh(a),),
    np.tanh: (lambda y: 1 - y * y,),
    np.arcsinh: (lambda a: 1 / np.hypot(a, 1.0),),
    np.arccosh: (lambda a: 1 / np.sqrt((a - 1) * (a + 1)),),
    np.arctanh: (lambda a: 1 / ((1 - a) * (1 + a)),),
    np.hypot: (lambda a, y: a / _nonzero(y), lambda b, y: b / _nonzero(y)),
    np.deg2rad: (lambda: DEGREE,),
    np.radians: (lambda: DEGREE,),
    np.rad2deg: (lambda: 1 / DEGREE,),
    np.degrees: (lambda: 1 / DEGREE,),
    np.absolute: (lambda a: np.sign(a),),
    np.fabs: (lambda a: np.sign(a),),
    np.copysign: (lambda a, b: np.where(np.signbit(a) == np.signbit(b), 1.0, -1.0) * (a != 0), lambda: 0.0),
    np.maximum: (lambda a, b: _share(a, b, a > b), lambda a, b: _share(a, b, b > a)),
    np.minimum: (lambda a, b: _share(a, b, a < b), lambda a, b: _share(a, b, b < a)),
    np.fmax: (lambda a, b: _share(a, b, (a > b) | (b != b)), lambda a, b: _share(a, b, (b > a) | (a != a))),
    np.fmin: (lambda a, b: _share(a, b, (a < b) | (b != b)), lambda a, b: _share(a, b, (b < a) | (a != a))),
    np.heaviside: (lambda: 0.0, lambda a: a == 0),
    np.ldexp: (lambda b: np.exp2(b), None),
    np.sinc: (_sinc_slope,),
}


def _read(partial: Any) -> Any:
    return Partial(partial) if callable(partial) else partial


ELEMENTWISE: dict[Any, tuple[Any, ...]] = {function: tuple(map(_read, row)) for function, row in _TABLE.items()}


def _against_constant(function: Any) -> tuple[Partial, Partial]:
    first, second = (partial.formula for partial in ELEMENTWISE[function])
    return (
        Partial(lambda a, b: _unless_zero(first(a, b), a, b)),
        Partial(lambda a, b: _unless_zero(second(a, b), b, a)),
    )


# The larger (or smaller) of a value and a constant: as above, but a tie with the constant 0 counts for the constant,
# so that np.maximum(x, 0) is relu with relu'(0) = 0. Ties between values, and with other constants, share equally.
AGAINST_CONSTANT: dict[Any, tuple[Partial, Partial]] = {
    function: _against_constant(function) for function in (np.maximum, np.minimum, np.fmax, np.fmin)
}

# The same with the number 0 as the constant, which deserves to be fast: relu is max(a, 0), and y > 0 wherever a > 0.
AGAINST_ZERO: dict[Any, Partial] = {
    **dict.fromkeys((np.maximum, np.fmax), Partial(lambda y: np.greater(y, 0.0))),
    **dict.fromkeys((np.minimum, np.fmin), Partial(lambda y: np.less(y, 0.0))),
}

# Piecewise constant functions, comparisons and questions about an array: their results are plain arrays.
CONSTANT: set[Any] = {
    *(np.sign, np.signbit, np.floor, np.ceil, np.rint, np.trunc, np.floor_divide, np.isnan, np.isfinite, np.isinf),
    *(np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal, np.spacing),
    *(np.logical_and, np.logical_or, np.logical_not, np.logical_xor),
    *(np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.flatnonzero, np.count_nonzero, np.searchsorted),
    *(np.argpartition, np.lexsort, np.digitize, np.any, np.all, np.isclose, np.allclose, np.array_equal),
    *(np.array_equiv, np.fix, np.round, np.around, np.isposinf, np.isneginf, np.iscomplex, np.isreal, np.iscomplexobj),
    *(np.isrealobj, np.shape, np.ndim, np.size, np.zeros_like, np.ones_like, np.empty_like, np.result_type),
    *(np.can_cast, np.min_scalar_type, np.common_type, np.isin, np.nanargmax, np.nanargmin, np.array_repr),
    *(np.array_str, np.array2string, np.linalg.matrix_rank, np.shares_memory),
    *(np.may_share_memory, np.tril_indices_from, np.triu_indices_from, np.diag_indices_from, np.imag, np.angle),
    *(np.iterable, np.isscalar),
}


# ------------------------------------------------------------------------------------- functions of scipy.special
def _special() -> Any:
    return sys.modules["scipy.special"]  # loaded, or its function would not be here


_TWO_OVER_ROOT_PI = float(2 / np.sqrt(np.pi))

_SPECIAL: dict[str, tuple[Any, ...]] = {
    "expit": (lambda y: y * (1 - y),),
    "logit": (lambda a: 1 / (a * (1 - a)),),
    "log_expit": (lambda a: _special().expit(-a),),
    "erf": (lambda a: _TWO_OVER_ROOT_PI * np.exp(-a * a),),
    "erfc": (lambda a: -_TWO_OVER_ROOT_PI * np.exp(-a * a),),
    "erfinv": (lambda y: np.exp(y * y) / _TWO_OVER_ROOT_PI,),
    "ndtr": (lambda a: np.exp(-a * a / 2) / np.sqrt(2 * np.pi),),
    "gammaln": (lambda a: _special().psi(a),),
    "gamma": (lambda a, y: y * _special().psi(a),),
    "psi": (lambda a: _special().zeta(2.0, a),),
    "_zeta": (None, lambda a, b: -a * _special().zeta(a + 1, b)),
    "entr": (lambda a: -np.log(a) - 1,),
    "xlogy": (lambda b: np.log(b), lambda a, b: a / b),
    "rel_entr": (lambda a, b: np.log(a / b) + 1, lambda a, b: -a / b),
}


def partials(function: Any) -> tuple[Any, ...] | None:
    """The partial derivatives of an elementwise function, or None if the table has none."""
    found = ELEMENTWISE.get(function)
    if found is not None or not isinstance(function, np.ufunc):
        return found
    name = str(function.__name__)
    if name not in _SPECIAL or getattr(sys.modules.get("scipy.special._ufuncs"), name, None) is not function:
        return None
    ELEMENTWISE[function] = tuple(map(_read, _SPECIAL[name]))
    return ELEMENTWISE[function]


# ------------------------------------------------------------------------------------------------- all other functions
class Rule:
    """How a traced array passes through one NumPy function: ``apply`` takes the function's own arguments, by name."""

    __slots__ = ("apply", "function", "leading", "names")

    def __init__(self, function: Any, apply: Callable[..., Any]) -> None:
        self.function, self.apply = function, apply
        mine = list(inspect.signature(apply).parameters.values())
        self.names = frozenset(p.name for p in mine)
        if any(p.kind is p.VAR_POSITIONAL for p in mine):
            self.leading = sys.maxsize
            return
        theirs = list(parameters(function))
        names = [p.name for p in mine]
        self.leading = next((k for k, (m, t) in enumerate(zip(names, theirs, strict=False)) if m != t), None) or min(
            len(names), len(theirs)
        )


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a NumPy function; of a compiled one without a signature, as its documentation states them."""
    try:
        return dict(inspect.signature(function).parameters)
    except ValueError:
        return {
            name: inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
            for name in _WITHOUT_SIGNATURE[function]
        }


_WITHOUT_SIGNATURE: dict[Any, tuple[str, ...]] = {
    np.concatenate: ("arrays", "axis", "out", "dtype", "casting"),
    np.where: ("condition", "x", "y"),
    np.dot: ("a", "b", "out"),
    np.inner: ("a", "b"),
    np.vdot: ("a", "b"),
    np.bincount: ("x", "weights", "minlength"),
}

RULES: dict[Any, Rule] = {}


def rule(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a rule into the table, for one or more NumPy functions."""

    def enter(apply: Callable[..., Any]) -> Callable[..., Any]:
        for function in functions:
            RULES[function] = Rule(function, apply)
        return apply

    return enter
