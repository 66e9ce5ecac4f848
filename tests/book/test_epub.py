"""The book as an EPUB, and what both editions share: pages of the site turned into pieces of a book."""

from __future__ import annotations

import zipfile
from pathlib import Path

import made_up
import pytest
from bs4 import BeautifulSoup

from tools import book_epub, bound
from tools.bound import Bound


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return made_up.site(tmp_path / "site", paragraphs=1)


@pytest.fixture
def book(site: Path) -> Bound:
    return bound.bind(site, made_up.TOC)


def whole(book: Bound) -> str:
    return bound.with_formulas("\n".join(str(piece) for piece in bound.pieces(book)), book)


def test_ids_are_unique_in_the_whole_book_and_links_lead_to_them(book: Bound) -> None:
    text = BeautifulSoup(whole(book), "html.parser")
    ids = [tag["id"] for tag in text.select("[id]")]
    ids += [solution.key for _, solutions in book.solutions for solution in solutions]
    assert len(ids) == len(set(ids))
    links = [str(link["href"]) for link in text.select("a[href]")]
    assert {"#ch02--same", "#ch01--ex-2", "#words--word", "https://example.org/"} <= set(links)
    assert all(link[1:] in ids for link in links if not link.startswith("https:"))
    assert book.plain == ["book/1-first/01-one: ../../genindex.html", "book/1-first/02-two: ../../genindex.html"]


def test_what_needs_a_screen_is_gone(book: Bound) -> None:
    text = whole(book)
    for leftover in (
        "Show the",
        "hint",
        "not attempted",
        "draw()",
        "Play",
        "¶",
        "about-page",
        "minutes to read",
        "Begin",
    ):
        assert leftover not in text
    assert "annotation" not in text
    for kept in ("A disc.", "answer = ...", "It is 42.", "✓ checked", '<span class="base">σ</span>'):
        assert kept in text


def test_solutions_are_taken_to_the_end(book: Bound) -> None:
    chapter = next(entry for entry in book.entries if entry.key == "ch01")
    assert "Because" not in chapter.article.get_text()
    assert "42" not in chapter.article.get_text()
    solutions = {entry.key: found for entry, found in book.solutions}
    assert [solution.exercise for solution in solutions["ch01"]] == ["ch01--ex-1", "ch01--ex-2"]
    body = " ".join(tag.get_text() for tag in solutions["ch01"][1].body)
    assert "answer = 42" in body
    assert "it: right" in body
    assert "chapter 1, exercise 2." in body
    assert [solution.exercise for solution in solutions["preface"]] == ["preface--question-1"]


def test_parts_and_headings(book: Bound) -> None:
    assert [caption for caption, _ in book.parts] == ["", "Part 1 · First", "Appendix"]
    opener, chapter = book.parts[1][1][:2]
    assert opener.opens
    assert chapter.heading == "1\u2002One"
    assert [heading.name for heading in chapter.article.select("h1, h2, h3")] == ["h2", "h3", "h3"]
    assert [heading.name for heading in opener.article.select("h1, h2, h3")] == ["h1"]
    assert opener.article.get_text().count("Part 1") == 1


@pytest.fixture
def epub(site: Path, tmp_path: Path) -> Path:
    book = bound.bind(site, made_up.TOC, mathml=True)
    goal = tmp_path / "book.epub"
    book_epub.write(goal, book, book_epub.gather(book, made_up.ABOUT, site), made_up.ABOUT)
    return goal


def changed(epub: Path, name: str, before: str, after: str) -> Path:
    """Return a copy of the EPUB in which one file says something else."""
    copy = epub.with_name("changed.epub")
    with zipfile.ZipFile(epub) as old, zipfile.ZipFile(copy, "w") as new:
        for item in old.infolist():
            text = old.read(item)
            if item.filename == name:
                assert before.encode() in text
                text = text.replace(before.encode(), after.encode())
            new.writestr(item, text)
    return copy


def test_a_small_epub_is_well_made(epub: Path) -> None:
    assert book_epub.problems(epub) == []
    with zipfile.ZipFile(epub) as file:
        assert file.infolist()[0].filename == "mimetype"
        chapter = file.read("EPUB/ch01.xhtml").decode()
        package = file.read("EPUB/package.opf").decode()
        contents = file.read("EPUB/nav.xhtml").decode()
    assert 'href="ch02.xhtml#ch02--same"' in chapter
    assert 'href="solutions-ch01.xhtml#ch01--ex-1-solution"' in chapter
    assert 'alttext="\\sigma_{\\max}"' in chapter
    assert "katex" not in chapter.replace("katex-display", "")
    assert "\u2061" not in chapter  # a third part in a msub, which browsers show as an error
    assert 'properties="mathml"' in package
    assert "dcterms:modified" in package
    assert contents.index("Part 1") < contents.index("ch01.xhtml#ch01--same") < contents.index("solutions-ch01.xhtml")


@pytest.mark.parametrize(
    ("name", "before", "after", "problem"),
    [
        ("EPUB/ch01.xhtml", "ch02.xhtml#ch02--same", "ch02.xhtml#gone", "leads nowhere"),
        ("EPUB/ch01.xhtml", "</html>", "", "not well-formed"),
        ("EPUB/ch01.xhtml", 'alt="A disc."', "", "no text in its place"),
        ("EPUB/part-1.xhtml", "<title>First</title>", "<title></title>", "has no title"),
        ("EPUB/ch01.xhtml", 'id="ch01--check"', 'id="ch01--fig"', "twice"),
        ("EPUB/package.opf", 'href="ch02.xhtml"', 'href="ch03.xhtml"', "not there"),
        ("EPUB/package.opf", 'href="ch02.xhtml"', 'href="ch03.xhtml"', "not in the list"),
    ],
)
def test_what_is_wrong_with_an_epub_is_found(epub: Path, name: str, before: str, after: str, problem: str) -> None:
    assert any(problem in line for line in book_epub.problems(changed(epub, name, before, after)))
