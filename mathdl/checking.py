"""Does this derivative agree with its function, and if not, what is wrong with it?

``check_jacobian`` compares a claim with independent oracles; ``diagnose`` then names the mistake.
Explained in the chapter *Jacobians as differences*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mathdl import autodiff, numeric
from mathdl.arrays import as_claim, as_output, as_point, describe, refuse_single
from mathdl.diagnosis import Diagnosis, diagnose, listed
from mathdl.errors import InvalidInput, NotDifferentiable, OraclesDisagree, WrongDerivative

__all__ = ["ORACLES", "Diagnosis", "Oracle", "Report", "check_jacobian", "diagnose"]

Array: TypeAlias = NDArray[np.float64]
Function: TypeAlias = Callable[[Array], Any]
Mask: TypeAlias = NDArray[np.bool_]

NEIGHBOURS = 4  # random points around x at which a claimed function is tested as well
ATTEMPTS = 40  # points tried before giving up on finding them
LOOSEST = 1e-6  # an oracle whose error is larger than this part of the derivative is too vague to check with
BROKEN = 1e-3  # one whose error is larger than this part has met a kink or a jump
SAFETY = 10.0  # an oracle's own error estimate is trusted up to this factor
EPS = float(np.finfo(np.float64).eps)


# ---------------------------------------------------------------------------------------------------- the oracles


@dataclass(frozen=True)
class Oracle:
    """One independent way to the true derivative, and how closely a claim must meet it.

    Parameters
    ----------
    name : str
        What a report calls it.
    jacobian : callable
        ``jacobian(f, x)`` returns a `numeric.Estimate`, or raises `NotDifferentiable` when it cannot serve ``f``.
    rtol : float
        The relative difference that a right claim stays under; 1e-11 or more, since claims are rounded too.
    vouches_alone : bool
        Whether it needs nothing but values of ``f``. One that does not, such as the engine with its table of rules, is
        believed only together with one that does, and never against it.
    """

    name: str
    jacobian: Callable[[Function, Array], numeric.Estimate]
    rtol: float
    vouches_alone: bool = True


def _autodiff(f: Function, x: Array) -> numeric.Estimate:
    """The engine's Jacobian of the program ``f``; its error is how far it moves when x is rounded differently."""
    _refuse_another_function(f, x)
    derivative = autodiff.jacobian(f)
    value = np.asarray(derivative(x))
    if not np.all(np.isfinite(value)):
        raise NotDifferentiable("f", "autodiff's derivative is not finite at x", "take another point")
    rng = np.random.default_rng(0)
    error = 4 * EPS * np.abs(value)
    for _ in range(2):
        nearby = derivative(x + 4 * EPS * np.abs(x) * rng.choice([-1.0, 1.0], x.shape))
        if np.shape(nearby) != value.shape:
            raise InvalidInput("f(x)", f"shapes {value.shape} and {np.shape(nearby)} of its Jacobian", "one shape")
        error = np.maximum(error, 6 * np.abs(nearby - value))
    return numeric.Estimate(value, error, np.zeros(x.shape))


def _refuse_another_function(f: Function, x: Array) -> None:
    """A function may ask for the type of its argument, and so be another function where the engine follows it."""
    followed, _ = autodiff.jvp(f, (x,), (np.zeros_like(x),))
    plain = np.asarray(f(x.copy()))
    same = np.shape(followed) == plain.shape and np.all(np.abs(followed - plain) <= 1e-10 * _typical_slope(f, x, plain))
    if not same and np.array_equal(plain, f(x.copy())):  # two values on plain arrays are another fault, named elsewhere
        raise OraclesDisagree(
            "f",
            "its value at x is another one when autodiff follows it, as if it asked for the type of its argument",
            "compute the same for every kind of array, without isinstance, type or try",
        )


def _complex_step(f: Function, x: Array) -> numeric.Estimate:
    return numeric.jacobian(f, x, method="complex")


def _richardson(f: Function, x: Array) -> numeric.Estimate:
    """Differences with the step that numeric chooses; smaller ones where a kink or an edge lies within its reach."""
    best: numeric.Estimate | None = None
    problem: Exception | None = None
    near = [part * np.maximum(np.abs(x), 0.1) for part in (1e-2, 1e-3, 1e-4, 1e-5)]
    nearest = 1e-2 * np.where(x == 0, 1e-5, np.minimum(np.abs(x), 1e-3))
    for step in (None, *near, nearest):
        try:
            estimate = numeric.jacobian(f, x, method="richardson", step=step)
        except Exception as error:  # outside its domain f may raise anything
            problem = error
            continue
        if best is None or np.max(estimate.error) < np.max(best.error):
            best = estimate
        if SAFETY * np.max(best.error) <= 0.03 * LOOSEST * np.max(np.abs(best.value)):
            break
    if best is None:
        assert problem is not None  # no estimate came, so an error did
        raise problem
    return best


# Asked from the top; the first that can serve f is the truth a diagnosis is made against.
ORACLES: list[Oracle] = [
    Oracle("autodiff", _autodiff, 1e-10, vouches_alone=False),
    Oracle("complex step", _complex_step, 1e-10),
    Oracle("Richardson", _richardson, 1e-7),
]


# ------------------------------------------------------------------------------------------- the report of a check


@dataclass(frozen=True)
class Report:
    """A check that was passed. Its ``repr`` is one line, the same on every machine.

    Attributes
    ----------
    equation : str or None
        The label of the equation that was checked.
    points : int
        At how many points.
    differences : mapping of str to float
        For each oracle the largest difference found, relative to the largest entry of the derivative.
    tolerances : mapping of str to float
        For each oracle the relative tolerance that was met.
    refusals : mapping of str to str
        For each oracle that could not be used on this function the reason.
    """

    equation: str | None
    points: int
    differences: Mapping[str, float]
    tolerances: Mapping[str, float]
    refusals: Mapping[str, str]

    @property
    def oracles(self) -> tuple[str, ...]:
        """The names of the oracles that the claim agreed with."""
        return tuple(self.tolerances)

    def __repr__(self) -> str:
        # No measured number here: the book prints this line and nbval compares it on other processors.
        label = f" {self.equation}" if self.equation else ""
        groups = groupby(self.tolerances, self.tolerances.__getitem__)
        met = [f"to {_power(tolerance)} with {listed(list(names))}" for tolerance, names in groups]
        agrees = f"{', '.join(met)}{',' if len(met) > 1 else ''} at {self.points} point{'s' if self.points > 1 else ''}"
        without = f"; {listed(list(self.refusals))} could not be used" if self.refusals else ""
        return f"✓ checked{label}: agrees {agrees}{without}"


def check_jacobian(
    f: Function, claimed: object, x: object, equation: str | None = None, allow_zero: bool = False
) -> Report:
    """Check a claimed derivative of ``f`` against independent oracles; return a report or raise.

    A claimed *function* is tested at ``x`` and at four random points around it, a claimed *array* at ``x``.
    All comparisons are made in float64, entry by entry, in numerator layout: ``J[i, j] = ∂f_i/∂x_j``.

    The oracles are autodiff (`mathdl.jacobian`), the complex step and Richardson extrapolation. One that cannot be used
    on ``f`` is left out, and the report says so; but one of the last two, which need nothing but values of ``f``, must
    agree. So the engine's own derivatives can be checked like any other claim.

    Parameters
    ----------
    f : callable
        The function, written in NumPy: takes an array with the shape of ``x``, returns an array or a number.
    claimed : callable or array
        Its derivative, with shape ``f(x).shape + x.shape``: never squeezed. A gradient has the shape of ``x``.
    x : array_like of float
        The point.
    equation : str, optional
        The label of the equation in the book that states the derivative: starts with ``"eq-d-"``.
    allow_zero : bool
        Says that a derivative which is zero wherever it is tested is meant. Otherwise such a check is refused,
        since an empty function with an empty derivative would pass it.

    Returns
    -------
    Report
        Prints as one line.

    Raises
    ------
    WrongDerivative
        If the claim disagrees; ``.diagnosis`` says what is wrong with it.
    InvalidInput
        If an argument cannot be used, or if the check could not fail because everything in it is zero.
    NotDifferentiable
        If ``f`` has a kink at ``x``, or no oracle is precise enough there.
    OraclesDisagree
        If the oracles contradict each other, or ``f`` does something else where the engine follows it.

    References
    ----------
    Chapter *Jacobians as differences*. Complex step: W. Squire and G. Trapp, SIAM Review 40 (1998) 110.

    Examples
    --------
    >>> f = lambda x: np.array([x[0] ** 2 * x[1], 5 * x[0] + np.sin(x[1])])
    >>> J = lambda x: np.array([[2 * x[0] * x[1], x[0] ** 2], [5.0, np.cos(x[1])]])
    >>> check_jacobian(f, J, np.array([1.0, 2.0]))
    ✓ checked: agrees to 1e-10 with autodiff and complex step, to 1e-7 with Richardson, at 5 points
    >>> check_jacobian(f, lambda x: J(x).T, np.array([1.0, 2.0]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mathdl.errors.WrongDerivative: the claimed derivative is wrong. The claim is transposed: ...
    """
    point = as_point(x)
    _check_arguments(f, equation)
    y = _value(f, point)
    first = _look(f, claimed, point, y.shape)  # first x alone: an error there is the caller's to see
    _judge(first, y.ndim, equation, "at x")
    seen = [first]
    if callable(claimed):
        for nearby in _look_around(f, claimed, point, y.shape, first.oracles):
            _judge(nearby, y.ndim, equation, "at a point near x")
            seen.append(nearby)
    if not allow_zero and all(truth.looks_zero for comparison in seen for truth in comparison.truths):
        where = "at x" if len(seen) == 1 else f"at x and at {len(seen) - 1} points around it"
        raise InvalidInput(
            "x",
            f"a stationary point: the derivative of f is zero {where}, and so is the claim",
            "a point where it is not zero, since an unfinished f with an unfinished claim would pass here; "
            "or allow_zero=True, if zero is what you claim",
        )
    return _report(equation, seen)


def _check_arguments(f: object, equation: object) -> None:
    if not callable(f):
        raise InvalidInput("f", describe(f), "a function of one array")
    if equation is not None and not (isinstance(equation, str) and equation.startswith("eq-d-") and equation[5:]):
        raise InvalidInput("equation", repr(equation), 'the label of a derivative, which starts with "eq-d-"')


# ------------------------------------------------------------------------------- looking: the claim and the truths


@dataclass(frozen=True)
class _Truth:
    """What one oracle says at one point, and how far a claim may be from it, entry by entry."""

    oracle: Oracle
    value: Array
    slack: Array  # the oracle's error, and rounding
    size: float  # what differences are relative to, in a report

    @property
    def allowed(self) -> Array:
        return self.oracle.rtol * np.abs(self.value) + self.slack

    def agrees(self, claimed: Array) -> bool:
        return bool(np.all(np.abs(claimed - self.value) <= self.allowed))

    @property
    def looks_zero(self) -> bool:
        """Whether a claim of zero would pass here: then a pass says nothing."""
        return self.agrees(np.zeros_like(self.value))


@dataclass(frozen=True)
class _Comparison:
    """A claim beside what the oracles say, at one point."""

    claimed: Array
    truths: tuple[_Truth, ...]
    refusals: Mapping[str, Exception]

    @property
    def oracles(self) -> tuple[str, ...]:
        return tuple(truth.oracle.name for truth in self.truths)


def _look(f: Function, claimed: object, x: Array, shape: tuple[int, ...]) -> _Comparison:
    # Points beside x may lie outside f's domain; numpy's warnings about them would stand in a notebook's output.
    with np.errstate(all="ignore"):
        claim = _claim_at(claimed, x)
        return _Comparison(claim, *_truths(f, x, _value(f, x, shape)))


def _look_around(
    f: Function, claimed: Function, x: Array, shape: tuple[int, ...], oracles: tuple[str, ...]
) -> list[_Comparison]:
    """Look at points near ``x``; where f, an oracle or the claim has no finite value, another point is taken."""
    rng = np.random.default_rng(0)
    found: list[_Comparison] = []
    failure: Exception | None = None
    for attempt in range(ATTEMPTS):
        # Nearer and nearer: where x lies close to the edge of f's domain, the first points fall outside.
        radius = 0.1 * 0.8**attempt
        neighbour = x + radius * (np.abs(x) + 0.1) * rng.uniform(-1.0, 1.0, x.shape)
        try:
            nearby = _look(f, claimed, neighbour, shape)
        except OraclesDisagree:
            raise
        except Exception as error:  # whatever f raises there, it has no derivative to compare with
            failure = error
            continue
        if np.all(np.isfinite(nearby.claimed)) and set(oracles).issubset(nearby.oracles):
            found.append(nearby)
        if len(found) == NEIGHBOURS:
            return found
    raise InvalidInput(
        "x",
        f"a point with fewer than {NEIGHBOURS} neighbours at which f and claimed are finite"
        + (f" (at one of them: {type(failure).__name__}: {failure})" if failure else ""),
        "a point inside the domain of both; to test the claim at x alone, pass its value there: an array",
    ) from failure


def _value(f: Function, x: Array, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    y = f(x.copy())
    output = as_output(y, shape=shape)
    refuse_single(np.asarray(y), "f(x)")
    return output


def _claim_at(claimed: object, x: Array) -> Array:
    return as_claim(claimed(x.copy()), "claimed(x)") if callable(claimed) else as_claim(claimed, "claimed")


def _truths(f: Function, x: Array, y: NDArray[Any]) -> tuple[tuple[_Truth, ...], Mapping[str, Exception]]:
    """Ask every oracle. One that needs only values of f must be able to serve, and all that serve must agree."""
    truths: list[_Truth] = []
    refusals: dict[str, Exception] = {}
    around = _typical_slope(f, x, y)
    for oracle in ORACLES:
        try:
            estimate = oracle.jacobian(f, x)
        except OraclesDisagree:
            raise
        except Exception as refusal:  # it tries points beside x, where f may raise anything
            refusals[oracle.name] = refusal
            continue
        size = _size(estimate, around)
        error = np.where(np.isfinite(estimate.error), SAFETY * estimate.error, np.inf)
        if np.any(error > LOOSEST * size):
            broken = bool(np.any(error > BROKEN * size))
            refusals[oracle.name] = _too_vague(oracle, estimate, broken)
            if broken and oracle.vouches_alone:
                raise refusals[oracle.name]
        else:
            truths.append(_Truth(oracle, estimate.value, _slack(estimate, x, y), size))
    if not any(truth.oracle.vouches_alone for truth in truths):
        raise list(refusals.values())[-1]
    for one, other in combinations(truths, 2):
        _refuse_disagreement(one, other)
    return tuple(truths), refusals


def _size(estimate: numeric.Estimate, around: float) -> float:
    """The size of a derivative: what its error is small or large beside."""
    largest = float(np.max(np.abs(estimate.value)))
    noise = largest <= 1e-14 * around or not np.any(np.abs(estimate.value) > SAFETY * estimate.error)
    # Where nothing but noise is seen, the slopes that f could have are what it must be small beside.
    return 1e-3 * around if noise else largest


def _too_vague(oracle: Oracle, estimate: numeric.Estimate, broken: bool) -> NotDifferentiable:
    what = "seems to have a kink, a jump or an edge" if broken else "is rounded too coarsely to check a derivative"
    where = np.unravel_index(int(np.argmax(estimate.error)), estimate.error.shape)
    return NotDifferentiable(
        "f",
        f"{what} at x: its derivative{_at(where)} is {estimate.value[where]:.4g} by {oracle.name}, "
        f"give or take {estimate.error[where]:.2g}",
        "take a point away from it"
        if broken
        else "write f without abs, max and comparisons, so that complex step can follow it, or take another point",
    )


def _slack(estimate: numeric.Estimate, x: Array, y: NDArray[Any]) -> Array:
    """What a right claim may be off by: the oracle's error, and rounding, which is more where terms cancel."""
    sizes = _sizes(estimate.value, y.ndim)
    slope = float(np.max(np.abs(y))) / max(1.0, float(np.max(np.abs(x))))
    # A derivative far below that is checked all the same, until it is nothing but rounding.
    largest = float(np.max(sizes))
    limit = LOOSEST * largest if largest > 1e-14 * slope else math.inf
    return np.asarray(SAFETY * estimate.error + 1e-12 * sizes + min(4e-15 * slope, limit))


def _refuse_disagreement(one: _Truth, other: _Truth) -> None:
    apart = np.abs(one.value - other.value) > one.allowed + other.allowed
    if np.any(apart):
        where = tuple(int(i) for i in np.argwhere(apart)[0])
        raise OraclesDisagree(
            "f",
            f"the oracles contradict each other at x: its derivative{_at(where)} is {one.value[where]:.6g} by "
            f"{one.oracle.name} and {other.value[where]:.6g} by {other.oracle.name}, "
            f"{abs(one.value[where] - other.value[where]):.2g} apart",
            "take a point away from kinks, and write f so that no digits cancel and nothing depends on the type of "
            "its argument; if that changes nothing, one of the oracles is wrong: please report it",
        )


def _sizes(value: Array, rows: int) -> Array:
    """What each entry is large or small against: the largest of its row or of its column, whichever is less.

    Outputs and inputs may have units of very different size, so the largest entry of all would hide small rows.
    """
    matrix = np.abs(value).reshape(math.prod(value.shape[:rows]), -1)
    sizes = np.minimum(matrix.max(axis=1, keepdims=True), matrix.max(axis=0, keepdims=True))
    return np.asarray(np.maximum(sizes, 1e-3 * matrix.max()).reshape(value.shape))


def _typical_slope(f: Function, x: Array, y: NDArray[Any]) -> float:
    """The size of f beside the size of x: a derivative far below this is zero up to rounding."""
    reach = max(1.0, float(np.max(np.abs(x))))
    signs = np.where(np.arange(x.size) % 2, -1.0, 1.0).reshape(x.shape)
    sizes = [float(np.max(np.abs(y)))]
    for step in (0.1 * reach, -0.1 * reach):
        try:
            sizes.append(float(np.max(np.abs(np.asarray(f(x + step * signs), dtype=np.float64)))))
        except Exception:  # outside f's domain, which is no fault of x
            continue
    return max(size for size in sizes if math.isfinite(size)) / reach


# ----------------------------------------------------------------------------------------- judging and reporting


def _judge(seen: _Comparison, rows: int, equation: str | None, place: str) -> None:
    """Raise `WrongDerivative` unless the claim agrees with every oracle."""
    for truth in seen.truths:
        if seen.claimed.shape != truth.value.shape:
            diagnosis = diagnose(seen.claimed, truth.value, rows=rows)
            size = f"It has shape {seen.claimed.shape}, and f(x).shape + x.shape is {truth.value.shape}."
        elif not truth.agrees(seen.claimed):
            diagnosis = _explain(seen.claimed, truth, rows)
            size = _largest_difference(seen.claimed, truth, place)
        else:
            continue
        raise WrongDerivative(f"{equation or 'the claimed derivative'} is wrong. {diagnosis} {size}", str(diagnosis))


def _explain(claimed: Array, truth: _Truth, rows: int) -> Diagnosis:
    diagnosis = diagnose(claimed, 0.0 * truth.value if truth.looks_zero else truth.value, rows=rows)
    if diagnosis.kind != "right":
        return diagnosis
    # Too small a difference for a mistake in the formula, or a mistake in an entry that is small beside the others.
    wrong = np.abs(claimed - truth.value) > truth.allowed
    return Diagnosis(
        "nearly right",
        (
            f"The claim is nearly right, but {wrong.sum()} of {wrong.size} entries are off by more than rounding: "
            "a rounded constant, a finite difference, or a slip in a small entry."
        ),
    )


def _largest_difference(claimed: Array, truth: _Truth, place: str) -> str:
    with np.errstate(invalid="ignore"):
        excess = np.abs(claimed - truth.value) / np.maximum(truth.allowed, np.finfo(float).tiny)
    where = np.unravel_index(int(np.argmax(np.where(np.isnan(excess), np.inf, excess))), excess.shape)
    difference = abs(claimed[where] - truth.value[where])
    return (
        f"The difference is {difference:.3g}{_at(where)}: claimed {claimed[where]:.6g}, "
        f"{truth.value[where]:.6g} by {truth.oracle.name} ({place})."
    )


def _report(equation: str | None, seen: Sequence[_Comparison]) -> Report:
    differences: dict[str, float] = {}
    tolerances: dict[str, float] = {}
    for name in seen[0].oracles:
        pairs = [(here.claimed, truth) for here in seen for truth in here.truths if truth.oracle.name == name]
        size = max(t.size for _, t in pairs) or 1.0
        differences[name] = max(float(np.max(np.abs(claim - t.value))) for claim, t in pairs) / size
        within = all(np.all(t.slack <= t.oracle.rtol * size) for _, t in pairs)
        tolerances[name] = pairs[0][1].oracle.rtol if within else LOOSEST
    refusals = {name: str(reason) for name, reason in seen[0].refusals.items()}
    return Report(equation, len(seen), differences, tolerances, refusals)


def _at(where: Sequence[Any]) -> str:
    return f" at index [{', '.join(str(int(i)) for i in where)}]" if len(where) else ""


def _power(tolerance: float) -> str:
    return f"{tolerance:.0e}".replace("e-0", "e-")
