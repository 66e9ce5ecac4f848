"""Lets the book be read without a network and put among a device's programs: ``sw.js`` and the web manifest.

``book/_theme/sw.js`` says how files are kept; here it gets the list of files, each with a hash of its content.
``book/_static/offline.js`` starts it from a page.
"""

from __future__ import annotations

import hashlib
import html
import json
import posixpath
import re
from pathlib import Path
from urllib.parse import unquote

import resvg_py

WORKER = Path(__file__).resolve().parent.parent / "_theme" / "sw.js"
APART = {"_sources", "reports", "_downloads"}
TEXTS = {".html", ".css", ".js", ".json", ".woff2"}  # kept wherever they are; pictures only where a page shows them
PICTURES = {".svg", ".png", ".jpg", ".jpeg", ".webp", ".gif"}
ICONS = {"icon-192.png": (192, False), "icon-512.png": (512, False), "icon-maskable-512.png": (512, True)}


def write(out: Path, static: Path, root: str, title: str) -> None:
    """Write the icons, the manifest and the service worker of the site in ``out``; ``root`` names its first page."""
    icons = write_icons(out / "_static" / "icons", static / "favicon.svg")
    manifest = {
        "name": title,
        "short_name": title if len(title) <= 12 else "Jacobians",
        "start_url": f"{root}.html",
        "scope": "./",
        "display": "minimal-ui",
        "background_color": paper(static / "course.css"),
        "theme_color": paper(static / "course.css"),
        "icons": icons,
    }
    replace(out / "manifest.webmanifest", json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n")
    replace(out / "sw.js", worker(out, f"{root}.html").encode())


def worker(out: Path, home: str) -> str:
    """Return the service worker for the site in ``out``."""
    files = kept_files(out)
    version = fingerprint(json.dumps(files, sort_keys=True).encode() + WORKER.read_bytes())
    return (
        WORKER.read_text(encoding="utf-8")
        .replace('"VERSION"', json.dumps(version))
        .replace('"HOME"', json.dumps(home))
        .replace('["SHELL"]', json.dumps(shell(out, home, files), ensure_ascii=False))
        .replace('{ FILES: "" }', json.dumps(files, ensure_ascii=False, separators=(",", ":")))
    )


def kept_files(out: Path) -> dict[str, str]:
    """Return what is kept for reading without a network, with the hash of each file: pages first, pictures last."""
    found = []
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        name = path.relative_to(out).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and not APART & set(name.split("/")) and name not in ("sw.js", "index.html"):
            found.append(name)  # the root's index.html only leads on, and is written after this
    texts = [name for name in found if posixpath.splitext(name)[1] in TEXTS]
    shown = shown_pictures(out, texts)
    order = sorted(texts, key=lambda name: (not name.endswith(".html"), name))
    order += [name for name in found if posixpath.splitext(name)[1] in PICTURES and name in shown]
    return {name: fingerprint((out / name).read_bytes()) for name in order}


def shown_pictures(out: Path, names: list[str]) -> set[str]:
    """Return the pictures that pages and styles show, and none that only other sites are told of."""
    found = set()
    for name in names:
        if name.endswith(".html"):
            text = (out / name).read_text(encoding="utf-8")
            addresses = re.findall(r"""<(?:img|image|object|link)\b[^>]*?\b(?:src|href|data)=["']([^"']+)["']""", text)
            for several in re.findall(r"""\bsrcset=["']([^"']+)["']""", text):
                addresses += [part.split()[0] for part in several.split(",") if part.strip()]
        elif name.endswith(".css"):
            addresses = re.findall(r"url\([\"']?([^\"')]+)", (out / name).read_text(encoding="utf-8"))
        else:
            continue
        for address in addresses:
            path = unquote(re.split(r"[?#]", html.unescape(address))[0])
            found.add(posixpath.normpath(posixpath.join(posixpath.dirname(name), path)))
    return found


def shell(out: Path, home: str, files: dict[str, str]) -> list[str]:
    """Return what is fetched first: the contents, the search page, and what these two and their styles need."""
    pages = [name for name in (home, "search.html") if name in files]
    scripts = set()
    for name in pages:
        for address in re.findall(r"""<script\b[^>]*\bsrc=["']([^"'?#]+)""", (out / name).read_text(encoding="utf-8")):
            scripts.add(posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(address))))
    return pages + [name for name in files if name.endswith((".css", ".woff2")) or name in scripts]


def write_icons(folder: Path, drawing: Path) -> list[dict[str, str]]:
    """Draw the icons from the site's favicon; return their entries in the manifest."""
    svg = drawing.read_text(encoding="utf-8")
    entries = []
    for name, (size, maskable) in ICONS.items():
        picture = resvg_py.svg_to_bytes(svg_string=bleeding(svg) if maskable else svg, width=size, height=size)
        replace(folder / name, bytes(picture))
        purpose = "maskable" if maskable else "any"
        entries.append(
            {"src": f"_static/icons/{name}", "sizes": f"{size}x{size}", "type": "image/png", "purpose": purpose}
        )
    return entries


def bleeding(svg: str) -> str:
    """Return the icon on a ground without corners, small enough for a device to cut any shape out of it."""
    ground = re.search(r"fill=\"(#[0-9a-fA-F]{3,6})\"", svg)
    inner = svg.replace("<svg ", '<svg x="3.2" y="3.2" width="25.6" height="25.6" ', 1)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" fill="{ground[1] if ground else "#fff"}"/>{inner}</svg>'
    )


def paper(stylesheet: Path) -> str:
    """Return the light paper's colour, as the stylesheet names it."""
    match = re.search(r"--paper:\s*(?:light-dark\()?\s*(#[0-9a-fA-F]+)", stylesheet.read_text(encoding="utf-8"))
    return match[1] if match else "#ffffff"


def fingerprint(content: bytes) -> str:
    """Return the hash by which addresses and the service worker know a file: ten hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:10]


def replace(path: Path, content: bytes) -> None:
    """Write a file unless it already holds just this."""
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
