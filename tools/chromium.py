"""The system's Chromium, which opens pages for the tests and for `make site-report`: where it is, how it is started."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: Nothing but the page: no graphics card, no updates, no calls home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """Return the path of Chromium: what CHROME_PATH says, else the first that is on PATH; ``None`` without one."""
    return os.environ.get("CHROME_PATH") or next((path for name in NAMES if (path := shutil.which(name))), None)
