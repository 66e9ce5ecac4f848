"""What each step of the engine does to structure: which entries of its result depend on which of an operand.

One table, beside those of the rules: read for patterns (`dependencies`) and for diagonals (`bands`).
Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from scipy import sparse

from mathdl.autodiff.followed import Followed
from mathdl.autodiff.recording import Recorded, bottom, found_in
from mathdl.autodiff.rules.factors import left_step, orthogonal_step, pseudo_inverse_step, right_step, values_step
from mathdl.autodiff.rules.linear_algebra import (
    cholesky_step,
    det_step,
    eigenvalue_step,
    eigenvector_step,
    inverse_step,
    log_det_step,
    solve_step,
)
from mathdl.autodiff.rules.products import einsum_step, matmul_step, sparse_product_step
from mathdl.autodiff.rules.reductions import cumsum_step, extreme_step, sum_step
from mathdl.autodiff.rules.steps import (
    broadcast_step,
    cast_step,
    embed_step,
    ensured_step,
    gather_step,
    join_step,
    reshape_step,
    scatter_at_step,
    scatter_step,
    select_step,
    transpose_step,
    where_step,
)

__all__ = ["Local", "broadcast_sources", "depends_on_values", "local", "product_of_two"]

_LARGEST: Final = 2 * 10**7  # entries of the Jacobian of one step with constant factors, which is written out


class Local:
    """How the entries of a step's result depend on those of one operand, both counted in C order.

    Result ``i`` depends on all entries ``j`` with ``group[j] == source[i]``, and on none where ``source[i]`` is -1.
    Without groups each entry is its own; without sources result ``i`` belongs to group ``i``. A constant linear map can
    be given as its matrix instead.
    """

    __slots__ = ("count", "exact", "group", "matrix", "moves", "source")

    def __init__(
        self,
        group: Any = None,
        count: int = 0,
        source: Any = None,
        moves: bool = False,
        matrix: sparse.csr_array | None = None,
        exact: bool = True,
    ) -> None:
        self.group, self.count, self.source, self.matrix = group, count, source, matrix
        self.exact = exact  # whether the matrix is the derivative, and not only its pattern
        self.moves = moves  # whether entries are moved and added, and not multiplied by anything


def depends_on_values(x: Any) -> bool:
    """Whether an argument of a step is computed from the inputs, and so may be another one in the next call."""
    return any(isinstance(bottom(part), Recorded) for part in found_in(x, Followed))


def local(define: Any, k: int, values: Sequence[Any], static: tuple[Any, ...], shape: tuple[int, ...]) -> Local:
    """The structure of the step ``define(*values, *static)`` with a result of this shape, for operand ``k``."""
    find: Callable[..., Local] = _TABLE.get(define, _of_all)
    return find(k, values, static, shape)


def _numbers(shape: tuple[int, ...]) -> Any:
    return np.arange(math.prod(shape)).reshape(shape)


def broadcast_sources(own: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Of each entry of the result, the number of the entry that is broadcast to it."""
    return np.broadcast_to(_numbers(own), shape).ravel()


def _moved(source: Any) -> Local:
    return Local(source=np.asarray(source).ravel(), moves=True)


def _of_all(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    """Every entry on every entry: what is said of a step that is not known any better."""
    return Local(np.zeros(math.prod(values[k].shape), int), 1, np.zeros(math.prod(shape), int))


def _as_it_is(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    return Local(moves=True)


def _transpose(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    return _moved(np.transpose(_numbers(values[k].shape), static[0]))


def _broadcast(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    return _moved(broadcast_sources(values[k].shape, shape))


def _where(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    source, condition = broadcast_sources(np.shape(values[k]), shape), static[0]
    if depends_on_values(condition):
        return Local(source=source)
    chosen = np.broadcast_to(np.asarray(condition) == (k == 0), shape).ravel()
    return _moved(np.where(chosen, source, -1))


def _join(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    axis = static[0]
    begin = sum(x.shape[axis] for x in values[:k])
    return _moved(
        _placed(values[k].shape, (slice(None),) * axis + (slice(begin, begin + values[k].shape[axis]),), shape)
    )


def _placed(own: tuple[int, ...], key: Any, shape: tuple[int, ...]) -> Any:
    source = np.full(shape, -1)
    source[key] = _numbers(own)
    return source


def _embed(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    key, _, lead = static
    return _moved(_placed(values[k].shape, (slice(None),) * lead + key, shape))


def _gather(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    numbers, lead, own = static
    rows, size = math.prod(values[k].shape[:lead]), math.prod(own)
    each = np.arange(rows)[:, None]
    if depends_on_values(numbers):
        group, count, source = _chosen_by_values(bottom(numbers), size, np.shape(numbers))
        return Local((group + count * each).ravel(), rows * count, (source + count * each).ravel())
    source = np.asarray(numbers).ravel()
    return _moved(source if rows == 1 else np.where(source < 0, -1, source + size * each))


def _chosen_by_values(numbers: Any, size: int, shape: tuple[int, ...]) -> tuple[Any, int, Any]:
    """Each place may be any of all, or any along the axis that `np.sort` and its like go along."""
    step = numbers.step
    if step.function is np.take_along_axis:
        places, axis = step.args[0], {**dict(zip(("arr", "indices", "axis"), step.args, strict=False)), **step.kwargs}
        axis = axis.get("axis", -1)
        if isinstance(places, np.ndarray) and places.size == size and axis is not None:
            lines = np.expand_dims(_numbers(_without(places.shape, axis)), axis)
            group = np.empty(size, int)
            group[places.ravel()] = np.broadcast_to(lines, places.shape).ravel()  # every entry has one place in them
            return group, max(size // max(places.shape[axis], 1), 1), np.broadcast_to(lines, shape).ravel()
    return np.zeros(size, int), 1, np.zeros(math.prod(shape), int)


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(n for k, n in enumerate(shape) if k != axis % len(shape))


def _scatter(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    numbers, lead, own = static
    rows, size = math.prod(values[k].shape[:lead]), math.prod(own)
    if depends_on_values(numbers):
        return _of_all(k, values, static, shape)
    numbers = np.asarray(numbers).ravel()
    group = np.where(numbers < 0, -1, numbers + size * np.arange(rows)[:, None]).ravel()
    return Local(group, rows * size, moves=True)


def _select(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    numbers, key = _numbers(values[k].shape), static[0]
    if not depends_on_values(key):
        return _moved(numbers[key])
    if any(part is Ellipsis for part in key):
        return _of_all(k, values, static, shape)
    # Along the axes where values choose, all are one group; there, any index will do.
    axis = 0
    chosen: list[int] = []
    anywhere: list[Any] = []
    for part in key:
        if isinstance(part, Followed):
            chosen.append(axis)
        anywhere.append(np.zeros(np.shape(bottom(part).step.value), int) if isinstance(part, Followed) else part)
        axis += part is not None
    own = values[k].shape
    kept = tuple(1 if axis in chosen else n for axis, n in enumerate(own))
    group = np.broadcast_to(_numbers(kept), own)
    return Local(group.ravel(), math.prod(kept), group[tuple(anywhere)].ravel())


def _scatter_at(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    if depends_on_values(static[0]):
        return _of_all(k, values, static, shape)
    group = np.broadcast_to(_numbers(shape)[static[0]], values[k].shape)
    return Local(group.ravel(), math.prod(shape), moves=True)


def _along(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    """Reductions along the axes ``static[0]``."""
    own = values[k].shape
    kept = tuple(1 if axis in static[0] else n for axis, n in enumerate(own))
    return Local(np.broadcast_to(_numbers(kept), own).ravel(), math.prod(kept))


def _sum(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    found = _along(k, values, static, shape)
    found.moves = True
    return found


def _cumsum(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    axis, n = static[0], shape[static[0]] if shape else 1
    lines = np.moveaxis(_numbers(shape), axis, -1).reshape(math.prod(shape) // max(n, 1), n)
    if lines.size * n > 2 * _LARGEST:
        found = _along(k, values, ((axis,),), shape)
        return Local(found.group, found.count, found.group)
    row, column = np.tril_indices(n)
    return _matrix(lines[:, row].ravel(), lines[:, column].ravel(), 1.0, (lines.size, lines.size))


def _matrix(rows: Any, columns: Any, entries: Any, shape: tuple[int, int], exact: bool = True) -> Local:
    entries = np.broadcast_to(np.asarray(entries, float), rows.shape)
    return Local(matrix=sparse.csr_array((entries, (rows, columns)), shape=shape), exact=exact)


# ------------------------------------------------------------------------------------------------ products and solving
def _einsum(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    return _product(k, values, *_letters(einsum_step, values, static), shape)


def _matmul(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    return _product(k, values, *_letters(matmul_step, values, static), shape)


def _letters(define: Any, values: Sequence[Any], static: Any) -> tuple[Sequence[str], str]:
    """A product as einsum writes it: the axes of each operand, and those of the result."""
    if define is einsum_step:
        return static[0], static[1]
    a, b = values
    letters = "abcdefgh"[: max(a.ndim, b.ndim, 2) - 2]
    left = letters[len(letters) + 2 - a.ndim :] + "mk" if a.ndim > 1 else "k"
    right = letters[len(letters) + 2 - b.ndim :] + "kn" if b.ndim > 1 else "k"
    return (left, right), letters + "m" * (a.ndim > 1) + "n" * (b.ndim > 1)


def product_of_two(define: Any, k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Any:
    """For a matmul or einsum of two operands: the pattern for operand ``k``, with the place of the factor in the other.

    As a csr_array whose entries are the places in the other operand, counted from 1; None for any other step, or if it
    has too many entries.
    """
    if define not in (matmul_step, einsum_step) or len(values) != 2:
        return None
    terms, result = _letters(define, values, static)
    own, other = values[k].shape, values[1 - k].shape
    every, full = _together(terms[k], own, result, shape)
    if math.prod(full) > 64 * (math.prod(own) + math.prod(shape)) or set(terms[1 - k]) - set(every):
        return None
    rows, columns, places = (
        np.broadcast_to(_spread(_numbers(dims), letters, every), full).ravel()
        for dims, letters in ((shape, result), (own, terms[k]), (other, terms[1 - k]))
    )
    return sparse.csr_array((places + 1, (rows, columns)), shape=(math.prod(shape), math.prod(own)))


def _together(term: str, own: tuple[int, ...], result: str, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """All axes of a result and of an operand, and their lengths."""
    lengths = dict(zip(result, shape, strict=True))
    for letter, n in zip(term, own, strict=True):
        lengths[letter] = max(n, lengths.get(letter, n))
    return "".join(lengths), tuple(lengths.values())


def _sparse_product(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
    columns = math.prod(shape[1:])
    matrix = sparse.csr_array(static[0], dtype=float)
    return Local(matrix=sparse.csr_array(sparse.kron(matrix, sparse.eye_array(columns))) if columns > 1 else matrix)


def _product(k: int, values: Sequence[Any], terms: Sequence[str], result: str, shape: tuple[int, ...]) -> Local:
    """A sum of products of all operands: in operand ``k`` linear, with constant factors if the others are constant."""
    own, term = values[k].shape, terms[k]
    others = [j for j in range(len(values)) if j != k]
    every, full = _together(term, own, result, shape)
    constant = [j for j in others if not isinstance(values[j], Followed)]
    if constant and math.prod(full) <= _LARGEST:
        exact = len(constant) == len(others)
        met = "".join(letter for letter in every if any(letter in terms[j] for j in constant))
        known = [values[j] if exact else np.not_equal(values[j], 0).astype(float) for j in constant]
        factors = np.einsum(",".join(terms[j] for j in constant) + "->" + met, *known, optimize=True)
        factors = np.broadcast_to(_spread(factors, met, every), full)
        rows = np.broadcast_to(_spread(_numbers(shape), result, every), full)
        columns = np.broadcast_to(_spread(_numbers(own), term, every), full)
        used = factors != 0
        return _matrix(rows[used], columns[used], factors[used], (math.prod(shape), math.prod(own)), exact)
    kept = "".join(letter for letter in term if letter in result)
    numbers = _numbers(tuple(n for letter, n in zip(term, own, strict=True) if letter in result))
    group = np.broadcast_to(_spread(numbers, kept, term), own).ravel()
    source = np.broadcast_to(_spread(numbers, kept, result), shape).ravel()
    return Local(group, numbers.size, source, moves=not others)


def _spread(x: Any, letters: str, over: str) -> Any:
    """An array with axes named by letters, with its axes in another order and axes of length one between them."""
    inside = [letter for letter in over if letter in letters]
    moved = np.transpose(x, [letters.index(letter) for letter in inside])
    lengths = dict(zip(inside, moved.shape, strict=True))
    return moved.reshape([lengths.get(letter, 1) for letter in over])


def _batched(axes: int, columns: bool = False) -> Callable[..., Local]:
    """Everything inside of the last axes of the operand on everything; nothing between the matrices of a batch."""

    def find(k: int, values: Sequence[Any], static: Any, shape: tuple[int, ...]) -> Local:
        own = values[k].shape
        batch = own[:-2]
        kept = (*batch, 1, own[-1] if columns and k == 1 else 1)
        group = np.broadcast_to(_numbers(kept), own).ravel()
        inner = (1,) * axes if kept[-1] == 1 else kept[-2:]
        numbers = _numbers(kept).reshape(batch + inner)
        return Local(group, math.prod(kept), np.broadcast_to(numbers, shape).ravel())

    return find


_TABLE: Final[dict[Any, Callable[..., Local]]] = {
    **dict.fromkeys((reshape_step, cast_step, ensured_step), _as_it_is),
    transpose_step: _transpose,
    broadcast_step: _broadcast,
    where_step: _where,
    join_step: _join,
    embed_step: _embed,
    gather_step: _gather,
    scatter_step: _scatter,
    select_step: _select,
    scatter_at_step: _scatter_at,
    sum_step: _sum,
    extreme_step: _along,
    cumsum_step: _cumsum,
    einsum_step: _einsum,
    matmul_step: _matmul,
    sparse_product_step: _sparse_product,
    solve_step: _batched(2, columns=True),
    **dict.fromkeys((inverse_step, cholesky_step, eigenvector_step, left_step, right_step), _batched(2)),
    **dict.fromkeys((pseudo_inverse_step, orthogonal_step), _batched(2)),
    **dict.fromkeys((eigenvalue_step, values_step), _batched(1)),
    **dict.fromkeys((det_step, log_det_step), _batched(0)),
}
