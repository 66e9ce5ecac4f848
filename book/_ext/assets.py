"""When all pages are written: one stylesheet with what they use, their fonts cut to size, and nothing else beside them.

Everything is made from the files in ``book/_static`` and from the pages; never from what an earlier build left in the
output, so that building twice gives the same site. ``styles.py`` makes the stylesheet, ``fonts.py`` cuts the fonts,
``offline.py`` writes what lets the book be read without a network.
"""

from __future__ import annotations

import html
import json
import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import offline
from fonts import ALWAYS, Kept
from sphinx.application import Sphinx
from sphinx.util import logging
from styles import write_styles

LOGGER = logging.getLogger(__name__)
TAG = re.compile(
    r"""<!--.*?-->|<(?P<raw>script|style)\b[^>]*>(?P<text>.*?)</(?P=raw)\s*>
    |<(?P<end>/?)(?P<name>[a-zA-Z][\w-]*)(?P<attributes>(?:[^<>"']|"[^"]*"|'[^']*')*)>""",
    re.DOTALL | re.VERBOSE,
)
LICENCE = re.compile(r"(?i)\b(licen[cs]e|copying|notice|ofl)\b")


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def finish(app: Sphinx, error: Exception | None) -> None:
    """Finish the site: styles, fonts, the versions in the addresses, the service worker."""
    if error is not None or app.builder.name != "html":
        return
    out, source = Path(app.outdir), Path(app.srcdir) / "book" / "_static"
    kept = Kept(Path(app.doctreedir).parent / ".assets")
    pages = {path: path.read_text(encoding="utf-8") for path in html_files(out)}
    used = everything_used(pages.values(), source, kept)
    written = write_styles(source, out / "_static", used.names, used.prose, used.maths, kept)
    removed = sweep(out / "_static", pages.values())
    kept.tidy()
    stamp(out, pages)
    offline.write(out, source, app.config.root_doc, str(app.config.project))
    sizes = ", ".join(f"{name} {size / 1024:.1f} KiB" for name, size in written.items())
    LOGGER.info("assets: %s; %d files that no page uses are left out", sizes, removed)


def html_files(out: Path) -> list[Path]:
    """Return the pages of the site."""
    apart = {"_static", "_sources", "reports"}
    return sorted(path for path in out.rglob("*.html") if not apart & set(path.relative_to(out).parts))


# -- what the pages use ----------------------------------------------------------------------------------------------


@dataclass
class Used:
    """What occurs in pages: names of classes and ids, and the characters set in the prose's and the maths' fonts."""

    names: set[str] = field(default_factory=set)
    prose: set[str] = field(default_factory=set)
    maths: set[str] = field(default_factory=set)

    def add(self, other: Used) -> None:
        self.names |= other.names
        self.prose |= other.prose
        self.maths |= other.maths


def scan(page: str) -> Used:
    """Return what one page uses. Text in ``pre`` and ``code`` is set in the reader's own font."""
    used = Used()
    position, inside, depth, setting = 0, "", 0, "prose"
    for tag in TAG.finditer(page):
        text, position = page[position : tag.start()], tag.end()
        if text and setting != "none":
            getattr(used, setting).update(html.unescape(text))
        if tag["raw"] == "script":
            used.names.update(re.findall(r"[\w-]+", tag["text"]))
        if not tag["name"]:
            continue
        attributes = tag["attributes"]
        for double, single in re.findall(r"""\b(?:class|id)=(?:"([^"]*)"|'([^']*)')""", attributes):
            used.names.update(html.unescape(double or single).split())
        if inside:
            if tag["name"] == inside and not attributes.endswith("/"):
                depth += -1 if tag["end"] else 1
            if depth == 0:
                inside, setting = "", "prose"
        elif not tag["end"]:
            for pattern, name in ((r"\bkatex-html\b", "maths"), (r"\bkatex-mathml\b", "none")):
                if re.search(pattern, attributes):
                    inside, depth, setting = tag["name"], 1, name
            if tag["name"] in ("pre", "code"):
                inside, depth, setting = tag["name"], 1, "none"
    return used


def everything_used(pages: Iterable[str], source: Path, kept: Kept) -> Used:
    """Return what all pages use, together with every word of our own scripts, which may be a class they set."""
    total = Used(prose=set(ALWAYS))
    for page in pages:
        key = re.sub(r"\?v=[\w-]+", "", page)

        def make(page: str = page) -> bytes:
            found = scan(page)
            return json.dumps([sorted(found.names), sorted(found.prose), sorted(found.maths)]).encode()

        total.add(Used(*map(set, json.loads(kept.get(b"scan" + key.encode(), make)))))
    for script in source.rglob("*.js"):
        if not script.name.endswith(".min.js"):
            text = script.read_text(encoding="utf-8")
            total.names.update(re.findall(r"[\w-]+", text))
            total.prose.update(character for character in text if character > "~")
    return total


# -- the output as a whole -------------------------------------------------------------------------------------------


def sweep(static: Path, pages: Iterable[str]) -> int:
    """Remove from ``_static`` what no page, style or script names, except the licences of what stays."""
    files = {path.relative_to(static).as_posix(): path for path in static.rglob("*") if path.is_file()}
    named = {unquote(name) for page in pages for name in re.findall(r"_static/([^\"'?#\s<>&)]+)", page)}
    named |= {f"icons/{name}" for name in offline.ICONS}  # the manifest names these
    found, fresh = set(), named & set(files)
    while fresh:
        found |= fresh
        reached = set()
        for name in fresh:
            if name.endswith(".css"):
                text = files[name].read_text(encoding="utf-8")
                for address in re.findall(r"url\([\"']?([^\"')?#]+)", text):
                    reached.add(posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(address))))
            elif name.endswith(".js"):
                text = files[name].read_text(encoding="utf-8")
                words = set(
                    re.findall(r"[\"'`]([\w-]+)[\"'`]", text)
                )  # of "search-text", a script may make the address
                for other in files:
                    whole = posixpath.basename(other)
                    if whole in text or posixpath.splitext(whole)[0] in words:
                        reached.add(other)
        fresh = (reached & set(files)) - found
    for name in files:
        folder = posixpath.dirname(name)
        if folder and LICENCE.search(posixpath.basename(name)) and any(o.startswith(folder + "/") for o in found):
            found.add(name)
    for name in set(files) - found:
        files[name].unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return len(files) - len(found)


def stamp(out: Path, pages: dict[Path, str]) -> None:
    """Give every address that ends in ``?v=…`` the hash of the file that is there now.

    Pages are written before the stylesheet is, and a warm build does not write all of them again; so the version is
    put right in all of them here, at the end.
    """
    hashes: dict[Path, str] = {}
    for path, text in pages.items():

        def versioned(match: re.Match[str], folder: Path = path.parent) -> str:
            # search.js is told its index by a name that stands beside the script, not beside the page
            file = (out / "_static" if match[1] == "data-index" else folder) / unquote(match[2])
            if not file.is_file():
                return match[0]
            if file not in hashes:
                hashes[file] = offline.fingerprint(file.read_bytes())
            return f'{match[1]}="{match[2]}?v={hashes[file]}"'

        stamped = re.sub(r'\b(href|src|data-index)="([^"?#:]+)\?v=[\w-]*"', versioned, text)
        if stamped != text:
            offline.replace(path, stamped.encode())
            pages[path] = stamped
