"""nbval compares every stored output; pictures are not stored, so they are not compared.

Chapters run here in the same environment as in the build (one BLAS thread, a fixed hash seed).
"""

from __future__ import annotations

import os
from typing import Any

from tools.settings import ENVIRONMENT

os.environ.update(ENVIRONMENT)


def pytest_collectstart(collector: Any) -> None:
    """Add SVG to the kinds of output that nbval leaves out; PNG is there already."""
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("image/svg+xml",)
