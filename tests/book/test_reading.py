"""The site under the conditions in which people read: enlarged, spaced out, in forced colours, by keyboard, by ear.

A few pages stand for all: the landing page, a chapter with much of everything, and the search. ``test_site.py`` holds
every page to less. Needs ``make book`` and Chromium; each check is tried on a page that is planted to be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import browsing
import pytest
from chapters import book, toc

PAGES = toc()
CHAPTERS = [name for name in PAGES if name in book() and book()[name].is_chapter]
HOME, FIRST = PAGES[0], CHAPTERS[0]
HEAVY = max(CHAPTERS, key=lambda name: book()[name].text.count("$"))  # the chapter with the most formulas
SOME = [HOME, FIRST]


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with browsing.serve(site) as url:
        yield url


@contextmanager
def opened(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page in a window of its own; ``options`` are those of the browser's context."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"} | options)
    context.set_default_timeout(20_000)
    try:
        page = context.new_page()
        page.goto(url, wait_until="load")
        page.evaluate("document.fonts.ready.then(() => true)")
        yield page
    finally:
        context.close()


def _none(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


# -- larger ----------------------------------------------------------------------------------------------------------

#: What WCAG 1.4.12 lets a reader set without a loss.
SPACING = """* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
p { margin-bottom: 2em !important; }
.katex, .katex * { line-height: 1.2 !important; letter-spacing: 0 !important; word-spacing: 0 !important; }"""


def cut_off(page: Any) -> list[str]:
    """Text that a box of its own hides: taller or wider than a box that neither scrolls nor grows."""
    return list(
        page.evaluate("""() => {
        const found = [];
        for (const box of document.body.querySelectorAll('*')) {
            if (box.closest('.katex, svg, .visually-hidden, .skip-link') || !box.checkVisibility()) continue;
            const style = getComputedStyle(box);
            const hides = axis => ['hidden', 'clip'].includes(axis);
            if (style.display === 'inline' || style.clipPath !== 'none' || !box.innerText?.trim()) continue;
            const wide = hides(style.overflowX) && box.scrollWidth > box.clientWidth + 2;
            const tall = hides(style.overflowY) && style.overflowX !== 'auto' && box.scrollHeight > box.clientHeight+6;
            if (wide || tall)
                found.push(`${box.outerHTML.slice(0, 90)} shows ${box.clientWidth} × ${box.clientHeight} pixels `
                    + `of ${box.scrollWidth} × ${box.scrollHeight}`);
        }
        return found.slice(0, 6);
    }""")
    )


@pytest.mark.parametrize("name", [*SOME, HEAVY])
def test_enlarged_to_twice_its_size(browser: Any, address: str, name: str) -> None:
    """The browser's zoom at 200 %: a window of 640 pixels in which each is two wide."""
    window = {"viewport": {"width": 640, "height": 450}, "device_scale_factor": 2}
    with opened(browser, f"{address}/{name}.html", **window) as page:
        _none(browsing.overflow(page) + cut_off(page))


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("width", [1280, 640])
def test_text_alone_enlarged(browser: Any, address: str, name: str, width: int) -> None:
    with opened(browser, f"{address}/{name}.html", viewport={"width": width, "height": 900}) as page:
        before = page.evaluate("getComputedStyle(document.querySelector('article p')).fontSize")
        page.add_style_tag(content="html { font-size: 200% !important; }")
        after = page.evaluate("getComputedStyle(document.querySelector('article p')).fontSize")
        assert float(after[:-2]) == pytest.approx(2 * float(before[:-2])), "the text's size is not the reader's"
        _none(browsing.overflow(page) + cut_off(page))


@pytest.mark.parametrize("name", SOME)
def test_text_spaced_out(browser: Any, address: str, name: str) -> None:
    with opened(browser, f"{address}/{name}.html", viewport={"width": 360, "height": 740}) as page:
        page.add_style_tag(content=SPACING)
        _none(browsing.overflow(page) + cut_off(page))


# -- colours and motion ----------------------------------------------------------------------------------------------


def moving(page: Any) -> list[str]:
    """What moves by itself or glides although the reader asked for no motion."""
    return list(
        page.evaluate("""() => [
        ...document.getAnimations().filter(a => a.playState === 'running' && a.timeline === document.timeline)
            .map(a => `an animation runs on ${a.effect.target.outerHTML.slice(0, 80)}`),
        ...(getComputedStyle(document.documentElement).scrollBehavior === 'smooth' ? ['scrolling glides'] : []),
        ...[...document.images].filter(i => /\\.(gif|apng)(\\?|#|$)|#play/.test(i.currentSrc))
            .map(i => `${i.currentSrc} may play by itself`)]""")
    )


def faint(page: Any, least: float) -> list[str]:
    """Text whose contrast with what is behind it is below ``least``; the page's own colours, as they are shown."""
    return list(
        page.evaluate(
            """least => {
        const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
        const rgb = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data]; };
        const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
            .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
        const behind = element => { for (let e = element; e; e = e.parentElement) {
            const color = rgb(getComputedStyle(e).backgroundColor); if (color[3] > 250) return color; }
            return rgb('Canvas'); };
        const found = new Map();
        for (const element of document.querySelectorAll('a, p, li, h1, h2, h3, code, summary, button, dt')) {
            if (element.closest('.katex') || !element.checkVisibility({opacityProperty: true})) continue;
            if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
            const style = getComputedStyle(element);
            const [a, b] = [light(rgb(style.color)), light(behind(element))].sort((x, y) => y - x);
            const ratio = (a + 0.05) / (b + 0.05);
            if (ratio < least) found.set(`${element.tagName} ${element.className}`,
                `${ratio.toFixed(1)} : 1 for ${style.color}: ${element.textContent.trim().slice(0, 50)}`);
        }
        return [...found.values()].slice(0, 8);
    }""",
            least,
        )
    )


def test_nothing_moves_for_who_wants_no_motion(browser: Any, address: str) -> None:
    for name in dict.fromkeys([HOME, next((n for n in CHAPTERS if "classes: moving" in book()[n].text), FIRST)]):
        with opened(browser, f"{address}/{name}.html", reduced_motion="reduce") as page:
            _none(moving(page))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_that_the_reader_forces(browser: Any, address: str, scheme: str) -> None:
    """Text stays readable, links stay links, and what is drawn with borders alone keeps them."""
    with opened(browser, f"{address}/{FIRST}.html", forced_colors="active", color_scheme=scheme) as page:
        _none(faint(page, 4.5))
        outlined = page.evaluate("""() => {
            const button = document.querySelector('header .theme-switch'); button.focus({focusVisible: true});
            const style = getComputedStyle(button), icon = getComputedStyle(button.querySelector('svg'));
            return {outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
                icon: icon.stroke !== getComputedStyle(document.body).backgroundColor};
        }""")
        assert outlined == {"outline": True, "icon": True}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_more_contrast_for_who_asks_for_it(browser: Any, address: str, scheme: str) -> None:
    with opened(browser, f"{address}/{FIRST}.html", contrast="more", color_scheme=scheme) as page:
        _none(faint(page, 7 if scheme == "light" else 6.5))


def discoloured(page: Any) -> list[str]:
    """Formulas in another colour than the words around them, for which nobody asked."""
    return list(
        page.evaluate("""() => [...document.querySelectorAll('.katex')].filter(formula => {
            const ink = getComputedStyle(formula.parentElement).color;
            return [formula, ...formula.querySelectorAll('.katex-html *')].some(part =>
                !part.closest('[style*="color"]') && getComputedStyle(part).color !== ink);
        }).map(formula => `another colour than the text: ${formula.textContent.slice(0, 60)}`).slice(0, 5)""")
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_formulas_have_the_colour_of_their_text(browser: Any, address: str, scheme: str) -> None:
    """So that what is said of the text's contrast holds for them; axe-core is shown boxes in their place."""
    with opened(browser, f"{address}/{FIRST}.html", color_scheme=scheme) as page:
        browsing.lay_out(page)
        _none(discoloured(page))


# -- sections that are laid out late ---------------------------------------------------------------------------------


def clipped(page: Any) -> list[str]:
    """What stands out of a section that is laid out when the reader comes near: such a box shows nothing outside."""
    return list(
        page.evaluate("""() => {
        const found = [];
        for (const section of document.querySelectorAll('article > section > section')) {
            if (getComputedStyle(section).contentVisibility !== 'auto') continue;
            const room = section.getBoundingClientRect();
            for (const part of section.querySelectorAll('aside, figure, pre, p, li, img, button, .highlight')) {
                const box = part.getBoundingClientRect();
                if (!box.width || getComputedStyle(part).clipPath !== 'none') continue;
                let around = part.parentElement;
                while (around !== section && getComputedStyle(around).overflowX === 'visible')
                    around = around.parentElement;
                if (around !== section) continue;  // in a box that scrolls
                if (box.left < room.left - 1 || box.right > room.right + 1)
                    found.push(`${part.outerHTML.slice(0, 80)} is cut by its section`);
            }
        }
        return found.slice(0, 6);
    }""")
    )


@pytest.mark.parametrize("width", [1440, 1280, 360])
def test_a_late_section_cuts_nothing_off(browser: Any, address: str, width: int) -> None:
    """Where there is no mouse, sections stay so; margin notes, code and figures must lie within them."""
    touch = {"viewport": {"width": width, "height": 900}, "has_touch": True, "is_mobile": True}
    with opened(browser, f"{address}/{FIRST}.html", **touch) as page:
        late = "getComputedStyle(document.querySelector('article > section > section')).contentVisibility"
        assert page.evaluate(late) == "auto"
        _none(clipped(page))


def test_a_link_into_a_late_section_leads_there(browser: Any, address: str) -> None:
    """Opened with a fragment, and followed within the page: the place is at the top, under the bar."""
    touch = {"viewport": {"width": 800, "height": 900}, "has_touch": True}
    top = "id => document.getElementById(id).getBoundingClientRect().top"
    with opened(browser, f"{address}/{HEAVY}.html", **touch) as page:
        places = page.evaluate(
            "[...document.querySelectorAll('article div.math[id], article section[id]')].map(e => e.id)"
        )
        for place in (places[len(places) // 3], places[len(places) // 2]):
            page.evaluate("id => { location.hash = id; }", place)
            page.wait_for_timeout(200)
            assert 0 <= page.evaluate(top, place) < 200, place
    for place in (places[len(places) // 3], places[2 * len(places) // 3]):
        with opened(browser, f"{address}/{HEAVY}.html#{place}", **touch) as page:
            page.wait_for_timeout(200)
            assert 0 <= page.evaluate(top, place) < 200, place


# -- the measure -----------------------------------------------------------------------------------------------------


def full_lines(page: Any) -> list[int]:
    """How many characters stand in each full line of the paragraphs: every line of a paragraph but its last."""
    return list(
        page.evaluate("""() => {
        const lengths = [];
        for (const p of document.querySelectorAll('article > p, article section > p')) {
            if (p.className || p.querySelector('.katex, img, code') || !p.checkVisibility()) continue;
            const walker = document.createTreeWalker(p, NodeFilter.SHOW_TEXT), range = document.createRange();
            const lines = new Map();
            while (walker.nextNode()) {
                const text = walker.currentNode;
                if (text.parentElement.closest('.headerlink, .visually-hidden')) continue;
                for (let k = 0; k < text.data.length; k++) {
                    range.setStart(text, k); range.setEnd(text, k + 1);
                    const box = range.getClientRects()[0];
                    if (!box || !box.width) continue;
                    const line = Math.round(box.bottom / 8);
                    lines.set(line, (lines.get(line) || 0) + 1);
                }
            }
            const counts = [...lines.entries()].sort((a, b) => a[0] - b[0]).map(entry => entry[1]).filter(n => n > 3);
            lengths.push(...counts.slice(0, -1));
        }
        return lengths;
    }""")
    )


@pytest.mark.parametrize("name", [HOME, FIRST, CHAPTERS[-1]])
def test_lines_are_no_longer_than_75_characters(browser: Any, address: str, name: str) -> None:
    for width in (1280, 1920):
        with opened(browser, f"{address}/{name}.html", viewport={"width": width, "height": 900}) as page:
            lines = sorted(full_lines(page))
            assert len(lines) >= 3, "too few full lines of plain text to say"
            middle = lines[len(lines) // 2]
            assert 45 <= middle <= 75, f"{middle} characters in a line of {name} at {width} pixels"


# -- by ear and by keyboard ------------------------------------------------------------------------------------------


def read_out(page: Any) -> list[dict[str, Any]]:
    """The page's accessibility tree in reading order: role, name, properties and depth of what is not ignored."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    by_id = {node["nodeId"]: node for node in nodes}
    found: list[dict[str, Any]] = []
    waiting = [(nodes[0], ())] if nodes else []
    while waiting:
        node, above = waiting.pop()
        role = node.get("role", {}).get("value", "")
        if not node["ignored"]:
            properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
            name = node.get("name", {}).get("value", "")
            found.append({"role": role, "name": name.strip(), "above": above, **properties})
            above = (*above, role)
        waiting += [(by_id[child], above) for child in reversed(node.get("childIds", [])) if child in by_id]
    return found


def misread(tree: list[dict[str, Any]], *, behind_buttons: bool = False) -> list[str]:
    """What is wrong with a page as it is read out."""
    found = []
    roles = [node["role"] for node in tree]
    for role in ("banner", "main", "contentinfo"):
        if roles.count(role) != 1:
            found.append(f"{roles.count(role)} landmarks {role}")
    names = [node["name"] for node in tree if node["role"] == "navigation"]
    # on a telephone they are behind buttons, and a closed one is not read out
    if (not names and not behind_buttons) or len(set(names)) != len(names) or not all(names):
        found.append(f"the navigations are called {names}")
    levels = [node.get("level", 0) for node in tree if node["role"] == "heading"]
    if levels.count(1) != 1:
        found.append(f"{levels.count(1)} headings of the first level")
    for before, after in zip([0, *levels], levels, strict=False):
        if after > before + 1:
            found.append(f"a heading of level {after} follows one of level {before}")
    for node in tree:
        if node["role"] in ("link", "button", "image", "img", "textbox", "searchbox", "dialog") and not node["name"]:
            found.append(f"a {node['role']} without a name")
        if node["role"] == "heading" and not node["name"]:
            found.append("a heading without a name")
    return found


def spoken_twice(page: Any) -> list[str]:
    """Formulas that are read out as glyphs beside their MathML, or that have no MathML."""
    return list(
        page.evaluate("""() => [...document.querySelectorAll('.katex')].filter(formula =>
            !formula.querySelector('math') ||
            formula.querySelector('.katex-html')?.getAttribute('aria-hidden') !== 'true')
            .map(formula => `read out twice or not at all: ${formula.textContent.slice(0, 60)}`).slice(0, 5)""")
    )


@pytest.mark.parametrize("name", [*SOME, HEAVY, "search", "genindex"])
def test_the_page_as_it_is_read_out(browser: Any, address: str, name: str) -> None:
    for width in (1280,) if name == HEAVY else (1280, 360):
        with opened(browser, f"{address}/{name}.html", viewport={"width": width, "height": 900}) as page:
            browsing.lay_out(page)  # a reader of the screen asks for all of it, the protocol does not
            tree = read_out(page)
            wrong = misread(tree, behind_buttons=width == 360) + spoken_twice(page)
            _none([f"{width} px: {problem}" for problem in wrong])
            formulas = page.locator("article .math:visible math").count()
            spoken = sum(node["role"] in ("math", "MathMLMath") for node in tree)
            assert spoken >= formulas, f"{spoken} of {formulas} formulas are there as mathematics"


def test_every_page_has_one_first_heading_and_no_jump(site: Path) -> None:
    """The same of all pages, from the files."""
    found = []
    for file in sorted(site.rglob("*.html")):
        name = file.relative_to(site).as_posix()
        text = file.read_text(encoding="utf-8")
        if name.startswith("_static/") or "<main" not in text:
            continue
        levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", text)]
        if levels.count(1) != 1 or levels[0] != 1:
            found.append(f"{name}: the headings begin with {levels[:4]}")
        found += [f"{name}: h{b} follows h{a}" for a, b in pairwise(levels) if b > a + 1]
        glyphs = re.findall(r'<span [^>]*class="katex-html"[^>]*>', text)
        if not all('aria-hidden="true"' in tag for tag in glyphs):
            found.append(f"{name}: a formula's glyphs are read out")
        formulas, spoken = text.count('class="katex"'), text.count("<math ")
        if formulas != spoken:
            found.append(f"{name}: {formulas} formulas, {spoken} in MathML")
    _none(found)


def walk(page: Any, most: int = 400) -> list[dict[str, Any]]:
    """Press Tab from the top of the page until the focus leaves it; what was reached, and whether it was seen."""
    page.evaluate("window.getSelection().removeAllRanges(); document.activeElement.blur(); window.reached = new Set()")
    steps = []
    for _ in range(most):
        page.keyboard.press("Tab")
        step = page.evaluate("""() => {
            const e = document.activeElement;
            if (!e || e === document.body) return null;
            const box = e.getBoundingClientRect(), style = getComputedStyle(e), again = window.reached.has(e);
            window.reached.add(e);
            const marked = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1.5
                || style.boxShadow !== 'none';
            const bar = document.querySelector('header.bar')?.getBoundingClientRect();
            const under = bar && !e.closest('header, .skip-link, nav') && box.bottom > 0 && box.bottom <= bar.bottom;
            return {what: e.outerHTML.slice(0, 90), again, marked, area: box.width * box.height,
                inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth, under,
                where: [['.skip-link', 'skip'], ['header', 'bar'], ['#contents', 'contents'], ['#outline', 'outline'],
                    ['article', 'article']].find(([part]) => e.closest(part))?.[1] || 'end'};
        }""")
        if step is None or step["again"]:
            break
        steps.append(step)
    return steps


def misstepped(steps: list[dict[str, Any]]) -> list[str]:
    """Where the focus went unseen or out of order."""
    found = [f"no focus to be seen on {s['what']}" for s in steps if not s["marked"] or s["area"] < 4]
    found += [f"the focus is out of sight on {s['what']}" for s in steps if not s["inside"]]
    found += [f"the bar stands over {s['what']}" for s in steps if s["under"]]
    order = list(dict.fromkeys(step["where"] for step in steps))
    wanted = [place for place in ("skip", "bar", "contents", "outline", "article", "end") if place in order]
    if order != wanted or not {"skip", "bar", "article"} <= set(order):
        found.append(f"the order is {order}")
    return found[:8]


@pytest.mark.parametrize("width", [1280, 360])
def test_a_walk_with_the_tab_key(browser: Any, address: str, width: int) -> None:
    """From the skip link through bar, contents and text to the end, always seen, without a trap."""
    with opened(browser, f"{address}/{FIRST}.html", viewport={"width": width, "height": 900}) as page:
        steps = walk(page)
        _none(misstepped(steps))
        assert steps[-1]["where"] == "end", f"the focus is caught at {steps[-1]['what']}"


def test_contents_open_and_close_with_the_keyboard(browser: Any, address: str) -> None:
    """On a telephone's width: the button opens the contents, Escape closes them and gives the focus back."""
    with opened(browser, f"{address}/{FIRST}.html", viewport={"width": 360, "height": 740}) as page:
        button = page.locator("header [popovertarget=contents]")
        button.focus()
        page.keyboard.press("Enter")
        assert page.locator("#contents").is_visible()
        assert page.evaluate("document.querySelector('#contents').matches(':popover-open')")
        page.keyboard.press("Tab")
        assert page.evaluate("!!document.activeElement.closest('#contents')"), "Tab does not lead into the contents"
        page.keyboard.press("Escape")
        assert not page.locator("#contents").is_visible()
        assert page.evaluate("document.activeElement.getAttribute('popovertarget')") == "contents"


# -- the checks themselves -------------------------------------------------------------------------------------------

PLAIN = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>a</title>
<style>:focus-visible { outline: 2px solid red }</style></head><body>
<a class="skip-link" href="#text">Skip</a><header class="bar"><a href="b.html">Book</a></header>
<nav aria-label="Contents" id="contents"><a href="c.html">C</a></nav><main id="text"><article><h1>One</h1><p>Text.
<a href="d.html">more</a> {}</p><h2>Two</h2></article></main><footer><a href="e.html">end</a></footer></body></html>"""


@pytest.fixture
def planted(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Opens a small page with the given text in it, or with a part of it replaced."""
    with ExitStack() as stack:

        def plant(text: str = "", old: str = "", **options: Any) -> Any:
            html = PLAIN.replace(old, text, 1).replace("{}", "") if old else PLAIN.replace("{}", text)
            (tmp_path / "page.html").write_text(html, encoding="utf-8")
            return stack.enter_context(opened(browser, (tmp_path / "page.html").as_uri(), **options))

        yield plant


def test_a_good_page_passes(planted: Callable[..., Any]) -> None:
    page = planted()
    assert cut_off(page) + moving(page) + misread(read_out(page)) + spoken_twice(page) == []
    assert misstepped(walk(page)) == []
    assert faint(page, 4.5) == []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (
            cut_off,
            '<div style="overflow: hidden; width: 9em; white-space: nowrap">words that are cut off at the edge</div>',
        ),
        (
            cut_off,
            '<div style="overflow: hidden; height: 1.5em; width: 9em">words that are cut off at the bottom</div>',
        ),
        (moving, "<style>@keyframes k { to { left: 9px } } h1 { animation: k 9s infinite }</style>"),
        (moving, "<style>html { scroll-behavior: smooth }</style>"),
        (lambda page: faint(page, 4.5), '<a href="x.html" style="color: #bbb">a pale link</a>'),
        (
            discoloured,
            "<style>.mord { color: red }</style>"
            "<span class='katex'><b class='katex-html'><i class='mord'>x</i></b></span>",
        ),
        (
            clipped,
            "<section><section style='content-visibility: auto; width: 9em'>"
            "<aside style='position: relative; left: 8em'>a note</aside></section></section>",
        ),
        (lambda page: misread(read_out(page)), "<span role='heading' aria-level='3'>too deep</span>"),
        (lambda page: misread(read_out(page)), '<a href="x.html"></a>'),
        (lambda page: misread(read_out(page)), "<button></button>"),
        (lambda page: misread(read_out(page)), "<nav>unnamed</nav>"),
        (lambda page: misread(read_out(page)), '<nav aria-label="Contents">named the same</nav>'),
        (spoken_twice, '<span class="katex"><math><mi>x</mi></math><span class="katex-html">x</span></span>'),
        (spoken_twice, '<span class="katex"><span class="katex-html" aria-hidden="true">x</span></span>'),
        (lambda page: misstepped(walk(page)), "<style>a { outline: none !important }</style>"),
        (lambda page: misstepped(walk(page)), '<a href="x" style="position: fixed; left: -900px">out of sight</a>'),
        (lambda page: misstepped(walk(page)), '<a href="x" tabindex="3">first of all</a>'),
    ],
)
def test_what_is_wrong_is_found(planted: Callable[..., Any], check: Callable[[Any], list[str]], text: str) -> None:
    assert check(planted(text))


def test_long_lines_are_counted(planted: Callable[..., Any]) -> None:
    words = "many words " * 80
    lines = full_lines(planted(f'</p><p style="font: 16px monospace; width: 60ch">{words}'))
    assert 50 <= sorted(lines)[len(lines) // 2] <= 60
    assert max(full_lines(planted(f"</p><p>{words}"))) > 100
