"""What is wrong with this derivative? A claim and the truth go in, a sentence that a student understands comes out.

A table of detectors, each for one mistake, is asked from the simplest explanation to the most particular.
Explained in the chapter *Jacobians as differences*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mathdl.arrays import as_claim, describe
from mathdl.errors import InvalidInput

__all__ = ["Diagnosis", "diagnose", "listed"]

Array: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a claimed derivative: ``kind`` for programs, ``sentence`` (and ``str``) for people."""

    kind: str
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def diagnose(claimed: object, true: object, rows: int | None = None, rtol: float = 1e-6) -> Diagnosis:
    """Say what is wrong with a claimed derivative, in a sentence.

    Parameters
    ----------
    claimed, true : array_like of float
        Two derivatives of one function, numerator layout: shape ``f(x).shape + x.shape``. A gradient has one axis.
    rows : int, optional
        How many leading axes belong to the output. Unless given, half of them: a matrix has one, a gradient none.
    rtol : float
        Entries count as equal up to this part of the largest true entry.

    Returns
    -------
    Diagnosis
        Of several explanations the most specific one, and of equally specific ones the simplest.

    Raises
    ------
    InvalidInput
        If an argument is not an array of real numbers, or ``true`` is not finite.

    References
    ----------
    Chapter *Jacobians as differences*.

    Examples
    --------
    >>> true = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> print(diagnose(true.T, true))
    The claim is transposed: it has at [j, i] what belongs at [i, j].
    >>> diagnose(np.array([[1.0, 2.0], [-3.0, -4.0]]), true).kind
    'rows with the wrong sign'
    """
    truth, claim = as_claim(true, "true"), as_claim(claimed, "claimed")
    if truth.size == 0 or not np.all(np.isfinite(truth)):
        raise InvalidInput("true", describe(true), "at least one number, all of them finite")
    axes = truth.ndim // 2 if rows is None else rows
    if not 0 <= axes <= truth.ndim:
        raise InvalidInput("rows", str(rows), f"a number of axes of true: from 0 to {truth.ndim}")
    case = _Case(claim, truth, axes, rtol)
    table = _DETECTORS if claim.shape == truth.shape else _SHAPE_DETECTORS
    with np.errstate(all="ignore"):  # a garbage claim may overflow; what it is called does not depend on it
        found = ((kind, detect(case)) for kind, detect in table)
        kind, sentence = next((kind, sentence) for kind, sentence in found if sentence is not None)
    # The entries of a gradient are columns of one row, but nobody calls them so.
    return Diagnosis(kind.replace("columns", "entries") if truth.ndim < 2 else kind, sentence)


# What a row and what a column of the matrix is called, one and several, by the number of axes of the derivative.
_NOUNS = {
    0: (("entry", "entries"), ("entry", "entries")),
    1: (("entry", "entries"), ("entry", "entries")),
    2: (("row", "rows"), ("column", "columns")),
    3: (("output", "outputs"), ("input", "inputs")),
}


@dataclass(frozen=True)
class _Case:
    """A claim and the truth, both raw and as matrices: one row for each output, one column for each input."""

    claim: Array
    truth: Array
    axes: int
    rtol: float

    @cached_property
    def shape(self) -> tuple[int, int]:
        # Two axes are a matrix whatever they stand for: the gradient by a matrix has rows and columns too.
        if self.truth.ndim == 2:
            return self.truth.shape[0], self.truth.shape[1]
        split = 0 if self.truth.ndim < 2 else self.axes
        return math.prod(self.truth.shape[:split]), math.prod(self.truth.shape[split:])

    @cached_property
    def t(self) -> Array:
        return self.truth.reshape(self.shape)

    @cached_property
    def c(self) -> Array:
        return self.claim.reshape(self.shape)

    @cached_property
    def small(self) -> float:
        return self.rtol * float(np.max(np.abs(self.truth)))

    @cached_property
    def wrong(self) -> Mask:
        return np.asarray(np.abs(self.c - self.t) > self.small)

    def off_diagonal(self, a: NDArray[Any]) -> NDArray[Any]:
        """The entries of a square matrix that stand beside its diagonal."""
        return np.asarray(a[~np.eye(len(a), dtype=bool)])

    @cached_property
    def square(self) -> bool:
        """Whether it has a diagonal worth speaking of."""
        return self.shape[0] == self.shape[1] > 1

    def same(self, a: Array, b: Array) -> bool:
        return a.shape == b.shape and bool(np.all(np.abs(a - b) <= self.small))

    def zero(self, a: Array) -> Mask:
        return np.asarray(np.abs(a) <= self.small)

    @cached_property
    def swapped(self) -> Array:
        """The truth with the axes of the output behind those of the input; of a matrix in any role the transpose."""
        a = self.truth
        return a.T if a.ndim == 2 else np.moveaxis(a, range(self.axes), range(a.ndim - self.axes, a.ndim))

    def along(self, axis: int) -> tuple[Array, Array, Mask]:
        """Claim, truth and what is wrong, with the rows (axis 0) or the columns (axis 1) first."""
        return (self.c, self.t, self.wrong) if axis == 0 else (self.c.T, self.t.T, self.wrong.T)

    def noun(self, axis: int, several: bool = True) -> str:
        return _NOUNS[min(self.truth.ndim, 3)][axis][several]

    def name(self, axis: int, which: Iterable[int]) -> str:
        """Rows (axis 0) or columns (axis 1) in words, such as ``rows 0 and 2 (counting from 0)``."""
        found = [int(i) for i in which]
        # With more than two axes a row is an index of the output, such as [1, 2], and a column one of the input.
        axes = (self.truth.shape[: self.axes], self.truth.shape[self.axes :])[axis]
        shape = axes if self.truth.ndim > 2 else (self.shape[axis],)
        places = [np.unravel_index(i, shape) for i in found]
        words = [str(int(place[0])) if len(place) == 1 else f"[{_commas(place)}]" for place in places]
        return f"{self.noun(axis, len(found) > 1)} {_first_few(words)} (counting from 0)"

    def entries(self, mask: Mask) -> str:
        """Single entries in words, by their index in the array."""
        places = np.argwhere(mask.reshape(self.truth.shape))
        return f"{_first_few([f'[{_commas(place)}]' for place in places])} (counting from 0)"


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does: ``a, b and c``."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _commas(place: Iterable[Any]) -> str:
    return ", ".join(str(int(k)) for k in place)


def _first_few(words: Sequence[str]) -> str:
    return listed([*words[:4], f"{len(words) - 4} more"] if len(words) > 5 else words)


# Each detector looks for one mistake and returns the sentence that names it, or None.


def _transposed_shape(case: _Case) -> str | None:
    if not case.same(case.claim, case.swapped):
        return None
    return f"The claim is transposed: its shape is {case.claim.shape} where {case.truth.shape} is due."


def _squeezed(case: _Case) -> str | None:
    a, b = case.claim.shape, case.truth.shape
    if [n for n in a if n > 1] != [n for n in b if n > 1]:
        return None
    slip = "is squeezed: axes of length 1 are lost" if len(a) < len(b) else "has axes of length 1 too many or misplaced"
    return f"The claim {slip}; its shape is {a} where {b} is due."


def _diagonal_only(case: _Case) -> str | None:
    if not case.square or case.claim.size != case.shape[0]:
        return None
    if not case.same(case.claim.ravel(), np.diagonal(case.t)):
        return None
    return (
        f"The claim holds only the diagonal, with shape {case.claim.shape} where {case.truth.shape} is due: "
        "an elementwise function has a diagonal Jacobian, np.diag(...)."
    )


def _summed(case: _Case) -> str | None:
    if case.shape[0] == 1 or case.claim.size != case.shape[1]:
        return None
    if not case.same(case.claim.ravel(), case.t.sum(axis=0)):
        return None
    return f"The claim is summed over the outputs: its shape is {case.claim.shape} where {case.truth.shape} is due."


def _flattened(case: _Case) -> str | None:
    if case.claim.size != case.truth.size or case.claim.ndim >= case.truth.ndim:
        return None
    also = "" if case.same(case.claim.ravel(), case.truth.ravel()) else ", and its entries are not the true ones"
    return f"The claim is flattened: its shape is {case.claim.shape} where {case.truth.shape} is due{also}."


def _wrong_shape(case: _Case) -> str:
    hint = " (the shape of the transpose, but not its values)" if case.claim.shape == case.swapped.shape else ""
    return f"The claim has the wrong shape: {case.claim.shape}{hint} where {case.truth.shape} is due."


def _not_finite(case: _Case) -> str | None:
    bad = ~np.isfinite(case.c)
    return f"The claim is not finite (NaN or infinity) at {case.entries(bad)}." if bad.any() else None


def _right(case: _Case) -> str | None:
    return None if case.wrong.any() else "The claim agrees with the true derivative."


def _not_zero(case: _Case) -> str | None:
    return None if case.t.any() else "The true derivative is zero everywhere, and the claim is not."


def _all_zero(case: _Case) -> str | None:
    return "The claim is all zero, and the true derivative is not." if case.zero(case.c).all() else None


def _sign(case: _Case) -> str | None:
    if not case.same(case.c, -case.t):
        return None
    also = (
        " (for this derivative that is the same as transposed)"
        if case.t.size > 1 and case.same(case.claim, case.swapped)
        else ""
    )
    return f"The claim has the wrong sign everywhere{also}."


def _ratio(case: _Case, claim: Array, truth: Array) -> float | None:
    """The one factor between claim and truth, if there is one and it is not an accident."""
    if claim.shape != truth.shape:
        return None
    largest = np.unravel_index(int(np.argmax(np.abs(truth))), truth.shape)
    factor = float(claim[largest] / truth[largest])
    # A single entry is always a multiple of another; only a telling factor is worth a word then.
    accident = np.sum(~case.zero(truth)) == 1 and _factor_name(case, abs(factor)) is None
    return None if accident or not case.same(claim, factor * truth) else factor


def _factor_name(case: _Case, factor: float) -> str | None:
    lengths = {*case.truth.shape, *case.shape} - {0, 1}
    for count in sorted(lengths | set(range(2, 11))):
        mean = count in lengths and count > 2  # a factor 2 has likelier reasons than a mean over two
        if math.isclose(factor, count, rel_tol=case.rtol):
            why = f", as when the 1/{count} of a mean over {count} is lost" if mean else ""
            return f"{count} times too large: a factor 1/{count} is missing{why}"
        if math.isclose(factor, 1 / count, rel_tol=case.rtol):
            why = f", as when a mean over {count} is taken twice" if mean else ""
            return f"{count} times too small: a factor {count} is missing{why}"
    return None


def _factor(case: _Case) -> str | None:
    factor = _ratio(case, case.claim, case.truth)
    if factor is None or factor < 0:
        return None
    return f"The claim is {_factor_name(case, factor) or f'the true derivative times {factor:.4g}'}."


def _factor_and_sign(case: _Case) -> str | None:
    factor = _ratio(case, case.claim, case.truth)
    if factor is None:
        return None
    size = _factor_name(case, -factor) or f"off by the factor {-factor:.4g}"
    return f"The claim has the wrong sign everywhere, and is {size}."


def _transposed(case: _Case) -> str | None:
    if not case.same(case.claim, case.swapped):
        return None
    return "The claim is transposed: it has at [j, i] what belongs at [i, j]."


def _transposed_and_sign(case: _Case) -> str | None:
    if not case.same(case.claim, -case.swapped):
        return None
    return "The claim is transposed and has the wrong sign everywhere."


def _transposed_and_factor(case: _Case) -> str | None:
    factor = _ratio(case, case.claim, case.swapped)
    return None if factor is None else f"The claim is transposed, and off by the factor {factor:.4g}."


def _signs_of(case: _Case, axis: int) -> str | None:
    c, t, wrong = case.along(axis)
    flipped = wrong.any(axis=1)
    if case.truth.ndim < 2 or len(c) == 1 or not case.same(c[flipped], -t[flipped]):
        return None
    return f"The sign of {case.name(axis, np.flatnonzero(flipped))} is wrong."


def _signs_of_entries(case: _Case) -> str | None:
    if not case.same(np.abs(case.c), np.abs(case.t)):
        return None
    return f"The sign is wrong in {case.wrong.sum()} of {case.wrong.size} entries, at {case.entries(case.wrong)}."


def _permuted(case: _Case, axis: int) -> str | None:
    c, t, wrong = case.along(axis)
    moved = [int(i) for i in np.flatnonzero(wrong.any(axis=1))]  # the others are in their place
    free, taken = list(moved), list[int]()
    for i in moved:
        match = next((k for k in free if case.same(c[i], t[k])), None)
        if match is None:
            return None
        free.remove(match)
        taken.append(match)
    noun, count = case.noun(axis), len(t)
    if len(moved) == 2:
        return f"{case.name(axis, moved).capitalize()} are swapped."
    if len(moved) >= count - 1 and all(i + k == count - 1 for i, k in zip(moved, taken, strict=True)):
        return f"The {noun} are in reverse order."
    cause = (
        "are shifted around"
        if len({(k - i) % count for i, k in zip(moved, taken, strict=True)}) == 1
        else ("are in another order")
    )
    return f"The {noun} {cause}: number {taken[0]} stands in the place of number {moved[0]} (counting from 0)."


def _reordered(case: _Case) -> str | None:
    if not case.same(case.claim, case.truth.ravel(order="F").reshape(case.truth.shape)):
        return None
    return "The entries are right but in another reading order: it was reshaped where it had to be transposed."


def _inverse(case: _Case) -> str | None:
    if not case.square or not np.allclose(case.c @ case.t, np.eye(len(case.t)), rtol=0, atol=case.rtol):
        return None
    return "The claim is the inverse matrix: the Jacobian of the inverse function."


def _missing_gate(case: _Case, axis: int) -> str | None:
    c, t, _ = case.along(axis)
    dead = case.zero(t).all(axis=1)
    if not case.same(c[~dead], t[~dead]):
        return None
    open_ = np.flatnonzero(dead & ~case.zero(c).all(axis=1))
    return (
        f"A gate is missing: in {case.name(axis, open_)} the true derivative is zero and the claim is not, "
        "as when the derivative of ReLU is left out or evaluated at its output."
    )


def _zeroed(case: _Case, axis: int) -> str | None:
    c, t, _ = case.along(axis)
    empty = case.zero(c).all(axis=1) & ~case.zero(t).all(axis=1)
    if not empty.any() or not case.same(c[~empty], t[~empty]):
        return None
    return f"The claim is zero in {case.name(axis, np.flatnonzero(empty))}, where the true derivative is not."


def _identity_missing(case: _Case) -> str | None:
    if not case.square:
        return None
    k = float(np.mean(np.diagonal(case.t - case.c)))
    if not case.same(case.t - case.c, k * np.eye(len(case.t))) or case.same(case.t, np.diag(np.diagonal(case.t))):
        return None
    return (
        f"A multiple of the identity is {'missing' if k > 0 else 'too much'}: {abs(k):.4g} on the whole diagonal, "
        "as when the skip of x + f(x) is forgotten or counted where there is none."
    )


def _diagonal(case: _Case, zero: bool) -> str | None:
    """Only the diagonal differs, and all of it; ``zero``: the claim has nothing there."""
    if not case.square or case.off_diagonal(case.wrong).any() or case.zero(case.off_diagonal(case.t)).all():
        return None
    wrong = np.diagonal(case.wrong)
    if wrong.sum() < 2 or not (wrong | np.diagonal(case.zero(case.t))).all():
        return None
    if zero:
        return "The diagonal is missing: the claim is zero there." if case.zero(np.diagonal(case.c)).all() else None
    return "Only the diagonal is wrong: a term that stands on it alone, such as diag(p), is missing or wrong."


def _wrong_activation(case: _Case) -> str | None:
    """Claim and truth are diagonal, and at least two entries differ."""
    if not case.square or not all(case.zero(case.off_diagonal(a)).all() for a in (case.c, case.t)):
        return None
    wrong = np.diagonal(case.wrong)
    if wrong.sum() < 2:
        return None
    return (
        f"The claim is diagonal, as it must be, but {wrong.sum()} of {wrong.size} entries there are wrong: "
        "it is the derivative of another activation, or evaluated at the wrong place."
    )


def _off_diagonal(case: _Case) -> str | None:
    if not case.square or not case.zero(case.off_diagonal(case.c)).all() or not case.off_diagonal(case.wrong).any():
        return None
    outer = "; it lacks an outer product u vᵀ" if _rank(case, case.c - case.t) == 1 else ""
    return f"Everything off the diagonal is missing: the claim is diagonal, and the true derivative is not{outer}."


def _own_factors(case: _Case, axis: int) -> str | None:
    """``c = D t`` with D diagonal (axis 0), or ``c = t D`` (axis 1); where t is zero, c may be anything."""
    c, t, wrong = case.along(axis)
    off = [int(i) for i in np.flatnonzero(wrong.any(axis=1))]
    factors = np.full(len(t), np.inf)
    live = [i for i in off if not case.zero(t[i]).all()]
    for i in live:
        largest = int(np.argmax(np.abs(t[i])))
        factors[i] = c[i, largest] / t[i, largest]
    # One number is a multiple of any other: only rows with two and more can tell.
    telling = any(np.sum(~case.zero(t[i])) > 1 for i in live)
    if not telling or len(t) == 1 or not case.same(c[live], factors[live, None] * t[live]):
        return None
    if np.ptp(factors[off]) <= case.rtol * np.max(np.abs(factors[off])):
        are = "are" if len(off) > 1 else "is"
        return f"{case.name(axis, off).capitalize()} {are} off by the factor {factors[off[0]]:.4g}."
    which = f"The {case.noun(axis)}" if len(off) == len(t) else case.name(axis, off).capitalize()
    return (
        f"{which} are off by a factor each: the derivative of an activation is missing, is that of another one, "
        "or is evaluated at the wrong place."
    )


def _constant_added(case: _Case) -> str | None:
    difference = case.c - case.t
    k = float(np.mean(difference))
    if case.t.size == 1 or not case.same(difference, np.full(case.shape, k)):
        return None
    return f"The same number is {'added to' if k > 0 else 'subtracted from'} every entry: {abs(k):.4g}."


def _rank(case: _Case, matrix: Array) -> int:
    if not np.all(np.isfinite(matrix)):  # two huge numbers may be infinitely far apart
        return min(case.shape)
    values = np.linalg.svd(matrix, compute_uv=False)
    return int(np.sum(values > 10 * math.sqrt(matrix.size) * case.small))


def _outer_product(case: _Case) -> str | None:
    # A single row, column or entry that is wrong has rank one as well, and a better name.
    alone = min(case.wrong.any(axis=1).sum(), case.wrong.any(axis=0).sum()) == 1
    if alone or _rank(case, case.c - case.t) != 1:
        return None
    return "A term is missing or too much: the difference is an outer product u vᵀ (rank one)."


def _low_rank(case: _Case) -> str | None:
    # Few wrong entries have a low rank too, and a better name.
    rank = _rank(case, case.c - case.t)
    if 2 * case.wrong.sum() <= case.wrong.size or rank >= _rank(case, case.t) or 2 * rank > min(case.shape):
        return None
    return f"A term is missing or too much: the difference is a matrix of low rank, {rank} of {min(case.shape)}."


def _some(case: _Case, axis: int) -> str | None:
    """Whole rows or columns are wrong, and the others right and not empty."""
    c, t, wrong = case.along(axis)
    empty = case.zero(c) & case.zero(t)
    bad = wrong.any(axis=1)
    if not np.all((wrong | empty)[bad]) or np.all(empty[~bad]):
        return None
    return f"Right on {np.sum(~bad)} of {len(t)} {case.noun(axis)}, wrong in {case.name(axis, np.flatnonzero(bad))}."


def _some_entries(case: _Case) -> str | None:
    empty = case.zero(case.c) & case.zero(case.t)
    if np.all(case.wrong | empty):
        return None
    zero = "; the claim is zero there, and the true derivative is not" if case.zero(case.c[case.wrong]).all() else ""
    return f"Right on {np.sum(~case.wrong)} of {case.wrong.size} entries, wrong at {case.entries(case.wrong)}{zero}."


def _close(case: _Case) -> str | None:
    cosine = float(np.sum(case.c * case.t) / np.linalg.norm(case.c) / np.linalg.norm(case.t))
    if not cosine > 0.5:
        return None
    return (
        f"No single slip explains the claim, though it points in a similar direction (cosine {cosine:.2f}): "
        "check each factor of the chain rule by itself."
    )


def _unrelated(_: _Case) -> str:
    return "The claim has nothing recognisable in common with the true derivative."


_Detector: TypeAlias = Callable[[_Case], str | None]


def _on(detect: Callable[[_Case, int], str | None], axis: int) -> _Detector:
    return lambda case: detect(case, axis)


# The first that speaks is the diagnosis. When the shapes differ:
_SHAPE_DETECTORS: list[tuple[str, _Detector]] = [
    ("transposed", _transposed_shape),
    ("squeezed", _squeezed),
    ("diagonal only", _diagonal_only),
    ("summed over outputs", _summed),
    ("flattened", _flattened),
    ("wrong shape", _wrong_shape),
]

# When they agree: first what explains the whole claim in a word, then in several, then what explains a part of it.
_DETECTORS: list[tuple[str, _Detector]] = [
    ("not finite", _not_finite),
    ("right", _right),
    ("not zero", _not_zero),
    ("all zero", _all_zero),
    ("wrong sign", _sign),
    ("constant factor", _factor),
    ("constant factor and sign", _factor_and_sign),
    ("transposed", _transposed),
    ("transposed and wrong sign", _transposed_and_sign),
    ("transposed and constant factor", _transposed_and_factor),
    ("rows with the wrong sign", _on(_signs_of, 0)),
    ("columns with the wrong sign", _on(_signs_of, 1)),
    ("entries with the wrong sign", _signs_of_entries),
    ("rows permuted", _on(_permuted, 0)),
    ("columns permuted", _on(_permuted, 1)),
    ("reading order", _reordered),
    ("inverse", _inverse),
    ("missing gate", _on(_missing_gate, 0)),
    ("missing gate", _on(_missing_gate, 1)),
    ("rows zero", _on(_zeroed, 0)),
    ("columns zero", _on(_zeroed, 1)),
    ("missing identity", _identity_missing),
    ("missing diagonal", lambda case: _diagonal(case, zero=True)),
    ("wrong diagonal", lambda case: _diagonal(case, zero=False)),
    ("missing off-diagonal", _off_diagonal),
    ("wrong activation", _wrong_activation),
    ("own factor per row", _on(_own_factors, 0)),
    ("own factor per column", _on(_own_factors, 1)),
    ("constant added", _constant_added),
    ("missing term", _outer_product),
    ("some rows", _on(_some, 0)),
    ("some columns", _on(_some, 1)),
    ("missing term", _low_rank),
    ("some entries", _some_entries),
    ("close", _close),
    ("unrelated", _unrelated),
]
