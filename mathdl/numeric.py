"""Jacobians as differences: forward, central, Richardson and the complex step, each with an error bound.

It needs nothing but values of the function, so it is what other derivatives are checked against.
Explained in the chapter *Jacobians as differences*.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.exceptions import ComplexWarning
from numpy.typing import ArrayLike, NDArray

from mathdl.arrays import as_output, as_point, describe
from mathdl.errors import InvalidInput, NotDifferentiable

__all__ = ["Estimate", "jacobian"]

Array = NDArray[np.float64]
_EPS = float(np.finfo(np.float64).eps)
_SAFETY = 2.0  # on every truncation term: the next order of the Taylor series is not zero
_BATCH_FROM = 8  # below this many columns the probe costs more evaluations than the batch saves
_BATCH_NUMBERS = 2**21  # numbers in one batch of points (16 MB)
_LEVELS, _RATIO = 8, 4  # Richardson's table: central differences at h, h/4, ..., h/4^7


@dataclass(frozen=True, eq=False)
class Estimate:
    """A derivative found from values of the function.

    Attributes
    ----------
    value : ndarray, shape f(x).shape + x.shape
        The Jacobian; entry [i, j] is the derivative of component i of f by entry j of x.
    error : ndarray, same shape
        A bound on the absolute error of each entry: truncation plus rounding. It rests on a few values of f.
    step : ndarray, shape x.shape
        The step used at each entry of x (for Richardson the widest one).

    Examples
    --------
    >>> jacobian(np.sin, np.array([0.0, 1.0]), step=2.0**-10)
    Estimate(shape (2, 2), error <= 2.4e-07, step 0.00098)
    """

    value: Array
    error: Array
    step: Array

    def __repr__(self) -> str:
        steps = sorted({f"{step:.2g}" for step in (self.step.min(), self.step.max())}, key=float)
        return f"Estimate(shape {self.value.shape}, error <= {self.error.max():.2g}, step {' to '.join(steps)})"


def jacobian(f: Callable[..., Any], x: ArrayLike, method: str = "central", step: ArrayLike | None = None) -> Estimate:
    """Estimate the Jacobian of ``f`` at ``x`` from values of ``f``, and the error of each entry.

    Parameters
    ----------
    f : callable
        Takes an array of the shape of ``x``, returns an array or a number.
    x : array_like of float
        Any shape, 0-d too.
    method : {"central", "forward", "richardson", "complex"}
        * ``"forward"``: (f(x+h) - f(x)) / h, error of order h; default step near eps^(1/2).
        * ``"central"``: (f(x+h) - f(x-h)) / 2h, order h^2; default step near eps^(1/3).
        * ``"richardson"``: central differences at eight steps, extrapolated to step 0.
        * ``"complex"``: Im f(x + ih) / h, exact to rounding, for analytic ``f`` only.
    step : float or array_like of the shape of x, optional
        The step h (for Richardson the widest), rounded so that x + h is exact. The default is scaled to each entry of
        ``x``, and narrower if ``f`` is not finite that far from ``x``.

    Returns
    -------
    Estimate
        ``.value`` and ``.error`` have the shape ``f(x).shape + x.shape``, ``.step`` that of ``x``.

    Raises
    ------
    InvalidInput
        If ``f`` is not callable, returns no array or number, changes its shape, is not finite near ``x``, is complex at
        a real point or gives two values at one point; if ``x`` is not made of finite floating-point numbers; if
        ``method`` is unknown or ``step`` is not positive, or too small to move ``x``.
    NotDifferentiable
        If ``method="complex"`` and ``f`` drops the imaginary part (abs, real, comparisons, max, float(), ...).

    Notes
    -----
    ``f`` is called with many points at once, on a new last axis, when a trial with a few points shows that this gives
    the same values as one call per point. With the further steps that the bound needs, it takes 3 evaluations per entry
    of x for forward and complex, 4 for central, 16 for Richardson, and a few to measure the rounding noise of ``f``.

    References
    ----------
    Chapter *Jacobians as differences*. L. F. Richardson, Phil. Trans. A 210 (1911) 307. C. J. F. Ridders, Adv. Eng.
    Softw. 4 (1982) 75. W. Squire and G. Trapp, SIAM Review 40 (1998) 110. J. J. Moré and S. M. Wild, SIAM J. Sci.
    Comput. 33 (2011) 1292.

    Examples
    --------
    >>> estimate = jacobian(lambda x: np.array([x[0]**2 * x[1], np.sin(x[1])]), np.array([3.0, 0.0]), method="complex")
    >>> estimate.value
    array([[0., 9.],
           [0., 1.]])
    >>> bool(np.all(estimate.error < 1e-12))
    True
    """
    if not callable(f):
        raise InvalidInput("f", describe(f), "a function of one array")
    if not isinstance(method, str) or method not in _METHODS:
        raise InvalidInput("method", repr(method), f"one of {', '.join(map(repr, _METHODS))}")
    point = as_point(x)
    function = _Function(f, point)
    chosen = _METHODS[method]
    h = _steps(point, step, chosen.default_step(function.eps), chosen.narrowest)
    function.probe(2 * h, np.dtype(np.complex128 if method == "complex" else np.float64))
    while True:
        try:
            # NumPy's warnings about points outside the domain say what the exception says.
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                value, error = chosen.estimate(function, h)
            break
        except _NotFinite:
            if step is not None or np.any(point + chosen.narrowest * h / 16 == point):
                raise
            h = h / 16
    shape = function.value.shape + point.shape
    return Estimate(value.reshape(shape), error.reshape(shape), h)


def _steps(x: Array, step: ArrayLike | None, default: float, narrowest: float) -> Array:
    """One step per entry of x, so that x + h is exact; ``narrowest`` is the smallest fraction of it that is used."""
    if step is None:
        # A power of two: x + h is then exact, except where it crosses into the next binade.
        h = np.asarray(2.0 ** np.round(np.log2(default * _scale(x))), dtype=np.float64)
    else:
        try:
            h = np.broadcast_to(np.asarray(step, dtype=np.float64), x.shape).copy()
        except (TypeError, ValueError) as error:
            wanted = f"a positive number, or one for each entry of x, shape {x.shape}"
            raise InvalidInput("step", describe(step), wanted) from error
    if not np.all(np.isfinite(h) & (h > 0)):
        raise InvalidInput("step", str(step), "positive finite numbers")
    if not narrowest:
        return h
    if np.any(x + narrowest * h == x):
        raise InvalidInput("step", str(step), "a step so large that x + step differs from x in floating point")
    moved: Array = (x + h) - x
    return moved


def _scale(x: Array) -> Array:
    # The size of x is the best guess at the length on which f changes; 0.1 because zeros and tiny entries say nothing.
    return np.maximum(np.abs(x), 0.1)


# ---------------------------------------------------------------------------------------------------------- the methods
# Each takes the function and the steps and returns value and error with shape f(x).shape + (x.size,).


def _forward(function: _Function, h: Array) -> tuple[Array, Array]:
    ahead, behind, half = function.slopes(h), function.slopes(-h), function.slopes(h / 2)
    truncation = np.abs(ahead - behind) + _SAFETY * np.abs(ahead - half)  # |h f''| and |h f''/2 + h^2 f'''/4|
    return ahead, truncation + function.rounding(ahead, h)


def _central(function: _Function, h: Array) -> tuple[Array, Array]:
    (wide, wide_jump), (half, half_jump) = function.central(h), function.central(h / 2)
    truncation = _SAFETY * np.abs(wide - half)
    return wide, truncation + function.kink(wide_jump, half_jump, h) + function.rounding(wide, h)


def _richardson(function: _Function, h: Array) -> tuple[Array, Array]:
    """Neville's table: column k of a row has the powers h^2 ... h^(2k) of the error removed."""
    row: list[Array] = []
    best: list[tuple[Array, Array]] = []
    jumps: list[Array] = []
    for level in range(_LEVELS):
        width = h / _RATIO**level
        slope, jump = function.central(width)
        previous, row = row, [slope]
        jumps.append(jump)
        for k, coarser in enumerate(previous, start=1):
            better = row[-1] + (row[-1] - coarser) / (_RATIO ** (2 * k) - 1)
            change = np.maximum(np.abs(better - row[-1]), np.abs(better - coarser))
            bound = change + 1.2 * function.rounding(better, width)
            row.append(better)
            if k > 1:
                value, error = best.pop()
                better, bound = np.where(bound < error, better, value), np.minimum(bound, error)
            best.append((better, bound))
    value, error = best.pop()
    # From the narrowest step, where rounding rules, to wider ones: a better bound counts if it does not contradict.
    # Wide steps can agree by accident when f oscillates within them.
    while best:
        wider, bound = best.pop()
        agrees = (bound < error) & (np.abs(wider - value) <= bound + error)
        value, error = np.where(agrees, wider, value), np.where(agrees, bound, error)
    return value, error + function.kink(jumps[-2], jumps[-1], width)


def _complex(function: _Function, h: Array) -> tuple[Array, Array]:
    value = function.imaginary_slopes(h, function.x)
    # Again with other steps and x a few units in the last place away: what changes is truncation and rounding.
    rng = np.random.default_rng(0)
    error = np.zeros_like(value)
    for factor in (0.7, 0.45):
        nearby = function.x + 4 * _EPS * np.abs(function.x) * rng.choice([-1.0, 1.0], function.x.shape)
        error = np.maximum(error, np.abs(function.imaginary_slopes(factor * h, nearby) - value))
    error = 6 * error + 4 * _EPS * np.abs(value)
    _refuse_dropped_imaginary_part(function, value, error)
    return value, error


def _refuse_dropped_imaginary_part(function: _Function, value: Array, error: Array) -> None:
    """Compare with differences of real values along two random directions: tracking can be lost, this cannot."""
    x, rng = function.x, np.random.default_rng(1)
    for _ in range(2):
        direction = rng.choice([-1.0, 1.0], x.shape) * rng.uniform(0.5, 1.0, x.shape) * _scale(x)
        along = jacobian(partial(_on_line, function.f, x, direction), 0.0, method="richardson")
        expected = value @ direction.ravel()
        tolerance = 10 * along.error + 10 * error @ np.abs(direction.ravel())
        wrong = np.abs(expected - along.value) > tolerance
        if np.any(wrong):
            first = tuple(map(int, np.argwhere(wrong)[0]))
            where = f" in component {', '.join(map(str, first))}" if first else ""
            reason = (
                f"the complex step disagrees with differences of real values{where}, so somewhere it drops the "
                "imaginary part (abs, real, a comparison, float(), ...), is not analytic, or loses its digits"
            )
            raise NotDifferentiable(function.name, reason, _REMEDY)


def _on_line(f: Callable[..., Any], x: Array, direction: Array, t: Array) -> Any:
    return f(x + t * direction)


class _Method(NamedTuple):
    estimate: Callable[[_Function, Array], tuple[Array, Array]]
    default_step: Callable[[float], float]  # from the relative precision of f's values; times the scale of x
    narrowest: float  # the smallest fraction of the step that is used on real values


_METHODS = {
    "forward": _Method(_forward, lambda eps: eps ** (1 / 2), 1 / 2),
    "central": _Method(_central, lambda eps: eps ** (1 / 3), 1 / 2),
    "richardson": _Method(_richardson, lambda eps: 2.0**-4, _RATIO ** (1.0 - _LEVELS)),
    "complex": _Method(_complex, lambda eps: 2.0**-66, 0.0),
}


# --------------------------------------------------------------------------------------------------------- the function
class _NotFinite(InvalidInput):
    """f has no finite value at a shifted point: Richardson then starts with a narrower step."""


class _Function:
    """``f`` around the point ``x``: its value there, its rounding noise, and its values at many shifted points."""

    def __init__(self, f: Callable[..., Any], x: Array) -> None:
        self.f, self.x = f, x
        self.name = getattr(f, "__name__", type(f).__name__)
        self.batched = False
        self.shape: tuple[int, ...] | None = None
        first = f(x.copy())  # a copy each time, because f may write into it
        dtype = np.asarray(first).dtype if isinstance(first, (np.ndarray, np.generic)) else np.dtype(np.float64)
        self.eps = max(_EPS, float(np.finfo(dtype).eps)) if dtype.kind == "f" else _EPS
        self.value = as_output(first, self.name)
        if self.value.dtype.kind == "c":
            wanted = "real numbers: return its .real and .imag as two components"
            raise InvalidInput(f"{self.name}(x)", describe(self.value), wanted)
        self.shape = self.value.shape
        if np.any(np.abs(self._call(x) - self.value) > 1000 * self.eps * np.max(np.abs(self.value))):
            raise InvalidInput(
                "f",
                f"two different values of {self.name} at the same x",
                "a function without randomness or memory: fix the seed inside it",
            )

    @cached_property
    def noise(self) -> Array:
        """A bound on the rounding error of each component: three times the scatter of f about a cubic.

        It is fitted at seven points on a line through x, whole units in the last place apart, so that x itself is not
        rounded, and unevenly, so that stairs show: 1 + x^2 climbs in stairs where x^2 is small. Compare Moré and Wild
        (2011), who take differences of evenly spaced values.
        """
        rng = np.random.default_rng(3)
        unit = np.spacing(_scale(self.x)) * 2.0**20 * (2 * rng.integers(100, 400, self.x.shape) + 1)
        unit = unit * rng.choice([-1, 1], self.x.shape)
        places = np.array([-31, -22, -9, 0, 8, 21, 32])
        least = np.asarray(self.eps * np.abs(self.value), dtype=np.float64)
        try:
            values = self._values(self.x[..., None] + unit[..., None] * places) - self.value[..., None]
        except _NotFinite:  # beside the edge of the domain
            return least
        cubic, _ = np.linalg.qr(np.vander(places / 32, 4))
        rest = values - values @ cubic @ cubic.T
        return np.asarray(3 * np.sqrt(np.sum(rest**2, axis=-1) / (len(places) - 4)) + least)

    def rounding(self, slope: Array, h: Array) -> Array:
        """What rounding does to a difference quotient: two noisy values over h, and the arithmetic after them."""
        bound: Array = 2 * self.noise[..., None] / h.ravel() + 4 * _EPS * np.abs(slope)
        return bound

    def kink(self, wide: Array, narrow: Array, h: Array) -> Array:
        """Half the jump from the slope behind to the slope ahead; it shrinks with the step, except at a kink."""
        # Here the noise without its scatter, which at a kink is the kink.
        rounding = 16 * self.eps * np.abs(self.value)[..., None] / h.ravel()
        kinked = (np.abs(narrow) > 0.75 * np.abs(wide)) & (np.abs(narrow) > rounding)
        return np.asarray(np.where(kinked, np.abs(narrow) / 2, 0.0))

    def slopes(self, shift: Array) -> Array:
        values, distance = self._shifted(shift)
        slope: Array = (values - self.value[..., None]) / distance
        return slope

    def central(self, h: Array) -> tuple[Array, Array]:
        """The central difference quotients, and slope ahead minus slope behind."""
        (plus, ahead), (minus, behind) = self._shifted(h), self._shifted(-h)
        here = self.value[..., None]
        return (plus - minus) / (ahead - behind), (plus - here) / ahead - (minus - here) / behind

    def imaginary_slopes(self, h: Array, x: Array) -> Array:
        values, _ = self._shifted(1j * h, x)
        slope: Array = values.imag / h.ravel()
        return slope

    def _shifted(self, shift: NDArray[Any], x: Array | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Values with one entry of x moved at a time, shape f(x).shape + (x.size,), and how far each moved."""
        x = self.x if x is None else x
        moved = x + shift
        columns = max(1, _BATCH_NUMBERS // max(x.size, self.value.size))
        blocks = []
        for start in range(0, x.size, columns):
            chosen = np.arange(start, min(start + columns, x.size))
            points = np.repeat(x.reshape(-1, 1), len(chosen), axis=1).astype(moved.dtype)
            points[chosen, chosen - start] = moved.ravel()[chosen]
            blocks.append(self._values(points.reshape(*x.shape, -1)))
        return np.concatenate(blocks, axis=-1), (moved - x).ravel()

    # ------------------------------------------------------------------------------------ one point or many
    def probe(self, reach: Array, dtype: np.dtype[Any]) -> None:
        """Find out whether f takes many points at once, on a new last axis.

        A few clearly different points, as many as no axis is long, must give in one call what they give one by one: no
        softmax over the wrong axis, x - x.mean(), branch, or product that fits because two sizes agree. In doubt: no.
        """
        self.batched = False
        if self.x.size < _BATCH_FROM:
            return
        rng = np.random.default_rng(2)
        sizes = {*self.x.shape, *self.value.shape}
        count = next(k for k in range(3, 4 + len(sizes)) if k not in sizes)
        spread = np.maximum(reach, 0.1 * _scale(self.x))[..., None]
        points = (self.x[..., None] + spread * rng.uniform(-1, 1, (*self.x.shape, count))).astype(dtype)
        if dtype.kind == "c":
            points = points + 1j * reach[..., None] * rng.uniform(0.5, 1.0, points.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                together = self._call(points, (*self.value.shape, count))
                wanted = self._one_by_one(points)
                self.batched = self._agree(together, wanted, wanted)
            except Exception:  # whatever it is, the function does not take a batch
                self.batched = False

    def _values(self, points: NDArray[Any]) -> NDArray[Any]:
        """f at each point of the last axis."""
        if self.batched:
            try:
                together = self._call(points, (*self.value.shape, points.shape[-1]))
                last = self._one_by_one(points[..., -1:])
                if self._agree(together[..., -1:], last, together):
                    return together
                self.batched = False
            except Exception:  # one by one it works, or it raises what the caller should see
                self.batched = False
        return self._one_by_one(points)

    def _one_by_one(self, points: NDArray[Any]) -> NDArray[Any]:
        return np.stack([self._call(points[..., k]) for k in range(points.shape[-1])], axis=-1)

    def _call(self, point: NDArray[Any], shape: tuple[int, ...] | None = None) -> NDArray[Any]:
        watched = point.dtype.kind == "c"
        result = _watched_call(self.f, self.name, point) if watched else self.f(point.copy())
        inexact = isinstance(result, (np.ndarray, np.inexact)) and result.dtype.kind in "fc"
        if inexact and not np.all(np.isfinite(result)):
            raise _NotFinite(
                f"{self.name}(x)",
                "a value that is not finite at a point next to x",
                "finite values around x: use a smaller step=, or an x away from the edge of the domain",
            )
        value = as_output(result, self.name, self.shape if shape is None else shape)
        return value.astype(np.complex128) if watched else value

    def _agree(self, values: NDArray[Any], wanted: NDArray[Any], size: NDArray[Any]) -> bool:
        """Equal up to rounding, each component against its own size, real and imaginary parts apart."""
        if values.dtype.kind == "c":
            return self._agree(values.real, wanted.real, size.real) and self._agree(values.imag, wanted.imag, size.imag)
        tolerance = 1000 * self.eps * np.max(np.abs(size), axis=-1, keepdims=True)
        return bool(np.all(np.abs(values - wanted) <= tolerance))


# --------------------------------------------------------------------------------------------- the complex step's guard

_REMEDY = "use method='richardson', or write f with analytic functions only"

# The ufuncs that a complex-differentiable function may be built from. All others are refused.
_ANALYTIC = frozenset(
    """
    add subtract multiply divide true_divide negative positive power pow float_power square sqrt reciprocal
    exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan asin acos atan
    sinh cosh tanh arcsinh arccosh arctanh asinh acosh atanh matmul matvec isfinite isnan isinf
    erf erfc erfcx erfi dawsn wofz gamma loggamma rgamma psi inv solve solve1 det
""".split()
)

# The array functions that are refused by name, where the ufunc inside would be named less plainly or is not seen.
_DROPPING = frozenset(
    """
    real imag angle real_if_close sort argsort argmax argmin amax amin max min ptp median nanmedian
    percentile quantile nanpercentile nanquantile nanmax nanmin nanargmax nanargmin norm matrix_norm vector_norm
    cond svd svdvals eigh eigvalsh cholesky lstsq pinv qr slogdet matrix_rank vdot unique searchsorted
    nan_to_num isclose allclose array_equal array_equiv round around fix clip cov corrcoef var std nanvar nanstd
    any all nonzero flatnonzero argwhere count_nonzero lexsort partition argpartition
    hfft irfft irfft2 irfftn sinc interp digitize histogram
""".split()
)

_COMPARING = frozenset(
    """
    greater greater_equal less less_equal equal not_equal maximum minimum fmax fmin amax amin max min
    sort argsort argmax argmin clip ptp median searchsorted partition argpartition __bool__
""".split()
)


class _Watched(np.ndarray[Any, Any]):
    """A complex array that refuses what drops its imaginary part, and whose items are watched too."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **kwargs: Any) -> Any:
        if ufunc.__name__ not in _ANALYTIC:
            raise _dropped(_full_name(ufunc), ufunc.__name__)
        if out is not None:
            kwargs["out"] = tuple(_plain(array) for array in out)
        return _watched(getattr(ufunc, method)(*map(_plain, inputs), **kwargs))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func.__name__ in _DROPPING:
            raise _dropped(_full_name(func), func.__name__)
        return _watched(super().__array_function__(func, types, args, kwargs))

    def __getitem__(self, key: Any) -> Any:
        return _watched(super().__getitem__(key))


def _refusing(name: str, shown: str) -> Callable[..., Any]:
    def refuse(self: _Watched, *args: Any, **kwargs: Any) -> Any:
        raise _dropped(shown, name)

    refuse.__name__ = name
    return refuse


for _name in (
    "conj",
    "conjugate",
    "sort",
    "argsort",
    "argmax",
    "argmin",
    "max",
    "min",
    "round",
    "clip",
    "any",
    "all",
    "nonzero",
    "searchsorted",
    "partition",
    "argpartition",
    "std",
    "var",
):
    setattr(_Watched, _name, _refusing(_name, f"x.{_name}()"))
for _name in ("real", "imag"):
    setattr(_Watched, _name, property(_refusing(_name, f"x.{_name}")))
_CONVERSIONS = (
    ("__float__", "float(), or writing into an array of floats"),
    ("__int__", "int()"),
    ("__bool__", "a value as a condition (if, and, or)"),
)
for _name, _shown in _CONVERSIONS:
    setattr(_Watched, _name, _refusing(_name, _shown))


def _watched(result: Any) -> Any:
    if isinstance(result, (tuple, list)) and type(result) in (tuple, list):
        return type(result)(map(_watched, result))
    if isinstance(result, (np.ndarray, np.complexfloating)) and result.dtype.kind == "c":
        return np.asarray(result).view(_Watched)
    return result


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, _Watched) else value


def _full_name(function: Any) -> str:
    module = getattr(function, "__module__", None) or ("numpy" if hasattr(np, function.__name__) else "scipy.special")
    return f"{module}.{function.__name__}"


def _dropped(shown: str, name: str) -> NotDifferentiable:
    if name in _COMPARING:
        return NotDifferentiable(shown, "it compares, and complex numbers have no order", _REMEDY)
    return NotDifferentiable(
        shown,
        "it drops the imaginary part, in which the complex step carries the derivative, or has no complex derivative",
        _REMEDY,
    )


def _watched_call(f: Callable[..., Any], name: str, point: NDArray[Any]) -> Any:
    """f at a complex point; what it does that a complex number does not survive becomes a `NotDifferentiable`."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ComplexWarning)
        try:
            return _plain(f(point.copy().view(_Watched)))
        except NotDifferentiable:
            raise
        except ComplexWarning as warning:
            reason = "it turns complex numbers into real ones (an array made for floats? make it with dtype=x.dtype)"
            raise NotDifferentiable(name, reason, _REMEDY) from warning
        except (TypeError, ValueError) as error:
            reason = f"it does not take complex numbers ({type(error).__name__}: {error})"
            raise NotDifferentiable(name, reason, _REMEDY) from error
