"""How to get a sparse Jacobian: the ways there are, what each costs, and the choice between them.

Explained in the chapter *Structure and sparsity*.
The costs are counts of work that the structure alone decides, so that a plan is the same on every machine.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from scipy import sparse

from mathdl.autodiff.compiling import Compiled
from mathdl.autodiff.naming import refuse
from mathdl.autodiff.transforms import jvp
from mathdl.errors import DensePattern, InvalidInput
from mathdl.sparse.bands import Bands, NotBanded, Terms, joined_nodes
from mathdl.sparse.coloring import column_coloring, row_coloring
from mathdl.sparse.layout import Layout
from mathdl.sparse.plan import Factors, Plan, Way, counted, filled, row_numbers
from mathdl.sparse.programs import Program
from mathdl.sparse.symmetric import bicoloring, bicoloring_recovery, star_coloring, star_recovery

__all__ = ["hessian", "jacobian"]

_PULL: Final = 1.5  # what pulling a direction back costs, when pushing one costs 1
_WORTHWHILE: Final = 0.5  # of the cost of the dense matrix: what costs more does not pay


def jacobian(f: Callable[..., Any], *args: Any, argnum: int = 0, method: str = "auto") -> Plan:
    """Plan a sparse Jacobian: find its pattern, and the cheapest way to its entries.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; returns an array or a number. What it does must not depend on values (``if x > 0``), as
        the plan has to hold for every input.
    *args
        An example of its arguments. Only shapes and types matter. Arrays that ``f`` captures are fixed.
    argnum : int
        By which argument: an array of floating-point numbers.
    method : {"auto", "bands", "factored", "forward", "reverse", "bicoloring", "dense"}
        ``"bands"`` carries each derivative as a few diagonals, ``"factored"`` as sparse plus low rank; ``"forward"``
        pushes one direction for each colour of the columns, ``"reverse"`` pulls one for each colour of the rows,
        ``"bicoloring"`` does both. ``"auto"`` takes the cheapest, and ``plan.reason`` says why.

    Returns
    -------
    Plan
        Called with arguments like the example, it gives the Jacobian as a ``csr_array`` of shape (m, n).

    Raises
    ------
    InvalidInput
        If an argument does not fit, or the pattern has more than 5e7 entries and no factors are found.
    NotDifferentiable
        If ``f`` cannot be followed; the message says what to write instead. If ``method="bands"`` or ``"factored"``
        and the function is not of that form, it says which step is in the way.

    Warns
    -----
    DensePattern
        If no structure pays; the message names the density.

    References
    ----------
    Chapter *Structure and sparsity*. A. R. Curtis, M. J. D. Powell and J. K. Reid, "On the estimation of sparse
    Jacobian matrices", 1974. A. H. Gebremedhin, F. Manne and A. Pothen, "What color is your Jacobian?", 2005.

    Examples
    --------
    >>> plan = jacobian(lambda x: np.diff(x) ** 2, np.zeros(1000))
    >>> plan.shape, plan.pattern.nnz, plan.colors.max() + 1
    ((999, 1000), 1998, np.int64(2))
    """
    if method not in ("auto", "bands", "factored", *_WAYS):
        names = ("bands", "factored", *_WAYS)
        raise InvalidInput("method", repr(method), f"'auto' or one of {', '.join(map(repr, names))}")
    program = Program(f, args, argnum)
    plan = _banded(program, method) if method in ("auto", "bands", "factored") else None
    if plan is None:
        pattern = program.pattern()
        way = _chosen(program, pattern) if method == "auto" else _WAYS[method](program, pattern)
        plan = Plan(program, pattern, way)
    _compare(plan)
    return plan


def hessian(f: Callable[..., Any], *args: Any, argnum: int = 0, method: str = "auto") -> Plan:
    """Plan a sparse Hessian: the Jacobian of the gradient, whose symmetry saves sweeps.

    Parameters
    ----------
    f : callable
        Written in plain NumPy; returns a single number. What it does must not depend on values.
    *args
        An example of its arguments.
    argnum : int
        By which argument: an array of floating-point numbers.
    method : {"auto", "bands", "factored", "star", "forward", "dense"}
        ``"star"`` pushes one direction for each colour of a star colouring through the gradient and reads each pair of
        entries (i, j), (j, i) off once; the others are those of `jacobian`.

    Returns
    -------
    Plan
        Called with arguments like the example, it gives the Hessian as a ``csr_array`` of shape (n, n).

    Raises
    ------
    InvalidInput, NotDifferentiable
        As `jacobian`; also if ``f`` does not return a single number.

    Warns
    -----
    DensePattern
        If no structure pays; the message names the density.

    References
    ----------
    Chapter *Structure and sparsity*. T. F. Coleman and J. J. Moré, "Estimation of sparse Hessian matrices and graph
    coloring problems", 1984.

    Examples
    --------
    >>> plan = hessian(lambda x: np.sum(x[:-1] * x[1:] ** 2), np.ones(100), method="star")
    >>> plan.shape, plan.pattern.nnz, plan.sweeps
    ((100, 100), 297, 3)
    """
    if method not in ("auto", "bands", "factored", *_HESSIAN_WAYS):
        names = ("bands", "factored", *_HESSIAN_WAYS)
        raise InvalidInput("method", repr(method), f"'auto' or one of {', '.join(map(repr, names))}")
    program = Program(f, args, argnum, of_gradient=True)
    plan = _banded(program, method) if method in ("auto", "bands", "factored") else None
    if plan is None:
        pattern = program.pattern()
        pattern = sparse.csr_array(pattern + pattern.T)  # symmetric, though the program may not show it
        pattern.sum_duplicates()
        way = _chosen_hessian(program, pattern) if method == "auto" else _HESSIAN_WAYS[method](program, pattern)
        plan = Plan(program, pattern, way)
    _compare(plan)
    return plan


# ------------------------------------------------------------------------------------------------------------- by bands
def _banded(program: Program, method: str) -> Plan | None:
    """A plan by bands, or factored; None if another way is better, or if there is no such plan and any will do."""
    found: dict[str, Any] = {}

    def arrange(trace: Bands, terms: Terms) -> Any:
        n, dtype = program.x.size, program.dtype
        found["nodes"], found["count"] = bool(trace.nodes), len(terms)
        if method == "factored" and not trace.nodes:
            raise NotBanded("no step spreads few entries over many, and factors would save no diagonals")
        last = n + sum(math.prod(node.shape) for node in trace.nodes)
        layouts = [Layout(terms, program.shape, 0, n)]
        if trace.nodes:
            rows = joined_nodes(trace.nodes)
            layouts.append(Layout(terms, program.shape, n, last))
            layouts += [Layout(rows, (last - n,), 0, n), Layout(rows, (last - n,), n, last)]
        found["layouts"] = layouts
        if method == "auto":
            _check_worth(trace, layouts)
        if trace.nodes and not layouts[-1].pattern.nnz:  # no entry in between depends on another one
            layouts.pop()
        entries = tuple(layout.fill(dtype) for layout in layouts)
        return entries if trace.nodes else entries[0]

    try:
        entries = program.compile(program.by_bands(method != "bands", arrange), "entries")
    except NotBanded:
        if method != "auto":
            raise
        return None
    if not found["nodes"]:
        return Plan(program, found["layouts"][0].pattern, _way_by_bands(program, found["count"], entries))
    return _factored(program, method, found["layouts"], entries)


def _factored(program: Program, method: str, layouts: list[Layout], entries: Compiled) -> Plan | None:
    """The plan for a sparse matrix plus one of low rank; None if another way is better."""
    factors = Factors(*(layout.pattern for layout in layouts))
    pattern = factors.pattern()
    count = sum(layout.pattern.nnz for layout in layouts)
    if method == "auto" and pattern is not None and 3 * count > pattern.nnz:  # as good as written out
        return None
    rank = layouts[1].pattern.shape[1]
    way = Way(
        "factored",
        f"few entries ({rank}) in between spread over many: a sparse matrix and one of rank {rank} are smaller",
        entries,
        1,
        None,
        f"{layouts[0].pattern.nnz} entries and rank {rank}: {count} numbers instead of {program.size * program.x.size}",
    )
    return Plan(program, pattern, way, factors)


def _check_worth(trace: Bands, layouts: list[Layout]) -> None:
    """Whether carrying diagonals is less work than pushing as many directions as the longest row has entries."""
    pattern = layouts[0].pattern
    longest = int(np.diff(pattern.indptr).max(initial=0))
    if not trace.nodes and min(pattern.shape) > 1 and pattern.nnz > _WORTHWHILE * math.prod(pattern.shape):
        raise NotBanded("most entries can be other than zero")
    if not trace.nodes and trace.work > 2 * longest * trace.values:
        raise NotBanded("carrying diagonals is more work than pushing a direction for each colour")


def _way_by_bands(program: Program, count: int, entries: Compiled) -> Way:
    return Way(
        "bands",
        f"the program moves, joins and combines whole slices: each derivative is made of few diagonals ({count} at the "
        "end), and no colours are needed",
        entries,
        1,
        None,
        f"{count} diagonal{'s' * (count != 1)} in one pass instead of {program.x.size} directions",
    )


# ------------------------------------------------------------------------------------------------------------- the ways
def _forward(program: Program, pattern: Any, colors: Any = None) -> Way:
    colors = column_coloring(pattern) if colors is None else colors
    count = _count(colors)
    seeds = _seeds(colors, count, program.x.shape, program.x.dtype)
    places = colors[pattern.indices] * pattern.shape[0] + row_numbers(pattern)
    entries = program.compile(program.by_columns(seeds, places), "entries")
    longest = int(np.diff(pattern.indptr).max(initial=0))
    return Way(
        "forward",
        f"the columns need {count} colours, and no fewer than {longest} can do: the longest row",
        entries,
        count,
        colors,
        f"{counted(count, 'direction')} pushed instead of {pattern.shape[1]}",
    )


def _reverse(program: Program, pattern: Any, colors: Any = None) -> Way:
    colors = row_coloring(pattern) if colors is None else colors
    count = _count(colors)
    seeds = _seeds(colors, count, program.shape, program.dtype)
    places = colors[row_numbers(pattern)] * pattern.shape[1] + pattern.indices
    entries = program.compile(program.by_rows(seeds, places), "entries")
    longest = int(np.bincount(pattern.indices, minlength=1).max(initial=0))
    return Way(
        "reverse",
        f"the rows need {count} colours, and no fewer than {longest} can do: the longest column",
        entries,
        count,
        colors,
        f"{counted(count, 'direction')} pulled instead of {pattern.shape[0]}",
    )


def _both(program: Program, pattern: Any, colors: Any = None) -> Way:
    row_colors, column_colors = bicoloring(pattern) if colors is None else colors
    of_rows, of_columns = _count(row_colors), _count(column_colors)
    from_rows, lines, numbers = bicoloring_recovery(pattern, row_colors, column_colors)
    m, n = pattern.shape
    places = lines + np.where(from_rows, numbers * n, of_rows * n + numbers * m)  # what is pulled stands first
    entries = program.compile(
        program.by_both(
            _seeds(row_colors, of_rows, program.shape, program.dtype),
            _seeds(column_colors, of_columns, program.x.shape, program.x.dtype),
            places,
        ),
        "entries",
    )
    return Way(
        "bicoloring",
        f"a few rows and columns are long: {of_columns} colours of columns and {of_rows} of rows show every entry",
        entries,
        of_rows + of_columns,
        (row_colors, column_colors),
        f"{counted(of_columns, 'direction')} pushed and {of_rows} pulled instead of {min(pattern.shape)}",
    )


def _dense(program: Program, pattern: Any) -> Way:
    m, n = pattern.shape
    forward = n < m
    rows = row_numbers(pattern)
    places = pattern.indices.astype(np.int64) * m + rows if forward else rows * n + pattern.indices
    entries = program.compile(program.by_all(forward, places), "entries")
    density = pattern.nnz / max(m * n, 1)
    return Way(
        "dense",
        f"with a density of {density:.2g} no structure pays",
        entries,
        min(m, n),
        np.arange(n),
        f"{counted(min(m, n), 'direction')} {'pushed' if forward else 'pulled'}: all there are",
    )


def _star(program: Program, pattern: Any, colors: Any = None) -> Way:
    colors = star_coloring(pattern) if colors is None else colors
    count = _count(colors)
    seeds = _seeds(colors, count, program.x.shape, program.x.dtype)
    rows, of = star_recovery(pattern, colors)
    entries = program.compile(program.by_columns(seeds, of * pattern.shape[0] + rows), "entries")
    return Way(
        "star",
        f"a symmetric matrix: a star colouring with {count} colours gives each pair of entries once",
        entries,
        count,
        colors,
        f"{counted(count, 'direction')} pushed through the gradient instead of {pattern.shape[1]}",
    )


_WAYS: Final[dict[str, Callable[..., Way]]] = {
    "forward": _forward,
    "reverse": _reverse,
    "bicoloring": _both,
    "dense": _dense,
}
_HESSIAN_WAYS: Final[dict[str, Callable[..., Way]]] = {"star": _star, "forward": _forward, "dense": _dense}


def _count(colors: Any) -> int:
    return int(np.max(colors, initial=-1)) + 1


def _seeds(colors: Any, count: int, shape: tuple[int, ...], dtype: Any) -> Any:
    """One direction for each colour: the sum of the unit vectors of that colour."""
    return (np.arange(count)[:, None] == colors).astype(dtype).reshape(count, *shape)


# ----------------------------------------------------------------------------------------------------------- the choice
def _chosen(program: Program, pattern: Any) -> Way:
    """The cheapest way; colourings are only looked for where they could win."""
    m, n = pattern.shape
    dense = min(n, _PULL * m)
    rows = int(np.diff(pattern.indptr).max(initial=0))  # so many colours the columns need at least
    columns = int(np.bincount(pattern.indices, minlength=1).max(initial=0))
    pays = _WORTHWHILE * dense if min(m, n) > 1 else math.inf
    best: tuple[float, Callable[..., Way], Any] = (pays, _dense, None)
    options: list[tuple[float, Callable[..., Way], Callable[[Any], Any], float]] = [
        (1.0 * rows, _forward, column_coloring, 1.0),
        (_PULL * columns, _reverse, row_coloring, _PULL),
    ]
    for least, way, color, price in sorted(options, key=lambda option: option[0]):
        if least < best[0]:
            colors = color(pattern)
            cost = price * _count(colors)
            if cost < best[0]:
                best = (cost, way, colors)
    # No sweep shows more entries than the matrix has rows or columns, so that many sweeps would be needed at least.
    if best[0] > 8 and pattern.nnz / max(m, n) < 0.8 * best[0]:
        row_colors, column_colors = bicoloring(pattern)
        cost = _count(column_colors) + _PULL * _count(row_colors) + 1
        if cost < 0.8 * best[0]:
            best = (cost, _both, (row_colors, column_colors))
    if best[1] is _dense:
        return _warned(_dense(program, pattern), program, pattern)
    return best[1](program, pattern, best[2])


def _chosen_hessian(program: Program, pattern: Any) -> Way:
    colors = star_coloring(pattern)
    if _count(colors) > _WORTHWHILE * pattern.shape[1] > 1:
        return _warned(_dense(program, pattern), program, pattern)
    return _star(program, pattern, colors)


def _warned(way: Way, program: Program, pattern: Any) -> Way:
    m, n = pattern.shape
    warnings.warn(
        f"the {m} x {n} {program.kind} has a density of {pattern.nnz / max(m * n, 1):.2g} and no structure that pays: "
        f"it is computed as a dense matrix; mathdl.{program.kind.lower()} gives that directly",
        DensePattern,
        stacklevel=4,
    )
    return way


def _compare(plan: Plan) -> None:
    """Compare with what the engine pushes in one random direction: a function must do the same in every call."""
    program, rng = plan._program, np.random.default_rng(0)
    v = rng.uniform(0.5, 1.0, program.x.shape).astype(program.x.dtype)
    with np.errstate(all="ignore"):
        y, pushed = map(np.ravel, jvp(program.of_x(program.args), (program.args[program.argnum],), (v,)))
        if plan._factors is None:
            j = plan(*program.args)
            found, scale = j @ v.ravel(), filled(j, np.abs(j.data)) @ v.ravel()
        else:
            s, u, w = plan.factors(*program.args)
            found, scale = s @ v.ravel() + u @ (w @ v.ravel()), abs(s) @ v.ravel() + abs(u) @ (abs(w) @ v.ravel())
    # What cancels is as exact as the largest numbers around it.
    largest = max((np.max(np.abs(a), where=np.isfinite(a), initial=0.0) for a in (scale, pushed, y)), default=0.0)
    tolerance = max(1e-6, np.sqrt(max(np.finfo(a.dtype).eps for a in (found, pushed)))) * (scale + largest)
    finite = np.isfinite(found) & np.isfinite(pushed) & np.isfinite(scale)
    if np.any(np.abs(found - pushed)[finite] > tolerance[finite]):
        raise refuse(
            program.name,
            "called again with the same arguments it gives another derivative",
            "no random numbers, counters or files inside: draw them before, and make them arguments",
        )
