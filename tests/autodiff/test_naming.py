"""Where an error sends its reader: to a file's line, or to the line of a notebook's cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mathdl as md
from mathdl.errors import NotDifferentiable

PROGRAM = "def f(x):\n    y = x + 1\n    return {}\n"


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/somewhere/program.py", r"\(at program\.py:3\)"),
        ("/tmp/ipykernel_41/2718281828.py", r"\(at line 3 of the cell\)"),
    ],
)
@pytest.mark.parametrize("last", ["np.linalg.svd(np.outer(y, y))[1]", "len(memoryview(y)) * y"])
def test_the_line_is_named(last: str, file: str, place: str) -> None:
    names: dict[str, Any] = {"np": np}
    exec(compile(PROGRAM.format(last), file, "exec"), names)
    with pytest.raises(NotDifferentiable, match=place):
        md.jacobian(names["f"])(np.ones(2))
