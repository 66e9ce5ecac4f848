"""What a page may do: the policy in its head, the scripts it loads, and that a browser really refuses the rest.

The files are read once for all checks, as text; the browser opens a few pages. Needs ``make book`` first.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import browsing
import pytest
from chapters import book, toc

PAGES = toc()
PAIRS = list[tuple[str, str | None]]
POLICY = "content-security-policy"
ADDRESSES = {"href", "src", "action", "formaction", "data", "xlink:href", "srcdoc"}
#: What the policy must say; a directive that is not named here falls back to ``default-src``.
WANTED = {
    "default-src": {"'none'"},
    "style-src": {"'self'", "'unsafe-inline'"},  # KaTeX places its boxes by style attributes
    "img-src": {"'self'", "data:"},
    "font-src": {"'self'"},
    "connect-src": {"'self'"},
    "manifest-src": {"'self'"},
    "worker-src": {"'self'"},
    "base-uri": {"'none'"},
    "form-action": {"'self'"},
}


class _Reader(HTMLParser):
    """Notes what a page has of policies, scripts and handlers, in the order in which a browser meets them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.policies: list[tuple[str, int]] = []  # the policy, and how many elements that load came before it
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.bad: list[str] = []
        self.loading = 0
        self.code = 0
        self.in_head = False

    def handle_starttag(self, tag: str, attrs: PAIRS) -> None:
        given = dict(attrs)
        if tag in ("head", "body"):
            self.in_head = tag == "head"
        if tag == "meta" and (given.get("http-equiv") or "").lower() == POLICY:
            self.policies.append((given.get("content") or "", self.loading))
            if not self.in_head:
                self.bad.append("the policy does not stand in the head, so that browsers ignore it")
        if tag in ("script", "link", "style", "img", "base", "iframe", "object"):
            self.loading += 1
        if tag == "script":
            self.scripts.append((given, ""))
        if tag in ("iframe", "object", "embed", "base"):
            self.bad.append(f"<{tag}>")
        if tag == "pre":
            self.code += 1
        for name, value in attrs:
            if name.startswith("on"):
                self.bad.append(f"<{tag} {name}={value!r}>: a handler in the page")
            if name in ADDRESSES and re.match(r"\s*(javascript|vbscript|data:text/html)", value or "", re.IGNORECASE):
                self.bad.append(f"<{tag} {name}={value!r}>: a script as an address")

    handle_startendtag = handle_starttag

    def handle_data(self, data: str) -> None:
        if self.cdata_elem == "script":
            given, text = self.scripts[-1]
            self.scripts[-1] = (given, text + data)


def directives(policy: str) -> dict[str, set[str]]:
    """A policy as a table; of a directive that is said twice, browsers take the first."""
    found: dict[str, set[str]] = {}
    for part in policy.split(";"):
        words = part.split()
        if words:
            found.setdefault(words[0].lower(), set(words[1:]))
    return found


def policy_problems(html: str, *, redirect: bool = False) -> Iterator[str]:
    """What is wrong with a page's policy and scripts."""
    page = _Reader()
    page.feed(html)
    yield from page.bad
    if len(page.policies) != 1:
        if not (redirect and not page.scripts):
            yield f"{len(page.policies)} policies in the head instead of one"
        return
    policy, before = page.policies[0]
    if before:
        yield f"{before} elements that load something stand before the policy, which does not hold for them"
    found = directives(policy)
    for name, wanted in WANTED.items():
        if found.get(name) != wanted:
            yield f"{name} allows {sorted(found.get(name, set()))} instead of {sorted(wanted)}"
    for name in sorted(set(found) - set(WANTED) - {"script-src"}):
        yield f"the policy has {name}, which is not expected"
    allowed = found.get("script-src", set())
    hashes = {word for word in allowed if word.startswith("'sha256-")}
    for word in sorted(allowed - hashes - {"'self'"}):
        yield f"script-src allows {word}"
    inline = set()
    for given, text in page.scripts:
        name = given.get("src") or text.strip()[:50]
        if given.get("type") not in (None, "text/javascript", "application/ld+json", "application/json"):
            yield f"the script {name!r} is {given['type']}, which does not load from a file"
        for bad in ("integrity", "crossorigin", "nomodule"):
            if bad in given:
                yield f"the script {name!r} has {bad}, which fails or is needless where the page is opened from a file"
        if given.get("src"):
            if "defer" not in given or "async" in given:
                yield f"the script {name!r} is not deferred"
            if text.strip():
                yield f"the script {name!r} has a text as well, which no browser runs"
        elif given.get("type") in (None, "text/javascript"):
            inline.add("'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'")
    for missing in sorted(inline - hashes):
        yield f"an inline script has the hash {missing}, which is not in the policy: it is not run"
    for needless in sorted(hashes - inline):
        yield f"the policy allows a script with the hash {needless}, which the page does not have"


def script_problems(html: str) -> Iterator[str]:
    """Scripts that a page loads without a use for them, and those that it needs and does not load."""
    page = _Reader()
    page.feed(html)
    names = {re.sub(r".*/|\?.*", "", given["src"] or "") for given, _ in page.scripts if given.get("src")}
    if ("copy.js" in names) != bool(page.code):
        yield f"copy.js is {'loaded' if 'copy.js' in names else 'missing'}, the page has {page.code} blocks of code"
    moving = re.search(r'<figure[^>]* class="[^"]*\bmoving\b', html) is not None
    if ("moving.js" in names) != moving:
        yield f"moving.js is {'loaded' if 'moving.js' in names else 'missing'}"
    for name in ("thebe", "jquery", "require", "mathjax", "bootstrap", "fontawesome", "clipboard", "searchtools"):
        if any(name in script.lower() for script in names):
            yield f"{name} is loaded"


@pytest.fixture(scope="module")
def texts(site: Path) -> dict[str, str]:
    """Every page as text, its formulas left empty; templates in ``_static`` are none."""
    files = {p.relative_to(site).as_posix(): p for p in sorted(site.rglob("*.html"))}
    return {
        name: browsing.without_formulas(p.read_text(encoding="utf-8"))
        for name, p in files.items()
        if not name.startswith("_static/")
    }


def test_every_page_says_what_it_may_do(texts: dict[str, str]) -> None:
    assert {f"{page}.html" for page in PAGES} <= set(texts)
    found = [
        f"{name}: {problem}"
        for name, text in texts.items()
        for problem in policy_problems(text, redirect="http-equiv" in text and "<main" not in text)
    ]
    assert not found, "\n" + "\n".join(found)


def test_every_page_loads_the_scripts_that_it_uses(texts: dict[str, str]) -> None:
    found = [f"{name}: {problem}" for name, text in texts.items() for problem in script_problems(text)]
    assert not found, "\n" + "\n".join(found)


# -- in the browser --------------------------------------------------------------------------------------------------

WITH_CODE = next(page for page in PAGES if page in book() and book()[page].is_chapter)
REPORTS = """addEventListener('securitypolicyviolation', event =>
    (window.refused ||= []).push(`${event.effectiveDirective} ${event.blockedURI}`));"""
PLANTED = {
    "script-src-elem inline": "<script>window.planted = 1</script>",
    "script-src-attr inline": '<button id="x" onclick="window.planted = 1">x</button>',
    "script-src-elem https://other.invalid/a.js": '<script src="https://other.invalid/a.js"></script>',
    "script-src-elem data": '<script src="data:text/javascript,window.planted=1"></script>',
    "img-src https://other.invalid/a.png": '<img src="https://other.invalid/a.png" alt="a">',
    "style-src-elem https://other.invalid/a.css": '<link rel="stylesheet" href="https://other.invalid/a.css">',
    "frame-src https://other.invalid": '<iframe src="https://other.invalid/"></iframe>',
    "object-src https://other.invalid": '<object data="https://other.invalid/a"></object>',
    "base-uri https://other.invalid/": '<base href="https://other.invalid/">',
}


def test_the_browser_refuses_what_the_policy_does_not_allow(
    browser: Any, texts: dict[str, str], tmp_path: Path
) -> None:
    head = re.search(r"<meta[^>]*Content-Security-Policy[^>]*>", texts[f"{WITH_CODE}.html"])
    assert head is not None
    own = '<script src="own.js"></script>'  # of the site itself: this one runs, but what it makes of a text does not
    (tmp_path / "own.js").write_text("window.own = 1; eval('window.planted = 1');", encoding="utf-8")
    planted = own + "".join(PLANTED.values())
    html = f'<!doctype html><html lang="en"><head>{head[0]}<title>a</title></head><body>{planted}'
    (tmp_path / "page.html").write_text(html, encoding="utf-8")
    context = browser.new_context()
    context.add_init_script(REPORTS)
    page = context.new_page()
    sent: list[str] = []  # what the policy did not stop
    page.on("requestfailed", lambda r: None if "csp" in str(r.failure) else sent.append(f"{r.url}: {r.failure}"))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    with browsing.serve(tmp_path) as address:
        page.goto(f"{address}/page.html")
        page.locator("#x").click()
        page.evaluate("fetch('https://other.invalid/a').catch(() => 0)")
        refused = set(page.evaluate("window.refused"))
        assert set(PLANTED) <= refused, sorted(refused)
        assert {"connect-src https://other.invalid/a", "script-src eval"} <= refused
        assert page.evaluate("window.own") == 1
        assert page.evaluate("window.planted") is None
    assert sent == []
    assert len(said) >= len(PLANTED), "a refusal is reported in the console"
    context.close()


@pytest.mark.parametrize("page", [PAGES[0], WITH_CODE, "search"])
def test_pages_work_from_a_file(browser: Any, site: Path, page: str) -> None:
    """Opened with a double click: a quiet console, and the book's own fonts."""
    context = browser.new_context()
    opened = context.new_page()
    said: list[str] = []
    opened.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: said.append(f"uncaught: {error}"))
    opened.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    opened.goto((site / f"{page}.html").as_uri(), wait_until="load")
    families = opened.evaluate("""async () => {
        await document.fonts.ready;
        return [...document.fonts].filter(font => font.status === 'loaded').map(font => font.family.replace(/"/g, ''));
    }""")
    assert any(family.startswith("Source Serif") for family in families), families
    if page == WITH_CODE:
        assert any(family.startswith("KaTeX") for family in families), families
    opened.locator("header.bar .theme-switch").click()
    assert opened.evaluate("document.documentElement.dataset.theme") == "dark"
    assert not said
    context.close()


# -- the checks themselves -------------------------------------------------------------------------------------------

SCRIPT = "document.title = 'x';"
HASH = "'sha256-" + base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode() + "'"
RULES = "; ".join(f"{name} {' '.join(sorted(values))}" for name, values in WANTED.items())
META = f'<meta http-equiv="Content-Security-Policy" content="{RULES}; script-src \'self\' {HASH}">'
GOOD = (
    f'<!doctype html><html><head><meta charset="utf-8">{META}<script>{SCRIPT}</script>'
    '<script defer src="_static/course.js?v=1"></script></head><body><p>Text.</p></body></html>'
)


def test_a_good_page_passes() -> None:
    assert list(policy_problems(GOOD)) == []
    assert list(script_problems(GOOD)) == []


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (META, "", "0 policies"),
        (META, META * 2, "2 policies"),
        ('<meta charset="utf-8">', '<link rel="icon" href="a.svg">', "before the policy"),
        (SCRIPT, SCRIPT + " ", "not in the policy"),
        (f"<script>{SCRIPT}</script>", "", "does not have"),
        ("<p>", '<p onclick="x()">', "handler"),
        ("<p>", '<p><a href=" JavaScript:x()">a</a>', "script as an address"),
        ("<p>", "<p><iframe></iframe>", "iframe"),
        ("defer src", "src", "not deferred"),
        ("defer src", "defer async src", "not deferred"),
        ("defer src", 'type="module" src', "module"),
        ("defer src", 'defer integrity="sha384-x" src', "integrity"),
        ("script-src 'self'", "script-src 'self' 'unsafe-inline'", "allows 'unsafe-inline'"),
        ("script-src 'self'", "script-src 'self' 'unsafe-eval'", "allows 'unsafe-eval'"),
        ("script-src 'self'", "script-src 'self' https:", "allows https:"),
        ("default-src 'none'", "default-src 'self'", "default-src"),
        ("base-uri 'none'; ", "", "base-uri"),
        ("img-src 'self'", "img-src https: 'self'", "img-src"),
        ("script-src", "frame-src *; script-src", "not expected"),
    ],
)
def test_what_a_page_may_not_do_is_found(old: str, new: str, says: str) -> None:
    assert old in GOOD
    found = list(policy_problems(GOOD.replace(old, new, 1)))
    assert any(says in problem for problem in found), found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<p>", '<div class="highlight"><pre>code</pre></div><p>'),
        ("course.js", "copy.js"),
        ("<p>", '<figure id="a" class="align-default moving"></figure><p>'),
        ("course.js", "moving.js"),
        ("course.js", "thebe.js"),
        ("course.js", "jquery.min.js"),
    ],
)
def test_needless_and_missing_scripts_are_found(old: str, new: str) -> None:
    assert list(script_problems(GOOD.replace(old, new, 1)))
