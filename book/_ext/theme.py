"""What stands around a page's text: contents, outline, neighbours, reading time, and what a page may load.

The templates in ``book/_theme`` show what is worked out here; ``book/_static/course.css`` says how it looks.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from course import is_chapter, part_of
from docutils import nodes
from markupsafe import Markup
from sphinx.application import Sphinx
from sphinx.config import Config

THEME = Path(__file__).resolve().parent.parent / "_theme"
STATIC = THEME.parent / "_static"
OPENING = 6000  # characters
#: Fonts that are asked for before the stylesheet is there, and what in a page's opening asks for them.
OPENING_FONTS = {
    "fonts/source-serif-4-latin-wght-normal.woff2": "",
    "fonts/source-serif-4-latin-wght-italic.woff2": r"<em\b|<i\b",
    "katex/fonts/KaTeX_Main-Regular.woff2": r'class="katex-html"',
    "katex/fonts/KaTeX_Math-Italic.woff2": r"\bmathnormal\b",
    "katex/fonts/KaTeX_AMS-Regular.woff2": r"\bmathbb\b|\bamsrm\b",
    "katex/fonts/KaTeX_SansSerif-Regular.woff2": r"\bmathsf\b",
    "katex/fonts/KaTeX_Main-Bold.woff2": r"\bmathbf\b",
    "katex/fonts/KaTeX_Size1-Regular.woff2": r"\bdelimsizing size1\b|\bop-symbol small-op\b",
    "katex/fonts/KaTeX_Size2-Regular.woff2": r"\bdelimsizing size2\b|\bop-symbol large-op\b",
}
WORDS_A_MINUTE = 200  # of a text that is studied; a formula, a line of code and a figure are counted in seconds
SECONDS = {nodes.math_block: 12, nodes.math: 1, nodes.image: 15}
SECONDS_A_LINE = 2.5


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_theme("course", str(THEME))
    app.connect("config-inited", choose_theme)
    app.connect("html-page-context", furnish, priority=950)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def choose_theme(app: Sphinx, config: Config) -> None:
    """Jupyter Book names its own theme and that theme's options unless it is told otherwise."""
    config.html_theme = "course"
    config.html_theme_options = {}
    config.html_permalinks_icon = "¶"


@functools.cache
def first_script() -> str:
    """Return the script that stands in every page's head, without its comment."""
    text = re.sub(r"/\*.*?\*/", "", (THEME / "first.js").read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


@functools.cache
def policy() -> str:
    """Return what a page may load: its own site's files, and the one inline script above, by its hash."""
    digest = base64.b64encode(hashlib.sha256(first_script().encode()).digest()).decode()
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'sha256-{digest}'",
            "style-src 'self' 'unsafe-inline'",  # KaTeX places its boxes by style attributes
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


@dataclass(frozen=True)
class Entry:
    """A page as the contents name it."""

    name: str
    title: str
    number: str  # the chapter's; empty where there is none
    part: str


@dataclass(frozen=True)
class Part:
    """A part of the contents: "Part 2 · The chain rule" has number 2."""

    number: str
    title: str
    pages: list[Entry]


def parts(app: Sphinx) -> list[Part]:
    """Return the book's contents, as ``_toc.yml`` has them, with the titles and numbers of the pages."""
    env: Any = app.env
    found = []
    for tree in env.external_site_map.root.subtrees:
        match = re.match(r"Part (\d+) · (.+)", tree.caption or "")
        number, title = match.groups() if match else ("", tree.caption or "")
        pages = []
        for name in map(str, tree.items):
            chapter = (env.toc_secnumbers.get(name) or {}).get("") or ()
            heading = "About this part" if name.endswith("/index") else env.titles[name].astext()
            pages.append(Entry(name, heading, ".".join(map(str, chapter)), tree.caption or ""))
        found.append(Part(number, title, pages))
    return found


def furnish(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Hand the templates what they show around this page."""
    pathto, env = context["pathto"], app.env
    book = parts(app)
    order = [page for part in book for page in part.pages]
    names = [page.name for page in order]
    here = names.index(pagename) if pagename in names else None
    root = Entry(env.config.root_doc, "Welcome", "", "")

    def shown(page: Entry) -> dict[str, Any]:
        current = page.name == pagename
        url = "#" if current else pathto(page.name)
        return {"name": page.name, "title": page.title, "number": page.number, "url": url, "current": current}

    def neighbour(page: Entry) -> dict[str, Any]:
        opens = page.name.endswith("/index") and page is not root
        return shown(page) | ({"title": page.part} if opens else {})

    before = root if here == 0 else order[here - 1] if here else None
    after = (
        order[0] if pagename == root.name else order[here + 1] if here is not None and here + 1 < len(order) else None
    )
    context["contents"] = [
        {
            "number": part.number,
            "title": part.title,
            "pages": [shown(page) for page in part.pages],
            "open": any(page.name == pagename for page in part.pages) or (here is None and bool(part.number)),
        }
        for part in book
    ]
    context["before"] = before and neighbour(before)
    context["after"] = after and neighbour(after)
    context["page_class"] = page_class(pagename)
    context["outline"] = outline(context)
    # the layout has the viewport, further up
    context["metatags"] = re.sub(r'<meta name="viewport"[^>]*>\n?', "", context.get("metatags") or "")
    context["fonts"] = " ".join(opening_fonts(context.get("body") or ""))
    context["policy"] = Markup(policy())  # its quotes are what it is about
    context["first_script"] = Markup(first_script())
    context["static"] = lambda name: f"{pathto('_static/' + name, True)}?v={fingerprint(name)}"
    context["page_scripts"] = page_scripts(context.get("body") or "")
    if here is not None and doctree is not None and order[here].number:
        exercises = len(re.findall(r'<div class="exercise admonition"', context["body"]))
        time = f"{reading_time(doctree)} minutes to read, {exercises} exercises"
        line = f'<p class="chapter-line">{order[here].part} · {time}</p>'
        context["body"] = context["body"].replace("</h1>", "</h1>\n" + line, 1)


def page_class(pagename: str) -> str:
    """Name a page's kind for the stylesheet: ``chapter``, ``opener``, ``home``, or ``plain``."""
    if is_chapter(pagename):
        return "chapter"
    if part_of(pagename):
        return "opener"
    return "home" if pagename.rpartition("/")[2] == "index" else "plain"


def page_scripts(body: str) -> list[str]:
    """Return the scripts that this page has a use for."""
    scripts = ["course.js", "search.js", "offline.js"]
    if 'class="highlight"' in body:
        scripts.append("copy.js")
    if re.search(r'<figure class="[^"]*\bmoving\b', body):
        scripts.append("moving.js")
    return scripts


def opening_fonts(body: str) -> list[str]:
    """Return the fonts that the page needs at once: those of the text that is laid out at first, some screens long."""
    shown, end = 0, 0
    for text in re.finditer(r">([^<]+)", body):
        shown, end = shown + len(text[1].strip()), text.end()
        if shown > OPENING:
            break
    opening = body[:end]
    return [font for font, sign in OPENING_FONTS.items() if re.search(sign, opening)]


def outline(context: dict[str, Any]) -> Markup:
    """Return the page's sections as a list of links, two levels deep; empty where there are fewer than two."""
    if not context.get("display_toc"):
        return Markup("")
    tree = BeautifulSoup(context["toc"], "html.parser")
    inner = tree.select_one("ul ul")
    if inner is None or len(inner.find_all("li", recursive=False)) < 2:
        return Markup("")
    for deep in inner.select("ul ul"):
        deep.decompose()
    for link in inner.select("a"):
        link.attrs = {"href": link["href"]}
        first = link.find(string=True)
        if first:
            first.replace_with(re.sub(r"^\d+(\.\d+)*\.\s+", "", first))  # the order says it
    for item in inner.select("li"):
        item.attrs = {}
    for item in inner.select("ul"):
        item.attrs = {}
    inner.attrs = {}
    return Markup(str(inner))


def reading_time(doctree: nodes.document) -> int:
    """Estimate the minutes that a page takes to read, without its folded solutions."""
    words, seconds = 0, 0.0

    def look(node: nodes.Node) -> None:
        nonlocal words, seconds
        if isinstance(node, nodes.Element):
            if "dropdown" in node.get("classes", []) or "hide-input" in str(node.get("cell_metadata", "")):
                return
            if isinstance(node, nodes.literal_block):
                seconds += SECONDS_A_LINE * (node.astext().count("\n") + 1)
                return
            for kind, cost in SECONDS.items():
                if type(node) is kind:
                    seconds += cost
                    return
            for child in node.children:
                look(child)
        elif isinstance(node, nodes.Text):
            words += len(node.astext().split())

    look(doctree)
    return max(1, round(words / WORDS_A_MINUTE + seconds / 60))


def fingerprint(name: str) -> str:
    """Return a short hash of a file of ``_static``, so that a changed file has a new address."""
    file = STATIC / name
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10] if file.exists() else "0"
