"""The figures to play with: reached by keyboard, right in their numbers, and a still picture where scripts are off.

The numbers that the browser shows are compared with eigenvalues that the engine finds in the optimizers themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import numpy as np
import pytest
from chapters import ROOT, book

import mathdl as md
from mathdl.optim import Momentum, Nesterov, as_map

SCRIPTS = sorted((ROOT / "book/_static/explorables").glob("*.js"))
PLACES = {figure["name"]: name for name, page in book().items() for figure in page.figures}
FIGURE = "fig-momentum-explore"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_has_the_name_of_a_figure(script: Any) -> None:
    assert script.stem in PLACES
    assert not re.search(r"https?://(?!www\.w3\.org/)", script.read_text(encoding="utf-8")), "names another host"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with browsing.serve(site) as url:
        yield f"{url}/{PLACES[FIGURE]}.html"


def _radius(optimizer: Any) -> float:
    f, z = as_map(optimizer, lambda p: np.array([1.0, 25.0]) * p, np.zeros(2))
    return float(np.abs(np.linalg.eigvals(md.jacobian(f)(z))).max())


CHOICES = {
    "Gradient descent at its best": Momentum(1 / 13, 0.0),
    "Heavy ball, β = 0.9": Momentum(1 / 13, 0.9),
    "Heavy ball at its best": Momentum(1 / 9, 4 / 9),
    "Nesterov, standard": Nesterov(1 / 25, 2 / 3),
    "Nesterov, tuned": Nesterov(4 / 76, (np.sqrt(76) - 2) / (np.sqrt(76) + 2)),
}


def _rho(panel: Any) -> float:
    return float(re.search(r"ρ = ([\d.]+)", panel.locator("output").inner_text())[1])


def test_the_choices_show_the_radius_that_the_engine_finds(browser: Any, address: str) -> None:
    with browsing.visit(browser, address) as seen:
        browsing.lay_out(seen.page)
        panel = seen.page.locator(f"#{FIGURE} .explorable-panel")
        assert sorted(panel.locator("button").all_inner_texts()) == sorted(CHOICES)
        for name, optimizer in CHOICES.items():
            panel.get_by_role("button", name=name, exact=True).click()
            assert _rho(panel) == pytest.approx(_radius(optimizer), abs=6e-4), name
        assert not seen.errors
        assert not seen.foreign


def test_the_sliders_work_by_keyboard_and_say_what_they_are(browser: Any, address: str) -> None:
    with browsing.visit(browser, address, width=360) as seen:
        browsing.lay_out(seen.page)
        panel = seen.page.locator(f"#{FIGURE} .explorable-panel")
        panel.get_by_role("button", name="Heavy ball, β = 0.9", exact=True).click()
        panel.get_by_label("momentum β").focus()
        seen.page.keyboard.press("End")
        assert panel.get_by_label("momentum β").get_attribute("aria-valuetext") == "0.99"
        assert _rho(panel) == pytest.approx(np.sqrt(0.99), abs=6e-4)
        panel.get_by_label("learning rate α").focus()
        seen.page.keyboard.press("End")
        assert "does not converge" in panel.locator("output").inner_text()
        seen.page.keyboard.press("Home")
        assert _rho(panel) == pytest.approx(_radius(Momentum(0.001, 0.99)), abs=6e-4)
        panel.get_by_label("look ahead (Nesterov)").press("Space")
        assert _rho(panel) == pytest.approx(_radius(Nesterov(0.001, 0.99)), abs=6e-4)
        settings = panel.locator(".setting")
        assert all(settings.nth(k).bounding_box()["height"] < 60 for k in range(settings.count())), "a row is broken"


def test_the_still_picture_stands_in(browser: Any, address: str) -> None:
    still = f"#{FIGURE} img"
    with browsing.visit(browser, address, javascript=False) as seen:
        assert seen.page.locator(still).is_visible()
    with browsing.visit(browser, address) as seen:
        assert not seen.page.locator(still).is_visible()
        seen.page.wait_for_function(f"document.querySelector('{still}').complete")  # loaded before it is printed
        seen.page.emulate_media(media="print")
        assert seen.page.locator(still).is_visible()
        assert not seen.page.locator(".explorable-panel").is_visible()
