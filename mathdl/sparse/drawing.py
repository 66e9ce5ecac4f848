"""A sparsity pattern as a few lines of text: every character of Braille holds two by four dots.

It is what a plan shows of itself in a console or a notebook. Explained in the chapter *Structure and sparsity*.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from mathdl.errors import InvalidInput
from mathdl.sparse.coloring import as_pattern

__all__ = ["braille"]

# The bit of each dot in a character, row by row; the first character, U+2800, has no dots.
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.uint8)
_BLANK = 0x2800
_AT_LEAST = 16  # dots that a short side keeps: ten rows of a million columns stay ten rows


def braille(pattern: ArrayLike | Any, width: int = 40, height: int = 20) -> str:
    """Draw a pattern in Braille, one dot an entry, or scaled down so that a dot means "some entry here".

    Parameters
    ----------
    pattern : sparse matrix or array_like, shape (m, n)
        Its stored entries (of an array, those that are not zero).
    width, height : int
        At most so many characters a line, and so many lines; a character is two dots wide and four high.

    Returns
    -------
    str
        Lines of one length; the empty string if the matrix has no rows or no columns.

    Raises
    ------
    InvalidInput
        If the pattern is not two-dimensional, or ``width`` or ``height`` is less than 1.

    Examples
    --------
    >>> print(braille(np.eye(8)))
    ⠑⢄⠀⠀
    ⠀⠀⠑⢄
    """
    for name, value in (("width", width), ("height", height)):
        if value < 1:
            raise InvalidInput(name, str(value), "at least 1")
    rows = as_pattern(pattern)
    m, n = rows.shape
    if not m or not n:
        return ""
    scale = max(m / (4 * height), n / (2 * width), 1)
    high, wide = (
        min(max(int(np.ceil(size / scale)), min(size, _AT_LEAST)), most)
        for size, most in ((m, 4 * height), (n, 2 * width))
    )
    dots = np.zeros((-(-high // 4), 4, -(-wide // 2), 2), dtype=bool)
    i = np.repeat(np.arange(m) * high // m, np.diff(rows.indptr))
    j = rows.indices.astype(np.int64) * wide // n
    dots[i // 4, i % 4, j // 2, j % 2] = True
    characters = _BLANK + np.einsum("ArBc,rc->AB", dots, _BITS, dtype=np.int64, casting="unsafe")
    return "\n".join("".join(map(chr, line)) for line in characters.tolist())
