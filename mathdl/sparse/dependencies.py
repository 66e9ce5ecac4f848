"""Which entries of a Jacobian can be other than zero, for any input of the shape: sets of columns follow the program.

No derivative is computed and no value decides: where a value chooses, all that it could choose counts.
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from scipy import sparse

from mathdl.autodiff.followed import Followed
from mathdl.autodiff.trace import ENTRY, PART, SCALED, Link, Trace, Traced
from mathdl.errors import InvalidInput
from mathdl.sparse.steps import Local, broadcast_sources, local

__all__ = ["LARGEST", "Dependencies"]

LARGEST: Final = 5 * 10**7  # entries of a pattern: more are refused


class Dependencies(Trace):
    """One run with sets of columns: a traced array's mark is a pattern, with one row for each of its entries."""

    __slots__ = ("columns",)
    by_structure = True

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.columns = columns

    def start(self) -> sparse.csr_array:
        """The mark of the input: each entry depends on itself."""
        return _pattern(np.arange(self.columns + 1), np.arange(self.columns), self.columns)

    def record(self, value: Any, links: Sequence[Link]) -> Traced:
        if links and links[0][1] == ENTRY:
            return self.wrap(value, self._of_entries(links))
        total = None
        for mark, kind, first, second, extra in links:
            found = mark
            if kind == PART:
                found = self.pick(mark, np.arange(math.prod(extra)).reshape(extra)[first].ravel())
            elif extra is not None:
                found = self.pick(mark, broadcast_sources(*extra))
            if kind == SCALED:
                factor = first(*second)
                if not isinstance(factor, Followed):
                    found = self._without_zeros(found, factor, value.shape)
            total = found if total is None else _union(total, found)
        return self.wrap(value, total)

    def record_step(
        self,
        value: Any,
        define: Callable[..., Any],
        marks: Sequence[Any],
        values: Sequence[Any],
        static: tuple[Any, ...],
    ) -> Traced:
        total = None
        for k, mark in enumerate(marks):
            if mark is not None:
                found = self.through(mark, local(define, k, values, static, np.shape(value)))
                total = found if total is None else _union(total, found)
        return self.wrap(value, total)

    def through(self, mark: Any, step: Local) -> sparse.csr_array:
        """The pattern behind a step."""
        if step.matrix is not None:
            return _canonical(_as_pattern(step.matrix) @ mark)
        if step.group is not None:
            mark = self._merge(mark, step.group, step.count)
        return mark if step.source is None else self.pick(mark, step.source)

    def pick(self, mark: Any, source: Any) -> sparse.csr_array:
        """Rows by number; -1 is an empty one."""
        lengths = np.diff(mark.indptr, append=mark.indptr[-1:])  # and one of length 0, for -1
        counts = lengths[source]
        ends = np.cumsum(counts, dtype=np.int64)
        total = int(ends[-1]) if ends.size else 0
        if total > LARGEST:
            raise InvalidInput(
                "f",
                f"a Jacobian with more than {LARGEST:.0e} entries that are not known to be zero",
                "a function with a sparse Jacobian; md.jvp and md.vjp need no matrix at all",
            )
        begins = mark.indptr[source] - (ends - counts)
        return _pattern(
            np.concatenate([[0], ends]), mark.indices[np.repeat(begins, counts) + np.arange(total)], self.columns
        )

    def _merge(self, mark: Any, group: Any, count: int) -> sparse.csr_array:
        """One row for each group: the union of its rows; group -1 is dropped."""
        used = group >= 0
        places = np.flatnonzero(used)
        choose = sparse.csr_array(
            (np.ones(places.size, bool), (group[used], places)), shape=(count, group.size), dtype=bool
        )
        return _canonical(choose @ mark)

    def _of_entries(self, links: Sequence[Link]) -> sparse.csr_array:
        shape = links[0][4]
        stacked = _canonical(sparse.vstack([link[0] for link in links], format="csr"))
        source = np.full(math.prod(shape), -1)
        source[np.ravel_multi_index(np.array([link[2] for link in links]).T, shape)] = np.arange(len(links))
        return self.pick(stacked, source)

    def _without_zeros(self, mark: Any, factor: Any, shape: tuple[int, ...]) -> sparse.csr_array:
        """What a constant factor of zero leaves: no dependence."""
        zero = np.broadcast_to(np.asarray(factor) == 0, shape).ravel()
        return self.pick(mark, np.where(zero, -1, np.arange(zero.size))) if zero.any() else mark


def _pattern(indptr: Any, indices: Any, columns: int) -> sparse.csr_array:
    data = np.ones(len(indices), bool)
    return sparse.csr_array(
        (data, np.asarray(indices, np.int32), np.asarray(indptr, np.int64)), (len(indptr) - 1, columns)
    )


def _as_pattern(matrix: sparse.csr_array) -> sparse.csr_array:
    return sparse.csr_array((np.ones(matrix.nnz, bool), matrix.indices, matrix.indptr), matrix.shape)


def _union(a: Any, b: Any) -> sparse.csr_array:
    return a if a is b else _canonical(a + b)


def _canonical(a: Any) -> sparse.csr_array:
    a = sparse.csr_array(a, dtype=bool)
    a.sum_duplicates()
    return a
