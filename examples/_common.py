"""What the lessons share: options, where figures go, two small drawings.

A lesson shows its figures where Python is interactive (a notebook, Spyder, VS Code) and writes
them in any case. As a plain script it opens no window, so it needs no display and never waits.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

INTERACTIVE = hasattr(sys, "ps1")  # set by IPython, too
if not INTERACTIVE:
    plt.switch_backend("Agg")

BLUE, ORANGE, GREEN, RED, GREY = "#2457a6", "#d9822b", "#1b7f4d", "#b5382c", "#777777"
plt.rcParams.update(
    {
        "figure.dpi": 110,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.grid": True,
        "grid.alpha": 0.25,
        "font.size": 9,
    }
)


@dataclass(frozen=True)
class Lesson:
    """The options of a lesson.

    Attributes
    ----------
    quick : bool
        Small data: the figures look alike, the numbers are worse.
    out : Path
        Where figures are written.
    data_root : Path or None
        Folder with the files that the cards in ``datasets/`` list.
    jobs : int
        Threads, or processes.
    """

    quick: bool
    out: Path
    data_root: Path | None
    jobs: int

    def show(self, figure: Any, name: str) -> None:
        """Write a figure as ``NAME.png``, and show it where Python is interactive."""
        self.out.mkdir(parents=True, exist_ok=True)
        path = self.out / f"{name}.png"
        figure.savefig(path)
        if INTERACTIVE:
            plt.show()
        else:
            print(f"wrote {path}")
        plt.close(figure)


def start(name: str) -> Lesson:
    """Return the options: of the command line, or of the environment in a notebook."""
    parser = argparse.ArgumentParser(description=f"The lesson {name}; see examples/README.md.")
    parser.add_argument(
        "--quick", action="store_true", default=os.environ.get("BOOTSTRAP_DET_QUICK") == "1",
        help="Small data, under a minute; as BOOTSTRAP_DET_QUICK=1.",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "out" / name,
        help="Where figures are written; by default %(default)s.",
    )  # fmt: skip
    data_root = os.environ.get("BOOTSTRAP_DET_DATA")
    parser.add_argument(
        "--data-root", type=Path, default=Path(data_root) if data_root else None,
        help="Folder of the data sets that are not embedded; as BOOTSTRAP_DET_DATA.",
    )  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="Threads; by default 2.")
    options = parser.parse_args([] if INTERACTIVE else None)
    return Lesson(options.quick, options.out, options.data_root, options.jobs)


def draw(axes: Any, image: Any, title: str = "", **options: Any) -> None:
    """Draw a picture, or a map of values, without ticks."""
    if getattr(image, "ndim", 3) == 2:
        options.setdefault("cmap", "gray")
    axes.imshow(image, **options)
    axes.set_title(title)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
