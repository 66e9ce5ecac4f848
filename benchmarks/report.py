"""The goals of the derivative engine, and the tables that say which of them hold.

Times go in, text comes out; a goal without its measurement is neither held nor missed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from benchmarks.memory import Peak
from benchmarks.optimizers import OPTIMIZERS
from benchmarks.solvers import SOLVERS
from benchmarks.sparse_workloads import SPARSE
from benchmarks.steps import STEPS
from benchmarks.workloads import WORKLOADS

__all__ = ["GOALS", "Goal", "Results", "Row", "render"]


class Row(NamedTuple):
    work: str
    who: str
    seconds: float  # the better of: the allocator's defaults, its trimming off
    defaults: float  # with the allocator's defaults
    built: float  # seconds until it could be called
    ratio: float | None = None  # to the floor, measured in the same process
    sweeps: int | None = None  # in how many directions a sparse derivative is pushed, pulled or differenced
    how: str = ""


class Results(NamedTuple):
    rows: list[Row]
    notes: list[str]  # what is missing, and why
    peaks: list[Peak]
    imports: list[float]  # seconds over `import numpy`: of `import mathdl`, of using md.grad
    machine: str

    def best(self, work: str, who: str, number: str = "seconds") -> float | None:
        """The least of the rows of a workload whose name begins so."""
        found = [getattr(row, number) for row in self.rows if row.work == work and row.who.startswith(who)]
        return min(found, default=None)

    def units(self, what: str) -> float | None:
        return next((p.bytes / p.units for p in self.peaks if p.what == what), None)


Number = Callable[[Results], float | None]
COMPILED, TRACED = "mathdl, compiled", "mathdl, traced"


class Goal(NamedTuple):
    work: str
    text: str
    number: Number
    limit: float
    unit: str = "×"


def _over(work: str, ours: str, theirs: str, number: str = "seconds") -> Number:
    def ratio(results: Results) -> float | None:
        one, two = results.best(work, ours, number), results.best(work, theirs, number)
        return None if one is None or two is None else one / two

    return ratio


def _floor(work: str, ours: str) -> Number:
    return lambda results: results.best(work, ours, "ratio")


def _growth(results: Results) -> float | None:
    few, many = (results.units(f"vjp of f: Rⁿ→Rⁿ⁻¹, n = {n:,}") for n in (10**5, 10**6))
    return None if few is None or many is None else many / few


PLANE, COMPOSITE, MLP, TRAINING, COURSE = (workload.title for workload in WORKLOADS.values())
TRIDIAGONAL = "tridiagonal Jacobian, planned and evaluated, n = 1,000,000"


def _brusselator(work: str, part: Fraction) -> Iterator[Goal]:
    title, auto, forward = SPARSE[work].title, "mathdl, auto", "mathdl, forward"
    said = str(part) if part.numerator == 1 else str(float(part))
    yield Goal(title, f"evaluation ≤ {said} × asdex, jit", _over(work, auto, "asdex"), float(part))
    text = "set-up ≤ 1/40 × asdex's detection, colouring and compilation"
    yield Goal(title, text, _over(work, auto, "asdex", "built"), 1 / 40)
    yield Goal(title, "evaluation ≤ 1/8 × SciPy, 2-point", _over(work, auto, "SciPy, 2-point"), 1 / 8)
    yield Goal(title, "the same when coloured, forward", _over(work, forward, "SciPy, 2-point"), 1 / 8)
    yield Goal(title, "4 colours", lambda results: results.best(work, forward, "sweeps"), 4, " colours")


GOALS = [
    Goal(PLANE, "compiled ≤ 0.6 × SymPy's lambdify", _over("plane", COMPILED, "SymPy"), 0.6),
    Goal(PLANE, "traced ≤ 45 µs", lambda r: _scaled(r.best("plane", TRACED), 1e6), 45, " µs"),
    Goal(PLANE, "traced ≤ 1/5 × autograd", _over("plane", TRACED, "autograd"), 1 / 5),
    Goal(
        COMPOSITE,
        "build ≤ 1/100 × SymPy's jacobian + lambdify(cse)",
        _over("composite", COMPILED, "SymPy, lambdify(cse)", "built"),
        1 / 100,
    ),
    Goal(COMPOSITE, "evaluation ≤ 1/2 × the same", _over("composite", COMPILED, "SymPy, lambdify(cse)"), 1 / 2),
    Goal(MLP, "compiled ≤ 1.4 × the bare matmuls", _floor("mlp", COMPILED), 1.4),
    Goal(MLP, "compiled ≤ 0.8 × jax.jacfwd, jit", _over("mlp", COMPILED, "jax.jacfwd"), 0.8),
    Goal(MLP, "traced ≤ 1.8 × the bare matmuls", _floor("mlp", TRACED), 1.8),
    Goal(MLP, "traced ≤ 1/15 × autograd", _over("mlp", TRACED, "autograd"), 1 / 15),
    Goal(TRAINING, "compiled ≤ 1.2 × the bare matmuls", _floor("training", COMPILED), 1.2),
    Goal(TRAINING, "traced ≤ 1.4 × the bare matmuls", _floor("training", TRACED), 1.4),
    Goal(TRAINING, "compiled ≤ jax, jit", _over("training", COMPILED, "jax"), 1),
    Goal(TRAINING, "traced ≤ jax, jit", _over("training", TRACED, "jax"), 1),
    Goal(COURSE, "compiled ≤ 0.25 × jax, jit", _over("course", COMPILED, "jax"), 0.25),
    Goal(COURSE, "traced ≤ 0.85 × jax, jit", _over("course", TRACED, "jax"), 0.85),
    *(
        Goal(STEPS[work].title, "fit ≤ 1.3 × the loop written by hand", _floor(work, "mathdl.network.fit"), 1.3)
        for work in ("fit small", "fit large")
    ),
    Goal(
        OPTIMIZERS["adam small"].title,
        "a step in place ≤ 1/10 × torch, fused",
        _over("adam small", "mathdl, in place", "torch, fused"),
        1 / 10,
    ),
    Goal(
        OPTIMIZERS["Adam large"].title,
        "a step in place ≤ 4 ms",
        lambda r: _scaled(r.best("Adam large", "mathdl, in place"), 1e3),
        4,
        " ms",
    ),
    *(
        Goal(workload.title, "a step in place ≤ 1.5 × its bare passes", _floor(work, "mathdl, in place"), 1.5)
        for work, workload in OPTIMIZERS.items()
        if work != "adam small"
    ),
    *_brusselator("bruss3", Fraction(1, 7)),
    *_brusselator("bruss4", Fraction(1, 6)),
    *_brusselator("bruss5", Fraction(65, 100)),
    Goal("`import mathdl`", "≤ 20 ms over `import numpy`", lambda r: _scaled(r.imports[0], 1e3), 20, " ms"),
    *(
        Goal(
            "memory",
            f"training gradient, {way}: peak ≤ 1.2 × stored activations + gradients",
            lambda r, way=way: r.units(f"training gradient, {way}"),  # type: ignore[misc]
            1.2,
        )
        for way in ("compiled", "traced")
    ),
    Goal("memory", "a vjp at n = 10⁶ needs as many vectors as at n = 10⁵", _growth, 1.05),
    Goal("memory", "hvp holds ≤ 60 vectors, and no Hessian", lambda r: r.units("hvp, n = 100,000"), 60, " vectors"),
    *(
        Goal("memory", f"{what}: ≤ 10 × its entries", lambda r, what=what: r.units(what), 10)  # type: ignore[misc]
        for what in (TRIDIAGONAL, f"{TRIDIAGONAL}: its process")
    ),
]


def _scaled(number: float | None, by: float) -> float | None:
    return None if number is None else number * by


def verdict(goal: Goal, results: Results) -> tuple[str, str]:
    """What was measured, and whether the goal holds."""
    number = goal.number(results)
    if number is None:
        return "", "not measured"
    return f"{number:.3g}{goal.unit}", "holds" if number <= goal.limit else "**does not hold**"


# --------------------------------------------------------------------------------------------------------------- tables
def duration(seconds: float) -> str:
    unit, size = next((u for u in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)) if seconds >= u[1]), ("ns", 1e-9))
    return f"{seconds / size:.3g} {unit}"


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    lines = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        yield "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"


def _times(results: Results) -> Iterator[str]:
    for key, workload in (WORKLOADS | STEPS | OPTIMIZERS | SPARSE | SOLVERS).items():
        rows = [row for row in results.rows if row.work == key]
        floor = min((row.seconds for row in rows if row.who == "floor"), default=None)
        head = ["who", "time", f"÷ {workload.floor}", "allocator's defaults", "built in"]
        lines = []
        for row in sorted(rows, key=lambda row: row.seconds):
            ratio = row.ratio or (row.seconds / floor if floor else None)
            name = f"({workload.floor})" if row.who == "floor" else row.who
            if row.who == "by hand" and workload.floor == "by hand":
                continue
            lines.append(
                [
                    name, duration(row.seconds), f"{ratio:.2f}" if ratio else "", duration(row.defaults),
                    duration(row.built) if row.built > 1e-3 else "",
                ]
            )  # fmt: skip
            if key in SPARSE:
                lines[-1].append("" if row.sweeps is None else f"{row.sweeps} ({row.how})")
        yield from ("", f"### {workload.title}", "")
        yield from _table([*head, "sweeps"] if key in SPARSE else head, lines)


def render(results: Results) -> str:
    """The whole report, in Markdown."""
    judged = [(goal.work, goal.text, *verdict(goal, results)) for goal in GOALS]
    held = sum(line[-1] == "holds" for line in judged)
    measured = sum(line[-1] != "not measured" for line in judged)
    return "\n".join(
        (
            "# Benchmarks", "", "Written by `make bench`; in float64, each result checked before it was timed.", "",
            results.machine, "",
            "## Goals", "", f"{held} of {len(GOALS)} goals hold; {measured} could be measured.", "",
            *_table(("work", "goal", "measured", ""), judged), "",
            "## Times", "",
            "Medians over rounds that take turns. Each peer runs in processes of its own, some with the allocator's "
            "defaults and as many with",
            "its trimming off, and the best is quoted; mathdl, NumPy by hand and the floor "
            "share a process, and their ratios are taken in it.",
            "Sparse: mathdl and asdex find the pattern, sparsejac and SciPy are given it; all are built twice, and the "
            "quicker counts.",
            "A solver, and a training, runs once to five times, in one process.",
            *_times(results), "",
            "## Import", "",
            *_table(
                ("over `import numpy`", "time"),
                list(zip(("`import mathdl`", "`mathdl.grad` ready"), map(duration, results.imports), strict=True)),
            ), "",
            "## Memory at the peak", "",
            *_table(
                ("what", "bytes", "as a multiple of"),
                [(p.what, f"{p.bytes:,}", f"{p.bytes / p.units:.2f} {p.unit}") for p in results.peaks],
            ), "",
            *(["## Missing", "", *(f"* {note}" for note in results.notes), ""] if results.notes else []),
        )
    )  # fmt: skip
