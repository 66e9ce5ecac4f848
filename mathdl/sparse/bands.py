"""A trace that carries the derivative of each array as a few diagonals: no seeds, no colours, no compressed matrix.

Where few entries spread to many (a sum that all entries are divided by), they become inputs of their own, and the
Jacobian a sparse matrix plus one of low rank. Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from mathdl.autodiff.compiling.cleaning import is_uniform
from mathdl.autodiff.followed import Followed
from mathdl.autodiff.naming import call_site
from mathdl.autodiff.recording import run
from mathdl.autodiff.rules.reductions import extreme_step, shares, sum_step
from mathdl.autodiff.rules.steps import join_step, reshape_step, where_step
from mathdl.autodiff.trace import ENTRY, NEGATED, PART, SCALED, Link, Trace, Traced
from mathdl.errors import NotDifferentiable
from mathdl.sparse.diagonals import (
    Band,
    Loose,
    Places,
    columns_of,
    expanded,
    full_box,
    gathered,
    part_of,
    pieces,
    reshaped,
    rows_of,
    select,
    strides_of,
)
from mathdl.sparse.steps import Local, broadcast_sources, depends_on_values, local, product_of_two

__all__ = ["Bands", "Node", "NotBanded", "Terms", "joined_nodes"]

_MOST: Final = 400  # diagonals of one array
_SPREAD: Final = 8  # times as many entries, or more, behind a step that spreads them: then they become nodes
_SCATTERED: Final = 4  # how much longer an entry takes that is found by its number


class NotBanded(NotDifferentiable):
    """A function whose derivatives are not a few diagonals; the message says which step is in the way."""

    def __init__(self, reason: str) -> None:
        super().__init__("a Jacobian by bands", reason, "method='auto' or 'forward'")

    @classmethod
    def behind(cls, step: str) -> NotBanded:
        """The error for a step of the function, with its line."""
        return cls(f"{step} leaves no diagonals (at {call_site()})")


class Terms(dict[Places, Any]):
    """The derivative of one array: where its entries stand, and their coefficients (a number, or an array)."""

    @property
    def size(self) -> int:
        """How many entries there are."""
        return sum(math.prod(places.lengths) for places in self)

    def add(self, places: Places, coefficient: Any, minus: bool = False) -> None:
        before = self.get(places)
        if before is None:
            self[places] = -coefficient if minus else coefficient
        else:
            self[places] = _difference(before, coefficient) if minus else _sum(before, coefficient)


class Node:
    """Entries of an array in between that are inputs of their own, from one column on: they depend on ``terms``."""

    def __init__(self, column: int, shape: tuple[int, ...], terms: Terms) -> None:
        self.column, self.shape, self.terms = column, shape, terms


class Bands(Trace):
    """One run with diagonals; a traced array's mark is its `Terms`."""

    __slots__ = ("columns", "factoring", "known", "nodes", "values", "work")
    by_structure = True

    def __init__(self, columns: int, factoring: bool) -> None:
        super().__init__()
        self.columns = columns
        self.factoring = factoring
        self.nodes: list[Node] = []
        self.known: dict[int, tuple[Terms, Terms]] = {}
        self.work = 0  # entries multiplied and added
        self.values = 0  # entries of all arrays that the function computes

    @staticmethod
    def start(shape: tuple[int, ...]) -> Terms:
        """The mark of the input: the main diagonal."""
        return Terms({Band(full_box(shape), 0, strides_of(shape)): 1.0} if math.prod(shape) else {})

    # -- steps
    def record(self, value: Any, links: Sequence[Link]) -> Traced:
        if links and links[0][1] == ENTRY and len(links) > 16:
            return self._finish(value, self._of_many_entries(links))
        total = Terms()
        for mark, kind, first, second, extra in links:
            if kind == PART:
                self._select(total, mark, first, extra)
            elif kind == ENTRY:
                self._enter(total, mark, first, extra)
            else:
                terms = mark if extra is None else self._expanded(mark, *extra)
                if kind == SCALED:
                    self._scale(total, terms, first(*second), value.shape)
                else:
                    for places, c in terms.items():
                        total.add(places, c, kind == NEGATED)
        return self._finish(value, total)

    def record_step(
        self,
        value: Any,
        define: Callable[..., Any],
        marks: Sequence[Any],
        values: Sequence[Any],
        static: tuple[Any, ...],
    ) -> Traced:
        total, shape = Terms(), np.shape(value)
        for k, mark in enumerate(marks):
            if mark is None or not mark:
                continue
            own = values[k].shape
            if define is join_step:
                begin = sum(x.shape[static[0]] for x in values[:k])
                for places, c in mark.items():
                    self._join(total, places, c, own, shape, static[0], begin)
            elif define is reshape_step:
                for places, c in mark.items():
                    self.reshape(total, places, c, own, shape)
            elif define is where_step and depends_on_values(static[0]):
                mask = static[0] if k == 0 else ~static[0]
                terms = mark if own == shape else self._expanded(mark, own, shape)
                self._scale(total, terms, mask, shape, choosing=True)
            elif define is extreme_step:
                chosen = Terms()
                self._scale(chosen, mark, shares(values[k], static[0], static[2]), own)
                self._through(total, chosen, local(sum_step, k, values, static, shape), own, shape, _name_of(define))
            elif (places := self._places_in_other(define, k, values, static, shape)) is not None:
                self._multiply(total, mark, places, own, np.ravel(values[1 - k]))
            else:
                self._through(total, mark, local(define, k, values, static, shape), own, shape, _name_of(define))
        return self._finish(value, total)

    @staticmethod
    def _places_in_other(define: Any, k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Any:
        """Of a product with another array that is computed too: the places of the factors in this array."""
        if len(values) != 2 or not isinstance(values[1 - k], Followed):
            return None
        return product_of_two(define, k, values, static, shape)

    def _finish(self, value: Any, total: Terms) -> Traced:
        if len(total) > _MOST:
            raise NotBanded.behind(f"a result made of more than {_MOST}")
        size = total.size
        self.work += size
        self.values += int(np.size(value))
        if size > 64 * (np.size(value) + self.columns) + 10**4:
            raise NotBanded.behind("a result in which most entries depend on many")
        return self.wrap(value, total)

    # -- what the steps do
    @staticmethod
    def _select(total: Terms, mark: Terms, key: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        numbers = None
        for places, c in mark.items():
            if isinstance(places, Band):
                found = select(places, c, key, shape)
                if found is not None:
                    total.add(*found)
            else:
                if numbers is None:
                    numbers = np.arange(math.prod(shape)).reshape(shape)[key].ravel()
                _pick(total, places, c, numbers, math.prod(shape))

    @staticmethod
    def _enter(total: Terms, mark: Terms, key: tuple[int, ...], shape: tuple[int, ...]) -> None:
        for places, c in mark.items():
            if isinstance(places, Band):
                total.add(Band(tuple((k, k + 1) for k in key), places.base, (0,) * len(key)), _with_axes(c, len(key)))
            else:
                row = int(np.ravel_multi_index(key, shape))
                total.add(Loose(np.full(len(places.rows), row), places.columns), c)

    def _of_many_entries(self, links: Sequence[Link]) -> Terms:
        rows, columns, coefficients = [], [], []
        for mark, _, key, _, shape in links:
            row = int(np.ravel_multi_index(key, shape))
            for places, c in mark.items():
                if np.ndim(c):
                    raise NotBanded.behind("np.array of sums")
                of = np.ravel(columns_of(places)).tolist()
                rows += [row] * len(of)
                columns += of
                coefficients += [c] * len(of)
        return Terms({Loose(np.array(rows, int), np.array(columns, int)): run(np.array, coefficients)} if rows else {})

    @staticmethod
    def _join(
        total: Terms, places: Places, c: Any, own: tuple[int, ...], shape: tuple[int, ...], axis: int, begin: int
    ) -> None:
        if isinstance(places, Band):
            total.add(places.moved((0,) * axis + (begin,) + (0,) * (len(own) - axis - 1)), c)
        else:
            where = list(np.unravel_index(places.rows, own))
            where[axis] = where[axis] + begin
            total.add(Loose(np.ravel_multi_index(tuple(where), shape), places.columns), c)

    @staticmethod
    def reshape(total: Terms, places: Places, c: Any, own: tuple[int, ...], shape: tuple[int, ...]) -> None:
        """One term of an array, in the array of another shape."""
        if isinstance(places, Band):
            new = reshaped(places, own, shape)
            if new is None:
                places, c = _loosened(places, c, own)
            else:
                lengths = new.lengths
                if np.ndim(c):
                    c = np.reshape(_whole(c, places.lengths), lengths)
                places = new
        total.add(places, c)

    def _scale(self, total: Terms, terms: Terms, d: Any, shape: tuple[int, ...], choosing: bool = False) -> None:
        """Multiply by a factor; or, where a mask chooses, keep or drop."""
        if not isinstance(d, Followed) and not choosing and not np.all(d):
            terms = self._without_zeros(terms, np.broadcast_to(d, shape), shape)
        flat = None
        for places, c in terms.items():
            if isinstance(places, Band):
                part = part_of(d, places.box, shape)
            elif np.ndim(d):
                if flat is None:
                    flat = np.ravel(d if np.shape(d) == shape else np.broadcast_to(d, shape))
                part = np.take(flat, places.rows)
            else:
                part = d
            if isinstance(part, np.ndarray) and part.size and not choosing and is_uniform(part):
                part = float(part.flat[0])
            if np.ndim(c) or np.ndim(part):
                self.work += math.prod(places.lengths) * (1 if isinstance(places, Band) else _SCATTERED)
            total.add(places, np.where(part, c, 0.0) if choosing else _product(c, part))

    @staticmethod
    def _without_zeros(terms: Terms, d: Any, shape: tuple[int, ...]) -> Terms:
        """Leave out what a constant factor of zero makes zero for all inputs."""
        kept = Terms()
        for places, c in terms.items():
            if isinstance(places, Band):
                part = d[places.key]
                if part.all():
                    kept.add(places, c)
                    continue
                places, c = _loosened(places, c, shape)
            used = np.flatnonzero(d.ravel()[places.rows])
            if used.size:
                kept.add(Loose(places.rows[used], places.columns[used]), np.take(c, used) if np.ndim(c) else c)
        return kept

    def _expanded(self, mark: Terms, own: tuple[int, ...], shape: tuple[int, ...]) -> Terms:
        """Broadcasting."""
        times = math.prod(shape) // max(math.prod(own), 1)
        if mark.size * times > _SPREAD * (mark.size + math.prod(shape)):
            mark = self._node(mark, own)
        result, source = Terms(), None
        for places, c in mark.items():
            if isinstance(places, Band):
                result.add(*expanded(places, c, own, shape))
            else:
                if source is None:
                    source = broadcast_sources(own, shape)
                _pick(result, places, c, source, math.prod(own))
        return result

    def _node(self, mark: Terms, shape: tuple[int, ...]) -> Terms:
        """Make the entries of an array inputs of their own."""
        if not self.factoring:
            raise NotBanded.behind("a step that spreads few entries over many")
        if id(mark) not in self.known:
            column = self.columns + sum(math.prod(node.shape) for node in self.nodes)
            self.nodes.append(Node(column, shape, mark))
            self.known[id(mark)] = (mark, Terms({Band(full_box(shape), column, strides_of(shape)): 1.0}))
        return self.known[id(mark)][1]

    def _through(
        self, total: Terms, mark: Terms, step: Local, own: tuple[int, ...], shape: tuple[int, ...], name: str
    ) -> None:
        """A step that moves entries, adds them, or multiplies by a constant matrix."""
        if step.matrix is not None and step.exact:
            self._multiply(total, mark, step.matrix, own)
            return
        if not step.moves:
            raise NotBanded.behind(name)
        group, source = step.group, step.source
        size = math.prod(own)
        if group is not None and source is None and np.unique(group).size == group.size:
            source = np.full(step.count, -1)
            source[group[group >= 0]] = np.flatnonzero(group >= 0)
            group = None
        if group is not None:
            if source is not None:
                raise NotBanded.behind(name)
            for places, c in mark.items():
                loose, c = _loosened(places, c, own)
                rows = group[loose.rows]
                if (rows < 0).any():
                    raise NotBanded.behind(name)
                total.add(Loose(rows, loose.columns), c)
            return
        if source is None:
            for places, c in mark.items():
                total.add(places, c)
            return
        used = np.bincount(source[source >= 0], minlength=size)
        if used.size and used.max(initial=0) > 1 and mark.size * int(used.max()) > _SPREAD * (mark.size + source.size):
            mark = self._node(mark, own)
        # Far below zero, what is gathered from nowhere does not look like the beginning of what follows.
        parts = pieces(np.where(source < 0, -(2**40), source).reshape(shape)) if source.size else []
        for places, c in mark.items():
            found = gathered(places, c, own, parts) if isinstance(places, Band) and parts is not None else None
            if found is not None:
                for band, part in found:
                    total.add(band, part)
            else:
                loose, c = _loosened(places, c, own)
                _pick(total, loose, c, source, size)

    def _multiply(self, total: Terms, mark: Terms, matrix: Any, own: tuple[int, ...], factors: Any = None) -> None:
        """The product of a matrix with what is known of an array; its entries are constants, or places of factors."""
        by_column = matrix.tocsc()
        lengths = np.diff(by_column.indptr)
        spread = sum(int(lengths[np.ravel(rows_of(places, own))].sum()) for places in mark)
        if spread > _SPREAD * (mark.size + matrix.nnz):
            mark = self._node(mark, own)
        for places, c in mark.items():
            loose, c = _loosened(places, c, own)
            counts = lengths[loose.rows]
            each = np.repeat(np.arange(len(counts)), counts)
            inside = _ranges(by_column.indptr[loose.rows], counts)
            factor = by_column.data[inside]
            self.work += _SCATTERED * len(each)
            if not len(each):
                continue
            if np.ndim(c):
                c = np.take(c, each)
            if factors is not None:
                factor = np.take(factors, factor - 1)
            total.add(Loose(by_column.indices[inside].astype(int), loose.columns[each]), _product(c, factor))


def joined_nodes(nodes: Sequence[Node]) -> Terms:
    """The derivatives of all nodes, one row for each of their entries."""
    total, begin = Terms(), 0
    for node in nodes:
        size = math.prod(node.shape)
        flat = Terms()
        for places, c in node.terms.items():
            Bands.reshape(flat, places, c, node.shape, (size,))
        for places, c in flat.items():
            moved = places.moved((begin,)) if isinstance(places, Band) else Loose(places.rows + begin, places.columns)
            total.add(moved, c)
        begin += size
    return total


# ------------------------------------------------------------------------------------------------ moving loose entries
def _ranges(begins: Any, counts: Any) -> Any:
    """begins[0], begins[0] + 1, ... (counts[0] of them), then begins[1], ..."""
    ends = np.cumsum(counts)
    return np.repeat(begins - (ends - counts), counts) + np.arange(int(ends[-1]) if len(ends) else 0)


def _pick(total: Terms, places: Loose, c: Any, source: Any, size: int) -> None:
    """The entries of rows by number, into the rows of the result."""
    targets = np.flatnonzero(source >= 0)
    order = targets[np.argsort(source[targets], kind="stable")]
    counts = np.bincount(source[targets], minlength=size)
    begins = np.cumsum(counts) - counts
    of = counts[places.rows]
    each = np.repeat(np.arange(len(of)), of)
    if len(each):
        rows = order[_ranges(begins[places.rows], of)]
        total.add(Loose(rows, places.columns[each]), np.take(c, each) if np.ndim(c) else c)


def _loosened(places: Places, c: Any, shape: tuple[int, ...]) -> tuple[Loose, Any]:
    """A band entry by entry."""
    if isinstance(places, Loose):
        return places, c
    rows, columns = np.ravel(rows_of(places, shape)), np.ravel(columns_of(places))
    return Loose(rows, columns), np.ravel(_whole(c, places.lengths)) if np.ndim(c) else c


def _whole(c: Any, lengths: tuple[int, ...]) -> Any:
    return c if np.shape(c) == lengths else np.broadcast_to(c, lengths)


def _with_axes(c: Any, ndim: int) -> Any:
    return np.reshape(c, (1,) * ndim) if np.ndim(c) else c


def _name_of(define: Any) -> str:
    return f"a step of the kind '{define.__name__.removesuffix('_step').replace('_', ' ')}'"


# ------------------------------------------------------------------------------------------------------- coefficients
def _is_number(x: Any) -> bool:
    return isinstance(x, (float, int))


def _product(c: Any, d: Any) -> Any:
    if not isinstance(d, Followed) and not np.ndim(d):
        d = float(d)
    if _is_number(c):
        if _is_number(d):
            return c * d
        if d.dtype.kind == "f" and c in (1.0, -1.0):
            return d if c == 1.0 else -d
    elif _is_number(d) and d in (1.0, -1.0):
        return c if d == 1.0 else -c
    return c * d


def _sum(a: Any, b: Any) -> Any:
    if _is_number(b) and isinstance(a, Followed):
        return _plus_number(a, b)
    if _is_number(a) and isinstance(b, Followed):
        return _plus_number(b, a)
    return a + b


def _difference(a: Any, b: Any) -> Any:
    return _plus_number(a, -b) if _is_number(b) and isinstance(a, Followed) else a - b


def _plus_number(a: Any, number: float) -> Any:
    """a + number, (x + 2.0) + 3.0 as x + 5.0, and -x + 2.0 as 2.0 - x."""
    step = a.step
    if step.function is np.negative:
        return number - step.args[0]
    if step.function in (np.add, np.subtract) and _is_number(step.args[1]) and isinstance(step.args[0], Followed):
        number += step.args[1] if step.function is np.add else -step.args[1]
        a = step.args[0]
    return a - -number if number < 0 else a + number
