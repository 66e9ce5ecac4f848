"""The modules that several of these tests share can be imported by name, and those of the tests of autodiff as well."""

from __future__ import annotations

import sys
from pathlib import Path

here = Path(__file__).parent
for folder in (here, here.parent / "autodiff"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
