"""A pattern in Braille shows a dot exactly where there are entries, whatever the scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mathdl.errors import InvalidInput
from mathdl.sparse.drawing import braille

PROPERTY = settings(derandomize=True, deadline=None, max_examples=100, database=None)

# The dots of the Unicode standard are numbered 1 to 8; dot k is bit k - 1.
NUMBERS = [[1, 4], [2, 5], [3, 6], [7, 8]]


def dots(text: str) -> Any:
    """Read a drawing back: True where there is a dot."""
    lines = text.split("\n")
    seen = np.zeros((4 * len(lines), 2 * len(lines[0])), dtype=bool)
    for (i, j), _ in np.ndenumerate(seen):
        seen[i, j] = ord(lines[i // 4][j // 2]) - 0x2800 >> (NUMBERS[i % 4][j % 2] - 1) & 1
    return seen


@PROPERTY
@given(hnp.arrays(bool, st.tuples(st.integers(1, 80), st.integers(1, 80))))
def test_small_patterns_are_drawn_entry_by_entry(pattern: Any) -> None:
    m, n = pattern.shape
    seen = dots(braille(pattern))
    assert seen.shape == (-(-m // 4) * 4, -(-n // 2) * 2)
    np.testing.assert_array_equal(seen[:m, :n], pattern)
    assert not seen[m:].any()
    assert not seen[:, n:].any()


@PROPERTY
@given(hnp.arrays(bool, st.tuples(st.integers(1, 60), st.integers(1, 60))), st.integers(1, 5), st.integers(1, 5))
def test_scaled_patterns_keep_every_entry_and_the_size(pattern: Any, width: int, height: int) -> None:
    text = braille(pattern, width, height)
    lines = text.split("\n")
    assert len(lines) <= height
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= width
    assert dots(text).any() == pattern.any()
    for i, j in np.argwhere(pattern)[:5]:  # an entry alone is one dot, and a dot of the whole drawing
        one = np.zeros_like(pattern)
        one[i, j] = True
        alone = dots(braille(one, width, height))
        assert alone.sum() == 1
        assert dots(text)[alone].all()
    assert dots(text).sum() <= pattern.sum()


def test_a_band_stays_a_line_of_the_largest_size() -> None:
    text = braille(sp.csr_array(sp.diags_array([np.ones(10**5)], offsets=[0])))
    lines = text.split("\n")
    assert (len(lines), len(lines[0])) == (20, 40)
    np.testing.assert_array_equal(dots(text), np.eye(80, dtype=bool))


def test_the_shape_of_long_matrices_can_be_seen() -> None:
    assert [len(line) for line in braille(np.ones((200, 100))).split("\n")] == [20] * 20
    assert [len(line) for line in braille(np.ones((8, 10**5))).split("\n")] == [40] * 2
    assert [len(line) for line in braille(np.ones((10**5, 1))).split("\n")] == [1] * 20


@pytest.mark.parametrize("shape", [(0, 0), (0, 40), (40, 0)])
def test_nothing_is_drawn_of_nothing(shape: tuple[int, int]) -> None:
    assert braille(np.ones(shape)) == ""


def test_one_line_and_no_entries() -> None:
    assert braille(np.ones((1, 4))) == "⠉⠉"
    assert braille(np.ones((4, 1))) == "⡇"
    assert braille(sp.csr_array((4, 4))) == "⠀⠀"


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(InvalidInput, match="width: got 0; wanted at least 1"):
        braille(np.eye(2), width=0)
    with pytest.raises(InvalidInput, match="height: got -1"):
        braille(np.eye(2), height=-1)
    with pytest.raises(InvalidInput, match="pattern: got shape"):
        braille(np.ones(2))
