"""What a network is made of, layer by layer, and what its Jacobians would take if they were built.

Explained in the chapter *Backpropagation*.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mathdl.autodiff.trees import leaves
from mathdl.layers.layer import Params

if TYPE_CHECKING:
    from mathdl.network.composition import Network

__all__ = ["Row", "Summary", "summarise"]


class Row(NamedTuple):
    """One layer.

    Attributes
    ----------
    name, kind : str
        What the network calls it, and its class.
    shape : tuple of int
        Of the output, the batch's axis included.
    parameters : int
        How many numbers it learns.
    kept : int
        How many numbers it keeps for the backward pass that no layer before it keeps already, for the whole batch.
    inputs, outputs : int
        Of one example: its Jacobian is an outputs-by-inputs matrix.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    kept: int
    inputs: int
    outputs: int

    @property
    def entries(self) -> int:
        """Of the Jacobians of one example, by the input and by the parameters."""
        return self.outputs * (self.inputs + self.parameters)


@dataclass(frozen=True)
class Summary:
    """A table of layers that prints itself.

    Attributes
    ----------
    rows : tuple of Row
    total : Row
        The network as one layer.

    Examples
    --------
    >>> from mathdl.layers import Affine, ReLU
    >>> from mathdl.network import Network
    >>> network = Network(hidden=Affine(8), gate=ReLU(), out=Affine(2))
    >>> print(network.summary(network.initial((10, 4)), (10, 4)))
    layer  kind    output   parameters  kept  by input      by parameters     memory
    hidden Affine  (10, 8)          40    40     8 × 4             8 × 40     2.8 kB
    gate   ReLU    (10, 8)           0    80     8 × 8                       512.0 B
    out    Affine  (10, 2)          18     0     2 × 8             2 × 18     416.0 B
    whole  Network (10, 2)          58   120     2 × 4             2 × 58     992.0 B
    The Jacobians are those of one example, in 8-byte numbers. A pass backward keeps 120 numbers for the batch
    and builds none of them; a whole Jacobian takes 2 such passes for each example, one for each row.
    """

    rows: tuple[Row, ...]
    total: Row

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "kept", "by input", "by parameters", "memory")
        lines = [head, *map(_cells, (*self.rows, self.total))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = "<<<>>>>>"
        table = "\n".join(
            " ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, left, widths, strict=True)).rstrip()
            for line in lines
        )
        return (
            f"{table}\nThe Jacobians are those of one example, in 8-byte numbers. A pass backward keeps"
            f" {self.total.kept:,} numbers for the batch\nand builds none of them; a whole Jacobian takes"
            f" {self.total.outputs:,} such passes for each example, one for each row."
        )

    __repr__ = __str__


def summarise(network: Network, params: Params, shape: tuple[int, ...]) -> Summary:
    """The table, from one pass forward with some input of that shape."""
    x = network.example(shape)
    seen = {id(array) for array in leaves(params)}  # parameters are there anyway, and not counted as kept
    rows, everything = [], []  # what was kept must live on, or its identity might come again
    before = x
    for name, layer in network.layers.items():
        own = params.get(name, {})
        after, saved = layer.forward(own, before)
        kept = list(_new_arrays(saved.kept, seen))
        everything.append(saved)
        size = sum(np.size(leaf) for leaf in leaves(own))
        rows.append(_row(name, layer, before, after, size, sum(array.size for array in kept)))
        before = after
    return Summary(
        tuple(rows),
        _row("whole", network, x, before, sum(row.parameters for row in rows), sum(row.kept for row in rows)),
    )


def _row(name: str, layer: Any, x: Any, y: Any, parameters: int, kept: int) -> Row:
    inputs = sum(map(np.size, x)) if isinstance(x, tuple) else np.size(x)
    N = max(np.shape(y)[0] if np.ndim(y) > 1 else 1, 1)  # a single vector is one example
    return Row(name, type(layer).__name__, np.shape(y), parameters, kept, inputs // N, np.size(y) // N)


def _new_arrays(kept: Any, seen: set[int]) -> Iterator[Any]:
    """The arrays in what a layer keeps that have not been counted yet."""
    if isinstance(kept, (tuple, list)):
        for part in kept:
            yield from _new_arrays(part, seen)
    elif isinstance(kept, np.ndarray) and id(_owner(kept)) not in seen:
        seen.add(id(_owner(kept)))
        yield kept


def _owner(array: Any) -> Any:
    """The array that has the memory of a view."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _cells(row: Row) -> tuple[str, ...]:
    by_parameters = f"{row.outputs:,} × {row.parameters:,}" if row.parameters else ""
    return (
        row.name,
        row.kind,
        str(row.shape),
        f"{row.parameters:,}",
        f"{row.kept:,}",
        f"{row.outputs:,} × {row.inputs:,}",
        by_parameters,
        _bytes(8 * row.entries),
    )


def _bytes(count: float) -> str:
    """In the unit that leaves one to three digits before the point."""
    power = min(int(math.log10(max(count, 1)) / 3), 4)
    return f"{count / 1000**power:.1f} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"
