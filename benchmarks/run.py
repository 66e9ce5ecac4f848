"""Measures every workload with every peer, each in a process of its own, prints the report and writes results.md.

``python -m benchmarks`` is what ``make bench`` calls; ``python -m benchmarks quick`` is short and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]

from benchmarks.memory import peaks
from benchmarks.optimizers import OPTIMIZERS
from benchmarks.peers import PEERS, check, is_installed
from benchmarks.report import Results, Row, render
from benchmarks.solvers import SOLVERS
from benchmarks.sparse_workloads import SPARSE
from benchmarks.steps import STEPS
from benchmarks.timing import FULL, QUICK, Effort, few, import_times, interleaved, timed
from benchmarks.workloads import WORKLOADS as DENSE

__all__ = ["main", "measure"]

WORKLOADS = DENSE | STEPS | OPTIMIZERS | SPARSE | SOLVERS
RESULTS = Path(__file__).with_name("results.md")
PROCESSES = 3  # of each kind: where the system puts a process and its threads decides on a factor of two
# What keeps glibc from giving memory back to the system after each large array; other allocators ignore it.
ALLOCATORS = {
    "defaults": {},
    "kept": {"MALLOC_TRIM_THRESHOLD_": str(2**40), "MALLOC_MMAP_THRESHOLD_": str(2**30)},
}


# ---------------------------------------------------------------------------------------------- in a peer's own process
def measure(work: str, name: str, effort: Effort) -> dict[str, Any]:
    """Build, check and time all ways in which one peer computes one derivative.

    Returns
    -------
    dict
        ``rows``: (way, seconds, seconds to build, sweeps, how); ``notes``: what is not available.
    """
    workload, peer = WORKLOADS[work], PEERS[name]
    case = workload.make()
    truth = case.hand(*case.args)
    calls, built, times, notes = {}, {}, {}, []
    for way, build in peer.ways(case, workload.derivative).items():
        if build is None:
            notes.append(f"{workload.title}: {way} is not available")
            continue
        calls[way], built[way] = timed(build)
        if workload.warm:
            calls[way], again = timed(build)
            built[way] = min(built[way], again)
        result, times[way] = few(calls[way]) if workload.long else (calls[way](), 0.0)
        if way != "floor":
            check(result, truth, peer.tolerance)
    if not workload.long:
        times = interleaved(calls, effort)
    sweeps = {way: (getattr(call, "sweeps", None), getattr(call, "how", "")) for way, call in calls.items()}
    return {"rows": [(way, times[way], built[way], *sweeps[way]) for way in calls], "notes": notes}


def _child(work: str, name: str, quick: bool, allocator: dict[str, str]) -> dict[str, Any]:
    """`measure` in a process of its own; a failure becomes a note."""
    command = [sys.executable, "-m", "benchmarks", *(["quick"] if quick else []), "--only", work, name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | allocator)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"rows": [], "notes": [f"{WORKLOADS[work].title}: {name} failed: {reason}"]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


# -------------------------------------------------------------------------------------------------------- all of them
def _rows(work: str, runs: dict[str, dict[str, Any]]) -> list[Row]:
    """The best run of each way, and the best with the allocator's defaults; ratios to the floor of the same run."""
    times = {key: {way: numbers for way, *numbers in run["rows"]} for key, run in runs.items()}
    plain = [key for key in times if key.startswith("defaults")]
    rows = []
    for way in times[plain[0]]:
        best = min(times, key=lambda key: times[key][way][0])
        defaults = min(times[key][way][0] for key in plain)
        seconds, floor = times[best][way][0], times[best].get("floor")
        built = min(run[way][1] for run in times.values())
        ratio = seconds / floor[0] if floor else None
        rows.append(Row(work, way, seconds, defaults, built, ratio, *times[best][way][2:]))
    return rows


def _collect(quick: bool) -> Results:
    machine = _machine()
    rows: list[Row] = []
    notes = [f"{name} is not installed: skipped" for name, peer in PEERS.items() if not is_installed(peer)]
    kinds = {"defaults": ALLOCATORS["defaults"]} if quick else ALLOCATORS
    allocators = {f"{key} {k}": variables for k in range(1 if quick else PROCESSES) for key, variables in kinds.items()}
    for work, workload in WORKLOADS.items():
        for name in workload.peers:
            if not is_installed(PEERS[name]):
                continue
            print(f"  {workload.title}: {name} ...", file=sys.stderr, flush=True)
            chosen = ["defaults 0"] if workload.long else list(allocators)
            runs = {key: _child(work, name, quick, allocators[key]) for key in chosen}
            notes += dict.fromkeys(note for run in runs.values() for note in run["notes"])
            if all(run["rows"] for run in runs.values()):
                rows += _rows(work, runs)
    print("  imports and memory ...", file=sys.stderr, flush=True)
    codes = ["import numpy", "import numpy, mathdl", "import numpy, mathdl; mathdl.grad"]
    numpy, imported, used = import_times(codes, QUICK if quick else FULL)
    return Results(rows, notes, peaks(), [imported - numpy, used - numpy], machine)


def _machine() -> str:
    blas = "; ".join(
        f"{pool['internal_api']} with {pool['num_threads']} threads, kernel {pool.get('architecture', 'unknown')}"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    )
    return (
        f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"NumPy {np.__version__}; BLAS: {blas}. All use as many threads as they do by default.{_load()}"
    )


def _load() -> str:
    """What else the machine had to do: with much of it, no number here means anything."""
    return f" Load average before: {os.getloadavg()[0]:.1f}." if hasattr(os, "getloadavg") else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("effort", nargs="?", choices=["full", "quick"], default="full")
    parser.add_argument("--only", nargs=2, metavar=("WORK", "PEER"), help="measure one, and print it as JSON")
    options = parser.parse_args()
    quick = options.effort == "quick"
    if options.only:
        work, name = options.only
        print(json.dumps(measure(work, name, QUICK if quick else FULL)))
        return
    text = render(_collect(quick))
    print(text)
    if not quick:
        RESULTS.write_text(text, encoding="utf-8")
