"""From options to a run: read the data that they name, resolve what they leave open.

``options`` are the command line's, by their Python names; None means not given.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import reduce
from pathlib import Path
from typing import Any

from bootstrap_det.boxes import SAME_BOX, relative
from bootstrap_det.budgets import with_budget
from bootstrap_det.channels import Channels, default_channels, make_channels
from bootstrap_det.classifiers import BoostedLearner, Learner, LinearLearner
from bootstrap_det.data import (
    Dataset,
    merge,
    named,
    read_annotations,
    read_crops,
    read_negatives,
    without_annotated,
)
from bootstrap_det.data.named import Splits
from bootstrap_det.detector import Detector
from bootstrap_det.exceptions import DataError, ParameterError
from bootstrap_det.imbalance import make_strategy
from bootstrap_det.mining import BootstrapParams, Callback, Recipe
from bootstrap_det.pyramid import Pyramid, estimate_exponents
from bootstrap_det.refinement.params import RefineParams
from bootstrap_det.refining import refine, remapped, require_objects
from bootstrap_det.run_folder import RunFolder
from bootstrap_det.runs import Job
from bootstrap_det.samples import Jitter
from bootstrap_det.training import as_window, labels_to_train

Options = dict[str, Any]

_POWER_LAW_PICTURES = 50  # enough for exponents of two digits

_LEARNERS: dict[str, type] = {"svm": LinearLearner, "boosted": BoostedLearner}


def make_job(options: Options) -> Job:
    """Return the run that the options describe, its data read and its parameters checked."""
    options = _resolved(options)
    strategy = make_strategy(options["strategy"])
    learner = strategy.learner(make_learner(options))
    channels = _channels(options, learner)
    params = BootstrapParams(
        n_rounds=options["rounds"],
        n_jobs=options["jobs"],
        **given(options, _names(BootstrapParams)),
    )
    jitter = Jitter(**given(options, _names(Jitter)))
    name = options["dataset"] or _own_name(options)
    out = options["out"] or Path("runs") / name
    params = replace(params, scratch=out)
    RunFolder(out, overwrite=options["overwrite"], resume=options["resume"])  # early refusal
    train, negatives = training_data(options)
    grouped = strategy.relabelled(train)
    pyramid = _pyramid(options, channels, train, negatives)
    test = test_splits(options, strategy.by_group)
    window, context = options["window"], options["context"] or 0.0
    refinement = _refinement(options)
    recipes = tuple(
        Recipe(
            as_window(window, grouped, label, channels, context), channels, pyramid, label, learner
        )
        for label in labels_to_train(grouped, options["label"] or None)
    )
    if refinement is not None:  # an early refusal
        require_objects(grouped, [recipe.label for recipe in recipes])
    return Job(
        name=name,
        train=train,
        negatives=negatives,
        test=test.test,
        detection_map=detection_map(options, test),
        recipes=recipes,
        strategy=strategy,
        jitter=jitter,
        params=params,
        n_views=options["views"] or 1,
        mirror_pairs=options["mirror_pairs"],
        refinement=refinement,
        out=out,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        overwrite=options["overwrite"],
        resume=options["resume"],
    )


def _refinement(options: Options) -> RefineParams | None:
    """Return how a run refines its detector at the end, if it does."""
    if not options.get("refine") and not options.get("location"):
        return None
    names = ("location", "max_lost", "seed", "jobs", "skip_bad")
    asked = {name: options.get(name) for name in names}
    return refine_params({**asked, "loss": options.get("refine") or "none"})


def _resolved(options: Options) -> Options:
    """Return the options with presets for what is open: a budget given, the card, the default."""
    if options.get("budget"):
        options = with_budget(options)
    if options["dataset"]:
        options = {**options, **_card_defaults(options)}
    return with_budget(options)


def data_to_inspect(options: Options) -> tuple[Dataset, Options]:
    """Return the annotated pictures that the options name, and the options as `train` has them."""
    return annotated_data(options), _resolved(options)


def annotated_data(options: Options) -> Dataset:
    """Return the annotated data that --data or --dataset names, to choose by or to learn from."""
    if bool(options["data"]) == bool(options["dataset"]):
        raise ParameterError("Give the annotations, or a named set with --dataset, one of them.")
    data = _training_splits(options).train
    if data is None:
        raise ParameterError(
            f"The data set {options['dataset']!r} is for testing only: nothing may be chosen by "
            "its objects. Give the one that is trained on."
        )
    return data


def scan_of(options: Options) -> tuple[Channels, Pyramid]:
    """Return features and scales of the detector that the options describe."""
    channels = _channels(options, BoostedLearner())
    return channels, _pyramid({"power_law": False, **options}, channels)


def make_learner(options: Options) -> Learner:
    """Return the classifier's learner that the options describe."""
    kind = _LEARNERS[options["classifier"]]
    _refuse_foreign(options, kind, f"--classifier {options['classifier']}", _LEARNERS.values())
    learner: Learner = kind(**given(options, _names(kind)))
    return learner


def _channels(options: Options, learner: Learner) -> Channels:
    """Return the features that the options describe, on top of the defaults for the learner."""
    default = default_channels(options["features"], learner.name)
    known = default.get_params()
    others = {
        name
        for kind in ("hog", "acf")
        for name in default_channels(kind).get_params()
        if name not in known and options.get(name) is not None
    }
    if others:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(others))
        raise ParameterError(f"{flags} cannot be used with --features {options['features']}.")
    return make_channels(type(default).__name__, **{**known, **given(options, known)})


def _pyramid(options: Options, channels: Channels, *datasets: Dataset) -> Pyramid:
    """Return the scales that the options describe; exponents come from the training pictures."""
    pyramid = Pyramid(**given(options, Pyramid().get_params()))
    if not options["power_law"]:
        return pyramid
    pictures = [picture for dataset in datasets for picture in dataset.pictures]
    some = pictures[:: math.ceil(len(pictures) / _POWER_LAW_PICTURES)]
    exponents = estimate_exponents((p.load(channels.color) for p in some), channels)
    return Pyramid(**{**pyramid.get_params(), "exponents": exponents})


def _refuse_foreign(options: Options, kind: type, choice: str, kinds: Iterable[type]) -> None:
    """Raise for an option that another choice would take: it would have no effect."""
    foreign = {name for other in kinds for name in _names(other)} - set(_names(kind))
    used = [f"--{name.replace('_', '-')}" for name in sorted(given(options, foreign))]
    if used:
        raise ParameterError(f"{', '.join(used)} cannot be used with {choice}.")


def training_data(options: Options) -> tuple[Dataset, Dataset]:
    """Return the objects to train on and the pictures to mine that the options name."""
    kinds = [name for name in ("dataset", "data", "crops") if options[name]]
    if len(kinds) != 1:
        raise ParameterError(
            "Training needs one of --dataset, --data and --crops. Got "
            + (" and ".join(f"--{name}" for name in kinds) or "none of them")
            + "."
        )
    splits = _training_splits(options)
    if splits.train is None:
        raise ParameterError(
            f"The data set {splits.name!r} is for testing only. Give it as --test-dataset."
        )
    return splits.train, _negatives(splits.train, splits.negatives, options)


def _negatives(annotated: Dataset, negatives: Dataset | None, options: Options) -> Dataset:
    """Return all pictures to mine: given folders, and annotated ones away from their objects."""
    parts = [] if negatives is None else [negatives]
    for folder in options["negatives"]:
        more = read_negatives(folder, skip_bad=options["skip_bad"])
        parts.append(without_annotated(more, annotated, skip_bad=options["skip_bad"]))
    if len(annotated):
        parts.append(replace(annotated, crops=None, skipped=(), notes=()))
    if not parts:
        raise DataError(
            "There is no picture to take negatives from. Give a folder of pictures without the "
            "object with --negatives."
        )
    return reduce(lambda first, second: merge(first, second, first.name), parts)


def _training_splits(options: Options) -> Splits:
    skip_bad = options["skip_bad"]
    if options["dataset"]:
        return named.load(
            options["dataset"],
            data_root=options["data_root"],
            classes=make_strategy(options.get("strategy")).by_group,
            skip_bad=skip_bad,
        )
    if options["data"]:
        own = read_annotations(
            options["data"],
            options["images"],
            format=options.get("data_format"),
            label=_first_label(options),
            skip_bad=skip_bad,
        )
    else:
        own = read_crops(options["crops"], label=_first_label(options) or "object")
    return Splits(own.name, own)


def _first_label(options: Options) -> str | None:
    """Return the label of objects whose format names none."""
    return next(iter(options.get("label") or ()), None)


def _card_defaults(options: Options) -> Options:
    """Return the card's parameters for what the user left open."""
    defaults = named.card(options["dataset"]).defaults
    return {name: value for name, value in defaults.items() if options.get(name) is None}


def test_splits(options: Options, classes: bool) -> Splits:
    """Return the test set that the options name; without any, that of the training set, if any.

    With ``classes``, a named set is labelled by class, if it can be.
    """
    boxes, skip_bad = options["test_boxes"], options["skip_bad"]
    named_one = options["test_dataset"]
    if named_one and options["test_data"]:
        raise ParameterError("Give --test-dataset or --test-data, not both.")
    if options["test_data"]:
        test = read_annotations(
            options["test_data"],
            options["test_images"],
            format=options.get("test_format"),
            box_key=boxes,
            label=_first_label(options),
            skip_bad=skip_bad,
        )
        return Splits(test.name, test=test)
    name = named_one or options.get("dataset")
    if not name:
        return Splits("none")
    found = named.load(
        name,
        data_root=options["data_root"],
        boxes=boxes,
        classes=classes and name in named.WITH_CLASSES,
        skip_bad=skip_bad,
    )
    if named_one and found.test is None:
        raise ParameterError(f"The data set {found.name!r} has no test part. Give another.")
    return found


def detection_map(options: Options, test: Splits) -> tuple[float, ...]:
    """Return what maps a detection to the test set's boxes: the user's map, then the card's."""
    own = options["box_map"] or SAME_BOX
    return tuple(float(v) for v in relative([own], test.detection_map)[0])


def load_detector(options: Options) -> Detector:
    """Return the model's detector with the changes that the options ask for."""
    detector = Detector.load(options["model"])
    if options.get("no_refinement"):
        detector = detector.unrefined()
    if options.get("no_location"):
        detector = detector.replace(location=None)
    names = (
        "threshold",
        "nms_threshold",
        "nms_kind",
        "suppression",
        "across_labels",
        *detector.pyramid.get_params(),
    )
    return detector.replace(**given(options, names))


def refine_model(
    options: Options, callbacks: Sequence[Callback]
) -> tuple[Detector, dict[str, Any]]:
    """Return the model refined as the options ask for, and how that was learnt."""
    params = refine_params(options)
    detector = Detector.load(options["model"])
    data = annotated_data({"label": (), **options})
    if options["box_map"]:
        detector = remapped(detector, options["box_map"])
    if params.loss is None and params.location is None:
        raise ParameterError("There is nothing to learn: --loss none goes with --location only.")
    return refine(detector, data, params, callbacks=callbacks)


def refine_params(options: Options) -> RefineParams:
    """Return how the options ask a detector to be refined."""
    known = given(options, _names(RefineParams))
    if known.get("loss") == "none":
        known["loss"] = None
    return RefineParams(**{**known, "n_jobs": options["jobs"]})


def given(options: Options, names: Iterable[str]) -> Options:
    """Return the options of these names that the user gave."""
    return {name: options[name] for name in names if options.get(name) is not None}


def _own_name(options: Options) -> str:
    source = options["data"] or options["crops"]
    return source.stem if source else "run"


def _names(parameters: type) -> list[str]:
    return [field.name for field in fields(parameters)]
