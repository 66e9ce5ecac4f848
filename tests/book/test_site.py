"""Opens every page of the built site in a real browser and holds it to what the README promises.

Needs ``make book`` first, and the system's Chromium; without one of them each test is skipped by name, and fails
where the variable ``CI`` is set. Each check is tried on a page that is planted to be wrong.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import browsing
import pytest
from chapters import book, toc

PAGES = toc()
CHAPTERS = [name for name in PAGES if name in book() and book()[name].is_chapter]
THEMES = ("light", "dark")


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with browsing.serve(site) as url:
        yield url


@pytest.fixture(scope="module")
def documents(site: Path) -> dict[str, browsing.Document]:
    return browsing.documents(site)


Findings = dict[str, list[str]]


#: How a page tells which theme it shows: by the colours of its ground and its ink.
SHOWN = """() => {
    const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((sum, value) => sum + value);
    const style = getComputedStyle(document.body), ground = getComputedStyle(document.documentElement);
    return light(style.color) < light(ground.backgroundColor) ? 'light' : 'dark';
}"""


def _theme(page: Any, theme: str, why: str) -> list[str]:
    shown = page.evaluate(SHOWN)
    return [] if shown == theme else [f"{why} {theme}, the page shows {shown}"]


@pytest.fixture(scope="module")
def wide(browser: Any, address: str) -> Callable[[str], Findings]:
    """What there is to say about a page on a wide screen; each page is opened once for all tests.

    The dark page is the same page when the system's colours change; only what looks at colours is asked of it again.
    """
    cache: dict[str, Findings] = {}

    def look(name: str) -> Findings:
        if name not in cache:
            with browsing.visit(browser, f"{address}/{name}.html") as seen:
                page = seen.page
                found = {"skip link": _skip_link(page)}
                browsing.lay_out(page)
                found |= {
                    "theme light": _theme(page, "light", "the system prefers"),
                    "images": browsing.bad_images(page),
                    "overflow": browsing.overflow(page),
                    "scrolling": browsing.scrolling(page),
                    "accessibility light": browsing.accessibility(page),
                }
                page.emulate_media(color_scheme="dark", reduced_motion="reduce")
                found |= {
                    "theme dark": _theme(page, "dark", "the system prefers"),
                    "accessibility dark": browsing.accessibility(page, browsing.COLOURS),
                    "print dark": browsing.print_problems(page, "dark", ink_alone=True),
                    "print light": browsing.print_problems(page, "light"),
                    "errors": seen.errors,
                    "failed": seen.failed,
                    "foreign": seen.foreign,
                }
                cache[name] = found
        return cache[name]

    return look


@pytest.fixture(scope="module")
def narrow(browser: Any, address: str) -> Callable[[str], Findings]:
    """The same on a telephone, dark, as the reader chose against the system; then light, chosen the same way."""
    cache: dict[str, Findings] = {}

    def look(name: str) -> Findings:
        if name not in cache:
            url = f"{address}/{name}.html"
            telephone = {"width": 360, "height": 740, "touch": True}
            with browsing.visit(browser, url, theme="dark", remembered=True, **telephone) as seen:
                page = seen.page
                browsing.lay_out(page)
                found = {
                    "theme dark": _theme(page, "dark", "chosen was"),
                    "360": browsing.overflow(page),
                    "accessibility": browsing.accessibility(page, besides=["target-size"]),
                }
                page.set_viewport_size({"width": 320, "height": 640})
                found |= {"320": browsing.overflow(page), "errors": seen.errors, "failed": seen.failed}
            context = browser.new_context(color_scheme="dark", service_workers="block")
            context.add_init_script("localStorage.setItem('theme', 'light')")
            page = context.new_page()
            page.goto(url, wait_until="domcontentloaded")
            found["theme light"] = _theme(page, "light", "chosen was")
            context.close()
            cache[name] = found
        return cache[name]

    return look


def _none(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


every_page = pytest.mark.parametrize("page", PAGES)
both_themes = pytest.mark.parametrize("theme", THEMES)


# -- files -----------------------------------------------------------------------------------------------------------


def test_the_contents_list_pages() -> None:
    assert len(PAGES) >= 8
    assert len(CHAPTERS) >= 4


@every_page
def test_page_exists(site: Path, page: str) -> None:
    file = site / f"{page}.html"
    assert file.is_file(), f"_toc.yml lists {page}, but the site has no {page}.html"
    assert file.stat().st_size > 2000


def test_the_address_of_the_site_leads_to_the_book(browser: Any, address: str) -> None:
    with browsing.visit(browser, f"{address}/") as seen:
        seen.page.wait_for_url(lambda url: url.endswith(("/book/index.html", "/")))
        assert seen.page.locator("h1:visible").count() == 1
        _none(seen.errors + seen.failed + seen.foreign)


def test_every_link_and_anchor_of_the_site_resolves(site: Path, documents: dict[str, browsing.Document]) -> None:
    assert {"genindex.html", "search.html"} <= set(documents)
    _none([f"{path}: {problem}" for path in documents for problem in browsing.broken_links(site, documents, path)])


def test_no_page_loads_from_another_host(documents: dict[str, browsing.Document]) -> None:
    _none([f"{path}: {problem}" for path, d in documents.items() for problem in browsing.foreign_resources(d)])


def test_style_sheets_are_complete(site: Path) -> None:
    files = sorted(site.rglob("*.css"))
    assert files
    _none([f"{file.relative_to(site)}: {problem}" for file in files for problem in browsing.broken_styles(site, file)])


def _head(document: browsing.Document, page: str) -> Iterator[str]:
    """What a page's head lacks."""
    soup = document.soup
    if not (soup.title and (soup.title.string or "").strip()):
        yield "no title"
    if not (soup.html and str(soup.html.get("lang", "")).startswith("en")):
        yield "no language"
    described = soup.find("meta", attrs={"name": "description"})
    description = str(described.get("content", "")) if described else ""
    if not 20 <= len(description) <= 160:
        yield f"the description has {len(description)} characters"
    wanted = book()[page].front.get("description") if page in book() else None
    if wanted and description.strip() != str(wanted).strip():
        yield f"the description is {description!r}, the source says {wanted!r}"
    if not any("icon" in link.get("rel", []) for link in soup.find_all("link")):
        yield "no favicon"
    if not soup.find("meta", attrs={"name": "viewport"}):
        yield "no viewport"


@every_page
def test_head(documents: dict[str, browsing.Document], page: str) -> None:
    _none(list(_head(documents[f"{page}.html"], page)))


def test_every_page_has_a_title_of_its_own(documents: dict[str, browsing.Document]) -> None:
    titles = [str(documents[f"{page}.html"].soup.title.string) for page in PAGES]  # type: ignore[union-attr]
    assert len(set(titles)) == len(titles), titles


def _prose_numbers(document: browsing.Document, notebook: Any) -> Iterator[str]:
    """Where the numbers in the prose of a page are not those that its notebook stores."""
    shown = [span.get_text() for span in document.soup.select("span.output.text_plain")]
    stored = [
        expression["result"]["data"]["text/plain"].strip("'\"")
        for cell in notebook.cells
        for expression in cell.metadata.get("user_expressions", [])
    ]
    if len(shown) != len(stored):
        yield f"the page shows {len(shown)} computed numbers in its prose, the notebook stores {len(stored)}"
    for k, (one, other) in enumerate(zip(shown, stored, strict=False), 1):
        if one != other:
            yield f"computed number {k} in the prose is {one!r}, the notebook stores {other!r}; run make notebooks"


@pytest.mark.parametrize("page", CHAPTERS)
def test_numbers_in_the_prose_are_those_of_the_notebook(documents: dict[str, browsing.Document], page: str) -> None:
    assert book()[page].notebook is not None, "no notebook; run make notebooks"
    _none(list(_prose_numbers(documents[f"{page}.html"], book()[page].notebook)))


def _about(document: browsing.Document, page: str) -> Iterator[str]:
    """What the end of a chapter lacks."""
    about = document.soup.select_one(".about-page")
    if about is None:
        yield "no block .about-page at the end, with source, API and citation"
        return
    links = [str(a.get("href", "")) for a in about.find_all("a")]
    if not any(page.rsplit("/", 1)[-1] in link and ".md" in link for link in links):
        yield "the page does not link to its source"
    if not any("appendix/api" in link or "api.html" in link for link in links):
        yield "the page does not link to the API entries it uses"
    if "cite" not in about.get_text().lower():
        yield "the page does not say how to cite it"


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_has_the_number_of_its_file(documents: dict[str, browsing.Document], page: str) -> None:
    """In its title, its sections, its figures and the contents, also where chapters before it are missing."""
    number, soup = str(int(page.rpartition("/")[2].partition("-")[0])), documents[f"{page}.html"].soup
    title = soup.select_one("h1 .section-number")
    assert title is not None
    assert title.get_text().strip() == number
    inside = soup.select("article h2 .section-number, article figure .caption-number")
    assert {re.sub(r"\D*(\d+)\..*", r"\1", e.get_text().strip()) for e in inside} == {number}
    assert [e.get_text().strip() for e in soup.select("#contents li.current > a > .number")] == [number]


@pytest.mark.parametrize("page", CHAPTERS)
def test_end_of_chapter(documents: dict[str, browsing.Document], page: str) -> None:
    _none(list(_about(documents[f"{page}.html"], page)))


# -- in the browser --------------------------------------------------------------------------------------------------


@every_page
def test_quiet_console(wide: Any, narrow: Any, page: str) -> None:
    _none(wide(page)["errors"] + narrow(page)["errors"])


@every_page
def test_no_failed_request(wide: Any, narrow: Any, page: str) -> None:
    _none(wide(page)["failed"] + narrow(page)["failed"])


@every_page
def test_no_request_to_another_host(wide: Any, page: str) -> None:
    _none(wide(page)["foreign"])


@every_page
@both_themes
def test_theme_is_the_readers(wide: Any, narrow: Any, page: str, theme: str) -> None:
    _none(wide(page)[f"theme {theme}"] + narrow(page)[f"theme {theme}"])


@every_page
@both_themes
def test_accessible(wide: Any, page: str, theme: str) -> None:
    _none(wide(page)[f"accessibility {theme}"])


@every_page
def test_accessible_on_a_telephone(narrow: Any, page: str) -> None:
    _none(narrow(page)["accessibility"])


@every_page
@pytest.mark.parametrize("width", ["360", "320"])
def test_nothing_overflows(narrow: Any, page: str, width: str) -> None:
    _none(narrow(page)[width])


@every_page
def test_nothing_overflows_on_a_wide_screen(wide: Any, page: str) -> None:
    _none(wide(page)["overflow"])


@every_page
def test_nothing_scrolls_sideways_on_a_wide_screen(wide: Any, page: str) -> None:
    _none(wide(page)["scrolling"])


@every_page
def test_images(wide: Any, page: str) -> None:
    _none(wide(page)["images"])


@every_page
@both_themes
def test_printed(wide: Any, page: str, theme: str) -> None:
    _none(wide(page)[f"print {theme}"])


@every_page
def test_complete_without_javascript(browser: Any, address: str, page: str) -> None:
    """Mathematics, figures and text are in the page itself."""
    source = book()[page]
    labels = [d.label for d in source.displays if d.label]
    with browsing.visit(browser, f"{address}/{page}.html", javascript=False) as seen:
        _none(
            browsing.broken_mathematics(seen.page)
            + browsing.raw_mathematics(seen.page)
            + browsing.missing_equations(seen.page, labels)
            + browsing.missing_figures(seen.page, source.figures)
            + seen.failed
            + seen.foreign
        )
        assert seen.page.locator("h1:visible").count() == 1
        assert seen.page.locator(".katex").count() >= len(labels)


@pytest.mark.parametrize("page", [name for name in CHAPTERS if "classes: moving" in book()[name].text])
def test_figures_play_when_asked(browser: Any, address: str, page: str) -> None:
    """A button below each starts it, paper gets the still, and who wants no motion gets no button."""
    context = browser.new_context(reduced_motion="no-preference")
    seen = context.new_page()
    seen.goto(f"{address}/{page}.html", wait_until="load")
    figures = seen.locator("figure.moving")
    assert figures.count() == book()[page].text.count("classes: moving")
    for k in range(figures.count()):
        image, button = figures.nth(k).locator("img"), figures.nth(k).locator("button.play")
        still = image.evaluate("image => image.src")
        assert "#" not in still
        button.click()
        playing = image.evaluate("async image => { await image.decode(); return image.src; }")
        assert playing.startswith(still + "?")
        assert playing.endswith("#play")
        seen.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert image.evaluate("image => image.src") == still
        seen.evaluate("dispatchEvent(new Event('afterprint'))")
    _none(browsing.accessibility(seen))
    context.close()
    with browsing.visit(browser, f"{address}/{page}.html") as calm:
        assert calm.page.locator("figure.moving button").count() == 0


@every_page
def test_skip_link(wide: Any, page: str) -> None:
    """The first key press offers to skip the navigation, visibly, and the link works."""
    _none(wide(page)["skip link"])


def _skip_link(page: Any) -> list[str]:
    page.keyboard.press("Tab")
    focus = page.evaluate("""async () => {
        const running = document.getAnimations().filter(animation => animation.timeline === document.timeline);
        await Promise.all(running.map(animation => animation.finished));
        const e = document.activeElement, box = e.getBoundingClientRect();
        return {href: e.getAttribute('href') || '', text: e.textContent,
                visible: e.checkVisibility() && box.top >= 0 && box.left >= 0 && box.width > 20 && box.height > 8}}""")
    if not focus["href"].startswith("#") or "skip" not in focus["text"].lower():
        return [f"the first key press reaches {focus['text'].strip()[:40]!r} instead of a skip link"]
    if not focus["visible"]:
        return ["the skip link has the focus, but is not to be seen"]
    page.keyboard.press("Enter")
    if not page.evaluate("name => !!document.getElementById(name)", focus["href"][1:]):
        return [f"the skip link leads to {focus['href']}, which is not there"]
    return []


def test_the_theme_button_reaches_both_themes_and_is_remembered(browser: Any, address: str) -> None:
    with browsing.visit(browser, f"{address}/{PAGES[0]}.html") as seen:
        shown = []
        for _ in range(3):
            seen.page.locator("button.theme-switch:visible").first.click()
            shown.append(seen.page.evaluate(SHOWN))
        assert shown == ["dark", "light", "dark"]
        seen.page.reload(wait_until="load")
        assert seen.page.evaluate(SHOWN) == "dark"
        _none(seen.errors)


def test_folded_solutions_open_with_a_keyboard(browser: Any, address: str) -> None:
    with browsing.visit(browser, f"{address}/{CHAPTERS[0]}.html") as seen:
        page = seen.page
        solution = page.locator(".solution.dropdown, .solution.admonition").first
        body = solution.locator("p:not(.admonition-title, .solution-title)").first
        assert not body.is_visible(), "the first solution is open before anybody asks"
        solution.locator("summary, button, .admonition-title").first.focus()
        page.keyboard.press("Enter")
        body.wait_for(state="visible", timeout=3000)


# -- the checks themselves -------------------------------------------------------------------------------------------

GOOD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Good</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,"></head>
<body style="margin: 8px"><main><h1>Good</h1><p id="p">Some text. {}</p></main></body></html>"""


@pytest.fixture
def planted(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a small page with the given text in it."""
    with ExitStack() as stack:
        url = stack.enter_context(browsing.serve(tmp_path))

        def plant(text: str, **options: Any) -> browsing.Visit:
            (tmp_path / "page.html").write_text(GOOD.replace("{}", text), encoding="utf-8")
            return stack.enter_context(browsing.visit(browser, f"{url}/page.html", **options))

        yield plant


PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
KATEX = """<div class="math" id="equation-eq-x"><span class="katex">
<span class="katex-mathml"><math><mi>x</mi></math></span>
<span class="katex-html">x squared</span></span></div>"""


def test_a_good_page_passes(planted: Callable[..., Any]) -> None:
    for options in ({}, {"width": 360, "theme": "dark"}, {"javascript": False}, {"remembered": True}):
        seen = planted(KATEX, **options)
        assert not seen.errors + seen.failed + seen.foreign
        for check in (browsing.overflow, browsing.broken_mathematics, browsing.raw_mathematics, browsing.bad_images):
            assert check(seen.page) == []
        assert browsing.missing_equations(seen.page, ["eq-x"]) == []
        if options.get("javascript", True):
            assert browsing.accessibility(seen.page) == []
        assert browsing.print_problems(seen.page, "light") == []


@pytest.mark.parametrize(
    "text",
    [
        "<script>console.error('wrong')</script>",
        "<script>throw new Error('wrong')</script>",
        "<script>let a = 1</script><script>let a = 2</script>",
        "<script>Promise.reject(new Error('wrong'))</script>",
    ],
)
def test_console_errors_are_found(planted: Callable[..., Any], text: str) -> None:
    assert planted(text).errors


@pytest.mark.parametrize(
    "text",
    ['<img src="gone.png" alt="gone">', '<script src="gone.js"></script>', "<script>fetch('gone.json')</script>"],
)
def test_failed_requests_are_found(planted: Callable[..., Any], text: str) -> None:
    assert any("404" in problem for problem in planted(text).failed)


@pytest.mark.parametrize(
    "text",
    [
        '<img src="http://other.invalid/a.png" alt="a">',
        '<script src="https://cdn.invalid/a.js"></script>',
        "<script>fetch('https://cdn.invalid/a').catch(() => 0)</script>",
        "<style>p { background: url(https://cdn.invalid/a.png) }</style>",
        "<script>new WebSocket('wss://cdn.invalid/')</script>",
        "<script>window.addEventListener('load', () => { new Image().src = 'https://late.invalid/a.png' })</script>",
        '<img src="http://127.0.0.1:9/a.png" alt="a">',
    ],
)
def test_foreign_requests_are_found(planted: Callable[..., Any], text: str) -> None:
    assert planted(text).foreign


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('<span style="color: #ccc; background: #fff">Pale ink.</span>', "color-contrast"),
        ('<a href="x.html"></a>', "link-name"),
        ("<button></button>", "button-name"),
        (f'<img src="{PIXEL}">', "image-alt"),
        (
            '<div style="overflow: auto; width: 90px; height: 40px">'
            '<div style="width: 900px">wide and not to be reached</div></div>',
            "scrollable-region-focusable",
        ),
    ],
)
def test_inaccessible_pages_are_found(planted: Callable[..., Any], text: str, rule: str) -> None:
    assert any(line.startswith(rule) for line in browsing.accessibility(planted(text).page))


def test_contrast_is_measured_in_the_theme_that_is_shown(planted: Callable[..., Any]) -> None:
    css = "<style>@media (prefers-color-scheme: dark) { #p { color: #444; background: #111 } }</style>"
    assert browsing.accessibility(planted(css, theme="light").page) == []
    assert browsing.accessibility(planted(css, theme="dark").page, browsing.COLOURS)
    assert browsing.accessibility(planted("<button></button>").page, browsing.COLOURS) == []


@pytest.mark.parametrize(
    "text",
    [
        '<div style="width: 500px; background: red">wide</div>',
        f'<img src="{PIXEL}" alt="a" style="width: 700px">',
        '<span style="white-space: nowrap">' + "long " * 80 + "</span>",
        '<div style="overflow: hidden"><div style="width: 600px">cut off</div></div>',
        '<div style="overflow-x: auto; width: 800px"><pre>a box that scrolls, but is too wide itself</pre></div>',
        '<div style="position: relative; left: -40px; width: 90px">out on the left</div>',
    ],
)
def test_overflow_is_found(planted: Callable[..., Any], text: str) -> None:
    assert browsing.overflow(planted(text, width=360).page)


@pytest.mark.parametrize(
    "text",
    [
        f'<div style="overflow-x: auto" tabindex="0"><pre>{"long " * 80}</pre></div>',
        '<div style="position: absolute; clip: rect(1px, 1px, 1px, 1px); width: 1px; overflow: hidden">'
        '<div style="width: 900px">for screen readers</div></div>',
        '<nav style="position: fixed; left: -300px; width: 300px; top: 0">a closed drawer</nav>',
    ],
)
def test_boxes_that_scroll_do_not_overflow(planted: Callable[..., Any], text: str) -> None:
    assert browsing.overflow(planted(text, width=360).page) == []


@pytest.mark.parametrize("text", ["$$x$$", r"\begin{align} x", r"so \(x\) is", "a $x$ in the text", r"\mathbf{x}"])
def test_raw_mathematics_is_found(planted: Callable[..., Any], text: str) -> None:
    assert browsing.raw_mathematics(planted(text, javascript=False).page)
    assert not browsing.raw_mathematics(planted(f"<code>{text}</code>", javascript=False).page)


@pytest.mark.parametrize(
    "text",
    [
        '<span class="katex-error" title="Undefined control sequence">x</span>',
        '<span style="color:#cc0000">\\foo</span>',
        '<div class="math">x squared</div>',
        '<div class="math"><span class="katex-html">x</span></div>',
    ],
)
def test_broken_mathematics_is_found(planted: Callable[..., Any], text: str) -> None:
    assert browsing.broken_mathematics(planted(text, javascript=False).page)


def test_missing_equations_are_found(planted: Callable[..., Any]) -> None:
    assert browsing.missing_equations(planted(KATEX).page, ["eq-y"])
    assert browsing.missing_equations(planted(KATEX.replace("math>", "b>")).page, ["eq-x"])
    assert browsing.missing_equations(planted(f'<div style="display: none">{KATEX}</div>').page, ["eq-x"])


@pytest.mark.parametrize(
    "text",
    [
        f'<img src="{PIXEL}">',
        f'<img src="{PIXEL}" alt="">',
        '<img src="gone.png" alt="gone">',
        f'<img src="{PIXEL}" alt="a single pixel">',
    ],
)
def test_bad_images_are_found(planted: Callable[..., Any], text: str) -> None:
    assert browsing.bad_images(planted(text).page)


def test_missing_figures_are_found(planted: Callable[..., Any]) -> None:
    image = f'<img src="{PIXEL}" alt="what it shows" width="300">'
    figure = f'<figure id="fig-a">{image}<figcaption>See.</figcaption></figure>'
    wanted = [{"name": "fig-a", "alt": "what it  shows"}]
    assert browsing.missing_figures(planted(figure).page, wanted) == []
    for old, new in (("fig-a", "fig-b"), ("what it shows", "a"), ("See.", ""), ('width="300"', 'width="30"')):
        assert browsing.missing_figures(planted(figure.replace(old, new)).page, wanted)


@pytest.mark.parametrize(
    "text",
    [
        '<div style="position: fixed; top: 0">over the text</div>',
        '<div style="position: sticky; top: 0">over the text</div>',
        '<div class="side">contents</div>',
        "<button>Copy</button>",
        f'<pre style="overflow: auto">{"long " * 80}</pre>',
        '<div style="width: 1200px">wide</div>',
        "<style>#p { color: #eee }</style>",
    ],
)
def test_bad_print_is_found(planted: Callable[..., Any], text: str) -> None:
    assert browsing.print_problems(planted(text).page, "light")


def test_skip_links_are_tried(planted: Callable[..., Any]) -> None:
    assert _skip_link(planted('<a href="#p">Skip to the text</a>').page) == []
    assert _skip_link(planted('<a href="#q">Skip to the text</a>').page)
    assert _skip_link(planted('<a href="other.html">Home</a>').page)
    assert _skip_link(planted('<a href="#p" style="position: absolute; left: -900px">Skip to the text</a>').page)


def test_broken_links_are_found(tmp_path: Path) -> None:
    links = {
        "b.html": False,
        "b.html#here": False,
        "./b.html#gone": True,
        "c.html": True,
        "#p": False,
        "#q": True,
        "sub/": False,
        "sub/none/": True,
        "https://other.invalid/": False,
        "../out.html": True,
        "b.html#caf%C3%A9": False,
        "mailto:a@b.c": False,
    }
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "index.html").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.html").write_text(GOOD.replace("{}", '<a name="here">b</a><b id="café">c</b>'), encoding="utf-8")
    for link, broken in links.items():
        (tmp_path / "a.html").write_text(GOOD.replace("{}", f'<a href="{link}">a</a>'), encoding="utf-8")
        found = browsing.broken_links(tmp_path, browsing.documents(tmp_path), "a.html")
        assert bool(found) is broken, (link, found)
    for tag in ('<img src="gone.png">', '<script src="gone.js"></script>', '<img srcset="gone.png 2x">'):
        (tmp_path / "a.html").write_text(GOOD.replace("{}", tag), encoding="utf-8")
        assert browsing.broken_links(tmp_path, browsing.documents(tmp_path), "a.html"), tag


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        ('<script src="https://cdn.invalid/a.js"></script>', True),
        ('<img src="//cdn.invalid/a.png">', True),
        ('<link rel="stylesheet" href="https://cdn.invalid/a.css">', True),
        ('<p style="background: url(http://a.invalid/b)">', True),
        ('<link rel="preconnect" href="https://cdn.invalid">', True),
        ("<style>@import 'https://a.invalid/b';</style>", True),
        ('<a href="https://other.invalid/">a link</a>', False),
        ('<script src="a.js"></script>', False),
        ('<link rel="canonical" href="https://home.invalid/">', False),
    ],
)
def test_foreign_resources_are_found(tmp_path: Path, text: str, foreign: bool) -> None:
    (tmp_path / "a.html").write_text(GOOD.replace("{}", text), encoding="utf-8")
    assert bool(browsing.foreign_resources(browsing.documents(tmp_path)["a.html"])) is foreign


def test_broken_style_sheets_are_found(tmp_path: Path) -> None:
    file = tmp_path / "a.css"
    (tmp_path / "a.woff2").write_bytes(b"")
    for css, broken in (
        ("p { src: url(a.woff2) }", False),
        ("p { src: url('b.woff2') }", True),
        ("p { src: url(data:,) }", False),
        ("@font-face { src: url(b.woff2) }", True),
        ("@font-face{src:url(a.woff2) format('woff2'),url(b.ttf)}", False),
        ("@import 'https://a.invalid/b.css';", True),
        ("/* url(b.woff2) https://a.invalid */", False),
    ):
        file.write_text(css, encoding="utf-8")
        assert bool(browsing.broken_styles(tmp_path, file)) is broken, css


def test_incomplete_heads_and_ends_are_found(tmp_path: Path) -> None:
    good = GOOD.replace("</title>", '</title><meta name="description" content="A page that says what it answers.">')
    good = good.replace(
        "{}", '<div class="about-page"><a href="x/01-page.md">Source</a><a href="appendix/api.html">API</a> Cite</div>'
    )

    def problems(html: str) -> list[str]:
        (tmp_path / "a.html").write_text(html, encoding="utf-8")
        document = browsing.documents(tmp_path)["a.html"]
        return [*_head(document, "x/01-page"), *_about(document, "x/01-page")]

    assert problems(good) == []
    for old in (
        "<title>Good</title>",
        ' lang="en"',
        'name="description"',
        '<link rel="icon" href="data:,">',
        'name="viewport"',
        "01-page.md",
        "appendix/api.html",
        " Cite",
        'class="about-page"',
    ):
        assert old in good
        assert problems(good.replace(old, "")), old


def test_other_numbers_in_the_prose_are_found(tmp_path: Path) -> None:
    cell = SimpleNamespace(metadata={"user_expressions": [{"result": {"data": {"text/plain": "'0.25'"}}}]})
    for text, wrong in (
        ('<span class="output text_plain">0.25</span>', False),
        ("0.25", True),
        ('<span class="output text_plain">0.26</span>', True),
    ):
        (tmp_path / "a.html").write_text(GOOD.replace("{}", text), encoding="utf-8")
        document = browsing.documents(tmp_path)["a.html"]
        assert bool(list(_prose_numbers(document, SimpleNamespace(cells=[cell])))) is wrong


def test_a_missing_browser_is_skipped_by_name_and_fails_on_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("tools.chromium.MAC", Path("/nowhere"))
    monkeypatch.delenv("CHROME_PATH", raising=False)
    assert browsing.chromium() is None
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Chromium is not installed"):
        browsing.unavailable("Chromium is not installed")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="CI is set"):
        browsing.unavailable("Chromium is not installed")


def test_what_scrolls_on_a_wide_screen_is_found(planted: Callable[..., Any]) -> None:
    page = planted(f'<article><pre style="overflow-x: auto">{"long " * 80}</pre><pre>short</pre></article>').page
    assert len(browsing.scrolling(page)) == 1
