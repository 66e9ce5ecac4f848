"""The appendix shows what the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mathdl.autodiff import catalogue

PAGE = Path(__file__).resolve().parents[2] / "book" / "appendix" / "api.md"


def test_the_appendix_lists_what_is_supported():
    """Made anew by ``python -m mathdl.autodiff.catalogue``; another NumPy has other functions."""
    page = PAGE.read_text(encoding="utf-8")
    if f"NumPy {np.__version__} has" not in page:
        pytest.skip(f"the appendix speaks of another NumPy than {np.__version__}")
    assert catalogue.listing() in page


def test_each_function_is_of_one_kind():
    kinds = catalogue.supported()
    names = [name for kind in kinds.values() for name in kind]
    assert sorted(names) == sorted(catalogue.PUBLIC)
    assert "numpy.linalg.svd" in kinds["derivative"]
    assert "numpy.argmax" in kinds["constant"]
    assert "numpy.fft.fft" in kinds["refused"]
    assert "numpy.eye" in kinds["no function of arrays"]
