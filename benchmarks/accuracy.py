"""Accuracy of our models and of the rivals on the same pictures.

Run: ``python benchmarks/accuracy.py --data-root DIR --model NAME=FILE`` (one ``--model`` each).

mit-cmu
    MIT+CMU, both box conventions. Reported only; nothing was chosen on it.
validation
    150 pictures of WIDER FACE's training part: frontal, sharp, unoccluded faces from 24 px.
held-out
    Every second picture of each event of the same; every face from 24 px, however hard.
cars
    UIUC cars by the official rule; trained here, with the options given by ``--cars``.

Our boxes are brought to a test set's convention by the fixed map of its card; those of a rival
by the best one, fitted on the test pictures (mit-cmu) or on the other half (WIDER FACE).
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import models
import numpy as np
import report
import rivals
import uiuc
import validation
from rivals import Rival, Run

from bootstrap_det import Dataset, Detector, load_dataset
from bootstrap_det.boxes import SAME_BOX, relative
from bootstrap_det.evaluation import Evaluation

SETS = ("mit-cmu", "validation", "held-out", "cars")
MIT_CMU_BOXES = ("bbox", "bbox_square")
SQUARES, WIDER = "caltech-crops", "wider"  # conventions that a model may be trained on
SMALLEST = 20.0  # pixels; the smallest face that the rivals look for
COUNTS = (10, 31, 95, 167)
COLUMNS = (
    "detector", "AP@0.5", "recall at 0.1 fp/image", "at 1",
    *(f"at {count} fp" for count in COUNTS), "median ms",
)  # fmt: skip
Map = tuple[float, ...]


@dataclass(frozen=True)
class TestSet:
    """Annotated pictures, and how boxes get into the convention of the annotations.

    Attributes
    ----------
    caption : str
        To show.
    dataset : Dataset
        The pictures to measure on.
    maps : dict of str to tuple
        For the conventions that our models may be trained on, the fixed map.
    fitting : Dataset
        The pictures that a rival's map is fitted on.
    """

    caption: str
    dataset: Dataset
    maps: dict[str, Map]
    fitting: Dataset


@dataclass
class Contest:
    """All detectors that are measured, and what they found so far."""

    ours: dict[str, tuple[Detector, str]]
    others: list[Rival]
    python: Path
    runs: dict[tuple[str, str], Run] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def table(self, test: TestSet) -> report.Table:
        """Return the table of one test set."""
        title = f"{test.caption}: {test.dataset.n_objects} faces in {len(test.dataset)} pictures"
        return report.Table(title, COLUMNS, list(self._rows(test)))

    def _rows(self, test: TestSet) -> Iterator[list[object]]:
        for name, (_, convention) in self.ours.items():
            ours = self._ours(name, test.dataset)
            yield _row(name, rivals.measure(ours.found, test.dataset, test.maps[convention]), ours)
        for rival in self.others:
            found = self._rival(rival, test.dataset)
            if found.skipped:
                self.skipped[rival.name] = found.skipped
                continue
            best = rivals.fit_map(self._rival(rival, test.fitting).found, test.fitting)
            yield _row(rival.name, rivals.measure(found.found, test.dataset, best), found)

    def _ours(self, name: str, dataset: Dataset) -> Run:
        detector, _ = self.ours[name]
        return self._over(name, dataset, lambda missing: models.run(detector, missing))

    def _rival(self, rival: Rival, dataset: Dataset) -> Run:
        def work(missing: Dataset) -> Run:
            files = {picture.image_id: picture.path for picture in missing.pictures}
            return rivals.run(rival, files, self.python, smallest=SMALLEST)

        found = self._over(rival.name, dataset, work)
        self.versions.update(found.versions)
        return found

    def _over(self, name: str, dataset: Dataset, work: Callable[[Dataset], Run]) -> Run:
        """Return a run over a data set; pictures seen before, in another set, are not run again."""
        before = self.runs.get((name, dataset.name), Run())
        new = [p.image_id not in before.milliseconds for p in dataset.pictures]
        whole = before
        if any(new) and not before.skipped:
            whole = before.joined(work(dataset.subset(np.array(new))))
            self.runs[name, dataset.name] = whole
        return whole.of([picture.image_id for picture in dataset.pictures])


def main() -> None:
    """Measure, print, and write when asked."""
    options = parse()
    with TemporaryDirectory() as folder:
        contest = make_contest(options, Path(folder))
        tests = [test for name in options.sets for test in TEST_SETS[name](options.data_root)]
        tables = [contest.table(test) for test in tests]
        if "cars" in options.sets:
            tables.append(car_table(options, Path(folder)))
    notes = [f"{name}: not run; {why}." for name, why in contest.skipped.items()]
    report.publish(
        "accuracy", "Accuracy", tables, notes=[*NOTES, *notes], rivals=contest.versions,
        write=options.write,
    )  # fmt: skip


def parse() -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, required=True)
    models.add_option(parser)
    parser.add_argument(
        "--wider-model", type=models.named_value, action="append", default=[], metavar="NAME=FILE",
        help="A model of ours trained on WIDER FACE's boxes instead of the squares.",
    )  # fmt: skip
    parser.add_argument(
        "--cars", type=models.named_value, action="append", metavar="NAME=OPTIONS",
        help="Options of bootstrap-det train for the cars; by default none.",
    )  # fmt: skip
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--min-object-size", type=float, help="Of our models, instead of theirs.")
    rivals.add_options(parser)
    report.add_options(parser)
    return parser.parse_args()


def make_contest(options: argparse.Namespace, folder: Path) -> Contest:
    """Return the detectors that the options name."""
    ours = {}
    changes = {"min_object_size": options.min_object_size} if options.min_object_size else {}
    for convention, files in ((SQUARES, options.model), (WIDER, options.wider_model)):
        for name, file in files:
            ours[name] = Detector.load(file).replace(**changes), convention
    others = rivals.all_rivals(options, folder)
    if "dlib-frontal" in options.peers:
        others.append(
            Rival("dlib frontal HOG, upsampled once", "dlib-frontal", ("--upsample", "1"))
        )
    return Contest(ours, others, options.peer_python)


def mit_cmu(root: Path) -> Iterator[TestSet]:
    """Yield MIT+CMU in both box conventions."""
    for name in MIT_CMU_BOXES:
        splits = load_dataset("mit-cmu", data_root=root, boxes=name)
        squares = splits.detection_map
        maps = {SQUARES: squares, WIDER: then(inverse(validation.TO_WIDER), squares)}
        yield TestSet(f"MIT+CMU, `{name}`", splits.test, maps, splits.test)


def frontal(root: Path) -> Iterator[TestSet]:
    """Yield the validation faces."""
    train, _ = validation.halves(validation.faces_in_the_wild(root))
    yield TestSet("Validation", validation.validation_set(root), WIDER_MAPS, train)


def in_the_wild(root: Path) -> Iterator[TestSet]:
    """Yield the held-out half."""
    train, held_out = validation.halves(validation.faces_in_the_wild(root))
    yield TestSet("Held-out half", held_out, WIDER_MAPS, train)


def car_table(options: argparse.Namespace, folder: Path) -> report.Table:
    """Return the table of the cars."""
    rows = []
    for index, (name, text) in enumerate(options.cars or [("our defaults", "")]):
        out = folder / f"cars {index}"
        detector = uiuc.train(options.data_root, shlex.split(text), out)
        scores = [uiuc.evaluate(detector, options.data_root, test) for test in uiuc.SIZES]
        recalls = [score.recall_at_equal_error for score in scores]
        rows.append([name, *recalls, *(uiuc.f_measure(score.matches) for score in scores)])
    tests = [f"{test} scale" for test in uiuc.SIZES]
    columns = [f"{what}, {test}" for what in ("recall at equal error", "best F") for test in tests]
    return report.Table("UIUC cars, the official rule", ("detector", *columns), rows)


def inverse(part: Map) -> Map:
    """Return the map that undoes a map of boxes, see `boxes.relative`."""
    x1, y1, x2, y2 = part
    width, height = x2 - x1, y2 - y1
    return (-x1 / width, -y1 / height, (1 - x1) / width, (1 - y1) / height)


def then(first: Map, second: Map) -> Map:
    """Return the map that does one map of boxes after another."""
    return tuple(relative([first], second)[0])


def _row(name: str, measured: Evaluation, found: Run) -> list[object]:
    at_rates = measured.recall_at_fppi
    at_counts = measured.recall_at_false_positives
    recalls = [at_rates[0.1], at_rates[1.0], *(at_counts[count] for count in COUNTS)]
    return [name, measured.ap, *recalls, found.median_ms]


WIDER_MAPS = {SQUARES: validation.TO_WIDER, WIDER: SAME_BOX}
TEST_SETS: dict[str, Callable[[Path], Iterator[TestSet]]] = {
    "mit-cmu": mit_cmu,
    "validation": frontal,
    "held-out": in_the_wild,
    "cars": lambda root: iter(()),
}
NOTES = (
    "fp: false positives, per image or in the whole set. Milliseconds: one thread, one picture, "
    "without decoding.",
    "Each rival's boxes are brought to the annotations by the map that suits it best, fitted on "
    "the test pictures of MIT+CMU themselves and on the other half of WIDER FACE; ours by the "
    f"fixed map of the data set. Rivals look for faces from {SMALLEST:g} px.",
)


if __name__ == "__main__":
    main()
