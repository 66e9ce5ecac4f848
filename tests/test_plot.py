"""The recurring figures draw what they are given: values, scales, titles, and one meaning for each colour."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.sparse import coo_array, csr_array, csr_matrix

from mathdl import plot
from mathdl.errors import InvalidInput
from mathdl.gradient_flow import Recorder


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Every test starts and ends with Matplotlib's own style and no figures."""
    with mpl.rc_context():
        yield
    plt.close("all")


# -- style -----------------------------------------------------------------------------------------------------------


def test_style_sets_the_books_look() -> None:
    plot.style()
    assert tuple(mpl.rcParams["figure.figsize"]) == (5.2, 3.4)
    assert min(mpl.rcParams[k] for k in ("font.size", "legend.fontsize", "xtick.labelsize", "axes.titlesize")) >= 10
    assert not mpl.rcParams["axes.spines.top"]
    assert mpl.rcParams["axes.titlelocation"] == "left"
    cycle = [entry["color"] for entry in mpl.rcParams["axes.prop_cycle"]]
    assert cycle[:2] == [plot.COLORS["tangent"], plot.COLORS["cotangent"]]


def test_style_refuses_other_formats() -> None:
    with pytest.raises(InvalidInput, match="format: got 'jpg'; wanted 'svg' or 'png'"):
        plot.style("jpg")  # type: ignore[arg-type]


@pytest.mark.parametrize("ipython", [None, SimpleNamespace(get_ipython=lambda: None)])
def test_style_does_without_a_notebook(monkeypatch: pytest.MonkeyPatch, ipython: Any) -> None:
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "matplotlib_inline.backend_inline", None)  # importing it raises ImportError
    plot.style("png")
    assert mpl.rcParams["savefig.dpi"] == 192


def test_style_tells_the_notebook_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    backend = SimpleNamespace(set_matplotlib_formats=lambda *formats, **options: told.append((formats, options)))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=object))
    monkeypatch.setitem(sys.modules, "matplotlib_inline.backend_inline", backend)
    plot.style()
    plot.style("png")
    assert told == [(("svg",), {"metadata": {"Date": None}}), (("png",), {})]


NOTEBOOK = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import matplotlib; matplotlib.use("Agg")
import mathdl as md, matplotlib.pyplot as plt
from matplotlib.figure import Figure
for wanted in ("svg", "png"):
    md.plot.style(wanted)
    figure, axis = plt.subplots()
    data, metadata = shell.display_formatter.format(figure)
    assert [k for k in data if k.startswith("image/")] == [{"svg": "image/svg+xml", "png": "image/png"}[wanted]], data
md.plot.style()
pictures = []
for _ in range(2):
    figure, axis = plt.subplots()
    axis.plot([1, 2], [3, 4])
    pictures.append(shell.display_formatter.format(figure)[0]["image/svg+xml"])
assert pictures[0] == pictures[1]
assert "<dc:date>" not in pictures[0]
"""


def test_a_notebook_gets_the_format_and_the_same_bytes_each_time() -> None:
    result = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_style_starts_no_shell_where_there_is_none() -> None:
    code = (
        "import mathdl as md; md.plot.style()\nimport sys\n"
        "shell = sys.modules.get('IPython.core.interactiveshell')\n"
        "sys.exit(bool(shell and shell.InteractiveShell.initialized()))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def _luminance(color: str) -> float:
    channels = np.array(mpl.colors.to_rgb(color))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_colors_are_named_distinct_and_visible() -> None:
    assert {"tangent", "cotangent", "jacobian", "function", "reference", "error", "accent"} == set(plot.COLORS)
    assert len(set(plot.COLORS.values())) == len(plot.COLORS)
    for name, color in plot.COLORS.items():
        contrast = 1.05 / (_luminance(color) + 0.05)  # against white
        assert contrast >= 2.1, name


def test_red_is_positive_and_zero_is_white() -> None:
    middle, high, low = np.array(mpl.colormaps[plot.DIVERGING]([0.5, 1.0, 0.0]))
    assert np.all(middle[:3] > 0.95)
    assert high[0] > high[2]
    assert low[2] > low[0]
    assert min(mpl.colormaps[plot.SEQUENTIAL](0.0)[:3]) > 0.95


# -- images ----------------------------------------------------------------------------------------------------------


def _pictures(axes: Any) -> list[Any]:
    return [axis.images[0] for axis in axes.flat if axis.images]


def test_images_draws_each_on_one_scale() -> None:
    rows = np.random.default_rng(0).normal(size=(7, 4, 3))
    figure, axes = plot.images(rows, [f"row {k}" for k in range(7)])
    assert axes.shape == (2, 5)
    drawn = _pictures(axes)
    assert len(drawn) == 7
    for k, picture in enumerate(drawn):
        np.testing.assert_array_equal(picture.get_array(), rows[k])
        assert picture.get_clim() == (-np.abs(rows).max(), np.abs(rows).max())
        assert picture.get_cmap().name == plot.DIVERGING
        assert axes.flat[k].get_title(loc="center") == f"row {k}"
    assert not any(axis.axison for axis in axes.flat)
    assert len(figure.axes) == 10  # no colour bar


def test_images_without_sign_start_at_white() -> None:
    figure, axes = plot.images(np.full((2, 3, 3), 4.0), columns=2, signed=False, label="ink")
    assert axes.shape == (1, 2)
    assert all(p.get_clim() == (0, 4) and p.get_cmap().name == plot.SEQUENTIAL for p in _pictures(axes))
    assert len(figure.axes) == 3
    assert figure.axes[-1].get_xlabel() == "ink"


def test_images_say_what_the_figure_shows() -> None:
    assert plot.images(np.ones((1, 2, 2)), title="Ten slopes")[0].get_suptitle() == "Ten slopes"
    assert plot.images(np.ones((1, 2, 2)))[0].get_suptitle() == ""


def test_images_take_a_limit_and_survive_zeros() -> None:
    assert _pictures(plot.images(np.ones((1, 2, 2)), limit=7.0)[1])[0].get_clim() == (-7, 7)
    assert _pictures(plot.images(np.zeros((1, 2, 2)))[1])[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        ((np.zeros((3, 3)),), {}, "rows: got shape"),
        ((np.zeros((2, 3, 3)), ["one"]), {}, "titles: got 1 titles; wanted one for each of the 2 images"),
        ((np.zeros((0, 3, 3)),), {}, "rows: got"),
        ((np.zeros((2, 3, 3)),), {"columns": 0}, "columns: got 0"),
    ],
)
def test_images_refuse(arguments: tuple[Any, ...], options: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        plot.images(*arguments, **options)


# -- matrix ----------------------------------------------------------------------------------------------------------


def test_matrix_draws_values_titles_and_a_scale() -> None:
    values = np.array([[1.0, -3.0], [0.5, 0.0]])
    axis = plot.matrix(values, "J", xlabel="input", ylabel="output")
    picture = axis.images[0]
    np.testing.assert_array_equal(picture.get_array(), values)
    assert picture.get_clim() == (-3, 3)
    assert (axis.get_title(loc="left") or axis.get_title()) == "J"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("input", "output")
    assert len(axis.figure.axes) == 2  # a colour bar
    assert axis.get_aspect() == 1


def test_matrix_writes_entries_that_can_be_read() -> None:
    axis = plot.matrix([[1.0, -3.0, 0.123]], annotate=True)
    texts = {text.get_text(): text for text in axis.texts}
    assert list(texts) == ["1", "-3", "0.12"]
    assert [text.get_position() for text in axis.texts] == [(0, 0), (1, 0), (2, 0)]
    assert texts["-3"].get_color() == "white"
    assert texts["1"].get_color() == "black"
    assert len(axis.figure.axes) == 1
    assert axis.get_aspect() == "auto"


def test_matrix_draws_where_it_is_told() -> None:
    _, own = plt.subplots()
    assert plot.matrix(np.zeros((2, 2)), axis=own, limit=2.0) is own
    assert own.images[0].get_clim() == (-2, 2)
    assert plot.matrix(np.zeros((2, 2))).images[0].get_clim() == (-1, 1)


@pytest.mark.parametrize("values", [np.zeros(3), np.zeros((1, 2, 3)), 1.0, np.zeros((0, 3))])
def test_matrix_refuses(values: Any) -> None:
    with pytest.raises(InvalidInput, match=r"values: got .* a matrix with shape"):
        plot.matrix(values)


# -- pattern ---------------------------------------------------------------------------------------------------------


def _squares(axis: Any) -> dict[tuple[int, int], str]:
    """Read back (row, column) -> colour of what was drawn."""
    collection = axis.collections[0]
    middles = [path.vertices[:4].mean(axis=0) for path in collection.get_paths()]
    return {
        (round(y), round(x)): mpl.colors.to_hex(color)
        for (x, y), color in zip(middles, collection.get_facecolors(), strict=True)
    }


PATTERN = np.array([[1, 0, 2], [0, -1, 0], [0, 0, 0], [0, 0, 5]])


@pytest.mark.parametrize("kind", [np.asarray, csr_array, csr_matrix, coo_array])
def test_pattern_draws_a_dark_square_where_there_is_an_entry(kind: Any) -> None:
    axis = plot.pattern(kind(PATTERN), title="J", xlabel="input", ylabel="output")
    drawn = _squares(axis)
    assert set(drawn) == {(0, 0), (0, 2), (1, 1), (3, 2)}
    assert set(drawn.values()) == {plot.COLORS["jacobian"].lower()}
    assert (axis.get_xlim(), axis.get_ylim()) == ((-0.5, 2.5), (3.5, -0.5))  # the first row is above
    assert axis.get_aspect() == 1
    assert all(tick == round(tick) for tick in [*axis.get_xticks(), *axis.get_yticks()])
    assert (axis.get_title(loc="left"), axis.get_xlabel(), axis.get_ylabel()) == ("J", "input", "output")
    assert not axis.texts


def test_pattern_draws_stored_zeros() -> None:
    stored = csr_array(([0.0, 0.0], ([0, 1], [1, 0])), shape=(2, 2))
    assert set(_squares(plot.pattern(stored))) == {(0, 1), (1, 0)}


def test_pattern_shows_the_colours_of_the_columns_as_hue_and_number() -> None:
    _, own = plt.subplots()
    axis = plot.pattern(PATTERN, [0, 1, 0], axis=own)
    assert axis is own
    drawn = _squares(axis)
    assert drawn[0, 0] == drawn[0, 2] == drawn[3, 2] != drawn[1, 1]
    assert {text.get_position()[::-1]: text.get_text() for text in axis.texts} == {
        (0, 0): "0",
        (0, 2): "0",
        (1, 1): "1",
        (3, 2): "0",
    }


def test_the_hues_of_patterns_are_distinct_and_bear_black_numbers() -> None:
    axis = plot.pattern(np.ones((1, 6)), range(6))
    hues = set(_squares(axis).values())
    assert len(hues) == 6
    assert all((_luminance(hue) + 0.05) / 0.05 >= 4.5 for hue in hues)


def test_large_and_long_patterns_are_drawn_without_numbers() -> None:
    axis = plot.pattern(np.eye(40), np.arange(40))
    assert not axis.texts
    assert len(_squares(axis)) == 40
    assert plot.pattern(np.ones((2, 50))).get_aspect() == "auto"
    assert plot.pattern(np.zeros((3, 3))).get_xlim() == (-0.5, 2.5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((np.zeros(3),), r"entries: got shape \(3,\); wanted a matrix"),
        ((csr_array((0, 3)),), r"entries: got shape \(0, 3\)"),
        ((np.eye(3), [0, 1]), r"colors: got shape \(2,\); wanted one colour for each of the 3 columns"),
    ],
)
def test_pattern_refuses(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        plot.pattern(*arguments)


# -- Jacobians -------------------------------------------------------------------------------------------------------


def _markers(axis: Any) -> tuple[Any, Any]:
    """The points of the singular values that are not zero (filled), and of those that are (hollow)."""
    filled, hollow = axis.lines
    assert (filled.get_fillstyle(), hollow.get_fillstyle()) == ("full", "none")
    return filled.get_xydata(), hollow.get_xydata()


def test_jacobians_draws_each_beside_its_singular_values() -> None:
    wide, tall = np.diag([3.0, -4.0, 0.0, 0.0])[:3], np.array([[0.0], [2.0]])
    figure, axes = plot.jacobians({"wide": wide, "tall": tall}, "two maps")
    assert axes.shape == (2, 2)
    assert figure.get_suptitle() == "two maps"
    for (left, _), J, name in zip(axes, (wide, tall), ("wide", "tall"), strict=True):
        np.testing.assert_array_equal(left.images[0].get_array(), J)
        assert left.images[0].norm.vmax == -left.images[0].norm.vmin == np.abs(J).max()
        assert left.get_title(loc="left") == name
    assert (axes[0, 0].get_xlabel(), axes[0, 0].get_ylabel()) == ("4 inputs", "3 outputs")
    filled, hollow = _markers(axes[0, 1])
    np.testing.assert_allclose(filled, [[1, 4], [2, 3]])
    np.testing.assert_array_equal(hollow, [[3, 0], [4, 0]])
    assert axes[0, 1].get_title(loc="left") == "rank 2, forgets 2"
    filled, hollow = _markers(axes[1, 1])
    np.testing.assert_allclose(filled, [[1, 2]])
    assert len(hollow) == 0
    assert axes[1, 1].get_title(loc="left") == "rank 1, forgets 0"


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize(("m", "n", "rank"), [(6, 9, 4), (9, 6, 4), (5, 5, 5), (3, 8, 0)])
def test_jacobians_counts_as_numpy_does(m: int, n: int, rank: int, scale: float) -> None:
    rng = np.random.default_rng(0)
    J = scale * rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    _, axes = plot.jacobians({"J": J})
    assert np.linalg.matrix_rank(J) == rank
    assert axes[0, 1].get_title(loc="left") == f"rank {rank}, forgets {n - rank}"
    filled, hollow = _markers(axes[0, 1])
    assert (len(filled), len(hollow)) == (rank, n - rank)
    top = axes[0, 1].get_ylim()[1]
    assert top > max(filled[:, 1], default=0.0)


def test_jacobians_refuses_what_it_cannot_draw() -> None:
    with pytest.raises(InvalidInput, match="none"):
        plot.jacobians({})
    with pytest.raises(InvalidInput, match=r"matrices\['f'\]: got shape \(2, 2, 2\)"):
        plot.jacobians({"f": np.zeros((2, 2, 2))})


# -- recorded trainings ----------------------------------------------------------------------------------------------


def _recorder(count: int) -> Recorder:
    gradients = {f"layer{k}": [10.0**-k, 0.0, 2.0 * 10.0**-k] for k in range(count)}
    return Recorder(steps=[0, 5, 10], loss=[3.0, 2.0, 1.0], gradients=gradients)


@pytest.mark.parametrize(("count", "named"), [(1, [0]), (4, [0, 1, 2, 3]), (9, [0, 4, 8])])
def test_recorded_draws_the_loss_and_each_layers_gradient(count: int, named: list[int]) -> None:
    figure, (above, below) = plot.recorded(_recorder(count), "a training")
    assert figure.get_suptitle() == "a training"
    np.testing.assert_array_equal(above.lines[0].get_xydata(), [[0, 3], [5, 2], [10, 1]])
    for k, line in enumerate(below.lines[:count]):
        np.testing.assert_array_equal(line.get_ydata(), [10.0**-k, np.nan, 2.0 * 10.0**-k])  # zero is a gap
    assert below.get_yscale() == "log"
    texts = {text.get_text(): text.get_position()[1] for text in below.texts}
    assert sorted(texts) == [f"layer{k}" for k in named]
    heights = sorted(texts.values())
    assert np.all(np.diff(heights) >= 0.09 - 1e-12)
    assert [texts[f"layer{k}"] for k in named] == heights[::-1]  # larger gradients are named above smaller ones
    assert max(heights) <= 1


def test_names_of_lines_that_end_together_do_not_overlap() -> None:
    recorder = Recorder(steps=[0, 1], loss=[1.0, 1.0], gradients={name: [1.0, 5.0] for name in "abcdef"})
    _, (_, below) = plot.recorded(recorder)
    heights = sorted(text.get_position()[1] for text in below.texts)
    assert np.all(np.diff(heights) >= 0.09 - 1e-12)
    assert heights[-1] <= 1


def test_recorded_survives_gradients_of_zero_and_refuses_nothing() -> None:
    recorder = Recorder(steps=[0], loss=[1.0], gradients={"a": [0.0], "b": [1.0]})
    assert [text.get_text() for text in plot.recorded(recorder)[1][1].texts] == ["b"]
    with pytest.raises(InvalidInput, match="recorder: got one that has seen no step"):
        plot.recorded(Recorder())


# -- error curves ----------------------------------------------------------------------------------------------------


def test_error_curves_are_told_apart_without_colour() -> None:
    h = np.logspace(-8, -1, 8)
    curves = {f"method {k}": h**k for k in range(1, 12)}
    axis = plot.error_curves(h, curves, title="found", xlabel="h", ylabel="e")
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert [line.get_label() for line in axis.lines] == list(curves)
    assert len({line.get_marker() for line in axis.lines[:8]}) == 8
    assert all(line.get_marker() not in ("None", None) for line in axis.lines)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list(curves)
    assert (axis.get_title(loc="left") or axis.get_title()) == "found"
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("h", "e")


def test_error_curves_leave_out_zeros_and_take_colours() -> None:
    _, own = plt.subplots()
    curves = {"a": [1.0, 0.0, 2.0], "b": [1.0, 1.0, 1.0]}
    axis = plot.error_curves([0.1, 0.2, 0.4], curves, colors={"a": "#D55E00"}, axis=own)
    assert axis is own
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), [1.0, np.nan, 2.0])
    assert axis.lines[0].get_color() == "#D55E00"
    assert axis.lines[0].get_color() != axis.lines[1].get_color()


# -- a figure in motion ----------------------------------------------------------------------------------------------


def test_a_moving_figure_is_a_still_that_plays_where_its_address_asks_for_it() -> None:
    figure, axis = plt.subplots()
    axis.plot([0, 1], [0, 0])
    moving = plot.moving(figure, [axis.plot([0, k], [0, 1]) + axis.plot(k, 1, "o") for k in range(3)], seconds=0.5)
    root = ElementTree.fromstring(moving._repr_svg_())
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert root.get("id") == "play"
    assert [name for name in ids if name.startswith("moment-")] == [f"moment-{k}-{i}" for k in range(3) for i in (0, 1)]
    style = next(element.text or "" for element in root.iter() if "appear" in (element.text or ""))
    rules = re.findall(r"#play:target \[id\^=\"moment-(\d)-\"\] { animation: appear 1ms ([\d.]+)s both }", style)
    assert rules == [("0", "0.00"), ("1", "0.50"), ("2", "1.00")]
    assert style.count("animation") == 3, "nothing moves unless the address asks for it"


def test_a_film_shows_one_moment_at_a_time_and_as_a_still_the_one_that_was_chosen() -> None:
    figure, axis = plt.subplots()
    film = plot.moving(figure, [axis.plot(k, k, "o") for k in range(12)], seconds=0.25, still=1)
    root = ElementTree.fromstring(film._repr_svg_())
    style = next(element.text or "" for element in root.iter() if "visibility" in (element.text or ""))
    assert '[id^="moment-"], #play:target [id^="moment-1-"] { visibility: hidden }' in style
    assert '\n[id^="moment-1-"] { visibility: visible }' in style
    turns = re.findall(
        r"#play:target \[id\^=\"moment-(\d+)-\"\] { animation: show 0.25s ([\d.]+)s( forwards)? }", style
    )
    assert turns == [(str(k), f"{k / 4:.2f}", " forwards" if k == 11 else "") for k in range(12)]
    with pytest.raises(InvalidInput, match="still"):
        plot.moving(figure, [axis.plot([0, 1])], still=1)


def test_a_moving_figure_is_shown_once_and_is_known_as_a_figure() -> None:
    figure, axis = plt.subplots(figsize=(4.0, 3.0))
    moving = plot.moving(figure, [axis.plot([0, 1])])
    assert not plt.get_fignums()
    assert repr(moving) == "<Figure size 400x300 with 1 Axes, 1 moments>"
    assert "Date" not in moving._repr_svg_().split("<defs>")[0]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_moving_figure_needs_time(seconds: float) -> None:
    figure, axis = plt.subplots()
    with pytest.raises(InvalidInput, match="seconds"):
        plot.moving(figure, [axis.plot([0, 1])], seconds)


# -- warped grid -----------------------------------------------------------------------------------------------------


def test_warped_grid_draws_the_image_of_every_line() -> None:
    M = np.array([[2.0, 1.0], [0.0, 3.0]])
    axis = plot.warped_grid(lambda p: M @ p, [0.0, 1.0], [-1.0, 0.0, 2.0], alpha=0.5)
    assert len(axis.lines) == 5
    first, last = axis.lines[0].get_xydata(), axis.lines[-1].get_xydata()
    np.testing.assert_allclose(first[[0, -1]], [M @ [0.0, -1.0], M @ [0.0, 2.0]])  # x = 0, all heights
    np.testing.assert_allclose(last[[0, -1]], [M @ [0.0, 2.0], M @ [1.0, 2.0]])  # y = 2, all widths
    assert all(line.get_color() == plot.COLORS["function"] and line.get_alpha() == 0.5 for line in axis.lines)


def test_warped_grid_bends_between_the_crossings() -> None:
    axis = plot.warped_grid(lambda p: np.array([p[0], p[0] ** 2 + p[1]]), [-1.0, 1.0], [0.0])
    curve = axis.lines[-1].get_xydata()
    assert len(curve) >= 100
    np.testing.assert_allclose(curve[:, 1], curve[:, 0] ** 2, atol=1e-12)


def test_warped_grid_draws_where_and_how_it_is_told() -> None:
    _, own = plt.subplots()
    assert plot.warped_grid(lambda p: p, [0.0], [0.0], axis=own, color="#0072B2", linewidth=3.0) is own
    assert own.lines[0].get_color() == "#0072B2"
    assert own.lines[0].get_linewidth() == 3.0


def test_error_curves_refuse_what_a_logarithm_would_hide() -> None:
    with pytest.raises(InvalidInput, match="negative"):
        plot.error_curves([0.1, 0.2], {"a": [1.0, -1.0]})
    with pytest.raises(InvalidInput, match=r"shape \(3,\)"):
        plot.error_curves([0.1, 0.2], {"a": [1.0, 1.0, 1.0]})


def test_warped_grid_refuses_a_transposed_result() -> None:
    with pytest.raises(InvalidInput, match="the shape of the points"):
        plot.warped_grid(lambda p: p.T, [0.0, 1.0], [0.0, 1.0])
