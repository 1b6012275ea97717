"""Plots of a run as SVG texts that take the page's text colour, so that they suit light and dark.

Lines differ in colour and in dashes; both colours and text are legible on white and on black.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from bootstrap_det.report.peers import Curve

COLORS = ("#3f86cf", "#d9772b", "#279a6b", "#c0579f", "#8a76d8", "#a8842f", "#4c97a8", "#cf5f5f")
DASHES = ("solid", (0, (6, 2)), (0, (2, 2)), (0, (7, 2, 2, 2)), (0, (1, 1.5)))
MAX_LINES = 8  # in one plot
MAX_NAME = 48  # characters in a legend; a longer one would leave no room for the plot
MAX_POINTS = 400  # of a line
LEAST_RATE = 1e-2  # of a logarithmic axis of rates, unless the pictures are many
_MISS_RATES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
_LEFT = 0.7  # where the axis of rates begins, in their least value
_TEXT = "#010203"  # stands for the page's text colour

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _TEXT,
    "axes.labelcolor": _TEXT,
    "axes.edgecolor": _TEXT,
    "xtick.color": _TEXT,
    "ytick.color": _TEXT,
    "grid.color": _TEXT,
    "grid.alpha": 0.14,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


@dataclass(frozen=True)
class Plot:
    """A figure for the page.

    Attributes
    ----------
    svg : Markup
        Ready to be put into HTML; it says what it shows to those who cannot see it.
    caption : str
        What to look for.
    """

    svg: Markup
    caption: str


def fall_plots(
    series: Sequence[tuple[str, Sequence[dict[str, Any]]]], measured: bool, *, each: str = "label"
) -> list[Plot]:
    """Return false positives, and average precision with recalls, round by round.

    Parameters
    ----------
    series : sequence of (str, sequence of dict)
        A label and its rounds, as ``summary.json`` has them.
    measured : bool
        Whether there was a test set; else false positives are those of the mining passes.
    each : str, default="label"
        What a series is of.
    """
    name = "false_positives_per_image" if measured else "mined_false_positives_per_image"
    said = ", ".join(f"round {e['round']}: {_short(e.get(name))}" for e in series[0][1])
    with mpl.rc_context(_STYLE):
        figure, axes = _by_round(series)
        for index, (label, rounds) in enumerate(series[:MAX_LINES]):
            _line(axes, rounds, _values(rounds, name), index, label, annotate=len(series) == 1)
        _positive_log(axes, [v for _, rounds in series for v in _values(rounds, name)])
        axes.set_ylabel("false positives per picture")
        if len(series) > 1:
            _legend(axes, "upper right")
        svg = svg_text(figure, f"False positives per picture; {series[0][0]}: {said}")
    plots = [Plot(svg, _fall_caption(measured) + _capped(len(series)))]
    return [*plots, _quality_plot(series, each)] if measured else plots


def curve_plots(curves: Sequence[Curve], strong: int | None, n_images: int) -> dict[str, Plot]:
    """Return precision against recall, recall and miss rate against false positives per picture.

    Parameters
    ----------
    curves : sequence of Curve
        A line each; where there are more than 8, the strong one and the last ones are drawn.
    strong : int or None
        Index of the one to be drawn thickest; None for no such one.
    n_images : int
        Test pictures: below one false positive in all of them, rates are not known.
    """
    chosen = _chosen(curves, strong)
    low = min(LEAST_RATE, 1.0 / max(n_images, 1))
    more = _capped(len(curves))
    return {
        "pr": Plot(
            _curves(chosen, strong, "pr", low),
            "Precision against recall, a point a threshold. Better is up and to the right; where a "
            "line ends in a dot, the detector lists no more." + more,
        ),
        "roc": Plot(
            _curves(chosen, strong, "roc", low),
            "Recall against false positives per picture, the first axis logarithmic. Read off the "
            "recall at the rate of false alarms that you can bear." + more,
        ),
        "det": Plot(
            _curves(chosen, strong, "det", low),
            "Miss rate against false positives per picture, both logarithmic. Lower and to the "
            "left is better; equal steps are equal factors." + more,
        ),
    }


def svg_text(figure: Figure, alt: str) -> Markup:
    """Return a figure as an ``<svg>`` element without links, its text in the page's colour."""
    stream = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with mpl.rc_context({**_STYLE, "svg.hashsalt": alt}), warnings.catch_warnings():
        # The page's fonts draw what matplotlib's lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", metadata=nothing, transparent=True)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text, count=2)
    # What would hold for the whole page, or be there twice: rules, comments, names of groups.
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text,
                  flags=re.S)  # fmt: skip
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r'<svg width="[^"]*" height="[^"]*"', "<svg", text, count=1)
    text = re.sub(r' height="[\d.]+pt"| width="[\d.]+pt"', "", text, count=2)
    named = f'<svg class="plot" role="img" aria-label="{escape(alt, quote=True)}"'
    return Markup(text.replace("<svg", named, 1).replace(_TEXT, "currentColor"))


def _quality_plot(series: Sequence[tuple[str, Sequence[dict[str, Any]]]], each: str) -> Plot:
    single = len(series) == 1
    with mpl.rc_context(_STYLE):
        figure, axes = _by_round(series)
        for index, (label, rounds) in enumerate(series[:MAX_LINES]):
            aps = _values(rounds, "ap50")
            _line(axes, rounds, aps, index, "AP at IoU 0.5" if single else label)
            for number, rate in enumerate(("0.1", "1") if single else (), start=1):
                values = [(entry.get("recall_at_fppi") or {}).get(rate) for entry in rounds]
                _line(axes, rounds, values, number, f"recall at {rate} per picture")
        axes.set_ylim(0, 1.02)
        axes.set_ylabel("AP and recall" if single else "average precision")
        _legend(axes, "lower right")
        said = ", ".join(f"round {e['round']}: {_short(e.get('ap50'))}" for e in series[0][1])
        svg = svg_text(figure, f"Average precision by round; {series[0][0]}: {said}")
    caption = (
        "Average precision, and recalls at 0.1 and 1 false positives per picture: they should rise "
        "while false positives fall."
        if single
        else f"Average precision of each {each}: it should rise while false positives fall."
    )
    return Plot(svg, caption + _capped(len(series)))


def _by_round(series: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> tuple[Figure, Axes]:
    """Return a figure whose first axis is the round."""
    figure = Figure(figsize=(4.7, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel("round")
    axes.set_xticks(sorted({each["round"] for _, rounds in series for each in rounds}))
    axes.grid()
    return figure, axes


def _line(
    axes: Axes,
    rounds: Sequence[dict[str, Any]],
    values: Sequence[float | None],
    index: int,
    label: str,
    *,
    annotate: bool = False,
) -> None:
    """Draw the values that are known, a marker a round."""
    known = [(e["round"], v) for e, v in zip(rounds, values, strict=True) if v is not None]
    if not known:
        return
    xs, ys = zip(*known, strict=True)
    axes.plot(xs, ys, marker="o", markersize=5, **_look(index), label=label)
    for x, y in known if annotate else ():
        axes.annotate(_short(y), (x, y), textcoords="offset points", xytext=(7, 5), fontsize=9)


def _positive_log(axes: Axes, values: Sequence[float | None]) -> None:
    """Make the second axis logarithmic where values differ much, and none is 0."""
    known = [value for value in values if value is not None]
    if known and min(known) > 0 and max(known) / min(known) > 8:
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    else:
        axes.set_ylim(bottom=0)
    axes.margins(x=0.12)


def _curves(
    curves: Sequence[tuple[int, Curve]], strong: int | None, kind: str, low: float
) -> Markup:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(4.1, 3.6), layout="constrained")
        axes = figure.subplots()
        # Before anything is drawn: of a perfect detector no rate is above 0.
        _scales(axes, kind, low, [curve for _, curve in curves])
        for number, curve in curves:
            x, y = _points(curve, kind, low)
            if not curve.is_line:
                axes.plot(x, y, "D", color=COLORS[number % len(COLORS)], label=curve.name)
                continue
            wide = {"linewidth": 2.8, "linestyle": "solid"} if number == strong else {}
            step = {} if kind == "pr" else {"drawstyle": "steps-post"}
            end = {"marker": "o", "markersize": 4, "markevery": [-1]} if len(x) else {}
            axes.plot(x, y, **{**_look(number), **wide, **step, **end}, label=curve.name)
        axes.grid(which="major")
        _legend(axes, {"pr": "lower left", "roc": "lower right", "det": "lower left"}[kind])
        names = ", ".join(curve.name for _, curve in curves)
        return svg_text(figure, f"{_ALTS[kind]} of {names}")


_ALTS = {
    "pr": "Precision against recall",
    "roc": "Recall against false positives per picture",
    "det": "Miss rate against false positives per picture",
}


def _points(curve: Curve, kind: str, low: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return at most 400 points; what is 0 on a logarithmic axis lies on its lower end."""
    if kind == "pr":
        x, y = curve.recall, curve.precision
    else:
        x = np.maximum(curve.fppi, _LEFT * low)
        y = curve.recall if kind == "roc" else np.maximum(1.0 - curve.recall, _MISS_RATES[-1])
    if len(x) > MAX_POINTS:
        kept = np.unique(np.linspace(0, len(x) - 1, MAX_POINTS).astype(int))
        x, y = x[kept], y[kept]
    return x, y


def _scales(axes: Axes, kind: str, low: float, curves: Sequence[Curve]) -> None:
    if kind == "pr":
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        return
    axes.set_xscale("log")
    rates = [float(curve.fppi.max()) for curve in curves if len(curve.fppi)]
    axes.set_xlim(_LEFT * low, max([10.0, *(min(rate, 1e3) for rate in rates)]))
    _plain_ticks(axes.xaxis)
    axes.set_xlabel("false positives per picture")
    axes.axvline(1.0, color=_TEXT, alpha=0.3, linewidth=0.8)
    if kind == "roc":
        axes.set(ylim=(0, 1.02), ylabel="recall")
        return
    axes.set_yscale("log")
    least = [float((1.0 - curve.recall).min()) for curve in curves if len(curve.recall)]
    positive = [value for value in least if value > 0]
    lowest = max(min([0.05, *(0.7 * value for value in positive)]), 1e-3)
    axes.set_yticks([tick for tick in _MISS_RATES if tick >= lowest])
    axes.set_ylim(lowest, 1.05)
    _plain_ticks(axes.yaxis)
    axes.set_ylabel("miss rate")


def _plain_ticks(axis: Any) -> None:
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(axes: Axes, where: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        for text in axes.legend(loc=where).get_texts():
            text.set_parse_math(False)  # names may hold dollar signs
            text.set_text(_shortened(text.get_text()))


def _look(index: int) -> dict[str, Any]:
    color = COLORS[index % len(COLORS)]
    return {"color": color, "linestyle": DASHES[index % len(DASHES)], "linewidth": 1.7}


def _chosen(curves: Sequence[Curve], strong: int | None) -> list[tuple[int, Curve]]:
    """Return at most 8 curves with their numbers: the strong one, then the last ones."""
    numbered = list(enumerate(curves))
    if len(numbered) <= MAX_LINES:
        return numbered
    first = [] if strong is None else [numbered[strong]]
    others = [each for each in numbered if each[0] != strong][-(MAX_LINES - len(first)) :]
    return sorted([*first, *others], key=lambda each: each[0])


def _capped(n: int) -> str:
    return f" {MAX_LINES} of {n} lines are drawn." if n > MAX_LINES else ""


def _fall_caption(measured: bool) -> str:
    if measured:
        return (
            "What each round of mining did on the test pictures: false positives of score 0 and "
            "more should fall from round to round."
        )
    return (
        "False positives of score 0 and more on the pictures that were mined, by the detector of "
        "the round before: they should fall."
    )


def _values(rounds: Sequence[dict[str, Any]], name: str) -> list[float | None]:
    return [each.get(name) for each in rounds]


def _short(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def _shortened(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."
