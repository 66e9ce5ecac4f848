"""The book's style and the figures that recur: rows of small images, matrices and patterns, error curves, warped grids.

Colour has one meaning throughout: what is pushed forward is orange, what is pulled back is blue, a Jacobian neutral.
The functions draw what they are given (`jacobians` adds singular values); every chapter calls ``style()`` once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.collections import PolyCollection
from numpy.typing import ArrayLike, NDArray

from mathdl.arrays import want_integer
from mathdl.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mathdl.gradient_flow import Recorder

__all__ = [
    "COLORS",
    "DIVERGING",
    "SEQUENTIAL",
    "error_curves",
    "images",
    "jacobians",
    "matrix",
    "moving",
    "pattern",
    "recorded",
    "style",
    "warped_grid",
]

#: One colour for each quantity, from the colour-blind safe palette of Okabe and Ito (2008).
COLORS: Mapping[str, str] = {
    "tangent": "#D55E00",  # pushed forward: tangents, columns, responses
    "cotangent": "#0072B2",  # pulled back: cotangents, rows, gradients
    "jacobian": "#4D4D4D",  # the Jacobian itself, and its linear map
    "function": "#000000",  # f, the real thing
    "reference": "#009E73",  # the right answer that something is measured against
    "error": "#CC79A7",  # a difference between two things that should agree
    "accent": "#E69F00",  # one more, where a figure needs it
}
#: For values with a sign; zero is white, red is positive.
DIVERGING = "RdBu_r"
#: For values without a sign; white is zero.
SEQUENTIAL = "Greys"


def style(format: Literal["svg", "png"] = "svg") -> None:
    """Set the book's figure style, once at the top of a chapter.

    Parameters
    ----------
    format : {"svg", "png"}
        How notebooks show figures: ``"svg"`` for lines, ``"png"`` for dense images.

    Examples
    --------
    >>> style()
    >>> mpl.rcParams["axes.spines.top"]
    False
    """
    if format not in ("svg", "png"):
        raise InvalidInput("format", repr(format), "'svg' or 'png'")
    mpl.rcParams.update(
        {
            "figure.figsize": (5.2, 3.4),
            "figure.dpi": 96,
            "savefig.dpi": 192,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "font.size": 11,
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "legend.fontsize": 10,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.prop_cycle": cycler(
                color=[COLORS[k] for k in ("tangent", "cotangent", "reference", "error", "accent")]
            ),
            "axes.grid": False,
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "image.interpolation": "nearest",
            # the same figure gives the same bytes, so that a rebuilt site differs only where the book does
            "svg.hashsalt": "mathdl",
            "svg.fonttype": "path",
        }
    )
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:  # outside a notebook: nothing to set, and no shell to start
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    metadata = {"metadata": {"Date": None}} if format == "svg" else {}
    set_matplotlib_formats(format, **metadata)  # type: ignore[no-untyped-call]


def images(
    rows: ArrayLike,
    titles: Sequence[str] | None = None,
    *,
    columns: int = 5,
    signed: bool = True,
    title: str = "",
    label: str = "",
    limit: float | None = None,
) -> tuple[Figure, NDArray[Any]]:
    """Draw a stack of small images on one common scale, as a Jacobian's rows when the input is an image.

    Parameters
    ----------
    rows : array_like, shape (k, height, width)
        The images.
    titles : sequence of str, optional
        One title for each image.
    columns : int
        How many stand side by side.
    signed : bool
        Whether zero is the middle of the scale (red positive, blue negative) or its white end.
    title : str
        What the figure shows, above all images.
    label : str
        What the colour bar says; none is drawn if empty.
    limit : float, optional
        The end of the scale; by default the largest magnitude.

    Returns
    -------
    figure, axes
        ``axes`` has shape (rows of images, columns).

    Raises
    ------
    InvalidInput
        If ``rows`` is not three-dimensional or the number of titles differs.

    Examples
    --------
    >>> figure, axes = images(np.zeros((10, 8, 8)), [str(i) for i in range(10)])
    >>> axes.shape
    (2, 5)
    """
    stack = np.asarray(rows, dtype=float)
    if columns < 1:
        raise InvalidInput("columns", str(columns), "at least 1")
    if stack.ndim != 3 or stack.size == 0:
        raise InvalidInput("rows", f"shape {stack.shape}", "a stack of images with shape (k, height, width)")
    if titles is not None and len(titles) != len(stack):
        raise InvalidInput("titles", f"{len(titles)} titles", f"one for each of the {len(stack)} images")
    lines = -(-len(stack) // columns)
    height = 5.2 / columns * lines * 1.22 + (0.8 if label else 0.0) + (0.3 if title else 0.0)
    figure, axes = plt.subplots(lines, columns, figsize=(5.2, height), squeeze=False)
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    top = limit if limit is not None else float(np.abs(stack).max()) or 1.0
    drawn = None
    for k, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if k < len(stack):
            drawn = axis.imshow(
                stack[k], cmap=DIVERGING if signed else SEQUENTIAL, vmin=-top if signed else 0, vmax=top
            )
            if titles is not None:
                axis.set_title(titles[k], loc="center")
    if label and drawn is not None:
        figure.colorbar(drawn, ax=axes, label=label, shrink=0.8, aspect=30, location="bottom")
    return figure, axes


def matrix(
    values: ArrayLike,
    title: str = "",
    *,
    xlabel: str = "",
    ylabel: str = "",
    annotate: bool = False,
    axis: Axes | None = None,
    limit: float | None = None,
) -> Axes:
    """Draw a matrix as a heat map: zero white, positive red, negative blue.

    Parameters
    ----------
    values : array_like, shape (m, n)
        The matrix.
    title, xlabel, ylabel : str
        What the axes say.
    annotate : bool
        Write each entry into its cell (for small matrices).
    axis : matplotlib Axes, optional
        Where to draw; a new figure by default.
    limit : float, optional
        The end of the colour scale; by default the largest magnitude.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInput
        If ``values`` is not a matrix.

    Examples
    --------
    >>> matrix(np.eye(3), "the identity").get_title(loc="left")
    'the identity'
    """
    grid = np.asarray(values, dtype=float)
    if grid.ndim != 2 or grid.size == 0:
        raise InvalidInput("values", f"shape {grid.shape}", "a matrix with shape (m, n)")
    axis = plt.subplots()[1] if axis is None else axis
    top = limit if limit is not None else float(np.abs(grid).max()) or 1.0
    drawn = axis.imshow(
        grid, cmap=DIVERGING, vmin=-top, vmax=top, aspect="auto" if grid.shape[0] != grid.shape[1] else "equal"
    )
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set_title(title, loc="left")
    axis.spines[:].set_visible(False)
    if annotate:
        for (i, j), entry in np.ndenumerate(grid):
            axis.text(
                j,
                i,
                f"{entry:.2g}",
                ha="center",
                va="center",
                color="white" if abs(entry) > 0.6 * top else "black",
                fontsize=10,
            )
    else:
        axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
    return axis


def jacobians(matrices: Mapping[str, ArrayLike], title: str = "") -> tuple[Figure, NDArray[Any]]:
    """Draw Jacobians as heat maps, each on a scale of its own, with its singular values and its rank beside it.

    Singular values that count as zero, as in `numpy.linalg.matrix_rank`, are hollow, and so are the zeros of inputs
    beyond the outputs: there is one marker for each input, and hollow ones count the dimensions of the null space.

    Parameters
    ----------
    matrices : mapping of str to array_like, shape (m, n)
        A Jacobian for each name. One of arrays with other axes is reshaped first, ``J.reshape(y.size, x.size)``.
    title : str
        What the figure shows, above all of them.

    Returns
    -------
    figure, axes
        ``axes`` has shape (number of matrices, 2).

    Raises
    ------
    InvalidInput
        If there is none, or one is not a matrix.

    Examples
    --------
    >>> figure, axes = jacobians({"the mean of three": np.full((1, 3), 1 / 3)})
    >>> axes[0, 1].get_title(loc="left")
    'rank 1, forgets 2'
    """
    if not matrices:
        raise InvalidInput("matrices", "none", "a Jacobian for each name")
    count = len(matrices)
    height = 1.8 * count + 0.3 * bool(title)
    figure, axes = plt.subplots(count, 2, figsize=(5.2, height), layout="none", squeeze=False)
    # placed by hand, in inches: names and ranks may be wider than their axes, which a layout engine would make room for
    top = 1 - (0.6 if title else 0.3) / height
    figure.subplots_adjust(left=0.07, right=0.99, top=top, bottom=0.5 / height, wspace=0.25, hspace=0.75)
    for (left, right), (name, values) in zip(axes, matrices.items(), strict=True):
        J = np.asarray(values, dtype=float)
        if J.ndim != 2 or J.size == 0:
            raise InvalidInput(f"matrices[{name!r}]", f"shape {J.shape}", "a matrix with shape (m, n)")
        matrix(J, name, xlabel=f"{J.shape[1]} inputs", ylabel=f"{J.shape[0]} outputs", axis=left)
        left.set(xticks=[], yticks=[], aspect="auto")
        left.set_title(name, loc="left", fontsize=10)
        left.spines[:].set(visible=True, color="0.6", linewidth=0.8)
        _singular_values(J, right)
    if title:
        figure.suptitle(title, x=0.02, y=1 - 0.08 / height, ha="left", va="top", fontsize=11)
    return figure, axes


def _singular_values(J: NDArray[np.float64], axis: Axes) -> None:
    n = J.shape[1]
    sigma = np.zeros(n)
    found = np.linalg.svd(J, compute_uv=False)
    sigma[: len(found)] = found
    lost = sigma <= max(J.shape) * np.finfo(float).eps * sigma[0]
    place, color = np.arange(1, n + 1), COLORS["jacobian"]
    size = 4.0 if n <= _READABLE else 2.5
    axis.plot(place[~lost], sigma[~lost], "o", color=color, markersize=size)
    axis.plot(
        place[lost],
        np.zeros(lost.sum()),
        "o",
        color=color,
        fillstyle="none",
        markersize=size,
        markeredgewidth=0.8,
        clip_on=False,
    )
    axis.set(xlim=(0, n + 1), ylim=(0, 1.15 * (sigma[0] or 1.0)), xlabel="singular values")
    axis.locator_params(axis="x", integer=True, nbins=4)
    axis.locator_params(axis="y", nbins=3)
    axis.set_title(f"rank {n - lost.sum()}, forgets {lost.sum()}", loc="left", fontsize=10)


def pattern(
    entries: ArrayLike | Any,
    colors: ArrayLike | None = None,
    title: str = "",
    *,
    xlabel: str = "",
    ylabel: str = "",
    axis: Axes | None = None,
) -> Axes:
    """Draw where a matrix has entries: dark squares, or in the colours of their columns.

    Parameters
    ----------
    entries : sparse matrix or array_like, shape (m, n)
        The pattern: its stored entries (of an array, those that are not zero), as a plan's ``pattern``.
    colors : array_like of int, shape (n,), optional
        The colours of the columns, as a plan's ``colors``. Each entry also shows the number of its colour if the matrix
        is small enough to read it, since hues repeat when there are many.
    title, xlabel, ylabel : str
        What the axes say.
    axis : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInput
        If ``entries`` is not a matrix, or there is not one colour for each column.

    Examples
    --------
    >>> pattern(np.eye(3), [0, 0, 0], "one colour").get_title(loc="left")
    'one colour'
    """
    stored: Any = entries.tocoo() if hasattr(entries, "tocoo") else np.asarray(entries)
    if stored.ndim != 2 or 0 in stored.shape:
        raise InvalidInput("entries", f"shape {stored.shape}", "a matrix with shape (m, n)")
    m, n = stored.shape
    i, j = (stored.row, stored.col) if hasattr(stored, "row") else np.nonzero(stored)
    of = np.zeros(n, dtype=int) if colors is None else np.asarray(colors)
    if of.shape != (n,):
        raise InvalidInput("colors", f"shape {of.shape}", f"one colour for each of the {n} columns")
    axis = plt.subplots()[1] if axis is None else axis
    hues = [COLORS["jacobian"]] if colors is None else _HUES
    many = max(m, n) > _FINE
    squares = PolyCollection(
        list(np.stack([j, i], axis=-1)[:, None] + _SQUARE),
        facecolors=[hues[c % len(hues)] for c in of[j].tolist()],
        edgecolors="face" if many else "none",  # an outline keeps what is smaller than a pixel visible
        linewidths=0.8,
        rasterized=many,
    )
    axis.add_collection(squares, autolim=False)
    axis.set(xlim=(-0.5, n - 0.5), ylim=(m - 0.5, -0.5), aspect="equal" if 1 / 3 <= m / n <= 3 else "auto")
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set_title(title, loc="left")
    axis.spines[:].set_visible(True)
    axis.locator_params(integer=True)  # rows and columns have whole numbers
    if colors is not None and max(m, n) <= _READABLE:
        for row, column in zip(i.tolist(), j.tolist(), strict=True):
            axis.text(column, row, str(of[column]), ha="center", va="center", color="black", fontsize=8)
    return axis


_SQUARE = 0.42 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])  # with a gap between neighbours
_FINE = 100  # rows or columns from which on squares are drawn as pixels
_FEW = 6  # so many lines are all named
_READABLE = 24  # rows and columns whose entries have room for a number
# Light enough for a number in black: the palette's hues without its black and its greys.
_HUES = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00")


def error_curves(
    steps: ArrayLike,
    errors: Mapping[str, ArrayLike],
    *,
    colors: Mapping[str, str] | None = None,
    xlabel: str = "step h",
    ylabel: str = "error",
    title: str = "",
    axis: Axes | None = None,
) -> Axes:
    """Draw errors against step sizes on logarithmic axes, each curve with its own marker.

    Parameters
    ----------
    steps : array_like, shape (k,)
        The step sizes.
    errors : mapping of str to array_like, shape (k,)
        A curve for each name; zeros are left out, because a logarithm cannot show them.
    colors : mapping of str to str, optional
        The colour of each name.
    xlabel, ylabel, title : str
        What the axes say.
    axis : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInput
        If a curve has another number of errors than there are steps, or a negative one.

    Examples
    --------
    >>> h = np.logspace(-8, -1, 8)
    >>> error_curves(h, {"forward": h, "central": h**2}).get_xscale()
    'log'
    """
    axis = plt.subplots()[1] if axis is None else axis
    h = np.asarray(steps, dtype=float)
    for (name, curve), marker in zip(errors.items(), "osD^vP*X" * (1 + len(errors) // 8), strict=False):
        e = np.asarray(curve, dtype=float)
        if e.shape != h.shape or np.any(e < 0):
            raise InvalidInput(
                f"errors[{name!r}]",
                "negative numbers" if e.shape == h.shape else f"shape {e.shape}",
                f"one error that is not negative for each of the {h.size} steps",
            )
        axis.loglog(
            h, np.where(e > 0, e, np.nan), marker=marker, markersize=4, label=name, color=(colors or {}).get(name)
        )
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set_title(title, loc="left")
    axis.legend()
    return axis


def recorded(recorder: Recorder, title: str = "") -> tuple[Figure, NDArray[Any]]:
    """Draw what was recorded while a network was trained: the loss, and the norm of each layer's gradient.

    Layers are told apart by their shade, from the first (dark) to the last (light), and named where the lines end: all
    of them if they are few, else the first, the middle and the last. A gradient of zero leaves a gap.

    Parameters
    ----------
    recorder : Recorder
        One that `mathdl.network.fit` was given as ``watch``.
    title : str
        What the figure shows, above both axes.

    Returns
    -------
    figure, axes
        Two axes: the loss above, the gradients below.

    Raises
    ------
    InvalidInput
        If nothing was recorded.

    Examples
    --------
    >>> from mathdl.gradient_flow import Recorder
    >>> recorder = Recorder(steps=[0, 1], loss=[2.0, 1.0], gradients={"out": [3.0, 0.5]})
    >>> recorded(recorder)[1][1].get_yscale()
    'log'
    """
    if not recorder.steps:
        raise InvalidInput("recorder", "one that has seen no step", "one that fit(..., watch=recorder) has called")
    figure, axes = plt.subplots(2, 1, figsize=(5.2, 4.2), sharex=True, height_ratios=(1, 2))
    if title:
        figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    axes[0].plot(recorder.steps, recorder.loss, color=COLORS["function"], linewidth=1.2)
    axes[0].set(ylabel="loss")
    names = list(recorder.gradients)
    named = set(range(len(names))) if len(names) <= _FEW else {0, len(names) // 2, len(names) - 1}
    shades = mpl.colormaps["viridis"](np.linspace(0, 0.85, len(names)))
    ends = []
    for k, (name, norms) in enumerate(recorder.gradients.items()):
        values = np.array(norms, dtype=float)
        values[values <= 0] = np.nan
        axes[1].semilogy(recorder.steps, values, color=shades[k], linewidth=1.2, label=name)
        seen = values[np.isfinite(values)]
        if k in named and len(seen):
            ends.append((seen[-1], name, shades[k]))
    axes[1].set(ylabel="norm of the gradient", xlabel="step")
    _name_ends(axes[1], ends)
    return figure, axes


def _name_ends(axis: Axes, ends: list[tuple[float, str, Any]]) -> None:
    """Names to the right of the axis, each at the height of its line's end or as near to it as there is room."""
    low, high = np.log(axis.get_ylim())
    ends = sorted(ends, key=lambda end: end[0])
    room, places = 0.09, [(np.log(value) - low) / (high - low) for value, _, _ in ends]
    for k in range(1, len(places)):
        places[k] = max(places[k], places[k - 1] + room)
    for k in reversed(range(len(places))):
        places[k] = min(places[k], 1 - room * (len(places) - 1 - k))
    for place, (_, name, shade) in zip(places, ends, strict=True):
        dash = {"color": shade, "clip_on": False, "scalex": False, "scaley": False}
        axis.plot([1.01, 1.04], [place, place], transform=axis.transAxes, **dash)
        axis.text(1.05, place, name, transform=axis.transAxes, va="center", fontsize=10)


def moving(
    figure: Figure, moments: Sequence[Iterable[Artist]], seconds: float = 0.4, still: int | None = None
) -> Moving:
    """Make a figure whose artists can appear one moment after the other; as it stands it shows them all.

    With ``still`` it is a film: each moment takes the place of the one before, and as it stands the figure shows that
    one moment.

    The cell that shows it says ``figure: classes: moving``, and the page puts a button below that plays it. On paper,
    in a notebook, without JavaScript and for readers who want no motion it is the still.

    Parameters
    ----------
    figure : matplotlib Figure
        The whole drawing. It is closed, so that it is shown once.
    moments : sequence of iterables of matplotlib Artist
        What appears at each moment, in turn. What is in none of them is there all the time.
    seconds : float
        From one moment to the next.
    still : int, optional
        Number of a moment, counted from 0.

    Returns
    -------
    Moving
        Shown by ``display``, as SVG.

    Raises
    ------
    InvalidInput
        If ``seconds`` is not positive, or there is no such moment.

    Examples
    --------
    >>> figure, axis = plt.subplots()
    >>> moving(figure, [axis.plot([0, k], [0, 1]) for k in range(3)]).moments
    3
    """
    if not seconds > 0:
        raise InvalidInput("seconds", repr(seconds), "a positive number")
    if still is not None:
        want_integer(still, "still", 0, len(moments) - 1)
    for k, artists in enumerate(moments):
        for i, artist in enumerate(artists):
            artist.set_gid(f"moment-{k}-{i}")
    plt.close(figure)
    return Moving(figure, len(moments), seconds, still)


class Moving:
    """What `moving` returns: a figure, and when its parts appear."""

    def __init__(self, figure: Figure, moments: int, seconds: float, still: int | None = None) -> None:
        self.figure, self.moments, self.seconds, self.still = figure, moments, seconds, still

    def __repr__(self) -> str:
        return f"{repr(self.figure).rstrip('>')}, {self.moments} moments>"

    def _repr_svg_(self) -> str:
        """The drawing as matplotlib writes it, and a style that acts only where its address ends on ``#play``."""
        file = StringIO()
        self.figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        style = f"<style>\n{self._turns() if self.still is None else self._film(self.still)}</style>\n"
        head, opening, rest = file.getvalue().partition("<svg ")
        attributes, end, body = rest.partition(">")
        return f'{head}{opening}id="play" {attributes}{end}\n{style}{body}'

    def _turns(self) -> str:
        return "@keyframes appear { from { opacity: 0 } }\n" + "".join(
            f'#play:target [id^="moment-{k}-"] {{ animation: appear 1ms {k * self.seconds:.2f}s both }}\n'
            for k in range(self.moments)
        )

    def _film(self, still: int) -> str:
        hidden = '{ visibility: hidden }\n[id^="moment-'
        rules = f'[id^="moment-"], #play:target [id^="moment-{still}-"] {hidden}{still}-"] {{ visibility: visible }}\n'
        rules += "@keyframes show { from, to { visibility: visible } }\n"
        for k in range(self.moments):
            fill = " forwards" if k == self.moments - 1 else ""  # the last one stays
            turn = f"show {self.seconds:.2f}s {k * self.seconds:.2f}s{fill}"
            rules += f'#play:target [id^="moment-{k}-"] {{ animation: {turn} }}\n'
        return rules


def warped_grid(
    f: Callable[[NDArray[np.float64]], ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    *,
    axis: Axes | None = None,
    color: str = COLORS["function"],
    **line: Any,
) -> Axes:
    """Draw the image of a rectangular grid under a map of the plane.

    Parameters
    ----------
    f : callable
        Takes points of shape (2, k), first axis the coordinates, and returns (2, k).
    x, y : array_like, shape (p,) and (q,)
        Where the grid's vertical and horizontal lines stand.
    axis : matplotlib Axes, optional
        Where to draw; a new figure by default.
    color : str
        The lines' colour.
    **line
        Passed on to ``Axes.plot``.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    InvalidInput
        If ``f`` does not return an array with the shape of its points.

    Examples
    --------
    >>> axis = warped_grid(lambda p: p, [0.0, 1.0], [0.0, 0.5, 1.0])
    >>> len(axis.lines)
    5
    """
    axis = plt.subplots()[1] if axis is None else axis
    xs, ys = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    fine_x, fine_y = np.linspace(xs.min(), xs.max(), 200), np.linspace(ys.min(), ys.max(), 200)
    curves = [np.stack([np.full_like(fine_y, u), fine_y]) for u in xs] + [
        np.stack([fine_x, np.full_like(fine_x, v)]) for v in ys
    ]
    options = {"color": color, "linewidth": 1.0, **line}
    for curve in curves:
        image = np.asarray(f(curve), dtype=float)
        if image.shape != curve.shape:
            raise InvalidInput("f", f"a result with shape {image.shape}", f"the shape of the points, {curve.shape}")
        axis.plot(image[0], image[1], **options)
    return axis
