"""What the built site tells other programs, and what a reader can take along: read from its files, without a browser.

Needs ``make book`` first. Nothing here depends on whether the site and the repository have an address yet.
"""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from browsing import unavailable
from bs4 import BeautifulSoup
from chapters import ROOT, book, toc
from PIL import Image

PAGES = toc()
CHAPTERS = [name for name in PAGES if name in book() and book()[name].is_chapter]
SETTINGS = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
ADDRESS = ((SETTINGS.get("html") or {}).get("baseurl") or "").rstrip("/")
REPOSITORY = (SETTINGS.get("repository") or {}).get("url")


class Heads:
    """The pages of the site, each read once."""

    def __init__(self, site: Path) -> None:
        self.site = site
        self.cache: dict[str, BeautifulSoup] = {}

    def __getitem__(self, page: str) -> BeautifulSoup:
        if page not in self.cache:
            file = self.site / f"{page}.html"
            if not file.exists():
                unavailable(f"{page}.html is not built: run make book first")
            text = file.read_text(encoding="utf-8")
            about = re.search(r'<aside class="about-page".*?</aside>', text, re.DOTALL)
            heading = re.search(r"<h1.*?</h1>", text, re.DOTALL)
            parts = [text.partition("</head>")[0], *(match[0] for match in (heading, about) if match)]
            self.cache[page] = BeautifulSoup("".join(parts), "html.parser")
        return self.cache[page]

    def said(self, page: str) -> dict[str, str]:
        tags = self[page].find_all("meta", content=True)
        return {str(tag.get("name") or tag.get("property")): str(tag["content"]) for tag in tags}

    def target(self, page: str, address: str) -> Path:
        """The file that an address on a page names."""
        if ADDRESS and address.startswith(ADDRESS):
            return self.site / unquote(urlsplit(address[len(ADDRESS) :]).path.lstrip("/"))
        return (self.site / page).parent / unquote(urlsplit(address).path)


@pytest.fixture(scope="module")
def heads(site: Path) -> Heads:
    return Heads(site)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is(heads: Heads, page: str) -> None:
    said, soup = heads.said(page), heads[page]
    assert said["og:description"] == said["description"]
    assert said["og:site_name"] == SETTINGS["title"]
    assert said["og:type"] == ("book" if page == PAGES[0] else "article")
    assert said["twitter:card"] == "summary_large_image"
    assert said["author"] == SETTINGS["author"]
    assert len(soup.find_all("meta", attrs={"name": "description"})) == 1
    assert len(soup.select("meta[name=theme-color]")) == 2
    assert soup.select_one("link[rel=license]") is not None
    for link in soup.select("link[rel=icon], link[rel=apple-touch-icon], link[rel=prev], link[rel=next]"):
        assert heads.target(page, str(link["href"])).is_file(), link
    data = json.loads(str(soup.select_one("script[type='application/ld+json']").string))  # type: ignore[union-attr]
    assert data["name"] == said["og:title"]
    heading = soup.h1.get_text() if soup.h1 else ""
    assert said["og:title"].rpartition(": ")[2] in heading
    assert data.get("position") == (int(match[1]) if (match := re.search(r"/(\d+)-[^/]*$", page)) else None)


def test_whole_addresses_are_there_when_the_site_has_one_and_only_then(heads: Heads, site: Path) -> None:
    for page in PAGES:
        found = [str(link["href"]) for link in heads[page].select("link[rel=canonical]")]
        assert found == ([f"{ADDRESS}/{page}.html"] if ADDRESS else [])
        assert heads.said(page).get("og:url") == (f"{ADDRESS}/{page}.html" if ADDRESS else None)
    assert (site / "sitemap.xml").exists() == bool(ADDRESS)
    assert "Allow: /" in (site / "robots.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_a_picture(heads: Heads, page: str) -> None:
    said = heads.said(page)
    data = heads.target(page, said["og:image"]).read_bytes()
    assert len(data) <= 120_000
    image = Image.open(io.BytesIO(data)).convert("RGB")
    assert image.size == (int(said["og:image:width"]), int(said["og:image:height"])) == (1200, 630)
    colours = image.getcolors(1 << 20)
    assert colours is not None
    assert max(count for count, _ in colours) < 0.9 * 1200 * 630  # more than paper
    assert (255, 255, 255) in {colour for _, colour in colours}  # what a figure stands on


def test_pictures_are_the_pages_own(heads: Heads) -> None:
    files = [heads.target(page, heads.said(page)["og:image"]) for page in PAGES]
    assert len({file.read_bytes() for file in files}) == len(PAGES)


# -- to take along ---------------------------------------------------------------------------------------------------


def taken_along(heads: Heads, page: str) -> Path:
    link = heads[page].select_one(".about-page a[download]")
    assert link is not None, "no notebook to take along"
    return heads.target(page, str(link["href"]))


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_can_be_taken_along(heads: Heads, site: Path, page: str) -> None:
    file = taken_along(heads, page)
    assert file.resolve() == (site / "notebooks" / f"{page.removeprefix('book/')}.ipynb").resolve()
    text = file.read_text(encoding="utf-8")
    for machine in (str(ROOT), "/home/", "/tmp/", "iopub.status"):
        assert machine not in text
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    shown = site / f"{page}.html"
    figures = len(re.findall(r"<figure\b", shown.read_text(encoding="utf-8")))
    pictures = sum("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    attached = sum(len(cell.get("attachments", {})) for cell in notebook.cells)
    assert pictures + attached == figures
    assert not any("image/svg+xml" in output.get("data", {}) for cell in code for output in cell.outputs)


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_notebook_is_in_plain_markdown_and_says_what_the_page_says(heads: Heads, page: str) -> None:
    notebook = nbformat.read(taken_along(heads, page), as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.findall(r"^(?:.*\{[a-z:]+\}`|:{3,}|`{3,}\{|\([\w-]+\)=).*$", text, re.MULTILINE) == []
    stored: Any = book()[page].notebook
    assert stored is not None
    values = [
        expression["result"]["data"]["text/plain"].strip("'\"")
        for cell in stored.cells
        for expression in cell.metadata.get("user_expressions", [])
    ]
    position = 0
    for value in values:  # each computed number, in its order
        position = text.find(value, position)
        assert position >= 0, f"the computed number {value!r} is not in the notebook"


@pytest.mark.parametrize("page", CHAPTERS)
def test_links_of_a_notebook_lead_somewhere(heads: Heads, page: str) -> None:
    file = taken_along(heads, page)
    notebook = nbformat.read(file, as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$]+\$|`[^`]+`", "", text, flags=re.DOTALL)
    for address in re.findall(r"(?<!!)\[[^\[\]]*\]\(([^)\s]+)\)", text):
        parts = urlsplit(address)
        if not parts.scheme:
            assert (file.parent / unquote(parts.path)).is_file(), address


def test_no_page_leads_to_a_repository_that_has_no_address(heads: Heads) -> None:
    for page in PAGES:
        links = [str(a["href"]) for a in heads[page].select(".about-page a")]
        online = [link for link in links if re.match(r"https?://", link)]
        assert bool(online) == bool(REPOSITORY), (page, online)
