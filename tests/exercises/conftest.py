"""Makes verdicts.py importable by name, and its assertions as readable as those of a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if (folder := str(Path(__file__).parent)) not in sys.path:
    sys.path.insert(0, folder)

pytest.register_assert_rewrite("verdicts")
