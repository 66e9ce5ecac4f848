"""Makes the helpers of this folder and the repository's tools importable, whichever import mode pytest uses."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[2]):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of a page go to one process of several, since each process opens a page once for all of its tests."""
    for item in items:
        page = getattr(item, "callspec", None) and item.callspec.params.get("page")  # type: ignore[attr-defined]
        if page:
            item.add_marker(pytest.mark.xdist_group(page))
