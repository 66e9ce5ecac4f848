"""Collects what the search finds: headings, formulas, functions, exercises, figures, terms and sources, and the text.

Everything is read from the finished pages once all of them are written, because a warm build does not write the
unchanged ones again. The result is one classic script, ``_static/search-index.js``: it holds the search engine and
the entries, works from ``file://``, where a page may not fetch anything, and is loaded when a reader begins to search.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import json
import pickle
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bs4 import BeautifulSoup, Tag
from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

VENDOR = Path(__file__).resolve().parent.parent / "_static" / "vendor"

#: The kinds of entries, in the order of their numbers in the index; ``search.js`` has the words for them.
CHAPTER, SECTION, FORMULA, FUNCTION, MEMBER, EXERCISE, FIGURE, TERM, SOURCE = range(9)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", leave_sphinx_search_out)
    app.connect("html-collect-pages", search_page)
    app.connect("html-page-context", name_terms, priority=950)
    app.connect("html-page-context", list_terms, priority=950)
    app.connect("build-finished", write_index, priority=400)  # before whatever lists the site's files
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_sphinx_search_out(app: Sphinx) -> None:
    """Make neither ``searchindex.js`` nor Sphinx's own search page."""
    if app.builder.format == "html":
        app.builder.search = False  # type: ignore[attr-defined]


def search_page(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Return the page with the search on it, which only the site has."""
    return [("search", {"title": "Search"}, "search.html")] if app.builder.name == "html" else []


# -- glossary terms get an address -----------------------------------------------------------------------------------


def term_anchor(term: str) -> str:
    """Return the anchor of a glossary term: ``adjoint identity`` is at ``#term-adjoint-identity``."""
    return "term-" + (re.sub(r"[^\w]+", "-", term.casefold()).strip("-") or "of-its-own")


def name_terms(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Give each term of the glossary an ``id``, so that the search and the index can lead to it."""
    if pagename.endswith("glossary") and context.get("body"):
        context["body"] = re.sub(
            r"<dt>(.*?)</dt>",
            lambda term: f'<dt id="{term_anchor(words(reduced(term[1])))}">{term[1]}</dt>',
            context["body"],
            flags=re.DOTALL,
        )


def list_terms(app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any) -> None:
    """Put the glossary's terms into the general index, where Sphinx lists the functions only."""
    if pagename != "genindex" or "genindexentries" not in context:
        return
    letters = {letter: list(entries) for letter, entries in context["genindexentries"]}
    for page in sorted(page for page in app.env.found_docs if page.endswith("glossary")):
        for term in app.env.get_doctree(page).findall(nodes.term):
            name = term.astext()
            letter = name[0].upper() if name[0].isalpha() else "Symbols"
            address = f"{context['pathto'](page)}#{term_anchor(name)}"
            letters.setdefault(letter, []).append((name, [[("", address)], [], None]))
    for entries in letters.values():
        entries.sort(key=lambda entry: entry[0].casefold())
    context["genindexentries"] = sorted(letters.items(), key=lambda item: (item[0][0].isalpha(), item[0]))
    context["genindexcounts"] = [
        sum(1 + len(subentries) for _, (_, subentries, _) in entries) for _, entries in context["genindexentries"]
    ]


# -- what a page holds -----------------------------------------------------------------------------------------------


@dataclass
class Entry:
    """One thing that can be found: where it stands, what it is called, and what is said there."""

    kind: int
    anchor: str
    title: str
    number: str = ""
    text: str = ""  # what is said there; may be long
    shown: str = ""  # what a result shows in any case: a formula, a definition, the first line on a function
    under: str = ""  # the heading under which it stands
    names: str = ""  # words by which it is found and which are not shown


@dataclass
class Page:
    """One page of the book and its entries."""

    address: str
    title: str = ""
    number: str = ""
    entries: list[Entry] = field(default_factory=list)


def collect(source: str, address: str, public: Callable[[str], str] = lambda name: name) -> Page:
    """Collect the entries of one page from its HTML; ``public`` tells what the readers call an object of mathdl."""
    page = Page(address)
    article = BeautifulSoup(reduced(source), "html.parser")
    title = article.find("h1")
    if not isinstance(title, Tag):
        return page
    everything = article.find_all(True)
    glossary, bibliography = address.endswith("glossary.html"), address.endswith("bibliography.html")
    found: dict[int, Entry | None] = {}
    boxes, noise = [], []
    for element in everything:
        classes = element.get("class") or []
        if {"about-page", "chapter-line", "part-number"} & set(classes) or element.name in ("nav", "script", "button"):
            noise.append(element)
        elif element.name == "div" and "math" in classes:
            found[id(element)] = formula(element)
            noise.append(element)
        elif element.name == "dt" and "sig" in classes and element.get("id"):
            found[id(element)] = function(element, public)
        elif element.name == "figure":
            found[id(element)] = figure(element)
            noise.append(element)
        elif "exercise" in classes:
            boxes.append(element)
        elif glossary and element.name == "dt" and element.get("id"):
            found[id(element)] = term(element)
        elif bibliography and element.name == "p" and element.get("id"):
            found[id(element)] = reference(element)
            noise.append(element)
        if (
            {"cell", "solution", "py"} & set(classes)
            or element.name == "details"
            or (glossary and element.name == "dl")
        ):
            noise.append(element)
    page.number, page.title = numbered(title)
    part = article.find(class_="part-number")
    if part is not None and not page.number:
        page.number = one_line(part.get_text())  # "Part 2", on the page that opens it
    for element in noise:
        element.extract()
    for box in boxes:
        found[id(box)] = exercise(box)
        box.extract()
    for section in reversed(article.find_all("section")):  # the inner ones first: a section's text is its own
        found[id(section)] = section_entry(section, title, page.number)
        section.extract()
    page.entries = [entry for element in everything if (entry := found.get(id(element))) is not None]
    return page


def section_entry(section: Tag, title: Tag, chapter: str) -> Entry | None:
    """Return a section with its own words; the one with the page's title stands for the page."""
    heading = section.find(re.compile(r"^h[1-6]$"))
    if not isinstance(heading, Tag):
        return None
    number, name = numbered(heading)
    heading.extract()
    if heading is title:
        return Entry(CHAPTER, "", name, chapter, words(str(section)))
    return Entry(SECTION, str(section.get("id", "")), name, number, words(str(section)))


def formula(box: Tag) -> Entry | None:
    """Return a labelled formula; ``eq-d-layer-softmax`` is called "softmax, derivative"."""
    anchor = str(box.get("id", ""))
    if not anchor.startswith("equation-"):
        return None
    label = anchor.removeprefix("equation-")
    number, line_of_text, before = box.find(class_="eqno"), box.find("var"), box.find_previous_sibling("p")
    names = str(line_of_text.get("title", "")) if isinstance(line_of_text, Tag) else ""
    if label.startswith("eq-d-"):
        names += " derivative jacobian gradient"
    return Entry(
        FORMULA,
        anchor,
        formula_name(label),
        number.get_text().strip("() \n") if number else "",
        re.split(r"(?<=[.?!]) ", words(str(before)))[-1][-200:] if before else "",
        one_line(line_of_text.get_text()) if line_of_text else "",
        heading_of(box),
        names.strip(),
    )


def formula_name(label: str) -> str:
    """Return what a formula is called: its label without the mark and without the word for its chapter."""
    derivative = label.startswith("eq-d-")
    parts = label.removeprefix("eq-").removeprefix("d-" if derivative else "").split("-")
    name = " ".join(parts[1:] or parts)
    return f"{name}, derivative" if derivative else name


def function(sign: Tag, public: Callable[[str], str]) -> Entry:
    """Return a function or a class of mathdl, or what belongs to a class, with the first line of what is said on it."""
    block, said = sign.parent, sign.find_next_sibling("dd")
    first = said.find("p", recursive=False) if isinstance(said, Tag) else None
    full = str(sign["id"])
    owner, _, last = full.rpartition(".")
    if block and {"function", "class", "exception", "data"} & set(block.get("class") or []):
        kind, name = FUNCTION, public(full)
    else:
        kind, name = MEMBER, f"{public(owner)}.{last}"
    return Entry(kind, full, name, shown=words(str(first)) if first else "")


def figure(box: Tag) -> Entry | None:
    """Return a figure; the first sentence of its caption is its title."""
    caption = box.find("figcaption")
    if not isinstance(caption, Tag) or not box.get("id"):
        return None
    number = caption.find(class_="caption-number")
    number_text = number.extract().get_text().strip() if number else ""
    first, _, rest = words(str(caption)).partition(". ")
    return Entry(FIGURE, str(box["id"]), first.rstrip("."), number_text, rest, under=heading_of(box))


def exercise(box: Tag) -> Entry | None:
    """Return an exercise with what it asks; its solution is for those who have tried."""
    title = box.find(class_="admonition-title")
    match = re.match(r"(Exercise [\d.]+)?\s*\(?(.*?)\)?$", words(str(title))) if title else None
    if title is None or match is None or not box.get("id"):
        return None
    title.extract()
    return Entry(EXERCISE, str(box["id"]), match[2], match[1] or "", words(str(box)))


def term(sign: Tag) -> Entry:
    """Return a term of the glossary with its definition, without the pointer to the chapter."""
    meaning = sign.find_next_sibling("dd")
    text = re.sub(r"\s*\([^()]*\)$", "", words(str(meaning))) if meaning else ""
    return Entry(TERM, str(sign["id"]), words(str(sign)), shown=text)


def reference(box: Tag) -> Entry:
    """Return an entry of the bibliography: its title, with the authors and the year."""
    title, text = box.find("em"), words(str(box))
    authors = re.match(r".*?\(\d{4}\w?\)", text)
    name = words(str(title)).rstrip(".") if title else text[:80]
    return Entry(SOURCE, str(box["id"]), name, shown=authors[0] if authors else text)


def heading_of(element: Tag) -> str:
    """Return the heading of the section in which something stands, unless that is the page's title."""
    section = element.find_parent("section")
    heading = section.find(re.compile(r"^h[2-6]$"), recursive=False) if isinstance(section, Tag) else None
    return numbered(heading)[1] if isinstance(heading, Tag) else ""


def numbered(heading: Tag) -> tuple[str, str]:
    """Return a heading's number and its words."""
    number = heading.find(class_="section-number")
    text = words(str(heading))
    if number is None:
        return "", text
    first = words(str(number))
    return first.rstrip("."), text.removeprefix(first).strip()


# -- from HTML to words ----------------------------------------------------------------------------------------------


def reduced(source: str) -> str:
    """Return a page's article without listings, and with each formula as a line of text: a small share of the page."""
    start, end = source.find("<article"), source.rfind("</article>")
    if 0 <= start < end:
        source = source[start:end]
    for noise in (r"<pre\b.*?</pre>", r'<a\b[^>]*class="(?:headerlink|checked)[^>]*>.*?</a>'):
        source = re.sub(noise, "", source, flags=re.DOTALL)
    parts, done = [], 0
    while (start := source.find('<span class="katex">', done)) >= 0:
        depth, end = 0, len(source)
        for tag in re.finditer(r"<span\b|</span>", source[start:]):
            depth += 1 if tag[0] != "</span>" else -1
            if depth == 0:
                end = start + tag.end()
                break
        mathml = re.search(r"<math\b.*?</math>", source[start:end], re.DOTALL)
        text, names = read_mathml(mathml[0]) if mathml else ("", [])
        parts += [source[done:start], f'<var title="{html.escape(" ".join(names))}">{html.escape(text)}</var>']
        done = end
    return "".join([*parts, source[done:]])


def words(source: str) -> str:
    """Return the text of a piece of HTML on one line."""
    source = re.sub(r"</?(?:p|li|dd|dt|td|th|tr|div|section|aside|br|h\d)\b[^>]*>", " ", source)
    return one_line(html.unescape(re.sub(r"<[^>]*>", "", source)))


def one_line(text: str) -> str:
    return " ".join(text.translate(INVISIBLE).split())


INVISIBLE = {0x2061: "", 0x2062: "", 0x200B: "", 0xAD: "", 0xA0: " "}
RAISED = str.maketrans("0123456789+−-=()niT⊤𝖳", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱᵀᵀᵀ")
LOWERED = str.maketrans("0123456789+−-=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
SPACED = set("=+−≈≤≥<>∈→≠:≔∝⇒∼≪≫↦⟹±")
ACCENTS = {
    "^": "\u0302",
    "ˆ": "\u0302",
    "~": "\u0303",
    "˜": "\u0303",
    "ˉ": "\u0304",
    "¯": "\u0304",
    "˙": "\u0307",
    "⃗": "\u20d7",
}


def read_mathml(source: str) -> tuple[str, list[str]]:
    """Return a formula as one line of text, such as ``∂p/∂z = diag(p) − ppᵀ``, and the names of functions in it."""
    try:
        tree = ElementTree.fromstring(source)
    except ElementTree.ParseError:
        return " ".join(re.sub(r"<annotation.*?</annotation>|<[^>]*>", "", source, flags=re.DOTALL).split()), []
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    names = [
        e.text for e in tree.iter() if e.tag in ("mi", "mo", "mtext") and re.fullmatch(r"[A-Za-z]{2,}", e.text or "")
    ]
    text = re.sub(r"\s+", " ", line(tree)).strip()
    text = re.sub(r"(?<=[a-z]{2}) \(", "(", text)
    text = re.sub(r" ([,.;)\]])", r"\1", re.sub(r"([(\[]) ", r"\1", text))
    return text.rstrip(" .,;"), list(dict.fromkeys(name for name in names if name))


def line(element: ElementTree.Element) -> str:
    """Return one element of MathML as text."""
    tag, text = element.tag, (element.text or "").translate(INVISIBLE)
    if tag in ("annotation", "none"):
        return ""
    if tag in ("mspace", "mtext") and not text.strip():
        return " "
    if tag == "mo":
        return f" {text} " if text in SPACED else f"{text} " if text == "," else text
    if tag == "mi":
        return f" {text} " if len(text) > 1 and text.isalpha() else text
    parts = [line(child) for child in element]
    whole = [part.strip() for part in parts]
    if tag == "msub":
        return whole[0] + script(whole[1], LOWERED, "_")
    if tag == "msup":
        return whole[0] + script(whole[1], RAISED, "^")
    if tag == "msubsup":
        return whole[0] + script(whole[1], LOWERED, "_") + script(whole[2], RAISED, "^")
    if tag == "mfrac":
        return f"{grouped(whole[0])}/{grouped(whole[1])}"
    if tag == "msqrt":
        return f"√{grouped(' '.join(whole))}"
    if tag == "mover":
        return whole[0] + ACCENTS[whole[1]] if whole[1] in ACCENTS else f"{whole[0]}" + script(whole[1], RAISED, "^")
    if tag == "munder":
        return f"{whole[0]}{script(whole[1], LOWERED, '_')} "
    if tag == "munderover":
        return f"{whole[0]}{script(whole[1], LOWERED, '_')}{script(whole[2], RAISED, '^')} "
    if tag == "mtable":
        return "; ".join(row.rstrip(" ,;") for row in whole)
    if tag == "mtd":
        return "".join(parts) + " "
    return text + "".join(parts)


def script(text: str, letters: dict[int, int], mark: str) -> str:
    """Return an index or a power in small letters where Unicode has them, else after ``_`` or ``^``."""
    bare = text.replace(" ", "")
    if not bare:
        return ""
    if all(letter == "′" for letter in bare):
        return bare
    if all(ord(letter) in letters for letter in bare):
        return bare.translate(letters)
    return f"{mark}{bare}" if len(bare) == 1 or bare.isalnum() else f"{mark}({text})"


def grouped(text: str) -> str:
    return f"({text})" if re.search(r"[ +−]", text) else text


# -- the names that readers use --------------------------------------------------------------------------------------


def public_name(full: str) -> str:
    """Return the shortest name under which ``import mathdl as md`` reaches an object: ``md.jacobian``."""
    parts = full.split(".")
    if parts[0] != "mathdl":
        return full
    try:
        thing: Any = importlib.import_module("mathdl")
        for depth, part in enumerate(parts[1:], 2):
            if not hasattr(thing, part):
                importlib.import_module(".".join(parts[:depth]))
            thing = getattr(thing, part)
    except (ImportError, AttributeError):
        return "md." + ".".join(parts[1:])
    for shorter in (parts[-1:], [parts[1], parts[-1]]):
        other: Any = importlib.import_module("mathdl")
        for part in shorter:
            other = getattr(other, part, None)
        if other is thing:
            return "md." + ".".join(shorter)
    return "md." + ".".join(parts[1:])


def spell(pages: Iterable[Page]) -> None:
    """Write the words of formulas' names as the book does: labels have small letters, Lyapunov has a large one."""
    pages = list(pages)
    forms: dict[str, Counter[str]] = {}
    for page in pages:
        for entry in page.entries:
            for word in re.findall(r"(?<![.?!:] )(?<!^)\b[^\W\d_]+\b", f"{entry.text} {entry.shown}"):
                forms.setdefault(word.casefold(), Counter())[word] += 1
    for page in pages:
        for entry in page.entries:
            if entry.kind == FORMULA:
                name = re.sub(
                    r"[^\W\d_]+",
                    lambda word: forms[word[0]].most_common(1)[0][0] if word[0] in forms else word[0],
                    entry.title,
                )
                entry.title = name[:1].upper() + name[1:]


# -- the index -------------------------------------------------------------------------------------------------------


def index_scripts(pages: Iterable[Page], engine: str = "") -> tuple[str, str]:
    """Return two scripts: the engine with all that has a name, and the longer texts, which may come a moment later."""
    data: list[Any] = []
    texts = []
    for page in pages:
        packed: list[list[Any]] = []
        for e in page.entries:
            implied = "mathdl" + e.title.removeprefix("md") if e.kind in (FUNCTION, MEMBER) else slug(e.title)
            entry = [e.kind, 1 if e.anchor == implied else e.anchor, e.number, e.title, e.shown, e.under, e.names]
            while entry[-1] == "":
                entry.pop()
            packed.append(entry)
            texts.append(e.text)
        data.append([page.address, page.number, page.title, packed])
    return f"{engine}\n{assigned('SEARCH_INDEX', data)}", assigned("SEARCH_TEXT", texts)


def slug(title: str) -> str:
    """Return the anchor that most headings have, so that it need not be stored; ``search.js`` makes the same."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def assigned(name: str, value: Any) -> str:
    """Return a script that sets a variable; it stays harmless even where it is copied into a page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for mark, escaped in (("</", "<\\/"), ("<!--", "<\\!--"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029")):
        text = text.replace(mark, escaped)
    return f"globalThis.{name} = {text};\n"


def without_comments(script: str) -> str:
    """Return the engine without its documentation, which readers need not load; its licence is named at the top."""
    script = re.sub(r"^\s*/\*\*.*?\*/\n", "", script, flags=re.DOTALL | re.MULTILINE)
    script = re.sub(r"^\s*//.*\n", "", script, flags=re.MULTILINE)
    return re.sub(r"^\s+", "", script, flags=re.MULTILINE)


def write_index(app: Sphinx, exception: Exception | None) -> None:
    """Write the index of the built site, and tell its pages which version of it to load."""
    if exception is not None or app.builder.name != "html":
        return
    root = Path(app.outdir)
    documents = [path for page in sorted(app.env.found_docs) if (path := root / f"{page}.html").exists()]
    pages = collect_all(root, documents, Path(app.doctreedir) / "search.pickle")
    spell(pages)
    licence = (VENDOR / "minisearch.LICENSE.txt").read_text(encoding="utf-8").strip()
    engine = without_comments((VENDOR / "minisearch.js").read_text(encoding="utf-8"))
    index, text = index_scripts(pages, f"/* MiniSearch (https://lucaong.github.io/minisearch)\n{licence} */\n{engine}")
    index += f'globalThis.SEARCH_TEXT_AT = "search-text.js?v={version(text)}";\n'
    (root / "_static").mkdir(exist_ok=True)
    for name, script in (("search-index.js", index), ("search-text.js", text)):
        (root / "_static" / name).write_text(script, encoding="utf-8", newline="\n")
    for path in [*documents, *(root / f"{name}.html" for name in ("search", "genindex"))]:
        if path.exists():
            before = path.read_text(encoding="utf-8")
            after = point_to_index(before, version(index))
            if after != before:
                path.write_text(after, encoding="utf-8", newline="\n")


def version(script: str) -> str:
    """Return what changes with a script: an address with it is never answered with an older one from a cache."""
    return hashlib.sha256(script.encode()).hexdigest()[:10]


def collect_all(root: Path, documents: list[Path], memory: Path) -> list[Page]:
    """Collect from all pages; what was collected from a page in an earlier build is used again while it is the same."""
    known: dict[str, tuple[str, Page]] = pickle.loads(memory.read_bytes()) if memory.exists() else {}
    now: dict[str, tuple[str, Page]] = {}
    for path in documents:
        address, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        content = hashlib.sha256(text[text.find("<article") : text.rfind("</article>")].encode()).hexdigest()
        before = known.get(address)
        now[address] = before if before and before[0] == content else (content, collect(text, address, public_name))
    if now != known:
        memory.write_bytes(pickle.dumps(now))
    return [page for _, page in now.values() if page.title]


def point_to_index(page: str, now: str) -> str:
    """Tell a page's ``search.js`` the version of the index, so that no browser uses an old one from its cache."""

    def pointed(tag: re.Match[str]) -> str:
        bare = re.sub(r'\s+data-index="[^"]*"', "", tag[0])
        return f'{bare[:-1]} data-index="search-index.js?v={now}">'

    return re.sub(r"<script\b[^>]*_static/search\.js[^>]*>", pointed, page)
