"""`make pdf`: the whole book as one PDF, `_build/pdf/from-jacobians-to-adam.pdf`, printed from the built site.

All pages become one (`_build/pdf/book.html`), which Chromium prints. It knows no page numbers while it prints, so the
book is printed, the pages of all link targets are read from the PDF, the numbers are filled in, and it is printed again
until no number changes. Then the PDF is checked: a wrong number, a dead link or a blank page is an error.
"""

from __future__ import annotations

import html
import itertools
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __package__ is None:  # run as `python tools/book_pdf.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bs4 import BeautifulSoup, Tag
from fontTools.ttLib import TTFont
from fontTools.varLib.instancer import instantiateVariableFont
from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject

from tools import bound
from tools.bound import Bound, Entry, unnumbered
from tools.chromium import FLAGS, chromium
from tools.pdf_file import destinations, outline, raster_images, rewritten
from tools.settings import BOOK, BUILD, ROOT, SITE

FOLDER = BUILD / "pdf"
STYLE = ROOT / "tools" / "book_pdf.css"
STATIC = BOOK / "_static"
WEIGHTS = {"normal": (300, 400, 600), "italic": (400, 600)}
MEGABYTES = 25  # more than this is not easily sent to anybody
WIDTH = 514  # the text is 136 mm wide, in CSS pixels
#: What must not be read on paper: words of buttons and folds, and TeX that nothing has set.
NOISE = re.compile(r"(?:Show|Hide) the (?:code|solution)|First hint|Second hint|Link to this heading|Permalink")
RAW_TEX = re.compile(r"\$\$|\\begin\{|\\\(|\\\[|\\[a-zA-Z]{2,}|\$[^$\s][^$]*\$")


class Unprintable(Exception):
    """The book cannot be printed, and the message says what to do about it."""


# -- the page to print ------------------------------------------------------------------------------------------------


def fonts(folder: Path) -> str:
    """Write the serif's weights into a folder, a file each, and return the rules that name them.

    From the site's files, which hold all weights in one, Chromium would draw each letter instead of embedding the font.
    """
    rules = []
    for style, weights in WEIGHTS.items():
        source = STATIC / f"fonts/source-serif-4-latin-wght-{style}.woff2"
        for weight in weights:
            goal = folder / f"source-serif-4-{style}-{weight}.ttf"
            if not goal.exists() or goal.stat().st_mtime < source.stat().st_mtime:
                font = TTFont(source)
                instantiateVariableFont(font, {"wght": weight}, inplace=True, updateFontNames=False)
                font.flavor = None
                font.save(goal)
            rules.append(
                f'@font-face {{ font-family: "Source Serif 4"; font-style: {style}; font-weight: {weight}; '
                f'src: url("{goal.as_uri()}"); }}\n'
            )
    return "".join(rules)


def assemble(book: Bound, about: dict[str, str], site: Path, folder: Path) -> str:
    """Return the whole book as one page of HTML to be written to a folder, with 000 for every page number."""
    for entry in book.entries:
        for link in entry.article.select("a.across"):
            refer(link)
    for _, solutions in book.solutions:
        for solution in solutions:
            for tag in solution.body:
                for link in tag.select("a.across"):
                    refer(link)
    for piece in bound.pieces(book):
        for image in piece.select("img[src]"):
            image["src"] = (site / str(image["src"])).as_uri()
        for block in piece.select("pre"):
            if block.get_text().count("\n") < 12 and isinstance(block.parent, Tag):
                bound.add_class(block.parent, "short")
    body = [cover(about), imprint(about), contents(book)]
    feet = [running_foot("contents", "Contents")]
    for caption, entries in book.parts:
        if caption and not entries[0].opens:
            body.append(part_opener(caption, entries, bool(book.solutions) and caption == book.parts[-1][0]))
        for entry in entries:
            if entry.opens:
                bound.add_class(entry.article, "part")
            entry.article["style"] = f"page: {entry.key}"
            feet.append(running_foot(entry.key, caption.replace(" · ", "\u2002") if entry.opens else entry.heading))
            body.append(str(entry.article))
    if book.solutions:
        feet.append(running_foot("solutions", "Solutions"))
        body.append(solutions_chapter(book))
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{html.escape(about["title"])}</title>\n'
        f'<link rel="stylesheet" href="{(STATIC / "katex/katex.min.css").as_uri()}">\n'
        f'<link rel="stylesheet" href="{STYLE.as_uri()}">\n<style>\n{fonts(folder)}{"".join(feet)}</style></head>\n'
        f"<body>\n{bound.with_formulas(chr(10).join(body), book)}\n</body></html>\n"
    )


def refer(link: Tag) -> None:
    """Put the page behind a link to another chapter; citations and names of functions say enough as they are."""
    target = str(link["href"])[1:]
    if not target.startswith(("bibliography", "api", "glossary")):
        after = str(link.next_sibling or "")
        page = f", p. {number(target)}" if after.startswith(")") else f" (p. {number(target)})"  # no two brackets
        link.insert_after(fragment(f'<span class="page-ref">{page}</span>'))


def fragment(text: str) -> Tag:
    """Return the one tag that this HTML is."""
    tag = BeautifulSoup(text, "html.parser").find(True)
    assert isinstance(tag, Tag)
    return tag


def number(target: str) -> str:
    """Return the place where the page of a target will stand."""
    return f'<span class="page" data-page="{target}">000</span>'


def running_foot(key: str, text: str) -> str:
    """Return the rule that writes a chapter's title at the foot of its pages."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'@page {key} {{ @bottom-left {{ content: "{quoted}"; }} }}\n'


def cover(about: dict[str, str]) -> str:
    return (
        f'<section class="cover"><p class="title">{html.escape(about["title"])}</p>'
        f'<p class="subtitle">{html.escape(about["subtitle"])}</p>'
        f'<img src="{(STATIC / "thread.svg").as_uri()}" alt="The thread of the course: from map to map, '
        'small changes are pushed forward through Jacobians, and gradients are pulled back through their transposes.">'
        f'<p class="below"><span>Version {about["version"]}</span><span>{about["year"]}</span></p></section>'
    )


def imprint(about: dict[str, str]) -> str:
    """Return the second page: how to cite, who may do what, and what of the site is not in here."""
    return (
        '<section class="imprint">'
        f"<p><em>{html.escape(about['title'])}</em>, version {about['version']}. "
        f"© {about['year']} {html.escape(about['author'])}.</p>"
        "<p>Text and figures may be used, changed and passed on under the Creative Commons Attribution 4.0 "
        "International licence (CC BY 4.0), the code under the BSD 3-Clause licence.</p>"
        "<p>This book is made from the same source as the course’s website and notebooks. Every number and every "
        "figure in it was computed when it was built, and every displayed derivative marked <em>✓ checked</em> was "
        "compared with independent calculations. Answers and solutions stand at the end. Left to the site and the "
        "notebooks are the code that only draws figures and the hints to exercises; figures that move there stand "
        "still here.</p>"
        "<p>Page numbers count from the cover, as a viewer of PDF files counts them. Every reference is a link.</p>"
        "<p>Set in Source Serif 4 and the fonts of KaTeX.</p></section>"
    )


def contents(book: Bound) -> str:
    """Return the contents: parts, chapters and sections, each line a link with its page."""
    lines = ['<section class="contents" style="page: contents" id="contents"><h1 class="level-1">Contents</h1>']
    for caption, entries in book.parts:
        if caption:
            opener = entries[0].key if entries[0].opens else part_key(caption)
            lines.append(f'<p class="caption">{line("part", opener, "", html.escape(caption))}</p>')
        lines.append("<ol>")
        for entry in entries:
            if entry.opens:
                continue
            _, title = unnumbered(entry.article.select_one(".level-1") or fragment("<p></p>"))
            lines.append(f"<li>{line('chapter', entry.key, entry.number, title.decode_contents())}")
            if entry.number and entry.sections:
                lines.append("<ol>")
                for key, heading in entry.sections:
                    count, title = unnumbered(heading)
                    lines.append(f"<li>{line('section', key, count, title.decode_contents())}</li>")
                lines.append("</ol>")
            lines.append("</li>")
        if book.solutions and caption == book.parts[-1][0]:
            lines.append(f"<li>{line('chapter', 'solutions', '', 'Solutions')}</li>")
        lines.append("</ol>")
    return "\n".join([*lines, "</section>"])


def line(kind: str, target: str, count: str, title: str) -> str:
    counted = f'<span class="number">{count}</span>' if count else ""
    return (
        f'<a class="line line-{kind}" href="#{target}">{counted}<span class="name">{title}</span>'
        f'<span class="dots"></span>{number(target)}</a>'
    )


def part_opener(caption: str, entries: list[Entry], with_solutions: bool) -> str:
    """Return the page before a part: its name, and what its chapters are about."""
    lines = [f'<section class="part" id="{part_key(caption)}">{bound.heading_of_part(caption)}<ol>']
    for entry in entries:
        text = f"<p>{html.escape(entry.description)}</p>" if entry.number and entry.description else ""
        _, name = unnumbered(entry.article.select_one(".level-1") or fragment("<p></p>"))
        lines.append(f"<li>{line('entry', entry.key, entry.number, name.decode_contents())}{text}</li>")
    if with_solutions:
        lines.append(f"<li>{line('entry', 'solutions', '', 'Solutions')}</li>")
    return "\n".join([*lines, "</ol></section>"])


def part_key(caption: str) -> str:
    return re.sub(r"\W+", "-", caption.lower()).strip("-")


def solutions_chapter(book: Bound) -> str:
    """Return the last chapter: every solution, with a link back to its exercise."""
    down = 2 if book.parts[-1][0] else 1
    lines = [
        f'<article class="entry" id="solutions" style="page: solutions"><h{down} class="level-1">Solutions</h{down}>'
    ]
    for entry, solutions in book.solutions:
        name = entry.heading if entry.number else entry.title
        key = f"solutions--{entry.key}"
        lines.append(f'<section id="{key}"><h{down + 1} class="level-2">{html.escape(name)}</h{down + 1}>')
        for solution in solutions:
            word = "Exercise" if entry.number else "Question"
            solution.title.append(" ")
            solution.title.append(bound.page_link(solution.exercise, word))
            body = "".join(str(tag) for tag in solution.body)
            lines.append(f'<div class="solved" id="{solution.key}">{solution.title}{body}</div>')
        lines.append("</section>")
    return "\n".join([*lines, "</article>"])


def fill(page: str, numbers: dict[str, int]) -> str:
    """Return the page with each target's number in its places; 000 where it is not known yet."""
    return re.sub(r'data-page="([^"]*)">[^<]*<', lambda m: f'data-page="{m[1]}">{numbers.get(m[1], "000")}<', page)


# -- printing ---------------------------------------------------------------------------------------------------------


def needed_browser() -> str:
    """Return the path of the system's Chromium, without which nothing is printed."""
    if path := chromium():
        return path
    raise Unprintable(
        "Chromium or Chrome is needed to print the book, and none was found. Install the system's package "
        "(Debian: apt install chromium), or put it on PATH."
    )


@contextmanager
def browser() -> Iterator[Any]:
    """Start the system's browser; it is closed at the end."""
    path = needed_browser()
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise Unprintable("Playwright drives the browser and is not installed: use the environment of make.") from None
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


#: Shrinks displays that are wider than the text, to no less than 60 %; returns what is still too wide.
FIT = """width => {
    const found = [];
    for (const box of document.querySelectorAll('.katex-display')) {
        const whole = () => Math.max(...[...box.querySelectorAll('.base')].map(b => b.getBoundingClientRect().width));
        const formula = box.querySelector('.katex');
        if (!formula) continue;
        const ratio = (box.getBoundingClientRect().width - 1) / whole();
        if (ratio < 1) formula.style.fontSize = `${Math.max(ratio, 0.6) * 1.06}em`;
    }
    for (const element of document.body.querySelectorAll('p, pre, img, table, .katex .base, dt, .line, figcaption')) {
        const box = element.getBoundingClientRect();
        if (box.width > 1 && (box.right > width + 1.5 || box.left < -1.5))
            found.push(`${element.tagName.toLowerCase()} reaches from ${Math.round(box.left)} to `
                + `${Math.round(box.right)} of ${width} pixels: ${element.textContent.trim().slice(0, 70)}`);
    }
    return found;
}"""


def print_page(page: Any, source: Path, goal: Path, width: int = WIDTH) -> list[str]:
    """Print an HTML file as PDF; returns what is cut off at the right or left edge."""
    page.set_viewport_size({"width": width, "height": 790})
    page.emulate_media(media="print", color_scheme="light")
    page.goto(source.as_uri(), wait_until="load", timeout=300_000)
    page.evaluate("() => document.fonts.ready.then(() => true)")
    cut = list(page.evaluate(FIT, width))
    page.pdf(path=str(goal), prefer_css_page_size=True, print_background=True, outline=True, tagged=True)
    return cut


def print_until_stable(page: Any, text: str, source: Path, goal: Path) -> tuple[dict[str, int], list[str]]:
    """Print until filling in the page numbers moves nothing; returns the numbers, and what is cut off."""
    numbers: dict[str, int] = {}
    for round_ in range(1, 5):
        source.write_text(fill(text, numbers), encoding="utf-8")
        cut = print_page(page, source, goal)
        printed = destinations(PdfReader(goal))
        print(f"  printed {round_}: {len(PdfReader(goal).pages)} pages", flush=True)
        if printed == numbers:
            return numbers, cut
        numbers = printed
    raise Unprintable("The page numbers did not settle in four rounds of printing.")


# -- what is wrong with a printed book --------------------------------------------------------------------------------


def problems(path: Path, page: str, figures: int) -> list[str]:
    """Return everything that is wrong with the printed book; ``figures`` is how many pictures are made of pixels."""
    reader = PdfReader(path)
    found = dead_links(reader, page) + wrong_numbers(page, destinations(reader)) + misnested(outline(reader), page)
    found += noise(page) + blank_pages(reader)
    if (pictures := raster_images(reader)) > figures:
        found.append(f"{pictures} pictures are made of pixels, and only {figures} figures of the book are")
    if (size := path.stat().st_size / 1e6) > MEGABYTES:
        found.append(f"the file has {size:.1f} MB, more than {MEGABYTES}")
    root: Any = reader.trailer["/Root"]
    if not root.get("/MarkInfo", {}).get("/Marked"):
        found.append("the PDF is not tagged: a screen reader cannot follow it")
    return found


def noise(page: str) -> list[str]:
    """Return the words that make no sense on paper, and TeX that nothing has set, outside code."""
    text = re.sub(r"<(pre|code|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", "", text))
    found = [f"the text says {match.group()!r}" for match in NOISE.finditer(text)]
    return found + [f"TeX that nothing has set: {match.group()[:60]!r}" for match in RAW_TEX.finditer(text)]


def blank_pages(reader: PdfReader) -> list[str]:
    """Return the pages on which nothing stands above the foot. Only short pages are read, which is slow."""
    found = []
    for n, sheet in enumerate(reader.pages, 1):
        content = sheet.get_contents()
        drawn = content.get_data() if content is not None else b""
        if len(drawn) > 4000 or re.search(rb"/\w+ Do\b", drawn):
            continue
        read: list[str] = []
        foot = float(sheet.mediabox.height) * 0.08

        def above_foot(text: str, _cm: Any, place: Any, *_: Any, read: list[str] = read, foot: float = foot) -> None:
            if place[5] > foot:
                read.append(text)

        sheet.extract_text(visitor_text=above_foot)
        if not "".join(read).strip():
            found.append(f"page {n} is blank")
    return found


def dead_links(reader: PdfReader, page: str) -> list[str]:
    """Return the links inside the book that lead nowhere, in the page that was printed and in the PDF."""
    known = set(destinations(reader))
    wanted = set(re.findall(r'href="#([^"]+)"', page))
    found = [f"a link to {name} leads nowhere" for name in sorted(wanted - known)]
    for n, sheet in enumerate(reader.pages, 1):
        for raw in sheet.get("/Annots", ArrayObject()).get_object():
            annotation = raw.get_object()
            goal = annotation.get("/Dest")
            if isinstance(goal, str) and goal.removeprefix("/") not in known:
                found.append(f"page {n}: a link to {goal} leads nowhere")
            address = annotation.get("/A", DictionaryObject()).get_object().get("/URI", "")
            if str(address).startswith("file:"):
                found.append(f"page {n}: a link leads to a file on this machine")
    return found


def wrong_numbers(page: str, places: dict[str, int]) -> list[str]:
    """Return the page numbers in the text that are not the pages of what they stand for."""
    found = []
    for target, shown in set(re.findall(r'data-page="([^"]*)">([^<]*)<', page)):
        if str(places.get(target)) != shown:
            found.append(f"{target} is said to be on page {shown} and is on page {places.get(target)}")
    return sorted(found)


def headings(page: str) -> list[tuple[int, str]]:
    """Return the level and the text of every heading, its number and its title apart."""
    found = []
    for match in re.finditer(r"<h([1-6])\b[^>]*>(.*?)</h\1>", page, re.DOTALL):
        text = re.sub(r'<span class="(?:section|part)-number">.*?</span>(?!</span>)', r"\g<0> ", match[2])
        found.append((int(match[1]), re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", "", text))).strip()))
    return found


def misnested(marks: list[tuple[int, str, int]], page: str) -> list[str]:
    """Return where the bookmarks are not the headings at their depth, or the contents give other pages than they."""
    for (level, title), (depth, mark, _) in itertools.zip_longest(headings(page), marks, fillvalue=(0, "nothing", 0)):  # type: ignore[misc]
        if (level - 1, title) != (depth, mark):
            return [f"the heading {title!r} of level {level} has the bookmark {mark!r} at depth {depth}"]
    pages = {(letters(mark), at) for _, mark, at in marks}
    found = []
    lines = re.findall(r'<a class="line line-[a-z]+"[^>]*>(.*?)<span class="dots">.*?>(\d+)<', page, re.DOTALL)
    for words, at in lines:
        if (letters(words), int(at)) not in pages:
            title = re.sub("<[^>]*>", " ", words).strip()
            found.append(f"the contents have {title!r} on page {at}, the bookmarks do not")
    return found


def letters(text: str) -> str:
    """Return the letters and digits of a heading alone, to compare two ways of writing it."""
    return re.sub(r"\W", "", html.unescape(re.sub(r"<[^>]*>", "", text)))


def main() -> int:
    try:
        needed_browser()
        book = bound.bind(SITE, bound.table_of_contents())
        about = bound.describe(book)
        figures = bound.pixel_pictures(book, SITE)
        FOLDER.mkdir(parents=True, exist_ok=True)
        source, goal = FOLDER / "book.html", FOLDER / f"{bound.NAME}.pdf"
        text = assemble(book, about, SITE, FOLDER)
        print("Printing the book, two or three times until every page number is right ...", flush=True)
        with browser() as started:
            _, cut = print_until_stable(started.new_page(), text, source, goal)
        text = source.read_text(encoding="utf-8")
        said = {"Title": about["title"], "Author": about["author"], "Subject": about["subtitle"]}
        goal.write_bytes(rewritten(goal.read_bytes(), said, [title for _, title in headings(text)]))
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: run make book first")
        return 1
    except (Unprintable, ValueError) as error:
        print(error)
        return 1
    wrong = [*(f"cut off: {what}" for what in cut)]
    wrong += problems(goal, text, figures)
    if wrong:
        print(f"{goal.relative_to(ROOT)} was printed, and is not good:\n  " + "\n  ".join(wrong[:40]))
        return 1
    print(f"The book is printed: {goal} ({len(PdfReader(goal).pages)} pages, {goal.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
