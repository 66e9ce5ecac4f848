"""The book as one PDF: a made-up book is printed, and each check of the printed book sees what it is there to see."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import made_up
import pytest
from pypdf import PdfReader, PdfWriter

from tools import book_pdf, bound, chromium, pdf_file


class Printed:
    """A made-up book after `make pdf`: its page, its PDF, and what was cut off."""

    def __init__(self, browser: Any, folder: Path) -> None:
        site = made_up.site(folder / "site")
        book = bound.bind(site, made_up.TOC)
        source, self.path = folder / "book.html", folder / "book.pdf"
        text = book_pdf.assemble(book, made_up.ABOUT, site, folder)
        page = browser.new_page()
        self.numbers, self.cut = book_pdf.print_until_stable(page, text, source, self.path)
        page.close()
        self.page = source.read_text(encoding="utf-8")
        self.raw = self.path.read_bytes()
        said = {"Title": made_up.ABOUT["title"], "Author": made_up.ABOUT["author"]}
        titles = [title for _, title in book_pdf.headings(self.page)]
        self.path.write_bytes(pdf_file.rewritten(self.raw, said, titles))
        self.reader = PdfReader(self.path)


@pytest.fixture(scope="module")
def printed(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Printed:
    return Printed(browser, tmp_path_factory.mktemp("pdf"))


def test_a_small_book_is_printed_without_fault(printed: Printed) -> None:
    assert printed.cut == []
    assert book_pdf.problems(printed.path, printed.page, figures=0) == []
    assert printed.reader.metadata is not None
    assert printed.reader.metadata.title == "A made-up book"
    assert printed.reader.metadata.author == "Nobody"
    assert printed.reader.trailer["/Root"]["/Lang"] == "en"


def test_it_has_every_chapter_and_the_solutions_at_the_end(printed: Printed) -> None:
    numbers = printed.numbers
    order = ["preface", "part-1", "ch01", "ch02", "words", "solutions"]
    assert [numbers[key] for key in order] == sorted(numbers[key] for key in order)
    assert len({numbers[key] for key in order}) == len(order)
    solution = printed.reader.pages[numbers["ch02--ex-1-solution"] - 1].extract_text()
    assert "Because of chapter 2, exercise 1." in solution
    assert f"Exercise on page {numbers['ch02--ex-1']}" in solution
    asked = printed.reader.pages[numbers["ch02--ex-1"] - 1].extract_text()
    assert f"Solution on page {numbers['ch02--ex-1-solution']}" in asked
    assert "Because" not in asked


def test_the_foot_of_a_page_has_its_chapter_and_its_number(printed: Printed) -> None:
    n = printed.numbers["ch02"]
    for k in (n, n + 1):
        text = " ".join(printed.reader.pages[k - 1].extract_text().split())
        assert re.match(rf"{k} ?2 Two|2 Two ?{k}", text)  # Chromium draws the margins first


def test_references_to_other_chapters_have_pages(printed: Printed) -> None:
    n = printed.numbers["ch02--same"]
    text = " ".join(printed.reader.pages[printed.numbers["ch01"] - 1].extract_text().split())
    assert f"the other one (p. {n}) (or here, p. {n})" in text


def test_bookmarks_are_nested(printed: Printed) -> None:
    marks = [(depth, title) for depth, title, _ in pdf_file.outline(printed.reader)]
    assert (0, "Part 1: First") in marks
    assert (1, "1 One") in marks
    assert (2, "1.1. A section") in marks
    assert (1, "Solutions") in marks
    assert all("chapters" not in title for _, title in marks)


def test_figures_stay_drawings(printed: Printed) -> None:
    assert pdf_file.raster_images(printed.reader) == 0


def test_fonts_are_embedded_as_fonts(printed: Printed) -> None:
    found = {}
    for page in printed.reader.pages:
        resources: Any = page["/Resources"]
        for font in resources["/Font"].get_object().values():
            found[str(font.get_object().get("/BaseFont", "drawn"))] = font.get_object()["/Subtype"]
    assert any("SourceSerif" in name for name in found)
    assert "/Type3" not in found.values()


def test_the_packed_file_says_the_same_and_is_smaller(printed: Printed) -> None:
    before = PdfReader(io.BytesIO(printed.raw))
    assert len(printed.path.read_bytes()) < 0.9 * len(printed.raw)
    n = printed.numbers["ch01--ex-1"] - 1
    assert len(before.pages) == len(printed.reader.pages)
    assert before.pages[n].extract_text() == printed.reader.pages[n].extract_text()
    assert pdf_file.destinations(before) == pdf_file.destinations(printed.reader)


def test_wrong_numbers_and_dead_links_are_found(printed: Printed) -> None:
    n = printed.numbers["ch02"]
    wrong = printed.page.replace(f'data-page="ch02">{n}<', f'data-page="ch02">{n + 1}<')
    assert book_pdf.wrong_numbers(wrong, printed.numbers) == [f"ch02 is said to be on page {n + 1} and is on page {n}"]
    dead = printed.page.replace("</body>", '<a href="#nowhere">x</a></body>')
    assert book_pdf.dead_links(printed.reader, dead) == ["a link to nowhere leads nowhere"]


def test_bookmarks_that_differ_from_the_headings_are_found(printed: Printed) -> None:
    marks = pdf_file.outline(printed.reader)
    assert book_pdf.misnested(marks, printed.page) == []
    assert book_pdf.misnested(marks[:-1], printed.page)
    assert book_pdf.misnested([(0, title, page) for _, title, page in marks], printed.page)
    assert book_pdf.misnested([(depth, title, page + 1) for depth, title, page in marks], printed.page)


@pytest.mark.parametrize("planted", ["Show the code", "First hint", r"so \frac{1}{2} of it", "costs $x^2$ steps"])
def test_what_makes_no_sense_on_paper_is_found(planted: str) -> None:
    assert book_pdf.noise(f"<body><p>{planted}</p></body>")
    assert not book_pdf.noise(f"<body><pre>{planted}</pre><p>fine, for $5</p></body>")


def test_a_blank_page_is_found(printed: Printed) -> None:
    writer = PdfWriter(clone_from=printed.path)
    writer.insert_blank_page(index=2)
    planted = io.BytesIO()
    writer.write(planted)
    assert book_pdf.blank_pages(printed.reader) == []
    assert book_pdf.blank_pages(PdfReader(planted)) == ["page 3 is blank"]


def test_what_is_cut_off_is_found(browser: Any, tmp_path: Path) -> None:
    source = tmp_path / "wide.html"
    source.write_text('<body style="margin: 0"><p style="width: 900px">too wide for the paper</p></body>')
    page = browser.new_page()
    cut = book_pdf.print_page(page, source, tmp_path / "wide.pdf")
    page.close()
    assert len(cut) == 1
    assert "reaches from 0 to 900 of 514 pixels" in cut[0]


def test_pictures_made_of_pixels_are_counted(browser: Any, tmp_path: Path) -> None:
    drawing = made_up.SVG.replace('"', "'")
    source = tmp_path / "pixels.html"
    source.write_text(
        f'<body><img style="filter: invert(1)" src="data:image/svg+xml,{drawing.replace("#", "%23")}"></body>'
    )
    page = browser.new_page()
    page.goto(source.as_uri())
    page.pdf(path=str(tmp_path / "pixels.pdf"))
    page.close()
    assert pdf_file.raster_images(PdfReader(tmp_path / "pixels.pdf")) == 1


def test_without_chromium_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chromium.shutil, "which", lambda _: None)
    monkeypatch.setattr(chromium, "MAC", Path("/nowhere"))
    monkeypatch.delenv("CHROME_PATH", raising=False)
    assert book_pdf.main() == 1
    assert "apt install chromium" in capsys.readouterr().out
