"""The report on the built pages: medians, goals, reasons and the table, from made-up reports of Lighthouse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tools import site_report
from tools.site_report import GOALS, Goal, Page, chosen, costs, measured, median, often, table

AXE = {"axe": 0.0, "console": 0.0}


def made_up(fcp: float = 900, score: float = 1.0, **audits: Any) -> dict[str, Any]:
    """A report of Lighthouse, with what is read of it."""
    requests = [
        {"url": "http://here/a.html", "resourceType": "Document", "transferSize": 60 * 1024},
        {"url": "http://here/a.css", "resourceType": "Stylesheet", "transferSize": 10 * 1024},
        {"url": "http://here/a.png", "resourceType": "Image", "transferSize": 300 * 1024},
        {"url": "data:image/gif;base64,", "resourceType": "Image", "transferSize": 5},
    ]
    return {
        "environment": {"benchmarkIndex": 2000},
        "categories": {
            name: {"score": score if name == "performance" else 1, "auditRefs": []} for name in site_report.CATEGORIES
        },
        "audits": {
            "first-contentful-paint": {"numericValue": fcp},
            "largest-contentful-paint": {"numericValue": 1500},
            "total-blocking-time": {"numericValue": 20},
            "cumulative-layout-shift": {"numericValue": 0.001},
            "dom-size": {"numericValue": 18606},
            "network-requests": {"details": {"items": requests}},
            **audits,
        },
    }


def page(**numbers: float) -> Page:
    return Page("book/a.html", measured(made_up()) | AXE | numbers, [{}])


def test_the_numbers_of_a_run() -> None:
    numbers = measured(made_up(fcp=900, score=0.98))
    assert numbers["performance"] == 98
    assert numbers["fcp"] == 0.9
    assert (numbers["kib"], numbers["kib_with_figures"], numbers["requests"]) == (70, 370, 3)
    assert numbers["elements"] == 18606


def test_the_median_is_of_each_number_and_the_worse_of_two() -> None:
    runs = [measured(made_up(fcp, score)) for fcp, score in ((900, 0.97), (5000, 0.99), (1000, 0.60))]
    assert median(runs)["fcp"] == 1.0
    assert median(runs)["performance"] == 97
    assert median(runs[:2])["fcp"] == 5.0
    assert median(runs[:2])["performance"] == 97


@pytest.mark.parametrize("goal", GOALS, ids=lambda goal: goal.name)
def test_a_goal_is_held_at_its_limit_and_missed_beyond_it(goal: Goal) -> None:
    step = -1 if goal.least else 0.001
    assert page(**{goal.name: goal.limit}).missed == []
    assert page(**{goal.name: goal.limit + step}).missed == [goal]
    assert "✗" not in goal.shown(goal.limit)
    assert "✗" in goal.shown(goal.limit + step)


def test_the_goals_are_those_of_the_site() -> None:
    limits = {goal.name: goal.limit for goal in GOALS}
    assert limits["performance"] == 97
    assert {limits[name] for name in ("accessibility", "best-practices", "seo")} == {100}
    assert (limits["fcp"], limits["tbt"], limits["cls"], limits["kib"]) == (1.2, 50, 0.02, 200)


def test_what_cost_points_is_named_dearest_first() -> None:
    report = made_up(
        a={"title": "First paint", "score": 0.5, "displayValue": "2.0 s"},
        b={"title": "Blocking", "score": 0.1},
        c={"title": "Shift", "score": 1},
        d={"title": "Told only", "score": None},
    )
    report["categories"]["performance"]["auditRefs"] = [
        {"id": "a", "weight": 10},
        {"id": "b", "weight": 30},
        {"id": "c", "weight": 60},
        {"id": "d", "weight": 0},
    ]
    report["audits"]["e"] = {
        "title": "Links have names",
        "score": 0,
        "details": {"items": [{"node": {"snippet": "<a href>"}}]},
    }
    report["categories"]["accessibility"]["auditRefs"] = [{"id": "e", "weight": 10}]
    assert costs(report) == [
        "accessibility −100, Links have names (<a href>)",
        "performance −27, Blocking",
        "performance −5, First paint: 2.0 s",
    ]


def test_the_table_has_a_row_for_each_page_and_the_reasons_below() -> None:
    good, bad = page(), page(tbt=90)
    bad.path, bad.reasons, bad.runs = "book/b.html", ["performance −3, Blocking"], [{}] * 5
    lines = table([good, bad]).splitlines()
    assert len({line.count("|") for line in lines[:5]}) == 1
    assert lines[3].startswith("| book/a |")
    assert lines[3].endswith("| all hold |")
    assert lines[4].startswith("| book/b (5 runs) |")
    assert "| 90 ✗ |" in lines[4]
    assert lines[5:] == ["", "**book/b.html** misses: Blocked, ms", "", "- performance −3, Blocking"]


def test_pages_are_chosen_by_a_part_of_their_path_or_a_pattern() -> None:
    names = ["book/index.html", "book/1-a/01-b.html", "book/1-a/02-c.html"]
    assert chosen(names, "") == names
    assert chosen(names, "1-a") == names[1:]
    assert chosen(names, "*index*") == names[:1]
    assert chosen(names, "none") == []


def test_the_first_page_and_two_chapters_are_measured_more_often(tmp_path: Path) -> None:
    names = ["index.html", "01-a.html", "02-b.html", "03-c.html", "glossary.html"]
    for name, size in zip(names, (1, 30, 20, 10, 900), strict=True):
        (tmp_path / name).write_bytes(b"x" * size)
    assert often(names, tmp_path) == {"index.html", "01-a.html", "02-b.html"}


def test_lighthouse_is_pinned_and_its_lock_names_no_registry() -> None:
    wanted = json.loads((site_report.PINNED / "package.json").read_text(encoding="utf-8"))["dependencies"]
    lock = (site_report.PINNED / "package-lock.json").read_text(encoding="utf-8")
    packages = json.loads(lock)["packages"]
    assert packages["node_modules/lighthouse"]["version"] == wanted["lighthouse"]
    assert all("integrity" in package for name, package in packages.items() if name)
    assert '"resolved"' not in lock
    assert "registry" not in lock


def test_lighthouse_is_fetched_once_for_a_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def npm(command: list[str], cwd: Path, **_: Any) -> int:
        calls.append(command)
        (cwd / "node_modules" / "lighthouse" / "cli").mkdir(parents=True, exist_ok=True)
        (cwd / "node_modules" / "lighthouse" / "cli" / "index.js").touch()
        return 0

    monkeypatch.setattr(site_report.subprocess, "call", npm)
    monkeypatch.setattr(site_report, "ROOT", tmp_path)
    assert site_report.install(tmp_path).exists()
    assert site_report.install(tmp_path).exists()
    assert len(calls) == 1
    (tmp_path / "installed.json").write_text("another lock", encoding="utf-8")
    site_report.install(tmp_path)
    assert len(calls) == 2
