"""`make epub`: the whole book as an EPUB 3, `_build/epub/from-jacobians-to-adam.epub`, made from the built site.

One file a chapter, its formulas as MathML, its figures as they are on the site, solutions at the end. An EPUB is a zip
of XHTML with a list of what is in it, so nothing but Python's own library is needed to write one.
"""

from __future__ import annotations

import html
import re
import sys
import uuid
import zipfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

if __package__ is None:  # run as `python tools/book_epub.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools import bound
from tools.bound import Bound, unnumbered
from tools.settings import BUILD, ROOT, SITE

FOLDER = BUILD / "epub"
STYLE = ROOT / "tools" / "book_epub.css"
COVER = ROOT / "book" / "_static" / "thread.svg"
TYPES = {
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".css": "text/css",
    ".xhtml": "application/xhtml+xml",
}
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="EPUB/package.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
ACCESSIBLE = {
    "accessMode": ["textual", "visual"],
    "accessModeSufficient": ["textual"],
    "accessibilityFeature": [
        *("alternativeText", "MathML", "structuralNavigation", "tableOfContents", "readingOrder"),
        "displayTransformability",
    ],
    "accessibilityHazard": ["none"],
    "accessibilitySummary": [
        "Every figure has a text that says what it shows; formulas are MathML; headings, lists, tables are marked up."
    ],
}


@dataclass
class Files:
    """What goes into the EPUB: texts in reading order, and everything else."""

    texts: dict[str, str] = field(default_factory=dict)  # file name -> body
    titles: dict[str, str] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)


def gather(book: Bound, about: dict[str, str], site: Path) -> Files:
    """Return the book's files, every link leading from file to file."""
    files = Files()
    for piece in bound.pieces(book):
        for image in piece.select("img[src]"):
            source = str(image["src"])
            name = f"images/{PurePosixPath(source).name}"
            files.images[name] = picture(site / source)
            image["src"] = name
            del image["style"]
        for words in piece.select(".on-page"):
            words.decompose()
    files.images["images/cover.svg"] = picture(COVER)
    files.texts["title.xhtml"] = title_page(about)
    files.titles["title.xhtml"] = about["title"]
    for entry in book.entries:
        files.texts[f"{entry.key}.xhtml"] = str(entry.article)
        files.titles[f"{entry.key}.xhtml"] = entry.heading
    for entry, solutions in book.solutions:
        lines = [f'<section id="solutions--{entry.key}"><h2 class="level-1">Solutions: {html.escape(entry.title)}</h2>']
        for solution in solutions:
            link = bound.page_link(solution.exercise, "Exercise" if entry.number else "Question")
            for words in link.select(".on-page"):
                words.decompose()
            solution.title.extend([" ", link])
            body = "".join(str(tag) for tag in solution.body)
            lines.append(f'<div class="solved" id="{solution.key}">{solution.title}{body}</div>')
        name = f"solutions-{entry.key}.xhtml"
        files.texts[name] = "\n".join([*lines, "</section>"])
        files.titles[name] = f"Solutions: {entry.title}"
    where = {key: name for name, text in files.texts.items() for key in re.findall(r'\bid="([^"]+)"', text)}
    for here, text in files.texts.items():

        def lead(match: re.Match[str], here: str = here) -> str:
            return f'href="{address(match[1], where, here)}"'

        files.texts[here] = bound.with_formulas(re.sub(r'href="#([^"]+)"', lead, text), book)
    return files


def address(key: str, where: dict[str, str], here: str) -> str:
    """Return the address of an id as seen from a file."""
    there = where[key]
    if f"{key}.xhtml" == there:
        return there
    return f"#{key}" if there == here else f"{there}#{key}"


def picture(path: Path) -> bytes:
    """Return a picture's bytes; a drawing without what EPUB's stricter SVG does not allow and nobody sees."""
    data = path.read_bytes()
    if path.suffix == ".svg":
        data = re.sub(rb"<!DOCTYPE[^>]*>", b"", data)
        data = re.sub(rb"<metadata>.*?</metadata>", b"", data, flags=re.DOTALL)
        data = re.sub(rb"<path(?=\s)(?![^>]*\sd=)", b'<path d=""', data)  # a letter without ink, a line without points
        seen: set[bytes] = set()

        def once(match: re.Match[bytes]) -> bytes:
            if match[1] in seen:
                return b""
            seen.add(match[1])
            return match[0]

        data = re.sub(rb'\sid="([^"]*)"', once, data)
    return data


def title_page(about: dict[str, str]) -> str:
    return (
        f'<section class="title-page"><h1>{html.escape(about["title"])}</h1><p>{html.escape(about["subtitle"])}</p>'
        '<p><img src="images/cover.svg" alt="The thread of the course: changes are pushed forward through Jacobians, '
        'and gradients are pulled back through their transposes."/></p>'
        f"<p>{html.escape(about['author'])}. Version {about['version']}, {about['year']}.</p>"
        "<p>Text and figures: Creative Commons Attribution 4.0 International (CC BY 4.0). Code: BSD 3-Clause.</p>"
        "<p>Made from the same source as the course’s website and notebooks. Answers and solutions stand at the end. "
        "Left to the site and the notebooks are the code that only draws figures and the hints to exercises.</p>"
        "</section>"
    )


def page(title: str, body: str) -> str:
    """Return one XHTML file."""
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">'
        f'\n<head><meta charset="utf-8"/><title>{html.escape(title)}</title>'
        f'<link rel="stylesheet" type="text/css" href="style.css"/></head>\n<body>\n{body}\n</body>\n</html>\n'
    )


def navigation(book: Bound) -> str:
    """Return the contents that a reader's menu shows: parts, chapters, sections, solutions."""
    lines = ['<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>']
    for caption, entries in book.parts:
        opener = entries[0] if entries[0].opens else None
        if caption:
            name = html.escape(caption)
            lines.append(
                f'<li><a href="{opener.key}.xhtml">{name}</a><ol>' if opener else f"<li><span>{name}</span><ol>"
            )
        for entry in entries:
            if entry is opener:
                continue
            lines.append(f'<li><a href="{entry.key}.xhtml">{html.escape(entry.heading)}</a>')
            if entry.number and entry.sections:
                lines.append("<ol>")
                for key, heading in entry.sections:
                    number, words = unnumbered(heading)
                    text = re.sub(
                        r"<[^>]*>", "", bound.with_formulas(f"{number} {words.decode_contents()}", book)
                    ).strip()
                    lines.append(f'<li><a href="{entry.key}.xhtml#{key}">{text}</a></li>')
                lines.append("</ol>")
            lines.append("</li>")
        if caption:
            lines.append("</ol></li>")
    if book.solutions:
        lines.append("<li><span>Solutions</span><ol>")
        for entry, _ in book.solutions:
            lines.append(f'<li><a href="solutions-{entry.key}.xhtml">{html.escape(entry.heading)}</a></li>')
        lines.append("</ol></li>")
    lines.append("</ol></nav>")
    first = book.entries[0].key
    lines.append(
        '<nav epub:type="landmarks" id="landmarks" hidden=""><h2>Places</h2><ol>'
        '<li><a epub:type="titlepage" href="title.xhtml">Title page</a></li>'
        '<li><a epub:type="toc" href="nav.xhtml">Contents</a></li>'
        f'<li><a epub:type="bodymatter" href="{first}.xhtml">Start</a></li></ol></nav>'
    )
    return "\n".join(lines)


def package(files: Files, about: dict[str, str], modified: str) -> str:
    """Return the list of everything in the EPUB, and what the book says of itself."""
    identifier = uuid.uuid5(uuid.NAMESPACE_URL, f"{bound.NAME}/{about['version']}")
    said = [
        f'<dc:identifier id="book-id">urn:uuid:{identifier}</dc:identifier>',
        f"<dc:title>{html.escape(about['title'])}</dc:title>",
        f"<dc:creator>{html.escape(about['author'])}</dc:creator>",
        "<dc:language>en</dc:language>",
        f"<dc:description>{html.escape(about['subtitle'])}</dc:description>",
        f"<dc:rights>© {about['year']} {html.escape(about['author'])}. Text and figures CC BY 4.0, code BSD-3-Clause."
        "</dc:rights>",
        f'<meta property="dcterms:modified">{modified}</meta>',
        *(f'<meta property="schema:{key}">{value}</meta>' for key, values in ACCESSIBLE.items() for value in values),
    ]
    items = ['<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>']
    items.append('<item id="style" href="style.css" media-type="text/css"/>')
    for name, text in files.texts.items():
        maths = ' properties="mathml"' if "<math" in text else ""
        items.append(f'<item id="{name[:-6]}" href="{name}" media-type="{TYPES[".xhtml"]}"{maths}/>')
    for k, name in enumerate(files.images):
        cover = ' properties="cover-image"' if name == "images/cover.svg" else ""
        kind = TYPES[PurePosixPath(name).suffix]
        items.append(f'<item id="image-{k}" href="{name}" media-type="{kind}"{cover}/>')
    names = list(files.texts)
    order = [names[0], "nav.xhtml", *names[1:]]
    spine = [f'<itemref idref="{name[:-6]}"/>' for name in order]
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="book-id" xml:lang="en">\n'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">\n'
        + "\n".join(said)
        + "\n</metadata>\n<manifest>\n"
        + "\n".join(items)
        + "\n</manifest>\n<spine>\n"
        + "\n".join(spine)
        + "\n</spine>\n</package>\n"
    )


def write(goal: Path, book: Bound, files: Files, about: dict[str, str]) -> None:
    """Write the EPUB: the type of the file first and uncompressed, as the format asks."""
    modified = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    goal.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(goal, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(zipfile.ZipInfo("mimetype"), "application/epub+zip", zipfile.ZIP_STORED)
        out.writestr("META-INF/container.xml", CONTAINER)
        out.writestr("EPUB/package.opf", package(files, about, modified))
        out.writestr("EPUB/nav.xhtml", page("Contents", navigation(book)))
        out.writestr("EPUB/style.css", STYLE.read_text(encoding="utf-8"))
        for name, text in files.texts.items():
            out.writestr(f"EPUB/{name}", page(files.titles[name], text))
        for name, data in files.images.items():
            out.writestr(f"EPUB/{name}", data)


# -- what is wrong with an EPUB ---------------------------------------------------------------------------------------


def problems(path: Path) -> list[str]:
    """Return what breaks the rules that a reader's program relies on, in the EPUB at ``path``."""
    found = []
    with zipfile.ZipFile(path) as book:
        names = book.namelist()
        first = book.infolist()[0]
        if first.filename != "mimetype" or first.compress_type != zipfile.ZIP_STORED:
            found.append("the type of the file does not stand first and uncompressed")
        trees = {}
        for name in names:
            if name.endswith((".xhtml", ".opf", ".svg", ".xml")):
                try:
                    trees[name] = ElementTree.fromstring(book.read(name))
                except ElementTree.ParseError as error:
                    found.append(f"{name} is not well-formed: {error}")
    package = trees.get("EPUB/package.opf")
    if package is None:
        return [*found, "there is no package"]
    listed = {f"EPUB/{item.get('href')}" for item in package.iter("{http://www.idpf.org/2007/opf}item")}
    there = {name for name in names if name.startswith("EPUB/") and name != "EPUB/package.opf"}
    found += [f"{name} is not in the list of files" for name in sorted(there - listed)]
    found += [f"{name} is listed and not there" for name in sorted(listed - there)]
    texts = {name: tree for name, tree in trees.items() if name.endswith(".xhtml")}
    ids = {name: [key for tag in tree.iter() if (key := tag.get("id"))] for name, tree in texts.items()}
    for name, tree in texts.items():
        found += [f"{name} has the id {key} twice" for key in sorted({k for k in ids[name] if ids[name].count(k) > 1})]
        for tag in tree.iter():
            for goal in (tag.get("href"), tag.get("src")):
                if goal is None or re.match(r"[a-z]+:", goal):
                    continue
                file, _, key = goal.partition("#")
                file = f"EPUB/{file}" if file else name
                if file not in there or (key and key not in ids.get(file, [])):
                    found.append(f"{name}: {goal} leads nowhere")
            if tag.tag.endswith("}title") and not (tag.text or "").strip():
                found.append(f"{name} has no title")
            if tag.tag.endswith("}img") and not tag.get("alt"):
                found.append(f"{name}: {tag.get('src')} has no text in its place")
    return found


def main() -> int:
    try:
        book = bound.bind(SITE, bound.table_of_contents(), mathml=True)
    except FileNotFoundError as error:
        print(f"{error.filename} is not there: run make book first")
        return 1
    about = bound.describe(book)
    goal = FOLDER / f"{bound.NAME}.epub"
    write(goal, book, gather(book, about, SITE), about)
    if wrong := problems(goal):
        print(f"{goal.relative_to(ROOT)} was written, and is not good:\n  " + "\n  ".join(wrong[:40]))
        return 1
    print(f"The book is written: {goal} ({goal.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
