"""The book without a network: kept after a visit, read without one, replaced by the next version as a whole.

A host called ``book.localhost`` is this machine too, but is answered as any other site is: what is kept comes first.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import browsing
import pytest
from chapters import ROOT

KEPT = """async () => {
    const names = await caches.keys(), kept = [];
    for (const name of names)
        for (const { url } of await (await caches.open(name)).keys()) kept.push(new URL(url).pathname);
    return { names, kept };
}"""
CHAPTER, OTHER = "book/1-jacobians/01-a-stack-of-gradients.html", "book/4-optimizers/17-momentum.html"


@contextmanager
def reader(browser: Any) -> Iterator[tuple[Any, list[str]]]:
    """A reader's browser window, and what its console complains of."""
    context = browser.new_context(viewport={"width": 800, "height": 900})
    context.set_default_timeout(20_000)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.clock.install()
    yield page, complaints
    context.close()


def stay(page: Any) -> None:
    """Let the time pass after which a reader is taken to stay on the page."""
    page.clock.fast_forward(6_000)
    page.wait_for_function("() => navigator.serviceWorker.controller")


def wait_for(page: Any, met: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait until what the browser keeps is as wished."""
    kept: dict[str, Any] = {}
    for _ in range(300):
        kept = page.evaluate(KEPT)
        if met(kept):
            return kept
        time.sleep(0.05)
    pytest.fail(f"waited in vain; {len(kept['kept'])} files are kept in {kept['names']}")


def files_of(folder: Path) -> dict[str, str]:
    worker = (folder / "sw.js").read_text(encoding="utf-8")
    return dict(json.loads(re.search(r"Object\.entries\((\{.*?\})\)", worker)[1]))


@contextmanager
def served(folder: Path) -> Iterator[str]:
    with browsing.serve(folder) as address:
        yield address.replace("127.0.0.1", "book.localhost")


def test_the_whole_book_is_read_without_a_network_after_one_visit(browser: Any, site: Path) -> None:
    files = files_of(site)
    with served(site) as address, reader(browser) as (page, complaints):
        page.goto(f"{address}/{CHAPTER}")
        stay(page)
        kept = wait_for(page, lambda kept: len(kept["kept"]) == len(files))["kept"]
        assert {path.lstrip("/") for path in kept} == set(files)
        errors = page.context.new_cdp_session(page).send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert {error["errorId"] for error in errors} <= {"in-incognito"}, "the book cannot be installed"

        page.context.set_offline(True)
        page.goto(f"{address}/{OTHER}")
        page.evaluate("() => { for (const image of document.images) image.loading = 'eager'; }")
        page.wait_for_function("() => [...document.images].every(image => image.complete)")
        assert page.evaluate("() => document.images.length") > 2
        assert page.evaluate("() => [...document.images].filter(image => !image.naturalWidth).length") == 0
        fonts = page.evaluate(
            "() => document.fonts.ready.then(all => [...all].filter(f => f.status === 'loaded').map(f => f.family))"
        )
        assert {"Source Serif 4", "KaTeX_Main", "KaTeX_Math"} <= {name.strip('"') for name in fonts}
        page.goto(f"{address}/search.html?q=momentum")
        assert "Search" in page.title()
        page.goto(f"{address}/book/a-page-that-never-was.html")
        assert page.url == f"{address}/book/index.html"
        page.goto(f"{address}/")
        assert page.url == f"{address}/book/index.html"
        assert not [text for text in complaints if "ERR_INTERNET_DISCONNECTED" not in text]


def test_opened_as_a_file_a_page_asks_for_nothing_that_files_cannot_give(browser: Any, site: Path) -> None:
    with reader(browser) as (page, complaints):
        page.goto((site / CHAPTER).as_uri())
        page.clock.fast_forward(10_000)
        assert page.evaluate("() => document.querySelectorAll('link[rel=manifest]').length") == 0
        page.goto((site / "book" / "index.html").as_uri())
        assert complaints == []


# -- on a small site that is changed while it is read ----------------------------------------------------------------


def write_site(folder: Path, word: str) -> None:
    """Write a site of three pages; two say this word, and so does their style."""
    import offline

    static = folder / "_static"
    static.mkdir(parents=True, exist_ok=True)
    for name in ("offline.js", "favicon.svg"):
        shutil.copyfile(ROOT / "book" / "_static" / name, static / name)
    (static / "course.css").write_text(f":root {{ --word: {word}; --paper: #ffffff }}", encoding="utf-8")
    version = offline.fingerprint((static / "course.css").read_bytes())
    start = '<!doctype html><html data-root=""><title>A page</title><link rel="icon" href="_static/favicon.svg">'
    for name in ("contents", "other"):
        (folder / f"{name}.html").write_text(
            f'{start}<link rel="stylesheet" href="_static/course.css?v={version}">'
            f'<script defer src="_static/offline.js"></script><p>{word}</p>',
            encoding="utf-8",
        )
    (folder / "unchanged.html").write_text(f"{start}<p>always the same</p>", encoding="utf-8")
    offline.write(folder, static, "contents", "A book")


SAID = """() => [
    document.querySelector("p").textContent,
    getComputedStyle(document.documentElement).getPropertyValue("--word").trim(),
]"""


def test_a_new_version_takes_over_as_a_whole(browser: Any, tmp_path: Path) -> None:
    write_site(tmp_path, "old")
    with served(tmp_path) as address, reader(browser) as (page, complaints):
        page.goto(f"{address}/contents.html")
        stay(page)
        first = wait_for(page, lambda kept: len(kept["kept"]) == len(files_of(tmp_path)))
        write_site(tmp_path, "new")
        (tmp_path / "_static" / "offline.js").unlink()  # it has not changed, so nobody needs to fetch it

        page.goto(f"{address}/other.html?q=asked-for-the-first-time")
        assert page.evaluate(SAID) == ["old", "old"], "until it is there, the version that is kept is shown"
        page.evaluate("() => navigator.serviceWorker.ready.then(registration => registration.update())")
        for _ in range(20):  # the worker learns a moment after the page that a new one is waiting
            page.goto(f"{address}/contents.html")
            page.wait_for_timeout(200)
            page.wait_for_function("() => document.querySelector('p')")
            if page.evaluate(SAID)[0] == "new":
                break
        assert page.evaluate(SAID) == ["new", "new"]
        after = wait_for(page, lambda kept: len(kept["names"]) == 1 and kept["names"] != first["names"])
        assert {"/contents.html", "/_static/course.css"} <= set(after["kept"])
        assert "/unchanged.html" in after["kept"], "what did not change is taken over"

        page.context.set_offline(True)
        page.goto(f"{address}/nowhere.html")
        assert page.url == f"{address}/contents.html"
        assert page.evaluate(SAID) == ["new", "new"]
        assert complaints == []


def test_a_file_of_another_version_is_never_kept(browser: Any, tmp_path: Path) -> None:
    write_site(tmp_path, "old")
    with served(tmp_path) as address, reader(browser) as (page, _):
        page.add_init_script("Object.defineProperty(navigator, 'connection', { value: { saveData: true } })")
        page.goto(f"{address}/contents.html")
        stay(page)
        kept = page.evaluate(KEPT)["kept"]
        assert "/_static/course.css" in kept
        assert "/other.html" not in kept, "who saves data is sent no more than what was asked for"
        write_site(tmp_path, "new")
        (tmp_path / "sw.js").unlink()  # the site is being put up: pages are new already, the worker is not
        page.goto(f"{address}/other.html")
        assert page.evaluate(SAID) == ["new", "new"], "a new page has the new style"
        assert "/other.html" not in page.evaluate(KEPT)["kept"]
        page.goto(f"{address}/contents.html")
        assert page.evaluate(SAID) == ["old", "old"], "and an old page the old one"


def test_on_ones_own_machine_the_files_come_first(browser: Any, tmp_path: Path) -> None:
    write_site(tmp_path, "old")
    with browsing.serve(tmp_path) as address, reader(browser) as (page, _):
        page.goto(f"{address}/contents.html")
        stay(page)
        wait_for(page, lambda kept: len(kept["kept"]) == len(files_of(tmp_path)))
        write_site(tmp_path, "new")
        page.goto(f"{address}/contents.html")
        assert page.evaluate(SAID) == ["new", "new"]
        page.context.set_offline(True)
        page.goto(f"{address}/contents.html")
        assert page.evaluate(SAID)[0] in ("old", "new")
