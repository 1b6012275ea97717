"""From a measured imbalance to the command that would mend it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bootstrap_det.data import Dataset
from bootstrap_det.data.collect import count
from bootstrap_det.inspection.census import Census, Fit, Scan
from bootstrap_det.inspection.objects import Classes, Places, Sizes
from bootstrap_det.inspection.outliers import Outlier

DATA = "DATA"
"""Stands for the annotations in the commands."""

UNEVEN = 3.0  # largest label over smallest from which balancing is worth it
FEW_OBJECTS = 20  # of a label, too few for a template of its own
LARGE_PICTURE = 4_000_000  # pixels
MANY = 0.02  # share of objects from which a change of options is worth it
AT_BORDER = 0.05  # the same of objects that touch the border
ROOM = 1.5  # smallest objects over smallest windows from which raising these is worth it

MENDED = ("duplicate", "outside")  # kinds of outliers that `dataset check --fix` mends

_TRAIN = f"bootstrap-det train --data {DATA}"


@dataclass(frozen=True)
class Advice:
    """What would mend one imbalance.

    Attributes
    ----------
    measure : str
        The measure that shows it, by its name in an inspection.
    why : str
        What is wrong, in a few words with numbers.
    command : str
        A command line; ``DATA`` stands for the annotations.
    """

    measure: str
    why: str
    command: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a dictionary for JSON."""
        return dict(vars(self))


def advise(
    dataset: Dataset,
    scan: Scan,
    classes: Classes,
    census: Census,
    sizes: Sizes,
    fit: Fit,
    places: Places,
    outliers: Sequence[Outlier],
) -> tuple[Advice, ...]:
    """Return what would mend what was measured, in the order of the measures."""
    parts = [
        _of_classes(classes),
        _of_background(census, sizes, scan),
        _of_sizes(dataset, sizes),
        _of_fit(fit, sizes, scan),
        _of_places(places, scan),
        _of_outliers(outliers),
    ]
    return tuple(advice for part in parts for advice in part)


def _of_classes(classes: Classes) -> list[Advice]:
    found = []
    if classes.ratio >= UNEVEN:
        why = f"the largest label has {classes.ratio:.3g} times the objects of the smallest"
        command = f"bootstrap-det dataset balance {DATA} --how over --out balanced"
        found.append(Advice("classes", why, command))
    few = [label for label, number in classes.objects.items() if 0 < number < FEW_OBJECTS]
    if len(few) > 1:
        why = f"{len(few)} labels have fewer than {FEW_OBJECTS} objects; merge those that are alike"
        pairs = ",".join(f"{label}=other" for label in few[-3:])
        command = f"bootstrap-det dataset merge {DATA} --map {shlex.quote(pairs)} --out merged.json"
        found.append(Advice("classes", why, command))
    return found


def _of_background(census: Census, sizes: Sizes, scan: Scan) -> list[Advice]:
    why = "far more background than can be trained on: mine the hard part of it"
    found = [Advice("background", why, f"{_TRAIN} --rounds 3")]
    least = float(np.percentile(sizes.height, 1))
    if least >= ROOM * scan.smallest:
        share = (scan.smallest / least) ** 2
        why = (
            f"99 % of the objects are {least:.0f} px high and more, but windows begin at "
            f"{scan.smallest:.0f} px: about {share:.0%} of the windows would do"
        )
        found.append(Advice("background", why, f"{_TRAIN} --min-object-size {math.floor(least)}"))
    return found


def _of_sizes(dataset: Dataset, sizes: Sizes) -> list[Advice]:
    largest = max((p.size[0] * p.size[1] for p in dataset.pictures if p.size), default=0)
    if largest < LARGE_PICTURE:
        return []
    side = math.ceil(float(np.percentile(np.maximum(sizes.width, sizes.height), 99)))
    extent = max(1024, 4 * side)
    why = f"pictures have up to {largest / 1e6:.3g} million pixels; objects are small in them"
    command = (
        f"bootstrap-det dataset tile {DATA} --tile {extent}x{extent} --overlap {side} --out tiles"
    )
    return [Advice("sizes", why, command)]


def _of_fit(fit: Fit, sizes: Sizes, scan: Scan) -> list[Advice]:
    n_of = {cause: int((fit.causes == cause).sum()) for cause in np.unique(fit.causes)}
    enough = max(MANY * len(fit.overlap), 1)
    least = max(math.floor(float(np.percentile(sizes.height, 2))), 1)
    finer = min(2 * scan.pyramid.scales_per_octave, 64)
    window = "x".join(map(str, next(iter(scan.windows.values())).size))
    above = math.ceil(float(sizes.height.max()))
    raised = scan.pyramid.max_object_size is not None
    mends: dict[str, tuple[str, Callable[[], str]]] = {
        "small": ("below the smallest window", lambda: f"{_TRAIN} --min-object-size {least}"),
        "large": (
            "above the largest window",
            lambda: (
                f"{_TRAIN} --max-object-size {above}"
                if raised
                else f"{_TRAIN} --padding {2 * max(scan.pyramid.padding, 8)}"
            ),
        ),
        "grid": (
            "between two windows",
            lambda: f"{_TRAIN} --scales-per-octave {finer}",
        ),
        "aspect": (
            "too narrow or too wide for the window; look at them",
            lambda: f"bootstrap-det dataset check {DATA} --window {window}",
        ),
    }
    return [
        Advice("fit", f"{count(n_of[cause], 'object is', 'objects are')} {why}", command())
        for cause, (why, command) in mends.items()
        if n_of.get(cause, 0) >= enough
    ]


def _of_places(places: Places, scan: Scan) -> list[Advice]:
    share = places.shares["touch_border"]
    if share < AT_BORDER:
        return []
    why = f"{share:.0%} of the objects touch the border: give windows room beyond it"
    return [Advice("places", why, f"{_TRAIN} --padding {2 * max(scan.pyramid.padding, 8)}")]


def _of_outliers(outliers: Sequence[Outlier]) -> list[Advice]:
    n_wrong = sum(each.kind in MENDED for each in outliers)
    n_unlike = len(outliers) - n_wrong
    found = []
    if n_wrong:
        said = count(n_wrong, "box is", "boxes are")
        why = f"{said} there twice or outside the picture in part"
        command = f"bootstrap-det dataset check {DATA} --fix mended"
        found.append(Advice("outliers", why, command))
    if n_unlike:
        said = count(n_unlike, "box", "boxes")
        why = f"{said} of unusual size or shape, to be looked at in outliers.png"
        command = f"bootstrap-det inspect {DATA} --out inspected"
        found.append(Advice("outliers", why, command))
    return found
