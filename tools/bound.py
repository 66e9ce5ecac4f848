"""The built pages as one book: what `make pdf` and `make epub` have in common.

Reads the articles of `_build/html` in the order of `_toc.yml` and turns them from pages of a site into parts of a book:
every id unique in the whole book and every link rewritten to it, no buttons and nothing folded, solutions at the end.
"""

from __future__ import annotations

import copy
import posixpath
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString

from tools.settings import ROOT

NAME = "from-jacobians-to-adam"
HEADINGS = ["h1", "h2", "h3", "h4", "h5"]
#: Kinds of token in code that the two stylesheets draw differently. The spans of all others are taken out.
TOKENS = {"k", "kn", "kc", "kd", "ow", "nf", "nc", "c1", "s1", "s2", "sd", "se", "mi", "mf", "nb", "gp", "go", "nd"}
TOKEN = re.compile(r'<span class="([a-z0-9]{1,2})">([^<]*)</span>')
#: The copy of a formula for screen readers, in KaTeX's output. On paper it would be text under the formula.
MATHML = re.compile(r'<span class="katex-mathml">.*?</math></span>', re.DOTALL)
SPAN = re.compile(r"<(/?)span\b")
#: What a page of the site has and a book has no use for.
LEFT_OUT = (
    "script, style, button, template, a.headerlink, aside.about-page, .toctree-wrapper, nav, .copybtn, "
    "details.tip, picture > source, svg.icon, .explorable-panel, p.part-number, .chapter-line, .facts"
)


@dataclass
class Entry:
    """A page of the site as a piece of the book: the preface, a chapter, an appendix."""

    name: str  # its place in the site, without suffix: "book/1-jacobians/01-a-stack-of-gradients"
    key: str  # what its ids begin with: "ch01"
    part: str  # the caption of its part, "" for the front matter
    article: Tag
    formulas: dict[str, str]  # what stands in the places that the article keeps for them
    number: str = ""
    title: str = ""
    description: str = ""

    @property
    def opens(self) -> bool:
        """Whether this page opens its part."""
        return bool(self.part) and self.name.endswith("/index")

    @property
    def heading(self) -> str:
        """The number and the title, as a running foot shows them."""
        return f"{self.number}\u2002{self.title}".strip()

    @property
    def sections(self) -> list[tuple[str, Tag]]:
        """The sections of the first level: an id to link to, and the heading."""
        found = []
        for heading in self.article.select(".level-2"):
            target = heading if heading.get("id") else heading.find_parent("section", id=True)
            if isinstance(target, Tag):
                found.append((str(target["id"]), heading))
        return found


@dataclass
class Solution:
    """What was folded under an exercise, and the exercise it belongs to."""

    exercise: str  # the id of the exercise
    key: str  # its own id
    title: Tag
    body: list[Tag]


@dataclass
class Bound:
    """The whole book: its entries in order, and for each entry that has exercises their solutions."""

    entries: list[Entry]
    solutions: list[tuple[Entry, list[Solution]]] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)  # addresses that lead nowhere in the book, now plain text

    @property
    def parts(self) -> list[tuple[str, list[Entry]]]:
        """The parts in order, each with its caption and entries; the front matter has the caption ""."""
        found: list[tuple[str, list[Entry]]] = []
        for entry in self.entries:
            if not found or found[-1][0] != entry.part:
                found.append((entry.part, []))
            found[-1][1].append(entry)
        return found


def table_of_contents(path: Path = ROOT / "_toc.yml") -> list[tuple[str, str]]:
    """Return every page's name and the caption of its part; the root and the front matter have the caption ""."""
    toc = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = [(str(toc["root"]), "")]
    for part in toc["parts"]:
        caption = str(part.get("caption", ""))
        found += [(str(chapter["file"]), "" if caption == "Front matter" else caption) for chapter in part["chapters"]]
    return found


def settings(path: Path = ROOT / "_config.yml") -> dict[str, Any]:
    """Return what `_config.yml` says of the book: its title, its author, its year."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def bind(site: Path, toc: list[tuple[str, str]], mathml: bool = False) -> Bound:
    """Return the book made of the pages of a built site, its maths drawn by KaTeX or left as MathML."""
    entries = [read(site, name, part, mathml) for name, part in toc]
    book = Bound(entries)
    for entry in entries:
        if solutions := take_solutions(entry):
            book.solutions.append((entry, solutions))
    targets = {entry.name: entry for entry in entries}
    known = {str(tag["id"]) for part in pieces(book) for tag in [part, *part.select("[id]")] if tag.get("id")}
    for entry in entries:
        own = [entry.article, *(tag for e, s in book.solutions if e is entry for one in s for tag in contents(one))]
        for piece in own:
            book.plain += [f"{entry.name}: {address}" for address in relink(piece, entry, targets, known)]
    return book


def pieces(book: Bound) -> list[Tag]:
    """Return all tags that hold the book's text: articles, and what was taken out of them."""
    taken = [tag for _, solutions in book.solutions for one in solutions for tag in contents(one)]
    return [*(entry.article for entry in book.entries), *taken]


def contents(solution: Solution) -> list[Tag]:
    return [solution.title, *solution.body]


def pixel_pictures(book: Bound, site: Path) -> int:
    """Return how many pictures made of pixels the book's figures hold: files of pixels, and those inside drawings."""
    names = {str(image["src"]) for piece in pieces(book) for image in piece.select("img[src]")}
    drawings = [(site / name).read_bytes() for name in names if name.endswith(".svg")]
    return len(names) - len(drawings) + sum(drawing.count(b"<image") for drawing in drawings)


def classes_of(tag: Tag) -> list[str]:
    """Return a tag's classes."""
    value: Any = tag.get("class") or []
    return value.split() if isinstance(value, str) else list(value)


def add_class(tag: Tag, name: str) -> None:
    """Give a tag one more class."""
    tag["class"] = " ".join([*classes_of(tag), name])


# -- one page ---------------------------------------------------------------------------------------------------------


def read(site: Path, name: str, part: str = "", mathml: bool = False) -> Entry:
    """Return one page of the site, made into a piece of a book."""
    path = site / f"{name}.html"
    text, formulas = formulas_apart(path.read_text(encoding="utf-8"), key_of(name), mathml)
    text = TOKEN.sub(lambda match: match[0] if match[1] in TOKENS else match[2], text)
    page = BeautifulSoup(text, "html.parser")
    article = page.select_one("main article, article")
    if article is None:
        raise ValueError(f"{path} has no article: it is not a page of the book")
    article.extract()
    key = key_of(name)
    described = page.select_one('meta[name="description"]')
    entry = Entry(name, key, part, article, formulas, description=str(described["content"]) if described else "")
    clean(article)
    prefix_ids(article, key)
    article["id"] = key
    add_class(article, "entry")
    level_headings(entry)
    for image in article.select("img[src]"):
        image["src"] = posixpath.normpath(posixpath.join(posixpath.dirname(name), unquote(str(image["src"]))))
        for attribute in ("loading", "decoding", "srcset", "fetchpriority"):
            del image[attribute]
    return entry


def key_of(name: str) -> str:
    """Return what the ids of a page begin with: short, and a letter first, as XML wants it."""
    stem = name.rpartition("/")[2]
    if number := re.match(r"(\d+)-", stem):
        return f"ch{number[1]}"
    if stem == "index":
        part = re.search(r"/(\d+)-[^/]*/index$", name)
        return f"part-{part[1]}" if part else "preface"
    return re.sub(r"[^\w-]", "-", stem)


def formulas_apart(text: str, key: str, mathml: bool) -> tuple[str, dict[str, str]]:
    """Take the formulas out of a page, and put a short mark in the place of each.

    They are nine tenths of its tags, and nothing here looks into them. What is kept is KaTeX's drawing, or the MathML.
    """
    formulas: dict[str, str] = {}
    rest, done = [], 0
    for start in re.finditer(r'<span class="katex">', text):
        depth = 0
        for tag in SPAN.finditer(text, start.start()):
            depth += -1 if tag[1] else 1
            if depth == 0:
                break
        end = text.index(">", tag.start()) + 1
        formula = text[start.start() : end]
        name = f"{key}:{len(formulas)}"
        formulas[name] = as_mathml(formula) if mathml else MATHML.sub("", formula).replace(' aria-hidden="true"', "")
        rest += [text[done : start.start()], f'<span class="formula" data-formula="{name}">∎</span>']
        done = end
    return "".join([*rest, text[done:]]), formulas


def with_formulas(text: str, book: Bound) -> str:
    """Return the text with each formula in its place."""
    formulas = {name: formula for entry in book.entries for name, formula in entry.formulas.items()}
    return re.sub(r'<span class="formula" data-formula="([^"]*)">∎</span>', lambda match: formulas[match[1]], text)


def as_mathml(formula: str) -> str:
    """Return a formula as MathML alone, with the TeX it was made from as its text for programs that cannot read it."""
    maths = BeautifulSoup(formula, "html.parser").find("math")
    assert isinstance(maths, Tag)
    for source in maths.find_all("annotation"):
        maths["alttext"] = source.get_text()
        source.decompose()
    mend_mathml(maths)
    return str(maths)


#: How many parts these elements of MathML have. KaTeX now and then adds an invisible "function of" as one more.
ARITY = {"msub": 2, "msup": 2, "munder": 2, "mover": 2, "mfrac": 2, "msubsup": 3, "munderover": 3}


def mend_mathml(maths: Tag) -> None:
    """Repair what KaTeX writes against MathML's rules: one part too many, and an operator that holds elements."""
    for tag in maths.find_all(list(ARITY)):
        parts = tag.find_all(True, recursive=False)
        if len(parts) > ARITY[tag.name]:
            for part in parts:
                if part.get_text() == "\u2061":
                    part.decompose()
    for tag in maths.find_all("mo"):
        if tag.find(True) is not None:
            tag.name, tag.attrs = "mrow", {}


def clean(article: Tag) -> None:
    """Take out what a book has no use for, and open what is folded."""
    for tag in article.select(LEFT_OUT):
        tag.decompose()
    for choice in article.select("picture"):  # the paper is not narrow, whatever the window is
        choice.unwrap()
    for link in article.select("p > strong:only-child > a"):  # the landing page's button
        paragraph = link.find_parent("p")
        if isinstance(paragraph, Tag) and paragraph.get_text().strip() == link.get_text().strip():
            paragraph.decompose()
    for cell in article.select("div.cell"):
        clean_cell(cell)
    for pre in article.select("pre"):
        for span in pre.find_all("span", class_=False):
            span.unwrap()
        pre.smooth()
        if isinstance(last := pre.contents[-1] if pre.contents else None, NavigableString):
            last.replace_with(str(last).rstrip("\n"))
        for text in pre.find_all(string=re.compile(r"\n{3,}")):  # two empty lines part functions on a screen; here one
            text.replace_with(re.sub(r"\n{3,}", "\n\n", str(text)))
    for paragraph in article.select("p:has(> :is(ul, ol, dl, p, pre, div, table))"):  # not allowed; browsers guess
        paragraph.name = "div"
    for tag in article.select("[tabindex], [title], [onclick], [data-theme]"):
        for attribute in ("tabindex", "title", "onclick", "data-theme"):
            del tag[attribute]


def clean_cell(cell: Tag) -> None:
    """Open a solution's code; leave out the code that draws a figure, and what a checked stub says of itself."""
    classes = classes_of(cell)
    for fold in cell.select("details.hide"):
        if "tag_solution" in classes:
            for summary in fold.select("summary"):
                summary.decompose()
            fold.unwrap()
        else:
            fold.decompose()
    if "tag_exercise" in classes:  # "not attempted"
        for output in cell.select(".cell_output"):
            output.decompose()
    if not cell.get_text().strip() and not cell.select("img, svg, math"):
        cell.decompose()


def prefix_ids(article: Tag, key: str) -> None:
    """Make every id unique in the whole book, and a name that XML accepts."""
    for tag in article.select("[id]"):
        tag["id"] = identifier(key, str(tag["id"]))
    for tag in article.select("[for], [aria-labelledby], [aria-describedby], [headers]"):
        for attribute in ("for", "aria-labelledby", "aria-describedby", "headers"):
            del tag[attribute]


def identifier(key: str, name: str) -> str:
    """Return the id in the book of what is called ``name`` on the page ``key``."""
    return f"{key}--{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}"


def level_headings(entry: Entry) -> None:
    """Number and title of a page from its first heading; chapters stand one level below their part.

    The page that opens a part has the part's heading; its others are no headings of the book.
    """
    down = 1 if entry.part and not entry.opens else 0
    for heading in entry.article.find_all(HEADINGS):
        level = int(heading.name[1])
        heading["class"] = f"level-{level}"
        heading.name = "p" if entry.opens and level > 1 else f"h{min(level + down, 6)}"
    first = entry.article.select_one(".level-1")
    if first is None:
        raise ValueError(f"{entry.name} has no title")
    number = first.select_one(".section-number")
    entry.number = number.get_text().strip(" .") if number else ""
    if entry.key == "preface":
        first.string = "Preface"
    entry.title = first.get_text().removeprefix(number.get_text() if number else "").strip()
    if entry.opens:
        first.replace_with(heading_of_part(entry.part))


def heading_of_part(caption: str) -> Tag:
    """Return the heading of "Part 1 · Jacobians", number and title apart."""
    first, dot, rest = caption.partition(" · ")
    heading = BeautifulSoup('<h1 class="level-1"></h1>', "html.parser").h1
    assert heading is not None
    if dot:
        number = BeautifulSoup('<span class="part-number"><span class="dot">:</span></span>', "html.parser").span
        assert number is not None
        number.insert(0, first)
        heading.extend([number, f" {rest}"])
    else:
        heading.string = caption
    return heading


def unnumbered(heading: Tag) -> tuple[str, Tag]:
    """Return the number of a section, and a copy of its heading without it, free of ids and links."""
    twin = copy.copy(heading)
    number = ""
    for tag in twin.select(".section-number"):
        number = tag.get_text().strip(" .")
        tag.decompose()
    for tag in twin.select("[id]"):
        del tag["id"]
    for link in twin.select("a"):
        link.unwrap()
    return number, twin


# -- solutions --------------------------------------------------------------------------------------------------------


def take_solutions(entry: Entry) -> list[Solution]:
    """Take the solutions out of a page; each exercise gets a link to its own.

    A solution is what stands folded behind an exercise, up to the next one: a cell of code, a text, or both. On the
    landing page every fold is a question with its answer.
    """
    found = []
    for exercise in entry.article.select("div.exercise"):
        body = []
        for sibling in exercise.find_next_siblings():
            classes = classes_of(sibling)
            if "exercise" in classes or sibling.name in HEADINGS or sibling.name == "section":
                break
            if "tag_solution" in classes or (sibling.name == "details" and "solution" in classes):
                body.append(sibling)
        title = exercise.find("p", class_="admonition-title")
        if body and isinstance(title, Tag) and exercise.get("id"):
            found.append(taken(str(exercise["id"]), title, body, "Solution"))
    for fold in entry.article.select("details"):
        summary = fold.find("summary")
        if not isinstance(summary, Tag):
            fold.unwrap()
            continue
        summary.name = "p"
        summary["class"] = "admonition-title"
        if entry.key == "preface":
            question = BeautifulSoup('<div class="question"></div>', "html.parser").div
            assert question is not None
            question["id"] = f"{entry.key}--question-{len(found) + 1}"
            fold.insert_before(question)
            question.append(summary.extract())
            found.append(taken(str(question["id"]), summary, [fold], "Answer"))
        else:  # a note: printed open
            fold.name = "div"
    return found


def taken(exercise: str, title: Tag, body: list[Tag], word: str) -> Solution:
    """Take a body out of its page, put a link to it behind the title, and return it as a solution."""
    solution = Solution(exercise, f"{exercise}-solution", copy.copy(title), [])
    for tag in solution.title.select("[id]"):
        del tag["id"]
    for tag in body:
        tag.extract()
        if tag.name == "details":
            tag.name = "div"
            tag["class"] = "answer"
            for summary in tag.find_all("summary", recursive=False):
                summary.decompose()
        solution.body.append(tag)
    title.append(" ")
    title.append(page_link(solution.key, word))
    return solution


def page_link(target: str, word: str) -> Tag:
    """Return a link that says on which page its target is; where there are no pages, the word alone stands."""
    soup = BeautifulSoup(
        f'<a class="leads" href="#{target}">{word}<span class="on-page"> on page '
        f'<span class="page" data-page="{target}">000</span></span></a>',
        "html.parser",
    )
    assert soup.a is not None
    return soup.a


# -- links ------------------------------------------------------------------------------------------------------------


def relink(piece: Tag, entry: Entry, targets: dict[str, Entry], known: set[str]) -> Iterator[str]:
    """Turn a piece's links into links inside the book; yields the addresses that lead nowhere in it."""
    for link in piece.select("a[href]"):
        address = str(link["href"])
        parts = urlsplit(address)
        if parts.scheme or parts.netloc or "leads" in classes_of(link):
            continue
        path = posixpath.normpath(posixpath.join(posixpath.dirname(entry.name), unquote(parts.path)))
        goal = targets.get(path.removesuffix(".html")) if parts.path else entry
        if goal is None:
            yield address
            link.unwrap()
            continue
        wanted = identifier(goal.key, unquote(parts.fragment)) if parts.fragment else goal.key
        link["href"] = f"#{wanted if wanted in known else goal.key}"
        if goal is not entry:
            add_class(link, "across")


def version() -> str:
    """Return the version of book and package, which is one."""
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    import mathdl

    return mathdl.__version__


def describe(book: Bound) -> dict[str, str]:
    """Return what the book says of itself: title, author, year, version, and what it is about."""
    config = settings()
    return {
        "title": str(config["title"]),
        "author": str(config["author"]),
        "year": str(config["copyright"]),
        "version": version(),
        "subtitle": book.entries[0].description,
    }
