"""What the site checks are made of: a server, a browser, and functions that list what is wrong with a page.

The functions know nothing of the book, so that ``test_site.py`` can try each one on a small page planted to be wrong.
"""

from __future__ import annotations

import functools
import os
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from chapters import ROOT

from tools.chromium import FLAGS, chromium
from tools.serving import serve

__all__ = ["FLAGS", "chromium", "serve"]  # what a file of page tests takes from here

AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"


def unavailable(reason: str) -> NoReturn:
    """Skip the test by name; where the variable ``CI`` is set, fail it."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{reason} (and CI is set, so this is not skipped)")
    pytest.skip(reason)


# -- in the browser --------------------------------------------------------------------------------------------------


@dataclass
class Visit:
    """A page that was opened, and what happened meanwhile."""

    page: Any
    errors: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


@contextmanager
def visit(
    browser: Any,
    url: str,
    *,
    width: int = 1280,
    height: int = 900,
    theme: str = "light",
    remembered: bool = False,
    touch: bool = False,
    javascript: bool = True,
) -> Iterator[Visit]:
    """Open a page as a stranger would; requests to another host are recorded and refused.

    ``theme`` is what the reader's system prefers, or, if ``remembered``, what the reader chose before on this site
    while the system prefers the opposite. With ``touch`` it is a telephone, without a pointer that hovers.
    """
    opposite = {"light": "dark", "dark": "light"}[theme]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        reduced_motion="reduce",
        color_scheme=opposite if remembered else theme,
        java_script_enabled=javascript,
        has_touch=touch,
        is_mobile=touch,
        service_workers="block",  # it would fetch the whole book in each of these windows; test_offline.py tries it
    )
    context.set_default_timeout(20_000)
    if remembered:
        context.add_init_script(f"localStorage.setItem('theme', '{theme}');")
    home = urlsplit(url).netloc
    page = context.new_page()
    seen = Visit(page)

    requests: list[Any] = []

    def on_request(request: Any) -> None:
        requests.append(request)
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != home:
            seen.foreign.append(request.url)

    def on_failed(request: Any) -> None:
        refused = request.url in seen.foreign or "ERR_ABORTED" in str(request.failure)
        switched_off = not javascript and "csp" in str(request.failure)  # a script, where scripts are off
        if not refused and not switched_off:
            seen.failed.append(f"{request.url}: {request.failure}")

    page.on("request", on_request)
    page.on("requestfailed", on_failed)
    page.on("response", lambda r: seen.failed.append(f"{r.url}: {r.status}") if r.status >= 400 else None)
    page.on("console", lambda m: seen.errors.append(f"console: {m.text}") if m.type == "error" else None)
    page.on("pageerror", lambda e: seen.errors.append(f"uncaught: {e}"))
    page.on("websocket", lambda w: seen.foreign.append(w.url))
    page.route(lambda address: urlsplit(address).netloc != home and address.startswith("http"), lambda r: r.abort())
    try:
        page.goto(url, wait_until="load")
        if javascript:
            _settle(page)
            for request in requests:
                request.response()
        yield seen
    finally:
        context.close()


def _settle(page: Any) -> None:
    """Wait for what scripts do after loading: fonts, two frames, and a page that sends its readers on."""
    for _ in range(3):
        try:
            page.evaluate("""async () => {
                await document.fonts.ready;
                for (let k = 0; k < 2; k++) await new Promise(requestAnimationFrame);
            }""")
            return
        except Exception as error:
            if "navigation" not in str(error):
                raise
            page.wait_for_load_state("load")


#: The rules of axe-core that look at colours; the others find the same in a light and in a dark page.
COLOURS = ["color-contrast", "link-in-text-block"]


def lay_out(page: Any) -> None:
    """Lay out the sections far from the window too, which a browser leaves until the reader comes near."""
    page.evaluate("""() => {
        const style = document.createElement('style');
        style.textContent = '* { content-visibility: visible !important; }';
        document.head.append(style);
        return document.body.offsetHeight;
    }""")


#: Stands a box with a formula's source in the place of its hundred glyphs, and puts them back afterwards: axe-core
#: looks at no more of a formula than that (the glyphs are hidden from it, the MathML has neither controls nor colours
#: of its own), but it takes every node into its tree, and on a page of formulas that is most of its time.
HOLLOW = """() => {
    const formulas = [...document.querySelectorAll('.katex')].map(formula => {
        const glyphs = formula.querySelector('.katex-html') || formula, box = glyphs.getBoundingClientRect();
        return {formula, inside: [...formula.childNodes], shown: formula.checkVisibility(), height: box.height,
            width: Math.max(box.width, glyphs.scrollWidth), block: getComputedStyle(glyphs).display === 'block'};
    });
    for (const {formula, shown, width, height, block} of formulas) {
        const box = document.createElement('span');
        box.textContent = formula.querySelector('annotation')?.textContent || formula.textContent;
        if (shown) box.style.cssText = `display: ${block ? 'block' : 'inline-block'}; overflow: hidden; `
            + `width: ${width}px; height: ${height}px; vertical-align: bottom; white-space: nowrap;`;
        formula.replaceChildren(box);
    }
    return () => formulas.forEach(({formula, inside}) => formula.replaceChildren(...inside));
}"""


def accessibility(
    page: Any, only: list[str] | None = None, *, besides: list[str] | None = None, hollow: bool = True
) -> list[str]:
    """What axe-core calls serious or critical, one line for each kind, with the first places.

    ``only`` are the rules to look at, ``besides`` those that axe-core does not look at by itself.
    """
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(AXE.read_text(encoding="utf-8"))
    violations = page.evaluate(
        """async ([only, besides, hollow]) => {
        const fill = hollow ? ("""
        + HOLLOW
        + """)() : () => 0;
        const result = await axe.run(document, {resultTypes: ['violations'], preload: false,
            ...(only ? {runOnly: {type: 'rule', values: only}} : {}),
            rules: Object.fromEntries(besides.map(rule => [rule, {enabled: true}]))});
        fill();
        return result.violations.filter(v => ['serious', 'critical'].includes(v.impact)).map(v => ({
            id: v.id, impact: v.impact, help: v.help, count: v.nodes.length,
            places: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + ' -- ' + n.failureSummary.split('\\n')[1])}));
    }""",
        [only, besides or [], hollow],
    )
    return [
        f"{v['id']} ({v['impact']}, {v['count']} places): {v['help']}\n    " + "\n    ".join(v["places"])
        for v in violations
    ]


def scrolling(page: Any) -> list[str]:
    """The formulas and the code in sight that have to be scrolled sideways: none should on a wide screen."""
    return list(
        page.evaluate("""() =>
        [...document.querySelectorAll('article :is(div.math, div.math .katex-html, pre)')]
            .filter(box => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1)
            .map(box => `${box.scrollWidth - box.clientWidth} pixels too wide: ${box.textContent.slice(0, 80)}`)
        """)
    )


#: Every element but what is inside a formula or a drawing, whose outer boxes say enough.
ELEMENTS = "document.body.querySelectorAll('*:not(:is(.base, .katex-mathml, svg, math) *)')"


def overflow(page: Any) -> list[str]:
    """What reaches beyond the window's left or right edge and cannot be scrolled to inside a box of its own."""
    return list(
        page.evaluate(
            """() => {
        const elements = """
            + ELEMENTS
            + """;
        const width = document.documentElement.clientWidth, found = [];
        const scrolling = document.scrollingElement.scrollWidth;
        if (scrolling > width) found.push(`the page is ${scrolling} pixels wide in a window of ${width}`);
        const boxed = element => {   // inside a box that scrolls, or that is there for screen readers only
            for (let e = element.parentElement; e && e !== document.body; e = e.parentElement) {
                const style = getComputedStyle(e), box = e.getBoundingClientRect();
                const scrolls = ['auto', 'scroll'].includes(style.overflowX);
                if (scrolls && box.right <= width + 1 && box.left >= -1) return true;
                if (style.clip !== 'auto' || style.clipPath.startsWith('inset(50%')) return true;
                if (style.position === 'fixed' && (box.right <= 1 || box.left >= width)) return true;
            }
            return false;
        };
        for (const element of elements) {
            if (element.closest('math, .skip-link')) continue;
            if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
            const box = element.getBoundingClientRect();
            if (box.width < 1 || box.height < 1 || getComputedStyle(element).clip !== 'auto') continue;
            const right = box.right > width + 1 && box.left < width, left = box.left < -1 && box.right > 1;
            if ((right || left) && !boxed(element))
                found.push(`${element.outerHTML.slice(0, 120)} reaches from ${Math.round(box.left)} to `
                    + `${Math.round(box.right)} in a window of ${width}`);
            if (found.length > 5) break;
        }
        return found;
    }"""
        )
    )


RAW_TEX = re.compile(r"\$\$|\\begin\{|\\\(|\\\[|\\[a-zA-Z]{2,}|\$[^$\s][^$]*\$")


def raw_mathematics(page: Any) -> list[str]:
    """TeX that a reader would see: outside code, and not inside rendered mathematics."""
    texts = page.evaluate("""() => {
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
        while (walker.nextNode())
            if (!walker.currentNode.parentElement.closest('pre, code, script, style, noscript, template, .katex'))
                texts.push(walker.currentNode.textContent);
        return texts;
    }""")
    return [f"raw TeX in the text: {text.strip()[:80]!r}" for text in texts if RAW_TEX.search(text)]


def broken_mathematics(page: Any) -> list[str]:
    """What KaTeX could not render, and what was rendered without MathML."""
    return list(
        page.evaluate("""() => {
        const found = [];
        for (const e of document.querySelectorAll('.katex-error, [style*="#cc0000" i], [mathcolor="#cc0000" i]'))
            found.push(`KaTeX does not know ${(e.title || e.textContent).slice(0, 80)}`);
        for (const e of document.querySelectorAll('.math'))
            if (!e.querySelector('.katex-html') || !e.querySelector('math'))
                found.push(`not rendered: ${e.textContent.slice(0, 80)}`);
        return found;
    }""")
    )


def missing_equations(page: Any, labels: list[str]) -> list[str]:
    """Labelled equations that are not there as visible HTML with MathML beside it."""
    return list(
        page.evaluate(
            """labels => labels.filter(label => {
        const e = document.getElementById(`equation-${label}`);
        if (!e) return true;
        const box = e.querySelector('.katex-html')?.getBoundingClientRect();
        return !(box && box.width > 5 && box.height > 5 && e.querySelector('math'));
    }).map(label => `the equation ${label} is not there as HTML and MathML`)""",
            labels,
        )
    )


def bad_images(page: Any) -> list[str]:
    """Images without alternative text, or that did not load, or that are shown wider than their page."""
    return list(
        page.evaluate("""async () => {
        const found = [];
        for (const image of document.images) {
            const name = image.getAttribute('src').slice(0, 80);
            if (!image.hasAttribute('alt')) found.push(`${name} has no alt`);
            else if (!image.alt.trim() && !image.closest('[aria-hidden=true], a[aria-label], [role=presentation]'))
                found.push(`${name} has an empty alt`);
            image.loading = 'eager';
            try { await image.decode(); } catch (error) { found.push(`${name} does not load`); continue; }
            if (image.naturalWidth < 2 || image.naturalHeight < 2) found.push(`${name} is empty`);
        }
        return found;
    }""")
    )


def missing_figures(page: Any, figures: list[dict[str, str]]) -> list[str]:
    """Figures of the source that do not stand in the page with their alternative text and caption."""
    return list(
        page.evaluate(
            """figures => {
        const found = [], plain = text => text.replace(/\\s+/g, ' ').trim();
        for (const {name, alt} of figures) {
            const figure = document.getElementById(name), image = figure?.querySelector('img, svg');
            if (!image) found.push(`the figure ${name} is not there`);
            else if (plain(image.alt || image.getAttribute('aria-label') || '') !== plain(alt))
                found.push(`the figure ${name} has lost its alternative text`);
            else if (!plain(figure.querySelector('figcaption')?.textContent || ''))
                found.push(`the figure ${name} has lost its caption`);
            else if (image.getBoundingClientRect().width < 100)
                found.push(`the figure ${name} is ${image.getBoundingClientRect().width} pixels wide`);
        }
        return found;
    }""",
            figures,
        )
    )


def print_problems(page: Any, theme: str, *, ink_alone: bool = False) -> list[str]:
    """What spoils the page on paper (A4 with the browser's margins); of a theme it is the ink alone that differs."""
    page.set_viewport_size({"width": 718, "height": 1000})
    page.emulate_media(media="print", color_scheme=theme, reduced_motion="reduce")
    return list(
        page.evaluate(
            """inkAlone => {
        const found = [];
        for (const element of inkAlone ? [] : """
            + ELEMENTS
            + """) {
            if (!element.checkVisibility({visibilityProperty: true, opacityProperty: true})) continue;
            const box = element.getBoundingClientRect();
            if (box.width < 2 || box.height < 2) continue;
            const style = getComputedStyle(element), name = element.outerHTML.slice(0, 100);
            if (['fixed', 'sticky'].includes(style.position) && box.right > 0 && box.left < innerWidth)
                found.push(`${name} stands ${style.position} over the text of every sheet`);
            if (['auto', 'scroll', 'hidden', 'clip'].includes(style.overflowX) && style.clip === 'auto'
                    && element.scrollWidth > element.clientWidth + 2 && element.clientWidth > 40)
                found.push(`${name} is cut off on paper: ${element.scrollWidth} pixels in ${element.clientWidth}`);
        }
        for (const name of ['.bar', '.side', '.turn', '.foot', '.skip-link', 'button'])
            for (const element of document.querySelectorAll(name))
                if (element.checkVisibility() && element.getBoundingClientRect().height > 2)
                    found.push(`${name} is printed`);
        if (document.scrollingElement.scrollWidth > innerWidth + 1)
            found.push(`the sheet is ${document.scrollingElement.scrollWidth} pixels wide instead of ${innerWidth}`);
        // browsers leave backgrounds out, so that light ink cannot be read on paper
        const light = color => { const [r, g, b] = color.match(/[\\d.]+/g).map(Number); return 0.3*r + 0.6*g + 0.1*b; };
        for (const element of document.querySelectorAll('p, li, h1, h2, figcaption')) {
            const ink = light(getComputedStyle(element).color);
            if (element.checkVisibility() && ink > 140) {
                const color = getComputedStyle(element).color;
                found.push(`light ink (${color}) on white paper: ${element.textContent.slice(0, 60)}`);
                break;
            }
        }
        return found.slice(0, 8);
    }""",
            ink_alone,
        )
    )


# -- in the files ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Document:
    """An HTML file of the site: its path from the site's root, and its tree."""

    path: str
    soup: BeautifulSoup

    @functools.cached_property
    def anchors(self) -> set[str]:
        ids = {str(e["id"]) for e in self.soup.find_all(id=True)}
        return ids | {str(e["name"]) for e in self.soup.find_all("a", attrs={"name": True})}


def without_formulas(html: str) -> str:
    """A page's text with its formulas left empty: nine tenths of its elements, none of which leads anywhere."""
    kept, at, start = [], 0, '<span class="katex">'
    while (found := html.find(start, at)) >= 0:
        kept.append(html[at : found + len(start)])
        depth, at = 1, found + len(start)
        for tag in SPAN.finditer(html, at):
            depth += 1 if tag[0] == "<span" else -1
            if depth == 0:
                at = tag.start()
                break
    return "".join(kept) + html[at:]


SPAN = re.compile(r"<span(?=[ >])|</span>")


def documents(root: Path) -> dict[str, Document]:
    """Every page below a folder, its formulas left empty."""
    found = {}
    for file in sorted(root.rglob("*.html")):
        path = file.relative_to(root).as_posix()
        if path.startswith("_static/"):
            continue
        html = without_formulas(file.read_text(encoding="utf-8"))
        found[path] = Document(path, BeautifulSoup(html, "html.parser"))
    return found


def addresses(document: Document) -> Iterator[tuple[str, str]]:
    """Tag and address of everything that a page links to or loads."""
    for element in document.soup.find_all(True):
        for name in ("href", "src", "data", "poster", "action", "xlink:href"):
            if element.has_attr(name):
                yield element.name, str(element[name])
        for part in str(element.get("srcset", "")).split(","):
            if part.strip():
                yield element.name, part.split()[0]
        refresh = re.search(r"url=(.+)", str(element.get("content", ""))) if element.get("http-equiv") else None
        if refresh:
            yield "a", refresh[1].strip(" '\"")


def broken_links(root: Path, site: dict[str, Document], path: str) -> list[str]:
    """Internal links of one page that lead to no file or no anchor."""
    found = []
    for tag, address in addresses(site[path]):
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or address in ("", "#", "#top"):
            continue
        target = path
        if parts.path:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(parts.path))).lstrip("/")
        if (root / target).is_dir():
            target = posixpath.normpath(posixpath.join(target, "index.html"))
        if target.startswith("..") or not (root / target).is_file():
            found.append(f"<{tag}> leads to {address}, which is no file of the site")
        elif parts.fragment and target in site and unquote(parts.fragment) not in site[target].anchors:
            found.append(f"<{tag}> leads to {address}, but {target} has no such anchor")
    return sorted(set(found))


LOADING = {"script", "img", "iframe", "source", "video", "audio", "embed", "object", "link", "image", "use", "track"}


def foreign_resources(document: Document) -> list[str]:
    """What a page would load from another host; links that a reader may follow are allowed."""
    found = []
    for element in document.soup.find_all(sorted(LOADING)):
        if element.name == "link" and set(element.get("rel", [])) & {"canonical", "license", "author", "alternate"}:
            continue
        for name in ("src", "href", "data", "srcset", "xlink:href"):
            if re.match(r"\s*(https?:|wss?:)?//", str(element.get(name, ""))):
                found.append(f"<{element.name} {name}={element[name]!r}>")
    for element in document.soup.find_all("style"):
        found += foreign_styles(element.string or "")
    for element in document.soup.find_all(style=True):
        found += foreign_styles(str(element["style"]))
    return found


def foreign_styles(css: str) -> list[str]:
    """What a style sheet would load from another host."""
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    return re.findall(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')]+)""", css)


def broken_styles(root: Path, file: Path) -> list[str]:
    """What a style sheet needs and the site does not have, or would fetch from another host."""
    css = file.read_text(encoding="utf-8")
    # of a font's files a browser takes the first, if it knows the format, which is woff2 here
    css = re.sub(r"(@font-face\s*{[^}]*?src:\s*url\([^)]*woff2[^)]*\))[^;}]*", r"\1", css)
    found = [f"another host: {address}" for address in foreign_styles(css)]
    for address in re.findall(r"""url\(\s*["']?([^"')]+)""", re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)):
        parts = urlsplit(address)
        if not parts.scheme and not parts.netloc and parts.path and not (file.parent / unquote(parts.path)).is_file():
            found.append(f"no file: {address}")
    return found
