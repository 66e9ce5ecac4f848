"""Pictures, metadata, notebooks and links of pages, on made-up pages: nothing is built, no font is made."""

from __future__ import annotations

import importlib
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import nbformat
import pytest
from bs4 import BeautifulSoup
from PIL import Image

cards: Any = importlib.import_module("cards")
takeaway: Any = importlib.import_module("takeaway")

FONT = str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))
FONTS = dict.fromkeys(("300", "400", "600", "italic", "symbols"), FONT)
DRAWING = """<?xml version="1.0"?>
<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" width="{w}pt" height="{h}pt" viewBox="0 0 {w} {h}">
<rect width="{w}" height="{h}" fill="#ff0000"/></svg>
"""
ADDRESS = "https://example.org/course"


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """A site of two pages in which nothing was written yet."""
    static = tmp_path / "book" / "_static"
    static.mkdir(parents=True)
    (static / "thread.svg").write_text(DRAWING.format(w=900, h=300), encoding="utf-8")
    icon = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><rect width="8" height="8" rx="2" fill="#123"/>'
    (static / "favicon.svg").write_text(f"{icon}</svg>", encoding="utf-8")
    config = SimpleNamespace(
        project="A Course",
        author="Its authors",
        copyright="2026",
        language="en",
        html_baseurl="",
        root_doc="book/index",
    )
    labels = {"a-label": ("book/part/02-next", "a-label"), "here": ("book/part/01-first", "here")}
    return SimpleNamespace(
        srcdir=tmp_path,
        outdir=tmp_path / "_build" / "html",
        config=config,
        builder=SimpleNamespace(format="html", images={}, get_target_uri=lambda page: f"{page}.html"),
        env=SimpleNamespace(
            toc_secnumbers={"book/part/01-first": {"": (1,)}},
            found_docs={"book/index", "book/part/01-first", "book/part/02-next", "book/api"},
            metadata={name: {"file_format": "mystnb"} for name in ("book/part/01-first", "book/part/02-next")},
            domaindata={"std": {"anonlabels": labels}},
        ),
    )


def context(title: str = "1. A <em>title</em>", **more: Any) -> dict[str, Any]:
    return {
        "title": title,
        "pathto": lambda name, resource=False: f"../../{name}",
        "meta": {"description": 'What is "it"?', "minutes": 40},
        **more,
    }


def head(app: Any, **more: Any) -> BeautifulSoup:
    text = cards.metadata(app, "book/part/01-first", context(**more), "book/part/01-first")
    return BeautifulSoup(text, "html.parser")


# -- metadata --------------------------------------------------------------------------------------------------------


def test_a_page_says_what_it_is(app: Any) -> None:
    soup = head(app, prev={"link": "00.html", "title": "Zero"}, next={"link": "02.html", "title": "<b>Two</b>"})
    said = {tag.get("name") or tag.get("property"): tag["content"] for tag in soup.find_all("meta")}
    assert said["description"] == said["og:description"] == 'What is "it"?'
    assert said["og:title"] == "A title"
    assert said["og:type"] == "article"
    assert said["og:site_name"] == "A Course"
    assert said["author"] == "Its authors"
    links = {link["rel"][0]: link for link in soup.find_all("link")}
    assert links["license"]["href"].startswith("https://creativecommons.org/licenses/by/4.0")
    assert links["prev"]["href"] == "00.html"
    assert links["next"]["title"] == "Two"
    data = json.loads(soup.select_one("script[type='application/ld+json']").string)  # type: ignore[union-attr, arg-type]
    assert data["@type"] == ["Chapter", "LearningResource"]
    assert (data["name"], data["position"], data["timeRequired"]) == ("A title", 1, "PT40M")


def test_whole_addresses_appear_only_when_the_site_has_one(app: Any) -> None:
    before = head(app)
    assert not before.select("link[rel=canonical], meta[property='og:url']")
    assert before.select_one("meta[property='og:image']")["content"] == "../../_static/cards/book/part/01-first.png"  # type: ignore[index]
    assert "example.org" not in str(before)
    app.config.html_baseurl = ADDRESS
    soup = head(app)
    said = {tag.get("property"): tag["content"] for tag in soup.find_all("meta")}
    assert soup.select_one("link[rel=canonical]")["href"] == f"{ADDRESS}/book/part/01-first.html"  # type: ignore[index]
    assert said["og:url"] == f"{ADDRESS}/book/part/01-first.html"
    assert said["og:image"] == f"{ADDRESS}/_static/cards/book/part/01-first.png"
    assert (said["og:image:width"], said["og:image:height"]) == ("1200", "630")


def test_a_title_cannot_end_the_data_it_stands_in(app: Any) -> None:
    text = cards.metadata(app, "book/part/01-first", context("1. &lt;/script&gt;&quot;"), "book/part/01-first")
    assert text.count("</script") == 1
    data = json.loads(BeautifulSoup(text, "html.parser").script.string)  # type: ignore[union-attr, arg-type]
    assert data["name"] == '</script>"'


def test_the_colours_around_a_page_are_those_of_its_style_sheet(app: Any) -> None:
    Path(app.srcdir, "book/_static/course.css").write_text(":root { --paper: light-dark(#abcdef, #123456); }")
    assert [tag["content"] for tag in head(app).select("meta[name=theme-color]")] == ["#abcdef", "#123456"]


def test_the_root_of_the_site(app: Any) -> None:
    cards.finish_site(app, None)
    out = Path(app.outdir)
    assert "Allow: /" in (out / "robots.txt").read_text()
    assert "Sitemap" not in (out / "robots.txt").read_text()
    assert not (out / "sitemap.xml").exists()
    with Image.open(out / "_static" / "icon-180.png") as icon:
        assert icon.size == (180, 180)
        assert icon.convert("RGBA").getpixel((0, 0)) == (0x11, 0x22, 0x33, 255)  # no clear corner
    with Image.open(out / "favicon.ico") as icon:
        assert icon.info["sizes"] == {(16, 16), (32, 32)}
    app.config.html_baseurl = ADDRESS
    cards.finish_site(app, None)
    assert f"Sitemap: {ADDRESS}/sitemap.xml" in (out / "robots.txt").read_text()
    places = ElementTree.parse(out / "sitemap.xml").getroot().iter("{http://www.sitemaps.org/schemas/sitemap/0.9}loc")
    assert {place.text for place in places} == {f"{ADDRESS}/{page}.html" for page in app.env.found_docs}
    app.config.html_baseurl = ""
    cards.finish_site(app, None)
    assert not (out / "sitemap.xml").exists()


# -- pictures --------------------------------------------------------------------------------------------------------


def test_titles_are_as_large_as_they_fit() -> None:
    size, lines = cards.fit("Backpropagation through time", 500, 300, 4, (76, 40), FONT)
    assert " ".join(lines) == "Backpropagation through time"
    assert all(cards.measure(line, size, FONT) <= 500 for line in lines)
    larger = cards.wrap(" ".join(lines), 500, size + 2, FONT)
    assert size == 76 or any(cards.measure(line, size + 2, FONT) > 500 for line in larger)
    assert cards.fit("Short", 500, 300, 4, (76, 40), FONT) == (76, ["Short"])


def test_a_title_too_long_for_its_place_is_shortened_visibly() -> None:
    size, lines = cards.fit("word " * 60, 300, 250, 4, (76, 40), FONT)
    assert (size, len(lines)) == (40, 4)
    assert lines[-1].endswith("…")
    assert all(cards.measure(line, size, FONT) <= 300 for line in lines)


@pytest.mark.parametrize(
    ("title", "parts"),
    [
        ("12. Gradient flow", ("12", "Gradient flow")),
        ("Part 2: The chain rule", ("Part 2", "The chain rule")),
        ("Glossary", ("", "Glossary")),
        ("Parts: a list", ("", "Parts: a list")),
    ],
)
def test_what_stands_above_a_title(title: str, parts: tuple[str, str]) -> None:
    assert cards.split(title) == parts


def test_a_word_too_long_for_its_place_is_shortened_visibly() -> None:
    size, (line,) = cards.fit("Backpropagation" * 4, 300, 250, 4, (76, 40), FONT)
    assert line.endswith("…")
    assert cards.measure(line, size, FONT) <= 300


def test_a_long_word_in_the_title_gets_room_from_the_figure(tmp_path: Path) -> None:
    figure = tmp_path / "figure.svg"
    figure.write_text(DRAWING.format(w=380, h=250), encoding="utf-8")
    widths = [
        float(re.search(r'<image [^>]*width="([\d.]+)"', cards.compose(title, "1", "A Course", figure, None, FONTS))[1])  # type: ignore[index]
        for title in ("Push", "Backpropagation")
    ]
    assert widths[0] > widths[1]


def test_lines_are_of_similar_length() -> None:
    lines = cards.wrap("one two three four five six", 10 * 30, 30, FONT)
    widths = [cards.measure(line, 30, FONT) for line in lines]
    assert len(lines) == 2
    assert min(widths) > 0.5 * max(widths)


@pytest.mark.parametrize(("width", "height"), [(380, 250), (200, 400), (900, 250)])
@pytest.mark.parametrize("title", ["Momentum", "A title of very many words that has to be broken into several lines"])
def test_a_picture_shows_its_figure_and_cuts_nothing(tmp_path: Path, width: int, height: int, title: str) -> None:
    figure = tmp_path / "figure.svg"
    figure.write_text(DRAWING.format(w=width, h=height), encoding="utf-8")
    data = cards.render(cards.compose(title, "12", "A Course", figure, None, FONTS), FONTS)
    assert len(data) <= cards.LARGEST
    image = Image.open(io.BytesIO(data)).convert("RGB")
    assert image.size == (1200, 630)
    paper = tuple(bytes.fromhex(cards.PAPER[1:]))
    edge = 24
    for box in ((0, 0, 1200, edge), (0, 630 - edge, 1200, 630), (0, 0, edge, 630), (1200 - edge, 0, 1200, 630)):
        assert image.crop(box).getcolors() == [((box[2] - box[0]) * (box[3] - box[1]), paper)]
    counts = {colour: count for count, colour in image.getcolors(1 << 20)}
    assert counts.get((255, 0, 0), 0) > 60_000


def test_a_page_is_drawn_once(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards, "make_fonts", lambda source, folder: FONTS)
    figure = Path(app.srcdir, "book/_static/thread.svg")
    picture = cards.draw(app, "book/part/01-first", "1. A title", figure)
    first = picture.read_bytes()
    picture.unlink()
    drawn: list[str] = []
    render = cards.render
    monkeypatch.setattr(cards, "render", lambda drawing, fonts: drawn.append(drawing) or render(drawing, fonts))
    cards.draw(app, "book/part/01-first", "1. A title", figure)
    assert (picture.read_bytes(), drawn) == (first, [])
    cards.draw(app, "book/part/01-first", "1. Another title", figure)
    assert len(drawn) == 1
    assert picture.read_bytes() != first
    assert len(list(Path(app.outdir).parent.glob("cards/*.png"))) == 1  # the one before is gone


def test_the_first_figure_of_a_page_is_its_picture(app: Any) -> None:
    kept = Path(app.srcdir, "_build/jupyter_execute")
    kept.mkdir(parents=True)
    for name in ("a.svg", "b.png"):
        (kept / name).write_bytes(b"")
        app.builder.images[f"_build/jupyter_execute/{name}"] = name
    body = '<img src="_images/a.svg"><figure id="f"><img alt="x" src="../_images/b.png"></figure>'
    assert cards.first_figure(app, body) == kept / "b.png"
    assert cards.first_figure(app, '<p><img src="_images/a.svg"></p>') == kept / "a.svg"
    assert cards.first_figure(app, "<p>words</p>").name == "thread.svg"


# -- the repository --------------------------------------------------------------------------------------------------

SOURCE, NOTEBOOK = "book/part/01-first.md", "notebooks/part/01-first.ipynb"


def test_without_an_address_there_is_no_link(tmp_path: Path) -> None:
    assert takeaway.repository(tmp_path) is None
    (tmp_path / "_config.yml").write_text("title: A Course\n")
    assert takeaway.repository(tmp_path) is None
    assert takeaway.links_online(None, SOURCE, NOTEBOOK, "1. A title") == ""


def test_links_to_github_binder_and_colab(tmp_path: Path) -> None:
    (tmp_path / "_config.yml").write_text("repository:\n  url: https://github.com/some/course.git\n  branch: a/b\n")
    text = takeaway.links_online(takeaway.repository(tmp_path), SOURCE, NOTEBOOK, "1. A & B")
    assert [link["href"] for link in BeautifulSoup(text, "html.parser").find_all("a")] == [
        f"https://github.com/some/course/blob/a/b/{SOURCE}",
        f"https://github.com/some/course/edit/a/b/{SOURCE}",
        "https://mybinder.org/v2/gh/some/course/a%2Fb?labpath=notebooks%2Fpart%2F01-first.ipynb",
        f"https://colab.research.google.com/github/some/course/blob/a/b/{NOTEBOOK}",
        "https://github.com/some/course/issues/new?title=Error+in+%E2%80%9C1.+A+%26+B%E2%80%9D%3A+",
    ]
    assert "git clone --depth 1 https://github.com/some/course course" in text
    plain = takeaway.links_online(takeaway.repository(tmp_path), SOURCE, None, "A page without code")
    assert "binder" not in plain
    assert "Colab" not in plain


def test_a_repository_elsewhere_gets_one_plain_link() -> None:
    text = takeaway.links_online(takeaway.Repository("https://codeberg.org/some/course"), SOURCE, NOTEBOOK, "1. A")
    assert [a["href"] for a in BeautifulSoup(text, "html.parser").find_all("a")] == ["https://codeberg.org/some/course"]


def test_bibtex() -> None:
    entry = takeaway.bibtex("A Course", "Its authors", "2026", "3. A title", "https://example.org/3.html")
    assert entry.startswith("@misc{a-course-2026-3,\n")
    for line in ("author  = {{Its authors}}", "title   = {A title}", "note    = {Chapter 3 of A Course}"):
        assert f"  {line},\n" in entry
    assert "url     = {https://example.org/3.html}\n}" in entry
    assert entry.count("{") == entry.count("}")


# -- notebooks -------------------------------------------------------------------------------------------------------

MYST = r"""(a-label)=
# A title

```{admonition} In this chapter
:class: contract
You learn [the *next*](02-next.md#there) thing.
```

The value {eval}`f"{x:.1%}"` follows from {eq}`eq-y`, and $J[a](b)$ and `[c](d)` are no links.

% no check: a definition
$$
y = x^2
$$ (eq-y)

:::{admonition} A hint
:class: tip dropdown
It is {eval}`x + 1`.
:::

```{exercise} Try $x$
:label: ex-one

Do it.
```

```{solution} ex-one
:class: dropdown

Done.
```

```text
(kept)= as it is {eval}`z`
```

:::{container} facts
- one
:::

:::{margin}
A remark.
:::
"""
MARKDOWN = r"""# A title

> **In this chapter**
>
> You learn [the *next*](<02-next.md#there>) thing.

The value 96.9% follows from (1.1), and $J[a](b)$ and `[c](d)` are no links.

$$
y = x^2
\tag{1.1}
$$

<details>
<summary>A hint</summary>

It is 2 < 3.

</details>

> **Exercise 1.2 (Try $x$)**
>
> Do it.

<details>
<summary>Solution to Exercise 1.2</summary>

Done.

</details>

```text
(kept)= as it is {eval}`z`
```

- one

> A remark."""
PAGE = """<p><span class="pasted-inline output text_plain">96.9%</span></p>
<div class="math notranslate" id="equation-eq-y">
<span class="eqno">(1.1)<a href="#equation-eq-y">#</a></span></div>
<span class="output text_plain">2 &lt; 3</span>
<div class="exercise admonition" id="ex-one">
<p class="admonition-title"><span class="caption-number">Exercise 1.2 </span> (Try)</p></div>
<figure class="align-default" id="fig-a"><img src="a.svg"><figcaption>
<p><span class="caption-number">Fig. 1.3 </span></p></figcaption></figure>"""


def test_a_page_in_plain_markdown() -> None:
    facts = takeaway.Facts.of(PAGE)
    facts.link = lambda target: f"<{target}>"
    assert takeaway.to_markdown(MYST, facts) == MARKDOWN
    assert facts.values == []


def test_a_picture_of_the_text_goes_with_its_cell() -> None:
    facts = takeaway.Facts.of(PAGE)
    facts.picture = lambda target: b"png" if target == "../a.svg" else None
    cell = "```{figure} ../a.svg\n:name: fig-a\n:alt: A [small] picture.\n\nWhat $x$ is.\n```"
    made = takeaway.convert(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(cell)]), facts, "> Opening", cards.to_png
    ).cells[1]
    assert made.source == "![A (small) picture.](attachment:a.png)\n\n**Fig. 1.3** What $x$ is."
    assert made.attachments == {"a.png": {"image/png": "cG5n"}}


def executed() -> Any:
    code = nbformat.v4.new_code_cell("plot()", execution_count=1)
    code.metadata = nbformat.from_dict(
        {"tags": ["solution"], "mystnb": {"figure": {"name": "fig-a", "caption": "What $x$ is."}}}
    )
    code.outputs = [
        nbformat.v4.new_output("display_data", {"image/svg+xml": DRAWING.format(w=30, h=15), "text/plain": "<Figure>"})
    ]
    metadata = {"source_map": [1, 2], "language_info": {"name": "python", "version": "3.x"}}
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(MYST), code], metadata=metadata)


def test_a_notebook_to_take_along() -> None:
    def made() -> Any:
        facts = takeaway.Facts.of(PAGE)
        return takeaway.convert(executed(), facts, "> Opening", lambda text: cards.to_png(text, FONTS, 2))

    notebook = made()
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) == nbformat.writes(made())  # nothing random
    opening, _, code, caption = notebook.cells
    assert opening.source == "> Opening"
    assert code.source == "# The solution\nplot()"
    assert code.metadata == {"tags": ["solution"]}
    assert caption.source == "**Fig. 1.3** What $x$ is."
    (output,) = code.outputs
    assert set(output.data) == {"image/png", "text/plain"}
    assert output.metadata["image/png"] == {"width": 40, "height": 20}  # 30 × 15 points
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert "version" not in notebook.metadata.language_info


@pytest.mark.parametrize(
    ("target", "beside", "published"),
    [
        ("02-next.md", "02-next.ipynb", "book/part/02-next.html"),
        ("02-next.md#there", "02-next.ipynb", "book/part/02-next.html#there"),
        ("../api.md#md.f", "../../book/api.html#md.f", "book/api.html#md.f"),
        ("#a-label", "02-next.ipynb", "book/part/02-next.html#a-label"),
        ("#here", None, "book/part/01-first.html#here"),
        ("https://numpy.org/", "https://numpy.org/", None),
    ],
)
def test_links_of_a_notebook(app: Any, target: str, beside: str | None, published: str | None) -> None:
    assert takeaway.leads_to(app, "book/part/01-first", target) == beside
    app.config.html_baseurl = ADDRESS
    expected = target if published is None else f"{ADDRESS}/{published}"
    assert takeaway.leads_to(app, "book/part/01-first", target) == expected


def test_figures_of_a_notebook_are_drawn_once(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(takeaway, "make_fonts", lambda source, folder: FONTS)
    monkeypatch.setattr(takeaway, "package_version", lambda: "1.0")
    drawn: list[str] = []
    monkeypatch.setattr(takeaway, "to_png", lambda text, *_, **__: drawn.append(text) or cards.to_png(text, FONTS, 2))
    kept = Path(app.outdir).parent
    source = kept / "jupyter_execute" / "book" / "part" / "01-first.ipynb"
    source.parent.mkdir(parents=True)

    def written(width: int) -> str:
        notebook = executed()
        notebook.cells[1].outputs[0].data["image/svg+xml"] = DRAWING.format(w=width, h=15)
        nbformat.write(notebook, source)
        path = takeaway.write_notebook(app, "book/part/01-first", PAGE)
        assert path == NOTEBOOK
        return Path(app.outdir, path).read_text(encoding="utf-8")

    first = written(30)
    assert (written(30), len(drawn)) == (first, 1)
    assert (written(60) != first, len(drawn)) == (True, 2)
    assert len(list(kept.glob("cards/figures/*/*.png"))) == 1  # the one before is gone
    assert str(app.srcdir) not in first


def test_a_page_without_code_has_no_notebook(app: Any) -> None:
    assert takeaway.write_notebook(app, "book/api", "<p>words</p>") is None
    assert not Path(app.outdir).exists()
