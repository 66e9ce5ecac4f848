"""Makes the helpers of this folder and the repository's tools importable, whichever import mode pytest uses.

The browser and the built site, which several files of tests look at, are made here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

for folder in (Path(__file__).parent, Path(__file__).parents[2]):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    import browsing

    path = browsing.chromium()
    if path is None:
        browsing.unavailable(
            "Chromium is not installed: install the system's package, for example apt install chromium"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=browsing.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def site() -> Path:
    import browsing

    built = browsing.ROOT / "_build" / "html"
    if not built.is_dir():
        browsing.unavailable("the site is not built: run make book first")
    return built
